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
    with_settings,
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

    def test_overridden(self):
        """A subclass that overrides a test has what it writes, and no variants of what it does not run."""

        class Base(SolipsistTestCase):
            @over_loops(**LOOPS)
            @over_executors(one=POOLS["one"])
            async def test(self):
                pass

            @over_loops(**LOOPS)
            async def test_other(self):
                pass

        class Plain(Base):
            def test(self):
                pass

        class Another(Plain):
            @over_loops(stock=asyncio.SelectorEventLoop)
            async def test_other(self):
                pass

        class OneVariant(Base):
            async def test_other_stock(self):
                pass

        others = ["test_other_stock", "test_other_virtual"]
        self.assertEqual(names(Plain), ["test", *others])
        self.assertEqual(names(Another), ["test", "test_other_stock"])
        self.assertEqual(names(OneVariant), ["test_one_stock", "test_one_virtual", *others])

        @over_executors(two=POOLS["two"])
        class Decorated(Another):
            pass

        class Overriding(Decorated):
            def test_other(self):
                pass

        self.assertEqual(names(Decorated), ["test_other_stock_two", "test_two"])
        self.assertEqual(names(Overriding), ["test_other", "test_two"])
        for case in (Plain, Another, OneVariant, Decorated, Overriding):
            self.assertEqual(told(run(case)), "")

    def test_a_mixin(self):
        """A class that is no test case may bring tests with variants; it stays as it is."""

        class Mixin:
            @over_loops(**LOOPS)
            async def test(self):
                assert type(self.loop) is LOOPS[self._testMethodName.rpartition("_")[2]]

        class Case(Mixin, SolipsistTestCase):
            pass

        class Overriding(Case):
            def test(self):
                pass

        self.assertEqual((names(Case), names(Overriding)), (["test_stock", "test_virtual"], ["test"]))
        self.assertEqual(told(run(Case)), "")
        self.assertTrue(callable(Mixin.test))

    def test_a_method_and_its_class(self):
        """A method's own loops win over those of its class; the same decorator twice is refused."""
        factories = dict.fromkeys(("a", "b"), SolipsistEventLoop)

        @over_loops(**factories)
        @over_executors(c=POOLS["one"])
        class Case(SolipsistTestCase):
            @over_loops(only=SolipsistEventLoop)
            async def test_one(self):
                pass

            async def test_two(self):
                pass

        self.assertEqual(names(Case), ["test_one_only_c", "test_two_c_a", "test_two_c_b"])
        with self.assertRaisesRegex(TypeError, "over_loops.. stands twice above .*test_three: give it all factories"):
            @over_loops(a=int)
            @over_loops(b=int)
            def test_three(self):
                pass

    def test_other_decorators_above(self):
        """Decorators that mark, skip or patch a test may stand above: they hold for each variant."""

        class Case(SolipsistTestCase):
            @unittest.expectedFailure
            @over_loops(**LOOPS)
            def test_expected(self):
                self.fail()

            @unittest.skip("not now")
            @over_loops(**LOOPS)
            def test_skipped(self):
                self.fail()

            @fail_on(active_handles=False)
            @over_loops(**LOOPS)
            async def test_lenient(self):
                self.loop.call_later(5, print)

            @mock.patch("time.sleep")
            @over_loops(**LOOPS)
            async def test_patched(self, sleep):
                self.assertIs(type(self.loop), LOOPS[self._testMethodName.rpartition("_")[2]])

        result = run(Case)
        self.assertEqual(told(result), "")
        self.assertEqual((len(result.expectedFailures), len(result.skipped)), (2, 2))

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
                        lacking="lacking_something.Loop", stock="asyncio.SelectorEventLoop", module="json.decoder")
            class Case(SolipsistTestCase):
                async def test(self):
                    self.assertIs(type(self.loop), asyncio.SelectorEventLoop)

            result = run(Case)
        self.assertEqual({test._testMethodName: reason for test, reason in result.skipped}, {
            "test_none": "none: not there on this Python",
            "test_library": "library: no_such_library is not installed",
            "test_name": "name: there is no asyncio.NoSuchLoop",
        })
        self.assertEqual([test._testMethodName for test, _ in result.errors], ["test_lacking", "test_module"])
        self.assertIn("No module named 'no_such_library'", told(result))
        self.assertRegex(told(result), "TypeError: module: json.decoder is <module .*>, which is no factory")
        self.assertEqual((result.testsRun, result.failures), (6, []))

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
        examples = {over_loops: "over_loops(stock=asyncio.SelectorEventLoop)",
                    over_executors: "over_executors(pool=ThreadPoolExecutor)"}
        for over, example in examples.items():
            with self.assertRaisesRegex(TypeError, "needs a factory for each variant") as raised:
                over()
            self.assertTrue(str(raised.exception).endswith(f"by its name, as in {example}"))
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


