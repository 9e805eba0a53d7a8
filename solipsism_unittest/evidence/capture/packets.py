"""IP packets as bytes: TCP segments, UDP datagrams and ICMP errors, with right lengths and checksums.

RFC 791 and 8200 (IP), 9293 (TCP), 768 (UDP), 792 and 4443 (ICMP), 1071 (the checksum).
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
TTL = 64
# A neighbourhood of groups (224.0.0.0/24, ff02::/16) that no router may pass packets of on: they go out with 255.
_NEARBY = ipaddress.ip_network("224.0.0.0/24"), ipaddress.ip_network("ff02::/16")
# The most data of one TCP segment, so that IP's field for the length holds it: what Linux's loopback has, too.
LARGEST = {4: 65_495, 6: 65_475}

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Point(NamedTuple):
    """An address and a port."""

    address: IPAddress
    port: int


def point(address: str, port: int) -> Point:
    """A point from texts as sockets have them: a scope behind a % says nothing in a packet."""
    return Point(ipaddress.ip_address(address.partition("%")[0]), port)


def total(data: bytes) -> int:
    """The sum of the 16-bit words in ones' complement. One division is six times as fast as a loop over the words."""
    return int.from_bytes(data + b"\0" if len(data) % 2 else data, "big") % 65_535


def _checksum(data: bytes) -> int:
    # What sums to zero here sums to 0xFFFF in RFC 1071's way, for no packet is all zeros: its complement is 0.
    return (65_535 - total(data)) % 65_535


def _whole(source: Point, target: Point, protocol: int, payload: bytes, missing: int) -> bytes:
    """A packet of IP; `missing` bytes at its end were not kept."""
    length = len(payload) + missing
    ends = source.address.packed + target.address.packed
    ttl = 255 if any(target.address in nearby for nearby in _NEARBY) else TTL
    if source.address.version == 6:
        return b"\x60\0\0\0" + length.to_bytes(2, "big") + bytes([protocol, ttl]) + ends + payload
    head = b"\x45\0" + (20 + length).to_bytes(2, "big") + b"\0\0\x40\0" + bytes([ttl, protocol])
    return head + _checksum(head + ends).to_bytes(2, "big") + ends + payload


def _summed(source: Point, target: Point, protocol: int, head: bytes, at: int, data: bytes, missing: int) -> bytes:
    """A header and its data, with the checksum over both and over what RFC 9293 (3.1) calls the pseudo-header."""
    pseudo = source.address.packed + target.address.packed + (len(head) + len(data)).to_bytes(4, "big") + \
        protocol.to_bytes(4, "big")
    checksum = 0 if missing else _checksum(pseudo + head + data)  # without all bytes nobody can say
    if protocol == UDP and not checksum and not missing:
        checksum = 65_535  # RFC 768: zero stands for none
    return head[:at] + checksum.to_bytes(2, "big") + head[at + 2:] + data


def tcp(source: Point, target: Point, sequence: int, acknowledged: int, flags: int, window: int, data: bytes = b"",
        options: bytes = b"", missing: int = 0) -> bytes:
    """A segment of TCP. `options` are a multiple of four bytes."""
    head = b"".join([source.port.to_bytes(2, "big"), target.port.to_bytes(2, "big"),
                     (sequence % 2**32).to_bytes(4, "big"), (acknowledged % 2**32).to_bytes(4, "big"),
                     bytes([(20 + len(options)) // 4 << 4, flags]), window.to_bytes(2, "big"), b"\0\0\0\0", options])
    return _whole(source, target, TCP, _summed(source, target, TCP, head, 16, data, missing), missing)


def largest_segment(version: int, scale: int) -> bytes:
    """The options of a SYN: the largest segment, and by how many bits windows are shifted (RFC 7323)."""
    return b"\x02\x04" + LARGEST[version].to_bytes(2, "big") + b"\x01\x03\x03" + bytes([scale])


def udp(source: Point, target: Point, data: bytes, missing: int = 0) -> bytes:
    """A datagram of UDP."""
    length = 8 + len(data) + missing
    head = source.port.to_bytes(2, "big") + target.port.to_bytes(2, "big") + length.to_bytes(2, "big") + b"\0\0"
    return _whole(source, target, UDP, _summed(source, target, UDP, head, 6, data, missing), missing)


def nobody_there(datagram: bytes, source: Point, target: Point) -> bytes:
    """The answer of ICMP to a datagram, given as a packet, for a port that nobody listens on."""
    if target.address.version == 6:
        head = b"\x01\x04\0\0\0\0\0\0"
        return _whole(target, source, ICMP6, _summed(target, source, ICMP6, head, 2, datagram[:1232], 0), 0)
    answer = b"\x03\x03\0\0\0\0\0\0" + datagram[:548]
    return _whole(target, source, ICMP, answer[:2] + _checksum(answer).to_bytes(2, "big") + answer[4:], 0)
