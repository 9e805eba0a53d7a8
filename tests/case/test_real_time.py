"""The limits of a test in real and in virtual time: what is stuck is told, and the suite goes on."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import gc
import inspect
import io
import os
import pdb
import signal
import socket
import sys
import threading
import time
import unittest
import warnings
from unittest import mock

from solipsism_unittest import (
    RealTimeLimitError,
    SolipsismError,
    SolipsistEventLoop,
    SolipsistTestCase,
    VirtualTimeLimitError,
    sealed,
    with_settings,
    world,
)
from solipsism_unittest.case import real_time
from solipsism_unittest.introspection import debuggers
from solipsism_unittest.introspection.places import user_place
from solipsism_unittest.leaks import ending
from solipsism_unittest.stdlib.seal import guard
from solipsism_unittest.stdlib.threads import stalls
from solipsism_unittest.stdlib.threads.pacing.baton import Section
from tests import run_python
from tests.case.test_case import run, told

LIMIT = 0.03
LONGER = 10  # times, where a thread has to start before the strike
PATIENCE = (1, 10, 100)  # times LIMIT: see Patient


class Hidden:
    """Discovery does not look in here."""

    class Limited(SolipsistTestCase):
        real_time_limit = LIMIT
        on_slow_callback = "ignore"


# Under names that are not their own they stay the real ones: nobody sees what waits in them.
NAP, REAL_LOCK = time.sleep, threading.Lock


def run_one(test, base=Hidden.Limited, **attributes):
    """Run one test function in a class of its own; return the result."""
    return run(type("Case", (base,), {"test": test, **attributes}), "test")


def on_a_thread(function, *args):
    """Call it on a thread and return what it returns."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*args)))
    thread.start()
    thread.join()
    return results[0]


def spin():
    while True:
        pass


def limit_of(times=1):
    """The limit, or `times` that, of the tests that are run inside of a test here."""
    return Hidden.Limited.real_time_limit * times


class Patient(unittest.TestCase):
    """A test of limits in real time. One that fails is run again with longer ones: a busy machine is slow."""

    def run(self, result=None):
        result = unittest.TestResult() if result is None else result
        try:
            for times in PATIENCE[:-1]:
                Hidden.Limited.real_time_limit = LIMIT * times
                attempt = unittest.TestResult()
                super().run(attempt)
                if attempt.wasSuccessful() and not attempt.skipped:
                    result.startTest(self)
                    result.addSuccess(self)
                    result.stopTest(self)
                    return result
            Hidden.Limited.real_time_limit = LIMIT * PATIENCE[-1]
            return super().run(result)
        finally:
            Hidden.Limited.real_time_limit = LIMIT


class Struck(Patient):
    def assertStruck(self, result, *wanted):
        """One error, a RealTimeLimitError, with these texts."""
        self.assertEqual((len(result.errors), result.failures, result.testsRun), (1, [], 1), told(result))
        head = r"errors\.RealTimeLimitError: the test took longer than its real-time limit of \d[\d.]* s"
        self.assertRegex(told(result), head)
        for text in wanted:
            self.assertIn(text, told(result))


