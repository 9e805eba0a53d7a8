"""Assertions about time: each passes where it should, and fails one microsecond off."""

import asyncio
import contextlib
import functools
import gc
import math
import socket
import sys
import unittest
import warnings
from unittest import mock

from solipsism_unittest import SolipsismError, SolipsistTestCase
from solipsism_unittest.case.assertions.time import tolerance
from tests.case.test_case import run, told

MICROSECOND = 1e-6


async def sleep_and_return(seconds, result=None):
    await asyncio.sleep(seconds)
    return result


class TimeTest(SolipsistTestCase):
    def fails(self, text):
        return self.assertRaisesRegex(AssertionError, text)

    async def test_now(self):
        """assertNow holds at that very time, not one microsecond later or earlier, and not at NaN."""
        await asyncio.sleep(5)
        self.assertNow(5)
        self.assertNow(5 + 4e-7)
        with self.fails(r"^it is t=5\.0, not 5\.000001: 1e-06 s too early"):
            self.assertNow(5 + MICROSECOND)
        with self.fails(r"^it is t=5\.0, not 4\.999999: 1e-06 s too late"):
            self.assertNow(5 - MICROSECOND)
        with self.fails("not nan"):
            self.assertNow(math.nan)

    async def test_elapses(self):
        """assertElapses holds for exactly that time, not for one microsecond more or less."""
        with self.assertElapses(3):
            await asyncio.sleep(3)
        with self.assertElapses(0):
            pass
        with self.fails(r"^the block took 3\.000001 s, not 3 s: 1e-06 s too long \(from t=3\.0 to t=6\.000001\)"), \
                self.assertElapses(3):
            await asyncio.sleep(3 + MICROSECOND)
        with self.fails("too short"), self.assertElapses(3):
            await asyncio.sleep(3 - MICROSECOND)

    async def test_what_the_block_raises(self):
        """What a block raises passes through assertElapses, and its time is not judged."""
        with self.assertRaises(LookupError), self.assertElapses(3):
            raise LookupError

    async def test_blocks_that_are_cancelled(self):
        """A task cancelled inside assertElapses is cancelled, and fails nothing."""

        async def wait():
            with self.assertElapses(3):
                await asyncio.sleep(3)

        task = asyncio.create_task(wait())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        self.assertTrue(task.cancelled())

    async def test_the_last_records(self):
        """A failure says what happened last in the world; the program's own timers are left out."""
        one, _ = self.socketpair()
        one.send(b"12345")
        await asyncio.sleep(5)
        with self.fails(r"\n  what happened last:\n      t=0\.0 send pair0 5 bytes$"):
            self.assertNow(6)

    async def test_completes_within(self):
        """assertCompletesWithin gives the result of what ends up to the limit, not a microsecond behind it."""
        self.assertEqual(await self.assertCompletesWithin(sleep_and_return(1, "early"), 5), "early")
        self.assertEqual(await self.assertCompletesWithin(sleep_and_return(5, "exact"), 5), "exact")
        self.assertNow(6)
        with self.fails(r"^sleep_and_return did not complete within 5 s: at t=11\.0 it waits for sleep\(5\.000001\).* "
                        r"tests.case.assertions.test_time\.py:\d+ in sleep_and_return"):
            await self.assertCompletesWithin(sleep_and_return(5 + MICROSECOND), 5)
        self.assertEqual(len(asyncio.all_tasks()), 1)

    async def test_completes_after(self):
        """assertCompletesAfter gives the result of what takes exactly so long, not a microsecond more or less."""
        self.assertEqual(await self.assertCompletesAfter(sleep_and_return(5, "exact"), 5), "exact")
        with self.fails("did not complete within 5 s"):
            await self.assertCompletesAfter(sleep_and_return(5 + MICROSECOND), 5)
        with self.fails(r"^sleep_and_return took 4\.9999[0-9]* s, not 5 s: 1e-06 s too short"):
            await self.assertCompletesAfter(sleep_and_return(5 - MICROSECOND), 5)

    async def test_what_the_awaited_raises(self):
        """What the awaited thing raises passes through, a TimeoutError and a cancellation of its own included."""

        async def raising(error):
            await asyncio.sleep(1)
            raise error

        for error in (LookupError(), TimeoutError(), asyncio.CancelledError()):
            for check in (self.assertCompletesWithin, self.assertCompletesAfter):
                with self.assertRaises(type(error)) as caught:
                    await check(raising(error), 5)
                self.assertIs(caught.exception, error)

    async def test_late_whatever_it_makes_of_the_cancellation(self):
        """What is late fails also when it answers its cancellation with a result or with another error."""

        async def stubborn(error):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                if error is not None:
                    raise error from None
                return "a result"

        with self.fails("did not complete within 5 s"):
            await self.assertCompletesWithin(stubborn(None), 5)
        error = LookupError()
        with self.fails("did not complete within 5 s") as caught:
            await self.assertCompletesWithin(stubborn(error), 5)
        self.assertIs(caught.exception.__cause__, error)

    async def test_cancelled_from_outside(self):
        """Whoever cancels a task that stands in an assertion cancels it, whichever assertion it is."""
        for check in (self.assertCompletesWithin, self.assertCompletesAfter, self.assertBlocks):
            task = asyncio.create_task(check(asyncio.sleep(10), 10))
            await asyncio.sleep(1)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

    async def test_blocks(self):
        """assertBlocks holds for what waits, and cancels what it made a task of; without a time no time passes."""
        event = asyncio.Event()
        await self.assertBlocks(event.wait())
        await self.assertBlocks(asyncio.sleep(MICROSECOND))
        self.assertNow(0)
        self.assertEqual(len(event._waiters), 0)
        await self.assertBlocks(asyncio.sleep(5 + MICROSECOND), 5)
        self.assertNow(5)

    async def test_blocks_and_what_the_test_made(self):
        """A task or a future that the test made itself goes on after assertBlocks, with a time and without."""
        lock = asyncio.Lock()
        for seconds in (), (5,):
            await lock.acquire()
            second = asyncio.create_task(lock.acquire())
            await self.assertBlocks(second, *seconds)
            lock.release()
            self.assertTrue(await second)
            lock.release()
            future = self.loop.create_future()
            await self.assertBlocks(future, *seconds)
            future.set_result(1)
            gathered = asyncio.gather(future, asyncio.sleep(10, "slept"))
            await self.assertBlocks(asyncio.shield(gathered), *seconds)
            self.assertEqual(await gathered, [1, "slept"])

    async def test_blocks_that_is_cancelled(self):
        """When assertBlocks itself is cancelled, the test's own task goes on, and what it made a task of ends."""
        event = asyncio.Event()
        task = asyncio.create_task(event.wait())
        for what in (task, event.wait()):
            check = asyncio.create_task(self.assertBlocks(what, 10))
            await asyncio.sleep(1)
            check.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await check
        self.assertEqual(len(event._waiters), 1)
        event.set()
        self.assertTrue(await task)

    async def test_blocks_fails(self):
        """assertBlocks fails for what has come to an end by then, at that very instant included, and says how."""
        with self.fails(r"^sleep was to block for 5 s but returned 'x' after 5\.0 s, at t=5\.0; the longest wait was "
                        r"5\.0 s, for sleep\(5\) at tests.case.assertions.test_time\.py"):
            await self.assertBlocks(asyncio.sleep(5, "x"), 5)
        with self.fails(r"^sleep was to block but returned None after 0\.0 s, at t=5\.0$"):
            await self.assertBlocks(asyncio.sleep(0))
        with self.fails(r"^TimeTest.fails_at_once was to block but raised LookupError\('x'\)") as caught:
            await self.assertBlocks(self.fails_at_once())
        self.assertIsInstance(caught.exception.__cause__, LookupError)
        task = asyncio.create_task(asyncio.sleep(5), name="sleeper")
        task.cancel()
        with self.fails(r"^task sleeper \(sleep\) was to block but was cancelled"):
            await self.assertBlocks(task)

    async def fails_at_once(self):
        raise LookupError("x")

    async def test_blocks_and_the_cancellation(self):
        """What a blocked thing raises on being cancelled passes through; who refuses to be cancelled is told."""

        async def stumble():
            try:
                await asyncio.sleep(1)
            finally:
                raise LookupError("in finally")

        with self.assertRaisesRegex(LookupError, "in finally"):
            await self.assertBlocks(stumble())

    async def test_with_asyncio(self):
        """The assertions can be handed to whatever takes a coroutine."""
        async with asyncio.timeout(50):
            await self.assertCompletesAfter(asyncio.sleep(1), 1)
        await asyncio.wait_for(self.assertCompletesAfter(asyncio.sleep(1), 1), 5)
        await asyncio.gather(self.assertCompletesAfter(asyncio.sleep(2), 2),
                             self.assertCompletesWithin(asyncio.sleep(1), 2))
        async with asyncio.TaskGroup() as group:
            group.create_task(self.assertBlocks(asyncio.sleep(3), 2))
            task = group.create_task(self.assertCompletesAfter(sleep_and_return(2, "result"), 2))
        self.assertEqual(task.result(), "result")
        await self.assertCompletesAfter(self.assertCompletesAfter(asyncio.sleep(2), 2), 2)
        self.assertNow(8)

    @unittest.skipIf(sys.version_info < (3, 12), "eager tasks are new in 3.12")
    async def test_with_eager_tasks(self):
        """The assertions run as eager tasks too."""
        self.loop.set_task_factory(asyncio.eager_task_factory)
        task = asyncio.create_task(self.assertCompletesAfter(sleep_and_return(2, "result"), 2))
        self.assertEqual(await task, "result")
        self.assertIsNone(await asyncio.create_task(self.assertCompletesWithin(asyncio.sleep(0), 2)))

    async def test_repr_and_names(self):
        """A task of an assertion has its name, its line and a repr that asyncio can show."""
        check = self.assertBlocks(asyncio.sleep(1))
        self.assertRegex(repr(check), r"^<assertBlocks\(\) made at tests.case.assertions.test_time\.py:\d+ in .*>$")
        task = asyncio.create_task(check)
        self.assertIn("assertBlocks", repr(task))
        await asyncio.sleep(0)
        self.assertIn("assertBlocks", repr(task))
        await task
        self.assertIn("finished", repr(task))

    async def test_awaited_twice(self):
        """An assertion can be awaited once, as any coroutine."""
        check = self.assertCompletesWithin(asyncio.sleep(0), 1)
        await check
        with self.assertRaisesRegex(RuntimeError, "already awaited"):
            await check
        check.close()

    async def test_wrong_arguments(self):
        """No duration is a ValueError, nothing to await a TypeError; both at the call, and no coroutine stays."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for check in (self.assertCompletesWithin, self.assertCompletesAfter, self.assertBlocks):
                for seconds in (-1, math.nan, math.inf, "5", None):
                    if seconds is None and check == self.assertBlocks:
                        continue
                    with self.assertRaisesRegex(ValueError, "a duration is a number of seconds from 0 up, not"):
                        check(self.assertBlocks(asyncio.sleep(1)), seconds)
                name = check.__name__
                with self.assertRaisesRegex(TypeError, f"{name}.. takes a coroutine or another awaitable, not 5$"):
                    check(5, 5)
                with self.assertRaisesRegex(TypeError, rf"call it, as in self\.{name}\(sleep_and_return\(\), \.\.\.\)"):
                    check(sleep_and_return, 5)
            for seconds in (-1, math.nan, "5"):
                with self.assertRaisesRegex(ValueError, "a duration is a number"):
                    self.assertElapses(seconds)
            gc.collect(0)

    def test_tolerance(self):
        """Times are the same up to half a microsecond, or four steps of a float where these are wider."""
        self.assertEqual(tolerance(0), 5e-7)
        self.assertEqual(tolerance(1e6), 5e-7)
        self.assertEqual(tolerance(1.7e9), 4 * math.ulp(1.7e9))


class TimesOutTest(SolipsistTestCase):
    def fails(self, text):
        return self.assertRaisesRegex(AssertionError, text)

    async def raises(self, error, seconds=1):
        await asyncio.sleep(seconds)
        raise error

    async def test_times_out(self):
        """assertTimesOut holds for asyncio's limits and any TimeoutError, a library's or a socket's, at that time."""

        class LibraryTimeout(TimeoutError):
            pass

        async def limited():
            async with asyncio.timeout(5):
                await asyncio.Event().wait()

        for aw in (limited(), asyncio.wait_for(asyncio.sleep(9), 5), self.raises(LibraryTimeout(), 5),
                   self.raises(socket.timeout(), 5)):  # noqa: UP041 - by this very name
            with self.assertElapses(5):
                self.assertIsNone(await self.assertTimesOut(aw, 5))
        await self.assertTimesOut(asyncio.create_task(limited()), 5)
        with socket.socket() as listener, socket.socket() as client:
            listener.bind(("127.0.0.1", 0))
            client.settimeout(0)
            await self.assertTimesOut(asyncio.wait_for(self.loop.sock_recv(client, 5), 0), 0)

    async def test_wrong_time(self):
        """Another time fails, earlier or later, with the time that it took or what it waits for."""
        with self.fails(r"^TimesOutTest\.raises timed out after 4\.0 s, not 5 s: 1 s too short "
                        r"\(from t=0\.0 to t=4\.0\); the longest wait was 4\.0 s, "
                        r"for sleep\(4\) at tests.case.assertions.test_time\.py:\d+ in "):
            await self.assertTimesOut(self.raises(TimeoutError(), 4), 5)
        with self.fails(r"^wait_for did not time out within 5 s: at t=9\.0 it waits for "):
            await self.assertTimesOut(asyncio.wait_for(asyncio.Event().wait(), 6), 5)

    async def test_result(self):
        """A result fails, at once."""
        with self.fails(r"^sleep_and_return was to time out after 5 s but returned 'x' after 3\.0 s, at t=3\.0; the "
                        r"longest wait was 3\.0 s, for sleep\(3\)"):
            await self.assertTimesOut(sleep_and_return(3, "x"), 5)

    async def test_other_errors(self):
        """Another exception, a cancellation of its own and a failure of its own included, fails and is the cause."""
        group = ExceptionGroup("two", [TimeoutError()])
        for error in (LookupError("x"), asyncio.CancelledError(), AssertionError("inner"), group):
            with self.fails(r"^\S+\.raises was to time out after 1 s but raised \w+\(.*\) after 1\.0 s") as caught:
                await self.assertTimesOut(self.raises(error), 1)
            self.assertIs(caught.exception.__cause__, error)

    async def test_limit_of_the_caller(self):
        """A limit around the assertion is the caller's own."""
        with self.assertRaises(TimeoutError):
            async with asyncio.timeout(3):
                await self.assertTimesOut(asyncio.sleep(9), 5)
        self.assertNow(3)

    async def test_late_whatever_it_makes_of_the_cancellation(self):
        """What turns the cancellation at the limit into a TimeoutError has not timed out by itself."""

        async def translate():
            try:
                await asyncio.sleep(9)
            except asyncio.CancelledError:
                raise TimeoutError from None

        with self.fails("^.*translate did not time out within 5 s"):
            await self.assertTimesOut(translate(), 5)


