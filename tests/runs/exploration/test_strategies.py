"""Strategies: seeds, a number of stalls anywhere, all runs with few choices, and shards."""

import asyncio
import os
import sys
import unittest
import warnings
from unittest import mock

from solipsism_unittest import NotJudgedWarning, SolipsismError, SolipsistTestCase, over_seeds
from solipsism_unittest.kernel.choices import kinds
from solipsism_unittest.kernel.choices.plans import Few, Rates
from solipsism_unittest.runs.exploration.exploration import Exploration
from solipsism_unittest.runs.exploration.strategies import Strategy, shard, strategy
from tests.case.test_case import run, told
from tests.runs.exploration.test_progress import Terminal


class Slow(SolipsistTestCase):
    """Fails where a stall of more than 20 ms comes at the end of its sleep."""

    pause = 0.1

    async def check(self):
        async with asyncio.timeout(0.12):
            await asyncio.sleep(self.pause)


def case(decorator, base=Slow, body=None):
    async def test(self):
        await (body(self) if body is not None else self.check())

    return type("Some", (base,), {"test": decorator(test)})


class StrategyTest(unittest.TestCase):
    def test_depth(self):
        """Each seed makes at most so many choices, all of time."""
        plain, _ = Exploration(case(over_seeds(1))("test")).run(Rates(__import__("random").Random(1), [9] * 12))
        exploration = Exploration(case(over_seeds(1))("test"), plain)
        made = [exploration.run(exploration.plan(seed, Strategy(range(9), depth=2)))[0].made for seed in range(40)]
        self.assertTrue(all(each.kind in kinds.OF_TIME for deviations in made for each in deviations))
        self.assertEqual(max(map(len, made)), 2)
        self.assertIsInstance(exploration.plan(1, Strategy(range(9), depth=2)), Few)
        self.assertIn("TimeoutError", told(run(case(over_seeds(100, depth=2)))))

    def test_exhaustive_finds(self):
        """Every run with one choice, then those with two: the failure says the number of the run."""
        text = told(run(case(over_seeds(10_000, exhaustive=1))))
        self.assertRegex(text, r"the plain run passes, and number \d+ of the runs with at most 1 choice that is not "
                               r"plain fails; 1 of 1 choices matters:")

    def test_exhaustive_needs_two(self):
        """What takes two choices is found among the runs with two, and not before."""
        async def test(self):
            began = self.now
            for _ in range(2):
                one = self.now
                await asyncio.sleep(0.1)
                if self.now - one < 0.11:
                    return
            self.fail(f"two sleeps of {self.now - began} s")

        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            self.assertEqual(told(run(case(over_seeds(10_000, exhaustive=1), body=test))), "")
            self.assertEqual([each for each in seen if each.category is NotJudgedWarning], [])
        text = told(run(case(over_seeds(10_000, exhaustive=2), body=test)))
        self.assertRegex(text, r"number [\d,]+ of the runs with at most 2 choices that are not plain fails; 2 of 2 "
                               r"choices matter:")

    def test_all_of_them(self):
        """On a terminal it says that these were all."""
        async def test(self):
            await asyncio.sleep(0)

        with mock.patch.object(sys, "stderr", Terminal()) as terminal:
            self.assertEqual(told(run(case(over_seeds(10_000, exhaustive=1), body=test))), "")
        self.assertRegex(terminal.getvalue(), r"Some.test: all \d+ runs with at most 1 choice that is not plain pass\n")

    def test_not_all_of_them(self):
        """Where there are more than it may make, a warning says so, at the line of the test."""
        class Passes(Slow):
            pause = 0

        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            self.assertEqual(told(run(case(over_seeds(7, exhaustive=2), Passes))), "")
        warning, = (each for each in seen if each.category is NotJudgedWarning)
        self.assertEqual(str(warning.message), "7 runs with at most 2 choices that are not plain were made, and there "
                                               "are more: give over_seeds() a larger number, or a smaller exhaustive=")
        self.assertEqual(warning.filename, __file__)

    def test_wrong_use(self):
        """What is no number, and both at once, are refused."""
        for wrong in ({"seeds": 0}, {"depth": 0}, {"exhaustive": True}, {"depth": "3"}):
            with self.assertRaisesRegex(TypeError, "over_seeds.. takes (a number of seeds|(depth|exhaustive)= as a "
                                                   "number) from 1 up, not "):
                strategy(**{"seeds": 100, "depth": None, "exhaustive": None, **wrong})
        with self.assertRaisesRegex(TypeError, "takes depth= or exhaustive=, and not both"):
            over_seeds(5, depth=1, exhaustive=1)


