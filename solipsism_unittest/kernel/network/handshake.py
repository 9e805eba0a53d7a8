"""A TCP handshake that nobody answers: SYN segments again and again, and ETIMEDOUT in the end.

Owns the timers of connects under way: their SYN was dropped, or the listener's queue is full. The delays are Linux's:
the first SYN is repeated after 1, 3, 7, 15, 31 and 63 seconds (tcp_syn_retries = 6, tcp(7); RFC 6298, 2), and after 127
seconds the connect fails. A listener with room again lets a client in at once; Linux would wait for the next SYN.

The rule that keeps thousands of them cheap: the clock knows of the earliest alone.
"""

from __future__ import annotations

import errno
import heapq
from collections.abc import Callable
from math import inf

from ..clock import VirtualClock
from ..descriptors.stream import Stream

FIRST_DELAY = 1.0
LAST_DELAY = 64.0  # each is twice the one before


class Dialling:
    """The connects of one network that wait for an answer."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._due: dict[float | None, dict[Retries, None]] = {}  # by the time of the next SYN
        self._times: list[float] = []  # a heap; one that is not in `_due` any more counts nothing
        self._armed = inf  # what the clock knows of

    def begin(self, end: Stream, reach: Callable[[], bool]) -> None:
        """Repeat the SYN of this end. `reach()` sends one, and returns whether there was an answer."""
        Retries(self, end, reach)

    def add(self, retries: Retries, delay: float) -> None:
        """Send the next SYN of this one after this delay."""
        when = retries.when = self._clock.now + delay
        if when not in self._due:
            self._due[when] = {}
            heapq.heappush(self._times, when)
        self._due[when][retries] = None
        self._arm()

    def remove(self, retries: Retries) -> None:
        """Send no more of this one."""
        when, retries.when = retries.when, None
        if when in self._due:
            self._due[when].pop(retries, None)
            if not self._due[when]:
                del self._due[when]
                self._arm()

    def _arm(self) -> None:
        while self._times and self._times[0] not in self._due:
            heapq.heappop(self._times)
        first = self._times[0] if self._times else inf
        if first != self._armed:
            self._clock.forget(self._ring)
            self._armed = first
            if first != inf:
                self._clock.deliver_at(first, self._ring)

    def _ring(self) -> None:
        due, self._armed = self._armed, inf
        for retries in self._due.pop(due):
            if retries.when == due:  # an answer to one may be the answer to another
                retries.again()
        self._arm()


class Retries:
    """The timer of one connect."""

    __slots__ = ("_delay", "_dialling", "_end", "_reach", "when")

    def __init__(self, dialling: Dialling, end: Stream, reach: Callable[[], bool]) -> None:
        self._dialling = dialling
        self._end = end
        self._reach = reach
        self.when: float | None = None  # of the next SYN; set by what it is among
        end.stop_dialling = self._cancel
        self._wait(FIRST_DELAY)

    def _wait(self, delay: float) -> None:
        self._delay = delay
        self._dialling.add(self, delay)

    def again(self) -> None:
        """Send a SYN, or give up."""
        if self._delay >= LAST_DELAY:
            self._end.give_up(errno.ETIMEDOUT)
        elif not self._reach():
            self._wait(self._delay * 2)

    def _cancel(self) -> None:
        self._dialling.remove(self)
