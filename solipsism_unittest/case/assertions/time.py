"""Assertions about virtual time: what time it is, how long something takes, and which timers are pending.

Two virtual times are equal when they differ by at most `max(5e-7, 4 * ulp(now))` seconds. So one microsecond too early
or too late fails up to a virtual time of 2**30 (34 years). At 1.7e9, where floats are 2.4e-7 apart, five of these steps
(1.2 microseconds) fail, and one microsecond is not seen. While a test is explored, they may differ by what that has put
in too.
"""

from __future__ import annotations

import asyncio
import math
import unittest
from asyncio import all_tasks, current_task, ensure_future, isfuture, timeout_at, wait
from collections.abc import Awaitable, Sequence
from inspect import iscoroutine
from math import nextafter, ulp
from types import TracebackType
from typing import Any, Self

from ...errors import SolipsismError
from ...hangs import waits, words
from ...introspection import names, tasks
from ...introspection.places import made_at
from ...loop.event_loop import SolipsistEventLoop
from ...loop.timers import Timer
from ..world import run_of
from .awaited import Awaited, AwaitedOf, T, Unfinished, awaiting, check_seconds, discard, name_of_awaited
from .elapsed import LongestWait, pending_timers, purpose, sleep_on_record
from .failures import fail

__unittest = True
__tracebackhide__ = True

LAST_WILL = 60.0  # virtual seconds that what was blocked has to end when it is cancelled
TIMERS_SHOWN = 5


def tolerance(now: float) -> float:
    """How far two virtual times may be apart and still be the same, in seconds."""
    return max(5e-7, 4 * ulp(now))


class TimeAssertions(unittest.TestCase):
    """Assertions about virtual time; `SolipsistTestCase` has them."""

    def assertNow(self, when: float) -> None:
        """It is `when` (a virtual time in seconds)."""
        world = run_of(self).world
        now = _loop_of(self).time()
        if not abs(now - when) <= tolerance(now) + run_of(self).explorer.put_in:
            slept = sleep_on_record(world.virtual_loop.kernel.journal, now) if world.virtual_loop is not None else ""
            fail(self, f"it is t={now!r}, not {when!r}: {_apart(now, when, 'early', 'late')}{slept}")

    def assertElapses(self, seconds: float) -> Elapses:
        """`with self.assertElapses(3):` the block takes exactly 3 seconds of virtual time. What it raises passes
        through."""
        check_seconds(seconds)
        return Elapses(self, seconds)

    def assertCompletesWithin(self, aw: Awaitable[T], seconds: float) -> Awaited[T]:
        """Await `aw` for at most `seconds` of virtual time and return its result. What it raises passes through."""
        return AwaitedOf(self, "assertCompletesWithin", _complete, aw, seconds)

    def assertCompletesAfter(self, aw: Awaitable[T], seconds: float) -> Awaited[T]:
        """Await `aw`, which must take exactly `seconds` of virtual time, and return its result."""
        return AwaitedOf(self, "assertCompletesAfter", _complete_after, aw, seconds)

    def assertTimesOut(self, aw: Awaitable[object], seconds: float) -> Awaited[None]:
        """`aw` raises TimeoutError by itself when exactly `seconds` of virtual time have passed."""
        return AwaitedOf(self, "assertTimesOut", _time_out, aw, seconds)

    def assertBlocks(self, aw: Awaitable[object], seconds: float | None = None) -> Awaited[None]:
        """`aw` is pending when nothing more can happen at this instant, or after `seconds`.

        A coroutine is cancelled then. A task or another future goes on: who made it still needs it.
        """
        return AwaitedOf(self, "assertBlocks", _block, aw, *(() if seconds is None else (seconds,)))

    def assertNextTimer(self, *, after: float | None = None, at: float | None = None) -> None:
        """The next timer of the loop is due in `after` seconds from now, or at the virtual time `at`.

        Cancelled timers and those of assertions do not count. A sleep is a timer too.
        """
        if (after is None) == (at is None):
            raise TypeError("assertNextTimer() takes after= (seconds from now) or at= (a virtual time), one of the two")
        if after is not None:
            check_seconds(after)
        loop = run_of(self).world.loop_for("assertNextTimer()")
        now = loop.time()
        if after is not None:
            due, wanted = now + after, f"in {after!r} s"
        else:
            assert at is not None  # one of the two is there
            due, wanted = float(at), f"at t={at!r}"
        timers = pending_timers(loop)
        if not timers:
            fail(self, f"no timer is pending at t={now!r}: the next one was to be due {wanted}{_not_begun(loop)}")
        when = timers[0].when()
        if not abs(when - due) <= tolerance(max(now, when)) + run_of(self).explorer.put_in:
            seen = f"in {when - now!r} s" if after is not None else f"at t={when!r}"
            fail(self, f"the next timer is due {seen}, not {wanted}: {_apart(when, due, 'early', 'late')} "
                       f"(it is t={now!r}){_timer_lines(timers)}")

    def assertNoTimers(self) -> None:
        """No timer is pending on the loop; cancelled ones and those of assertions do not count."""
        loop = run_of(self).world.loop_for("assertNoTimers()")
        timers = pending_timers(loop)
        if timers:
            number = "1 timer is" if len(timers) == 1 else f"{len(timers)} timers are"
            fail(self, f"{number} pending at t={loop.time()!r}{_timer_lines(timers)}")


