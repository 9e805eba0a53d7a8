"""Every race is found within 100 seeds, from whatever seed the test has, and comes down to at most three choices.

Its mended twin survives. By hand, with more: `python -m tests.races.test_races 20 1000`.
"""

import statistics
import sys
import unittest

from solipsism_unittest.kernel.choices.plans import Fixed
from solipsism_unittest.runs.exploration.exploration import Exploration
from solipsism_unittest.runs.exploration.strategies import Strategy
from solipsism_unittest.runs.exploration.tokens import read_token
from tests.races import in_memory, on_the_network
from tests.runs.exploration.test_exploration import token_in

RACES = [*in_memory.RACES, *on_the_network.RACES]
SEEDS = 100
SEEDS_OF_THE_TESTS = 5, 1234567, 3
SEEDS_OF_TWINS = 25


def explored(race, seed):
    """An exploration of a race that has this seed; the plain run has passed."""
    case = race("test")
    case.seed = seed
    plain, other = Exploration(case).run(Fixed())
    assert not other.found, other.found[0]
    return Exploration(case, plain)


def first_failure(exploration, seeds):
    """The first of these seeds with which a test fails, or None."""
    return next((seed for seed in seeds if exploration.run(exploration.plan(seed))[1].found), None)


class RacesTest(unittest.TestCase):
    def test_enough(self):
        """There are races of memory and of networks, each with a twin and with words that say what is wrong."""
        self.assertGreaterEqual(len(RACES), 24)
        self.assertGreaterEqual(len(on_the_network.RACES), 12)
        for race, mended in RACES:
            self.assertTrue(race.__doc__ and issubclass(mended, race))

    def test_found_and_shrunk(self):
        """Each race is found from several seeds; what is left are few choices, at lines of the program."""
        left = []
        for number, (race, _) in enumerate(RACES):
            with self.subTest(race.__name__):
                seed = SEEDS_OF_THE_TESTS[number % len(SEEDS_OF_THE_TESTS)]
                failure = explored(race, seed).search(Strategy(range(SEEDS)))
                self.assertIsNotNone(failure)
                text = "\n".join(failure[1].__notes__)
                left.append(len(read_token(token_in(text)[0]).steps))
                self.assertLessEqual(left[-1], 3)
                self.assertIn("tests/races/", text)
        self.assertEqual(statistics.median(left), 1)

    def test_twins_survive(self):
        """None of the mended twins is ever found."""
        for _, mended in RACES:
            with self.subTest(mended.__name__):
                self.assertIsNone(first_failure(explored(mended, 1), range(1, SEEDS_OF_TWINS)))


def by_hand(bases, seeds):
    """Print for each race how soon it is found from so many seeds, and whether its twin survives so many."""
    for race, mended in RACES:
        found = [first_failure(explored(race, 7919 * base), range(1, SEEDS)) or SEEDS for base in range(bases)]
        twin = first_failure(explored(mended, 1), range(1, seeds))
        print(f"{race.__name__:30} median {statistics.median(found):>5} most {max(found):>3}  twin {twin}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        by_hand(*map(int, sys.argv[1:3]))
    else:
        unittest.main()
