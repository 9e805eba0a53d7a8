"""Socket files and UNIX addresses: what a program sees of them, on a real Linux and in the virtual world."""

import asyncio
import errno
import glob
import inspect
import os
import pathlib
import shutil
import socket
import stat
import struct
import tempfile
import threading
import unittest
import warnings
from typing import Any
from unittest import mock

from solipsism_unittest import SolipsismError, SolipsistEventLoop, SolipsistTestCase, sealed
from tests.contracts.arms import Arm, Contract, awaited, outcome, scenario

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
start_outside = inspect.unwrap(threading.Thread.start)  # as it is outside of every world
ABSTRACT = f"\0solipsism-{os.getpid()}-"


def is_same(one: Any, other: Any) -> bool:
    """Whether two are equal and of one type: `-bb` refuses to compare bytes with text."""
    return type(one) is type(other) and one == other


class Unix(Contract):
    """What sockets and files a scenario makes."""

    def directory(self, arm: Arm) -> str:
        """A directory of its own, the working one while the body runs."""
        made = tempfile.mkdtemp()
        arm._closing.callback(shutil.rmtree, made)
        arm._closing.callback(os.chdir, os.getcwd())
        os.chdir(made)
        return made

    def unix(self, arm: Arm, name: Any = None, kind: int = STREAM) -> socket.socket:
        """A non-blocking UNIX socket, bound where there is a name."""
        sock = arm.keep(socket.socket(socket.AF_UNIX, kind))
        sock.setblocking(False)
        if name is not None:
            sock.bind(name)
        return sock

    def listener(self, arm: Arm, name: Any, backlog: int = 5) -> socket.socket:
        """One that listens."""
        sock = self.unix(arm, name)
        sock.listen(backlog)
        return sock

    def joined(self, arm: Arm, name: Any, own: Any = None) -> tuple[socket.socket, socket.socket]:
        """The two ends of a connection to `name`, the client's first."""
        listener, client = self.listener(arm, name), self.unix(arm, own)
        client.connect(name)
        server = arm.keep(listener.accept()[0])
        server.setblocking(False)
        listener.close()
        return client, server


