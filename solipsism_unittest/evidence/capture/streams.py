"""Streams as TCP: which segments a capture shows of connections, socket pairs and pipes.

Owns sequence numbers and windows. A segment is shown at the moment when its end sends it, and its acknowledgment when
it has arrived, as a capture on the sender's machine would; what a link loses is sent, and sent again later. UNIX
sockets and pipes are shown as TCP between made-up addresses of 240.0.0.0/4, for no tool can follow them otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...kernel.descriptors.connection import DEFAULT_CAPACITY
from ...kernel.descriptors.transitions import DATA, FIN, RST, SYN_ACK
from ..recording.tape import Event
from .packets import ACK, LARGEST, PSH, SYN, Point, largest_segment, point, tcp
from .packets import FIN as FIN_FLAG
from .packets import RST as RST_FLAG

NETWORK, UNIX, PIPES, TEST = range(4)  # the interfaces of a capture
_STEP = 2_000_003  # between the initial sequence numbers of two ends: each has its own, or reuse looks like repetition
_FIRST_PORT, _PORTS = 1024, 60_000

Emit = Callable[[int, float, bytes, int, tuple[str, ...]], None]
Named = Callable[[str], Point]


class Side:
    """One end of a connection, as a capture sees it."""

    def __init__(self, number: int, at: Point, interface: int, capacity: int) -> None:
        self.at = at
        self.interface = interface
        self.first = number * _STEP % 2**32
        self.next = self.first + 1  # the number of the next byte that it sends
        self.heard: int | None = None  # that of the next byte that it expects; None before the handshake
        self.scale = max(capacity.bit_length() - 16, 0)
        self.window = capacity
        self.shown_window = capacity
        self.has_reset = self.was_reset = False
        self.dials = 0  # how many of its SYNs were lost
        self.peer = self

    def meet(self, peer: Side) -> None:
        """These two are the ends of one connection."""
        self.peer, peer.peer = peer, self

    def segment(self, flags: int, data: bytes = b"", missing: int = 0) -> bytes:
        """Make the next segment of this end."""
        self.shown_window = self.window
        options, window = b"", min(max(self.window >> self.scale, self.window > 0), 65_535)
        if flags & SYN:
            options = largest_segment(self.at.address.version, self.scale)
            window = min(self.window, 65_535)  # that of a SYN is never shifted
        number = self.first if flags & SYN else self.next
        return tcp(self.at, self.peer.at, number, self.heard or 0, flags, window, data, options, missing)


class Streams:
    """The connections of a test. `emit` takes each packet; `named` gives a name its made-up address."""

    def __init__(self, events: Iterable[Event], emit: Emit, named: Named, who: Who) -> None:
        self._emit = emit
        self._who = who
        self._named = named
        self._sides: dict[int, Side] = {}
        self._dialled: dict[str, Side] = {}  # by the label in the journal
        # The largest queue that each end has ever had: how far its window is shifted is said at the beginning.
        self._capacities: dict[int, int] = {}
        for event in events:
            if event.kind in ("arrived", "read") and event.facts[-1]:
                self._capacities[event.end] = max(event.facts[-1], self._capacities.get(event.end, 0))
        self._made = 0

    def _side(self, end: int, at: Point, interface: int) -> Side:
        self._made += 1
        return Side(self._made, at, interface, self._capacities.get(end) or DEFAULT_CAPACITY)

    def _point(self, address: Any, end: int, is_tcp: bool) -> Point:
        if is_tcp:
            return point(*address)
        return self._named(address[0] if address is not None else f"unnamed-{end}")

    def _client(self, end: int, local: Any, is_tcp: bool) -> Point:
        at = self._point(local, end, is_tcp)
        return at if is_tcp else at._replace(port=_FIRST_PORT + end % _PORTS)

    def _show(self, event: Event, side: Side, flags: int, data: bytes = b"", missing: int = 0) -> None:
        said = self._who(event) if data else ()
        self._emit(side.interface, event.time, side.segment(flags, data, missing), missing, said)

    def _handshake(self, event: Event, one: Side, other: Side) -> None:
        one.heard, other.heard = other.next, one.next
        self._show(event, other, SYN | ACK)
        self._show(event, one, ACK)

    # -- how they begin

    def syn(self, event: Event) -> None:
        """A client asks for a connection."""
        is_tcp, local, remote, label = event.facts
        interface = NETWORK if is_tcp else UNIX
        side = self._side(event.end, self._client(event.end, local, is_tcp), interface)
        side.meet(self._side(0, self._point(remote, 0, is_tcp), interface))
        self._sides[event.end] = self._dialled[label] = side
        self._show(event, side, SYN)

    def dropped(self, event: Event) -> None:
        """A SYN of this label was lost: the second one and those after it are shown, as the first one was."""
        side = self._dialled.get(event.facts[0])
        if side is not None:
            side.dials += 1
            if side.dials > 1:
                self._show(event, side, SYN)

    def refused(self, event: Event) -> None:
        """The host of the other end says that nobody listens there."""
        if event.end not in self._sides:
            return
        side = self._sides[event.end].peer
        side.next, side.heard, side.window = 0, side.peer.next, 0
        self._show(event, side, RST_FLAG | ACK)

    def joined(self, event: Event) -> None:
        """A listener has made its end of a connection; or two ends were joined that never asked."""
        other, is_tcp, local, remote, _ = event.facts
        side = self._sides.get(other)
        if side is not None and side.heard is None:
            if other != event.end:
                server = self._sides[event.end] = self._side(event.end, side.peer.at, side.interface)
                side.meet(server)
            return
        self._handshake(event, *self._join(event, other, is_tcp and local is not None, local, remote))

    def open(self, event: Event) -> None:
        """A connection was there before anybody looked."""
        other, is_tcp, local, remote, _ = event.facts
        if event.end not in self._sides:
            one, two = self._join(event, other, is_tcp and local is not None, local, remote, shown=False)
            one.heard, two.heard = two.next, one.next

    def _join(self, event: Event, other: int, is_tcp: bool, local: Any, remote: Any, shown: bool = True,
              interface: int = UNIX) -> tuple[Side, Side]:
        interface = NETWORK if is_tcp else interface
        one = self._sides[event.end] = self._side(event.end, self._client(event.end, local, is_tcp), interface)
        two = self._sides[other] = self._side(other, self._point(remote, other, is_tcp), interface)
        one.meet(two)
        if shown:
            self._show(event, one, SYN)
        return one, two

    # -- what goes through them

    def sent(self, event: Event) -> None:
        """An end sends bytes, its end, or a reset."""
        side = self._sides.get(event.end)
        if side is None:
            return
        kind, data, size = event.facts
        if kind == RST:
            side.has_reset = True
            self._show(event, side, RST_FLAG | ACK)
        elif kind == FIN:
            self._show(event, side, FIN_FLAG | ACK)
            side.next += 1
        else:
            self._send(event, side, data, size)

    def repeated(self, event: Event) -> None:
        """TCP sends again what was lost, with the numbers that it had."""
        side = self._sides.get(event.end)
        if side is None:
            return
        kind, data, size, back = event.facts
        before, side.next = side.next, side.next - back
        if kind == FIN:
            self._show(event, side, FIN_FLAG | ACK)
        else:
            self._send(event, side, data, size)
        side.next = before

    def _send(self, event: Event, side: Side, data: bytes, size: int) -> None:
        most = LARGEST[side.at.address.version]
        for start in range(0, size, most):
            part = data[start:start + most]
            missing = min(size - start, most) - len(part)
            self._show(event, side, PSH | ACK, part, missing)
            side.next += len(part) + missing

    def arrived(self, event: Event) -> None:
        """Something has come to an end: it is acknowledged."""
        side = self._sides.get(event.end)
        if side is None:
            return
        kind, size, queued, capacity = event.facts
        if kind == SYN_ACK:
            self._handshake(event, side, side.peer)
        elif kind == RST:
            if not side.peer.has_reset:  # somebody on the way has made it
                self._show(event, side.peer, RST_FLAG | ACK)
            side.was_reset = True
        elif not side.has_reset:
            side.heard = (side.heard or 0) + (size if kind == DATA else 1)
            side.window = max(capacity - queued, 0)
            self._show(event, side, ACK)

    def read(self, event: Event) -> None:
        """A program has read: the window is said anew where less than half of it was known to be free."""
        side = self._sides.get(event.end)
        _, queued, capacity = event.facts
        if side is not None and capacity and side.heard is not None and not (side.has_reset or side.was_reset):
            side.window = max(capacity - queued, 0)
            if side.shown_window * 2 < capacity and side.window > side.shown_window and not side.peer.has_reset:
                self._show(event, side, ACK)

    # -- pipes

    def written(self, event: Event) -> None:
        """Bytes go into a pipe, whose other end is the other number."""
        reader, data, size = event.facts
        if event.end not in self._sides:
            one, two = self._join(event, reader, False, None, None, interface=PIPES)
            self._handshake(event, one, two)
        side = self._sides[event.end]
        self._send(event, side, data, size)
        side.peer.heard = side.next
        self._show(event, side.peer, ACK)

    def pipe_closed(self, event: Event) -> None:
        """An end of a pipe was closed: of the end that writes, it is the end of the stream."""
        side = self._sides.get(event.end)
        if side is not None and event.facts[0]:
            self._show(event, side, FIN_FLAG | ACK)
            side.next += 1


class Who:
    """Who did it, and where, in words. To look a line up takes long, and many packets have few places."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], str] = {}

    def __call__(self, event: Event) -> tuple[str, ...]:
        """Nothing for an event without a line of the program."""
        place = event.place
        if place is None:
            return ()
        key = id(place.code), place.instruction  # the events hold the code
        where = self._known[key] = self._known.get(key) or str(place)
        return (f"{where}, task {event.task}" if event.task else where,)
