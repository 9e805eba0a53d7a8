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
import weakref
from collections.abc import Callable, Iterable

from ...addresses.resolver import Names
from ...choices import Choices
from ...clock import VirtualClock
from ...descriptors.connection import Connection
from ...descriptors.datagram import Packet as Datagram
from ...descriptors.datagram import route
from ...descriptors.end import Address
from ...descriptors.stream import Stream
from ...descriptors.transitions import CLOSED, CONNECTED, CONNECTING, RST
from ...journal import Journal
from .faults import Faults, Packet, Verdict
from .flows import Flow
from .links import ANY, Links, Settings, Way

RETRIES = 15  # net.ipv4.tcp_retries2


class Wire:
    """What is between the hosts of one network: rules, links, and the flows of open connections over them."""

    def __init__(self, names: Names, clock: VirtualClock, journal: Journal, choices: Choices) -> None:
        self.names = names
        self.clock = clock
        self.journal = journal
        self.faults = Faults()
        self.links = Links(clock, choices)
        self.retries = RETRIES
        self._free = Way(clock, choices, ANY, ANY, Settings())
        self._flows: weakref.WeakKeyDictionary[Connection, Flow] = weakref.WeakKeyDictionary()

    @property
    def is_plain(self) -> bool:
        """Whether nothing is between any two hosts."""
        return not (self.faults.any or self.links.any)

    def host(self, address: str) -> str:
        """The name of the host that has an address, or the address where nobody has a name for it."""
        owner = self.names.owner(address)
        return owner.name if owner is not None else address

    def way(self, source: str, target: str) -> Way:
        """The way from one address to another."""
        return self.links.way(self.host(source), self.host(target)) or self._free

    def way_of(self, sender: Connection) -> Way:
        """The way that the segments of this end go."""
        if sender.local is None or sender.remote is None:
            return self._free
        return self.way(sender.local[0], sender.remote[0])

    def round_trip(self, sender: Connection) -> float:
        """The seconds to the other end and back, without jitter."""
        if sender.local is None or sender.remote is None:
            return 0.0
        back = self.way(sender.remote[0], sender.local[0])
        return self.way_of(sender).settings.latency + back.settings.latency

    def packet(self, kind: str, source: Address, target: Address, data: bytes = b"") -> Packet:
        """What a rule looks at."""
        return Packet(kind, self.host(source[0]), self.host(target[0]), (source[0], source[1]), (target[0], target[1]),
                      data)

    def verdict_on(self, sender: Connection, kind: str, data: bytes) -> Verdict:
        """What the rules say about a segment."""
        if not self.faults.any or sender.local is None or sender.remote is None:
            return Verdict.PASS
        return self.faults.verdict(self.packet(_KINDS.get(kind, kind), sender.local, sender.remote, data))

    # -- streams

    def attach(self, ends: Iterable[Connection]) -> None:
        """Let the segments of these connections go over the wire, both ways, from now on."""
        for end in ends:
            for one, other in ((end, end.peer), (end.peer, end)):
                if one is not None and other is not None and one is not other and one.is_tcp and (
                        one not in self._flows and one.state in CONNECTED):
                    flow = self._flows[one] = Flow(self, one, other)
                    one.transmit = flow.transmit

    def hear(self, end: Connection) -> None:
        """An end has heard from its peer."""
        flow = self._flows.get(end)
        if flow is not None:
            flow.heard = self.clock.now

    def watch(self) -> None:
        """Something is cut: connections with keepalive look whether their peer is there."""
        for flow in list(self._flows.values()):
            flow.watch()

    def is_cut_between(self, end: Connection) -> bool:
        """Whether packets of this end, or the answers to them, are lost."""
        if end.local is None or end.remote is None:
            return False
        return any(self.way(one[0], other[0]).is_cut
                   or self.faults.any and self.faults.verdict(self.packet("probe", one, other)).kind == "drop"
                   for one, other in ((end.local, end.remote), (end.remote, end.local)))

    def forget(self, end: Connection) -> None:
        """The host of this end has crashed: nothing of it is sent again."""
        flow = self._flows.get(end)
        if flow is not None:
            flow.forget()

    def next_arrival(self) -> float:
        """When the next packet arrives, or a closed end sends again what was lost; infinity where neither is to come.
        """
        again = (flow.due for flow in self._flows.values() if flow.sender.state is CLOSED)
        return min(itertools.chain((flight.arrives for flight in self.links.flying()[:1]), again), default=math.inf)

    def stranded(self) -> str:
        """What was sent and does not arrive by itself soon, in words for a report; "" for nothing."""
        count = len(self.links.flying()) + sum(len(flow.lost) for flow in list(self._flows.values()))
        what = "1 packet has" if count == 1 else f"{count} packets have"
        return f"{what} not arrived: heal(), release(), or let time pass, before the test ends" if count else ""

    def dial(self, end: Stream, target: Address, answer: Callable[[], object], is_full: Callable[[], bool]) -> bool:
        """Send a SYN; False while there is no answer. `answer()` is what the host does with it.

        `is_full()` is whether it would say nothing now.
        """
        assert end.local is not None
        verdict = self.faults.verdict(self.packet("connect", end.local, target))
        out, back = self.way(end.local[0], target[0]), self.way(target[0], end.local[0])
        if verdict.kind in ("drop", "corrupt") or out.is_cut or out.loses():
            self.journal.add("connect", end.label, "dropped")
            return False

        def arrive() -> None:
            if out.is_cut or back.is_cut or back.loses() or end.state is not CONNECTING or is_full():
                return  # the next SYN comes
            back.carry(None, 0, f"answer to {end.label}", come_back, 0.0)

        def come_back() -> None:
            if back.is_cut or end.state is not CONNECTING or end.asked is not None:
                return
            if verdict.kind in ("reset", "fail"):
                end.give_up(verdict.errno or errno.ECONNREFUSED)
                return
            answer()
            self.attach([end])

        out.carry(None, 0, f"connect {end.label}", arrive, verdict.seconds)
        return end.state is not CONNECTING

    # -- datagrams

    def send(self, packet: Datagram, deliver: Callable[[Datagram], None]) -> None:
        """Let a datagram go; `deliver()` is what happens where it arrives."""
        assert packet.source is not None and packet.target is not None
        verdict = (self.faults.verdict(self.packet("datagram", packet.source, packet.target, packet.data))
                   if self.faults.any else Verdict.PASS)
        way = self.way(packet.source[0], packet.target[0])
        settings = way.settings
        if verdict.kind in ("drop", "fail") or way.is_cut or way.loses():
            self.journal.add("drop", route(packet))
            return
        if verdict.kind == "reset":
            packet.sender.refuse(packet.target)
            return
        for _ in range(verdict.copies + way.draws(settings.duplicate)):
            copy = packet
            if packet.data and (verdict.kind == "corrupt" or way.draws(settings.corrupt)):
                copy = packet._replace(data=_corrupted(packet.data, way.chance.randrange(len(packet.data) * 8)))
                self.journal.add("corrupt", route(packet))
            if way.draws(settings.reorder):
                deliver(copy)  # it overtakes all others
            else:
                way.carry(None, len(copy.data), f"datagram {route(packet)}",
                          functools.partial(self._land, way, copy, deliver), verdict.seconds)

    def _land(self, way: Way, packet: Datagram, deliver: Callable[[Datagram], None]) -> None:
        if way.is_cut:
            self.journal.add("drop", route(packet))
        else:
            deliver(packet)


_KINDS = {RST: "reset"}


def _corrupted(data: bytes, bit: int) -> bytes:
    turned = bytearray(data)
    turned[bit // 8] ^= 1 << bit % 8
    return bytes(turned)
