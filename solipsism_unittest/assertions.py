"""What a test states about time and buffers.

Owns the assertion methods of `SolipsistTestCase` that unittest does not have. Two virtual times are equal when they differ
by at most `max(5e-7, 4 * ulp(now))` seconds. What is to be awaited and was not is kept in `_unfinished`, for the test to fail.
"""

from __future__ import annotations

import asyncio
import collections.abc
import functools
import math
import unittest
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from . import diagnosis
from .kernel.stream import Stream
from .places import Place, user_place
from .sockets import VirtualSocket

__unittest = True

T = TypeVar("T")
P = ParamSpec("P")


def tolerance(now: float) -> float:
    """How far two virtual times may be apart and still be the same, in seconds."""
    return max(5e-7, 4 * math.ulp(now))


class Unfinished:
    """A statement that does nothing until it is awaited or entered."""

    def __init__(self, name: str, cure: str) -> None:
        self.name = name
        self.cure = cure
        self.place: Place | None = user_place(3)
        self.started = False

    def __str__(self) -> str:
        return f"{self.name} at {self.place} was never {self.cure}, so it has checked nothing"


class Awaited(Unfinished, collections.abc.Coroutine[Any, Any, T]):
    """The coroutine of an assertion, which knows whether it was ever awaited."""

    def __init__(self, name: str, make: Callable[[], Coroutine[Any, Any, T]], arguments: tuple[object, ...]) -> None:
        super().__init__(name, "awaited")
        self._make = make
        self._arguments = arguments
        self._coroutine: Coroutine[Any, Any, T] | None = None

    def _begin(self) -> Coroutine[Any, Any, T]:
        if self._coroutine is None:
            self.started = True
            self._coroutine = self._make()
        return self._coroutine

    def __await__(self) -> Generator[Any, Any, T]:
        return self._begin().__await__()

    def send(self, value: Any) -> Any:
        return self._begin().send(value)

    def throw(self, *args: Any) -> Any:
        return self._begin().throw(*args)

    def close(self) -> None:
        if self._coroutine is not None:
            self._coroutine.close()

    def abandon(self) -> None:
        """Close the coroutines that it was given, so that Python does not complain of them as well."""
        for argument in self._arguments:
            if asyncio.iscoroutine(argument):
                argument.close()


class _Elapses(Unfinished):
    """See `assertElapses`."""

    def __init__(self, case: Assertions, seconds: float) -> None:
        super().__init__("assertElapses()", "entered with `with`")
        self._case = case
        self._seconds = seconds

    def __enter__(self) -> Self:
        self.started = True
        self._start = self._case.loop.time()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._case._assert_took(self._start, self._seconds, "the block")


def _awaited(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Any, P], Awaited[T]]:
    """Turn an async assertion into one that is missed when nobody awaits it."""

    @functools.wraps(method)
    def start(self: Any, *args: P.args, **kwargs: P.kwargs) -> Awaited[T]:
        check = Awaited(f"{method.__name__}()", lambda: method(self, *args, **kwargs), (*args, *kwargs.values()))
        self._unfinished.append(check)
        return check

    return start


def _seconds(seconds: float) -> float:
    if not 0 <= seconds < math.inf:
        raise ValueError(f"a duration is a number of seconds from 0 up, not {seconds!r}")
    return seconds


