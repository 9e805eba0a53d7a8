"""Where our methods stand among asyncio's loop classes, so that a program's patches of those reach our loop too.

Owns the classes that stand between asyncio's and ours, and the doors by which asyncio's methods lead to ours; and how
a method of one object is replaced that we ask for otherwise than by its name.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import traceback
from asyncio import base_events
from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from types import MethodType
from typing import TYPE_CHECKING, Any

from ..introspection.modules import own_function
from ..stdlib.sockets.patches import KEPT

__unittest = True  # unittest leaves frames of this module out of a traceback
__tracebackhide__ = True  # and so does pytest

if TYPE_CHECKING:
    Stock = asyncio.SelectorEventLoop

    class Doors:
        """See below."""
else:
    class Stock:
        """The methods of asyncio's loop classes that ours replaces: asyncio's own, which are moved here."""

    class Doors:
        """What asyncio's classes have in their place: functions that call ours for one of our loops."""

    base_events.BaseEventLoop.__bases__ = (Doors, Stock, *base_events.BaseEventLoop.__bases__)


class Behind(Doors):
    """Our methods that replace asyncio's, behind asyncio's classes: what a program puts there is found first.

        SolipsistEventLoop > SelectorEventLoop > BaseEventLoop > Behind, ours > Doors > Stock, asyncio's > ...

    So a patch of asyncio's classes (`mock.patch.object(asyncio.BaseEventLoop, "getaddrinfo")`) is one of our loop too,
    and costs nothing where there is none. Who calls what he has replaced (`BaseEventLoop.getaddrinfo(loop, ...)`) comes
    through a door. What was replaced before this package was imported stays; who has kept asyncio's own gets a door.
    """


class Replaceable:
    """A method that calls `replaced(self)` when somebody puts another one in its place on one object, or takes it back.

    So whoever goes around the method need not look each time whether it is there: a virtual clock of a program's own
    replaces `select` of the loop's selector.
    """

    def __init__(self, method: Callable[..., Any], replaced: Callable[[Any], None]) -> None:
        self._method, self._replaced, self.__doc__ = method, replaced, method.__doc__
        self._name = f"own_{method.__name__}"  # what stands in the place of the method; no attribute where nothing does

    def __get__(self, thing: Any, kind: type | None = None) -> Any:
        if thing is None:
            return self._method
        return getattr(thing, self._name, None) or MethodType(self._method, thing)

    def __set__(self, thing: Any, stand_in: Any) -> None:
        setattr(thing, self._name, stand_in)
        self._replaced(thing)

    def __delete__(self, thing: Any) -> None:
        delattr(thing, self._name)
        self._replaced(thing)


class Resolution:
    """`_clock_resolution`: CPython's turn takes timers before time() + this for due.

    The gap to the next float means "exactly due". A test may set more, as for a clock of its own, and take it back.
    """

    def __get__(self, loop: Any, kind: type) -> float:
        exact: float = loop.kernel.clock.resolution
        return max(exact, loop._own_resolution or 0.0)

    def __set__(self, loop: Any, seconds: float | None) -> None:
        if hasattr(loop, "_debug"):  # asyncio's constructor sets that of the system before, which says nothing here
            loop._own_resolution = seconds
            loop.choose_turns()

    def __delete__(self, loop: Any) -> None:
        if loop._own_resolution is None:
            raise AttributeError("_clock_resolution")
        self.__set__(loop, None)


# asyncio calls them at every turn: a door would make stock loops slower. Its own do on our loop what ours do.
_WITHOUT_A_DOOR = ("time", "call_soon", "_run_once", "_add_reader", "_add_writer", "_remove_reader", "_remove_writer")
_STOCK_CLASSES = asyncio.SelectorEventLoop.__mro__
_HOMES = _STOCK_CLASSES[:_STOCK_CLASSES.index(base_events.BaseEventLoop) + 1]
_NAMES = list(map(vars, _HOMES))  # what they have, always as it is
_MOVED: dict[str, list[Any]] = {}  # by name: asyncio's own method, and its door
_sizes: list[int] = []  # how many names they had when none of those that were moved was there


def let_patches_reach(loop_class: type, names: Iterable[str]) -> None:
    """Move these methods of ours behind asyncio's classes; to be called once."""
    for name in names:
        owner = next(cls for cls in loop_class.__mro__ if name in vars(cls))
        home = next(cls for cls in _STOCK_CLASSES if name in vars(cls))
        ours, there = vars(owner)[name], vars(home)[name]
        stock = own_function(sys.modules[home.__module__], f"{home.__qualname__}.{name}", there)
        delattr(owner, name)
        setattr(Behind, name, ours)
        setattr(Stock, name, stock or there)
        if stock is None:  # it was replaced, and nobody can call it any more
            continue
        if stock is there:
            delattr(home, name)
        _MOVED[name] = [stock]
        if name not in _WITHOUT_A_DOOR:
            KEPT[stock] = door = _door(loop_class, ours, stock)
            setattr(Doors, name, door)
            _MOVED[name].append(door)


def clear() -> None:
    """Take out of asyncio's classes what somebody has put back there, after it was moved away; for each loop."""
    if list(map(len, _NAMES)) == _sizes:
        return
    for home in _HOMES:
        for name, methods in _MOVED.items():
            if vars(home).get(name) in methods:
                delattr(home, name)
    if not any(name in vars(home) for home in _HOMES for name in _MOVED):
        _sizes[:] = map(len, _NAMES)


def _door(loop_class: type, ours: Callable[..., Any], stock: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, loop_class):
            return ours(self, *args, **kwargs)
        made = stock(self, *args, **kwargs)
        lines = getattr(made, "_source_traceback", None)  # debug mode keeps them; asyncio takes its own out
        if type(lines) is traceback.StackSummary and lines[-1].filename == __file__:
            del lines[-1]
        return made

    async def coroutine_method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await (ours if isinstance(self, loop_class) else stock)(self, *args, **kwargs)

    return functools.wraps(stock)(coroutine_method if iscoroutinefunction(stock) else method)
