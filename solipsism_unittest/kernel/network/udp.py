"""UDP: which address an end gets, and which ends get a datagram.

Owns the ports of UDP and the rules of udp(7) that depend on addresses: implicit binding, broadcast permission, who is
connected to whom, groups. Does not own queues (datagram.py). The rule that keeps it simple: `packet()` does all that
can fail for the sender, `deliver()` what the sender never hears of, and faults on the way come between the two.
"""

from __future__ import annotations

import errno
import socket
import zlib
from typing import NamedTuple

from ..addresses.interfaces import LOOPBACK, OUTSIDE, is_broadcast, is_many, is_multicast, way_out
from ..addresses.literals import unmap
from ..addresses.resolver import Names
from ..descriptors.datagram import Datagram, Packet, charge_of_udp, route
from ..descriptors.end import Address
from ..descriptors.file import os_error
from ..journal import Journal
from .ports import ITSELF, WILDCARDS, Ports, source_for, wildcard_of

LARGEST = {4: 65_507, 6: 65_527}  # bytes: what is left of 65,535 beside the headers
LENGTH_LIMIT = 65_535


class Source(NamedTuple):
    """Where a datagram comes from: the address, and the interface of one that is for many (0: for one host)."""

    address: str
    interface: int


def _version(address: str) -> int:
    return 6 if ":" in address else 4


def _hears(end: Datagram, packet: Packet) -> bool:
    """Whether an end takes a packet: not when it is connected to somebody else; port 0 stands for a whole host."""
    if end.remote is None or packet.source is None:
        return True
    address, port = end.remote
    return address == packet.source[0] and port in (0, packet.source[1])


class Udp:
    """UDP of one world."""

    def __init__(self, names: Names, journal: Journal) -> None:
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
        self.ports.take(end, address, port)
        end.was_bound = True
        self.ports.keep_family(end, address)
        self._journal.add("bind", end.label)

    def connect(self, end: Datagram, address: str, port: int) -> None:
        """Make an address the only one that `end` sends to and hears from; EACCES for a broadcast address."""
        address = self._destination(end, address)
        if end.local is None or end.local[0] in WILDCARDS:
            source = self._source(end, address).address
            if end.local is None:
                self.ports.take(end, source, self.ports.client_port(source))
            else:
                self.ports.narrow(end, source)
        assert end.local is not None
        end.remote = address, port
        end.label = end.ends().replace(" ", "")
        self._journal.add("connect", end.label)

    def _destination(self, end: Datagram, address: str) -> str:
        """The address that a datagram to `address` goes to. OSError when the end cannot send there."""
        address = unmap(address)
        address = ITSELF.get(address, address)
        local = end.local[0] if end.local is not None else None
        if end.family == socket.AF_INET6:
            if ":" not in address and (end.v6_only or (
                    end.was_bound and local is not None and ":" in local and local not in WILDCARDS)):
                raise os_error(errno.ENETUNREACH)
            if ":" in address and local is not None and ":" not in local:
                raise os_error(errno.EAFNOSUPPORT)
        if is_broadcast(address) and not end.broadcast:
            raise os_error(errno.EACCES)
        on_loopback = local is not None and local.startswith("127.") and not is_many(local)
        if on_loopback and not (":" in address or is_many(address) or self._names.is_local(address)):
            raise os_error(errno.EINVAL)  # the loopback interface leads nowhere else
        return address

    def _source(self, end: Datagram, destination: str) -> Source:
        """The address that a datagram carries as its sender's, and the interface that it leaves by."""
        version = _version(destination)
        local = end.local[0] if end.local is not None else None
        if local is not None and (local in WILDCARDS or is_many(local) or _version(local) != version):
            local = None
        if not is_many(destination):
            return Source(local or source_for(self._names, destination), 0)
        interface = way_out(destination, local, end.multicast.way_out[version])
        return Source(local or (interface.six if version == 6 else interface.four), interface.number)

    # -- sending

    def packet(self, end: Datagram, data: bytes, target: Address | None) -> Packet:
        """A datagram from `end` to an address, or to its peer; every error that the sender gets comes from here.

        In the order of Linux's udp_sendmsg(): an end without an address gets one, whatever follows.
        """
        if end.local is None:
            wildcard = wildcard_of(end)
            self.ports.take(end, wildcard, self.ports.client_port(wildcard))
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
            address = self._destination(end, address)
        version = _version(address)
        if len(data) > LARGEST[version]:
            raise os_error(errno.EMSGSIZE)
        end.check_before_sending()
        source, interface = self._source(end, address)
        return Packet(data, (source, end.local[1]), (address, port), charge_of_udp(len(data), version), end, interface)

    def deliver(self, packet: Packet) -> None:
        """Put a datagram into the queue of each receiver; when there is none, a connected sender gets an error."""
        assert packet.target is not None
        receivers = self._crowd(packet) if packet.interface else self._receiver(packet)
        for receiver in receivers:
            receiver.arrive(packet)
        if not receivers:
            self._journal.add("drop", route(packet), len(packet.data), "nobody listens there")
            if not packet.interface:
                packet.sender.refuse(packet.target)

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
        return end.local[0] == address or self.ports.covers(end.local[0], end.v6_only, address)

    def _crowd(self, packet: Packet) -> list[Datagram]:
        """The receivers of a datagram for a group, or for the whole network."""
        address, port = packet.target or ()
        group = (address, packet.interface) if is_multicast(address) else None
        if group is not None:
            # The loopback interface returns everything to this machine, whatever the sender chose.
            comes_back = packet.sender.multicast.loops_back[_version(address)] or packet.interface == LOOPBACK
            if not (comes_back and self._anybody_joined(group)):
                return []
        found = []
        for end in self.ports.bound.get(port, ()):
            heard = self._may_get(end, address) or (group is None and self._is_device(end, packet))
            if (heard and _hears(end, packet)
                    and (group is None or end.multicast.hears_all[_version(address)]
                         or group in end.multicast.groups)):
                found.append(end)
        return found

    def _is_device(self, end: Datagram, packet: Packet) -> bool:
        """Whether an end is on another machine of the outer network: its one address stands for all of that machine.

        A wildcard is always the test's own machine, so a device that is played could not hear a broadcast otherwise.
        """
        assert end.local is not None
        host = self._names.owner(end.local[0])
        return (packet.interface == OUTSIDE and ":" not in end.local[0] and host is not None
                and host is not self._names.machine)

    def _anybody_joined(self, group: tuple[str, int]) -> bool:
        return any(group in end.multicast.groups for ends in self.ports.bound.values() for end in ends)
