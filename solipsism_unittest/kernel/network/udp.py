"""UDP: which address an end gets, and which ends get a datagram.

Owns the ports of UDP and the rules of udp(7) that depend on addresses: implicit binding, broadcast permission, who is
connected to whom, groups. Does not own queues (datagram.py). The rule that keeps it simple: `packet()` does all that
can fail for the sender, `deliver()` what the sender never hears of, and faults on the way come between the two.
"""

from __future__ import annotations

import errno
import functools
import socket
import zlib
from collections.abc import Callable, Iterator

from ..addresses.hosts import SCOPE, Host, here
from ..addresses.icmp import REFUSED, Failure, Report, too_large
from ..addresses.interfaces import LOOPBACK, OUTSIDE, is_broadcast, is_loopback, is_many, is_multicast, way_out
from ..addresses.literals import unmap
from ..addresses.resolver import Names
from ..descriptors.datagram import Datagram, Packet, charge_of_udp, route
from ..descriptors.end import Address
from ..descriptors.file import os_error
from ..journal import Journal
from .mtu import Mtus
from .ports import ITSELF, WILDCARDS, Ports, loopback_for, meant_by, own_address, source_for, wildcard_of

LARGEST = {4: 65_507, 6: 65_527}  # bytes: what is left of 65,535 beside the headers
LENGTH_LIMIT = 65_535


def _version(address: str) -> int:
    return 6 if ":" in address else 4


@functools.lru_cache(1024)
def _is_source(local: str, destination: str) -> bool:
    """Whether an end with this address sends from it, to that destination."""
    return not (local in WILDCARDS or is_many(local) or _version(local) != _version(destination))


def _hears(end: Datagram, packet: Packet) -> bool:
    """Whether an end takes a packet: not when it is connected to somebody else; port 0 stands for a whole host."""
    if end.remote is None or packet.source is None:
        return True
    address, port = end.remote
    return address == packet.source[0] and port in (0, packet.source[1])


