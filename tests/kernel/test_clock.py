"""Virtual time alone: exact jumps, what falls due on the way, and holds."""

import functools
import heapq
import math
import random
import sys
import unittest
from unittest import mock

from solipsism_unittest.introspection.places import user_place
from solipsism_unittest.kernel.clock import VirtualClock


class JumpTest(unittest.TestCase):
    def test_exact(self):
        """A jump goes to the very float that it is given, from any start."""
        for start, when in (
            (0, 0.1),
            (0.1, 0.1 + 0.2),
            (1.7e9, 1.7e9 + 1e-6),
            (-5, -4.9),
            (0, 5e-324),
            (1e17, 1e17 + 16),
        ):
            clock = VirtualClock(start)
            clock.jump(when)
            with self.subTest(start=start):
                self.assertEqual(clock.now, when)

    def test_resolution(self):
        """The resolution is the gap to the next float, so `now + resolution` is later and nothing lies between."""
        for when in (0.0, 0.1, 1e9, 1.7e9, 1e17, -5.0):
            clock = VirtualClock(when)
            with self.subTest(when=when):
                self.assertEqual(when + clock.resolution, math.nextafter(when, math.inf))
                clock.jump(when)
                self.assertEqual(when + clock.resolution, math.nextafter(when, math.inf))

    @unittest.skipUnless(__debug__, "python -O leaves assert statements out")
    def test_backwards(self):
        """A jump back would be a mistake of ours: an assertion."""
        clock = VirtualClock(1)
        with self.assertRaises(AssertionError):
            clock.jump(0.999999)

    def test_bad_start(self):
        """A clock starts at a finite number."""
        for start in (math.nan, math.inf, -math.inf):
            with self.subTest(start=start), self.assertRaisesRegex(ValueError, "give a finite number of seconds"):
                VirtualClock(start)
        with self.assertRaises((TypeError, ValueError)):
            VirtualClock("soon")

    def test_start_is_a_float(self):
        """An int, however it is given, becomes a float: the journal writes it the same way."""
        self.assertEqual(repr(VirtualClock(3).now), "3.0")


class DeliveryTest(unittest.TestCase):
    def setUp(self):
        self.clock = VirtualClock(10)
        self.seen = []

    def arrive(self, what):
        return lambda: self.seen.append((self.clock.now, what))

    def test_order(self):
        """What arrives by the instant of a jump arrives there, by time and then in the order of sending."""
        self.clock.deliver_at(12, self.arrive("late"))
        self.clock.deliver_at(11, self.arrive("one"))
        self.clock.deliver_at(11, self.arrive("two"))
        self.clock.deliver_at(math.nextafter(12, math.inf), self.arrive("never"))
        self.clock.jump(12)
        self.assertEqual(self.seen, [(12, "one"), (12, "two"), (12, "late")])

    def test_past_is_now(self):
        """A delivery into the past arrives at the next jump to now."""
        self.clock.deliver_at(1, self.arrive("x"))
        self.assertEqual(self.clock.deliveries[0][0], 10)
        self.clock.jump(10)
        self.assertEqual(self.seen, [(10, "x")])

    def test_sent_on_arrival(self):
        """What an arrival sends for the same instant arrives at that instant too."""
        self.clock.deliver_at(11, lambda: self.clock.deliver_at(11, self.arrive("second")))
        self.clock.jump(11)
        self.assertEqual(self.seen, [(11, "second")])

    def test_failing_arrival(self):
        """An arrival that raises is over; those behind it arrive with the next jump."""
        self.clock.deliver_at(11, lambda: 1 / 0)
        self.clock.deliver_at(11, self.arrive("behind"))
        with self.assertRaises(ZeroDivisionError):
            self.clock.jump(11)
        self.clock.jump(11)
        self.assertEqual(self.seen, [(11, "behind")])

    def test_nan(self):
        """NaN would upset the order of everything: refused, and nothing is in flight."""
        with self.assertRaisesRegex(ValueError, "NaN"):
            self.clock.deliver_at(math.nan, self.arrive("x"))
        self.assertEqual(self.clock.deliveries, [])


