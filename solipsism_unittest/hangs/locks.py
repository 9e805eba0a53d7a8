"""Who awaits what, and who holds what another awaits.

Owns the search for the holders of locks, and for cycles of tasks. asyncio's locks do not know who holds them, and a
record at run time would cost every test something. But a task that is suspended inside `async with lock:` has the
lock's `__aexit__` on the value stack of its coroutine, and `gc.get_referents` shows that. So everything is found when a
report is written, and costs nothing before. A bare `acquire()` leaves no such trace: the holder stays unknown, and
nobody is accused.
"""

from __future__ import annotations

import asyncio
import functools
from asyncio import locks
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, _AsyncGeneratorContextManager
from gc import get_referents
from types import AsyncGeneratorType, FrameType
from typing import Any, NamedTuple

from ..introspection.names import known_as
from ..introspection.tasks import (
    Task,
    awaited,
    awaited_tasks,
    by_name,
    call_of,
    entered,
    frame_of,
    steps,
    waiter_of,
)


def _lock_of(thing: object) -> object:
    return thing._lock if isinstance(thing, asyncio.Condition) else thing  # type: ignore[attr-defined]


def deadline(steps: Iterable[object]) -> float | None:
    """When the earliest asyncio.timeout() around a chain ends it; None for never."""
    limits = [thing.when() for step in steps for thing in entered(get_referents(step))
              if isinstance(thing, asyncio.Timeout)]
    return min((when for when in limits if when is not None), default=None)


def _is_inside(step: object) -> bool:
    """Whether a step may be inside of an `async with`, or holds what may be."""
    referents = get_referents(step)
    return bool(entered(referents)) or any(type(thing) is AsyncGeneratorType for thing in referents)


def _held(steps: Iterable[object], frames: Sequence[FrameType]) -> list[object]:
    """The locks and semaphores whose `async with` a chain is inside of; one that it entered twice is there twice."""
    held: list[object] = []
    todo: list[object] = list(steps)
    seen: set[int] = set()
    while todo:
        step = todo.pop(0)
        if id(step) in seen:
            continue
        seen.add(id(step))
        referents = get_referents(step)
        inside = entered(referents)
        own = frame_of(step)
        if own is not None and "release" in own.f_code.co_names:
            inside = []  # it may have released something by hand: nobody is accused
        frame = frame_of(awaited(step))
        if inside and frame is not None and frame.f_code.co_name == "__aenter__" \
                and frame.f_locals.get("self") is inside[-1]:
            inside.pop()  # it is about to be entered
        # A step can be an async generator itself, and hold a lock for whoever iterates over it.
        todo += [thing for thing in referents if type(thing) is AsyncGeneratorType]
        for thing in inside:
            if isinstance(thing, AsyncExitStack):
                callbacks = thing._exit_callbacks  # type: ignore[attr-defined]
                inside += entered(callback for _, callback in callbacks)
            elif isinstance(thing, _AsyncGeneratorContextManager):
                todo.append(thing.gen)
        held += [_lock_of(thing) for thing in inside if isinstance(thing, locks._ContextManagerMixin)]
    waiting = call_of(frames, "Condition.wait")
    if waiting is not None:
        free = waiting.f_locals["self"]._lock  # released for as long as it waits
        held = [lock for lock in held if lock is not free]
    return held


class Cause(NamedTuple):
    """One reason why a task cannot go on: something that another task must do first."""

    lock: object  # or None
    task: Task | None  # who is awaited, where no lock is between them


Stand = tuple[int, ...]  # the code and the instruction of each frame that a task stands in


class _Standing(NamedTuple):
    """Where a task stands."""

    stand: Stand
    frames: list[FrameType]  # outermost first
    chain: list[object]  # the coroutines and other awaitables


