"""The limit of a test in real time.

Owns the strike that gets a stuck test out of whatever it does, and the text that says where it was stuck.

asyncio lets no exception out of a callback or a background task, except KeyboardInterrupt and SystemExit. So a strike
is a private subclass of SystemExit. It is raised wherever the program is, and becomes a RealTimeLimitError where the
test case called the program (`RealTimeLimit.run`). A strike that gets past us is an error of one test for unittest; a
KeyboardInterrupt would end the suite.

On the main thread the strike comes from a signal (`setitimer`), elsewhere, and on systems without it, from a second
thread. That cannot reach a thread inside a C function: such a strike comes when the function returns.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _weakrefset
import asyncio
import contextlib
import contextvars
import itertools
import math
import signal
import sys
import threading
import weakref
from asyncio import all_tasks, base_events, current_task, runners
from collections.abc import Callable, Coroutine, Iterator
from threading import enumerate as all_threads
from threading import get_ident, main_thread
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from ..errors import RealTimeLimitError
from ..hangs import report
from ..introspection.debuggers import MEASURE
from ..introspection.modules import carries, module_of, outward, root_of
from ..introspection.places import Place, ends_here, user_frames
from ..introspection.threads import Real, frame_of
from ..leaks import ending
from ..loop.event_loop import SolipsistEventLoop
from ..loop.selector import VirtualSelector
from ..loop.stuck import around_lines
from ..pythons import STRIKES_STOP_TRACED_THREADS
from ..stdlib import worlds
from ..stdlib.seal import guard, table
from ..stdlib.threads import stalls
from ..stdlib.threads.pacing import baton
from ..stdlib.threads.pacing.patience import NAME_OF_WATCHDOG

__unittest = True
__tracebackhide__ = True

T = TypeVar("T")

GRACE = 5.0  # real seconds at most for the rest of a test that was struck; half of them after each further strike
SHORTEST = 1e-5  # real seconds between two strikes
# Strikes that a program may swallow before they follow each other by microseconds, at many distances: one of them finds
# the program between its `except` and its next `try`.
STUBBORN = 16
# Those of module signal make enums of the handlers, which takes longer than all the rest; nobody reads them here. In
# a sealed thread they lead to the virtual process.
_set_handler, _handler_of, _raise_signal = _signal.signal, _signal.getsignal, _signal.raise_signal
_set_timer: Any = getattr(_signal, "setitimer", None)  # not everywhere
_ALARM, _INTERRUPT = int(getattr(signal, "SIGALRM", 0)), int(signal.SIGINT)  # Windows has no alarm

AGAIN = 0.1  # real seconds until the next signal, where Python has not seen one: it came right before a call in C
SOON = 0.002  # real seconds until the next try, where a strike finds only the framework's own code
NEAR = 8  # frames that are searched for a tool that measures
SWITCH = 0.05  # real seconds that another thread gets to take its strike
LINES = 10  # lines of a stack in the report


class Strike(SystemExit):
    """Real time is up: raised in the program, and never seen by unittest."""


# -- real time


class RealTimeLimit:
    """A limit for all calls that are made through `run()` inside its `with`; this one never strikes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Nothing is to be undone."""

    def run(self, call: Callable[[], T]) -> T:
        """Call it; RealTimeLimitError where it was struck, whatever it made of that."""
        return call()


NO_LIMIT = RealTimeLimit()


class _Armed(RealTimeLimit):
    """A limit that strikes: what the signal and the second thread have in common."""

    _shortest = SHORTEST
    _strikes_come_late = True

    def __init__(self, seconds: float, loop: Callable[[], asyncio.AbstractEventLoop | None]) -> None:
        self._seconds = seconds
        self._ident = Real.get_ident()
        self._loop = loop  # there may be none yet
        self._grace = min(seconds, GRACE)  # for what comes after a strike
        self._slice = min(seconds / 8, GRACE)  # between two looks for a debugger
        self._last = Real.monotonic()
        self._deadline = self._last + seconds
        self._open = self._over = False
        self._calls_struck = self._strikes = 0  # strikes: in this call
        self._verdict: RealTimeLimitError | None = None
        self._struck: asyncio.Task[Any] | None = None

    def run(self, call: Callable[[], T]) -> T:
        before, self._open = self._open, True
        error: BaseException | None = None
        try:
            try:
                result = call()
                if self._verdict is not None:
                    raise Strike  # the program has swallowed it
                return result
            except Strike:
                self._open = before
            except BaseException as raised:
                self._open = before
                if self._verdict is None or isinstance(raised, KeyboardInterrupt):
                    raise
                error = raised
            finally:
                self._open = before
                if self._strikes_come_late:
                    self._calm_down()
        except Strike:  # it came while one of these lines ran
            self._open = before
        verdict, self._verdict = self._verdict, None
        assert verdict is not None
        self._calls_struck += 1
        self._strikes = 0
        self._deadline = Real.monotonic() + math.ldexp(self._grace, 1 - self._calls_struck)  # for cleanups
        self._forget_the_task()
        try:
            raise verdict from error
        finally:
            del verdict, error  # no cycle with the traceback

    def _calm_down(self) -> None:
        """Wait for a strike that is under way: none comes after this."""

    def _forget_the_task(self) -> None:
        task, self._struck = self._struck, None
        if task is not None and task.done() and not task.cancelled():
            task.exception()  # read, so that asyncio does not log it into the next test

    def _patience(self) -> float:
        """Real seconds until there is something to do."""
        return max(min(self._deadline, self._last + self._slice) - Real.monotonic(), SHORTEST)

    def _tick(self, frame: FrameType | None) -> bool:
        """Whether to strike now; `frame` is where the program is."""
        now = Real.monotonic()
        if worlds.is_debugged(frame, self._ident):
            self._deadline += now - self._last  # a person's time does not count
        self._last = now
        if now < self._deadline or self._over:
            return False
        if not self._open or _is_fragile(frame):
            self._deadline = now + SOON
            return False
        if self._verdict is None:
            self._verdict = self._describe(frame)
            loop = self._loop()
            self._struck = current_task(loop) if loop is not None else None
        self._strikes += 1
        left = math.ldexp(self._grace, 1 - self._calls_struck - self._strikes)
        self._deadline = Real.monotonic() + max(left, self._shortest)
        return True

    def _describe(self, frame: FrameType | None) -> RealTimeLimitError:
        if self._calls_struck:
            seconds = math.ldexp(self._grace, 1 - self._calls_struck)
            reason = f"the rest of the test took longer than the {seconds:g} s that it has after its real-time limit"
        else:
            reason = f"the test took longer than its real-time limit of {self._seconds:g} s"
        stuck = [*_stack_lines(frame), "real_time_limit on the class allows more seconds, and None any number"]
        try:
            text = _report(reason, self._loop(), stuck)
        except Exception as error:  # in the middle of anything, anything may be half done
            text = "\n  ".join([reason, *stuck, f"its tasks cannot be shown: {type(error).__name__}: {error}"])
        return RealTimeLimitError(text).with_traceback(_trace(frame))


class _Alarm(_Armed):
    """On the main thread: SIGALRM. An earlier owner of the timer gets its alarm in time, and in the end the timer back.
    """

    _strikes_come_late = False  # a signal is handled before the next line

    def __enter__(self) -> Self:
        self._is_looking = False  # at where the program is: an alarm meanwhile would find this look
        self._former_due = math.inf
        self._former = _set_handler(_ALARM, self)
        remaining, self._interval = _set_timer(signal.ITIMER_REAL, self._patience(), AGAIN)
        if remaining:
            self._former_due = self._last + remaining
            self._arm()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over = True
        if _handler_of(_ALARM) is not self:
            return  # the test has put its own there, and left it: it is not ours to undo
        former, due, interval = self._former, self._former_due, self._interval
        while isinstance(former, _Alarm) and former._over:  # it has ended before us
            former, due, interval = former._former, former._former_due, former._interval
        _set_timer(signal.ITIMER_REAL, 0)
        _set_handler(_ALARM, former)
        if due != math.inf:
            _set_timer(signal.ITIMER_REAL, max(due - Real.monotonic(), SHORTEST), interval)

    def _arm(self, struck: bool = False) -> None:
        if struck and self._strikes > STUBBORN:
            wait = 1e-6 * (1 + self._strikes % 32)
        else:
            wait = max(min(self._patience(), self._former_due - Real.monotonic()), SHORTEST)
        _set_timer(signal.ITIMER_REAL, wait, AGAIN)

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """The signal has come."""
        if self._over or self._is_looking:  # over: somebody has kept the handler
            return
        try:
            if Real.monotonic() >= self._former_due:
                self._former_due = Real.monotonic() + self._interval if self._interval else math.inf
                self._alarm_the_former(signum, frame)
        finally:
            struck = self._tick(frame)
            self._arm(struck)
        if struck:
            raise Strike

    def _tick(self, frame: FrameType | None) -> bool:
        self._is_looking = True
        try:
            return super()._tick(frame)
        finally:
            self._is_looking = False

    def _alarm_the_former(self, signum: int, frame: FrameType | None) -> None:
        if callable(self._former):
            self._former(signum, frame)
        elif self._former != signal.SIG_IGN:
            _set_handler(signum, _signal.SIG_DFL)
            _raise_signal(signum)  # which ends the process, as it would have without us


class _Watchdog(_Armed):
    """On any other thread: a thread that looks on."""

    _shortest = SWITCH

    def __enter__(self) -> Self:
        self._end = threading.Event()
        self._striking = self._sent = False
        self._where: object = None
        self._thread = threading.Thread(target=self._watch, name=NAME_OF_WATCHDOG, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over = True
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        if STRIKES_STOP_TRACED_THREADS:
            sys.settrace(None)
        while not self._end.wait(self._patience()):
            frame = frame_of(self._ident)
            self._striking = True
            if self._tick(frame):
                self._sent = True
                _raise_in(self._ident, Strike)
                self._wake()
                self._complain(frame)
            self._striking = False

    def _wake(self) -> None:
        """The loop may be waiting for other threads, in C."""
        wake = getattr(self._loop(), "_write_to_self", None)
        if wake is not None:
            wake()

    def _complain(self, frame: FrameType | None) -> None:
        """Report, once, that the program has not moved since the last strike: only a person can help."""
        where = frame is not None and (frame, frame.f_lasti)
        if self._strikes == 2 and where == self._where:
            print(f"{self._verdict}\n  it is inside of a C function, or swallows whatever is raised: nothing more can "
                  "be done from another thread", file=sys.__stderr__, flush=True)
        self._where = where

    def _calm_down(self) -> None:
        if self._open:
            return  # an inner call
        while self._striking:
            Real.sleep(0)
        if self._sent:
            # One may still be under way. To take it back leaves 3.11 in a state that its tracing never gets out of; but
            # there is room for one only, so another one takes its place, and is caught here.
            self._sent = False
            with contextlib.suppress(Strike):
                _raise_in(self._ident, Strike)


def _raise_in(ident: int, kind: type[BaseException]) -> None:
    import ctypes  # not every Python has it
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(kind))


def _is_fragile(frame: FrameType | None) -> bool:
    """Whether a strike in this code, which takes no time, would leave a loop, a seal or an audited call of C half done,
    the section of a baton closed or a coroutine never awaited, or be lost in a callback of the garbage collector.
    """
    module, name = (module_of(frame), frame.f_code.co_name) if frame is not None else ("", "")
    return module in _FRAGILE or (module in _LOOPS and name in _RUNNING) or _is_measured(frame)


def _is_measured(frame: FrameType | None) -> bool:
    """Whether a tool that measures is at work here: struck, it would never release its locks."""
    return any(root_of(module_of(step)) in MEASURE for step in itertools.islice(outward(frame), NEAR))


_FRAGILE = table.UNINTERRUPTED | {
    __name__, *(part.__name__ for part in (runners, baton, guard, stalls, ending, _weakrefset, weakref))}
_LOOPS = {base_events.__name__, SolipsistEventLoop.__module__}
_RUNNING = frozenset({"run_forever", "run_until_complete", "_run_forever_setup", "_run_forever_cleanup"})


def real_time_limit(seconds: float | None, loop: Callable[[], asyncio.AbstractEventLoop | None]) -> RealTimeLimit:
    """The limit for a test on this thread; `loop()` gives its loop, or None."""
    if seconds is None:
        return NO_LIMIT
    with_signal = hasattr(signal, "setitimer") and get_ident() == main_thread().ident
    return (_Alarm if with_signal else _Watchdog)(seconds, loop)


def run(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], context: contextvars.Context) -> T:
    """As `asyncio.Runner.run()`, in half of its time: the first Ctrl-C cancels the main task, the next one raises."""
    task = loop.create_task(coroutine, context=context)
    on_interrupt = None
    if get_ident() == main_thread().ident and _handler_of(_INTERRUPT) is signal.default_int_handler:
        on_interrupt = _Interrupt(loop, task)
        _set_handler(_INTERRUPT, on_interrupt)
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError as error:
        if on_interrupt is not None and on_interrupt.came and task.uncancel() == 0:
            raise KeyboardInterrupt().with_traceback(error.__traceback__) from None  # to the line that awaited
        raise
    finally:
        if on_interrupt is not None and _handler_of(_INTERRUPT) is on_interrupt:
            _set_handler(_INTERRUPT, signal.default_int_handler)


ends_here(run)  # type: ignore[arg-type]


class _Interrupt:
    """What becomes of Ctrl-C while a task is the main one."""

    __slots__ = ("came", "_loop", "_driven_task")

    def __init__(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        self.came = False
        self._loop = loop
        self._driven_task = task

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        before, self.came = self.came, True
        if before or self._driven_task.done():
            raise KeyboardInterrupt
        self._driven_task.cancel()
        self._loop.call_soon_threadsafe(lambda: None)  # it may be waiting for another thread


def unwind(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any]) -> None:
    """Let the struck program's main task, where it is still pending, come to its end."""
    task = next((task for task in all_tasks(loop) if task.get_coro() is coroutine), None)
    if task is None or loop.is_closed():
        return
    task.cancel()
    try:
        # Its outcome, perhaps a hang, does not matter: there is a verdict already.
        with contextlib.suppress(Exception, asyncio.CancelledError):
            loop.run_until_complete(task)
    finally:
        if task.done() and not task.cancelled():
            task.exception()


