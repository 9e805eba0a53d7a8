"""A TCP handshake that nobody answers: SYN segments again and again, and ETIMEDOUT in the end.

Owns the timers of connects under way: their SYN was lost, or the listener's queue is full. The times are Linux's from
6.5 on: the first SYN is repeated after 1, 2, 3, 4, 5, 7, 11, 19, 35 and 67 seconds, and after 131 the connect fails
(tcp_syn_retries = 6, tcp_syn_linear_timeouts = 4; RFC 6298, 2). A listener with room again lets a client in at once;
Linux would wait for the next SYN.

The rule that keeps thousands of them cheap: the clock knows of the earliest alone.
"""

from __future__ import annotations

import errno
import heapq
import socket
from collections.abc import Callable
from math import inf

from ..clock import VirtualClock
from ..descriptors.stream import Stream

FIRST_DELAY = 1.0
_SYNCNT = socket.IPPROTO_TCP, getattr(socket, "TCP_SYNCNT", -1)
_USER_TIMEOUT = socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", -1)


class Dialling:
    """The connects of one network that wait for an answer.

    `retries` is net.ipv4.tcp_syn_retries. `linear_timeouts` is net.ipv4.tcp_syn_linear_timeouts, 0 for an older Linux.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.retries = 6
        self.linear_timeouts = 4
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

    __slots__ = ("_delay", "_dialling", "_end", "_gone", "_last", "_patience", "_linear", "_reach", "when")

    def __init__(self, dialling: Dialling, end: Stream, reach: Callable[[], bool]) -> None:
        self._dialling = dialling
        self._end = end
        self._reach = reach
        self.when: float | None = None  # of the next SYN; set by what it is among
        self._gone = 0.0  # seconds since the first SYN
        self._linear = dialling.linear_timeouts  # pauses that are still to come before they double
        # It fails at the first SYN that is not before this time: when it would without linear timeouts.
        retries: int = end.options.get(_SYNCNT) or dialling.retries
        self._last = FIRST_DELAY * (2 ** (retries + 1) - 1)
        self._patience: float = end.options.get(_USER_TIMEOUT, 0) / 1000 or inf  # seconds that the program gives it
        end.stop_dialling = self._cancel
        self._wait(FIRST_DELAY)

    def _wait(self, delay: float) -> None:
        self._delay = delay
        self._dialling.add(self, min(delay, self._patience - self._gone))

    def again(self) -> None:
        """Send a SYN, or give up."""
        self._gone += self._delay
        if self._gone >= (self._last if self._patience == inf else self._patience):
            self._end.give_up(errno.ETIMEDOUT)
        elif not self._reach():
            self._linear -= 1
            self._wait(self._delay if self._linear >= 0 else self._delay * 2)

    def _cancel(self) -> None:
        self._dialling.remove(self)