class StopTest(unittest.TestCase):
    def test_order(self):
        """Stops end earliest first, and of two at one instant the one made first."""
        clock, seen = VirtualClock(), []
        for when, name in ((2, "late"), (1, "one"), (1, "two")):
            clock.stop_at(when, lambda name=name: seen.append(name))
        clock.jump(1)
        clock.end_stop()
        clock.end_stop()
        self.assertEqual((seen, clock.stops[0][0]), (["one", "two"], 2))

    def test_now_is_allowed_and_the_past_is_not(self):
        """A stop may be now; one float earlier is a ValueError that says both times and leaves nothing behind."""
        clock = VirtualClock(5)
        clock.stop_at(5, lambda: None)
        for when in (math.nextafter(5, 0), math.nan):
            with self.subTest(when=when), self.assertRaisesRegex(ValueError, f"cannot go to t={when!r}: it is t=5.0"):
                clock.stop_at(when, lambda: None)
        self.assertEqual(len(clock.stops), 1)

    @unittest.skipUnless(__debug__, "python -O leaves assert statements out")
    def test_not_due(self):
        """To end a stop that is not due would be a mistake of ours: an assertion."""
        clock = VirtualClock()
        clock.stop_at(1, lambda: None)
        with self.assertRaises(AssertionError):
            clock.end_stop()


class HoldTest(unittest.TestCase):
    def test_cancelled_stops(self):
        """Stops that are cancelled, in whatever order, are gone; the others end in theirs."""
        for seed in range(100):
            chance, clock, ended = random.Random(seed), VirtualClock(), []
            stops = [(when, clock.stop_at(when, functools.partial(ended.append, when)))
                     for when in chance.choices(range(10), k=20)]
            chance.shuffle(stops)
            cancelled = stops[:chance.randrange(21)]
            left = [when for when, _ in stops[len(cancelled):]]
            for count, (_, stop) in enumerate(cancelled, 1):
                clock.cancel_stop(stop)
                self.assertTrue(not clock.stops or clock.stops[0][2] is not None)
                self.assertIn(f"{20 - count} stops" if count < 20 else "t=0.0>", repr(clock))
            while clock.stops:
                clock.jump(clock.stops[0][0])
                clock.end_stop()
            self.assertEqual(ended, sorted(left))

    def test_thousands_of_cancelled_stops(self):
        """Cancelling each of many stops makes a new heap now and then only."""
        clock = VirtualClock()
        stops = [clock.stop_at(when, print) for when in range(10_000)]
        with mock.patch.object(heapq, "heapify", wraps=heapq.heapify) as heapify:
            for stop in stops[::-1]:
                clock.cancel_stop(stop)
        self.assertLess(heapify.call_count, 20)
        self.assertEqual(clock.stops, [])

    def test_release(self):
        """A hold lasts until its release, and releasing it again touches no other."""
        clock = VirtualClock()
        one, two = clock.hold("one"), clock.hold("two")
        one.release()
        one.release()
        self.assertEqual(list(clock.holds), [two])

    def test_repr(self):
        """A hold says why, and where it was made when that is known."""
        clock = VirtualClock()
        place = user_place()
        line = sys._getframe().f_lineno - 1
        self.assertEqual(repr(clock.hold("a job")), "<Hold: a job>")
        self.assertRegex(
            repr(clock.hold("a job", place)), rf"<Hold: a job made at .*test_clock\.py:{line} in HoldTest\.test_repr>"
        )

    def test_clock_repr(self):
        """A clock says its time and what it waits for."""
        clock = VirtualClock(1)
        self.assertEqual(repr(clock), "<VirtualClock t=1.0>")
        clock.deliver_at(2, print)
        clock.stop_at(2, print)
        clock.hold("why")
        self.assertEqual(repr(clock), "<VirtualClock t=1.0 1 in flight 1 stops <Hold: why>>")
