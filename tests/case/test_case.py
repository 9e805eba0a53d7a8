"""`SolipsistTestCase`: the phases of a test, what it offers, and how the world is entered and left."""

import asyncio
import contextlib
import contextvars
import functools
import io
import random
import signal
import socket
import time
import unittest
from unittest import mock

from solipsism_unittest import (
    EscapeError,
    ReturnedValueWarning,
    SleepForeverError,
    SolipsismError,
    SolipsistEventLoop,
    SolipsistTestCase,
)

variable = contextvars.ContextVar("variable", default="unset")


def run(case, *names):
    """Run all tests of a class (or those named) into a new result."""
    loader = unittest.TestLoader()
    tests = [case(name) for name in names or loader.getTestCaseNames(case)]
    result = unittest.TestResult()
    unittest.TestSuite(tests).run(result)
    return result


def told(result):
    """The texts of everything that failed."""
    return "\n".join(text for _, text in result.failures + result.errors)


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


class LoopFactoryTest(unittest.TestCase):
    def check(self, factory, expected):
        """A class with this loop_factory runs its test on a loop of the expected time."""

        class Case(SolipsistTestCase):
            loop_factory = factory
            start_time = 7.0

            async def test(self):
                self.assertEqual(self.now, expected)

        result = run(Case)
        self.assertEqual((told(result), result.testsRun), ("", 1))

    def test_class(self):
        """A class of virtual loop, and a subclass of it, get start_time from the test class."""

        class Mine(SolipsistEventLoop):
            pass

        self.check(SolipsistEventLoop, 7.0)
        self.check(Mine, 7.0)

    def test_functions(self):
        """A function, one with defaults, a lambda, a staticmethod and a partial are called without arguments."""

        def plain():
            return SolipsistEventLoop(3.0)

        def with_default(start=3.0, *, autojump=True):
            return SolipsistEventLoop(start, autojump=autojump)

        for factory in (plain, with_default, lambda: SolipsistEventLoop(3.0), staticmethod(plain),
                        functools.partial(SolipsistEventLoop, 3.0)):
            with self.subTest(factory):
                self.check(factory, 3.0)

    def test_methods(self):
        """A method gets the test, and a classmethod its class."""

        def method(self):
            return SolipsistEventLoop(self.start_time + 1)

        self.check(method, 8.0)
        self.check(classmethod(method), 8.0)

    def test_on_the_instance(self):
        """A loop_factory that setUp of a fixture put on the instance works too."""

        class Case(SolipsistTestCase):
            def __init__(self, name):
                super().__init__(name)
                self.loop_factory = lambda: SolipsistEventLoop(9.0)

            async def test(self):
                self.assertNow(9.0)

        self.assertTrue(run(Case).wasSuccessful())

    def test_what_is_no_loop(self):
        """A factory that gives no event loop is an error that says so, and the next test has its turn."""

        class Case(SolipsistTestCase):
            loop_factory = staticmethod(lambda: 5)

            async def test_a(self):
                pass

            async def test_b(self):
                pass

        result = run(Case)
        self.assertEqual([result.testsRun, len(result.errors)], [2, 2])
        self.assertIn("Case gave 5, which is no event loop", told(result))

    def test_raises(self):
        """What a factory raises is the error of each test, and cleanups of __init__ still run."""
        calls = []

        class Case(SolipsistTestCase):
            def __init__(self, name):
                super().__init__(name)
                self.addCleanup(calls.append, name)

            def loop_factory(self):
                raise LookupError("no loop today")

            async def test_a(self):
                pass

            async def test_b(self):
                pass

        result = run(Case)
        self.assertEqual([result.testsRun, len(result.errors)], [2, 2])
        self.assertIn("LookupError: no loop today", told(result))
        self.assertEqual(calls, ["test_a", "test_b"])

    def test_stock_loop(self):
        """On asyncio's own loop an ordinary test runs; what needs the virtual world says so."""

        class Case(SolipsistTestCase):
            loop_factory = asyncio.SelectorEventLoop

            async def test(self):
                self.assertIs(asyncio.get_running_loop(), self.loop)
                self.assertIs(type(self.loop), asyncio.SelectorEventLoop)
                await asyncio.sleep(0)

                def leak():
                    self.expect_leak(asyncio.current_task())

                for what in (lambda: self.network, self.unused_port, self.socketpair, self.hold_clock, leak):
                    with self.assertRaisesRegex(SolipsismError, "needs the virtual world"):
                        what()
                for what in (self.advance(1), self.advance_to(1), self.settle(), self.stream_pairs(),
                             self.start_fake_server(), self.assertBlocks(asyncio.sleep(0))):
                    with self.assertRaisesRegex(SolipsismError, "needs the virtual world, and this test runs on"):
                        await what

        result = run(Case)
        self.assertEqual(told(result), "")

    def test_a_loop_that_cannot_be_closed(self):
        """What close() of a loop raises cannot end the suite; only an interrupt does."""

        class Loop(SolipsistEventLoop):
            error = RuntimeError("not yet")

            def close(self):
                super().close()
                raise self.error

        class Case(SolipsistTestCase):
            loop_factory = Loop

            async def test_a(self):
                pass

            async def test_b(self):
                pass

        self.assertEqual((run(Case).testsRun, told(run(Case))), (2, ""))
        Loop.error = KeyboardInterrupt()
        with self.assertRaises(KeyboardInterrupt):
            run(Case)

    def test_a_closed_loop(self):
        """A factory that gives a closed loop, or always the same one, fails the tests and nothing else."""
        loop = SolipsistEventLoop()

        class Case(SolipsistTestCase):
            loop_factory = staticmethod(lambda: loop)

            def test_a(self):
                pass

            def test_b(self):
                self.loop.run_until_complete(mock.Mock())

        result = run(Case)
        self.assertEqual([result.testsRun, len(result.errors)], [2, 1])
        self.assertIn("Event loop is closed", told(result))


