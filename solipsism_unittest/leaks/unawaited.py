"""Coroutines that nobody awaited: a forgotten `await`, for which Python has only a warning.

Owns the hook in module `warnings`: Python calls it for each coroutine that is collected before it began. Owns also the
closing of coroutines that a failure still holds.
"""

from __future__ import annotations

import collections
import inspect
import types
import warnings
from collections.abc import Iterable, Iterator
from dis import get_instructions
from inspect import getcoroutinestate
from sys import get_coroutine_origin_tracking_depth, set_coroutine_origin_tracking_depth
from threading import get_ident
from typing import Any, Self

from ..introspection.exceptions import parts
from ..introspection.modules import is_of_program, is_of_standard_library
from ..introspection.names import LONGEST, plain
from ..introspection.places import Place, shorten, user_place
from ..pythons import collector_of_warnings
from ..stdlib.worlds import World, world_here

__unittest = True
__tracebackhide__ = True

_CONTAINERS = (list, tuple, set, frozenset, collections.deque)
_FEW = 100


class Unawaited:
    """Inside `with`, notes the coroutines that are collected before they began.

    Only those count that were made inside, on this thread or on one of `world`. Whoever collects warnings
    (`assertWarns`) gets the warning instead. It costs a tenth of a microsecond for each coroutine.
    """

    def __init__(self) -> None:
        self.world: World | None = None  # of the test: other threads in it belong to it
        self._found: list[tuple[str, str]] = []  # the name, and where it was made

    def __enter__(self) -> Self:
        self._found.clear()
        self._thread = get_ident()
        self._depth = get_coroutine_origin_tracking_depth()
        set_coroutine_origin_tracking_depth(max(self._depth, 1))
        self.collector = collector_of_warnings()
        self._warn = warnings._warn_unawaited_coroutine  # type: ignore[attr-defined]
        warnings._warn_unawaited_coroutine = self  # type: ignore[attr-defined]
        return self

    def __exit__(self, *exc_info: object) -> None:
        later: list[Unawaited] = []  # that were entered since, and have not ended: they put back what was before us
        there = warnings._warn_unawaited_coroutine  # type: ignore[attr-defined]
        while type(there) is Unawaited and there is not self:
            later.append(there)
            there = there._warn
        if later:
            later[-1]._warn = self._warn if there is self else there  # the program's own
        else:
            warnings._warn_unawaited_coroutine = self._warn  # type: ignore[attr-defined]
        here = [each for each in later if each._thread == self._thread]
        if here:
            here[-1]._depth = self._depth
        else:
            set_coroutine_origin_tracking_depth(self._depth)

    def __call__(self, coroutine: types.CoroutineType[Any, Any, Any]) -> None:
        """A coroutine was collected before it began."""
        collected = collector_of_warnings() is not self.collector
        ours = get_ident() == self._thread or self.world is not None and world_here() is self.world
        if collected or not coroutine.cr_origin or not ours:
            self._warn(coroutine)
            return
        self._found.append((_name(coroutine), _made(coroutine, user_place(2))))

    def take(self) -> list[tuple[str, str]]:
        """The name of each, and where it was made. They are given once."""
        found, self._found = self._found, []
        return found

    def look(self, things: Iterable[object]) -> None:
        """Note and close the coroutines among these that have not begun: nobody will await them."""
        for thing in things:
            if type(thing) is types.CoroutineType and getcoroutinestate(thing) == inspect.CORO_CREATED:
                self._found.append((_name(thing), _made(thing, None)))
                thing.close()


def _name(coroutine: types.CoroutineType[Any, Any, Any]) -> str:
    """What was called: of an AsyncMock, whose coroutines have one name, the mock by its own."""
    known = _call_of_mock(coroutine)
    return f"AsyncMock {known['self']._extract_mock_name()}" if known else coroutine.__qualname__


def _call_of_mock(coroutine: types.CoroutineType[Any, Any, Any]) -> dict[str, Any]:
    """The `self`, `args` and `kwargs` of a call of an AsyncMock; {} for any other coroutine."""
    frame = coroutine.cr_frame
    if frame is None or coroutine.__qualname__ != "AsyncMockMixin._execute_mock_call":
        return {}
    return dict(frame.f_locals)


def _made(coroutine: types.CoroutineType[Any, Any, Any], place: Place | None) -> str:
    file, line, function = coroutine.cr_origin[0] if coroutine.cr_origin else ("", 0, "")
    # Ours calls jobs of the program.
    if file and is_of_program(file):
        return f"{shorten(file)}:{line} in {function}"
    if place is not None:
        return str(place)  # a mock made it: the line that dropped it is near
    if known := _call_of_mock(coroutine):
        arguments = [*map(plain, known["args"]), *(f"{name}={plain(each)}" for name, each in known["kwargs"].items())]
        shown = ", ".join(arguments)
        shown = shown if len(shown) <= LONGEST else "..."
        return f"the call {known['self']._extract_mock_name()}({shown}) of this mock"
    code = coroutine.cr_code
    if is_of_standard_library(code.co_filename):
        return "a line of the standard library"
    return f"{shorten(code.co_filename)}:{code.co_firstlineno}, where it is defined"


def inside(value: object) -> Iterable[object]:
    """A value and, of a container with few things, those in it."""
    # Not isinstance(): it would read the value's __class__, and a dead proxy raises there.
    kind: Any = type(value)
    if kind is dict or kind in _CONTAINERS:
        things: Any = value
        if len(things) <= _FEW:
            return [value, *(things.values() if kind is dict else things)]
    return (value,)


def close_held(error: BaseException | None) -> None:
    """Close the coroutines in the frames of a failure that have not begun."""
    for coroutine, _ in _held(error):
        coroutine.close()


def forgotten_by(error: BaseException | None) -> list[types.CoroutineType[Any, Any, Any]]:
    """Those of them that the program forgot to await; the others are closed, for the failure came before their turn."""
    held = list(_held(error))
    for coroutine, is_forgotten in held:
        if not is_forgotten:
            coroutine.close()
    return [coroutine for coroutine, is_forgotten in held if is_forgotten]


def _held(error: BaseException | None) -> Iterator[tuple[types.CoroutineType[Any, Any, Any], bool]]:
    for each in parts([error], hidden=True):
        trace = each.__traceback__
        while trace is not None:
            for name, value in list(trace.tb_frame.f_locals.items()):
                for thing in inside(value):
                    if type(thing) is types.CoroutineType and getcoroutinestate(thing) == inspect.CORO_CREATED:
                        yield thing, not _is_used_later(trace.tb_frame.f_code, trace.tb_lasti, name)
            trace = trace.tb_next


def _is_used_later(code: types.CodeType, instruction: int, name: str) -> bool:
    """Whether a function that failed at an instruction would have come to a use of a local variable."""
    if not is_of_program(code.co_filename) or name in code.co_cellvars + code.co_freevars:
        return True  # nobody can tell
    steps = list(get_instructions(code))
    # From where it would have gone on: of a loop, from its begin.
    start = min([instruction + 1, *(step.argval for step in steps
                                    if "JUMP_BACKWARD" in step.opname and step.offset > instruction)])
    return any("LOAD" in step.opname and name in (step.argval if isinstance(step.argval, tuple) else (step.argval,))
               for step in steps if step.offset >= start)
