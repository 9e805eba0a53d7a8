"""What stands for the classes `datetime` and `date`, which read the real clock in C, while a clock on the wall is set.

They make objects of the real classes, and are equal to these: only `now()`, `utcnow()` and `today()` differ. Module
pickle looks for the class of an object by its name, so objects are pickled by the name of the stand-in.
"""

from __future__ import annotations

import copyreg
import functools
from collections.abc import Callable
from typing import Any

from ...kernel.wall import WallClock
from ...pythons import warn_of_utcnow
from ..worlds import by_thread, thread_id
from .wall import moment_of


def _wall_here() -> WallClock | None:
    """The clock on the wall of this thread's world; None where it is the real one."""
    world = by_thread.get(thread_id())
    return world.kernel.wall if world is not None and world.kernel.wall.is_set else None


@functools.cache
def stand_ins() -> dict[str, type]:
    """The two stand-ins by their names. Module datetime is loaded when a test wants them."""
    import datetime as real

    present = real.datetime.now  # the name of the class leads to the stand-in later
    real_of: dict[int, type] = {}  # by the id of a stand-in: what it stands for

    class Kind(type):
        """The class of the two stand-ins, and of what a program derives from them."""

        def __call__(cls, /, *args: Any, **kwargs: Any) -> Any:
            plain = real_of.get(id(cls))
            return super().__call__(*args, **kwargs) if plain is None else plain(*args, **kwargs)

        def __instancecheck__(cls, thing: object) -> bool:
            plain = real_of.get(id(cls))
            return super().__instancecheck__(thing) if plain is None else isinstance(thing, plain)

        def __subclasscheck__(cls, kind: type) -> bool:
            plain = real_of.get(id(cls))
            return super().__subclasscheck__(kind) if plain is None else issubclass(kind, plain)

        def __eq__(cls, other: object) -> bool:
            return cls is other or real_of.get(id(cls), cls) is other

        def __hash__(cls) -> int:
            return type.__hash__(real_of.get(id(cls), cls))

    def now(tz: real.tzinfo | None = None) -> real.datetime:
        moment = present(tz)  # refuses what is no time zone
        wall = _wall_here()
        if wall is not None:
            moment = moment_of(wall, tz)
        return moment if tz is not None else moment.replace(tzinfo=None)

    def day(cls: type, moment: real.datetime) -> Any:
        return cls(moment.year, moment.month, moment.day)

    class Datetime(real.datetime, metaclass=Kind):
        """`datetime.datetime`, whose present follows the clock on the wall."""

        @classmethod
        def now(cls, tz: real.tzinfo | None = None) -> Any:
            """As datetime's."""
            return _of(cls, now(tz))

        @classmethod
        def today(cls) -> Any:
            """As datetime's."""
            return _of(cls, now())

        @classmethod
        def utcnow(cls) -> Any:
            """As datetime's."""
            warn_of_utcnow()
            return _of(cls, now(real.UTC).replace(tzinfo=None))

    class Date(real.date, metaclass=Kind):
        """`datetime.date`, whose present follows the clock on the wall."""

        @classmethod
        def today(cls) -> Any:
            """As date's."""
            return day(cls, now())

    def _of(cls: type, moment: real.datetime) -> Any:
        """A moment as an object of this class: a program may have derived one."""
        if id(cls) in real_of:
            return moment
        return cls(moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second,
                   moment.microsecond, moment.tzinfo, fold=moment.fold)

    found: dict[str, type] = {"datetime": Datetime, "date": Date}
    for name, cls in found.items():
        real_of[id(cls)] = cls.__mro__[1]
        cls.__module__, cls.__name__, cls.__qualname__ = "datetime", name, name
    return found


class Pickling:
    """How objects of the two classes are pickled while their names lead to the stand-ins."""

    def __init__(self) -> None:
        self._before: dict[type, Callable[[Any], Any] | None] = {}

    def begin(self) -> None:
        """Let module pickle find the stand-in in place of the class."""
        for cls in stand_ins().values():
            plain = cls.__mro__[1]
            self._before[plain] = copyreg.dispatch_table.get(plain)
            copyreg.pickle(plain, functools.partial(_reduced, cls))

    def end(self) -> None:
        """Let it be as it was."""
        for plain, function in self._before.items():
            if function is None:
                copyreg.dispatch_table.pop(plain, None)
            else:
                copyreg.dispatch_table[plain] = function
        self._before.clear()


def _reduced(cls: type, moment: Any) -> tuple[Any, ...]:
    return cls, moment.__reduce_ex__(4)[1]
