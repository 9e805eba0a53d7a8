"""A record: what is known of one sealed thread, and the gate at which it waits for its turn."""

from __future__ import annotations

import collections
import threading
import types
from _thread import allocate_lock, get_ident
from collections import Counter
from collections.abc import Callable, Iterable
from gc import get_referents
from math import inf
from typing import Any, Protocol

from ....errors import SleepForeverError, SolipsismError, VirtualTimeLimitError
from ....introspection.modules import is_ours, module_of, root_of
from ....introspection.places import Place
from ....introspection.tasks import coroutine_name, task_behind
from ....introspection.threads import frame_of, standing
from ....kernel.clock import Hold

READY = "ready"  # it stands in line for its turn
RUNNING = "running"  # it has the turn
WAITING = "waiting"
STRAY = "stray"  # it runs though it has lost its turn: it came to no wait for too long
BLIND = "blind"  # it is in a wait that nobody sees, of the interpreter's own
DONE = "done"

class Waker(Protocol):
    """What is asked of a baton by who has a record of it."""

    def wake(self, waiter: Waiter) -> None:
        """End a wait, unless it is over."""


REALLY_WAITS = -1  # in place of the number of a loop: it waits for the real world

Waiter = tuple["Record", int]  # and the number of its wait


class Over(SystemExit):
    """Ends a thread that waits in a world or a program that is over. Python reports no SystemExit of a thread."""


ENDED = "the program that this thread belongs to has ended"


MANY = 5  # waits from which a thread can be unwound: one that is still there catches everything


class Why:
    """What a thread waits for, in words; and whom that leads to."""

    __slots__ = ("call", "thing")

    def __init__(self, call: str, thing: object = None) -> None:
        self.call = call
        self.thing = thing

    def __str__(self) -> str:
        return self.call


NOTHING = Why("nothing")
SHOWN = 3  # kinds of jobs of a full pool


class Record:
    """A sealed thread, and its part in the turns that the threads of a world take."""

    __slots__ = ("baton", "name", "place", "number", "ident", "native", "gate", "state", "why", "deadline", "look",
                 "token", "woken", "timed_out", "error", "real", "seen", "is_free", "is_worker", "came_by_itself",
                 "joiners", "order", "quiet", "patience", "is_impatient", "looks_at", "looks", "used", "stood", "rests",
                 "was_blind", "stand_in", "stands_for", "ends", "__weakref__")

    def __init__(self, baton: Waker, name: str, number: int, place: Place | None = None) -> None:
        self.baton = baton
        self.name = name
        self.place = place  # where it was started
        self.number = number  # in the order of making
        self.ident = self.native = 0  # until it has begun
        self.gate = allocate_lock()  # held; released once for each turn
        self.gate.acquire()
        self.state = READY
        self.why = NOTHING
        self.deadline = inf  # of its wait, in virtual time
        self.look: Callable[[], bool] | None = None  # whether what it waits for may be there
        self.token = 0  # the number of its wait
        self.woken = False  # what it is about to wait for has come
        self.timed_out = False
        self.error: BaseException | None = None  # to be raised where it waits
        self.seen = 0  # how many waits had begun when its own did
        self.real = 0  # it is in calls that wait for the real world
        self.is_free = False  # meant to run on: it takes no turns and never holds the clock
        self.is_worker = False  # of a pool
        self.ends = 0  # how often it was told to since its program has ended, and once for that
        self.came_by_itself = False  # nobody in the world has started it
        self.joiners: collections.deque[Waiter] = collections.deque()
        self.order = 0  # the number of the loop that is parked on it; 0 for none
        self.quiet = False  # that loop has to decide how time goes on
        self.patience = inf  # real seconds without a sign of life from anybody, after which its wait ends
        self.is_impatient = False  # so it has ended
        # Of the stray that is looked for: at what time virtual time stood, and how often it looked in vain then.
        self.looks_at, self.looks = -inf, 0
        self.used = -1.0  # seconds of a processor at the last look of who waits for its turn
        self.rests = 0  # how many looks in a row have found it asleep
        self.was_blind = False
        self.stood: Any = None  # how often it was given a processor, at the last look
        # While it waits its thread runs the loop, as this one; and the other way round.
        self.stand_in: Record | None = None
        self.stands_for: Record | None = None

    def begin(self, *, by_itself: bool = False) -> None:
        """It is this thread, which may have come by itself."""
        self.came_by_itself = by_itself
        self.ident, self.native = get_ident(), threading.get_native_id()

    def raise_what_struck(self) -> None:
        """Raise its error, if it has one."""
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def __repr__(self) -> str:
        return f"<Record of {self.name}, {self.state}>"


# -- in words


def stuck(records: Iterable[Record], now: float, due: float, reach: float) -> SolipsismError:
    """The error of threads without a loop that cannot go on; `due` is when one would, and `reach` how far time may go.
    """
    kind: type[SolipsismError] = SleepForeverError
    reason = "no thread can go on" if due == inf else f"time may not go on to t={due!r}, where a thread would"
    if -inf < reach < due < inf:
        kind = VirtualTimeLimitError
        reason = f"the test goes on beyond its virtual time limit, to t={due!r} where a thread goes on,"
    return kind("\n  ".join([f"{reason} at t={now!r}", *lines(records)]))


