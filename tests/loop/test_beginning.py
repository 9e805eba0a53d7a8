"""How a loop begins: what asyncio's constructors set is there on every loop, whether they ran or not."""

import asyncio
import dis
import gc
import os
import time
import unittest
import warnings
import weakref
from asyncio import base_events
from unittest import mock

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.loop.beginning import Beginning


class Subclass(SolipsistEventLoop):
    """Its constructors run for each loop."""


def instruction(loop):
    """The one by which CPython reads an attribute of this loop, once it has read it often."""

    def read():
        return loop.line

    read.__code__ = read.__code__.replace()  # as if it had never run
    for _ in range(1000):
        read()
    names = [step.opname for step in dis.get_instructions(read, adaptive=True)]
    return next(name for name in names if name.startswith("LOAD_ATTR"))


class BeginningTest(unittest.TestCase):
    def loop(self, kind=SolipsistEventLoop):
        loop = kind()
        self.addCleanup(loop.close)
        return loop

    def test_the_same_as_by_the_constructors(self):
        """A loop on which no constructor ran has the attributes of one on which all did, and shares none that change.
        """
        self.loop()
        one, other, stock = self.loop(), self.loop(), self.loop(Subclass)
        late = {"_transports", "_asyncgens"}
        self.assertEqual(set(vars(one)) | late, set(vars(stock)) | late)
        for name, value in vars(stock).items():
            with self.subTest(name):
                if value is None or isinstance(value, (bool, int, float, str)):
                    self.assertEqual(getattr(one, name), value)
                elif name != "_watcher":  # nobody asks it
                    self.assertIs(type(getattr(one, name)), type(value) if name != "_asyncgens" else tuple)
                    self.assertTrue(getattr(one, name) is not getattr(other, name) or name == "_asyncgens")
        self.assertEqual(one.slow_callback_duration, stock.slow_callback_duration)

    def test_the_system_is_not_asked(self):
        """From the second loop on nobody asks the system for its clock; a stock loop does each time."""
        self.loop()
        with mock.patch.object(time, "get_clock_info", side_effect=time.get_clock_info) as asked:
            self.loop()
            self.assertEqual(asked.call_count, 0)
            self.loop(asyncio.SelectorEventLoop)
            self.assertEqual(asked.call_count, 1)

    def test_debug_mode(self):
        """asyncio's variable in the environment counts for each loop that is made."""
        self.loop()
        for value, debug in (("1", True), ("", False)):
            with mock.patch.dict(os.environ, {"PYTHONASYNCIODEBUG": value}):
                self.assertEqual([self.loop(kind).get_debug() for kind in (SolipsistEventLoop, Subclass)], [debug] * 2)

    def test_the_log(self):
        """asyncio's line about the selector is in its log for each loop."""
        self.loop()
        for kind in (SolipsistEventLoop, Subclass):
            with self.assertLogs("asyncio", "DEBUG") as log:
                self.loop(kind)
            self.assertEqual([record.getMessage() for record in log.records], ["Using selector: VirtualSelector"])

    def test_a_constructor_of_a_program(self):
        """What stands in the place of a constructor of asyncio's is called, as long as it stands there."""
        self.loop()
        real, seen = base_events.BaseEventLoop.__init__, []

        def counting(loop):
            seen.append(loop)
            real(loop)

        with mock.patch.object(base_events.BaseEventLoop, "__init__", counting):
            loops = [self.loop(), self.loop()]
        self.loop()
        self.assertEqual(seen, loops)

    def test_what_cannot_be_copied(self):
        """Where a constructor sets something that is neither plain nor empty, it runs for each loop."""

        class Loop:
            slow_callback_duration = 0.1

            def __init__(self, thing):
                self._selector, self._debug, self.thing = None, False, thing

        for thing, copied in ((0, True), ([], True), ([1], False), (object(), False)):
            beginning = Beginning(Loop)
            beginning.learn(Loop(thing), set())
            with self.subTest(thing):
                self.assertEqual(beginning.begin(Loop(None), None, None), copied)

    def test_the_first_loop_is_as_fast(self):
        """CPython reads the attributes of the loop on which a class learns, and of one of no such class, by the same
        quick instruction as those of every later loop.
        """

        class First(SolipsistEventLoop):
            """A class that has no loop yet."""

        First.beginning = Beginning(First)
        first, later = self.loop(First), self.loop(First)
        self.assertEqual({instruction(loop) for loop in (first, later, self.loop(Subclass))}, {instruction(later)})

    def test_nobody_is_told_of_the_spare_loop(self):
        """The loop on which the constructors have run leaves no warning and no second line in the log."""

        class First(SolipsistEventLoop):
            """A class that has no loop yet."""

        First.beginning = Beginning(First)
        with warnings.catch_warnings(record=True) as seen, self.assertLogs("asyncio", "DEBUG") as log:
            warnings.simplefilter("always")
            self.loop(First)
            gc.collect()
        self.assertEqual((seen, len(log.records)), ([], 1))

    def test_tables_that_are_made_late(self):
        """The table of transports is one from the first look on, and another one for each loop."""
        one, other = self.loop(), self.loop()
        self.assertIs(type(one._transports), weakref.WeakValueDictionary)
        self.assertIs(one._transports, one._transports)
        self.assertIsNot(one._transports, other._transports)
        self.assertEqual(len(SolipsistEventLoop._transports), 0)


if __name__ == "__main__":
    unittest.main()
