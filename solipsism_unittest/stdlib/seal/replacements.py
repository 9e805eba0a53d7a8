"""How a name is replaced while a thread is sealed, and how it is put back.

A name of a module is put back when the last thread leaves. One of a class stays replaced: from CPython 3.13 on a class
has no more than 1,000 versions of its method cache, and each change of an attribute takes one, also from its
subclasses. A long suite would leave asyncio's classes without any cache.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..clocks.wall import note_replaced

MISSING = object()
# What has a behaviour and nothing else, so that a stand-in which calls it is as good.
_PLAIN = (types.FunctionType, types.BuiltinFunctionType, staticmethod, classmethod, type)


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

    @property
    def pair(self) -> tuple[Any, Any]:
        """The stand-in that is in use, and what it stands for."""
        return self._made[-1]

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

    def made_none(self, there: Any) -> bool:
        """Whether this is no stand-in of ours."""
        return self._below(there) is there

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
        if before is not there and _may_be_missed(before):
            setattr(self.owner, self.name, before)

    def hides(self) -> bool:
        """Whether a stand-in that it has made stands for something that is not to be hidden."""
        return any(_may_be_missed(before) for _, before in self._made)


def _may_be_missed(before: Any) -> bool:
    return before is not MISSING and not isinstance(before, _PLAIN)


class Shelf:
    """Many names of one module; those that it does not have are left out."""

    def __init__(self, owner: Any, makers: dict[str, Callable[[Any], Any]]) -> None:
        self.replacements = [Replacement(owner, name, make) for name, make in makers.items() if hasattr(owner, name)]

    def arm(self) -> None:
        """As `Replacement.arm`."""
        for replacement in self.replacements:
            replacement.arm()

    def names(self) -> Iterable[tuple[Any, str]]:
        """As `Replacement.names`."""
        return ((one.owner, one.name) for one in self.replacements)

    def disarm(self) -> None:
        """As `Replacement.disarm`."""
        for replacement in self.replacements:
            replacement.disarm()


class Clocks(Shelf):
    """The same of module `time`: a tool that freezes it keeps the real functions, and puts them back inside a test.

    While a thread is sealed, the module is one that takes the stand-in in place of the real function.
    """

    def __init__(self, owner: Any, makers: dict[str, Callable[[Any], Any]], then: Callable[[str], None]) -> None:
        super().__init__(owner, makers)
        self._owner, self._plain = owner, owner.__class__
        named = {one.name: one for one in self.replacements}

        class Module(types.ModuleType):
            """A module whose C functions keep their stand-ins."""

            def __setattr__(self, name: str, value: Any) -> None:
                put_back = name in named and isinstance(value, types.BuiltinFunctionType)
                super().__setattr__(name, named[name].made_from(value) if put_back else value)
                if put_back:
                    then(name)
                elif name == "monotonic" and named[name].made_none(value):
                    note_replaced(value)

        self._kind = Module

    def arm(self) -> None:
        """As `Replacement.arm`."""
        super().arm()
        self.keep()

    def disarm(self) -> None:
        """As `Replacement.disarm`."""
        self.keep_no_longer()
        super().disarm()

    def keep(self) -> None:
        """Let the module take stand-ins in place of the real functions."""
        self._owner.__class__ = self._kind

    def keep_no_longer(self) -> None:
        """Let the module take what it is given."""
        self._owner.__class__ = self._plain


class Table:
    """All replacements, put there and taken away in one go where nobody else has touched their names since.

    Each test does both, so the common case is short: every name is looked at, and each module gets one update.
    """

    def __init__(self, parts: Sequence[Replacement | Shelf]) -> None:
        self._parts = parts
        self._lasting = [part for part in parts if isinstance(part, Lasting)]
        self._clocks = [part for part in parts if isinstance(part, Clocks)]
        self._of_modules = [one for part in parts if not isinstance(part, Lasting)
                            for one in (part.replacements if isinstance(part, Shelf) else [part])]
        asked = [*self._lasting, *self._of_modules]
        self._ours = Question(asked)  # whether every stand-in is there
        self._before = Question(asked)  # whether modules have what they stand for
        self._times = 0  # that they were put there
        self._is_there = False
        # As it was when they were put there one by one for the last time
        self._updates: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = []
        self._added: list[tuple[dict[str, Any], str]] = []  # names that modules have not
        self._hidden: list[Lasting] = []  # what somebody may miss in a class

    def names(self) -> Iterable[tuple[Any, str]]:
        """As `Replacement.names`."""
        return (name for part in self._parts for name in part.names())

    def arm(self) -> None:
        """Put all stand-ins there."""
        was_there, self._is_there = self._is_there, True
        self._times += 1
        if self._times == 1 or not (self._ours if was_there else self._before).holds():
            for part in self._parts:
                part.arm()
            self._learn()
        elif not was_there:
            for names, ours, _ in self._updates:
                names.update(ours)
            for clocks in self._clocks:
                clocks.keep()

    def disarm(self) -> None:
        """Put back what stood there."""
        self._is_there = False
        if self._times == 1 or not self._ours.holds():  # a question takes longer to compile than they to put back
            for part in reversed(self._parts):
                part.disarm()
            return
        for clocks in self._clocks:
            clocks.keep_no_longer()
        for names, _, before in self._updates:
            names.update(before)
        for names, name in self._added:
            del names[name]
        for hidden in self._hidden:
            hidden.disarm()

    def _learn(self) -> None:
        """Note which stand-ins are in use."""
        updates: dict[int, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {}
        self._added.clear()
        for one in self._of_modules:
            names = vars(one.owner)
            _, ours, before = updates.setdefault(id(names), (names, {}, {}))
            ours[one.name], stood = one.pair
            if stood is MISSING:
                self._added.append((names, one.name))
            else:
                before[one.name] = stood
        self._updates = list(updates.values())
        self._hidden = [one for one in self._lasting if one.hides()]
        lasting = [one.pair[0] for one in self._lasting]
        self._ours.expect([*lasting, *(one.pair[0] for one in self._of_modules)])
        self._before.expect([*lasting, *(one.pair[1] for one in self._of_modules)])


class Question:
    """Whether names hold what they should.

    Each seal asks that of all names, so the question is one function, which is compiled when it is first asked:
    `def question(_1=os, __0=ours, ...): if _1.open is __0 and ...: return True`. A loop over the names takes six
    times as long.
    """

    def __init__(self, replacements: Sequence[Replacement]) -> None:
        self._replacements = replacements
        self._given: list[Any] = []
        self._things: Sequence[Any] = ()
        self._question: Any = None

    def expect(self, things: Sequence[Any]) -> None:
        """These are what the names should hold, in the order of the replacements."""
        self._things = things
        if self._question is not None:
            self._question.__defaults__ = (*self._given, *things)

    def holds(self) -> bool:
        """Whether they do."""
        if self._question is None:
            self._question = self._compiled()
            self.expect(self._things)
        try:
            return bool(self._question())
        except (KeyError, AttributeError):  # somebody has taken one away
            return False

    def _compiled(self) -> Any:
        looks = list(map(_look, self._replacements))
        self._given = [MISSING, *{id(owner): owner for owner, _ in looks}.values()]
        numbers = {id(owner): number for number, owner in enumerate(self._given)}
        asked = [f"_{numbers[id(owner)]}{look} is __{thing}" for thing, (owner, look) in enumerate(looks)]
        parameters = [*(f"_{number}" for number in numbers.values()), *(f"__{thing}" for thing in range(len(asked)))]
        names: dict[str, Any] = {}
        exec(f"def question({', '.join(parameters)}):\n    if {' and '.join(asked)}:\n        return True", names)
        return names["question"]


def _look(one: Replacement) -> tuple[Any, str]:
    """What is asked for a name, and how. As an attribute, where CPython finds it in a cache: a key takes four times as
    long.
    """
    if isinstance(one.owner, type):  # of others the attribute is made from what the class has
        is_cached, key = isinstance(one.pair[0], types.FunctionType), f"[{one.name!r}]"
    else:  # a subclass of a module's class may have attributes of another kind
        is_cached = type(one.owner) is types.ModuleType and one.pair[1] is not MISSING
        key = f".get({one.name!r}, _0)"
    return (one.owner, f".{one.name}") if is_cached else (vars(one.owner), key)
