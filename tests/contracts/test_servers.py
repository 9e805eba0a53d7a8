"""Servers and connections as asyncio makes them: addresses, refusals, closing, sockets that a program brings along."""

import asyncio
import errno
import io
import os
import socket
import sys
import tempfile
from collections.abc import Awaitable
from typing import Any

from tests.contracts.arms import Arm, Contract, awaited, outcome, scenario, shape

BIG = bytes(range(256)) * 10_000


async def complaint(awaitable: Awaitable[Any], port: int = -1) -> Any:
    """The class, errno and text of what is raised, without the port."""
    try:
        await awaitable
    except Exception as error:
        number = getattr(error, "errno", None)
        return type(error).__name__, number and errno.errorcode[number], str(error).replace(str(port), "port")
    return None


class Echo(asyncio.Protocol):
    """Sends back what it receives."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Servers(Contract):
    """TCP over IPv4."""

    wildcard = "0.0.0.0"

    async def serve(self, arm: Arm, host: Any = ..., port: int = 0, **options: Any) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return arm.keep(await loop.create_server(Echo, self.host if host is ... else host, port, **options))

    def port(self, server: asyncio.Server) -> int:
        return server.sockets[0].getsockname()[1]

    async def connect(self, arm: Arm, port: int, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self.host, port, **options)
        arm.keep_transport(writer.transport, reader, writer)
        return reader, writer

    async def echo(self, arm: Arm, port: int, **options: Any) -> Any:
        """What a new client gets back from the server at `port`."""
        reader, writer = await self.connect(arm, port, **options)
        writer.write(b"hello\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer

    def unused_port(self, arm: Arm) -> int:
        """A port where nobody listens, and nobody will."""
        sock = arm.socket(self.host)
        sock.bind((self.host, 0))
        return sock.getsockname()[1]

    # Servers

    @scenario
    async def test_server(self, arm: Arm) -> Any:
        """A server listens where it says, and serves."""
        server = await self.serve(arm)
        arm.see(server.is_serving(), [shape(sock.getsockname()) == shape(self.bound(arm)) for sock in server.sockets])
        arm.see(server.get_loop() is asyncio.get_running_loop(), await self.echo(arm, self.port(server)))
        return [(True, [True]), (True, b"hello\n")]

    def bound(self, arm: Arm) -> Any:
        sock = arm.socket(self.host)
        sock.bind((self.host, 0))
        return sock.getsockname()

    @scenario
    async def test_many_clients(self, arm: Arm) -> Any:
        """Many clients at once are all served, and each gets its own answers."""
        server = await self.serve(arm)

        async def ask(number: int) -> bool:
            reader, writer = await self.connect(arm, self.port(server))
            for turn in range(3):
                writer.write(b"%d %d\n" % (number, turn))
                if await reader.readline() != b"%d %d\n" % (number, turn):
                    return False
            return True

        arm.see(set(await asyncio.gather(*[ask(number) for number in range(60)])))
        return [{True}]

    @scenario
    async def test_close(self, arm: Arm) -> Any:
        """A server that closes has no sockets and refuses at once, but its connections live on."""
        server = await self.serve(arm)
        port = self.port(server)
        reader, writer = await self.connect(arm, port)
        writer.write(b"before\n")
        arm.see(await reader.readline())
        server.close()
        arm.see(server.is_serving(), len(server.sockets), outcome(server.close))
        arm.see(await awaited(self.connect(arm, port)))
        writer.write(b"after\n")
        arm.see(await reader.readline())
        return [b"before\n", (False, 0, None), "ECONNREFUSED", b"after\n"]

    @scenario
    async def test_wait_closed(self, arm: Arm) -> Any:
        """wait_closed() ends once the server is closed and its connections are gone."""
        server = await self.serve(arm)
        _, writer = await self.connect(arm, self.port(server))
        await arm.calm()
        server.close()
        waiting = arm.start(server.wait_closed())
        await arm.calm()
        arm.see(waiting.done())
        writer.close()
        arm.see(await waiting)
        return None

    @scenario
    async def test_serve_forever(self, arm: Arm) -> Any:
        """serve_forever() serves until it is cancelled, and closes the server then."""
        server = await self.serve(arm, start_serving=False)
        port = self.port(server)
        arm.see(server.is_serving(), await awaited(self.connect(arm, port)))
        serving = arm.start(server.serve_forever())
        await arm.turns(3)
        arm.see(server.is_serving(), await self.echo(arm, port))
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        arm.see(serving.cancelled(), server.is_serving(), await awaited(self.connect(arm, port)))
        return [(False, "ECONNREFUSED"), (True, b"hello\n"), (True, False, "ECONNREFUSED")]

    @scenario
    async def test_start_serving(self, arm: Arm) -> Any:
        """A server that was told not to serve yet has its address, but refuses until start_serving()."""
        server = await self.serve(arm, start_serving=False)
        port = self.port(server)
        arm.see(server.is_serving(), len(server.sockets), await awaited(self.connect(arm, port)))
        await server.start_serving()
        arm.see(server.is_serving(), await self.echo(arm, port))
        return [(False, 1, "ECONNREFUSED"), (True, b"hello\n")]

    @scenario
    async def test_server_as_a_context(self, arm: Arm) -> Any:
        """A server is closed by the end of its context."""
        server = await self.serve(arm)
        port = self.port(server)
        async with server as same:
            arm.see(same is server, await self.echo(arm, port))
        arm.see(server.is_serving(), await awaited(self.connect(arm, port)))
        return [(True, b"hello\n"), (False, "ECONNREFUSED")]

    @scenario
    async def test_address_in_use(self, arm: Arm) -> Any:
        """Two servers cannot have one address, and the second is told which."""
        server = await self.serve(arm)
        port = self.port(server)
        facts = await complaint(self.serve(arm, port=port), port)
        arm.see(facts)
        arm.see(await self.echo(arm, port))
        return None

    @scenario
    async def test_address_is_reused_at_once(self, arm: Arm) -> Any:
        """A new server may take the address of a closed one, with the old connections alive or just closed."""
        server = await self.serve(arm)
        port = self.port(server)
        reader, writer = await self.connect(arm, port)
        writer.write(b"hello\n")
        await reader.readline()
        server.close()
        second = await self.serve(arm, port=port)
        arm.see(await self.echo(arm, port))
        second.close()
        await arm.calm()
        third = await self.serve(arm, port=port)
        arm.see(await self.echo(arm, port))
        writer.write(b"still here\n")
        arm.see(await reader.readline(), self.port(third) == port)
        return [b"hello\n", b"hello\n", (b"still here\n", True)]

    @scenario
    async def test_server_on_the_wildcard(self, arm: Arm) -> Any:
        """A server on the wildcard address is reached under every address of this host."""
        server = await self.serve(arm, self.wildcard)
        arm.see(shape(server.sockets[0].getsockname())[0] == self.wildcard, await self.echo(arm, self.port(server)))
        return [(True, b"hello\n")]

    @scenario
    async def test_server_on_no_host(self, arm: Arm) -> Any:
        """None and "" are every address of both families, each with a port of its own where none is given."""
        for host in (None, ""):
            server = await self.serve(arm, host)
            places = sorted((sock.family.name, sock.getsockname()[0]) for sock in server.sockets)
            arm.see(places)
            ports = {sock.family: sock.getsockname()[1] for sock in server.sockets}
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            arm.see(await self.echo(arm, ports[family]))
        return [[("AF_INET", "0.0.0.0"), ("AF_INET6", "::")], b"hello\n"] * 2

    @scenario
    async def test_server_on_several_hosts(self, arm: Arm) -> Any:
        """A server on a list of hosts listens on each, once, and closes all of them."""
        for hosts in (["127.0.0.1", "::1"], ["127.0.0.1", "127.0.0.1"], ("::1",)):
            server = await self.serve(arm, hosts)
            addresses = [sock.getsockname()[:2] for sock in server.sockets]
            arm.see(sorted(host for host, _ in addresses))
            for host, port in addresses:
                reader, writer = await asyncio.open_connection(host, port)
                arm.keep_transport(writer.transport, reader, writer)
                writer.write(b"hello\n")
                arm.see(await reader.readline())
                writer.close()
            server.close()
            arm.see([await awaited(asyncio.open_connection(*address)) for address in addresses])
        hello, refused = b"hello\n", "ECONNREFUSED"
        return [
            ["127.0.0.1", "::1"],
            hello,
            hello,
            [refused, refused],
            ["127.0.0.1"],
            hello,
            [refused],
            ["::1"],
            hello,
            [refused],
        ]

    @scenario
    async def test_server_of_one_family(self, arm: Arm) -> Any:
        """`family` picks the addresses of one family."""
        for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            server = await self.serve(arm, None, family=family)
            arm.see([sock.family.name for sock in server.sockets], server.sockets[0].getsockname()[0] == host)
        return [(["AF_INET"], True), (["AF_INET6"], True)]

    @scenario
    async def test_server_with_its_own_socket(self, arm: Arm) -> Any:
        """A server takes a socket that is bound, or one that listens already."""
        for listening in (False, True):
            sock = arm.socket(self.host)
            sock.bind((self.host, 0))
            if listening:
                sock.listen()
            server = arm.keep(await asyncio.get_running_loop().create_server(Echo, sock=sock))
            port = sock.getsockname()[1]
            arm.see(self.port(server) == port, server.sockets[0].fileno() == sock.fileno())
            arm.see(await self.echo(arm, port))
            server.close()
            await arm.calm()
            arm.see(sock.fileno())
        return [(True, True), b"hello\n", -1] * 2

    @scenario
    async def test_server_arguments_that_exclude_each_other(self, arm: Arm) -> Any:
        """A server has a host or a socket, not both, not neither, and no connected or datagram socket."""
        loop = asyncio.get_running_loop()
        sock = arm.socket(self.host)
        for options in ({"host": self.host, "port": 0, "sock": sock}, {}):
            arm.see(await awaited(loop.create_server(Echo, **options)))
        client, _ = await arm.connection(self.host)
        arm.see(await awaited(loop.create_server(Echo, sock=client)))
        return ["ValueError", "ValueError", "EINVAL"]

    @scenario
    async def test_connections_before_serving(self, arm: Arm) -> Any:
        """Who connected to a listening socket before it became a server's is served."""
        listener = arm.listener(self.host)
        client = await arm.dial(listener)
        client.send(b"early\n")
        arm.keep(await asyncio.get_running_loop().create_server(Echo, sock=listener))
        arm.see(await asyncio.get_running_loop().sock_recv(client, 100))
        return [b"early\n"]

    if sys.version_info >= (3, 13):

        @scenario
        async def test_close_clients(self, arm: Arm) -> Any:
            """close_clients() closes the server's ends in order, abort_clients() at once."""
            for method in ("close_clients", "abort_clients"):
                server = await self.serve(arm)
                reader, _ = await self.connect(arm, self.port(server))
                await arm.calm()
                server.close()
                getattr(server, method)()
                arm.see(await awaited(reader.read()), await awaited(server.wait_closed()))
            return [(b"", None)] * 2

    # Connections

    @scenario
    async def test_nobody_listens(self, arm: Arm) -> Any:
        """A connection to nobody is ConnectionRefusedError, and says where it went."""
        port = self.unused_port(arm)
        arm.see(await complaint(asyncio.open_connection(self.host, port), port))
        place = repr((self.host, 0, 0, 0) if ":" in self.host else (self.host, 0)).replace(" 0", " port", 1)
        return [("ConnectionRefusedError", "ECONNREFUSED", f"[Errno 111] Connect call failed {place}")]

    @scenario
    async def test_local_address(self, arm: Arm) -> Any:
        """A connection comes from the local address that was asked for; one that is taken is an error."""
        server = await self.serve(arm)
        for port in (0, self.port(server)):
            facts = await complaint(self.connect(arm, self.port(server), local_addr=(self.host, port)), port or -1)
            arm.see(facts)
        _, writer = await self.connect(arm, self.port(server), local_addr=(self.host, 0))
        arm.see(shape(writer.get_extra_info("sockname")) == shape(self.bound(arm)))
        return None

    @scenario
    async def test_connection_with_its_own_socket(self, arm: Arm) -> Any:
        """A connection takes a socket that is connected, blocking or not."""
        server = await self.serve(arm)
        for blocking in (False, True):
            sock = arm.socket(self.host)
            await asyncio.get_running_loop().sock_connect(sock, (self.host, self.port(server)))
            sock.setblocking(blocking)
            reader, writer = await asyncio.open_connection(sock=sock)
            arm.keep_transport(writer.transport, reader, writer)
            writer.write(b"hello\n")
            arm.see(await reader.readline(), sock.gettimeout())
        return [(b"hello\n", 0.0)] * 2

    @scenario
    async def test_connection_with_a_socket_that_is_not_connected(self, arm: Arm) -> Any:
        """A transport over a fresh socket is lost at once, with the socket's own error."""
        lost = asyncio.get_running_loop().create_future()

        class Fresh(asyncio.Protocol):
            def connection_lost(self, exc: Exception | None) -> None:
                lost.set_exception(exc or EOFError())

        await asyncio.get_running_loop().create_connection(Fresh, sock=arm.socket(self.host))
        arm.see(await awaited(lost))
        return ["ENOTCONN"]

    @scenario
    async def test_connection_arguments_that_exclude_each_other(self, arm: Arm) -> Any:
        """A connection goes to a host or over a socket, not both, not neither."""
        sock = arm.socket(self.host)
        for options in (
            {"host": self.host, "port": 1, "sock": sock},
            {},
            {"host": self.host, "port": 1, "server_hostname": "x"},
        ):
            arm.see(await awaited(asyncio.get_running_loop().create_connection(Echo, **options)))
        return ["ValueError", "ValueError", "ValueError"]

    @scenario
    async def test_connect_accepted_socket(self, arm: Arm) -> Any:
        """A connection that the program accepted by itself can be handed to a protocol."""
        listener = arm.listener(self.host)
        client = await arm.dial(listener)
        accepted = await arm.answer(listener)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_accepted_socket(Echo, accepted)
        arm.keep_transport(transport)
        arm.see(isinstance(protocol, Echo), transport.get_extra_info("peername") == client.getsockname())
        client.send(b"hello")
        arm.see(await loop.sock_recv(client, 100))
        return [(True, True), b"hello"]

    @scenario
    async def test_connection_is_cancelled(self, arm: Arm) -> Any:
        """A connect that waits for a listener with a full queue can be timed out, and leaves nothing behind."""
        listener = arm.listener(self.host, backlog=0)
        await arm.dial(listener)
        port = listener.getsockname()[1]
        arm.see(await awaited(asyncio.wait_for(self.connect(arm, port), 0.01)))
        await arm.answer(listener)
        arm.see(await arm.readiness(listener))
        return ["TimeoutError", "-"]

    # Files

    @scenario
    async def test_sendfile(self, arm: Arm) -> Any:
        """sendfile() sends a file's bytes among the other writes, and moves the file's position."""
        server = arm.listener(self.host)
        reader, writer = await self.connect(arm, server.getsockname()[1])
        peer = await arm.answer(server)
        loop = asyncio.get_running_loop()
        with tempfile.TemporaryFile() as file:
            file.write(b"0123456789")
            file.flush()
            for offset, count in ((0, None), (4, None), (2, 3), (9, 5)):
                writer.write(b"<")
                arm.see(await loop.sendfile(writer.transport, file, offset, count), file.tell())
                writer.write(b">")
        writer.close()
        arm.see(await arm.drain(peer))
        return [(10, 10), (6, 10), (3, 5), (1, 10), b"<0123456789><456789><234><9>"]

    @scenario
    async def test_sendfile_from_behind_the_end(self, arm: Arm) -> Any:
        """Behind the end of a file there is nothing to send; where its position is then depends on the Python."""
        server = arm.listener(self.host)
        _, writer = await self.connect(arm, server.getsockname()[1])
        loop = asyncio.get_running_loop()
        with tempfile.TemporaryFile() as file:
            file.write(b"0123456789")
            file.flush()
            for offset, count in ((20, None), (10, None), (11, 5), (2**40, 1)):
                arm.see(offset, await loop.sendfile(writer.transport, file, offset, count), file.tell())

    @scenario
    async def test_sendfile_of_much(self, arm: Arm) -> Any:
        """A file that does not fit into the buffers is sent as the peer reads."""
        server = arm.listener(self.host)
        reader, writer = await self.connect(arm, server.getsockname()[1])
        peer = await arm.answer(server)
        loop = asyncio.get_running_loop()
        with io.BytesIO(BIG * 5) as file:
            sending = arm.start(loop.sendfile(writer.transport, file))
            await arm.calm()
            arm.see(sending.done())
            data = bytearray()
            while len(data) < len(BIG) * 5:
                data += await loop.sock_recv(peer, 1 << 20)
            arm.see(await sending == len(data), data == BIG * 5)
        return [False, (True, True)]

    @scenario
    async def test_sendfile_that_is_refused(self, arm: Arm) -> Any:
        """A file is not sent through a transport that closes, nor a text at all."""
        server = await self.serve(arm)
        _, writer = await self.connect(arm, self.port(server))
        loop = asyncio.get_running_loop()
        with open(os.devnull) as text:
            arm.see(await awaited(loop.sendfile(writer.transport, text)))
        writer.close()
        arm.see(await awaited(loop.sendfile(writer.transport, io.BytesIO(b"x"))))
        return ["ValueError", "RuntimeError"]


class Servers6(Servers):
    """TCP over IPv6."""

    host = "::1"
    wildcard = "::"
