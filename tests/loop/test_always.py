"""What always holds: looked at after every callback, and by name where it did not survive one."""

import asyncio
import contextvars
import pathlib
import re
import unittest
import warnings
from unittest import mock

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase, world
from solipsism_unittest.loop import turns
from tests.case.test_case import run, told


class Case(SolipsistTestCase):
    """Two accounts, and who moves money between them."""

    def setUp(self):
        self.one, self.other = 5, 5
        self.seen = []

    def check(self):
        """The sum stays."""
        self.seen.append(self.now)
        self.assertEqual(self.one + self.other, 10, "money is lost")

    async def move(self, pause):
        self.one -= 1
        if pause:
            await asyncio.sleep(1)  # lost
        self.other += 1

    def take(self):
        self.one -= 1


class AlwaysTest(unittest.TestCase):
    def outcome(self, body, **settings):
        """What is said of a test with this body."""
        result = run(type("Some", (Case,), {"test": body, **settings}))
        return told(result), result

    def line(self, text):
        """The line of this file with this text."""
        lines = pathlib.Path(__file__).read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, 1) if line.endswith(text))

    def test_holds(self):
        """What holds after each callback says nothing, and is looked at after each."""
        async def test(self):
            self.always(self.check)
            before = len(self.seen)
            for _ in range(5):
                await asyncio.sleep(0)
            self.assertGreaterEqual(len(self.seen) - before, 5)
            await self.move(pause=False)
            await asyncio.sleep(1)

        self.assertEqual(self.outcome(test)[0], "")
        self.assertEqual(self.outcome(test, loop_debug=True)[0], "")

    def test_step_of_a_task(self):
        """The failure names the step of a task, and where it waits now."""
        async def test(self):
            self.always(self.check)
            await asyncio.sleep(3)
            await asyncio.create_task(self.move(pause=True), name="mover")

        for settings in ({}, {"loop_debug": True}):
            text, result = self.outcome(test, **settings)
            self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
            self.assertIn("did not hold any more at t=3: it held before the step of task mover (Case.move), which now "
                          f"waits at tests/loop/test_always.py:{self.line('# lost')} in Case.move", text)
            self.assertIn("AssertionError: 9 != 10 : money is lost", text)
            self.assertEqual(text.count("did not hold any more"), 1)

    def test_other_callbacks(self):
        """A callback by its name, a task that ended, and a handle that was cancelled on its way."""
        def cancels(self):
            self.take()
            self.handle.cancel()

        async def with_timer(self):
            self.always(self.check)
            self.loop.call_later(2, self.take)
            self.loop.call_later(2, self.take)
            await asyncio.sleep(5)

        async def with_end(self):
            async def ends():
                self.take()

            self.always(self.check)
            await asyncio.create_task(ends(), name="last")

        async def with_cancelled(self):
            self.always(self.check)
            self.loop.call_soon(print).cancel()
            self.handle = self.loop.call_soon(cancels, self)
            await asyncio.sleep(5)

        for test, words in ((with_timer, r"at t=2: it held before the callback Case\.take \(tests/loop/test_always"),
                            (with_end, r"it held before the step of task last \(.*ends\), which is over"),
                            (with_cancelled, "it held before a callback that was cancelled")):
            with self.subTest(words):
                self.assertRegex(self.outcome(test)[0], words)

    def test_the_turn_in_which_it_begins(self):
        """What is in line behind always() has no name yet."""
        async def test(self):
            self.loop.call_soon(self.always, self.check)
            self.loop.call_soon(self.take)
            await asyncio.sleep(1)

        self.assertIn("it held before the step that began to check, or a callback that was in line behind it",
                      self.outcome(test)[0])

    def test_set_up(self):
        """It may begin in setUp, and several of them may."""
        def set_up(self):
            Case.setUp(self)
            self.always(lambda: self.one > 0)
            self.always(lambda: self.other < 6)

        async def test(self):
            await asyncio.sleep(1)
            self.other = 6
            await asyncio.sleep(1)
            self.one = 0
            await asyncio.sleep(1)

        text, result = self.outcome(test, setUp=set_up)
        self.assertEqual(len(result.failures), 1)
        self.assertEqual(text.count("it returned False"), 2)
        self.assertEqual(re.findall(r"any more at t=(\d)", text), ["1", "2"])

    def test_a_failing_test(self):
        """A test that fails anyway has it as a note."""
        async def test(self):
            self.always(self.check)
            await self.move(pause=True)
            self.fail("on purpose")

        text, result = self.outcome(test)
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
        self.assertRegex(text, "(?s)on purpose.*also: .*did not hold any more at t=0")

    def test_what_a_check_raises(self):
        """Any exception says that it does not hold; Ctrl-C goes through."""
        async def test(self):
            self.always(lambda: 1 / self.one)
            await asyncio.sleep(1)
            self.one = 0
            await asyncio.sleep(1)

        async def interrupted(self):
            def check():
                if self.now and not self.seen:
                    self.seen.append(1)
                    raise KeyboardInterrupt

            self.always(check)
            await asyncio.sleep(1)

        text, result = self.outcome(test)
        self.assertEqual(len(result.failures), 1)
        self.assertIn("ZeroDivisionError", text)
        self.assertRaises(KeyboardInterrupt, self.outcome, interrupted)

    def test_not_at_once(self):
        """What does not hold when it begins fails there; what is no plain function is a TypeError."""
        async def test(self):
            self.take()
            with self.assertRaisesRegex(AssertionError, r"Case.check .* does not hold when always\(\) begins: 9 != 10"):
                self.always(self.check)
            for bad in (None, 5, self.move):
                with self.assertRaisesRegex(TypeError, "takes a plain function that checks something, not "):
                    self.always(bad)
            await asyncio.sleep(1)

        self.assertEqual(self.outcome(test)[0], "")

    def test_context(self):
        """It runs in a copy of the context in which it began."""
        variable = contextvars.ContextVar("variable", default=0)

        async def test(self):
            variable.set(1)
            self.always(lambda: variable.get() == 1)
            variable.set(2)
            await asyncio.sleep(1)

        self.assertEqual(self.outcome(test)[0], "")

    def test_other_loops(self):
        """A loop that is not ours says what it lacks."""
        async def test(self):
            self.always(self.check)

        self.assertIn("always() needs the virtual world",
                      self.outcome(test, loop_factory=asyncio.SelectorEventLoop, check=lambda self: None)[0])

    def test_the_end(self):
        """It ends with the cleanups; on a shared loop the next test has plain turns again, and timers in order."""
        loops = []

        class Shared(Case):
            loop_scope = "class"

            async def test_1(self):
                self.always(self.check)
                loops.append(self.loop)
                self.addCleanup(asyncio.sleep, 1)
                await asyncio.sleep(1)

            async def test_2(self):
                self.one = 0
                order = []
                for delay in (3, 1, 2):
                    self.loop.call_later(delay, order.append, delay)
                await asyncio.sleep(4)
                self.assertEqual((order, self.loop.is_lean), ([1, 2, 3], True))
                self.assertNotIn("_run_once", vars(self.loop))
                self.assertIs(self.loop, loops[0])

        self.assertEqual(told(run(Shared)), "")

    def test_a_cleanup(self):
        """A cleanup that breaks it is named too."""
        async def test(self):
            self.always(self.check)
            self.addCleanup(self.move, True)
            await asyncio.sleep(1)

        self.assertIn("did not hold any more at t=1", self.outcome(test)[0])

    def test_turns_of_others(self):
        """Turns that somebody else makes are looked after, and stay in place when it is over."""
        made = []

        class Loop(SolipsistEventLoop):
            def _run_once(self):
                made.append(1)
                super()._run_once()

        async def test(self):
            self.always(self.check)
            await self.move(pause=True)

        text, _ = self.outcome(test, loop_factory=Loop)
        self.assertIn("did not hold any more at t=0", text)
        self.assertGreater(len(made), 1)

        async def patches(self):
            self.always(self.check)
            mine = self.loop._run_once
            patch = mock.patch.object(self.loop, "_run_once", lambda: mine())
            patch.start()
            self.addCleanup(patch.stop)
            await self.move(pause=True)

        self.assertIn("did not hold any more at t=0", self.outcome(patches)[0])

    def test_by_hand(self):
        """A world without a test has it too."""
        values = [1]

        async def main():
            await asyncio.sleep(1)
            values.clear()
            await asyncio.sleep(1)

        with self.assertRaisesRegex(AssertionError, "did not hold any more at t=1"), world() as here:
            here.always(lambda: values)
            here.run(main())

    def test_nobody_else_pays(self):
        """A loop without checks makes the lean turns, of the same function as before."""
        async def test(self):
            self.assertIs(type(self.loop)._run_once, turns.Turns._run_once)
            self.assertTrue(self.loop.is_lean)
            await asyncio.sleep(1)

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertEqual(self.outcome(test)[0], "")


if __name__ == "__main__":
    unittest.main()