class AddressTest(Unix):
    """bind(), and the names of the ends."""

    @scenario
    async def test_names_of_the_ends(self, arm: Arm) -> Any:
        """A path is a str, an abstract name bytes, and an end without a name has the empty one."""
        self.directory(arm)
        for name in ("path", b"bytes", bytearray(b"array"), ABSTRACT + "s", ABSTRACT.encode() + b"\0x", "\udcff"):
            listener, client = self.listener(arm, name), self.unix(arm)
            arm.see(client.getsockname(), is_same(listener.getsockname(), name), outcome(client.connect, name))
            server, address = listener.accept()
            arm.keep(server)
            arm.see(address, server.getsockname() == listener.getsockname(), server.getpeername())
            arm.see(client.getpeername() == listener.getsockname(), type(client.getpeername()), client.getsockname())

    @scenario
    async def test_a_client_with_a_name(self, arm: Arm) -> Any:
        """A client that is bound is known by that name, when it is bound later too."""
        self.directory(arm)
        listener, client = self.listener(arm, "server"), self.unix(arm, "client")
        client.connect("server")
        server, address = listener.accept()
        arm.keep(server)
        arm.see(address, server.getpeername(), server.getsockname(), client.getpeername())
        one, other = arm.pair()
        arm.see(one.getsockname(), other.getpeername(), outcome(one.bind, "late"), other.getpeername())
        arm.see(outcome(one.bind, "again"), outcome(one.bind, ""), outcome(one.bind, ABSTRACT + "again"))
        return [("client", "client", "server", "server"), ("", "", None, "late"), ("EINVAL", None, "EINVAL")]

    @scenario
    async def test_no_address(self, arm: Arm) -> Any:
        """An unconnected socket has no peer, whatever it is bound to."""
        self.directory(arm)
        for sock in (self.unix(arm), self.unix(arm, "bound"), self.listener(arm, "listens")):
            arm.see(outcome(sock.getpeername), sock.getsockname())
        return [("ENOTCONN", ""), ("ENOTCONN", "bound"), ("ENOTCONN", "listens")]

    @scenario
    async def test_wrong_addresses(self, arm: Arm) -> Any:
        """What is no address is refused in CPython's words, what is no path by the system."""
        directory = self.directory(arm)
        os.mkdir("directory")
        pathlib.Path("file").write_text("")
        os.symlink("nowhere", "link")
        wrong = [
            1,
            None,
            ("localhost", 1),
            pathlib.Path("x"),
            "x" * 107,
            "x" * 108,
            "x" * 200,
            b"\0" + b"x" * 107,
            b"\0" + b"x" * 108,
            "directory",
            "directory/",
            "file",
            "file/x",
            "link",
            "none/x",
            "new/",
            ".",
            "..",
            "a\0b",
            directory + "/absolute",
            "directory/../relative",
            "a",
            "",
        ]
        for name in wrong:
            arm.see(repr(name)[:6], outcome(self.unix(arm).bind, name), outcome(self.unix(arm).connect, name))
        arm.see(sorted(os.listdir()))

    @scenario
    async def test_wrong_addresses_in_words(self, arm: Arm) -> Any:
        """The texts of errors are the real ones."""
        self.directory(arm)
        for name in (1, "x" * 108, "none/x", ""):
            for call in ("bind", "connect"):
                try:
                    getattr(self.unix(arm), call)(name)
                except Exception as error:
                    arm.see(type(error).__name__, str(error), getattr(error, "filename", None))
        return None

    @scenario
    async def test_an_address_is_used_once(self, arm: Arm) -> Any:
        """A path is in use until it is unlinked, whoever has closed; an abstract name until its socket is closed."""
        self.directory(arm)
        for name in ("path", ABSTRACT + "name"):
            first = self.unix(arm, name)
            arm.see(outcome(self.unix(arm).bind, name), outcome(self.unix(arm, kind=DATAGRAM).bind, name))
            first.close()
            arm.see(outcome(self.unix(arm).bind, name), outcome(self.unix(arm).connect, name))
            arm.see(outcome(os.unlink, "path"), outcome(self.unix(arm).bind, name))
        return [
            ("EADDRINUSE", "EADDRINUSE"),
            ("EADDRINUSE", "ECONNREFUSED"),
            (None, None),
            ("EADDRINUSE", None),
            (None, "ECONNREFUSED"),
            (None, "EADDRINUSE"),
        ]

    @scenario
    async def test_unlinked_while_it_listens(self, arm: Arm) -> Any:
        """A listener whose path is gone cannot be reached, and still has its name and its connections."""
        self.directory(arm)
        listener, client = self.listener(arm, "path"), self.unix(arm)
        client.connect("path")
        os.unlink("path")
        arm.see(outcome(self.unix(arm).connect, "path"), listener.getsockname(), outcome(self.unix(arm).bind, "path"))
        server = arm.keep(listener.accept()[0])
        client.send(b"hello")
        arm.see(server.recv(10), client.getpeername())
        return [("ENOENT", "path", None), (b"hello", "path")]

    @scenario
    async def test_many_spellings(self, arm: Arm) -> Any:
        """A socket file is found by any path that leads to it."""
        directory = self.directory(arm)
        os.mkdir("sub")
        os.symlink("sub", "link")
        self.listener(arm, "sub/s")
        os.symlink("sub/s", "direct")
        os.symlink("direct", "indirect")
        os.symlink("loop", "loop")
        for name in (
            "sub/s",
            "./sub//s",
            "link/s",
            directory + "/link/../sub/s",
            "direct",
            "indirect",
            "loop",
            "s",
            "loop/s",
        ):
            arm.see(name[-10:], outcome(self.unix(arm).connect, name), os.path.exists(name), os.path.lexists(name))
        os.rename("sub", "renamed")
        arm.see(outcome(self.unix(arm).connect, "renamed/s"), outcome(self.unix(arm).connect, "sub/s"))
        os.chdir("renamed")
        arm.see(outcome(self.unix(arm).connect, "s"), outcome(self.unix(arm).bind, "../direct"))

    @scenario
    async def test_autobind(self, arm: Arm) -> Any:
        """Binding to the empty address takes an abstract name that is free; a second time nothing happens."""
        sock, other = self.unix(arm, ""), self.unix(arm, "")
        name = sock.getsockname()
        arm.see(
            type(name), len(name), name[0], name != other.getsockname(), bytes.fromhex("0" + name[1:].decode()) != b""
        )
        arm.see(outcome(sock.bind, ""), sock.getsockname() == name)
        sock.listen()
        arm.see(outcome(self.unix(arm).connect, name), outcome(self.unix(arm).connect, ""))
        return [(bytes, 6, 0, True, True), (None, True), (None, "EINVAL")]

    @scenario
    async def test_kinds_do_not_meet(self, arm: Arm) -> Any:
        """A socket of another kind is no peer."""
        self.directory(arm)
        self.listener(arm, "stream")
        self.unix(arm, "datagram", DATAGRAM)
        arm.see(outcome(self.unix(arm).connect, "datagram"), outcome(self.unix(arm, kind=DATAGRAM).connect, "stream"))
        arm.see(outcome(self.unix(arm).connect, "stream"), outcome(self.unix(arm, kind=DATAGRAM).connect, "datagram"))
        return [("EPROTOTYPE", "EPROTOTYPE"), (None, None)]


