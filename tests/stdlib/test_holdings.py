"""What a program has goes with it, however it ends, and is no leak of its test. The rest of it is in contracts."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told


async def child(process):
    await process.stdin.read()


class HoldingsTest(SolipsistTestCase):
    """`self.kept` is what a program keeps alive, as its own globals would be."""

    def setUp(self):
        self.kept = []
        self.add_program("child", child)

    def tearDown(self):
        self.kept.clear()
        gc.collect()

    async def leave_all(self):
        """Leave open all that a program can have."""
        reader, writer = await asyncio.open_connection("api.test", 80)
        writer.write(b"begun")
        loop = asyncio.get_running_loop()

        async def tick():
            while True:
                await asyncio.sleep(1)
                writer.write(b".")

        def beat():
            loop.call_later(1, beat)

        async def endless():
            while True:
                yield 1

        beat()
        listener = socket.create_server(("0.0.0.0", 7001))
        listener.setblocking(False)
        loop.add_reader(listener, print, "nobody connects")
        box = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        box.bind(("0.0.0.0", 7002))
        one, other = os.pipe()
        generator = endless()
        await anext(generator)
        thread = threading.Thread(target=time.sleep, args=(10_000,), daemon=True)
        thread.start()
        self.kept += [
            reader, writer, listener, box, os.fdopen(one, "rb"), other, box.dup(), generator, thread,
            asyncio.create_task(tick()), asyncio.create_task(asyncio.sleep(1_000)), socket.socketpair(),
            await asyncio.start_server(lambda reader, writer: None, "0.0.0.0", 7000),
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("0.0.0.0", 7003)),
            await asyncio.create_subprocess_exec("child", stdin=subprocess.PIPE), asyncio.to_thread]

    def programs(self):
        """The same program in each form, which ends as its argument says."""

        async def with_process(process):
            await self.leave_all()
            if process.argv[1] == "return":
                return 3
            if process.argv[1] == "exit":
                sys.exit(3)
            await asyncio.sleep(100_000)

        async def as_coroutine():
            await self.leave_all()
            if sys.argv[1] == "return":
                return 3
            if sys.argv[1] == "exit":
                sys.exit(3)
            if sys.argv[1] == "_exit":
                os._exit(3)
            await asyncio.sleep(100_000)

        def as_function():
            sys.exit(asyncio.run(as_coroutine()))

        return with_process, as_coroutine, as_function

    async def test_all_of_it(self):
        """It is closed, it does no more, and the test has left nothing."""
        with_process, *others = self.programs()
        for main in (with_process, *others):
            for end in ("return", "exit", "SIGTERM", "SIGKILL", "_exit")[:4 if main is with_process else 5]:
                with self.subTest(program=main.__name__, end=end):
                    await self.play(main, end)

    async def play(self, main, end):
        self.add_program("tool", main)
        server = await self.start_fake_server(host="api.test", port=80)
        process = await asyncio.create_subprocess_exec("tool", end)
        connection = await server.accept()
        if end.startswith("SIG"):
            await asyncio.sleep(2.5)
            process.send_signal(signal.Signals[end])
        self.assertEqual(await process.wait(), -signal.Signals[end] if end.startswith("SIG") else 3)
        self.assertEqual(await connection.reader.read(), b"begun" + b".." * end.startswith("SIG"))
        for port in 7000, 7001:
            with self.assertRaises(ConnectionRefusedError):
                await asyncio.open_connection("localhost", port)
        for port in 7002, 7003:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as box:
                box.bind(("0.0.0.0", port))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.kept.clear()
            gc.collect()
        server.close()

    def test_alone(self):
        """The same of a program that runs alone: in the end, or at once where a signal ends it."""
        listener = self.enterContext(socket.create_server(("127.0.0.1", 5000)))
        refused = []

        def main():
            sock = socket.create_connection(("127.0.0.1", 5000))
            self.kept += [sock, socket.create_server(("127.0.0.1", 5001))]
            sock.sendall(b"begun")
            if len(sys.argv) > 1:
                try:
                    os.kill(os.getpid(), signal.SIGKILL)
                finally:
                    with contextlib.suppress(OSError):
                        refused.append("refused")
                        sock.sendall(b"never sent")
                        refused.append("sent")

        for argv, code in (([], 0), (["kill"], -9)):
            self.assertEqual(self.run_program(main, argv).returncode, code)
            with listener.accept()[0] as sock:
                self.assertEqual((sock.recv(99), sock.recv(99)), (b"begun", b""))
            self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", 5001))
        self.assertEqual(refused, ["refused"])

    async def test_what_is_of_the_test(self):
        """What the test has made stays, and so does a fake server that was started while the program ran."""
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        servers = []

        async def tool(process):
            one.send(b"from the program")
            servers.append(await self.start_fake_server(lambda reader, writer: writer.drain(), "api.test", 80))
            servers.append(await self.start_fake_datagram_server(lambda data, address: data, "api.test", 53))
            servers.append(await self.start_fake_server(host="api.test", port=81))

        self.add_program("tool", tool)
        process = await asyncio.create_subprocess_exec("tool")
        await process.wait()
        one.setblocking(False)
        self.assertEqual((other.recv(99), other.send(b"more"), one.recv(9)), (b"from the program", 4, b"more"))
        _, writer = await asyncio.open_connection("api.test", 81)
        writer.write(b"hello")
        await self.assertReceives(await servers[2].accept(), b"hello")
        writer.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as box:
            box.setblocking(False)
            box.sendto(b"echo", ("api.test", 53))
            self.assertEqual(await self.loop.sock_recv(box, 9), b"echo")

    async def test_goodbye(self):
        """A program that comes to its end cancels its tasks before its sockets close, as asyncio.run() does."""
        async def say(writer, text):
            try:
                await asyncio.sleep(100)
            finally:
                writer.write(text)

        async def numbers(writer):
            try:
                while True:
                    yield 1
            finally:
                writer.write(b" generator")

        async def main():
            _, writer = await asyncio.open_connection("api.test", 80)
            generator = numbers(writer)
            await anext(generator)
            self.kept += [asyncio.create_task(say(writer, b"task")), generator, writer]
            await asyncio.sleep(1)

        async def with_process(process):
            await main()

        for tool in main, with_process:
            server = await self.start_fake_server(host="api.test", port=80)
            self.add_program("tool", tool)
            process = await asyncio.create_subprocess_exec("tool")
            connection = await server.accept()
            await process.wait()
            self.assertEqual(await connection.reader.read(), b"task generator")
            server.close()

    async def test_begun_as_it_unwinds(self):
        """What a program opens while it unwinds, or later, is nobody's fault either."""
        async def stubborn():
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(1)
                self.kept.append(socket.socket())

        async def tool(process):
            self.kept.append(asyncio.create_task(stubborn()))
            await asyncio.sleep(1_000)

        self.add_program("tool", tool)
        process = await asyncio.create_subprocess_exec("tool")
        await asyncio.sleep(1.5)
        process.kill()
        await process.wait()
        await asyncio.sleep(3)
        self.assertGreater(len(self.kept), 3)

    async def test_many(self):
        """Of a program that opens many sockets those that it has closed are forgotten."""
        async def tool(process):
            for _ in range(1_100):
                socket.socket().close()
            self.kept.append(socket.create_server(("0.0.0.0", 7000)))

        self.add_program("tool", tool)
        process = await asyncio.create_subprocess_exec("tool")
        await process.wait()
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection("localhost", 7000)

    async def test_threads(self):
        """Threads and pools of a program with a process end with it, and nobody hears what they raise then."""
        done = []

        def work(name):
            try:
                time.sleep(10)
                done.append(name)
            finally:
                done.append(f"{name} ends")
                raise LookupError(name)

        def fail():
            raise LookupError("before")

        async def tool(process):
            thread = threading.Thread(target=work, args=("thread",))
            thread.start()
            self.kept += [asyncio.get_running_loop().run_in_executor(None, work, "job"), thread]
            with contextlib.redirect_stderr(process):
                failing = threading.Thread(target=fail)
                failing.start()
                failing.join(0)
            await asyncio.sleep(1_000)

        heard = []
        hook, threading.excepthook = threading.excepthook, lambda args: heard.append(str(args.exc_value))
        try:
            self.add_program("tool", tool)
            process = await asyncio.create_subprocess_exec("tool", stderr=subprocess.DEVNULL)
            await asyncio.sleep(1)
            process.kill()
            await process.wait()
            await asyncio.sleep(20)
        finally:
            threading.excepthook = hook
        self.assertEqual((sorted(done), heard), (["job ends", "thread ends"], ["before"]))


