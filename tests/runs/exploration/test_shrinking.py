"""Shrinking: fewer and simpler choices, as long as the run fails in the same way."""

import sys
import unittest

from solipsism_unittest.kernel.choices import kinds
from solipsism_unittest.runs.exploration import shrinking
from solipsism_unittest.runs.exploration.shrinking import Shrinker, way_of


class ShrinkerTest(unittest.TestCase):
    def shrink(self, values, fails):
        """What is left, with the number of runs; what is left must fail too."""
        shrinker = Shrinker(fails)
        best = shrinker.shrink(values)
        self.assertTrue(fails(best))
        return best, shrinker.runs

    def test_few_matter(self):
        """Of many choices those that matter are left, with their values, in few runs."""
        values = {(kinds.ORDER, number): 1 for number in range(60)}
        needed = {(kinds.ORDER, 7), (kinds.ORDER, 41)}
        best, runs = self.shrink(values, lambda each: needed <= each.keys())
        self.assertEqual(best.keys(), needed)
        self.assertLess(runs, 60)

    def test_one_and_none(self):
        """One that matters stays, and where none does none is left."""
        values = {(kinds.ORDER, number): 1 for number in range(5)}
        self.assertEqual(self.shrink(values, lambda each: (kinds.ORDER, 3) in each)[0], {(kinds.ORDER, 3): 1})
        self.assertEqual(self.shrink(values, lambda each: True)[0], {})

    def test_two_that_hide_each_other(self):
        """What can go only after another has gone goes too."""
        values = {(kinds.ORDER, number): 1 for number in range(6)}

        def fails(each):  # 0 is needed, and 1 as long as 5 is there
            return (kinds.ORDER, 0) in each and ((kinds.ORDER, 5) not in each or (kinds.ORDER, 1) in each)

        self.assertEqual(self.shrink(values, fails)[0], {(kinds.ORDER, 0): 1})

    def test_simpler_values(self):
        """A value becomes one that is easier to understand, where that fails as well."""
        deadline = kinds.STEPS + 1
        values = {(kinds.STALL, 0): deadline + 7, (kinds.JOB, 2): 9, (kinds.RECV, 4): 700}
        best, _ = self.shrink(values, lambda each: values.keys() <= each.keys() and each[kinds.JOB, 2] > 4)
        self.assertEqual(best, {(kinds.STALL, 0): deadline, (kinds.JOB, 2): kinds.STEPS // 2, (kinds.RECV, 4): 1})

    def test_slide(self):
        """Where one is needed only to shift the number of another, that gets another number in its place."""
        values = {(kinds.SEND, 0): 1, (kinds.PACKET, 5): 1}

        def fails(each):  # a cut write makes one packet more
            return (kinds.PACKET, 5 if (kinds.SEND, 0) in each else 4) in each

        self.assertEqual(self.shrink(values, fails)[0], {(kinds.PACKET, 4): 1})

    def test_enough(self):
        """After so many runs it ends with what it has."""
        values = {(kinds.ORDER, number): 1 for number in range(3_000)}
        best, runs = self.shrink(values, lambda each: len(each) > 1_500)
        self.assertEqual(runs, shrinking.MOST_RUNS)
        self.assertLess(len(best), 3_000)


def raised(call):
    try:
        call()
    except Exception:
        return [sys.exc_info()]


class WayTest(unittest.TestCase):
    def test_same_line_and_type(self):
        """Two failures are alike when the exception has one type, and was raised at one line of the program."""
        def fail(number):
            return 1 // number if number < 1 else int("x" * number)

        self.assertEqual(way_of(raised(lambda: fail(1))), way_of(raised(lambda: fail(2))))
        self.assertNotEqual(way_of(raised(lambda: fail(0))), way_of(raised(lambda: fail(1))))
        self.assertNotEqual(way_of(raised(lambda: fail(0))), way_of(raised(lambda: 1 // 0)))
        self.assertIsNone(way_of([]))

    def test_without_a_traceback(self):
        """A failure that was never raised has no line."""
        self.assertEqual(way_of([(ValueError, ValueError(), None)]), (ValueError, "None"))


if __name__ == "__main__":
    unittest.main()
