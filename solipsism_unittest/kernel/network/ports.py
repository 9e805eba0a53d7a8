"""Ports of one protocol: which ends are bound where, which of them can share an address, which number is free.

Owns the table of bound ends and the numbers that it hands out; TCP has one and UDP has another. Does not own what an
end at a port does (network.py). Numbers count up, and none comes back before all were used: a client that gets the port
of a server that is gone would talk to itself, and who asks for two free ports one after the other would get one.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from ..addresses.hosts import MACHINE, Host, here
from ..addresses.interfaces import INTERFACES, OUTSIDE, is_loopback, is_many
from ..addresses.literals import unmap
from ..addresses.resolver import Names
from ..descriptors.end import Address, End
from ..descriptors.file import os_error

FIRST_FREE_PORT = 60001  # what port 0 becomes; above every client port and service
FIRST_CLIENT_PORT = 32768
WILDCARDS = {"0.0.0.0": 4, "::": 6}
ITSELF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # what a wildcard means as a destination

MANY = 8  # ends at one port: more of them are kept by address too

Kind = TypeVar("Kind", bound=End)


class Crowd(Generic[Kind]):
    """Many ends at one port, in the order in which they came."""

    def __init__(self, ends: Iterable[Kind]) -> None:
        self._ends: dict[Kind, None] = {}
        self._own: dict[str, dict[Kind, None]] = {}  # by the address that the program gave them: they keep it
        self._others: dict[Kind, None] = {}  # at a wildcard, or at an address that becomes one when a connect fails
        for end in ends:
            self.append(end)

    def append(self, end: Kind) -> None:
        """Add one."""
        self._ends[end] = self._beside(end)[end] = None

    def remove(self, end: Kind) -> None:
        """Take one away."""
        del self._ends[end], self._beside(end)[end]

    def _beside(self, end: Kind) -> dict[Kind, None]:
        return self._own.setdefault(end.local[0], {}) if end.has_own_address and end.local else self._others

    def near(self, address: str) -> Iterator[Kind]:
        """Those that may have this address, which is no wildcard; those that were given it come first."""
        return itertools.chain(self._own.get(address, ()), self._others)

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._ends)

    def __len__(self) -> int:
        return len(self._ends)


class Ports(Generic[Kind]):
    """The ports of one protocol. `is_exclusive(end)` is whether SO_REUSEADDR gives no other end its address."""

    def __init__(self, names: Names, is_exclusive: Callable[[Kind], bool]) -> None:
        self.bound: dict[int, list[Kind] | Crowd[Kind]] = {}  # by port
        self.chosen: dict[Kind, None] = {}  # ends whose port was chosen here; they lose it with their connection
        self.taken: dict[Address, tuple[Address, object]] = {}  # who had the address that another one wanted last
        self._names = names
        self._is_exclusive = is_exclusive
        self._client_ports: dict[str, int] = {}  # the last one, by address
        # By host, since its numbers came to their end last: the last that was given for port 0, and those from 60001 up
        # that somebody had.
        self._last: dict[str, int] = {}
        self._used: dict[str, set[int]] = {}

    def bindable(self, end: Kind, address: str) -> str:
        """The address that `end` gets for `address`. EINVAL: the wrong family. EADDRNOTAVAIL: no host has it."""
        address = unmap(address)
        host = here.get()
        if host is not None and host is not self._names.machine:
            end.is_everywhere = address in WILDCARDS
            if end.is_everywhere:  # a wildcard is the machine's: another host has one address
                address = own_address(host, address)
            elif is_loopback(address):
                address = self._names.loopback_of(host, address)
        if end.family == socket.AF_INET6 and end.v6_only and ":" not in address:
            raise os_error(errno.EINVAL)
        if address not in WILDCARDS and self._names.owner(address) is None and not is_many(address):
            raise OSError(errno.EADDRNOTAVAIL, f"{os.strerror(errno.EADDRNOTAVAIL)} ({address} is nobody's in this "
                                               f"test: self.network.add_host(name, {address!r}) gives it to a host)")
        return address

    def keep_family(self, end: Kind, address: str) -> None:
        """Restrict an end that a program has bound to an address of IPv6 to IPv6, as Linux's inet6_bind() does."""
        if ":" in address and address not in WILDCARDS:
            end.v6_only = True

    def take(self, end: Kind, address: str, port: int) -> None:
        """Put an end at its address."""
        end.local = address, port
        end.label = f"{address}:{port}"
        end.unbind = self.release
        there = self.bound.get(port)
        if there is None:
            self.bound[port] = [end]
        else:
            if len(there) == MANY and type(there) is list:
                there = self.bound[port] = Crowd(there)
            there.append(end)
        if port >= FIRST_FREE_PORT:
            self.use(self._host_name(address), port)

    def use(self, host: str, port: int) -> None:
        """Keep port 0 from becoming this number on a host, by name, before all others were used."""
        self._used.setdefault(host, set()).add(port)

    def release(self, end: Kind) -> None:
        """Take an end away from its port."""
        assert end.local is not None
        self.chosen.pop(end, None)
        port = end.local[1]
        there = self.bound[port]
        there.remove(end)
        if not there:
            del self.bound[port]

    def narrow(self, end: Kind, address: str) -> None:
        """Move an end from a wildcard address to one of the addresses that it stands for."""
        assert end.local is not None
        end.local = address, end.local[1]

    def near(self, port: int, address: str) -> Iterable[Kind]:
        """The ends at a port that may have this address or share it: where they are many, not those of other hosts."""
        there = self.bound.get(port, ())
        return there.near(address) if isinstance(there, Crowd) and address not in WILDCARDS else there

    def check_free(self, end: Kind, address: str, port: int) -> None:
        """EADDRINUSE when an end is there that cannot share the address with `end`."""
        other = next((other for other in self.near(port, address) if self._conflict(end, address, other)), None)
        if other is not None and other.local is not None:
            self.taken[address, port] = other.local, other.place
            raise os_error(errno.EADDRINUSE)

    def check_new(self, end: Kind, target: Address) -> None:
        """EADDRNOTAVAIL where there is a connection between the same two addresses."""
        assert end.local is not None
        for other in self.near(end.local[1], end.local[0]):
            if other.remote == target and other.local == end.local:
                raise os_error(errno.EADDRNOTAVAIL)

    def _conflict(self, end: Kind, address: str, other: Kind) -> bool:
        assert other.local is not None
        if other.has_lost_its_port:
            return False
        if not (self.overlap(address, end.v6_only, other.local[0], other.v6_only)
                or (end.is_everywhere or other.is_everywhere) and self.are_of_one_host(address, other.local[0])):
            return False
        if end.reuse_port and other.reuse_port:
            return False
        return not (end.reuse_address and other.reuse_address and not self._is_exclusive(other))

    def are_of_one_host(self, one: str, two: str) -> bool:
        """Whether two addresses of one family belong to one host."""
        return (":" in one) == (":" in two) and self._names.owner(one) is self._names.owner(two)

    def overlap(self, one: str, one_v6_only: bool, two: str, two_v6_only: bool) -> bool:
        """Whether two addresses have one in common."""
        if one == two:
            return True
        return self.covers(one, one_v6_only, two) or self.covers(two, two_v6_only, one)

    def covers(self, wildcard: str, v6_only: bool, address: str) -> bool:
        """Whether an end bound to `wildcard` answers for `address` (which may be a wildcard itself)."""
        version = WILDCARDS.get(wildcard)
        if version is None or not (address in WILDCARDS or self._names.is_local(address) or is_many(address)):
            return False
        is_six = ":" in address
        return is_six == (version == 6) or (version == 6 and not v6_only)

    def free_port(self, addresses: Iterable[str]) -> int:
        """The next port from 60001 up that is free on all these addresses and that nobody on their hosts had; when all
        were used, those that are free come back. EADDRINUSE when there is none.
        """
        wanted = tuple(addresses)
        hosts = list(dict.fromkeys(map(self._host_name, wanted)))
        last = max([self._last.get(host, 0) for host in hosts])
        port = self._next_port(max(last + 1, FIRST_FREE_PORT), hosts, wanted)
        if port is None:
            for host in hosts:
                self._used.pop(host, None)
            port = self._next_port(FIRST_FREE_PORT, hosts, wanted)
        if port is None:
            raise os_error(errno.EADDRINUSE)
        for host in hosts:
            self._last[host] = port
        return port

    def _next_port(self, first: int, hosts: list[str], addresses: tuple[str, ...]) -> int | None:
        used = [self._used[host] for host in hosts if host in self._used]
        for port in range(first, 65536):
            if not any([port in ports for ports in used]) and self.is_free(port, addresses):
                return port
        return None

    def is_free(self, port: int, addresses: Iterable[str]) -> bool:
        """Whether no end is at this port of any of these addresses."""
        return port not in self.bound or not any(
            self.overlap(address, False, other.local[0], other.v6_only)
            for address in addresses for other in self.near(port, address) if other.local)

    def _host_name(self, address: str) -> str:
        host = self._names.owner(address)
        return MACHINE if host is None else host.name

    def client_port(self, address: str) -> int:
        """The next port for a client on an address; EADDRNOTAVAIL when there is none."""
        # A wildcard gets no number that any address has just had, and no address one that a wildcard has just had.
        used = self._client_ports
        if address in WILDCARDS:
            last = max(used.values(), default=0)
        else:
            last = max(used.get(address, 0), used.get("0.0.0.0", 0), used.get("::", 0))
        last = last or FIRST_CLIENT_PORT - 1
        port = last
        for _ in range(FIRST_CLIENT_PORT, FIRST_FREE_PORT):
            port = port + 1 if port + 1 < FIRST_FREE_PORT else FIRST_CLIENT_PORT
            if port not in self.bound:
                used[address] = port
                return port
        raise os_error(errno.EADDRNOTAVAIL)


