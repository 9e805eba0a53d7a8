"""aiohttp on the virtual loop: its client, its server, its websockets and its own test tools."""

import asyncio
import errno
import gc
import io
import socket
import unittest
import warnings

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told
from tests.interop import library, needs

if library("aiohttp"):
    import aiohttp
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

BIG = bytes(range(256)) * 40_960  # 10 MB


async def greet(request):
    return web.Response(text=f"hello, {request.query['name']}")


async def echo(request):
    return web.Response(body=await request.read())


async def where(request):
    return web.json_response(request.transport.get_extra_info("peername"))


async def think(request):
    await asyncio.sleep(30)
    return web.Response(text="done")


async def hang(request):
    await asyncio.sleep(86_400)


async def shout(request):
    channel = web.WebSocketResponse(heartbeat=30)
    await channel.prepare(request)
    async for message in channel:
        await channel.send_str(message.data.upper())
    return channel


def application():
    app = web.Application(client_max_size=len(BIG))
    app.add_routes([web.get("/", greet), web.post("/", echo), web.get("/where", where),
                    web.get("/think", think), web.get("/hang", hang), web.get("/shout", shout)])
    return app


@needs("aiohttp")
class ServerTest(SolipsistTestCase):
    """A program that starts its server as it does in production, and clients that connect to it."""

    async def serve(self, make_site, *args, **options):
        runner = web.AppRunner(application(), **options)
        await runner.setup()
        self.addAsyncCleanup(runner.cleanup)
        await make_site(runner, *args).start()
        return runner

    async def session(self, **options):
        return await self.enterAsyncContext(aiohttp.ClientSession(**options))

    async def test_get_and_post(self):
        """A GET and a POST come back, and the site tells its address."""
        runner = await self.serve(web.TCPSite, "127.0.0.1", 8080)
        session = await self.session()
        async with session.get("http://localhost:8080/?name=world") as response:
            self.assertEqual((response.status, await response.text()), (200, "hello, world"))
        async with session.post("http://127.0.0.1:8080/", data=b"bytes") as response:
            self.assertEqual((response.status, await response.read()), (200, b"bytes"))
        self.assertEqual(runner.addresses, [("127.0.0.1", 8080)])

    async def test_keep_alive(self):
        """A connection is used again within the 15 seconds for which the client keeps it, and not after them."""
        await self.serve(web.TCPSite, "127.0.0.1", 8080)
        session, ports = await self.session(), []
        for pause in (14, 16, 0):
            async with session.get("http://127.0.0.1:8080/where") as response:
                ports.append((await response.json())[1])
            await self.advance(pause)
        self.assertEqual(ports[0], ports[1])
        self.assertNotEqual(ports[1], ports[2])

    async def test_every_address(self):
        """A site on all addresses answers over IPv4 and IPv6."""
        await self.serve(web.TCPSite, None, 8080)
        session = await self.session()
        for host in ("127.0.0.1", "[::1]", "localhost"):
            async with session.get(f"http://{host}:8080/?name=me") as response:
                self.assertEqual(await response.text(), "hello, me")

    async def test_a_socket_file(self):
        """A site on a UNIX path answers a UnixConnector."""
        await self.serve(web.UnixSite, "/tmp/solipsism-aiohttp.sock")
        session = await self.session(connector=aiohttp.UnixConnector("/tmp/solipsism-aiohttp.sock"))
        async with session.post("http://anything/", data=b"bytes") as response:
            self.assertEqual(await response.read(), b"bytes")

    async def test_a_socket_factory(self):
        """aiohttp's own test tools work as they are, and with a factory of sockets; what is not there is a 404."""
        def bound(host, port, family):
            listener = socket.socket(family)
            listener.bind((host, port))
            return listener

        for options in ({}, {"socket_factory": bound}):
            async with TestServer(web.Application(), **options) as server, TestClient(server) as client:
                response = await client.post("/hey", json={})
                self.assertEqual(response.status, 404)

    async def test_stopping(self):
        """A server that is stopped answers the request that it is at."""
        runner = await self.serve(web.TCPSite, "127.0.0.1", 8080)
        session = await self.session()
        request = asyncio.create_task(session.get("http://127.0.0.1:8080/think"))
        await self.advance(10)
        with self.assertElapses(20):
            await runner.cleanup()
        self.assertEqual(await (await request).text(), "done")


