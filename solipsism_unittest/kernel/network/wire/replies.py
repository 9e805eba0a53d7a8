"""What an end hears of its connection beside what its peer sends: answers to probes, resets, errors of ICMP.

Owns the timer of keepalive of each end, and what becomes of a connection that one end alone has lost. Does not own what
is on the way (flows.py). A probe is sent only while something is cut: where nothing is, it would be answered. The rule
that keeps it simple: while data is in flight there are retransmissions, and no probes.
"""

from __future__ import annotations

import errno
import functools
import socket
from collections.abc import Callable
from typing import Any, Protocol

from ...clock import VirtualClock
from ...descriptors.connection import Connection
from ...descriptors.transitions import CONNECTED, ESTABLISHED, RST
from ...journal import Journal
from .faults import Verdict
from .lanes import Lane, Parcel
from .links import Way

KEEPALIVE = 7200, 75, 9  # seconds idle, seconds between probes, probes

_KEEPALIVE = socket.SOL_SOCKET, socket.SO_KEEPALIVE
_IDLE = socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", -1)
_INTERVAL = socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", -1)
_COUNT = socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", -1)
USER_TIMEOUT = socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", -1)


class Between(Protocol):
    """What is asked about the way."""

    clock: VirtualClock
    journal: Journal

    def probe(self, end: Connection) -> str:
        """What becomes of a probe of this end: "drop", "reset" or "pass"."""


class Direction(Protocol):
    """What is asked of a direction of a connection (flows.py)."""

    sender: Connection
    receiver: Connection
    probes: Probes
    lane: Lane
    lost: list[Any]  # its segments
    is_over: bool

    @property
    def wire(self) -> Between:
        """What is between the ends."""

    @property
    def other(self) -> Direction | None:
        """The other direction."""

    @property
    def ways(self) -> tuple[Way, Way]:
        """The way of what is sent, and that of the answers."""

    def round_trip(self) -> float:
        """The seconds to the other end and back."""

    @property
    def is_unknown(self) -> bool:
        """Whether the other end answers with a reset."""

    @property
    def is_waiting(self) -> bool:
        """Whether something is sent again and again."""

    def lose(self, segment: Any) -> None:
        """A segment does not come to the other end, or its answer does not come back."""

    def forget(self) -> None:
        """Send nothing again."""

    def give_up(self) -> None:
        """End the connection: nobody has answered for too long."""


class Probes:
    """The keepalive of one end."""

    def __init__(self, wire: Between, flow: Direction) -> None:
        self.heard = wire.clock.now  # when the end last heard from its peer
        self._wire = wire
        self._flow = flow
        self._missed = 0  # probes that nobody has answered
        self._next: Callable[[], None] | None = None

    def watch(self) -> None:
        """Send probes, where the program wants them, until one is answered."""
        idle, _, _ = self._settings()
        if self._next is None and self._flow.sender.options.get(_KEEPALIVE):
            self._missed = 0
            self._send_at(max(self.heard + idle, self._wire.clock.now))

    def _settings(self) -> tuple[float, float, int]:
        options = self._flow.sender.options
        idle, interval, count = (options.get(option, default)
                                 for option, default in zip((_IDLE, _INTERVAL, _COUNT), KEEPALIVE, strict=True))
        return idle, interval, count

    def _send_at(self, when: float) -> None:
        self._next = functools.partial(self._send, when)
        self._wire.clock.deliver_at(when, self._next)

    def _send(self, now: float) -> None:
        self._next = None
        sender = self._flow.sender
        if not sender.hears(RST) or not sender.options.get(_KEEPALIVE) or self._flow.is_waiting:
            return
        fate = self._wire.probe(sender)
        if fate != "drop":
            self.heard = now
            if fate == "reset" or sender.state is ESTABLISHED and self._flow.is_unknown:
                self._wire.clock.deliver_at(now + self._flow.round_trip(), functools.partial(end_alone, self._flow))
            return
        _, interval, count = self._settings()
        seconds = sender.options.get(USER_TIMEOUT, 0) / 1000
        if (now - self.heard >= seconds and self._missed) if seconds else self._missed >= count:
            self._flow.give_up()
            return
        self._missed += 1
        self._send_at(now + interval)


# -- resets


def reject(flow: Direction, segment: Any, more: float) -> None:
    """The way keeps a segment, and answers it with a reset in the name of the other end."""
    flow.wire.journal.add("rejected", flow.sender.label, segment.kind, segment.size)
    turn = Parcel(segment.size, str(segment), functools.partial(refuse, flow, segment))
    flow.ways[0].carry(flow.lane, turn, more)


def refuse(flow: Direction, segment: Any) -> None:
    """Nobody knows the connection where a segment has come: a reset sets out, behind what has come from there."""
    if segment.kind is RST:
        return  # nothing answers that
    out, back = flow.ways
    if out.is_cut or back.is_cut or back.loses():
        flow.lose(segment)
        return

    def come() -> None:
        if flow.ways[1].is_cut:
            flow.lose(segment)
        else:
            flow.lost.append(segment)
            end_alone(flow)

    back.carry(flow.other.lane if flow.other is not None else None, Parcel(0, f"reset for {segment}", come))


def end_alone(flow: Direction) -> None:
    """The sender is reset, and its peer hears nothing."""
    flow.forget()
    flow.is_over = True
    if flow.sender.hears(RST):
        flow.sender.arrive(RST)
    if flow.other is not None:
        flow.other.probes.watch()


def break_off(flow: Direction) -> None:
    """The connection is reset, on both sides."""
    flow.forget()
    flow.receiver.coming = 0
    for end in (flow.sender, flow.receiver):
        if end.hears(RST):
            end.arrive(RST)


# -- errors of ICMP


def fail(flow: Direction, verdict: Verdict) -> bool:
    """Let the sender hear of an error on the way; whether there is no route."""
    sender, clock = flow.sender, flow.wire.clock
    assert sender.remote is not None
    failure = verdict.failure(sender.remote[0])
    if failure.errno != errno.EMSGSIZE:  # TCP knows what fits through
        if sender.asks_for_reports(failure.version):
            clock.deliver_at(clock.now + flow.round_trip(), functools.partial(_warn, sender, failure.errno))
        else:
            sender.soft_error = failure.errno
    return failure.is_no_route


def _warn(sender: Connection, code: int) -> None:
    """Let the next call of the sender report this errno; the connection lives on."""
    if sender.state in CONNECTED:
        sender.error = code
        sender.changed()
