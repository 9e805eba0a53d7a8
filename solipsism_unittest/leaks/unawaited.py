"""Coroutines that nobody awaited: a forgotten `await`, for which Python has only a warning.

Owns the hook in module `warnings`: Python calls it for each coroutine that is collected before it began. Owns also the
closing of coroutines that a failure still holds.
"""

from __future__ import annotations

import inspect
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from ..introspection.exceptions import parts
from ..introspection.modules import is_of_program, is_of_standard_library
from ..introspection.places import Place, shorten, user_place

__unittest = True
__tracebackhide__ = True


class Unawaited:
    """Inside `with`, notes the coroutines that are collected before they began.

    Only those count that were made inside, on this thread or on one for which `is_ours()` is true. Whoever collects
    warnings (`assertWarns`) gets the warning instead. It costs a tenth of a microsecond for each coroutine.
    """

    def __init__(self) -> None:
        self.is_ours: Callable[[], bool] = lambda: False  # whether another thread belongs to this test
        self._found: list[tuple[str, str]] = []  # the name, and where it was made

    def __enter__(self) -> Self:
        self._found.clear()
        self._thread = threading.get_ident()
        self._depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(max(self._depth, 1))
        self._show = warnings._showwarnmsg_impl  # type: ignore[attr-defined]
        self._warn = warnings._warn_unawaited_coroutine  # type: ignore[attr-defined]
        warnings._warn_unawaited_coroutine = self._take_down  # type: ignore[attr-defined]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        warnings._warn_unawaited_coroutine = self._warn  # type: ignore[attr-defined]
        sys.set_coroutine_origin_tracking_depth(self._depth)

    def _take_down(self, coroutine: types.CoroutineType[Any, Any, Any]) -> None:
        collected = warnings._showwarnmsg_impl is not self._show  # type: ignore[attr-defined]
        ours = threading.get_ident() == self._thread or self.is_ours()
        if collected or not coroutine.cr_origin or not ours:
            self._warn(coroutine)
            return
        self._found.append((coroutine.__qualname__, _made(coroutine, user_place(2))))

    def take(self) -> list[tuple[str, str]]:
        """The name of each, and where it was made. They are given once."""
        found, self._found = self._found, []
        return found

    def look(self, things: Iterable[object]) -> None:
        """Note and close the coroutines among these that have not begun: nobody will await them."""
        for thing in things:
            if type(thing) is types.CoroutineType and inspect.getcoroutinestate(thing) == inspect.CORO_CREATED:
                self._found.append((thing.__qualname__, _made(thing, None)))
                thing.close()


def _made(coroutine: types.CoroutineType[Any, Any, Any], place: Place | None) -> str:
    file, line, function = coroutine.cr_origin[0] if coroutine.cr_origin else ("", 0, "")
    # Ours calls jobs of the program.
    if file and is_of_program(file):
        return f"{shorten(file)}:{line} in {function}"
    if place is not None:
        return str(place)  # a mock made it: the line that dropped it is near
    code = coroutine.cr_code
    if is_of_standard_library(code.co_filename):
        return "a line of the standard library"
    return f"{shorten(code.co_filename)}:{code.co_firstlineno}, where it is defined"


def close_held(error: BaseException | None) -> None:
    """Close the coroutines in the frames of a failure that have not begun: the failure came before their turn."""
    for each in parts([error], hidden=True):
        trace = each.__traceback__
        while trace is not None:
            for value in list(trace.tb_frame.f_locals.values()):
                # Not isinstance(): it would read the value's __class__, and a dead proxy raises there.
                if type(value) is types.CoroutineType and inspect.getcoroutinestate(value) == inspect.CORO_CREATED:
                    value.close()
            trace = trace.tb_next
