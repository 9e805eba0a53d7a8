"""What a test sets for the network: what is between hosts, on which host a program is, and when a host crashes.

Owns the context in which a program is on another host than the test. What all of that does to a packet stands in the
other files of this folder.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextvars import Token
from typing import Any, Protocol, Self

from ...addresses.hosts import Host, here
from ...addresses.resolver import Names
from ...descriptors.backlog import Backlog
from ...descriptors.stream import Stream
from ...descriptors.transitions import CONNECTED, LISTENING, RST
from .faults import InstalledRule, Rule
from .links import ANY, Flight, Link, Settings
from .wire import Wire


class OnHost:
    """A host of the network: `with` it, what connects does so from there. It can crash, and come back."""

    def __init__(self, host: Host, wire: Wire, ends: Callable[[], Iterator[Stream]], changed: Callable[[], None]
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
        """Lose power: nothing answers any more, and nobody is told. What runs on the host gets ECONNRESET."""
        self._wire.faults.drop(self.addresses)
        self._changed()
        for end in list(self._ends()):
            for each in (end, end.peer):
                if each is not None and each.local is not None and each.local[0] in self.addresses:
                    each.is_on_crashed_host = True
                    self._wire.forget(each)
                    if each.state in CONNECTED and each.hears(RST):
                        each.fail(errno.ECONNRESET)
        for listener in self._listening():  # afterwards: what was never accepted is gone, and nobody is told of that
            listener.turn_away()

    def restart(self, *, services: bool = True) -> None:
        """Come back, with the servers that listened unless `services` is false: then connects are refused.

        Who was connected hears of it when it sends: ECONNRESET.
        """
        self._wire.faults.repair(self.addresses)
        for listener in self._listening():
            listener.refusing = not services

    def _listening(self) -> list[Backlog[Stream]]:
        return [end.as_listener() for end in self._ends()
                if end.state is LISTENING and end.local is not None and end.local[0] in self.addresses]

    def __repr__(self) -> str:
        return f"<host {self.name} {', '.join(self.addresses)}>"


class Ports(Protocol):
    """What is asked of the ports of TCP."""

    @property
    def bound(self) -> Any:
        """By port: the ends that are there."""


class Conditions:
    """The part of a network that a test sets for packets and hosts."""

    names: Names
    wire: Wire
    tcp: Ports

    def drop(self, host: str) -> None:
        """Lose everything that is sent to this address, or to all addresses of the host of this name.

        A connect to it is neither accepted nor refused: SYN segments are repeated for 131 seconds of virtual time, then
        it fails with ETIMEDOUT. Datagrams are lost. Open connections send again what they have sent, and give up with
        ETIMEDOUT in the end.
        """
        self.wire.faults.drop(self.names.addresses_of(host))
        self._changed()

    def repair(self, host: str) -> None:
        """End `drop(host)`: a connect under way succeeds when its SYN is repeated next."""
        self.wire.faults.repair(self.names.addresses_of(host))

    def rule(self, rule: Rule) -> InstalledRule:
        """Ask a function what happens to each packet between two hosts. It gives a Verdict, or None for no opinion.

        The first of several that has one wins. The result has `remove()`, and is a `with` block.
        """
        installed = self.wire.faults.install(rule)
        self._changed()
        return installed

    def link(self, one: str = ANY, other: str = ANY, *, one_way: bool = False, **settings: Any) -> Link:
        """A link between two hosts, by name; "*" stands for every one. What a host says to itself goes over none.

        Seconds: `latency` one way; `jitter`, its deviation, with `distribution` "uniform", "normal" or "pareto" and
        `correlation` from 0 to 1; a share `stragglers` takes `straggle` more; `slow_close` is how much later the end
        of a stream comes. `bandwidth` is in bits a second. Shares from 0 to 1: `loss`, in bursts of `burst` packets on
        average; of datagrams `duplicate`, `reorder` and `corrupt`. Bytes of streams: `slice`, the most in one packet;
        after `limit` nothing passes, after `reset_after` the connection is reset.

        A stream loses no byte: it sends again what is lost. The result has `change(...)`, `cut()`, `heal()`, `hold()`,
        `release()` and `remove()`, and is a `with` block. What a link cannot do is a ValueError.
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
        """Note the conditions of now: rules, links, what is lost, who refuses. The result makes it so again.

        What was held is let go then, and what was lost is sent again, as after `heal()`.
        """
        faults, links = self.wire.faults.keep(), self.wire.links.keep()
        refusing = [(listener, listener.refusing) for listener in self._listening()]

        def put_back() -> None:
            links()
            faults()
            for listener, before in refusing:
                listener.refusing = before
            self._changed()

        return put_back

    def clear(self) -> None:
        """Take everything away that was set: rules, links, what is lost, who refuses."""
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

    def _ends(self) -> Iterator[Stream]:
        return (end for ends in list(self.tcp.bound.values()) for end in list(ends))

    def netstat(self) -> str:
        """A table of all sockets of TCP: addresses, states, bytes that wait, and what is on its way."""
        lines = [f"{'local':<28} {'remote':<28} {'state':<12} {'to read':>8} {'under way':>9}"]
        for end in dict.fromkeys(each for one in self._ends() for each in (one, one.peer) if each is not None):
            local, remote = (f"{address[0]}:{address[1]}" if address else "*" for address in (end.local, end.remote))
            lines.append(f"{local:<28} {remote:<28} {end.state:<12} {len(end.incoming):>8} {end.coming:>9}")
        lines += [f"on its way: {flight.what}, {flight.size} bytes, arrives at t={flight.arrives!r}"
                  for flight in self.in_flight()]
        return "\n".join(lines)
