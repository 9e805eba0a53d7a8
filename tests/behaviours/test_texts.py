"""The texts that people read most, word for word: the cause first, the facts, and what to do."""

import asyncio
import contextlib
import datetime
import itertools
import os
import queue
import re
import threading
import time
import unittest
import warnings
from datetime import date
from unittest import mock

from solipsism_unittest import Script, fail_on
from solipsism_unittest.errors import SlowCallbackWarning
from tests.behaviours.test_masked_mistakes import case_of, line_of, no_warnings
from tests.case.test_case import run, told
from tests.stdlib.threads.test_blocking import REAL_SLEEP, burn

HERE = "tests/behaviours/test_texts.py"


class TextsCase(unittest.TestCase):
    maxDiff = None

    def told_of(self, body, **attributes):
        """What a test that fails once says; Python itself adds nothing."""
        with no_warnings():
            result = run(case_of(body, **attributes))
        self.assertEqual(len(result.errors) + len(result.failures), 1, told(result))
        return told(result)

    def assert_order(self, text, *parts):
        """These parts stand in the text, each once, in this order."""
        for part in parts:
            self.assertEqual(text.count(part), 1, f"{part!r} in:\n{text}")
        self.assertEqual(sorted(parts, key=text.index), list(parts))


async def worker(name="x"):
    {}[name]


class RealClockTest(TextsCase):
    def test_clocks_of_c(self):
        """A failed assertion in code that reads a clock which stays real says so, with its line and what to do."""
        async def by_perf_counter(self):
            start = time.perf_counter()
            await asyncio.sleep(3600)
            self.assertGreater(time.perf_counter() - start, 3599)

        async def by_datetime(self):
            start = datetime.datetime.now()
            await asyncio.sleep(3600)
            self.assertGreater(datetime.datetime.now() - start, datetime.timedelta(hours=1))

        async def by_name(self):
            await asyncio.sleep(3600)
            self.assertEqual(date.today().year, 1970)

        wall = ", or set wall_start on the test class"
        for body, call, cure in ((by_perf_counter, "perf_counter", ""), (by_datetime, "datetime.now", wall),
                                 (by_name, "date.today", wall)):
            with self.subTest(call):
                self.assert_order(
                    self.told_of(body), "AssertionError: ",
                    f"\n{call}(), which {body.__qualname__} ({HERE}:{body.__code__.co_firstlineno}) calls, is real and "
                    f"does not follow virtual time: measure by time.monotonic() or loop.time(){cure}\n")

    def test_who_reads_none(self):
        """Nothing of it where no time has gone by, where the names mean something else, and where a test set the wall.
        """
        async def at_once(self):
            self.assertEqual(datetime.datetime.now(), 0)

        async def other_names(self):
            await asyncio.sleep(1)
            self.assertEqual(datetime.timedelta(seconds=self.now), 0)

        async def set_wall(self):
            await asyncio.sleep(1)
            self.assertEqual(datetime.datetime.now(), 0)

        for body, attributes in ((at_once, {}), (other_names, {}), (set_wall, {"wall_start": "now"})):
            with self.subTest(body.__name__):
                self.assertNotIn("virtual time", self.told_of(body, **attributes))


UNSEEN = "1 error went by unseen while the test ran, and the failure below may come of it\n"
CAUSE = "The above exception was the direct cause of the following exception"


