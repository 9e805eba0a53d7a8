"""Assertions about what waits to be read at an end, and whether the end takes more."""

from __future__ import annotations

import asyncio
import unittest
from asyncio import trsock
from typing import Any

from ...introspection import names
from ...kernel.descriptors.stream import Stream
from ...kernel.descriptors.transitions import CLOSE_WAIT, ESTABLISHED
from ...stdlib.sockets.virtual_socket import VirtualSocket
from .failures import fail

__unittest = True
__tracebackhide__ = True


class BufferAssertions(unittest.TestCase):
    """Assertions about buffers; `SolipsistTestCase` has them."""

    def assertBuffered(self, end: object, what: bytes | int) -> None:
        """`what` (bytes, or how many) waits to be read at `end`: a socket, reader, writer, transport or connection."""
        if not isinstance(what, (int, bytes, bytearray, memoryview)):
            raise TypeError(f"assertBuffered() compares with bytes or a number of bytes, not with {what!r}")
        waiting = buffered(end)
        if isinstance(what, int):
            if len(waiting) != what:
                fail(self, f"{count_of(waiting)} to be read, not {what}: {shown_data(waiting)} at {described(end)}")
        elif waiting != bytes(what):
            fail(self, f"{shown_data(waiting)} waits to be read, not {shown_data(bytes(what))}, at {described(end)}")

    def assertBufferEmpty(self, end: object) -> None:
        """Nothing waits to be read at `end`."""
        waiting = buffered(end)
        if waiting:
            fail(self, f"{count_of(waiting)} to be read: {shown_data(waiting)} at {described(end)}")

    def assertBufferFull(self, end: object) -> None:
        """A send from `end` would raise BlockingIOError."""
        stream = stream_of(end)
        if stream is None or stream.state not in (ESTABLISHED, CLOSE_WAIT):
            fail(self, f"{described(end)} cannot send at all, so a send would not block")
        elif stream.room():
            fail(self, f"{stream.room()} bytes could still be sent from {described(end)}")


def count_of(data: bytes) -> str:
    """How many bytes wait, in words."""
    return f"{len(data)} byte waits" if len(data) == 1 else f"{len(data)} bytes wait"


def shown_data(data: bytes) -> str:
    """Bytes for a message: all of a few, the beginning of many."""
    return repr(data) if len(data) <= 60 else f"{data[:40]!r}... ({len(data)} bytes)"


def _transport(end: object) -> Any:
    """The transport behind a reader, writer, connection or transport; anything else as it is."""
    if isinstance(end, asyncio.StreamReader):
        return end._transport  # type: ignore[attr-defined]
    writer = getattr(end, "writer", end)
    return getattr(writer, "transport", writer)


def _face(end: object) -> VirtualSocket:
    """The socket behind any kind of end; TypeError for what has none."""
    face = end
    if not isinstance(end, (VirtualSocket, trsock.TransportSocket)):
        transport = _transport(end)
        face = transport.get_extra_info("socket") if hasattr(transport, "get_extra_info") else None
    face = getattr(face, "_sock", face)
    if not isinstance(face, VirtualSocket):
        raise TypeError(f"{end!r} is not an end of a virtual connection: "
                        "give a socket, reader, writer, transport or connection")
    return face


def stream_of(end: object) -> Stream | None:
    """The kernel's end behind any kind of end; None where it is closed."""
    face = _face(end)
    stream = face.end if face.fileno() >= 0 else None
    if stream is not None and not isinstance(stream, Stream):
        raise TypeError(f"{face!r} is no end of a stream: await loop.sock_recvfrom() for a datagram, or its server's "
                        "receive()")
    return stream


def buffered(end: object) -> bytes:
    """What asyncio's reader holds, and then what the kernel holds."""
    stream = stream_of(end)
    reader = end if isinstance(end, asyncio.StreamReader) else getattr(end, "reader", None)
    if reader is None:
        protocol = getattr(_transport(end), "get_protocol", lambda: None)()
        reader = getattr(protocol, "_stream_reader", None)
    held = bytes(getattr(reader, "_buffer", b""))
    return held + (bytes(stream.incoming) if stream is not None else b"")


def described(end: object) -> str:
    """An end for a message: what it is and its state."""
    return names.plain(stream_of(end) or _face(end))
