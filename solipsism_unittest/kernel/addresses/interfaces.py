"""Addresses that mean many: broadcast, multicast groups, and the interfaces of the machine that they go through.

Owns the table of interfaces, and which addresses belong to no single host. Does not own who joined a group or who is
bound where. The machine has two interfaces: the loopback, and one to all other hosts.
"""

from __future__ import annotations

import functools
from ipaddress import ip_address
from typing import NamedTuple

LOOPBACK = 1
OUTSIDE = 2  # the default route
LIMITED_BROADCAST = "255.255.255.255"
MAX_MEMBERSHIPS = 20  # Linux's net.ipv4.igmp_max_memberships


class Interface(NamedTuple):
    """A network interface: its number and name, its addresses of either family, its network's broadcast address."""

    number: int
    name: str
    four: str
    six: str
    broadcast: str


INTERFACES = {
    LOOPBACK: Interface(LOOPBACK, "lo", "127.0.0.1", "::1", "127.255.255.255"),
    OUTSIDE: Interface(OUTSIDE, "eth0", "198.18.0.1", "2001:db8:0:2::1", "198.19.255.255"),
}


# Each datagram asks these of the same few addresses again and again.
@functools.lru_cache(1024)
def is_broadcast(address: str) -> bool:
    """Whether it is the broadcast address of one of the machine's networks, or the limited one."""
    return address == LIMITED_BROADCAST or any(address == interface.broadcast for interface in INTERFACES.values())


def is_multicast(address: str) -> bool:
    """Whether it is the address of a group, of either family."""
    return address[:2] in ("ff", "22", "23") and ip_address(address).is_multicast


def is_loopback(address: str) -> bool:
    """Whether it is an address by which a host reaches itself alone."""
    return address == "::1" or address.startswith(("127.", "::1%")) and not is_broadcast(address)


@functools.lru_cache(1024)
def is_many(address: str) -> bool:
    """Whether no single host has this address."""
    return is_broadcast(address) or is_multicast(address)


def interface_at(address: str) -> Interface | None:
    """The interface that has a unicast address, None where none has it; 0.0.0.0 leaves the choice to the machine."""
    if address == "0.0.0.0":
        return INTERFACES[OUTSIDE]
    if address.startswith("127."):
        return INTERFACES[LOOPBACK]
    return next((one for one in INTERFACES.values() if address in (one.four, one.six)), None)


def way_out(destination: str, source: str | None, chosen: int) -> Interface:
    """The interface of a packet to many: its network's, else the one `chosen` (0: none), else the source's."""
    for interface in INTERFACES.values():
        if destination == interface.broadcast:
            return interface
    own = interface_at(source) if source is not None else None
    return INTERFACES.get(chosen) or own or INTERFACES[OUTSIDE]
