"""Timers that know their place in the line, and ways to a point in virtual time.

Owns how a timer is made: what is asked of its arguments, its number among the loop's timers, its place and its record
in the journal.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import math
from asyncio import events, futures
from collections.abc import Callable
from typing import Any, Protocol

from ..introspection.places import Place, place_here
from ..introspection.tasks import stating
from ..kernel.clock import VirtualClock
from ..kernel.journal import FULL
from ..stdlib.threads.mistakes import check_callback, check_thread
from ..stdlib.worlds import World

__unittest = True  # unittest leaves frames of this module out of a traceback
__tracebackhide__ = True  # and so does pytest

_END_OF_SLEEP = futures._set_result_unless_cancelled  # type: ignore[attr-defined]  # the callback of asyncio.sleep


class Timer(events.TimerHandle):
    """A TimerHandle that knows its place in the line: of two at one instant, the one made first runs first."""

    # asyncio's own, which type checkers do not know.
    _callback: Callable[..., object]
    _args: tuple[Any, ...]
    _loop: Loop

    __slots__ = ("sequence", "begun", "made_at")

    def __init__(self, when: float, callback: Callable[..., object], args: tuple[Any, ...],
                 loop: Loop, context: contextvars.Context | None, sequence: int, begun: float,
                 made_at: Place | None) -> None:
        if loop._debug:
            events.Handle.__init__(self, callback, args, loop, context)  # type: ignore[arg-type]
            del self._source_traceback[-3:]  # type: ignore[has-type]
        else:  # the same by hand, which is faster
            self._context = contextvars.copy_context() if context is None else context
            self._loop = loop
            self._callback = callback
            self._args = args
            self._cancelled = False
            self._repr = None
            self._source_traceback = None
        self._when = when
        self._scheduled = True
        self.sequence = sequence  # its number among the loop's timers
        self.begun = begun  # the time at which it was made
        self.made_at = made_at  # the place

    def _run(self) -> None:
        loop = self._loop
        if self._when > loop.reached():
            # `_run_once` of CPython 3.15 takes what is due before now + math.ulp(now): the next float is among it where
            # the time is a negative power of two (gh-145703).
            self._scheduled = True
            loop.add_timer(self, self._when, self.sequence)
        else:
            super()._run()

    def cancel(self) -> None:
        """As asyncio's."""
        if self._loop._debug:
            super().cancel()
        elif not self._cancelled:  # the same by hand, for each sleep() cancels its timer when it is over
            self._cancelled = True
            if self._scheduled:
                self._loop._timer_cancelled_count += 1
            self._callback = self._args = None  # type: ignore[assignment]

    def __lt__(self, other: Any) -> bool:
        mine, theirs = self._when, other._when
        if mine != theirs:
            return mine < theirs  # type: ignore[no-any-return]
        return self.sequence < other.sequence  # type: ignore[no-any-return]


def in_line(timer: Timer) -> tuple[float, int]:
    """A key to sort timers by: as they compare, and faster."""
    return timer._when, timer.sequence


class Loop(Protocol):
    """What is used here of a SolipsistEventLoop."""

    world: World
    _clock: VirtualClock
    _closed: bool
    _check_closed: Callable[[], None]
    _debug: bool
    _timer_cancelled_count: int
    _timers_made: int

    def add_timer(self, timer: Timer, when: float, sequence: int) -> None:
        """Put a timer in line."""

    def reached(self) -> float:
        """Up to when timers are due."""

    def create_future(self) -> asyncio.Future[None]:
        """As asyncio's."""


def schedule(loop: Loop, when: float, callback: Callable[..., object], args: tuple[Any, ...],
             context: contextvars.Context | None, method: str) -> Timer:
    """Make a timer for a loop's `call_at()` or `call_later()`, which names itself as the method."""
    # A test full of sleeps spends its time here: calls are spared where it does not hurt.
    if type(when) is not float:
        when = float(when + 0.0)  # the time that it becomes is a float; a str is a TypeError
    if when != when:
        raise ValueError("a timer cannot be due at NaN")
    if loop._closed:
        loop._check_closed()
    check_thread(loop, method)
    loop._timers_made = sequence = loop._timers_made + 1
    # The journal has a timer when it is made: a record in the handle's own `_run` would cost a tenth of a sleep.
    now = loop._clock.now
    if callback is _END_OF_SLEEP:
        # A sleeping task says where it sleeps.
        timer = Timer(when, callback, args, loop, context, sequence, now, None)
        record: tuple[object, ...] = (now, "sleep", when)
    else:
        check_callback(callback, method)
        timer = Timer(when, callback, args, loop, context, sequence, now, place_here(3))
        name = getattr(callback, "__qualname__", "")
        record = (now, "timer", when, name if type(name) is str else "")
    loop.add_timer(timer, when, sequence)
    journal = loop.world.kernel.journal
    if journal.enabled:
        journal.records.append(record)
        if len(journal.records) >= FULL:
            journal.trim()
    return timer


# -- to a point in virtual time


def duration(seconds: float) -> float:
    """The seconds, if time can advance by them: TypeError for what is no number, ValueError for less than nothing."""
    if not isinstance(seconds, (int, float)):
        raise TypeError(f"a duration is a number of seconds, not {seconds!r}")
    if not seconds >= 0:
        raise ValueError(f"cannot advance by {seconds!r} seconds: time only moves forward")
    return seconds


async def reach(loop: Loop, when: float) -> None:
    """Run everything due up to and including `when`, and be there exactly. The past is a ValueError."""
    if not isinstance(when, (int, float)):
        raise TypeError(f"a time is a number of seconds, not {when!r}")
    if when == math.inf:
        raise ValueError("cannot advance for ever")
    stops = loop._clock.stops
    done = loop.create_future()

    def end() -> None:
        done.set_result(None)

    loop._clock.stop_at(float(when), end)
    try:
        await stating(lambda: f"advance_to({when!r})", done)
    finally:
        if done.cancelled() or not done.done():  # time must not move for an advance that was cancelled
            stops[:] = [stop for stop in stops if stop[2] is not end]
            heapq.heapify(stops)
