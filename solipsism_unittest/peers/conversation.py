"""How a script is played: against a stream or against the datagrams of one sender, and what a mismatch says.

Owns what has come and fits no step yet. A mismatch and a script that was not played to its end are AssertionErrors.
"""

from __future__ import annotations

import abc
import asyncio
from asyncio import sleep
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ..introspection.tasks import stating
from ..stdlib.worlds import World
from .script import Branches, End, Expect, ExpectEOF, ExpectRegex, Repeat, Script, Send, Step, Wait, steps_of

__unittest = True
__tracebackhide__ = True

LOOK = 2**16  # bytes that one read takes
SHOWN = 60  # bytes that a mismatch shows of what came

YES, MAYBE, NO = "yes", "maybe", "no"  # whether what has come is what a step expects


class Line(abc.ABC):
    """One side of a conversation: what has come and was not taken yet."""

    def __init__(self, world: World, is_gone: Callable[[], bool]) -> None:
        self.world = world
        self.is_gone = is_gone  # whether the host of this side has crashed since it began
        self.came: Any = bytearray()
        self.ended = False

    @abc.abstractmethod
    def fit(self, step: Step) -> str:
        """Whether what has come is what the step expects: YES, NO, or MAYBE when more has come."""

    @abc.abstractmethod
    def take(self, step: Step) -> None:
        """Take what the step expects from what has come."""

    @abc.abstractmethod
    async def more(self) -> None:
        """Wait until more has come, or the end."""

    @abc.abstractmethod
    async def settle(self) -> None:
        """Let come what comes at this instant."""

    @abc.abstractmethod
    async def send(self, data: bytes) -> None:
        """Send this."""

    @abc.abstractmethod
    def shown(self) -> bytes:
        """What has come and was not taken, for a message."""


class StreamLine(Line):
    """A conversation over a stream."""

    def __init__(self, world: World, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                 reset: Callable[[], None], is_gone: Callable[[], bool]) -> None:
        super().__init__(world, is_gone)
        self._reader = reader
        self._writer = writer
        self._reset = reset

    def fit(self, step: Step) -> str:
        match step:
            case Expect(data=data):
                if self.came.startswith(data):
                    return YES
                return MAYBE if data.startswith(self.came) and not self.ended else NO
            case ExpectRegex(pattern=pattern) if pattern.match(self.came):
                return YES
            case ExpectEOF() if self.came:
                return NO
            case ExpectEOF() if self.ended:
                return YES
        return NO if self.ended else MAYBE

    def take(self, step: Step) -> None:
        if isinstance(step, Expect):
            del self.came[:len(step.data)]
        elif isinstance(step, ExpectRegex):
            match = step.pattern.match(bytes(self.came))
            assert match is not None, step
            del self.came[:match.end()]

    async def more(self) -> None:
        data = await self._reader.read(LOOK)
        self.came += data
        self.ended = not data

    async def settle(self) -> None:
        await self.world.loop.settle()
        while self._reader._buffer:  # type: ignore[attr-defined]
            await self.more()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def end(self, how: str) -> None:
        """Do what an End step says."""
        if how == "reset":
            self._reset()
        elif how == "close":
            self._writer.close()
        else:
            self._writer.write_eof()

    def shown(self) -> bytes:
        return bytes(self.came)


class DatagramLine(Line):
    """A conversation by datagrams with one sender."""

    def __init__(self, world: World, send: Callable[[bytes], None], is_gone: Callable[[], bool]) -> None:
        super().__init__(world, is_gone)
        self.came = []
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._send = send

    def fit(self, step: Step) -> str:
        if not self.came:
            return MAYBE
        if isinstance(step, ExpectRegex):
            return YES if step.pattern.fullmatch(self.came[0]) else NO
        assert isinstance(step, Expect), step
        return YES if self.came[0] == step.data else NO

    def take(self, step: Step) -> None:
        del self.came[0]

    async def more(self) -> None:
        self.came.append(await self.queue.get())

    async def settle(self) -> None:
        """A datagram is whole when it comes."""

    async def send(self, data: bytes) -> None:
        self._send(data)

    def shown(self) -> bytes:
        return bytes(self.came[0]) if self.came else b""