class StreamTest(Unix):
    """Connecting and listening, call by call."""

    @scenario
    async def test_before_a_connection(self, arm: Arm) -> Any:
        """Without a peer nothing can be sent or received, and nothing listens without a name."""
        self.directory(arm)
        for sock in (self.unix(arm), self.unix(arm, "bound"), self.listener(arm, "listens")):
            arm.see(
                outcome(sock.recv, 1),
                outcome(sock.recv, 0),
                outcome(sock.send, b"x"),
                outcome(sock.accept),
                outcome(sock.getsockopt, socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
                await arm.readiness(sock),
            )
        arm.see(outcome(self.unix(arm).listen))

    @scenario
    async def test_connecting(self, arm: Arm) -> Any:
        """A connection is there at once, before anybody accepts it."""
        self.directory(arm)
        listener, client = self.listener(arm, "s"), self.unix(arm)
        arm.see(await arm.readiness(listener), client.connect_ex("s"), await arm.readiness(listener))
        arm.see(client.send(b"early"), await arm.readiness(client), outcome(client.connect, "s"))
        server = arm.keep(listener.accept()[0])
        arm.see(server.recv(10), server.getblocking(), await arm.readiness(listener))
        arm.see(outcome(listener.connect, "s"), outcome(client.connect, "none"), outcome(client.listen))
        return None

    @scenario
    async def test_nobody_listens(self, arm: Arm) -> Any:
        """A path that is bound and not listened to refuses; the socket can connect elsewhere then."""
        self.directory(arm)
        self.unix(arm, "bound")
        self.listener(arm, "listens")
        client = self.unix(arm)
        arm.see(client.connect_ex("bound"), client.connect_ex("none"), client.connect_ex(ABSTRACT + "none"))
        arm.see(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), client.connect_ex("listens"))
        return [(errno.ECONNREFUSED, errno.ENOENT, errno.ECONNREFUSED), (0, 0)]

    @scenario
    async def test_a_full_queue(self, arm: Arm) -> Any:
        """listen(n) lets n+1 connect; the next one is told to come again, and can when one was accepted."""
        self.directory(arm)
        for backlog in (0, 2, -1):
            listener = self.listener(arm, f"s{backlog}", backlog)
            clients = [self.unix(arm) for _ in range(5)]
            arm.see([client.connect_ex(f"s{backlog}") for client in clients[: backlog + 2 if backlog >= 0 else 5]])
            arm.keep(listener.accept()[0])
            arm.see(self.unix(arm).connect_ex(f"s{backlog}"))

    @scenario
    async def test_a_listener_that_closes(self, arm: Arm) -> Any:
        """Who was never accepted is reset."""
        self.directory(arm)
        listener, client = self.listener(arm, "s"), self.unix(arm)
        client.connect("s")
        listener.close()
        arm.see(
            await arm.readiness(client), outcome(client.recv, 1), outcome(client.recv, 1), outcome(client.send, b"x")
        )
        arm.see(
            outcome(client.getpeername),
            outcome(client.connect, "s"),
            client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
        )
        return None

    @scenario
    async def test_a_listener_that_is_shut_down(self, arm: Arm) -> Any:
        """Nobody comes any more, and who is in the queue is still accepted."""
        self.directory(arm)
        for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            listener, client = self.listener(arm, f"s{how}"), self.unix(arm)
            client.connect(f"s{how}")
            arm.see(outcome(listener.shutdown, how), outcome(self.unix(arm).connect, f"s{how}"))
            arm.keep(listener.accept()[0])
            arm.see(await arm.readiness(listener), listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))

    @scenario
    async def test_a_listener_that_is_shut_down_and_empty(self, arm: Arm) -> Any:
        """Who would wait there is told EINVAL, who does not that there is nobody."""
        self.directory(arm)
        listener = self.listener(arm, "s")
        listener.shutdown(socket.SHUT_RD)
        arm.see(outcome(listener.accept))
        listener.setblocking(True)
        arm.see(outcome(listener.accept))
        return ["EAGAIN", "EINVAL"]

    @scenario
    async def test_both_directions_and_the_end(self, arm: Arm) -> Any:
        """A connection over a path is like one of socketpair()."""
        self.directory(arm)
        client, server = self.joined(arm, "s")
        arm.see(client.send(b"question"), server.recv(100), server.send(b"answer"), client.recv(3), client.recv(100))
        client.shutdown(socket.SHUT_WR)
        arm.see(server.recv(1), server.send(b"more"), client.recv(10), outcome(client.send, b"x"))
        server.close()
        arm.see(client.recv(1), client.getpeername(), await arm.readiness(client))
        return None

    @scenario
    async def test_close_with_unread_data(self, arm: Arm) -> Any:
        """The peer of who did not read is reset."""
        self.directory(arm)
        client, server = self.joined(arm, "s")
        client.send(b"unread")
        server.close()
        arm.see(outcome(client.send, b"x"), outcome(client.recv, 1), outcome(client.recv, 1))

    @scenario
    async def test_linger_changes_nothing(self, arm: Arm) -> Any:
        """SO_LINGER is for TCP."""
        self.directory(arm)
        client, server = self.joined(arm, "s")
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()
        arm.see(outcome(client.recv, 1))
        return [b""]

    @scenario
    async def test_credentials(self, arm: Arm) -> Any:
        """SO_PEERCRED says which process and user is at the other end; nobody's is -1."""
        self.directory(arm)
        me = os.getpid(), os.getuid(), os.getgid()
        listener = self.listener(arm, "s")
        for sock in (*arm.pair(), *self.joined(arm, "t"), self.unix(arm), self.unix(arm, "b"), listener):
            found = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            arm.see("me" if found == me else found, sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED) == found[0])
        arm.see(outcome(listener.setsockopt, socket.SOL_SOCKET, socket.SO_PEERCRED, bytes(12)))
        return None

    @scenario
    async def test_protocols(self, arm: Arm) -> Any:
        """A UNIX socket has protocol 0, or by its old name 1."""
        for proto in (0, 1, 6, 17):
            try:
                arm.see(arm.keep(socket.socket(socket.AF_UNIX, STREAM, proto)).proto)
            except OSError as error:
                arm.see(errno.errorcode[error.errno])
        return [0, 1, "EPROTONOSUPPORT", "EPROTONOSUPPORT"]


