"""How a loop begins: asyncio's constructors run once, and every loop of the class has what they have set.

They ask the system for the resolution of its clock and, from CPython 3.14 on, for a descriptor of this process. For a
virtual loop that says nothing, and it takes a third of the time of making one. They run on a spare loop that nobody
uses: on most Pythons the attributes of an object are read slowly for good once somebody has asked for its vars().
"""

from __future__ import annotations

import os
import sys
import weakref
from asyncio import SelectorEventLoop, base_events
from asyncio.log import logger
from collections import deque
from collections.abc import Callable, Collection, Mapping
from logging import DEBUG
from operator import attrgetter
from typing import Any

_PLAIN = (type(None), bool, int, float, str)
_EMPTY = (dict, list, set, deque)
# Most loops need neither, and each takes a microsecond or two to make: see LateTransports, and where generators begin.
_LATE = ("_asyncgens", "_transports")
# Which watches the children of real loops. Ours have virtual ones, and nobody asks it.
_SHARED = ("_watcher",)
_DEBUG = "PYTHONASYNCIODEBUG"
_NOTHING: Callable[[Any], object] = id  # for what cannot be set
_CONSTRUCTOR = attrgetter("__init__")
_MAKERS = [cls for cls in SelectorEventLoop.__mro__ if "__init__" in vars(cls)][:-1]


def _constructors() -> list[Any]:
    return list(map(_CONSTRUCTOR, _MAKERS))


def _are_all_of_asyncio(constructors: list[Any]) -> bool:
    return all(getattr(one, "__globals__", {}).get("__name__") == cls.__module__
               for cls, one in zip(_MAKERS, constructors, strict=True))


def _may_be_debug_mode() -> bool:
    """Whether asyncio is to be asked for debug mode: os.environ raises and catches an exception for what it has not."""
    known = getattr(os.environ, "_data", None)  # bytes by bytes, or by str on Windows
    return sys.flags.dev_mode or type(known) is not dict or _DEBUG in known or _DEBUG.encode() in known


def _setting(plain: Mapping[str, Any], empty: Mapping[str, type]) -> Callable[[Any], None]:
    """A function that sets these values, and new objects of these types, as lines of a program set attributes.

    Those CPython makes fast, and setattr() it does not.
    """
    names: dict[str, Any] = {f"of_{name}": value for name, value in {**plain, **empty}.items()}
    lines = [*(f"    loop.{name} = of_{name}" for name in plain), *(f"    loop.{name} = of_{name}()" for name in empty)]
    exec("\n".join(["def begin(loop):", *lines]), names)
    return names["begin"]  # type: ignore[no-any-return]


class LateTransports:
    """The table of a loop's transports, which is made when somebody first asks for it."""

    def __get__(self, loop: Any, owner: type) -> Any:
        made: Any = weakref.WeakValueDictionary()
        if loop is not None:
            loop._transports = made
        return made


class Beginning:
    """What asyncio's constructors set on the loops of one class."""

    def __init__(self, kind: type) -> None:
        self._kind: Any = kind
        self._constructors: list[Any] = []  # that were asked
        self._set: Callable[[Any], object] = _NOTHING  # sets what they have set
        self._slow = 0.0

    def begin(self, loop: Any, selector: Any, make_spare: Callable[[], Any]) -> bool:
        """Set on a new loop what they set; False where they must do it themselves.

        That is on a loop of another class, where somebody has replaced one of them, and where what they set cannot be
        copied. `make_spare` makes a loop on which they have not run.
        """
        if type(loop) is not self._kind:
            return False
        constructors = _constructors()
        if constructors == self._constructors:
            if logger.isEnabledFor(DEBUG):
                logger.debug("Using selector: %s", selector.__class__.__name__)
        elif self._constructors or not _are_all_of_asyncio(constructors):
            return False
        else:
            spare = make_spare()
            known = {*vars(spare)}
            SelectorEventLoop.__init__(spare, selector)  # it has its line in the log
            self.learn(spare, known)
            spare._closed = True  # or asyncio says that nobody has closed it
        if self._set is _NOTHING:
            return False
        self._set(loop)
        loop._debug = False
        if _may_be_debug_mode() and base_events.coroutines._is_debug_mode():  # type: ignore[attr-defined]
            loop.set_debug(True)
        loop.slow_callback_duration = self._slow
        loop._selector = selector
        return True

    def learn(self, spare: Any, known: Collection[str]) -> None:
        """Look at what they have set on this loop beside what was `known` before; nothing where it cannot be copied."""
        made = {name: value for name, value in vars(spare).items() if name not in known and name not in _LATE}
        del made["_selector"], made["_debug"]
        plain = {name: value for name, value in made.items() if type(value) in _PLAIN or name in _SHARED}
        empty = {name: type(value) for name, value in made.items() if type(value) in _EMPTY and not value}
        if len(plain) + len(empty) == len(made):
            self._set = _setting(plain, empty)
        self._slow, self._constructors = spare.slow_callback_duration, _constructors()