class Conversation:
    """One script that is played to one peer; `who` names both."""

    def __init__(self, script: Script, line: Line, who: str) -> None:
        self.who = who
        self.finished = False
        self._cancelled = False
        self._steps = steps_of(script)
        self._line = line
        self._step: Step | None = None
        self._number = 0  # of the step of the script itself; those of branches have none

    async def play(self) -> None:
        """Play the script. What comes and does not fit is an AssertionError, what comes after the last step too."""
        for number, step in enumerate(self._steps, 1):
            self._number = number
            try:
                await self._play(step, step is self._steps[-1])
            except asyncio.CancelledError:
                self._cancelled = True
                raise
            except OSError as error:
                raise AssertionError(f"{self.who}: at t={self._now()!r} in {self._where()}: the connection broke, "
                                     f"{error}") from error
        self.finished = True
        line = self._line
        if isinstance(self._step, End) and self._step.how != "send_eof":
            return
        while not line.ended:
            if line.shown():
                raise AssertionError(f"{self.who}: at t={self._now()!r} {shown(line.shown())} came after the last step "
                                     "of the script")
            await line.more()
        assert isinstance(line, StreamLine), line  # datagrams have no end
        await line.end("close")

    def unfinished(self) -> str:
        """Where the script stands; "" when it was played to its end, or went down with its host."""
        if self.finished or self._line.is_gone():
            return ""
        waiting = self._line.shown()
        came = f", and {shown(waiting)} has come" if waiting else ""
        why = ("; it was cancelled there, as asyncio.run() does when its coroutine returns: let that wait for the end, "
               "with self.settle()") if self._cancelled else ""
        return f"{self.who} was not played to its end: it stands in {self._where()}{came}{why}"

    async def _play(self, step: Step, last: bool) -> None:
        self._step = step
        match step:
            case Send():
                await self._send(step)
            case Wait():
                await sleep(step.seconds)
            case End():
                assert isinstance(self._line, StreamLine), step  # see refuse_stream_steps()
                await self._line.end(step.how)
            case Branches():
                await self._branch(step)
            case Repeat():
                await self._repeat(step, last)
            case _:
                if await self._which([step]) is None:
                    self._mismatch([step])
                self._line.take(step)

    async def _send(self, step: Send) -> None:
        for start in range(0, len(step.data), step.chunk):
            if start:
                await sleep(step.every)
            await self._line.send(step.data[start:start + step.chunk])

    async def _branch(self, step: Branches) -> None:
        left = list(step.branches)
        while left:
            self._step = step
            which = await self._which([steps[0] for steps in left])
            if which is None:
                self._mismatch([steps[0] for steps in left])
            await self._play_all(left.pop(which))
            if not step.all:
                return

    async def _repeat(self, step: Repeat, last: bool) -> None:
        times = 0
        while step.times is None or times < step.times:
            self._step = step
            if step.times is None:
                self.finished = last  # as often as it comes: not once more is an end too
                if await self._which([step.steps[0]]) is None:
                    return
                self.finished = False
            await self._play_all(step.steps)
            times += 1

    async def _play_all(self, steps: Sequence[Step]) -> None:
        for step in steps:
            await self._play(step, False)

    async def _which(self, steps: Sequence[Step]) -> int | None:
        """Wait until what has come is what one of these steps expects, and say which; None where it can be none."""
        while True:
            fits = [self._line.fit(step) for step in steps]
            if YES in fits:
                return fits.index(YES)
            if MAYBE not in fits:
                return None
            await stating(lambda: f"{self.who}: {self._where()} waits for what comes", self._line.more())
            if any(isinstance(step, ExpectRegex) for step in steps):
                await self._line.settle()

    def _mismatch(self, steps: Sequence[Step]) -> NoReturn:
        line = self._line
        lines = [f"{self.who}: at t={self._now()!r} in {self._where()}"]
        came = line.shown()
        if line.ended:
            lines.append("  the stream has ended")
        for step in steps:
            if isinstance(step, Expect):
                lines += difference(step.data, came)
            else:
                lines += [f"  expected {step.words}", f"  received {shown(came)}"]
        raise AssertionError("\n".join(lines))

    def _where(self) -> str:
        return f"step {self._number} of {len(self._steps)}: {self._step}"

    def _now(self) -> float:
        return self._line.world.kernel.clock.now


