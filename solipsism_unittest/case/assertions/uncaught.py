"""Assertions about what goes on beside the lines of a test: errors that nobody catches, and what always holds."""

from __future__ import annotations

import contextvars
import re
import unittest
from collections.abc import Callable
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Self

from ...introspection import names
from ...loop.always import Check, check_always, end_checks
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
    """Assertions about errors that nobody catches, and about what always holds; `SolipsistTestCase` has them."""

    def always(self, check: Callable[[], object]) -> None:
        """Let `check()` hold from now on, after every callback of the loop, up to the end of the cleanups.

        It holds when it returns None or what is true, and raises nothing. The first time that it does not fails the
        test at its end, and says after which callback that was. It does not hold at once: that fails here.
        """
        if not callable(check) or iscoroutinefunction(check):
            raise TypeError(f"always() takes a plain function that checks something, not {names.plain(check)}")
        run = run_of(self)
        loop = run.world.loop_for("always()")
        made = Check(check, contextvars.copy_context())
        error = made.error()
        if error is not None:
            fail(self, f"{made} does not hold when always() begins: {error}", error)
        check_always(loop, made)
        run.leaving.callback(end_checks, loop)

    def assertLoopException(self, exception: Types,
                            regex: str | re.Pattern[str] | None = None) -> ExpectedLoopException:
        """`with self.assertLoopException(ValueError, "regex"):` such an error is reported to the loop in the block.

        That is: one that a callback raises, that a thread dies of, that reaches the loop's exception handler, or with
        which a task ends without being awaited. It takes one; whatever else comes fails the test. `exception` of the
        context manager is the error. What the block raises passes through.
        """
        types = exception if isinstance(exception, tuple) else (exception,)
        if not types or not all(isinstance(each, type) and issubclass(each, BaseException) for each in types):
            raise TypeError(f"assertLoopException() takes an exception class or a tuple of them, not {exception!r}")
        if not isinstance(regex, (str, re.Pattern, type(None))):
            raise TypeError(f"assertLoopException() takes a regular expression for the text, not {regex!r}")
        return ExpectedLoopException(self, Expectation(types, re.compile(regex) if isinstance(regex, str) else regex))