class CauseFirstTest(TextsCase):
    def test_a_dead_task(self):
        """The error of a task that died stands above the assertion that failed because of it, and nowhere else."""
        async def body(self):
            self.task = asyncio.create_task(worker(), name="Worker")
            await asyncio.sleep(1)
            self.assertEqual("", "the worker's result")

        text = self.told_of(body)
        self.assert_order(text, f"KeyError: 'x'\n{UNSEEN}  Worker (worker) raised KeyError('x'): await the task, or "
                                f"ask for its exception()\n    made at {HERE}:{line_of(body, 1)} in "
                                f"{body.__qualname__}\n",
                          CAUSE, "AssertionError: '' != \"the worker's result\"")
        self.assertNotIn("also:", text)

    def test_a_dead_handler(self):
        """So does what the handler of a fake server raised; what other tasks died of comes behind."""
        async def handler(reader, writer):
            raise LookupError("of the handler")

        async def body(self):
            await self.start_fake_server(handler, "api.test", 80)
            self.task = asyncio.create_task(worker(), name="Worker")
            reader, writer = await asyncio.open_connection("api.test", 80)
            self.addCleanup(writer.close)
            self.assertEqual(await reader.read(), b"answer")

        text = self.told_of(body)
        self.assert_order(text, "LookupError: of the handler\nraised by the handler of <FakeServer api.test:80, 1 "
                                f"connection, 0 bytes received>, made at {HERE}:{line_of(body, 1)} in "
                                f"{body.__qualname__}\n", CAUSE, "AssertionError: b'' != b'answer'\n",
                          "also: 1 error went by unseen while the test ran")

    def test_a_hang(self):
        """A hang whose reason is a task that failed says so first."""
        async def body(self):
            event = asyncio.Event()
            self.task = asyncio.create_task(worker(), name="Worker")
            await event.wait()

        text = self.told_of(body)
        self.assert_order(text, f"KeyError: 'x'\n{UNSEEN}  Worker (worker) raised", CAUSE,
                          "SleepForeverError: nothing can wake")

    def test_handlers_that_raise_again(self):
        """A handler that raises the same for each connection is reported once, with how often it did."""
        async def handler(reader, writer):
            raise LookupError(f"of connection {len(connections)}")

        async def retried(self):
            connections.clear()
            await self.start_fake_server(handler, "api.test", 80)
            for _ in range(4):
                reader, writer = await asyncio.open_connection("api.test", 80)
                connections.append(await reader.read())
                writer.close()

        async def and_fails(self):
            await retried(self)
            self.fail("on purpose")

        async def by_script(self):
            await self.start_fake_server(host="api.test", port=80, script=Script().expect(b"hello"))
            for _ in range(3):
                reader, writer = await asyncio.open_connection("api.test", 80)
                writer.write(b"hallo")
                await reader.read()
                writer.close()
                await asyncio.sleep(1 / 3)  # later numbers have more digits

        connections = []
        text = self.told_of(retried)
        self.assert_order(text, "LookupError: of connection 0\n", "raised 3 more times\n")
        self.assertNotIn("also:", text)
        text = self.told_of(and_fails)
        self.assert_order(text, "LookupError: of connection 0\n", "raised 3 more times\n", CAUSE,
                          "AssertionError: on purpose")
        self.assertNotIn("also:", text)
        text = self.told_of(by_script)
        self.assert_order(text, "the script of connection 1 of api.test:80: ", "raised 2 more times\n")

    def test_a_script_that_does_not_fit_beside_a_failure(self):
        """No line of ours stands in a note: it has what the script says, and no traceback."""
        async def body(self):
            self.task = asyncio.create_task(worker(), name="Worker")
            await self.start_fake_server(handler, "first.test", 80)
            await self.start_fake_server(host="api.test", port=80, script=Script().expect(b"hello"))
            for host, data in (("first.test", b""), ("api.test", b"hallo")):
                reader, writer = await asyncio.open_connection(host, 80)
                writer.write(data)
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                writer.close()

        async def handler(reader, writer):
            raise LookupError("of the first")

        text = self.told_of(body)
        self.assert_order(text, "LookupError: of the first\n",
                          "also: the script of connection 1 of api.test:80: at t=0.0")
        self.assertNotIn("solipsism_unittest", text.replace(os.sep, "/"))

    def test_where_the_thread_of_the_test_stands(self):
        """Its lines begin with those of the test: who runs the test is nothing that it waits for."""
        async def body(self):
            queue.Queue().get()

        text = self.told_of(body)
        self.assertIn("thread MainThread waits in Queue.get(), stands at\n"
                      f"      {HERE}:{line_of(body, 1)} in {body.__qualname__}\n", text)

    def test_a_hang_in_a_subtest(self):
        """The CancelledError that ends a subTest that hangs says why it was cancelled."""
        async def body(self):
            for number in range(3):
                with self.subTest(number=number):
                    if number == 1:
                        await asyncio.Event().wait()

        async def of_its_own(self):
            with self.subTest("cancelled"):
                raise asyncio.CancelledError

        with no_warnings():
            result = run(case_of(body))
            alone = run(case_of(of_its_own))
        (subtest, text), (_, whole) = result.errors
        self.assertIn("(number=1)", str(subtest))
        self.assertRegex(text, r"CancelledError\nended by the SleepForeverError of this test, which is reported too\n$")
        self.assertIn("SleepForeverError: nothing can wake", whole)
        self.assertNotIn("ended by", told(alone))

    def test_a_callback(self):
        """A callback that raised has no task; the line where it was raised is named."""
        def fail():
            raise LookupError("of a callback")

        async def body(self):
            self.loop.call_soon(fail)
            await asyncio.sleep(1)
            self.fail("on purpose")

        text = self.told_of(body)
        self.assert_order(text, f"LookupError: of a callback\n{UNSEEN}  callback {fail.__qualname__} ({HERE}:"
                          f"{line_of(fail, 0)}) raised LookupError('of a callback')\n    raised at {HERE}:"
                          f"{line_of(fail, 1)} in {fail.__qualname__}\n", CAUSE, "AssertionError: on purpose")

    def test_above_other_causes(self):
        """What the failure has as causes and contexts stays between the two."""
        async def body(self):
            self.task = asyncio.create_task(worker(), name="Worker")
            async with asyncio.timeout(1):
                await asyncio.sleep(2)

        self.assert_order(self.told_of(body), f"KeyError: 'x'\n{UNSEEN}  Worker", "CancelledError\n", "TimeoutError\n")

    def test_what_is_no_cause(self):
        """An error that the failure has itself, and one that the test does not ask for, change nothing."""
        shared = LookupError("shared")

        async def fail():
            raise shared

        async def same(self):
            self.task = asyncio.create_task(fail())
            await asyncio.sleep(1)
            raise shared

        async def nested(self):
            async def outer():
                raise ValueError from shared

            self.task = asyncio.create_task(outer())
            await asyncio.sleep(1)
            raise shared

        async def expected(self):
            self.task = asyncio.create_task(worker())
            self.expect_leak(self.task)
            await asyncio.sleep(1)
            self.fail("on purpose")

        for body in (same, expected):
            with self.subTest(body.__name__):
                self.assertNotIn(CAUSE, self.told_of(body))
        self.assert_order(self.told_of(nested), "also: 1 error went by", CAUSE)

    def test_the_same_error_in_several_tests(self):
        """A failure that a program raises again has no cause of an earlier test."""
        shared = LookupError("shared")

        async def first(self):
            self.task = asyncio.create_task(worker())
            await asyncio.sleep(1)
            raise shared

        async def second(self):
            await asyncio.sleep(1)
            raise shared

        self.assertIn(CAUSE, self.told_of(first))
        self.assertNotIn(CAUSE, self.told_of(second))