class Elapses(Unfinished):
    """See `assertElapses`."""

    def __init__(self, case: unittest.TestCase, seconds: float) -> None:
        super().__init__(case, "assertElapses()", "entered with `with`")
        self._seconds = seconds

    def __enter__(self) -> Self:
        self.start()
        self._since = _loop_of(self.case).time()
        self._longest = _longest_wait(self.case)
        self._longest.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._longest.__exit__(kind, error, trace)
        if kind is None:
            _check_took(self.case, self._since, self._seconds, "the block", self._longest)


# -- the coroutines of the awaited ones


async def _complete(case: unittest.TestCase, aw: Awaitable[T], seconds: float) -> T:
    with _longest_wait(case) as longest:
        return await _within(case, aw, seconds, "complete", longest, [])


async def _complete_after(case: unittest.TestCase, aw: Awaitable[T], seconds: float) -> T:
    start = _loop_of(case).time()
    with _longest_wait(case) as longest:
        result = await _within(case, aw, seconds, "complete", longest, [])
        _check_took(case, start, seconds, name_of_awaited(aw), longest)
    return result


async def _time_out(case: unittest.TestCase, aw: Awaitable[object], seconds: float) -> None:
    start, late = _loop_of(case).time(), list[str]()
    task = current_task()
    assert task is not None
    cancelled_before = task.cancelling()
    error: BaseException | None = None
    with _longest_wait(case) as longest:
        try:
            result = await _within(case, aw, seconds, "time out", longest, late)
        except (Exception, asyncio.CancelledError) as raised:
            if late or task.cancelling() > cancelled_before:
                raise
            error = raised
        if isinstance(error, TimeoutError):
            _check_took(case, start, seconds, name_of_awaited(aw), longest, "timed out after", error)
            return
    did = f"raised {names.plain(error)}" if error is not None else f"returned {names.plain(result)}"
    fail(case, f"{name_of_awaited(aw)} was to time out after {seconds!r} s but {did} {_since(case, start)}{longest}",
         error)


async def _within(case: unittest.TestCase, aw: Awaitable[T], seconds: float, verb: str, longest: LongestWait,
                  late: list[str]) -> T:
    """Await `aw`, and fail when it is not over in time; then `late` has the text of the failure."""
    # Awaits in this very task: context variables and cancellation are the test's.
    loop = _loop_of(case)
    deadline = loop.time() + seconds
    over = nextafter(deadline + tolerance(deadline), math.inf)
    explorer = run_of(case).explorer
    known = 0.0  # of what it has put in
    task = current_task()
    assert task is not None
    cause: Exception | None = None

    def stop() -> None:
        nonlocal known
        if explorer.put_in > known:
            known = explorer.put_in
            alarms.append(loop.call_at(over + known, stop))
            return
        # Just before the cancellation: what the task waits for is gone afterwards.
        waiting = aw if isinstance(aw, asyncio.Task) else task
        frames = tasks.await_chain(waiting)
        late.append(f"{name_of_awaited(aw)} did not {verb} within {seconds!r} s: at t={deadline + known!r} it waits "
                    f"for {waits.waits_for(waiting, frames)} at {words.where(frames)}{longest}")
        limit.reschedule(over + known)

    # One timer, which is known as ours; the Timeout has none of its own until it strikes.
    alarms = [loop.call_at(over, stop)]
    limit = timeout_at(None)
    try:
        async with limit:
            result = await aw
    except Exception as error:
        if not late:
            raise
        cause = error if not isinstance(error, TimeoutError) else None
    finally:
        alarms[-1].cancel()
    if late:  # whatever it made of the cancellation, a result included
        fail(case, late[0], cause)
    return result


