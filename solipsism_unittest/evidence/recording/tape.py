"""`Tape`: what is written down for evidence, in the order in which it happened.

Owns the list of events, and how a journal comes to write on it. An event is a record of the journal, or something that
the journal has no need of: bytes, reads, arrivals, steps of tasks. The journal itself, and its digest, stay as they are
without evidence. The rule that keeps tests as they are: a tape holds no object of the program's, only numbers, texts,
bytes and places.
"""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop
from collections.abc import Iterable
from typing import Any, NamedTuple

from ...introspection.places import Place, user_place
from ...kernel.choices import Choices
from ...kernel.clock import VirtualClock
from ...kernel.journal import Journal

EVENTS = 200_000  # after this many nothing more is written down, but for what the test itself says
MESSAGE = 64 * 1024  # bytes that are kept of one message
BYTES = 64 * 1024 * 1024  # and of all together


class Event(NamedTuple):
    """One thing that happened."""

    time: float
    kind: str
    task: str  # the name of the task that did it; "" for a callback, and for what came from outside
    place: Place | None  # the line of the program
    end: int  # the number of the end of a connection, or of another thing, that it concerns; 0 for none
    facts: tuple[Any, ...]


class Records(list[tuple[Any, ...]]):
    """The records of a journal that are written on a tape too."""

    def __init__(self, records: Iterable[tuple[Any, ...]], tape: Tape) -> None:
        super().__init__(records)
        self.tape = tape

    def append(self, record: tuple[Any, ...]) -> None:
        """Add a record of the journal."""
        super().append(record)
        self.tape.add_record(record)


class Tape:
    """The events of one test, from where it was begun."""

    def __init__(self, clock: VirtualClock, choices: Choices) -> None:
        self.clock = clock
        self._choices = choices
        self.began = clock.now
        self.events: list[Event] = []
        self.lost = 0  # how many were not written down any more
        self.datagram: tuple[int, bytes] | None = None  # the end and the data of what is being sent right now
        self.sending: object = None  # the segment that an end is handing on right now
        self._bytes = 0
        self._ends = 0
        self._name = object()  # which ends keep, and nothing else of it

    def number(self, end: Any) -> int:
        """The number of an end: the same each time, and no other end's."""
        number: int
        tape, number = vars(end).get("on_tape", (None, 0))
        if tape is not self._name:  # that of an earlier test of a class, where the end is older than this test
            self._ends += 1
            number = self._ends
            end.on_tape = self._name, number
        return number

    def add(self, kind: str, end: int, *facts: Any, place: Place | None = None, task: str | None = None) -> None:
        """Write down that this happened now."""
        if len(self.events) >= EVENTS:
            self.lost += 1
        else:
            self.add_last(kind, end, *facts, place=place or user_place(3), task=task)

    def add_last(self, kind: str, end: int, *facts: Any, place: Place | None = None, task: str | None = None) -> None:
        """As `add()`, however many there are: for what a reader must not miss."""
        self.events.append(Event(self.clock.now, kind, running() if task is None else task, place, end, facts))

    def add_record(self, record: tuple[Any, ...]) -> None:
        """Write a record of the journal down."""
        kind, facts = record[1], record[2:]
        if kind == "send":
            if self.datagram is None:  # of a stream: its end says more
                return
            number, data = self.datagram
            self.add("datagram", number, facts[0], self.kept(data), len(data))
        elif kind == "choice" and self._choices.explorer is not None:
            self.add(kind, 0, self._choices.explorer.made[-1].words or f"{facts[0]}, value {facts[1]}")
        else:
            self.add(kind, 0, *facts)

    def kept(self, data: bytes | memoryview) -> bytes:
        """What is kept of these bytes."""
        kept = bytes(data[:min(MESSAGE, max(BYTES - self._bytes, 0))])
        self._bytes += len(kept)
        return kept

    def begin(self, journal: Journal) -> None:
        """Let the journal write on this tape."""
        journal.records = Records(journal.records, self)

    def end(self, journal: Journal) -> None:
        """Let it write on this tape no more."""
        journal.records = list(journal.records)


def tape_of(journal: Journal) -> Tape | None:
    """The tape that a journal writes on, if it does."""
    records = journal.records
    return records.tape if type(records) is Records else None


def running() -> str:
    """The name of the task that runs on this thread; "" for none."""
    loop = _get_running_loop()
    task = asyncio.current_task(loop) if loop is not None else None
    return name_of(task) if task is not None else ""


def name_of(task: asyncio.Task[Any]) -> str:
    """The name of a task, with the number of its loop where a program has made that."""
    number = vars(task.get_loop()).get("on_tape")
    return task.get_name() if number is None else f"{task.get_name()} of loop {number}"
