"""Clocks and locks that a program's module keeps as default arguments, in closures and in classes."""

import datetime
import operator
import sys
import time
import types
import unittest

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase, sealed

SOURCE = """
import abc, contextlib, dataclasses, functools, queue, threading, time

def positional(nothing=None, clock=time.monotonic):
    return clock()

def by_keyword(*, clock=time.monotonic, nap=time.sleep):
    nap(5)
    return clock()

@contextlib.contextmanager
def wrapped(clock=time.monotonic):
    yield clock()

def enclosing(clock):
    def recursive(turns):
        return recursive(turns - 1) if turns else clock()
    def unbound():
        return later
    if not clock:
        later = 1
    return recursive, unbound

enclosed, unbound = enclosing(time.monotonic)

class Plain:
    clock = time.monotonic
    wrapped = staticmethod(time.monotonic)
    lock_type, queue_type, number = threading.Lock, queue.SimpleQueue, 5

    def method(self, nap=time.sleep):
        nap(3)
        return self.clock(), self.wrapped()

class Abstract(abc.ABC):
    wall = time.time

@dataclasses.dataclass
class Data:
    at: float = dataclasses.field(default_factory=time.monotonic)
    wall: float = dataclasses.field(default_factory=time.time)
    lock: object = dataclasses.field(default_factory=threading.Lock)

real = time.monotonic
"""

MORE = """
import dataclasses, functools, time, typing

class Outer:
    class Inner:
        clock = time.monotonic
        class Innermost:
            def method(self, clock=time.monotonic):
                return clock()
    outer: object = None

Outer.Inner.outer = Outer  # in a circle

def given(clock):
    return clock()

partial = functools.partial(time.monotonic)
by_keyword = functools.partial(given, clock=time.monotonic)
with_partial = lambda clock=functools.partial(time.monotonic): clock()

@functools.lru_cache
def cached(clock=time.monotonic):
    return clock()

@functools.singledispatch
def single(_=None, clock=time.monotonic):
    return clock()

class Methods:
    def __init__(self, clock=time.monotonic):
        self.clock = clock
    def given(self, clock):
        return clock()
    partial = functools.partialmethod(given, time.monotonic)
    own_property = property(lambda self, clock=time.monotonic: clock())
    @functools.cached_property
    def once(self, clock=time.monotonic):
        return clock()
    @functools.lru_cache
    def cached(self, clock=time.monotonic):
        return clock()

class Tuple(typing.NamedTuple):
    clock: object = time.monotonic

@dataclasses.dataclass(slots=True, kw_only=True)
class Slots:
    at: float = dataclasses.field(default_factory=functools.partial(time.monotonic))
    clock: object = time.monotonic

methods, table, line = Methods(), {"given": lambda clock=time.monotonic: clock()}, [by_keyword]
real, reals = [time.monotonic], {"clock": time.monotonic}

def all():
    return [Outer.Inner.clock(), Outer.Inner.Innermost().method(), partial(), by_keyword(), with_partial(), cached(),
            single(1), Methods().partial(), Methods().own_property, Methods().once, Methods().cached(), Tuple().clock(),
            Slots().at, Slots().clock(), methods.clock(), table["given"](), line[0]()]
"""

LOCKS = """
import threading

class Owner:
    of_class = threading.Lock()
    def __init__(self):
        self.lock = threading.RLock()
    def method(self, lock=threading.Lock()):
        return lock

def enclosing():
    lock = threading.Lock()
    return lambda: lock

one, owner, table, line, enclosed = threading.Lock(), Owner(), {"key": threading.Lock()}, [5, None], enclosing()
line[1:] = threading.Lock(), threading.RLock()

def all():
    line_of_locks = sorted((each for each in line if type(each) not in (int, str)), key=repr, reverse=True)
    return [one, owner.lock, *line_of_locks, *table.values(), Owner.of_class, owner.method(), enclosed()]
"""

ODD = """
import dataclasses, enum, time, typing

class Raises:
    def __eq__(self, other):
        raise RuntimeError("compared")
    __hash__ = __bool__ = __getattr__ = __eq__

class Meta(type):
    def __getattribute__(self, name):
        raise RuntimeError("asked")
    __setattr__ = __eq__ = __hash__ = __getattribute__

raises = Raises()

def function(one=raises, clock=time.monotonic, *, other=raises):
    return clock()

def without_a_module():
    pass

without_a_module.__module__ = raises

class WithoutAModule:
    __module__, __dataclass_fields__ = raises, None

class Fields:
    __dataclass_fields__ = {"one": raises}

class OfMeta(metaclass=Meta):
    clock = time.monotonic

class Colour(enum.Enum):
    RED = 1
    stays = enum.nonmember(time.monotonic)

    def method(self, clock=time.monotonic):
        return clock()

class Shape(typing.Protocol):
    def method(self): ...

class Circle(Shape):
    kept = time.monotonic

    def method(self, clock=time.monotonic):
        return clock()

@dataclasses.dataclass
class Base:
    clock: object = time.monotonic
"""


def module(name="some_program", file=None, source=SOURCE):
    """A module that is loaded until the end of the test."""
    made = sys.modules[name] = types.ModuleType(name)
    if file:
        made.__file__ = file
    exec(source, vars(made))
    return made


