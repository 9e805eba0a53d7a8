"""The texts that people read most, word for word: the cause first, the facts, and what to do."""

import asyncio
import datetime
import time
import unittest
from datetime import date

from solipsism_unittest import fail_on
from tests.behaviours.test_masked_mistakes import case_of, line_of, no_warnings
from tests.case.test_case import run, told

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


if __name__ == "__main__":
    unittest.main()
