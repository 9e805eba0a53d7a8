"""What follows from a hang: what is reported, which run ends with it, and how tasks are let go.

Owns the runs that a loop drives and the answers to its selector. The first hang of a run cancels the task that is
driven, the second every task, and the third gives up.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import weakref
from asyncio import all_tasks
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from sys import _getframe
from typing import Any, Protocol, TypeVar

from ..errors import LivelockError, SleepForeverError, SolipsismError, VirtualTimeLimitError
from ..hangs import reachability, report, words
from ..hangs.spins import SpinLook
from ..introspection import exceptions, names
from ..introspection.debuggers import debugging
from ..introspection.tasks import Task, by_name, members_of, retrieve, waiter_of
from ..kernel import Kernel
from ..kernel.journal import Journal
from ..stdlib.holdings import Holdings
from ..stdlib.worlds import World
from .gone import ends_program
from .inventory import Inventory
from .selector import VirtualSelector
from .timers import Timer

__unittest = True  # unittest leaves frames of this module out of a traceback
__tracebackhide__ = True  # and so does pytest

T = TypeVar("T")

MOVERS = 5  # tasks and timers that are named as movers of the clock


class Loop(Protocol):
    """What is asked here of a SolipsistEventLoop."""

    selector: VirtualSelector
    world: World
    holdings: Holdings | None

    @property
    def kernel(self) -> Kernel:
        """The machine that the loop runs on."""

    @property
    def inventory(self) -> Inventory:
        """What the program has made on the loop, and what will run."""

    def next_timer(self) -> Timer | None:
        """The timer that is due next."""

    def choose_turns(self) -> None:
        """Decide whose turns are made."""

    def time(self) -> float:
        """The virtual time."""

    def call_soon(self, callback: Callable[..., object], *args: object) -> asyncio.Handle:
        """As asyncio's."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As asyncio's."""


class Run:
    """One `run_until_complete()`: what it drives, and what was found on the way."""

    __slots__ = ("main", "is_closing", "verdict", "times_stuck", "waiter", "jumps")

    def __init__(self, main: asyncio.Future[Any], is_closing: Callable[[], bool]) -> None:
        self.main = main
        self.is_closing = is_closing  # whether it is part of the end of a runner, whose program has its result already
        self.verdict: SolipsismError | None = None
        self.times_stuck = 0
        self.waiter: weakref.ref[object] | None = None  # what `main` waited for when that was last looked at
        self.jumps = 0  # of the clock, at least this many since `main` made a step


class Hangs:
    """What follows from the hangs of one loop: the owner of its selector."""

    __slots__ = ("loop", "_driven")

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self._driven: Run | None = None  # the innermost run_until_complete()

    def drive(self, main: asyncio.Future[T], run: Callable[[asyncio.Future[T]], T], is_closing: Callable[[], bool]
              ) -> T | None:
        """Run until `main` is done. A hang on the way is raised, whatever the program made of being cancelled.

        Where `is_closing()`, which is asked in a hang alone, a hang goes to the loop's exception handler.
        """
        current = self._driven = Run(main, is_closing)
        cause = result = None
        try:
            while True:
                try:
                    result = run(main)
                    break
                except (KeyboardInterrupt, SystemExit) as error:
                    if not ends_program(self.loop.holdings, error):
                        raise
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            if current.verdict is None:
                raise
            # What the program raised on being cancelled is reported above the hang, as what came with it.
            if error is not current.verdict and not isinstance(error, asyncio.CancelledError):
                cause = error
        finally:
            self._driven = None
        verdict = current.verdict
        if verdict is None:
            return result
        if is_closing():
            self.loop.call_exception_handler({"message": "a hang while the runner closed", "exception": verdict})
            return None
        try:
            raise verdict from cause
        finally:
            del current, verdict, cause  # the traceback has this frame: no cycle may keep the program's objects alive

    # -- what the selector asks and reports

    def next_deadline(self) -> float:
        """When the earliest timer is due; infinity where there is none."""
        timer = self.loop.next_timer()  # `_run_once` has just taken the cancelled ones off the top
        return timer._when + 0.0 if timer is not None else math.inf  # a timer may have an int

    def next_timer(self) -> Timer | None:
        """The earliest timer; None where there is none."""
        return self.loop.next_timer()

    def stuck(self, kind: type[SolipsismError], reason: str, hint: str) -> None:
        """Report a hang, and cancel what is driven, so that the program unwinds."""
        waiting = self._pending()
        if kind is LivelockError:
            hint += self._ahead()
        hint = "\n  ".join(filter(None, [hint, *_beside(self.loop)]))
        error = kind(report.report(reason, self.loop.kernel, waiting, hint, self._going_on(), self._ran(kind)))
        self.loop.kernel.journal.note("stuck", (kind.__name__,))
        run = self._driven
        if run is None:
            raise error
        run.times_stuck += 1
        if run.verdict is None:
            run.verdict = error.with_traceback(exceptions.awaiting_line(run.main))
        if run.times_stuck == 1:
            self._cancel([run.main])
        elif run.times_stuck == 2:
            self._cancel(waiting)
        else:
            self._give_up(run, run.verdict, waiting)

    def _ahead(self) -> str:
        """What comes next in time, which a program that spins keeps away; "" where nothing does."""
        due = self.next_deadline()
        if not self.loop.time() < due < math.inf:
            return ""
        return (f"\n  at t={due!r} {reachability.movers(self.loop)[0]} would run: a program that polls for what comes "
                'then waits with a positive sleep, and with on_polling = "jump" on its class time goes there by itself')

    def _give_up(self, run: Run, verdict: SolipsismError, waiting: Sequence[Task]) -> None:
        refusing = ", ".join(task.get_name() for task in waiting)
        verdict.add_note(f"cancelled twice, and still there: {refusing}" if refusing else
                         "every task was cancelled, and the program still does not end")
        if not run.is_closing():
            raise verdict
        for task in waiting:
            # A runner that closes goes through the results: the task is over as a future, its coroutine stays.
            asyncio.Future.cancel(task)

    def _pending(self) -> list[Task]:
        return sorted(all_tasks(self.loop), key=by_name)  # type: ignore[arg-type]

    def _cancel(self, tasks: Sequence[asyncio.Future[Any]], again: bool = True) -> None:
        if not loosen(self._pending()):
            for task in tasks:
                with contextlib.suppress(RecursionError):  # it awaits a thousand others in a row: they end one by one
                    task.cancel()
        elif again:  # when those that were woken have run
            self.loop.call_soon(self._cancel, tasks, False)

    def _ran(self, kind: type[SolipsismError]) -> str:
        """How often each task or callback ran in the turns that were looked at; "" where none were."""
        look = self.loop.selector.spins.look
        if kind is not LivelockError or not isinstance(look, SpinLook):
            return ""
        return report.ran_words(look.most(), look.turns)

    def question_the_wait(self) -> int:
        """Find out whether the main task can still go on; gives after how many jumps of the clock to ask again.

        A main task that made a step since the last question goes on. One that made none may sleep behind a heartbeat
        for ever. Reasoning finds that out, each time that the number of jumps has doubled.
        """
        run, jumps = self._driven, self.loop.selector.limits.jumps
        if run is None:
            return jumps
        waiter = waiter_of(run.main) if isinstance(run.main, asyncio.Task) else run.main
        if waiter is None or run.waiter is None or run.waiter() is not waiter:
            run.waiter, run.jumps = None if waiter is None else weakref.ref(waiter), 0
            return jumps
        del waiter  # can_go_on() counts who holds it
        run.jumps = run.jumps * 2 or jumps
        if reachability.can_go_on(run.main, self.loop):
            return run.jumps
        run.waiter = None
        timers = len(self.loop.inventory.timers())
        count = "1 timer still moves" if timers == 1 else f"{timers} timers still move"
        self.stuck(SleepForeverError, f"the test can never go on, though {count} time",
                   "nothing that will run can reach what it waits for; the clock is kept moving by "
                   + names.listed(reachability.movers(self.loop)))
        return jumps

    def beyond(self, when: float) -> None:
        """The next thing would happen beyond the virtual time limit: report that as a hang."""
        selector = self.loop.selector
        seconds = selector.limits.virtual_seconds
        limit_virtual_time(self.loop, seconds)  # what is unwound may take time too
        self.stuck(VirtualTimeLimitError, f"the test goes on beyond its virtual time limit of {seconds:g} s",
                   "\n  ".join([f"the next thing would happen at t={when!r}; who keeps the clock moving:",
                                *(f"    {who}" for who in _movers(self.loop))]))

    def look(self) -> SpinLook:
        """A look at what the loop runs turn by turn."""
        return SpinLook(self._going_on)

    def _going_on(self) -> list[asyncio.Handle]:
        """What would run in this turn of the loop: of a program that spins, the culprit is among it."""
        inventory, keys = self.loop.inventory, self.loop.selector.keys
        # Mostly none is due, and of thousands of timers the first says so.
        timers = inventory.timers() if self.next_deadline() <= self.loop.time() else []
        due = [timer for timer in timers if timer.when() <= self.loop.time()]
        polled = [handle for file, _ in self.loop.kernel.ready() if file.number in keys
                  for handle in keys[file.number].data or ()]
        return [handle for handle in [*inventory.ready(), *due, *polled]
                if handle is not None and not handle.cancelled()]

    def choose_turns(self) -> None:
        """Somebody has replaced `select()` of the selector, or has taken that back: whose turns are made now?"""
        self.loop.choose_turns()

    def slow_turn(self, seconds: float, runs: object) -> None:
        """Note a turn of the loop that took this many seconds of the processor, with what ran in it."""
        place = words.slow_place(runs, self.loop.inventory.tasks())
        if place is not None and not debugging(_getframe()):
            self.loop.selector.blocking.note_slow(words.slow_words(seconds, runs, self.loop.time()), place)


# -- who moves the clock, and how far


def limit_virtual_time(loop: Loop, seconds: float | None) -> None:
    """Let the loop's time go `seconds` from now and no further: beyond that it is stuck. None lifts the limit."""
    seconds = math.inf if seconds is None else seconds
    limits = loop.selector.limits._replace(virtual_seconds=seconds, horizon=loop.time() + seconds)
    loop.selector.limits = limits


