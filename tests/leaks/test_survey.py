"""What a test leaves behind fails it, in one report, each thing with the line where it was made."""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import gc
import logging.handlers
import os
import re
import socket
import threading
import time
import unittest
import warnings
import weakref
from unittest import mock

from solipsism_unittest import SolipsistTestCase, fail_on
from solipsism_unittest.leaks import ending
from tests.case.test_case import run, told


def case_of(body, **attributes):
    """A test class whose only test is this coroutine function."""
    return type("Case", (SolipsistTestCase,), {"test": body, "__module__": __name__, **attributes})


def made_in(body, line):
    """What a report says of a thing that the given line (from 1, the `def` being 0) of a function made."""
    return f"made at {re.escape('tests/leaks')}.test_survey.py:{body.__code__.co_firstlineno + line} in "


class KindsTest(unittest.TestCase):
    def check(self, leaky, clean, count, expected, line):
        """The leaky test fails once, with the text and the line; its clean twin passes."""
        result = run(case_of(leaky))
        text = told(result)
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0), text)
        self.assertIn(f"the test left {count} behind", text)
        self.assertRegex(text, expected)
        self.assertRegex(text, made_in(leaky, line))
        self.assertEqual(told(run(case_of(clean))), "")

    def test_task(self):
        """A pending task."""

        async def leaky(self):
            self.task = asyncio.create_task(asyncio.sleep(5), name="ticker")
            await asyncio.sleep(1)

        async def clean(self):
            await asyncio.create_task(asyncio.sleep(5))

        self.check(leaky, clean, "1 thing", r"1 pending task\n    ticker \(sleep\) .*waits for sleep\(5\)", 1)

    def test_inside_a_task_of_asyncio(self):
        """What asyncio makes in a task of its own is told with the line that had the task made."""

        async def leaky(self):
            self.streams = await asyncio.gather(asyncio.open_connection("api.test", 80))

        async def clean(self):
            [(_, writer)] = await asyncio.gather(asyncio.open_connection("api.test", 80))
            writer.close()
            await writer.wait_closed()

        async def serve(self):
            await self.start_fake_server(host="api.test", port=80)

        for body in (leaky, clean):
            body.__qualname__ = body.__name__
        result = run(case_of(leaky, asyncSetUp=serve))
        self.assertRegex(told(result), made_in(leaky, 1))
        self.assertEqual(told(run(case_of(clean, asyncSetUp=serve))), "")

    def test_a_hang_in_a_cleanup(self):
        """A cleanup that waits for ever is told with its name: its traceback has no line of the test."""

        async def body(self):
            self.addAsyncCleanup(asyncio.Event().wait)

        result = run(case_of(body))
        self.assertEqual((len(result.failures), len(result.errors)), (0, 1))
        self.assertIn("SleepForeverError", told(result))
        self.assertIn("in the cleanup Event.wait", told(result))

    def test_the_test_itself_is_no_leftover(self):
        """A test that refuses to end is told as a hang, and not again as something that it left."""

        async def body(self):
            while True:
                with contextlib.suppress(BaseException):
                    await self.loop.create_future()

        result = run(case_of(body))
        text = told(result)
        self.assertEqual((len(result.failures), len(result.errors)), (0, 1), text)
        self.assertIn("SleepForeverError", text)
        self.assertNotIn("behind", text)

    def test_timer(self):
        """A timer."""

        async def leaky(self):
            self.loop.call_later(5, print, "never")

        async def clean(self):
            self.loop.call_later(5, print, "never").cancel()

        self.check(leaky, clean, "1 thing", r"1 timer\n    due at t=5\.0 \(now t=0\.0\), calls print", 1)

    def test_ready_handle(self):
        """A callback that puts itself into the queue again and again."""

        async def leaky(self):
            def again():
                self.loop.call_soon(again)
            again()

        async def clean(self):
            self.loop.call_soon(lambda: self.loop.call_soon(str))

        self.check(leaky, clean, "1 thing", r"1 ready handle\n    calls .*again \(tests.leaks.test_survey\.py:\d+\)", 2)

    def test_server(self):
        """A server, which is one thing though it listens on two addresses."""

        async def leaky(self):
            self.server = await asyncio.start_server(print, "localhost", 80)

        async def clean(self):
            server = await asyncio.start_server(print, ["127.0.0.1", "::1"], 80)
            server.close()
            await server.wait_closed()

        self.check(leaky, clean, "1 thing", r"1 open server\n    <Server listening on 127\.0\.0\.1:80", 1)

    def test_server_on_two_addresses(self):
        """A server that listens on several addresses is one thing, told with all of them."""

        async def leaky(self):
            self.server = await asyncio.start_server(print, ["127.0.0.1", "::1"], 80)

        text = told(run(case_of(leaky)))
        self.assertIn("the test left 1 thing behind", text)
        self.assertIn("<Server listening on 127.0.0.1:80, ::1:80>", text)

    def test_transport(self):
        """A client's connection."""

        async def leaky(self):
            server = await self.start_fake_server(host="api.test", port=443)
            self.streams = await asyncio.open_connection(*server.address)

        async def clean(self):
            server = await self.start_fake_server(host="api.test", port=443)
            _, writer = await asyncio.open_connection(*server.address)
            writer.close()

        self.check(leaky, clean, "1 thing", r"1 open transport\n    <SelectorSocketTransport .* > 198\..*:443 ", 2)

    def test_unsent_bytes(self):
        """A closed connection that cannot get rid of its last bytes, and how many they are."""

        async def leaky(self):
            one, self.two = socket.socketpair()
            one.setblocking(False)
            _, self.writer = await asyncio.open_connection(sock=one)
            self.writer.write(bytes(10_000_000))
            self.writer.close()
            self.addCleanup(self.two.detach)

        async def clean(self):
            one, two = self.socketpair(capacity=100)
            reader, writer = await asyncio.open_connection(sock=one)
            writer.write(bytes(1_000))
            writer.close()

        self.check(leaky, clean, "2 things", r"<SelectorSocketTransport .*, \d{7} bytes unsent>", 1)

    def test_socket(self):
        """A socket without a transport."""

        async def leaky(self):
            self.socket = socket.socket()

        async def clean(self):
            socket.socket().close()

        self.check(leaky, clean, "1 thing", r"1 open socket\n    <stream unbound fresh>", 1)

    def test_socket_collected_as_garbage(self):
        """A socket that nobody closed and Python collected."""

        async def leaky(self):
            socket.socket()

        async def clean(self):
            with socket.socket():
                pass

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self.check(leaky, clean, "1 thing", "never closed and collected as garbage", 1)

    def test_writer_collected_as_garbage(self):
        """A client that forgets its writer: asyncio closes it, but with nobody looking, so it is told."""

        async def leaky(self):
            server = await self.start_fake_server()
            await asyncio.open_connection(*server.address)

        async def clean(self):
            server = await self.start_fake_server()
            _, writer = await asyncio.open_connection(*server.address)
            writer.close()

        before = vars(asyncio.StreamWriter)["__del__"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self.check(leaky, clean, "1 thing", "never closed and collected as garbage", 2)
        self.assertIs(vars(asyncio.StreamWriter)["__del__"], before)
        # Python up to 3.11.4 collects the writer alone, and the connection stays open.
        del asyncio.StreamWriter.__del__
        try:
            self.check(leaky, clean, "1 thing", "1 open (transport|socket)", 2)
        finally:
            asyncio.StreamWriter.__del__ = before

    def test_registrations(self):
        """What add_reader() and add_writer() registered, on a socket that is closed too."""

        async def reader(self):
            self.loop.add_reader(self.socket, str)

        async def writer(self):
            self.loop.add_writer(self.pair[0], str)
            self.pair[0].close()
            self.socket.close()

        async def clean(self):
            self.socket.close()
            for end in self.pair:
                self.loop.add_reader(end, print)
                self.loop.add_writer(end, print)
                self.loop.remove_writer(end)
            self.loop.remove_reader(self.pair[0])
            self.addCleanup(self.loop.remove_reader, self.pair[1])

        async def pair(self):
            self.pair = self.socketpair()
            self.socket = socket.socket()

        for body, expected in ((reader, r"registered callback\n    add_reader\(<stream unbound fresh>\), calls str"),
                               (writer, r"registered callback\n    add_writer\(closed descriptor \d+\), calls str")):
            with self.subTest(body.__name__):
                text = told(run(case_of(body, asyncSetUp=pair)))
                self.assertRegex(text, expected)
                self.assertRegex(text, made_in(body, 1))
        self.assertEqual(told(run(case_of(clean, asyncSetUp=pair))), "")

    def test_async_generator(self):
        """An async generator that was begun and not ended; one that nobody holds any more is finished by asyncio."""

        async def numbers():
            yield 1
            yield 2

        async def leaky(self):
            self.numbers = numbers()
            await anext(self.numbers)

        async def clean(self):
            async for _ in numbers():
                break
            self.numbers = numbers()
            async with contextlib.aclosing(self.numbers):
                await anext(self.numbers)
            self.never_begun = numbers()

        self.check(leaky, clean, "1 thing", r"not finished\n    .*numbers stands at tests.leaks.test_survey\.py:\d+", 2)

    def test_generator_of_a_pending_task(self):
        """A generator that a pending task goes through is no leak of its own."""

        async def numbers():
            yield 1
            await asyncio.sleep(100)

        async def leaky(self):
            async def walk():
                async for _ in numbers():
                    await asyncio.sleep(first)

            first = 0
            self.inside = asyncio.create_task(walk())
            await asyncio.sleep(1)
            first = 100
            self.between = asyncio.create_task(walk())
            await asyncio.sleep(1)

        text = told(run(case_of(leaky)))
        self.assertIn("the test left 2 things behind", text)
        self.assertIn("2 pending tasks", text)

    def test_thread(self):
        """A thread that is alive; one that is about to end is waited for, and one of background() is meant."""

        async def leaky(self):
            thread = threading.Thread(target=self.over.wait, name="listener", daemon=True)
            thread.start()
            started.append(thread)

        async def clean(self):
            threading.Thread(target=time.sleep, args=(0.05,)).start()
            joined = threading.Thread(target=self.over.wait)
            joined.start()
            with self.background():
                threading.Thread(target=self.over.wait).start()
            self.over.set()
            joined.join()

        over, started = threading.Event(), []
        result = run(case_of(leaky, over=over))
        over.set()
        started[0].join()
        self.assertRegex(told(result), r"1 thread alive\n    Thread listener \(daemon\), stands at")
        self.assertRegex(told(result), made_in(leaky, 2))
        self.assertEqual(told(run(case_of(clean, over=threading.Event()))), "")

    def test_many_threads(self):
        """Of hundreds of threads that have come and gone only the one that is alive is told."""

        async def leaky(self):
            for _ in range(250):
                thread = threading.Thread(target=str)
                thread.start()
                thread.join()
            last.start()
            self.assertLess(len(self.loop.world.jobs.started), 120)

        over = threading.Event()
        last = threading.Thread(target=over.wait, name="last")
        text = told(run(case_of(leaky)))
        over.set()
        last.join()
        self.assertIn("the test left 1 thing behind", text)
        self.assertIn("Thread last, stands at", text)

    def test_timer_thread(self):
        """A threading.Timer that has not fired, which is cancelled then."""

        async def leaky(self):
            self.timer = timers[0]
            self.timer.start()

        async def clean(self):
            timer = threading.Timer(100, print)
            timer.start()
            timer.cancel()

        timers = [threading.Timer(100, print)]
        self.check(leaky, clean, "1 thing", r"1 thread alive\n    Timer Thread-\d+", 2)
        timers[0].join(10)
        self.assertFalse(timers[0].is_alive())

    def test_pool(self):
        """The workers of a thread pool that is not shut down; the one of asyncio, or an older one, is no leak."""

        async def leaky(self):
            pools.append(concurrent.futures.ThreadPoolExecutor(1))
            pools[0].submit(str)

        async def clean(self):
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                await self.loop.run_in_executor(pool, str)
            await asyncio.to_thread(str)
            older.submit(str).result()

        pools = []
        with concurrent.futures.ThreadPoolExecutor(1) as older:
            self.check(leaky, clean, "1 thing", r"1 thread alive\n    Thread ThreadPoolExecutor-\d+_0, stands at", 2)
        self.assertTrue(pools[0]._shutdown)

    def test_unread_exception(self):
        """The error of a task that nobody read, also of one that holds itself; read errors are none."""

        async def fail():
            raise ValueError("on purpose")

        async def leaky(self):
            self.task = asyncio.create_task(fail(), name="worker")
            await asyncio.sleep(0)

        async def collected(self):
            asyncio.create_task(fail(), name="worker")  # noqa: RUF006
            await asyncio.sleep(1)

        async def in_a_cycle(self):
            task = asyncio.create_task(fail(), name="worker")
            task.itself = task
            await asyncio.sleep(0)

        async def clean(self):
            self.task = asyncio.create_task(fail())
            with self.assertRaises(ValueError):
                await self.task
            await asyncio.gather(asyncio.create_task(fail()), return_exceptions=True)
            other = asyncio.create_task(fail())
            await asyncio.wait([other])
            other.exception()

        text = self.unseen(leaky, r"1 error went by unseen.*\n  1 task exception never read\n    worker \(.*fail\) "
                                  r"raised ValueError\('on purpose'\): await the task, or ask for its exception\(\)")
        self.assertRegex(text, made_in(leaky, 1))
        self.assertRegex(self.unseen(in_a_cycle, "1 task exception never read"), made_in(in_a_cycle, 1))
        with self.assertLogs("asyncio"):
            self.assertRegex(self.unseen(collected, "1 task exception never read\n    worker"), made_in(collected, 1))
        self.assertEqual(told(run(case_of(clean))), "")

    def unseen(self, body, expected):
        """The test fails, once, with the error's own traceback above the report; returns what is told."""
        result = run(case_of(body))
        text = told(result)
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0), text)
        self.assertRegex(text, expected)
        self.assertRegex(text, r"(?s)Traceback.*raise ValueError\(.on purpose.\)\n.*Error: on purpose\n.*direct cause")
        self.assertNotIn("asyncio/", text)
        return text

    def test_error_in_a_callback(self):
        """What a callback raises; a program's own handler takes it over."""

        def fail():
            raise ValueError("on purpose")

        async def leaky(self):
            self.loop.call_soon(fail)
            await asyncio.sleep(0)

        async def clean(self):
            self.loop.set_exception_handler(lambda loop, context: seen.append(context["exception"]))
            await leaky(self)

        async def handed_on(self):
            self.loop.set_exception_handler(lambda loop, context: loop.default_exception_handler(context))
            await leaky(self)

        seen = []
        for body in (leaky, handed_on):
            with self.subTest(body.__name__), self.assertLogs("asyncio"):
                self.unseen(body, r"1 error that nobody caught\n    callback .*fail \(\S*test_survey\.py:\d+\) "
                                  r"raised .*\('on purpose'\)\n      raised at \S*test_survey\.py:\d+ in .*fail")
        self.assertEqual((told(run(case_of(clean))), len(seen)), ("", 1))

    def test_errors_beside_each_other(self):
        """Of several errors each has its traceback; a test that fails itself has them in a note."""

        async def leaky(self):
            self.loop.call_soon(int, "x")
            self.loop.call_soon(int, "y")
            await asyncio.sleep(0)
            if fails:
                self.fail("of the test")

        for fails in (False, True):
            with self.subTest(fails), self.assertLogs("asyncio"):
                result = run(case_of(leaky))
                self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
                self.assertEqual(told(result).count("2 errors that nobody caught"), 1)
                for letter in "xy":
                    self.assertIn(f"ValueError: invalid literal for int() with base 10: '{letter}'\n", told(result))

    def test_what_failed_the_test_is_not_told_again(self):
        """An error that is the failure itself, or its cause, or in its group, is told once."""

        async def fail():
            raise ValueError("on purpose")

        async def test(self):
            task = asyncio.create_task(fail())
            await asyncio.wait([task])
            raise self.wrap(task._exception)

        def caused(error):
            other = KeyError()
            other.__cause__ = error
            return other

        for wrap in (lambda error: error, caused, lambda error: ExceptionGroup("all", [error])):
            result = run(case_of(test, wrap=staticmethod(wrap)))
            self.assertNotIn("unseen", told(result))
            self.assertEqual((len(result.errors), len(result.failures)), (1, 0))

    def test_destroyed_task(self):
        """A pending task that Python collects is told with the line that made it."""

        async def leaky(self):
            async def wait():
                await self.loop.create_future()

            asyncio.create_task(wait(), name="lost")  # noqa: RUF006
            await asyncio.sleep(0)
            gc.collect()

        with self.assertLogs("asyncio"):
            text = told(run(case_of(leaky)))
        self.assertRegex(text, r"1 pending task\n    lost \(.*wait\), which was collected as garbage: keep a reference")
        self.assertRegex(text, made_in(leaky, 4))

    def test_error_of_a_job(self):
        """The error of an executor job whose future nobody awaited, also where the test keeps it."""

        def fail():
            raise ValueError("on purpose")

        async def leaky(self):
            self.job = self.loop.run_in_executor(None, fail)
            await asyncio.wait([self.job])

        async def clean(self):
            with self.assertLoopException(ValueError):
                self.job = self.loop.run_in_executor(None, fail)
                await asyncio.wait([self.job])
            with self.assertRaises(ValueError):
                await asyncio.to_thread(fail)

        text = self.unseen(leaky, r"task exception never read\n    executor job .*fail raised ValueError\(")
        self.assertRegex(text, made_in(leaky, 1))
        self.assertEqual(told(run(case_of(clean))), "")

    def test_error_of_a_future_that_the_test_keeps(self):
        """The error of a gather(), or of a plain future, that the test case keeps and nobody read."""

        async def fail():
            raise ValueError("on purpose")

        async def gathered(self):
            self.all = asyncio.gather(fail())
            await asyncio.sleep(1)

        async def plain(self):
            self.future = self.loop.create_future()
            self.read = self.loop.create_future()
            for future in self.future, self.read:
                future.set_exception(ValueError("on purpose"))
            self.read.exception()
            await asyncio.sleep(0)

        with self.assertNoLogs("asyncio"):
            for body, who in ((gathered, "gather()"), (plain, "a future")):
                self.assertIn(f"    {who} raised ValueError('on purpose'): await the future", told(run(case_of(body))))

    def test_error_of_a_task_that_a_cleanup_cancels(self):
        """That a cleanup cancels a task which has failed long ago does not hide its error."""

        async def fail():
            raise ValueError("on purpose")

        async def leaky(self):
            task = asyncio.create_task(fail())
            self.addCleanup(task.cancel)
            await asyncio.sleep(1)

        async def clean(self):
            task = asyncio.create_task(asyncio.sleep(5))
            self.addCleanup(task.cancel)
            failing = asyncio.create_task(fail())
            self.addCleanup(failing.cancel)
            await asyncio.wait([failing])
            self.assertIsInstance(failing.exception(), ValueError)

        self.assertRegex(self.unseen(leaky, "1 task exception never read"), made_in(leaky, 1))
        self.assertEqual(told(run(case_of(clean))), "")

    @unittest.skipUnless(hasattr(asyncio, "eager_task_factory"), "from Python 3.12 on")
    def test_eager_tasks(self):
        """A task that fails before its first await is told by the name of its coroutine."""

        async def fail():
            raise ValueError("on purpose")

        async def leaky(self):
            self.loop.set_task_factory(asyncio.eager_task_factory)
            self.task = asyncio.create_task(fail(), name="worker")

        self.unseen(leaky, r"worker \(.*fail\) raised ValueError")

    def test_errors_that_let_nothing_be_set(self):
        """An error that unittest cannot tell as a cause, a frozen one, is told as a note; the suite goes on."""

        @dataclasses.dataclass(frozen=True)
        class Frozen(Exception):
            code: int

        async def fail():
            raise Frozen(5)

        async def leaky(self):
            self.task = asyncio.create_task(fail())
            await asyncio.sleep(0)

        result = run(case_of(leaky))
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
        self.assertRegex(told(result), r"(?s)1 error went by unseen.*also: Traceback.*raise Frozen\(5\)")

    def test_many_errors(self):
        """Of thousands of errors some are told with their traceback, and the others counted."""

        async def leaky(self):
            self.tasks = [asyncio.create_task(asyncio.sleep("x")) for _ in range(1000)]
            await asyncio.sleep(0)

        text = told(run(case_of(leaky)))
        self.assertIn("1000 task exceptions never read", text)
        self.assertIn("and 994 more tracebacks", text)
        self.assertLess(text.count("\n"), 150)

    def test_timer_of_a_builtin_method(self):
        """A timer that calls a method of a built-in type, or a future's."""

        async def leaky(self):
            self.future = self.loop.create_future()
            self.loop.call_later(5, self.future.set_result, 1)
            self.loop.call_later(5, [].append, 1)

        text = told(run(case_of(leaky)))
        self.assertIn("2 timers", text)
        self.assertRegex(text, made_in(leaky, 2))
        self.assertRegex(text, made_in(leaky, 3))

    def test_generator_that_is_being_closed(self):
        """The closing of a generator that was left before its end is told as that."""

        async def numbers():
            try:
                yield 1
            finally:
                await asyncio.sleep(100)

        async def leaky(self):
            async for _ in numbers():
                break

        text = told(run(case_of(leaky)))
        self.assertRegex(text, r"task\n    Task-\d+ \(aclose\(\) of .*numbers, which was left before its end\)")
        self.assertRegex(text, made_in(numbers, 2))

    def test_a_job_that_never_ends(self):
        """A job that waits for ever is told with its stack after a moment; one of background() is meant to run on."""

        async def leaky(self):
            self.job = self.loop.run_in_executor(None, over.wait)

        async def in_finally(self):
            async def work():
                try:
                    await asyncio.sleep(100)
                finally:
                    await asyncio.to_thread(over.wait)

            self.task = asyncio.create_task(work())
            await asyncio.sleep(0)

        async def clean(self):
            with self.background():
                self.job = self.loop.run_in_executor(None, over.wait)

        over = threading.Event()
        self.addCleanup(over.set)
        started = time.perf_counter()
        text = told(run(case_of(leaky)))
        self.assertRegex(text, r"1 thread alive\n    executor job Event.wait, stands at")
        self.assertRegex(text, made_in(leaky, 1))
        with mock.patch.object(ending, "REAL_SECONDS", 0.1):
            text = told(run(case_of(in_finally)))
        self.assertRegex(text, r"(?s)1 pending task.*when it was ended: RealTimeLimitError: what holds the clock")
        self.assertEqual(told(run(case_of(clean))), "")
        self.assertLess(time.perf_counter() - started, 30)

    def test_values_that_are_no_values(self):
        """A dead proxy among the variables of a test or of a task does no harm."""

        async def fails(self):
            dead = weakref.proxy(type("Gone", (), {})())  # noqa: F841
            self.fail("of the test")

        async def leaky(self):
            async def wait():
                dead = weakref.proxy(type("Gone", (), {})())  # noqa: F841
                await asyncio.Event().wait()

            self.task = asyncio.create_task(wait())
            await asyncio.sleep(0)

        result = run(case_of(fails))
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
        self.assertIn("1 pending task", told(run(case_of(leaky))))

    def test_an_error_that_is_raised_in_two_tests(self):
        """The report of one test does not come with the same error in the next."""
        error = ValueError("the same")

        class Case(SolipsistTestCase):
            async def test_a(self):
                self.task = asyncio.create_task(asyncio.sleep(1))
                raise error

            async def test_b(self):
                raise error

        result = run(Case)
        self.assertEqual(["behind" in text for _, text in result.errors], [True, False])

    def test_place_in_the_standard_library(self):
        """What a module of the standard library makes is told with the user's line as well."""

        async def leaky(self):
            self.handler = logging.handlers.SysLogHandler(("127.0.0.1", 514))

        text = told(run(case_of(leaky)))
        self.assertRegex(text, r"made at .*handlers\.py:\d+ in SysLogHandler\.createSocket, called from "
                               rf"tests.leaks.test_survey\.py:{leaky.__code__.co_firstlineno + 1} in ")

    def test_our_frames_do_not_show(self):
        """Where a thread stands is told with its own lines, though one of ours is the innermost."""

        def work():
            time.sleep(0.5)

        async def leaky(self):
            self.thread = threading.Thread(target=work)
            self.thread.start()
            time.perf_counter()

        with mock.patch("solipsism_unittest.stdlib.threads.workers.LINGER", 0.05):
            result = run(case_of(leaky))
        self.assertIn("1 thread alive", told(result))
        self.assertNotRegex(told(result), r"solipsism_unittest.\w+\.py")

    def test_tasks_that_nobody_holds(self):
        """A pending task that only a cycle holds is found, told with what it waits for, and really ended."""
        ended = []

        async def leaky(self):
            async def listen():
                try:
                    await asyncio.Queue().get()
                finally:
                    ended.append(asyncio.get_running_loop() is self.loop)

            async def fail():
                raise ValueError("on purpose")

            with self.assertRaises(ValueError):
                await asyncio.gather(listen(), fail())

        async def clean(self):
            async def listen():
                await asyncio.Queue().get()

            with self.background():
                asyncio.create_task(listen())  # noqa: RUF006
                self.numbers = numbers()
                await anext(self.numbers)
            await asyncio.sleep(0)

        async def numbers():
            yield 1

        text = told(run(case_of(leaky)))
        self.assertIn("waits for get() from a queue that nobody puts into", text)
        self.assertEqual(ended, [True])
        self.assertEqual(told(run(case_of(clean))), "")

    def test_a_dropped_connection_is_a_transport(self):
        """A connection that is collected with its writer belongs to open_transports, as one that is kept."""

        async def leaky(self):
            server = await self.start_fake_server()
            await asyncio.open_connection(*server.address)
            gc.collect()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self.assertEqual(told(run(fail_on(open_transports=False)(case_of(leaky)))), "")
            self.assertIn("1 open transport", told(run(fail_on(open_sockets=False)(case_of(leaky)))))

    def test_frames_in_the_middle(self):
        """What a job raises is told without the frames that carried it."""

        async def fails(self):
            await asyncio.to_thread(int, "x")

        async def refused(self):
            await self.advance(-1)

        for body in (fails, refused):
            text = told(run(case_of(body)))
            self.assertIn("ValueError", text)
            self.assertNotRegex(text, r"solipsism_unittest.\w+\.py")

    def test_one_of_each(self):
        """A test with one of each kind gets one failure that names all, in the order of what explains what."""

        async def leaky(self):
            def again():
                self.loop.call_soon(again)

            again()
            self.task = asyncio.create_task(asyncio.Event().wait())
            self.loop.call_later(5, print)
            self.server = await asyncio.start_server(print, "127.0.0.1", 80)
            fake = await self.start_fake_server()
            self.streams = await asyncio.open_connection(*fake.address)
            self.socket = socket.socket()
            self.loop.add_reader(self.socket, str)
            self.numbers = count()

            await anext(self.numbers)
            self.unread = asyncio.create_task(asyncio.sleep("x"))

            asyncio.sleep(1)
            threading.Thread(target=over.wait).start()
            read, self.pipe = os.pipe()
            os.close(read)
            await asyncio.sleep(0)

        async def count():
            yield 1

        over = threading.Event()
        self.addCleanup(over.set)
        result = run(case_of(leaky))
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
        kinds = re.findall(r"^  (\d .*)", told(result), re.MULTILINE)
        self.assertEqual(kinds, [
            "1 coroutine never awaited", "1 task exception never read", "1 pending task", "1 timer", "1 ready handle",
            "1 registered callback", "1 open server", "1 open transport", "1 open socket", "1 open pipe end",
            "1 async generator not finished", "1 thread alive",
        ])
        lines = re.findall(r"made at tests.leaks.test_survey\.py:(\d+)", told(result))
        first = leaky.__code__.co_firstlineno
        self.assertEqual([int(line) - first for line in lines], [17, 15, 5, 6, 2, 11, 7, 9, 10, 19, 14, 18])


    def test_a_circle(self):
        """Two tasks that wait for each other are told, and ended."""

        async def leaky(self):
            async def wait_for(name):
                await getattr(self, name)

            self.one = asyncio.create_task(wait_for("two"), name="one")
            self.two = asyncio.create_task(wait_for("one"), name="two")
            await asyncio.sleep(0)

        text = told(run(case_of(leaky)))
        self.assertRegex(text, "  2 pending tasks\n.*one .*waits for task two\n.*\n.*two .*waits for task one\n")
        self.assertNotIn("refused", text)