class AttributesTest(unittest.TestCase):
    def test_start_time(self):
        """start_time is the first time of the loop and of time.monotonic()."""

        class Case(SolipsistTestCase):
            start_time = 1.7e9

            async def test(self):
                self.assertEqual((self.now, time.monotonic()), (1.7e9, 1.7e9))

        self.assertTrue(run(Case).wasSuccessful())

    def test_impossible_start_time(self):
        """A start_time that is no finite number is an error of the test."""

        class Case(SolipsistTestCase):
            start_time = float("nan")

            async def test(self):
                pass

        result = run(Case)
        self.assertIn("a clock cannot start at nan", told(result))

    def test_autojump_off(self):
        """With autojump = False only advance() moves time, and what waits for time alone is a hang."""

        class Case(SolipsistTestCase):
            autojump = False

            async def test_advance(self):
                task = asyncio.create_task(asyncio.sleep(5))
                await self.settle()
                self.assertNow(0)
                await self.advance_to(5)
                self.assertTrue(task.done())

            async def test_hang(self):
                with self.assertRaises(SleepForeverError):
                    await asyncio.sleep(1)

        result = run(Case)
        self.assertEqual([len(result.failures), len(result.errors)], [0, 1])
        self.assertIn("autojump is off", told(result))

    def test_loop_debug(self):
        """loop_debug is asyncio's debug mode, which is off by default."""

        class Quiet(SolipsistTestCase):
            async def test(self):
                self.assertFalse(self.loop.get_debug())

        class Loud(SolipsistTestCase):
            loop_debug = True

            async def test(self):
                self.assertTrue(self.loop.get_debug())

        self.assertTrue(run(Quiet).wasSuccessful() and run(Loud).wasSuccessful())

    def test_random_is_the_same_in_each_run_of_a_test(self):
        """Module random draws the same in every run of one test and otherwise in another; its state is restored."""
        drawn = {}

        class Case(SolipsistTestCase):
            def setUp(self):
                drawn.setdefault(self._testMethodName, []).append(random.random())

            async def test_a(self):
                pass

            async def test_b(self):
                raise ValueError("also when it fails")

        before = random.getstate()
        run(Case)
        run(Case)
        self.assertEqual(random.getstate(), before)
        self.assertEqual([len(set(draws)) for draws in drawn.values()], [1, 1])
        self.assertNotEqual(drawn["test_a"], drawn["test_b"])

    def test_seed(self):
        """A seed on the class decides for all of its tests; another seed decides otherwise."""
        drawn = []

        class Case(SolipsistTestCase):
            def test_a(self):
                drawn.append(random.random())

            test_b = test_a

        for Case.seed in (1, 2):
            run(Case)
        self.assertEqual(drawn[0::2], drawn[1::2])
        self.assertEqual(len(set(drawn)), 2)


