"""`VirtualPopen`: what `subprocess.Popen` is where the test has added programs.

Owns the waiting of module `subprocess`, which is a blocking call of its thread: in virtual time, and on the loop, where
the program runs. In the thread of a loop that runs a program that waits for nothing is run on the spot; where no loop
runs the test's own does meanwhile. `run()`, `call()` and `check_output()` are Python's own on top of it.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
from collections.abc import Callable
from typing import Any, TypeVar

from ... import pythons
from ...introspection.modules import asks_about_the_machine, module_of
from ...introspection.places import user_place
from ...kernel import READABLE, WRITABLE
from ...stdlib import waiting, worlds
from ...stdlib.files.file_objects import PipeFile
from ...stdlib.processes import signals
from ...stdlib.seal.permits import is_let_out
from ...stdlib.worlds import World, world_here
from .child import Child
from .table import Asking, programs_of

__unittest = True
__tracebackhide__ = True

T = TypeVar("T")
_PIECE = 2**16


class VirtualPopen(Asking):
    """A program of the test, as module subprocess has started it."""

    text_mode: Any
    encoding: Any
    errors: Any

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        world = world_here()
        assert world is not None  # only a sealed thread makes one
        self._world = world
        self._talk: _Talk | None = None
        place = user_place(2)
        programs = programs_of(world)

        def start() -> Child:
            return programs.start(world, self.command, place)

        self._child = waiting.on_the_loop(world, start)
        if not waiting.is_elsewhere(world):
            self._child.make_room()
        self.pid = self._child.pid
        bufsize = options.get("bufsize", given[1] if len(given) > 1 else None)
        for name in ("stdin", "stdout", "stderr"):
            raw = getattr(self._child.popen, name)
            if raw is not None:
                raw.end.blocking = True
                setattr(self, name, self._file(raw, -1 if bufsize is None else bufsize))

    def _file(self, raw: Any, bufsize: int) -> Any:
        """The file over a pipe that Popen gives for these options."""
        file = raw = raw if raw.writable() or waiting.is_elsewhere(self._world) else _Output(self, self._world, raw)
        if bufsize == 1 and not self.text_mode:
            pythons.warn_of_line_buffering()
        if bufsize or self.text_mode:
            size = bufsize if bufsize > 1 else io.DEFAULT_BUFFER_SIZE
            file = io.BufferedWriter(raw, size) if raw.writable() else io.BufferedReader(raw, size)
        if self.text_mode:
            file = io.TextIOWrapper(file, self.encoding, self.errors, write_through=raw.writable(),
                                    line_buffering=raw.writable() and bufsize == 1)
        return file

    def poll(self) -> int | None:
        """As Popen's."""
        if self.returncode is None:
            self.returncode = self._child.popen.poll()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """As Popen's, in virtual time. In the thread of a loop that runs the program has to end without it."""
        interests: waiting.Interests = []
        self._carry_out(lambda: self.look(interests), interests, timeout, "Popen.wait")
        return self.returncode

    def look(self, interests: waiting.Interests) -> None:
        """An attempt of a blocking call: BlockingIOError until it has ended, which is then among the interests."""
        if self.poll() is None:
            if not interests:
                interests.append((self._child.announce_end(), READABLE))
            raise BlockingIOError

    def let_it_write(self, number: int) -> None:
        """Wait until there is something to read in this pipe, or its end."""
        end: Any = self._world.kernel.file(number)

        def look() -> None:
            if not end.poll() & READABLE:
                raise BlockingIOError

        self._carry_out(look, [(number, READABLE)], None, "Popen.stdout.read")

    def _carry_out(self, attempt: Callable[[], T], interests: waiting.Interests, timeout: float | None, call: str) -> T:
        who = repr(self._child)
        try:
            if waiting.is_elsewhere(self._world):
                return waiting.carry_out(self._world, attempt, interests, timeout, call)
            with contextlib.suppress(BlockingIOError):
                return attempt()
            if not self._child.run_here():
                raise BlockingIOError
            return attempt()
        except TimeoutError:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0) from None
        except BlockingIOError:
            raise waiting.refusal(self._world, call, who, "call it in asyncio.to_thread(), or use "
                                  "asyncio.create_subprocess_exec()") from None
        finally:
            self._child.put_back(interests)
            interests.clear()

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """As Popen's, in virtual time."""
        files = self.stdin, self.stdout, self.stderr
        alone = waiting.is_elsewhere(self._world) and timeout is None and self._talk is None
        if files.count(None) >= 2 and alone and self.stdin is None:
            # As Popen does it: what a file has read ahead counts.
            said = [file and file.read() for file in files[1:]]
            for file in filter(None, files):
                file.close()
            self.wait()
            return said[0], said[1]
        if self._talk is not None and input:
            raise ValueError("Cannot send input after starting communication")
        if self._talk is None:
            if self.text_mode and input is not None:
                input = input.encode(self.encoding, self.errors or "strict")
            if self.stdin is not None and not self.stdin.closed:
                self.stdin.flush()
            self._talk = _Talk(self, input or b"")
        talk = self._talk
        try:
            self._carry_out(talk.go_on, talk.interests, timeout, "Popen.communicate")
        except subprocess.TimeoutExpired as error:
            error.output, error.stderr = (b"".join(parts) or None for parts in talk.heard)
            raise
        return self._said(self.stdout, talk.heard[0]), self._said(self.stderr, talk.heard[1])

    def _said(self, file: Any, parts: list[bytes]) -> Any:
        if file is None:
            return None
        file.close()
        data = b"".join(parts)
        if not self.text_mode:
            return data
        return data.decode(self.encoding, self.errors or "strict").replace("\r\n", "\n").replace("\r", "\n")

    def send_signal(self, sig: int) -> None:
        """As Popen's."""
        if self.poll() is None:
            signals.kill(self._world, self.pid, sig)


