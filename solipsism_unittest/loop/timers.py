"""Timers that know their place in the line, and ways to a point in virtual time.

Owns how a timer is made: what is asked of its arguments, its place and its record in the journal; and the line of those
that are pending.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from asyncio import events, futures, sleep
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import copy_context
from heapq import heapify, heappop, heappush
from sys import intern
from threading import get_ident
from typing import Any, Protocol

from ..introspection.names import plain
from ..introspection.places import Place, place_here
from ..introspection.tasks import stating
from ..kernel.choices.kinds import LOOKUP
from ..kernel.clock import VirtualClock
from ..kernel.journal import FULL
from ..stdlib.threads.mistakes import check_callback, refuse_thread
from ..stdlib.worlds import World

__unittest = True  # unittest leaves frames of this module out of a traceback
__tracebackhide__ = True  # and so does pytest

END_OF_SLEEP = futures._set_result_unless_cancelled  # type: ignore[attr-defined]  # the callback of asyncio.sleep


_Future: Any = asyncio.Future


class Timer(events.TimerHandle):
    """A TimerHandle that knows its place in the line: of two at one instant, the one made first runs first."""

    # asyncio's own, which type checkers do not know.
    _callback: Callable[..., object]
    _args: tuple[Any, ...]
    _loop: Loop

    __slots__ = ("sequence", "begun", "made_at")

    def __init__(self, when: float, callback: Callable[..., object], args: tuple[Any, ...],
                 loop: Loop, context: contextvars.Context | None, begun: float, made_at: Place | None) -> None:
        if loop._debug:
            events.Handle.__init__(self, callback, args, loop, context)  # type: ignore[arg-type]
            del self._source_traceback[-3:]  # type: ignore[has-type]
        else:  # the same by hand, which is faster
            self._context = copy_context() if context is None else context
            self._loop = loop
            self._callback = callback
            self._args = args
            self._cancelled = False
            self._repr = None
            self._source_traceback = None
        self._when = when
        self._scheduled = True
        self.sequence = 0  # its number among the loop's timers, where it needs one
        self.begun = begun  # the time at which it was made
        self.made_at = made_at  # the place

    def _run(self) -> None:
        loop = self._loop
        if not self._scheduled and self._when > loop.reached():  # one that still stands in line a test runs by hand
            # `_run_once` of CPython 3.15 takes what is due before now + math.ulp(now): the next float is among it where
            # the time is a negative power of two (gh-145703).
            self._scheduled = True
            heappush(loop.line.plain, self)
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

    def __gt__(self, other: Any) -> bool:  # where the other one is of the base class, Python asks for this first
        mine, theirs = self._when, other._when
        if mine != theirs:
            return mine > theirs  # type: ignore[no-any-return]
        return self.sequence > other.sequence  # type: ignore[no-any-return]


class Sleep(Timer):
    """The timer of a sleep() that gives None: it has its future alone, and the rest is the same for all of them.

    There may be 100,000 of them. Each object more is one more for the garbage collector to visit, again and again.
    """

    __slots__ = ()

    future = vars(events.Handle)["_args"]  # in its place; None once it is cancelled
    _source_traceback: Any = None
    made_at = None  # a sleeping task says where it sleeps

    def __init__(self, when: float, future: asyncio.Future[Any], loop: Loop, begun: float) -> None:
        self._when = when
        self.future = future
        self._loop = loop
        self.begun = begun
        self._scheduled = True
        self._cancelled = False
        self._repr: Any = None
        self.sequence = 0

    @property
    def _callback(self) -> Any:  # type: ignore[override]
        return None if self.future is None else END_OF_SLEEP

    @property
    def _args(self) -> Any:  # type: ignore[override]
        return None if self.future is None else (self.future, None)

    @property
    def _context(self) -> contextvars.Context:  # type: ignore[override]
        return self._loop.line.context

    def cancel(self) -> None:
        """As asyncio's."""
        if not self._cancelled:
            self._cancelled = True
            loop = self._loop
            if self._scheduled:
                loop._timer_cancelled_count += 1
            if loop._debug:
                self._repr = repr(self)
            self.future = None


