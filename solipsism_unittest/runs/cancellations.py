"""`over_cancellations`: a test again and again, each time with another await of one coroutine cancelled.

Owns the verdict over all these runs. The result hears of one test: of its plain run, and of the first of the others
that fails, with a note on where it was cancelled and how the others ended.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import random
import types
import unittest
import warnings
from collections.abc import Callable
from typing import Any

from ..case.case import SolipsistTestCase
from ..case.fixtures.loops import seed_of
from ..case.fixtures.scopes import fixtures_of
from ..case.fixtures.settings import RUNS, copied
from ..case.phases import run_once
from ..case.results import Note
from ..errors import NotJudgedWarning, SolipsismError, SolipsismWarning
from ..introspection import names
from ..kernel.journal import counted
from ..leaks.kinds import Seen
from .outcomes import First, Other, heard_by
from .suspensions import HAS_TIMEOUTS, Suspensions

__unittest = True
__tracebackhide__ = True

WAYS = "cancel", "timeout"
MOST = 2_000  # awaits that are cancelled: of more a sample


def over_cancellations(*, of: str, how: str = "cancel") -> Callable[[Any], Any]:
    """Decorate an async test or a class: each test runs once plain, then with each await of one coroutine cancelled.

    `of` is the `__qualname__` of the coroutine function, `"Pool.acquire"` for example, also of one that is defined in a
    function. The second run cancels its task at the first await at which the plain run suspended it, the third run at
    the second one, and so on. With `how="timeout"` an `asyncio.timeout` around the coroutine ends there (from Python
    3.12 on; the test is skipped before).

    Each run is the whole test with set-up and tear-down, and its own assertions judge, with the reports of leaks and
    hangs. Where the cancellation ends the test itself, as it does if that awaits the coroutine, nothing is judged.
    """
    if not isinstance(of, str) or not of:
        raise TypeError(f"over_cancellations() takes the __qualname__ of a coroutine function, not {of!r}")
    if how not in WAYS:
        raise ValueError(f"how is one of {', '.join(map(repr, WAYS))}, not {how!r}")
    runs = functools.partial(_run_all, of, how)

    def decorate(target: Any) -> Any:
        if isinstance(target, type) and issubclass(target, SolipsistTestCase):
            for name in unittest.defaultTestLoader.getTestCaseNames(target):
                test = getattr(target, name)
                if inspect.iscoroutinefunction(test):
                    test = copied(test, name, {})  # it may be inherited
                    setattr(test, RUNS, runs)
                    setattr(target, name, test)
            return target
        if not (isinstance(target, types.FunctionType) and inspect.iscoroutinefunction(target)):
            raise TypeError(f"over_cancellations() decorates an async test or a SolipsistTestCase, not "
                            f"{names.plain(target)}")
        setattr(target, RUNS, runs)
        return target

    return decorate


def _run_all(of: str, how: str, case: SolipsistTestCase, result: Any) -> Any:
    with heard_by(result, case) as heard:
        first, plain = First(heard), copy.copy(case)
        watch = Suspensions(of)
        try:
            with watch.watched():
                run_once(case, first)  # type: ignore[arg-type]
            if first.has_passed:
                _judge(_Sweep(of, how, plain, watch.count), case, heard)
        finally:
            heard.stopTest(case)
    return heard


def _judge(sweep: _Sweep, case: SolipsistTestCase, result: Any) -> None:
    if sweep.how == "timeout" and not HAS_TIMEOUTS:
        result.addSkip(case, "over_cancellations(how='timeout') needs Python 3.12")
        return
    try:
        sweep.run()
    except (AssertionError, SolipsismError, SolipsismWarning) as error:
        failure = type(error), error, None
        (result.addFailure if isinstance(error, case.failureException) else result.addError)(case, failure)
        return
    if sweep.failed:
        failure, place = sweep.failed[0]
        failure[1].add_note(Note(sweep.words(place)))
        (result.addFailure if isinstance(failure[1], case.failureException) else result.addError)(case, failure)
        return
    result.addSuccess(case)


class _Sweep:
    """All runs after the plain one."""

    def __init__(self, of: str, how: str, case: SolipsistTestCase, count: int) -> None:
        self.of = of
        self.how = how
        self.failed: list[tuple[Any, str]] = []  # each with the await
        self._case = case
        self._count = count  # of awaits in the plain run
        self._tried = 0
        self._ended = 0  # the test itself
        self._missed = 0  # the run never came there

    def run(self) -> None:
        """Cancel at each await, or at a sample of them."""
        case = self._case
        if not self._count:
            raise case.failureException(
                f"no {self.of} was suspended at an await while the test ran, so there is nothing to cancel: `of` is "
                "the __qualname__ of a coroutine function that the test has to reach")
        hits = list(range(self._count))
        sample = ""
        if self._count > MOST:
            seed = seed_of(case, case.id())
            hits = sorted(random.Random(seed).sample(hits, MOST))
            sample = f"a sample of {MOST:,} of them was cancelled, from seed {seed}: "
        for hit in hits:
            self._run_one(hit)
        if not self.failed and (sample or self._tried == self._ended + self._missed):
            self._warn(f"{self.of} was suspended {self._count:,} times; {sample}{self._counts()}")

    def _run_one(self, hit: int) -> None:
        case, result, watch = copy.copy(self._case), Other(), Suspensions(self.of, hit, self.how)
        case._cleanups = []
        fixtures = fixtures_of(type(case))
        before, fixtures.seen = fixtures.seen, Seen()  # what a run leaves that is not judged is nobody's
        try:
            with watch.watched():
                run_once(case, result)
        finally:
            fixtures.seen = before
        self._tried += 1
        if not watch.place or result.was_skipped:
            self._missed += 1
        elif any(isinstance(error, asyncio.CancelledError) or error is watch.raised for _, error, _ in result.found):
            self._ended += 1
        elif result.found:
            self.failed.append((result.found[0], watch.place))

    def _counts(self) -> str:
        passed = self._tried - len(self.failed) - self._ended - self._missed
        words = [f"{len(self.failed):,} failed, {passed:,} passed"]
        if self._ended:
            words.append(f"{self._ended:,} not judged, as only the test itself was ended: let it start a task "
                         "and wait by asyncio.wait([task]), which raises nothing when that is cancelled")
        if self._missed:
            words.append(f"{self._missed:,} not reached: the test did not run as it did before")
        return ", ".join(words)

    def words(self, place: str) -> str:
        """Where the test fails, and how the other runs ended."""
        lines = [f"the test passes, and fails so when {self.of} is {self._verb()} at the await at {place}"]
        others = dict.fromkeys(each for _, each in self.failed if each != place)
        if others:
            lines.append(f"  it fails at these awaits too: {', '.join(others)}")
        return "\n".join([*lines, f"  of {counted(self._tried, 'cancellation', ',')}: {self._counts()}"])

    def _verb(self) -> str:
        return "cancelled" if self.how == "cancel" else "ended by a timeout"

    def _warn(self, text: str) -> None:
        code = inspect.unwrap(getattr(self._case, self._case._testMethodName)).__code__
        warnings.warn_explicit(text, NotJudgedWarning, code.co_filename, code.co_firstlineno)
