"""What TCP makes of the way between two hosts: segments that take time, are lost, and are sent again.

Owns the segments of each stream that are lost, those that wait behind a hole, and the timers of retransmission. Does
not own what a link does with a packet (links.py), nor the rules (faults.py), nor what an end hears otherwise
(replies.py). A stream never loses, reorders or corrupts bytes: a loss shows as delay. The times are those of Linux with
exact timers.

A segment that is lost is sent again at the first of these: when three later ones have arrived and the sender knows; a
quarter of a round trip after it knows of one; when a probe for the last ones is due; and after 0.2 seconds and a round
trip or longer (round_trips.py), then after twice as long each time, at last every 120 seconds.
"""

from __future__ import annotations

import bisect
import errno
import functools
import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ...clock import VirtualClock
from ...descriptors.connection import Connection
from ...descriptors.transitions import BROKEN, CLOSED, DATA, FIN, RESET, RST
from ...journal import Journal
from ..round_trips import LONGEST, ROUNDING, RTO, RoundTrips, patience
from .faults import Faults, Verdict
from .lanes import Lane, Passage
from .links import Links, Way
from .replies import USER_TIMEOUT, Probes, break_off, fail, refuse, reject
from .settings import SEGMENT

PROBE = 0.01  # seconds beyond two round trips after which the last of several segments is sent again
SACKS = 3  # segments that arrive behind a hole until it counts as a loss


class Between(Protocol):
    """What a flow asks about the way that its segments go."""

    clock: VirtualClock
    journal: Journal
    faults: Faults
    links: Links
    retries: int  # net.ipv4.tcp_retries2
    orphan_retries: int  # net.ipv4.tcp_orphan_retries

    def ways_of(self, sender: Connection) -> tuple[Way, Way]:
        """The way that the segments of this end go, and the one of the answers."""

    def verdict_on(self, sender: Connection, kind: str, data: bytes) -> Verdict:
        """What the rules say about a segment."""

    def probe(self, end: Connection) -> str:
        """What becomes of a probe of this end: "drop", "reset" or "pass"."""


class Segment(Passage):
    """A piece of a stream, or its end. One object for each packet, that it is too: many are on their way."""

    __slots__ = ("flow", "number", "start", "kind", "data", "sent")

    def __init__(self, flow: Flow, number: int, start: int, kind: str, data: bytes, sent: float) -> None:
        self.flow = flow
        self.number = number  # in the order of sending, from 1 up
        self.start = start  # how much the flow had sent before, in bytes
        self.kind, self.data, self.sent = kind, data, sent
        self.size = len(data)

    def arrive(self) -> None:
        self.flow.arrive(self)

    def repeat(self, now: float, size: int) -> None:
        """It is sent again, when the flow has sent so many bytes."""
        self.sent = now
        self.flow.sender.repeats(self.kind, self.data, size - self.start)

    def __lt__(self, other: Segment) -> bool:
        return self.number < other.number

    def __str__(self) -> str:
        return f"{self.kind} {self.flow.sender.label}"


