"""What a link does: its settings, which of them it can have, and how its jitter is spread.

Owns the values alone. What becomes of a packet stands in links.py, what becomes of a stream in flows.py.
"""

from __future__ import annotations

import errno
import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple

HEADERS = 40  # bytes of IP and TCP
SEGMENT = 1460  # bytes of a stream in one packet: what a link of Ethernet takes


class Settings(NamedTuple):
    """What a link does; all of it can be changed while packets are on their way."""

    latency: float = 0.0  # seconds, one way
    jitter: float = 0.0  # seconds: the deviation of the latency
    distribution: str = "uniform"  # of the jitter: or "normal", "pareto"
    correlation: float = 0.0  # of each jitter with the one before, from 0 up to 1
    stragglers: float = 0.0  # the share of packets that take `straggle` seconds more
    straggle: float = 1.0
    bandwidth: float | None = None  # bits a second
    loss: float = 0.0  # the share of packets that are lost
    burst: float = 1.0  # how many are lost in a row, on average (Gilbert-Elliott)
    duplicate: float = 0.0  # shares of datagrams
    reorder: float = 0.0
    corrupt: float = 0.0
    mtu: int | None = None  # the most bytes of a packet, with its headers of IP
    slice: int | None = None  # the most bytes of a stream in one packet
    limit: int | None = None  # bytes of streams after which nothing passes any more
    reset_after: int | None = None  # bytes of streams after which the connection is reset, at both ends
    slow_close: float = 0.0  # seconds that the end of a stream takes more
    # Errnos: what a connect is answered with (ETIMEDOUT: with nothing); and what every call gets at once that would
    # send over this link, as where the machine has no route.
    connect: int | None = None
    route: int | None = None

    @property
    def segment(self) -> int:
        """The most bytes of a stream in one packet, slices aside."""
        return SEGMENT if self.mtu is None else self.mtu - HEADERS

    def fragments(self, size: int) -> int:
        """How many packets a datagram of so many bytes takes."""
        if self.mtu is None or size + 28 <= self.mtu:
            return 1
        return -(-(size + 8) // ((self.mtu - 20) // 8 * 8))

    def but(self, settings: dict[str, Any]) -> Settings:
        """The same with other values for some. TypeError for a name, ValueError for a value that no link has."""
        unknown = [name for name in settings if name not in self._fields]
        if unknown:
            raise TypeError(f"a link has no {', '.join(unknown)}: it has {', '.join(self._fields)}")
        return self._replace(**settings).checked()

    def checked(self) -> Settings:
        """The same, or a ValueError for what no link can do."""
        for name in ("latency", "jitter", "straggle", "slow_close"):
            check_number(name, getattr(self, name), 0, math.inf, "a finite number of seconds from 0 up")
        for name in ("stragglers", "loss", "duplicate", "reorder", "corrupt"):
            check_number(name, getattr(self, name), 0, math.nextafter(1, 2), "a share from 0 to 1")
        check_number("correlation", self.correlation, 0, 1, "a share from 0 up, below 1")
        check_number("burst", self.burst, 1, math.inf, "a number of packets from 1 up")
        if self.bandwidth is not None:
            check_number("bandwidth", self.bandwidth, math.ulp(0), math.inf, "a number of bits a second, above 0")
        if self.distribution not in list(DEVIATES):
            raise ValueError(f"distribution is one of {', '.join(map(repr, DEVIATES))}, not {self.distribution!r}")
        if self.loss < 1 and self.burst * (1 - self.loss) < self.loss:
            raise ValueError(f"bursts of {self.burst!r} packets are too short for a loss of {self.loss!r}: a burst is "
                             f"at least {self.loss / (1 - self.loss):.6g} packets then")
        for name, least in (("slice", 1), ("limit", 0), ("reset_after", 0), ("mtu", 68)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise ValueError(f"{name} is a number of bytes from {least} up, or None, not {value!r}")
        for name in ("connect", "route"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value not in errno.errorcode):
                raise ValueError(f"{name} is an errno, such as errno.EHOSTUNREACH, or None, not {value!r}")
        return self


def check_number(name: str, value: object, least: float, below: float, words: str) -> None:
    """ValueError, in words, for what is no number of these limits."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value < below:
        raise ValueError(f"{name} is {words}, not {value!r}")


def _uniform(chance: random.Random) -> float:
    return chance.uniform(-1, 1)


def _normal(chance: random.Random) -> float:
    return chance.gauss(0, 1)


def _pareto(chance: random.Random) -> float:
    """A heavy tail: mean 0 and deviation 1 of what 1.5 and the root of 0.75 are for an exponent of 3."""
    return (chance.paretovariate(3) - 1.5) / math.sqrt(0.75)


DEVIATES: dict[str, Callable[[random.Random], float]] = {"uniform": _uniform, "normal": _normal, "pareto": _pareto}