class TimersTest(SolipsistTestCase):
    def fails(self, text):
        return self.assertRaisesRegex(AssertionError, text)

    async def test_next_timer(self):
        """assertNextTimer holds for the earliest pending timer, from now or by time; cancelled ones do not count."""
        await asyncio.sleep(1)
        self.loop.call_later(2, print).cancel()
        self.addCleanup(self.loop.call_later(9, print).cancel)
        self.addCleanup(self.loop.call_at(4, print).cancel)
        self.assertNextTimer(after=3)
        self.assertNextTimer(at=4)

    async def test_another_time(self):
        """Another time fails, with the next timers, what they are for and the lines they come from."""
        task = asyncio.create_task(sleep_and_return(3), name="sleeper")
        limited = asyncio.create_task(asyncio.wait_for(asyncio.Event().wait(), 4))
        await self.settle()
        timers = [self.loop.call_later(5 + number, callback) for number, callback
                  in enumerate((self.fails, print, functools.partial(print, 1), *[self.fails] * 3))]
        self.addCleanup(lambda: [thing.cancel() for thing in (task, limited, *timers)])
        with self.fails(
            r"^the next timer is due in 3\.0 s, not in 2 s: 1 s too late \(it is t=0\.0\)"
            r"\n  due at t=3\.0: sleep\(3\) at tests.case.assertions.test_time\.py:\d+ in sleep_and_return"
            r"\n  due at t=4\.0: a timeout, made at tests.case.assertions.test_time\.py:\d+ in .*"
            r"\n  due at t=5\.0: a timer that calls TimersTest\.fails \(\S*test_time\.py:\d+\), made at t.*"
            r"\n  due at t=6\.0: a timer that calls print, made at tests.case.assertions.test_time\.py:\d+ in .*"
            r"\n  due at t=7\.0: a timer that calls functools\.partial\(<built-in function print>, 1\), made at .*"
            r"\n  and 3 more"):
            self.assertNextTimer(after=2)
        with self.fails(r"^the next timer is due at t=3\.0, not at t=3\.5: 0\.5 s too early"):
            self.assertNextTimer(at=3.5)

    async def test_no_timers(self):
        """assertNoTimers holds without a pending timer, a cancelled one apart; assertNextTimer then says so."""
        self.loop.call_later(2, print).cancel()
        self.assertNoTimers()
        with self.fails(r"^no timer is pending at t=0\.0: the next one was to be due in 5 s"):
            self.assertNextTimer(after=5)
        with self.fails(r"^no timer is pending at t=0\.0: the next one was to be due at t=5"):
            self.assertNextTimer(at=5)

    async def test_tasks_that_have_not_run(self):
        """Without a timer the tasks that have not made their first step are named; one that has ended is none."""
        async def sleeper():
            await asyncio.sleep(5)

        over = asyncio.create_task(asyncio.sleep(0))
        begun = asyncio.create_task(asyncio.Event().wait())
        await over
        self.addCleanup(begun.cancel)
        one = asyncio.create_task(sleeper(), name="one")
        self.addCleanup(one.cancel)
        made = r", made at tests/case/assertions/test_time\.py:\d+ in \S+test_tasks_that_have_not_run"
        with self.fails(r"^no timer is pending at t=0\.0: the next one was to be due in 5 s\n"
                        rf"  1 task has not run yet \(one{made}\): `await self\.settle\(\)` first"):
            self.assertNextTimer(after=5)
        two = asyncio.Task(sleeper(), loop=self.loop, name="two")  # nobody knows where
        self.addCleanup(two.cancel)
        with self.fails(rf"^no timer .*\n  2 tasks have not run yet \(one{made}, two\): `await"):
            self.assertNextTimer(at=5)
        await self.settle()
        self.assertNextTimer(after=5)

    async def test_timers_that_are_there(self):
        """assertNoTimers fails for one timer, and lists what there is."""
        self.addCleanup(self.loop.call_later(2, print).cancel)
        with self.fails(r"^1 timer is pending at t=0\.0\n  due at t=2\.0: a timer that calls print, made at tests"):
            self.assertNoTimers()
        self.addCleanup(self.loop.call_later(1, print).cancel)
        with self.fails(r"^2 timers are pending at t=0\.0\n  due at t=1\.0: .*\n  due at t=2\.0"):
            self.assertNoTimers()

    async def test_timers_of_assertions(self):
        """Inside an assertion, whichever it is, its own timers do not count, on the way to its end neither."""

        async def look():
            self.assertNoTimers()
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                self.assertNoTimers()
                raise
            self.assertNoTimers()
            await asyncio.wait_for(asyncio.Event().wait(), 1)

        for check in (self.assertCompletesWithin, self.assertCompletesAfter, self.assertTimesOut):
            with self.assertRaises((TimeoutError, AssertionError)) as caught:
                await check(look(), 5)
            self.assertNotRegex(str(caught.exception), "timer is|timers are")
        await self.assertBlocks(look())
        with self.assertElapses(0):
            self.assertNoTimers()

    async def test_arguments(self):
        """None or both of after and at are a TypeError, a duration that is none is a ValueError."""
        for arguments in ({}, {"after": 1, "at": 1}):
            with self.assertRaisesRegex(TypeError, r"takes after= .* or at= .*, one of the two"):
                self.assertNextTimer(**arguments)
        for after in (-1, math.nan, "1"):
            with self.assertRaisesRegex(ValueError, "a duration is a number"):
                self.assertNextTimer(after=after)
        self.addCleanup(self.loop.call_later(2, print).cancel)
        with self.fails("not at t=nan"):
            self.assertNextTimer(at=math.nan)

    async def test_a_task_that_has_not_begun(self):
        """A sleep whose task runs no line of the user's is told with the line where its task was made."""
        task = asyncio.create_task(asyncio.sleep(2))
        await self.settle()
        self.addCleanup(task.cancel)
        with self.fails(r"due at t=2\.0: sleep\(2\) at \S*test_time\.py:\d+ in TimersTest\.test_a_task"):
            self.assertNoTimers()

    async def test_a_sleep_without_a_task(self):
        """A sleep that nobody waits for has no line."""
        future = self.loop.create_future()
        self.addCleanup(self.loop.call_later(2, asyncio.futures._set_result_unless_cancelled, future, None).cancel)
        for _ in range(2):
            with self.fails(r"due at t=2\.0: a sleep\(\)$"):
                self.assertNoTimers()
            future.add_done_callback(print)


