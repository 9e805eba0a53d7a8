"""Who awaits what, and who holds what another awaits.

Owns the walk down a suspended task's chain of awaits, and the search for holders and for cycles of them. asyncio's
locks do not know who holds them, and writing it down at run time would cost every test something; but a task that is
suspended inside `async with lock:` has the lock's `__aexit__` on the value stack of its coroutine, where the garbage
collector's own question (`gc.get_referents`) shows it. So all of it is found when a report is written, and nothing
before. A lock that was taken by a bare `acquire()` leaves no such trace: nobody knows its holder, nobody is accused.
"""

from __future__ import annotations

import asyncio
import gc
from asyncio import locks
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, _AsyncGeneratorContextManager
from types import AsyncGeneratorType, FrameType, FunctionType, MethodType
from typing import Any, NamedTuple

from ..introspection.places import is_plumbing
from ..stdlib.threads.jobs import source_of

# What awaits on behalf of somebody and does not say for whom: `async for`, `anext()`, a coroutine's __await__().
_WRAPPERS = frozenset({"async_generator_asend", "async_generator_athrow", "anext_awaitable", "coroutine_wrapper"})
SEARCHED = 1_000  # things of a container, at most, that are looked through for a name

Task = asyncio.Task[Any]


def frame_of(step: Any) -> FrameType | None:
    """The frame of a coroutine, a generator or an async generator; None when it has ended, or is none of these."""
    return getattr(step, "cr_frame", None) or getattr(step, "gi_frame", None) or getattr(step, "ag_frame", None)


def _awaited(step: Any) -> Any:
    if type(step).__name__ in _WRAPPERS:
        return next(iter(gc.get_referents(step)), None)
    inner = getattr(step, "cr_await", None) or getattr(step, "gi_yieldfrom", None)
    return inner or getattr(step, "ag_await", None)


def steps(task: Task) -> Iterator[Any]:
    """The coroutines and other awaitables that a suspended task stands in, outermost first."""
    step: Any = task.get_coro()
    while step is not None:
        yield step
        step = _awaited(step)


def await_chain(task: Task) -> list[FrameType]:
    """The frames that a suspended task stands in, outermost first."""
    return [frame for frame in map(frame_of, steps(task)) if frame is not None]


def call_of(frames: Sequence[FrameType], qualname: str) -> FrameType | None:
    """The frame of one of asyncio's coroutines at the inner end of a chain, where the user's code does not stand."""
    for frame in reversed(frames):
        if is_plumbing(frame.f_globals.get("__name__", "")):
            if frame.f_code.co_qualname == qualname:
                return frame
        else:
            break
    return None


def known_as(thing: object, frames: Sequence[FrameType]) -> str:
    """How the user's code at the end of a chain calls a thing: `lock`, `self.left`, `forks[2]`; "" for not at all."""
    for frame in reversed(frames):
        if is_plumbing(frame.f_globals.get("__name__", "")):
            continue
        known = dict(frame.f_locals)
        for name, value in known.items():
            if value is thing:
                return name
        for name, value in known.items():
            inside = _inside(name, value, thing)
            if inside:
                return inside
        for name in frame.f_code.co_names:
            if frame.f_globals.get(name) is thing:
                return name
    return ""


def _inside(name: str, value: Any, thing: object) -> str:
    # By its own type: isinstance() would ask it for its __class__, which a dead proxy has not.
    if issubclass(type(value), (list, tuple)):
        for index, item in enumerate(value[:SEARCHED]):
            if item is thing:
                return f"{name}[{index}]"
    elif issubclass(type(value), dict):
        for key, item in list(value.items())[:SEARCHED]:
            if item is thing and isinstance(key, (str, int)):
                return f"{name}[{key!r}]"
    else:
        # Past any __getattr__ and property of the user's.
        try:
            attributes = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return ""
        for key, item in list(attributes.items())[:SEARCHED]:
            if item is thing:
                return f"{name}.{key}"
    return ""


def entered(referents: Iterable[Any]) -> list[Any]:
    """The objects whose `__aexit__` is among what a suspended coroutine refers to, in the order of entering."""
    found = []
    referents = list(referents)
    for index, thing in enumerate(referents):
        if type(thing) is MethodType and thing.__func__.__name__ == "__aexit__":
            found.append(thing.__self__)
        elif type(thing) is FunctionType and thing.__name__ == "__aexit__" and index + 1 < len(referents):
            found.append(referents[index + 1])  # from 3.14 on: the function, and then the object
    return found


def _lock_of(thing: Any) -> Any:
    return thing._lock if isinstance(thing, asyncio.Condition) else thing  # type: ignore[attr-defined]


