"""What virtual time passed for: the longest wait in a stretch of it, and what the timers of a loop are.

Owns the words for a timer and the search for the one that took longest. A `LongestWait` looks at a loop only between
its `with` and the end of it, and then only where time jumps; outside of that, nothing here costs anything.
"""

from __future__ import annotations

import asyncio
from asyncio import futures
from types import TracebackType
from typing import Any, NamedTuple, Self

from ...introspection import tasks
from ...introspection.handles import callback_words, module_of_callback
from ...introspection.modules import is_ours, program_frames
from ...introspection.places import Place, made_at
from ...kernel.clock import VirtualClock
from ...kernel.journal import Journal
from ...loop.event_loop import SolipsistEventLoop
from ...loop.timers import Timer

__unittest = True
__tracebackhide__ = True

_END_OF_SLEEP = futures._set_result_unless_cancelled  # type: ignore[attr-defined]
# What asyncio's own timers call, by version: to the user they are all the limit of something.
_LIMITS = frozenset({"Timeout._on_timeout", "_release_waiter"})


def pending_timers(loop: SolipsistEventLoop) -> list[Timer]:
    """The pending timers of a loop, the next one first, without cancelled ones and this package's own."""
    return [timer for timer in loop.inventory.timers() if not _is_framework(timer)]


def _is_framework(timer: Timer) -> bool:
    return is_ours(module_of_callback(timer._callback))


class Purpose(NamedTuple):
    """What a timer is for. It is noted while the timer is pending, and put into words only for a report."""

    callback: object
    delay: object  # of a sleep(); None where nobody sleeps
    place: Place | None  # the line where somebody sleeps, or where the timer was made

    def __str__(self) -> str:
        if self.callback is _END_OF_SLEEP:
            return f"sleep({self.delay!r}) at {self.place}" if self.place else "a sleep()"
        if getattr(self.callback, "__qualname__", None) in _LIMITS:
            words = "a timeout"
        elif is_ours(module_of_callback(self.callback)):  # of an assertion, for example: its name says nothing
            words = "a timer of the test"
        else:
            words = f"a timer that calls {callback_words(self.callback)}"
        return f"{words}, made at {self.place}" if self.place else words


def purpose(timer: Timer) -> Purpose:
    """What a pending timer is for."""
    callback, place = timer._callback, made_at(timer)
    delay = None
    task = _sleeping_task(timer) if callback is _END_OF_SLEEP else None
    if task is not None:
        frames = tasks.await_chain(task)
        delay = frames[-1].f_locals.get("delay")
        users = program_frames(frames)
        place = Place.of(users[-1]) if users else made_at(task)
    return Purpose(callback, delay, place)


def _sleeping_task(timer: Timer) -> asyncio.Task[Any] | None:
    """The task that the end of a sleep will wake."""
    for callback, _ in timer._args[0]._callbacks or ():
        task = getattr(callback, "__self__", None)
        if isinstance(task, asyncio.Task):
            return task
    return None


def seconds_words(seconds: float) -> str:
    """Seconds without the noise of their last binary digits."""
    return f"{round(seconds, 9)!r} s"


class LongestWait:
    """Finds out what virtual time passed for between `with` and its end.

    Of every jump it looks at the timer that came due: how long it had been pending, at most since the beginning. A
    timer that is cancelled before counts for nothing. Without a virtual loop it finds nothing.
    """

    __slots__ = ("_loop", "_since", "_seconds", "_cause")

    def __init__(self, loop: SolipsistEventLoop | None) -> None:
        self._loop = loop
        self._since = loop.time() if loop is not None else 0.0
        self._seconds = 0.0
        self._cause: Purpose | str = ""

    def __enter__(self) -> Self:
        if self._loop is not None:
            self._loop.kernel.clock.watchers.append(self._jumps)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._loop is not None:
            self._loop.kernel.clock.watchers.remove(self._jumps)

    def _jumps(self, when: float) -> None:
        """The clock is about to go to `when`."""
        loop = self._loop
        assert loop is not None  # whose clock calls this
        timer = loop.inventory.next_timer()  # `_run_once` has just taken the cancelled ones off the top
        if timer is not None and timer.when() > when:
            timer = None
        begun = loop.kernel.clock.now if timer is None else timer.begun
        seconds = when - (begun if begun > self._since else self._since)
        if seconds > self._seconds and (timer is None or not _is_framework(timer)):
            self._seconds = seconds
            self._cause = purpose(timer) if timer is not None else _other_words(loop.kernel.clock, when)

    def __str__(self) -> str:
        """The end of a sentence; "" where no time passed."""
        return f"; the longest wait was {seconds_words(self._seconds)}, for {self._cause}" if self._cause else ""


def _other_words(clock: VirtualClock, when: float) -> str:
    deliveries = clock.deliveries
    return "what was under way in the network" if deliveries and deliveries[0][0] <= when else "an advance()"


def sleep_on_record(journal: Journal, now: float) -> str:
    """The end of a sentence about the longest sleep in the journal, for when nobody watched the clock.

    A journal has no places, and does not say that a sleep was cancelled: only one at whose end something else is on
    record (or the present) surely lasted so long.
    """
    instants = {record[0] for record in journal.records} | {now}
    sleeps = [record for record in journal.records if record[1] == "sleep" and record[2] in instants]
    if not sleeps:
        return ""
    begun, _, end = max(sleeps, key=lambda record: record[2] - record[0])
    return f"; the longest sleep on record was {seconds_words(end - begun)}, from t={begun!r} to t={end!r}"