class Hidden:
    """Discovery does not look in here."""

    class OneMicrosecond(SolipsistTestCase):
        """Each assertion about a time of five seconds, with what happens after `seconds` in truth."""

        async def times_out(self, seconds):
            async with asyncio.timeout(seconds):
                await asyncio.Event().wait()

        async def it_is(self, seconds):
            end = self.now + 5
            await asyncio.sleep(seconds)
            self.assertNow(end)

        async def elapses(self, seconds):
            with self.assertElapses(5):
                await asyncio.sleep(seconds)

        async def completes_within(self, seconds):
            await self.assertCompletesWithin(asyncio.sleep(seconds), 5)

        async def completes_after(self, seconds):
            await self.assertCompletesAfter(asyncio.sleep(seconds), 5)

        async def blocks(self, seconds):
            await self.assertBlocks(asyncio.sleep(seconds), 5)

        async def blocks_now(self, seconds):
            await self.assertBlocks(asyncio.sleep(seconds - 5))

        async def out_after(self, seconds):
            await self.assertTimesOut(self.times_out(seconds), 5)

        async def next_timer_after(self, seconds):
            self.addCleanup(self.loop.call_later(seconds, print).cancel)
            self.assertNextTimer(after=5)

        async def next_timer_at(self, seconds):
            self.addCleanup(self.loop.call_later(seconds, print).cancel)
            self.assertNextTimer(at=self.now + 5)

    # Which of (early, exact, late) hold.
    TABLE = {
        "it_is": (False, True, False), "elapses": (False, True, False), "completes_within": (True, True, False),
        "completes_after": (False, True, False), "blocks": (False, False, True), "blocks_now": (False, False, True),
        "out_after": (False, True, False), "next_timer_after": (False, True, False),
        "next_timer_at": (False, True, False),
    }


