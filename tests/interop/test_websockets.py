"""websockets on the virtual loop: client and server, over TCP and socket files, and its timeouts."""

import asyncio
import os
import socket
import tempfile
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told
from tests.interop import library, needs

if library("websockets"):
    from websockets.asyncio.client import connect, unix_connect
    from websockets.asyncio.server import serve, unix_serve
    from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

BIG = bytes(range(256)) * 40_960  # 10 MB


async def echo(connection):
    async for message in connection:
        await connection.send(message)


@needs("websockets")
class WebsocketsTest(SolipsistTestCase):
    async def test_messages(self):
        """Text and bytes come back, and both sides know each other's address."""
        async with serve(echo, "localhost", 8765) as server, connect("ws://localhost:8765") as connection:
            self.assertIn(connection.remote_address, [sock.getsockname() for sock in server.sockets])
            self.assertEqual([each.remote_address for each in server.connections], [connection.local_address])
            for message in ("text", b"bytes"):
                await connection.send(message)
                self.assertEqual(await connection.recv(), message)

    async def test_ten_megabytes(self):
        """10 MB come back byte for byte, and take no virtual time."""
        server, client = serve(echo, "localhost", 8765, max_size=None), connect("ws://localhost:8765", max_size=None)
        async with server, client as connection:
            with self.assertElapses(0):
                await connection.send(BIG)
                self.assertEqual(await connection.recv(), BIG)

    async def test_a_day_of_silence(self):
        """Pings keep a connection alive on which nobody says a word for a day."""
        async with serve(echo, "localhost", 8765), connect("ws://localhost:8765") as connection:
            await self.advance(86_400)
            await connection.send("good morning")
            self.assertEqual(await connection.recv(), "good morning")

    async def test_a_peer_that_does_not_answer(self):
        """A peer that is silent is pinged after 20 seconds, given up after 20 more, and left after another 10."""
        async def freeze(connection):
            connection.transport.pause_reading()
            await connection.wait_closed()

        async with serve(freeze, "localhost", 8765, ping_interval=None):
            async with connect("ws://localhost:8765") as connection:
                with self.assertElapses(50), self.assertRaises(ConnectionClosedError) as caught:
                    await connection.recv()
            self.assertEqual(caught.exception.sent.reason, "keepalive ping timeout")

    async def test_closing(self):
        """A server that closes says why, and the client's next message is refused."""
        async def leave(connection):
            await connection.close(1001, "good bye")

        async with serve(leave, "localhost", 8765), connect("ws://localhost:8765") as connection:
            with self.assertRaises(ConnectionClosedOK) as caught:
                await connection.recv()
            self.assertEqual((caught.exception.rcvd.code, caught.exception.rcvd.reason), (1001, "good bye"))

    async def test_no_answer_to_the_handshake(self):
        """A server that takes the connection and says nothing costs the ten seconds of open_timeout."""
        await self.start_fake_server(None, "api.test", 80)
        with self.assertElapses(10), self.assertRaises(TimeoutError):
            await connect("ws://api.test/")

    async def test_reconnecting(self):
        """`async for` over connect() tries again, with pauses, until there is a server."""
        async def start():
            await asyncio.sleep(60)
            await self.enterAsyncContext(serve(echo, "localhost", 8765))

        starting = asyncio.create_task(start())
        async for connection in connect("ws://localhost:8765"):
            async with connection:
                await connection.send("at last")
                self.assertEqual(await connection.recv(), "at last")
            break
        await starting
        self.assertGreaterEqual(self.now, 60)

    async def test_a_socket_file(self):
        """The same over a UNIX path."""
        path = "/tmp/solipsism-websockets.sock"
        async with unix_serve(echo, path), unix_connect(path) as connection:
            await connection.send("hello")
            self.assertEqual(await connection.recv(), "hello")

    async def test_a_socket_of_ones_own(self):
        """A server and a client over sockets that the program made."""
        listener = socket.create_server(("127.0.0.1", 0))
        async with serve(echo, sock=listener):
            sock = socket.socket()
            sock.setblocking(False)
            await self.loop.sock_connect(sock, listener.getsockname())
            async with connect("ws://anything/", sock=sock) as connection:
                await connection.send("hello")
                self.assertEqual(await connection.recv(), "hello")


