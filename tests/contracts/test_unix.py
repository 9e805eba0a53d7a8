"""UNIX sockets: names in the file system and beside it, streams and datagrams, and what os says of a bound path."""

import asyncio
import os
import pathlib
import socket
import stat
import struct
from typing import Any

from tests.contracts.arms import RESET_ON_CLOSE, Arm, Contract, awaited, outcome, scenario

DGRAM = socket.SOCK_DGRAM
PEERCRED = (socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
LONGEST = 107
"""Bytes that the kernel's sockaddr_un takes, and a zero byte behind them."""


class Unix(Contract):
    """Stream sockets with names."""

    def listening(self, arm: Arm, path: Any, backlog: int = 5) -> socket.socket:
        sock = arm.unix()
        sock.bind(path)
        sock.listen(backlog)
        return sock

    def told(self, folder: str, address: Any) -> Any:
        """An address without the folder that it lies in."""
        return address.replace(folder, "folder") if isinstance(address, str) else address

    @scenario
    async def test_connection(self, arm: Arm) -> Any:
        """A connection is there at once; the listener's name is known to both, the client has none."""
        path = arm.folder() + "/socket"
        listener, client = self.listening(arm, path), arm.unix()
        arm.see(outcome(client.connect, path), client.getpeername() == path, client.getsockname())
        server, address = listener.accept()
        arm.keep(server)
        arm.see(address, server.getsockname() == path, server.getpeername(), listener.getsockname() == path)
        server.send(b"welcome")
        await arm.readable(client)
        arm.see(client.recv(100))
        return [(None, True, ""), ("", True, "", True), b"welcome"]

    @scenario
    async def test_bound_client(self, arm: Arm) -> Any:
        """A client that has a name is known by it to who accepts."""
        folder = arm.folder()
        listener, client = self.listening(arm, folder + "/socket"), arm.unix()
        client.bind(folder + "/client")
        client.connect(folder + "/socket")
        server, address = listener.accept()
        arm.keep(server)
        arm.see(self.told(folder, address), self.told(folder, server.getpeername()))
        return [("folder/client", "folder/client")]

    @scenario
    async def test_nobody_there(self, arm: Arm) -> Any:
        """No file is ENOENT, another file ECONNREFUSED, and so is a socket that nobody listens at."""
        folder = arm.folder()
        with open(folder + "/file", "w"):
            pass
        bound = arm.unix()
        bound.bind(folder + "/bound")
        for name in ("nothing", "file", "bound", "no/such/folder"):
            arm.see(name, outcome(arm.unix().connect, f"{folder}/{name}"))
        arm.see(outcome(arm.unix().connect, folder))
        return [("nothing", "ENOENT"), ("file", "ECONNREFUSED"), ("bound", "ECONNREFUSED"),
                ("no/such/folder", "ENOENT"), "ECONNREFUSED"]

    @scenario
    async def test_refusal_can_be_tried_again(self, arm: Arm) -> Any:
        """A socket whose connect was refused is as it was, and connects when somebody is there."""
        path = arm.folder() + "/socket"
        client = arm.unix()
        arm.see(client.connect_ex(path) != 0, outcome(client.send, b"x"), outcome(client.recv, 1))
        listener = self.listening(arm, path)
        arm.see(client.connect_ex(path), outcome(client.connect, path))
        arm.keep(listener.accept()[0])
        return [(True, "ENOTCONN", "EINVAL"), (0, "EISCONN")]

    @scenario
    async def test_address_in_use(self, arm: Arm) -> Any:
        """A path is taken as long as its file is there, even after everybody has closed; unlinking frees it."""
        path = arm.folder() + "/socket"
        first, second = self.listening(arm, path), arm.unix()
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        arm.see(outcome(second.bind, path))
        first.close()
        arm.see(outcome(second.bind, path), os.path.exists(path), outcome(arm.unix().connect, path))
        os.unlink(path)
        arm.see(outcome(second.bind, path), outcome(second.listen), outcome(arm.unix().connect, path))
        return ["EADDRINUSE", ("EADDRINUSE", True, "ECONNREFUSED"), (None, None, None)]

    @scenario
    async def test_a_file_is_in_the_way(self, arm: Arm) -> Any:
        """A path where a file or a folder is cannot be bound, and a path in no folder neither."""
        folder = arm.folder()
        with open(folder + "/file", "w"):
            pass
        arm.see(outcome(arm.unix().bind, folder + "/file"), outcome(arm.unix().bind, folder),
                outcome(arm.unix().bind, folder + "/no/socket"), outcome(arm.unix().bind, folder + "/file/socket"))
        return [("EADDRINUSE", "EADDRINUSE", "ENOENT", "ENOTDIR")]

    @scenario
    async def test_bind_twice(self, arm: Arm) -> Any:
        """A socket has one name."""
        folder = arm.folder()
        sock = arm.unix()
        arm.see(outcome(sock.bind, folder + "/1"), outcome(sock.bind, folder + "/2"),
                self.told(folder, sock.getsockname()),
                [name for name in "12" if os.path.exists(f"{folder}/{name}")])
        return [(None, "EINVAL", "folder/1", ["1"])]

    @scenario
    async def test_unlinked_listener(self, arm: Arm) -> Any:
        """A listener whose file is gone keeps its connections, and nobody finds it; another may have the path."""
        path = arm.folder() + "/socket"
        listener, client = self.listening(arm, path), arm.unix()
        client.connect(path)
        os.unlink(path)
        arm.see(outcome(arm.unix().connect, path), listener.getsockname() == path)
        server = arm.keep(listener.accept()[0])
        other = self.listening(arm, path)
        server.send(b"still here")
        await arm.readable(client)
        arm.see(client.recv(100), outcome(arm.unix().connect, path))
        arm.keep(other.accept()[0])
        return [("ENOENT", True), (b"still here", None)]

    @scenario
    async def test_renamed_socket(self, arm: Arm) -> Any:
        """A socket's file can be renamed: it is found under the new name, and says the old one."""
        folder = arm.folder()
        listener = self.listening(arm, folder + "/old")
        os.rename(folder + "/old", folder + "/new")
        arm.see(outcome(arm.unix().connect, folder + "/new"), outcome(arm.unix().connect, folder + "/old"),
                self.told(folder, listener.getsockname()), os.path.exists(folder + "/old"))
        return [(None, "ENOENT", "folder/old", False)]

    @scenario
    async def test_file_of_a_socket(self, arm: Arm) -> Any:
        """stat says that it is a socket; it can be unlinked once, and its mode changed."""
        path = arm.folder() + "/socket"
        arm.unix().bind(path)
        arm.see(stat.S_ISSOCK(os.stat(path).st_mode), stat.S_ISSOCK(os.lstat(path).st_mode), os.path.exists(path),
                os.path.isfile(path), os.path.isdir(path))
        os.chmod(path, 0o600)
        arm.see(oct(stat.S_IMODE(os.stat(path).st_mode)), os.stat(path).st_uid == os.getuid(), os.stat(path).st_size)
        arm.see(outcome(os.remove, path), outcome(os.unlink, path), outcome(os.stat, path))
        return [(True, True, True, False, False), ("0o600", True, 0), (None, "ENOENT", "ENOENT")]

    @scenario
    async def test_names_of_any_type(self, arm: Arm) -> Any:
        """str, bytes and paths name the same file; an empty or too long name, a number and None are none."""
        folder = arm.folder()
        self.listening(arm, os.fsencode(folder + "/ünix"))
        arm.see(outcome(arm.unix().connect, folder + "/ünix"))
        sock = arm.unix()
        long = folder + "/" + "x" * (LONGEST - len(folder) - 1)
        arm.see(outcome(arm.unix().connect, ""), outcome(sock.bind, long + "xx"), outcome(sock.bind, long))
        arm.see(outcome(sock.bind, 7), outcome(sock.bind, None), outcome(sock.bind, ("a", 1)))
        return [None, ("EINVAL", "OSError", None), ("TypeError", "TypeError", "TypeError")]

    @scenario
    async def test_abstract_names(self, arm: Arm) -> Any:
        """A name that begins with a zero byte is in no file system, bytes whatever was given, and free once closed."""
        name = f"\0arm-{os.getpid()}"
        listener = self.listening(arm, name)
        client = arm.unix()
        arm.see(outcome(client.connect, name), client.getpeername() == name.encode(), outcome(arm.unix().bind, name))
        arm.see(outcome(arm.unix().connect, name + "x"))
        listener.close()
        arm.see(outcome(arm.unix().connect, name), outcome(arm.unix().bind, name.encode()))
        return [(None, True, "EADDRINUSE"), "ECONNREFUSED", ("ECONNREFUSED", None)]

    @scenario
    async def test_name_of_the_kernels_choice(self, arm: Arm) -> Any:
        """Binding to "" gives an abstract name of five hexadecimal digits."""
        sock = arm.unix()
        arm.see(sock.getsockname(), outcome(sock.bind, ""))
        name = sock.getsockname()
        arm.see(len(name), name[:1], set(name[1:]) <= set(b"0123456789abcdef"))
        return [("", None), (6, b"\0", True)]

    @scenario
    async def test_backlog(self, arm: Arm) -> Any:
        """A full queue is EAGAIN for who does not wait, and there is room again when one was accepted."""
        path = arm.folder() + "/socket"
        listener = self.listening(arm, path, backlog=1)
        clients = [arm.unix() for _ in range(4)]
        arm.see([outcome(client.connect, path) for client in clients])
        arm.keep(listener.accept()[0])
        arm.see(outcome(clients[2].connect, path), outcome(clients[3].connect, path))
        return [[None, None, "EAGAIN", "EAGAIN"], (None, "EAGAIN")]

    @scenario
    async def test_listener_closes_with_a_queue(self, arm: Arm) -> Any:
        """Whoever was never accepted is reset when the listener closes."""
        path = arm.folder() + "/socket"
        listener, client = self.listening(arm, path), arm.unix()
        client.connect(path)
        listener.close()
        arm.see(await arm.readiness(client), outcome(client.recv, 10), outcome(client.recv, 10))
        arm.see(outcome(client.send, b"x"))
        return [("rw", "ECONNRESET", b""), "EPIPE"]

    @scenario
    async def test_listener_shuts_down(self, arm: Arm) -> Any:
        """A listener that was shut down accepts no more and refuses."""
        path = arm.folder() + "/socket"
        listener = self.listening(arm, path)
        arm.see(outcome(listener.shutdown, socket.SHUT_RD), outcome(listener.accept), outcome(arm.unix().connect, path))
        return [(None, "EAGAIN", "ECONNREFUSED")]

    @scenario
    async def test_wrong_kind(self, arm: Arm) -> Any:
        """A stream does not connect to a datagram socket, and what never listened does not accept or listen."""
        folder = arm.folder()
        datagram, stream = arm.unix(DGRAM), arm.unix()
        datagram.bind(folder + "/datagram")
        arm.see(outcome(stream.connect, folder + "/datagram"), outcome(stream.accept), outcome(stream.listen))
        return [("EPROTOTYPE", "EINVAL", "EINVAL")]

    @scenario
    async def test_states_of_a_fresh_one(self, arm: Arm) -> Any:
        """What a socket without a peer answers."""
        sock = arm.unix()
        arm.see(outcome(sock.recv, 1), outcome(sock.send, b"x"), outcome(sock.getpeername),
                outcome(sock.shutdown, socket.SHUT_WR), await arm.readiness(sock))
        arm.see(outcome(sock.sendto, b"x", "/nowhere"))
        return [("EINVAL", "ENOTCONN", "ENOTCONN", None, "rw"), "ENOTSUP"]

    @scenario
    async def test_peer_credentials(self, arm: Arm) -> Any:
        """SO_PEERCRED says process, user and group of the peer, on both sides of a connection and of a pair."""
        path = arm.folder() + "/socket"
        listener, client = self.listening(arm, path), arm.unix()
        client.connect(path)
        mine = os.getpid(), os.getuid(), os.getgid()
        for sock in (client, arm.keep(listener.accept()[0]), arm.pair()[0], listener):
            arm.see(struct.unpack("3i", sock.getsockopt(*PEERCRED)) == mine)
        arm.see(struct.unpack("3i", arm.unix().getsockopt(*PEERCRED)))
        return [True, True, True, True, (0, -1, -1)]

    @scenario
    async def test_linger_means_nothing(self, arm: Arm) -> Any:
        """SO_LINGER resets no UNIX connection; unread data does."""
        one, other = arm.pair()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        one.close()
        arm.see(outcome(other.recv, 10))
        one, other = arm.pair()
        other.send(b"never read")
        one.close()
        arm.see(outcome(other.recv, 10), outcome(other.recv, 10))
        return [b"", ("ECONNRESET", b"")]

    @scenario
    async def test_sendto_on_a_connection(self, arm: Arm) -> Any:
        """A connected stream takes no address."""
        one, _ = arm.pair()
        arm.see(outcome(one.sendto, b"x", "/nowhere"), outcome(one.sendmsg, [b"x"], [], 0, "/nowhere"))
        return [("EISCONN", "EISCONN")]


class UnixDatagrams(Contract):
    """Datagram sockets with names."""

    def bound(self, arm: Arm, path: str) -> socket.socket:
        sock = arm.unix(DGRAM)
        sock.bind(path)
        return sock

    @scenario
    async def test_sendto_and_recvfrom(self, arm: Arm) -> Any:
        """A datagram arrives at once, with its sender's path, or None where the sender has none."""
        folder = arm.folder()
        one, other = self.bound(arm, folder + "/1"), self.bound(arm, folder + "/2")
        arm.see(one.sendto(b"hello", folder + "/2"))
        data, sender = other.recvfrom(100)
        arm.see(data, sender == folder + "/1")
        arm.unix(DGRAM).sendto(b"anonymous", folder + "/2")
        arm.see(other.recvfrom(100))
        return [5, (b"hello", True), (b"anonymous", None)]

    @scenario
    async def test_nobody_there(self, arm: Arm) -> Any:
        """No file is ENOENT, a socket that was closed ECONNREFUSED, a stream EPROTOTYPE, no address ENOTCONN."""
        folder = arm.folder()
        self.bound(arm, folder + "/closed").close()
        arm.unix().bind(folder + "/stream")
        sock = arm.unix(DGRAM)
        for name in ("nothing", "closed", "stream"):
            arm.see(name, outcome(sock.sendto, b"x", f"{folder}/{name}"))
        arm.see(outcome(sock.send, b"x"), outcome(sock.getpeername), outcome(sock.recv, 1))
        return [("nothing", "ENOENT"), ("closed", "ECONNREFUSED"), ("stream", "EPROTOTYPE"),
                ("ENOTCONN", "ENOTCONN", "EAGAIN")]

    @scenario
    async def test_connected(self, arm: Arm) -> Any:
        """A connected socket sends without an address; its peer refuses whoever else sends to it."""
        folder = arm.folder()
        one, other = self.bound(arm, folder + "/1"), self.bound(arm, folder + "/2")
        third = self.bound(arm, folder + "/3")
        arm.see(outcome(one.connect, folder + "/2"), one.getpeername() == folder + "/2", outcome(other.getpeername))
        arm.see(one.send(b"x"), other.recv(10), outcome(third.sendto, b"x", folder + "/1"))
        arm.see(outcome(one.connect, folder + "/3"), one.send(b"y"), third.recv(10))
        return [(None, True, "ENOTCONN"), (1, b"x", "EPERM"), (None, 1, b"y")]

    @scenario
    async def test_peer_closes(self, arm: Arm) -> Any:
        """Sending to a peer that has closed is ECONNREFUSED once, and then there is no peer."""
        folder = arm.folder()
        one, other = self.bound(arm, folder + "/1"), self.bound(arm, folder + "/2")
        one.connect(folder + "/2")
        other.close()
        arm.see(outcome(one.send, b"x"), outcome(one.send, b"x"), outcome(one.recv, 10))
        pair, peer = arm.pair(DGRAM)
        peer.close()
        arm.see(outcome(pair.send, b"x"), outcome(pair.send, b"x"), outcome(pair.recv, 10))
        return [("ECONNREFUSED", "ENOTCONN", "EAGAIN"), ("ECONNREFUSED", "ENOTCONN", "EAGAIN")]

    @scenario
    async def test_pair(self, arm: Arm) -> Any:
        """A pair of datagram sockets keeps boundaries, cuts what was not asked for, and has no names."""
        one, other = arm.pair(DGRAM)
        for data in (b"first", b"", b"third"):
            one.send(data)
        arm.see([other.recv(size) for size in (3, 10, 10)], other.getsockname(), other.getpeername(),
                other.type == DGRAM)
        arm.see(one.send(b"cut here"), other.recvmsg(3))
        return [([b"fir", b"", b"third"], "", "", True), (8, (b"cut", [], socket.MSG_TRUNC, None))]

    @scenario
    async def test_full_queue(self, arm: Arm) -> Any:
        """Nothing is dropped: a full queue is EAGAIN for the sender, until somebody reads."""
        one, other = arm.pair(DGRAM)
        sent = 0
        while outcome(one.send, b"x") == 1:
            sent += 1
        arm.see(outcome(one.send, b"x"), await arm.readiness(one))
        arm.see({outcome(other.recv, 10) for _ in range(sent)}, outcome(other.recv, 10), outcome(one.send, b"y"))
        return [("EAGAIN", "-"), ({b"x"}, "EAGAIN", 1)]

    @scenario
    async def test_shutdown(self, arm: Arm) -> Any:
        """Each direction can be shut down: sending there is EPIPE for both, and nobody is told an end."""
        one, other = arm.pair(DGRAM)
        one.send(b"before")
        arm.see(outcome(one.shutdown, socket.SHUT_WR), outcome(one.send, b"x"))
        arm.see(outcome(other.recv, 10), outcome(other.recv, 10), await arm.readiness(other))
        arm.see(outcome(other.send, b"back"), outcome(one.recv, 10))
        arm.see(outcome(one.shutdown, socket.SHUT_RD), outcome(one.recv, 10), outcome(other.send, b"x"))
        arm.see(outcome(arm.unix(DGRAM).shutdown, socket.SHUT_RD))
        return [(None, "EPIPE"), (b"before", "EAGAIN", "w"), (4, b"back"), (None, "EAGAIN", "EPIPE"), None]

    @scenario
    async def test_too_large(self, arm: Arm) -> Any:
        """More than the buffer is EMSGSIZE."""
        one, _ = arm.pair(DGRAM)
        arm.see(outcome(one.send, bytes(1 << 22)))
        return ["EMSGSIZE"]

    @scenario
    async def test_calls_for_streams(self, arm: Arm) -> Any:
        """listen and accept are nothing for datagrams."""
        sock = arm.unix(DGRAM)
        arm.see(outcome(sock.listen), outcome(sock.accept))
        return [("ENOTSUP", "ENOTSUP")]

    @scenario
    async def test_left_over_path(self, arm: Arm) -> Any:
        """A path stays after its socket, is in the way of the next one, and unlinking helps."""
        path = arm.folder() + "/socket"
        self.bound(arm, path).close()
        second = arm.unix(DGRAM)
        arm.see(os.path.exists(path), outcome(second.bind, path))
        os.unlink(path)
        arm.see(outcome(second.bind, path))
        return [(True, "EADDRINUSE"), None]


class UnixServers(Contract):
    """asyncio's servers and streams on paths."""

    async def serve(self, arm: Arm, path: Any, handler: Any = None, **options: Any) -> asyncio.Server:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            arm.keep_transport(writer.transport, reader, writer)
            writer.write(await reader.readline())

        return arm.keep(await asyncio.start_unix_server(handler or answer, path, **options))

    async def ask(self, arm: Arm, path: Any) -> Any:
        reader, writer = await asyncio.open_unix_connection(path)
        arm.keep_transport(writer.transport, reader, writer)
        writer.write(b"question\n")
        return await reader.readline()

    @scenario
    async def test_server(self, arm: Arm) -> Any:
        """A server on a path answers, and says where it is."""
        path = arm.folder() + "/socket"
        server = await self.serve(arm, path)
        arm.see(await self.ask(arm, path), server.sockets[0].getsockname() == path, server.is_serving())
        return [(b"question\n", True, True)]

    @scenario
    async def test_who_they_are(self, arm: Arm) -> Any:
        """Both transports know the path as the server's name and "" as the client's."""
        path = arm.folder() + "/socket"
        met = asyncio.get_running_loop().create_future()
        await self.serve(arm, path, lambda reader, writer: met.set_result((reader, writer)))
        reader, writer = await asyncio.open_unix_connection(path)
        arm.keep_transport(writer.transport, reader, writer)
        other_reader, other = await met
        arm.keep_transport(other.transport, other_reader, other)
        arm.see([end.get_extra_info(name) == path for end in (writer, other) for name in ("peername", "sockname")])
        arm.see(writer.get_extra_info("sockname"), other.get_extra_info("peername"))
        return [[True, False, False, True], ("", "")]

    @scenario
    async def test_nobody_listens(self, arm: Arm) -> Any:
        """Connecting to no path is FileNotFoundError, to one that nobody serves ConnectionRefusedError."""
        folder = arm.folder()
        arm.unix().bind(folder + "/silent")
        arm.see(await awaited(asyncio.open_unix_connection(folder + "/nothing")),
                await awaited(asyncio.open_unix_connection(folder + "/silent")))
        return [("ENOENT", "ECONNREFUSED")]

    @scenario
    async def test_left_over_path(self, arm: Arm) -> Any:
        """A server takes over a socket's path that is left over, used or not, but no other file's."""
        folder = arm.folder()
        arm.unix().bind(folder + "/old")
        with open(folder + "/file", "w"):
            pass
        await self.serve(arm, folder + "/old")
        arm.see(await self.ask(arm, folder + "/old"))
        try:
            await self.serve(arm, folder + "/file")
        except OSError as error:
            arm.see(error.errno == 98, str(error).replace(folder, "folder"))
        return [b"question\n", (True, "[Errno 98] Address 'folder/file' is already in use")]

    @scenario
    async def test_close(self, arm: Arm) -> Any:
        """A closed server refuses."""
        path = arm.folder() + "/socket"
        server = await self.serve(arm, path)
        server.close()
        arm.see((await awaited(self.ask(arm, path))) in ("ECONNREFUSED", "ENOENT"))
        return [True]

    @scenario
    async def test_server_with_its_own_socket(self, arm: Arm) -> Any:
        """A server can be given a socket that is bound, and only a UNIX stream."""
        path = arm.folder() + "/socket"
        sock = arm.unix()
        sock.bind(path)
        await self.serve(arm, None, sock=sock)
        arm.see(await self.ask(arm, path))
        for wrong in (arm.socket(), arm.unix(DGRAM)):
            arm.see(await awaited(self.serve(arm, None, sock=wrong)))
        arm.see(await awaited(self.serve(arm, path, sock=sock)), await awaited(self.serve(arm, None)))
        return [b"question\n", "ValueError", "ValueError", ("ValueError", "ValueError")]

    @scenario
    async def test_connection_with_its_own_socket(self, arm: Arm) -> Any:
        """A connection can be made from a socket that is connected."""
        path = arm.folder() + "/socket"
        await self.serve(arm, path)
        sock = arm.unix()
        sock.connect(path)
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        arm.keep_transport(writer.transport, reader, writer)
        writer.write(b"hello\n")
        arm.see(await reader.readline())
        return [b"hello\n"]

    @scenario
    async def test_abstract_server(self, arm: Arm) -> Any:
        """A server can have an abstract name."""
        name = f"\0arm-server-{os.getpid()}"
        await self.serve(arm, name)
        arm.see(await self.ask(arm, name))
        return [b"question\n"]

    @scenario
    async def test_path_objects(self, arm: Arm) -> Any:
        """os.PathLike is a path."""
        path = pathlib.Path(arm.folder()) / "socket"
        await self.serve(arm, path)
        arm.see(await self.ask(arm, path))
        return [b"question\n"]

    @scenario
    async def test_sock_connect(self, arm: Arm) -> Any:
        """sock_connect and sock_accept work on paths; datagrams go with sock_sendto and sock_recvfrom."""
        folder = arm.folder()
        loop = asyncio.get_running_loop()
        listener, client = arm.unix(), arm.unix()
        listener.bind(folder + "/stream")
        listener.listen()
        accepting = arm.start(loop.sock_accept(listener))
        arm.see(await awaited(loop.sock_connect(client, folder + "/stream")))
        arm.keep((await accepting)[0])
        one, other = arm.unix(DGRAM), arm.unix(DGRAM)
        one.bind(folder + "/1")
        other.bind(folder + "/2")
        receiving = arm.start(loop.sock_recvfrom(other, 100))
        arm.see(await loop.sock_sendto(one, b"datagram", folder + "/2"))
        arm.see((await receiving)[0])
        return [None, 8, b"datagram"]
