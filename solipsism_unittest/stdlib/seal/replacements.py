"""How a name is replaced while a thread is sealed, and how it is put back.

A name of a module is put back when the last thread leaves. One of a class stays replaced: from CPython 3.13 on a class
has no more than 1,000 versions of its method cache, and each change of an attribute takes one, also from its
subclasses. A long suite would leave asyncio's classes without any cache.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Callable, Iterable
from typing import Any

MISSING = object()
# What has a behaviour and nothing else, so that a stand-in which calls it is as good.
_PLAIN = (types.FunctionType, types.BuiltinFunctionType, staticmethod, type)


class Replacement:
    """One name of one module, and the stand-in that it holds while a thread is sealed."""

    def __init__(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        self.owner = owner
        self.name = name
        self._make = make  # makes the stand-in from what stood there
        self._made: list[tuple[Any, Any]] = []  # every (stand-in, what it stands for); the last one is in use
        self._look = vars(owner).get
        self._ours = self._before = object()  # that pair: each test arms all names, so the common case is short

    def arm(self) -> None:
        """Put the stand-in there."""
        there = self._look(self.name, MISSING)
        if there is not self._before:
            before = self._below(there)
            known = [pair for pair in self._made if pair[1] is before]
            self._made = [pair for pair in self._made if pair[1] is not before]
            self._made += known or [(self._make(before), before)]
            self._ours, self._before = self._made[-1]
        setattr(self.owner, self.name, self._ours)

    def disarm(self) -> None:
        """Put back what stood there."""
        # Whoever replaced the name during the test and did not put it back keeps it: it is not ours to undo.
        there = self._look(self.name, MISSING)
        before = self._before if there is self._ours else self._below(there)
        if before is MISSING and there is not MISSING:
            delattr(self.owner, self.name)
        elif before is not there:
            setattr(self.owner, self.name, before)

    def names(self) -> Iterable[tuple[Any, str]]:
        """The names that it replaces, each after the module or class that has it."""
        return ((self.owner, self.name),)

    def made_from(self, before: Any) -> Any:
        """The stand-in for what stood there at some time."""
        ours = next((ours for ours, one in self._made if one is before), None)
        if ours is None:
            ours = self._make(before)
            self._made.insert(0, (ours, before))
        return ours

    def _below(self, there: Any) -> Any:
        """What a stand-in of ours stands for; anything else stands for itself.

        It may be an old one: a patch that is undone after its test, or in another one, puts back what it had found.
        """
        return next((before for ours, before in reversed(self._made) if ours is there), there)


class Lasting(Replacement):
    """One attribute of one class, and the stand-in that it holds from the first seal of the process on.

    The stand-in itself asks whether the thread is sealed. Where somebody has put something other than a function (a
    mock, which is asked for its calls by this name) it is put back when the last thread leaves.
    """

    def arm(self) -> None:
        """Put the stand-in there, unless it is."""
        there = self._look(self.name, MISSING)
        if there is not self._ours:
            super().arm()

    def disarm(self) -> None:
        """Put back what is not to be hidden by a stand-in."""
        there = self._look(self.name, MISSING)
        before = self._before if there is self._ours else self._below(there)
        if before is not there and before is not MISSING and not isinstance(before, _PLAIN):
            setattr(self.owner, self.name, before)


class Shelf:
    """Many names of one module. Where nobody else has touched them they are replaced together, which is much faster."""

    def __init__(self, owner: Any, makers: dict[str, Callable[[Any], Any]]) -> None:
        self._globals = vars(owner)
        self._replacements = [Replacement(owner, name, make) for name, make in makers.items() if hasattr(owner, name)]
        self._ours: dict[str, Any] = {}
        self._before: dict[str, Any] = {}

    def _is_there(self, wanted: dict[str, Any]) -> bool:
        return bool(wanted) and all(map(operator.is_, map(self._globals.get, wanted), wanted.values()))

    def arm(self) -> None:
        """As `Replacement.arm`."""
        if self._is_there(self._before):
            self._globals.update(self._ours)
            return
        for replacement in self._replacements:
            replacement.arm()
        self._ours = {one.name: one._made[-1][0] for one in self._replacements}
        self._before = {one.name: one._made[-1][1] for one in self._replacements}

    def names(self) -> Iterable[tuple[Any, str]]:
        """As `Replacement.names`."""
        return ((one.owner, one.name) for one in self._replacements)

    def disarm(self) -> None:
        """As `Replacement.disarm`."""
        if self._is_there(self._ours):
            self._globals.update(self._before)
            return
        for replacement in self._replacements:
            replacement.disarm()


class Clocks(Shelf):
    """The same of module `time`: a tool that freezes it keeps the real functions, and puts them back inside a test.

    While a thread is sealed, the module is one that takes the stand-in in place of the real function.
    """

    def __init__(self, owner: Any, makers: dict[str, Callable[[Any], Any]], then: Callable[[str], None]) -> None:
        super().__init__(owner, makers)
        self._owner, self._plain = owner, owner.__class__
        named = {one.name: one for one in self._replacements}

        class Module(types.ModuleType):
            """A module whose C functions keep their stand-ins."""

            def __setattr__(self, name: str, value: Any) -> None:
                put_back = name in named and isinstance(value, types.BuiltinFunctionType)
                super().__setattr__(name, named[name].made_from(value) if put_back else value)
                if put_back:
                    then(name)

        self._kind = Module

    def arm(self) -> None:
        """As `Replacement.arm`."""
        super().arm()
        self._owner.__class__ = self._kind

    def disarm(self) -> None:
        """As `Replacement.disarm`."""
        self._owner.__class__ = self._plain
        super().disarm()
