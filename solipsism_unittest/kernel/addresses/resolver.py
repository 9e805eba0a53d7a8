"""The resolver: names to addresses, and back.

Owns the answers and error codes of getaddrinfo(3) and getnameinfo(3), as glibc with a DNS server gives them, and the
list of what was looked up. Does not own the names and addresses of hosts (hosts.py).
"""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections import deque
from collections.abc import Callable
from ipaddress import ip_address
from operator import index as index_of
from typing import NamedTuple

from ...pythons import PORTS_MAY_BE_SUBCLASSES
from ..clock import VirtualClock
from ..journal import KEPT, Journal, counted
from .hosts import ADDRESS_FAMILY, MACHINE, MESSAGES, NO_DATA, Hosts, key_of, resolver_error
from .literals import IPAddress, parse_address, scope_of, scope_text, written
from .services import port_of, service_at

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]

# What a look-up without a type answers for, in this order; a raw socket takes any protocol, and no service.
_PROTOCOLS = {socket.SOCK_STREAM: socket.IPPROTO_TCP, socket.SOCK_DGRAM: socket.IPPROTO_UDP, socket.SOCK_RAW: 0}
_PROTOCOL_NAMES = {socket.SOCK_STREAM: "tcp", socket.SOCK_DGRAM: "udp"}
# Bits 6 to 9 are glibc's for international names; CPython has encoded those before.
_KNOWN_FLAGS = int(socket.AI_PASSIVE | socket.AI_CANONNAME | socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
                   | socket.AI_ADDRCONFIG | socket.AI_V4MAPPED | socket.AI_ALL) | 0x3C0
_KNOWN_NAME_FLAGS = int(socket.NI_NUMERICHOST | socket.NI_NUMERICSERV | socket.NI_NOFQDN | socket.NI_NAMEREQD
                        | socket.NI_DGRAM) | 0xE0  # and glibc's for international names
_MAPPED = int(ipaddress.IPv6Address("::ffff:0:0"))


class Lookup(NamedTuple):
    """One question to the resolver: the time, the name, the family (0 for any), and the answer."""

    time: float
    name: str
    family: int
    addresses: tuple[str, ...]  # what it was answered with
    error: int = 0  # or the code of the gaierror, socket.EAI_...


