"""C functions that a module bound at its top, before any test ran."""

import importlib.machinery
import importlib.util
import pathlib
import sys
import tempfile
import time
import types
import unittest
import unittest.mock

from solipsism_unittest import SolipsistEventLoop, sealed
from solipsism_unittest.stdlib.seal.modules.early_names import Bindings

MONOTONIC = time.monotonic


class BindingsTest(unittest.TestCase):
    def module(self, source="from time import monotonic", name="some_library", kind=types.ModuleType):
        """A module that is loaded for the time of the test."""
        module = kind(name)
        exec(source, vars(module))
        # Not patch.dict: it would bring back what else was there, and tests put strange things there meanwhile.
        if name in sys.modules:
            self.addCleanup(sys.modules.__setitem__, name, sys.modules[name])
        else:
            self.addCleanup(sys.modules.pop, name, None)
        sys.modules[name] = module
        return module

    def world(self, start=5.0):
        """A sealed thread at that time, until the end of the test."""
        loop = SolipsistEventLoop(start)
        self.addCleanup(loop.close)
        return sealed(loop)

    def test_inside_and_outside(self):
        """The name gives virtual time in a sealed thread, and is the function itself before and after."""
        module = self.module()
        for start in (5.0, 7.0):
            with self.world(start):
                self.assertEqual(module.monotonic(), start)
            self.assertIs(module.monotonic, MONOTONIC)

    def test_in_functions_of_the_module(self):
        """The module's own functions see it, and those that took it as a default argument too."""
        module = self.module("from time import monotonic\n"
                             "def now(): return monotonic()\n"
                             "def later(clock=monotonic): return clock")
        with self.world():
            self.assertEqual(module.now(), 5.0)
            self.assertEqual(module.later()(), 5.0)

    def test_under_another_name(self):
        """Under another name it is the real one."""
        module = self.module("from time import monotonic as real")
        with self.world():
            self.assertIs(module.real, MONOTONIC)

    def test_something_else_by_that_name(self):
        """What only has the same name is left alone, a module's own function or another module's."""
        module = self.module("from queue import Empty as stat\ndef monotonic(): return 'mine'")
        with self.world():
            self.assertEqual(module.monotonic(), "mine")

    def test_the_standard_library(self):
        """The standard library keeps what it bound, but for the script that is run: that is the user's."""
        library, script = self.module(name="queue"), self.module(name="__main__")
        with self.world():
            self.assertIs(library.monotonic, MONOTONIC)
            self.assertEqual(script.monotonic(), 5.0)

    def test_bound_anew_meanwhile(self):
        """What is bound anew inside stays, inside and outside."""
        module = self.module()
        with self.world():
            module.monotonic = print
        with self.world():
            self.assertIs(module.monotonic, print)
        self.assertIs(module.monotonic, print)

    def test_a_module_that_loads_itself(self):
        """Looking for names does not load a module that waits for its first use, nor trip over what is no module."""
        class Lazy(types.ModuleType):
            def __getattribute__(self, name):
                raise AssertionError(f"asked for {name}")

        with unittest.mock.patch.dict(sys.modules, {"lazy_library": Lazy("lazy_library"), "no_module": None}):
            bindings = Bindings([(time, "monotonic")])
            bindings.arm()
            bindings.disarm()

    def test_what_is_no_module(self):
        """Whatever stands in sys.modules, under whatever key, is left alone, and modules after it are served."""
        class Liar:
            """As `lib` of cffi: it says that it is a module and has no globals."""

            __slots__ = ()
            __class__ = property(lambda self: types.ModuleType)

        class Raising:
            def __getattribute__(self, name):
                raise ZeroDivisionError(name)

        class Proxy:
            __dict__ = property(lambda self: 1 / 0)
            __class__ = property(lambda self: types.ModuleType)

        class Hidden(types.ModuleType):
            __dict__ = property(lambda self: 1 / 0)

        class Unequal(types.ModuleType):
            __eq__ = __hash__ = None

        strange = {"liar": Liar(), "raising": Raising(), "proxy": Proxy(), "hidden": Hidden("hidden"), "none": None,
                   "unequal": Unequal("unequal"), 5: types.ModuleType("five"), ("a", "b"): types.ModuleType("pair")}
        for kind in (types.ModuleType, Hidden):
            with self.subTest(kind), unittest.mock.patch.dict(sys.modules, strange):
                names = types.ModuleType.__dict__["__dict__"].__get__(self.module("", kind=types.ModuleType))
                exec("from time import monotonic", names)
                for start in (5.0, 7.0):
                    with self.world(start):
                        self.assertEqual(names["monotonic"](), start)

    def test_while_another_thread_imports(self):
        """A module that appears while the list of modules is read is looked at the next time."""
        class Changing(dict):
            def values(self):
                raise RuntimeError("dictionary changed size during iteration")

        module = self.module()
        with unittest.mock.patch.object(sys, "modules", Changing(sys.modules)):
            bindings = Bindings([(time, "monotonic")])
            bindings.arm()
            bindings.disarm()
        self.assertIs(module.monotonic, MONOTONIC)

    def test_a_module_that_is_loaded_later(self):
        """One that was looked at before it had all its names is looked at again: a lazy or a half imported one."""
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "late_library.py").write_text("from time import monotonic\n", encoding="utf-8")
            spec = importlib.machinery.PathFinder.find_spec("late_library", [folder])
            spec.loader = importlib.util.LazyLoader(spec.loader)
            late = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(late)
            half = types.ModuleType("half")
            half.__spec__ = importlib.machinery.ModuleSpec("half", None)
            half.__spec__._initializing = True
            with unittest.mock.patch.dict(sys.modules, {"late_library": late, "half": half}):
                with self.world():
                    pass
                self.assertIsNotNone(late.monotonic)
                half.monotonic, half.__spec__._initializing = MONOTONIC, False
                with self.world():
                    self.assertEqual((late.monotonic(), half.monotonic()), (5.0, 5.0))
                self.assertEqual((late.monotonic, half.monotonic), (MONOTONIC, MONOTONIC))

    def test_only_c_functions(self):
        """A class, a Python function and a name that is not there are not looked for."""
        module = self.module("from unittest.mock import patch, Mock\nabsent = None")
        bindings = Bindings([(unittest.mock, "patch"), (unittest.mock, "Mock"), (unittest.mock, "absent")])
        with unittest.mock.patch.object(unittest.mock, "Mock", None):
            bindings.arm()
            self.assertIsNot(module.Mock, None)
        bindings.disarm()
