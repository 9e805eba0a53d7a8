"""Tools that block the network: what they put in the place of `socket.socket` or its methods acts on every socket."""

import asyncio
import contextlib
import errno
import socket
import sys
import types
import unittest
from unittest import mock

from solipsism_unittest import SolipsistTestCase, VirtualSocket
from solipsism_unittest.stdlib.sockets.virtual_socket import OwnSocket
from tests.case.test_case import run, told
from tests.contracts.arms import Arm, Contract, awaited, outcome, scenario

SOCKET = socket.socket
HOST = "127.0.0.1"


class BlockedError(RuntimeError):
    """As such a tool raises."""


class BlockedInInit(SOCKET):
    def __init__(self, *args, **kwargs):
        raise BlockedError


class BlockedInNew(SOCKET):
    """Lets UNIX sockets pass, as pytest-socket's does when it is asked to."""

    def __new__(cls, family=-1, type=-1, proto=-1, fileno=None):
        if family == socket.AF_UNIX:
            return super().__new__(cls, family, type, proto, fileno)
        raise BlockedError


class BlockedInConnect(SOCKET):
    """Lets connections to one port pass."""

    allowed = 0

    def connect(self, address):
        if address[1] != self.allowed:
            raise BlockedError(address[0])
        return super().connect(address)


class Counting(SOCKET):
    """Blocks nothing and says what it is asked."""

    calls = []

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls.append("__init__")

    def accept(self):
        self.calls.append("accept")
        return super().accept()

    def send(self, data, flags=0):
        self.calls.append("send")
        return super().send(data, flags)

    def close(self):
        self.calls.append("close")
        super().close()

    @property
    def family(self):
        self.calls.append("family")
        return super().family


def blocked(*args, **kwargs):
    raise BlockedError


