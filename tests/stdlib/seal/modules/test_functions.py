"""What functions, and things like them, keep: each part is replaced there, or followed."""

import functools
import time
import types
import unittest

from solipsism_unittest.stdlib.seal.modules import functions


def old():
    """What was kept."""


def new():
    """What stands for it."""


def instead(thing):
    return new if thing is old else thing


def takes(kept=old, *, named=old):
    return kept, named


def fresh():
    """The same function, and nobody has replaced anything in it."""
    function = types.FunctionType(takes.__code__, globals(), "takes", (old,))
    function.__kwdefaults__ = {"named": old}
    return function


class FunctionsTest(unittest.TestCase):
    def parts(self, thing):
        self.assertTrue(functions.is_kind(thing))
        return list(functions.served(thing, instead))

    def test_functions(self):
        """Default arguments, and what it wraps."""
        function = fresh()
        self.assertEqual((self.parts(function), function()), ([new, new], (new, new)))
        self.assertEqual(self.parts(functools.wraps(function)(lambda: None)), [function])

    def test_partial_ones(self):
        """What is called, and the arguments; the same of methods."""
        for kind in (functools.partial, functools.partialmethod):
            partial = kind(old, old, 5, named=old)
            self.assertEqual(self.parts(partial), [new, new, 5, new])
            self.assertEqual((partial.func, partial.args, partial.keywords), (new, (new, 5), {"named": new}))

    def test_wrappers(self):
        """The function in each of them."""
        function = fresh()
        for wrap in (staticmethod, classmethod, functools.cached_property, functools.singledispatchmethod,
                     functools.lru_cache, functools.cache):
            self.assertEqual(self.parts(wrap(function)), [function], wrap)
        self.assertEqual(self.parts(property(function)), [function, None, None])
        bare = functools.lru_cache(function)
        del bare.__wrapped__
        self.assertEqual(self.parts(bare), [])

    def test_other_things(self):
        """They keep nothing; our own functions keep what they stand for."""
        self.assertFalse(functions.is_kind(time.sleep))
        self.assertEqual(list(functions.served(time.sleep, instead)), [])
        ours = types.FunctionType(takes.__code__, vars(functions), "ours", (old,))
        self.assertEqual((self.parts(ours), ours.__defaults__), ([], (old,)))


if __name__ == "__main__":
    unittest.main()