def deadline(steps: Iterable[Any]) -> float | None:
    """When the first asyncio.timeout() around a chain ends it; None for never."""
    limits = [thing.when() for step in steps for thing in entered(gc.get_referents(step))
              if isinstance(thing, asyncio.Timeout)]
    return min((when for when in limits if when is not None), default=None)


def _held(steps: Iterable[Any], frames: Sequence[FrameType]) -> list[Any]:
    """The locks and semaphores inside whose `async with` a chain stands; one that is entered twice is there twice."""
    held: list[Any] = []
    todo: list[Any] = list(steps)
    seen: set[int] = set()
    while todo:
        step = todo.pop(0)
        if id(step) in seen:
            continue
        seen.add(id(step))
        referents = gc.get_referents(step)
        inside = entered(referents)
        own = frame_of(step)
        if own is not None and "release" in own.f_code.co_names:
            inside = []  # it may have given something back by hand: nobody is accused
        frame = frame_of(_awaited(step))
        if inside and frame is not None and frame.f_code.co_name == "__aenter__" \
                and frame.f_locals.get("self") is inside[-1]:
            inside.pop()  # it is about to be entered
        # A step can be an async generator itself, and lock something on behalf of who iterates over it.
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
        free = waiting.f_locals["self"]._lock  # given back for as long as it waits
        held = [lock for lock in held if lock is not free]
    return held


class Cause(NamedTuple):
    """One reason why a task cannot go on: something that another task would have to do."""

    lock: Any  # or None
    task: Task | None  # who is awaited, where no lock stands between


def _awaited_tasks(future: Any) -> list[Task]:
    """The tasks all of which must end before a future is done."""
    if isinstance(future, asyncio.Task):
        return [future]
    children = getattr(future, "_children", None)  # of a gather()
    if children is not None:
        return [task for child in children if not child.done() for task in _awaited_tasks(child)]
    inner = shielded(future)
    return _awaited_tasks(inner) if inner is not None else []


def shielded(future: Any) -> Any:
    """What a shield() protects, or None where a future is none."""
    return _closed_over(future, "shield.<locals>._outer_done_callback", "inner")


def gathering(future: Any) -> Any:
    """The future of the gather() that a future is one of, or None."""
    return _closed_over(future, "gather.<locals>._done_callback", "outer")


def job_of(future: Any) -> Any:
    """The concurrent.futures.Future that an asyncio future follows, or None."""
    return source_of(future) or _closed_over(future, "_chain_future.<locals>._call_check_cancel", "source")


def _closed_over(future: Any, qualname: str, variable: str) -> Any:
    for callback, _ in getattr(future, "_callbacks", None) or ():
        if getattr(callback, "__qualname__", "") == qualname:
            return callback.__closure__[callback.__code__.co_freevars.index(variable)].cell_contents
    return None


