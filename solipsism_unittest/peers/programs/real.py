"""`RealChild`: a real process, which a test has let out, as a child of asyncio's on the virtual loop.

Owns the threads that wait for it, outside of the world: one for each pipe, and one for its end. asyncio sees virtual
pipes. A real process has no virtual time, so time stands still while it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import NotSimulatedError
from ...introspection.places import Place, user_place
from ...stdlib.files.descriptors import is_virtual
from ...stdlib.processes.process import process_of
from ...stdlib.worlds import World, outside
from .child import Child
from .streams import Pump, Streams, Virtual

__unittest = True
__tracebackhide__ = True

PATIENCE = 0.05  # real seconds, from the end of a process to that of its output
_PIECE = 2**16


def start_real(world: World, command: Any, shell: bool, wanted: Mapping[int, Any], options: Mapping[str, Any]) -> Child:
    """Start a real process; what Popen raises is raised."""
    for each in wanted.values():
        if is_virtual(each.fileno() if hasattr(each, "fileno") else each):
            raise NotSimulatedError("a real process takes no virtual descriptor for a stream: use PIPE")
    passed = options.get("pass_fds")
    if isinstance(passed, list | tuple | set | frozenset) and any(map(is_virtual, passed)):
        raise NotSimulatedError("a real process takes no virtual descriptor by pass_fds=: add a program for that")
    with outside():
        real: Any = subprocess.Popen(command, shell=shell, stdin=wanted[0], stdout=wanted[1], stderr=wanted[2],
                                     bufsize=0, **options)
    child = RealChild(world, real, wanted, user_place(2))
    process_of(world).children[child.pid] = child
    child.begin()
    return child


class RealChild(Child):
    """One real process."""

    def __init__(self, world: World, real: Any, wanted: Mapping[int, Any], place: Place | None) -> None:
        pipes = {number: subprocess.PIPE if each == subprocess.PIPE else subprocess.DEVNULL
                 for number, each in wanted.items()}
        words = [real.args] if isinstance(real.args, str | bytes | os.PathLike) else list(real.args)
        super().__init__(world, real.pid, list(map(os.fsdecode, words)), _never, Streams(world, pipes, place), {}, None,
                         place)
        self._real = real
        self._over = asyncio.Event()
        self._open = 1  # its pipes, and itself
        self._hold = world.kernel.clock.hold(f"{self!r}, which is real", place)
        world.kernel.journal.note("real-process", (self.name,))

    async def _live(self) -> None:
        own, pipes = self._streams.own, (self._real.stdin, self._real.stdout, self._real.stderr)
        ends: list[_Outer] = []
        for number, pipe in enumerate(pipes):
            if pipe is not None:
                inner, kind = Virtual(self._world, self._streams.take(own[number])), _Reader if number else _Writer
                outer: Any = kind(self.loop, pipe, self._note_end)
                ends.append(outer)
                outer.pump = Pump(self._world, *((outer, inner) if number else (inner, outer)))
                self._open += 1
                _start_outside(outer.run)
                outer.pump.go()
        _start_outside(lambda: self._wait(ends))
        try:
            await self._over.wait()
        finally:
            if not self._over.is_set():  # it is left behind
                with outside():
                    self._real.kill()
            for end in ends:
                if isinstance(end, _Writer) and not end.pump.over:
                    end.pump.end()
            self._end(self._real.returncode if self._over.is_set() else -signal.SIGKILL)
            self._note_end()

    def _note_end(self) -> None:
        """One more of its pipes is at its end, or the process is."""
        self._open -= 1
        if not self._open:
            self._hold.release()

    def _wait(self, ends: list[_Outer]) -> None:
        self._real.wait()
        for end in ends:  # what it has written comes first, unless nobody reads, or another process holds the pipe
            if isinstance(end, _Reader):
                end.ended.wait(PATIENCE)
        _tell(self.loop, self._over.set)

    def _handle(self, signum: int) -> None:
        with outside():
            self._real.send_signal(signum)


async def _never(child: Child) -> None:
    """No coroutine of ours is the program."""


def _start_outside(run: Callable[[], None]) -> None:
    """A thread of the real world."""
    with outside():
        threading.Thread(target=run, daemon=True).start()


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(call)


class _Outer:
    """The end of a pump at which a thread reads or writes a real pipe: BlockingIOError until it has done that."""

    number = -1
    pump: Pump

    def __init__(self, loop: asyncio.AbstractEventLoop, pipe: Any, at_end: Callable[[], object]) -> None:
        self._loop = loop
        self._real_end = pipe
        self._at_end = at_end
        self._turn = threading.Semaphore(0)  # the thread may go on
        self._data: bytes | None = None
        self._is_over = False
        self.ended = threading.Event()

    def close(self) -> None:
        """The other side is gone."""
        self._is_over = True
        self._turn.release()
        self._at_end()


class _Reader(_Outer):
    """What comes from the process."""

    def run(self) -> None:
        """Read it, a piece at a time."""
        while not self._is_over:
            self._data = self._real_end.read(_PIECE)
            _tell(self._loop, self.pump.go)
            self._turn.acquire()
        self._real_end.close()
        self.ended.set()

    def read(self) -> bytes:
        """See Way."""
        data, self._data = self._data, None
        if data is None:
            raise BlockingIOError
        if data:
            self._turn.release()
        return data


class _Writer(_Outer):
    """What goes to the process."""

    def run(self) -> None:
        """Write it, a piece at a time."""
        self._turn.acquire()
        while self._data is not None:
            with contextlib.suppress(BrokenPipeError):  # it reads no more
                self._real_end.write(self._data)
            self._data = None
            _tell(self._loop, self.pump.go)
            self._turn.acquire()
        self._real_end.close()

    def write(self, data: memoryview) -> int:
        """See Way."""
        if self._data is not None:
            raise BlockingIOError
        self._data = bytes(data)
        self._turn.release()
        return len(data)
