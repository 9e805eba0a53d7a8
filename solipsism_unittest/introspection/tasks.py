"""Where a suspended task stands, what a future stands for, and the order in which tasks are named."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from gc import get_referents
from inspect import getcoroutinestate, iscoroutine
from types import CoroutineType, FrameType, FunctionType, MethodType
from typing import Any, TypeVar

from ..pythons import REGISTERS_OF_TASKS
from .modules import is_plumbing, module_of

# These await for somebody and have no attribute that says for whom: `async for`, `anext()`, a coroutine's __await__().
_WRAPPERS = frozenset({"async_generator_asend", "async_generator_athrow", "anext_awaitable", "coroutine_wrapper"})

Task = asyncio.Task[Any]
Future = asyncio.Future[Any]
T = TypeVar("T")


_all_tasks = asyncio.all_tasks  # a program may put its own in that place
# Sets: of a WeakSet the one that it keeps.
_REGISTERS: list[Any] = [getattr(register, "data", register) for register in
                         map(vars(asyncio.tasks).get, REGISTERS_OF_TASKS)]


def all_tasks(loop: asyncio.AbstractEventLoop) -> set[Task]:
    """As asyncio's, which on some Pythons takes microseconds where there is no task in the whole process."""
    return _all_tasks(loop) if any(_REGISTERS) or not _REGISTERS else set()


def frame_of(step: object) -> FrameType | None:
    """The frame of a coroutine, generator or async generator; None for one that has ended, and for anything else."""
    if type(step) is CoroutineType:
        return step.cr_frame  # None where it has ended
    return getattr(step, "cr_frame", None) or getattr(step, "gi_frame", None) or getattr(step, "ag_frame", None)


def awaited(step: object) -> object:
    """What a coroutine or generator that is suspended awaits; None where it awaits nothing."""
    if type(step) is CoroutineType:
        return None if step.cr_running else step.cr_await
    if type(step).__name__ in _WRAPPERS:
        return next(iter(get_referents(step)), None)
    if getattr(step, "cr_running", False) or getattr(step, "gi_running", False):
        return None  # up to CPython 3.12 it must not be asked: what it answers is chance, and now and then a crash
    inner = getattr(step, "cr_await", None) or getattr(step, "gi_yieldfrom", None)
    return inner or getattr(step, "ag_await", None)


def steps(task: Task) -> Iterator[object]:
    """The coroutines and other awaitables that a suspended task stands in, outermost first."""
    step: object = task.get_coro()
    while step is not None:
        yield step
        step = awaited(step)


def await_chain(task: Task) -> list[FrameType]:
    """The frames that a suspended task stands in, outermost first."""
    return [frame for frame in map(frame_of, steps(task)) if frame is not None]


def calls(frames: Sequence[FrameType]) -> Iterator[FrameType]:
    """The frames of asyncio's coroutines, and of ours, at the inner end of a chain, the innermost first."""
    return itertools.takewhile(lambda frame: is_plumbing(module_of(frame)), reversed(frames))


async def stating(words: Callable[[], str], awaitable: Awaitable[T]) -> T:
    """Await something. A report about a task that stands here says `words()`: what it waits for.

    Whoever makes the wait states its reason, so no report needs a list of our coroutines.
    """
    return await awaitable


def stated(frame: FrameType) -> str | None:
    """What a task waits for in the words of the wait's owner, for a frame of `stating()`; None for any other."""
    words = frame.f_locals["words"] if frame.f_code is stating.__code__ else None
    return str(words()) if words is not None else None


def is_new(task: Task) -> bool:
    """Whether a task has not made its first step."""
    coroutine = task.get_coro()
    return iscoroutine(coroutine) and getcoroutinestate(coroutine) == inspect.CORO_CREATED


def waiter_of(task: object) -> Any:
    """The future that a suspended task waits for; None for a task that is about to run, and for what is no task."""
    return getattr(task, "_fut_waiter", None)


def members_of(future: object) -> list[Any] | None:
    """The members of a gather() that have not ended; None for any other future."""
    children = getattr(future, "_children", None)
    return None if children is None else [child for child in children if not child.done()]


def call_of(frames: Sequence[FrameType], qualname: str) -> FrameType | None:
    """The frame of one of asyncio's coroutines, where the inner end of a chain stands in it; else None."""
    return next((frame for frame in calls(frames) if frame.f_code.co_qualname == qualname), None)


def entered(referents: Iterable[object]) -> list[object]:
    """The objects that a suspended coroutine is inside `async with` of, by its references, the outermost first."""
    found = []
    referents = list(referents)
    for index, thing in enumerate(referents):
        if type(thing) is MethodType and thing.__func__.__name__ == "__aexit__":
            found.append(thing.__self__)
        elif type(thing) is FunctionType and thing.__name__ == "__aexit__" and index + 1 < len(referents):
            found.append(referents[index + 1])  # from 3.14 on: the function, and then the object
    return found


def awaited_tasks(future: object) -> list[Task]:
    """The tasks all of which must end before a future is done."""
    if isinstance(future, asyncio.Task):
        return [future]
    members = members_of(future)
    if members is not None:
        return [task for member in members for task in awaited_tasks(member)]
    inner = shielded(future)
    return awaited_tasks(inner) if inner is not None else []


def shielded(future: object) -> Any:
    """What a shield() protects, or None where a future is none."""
    # It is the first callback. There may be one of each of thousands of tasks, which all ask the same.
    first = itertools.islice(getattr(future, "_callbacks", None) or (), 1)
    return _in_closure((callback for callback, _ in first), "shield.<locals>._outer_done_callback", "inner")


def gathering(future: object) -> Any:
    """The future of the gather() that a future is one of, or None."""
    return _closed_over(future, "gather.<locals>._done_callback", "outer")


def job_of(future: object) -> Any:
    """The concurrent.futures.Future that an asyncio future follows, or None."""
    own = getattr(future, "job_source", None)  # of run_in_executor()
    return own or _closed_over(future, _FOLLOWS, "source")


def task_behind(source: object) -> Any:
    """The task that a concurrent.futures.Future follows, as that of run_coroutine_threadsafe(), or None."""
    return _in_closure(getattr(source, "_done_callbacks", ()), _FOLLOWS, "source")


_FOLLOWS = "_chain_future.<locals>._call_check_cancel"


def _closed_over(future: object, qualname: str, variable: str) -> Any:
    return _in_closure((callback for callback, _ in getattr(future, "_callbacks", None) or ()), qualname, variable)


def _in_closure(callbacks: Iterable[Any], qualname: str, variable: str) -> Any:
    for callback in callbacks:
        if getattr(callback, "__qualname__", "") == qualname:
            return callback.__closure__[callback.__code__.co_freevars.index(variable)].cell_contents
    return None


def by_name(task: Task) -> tuple[str, int]:
    """A key to sort tasks by, `Task-10` after `Task-9`."""
    prefix, _, number = task.get_name().rpartition("-")
    return (prefix, int(number)) if number.isdecimal() else (task.get_name(), 0)


def retrieve(future: Future) -> None:
    """Read the error of a future that is done, so that asyncio does not log it."""
    if not future.cancelled():
        future.exception()


def coroutine_name(task: Task) -> str:
    """The name of a task's coroutine."""
    kept = getattr(task, "coroutine_name", None)
    if kept is not None:
        return str(kept)
    coroutine = task.get_coro()
    return str(getattr(coroutine, "__qualname__", type(coroutine).__name__))