class OneMicrosecondTest(unittest.TestCase):
    def check(self, start_time, off):
        for eager in (False, True):
            for name, expected in Hidden.TABLE.items():
                for seconds, holds in zip((5 - off, 5, 5 + off), expected, strict=True):
                    if eager and sys.version_info < (3, 12):
                        continue

                    async def test(self, name=name, seconds=seconds, eager=eager):
                        if eager:
                            self.loop.set_task_factory(asyncio.eager_task_factory)
                        async with asyncio.TaskGroup() as group:
                            group.create_task(getattr(self, name)(seconds))

                    case = type("Case", (Hidden.OneMicrosecond,), {"test": test, "start_time": start_time})
                    with self.subTest(name, seconds=seconds, eager=eager):
                        result = run(case)
                        self.assertEqual((result.testsRun, result.wasSuccessful()), (1, holds), told(result))
                        self.assertRegex(told(result), "^$" if holds else r"AssertionError: ")

    def test_near_zero(self):
        """Each assertion fails for a time that is one microsecond off, to the side that it does not allow."""
        self.check(0.0, MICROSECOND)

    def test_at_a_million(self):
        """The same from t=1e6."""
        self.check(1e6, MICROSECOND)

    def test_at_an_epoch(self):
        """From t=1.7e9 the same holds for five steps of a float, 1.2 microseconds."""
        self.check(1.7e9, 5 * math.ulp(1.7e9))

    def test_within_the_tolerance(self):
        """At 1.7e9 what is four steps off counts as exact."""
        step = 4 * math.ulp(1.7e9)
        for name in ("it_is", "elapses", "completes_within", "completes_after", "out_after", "next_timer_after"):
            for seconds in (5 - step, 5 + step):

                async def test(self, name=name, seconds=seconds):
                    await getattr(self, name)(seconds)

                with self.subTest(name, seconds=seconds):
                    case = type("Case", (Hidden.OneMicrosecond,), {"test": test, "start_time": 1.7e9})
                    self.assertEqual(told(run(case)), "")


