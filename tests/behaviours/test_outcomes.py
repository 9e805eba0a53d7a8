"""One outcome for each test: a leak never turns one outcome into another, and nothing is told twice."""

import asyncio
import time
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import told

# Kinds of faults that are found at the end, and what is told of each.
FAULTS = {
    "task": "the test left 1 thing behind",
    "unread": "1 error went by unseen while the test ran",
    "coroutine": "coroutine 'forgotten' was never awaited",
    "blocking": "a blocking call in the loop's thread",
}


async def forgotten():
    """Nobody awaits it."""

# What happens in the test -> (failures, errors, skipped, expected failures, unexpected successes), and without a leak.
# A leak changes the first row only.
TABLE = {
    "pass": ((1, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
    "fail": ((1, 0, 0, 0, 0),) * 2,
    "error": ((0, 1, 0, 0, 0),) * 2,
    "skip": ((0, 0, 1, 0, 0),) * 2,
    "expected_failure": ((0, 0, 0, 1, 0),) * 2,
    "unexpected_success": ((0, 0, 0, 0, 1),) * 2,
    "subtest": ((1, 0, 0, 0, 0),) * 2,
    "subtest_skip": ((0, 0, 1, 0, 0),) * 2,
    "set_up": ((0, 1, 0, 0, 0),) * 2,
    "set_up_skip": ((0, 0, 1, 0, 0),) * 2,
    "async_tear_down": ((0, 1, 0, 0, 0),) * 2,
    "tear_down_skip": ((0, 0, 1, 0, 0),) * 2,
    "cleanup": ((0, 1, 0, 0, 0),) * 2,
    "cleanup_skip": ((0, 0, 1, 0, 0),) * 2,
}


class Hidden:
    """Discovery does not look in here."""

    class Case(SolipsistTestCase):
        fault = None

        async def asyncSetUp(self):
            if self.fault == "task":
                self.task = asyncio.create_task(asyncio.sleep(1))
            if self.fault == "unread":
                self.task = asyncio.create_task(asyncio.sleep("x"))
            if self.fault == "coroutine":
                forgotten()
            if self.fault == "blocking":
                time.sleep(0.001)
            if "cleanup" in self._testMethodName:
                self.addAsyncCleanup(self.end)
            if "set_up" in self._testMethodName:
                await self.end()

        async def asyncTearDown(self):
            if "tear_down" in self._testMethodName:
                await self.end()

        async def end(self):
            if "skip" in self._testMethodName:
                self.skipTest("not today")
            raise RuntimeError("of the fixture")

        async def test_pass(self):
            pass

        async def test_fail(self):
            self.fail("of the test")

        async def test_error(self):
            raise RuntimeError("of the test")

        async def test_skip(self):
            self.skipTest("not today")

        @unittest.expectedFailure
        async def test_expected_failure(self):
            self.fail("as expected")

        @unittest.expectedFailure
        async def test_unexpected_success(self):
            pass

        async def test_subtest(self):
            with self.subTest(1):
                self.fail("of the subtest")
            with self.subTest(2):
                pass

        async def test_subtest_skip(self):
            with self.subTest(1):
                self.skipTest("not today")

        test_set_up = test_set_up_skip = test_async_tear_down = test_tear_down_skip = test_pass
        test_cleanup = test_cleanup_skip = test_pass


def run(name, fault):
    """Run one test of the case above and return its result."""
    case = Hidden.Case(f"test_{name}")
    case.fault = fault
    result = unittest.TestResult()
    case.run(result)
    return result


def counts(result):
    """How many of each outcome there are."""
    return tuple(map(len, (result.failures, result.errors, result.skipped, result.expectedFailures,
                           result.unexpectedSuccesses)))


class TableTest(unittest.TestCase):
    def test_counts(self):
        """Each test has exactly the outcome that the table says, with a leak and without."""
        for name, (with_leak, without) in TABLE.items():
            for fault, expected in (*((fault, with_leak) for fault in FAULTS), (None, without)):
                with self.subTest(name, fault=fault):
                    result = run(name, fault)
                    self.assertEqual((counts(result), result.testsRun), (expected, 1))
                    self.assertEqual(result.wasSuccessful(), not (expected[0] or expected[1] or expected[4]))

    def test_a_leak_is_told_once_and_only_beside_a_failure(self):
        """A failing test has the report of its leak once, as a note; without a leak nobody speaks of one."""
        for name, (with_leak, _) in TABLE.items():
            for fault, text in FAULTS.items():
                with self.subTest(name, fault=fault):
                    failing = with_leak[0] + with_leak[1]
                    self.assertEqual(told(run(name, fault)).count(text), failing)
                    self.assertEqual(told(run(name, None)).count(text), 0)

    def test_own_failure_comes_first(self):
        """A failing test keeps its own failure, with its own line; the report of the leak stands below it.

        Only an error that went by unseen stands above: the failure may come of it.
        """
        for name in ("fail", "error", "subtest", "set_up", "async_tear_down", "cleanup"):
            for fault, text in FAULTS.items():
                with self.subTest(name, fault=fault):
                    own = r"test_outcomes\.py.*of the (test|subtest|fixture)\n"
                    order = rf"{text}.*{own}" if fault == "unread" else rf"{own}.*also: {text}"
                    self.assertRegex(told(run(name, fault)), rf"(?s){order}")

    def test_debug(self):
        """debug() raises what a fault or the test itself makes of it, and nothing for a clean test."""
        for name, (with_leak, without) in TABLE.items():
            for fault, counted in (*((fault, with_leak) for fault in FAULTS), (None, without)):
                case = Hidden.Case(f"test_{name}")
                case.fault = fault
                raises = counted[0] + counted[1] + counted[2] + counted[3]
                with self.subTest(name, fault=fault):
                    if raises or fault and name == "unexpected_success":
                        with self.assertRaises(BaseException) as caught:
                            case.debug()
                        self.assertNotIsInstance(caught.exception, KeyboardInterrupt)
                        if name == "pass":
                            self.assertIn(FAULTS[fault], str(caught.exception))
                    else:
                        case.debug()


class MoreOutcomesTest(unittest.TestCase):
    def run_test(self, test, **attributes):
        """Run one test method in a class of its own."""
        case = type("Case", (SolipsistTestCase,), {"test": test, **attributes})("test")
        result = unittest.TestResult()
        case.run(result)
        return result

    def test_skip_decorator(self):
        """A skipped test, and a test of a skipped class, makes no loop and has no other outcome."""

        @unittest.skip("not today")
        async def test(self):
            self.fail()

        def loop_factory(self):
            raise AssertionError("a loop was made")

        result = self.run_test(test, loop_factory=loop_factory)
        self.assertEqual((counts(result), result.skipped[0][1]), ((0, 0, 1, 0, 0), "not today"))

    def test_several_failures(self):
        """A failure, an error of tearDown and one of a cleanup are three entries; the leak is told with the first."""

        async def test(self):
            self.task = asyncio.create_task(asyncio.sleep(1))
            self.addCleanup(self.fail, "third")
            self.fail("first")

        def tearDown(self):
            raise RuntimeError("second")

        result = self.run_test(test, tearDown=tearDown)
        self.assertEqual(counts(result), (2, 1, 0, 0, 0))
        self.assertIn(FAULTS["task"], result.failures[0][1])
        self.assertEqual(told(result).count(FAULTS["task"]), 1)

    def test_failing_subtests(self):
        """Each failing subtest is a failure of its own; the test goes on after it."""

        async def test(self):
            for number in range(4):
                with self.subTest(number=number):
                    await asyncio.sleep(1)
                    self.assertEqual(number % 2, 0)
            self.assertNow(4)

        result = self.run_test(test)
        self.assertEqual([str(test).rpartition(" ")[2] for test, _ in result.failures], ["(number=1)", "(number=3)"])

    def test_failfast_and_subtests(self):
        """With failfast the first failing subtest is the last one."""
        seen = []

        async def test(self):
            for number in range(3):
                with self.subTest(number=number):
                    seen.append(number)
                    self.fail()

        result = unittest.TestResult()
        result.failfast = True
        type("Case", (SolipsistTestCase,), {"test": test})("test").run(result)
        self.assertEqual((seen, len(result.failures), result.shouldStop), ([0], 1, True))

    def test_failfast_and_leaks(self):
        """With failfast a leak stops the suite, as any failure does."""

        async def test(self):
            self.task = asyncio.create_task(asyncio.sleep(1))

        result = unittest.TestResult()
        result.failfast = True
        type("Case", (SolipsistTestCase,), {"test": test})("test").run(result)
        self.assertTrue(result.shouldStop)

    def test_expected_failure_of_a_subtest(self):
        """A failing subtest of a test that is expected to fail is the expected failure."""

        @unittest.expectedFailure
        async def test(self):
            with self.subTest(1):
                self.fail()

        self.assertEqual(counts(self.run_test(test)), (0, 0, 0, 1, 0))

    def test_expected_failure_in_a_handler(self):
        """What a handler raises counts as the expected failure, for it fails the test."""

        @unittest.expectedFailure
        async def test(self):
            async def handler(reader, writer):
                raise ValueError("in the handler")

            server = await self.start_fake_server(handler)
            reader, writer = await asyncio.open_connection(*server.address)
            await reader.read()
            writer.close()

        self.assertEqual(counts(self.run_test(test)), (0, 0, 0, 1, 0))

    def test_system_exit_and_cancelled_error(self):
        """SystemExit and CancelledError out of a test are errors of that test, wherever they were raised."""

        async def leave(self):
            raise SystemExit(3)

        async def cancelled(self):
            raise asyncio.CancelledError

        async def in_the_background(self):
            task = asyncio.create_task(leave(self))
            self.addCleanup(task.exception)
            await asyncio.sleep(1)

        for test in (leave, cancelled, in_the_background):
            with self.subTest(test.__name__):
                self.assertEqual(counts(self.run_test(test)), (0, 1, 0, 0, 0))

    def test_success_is_told_once(self):
        """A passing test is told to the result as one success, and a leaking one is not."""
        successes = []

        class Result(unittest.TestResult):
            def addSuccess(self, test):
                successes.append(test.fault)

        for fault in (None, *FAULTS):
            case = Hidden.Case("test_pass")
            case.fault = fault
            case.run(Result())
        self.assertEqual(successes, [None])


if __name__ == "__main__":
    unittest.main()