class Names(Hosts):
    """The hosts, and the resolver that answers for them."""

    def __init__(self, clock: VirtualClock, journal: Journal,
                 on_blocking: Callable[[str, float], object] = lambda name, seconds: None,
                 on_power: Callable[[bool], object] = lambda is_crash: None) -> None:
        super().__init__(on_power)
        self._clock = clock
        self._journal = journal
        self.lookups: deque[Lookup] = deque(maxlen=KEPT)
        # Called with a name and its seconds when a slow one is looked up by a call that blocks.
        self.on_blocking = on_blocking
        # What rules say about the look-up of a name: the seconds that it takes more, and the code of its failure, or 0
        self.judge: Callable[[str], tuple[float, int]] | None = None
        self._judged: dict[tuple[str, float], tuple[float, int]] = {}  # by name and time: what one half has asked for

    def delay(self, host: str | bytes | None) -> float:
        """The seconds of virtual time that a look-up of this host takes, which begins now."""
        if not self.has_delays and self.judge is None:
            return 0.0
        text = _host_text(host) or ""
        seconds = self.delay_of(text)
        return seconds + self._judgement(key_of(text))[0] if text and parse_address(text) is None else seconds

    def _judgement(self, name: str) -> tuple[float, int]:
        """What rules say about a look-up. Its delay and its answer both ask, in either order: they are asked once."""
        if self.judge is None or name == MACHINE:
            return 0.0, 0
        key = name, self._clock.now
        if key in self._judged:
            return self._judged.pop(key)
        self._judged.clear()
        self._judged[key] = judgement = self.judge(name)
        return judgement

    def check_blocking(self, host: str | bytes | None) -> None:
        """Called by what looks a host up and cannot wait: see `on_blocking`."""
        seconds = self.delay(host)
        if seconds:
            self.on_blocking(_host_text(host) or "", seconds)

    # -- looking up

    def getaddrinfo(self, host: str | bytes | None, port: str | bytes | int | None, family: int = 0, type: int = 0,
                    proto: int = 0, flags: int = 0) -> list[AddressInfo]:
        """As `socket.getaddrinfo`, at once. A name that no test gave addresses has an IPv4 one, unless AF_INET6 is
        asked for; the manual's page about limits says why.
        """
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
        canonical = self.canonical_name(name) if name is not None and flags & socket.AI_CANONNAME else ""
        found: list[AddressInfo] = []
        for address in addresses:
            text = written(address)
            for kind, protocol, at in ports:
                where = (text, at) if address.version == 4 else (text, at, 0, _scope(address))
                found.append((_family(address), kind, protocol, canonical if not found else "", where))
        return found

    def canonical_name(self, host: str) -> str:
        """The answer to AI_CANONNAME: the name as it was written; for an alias the name behind it."""
        key = key_of(host)
        followed = self.followed(key)
        return followed if followed != key or key == MACHINE else host.removesuffix(".")

    def _addresses(self, name: str | None, family: int, flags: int) -> list[IPAddress]:
        if name is None:
            texts = ["0.0.0.0", "::"] if flags & socket.AI_PASSIVE else ["::1", "127.0.0.1"]
            both = [ip_address(text) for text in texts]
            return [address for address in both if family in (socket.AF_UNSPEC, _family(address))]
        literal = parse_address(name)
        if literal is not None:
            return [_as_family(literal, family, flags)]
        if flags & socket.AI_NUMERICHOST:
            raise resolver_error(socket.EAI_NONAME)
        try:
            addresses = self._ask(key_of(name), family, flags)
        except socket.gaierror as error:
            assert error.errno is not None
            self._note(name, family, (), error.errno)
            raise
        self._note(name, family, tuple(map(written, addresses)))
        return addresses

    def _note(self, name: str, family: int, addresses: tuple[str, ...], error: int = 0) -> None:
        self.lookups.append(Lookup(self._clock.now, name, int(family), addresses, error))
        self._journal.add("lookup", name, *([MESSAGES[error]] if error else addresses))

    def _ask(self, name: str, family: int, flags: int) -> list[IPAddress]:
        """Every address that a name answers with for a family."""
        _, code = self._judgement(name)
        if code:
            raise resolver_error(code)
        host, given = self.resolve(name)
        addresses = [ip_address(text) for text in given or host.addresses]
        four: list[IPAddress] = [address for address in addresses if address.version == 4]
        six: list[IPAddress] = [address for address in addresses if address.version == 6]
        if given is None:
            # A name that nobody gave addresses answers with one, IPv4 where no family is named: one address makes
            # "nobody listens there" a plain ConnectionRefusedError, where two make asyncio raise a combined OSError.
            del four[1:], six[1:]
            addresses = four
        if family == socket.AF_INET:
            addresses = four
        elif family == socket.AF_INET6:
            mapped = bool(flags & socket.AI_V4MAPPED) and (not six or bool(flags & socket.AI_ALL))
            addresses = six + [ipaddress.IPv6Address(_MAPPED + int(address)) for address in four if mapped]
        if not addresses:
            # The machine's own name stands in /etc/hosts, where "not of this family" is not known; others in the DNS.
            raise resolver_error(socket.EAI_NONAME if host is self.machine else NO_DATA)
        return addresses

    def one_address(self, host: str | bytes | bytearray, family: int = 0) -> str:
        """The one address that `connect`, `bind` and `gethostbyname` take for a host, as _socket's setipaddr() does."""
        if isinstance(host, bytearray):
            host = bytes(host)
        if not isinstance(host, (str, bytes)):
            raise TypeError(f"str, bytes or bytearray expected, not {type(host).__name__}")
        if not host:
            return "::" if family == socket.AF_INET6 else "0.0.0.0"
        if host == (b"<broadcast>" if isinstance(host, bytes) else "<broadcast>") and family != socket.AF_INET6:
            return "255.255.255.255"
        self.check_blocking(host)
        literal = _literal(_host_text(host) or "", family)
        return literal or self.getaddrinfo(host, None, family, socket.SOCK_DGRAM)[0][4][0]

    def getnameinfo(self, address: tuple[str, int] | tuple[str, int, int, int], flags: int = 0) -> tuple[str, str]:
        """As `socket.getnameinfo`: (host, service), by name where one is known."""
        flags = index_of(flags)
        if not isinstance(address, tuple):
            raise TypeError("getnameinfo() argument 1 must be a tuple")
        if not 2 <= len(address) <= 4 or not isinstance(address[0], str):
            raise TypeError("getnameinfo(): illegal sockaddr argument")
        port, flow, scope = map(index_of, (*address[1:], 0, 0)[:3])
        if not 0 <= flow < 2**20:
            raise OverflowError("getnameinfo(): flowinfo must be 0-1048575.")
        found = self.getaddrinfo(address[0], port, 0, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)
        family, _, _, _, (text, port, *_) = found[0]
        if family == socket.AF_INET and len(address) != 2:
            raise OSError("IPv4 sockaddr must be 2 tuple")
        if flags & ~_KNOWN_NAME_FLAGS:
            raise resolver_error(socket.EAI_BADFLAGS)
        name = None if flags & socket.NI_NUMERICHOST else self.name_of(text)
        if flags & socket.NI_NAMEREQD and name is None:
            raise resolver_error(socket.EAI_NONAME)
        service = None if flags & socket.NI_NUMERICSERV else service_at(
            port, "udp" if flags & socket.NI_DGRAM else "tcp")
        return name or text + scope_text(ip_address(text), scope), service or str(port)

    def __repr__(self) -> str:
        return f"<Names: {counted(len(self.hosts), 'host')}>"


def _family(address: IPAddress) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _scope(address: IPAddress) -> int:
    scope = scope_of(address)
    if scope is None:
        raise resolver_error(socket.EAI_NONAME)
    return scope


def _as_family(address: IPAddress, family: int, flags: int) -> IPAddress:
    """A literal as an address of the family that is asked for, where that can be said."""
    mapped = getattr(address, "ipv4_mapped", None)
    if family == socket.AF_INET and mapped is not None:
        return ipaddress.IPv4Address(mapped)
    if family == socket.AF_INET6 and address.version == 4 and flags & socket.AI_V4MAPPED:
        return ipaddress.IPv6Address(_MAPPED + int(address))
    if family not in (socket.AF_UNSPEC, _family(address)):
        raise resolver_error(ADDRESS_FAMILY)
    return address


@functools.lru_cache(1024)
def _literal(host: str, family: int) -> str | None:
    """A literal as an address of a family, in its usual writing; None for a name, which is asked for anew each time."""
    literal = parse_address(host)
    return written(_as_family(literal, family, 0)) if literal is not None else None


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
    if type(port) is int or PORTS_MAY_BE_SUBCLASSES and isinstance(port, int):
        return str(int(port))
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
    known = [(kind, protocol, port_of(service or "", _PROTOCOL_NAMES[kind])) for kind, protocol in kinds
             if kind in _PROTOCOL_NAMES]
    found: list[tuple[int, int, int]] = [(kind, protocol, port) for kind, protocol, port in known if port is not None]
    if not found:
        raise resolver_error(socket.EAI_SERVICE)
    return found
