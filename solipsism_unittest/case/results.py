"""When unittest's result hears of a failure: at the end of the test, with every other error as a note on it.

unittest formats an exception at once, and a note that comes later is lost. So failures are held back until everything
is known. Frames of the machinery do not show.
"""

from __future__ import annotations

import functools
import re
import types
import unittest
from asyncio import CancelledError
from collections.abc import Callable, Collection, Iterable, Sequence
from inspect import unwrap
from traceback import TracebackException, format_exception
from typing import Any, Protocol

from ..introspection.exceptions import clean, ids, lines_of, parts, trace_of, user_line
from ..introspection.handles import code_of
from ..introspection.modules import is_ours, module_of
from ..kernel.journal import counted

__unittest = True
__tracebackhide__ = True

_Error = tuple[type[BaseException], BaseException, types.TracebackType | None]


class Statement(Protocol):
    """What a test says with an assertion that does nothing until it is awaited or entered."""

    def abandon(self) -> None:
        """Give up on it, so that Python does not report it as well."""


class Onlooker(Protocol):
    """Who looks at a failure at once."""

    def look_at_network(self) -> None:
        """Note how the network stands."""


class HeldResult:
    """A test result that keeps the failures of one test until `release()`; all else goes through at once."""

    def __init__(self, result: unittest.TestResult, onlooker: Onlooker | None = None) -> None:
        self._result = result
        self._onlooker = onlooker  # looks at once at each failure, before anything is cleaned up
        self._held: list[tuple[str, Any, _Error | None]] | tuple[()] = ()
        self.on_failure: Callable[[BaseException], object] | None = None  # told of each at once

    def _hold(self, method: str, test: Any, err: _Error | None) -> None:
        held = self._held = self._held or []
        held.append((method, test, err))
        if err is not None:
            if self._onlooker is not None:
                self._onlooker.look_at_network()
            if self.on_failure is not None:
                self.on_failure(err[1])

    def addError(self, test: unittest.TestCase, err: _Error) -> None:
        self._hold("addError", test, err)

    def addFailure(self, test: unittest.TestCase, err: _Error) -> None:
        self._hold("addFailure", test, err)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._result, name)
        if name != "addSubTest":
            return attribute
        return lambda test, subtest, err: self._hold("addSubTest", (test, subtest), err)

    def errors(self) -> list[BaseException]:
        """The exceptions of the failures, in order."""
        return [err[1] for _, _, err in self._held if err is not None]

    def release(self) -> None:
        """Hand everything on, in order, without the frames of the machinery above the user's."""
        held, self._held = self._held, ()
        for name, test, err in held:
            if err is not None:
                case = test[0] if isinstance(test, tuple) else test
                for error in parts([err[1]]):
                    clean(error)
                    give_line(error, getattr(case, case._testMethodName))
                err = err[0], err[1], err[1].__traceback__
            getattr(self._result, name)(*(test if isinstance(test, tuple) else (test,)), err)


_PARTIAL = functools.partial, functools.partialmethod
_RAISE = compile("raise error", "", "exec")


def give_line(error: BaseException, *functions: Any) -> None:
    """Let a failure that no line of the program raised stand at the first line of the first of these that has one.

    A leak, for example. pytest would say that all entries of the traceback are hidden. unittest leaves the line out.
    """
    code = next(filter(None, map(code_of, map(_innermost, functions))), None)
    if code is None or any(not line.tb_frame.f_globals.get("__tracebackhide__")
                           for line in lines_of(error.__traceback__)):
        return
    here = _RAISE.replace(co_filename=code.co_filename, co_name=code.co_name, co_qualname=code.co_qualname,
                          co_firstlineno=code.co_firstlineno)
    before = error.__context__
    try:
        exec(here, {"__name__": __name__, "__unittest": True, "error": error.with_traceback(None)})
    except type(error):
        error.__traceback__ = trace_of(lines_of(error.__traceback__)[1:])
        error.__context__ = before


def _innermost(function: Any) -> Any:
    while isinstance(function, _PARTIAL):
        function = function.func
    return unwrap(function)


