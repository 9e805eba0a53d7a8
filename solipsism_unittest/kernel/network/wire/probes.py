"""Keepalive: an end that hears nothing for long asks whether its peer is there, and gives up in the end.

Owns the timer of the next probe of each end. Does not own what is on the way (flows.py). A probe is sent only while
something is cut: where nothing is, it would be answered. The rule that keeps it simple: while data is in flight there
are retransmissions, and no probes.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from typing import Protocol

from ...clock import VirtualClock
from ...descriptors.connection import Connection
from ...descriptors.transitions import BROKEN, ESTABLISHED, RESET, RST

KEEPALIVE = 7200, 75, 9  # seconds idle, seconds between probes, probes

_KEEPALIVE = socket.SOL_SOCKET, socket.SO_KEEPALIVE
_IDLE = socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", -1)
_INTERVAL = socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", -1)
_COUNT = socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", -1)
_USER_TIMEOUT = socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", -1)


class Between(Protocol):
    """What a probe asks about its way."""

    clock: VirtualClock

    def is_cut_between(self, end: Connection) -> bool:
        """Whether packets of this end, or the answers to them, are lost."""


class Probed(Protocol):
    """What has probes: a direction of a connection."""

    sender: Connection
    receiver: Connection

    def round_trip(self) -> float:
        """The seconds to the other end and back."""

    @property
    def is_waiting(self) -> bool:
        """Whether something is sent again and again."""

    def give_up(self) -> None:
        """End the connection: nobody has answered for too long."""


class Probes:
    """The keepalive of one end."""

    def __init__(self, wire: Between, flow: Probed) -> None:
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
        if not self._wire.is_cut_between(sender):
            self.heard = now
            receiver = self._flow.receiver
            if sender.state is ESTABLISHED and (receiver.is_on_crashed_host or receiver.state in (RESET, BROKEN)):
                self._wire.clock.deliver_at(now + self._flow.round_trip(), self._refuse)
            return
        _, interval, count = self._settings()
        seconds = sender.options.get(_USER_TIMEOUT, 0) / 1000
        if (now - self.heard >= seconds and self._missed) if seconds else self._missed >= count:
            self._flow.give_up()
            return
        self._missed += 1
        self._send_at(now + interval)

    def _refuse(self) -> None:
        """Nobody knows the connection at the other end any more: the answer to a probe is a reset."""
        if self._flow.sender.hears(RST):
            self._flow.sender.arrive(RST)