# -- where it was stuck


def _user_frames(frame: FrameType | None) -> Iterator[FrameType]:
    """The user's frames, from `frame` outwards, up to where a loop, a test or this limit was started."""
    return user_frames(frame, (RealTimeLimit.run.__code__, _Armed.run.__code__))


def _stack_lines(frame: FrameType | None) -> list[str]:
    """Where a thread is: the user's lines, the innermost first, or what else it does."""
    lines = [str(Place.of(step)) for step in _user_frames(frame)]
    inner = ""
    if frame is not None and carries(module_of(frame)):
        inner = f"{module_of(frame)}.{frame.f_code.co_qualname}"
    if not lines:
        waiting = frame is not None and frame.f_code in VirtualSelector.WAITS
        return ["the loop waited for other threads" if waiting else f"it was in {inner}" if inner else
                "it was nowhere: the thread has ended"]
    more = [f"    and {len(lines) - LINES} more"] if len(lines) > LINES else []
    called = f", which had called {inner}" if inner else ""
    return [f"it was at {lines[0]}{called}", *(f"    called at {line}" for line in lines[1:LINES]), *more]


def _trace(frame: FrameType | None) -> TracebackType | None:
    trace = None
    for step in _user_frames(frame):
        trace = TracebackType(trace, step, step.f_lasti, step.f_lineno)
    return trace


def _thread_lines(world: worlds.World) -> list[str]:
    """What the other threads of a world do."""
    lines = []
    names = {thread.ident: thread.name for thread in all_threads()}
    for ident in worlds.threads_in(world):
        at = [str(Place.of(step)) for step in _user_frames(frame_of(ident))] if ident != Real.get_ident() else []
        if at:
            lines.append(f"thread {names.get(ident, 'without a name')} is at {at[0]}")
    return lines


def _report(reason: str, loop: asyncio.AbstractEventLoop | None, stuck: list[str]) -> str:
    if not isinstance(loop, SolipsistEventLoop):
        tasks = report.task_lines(all_tasks(loop)) if loop is not None else []
        return "\n".join([reason, *(f"  {line}" for line in stuck), *tasks])
    return report.report(reason, loop.kernel, all_tasks(loop),
                         "\n  ".join([*stuck, *around_lines(loop), *_thread_lines(loop.world)]))