class Assertions(unittest.TestCase):
    """The assertion helpers; `SolipsistTestCase` has them all."""

    _unfinished: list[Unfinished]

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of this test."""
        raise NotImplementedError

    # -- time

    def assertNow(self, when: float) -> None:
        """It is `when` (a virtual time in seconds)."""
        now = self.loop.time()
        if not abs(now - when) <= tolerance(now):
            self._fail(f"it is t={now!r}, not {when!r}: {_apart(now, when)}")

    def assertElapses(self, seconds: float) -> _Elapses:
        """`with self.assertElapses(3):` the block takes exactly so much virtual time. What the block raises passes through."""
        block = _Elapses(self, _seconds(seconds))
        self._unfinished.append(block)
        return block

    @_awaited
    async def assertCompletesWithin(self, aw: Awaitable[T], seconds: float) -> T:
        """Await `aw` for at most `seconds` of virtual time and return its result. What it raises passes through."""
        return await self._complete(aw, _seconds(seconds))

    @_awaited
    async def assertCompletesAfter(self, aw: Awaitable[T], seconds: float) -> T:
        """Await `aw`, which must take exactly `seconds` of virtual time, and return its result."""
        start = self.loop.time()
        result = await self._complete(aw, _seconds(seconds))
        self._assert_took(start, seconds, _name(aw))
        return result

    @_awaited
    async def assertBlocks(self, aw: Awaitable[object], seconds: float | None = None) -> None:
        """`aw` is still pending when nothing more can happen at this instant, or after `seconds`. It is cancelled then."""
        loop: Any = self.loop
        if seconds is not None:
            _seconds(seconds)
        task = asyncio.ensure_future(aw)
        try:
            await (loop.settle() if seconds is None else loop.advance(seconds))
        finally:
            pending = not task.done()
            if pending:
                task.cancel()
                await asyncio.wait([task])
        if not pending:
            if task.cancelled():
                self._fail(f"{_name(aw)} was to block but was cancelled by t={loop.time()!r}")
            error = task.exception()
            if error is not None:
                raise self.failureException(f"{_name(aw)} was to block but raised {error!r} by t={loop.time()!r}") from error
            self._fail(f"{_name(aw)} was to block but returned {task.result()!r} by t={loop.time()!r}")

    async def _complete(self, aw: Awaitable[T], seconds: float) -> T:
        """Await in this very task (context variables and cancellation are the test's), and give up behind the deadline."""
        loop = self.loop
        deadline = loop.time() + seconds
        task = asyncio.current_task()
        assert task is not None
        late: list[str] = []

        def describe() -> None:
            # Just before the cancellation: what the task waits for is gone afterwards.
            frames = diagnosis.await_chain(task)
            late.append(f"{_name(aw)} did not complete within {seconds!r} s: at t={deadline!r} it waits for "
                        f"{diagnosis.waits_for(task, frames)} at {diagnosis.where(frames)}")

        limit = asyncio.timeout_at(deadline + tolerance(deadline))
        note = loop.call_at(deadline + tolerance(deadline), describe)
        try:
            async with limit:
                return await aw
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            note.cancel()
        raise self.failureException(late[0])

    def _assert_took(self, start: float, seconds: float, what: str) -> None:
        now = self.loop.time()
        took = now - start
        if abs(took - seconds) > tolerance(now):
            self._fail(f"{what} took {took!r} s, not {seconds!r} s: {_apart(took, seconds)} (from t={start!r} to t={now!r})")

    # -- buffers

    def assertBuffered(self, end: Any, what: bytes | int) -> None:
        """`what` (bytes, or how many) waits to be read at `end`: a socket, reader, writer, transport or connection."""
        waiting = _buffered(end)
        if isinstance(what, int):
            if len(waiting) != what:
                self._fail(f"{len(waiting)} bytes wait to be read, not {what}: {_shown(waiting)} at {_described(end)}")
        elif waiting != bytes(what):
            self._fail(f"{_shown(waiting)} waits to be read, not {_shown(bytes(what))}, at {_described(end)}")

    def assertBufferEmpty(self, end: Any) -> None:
        """Nothing waits to be read at `end`."""
        waiting = _buffered(end)
        if waiting:
            self._fail(f"{len(waiting)} bytes wait to be read: {_shown(waiting)} at {_described(end)}")

    def assertBufferFull(self, end: Any) -> None:
        """A send from `end` would raise BlockingIOError."""
        stream = _stream(end)
        if stream.room():
            self._fail(f"{stream.room()} bytes could still be sent from {_described(end)}")
        if stream.peer is None:
            self._fail(f"{_described(end)} is not connected, so a send would not block")

    def _fail(self, text: str) -> Any:
        """Fail with the virtual world's last records under the text."""
        kernel = getattr(self.loop, "kernel", None)
        records = kernel.journal.last(diagnosis.LAST_RECORDS) if kernel is not None else []
        last = "".join(f"\n      {record}" for record in records)
        raise self.failureException(text + (f"\n  what happened last:{last}" if last else ""))


def _apart(seen: float, expected: float) -> str:
    return f"{abs(seen - expected):.6g} s too {'late' if seen > expected else 'early'}"


def _name(aw: object) -> str:
    if isinstance(aw, asyncio.Task):
        return f"task {aw.get_name()}"
    return getattr(aw, "__qualname__", None) or getattr(aw, "name", None) or diagnosis.plain(aw)


def _shown(data: bytes) -> str:
    return repr(data) if len(data) <= 60 else f"{data[:40]!r}... ({len(data)} bytes)"


def _transport(end: Any) -> Any:
    """The transport behind a reader, writer, connection or transport; None for a socket."""
    if isinstance(end, asyncio.StreamReader):
        return end._transport  # type: ignore[attr-defined]
    writer = getattr(end, "writer", end)
    return getattr(writer, "transport", writer)


def _stream(end: Any) -> Stream:
    """The kernel's end behind any kind of end; TypeError for what has none."""
    face = end if isinstance(end, VirtualSocket) else None
    if face is None:
        transport = _transport(end)
        if hasattr(transport, "get_extra_info"):
            face = transport.get_extra_info("socket")
            face = getattr(face, "_sock", face)
    if not isinstance(face, VirtualSocket):
        raise TypeError(f"{end!r} is not an end of a virtual connection: give a socket, reader, writer, transport or connection")
    return face.end


def _buffered(end: Any) -> bytes:
    """What asyncio's reader holds, and then what the kernel holds."""
    held = b""
    if not isinstance(end, VirtualSocket):
        reader = end
        if not isinstance(reader, asyncio.StreamReader):
            protocol = getattr(_transport(end), "get_protocol", lambda: None)()
            reader = getattr(protocol, "_stream_reader", None)
        held = bytes(reader._buffer) if reader is not None else b""  # type: ignore[attr-defined]
    return held + bytes(_stream(end).incoming)


def _described(end: Any) -> str:
    return diagnosis.plain(_stream(end))
