"""The broker as a program: it serves until it is told to stop, and ends in good order.

An archive, which is a program of its own, gets a line for each time the service begins and ends.
"""

import asyncio
import contextlib
import signal
from collections.abc import Sequence

from .broker import Broker

PATIENCE = 5.0  # seconds that the archive has to end


async def serve(broker: Broker, archive: Sequence[str] = ()) -> int:
    """Serve until SIGTERM or SIGINT comes; return the exit code: that of the archive, if there is one."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    process = await asyncio.create_subprocess_exec(*archive, stdin=asyncio.subprocess.PIPE) if archive else None
    try:
        async with broker:
            await _note(process, f"serving on port {broker.port}")
            await stopping.wait()
            await _note(process, "stopping")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        if process is not None:
            await _end(process)
    return process.returncode or 0 if process is not None else 0


async def _note(process: asyncio.subprocess.Process | None, line: str) -> None:
    if process is not None and process.stdin is not None:
        process.stdin.write(f"{line}\n".encode())
        with contextlib.suppress(ConnectionError):  # it has ended: its exit code will say why
            await process.stdin.drain()


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    for end in (process.terminate, process.kill):
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                end()
    await process.wait()