class RealTimeTest(Struck):
    def test_everywhere(self):
        """A spin in a plain test, a coroutine, a callback, a background task and a fixture is told with its line."""

        def plain(case):
            spin()

        async def coroutine(case):
            spin()

        async def callback(case):
            case.loop.call_soon(spin)
            await asyncio.sleep(1)

        async def background(case):
            case.task = asyncio.create_task(coroutine(case), name="spinner")
            await asyncio.sleep(1)

        async def idle(case):
            pass

        for place, test, fixtures in (
            ("plain", plain, {}),
            ("coroutine", coroutine, {}),
            ("callback", callback, {}),
            ("background", background, {}),
            ("setUp", idle, {"setUp": plain}),
            ("asyncSetUp", idle, {"asyncSetUp": coroutine}),
            ("tearDown", idle, {"tearDown": plain}),
            ("cleanup", idle, {"setUp": lambda case: case.addCleanup(spin)}),
            ("a factory", idle, {"loop_factory": lambda case: spin()}),
        ):
            with self.subTest(place):
                self.assertStruck(run_one(test, **fixtures), "test_real_time.py:", "in spin")

    def test_off_the_main_thread(self):
        """The same on another thread, where no signal comes."""

        async def test(self):
            self.loop.call_soon(spin)
            await asyncio.sleep(1)

        self.assertStruck(on_a_thread(run_one, test), "in spin", "waits for sleep(1), due at t=1.0")

    def test_off_the_main_thread_without_a_loop(self):
        """The same where the loop is still being made."""
        make = {"loop_factory": lambda case: spin()}
        self.assertStruck(on_a_thread(lambda: run_one(lambda case: None, **make)), "in spin")

    def test_a_loop_that_waits_for_a_thread(self):
        """A job that never ends is named, with the line where its thread is; on the main thread and on another."""
        go_on = threading.Event()

        def job():
            while not go_on.is_set():
                NAP(0.01)

        async def test(self):
            self.addCleanup(go_on.set)
            await asyncio.to_thread(job)

        def run_longer(test):
            return run_one(test, real_time_limit=limit_of(LONGER))

        for call in (run_longer, lambda test: on_a_thread(run_longer, test)):
            go_on.clear()
            with self.subTest():
                self.assertStruck(call(test), "is at", "<locals>.job\n", "waits for to_thread()")

    def test_the_program_unwinds(self):
        """The main task's `finally` and the cleanups run, with time of their own, and nothing counts as left."""
        seen = []

        async def test(self):
            self.addCleanup(seen.append, "cleanup")
            self.loop.call_soon(spin)
            try:
                await asyncio.sleep(1)
            finally:
                await asyncio.sleep(5)
                seen.append(self.now)

        result = run_one(test)
        self.assertStruck(result)
        self.assertEqual(seen, [5.0, "cleanup"])
        self.assertNotIn("the test left", told(result))

    def test_the_next_test_is_clean(self):
        """After one that is stuck the suite goes on, and the next one passes."""

        class Case(Hidden.Limited):
            async def test_1(self):
                spin()

            async def test_2(self):
                await asyncio.sleep(1)

        result = run(Case)
        self.assertEqual((result.testsRun, len(result.errors), result.failures), (2, 1, []))

    def test_bodies_that_swallow(self):
        """A body that swallows the strike and returns, raises something else, or goes on, does not make it pass."""

        async def returns(self):
            with contextlib.suppress(BaseException):
                spin()

        async def raises(self):
            try:
                spin()
            except BaseException:
                raise ValueError("instead") from None

        async def goes_on(self):
            while True:
                with contextlib.suppress(BaseException):
                    spin()

        async def goes_on_at_once(self):
            while True:
                try:
                    while True:
                        pass
                except BaseException:
                    pass

        for test in (returns, raises, goes_on, goes_on_at_once):
            with self.subTest(test.__name__):
                self.assertStruck(run_one(test))
        self.assertIn("ValueError: instead", told(run_one(raises)))

    def test_cleanups_are_bounded(self):
        """What is stuck in the cleanups too is struck again, and told as that."""

        async def test(self):
            self.addCleanup(spin)
            spin()

        text = told(run_one(test))
        self.assertIn(f"limit of {limit_of():g} s at t=0.0", text)
        self.assertIn(f"longer than the {limit_of():g} s that it has after its real-time limit at t=0.0", text)

    def test_a_main_task_that_does_not_unwind(self):
        """One whose `finally` is stuck too is given up, and told with the rest."""

        async def test(self):
            self.loop.call_soon(spin)
            try:
                await asyncio.sleep(1)
            finally:
                spin()

        self.assertStruck(run_one(test))

    def test_a_hang_on_the_way_out(self):
        """A main task that waits for ever when it is cancelled is not told twice."""

        async def test(self):
            self.loop.call_soon(spin)
            try:
                await asyncio.sleep(1)
            finally:
                await asyncio.Event().wait()

        self.assertStruck(run_one(test))

    def test_leftovers_that_are_stuck(self):
        """A task that spins when it is ended is struck, and told."""

        async def leftover():
            try:
                await asyncio.sleep(1)
            finally:
                spin()

        async def test(self):
            self.task = asyncio.create_task(leftover())
            await asyncio.sleep(0)

        self.assertStruck(run_one(test))

    def test_a_runner_that_does_not_close(self):
        """An executor that does not shut down is struck when the test is over, and told; debug() raises it."""

        def case(ends=lambda test: None):
            go_on = threading.Event()
            timer = threading.Timer(limit_of(20), go_on.set)  # where nothing strikes
            timer.start()
            for end in (timer.join, timer.cancel, go_on.set):
                self.addCleanup(end)

            class Stubborn(concurrent.futures.ThreadPoolExecutor):
                def shutdown(self, *args, **kwargs):
                    while not go_on.is_set():
                        NAP(0.01)
                    super().shutdown(*args, **kwargs)

            async def test(self):
                ends(self)

            return type("Case", (Hidden.Limited,), {"test": test, "executor_factory": lambda test: Stubborn()})

        with self.assertRaisesRegex(RealTimeLimitError, f"{limit_of():g} s"):
            case()("test").debug()
        self.assertStruck(run(case(), "test"))
        result = run(case(lambda test: test.fail("mine")), "test")
        self.assertEqual((len(result.failures), result.errors), (1, []))
        self.assertRegex(told(result), rf"AssertionError: mine\n(.*\n)*.*its real-time limit of {limit_of():g} s")

    def test_a_job_that_is_elsewhere(self):
        """A job that holds the clock until then is named, with the cure where it waits for what comes later."""

        class Elsewhere(concurrent.futures.Executor):
            def submit(self, fn, /, *args):
                return concurrent.futures.Future()

        async def test(self):
            await self.loop.run_in_executor(Elsewhere(), print)

        self.assertStruck(run_one(test), "the clock is held by: <Hold: executor job print",
                          "is submitted inside `with self.background():`")

    def test_a_failure_keeps_its_place(self):
        """A test that fails within its limit is told as ever; so are skips and interrupts."""

        async def fails(self):
            self.fail("mine")

        async def interrupt(self):
            with contextlib.suppress(SystemExit):
                spin()
            raise KeyboardInterrupt

        self.assertIn("AssertionError: mine", told(run_one(fails)))
        with self.assertRaises(KeyboardInterrupt):
            run_one(interrupt)

    def test_another_loop(self):
        """The limit works on a foreign loop, and its tasks are told."""

        async def test(self):
            asyncio.get_running_loop().call_soon(spin)
            await asyncio.sleep(10)

        def loop_factory():
            return asyncio.SelectorEventLoop()

        self.assertStruck(run_one(test, loop_factory=loop_factory), "in spin", "waits for sleep(10)")

    def test_a_task_that_cannot_be_told(self):
        """The verdict does not depend on what the program's tasks do when they are asked."""

        async def test(self):
            task = mock.Mock(spec=asyncio.Task)
            task.get_name.side_effect = ValueError("no name")
            with mock.patch("solipsism_unittest.case.real_time.all_tasks", lambda loop: {task}):
                spin()

        self.assertStruck(run_one(test), "its tasks cannot be shown: ValueError: no name")

    def test_a_task_that_dies_of_it_is_not_told_later(self):
        """The strike in a background task is not logged as an exception that nobody retrieved."""

        async def test(self):
            asyncio.create_task(asyncio.to_thread(print)).cancel()
            spin_task = asyncio.create_task(self.spin())
            await asyncio.sleep(1)
            del spin_task

        async def spin_in(self):
            spin()

        with self.assertNoLogs("asyncio"):
            self.assertStruck(run_one(test, spin=spin_in))

    def test_long_stacks(self):
        """Of a deep recursion the innermost lines are told, and how many more there are."""

        def deep(depth):
            return deep(depth - 1) if depth else spin()

        async def test(self):
            deep(30)

        self.assertStruck(run_one(test), "and 23 more\n")

    def test_a_library_call(self):
        """Of a call into the standard library the user's line comes first."""

        def test(self):
            with unittest.mock.patch("threading._allocate_lock", REAL_LOCK):  # which nobody sees
                threading.Event().wait()

        self.assertStruck(run_one(test), ".test, which had called threading.Condition.wait\n")