class SettingsTest(unittest.TestCase):
    def test_limits_of_one_test(self):
        """A test may have limits of its own, in both times; the others keep those of the class."""

        class Case(SolipsistTestCase):
            virtual_time_limit = 1000

            @with_settings(virtual_time_limit=5)
            async def test_virtual(self):
                await asyncio.sleep(6)

            @with_settings(real_time_limit=0.2, virtual_time_limit=None)
            async def test_real(self):
                while True:
                    await asyncio.sleep(1)

            async def test_without(self):
                await asyncio.sleep(6)

            @with_settings(virtual_time_limit=5)
            async def test_in_time(self):
                await asyncio.sleep(5)

        result = run(Case)
        self.assertEqual([test._testMethodName for test, _ in result.errors], ["test_real", "test_virtual"])
        self.assertIn("RealTimeLimitError: the test took longer than its real-time limit of 0.2 s", told(result))
        self.assertIn("VirtualTimeLimitError: the test goes on beyond its virtual time limit of 5 s", told(result))

    def test_other_settings(self):
        """Whatever a class sets a test may set; an outer decorator wins, and a class below says nothing to it."""
        seen = []

        class Base(SolipsistTestCase):
            @with_settings(start_time=100.0)
            @with_settings(start_time=50.0, autojump=False)
            @mock.patch("time.sleep")
            async def test(self, sleep):
                seen.append((self.now, self.loop.autojump))

        class Case(Base):
            start_time = 7.0

        self.assertEqual(told(run(Case)), "")
        self.assertEqual(seen, [(100.0, False)])

    def test_with_variants(self):
        """It stands above over_loops() and below it."""
        seen = []

        class Case(SolipsistTestCase):
            @with_settings(loop_debug=True)
            @over_loops(**LOOPS)
            async def test_above(self):
                seen.append((type(self.loop), self.loop.get_debug()))

            @over_loops(**LOOPS)
            @with_settings(loop_debug=True)
            async def test_below(self):
                seen.append((type(self.loop), self.loop.get_debug()))

        result = run(Case)
        self.assertEqual((told(result), result.testsRun), ("", 4))
        self.assertEqual(seen, [(asyncio.SelectorEventLoop, True), (SolipsistEventLoop, True)] * 2)

    def test_a_shared_loop(self):
        """Tests that share a loop may have limits, and what else is of the test; not what is of the loop."""

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @with_settings(virtual_time_limit=5)
            async def test_a(self):
                await asyncio.sleep(5)

            @with_settings(virtual_time_limit=5, hermetic=False)
            async def test_b(self):
                await asyncio.sleep(5)

            @with_settings(virtual_time_limit=5)
            async def test_c(self):
                await asyncio.sleep(6)

            async def test_d(self):
                await asyncio.sleep(6)

            @with_settings(hermetic=False, start_time=5.0)
            async def test_e(self):
                pass

        result = run(Case)
        self.assertEqual([test._testMethodName for test, _ in result.errors], ["test_c", "test_e"])
        self.assertIn("VirtualTimeLimitError", told(result))
        self.assertIn("start_time of one test gives it a loop of its own, and loop_scope of "
                      "SettingsTest.test_a_shared_loop.<locals>.Case is 'class': set it to 'test'", told(result))

    def test_misuse(self):
        """Unknown settings, none, values that no setting takes, and classes are refused."""
        for wrong in ("loop_scope", "services", "timeout"):
            with self.assertRaisesRegex(TypeError, f"with_settings.. has no setting '{wrong}': there are loop_factory"):
                with_settings(**{wrong: 5})
        with self.assertRaisesRegex(TypeError, "needs a setting by its name"):
            with_settings()
        with self.assertRaisesRegex(TypeError, "decorates a test, not 5$"):
            with_settings(seed=1)(5)
        with self.assertRaisesRegex(TypeError, "decorates a test, not .*SettingsTest.*: set attributes on a class$"):
            with_settings(seed=1)(SettingsTest)

        class Case(SolipsistTestCase):
            @with_settings(virtual_time_limit=-5)
            async def test(self):
                pass

        self.assertRegex(told(run(Case)), "virtual_time_limit of .*Case is -5: .* a number of seconds above zero")


if __name__ == "__main__":
    unittest.main()
