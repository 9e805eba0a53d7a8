"""An exception and all that is printed with it: its causes, what it came in the course of, and the members of a group.

Owns the one walk over them, so that nothing is told twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType


def parts(errors: Iterable[BaseException | None], *, hidden: bool = False) -> Iterator[BaseException]:
    """These and every exception that is printed with one of them, each once; `hidden` ones are not printed.

    What `raise ... from ...` was raised in the course of is hidden.
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
    """The ids of `parts(errors)`, which is what tells one exception from an equal one."""
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
