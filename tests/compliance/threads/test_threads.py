"""The judge of CPython's tests of threads judged, on tests of our own."""

import asyncio
import unittest

from tests.compliance import judge
from tests.compliance.threads.group import THREADS

TOYS = judge.Group("tests.compliance.threads", THREADS.arms, ("toys.py",), frozenset())


class ThreadsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        async def main():
            return await judge.run_module("toys", asyncio.Semaphore(1), TOYS)

        cls.report = asyncio.run(main())

    def names(self, found):
        return {name.rpartition("Toys.test_")[2] for name in found}

    def test_what_counts(self):
        """Tests count that pass outside of any world and start no process; those of subinterpreters are not run."""
        self.assertEqual(self.report.broken, [])
        self.assertEqual(self.names(self.report.stock), {
            "sleeps", "waits_for_a_lock", "fails_in_a_world", "fails_on_both", "starts_a_process"})
        self.assertEqual(self.names(self.report.counting), {"sleeps", "waits_for_a_lock", "fails_in_a_world"})

    def test_what_passes(self):
        """Each test lives in a world, whose names the class has: time in it is virtual, and exact."""
        self.assertEqual(self.names(self.report.passing), {"sleeps", "waits_for_a_lock"})

    def test_modules(self):
        """A group finds the modules that are there, below its package, and no others."""
        self.assertEqual(TOYS.modules(), ["toys"])