class Note(str):
    """A note of ours."""

    __slots__ = ()


class Reason(Note):
    """The note on an error that we have made the cause of another one."""

    __slots__ = ()


class Left(Note):
    """The note that says where evidence is."""

    renew: Callable[[], object]  # writes it again, with all that was said of the failure since


def renew_evidence(failure: BaseException) -> None:
    """Let the evidence of a failure, where there is any, have all notes that it has now."""
    for note in getattr(failure, "__notes__", ()):
        if isinstance(note, Left):
            note.renew()


def forget_notes(errors: Iterable[BaseException]) -> None:
    """Remove what an earlier test put on these errors: a program may raise the same one in several tests."""
    for error in parts(errors):
        if any(type(note) is Reason for note in getattr(error.__cause__, "__notes__", ())):
            error.__cause__ = None
    for error in errors:
        notes = getattr(error, "__notes__", None)
        if isinstance(notes, list):
            notes[:] = [note for note in notes if type(note) not in (Note, Left)]


def can_be_cause(error: BaseException) -> bool:
    """Whether unittest can print this error as a cause: it sets the tracebacks of causes."""
    try:
        error.__traceback__ = error.__traceback__
    except Exception:
        return False
    return True


def put_first(failure: BaseException, error: BaseException, words: str) -> bool:
    """Let an error that came before a failure stand above it, as the first of its causes; False where it cannot."""
    known = ids([failure])
    if not can_be_cause(error) or any(id(each) in known for each in parts([error], hidden=True)):
        return False
    first = failure
    while (before := first.__cause__ or (None if first.__suppress_context__ else first.__context__)) is not None:
        first = before
    first.__cause__ = error
    error.add_note(Reason(words))
    return True


# In the words of failures times, counts and numbers of things, but not the numbers of lines.
NUMBER = re.compile(r"(?<!\.py:)(?<![\w.])\d+(?:[.,]\d+)*(?!\w)|(?<=-)\d+\b")


def first_of_each(errors: Iterable[BaseException], known: Collection[int]) -> list[BaseException]:
    """The first of each errors that differ by numbers alone, which says how often it came; none that is `known`."""
    alike: dict[object, list[BaseException]] = {}
    for error in errors:
        told = TracebackException(type(error), error, None)
        told.__notes__ = None
        words = NUMBER.sub("#", "".join(told.format_exception_only()))
        alike.setdefault((type(error), user_line(error.__traceback__), words), []).append(error)
    found = []
    for group in alike.values():
        first = next((error for error in group if id(error) in known), group[0])
        if len(group) > 1:
            first.add_note(Note(f"raised {counted(len(group) - 1, 'more time')}"))
        if id(first) not in known:
            found.append(first)
    return found


def explain_cancelled(failures: Collection[BaseException], hangs: tuple[type[BaseException], ...]) -> None:
    """Say with the CancelledError that ended a subTest which hung that the hang is reported beside it."""
    hang = next((type(failure).__name__ for failure in failures if isinstance(failure, hangs)), None)
    for failure in failures if hang else ():
        if isinstance(failure, CancelledError):
            failure.add_note(Note(f"ended by the {hang} of this test, which is reported too"))


def note_once(error: BaseException, text: str) -> None:
    """Add a note to an error, unless it is there."""
    if text not in getattr(error, "__notes__", ()):
        error.add_note(text)


def as_note(error: BaseException) -> Note:
    """An exception as the text of a note on another one; an assertion of ours without our lines."""
    for each in parts([error]):
        clean(each)
    lines = lines_of(error.__traceback__)
    if not lines or isinstance(error, AssertionError) and all(is_ours(module_of(line.tb_frame)) for line in lines):
        notes = [*getattr(error, "__notes__", ()), *([as_note(error.__cause__)] if error.__cause__ else ())]
        return Note("\n".join([f"also: {error}", *notes]))
    return Note("also: " + "".join(format_exception(error)).rstrip())


def as_one(errors: Sequence[BaseException]) -> BaseException:
    """The first of these errors, with the others as notes on it."""
    for other in errors[1:]:
        errors[0].add_note(as_note(other))
    return errors[0]
