"""What `unittest.mock` lacks for coroutines: waiting until a mock is awaited, and patches that end at each await."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
from asyncio import get_running_loop
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from types import FunctionType
from typing import Any, TypeVar
from unittest import mock

from ..introspection import names
from ..introspection.tasks import stating
from ..kernel.journal import counted

__unittest = True
__tracebackhide__ = True

Function = TypeVar("Function", bound=Callable[..., Coroutine[Any, Any, Any]])


class Awaits:
    """The awaits of one AsyncMock; `awaited()` gives it. It is true when there was one.

    A mock counts an await when it begins, and so those who wait look again then.
    """

    def __init__(self, watched: mock.AsyncMock) -> None:
        self._mock = watched
        self._waiting: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        return self._mock.await_count > 0

    async def wait(self, skip: int = 0) -> None:
        """Wait until the mock was awaited `skip` + 1 times in all."""
        await self._until(lambda watched: watched.await_count > skip, f"{counted(skip + 1, 'await')} of {self._mock!r}")

    async def wait_next(self, skip: int = 0) -> None:
        """Wait until the mock is awaited `skip` + 1 times more."""
        seen = self._mock.await_count
        await self._until(lambda watched: watched.await_count > seen + skip,
                          f"{counted(skip + 1, 'more await')} of {self._mock!r}")

    async def wait_for(self, predicate: Callable[[mock.AsyncMock], Any]) -> Any:
        """Wait until `predicate(mock)` is true, which is asked at each await. Returns what it gave."""
        return await self._until(predicate, f"an await of {self._mock!r} that makes {names.name_of(predicate)} true")

    async def _until(self, predicate: Callable[[mock.AsyncMock], Any], words: str) -> Any:
        while not (value := predicate(self._mock)):
            waiter = get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await stating(lambda: words, waiter)
            finally:
                self._waiting.remove(waiter)
        return value

    def notify(self) -> None:
        """Let those who wait look again, from any thread."""
        for waiter in self._waiting:
            waiter.get_loop().call_soon_threadsafe(_wake, waiter)


def awaited(watched: Any) -> Awaits:
    """The awaits of an AsyncMock, or of a function that `create_autospec()` made of a coroutine function.

    `await awaited(mock).wait()` until it was awaited, `.wait(skip=2)` three times, `.wait_next()` once more,
    `.wait_for(predicate)` until `predicate(mock)` is true. TypeError for what is never awaited.
    """
    if isinstance(watched, FunctionType):
        watched = getattr(watched, "mock", watched)
    if not isinstance(watched, mock.AsyncMock):
        raise TypeError(f"awaited() takes an AsyncMock, not {names.plain(watched)}")
    # Each mock has a class of its own, made for magic methods: what is set there is of this mock alone.
    count: property = type(watched).await_count  # type: ignore[assignment]
    known = getattr(count.fset, "awaits", None)
    if known is not None:
        return known  # type: ignore[no-any-return]
    awaits = Awaits(watched)

    def note(self: mock.AsyncMock, value: int) -> None:
        count.fset(self, value)  # type: ignore[misc]
        awaits.notify()

    note.awaits = awaits  # type: ignore[attr-defined]
    type(watched).await_count = property(count.fget, note)  # type: ignore[assignment]
    return awaits


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


# -- patches


def while_running(patcher: Any) -> Callable[[Function], Function]:
    """Decorate a coroutine function: a patch that holds only while its own code runs.

    At each await that really waits the patch is taken off, so that other tasks see the true thing, and put on again
    when the coroutine goes on. `patcher` is what `mock.patch()`, `patch.object()`, `patch.multiple()` and
    `patch.dict()` give. Where the patch makes a mock, the function gets it as with `mock.patch`; each call gets its
    own, and keeps it.
    """
    if not hasattr(patcher, "__enter__"):
        raise TypeError(f"while_running() takes a patcher, as mock.patch() gives one, not {names.plain(patcher)}")

    def decorate(function: Function) -> Function:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"while_running() decorates a coroutine function, not {names.plain(function)}")
        patchers = getattr(function, "patched_while_running", None)
        if patchers is not None:  # as with mock.patch, the mock of the inner decorator comes first
            patchers.append(patcher)
            return function
        patchers = [patcher]

        @functools.wraps(function)
        async def patched(*args: Any, **kwargs: Any) -> Any:
            patches = [_Patch(each) for each in patchers]
            return await _Stepping(function, patches, args, kwargs)

        patched.patched_while_running = patchers  # type: ignore[attr-defined]
        return patched  # type: ignore[return-value]

    return decorate


class _Patch:
    """One patcher in one call: it is entered again and again, and gives the same mock each time."""

    def __init__(self, patcher: Any) -> None:
        self._patcher = copy.copy(patcher)
        self._targets: list[Any] = []  # of mock.patch, and none of patch.dict
        if hasattr(patcher, "additional_patchers"):
            self._patcher.additional_patchers = [copy.copy(each) for each in patcher.additional_patchers]
            self._targets = [self._patcher, *self._patcher.additional_patchers]
        self._is_new = any(target.new is mock.DEFAULT for target in self._targets)
        self._given: Any = None

    def __enter__(self) -> None:
        given = self._patcher.__enter__()
        if self._is_new and self._given is None:
            self._given = given
            for target in self._targets:
                if target.new is mock.DEFAULT:
                    target.new = given[target.attribute_name] if target.attribute_name is not None else given
                    target.spec = target.spec_set = target.autospec = target.new_callable = None
                    target.kwargs = {}

    def __exit__(self, *exc_info: Any) -> None:
        self._patcher.__exit__(*exc_info)

    def pass_on(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Add to the arguments of the function what `mock.patch` would add."""
        if self._is_new and self._patcher.attribute_name is not None:
            kwargs.update(self._given)
        elif self._is_new:
            args.append(self._given)


class _Stepping:
    """Awaits a coroutine, with patches entered around each of its steps.

    It is an iterator and no generator, and so can say what it awaits, as a coroutine does: reports go on from there.
    """

    def __init__(self, function: Any, patches: list[_Patch], args: Any, kwargs: Any) -> None:
        self._function, self._patches, self._args, self._kwargs = function, patches, args, kwargs
        self.cr_await: Any = None  # the coroutine

    def __await__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """As a coroutine's."""
        return self._step("send", value)

    def throw(self, *error: Any) -> Any:
        """As a coroutine's."""
        return self._step("throw", *error)

    def close(self) -> None:
        """As a coroutine's."""
        self._step("close")

    def _step(self, call: str, *args: Any) -> Any:
        with ExitStack() as stack:
            for patch in self._patches:
                stack.enter_context(patch)
            if self.cr_await is None:
                own_args, own_kwargs = list(self._args), dict(self._kwargs)
                for patch in self._patches:
                    patch.pass_on(own_args, own_kwargs)
                self.cr_await = self._function(*own_args, **own_kwargs)
            return getattr(self.cr_await, call)(*args)