def mover_lines(loop: Loop) -> list[str]:
    """Who keeps the clock moving, where it has moved often."""
    moving = _movers(loop)
    if loop.selector.jumps_left == loop.selector.limits.jumps or not moving:
        return []
    cure = "virtual_time_limit on the class ends such a test sooner"
    return [f"who keeps the clock moving ({cure}):", *(f"    {who}" for who in moving)]


def around_lines(loop: Loop) -> list[str]:
    """What a report says beside the tasks of a loop: who keeps the clock moving, and the tasks of other loops."""
    return [*mover_lines(loop), *_beside(loop)]


def _beside(loop: Loop) -> list[str]:
    """The tasks of the other loops of this world that run, each after its loop."""
    others = [other for other in loop.world.running if other is not loop]
    return [line for other in others for line in
            (f"{other!r}{f' made at {other.made_at}' if other.made_at else ''} runs in another thread:",
             *(f"  {line}" for task in report.task_lines(all_tasks(other)) for line in task.splitlines()))]


def _movers(loop: Loop) -> list[str]:
    return [*reachability.movers(loop)[:MOVERS], *_most_made(loop.kernel.journal)]


def _most_made(journal: Journal) -> list[str]:
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


def _cancelled_along(task: Task) -> list[Task]:
    """The tasks that a task's `cancel()` hands the cancellation on to."""
    waiter = waiter_of(task)
    awaited = members_of(waiter) or [waiter]
    return [each for each in awaited if isinstance(each, asyncio.Task) and not each.done()]


def loosen(tasks: Iterable[Task]) -> bool:
    """Open the circles in which tasks await each other; say whether there was one.

    `cancel()` hands itself on to the awaited task. In a circle that never ends: RecursionError, or a crash.
    One task of each circle gets its CancelledError through another future. When it has run, the others can be
    cancelled.
    """
    opened: set[Task] = set()
    over: set[Task] = set()
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
            instead = task.get_loop().create_future()
            instead.add_done_callback(callback, context=context)
            instead.cancel()
            awaited.add_done_callback(retrieve)  # or asyncio would report its error: nobody else awaits it
