"""Counts the awaits at which one coroutine is suspended, and ends one of them by a cancellation or a timeout.

The interpreter reports each `yield` of a frame: `sys.monitoring` from Python 3.12 on, and a profile function before.
The report comes inside the step of the task, so that a cancellation made there is thrown at exactly this await, as if
it had come while the task waited. No coroutine is wrapped. A profile function does not see the error by which a frame
ends, so there are no timeouts before 3.12.

What is marked as untraced runs in callbacks of sys.monitoring and sys.setprofile. Python traces nothing there, so that
no measure of coverage sees it; the tests of sweeps go through all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import opcode
import sys
from collections.abc import Callable, Iterator
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE
from sys import _getframe
from types import CodeType, FrameType
from typing import Any

from ..errors import SolipsismError
from ..introspection.places import line_words

__unittest = True
__tracebackhide__ = True

MONITORING: Any = getattr(sys, "monitoring", None)  # from 3.12 on
HAS_TIMEOUTS = MONITORING is not None
TOOLS = (4, 3, 5)  # the tool ids that are nobody's by convention come first
_YIELD = opcode.opmap["YIELD_VALUE"]
_WAITS = CO_COROUTINE | CO_ASYNC_GENERATOR
_NO_EXCEPTION = None, None, None


class Suspensions:
    """The suspensions of one coroutine in one run; the one of number `hit` is ended."""

    def __init__(self, of: str, hit: int | None = None, how: str = "cancel") -> None:
        self._of = of
        self._inner = f".<locals>.{of}"  # of one that is defined in a function
        self._hit = hit
        self._how = how
        self._frame: FrameType | None = None  # whose timeout is under way
        self._timeout: Any = None
        self.count = 0
        self.place = ""  # of the one that was ended
        self.raised: BaseException | None = None  # what the timeout made of the cancellation

    def is_wanted(self, code: CodeType) -> bool:  # pragma: no cover - untraced
        """Whether this is the code of the coroutine."""
        name = code.co_qualname
        return (name == self._of or name.endswith(self._inner)) and bool(code.co_flags & _WAITS)

    def suspended(self, frame: FrameType, value: object) -> None:  # pragma: no cover - untraced
        """A frame of the coroutine gives this value to who drives it."""
        if type(value).__name__ == "async_generator_wrapped_value":  # it gives a value, and does not wait
            self.left(frame, None)
            return
        if self._hit is not None and self.count > self._hit:
            return
        task = _current_task()
        outer = frame.f_back
        while outer is not None and not self.is_wanted(outer.f_code):
            outer = outer.f_back
        if task is None or outer is not None:  # a recursion is suspended once
            return
        self.count += 1
        if self.count - 1 != self._hit:
            return
        self.place = line_words(frame.f_code, frame.f_lineno)
        if self._how == "cancel":
            task.cancel()
        else:
            self._frame, self._timeout = frame, asyncio.timeout(0)
            _drive(self._timeout.__aenter__())

    def left(self, frame: FrameType, error: BaseException | None) -> None:  # pragma: no cover - untraced
        """A frame ends, with an error or without: the timeout around it ends too, and raises what it has to."""
        if frame is not self._frame:
            return
        self._frame, timeout, self._timeout = None, self._timeout, None
        how = _NO_EXCEPTION if error is None else (type(error), error, error.__traceback__)
        try:
            _drive(timeout.__aexit__(*how))
        except TimeoutError as raised:
            self.raised = raised
            raise

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Watch this thread, or all of them where Python can."""
        begin = _profiled if MONITORING is None else _monitored
        end = begin(self)
        try:
            yield
        finally:
            end()
            self._frame = self._timeout = None

    @property
    def has_timeout(self) -> bool:
        """Whether the end of frames is to be seen as well."""
        return self._how == "timeout" and self._hit is not None


def _current_task() -> asyncio.Task[Any] | None:  # pragma: no cover - untraced
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs: somebody drives the coroutine by hand
        return None


def _drive(coroutine: Any) -> None:  # pragma: no cover - untraced
    """Run a coroutine that never waits, as those of asyncio.timeout()."""
    with contextlib.suppress(StopIteration):
        coroutine.send(None)


def _monitored(suspensions: Suspensions) -> Callable[[], None]:
    tool = next((number for number in TOOLS if MONITORING.get_tool(number) is None), None)
    if tool is None:
        raise SolipsismError("over_cancellations() needs a tool of sys.monitoring, and all that are free by convention "
                             "are in use")
    events = MONITORING.events

    def suspended(code: CodeType, offset: int, value: object) -> object:  # pragma: no cover - untraced
        if not suspensions.is_wanted(code):
            return MONITORING.DISABLE
        suspensions.suspended(_getframe(1), value)
        return None

    def returned(code: CodeType, offset: int, value: object) -> None:  # pragma: no cover - untraced
        suspensions.left(_getframe(1), None)

    def unwound(code: CodeType, offset: int, error: BaseException) -> None:  # pragma: no cover - untraced
        suspensions.left(_getframe(1), error)

    MONITORING.use_tool_id(tool, __package__)
    MONITORING.register_callback(tool, events.PY_YIELD, suspended)
    wanted = events.PY_YIELD
    if suspensions.has_timeout:
        MONITORING.register_callback(tool, events.PY_RETURN, returned)
        MONITORING.register_callback(tool, events.PY_UNWIND, unwound)
        wanted |= events.PY_RETURN | events.PY_UNWIND
    MONITORING.restart_events()  # what an earlier run was not interested in
    MONITORING.set_events(tool, wanted)

    def end() -> None:
        MONITORING.set_events(tool, 0)
        for event in (events.PY_YIELD, events.PY_RETURN, events.PY_UNWIND):
            MONITORING.register_callback(tool, event, None)
        MONITORING.free_tool_id(tool)

    return end


def _profiled(suspensions: Suspensions) -> Callable[[], None]:
    before = sys.getprofile()

    def profile(frame: FrameType, event: Any, value: object) -> None:  # pragma: no cover - untraced
        if before is not None:
            before(frame, event, value)
        if event == "return" and suspensions.is_wanted(frame.f_code) and \
                frame.f_code.co_code[frame.f_lasti] == _YIELD:
            suspensions.suspended(frame, value)

    sys.setprofile(profile)
    return lambda: sys.setprofile(before)
