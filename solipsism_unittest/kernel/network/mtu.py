"""How large a packet may be: what the interface takes, and what the way to an address does, as far as a host knows.

Owns what each host has learned of ways (RFC 1191, RFC 8201), for ten minutes, as Linux does. Does not own what lies on
the way (wire/links.py). The rule that keeps it cheap: nobody asks for a datagram that fits through everything known.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Mapping
from typing import Any

from ..addresses.interfaces import is_loopback
from ..clock import VirtualClock

ETHERNET = 1500
LOOPBACK = {4: 65_535, 6: 65_536}
HEADERS = {4: 28, 6: 48}  # bytes of IP and UDP
LASTS = 600.0  # seconds: net.ipv4.route.mtu_expires
# IP_MTU_DISCOVER and IPV6_MTU_DISCOVER, and what they may be
_DISCOVER = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}
DONT, WANT, DO, PROBE, INTERFACE, OMIT = range(6)


def discovers(options: Mapping[tuple[int, int], Any], version: int) -> int:
    """How an end finds out what fits through: DONT, WANT, ..."""
    return int(options.get(_DISCOVER[version], WANT))


class Mtus:
    """What the hosts of one network know. `on_link(source, target)` is what a link between them takes at most."""

    def __init__(self, clock: VirtualClock, on_link: Callable[[str, str], int | None]) -> None:
        self._clock = clock
        self._on_link = on_link
        self._known: dict[tuple[str, str], tuple[int, float]] = {}  # by both addresses: bytes, and until when
        self.harmless = ETHERNET - max(HEADERS.values())  # bytes of a datagram that fits through all that is known

    def of_interface(self, source: str, target: str) -> int:
        """The largest packet that a host sends at all."""
        if source == target or is_loopback(target):
            return LOOPBACK[6 if ":" in target else 4]
        return max(ETHERNET, self._on_link(source, target) or 0)

    def known(self, source: str, target: str) -> int:
        """The largest packet that gets through, as far as the host knows."""
        mtu, until = self._known.get((source, target), (0, -math.inf))
        return mtu if self._clock.now < until else self.of_interface(source, target)

    def learn(self, source: str, target: str, mtu: int) -> None:
        """Hear that no more than this gets through."""
        self._known[source, target] = mtu, self._clock.now + LASTS
        self.harmless = min(self.harmless, mtu - max(HEADERS.values()))

    def refuses(self, options: Mapping[tuple[int, int], Any], size: int, source: str, target: str) -> int:
        """The MTU that a datagram of so many bytes does not fit into, where its sender forbids fragments; or 0."""
        version = 6 if ":" in target else 4
        mode = discovers(options, version)
        if mode in (DONT, WANT, OMIT):
            return 0
        limit = self.known(source, target) if mode == DO else self.of_interface(source, target)
        return limit if size + HEADERS[version] > limit else 0

    def is_stopped(self, options: Mapping[tuple[int, int], Any], size: int, source: str, target: str, mtu: int) -> bool:
        """Whether a datagram is too large for a link with this MTU, and no router may break it into fragments."""
        version = 6 if ":" in target else 4
        whole, known = size + HEADERS[version], self.known(source, target)
        if version == 6:  # its fragments are the sender's, as large as what is known
            return min(whole, known) > mtu
        mode = discovers(options, version)
        return whole > mtu and (mode == PROBE or mode in (WANT, DO) and whole <= known)