def swallow(go_on):
    """Go on until then, whatever is raised on the way."""
    while not go_on.is_set():
        with contextlib.suppress(BaseException):
            while not go_on.is_set():
                pass


class ClosingTest(Struck):
    """A strike while the loop of a test is closed: it is closed all the same, and the next test hears nothing of it."""

    def setUp(self):
        self.go_on = threading.Event()
        self.addCleanup(self.go_on.set)
        self.loops = []
        self.raised = []  # where nobody could catch it
        self.enterContext(mock.patch.object(sys, "unraisablehook", lambda args: self.raised.append(args.exc_value)))

    def run_two(self, test, **attributes):
        """Run this test, and another one behind it that passes; give the result."""

        def note(case):
            self.loops.append(case.loop)

        @with_settings(real_time_limit=60)
        async def test_2(case):
            gc.collect()
            await asyncio.sleep(1)
            case.assertNow(1)

        self.loops.clear()
        before = list(gc.callbacks)
        with warnings.catch_warnings(record=True) as warned, self.assertNoLogs("asyncio"):
            warnings.simplefilter("always", ResourceWarning)
            case = type("Case", (Hidden.Limited,), {"setUp": note, "test_1": test, "test_2": test_2, **attributes})
            result = run(case)
            self.assertEqual([loop.is_closed() and loop.world.over for loop in self.loops], [True] * len(self.loops))
            self.assertEqual([loop.world.running for loop in self.loops], [[]] * len(self.loops))
            self.assertEqual(gc.callbacks, before)
            self.loops.clear()
            self.assertEqual([each._testMethodName for each, _ in result.errors + result.failures], ["test_1"])
            text = told(result)
            result.errors, result.failures = [], []  # they hold the test, and what that has
            gc.collect()
        self.assertEqual(([str(each.message) for each in warned], result.testsRun), ([], 2))
        self.assertEqual([error for error in self.raised if not isinstance(error, real_time.Strike)], [])
        return text

    def stubborn(self, *, inside):
        """A factory of executors whose shutdown does not end: the first one, on its thread or at once."""
        go_on = self.go_on

        class Stubborn(concurrent.futures.ThreadPoolExecutor):
            def shutdown(self, wait=True, **kwargs):
                while wait is inside and not go_on.is_set():
                    NAP(0.01)
                super().shutdown(wait, **kwargs)

        return lambda case=None: Stubborn() if getattr(case, "_testMethodName", "") != "test_2" else None

    def test_executors(self):
        """One that does not shut down, in the thread that waits for it or when it is told not to wait."""

        async def test(case):
            """It leaves the executor."""

        for inside in (True, False):
            self.go_on.clear()
            with self.subTest(inside=inside):
                text = self.run_two(test, executor_factory=self.stubborn(inside=inside))
                self.assertIn("RealTimeLimitError", text)
            self.go_on.set()

    def test_what_an_executor_leaves(self):
        """Sockets and loops that its shutdown has made are closed without a word; and so is a loop of asyncio's own."""
        go_on, loops = self.go_on, []

        class Stubborn(concurrent.futures.ThreadPoolExecutor):
            def shutdown(self, wait=True, **kwargs):
                if wait and hasattr(loops[0], "world"):
                    self.pair = socket.socketpair()
                    loops.append(asyncio.new_event_loop())
                while wait and not go_on.is_set():
                    NAP(0.01)
                super().shutdown(wait, **kwargs)

        async def test(case):
            loops.append(case.loop)

        for factory in (SolipsistEventLoop, asyncio.SelectorEventLoop):
            go_on.clear()
            loops.clear()
            with self.subTest(factory=factory), warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always", ResourceWarning)
                case = type("Case", (Hidden.Limited,), {
                    "test": test, "loop_factory": factory, "executor_factory": lambda case: Stubborn()})
                self.assertStruck(run(case, "test"))
                self.assertEqual([loop.is_closed() for loop in loops], [True] * len(loops))
            go_on.set()
            self.assertEqual(warned, [])

    def test_of_a_class(self):
        """The executor of a class does not shut down: the class says so, and the next one has a loop of its own."""

        async def test(case):
            self.loops.append(case.loop)

        for inside in (True, False):
            self.go_on.clear()
            factory = self.stubborn(inside=inside)
            case = type("Case", (Hidden.Limited,), {
                "loop_scope": "class", "test": test, "executor_factory": lambda case, make=factory: make()})
            with self.subTest(inside=inside):
                result = run(case)
                self.assertRegex(str(result.errors[0][0]), r"^tearDownClass \(")
                self.assertStruck(result)
                self.assertTrue(self.loops[-1].is_closed() and self.loops[-1].world.over)
            self.go_on.set()

    def test_where_the_body_has_failed(self):
        """What left it stays, with a note: in debug(), and out of world()."""

        def test(case):
            case.fail("mine")

        case = type("Case", (Hidden.Limited,), {"test": test, "executor_factory": self.stubborn(inside=False)})
        with self.assertRaisesRegex(AssertionError, "^mine$") as caught:
            case("test").debug()
        self.assertIn("RealTimeLimitError", caught.exception.__notes__[-1])
        with self.assertRaisesRegex(ValueError, "^mine$") as caught, world(real_time_limit=limit_of()) as here:
            here.loop._default_executor = self.stubborn(inside=False)()
            raise ValueError("mine")
        self.assertIn("RealTimeLimitError", caught.exception.__notes__[-1])

    def test_jobs_and_threads(self):
        """One that goes on and on."""

        def work():
            while not self.go_on.is_set():
                NAP(0.01)

        async def job(case):
            case.future = case.loop.run_in_executor(None, work)
            await asyncio.sleep(0)

        async def thread(case):
            threading.Thread(target=work).start()

        for test in (job, thread):
            self.go_on.clear()
            with self.subTest(test.__name__):
                self.run_two(test)
            self.go_on.set()

    def test_loops_that_a_test_has_left(self):
        """The tasks of a loop that the program has made, where one of them does not end."""

        async def stuck(swallows):
            try:
                await asyncio.sleep(1)
            finally:
                swallow(self.go_on) if swallows else spin()

        for swallows in (False, True):

            def test(case, swallows=swallows):
                loop = asyncio.new_event_loop()
                self.loops.append(loop)
                case.tasks = [loop.create_task(stuck(swallows)) for _ in range(3)]
                loop.run_until_complete(asyncio.sleep(0.5))

            with self.subTest(swallows=swallows):
                self.run_two(test)

    def test_what_is_left_on_the_loop(self):
        """Tasks, generators and protocols that do not end, and swallow what strikes them."""

        async def stuck():
            try:
                await asyncio.sleep(1)
            finally:
                swallow(self.go_on)

        async def items():
            try:
                yield
            finally:
                swallow(self.go_on)

        class Protocol(asyncio.Protocol):
            def connection_lost(protocol, error):
                swallow(self.go_on)

        async def tasks(case):
            case.tasks = [asyncio.create_task(stuck()) for _ in range(3)]
            await asyncio.sleep(0)

        async def generators(case):
            case.generators = [items() for _ in range(3)]
            for each in case.generators:
                await anext(each)

        async def transports(case):
            case.transports = [await case.loop.create_connection(Protocol, sock=sock)
                               for pair in (case.socketpair() for _ in range(9)) for sock in pair]

        for test in (tasks, generators, transports):
            with self.subTest(test.__name__):
                self.run_two(test)


