"""Clean programs against the fake servers, pairs and conveniences that a test case offers."""

import asyncio
import errno
import tempfile

from solipsism_unittest import FakeServer, SolipsistTestCase, VirtualSocket, socketpair, stream_pairs
from tests.clean.test_streams import tls_contexts


class FakeServerTest(SolipsistTestCase):
    async def test_a_handler_that_leaves_its_writer_open(self):
        """A fake server's connections are closed for the test, whatever its handler does."""

        async def greet(reader, writer):
            writer.write(b"hello\n")

        server = await self.start_fake_server(greet, "greeter.test", 80)
        reader, writer = await asyncio.open_connection(*server.address)
        self.assertEqual(await reader.readline(), b"hello\n")
        writer.close()

    async def test_a_handler_that_never_ends(self):
        """A handler that waits for ever is ended with its server."""

        async def wait(reader, writer):
            await asyncio.Event().wait()

        server = await self.start_fake_server(wait)
        _, writer = await asyncio.open_connection(*server.address)
        await self.settle()
        self.assertEqual(len(server.connections), 1)
        writer.close()

    async def test_a_handler_with_a_long_farewell(self):
        """A handler may take its time in `finally`."""
        farewell = []

        async def polite(reader, writer):
            try:
                await reader.read()
            finally:
                await asyncio.sleep(30)
                farewell.append("goodbye")

        async def look():
            self.assertEqual(farewell, ["goodbye"])

        self.addAsyncCleanup(look)
        server = await self.start_fake_server(polite, "polite.test", 1)
        _, writer = await asyncio.open_connection("polite.test", 1)
        await self.settle()
        writer.close()
        self.assertEqual(repr(server), "<FakeServer polite.test:1, 1 connection, 0 bytes received>")

    async def test_a_server_without_a_handler(self):
        """What a client sends is kept, read or not."""
        server = await self.start_fake_server(host="sink.test")
        for data in (b"one ", b"two"):
            _, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(data)
            writer.close()
            await writer.wait_closed()
        await self.settle()
        self.assertEqual((server.received, len(server.connections)), (b"one two", 2))

    async def test_a_server_played_by_hand(self):
        """The test accepts and speaks itself."""
        server = await self.start_fake_server(host="manual.test", port=21)
        connecting = asyncio.create_task(asyncio.open_connection("manual.test", 21))
        near_reader, near_writer = await server.accept()
        near_writer.write(b"220 ready\r\n")
        reader, writer = await connecting
        self.assertEqual(await reader.readline(), b"220 ready\r\n")
        writer.write(b"QUIT\r\n")
        self.assertEqual(await near_reader.readline(), b"QUIT\r\n")
        writer.close()

    async def test_an_accept_that_is_cancelled(self):
        """Nobody comes, and the test gives up waiting."""
        server = await self.start_fake_server()
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(server.accept(), 60)
        self.assertEqual(server.connections, [])

    async def test_a_server_that_refuses(self):
        """A server goes away and comes back."""
        server = await self.start_fake_server(host="flaky.test", port=80)
        server.refuse()
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection("flaky.test", 80)
        server.accept_again()
        _, writer = await asyncio.open_connection("flaky.test", 80)
        self.assertFalse(writer.is_closing())
        writer.close()

    async def test_reset_connections(self):
        """A client that is reset closes its writer, and there is nothing left."""
        server = await self.start_fake_server(host="rude.test", port=80)
        reader, writer = await asyncio.open_connection("rude.test", 80)
        await server.accept()
        server.reset_connections()
        with self.assertRaises(ConnectionResetError):
            await reader.read()
        writer.close()

    async def test_one_connection_is_reset(self):
        """Two clients, of whom one is thrown out."""
        server = await self.start_fake_server(host="bar.test", port=80)
        streams = [await asyncio.open_connection("bar.test", 80) for _ in range(2)]
        first, second = await server.accept(), await server.accept()
        first.reset()
        second.writer.write(b"stay")
        results = await asyncio.gather(*(reader.read(4) for reader, _ in streams), return_exceptions=True)
        self.assertIsInstance(results[0], ConnectionResetError)
        self.assertEqual(results[1], b"stay")
        for _, writer in streams:
            writer.close()

    async def test_a_connection_that_is_closed(self):
        """A connection ends after what was written."""
        server = await self.start_fake_server()
        reader, writer = await asyncio.open_connection(*server.address)
        connection = await server.accept()
        connection.writer.write(b"last words")
        connection.close()
        self.assertEqual(await reader.read(), b"last words")
        self.assertEqual(connection.received, b"")
        writer.close()

    async def test_a_server_that_is_closed_by_the_test(self):
        """close() before the end is no harm, and the address is free again."""
        first = await self.start_fake_server(host="twice.test", port=80)
        first.close()
        second = await self.start_fake_server(host="twice.test", port=80)
        self.assertIsNot(first, second)
        self.assertEqual(first.address, second.address)

    async def test_an_address_in_use(self):
        """A second server on one address is refused, and leaves no socket."""
        await self.start_fake_server(host="full.test", port=80)
        with self.assertRaises(OSError) as caught:
            await self.start_fake_server(host="full.test", port=80)
        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)

    async def test_a_server_on_a_path(self):
        """A fake server on a UNIX path leaves no file."""
        with tempfile.TemporaryDirectory() as folder:
            server = await self.start_fake_server(path=f"{folder}/db.sock")
            _, writer = await asyncio.open_unix_connection(server.address)
            writer.write(b"SELECT 1")
            writer.close()
            await self.settle()
            self.assertEqual(server.received, b"SELECT 1")
            server.close()

    async def test_a_server_on_an_abstract_name(self):
        """A name without a file."""
        server = await self.start_fake_server(path="\0bus")
        _, writer = await asyncio.open_unix_connection("\0bus")
        connection = await server.accept()
        self.assertEqual(connection.get_extra_info("sockname"), b"\0bus")
        writer.close()

    async def test_a_server_with_tls(self):
        """A fake server with a certificate."""
        server_context, client_context = tls_contexts()
        server = await self.start_fake_server(host="localhost", port=443, ssl=server_context)
        _, writer = await asyncio.open_connection("localhost", 443, ssl=client_context)
        writer.write(b"GET /")
        await self.settle()
        self.assertEqual(server.received, b"GET /")
        writer.close()
        await writer.wait_closed()

    async def test_a_small_capacity(self):
        """A server that does not read stops its client, until it is reset."""
        server = await self.start_fake_server(host="small.test", port=80, capacity=100)
        _, writer = await asyncio.open_connection("small.test", 80)
        connection = await server.accept()
        connection.writer.transport.pause_reading()
        writer.write(bytes(1_000))
        await self.settle()
        self.assertEqual(writer.transport.get_write_buffer_size(), 900)
        connection.reset()
        await self.settle()
        self.assertTrue(writer.is_closing())

    async def test_a_client_that_outlives_its_server(self):
        """A client with a reading task that ends when the server is finished."""
        server = await self.start_fake_server(host="brief.test", port=80)
        reader, writer = await asyncio.open_connection("brief.test", 80)
        reading = asyncio.create_task(reader.read())
        await self.settle()
        await server.finish()
        self.assertEqual(await reading, b"")
        writer.close()

    async def test_a_handler_that_is_a_method(self):
        """A server object of the test, with a session for each client."""

        class Counter:
            def __init__(self):
                self.sessions = 0

            async def serve(self, reader, writer):
                self.sessions += 1
                writer.write(b"%d" % self.sessions)
                writer.close()

        counter = Counter()
        server = await self.start_fake_server(counter.serve, "count.test", 80)
        numbers = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection(*server.address)
            numbers.append(await reader.read())
            writer.close()
        self.assertEqual((numbers, server.errors), ([b"1", b"2", b"3"], []))

    async def test_http_by_hand(self):
        """A request of HTTP with keep-alive and chunked answers."""

        async def serve(reader, writer):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for chunk in (b"hello ", b"world", b""):
                    writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                    await asyncio.sleep(1)

        async def get(reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: web.test\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            body = b""
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
            return body

        server = await self.start_fake_server(serve, "web.test", 80)
        streams = await asyncio.open_connection("web.test", 80)
        self.assertEqual([await get(*streams) for _ in range(2)], [b"hello world"] * 2)
        await server.finish()
        streams[1].close()


class PairTest(SolipsistTestCase):
    async def test_a_pair_that_is_never_closed(self):
        """A pair of the test case is closed for the test."""
        one, two = self.socketpair()
        one.send(b"unread")
        self.assertEqual(two.recv(3), b"unr")

    async def test_a_pair_that_is_closed_early(self):
        """To close one's own pair is allowed."""
        one, two = self.socketpair(capacity=(10, 20))
        one.close()
        self.assertEqual(two.recv(1), b"")
        two.close()

    async def test_a_full_pair(self):
        """A pair that is full to the brim holds nothing after the test."""
        one, _ = self.socketpair(capacity=1000)
        self.assertEqual(one.send(bytes(5000)), 1000)
        with self.assertRaises(BlockingIOError):
            one.send(b"x")

    async def test_a_pair_under_a_transport(self):
        """A transport on a pair of the test case is aborted for the test."""
        one, two = self.socketpair()
        reader, writer = await asyncio.open_connection(sock=one)
        two.send(b"data")
        self.assertEqual(await reader.read(4), b"data")
        writer.write(b"more")

    async def test_streams_that_are_never_closed(self):
        """A pair of streams is closed for the test."""
        (reader1, writer1), (reader2, writer2) = await self.stream_pairs()
        writer1.write(b"question\n")
        writer2.write(b"answer\n")
        self.assertEqual((await reader1.readline(), await reader2.readline()), (b"answer\n", b"question\n"))

    async def test_streams_that_are_closed(self):
        """A pair of streams that the program closes itself."""
        (_, writer1), (reader2, writer2) = await self.stream_pairs()
        writer1.close()
        self.assertEqual(await reader2.read(), b"")
        writer2.close()
        await writer2.wait_closed()

    async def test_streams_with_unsent_bytes(self):
        """A stuck pair of streams is aborted for the test, with the bytes that it holds."""
        (_, writer), (_, far_writer) = await self.stream_pairs(capacity=10)
        far_writer.transport.pause_reading()
        writer.write(bytes(100))
        draining = asyncio.create_task(writer.drain())
        self.addCleanup(draining.cancel)
        await self.settle()
        self.assertEqual(writer.transport.get_write_buffer_size(), 90)

    async def test_the_functions_of_the_module(self):
        """socketpair() and stream_pairs() of the module are closed by who makes them."""
        one, two = socketpair(capacity=5)
        with one, two:
            self.assertIsInstance(one, VirtualSocket)
            self.assertEqual(one.send(b"123456"), 5)
        (_, writer1), (reader2, writer2) = await stream_pairs()
        writer1.close()
        self.assertEqual(await reader2.read(), b"")
        writer2.close()

    async def test_a_protocol_of_requests_over_a_pair(self):
        """A client object under test, with its own reading task that it cancels in close()."""
        (reader, writer), (far_reader, far_writer) = await self.stream_pairs()

        class Client:
            def __init__(self):
                self.answers = asyncio.Queue()
                self.task = asyncio.create_task(self.read())

            async def read(self):
                async for line in reader:
                    self.answers.put_nowait(line)

            async def ask(self, line):
                writer.write(line)
                return await self.answers.get()

            async def close(self):
                self.task.cancel()
                writer.close()
                await asyncio.gather(self.task, writer.wait_closed(), return_exceptions=True)

        client = Client()
        asking = asyncio.create_task(client.ask(b"2+2\n"))
        self.assertEqual(await far_reader.readline(), b"2+2\n")
        far_writer.write(b"4\n")
        self.assertEqual(await asking, b"4\n")
        await client.close()


class ConvenienceTest(SolipsistTestCase):
    async def test_unused_ports(self):
        """Every call gives another port, and binds nothing."""
        ports = {self.unused_port(), self.unused_port(), self.unused_port("other.test")}
        server = await asyncio.start_server(lambda reader, writer: writer.close(), self.localhost, min(ports))
        self.assertEqual(server.sockets[0].getsockname(), ("127.0.0.1", min(ports)))
        server.close()

    async def test_a_server_in_the_background(self):
        """What is started in background() may stay."""
        with self.background():
            server = await asyncio.start_server(lambda reader, writer: writer.close(), "metrics.test", 9090)
        reader, writer = await asyncio.open_connection("metrics.test", 9090)
        self.assertEqual(await reader.read(), b"")
        writer.close()
        self.assertTrue(server.is_serving())

    async def test_a_task_and_a_timer_in_the_background(self):
        """A ticker that is meant to run on, and a timer for next year."""
        ticks = []

        async def tick():
            while True:
                await asyncio.sleep(1)
                ticks.append(self.now)

        with self.background():
            asyncio.get_running_loop().call_later(365 * 86400, self.fail)
            task = asyncio.create_task(tick())
        await asyncio.sleep(3.5)
        self.assertEqual((len(ticks), task.done()), (3, False))

    async def test_two_servers_and_a_gateway(self):
        """Fake servers on several hosts know nothing of each other."""
        servers = [await self.start_fake_server(host=f"shard{number}.test", port=6379) for number in range(2)]
        for number, server in enumerate(servers):
            _, writer = await asyncio.open_connection(f"shard{number}.test", 6379)
            writer.write(b"%d" % number)
            writer.close()
            self.assertIsInstance(server, FakeServer)
        await self.settle()
        self.assertEqual([server.received for server in servers], [b"0", b"1"])
