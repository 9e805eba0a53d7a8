"""What happened: the one list that reports, leaks and timelines read.

A record is `(time, kind, facts)`: the virtual instant, one word, and a tuple of plain numbers and strings. Only the last
10,000 are kept, but the digest covers all of them: two runs are the same run when their digests are equal. Facts hold no
object, no address and no hash, so the digest is the same under any PYTHONHASHSEED.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from .clock import VirtualClock

KEPT = 10_000


class Record(NamedTuple):
    """One thing that happened."""

    time: float
    kind: str
    facts: tuple[Any, ...]

    def __str__(self) -> str:
        return f"t={self.time!r} {self.kind} {' '.join(map(str, self.facts))}".rstrip()


class Journal:
    """An append-only list of records with a digest over everything ever added."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._hash = hashlib.blake2b(digest_size=16)
        self._digested = 0  # how many of the kept records the hash has seen
        self._records: list[tuple[float, str, tuple[Any, ...]]] = []
        self.enabled = True
        self.effects = 0  # how much happened to the world outside the program; timers and jumps do not count

    def add(self, kind: str, *facts: Any) -> None:
        """Write down that `kind` happened to the world now."""
        self.effects += 1
        self.note(kind, *facts)

    def note(self, kind: str, *facts: Any) -> None:
        """Write down what concerns the program alone: a timer, a jump."""
        if self.enabled:
            records = self._records
            records.append((self._clock.now, kind, facts))
            if len(records) >= 2 * KEPT:
                # Digesting is the dear part: it is done in bulk, and never for a test that nobody compares.
                self._digest(KEPT)
                del records[:KEPT]
                self._digested -= KEPT

    def _digest(self, upto: int) -> None:
        for record in self._records[self._digested:upto]:
            self._hash.update(repr(record).encode())
        self._digested = max(self._digested, upto)

    @property
    def digest(self) -> str:
        """32 hexadecimal digits over every record since the start; reading it changes nothing."""
        self._digest(len(self._records))
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[Record]:
        return iter([Record(*record) for record in self._records[-KEPT:]])

    def __len__(self) -> int:
        return min(len(self._records), KEPT)

    def last(self, count: int) -> list[Record]:
        """The last `count` records, oldest first."""
        return [Record(*record) for record in self._records[-count:]] if count > 0 else []

    def __repr__(self) -> str:
        return f"<Journal of {len(self)} records, t={self._clock.now!r}>"
