"""The interpreter's own flags: a suite is green under each of them, and what a flag finds is the program's."""

import os
import subprocess
import sys
import sysconfig
import tempfile
import unittest

from tests import ROOT

SUITE = '''
import asyncio, os, queue, socket, tempfile, threading, time, unittest, warnings
from solipsism_unittest import SolipsistTestCase


async def forgotten():
    pass


class StreamsTest(SolipsistTestCase):
    async def test_names(self):
        for host in ("localhost", b"localhost", bytearray(b"localhost"), "127.0.0.1", "", b"", "api.test"):
            with self.subTest(host=host):
                infos = await self.loop.getaddrinfo(bytes(host) if isinstance(host, bytearray) else host or None, 80)
                self.assertTrue(infos)
                if host and len(host) != len("api.test"):
                    with socket.socket() as sock:
                        sock.bind((host, 0))

    async def test_services(self):
        for port in (80, "80", b"80", "http", b"http"):
            with self.subTest(port=port):
                self.assertEqual((await self.loop.getaddrinfo("127.0.0.1", port))[0][4][1], 80)

    async def test_a_fake_server(self):
        async def echo(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        await self.start_fake_server(echo, "api.test", 80)
        reader, writer = await asyncio.open_connection("api.test", 80)
        writer.write(b"hello\\n")
        self.assertEqual(await reader.read(), b"hello\\n")
        writer.close()
        await writer.wait_closed()

    async def test_tls(self):
        async def answer(reader, writer):
            writer.write(await reader.readline())

        for arguments in ({"host": "api.test", "port": 443}, {"path": "/tmp/tls.sock"}, {"path": b"\\0tls"}):
            await self.start_fake_server(answer, tls=True, **arguments)
        context = self.tls_contexts("api.test")[1]
        for streams in (asyncio.open_connection("api.test", 443, ssl=context),
                        asyncio.open_unix_connection("/tmp/tls.sock", ssl=context, server_hostname="localhost")):
            reader, writer = await streams
            writer.write(b"hello\\n")
            await self.assertReceives(reader, b"hello\\n")
            writer.close()
            await writer.wait_closed()

    async def test_a_server(self):
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "localhost", 80)
        async with server:
            reader, writer = await asyncio.open_connection("localhost", 80)
            self.assertEqual(await reader.read(), b"")
            writer.close()
            await writer.wait_closed()

    async def test_unix(self):
        for path in ("/tmp/nobody.sock", b"/tmp/nobody.sock", b"\\0nobody"):
            with self.subTest(path=path), socket.socket(socket.AF_UNIX) as sock:
                sock.bind(path)
                sock.listen()
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(path)
            if isinstance(path, str) or path[0]:
                os.unlink(path)

    async def test_datagrams(self):
        server = await self.start_fake_datagram_server(lambda data, peer: data, "api.test", 53)
        transport, _ = await self.loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("api.test", 53))
        transport.sendto(b"question")
        await self.settle()
        transport.close()

    async def test_options(self):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, 25, b"lo")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, b"\\1\\0\\0\\0")


class TimeTest(SolipsistTestCase):
    async def test_sleep(self):
        with self.assertElapses(3600):
            await asyncio.sleep(3600)

    async def test_threads(self):
        self.assertEqual(await asyncio.to_thread(len, "abc"), 3)

    async def test_wait_for(self):
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3)

    async def test_work(self):
        for things in ([None] * 40, (None,) * 40, "a" * 40):
            for _ in range(100):
                for _ in things:
                    await asyncio.sleep(0)

    async def test_advance(self):
        timer = self.loop.call_later(5, print)
        self.assertNextTimer(after=5)
        self.loop.call_later(2, print).cancel()
        await self.advance(4)
        self.assertNow(4)
        timer.cancel()

    async def test_timers_of_threads(self):
        done = asyncio.Event()
        timer = threading.Timer(0.001, self.loop.call_soon_threadsafe, [done.set])
        timer.start()
        await done.wait()
        timer.join()

    async def test_library_threads(self):
        def work():
            while (request := requests.get()) is not None:
                self.loop.call_soon_threadsafe(request.set_result, b"done")

        requests = queue.SimpleQueue()
        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(3):
            future = self.loop.create_future()
            requests.put(future)
            self.assertEqual(await asyncio.wait_for(future, 60), b"done")
        requests.put(None)
        thread.join()

    def test_plain(self):
        self.assertEqual(time.monotonic(), 0)


class FilesTest(SolipsistTestCase):
    async def test_pipes(self):
        reader, writer = os.pipe()
        stream = asyncio.StreamReader()
        transport, _ = await self.loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reader, "rb", 0))
        os.write(writer, b"line\\n")
        self.assertEqual(await stream.readline(), b"line\\n")
        os.close(writer)
        transport.close()
        await self.settle()

    async def test_sockets(self):
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            other.setblocking(False)
            for data in (b"bytes", bytearray(b"array"), memoryview(b"view")):
                await self.loop.sock_sendall(one, data)
                self.assertEqual(await self.loop.sock_recv(other, 10), data)

    async def test_sendfile(self):
        one, other = await self.stream_pairs()
        with tempfile.TemporaryFile() as file:
            file.write(b"0123456789")
            file.seek(0)
            await self.loop.sendfile(one[1].transport, file)
        await self.assertReceives(other[0], b"0123456789")

    async def test_a_real_file(self):
        with tempfile.NamedTemporaryFile() as file:
            for name in (file.name, file.name.encode()):
                self.assertEqual(os.stat(name).st_size, 0)


class WarningsTest(SolipsistTestCase):
    async def test_expected(self):
        with self.assertWarnsRegex(RuntimeWarning, "never awaited"):
            forgotten()

    async def test_expected_in_a_task(self):
        async def body():
            with self.assertWarnsRegex(RuntimeWarning, "never awaited"):
                forgotten()
        await asyncio.create_task(body())

    async def test_recorded(self):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            forgotten()
        self.assertEqual([each.category for each in seen], [RuntimeWarning])

    async def test_recorded_beside_others(self):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            warnings.warn("one", UserWarning)
            forgotten()
            warnings.warn("two", DeprecationWarning)
        self.assertEqual([each.category for each in seen], [UserWarning, RuntimeWarning, DeprecationWarning])


class ReportedTest(unittest.TestCase):
    def test_reported(self):
        class Inner(SolipsistTestCase):
            async def test_it(self):
                forgotten()

            async def test_after_a_block(self):
                with warnings.catch_warnings(record=True):
                    pass
                forgotten()

        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(Inner).run(result)
        self.assertEqual(len(result.failures + result.errors), 2)
        for _, text in result.failures + result.errors:
            self.assertIn("forgotten", text)


async def hang(self):
    await asyncio.Event().wait()

async def hang_in_read(self):
    async def silent(reader, writer):
        await reader.read()
    await self.start_fake_server(silent, path=b"\\0silent")
    reader, writer = await asyncio.open_unix_connection("\\0silent")
    writer.write(b"question")
    await reader.read()

async def refused(self):
    with socket.socket() as sock:
        sock.bind((b"localhost", 80))
        await asyncio.open_connection(b"localhost", 81)

async def refused_unix(self):
    await asyncio.open_unix_connection(b"/tmp/nobody.sock")

async def spin(self):
    while True:
        await asyncio.sleep(0)

async def leak_sockets(self):
    self.sock = socket.socket(socket.AF_UNIX)
    self.sock.bind(b"\\0bytes")
    self.sock.listen()

async def leak_a_task(self):
    self.task = asyncio.create_task(asyncio.sleep(9))

async def died(self):
    async def fail():
        raise ValueError(b"reason")
    self.task = asyncio.create_task(fail())
    await asyncio.sleep(1)

async def wrong_bytes(self):
    one, other = await self.stream_pairs()
    one[1].write(b"one")
    await self.assertReceives(other[0], b"two")

async def wrong_buffer(self):
    one, other = self.socketpair()
    one.send(b"one")
    self.assertBuffered(other, b"two")

async def escape(self):
    os.fork()

async def escape_by_bytes(self):
    await asyncio.create_subprocess_exec(b"true", b"x")

async def wrong_thread(self):
    await asyncio.to_thread(self.loop.call_soon, len, b"x")

async def wrong_time(self):
    await self.advance(1)
    self.assertNow(2)


class ReportsTest(unittest.TestCase):
    def test_reports(self):
        for body, words in {
            hang: "nothing can wake", hang_in_read: "nothing can wake", refused: "nobody listens on localhost:81",
            refused_unix: "/tmp/nobody.sock", spin: "LivelockError", leak_sockets: "bytes", leak_a_task: "1 pending",
            died: "reason", wrong_bytes: "b'two'", wrong_buffer: "b'two'", escape: "EscapeError",
            escape_by_bytes: "EscapeError", wrong_thread: "thread", wrong_time: "2",
        }.items():
            with self.subTest(body.__name__):
                result = unittest.TestResult()
                type("Inner", (SolipsistTestCase,), {"test": body})("test").run(result)
                texts = [text for _, text in result.failures + result.errors]
                self.assertEqual(len(texts), 1, texts)
                self.assertIn(words, texts[0])
                self.assertNotIn("BytesWarning", texts[0])
'''

