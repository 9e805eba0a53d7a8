"""`run_program` where a loop runs: the program runs beside the test, and others, on whatever host.

Owns what the test has in hand meanwhile, and what it gets when the program has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

from ...introspection.names import plain
from ...introspection.places import user_place
from ...kernel import READABLE
from ...stdlib import waiting
from ...stdlib.processes.program import ProgramRun, path_of
from ...stdlib.worlds import World
from .child import Child
from .guest import Guest
from .streams import Memory, Streams
from .table import begin

__unittest = True
__tracebackhide__ = True


class _Running(ProgramRun):
    """One that runs."""

    def __init__(self, child: Child, heard: Mapping[int, bytearray]) -> None:
        super().__init__(child.argv, None, None, None)  # type: ignore[arg-type]
        self.pid = child.pid
        self._child = child
        self._heard = heard
        self._over = asyncio.Event()
        child.exited = self._note_end
        child.cure = ("await what self.run_program() gave, which is its end, or bring that about: "
                      ".send_signal(signal.SIGTERM)")

    def _note_end(self, code: int) -> None:
        self.returncode = code
        self.stdout, self.stderr = (bytes(heard) for heard in self._heard.values())
        self._over.set()

    def look(self, interests: waiting.Interests) -> ProgramRun:
        """An attempt of a blocking call: itself when it has ended."""
        if self.returncode is None:
            interests[:] = interests or [(self._child.announce_end(), READABLE)]
            raise BlockingIOError
        return self

    def send_signal(self, signum: int) -> None:
        self._child.popen.send_signal(signum)

    def __await__(self) -> Generator[Any, None, ProgramRun]:
        yield from self._over.wait().__await__()
        return self


def run_beside(world: World, main: Callable[[], Any], argv: Iterable[str], env: Mapping[str, str] | None, stdin: bytes,
               host: str) -> ProgramRun:
    """Start a program beside what runs; a thread waits for its end."""
    if not callable(main):
        raise TypeError(f"a program is a function without arguments, not {plain(main)}")
    words, place = [path_of(main), *argv], user_place(3)

    def start() -> _Running:
        heard = {1: bytearray(), 2: bytearray()}
        wanted = {0: Memory(bytes, stdin), **{number: Memory(into.extend) for number, into in heard.items()}}
        with world.kernel.network.host(host) if host != "localhost" else contextlib.nullcontext():
            child = begin(world, words, main, Streams(world, wanted, place), dict(os.environ if env is None else env),
                          None, place, Guest)
        return _Running(child, heard)

    if not waiting.is_elsewhere(world):
        return start()
    run = waiting.on_the_loop(world, start)
    interests: waiting.Interests = []
    return waiting.carry_out(world, lambda: run.look(interests), interests, None, "run_program")
