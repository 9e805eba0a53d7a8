"""Results of one run among many: unittest's own hears only what all of them come to."""

from __future__ import annotations

import contextlib
import unittest
from collections.abc import Iterator
from typing import Any

__unittest = True
__tracebackhide__ = True


@contextlib.contextmanager
def heard_by(result: Any, case: unittest.TestCase) -> Iterator[Any]:
    """Who hears of the runs of a test: this result, or where there is none one that is made for them, as unittest does.
    """
    heard = case.defaultTestResult() if result is None else result
    if result is None:
        heard.startTestRun()
    try:
        yield heard
    finally:
        if result is None:
            heard.stopTestRun()


class First:
    """The result of the plain run: all goes through, but that it succeeded, and that the test is over."""

    def __init__(self, result: Any) -> None:
        self._result = result
        self.has_passed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._result, name)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.has_passed = True

    def stopTest(self, test: unittest.TestCase) -> None:
        pass


class Other(unittest.TestResult):
    """The result of another run: it keeps the errors."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Any] = []
        self.was_skipped = False

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self.found.append(err)

    addFailure = addError

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self.found.append(err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.was_skipped = True
