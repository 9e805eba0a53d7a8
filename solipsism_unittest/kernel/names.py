"""The resolver: names and services to addresses, and back.

Owns every host that is known: the machine itself, and others that come into being when they are asked for, each with
one stable made-up address of either family. Addresses come from ranges that nobody owns: 198.18.0.0/15 (RFC 2544) and
2001:db8::/32 (RFC 3849). Answers and error codes are getaddrinfo(3)'s.
"""

from __future__ import annotations

import hashlib
import ipaddress
import operator
import re
import socket
from typing import NamedTuple

from .journal import Journal

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

MACHINE = "localhost"
SERVICES = {
    "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "http": 80, "pop3": 110, "ntp": 123, "imap2": 143,
    "snmp": 161, "ldap": 389, "https": 443, "submission": 587, "ldaps": 636, "imaps": 993, "pop3s": 995,
    "mysql": 3306, "postgresql": 5432, "amqp": 5672, "http-alt": 8080, "mqtt": 1883, "redis": 6379,
}
_DATAGRAM_SERVICES = frozenset({"domain", "ntp", "snmp"})
# What a look-up without a type answers for, in this order; a raw socket takes any protocol, and no service.
_PROTOCOLS = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP, socket.SOCK_RAW: 0}
# Bits 6 to 9 are glibc's for international names; CPython has encoded those before.
_KNOWN_FLAGS = int(socket.AI_PASSIVE | socket.AI_CANONNAME | socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
                   | socket.AI_ADDRCONFIG | socket.AI_V4MAPPED | socket.AI_ALL) | 0x3C0
_MAPPED = int(ipaddress.IPv6Address("::ffff:0:0"))
_LOOPBACK_INTERFACE = {"lo": 1, "1": 1}
# Letters, digits, hyphen and underscore; the last label is not a number (RFC 1123, 2.1), so a typing error in an
# address or a URL in the place of a host does not become a host.
_HOST_NAME = re.compile(r"(?!-)(?:[a-z0-9_-]{1,63}\.)*(?![0-9]+$)[a-z0-9_-]{1,63}", re.ASCII)
_OCTET = re.compile(r"0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*", re.ASCII | re.IGNORECASE)

_ADDRESS_FAMILY = getattr(socket, "EAI_ADDRFAMILY", socket.EAI_NONAME)  # not on every system
_MESSAGES = {
    _ADDRESS_FAMILY: "Address family for hostname not supported",
    socket.EAI_NONAME: "Name or service not known",
    socket.EAI_FAMILY: "ai_family not supported",
    socket.EAI_SOCKTYPE: "ai_socktype not supported",
    socket.EAI_SERVICE: "Servname not supported for ai_socktype",
    socket.EAI_BADFLAGS: "Bad value for ai_flags",
}


def resolver_error(code: int) -> socket.gaierror:
    """The error of getaddrinfo(3) with its usual text."""
    return socket.gaierror(code, _MESSAGES[code])


def parse_address(text: str) -> IPAddress | None:
    """A literal address of either family, IPv4 in every form that inet_aton(3) reads, or None for anything else."""
    try:
        return ipaddress.ip_address(text)
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


def written(address: IPAddress) -> str:
    """An address without its scope as inet_ntop(3) writes it: an IPv4 address inside an IPv6 one keeps its dots."""
    number = int(address)
    if address.version == 6 and (number >> 32 == 0xFFFF or 0xFFFF < number < 2**32):
        return ("::ffff:" if number >> 32 else "::") + str(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    return str(address).partition("%")[0]


def unmap(text: str) -> str:
    """The IPv4 address inside `::ffff:a.b.c.d`, and any other address as it is."""
    address = parse_address(text) if text.startswith("::ffff:") else None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped) if mapped else text


class Host(NamedTuple):
    """A machine on the network: its name and its addresses as text."""

    name: str
    addresses: tuple[str, ...]