class ChoiceTest(Patient):
    def test_none(self):
        """Without a limit nothing is armed."""
        seen = []

        async def test(self):
            with self.allow_escape("signal"):
                seen.append(signal.getitimer(signal.ITIMER_REAL)[0])

        self.assertTrue(run_one(test, real_time_limit=None).wasSuccessful())
        self.assertTrue(run_one(test, real_time_limit=50).wasSuccessful())
        self.assertEqual(seen[0], 0)
        self.assertGreater(seen[1], 0)

    def test_wrong_values(self):
        """What is no positive number of seconds is an error of that test, which names the attribute."""
        for name in ("real_time_limit", "virtual_time_limit"):
            for value in (0, -1, float("nan"), float("inf"), "60", True):
                with self.subTest(name, value=value):
                    result = run_one(lambda self: None, **{name: value})
                    self.assertIn(f"SolipsismError: {name} of Case is {value!r}: solipsism", told(result))
                    self.assertIn("Set it to a number of seconds above zero, or to None for no limit; if yours means "
                                  "something else, rename it", told(result))
                    self.assertEqual(len(result.errors), 1)

    def test_systems_without_the_signal(self):
        """Where there is no setitimer, the second thread looks after the main one as well."""
        with mock.patch.object(real_time, "signal", object()):
            watchdog = real_time.real_time_limit(5.0, lambda: None)
        self.assertIsInstance(watchdog, real_time._Watchdog)


