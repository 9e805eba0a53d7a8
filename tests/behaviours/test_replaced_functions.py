"""A program that replaces functions of the standard library: reports use none that it can reach."""

import ast
import asyncio
import os
import pathlib
import pkgutil
import signal
import socket
import sys
import time
import unittest
import unittest.mock

import solipsism_unittest
from solipsism_unittest import Script, SleepForeverError, SolipsistTestCase

REPLACED = (
    *(f"os.path.{name}" for name in ("abspath", "relpath", "normpath", "join", "dirname", "basename", "exists", "isabs",
                                     "realpath", "commonprefix")),
    "os.getcwd", "os.getpid", "os.listdir", "asyncio.all_tasks", "asyncio.current_task", "asyncio._get_running_loop",
    *(f"gc.{name}" for name in ("collect", "get_count", "get_objects", "get_referents", "get_referrers", "isenabled")),
    *(f"inspect.{name}" for name in ("getcoroutinestate", "iscoroutine", "isawaitable", "unwrap")),
    "threading.enumerate", "threading.current_thread", "threading.main_thread", "builtins.open",
    *(f"sys.{name}" for name in ("_current_frames", "_getframe", "gettrace", "getrefcount", "getswitchinterval",
                                 "get_coroutine_origin_tracking_depth", "set_coroutine_origin_tracking_depth")),
    "dis.get_instructions", "math.ulp", "operator.is_", "random.getstate", "re.escape",
)
# Whoever writes reports takes functions out of these when it is imported.
TAKEN = {"dis": (), "gc": (), "inspect": (), "traceback": (),
         "sys": ("_getframe", "getrefcount", "getswitchinterval", "gettrace"),
         "threading": ("current_thread", "enumerate", "get_ident", "main_thread"), "asyncio": ("_get_running_loop",)}
REPORTERS = "introspection", "hangs", "leaks", "case", "loop"


# Functions of asyncio that tests replace, and that the framework awaits or asks too.
OF_ASYNCIO = ("all_tasks", "create_task", "current_task", "ensure_future", "gather", "get_running_loop", "iscoroutine",
              "isfuture", "open_connection", "run_coroutine_threadsafe", "shield", "sleep", "timeout", "wait",
              "wait_for")
PACKAGE = pathlib.Path(solipsism_unittest.__file__).parent
SLEEP, CONNECT = asyncio.sleep, asyncio.open_connection


def blocked(*args, **kwargs):
    """What a blocker puts there."""
    raise ZeroDivisionError("blocked")


class Inner:
    """What is run into a result, and is found by no loader."""

    class Hang(SolipsistTestCase):
        """A test that hangs, with one function replaced, and a test that leaves something behind."""

        name = ""

        async def test_hang(self):
            lock = asyncio.Lock()
            await lock.acquire()
            self.enterContext(unittest.mock.patch(self.name, blocked))
            await lock.acquire()

        async def test_leak(self):
            self.patch()
            self.task = asyncio.create_task(asyncio.sleep(5), name="left")

        async def test_forgotten(self):
            self.later = asyncio.sleep(5)
            self.patch()

        async def test_signal(self):
            pid = os.getpid()
            self.patch()
            os.kill(pid, signal.SIGTERM)

        async def test_assertion(self):
            await asyncio.sleep(1)
            self.patch()
            self.assertEqual(self.loop.time(), 2)

        def patch(self):
            """Put the blocker there until after the end of the test."""
            unittest.mock.patch(self.name, blocked).start()


class ClockTest(unittest.TestCase):
    def test_out_of_reach(self):
        """No module of the framework has a clock among its names, where a tool that stops clocks would replace it."""
        clocks = {id(value): name for name, value in vars(time).items() if callable(value)}
        found = [(module_name, clocks[id(value)]) for module_name, module in sys.modules.items()
                 if module_name.partition(".")[0] == "solipsism_unittest"
                 for value in vars(module).values() if id(value) in clocks]
        self.assertEqual(found, [])

    def test_the_limits_of_a_test(self):
        """A test's real-time limit and its slow callbacks are measured by the machine's own clocks, whatever is set."""
        class Frozen(SolipsistTestCase):
            on_slow_callback = "fail"
            real_time_limit = 5

            async def test(self):
                for name in ("monotonic", "perf_counter", "thread_time", "time", "process_time"):
                    self.enterContext(unittest.mock.patch(f"time.{name}", return_value=1.3e9))
                for _ in range(100):
                    await asyncio.sleep(1)

        result = unittest.TestResult()
        Frozen("test").run(result)
        self.assertEqual((result.errors, result.failures), ([], []))


