"""Plays sequences on both sides, compares them line by line, and makes what differs small.

A difference counts only when it is still there with patience, that is with a pause after each line in which Linux may
deliver what is on its way; otherwise it was a matter of when, not of what.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
import types
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.fuzz.calls import Drawing
from tests.fuzz.rules import Moment, accepted
from tests.fuzz.sides import RealSide, Side, VirtualSide

CALLS = 30


class Difference(NamedTuple):
    """Where the two sides part."""

    kind: str
    seed: int
    index: int
    new: str
    lines: list[str]
    """The one that differs is the last."""
    real: Any
    virtual: Any

    def __str__(self) -> str:
        number = len(self.lines)
        return (f"# kind {self.kind}, seed {self.seed}, sequence {self.index}: they differ in line {number}\n"
                f"import tempfile\nfrom tests.fuzz.calls import PREAMBLE\nexec(PREAMBLE)\n"
                f"where, name = tempfile.mkdtemp(), 'by-hand'\n{self.new}"
                + "".join(f"{line}\n" for line in self.lines)
                + f"# Linux:   {self.real!r}\n# virtual: {self.virtual!r}\n")

    def same_as(self, other: Difference | None) -> bool:
        """Whether another sequence shows this same difference."""
        return other is not None and (other.lines[-1], other.real, other.virtual) == (
            self.lines[-1], self.real, self.virtual)


class Tally:
    """How often what happened."""

    def __init__(self) -> None:
        self.sequences = 0
        self.calls = 0
        self.rules: Counter[str] = Counter()
        self.late = 0
        self.answers: Counter[str] = Counter()

    def __str__(self) -> str:
        rules = ", ".join(f"{name} {count}" for name, count in sorted(self.rules.items())) or "none"
        return (f"{self.sequences} sequences, {self.calls} calls; accepted differences: {rules}; "
                f"{self.late} sequences played again with patience")


@functools.lru_cache(maxsize=4096)
def _compiled(line: str) -> types.CodeType:
    return compile(line, "<sequence>", "exec")


@contextlib.contextmanager
def _sides(new: str) -> Iterator[tuple[Side, Side]]:
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder, contextlib.ExitStack() as stack, \
            warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sides: tuple[Side, Side] = RealSide(f"{folder}/r", new), VirtualSide(f"{folder}/v", new)
        for side in sides:
            stack.callback(side.close)
        yield sides


class Judge:
    """Plays the sequences of one kind and one seed."""

    def __init__(self, kind: str, seed: int, without: frozenset[str] = frozenset()) -> None:
        self.kind = kind
        self.seed = seed
        self.without = without
        self.tally = Tally()

    def play(self, index: int) -> Difference | None:
        """Draw sequence number `index` and play it; the difference that no rule explains, made small."""
        drawing = Drawing(self.kind, self.seed, index, self.without)
        new = drawing.new()
        lines = drawing.beginning()
        first = len(lines)
        self.tally.sequences += 1
        with _sides(new) as (real, virtual):
            difference, ended = None, False
            for number in range(first + CALLS):
                if number >= first:
                    lines.append(drawing.line(virtual.sockets(), virtual.files()))
                self.tally.calls += 1
                difference, ended = self._step(index, new, lines[:number + 1], real, virtual, patiently=False)
                if difference or ended:
                    break
        if difference is None:
            return None
        again = self.replay(index, new, difference.lines)
        if again is None:
            self.tally.late += 1
            return None
        return self._shrink(again)

    def replay(self, index: int, new: str, lines: list[str]) -> Difference | None:
        """Play given lines with patience."""
        with _sides(new) as (real, virtual):
            for number in range(len(lines)):
                difference, ended = self._step(index, new, lines[:number + 1], real, virtual, patiently=True)
                if difference or ended:
                    return difference
        return None

    def _step(self, index: int, new: str, lines: list[str], real: Side, virtual: Side, *,
              patiently: bool) -> tuple[Difference | None, bool]:
        code = _compiled(lines[-1])
        answers = []
        for side in (real, virtual):
            answers.append(side.run(code))
            side.settle(patiently=patiently)
        self.tally.answers[str(answers[0])[:40]] += 1
        if answers[0] == answers[1] and type(answers[0]) is type(answers[1]):
            return None, False
        rule = accepted(Moment(self.kind, lines, *answers))
        if rule is None:
            return Difference(self.kind, self.seed, index, new, lines, *answers), False
        self.tally.rules[rule.name] += 1
        return None, rule.ends_the_sequence

    def _shrink(self, found: Difference) -> Difference:
        """Leave out lines as long as the last one still differs in the same way."""
        size = len(found.lines) // 2
        while size:
            position = 0
            while position < len(found.lines) - 1:
                shorter = found.lines[:position] + found.lines[min(position + size, len(found.lines) - 1):]
                smaller = self.replay(found.index, found.new, shorter)
                if found.same_as(smaller):
                    assert smaller is not None
                    found = smaller
                else:
                    position += size
            size //= 2
        return found
