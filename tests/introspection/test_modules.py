"""Whose code it is, and what a module has."""

import codecs
import os
import runpy
import types
import unittest

from solipsism_unittest.introspection.modules import (
    CARRIED,
    carries,
    globals_of,
    is_of_library,
    is_of_program,
    is_of_standard_library,
    own_function,
)


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


class OwnFunctionTest(unittest.TestCase):
    def test_replaced_functions(self):
        """What a module has made is found where it stands, and where somebody has kept it; otherwise there is none."""
        module = types.ModuleType("program")
        exec("class Kind:\n    def method(self): pass\n    other = staticmethod(print)\n"
             "def method(): pass", vars(module))
        made = module.Kind.method
        self.assertIs(own_function(module, "Kind.method", made), made)
        self.assertIs(own_function(module, "method", made), module.method)
        module.Kind.method = len
        self.assertIs(own_function(module, "Kind.method", len), made)
        del made
        self.assertIsNone(own_function(module, "Kind.method", len))


class LibrariesTest(unittest.TestCase):
    def test_frozen_code(self):
        """What is frozen into the interpreter came with Python, whatever its file is called."""
        for code in (os.path.join.__code__, runpy.run_path.__code__, codecs.IncrementalDecoder.__init__.__code__):
            self.assertTrue(is_of_standard_library(code.co_filename), code)
            self.assertFalse(is_of_program(code.co_filename), code)
        self.assertTrue(is_of_library("<frozen runpy>"))
        for filename in (__file__, "<frozen.py>", "<stdin>"):
            self.assertFalse(is_of_library(filename))


class CarriersTest(unittest.TestCase):
    def test_who_carries(self):
        """Modules of asyncio and the like pass calls on; a program's do not; and not all answers are kept for ever."""
        for number in range(1100):
            self.assertEqual((carries("asyncio.tasks"), carries(f"program{number}.asyncio")), (True, False))
        self.assertLess(len(CARRIED), 1100)
