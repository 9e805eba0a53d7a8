"""No program that is right is ever called broken. By hand, with more: `python -m tests.races.test_correct 1000`."""

import sys
import unittest

from solipsism_unittest.kernel.choices.plans import Fixed
from solipsism_unittest.runs.exploration.exploration import Exploration
from solipsism_unittest.runs.exploration.strategies import Strategy
from tests.races.correct import Correct

SEEDS = 100
NAMES = unittest.defaultTestLoader.getTestCaseNames(Correct)


class CorrectTest(unittest.TestCase):
    def survive(self, seeds):
        """Run each program with so many seeds."""
        for name in NAMES:
            with self.subTest(name):
                plain, other = Exploration(Correct(name)).run(Fixed())
                self.assertEqual(other.found, [])
                failure = Exploration(Correct(name), plain).search(Strategy(range(seeds)))
                self.assertIsNone(failure and [failure[1], *failure[1].__notes__])

    def test_no_false_alarm(self):
        """Programs that rely on what asyncio promises never fail."""
        self.assertGreaterEqual(len(NAMES), 16)
        self.survive(SEEDS)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        CorrectTest().survive(int(sys.argv[1]))
    else:
        unittest.main()
