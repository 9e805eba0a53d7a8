"""What a sealed thread starts: pools of other interpreters get plain functions."""

import asyncio
import concurrent.futures
import math
import operator
import unittest

from solipsism_unittest import SolipsistTestCase

NEWER = hasattr(concurrent.futures, "InterpreterPoolExecutor")


@unittest.skipUnless(NEWER, "pools of interpreters came with Python 3.14")
class InterpreterPoolTest(SolipsistTestCase):
    def pool(self, **settings):
        return self.enterContext(concurrent.futures.InterpreterPoolExecutor(1, **settings))

    async def test_run_in_executor(self):
        """A job of the loop runs in another interpreter, with its arguments, and gives its result."""
        pool = self.pool()
        for function, args, expected in ((abs, (-3,), 3), (math.gcd, (12, 18), 6), (operator.add, ("a", "b"), "ab")):
            with self.subTest(function=function):
                self.assertEqual(await self.loop.run_in_executor(pool, function, *args), expected)

    async def test_submit(self):
        """A job that is submitted has keywords too."""
        pool = self.pool()
        self.assertEqual(await asyncio.wrap_future(pool.submit(int, "ff", base=16)), 255)

    async def test_map(self):
        """map() goes over the jobs in order."""
        pool = self.pool()
        self.assertEqual(await asyncio.to_thread(lambda: list(pool.map(abs, range(-3, 0)))), [3, 2, 1])

    async def test_errors(self):
        """What a job raises comes out, from either call."""
        pool = self.pool()
        with self.assertRaises(ZeroDivisionError):
            await self.loop.run_in_executor(pool, divmod, 1, 0)
        with self.assertRaises(ValueError):
            await asyncio.wrap_future(pool.submit(int, "x"))

    async def test_a_subclass(self):
        """A class of the program's own is such a pool as well."""

        class Pool(concurrent.futures.InterpreterPoolExecutor):
            pass

        with Pool(1) as pool:
            self.assertEqual(await self.loop.run_in_executor(pool, abs, -3), 3)

    async def test_the_clock(self):
        """A job in another interpreter holds the clock until it is done."""
        pool = self.pool()
        await asyncio.wait_for(self.loop.run_in_executor(pool, sum, range(100_000)), 0.001)
        self.assertNow(0)
