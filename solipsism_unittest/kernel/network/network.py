"""The network of one world: who answers a connect, what happens to what is sent, and what a test sets for hosts.

Owns how TCP ends get and lose their addresses. Does not own which numbers are free (ports.py), UDP (udp.py), the bytes
(kernel/descriptors) or the names of hosts (kernel/addresses). One process plays every host of the world, so an end may
bind to any known host. A wildcard address stands for the machine that the program runs on, never for others.
"""

from __future__ import annotations

import errno
import functools
import socket
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..addresses.hosts import Host, here
from ..addresses.icmp import Failure
from ..addresses.interfaces import is_many
from ..addresses.literals import unmap
from ..addresses.resolver import Lookup, Names
from ..choices import Choices
from ..clock import VirtualClock
from ..descriptors.datagram import Datagram, Packet, route
from ..descriptors.end import Address
from ..descriptors.file import os_error
from ..descriptors.stream import Stream
from ..descriptors.transitions import CONNECT, CONNECTING, FRESH, LISTENING, RST, SILENT, SYN_ACK
from ..journal import Journal, counted
from .handshake import Dialling
from .ports import ITSELF, WILDCARDS, Ports, meant_by, source_for, wildcard_of
from .udp import Udp
from .wire.conditions import Conditions
from .wire.wire import Wire


def _nothing_to_release(end: Stream) -> None:
    """Close an end that lost its port before: there is nothing to give back."""


REFUSALS_KEPT = 100
OPTIONS = "tcp_syn_retries", "tcp_syn_linear_timeouts", "tcp_retries2", "tcp_orphan_retries"


class Refusal(NamedTuple):
    """A connection that was refused: when, and who listened then, with the places where they were made.

    Who listened there and was told to refuse everybody is the `refuser`, by its place. Of a connected socket of
    datagrams, who was bound there and not connected listened.
    """

    time: float
    listeners: list[tuple[Address, object]]
    refuser: object = None
    kind: int = socket.SOCK_STREAM