class Flow:
    """One direction of a connection over the network: what its end transmits goes through here."""

    def __init__(self, wire: Between, sender: Connection, receiver: Connection) -> None:
        self.sender, self.receiver = sender, receiver
        self.probes = Probes(wire, self)
        self.other: Flow | None = None  # the other direction
        self.lost: list[Segment] = []  # by number
        self.is_over = False  # the sender has ended the connection, and its peer does not know
        self._unheard = False  # something has arrived, and the answer is lost
        self._held: list[Segment] = []  # by number: they have arrived behind a hole
        self._expected = 1  # the number that the receiver takes next
        self.wire = self._wire = wire
        self._ways, self._version = wire.ways_of(sender), wire.links.version
        self._round_trips = RoundTrips(self.round_trip())
        self.lane = Lane(sender)
        self._number = self._size = 0  # of what was sent: the segments, and the bytes; the end counts as one
        self._sent: deque[float] = deque(maxlen=SACKS)  # when the last segments were sent
        self._passed = 0  # bytes, for limits
        self.due = math.inf  # when something is sent again
        self._tries = 0  # to send again what was lost
        self._has_no_route = False  # the last try has come back: TCP does not wait longer then (RFC 6069)
        self._pause = RTO  # seconds until the next one
        self._since = 0.0  # from when on they count
        self._sacks = 0
        self._resent = -math.inf  # when a hole was last filled
        self._when_answered: Callable[[], object] | None = None
        # The timers that run: of the next try, of TCP_USER_TIMEOUT, of a hole that may be a detour
        self._again: Callable[[], None] | None = None
        self._end: Callable[[], None] | None = None
        self._patience: Callable[[], None] | None = None

    def transmit(self, kind: str, data: bytes | memoryview) -> None:
        """Send this to the other end, in as many packets as it takes."""
        if kind is RST:
            self.forget()
        if kind is not DATA:
            self._dispatch(kind, b"")
            return
        size = len(data)
        self.receiver.coming += size
        way = self.ways[0]
        if way.is_simple:
            self._dispatch(DATA, bytes(data))
            return
        settings = way.settings
        most = settings.slice or size
        if settings.bandwidth or settings.loss or settings.mtu:
            most = min(most, settings.segment)
        for start in range(0, size, most):
            self._dispatch(DATA, bytes(data[start:start + most]))

    def _dispatch(self, kind: str, data: bytes) -> None:
        self._number += 1
        segment = Segment(self, self._number, self._size, kind, data, self._wire.clock.now)
        self._size += len(data) + (kind is FIN)
        self._sent.append(segment.sent)
        # Once TCP waits for a retransmission it sends nothing new.
        if self._tries and self.is_waiting or not self._try(segment):
            self.lose(segment)

    @property
    def is_answered(self) -> bool:
        """Whether all that was sent has arrived."""
        return self._expected > self._number and not self.is_waiting

    def when_answered(self, action: Callable[[], object]) -> None:
        """Do this when the sender knows that all has arrived, or gives up."""
        self._when_answered = action

    def _note_answer(self, after: float) -> None:
        action, self._when_answered = self._when_answered, None
        if action is not None:
            self._wire.clock.deliver_at(self._wire.clock.now + after, action)

    @property
    def is_unknown(self) -> bool:
        """Whether the other end has ended without a word that arrived: it answers with a reset."""
        receiver = self.receiver
        return receiver.is_on_crashed_host or receiver.state in (RESET, BROKEN) or (
            self.other is not None and self.other.is_over)

    @property
    def is_waiting(self) -> bool:
        """Whether something is sent again and again."""
        return bool(self.lost) or self._unheard

    def meet(self, other: Flow | None) -> None:
        """Know the flow of the other direction, and be known to it."""
        self.other = other
        if other is not None:
            other.other = self

    @property
    def ways(self) -> tuple[Way, Way]:
        """The way of what is sent, and that of the answers."""
        if self._version != self._wire.links.version:
            self._ways, self._version = self._wire.ways_of(self.sender), self._wire.links.version
        return self._ways

    def round_trip(self) -> float:
        """The seconds to the other end and back, without jitter."""
        out, back = self.ways
        return out.settings.latency + back.settings.latency

    @property
    def _is_deaf(self) -> bool:
        """Whether the answers to what is sent are lost."""
        return self.ways[1].is_cut or (self._wire.faults.any and any(
            self._wire.faults.drops(address[0]) for address in (self.sender.local, self.sender.remote) if address))

    def _try(self, segment: Segment) -> bool:
        """Send a segment; False when it is lost at once."""
        way, size = self.ways[0], len(segment.data)
        if way.is_simple and not way.is_cut and not self._wire.faults.any:
            self._passed += size
            way.carry(self.lane, segment)
            return True
        settings = way.settings
        if settings.limit is not None and self._passed + size > settings.limit:
            return False
        verdict = self._wire.verdict_on(self.sender, segment.kind, segment.data)
        if settings.reset_after is not None and self._passed + size > settings.reset_after:
            break_off(self)
            return True
        self._has_no_route = verdict.kind == "fail" and fail(self, verdict)
        if verdict.kind in ("drop", "corrupt", "fail") or way.is_cut or way.loses():
            return False
        if verdict.kind == "reset":
            reject(self, segment, verdict.seconds)
            return True
        self._passed += size
        more = verdict.seconds + (settings.slow_close if segment.kind is FIN else 0.0)
        way.carry(self.lane, segment, more)
        return True

    def arrive(self, segment: Segment) -> None:
        """Take a segment at the other end."""
        if self.ways[0].is_cut:  # meanwhile
            self.lose(segment)
        elif segment.number > self._expected and segment.kind is not RST:
            bisect.insort(self._held, segment)
            if self.is_over:
                self.forget()  # the hole stays
            elif not self._is_deaf:
                self._wire.clock.deliver_at(self._wire.clock.now + self._way_back(),
                                            functools.partial(self._miss, segment))
        else:
            self._deliver(segment)
            while self._held and self._held[0].number == self._expected:
                self._deliver(self._held.pop(0))
            if self._when_answered is not None and self.is_answered:
                self._note_answer(self._way_back())

    def _deliver(self, segment: Segment) -> None:
        receiver = self.receiver
        if receiver.peer is not self.sender:  # it has begun anew, and knows nothing of this connection
            refuse(self, segment)
            return
        self._expected = segment.number + 1
        self._round_trips.note(self._wire.clock.now - segment.sent + self._way_back(), segment.number, self._number)
        receiver.coming = max(receiver.coming - len(segment.data), 0)
        if self.other is not None:
            self.other.probes.heard = self._wire.clock.now
        if self._is_deaf and segment.kind is not RST:
            self._unheard = True
            if self._again is None:
                self._begin(segment)
        if receiver.hears(segment.kind):
            receiver.arrive(segment.kind, segment.data)
        elif segment.kind is not RST and (receiver.state is not CLOSED or self.is_unknown):
            receiver.transmit(RST, b"")  # nobody is there any more who could take it

    def _way_back(self) -> float:
        return self.ways[1].settings.latency

    # -- lost, and sent again

    def lose(self, segment: Segment) -> None:
        """A segment does not come to the other end, or its answer does not come back."""
        if segment.kind is RST:
            return  # it is sent once
        self._wire.journal.add("lost", self.sender.label, len(segment.data))
        bisect.insort(self.lost, segment)
        if not self._tries:
            self._begin(segment)

    def _begin(self, segment: Segment) -> None:
        """Send again later what was lost, or not answered, up to this segment."""
        now, trip = self._wire.clock.now, self.round_trip()
        # Others that are on their way too
        before = sum(sent > segment.sent - trip for sent in self._sent) - (trip > 0 and segment.sent in self._sent)
        self._pause = self._round_trips.pause(trip)
        when = (self.lost[0].sent if self.lost else segment.sent) + min(self._pause, 2 * trip + RTO)
        if before > 1 and len(self.lost) == 1:
            when = segment.sent + 2 * trip + RTO  # the others are answered, and an answer to one may be late
        elif before or len(self.lost) > 1 or len(segment.data) > SEGMENT:
            when = min(when, segment.sent + 2 * trip + PROBE)
        self._stop()
        self._wait(max(when, now))

    def _wait(self, when: float) -> None:
        self.due = when
        self._again = functools.partial(self._retry, when)
        self._wire.clock.deliver_at(when, self._again)

    def _miss(self, later: Segment) -> None:
        """The sender hears that a segment has arrived behind a hole."""
        if not self.lost or self._tries or later.sent < self._resent or later.number < self.lost[0].number:
            return
        self._sacks += 1
        if self._sacks >= SACKS:
            self._fill()
        elif self._patience is None:
            self._patience = self._fill
            self._wire.clock.deliver_at(self._wire.clock.now + self.round_trip() / 4, self._patience)

    def _fill(self) -> None:
        """Send again at once what is missing before others that have arrived."""
        now = self._resent = self._wire.clock.now
        waiting, self.lost = self.lost, []
        self._stop()
        for segment in waiting:
            segment.repeat(now, self._size)
            if not self._try(segment):
                self.lose(segment)

    def _retry(self, now: float) -> None:
        self._again = None
        self._tries += 1
        seconds = self.sender.options.get(USER_TIMEOUT, 0) / 1000
        if self._tries == 2:  # the first time was a probe: from here on TCP counts
            self._since = now
            if seconds:
                self._end = self.give_up
                self._wire.clock.deliver_at(now + seconds, self._end)
        retries = self._wire.orphan_retries if self.sender.state is CLOSED else self._wire.retries
        if self._tries > 2 and not seconds and now - self._since >= patience(retries) - ROUNDING:
            self.give_up()
            return
        self._unheard = self._unheard and self._wire.probe(self.sender) == "drop"
        if self._unheard:  # the first of all is sent again, and nothing new
            self._wait_longer(now)
            return
        waiting, self.lost = self.lost, []
        for number, segment in enumerate(waiting):
            segment.repeat(now, self._size)
            if not self._try(segment):
                self.lost = [*waiting[number:], *self.lost]
                if number:
                    self._begin_anew(now)
                else:
                    self._wait_longer(now)
                return
        self._stop()

    def _begin_anew(self, now: float) -> None:
        """Something got through, and more is still lost."""
        self._stop()
        self._pause = self._round_trips.pause(self.round_trip())
        self._wait(now + self._pause)

    def _wait_longer(self, now: float) -> None:
        """Try again: after twice as long each time."""
        self._wait(now + min(self._pause, LONGEST))
        if not self._has_no_route:
            self._pause *= 2

    def give_up(self) -> None:
        """Nobody has answered for too long: the sender gets ETIMEDOUT, and the peer hears nothing."""
        self.forget()
        self.is_over = True
        if self.sender.hears(RST):
            self._wire.journal.add("timeout", self.sender.label)
            self.sender.fail(self.sender.soft_error or errno.ETIMEDOUT)

    def forget(self) -> None:
        """Send nothing again."""
        self._stop()
        missing = sum(len(segment.data) for segment in (*self.lost, *self._held))
        self.receiver.coming = max(self.receiver.coming - missing, 0)
        self.lost.clear()
        self._held.clear()
        self._unheard = False
        self._note_answer(0.0)

    def _stop(self) -> None:
        for timer in filter(None, (self._again, self._end, self._patience)):
            self._wire.clock.forget(timer)
        self._again = self._end = self._patience = None
        self._tries = self._sacks = 0
        self.due = math.inf
