"""`Script`: what a peer expects and says, step by step, on a stream or with datagrams.

Owns the steps and where each was written, and the lines of a recorded exchange: `Recording` writes them. How the steps
are played, and what a mismatch says, stands in conversation.py.
"""

from __future__ import annotations

import ast
import math
import os
import re
from collections.abc import Callable, Iterator
from typing import Self

from ..introspection.places import Place, user_place

__unittest = True
__tracebackhide__ = True

Data = bytes | bytearray | memoryview


class Step:
    """One step of a script; `words` is how it was written, as in `expect(b"PING")`."""

    __slots__ = ("words", "place")
    on_streams_only = False

    def __init__(self, words: str) -> None:
        self.words = words
        self.place: Place | None = user_place(3)

    def __str__(self) -> str:
        return f"{self.words} at {self.place}"


class Expect(Step):
    """These bytes come next; of datagrams, one of exactly these bytes."""

    __slots__ = ("data",)

    def __init__(self, data: Data) -> None:
        self.data = _bytes(data, "expect")
        super().__init__(f"expect({shortened(self.data)})")


class ExpectRegex(Step):
    """Bytes that a pattern matches come next; of datagrams, one that it matches as a whole."""

    __slots__ = ("pattern",)

    def __init__(self, pattern: bytes | re.Pattern[bytes]) -> None:
        try:
            self.pattern = re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ValueError(f"expect_regex() takes a pattern of bytes, not {pattern!r}: {error}") from error
        if not isinstance(self.pattern.pattern, bytes):
            raise TypeError(f"expect_regex() takes a pattern of bytes, as in rb\"...\", not {pattern!r}")
        if self.pattern.match(b""):
            raise ValueError(f"expect_regex({self.pattern.pattern!r}) matches nothing too: let it need a byte")
        super().__init__(f"expect_regex({self.pattern.pattern!r})")


class ExpectEOF(Step):
    """The stream ends, with no byte before that."""

    __slots__ = ()
    on_streams_only = True

    def __init__(self) -> None:
        super().__init__("expect_eof()")


Expectation = Expect | ExpectRegex | ExpectEOF


class Send(Step):
    """Say something: all at once, or `chunk` bytes every so many seconds."""

    __slots__ = ("data", "chunk", "every")

    def __init__(self, data: Data, chunk: int = 0, every: float = 0.0) -> None:
        self.data = _bytes(data, "send")
        self.chunk = chunk or len(self.data)
        self.every = every
        slowly = f"send_slowly({shortened(self.data)}, chunk={chunk}, every={every!r})"
        super().__init__(slowly if chunk else f"send({shortened(self.data)})")


