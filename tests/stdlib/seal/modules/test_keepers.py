"""Who has kept a method of a class has what it leads to, wherever it stands."""

import functools
import types
import unittest

from solipsism_unittest.stdlib.seal.modules.keepers import Keepers


def old():
    """A method that was kept."""


def new():
    """What it leads to."""


def enclosed(kept):
    def function():
        return kept
    return function


def with_defaults(one, kept=old, *, named=old):
    return kept, named


def plain():
    return None


class Unbound:
    """A function whose closure has nothing in it."""

    def make(self):
        if self is None:
            later = old
        return lambda: later


class KeepersTest(unittest.TestCase):
    def setUp(self):
        self.keepers = Keepers({old: new})

    def serve(self, **names):
        """The globals of a module `program`, served."""
        self.keepers.serve(names, "program")
        return types.SimpleNamespace(**names)

    def test_globals(self):
        """A global is replaced; other functions, words and numbers are left alone."""
        found = self.serve(a=old, b=plain, c="old", d=5, e=None)
        self.assertEqual((found.a, found.b, found.c, found.d, found.e), (new, plain, "old", 5, None))

    def test_classes_of_the_module(self):
        """Attributes are, and static and class methods; another module's class is left alone."""
        def body():
            return {"kept": old, "inner": staticmethod(enclosed(old)), "of_class": classmethod(enclosed(old))}

        own = type("Own", (), {**body(), "__module__": "program"})
        other = type("Other", (), {**body(), "__module__": "elsewhere"})
        self.serve(own=own, other=other)
        self.assertEqual((own.kept, own.inner()), (new, new))
        self.assertIs(vars(own)["of_class"].__func__(), new)
        self.assertEqual((other.kept, other.inner()), (old, old))

    def test_functions(self):
        """Defaults and closures are, and those of functions that stand in a closure."""
        function = types.FunctionType(with_defaults.__code__, {}, "function", (old,))
        function.__kwdefaults__ = {"named": old}
        deep = functools.wraps(plain)(enclosed(enclosed(enclosed(old))))
        unbound = Unbound().make()
        self.serve(function=function, deep=deep, unbound=unbound, around=enclosed(function), plain=enclosed(5))
        self.assertEqual(function(1), (new, new))
        self.assertIs(deep()()(), new)
        self.assertRaises(NameError, unbound)

    def test_partials(self):
        """What it calls, and its arguments; what else it has stays."""
        partial = functools.partial(plain, old, key=1)
        partial.note = "mine"
        whole = functools.partial(old, 1)
        self.serve(partial=partial, whole=whole, inner=functools.partial(enclosed(old)))
        self.assertEqual((partial.func, partial.args, partial.keywords), (plain, (new,), {"key": 1}))
        self.assertEqual(partial.note, "mine")
        self.assertEqual((whole.func, whole.args), (new, (1,)))

    def test_things(self):
        """Values of a small dict or list, attributes of an object of the module's own; large ones are data."""
        kind = type("Kind", (), {"__module__": "program"})
        below = type("Below", (kind,), {"__module__": "program"})
        foreign = type("Foreign", (), {"__module__": "elsewhere"})
        slotted = type("Slotted", (), {"__module__": "program", "__slots__": ("kept",)})
        objects = [cls() for cls in (kind, below, foreign, slotted)]
        for thing in objects:
            thing.kept = old
        found = self.serve(d={"a": old, "b": enclosed(old)}, l=[old, 1], many=[old] * 101, t=(old,), empty={},
                           **{f"thing{number}": thing for number, thing in enumerate(objects)})
        self.assertEqual((found.d["a"], found.d["b"](), found.l), (new, new, [new, 1]))
        self.assertEqual((found.many[0], found.t[0], found.empty), (old, old, {}))
        self.assertEqual([thing.kept for thing in objects], [new, new, old, old])

    def test_strange_ones(self):
        """Objects that raise, or have another idea of their attributes, disturb nobody."""
        def raising(*args):
            raise SystemExit

        raiser = type("Raiser", (), {"__module__": "program", "__getattribute__": raising, "__eq__": raising,
                                     "__hash__": raising, "__len__": raising, "__bool__": raising})
        own_idea = type("OwnIdea", (), {"__module__": "program", "__dict__": property(raising)})
        self.serve(raiser=raiser(), own_idea=own_idea())

    def test_a_circle(self):
        """Functions that have each other are looked through once; our own, which call what they stand for, never."""
        def one():
            return other

        def other():
            return one, old

        stands_for = enclosed(old)
        keepers = Keepers({old: stands_for})
        keepers.serve({"one": one, "door": stands_for}, "program")
        self.assertIs(stands_for(), old)
        self.keepers.look_into(one)
        self.assertIs(other()[1], old)  # a global of this module, which was not served