@needs("aiohttp")
class ToolsTest(SolipsistTestCase):
    """aiohttp's own TestServer and TestClient."""

    async def asyncSetUp(self):
        self.client = await self.enterAsyncContext(TestClient(TestServer(application())))

    async def test_get(self):
        """A GET is answered."""
        response = await self.client.get("/", params={"name": "world"})
        self.assertEqual(await response.text(), "hello, world")

    async def test_ten_megabytes(self):
        """10 MB come back byte for byte, and take no virtual time."""
        with self.assertElapses(0):
            response = await self.client.post("/", data=io.BytesIO(BIG))
            self.assertEqual(await response.read(), BIG)

    async def test_a_request_times_out(self):
        """A request without an answer ends after aiohttp's own default of 300 seconds."""
        with self.assertElapses(300), self.assertRaises(asyncio.TimeoutError):
            await self.client.get("/hang")

    async def test_a_websocket(self):
        """Messages go both ways over a websocket, an hour of heartbeats apart."""
        async with self.client.ws_connect("/shout") as channel:
            answer = asyncio.create_task(channel.receive_str())
            await self.advance(3600)
            await channel.send_str("still there")
            self.assertEqual(await answer, "STILL THERE")

    async def test_a_websocket_that_does_not_answer(self):
        """A peer that answers no heartbeat is dropped by the server, half a period after it was asked."""
        async with self.client.ws_connect("/shout", autoping=False) as channel:
            with self.assertElapses(30):
                self.assertEqual((await channel.receive()).type, aiohttp.WSMsgType.PING)
            with self.assertElapses(15):
                self.assertEqual((await channel.receive()).type, aiohttp.WSMsgType.CLOSED)


@needs("aiohttp")
class ClientTest(SolipsistTestCase):
    """aiohttp's client, and servers that the test plays."""

    async def asyncSetUp(self):
        self.session = await self.enterAsyncContext(aiohttp.ClientSession())

    async def test_a_scripted_server(self):
        """A server on any name is found through the resolver, and what it sends byte by byte is put together."""

        async def answer(reader, writer):
            self.assertIn(b"Host: api.test\r\n", await reader.readuntil(b"\r\n\r\n"))
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":
                await asyncio.sleep(1)
                writer.write(bytes([byte]))

        await self.start_fake_server(answer, "api.test", 80)
        async with self.session.get("http://api.test/") as response:
            self.assertEqual(await response.text(), "ok")
        self.assertNow(40)

    async def test_nobody_listens(self):
        """A port where nobody listens is aiohttp's error of a refused connection."""
        with self.assertRaises(aiohttp.ClientConnectorError) as caught:
            await self.session.get("http://127.0.0.1:8080/")
        self.assertEqual(caught.exception.errno, errno.ECONNREFUSED)

    async def test_an_unknown_name(self):
        """A name that nobody knows is aiohttp's error of the resolver."""
        self.network.fail_lookup("nowhere.test")
        with self.assertRaises(aiohttp.ClientConnectorDNSError):
            await self.session.get("http://nowhere.test/")

    async def test_a_black_hole(self):
        """An address that never answers is passed over after the quarter of a second of happy eyeballs."""
        self.network.add_host("api.test", "2001:db8::1", "192.0.2.1")
        self.network.drop("2001:db8::1")
        server = await self.start_fake_server(None, "192.0.2.1", 80)
        request = asyncio.create_task(self.session.get("http://api.test/"))
        with self.assertElapses(0.25):
            _, writer = await server.accept()
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.assertEqual((await request).status, 204)

    async def test_it_does_not_connect_in_time(self):
        """An address that never answers, with no other, is a timeout after aiohttp's own default of 30 seconds."""
        self.network.add_host("api.test", "192.0.2.1")
        self.network.drop("api.test")
        with self.assertElapses(30), self.assertRaises(aiohttp.ConnectionTimeoutError):
            await self.session.get("http://api.test/")


