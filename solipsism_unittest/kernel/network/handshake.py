"""A TCP handshake that nobody answers: SYN segments again and again, and ETIMEDOUT in the end.

Owns the timer of one connect under way: its SYN was dropped, or the listener's queue is full. The delays are Linux's:
the first SYN is repeated after 1, 3, 7, 15, 31 and 63 seconds (tcp_syn_retries = 6, tcp(7); RFC 6298, 2), and after 127
seconds the connect fails. A listener with room again lets a client in at once; Linux would wait for the next SYN.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from ..clock import VirtualClock
from ..descriptors.stream import Stream

FIRST_DELAY = 1.0
LAST_DELAY = 64.0  # each is twice the one before


class Retries:
    """The timer of one connect. `reach()` sends a SYN and returns whether there was an answer."""

    def __init__(self, clock: VirtualClock, end: Stream, reach: Callable[[], bool]) -> None:
        self._clock = clock
        self._end = end
        self._reach = reach
        end.stop_dialling = self._cancel
        self._wait(FIRST_DELAY)

    def _wait(self, delay: float) -> None:
        self._delay = delay
        self._clock.deliver_at(self._clock.now + delay, self._again)

    def _again(self) -> None:
        if self._delay >= LAST_DELAY:
            self._end.give_up(errno.ETIMEDOUT)
        elif not self._reach():
            self._wait(self._delay * 2)

    def _cancel(self) -> None:
        self._clock.forget(self._again)
