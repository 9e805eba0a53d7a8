"""Whether a program that does not stop running goes round in a circle.

Owns the look at some turns of a loop: who ran how often, and whether the state of all that runs came back. The rule:
code is deterministic. When everything that the running callbacks can reach is exactly as it was some turns before, and
neither time nor the world has changed, they will go round for ever. What they can reach is found by the garbage
collector's references: the frames of the tasks with their instruction, their variables, what those hold, and the
globals that the code names.

Some things cannot be looked into (a file, an iterator in C, a foreign type), and some are too many. Then only the
number of turns counts. So the answer "it spins" may come late, and never wrongly.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextvars import Context, ContextVar
from dis import get_instructions
from functools import partial
from gc import get_referents
from operator import length_hint
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CellType,
    ClassMethodDescriptorType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    TracebackType,
    WrapperDescriptorType,
)
from typing import Any
from weakref import ReferenceType

from ..introspection.handles import who
from ..introspection.modules import globals_of, is_ours, is_plumbing
from ..introspection.tasks import frame_of
from ..pythons import WALKED_UNSEEN
from ..stdlib.clocks.wall import is_real_clock
from ..stdlib.seal.stand_ins import MixedSet, OrderedSet

REACHED = 3_000  # objects that a walk visits at most

_VALUES = (bool, int, float, complex, str, bytes, range, type(None), type(Ellipsis), type(NotImplemented), CodeType)
_CONTAINERS: tuple[Any, ...] = (
    tuple, list, dict, set, frozenset, deque, defaultdict, OrderedDict, Counter, CellType, MethodType, MappingProxyType,
    partial, OrderedSet, MixedSet, type({}.keys()), type({}.values()), type({}.items()),
)
# What has no state of its own, or none that decides how a program goes on.
_OPAQUE = (ContextVar, ReferenceType, property, classmethod, staticmethod, GetSetDescriptorType, MemberDescriptorType,
           WrapperDescriptorType, MethodDescriptorType, MethodWrapperType, ClassMethodDescriptorType, ModuleType,
           type(threading.Lock()), type(threading.RLock()))
_EMPTY: tuple[Iterable[object], ...] = ((), [], {}, {}.values(), {}.items(), set(), "", b"", range(1))
_ITERATORS = tuple(type(iter(each)) for each in _EMPTY)
_SUSPENDED = (CoroutineType, GeneratorType, AsyncGeneratorType)
# A program waits with objects of these modules of asyncio; the others are the loop's own.
_WAITED_WITH = frozenset({"asyncio.locks", "asyncio.queues", "asyncio.futures", "asyncio.tasks", "asyncio.taskgroups",
                          "asyncio.timeouts", "asyncio.streams"})
# Functions of C in these modules have no state of their own.
_PURE = frozenset({"builtins", "math", "cmath", "operator", "_operator", "_asyncio", "_heapq", "_bisect", "_functools"})


# Between a load and the attribute that is taken of it
_NO_STEPS = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PUSH_NULL", "PRECALL"})


class _CannotTellError(Exception):
    """Something whose state cannot be seen was reached."""


class Look:
    """A look at some turns of a loop. This one sees nothing."""

    recurs = False  # whether everything was exactly as before

    def turn(self) -> None:
        """A turn of the loop begins."""


class SpinLook(Look):
    """A look at some turns: `handles()` gives what is about to run in this one."""

    def __init__(self, handles: Callable[[], Sequence[asyncio.Handle]]) -> None:
        self._handles = handles
        self._first: list[object] | None = None
        self._sees = True  # whether every state so far could be seen
        self.turns = 0
        self.ran: Counter[Hashable] = Counter()
        self.samples: dict[Hashable, asyncio.Handle] = {}

    def turn(self) -> None:
        """Count what is about to run, and compare the state with that of the first turn."""
        handles = self._handles()
        self.turns += 1
        for handle in handles:
            if handle.cancelled():
                continue
            key = who(handle)
            self.ran[key] += 1
            self.samples.setdefault(key, handle)
        if self._sees and not self.recurs:
            try:
                now = state(handles)
            except _CannotTellError:
                self._sees = False
                return
            if self._first is None:
                self._first = now
            elif now == self._first:
                self.recurs = True

    def most(self) -> list[tuple[asyncio.Handle, int]]:
        """A handle of each task or function that ran, and how often, the busiest first."""
        return [(self.samples[key], count) for key, count in self.ran.most_common()]


def state(handles: Iterable[asyncio.Handle]) -> list[object]:
    """The state of everything that some handles can reach: two states that are the same are equal.

    Objects are numbered as they are reached: a new object in the place of an old one like it makes the same state.
    _CannotTellError where something has a state that cannot be seen.
    """
    walk = _Walk()
    for handle in handles:
        walk.reach([handle._callback, handle._args])  # type: ignore[attr-defined]
    return walk.words


class _Walk:
    """A walk through everything that can be reached, the nearest first."""

    def __init__(self) -> None:
        self.words: list[object] = []
        self._numbers: dict[int, int] = {}
        self._kept: list[object] = []  # so that no id() is given twice
        self._names: set[str] = set()  # in the code that was met
        self._classes: list[type] = []
        self._todo: deque[object] = deque()

    def reach(self, things: Iterable[object]) -> None:
        self._todo += things
        while self._todo:
            self._step(self._todo.popleft())
            if not self._todo:
                # Methods come last, and only those that some code names: they bring globals of their own.
                self._todo += [value for each in self._classes for name, value in vars(each).items()
                               if name in self._names and type(value) is FunctionType
                               and id(value) not in self._numbers]

    def _step(self, thing: object) -> None:
        kind = type(thing)
        if kind in _VALUES:
            self.words.append((kind, repr(thing) if kind in (float, complex) else thing))
            return
        number = self._numbers.get(id(thing))
        if number is not None:
            self.words.append(number)
            return
        if len(self._numbers) >= REACHED:
            raise _CannotTellError
        self._numbers[id(thing)] = len(self._numbers)
        self._kept.append(thing)
        inside = self._inside(thing, kind)
        if len(self.words) + len(inside) > 10 * REACHED:
            raise _CannotTellError
        self.words += [kind, len(inside)]
        self._todo += inside

    def _inside(self, thing: Any, kind: type) -> list[object]:
        if kind in _SUSPENDED:
            frame = frame_of(thing)
            if frame is None:
                return []
            if WALKED_UNSEEN and _walks_unseen(thing, frame):
                raise _CannotTellError
            referents = [each for each in get_referents(thing) if type(each) is not FrameType]
            return [frame.f_lasti, *referents, *self._named(frame.f_code, frame.f_globals)]
        if kind is FunctionType and hasattr(thing, "__wrapped__") and is_ours(thing.__globals__["__name__"]):
            if is_real_clock(thing):
                raise _CannotTellError
            return []  # a stand-in: it answers from the world, whose effects are counted
        if kind is FunctionType:
            return [thing.__code__, thing.__defaults__, thing.__kwdefaults__, thing.__closure__,
                    *self._named(thing.__code__, thing.__globals__)]
        if kind is BuiltinFunctionType:
            return _of_a_builtin(thing)
        if kind in _ITERATORS:
            return [length_hint(thing), *get_referents(thing)]
        if kind in _CONTAINERS or issubclass(kind, asyncio.Future):
            return list(get_referents(thing))
        if issubclass(kind, BaseException):
            return _of_an_error(thing, kind)
        if kind is TracebackType:
            # Of a frame that has ended its variables; a suspended one is its coroutine's.
            variables = [each for each in get_referents(thing.tb_frame) if type(each) is not FrameType]
            return [thing.tb_lasti, thing.tb_next, *variables]
        if kind is bytearray:
            return [bytes(thing)]
        if kind is Context:
            return list(thing.values())
        if kind in _OPAQUE or any(thing is stream for stream in (sys.stdin, sys.stdout, sys.stderr)):
            return []
        if isinstance(thing, type):
            return self._of_a_class(thing)
        return _of_an_instance(thing, kind)

    def _of_a_class(self, thing: type) -> list[object]:
        if _is_of_others(thing):
            return []
        self._classes.append(thing)
        return [*thing.__mro__, *(value for name, value in vars(thing).items()
                                  if not callable(value) and not name.startswith("_abc_"))]

    def _named(self, code: CodeType, namespace: dict[str, Any]) -> list[object]:
        """The globals that some code names, and what it may take from the modules among them."""
        if is_plumbing(namespace.get("__name__", "")):
            return []
        self._names.update(code.co_names)
        found = []
        for name, attribute in _loads(code):
            thing = namespace.get(name)
            if isinstance(thing, ModuleType):
                inside = globals_of(thing)
                wanted = (attribute,) if attribute else code.co_names
                found += [inside[each] for each in wanted if each in inside]
            else:
                found.append(thing)
        return found


@functools.lru_cache(4096)
def _loads(code: CodeType) -> tuple[tuple[str, str], ...]:
    """Each global that some code loads, and the attribute that it takes of it at once, or "".

    `time()` of a loop, where the code's module has imported module `time`, is not that module's.
    """
    steps = [step for step in get_instructions(code) if step.opname not in _NO_STEPS]
    found = {(step.argval, following.argval if following.opname in ("LOAD_ATTR", "LOAD_METHOD") else ""): None
             for step, following in itertools.pairwise(steps) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return tuple(found)


def _walks_unseen(thing: Any, frame: FrameType) -> bool:
    """Whether a suspended frame is in the middle of a `for` or `yield from` whose place in a sequence nobody can see.

    The sequence is on the frame's stack then, beside what is in its variables.
    """
    code = frame.f_code
    named = [value for name, value in frame.f_locals.items() if name in code.co_varnames
             and name not in code.co_cellvars]
    named += [thing.__name__, thing.__qualname__, getattr(thing, "cr_origin", None)]
    held = Counter(id(each) for each in get_referents(thing) if type(each) in WALKED_UNSEEN)
    held.subtract(id(each) for each in named)
    if not any(count > 0 for count in held.values()):
        return False
    return type(getattr(thing, "gi_yieldfrom", None)) in WALKED_UNSEEN or any(
        step.offset < frame.f_lasti < step.argval for step in get_instructions(code) if step.opname == "FOR_ITER")


def _of_a_builtin(function: Any) -> list[object]:
    owner = function.__self__
    if not isinstance(owner, ModuleType):
        return [function.__name__, owner]
    if owner.__name__ not in _PURE:
        raise _CannotTellError
    return [function.__name__]


def _of_an_error(error: BaseException, kind: type) -> list[object]:
    """What an error has; a task that is suspended in an `except` holds one."""
    if issubclass(kind, UnicodeError) or any(_is_of_c(base) for base in kind.__mro__ if base.__module__ != "builtins"):
        raise _CannotTellError  # it may have numbers that nobody sees
    return list(get_referents(error))


def _of_an_instance(thing: Any, kind: type) -> list[object]:
    if kind.__name__ == "TaskStepMethWrapper":
        return [thing.__self__]
    if kind.__name__ == "FutureIter" or kind.__module__ in _WAITED_WITH:
        return list(get_referents(thing))
    if is_plumbing(kind.__module__):
        return []
    if any(_is_of_c(base) for base in kind.__mro__):
        raise _CannotTellError
    return list(get_referents(thing))


def _is_of_others(kind: type) -> bool:
    return kind is object or is_plumbing(kind.__module__) or _is_of_c(kind)


def _is_of_c(kind: type) -> bool:
    """Whether objects of a type may have a state that Python does not see."""
    if kind is object or kind in _CONTAINERS or kind in _VALUES:
        return False
    file = globals_of(sys.modules.get(kind.__module__)).get("__file__")
    return kind.__module__ != "__main__" and not str(file).endswith(".py")
