"""Clean programs that talk over streams: asyncio's own servers and clients, transports, protocols and TLS."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import tempfile

from solipsism_unittest import SolipsistTestCase
from tests.clean.certificate import CERTIFICATE, KEY


async def echo(reader, writer):
    """Send back every line until the client says no more."""
    async for line in reader:
        writer.write(line)
        await writer.drain()
    writer.close()


def tls_contexts():
    """A server's context with a certificate of its own for localhost, and a client's that trusts it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(CERTIFICATE + KEY)
        file.flush()
        server.load_cert_chain(file.name)
    client = ssl.create_default_context(cadata=CERTIFICATE)
    return server, client


class Recorder(asyncio.Protocol):
    """A protocol that keeps what happens to it."""

    def __init__(self):
        self.events = []
        self.transport = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def data_received(self, data):
        self.events.append(data)

    def eof_received(self):
        self.events.append("eof")

    def connection_lost(self, error):
        self.events.append(("lost", error))
        self.lost.set_result(None)


class ClientTest(SolipsistTestCase):
    async def test_closed_and_waited_for(self):
        """The orderly way: close() and wait_closed() on both sides."""
        async with await asyncio.start_server(echo, "localhost", 7) as server:
            reader, writer = await asyncio.open_connection("localhost", 7)
            writer.write(b"hello\n")
            self.assertEqual(await reader.readline(), b"hello\n")
            writer.close()
            await writer.wait_closed()
        self.assertFalse(server.is_serving())

    async def test_closed_and_not_waited_for(self):
        """A writer that was closed in the last line needs no more."""
        server = await asyncio.start_server(echo, "api.test", 80)
        reader, writer = await asyncio.open_connection("api.test", 80)
        writer.write(b"one\n")
        self.assertEqual(await reader.readuntil(), b"one\n")
        writer.close()
        server.close()

    async def test_closed_with_bytes_on_the_way(self):
        """What was written before close() arrives, though nobody drained."""
        got = asyncio.get_running_loop().create_future()

        async def collect(reader, writer):
            got.set_result(await reader.read())
            writer.close()

        async with await asyncio.start_server(collect, "sink.test", 9):
            _, writer = await asyncio.open_connection("sink.test", 9)
            writer.writelines([b"a" * 50_000, b"b" * 50_000])
            writer.close()
            self.assertEqual(len(await got), 100_000)

    async def test_closed_by_contextlib(self):
        """contextlib.closing() is good enough for a writer."""
        async with await asyncio.start_server(echo, "localhost", 7):
            reader, writer = await asyncio.open_connection("localhost", 7)
            with contextlib.closing(writer):
                writer.write(b"ping\n")
                self.assertEqual(await reader.readexactly(5), b"ping\n")
            self.assertTrue(writer.is_closing())

    async def test_closed_by_a_cleanup(self):
        """A client that is closed by addCleanup, and waited for by addAsyncCleanup."""
        server = await asyncio.start_server(echo, "localhost", 7)
        self.addCleanup(server.close)
        reader, writer = await asyncio.open_connection("localhost", 7)
        self.addAsyncCleanup(writer.wait_closed)
        self.addCleanup(writer.close)
        writer.write(b"x\n")
        self.assertEqual(await reader.read(10), b"x\n")

    async def test_half_closed(self):
        """A client says that it has written all, and still reads the answer."""

        async def shout(reader, writer):
            request = await reader.read()
            await asyncio.sleep(1)
            writer.write(request.upper())
            writer.close()

        async with await asyncio.start_server(shout, "shout.test", 80):
            reader, writer = await asyncio.open_connection("shout.test", 80)
            writer.write(b"whisper")
            self.assertTrue(writer.can_write_eof())
            writer.write_eof()
            self.assertEqual(await reader.read(), b"WHISPER")
            writer.close()

    async def test_aborted(self):
        """A client that aborts does not wait for anything."""
        hung_up = asyncio.Event()

        async def wait_for_the_end(reader, writer):
            with contextlib.suppress(ConnectionError):
                await reader.read()
            hung_up.set()
            writer.close()

        async with await asyncio.start_server(wait_for_the_end, "localhost", 5000):
            _, writer = await asyncio.open_connection("localhost", 5000)
            writer.transport.abort()
            await hung_up.wait()
            self.assertTrue(writer.is_closing())

    async def test_a_server_that_hangs_up(self):
        """The client reads the end and closes its side."""

        async def hang_up(reader, writer):
            writer.write(b"220 busy\r\n")
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(hang_up, "mail.test", 25):
            reader, writer = await asyncio.open_connection("mail.test", 25)
            self.assertEqual(await reader.read(), b"220 busy\r\n")
            self.assertTrue(reader.at_eof())
            writer.close()

    async def test_refused(self):
        """A refused connect leaves no socket."""
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection("nobody.test", 80)
        self.assertNow(0)

    async def test_a_connect_that_times_out(self):
        """A connect into a black hole that is given up leaves no socket."""
        self.network.drop("hole.test")
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(asyncio.open_connection("hole.test", 80), 10)
        self.assertNow(10)

    async def test_a_read_that_is_cancelled(self):
        """A read that is given up loses nothing: the next one gets the data."""

        async def late(reader, writer):
            await asyncio.sleep(5)
            writer.write(b"late\n")
            writer.close()

        async with await asyncio.start_server(late, "localhost", 99):
            reader, writer = await asyncio.open_connection("localhost", 99)
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(reader.readline(), 2)
            self.assertEqual(await reader.readline(), b"late\n")
            writer.close()

    async def test_a_drain_that_is_cancelled(self):
        """A writer that is stuck is aborted after its drain was given up; no byte is left unsent."""

        async def never_read(reader, writer):
            await asyncio.sleep(5)
            writer.transport.abort()

        server = await asyncio.start_server(never_read, "stuck.test", 80)
        _, writer = await asyncio.open_connection("stuck.test", 80)
        writer.write(bytes(1_000_000))
        with self.assertRaises(TimeoutError):
            async with asyncio.timeout(3):
                await writer.drain()
        writer.transport.abort()
        await asyncio.sleep(5)
        server.close()
        self.assertEqual(writer.transport.get_write_buffer_size(), 0)

    async def test_an_incomplete_read(self):
        """What is missing at the end is an exception with what was there."""

        async def too_short(reader, writer):
            writer.write(b"abc")
            writer.close()

        async with await asyncio.start_server(too_short, "localhost", 1):
            reader, writer = await asyncio.open_connection("localhost", 1)
            with self.assertRaises(asyncio.IncompleteReadError) as caught:
                await reader.readexactly(10)
            self.assertEqual(caught.exception.partial, b"abc")
            writer.close()

    async def test_a_line_that_is_too_long(self):
        """A line over the limit is an error, and the connection is closed for it."""

        async def endless(reader, writer):
            writer.write(b"x" * 200)
            writer.close()

        async with await asyncio.start_server(endless, "localhost", 2):
            reader, writer = await asyncio.open_connection("localhost", 2, limit=64)
            with self.assertRaises(asyncio.LimitOverrunError):
                await reader.readuntil(b"\n")
            writer.close()

    async def test_framed_messages(self):
        """Messages with their length in front, both ways."""

        async def reverse(reader, writer):
            with contextlib.suppress(asyncio.IncompleteReadError):
                while True:
                    (size,) = struct.unpack("!I", await reader.readexactly(4))
                    body = await reader.readexactly(size)
                    writer.write(struct.pack("!I", size) + body[::-1])
            writer.close()

        async with await asyncio.start_server(reverse, "localhost", 3):
            reader, writer = await asyncio.open_connection("localhost", 3)
            for message in (b"abc", b"", b"12"):
                writer.write(struct.pack("!I", len(message)) + message)
            answers = []
            for _ in range(3):
                (size,) = struct.unpack("!I", await reader.readexactly(4))
                answers.append(await reader.readexactly(size))
            writer.close()
        self.assertEqual(answers, [b"cba", b"", b"21"])

    async def test_a_connection_pool(self):
        """A pool that reuses its connections and closes the idle ones at the end."""
        accepted, idle = [], []

        async def count(reader, writer):
            accepted.append(writer)
            await echo(reader, writer)

        async def request(data):
            reader, writer = idle.pop() if idle else await asyncio.open_connection("db.test", 5432)
            writer.write(data)
            answer = await reader.readline()
            idle.append((reader, writer))
            return answer

        async with await asyncio.start_server(count, "db.test", 5432):
            answers = [await request(b"%d\n" % number) for number in range(3)]
            answers += await asyncio.gather(request(b"3\n"), request(b"4\n"))
            for _, writer in idle:
                writer.close()
                await writer.wait_closed()
        self.assertEqual((b"".join(answers), len(accepted)), (b"0\n1\n2\n3\n4\n", 2))

    async def test_a_heartbeat_beside_a_reader(self):
        """A client whose heartbeat task is cancelled before the connection is closed."""

        async def silent(reader, writer):
            self.beats = await reader.read()
            writer.close()

        async with await asyncio.start_server(silent, "localhost", 4):
            _, writer = await asyncio.open_connection("localhost", 4)

            async def beat():
                while True:
                    await asyncio.sleep(30)
                    writer.write(b".")

            heart = asyncio.create_task(beat())
            await asyncio.sleep(100)
            heart.cancel()
            writer.close()
            await asyncio.sleep(0.1)
        self.assertEqual(self.beats, b"...")

    async def test_reconnecting_after_a_reset(self):
        """A client that is reset connects again."""
        visits = []

        async def moody(reader, writer):
            visits.append(self.now)
            await reader.readline()
            if len(visits) < 3:
                writer.transport.abort()
            else:
                writer.write(b"welcome\n")
                writer.close()

        async with await asyncio.start_server(moody, "moody.test", 80):
            answer = b""
            while not answer:
                reader, writer = await asyncio.open_connection("moody.test", 80)
                writer.write(b"hi\n")
                with contextlib.suppress(ConnectionResetError):
                    answer = await reader.readline()
                writer.close()
                await asyncio.sleep(1)
        self.assertEqual((answer, visits), (b"welcome\n", [0.0, 1.0, 2.0]))


    async def test_a_reset_that_nobody_reads(self):
        """A connection is reset while nobody reads; the writer is closed, and its error is nobody's."""

        async def reset(reader, writer):
            writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                                 struct.pack("ii", 1, 0))
            writer.transport.abort()

        async with await asyncio.start_server(reset, "rude.test", 80):
            reader, writer = await asyncio.open_connection("rude.test", 80)
            await asyncio.sleep(1)
            self.assertIsInstance(reader.exception(), ConnectionResetError)
            writer.close()

    async def test_written_after_the_reset(self):
        """A writer that goes on after a reset hears of it at its drain, and at wait_closed()."""
        server = await self.start_fake_server(host="rude.test", port=80)
        _, writer = await asyncio.open_connection("rude.test", 80)
        await server.accept()
        server.reset_connections()
        await self.settle()
        writer.write(b"into the void")
        with self.assertRaises(ConnectionResetError):
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()

    async def test_a_wait_closed_that_is_cancelled(self):
        """Who does not want to wait for the last bytes aborts."""
        (_, writer), (_, far_writer) = await self.stream_pairs(capacity=100)
        far_writer.transport.pause_reading()
        writer.write(bytes(500))
        writer.close()
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 2)
        writer.transport.abort()
        self.assertNow(2)


