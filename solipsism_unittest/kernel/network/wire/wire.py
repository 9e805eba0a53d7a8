"""What is between the hosts of one network, and how connects, streams and datagrams go over it.

Owns which flow belongs to which end. Does not own what a link does with a packet (links.py), what a rule says
(faults.py) or what TCP makes of a loss (flows.py). The rule that keeps it cheap: as long as there is no rule and no
link, nothing of this is asked.
"""

from __future__ import annotations

import errno
import functools
import itertools
import math
import socket
import weakref
from collections.abc import Callable, Iterable

from ...addresses.hosts import here
from ...addresses.icmp import Failure, Report, too_large
from ...addresses.resolver import Names
from ...choices import Choices
from ...choices.kinds import CONNECTION
from ...clock import VirtualClock
from ...descriptors.connection import Connection
from ...descriptors.datagram import Packet as Datagram
from ...descriptors.datagram import route
from ...descriptors.end import Address
from ...descriptors.stream import Stream
from ...descriptors.transitions import CLOSED, CONNECTED, CONNECTING, RST
from ...journal import Journal, counted
from ..mtu import DONT, Mtus, discovers
from ..round_trips import ORPHANS
from .faults import Faults, Packet, Verdict
from .flows import Flow
from .lanes import Lane, Parcel
from .links import ANY, Links, Way
from .settings import Settings

RETRIES = 15  # net.ipv4.tcp_retries2
_LOST = "drop", "fail", "corrupt"  # verdicts on a probe of keepalive that nobody answers
DNS = "dns", 53
NO_ANSWER = 10.0  # seconds after which the resolver of Linux gives up: 2 attempts of 5
REFUSALS = 6.0  # datagrams that a host refuses at once