class FileTest(Unix):
    """What the functions of module os say of a socket file."""

    def facts(self, path: Any) -> Any:
        """What stat tells that is the same on two machines."""
        found = os.stat(path)
        return found.st_mode, found.st_size, found.st_nlink, found.st_uid, found.st_gid, found.st_ino > 0

    @scenario
    async def test_stat(self, arm: Arm) -> Any:
        """A socket file is a socket, of this user, as old as its bind, with the permissions that umask leaves."""
        directory = self.directory(arm)
        for mask in (0o022, 0o077):
            before = os.umask(mask)
            self.unix(arm, f"s{mask}")
            os.umask(before)
            arm.see(
                self.facts(f"s{mask}"), self.facts(pathlib.Path(directory, f"s{mask}")), self.facts(b"./s%d" % mask)
            )
        found = os.stat("s18")
        arm.see(found.st_dev == os.stat(".").st_dev, found.st_ino == os.lstat("s18").st_ino != os.stat("s63").st_ino)
        arm.see(
            abs(found.st_mtime - pathlib.Path(".").stat().st_mtime) < 100,
            found.st_mtime_ns // 10**9 == int(found.st_mtime),
        )
        arm.see(found.st_atime == found.st_ctime == found.st_mtime)
        arm.see(outcome(os.stat, "none"), outcome(os.stat, "s18/x"), outcome(os.lstat, "none"))

    @scenario
    async def test_questions(self, arm: Arm) -> Any:
        """os.path and pathlib know what a socket file is."""
        self.directory(arm)
        self.unix(arm, "s")
        os.symlink("s", "link")
        for name in ("s", "link", "none"):
            path = pathlib.Path(name)
            arm.see(
                os.path.exists(name),
                os.path.lexists(name),
                os.path.isfile(name),
                os.path.isdir(name),
                os.path.islink(name),
                path.exists(),
                path.is_socket(),
                path.is_file(),
                os.path.realpath(name)[-1],
            )
        arm.see(os.path.samefile("s", "link"), os.path.getsize("s"), stat.filemode(os.lstat("link").st_mode))

    @scenario
    async def test_unlink(self, arm: Arm) -> Any:
        """The name goes, and can be taken again; a link to it goes alone."""
        self.directory(arm)
        for unlink in (os.unlink, os.remove, lambda name: pathlib.Path(name).unlink()):
            self.unix(arm, "s")
            os.symlink("s", "link")
            arm.see(
                outcome(unlink, "link"),
                os.path.exists("s"),
                outcome(unlink, "s"),
                os.path.exists("s"),
                outcome(unlink, "s"),
            )

    @scenario
    async def test_modes_and_owners(self, arm: Arm) -> Any:
        """chmod, chown and utime change what stat tells."""
        self.directory(arm)
        self.unix(arm, "s")
        pathlib.Path("file").write_text("")
        for call, arguments in ((os.chmod, [0o640]), (os.chown, [-1, -1]), (os.utime, [(1, 2)]), (os.lchown, [-1, -1])):
            arm.see(outcome(call, "file", *arguments))
        arm.see(oct(os.stat("file").st_mode), os.stat("file").st_mtime, os.lstat("file").st_size)
        arm.see(outcome(os.mkdir, "directory"), outcome(os.rmdir, "directory"), outcome(os.unlink, "file"))
        os.chmod("s", 0o600)
        arm.see(self.facts("s"), os.access("s", os.R_OK), os.access("s", os.F_OK), os.access("none", os.F_OK))
        arm.see(os.access("s", os.X_OK))
        pathlib.Path("s").chmod(0o1755)
        arm.see(self.facts("s"), os.access("s", os.X_OK))
        arm.see(outcome(os.chown, "s", -1, -1), outcome(os.chown, "s", os.getuid(), os.getgid()), self.facts("s"))
        arm.see(outcome(os.lchown, "s", -1, -1), outcome(shutil.chown, "s", os.getuid()))
        os.utime("s", (1, 2.5))
        arm.see(os.stat("s").st_atime_ns, os.stat("s").st_mtime)
        os.utime("s", ns=(3, 4))
        arm.see(os.stat("s").st_atime_ns, os.stat("s").st_mtime_ns)
        os.utime("s")
        arm.see(os.stat("s").st_mtime > 1e9, outcome(os.utime, "none"), outcome(os.chmod, "none", 0o600))
        arm.see(outcome(os.chown, "none", -1, -1), outcome(os.lchown, "none", -1, -1))

    @scenario
    async def test_rename(self, arm: Arm) -> Any:
        """A socket moves with its name, over files and other sockets, and a file moves over a socket."""
        self.directory(arm)
        listener = self.listener(arm, "s")
        os.rename("s", "t")
        arm.see(os.path.exists("s"), outcome(self.unix(arm).connect, "t"), listener.getsockname())
        pathlib.Path("file").write_text("content")
        os.replace("t", "file")
        arm.see(pathlib.Path("file").is_socket(), sorted(os.listdir()), outcome(self.unix(arm).connect, "file"))
        self.unix(arm, "other")
        arm.see(outcome(os.rename, "file", "other"), outcome(self.unix(arm).connect, "other"))
        pathlib.Path("file").write_text("content")
        arm.see(outcome(os.rename, "file", "other"), pathlib.Path("other").read_text(), sorted(os.listdir()))
        self.unix(arm, "s")
        os.mkdir("directory")
        arm.see(
            outcome(os.rename, "s", "directory"), outcome(os.rename, "s", "none/s"), outcome(os.rename, "none", "s")
        )
        arm.see(outcome(os.rename, "s", "s"), outcome(shutil.move, "s", "directory"), os.listdir("directory"))

    @scenario
    async def test_opening(self, arm: Arm) -> Any:
        """A socket file cannot be opened."""
        self.directory(arm)
        self.unix(arm, "s")
        arm.see(outcome(open, "s"), outcome(open, "s", "w"), outcome(os.open, "s", os.O_RDONLY))
        arm.see(outcome(os.open, "s", os.O_CREAT | os.O_EXCL | os.O_WRONLY), outcome(pathlib.Path("s").read_bytes))
        arm.see(outcome(os.mkdir, "s"), outcome(os.rmdir, "s"), outcome(os.makedirs, "s"))
        pathlib.Path("file").write_text("text")
        descriptor = os.open("file", os.O_RDONLY)
        arm.see(os.read(descriptor, 10), os.close(descriptor), pathlib.Path("file").read_text(), outcome(open, "none"))

    @scenario
    async def test_directories(self, arm: Arm) -> Any:
        """Directories list socket files, cannot be removed with one in them, and can with all."""
        self.directory(arm)
        os.mkdir("d")
        pathlib.Path("d/file").write_text("")
        self.unix(arm, "d/s")
        os.mkdir("d/e")
        self.unix(arm, "d/e/t")
        arm.see(sorted(os.listdir("d")), sorted(os.listdir(b"d")), sorted(glob.glob("d/*")), os.listdir("d/e"))
        with os.scandir("d") as entries:
            arm.see(
                sorted(
                    (
                        entry.name,
                        entry.path,
                        os.fspath(entry),
                        entry.is_file(),
                        entry.is_dir(),
                        entry.is_symlink(),
                        entry.stat().st_mode,
                        entry.inode() == entry.stat().st_ino,
                    )
                    for entry in entries
                    if entry.name == "s"
                )
            )
        arm.see(sorted(os.walk("d")))
        arm.see(sorted(entry.name for entry in os.scandir(b"d")), outcome(os.rmdir, "d/e"), outcome(os.listdir, "none"))
        arm.see(outcome(os.rmdir, "none"), outcome(os.scandir, "none"), sorted(os.listdir()))
        shutil.rmtree("d")
        arm.see(os.path.exists("d"), os.listdir())

    @scenario
    async def test_relative_to_a_descriptor(self, arm: Arm) -> Any:
        """dir_fd= says which directory a path starts from."""
        self.directory(arm)
        os.mkdir("d")
        self.unix(arm, "d/s")
        here = os.open("d", os.O_RDONLY)
        arm._closing.callback(os.close, here)
        arm.see(stat.S_ISSOCK(os.stat("s", dir_fd=here).st_mode), outcome(lambda: os.stat("d/s", dir_fd=here)))
        arm.see(os.access("s", os.R_OK, dir_fd=here), os.listdir(here), [entry.path for entry in os.scandir(here)])
        os.rename("s", "t", src_dir_fd=here, dst_dir_fd=here)
        os.chmod("t", 0o600, dir_fd=here)
        os.unlink("t", dir_fd=here)
        arm.see(
            os.listdir("d"),
            os.stat in os.supports_dir_fd,
            os.unlink in os.supports_dir_fd,
            os.scandir in os.supports_fd,
        )