class Blockers(Contract):
    """Over TCP, UDP and UNIX sockets."""

    async def echo(self, port):
        """What a server sends back to a new client."""
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"hello\n")
        try:
            return await reader.readline()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def serve(self, arm):
        """A server that sends back one line; its port."""
        async def answer(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        server = arm.keep(await asyncio.start_server(answer, HOST, 0))
        return server.sockets[0].getsockname()[1]

    @scenario
    async def test_classes_that_refuse_to_be_made(self, arm: Arm):
        """A class that raises when it is made, a function or a mock: nothing gets a socket, and later all do."""
        port = await self.serve(arm)
        for blocker in (BlockedInInit, BlockedInNew, blocked, mock.Mock(side_effect=BlockedError)):
            with mock.patch.object(socket, "socket", blocker):
                arm.see(outcome(socket.socket), outcome(socket.create_connection, (HOST, port)),
                        outcome(socket.create_server, (HOST, 0)),
                        await awaited(asyncio.open_connection(HOST, port)),
                        await awaited(asyncio.start_server(print, HOST, 0)),
                        await awaited(asyncio.get_running_loop().create_datagram_endpoint(
                            asyncio.DatagramProtocol, remote_addr=(HOST, port))))
        arm.see(await self.echo(port))
        return [*[("BlockedError",) * 6] * 4, b"hello\n"]

    @scenario
    async def test_one_kind_of_sockets_passes(self, arm: Arm):
        """What such a class lets pass is one of its sockets, and works: UNIX sockets here."""
        path = f"{arm.folder()}/s"
        with mock.patch.object(socket, "socket", BlockedInNew):
            listener = arm.unix()
            listener.bind(path)
            listener.listen()
            client = arm.unix()
            client.connect(path)
            server = await arm.answer(listener)
            for one in (listener, client, server, arm.keep(client.dup())):
                arm.see(isinstance(one, BlockedInNew), type(one).__name__, type(one).__module__)
            client.send(b"hello")
            await arm.readable(server)
            arm.see(server.recv(5), outcome(arm.socket), outcome(arm.pair)[0].family)
            with client.makefile("wb", 0) as file:
                file.write(b"more")
            arm.see(server.recv(5))
        return None

    @scenario
    async def test_an_overridden_connect(self, arm: Arm):
        """A class may look at where a connection goes, and let it go there."""
        port, other = await self.serve(arm), await self.serve(arm)
        BlockedInConnect.allowed = port
        with mock.patch.object(socket, "socket", BlockedInConnect):
            arm.see(await self.echo(port), await awaited(self.echo(other)))
        arm.see(await self.echo(other))
        return [(b"hello\n", "BlockedError"), b"hello\n"]

    @scenario
    async def test_a_guarded_connect(self, arm: Arm):
        """A function in the place of connect() that calls what it has replaced, as pytest-socket's allowed hosts."""
        port, other = await self.serve(arm), await self.serve(arm)
        kept = socket.socket.connect

        def connect(self, address):
            if address[1] != port:
                raise BlockedError
            return kept(self, address)

        socket.socket.connect = connect
        try:
            arm.see(await self.echo(port), await awaited(self.echo(other)))
            sock = arm.socket()
            arm.see(outcome(sock.connect_ex, (HOST, other)) in (0, errno.EINPROGRESS))
            sock.close()
            await arm.calm()
        finally:
            socket.socket.connect = kept
        try:
            arm.see(await self.echo(other))
        finally:
            del socket.socket.connect
        arm.see(await self.echo(other))
        return [(b"hello\n", "BlockedError"), True, b"hello\n", b"hello\n"]

    @scenario
    async def test_guarded_methods(self, arm: Arm):
        """The same for each step of a conversation: what is replaced is asked for, and lets pass."""
        seen = []

        def note(name):
            kept = getattr(socket.socket, name)

            def noted(self, *args, **kwargs):
                seen.append(name)
                return kept(self, *args, **kwargs)

            return mock.patch.object(socket.socket, name, noted)

        names = ("__init__", "accept", "bind", "close", "connect", "getpeername", "getsockname", "getsockopt", "listen",
                 "recv", "send", "setblocking", "setsockopt", "sendto", "recvfrom")
        with contextlib.ExitStack() as stack:
            for name in names:
                stack.enter_context(note(name))
            port = await self.serve(arm)
            arm.see(await self.echo(port))
            one = arm.datagram()
            one.sendto(b"x", one.getsockname())
            await arm.readable(one)
            arm.see(one.recvfrom(5)[0])
        arm.see(sorted(set(seen)) == sorted(names), seen.count("send"), seen.count("connect"), seen.count("bind"))
        return [b"hello\n", b"x", (True, 2, 1, 2)]

    @scenario
    async def test_patches_of_asyncios_steps(self, arm: Arm):
        """A fault that a test injects where asyncio receives, sends, connects or accepts arrives there."""
        port = await self.serve(arm)
        for name, error in (("recv", ConnectionResetError(104, "x")), ("send", BrokenPipeError(32, "x")),
                            ("connect", ConnectionRefusedError(111, "x")), ("setblocking", OSError(9, "x")),
                            ("getpeername", OSError(107, "x"))):
            def fail(self, *args, error=error):
                raise error

            with mock.patch.object(socket.socket, name, fail):
                arm.see(name, await awaited(self.echo(port)))
            await arm.calm()
        return None

    @scenario
    async def test_a_class_that_counts(self, arm: Arm):
        """Each call goes through the class that stands for socket.socket, also of what asyncio makes."""
        Counting.calls.clear()
        with mock.patch.object(socket, "socket", Counting):
            port = await self.serve(arm)
            arm.see(await self.echo(port))
            await arm.calm()
        calls = Counting.calls
        arm.see({name: calls.count(name) for name in ("__init__", "accept", "send")}, "family" in calls,
                "close" in calls)
        return None

    @scenario
    async def test_a_property(self, arm: Arm):
        """A property in the place of one: families and timeouts as a test says."""
        sock = arm.socket()
        with mock.patch.object(socket.socket, "family", 5), mock.patch.object(
                socket.socket, "timeout", mock.PropertyMock(return_value=7.5), create=True):
            arm.see(sock.family, sock.timeout, sock.gettimeout())
        arm.see(sock.family, sock.timeout, socket.socket.type.__get__(sock), socket.socket.proto.__name__)
        return [(5, 7.5, 0.0), (socket.AF_INET, 0.0, socket.SOCK_STREAM, "proto")]


class KeptBeforeTest(unittest.TestCase):
    """A tool that was imported before this package has kept C's own methods."""

    def tool(self, source):
        module = types.ModuleType("tool_of_tests")
        module.__file__ = "tool_of_tests.py"
        from solipsism_unittest.stdlib.sockets.patches import KEPT
        module.before = {ours.__name__: kept for kept, ours in KEPT.items()}
        exec(source, vars(module))
        patch = mock.patch.dict(sys.modules, {"tool_of_tests": module})
        patch.start()
        self.addCleanup(patch.stop)
        return module

    def test_allowed_hosts(self):
        """What it has kept works on virtual sockets, when it lets a call pass and when it puts the method back."""
        tool = self.tool("import socket\n_true_connect = before['connect']\n_init = before['__init__']\ndel before")

        def connect(sock, address):
            if address[0] != HOST:
                raise BlockedError(address[0])
            return tool._true_connect(sock, address)

        def init(sock, *args, **kwargs):
            tool._init(sock, *args, **kwargs)

        class Case(SolipsistTestCase):
            def tearDown(self):
                socket.socket.connect = tool._true_connect

            async def test_it(self):
                server = await self.start_fake_server(port=80)
                socket.socket.connect = connect
                with mock.patch.object(socket.socket, "__init__", init):
                    _, writer = await asyncio.open_connection(HOST, 80)
                    with self.assertRaises(BlockedError):
                        await asyncio.open_connection("1.2.3.4", 80)
                writer.close()
                self.assertEqual(len(server.connections), 1)

            async def test_it_again(self):
                await self.start_fake_server(port=80)
                _, writer = await asyncio.open_connection(HOST, 80)
                writer.close()

        self.addCleanup(lambda: vars(socket.socket).get("connect") and delattr(socket.socket, "connect"))
        result = run(Case)
        self.assertEqual((told(result), result.testsRun), ("", 2))
        with socket.create_server((HOST, 0)) as listener, socket.socket() as sock:
            tool._true_connect(sock, listener.getsockname())
            self.assertEqual(sock.getpeername(), listener.getsockname())

    def test_other_places(self):
        """It may have kept them as attributes of a class, or as default arguments, and what else is there stays."""
        tool = self.tool("""
import socket

class Guard:
    connect = before['connect']
    other = socket.socket.recv

    def check(self, address):
        return self.allowed == address

def connect(sock, address, real=before['connect'], hosts=[]):
    hosts.append(address[0])
    return real(sock, address)

def plain(sock, address=None, words=()):
    pass

DEFAULTS = plain.__defaults__
del before
""")

        class Case(SolipsistTestCase):
            async def test_it(self):
                await self.start_fake_server(port=80)
                for connect in (tool.Guard.connect, tool.connect):
                    with socket.socket() as sock:
                        sock.setblocking(False)
                        with contextlib.suppress(BlockingIOError):
                            connect(sock, (HOST, 80))
                        self.assertEqual(sock.getpeername(), (HOST, 80))

        self.assertEqual(told(run(Case)), "")
        self.assertEqual(tool.connect.__defaults__[1], [HOST])
        self.assertIs(tool.plain.__defaults__, tool.DEFAULTS)
        self.assertIs(tool.Guard.other, socket.socket.recv)

    def test_put_back_outside(self):
        """C's own method, put back while no test runs by somebody whom nobody could serve, hides none of ours."""
        socket.socket.connect = next(kept for kept, ours in self.kept() if ours.__name__ == "connect")

        class Case(SolipsistTestCase):
            async def test_it(self):
                await self.start_fake_server(port=80)
                _, writer = await asyncio.open_connection(HOST, 80)
                writer.close()

        self.addCleanup(lambda: vars(socket.socket).get("connect") and delattr(socket.socket, "connect"))
        self.assertEqual(told(run(Case)), "")

    def kept(self):
        from solipsism_unittest.stdlib.sockets.patches import KEPT
        return KEPT.items()


class OwnSocketsTest(SolipsistTestCase):
    """The framework's own sockets are out of reach."""

    def reached(self):
        """Patch every method of socket.socket with one that notes whose it is; gives the classes, and the patches."""
        kinds, stack = set(), contextlib.ExitStack()

        def note(name):
            kept = getattr(socket.socket, name)

            def noted(self, *args, **kwargs):
                kinds.add((name, type(self)))
                return kept(self, *args, **kwargs)

            stack.enter_context(mock.patch.object(socket.socket, name, noted))

        for name in dir(socket.socket):
            if callable(getattr(socket.socket, name)) and (not name.startswith("_") or name in (
                    "__init__", "__enter__", "__exit__", "_real_close", "_accept", "_decref_socketios")):
                note(name)
        self.addCleanup(stack.close)
        return kinds, stack

    async def test_fake_servers(self):
        """No call of a fake server's sockets reaches a patch, from its start to its end; those of clients do."""
        kinds, stack = self.reached()
        with stack:
            server = await self.start_fake_server(port=80)
            reader, writer = await asyncio.open_connection("localhost", 80)
            writer.write(b"hello\n")
            connection = await server.accept()
            connection.writer.write(await connection.reader.readline())
            self.assertEqual(await reader.readline(), b"hello\n")
            writer.close()
            await writer.wait_closed()
            connection.close()
            await self.settle()
            server.close()
        self.assertIn(("recv", VirtualSocket), kinds)
        self.assertEqual([name for name, kind in kinds if issubclass(kind, OwnSocket)], [])
        self.assertGreater(len(kinds), 8)

    async def test_fake_datagram_servers(self):
        """The same of a fake server of datagrams."""
        kinds, stack = self.reached()
        with stack:
            server = await self.start_fake_datagram_server(lambda data, address: data, port=53)
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(b"hello", ("127.0.0.1", 53))
                self.assertEqual(await self.loop.sock_recv(sock, 9), b"hello")
            server.close()
        self.assertEqual([name for name, kind in kinds if issubclass(kind, OwnSocket)], [])

    async def test_proxies(self):
        """The same of a proxy, also on its way to the target."""
        server = await self.start_fake_server(host="far.test", port=80)
        kinds, stack = self.reached()
        with stack:
            proxy = await self.start_proxy("far.test", 80)
            reader, writer = await proxy.create_client()
            writer.write(b"hello\n")
            connection = await server.accept()
            self.assertEqual(await connection.reader.readline(), b"hello\n")
            connection.close()
            self.assertEqual(await reader.read(), b"")
            writer.close()
            await self.settle()
        self.assertEqual([name for name, kind in kinds if issubclass(kind, OwnSocket)], [])
        client = socket.create_connection((proxy.host, proxy.port))
        with mock.patch.object(socket, "socket", BlockedInInit):
            await server.accept()
        client.close()

    async def test_blocked_classes(self):
        """A fake server starts and serves although nobody may make sockets."""
        server = await self.start_fake_server(port=80)
        client = socket.create_connection(("localhost", 80))
        client.setblocking(False)
        with mock.patch.object(socket, "socket", BlockedInInit):
            other = await self.start_fake_server(port=81)
            connection = await server.accept()
            connection.writer.write(b"x")
            self.assertEqual(await self.loop.sock_recv(client, 5), b"x")
            await self.start_fake_datagram_server(port=53)
            await self.stream_pairs()
            other.close()
        client.close()
