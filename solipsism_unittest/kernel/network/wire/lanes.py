"""`Lane`: the packets of one direction of a stream, which never overtake each other.

Owns how much longer an exploration lets each of them take. Does not own the way that they go (links.py).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ...choices import Explorer
from ...choices.kinds import PACKET

Arrive = Callable[[], None]


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
        # For bandwidth: (bytes, what it is, seconds that it takes more than others, what puts it on its way)
        self.waiting: deque[tuple[int, object, float, Arrive]] = deque()
        self.slow = 0.0  # of an exploration: how many seconds slow it is, when the last packet arrives, how many fly
        self.late, self.flying = -math.inf, 0

    def longer(self, explorer: Explorer, base: float, what: str, size: int) -> float:
        """When a packet arrives that would at `base`: when the explorer wants, and behind those before it."""
        is_waited_for = self.sender is not None and self.sender.is_blocking  # a call would have to be refused
        when = base if is_waited_for else explorer.later(PACKET, base, what, size, self.sender) + self.slow
        self.late = max(min(when, base + explorer.longest), self.late)
        return self.late
