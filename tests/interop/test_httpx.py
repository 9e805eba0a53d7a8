"""httpx and uvicorn on the virtual loop: a client and an ASGI server in one program.

uvicorn's `Server.serve()` runs as it is: it takes Ctrl-C and SIGTERM with `signal.signal()`, for the time that it
serves, and needs neither `loop.add_signal_handler()` nor a thread.
"""

import asyncio
import os
import select
import signal
import socket
import tempfile
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told
from tests.interop import library, needs

if library("httpx"):
    import httpx
if library("uvicorn"):
    import uvicorn

BIG = bytes(range(256)) * 40_960  # 10 MB


async def application(scope, receive, send):
    """An ASGI application that sends back what it gets; /think takes 30 seconds, /hang a day."""
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
        return
    message = await receive()
    body = [message["body"]]
    while message["more_body"]:
        message = await receive()
        body.append(message["body"])
    await asyncio.sleep({"/think": 30, "/hang": 86_400}.get(scope["path"], 0))
    headers = [(b"client", "{}:{}".format(*(scope["client"] or ("", 0))).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"".join(body)})


class _Serving(SolipsistTestCase):
    def server(self, **options):
        return uvicorn.Server(uvicorn.Config(application, port=8000, log_config=None, **options))

    async def serve(self, server, sockets=None):
        """Run a server beside the test until its end."""
        serving = asyncio.create_task(server.serve(sockets))
        self.addAsyncCleanup(self.stop, server, serving)
        while not server.started:
            await asyncio.sleep(0.1)

    async def stop(self, server, serving):
        server.should_exit = True
        await serving


@needs("httpx", "uvicorn")
class HttpxAndUvicornTest(_Serving):
    async def test_get_and_post(self):
        """A GET and a POST are answered, and the server's handlers of signals are gone with it."""
        before = signal.getsignal(signal.SIGINT)
        server = self.server()
        serving = asyncio.create_task(server.serve())
        await self.advance(1)
        async with httpx.AsyncClient(base_url="http://localhost:8000") as client:
            self.assertEqual((await client.get("/")).status_code, 200)
            self.assertEqual((await client.post("/", content=b"bytes")).content, b"bytes")
        await self.stop(server, serving)
        self.assertEqual(signal.getsignal(signal.SIGINT), before)

    async def test_an_idle_connection(self):
        """A connection is used again as long as httpcore finds nothing to read on it, and not after the server left."""
        await self.serve(self.server(timeout_keep_alive=3))
        clients = []
        async with httpx.AsyncClient(base_url="http://127.0.0.1:8000", limits=httpx.Limits()) as client:
            for pause in (2, 4, 0):
                clients.append((await client.get("/")).headers["client"])
                await self.advance(pause)
        self.assertEqual(clients[0], clients[1])
        self.assertNotEqual(clients[1], clients[2])

    async def test_ten_megabytes(self):
        """10 MB come back byte for byte, and take no virtual time."""
        await self.serve(self.server())
        async with httpx.AsyncClient(base_url="http://127.0.0.1:8000") as client:
            with self.assertElapses(0):
                self.assertEqual((await client.post("/", content=BIG)).content, BIG)

    async def test_a_request_times_out(self):
        """A request without an answer ends after the 300 seconds that the client was given."""
        self.enterContext(self.assertLogs("uvicorn.error"))  # it tells what it cancels at the end
        await self.serve(self.server(timeout_graceful_shutdown=5))
        async with httpx.AsyncClient(base_url="http://127.0.0.1:8000", timeout=300) as client:
            with self.assertElapses(300), self.assertRaises(httpx.ReadTimeout):
                await client.get("/hang")

    async def test_a_socket_bound_before(self):
        """What `config.bind_socket()` gives is served from."""
        server = self.server()
        await self.serve(server, [server.config.bind_socket()])
        async with httpx.AsyncClient() as client:
            self.assertEqual((await client.post("http://127.0.0.1:8000/", content=b"bytes")).content, b"bytes")

    async def test_a_socket_file(self):
        """A server on a UNIX path answers a client of that path."""
        path = "/tmp/solipsism-uvicorn.sock"
        await self.serve(self.server(uds=path))
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=path)) as client:
            self.assertEqual((await client.post("http://anything/", content=b"bytes")).content, b"bytes")

    async def test_stopping(self):
        """A server that is stopped answers the request that it is at."""
        server = self.server()
        serving = asyncio.create_task(server.serve())
        await self.advance(1)
        async with httpx.AsyncClient(timeout=60) as client:
            request = asyncio.create_task(client.get("http://127.0.0.1:8000/think"))
            await self.advance(10)
            await self.stop(server, serving)
            self.assertEqual((await request).status_code, 200)
        self.assertTrue(31 <= self.now < 32, self.now)

    async def test_errors(self):
        """A refused connection, an unknown name and an address that never answers are httpx's errors."""
        self.network.fail_lookup("nowhere.test")
        self.network.drop("far.test")
        async with httpx.AsyncClient(timeout=9) as client:
            for url in ("http://127.0.0.1:8000/", "http://nowhere.test/"):
                with self.assertElapses(0), self.assertRaises(httpx.ConnectError):
                    await client.get(url)
            with self.assertElapses(9), self.assertRaises(httpx.ConnectTimeout):
                await client.get("http://far.test/")