Sleep.__qualname__ = Sleep.__name__ = Timer.__name__  # for its repr


def _in_line(timer: Timer) -> tuple[float, int]:
    """A key to sort numbered timers by: as they compare, and faster."""
    return timer._when, timer.sequence


class Line:
    """The pending timers: first those due first, and of one instant those made first.

    Most timers are made in the order in which they are due. They stand in `queue`, where a timer takes 8 bytes and its
    number is its place. One that is due before the `latest` of them is in `heap`. Of one instant those of the queue are
    first: when a timer went into the heap, the latest was due later, so no timer of its instant was queued after it.
    CPython's own turns have a heap as asyncio's, `plain`, in their place. Its timers have numbers. Whoever asks
    finds the timers wherever they are.
    """

    __slots__ = ("queue", "heap", "latest", "plain", "context", "record", "_made")

    def __init__(self) -> None:
        self.queue: deque[Timer] = deque()
        self.heap: list[tuple[float, int, Timer]] = []  # tuples compare in C
        self.latest = -math.inf  # when the last one that was ever queued is due, until all are gone
        self.plain: list[Timer] = []
        self.context = contextvars.Context()  # of all timers of sleeps
        self.record: tuple[Any, ...] = (None, "sleep", None)  # the journal's of the latest sleep
        self._made = 0  # the highest number that one in a heap has got

    def __len__(self) -> int:
        return len(self.queue) + len(self.heap) + len(self.plain)

    def add(self, timer: Timer) -> None:
        """Put a timer in line that was made after all others."""
        when = timer._when
        if when >= self.latest or not (self.queue or self.heap):
            self.latest = when
            self.queue.append(timer)
        else:
            self._made += 1
            heappush(self.heap, (when, self._made, timer))

    def first(self) -> Timer | None:
        """The timer that is due next; None for none."""
        queue, heap = self.queue, self.heap
        if heap and not (queue and queue[0]._when <= heap[0][0]):
            return heap[0][2]
        if queue:
            return queue[0]
        return self.plain[0] if self.plain else None

    def take(self) -> Timer:
        """Take the timer that is due next out of the line; there must be one."""
        queue, heap = self.queue, self.heap
        if queue and not (heap and heap[0][0] < queue[0]._when):
            timer = queue.popleft()
        else:
            timer = heappop(heap)[2] if heap else heappop(self.plain)
        timer._scheduled = False
        return timer

    def times(self) -> set[float]:
        """When those are due that are not cancelled."""
        heap = [entry[2] for entry in self.heap]
        return {timer._when for timers in (self.queue, heap, self.plain) for timer in timers if not timer._cancelled}

    def all(self) -> list[Timer]:
        """All of them in order. Each gets its number: whoever compares them finds the same order.

        Those of CPython's turns are not among them.
        """
        timers = sorted([*((timer._when, 0, number, timer) for number, timer in enumerate(self.queue)),
                         *((when, 1, number, timer) for when, number, timer in self.heap)])
        for number, entry in enumerate(timers):
            entry[3].sequence = number
        return [entry[3] for entry in timers]

    def fill(self, timers: Iterable[Timer]) -> None:
        """Have these timers, which are numbered, and no others."""
        self.clear()
        for timer in sorted(timers, key=_in_line):
            self.add(timer)

    def make_heap(self) -> None:
        """From now on turns are CPython's."""
        timers = self.all()
        self.clear()
        self.plain = timers
        self._made = len(timers)

    def leave_heap(self) -> None:
        """From now on turns are lean."""
        self.fill(self.plain)

    def add_to_heap(self, timer: Timer) -> None:
        """Put a timer into the heap of CPython's turns that was made after all others."""
        self._made = timer.sequence = self._made + 1
        heappush(self.plain, timer)

    def drop_cancelled(self) -> None:
        """Take out those that were cancelled."""
        for timer in [*self.queue, *(entry[2] for entry in self.heap), *self.plain]:
            if timer._cancelled:
                timer._scheduled = False
        alive = [timer for timer in self.queue if not timer._cancelled]
        self.queue.clear()
        self.queue.extend(alive)
        self.heap[:] = [entry for entry in self.heap if not entry[2]._cancelled]
        heapify(self.heap)
        self.plain[:] = [timer for timer in self.plain if not timer._cancelled]
        heapify(self.plain)

    def clear(self) -> None:
        """Forget them all."""
        self.queue.clear()
        self.heap.clear()
        self.plain = []  # another one: a turn of CPython's may be at the old one