class DatagramTest(Unix):
    """The addresses of UNIX datagrams."""

    @scenario
    async def test_names(self, arm: Arm) -> Any:
        """A datagram goes to a path or an abstract name, and brings its sender's along."""
        self.directory(arm)
        for name in ("path", ABSTRACT + "name"):
            server, stranger, client = (self.unix(arm, at, DATAGRAM) for at in (name, None, "client" + name[-4:]))
            for sock in (stranger, client):
                arm.see(sock.sendto(b"hello", name), server.recvfrom(10))
            arm.see(
                outcome(server.sendto, b"back", "client" + name[-4:]),
                client.recvfrom(10) == (b"back", server.getsockname()),
            )
        return None

    @scenario
    async def test_nobody_there(self, arm: Arm) -> Any:
        """What nobody is bound to, or nobody any more, cannot be sent to."""
        self.directory(arm)
        server, client = self.unix(arm, "server", DATAGRAM), self.unix(arm, kind=DATAGRAM)
        self.listener(arm, "stream")
        pathlib.Path("file").write_text("")
        for name in ("none", "none/x", "file", ".", "stream", ABSTRACT + "none", "", "x" * 108, 5):
            arm.see(repr(name)[:6], outcome(client.sendto, b"x", name), outcome(client.connect, name))
        client.connect("server")
        arm.see(client.getpeername(), client.send(b"x"), server.recvfrom(5))
        server.close()
        arm.see(outcome(client.send, b"x"), outcome(client.send, b"x"), outcome(client.connect, "server"))
        os.unlink("server")
        self.unix(arm, "server", DATAGRAM)
        arm.see(outcome(client.connect, "server"), client.send(b"x"))

    @scenario
    async def test_autobind(self, arm: Arm) -> Any:
        """A datagram socket may take any name that is free."""
        one, other = self.unix(arm, "", DATAGRAM), self.unix(arm, kind=DATAGRAM)
        arm.see(len(one.getsockname()), other.sendto(b"x", one.getsockname()), one.recv(5))
        return [(6, 1, b"x")]

    @scenario
    async def test_endpoints(self, arm: Arm) -> Any:
        """asyncio's datagram endpoints take paths, and clear a socket file that is left over."""
        self.directory(arm)
        self.unix(arm, "server", DATAGRAM).close()
        loop = asyncio.get_running_loop()
        got: asyncio.Queue[Any] = asyncio.Queue()

        class Protocol(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, address: Any) -> None:
                got.put_nowait((data, address))

        server, _ = await loop.create_datagram_endpoint(Protocol, local_addr="server", family=socket.AF_UNIX)
        client, _ = await loop.create_datagram_endpoint(
            Protocol, local_addr="client", remote_addr="server", family=socket.AF_UNIX
        )
        client.sendto(b"hello")
        arm.see(await got.get(), server.get_extra_info("sockname"), client.get_extra_info("peername"))
        server.sendto(b"back", "client")
        arm.see(await got.get())
        server.close()
        client.close()
        await arm.calm()