class WorldTest(SolipsistTestCase):
    async def test_advance(self):
        """advance() runs everything due on the way at its own time and is exactly there."""
        seen = []
        for when in (1, 2, 3):
            self.loop.call_at(when, lambda: seen.append(self.now))
        await self.advance(2)
        self.assertEqual((seen, self.now), ([1.0, 2.0], 2.0))
        await self.advance_to(3)
        self.assertEqual((seen, self.now), ([1.0, 2.0, 3.0], 3.0))

    async def test_impossible_advances(self):
        """A negative advance, and one into the past, are ValueErrors and move nothing."""
        await self.advance(5)
        with self.assertRaisesRegex(ValueError, "cannot advance by -1 seconds"):
            await self.advance(-1)
        with self.assertRaisesRegex(ValueError, "time only moves forward"):
            await self.advance_to(4)
        self.assertNow(5)

    async def test_settle(self):
        """settle() lets everything happen that needs no time, and time stands."""
        seen = []
        self.loop.call_soon(self.loop.call_soon, seen.append, 1)
        timer = self.loop.call_later(1, seen.append, 2)
        await self.settle()
        self.assertEqual((seen, self.now), ([1], 0.0))
        timer.cancel()

    async def test_hold_clock(self):
        """While hold_clock() is entered, no timer fires; time goes on when it is left."""
        with self.hold_clock():
            task = asyncio.create_task(asyncio.sleep(1))
            self.loop.call_later(1, lambda: None)
            self.loop.call_soon_threadsafe(lambda: None)
            for _ in range(5):
                await asyncio.sleep(0)
            self.assertFalse(task.done())
        await task
        self.assertNow(1)

    async def test_unused_ports(self):
        """unused_port() gives another one each time, free to bind."""
        ports = [self.unused_port(), self.unused_port(), self.unused_port("api.test")]
        self.assertNotEqual(ports[0], ports[1])
        server = await self.start_fake_server(port=ports[1])
        self.assertEqual(server.port, ports[1])

    async def test_localhost(self):
        """self.localhost is an address at which a server on "localhost" answers, and self.network is the test's own."""
        server = await self.start_fake_server()
        _, writer = await asyncio.open_connection(self.localhost, server.port)
        writer.close()
        self.assertIs(self.network, self.loop.kernel.network)

    async def test_socketpair(self):
        """socketpair() joins two non-blocking sockets of the given capacity and closes them at the end."""
        one, two = self.socketpair(capacity=(3, 2))
        self.assertEqual((one.send(b"12345"), two.send(b"12345")), (3, 2))
        self.assertFalse(one.getblocking())

    async def test_socketpair_in_use(self):
        """What the test made of a pair (a transport, a closed socket) is closed at the end as well."""
        one, two = self.socketpair()
        self.streams = await asyncio.open_connection(sock=one)
        two.close()

    async def test_stream_pairs(self):
        """stream_pairs() joins two pairs of asyncio streams."""
        (reader1, writer1), (reader2, writer2) = await self.stream_pairs()
        writer1.write(b"there")
        writer2.write(b"back")
        self.assertEqual((await reader2.read(9), await reader1.read(9)), (b"there", b"back"))

    def test_no_loop_outside_of_a_test(self):
        """self.loop outside of a test is a SolipsismError, not a new loop."""
        with self.assertRaisesRegex(SolipsismError, "only while the test runs"):
            WorldTest("test_settle").loop  # noqa: B018