class LongestWaitTest(SolipsistTestCase):
    """What a failure says about the time that passed."""

    def fails(self, text):
        return self.assertRaisesRegex(AssertionError, text)

    async def test_sleeps(self):
        """The longest sleep is named with its line and its own length, whoever keeps the clock moving beside it."""

        async def beat():
            while True:
                await asyncio.sleep(1)

        self.addCleanup(asyncio.create_task(beat()).cancel)
        with self.fails(r"^the block took 7\.0 s, not 5 s: 2 s too long \(from t=0\.0 to t=7\.0\); the longest wait "
                        r"was 4\.0 s, for sleep\(4\) at tests.case.assertions.test_time\.py:\d+ in sleep_and_return"), \
                self.assertElapses(5):
            await asyncio.sleep(2)
            await sleep_and_return(4)
            await asyncio.sleep(1)

    async def test_what_did_not_last(self):
        """A timeout and a sleep that were cancelled count for nothing, and a wait from before only from then on."""
        before = asyncio.create_task(sleep_and_return(3))
        await asyncio.sleep(1)
        with self.fails(r"; the longest wait was 2\.0 s, for sleep\(3\)"), self.assertElapses(9):
            async with asyncio.timeout(8):
                cancelled = asyncio.create_task(asyncio.sleep(4))
                await before
                cancelled.cancel()
                await asyncio.sleep(1)

    async def test_timers(self):
        """A limit that struck, and a timer of the program's own, are named with the line where they were made."""
        with self.fails(r"; the longest wait was 3\.0 s, for a timeout, made at \S*test_time\.py:\d+ in "), \
                self.assertElapses(9), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.Event().wait()
        event = asyncio.Event()
        with self.fails(r"; the longest wait was 3\.0 s, for a timer that calls Event\.set, made at tests"), \
                self.assertElapses(9):
            self.loop.call_later(3, event.set)
            await event.wait()

    async def test_advances_and_the_network(self):
        """Time that no timer asked for is that of an advance(), or of what was under way in the network."""
        with self.fails(r"; the longest wait was 4\.0 s, for an advance\(\)"), self.assertElapses(9):
            await self.advance(4)
        with self.fails(r"; the longest wait was 3\.0 s, for what was under way in the network"), self.assertElapses(9):
            event = asyncio.Event()
            self.loop.kernel.clock.deliver_at(self.now + 3, event.set)
            await event.wait()

    async def test_no_time_passed(self):
        """Where no time passed, no wait is named."""
        with self.fails(r"\(from t=0\.0 to t=0\.0\)$"), self.assertElapses(9):
            await asyncio.sleep(0)

    async def test_late(self):
        """What is stopped at its limit says what it waits for, and the longest wait before."""
        async def slow():
            await sleep_and_return(3)
            await sleep_and_return(90)

        for check in (self.assertCompletesWithin, self.assertCompletesAfter, self.assertTimesOut):
            with self.fails(r"slow did not .* within 5 s: at t=\d+\.\d+ it waits for sleep\(90\).* in sleep_and_return"
                            r"; the longest wait was 3\.0 s, for sleep\(3\) at "):
                await check(slow(), 5)

    async def test_too_short(self):
        """assertCompletesAfter and assertBlocks say it too."""
        with self.fails(r"took 3\.0 s, not 5 s: 2 s too short \(from t=0\.0 to t=3\.0\); the longest wait was 3\.0 s"):
            await self.assertCompletesAfter(asyncio.sleep(3), 5)
        with self.fails(r"was to block for 5 s but returned None after 3\.0 s, at t=6\.0; the longest wait was 3\.0 s"):
            await self.assertBlocks(asyncio.sleep(3), 5)
        self.assertNow(6)

    async def test_now(self):
        """assertNow tells of the longest sleep that the journal surely knows to have lasted; of no cancelled one."""
        await asyncio.sleep(1)
        await asyncio.wait([asyncio.create_task(asyncio.sleep(2))])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(4), 3)
        self.addCleanup(asyncio.create_task(asyncio.sleep(50)).cancel)
        await asyncio.sleep(0.5)
        with self.fails(r"^it is t=6\.5, not 9: 2\.5 s too early; the longest sleep on record was 2\.0 s, from t=1\.0 "
                        r"to t=3\.0$"):
            self.assertNow(9)

    async def test_now_without_sleeps(self):
        """Without a sleep assertNow has none to tell of."""
        with self.fails(r"^it is t=0\.0, not 9: 9 s too early$"):
            self.assertNow(9)

    async def test_nothing_stays(self):
        """When the assertions are over, nobody watches the clock any more, also when the body raises."""
        for check in (self.assertCompletesWithin, self.assertCompletesAfter, self.assertTimesOut, self.assertBlocks):
            with contextlib.suppress(AssertionError, LookupError):
                await check(TimesOutTest.raises(self, LookupError()), 5)
        with contextlib.suppress(LookupError), self.assertElapses(5):
            raise LookupError
        self.assertEqual(self.loop.kernel.clock.watchers, [])


