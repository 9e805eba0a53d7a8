"""How long TCP waits for an answer: the numbers of Linux, on ways that take as long each time and on others."""

import random
import unittest

from solipsism_unittest.kernel.network.round_trips import RTO, RoundTrips


class RoundTripsTest(unittest.TestCase):
    def test_the_same_each_time(self):
        """Three round trips after the handshake; the answers bring it down to one and 0.2 s (measured on Linux)."""
        for seconds, first, after_six in ((0.0, 0.2, 0.2), (0.01, 0.21, 0.21), (0.1, 0.3, 0.3), (0.3, 0.9, 0.6114),
                                          (0.8, 2.4, 1.5356)):
            trips = RoundTrips(seconds)
            seen = [trips.pause(seconds)]
            for number in range(1, 60):
                trips.note(seconds, number, number)
                seen.append(trips.pause(seconds))
            with self.subTest(seconds=seconds):
                self.assertEqual([round(each, 4) for each in (seen[0], seen[6], seen[-1])],
                                 [first, after_six, round(seconds + RTO, 4)])
                self.assertEqual(sorted(seen, reverse=True), seen)

    def test_once_a_round(self):
        """Many answers of one round trip bring it down no faster than one."""
        one, many = RoundTrips(0.3), RoundTrips(0.3)
        for number in range(6):
            one.note(0.3, number + 1, number + 1)
            for each in range(10):
                many.note(0.3, 10 * number + each + 1, 10 * number + 10)
        self.assertGreater(many.pause(0.3), 0.5)
        self.assertLessEqual(many.pause(0.3), one.pause(0.3))

    def test_different_each_time(self):
        """On a way with jitter the pause is longer than on one without, and follows the mean."""
        chance = random.Random(1)
        still, restless = RoundTrips(0.1), RoundTrips(0.1)
        for number in range(1, 1000):
            still.note(0.1, number, number)
            restless.note(0.1 + chance.uniform(-0.1, 0.1), number, number)
        self.assertEqual(round(still.pause(0.1), 9), 0.3)
        self.assertGreater(restless.pause(0.0), 0.31)
        self.assertLess(restless.pause(0.0), 0.6)

    def test_what_takes_too_long(self):
        """What Linux would have sent again before it came says nothing; a longer way is a longer pause all the same."""
        trips = RoundTrips(0.1)
        trips.note(5.0, 1, 1)
        self.assertEqual([round(trips.pause(least), 9) for least in (0.1, 5.0)], [0.3, 5.2])
