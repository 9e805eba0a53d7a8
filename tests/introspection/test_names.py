"""What a thing is called: a repr without addresses, a list in words, and the program's own name for it."""

import asyncio
import contextvars
import functools
import os
import sys
import types
import unittest
from unittest import mock

from solipsism_unittest.introspection.names import UNDER_PYTEST, command, known_as, listed, name_of, plain


class PlainTest(unittest.TestCase):
    def test_addresses_are_left_out(self):
        """No memory address is left in a repr, wherever it stands."""
        for thing in (object(), print, lambda: None, [object()], asyncio.Event(), self.test_addresses_are_left_out):
            self.assertNotRegex(plain(thing), "0x")
        self.assertEqual(plain([mock.MagicMock(), mock.Mock(name="client").get]),
                         "[<MagicMock>, <Mock name='client.get'>]")

    def test_a_repr_that_raises_and_one_without_end(self):
        """A repr that raises is reported, and a long one is cut at 200 characters."""

        class Broken:
            def __repr__(self):
                raise ZeroDivisionError

        self.assertRegex(plain(Broken()), "^<.*Broken, whose repr raises ZeroDivisionError>$")
        self.assertEqual(plain("x" * 198), repr("x" * 198))
        self.assertEqual(plain("x" * 199), "'" + "x" * 199 + "... (201 characters)")


class CommandTest(unittest.TestCase):
    def setUp(self):
        self.enterContext(mock.patch.dict(os.environ))
        os.environ.pop(UNDER_PYTEST, None)
        os.environ.pop("PYTHONPATH", None)

    def imported(self, name, *steps):
        """Let this module have been imported from a file with this path, from the working directory on."""
        module = types.ModuleType(name)
        module.__file__ = os.path.join(os.getcwd(), *steps)
        self.enterContext(mock.patch.dict(sys.modules, {name: module}))

    def test_what_python_finds(self):
        """A module that was imported from the working directory, from a library, and one that nobody knows."""
        self.imported("suite.it", "suite", "it.py")
        self.imported("suite", "suite", "__init__.py")
        self.imported("library", "lib", "site-packages", "library.py")
        for test in ("suite.it.Test.test", "suite.it.Test", "suite.it", "suite", "library.Test.test",
                     "nowhere.Test.test", __name__ + ".Test.test"):
            self.assertEqual(command(test), f"python -m unittest {test}")

    def test_folders(self):
        """A folder that Python does not look into is named, unless PYTHONPATH has it; one with a space is quoted."""
        self.imported("test_it", "tests", "test_it.py")
        self.imported("package", "more tests", "package", "__init__.py")
        self.assertEqual(command("test_it.Test.test"), "PYTHONPATH=tests python -m unittest test_it.Test.test")
        self.assertEqual(command("package.Test"), "PYTHONPATH='more tests' python -m unittest package.Test")
        os.environ["PYTHONPATH"] = "src"
        self.assertEqual(command("test_it"), f"PYTHONPATH=tests{os.pathsep}src python -m unittest test_it")
        for known in "tests", os.path.join(os.getcwd(), "tests"):
            os.environ["PYTHONPATH"] = f"src{os.pathsep}{known}"
            self.assertEqual(command("test_it"), "python -m unittest test_it")

    def test_pytest(self):
        """Under pytest it is one of pytest's, with the path of the file."""
        self.imported("test_it", "more tests", "test_it.py")
        os.environ[UNDER_PYTEST] = "tests/test_it.py::Test::test (call)"
        self.assertEqual(command("test_it.Test.test").replace(os.sep, "/"),
                         "python -m pytest 'more tests/test_it.py'::Test::test")
        self.assertEqual(command("test_it").replace(os.sep, "/"), "python -m pytest 'more tests/test_it.py'")
        self.assertEqual(command("nowhere.Test.test"), "python -m unittest nowhere.Test.test")


class ListedTest(unittest.TestCase):
    def test_the_first_of_many(self):
        """Five things are named, and the others counted."""
        self.assertEqual(listed([]), "")
        self.assertEqual(listed(list("abcde")), "a, b, c, d, e")
        self.assertEqual(listed(list("abcdefg")), "a, b, c, d, e and 2 more")


def frame_with(kept):
    """A frame that has this in one variable."""
    return sys._getframe()


class Holder:
    """An object with one attribute."""

    def __init__(self, inside):
        self.inside = inside


class KnownAsTest(unittest.TestCase):
    def test_names_in_the_innermost_code(self):
        """A thing has the name of its variable, or of what in a variable has it; else it has none."""
        thing = object()
        for kept, name in ((thing, "kept"), ([None, thing], "kept[1]"), ({"it": thing}, "kept['it']"),
                           (Holder(thing), "kept.inside"), ([], "")):
            with self.subTest(name):
                self.assertEqual(known_as(thing, [frame_with(kept)]), name)

    def test_a_global_that_the_code_names(self):
        """A thing has the name of a global, where the code uses that name."""

        def uses():
            return Holder, sys._getframe()

        self.assertEqual(known_as(Holder, [uses()[1]]), "Holder")


class NameOfTest(unittest.TestCase):
    def test_names_of_functions(self):
        """A function has its qualified name, a partial that of what it calls, and any other callable its type's."""
        self.assertEqual(name_of(print), "print")
        self.assertEqual(name_of(functools.partial(print, 1)), "functools.partial(print)")
        self.assertEqual(name_of(functools.partial(contextvars.copy_context().run, print, 1)), "print")
        self.assertEqual(name_of(NameOfTest()), "NameOfTest")
