"""One test under several loops and executors: names, outcomes, and what is not there."""

import asyncio
import concurrent.futures
import functools
import pathlib
import sys
import tempfile
import threading
import unittest
from unittest import mock

from solipsism_unittest import (
    SolipsistEventLoop,
    SolipsistTestCase,
    fail_on,
    over_executors,
    over_loops,
)
from tests import run_python
from tests.case.test_case import run, told

LOOPS = {"virtual": SolipsistEventLoop, "stock": asyncio.SelectorEventLoop}
POOLS = {name: functools.partial(concurrent.futures.ThreadPoolExecutor, number) for name, number in
         (("one", 1), ("two", 2))}


def names(case):
    """The names of the tests of a class."""
    return unittest.defaultTestLoader.getTestCaseNames(case)


@over_loops(**LOOPS)
class LoopsTest(SolipsistTestCase):
    async def test_the_loop(self):
        """Each variant runs on its loop."""
        wanted = LOOPS[self._testMethodName.rpartition("_")[2]]
        self.assertIs(type(asyncio.get_running_loop()), wanted)

    def test_names(self):
        """The variants stand in place of the test, and have names and texts of their own."""
        self.assertEqual(names(LoopsTest), ["test_names_stock", "test_names_virtual", "test_the_loop_stock",
                                            "test_the_loop_virtual"])
        method = getattr(self, self._testMethodName)
        self.assertEqual(method.__qualname__, f"LoopsTest.{self._testMethodName}")
        self.assertIn("The variants stand in place", method.__doc__)


class OneTestTest(SolipsistTestCase):
    @over_loops(**LOOPS)
    async def test_one(self):
        """A single test may have variants."""
        self.assertIn(self._testMethodName, ("test_one_virtual", "test_one_stock"))

    @over_loops(**LOOPS)
    @over_executors(**POOLS)
    @fail_on(threads=False)
    async def test_stacked(self, *, default=5):
        """Decorators multiply; marks and defaults of the function stay."""
        self.assertEqual(default, 5)
        pool, loop = self._testMethodName.split("_")[2:]
        self.assertIs(type(self.loop), LOOPS[loop])
        await asyncio.to_thread(int)
        self.assertEqual(self.loop._default_executor._max_workers, {"one": 1, "two": 2}[pool])

    @over_executors(own=None)
    @mock.patch("time.sleep")
    async def test_patched(self, sleep):
        """What other decorators give is given. An executor of None is skipped."""

    def test_names(self):
        """Only the variants are tests."""
        self.assertEqual(names(OneTestTest), [
            "test_names", "test_one_stock", "test_one_virtual", "test_patched_own", "test_stacked_one_stock",
            "test_stacked_one_virtual", "test_stacked_two_stock", "test_stacked_two_virtual"])


class VariantsTest(unittest.TestCase):
    def test_inherited(self):
        """A class has the variants of the tests that it inherits; its base stays as it is."""

        class Base(SolipsistTestCase):
            async def test_a(self):
                pass

        @over_loops(**LOOPS)
        class Case(Base):
            async def test_b(self):
                pass

        self.assertEqual(names(Base), ["test_a"])
        self.assertEqual(names(Case), ["test_a_stock", "test_a_virtual", "test_b_stock", "test_b_virtual"])
        result = run(Case)
        self.assertEqual((told(result), result.testsRun), ("", 4))

    def test_a_closure(self):
        """A test that calls super() or uses names from outside is copied with them."""
        seen = []

        class Base(SolipsistTestCase):
            async def test(self):
                seen.append(type(self.loop))

        class Case(Base):
            @over_loops(**LOOPS)
            async def test(self):
                await super().test()
                seen.append(__class__)

        self.assertEqual(told(run(Case)), "")
        self.assertEqual(seen, [asyncio.SelectorEventLoop, Case, SolipsistEventLoop, Case])

    def test_what_is_not_there(self):
        """A variant that is not there is skipped by its name; one that is there and cannot be imported is an error."""
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "lacking_something.py").write_text("import no_such_library\n", encoding="utf-8")
            sys.path.append(folder)
            self.addCleanup(sys.path.remove, folder)

            @over_loops(none=None, library="no_such_library.new_event_loop", name="asyncio.NoSuchLoop",
                        lacking="lacking_something.Loop", stock="asyncio.SelectorEventLoop")
            class Case(SolipsistTestCase):
                async def test(self):
                    self.assertIs(type(self.loop), asyncio.SelectorEventLoop)

            result = run(Case)
        self.assertEqual({test._testMethodName: reason for test, reason in result.skipped}, {
            "test_none": "none: not there on this Python",
            "test_library": "library: no_such_library is not installed",
            "test_name": "name: there is no asyncio.NoSuchLoop",
        })
        self.assertEqual([test._testMethodName for test, _ in result.errors], ["test_lacking"])
        self.assertIn("No module named 'no_such_library'", told(result))
        self.assertEqual((result.testsRun, result.failures), (5, []))

    def test_executors(self):
        """Each variant has its executor, which is shut down at the end."""
        before = threading.active_count()

        @over_executors(**POOLS, missing="concurrent.futures.NoSuchExecutor")
        class Case(SolipsistTestCase):
            async def test(self):
                await asyncio.gather(*(asyncio.to_thread(int) for _ in range(5)))
                self.assertEqual(self.loop._default_executor._max_workers, 1 + self._testMethodName.endswith("two"))

        result = run(Case)
        self.assertEqual((told(result), result.testsRun), ("", 3))
        self.assertEqual([reason for _, reason in result.skipped],
                         ["missing: there is no concurrent.futures.NoSuchExecutor"])
        self.assertEqual(threading.active_count(), before)

    def test_a_shared_loop(self):
        """Tests that share a loop cannot have another one each: the error says so."""

        @over_loops(**LOOPS)
        class Case(SolipsistTestCase):
            loop_scope = "class"

            async def test(self):
                pass

        result = run(Case)
        self.assertEqual(len(result.errors), 2)
        self.assertIn("loop_scope of VariantsTest.test_a_shared_loop.<locals>.Case is 'class': set it to 'test'",
                      told(result))

    def test_misuse(self):
        """What is no factory, no test and no class of tests is refused."""
        for over in (over_loops, over_executors):
            with self.assertRaisesRegex(TypeError, "needs a factory for each variant"):
                over()
            with self.assertRaisesRegex(TypeError, "and stock is 5"):
                over(stock=5)
            for target in (5, unittest.TestCase, print):
                with self.assertRaisesRegex(TypeError, "decorates a test or a SolipsistTestCase"):
                    over(stock=int)(target)

    def test_by_name(self):
        """A variant runs by its name from the command line."""
        child = run_python("-m", "unittest", "-v", "tests.runs.test_variants.LoopsTest.test_the_loop_stock")
        self.assertIn("test_the_loop_stock (tests.runs.test_variants.LoopsTest.test_the_loop_stock)", child.stderr)
        self.assertIn("Ran 1 test", child.stderr)
        self.assertEqual(child.returncode, 0, child.stderr)


if __name__ == "__main__":
    unittest.main()