class AlarmTest(Patient):
    """The real timer of the process is somebody else's too."""

    def setUp(self):
        self.alarms = []
        before = signal.signal(signal.SIGALRM, lambda *args: self.alarms.append(args))
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)

    def test_a_signal_that_python_does_not_see(self):
        """It may come right before a call in C blocks: then it comes again, after each new start of the timer too."""
        limit = real_time.real_time_limit(LIMIT, lambda: None)
        intervals = []

        def stubborn():
            for _ in range(3):
                try:
                    spin()
                except SystemExit:
                    intervals.append(signal.getitimer(signal.ITIMER_REAL)[1])

        with limit:
            intervals.append(signal.getitimer(signal.ITIMER_REAL)[1])
            self.assertRaises(RealTimeLimitError, limit.run, stubborn)
        self.assertEqual([round(interval, 3) for interval in intervals], [real_time.AGAIN] * 4)
        self.assertEqual(signal.getitimer(signal.ITIMER_REAL), (0, 0))

    def test_both_are_put_back(self):
        """A former handler is back after the test, and its timer, with what is left of it and its interval."""
        handler = signal.getsignal(signal.SIGALRM)
        signal.setitimer(signal.ITIMER_REAL, 500, 70)
        run_one(lambda self: None)
        remaining, interval = signal.getitimer(signal.ITIMER_REAL)
        self.assertIs(signal.getsignal(signal.SIGALRM), handler)
        self.assertGreater(remaining, 400)
        self.assertLessEqual(remaining, 500)
        self.assertEqual((interval, self.alarms), (70, []))

    def test_no_timer_before(self):
        """Where no timer ran, none runs after the test."""
        run_one(lambda self: None)
        self.assertEqual(signal.getitimer(signal.ITIMER_REAL), (0, 0))

    def test_a_former_alarm_comes_in_time(self):
        """An alarm that is due within the test goes to its handler; the limit still holds."""
        for interval in (0, 0.005):
            self.alarms.clear()
            signal.setitimer(signal.ITIMER_REAL, 0.005, interval)
            result = run_one(lambda self: spin(), real_time_limit=limit_of(LONGER))
            signal.setitimer(signal.ITIMER_REAL, 0)
            with self.subTest(interval=interval):
                self.assertEqual(self.alarms[0][0], signal.SIGALRM)
                self.assertEqual(len(self.alarms) > 1, interval > 0)
                self.assertIn("RealTimeLimitError", told(result))

    def test_a_former_handler_that_raises(self):
        """What a former handler raises goes on its way (so pytest-timeout ends a test); the limit is still armed."""

        seen, spinning = [], []

        def fail(signum, frame):
            if spinning:
                spinning.clear()
                raise TimeoutError("theirs")

        def test(self):
            with contextlib.suppress(TimeoutError):
                spinning.append(True)
                spin()
            with self.allow_escape("signal"):
                seen.append(signal.getitimer(signal.ITIMER_REAL)[0] > 0)

        signal.signal(signal.SIGALRM, fail)
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        run_one(test, real_time_limit=5)
        self.assertEqual(seen, [True])

    def test_an_ignored_alarm(self):
        """A former timer whose alarm is ignored is ignored in the test too."""
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        self.assertIn("RealTimeLimitError", told(run_one(lambda self: spin())))
        self.assertEqual(signal.getsignal(signal.SIGALRM), signal.SIG_IGN)

    def test_an_alarm_that_ends_the_process(self):
        """A former timer without a handler ends the process, as it does without a test."""
        child = run_python("-c", "import signal, unittest\nfrom tests.case.test_real_time import run_one, spin\n"
                                 "signal.setitimer(signal.ITIMER_REAL, 0.01)\n"
                                 "run_one(lambda self: spin(), real_time_limit=5)")
        self.assertEqual(child.returncode, -signal.SIGALRM)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        alarm = real_time.real_time_limit(60, lambda: None)
        with alarm, mock.patch.object(real_time, "_raise_signal") as ended:
            alarm._alarm_the_former(signal.SIGALRM, None)
            signal.setitimer(signal.ITIMER_REAL, 0)  # nobody is there for it any more
        self.assertEqual((ended.call_args.args, signal.getsignal(signal.SIGALRM)), ((signal.SIGALRM,), signal.SIG_DFL))

    def test_a_handler_of_the_test(self):
        """A handler that the test sets and leaves is its own business."""

        def mine(*args):
            """Nothing."""

        def test(self):
            with self.allow_escape("signal"):
                signal.signal(signal.SIGALRM, mine)

        run_one(test)
        self.assertIs(signal.getsignal(signal.SIGALRM), mine)

    def test_an_alarm_while_it_looks(self):
        """An alarm that comes while the program's place is put into words does not find that work in its place."""

        def loop():
            signal.raise_signal(signal.SIGALRM)  # a busy machine takes longer than the timer's interval
            return None

        def program():
            spin()

        with self.assertRaises(RealTimeLimitError) as caught, real_time.real_time_limit(limit_of(), loop) as limit:
            limit.run(program)
        line = spin.__code__.co_firstlineno
        self.assertRegex(str(caught.exception), rf"\n  it was at tests/case/test_real_time\.py:({line + 1}|{line + 2}) "
                                                r"in spin\n")

    def test_a_handler_that_somebody_keeps(self):
        """The handler of a test that is over does nothing."""
        kept = []

        def test(self):
            with self.allow_escape("signal"):
                kept.append(signal.getsignal(signal.SIGALRM))

        run_one(test)
        kept[0](signal.SIGALRM, sys._getframe())
        self.assertEqual(signal.getitimer(signal.ITIMER_REAL), (0, 0))