class NamesTest(SolipsistTestCase):
    async def test_names(self):
        """A failure calls what was awaited by the name that the user gave it, never by an internal one."""

        class Thing:
            def __await__(self):
                return asyncio.sleep(0).__await__()

        async def numbers():
            yield 1

        generator = numbers()
        self.addAsyncCleanup(generator.aclose)
        future = self.loop.create_future()
        future.set_result(None)
        expected = {
            "sleep": asyncio.sleep(0),
            "Event.wait": self.set_event().wait(),
            r"task Task-\d+ \(sleep\)": asyncio.create_task(asyncio.sleep(0)),
            "task named .sleep.": asyncio.create_task(asyncio.sleep(0), name="named"),
            r"gather\(\)": asyncio.gather(asyncio.sleep(0)),
            "a future": future,
            "NamesTest.test_names.<locals>.Thing": Thing(),
            r"anext\(\)": anext(generator),
            "AsyncMock": mock.AsyncMock()(),
            "assertCompletesWithin": self.assertCompletesWithin(asyncio.sleep(0), 1),
        }
        for name, aw in expected.items():
            with self.assertRaisesRegex(AssertionError, f"^{name} was to block but returned"):
                await self.assertBlocks(aw)

    def set_event(self):
        event = asyncio.Event()
        event.set()
        return event

    async def test_name_of_the_task(self):
        """What is no coroutine runs in a task that reports call by its own name."""

        class Thing:
            def __await__(self):
                seen.append(asyncio.current_task().get_coro().__qualname__)
                return asyncio.sleep(0).__await__()

        seen = []
        with self.assertRaises(AssertionError):
            await self.assertBlocks(Thing())
        self.assertEqual(seen, [Thing.__qualname__])


