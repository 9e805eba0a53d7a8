"""What a program has of its pipes: where it reads, where it writes while no loop runs for it, and what it says at its
end.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from typing import Any

from ...introspection.exceptions import clean, parts
from ...stdlib.holdings import Holdings


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


async def end_left(loop: Any, holdings: Holdings, main: Any, name: str) -> None:
    """Cancel what a program has left running beside its main task, and wait for that."""
    left = loop.inventory.tasks_of(holdings, main)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.gather(*[agen.aclose() for agen in list(holdings.generators)], return_exceptions=True)
    for task in left:
        if not task.cancelled() and (error := task.exception()) is not None:
            loop.call_exception_handler({"message": f"unhandled exception at the end of {name}", "exception": error,
                                         "task": task})


def told(error: Exception) -> bytes:
    """What an interpreter says of an error."""
    for each in parts((error,)):
        clean(each)
    return "".join(traceback.format_exception(error)).encode()


def code_of(end: SystemExit, stderr: asyncio.StreamWriter) -> int:
    """The exit code of a program that calls sys.exit(), as Python's."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    stderr.write(f"{end.code}\n".encode())
    return 1
