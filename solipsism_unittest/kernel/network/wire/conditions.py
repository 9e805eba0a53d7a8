"""What a test sets for the network: what is between hosts, on which host a program is, and when a host crashes.

Owns the context in which a program is on another host than the test. What all of that does to a packet stands in the
other files of this folder.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterable, Iterator
from contextvars import Token
from typing import Any, Protocol, Self

from ...addresses.hosts import WILDCARDS, Host, here
from ...addresses.resolver import Names
from ...descriptors.backlog import Backlog
from ...descriptors.connection import Connection
from ...descriptors.end import Address
from ...descriptors.stream import Stream
from ...descriptors.transitions import CONNECTED, LISTENING, RST
from ...journal import counted
from .faults import InstalledRule, Rule
from .lanes import Flight
from .links import ANY, Link
from .settings import Settings
from .wire import Wire

SHOWN = 8  # lines of a kind, at a failure
_HEAD = f"{'local':<28} {'remote':<28} {'state':<16} {'to read':>8} {'under way':>9}"


class OnHost:
    """A host of the network: `with` it, what connects does so from there. It can crash, and come back."""

    def __init__(self, host: Host, wire: Wire, ends: Callable[[], Iterable[Stream]], changed: Callable[[], None]
                 ) -> None:
        self.name = host.name
        self.addresses = host.addresses
        self._host = host
        self._wire = wire
        self._ends = ends
        self._changed = changed
        self._tokens: list[Token[Host | None]] = []

    def __enter__(self) -> Self:
        self._tokens.append(here.set(self._host))
        return self

    def __exit__(self, *_: object) -> None:
        here.reset(self._tokens.pop())

    def crash(self) -> None:
        """Lose power: nothing answers, and nobody hears of it. What runs there gets ECONNRESET.

        It is gone: whatever it does from now on, and what it leaves, fails no test.
        """
        self._wire.faults.drop(self._wire.names.all_addresses_of(self.name))
        self._changed()
        for end in list(self._ends()):
            for each in (end, end.peer):
                if each is not None and self._has(each):
                    each.is_on_crashed_host = True
                    self._wire.forget(each)
                    if each.state in CONNECTED and each.hears(RST):
                        each.fail(errno.ECONNRESET)
        for listener in self._listening():  # afterwards: what was never accepted is gone, and nobody is told of that
            listener.turn_away()
        self._wire.names.crash(self.name)

    def restart(self, *, services: bool = True) -> None:
        """Come back, with the servers that listened unless `services` is false: then connects are refused.

        Who was connected hears of it when it sends: ECONNRESET.
        """
        self._wire.names.restart(self.name)
        self._wire.faults.repair(self._wire.names.all_addresses_of(self.name))
        for listener in self._listening():
            listener.refusing = not services

    def _listening(self) -> list[Backlog[Stream]]:
        return [end.as_listener() for end in self._ends()
                if end.state is LISTENING and self._has(end)]

    def _has(self, end: Connection) -> bool:
        assert end.local is not None
        return self._wire.names.owner(end.local[0]) is self._host or (
            end.local[0] in WILDCARDS and self._host is self._wire.names.machine)

    def __repr__(self) -> str:
        return f"<host {self.name} {', '.join(self.addresses)}>"


class Ports(Protocol):
    """What is asked of the ports of TCP."""

    @property
    def bound(self) -> Any:
        """By port: the ends that are there."""


class Datagrams(Protocol):
    """What is asked of UDP."""

    @property
    def ports(self) -> Ports:
        """Its ports."""


class Conditions:
    """The part of a network that a test sets for packets and hosts."""

    names: Names
    wire: Wire
    tcp: Ports
    udp: Datagrams

    def drop(self, host: str) -> None:
        """Lose everything that is sent to this address or by it; of a name: to and by all addresses of its host.

        A connect to it is neither accepted nor refused: SYN segments are repeated for 131 seconds of virtual time, then
        it fails with ETIMEDOUT. Datagrams are lost. Open connections send again what they have sent, and give up with
        ETIMEDOUT in the end.
        """
        self.wire.faults.drop(self.names.all_addresses_of(host))
        self._changed()

    def repair(self, host: str) -> None:
        """End `drop(host)`: a connect under way succeeds when its SYN is repeated next."""
        self.wire.faults.repair(self.names.all_addresses_of(host))

    def rule(self, rule: Rule) -> InstalledRule:
        """Ask a function what happens to each packet between two hosts. It gives a Verdict, or None for no opinion.

        A connect, a segment, the end of a stream, a datagram, a look-up: a packet has its `kind`, `source`, `target`,
        `data` and `size`. A look-up goes to "dns", and its data is the name. The first of several rules that has an
        opinion wins. The result has `remove()`, and is a `with` block.
        """
        installed = self.wire.faults.install(rule)
        self.names.judge = self.wire.judge_lookup
        self._changed()
        return installed

    def link(self, one: str = ANY, other: str = ANY, *, one_way: bool = False, **settings: Any) -> Link:
        """A link between two hosts, by name; "*" stands for every one. What a host says to itself goes over none.

        Seconds: `latency` one way; `jitter`, its deviation, with `distribution` "uniform", "normal" or "pareto" and
        `correlation` from 0 to 1; a share `stragglers` takes `straggle` more; `slow_close` is how much later the end
        of a stream comes. `bandwidth` is in bits a second. Shares from 0 to 1: `loss`, in bursts of `burst` packets on
        average; of datagrams `duplicate`, `reorder` and `corrupt`. Bytes: `mtu`, the most of a packet; of streams
        `slice`, the most in one packet; after `limit` nothing passes, after `reset_after` the connection is reset,
        at once and at both ends (`Verdict.RESET` of a rule resets the sender alone).
        Errnos: `connect` is what a connect is answered with (ECONNREFUSED, EHOSTUNREACH, ...; ETIMEDOUT: with nothing);
        `route` is what each call gets at once that would send (ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL).

        A stream loses no byte: it sends again what is lost. The result has `change(...)`, `cut()`, `heal()`, `hold()`,
        `release()`, `stall(seconds)` and `remove()`, and is a `with` block. What a link cannot do is a ValueError.
        """
        wanted = Settings().but(settings)
        link = self.wire.links.make(self._host(one), self._host(other), wanted, one_way, self._changed)
        self._changed()
        return link

    def partition(self, one: str, other: str = ANY) -> None:
        """Lose everything between two hosts, or between one and all others, until `heal()`."""
        self._all_between(one, other, Link.cut, make=True)

    def heal(self, one: str = ANY, other: str = ANY) -> None:
        """End `partition()` of these, or of all. Nobody is told: a stream goes on at its next retransmission."""
        self._all_between(one, other, Link.heal)

    def hold(self, one: str = ANY, other: str = ANY) -> None:
        """Keep everything between two hosts on its way, until `release()`."""
        self._all_between(one, other, Link.hold, make=True)

    def release(self, one: str = ANY, other: str = ANY) -> None:
        """End `hold()` of these, or of all: what was held arrives now, in order."""
        self._all_between(one, other, Link.release)

    def in_flight(self) -> list[Flight]:
        """What is on its way: (what, size in bytes, when it arrives)."""
        return self.wire.links.flying()

    def keep(self) -> Callable[[], None]:
        """Note the conditions of now: names, rules, links, what is lost, who refuses. The result makes it so again.

        What was held is let go then, and what was lost is sent again, as after `heal()`.
        """
        names, faults, links = self.names.keep(), self.wire.faults.keep(), self.wire.links.keep()
        refusing = [(listener, listener.refusing) for listener in self._listening()]

        def put_back() -> None:
            names()
            links()
            faults()
            for listener, before in refusing:
                listener.refusing = before
            self._changed()

        return put_back

    def clear(self) -> None:
        """Take everything away that was set: names, rules, links, what is lost, who refuses."""
        self.names.clear()
        self.wire.links.clear()
        self.wire.faults.clear()
        for listener in self._listening():
            listener.refusing = False

    def _listening(self) -> list[Backlog[Stream]]:
        return [end.as_listener() for end in self._ends() if end.state is LISTENING]

    def _host(self, name: str) -> str:
        return name if name == ANY else self.names.declare(name).name

    def _all_between(self, one: str, other: str, do: Callable[[Link], None], *, make: bool = False) -> None:
        ends = self._host(one), self._host(other)
        if make:
            self.wire.links.exact(*ends, self._changed)
        for link in self.wire.links.between(*ends):
            do(link)
        self._changed()

    def _changed(self) -> None:
        """Something may be between hosts now: open connections go over it too."""
        if not self.wire.is_plain:
            self.wire.attach(end for end in self._ends() if end.peer is not None)
            self.wire.watch()

    # -- hosts

    def host(self, name: str) -> OnHost:
        """A host: `with self.network.host("client-1"):` connects come from there, also in tasks that are made inside.

        It has `crash()` and `restart()`.
        """
        return OnHost(self.names.declare(name), self.wire, self._ends, self._changed)

    def _ends(self) -> Iterable[Stream]:
        bound = [end for ends in list(self.tcp.bound.values()) for end in list(ends)]
        return dict.fromkeys([*bound, *self.wire.ends()])

    def netstat(self) -> str:
        """A table of all sockets of TCP and UDP: addresses, states, bytes that wait, and what is on its way."""
        return "\n".join([_HEAD, *(line for line, _ in self._rows()), *self._flights()])

    def standing(self) -> str:
        """What there is to see in the network when a test fails: bytes that wait, or have not arrived; "" for nothing.
        """
        rows = [line for line, counts in self._rows() if counts]
        flights = self._flights()
        if not rows and not flights and not self.wire.stranded():
            return ""
        more = [f"and {len(flights) - SHOWN} more"] if len(flights) > SHOWN else []
        cut = self.wire.links.cut()
        lines = [*([_HEAD] if rows else []), *rows[:SHOWN], *flights[:SHOWN], *more,
                 *([f"cut: {', '.join(cut)}"] if cut else [])]
        return "\n  ".join([f"the network when it failed, at t={self.wire.clock.now!r}", *lines])

    def _rows(self) -> Iterator[tuple[str, int]]:
        """A line for each socket, and how many bytes wait there or are under way."""
        for end in dict.fromkeys(each for one in self._ends() for each in (one, one.peer) if each is not None):
            yield _row(end.local, end.remote, end.state, len(end.incoming), end.coming)
        for datagram in [each for ends in list(self.udp.ports.bound.values()) for each in ends]:
            unread = sum(len(packet.data) for packet in datagram.queue)
            yield _row(datagram.local, datagram.remote, f"udp, {datagram.state}", unread, 0)

    def _flights(self) -> list[str]:
        """A line for all that is alike, in the order in which the first of each arrives."""
        alike: dict[str, list[Flight]] = {}
        for flight in self.in_flight():
            alike.setdefault(flight.what, []).append(flight)
        return [_flying(what, flights) for what, flights in alike.items()]


def _flying(what: str, flights: list[Flight]) -> str:
    size, first, last = sum(flight.size for flight in flights), flights[0].arrives, flights[-1].arrives
    when = "after release()" if first == math.inf else f"at t={round(first, 6)!r}"
    if len(flights) == 1:
        return f"on its way: {what}, {counted(size, 'byte')}, arrives {when}"
    if last not in (first, math.inf):
        when = f"from t={round(first, 6)!r} to t={round(last, 6)!r}"
    return f"on its way: {what}, {len(flights)} packets of {counted(size, 'byte')} together, arrive {when}"


def _row(local: Address | None, remote: Address | None, state: str, unread: int, coming: int) -> tuple[str, int]:
    ends = [f"{address[0]}:{address[1]}" if address else "*" for address in (local, remote)]
    return f"{ends[0]:<28} {ends[1]:<28} {state:<16} {unread:>8} {coming:>9}", unread + coming