class Loop(Protocol):
    """What is used here of a SolipsistEventLoop."""

    world: World
    line: Line
    is_lean: bool
    _clock: VirtualClock
    _closed: bool
    _check_closed: Callable[[], None]
    _debug: bool
    _thread_id: int | None
    _timer_cancelled_count: int

    def add_timer(self, timer: Timer) -> None:
        """Put a new timer in line."""

    def reached(self) -> float:
        """Up to when timers are due."""

    def create_future(self) -> asyncio.Future[None]:
        """As asyncio's."""


def schedule(loop: Loop, when: float, callback: Callable[..., object], args: tuple[Any, ...],
             context: contextvars.Context | None, method: str) -> Timer:
    """Make a timer for a loop's `call_at()` or `call_later()`, which names itself as the method."""
    # A test full of sleeps spends its time here: calls are spared where it does not hurt.
    given = when
    if type(when) is not float:
        when = float(when + 0.0)  # the time that it becomes is a float; a str is a TypeError
    if when != when:
        raise ValueError("a timer cannot be due at NaN")
    if loop._thread_id != get_ident():
        check_caller(loop, method)
    # The journal has a timer when it is made: a record in the handle's own `_run` would cost a tenth of a sleep.
    now = loop._clock.now
    if callback is END_OF_SLEEP:
        # A sleeping task says where it sleeps.
        if context is None and len(args) == 2 and args[1] is None and type(args[0]) is _Future and not loop._debug:
            timer: Timer = Sleep(when, args[0], loop, now)
        else:
            timer = Timer(when, callback, args, loop, context, now, None)
        record: tuple[object, ...] = (now, "sleep", when)
    else:
        check_callback(callback, method)
        timer = Timer(when, callback, args, loop, context, now, place_here(3))
        name = getattr(callback, "__qualname__", "")
        record = (now, "timer", when, intern(name) if type(name) is str else "")  # C makes it anew each time
    if given is not when and type(given) is int and given == when:
        timer._when = given  # for when() to say
    line = loop.line
    if loop.is_lean and when >= line.latest:
        line.latest = when
        line.queue.append(timer)
    else:
        loop.add_timer(timer)
    journal = loop.world.kernel.journal
    if journal.enabled:
        journal.records.append(record)
        if len(journal.records) >= FULL:
            journal.trim()
    return timer


def check_caller(loop: Loop, method: str) -> None:
    """RuntimeError where a loop is closed, or runs in another thread; one that runs in this thread is not closed."""
    if loop._closed:
        loop._check_closed()
    if loop._thread_id != get_ident() and loop._thread_id is not None:
        refuse_thread(method)


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
    done = loop.create_future()

    def end() -> None:
        done.set_result(None)

    stop = loop._clock.stop_at(float(when), end)
    try:
        await stating(lambda: f"advance_to({when!r})", done)
    finally:
        if done.cancelled() or not done.done():  # time must not move for an advance that was cancelled
            loop._clock.cancel_stop(stop)


async def look_up_longer(loop: Loop, host: object, seconds: float) -> None:
    """Wait as long as a look-up takes: these seconds, and what an exploration puts in."""
    what = f"the look-up of {plain(host)}"
    if seconds:
        await stating(lambda: what, sleep(seconds))
    explorer, now = loop.world.kernel.choices.explorer, loop._clock.now
    when = explorer.later(LOOKUP, now, what) if explorer is not None else now
    if explorer is None or when == now:
        return
    done = loop.create_future()

    def end() -> None:
        if not done.done():
            done.set_result(None)

    explorer.carry(now, when, end)
    await stating(lambda: what, done)