def lines(records: Iterable[Record]) -> list[str]:
    """A line for each thread that waits: where, for what, and who holds that; first the circles in which they wait.

    Those that run loops, or are meant to run on, have none, and neither have those of pools that have no job.
    """
    known = {record.ident: record.stands_for or record for record in list(records)}
    said = [(record, _wait_in_words(record, known, frame_of(record.ident)), standing(record.ident))
            for record in known.values() if record.state is WAITING and not record.order]
    busy = [each for each in said if each[1] != _IDLE]
    return [*_circles(known), *_full_pools([record.ident for record, _, _ in busy if record.is_worker]),
            *(f"{named(record)} waits {wait}{stand}" for record, wait, stand in busy if not record.is_free)]


def _wait_in_words(record: Record, known: dict[int, Record], frame: types.FrameType | None) -> str:
    called = behind = ""
    while frame is not None and (is_ours(module_of(frame)) or root_of(module_of(frame)) in _WAITING):
        if frame.f_code.co_name in _BEGINNING:
            break
        if not is_ours(module_of(frame)):
            called = frame.f_code.co_qualname
            task = task_behind(frame.f_locals["self"]) if called == "Future.result" else None
            behind = f" of {task.get_name()} ({coroutine_name(task)})" if task is not None else ""
        frame = frame.f_back
    holder = _holder(record)
    if called and not isinstance(record.why.thing, threading.Thread):
        return f"in {called}(){behind}"
    if holder == record.ident:
        return f"for {record.why} that it holds itself"
    if holder in known and not isinstance(record.why.thing, threading.Thread):
        return f"for {record.why} that thread {known[holder].name} holds"
    return f"for {record.why}"


_WAITING = frozenset({"threading", "queue", "concurrent"})
_IDLE = "in _worker()"  # of concurrent.futures: for a job
_BEGINNING = frozenset({"run", "_bootstrap_inner", "_bootstrap"})  # of a thread


def _holder(record: Record) -> int:
    """The thread that has what is waited for, or is what is waited for; 0 for none."""
    thing: Any = record.why.thing
    if isinstance(thing, threading.Thread):
        return thing.ident or 0
    owner = getattr(thing, "owner", None)
    if owner is None and "owner=" in (text := repr(thing)):  # of an RLock
        owner = int(text.partition("owner=")[2].split()[0])
    return owner or 0


def _circles(known: dict[int, Record]) -> list[str]:
    """The circles of threads that wait for each other."""
    found: dict[frozenset[int], str] = {}
    for start in known:
        path: list[int] = []
        at = start
        while at in known and at not in path and known[at].state is WAITING:
            path.append(at)
            at = _holder(known[at])
        circle = path[path.index(at):] if at in path else []
        if len(circle) > 1:
            names = [known[ident].name for ident in circle]
            found.setdefault(frozenset(circle), "threads wait for each other in a circle: "
                                                + " -> ".join([*names, names[0]]))
    return list(found.values())


def _full_pools(waiting: list[int]) -> list[str]:
    """A line for each pool whose workers are all among these, and in whose queue jobs wait, and what to do about it."""
    found = []
    for pool in dict.fromkeys(filter(None, map(_pool_of, waiting))):
        jobs = _queued(pool) if all(thread.ident in waiting for thread in pool._threads) else []
        if jobs:
            kinds = list(Counter(jobs).items())
            found.append("\n      ".join([
                f"pool {pool._thread_name_prefix} is full: its {_counted(len(pool._threads), 'worker')}, and "
                f"{_counted(len(jobs), 'job')} in its queue",
                *(f"{job}{f' ({count} times)' if count > 1 else ''}" for job, count in kinds[:SHOWN]),
                *([f"and {len(kinds) - SHOWN} more"] if len(kinds) > SHOWN else [])]))
    return [*found, _ADVICE] if found else []


_ADVICE = ("  a job that waits for another one of its own pool needs a worker more: give that one a pool of its own, "
           "or the pool more workers")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}s wait" if number > 1 else f"{number} {noun} waits"


def _pool_of(ident: int) -> Any:
    """The pool that a thread is a worker of; None for none."""
    frame = frame_of(ident)
    while frame is not None and not (frame.f_code.co_name == "_worker" and module_of(frame) in _OF_POOLS):
        frame = frame.f_back
    return frame.f_locals["executor_reference"]() if frame is not None else None


_OF_POOLS = frozenset({"concurrent.futures.thread"})


def _queued(pool: Any) -> list[str]:
    """The jobs that wait for a worker of a pool, the first one first, and who has submitted them."""
    queue = getattr(pool._work_queue, "_real", pool._work_queue)
    # Up to 3.12 it has a list, from then on it has them itself.
    items = [item for thing in get_referents(queue) for item in (thing if type(thing) is list else [thing])]
    futures = [item.future for item in items if hasattr(item, "future") and not item.future.done()]
    found = []
    for future in futures:
        job = next((each for callback in future._done_callbacks for each in getattr(callback, "args", ())
                    if isinstance(each, Hold)), None)
        found.append(f"{job.reason}, submitted at {job.place}" if job is not None else "another job")
    return found


def named(record: Record) -> str:
    """A thread, and where it was started."""
    return f"thread {record.name}" + (f" started at {record.place}" if record.place else "")
