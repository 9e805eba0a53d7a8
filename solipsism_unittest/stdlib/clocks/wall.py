"""The clock on the wall as module `time` shows it: the real one, or the one that a test has set with `wall_start`.

Owns how a program's reads of it are answered, and how a time of day becomes nanoseconds and back. It never moves time.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from sys import _getframe
from typing import Any

from ...errors import RealClockWarning
from ...introspection.modules import module_of
from ...introspection.places import user_place
from ...kernel.wall import WAITS, WallClock
from ..worlds import World, world_here

_SECOND = 1_000_000_000  # nanoseconds


def _noted(wall: WallClock) -> None:
    """A read of the real clock counts when the program makes it: a log record is no wait.

    Who waits by it comes to an end in real time, and nothing else would say why the test takes so long.
    """
    if module_of(_getframe(3)).partition(".")[0] not in sys.stdlib_module_names and wall.note_read():
        wall.place = user_place(3)
        if wall.reads == WAITS and (text := wall.words()):
            warnings.warn(text, RealClockWarning, stacklevel=4)


def note_replaced(there: object) -> None:
    """A tool has put this in the place of time.monotonic(), by which programs wait."""
    world = world_here()
    if world is not None:
        name = getattr(there, "__module__", None) or type(there).__module__
        world.kernel.wall.note_replaced(name.partition(".")[0])


def seconds(world: World, real: Callable[[], float]) -> float:
    """`time.time()`."""
    wall = world.kernel.wall
    if wall.is_set:
        return wall.now() / _SECOND
    _noted(wall)
    return real()


def nanoseconds(world: World, real: Callable[[], int]) -> int:
    """`time.time_ns()`."""
    wall = world.kernel.wall
    if wall.is_set:
        return wall.now()
    _noted(wall)
    return real()


def clock_gettime(world: World, real: Callable[[int], float], clock: int, /) -> float:
    """`time.clock_gettime()`, of which CLOCK_REALTIME is the clock on the wall."""
    wall = world.kernel.wall
    return wall.now() / _SECOND if wall.is_set and clock == time.CLOCK_REALTIME else real(clock)


def clock_gettime_ns(world: World, real: Callable[[int], int], clock: int, /) -> int:
    """`time.clock_gettime_ns()`."""
    wall = world.kernel.wall
    return wall.now() if wall.is_set and clock == time.CLOCK_REALTIME else real(clock)


def of_moment(world: World, real: Callable[..., Any], moment: float | None = None, /) -> Any:
    """`time.localtime()`, `gmtime()` and `ctime()`, which take the time of day where they are given none."""
    wall = world.kernel.wall
    return real(wall.now() // _SECOND if wall.is_set and moment is None else moment)


def strftime(world: World, real: Callable[..., str], form: str, /, *moment: Any) -> str:
    """`time.strftime()`, the same."""
    return real(form, *(moment or [time.localtime()]))


def asctime(world: World, real: Callable[..., str], /, *moment: Any) -> str:
    """`time.asctime()`, the same."""
    return real(*(moment or [time.localtime()]))


ANSWERS: dict[str, Callable[..., Any]] = {
    "time": seconds, "time_ns": nanoseconds, "clock_gettime": clock_gettime, "clock_gettime_ns": clock_gettime_ns,
    "localtime": of_moment, "gmtime": of_moment, "ctime": of_moment, "strftime": strftime, "asctime": asctime,
}


def is_real_clock(function: Any) -> bool:
    """Whether a stand-in for one of these reads the real clock in this thread: the test has set none."""
    real, world = function.__wrapped__, world_here()
    of_time = getattr(real, "__module__", "") == "time" and getattr(real, "__name__", "") in ANSWERS
    return of_time and (world is None or not world.kernel.wall.is_set)


def is_moment(value: object) -> bool:
    """Whether a value says exactly when: a datetime with a time zone."""
    kind = _datetime().datetime
    return isinstance(value, kind) and value.utcoffset() is not None


def set_wall(wall: WallClock, moment: Any) -> None:
    """Set the clock to an aware datetime, or to the real time for "now"."""
    module = _datetime()
    if moment == "now":
        moment = module.datetime.now(module.timezone.utc)
    epoch = module.datetime(1970, 1, 1, tzinfo=module.timezone.utc)
    wall.set((moment - epoch) // module.timedelta(microseconds=1) * 1000, moment.tzinfo)


def moment_of(wall: WallClock, *zone: Any) -> Any:
    """The time of day as an aware datetime: in the time zone in which the clock was set, or in another."""
    module = _datetime()
    epoch = module.datetime(1970, 1, 1, tzinfo=module.timezone.utc)
    return (epoch + module.timedelta(microseconds=wall.now() // 1000)).astimezone(*(zone or [wall.zone]))


def _datetime() -> Any:
    """Module datetime, which is loaded when somebody asks for the time of day: most tests do not."""
    import datetime

    return datetime
