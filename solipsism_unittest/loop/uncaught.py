"""Errors that nobody caught: what reaches a loop's exception handler.

Owns the record of them, one for each loop, and the errors that a test expects. Where the program sets an exception
handler of its own, that handler takes the errors over: only what reaches asyncio's default handler is a fault.
"""

from __future__ import annotations

import asyncio
import re
from asyncio.log import logger
from collections.abc import Callable
from typing import Any, NamedTuple

from ..hangs import words
from ..introspection.exceptions import user_line
from ..introspection.handles import turn_words
from ..introspection.names import plain
from ..introspection.places import Place, made_at

__unittest = True
__tracebackhide__ = True

_DESTROYED = "Task was destroyed but it is pending!"
_UNREAD = " exception was never retrieved"  # asyncio's words when a task or another future is collected

Types = type[BaseException] | tuple[type[BaseException], ...]


class UncaughtError(NamedTuple):
    """One error that nobody caught: in words, the error itself where there is one, and where it was raised.

    `kind` is "error" for what a callback raised, "unread" for the error of a task, and "task" for a pending task that
    was collected. For a task, `place` is where the task was made.
    """

    kind: str
    what: str
    error: BaseException | None
    place: Place | None


class Expectation:
    """An error that a test expects: of these types, with the pattern in its text."""

    def __init__(self, types: tuple[type[BaseException], ...], pattern: re.Pattern[str] | None) -> None:
        self._types = types
        self._pattern = pattern
        self.exception: BaseException | None = None

    def takes(self, error: BaseException | None) -> bool:
        """Whether this is the expected error; it is taken once."""
        if self.exception is not None or not isinstance(error, self._types):
            return False
        if self._pattern is not None and not self._pattern.search(str(error)):
            return False
        self.exception = error.with_traceback(None)  # as assertRaises does: its frames are not to be kept
        return True

    def __str__(self) -> str:
        names = " or ".join(each.__name__ for each in self._types)
        return names + (f" with a text that {self._pattern.pattern!r} is found in" if self._pattern else "")


def _by_nobody(kind: str) -> bool:
    return False


class UncaughtErrors:
    """The errors of one loop that nobody caught, and those that a test expects."""

    __slots__ = ("found", "expected", "is_reported")

    def __init__(self) -> None:
        self.found: list[UncaughtError] = []
        self.expected: list[Expectation] = []  # the innermost comes last
        self.is_reported: Callable[[str], bool] = _by_nobody  # of each kind, whether a test fails for it

    def is_expected(self, error: BaseException | None) -> bool:
        """Whether a test expects this error; each expectation takes one."""
        return any(expectation.takes(error) for expectation in reversed(self.expected))

    def note(self, context: dict[str, Any]) -> bool:
        """Note what asyncio's default handler got; gives whether it is to be logged.

        It is not where the report of a test says it, and where no handler of the program's takes what asyncio logs: on
        stderr the same would stand twice.
        """
        kind = self._note(context)
        return kind is not None and (logger.hasHandlers() or not self.is_reported(kind))

    def _note(self, context: dict[str, Any]) -> str | None:
        """The kind of what asyncio's default handler got; None for what is no error."""
        error, future = context.get("exception"), context.get("future")
        if isinstance(future, asyncio.Future) and error is not None and _UNREAD in str(context.get("message")):
            self.found.append(unread(future))
            return "unread"
        lost = context.get("task")
        if isinstance(lost, asyncio.Task) and context.get("message") == _DESTROYED:
            what = f"{words.task_words(lost)}, which was collected as garbage: keep a reference to it"
            self.found.append(UncaughtError("task", what, None, made_at(lost)))
            return "task"
        # Some versions of asyncio report that a server's handler was cancelled: nothing went wrong.
        if isinstance(error, asyncio.CancelledError):
            return None
        place = user_line(error.__traceback__) if error is not None else None
        self.found.append(UncaughtError("error", _words(context, error), error, place))
        return "error"


def unread(future: asyncio.Future[Any]) -> UncaughtError:
    """The error of a task, or of another future, that nobody read."""
    error, it = future._exception, "task" if isinstance(future, asyncio.Task) else "future"
    return UncaughtError("unread", f"{words.future_words(future)} raised {plain(error)}: await the {it}, or ask "
                            "for its exception()", error, made_at(future))


def _words(context: dict[str, Any], error: BaseException | None) -> str:
    what = str(context.get("message") or "an error without a message")
    handle, task = context.get("handle"), context.get("task") or context.get("future")
    if isinstance(handle, asyncio.Handle):
        # asyncio's own words have the whole path.
        what = f"callback {turn_words(handle)}"
    elif isinstance(task, asyncio.Task):
        what = f"{what.rstrip('!')}: {words.task_words(task)}"
    elif error is not None:
        return f"{what}: {plain(error)}"
    return f"{what} raised {plain(error)}" if error is not None else what