class Wait(Step):
    """Let virtual time pass."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = _seconds(seconds, "wait")
        super().__init__(f"wait({seconds!r})")


class End(Step):
    """Do something with the connection itself: send_eof, close or reset."""

    __slots__ = ("how",)
    on_streams_only = True

    def __init__(self, how: str) -> None:
        self.how = how
        super().__init__(f"{how}()")


class Branches(Step):
    """The branch whose first expectation fits what comes is played: one of them, or in any order all."""

    __slots__ = ("branches", "all")

    def __init__(self, name: str, branches: tuple[Script, ...], every_one: bool) -> None:
        if len(branches) < 2:
            raise ValueError(f"{name}() takes two scripts at least")
        self.branches = [_branch(branch, name) for branch in branches]
        self.all = every_one
        super().__init__(f"{name}({', '.join(steps[0].words for steps in self.branches)})")


class Repeat(Step):
    """Play a script several times; without a number as often as its first expectation fits what comes."""

    __slots__ = ("steps", "times")

    def __init__(self, script: Script, times: int | None) -> None:
        if times is not None and (not isinstance(times, int) or times < 1):
            raise ValueError(f"repeat() takes a number of times from 1 up, or None, not {times!r}")
        self.times = times
        self.steps = _branch(script, "repeat")
        super().__init__(f"repeat({self.steps[0].words}{', ...' if len(self.steps) > 1 else ''}"
                         f"{'' if times is None else f', times={times}'})")


class Script:
    """What a scripted peer expects and says, one step after the other. Each method adds a step and returns the script.

    `start_fake_server(script=...)` plays it on each connection. What comes and does not fit fails the test with the
    step, both texts and the virtual time; so does a script that was not played to its end.
    """

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def expect(self, data: Data) -> Self:
        """`data` comes next: exactly these bytes, in one piece or in many."""
        return self._add(Expect(data))

    def expect_regex(self, pattern: bytes | re.Pattern[bytes]) -> Self:
        """Bytes that the pattern matches come next: as many of what has come at one instant as it takes."""
        return self._add(ExpectRegex(pattern))

    def expect_eof(self) -> Self:
        """The peer ends its side of the connection, with no byte before that."""
        return self._add(ExpectEOF())

    def send(self, data: Data) -> Self:
        """Send `data`, and wait until the peer has room for it."""
        return self._add(Send(data))

    def send_slowly(self, data: Data, *, chunk: int = 1, every: float) -> Self:
        """Send `data` in pieces of `chunk` bytes, one every `every` seconds, the first at once."""
        if not isinstance(chunk, int) or chunk < 1:
            raise ValueError(f"send_slowly() takes a chunk of 1 byte at least, not {chunk!r}")
        return self._add(Send(data, chunk, _seconds(every, "send_slowly")))

    def wait(self, seconds: float) -> Self:
        """Let `seconds` of virtual time pass before the next step."""
        return self._add(Wait(seconds))

    def send_eof(self) -> Self:
        """End this side of the connection; the peer may still send."""
        return self._add(End("send_eof"))

    def close(self) -> Self:
        """Close the connection after what was sent has gone out."""
        return self._add(End("close"))

    def reset(self) -> Self:
        """Reset the connection: the peer gets ConnectionResetError."""
        return self._add(End("reset"))

    def any_order(self, *branches: Script) -> Self:
        """Play all of these scripts, each when what its first step expects comes."""
        return self._add(Branches("any_order", branches, True))

    def either(self, *branches: Script) -> Self:
        """Play one of these scripts: the first whose first step expects what comes."""
        return self._add(Branches("either", branches, False))

    def repeat(self, script: Script, times: int | None = None) -> Self:
        """Play a script so many times; with None as long as what comes is what its first step expects."""
        return self._add(Repeat(script, times))

    def then(self, script: Script) -> Self:
        """Add all steps of another script."""
        return self._add(*steps_of(script))

    @classmethod
    def recorded(cls, path: str | os.PathLike[str]) -> Self:
        """The server's side of a recorded exchange: a text file with a line for each message.

        A line is a direction, a time in seconds, and bytes as Python writes them: `> 0.0 b"PING\\r\\n"` came from the
        client, `< 0.25 b"PONG\\r\\n"` went to it. In place of the bytes `eof` stands for the end of that side, and
        `reset` for a reset by the server. What the server sent is sent as long after the line before it as it was
        then. Empty lines and lines that begin with `#` say nothing. A line that is none of this is a ValueError.
        """
        script = cls()
        before = 0.0
        for number, line in _lines(path):
            try:
                before = _replay(script, line, before)
            except (ValueError, SyntaxError, TypeError) as error:
                raise ValueError(f"line {number} of {os.fspath(path)} is no message of a recorded exchange: {line!r} "
                                 f"({error}); one is as in  > 0.25 b\"PING\"  or  < 1.5 eof") from error
        if not script._steps:
            raise ValueError(f"{os.fspath(path)} records no message")
        return script

    def _add(self, *steps: Step) -> Self:
        for step in steps:
            last = self._steps[-1] if self._steps else None
            if isinstance(last, End) and (last.how != "send_eof" or isinstance(step, Send)):
                raise ValueError(f"{step.words} can never come after {last.words}: that was the end")
            self._steps.append(step)
        return self

    def __repr__(self) -> str:
        return "Script()" + "".join(f".{step.words}" for step in self._steps)


def steps_of(script: Script) -> list[Step]:
    """The steps of a script, as they are now; TypeError for what is none."""
    if not isinstance(script, Script):
        raise TypeError(f"a script is a Script, not {script!r}")
    return list(script._steps)


def shortened(data: bytes) -> str:
    """Bytes as a step's words show them: all of a few, the beginning of many."""
    return repr(data) if len(data) <= 40 else f"{data[:30]!r}...{len(data)} bytes"


def _bytes(data: Data, name: str) -> bytes:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"{name}() takes bytes, not {data!r}")
    if not len(data):
        raise ValueError(f"{name}() takes one byte at least")
    return bytes(data)


def _seconds(seconds: float, name: str) -> float:
    if not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise ValueError(f"{name}() takes a number of seconds from 0 up, not {seconds!r}")
    return seconds


def _branch(script: Script, name: str) -> list[Step]:
    steps = steps_of(script)
    if not steps or not isinstance(steps[0], Expectation):
        raise ValueError(f"{name}() takes scripts whose first step expects something, not {script!r}")
    return steps


class Recording:
    """Writes an exchange as `Script.recorded(path)` reads it. `clock()` gives the time; the file begins anew."""

    def __init__(self, path: str | os.PathLike[str], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start = clock()
        self._path = os.path.abspath(os.fspath(path))
        self._is_over = False  # with a reset: what either side said into it nobody heard
        with open(self._path, "w", encoding="utf-8"):
            pass

    def note(self, direction: str, message: bytes | str) -> None:
        """Add a line: bytes, or "eof" or "reset", from the client (>) or to it (<)."""
        if self._is_over:
            return
        self._is_over = message == "reset"
        shown = message if isinstance(message, str) else repr(message)
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(f"{direction} {self._clock() - self._start!r} {shown}\n")


def _lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    # A number would be a descriptor, and be closed. Bytes that are no UTF-8 are in no line of a message.
    with open(os.fspath(path), encoding="utf-8", errors="backslashreplace") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not line.startswith("#"):
                yield number, line.strip()


def _replay(script: Script, line: str, before: float) -> float:
    """Add the steps for a line of a recorded exchange, and give its time."""
    direction, moment, message = line.split(None, 2)
    when = float(moment)
    if direction not in ("<", ">"):
        raise ValueError("a direction is > or <")
    if not before <= when < math.inf:
        raise ValueError(f"its time is no number of seconds from {before!r} up")
    if direction == "<" and when > before:
        script.wait(when - before)
    if message == "eof":
        script.send_eof() if direction == "<" else script.expect_eof()
    elif message == "reset" and direction == "<":
        script.reset()
    else:
        data = ast.literal_eval(message)
        script.send(data) if direction == "<" else script.expect(data)
    return when
