"""What follows from a hang: the run that is driven, and how tasks that await each other are let go."""

from __future__ import annotations

import asyncio
import math
import weakref
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ..errors import SolipsismError, VirtualTimeLimitError
from ..hangs import reachability
from ..introspection.tasks import Task, members_of, retrieve, waiter_of

__unittest = True
__tracebackhide__ = True
__unittest = True  # unittest leaves frames of this module out of a traceback
__tracebackhide__ = True  # and so does pytest

MOVERS = 5  # so many of those who move the clock are named


def mover_lines(loop: Any) -> list[str]:
    """Who keeps the clock moving, where it has moved often."""
    selector = loop.selector
    moving = [*reachability.movers(loop)[:MOVERS], *_most_made(loop.kernel.journal)]
    if selector.jumps_left == selector.jumps_allowed or not moving:
        return []
    return ["who keeps the clock moving:", *(f"    {who}" for who in moving)]


# -- virtual time


def virtual_time_limit(loop: Any, seconds: float | None) -> None:
    """Let the loop's time go `seconds` from now and no further: it is stuck then. None lifts the limit."""
    selector = loop.selector

    def beyond(when: float) -> None:
        selector.horizon = loop.time() + (seconds or 0)  # what is unwound may take time too
        moving = [*reachability.movers(loop)[:MOVERS], *_most_made(loop.kernel.journal)]
        loop.stuck(VirtualTimeLimitError, f"the test goes on beyond its virtual time limit of {seconds:g} s",
                    "\n  ".join([f"the next thing would happen at t={when!r}; who keeps the clock moving:",
                                 *(f"    {who}" for who in moving)]))

    selector.horizon = loop.time() + seconds if seconds is not None else math.inf
    selector.on_horizon = beyond


def _most_made(journal: Any) -> list[str]:
    """Which sleeps and timers are most frequent in the journal."""
    made: Counter[str] = Counter()
    for record in journal:
        if record.kind == "sleep":
            made[f"sleep({record.facts[0] - record.time:g})"] += 1
        elif record.kind == "timer":
            made[f"timers that call {record.facts[1] or 'something'}"] += 1
    return [f"of the last {len(journal):,} events {count:,} are {what}" for what, count in made.most_common(2)
            if count > 1]


# -- tasks that await each other in a circle


def _cancelled_along(task: Any) -> list[Any]:
    """The tasks that a task's `cancel()` hands the cancellation on to."""
    waiter = waiter_of(task)
    awaited = members_of(waiter) or [waiter]
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
    awaited = waiter_of(task)
    for callback, context in list(awaited._callbacks or ()):
        if getattr(callback, "__self__", None) is task:
            awaited.remove_done_callback(callback)
            instead: Any = task.get_loop().create_future()
            instead.add_done_callback(callback, context=context)
            instead.cancel()
            awaited.add_done_callback(retrieve)  # nobody else will


class Run:
    """One `run_until_complete()`: what it drives, and what was found on the way."""

    __slots__ = ("main", "closing", "verdict", "times_stuck", "waiter", "jumps")

    def __init__(self, main: asyncio.Future[Any], closing: bool) -> None:
        self.main = main
        self.closing = closing  # it belongs to the end of a runner, whose program was judged before
        self.verdict: SolipsismError | None = None
        self.times_stuck = 0
        self.waiter: weakref.ref[Any] | None = None  # what `main` waited for when that was last looked at
        self.jumps = 0  # of the clock, at least so many since `main` made a step