@needs("aiohttp")
class LeftBehindTest(unittest.TestCase):
    def test_a_session_that_is_not_closed(self):
        """A session that is never closed fails its test, and the line of the test that used it is told."""

        sessions = []

        async def answer(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

        class Case(SolipsistTestCase):
            async def test(self):
                await self.start_fake_server(answer, "api.test", 80)
                sessions.append(aiohttp.ClientSession())
                await sessions[0].get("http://api.test/")

        with warnings.catch_warnings(), self.assertLogs("asyncio"):  # aiohttp itself complains, in both ways
            warnings.simplefilter("ignore", ResourceWarning)
            result = run(Case)
            sessions.clear()
            gc.collect()
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0), told(result))
        self.assertIn("  1 open transport\n", told(result))  # and the timer by which aiohttp would have closed it
        self.assertRegex(told(result), r"made at \S+aiohttp\S+ in \S+, called from .*test_aiohttp.py:\d+ in ")


class AiohttpTwinTest(SolipsistTestCase):
    """What aiohttp asks of sockets: TestServer and SockSite, connector.py, tcp_helpers.py."""

    async def serve(self, make_protocol):
        """As TestServer: a socket of its own, bound before the server is made."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        address = sock.getsockname()
        server = await asyncio.get_running_loop().create_server(make_protocol, sock=sock, backlog=128)
        self.addCleanup(server.close)
        self.assertEqual([each.getsockname() for each in server.sockets], [address])
        return server, address

    async def connect(self, make_protocol, address):
        """As the connector: look up, connect a socket of its own, and hand it over."""
        loop = asyncio.get_running_loop()
        [(family, kind, proto, _, found)] = await loop.getaddrinfo(
            *address, type=socket.SOCK_STREAM, family=socket.AF_INET, flags=socket.AI_ADDRCONFIG)
        sock = socket.socket(family=family, type=kind, proto=proto)
        sock.setblocking(False)
        await loop.sock_connect(sock, found)
        transport, protocol = await loop.create_connection(make_protocol, sock=sock)
        self.addCleanup(transport.abort)
        return transport, protocol

    async def test_what_a_transport_tells(self):
        """A transport over a socket of one's own tells its names and its socket, which takes and keeps options."""
        _, address = await self.serve(asyncio.Protocol)
        transport, _ = await self.connect(asyncio.Protocol, address)
        sock = transport.get_extra_info("socket")
        self.assertEqual((sock.family, sock.type), (socket.AF_INET, socket.SOCK_STREAM))
        self.assertEqual(transport.get_extra_info("peername"), address)
        self.assertEqual(transport.get_extra_info("sockname"), sock.getsockname())
        self.assertIsNone(transport.get_extra_info("sslcontext"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.assertEqual([sock.getsockopt(*option) for option in (
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, socket.TCP_NODELAY),
            (socket.SOL_SOCKET, socket.SO_ERROR))], [1, 1, 0])

    async def test_ten_megabytes(self):
        """A body of 10 MB goes to the server and back through flow control in both directions."""
        class Echo(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport = transport

            def data_received(self, data):
                self.transport.write(data)

        _, address = await self.serve(Echo)
        sock = socket.socket()
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
        reader, writer = await asyncio.open_connection(sock=sock)
        back = asyncio.create_task(reader.readexactly(len(BIG)))
        for start in range(0, len(BIG), 1 << 16):
            writer.write(BIG[start:start + (1 << 16)])
            await writer.drain()
        self.assertEqual(await back, BIG)
        writer.close()
        await writer.wait_closed()

    async def test_nobody_listens(self):
        """sock_connect() to a port where nobody listens is refused, and the socket is closed without a word."""
        server, address = await self.serve(asyncio.Protocol)
        server.close()
        await server.wait_closed()
        with socket.socket() as sock:
            sock.setblocking(False)
            with self.assertRaises(ConnectionRefusedError):
                await asyncio.get_running_loop().sock_connect(sock, address)
        self.assertEqual((sock.fileno(), list(server.sockets)), (-1, []))

    async def test_a_server_that_stops(self):
        """A server that closes its connections ends the client's transport, once and without an error."""
        accepted, lost = asyncio.Queue(), asyncio.Queue()

        class Server(asyncio.Protocol):
            def connection_made(self, transport):
                accepted.put_nowait(transport)

        class Client(asyncio.Protocol):
            def connection_lost(self, error):
                lost.put_nowait(error)

        server, address = await self.serve(Server)
        transport, _ = await self.connect(Client, address)
        server.close()
        (await accepted.get()).close()
        self.assertIsNone(await lost.get())
        self.assertTrue(transport.is_closing())


class AiohttpTwinOnLoopbackTest(AiohttpTwinTest):
    """The same on the real loopback."""

    loop_factory = asyncio.SelectorEventLoop