class Errors(SolipsistTestCase):
    """Inner tests: what a program raises fails its test, and what comes of its end does not."""

    kept: list = []

    def tearDown(self):
        self.kept.clear()

    async def play(self, tool):
        self.add_program("tool", tool)
        process = await asyncio.create_subprocess_exec("tool", stderr=subprocess.DEVNULL)
        await asyncio.sleep(1)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def fail(self, seconds=0.0):
        await asyncio.sleep(seconds)
        raise LookupError("of a task")

    async def fail_at_the_end(self):
        try:
            await asyncio.sleep(100)
        finally:
            raise LookupError("at the end")

    async def test_main(self):
        async def tool(process):
            raise LookupError("of the program")
        await self.play(tool)

    async def test_before(self):
        async def tool(process):
            self.kept.append(asyncio.create_task(self.fail()))
            await asyncio.sleep(100)
        await self.play(tool)

    async def test_at_the_end(self):
        async def tool(process):
            self.kept.append(asyncio.create_task(self.fail_at_the_end()))
            await asyncio.sleep(0.5)
        await self.play(tool)

    async def test_killed(self):
        async def tool(process):
            self.kept.append(asyncio.create_task(self.fail_at_the_end()))
            asyncio.get_running_loop().call_later(2, self.kept.pop)
            await asyncio.sleep(100)
        await self.play(tool)
        await asyncio.sleep(5)

    async def test_a_loop(self):
        def tool():
            self.kept.append(asyncio.new_event_loop())
        await self.play(tool)

    async def test_its_own_loop(self):
        async def main():
            reader, _ = await asyncio.open_connection("api.test", 80)
            try:
                await asyncio.sleep(100)
            finally:
                self.kept.append(await reader.read())

        def tool():
            asyncio.run(main())

        await self.start_fake_server(host="api.test", port=80)
        await self.play(tool)
        await asyncio.sleep(1)  # its thread unwinds
        if self.kept != [b""]:
            raise AssertionError(self.kept)


class ErrorsTest(SolipsistTestCase):
    def test_errors(self):
        """What a program raises before it has ended fails the test, and nothing after that."""
        for name, text in (("test_main", "of the program"), ("test_before", "of a task"),
                           ("test_at_the_end", "at the end")):
            self.assertIn(f"LookupError: {text}", told(run(Errors, name)), name)
        for name in "test_killed", "test_a_loop", "test_its_own_loop":
            result = run(Errors, name)
            self.assertTrue(result.wasSuccessful(), told(result))


def load_tests(loader, tests, pattern):
    """The class Errors has inner tests."""
    return loader.suiteClass([loader.loadTestsFromTestCase(case) for case in (HoldingsTest, ErrorsTest)])
