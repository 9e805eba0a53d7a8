"""Assertions about errors that nobody catches."""

from __future__ import annotations

import re
import unittest
from types import TracebackType
from typing import Self

from ...loop.inventory import Expectation, Types
from ..world import run_of
from .awaited import Unfinished
from .failures import fail

__unittest = True
__tracebackhide__ = True


class ExpectedLoopException(Unfinished):
    """See `assertLoopException`. `exception` is the error that came."""

    def __init__(self, case: unittest.TestCase, expectation: Expectation) -> None:
        super().__init__(case, "assertLoopException()", "entered with `with`")
        self._expectation = expectation

    @property
    def exception(self) -> BaseException | None:
        """The error that came; None before."""
        return self._expectation.exception

    def __enter__(self) -> Self:
        self.start()
        self._stop = run_of(self.case).world.expect_error(self._expectation)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        others = self._stop()
        if kind is None and self.exception is None:
            seen = "".join(f"\n  {other}" for other in others) or " none"
            fail(self.case, f"no {self._expectation} reached the loop's exception handler; those that did:{seen}\n  "
                            "what is due only later needs `await self.settle()`, or advance(), in the block")


class UncaughtAssertions(unittest.TestCase):
    """Assertions about errors that nobody catches; `SolipsistTestCase` has them."""

    def assertLoopException(self, exception: Types,
                            regex: str | re.Pattern[str] | None = None) -> ExpectedLoopException:
        """`with self.assertLoopException(ValueError, "regex"):` such an error is reported to the loop in the block.

        That is: one that a callback raises, that reaches the loop's exception handler, or with which a task ends
        without being awaited. It takes one; whatever else comes fails the test. `exception` of the context manager is
        the error. What the block raises passes through.
        """
        types = exception if isinstance(exception, tuple) else (exception,)
        if not types or not all(isinstance(each, type) and issubclass(each, BaseException) for each in types):
            raise TypeError(f"assertLoopException() takes an exception class or a tuple of them, not {exception!r}")
        if not isinstance(regex, (str, re.Pattern, type(None))):
            raise TypeError(f"assertLoopException() takes a regular expression for the text, not {regex!r}")
        return ExpectedLoopException(self, Expectation(types, re.compile(regex) if isinstance(regex, str) else regex))