class Names:
    """Every known host, by name and by address."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.hosts: dict[str, Host] = {}
        self._owners: dict[str, Host] = {}
        # What programs on this machine see as their own: loopback, and one address for talking to other hosts.
        self.machine = self._add(Host(MACHINE, ("127.0.0.1", "::1", "198.18.0.1", "2001:db8:0:2::1")))

    def _add(self, host: Host) -> Host:
        self.hosts[host.name] = host
        for address in host.addresses:
            self._owners[address] = host
        return host

    def owner(self, address: str) -> Host | None:
        """The host that an address (text) belongs to, or None."""
        if address.startswith("127."):
            return self.machine
        return self._owners.get(address)

    def is_local(self, address: str) -> bool:
        """Whether this is an address of the machine that the program runs on."""
        return self.owner(address) is self.machine

    def declare(self, name: str) -> Host:
        """The host of this name or literal address; it comes into being when it is new. A bad name is a gaierror."""
        literal = parse_address(name)
        if literal is not None:
            text = unmap(written(literal))
            return self.owner(text) or self._add(Host(text, (text,)))
        return self._host(name)

    def _host(self, name: str) -> Host:
        name = name.lower().rstrip(".")
        if not _HOST_NAME.fullmatch(name) or len(name) > 253:
            raise resolver_error(socket.EAI_NONAME)
        if name == MACHINE or name.endswith("." + MACHINE):  # RFC 6761, 6.3
            return self.machine
        if name == "invalid" or name.endswith(".invalid"):  # RFC 6761, 6.4: never exists
            raise resolver_error(socket.EAI_NONAME)
        return self.hosts.get(name) or self._add(Host(name, self._make_up(name)))

    def _make_up(self, name: str) -> tuple[str, str]:
        """An address of either family: from the name alone, but where another host has it already."""
        number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
        first, size = int(ipaddress.IPv4Address("198.18.1.0")), 2**17 - 512
        while str(ipaddress.IPv4Address(first + number % size)) in self._owners:
            number += 1
        six = ipaddress.IPv6Address(int(ipaddress.IPv6Address("2001:db8::")) + 2**64 + number)
        return str(ipaddress.IPv4Address(first + number % size)), str(six)

    def getaddrinfo(self, host: str | bytes | None, port: str | bytes | int | None, family: int = 0, type: int = 0,
                    proto: int = 0, flags: int = 0) -> list[AddressInfo]:
        """As `socket.getaddrinfo`. A name has an IPv4 address unless AF_INET6 is asked for; see README's limits."""
        name = _host_text(host)
        service = _service_text(port)
        if name is None and service is None:
            raise resolver_error(socket.EAI_NONAME)
        if flags & ~_KNOWN_FLAGS or (name is None and flags & socket.AI_CANONNAME):
            raise resolver_error(socket.EAI_BADFLAGS)
        number = _number(service)
        if number is None and flags & socket.AI_NUMERICSERV:
            raise resolver_error(socket.EAI_NONAME)
        if family not in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
            raise resolver_error(socket.EAI_FAMILY)
        ports = _ports(service, number, type, proto)
        addresses = self._addresses(name, family, flags)
        canonical = name if name is not None and flags & socket.AI_CANONNAME else ""
        found: list[AddressInfo] = []
        for address in addresses:
            text = written(address)
            for kind, protocol, at in ports:
                where = (text, at) if address.version == 4 else (text, at, 0, _scope(address))
                found.append((_family(address), kind, protocol, canonical if not found else "", where))
        if name is not None and parse_address(name) is None:
            self._journal.add("lookup", name, *map(written, addresses))
        return found

    def _addresses(self, name: str | None, family: int, flags: int) -> list[IPAddress]:
        if name is None:
            texts = ["0.0.0.0", "::"] if flags & socket.AI_PASSIVE else ["::1", "127.0.0.1"]
            both = [ipaddress.ip_address(text) for text in texts]
            return [address for address in both if family in (socket.AF_UNSPEC, _family(address))]
        literal = parse_address(name)
        if literal is not None:
            return [_as_family(literal, family, flags)]
        if flags & socket.AI_NUMERICHOST:
            raise resolver_error(socket.EAI_NONAME)
        addresses = [ipaddress.ip_address(text) for text in self._host(name).addresses]
        # A name answers with its first address of the family, IPv4 where none is named: one address makes
        # "nobody listens there" a plain ConnectionRefusedError, where two make asyncio raise a combined OSError.
        version = 6 if family == socket.AF_INET6 else 4
        return [address for address in addresses if address.version == version][:1]

    def one_address(self, host: str | bytes | bytearray, family: int = 0) -> str:
        """The one address that `connect`, `bind` and `gethostbyname` take for a host, as _socket's setipaddr() does."""
        if isinstance(host, bytearray):
            host = bytes(host)
        if not isinstance(host, (str, bytes)):
            raise TypeError(f"str, bytes or bytearray expected, not {type(host).__name__}")
        if host in ("", b""):
            return "::" if family == socket.AF_INET6 else "0.0.0.0"
        if host in ("<broadcast>", b"<broadcast>") and family != socket.AF_INET6:
            return "255.255.255.255"
        return self.getaddrinfo(host, None, family, socket.SOCK_DGRAM)[0][4][0]

    def getnameinfo(self, address: tuple[str, int] | tuple[str, int, int, int], flags: int = 0) -> tuple[str, str]:
        """As `socket.getnameinfo`: (host, service), by name where one is known."""
        flags = operator.index(flags)
        if not isinstance(address, tuple):
            raise TypeError("getnameinfo() argument 1 must be a tuple")
        if not 2 <= len(address) <= 4 or not isinstance(address[0], str):
            raise TypeError("getnameinfo(): illegal sockaddr argument")
        port, flow, scope = map(operator.index, (*address[1:], 0, 0)[:3])
        if not 0 <= flow < 2**20:
            raise OverflowError("getnameinfo(): flowinfo must be 0-1048575.")
        found = self.getaddrinfo(address[0], port, 0, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)
        family, _, _, _, (text, port, *_) = found[0]
        if family == socket.AF_INET and len(address) != 2:
            raise OSError("IPv4 sockaddr must be 2 tuple")
        host = None if flags & socket.NI_NUMERICHOST else self.owner(unmap(text))
        named = host is not None and host.name != text
        if flags & socket.NI_NAMEREQD and not named:
            raise resolver_error(socket.EAI_NONAME)
        name = host.name if host is not None and named else text + (f"%{scope}" if scope else "")
        service = None if flags & socket.NI_NUMERICSERV else next(
            (key for key, value in SERVICES.items() if value == port
             and (key in _DATAGRAM_SERVICES or not flags & socket.NI_DGRAM)), None)
        return name, service or str(port)

    def __repr__(self) -> str:
        return f"<Names: {len(self.hosts)} hosts>"


