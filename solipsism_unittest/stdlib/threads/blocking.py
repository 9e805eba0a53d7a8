"""Stand-ins for calls that stop the loop's thread: they report the call.

`time.sleep` returns at once where it is reported: really sleeping could only make the test slow, because virtual time
stands still meanwhile. The other calls (a wait, a child process, input()) bring something, so they are really made.
"""

from __future__ import annotations

import functools
import itertools
from asyncio import events
from collections.abc import Callable
from sys import _getframe
from types import FrameType
from typing import Any

from ...introspection.debuggers import debugging
from ...introspection.modules import asks_about_the_machine, module_of, outward, root_of
from ...introspection.places import user_place
from .stalls import Blocking

# In the words of `describe(frame, *args)`: who calls, and with what; "" for a call that does not block.
Words = Callable[..., str]


def reported(describe: Words) -> Callable[[Any], Any]:
    """Make a stand-in that reports a call which blocks the loop's thread, and then makes it."""

    def make(before: Callable[..., Any]) -> Any:
        @functools.wraps(before)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            if events._get_running_loop() is not None:
                _report(describe, args, kwargs)
            return before(*args, **kwargs)

        return replacement

    return make


def reported_and_skipped(describe: Words) -> Callable[[Any], Any]:
    """The same for a call that nobody needs: where it is reported it returns None at once."""

    def make(before: Callable[..., Any]) -> Any:
        @functools.wraps(before)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            return None if _report(describe, args, kwargs) else before(*args, **kwargs)

        return replacement

    return make


def _report(describe: Words, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Report a call of the caller's caller where it blocks the loop's thread; whether it did."""
    frame = _getframe(2)
    blocking = _here(frame)
    words = describe(frame, *args, **kwargs) if blocking is not None else ""
    if blocking is None or not words:
        return False
    blocking.note_call(words, user_place(3))
    return True


def _here(frame: FrameType) -> Blocking | None:
    """Who keeps the reports of a call that `frame` makes; None where it may block."""
    selector = getattr(events._get_running_loop(), "selector", None)
    blocking: Blocking | None = getattr(selector, "blocking", None)
    return None if blocking is None or blocking.on_call == "ignore" or debugging(frame) else blocking


# -- words for each call


def sleep(frame: FrameType, *args: Any) -> str:
    """`time.sleep`."""
    return f"time.sleep({args[0]!r})" if args and isinstance(args[0], (int, float)) and args[0] > 0 else ""


def wait(frame: FrameType, condition: Any, timeout: float | None = None) -> str:
    """`threading.Condition.wait`: what Event.wait(), Queue.get() and Future.result() come to when they really wait."""
    if timeout is not None and timeout <= 0 or _starts_a_thread(frame):
        return ""
    how = "without a timeout" if timeout is None else f"for up to {timeout:.3g} s"
    return f"{_called(frame)}() {how}"


def _starts_a_thread(frame: FrameType) -> bool:
    # Thread.start() waits for the thread to be there, which is no waiting to speak of.
    caller = frame.f_back
    return caller is not None and caller.f_code.co_name == "start" and module_of(caller) == "threading"


def _called(frame: FrameType) -> str:
    """The outermost function of the standard library on the way from the user's line to the wait."""
    inner = itertools.takewhile(lambda step: root_of(module_of(step)) in _WAITING, outward(frame))
    return ["Condition.wait", *(step.f_code.co_qualname for step in inner)][-1]


_WAITING = frozenset({"threading", "queue", "concurrent"})


def wait_for_child(frame: FrameType, process: Any, timeout: float | None = None) -> str:
    """`subprocess.Popen.wait`, which run(), call() and communicate() come to."""
    return "waiting for a child process" if process.returncode is None and not asks_about_the_machine(frame) else ""


def read_input(frame: FrameType, *prompt: object) -> str:
    """`input()`."""
    return "input()"
