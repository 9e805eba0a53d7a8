"""The records of a time line: what a reader is shown of the events of a test, in words, with arrows.

Owns which read an arrow ends at: bytes are counted, so an arrow leads from each message to the read that got its first
byte. What only the machine has to know has no record. A record is `[time, kind, lane, text, place, other, data]`: four
numbers of texts, kinds and places in lists of their own, the record at the other end of the arrow, and the first bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ...introspection.places import Place
from ...kernel.journal import counted
from ..recording.tape import Event
from .lanes import Lanes

SHOWN = 24  # bytes of a message
_NONE = -1


class Table:
    """Different things, each with its number."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}

    def of(self, thing: Any) -> int:
        """The number of a thing."""
        return self.numbers.setdefault(thing, len(self.numbers))


class Records:
    """The records of some events."""

    def __init__(self, events: Sequence[Event], lanes: Lanes, named: Callable[[str], str]) -> None:
        self.kinds, self.texts, self.places = Table(), Table(), Table()
        self.rows: list[list[Any]] = []
        self._led_to: set[int] = set()  # the records at which an arrow ends
        self._lines: dict[tuple[int, int], int] = {}
        self._lanes = lanes
        self._named = named
        self._peers: dict[int, int] = {}  # of ends
        self._sent: dict[int, int] = {}  # bytes that each end has sent
        self._under_way: dict[int, deque[tuple[int, int]]] = {}  # by receiver: where each message begins, its record
        self._read: dict[int, int] = {}  # bytes that each end has read
        self._connects: dict[int, int] = {}  # the record of each client's connect
        self._datagrams: dict[str, deque[int]] = {}  # by route: the records of those that have not come
        self._come: dict[int, deque[int]] = {}  # by receiver: the records of those that wait to be read
        self._labels: dict[str, int] = {}  # ends, by their labels in the journal
        self._looked_up = _NONE  # the record of the latest look-up
        self._waits: dict[str, int] = {}  # by task: the record of its wait
        self._woken: dict[str, tuple[int, int]] = {}  # by task: the records of its last wait, and of its end
        self._cancelled: dict[str, int] = {}  # by task: the record of its cancel()
        self._listening: set[tuple[float, str]] = set()
        self._index = 0
        handlers = {name.removeprefix("_on_"): getattr(self, name) for name in vars(Records) if name.startswith("_on_")}
        for self._index, event in enumerate(events):
            handle = handlers.get(event.kind.replace(" ", "_"))
            if handle is not None and event.task not in lanes.hidden:
                handle(event)

    def _add(self, event: Event, kind: str, text: str, data: bytes | None = None, task: str | None = None) -> int:
        task = self._lanes.task_of(self._index, event) if task is None else task
        column = self._lanes.column(task, self._lanes.hosts.get(event.end, "localhost"))
        shown = _NONE if data is None else self.texts.of(_shown(data))
        if self._only_woke(event.time, column):
            self.rows.pop()  # that it went on is seen from what it does
        self.rows.append([event.time, self.kinds.of(kind), column, self.texts.of(text), self._place(event.place),
                          _NONE, shown])
        return len(self.rows) - 1

    def _only_woke(self, time: float, column: int) -> bool:
        """Whether the last record says no more than that a task of this column goes on, now."""
        return bool(self.rows) and self.rows[-1][:3] == [time, self.kinds.of("wake"), column] \
            and len(self.rows) - 1 not in self._led_to

    def _place(self, place: Place | None) -> int:
        if place is None:
            return _NONE
        place = place.caller or place  # the program's own line, where a library's called
        key = id(place.code), place.instruction  # the events hold the code; to look a line up takes long
        if key not in self._lines:
            self._lines[key] = self.places.of((place.code.co_filename, place.line))
        return self._lines[key]

    def _lead(self, one: int, other: int) -> None:
        """Draw an arrow from one record to another."""
        self.rows[one][5] = other
        self._led_to.add(other)

    def _at(self, address: Any) -> str:
        if address is None:
            return "a socket without a name"
        return f"{self._named(address[0])}:{address[1]}" if address[1] else str(address[0])

    # -- tasks

    def _on_start(self, event: Event) -> None:
        self._waits.pop(event.task, None)
        self._add(event, "start", f"begins: {event.facts[0]}" if event.facts[0] else "begins")

    def _on_wait(self, event: Event) -> None:
        waited, woke = self._woken.pop(event.task, (_NONE, _NONE))
        column = self._lanes.column(event.task, "localhost")
        if woke == len(self.rows) - 1 and waited != _NONE and self._only_woke(event.time, column) \
                and self.rows[waited][4] == self._place(event.place):
            self.rows.pop()  # it has only gone on inside asyncio, at the same line
            self._waits[event.task] = waited
        else:
            self._waits[event.task] = self._add(event, "wait", event.facts[0])

    def _on_wake(self, event: Event) -> None:
        waited = self._waits.pop(event.task, _NONE)
        number = self._add(event, "wake", "goes on")
        self._woken[event.task] = waited, number
        cancel = self._cancelled.pop(event.task, None)
        if cancel is not None:
            self._lead(cancel, number)

    def _on_ended(self, event: Event) -> None:
        number = self._add(event, "end", event.facts[0])
        cancel = self._cancelled.pop(event.task, None)
        if cancel is not None:  # before its first step
            self._lead(cancel, number)

    def _on_cancel(self, event: Event) -> None:
        self._cancelled[event.facts[0]] = self._add(event, "cancel", f"cancels {event.facts[0]}")

    def _on_callback(self, event: Event) -> None:
        self._add(event, "callback", f"callback {event.facts[0]}", task="")

    # -- connections

    def _on_listen(self, event: Event) -> None:
        address, _, port = event.facts[0].rpartition(":")
        where = f"{self._named(address)}:{port}" if address else event.facts[0]
        if (event.time, where) not in self._listening:  # once for all addresses of a host
            self._listening.add((event.time, where))
            self._add(event, "listen", f"{where} listens")

    def _on_syn(self, event: Event) -> None:
        self._labels[event.facts[3]] = event.end
        number, self._looked_up = self._looked_up, _NONE
        if number == len(self.rows) - 1 and number != _NONE and self.rows[number][0] == event.time:
            self.rows.pop()  # it looked up what it connects to
        self._connects[event.end] = self._add(event, "connect", f"connects to {self._at(event.facts[2])}")

    def _on_joined(self, event: Event) -> None:
        self._labels[event.facts[4]] = event.end
        self._peers[event.end], self._peers[event.facts[0]] = event.facts[0], event.end

    _on_open = _on_joined

    def _on_accepted(self, event: Event) -> None:
        number = self._add(event, "accept", "accepts")
        connect = self._connects.get(self._peers.get(event.end, 0))
        if connect is not None:
            self._lead(connect, number)

    def _on_refused(self, event: Event) -> None:
        self._add(event, "reset", "is refused: nobody listens there")

    def _on_gave_up(self, event: Event) -> None:
        self._add(event, "reset", f"its connect fails: {event.facts[0]}")

    def _on_sent(self, event: Event) -> None:
        kind, data, size = event.facts
        if kind == "data":
            self._message(event, self._peers.get(event.end, 0), data, size)
        elif kind == "fin":
            self._add(event, "fin", "ends the stream")
        elif kind == "rst":
            self._add(event, "reset", "resets the connection")

    def _message(self, event: Event, receiver: int, data: bytes, size: int) -> None:
        number = self._add(event, "send", _counted(size), data)
        begin = self._sent.get(event.end, 0)
        self._sent[event.end] = begin + size
        self._under_way.setdefault(receiver, deque()).append((begin, number))

    def _on_written(self, event: Event) -> None:
        reader, data, size = event.facts
        self._message(event, reader, data, size)

    def _on_arrived(self, event: Event) -> None:
        if event.facts[0] == "rst":
            self._add(event, "reset", "its connection is reset")

    def _on_read(self, event: Event) -> None:
        size = event.facts[0]
        come = self._come.get(event.end)
        if come:
            self._lead(come.popleft(), self._add(event, "recv", f"reads {_counted(size)}"))
            return
        end = self._read[event.end] = self._read.get(event.end, 0) + size
        if not size:
            self._add(event, "recv", "reads the end")
            return
        number = self._add(event, "recv", f"reads {_counted(size)}")
        waiting = self._under_way.get(event.end)
        while waiting and waiting[0][0] < end:
            self._lead(waiting.popleft()[1], number)

    # -- datagrams

    def _on_datagram(self, event: Event) -> None:
        route, data, size = event.facts
        target = route.partition(">")[2].rpartition(":")
        number = self._add(event, "send", f"{_counted(size)} to {self._named(target[0])}:{target[2]}", data)
        self._datagrams.setdefault(route, deque()).append(number)

    def _on_came(self, event: Event) -> None:
        sent = self._datagrams.get(event.facts[0])
        if sent:
            number = sent[0] if len(sent) == 1 else sent.popleft()  # one may come to many
            self._come.setdefault(event.end, deque()).append(number)

    def _on_unix_datagram(self, event: Event) -> None:
        _, target, data, size = event.facts
        self._add(event, "send", f"{_counted(size)} to {target}", data)

    # -- all else

    def _on_lookup(self, event: Event) -> None:
        name, *answers = event.facts
        self._looked_up = self._add(event, "note", f"looks {name} up: {', '.join(map(str, answers))}")

    def _on_timer(self, event: Event) -> None:
        self._add(event, "note", f"sets a timer for t={event.facts[0]:g}")

    def _on_connect(self, event: Event) -> None:
        if event.facts[-1] == "dropped":
            self._add(self._of_end(event), "lost", "its connect is lost on the way")

    def _of_end(self, event: Event) -> Event:
        """A record of the journal, which knows ends by their labels, as an event of that end."""
        return event._replace(end=self._labels.get(event.facts[0], 0))

    def _on_drop(self, event: Event) -> None:
        self._add(event, "lost", f"a datagram is dropped: {' '.join(map(str, event.facts[2:])) or 'on its way'}")

    def _on_lost(self, event: Event) -> None:
        what = _counted(event.facts[1]) if event.facts[1] else "its end"
        self._add(self._of_end(event), "lost", f"{what} lost on the way, and sent again later")

    def _on_rejected(self, event: Event) -> None:
        label, kind, size = event.facts
        what = {"connect": "its connect", "fin": "its end"}.get(kind) or _counted(size)
        self._add(self._of_end(event), "lost", f"{what} rejected on the way: a reset comes back")

    def _on_repeated(self, event: Event) -> None:
        self._add(event, "note", f"sends {_counted(event.facts[2])} again" if event.facts[2] else "sends its end again")

    def _on_timeout(self, event: Event) -> None:
        self._add(self._of_end(event), "reset", "gives the connection up: nobody has answered for too long")

    def _on_job(self, event: Event) -> None:
        self._add(event, "job", f"an executor job is done: {event.facts[0]}")

    def _on_signal(self, event: Event) -> None:
        self._add(event, "job", f"signal {event.facts[-1]}")

    def _on_spawn(self, event: Event) -> None:
        self._add(event, "job", f"process {event.facts[0]} begins: {event.facts[1]}")

    def _on_exit(self, event: Event) -> None:
        self._add(event, "job", f"process {event.facts[0]} ends with code {event.facts[1]}")

    def _on_stuck(self, event: Event) -> None:
        self._add(event, "stuck", f"nothing can go on: {event.facts[0]}")

    def _on_choice(self, event: Event) -> None:
        self._add(event, "choice", str(event.facts[0]))

    def _on_fails(self, event: Event) -> None:
        self._add(event, "fail", str(event.facts[0]), task=event.task or self._lanes.failing)


def _counted(size: int) -> str:
    return counted(size, "byte", ",")


def _shown(data: bytes) -> str:
    """The first bytes for people: text as it is, all else escaped as Python does."""
    return repr(data[:SHOWN])[2:-1] + ("…" if len(data) > SHOWN else "")
