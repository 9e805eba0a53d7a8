"""Clean programs about time: sleeps, timers, deadlines, the clock that is moved by hand, and the wall clock."""

import asyncio
import datetime
import functools
import heapq
import math
import time

from solipsism_unittest import SolipsistTestCase


class SleepTest(SolipsistTestCase):
    async def test_a_day_is_slept_through(self):
        """A long sleep ends exactly when it should."""
        await asyncio.sleep(86400)
        self.assertEqual(self.now, 86400.0)

    async def test_sleep_has_a_result(self):
        """What is given to sleep() comes back."""
        self.assertEqual(await asyncio.sleep(0.25, "rested"), "rested")

    async def test_yielding_costs_no_time(self):
        """A hundred turns of the loop happen at one instant."""
        turns = 0
        for _ in range(100):
            await asyncio.sleep(0)
            turns += 1
        self.assertEqual((turns, self.now), (100, 0.0))

    async def test_a_negative_sleep_is_none(self):
        """A sleep of less than nothing only yields."""
        await asyncio.sleep(-5)
        self.assertNow(0)

    async def test_sleep_until_a_deadline(self):
        """A loop that sleeps for what remains comes to its end."""
        deadline, naps = self.loop.time() + 0.3, []
        while (left := deadline - self.loop.time()) > 0:
            naps.append(left)
            await asyncio.sleep(min(left, 0.1))
        self.assertGreaterEqual(self.loop.time(), deadline)
        self.assertLessEqual(len(naps), 4)

    async def test_sleepers_wake_in_the_order_of_their_time(self):
        """Sleep sort sorts."""
        awake = []

        async def sleeper(seconds):
            await asyncio.sleep(seconds)
            awake.append(seconds)

        await asyncio.gather(*map(sleeper, (3, 1, 2)))
        self.assertEqual(awake, [1, 2, 3])

    async def test_a_cancelled_sleep_leaves_no_timer(self):
        """Who cancels a sleep is rid of its timer."""
        nap = asyncio.create_task(asyncio.sleep(3600))
        await asyncio.sleep(1)
        nap.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await nap
        self.assertNoTimers()

    async def test_monotonic_follows_the_loop(self):
        """A heartbeat that measures with time.monotonic() sees the time that it slept."""
        before = time.monotonic()
        await asyncio.sleep(42)
        self.assertAlmostEqual(time.monotonic() - before, 42)

    async def test_monotonic_in_nanoseconds(self):
        """A rate limiter that counts nanoseconds counts the loop's."""
        start = time.monotonic_ns()
        await asyncio.sleep(1e-3)
        self.assertEqual(time.monotonic_ns() - start, 1_000_000)

    async def test_the_wall_clock_can_be_read(self):
        """Time stamps come from the wall clock, and reading it leaves nothing."""
        stamp = datetime.datetime.now(datetime.UTC)
        self.assertLess(abs(stamp.timestamp() - time.time()), 60)

    async def test_measuring_with_perf_counter(self):
        """A year of the loop's time takes next to nothing on the process's own stopwatch."""
        began = time.perf_counter()
        await asyncio.sleep(365 * 86400)
        self.assertLess(time.perf_counter() - began, 30)


