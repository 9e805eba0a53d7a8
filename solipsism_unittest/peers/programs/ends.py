"""What a program has of its pipes: where it reads, and where it writes while no loop runs for it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any


class Straight(asyncio.WriteTransport):
    """Writes to a pipe with room for all."""

    def __init__(self, end: Any) -> None:
        super().__init__()
        self._end = end
        self._closing = False

    def write(self, data: Any) -> None:
        """Write it now; nobody hears it when nobody can read it."""
        with contextlib.suppress(BrokenPipeError), memoryview(data) as whole, whole.cast("B") as view:
            self._end.send(view)

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._closing

    def close(self) -> None:
        """Nothing is buffered."""
        self._closing = True


class Stdin(asyncio.StreamReader):
    """What a program reads: nothing is taken out of the pipe before it asks for the first time."""

    transport: Any = None

    def _begin(self) -> None:
        if self.transport is not None:
            self.transport.resume_reading()
            self.transport = None

    async def read(self, n: int = -1) -> bytes:
        """As StreamReader's."""
        self._begin()
        return await super().read(n)

    async def readexactly(self, n: int) -> bytes:
        """As StreamReader's."""
        self._begin()
        return await super().readexactly(n)

    async def readuntil(self, separator: Any = b"\n") -> bytes:
        """As StreamReader's; `readline()` comes to this."""
        self._begin()
        return await super().readuntil(separator)


class Reading(asyncio.StreamReaderProtocol):
    """Pauses at once."""

    def __init__(self, reader: Stdin) -> None:
        super().__init__(reader)
        self._stdin = reader

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.pause_reading()
        self._stdin.transport = transport
