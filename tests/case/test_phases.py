"""The phases of a test: their order, their context, and what `run()` and `debug()` make of them."""

import asyncio
import contextlib
import contextvars
import functools
import io
import time
import unittest
from unittest import mock

from solipsism_unittest import ReturnedValueWarning, SolipsistTestCase
from tests.case.test_case import run, told

variable = contextvars.ContextVar("variable", default="unset")


class PhasesTest(unittest.TestCase):
    def test_order(self):
        """setUp, asyncSetUp, the test, asyncTearDown, tearDown, and then the cleanups from the last to the first."""
        calls = []

        class Case(SolipsistTestCase):
            def setUp(self):
                self.addCleanup(calls.append, "cleanup")
                calls.append("setUp")

            async def asyncSetUp(self):
                self.addAsyncCleanup(self.clean)
                calls.append("asyncSetUp")

            async def clean(self):
                await asyncio.sleep(1)
                calls.append("async cleanup")

            async def test(self):
                calls.append("test")

            async def asyncTearDown(self):
                calls.append("asyncTearDown")

            def tearDown(self):
                calls.append("tearDown")

        self.assertTrue(run(Case).wasSuccessful())
        self.assertEqual(calls, ["setUp", "asyncSetUp", "test", "asyncTearDown", "tearDown", "async cleanup",
                                 "cleanup"])

    def test_cleanups_take_keywords_of_any_name(self):
        """No keyword of a cleanup is taken for one of what calls it."""
        given = dict.fromkeys(("self", "case", "function", "run", "context", "loop", "target"), 1)
        got = []

        class Case(SolipsistTestCase):
            def test(self):
                async def clean(**keywords):
                    got.append(keywords)

                self.addCleanup(lambda **keywords: got.append(keywords), **given)
                self.addCleanup(clean, **given)

        self.assertTrue(run(Case).wasSuccessful())
        self.assertEqual(got, [given, given])

    def test_async_set_up_and_tear_down_under_the_plain_names(self):
        """`async def setUp` and `tearDown` are awaited, and so is what a plain function returns to be awaited."""
        calls = []

        class Case(SolipsistTestCase):
            async def setUp(self):
                await asyncio.sleep(1)
                calls.append(self.now)

            def asyncSetUp(self):
                return self.setUp()

            def test(self):
                return self.setUp()

            async def tearDown(self):
                await self.setUp()

        self.assertTrue(run(Case).wasSuccessful())
        self.assertEqual(calls, [1.0, 2.0, 3.0, 4.0])

    def test_fixtures_of_one_test(self):
        """What is put on a test case itself is called, as stock unittest calls it."""
        for asynchronous in (False, True):
            names = ("asyncSetUp", "asyncTearDown") if asynchronous else ("setUp", "tearDown")
            calls = []

            async def fixture(name, calls=calls):
                calls.append(name)

            class Case(SolipsistTestCase):
                def test(self):
                    """Nothing."""

            case, result = Case("test"), unittest.TestResult()
            for name in names:
                setattr(case, name, functools.partial(fixture, name))
            case.run(result)
            self.assertEqual((result.wasSuccessful(), calls), (True, list(names)))

    def test_context_variables_are_shared_by_the_phases_and_by_nobody_else(self):
        """What one phase sets, all later ones see; nothing of it is left when the test is over, nor in the next run."""
        seen = []

        class Case(SolipsistTestCase):
            def setUp(self):
                seen.append(variable.get())
                variable.set("setUp")
                self.addAsyncCleanup(self.look)

            async def look(self):
                seen.append(variable.get())

            async def test(self):
                seen.append(variable.get())
                variable.set("test")

            def tearDown(self):
                seen.append(variable.get())
                variable.set("tearDown")

        case = Case("test")
        case.run()
        case.run()
        self.assertEqual(seen, ["unset", "setUp", "test", "tearDown"] * 2)
        self.assertEqual(variable.get(), "unset")

    def test_time_goes_on_from_phase_to_phase(self):
        """The clock is one for the whole test, fixtures and cleanups included, and starts anew in the next."""
        times = []

        class Case(SolipsistTestCase):
            async def asyncSetUp(self):
                self.addAsyncCleanup(self.sleep)
                await self.sleep()

            async def sleep(self):
                await asyncio.sleep(1)
                times.append(self.now)

            async def test_a(self):
                await self.sleep()

            async def test_b(self):
                await self.sleep()

            async def asyncTearDown(self):
                await self.sleep()

        self.assertTrue(run(Case).wasSuccessful())
        self.assertEqual(times, [1.0, 2.0, 3.0, 4.0] * 2)

    def test_contexts_that_are_entered(self):
        """enterContext and enterAsyncContext give what the manager gives, and leave it after the test."""
        calls = []

        @contextlib.contextmanager
        def plain():
            yield "plain"
            calls.append("plain left")

        @contextlib.asynccontextmanager
        async def slow():
            await asyncio.sleep(1)
            yield "slow"
            await asyncio.sleep(1)
            calls.append("slow left")

        class Case(SolipsistTestCase):
            async def test(self):
                calls.append(self.enterContext(plain()))
                calls.append(await self.enterAsyncContext(slow()))

        self.assertTrue(run(Case).wasSuccessful())
        self.assertEqual(calls, ["plain", "slow", "slow left", "plain left"])

    def test_a_cleanup_may_be_anything_that_can_be_called(self):
        """Functions, coroutine functions, partials, mocks, what returns a future: all are run, and awaited."""
        calls = []

        async def slow(what):
            await asyncio.sleep(1)
            calls.append(what)

        class Case(SolipsistTestCase):
            async def test(self):
                self.addCleanup(calls.append, "plain")
                self.addCleanup(slow, "async")
                self.addCleanup(functools.partial(slow, "partial"))
                self.addCleanup(lambda: asyncio.ensure_future(slow("task"), loop=self.loop))
                self.addAsyncCleanup(mock.AsyncMock(side_effect=slow), "mock")

        result = run(Case)
        self.assertEqual((told(result), calls), ("", ["mock", "task", "partial", "async", "plain"]))

    def test_a_cleanup_may_add_cleanups(self):
        """A cleanup that is added while the cleanups run is run next."""
        calls = []

        class Case(SolipsistTestCase):
            async def clean(self):
                calls.append("outer")
                self.addCleanup(calls.append, "inner")

            async def test(self):
                self.addCleanup(calls.append, "last")
                self.addCleanup(self.clean)

        self.assertTrue(run(Case).wasSuccessful())
        self.assertEqual(calls, ["outer", "inner", "last"])

    def test_cleanups_that_the_test_itself_asks_for(self):
        """doCleanups() works in every phase, as often as wanted, and the test goes on in the same world."""
        calls = []

        class Case(SolipsistTestCase):
            async def clean(self):
                calls.append("async")

            def setUp(self):
                self.addCleanup(self.clean)
                self.assertTrue(self.doCleanups())

            async def test(self):
                for name in "first", "second":
                    self.addCleanup(calls.append, name)
                    self.doCleanups()
                await asyncio.sleep(1)
                self.assertNow(1)

        result = run(Case)
        self.assertEqual((told(result), calls), ("", ["async", "first", "second"]))

    def test_plain_test(self):
        """A test that is no coroutine runs in the same world."""

        class Case(SolipsistTestCase):
            def test(self):
                self.loop.run_until_complete(asyncio.sleep(5))
                self.assertEqual((self.now, time.monotonic()), (5.0, 5.0))

        self.assertTrue(run(Case).wasSuccessful())

    def test_returning_something(self):
        """A test that returns what is neither None nor to be awaited is warned of, as in unittest."""

        class Case(SolipsistTestCase):
            def test(self):
                return 5

        with self.assertWarnsRegex(ReturnedValueWarning, "return a value that is not None"):
            self.assertEqual(run(Case).testsRun, 1)

    def test_current_loop_in_set_up(self):
        """In a plain setUp, asyncio.get_event_loop() is the test's loop already; after the test there is none."""

        class Case(SolipsistTestCase):
            def setUp(self):
                self.assertIs(asyncio.get_event_loop(), self.loop)

            def test(self):
                self.setUp()

        self.assertTrue(run(Case).wasSuccessful())
        with self.assertRaises(RuntimeError):
            asyncio.get_event_loop()