class TimerTest(SolipsistTestCase):
    async def test_call_later_fires(self):
        """A timer calls its function with its arguments."""
        calls = []
        self.loop.call_later(5, calls.append, "five")
        await asyncio.sleep(6)
        self.assertEqual(calls, ["five"])

    async def test_call_at_fires_at_its_time(self):
        """A timer for a time of the clock is called then."""
        rang = self.loop.create_future()
        self.loop.call_at(7.5, lambda: rang.set_result(self.loop.time()))
        self.assertEqual(await rang, 7.5)

    async def test_a_cancelled_timer_is_no_leftover(self):
        """A timer that was cancelled may stay in the heap for as long as asyncio likes."""
        handle = self.loop.call_later(1000, self.fail)
        handle.cancel()
        self.assertTrue(handle.cancelled())

    async def test_many_cancelled_timers(self):
        """Two hundred cancelled timeouts make asyncio clean its heap, and the living timer survives that."""
        alive = asyncio.Event()
        self.loop.call_later(2, alive.set)
        for handle in [self.loop.call_later(50 + number, self.fail) for number in range(200)]:
            handle.cancel()
        await alive.wait()
        self.assertNow(2)

    async def test_a_timer_cancelled_by_a_cleanup(self):
        """A watchdog that the test leaves to a cleanup is ended by it."""
        watchdog = self.loop.call_later(30, self.fail, "the dog bites")
        self.addCleanup(watchdog.cancel)
        await asyncio.sleep(1)
        self.assertEqual(watchdog.when(), 30.0)

    async def test_a_periodic_callback_stops_itself(self):
        """A callback that arms itself anew, five times."""
        ticks = []

        def tick():
            ticks.append(self.loop.time())
            if len(ticks) < 5:
                self.loop.call_later(10, tick)

        tick()
        await asyncio.sleep(100)
        self.assertEqual(ticks, [0.0, 10.0, 20.0, 30.0, 40.0])

    async def test_debounce(self):
        """Each keystroke puts the search off; only the last is searched for."""
        searched, pending = [], None
        for text in ("s", "se", "sea"):
            if pending is not None:
                pending.cancel()
            pending = self.loop.call_later(0.3, searched.append, text)
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        self.assertEqual(searched, ["sea"])

    async def test_a_timer_that_cancels_another(self):
        """The first of two rivals prevents the second."""
        won = []
        second = self.loop.call_later(2, won.append, "second")
        first = functools.partial(won.append, "first")
        self.loop.call_later(1, lambda: (first(), second.cancel()))
        await asyncio.sleep(3)
        self.assertEqual(won, ["first"])

    async def test_call_soon_keeps_its_order(self):
        """Callbacks run first in, first out."""
        order = []
        for letter in "abc":
            self.loop.call_soon(order.append, letter)
        await asyncio.sleep(0)
        self.assertEqual("".join(order), "abc")

    async def test_a_callback_scheduled_last_of_all(self):
        """What is called soon when the test ends still runs, and is no leftover."""
        seen = []

        async def look():
            self.assertEqual(seen, ["late"])

        self.addAsyncCleanup(look)
        self.loop.call_soon(seen.append, "late")
        self.assertEqual(seen, [])

    async def test_a_scheduler_with_its_own_heap(self):
        """A scheduler that keeps a heap of jobs and one timer runs them all in order."""
        jobs, done = [(4, "d"), (1, "a"), (3, "c"), (2, "b")], []
        heapq.heapify(jobs)
        finished = asyncio.Event()

        def run_next():
            done.append(heapq.heappop(jobs)[1])
            arm()

        def arm():
            if not jobs:
                finished.set()
            else:
                self.loop.call_at(jobs[0][0], run_next)

        arm()
        await finished.wait()
        self.assertEqual(done, ["a", "b", "c", "d"])

    async def test_retry_with_exponential_backoff(self):
        """A client that fails four times waits 1, 2, 4 and 8 seconds."""
        attempts = []

        async def flaky():
            attempts.append(self.now)
            if len(attempts) < 5:
                raise ConnectionError("not yet")
            return "data"

        delay = 1.0
        while True:
            try:
                answer = await flaky()
                break
            except ConnectionError:
                await asyncio.sleep(delay)
                delay *= 2
        self.assertEqual((answer, attempts), ("data", [0.0, 1.0, 3.0, 7.0, 15.0]))