class LimitTest(Patient):
    """The limit by itself."""

    def test_a_strike_that_comes_at_the_end(self):
        """A strike right behind the call is a RealTimeLimitError like any other."""

        class Late(real_time._Armed):
            def _calm_down(self):
                self._deadline = 0.0
                self._open = True
                if self._tick(sys._getframe()):
                    raise real_time.Strike

        with self.assertRaisesRegex(RealTimeLimitError, "limit of 5 s"):
            Late(5.0, lambda: None).run(lambda: "result")

    def test_no_strike_outside_of_a_call(self):
        """While only the framework runs, a strike is put off."""
        limit = real_time._Armed(5.0, lambda: None)
        limit._deadline = 0.0
        self.assertFalse(limit._tick(None))
        self.assertGreater(limit._deadline, time.monotonic() - 1)

    def test_a_thread_that_has_ended(self):
        """A stack that is not there is told as that."""
        self.assertEqual(real_time._stack_lines(None), ["it was nowhere: the thread has ended"])

    def test_calls_inside_calls(self):
        """A call within a call is under the same limit; the outer one stays open behind it."""
        seen = []

        def test(self):
            self.addCleanup(spin)
            try:
                self.doCleanups()
            finally:
                seen.append("after")
                spin()

        for call in (run_one, lambda test: on_a_thread(run_one, test)):
            with self.subTest():
                result = call(test)
                self.assertIn("RealTimeLimitError", told(result))
        self.assertEqual(seen, ["after", "after"])

    def test_a_loop_that_is_closed(self):
        """Nothing is unwound on a closed loop, and nothing where the main task is over."""
        loop = asyncio.SelectorEventLoop()
        coroutine = asyncio.sleep(1)
        real_time.unwind(loop, coroutine)
        task = loop.create_task(coroutine)
        loop.close()
        real_time.unwind(loop, coroutine)
        self.assertEqual(task.cancelling(), 0)
        task._log_destroy_pending = False
        coroutine.close()

    def test_what_is_struck_twice(self):
        """A job that never ends fails a test once: that the executor cannot be shut down is a note."""
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def job():
            while not go_on.is_set():
                NAP(0.01)

        async def test(self):
            await asyncio.to_thread(job)

        result = run_one(test, real_time_limit=limit_of(LONGER))
        self.assertEqual((len(result.errors), len(result.failures)), (1, 0))
        self.assertIn("also: ", told(result))
        self.assertIn("the loop waited for other threads", told(result))
        self.assertIn("thread asyncio_0 is at ", told(result))

    def test_who_moves_the_clock(self):
        """Of a program that goes on and on in time the text says who moves it."""

        async def test(self):
            while True:
                await asyncio.sleep(1)

        text = told(run_one(test, real_time_limit=0.5))  # a busy machine has run some of it by then
        self.assertRegex(text, r"who keeps the clock moving \(virtual_time_limit on the class ends such a test "
                               r"sooner\):\n.*(\n.*)* are sleep\(1\)\n")

    def test_a_tool_that_measures(self):
        """A strike that finds coverage's own code waits: the lock that it may have would never be let go."""
        namespace = {"__name__": "coverage.collector", "sys": sys, "deep": lambda: sys._getframe()}
        exec("def frame(): return sys._getframe()\ndef inner(): return deep()", namespace)
        for name in ("frame", "inner"):
            self.assertTrue(real_time._is_fragile(namespace[name]()))
        self.assertFalse(real_time._is_fragile(sys._getframe()))
        self.assertFalse(real_time._is_fragile(None))

    def test_the_callback_of_a_weak_reference(self):
        """A strike that finds one waits: Python would only print it."""
        namespace = {"__name__": "_weakrefset", "sys": sys}
        exec("def callback(): return sys._getframe()", namespace)
        self.assertTrue(real_time._is_fragile(namespace["callback"]()))

    def test_what_ends_a_test(self):
        """A strike that finds it waits: a coroutine that it is about to run would be one that nobody awaited."""
        frames = []

        class Loop(asyncio.SelectorEventLoop):
            def create_task(self, coroutine, **kwargs):
                frames.append(sys._getframe(1))
                raise real_time.Strike

        async def end():
            """Nothing."""

        loop, coroutine = Loop(), end()
        with self.assertRaises(real_time.Strike):
            ending.run(loop, coroutine)
        loop.close()
        self.assertTrue(real_time._is_fragile(frames[0]))
        self.assertEqual(inspect.getcoroutinestate(coroutine), inspect.CORO_CLOSED)

    def test_an_audit_hook(self):
        """A strike that finds ours waits: it would come out of the audited call, as of `sys.set_asyncgen_hooks()`.

        Where that fails CPython puts back a hook that it has let go: the next one to ask for it may crash.
        """
        found = []

        class Escapes:
            def __contains__(self, event):
                found.append(sys._getframe(1))
                return False

        guard.hook_for({})("sys.set_asyncgen_hook_firstiter", (), Escapes())
        self.assertEqual([real_time._is_fragile(frame) for frame in found], [True])

    def test_a_callback_of_the_garbage_collector(self):
        """One that comes during a collection would find ours first, where Python only prints it: it waits."""
        found = []

        class Used:
            @staticmethod
            def thread_time():
                found.append(sys._getframe(1))
                return 0.0

        async def main():
            with mock.patch.object(stalls, "Real", Used):
                gc.collect()

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(main())
        self.assertEqual([frame.f_code.co_name for frame in found], ["__call__"] * 2)
        self.assertTrue(all(map(real_time._is_fragile, found)))

    def test_no_strike_where_a_section_of_the_baton_is_entered_or_left(self):
        """A thread that is stopped there would keep its lock, and no other thread of the world could go on."""
        where = []

        class Lock:
            def acquire(self):
                where.append(sys._getframe(1))

            release = acquire

            def _is_owned(self):
                return True

        section = Section(mock.Mock())
        section.mutex = Lock()
        with section:
            self.assertFalse(real_time._is_fragile(sys._getframe()))
        self.assertEqual([frame.f_code.co_name for frame in where], ["__enter__", "leave"])
        self.assertTrue(all(map(real_time._is_fragile, where)))

    def test_a_strike_that_is_being_sent(self):
        """What comes behind the program waits until a strike is sent, so that none comes later."""
        watchdog = real_time._Watchdog(60, lambda: None)
        with watchdog:
            watchdog._striking = True
            timer = threading.Timer(0.005, setattr, (watchdog, "_striking", False))
            timer.start()
            watchdog._calm_down()
            self.assertFalse(watchdog._striking)
            timer.join()

    def test_a_thread_in_c(self):
        """A thread other than the main one that does not come back from C is told to stderr, once."""
        told_so = "nothing more can be done from another thread"
        lock = threading.Lock()
        lock.acquire()

        class Stderr(io.StringIO):
            def write(self, text):
                super().write(text)
                if told_so in text:
                    lock.release()

        def test(self):
            lock.acquire(timeout=30)  # in C until it was told

        stderr = Stderr()
        with mock.patch.object(sys, "__stderr__", stderr):
            result = on_a_thread(run_one, test)
        self.assertEqual(stderr.getvalue().count(told_so), 1)
        self.assertIn("RealTimeLimitError", told(result))


REAL_SLEEP = time.sleep


