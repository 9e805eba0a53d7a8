"""Hosts: their names and addresses, and what a test sets for them.

Owns every known host: the machine itself, and others, which exist from the moment when they are first named,
`*.invalid` too. Each has one stable made-up address of either family, or those that a test gave it. Owns the aliases
too, and which look-ups fail or take time. Does not own how a look-up is answered (resolver.py). Made-up addresses come
from ranges that nobody owns: 198.18.0.0/15 (RFC 2544) and 2001:db8::/32 (RFC 3849).
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import math
import re
import socket
from _blake2 import blake2b  # module hashlib loads OpenSSL
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

from .interfaces import INTERFACES, OUTSIDE, Interface, interface_at
from .literals import parse_address, unmap, written

MACHINE = "localhost"
# Of each interface both addresses; those of the loopback first.
_OWN = tuple(address for interface in INTERFACES.values() for address in (interface.four, interface.six))
LOOPBACK = _OWN[:2]
LOOPBACK_NETWORK = "127."
SCOPE = "%"
WILDCARDS = "0.0.0.0", "::"  # of the test's machine
# Letters, digits, hyphen and underscore; the last label is not a number (RFC 1123, 2.1), so a typing error in an
# address or a URL in the place of a host does not become a host.
_HOST_NAME = re.compile(r"(?!-)(?:[a-z0-9_-]{1,63}\.)*(?![0-9]+$)[a-z0-9_-]{1,63}", re.ASCII)

ADDRESS_FAMILY = getattr(socket, "EAI_ADDRFAMILY", socket.EAI_NONAME)  # not on every system
NO_DATA = getattr(socket, "EAI_NODATA", socket.EAI_NONAME)
MESSAGES = {
    ADDRESS_FAMILY: "Address family for hostname not supported",
    NO_DATA: "No address associated with hostname",
    socket.EAI_NONAME: "Name or service not known",
    socket.EAI_AGAIN: "Temporary failure in name resolution",
    socket.EAI_FAIL: "Non-recoverable failure in name resolution",
    socket.EAI_FAMILY: "ai_family not supported",
    socket.EAI_SOCKTYPE: "ai_socktype not supported",
    socket.EAI_SERVICE: "Servname not supported for ai_socktype",
    socket.EAI_BADFLAGS: "Bad value for ai_flags",
}
# How a name server can fail
_FAILURES = {socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL, NO_DATA}


def resolver_error(code: int) -> socket.gaierror:
    """The error of getaddrinfo(3) with its usual text."""
    return socket.gaierror(code, MESSAGES[code])


class Host(NamedTuple):
    """A machine on the network: its name and its addresses as text."""

    name: str
    addresses: tuple[str, ...]


def scope_of(host: Host) -> str:
    """What stands behind each loopback address of a host; no colon, by which one sees an address of IPv6."""
    return SCOPE + host.name.replace(":", "|")


# The host on which a program is, where a test has put it on another than its own machine.
here: ContextVar[Host | None] = ContextVar("here", default=None)


@contextlib.contextmanager
def staying(host: Host | None) -> Iterator[None]:
    """Be on this host inside: None is the machine of the test."""
    token = here.set(host)
    try:
        yield
    finally:
        here.reset(token)


def own_interface(address: str) -> Interface | None:
    """The interface of the host that a program is on which has an address; see `interface_at`."""
    host = here.get()
    return INTERFACES[OUTSIDE] if host is not None and address in host.addresses else interface_at(address)


class Home:
    """A host on which something was started."""

    def __init__(self, hosts: Hosts, host: Host) -> None:
        self._crashes, self._name = hosts.crashes, host.name
        self._crashed_before = self._crashes.get(self._name, 0)

    def is_gone(self) -> bool:
        """Whether the host has crashed since."""
        return self._crashes.get(self._name, 0) > self._crashed_before


class Hosts:
    """Every known host, by name and by address."""

    def __init__(self, on_power: Callable[[bool], object]) -> None:
        self.on_power = on_power  # called when a host has crashed, and with False before one crashes or comes back
        self.hosts: dict[str, Host] = {}
        self._owners: dict[str, Host] = {}
        # What a test has set for names
        self._answers: dict[str, tuple[str, ...]] = {}
        self._canonical: dict[str, str] = {}  # of an alias
        self._failures: dict[str, int] = {}
        self._delays: dict[str, float] = {}
        # By `add_host`: the name, the host that it was before, and the addresses that were nobody's.
        self._added: list[tuple[str, Host | None, list[str]]] = []
        self.crashes: dict[str, int] = {}  # by name: how often a host has crashed
        self.down: set[str] = set()  # names of hosts that have crashed and not come back
        # What programs on this machine see as their own: loopback, and one address for talking to other hosts.
        self.machine = self._add(Host(MACHINE, _OWN))

    def _add(self, host: Host) -> Host:
        self.hosts[host.name] = host
        for address in host.addresses:
            self._owners.setdefault(address, host)
        return host

    def owner(self, address: str) -> Host | None:
        """The host that an address (text) belongs to, or None."""
        return self._owners.get(address) or (self.machine if address.startswith(LOOPBACK_NETWORK) else None)

    def crash(self, name: str) -> None:
        """Note that a host has lost power: who runs there is gone."""
        self.crashes[name] = self.crashes.get(name, 0) + 1
        self.on_power(False)
        self.down.add(name)
        self.on_power(True)

    def restart(self, name: str) -> None:
        """Note that a host is back."""
        self.on_power(False)
        self.down.discard(name)

    def is_down(self, address: str) -> bool:
        """Whether this is an address of a host that is down."""
        host = self.owner(address) or (self.machine if address in WILDCARDS else None)
        return host is not None and host.name in self.down

    def loopback_of(self, host: Host, address: str) -> str:
        """What the network calls an address of the loopback of another host than the machine."""
        text = address + scope_of(host)
        self._owners[text] = host
        return text

    def name_of(self, address: str) -> str | None:
        """The name of the host that has this address, or None for one without a name."""
        host = self._owners.get(unmap(address))
        return None if host is None or host.name == address else host.name

    def is_local(self, address: str) -> bool:
        """Whether this is an address of the machine that the program runs on."""
        return self.owner(address) is self.machine

    def declare(self, name: str) -> Host:
        """The host of this name or literal address, made when it is new. A bad name is a ValueError."""
        literal = parse_address(name) if isinstance(name, str) else None
        if literal is not None and literal.is_unspecified:
            return self.machine
        if literal is not None:
            text = unmap(written(literal))
            return self.owner(text) or self._add(Host(text, (text,)))
        return self._host(self.followed(_checked_name(name)))

    def addresses_of(self, name: str) -> tuple[str, ...]:
        """The addresses behind a name or literal address: that address, or all of the host's."""
        host, literal = self.declare(name), parse_address(name)
        if literal is not None:
            return (unmap(written(literal)),)
        return LOOPBACK if host is self.machine else host.addresses

    def all_addresses_of(self, name: str) -> tuple[str, ...]:
        """As `addresses_of()`; of a whole host all that it has, with what stands for every address of its loopback."""
        found = self.addresses_of(name)
        if found is LOOPBACK:
            return (*self.machine.addresses, LOOPBACK_NETWORK)
        host = self.declare(name)
        return (*found, scope_of(host)) if found == host.addresses else found

    def followed(self, name: str) -> str:
        """The name of the host behind an alias."""
        while name in self._canonical:
            name = self._canonical[name]
        return name

    def _host(self, name: str) -> Host:
        if not _HOST_NAME.fullmatch(name) or len(name) > 253:
            raise resolver_error(socket.EAI_NONAME)
        if _is_machine(name):
            return self.machine
        return self.hosts.get(name) or self._add(Host(name, self._make_up(name)))

    def _make_up(self, name: str) -> tuple[str, str]:
        """An address of either family, made from the name; the next free one where another host has it."""
        number = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
        first, size = int(ipaddress.IPv4Address("198.18.1.0")), 2**17 - 512
        while str(ipaddress.IPv4Address(first + number % size)) in self._owners:
            number += 1
        six = ipaddress.IPv6Address(int(ipaddress.IPv6Address("2001:db8::")) + 2**64 + number)
        return str(ipaddress.IPv4Address(first + number % size)), str(six)

    # -- what a test sets for names

    def add_host(self, name: str, *addresses: str, aliases: Iterable[str] = ()) -> Host:
        """See `Network.add_host`."""
        key = _checked_name(name)
        given = tuple(dict.fromkeys(map(_checked_address, addresses)))
        if isinstance(aliases, str):
            raise TypeError(f"aliases are several names: write aliases=[{aliases!r}]")
        others = [_checked_name(alias) for alias in aliases]
        if key in others or MACHINE in others:
            raise ValueError(f"{key if key in others else MACHINE} cannot be an alias of {key}: give another name")
        if _is_machine(key):
            foreign = [address for address in given if not self.is_local(address)]
            if foreign:
                raise ValueError(f"{key} is the machine that the test runs on, and {foreign[0]} is not an address of "
                                 f"it: it has 127.0.0.0/8 and {', '.join(self.machine.addresses[1:])}")
        self._canonical.pop(key, None)
        self._failures.pop(key, None)
        if given and not _is_machine(key):
            self._added.append((key, self.hosts.get(key), [text for text in given if text not in self._owners]))
            host = self._add(Host(key, given))
        else:
            host = self._host(key)
        if given:
            self._answers[key] = given
        for alias in others:
            self._canonical[alias] = key
            self._failures.pop(alias, None)
        return host

    def fail_lookup(self, name: str, code: int = socket.EAI_NONAME) -> None:
        """See `Network.fail_lookup`."""
        if code not in _FAILURES:
            raise ValueError(f"a look-up does not fail with {code!r}: give socket.EAI_NONAME (there is no such name), "
                             "EAI_NODATA (it has no address), EAI_AGAIN (no name server answers) or EAI_FAIL")
        self._failures[_checked_name(name)] = code

    def delay_lookup(self, name: str, seconds: float) -> None:
        """See `Network.delay_lookup`."""
        if not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
            raise ValueError(f"a look-up takes a finite number of seconds from 0 up, not {seconds!r}: a name server "
                             "that never answers is fail_lookup(name, socket.EAI_AGAIN) after a delay (10 s on Linux)")
        self._delays[_checked_name(name)] = float(seconds)

    def keep(self) -> Callable[[], None]:
        """Note what is set for names now. The result makes it so again; hosts that were only named meanwhile stay."""
        tables = [dict(table) for table in self._tables()]
        return functools.partial(self._put_back, tables, len(self._added), {*self.down})

    def clear(self) -> None:
        """Take everything away that was set for names."""
        self._put_back([{}, {}, {}, {}], 0, set())

    def _tables(self) -> tuple[dict[str, Any], ...]:
        return self._answers, self._canonical, self._failures, self._delays

    def _put_back(self, tables: list[dict[str, Any]], added: int, down: set[str]) -> None:
        self.down = down
        for table, before in zip(self._tables(), tables, strict=True):
            table.clear()
            table.update(before)
        while len(self._added) > added:
            name, host, addresses = self._added.pop()
            self.hosts.pop(name)
            if host is not None:
                self.hosts[name] = host
            for address in addresses:
                del self._owners[address]

    # -- what the resolver asks

    @property
    def has_delays(self) -> bool:
        """Whether any look-up takes time."""
        return bool(self._delays)

    def delay_of(self, name: str) -> float:
        """The seconds of virtual time that a look-up of this name takes."""
        key = key_of(name)
        return self._delays.get(key) or self._delays.get(self.followed(key)) or 0.0

    def resolve(self, key: str) -> tuple[Host, tuple[str, ...] | None]:
        """The host of a name, and the addresses that a test has set for it (None: it has set none)."""
        followed = self.followed(key)
        failure = self._failures.get(key) or self._failures.get(followed)
        if failure:
            raise resolver_error(failure)
        return self._host(followed), self._answers.get(followed)


