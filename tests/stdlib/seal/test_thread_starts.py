"""What a sealed thread starts: workers of pools; pools of other interpreters get plain functions."""

import asyncio
import concurrent.futures
import math
import operator
import threading
import unittest
from unittest import mock

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run

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


class WrappedStartTest(unittest.TestCase):
    """A tool that wraps `Thread.start`, as tracers do."""

    class Jobs(SolipsistTestCase):
        """Starts workers of pools."""

        async def test(self):
            """The loop's pool is shut down by the loop, another one by its block."""
            await asyncio.to_thread(abs, -1)
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                await asyncio.wrap_future(pool.submit(abs, -1))

    def wrapped(self):
        """A patch that is not there yet, and the list of the workers that it has seen start."""
        real, calls = threading.Thread.start, []

        def start(thread):
            if thread.name.startswith(("asyncio_", "ThreadPoolExecutor-")):  # and no watchdog of the framework's own
                calls.append(thread)
            real(thread)

        return mock.patch.object(threading.Thread, "start", start), calls

    def test_around_tests(self):
        """Whose worker it is, is seen through a wrapper that came before the test, also after an earlier test."""
        for _ in range(2):
            patch, calls = self.wrapped()
            with patch:
                self.assertTrue(run(self.Jobs).wasSuccessful())
            self.assertEqual(len(calls), 2)
            self.assertTrue(run(self.Jobs).wasSuccessful())
            self.assertEqual(len(calls), 2)

    def test_inside_of_a_test(self):
        """And through one that comes and goes inside of the test."""
        test = self

        class Inside(self.Jobs):
            def setUp(self):
                patch, self.calls = test.wrapped()
                patch.start()
                self.addCleanup(patch.stop)

        self.assertTrue(run(Inside).wasSuccessful())
