"""What TCP makes of the way between two hosts: segments that take time, are lost, and are sent again.

Owns the segments of each stream that are lost, and the timers of retransmission and keepalive. Does not own what a link
does with a packet (links.py), nor the rules (faults.py). A stream never loses, reorders or corrupts bytes: a loss shows
as delay. The times are those of Linux with exact timers: a segment is sent again after 0.2, 0.4, 0.8, ... seconds (and
a round trip), at last every 120.
"""

from __future__ import annotations

import bisect
import errno
import functools
import math
import socket
from collections.abc import Callable
from typing import NamedTuple, Protocol

from ...clock import VirtualClock
from ...descriptors.connection import Connection
from ...descriptors.transitions import CLOSED, DATA, FIN, RST
from ...journal import Journal
from .faults import Verdict
from .links import SEGMENT, Lane, Way

RTO = 0.2  # the least seconds until a segment is sent again
LONGEST = 120.0  # the most between two times
KEEPALIVE = 7200, 75, 9  # seconds idle, seconds between probes, probes

_KEEPALIVE = socket.SOL_SOCKET, socket.SO_KEEPALIVE
_IDLE = socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", -1)
_INTERVAL = socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", -1)
_COUNT = socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", -1)
_USER_TIMEOUT = socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", -1)


def patience(retries: int) -> float:
    """The seconds from the first retransmission on after which TCP gives up, for net.ipv4.tcp_retries2."""
    doubling = min(retries, 9)
    return RTO * ((2 << doubling) - 1) + LONGEST * (retries - doubling)


class Between(Protocol):
    """What a flow asks about the way that its segments go."""

    clock: VirtualClock
    journal: Journal
    retries: int  # net.ipv4.tcp_retries2

    def way_of(self, sender: Connection) -> Way:
        """The way that the segments of this end go."""

    def round_trip(self, sender: Connection) -> float:
        """The seconds to the other end and back."""

    def verdict_on(self, sender: Connection, kind: str, data: bytes) -> Verdict:
        """What the rules say about a segment."""

    def hear(self, end: Connection) -> None:
        """An end has heard from its peer."""

    def is_cut_between(self, end: Connection) -> bool:
        """Whether packets of this end, or the answers to them, are lost."""


class Segment(NamedTuple):
    """A piece of a stream, or its end."""

    number: int  # in the order of sending
    kind: str
    data: bytes
    sent: float