class Network(Conditions):
    """The addresses of one world."""

    def __init__(self, names: Names, clock: VirtualClock, journal: Journal, choices: Choices) -> None:
        self.names = names
        self.wire = Wire(names, clock, journal, choices)
        self.refused: dict[Address, Refusal] = {}  # the last of each address
        self._listened: set[int] = set()  # the ports that ever had a listener: few, where thousands are bound
        self._clock = clock
        self.dialling = Dialling(clock)
        self._journal = journal
        self.tcp: Ports[Stream] = Ports(names, lambda end: end.state is LISTENING)

    @functools.cached_property
    def udp(self) -> Udp:  # type: ignore[override]
        """Who is bound to which port of UDP."""
        return Udp(self.names, self._journal, self.wire.mtus, self._nobody_took)

    # -- hosts and what is looked up

    def add_host(self, name: str, *addresses: str, aliases: Iterable[str] = ()) -> Host:
        """Add a host, or give a known one new addresses. Look-ups answer with all of them, in this order.

        They may be IPv4 and IPv6. Without addresses the host keeps those that it has, or gets made-up ones.

        `aliases` are other names for it (CNAME records). A name that failed answers again. `localhost` may be given
        several of the machine's own addresses. What is no name or no address is a ValueError.
        """
        return self.names.add_host(name, *addresses, aliases=aliases)

    def fail_lookup(self, name: str, code: int = socket.EAI_NONAME) -> None:
        """Let look-ups of this name fail. By default the name is unknown; socket.EAI_AGAIN is a temporary failure.

        What listens on the host stays; `add_host(name)` lets the name answer again.
        """
        self.names.fail_lookup(name, code)

    def delay_lookup(self, name: str, seconds: float) -> None:
        """Let every look-up of this name take this number of seconds of virtual time, whatever its result; 0 for none.

        `loop.getaddrinfo()` waits for them. A blocking call in the loop's thread (`socket.getaddrinfo()`, a `connect()`
        by name) would stop the loop for as long and is a SolipsismError; in other threads it answers at once.
        """
        self.names.delay_lookup(name, seconds)

    def sysctl(self, **values: int) -> None:
        """Set options of the Linux that every host runs, by their names: `sysctl(tcp_syn_linear_timeouts=0)`.

        tcp_syn_retries = 6; tcp_syn_linear_timeouts = 4, and 0 for a Linux before 6.5, where a connect that nobody
        answers ends after 127 s; tcp_retries2 = 15, after which an open connection is given up; tcp_orphan_retries = 8,
        after which one is that the program has closed.
        """
        for name, value in values.items():
            if name not in OPTIONS:
                raise TypeError(f"there is no option {name}: there are {', '.join(OPTIONS)}")
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
                raise ValueError(f"{name} is a number from 0 to 255, not {value!r}")
        self.dialling.retries = values.get("tcp_syn_retries", self.dialling.retries)
        self.dialling.linear_timeouts = values.get("tcp_syn_linear_timeouts", self.dialling.linear_timeouts)
        self.wire.retries = values.get("tcp_retries2", self.wire.retries)
        self.wire.orphan_retries = values.get("tcp_orphan_retries", self.wire.orphan_retries)

    def keep(self) -> Callable[[], None]:
        """As `Conditions.keep()`, with the options of `sysctl()`."""
        conditions = super().keep()
        options = dict(zip(OPTIONS, (self.dialling.retries, self.dialling.linear_timeouts, self.wire.retries,
                                     self.wire.orphan_retries), strict=True))

        def put_back() -> None:
            conditions()
            self.sysctl(**options)

        return put_back

    @property
    def lookups(self) -> list[Lookup]:
        """Every name that was looked up, oldest first (the last 10,000): (time, name, family, addresses, error)."""
        return list(self.names.lookups)

    # -- binding

    def bind(self, end: Stream | Datagram, address: str, port: int) -> None:
        """Give `end` a local address; port 0 is the next free one from 60001 up on that host."""
        if isinstance(end, Datagram):
            self.udp.bind(end, address, port)
            return
        again = end.has_lost_its_port
        if not again and (end.local is not None or end.state is not FRESH):
            raise os_error(errno.EINVAL)
        address = self.tcp.bindable(end, address)
        free = self.tcp.free_port([address]) if port == 0 else 0
        if again:
            self._put_back(end)
        if port:
            try:
                self.tcp.check_free(end, address, port)
            except OSError:
                if end.local is not None:  # as __inet_bind() does
                    end.local = wildcard_of(end), end.local[1]
                raise
        end.has_own_address = address not in WILDCARDS
        self.tcp.take(end, address, free or port)
        if free:
            self.tcp.chosen[end] = None
        end.keeps_port = again or not free
        self.tcp.keep_family(end, address)
        self._journal.add("bind", end.label)

    def _put_back(self, end: Stream) -> None:
        if end in self.tcp.chosen:  # and not accepted
            self.tcp.release(end)
        end.unbind = _nothing_to_release

    def free_port(self, addresses: Iterable[str]) -> int:
        """The next port of TCP from 60001 up that is free on all these addresses; EADDRINUSE when there is none."""
        return self.tcp.free_port(addresses)

    def unused_port(self, host: str = "localhost") -> int:
        """Reserve a port that nobody uses on any address of `host`: port 0 becomes it only after all others."""
        if not isinstance(host, str):
            raise TypeError(f"a host is a name or an address as text, not {host!r}")
        known = self.names.declare(host)
        addresses = [*known.addresses, *(WILDCARDS if known is self.names.machine else ())]
        while True:
            port = self.free_port(addresses)
            if self.udp.ports.is_free(port, addresses):
                self.udp.ports.use(known.name, port)
                return port

    # -- listening and connecting

    def listen(self, end: Stream | Datagram, backlog: int) -> None:
        """Make `end` a listener; an end without an address gets one on every address of the machine."""
        if isinstance(end, Datagram):
            raise os_error(errno.EOPNOTSUPP)
        if end.state not in (FRESH, LISTENING):
            raise os_error(errno.EINVAL)
        again = end.has_lost_its_port
        if end.local is None or again:
            where = end.local[0] if end.local and end.has_own_address else wildcard_of(end)
            port = self.tcp.free_port([where])
            if again:
                self._put_back(end)
            self.tcp.take(end, where, port)
            self.tcp.chosen[end] = None
        assert end.local is not None
        address, port = end.local
        for other in self.tcp.near(port, address):
            if (other is not end and other.state is LISTENING and not (end.reuse_port and other.reuse_port)
                    and self.tcp.overlap(address, end.v6_only, other.local[0], other.v6_only)):  # type: ignore[index]
                raise os_error(errno.EADDRINUSE)
        end.listen(backlog)
        self._listened.add(port)

    def connect(self, end: Stream | Datagram, address: str, port: int) -> None:
        """Start connecting; the answer, where there is one, has arrived when this returns."""
        if isinstance(end, Datagram):
            if not self.wire.is_plain and (code := self.wire.refuses(self.udp.source(end, address), address)):
                raise os_error(code)
            self.udp.connect(end, address, port)
            return
        address = unmap(address)
        if end.family == socket.AF_INET6 and end.v6_only and ":" not in address:
            raise os_error(errno.ENETUNREACH)
        address = ITSELF.get(address, address)
        if here.get() is not None:
            address = meant_by(self.names, address, functools.partial(self.listener, port=port))
        if is_many(address):
            raise os_error(errno.ENETUNREACH)
        if end.has_lost_its_port:
            self._put_back(end)
            end.local = None
        end.stopped = False
        end.keeps_port = end.keeps_port and end not in self.tcp.chosen
        if end.local is None or end.local[0] in WILDCARDS:
            source = source_for(self.names, address)
            if end.local is None:
                self.tcp.take(end, source, self.tcp.client_port(source))
                self.tcp.chosen[end] = None
            else:
                self.tcp.narrow(end, source)
        assert end.local is not None
        if len(self.tcp.bound[end.local[1]]) > 1:
            self.tcp.check_new(end, (address, port))
        is_plain = self.wire.is_plain
        if not is_plain and (code := self.wire.refuses(end.local[0], address)):
            raise os_error(code)
        end.remote = address, port
        end.label = f"{end.local[0]}:{end.local[1]}>{address}:{port}"
        end.move(CONNECT)
        (self._answer if is_plain else self._reach)(end, address, port)
        if end.state is CONNECTING:
            self.dialling.begin(end, functools.partial(self._reach, end, address, port))

    def _reach(self, end: Stream, address: str, port: int) -> bool:
        """Ask for a connection; False while nobody answers: it is dropped, or the listener's queue is full."""
        if end.asked is not None:
            return False
        if self.wire.is_plain or end.local == (address, port):
            self._answer(end, address, port)
        else:
            self.wire.dial(end, (address, port), lambda: self._answer(end, address, port),
                           lambda: self._says_nothing(address, port))
        return end.state is not CONNECTING

    def _says_nothing(self, address: str, port: int) -> bool:
        listener = self.listener(address, port)
        return listener is not None and listener.as_listener().is_full and not listener.as_listener().refusing

    def _answer(self, end: Stream, address: str, port: int) -> None:
        """Let a host answer a SYN: it lets the client in or wait, or refuses it."""
        listener = self.listener(address, port)
        to_itself = listener is None and end.local == (address, port)
        self._journal.add("connect", end.label, "" if listener or to_itself else "refused")
        if to_itself:
            end.join(end)  # a simultaneous open with one side (RFC 9293, 3.5)
            end.arrive(SYN_ACK)
            if end.state is SILENT:
                end.shutdown(socket.SHUT_WR)  # only in a simultaneous open Linux sends it by itself
        elif listener is None:
            self._note_refusal((address, port), self.listeners)
            end.stop_waiting()
            end.arrive(RST)
        else:
            if listener.as_listener().refusing:
                self._note_refusal((address, port), self.listeners, listener.place or "a line that is not known")
            listener.knock(end)

    def _note_refusal(self, key: Address, listeners: Callable[[], Iterable[Stream | Datagram]], refuser: object = None,
                      kind: int = socket.SOCK_STREAM) -> None:
        self.refused.pop(key, None)  # the latest comes last
        if len(self.refused) < REFUSALS_KEPT:
            found = [(each.local, each.place) for each in listeners() if each.local]
            self.refused[key] = Refusal(self._clock.now, found, refuser, kind)

    def _nobody_took(self, packet: Packet, failure: Failure) -> None:
        """A host says that a datagram was for nobody: who is connected gets an error."""
        if packet.sender.remote is not None:
            assert packet.target is not None
            self._note_refusal((*packet.target[:2], "UDP"), self.udp.listeners, kind=socket.SOCK_DGRAM)
        self.wire.report(packet, failure)

    def path_mtu(self, end: Stream | Datagram) -> int:
        """IP_MTU: the largest packet that gets to the peer of an end, as far as is known; ENOTCONN without a peer."""
        end.peer_address()
        assert end.local is not None and end.remote is not None
        mtu = self.wire.mtus.known(end.local[0], end.remote[0])
        if isinstance(end, Stream):  # TCP knows what fits through
            mtu = min(mtu, self.wire.way(end.local[0], end.remote[0]).settings.mtu or mtu)
        return mtu

    # -- datagrams

    def send_datagram(self, end: Datagram, data: bytes, address: Address | None) -> None:
        """Send one UDP datagram to an address, or for None to the end's peer. Faults on its way happen here."""
        packet = self.udp.packet(end, data, address)
        is_plain = self.wire.is_plain
        if not is_plain and packet.source and packet.target and (
                code := self.wire.refuses(packet.source[0], packet.target[0])):
            raise os_error(code)
        self._journal.add("send", route(packet), len(data))
        if is_plain:
            self.udp.deliver(packet)
            return
        homes = list(self.udp.crowd(packet)) if packet.interface else []
        for home in homes:  # to each by its own way
            self.wire.send(packet, functools.partial(self._deliver_to, home), home.name)
        if not homes:
            self.wire.send(packet, self.udp.deliver)

    def _deliver_to(self, home: Host, packet: Packet) -> None:
        for end in self.udp.crowd(packet).get(home, ()):
            end.arrive(packet)

    def listeners(self) -> list[Stream]:
        """Who listens, in the order of the ports."""
        return [end for port in sorted(self._listened) for end in self.tcp.bound.get(port, ())
                if end.state is LISTENING]

    def listener(self, address: str, port: int) -> Stream | None:
        """Who answers a connect to this address: the most exact one that listens."""
        covering = []
        for end in self.tcp.near(port, address):
            if end.state is LISTENING and end.local:
                if end.local[0] == address:
                    return end
                if self.tcp.covers(end.local[0], end.v6_only, address) or (
                        end.is_everywhere and self.tcp.are_of_one_host(end.local[0], address)):
                    covering.append(end)
        # Of two wildcards the one of the address's own family wins.
        covering.sort(key=lambda end: (":" in address) != (end.family == socket.AF_INET6))
        return covering[0] if covering else None

    def __repr__(self) -> str:
        return f"<Network: {counted(len(self.names.hosts), 'host')}, {counted(len(self.listeners()), 'listener')}>"
