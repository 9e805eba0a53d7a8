"""What the three streams of a program lead to: pipes of its parent, files, sockets, or the test's own streams.

Owns the ends that a program has, and the pumps that carry bytes between them and what is no pipe of the parent's. A
program sees pipes in any case. What it has written to a file has arrived there before anybody hears of its end.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ...errors import NotSimulatedError
from ...kernel.descriptors.pipe import PipeEnd
from ...stdlib.files.descriptors import is_virtual
from ...stdlib.files.file_objects import open_descriptor
from ...stdlib.files.passed import own
from ...stdlib.holdings import hold
from ...stdlib.threads.background import background
from ...stdlib.waiting import loop_here
from ...stdlib.worlds import World

_PIECE = 2**16
_NAMES = ("stdin", "stdout", "stderr")


class Way(Protocol):
    """One end of what a pump carries: BlockingIOError from `read` and `write` means that `number` has to be waited for,
    or, where it is -1, that somebody will call.
    """

    number: int

    def read(self) -> bytes:
        """Some bytes; none at the end."""

    def write(self, data: memoryview) -> int:
        """How many of them went."""

    def close(self) -> None:
        """Be done with it."""


class Streams:
    """The streams of one program: `own` are its descriptors, and `numbers` all that there are, at both ends.

    Of `wanted` each is PIPE, DEVNULL, None (the test's own), Memory, a descriptor, what has one, or, 2, STDOUT. What
    the system would refuse is an OSError, and nothing has been made.
    """

    def __init__(self, world: World, wanted: Mapping[int, Any], place: object, pipe_size: int = -1) -> None:
        ways = self._ways(world, wanted)
        self._world = world
        self.own: dict[int, int] = {}
        self._ends: dict[int, PipeEnd] = {}
        self.numbers: list[int] = []
        self.unused: list[int] = []  # those of its own that nothing reads or writes yet
        self.files: dict[str, Any] = {}  # of the parent, by name
        self._pumps: dict[int, Pump] = {}
        for number, way in ways.items():
            reader, writer = world.kernel.pipe(place)
            self.numbers += [reader.number, writer.number]
            near, far = (reader, writer) if number == 0 else (writer, reader)
            self.own[number], self._ends[number] = near.number, near
            self.unused.append(near.number)
            if way is None:
                self.files[_NAMES[number]] = open_descriptor(world, far.number, "rb" if number else "wb", 0)
                hold(world.kernel, far.number)
                if pipe_size > 0:
                    self._resize(near, pipe_size)
                continue
            inner = Virtual(world, far.number)
            self._pumps[number] = Pump(world, inner, way) if number else Pump(world, way, inner)

    @staticmethod
    def _ways(world: World, wanted: Mapping[int, Any]) -> dict[int, Way | None]:
        """By stream what a pump leads to, None for the parent. A stream without any is empty, or the one of stdout."""
        ways: dict[int, Way | None] = {}
        try:
            for number, each in wanted.items():
                if each == subprocess.PIPE:
                    ways[number] = None
                elif isinstance(each, Memory):
                    ways[number] = each
                elif each is None or each == subprocess.DEVNULL:
                    if number:
                        ways[number] = Memory(_discard if each is not None else _printing(number))
                elif number != 2 or each != subprocess.STDOUT:
                    ways[number] = _way_to(world, each if isinstance(each, int) else each.fileno(), number)
        except BaseException:
            for way in filter(None, ways.values()):
                way.close()
            raise
        return ways

    def begin(self) -> None:
        """Let the pumps carry."""
        for pump in self._pumps.values():
            loop_here(self._world).call_soon(pump.go)

    def go(self) -> None:
        """Let them carry at once what they can."""
        for pump in self._pumps.values():
            pump.go()

    def take(self, number: int) -> int:
        """The program uses this descriptor from now on, and closes it."""
        self.unused.remove(number)
        return number

    def end(self) -> None:
        """Close what the program has not used."""
        for number in self.unused:
            self._world.kernel.release(number)
        self.unused.clear()

    def _resize(self, end: PipeEnd, size: int) -> None:
        try:
            end.resize(size)
        except OSError:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Close all there is: no program uses it."""
        for file in self.files.values():
            file.close()
        for pump in self._pumps.values():
            pump.close()
        self.end()

    def then(self, call: Callable[[], object]) -> None:
        """The program has ended: call this as soon as the pumps have carried all that it has written."""
        for number, pump in self._pumps.items():
            if number == 0:
                continue
            pump.go()
            if pump.is_stuck:
                pump.at_rest = lambda: self.then(call)
                return
            others = [each for each in self._ends[number].descriptors or () if each.number != self.own[number]]
            if not pump.over and not others:  # nobody else has it, as one that it has started would
                pump.end()
        call()


class Pump:
    """Carries all that comes from one end to another, as fast as both can."""

    def __init__(self, world: World, source: Way, target: Way) -> None:
        self._loop: Any = loop_here(world)
        self._source, self._target = source, target
        self._left = memoryview(b"")
        self._waits_for: tuple[Callable[[int], object], int] | None = None
        self.over = False
        self.at_rest: Callable[[], object] = _nothing  # is called when it is no longer stuck

    @property
    def is_stuck(self) -> bool:
        """Whether it has something that its target does not take yet."""
        return bool(self._left) and not self.over

    def go(self) -> None:
        """Carry what can be carried now, and go on when there is more."""
        if self.over:
            return
        self._stop_waiting()
        try:
            while self._left or self._read():
                self._left = self._left[self._target.write(self._left):]
        except BlockingIOError:
            self._wait()
        except OSError:  # nobody reads it any more, or there is nothing to read
            self.end()
        else:
            self.end()
        if not self.is_stuck and self.at_rest is not _nothing:
            call, self.at_rest = self.at_rest, _nothing
            call()

    def end(self) -> None:
        """It has carried all."""
        self._stop_waiting()
        self.over = True
        self.close()

    def close(self) -> None:
        """Let go of both ends."""
        self._source.close()
        self._target.close()

    def _read(self) -> bool:
        self._left = memoryview(self._source.read())
        return bool(self._left)

    def _wait(self) -> None:
        loop = self._loop
        begin, end, way = ((loop.add_writer, loop.remove_writer, self._target) if self._left
                           else (loop.add_reader, loop.remove_reader, self._source))
        if way.number == -1:
            return  # a thread will call
        with background():  # the program is what a test may leave, not this
            begin(way.number, self.go)
        self._waits_for = end, way.number

    def _stop_waiting(self) -> None:
        if self._waits_for is not None:
            end, number = self._waits_for
            self._waits_for = None
            end(number)


class Virtual:
    """A descriptor of the world."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self.number = number

    def read(self) -> bytes:
        """See Way."""
        file: Any = self._world.kernel.file(self.number)
        return bytes(file.recv(_PIECE))

    def write(self, data: memoryview) -> int:
        """See Way."""
        file: Any = self._world.kernel.file(self.number)
        return int(file.send(data))

    def close(self) -> None:
        """See Way."""
        with contextlib.suppress(OSError):  # the world has ended
            self._world.kernel.release(self.number)


class Real:
    """A real file, which never has to be waited for."""

    number = -1

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self) -> bytes:
        """See Way."""
        return os.read(self._descriptor, _PIECE)

    def write(self, data: memoryview) -> int:
        """See Way."""
        return os.write(self._descriptor, data)

    def close(self) -> None:
        """See Way."""
        os.close(self._descriptor)


class Memory:
    """Hands what comes to a function, or has some bytes to be read."""

    number = -1

    def __init__(self, take: Callable[[bytes], object], data: bytes = b"") -> None:
        self._take = take
        self._data = data

    def read(self) -> bytes:
        """See Way."""
        data, self._data = self._data, b""
        return data

    def write(self, data: memoryview) -> int:
        """See Way."""
        self._take(bytes(data))
        return len(data)

    def close(self) -> None:
        """Nothing is open."""


def _way_to(world: World, descriptor: int, number: int) -> Way:
    """Another descriptor of this file; EBADF where there is none."""
    if is_virtual(descriptor):
        return Virtual(world, world.kernel.duplicate(own(descriptor)))
    copy = os.dup(descriptor)
    kind = os.fstat(copy).st_mode
    if not stat.S_ISREG(kind) and not (stat.S_ISCHR(kind) and not os.isatty(copy)) and number == 0:
        os.close(copy)
        raise NotSimulatedError(f"a virtual program would wait for real input, of descriptor {descriptor}: give it "
                                "a file, or PIPE, and write to that yourself")
    return Real(copy)


def _nothing() -> None:
    """Nobody waits for a pump."""


def _discard(data: bytes) -> None:
    """To /dev/null."""


def _printing(number: int) -> Callable[[bytes], object]:
    """Print to the stream of this number that who starts a program has, whatever that is when something comes."""
    context = contextvars.copy_context()  # the program's own stdout is another one

    def write(data: bytes) -> None:
        (sys.stdout if number == 1 else sys.stderr).write(data.decode(errors="replace"))

    return lambda data: context.copy().run(write, data)