def wildcard_of(end: End) -> str:
    """The wildcard address of the family of `end`."""
    return "::" if end.family == socket.AF_INET6 else "0.0.0.0"


def own_address(host: Host, like: str) -> str:
    """The first address of a host of the family of another address; EADDRNOTAVAIL where it has none."""
    address = next((each for each in host.addresses if (":" in each) == (":" in like)), None)
    if address is None:
        raise os_error(errno.EADDRNOTAVAIL)
    return address


def meant_by(names: Names, address: str, is_there: Callable[[str], object]) -> str:
    """The address that a program on another host than the machine means by one of the loopback: its own host's, where
    somebody is there, or the machine's.
    """
    host = here.get()
    if host is None or host is names.machine or not is_loopback(address):
        return address
    own = (each for each in host.addresses if (":" in each) == (":" in address))
    return next(filter(is_there, (names.loopback_of(host, address), *own)), address)


def loopback_for(names: Names, host: Host, destination: str) -> str:
    """The own address of another host than the machine, in a connection to one of its addresses."""
    return names.loopback_of(host, "127.0.0.1") if destination.startswith("127.") else destination


def source_for(names: Names, destination: str) -> str:
    """The own address of the host that a program is on, in a connection to `destination`."""
    host = here.get()
    if host is not None and host is not names.machine:
        if names.owner(destination) is not host:
            return own_address(host, destination)
        return loopback_for(names, host, destination)
    if names.owner(destination) is names.machine:
        loopback = destination.startswith("127.") and destination != "127.0.0.1"
        return "127.0.0.1" if loopback else destination
    return INTERFACES[OUTSIDE].six if ":" in destination else INTERFACES[OUTSIDE].four
