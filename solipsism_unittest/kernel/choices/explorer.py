"""`Explorer`: makes the choices of one run, and keeps those that differ from the plain ones.

Owns what it has put into the run: the time that passed in stalls, and what is on its way for longer than it would be.
Does not own where a choice is made (the loop, the wire, a stream), nor which ones differ (plans.py). Nothing is ever
permuted that asyncio or a stream keeps in order.

The rule that keeps a test's own clock exact: while an `advance()` or a `settle()` is under way, the test moves time and
the machine does not stall. What is on its way arrives at the end of that, and at the end of the test.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from ..clock import Action, VirtualClock
from .kinds import LENGTHS, NAMES, OF_TIME, until
from .plans import NEVER, Fixed, Plan

LONGEST = 1.0  # seconds of one stall or delay
MOST_INSTANTS = 10_000  # at which it is known how many choices there had been


class Record(Protocol):
    """What is asked of the journal."""

    effects: int

    @property
    def digest(self) -> str:
        """What is equal for two runs in which the same happened: hexadecimal digits."""

    def note(self, kind: str, facts: tuple[Any, ...]) -> None:
        """Write down what happened."""


class Deviation(NamedTuple):
    """A choice that was not the plain one."""

    kind: int
    number: int  # among the choices of its kind
    value: int
    possible: int
    check: int  # what tells whether another run has come here in the same way: 16 bits
    words: str  # "" where nobody asked for them

    @property
    def place(self) -> tuple[int, int]:
        """Its kind and its number."""
        return self.kind, self.number


class Unexplored:
    """Who makes no choices: all are plain."""

    put_in = 0.0

    def land(self) -> None:
        """Nothing is on its way for longer than it would be."""

    def finish(self) -> None:
        """Nothing was begun."""


UNEXPLORED = Unexplored()


class Explorer(Unexplored):
    """The choices of one run. `witness(kind, value, seconds, facts)` puts one into words; None spares that.

    With `wants_digest`, or a witness, the run leaves the digest of its journal.
    """

    def __init__(self, plan: Plan, longest: float = LONGEST,
                 witness: Callable[[int, int, float, tuple[Any, ...]], str] | None = None, *,
                 wants_digest: bool = False) -> None:
        self.longest = longest
        self.witness = witness
        self.counts = [0] * len(NAMES)  # choices so far, by kind
        self.instants: list[tuple[int, ...]] = []  # how many there had been each time that the clock had moved
        self.next = [plan.following(kind, -1) for kind in range(len(NAMES))]  # the next that differs
        self.made: list[Deviation] = []
        self.points: list[tuple[int, int, int]] | None = None  # (kind, index, possible) of all, where they are wanted
        self.put_in = 0.0  # seconds of all stalls and delays so far
        self.is_over = False
        self.digest = ""  # of all that happened
        self.end = 0  # 32 bits over that
        self._wants_digest = wants_digest or witness is not None
        self._plan = plan
        self._flights: dict[Action, float] = {}  # what is on its way: when it would have arrived
        self._clock: VirtualClock | None = None  # of the world that is explored
        self._record: Record | None = None
        self._timers: Callable[[], set[float]] = set

    def begin(self, clock: VirtualClock, record: Record, timers: Callable[[], set[float]]) -> None:
        """Explore a world; `timers()` gives the times of the timers that are pending there, in any order."""
        self._clock, self._record, self._timers = clock, record, timers

    @property
    def is_plain(self) -> bool:
        """Whether no choice that is to come differs."""
        return all(number == NEVER for number in self.next)

    def goes_on(self) -> None:
        """The clock has moved."""
        if len(self.instants) < MOST_INSTANTS:
            self.instants.append(tuple(self.counts))

    # -- choices

    def differs(self, kind: int, possible: int = LENGTHS) -> bool:
        """Count one more choice of this kind, and say whether it is another than the plain one."""
        index = self.counts[kind]
        self.counts[kind] = index + 1
        if self.points is not None and not self.is_over:
            self.points.append((kind, index, possible))
        return index == self.next[kind]

    def chosen(self, kind: int, possible: int, *facts: Any) -> int:
        """Make a choice between `possible` values, of which there are at least two; 0 is the plain one."""
        if not self.differs(kind, possible):
            return 0
        value = self._value(kind, possible)
        self._keep(kind, value, possible, 0.0, facts)
        return value

    def later(self, kind: int, base: float, *facts: Any) -> float:
        """Make a choice of time: until when what would happen at `base` takes; that is `base` itself for the plain one.
        """
        return self.moved(kind, base, *facts) if self.differs(kind) else base

    def moved(self, kind: int, base: float, *facts: Any) -> float:
        """Until when what would happen at `base` takes, for a choice that differs."""
        value = self._value(kind, LENGTHS)
        when = until(value, base, self.longest, self._deadlines(base) if value else ())
        if when <= base:
            return base
        self._keep(kind, value, LENGTHS, when - base, facts)
        return when

    def _value(self, kind: int, possible: int) -> int:
        index = self.counts[kind] - 1
        value = self._plan.value(kind, index, possible)
        self.next[kind] = self._plan.following(kind, index)
        return value

    def _deadlines(self, base: float) -> list[float]:
        """What is pending after `base`, each instant once, the next one first."""
        assert self._clock is not None
        times = {*self._timers(), *(delivery[0] for delivery in self._clock.deliveries)}
        return sorted(when for when in times if base < when <= base + self.longest)

    def _keep(self, kind: int, value: int, possible: int, seconds: float, facts: tuple[Any, ...]) -> None:
        clock, record = self._clock, self._record
        assert clock is not None and record is not None
        facts_to_check = f"{kind} {possible if kind not in OF_TIME else 0} {clock.now!r} {record.effects}"
        words = "" if self.witness is None else self.witness(kind, value, seconds, facts)
        self.made.append(Deviation(kind, self.counts[kind] - 1, value, possible,
                                   zlib.crc32(facts_to_check.encode()) & 0xFFFF, words))
        record.note("choice", (NAMES[kind], value))

    # -- what takes longer

    def carry(self, base: float, when: float, action: Action) -> None:
        """Do at `when` what would be done at `base`; or earlier, when the test looks."""
        def land() -> None:
            del self._flights[land]
            action()

        assert self._clock is not None
        self.put_in += when - base
        self._flights[land] = base
        self._clock.deliver_at(when, land)

    def hurry(self, when: float) -> None:
        """Let everything arrive by this instant that would have without us."""
        if self._flights:
            self._bring_forward({action: when for action, base in self._flights.items() if base <= when})

    def _bring_forward(self, early: Mapping[Action, float]) -> None:
        clock = self._clock
        assert clock is not None
        clock.bring_forward({action: max(when, clock.now) for action, when in early.items()})

    def land(self) -> None:
        """Let everything arrive at once that would have without us, the answers too."""
        clock = self._clock
        while self._flights and clock is not None and any(base <= clock.now for base in self._flights.values()):
            self.hurry(clock.now)
            clock.jump(clock.now)

    def finish(self) -> None:
        """From now on all choices are plain, and what is on its way arrives when it would have without us."""
        if self._wants_digest and self._record is not None:
            self.digest = self._record.digest
            self.end = zlib.crc32(f"{self.counts} {self.digest}".encode())
        self.is_over = True
        self.next = [NEVER] * len(NAMES)
        self._plan = Fixed()
        if self._flights:
            self._bring_forward(self._flights)
            self.land()

    def forget(self) -> None:
        """Let go of the world: it is closed, and what was put in is known."""
        self._clock, self._record, self._timers = None, None, set
        self._flights.clear()