class ShardTest(unittest.TestCase):
    def test_parts(self):
        """The parts of some seeds are all of them, each once."""
        parts = [shard(f"{part}/8", range(3, 103)) for part in range(1, 9)]
        self.assertEqual(sorted(seed for part in parts for seed in part), list(range(3, 103)))
        self.assertTrue(all(len(part) in (12, 13) for part in parts))
        self.assertEqual(shard("1/1", range(9)), range(9))

    def test_refused(self):
        """What is no part is refused with the cure."""
        for bad in ("", "3", "0/8", "9/8", "x/8", "1/0", "-1/8", "1/8/2"):
            with self.assertRaisesRegex(SolipsismError, "SOLIPSISM_SHARD is .*: set it to a part and how many there "):
                shard(bad, range(9))

    def test_of_a_test(self):
        """A test runs plain, and with the seeds of its shard."""
        calls = []

        async def test(self):
            calls.append(1)

        with mock.patch.dict(os.environ, {"SOLIPSISM_SHARD": "3/8"}):
            self.assertEqual(told(run(case(over_seeds(100), body=test))), "")
        self.assertEqual(len(calls), 1 + 13)
        with mock.patch.dict(os.environ, {"SOLIPSISM_SHARD": "3"}):
            self.assertIn("SOLIPSISM_SHARD is '3'", told(run(case(over_seeds(100), body=test))))


class AsTestsTest(unittest.TestCase):
    def make(self, wanted, body=None):
        """A class that is made while the environment asks for seeds as tests, and the names of its tests."""
        with mock.patch.dict(os.environ, {"SOLIPSISM_SEEDS_AS_TESTS": "1", **wanted}):
            class Some(Slow):
                if body is not None:
                    test_it = body

                @over_seeds(3, exhaustive=1)
                def test_no_seeds(self):
                    pass

            return Some, unittest.defaultTestLoader.getTestCaseNames(Some)

    def test_names(self):
        """Each seed is a test of its own name, where seeds are asked for."""
        async def test_it(self):
            pass

        self.assertEqual(self.make({}, test_it)[1], ["test_it", "test_no_seeds"])
        self.assertEqual(self.make({"SOLIPSISM_SEEDS": "7:10"}, test_it)[1],
                         ["test_it_seed_7", "test_it_seed_8", "test_it_seed_9", "test_no_seeds"])
        self.assertEqual(self.make({"SOLIPSISM_SEEDS": "16", "SOLIPSISM_SHARD": "2/8"}, test_it)[1],
                         ["test_it_seed_1", "test_it_seed_9", "test_no_seeds"])
        self.assertEqual(self.make({}, over_seeds(2)(test_it))[1],
                         ["test_it_seed_0", "test_it_seed_1", "test_no_seeds"])

    def test_they_fail_as_one_would(self):
        """The seeds that fail are those that fail one test, and the command repeats them under its own name."""
        async def test_it(self):
            await self.check()

        some, names = self.make({"SOLIPSISM_SEEDS": "40"}, test_it)
        result = run(some, *[name for name in names if "seed" in name and name != "test_no_seeds"])
        failed = {test.id().rpartition("_")[2] for test, _ in result.errors}
        self.assertEqual(result.testsRun, 40)
        self.assertTrue(failed)
        whole = type("Some", (Slow,), {"__module__": __name__, "__qualname__": some.__qualname__,
                                       "test_it": over_seeds(40)(test_it)})
        first = told(run(whole))
        self.assertIn(f"seed {min(failed, key=int)} fails", first)
        self.assertIn(first.partition("same run again: ")[2].strip(), told(result))

    def test_what_fails_plain(self):
        """A test that fails by itself fails with each of its seeds; on another loop each is the plain run."""
        async def test_it(self):
            self.fail("on purpose")

        some, names = self.make({"SOLIPSISM_SEEDS": "1:3"}, test_it)
        result = run(some, *names[:2])
        self.assertEqual((result.testsRun, len(result.failures)), (2, 2))
        some.loop_factory = asyncio.new_event_loop
        self.assertEqual(len(run(some, names[0]).failures), 1)
        with mock.patch.object(sys, "stderr"):
            self.assertFalse(some(names[0]).run().wasSuccessful())

    def test_a_class(self):
        """A class that is decorated has a test for each seed too, but for what is exact."""
        from solipsism_unittest import exact

        calls = []
        with mock.patch.dict(os.environ, {"SOLIPSISM_SEEDS_AS_TESTS": "1"}):
            @over_seeds(2)
            class Some(SolipsistTestCase):
                def test_it(self):
                    pass

                @exact
                def test_exact(self):
                    pass

            @exact
            class Other(SolipsistTestCase):
                @over_seeds(3)
                def test_it(self):
                    calls.append(1)

        self.assertEqual(unittest.defaultTestLoader.getTestCaseNames(Some),
                         ["test_exact", "test_it_seed_0", "test_it_seed_1"])
        run(Other)
        self.assertEqual(len(calls), 3)


if __name__ == "__main__":
    unittest.main()
