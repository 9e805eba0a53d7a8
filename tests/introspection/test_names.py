"""What a thing is called: a repr without addresses, a list in words, and the program's own name for it."""

import asyncio
import contextvars
import functools
import sys
import unittest
from unittest import mock

from solipsism_unittest.introspection.names import known_as, listed, name_of, plain


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
