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
        self._loop = self._case._virtual("assertLoopException()")
        self._seen = len(self._loop.uncaught.found)
        self._loop.uncaught.expected.append(self._expectation)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        uncaught = self._loop.uncaught
        left = self._loop.inventory.unread()
        for future in left:
            if self.exception is None and self._expectation.takes(future._exception):
                future.exception()  # it is read
        uncaught.expected.remove(self._expectation)
        if kind is None and self.exception is None:
            others = [error.what for error in uncaught.found[self._seen:]]
            others += [unread(future).what for future in left]
            seen = "".join(f"\n  {other}" for other in others) or " none"
            self._case._fail(f"no {self._expectation} reached the loop's exception handler; those that did:{seen}\n  "
                             "what is due only later needs `await self.settle()`, or advance(), in the block")
