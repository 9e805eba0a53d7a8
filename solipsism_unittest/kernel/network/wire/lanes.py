"""What goes over a way: packets, trains of packets that arrive at one instant, and lanes, in which none overtakes.

Owns how much longer an exploration lets each packet of a lane take. Does not own the way that they go (links.py).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from ...choices import Explorer
from ...choices.kinds import PACKET
from ...clock import VirtualClock

Arrive = Callable[[], None]


class Carrier(Protocol):
    """What a packet asks of the way that it is on."""

    flying: dict[Passage, None]

    @property
    def is_held(self) -> bool:
        """Whether nothing arrives."""

    def keep(self, passage: Passage) -> None:
        """Hold a packet that has come."""

    def order(self, train: Train) -> None:
        """Let a train come again."""


class Passage:
    """A packet on its way; called when it is there. `str()` of it is what `Network.in_flight()` calls it."""

    __slots__ = ("way", "size", "arrives")

    way: Carrier
    size: int  # bytes
    arrives: float

    def arrive(self) -> None:
        """Do what it does at the other end."""

    def __call__(self) -> None:
        way = self.way
        if way.is_held:
            way.keep(self)
        else:
            del way.flying[self]
            self.arrive()

    def flight(self) -> Flight:
        """As `Network.in_flight()` shows it."""
        return Flight(str(self), self.size, self.arrives)


class Parcel(Passage):
    """A packet that is no segment of a stream."""

    __slots__ = ("_what", "arrive")

    def __init__(self, size: int, what: str, arrive: Arrive) -> None:
        self.size, self._what, self.arrive = size, what, arrive  # type: ignore[method-assign]

    def __str__(self) -> str:
        return self._what


class Train:
    """Packets that arrive at the same instant, one after the other: one delivery for all of them."""

    __slots__ = ("when", "number", "passages")

    def __init__(self, clock: VirtualClock, when: float) -> None:
        self.when = when
        self.passages: deque[Passage] = deque()
        clock.deliver_at(when, self)
        self.number = clock.ordered  # another packet can follow as long as nothing else is ordered

    def __call__(self) -> None:
        while self.passages:
            passage = self.passages.popleft()
            try:
                passage()
            except BaseException:
                passage.way.order(self)  # the others come all the same
                raise


class Flight(NamedTuple):
    """A packet on its way, as `Network.in_flight()` shows it."""

    what: str
    size: int
    arrives: float  # at this virtual time; infinity for one that is held


class Sender(Protocol):
    """What is asked of an end that sends."""

    @property
    def is_blocking(self) -> bool:
        """Whether a program waits in a call of its own at one of the two ends."""


class Lane:
    """What must not overtake each other on one way: the packets of one direction of a stream."""

    __slots__ = ("last", "waiting", "sender", "slow", "late", "flying")

    def __init__(self, sender: Sender | None = None) -> None:
        self.last = -math.inf  # when the last packet arrives
        self.sender = sender  # the end whose packets they are, where it is one's
        # For bandwidth: (bytes, the packet, seconds that it takes more than others, what puts it on its way)
        self.waiting: deque[tuple[int, object, float, Arrive]] = deque()
        self.slow = 0.0  # of an exploration: how many seconds slow it is, when the last packet arrives, how many fly
        self.late, self.flying = -math.inf, 0

    def longer(self, explorer: Explorer, base: float, what: str, size: int) -> float:
        """When a packet arrives that would at `base`: when the explorer wants, and behind those before it."""
        is_waited_for = self.sender is not None and self.sender.is_blocking  # a call would have to be refused
        when = base if is_waited_for else explorer.later(PACKET, base, what, size, self.sender) + self.slow
        self.late = max(min(when, base + explorer.longest), self.late)
        return self.late
