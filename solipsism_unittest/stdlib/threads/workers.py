"""The threads that a sealed thread has started: where each of them stands, and whether it has work of the loop in hand.

Owns the register of such threads, executor workers and timers apart (`jobs` knows those). A library with a thread of
its own takes requests from a queue and brings each result with `call_soon_threadsafe()`; nothing in asyncio shows that
a request is with the thread. What shows it is the future that somebody awaits: while it is within reach of the thread,
in a queue or in its frames, and the thread does something else than waiting, its answer may still come.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import queue
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from time import monotonic
from typing import Any

from ...introspection.modules import is_plumbing, outward, program_frames
from ...introspection.places import Place
from ...introspection.tasks import waiter_of
from ...introspection.threads import standing, waits

LOOK_EVERY = 0.001  # real seconds between two looks at a thread
LOOKS = 3  # a thread waits when so many looks in a row find it at the same instruction
LINGER = 1.0  # real seconds for threads that are on their way out when a test ends
LOOKS_AT_THE_END = 50  # so many looks find them waiting, and they are taken for left
OBJECTS = 1_000  # so many are looked at in search of a future
THREADS_NAMED = 3
# What leads from a thread to everything, or to nothing.
_DEAD_ENDS = (type, types.ModuleType, types.FrameType, types.CodeType, types.CoroutineType, types.GeneratorType,
              types.AsyncGeneratorType, str, bytes, int, float, asyncio.AbstractEventLoop)
# Of modules whose objects lead astray (a transport, a runner), those that may be on the way to a future.
_ON_THE_WAY = frozenset({"asyncio.locks", "asyncio.queues", "threading", "functools"})


class Worker:
    """A thread that lives, and where it was started."""

    def __init__(self, thread: threading.Thread, place: Place | None) -> None:
        self.thread = thread
        self.place = place
        self.given_up = False  # it was waited for long enough

    def __str__(self) -> str:
        started = f" started at {self.place}" if self.place else ""
        return f"thread {self.thread.name}{started}{standing(self.thread.ident)}"


class Workers:
    """The threads of one world, and the decision whether the loop has to wait for one of them."""

    def __init__(self) -> None:
        self.alive: dict[Worker, None] = {}
        self._known: Any = ()  # a WeakSet, once it is needed: futures that are awaited and in no thread's hand

    def started(self, thread: threading.Thread, run: Callable[[], None], place: Place | None) -> Callable[[], None]:
        """What the thread shall run instead of `run`, to be known here until it ends."""
        worker = Worker(thread, place)
        self.alive[worker] = None

        def known() -> None:
            try:
                run()
            finally:
                self.alive.pop(worker, None)

        return known

    def forget(self, thread: threading.Thread) -> None:
        """The thread could not be started."""
        for worker in [worker for worker in self.alive if worker.thread is thread]:
            del self.alive[worker]

    def bring(self, loop: Any, wakeups: SimpleQueue[None], limit: float,
              on_late: Callable[[str], None] | None = None) -> bool:
        """Really wait while a thread may bring something; True when something has come.

        A thread that has a future of the loop in hand is waited for, `limit` real seconds; then `on_late` is told. At
        the end, when nothing else can wake the program, `on_late` is None: then every thread is waited for that does
        something else than waiting.
        """
        deadline = monotonic() + limit
        looks, before = 0, None
        # A new future may be on its way: from 3.13 on a queue hands what is put to a waiting thread directly, and it is
        # in no place that can be looked at until that thread runs on.
        new = _awaited(loop).difference(self._known)
        while True:
            busy, places = self._look(loop, on_late is None)
            if not busy:
                looks = looks + 1 if places == before else 1
                if not (places or new) or looks == LOOKS:
                    self._known = self._known or weakref.WeakSet()
                    self._known |= new
                    return False
            before = places
            try:
                wakeups.get(timeout=LOOK_EVERY)
                return True
            except queue.Empty:
                if monotonic() > deadline:
                    for worker in busy:
                        worker.given_up = True
                    if busy and on_late is not None:
                        on_late("; ".join(map(str, busy)))
                        return True

    def _look(self, loop: Any, at_the_end: bool) -> tuple[list[Worker], list[tuple[int | None, int]]]:
        """Those that are busy with something for the loop, and where the others stand that could be."""
        frames = sys._current_frames()
        busy, places = [], []
        for worker in list(self.alive):
            frame = frames.get(worker.thread.ident or 0)
            if frame is None or worker.given_up:
                continue
            queued, held = in_hand(worker.thread, frame, loop)
            if queued or (held or at_the_end) and not waits(frame):
                busy.append(worker)
            elif held or at_the_end:
                places.append((worker.thread.ident, frame.f_lasti))
        return busy, places

    def hint(self) -> str:
        """Who may still be at work when nothing can wake the program, and the cure; "" when there is no thread."""
        names = [str(worker) for worker in list(self.alive)]
        if len(names) > THREADS_NAMED:
            names[THREADS_NAMED:] = [f"{len(names) - THREADS_NAMED} more threads"]
        return "\n  ".join([*names, "may still be at work: wrap what waits for a thread in `with hold_clock():`"]) \
            if names else ""


def linger(alive: Callable[[], Sequence[int | None]]) -> None:
    """Give threads that are about to end the real time to do so: not more than LINGER, less where they all wait.

    `alive()` gives the identifiers of those that are still there.
    """
    deadline = monotonic() + LINGER
    looks, before = 0, None
    pause: SimpleQueue[None] = SimpleQueue()
    while (idents := alive()) and looks < LOOKS_AT_THE_END and monotonic() < deadline:
        frames = sys._current_frames()
        stand = [frames.get(ident or 0) for ident in idents]
        places = [(frame.f_code, frame.f_lasti) for frame in stand if frame is not None and waits(frame)]
        looks = looks + 1 if places == before and len(places) == len(idents) else 0
        before = places
        with contextlib.suppress(queue.Empty):
            pause.get(timeout=LOOK_EVERY)


# -- what a thread has in hand


def in_hand(thread: threading.Thread, frame: types.FrameType, loop: Any) -> tuple[bool, bool]:
    """Whether a pending future of the loop lies in a queue within reach of a thread, and whether one does anywhere."""
    reached: list[Any] = [thread]  # with its arguments: a thread that begins has no frame of the user yet
    for step in program_frames(outward(frame)):
        reached += step.f_locals.values()
    within = list(_reach(reached, thread))
    queues = [thing for thing in within if issubclass(type(thing), (queue.SimpleQueue, queue.Queue))]
    if any(_is_pending(thing, loop) for one in queues for thing in _reach([one], thread)):
        return True, True
    return False, any(_is_pending(thing, loop) for thing in within)


def _awaited(loop: Any) -> set[asyncio.Future[Any]]:
    """The futures that tasks wait for, without those that other tasks or timers will resolve."""
    timed = {id(arg) for timer in loop._scheduled for arg in timer._args or ()}
    waiters = map(waiter_of, asyncio.all_tasks(loop))
    return {future for future in waiters
            if future is not None and not isinstance(future, asyncio.Task) and id(future) not in timed}


def _is_pending(thing: Any, loop: Any) -> bool:
    return issubclass(type(thing), asyncio.Future) and not thing.done() and thing.get_loop() is loop


def _reach(things: list[Any], own: threading.Thread) -> Iterator[Any]:
    """Everything within reach of some things, nearest first, up to OBJECTS of them."""
    seen: set[int] = set()
    line = collections.deque(things)
    while line and len(seen) < OBJECTS:
        thing = line.popleft()
        # By its own type: isinstance() would ask it for its __class__, which a dead proxy has not.
        kind = type(thing)
        if id(thing) in seen or thing is None or issubclass(kind, _DEAD_ENDS):
            continue
        seen.add(id(thing))
        module: Any = getattr(kind, "__module__", "")
        if issubclass(kind, asyncio.Task) or issubclass(kind, threading.Thread) and thing is not own:
            continue
        yield thing
        if issubclass(kind, asyncio.Future) or is_plumbing(module) and module not in _ON_THE_WAY:
            continue
        if kind is types.FunctionType:  # not its globals
            line += thing.__closure__ or ()
        else:
            line += gc.get_referents(thing)
