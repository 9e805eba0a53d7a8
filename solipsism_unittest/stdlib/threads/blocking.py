"""Stand-ins for calls that stop the loop's thread."""

from __future__ import annotations

import functools
import itertools
import sys
from asyncio import events
from collections.abc import Callable
from types import FrameType
from typing import Any

from ...introspection.debuggers import debugging
from ...introspection.modules import asks_about_the_machine, module_of, outward, root_of
from ...introspection.places import user_place
from .stalls import Blocking

# -- the replacements: each is made from what stood there


def _here(frame: FrameType | None) -> Blocking | None:
    """Who is to be told of a call that `frame` makes; None where it may block."""
    selector = getattr(events._get_running_loop(), "selector", None)
    blocking: Blocking | None = getattr(selector, "blocking", None)
    return None if blocking is None or blocking.on_call == "ignore" or debugging(frame) else blocking


def make_sleep(before: Callable[..., None]) -> Any:
    """`time.sleep`: in the loop's thread it returns at once and is told."""

    @functools.wraps(before)
    def sleep(seconds: Any, /) -> None:
        blocking = _here(sys._getframe().f_back) if isinstance(seconds, (int, float)) and seconds > 0 else None
        if blocking is None:
            return before(seconds)
        return blocking.note_call(f"time.sleep({seconds!r})", user_place(2))

    return sleep


def make_wait(before: Callable[..., bool]) -> Any:
    """`threading.Condition.wait`: what Event.wait(), Queue.get() and Future.result() come to when they really wait."""

    @functools.wraps(before)
    def wait(self: Any, timeout: float | None = None) -> bool:
        if timeout is None or timeout > 0:
            frame = sys._getframe().f_back
            blocking = _here(frame)
            if blocking is not None and not _of_threading(frame):
                how = "without a timeout" if timeout is None else f"for up to {timeout:.3g} s"
                blocking.note_call(f"{_called(frame)}() {how}", user_place(2))
        return before(self, timeout)

    return wait


def _of_threading(frame: FrameType | None) -> bool:
    # Thread.start() waits for the thread to be there, which is no waiting to speak of.
    caller = frame.f_back if frame is not None else None
    return caller is not None and caller.f_code.co_name == "start" and module_of(caller) == "threading"


def _called(frame: FrameType | None) -> str:
    """The outermost function of the standard library on the way from the user's line to the wait."""
    inner = itertools.takewhile(lambda step: root_of(module_of(step)) in _WAITING, outward(frame))
    return [*(step.f_code.co_qualname for step in inner), "Condition.wait"][0]


_WAITING = frozenset({"threading", "queue", "concurrent"})


def make_process_wait(before: Callable[..., int]) -> Any:
    """`subprocess.Popen.wait`, which run(), call() and communicate() come to."""

    @functools.wraps(before)
    def wait(self: Any, timeout: float | None = None) -> int:
        frame = sys._getframe().f_back
        blocking = _here(frame) if self.returncode is None else None
        if blocking is not None and not asks_about_the_machine(frame):
            blocking.note_call("waiting for a child process", user_place(2))
        return before(self, timeout)

    return wait


def make_input(before: Callable[..., str]) -> Any:
    """`input()`."""

    @functools.wraps(before)
    def input(prompt: object = "", /) -> str:
        blocking = _here(sys._getframe().f_back)
        if blocking is not None:
            blocking.note_call("input()", user_place(2))
        return before(prompt)

    return input
