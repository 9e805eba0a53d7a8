"""The clock on the wall: set, it goes with virtual time; not set, it counts who reads the real one."""

import unittest

from solipsism_unittest.kernel.clock import VirtualClock
from solipsism_unittest.kernel.wall import MANY, WallClock


class WallClockTest(unittest.TestCase):
    def setUp(self):
        self.clock = VirtualClock(10.0)
        self.wall = WallClock(self.clock)

    def test_goes_with_virtual_time(self):
        """From the moment it is set it goes on by exactly the virtual time that goes by, also after a step back."""
        self.assertFalse(self.wall.is_set)
        self.wall.set(1_000, "zone")
        self.assertEqual((self.wall.is_set, self.wall.zone, self.wall.now()), (True, "zone", 1_000))
        self.clock.jump(12.5)
        self.assertEqual(self.wall.now(), 2_500_001_000)
        self.wall.set(-5, None)
        self.assertEqual(self.wall.now(), -5)
        self.clock.jump(12.75)
        self.assertEqual(self.wall.now(), 249_999_995)

    def test_small_steps_add_up(self):
        """A thousand steps of a tenth of a second are a hundred seconds, to the nanosecond."""
        self.wall.set(0, None)
        for _ in range(1000):
            self.clock.jump(self.clock.now + 0.1)
        self.assertEqual(self.wall.now(), 100_000_000_000)

    def test_reads_of_the_real_one(self):
        """A read is worth its place at the second instant and at the last one of many; one instant says nothing."""
        self.assertEqual([self.wall.note_read() for _ in range(3)], [False] * 3)
        self.assertEqual(self.wall.words(), "")
        self.clock.jump(11)
        self.wall.place = "app.py:3"
        self.assertTrue(self.wall.note_read())
        self.assertEqual(self.wall.words(), "the program has read the real clock 4 times with time.time(), as at "
                                            "app.py:3, which does not follow virtual time: wait by time.monotonic() or "
                                            "loop.time(), or set wall_start on the test class")
        noted = []
        for _ in range(MANY):
            self.clock.jump(self.clock.now + 1)
            noted.append(self.wall.note_read())
        self.assertEqual(noted.index(True), MANY - 5)
        self.assertEqual(noted.count(True), 1)
        self.assertTrue(any(self.wall.note_read() is False for _ in range(3)))
        self.wall.set(0, None)
        self.assertEqual(self.wall.words(), "")

    def test_many_reads_at_one_instant(self):
        """Many reads at one instant keep the place of the last one of many."""
        self.assertEqual([self.wall.note_read() for _ in range(MANY)].index(True), MANY - 1)

    def test_a_clock_that_was_replaced(self):
        """The first who replaced the clock that programs wait by is named, as soon as time has gone by since."""
        self.assertEqual(self.wall.replaced_words(), "")
        self.wall.note_replaced("freezegun")
        self.assertEqual(self.wall.replaced_words(), "")
        self.clock.jump(self.clock.now + 5)
        self.wall.note_replaced("mock")
        self.assertIn("time.monotonic() was replaced by freezegun at t=", self.wall.replaced_words())