NEWER = sys.version_info >= (3, 14)
WITHOUT_GIL = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


class FlagsTest(unittest.TestCase):
    def check(self, *flags: str, **environment: str) -> None:
        """Run a suite under these flags, and show that all of it passes and nobody warns."""
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "suite_of_flags.py"), "w") as file:
                file.write(SUITE)
            child = subprocess.run(
                [sys.executable, *flags, "-m", "unittest", "suite_of_flags"],
                cwd=folder, capture_output=True, text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, timeout=100)
        self.assertEqual(child.returncode, 0, child.stderr)
        self.assertNotIn("Warning", child.stderr)

    def test_bytes(self):
        """-bb: nobody of ours compares bytes with str, or makes text of them."""
        self.check("-bb")

    def test_development_mode(self):
        """-X dev: asyncio's debug mode, and every warning shown."""
        self.check("-X", "dev")

    def test_errors(self):
        """-W error: no warning is ours, deprecations among them."""
        self.check("-W", "error")

    def test_optimized(self):
        """-O and -OO: nothing that is needed stands in an assert or in a docstring."""
        for flag in ("-O", "-OO"):
            with self.subTest(flag):
                self.check(flag)

    def test_compiled(self):
        """PYTHON_JIT=1: a build that has the compiler runs the same; others take no notice."""
        self.check(PYTHON_JIT="1")

    @unittest.skipUnless(NEWER, "warnings belong to a context from 3.14 on")
    def test_warnings_of_a_context(self):
        """-X context_aware_warnings=1: who collects warnings in a context gets them."""
        for value in ("0", "1"):
            with self.subTest(value):
                self.check("-X", f"context_aware_warnings={value}")

    @unittest.skipUnless(NEWER, "threads take over the context from 3.14 on")
    def test_contexts_of_threads(self):
        """-X thread_inherit_context=1: a thread starts with a copy of its starter's context."""
        self.check("-X", "thread_inherit_context=1", "-X", "context_aware_warnings=1")

    @unittest.skipUnless(WITHOUT_GIL, "this build cannot do without the GIL")
    def test_without_the_gil(self):
        """-X gil=0: threads run side by side."""
        self.check("-X", "gil=0")
