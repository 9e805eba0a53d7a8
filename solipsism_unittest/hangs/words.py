"""Tasks, futures and callbacks in words: the same on every Python and in every run."""

from __future__ import annotations

import asyncio
from asyncio import selector_events
from collections.abc import Iterable, Iterator, Sequence
from dis import get_instructions
from types import CodeType, FrameType
from typing import Any

from ..introspection.exceptions import lines_of
from ..introspection.handles import clue, clue_words, task_of, turn_words
from ..introspection.modules import is_of_program, module_of, program_frames
from ..introspection.names import listed
from ..introspection.places import Place, function_words, line_words
from ..introspection.tasks import Task, await_chain, by_name, coroutine_name, members_of

WAY = 6  # lines of an await chain that a report has


def task_words(task: Task) -> str:
    """A task by its name and its coroutine's."""
    return f"{task.get_name()} ({coroutine_name(task)})"


def future_words(future: asyncio.Future[Any]) -> str:
    """A task, an executor job, a gather() or any other future."""
    if isinstance(future, asyncio.Task):
        return task_words(future)
    return getattr(future, "job_name", None) or ("a future" if members_of(future) is None else "gather()")


def slow_words(seconds: float, runs: Any, now: float) -> str:
    """Who kept the processor in a turn of the loop, for certain where one handle ran alone.

    `runs` is what the turn ran: a handle that ran alone (or a timer that may not have been due), a list of clues, or
    None.
    """
    if isinstance(runs, list):
        who = "one of " + listed(list(dict.fromkeys(map(clue_words, runs))))
    elif runs is not None and not runs.cancelled() and getattr(runs, "_when", now) <= now:
        who = _step_words(runs)
    else:
        who = ""
    return f"{who or 'something that the loop ran'} took {seconds:.2f} seconds of the processor"


def slow_place(runs: Any, tasks: Iterable[asyncio.Task[Any]]) -> Place | None:
    """A line of the program for what ran in a turn of the loop (see `slow_words`); None where nothing of it ran."""
    clues = runs if isinstance(runs, list) else [] if runs is None else [task_of(runs) or clue(runs)]
    is_named = any(isinstance(one, str) for one in clues)
    named = {task.get_name(): task for task in tasks} if is_named else {}  # there may be 100,000
    for one in clues:
        task = named.get(one) if isinstance(one, str) else one
        code = _code_of(task)
        if isinstance(task, asyncio.Task):
            for frame in program_frames(await_chain(task))[-1:]:
                return Place.of(frame)
        if code is not None and (is_of_program(code.co_filename) or code.co_filename == selector_events.__file__):
            # A transport calls the program's protocol: nobody knows of which line.
            return Place(code, 0)
    return None


def _code_of(thing: Any) -> CodeType | None:
    if isinstance(thing, asyncio.Task):
        return getattr(thing.get_coro(), "cr_code", None)
    return thing if isinstance(thing, CodeType) else getattr(thing, "__code__", None)


def _step_words(handle: asyncio.Handle) -> str:
    task = task_of(handle)
    if task is None:
        return turn_words(handle)
    frames = await_chain(task)
    coroutine = coroutine_name(task)
    state = f"is at {where(frames)} now" if frames else "has ended"
    return f"task {task.get_name()} ({coroutine}), which {state},"


def where(frames: Sequence[FrameType]) -> str:
    """The user's innermost line of an await chain."""
    for frame in program_frames(frames)[-1:]:
        return line_words(frame.f_code, frame.f_lineno)
    return f"{module_of(frames[-1])}.{frames[-1].f_code.co_qualname}" if frames else "nowhere"


# What reads a real clock in C, as names that code loads one after the other, and what to set for another one.
_OF_WALL = ", or set wall_start on the test class"
_REAL_CLOCKS = {
    ("perf_counter",): "", ("perf_counter_ns",): "", ("datetime", "now"): _OF_WALL, ("datetime", "utcnow"): _OF_WALL,
    ("datetime", "today"): _OF_WALL, ("date", "today"): _OF_WALL,
}


def real_clock_words(error: BaseException, wall_is_set: bool) -> Iterator[str]:
    """What to say about an assertion that failed in code which calls a clock that does not follow virtual time."""
    frames = [line.tb_frame for line in lines_of(error.__traceback__)]
    for frame in program_frames(frames)[-1:]:
        loaded = [step.argval for step in get_instructions(frame.f_code)]
        for names, cure in _REAL_CLOCKS.items():
            if names in zip(*(loaded[start:] for start in range(len(names))), strict=False) \
                    and not (cure and wall_is_set):
                yield (f"{'.'.join(names)}(), which {function_words(frame.f_code)} calls, is real and does not follow "
                       f"virtual time: measure by time.monotonic() or loop.time(){cure}")


# -- what for


def task_names(futures: Iterable[Any]) -> str:
    """Tasks by name, in order; futures by their number."""
    tasks = [future for future in futures if isinstance(future, asyncio.Task)]
    others = sum(not isinstance(future, asyncio.Task) for future in futures)
    rest = [f"{others} future{'s' if others > 1 else ''}"] if others else []
    return listed([task.get_name() for task in sorted(tasks, key=by_name)] + rest)


def way(frames: Sequence[FrameType]) -> str:
    """The user's lines of an await chain above the innermost one, outermost first; "" for none."""
    lines = [function_words(frame.f_code, frame.f_lineno) for frame in program_frames(frames)[:-1]]
    if len(lines) > WAY:
        lines[WAY // 2:-(WAY // 2)] = [f"{len(lines) - WAY} more"]
    return ", ".join(lines)
