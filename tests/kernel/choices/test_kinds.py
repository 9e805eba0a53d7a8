"""Choices of time and of other kinds: which instant a value stands for, and what is drawn, tried and preferred."""

import random
import unittest

from solipsism_unittest.kernel.choices import kinds


class UntilTest(unittest.TestCase):
    def test_plain(self):
        """Value 0 is now."""
        self.assertEqual(kinds.until(0, 5.0, 1.0, [5.5]), 5.0)

    def test_steps(self):
        """The steps go from 1 ms to the longest time, each by the same factor."""
        times = [kinds.until(value, 0.0, 1.0, ()) for value in range(1, kinds.STEPS + 1)]
        self.assertAlmostEqual(times[0], 1e-3)
        self.assertAlmostEqual(times[-1], 1.0)
        for one, other, third in zip(times, times[1:], times[2:], strict=False):
            self.assertAlmostEqual(other / one, third / other)

    def test_deadlines(self):
        """The values above wait for exactly a deadline that is pending, or until just behind it."""
        first = kinds.STEPS + 1
        times = [kinds.until(value, 5.0, 1.0, [5.25, 5.5]) for value in range(first, first + 4)]
        self.assertEqual(times, [5.25, 5.25 + 1e-4, 5.5, 5.5 + 1e-4])

    def test_too_far(self):
        """A deadline that is not there, or further off than the longest time, is none."""
        first = kinds.STEPS + 1
        for value in (first, first + 1, first + 2, kinds.LENGTHS - 1):
            self.assertEqual(kinds.until(value, 5.0, 1.0, [6.5]), 5.0)
        self.assertEqual(kinds.until(first + 1, 5.0, 1.0, [6.0]), 5.0)  # just behind it is too far
        self.assertEqual(kinds.until(first, 5.0, 1.0, [6.0]), 6.0)


class ValuesTest(unittest.TestCase):
    def test_every_kind_has_a_group_and_a_name(self):
        """The groups hold each kind once, and share everything."""
        grouped = [kind for group in kinds.GROUPS for kind in group]
        self.assertEqual(sorted(grouped), list(range(len(kinds.NAMES))))
        self.assertAlmostEqual(sum(share for group in kinds.GROUPS for share in group.values()), 1)

    def test_what_is_drawn(self):
        """A drawn value is possible and never plain; of a cut of much data it is often near one of the ends."""
        chance = random.Random(0)
        for kind in range(len(kinds.NAMES)):
            for possible in (2, 5, 1000):
                possible = kinds.LENGTHS if kind in kinds.OF_TIME else possible
                values = {kinds.drawn(chance, kind, possible) for _ in range(300)}
                self.assertTrue(values <= set(range(1, possible)), (kind, possible, values))
                self.assertTrue(len(values) > 4 or values == set(range(1, possible)))
        cuts = [kinds.drawn(chance, kinds.RECV, 100_000) for _ in range(300)]
        self.assertTrue(any(cut < 9 for cut in cuts) and any(cut > 99_990 for cut in cuts))
        self.assertTrue(any(1000 < cut < 99_000 for cut in cuts))

    def test_a_connection_is_slow_by_a_length(self):
        """How slow a connection is depends on no deadline."""
        chance = random.Random(0)
        self.assertLessEqual(max(kinds.drawn(chance, kinds.CONNECTION, kinds.LENGTHS) for _ in range(300)), kinds.STEPS)

    def test_alternatives(self):
        """What is tried in their place is possible and never plain."""
        for kind in range(len(kinds.NAMES)):
            for possible in (2, 5, 1000):
                possible = kinds.LENGTHS if kind in kinds.OF_TIME else possible
                values = kinds.alternatives(kind, possible)
                self.assertTrue(values and set(values) <= set(range(1, possible)), (kind, possible, values))
        self.assertEqual(kinds.alternatives(kinds.ORDER, 4), [1, 2, 3])
        self.assertEqual(kinds.alternatives(kinds.RECV, 4), [1, 2, 3])

    def test_simpler(self):
        """The easiest value has none that is easier; all others have some, and come to it in the end."""
        for kind in range(len(kinds.NAMES)):
            for value in range(1, kinds.LENGTHS):
                others = kinds.simpler(kind, value)
                self.assertTrue(all(0 < other < value or value > kinds.STEPS for other in others))
                steps = 0
                while others and steps < 10:
                    others, steps = kinds.simpler(kind, others[0]), steps + 1
                self.assertEqual(others, [])


if __name__ == "__main__":
    unittest.main()
