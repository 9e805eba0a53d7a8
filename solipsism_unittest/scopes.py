"""One loop for many tests: of a class, or of all classes of a module.

Owns the fixtures that run on such a loop, `asyncSetUpClass` and `asyncTearDownClass`, and its end. What a test leaves
is told by that test; what the fixtures of a class leave is told when the class ends. A fixture runs on a case of its
class that has no test, in the same world as the tests.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import unittest
from collections.abc import Callable
from typing import Any, ClassVar, Self

from . import leaks
from .errors import SolipsismError
from .loop_exceptions import Mishap

__unittest = True
__tracebackhide__ = True

SCOPES = ("test", "class", "module")


class Scope:
    """A loop that outlives its tests, and what is there on it that no single test answers for."""

    def __init__(self, name: str, settings: tuple[object, ...], runner: asyncio.Runner) -> None:
        self.name = name
        self.settings = settings
        self.runner = runner
        self.context = contextvars.copy_context()
        self.expected: list[object] = []
        self.mishaps: list[Mishap] = []  # of fixtures
        self.before = leaks.Before()  # at the start of the class


class Scoped(unittest.IsolatedAsyncioTestCase):
    """The fixtures of a class, and the loop that a class or module shares; `SolipsistTestCase` has them."""

    loop_scope: str = "test"

    _modules: ClassVar[dict[str, Scope]] = {}
    _scope_of_class: ClassVar[Scope | None] = None
    _stage: ClassVar[str] = ""  # of the class: "begun", "ended"; "" before and after
    _trouble: ClassVar[BaseException | None] = None  # what asyncSetUpClass raised

    @classmethod
    async def asyncSetUpClass(cls) -> None:
        """To override: runs once before the tests of the class, on the loop that they share."""

    @classmethod
    async def asyncTearDownClass(cls) -> None:
        """To override: runs once after the tests of the class, on the loop that they share, if the set-up succeeded."""

    # What the case itself does.
    _new_scope: Any
    _in_world: Any
    _survey_class: Any
    _close_scope: Any
    tearDown_exceptions: ClassVar[list[Any]]

    @classmethod
    def _fixture(cls) -> Self:
        return cls("_no_test")

    def _no_test(self) -> None:
        """The method of a case that only runs fixtures."""

    # -- the loop

    @classmethod
    def _scope(cls) -> Scope | None:
        """The loop that the tests of this class share, made at the first call; None where each has its own."""
        if cls.loop_scope not in SCOPES:
            raise SolipsismError(f"loop_scope of {cls.__qualname__} is {cls.loop_scope!r}: set it to one of "
                                 + ", ".join(map(repr, SCOPES)))
        if cls.loop_scope == "test":
            return None
        scope = vars(cls).get("_scope_of_class")
        if scope is None:
            scope = cls._scope_of_class = cls._of_module() if cls.loop_scope == "module" else \
                cls._fixture()._new_scope(f"{cls.__module__}.{cls.__qualname__}")
        return scope

    @classmethod
    def _of_module(cls) -> Scope:
        fixture, name = cls._fixture(), cls.__module__
        scope = cls._modules.get(name)
        wanted = fixture._new_scope(name)
        if scope is None:
            scope = cls._modules[name] = wanted
            unittest.addModuleCleanup(fixture._end_module, scope)
        elif scope.settings != wanted.settings:
            raise SolipsismError(f"{cls.__qualname__} wants another loop than the one that module {name} shares: set "
                                 "the same loop_factory, start_time, autojump, loop_debug and seed, or loop_scope = "
                                 "'class'")
        return scope

    # -- the fixtures

    @classmethod
    def setUpClass(cls) -> None:
        """As unittest's; runs asyncSetUpClass."""
        super().setUpClass()
        cls._begin_class()

    @classmethod
    def tearDownClass(cls) -> None:
        """As unittest's; runs asyncTearDownClass."""
        cls._end_class()
        super().tearDownClass()

    @classmethod
    def _begin_class(cls) -> None:
        """Run asyncSetUpClass, unless it has run: a class may have a setUpClass of its own that does not."""
        if vars(cls).get("_stage"):
            if cls._trouble is not None:
                raise cls._trouble
            return
        scope = cls._scope()
        if scope is None:
            for name in ("asyncSetUpClass", "asyncTearDownClass"):
                if getattr(cls, name).__func__ is not getattr(Scoped, name).__func__:
                    raise SolipsismError(f"{cls.__qualname__}.{name} needs a loop that lasts as long as the class: set "
                                         "loop_scope = 'class'")
            return
        cls._stage = "begun"
        fixture = cls._fixture()
        scope.before = leaks.Before(fixture._loop_in(scope))
        try:
            fixture._in_world(cls.asyncSetUpClass)
        except BaseException as error:
            cls._trouble = error
            raise

    @classmethod
    def _end_class(cls) -> None:
        if vars(cls).get("_stage") == "begun" and cls._trouble is None:
            cls._stage = "ended"
            cls._fixture()._in_world(cls.asyncTearDownClass)

    def _loop_in(self, scope: Scope) -> Any:
        """The loop of a scope; None where it has no virtual world."""
        loop = scope.runner.get_loop()
        return loop if hasattr(loop, "_own") else None

    @classmethod
    def doClassCleanups(cls) -> None:
        """As unittest's; the last of them looks for what the class has left behind."""
        errors: list[Any] = []  # as unittest keeps them, for its own are begun anew below
        _collect(errors, cls._end_class)
        super().doClassCleanups()
        scope = vars(cls).get("_scope_of_class")
        if scope is not None:
            fixture, alone = cls._fixture(), cls.loop_scope == "class"
            _collect(errors, lambda: fixture._survey_class(scope, not alone))
            if alone:
                fixture._close_scope(scope)
        cls._scope_of_class = cls._trouble = None
        cls._stage = ""
        cls.tearDown_exceptions += errors

    def _end_module(self, scope: Scope) -> None:
        del self._modules[scope.name]
        scope.before = leaks.Before()
        try:
            self._survey_class(scope, False)
        finally:
            self._close_scope(scope)


def _collect(errors: list[Any], call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:
        errors.append(sys.exc_info())