@needs("httpx", "uvicorn")
class LeftBehindTest(unittest.TestCase):
    def test_a_client_and_a_server_that_go_on(self):
        """A client that is never closed and a server that is never stopped are told, each with a line of the test."""

        class Case(_Serving):
            async def test(self):
                self.serving = asyncio.create_task(self.server().serve())
                await asyncio.sleep(1)
                self.client = httpx.AsyncClient()
                await self.client.get("http://127.0.0.1:8000/")

        before = signal.getsignal(signal.SIGINT)
        text = told(run(Case))
        self.assertIn("the test left 6 things behind", text)
        self.assertRegex(text, r"2 pending tasks\n +\S+ \(Server.serve\) [^\n]+\n +made at tests.interop.test_httpx.py")
        self.assertRegex(text, r"1 open server\n +<Server listening on 127.0.0.1:8000>")
        self.assertRegex(text, r"> 127.0.0.1:8000 established>\n.*anyio.* called from tests.interop.test_httpx.py")
        self.assertEqual(signal.getsignal(signal.SIGINT), before)


class HttpxAndUvicornTwinTest(SolipsistTestCase):
    """What httpcore asks of an idle connection (_utils.py), and uvicorn of its sockets (config.py, server.py)."""

    def is_readable(self, sock):
        """httpcore's question before it uses a connection again."""
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def serve(self, make_protocol, sock):
        server = await asyncio.get_running_loop().create_server(make_protocol, sock=sock, backlog=2048)
        self.addCleanup(server.close)
        return server

    async def test_an_idle_connection(self):
        """Nothing can be read from an idle connection until the server says something, or leaves."""
        accepted = asyncio.Queue()
        listener = socket.create_server(("127.0.0.1", 0))

        class Server(asyncio.Protocol):
            def connection_made(self, transport):
                accepted.put_nowait(transport)

        await self.serve(Server, listener)
        for act in (lambda transport: transport.write(b"?"), lambda transport: transport.abort()):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.transport.pause_reading()
            transport = await accepted.get()
            sock = writer.get_extra_info("socket")
            self.assertFalse(self.is_readable(sock))
            act(transport)
            while not self.is_readable(sock):
                await asyncio.sleep(0)
            writer.close()
            await writer.wait_closed()
            transport.abort()

    async def test_a_socket_bound_before(self):
        """A socket that is bound to an address and handed over is listened on, and its server tells it."""
        sock = socket.socket(family=socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        sock.set_inheritable(True)
        self.assertTrue(sock.get_inheritable())
        self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), 0)
        server = await self.serve(asyncio.Protocol, sock)
        self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), 1)
        self.assertEqual([each.getsockname() for each in server.sockets], [sock.getsockname()])
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        peer = writer.get_extra_info("socket")
        self.assertEqual((peer.getpeername(), peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)),
                         (sock.getsockname(), 0))
        writer.close()
        await writer.wait_closed()

    async def test_a_port_that_is_taken(self):
        """A second server at the same address is refused, SO_REUSEADDR or not."""
        first = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(first.close)
        with self.assertRaisesRegex(OSError, "address already in use"):
            await asyncio.get_running_loop().create_server(asyncio.Protocol, *first.getsockname())

    async def test_the_mode_of_a_socket_file(self):
        """A path that a server is bound to is there, and keeps the mode that it is given."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            self.assertFalse(os.path.exists(path))
            server = await asyncio.get_running_loop().create_unix_server(asyncio.Protocol, path=path, backlog=2048)
            os.chmod(path, 0o666)
            self.assertTrue(os.path.exists(path))
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o666)
            [sock] = server.sockets
            self.assertEqual(sock.getsockname(), path)
            server.close()
            await server.wait_closed()
            if os.path.exists(path):  # before Python 3.13 nobody takes it away
                os.unlink(path)


class HttpxAndUvicornTwinOnLoopbackTest(HttpxAndUvicornTwinTest):
    """The same on the real loopback."""

    loop_factory = asyncio.SelectorEventLoop