class SealTest(unittest.TestCase):
    REAL = socket.socket.__new__, socket._socket, time.monotonic, time.monotonic_ns, socket.gethostbyname

    def check_real(self):
        names = socket.socket.__new__, socket._socket, time.monotonic, time.monotonic_ns, socket.gethostbyname
        self.assertEqual(names, self.REAL)
        self.assertIs(type(socket.socket.__new__), type(self.REAL[0]))

    def test_undone_whatever_happens(self):
        """After a test that passes, fails, errs, hangs, skips or fails in any phase the real world is back."""

        class Case(SolipsistTestCase):
            where = "nowhere"

            def boom(self, where):
                if self.where == where:
                    raise RuntimeError(where)

            def setUp(self):
                self.addCleanup(self.boom, "cleanup")
                self.boom("setUp")

            async def asyncSetUp(self):
                self.boom("asyncSetUp")

            async def test(self):
                self.boom("test")
                if self.where == "hang":
                    await asyncio.Event().wait()
                if self.where == "skip":
                    self.skipTest("not today")
                if self.where == "exit":
                    raise SystemExit
                if self.where == "cancel":
                    raise asyncio.CancelledError

            async def asyncTearDown(self):
                self.boom("asyncTearDown")

            def tearDown(self):
                self.boom("tearDown")

        expected = 0
        for Case.where in ("nowhere", "setUp", "asyncSetUp", "test", "hang", "skip", "exit", "cancel", "asyncTearDown",
                           "tearDown", "cleanup"):
            with self.subTest(Case.where):
                expected = Case.where not in ("nowhere", "skip")
                state = random.getstate()
                result = run(Case)
                self.assertEqual((len(result.errors), len(result.failures)), (expected, 0))
                self.check_real()
                self.assertEqual(random.getstate(), state)

    def test_undone_after_an_interrupt(self):
        """A KeyboardInterrupt ends the run, as in unittest; what failed before is told, and the real world is back."""

        class Case(SolipsistTestCase):
            async def test(self):
                with self.subTest("fails before"):
                    self.fail("on purpose")
                self.task = asyncio.create_task(asyncio.sleep(1))
                raise KeyboardInterrupt

        result = unittest.TestResult()
        with self.assertRaises(KeyboardInterrupt):
            Case("test").run(result)
        self.check_real()
        self.assertIn("on purpose", told(result))

    @unittest.skipUnless(signal.getsignal(signal.SIGINT) is signal.default_int_handler, "SIGINT is handled here")
    def test_control_c(self):
        """Ctrl-C in a test is a KeyboardInterrupt that ends the run, with the real world back."""

        class Case(SolipsistTestCase):
            async def test(self):
                signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(1)

        with self.assertRaises(KeyboardInterrupt):
            Case("test").run(unittest.TestResult())
        self.check_real()

    def test_stock_loop_inside(self):
        """A stock loop made inside a test is refused, and the seal is undone all the same."""

        class Case(SolipsistTestCase):
            def test(self):
                with self.assertRaises(EscapeError):
                    asyncio.SelectorEventLoop()

        self.assertTrue(run(Case).wasSuccessful())
        self.check_real()

    def test_one_test_inside_another(self):
        """A plain test may run another class; each has its own world, and the outer one is there again afterwards."""

        class Inner(SolipsistTestCase):
            start_time = 100.0

            async def test(self):
                self.assertEqual(time.monotonic(), 100.0)

        class Outer(SolipsistTestCase):
            def test(self):
                self.assertTrue(run(Inner).wasSuccessful())
                self.assertEqual(time.monotonic(), 0.0)

        self.assertEqual(told(run(Outer)), "")
        self.check_real()


if __name__ == "__main__":
    unittest.main()
