"""Errors that a test expects where nobody catches them."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from ...loop.uncaught import Expectation, unread
from .awaited import Unfinished

__unittest = True
__tracebackhide__ = True


class ExpectedLoopException(Unfinished):
    """See `assertLoopException`. `exception` is the error that came."""

    def __init__(self, case: Any, expectation: Expectation) -> None:
        super().__init__(case, "assertLoopException()", "entered with `with`")
        self._expectation = expectation

    @property
    def exception(self) -> BaseException | None:
        """The error that came; None before."""
        return self._expectation.exception

    def __enter__(self) -> Self:
        self._start()
        self._own = self._case._virtual("assertLoopException()")._own
        self._seen = len(self._own.errors.found)
        self._own.errors.expected.append(self._expectation)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        errors = self._own.errors
        left = self._own.register.unread()
        for future in left:
            if self.exception is None and self._expectation.takes(future._exception):
                future.exception()  # it is read
        errors.expected.remove(self._expectation)
        if kind is None and self.exception is None:
            others = [mishap.what for mishap in errors.found[self._seen:]]
            others += [unread(future).what for future in left]
            seen = "".join(f"\n  {other}" for other in others) or " none"
            self._case._fail(f"no {self._expectation} reached the loop's exception handler; those that did:{seen}\n  "
                             "what is due only later needs `await self.settle()`, or advance(), in the block")
