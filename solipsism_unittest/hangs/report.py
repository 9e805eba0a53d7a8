"""The report of a hang: what happened, every task, and what happened last.

Owns the text. Each task has its name, the line where it waits, what it waits for, and where it was made. The text is
the same on every Python and in every run: no memory addresses, nothing that only some version's repr shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from ..introspection.handles import turn_words
from ..introspection.names import NAMES, listed
from ..introspection.places import Place, made_at
from ..introspection.tasks import Task, by_name, coroutine_name
from ..kernel import Kernel
from ..kernel.journal import counted
from ..kernel.wall import MANY
from ..stdlib.worlds import World
from .hints import bound_words, exact_words, exit_words, program_words, running_words, trust_words
from .locks import Stand, Waiting
from .refused import refusal_words, taken_words
from .waits import waits_for
from .words import real_clock_words, way, where

LAST_RECORDS = 3
FEW = 12  # tasks: up to this number each has its own lines
ALIKE = 3  # of more tasks than that: how many that wait alike have their own lines, as long as there is room
ROOM = 30  # tasks that have their own lines in all, and kinds of tasks whose others are counted


# -- the report


def task_lines(tasks: Iterable[Task], waiting: Waiting | None = None) -> list[str]:
    """Some lines for each task, by name, which is the order in which tasks were made.

    Of many that wait alike some have their own lines and the others are counted: a thousand fit on a few screens.
    """
    waiting = waiting or Waiting(sorted(tasks, key=by_name))
    kinds: dict[tuple[str, str, Place | None], list[Task]] = {}
    places: dict[Stand, str] = {}
    for task in waiting.tasks:
        coroutine, stand = coroutine_name(task), waiting.stand_of(task)
        if stand not in places:
            places[stand] = where(waiting.frames_of(task))
        kinds.setdefault((coroutine, places[stand].removesuffix(f" in {coroutine}"), made_at(task)), []).append(task)
    alike = FEW if len(waiting.tasks) <= FEW else min(ALIKE, max(1, ROOM // max(1, len(kinds))))
    shown = dict(list(kinds.items())[:ROOM])
    described = {task: kind for kind, members in shown.items() for task in members[:alike]}
    lines = []
    for task in filter(described.__contains__, waiting.tasks):
        coroutine, place, made = described[task]
        frames = waiting.frames_of(task)
        by_way_of = way(frames)
        lines.append(f"  {task.get_name()} ({coroutine}) at {place}"
                     + (f"\n      by way of {by_way_of}" if by_way_of else "")
                     + f"\n      waits for {waits_for(task, frames, waiting)}"
                     + (f"\n      made at {made}" if made else ""))
    for (coroutine, place, _), members in shown.items():
        if len(members) > alike:
            names = listed([task.get_name() for task in members[alike:]])
            lines.append(f"  and {len(members) - alike} more ({coroutine}) at {place}: {names}")
    others = list(kinds.values())[ROOM:]
    if others:
        lines.append(f"  and {sum(map(len, others))} more, of {len(others)} other kinds")
    return lines


def cycle_lines(waiting: Waiting) -> list[str]:
    """A line for each cycle of tasks that wait for each other."""
    cycles = waiting.cycles()
    return ([f"  a cycle: {waiting.cycle_words(cycle)}" for cycle in cycles[:NAMES]]
            + ([f"  and {counted(len(cycles) - NAMES, 'more cycle')}"] if len(cycles) > NAMES else []))


def ran_words(counts: Iterable[tuple[asyncio.Handle, int]], turns: int) -> str:
    """How often each of some tasks and callbacks ran."""
    each = listed([f"{turn_words(handle)} {counted(count, 'time')}" for handle, count in counts])
    return f"{each} (in {turns} turns)"


def reasons(failure: BaseException, world: World) -> Iterator[str]:
    """Why a failure may have come, and what to do about it: connections refused, a clock that is real, and others."""
    kernel = world.kernel
    yield from refusal_words(failure, kernel)
    yield from taken_words(failure, kernel)
    yield from exit_words(failure)
    yield from bound_words(failure)
    yield from running_words(failure)
    yield from trust_words(failure, world)
    if isinstance(failure, AssertionError):
        yield from program_words(failure)
        if words := kernel.wall.replaced_words() or kernel.wall.words():
            yield words
        elif any(record.time != kernel.clock.now for record in kernel.journal):  # virtual time has gone by
            yield from real_clock_words(failure, kernel.wall.is_set)
            yield from exact_words(failure)


def report(reason: str, kernel: Kernel, tasks: Iterable[Task], hint: str = "",
           going_on: Iterable[asyncio.Handle] = (), ran: str = "") -> str:
    """The whole text: what happened, at which time, every task, and what happened last.

    `hint` is the cause, or what to do about it. `going_on` are the callbacks that run now; `ran` has their words, where
    somebody has counted them. Cycles come first.
    """
    now = ran or listed(list(dict.fromkeys(map(turn_words, going_on))))
    tasks = sorted(tasks, key=by_name)
    waiting = Waiting(tasks)
    count = f"{len(tasks)} task{'s' if len(tasks) != 1 else ''}" if tasks else "the loop has no task"
    fate = "" if hint or not tasks else " wait for ever" if len(tasks) > 1 else " waits for ever"
    clock = kernel.wall.replaced_words() or (kernel.wall.words() if kernel.wall.reads >= MANY else "")
    last = kernel.journal.last_effects(LAST_RECORDS)
    held = list(map(repr, list(kernel.clock.holds)))  # a copy: other threads release them
    holds = listed(held)
    if any(hold.startswith("<Hold: executor job") for hold in held):
        holds += "\n    a job that waits for what comes later in time is submitted inside `with self.background():`"
    return "\n".join([
        f"{reason} at t={kernel.clock.now!r}: {count}{fate}",
        *([f"  {hint}"] if hint else []),
        *([f"  {clock}"] if clock else []),
        *cycle_lines(waiting),
        *([f"  it runs now: {now}"] if now else []),
        *([f"  the clock is held by: {holds}"] if holds else []),
        *task_lines(tasks, waiting),
        *(["  what happened last:"] if last else []),
        *(f"      {record}" for record in last),
    ])
