"""Errors of ICMP: what Linux makes of each, and the queue of those that an end has asked for.

Owns the numbers of RFC 792 and RFC 4443 with the errno of each, as `icmp_err_convert` and `icmpv6_err_convert()` of
Linux have them, and the queue that MSG_ERRQUEUE reads. Does not own when an error comes back (kernel/network), nor who
hears of it. The rule that keeps it simple: an errno alone says too little, so the whole `Failure` travels.
"""

from __future__ import annotations

import errno
from collections import deque
from typing import Any, NamedTuple

QUOTED = {4: 576 - 56, 6: 1280 - 96}  # bytes of a datagram that its error brings back: what is left beside the headers


class Failure(NamedTuple):
    """An error of ICMP (of ICMPv6 for version 6): its errno, whether it lasts, and its numbers.

    Of one that does not last those alone hear who asked, by IP_RECVERR. `kind` is 0 where this machine refused itself.
    """

    errno: int
    lasts: bool
    version: int
    kind: int
    code: int
    mtu: int = 0  # of "too large": what is not

    @property
    def is_no_route(self) -> bool:
        """Whether TCP takes its waiting back (RFC 6069)."""
        return (self.kind, self.code) in _NO_ROUTE[self.version]


    def by_itself(self) -> Failure:
        """The same, found out by this machine."""
        return self._replace(kind=0, code=0)


_NO_ROUTE = {4: ((3, 0), (3, 1)), 6: ((1, 0),)}
# By version, type and code: the errno, and whether it lasts. Of several with one errno the first is the usual one.
_FAILURES: dict[int, dict[tuple[int, int], tuple[int, bool]]] = {
    4: {
        (3, 0): (errno.ENETUNREACH, False), (3, 1): (errno.EHOSTUNREACH, False), (3, 2): (errno.ENOPROTOOPT, True),
        (3, 3): (errno.ECONNREFUSED, True), (3, 4): (errno.EMSGSIZE, True), (3, 5): (errno.EOPNOTSUPP, False),
        (3, 6): (errno.ENETUNREACH, True), (3, 7): (errno.EHOSTDOWN, True), (3, 8): (errno.ENONET, True),
        (3, 9): (errno.ENETUNREACH, True), (3, 10): (errno.EHOSTUNREACH, True), (3, 11): (errno.ENETUNREACH, False),
        (3, 12): (errno.EHOSTUNREACH, False), (3, 13): (errno.EHOSTUNREACH, True), (3, 14): (errno.EHOSTUNREACH, True),
        (3, 15): (errno.EHOSTUNREACH, True), (11, 0): (errno.EHOSTUNREACH, False), (12, 0): (errno.EPROTO, True),
        (12, 1): (errno.EPROTO, True),
    },
    6: {
        (1, 0): (errno.ENETUNREACH, False), (1, 1): (errno.EACCES, True), (1, 2): (errno.EHOSTUNREACH, False),
        (1, 3): (errno.EHOSTUNREACH, False), (1, 4): (errno.ECONNREFUSED, True), (1, 5): (errno.EACCES, True),
        (1, 6): (errno.EACCES, True), (2, 0): (errno.EMSGSIZE, True), (3, 0): (errno.EHOSTUNREACH, False),
        (4, 0): (errno.EPROTO, True), (4, 1): (errno.EPROTO, True), (4, 2): (errno.EPROTO, True),
    },
}
NUMBERS = [list(each) for each in _FAILURES.values()]


def failure_of(kind: int, code: int, version: int) -> Failure:
    """What this error of ICMP is to a socket; ValueError where Linux makes nothing of it."""
    found = _FAILURES[version].get((kind, code))
    if found is None:
        raise ValueError(f"no call fails with type {kind}, code {code} of ICMP for IPv{version}: there are "
                         f"{', '.join(f'{one}/{two}' for one, two in _FAILURES[version])}")
    return Failure(*found, version, kind, code)


def usual_failure(code: int, version: int) -> Failure:
    """The usual error with this errno; where ICMP has none, one that lasts and has no numbers."""
    for numbers, (each, lasts) in _FAILURES[version].items():
        if each == code:
            return Failure(code, lasts, version, *numbers)
    return Failure(code, True, version, 0, 0)


REFUSED = {version: usual_failure(errno.ECONNREFUSED, version) for version in _FAILURES}


def too_large(mtu: int, version: int) -> Failure:
    """A packet is larger than what fits through."""
    return usual_failure(errno.EMSGSIZE, version)._replace(mtu=mtu)


class Report(NamedTuple):
    """What MSG_ERRQUEUE gives: an error, the datagram that it is about, where that went, and its bytes of a buffer."""

    failure: Failure
    data: bytes
    target: tuple[Any, ...]
    charge: int


class Reports:
    """The errors of an end that nobody has read yet."""

    def __init__(self) -> None:
        self._waiting: deque[Report] = deque()
        self._charge = 0  # bytes that they take

    def add(self, report: Report, room: float) -> None:
        """Note an error, where there is room for one more byte than all of them take, as sock_queue_err_skb()."""
        if self._charge + report.charge < room:
            self._charge += report.charge
            self._waiting.append(report._replace(data=report.data[:QUOTED[report.failure.version]]))

    def take(self) -> tuple[Report, int]:
        """The oldest, and the errno that the next call reports: that of the next, if it came by ICMP."""
        first = self._waiting.popleft()
        self._charge -= first.charge
        after = self._waiting[0].failure if self._waiting else None
        return first, after.errno if after is not None and after.kind else 0

    def __len__(self) -> int:
        return len(self._waiting)