class _Output(PipeFile):
    """A pipe that is read where nobody else could write to it meanwhile: the program runs for that."""

    def __init__(self, popen: VirtualPopen, world: World, raw: PipeFile) -> None:
        super().__init__(world, raw.fileno(), "rb")
        self._popen = popen
        raw.closefd = False
        raw.close()

    def readinto(self, buffer: Any, /) -> int | None:
        """As PipeFile's."""
        self._popen.let_it_write(self.fileno())
        return super().readinto(buffer)


class _Talk:
    """All that goes to a program and comes from it, and its end; `interests` are what it waits for at the moment."""

    def __init__(self, popen: VirtualPopen, data: bytes) -> None:
        self._popen = popen
        self._data = memoryview(data)
        self.heard: tuple[list[bytes], list[bytes]] = [], []
        self._files = {index: file for index, file in enumerate((popen.stdin, popen.stdout, popen.stderr))
                       if file is not None and not file.closed}
        self.interests: waiting.Interests = []

    def go_on(self) -> None:
        """An attempt of a blocking call: BlockingIOError until the program has ended, and its pipes too."""
        if self._files:
            self.interests.clear()
            if 0 in self._files:
                self._write()
            for index in [index for index in self._files if index]:
                self._read(index)
            if self._files:
                raise BlockingIOError
        self._popen.look(self.interests)

    def _write(self) -> None:
        end: Any = self._popen._world.kernel.file(self._files[0].fileno())
        try:
            while self._data:
                self._data = self._data[end.send(self._data):]
        except BlockingIOError:
            self.interests.append((end.number, WRITABLE))
            return
        except BrokenPipeError:
            pass  # the program reads no more
        self._files.pop(0).close()

    def _read(self, index: int) -> None:
        end: Any = self._popen._world.kernel.file(self._files[index].fileno())
        try:
            while data := end.recv(_PIECE):
                self.heard[index - 1].append(data)
        except BlockingIOError:
            self.interests.append((end.number, READABLE))
        else:
            del self._files[index]


def _popen_here(frame: Any) -> type | None:
    """The class for a Popen that this frame makes; None where it is a real one, or an escape."""
    while module_of(frame) == "subprocess":
        frame = frame.f_back
    world = world_here()
    if world is None or not world.guarded or world.loop is None or world.loop.is_closed():
        return None
    return VirtualPopen if programs_of(world) and not is_let_out("subprocess") and not asks_about_the_machine(frame) \
        else None


worlds.use_popen(_popen_here)