class Scene:
    """Some tasks, what each holds, and what each waits for; made for one report."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.tasks = list(tasks)
        self._numbers: dict[int, str] = {}
        self._kept: list[Any] = []  # so that no id() is given twice
        self._counts: dict[str, int] = {}
        self.frames: dict[Task, list[FrameType]] = {}
        self.deadlines: dict[Task, float | None] = {}
        self._holders: dict[int, dict[Task, None]] = {}
        for task in self.tasks:
            chain = list(steps(task))
            self.frames[task] = frames = [frame for frame in map(frame_of, chain) if frame is not None]
            self.deadlines[task] = deadline(chain)
            for lock in _held(chain, frames):
                self._holders.setdefault(id(lock), {})[task] = None
                self._kept.append(lock)

    def holders(self, lock: Any) -> list[Task]:
        """The tasks that are inside `async with` on a lock; more than one for a semaphore."""
        return list(self._holders.get(id(lock), ()))

    def name(self, lock: Any, task: Task | None = None) -> str:
        """A short name, the same in the whole report, with what this task's code calls it: `Lock 1 (self.left)`."""
        if id(lock) not in self._numbers:
            kind = type(lock).__name__
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            self._numbers[id(lock)] = f"{kind} {number}"
            self._kept.append(lock)
        frames = self.frames.get(task, []) if task is not None else []
        known = known_as(lock, frames) or next(
            (f"{name}._lock" for condition in _conditions(frames) if condition._lock is lock
             and (name := known_as(condition, frames))), "")
        return f"{self._numbers[id(lock)]} ({known})" if known else self._numbers[id(lock)]

    def cause(self, task: Task) -> list[Cause]:
        """What keeps a task from going on, as far as other tasks would have to do something; [] for anything else."""
        frames = self.frames.get(task, [])
        for qualname in ("Lock.acquire", "Semaphore.acquire"):
            call = call_of(frames, qualname)
            if call is not None:
                return [Cause(call.f_locals["self"], None)]
        group = call_of(frames, "TaskGroup.__aexit__")
        some = call_of(frames, "_wait")
        futures: list[Any] = []
        if group is not None:
            futures = sorted(group.f_locals["self"]._tasks, key=by_name)
        elif some is not None:
            pending = [future for future in some.f_locals["fs"] if not future.done()]
            if some.f_locals["return_when"] == asyncio.ALL_COMPLETED or len(pending) == 1:
                futures = sorted((task for each in pending for task in _awaited_tasks(each)), key=by_name)
        else:
            futures = [getattr(task, "_fut_waiter", None)]
        return [Cause(None, each) for future in futures for each in _awaited_tasks(future)]

    def _blockers(self, task: Task) -> list[tuple[Any, Task]]:
        return [(cause.lock, other) for cause in self.cause(task)
                for other in ([cause.task] if cause.task is not None else self.holders(cause.lock))
                if other in self.frames]

    def cycles(self) -> list[list[tuple[Task, Any]]]:
        """Each closed chain of tasks, every one with the lock (None: the task itself) of the next that it waits for."""
        found: list[list[tuple[Task, Any]]] = []
        over: set[Task] = set()
        for start in self.tasks:
            if start in over:
                continue
            path: list[tuple[Task, Iterator[tuple[Any, Task]]]] = [(start, iter(self._blockers(start)))]
            via: list[Any] = []
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

    def cycle_words(self, cycle: list[tuple[Task, Any]]) -> str:
        """A cycle as a sentence: `A holds L1 and waits for L2; B holds L2 and waits for L1`."""
        parts = []
        for index, (task, lock) in enumerate(cycle):
            before = cycle[index - 1][1]
            holds = f"{verb(before)} {self.name(before, task)} and " if before is not None else ""
            following = cycle[(index + 1) % len(cycle)][0]
            wanted = self.name(lock, task) if lock is not None else f"task {following.get_name()}"
            parts.append(f"{task.get_name()} {holds}waits for {wanted}")
        return "; ".join(parts)


def verb(lock: Any) -> str:
    """What the presence of a task inside `async with lock` means; only asyncio's own locks are surely held then."""
    return "holds" if type(lock) in (asyncio.Lock, asyncio.Semaphore, asyncio.BoundedSemaphore) else "is inside"


def _conditions(frames: Sequence[FrameType]) -> list[Any]:
    waiting = call_of(frames, "Condition.wait")
    return [waiting.f_locals["self"]] if waiting is not None else []


def by_name(task: Any) -> tuple[str, int]:
    """A key to sort tasks by, `Task-10` after `Task-9`."""
    prefix, _, number = task.get_name().rpartition("-")
    return (prefix, int(number)) if number.isdecimal() else (task.get_name(), 0)


# -- tasks that await each other in a circle


def _cancelled_along(task: Any) -> list[Any]:
    """The tasks that a task's `cancel()` hands the cancellation on to."""
    waiter = getattr(task, "_fut_waiter", None)
    awaited = getattr(waiter, "_children", None) or [waiter]
    return [each for each in awaited if isinstance(each, asyncio.Task) and not each.done()]


def loosen(tasks: Iterable[Any]) -> bool:
    """Open the circles in which tasks await each other; say whether there was one.

    `cancel()` hands itself on to the awaited task, and in a circle for ever: CPython ends in a RecursionError, or in a
    crash. One task of a circle gets its CancelledError by another way; the others can be cancelled when it has run.
    """
    opened: set[Any] = set()
    over: set[Any] = set()
    for start in tasks:
        path = [(start, iter(_cancelled_along(start)))]
        on_path = {start}
        while path:
            task, along = path[-1]
            following = next((each for each in along if each not in over), None)
            if following is None or task in opened:
                path.pop()
                over.add(task)
                on_path.discard(task)
            elif following in on_path:
                opened.add(task)
                _wake_cancelled(task)
            else:
                path.append((following, iter(_cancelled_along(following))))
                on_path.add(following)
    return bool(opened)


def _wake_cancelled(task: Task) -> None:
    awaited: Any = task._fut_waiter  # type: ignore[attr-defined]
    for callback, context in list(awaited._callbacks or ()):
        if getattr(callback, "__self__", None) is task:
            awaited.remove_done_callback(callback)
            instead: Any = task.get_loop().create_future()
            instead.add_done_callback(callback, context=context)
            instead.cancel()
            awaited.add_done_callback(retrieve)  # nobody else will


def retrieve(future: Any) -> None:
    """Read the error of a future that is done, so that asyncio does not tell of it."""
    if not future.cancelled():
        future.exception()
