"""Timers that know their place in the line."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from asyncio import events
from collections.abc import Callable
from typing import Any

from ..introspection.places import Place

__unittest = True  # unittest leaves frames of this module out of a traceback
__tracebackhide__ = True  # and so does pytest


class Timer(events.TimerHandle):
    """A TimerHandle that knows its place in the line: of two at one instant, the one made first runs first."""

    __slots__ = ("_sequence", "begun", "made_at")

    def __init__(self, when: float, callback: Callable[..., Any], args: tuple[Any, ...],
                 loop: asyncio.AbstractEventLoop, context: contextvars.Context | None, sequence: int, begun: float,
                 made_at: Place | None) -> None:
        events.Handle.__init__(self, callback, args, loop, context)
        if self._source_traceback:  # type: ignore[attr-defined]
            del self._source_traceback[-3:]  # type: ignore[attr-defined]
        self._when = when
        self._scheduled = True
        self._sequence = sequence
        self.begun = begun  # the time at which it was made
        self.made_at = made_at  # the place

    def _run(self) -> None:
        loop: Any = self._loop  # type: ignore[attr-defined]
        clock = loop.kernel.clock
        if self._when == clock.now + clock.resolution:
            # `_run_once` of CPython 3.15 takes what is due before now + math.ulp(now): the next float is among it where
            # the time is a negative power of two (gh-145703).
            self._scheduled = True
            heapq.heappush(loop._scheduled, self)
        else:
            super()._run()

    def __lt__(self, other: Any) -> bool:
        mine, theirs = self._when, other._when
        if mine != theirs:
            return mine < theirs  # type: ignore[no-any-return]
        return self._sequence < other._sequence  # type: ignore[no-any-return]


def in_line(timer: Timer) -> tuple[float, int]:
    """A key to sort timers by: as they compare, and faster."""
    return timer._when, timer._sequence
