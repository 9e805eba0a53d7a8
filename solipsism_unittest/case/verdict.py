"""What the end of a test comes to: one error, one note, or nothing.

Owns the checks that can fail a test at its end, in the order of the report, and the rule which outcomes they touch. The
first error that a check gives is raised; the others become notes on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import sys
import types
import unittest
from collections.abc import Callable, Collection, Iterable, Iterator
from gc import collect
from re import escape
from re import sub as substitute
from typing import Any
from unittest.util import strclass

from ..errors import (
    EscapeError,
    LivelockError,
    RealTimeLimitError,
    SleepForeverError,
    SolipsismError,
    VirtualTimeLimitError,
)
from ..introspection import exceptions, names
from ..introspection.modules import OWN_NAME
from ..kernel.choices import Explorer, Unexplored
from ..kernel.journal import counted
from ..leaks import report
from ..leaks.kinds import NOTHING, Found, Leak, no_earlier
from ..leaks.unawaited import forgotten_by, inside
from ..loop.always import end_checks
from ..loop.between import lookers_of
from ..loop.event_loop import SolipsistEventLoop
from ..peers.server import FakeServer
from . import results
from .fixtures import loops
from .fixtures.scopes import Scope, fixtures_of, is_test
from .fixtures.settings import Settings, of_environment
from .results import Left, Note, Reason, as_note, as_one, can_be_cause, forget_notes, put_first
from .world import Run

__unittest = True
__tracebackhide__ = True

# What holds nothing of a program's.
_NOT_OF_PROGRAM = frozenset({*vars(unittest.IsolatedAsyncioTestCase("countTestCases")), OWN_NAME})
_KEPT = types.CoroutineType, asyncio.Future
EVIDENCE = "SOLIPSISM_EVIDENCE"  # in the environment: a directory
TRACEBACKS = 5  # of errors that nobody caught: those that are printed beside the first
_REPORTED = SleepForeverError, LivelockError, RealTimeLimitError, VirtualTimeLimitError  # with all tasks
_LAST = "  what happened last:"
_ON_THE_WAY = "      by way of "
UNUSED = ("the test is async but gave the loop nothing to do: nothing in it had to wait. Is an `await` missing? If "
          "not, a plain `def` says the same")


class Ending:
    """The end of one test, as its checks see it."""

    def __init__(self, case: unittest.TestCase, run: Run, passed: bool, known: Collection[int],
                 is_reported: bool = True) -> None:
        self.case = case
        self.run = run
        self.world = run.last_world
        self.passed = passed
        self.known = known  # the ids of the errors that are reported already
        self.is_reported = is_reported  # somebody reads what the checks give
        self.errors: list[BaseException] = []  # what the checks gave so far
        self._found: Found | None = None

    def reported(self, *more: BaseException | None) -> Collection[int]:
        """The ids of all errors that are reported already, and of some more."""
        if not self.errors and not more:
            return self.known
        return {*self.known, *exceptions.ids([*self.errors, *more])}

    @property
    def found(self) -> Found:
        """What the test left. Asking for it ends everything, and so comes after what must be seen before."""
        if self._found is None:
            self._found = self._find()
        return self._found

    def _find(self) -> Found:
        # What is held meanwhile the collector cannot report in asyncio's way.
        kept: list[Any] = []
        if not vars(self.case).keys() <= _NOT_OF_PROGRAM:
            for name, value in vars(self.case).items():
                if name in _NOT_OF_PROGRAM:
                    continue
                kept += [thing for thing in inside(value) if issubclass(type(thing), _KEPT)]
                kept += forgotten_by(value) if issubclass(type(value), BaseException) else ()
            self.run.unawaited.look(kept)
        held = self.world.hold(kept)
        collect(0)  # what was forgotten may be part of a cycle; the next test must not find it
        forgotten = _forgotten(self.run)  # before the end: it throws coroutines away that nobody forgot
        left = self.world.end(self.run, held)
        if forgotten is left is NOTHING or not (forgotten.leaks or any(left)):
            return left
        return forgotten.and_(left).without(self.reported())

    def is_spotless(self) -> bool:
        """Whether no check has anything to find: of most tests this is asked in place of them, which takes longer."""
        run, loop = self.run, loops.loop_of(self.run.runner)
        if (not isinstance(loop, SolipsistEventLoop) or run.servers or run.unfinished or run.refusals is not None
                or run.checks["unused_loop"] or lookers_of(loop)):
            return False  # some of them look before anything is ended
        return self.found is NOTHING and not (
            loop.world.escapes or loop.selector.blocking.found
            or loop.kernel.has_network and loop.kernel.network.wire.faults.has_raised)

    def verdict(self) -> BaseException | None:
        """What all checks come to: their first error, with the others as notes."""
        for check in CHECKS if not self.is_spotless() else ():
            self.errors += check(self)
        return as_one(self.errors) if self.errors else None


# -- the checks, each with the errors that it finds


def invariants(end: Ending) -> list[BaseException]:
    """What `always()` looked at, where it did not hold to the end."""
    errors: list[BaseException] = []
    for words, cause in end_checks(loops.loop_of(end.run.runner)):
        errors.append(end.case.failureException(words))
        errors[-1].__cause__ = cause if can_be_cause(cause) else None
    return errors


def handlers(end: Ending) -> list[BaseException]:
    """What the handlers of fake servers raised. What comes again, from the same line, is counted."""
    return results.first_of_each([error for server in end.run.servers for error in server.errors], end.known)


def missed_assertions(end: Ending) -> list[BaseException]:
    """The assertions that nobody awaited or entered."""
    missed = list(end.run.unfinished)
    for statement in missed:
        statement.abandon()
    return [end.case.failureException("\n".join(map(str, missed)))] if missed else []


def stopped(end: Ending) -> list[BaseException]:
    """Faults on the way that nobody has reported: escapes, refused calls, calls that block."""
    # The leftovers are found first: an error among them needs no second report.
    errors = _stopped(end, end.reported(*(leak.error for leak in end.found.leaks)))
    if end.is_reported:
        _count(end.case, errors)
    return errors


def rules(end: Ending) -> list[BaseException]:
    """What rules of the network raised, where the program that had sent the packet has swallowed it."""
    loop = loops.loop_of(end.run.runner)
    if not isinstance(loop, SolipsistEventLoop) or not loop.kernel.has_network:
        return []
    raised = loop.kernel.network.wire.faults.take_raised()
    known = end.reported(*(leak.error for leak in end.found.leaks)) if raised else ()
    # One without a traceback was expected: assertRaises() takes it off. Then those like it were, too.
    errors = [first for first, *others in raised
              if all(id(error) not in known and error.__traceback__ is not None for error in (first, *others))]
    for error in errors:
        error.add_note("a rule of the network raised this, and the code under test swallowed it")
    return list(errors)


def leftovers(end: Ending) -> list[BaseException]:
    """What the test left behind, in one failure."""
    if not any(end.found):
        return []
    if not (end.is_reported and is_test(end.case)):
        return _lost(end.case, end.found)
    seen = fixtures_of(type(end.case)).seen
    return _lost(end.case, end.found, seen.by(end.case._testMethodName, end.found.leaks))


def unused_loop(end: Ending) -> list[BaseException]:
    """An async test that gave its loop nothing to do."""
    if end.passed and end.run.checks["unused_loop"] and end.run.body_used is False:
        return [end.case.failureException(UNUSED)]
    return []


CHECKS = (invariants, handlers, missed_assertions, stopped, rules, leftovers, unused_loop)


def _forgotten(run: Run) -> Found:
    """The coroutines that nobody awaited, where the policy asks for them."""
    found = [Leak("coroutine", *each) for each in run.unawaited.take()]
    return Found(found) if found and run.checks["unawaited_coroutines"] else NOTHING


def _stopped(end: Ending, known: Collection[int]) -> list[BaseException]:
    refused = end.run.refusals.report(known) if end.run.refusals is not None else ""
    swallowed, blocking = end.world.stopped(known)
    return [*swallowed, *(end.case.failureException(text) for text in (refused, blocking) if text)]


def _lost(case: unittest.TestCase, found: Found, earlier: Callable[[Leak], str] = no_earlier) -> list[BaseException]:
    """The failure for what is left, from the errors that nobody caught, with their tracebacks; none for nothing.

    What `earlier` has words for, another test of the class was the first to leave.
    """
    if not any(found):
        return []
    text = report.report(found, "test" if is_test(case) else "class", earlier)
    error = case.failureException(text)
    causes = [leak.error for leak in found.leaks if leak.error is not None and not earlier(leak)]
    if causes and can_be_cause(causes[0]):
        error.__cause__ = causes.pop(0)
    for other in causes[:TRACEBACKS]:
        error.add_note(as_note(other))
    if len(causes) > TRACEBACKS:
        error.add_note(f"and {counted(len(causes) - TRACEBACKS, 'more traceback')}")
    return [error]


# -- what they come to


def verdict(case: unittest.TestCase, run: Run, *, passed: bool = True,
            failures: Collection[BaseException] = (), is_reported: bool = True) -> BaseException | None:
    """End everything, and give the error that this test deserves beside its `failures`; None for a clean end.

    Of a skipped test, for example, it is not reported.
    """
    end = Ending(case, run, passed, exceptions.ids(failures) if failures else (), is_reported)
    try:
        return run.limit.run(end.verdict)
    except RealTimeLimitError as error:
        return error


def mistakes(case: unittest.TestCase, run: Run) -> list[BaseException]:
    """What a fixture of a class did wrong. What it leaves is for the tests, and no mistake."""
    return [*_lost(case, _forgotten(run)), *_stopped(Ending(case, run, True, ()), ())]


def judge(case: Settings, run: Run, outcome: Any) -> None:
    """Fail a passing test for its verdict, note the verdict on a failing one, and touch no other outcome."""
    try:
        wrong = _judged(case, run, outcome)
    except BaseException as error:
        wrong = error
    if wrong is not None:
        with outcome.testPartExecutor(case):
            raise wrong


def _judged(case: Settings, run: Run, outcome: Any) -> BaseException | None:
    """What the test is to fail for."""
    passed = outcome.success
    run.explorer.finish()
    failures = run.held.errors() if run.held is not None else []
    first = failures[0] if failures else None
    if outcome.expectedFailure is not None:
        failures.append(outcome.expectedFailure[1])
    if failures or run.servers:
        forget_notes([*failures, *(error for server in run.servers for error in server.errors)])
        for failure in failures:  # held by its traceback: the collector will not find them
            run.unawaited.look(forgotten_by(failure))
        run.last_world.explain(failures)
        _explain_waits(run, failures)
        results.explain_cancelled(failures, _REPORTED)
    if first is not None:
        if run.network:
            first.add_note(Note(run.network))
        _put_first(case, run, first, exceptions.ids(failures))
    if run.evidence is not None:
        run.evidence.look()
    counts = passed and not _expects_failure(case)
    error = verdict(case, run, passed=passed, failures=failures, is_reported=counts or first is not None)
    if first is not None:
        _count(case, failures[:len(failures) - (outcome.expectedFailure is not None)])
    told = first or (error if counts else None)  # what the program has made of the test
    if told is not None and (words := loops.how_to_repeat(case, loops.loop_of(run.runner), case.id())):
        told.add_note(Note(words))
    if first is not None and error is not None:
        first.add_note(as_note(error))
    if run.evidence is not None:
        keep_evidence(run, told, failures[1:])
    if error is None or first is not None:
        return None
    if counts:
        return error
    if passed and any(error in server.errors for server in run.servers):
        outcome.expectedFailure = type(error), error, error.__traceback__  # a handler failed, as expected
    return None


def _explain_waits(run: Run, failures: Iterable[BaseException]) -> None:
    """Say with a TimeoutError which handlers have returned and not closed: who reads on from them waits in vain."""
    left = [name for server in run.servers if isinstance(server, FakeServer) for name in server.left_open]
    for failure in failures if left else ():
        if any(isinstance(each, TimeoutError) for each in exceptions.parts([failure])):
            failure.add_note(Note(f"{names.listed(left)} had returned and left the connection open, so that who reads "
                                  "on waits: end it with writer.close()"))


def read_directory(text: str) -> str:
    """The name of a directory for evidence; SolipsismError for none."""
    if not text:
        raise SolipsismError(f"{EVIDENCE} is empty: set it to a directory")
    return text


def begin_evidence(case: Settings, run: Run, directory: str = "") -> None:
    """Write down from now on what happens, for files in this directory, whatever the end of the test.

    Without one, the environment says where failing tests leave theirs, if anywhere. Where no loop is ours there is
    nothing.
    """
    wanted = directory or of_environment(EVIDENCE)
    if not wanted or (loop := run.world.virtual_loop) is None or not (directory or _is_to_be_shown(run.explorer)):
        return
    if run.evidence is None:
        run.evidence = _new_evidence(loop, run.name or unittest.TestCase.id(case))
        run.leaving.callback(run.evidence.end)
        if run.held is not None:
            run.held.on_failure = run.evidence.fails
    run.evidence.directory, run.evidence.always = wanted, bool(directory)


def _new_evidence(loop: SolipsistEventLoop, name: str) -> Any:
    module: Any = importlib.import_module("..evidence.evidence", __package__)  # most tests do without
    return module.Evidence(loop, name)


@contextlib.contextmanager
def evidence_of_class(cls: type[unittest.TestCase], scope: Scope | None, name: str = "", *, look: bool = False
                      ) -> Iterator[list[BaseException]]:
    """Write down what is done inside for a class, where the environment asks for evidence.

    It is left of what is raised inside, and of what is in the list at the end, which says where. The files have the
    name that unittest gives the failure, unless another one is given; a second one of that name gets a number. With
    `look` the text has how things stood at the beginning.
    """
    failures: list[BaseException] = []
    wanted, loop = of_environment(EVIDENCE), loops.loop_of(scope.runner) if scope is not None else None
    if not wanted or not isinstance(loop, SolipsistEventLoop):
        yield failures
        return
    fixtures = fixtures_of(cls)
    name, failed = name or f"{fixtures.step()} ({strclass(cls)})", fixtures.failed
    evidence = _new_evidence(loop, f"{name} {failed.count(name) + 1}" if name in failed else name)
    evidence.directory = wanted
    if look:
        evidence.look()
    try:
        yield failures
    except Exception as error:
        failures.append(error)
        raise
    finally:
        if failures:
            failed.append(name)
            evidence.fails(failures[0])
            paths = evidence.write(failures)
            for failure in failures if paths else ():
                failure.add_note(f"evidence: {', '.join(paths)}")
        evidence.end()


def _is_to_be_shown(explorer: Explorer | Unexplored) -> bool:
    """Whether somebody will see this run: of thousands with other choices that one of which they are put into words."""
    return not isinstance(explorer, Explorer) or explorer.is_plain or explorer.witness is not None


def keep_evidence(run: Run, failure: BaseException | None, others: Iterable[BaseException] = (), *,
                  is_reported: bool = False) -> None:
    """Write the files of a test that has failed, or that wants them in any case; the failure, or stderr where it
    `is_reported` already, says where they are.
    """
    if run.evidence is None or failure is None and not run.evidence.always:
        return
    if failure is not None:
        run.evidence.fails(failure)
    failures = [failure, *others] if failure is not None else []
    if (paths := run.evidence.write(failures)) and failure is not None:
        note = Left(f"evidence: {', '.join(paths)}")
        note.renew = functools.partial(run.evidence.renew, failures)
        print(note, file=sys.stderr) if is_reported else failure.add_note(note)


def _put_first(case: unittest.TestCase, run: Run, failure: BaseException, known: Collection[int]) -> None:
    """Let the first error of a handler or a task that died unseen stand above the failure that came of it.

    One like it that stands above the failure of an earlier test has its traceback there.
    """
    died: list[tuple[BaseException, str, object]] = [
        (error, f"raised by the handler of {server!r}, made at {server.made_at}", server.made_at)
        for server in run.servers for error in server.errors]
    if run.checks["loop_exceptions"]:
        died += run.last_world.died(run)
    for error, words, place in died:
        if id(error) not in known and put_first(failure, error, words):
            if is_test(case) and (counted := _counted(case, ("died", type(error), place))):
                error.__traceback__ = None
                error.add_note(Reason(f"  {counted}"))
            return


def _expects_failure(case: unittest.TestCase) -> bool:
    method = getattr(case, case._testMethodName)
    name = "__unittest_expecting_failure__"
    return bool(getattr(case, name, False) or getattr(getattr(method, "__func__", method), name, False))


# -- one cause in many tests of a class: said once, and counted in the others


def _count(case: unittest.TestCase, errors: Iterable[BaseException]) -> None:
    """Let each of these errors of a test that an earlier one of its class had say so, in place of the whole report."""
    if not is_test(case):
        return
    for error in errors:
        if isinstance(error, _REPORTED):
            _shorten_report(case, error)
        elif isinstance(error, EscapeError):
            head = str(error).partition("\n")[0]
            if words := _counted(case, error.what):
                error.args = (f"{head}, {words}",)


def _shorten_report(case: unittest.TestCase, error: BaseException) -> None:
    head, *lines = str(error).splitlines()
    if lines and (words := _counted(case, (type(error), _cause(head, lines, case)))):
        error.args = (f"{head}\n  {words}",)


def _counted(case: unittest.TestCase, cause: object) -> str:
    return fixtures_of(type(case)).seen.count(case._testMethodName, cause)


def _cause(head: str, lines: list[str], case: unittest.TestCase) -> str:
    """What is the same for reports of one cause: not the time, nor the test, nor how it came there."""
    lines = lines[:lines.index(_LAST)] if _LAST in lines else lines
    text = "\n".join([head, *(line for line in lines if not line.startswith(_ON_THE_WAY))])
    return results.NUMBER.sub("#", substitute(rf"\b{escape(case._testMethodName)}\b", "", text))