async def _block(case: unittest.TestCase, aw: Awaitable[object], seconds: float | None = None) -> None:
    try:
        loop = run_of(case).world.loop_for("assertBlocks()")
    except SolipsismError:
        discard(aw)
        raise
    name, start = name_of_awaited(aw), loop.time()
    is_of_test = isfuture(aw)
    task = ensure_future(aw if is_of_test or iscoroutine(aw) else awaiting(aw))
    moment = loop.create_task(loop.settle() if seconds is None else loop.advance(seconds), name="assertBlocks()")
    with _longest_wait(case) as longest:
        try:
            await wait([task, moment], return_when=asyncio.FIRST_COMPLETED)
        finally:
            moment.cancel()
            blocked = not task.done()
            if blocked and not is_of_test:
                await _end(loop, task)
    if blocked and is_of_test:
        return
    if not task.done():
        fail(case, f"{name} blocked, as it was to, but refuses to be cancelled")
    error = None if task.cancelled() else task.exception()
    if blocked:
        if error is not None:
            raise error  # on being cancelled
        return
    did = ("was cancelled" if task.cancelled() else f"raised {names.plain(error)}" if error is not None
           else f"returned {names.plain(task.result())}")
    wanted = "" if seconds is None else f" for {seconds!r} s"
    fail(case, f"{name} was to block{wanted} but {did} {_since(case, start)}{longest}", error)


async def _end(loop: SolipsistEventLoop, task: asyncio.Future[Any]) -> None:
    task.cancel()
    # Not the timeout of wait(), which would be a timer for all to see.
    limit = loop.create_task(loop.advance(LAST_WILL), name="assertBlocks()")
    try:
        await wait([task, limit], return_when=asyncio.FIRST_COMPLETED)
    finally:
        limit.cancel()


# -- what they have in common


def _loop_of(case: unittest.TestCase) -> asyncio.AbstractEventLoop:
    return run_of(case).loop


def _longest_wait(case: unittest.TestCase) -> LongestWait:
    return LongestWait(run_of(case).world.virtual_loop)


def _since(case: unittest.TestCase, start: float) -> str:
    now = _loop_of(case).time()
    return f"after {now - start!r} s, at t={now!r}"


def _check_took(case: unittest.TestCase, start: float, seconds: float, what: str, longest: LongestWait,
                took_verb: str = "took", cause: BaseException | None = None) -> None:
    now = _loop_of(case).time()
    took = now - start
    if abs(took - seconds) > tolerance(now) + run_of(case).explorer.put_in:
        fail(case, f"{what} {took_verb} {took!r} s, not {seconds!r} s: {_apart(took, seconds, 'short', 'long')} "
                   f"(from t={start!r} to t={now!r}){longest}", cause)


def _apart(seen: float, expected: float, less: str, more: str) -> str:
    return f"{abs(seen - expected):.6g} s too {more if seen > expected else less}"


def _not_begun(loop: SolipsistEventLoop) -> str:
    """The tasks that have made no step yet, and so no timer."""
    new = [task for task in sorted(all_tasks(loop), key=tasks.by_name) if tasks.is_new(task)]
    if not new:
        return ""
    made = [f"{task.get_name()}, made at {place}" if (place := made_at(task)) else task.get_name() for task in new]
    count = "1 task has" if len(new) == 1 else f"{len(new)} tasks have"
    return f"\n  {count} not run yet ({names.listed(made)}): `await self.settle()` first"


def _timer_lines(timers: Sequence[Timer]) -> str:
    lines = [f"\n  due at t={timer.when()!r}: {purpose(timer)}" for timer in timers[:TIMERS_SHOWN]]
    more = f"\n  and {len(timers) - TIMERS_SHOWN} more" if len(timers) > TIMERS_SHOWN else ""
    return "".join(lines) + more
