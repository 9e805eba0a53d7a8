"""unittest's hooks, in the order of its calls: how a test runs.

`run()` of unittest calls `_callSetUp`, `_callTestMethod`, `_callTearDown` and, always and last, `doCleanups`. The first
of them enters the world. Failures are held back until the last one has judged what is left, because a note on an
exception is lost once unittest has written it down.

A class of a user's may give any name a meaning of its own. So the methods here are unittest's hooks and nothing else;
what they call are functions, and what they keep is in the `Run` of the case.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import sys
import types
import unittest
import warnings
from collections.abc import Callable, Coroutine, Iterator, Sequence
from inspect import isawaitable, iscoroutinefunction
from typing import Any, ClassVar, NoReturn, TypeVar

from ..errors import ReturnedValueWarning, SolipsismError
from ..introspection import names
from ..introspection.exceptions import clean, user_line
from ..introspection.modules import written_on
from ..leaks import expected
from . import real_time, verdict, world
from .assertions.awaited import awaiting
from .fixtures import context, loops, settings
from .fixtures.leaving import collect_worlds
from .fixtures.scopes import ClassFixtures, Scope, check_class_methods, fixtures_of, no_test, scope_of
from .fixtures.services import Service, services_of
from .fixtures.settings import RUNS, VARIANT, Settings, has_hooks, overrides
from .results import HeldResult, as_note, as_one, give_line, note_once
from .world import Run, begin_run, run_of

__unittest = True
__tracebackhide__ = True

T = TypeVar("T")


class Phases(Settings):
    """The phases of a test and of its class; `SolipsistTestCase` has them."""

    _asyncioRunner: asyncio.Runner | None
    _asyncioTestContext: contextvars.Context
    _cleanups: list[Any]
    tearDown_exceptions: ClassVar[list[Any]]

    def __init__(self, methodName: str = "runTest") -> None:
        super().__init__(methodName)
        vars(self).update(vars(getattr(getattr(self, methodName, None), "__func__", Phases)).get(VARIANT, ()))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("setUpClass", "tearDownClass"):
            if iscoroutinefunction(getattr(cls, name)):
                setattr(cls, name, classmethod(functools.partial(_refuse_async, name)))
                continue
            fixture = written_on(cls, name)
            if isinstance(fixture, classmethod) and fixture is not vars(Phases)[name] and \
                    not hasattr(fixture.__func__, "in_order"):
                setattr(cls, name, _in_order(name, fixture))
        settings.expand(cls)

    # -- of the class

    @classmethod
    def setUpClass(cls) -> None:
        """As unittest's; asyncSetUpClass runs when all of it is through, a subclass's own lines too."""
        super().setUpClass()
        fixtures = fixtures_of(cls)
        fixtures.is_set_up = True
        if not fixtures.is_setting_up:
            _begin_class(cls, fixtures)

    @classmethod
    async def asyncSetUpClass(cls) -> None:
        """To override: runs once before the tests of the class, on the loop that they share."""

    @classmethod
    async def asyncTearDownClass(cls) -> None:
        """To override: runs once after the tests of the class, on the loop that they share, if the set-up succeeded."""

    @classmethod
    def tearDownClass(cls) -> None:
        """As unittest's; asyncTearDownClass has run before any of it."""
        _end_class(cls)
        super().tearDownClass()

    @classmethod
    def doClassCleanups(cls) -> None:
        """As unittest's; the last of them looks for what the class has left behind."""
        errors: list[Any] = []  # as unittest keeps them, for its own are begun anew below
        _collect(errors, lambda: _end_class(cls))
        fixtures = fixtures_of(cls)
        scope, alone = fixtures.scope, cls.loop_scope == "class"
        with verdict.evidence_of_class(cls, scope, look=True) as failures:
            super().doClassCleanups()
            failures += [error for _, error, _ in cls.tearDown_exceptions]
        if scope is not None:
            if not (fixtures.is_broken_off or isinstance(sys.exception(), KeyboardInterrupt)):
                _collect(errors, functools.partial(_survey_class, cls, scope, goes_on=not alone))
            if alone:
                world.close(scope.runner)
        fixtures.reset()
        cls.tearDown_exceptions += errors

    # -- of a test

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """As unittest's; a test that is to run several times does so in one. `Asked` runs all others."""
        method = getattr(getattr(self, self._testMethodName, None), "__func__", Phases)
        many = vars(method).get(RUNS) or Asked.run
        return many(self, result)  # type: ignore[no-any-return]

    def debug(self) -> None:
        """As unittest's: what goes wrong is raised, leftovers included."""
        with running(self) as run:
            unittest.TestCase.debug(self)
            error = verdict.verdict(self, run)
            if error is not None:
                raise error

    def _setupAsyncioRunner(self) -> None:
        # Called outside of any outcome, where an exception would end the whole suite: _callSetUp makes the loop.
        self._asyncioTestContext = contextvars.copy_context()
        self._asyncioRunner = loops.make_runner(self, unittest.TestCase.id(self))
        begin_run(self, self._asyncioRunner)

    def _callSetUp(self) -> None:
        cls, run = type(self), run_of(self)
        fixtures = fixtures_of(cls)
        scope = _begin_class(cls, fixtures)
        outcome = self._outcome  # type: ignore[attr-defined]
        if outcome is not None:  # not in debug()
            run.held = outcome.result = HeldResult(outcome.result, run)
            fixtures.keep_seal()
        world.enter(self, run, scope)
        if run.before is not expected.NOTHING:
            run.leaving.callback(run.before.put_back)
        verdict.begin_evidence(self, run)
        if has_hooks(self):
            if overrides(self, "default_context"):
                context.fill(self, run.context, self._asyncioTestContext)
            for service in services_of(self) if run.scope is None else ():
                unittest.TestCase.addCleanup(self, service.stop)
                call(self, service.start)
        if cls.setUp is not _SET_UP or "setUp" in vars(self):
            call(self, self.setUp)
        if cls.asyncSetUp is not _ASYNC_SET_UP or "asyncSetUp" in vars(self):
            call(self, self.asyncSetUp)

    def _callTestMethod(self, method: Callable[[], Any]) -> None:
        run = run_of(self)
        run.was_used = None
        value = call(self, method)
        run.body_used = run.was_used
        if value is not None:
            warnings.warn(f"It is deprecated to return a value that is not None from a test case ({method})",
                          ReturnedValueWarning, stacklevel=4)

    def _callTearDown(self) -> None:
        cls = type(self)
        if cls.asyncTearDown is not _ASYNC_TEAR_DOWN or "asyncTearDown" in vars(self):
            call(self, self.asyncTearDown)
        if cls.tearDown is not _TEAR_DOWN or "tearDown" in vars(self):
            call(self, self.tearDown)

    def _callCleanup(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        owner = getattr(function, "__self__", None)
        if isinstance(owner, asyncio.Task) and function.__name__ == "cancel":
            # cancel() counts as reading the error of a failed task, so addCleanup(task.cancel) would hide the error.
            run_of(self).last_world.report_error_of(owner)
        try:
            call(self, function, *args, **kwargs)
        except SolipsismError as error:
            # A hang there has no line of the test in its traceback.
            note_once(error, f"stopping {owner.name}" if isinstance(owner, Service) else
                      f"in the cleanup {getattr(function, '__qualname__', None) or names.plain(function)}")
            raise

    def doCleanups(self) -> bool:  # type: ignore[override]
        """As unittest's. unittest's own call is the last of a test, and judges what the test left behind."""
        run, outcome = run_of(self), self._outcome  # type: ignore[attr-defined]
        if run.in_phase or outcome is None:
            return bool(super().doCleanups())
        run.is_ending = True
        try:
            if self._cleanups:
                super().doCleanups()
            verdict.judge(self, run, outcome)
        finally:
            self._tearDownAsyncioRunner()  # before the result hears of anything: a result lives in the real world
            if run.late is not None:
                with outcome.testPartExecutor(self):
                    _raise_what_came_late(run, run.held.errors() if run.held is not None else [])
            _release(run)
        return bool(outcome.success)

    def _tearDownAsyncioRunner(self) -> None:
        try:
            world.leave(run_of(self))
        finally:
            self._asyncioRunner = None


def run_once(case: Phases, result: unittest.TestResult | None) -> unittest.TestResult | None:
    """Run a test in a world of its own, whatever it says of several runs."""
    collect_worlds()
    try:
        return super(Phases, case).run(result)
    except BaseException as error:  # the suite is broken off
        if user_line(error.__traceback__) is not None:
            clean(error)
        fixtures_of(type(case)).break_off()
        raise
    finally:
        _release(run_of(case))  # only a KeyboardInterrupt leaves something to release


class Asked:
    """How a test runs that says nothing of several runs: once, unless what stands above has put another way here."""

    run: ClassVar[Callable[[Any, Any], Any]] = staticmethod(run_once)


# -- calls

# Those of unittest do nothing.
_SET_UP, _TEAR_DOWN = unittest.TestCase.setUp, unittest.TestCase.tearDown
_ASYNC_SET_UP = unittest.IsolatedAsyncioTestCase.asyncSetUp
_ASYNC_TEAR_DOWN = unittest.IsolatedAsyncioTestCase.asyncTearDown


def call(case: Phases, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call it in the test's context, and await on the loop what is to be awaited, whoever returned it."""
    run, context = run_of(case), case._asyncioTestContext
    if run.in_phase:
        # The user's own doCleanups(): the context is entered, and cannot be entered twice.
        context = contextvars.copy_context()
    return run.limit.run(functools.partial(_call_inside, case, run, context, function, *args, **kwargs))


def _call_inside(case: Phases, run: Run, context: contextvars.Context, function: Callable[..., Any], /, *args: Any,
                 **kwargs: Any) -> Any:
    before, run.in_phase = run.in_phase, True
    try:
        try:
            value = context.run(function, *args, **kwargs)
        except RuntimeError as error:
            if str(error) == "no running event loop":
                name = getattr(function, "__name__", "it")
                # unittest awaits a fixture by its own name only: `async def setUp` would work nowhere else.
                wanted = {"setUp": "asyncSetUp", "tearDown": "asyncTearDown"}.get(name, name)
                error.add_note(f"{name}() is a plain function, and no event loop runs in one: write `async def "
                               f"{wanted}`, or ask self.loop, as in self.loop.create_task(...)")
            raise
        if value is None:
            return None
        if type(value) is types.CoroutineType or isawaitable(value):
            coroutine = value if isinstance(value, (types.CoroutineType, Coroutine)) else awaiting(value)
            return _run_on_loop(run, coroutine, context)
        if isinstance(value, (types.GeneratorType, types.AsyncGeneratorType)):
            raise case.failureException(f"{value.__qualname__}() has a `yield`, so calling it only made a "
                                        "generator and nothing of it ran: take the `yield` out")
        return value
    finally:
        run.in_phase = before


def _run_on_loop(run: Run, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context) -> Any:
    loop = run.loop
    try:
        before = loop.time()
        value = real_time.run(loop, coroutine, context)
        run.was_used = run.world.was_used_since(before)
        return value
    except real_time.Strike:
        real_time.unwind(loop, coroutine)
        raise


@contextlib.contextmanager
def running(case: Phases) -> Iterator[Run]:
    """A run without an outcome: of debug(), or of a fixture of the class."""
    case._setupAsyncioRunner()
    run = run_of(case)
    try:
        yield run
    except BaseException as error:
        case._tearDownAsyncioRunner()
        _raise_what_came_late(run, [error])
        raise
    case._tearDownAsyncioRunner()
    _raise_what_came_late(run, [])


def _raise_what_came_late(run: Run, failures: Sequence[BaseException]) -> None:
    late, run.late = run.late, None
    if late is not None and failures:
        failures[0].add_note(as_note(late))
    elif late is not None:
        raise late


def _release(run: Run) -> None:
    held, run.held = run.held, None
    if held is not None:
        held.release()


# -- the fixtures of a class

Scope.end_with_the_process(world.close)
_OF_THE_CLASS = {name: vars(Phases)[name].__func__ for name in ("asyncSetUpClass", "asyncTearDownClass")}


def _refuse_async(name: str, cls: type) -> NoReturn:
    raise SolipsismError(f"{cls.__qualname__}.{name} is a coroutine function, and unittest does not await it: make it "
                         "a plain function, or write asyncSetUp and asyncTearDown, which run for each test")


def _in_order(name: str, fixture: classmethod[Any, Any, Any]) -> Any:
    """A setUpClass, or a tearDownClass, of a program's, around the asynchronous one as setUp is around asyncSetUp."""

    @functools.wraps(fixture.__func__)
    def in_order(cls: type[Phases], *args: Any, **kwargs: Any) -> None:
        call = functools.partial(fixture.__get__(None, cls), *args, **kwargs)
        if name == "tearDownClass":
            _end_class(cls)
            call()
            return
        fixtures = fixtures_of(cls)
        before, fixtures.is_setting_up = fixtures.is_setting_up, True
        try:
            call()
        finally:
            fixtures.is_setting_up = before
        if not before:
            fixtures.is_set_up = True
            _begin_class(cls, fixtures)

    in_order.in_order = True  # type: ignore[attr-defined]
    return classmethod(in_order)


def _begin_class(cls: type[Phases], fixtures: ClassFixtures) -> Scope | None:
    """Run asyncSetUpClass, unless it has run: a setUpClass of the class's own may not have. Gives the loop."""
    if fixtures.has_none and cls.loop_scope is Settings.loop_scope:
        return None
    if fixtures.stage:
        if fixtures.trouble is not None:
            raise fixtures.trouble
        return fixtures.scope
    scope = scope_of(cls, _end_module)
    if scope is None:
        for name, stock in _OF_THE_CLASS.items():
            if getattr(getattr(cls, name), "__func__", None) is not stock:
                raise SolipsismError(f"{cls.__qualname__}.{name} needs a loop that lasts as long as the class: set "
                                     "loop_scope = 'class'")
        fixtures.has_none = True
        return None
    check_class_methods(cls, _OF_THE_CLASS)
    fixtures.stage = "beginning"
    try:
        scope.before = world.world_of(scope.runner.get_loop()).before()
        for service in services_of(no_test(cls)):
            fixtures.services.append(service)
            _run_fixture(cls, scope, service.start)
        _run_fixture(cls, scope, cls.asyncSetUpClass)
    except BaseException as error:
        fixtures.trouble = error
        raise
    finally:
        fixtures.stage = "begun"
    return scope


def _end_class(cls: type[Phases]) -> None:
    """Run asyncTearDownClass, where the set-up succeeded, and stop the services. The first error is raised."""
    fixtures, errors = fixtures_of(cls), []
    fixtures.let_seal_go()
    if fixtures.scope is None or fixtures.stage != "begun":
        return
    fixtures.stage = "ended"
    calls: list[Callable[[], Any]] = [service.stop for service in reversed(fixtures.services)]
    if fixtures.trouble is None:
        calls.insert(0, cls.asyncTearDownClass)
    for each in calls:
        try:
            _run_fixture(cls, fixtures.scope, each)
        except Exception as error:
            errors.append(error)
    if errors:
        raise as_one(errors)


def _run_fixture(cls: type[Phases], scope: Scope, fixture: Callable[[], Any]) -> None:
    """Run a fixture of the class as if it were a test, and fail for its mistakes. What it leaves is for the tests."""
    case = no_test(cls)
    with running(case) as run:
        world.enter(case, run, scope)
        case._asyncioTestContext = scope.context  # tests see what it sets
        with verdict.evidence_of_class(cls, scope):
            try:
                call(case, fixture)
            except BaseException as failure:
                clean(failure)
                raise
            for error in verdict.mistakes(case, run):
                raise error


def _survey_class(cls: type[Phases], scope: Scope, *, goes_on: bool, name: str = "") -> None:
    """Fail for what the fixtures of a class have left, and end it."""
    case = no_test(cls)
    with running(case) as run:
        world.enter(case, run, scope)
        run.before, run.expected, run.is_last = scope.before, list(scope.expected), not goes_on
        run.leaving.callback(scope.before.put_back)
        run.world.report_again(scope.uncaught)
        with verdict.evidence_of_class(cls, scope, name, look=True):
            error = verdict.verdict(case, run)
            if error is not None:
                give_line(error, *(value for value in vars(cls).values()
                                   if isinstance(value, types.FunctionType | classmethod)))
                raise error


def _end_module(cls: type[Phases], scope: Scope) -> None:
    del Scope.of_modules[scope.name]
    scope.before = expected.Before()
    try:
        _survey_class(cls, scope, goes_on=False, name=f"tearDownModule ({scope.name})")
    finally:
        world.close(scope.runner)


def _collect(errors: list[Any], call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:
        errors.append(sys.exc_info())
