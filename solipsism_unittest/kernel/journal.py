"""What happened: the one list that reports, leaks and timelines read.

A record is `(time, kind, facts)`: the virtual instant, one word, and a tuple of plain numbers and strings. Only the
last 10,000 are kept, but the digest covers all of them: two runs are the same run when their digests are equal. Facts
hold no object, no address and no hash, so the digest is the same under any PYTHONHASHSEED.
"""

from __future__ import annotations

import itertools
import marshal
from _blake2 import blake2b  # module hashlib loads OpenSSL
from collections.abc import Iterator
from typing import Any, NamedTuple

from .clock import VirtualClock

KEPT = 10_000
FULL = KEPT + KEPT // 4
# The kinds that concern the program alone: `note()` writes them, `add()` all others.
NOTES = frozenset({"sleep", "timer", "advanced", "stuck", "choice"})
SIZED = frozenset({"send", "write", "lost", "drop"})  # of these the second fact, if there is one, is a number of bytes


def counted(number: int, noun: str, form: str = "") -> str:
    """A number of things in words: "1 byte", "2 bytes". `form` is how a number is written, as format() has it."""
    return f"{number:{form}} {noun}{'' if number == 1 else 's'}"


class Record(NamedTuple):
    """One thing that happened."""

    time: float
    kind: str
    facts: tuple[Any, ...]

    def __str__(self) -> str:
        facts = [counted(fact, "byte") if place == 1 and self.kind in SIZED else str(fact)
                 for place, fact in enumerate(self.facts)]
        return f"t={self.time!r} {self.kind} {' '.join(facts)}".rstrip()


class Journal:
    """An append-only list of records with a digest over everything ever added."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._hash: Any = None  # made for the first digest: many loops have none
        self._digested = 0  # number of the kept records that the hash has seen
        # (time, kind, fact, ...): one flat tuple each, because a test with many sleeps makes many records
        self.records: list[tuple[Any, ...]] = []
        self.enabled = True
        self.effects = 0  # number of records about the world outside the program; timers and jumps do not count

    def add(self, kind: str, *facts: Any) -> None:
        """Write down that `kind` happened to the world now."""
        self.effects += 1
        if self.enabled:
            self.records.append((self.clock.now, kind, *facts))
            if len(self.records) >= FULL:
                self.trim()

    def note(self, kind: str, facts: tuple[Any, ...]) -> None:
        """Write down what concerns the program alone: a timer, a jump."""
        if self.enabled:
            self.records.append((self.clock.now, kind, *facts))
            if len(self.records) >= FULL:
                self.trim()

    def trim(self) -> None:
        """Digest and drop all but the last that are kept: in bulk, because digesting costs most."""
        surplus = len(self.records) - KEPT
        self._digest(surplus)
        del self.records[:surplus]
        self._digested -= surplus

    def _digest(self, upto: int) -> str:
        self._hash = self._hash or blake2b(digest_size=16)
        if upto > self._digested:
            # Format 2 has no references between objects, so equal records give equal bytes. The list's own header
            # (a type and a length) is left out: the digest must not depend on where the bulk was cut.
            self._hash.update(marshal.dumps(self.records[self._digested:upto], 2)[5:])
            self._digested = upto
        return str(self._hash.hexdigest())

    @property
    def digest(self) -> str:
        """32 hexadecimal digits over every record since the start; reading it changes nothing."""
        return self._digest(len(self.records))

    def __iter__(self) -> Iterator[Record]:
        return iter([Record(record[0], record[1], record[2:]) for record in self.records[-KEPT:]])

    def __len__(self) -> int:
        return min(len(self.records), KEPT)

    def last(self, count: int) -> list[Record]:
        """The last `count` records, oldest first."""
        return [Record(record[0], record[1], record[2:]) for record in self.records[-count:]] if count > 0 else []

    def last_effects(self, count: int) -> list[Record]:
        """The last `count` records about the world, oldest first; notes are left out."""
        effects = (record for record in reversed(self.records[-KEPT:]) if record[1] not in NOTES)
        return [Record(record[0], record[1], record[2:]) for record in itertools.islice(effects, count)][::-1]

    def __repr__(self) -> str:
        return f"<Journal of {counted(len(self), 'record')}, t={self.clock.now!r}>"