class TakenTest(unittest.TestCase):
    def test_when_it_is_imported(self):
        """No function of those folders asks a module for what a test may have replaced meanwhile."""
        for folder in REPORTERS:
            for path in (PACKAGE / folder).rglob("*.py"):
                functions = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                             if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
                asked = {ast.unparse(call.func) for function in functions for call in ast.walk(function)
                         if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
                         and isinstance(call.func.value, ast.Name) and call.func.value.id in TAKEN
                         and (call.func.attr in TAKEN[call.func.value.id] or not TAKEN[call.func.value.id])
                         and not call.func.attr.istitle()}
                with self.subTest(path.name):
                    self.assertEqual(asked, set())


class OwnWaitsTest(unittest.TestCase):
    """asyncio's functions, replaced from the first line of a test until after its end."""

    def test_out_of_reach(self):
        """Servers, scripts, proxies, pairs, jobs, waits of threads and assertions go on as if nothing was replaced."""
        class Case(SolipsistTestCase):
            async def test(self):
                for name in OF_ASYNCIO:
                    unittest.mock.patch(f"asyncio.{name}", blocked).start()
                script = Script().expect(b"PING").wait(2).send(b"PONG")
                await self.start_fake_server(None, "api.test", 80, script=script)
                proxy = await self.start_proxy("api.test", 80)
                proxy.set_delay(1)
                reader, writer = await CONNECT(proxy.host, proxy.port)
                writer.write(b"PING")
                await self.assertReceives(reader, b"PONG")
                self.assertNow(3)
                writer.close()
                (one, _), (two, other) = await self.stream_pairs()
                other.write(b"x")
                await self.assertBlocks(two.read(1), 1)
                await self.assertCompletesAfter(SLEEP(1), 1)
                self.assertEqual(await one.read(1), b"x")
                left, right = self.socketpair()
                right.settimeout(3)

                def receive():
                    return right.recv(1)

                self.loop.call_later(1, left.send, b"y")
                self.assertEqual(await self.loop.run_in_executor(None, receive), b"y")
                server = await self.start_fake_datagram_server(lambda data, address: data, "api.test", 53)
                with socket.socket(type=socket.SOCK_DGRAM) as sock:
                    sock.setblocking(False)
                    await self.loop.sock_sendto(sock, b"z", server.address)
                    self.assertEqual((await self.loop.sock_recvfrom(sock, 5))[0], b"z")
                await self.advance(1)

        self.addCleanup(unittest.mock.patch.stopall)
        result = unittest.TestResult()
        Case("test").run(result)
        self.assertEqual((result.errors, result.failures), ([], []))


class ReplacedTest(unittest.TestCase):
    def outcome(self, case, method):
        result = unittest.TestResult()
        owner, _, name = case.name.rpartition(".")
        owner = pkgutil.resolve_name(owner)
        real = getattr(owner, name)
        try:
            case(method).run(result)
        finally:
            setattr(owner, name, real)
        self.assertEqual(len(result.errors) + len(result.failures), 1)
        return (result.errors + result.failures)[0][1]

    def test_reports(self):
        """A hang, a leak, an escape and a failure are reported whatever function was replaced."""
        for name in REPLACED:
            case = type("Hang", (Inner.Hang,), {"name": name})
            with self.subTest(name):
                self.assertIn("coroutine 'sleep' was never awaited", self.outcome(case, "test_forgotten"))
                self.assertIn("EscapeError: os.kill(own pid, SIGTERM) would end the test runner "
                              "(tests/behaviours/test_replaced_functions.py:", self.outcome(case, "test_signal"))
                self.assertIn("1.0 != 2", self.outcome(case, "test_assertion"))
                self.assertRegex(self.outcome(case, "test_hang"),
                                 rf"(?s){SleepForeverError.__name__}: nothing can wake the program.*waits for Lock")
                self.assertRegex(self.outcome(case, "test_leak"), r"(?s)left 1 thing behind.*left \(sleep\)")


class BlockerTest(SolipsistTestCase):
    """A class that blocks sockets, in the place of `socket.socket`, as pytest-socket puts one there."""

    def block(self):
        class Guarded(socket.socket):
            def __new__(cls, *args, **kwargs):
                raise PermissionError("blocked")

        return unittest.mock.patch("socket.socket", Guarded)

    async def test_blocker(self):
        """It stops the program's sockets and those that asyncio makes for it, and none of the framework's own."""
        async def handler(reader, writer):
            writer.write(b"hello")
            writer.close()

        with self.block():
            await self.start_fake_server(handler, "api.test", 80)
            await self.start_fake_datagram_server(None, "api.test", 53)
            with self.assertRaisesRegex(PermissionError, "blocked"):
                socket.socket()
            with self.assertRaisesRegex(PermissionError, "blocked"):
                await asyncio.open_connection("api.test", 80)
        reader, writer = await asyncio.open_connection("api.test", 80)
        self.assertEqual(await reader.read(), b"hello")
        writer.close()
        await writer.wait_closed()