class Udp:
    """UDP of one world. `report(packet, failure)` lets the sender know that nobody took a packet."""

    def __init__(self, names: Names, journal: Journal, mtus: Mtus, report: Callable[[Packet, Failure], None]) -> None:
        self._mtus = mtus
        self._report = report
        self.ports: Ports[Datagram] = Ports(names, lambda end: False)
        self._names = names
        self._journal = journal

    # -- addresses

    def bind(self, end: Datagram, address: str, port: int) -> None:
        """Give `end` a local address: of a host, a wildcard, a broadcast address or a group."""
        address = self.ports.bindable(end, address)
        if end.local is not None:
            raise os_error(errno.EINVAL)
        if port == 0:
            port = self.ports.free_port([address])
        else:
            self.ports.check_free(end, address, port)
        end.has_own_address = address not in WILDCARDS
        self._take(end, address, port)
        end.was_bound = True
        self.ports.keep_family(end, address)
        self._journal.add("bind", end.label)

    def _take(self, end: Datagram, address: str, port: int) -> None:
        self.ports.take(end, address, port)
        if here.get() is not None:
            end.home = here.get()

    def connect(self, end: Datagram, address: str, port: int) -> None:
        """Make an address the only one that `end` sends to and hears from; EACCES for a broadcast address."""
        address = self._destination(end, address, port)
        if end.local is None or end.local[0] in WILDCARDS:
            source = self._source(end, address)[0]
            if end.local is None:
                self._take(end, source, self.ports.client_port(source))
            else:
                self.ports.narrow(end, source)
        assert end.local is not None
        end.remote = address, port
        end.label = end.ends().replace(" ", "")
        self._journal.add("connect", end.label)

    def source(self, end: Datagram, address: str) -> str:
        """The address that a datagram of `end` to another one carries as its sender's; OSError as `connect()`."""
        return self._source(end, self._destination(end, address, 0))[0]

    def _destination(self, end: Datagram, address: str, port: int) -> str:
        """The address that a datagram to `address` goes to. OSError when the end cannot send there."""
        address = unmap(address)
        address = ITSELF.get(address, address)
        if here.get() is not None:
            address = meant_by(self._names, address, lambda own: any(
                self._may_get(each, own) for each in self.ports.bound.get(port, ())))
        local = end.local[0] if end.local is not None else None
        if end.family == socket.AF_INET6:
            if ":" not in address and (end.v6_only or (
                    end.was_bound and local is not None and ":" in local and local not in WILDCARDS)):
                raise os_error(errno.ENETUNREACH)
            if ":" in address and local is not None and ":" not in local:
                raise os_error(errno.EAFNOSUPPORT)
        if is_broadcast(address) and not end.broadcast:
            raise os_error(errno.EACCES)
        if local is not None and local != address and local.startswith("127.") and not (
                is_many(local) or ":" in address or is_many(address) or self._names.is_local(address)
                or self._names.owner(address) is self._names.owner(local)):
            raise os_error(errno.EINVAL)  # the loopback interface leads nowhere else
        return address

    def _source(self, end: Datagram, destination: str) -> tuple[str, int]:
        """The address that a datagram carries as its sender's, and the interface of one for many (0: for one host)."""
        local = end.local[0] if end.local is not None else None
        if (SCOPE in destination and end.is_everywhere and end.home is not None
                and end.home is self._names.owner(destination)):
            return loopback_for(self._names, end.home, destination), 0
        if local is not None and not _is_source(local, destination):
            local = None
        if not is_many(destination):
            return local or source_for(self._names, destination), 0
        version = _version(destination)
        interface = way_out(destination, local, end.multicast.way_out[version])
        host = here.get()
        if local is None and host is not None and host is not self._names.machine:
            local = own_address(host, destination)
        return local or (interface.six if version == 6 else interface.four), interface.number

    # -- sending

    def packet(self, end: Datagram, data: bytes, target: Address | None) -> Packet:
        """A datagram from `end` to an address, or to its peer; every error that the sender gets comes from here.

        In the order of Linux's udp_sendmsg(): an end without an address gets one, whatever follows.
        """
        if end.local is None:
            address = self.ports.bindable(end, wildcard_of(end))
            self._take(end, address, self.ports.client_port(address))
        assert end.local is not None
        if len(data) > LENGTH_LIMIT and end.family == socket.AF_INET:
            raise os_error(errno.EMSGSIZE)
        if target is None:
            if end.remote is None:
                raise os_error(errno.EDESTADDRREQ)
            address, port = end.remote
        else:
            address, port = target
            if port == 0:
                raise os_error(errno.EINVAL)
            address = self._destination(end, address, port)
        version = 6 if ":" in address else 4  # a call would cost each datagram
        source, interface = self._source(end, address)
        if len(data) > self._mtus.harmless:
            self._check_size(end, len(data), source, (address, port))
        end.check_before_sending()
        return Packet(data, (source, end.local[1]), (address, port), charge_of_udp(len(data), version), end, interface)

    def _check_size(self, end: Datagram, size: int, source: str, target: Address) -> None:
        """EMSGSIZE for what IP cannot carry, or not in one piece where the program wants that; in the queue too."""
        version = _version(target[0])
        limit = (self._mtus.of_interface(source, source) if size > LARGEST[version]
                 else self._mtus.refuses(end.options, size, source, target[0]))
        if limit:
            if end.asks_for_reports(version):
                port = target[1] if end.remote is not None else 0
                end.note(Report(too_large(limit, version).by_itself(), b"", (target[0], port), 0))
            raise os_error(errno.EMSGSIZE)

    def deliver(self, packet: Packet) -> None:
        """Put a datagram into the queue of each receiver; when there is none, a connected sender gets an error."""
        assert packet.target is not None
        if packet.interface:
            receivers = [end for ends in self.crowd(packet).values() for end in ends]
        else:
            receivers = self._receiver(packet)
        for receiver in receivers:
            receiver.arrive(packet)
        if not receivers:
            self._journal.add("drop", route(packet), len(packet.data), "nobody listens there")
            if not packet.interface:
                self._report(packet, REFUSED[_version(packet.target[0])])

    def listeners(self) -> Iterator[Datagram]:
        """Who is bound and not connected, in the order of the ports."""
        return (end for port in sorted(self.ports.bound) for end in self.ports.bound[port] if end.remote is None)

    def _receiver(self, packet: Packet) -> list[Datagram]:
        """The receiver of a datagram for one host: the end with the most exact address; of several, the last bound.

        Of ends that share a port by SO_REUSEPORT, a hash of the two addresses chooses one, always the same.
        """
        address, port = packet.target or ()
        bound = self.ports.bound.get(port, ())
        if len(bound) == 1:  # the common case
            return [end for end in bound if self._may_get(end, address) and _hears(end, packet)]
        rank: dict[Datagram, tuple[bool, bool, bool]] = {}
        for end in bound:
            if self._may_get(end, address) and _hears(end, packet):
                exact = end.local is not None and end.local[0] == address
                rank[end] = exact, end.remote is not None, (end.family == socket.AF_INET6) == (":" in address)
        if not rank:
            return []
        highest = max(rank.values())
        best = [end for end in rank if rank[end] == highest]
        if best[-1].reuse_port:
            best = [end for end in best if end.reuse_port]
            return [best[zlib.crc32(route(packet).encode()) % len(best)]]
        return best[-1:]

    def _may_get(self, end: Datagram, address: str) -> bool:
        """Whether an end is bound to an address, or to a wildcard that it is one of."""
        assert end.local is not None
        return end.local[0] == address or self.ports.covers(end.local[0], end.v6_only, address) or (
            end.is_everywhere and self.ports.are_of_one_host(end.local[0], address))

    def crowd(self, packet: Packet) -> dict[Host, list[Datagram]]:
        """The receivers of a datagram for a group, or for the whole network, by host."""
        address, port = packet.target or ()
        group = (address, packet.interface) if is_multicast(address) else None
        sender = self._home(packet.sender)
        # The loopback interface returns everything to this machine, whatever the sender chose.
        comes_back = packet.sender.multicast.loops_back[_version(address)] or packet.interface == LOOPBACK
        found: dict[Host, list[Datagram]] = {}
        for end in self.ports.bound.get(port, ()):
            home = self._home(end)
            if not _hears(end, packet) or not (self._may_get(end, address) or self._is_device(end, packet)):
                continue
            if home is not sender and packet.interface == LOOPBACK:
                continue
            if group is not None and not (
                    (home is not sender or comes_back) and self._anybody_joined(group, home)
                    and (end.multicast.hears_all[_version(address)] or group in end.multicast.groups)):
                continue
            found.setdefault(home, []).append(end)
        return found

    def _home(self, end: Datagram) -> Host:
        """The host that an end is on."""
        owner = self._names.owner(end.local[0]) if end.local is not None else None
        return end.home or owner or self._names.machine

    def _is_device(self, end: Datagram, packet: Packet) -> bool:
        """Whether an end is on another machine of the outer network: its one address stands for all of that machine.

        A wildcard is always the test's own machine, so a device that is played could not hear what is for many
        otherwise.
        """
        assert end.local is not None and packet.target is not None
        return (packet.interface == OUTSIDE and not is_many(end.local[0]) and not is_loopback(end.local[0])
                and _version(end.local[0]) == _version(packet.target[0])
                and self._home(end) is not self._names.machine)

    def _anybody_joined(self, group: tuple[str, int], host: Host) -> bool:
        return any(group in end.multicast.groups and self._home(end) is host
                   for ends in self.ports.bound.values() for end in ends)