class TimeFromAnEpochTest(SolipsistTestCase):
    start_time = 1.7e9

    async def test_steps(self):
        """At 1.7e9 seconds floats are 0.24 microseconds apart: four steps are the same time, five are not."""
        step = math.ulp(self.now)
        for steps in (-4, 4):
            self.assertNow(self.now + steps * step)
        for steps in (-5, 5):
            with self.assertRaises(AssertionError):
                self.assertNow(self.now + steps * step)
        for check in (self.assertCompletesWithin, self.assertCompletesAfter):
            await check(asyncio.sleep(1 + 4 * step), 1)
            with self.assertRaises(AssertionError):
                await check(asyncio.sleep(1 + 5 * step), 1)
        await self.assertCompletesAfter(asyncio.sleep(1 - 4 * step), 1)
        with self.assertRaises(AssertionError):
            await self.assertCompletesAfter(asyncio.sleep(1 - 5 * step), 1)

    async def test_tenths(self):
        """Ten sleeps of 0.1 s are one second here too, for all their rounding."""
        with self.assertElapses(1):
            for _ in range(10):
                await asyncio.sleep(0.1)

    async def test_microseconds(self):
        """One microsecond too much or too little of a tenth of a second fails."""
        for seconds in (0.1 + MICROSECOND, 0.1 - MICROSECOND):
            with self.assertRaises(AssertionError), self.assertElapses(0.1):
                await asyncio.sleep(seconds)
        with self.assertRaises(AssertionError):
            await self.assertBlocks(asyncio.sleep(0.1), 0.1)
        await self.assertBlocks(asyncio.sleep(0.1 + MICROSECOND), 0.1)