class NotAskedForTest(TextsCase):
    def test_a_class_that_lets_errors_be(self):
        """Where errors that nobody caught do not fail a test, none stands above its failure."""
        @fail_on(loop_exceptions=False)
        async def body(self):
            self.task = asyncio.create_task(worker(), name="Worker")
            await asyncio.sleep(1)
            self.fail("mine")

        text = self.told_of(body)
        self.assertIn("AssertionError: mine", text)
        self.assertNotIn("KeyError", text)


class PendingReadTest(TextsCase):
    def told_of_handler(self, handler):
        async def body(self):
            await self.start_fake_server(handler, "api.test", 80)
            reader, writer = await asyncio.open_connection("api.test", 80)
            self.addCleanup(writer.close)
            await reader.readline()

        return self.told_of(body)

    def test_a_handler_that_has_returned(self):
        """A read says what has come so far, and that the handler at the other end has returned."""
        async def silent(reader, writer):
            pass

        async def half(reader, writer):
            writer.write(b"hello")

        left = "; handler 1 of api.test:80 has returned and left this connection open: end it with writer.close()\n"
        self.assertIn(f" bytes to read>{left}", self.told_of_handler(silent))
        self.assertIn(f", and 5 bytes have come so far: b'hello', no newline among them{left}",
                      self.told_of_handler(half))

    def test_a_handler_that_goes_on(self):
        """Nothing is said of a handler that has not returned, or of a server without one."""
        async def waiting(reader, writer):
            await reader.read()

        for handler in (waiting, None):
            self.assertNotIn("has returned", self.told_of_handler(handler))


