"""What socket methods take and give: bytes-like objects, flags, ancillary data."""

from __future__ import annotations

import operator
import socket
import sys
from collections.abc import Iterable
from typing import Any

from ...errors import SolipsismError
from ...kernel.descriptors.end import Received
from ...pythons import CUT_DATAGRAM

# As plain ints: an enum's own `&` is Python code. 0 where a system lacks one.
MSG_DONTWAIT, MSG_WAITALL, _MSG_PEEK, MSG_TRUNC = (int(getattr(socket, name, 0)) for name in (
    "MSG_DONTWAIT", "MSG_WAITALL", "MSG_PEEK", "MSG_TRUNC"))
PASSED_ON = _MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_WAITALL  # what is passed on to the kernel's ends
# Linux ignores flags that it does not know. Flags that would do what is not simulated are refused.
_REFUSED_FLAGS = {name: int(getattr(socket, name, 0)) for name in ("MSG_OOB", "MSG_FASTOPEN")}
_NOT_FLAGS = sum(_REFUSED_FLAGS.values())


def bytes_of(data: Any) -> memoryview:
    """A bytes-like object as a memoryview of bytes."""
    view = memoryview(data)
    if not view.c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")
    if view.format == "B" and view.ndim == 1:
        return view
    return view.cast("B") if view.nbytes else memoryview(b"")  # an empty view cannot be cast


def join_buffers(buffers: Iterable[Any], room: int | None = None) -> bytes:
    """Join the bytes of several buffers, as far as there is room; without room it is some of them.

    Bytes that fill the room alone are not copied. What cannot go now is not copied at each call either.
    """
    parts: list[bytes | memoryview] = []
    left = sys.maxsize if room is None else room
    for buffer in buffers:
        if type(buffer) is bytes:
            if buffer and (left > 0 or not parts):
                parts.append(memoryview(buffer)[:left] if parts else buffer)
            left -= len(buffer)
        else:
            with bytes_of(buffer) as view:
                if view and (left > 0 or not parts):
                    parts.append(bytes(view[:max(left, 1)]))
                left -= len(view)
    return b"".join(parts)


def check_flags(flags: int) -> None:
    """SolipsismError for a flag that would do something that is not simulated."""
    if flags & _NOT_FLAGS:
        names = [name for name, flag in _REFUSED_FLAGS.items() if flags & flag]
        raise SolipsismError(f"a send or recv with {', '.join(names)} is not simulated: this world has no urgent data "
                             "and no fast open; send the bytes without it")


def take_buffer(buffer: Any, call: str, nbytes: int | None) -> memoryview:
    """The writable bytes that a `*_into` call may fill: `nbytes` of the buffer, or all of it."""
    with memoryview(buffer) as whole:
        if whole.readonly or not whole.c_contiguous:
            raise TypeError(f"{call}() argument 1 must be read-write bytes-like object, not "
                            f"{buffer.__class__.__name__}")
        view = bytes_of(whole) if whole.nbytes else memoryview(bytearray())
        if nbytes is None:
            return view
        if nbytes < 0:
            raise ValueError(f"negative buffersize in {call}")
        if nbytes > len(view):
            raise ValueError("nbytes is greater than the length of the buffer" if call == "recvfrom_into" else
                             "buffer too small for requested bytes")
        return view[:nbytes or len(view)]


def socket_result(received: Received, size: int, flags: int) -> bytes:
    """The bytes of a recv. With MSG_TRUNC they are as long as the datagram, with zeros for what did not fit."""
    check_cut(received, size, flags)
    return received.data.ljust(received.length, b"\0") if flags & MSG_TRUNC else received.data


def check_cut(received: Received, size: int, flags: int) -> None:
    """Raise the ValueError of newer Pythons for a datagram that is cut under MSG_TRUNC; it is gone all the same."""
    if CUT_DATAGRAM is not None and flags & MSG_TRUNC and received.length > size:
        raise ValueError(CUT_DATAGRAM)


def check_ancillary_size(size: int, call: str) -> None:
    """As CPython's own check of a buffer for ancillary data."""
    if not 0 <= operator.index(size) < 2**31:
        raise ValueError(f"invalid ancillary data buffer length in {call}()")
