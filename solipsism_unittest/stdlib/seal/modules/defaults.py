"""Clocks and locks that a program keeps: `def now(clock=time.monotonic)`, `field(default_factory=time.time)`.

Owns where these are looked for, in the modules of the program alone: default arguments and closures of functions and
methods, attributes of classes, factories of dataclasses; partial and cached functions, and whatever wraps one;
attributes of an object of the module's own classes. Who has one of the C functions there has its stand-in from now on,
and for good: it calls the real one where the thread is not sealed. A global under another name stays what it is, and so
does what a global list or dict has: who stops the clocks keeps the real ones there.

Locks and queues that were made before have stand-ins in all these places. In the globals of the module, in small dicts
and lists and in attributes of objects these come and go with the seal, under whatever name; in a Condition and in
handlers of `logging` too.
"""

from __future__ import annotations

import dataclasses
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from ....introspection.modules import is_of_library
from ..replacements import Shelf
from . import functions

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
_WRAPPERS = (staticmethod, classmethod)
_PLAIN = frozenset({bool, bytes, float, int, str, tuple, types.ModuleType, type(None)})  # most of what there is
_names_of = type.__dict__["__dict__"].__get__  # of a class, whatever its metaclass makes of a look at it


class Names(Protocol):
    """Where a name is looked up."""

    def get(self, name: str, /) -> Any:
        """What it holds; None for nothing."""

    def __setitem__(self, name: str, value: Any, /) -> None:
        """Let it hold this."""


class Binding(NamedTuple):
    """One name that holds a thing which has a stand-in while a thread is sealed."""

    names: Names  # the globals of a module, attributes of an object, a list
    name: str
    thing: Any
    home: dict[str, Any]  # where the stand-in is then, under the same name


class InList:
    """One thing that is in a list, or what stands for it there, under any name; the program may move both."""

    def __init__(self, things: list[Any], *either: Any) -> None:
        self._things = things
        self._either = frozenset(map(id, either))
        self._kept = either

    def get(self, name: str, /) -> Any:
        """Which of the two is there; None for neither."""
        return next((each for each in self._things if id(each) in self._either), None)

    def __setitem__(self, name: str, value: Any, /) -> None:
        """Put this in its place."""
        for number, each in enumerate(self._things):
            if id(each) in self._either:
                self._things[number] = value


class Defaults:
    """Gives those who keep one of some functions or classes its stand-in.

    `over(thing)` gives the stand-in over a lock or queue from before, and any other thing as it is.
    """

    def __init__(self, over: Callable[[Any], Any], *shelves: Shelf) -> None:
        self._over = over
        replacements = [one for shelf in shelves for one in shelf.replacements]
        self._wanted = [(vars(one.owner)[one.name], one) for one in replacements]
        self._leads_to: dict[Any, Any] = {}
        self._handlers: list[Any] = []  # weak references to those that were there at the last look, and what they keep
        self._of_handlers: list[Binding] = []
        self._owners = frozenset(word for one in replacements for word in (one.name, one.owner.__name__))

    def serve(self, names: dict[str, Any], module_name: str) -> Iterator[Binding]:
        """Look through the globals of a module, unless it is a library's or cannot have such a function.

        Yields the names that are to hold a stand-in as long as a thread is sealed.
        """
        if self._owners.isdisjoint(names) or is_of_library(str(names.get("__file__"))):
            return
        self._leads_to = self._leads_to or {real: one.made_from(real) for real, one in self._wanted}
        yield from self._locks_among(names)
        seen: set[int] = set()
        line = [value for value in list(names.values())
                if type(value) is not types.FunctionType or _is_name(value.__module__, module_name)]
        while line:
            value = line.pop()
            if type(value) in _PLAIN or id(value) in seen:
                continue
            if functions.is_kind(value):
                seen.add(id(value))
                line += functions.served(value, self._instead)
            elif issubclass(type(value), type) and _is_name(_names_of(value).get("__module__"), module_name):
                seen.add(id(value))
                line += self._parts_of_class(value)
            elif type(value) is threading.Condition:
                yield from self._locks_in_condition(vars(value))
            else:
                inside = functions.inside(value, module_name)
                if inside and len(inside) <= functions.MANY:
                    yield from self._locks_among(inside) if type(inside) is dict else self._locks_in_list(inside)
                instead = _itself if inside is value else self._clock_instead
                line += filter(_leads_on, functions.values_served(inside, instead))

    def handlers(self) -> list[Binding]:
        """The same for the locks and queues of handlers of module `logging`, if it is there."""
        handlers = getattr(sys.modules.get("logging"), "_handlerList", [])
        if handlers != self._handlers:  # this is asked each time a thread is sealed
            self._handlers = list(handlers)
            self._of_handlers = [binding for reference in self._handlers
                                 for binding in self._locks_among(getattr(reference(), "__dict__", {}))]
        return self._of_handlers

    def _locks_in_condition(self, names: dict[str, Any]) -> Iterator[Binding]:
        lock = self._over(names["_lock"])
        yield from self._locks_among(names)
        if "_is_owned" not in names:  # it would take the lock for a look, which counts as polling
            names["_is_owned"] = lock.locked

    def _locks_among(self, names: dict[str, Any]) -> Iterator[Binding]:
        for name, value in list(names.items()):
            ours = self._over(value)
            if ours is not value:
                yield Binding(names, name, value, {name: ours})

    def _locks_in_list(self, things: list[Any]) -> Iterator[Binding]:
        for thing in things[:]:
            ours = self._over(thing)
            if ours is not thing:
                yield Binding(InList(things, thing, ours), "", thing, {"": ours})

    def _instead(self, value: Any) -> Any:
        if type(value) in _PLAIN:
            return value
        ours = self._clock_instead(value)
        return ours if ours is not value else self._over(value)

    def _clock_instead(self, value: Any) -> Any:
        return self._leads_to.get(value, value) if type(value) in _FUNCTIONS or type(value) is type else value

    def _parts_of_class(self, cls: type) -> Iterator[Any]:
        names = _names_of(cls)
        for name, value in list(names.items()):
            kept = value.__func__ if type(value) in _WRAPPERS else value
            ours = self._instead(kept)
            if ours is not kept:  # no method: a C function is none either
                if type(cls).__setattr__ is type.__setattr__:  # the metaclass has no idea of its own
                    setattr(cls, name, staticmethod(ours) if type(ours) is types.FunctionType else ours)
            else:
                yield kept
        fields = names.get("__dataclass_fields__")
        for field in fields.values() if type(fields) is dict else ():
            if type(field) is dataclasses.Field:
                field.default, field.default_factory = map(self._instead, (field.default, field.default_factory))
                yield from (field.default, field.default_factory)


def _itself(value: Any) -> Any:
    return value


def _leads_on(value: Any) -> bool:
    return functions.is_kind(value) or type(value) is threading.Condition


def _is_name(value: Any, name: str) -> bool:
    """Whether a value is this name; anything may stand for the name of a module."""
    return type(value) is str and value == name
