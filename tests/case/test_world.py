"""Entering and leaving the world of a test: whatever happens, everything is as it was before."""

import asyncio
import gc
import random
import signal
import socket
import threading
import time
import unittest
import weakref
from unittest import mock

from solipsism_unittest import EscapeError, SolipsistTestCase
from solipsism_unittest.case.fixtures.leaving import RandomState
from solipsism_unittest.stdlib.worlds import world_here
from tests.case.test_case import run, told


class SealTest(unittest.TestCase):
    REAL = socket._socket, time.monotonic, time.monotonic_ns, socket.gethostbyname

    def check_real(self):
        names = socket._socket, time.monotonic, time.monotonic_ns, socket.gethostbyname
        self.assertEqual(names, self.REAL)
        with socket.socket() as made:
            self.assertIs(type(made), socket.socket)

    def test_undone_where_a_step_fails(self):
        """Where one step of the way back raises, all the others are made, and the error comes out."""

        class Case(SolipsistTestCase):
            async def test(self):
                """Nothing."""

        handler = signal.getsignal(signal.SIGALRM)
        for patch in (mock.patch.object(RandomState, "save", return_value=mock.Mock(side_effect=KeyError("random"))),
                      mock.patch("asyncio.set_event_loop", side_effect=[None, KeyError("loop")])):
            with patch, self.assertRaises(KeyError):
                Case("test").run(unittest.TestResult())
            self.check_real()
            self.assertIs(signal.getsignal(signal.SIGALRM), handler)
            self.assertEqual(signal.getitimer(signal.ITIMER_REAL), (0.0, 0.0))

    def test_undone_whatever_happens(self):
        """After a test that passes, fails, errs, hangs, skips or fails in any phase the real world is back."""

        class Case(SolipsistTestCase):
            where = "nowhere"

            def boom(self, where):
                if self.where == where:
                    raise RuntimeError(where)

            def setUp(self):
                self.addCleanup(self.boom, "cleanup")
                self.boom("setUp")

            async def asyncSetUp(self):
                self.boom("asyncSetUp")

            async def test(self):
                self.boom("test")
                if self.where == "hang":
                    await asyncio.Event().wait()
                if self.where == "skip":
                    self.skipTest("not today")
                if self.where == "exit":
                    raise SystemExit
                if self.where == "cancel":
                    raise asyncio.CancelledError

            async def asyncTearDown(self):
                self.boom("asyncTearDown")

            def tearDown(self):
                self.boom("tearDown")

        expected = 0
        for Case.where in ("nowhere", "setUp", "asyncSetUp", "test", "hang", "skip", "exit", "cancel", "asyncTearDown",
                           "tearDown", "cleanup"):
            with self.subTest(Case.where):
                expected = Case.where not in ("nowhere", "skip")
                state = random.getstate()
                result = run(Case)
                self.assertEqual((len(result.errors), len(result.failures)), (expected, 0))
                self.check_real()
                self.assertEqual(random.getstate(), state)

    def test_between_the_tests_of_a_suite(self):
        """Between two tests of a class who is not sealed sees the real world, and each test the virtual one.

        What somebody puts in the place of a name there is what stands there when the class is over.
        """
        noted, outer, mine = [], self, (lambda: 7.0)
        self.addCleanup(setattr, time, "monotonic", time.monotonic)

        class Case(SolipsistTestCase):
            start_time = 1000.0

            async def test_one(self):
                noted.append(time.monotonic())

            test_two = test_three = test_one

        class Result(unittest.TestResult):
            def startTest(self, test):
                super().startTest(test)
                outer.check_behaviour()

            def stopTest(self, test):
                super().stopTest(test)
                outer.check_behaviour()
                if test.id().endswith("test_three"):  # the second, by name
                    time.monotonic = mine

        result = Result()
        unittest.TestSuite(map(Case, ("test_one", "test_three", "test_two"))).run(result)
        self.assertEqual((noted, result.testsRun, result.errors + result.failures), ([1000.0] * 3, 3, []))
        self.assertIs(time.monotonic, mine)
        time.monotonic = self.REAL[1]
        self.check_real()

    def check_behaviour(self):
        with socket.socket() as made:
            self.assertIs(type(made), socket.socket)
        self.assertNotEqual(time.monotonic(), 1000.0)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(world_here()))
        thread.start()
        thread.join()
        self.assertEqual((world_here(), seen), (None, [None]))

    def test_the_end_of_a_class(self):
        """When the tests of a class are over the names hold what they held: for its own fixtures, and afterwards."""
        outer = self

        class Case(SolipsistTestCase):
            @classmethod
            def setUpClass(cls):
                outer.check_real()
                cls.addClassCleanup(outer.check_real)

            @classmethod
            def tearDownClass(cls):
                outer.check_real()

            async def test_one(self):
                outer.assertIsNot(time.monotonic, outer.REAL[1])

            test_two = test_one

        class Other(SolipsistTestCase):
            @classmethod
            def setUpClass(cls):
                outer.check_real()
                super().setUpClass()

            async def test(self):
                """Nothing."""

        result = unittest.TestResult()
        unittest.TestSuite([Case("test_one"), Case("test_two"), Other("test"), Case("test_one")]).run(result)
        self.assertEqual((result.testsRun, result.errors + result.failures), (4, []))
        self.check_real()
        Case("test_one").run(result)  # and where no suite sets the class up, after each test
        self.check_real()

    def test_a_suite_that_is_broken_off(self):
        """After a KeyboardInterrupt in the middle of a suite everything is back."""

        class Case(SolipsistTestCase):
            async def test_a(self):
                """Nothing."""

            def test_b(self):
                raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            unittest.TestSuite(map(Case, ("test_a", "test_b"))).run(unittest.TestResult())
        self.check_real()

    def test_undone_after_an_interrupt(self):
        """A KeyboardInterrupt ends the run, as in unittest; what failed before is told, and the real world is back."""

        class Case(SolipsistTestCase):
            async def test(self):
                with self.subTest("fails before"):
                    self.fail("on purpose")
                self.task = asyncio.create_task(asyncio.sleep(1))
                raise KeyboardInterrupt

        result = unittest.TestResult()
        with self.assertRaises(KeyboardInterrupt):
            Case("test").run(result)
        self.check_real()
        self.assertIn("on purpose", told(result))

    @unittest.skipUnless(signal.getsignal(signal.SIGINT) is signal.default_int_handler, "SIGINT is handled here")
    def test_control_c(self):
        """Ctrl-C in a test is a KeyboardInterrupt that ends the run, with the real world back."""

        class Case(SolipsistTestCase):
            async def test(self):
                with self.allow_escape("signal"):  # the signal of the person at the keyboard
                    signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(1)

        with self.assertRaises(KeyboardInterrupt):
            Case("test").run(unittest.TestResult())
        self.check_real()

    def test_stock_loop_inside(self):
        """A real loop made inside a test is refused, and the seal is undone all the same."""

        class Mine(asyncio.SelectorEventLoop):
            pass

        class Case(SolipsistTestCase):
            def test(self):
                with self.assertRaises(EscapeError):
                    Mine()

        self.assertTrue(run(Case).wasSuccessful())
        self.check_real()

    def test_one_test_inside_another(self):
        """A plain test may run another class; each has its own world, and the outer one is there again afterwards."""

        class Inner(SolipsistTestCase):
            start_time = 100.0

            async def test(self):
                self.assertEqual(time.monotonic(), 100.0)

        class Outer(SolipsistTestCase):
            def test(self):
                self.assertTrue(run(Inner).wasSuccessful())
                self.assertEqual(time.monotonic(), 0.0)

        self.assertEqual(told(run(Outer)), "")
        self.check_real()


class LifeTest(unittest.TestCase):
    def test_a_world_ends_with_its_test(self):
        """Nothing of a test that left nothing waits for the garbage collector, its second loop included."""
        seen = []

        class Case(SolipsistTestCase):
            def note(self, loop):
                seen.extend(map(weakref.ref, (loop, loop.selector)))

            async def test_empty(self):
                self.note(self.loop)

            def test_plain(self):
                async def main():
                    self.note(asyncio.get_running_loop())

                self.note(self.loop)
                asyncio.run(main())

        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        self.assertEqual(told(run(Case)), "")
        self.assertEqual({ref() for ref in seen}, {None})


if __name__ == "__main__":
    unittest.main()