class DefaultsTest(unittest.TestCase):
    def setUp(self):
        self.addCleanup(sys.modules.pop, "some_program", None)

    def world(self, start=10.0):
        loop = SolipsistEventLoop(start)
        self.addCleanup(loop.close)
        return sealed(loop)

    def test_functions(self):
        """Default arguments and what is in a closure give virtual time inside, and real time outside, ever after."""
        program = module()
        for _ in range(2):
            with self.world():
                self.assertEqual((program.positional(), program.by_keyword()), (10.0, 15.0))
                with program.wrapped() as now:
                    self.assertEqual(now, 15.0)
                self.assertEqual(program.enclosed(3), 15.0)
                self.assertRaises(NameError, program.unbound)
                self.assertIs(program.real, MONOTONIC)
            before = MONOTONIC()
            self.assertTrue(before <= program.positional() <= program.enclosed(1) <= MONOTONIC())

    def test_classes(self):
        """So do attributes of classes, which are no methods, and the defaults of their methods."""
        program = module()
        with self.world():
            self.assertEqual(program.Plain().method(), (13.0, 13.0))
            self.assertEqual(type(program.Plain.lock_type()).__name__, "VirtualLock")
            self.assertEqual(type(program.Plain().queue_type()).__name__, "VirtualSimpleQueue")
        before = MONOTONIC()
        self.assertTrue(before <= program.Plain().clock() <= MONOTONIC())
        self.assertNotEqual(type(program.Plain.lock_type()).__name__, "VirtualLock")

    def test_more_kinds(self):
        """Classes in classes, partial and cached functions, properties, named tuples and objects too.

        A global list or dict keeps the real ones.
        """
        program = module(source=MORE)
        with self.world():
            self.assertEqual(program.all(), [10.0] * 17)
            self.assertIs(program.real[0], MONOTONIC)
            self.assertIs(program.reals["clock"], MONOTONIC)
        program.cached.cache_clear()
        before = MONOTONIC()
        for when in program.all():
            self.assertTrue(before <= when <= MONOTONIC())

    def test_dataclasses(self):
        """A field's factory as well."""
        program = module()
        with self.world():
            data = program.Data()
            self.assertEqual((data.at, type(data.lock).__name__), (10.0, "VirtualLock"))
            self.assertEqual(vars(program.Data)["__dataclass_fields__"]["at"].default_factory(), 10.0)
            self.assertAlmostEqual(data.wall, time.time(), delta=60)

    def test_the_default_of_a_field(self):
        """A dataclass that another module makes in the test from one of these takes over its default."""
        program = module(source=ODD)
        with self.world():
            other = module("another_program", source="from some_program import *\n"
                                                     "@dataclasses.dataclass\nclass Sub(Base): more: int = 1")
            self.addCleanup(sys.modules.pop, "another_program")
            self.assertEqual((program.Base().clock(), other.Sub().clock()), (10.0, 10.0))

    def test_metaclasses(self):
        """Methods of enums and of what implements a protocol too; where a metaclass sets attributes, none is set."""
        program = module(source=ODD)
        with self.world():
            self.assertEqual((program.Colour.RED.method(), program.Circle().method()), (10.0, 10.0))
            self.assertEqual(program.Circle.kept(), 10.0)
            self.assertIs(program.Colour.stays, MONOTONIC)

    def test_locks_that_are_back(self):
        """After the test modules, dicts, lists and objects have their own locks again, wherever a list has them then.

        Classes, functions and closures keep what stands for them, over the same lock.
        """
        program = module(source=LOCKS)
        before = program.all()
        with self.world():
            self.assertTrue(all(map(operator.is_not, program.all(), before)))
            program.line.insert(0, program.line.pop())
            program.line.append("more")
        after = program.all()
        self.assertTrue(all(map(operator.is_, after[:5], before[:5])), after)
        self.assertEqual([lock._real for lock in after[5:]], before[5:])
        self.assertEqual(program.line[-1], "more")
        with self.world():
            self.assertTrue(all(map(operator.is_not, program.all(), before)))
            program.line.clear()
        self.assertEqual(program.line, [])

    def test_odd_objects(self):
        """What raises when it is compared, or has no name of a module or no fields, disturbs nobody."""
        program = module(source=ODD)
        with self.world():
            self.assertEqual(program.function(), 10.0)
            self.assertIs(type.__getattribute__(program.OfMeta, "clock"), MONOTONIC)

    def test_a_library(self):
        """What a library keeps is its own; so is what was imported from another module."""
        library = module(file=unittest.__file__)
        other = module("another_program", source="from some_program import positional, Plain\nimport time")
        self.addCleanup(sys.modules.pop, "another_program")
        with self.world():
            for function in (library.positional, other.positional, other.Plain.clock):
                self.assertGreater(function(), MONOTONIC() - 60)


class WallClockTest(SolipsistTestCase):
    wall_start = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)

    @classmethod
    def setUpClass(cls):
        cls.program = module("program_of_the_wall")
        cls.addClassCleanup(sys.modules.pop, "program_of_the_wall")

    def test_factories(self):
        """A clock on the wall that a test has set is the one of factories and attributes of classes."""
        time.sleep(1)
        self.assertEqual((self.program.Data().wall, self.program.Abstract.wall()), (946_684_801.0,) * 2)


MONOTONIC = time.monotonic

if __name__ == "__main__":
    unittest.main()