class ForgottenTest(TextsCase):
    def test_bound_to_a_name(self):
        """A forgotten await that is bound to a name is told in the failure that came of it, behind its own words."""
        async def body(self):
            _server = self.start_fake_server(None, "api.test", 80)
            await asyncio.open_connection("api.test", 80)

        text = self.told_of(body)
        self.assertTrue(text.rstrip("\n").endswith(
            "nobody listens on api.test:80 (198.18.123.36) at t=0.0; servers in this test: none\n"
            "  the network is in memory, and no packet leaves the process: `await self.start_fake_server(handler, "
            "'api.test', 80)` puts a server there\n"
            "also: coroutine 'SolipsistTestCase.start_fake_server' was never awaited, so nothing of it ran: write "
            f"`await` before it, or make a task of it\n  made at {HERE}:{line_of(body, 1)} in body"), text)

    def test_by_no_name(self):
        """So is one in a list, and one that nobody keeps."""
        async def in_a_list(self):
            _servers = [self.start_fake_server(None, name, 80) for name in ("api.test",)]
            await asyncio.open_connection("api.test", 80)

        async def dropped(self):
            self.start_fake_server(None, "api.test", 80)
            await asyncio.open_connection("api.test", 80)

        for body in (in_a_list, dropped):
            with self.subTest(body.__name__):
                self.assert_order(self.told_of(body), "nobody listens on api.test:80",
                                  "also: coroutine 'SolipsistTestCase.start_fake_server' was never awaited, so nothing "
                                  "of it ran: write `await` before it, or make a task of it\n  made at "
                                  f"{HERE}:{line_of(body, 1)} in ")


class BlocksTest(TextsCase):
    def test_what_the_test_made(self):
        """A task or future of the test that assertBlocks() has looked at goes on: nothing is cancelled, or said."""
        async def task(self):
            lock = asyncio.Lock()
            await lock.acquire()
            second = asyncio.create_task(lock.acquire())
            await self.assertBlocks(second, 5)
            lock.release()
            self.assertTrue(await second)

        async def future(self):
            future = self.loop.create_future()
            await self.assertBlocks(future)
            future.set_result(1)
            self.assertEqual(await future, 1)

        async def shielded(self):
            future = self.loop.create_future()
            await self.assertBlocks(asyncio.shield(future), 1)
            self.assertFalse(future.cancelled())
            future.set_result(None)

        async def group(self):
            gate = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(gate.wait())
                await self.assertBlocks(waiting, 1)
                gate.set()

        for body in (task, future, shielded, group):
            with self.subTest(body.__name__), no_warnings():
                self.assertEqual(told(run(case_of(body))), "")