class ServerTest(SolipsistTestCase):
    async def test_a_server_that_nobody_visits(self):
        """A server that is closed at once."""
        server = await asyncio.start_server(echo, "localhost", 80)
        self.assertEqual([face.getsockname()[1] for face in server.sockets], [80])
        server.close()
        await server.wait_closed()

    async def test_a_server_on_two_addresses(self):
        """Both listeners of one server go with it."""
        async with await asyncio.start_server(echo, ["127.0.0.1", "::1"], 8080) as server:
            self.assertEqual(len(server.sockets), 2)
            _, writer = await asyncio.open_connection("::1", 8080)
            writer.close()
        self.assertEqual(server.sockets, ())

    async def test_serve_forever_is_cancelled(self):
        """A server in a task of its own is ended by cancelling that."""
        server = await asyncio.start_server(echo, "localhost", 80)
        serving = asyncio.create_task(server.serve_forever())
        reader, writer = await asyncio.open_connection("localhost", 80)
        writer.write(b"still here\n")
        self.assertEqual(await reader.readline(), b"still here\n")
        writer.close()
        await writer.wait_closed()
        serving.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await serving
        self.assertFalse(server.is_serving())

    async def test_a_server_that_starts_later(self):
        """A server made with start_serving=False is refused until it starts."""
        server = await asyncio.start_server(echo, "lazy.test", 80, start_serving=False)
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection("lazy.test", 80)
        await server.start_serving()
        _, writer = await asyncio.open_connection("lazy.test", 80)
        writer.close()
        server.close()

    async def test_handlers_that_are_cancelled_at_shutdown(self):
        """A server that keeps its handlers' tasks, and cancels them when it closes."""
        handlers, ended = set(), []

        async def forever(reader, writer):
            handlers.add(asyncio.current_task())
            try:
                await asyncio.sleep(1e6)
            except asyncio.CancelledError:
                ended.append(writer.get_extra_info("peername")[0])
            finally:
                writer.close()

        server = await asyncio.start_server(forever, "localhost", 80)
        clients = [await asyncio.open_connection("localhost", 80) for _ in range(2)]
        await asyncio.sleep(1)
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.wait(handlers)
        self.assertEqual([await reader.read() for reader, _ in clients], [b"", b""])
        for _, writer in clients:
            writer.close()
        self.assertEqual(ended, ["127.0.0.1"] * 2)

    async def test_handlers_that_let_themselves_be_cancelled(self):
        """A handler's task that ends as cancelled is no error, though StreamReaderProtocol of 3.11 stumbles over it."""
        tasks = []

        async def forever(reader, writer):
            tasks.append(asyncio.current_task())
            try:
                await reader.read()
            finally:
                writer.close()

        async with await asyncio.start_server(forever, "localhost", 80):
            reader, writer = await asyncio.open_connection("localhost", 80)
            await self.settle()
            tasks[0].cancel()
            self.assertEqual(await reader.read(), b"")
            writer.close()
        self.assertTrue(tasks[0].cancelled())

    async def test_a_handler_that_fails_and_cleans_up(self):
        """A handler that catches its own failure, answers 500 and closes."""

        async def handler(reader, writer):
            try:
                number = int(await reader.readline())
                writer.write(b"200 %d" % (100 // number))
            except (ValueError, ZeroDivisionError) as error:
                writer.write(b"500 " + type(error).__name__.encode())
            finally:
                writer.close()

        async def get(line):
            reader, writer = await asyncio.open_connection("web.test", 80)
            writer.write(line)
            answer = await reader.read()
            writer.close()
            return answer

        async with await asyncio.start_server(handler, "web.test", 80):
            answers = [await get(line) for line in (b"5\n", b"0\n", b"x\n")]
        self.assertEqual(answers, [b"200 20", b"500 ZeroDivisionError", b"500 ValueError"])

    async def test_a_plain_function_as_handler(self):
        """A handler that is no coroutine function answers and closes at once."""

        def date(reader, writer):
            writer.write(b"today")
            writer.close()

        async with await asyncio.start_server(date, "clock.test", 13):
            reader, writer = await asyncio.open_connection("clock.test", 13)
            self.assertEqual(await reader.read(), b"today")
            writer.close()

    async def test_a_server_on_a_unix_path(self):
        """A server on a path is gone with its file."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "app.sock")
            server = await asyncio.start_unix_server(echo, path)
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"local\n")
            self.assertEqual(await reader.readline(), b"local\n")
            writer.close()
            server.close()
            await server.wait_closed()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            self.assertFalse(os.path.exists(path))

    async def test_a_chat(self):
        """A room with three clients, and all of them leave."""
        room = set()

        async def chat(reader, writer):
            room.add(writer)
            async for line in reader:
                for member in room - {writer}:
                    member.write(line)
            room.remove(writer)
            writer.close()

        async with await asyncio.start_server(chat, "chat.test", 6667):
            people = [await asyncio.open_connection("chat.test", 6667) for _ in range(3)]
            await self.settle()
            people[0][1].write(b"hi all\n")
            heard = [await reader.readline() for reader, _ in people[1:]]
            for _, writer in people:
                writer.close()
                await writer.wait_closed()
            await self.settle()
        self.assertEqual((heard, room), ([b"hi all\n"] * 2, set()))

    async def test_a_proxy_of_two_pumps(self):
        """A proxy pumps both ways until both sides have said all."""

        async def pump(reader, writer):
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
            writer.write_eof()

        async def forward(reader, writer):
            far_reader, far_writer = await asyncio.open_connection("origin.test", 80)
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
            far_writer.close()
            writer.close()

        async with await asyncio.start_server(echo, "origin.test", 80), \
                await asyncio.start_server(forward, "proxy.test", 8080):
            reader, writer = await asyncio.open_connection("proxy.test", 8080)
            writer.write(b"through\n")
            writer.write_eof()
            self.assertEqual(await reader.read(), b"through\n")
            writer.close()

    async def test_a_socket_of_its_own(self):
        """A server on a socket that the program bound itself closes it."""
        listener = socket.create_server(("127.0.0.1", 4711))
        listener.setblocking(False)
        async with await asyncio.start_server(echo, sock=listener):
            _, writer = await asyncio.open_connection("127.0.0.1", 4711)
            writer.close()
        self.assertEqual(listener.fileno(), -1)


class ProtocolTest(SolipsistTestCase):
    async def test_a_pair_of_protocols(self):
        """Two protocols see each other come, speak and go."""
        served = self.loop.create_future()

        def accept():
            protocol = Recorder()
            served.set_result(protocol)
            return protocol

        server = await self.loop.create_server(accept, "localhost", 80)
        transport, client = await self.loop.create_connection(Recorder, "localhost", 80)
        transport.write(b"data")
        transport.close()
        await client.lost
        await (await served).lost
        server.close()
        self.assertEqual(served.result().events, ["made", b"data", "eof", ("lost", None)])

    async def test_reading_is_paused_and_resumed(self):
        """A transport that pauses reading gets everything when it goes on."""
        one, two = self.socketpair()
        left, reader = await self.loop.create_connection(Recorder, sock=one)
        right, _ = await self.loop.create_connection(Recorder, sock=two)
        left.pause_reading()
        right.write(b"wait")
        await asyncio.sleep(5)
        self.assertEqual(reader.events, ["made"])
        left.resume_reading()
        await self.settle()
        self.assertEqual(reader.events, ["made", b"wait"])
        left.close()
        right.close()

    async def test_writing_is_paused_and_resumed(self):
        """A protocol hears that the buffer is full, and that it is empty again."""
        calls = []

        class Flow(Recorder):
            def pause_writing(self):
                calls.append("pause")

            def resume_writing(self):
                calls.append("resume")

        one, two = self.socketpair(capacity=1000)
        writer, _ = await self.loop.create_connection(Flow, sock=one)
        writer.set_write_buffer_limits(high=500, low=100)
        writer.write(bytes(3000))
        self.assertEqual(calls, ["pause"])
        received = 0
        while received < 3000:
            received += len(await self.loop.sock_recv(two, 4096))
        await self.settle()
        self.assertEqual(calls, ["pause", "resume"])
        writer.close()

    async def test_a_protocol_with_its_own_buffer(self):
        """A BufferedProtocol fills its own buffer."""

        class Filler(asyncio.BufferedProtocol):
            def __init__(self):
                self.buffer, self.filled = bytearray(16), bytearray()

            def get_buffer(self, hint):
                return self.buffer

            def buffer_updated(self, count):
                self.filled += self.buffer[:count]

        one, two = self.socketpair()
        transport, protocol = await self.loop.create_connection(Filler, sock=one)
        await self.loop.sock_sendall(two, b"piece by piece by piece")
        await self.settle()
        self.assertEqual(bytes(protocol.filled), b"piece by piece by piece")
        transport.close()

    async def test_eof_that_keeps_the_transport_open(self):
        """A protocol that wants to go on after the other side's end closes its transport itself."""

        class Patient(Recorder):
            def eof_received(self):
                self.transport.write(b"got it all")
                self.transport.close()
                return True

        one, two = self.socketpair()
        await self.loop.create_connection(Patient, sock=one)
        reader, writer = await asyncio.open_connection(sock=two)
        writer.write_eof()
        self.assertEqual(await reader.read(), b"got it all")
        writer.close()

    async def test_an_exchanged_protocol(self):
        """An upgrade hands the transport from one protocol to another."""
        one, two = self.socketpair()
        transport, _ = await self.loop.create_connection(Recorder, sock=one)
        after = Recorder()
        transport.set_protocol(after)
        await self.loop.sock_sendall(two, b"frames")
        await self.settle()
        self.assertIs(transport.get_protocol(), after)
        self.assertEqual(after.events, [b"frames"])
        transport.close()
        await after.lost

    async def test_sending_a_file(self):
        """loop.sendfile() sends a file over a transport, and nobody keeps the file."""
        one, two = self.socketpair()
        transport, _ = await self.loop.create_connection(asyncio.Protocol, sock=one)
        with tempfile.TemporaryFile() as file:
            file.write(b"page" * 100)
            file.seek(0)
            self.assertEqual(await self.loop.sendfile(transport, file), 400)
        transport.close()
        reader, writer = await asyncio.open_connection(sock=two)
        self.assertEqual(len(await reader.read()), 400)
        writer.close()


class TlsTest(SolipsistTestCase):
    async def test_over_tls(self):
        """A TLS client and server that close both ends."""
        server_context, client_context = tls_contexts()
        async with await asyncio.start_server(echo, "localhost", 443, ssl=server_context):
            reader, writer = await asyncio.open_connection("localhost", 443, ssl=client_context)
            writer.write(b"secret\n")
            self.assertEqual(await reader.readline(), b"secret\n")
            self.assertIn("TLS", writer.get_extra_info("ssl_object").version())
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(1)

    async def test_a_certificate_that_is_not_trusted(self):
        """A handshake that fails leaves no transport on either side."""
        server_context, _ = tls_contexts()
        async with await asyncio.start_server(echo, "localhost", 443, ssl=server_context):
            with self.assertRaises(ssl.SSLCertVerificationError):
                await asyncio.open_connection("localhost", 443, ssl=ssl.create_default_context())
            await asyncio.sleep(1)

    async def test_a_handshake_that_is_given_up(self):
        """A server that says nothing is left before its handshake is over."""
        server = await self.start_fake_server(host="localhost", port=443)
        with self.assertRaises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.open_connection("localhost", 443, ssl=tls_contexts()[1])
        self.assertEqual(server.received[:1], b"\x16")

    async def test_a_handshake_that_times_out(self):
        """asyncio's own timeout of a handshake."""
        await self.start_fake_server(host="localhost", port=443)
        with self.assertRaises(ConnectionAbortedError):
            await asyncio.open_connection("localhost", 443, ssl=tls_contexts()[1], ssl_handshake_timeout=10)
        self.assertNow(10)

    async def test_upgraded_to_tls(self):
        """STARTTLS on both sides, in the middle of a connection."""
        server_context, client_context = tls_contexts()

        async def start(reader, writer):
            await reader.readline()
            writer.write(b"go ahead\n")
            await writer.start_tls(server_context)
            writer.write(await reader.readline())
            writer.close()

        async with await asyncio.start_server(start, "localhost", 587):
            reader, writer = await asyncio.open_connection("localhost", 587)
            writer.write(b"STARTTLS\n")
            self.assertEqual(await reader.readline(), b"go ahead\n")
            await writer.start_tls(client_context, server_hostname="localhost")
            writer.write(b"mail\n")
            self.assertEqual(await reader.readline(), b"mail\n")
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(1)
