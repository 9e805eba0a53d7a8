"""Plans: none differs, those of a list, a few, or shares of each group."""

import random
import unittest

from solipsism_unittest.kernel.choices import kinds
from solipsism_unittest.kernel.choices.plans import NEVER, Before, Few, Fixed, Rates, mixed

COUNTS = [100, 50, 30, 4, 0, 0, 20, 10, 10, 10, 1, 5]


def walk(plan, counts=COUNTS):
    """The choices that differ in a run with these counts."""
    found = []
    for kind, count in enumerate(counts):
        index = plan.following(kind, -1)
        while index != NEVER and index < count:
            found.append((kind, index, plan.value(kind, index, kinds.LENGTHS)))
            index = plan.following(kind, index)
    return found


class FixedTest(unittest.TestCase):
    def test_plain(self):
        """Without a list nothing differs."""
        self.assertEqual(walk(Fixed()), [])

    def test_a_list(self):
        """The choices of a list differ, in order, and a value that is not possible any more is the last one."""
        plan = Fixed({(0, 7): 3, (0, 2): 4, (9, 0): 99})
        self.assertEqual(walk(plan), [(0, 2, 4), (0, 7, 3), (9, 0, kinds.LENGTHS - 1)])


class FewTest(unittest.TestCase):
    def test_number_and_spread(self):
        """At most so many differ, among the choices that the plain run had, of all kinds that it had."""
        seen = set()
        for seed in range(300):
            found = walk(Few(random.Random(seed), Before(COUNTS), 3))
            self.assertTrue(1 <= len(found) <= 3, found)
            seen.update(kind for kind, _, _ in found)
        self.assertEqual(seen, {kind for kind, count in enumerate(COUNTS) if count})

    def test_only_time(self):
        """Only stalls and delays, where that is wanted."""
        for seed in range(50):
            found = walk(Few(random.Random(seed), Before(COUNTS), 3, kinds.OF_TIME))
            self.assertTrue({kind for kind, _, _ in found} <= kinds.OF_TIME)

    def test_instants(self):
        """A part of them is spread over the instants: one with few choices has as many as one with many.

        Most of these are the first of their instant.
        """
        before = Before([1000, *COUNTS[1:]], [[990, *COUNTS[1:]], [990, *COUNTS[1:]]])
        numbers = [before.somewhere(random.Random(seed), kinds.STALL) for seed in range(1000)]
        self.assertTrue(240 < sum(number >= 990 for number in numbers) < 360)
        self.assertTrue(150 < numbers.count(990) < 270 and 150 < numbers.count(0) < 270)
        self.assertLess(max(numbers), 1000)

    def test_groups(self):
        """A part of the runs differs in all kinds, the others each in kinds that are alike."""
        before = Before([5] * len(COUNTS))
        found = [before.some_kinds(random.Random(seed)) for seed in range(500)]
        self.assertTrue(150 < found.count(kinds.ALL) < 250)
        self.assertEqual({*found}, {kinds.ALL, *map(frozenset, kinds.GROUPS)})

    def test_nothing_to_choose(self):
        """A run without a choice stays as it is."""
        nothing = Before([0] * len(COUNTS))
        self.assertEqual(walk(Few(random.Random(0), nothing, 3)), [])
        self.assertEqual({nothing.some_kinds(random.Random(seed)) for seed in range(9)}, {kinds.ALL})


class RatesTest(unittest.TestCase):
    def test_shares(self):
        """Each group differs at a rate of its own, from about one choice to half of them, or not at all."""
        seen = []
        for seed in range(60):
            found = walk(Rates(random.Random(seed), [2000] * len(COUNTS)), [2000] * len(COUNTS))
            for group in kinds.GROUPS:
                rates = [sum(kind == each for each, _, _ in found) / 2000 for kind in group]
                self.assertLess(max(rates) - min(rates), 0.1)
                self.assertLess(max(rates), 0.6)
                seen += rates
        self.assertTrue(min(seen) == 0 and max(seen) > 0.3 and any(0 < rate < 0.01 for rate in seen))


class MixedTest(unittest.TestCase):
    def test_both(self):
        """Some runs differ at a few choices, others at rates; one seed always does the same."""
        plans = [mixed(random.Random(seed), Before(COUNTS)) for seed in range(40)]
        self.assertEqual({type(plan) for plan in plans}, {Few, Rates})
        for seed in range(10):
            one, other = (walk(mixed(random.Random(seed), Before(COUNTS))) for _ in range(2))
            self.assertEqual(one, other)


if __name__ == "__main__":
    unittest.main()
