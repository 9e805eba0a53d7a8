"""A whole capture: streams, datagrams, names, keys, and what the test itself has to say, as one file.

Owns datagrams, the made-up addresses, and which events become rows of the test's own. The first packet is such a row at
the time when the test began, so tools that count time from the first packet show virtual time from there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..recording.tape import Event
from .blocks import EXPORTED_PDU, RAW_IP, Captured, Interface, file, remark
from .packets import Point, nobody_there, point, udp
from .streams import NETWORK, TEST, UNIX, Streams, Who

INTERFACES = (
    Interface("network", RAW_IP, "the virtual network"),
    Interface("UNIX sockets", RAW_IP, "UNIX sockets, as TCP and UDP between made-up addresses"),
    Interface("pipes", RAW_IP, "pipes, as TCP between made-up addresses"),
    Interface("the test", EXPORTED_PDU, "what the test has to say"),
)
_MADE_UP = ipaddress.IPv4Address("240.0.0.0")  # no program can have an address of this range
_JUMP = 1.0  # seconds: a longer one has a row of its own
_MOST = 65_507  # bytes of UDP over IPv4
ERROR, WARNING, INFORMATION = 3, 4, 6
# What has a row of its own, at which level, and in which words beyond its facts
_ROWS: dict[str, tuple[int, str]] = {
    "fails": (ERROR, "test failed here:"), "choice": (WARNING, "chosen:"), "lookup": (INFORMATION, "look-up of"),
    "drop": (INFORMATION, "dropped:"), "lost": (INFORMATION, "lost, and sent again later:"),
    "rejected": (INFORMATION, "rejected with a reset:"), "corrupt": (INFORMATION, "corrupted:"),
    "timeout": (INFORMATION, "nobody has answered for too long:"), "job": (INFORMATION, "an executor job is done:"),
    "signal": (INFORMATION, "signal"),
    "spawn": (INFORMATION, "a process begins:"), "exit": (INFORMATION, "a process ends:"),
    "gave up": (INFORMATION, "a connect fails:"), "stuck": (ERROR, "nothing can go on:"),
}


def capture(test: str, began: float, events: Sequence[Event], names: Mapping[str, Sequence[str]], secrets: bytes) -> \
        bytes:
    """The capture of these events. `names` are those of each address, the one to show last."""
    maker = _Maker(events)
    maker.say(began, INFORMATION, f"test begins: {test}")
    maker.take(began, events)
    known: dict[ipaddress.IPv4Address | ipaddress.IPv6Address, Sequence[str]] = {
        ipaddress.ip_address(address.partition("%")[0]): found for address, found in names.items() if found}
    known.update({at.address: (name,) for name, at in maker.made_up.items()})
    return file(test, INTERFACES, known, secrets, maker.packets)


class _Maker:
    def __init__(self, events: Iterable[Event]) -> None:
        self.packets: list[Captured] = []
        self.made_up: dict[str, Point] = {}
        self._datagrams: dict[str, tuple[bytes, Point, Point]] = {}  # the last one, by its route
        self._who = Who()
        streams = Streams(events, self._emit, self.address_of, self._who)
        self._handlers: dict[str, Callable[[Event], None]] = {
            "syn": streams.syn, "refused": streams.refused, "joined": streams.joined, "open": streams.open,
            "sent": streams.sent, "repeated": streams.repeated,
            "arrived": streams.arrived, "read": streams.read, "written": streams.written,
            "pipe closed": streams.pipe_closed, "datagram": self._datagram, "unix datagram": self._unix_datagram,
        }
        self._streams = streams

    def take(self, began: float, events: Iterable[Event]) -> None:
        """Make the packets of all events."""
        before = began
        for event in events:
            if event.time - before >= _JUMP:
                self.say(event.time, INFORMATION, f"{event.time - before:.9g} s later")
            before = max(before, event.time)
            handle = self._handlers.get(event.kind)
            if handle is not None:
                handle(event)
            elif event.kind == "connect" and event.facts[-1] == "dropped":
                self._streams.dropped(event)
            elif event.kind in _ROWS:
                self._row(event)

    def say(self, time: float, level: int, text: str) -> None:
        """Add a row of the test's own."""
        self._emit(TEST, time, remark(level, text), 0, ())

    def address_of(self, name: str) -> Point:
        """The made-up address of a UNIX socket, or of an end of a pipe."""
        if name not in self.made_up:
            self.made_up[name] = Point(_MADE_UP + len(self.made_up) + 1, 1)
        return self.made_up[name]

    def _emit(self, interface: int, time: float, data: bytes, missing: int, comments: tuple[str, ...]) -> None:
        self.packets.append(Captured(interface, time, data, missing, comments))

    def _row(self, event: Event) -> None:
        level, words = _ROWS[event.kind]
        self.say(event.time, level, " ".join([words, *map(str, event.facts)]))
        if event.kind == "drop" and event.facts[0] in self._datagrams and "nobody" in str(event.facts[-1]):
            self._emit(NETWORK, event.time, nobody_there(*self._datagrams[event.facts[0]]), 0, ())

    def _datagram(self, event: Event) -> None:
        route, data, size = event.facts
        source, target = (point(address, int(port)) for address, _, port in
                          (end.rpartition(":") for end in route.split(">")))
        packet = udp(source, target, data, size - len(data))
        self._datagrams[route] = packet, source, target
        self._emit(NETWORK, event.time, packet, size - len(data), self._who(event))

    def _unix_datagram(self, event: Event) -> None:
        source, target, data, size = event.facts
        part, most = data[:_MOST], min(size, _MOST)  # IP has no room for a larger one
        packet = udp(self.address_of(source), self.address_of(target), part, most - len(part))
        said = list(self._who(event))
        if size > _MOST:
            said.append(f"the first {_MOST:,} of {size:,} bytes")
        self._emit(UNIX, event.time, packet, most - len(part), tuple(said))
