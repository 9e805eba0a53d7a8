"""What a test states about time and buffers.

Owns the assertion methods of `SolipsistTestCase` that unittest does not have. Two virtual times are equal when they
differ by at most `max(5e-7, 4 * ulp(now))` seconds: one microsecond too early or too late fails up to a virtual time of
2**30 (34 years), and at 1.7e9, where floats are 2.4e-7 apart, what is off by five of these steps (1.2 microseconds)
does; one microsecond is not told from none there. What is to be awaited and was not is kept in `_unfinished`, for the
test to fail.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import re
import unittest
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, NoReturn, Self

from ...errors import SolipsismError
from ...hangs import report, waits, words
from ...introspection import names, tasks
from ...kernel.descriptors.transitions import CLOSE_WAIT, ESTABLISHED
from ...loop.uncaught import Expectation, Types
from .awaited import Awaited, T, Unfinished, awaiting, check_seconds, discard, name_of_awaited
from .buffers import buffered, count_of, described, shown_data, stream_of
from .elapsed import LongestWait, pending_timers, purpose, sleep_on_record
from .uncaught import ExpectedLoopException

__unittest = True
__tracebackhide__ = True

LAST_WILL = 60.0  # virtual seconds that what was blocked has to end when it is cancelled
TIMERS_SHOWN = 5


def tolerance(now: float) -> float:
    """How far two virtual times may be apart and still be the same, in seconds."""
    return max(5e-7, 4 * math.ulp(now))


class _Elapses(Unfinished):
    """See `assertElapses`."""

    def __init__(self, case: Assertions, seconds: float) -> None:
        super().__init__(case, "assertElapses()", "entered with `with`")
        self._seconds = seconds

    def __enter__(self) -> Self:
        self._start()
        self._since = self._case.loop.time()
        self._longest = LongestWait(self._case.loop)
        self._longest.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._longest.__exit__(kind, error, trace)
        if kind is None:
            self._case._assert_took(self._since, self._seconds, "the block", self._longest)


class Assertions(unittest.TestCase):
    """The assertion helpers; `SolipsistTestCase` has them all."""

    _unfinished: dict[Unfinished, None]
    _virtual: Callable[[str], Any]  # the loop, or SolipsismError for one without a virtual world

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of this test."""
        raise NotImplementedError

    # -- time

    def assertNow(self, when: float) -> None:
        """It is `when` (a virtual time in seconds)."""
        now = self.loop.time()
        if not abs(now - when) <= tolerance(now):
            journal = getattr(getattr(self.loop, "kernel", None), "journal", None)
            slept = sleep_on_record(journal, now) if journal is not None else ""
            self._fail(f"it is t={now!r}, not {when!r}: {_apart(now, when, 'early', 'late')}{slept}")

    def assertElapses(self, seconds: float) -> _Elapses:
        """`with self.assertElapses(3):` the block takes exactly so much virtual time. What it raises passes through."""
        check_seconds(seconds)
        return _Elapses(self, seconds)

    def assertCompletesWithin(self, aw: Awaitable[T], seconds: float) -> Awaited[T]:
        """Await `aw` for at most `seconds` of virtual time and return its result. What it raises passes through."""
        return Awaited(self, "assertCompletesWithin", self._complete, aw, seconds)

    def assertCompletesAfter(self, aw: Awaitable[T], seconds: float) -> Awaited[T]:
        """Await `aw`, which must take exactly `seconds` of virtual time, and return its result."""
        return Awaited(self, "assertCompletesAfter", self._complete_after, aw, seconds)

    def assertTimesOut(self, aw: Awaitable[object], seconds: float) -> Awaited[None]:
        """`aw` raises TimeoutError by itself when exactly `seconds` of virtual time have passed."""
        return Awaited(self, "assertTimesOut", self._time_out, aw, seconds)

    def assertNextTimer(self, *, after: float | None = None, at: float | None = None) -> None:
        """The next timer of the loop is due in `after` seconds from now, or at the virtual time `at`.

        Cancelled timers and those of assertions do not count. A sleep is a timer too.
        """
        if (after is None) == (at is None):
            raise TypeError("assertNextTimer() takes after= (seconds from now) or at= (a virtual time), one of the two")
        if after is not None:
            check_seconds(after)
        loop = self._virtual("assertNextTimer()")
        now = loop.time()
        if after is not None:
            due, wanted = now + after, f"in {after!r} s"
        else:
            assert at is not None  # one of the two is there
            due, wanted = float(at), f"at t={at!r}"
        timers = pending_timers(loop)
        if not timers:
            self._fail(f"no timer is pending at t={now!r}: the next one was to be due {wanted}")
        when = timers[0].when()
        if not abs(when - due) <= tolerance(max(now, when)):
            seen = f"in {when - now!r} s" if after is not None else f"at t={when!r}"
            self._fail(f"the next timer is due {seen}, not {wanted}: {_apart(when, due, 'early', 'late')} "
                       f"(it is t={now!r}){_timer_lines(timers)}")

    def assertNoTimers(self) -> None:
        """No timer is pending on the loop; cancelled ones and those of assertions do not count."""
        loop = self._virtual("assertNoTimers()")
        timers = pending_timers(loop)
        if timers:
            number = "1 timer is" if len(timers) == 1 else f"{len(timers)} timers are"
            self._fail(f"{number} pending at t={loop.time()!r}{_timer_lines(timers)}")

    def assertBlocks(self, aw: Awaitable[object], seconds: float | None = None) -> Awaited[None]:
        """`aw` is pending when nothing more can happen at this instant, or after `seconds`. It is cancelled then."""
        return Awaited(self, "assertBlocks", self._block, aw, *(() if seconds is None else (seconds,)))

    async def _complete(self, aw: Awaitable[T], seconds: float) -> T:
        with LongestWait(self.loop) as longest:
            return await self._within(aw, seconds, "complete", longest, [])

    async def _complete_after(self, aw: Awaitable[T], seconds: float) -> T:
        start = self.loop.time()
        with LongestWait(self.loop) as longest:
            result = await self._within(aw, seconds, "complete", longest, [])
            self._assert_took(start, seconds, name_of_awaited(aw), longest)
        return result

    async def _time_out(self, aw: Awaitable[object], seconds: float) -> None:
        start, late = self.loop.time(), list[str]()
        task = asyncio.current_task()
        assert task is not None
        cancelled_before = task.cancelling()
        error: BaseException | None = None
        with LongestWait(self.loop) as longest:
            try:
                result = await self._within(aw, seconds, "time out", longest, late)
            except (Exception, asyncio.CancelledError) as raised:
                if late or task.cancelling() > cancelled_before:
                    raise
                error = raised
            if isinstance(error, TimeoutError):
                self._assert_took(start, seconds, name_of_awaited(aw), longest, "timed out after", error)
                return
        did = f"raised {names.plain(error)}" if error is not None else f"returned {names.plain(result)}"
        self._fail(f"{name_of_awaited(aw)} was to time out after {seconds!r} s but {did} {self._since(start)}{longest}",
                   error)

    async def _within(self, aw: Awaitable[T], seconds: float, verb: str, longest: LongestWait, late: list[str]) -> T:
        """Await `aw`, and fail when it is not over in time; then `late` has the text of the failure."""
        # Awaits in this very task: context variables and cancellation are the test's.
        loop = self.loop
        deadline = loop.time() + seconds
        over = math.nextafter(deadline + tolerance(deadline), math.inf)
        task = asyncio.current_task()
        assert task is not None
        cause: Exception | None = None

        def stop() -> None:
            # Just before the cancellation: what the task waits for is gone afterwards.
            waiting = aw if isinstance(aw, asyncio.Task) else task
            frames = tasks.await_chain(waiting)
            late.append(f"{name_of_awaited(aw)} did not {verb} within {seconds!r} s: at t={deadline!r} it waits for "
                        f"{waits.waits_for(waiting, frames)} at {words.where(frames)}{longest}")
            limit.reschedule(over)

        # One timer, which is known as ours; the Timeout has none of its own until it strikes.
        alarm = loop.call_at(over, stop)
        limit = asyncio.timeout_at(None)
        try:
            async with limit:
                result = await aw
        except Exception as error:
            if not late:
                raise
            cause = error if not isinstance(error, TimeoutError) else None
        finally:
            alarm.cancel()
        if late:  # whatever it made of the cancellation, a result included
            self._fail(late[0], cause)
        return result

    async def _block(self, aw: Awaitable[object], seconds: float | None = None) -> None:
        try:
            loop = self._virtual("assertBlocks()")
        except SolipsismError:
            discard(aw)
            raise
        name, start = name_of_awaited(aw), loop.time()
        task = asyncio.ensure_future(aw if asyncio.isfuture(aw) or inspect.iscoroutine(aw) else awaiting(aw))
        moment = loop.create_task(loop.settle() if seconds is None else loop.advance(seconds), name="assertBlocks()")
        with LongestWait(loop) as longest:
            try:
                await asyncio.wait([task, moment], return_when=asyncio.FIRST_COMPLETED)
            finally:
                moment.cancel()
                blocked = not task.done()
                if blocked:
                    await self._end(loop, task)
        if not task.done():
            self._fail(f"{name} blocked, as it was to, but refuses to be cancelled")
        error = None if task.cancelled() else task.exception()
        if blocked:
            if error is not None:
                raise error  # on being cancelled
            return
        did = ("was cancelled" if task.cancelled() else f"raised {names.plain(error)}" if error is not None
               else f"returned {names.plain(task.result())}")
        wanted = "" if seconds is None else f" for {seconds!r} s"
        self._fail(f"{name} was to block{wanted} but {did} {self._since(start)}{longest}", error)

    async def _end(self, loop: Any, task: asyncio.Task[Any]) -> None:
        task.cancel()
        # Not the timeout of wait(), which would be a timer for all to see.
        limit = loop.create_task(loop.advance(LAST_WILL), name="assertBlocks()")
        try:
            await asyncio.wait([task, limit], return_when=asyncio.FIRST_COMPLETED)
        finally:
            limit.cancel()

    def _since(self, start: float) -> str:
        now = self.loop.time()
        return f"after {now - start!r} s, at t={now!r}"

    def _assert_took(self, start: float, seconds: float, what: str, longest: LongestWait, took_verb: str = "took",
                     cause: BaseException | None = None) -> None:
        now = self.loop.time()
        took = now - start
        if abs(took - seconds) > tolerance(now):
            self._fail(f"{what} {took_verb} {took!r} s, not {seconds!r} s: {_apart(took, seconds, 'short', 'long')} "
                       f"(from t={start!r} to t={now!r}){longest}", cause)

    # -- errors

    def assertLoopException(self, exception: Types,
                            regex: str | re.Pattern[str] | None = None) -> ExpectedLoopException:
        """`with self.assertLoopException(ValueError, "regex"):` the loop is told of such an error in the block.

        That is: one that a callback raises, that reaches the loop's exception handler, or with which a task ends
        without being awaited. It takes one; whatever else comes fails the test. `exception` of the context manager is
        the error. What the block raises passes through.
        """
        types = exception if isinstance(exception, tuple) else (exception,)
        if not types or not all(isinstance(each, type) and issubclass(each, BaseException) for each in types):
            raise TypeError(f"assertLoopException() takes an exception class or a tuple of them, not {exception!r}")
        if not isinstance(regex, (str, re.Pattern, type(None))):
            raise TypeError(f"assertLoopException() takes a regular expression for the text, not {regex!r}")
        return ExpectedLoopException(self, Expectation(types, re.compile(regex) if isinstance(regex, str) else regex))

    # -- buffers

    def assertBuffered(self, end: Any, what: bytes | int) -> None:
        """`what` (bytes, or how many) waits to be read at `end`: a socket, reader, writer, transport or connection."""
        if not isinstance(what, (int, bytes, bytearray, memoryview)):
            raise TypeError(f"assertBuffered() compares with bytes or a number of bytes, not with {what!r}")
        waiting = buffered(end)
        if isinstance(what, int):
            if len(waiting) != what:
                self._fail(f"{count_of(waiting)} to be read, not {what}: {shown_data(waiting)} at {described(end)}")
        elif waiting != bytes(what):
            self._fail(f"{shown_data(waiting)} waits to be read, not {shown_data(bytes(what))}, at {described(end)}")

    def assertBufferEmpty(self, end: Any) -> None:
        """Nothing waits to be read at `end`."""
        waiting = buffered(end)
        if waiting:
            self._fail(f"{count_of(waiting)} to be read: {shown_data(waiting)} at {described(end)}")

    def assertBufferFull(self, end: Any) -> None:
        """A send from `end` would raise BlockingIOError."""
        stream = stream_of(end)
        if stream is None or stream.state not in (ESTABLISHED, CLOSE_WAIT):
            self._fail(f"{described(end)} cannot send at all, so a send would not block")
        elif stream.room():
            self._fail(f"{stream.room()} bytes could still be sent from {described(end)}")

    def _fail(self, text: str, cause: BaseException | None = None) -> NoReturn:
        """Fail with the virtual world's last records under the text."""
        kernel = getattr(self.loop, "kernel", None)
        records = kernel.journal.last_effects(report.LAST_RECORDS) if kernel is not None else []
        last = "".join(f"\n      {record}" for record in records)
        raise self.failureException(text + (f"\n  what happened last:{last}" if last else "")) from cause


def _apart(seen: float, expected: float, less: str, more: str) -> str:
    return f"{abs(seen - expected):.6g} s too {more if seen > expected else less}"


def _timer_lines(timers: list[Any]) -> str:
    lines = [f"\n  due at t={timer.when()!r}: {purpose(timer)}" for timer in timers[:TIMERS_SHOWN]]
    more = f"\n  and {len(timers) - TIMERS_SHOWN} more" if len(timers) > TIMERS_SHOWN else ""
    return "".join(lines) + more