class LeftThreadTest(TextsCase):
    def read(self):
        return os.read(self.reading, 1)

    def told_of_thread(self, daemon):
        """What a test says that leaves a thread in a wait of the real system, which the framework cannot end."""
        self.reading, writing = os.pipe()
        threads = []

        async def body(case):
            threads.append(threading.Thread(target=self.read, name="reader", daemon=daemon))
            threads[0].start()

        try:
            with mock.patch("solipsism_unittest.stdlib.threads.workers.LINGER", 0.05):
                return body, self.told_of(body)
        finally:
            os.write(writing, b"x")
            threads[0].join()
            os.close(writing)
            os.close(self.reading)

    def test_a_thread_that_python_waits_for(self):
        """One that is no daemon, with the line of the program where it stands, and that Python will wait for it."""
        for daemon in (False, True):
            with self.subTest(daemon=daemon):
                body, text = self.told_of_thread(daemon)
                waits = "" if daemon else ("      Python will wait for this thread when the process ends, for ever if "
                                           "need be: it is no daemon\n")
                self.assertEqual(text.rstrip("\n"), (
                    "AssertionError: the test left 1 thing behind; end what you start, or let a cleanup do it\n"
                    f"  1 thread alive\n    Thread reader{' (daemon)' * daemon}, stands at\n"
                    f"      {HERE}:{line_of(LeftThreadTest.read, 1)} in LeftThreadTest.read\n{waits}"
                    f"      made at {HERE}:{line_of(body, 2)} in {body.__qualname__}"))

    def test_a_wait_that_ends_with_the_world(self):
        """Nobody waits for one that stands in a virtual wait: it ends with the test's world."""
        threads = []

        async def body(self):
            threads.append(threading.Thread(target=threading.Event().wait, name="waiter"))
            threads[0].start()
            await asyncio.sleep(1)

        text = self.told_of(body)
        threads[0].join(60)
        self.assertFalse(threads[0].is_alive())
        self.assert_order(text, "  1 thread alive\n    Thread waiter, stands at\n", " in Condition.wait\n      made at "
                          f"{HERE}:{line_of(body, 2)} in {body.__qualname__}\n")
        self.assertNotIn("Python will wait", text)


class SlowTest(TextsCase):
    def warning_of(self, body):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = run(case_of(body))
        self.assertEqual(told(result), "")
        return [warning for warning in caught if warning.category is SlowCallbackWarning]

    def test_words_and_place(self):
        """A callback that keeps the processor is told with its task, its line, the seconds, and what to do."""
        async def body(self):
            self.loop.slow_callback_duration = 0.002
            await asyncio.sleep(1)
            burn(0.03)
            await asyncio.sleep(1)

        (warning,) = self.warning_of(body)
        self.assertEqual((warning.filename, warning.lineno), (__file__, line_of(body, 4)))
        self.assertRegex(str(warning.message), "^" + re.escape(
            "a callback kept the processor, and nothing else could run meanwhile: task Task-1 "
            f"({body.__qualname__}), which is at {HERE}:{line_of(body, 4)} in {body.__qualname__} now, took ")
            + r"0\.\d\d" + re.escape(" seconds of the processor; give long work to `await asyncio.to_thread(...)`; "
                                     'on_slow_callback = "ignore" lets it be') + "$")

    def test_the_wall_clock(self):
        """Real time that goes by, and a clock that a tool has stopped or moved, are no processor time."""
        async def waits(self):
            self.loop.slow_callback_duration = 0.01
            await asyncio.sleep(1)
            REAL_SLEEP(0.02)
            await asyncio.sleep(1)

        async def moved(self):
            for name in ("monotonic", "perf_counter", "time", "thread_time"):
                self.enterContext(mock.patch(f"time.{name}", side_effect=itertools.count(0, 1_000_000)))
            await asyncio.sleep(1)

        for body in (waits, moved):
            with self.subTest(body.__name__):
                self.assertEqual(self.warning_of(body), [])


if __name__ == "__main__":
    unittest.main()