@needs("websockets")
class LeftBehindTest(unittest.TestCase):
    def test_a_server_that_is_not_closed(self):
        """A server that is never closed fails its test, and the line of the test that started it is told."""

        class Case(SolipsistTestCase):
            async def test(self):
                self.server = await serve(echo, "127.0.0.1", 8765)

        result = run(Case)
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0), told(result))
        self.assertRegex(told(result), r"1 open server\n +<Server listening on 127.0.0.1:8765>\n"
                                       r" +made at \S+websockets\S+ in \S+, called from .*test_websockets.py:\d+ in ")


class WebsocketsTwinTest(SolipsistTestCase):
    """What websockets asks of servers, transports and sockets: asyncio/server.py and asyncio/connection.py."""

    def setUp(self):
        self.accepted = asyncio.Queue()
        self.lost = asyncio.Queue()

    def protocol(self):
        case = self

        class Peer(asyncio.Protocol):
            def connection_made(self, transport):
                case.accepted.put_nowait(transport)

            def data_received(self, data):
                case.accepted.put_nowait(data)

            def eof_received(self):
                case.accepted.put_nowait("eof")

            def connection_lost(self, error):
                case.lost.put_nowait(error)

        return Peer()

    async def connect(self, *args, **options):
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *args, **options)
        self.addCleanup(transport.abort)
        return transport

    async def test_a_server(self):
        """A server serves from when it is told to, on every address of its name, until it is closed."""
        server = await asyncio.get_running_loop().create_server(self.protocol, "127.0.0.1", 0, start_serving=False)
        self.assertFalse(server.is_serving())
        await server.start_serving()
        self.assertTrue(server.is_serving())
        [address] = [sock.getsockname() for sock in server.sockets]
        transport = await self.connect(*address)
        other = await self.accepted.get()
        self.assertEqual(transport.get_extra_info("peername"), address)
        self.assertEqual(other.get_extra_info("sockname"), address)
        self.assertEqual(other.get_extra_info("peername"), transport.get_extra_info("sockname"))
        server.close()
        self.assertEqual((server.is_serving(), list(server.sockets)), (False, []))
        other.close()
        await server.wait_closed()

    async def test_closing_in_turns(self):
        """One side ends its stream, the other still answers and closes: TCP's half-close, as in RFC 6455, 7.1.1."""
        listener = socket.create_server(("127.0.0.1", 0))
        server = await asyncio.get_running_loop().create_server(self.protocol, sock=listener)
        self.addCleanup(server.close)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        other = await self.accepted.get()
        self.assertTrue(writer.can_write_eof())
        writer.write(b"last words")
        writer.write_eof()
        self.assertEqual(await self.accepted.get(), b"last words")
        self.assertEqual(await self.accepted.get(), "eof")
        self.assertEqual(await reader.read(), b"")
        self.assertIsNone(await self.lost.get())
        self.assertTrue(other.is_closing())
        writer.close()
        await writer.wait_closed()

    async def test_abort(self):
        """A transport that is aborted drops what it has not sent, and the other side sees the end."""
        listener = socket.create_server(("127.0.0.1", 0))
        server = await asyncio.get_running_loop().create_server(self.protocol, sock=listener)
        self.addCleanup(server.close)
        transport = await self.connect(*listener.getsockname())
        await self.accepted.get()
        transport.abort()
        self.assertEqual(await self.accepted.get(), "eof")
        self.assertIsNone(await self.lost.get())

    async def test_a_socket_file(self):
        """A server on a path tells it, its clients have no name, and a second server finds the path taken."""
        loop = asyncio.get_running_loop()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            server = await loop.create_unix_server(self.protocol, path)
            self.assertEqual([sock.getsockname() for sock in server.sockets], [path])
            transport, _ = await loop.create_unix_connection(asyncio.Protocol, path)
            self.assertEqual([transport.get_extra_info(name) for name in ("peername", "sockname")], [path, ""])
            transport.close()
            await self.lost.get()
            server.close()
            await server.wait_closed()
            if os.path.exists(path):  # before Python 3.13 nobody takes it away
                os.unlink(path)


class WebsocketsTwinOnLoopbackTest(WebsocketsTwinTest):
    """The same on the real loopback."""

    loop_factory = asyncio.SelectorEventLoop