class RunningTest(unittest.TestCase):
    def test_the_same_instance_twice(self):
        """One instance can run again and again, each time in a new world."""
        loops = []

        class Case(SolipsistTestCase):
            async def test(self):
                loops.append(self.loop)
                await asyncio.sleep(1)
                self.assertNow(1)

        case = Case("test")
        results = [case.run(), case.run()]
        self.assertTrue(all(result.wasSuccessful() for result in results))
        self.assertIsNot(loops[0], loops[1])
        self.assertTrue(loops[0].is_closed() and loops[1].is_closed())

    def test_debug(self):
        """debug() runs all phases and raises nothing for a test that passes."""
        calls = []

        class Case(SolipsistTestCase):
            async def asyncSetUp(self):
                self.addAsyncCleanup(asyncio.sleep, 5)
                calls.append("setUp")

            async def test(self):
                calls.append("test")

            async def asyncTearDown(self):
                calls.append("tearDown")

        Case("test").debug()
        self.assertEqual(calls, ["setUp", "test", "tearDown"])

    def test_debug_raises(self):
        """debug() raises what the test raises, what it left behind and why it is skipped, and leaves the world."""
        real = time.monotonic

        class Case(SolipsistTestCase):
            async def test_failure(self):
                self.fail("on purpose")

            async def test_leak(self):
                self.task = asyncio.create_task(asyncio.sleep(1))

            @unittest.skip("not today")
            async def test_skipped(self):
                pass

        for name, kind, text in (("test_failure", AssertionError, "on purpose"),
                                 ("test_leak", AssertionError, "left 1 thing behind"),
                                 ("test_skipped", unittest.SkipTest, "not today")):
            with self.subTest(name):
                with self.assertRaisesRegex(kind, text):
                    Case(name).debug()
                self.assertIs(time.monotonic, real)

    def test_debug_of_a_failure_with_a_task_that_refuses(self):
        """debug() comes back also when a failing test leaves a task that no cancellation ends."""

        class Case(SolipsistTestCase):
            async def refuse(self):
                while True:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.sleep(1)

            async def test(self):
                self.task = asyncio.create_task(self.refuse())
                await asyncio.sleep(1)
                self.fail("on purpose")

        with self.assertRaisesRegex(AssertionError, "on purpose"):
            Case("test").debug()

    def test_without_a_result(self):
        """run() without a result makes one, as unittest does."""

        class Case(SolipsistTestCase):
            async def test(self):
                self.fail("on purpose")

        self.assertEqual(len(Case("test").run().failures), 1)

    def test_a_result_that_can_little(self):
        """A result without addSubTest and addDuration works; a failing subtest then fails the test."""

        class Result:
            failfast = shouldStop = False

            def __init__(self):
                self.calls = []

            def startTest(self, test):
                self.calls.append("start")

            def stopTest(self, test):
                self.calls.append("stop")

            def addFailure(self, test, err):
                self.calls.append(str(err[1]))

            def addDuration(self, test, seconds):
                """Newer versions of unittest warn where it is missing."""

        class Case(SolipsistTestCase):
            async def test(self):
                with self.subTest(1):
                    self.fail("on purpose")

        result = Result()
        Case("test").run(result)
        self.assertEqual(result.calls, ["start", "on purpose", "stop"])

    def test_suite_goes_on(self):
        """Each test of a suite has its own outcome, whatever the one before did."""

        class Case(SolipsistTestCase):
            async def test_a_fails(self):
                self.fail()

            async def test_b_hangs(self):
                await asyncio.Event().wait()

            async def test_c_leaks(self):
                self.task = asyncio.create_task(asyncio.sleep(1))

            async def test_d_passes(self):
                self.assertEqual(asyncio.all_tasks(), {asyncio.current_task()})

        result = run(Case)
        self.assertEqual([result.testsRun, len(result.failures), len(result.errors)], [4, 2, 1])

    def test_in_the_text_runner(self):
        """The text runner shows the user's own lines and none of the framework's."""

        class Case(SolipsistTestCase):
            async def test(self):
                self.assertEqual(1, 2)

        stream = io.StringIO()
        unittest.TextTestRunner(stream, verbosity=0).run(Case("test"))
        files = {line.split('"')[1] for line in stream.getvalue().splitlines() if line.startswith('  File "')}
        self.assertEqual(files, {__file__})

    def test_buffered_output(self):
        """With a result that buffers, what a failing test printed is shown with its failure."""

        class Case(SolipsistTestCase):
            async def test(self):
                print("printed by the test")
                self.fail("on purpose")

        with contextlib.redirect_stdout(io.StringIO()):
            result = unittest.TestResult()
            result.buffer = True
            Case("test").run(result)
        self.assertIn("printed by the test", told(result))


if __name__ == "__main__":
    unittest.main()
