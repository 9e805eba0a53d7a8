"""Coroutines that nobody awaited: a forgotten `await`, which Python only warns of.

Owns the one place where Python says so (it asks module `warnings` for each coroutine that is thrown away before it
began), the text of the report, and the closing of those that a failure holds on to.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
import types
import warnings
from collections import Counter
from types import TracebackType
from typing import Any, Self

from .places import Place, shorten, user_place

__unittest = True
__tracebackhide__ = True

_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep


class Unawaited:
    """Between `with` and its end, takes down the coroutines that are thrown away without having begun.

    Only those that were made on this thread in the meantime count. Whoever collects warnings (`assertWarns`) gets the
    warning instead. It costs a tenth of a microsecond for a coroutine.
    """

    def __init__(self) -> None:
        # The name; who made it, as Python keeps it; the user's line where it was thrown away.
        self._found: list[tuple[str, tuple[str, int, str], Place | None]] = []

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
        if collected or not coroutine.cr_origin or threading.get_ident() != self._thread:
            self._warn(coroutine)
            return
        self._found.append((coroutine.__qualname__, coroutine.cr_origin[0], user_place(2)))

    def report(self) -> str:
        """A line for each of them, equal ones counted; "" where there were none."""
        lines = []
        for (name, (file, line, function), place), count in Counter(self._found).items():
            made = f"{shorten(file)}:{line} in {function}"
            if file.startswith(_STANDARD_LIBRARY) and "-packages" not in file:
                made = str(place) if place else "a line of the standard library"  # a mock's: who threw it away is near
            times = f" (x {count})" if count > 1 else ""
            lines.append(f"coroutine '{name}' was never awaited{times}, so nothing of it ran: write `await` before it, "
                         f"or make a task of it\n  made at {made}")
        return "\n".join(lines)


def close_held(error: BaseException | None) -> None:
    """Close the coroutines that the frames of a failure had made and not come to: they are no mistake of their own."""
    seen: set[int] = set()
    errors = [error]
    while errors:
        each = errors.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        errors += [each.__cause__, each.__context__]
        trace = each.__traceback__
        while trace is not None:
            for value in list(trace.tb_frame.f_locals.values()):
                if isinstance(value, types.CoroutineType) and inspect.getcoroutinestate(value) == inspect.CORO_CREATED:
                    value.close()
            trace = trace.tb_next
