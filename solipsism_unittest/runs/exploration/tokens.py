"""A run as a short text, `s1-...`: which choices differ, and what tells whether another run goes the same way.

It holds the minor version of Python, the name of the test as 16 bits, the seed of the test, and the choices, each with
16 bits over what it met. At its end stand 32 bits over all that happened. So a token is good on every machine, and a
run that goes another way, because the code has changed, is told from one that passes.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from ...errors import SolipsismError
from ...kernel.choices.explorer import Deviation
from ...kernel.choices.kinds import NAMES
from ...pythons import MINOR
from .shrinking import Values

__unittest = True
__tracebackhide__ = True

PREFIX = "s1-"


class Step(NamedTuple):
    """One choice of a token."""

    kind: int
    number: int
    value: int
    check: int


class Token(NamedTuple):
    """A run that can be repeated."""

    minor: int  # of Python's version
    test: int
    seed: int
    steps: tuple[Step, ...]  # in the order in which they were made
    end: int

    @property
    def values(self) -> Values:
        """The choices that differ, by kind and number."""
        return {(step.kind, step.number): step.value for step in self.steps}

    def __str__(self) -> str:
        body = bytearray([self.minor, *self.test.to_bytes(2, "big")])
        body += _number(_zigzag(self.seed)) + _number(len(self.steps))
        last = [0] * len(NAMES)
        for step in self.steps:
            body += _number(_zigzag(step.number - last[step.kind]) * 16 + step.kind) + _number(step.value)
            body += step.check.to_bytes(2, "big")
            last[step.kind] = step.number
        body += self.end.to_bytes(4, "big")
        return PREFIX + base64.urlsafe_b64encode(bytes(body)).decode().rstrip("=")

    def parted(self, made: Iterable[Deviation], end: int) -> str:
        """Where a run with these choices left the way of this one, in words; "" where it did not."""
        known = {deviation.place: deviation for deviation in made}
        for count, step in enumerate(self.steps, 1):
            deviation = known.get((step.kind, step.number))
            if deviation is None:
                return f"choice {count} of {len(self.steps)} ({NAMES[step.kind]} {step.number}) was not met again"
            if deviation.check != step.check:
                return f"choice {count} of {len(self.steps)} ({NAMES[step.kind]} {step.number}) was met at another " \
                       "time, or after something else had happened"
        return "something else happened after its last choice" if end != self.end else ""


def token_of(name: str, seed: int, made: Iterable[Deviation], end: int) -> Token:
    """The token of a run of the test of this name."""
    steps = tuple(Step(each.kind, each.number, each.value, each.check) for each in made)
    return Token(MINOR, name_bits(name), seed, steps, end)


def name_bits(name: str) -> int:
    """16 bits for the name of a test."""
    return zlib.crc32(name.encode()) & 0xFFFF


def read_token(text: str) -> Token:
    """The token that a text says. SolipsismError where it says none."""
    try:
        if not text.startswith(PREFIX):
            raise ValueError
        body = text.removeprefix(PREFIX)
        reader = _Reader(base64.b64decode(body + "=" * (-len(body) % 4), b"-_", validate=True))
        minor, test, seed = reader.fixed(1), reader.fixed(2), _unzigzag(reader.number())
        last = [0] * len(NAMES)
        steps = []
        for _ in range(reader.number()):
            gap, kind = divmod(reader.number(), 16)
            last[kind] += _unzigzag(gap)
            steps.append(Step(kind, last[kind], reader.number(), reader.fixed(2)))
        token = Token(minor, test, seed, tuple(steps), reader.fixed(4))
        if reader.left:
            raise ValueError
        return token
    except (ValueError, IndexError, binascii.Error):
        raise SolipsismError(f"{text!r} is no token of a run: take all of what a failed test has named, "
                             f"{PREFIX}...") from None


def _zigzag(number: int) -> int:
    return number * 2 if number >= 0 else -number * 2 - 1


def _unzigzag(number: int) -> int:
    return -(number + 1) // 2 if number & 1 else number // 2


def _number(number: int) -> bytes:
    """A number from 0 up, seven bits in a byte, the lowest first."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.left = data

    def fixed(self, size: int) -> int:
        if len(self.left) < size:
            raise IndexError
        part, self.left = self.left[:size], self.left[size:]
        return int.from_bytes(part, "big")

    def number(self) -> int:
        found, shift = 0, 0
        while True:
            byte = self.fixed(1)
            found |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return found