class Wire:
    """What is between the hosts of one network: rules, links, and the flows of open connections over them."""

    def __init__(self, names: Names, clock: VirtualClock, journal: Journal, choices: Choices) -> None:
        self.names = names
        self.clock = clock
        self.journal = journal
        self.faults = Faults()
        self.links = Links(clock, choices)
        self.retries = RETRIES
        self.orphan_retries = ORPHANS
        self._refusals: dict[tuple[str, str], tuple[float, float]] = {}  # who, whom: how many are left, since when
        self._choices = choices

    # Made once somebody asks: most networks are plain.

    @functools.cached_property
    def mtus(self) -> Mtus:
        """What hosts know of the sizes that get through."""
        return Mtus(self.clock, lambda source, target: self.way(source, target).settings.mtu)

    @functools.cached_property
    def _free(self) -> Way:
        return Way(self.clock, self._choices, ANY, ANY, Settings())

    @functools.cached_property
    def _flows(self) -> weakref.WeakKeyDictionary[Connection, Flow]:
        return weakref.WeakKeyDictionary()

    @functools.cached_property
    def _slow(self) -> weakref.WeakKeyDictionary[Connection, float]:
        return weakref.WeakKeyDictionary()

    @property
    def is_plain(self) -> bool:
        """Whether nothing is between any two hosts."""
        return not (self.faults.any or self.links.any or self._choices.explorer is not None)

    def host(self, address: str) -> str:
        """The name of the host that has an address, or the address where nobody has a name for it."""
        owner = self.names.owner(address)
        return owner.name if owner is not None else address

    def way(self, source: str, target: str) -> Way:
        """The way from one address to another."""
        return self.links.way(self.host(source), self.host(target)) or self._free

    def ways_of(self, sender: Connection) -> tuple[Way, Way]:
        """The way that the segments of this end go, and the one of the answers."""
        if sender.local is None or sender.remote is None:
            return self._free, self._free
        return self.way(sender.local[0], sender.remote[0]), self.way(sender.remote[0], sender.local[0])

    def packet(self, kind: str, source: Address, target: Address, data: bytes = b"") -> Packet:
        """What a rule looks at."""
        return Packet(kind, self.host(source[0]), self.host(target[0]), (source[0], source[1]), (target[0], target[1]),
                      data)

    def verdict_on(self, sender: Connection, kind: str, data: bytes) -> Verdict:
        """What the rules say about a segment."""
        if not self.faults.any or sender.local is None or sender.remote is None:
            return Verdict.PASS
        return self.faults.verdict(self.packet(_KINDS.get(kind, kind), sender.local, sender.remote, data))

    def judge_lookup(self, name: str) -> tuple[float, int]:
        """What the rules say about a look-up: the seconds that it takes, and the code of its failure, or 0."""
        source = here.get() or self.names.machine
        verdict = self.faults.verdict(Packet(
            "lookup", source.name, DNS[0], (source.addresses[0], 0), DNS, name.encode()))
        if verdict.kind == "drop":
            return NO_ANSWER, socket.EAI_AGAIN
        return verdict.seconds, socket.EAI_AGAIN if verdict.kind in ("reset", "fail") else 0

    # -- streams

    def attach(self, ends: Iterable[Connection]) -> None:
        """Let the segments of these connections go over the wire, both ways, from now on."""
        for end in ends:
            peer = end.peer
            if peer is None or peer is end or peer.peer is not end or not end.is_tcp:
                continue
            for one, other in ((end, peer), (peer, end)):
                known = self._flows.get(one)
                if one.state in CONNECTED and (known is None or known.receiver is not other):
                    flow = self._flows[one] = Flow(self, one, other)
                    flow.lane.slow = self.slowness(one, other)
                    one.transmit = flow.transmit
                    flow.meet(self._flows.get(other))

    def ends(self) -> list[Stream]:
        """The ends of streams that go over the wire and are open, also of those whose peer is gone without a word."""
        return [end for end in list(self._flows) if isinstance(end, Stream) and end.state is not CLOSED]

    def slowness(self, one: Connection, other: Connection | None = None) -> float:
        """How many seconds longer each packet of this connection takes, where an exploration wants it."""
        explorer = self._choices.explorer
        if explorer is None:
            return 0.0
        known = self._slow.get(one, self._slow.get(other) if other is not None else None)
        if known is None:
            now = self.clock.now
            known = self._slow[one] = explorer.later(CONNECTION, now, one) - now
        return known

    def let_go(self) -> None:
        """Forget all flows, whose world is closed: they and their ends would wait for the garbage collector."""
        for flow in list(self._flows.values()):
            flow.sender.peer = None
            flow.sender.transmit = _into_nothing
            vars(flow).clear()
        self._flows.clear()

    def watch(self) -> None:
        """Something is cut: connections with keepalive look whether their peer is there."""
        for flow in list(self._flows.values()):
            flow.probes.watch()

    def probe(self, end: Connection) -> str:
        """What becomes of a probe of this end: "drop" where it, or the answer to it, is lost; "reset"; or "pass"."""
        if end.local is None or end.remote is None:
            return "pass"
        for one, other in (end.local, end.remote), (end.remote, end.local):
            if self.way(one[0], other[0]).is_cut:
                return "drop"
            kind = self.faults.verdict(self.packet("probe", one, other)).kind if self.faults.any else "pass"
            if kind in _LOST or kind == "reset" and one is end.local:
                return "reset" if kind == "reset" else "drop"
        return "pass"

    def forget(self, end: Connection) -> None:
        """The host of this end has crashed: nothing of it is sent again."""
        flow = self._flows.get(end)
        if flow is not None:
            flow.forget()

    def is_answered(self, end: Connection) -> bool:
        """Whether all that this end sent has arrived."""
        flow = self._flows.get(end)
        return flow is None or flow.is_answered

    def when_answered(self, end: Connection, action: Callable[[], object]) -> None:
        """Do this when an end that was not answered yet knows that all has arrived, or gives up."""
        self._flows[end].when_answered(action)

    def next_arrival(self) -> float:
        """When the next packet arrives, or a closed end sends again what was lost; infinity where neither is to come.
        """
        again = (flow.due for flow in self._flows.values() if flow.sender.state is CLOSED)
        return min(itertools.chain((flight.arrives for flight in self.links.flying()[:1]), again), default=math.inf)

    def on_its_way(self) -> int:
        """How many packets were sent and have not arrived."""
        return len(self.links.flying()) + sum(len(flow.lost) for flow in list(self._flows.values()))

    def is_lost(self, file: object) -> bool:
        """Whether a file is a socket of a host that is down, or the end of a connection whose host has crashed."""
        local = getattr(file, "local", None)
        return getattr(file, "is_on_crashed_host", False) or (
            isinstance(local, tuple) and isinstance(local[0], str) and self.names.is_down(local[0]))

    def stranded(self) -> str:
        """What was sent and does not arrive by itself soon, in words for a report; "" for nothing."""
        count = self.on_its_way()
        what = f"{counted(count, 'packet')} {'has' if count == 1 else 'have'}"
        return f"{what} not arrived: heal(), release(), or let time pass, before the test ends" if count else ""

    def dial(self, end: Stream, target: Address, answer: Callable[[], object], is_full: Callable[[], bool]) -> bool:
        """Send a SYN; False while there is no answer. `answer()` is what the host does with it.

        `is_full()` is whether it would say nothing now.
        """
        assert end.local is not None
        verdict = self.faults.verdict(self.packet("connect", end.local, target))
        out, back = self.way(end.local[0], target[0]), self.way(target[0], end.local[0])
        if verdict is Verdict.PASS and out.settings.connect:
            code = out.settings.connect
            verdict = Verdict.DROP if code == errno.ETIMEDOUT else Verdict.fail(code)
        failure = verdict.failure(target[0]) if verdict.kind in ("reset", "fail") else None
        forth, home = Lane(end), Lane(end)  # of this one packet each: a connect is repeated
        forth.slow = home.slow = self.slowness(end)
        if (verdict.kind in ("drop", "corrupt") or out.is_cut or out.loses()
                or failure is not None and failure.errno == errno.EMSGSIZE):  # a SYN is sent again, in less
            self.journal.add("connect", end.label, "dropped")
            return False
        if verdict.kind == "reset":
            self.journal.add("rejected", end.label, "connect", 0)

        def arrive() -> None:
            if out.is_cut or back.is_cut or back.loses() or end.state is not CONNECTING or is_full():
                return  # the next SYN comes
            back.carry(home, Parcel(0, f"answer to {end.label}", come_back))

        def come_back() -> None:
            if back.is_cut or end.state is not CONNECTING or end.asked is not None:
                return
            if failure is not None:
                if verdict.kind == "fail":
                    end.note(Report(failure, b"", target, 0))
                end.give_up(failure.errno)
                return
            answer()
            self.attach([end])

        out.carry(forth, Parcel(0, f"connect {end.label}", arrive), verdict.seconds)
        return end.state is not CONNECTING

    def refuses(self, source: str, target: str) -> int:
        """The errno that a call gets at once which would send from one address to another; 0 where there is a route."""
        return self.way(source, target).settings.route or 0

    # -- datagrams

    def send(self, packet: Datagram, deliver: Callable[[Datagram], None], to: str = "") -> None:
        """Let a datagram go; `deliver()` is what happens where it arrives. One for many goes `to` a host, by name."""
        assert packet.source is not None and packet.target is not None
        seen = self.packet("datagram", packet.source, packet.target, packet.data)
        if to:
            seen = seen._replace(target=to)
        verdict = self.faults.verdict(seen)
        way = self.links.way(seen.source, seen.target) or self._free
        settings = way.settings
        stops = settings.mtu is not None and self.mtus.is_stopped(
            packet.sender.options, len(packet.data), packet.source[0], packet.target[0], settings.mtu)
        fragments = 1 if stops else settings.fragments(len(packet.data))
        if verdict.kind == "drop" or way.is_cut or any([way.loses() for _ in range(fragments)]):
            self.journal.add("drop", route(packet))
            return
        if verdict.kind in ("reset", "fail") or stops:
            failure = too_large(settings.mtu or 0, 6 if ":" in packet.target[0] else 4) if stops else (
                verdict.failure(packet.target[0]))
            way.carry(None, Parcel(len(packet.data), f"datagram {route(packet)}",
                                   functools.partial(self.report, packet, failure)), verdict.seconds)
            return
        for _ in range(verdict.copies + way.draws(settings.duplicate)):
            copy = packet
            if packet.data and (verdict.kind == "corrupt" or way.draws(settings.corrupt)):
                copy = packet._replace(data=_corrupted(packet.data, way.chance.randrange(len(packet.data) * 8)))
                self.journal.add("corrupt", route(packet))
            if way.draws(settings.reorder):
                deliver(copy)  # it overtakes all others
            else:
                way.carry(None, Parcel(len(copy.data), f"datagram {route(packet)}",
                                       functools.partial(self._land, way, copy, deliver)), verdict.seconds)

    def _land(self, way: Way, packet: Datagram, deliver: Callable[[Datagram], None]) -> None:
        if way.is_cut:
            self.journal.add("drop", route(packet))
        else:
            deliver(packet)

    def report(self, packet: Datagram, failure: Failure) -> None:
        """Let the sender of a datagram know that it did not arrive: an error of ICMP comes back to it."""
        assert packet.source is not None and packet.target is not None
        if failure.errno == errno.ECONNREFUSED and not self._may_refuse(packet):
            return
        hear = functools.partial(self._hear, packet, failure)
        if self.is_plain:
            hear()
            return
        back = self.way(packet.target[0], packet.source[0])
        if back.is_cut or self.faults.drops(packet.source[0]) or back.loses():
            self.journal.add("drop", f"error for {route(packet)}")
        else:
            back.carry(None, Parcel(0, f"error for {route(packet)}", hear))

    def _hear(self, packet: Datagram, failure: Failure) -> None:
        assert packet.source is not None and packet.target is not None
        if failure.mtu:
            self.mtus.learn(packet.source[0], packet.target[0], failure.mtu)
        if failure.errno != errno.EMSGSIZE or discovers(packet.sender.options, failure.version) != DONT:
            packet.sender.refuse(packet, failure)

    def _may_refuse(self, packet: Datagram) -> bool:
        """Whether a host still sends an error of ICMP to another one: six at once, and then one each second.

        Linux has net.ipv4.icmp_ratelimit for that, which spares the loopback.
        """
        assert packet.source is not None and packet.target is not None
        host, sender = self.host(packet.target[0]), self.host(packet.source[0])
        if host == sender:
            return True
        left, since = self._refusals.get((host, sender), (REFUSALS, self.clock.now))
        left = min(left + self.clock.now - since, REFUSALS)
        self._refusals[host, sender] = left - (left >= 1), self.clock.now
        return left >= 1


def _into_nothing(kind: str, data: bytes | memoryview) -> None:
    """Nobody is there any more."""


_KINDS = {RST: "reset"}


def _corrupted(data: bytes, bit: int) -> bytes:
    turned = bytearray(data)
    turned[bit // 8] ^= 1 << bit % 8
    return bytes(turned)
