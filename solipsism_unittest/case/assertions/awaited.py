"""Assertions that are awaited: one that is called and not awaited fails its test."""

from __future__ import annotations

import asyncio
import collections.abc
import math
import unittest
from asyncio import isfuture
from collections.abc import Awaitable, Callable, Coroutine, Generator
from inspect import isawaitable
from typing import Any, TypeVar

from ...hangs import words
from ...introspection import names
from ...introspection.places import Place, user_place
from ..world import run_of

__unittest = True
__tracebackhide__ = True

T = TypeVar("T")


class Unfinished:
    """A statement that does nothing until it is awaited or entered. Until then its test knows it as unfinished."""

    def __init__(self, case: unittest.TestCase, name: str, cure: str) -> None:
        self.case = case
        self.name = name
        self.cure = cure
        self.place: Place | None = user_place(3)
        run_of(case).unfinished[self] = None

    def start(self) -> None:
        """It is awaited or entered now."""
        run_of(self.case).unfinished.pop(self, None)

    def abandon(self) -> None:
        """Give up on it, so that Python does not report it as well."""

    def __str__(self) -> str:
        return f"{self.name} at {self.place} was never {self.cure}, so it has checked nothing"


class Awaited(Unfinished, collections.abc.Coroutine[Any, Any, T]):
    """The coroutine of an assertion, which knows whether it was ever awaited.

    `function(case, *given)` is the assertion itself.
    """

    def __init__(self, case: unittest.TestCase, name: str, function: Callable[..., Coroutine[Any, Any, T]],
                 *given: Any) -> None:
        super().__init__(case, f"{name}()", "awaited")
        self._given = given
        self.__name__ = self.__qualname__ = name
        self._function = function
        self._coroutine: Coroutine[Any, Any, T] | None = None

    def _begin(self) -> Coroutine[Any, Any, T]:
        if self._coroutine is None:
            self.start()
            self._coroutine = self._function(self.case, *self._given)
            self._given = ()
        return self._coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        return self._begin().__await__()

    def send(self, value: Any) -> Any:
        return self._begin().send(value)

    def throw(self, *args: Any) -> Any:
        self.abandon()  # its task was cancelled before it ran
        return self._begin().throw(*args)

    def close(self) -> None:
        if self._coroutine is not None:
            self._coroutine.close()

    def abandon(self) -> None:
        for thing in self._given:
            discard(thing)

    # What diagnoses and asyncio's own reprs look for in a coroutine.

    @property
    def cr_frame(self) -> Any:
        return getattr(self._coroutine, "cr_frame", None)

    @property
    def cr_running(self) -> bool:
        return getattr(self._coroutine, "cr_running", False)

    @property
    def cr_await(self) -> Any:
        return getattr(self._coroutine, "cr_await", None)

    @property
    def cr_code(self) -> Any:
        return getattr(self._function, "__code__", None)

    def __repr__(self) -> str:
        return f"<{self.name} made at {self.place}>"


class AwaitedOf(Awaited[T]):
    """The coroutine of an assertion about an awaitable and some durations: `function(case, aw, *seconds)`."""

    def __init__(self, case: unittest.TestCase, name: str, function: Callable[..., Coroutine[Any, Any, T]],
                 aw: Awaitable[Any], *seconds: float) -> None:
        if not isawaitable(aw):
            hint = f": call it, as in self.{name}({name_of_awaited(aw)}(), ...)" if callable(aw) else ""
            raise TypeError(f"{name}() takes a coroutine or another awaitable, not {names.plain(aw)}{hint}")
        try:
            for number in seconds:
                check_seconds(number)
        except ValueError:
            discard(aw)
            raise
        super().__init__(case, name, function, aw, *seconds)


def awaiting(thing: Awaitable[T]) -> Coroutine[Any, Any, T]:
    """A coroutine that awaits anything, for what takes only coroutines. Reports give it the thing's own name."""

    async def wait() -> T:
        return await thing

    wait.__name__ = wait.__qualname__ = name_of_awaited(thing)
    return wait()


def discard(aw: object) -> None:
    """Close what nobody will await, so that Python does not report it as well."""
    if isinstance(aw, Awaited):
        aw.start()
        aw.abandon()
    elif isinstance(aw, collections.abc.Coroutine):
        aw.close()


def check_seconds(seconds: object) -> None:
    """Refuse what is no duration in seconds with a ValueError."""
    if not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise ValueError(f"a duration is a number of seconds from 0 up, not {seconds!r}")


def name_of_awaited(aw: object) -> str:
    """What the user calls an awaitable: the coroutine's name where there is one."""
    if isinstance(aw, asyncio.Task):
        return f"task {words.task_words(aw)}"
    if isfuture(aw):
        return "gather()" if hasattr(aw, "_children") else "a future"
    name = getattr(aw, "__qualname__", None) or _NAMES.get(type(aw).__name__) or type(aw).__qualname__
    return _NAMES.get(name, name)


# Names that libraries give to what the user wrote, and the user's words for it.
_NAMES = {
    "AsyncMockMixin._execute_mock_call": "AsyncMock", "async_generator_asend": "anext()",
    "async_generator_athrow": "athrow()", "anext_awaitable": "anext()", "coroutine_wrapper": "__await__()",
}