def _is_machine(name: str) -> bool:
    return name == MACHINE or name.endswith("." + MACHINE)  # RFC 6761, 6.3


def key_of(name: str) -> str:
    """A name in the form that is compared: in lower case, without a last dot."""
    return name.lower().removesuffix(".")


def _checked_name(name: str) -> str:
    """A host's name that a test gave, as the resolver knows it."""
    if not isinstance(name, str):
        raise TypeError(f"a host is a name as text, not {name!r}")
    try:
        key = key_of(name.encode("idna").decode())
    except UnicodeError:
        key = ""
    if parse_address(name) is not None:
        raise ValueError(f"{name!r} is an address, which is not looked up: give a name")
    if not _HOST_NAME.fullmatch(key) or len(key) > 253:
        raise ValueError(f"{name!r} cannot be the name of a host: a name has labels of 1 to 63 letters, digits, "
                         "hyphens or underscores, with dots between, and no scheme, port or path")
    return key


def _checked_address(address: str) -> str:
    """An address that a test gave, as the network knows it."""
    literal = parse_address(address) if isinstance(address, str) else None
    if literal is None or "%" in address or literal.is_multicast:
        raise ValueError(f"{address!r} cannot be the address of a host: give one as text, IPv4 or IPv6, "
                         "without a scope")
    return unmap(written(literal))
