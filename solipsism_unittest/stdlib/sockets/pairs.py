"""Sockets and streams that are joined in memory, and how what is left of a stream is ended."""

from __future__ import annotations

import asyncio
from typing import Any

from ...errors import SolipsismError
from ...kernel import Capacity, Kernel
from ..worlds import World
from .virtual_socket import VirtualSocket, running_world


def socketpair(capacity: Capacity = None) -> tuple[VirtualSocket, VirtualSocket]:
    """Two non-blocking sockets joined in memory.

    `capacity` is how many bytes a direction holds before a send would block, exactly; a pair of numbers sets what the
    first and what the second may have under way. A pair made outside any loop joins the loop that it is first used
    with.
    """
    return VirtualSocket.pair(running_world() or World(Kernel(), loose=True), capacity)


StreamPair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def stream_pairs(capacity: Capacity = None) -> tuple[StreamPair, StreamPair]:
    """Two asyncio stream pairs over `socketpair(capacity)`: ((reader1, writer1), (reader2, writer2))."""
    if running_world() is None:
        raise SolipsismError(f"stream_pairs() needs the virtual world, and {asyncio.get_running_loop()!r} has none: "
                             "run it on a SolipsistEventLoop")
    faces = socketpair(capacity)
    pairs: list[StreamPair] = []
    try:
        for face in faces:
            pairs.append(await asyncio.open_connection(sock=face))
    except BaseException:  # cancelled half-way
        for _, writer in pairs:
            abort(writer.transport)
        for face in faces:
            face.close()
        raise
    return pairs[0], pairs[1]


def abort(transport: Any) -> None:
    """Break a transport off, whatever state it is in; one that is over already stays as it is.

    close() with a full buffer ends a transport when the buffer has gone, and asyncio's abort() raises an AttributeError
    then: only a close() or abort() that ends it at once leaves a mark that abort() looks for (`_force_close()`).
    """
    if getattr(transport, "_loop", transport) is not None:  # what a foreign loop made has no such name
        transport.abort()
