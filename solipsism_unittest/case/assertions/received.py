"""Assertions about what arrives at an end: these bytes, nothing for a while, or the end of the stream."""

from __future__ import annotations

import contextlib
import unittest
from asyncio import get_running_loop, trsock
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from ...introspection import names
from ...introspection.tasks import stating
from ...kernel.journal import counted
from ...stdlib.sockets.virtual_socket import Face
from ..world import run_of
from .awaited import Awaited, check_seconds
from .buffers import buffered, count_of, described, face_of, reader_of, shown_data, stream_of, transport_of
from .failures import fail

__unittest = True
__tracebackhide__ = True

LOOK = 2**16  # bytes that are taken to see what came in place of the end of a stream


class ReceiveAssertions(unittest.TestCase):
    """Assertions about what arrives; `SolipsistTestCase` has them.

    An end is a socket, a StreamReader or its writer or transport, a pair of reader and writer, or a connection of a
    fake server. What arrives at a transport with another protocol goes to that protocol, so there it is a TypeError.
    """

    def assertReceives(self, end: object, data: bytes) -> Awaited[None]:
        """Take exactly `data` from `end`, waiting for it; nothing more may be there when it has come.

        A connection that ends or is reset before fails, and so does the first byte that differs. When nothing more can
        come it is a SleepForeverError that says what has.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"assertReceives() compares with bytes, not with {data!r}")
        wanted = bytes(data)
        if not wanted:
            raise ValueError("assertReceives() takes at least one byte; for none use assertReceivesNothing() or "
                             "assertEOF()")
        end, take = taker(self, end)
        return Awaited(self, "assertReceives", _receive, take, end, wanted)

    def assertReceivesNothing(self, end: object, seconds: float) -> Awaited[None]:
        """Let `seconds` of virtual time pass, in which no byte arrives at `end`; what arrives at their end counts.

        The end of the stream is no byte: see `assertEOF`.
        """
        check_seconds(seconds)
        end, _ = taker(self, end)
        return Awaited(self, "assertReceivesNothing", _receive_nothing, end, seconds)

    def assertEOF(self, end: object) -> Awaited[None]:
        """Wait for the end of the stream at `end`: no byte may come before it, and no reset in its place."""
        end, take = taker(self, end)
        return Awaited(self, "assertEOF", _reach_end, take, end)


Taker = Callable[[int], Awaitable[bytes]]


def taker(case: unittest.TestCase, end: object) -> tuple[object, Taker]:
    """An end, and a function that takes up to a number of bytes from it, b"" where its stream ends.

    A socket that a transport has taken over is that transport. TypeError for what is no end of a stream.
    """
    face = face_of(end)
    stream_of(end)  # which refuses sockets of datagrams
    if isinstance(end, (Face, trsock.TransportSocket)):
        end = transport_of(case, end) or end
    reader = reader_of(end)
    if reader is not None:
        return end, reader.read
    if not isinstance(end, Face):
        raise TypeError(f"what arrives at {described(end)} goes to {transport_of(case, end).get_protocol()!r}: compare "
                        "what that got, or use a reader or a socket")
    return end, lambda size: _take(face, size)


async def _take(face: Any, size: int) -> bytes:
    # asyncio takes from sockets that do not block only.
    timeout = face.gettimeout()
    face.setblocking(False)
    try:
        return await get_running_loop().sock_recv(face, size)
    finally:
        if face.fileno() >= 0:
            face.settimeout(timeout)


async def _receive(case: unittest.TestCase, take: Taker, end: object, wanted: bytes) -> None:
    loop = run_of(case).world.loop_for("assertReceives()")
    came = b""

    def state() -> str:
        return f"assertReceives(): {_of(came, wanted)}, and nothing more comes"

    while len(came) < len(wanted):
        with _no_error(case, f"assertReceives() was to receive {shown_data(wanted)}, but after {_of(came, wanted)}"):
            part = await stating(state, take(len(wanted) - len(came)))
        if not part:
            fail(case, f"the stream ended after {_of(came, wanted)} at {described(end)}")
        came += part
        if not wanted.startswith(came):
            fail(case, _difference(came, wanted) + f", at {described(end)}")
    await loop.settle()
    more = buffered(end)
    if more:
        fail(case, f"{shown_data(wanted)} was received and {count_of(more)} behind it: {shown_data(more)} at "
                   f"{described(end)}; to take a part of what has come, use readexactly() or recv()")


async def _receive_nothing(case: unittest.TestCase, end: object, seconds: float) -> None:
    loop = run_of(case).world.loop_for("assertReceivesNothing()")
    start = loop.time()
    before = getattr(end, "received", b"")  # a connection of a fake server knows what its handler has read
    waiting = buffered(end)
    if not waiting:
        await loop.advance(seconds)
        waiting = getattr(end, "received", b"")[len(before):] or buffered(end)
    if waiting:
        took = loop.time() - start
        since = f"within {took!r} s" if took else "already"
        fail(case, f"nothing was to be received, but {count_of(waiting)} {since}: {shown_data(waiting)} at "
                   f"{described(end)}")


async def _reach_end(case: unittest.TestCase, take: Taker, end: object) -> None:
    with _no_error(case, "the stream was to end, but"):
        part = await stating(lambda: "assertEOF(): the stream does not end, and no byte comes", take(LOOK))
    if part:
        fail(case, f"the stream was to end, but {shown_data(part)} came first, at {described(end)}")


@contextlib.contextmanager
def _no_error(case: unittest.TestCase, before: str) -> Iterator[None]:
    """A connection that breaks fails the assertion."""
    try:
        yield
    except OSError as error:
        fail(case, f"{before} came {names.plain(error)}", error)


def _of(came: bytes, wanted: bytes) -> str:
    all_of_it = counted(len(wanted), "byte")
    return f"{len(came)} of {all_of_it}, {shown_data(came)}" if came else f"none of {all_of_it}"


def _difference(came: bytes, wanted: bytes) -> str:
    place = next(number for number, (one, other) in enumerate(zip(came, wanted, strict=False)) if one != other)
    return (f"{shown_data(came)} was received, not {shown_data(wanted)}: byte {place} is {came[place:place + 1]!r}, "
            f"not {wanted[place:place + 1]!r}")


