"""Literal addresses: text to address and back, as inet_aton(3), inet_pton(3) and inet_ntop(3) do it.

Owns the forms in which an address is written, scopes included, and nothing of who has it. The rule that keeps it
simple: text that is no literal is None, never an error, because it may be a name.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from ipaddress import ip_address

from .interfaces import INTERFACES

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_INDEXES = {interface.name: index for index, interface in INTERFACES.items()}
_OCTET = re.compile(r"0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+", re.ASCII)


@functools.lru_cache(1024)
def parse_address(text: str) -> IPAddress | None:
    """A literal address of either family, IPv4 in every form that inet_aton(3) reads, or None for anything else."""
    try:
        return ip_address(text)
    except ValueError:
        parts = text.split(".")
    if len(parts) > 4 or not all(map(_OCTET.fullmatch, parts)):
        return None
    numbers = [int(part, 16) if part[:2] in ("0x", "0X") else int(part, 8 if part[0] == "0" else 10)
               for part in parts]
    # The last number fills all the bytes that are left: 127.1 is 127.0.0.1.
    left = 4 - len(numbers[:-1])
    if any(number > 255 for number in numbers[:-1]) or numbers[-1] >= 256**left:
        return None
    return ipaddress.IPv4Address(int.from_bytes(bytes(numbers[:-1]), "big") * 256**left + numbers[-1])


@functools.lru_cache(1024)
def plain(text: str, version: int) -> str | None:
    """A literal address of an IP version in its usual writing, without its scope; None for anything else."""
    address = parse_address(text)
    return written(address) if address is not None and address.version == version else None


def written(address: IPAddress) -> str:
    """An address without its scope as inet_ntop(3) writes it: an IPv4 address inside an IPv6 one keeps its dots."""
    number = int(address)
    if address.version == 6 and (number >> 32 == 0xFFFF or 0xFFFF < number < 2**32):
        return ("::ffff:" if number >> 32 else "::") + str(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    return str(address).partition("%")[0]


def unmap(text: str) -> str:
    """The IPv4 address inside `::ffff:a.b.c.d`, and any other address as it is."""
    if not text.startswith("::ffff:"):
        return text
    address = parse_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped) if mapped else text


def scope_of(address: IPAddress) -> int | None:
    """The number behind the % of an address, 0 without one; None where it names no interface.

    Only an address that is valid on one link takes the name of an interface, as glibc's __inet6_scopeid_pton() has it.
    """
    scope = str(address).partition("%")[2]
    if not scope:
        return 0
    if scope in _INDEXES and _is_of_one_link(address):
        return _INDEXES[scope]
    number = int(scope) if _NUMBER.fullmatch(scope) else 2**32
    return number if number < 2**32 else None


def scope_text(address: IPAddress, scope: int) -> str:
    """What getnameinfo(3) writes behind an address of that scope: "%" and a name or number, "" for none."""
    if not scope:
        return ""
    return f"%{INTERFACES[scope].name if scope in INTERFACES and _is_of_one_link(address) else scope}"


def _is_of_one_link(address: IPAddress) -> bool:
    # fe80::/10 and ff02::/16
    return address.version == 6 and (int(address) >> 118 == 0x3FA or int(address) >> 112 & 0xFF0F == 0xFF02)
