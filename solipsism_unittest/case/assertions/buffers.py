"""Assertions about what waits to be read at an end, and whether the end takes more."""

from __future__ import annotations

import asyncio
import unittest
from asyncio import trsock
from typing import Any, NamedTuple

from ...introspection import names
from ...kernel.descriptors.stream import Stream
from ...kernel.descriptors.transitions import CLOSE_WAIT, ESTABLISHED
from ...kernel.journal import counted
from ...stdlib.sockets.virtual_socket import Face
from ..world import run_of
from .failures import fail

__unittest = True
__tracebackhide__ = True


class BufferAssertions(unittest.TestCase):
    """Assertions about buffers; `SolipsistTestCase` has them."""

    def assertBuffered(self, end: object, what: bytes | int) -> None:
        """`what` (bytes, or how many) waits to be read at `end`: a socket, reader, writer, transport or connection."""
        if not isinstance(what, (int, bytes, bytearray, memoryview)):
            raise TypeError(f"assertBuffered() compares with bytes or a number of bytes, not with {what!r}")
        run_of(self).explorer.land()
        waiting = buffered(end)
        if isinstance(what, int):
            if len(waiting) != what:
                fail(self, f"{count_of(waiting)} to be read, not {what}: {shown_data(waiting)} at {described(end)}")
        elif waiting != bytes(what):
            fail(self, f"{shown_data(waiting)} waits to be read, not {shown_data(bytes(what))}, at {described(end)}")

    def assertBufferEmpty(self, end: object) -> None:
        """Nothing waits to be read at `end`."""
        run_of(self).explorer.land()
        waiting = buffered(end)
        if waiting:
            fail(self, f"{count_of(waiting)} to be read: {shown_data(waiting)} at {described(end)}")

    def assertBufferFull(self, end: object) -> None:
        """A send from `end` would raise BlockingIOError."""
        run_of(self).explorer.land()
        stream = stream_of(end)
        if stream is None or stream.state not in (ESTABLISHED, CLOSE_WAIT):
            fail(self, f"{described(end)} cannot send at all, so a send would not block")
        elif stream.room():
            fail(self, f"{counted(stream.room(), 'byte')} could still be sent from {described(end)}")

    def assertWritingPaused(self, end: object) -> None:
        """asyncio has paused the writing at `end`: `drain()` would wait. Of a bare socket: a send would block."""
        flow = _flow(self, end)
        if not flow.paused:
            fail(self, f"writing is not paused at {flow.words}, and asyncio pauses it above {flow.high}"
                 if flow.high is not None else f"writing is not paused: {flow.words}")

    def assertWritingResumed(self, end: object) -> None:
        """asyncio has not paused the writing at `end`, or has resumed it. Of a bare socket: a send would not block."""
        flow = _flow(self, end)
        if flow.paused:
            fail(self, f"writing is paused at {flow.words}, and asyncio resumes it at {flow.low}"
                 if flow.low is not None else f"writing is paused: {flow.words}")


class Flow(NamedTuple):
    """Whether the writing at an end is paused."""

    paused: bool
    words: str
    low: int | None = None  # bytes in the transport's buffer at which writing resumes; None for a bare socket
    high: int | None = None  # and above which it pauses


def count_of(data: bytes) -> str:
    """How many bytes wait, in words."""
    return _wait(len(data))


def _wait(count: int) -> str:
    return f"{counted(count, 'byte')} {'waits' if count == 1 else 'wait'}"


def shown_data(data: bytes) -> str:
    """Bytes for a message: all of a few, the beginning of many."""
    return repr(data) if len(data) <= 60 else f"{data[:40]!r}... ({len(data)} bytes)"


def _transport(end: object) -> Any:
    """The transport behind a reader, writer, pair, connection or transport; anything else as it is."""
    if isinstance(end, tuple) and len(end) == 2:  # a stream pair
        end = end[1]
    if isinstance(end, asyncio.StreamReader):
        return end._transport  # type: ignore[attr-defined]
    writer = getattr(end, "writer", end)
    return getattr(writer, "transport", writer)


def face_of(end: object) -> Face:
    """The socket behind any kind of end; TypeError for what has none."""
    face = end
    if not isinstance(end, (Face, trsock.TransportSocket)):
        transport = _transport(end)
        face = transport.get_extra_info("socket") if hasattr(transport, "get_extra_info") else None
    face = getattr(face, "_sock", face)
    if not isinstance(face, Face):
        raise TypeError(f"{end!r} is not an end of a virtual connection: "
                        "give a socket, reader, writer, transport, stream pair or connection")
    return face


def stream_of(end: object) -> Stream | None:
    """The kernel's end behind any kind of end; None where it is closed."""
    face = face_of(end)
    stream = face.end if face.fileno() >= 0 else None
    if stream is not None and not isinstance(stream, Stream):
        raise TypeError(f"{face!r} is no end of a stream: await loop.sock_recvfrom() for a datagram, or its server's "
                        "receive()")
    return stream


def reader_of(end: object) -> asyncio.StreamReader | None:
    """The StreamReader behind any kind of end; None where there is none."""
    if isinstance(end, tuple) and len(end) == 2:
        end = end[0]
    reader = end if isinstance(end, asyncio.StreamReader) else getattr(end, "reader", None)
    if reader is None:
        protocol = getattr(_transport(end), "get_protocol", lambda: None)()
        reader = getattr(protocol, "_stream_reader", None)
    return reader


def buffered(end: object) -> bytes:
    """What asyncio's reader holds, and then what the kernel holds, but for bytes that TLS has still to open."""
    stream = stream_of(end)
    held = bytes(getattr(reader_of(end), "_buffer", b""))
    if stream is None or hasattr(_transport(end), "_ssl_protocol"):
        return held
    return held + bytes(stream.incoming)


def transport_of(case: unittest.TestCase, end: object) -> Any:
    """The transport behind any kind of end, a socket that a transport has taken over included; None without one."""
    transport = _transport(end)
    if hasattr(transport, "get_extra_info"):
        return transport
    loop = run_of(case).world.virtual_loop
    return loop.inventory.transport_of(face_of(end).fileno()) if loop is not None else None


def _flow(case: unittest.TestCase, end: object) -> Flow:
    """What an assertion about the writing at an end has to know; TypeError for what cannot be written to."""
    transport = transport_of(case, end)
    if transport is None:
        stream = stream_of(end)
        room = stream.room() if stream is not None else 0
        return Flow(not room, f"{described(end)} takes {counted(room, 'more byte')}")
    layer = getattr(transport, "_ssl_protocol", None)  # of a TLS transport
    paused = layer._app_writing_paused if layer is not None else transport._protocol_paused
    low, high = transport.get_write_buffer_limits()
    return Flow(paused, f"{described(end)}: {_wait(transport.get_write_buffer_size())} to be sent", low, high)


def described(end: object) -> str:
    """An end for a message: what it is and its state."""
    return names.plain(stream_of(end) or face_of(end))