class MissedTest(unittest.TestCase):
    def missed(self, body):
        """The failure of a test whose assertion was never begun."""

        class Case(SolipsistTestCase):
            test = body

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = run(Case)
            gc.collect(0)
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
        return told(result)

    def test_not_awaited(self):
        """An assertion that nobody awaits fails its test and names its line."""

        async def body(self):
            self.assertCompletesWithin(asyncio.sleep(1), 5)
            self.assertBlocks(self.assertBlocks(asyncio.sleep(1)))

        text = self.missed(body)
        line = body.__code__.co_firstlineno + 1
        self.assertRegex(text, rf"assertCompletesWithin\(\) at \S*test_time\.py:{line} in .* was never awaited"
                               ", so it has checked nothing")
        self.assertRegex(text, rf"assertBlocks\(\) at tests.case.assertions.test_time\.py:{line + 1} ")

    def test_not_entered(self):
        """assertElapses without `with` fails its test and names its line."""

        async def body(self):
            self.assertElapses(5)

        line = body.__code__.co_firstlineno + 1
        self.assertRegex(self.missed(body), rf"assertElapses\(\) at \S*test_time\.py:{line} in .* was never "
                                            "entered with `with`")

    def test_task_that_never_ran(self):
        """An assertion in a task that is cancelled before it runs is not missed, and leaves nothing behind."""

        class Case(SolipsistTestCase):
            async def test(self):
                task = asyncio.create_task(self.assertBlocks(asyncio.sleep(1)))
                task.cancel()
                await asyncio.wait([task])

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertEqual(told(run(Case)), "")

    def test_closed_by_hand(self):
        """Closing an assertion that never began does not count as awaiting it."""

        async def body(self):
            self.assertBlocks(asyncio.sleep(1)).close()

        self.assertIn("was never awaited", self.missed(body))

    def test_beside_a_failure(self):
        """In a failing test what was missed is a note."""

        async def body(self):
            self.assertElapses(5)
            self.fail("on purpose")

        self.assertRegex(self.missed(body), r"(?s)on purpose\nalso: assertElapses\(\) at")

    def test_refuses_to_be_cancelled(self):
        """assertBlocks on what ignores its cancellation fails, instead of waiting for ever."""

        async def body(self):
            async def refuse():
                while True:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.sleep(1)

            await self.assertBlocks(refuse())

        self.assertIn("refuse blocked, as it was to, but refuses to be cancelled", self.missed(body))

    def test_without_a_test(self):
        """An assertion outside of a test has no loop."""
        with self.assertRaisesRegex(SolipsismError, "only while the test runs"):
            SolipsistTestCase().assertNow(0)


class StockLoopTest(SolipsistTestCase):
    loop_factory = asyncio.SelectorEventLoop

    async def test_time(self):
        """On a stock loop the assertions about time work on its time; a failure has no records to show."""
        with self.assertRaisesRegex(AssertionError, r"^it is t=\d.*s too late$"):
            self.assertNow(0)
        self.assertEqual(await self.assertCompletesWithin(asyncio.sleep(0, "x"), 50), "x")


if __name__ == "__main__":
    unittest.main()