def _family(address: IPAddress) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _scope(address: IPAddress) -> int:
    scope = str(address).partition("%")[2]
    if scope and scope not in _LOOPBACK_INTERFACE:  # this machine has one interface
        raise resolver_error(socket.EAI_NONAME)
    return _LOOPBACK_INTERFACE[scope] if scope else 0


def _as_family(address: IPAddress, family: int, flags: int) -> IPAddress:
    """A literal as an address of the family that is asked for, where that can be said."""
    mapped = getattr(address, "ipv4_mapped", None)
    if family == socket.AF_INET and mapped is not None:
        return ipaddress.IPv4Address(mapped)
    if family == socket.AF_INET6 and address.version == 4 and flags & socket.AI_V4MAPPED:
        return ipaddress.IPv6Address(_MAPPED + int(address))
    if family not in (socket.AF_UNSPEC, _family(address)):
        raise resolver_error(_ADDRESS_FAMILY)
    return address


def _host_text(host: str | bytes | None) -> str | None:
    if host is None:
        return None
    if isinstance(host, str):
        if host.isascii() and len(host) < 64 and ".." not in host and host[:1] != ".":
            return host
        return host.encode("idna").decode()  # as _socket does: UnicodeError for a label that is empty or too long
    if isinstance(host, bytes):
        return host.decode("ascii", "replace")
    raise TypeError("getaddrinfo() argument 1 must be string or None")


def _service_text(port: str | bytes | int | None) -> str | None:
    if port is None or isinstance(port, str):
        return port
    if type(port) is int:  # _socket refuses a bool here
        return str(port)
    if isinstance(port, bytes):
        return port.decode("ascii", "replace")
    raise OSError("Int or String expected")


def _number(service: str | None) -> int | None:
    """The port that a text gives by number, as strtoul(3) reads it and htons(3) cuts it; None for a service's name."""
    if not service:
        return 0
    digits = service.lstrip(" \t\n\v\f\r").removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        return None
    value = min(int(digits), 2**64 - 1) & 0xFFFFFFFF
    return value & 0xFFFF if value < 2**31 else None  # glibc keeps it in an int, where a negative one means a name


def _ports(service: str | None, number: int | None, type: int, proto: int) -> list[tuple[int, int, int]]:
    """(socket type, protocol, port) of each kind of socket that is asked for, as glibc's get_servtuples() does."""
    kinds = [(kind, protocol or proto) for kind, protocol in _PROTOCOLS.items()
             if type in (0, kind) and proto in (0, protocol or proto)]
    if not kinds:
        raise resolver_error(socket.EAI_SOCKTYPE if type else socket.EAI_SERVICE)
    if type or proto:
        del kinds[1:]
    if number is not None and (service is None or kinds[0][0] != socket.SOCK_RAW):
        return [(kind, protocol, number) for kind, protocol in kinds]
    known = SERVICES.get(service or "")
    found: list[tuple[int, int, int]] = [] if known is None else [
        (kind, protocol, known) for kind, protocol in kinds
        if kind == socket.SOCK_STREAM or (kind == socket.SOCK_DGRAM and service in _DATAGRAM_SERVICES)]
    if not found:
        raise resolver_error(socket.EAI_SERVICE)
    return found
