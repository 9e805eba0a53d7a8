"""Addresses and ports: who is bound where, and who answers a connect.

Owns the table of bound ends and the numbers that it hands out. Does not own what flows (stream.py) or what a host is
called (names.py). Every host of the world is played by this one process, so an end may bind to any host that is known;
a wildcard address stands for the machine that the program runs on, never for the others.
"""

from __future__ import annotations

import errno
import itertools
import socket
from collections.abc import Iterable

from .files import os_error
from .journal import Journal
from .names import MACHINE, Names, unmap
from .stream import CONNECT, FRESH, LISTENING, RST, Stream

FIRST_FREE_PORT = 60001  # what port 0 becomes; above every client port and service
FIRST_CLIENT_PORT = 32768
WILDCARDS = {"0.0.0.0": 4, "::": 6}


class Network:
    """The addresses of one world."""

    def __init__(self, names: Names, journal: Journal) -> None:
        self.names = names
        self._journal = journal
        self._bound: dict[int, list[Stream]] = {}  # by port
        self._promised: set[tuple[str, int]] = set()  # (host name, port) that unused_port() gave away
        self._client_ports: dict[str, int] = {}  # the last one, by address
        self._chosen: dict[Stream, None] = {}  # ends whose port was chosen here: it goes back when their life is over

    # -- binding

    def bind(self, end: Stream, address: str, port: int) -> None:
        """Give `end` a local address; port 0 is the lowest free one from 60001 up on that host."""
        again = end.is_over and end in self._chosen
        if not again and (end.local is not None or end.state is not FRESH):
            raise os_error(errno.EINVAL)
        address = unmap(address)
        if end.family == socket.AF_INET6 and end.v6_only and ":" not in address:
            raise os_error(errno.EINVAL)
        if address not in WILDCARDS and self.names.owner(address) is None:
            raise os_error(errno.EADDRNOTAVAIL)
        if port == 0:
            port = self.free_port([address])
            if not again:
                self._chosen[end] = None
        elif any(self._conflict(end, address, other) for other in self._bound.get(port, ())):
            raise os_error(errno.EADDRINUSE)
        if again:
            self._release(end)
        self._take(end, address, port)
        self._journal.add("bind", end.label)

    def _take(self, end: Stream, address: str, port: int) -> None:
        end.local = address, port
        end.label = f"{address}:{port}"
        end.unbind = self._release
        self._bound.setdefault(port, []).append(end)

    def _release(self, end: Stream) -> None:
        assert end.local is not None
        self._chosen.pop(end, None)
        there = self._bound[end.local[1]]
        there.remove(end)
        if not there:
            del self._bound[end.local[1]]

    def _conflict(self, end: Stream, address: str, other: Stream) -> bool:
        assert other.local is not None
        if not self._overlap(address, end.v6_only, other.local[0], other.v6_only):
            return False
        if end.reuse_port and other.reuse_port:
            return False
        return not (end.reuse_address and other.reuse_address and other.state is not LISTENING)

    def _overlap(self, one: str, one_v6_only: bool, two: str, two_v6_only: bool) -> bool:
        if one == two:
            return True
        return self._covers(one, one_v6_only, two) or self._covers(two, two_v6_only, one)

    def _covers(self, wildcard: str, v6_only: bool, address: str) -> bool:
        """Whether an end bound to `wildcard` answers for `address` (which may be a wildcard itself)."""
        version = WILDCARDS.get(wildcard)
        if version is None or (address not in WILDCARDS and not self.names.is_local(address)):
            return False
        is_six = ":" in address
        return is_six == (version == 6) or (version == 6 and not v6_only)

    def free_port(self, addresses: Iterable[str]) -> int:
        """The lowest port from 60001 up that is free on all these addresses; EADDRINUSE when there is none."""
        wanted = list(addresses)
        hosts = dict.fromkeys(self._host_name(address) for address in wanted)
        port = FIRST_FREE_PORT
        while any((host, port) in self._promised for host in hosts) or any(
                self._overlap(address, False, other.local[0], other.v6_only)
                for other in self._bound.get(port, ()) if other.local for address in wanted):
            port += 1
        if port > 65535:
            raise os_error(errno.EADDRINUSE)
        return port

    def _host_name(self, address: str) -> str:
        host = self.names.owner(address)
        return MACHINE if host is None else host.name

    def unused_port(self, host: str = "localhost") -> int:
        """A port that nobody uses on any address of `host`; nobody else is given it, and port 0 will not become it."""
        if not isinstance(host, str):
            raise TypeError(f"a host is a name or an address as text, not {host!r}")
        known = self.names.declare(host)
        port = self.free_port([*known.addresses, *(WILDCARDS if known is self.names.machine else ())])
        self._promised.add((known.name, port))
        return port

    # -- listening and connecting

    def listen(self, end: Stream, backlog: int) -> None:
        """Make `end` a listener; an end without an address gets one on every address of the machine."""
        if end.state not in (FRESH, LISTENING):
            raise os_error(errno.EINVAL)
        if end.local is None:
            wildcard = "::" if end.family == socket.AF_INET6 else "0.0.0.0"
            self._take(end, wildcard, self.free_port([wildcard]))
            self._chosen[end] = None
        assert end.local is not None
        address, port = end.local
        for other in self._bound[port]:
            if (other is not end and other.state is LISTENING and not (end.reuse_port and other.reuse_port)
                    and self._overlap(address, end.v6_only, other.local[0], other.v6_only)):  # type: ignore[index]
                raise os_error(errno.EADDRINUSE)
        end.listen(backlog)

    def connect(self, end: Stream, address: str, port: int) -> None:
        """Start connecting; the answer, where there is one, has arrived when this returns."""
        address = unmap(address)
        address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
        if end.local is None or end.local[0] in WILDCARDS:
            source = self._source(address)
            if end.local is None:
                self._take(end, source, self._client_port(source))
                self._chosen[end] = None
            else:
                end.local = source, end.local[1]
        assert end.local is not None
        if any(other.remote == (address, port) and other.local == end.local for other in self._bound[end.local[1]]):
            raise os_error(errno.EADDRNOTAVAIL)  # two connections between the same two addresses
        end.remote = address, port
        end.label = f"{end.local[0]}:{end.local[1]}>{address}:{port}"
        end._move(CONNECT)
        listener = self.listener(address, port)
        self._journal.add("connect", end.label, "" if listener else "refused")
        if listener is None:
            end.arrive(RST)
        else:
            listener.knock(end)

    def listener(self, address: str, port: int) -> Stream | None:
        """Who answers a connect to this address: the most exact one that listens."""
        there = [end for end in self._bound.get(port, ()) if end.state is LISTENING and end.local]
        for end in there:
            if end.local and end.local[0] == address:
                return end
        covering = [end for end in there if end.local and self._covers(end.local[0], end.v6_only, address)]
        # Of two wildcards the one of the address's own family wins.
        covering.sort(key=lambda end: (":" in address) != (end.family == socket.AF_INET6))
        return covering[0] if covering else None

    def _source(self, destination: str) -> str:
        is_six = ":" in destination
        if self.names.is_local(destination):
            loopback = destination.startswith("127.") and destination != "127.0.0.1"
            return "127.0.0.1" if loopback else destination
        return "2001:db8:0:2::1" if is_six else "198.18.0.1"

    def _client_port(self, address: str) -> int:
        last = self._client_ports.get(address, FIRST_CLIENT_PORT - 1)
        for port in itertools.chain(range(last + 1, FIRST_FREE_PORT), range(FIRST_CLIENT_PORT, last + 1)):
            if port not in self._bound:
                self._client_ports[address] = port
                return port
        raise os_error(errno.EADDRNOTAVAIL)

    def __repr__(self) -> str:
        listeners = [end for ends in self._bound.values() for end in ends if end.state is LISTENING]
        return f"<Network: {len(self.names.hosts)} hosts, {len(listeners)} listeners>"
