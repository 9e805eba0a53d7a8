"""The threads that a sealed thread has started: where each of them stands, and whether it has work of the loop in hand.

Owns the register of such threads, but not executor workers and timers (`jobs` has those). A library with a thread of
its own takes requests from a queue, and brings each result with `call_soon_threadsafe()`. Nothing in asyncio shows that
the thread has a request. The future that somebody awaits shows it: as long as the thread can reach it, in a queue or in
its frames, and does not wait, the answer may still come. Whether a thread waits is asked of the operating system: a
thread that has been woken, and has no processor yet, looks to Python as if it still waited.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import queue
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from gc import get_referents
from queue import SimpleQueue
from typing import Any

from ...introspection.modules import is_plumbing, outward, program_frames
from ...introspection.places import Place
from ...introspection.threads import Real, Turns, asleep, processor_time, resting, standing, waits

LOOK_EVERY = 0.001  # real seconds between two looks at a thread
LOOKS_AT_STRANGERS = 20  # looks that wait until threads of no world rest too
PATIENCE = 0.05  # seconds of a processor
LINGER = 1.0  # real seconds for threads that are on their way out when a test ends
LOOKS_AT_THE_END = 50  # threads that this many looks find waiting are taken for left
OBJECTS = 1_000  # how many are looked at in search of a future
THREADS_NAMED = 3
# What leads from a thread to everything, or to nothing.
_DEAD_ENDS = (type, types.ModuleType, types.FrameType, types.CodeType, types.CoroutineType, types.GeneratorType,
              types.AsyncGeneratorType, str, bytes, int, float, asyncio.AbstractEventLoop)
# Of modules whose objects lead astray (a transport, a runner), those that may be on the way to a future.
_ON_THE_WAY = frozenset({"asyncio.locks", "asyncio.queues", "threading", "functools"})


class Worker:
    """A live thread, and where it was started."""

    def __init__(self, thread: threading.Thread, place: Place | None) -> None:
        self.thread = thread
        self.place = place
        self.given_up = False  # the loop has waited for it long enough
        self.on_its_own = False  # it runs and runs, with nothing of the loop in hand

    def __str__(self) -> str:
        started = f" started at {self.place}" if self.place else ""
        return f"thread {self.thread.name}{started}{standing(self.thread.ident)}"


class Workers:
    """The threads of one world, and the decision whether the loop has to wait for one of them."""

    def __init__(self) -> None:
        self.alive: dict[Worker, None] = {}
        self._rested: Turns = {}  # of all of them, at the moment when they rested and nothing was to come

    def started(self, thread: threading.Thread, run: Callable[[], None], place: Place | None) -> Callable[[], None]:
        """Make what the thread runs instead of `run`: it is in the register until it ends."""
        worker = Worker(thread, place)
        self.alive[worker] = None
        self._rested = {}

        def known() -> None:
            try:
                run()
            finally:
                self.alive.pop(worker, None)

        return known

    def forget(self, thread: threading.Thread) -> None:
        """Forget a thread that could not be started."""
        for worker in [worker for worker in self.alive if worker.thread is thread]:
            del self.alive[worker]

    def bring(self, loop: Any, wakeups: SimpleQueue[None], limit: float,
              on_late: Callable[[str], None] | None = None) -> bool:
        """Really wait while a thread may bring something; True when something has come.

        Nothing comes any more when all threads rest at one moment, each in a call that waits for others. The loop waits
        `limit` real seconds for a thread that has a future of the loop in hand, and then calls `on_late(who)`. One that
        runs and has nothing in hand may be about to take something: it gets PATIENCE of a processor. At the end, when
        nothing else can wake the program, `on_late` is None: then the loop waits for every thread that does not wait.
        """
        if on_late is not None and self._rested and asleep(self._rested) == self._rested:
            return not wakeups.empty()  # none of them has run since the last time
        self._rested = {}
        deadline = Real.monotonic() + limit
        begun: dict[Worker, float] = {}
        looks = 0
        while True:
            looks += 1
            busy, rest = self._look(loop, begun, strangers=looks < LOOKS_AT_STRANGERS, at_the_end=on_late is None)
            if rest is not None and not busy:
                break
            with contextlib.suppress(queue.Empty):
                wakeups.get(timeout=LOOK_EVERY)
                return True
            if Real.monotonic() > deadline:
                break
        if busy and on_late is not None:
            for worker in busy:
                worker.given_up = True
            on_late("; ".join(map(str, busy)))
            return True
        self._rested = rest or {}
        return not wakeups.empty()

    def _look(self, loop: Any, begun: dict[Worker, float], *, strangers: bool, at_the_end: bool
              ) -> tuple[list[Worker], Turns | None]:
        """The threads that are busy with something for the loop; and, when all rest, how often each has run.

        `strangers` are the other threads of the process: while one of them runs, another may wait for the interpreter.
        `begun` says how much processor time each running thread had used at the first look.
        """
        workers = {worker.thread.native_id or 0: worker for worker in list(self.alive)}
        left_out = [number for number, worker in workers.items() if worker.given_up or worker.on_its_own]
        rest = resting(None if strangers else workers, left_out)
        frames = sys._current_frames()
        busy = []
        for number, worker in workers.items():
            frame = frames.get(worker.thread.ident or 0)
            if frame is None or worker.given_up:
                continue
            waiting = waits(frame)
            if not (rest is not None and waiting) and (at_the_end or in_hand(worker.thread, frame, loop)):
                busy.append(worker)
            elif worker.on_its_own and waiting:
                worker.on_its_own, rest = False, None  # it may wait for the loop from now on
            elif rest is None and not worker.on_its_own:
                used = processor_time(number)
                worker.on_its_own = used - begun.setdefault(worker, used) > PATIENCE
        return busy, None if rest is None else {number: rest[number] for number in workers if number in rest}

    def hint(self) -> str:
        """Which threads may still be at work when nothing can wake the program, and the cure; "" without threads."""
        names = [str(worker) for worker in list(self.alive)]
        if len(names) > THREADS_NAMED:
            names[THREADS_NAMED:] = [f"{len(names) - THREADS_NAMED} more threads"]
        return "\n  ".join([*names, "may still be at work: wrap what waits for a thread in `with hold_clock():`"]) \
            if names else ""


def linger(alive: Callable[[], Sequence[int | None]]) -> None:
    """Give threads that are about to end the real time to do so: at most LINGER, and less where they all wait.

    `alive()` gives the identifiers of the threads that are still there.
    """
    deadline = Real.monotonic() + LINGER
    looks, before = 0, None
    pause: SimpleQueue[None] = SimpleQueue()
    while (idents := alive()) and looks < LOOKS_AT_THE_END and Real.monotonic() < deadline:
        frames = sys._current_frames()
        stand = [frames.get(ident or 0) for ident in idents]
        places = [(frame.f_code, frame.f_lasti) for frame in stand if frame is not None and waits(frame)]
        looks = looks + 1 if places == before and len(places) == len(idents) else 0
        before = places
        with contextlib.suppress(queue.Empty):
            pause.get(timeout=LOOK_EVERY)


# -- what a thread has in hand


def in_hand(thread: threading.Thread, frame: types.FrameType, loop: Any) -> bool:
    """Whether a thread can reach a pending future of the loop, in a queue or in its frames."""
    reached: list[Any] = [thread]  # with its arguments: a thread that begins has no frame of the user yet
    for step in program_frames(outward(frame)):
        reached += step.f_locals.values()
    return any(_is_pending(thing, loop) for thing in _reach(reached, thread))


def _is_pending(thing: Any, loop: Any) -> bool:
    return issubclass(type(thing), asyncio.Future) and not thing.done() and thing.get_loop() is loop


def _reach(things: list[Any], own: threading.Thread) -> Iterator[Any]:
    """Everything that some things refer to, nearest first, up to OBJECTS of them."""
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
            line += get_referents(thing)