class ServerTest(Unix):
    """asyncio's servers and connections over paths."""

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each line."""
        async for line in reader:
            writer.write(line.upper())
        writer.close()

    @scenario
    async def test_streams(self, arm: Arm) -> Any:
        """start_unix_server and open_unix_connection, over a path of any type and an abstract name."""
        directory = self.directory(arm)
        for path in (
            "path",
            b"bytes",
            pathlib.Path(directory, "pathlib"),
            ABSTRACT + "server",
            ABSTRACT.encode() + b"other",
        ):
            server = arm.keep(await asyncio.start_unix_server(self.echo, path))
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"hello\n")
            writer.write_eof()
            names = [writer.get_extra_info(name) for name in ("peername", "sockname")]
            arm.see(
                await reader.read(),
                names[0] == server.sockets[0].getsockname(),
                names[1],
                writer.get_extra_info("socket").family,
            )
            writer.close()
            await writer.wait_closed()

    @scenario
    async def test_the_file_of_a_server(self, arm: Arm) -> Any:
        """What a server leaves behind is cleared by the next one at the latest; of a live one too, and of no file."""
        self.directory(arm)
        for _ in range(2):
            server = await asyncio.start_unix_server(self.echo, "s")
            arm.see(os.path.exists("s"))
            server.close()
            await server.wait_closed()
            arm.see(os.path.exists("s"))
        live = arm.keep(await asyncio.start_unix_server(self.echo, "s"))
        arm.keep(await asyncio.start_unix_server(self.echo, "s"))
        live.close()
        arm.see(os.path.exists("s"), outcome(self.unix(arm).connect, "s"))
        pathlib.Path("file").write_text("")
        try:
            await asyncio.start_unix_server(self.echo, "file")
        except OSError as error:
            arm.see(errno.errorcode[error.errno], str(error))
        arm.see(await awaited(asyncio.start_unix_server(self.echo, "none/s")))

    @scenario
    async def test_sockets_of_the_program(self, arm: Arm) -> Any:
        """A server on a socket that is bound already, and a connection over one that is connected."""
        self.directory(arm)
        loop = asyncio.get_running_loop()
        arm.keep(await asyncio.start_unix_server(self.echo, sock=self.unix(arm, "s")))
        client = self.unix(arm)
        await loop.sock_connect(client, "s")
        reader, writer = await asyncio.open_unix_connection(sock=client)
        writer.write(b"x\n")
        arm.see(await reader.readline(), writer.write_eof(), await reader.read())
        writer.close()
        for wrong in ({}, {"path": "s", "sock": client}, {"path": "s", "ssl_handshake_timeout": 1}):
            arm.see(
                await awaited(loop.create_unix_connection(asyncio.Protocol, **wrong)),
                await awaited(loop.create_unix_server(asyncio.Protocol, **wrong)),
            )
        return [(b"X\n", None, b""), ("ValueError",) * 2, ("ValueError",) * 2, ("ValueError",) * 2]

    @scenario
    async def test_nobody_listens(self, arm: Arm) -> Any:
        """A connection to a path that nobody has, or has no more."""
        self.directory(arm)
        self.unix(arm, "s").close()
        for path in ("s", "none", ABSTRACT + "none"):
            arm.see(await awaited(asyncio.open_unix_connection(path)))
        return ["ECONNREFUSED", "ENOENT", "ECONNREFUSED"]


class WorldTest(SolipsistTestCase):
    """Who sees a socket file."""

    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.path = os.path.join(self.directory, "s")

    def bound(self):
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.bind(self.path)
        return sock

    async def outside(self, function, *arguments):
        """What a thread outside of the world gets."""
        found = []
        thread = threading.Thread(target=lambda: found.append(function(*arguments)))
        start_outside(thread)
        thread.join()
        return found[0]

    async def test_no_real_file_is_made(self):
        """Nobody outside of the world sees the file: the directory is empty."""
        self.bound()
        self.assertTrue(os.path.exists(self.path))
        self.assertEqual(await self.outside(os.path.exists, self.path), False)
        self.assertEqual(await self.outside(os.listdir, self.directory), [])

    async def test_another_world(self):
        """Two loops do not see each other's files."""
        self.bound()
        other = SolipsistEventLoop()
        self.addCleanup(other.close)
        with sealed(other):
            self.assertFalse(os.path.exists(self.path))
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(self.path)
        self.assertTrue(os.path.exists(self.path))

    async def test_a_real_file_of_the_name(self):
        """A real file that comes later is hidden as long as the socket file is there, and is back then."""
        self.bound()
        await self.outside(pathlib.Path(self.path).write_text, "real")
        self.assertTrue(pathlib.Path(self.path).is_socket())
        self.assertIn(os.path.basename(self.path), os.listdir(self.directory))
        os.unlink(self.path)
        self.assertEqual(pathlib.Path(self.path).read_text(), "real")

    def test_times_follow_the_wall_clock(self):
        """A socket file is as old as the program's time.time() says."""
        with mock.patch("time.time_ns", return_value=12_000_000_034):
            self.bound()
        self.assertEqual((os.stat(self.path).st_mtime_ns, os.stat(self.path).st_mtime), (12_000_000_034, 12.000000034))

    def test_a_blocking_connect_that_would_wait(self):
        """A blocking connect to a listener whose queue is full is refused as a call that waits for ever."""
        listener = self.bound()
        listener.listen(0)
        first, second = (socket.socket(socket.AF_UNIX) for _ in range(2))
        self.addCleanup(first.close)
        self.addCleanup(second.close)
        first.connect(self.path)
        with self.assertRaisesRegex(SolipsismError, "would block"):
            second.connect(self.path)

    def test_what_the_owner_may_not(self):
        """Who is not root may not touch what is not his, and connect only where the mode lets him."""
        self.bound().listen()
        with (
            mock.patch("os.geteuid", return_value=12345),
            mock.patch("os.getgroups", return_value=[]),
            mock.patch("os.getegid", return_value=12345),
        ):
            for call, arguments in ((os.chmod, [0o600]), (os.chown, [1, 1]), (os.utime, [])):
                with self.assertRaises(PermissionError) as caught:
                    call(self.path, *arguments)
                self.assertEqual((caught.exception.errno, caught.exception.filename), (errno.EPERM, self.path))
            with socket.socket(socket.AF_UNIX) as sock, self.assertRaises(PermissionError):
                sock.connect(self.path)
            self.assertEqual([os.access(self.path, how) for how in (os.R_OK, os.W_OK)], [True, False])
            other = self.path + "2"
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(other)
                sock.listen()
                os.chmod(other, 0o700)
                self.assertTrue(os.access(other, os.X_OK))
                os.chown(other, -1, 12345)
                with self.assertRaises(PermissionError):
                    os.chown(other, 0, -1)

    def test_a_directory_that_is_not_writable(self):
        """Without the right to write there nobody binds, unlinks or renames."""
        self.bound()
        with mock.patch("solipsism_unittest.stdlib.files.paths._access", return_value=False):
            for call in (
                lambda: socket.socket(socket.AF_UNIX).bind(self.path + "x"),
                lambda: os.unlink(self.path),
                lambda: os.rename(self.path, self.path + "x"),
            ):
                with warnings.catch_warnings(), self.assertRaises(PermissionError) as caught:
                    warnings.simplefilter("ignore", ResourceWarning)
                    call()
                self.assertEqual(caught.exception.errno, errno.EACCES)
        self.loop.kernel.abandoned.clear()

    def test_names_of_other_types(self):
        """What is no path at all is refused in the real function's words."""
        self.bound()
        for call in (os.stat, os.unlink, os.listdir):
            with self.assertRaisesRegex(TypeError, "float"):
                call(1.5)
        with self.assertRaisesRegex(ValueError, "null"):
            os.stat("a\0b")
        self.assertEqual(os.listdir(), os.listdir("."))
        with os.scandir() as entries, os.scandir(self.directory) as sockets:
            self.assertIsInstance(next(entries).name, str)
            self.assertEqual([repr(entry) for entry in sockets], ["<SocketEntry 's'>"])

    def test_names_run_out(self):
        """When every name of autobind is taken the error is ENOSPC, as Linux's."""
        with mock.patch("solipsism_unittest.kernel.network.unix.MAX_AUTOBOUND", 3):
            socks = [socket.socket(socket.AF_UNIX) for _ in range(3)]
            for sock in socks:
                self.addCleanup(sock.close)
            socks[0].bind("")
            socks[1].bind("")
            with self.assertRaises(OSError) as caught:
                socks[2].bind("")
            self.assertEqual(caught.exception.errno, errno.ENOSPC)
            socks[0].close()
            socks[2].bind("")
            self.assertEqual([sock.getsockname() for sock in socks[1:]], [b"\x0000002", b"\x0000001"])

    def test_in_words(self):
        """Sockets and the name space say their paths."""
        listener = self.bound()
        listener.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.path)
            self.assertIn(f"? > {self.path} established", repr(client))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind("\0name")
            self.assertIn("@name", repr(sock))
        self.assertEqual(repr(self.loop.kernel.paths), "<Paths: 1 socket files, 1 of listeners>")


