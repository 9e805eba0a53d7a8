"""Whose code it is, and what a module has."""

import types
import unittest

from solipsism_unittest.introspection.modules import CARRIED, carries, globals_of


class GlobalsTest(unittest.TestCase):
    def test_of_a_module(self):
        """They are the module's own, whatever its class makes of attributes."""
        class Hidden(types.ModuleType):
            __dict__ = property(lambda self: 1 / 0)

            def __getattribute__(self, name):
                raise ZeroDivisionError(name)

        for kind in (types.ModuleType, Hidden):
            self.assertEqual(globals_of(kind("some"))["__name__"], "some")

    def test_of_anything_else(self):
        """What is no module has none, whatever it says of itself."""
        class Liar:
            __slots__ = ()
            __class__ = property(lambda self: types.ModuleType)

        class Raising:
            def __getattribute__(self, name):
                raise ZeroDivisionError(name)

        for thing in (Liar(), Raising(), None, types.ModuleType, {"__name__": "x"}):
            self.assertEqual(globals_of(thing), {})


class CarriersTest(unittest.TestCase):
    def test_who_carries(self):
        """Modules of asyncio and the like pass calls on; a program's do not; and not all answers are kept for ever."""
        for number in range(1100):
            self.assertEqual((carries("asyncio.tasks"), carries(f"program{number}.asyncio")), (True, False))
        self.assertLess(len(CARRIED), 1100)
