"""Virtual time: exact jumps, ties in order, any start and any delay, and the advancing of time by hand."""

import asyncio
import contextlib
import datetime
import math
import threading
import time
import unittest
from unittest import mock

from solipsism_unittest import SleepForeverError, SolipsistEventLoop, socketpair
from solipsism_unittest.kernel.journal import FULL, KEPT

YEAR = 365.25 * 86400


def run(main, start_time=0.0, **options):
    with asyncio.Runner(loop_factory=lambda: SolipsistEventLoop(start_time, **options)) as runner:
        return runner.run(main)


async def slept(delay):
    """Sleep, and return what time it is then."""
    await asyncio.sleep(delay)
    return asyncio.get_running_loop().time()


def fired(whens, start_time=0.0, cancel=()):
    """Set a timer for each of `whens`, cancel some by their index, and return (when, time()) of each in the order of
    firing.
    """
    found = []

    async def main():
        loop = asyncio.get_running_loop()
        timers = [
            loop.call_at(when, lambda when=when, index=index: found.append((when, loop.time(), index)))
            for index, when in enumerate(whens)
        ]
        for index in cancel:
            timers[index].cancel()
        await loop.advance_to(max(whens))

    run(main(), start_time)
    return found


class JumpTest(unittest.TestCase):
    def test_a_sleep_ends_at_exactly_its_time(self):
        """A sleep from 0 ends at exactly its delay: a fraction, a day, ten years, a tenth of a microsecond, the
        least float.
        """
        for delay in (0.1, 86400, 86400.5, 10 * YEAR, 1e-7, 5e-324, 1e300):
            with self.subTest(delay):
                self.assertEqual(run(slept(delay)), delay)

    def test_any_start(self):
        """The clock starts where it is told, negative too, and a sleep ends at exactly start + delay, rounded once."""
        for start in (1.7e9, 1e15, -5.0, -1.0, 2.0**40, 123):
            for delay in (0.25, 1e-3, 86400, 10 * YEAR):
                with self.subTest(start=start, delay=delay):
                    self.assertEqual(run(slept(delay), start), max(start + delay, math.nextafter(start, math.inf)))

    def test_a_delay_below_the_spacing_of_floats_ends_later(self):
        """A positive delay that does not change the float that it is added to ends at the next float; none does not."""
        for start, delay in ((1.7e9, 1e-8), (1e17, 1.0), (1.0, 1e-17), (-1e17, 0.5), (518.4, 2.9e-14), (0.25, 5e-324)):
            with self.subTest(start=start):
                self.assertEqual(run(slept(delay), start), math.nextafter(start, math.inf))
                for none in (0, 0.0, -delay, -1e-300):
                    self.assertEqual(run(slept(none), start), start)

    def test_so_does_a_limit_below_it(self):
        """The same of whatever takes a delay: a timeout ends later than now, and one of nothing at once."""
        async def timeout(delay):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay) as limit:
                    await asyncio.Event().wait()
            self.assertIsInstance(limit, asyncio.Timeout)
            self.assertIsInstance(limit, asyncio.timeouts.Timeout)
            self.assertTrue(limit.expired())

        async def wait_for(delay):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), delay)

        async def wait(delay):
            task = asyncio.create_task(asyncio.Event().wait())
            await asyncio.wait([task], timeout=delay)
            task.cancel()

        async def call_later(delay):
            done = asyncio.Event()
            asyncio.get_running_loop().call_later(delay, done.set)
            await done.wait()

        async def ended(limited, delay):
            await limited(delay)
            return asyncio.get_running_loop().time()

        for limited in (timeout, wait_for, wait, call_later):
            for start, delay in ((518.4, 2.9e-14), (1.7e9, 1e-7), (2.0**20, 5e-324), (1.0, 1e-17), (0.0, 5e-324)):
                with self.subTest(limited.__name__, start=start):
                    self.assertEqual(run(ended(limited, delay), start), math.nextafter(start, math.inf))
                    self.assertEqual(run(ended(limited, 0), start), start)
            self.assertEqual(run(ended(limited, 0.25), 518.4), 518.4 + 0.25)

    def test_a_moment_that_was_reached(self):
        """A limit at a time that has come ends at once; one at the next float ends there."""
        async def timeout_at(when):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(when) as limit:
                    await asyncio.Event().wait()
            self.assertEqual(limit.when(), when)
            return asyncio.get_running_loop().time()

        later = math.nextafter(518.4, math.inf)
        for when, end in ((518.4, 518.4), (1.0, 518.4), (later, later)):
            with self.subTest(when):
                self.assertEqual(run(timeout_at(when), 518.4), end)

    def test_a_program_that_polls_with_tiny_limits_gets_on(self):
        """What waits again and again, each time for less than the spacing of floats, is at its deadline some time."""
        async def main():
            turns, deadline = 0, 518.4 + 20 * math.ulp(518.4)
            while asyncio.get_running_loop().time() < deadline:
                turns += 1
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2.9e-14):
                        await asyncio.Event().wait()
            return turns

        self.assertEqual(run(main(), 518.4), 20)

    def test_a_class_of_the_program_for_timeouts(self):
        """What a program puts in the place of the class of timeouts is what it gets, inside and outside."""
        async def main():
            return asyncio.timeout(5)

        with mock.patch.object(asyncio.timeouts, "Timeout") as fake:
            self.assertIs(run(main()), fake.return_value)
            self.assertIs(asyncio.timeouts.Timeout, fake)
        fake.assert_called_once_with(5.0)
        self.assertIs(asyncio.timeouts.Timeout, asyncio.Timeout)

    def test_a_rate_limiter_ends(self):
        """A program that sleeps for what rounding has left of a share, again and again, gets on."""

        async def main(rate, start):
            loop = asyncio.get_running_loop()
            tokens, updated, sleeps = 1.0, loop.time(), 0
            for _ in range(20):
                while True:
                    now = loop.time()
                    tokens, updated = min(1.0, tokens + (now - updated) * rate), now
                    if tokens >= 1:
                        tokens -= 1
                        break
                    await asyncio.sleep((1 - tokens) / rate)
                    sleeps += 1
            self.assertLess(sleeps, 100)
            return loop.time() - start

        for rate, start in ((1 / 86.4, 0.0), (1 / 86.4, 518.4), (3, 1e6), (1 / 3, 0.1), (7, 1.7e9)):
            with self.subTest(rate=rate, start=start):
                self.assertAlmostEqual(run(main(rate, start), start), 19 / rate, delta=1e-5)

    def test_a_clock_cannot_start_nowhere(self):
        """A start that is infinite or not a number is a ValueError, and what was half made goes without a word."""
        for start in (math.inf, -math.inf, math.nan):
            with self.subTest(start), self.assertRaisesRegex(ValueError, "a clock cannot start at"):
                SolipsistEventLoop(start)

    def test_a_deadline_loop_ends(self):
        """`while time() < deadline: sleep(deadline - time())` ends, at the deadline, for sums that binary floats
        round.
        """

        async def main(deadline):
            loop = asyncio.get_running_loop()
            turns = 0
            while loop.time() < deadline:
                await asyncio.sleep(deadline - loop.time())
                turns += 1
            return loop.time(), turns

        for start, delay in ((0.0, 0.1 + 0.2), (0.1, 0.2), (1.7e9, 0.1), (-0.3, 0.1), (1e9, 1e-7)):
            with self.subTest(start=start, delay=delay):
                now, turns = run(main(start + delay), start)
                self.assertTrue(start + delay <= now <= math.nextafter(start + delay, math.inf))
                self.assertLessEqual(turns, 2)

    def test_ten_thousand_chained_sleeps(self):
        """Ten thousand sleeps add up as the floats do, neither early nor late by any."""

        async def main():
            expected = 0.0
            for _ in range(10_000):
                await asyncio.sleep(0.1)
                expected += 0.1
            return asyncio.get_running_loop().time(), expected

        now, expected = run(main())
        self.assertEqual(now, expected)

    def test_neighbouring_floats_are_two_instants(self):
        """Of two deadlines that are neighbouring floats each has its own instant, at zero, negative and at powers of
        two.
        """
        for base in (
            0.0,
            5e-324,
            -5e-324,
            0.1,
            1.0,
            -1.0,
            2.0**-1022,
            2.0,
            -2.0,
            1024.0,
            -1024.0,
            1.7e9,
            2.0**53,
            -(2.0**53),
        ):
            later = math.nextafter(base, math.inf)
            for first in (base, math.nextafter(base, -math.inf)):
                with self.subTest(base=base, first=first):
                    found = fired([later, base, first], min(first, base) - 1.0)
                    self.assertEqual(
                        [(when, now) for when, now, _ in found], [(when, when) for when in sorted([later, base, first])]
                    )

    def test_whole_numbers_become_floats(self):
        """A deadline that is an int gives a time that is a float, as on a real loop."""
        [(_, now, _)] = fired([5])
        self.assertIs(type(now), float)

    def test_deadlines_that_are_none(self):
        """NaN is a ValueError; None and text are TypeErrors; nothing is armed."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        for when, error in ((math.nan, ValueError), (None, TypeError), ("5", TypeError)):
            with self.subTest(when), self.assertRaises(error):
                loop.call_at(when, print)
        self.assertEqual(loop._scheduled, [])

    def test_a_delay_that_is_none(self):
        """call_later() of None is a TypeError, as on any loop."""
        with contextlib.closing(SolipsistEventLoop()) as loop:
            self.assertRaisesRegex(TypeError, "delay must not be None", loop.call_later, None, print)

    def test_the_journal_keeps_pace(self):
        """Timers fill the journal and are thrown away half by half; a journal that is off keeps none."""
        with contextlib.closing(SolipsistEventLoop()) as loop:
            for number in range(FULL + 1):
                loop.call_at(float(number), print).cancel()
            self.assertEqual(len(loop.kernel.journal.records), KEPT + 1)
            loop.kernel.journal.enabled = False
            loop.call_at(1.0, print)
            self.assertEqual(len(loop.kernel.journal.records), KEPT + 1)

    def test_the_past_is_due_now(self):
        """A deadline in the past, minus infinity included, fires at once and moves no time."""
        self.assertEqual([now for _, now, _ in fired([-1.0, -math.inf, 0.0])], [0.0, 0.0, 0.0])

    def test_a_timer_at_infinity_never_comes(self):
        """Sleeping for ever is a hang, not a jump to infinity."""
        with self.assertRaisesRegex(SleepForeverError, r"sleep\(inf\)"):
            run(asyncio.sleep(math.inf))

    def test_a_closed_loop_knows_its_time(self):
        """time() answers on a closed loop with its last time."""
        loop = SolipsistEventLoop()
        loop.run_until_complete(asyncio.sleep(2.5))
        loop.close()
        self.assertEqual(loop.time(), 2.5)


class TieTest(unittest.TestCase):
    def test_equal_deadlines_run_in_the_order_of_creation(self):
        """Any number of timers at one instant fire in the order in which they were made."""
        self.assertEqual([index for _, _, index in fired([1.0] * 50)], list(range(50)))

    def test_also_after_the_heap_was_rebuilt(self):
        """Order survives the rebuilding of the heap that asyncio does when more than half of many timers are
        cancelled.
        """
        cancelled = [index for index in range(400) if index % 3]
        found = fired([float(index % 2 + 1) for index in range(400)], cancel=cancelled)
        kept = [index for index in range(400) if not index % 3]
        self.assertEqual([index for _, _, index in found], [i for i in kept if i % 2 == 0] + [i for i in kept if i % 2])

    def test_timers_of_many_instants_fire_in_order(self):
        """Timers made in any order fire by deadline, and among equals by creation."""
        whens = [(index * 7919 % 13) / 8 for index in range(100)]
        found = fired(whens)
        self.assertEqual([index for _, _, index in found], sorted(range(100), key=lambda index: (whens[index], index)))

    def test_call_soon_is_first_in_first_out(self):
        """call_soon keeps its order, in front of a timer that is due now."""
        order = []

        async def main():
            loop = asyncio.get_running_loop()
            loop.call_later(0, order.append, "timer")
            for number in range(3):
                loop.call_soon(order.append, number)
            await loop.settle()

        run(main())
        self.assertEqual(order, [0, 1, 2, "timer"])

    def test_one_instant_deliveries_then_timers_then_the_end_of_an_advance(self):
        """At one instant what arrives comes first, then timers, then the advance that ends there, however they were
        armed.
        """
        order = []

        async def main():
            loop = asyncio.get_running_loop()
            loop.call_at(1.0, order.append, "timer")
            loop.kernel.clock.deliver_at(1.0, lambda: order.append("delivery"))
            await loop.advance(1.0)
            order.append("advance")

        run(main())
        self.assertEqual(order, ["delivery", "timer", "advance"])

    def test_what_arrives_now_comes_before_a_timer_that_is_due_now(self):
        """A delivery for this very instant comes before a timer for it that was armed earlier."""
        order = []

        async def main():
            loop = asyncio.get_running_loop()
            loop.call_later(0, order.append, "timer")
            loop.kernel.clock.deliver_at(loop.time(), lambda: order.append("delivery"))
            await loop.settle()

        run(main())
        self.assertEqual(order, ["delivery", "timer"])

    def test_a_ready_descriptor_comes_before_a_timer(self):
        """Bytes that are there at an instant are read before a timer of that instant fires."""
        order = []

        async def main():
            loop = asyncio.get_running_loop()
            one, two = socketpair()
            loop.add_reader(two, lambda: order.append(two.recv(1)))
            loop.call_at(1.0, order.append, "timer")
            loop.kernel.clock.deliver_at(1.0, lambda: one.send(b"x"))
            await loop.advance(1.0)
            loop.remove_reader(two)
            one.close()
            two.close()

        run(main())
        self.assertEqual(order, [b"x", "timer"])


class MonotonicTest(unittest.TestCase):
    def test_monotonic_is_the_loops_time(self):
        """time.monotonic() and monotonic_ns() follow the loop while it runs, and are real again afterwards."""

        async def main():
            await asyncio.sleep(1234.5)
            return time.monotonic(), time.monotonic_ns()

        real = time.monotonic()
        self.assertEqual(run(main()), (1234.5, 1_234_500_000_000))
        self.assertLess(abs(time.monotonic() - real), 600)

    def test_the_wall_clock_stays_real(self):
        """A day of virtual time moves neither time.time() nor datetime nor perf_counter()."""

        async def main():
            before = time.time(), datetime.datetime.now(), time.perf_counter()
            await asyncio.sleep(86400)
            return before

        wall, date, counter = run(main())
        self.assertLess(time.time() - wall, 3600)
        self.assertLess(datetime.datetime.now() - date, datetime.timedelta(hours=1))
        self.assertLess(time.perf_counter() - counter, 3600)


class AdvanceTest(unittest.TestCase):
    def advanced(self, act, autojump=False, start_time=0.0):
        """Run `await act(loop, order)` and return the order."""
        order = []

        async def main():
            loop = asyncio.get_running_loop()
            await act(loop, order)

        run(main(), start_time, autojump=autojump)
        return order

    def test_runs_what_is_due_each_at_its_own_time(self):
        """advance() runs everything due up to and including its end, each at its own instant, and nothing behind it."""

        async def act(loop, order):
            timers = [
                loop.call_at(when, lambda: order.append(loop.time()))
                for when in (3.0, 1.0, 2.0, math.nextafter(2.0, 3.0), math.nextafter(2.0, 1.0))
            ]
            await loop.advance(2.0)
            order.append(("end", loop.time()))
            for timer in timers:
                timer.cancel()

        expected = [1.0, math.nextafter(2.0, 1.0), 2.0, ("end", 2.0)]
        self.assertEqual(self.advanced(act), expected)
        self.assertEqual(self.advanced(act, autojump=True), expected)

    def test_runs_timers_that_are_armed_on_the_way(self):
        """A timer that a timer arms is run too if it is due by then, at the very end included; then everything
        settles.
        """

        async def act(loop, order):
            def again():
                order.append(loop.time())
                if loop.time() < 10:
                    loop.call_later(0.5, again)
                    loop.call_soon(lambda: loop.call_soon(order.append, "soon"))

            loop.call_later(0.5, again)
            await loop.advance(1.5)
            order.append("end")
            loop.call_later(0, lambda: None)
            for timer in loop._scheduled:
                timer.cancel()

        self.assertEqual(self.advanced(act), [0.5, "soon", 1.0, "soon", 1.5, "soon", "end"])

    def test_chains_at_the_end_settle(self):
        """What a timer at the very end sets off at that instant is done when advance() returns."""

        async def act(loop, order):
            async def worker():
                await asyncio.sleep(1.0)
                for _ in range(10):
                    await asyncio.sleep(0)
                at_once = loop.create_future()
                loop.call_at(1.0, at_once.set_result, None)
                await at_once
                order.append(loop.time())

            task = asyncio.create_task(worker())
            await loop.advance(1.0)
            order.append(task.done())

        self.assertEqual(self.advanced(act), [1.0, True])

    def test_ends_at_exactly_its_time(self):
        """advance() ends at exactly now + seconds, and advance_to() at exactly its argument, an int included."""

        async def act(loop, order):
            await loop.advance(0.1)
            await loop.advance(0.2)
            order.append(loop.time())
            await loop.advance_to(7)
            order.append(loop.time())
            await loop.advance_to(loop.time())
            order.append(loop.time())

        order = self.advanced(act)
        self.assertEqual(order, [0.1 + 0.2, 7.0, 7.0])
        self.assertIs(type(order[1]), float)

    def test_advance_by_nothing_settles(self):
        """advance(0) and settle() run what is ready, timers due now too, and move no time."""

        async def act(loop, order):
            for wait in (loop.settle, lambda: loop.advance(0), lambda: loop.advance(1e-9)):
                loop.call_later(0, lambda: loop.call_soon(order.append, "ran"))
                late = loop.call_later(1e-6, order.append, "late")
                await wait()
                late.cancel()
                order.append(loop.time())

        self.assertEqual(self.advanced(act, start_time=1.7e9), ["ran", 1.7e9] * 3)

    def test_two_at_once(self):
        """Two advances at once, in any order, each end at their own time, and neither hangs."""

        async def act(loop, order):
            async def advance(seconds):
                await loop.advance(seconds)
                order.append((seconds, loop.time()))

            await asyncio.gather(advance(2.0), advance(1.0), advance(2.0), advance(0.0))
            order.append(loop.time())

        self.assertEqual(self.advanced(act), [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (2.0, 2.0), 2.0])

    def test_inside_a_task_that_a_timer_wakes(self):
        """An advance that starts inside another one, in a task that it woke, may end behind it."""

        async def act(loop, order):
            async def inner():
                await asyncio.sleep(1.0)
                await loop.advance(3.0)
                order.append(("inner", loop.time()))

            task = asyncio.create_task(inner())
            await loop.advance(2.0)
            order.append(("outer", loop.time()))
            await task

        self.assertEqual(self.advanced(act), [("outer", 2.0), ("inner", 4.0)])

    def test_a_cancelled_advance_moves_no_time(self):
        """An advance that is cancelled, on its way or before it began, neither moves time later nor wakes anything."""

        async def act(loop, order):
            task = asyncio.create_task(loop.advance(10.0))
            other = asyncio.create_task(loop.advance(5.0))
            await asyncio.sleep(0)
            task.cancel()
            await other
            never = asyncio.create_task(loop.advance(1.0))
            never.cancel()
            await loop.settle()
            order.append((loop.time(), task.cancelled(), never.cancelled(), loop.kernel.clock.stops))

        self.assertEqual(self.advanced(act), [(5.0, True, True, [])])
        with self.assertRaisesRegex(SleepForeverError, "nothing can wake the program at t=0.0"):
            run(self.abandon_and_hang(), autojump=False)

    async def abandon_and_hang(self):
        task = asyncio.create_task(asyncio.get_running_loop().advance(10.0))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.Event().wait()

    def test_cancelled_at_its_very_end(self):
        """Cancelling an advance whose end has come raises nothing in the loop, and time stays there."""

        async def act(loop, order):
            loop.set_exception_handler(lambda loop, context: order.append(context))
            task = asyncio.create_task(loop.advance(1.0))
            waiter = asyncio.create_task(loop.advance(1.0))
            await asyncio.sleep(0)
            loop.call_at(1.0, task.cancel)
            await waiter
            await loop.settle()
            order.append((loop.time(), task.cancelled()))

        self.assertEqual(self.advanced(act), [(1.0, True)])

    def test_times_that_cannot_be(self):
        """A negative, infinite or NaN advance and one into the past are ValueErrors; time does not move and nothing
        is left.
        """

        async def act(loop, order):
            await loop.advance(5.0)
            before = math.nextafter(5.0, 0.0)
            for call in (
                lambda: loop.advance(-1e-9),
                lambda: loop.advance(-math.inf),
                lambda: loop.advance(math.nan),
                lambda: loop.advance(math.inf),
                lambda: loop.advance_to(before),
                lambda: loop.advance_to(math.nan),
                lambda: loop.advance_to(math.inf),
                lambda: loop.advance_to(-math.inf),
            ):
                with self.assertRaises(ValueError):
                    await call()
            order.append((loop.time(), loop.kernel.clock.stops))

        self.assertEqual(self.advanced(act), [(5.0, [])])

    def test_what_is_no_number(self):
        """advance() and advance_to() take numbers; anything else is a TypeError and moves nothing."""

        async def main():
            loop = asyncio.get_running_loop()
            for wrong in ("3", None):
                with self.subTest(wrong), self.assertRaisesRegex(TypeError, "is a number of seconds, not "):
                    await loop.advance(wrong)
                with self.subTest(wrong), self.assertRaisesRegex(TypeError, "is a number of seconds, not "):
                    await loop.advance_to(wrong)
            return loop.time()

        self.assertEqual(run(main()), 0.0)

    def test_without_autojump_time_stands_still(self):
        """With autojump off a due timer waits for advance(), a sleep for ever is a hang that says so, and time
        stays.
        """

        async def main():
            try:
                await asyncio.sleep(5.0)
            finally:
                self.assertEqual(asyncio.get_running_loop().time(), 0.0)

        with self.assertRaisesRegex(
            SleepForeverError,
            r"nobody moves time on at t=0.0: 1 task\n  autojump is off, and the next timer is "
            r"due at t=5.0: await advance\(\) to get there\n",
        ):
            run(main(), autojump=False)

    def test_autojump_can_be_switched_on_the_way(self):
        """autojump is a property of the loop that counts from the next turn on."""

        async def main():
            loop = asyncio.get_running_loop()
            self.assertFalse(loop.autojump)
            loop.autojump = True
            await asyncio.sleep(5.0)
            return loop.autojump, loop.time()

        self.assertEqual(run(main(), autojump=False), (True, 5.0))

    def test_an_advance_bounds_the_jump(self):
        """With autojump on, an advance still stops where it ends, before a timer behind it."""

        async def main():
            loop = asyncio.get_running_loop()
            sleeper = asyncio.create_task(asyncio.sleep(10.0))
            await loop.advance(3.0)
            return loop.time(), sleeper.done(), await sleeper, loop.time()

        self.assertEqual(run(main()), (3.0, False, None, 10.0))


class HoldTest(unittest.TestCase):
    def test_time_stands_still_while_held(self):
        """While the clock is held a sleeping program waits in real time, and goes on when another thread lets go."""

        async def main():
            loop = asyncio.get_running_loop()
            seen = []

            def other():
                with loop.hold_clock():
                    held.set()
                    go_on.wait(5)
                    loop.call_soon_threadsafe(lambda: seen.append(loop.time()))

            held, go_on = threading.Event(), threading.Event()
            thread = threading.Thread(target=other)
            thread.start()
            held.wait(5)
            loop.call_soon(go_on.set)
            await asyncio.sleep(3600)
            thread.join()
            return seen, loop.time()

        self.assertEqual(run(main()), ([0.0], 3600.0))

    def test_holds_nest_and_let_go_on_errors(self):
        """Time goes on when the last of several holds is released, by an exception too; releasing twice is allowed."""

        async def main():
            loop = asyncio.get_running_loop()
            with self.assertRaises(ZeroDivisionError), loop.hold_clock() as outer, loop.hold_clock() as inner:
                self.assertEqual(list(loop.kernel.clock.holds), [outer, inner])
                raise ZeroDivisionError
            outer.release()
            await asyncio.sleep(1.0)
            return loop.time()

        self.assertEqual(run(main()), 1.0)

    def test_a_hold_knows_where_it_was_made(self):
        """A hold names the line of the `with` statement."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with loop.hold_clock() as hold:
            self.assertRegex(
                repr(hold), r"<Hold: hold_clock\(\) made at .*test_time\.py:\d+ in HoldTest\.test_a_hold_knows"
            )
