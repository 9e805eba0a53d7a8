"""The resolver: names and services to addresses, and back.

Owns every host that is known: the machine itself, and others that come into being when they are asked for, each with
one stable made-up address of either family. Addresses come from ranges that nobody owns: 198.18.0.0/15 (RFC 2544) and
2001:db8::/32 (RFC 3849). Answers and error codes are getaddrinfo(3)'s.
"""

from __future__ import annotations

import hashlib
import ipaddress
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
_PROTOCOLS = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP, socket.SOCK_RAW: 0}

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
    """A literal address of either family, or None for anything else."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


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
        self.machine = self._add(Host(MACHINE, ("127.0.0.1", "::1", "198.18.0.1", "2001:db8::1")))

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
            text = unmap(str(literal))
            return self.owner(text) or self._add(Host(text, (text,)))
        return self._host(name)

    def _host(self, name: str) -> Host:
        name = name.lower().rstrip(".")
        if not name:
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
        name = _text(host)
        number = _port(port, type, flags)
        if name is None and port is None:
            raise resolver_error(socket.EAI_NONAME)
        if family not in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
            raise resolver_error(socket.EAI_FAMILY)
        kinds = [(kind, protocol) for kind, protocol in _PROTOCOLS.items()
                 if type in (0, kind) and (proto in (0, protocol) or kind == socket.SOCK_RAW)]
        if not kinds:
            raise resolver_error(socket.EAI_SOCKTYPE)
        wanted = self._addresses(name, family, flags)
        canonical = name if name is not None and flags & socket.AI_CANONNAME else ""
        found: list[AddressInfo] = []
        for address in wanted:
            for kind, protocol in kinds:
                where = (str(address), number) if address.version == 4 else (_bare(address), number, 0, _scope(address))
                at = socket.AF_INET if address.version == 4 else socket.AF_INET6
                found.append((at, kind, protocol or proto, canonical if not found else "", where))
        if name is not None and parse_address(name) is None:
            self._journal.add("lookup", name, *dict.fromkeys(str(address) for address in wanted))
        return found

    def _addresses(self, name: str | None, family: int, flags: int) -> list[IPAddress]:
        if name is None:
            texts = ["0.0.0.0", "::"] if flags & socket.AI_PASSIVE else ["127.0.0.1", "::1"]
            both = [ipaddress.ip_address(text) for text in texts]
            return [address for address in both if family in (socket.AF_UNSPEC, _family(address))]
        literal = parse_address(name)
        if literal is not None:
            if family not in (socket.AF_UNSPEC, _family(literal)):
                raise resolver_error(_ADDRESS_FAMILY)
            return [literal]
        if flags & socket.AI_NUMERICHOST:
            raise resolver_error(socket.EAI_NONAME)
        addresses = [ipaddress.ip_address(text) for text in self._host(name).addresses]
        # A name answers with its first address of the family, IPv4 where none is named: one address makes
        # "nobody listens there" a plain ConnectionRefusedError, where two make asyncio raise a combined OSError.
        version = 6 if family == socket.AF_INET6 else 4
        return [address for address in addresses if address.version == version][:1]

    def getnameinfo(self, address: tuple[str, int] | tuple[str, int, int, int], flags: int = 0) -> tuple[str, str]:
        """As `socket.getnameinfo`: (host, service), by name where one is known."""
        literal = parse_address(address[0])
        if literal is None:
            raise resolver_error(socket.EAI_NONAME)
        host = self.owner(unmap(str(literal)))
        if flags & socket.NI_NAMEREQD and host is None:
            raise resolver_error(socket.EAI_NONAME)
        name = str(literal) if host is None or flags & socket.NI_NUMERICHOST else host.name
        port = address[1]
        service = None if flags & socket.NI_NUMERICSERV else next(
            (key for key, value in SERVICES.items() if value == port
             and (key in _DATAGRAM_SERVICES or not flags & socket.NI_DGRAM)), None)
        return name, service or str(port)

    def __repr__(self) -> str:
        return f"<Names: {len(self.hosts)} hosts>"


def _family(address: IPAddress) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _bare(address: IPAddress) -> str:
    return str(address).partition("%")[0]


def _scope(address: IPAddress) -> int:
    scope = str(address).partition("%")[2]
    return int(scope) if scope.isdigit() else 0


def _text(host: str | bytes | None) -> str | None:
    if host is None:
        return None
    if isinstance(host, str):
        if not host.isascii() or len(host) > 63:
            host.encode("idna")  # as _socket does: UnicodeError for a label that is empty or too long
        return host
    if isinstance(host, (bytes, bytearray)):
        return host.decode("ascii")
    raise TypeError("getaddrinfo() argument 1 must be string or None")


def _port(port: str | bytes | int | None, type: int, flags: int) -> int:
    if port is None:
        return 0
    if isinstance(port, int):
        if not -2**63 <= port < 2**63:
            raise OverflowError("Python int too large to convert to C long")
        return port & 0xFFFF  # as glibc: the low 16 bits of the number's text
    if not isinstance(port, (str, bytes)):
        raise OSError("Int or String expected")
    text = port.decode() if isinstance(port, bytes) else port
    if text.lstrip("+-").isdigit():
        return int(text) & 0xFFFF
    if flags & socket.AI_NUMERICSERV:
        raise resolver_error(socket.EAI_NONAME)
    number = SERVICES.get(text)
    if number is None or (type == socket.SOCK_DGRAM and text not in _DATAGRAM_SERVICES):
        raise resolver_error(socket.EAI_SERVICE)
    return number