class OtherLoopsTest(unittest.TestCase):
    def test_their_tasks(self):
        """The report has the tasks of the other loops of the world too: of a program in a thread, for example."""
        async def program():
            over = asyncio.Event()
            beat = asyncio.create_task(ticks(over), name="beat")
            await over.wait()
            await beat

        async def ticks(over):
            while not is_over:
                await asyncio.sleep(15)
            over.set()

        async def test(self):
            await asyncio.to_thread(asyncio.run, program())

        is_over = []
        before = set(threading.enumerate())
        text = told(run_one(test, SolipsistTestCase, real_time_limit=0.3))
        is_over.append(True)
        for thread in set(threading.enumerate()) - before:
            thread.join(timeout=10)
        self.assertRegex(text, r"(?s)RealTimeLimitError.*<SolipsistEventLoop running \S+> runs in another thread:\n"
                               r".*\(OtherLoopsTest\S*program\) at \S*test_real_time\.py:\d+.*beat \(")


class DebuggerTest(unittest.TestCase):
    def test_a_tracing_debugger(self):
        """While a debugger traces, its time does not count; a tracer that only measures is none."""
        before = sys.gettrace()
        debugger = pdb.Pdb(stdout=io.StringIO())
        limit = real_time._Armed(5.0, lambda: None)
        limit._open, limit._deadline = True, limit._last
        limit._last -= 100
        with mock.patch.object(debuggers, "gettrace", lambda: debugger.trace_dispatch):
            self.assertTrue(debuggers.debugging(None))
            self.assertFalse(limit._tick(sys._getframe()))
        self.assertGreater(limit._deadline, time.monotonic() + 50)
        self.assertFalse(debuggers.debugging(None))
        self.assertIs(sys.gettrace(), before)

    def test_a_debugger_of_another_thread(self):
        """A traced frame shows that its thread has a debugger, though the looking one has none."""
        frame = sys._getframe()
        with mock.patch.object(debuggers, "gettrace", lambda: None):
            before, frame.f_trace = frame.f_trace, pdb.Pdb(stdout=io.StringIO()).trace_dispatch
            found = debuggers.debugging(frame)
            frame.f_trace = before
        self.assertTrue(found)

    def test_a_place_on_a_frame(self):
        """The place of what gather() makes stands where a debugger's function can, and is none."""
        frame = sys._getframe()
        with mock.patch.object(debuggers, "gettrace", lambda: None):
            before, frame.f_trace = frame.f_trace, user_place()
            found = debuggers.debugging(frame)
            frame.f_trace = before
        self.assertFalse(found)

    def test_a_tracer_without_a_module(self):
        """A tracer is known by its class where it has no module of its own."""

        class Tracer:
            __module__ = "pydevd.tracing"

            def __call__(self, *args):
                """Trace nothing."""

        with mock.patch.object(debuggers, "gettrace", Tracer):
            self.assertTrue(debuggers.debugging(None))

    def test_a_debugger_that_has_gone(self):
        """A debugger that was told to go on leaves a mark on the outermost frame, which counts for nothing."""
        frame = outermost = sys._getframe()
        while outermost.f_back is not None:
            outermost = outermost.f_back
        before, outermost.f_trace = outermost.f_trace, pdb.Pdb(stdout=io.StringIO()).trace_dispatch
        self.addCleanup(setattr, outermost, "f_trace", before)
        self.assertFalse(debuggers.debugging(frame))

    def test_a_session(self):
        """A debugger that does not trace is known by its frames, and what PYTHONBREAKPOINT names by its name."""
        namespace = {"__name__": "code", "sys": sys}
        exec("def interact(): return sys._getframe()", namespace)
        self.assertTrue(debuggers.debugging(namespace["interact"]()))
        frame = sys._getframe()
        self.assertFalse(debuggers.debugging(frame))
        with mock.patch.dict(os.environ, PYTHONBREAKPOINT=f"{__name__}.test_a_session"):
            self.assertTrue(debuggers.debugging(frame))

    @unittest.skipUnless(hasattr(sys, "monitoring"), "sys.monitoring is there from Python 3.12 on")
    def test_a_monitoring_debugger(self):
        """A tool that has registered as the debugger counts as one."""
        sys.monitoring.use_tool_id(sys.monitoring.DEBUGGER_ID, "debugger")
        try:
            self.assertTrue(debuggers.debugging(None))
        finally:
            sys.monitoring.free_tool_id(sys.monitoring.DEBUGGER_ID)