class ByHandTest(SolipsistTestCase):
    autojump = False

    async def test_advance_runs_what_is_due(self):
        """Ten seconds by hand let a ticker tick three times."""
        ticks = []

        async def ticker():
            while True:
                await asyncio.sleep(3)
                ticks.append(self.now)

        task = asyncio.create_task(ticker())
        self.addCleanup(task.cancel)
        await self.advance(10)
        self.assertEqual(ticks, [3.0, 6.0, 9.0])

    async def test_advance_to_a_time(self):
        """A clock that is set stands there."""
        alarm = self.loop.create_future()
        self.loop.call_at(100, alarm.set_result, "wake up")
        await self.advance_to(99)
        self.assertFalse(alarm.done())
        await self.advance_to(100)
        self.assertEqual(alarm.result(), "wake up")

    async def test_settle_moves_no_time(self):
        """Everything that can happen now has happened, and it is still now."""
        chain = []

        async def link(number):
            chain.append(number)
            if number < 10:
                await asyncio.create_task(link(number + 1))

        task = asyncio.create_task(link(0))
        await self.settle()
        self.assertTrue(task.done())
        self.assertEqual((chain[-1], self.now), (10, 0.0))

    async def test_two_advances_at_once(self):
        """Two that move the clock together get each their own time."""
        ends = []

        async def move(seconds):
            await self.advance(seconds)
            ends.append((seconds, self.now))

        await asyncio.gather(move(5), move(2))
        self.assertEqual(sorted(ends), [(2, 2.0), (5, 5.0)])

    async def test_the_past_is_refused(self):
        """A refused advance leaves nothing behind."""
        await self.advance(4)
        with self.assertRaises(ValueError):
            await self.advance(-1)
        with self.assertRaises(ValueError):
            await self.advance_to(3)
        self.assertNow(4)

    async def test_advance_by_nothing_settles(self):
        """To advance by zero lets the ready ones run."""
        event = asyncio.Event()
        self.loop.call_soon(event.set)
        await self.advance(0)
        self.assertTrue(event.is_set())

    async def test_an_advance_that_is_cancelled(self):
        """Who stops moving the clock leaves it where it is."""
        mover = asyncio.create_task(self.advance(50))
        self.loop.call_soon(self.loop.call_soon, mover.cancel)
        await asyncio.wait([mover])
        self.assertTrue(mover.cancelled())
        self.assertLessEqual(self.now, 50)

    async def test_a_settle_that_is_cancelled(self):
        """Who is cancelled while he waits for the calm does not disturb it."""

        async def be_busy():
            for _ in range(50):
                await asyncio.sleep(0)

        busy, settling = asyncio.create_task(be_busy()), asyncio.create_task(self.settle())
        await asyncio.sleep(0)
        settling.cancel()
        await asyncio.wait([settling])
        self.assertEqual((settling.cancelled(), busy.done()), (True, False))
        await busy


class LateStartTest(SolipsistTestCase):
    start_time = 1.7e9

    async def test_the_clock_starts_where_it_is_told(self):
        """A loop that starts in 2023 gets on by exact seconds."""
        self.assertEqual(self.loop.time(), 1.7e9)
        await asyncio.sleep(0.5)
        self.assertEqual(self.loop.time(), 1.7e9 + 0.5)

    async def test_a_nap_smaller_than_the_clock_can_tell(self):
        """A delay below the spacing of floats ends, at the next float."""
        self.assertGreater(math.ulp(self.now), 1e-7)
        await asyncio.sleep(1e-9)
        self.assertAlmostEqual(self.now, 1.7e9, places=5)

    async def test_timeout_at_a_late_time(self):
        """A timeout with an absolute deadline strikes at it."""
        with self.assertRaises(TimeoutError):
            async with asyncio.timeout_at(1.7e9 + 3):
                await asyncio.sleep(10)
        self.assertNow(1.7e9 + 3)


class DebugTest(SolipsistTestCase):
    loop_debug = True

    async def test_asyncio_debug_mode(self):
        """Debug mode keeps where handles are made; they are gone at the end as ever."""
        self.assertTrue(self.loop.get_debug())
        handle = self.loop.call_later(9, self.fail)
        await asyncio.create_task(asyncio.sleep(1))
        handle.cancel()
        self.assertTrue(handle.cancelled())

    async def test_a_failing_task_in_debug_mode(self):
        """A task that failed and was read is no matter, with its long traceback too."""

        async def fail():
            await asyncio.sleep(0.1)
            raise LookupError("no such thing")

        task = asyncio.create_task(fail())
        with self.assertRaisesRegex(LookupError, "no such thing"):
            await task
        self.assertIsInstance(task.exception(), LookupError)


class LimitsTest(SolipsistTestCase):
    virtual_time_limit = 1000.0
    real_time_limit = 30.0

    async def test_within_the_limits(self):
        """A program that stays below its limits never hears of them."""
        await asyncio.sleep(999)
        self.assertLess(self.now, self.virtual_time_limit)


class SeedTest(SolipsistTestCase):
    seed = 4

    async def test_a_jitter_is_the_same_in_every_run(self):
        """A jitter drawn from module random is within its bounds and spent in virtual time."""
        import random

        jitter = random.uniform(1, 2)
        await asyncio.sleep(jitter)
        self.assertTrue(1 <= self.now <= 2)