class JudgementTest(unittest.TestCase):
    def test_cleanups_end_things(self):
        """What a tearDown or a cleanup cancels and closes was not left behind."""

        class Case(SolipsistTestCase):
            async def asyncSetUp(self):
                self.task = asyncio.create_task(asyncio.sleep(5))
                server = await self.start_fake_server()
                _, writer = await asyncio.open_connection(*server.address)
                self.addCleanup(writer.close)
                self.addCleanup(self.loop.call_later(5, print).cancel)
                self.socket = self.enterContext(socket.socket())

            async def test(self):
                self.addCleanup(asyncio.create_task(asyncio.sleep(5)).cancel)

            async def asyncTearDown(self):
                self.task.cancel()

        self.assertEqual(told(run(Case)), "")

    def test_what_the_helpers_made(self):
        """What socketpair(), stream_pairs() and start_fake_server() made is closed for the test."""

        async def test(self):
            self.pair = self.socketpair()
            self.streams = await self.stream_pairs()
            server = await self.start_fake_server(lambda reader, writer: reader.read())
            client = socket.socket()
            client.setblocking(False)
            await self.loop.sock_connect(client, ("127.0.0.1", server.port))
            await self.settle()
            self.assertEqual(len(server.connections), 1)
            client.close()

        self.assertEqual(told(run(case_of(test))), "")

    def test_timers_of_a_task_are_not_told_twice(self):
        """A pending task is one thing with its sleep, its timeout, its wait_for and its assertion together."""

        async def test(self):
            async def patient():
                async with asyncio.timeout(50):
                    await asyncio.wait([asyncio.create_task(asyncio.sleep(30))], timeout=40)

            tasks = [patient(), asyncio.wait_for(asyncio.sleep(20), 25),
                     self.assertCompletesWithin(asyncio.sleep(10), 15)]
            self.tasks = [asyncio.create_task(task) for task in tasks]
            await asyncio.sleep(1)

        text = told(run(case_of(test)))
        self.assertNotRegex(text, r"\d timer")
        self.assertRegex(text, r"the test left [45] things behind")
        self.assertRegex(text, r"\(assertCompletesWithin\) at .*, waits for sleep\(10\)")

    def test_many_of_one_place(self):
        """Things of one place are told three at most, equal ones as one with their number, and counted."""

        async def test(self):
            self.sockets = [socket.socket() for _ in range(7)]
            self.tasks = [asyncio.create_task(asyncio.sleep(1 + n), name=f"sleeper-{n}") for n in range(4)]

        text = told(run(case_of(test)))
        self.assertIn("the test left 11 things behind", text)
        self.assertIn("  7 open sockets\n    <stream unbound fresh> (x 3)\n    and 4 more of the same place\n", text)
        self.assertEqual(re.findall(r"sleeper-\d", text), ["sleeper-0", "sleeper-1", "sleeper-2"])
        self.assertEqual(text.count("made at"), 2)

    def test_the_next_test_is_clean(self):
        """What one test left cannot be seen by the next, and nothing is logged of it later."""

        class Case(SolipsistTestCase):
            async def fail_late(self):
                try:
                    await asyncio.sleep(1)
                finally:
                    raise ValueError("on being cancelled")

            async def test_a(self):
                self.task = asyncio.create_task(self.fail_late())
                self.server = await asyncio.start_server(print, "127.0.0.1", 80)
                self.loop.call_soon(lambda: None)
                await asyncio.sleep(0)

            async def test_b(self):
                self.server = await self.start_fake_server(port=80)
                self.assertEqual(asyncio.all_tasks(), {asyncio.current_task()})

        with self.assertNoLogs("asyncio"):
            result = run(Case)
            gc.collect(0)
        self.assertEqual([str(test).partition(" ")[0] for test, _ in result.failures + result.errors], ["test_a"])

    def test_virtual_time_for_last_wills(self):
        """A leaked task may still take its time in `finally`, also where autojump is off, and is ended properly."""
        calls = []

        class Case(SolipsistTestCase):
            autojump = False

            async def linger(self):
                try:
                    await asyncio.sleep(1)
                finally:
                    await asyncio.sleep(30)
                    calls.append("ended")

            async def test(self):
                self.task = asyncio.create_task(self.linger())
                await self.settle()

        text = told(run(Case))
        self.assertIn("left 1 thing behind", text)
        self.assertNotIn("refused", text)
        self.assertEqual(calls, ["ended"])

    def test_async_generators(self):
        """A generator that is not exhausted is told, and finished at the end of the test, in virtual time."""
        calls = []

        async def numbers():
            try:
                yield 1
            finally:
                await asyncio.sleep(5)
                calls.append("finished")

        async def test(self):
            self.numbers = numbers()
            self.assertEqual(await anext(self.numbers), 1)

        self.assertRegex(told(run(case_of(test))), made_in(test, 2))
        self.assertEqual(calls, ["finished"])

    def test_executor(self):
        """A job that still runs in the default executor is waited for."""
        calls = []

        async def test(self):
            self.job = self.loop.run_in_executor(None, calls.append, "done")

        self.assertEqual(told(run(case_of(test))), "")
        self.assertEqual(calls, ["done"])


if __name__ == "__main__":
    unittest.main()
