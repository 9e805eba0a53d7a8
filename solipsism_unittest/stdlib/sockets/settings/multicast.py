"""Options of multicast: which groups a UDP socket hears, and which way its packets to a group take.

Owns the C structures of these options and their errors. Does not own who receives what (kernel/network/udp.py). The
rule that keeps it simple: each option is a pair, how it is read and how it is set, in `MULTICAST`; options.py puts them
into its own table. TCP has some of them on Linux too, where they have no effect.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Callable

from ....kernel.addresses.hosts import own_interface
from ....kernel.addresses.interfaces import INTERFACES, OUTSIDE
from ....kernel.descriptors.datagram import Datagram, Memberships
from ....kernel.descriptors.end import End
from ....kernel.descriptors.file import os_error

Key = tuple[int, int]
Value = int | bytes
Pair = tuple[Callable[[End], Value], Callable[[End, Value], None]]

_IP, _IPV6 = int(socket.IPPROTO_IP), int(socket.IPPROTO_IPV6)
# Linux's numbers, for systems and Pythons that do not name them
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29


def number_in(value: Value, shortest: int = 4) -> int:
    """The int that a program passed, as such or in bytes: one is enough for an option of IPv4. EINVAL for too few."""
    if isinstance(value, int):
        return value
    if len(value) < shortest:
        raise os_error(errno.EINVAL)
    return int.from_bytes(value[:4], sys.byteorder, signed=True) if len(value) >= 4 else value[0]


def _bytes(value: Value, size: int) -> bytes:
    """A structure that a program passed; EINVAL when it is too short."""
    if isinstance(value, int) or len(value) < size:
        raise os_error(errno.EINVAL)
    return value


def _of_udp(end: End, otherwise: int) -> Datagram:
    if not isinstance(end, Datagram):
        raise os_error(otherwise)
    return end


def _remembered(key: Key, default: int, lowest: int, highest: int, standing_for: dict[int, int],
                on_tcp: int) -> Pair:
    """A number within limits (EINVAL outside). It has no effect: every host of this world is one hop away."""

    def change(end: End, value: Value) -> None:
        number = number_in(value, 1 if key[0] == _IP else 4)
        _of_udp(end, on_tcp)
        if not lowest <= number <= highest:
            raise os_error(errno.EINVAL)
        end.remember(key, standing_for.get(number, number))

    return lambda end: end.options.get(key, default), change


def _flag(table: Callable[[Memberships], dict[int, bool]], version: int, key: Key, strict: bool) -> Pair:
    """A switch, which TCP remembers without effect; a `strict` one takes only 0 and 1."""

    def read(end: End) -> Value:
        return int(table(end.multicast)[version]) if isinstance(end, Datagram) else end.options.get(key, 1)

    def change(end: End, value: Value) -> None:
        number = number_in(value, 1 if version == 4 else 4)
        if strict and number not in (0, 1):
            raise os_error(errno.EINVAL)
        end.remember(key, int(number != 0))
        if isinstance(end, Datagram):
            table(end.multicast)[version] = number != 0

    return read, change


# -- groups


def _membership(end: End, value: Value) -> tuple[Datagram, str, int | None]:
    """The group and interface in a struct ip_mreq or ip_mreqn; None for an unknown interface."""
    udp = _of_udp(end, errno.EPROTO)
    data = _bytes(value, 8)
    group = ipaddress.IPv4Address(data[:4])
    number = int.from_bytes(data[8:12], sys.byteorder) if len(data) >= 12 else 0
    if number:
        return udp, str(group), number if number in INTERFACES else None
    interface = own_interface(str(ipaddress.IPv4Address(data[4:8])))
    return udp, str(group), interface.number if interface is not None else None


def _join(end: End, value: Value) -> None:
    udp, group, interface = _membership(end, value)
    if not ipaddress.IPv4Address(group).is_multicast:
        raise os_error(errno.EINVAL)
    if interface is None:
        raise os_error(errno.ENODEV)
    udp.multicast.join(group, interface)


def _leave(end: End, value: Value) -> None:
    udp, group, interface = _membership(end, value)
    udp.multicast.leave(group, interface or 0)


def _membership6(end: End, value: Value) -> tuple[Datagram, str, int]:
    """The group and interface in a struct ipv6_mreq."""
    data = _bytes(value, 20)
    udp = _of_udp(end, errno.EPROTO)
    group = ipaddress.IPv6Address(data[:16])
    if not group.is_multicast:
        raise os_error(errno.EINVAL)
    return udp, str(group), int.from_bytes(data[16:20], sys.byteorder) or OUTSIDE


def _join6(end: End, value: Value) -> None:
    udp, group, interface = _membership6(end, value)
    if interface not in INTERFACES:
        raise os_error(errno.ENODEV)
    udp.multicast.join(group, interface)


def _leave6(end: End, value: Value) -> None:
    udp, group, interface = _membership6(end, value)
    udp.multicast.leave(group, interface)


def _write_only(end: End) -> Value:
    raise os_error(errno.ENOPROTOOPT)


# -- the way out

_IP_IF: Key = (_IP, socket.IP_MULTICAST_IF)


def _set_way_out(end: End, value: Value) -> None:
    """IP_MULTICAST_IF, from a struct in_addr, ip_mreq or ip_mreqn; 0.0.0.0 leaves the choice to the system."""
    udp = _of_udp(end, errno.EINVAL)
    data = value.to_bytes(4, sys.byteorder, signed=True) if isinstance(value, int) else _bytes(value, 4)
    address = str(ipaddress.IPv4Address(data[:4] if len(data) < 8 else data[4:8]))
    number = int.from_bytes(data[8:12], sys.byteorder) if len(data) >= 12 else 0
    if number and number not in INTERFACES:
        raise os_error(errno.EADDRNOTAVAIL)
    if not number and address != "0.0.0.0":
        interface = own_interface(address)
        if interface is None:
            raise os_error(errno.EADDRNOTAVAIL)
        number = interface.number
    udp.multicast.way_out[4] = number
    udp.remember(_IP_IF, ipaddress.IPv4Address(address).packed)


def _set_way_out6(end: End, value: Value) -> None:
    udp = _of_udp(end, errno.ENOPROTOOPT)
    number = number_in(value)
    if number and number not in INTERFACES:
        raise os_error(errno.ENODEV)
    udp.multicast.way_out[6] = number


_TTL: Key = (_IP, socket.IP_MULTICAST_TTL)
_HOPS: Key = (_IPV6, socket.IPV6_MULTICAST_HOPS)
_LOOP: Key = (_IP, socket.IP_MULTICAST_LOOP)
_LOOP6: Key = (_IPV6, socket.IPV6_MULTICAST_LOOP)
_ALL, _ALL6 = (_IP, _IP_MULTICAST_ALL), (_IPV6, _IPV6_MULTICAST_ALL)

MULTICAST: dict[Key, Pair] = {
    _TTL: _remembered(_TTL, 1, -1, 255, {-1: 1}, errno.EINVAL),
    _HOPS: _remembered(_HOPS, 1, -1, 255, {-1: 1}, errno.ENOPROTOOPT),
    _LOOP: _flag(lambda own: own.loops_back, 4, _LOOP, strict=False),
    _LOOP6: _flag(lambda own: own.loops_back, 6, _LOOP6, strict=True),
    _ALL: _flag(lambda own: own.hears_all, 4, _ALL, strict=True),
    _ALL6: _flag(lambda own: own.hears_all, 6, _ALL6, strict=False),
    _IP_IF: (lambda end: end.options.get(_IP_IF, bytes(4)), _set_way_out),
    (_IPV6, socket.IPV6_MULTICAST_IF): (
        lambda end: end.multicast.way_out[6] if isinstance(end, Datagram) else 0, _set_way_out6),
    (_IP, socket.IP_ADD_MEMBERSHIP): (_write_only, _join),
    (_IP, socket.IP_DROP_MEMBERSHIP): (_write_only, _leave),
    (_IPV6, socket.IPV6_JOIN_GROUP): (_write_only, _join6),
    (_IPV6, socket.IPV6_LEAVE_GROUP): (_write_only, _leave6),
}
