"""What a test's outcome is told, and when: failures are held back until its end, and errors become notes on them.

A note on an exception is lost once unittest has written the exception down; so nothing is handed on before everything
is known. Frames of the machinery do not show.
"""

from __future__ import annotations

import contextlib
import traceback
import types
from collections.abc import Iterable
from typing import Any

from ..errors import EscapeError
from ..introspection.exceptions import lines_of, parts, trace_of
from ..introspection.modules import is_ours, module_of
from ..introspection.places import is_plumbing
from ..stdlib.seal import guard

__unittest = True
__tracebackhide__ = True

# What runs a program and is no part of what it came to.
_RUNNERS = frozenset({"asyncio.runners", "asyncio.base_events", "asyncio.events", "unittest.case", "contextlib"})

_Error = tuple[type[BaseException], BaseException, types.TracebackType | None]


class HeldResult:
    """A test result that keeps the failures of one test until `release()`; all else goes through at once."""

    def __init__(self, result: Any) -> None:
        self._result = result
        self._held: list[tuple[str, Any, _Error | None]] = []

    def addError(self, test: Any, err: _Error) -> None:
        self._held.append(("addError", test, err))

    def addFailure(self, test: Any, err: _Error) -> None:
        self._held.append(("addFailure", test, err))

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._result, name)
        if name != "addSubTest":
            return attribute
        return lambda test, subtest, err: self._held.append(("addSubTest", (test, subtest), err))

    def errors(self) -> list[BaseException]:
        """The exceptions of the failures, in order."""
        return [err[1] for _, _, err in self._held if err is not None]

    def release(self) -> None:
        """Hand everything on, in order, without the frames of the machinery above the user's."""
        held, self._held = self._held, []
        for name, test, err in held:
            if err is not None:
                for error in parts([err[1]]):
                    clean(error)
                err = err[0], err[1], err[1].__traceback__
            getattr(self._result, name)(*(test if isinstance(test, tuple) else (test,)), err)


class Note(str):
    """A note of ours."""

    __slots__ = ()


def forget_notes(errors: Iterable[BaseException]) -> None:
    """Take off what an earlier test has noted on these errors: a program may raise the same one in several tests."""
    for error in errors:
        notes = getattr(error, "__notes__", None)
        if isinstance(notes, list):
            notes[:] = [note for note in notes if type(note) is not Note]


def clean(error: BaseException) -> None:
    """Let its traceback begin with the user's first line; where no line is the user's, with what it came to."""
    trace = error.__traceback__
    if isinstance(error, EscapeError):
        trace = guard.without_own_frames(trace)
    inner = trace
    while inner is not None and is_plumbing(module_of(inner.tb_frame)):
        inner = inner.tb_next
    if inner is None:
        inner = trace
        while inner is not None and inner.tb_next is not None and _runs_programs(inner):
            inner = inner.tb_next
    with contextlib.suppress(Exception):  # of an error that lets nothing be set
        error.__traceback__ = _without_ours(inner)


def _runs_programs(trace: types.TracebackType) -> bool:
    # Modules of ours that run a program say so as unittest wants to hear it.
    return module_of(trace.tb_frame) in _RUNNERS or "__unittest" in trace.tb_frame.f_globals


def _without_ours(trace: types.TracebackType | None) -> types.TracebackType | None:
    """The same without the frames of this package, unless there are no others."""
    theirs = [line for line in lines_of(trace) if not is_ours(module_of(line.tb_frame))]
    return trace_of(theirs) or trace


def can_be_cause(error: BaseException) -> bool:
    """Whether unittest, which cleans the tracebacks of causes, can tell of it as one."""
    try:
        error.__traceback__ = error.__traceback__
    except Exception:
        return False
    return True


def as_note(error: BaseException) -> Note:
    """An exception as the text of a note on another one."""
    if error.__traceback__ is None:
        notes = [*getattr(error, "__notes__", ()), *([as_note(error.__cause__)] if error.__cause__ else ())]
        return Note("\n".join([f"also: {error}", *notes]))
    for each in parts([error]):
        clean(each)
    return Note("also: " + "".join(traceback.format_exception(error)).rstrip())