class VirtualTimeTest(unittest.TestCase):
    def run_limited(self, test, **attributes):
        return run_one(test, SolipsistTestCase, virtual_time_limit=100, **attributes)

    def test_up_to_the_limit(self):
        """Time may go to the limit and not a microsecond further, from any start."""
        for start in (0.0, 1.7e9):
            for seconds, passes in ((100, True), (100.000001, False)):
                with self.subTest(start=start, seconds=seconds):

                    async def test(self, seconds=seconds):
                        await asyncio.sleep(seconds)

                    result = self.run_limited(test, start_time=start)
                    self.assertEqual(result.wasSuccessful(), passes)

    def test_who_keeps_the_clock_moving(self):
        """The error says who moves the clock and how often, and stands at the line that waits."""

        async def test(self):
            async def ping():
                while True:
                    await asyncio.sleep(1)

            def tick():
                self.loop.call_later(2, tick)

            self.socketpair()[0].send(b"a record of another kind")
            tick()
            self.task = asyncio.create_task(ping(), name="ping")
            await asyncio.Future()

        text = told(self.run_limited(test))
        for wanted in (
            "VirtualTimeLimitError: the test goes on beyond its virtual time limit of 100 s at t=100.0: 2 tasks\n"
            "  the next thing would happen at t=101.0; who keeps the clock moving:\n"
            "      task ping\n",
            " events 101 are sleep(1)\n",
            " events 51 are timers that call ",
            "await asyncio.Future()",
        ):
            self.assertIn(wanted, text)

    def test_it_unwinds_as_a_hang_does(self):
        """`finally` blocks run and may take time; a body that swallows the cancellation does not pass."""
        seen = []

        async def test(self):
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                await asyncio.sleep(50)
                seen.append(self.now)

        result = self.run_limited(test)
        self.assertIn("VirtualTimeLimitError", told(result))
        self.assertEqual((seen, len(result.errors)), ([50.0], 1))

    def test_an_advance(self):
        """An advance() beyond the limit is stopped as well, timers on the way or not."""

        async def test(self):
            await self.advance(101)

        self.assertIn("VirtualTimeLimitError", told(self.run_limited(test)))

    def test_cleanups_and_leftovers(self):
        """The limit covers cleanups; what is ended behind them has time of its own."""

        async def slow_end():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(30)

        async def test(self):
            self.addAsyncCleanup(asyncio.sleep, 200)

        async def leaves(self):
            self.task = asyncio.create_task(slow_end())
            await asyncio.sleep(90)

        self.assertIn("VirtualTimeLimitError", told(self.run_limited(test)))
        text = told(self.run_limited(leaves))
        self.assertIn("1 pending task", text)
        self.assertNotIn("VirtualTimeLimitError", text)

    def test_a_foreign_loop(self):
        """A loop without virtual time cannot keep the limit, and says so."""
        result = self.run_limited(lambda self: None, loop_factory=asyncio.SelectorEventLoop)
        self.assertIn("SolipsismError: virtual_time_limit needs the virtual world", told(result))

    def test_both_are_errors_of_the_simulation(self):
        """Programs do not catch it as an OSError, nor as a TimeoutError."""
        self.assertTrue(issubclass(VirtualTimeLimitError, SolipsismError))
        self.assertFalse(issubclass(VirtualTimeLimitError, OSError))


class OthersTest(Patient):
    def test_threads_of_the_world(self):
        """A thread that lives in the world of the test is told with the line where it is."""
        there, go_on = threading.Event(), threading.Event()

        def other(loop):
            with sealed(loop):
                there.set()
                go_on.wait(60)

        def test(self):
            thread = threading.Thread(target=other, args=(self.loop,), name="helper")
            ends.callback(lambda: thread.ident and thread.join())
            thread.start()
            there.wait(5)
            spin()

        ends = contextlib.ExitStack()  # not cleanups of the inner test: a strike may come before they are there
        self.addCleanup(ends.close)
        self.addCleanup(go_on.set)
        self.assertRegex(told(run_one(test)), r"thread helper is at \S+test_real_time.py:\d+ in OthersTest\.\S*other")


@unittest.skipUnless(signal.getsignal(signal.SIGINT) is signal.default_int_handler, "SIGINT is handled here")
class InterruptTest(unittest.TestCase):
    """Ctrl-C is what asyncio's own runner makes of it."""

    def on_both(self, main):
        """What `main(noted)` notes under asyncio's runner and under ours, with what came out."""
        arms = []
        for is_ours in (False, True):
            noted = []
            with asyncio.Runner() as runner:
                try:
                    if is_ours:
                        out = real_time.run(runner.get_loop(), main(noted), contextvars.copy_context())
                    else:
                        out = runner.run(main(noted))
                except BaseException as error:
                    out = type(error)
            arms.append((noted, out, signal.getsignal(signal.SIGINT)))
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self.assertEqual(arms[0], arms[1])
        return arms[1][:2]

    def test_once(self):
        """The main task is cancelled, cleans up, and a KeyboardInterrupt comes out."""

        async def main(noted):
            try:
                signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)
                noted.append("cleaned up")

        self.assertEqual(self.on_both(main), (["cleaned up"], KeyboardInterrupt))

    def test_twice(self):
        """The second one is a KeyboardInterrupt where the program is."""

        async def main(noted):
            signal.raise_signal(signal.SIGINT)
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                noted.append("at once")
                raise

        self.assertEqual(self.on_both(main), (["at once"], KeyboardInterrupt))

    def test_swallowed(self):
        """A task that goes on after it was cancelled comes to its end; one that is cancelled by itself is cancelled."""

        async def go_on(noted):
            signal.raise_signal(signal.SIGINT)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            return "went on"

        async def cancelled(noted):
            asyncio.current_task().cancel()
            await asyncio.sleep(60)

        async def both(noted):
            asyncio.current_task().cancel()
            await go_on(noted)
            asyncio.current_task().cancel()
            await asyncio.sleep(60)

        self.assertEqual(self.on_both(go_on), ([], "went on"))
        self.assertEqual(self.on_both(cancelled), ([], asyncio.CancelledError))
        self.assertEqual(self.on_both(both), ([], asyncio.CancelledError))

    def test_at_the_end(self):
        """One that comes when the main task is done, and the loop still turns, is a KeyboardInterrupt at once."""

        async def main(noted):
            asyncio.current_task().add_done_callback(lambda task: signal.raise_signal(signal.SIGINT))

        self.assertEqual(self.on_both(main), ([], KeyboardInterrupt))

    def test_handlers_of_the_program(self):
        """A handler that the program has set, before or meanwhile, is its own."""

        async def main(noted):
            signal.signal(signal.SIGINT, signal.SIG_IGN)

        self.assertEqual(self.on_both(main), ([], None))
        handler = mock.Mock()
        signal.signal(signal.SIGINT, handler)
        self.addCleanup(signal.signal, signal.SIGINT, signal.default_int_handler)

        async def interrupted():
            signal.raise_signal(signal.SIGINT)

        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        real_time.run(loop, interrupted(), contextvars.copy_context())
        self.assertEqual((handler.call_count, signal.getsignal(signal.SIGINT)), (1, handler))


if __name__ == "__main__":
    unittest.main()