class Flow:
    """One direction of a connection over the network: what its end transmits goes through here."""

    def __init__(self, wire: Between, sender: Connection, receiver: Connection) -> None:
        self.sender, self.receiver = sender, receiver
        self.lost: list[Segment] = []  # in order; while there is any, all that follows waits behind it
        self.heard = wire.clock.now  # when the sender last heard from its peer
        self._wire = wire
        self._lane = Lane()
        self._number = 0
        self._passed = 0  # bytes, for limits
        self.due = math.inf  # when something is sent again
        self._tries = 0  # to send again what was lost
        self._first = 0.0  # when it was sent
        self._pause = RTO  # seconds until the first try
        self._since = 0.0  # from when on they count
        self._missed = 0  # probes that nobody has answered
        # The timers that run: of the next try, of TCP_USER_TIMEOUT, of the next probe
        self._again: Callable[[], None] | None = None
        self._end: Callable[[], None] | None = None
        self._probe: Callable[[], None] | None = None

    def transmit(self, kind: str, data: bytes | memoryview) -> None:
        """Send this to the other end, in as many packets as it takes."""
        if kind is RST:
            self.forget()
        if kind is not DATA:
            self._dispatch(kind, b"")
            return
        size = len(data)
        self.receiver.coming += size
        settings = self._way().settings
        most = settings.slice or (SEGMENT if settings.bandwidth or settings.loss else size)
        for start in range(0, size, most):
            self._dispatch(DATA, bytes(data[start:start + most]))

    def _dispatch(self, kind: str, data: bytes) -> None:
        self._number += 1
        segment = Segment(self._number, kind, data, self._wire.clock.now)
        if self.lost or not self._try(segment):
            self._lose(segment)

    def _way(self) -> Way:
        return self._wire.way_of(self.sender)

    def _try(self, segment: Segment) -> bool:
        """Send a segment; False when it is lost at once."""
        way, size = self._way(), len(segment.data)
        settings = way.settings
        if settings.limit is not None and self._passed + size > settings.limit:
            return False
        verdict = self._wire.verdict_on(self.sender, segment.kind, segment.data)
        breaks = settings.reset_after is not None and self._passed + size > settings.reset_after
        if breaks or verdict.kind in ("reset", "fail"):
            self._break()
            return True
        if verdict.kind in ("drop", "corrupt") or way.is_cut or way.loses():
            return False
        self._passed += size
        more = verdict.seconds + (settings.slow_close if segment.kind is FIN else 0.0)
        way.carry(self._lane, size, f"{segment.kind} {self.sender.label}", functools.partial(self._arrive, segment),
                  more)
        return True

    def _arrive(self, segment: Segment) -> None:
        # The cable may have been cut while it was on its way, or a hole be before it.
        if self.lost and self.lost[0].number < segment.number or self._way().is_cut:
            self._lose(segment)
        else:
            self._deliver(segment)

    def _deliver(self, segment: Segment) -> None:
        receiver = self.receiver
        receiver.coming = max(receiver.coming - len(segment.data), 0)
        self._wire.hear(receiver)
        if receiver.hears(segment.kind):
            receiver.arrive(segment.kind, segment.data)
        elif segment.kind is not RST and receiver.state is not CLOSED:
            receiver.transmit(RST, b"")  # nobody is there any more who could take it

    def _break(self) -> None:
        """The connection is reset, on both sides."""
        self.forget()
        for end in (self.sender, self.receiver):
            if end.hears(RST):
                end.arrive(RST)

    # -- lost, and sent again

    def _lose(self, segment: Segment) -> None:
        if segment.kind is RST:
            return  # it is sent once
        self._wire.journal.add("lost", self.sender.label, len(segment.data))
        bisect.insort(self.lost, segment)
        if self._again is None:
            self._begin(segment.sent)

    def _begin(self, sent: float) -> None:
        """Send again later what was lost of what was sent at this time."""
        self._tries, self._first = 0, sent
        self._pause = RTO + self._wire.round_trip(self.sender)
        self._wait(max(sent + self._pause, self._wire.clock.now))

    def _wait(self, when: float) -> None:
        self.due = when
        self._again = functools.partial(self._retry, when)
        self._wire.clock.deliver_at(when, self._again)

    def _retry(self, now: float) -> None:
        self._again = None
        self._tries += 1
        seconds = self.sender.options.get(_USER_TIMEOUT, 0) / 1000
        if self._tries == 2:  # the first time was a probe: from here on TCP counts
            self._since = now
            if seconds:
                self._end = self.give_up
                self._wire.clock.deliver_at(now + seconds, self._end)
        if self._tries > 2 and not seconds and now - self._since >= patience(self._wire.retries):
            self.give_up()
            return
        waiting, self.lost = self.lost, []
        for number, segment in enumerate(waiting):
            if not self._try(segment):
                self.lost = [*waiting[number:], *self.lost]
                if number:
                    self._stop()
                    self._begin(now)
                else:
                    self._wait(self._next(now))
                return
        self._stop()

    def _next(self, now: float) -> float:
        """When to try again: after twice as long each time, from the first sending on."""
        if self._pause * (1 << self._tries - 1) > LONGEST:
            return now + LONGEST
        return max(self._first + self._pause * (1 << self._tries), now)

    def give_up(self) -> None:
        """Nobody has answered for too long: the sender gets ETIMEDOUT, and the peer hears nothing."""
        self.forget()
        if self.sender.hears(RST):
            self._wire.journal.add("timeout", self.sender.label)
            self.sender.fail(errno.ETIMEDOUT)

    def forget(self) -> None:
        """Send nothing again."""
        self._stop()
        self.receiver.coming = max(self.receiver.coming - sum(len(segment.data) for segment in self.lost), 0)
        self.lost.clear()

    def _stop(self) -> None:
        for timer in filter(None, (self._again, self._end)):
            self._wire.clock.forget(timer)
        self._again = self._end = None
        self.due = math.inf

    # -- keepalive

    def watch(self) -> None:
        """Send keepalive probes, where the program wants them, until one is answered."""
        idle, _, _ = self._keepalive()
        if self._probe is None and self.sender.options.get(_KEEPALIVE):
            self._missed = 0
            self._next_probe(max(self.heard + idle, self._wire.clock.now))

    def _keepalive(self) -> tuple[float, float, int]:
        options = self.sender.options
        idle, interval, count = (options.get(option, default)
                                 for option, default in zip((_IDLE, _INTERVAL, _COUNT), KEEPALIVE, strict=True))
        return idle, interval, count

    def _next_probe(self, when: float) -> None:
        self._probe = functools.partial(self._send_probe, when)
        self._wire.clock.deliver_at(when, self._probe)

    def _send_probe(self, now: float) -> None:
        self._probe = None
        options = self.sender.options
        # While data is in flight there are retransmissions, and no probes.
        if not self.sender.hears(RST) or not options.get(_KEEPALIVE) or self.lost:
            return
        if not self._wire.is_cut_between(self.sender):
            self.heard = now
            return
        _, interval, count = self._keepalive()
        seconds = options.get(_USER_TIMEOUT, 0) / 1000
        if (now - self.heard >= seconds and self._missed) if seconds else self._missed >= count:
            self.give_up()
            return
        self._missed += 1
        self._next_probe(now + interval)