class Waiting:
    """Some tasks, what each of them holds, and what each waits for. It is made for one report.

    Everything is found when somebody asks for it, for of thousands of tasks a report describes a few. Tasks that stand
    at the same lines have one `stand`, and what depends on nothing else is found once for all of them.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.tasks = list(tasks)
        self._known = set(self.tasks)
        self._numbers: dict[int, str] = {}
        self._kept: list[object] = []  # so that no id() is given twice
        self._counts: dict[str, int] = {}
        self._found: dict[Task, _Standing] = {}
        self._calls: dict[Stand, tuple[int | None, ...]] = {}  # where in the frames; see _calls_of()

    def frames_of(self, task: Task) -> list[FrameType]:
        """The frames that a task stands in, outermost first."""
        return self._standing(task).frames

    def stand_of(self, task: Task) -> Stand:
        """A key that is the same for all tasks that stand at the same lines."""
        return self._standing(task).stand

    def _standing(self, task: Task) -> _Standing:
        found = self._found.get(task)
        if found is None:
            chain = list(steps(task))
            frames = [frame for frame in map(frame_of, chain) if frame is not None]
            numbers = [number for frame in frames for number in (id(frame.f_code), frame.f_lasti)]
            found = self._found[task] = _Standing(tuple(numbers), frames, chain)
        return found

    def deadline_of(self, task: Task) -> float | None:
        """When a timeout around what a task waits for ends it; None for never."""
        return deadline(self._standing(task).chain)

    def holders(self, lock: object) -> list[Task]:
        """The tasks that are inside `async with` on a lock; more than one for a semaphore."""
        return list(self._holders.get(id(lock), ()))

    @functools.cached_property
    def _holders(self) -> dict[int, dict[Task, None]]:
        """By the id of a lock, who holds it."""
        holders: dict[int, dict[Task, None]] = {}
        inside: dict[Stand, list[int]] = {}  # which steps of those that stand so are inside of anything
        for task in self.tasks:
            stand, frames, chain = self._standing(task)
            if stand not in inside:
                inside[stand] = [number for number, step in enumerate(chain) if _is_inside(step)]
            for lock in _held([chain[number] for number in inside[stand]], frames) if inside[stand] else ():
                holders.setdefault(id(lock), {})[task] = None
                self._kept.append(lock)
        return holders

    def name(self, lock: object, task: Task | None = None) -> str:
        """A short name, the same in the whole report, with what this task's code calls it: `Lock 1 (self.left)`."""
        if id(lock) not in self._numbers:
            kind = type(lock).__name__
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            self._numbers[id(lock)] = f"{kind} {number}"
            self._kept.append(lock)
        frames = self.frames_of(task) if task is not None else []
        known = known_as(lock, frames) or next(
            (f"{name}._lock" for condition in _conditions(frames) if condition._lock is lock
             and (name := known_as(condition, frames))), "")
        return f"{self._numbers[id(lock)]} ({known})" if known else self._numbers[id(lock)]

    def cause(self, task: Task) -> list[Cause]:
        """What other tasks must do before a task goes on; [] where it waits for anything else."""
        acquire, group, some = self._calls_of(task)
        if acquire is not None:
            return [Cause(acquire.f_locals["self"], None)]
        futures: list[Any] = []
        if group is not None:
            futures = sorted(group.f_locals["self"]._tasks, key=by_name)
        elif some is not None:
            pending = [future for future in some.f_locals["fs"] if not future.done()]
            if some.f_locals["return_when"] == asyncio.ALL_COMPLETED or len(pending) == 1:
                futures = sorted((task for each in pending for task in awaited_tasks(each)), key=by_name)
        else:
            futures = [waiter_of(task)]
        return [Cause(None, each) for future in futures for each in awaited_tasks(future)]

    def _calls_of(self, task: Task) -> list[FrameType | None]:
        """The frames of three calls in which a task waits for others: for a lock, a group, and some tasks."""
        stand, frames, _ = self._standing(task)
        if stand not in self._calls:
            found = (call_of(frames, "Lock.acquire") or call_of(frames, "Semaphore.acquire"),
                     call_of(frames, "TaskGroup.__aexit__"), call_of(frames, "_wait"))
            self._calls[stand] = tuple(None if call is None else frames.index(call) for call in found)
        return [None if index is None else frames[index] for index in self._calls[stand]]

    def _blockers(self, task: Task) -> list[tuple[object, Task]]:
        return [(cause.lock, other) for cause in self.cause(task)
                for other in ([cause.task] if cause.task is not None else self.holders(cause.lock))
                if other in self._known]

    def cycles(self) -> list[list[tuple[Task, object]]]:
        """Each cycle of tasks. Every task has with it the lock it waits for; None where it awaits the next task."""
        found: list[list[tuple[Task, object]]] = []
        over: set[Task] = set()
        for start in self.tasks:
            if start in over:
                continue
            path: list[tuple[Task, Iterator[tuple[object, Task]]]] = [(start, iter(self._blockers(start)))]
            via: list[object] = []
            on_path = {start: 0}
            while path:
                task, blockers = path[-1]
                for lock, other in blockers:
                    if other in on_path:
                        since = on_path[other]
                        cycle = list(zip([each for each, _ in path[since:]], [*via[since:], lock], strict=True))
                        first = min(range(len(cycle)), key=lambda index: by_name(cycle[index][0]))
                        found.append(cycle[first:] + cycle[:first])
                    elif other not in over:
                        on_path[other] = len(path)
                        via.append(lock)
                        path.append((other, iter(self._blockers(other))))
                        break
                else:
                    path.pop()
                    over.add(task)
                    del on_path[task]
                    if via:
                        via.pop()
        return found

    def cycle_words(self, cycle: list[tuple[Task, object]]) -> str:
        """A cycle as a sentence: `A holds L1 and waits for L2; B holds L2 and waits for L1`."""
        parts = []
        for index, (task, lock) in enumerate(cycle):
            before = cycle[index - 1][1]
            holds = f"{verb(before)} {self.name(before, task)} and " if before is not None else ""
            following = cycle[(index + 1) % len(cycle)][0]
            wanted = self.name(lock, task) if lock is not None else f"task {following.get_name()}"
            parts.append(f"{task.get_name()} {holds}waits for {wanted}")
        return "; ".join(parts)


def verb(lock: object) -> str:
    """What it means that a task is inside `async with lock`: for asyncio's own locks, that it holds them."""
    return "holds" if type(lock) in (asyncio.Lock, asyncio.Semaphore, asyncio.BoundedSemaphore) else "is inside"


def _conditions(frames: Sequence[FrameType]) -> list[Any]:
    waiting = call_of(frames, "Condition.wait")
    return [waiting.f_locals["self"]] if waiting is not None else []
