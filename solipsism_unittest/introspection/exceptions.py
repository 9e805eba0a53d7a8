"""An exception and all that is printed with it: its causes, its contexts, and the members of a group.

Owns the one walk over them, so that nothing is reported twice, and the cutting of tracebacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any

from ..errors import EscapeError
from .modules import is_ours, is_plumbing, module_of, root_of
from .places import Place
from .tasks import await_chain

__unittest = True
__tracebackhide__ = True

# Modules that run a program: their frames say nothing about where it failed.
_RUNNERS = frozenset({"asyncio.runners", "asyncio.base_events", "asyncio.events", "unittest.case", "contextlib"})


def clean(error: BaseException) -> None:
    """Let its traceback begin at the user's first line; without one, behind the modules that run programs."""
    trace = error.__traceback__
    if isinstance(error, EscapeError):
        trace = without_own_frames(trace)
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
    # Modules of ours that run a program are marked with the name that unittest looks for.
    return module_of(trace.tb_frame) in _RUNNERS or "__unittest" in trace.tb_frame.f_globals


def _without_ours(trace: types.TracebackType | None) -> types.TracebackType | None:
    """The same without the frames of this package, unless there are no others."""
    theirs = [line for line in lines_of(trace) if not is_ours(module_of(line.tb_frame))]
    return trace_of(theirs) or trace


def awaiting_line(task: asyncio.Future[Any]) -> TracebackType | None:
    """A traceback to the very line where a suspended task waits; None for what is no task."""
    trace = None
    for frame in reversed(await_chain(task) if isinstance(task, asyncio.Task) else ()):
        trace = TracebackType(trace, frame, frame.f_lasti, frame.f_lineno)
    return trace


def parts(errors: Iterable[BaseException | None], *, hidden: bool = False) -> Iterator[BaseException]:
    """These and every exception that is printed with one of them, each once.

    With `hidden`, those are among them that Python does not print: the context of a `raise ... from ...`.
    """
    seen: set[int] = set()
    line = list(errors)
    while line:
        error = line.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            yield error
            line.append(error.__cause__)
            if hidden or error.__cause__ is None and not error.__suppress_context__:
                line.append(error.__context__)
            if isinstance(error, BaseExceptionGroup):
                line += error.exceptions


def ids(errors: Iterable[BaseException | None]) -> set[int]:
    """The ids of `parts(errors)`: two equal exceptions have different ones."""
    return set(map(id, parts(errors)))


def lines_of(trace: TracebackType | None) -> list[TracebackType]:
    """The entries of a traceback, outermost first."""
    lines = []
    while trace is not None:
        lines.append(trace)
        trace = trace.tb_next
    return lines


def trace_of(lines: Sequence[TracebackType]) -> TracebackType | None:
    """A traceback of these entries alone; None for none."""
    trace = None
    for line in reversed(lines):
        trace = TracebackType(trace, line.tb_frame, line.tb_lasti, line.tb_lineno)
    return trace


def user_line(trace: TracebackType | None) -> Place | None:
    """The innermost line of the user in a traceback: where an error was raised; None where no line is the user's."""
    inner = next((line for line in reversed(lines_of(trace)) if not is_plumbing(module_of(line.tb_frame))), None)
    return Place(inner.tb_frame.f_code, inner.tb_lasti) if inner is not None else None



# Modules of the standard library that make audited calls for the program: the program called theirs.
ON_THE_WAY = frozenset({"os", "pty", "subprocess", "webbrowser"})


def without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback that ends at the program's line: the frames between it and the stopped call are cut off."""
    lines = lines_of(trace)
    while lines and _is_below(module_of(lines[-1].tb_frame)):
        lines.pop()
    return trace_of(lines)


def _is_below(module: str) -> bool:
    return is_ours(module) or root_of(module) in ON_THE_WAY