class FakeServerTest(SolipsistTestCase):
    """start_fake_server(path=)."""

    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = os.path.join(self.directory, "s")

    async def test_a_conversation(self):
        """The code under test connects to the path."""
        for path in (self.path, "\0name", pathlib.Path(self.path + "2"), os.fsencode(self.path) + b"3"):
            server = await self.start_fake_server(path=path)
            self.assertEqual(server.address, os.fspath(path))
            reader, writer = await asyncio.open_unix_connection(server.address)
            peer_reader, peer_writer = await server.accept()
            writer.write(b"hello\n")
            self.assertEqual(await peer_reader.readline(), b"hello\n")
            self.assertEqual(server.received, b"hello\n")
            self.assertIn(repr(os.fspath(path)), repr(server))
            writer.close()
            server.close()
            self.assertEqual(os.listdir(self.directory), [])

    async def test_handlers_and_capacity(self):
        """A handler serves, and the capacity bounds what is under way."""

        async def answer(reader, writer):
            writer.write(await reader.read())
            self.assertRegex(asyncio.current_task().get_name(), "handler 1 of '.*/s'")

        await self.start_fake_server(answer, path=self.path, capacity=10)
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.setblocking(False)
        sock.connect(self.path)
        self.assertEqual(sock.send(bytes(100)), 10)

    async def test_a_path_in_use(self):
        """A path of this world that is in use is EADDRINUSE; a real file is hidden while the server listens."""
        pathlib.Path(self.path).write_text("real")
        server = await self.start_fake_server(path=self.path)
        with self.assertRaises(OSError) as caught:
            await self.start_fake_server(path=self.path)
        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)
        server.refuse()
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_unix_connection(self.path)
        server.close()
        self.assertEqual(pathlib.Path(self.path).read_text(), "real")

    async def test_the_program_took_the_path(self):
        """A socket file that is another's by now is left alone."""
        server = await self.start_fake_server(path=self.path)
        os.unlink(self.path)
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.bind(self.path)
        server.close()
        self.assertTrue(os.path.exists(self.path))


class LeftTest(unittest.TestCase):
    """What a test leaves behind."""

    def test_a_server_that_is_left(self):
        """A UNIX server that a test leaves open is told by its path."""
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "s")

        class Inner(SolipsistTestCase):
            async def test(self):
                self.server = await asyncio.start_unix_server(lambda *pair: None, path)

        result = unittest.TestResult()
        Inner("test").run(result)
        self.assertIn(f"<Server listening on {path}>", result.failures[0][1])


if __name__ == "__main__":
    unittest.main()