class Scripts:
    """Which peer plays which script: every one the same, or each one its own of a list, in order of their coming."""

    def __init__(self, given: Script | Sequence[Script], what: str, *, streams: bool = True) -> None:
        self.each = isinstance(given, Script)
        if not isinstance(given, (Script, Sequence)):
            raise TypeError(f"script= takes a Script, or a list of them, not {given!r}")
        self._scripts = [given] if isinstance(given, Script) else list(given)
        self._what = what  # as in "connection": what plays a script
        self.played: list[Conversation] = []
        if not self._scripts:
            raise ValueError("script= takes a Script, or a list with one at least")
        for script in self._scripts:
            if not steps_of(script):
                raise ValueError("a script has one step at least, as in Script().expect(b\"PING\")")
            if not streams:
                refuse_stream_steps(steps_of(script))

    def begin(self, line: Line, where: str, peer: object) -> Conversation:
        """The conversation of the next peer; AssertionError for one more than there are scripts."""
        number = len(self.played)
        if not self.each and number == len(self._scripts):
            scripts = "is 1 script" if number == 1 else f"are {number} scripts"
            raise AssertionError(f"{self._what} {number + 1} came to {where} from {peer}, and there {scripts}")
        script = self._scripts[0 if self.each else number]
        conversation = Conversation(script, line, f"the script of {self._what} {number + 1} of {where}")
        self.played.append(conversation)
        return conversation

    def unfinished(self, where: str) -> list[str]:
        """What was not played to its end, each in a text."""
        texts = [text for text in (each.unfinished() for each in self.played) if text]
        missing = self._scripts[len(self.played):] if not self.each or not self.played else []
        first = len(self.played) + 1
        for number, script in enumerate(missing, first):
            texts.append(f"the script of {self._what} {number} of {where} was never begun: it waits for "
                         f"{steps_of(script)[0]}")
        return texts


def refuse_stream_steps(steps: Sequence[Step]) -> None:
    """ValueError for a step that datagrams cannot play."""
    for step in steps:
        inner = step.branches if isinstance(step, Branches) else [step.steps] if isinstance(step, Repeat) else []
        for each in inner:
            refuse_stream_steps(each)
        if step.on_streams_only or isinstance(step, Send) and step.chunk < len(step.data):
            raise ValueError(f"datagrams have no {step.words}: a datagram is whole, and UDP has no connection")


def shown(data: bytes) -> str:
    """Bytes for a message; "nothing" for none."""
    if not data:
        return "nothing"
    return repr(data) if len(data) <= SHOWN else f"{data[:SHOWN]!r}... ({len(data)} bytes)"


def difference(wanted: bytes, came: bytes) -> list[str]:
    """Two lines, one above the other, from a little before the first byte that differs, and a line that marks it."""
    pairs = enumerate(zip(wanted, came, strict=False))
    place = next((number for number, (one, other) in pairs if one != other), min(len(wanted), len(came)))
    start = max(0, place - SHOWN // 2)

    def window(data: bytes) -> str:
        return ("..." if start else "") + repr(data[start:start + SHOWN]) + ("..." if data[start + SHOWN:] else "")

    shift = len("..." if start else "") + len(repr(came[start:place])) - 1
    return [f"  expected {window(wanted)}", f"  received {window(came)}", f"{' ' * (11 + shift)}^ byte {place}"]
