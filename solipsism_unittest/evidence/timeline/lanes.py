"""Lanes: which column of a time line each event belongs to, by host and task.

Owns who an end of a connection belongs to. Much of what happens to an end happens in callbacks of asyncio's
transports, where no task runs: it belongs to the task that has last used the end, or that is the first to use it later.
Tasks whose names differ in a number only, as the handlers of one server do, share columns: the next one takes the
column of one that has ended.
"""

from __future__ import annotations

import asyncio
import bisect
import re
from collections.abc import Callable, Sequence

from ..recording.steps import SHUTTING_DOWN
from ..recording.tape import Event

CALLBACKS = "callbacks"
MOST = 40  # columns; the tasks of all others share one
_USES = frozenset({"syn", "sent", "wait", "read", "written", "datagram", "unix datagram"})
_UNNAMED = re.compile(r"Task-\d+")
# Tasks that asyncio makes for itself, to accept a connection and at the end of a loop: a program knows nothing of them.
_OF_ASYNCIO = frozenset({"BaseSelectorEventLoop._accept_connection2", SHUTTING_DOWN,
                         asyncio.BaseEventLoop.shutdown_asyncgens.__qualname__})


class Lane:
    """A column: the host, the tasks that it is of, and when the last of them ended."""

    def __init__(self, host: str, task: str, coroutine: str = "") -> None:
        self.host = host
        self.tasks = [task]
        self._coroutine = coroutine.rpartition(".")[2]
        self.is_free = False

    @property
    def title(self) -> str:
        """The names of its tasks, without what the host says anyway."""
        names = [name.partition(f" of {self.host}:")[0] for name in self.tasks]
        stem = names[0].rstrip("0123456789")
        names[1:] = [name.removeprefix(stem) for name in names[1:]]
        title = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return f"{self._coroutine} ({title})" if self._coroutine and _UNNAMED.fullmatch(names[0]) else title


class Lanes:
    """The columns of a time line. `named` gives the host of an address."""

    def __init__(self, events: Sequence[Event], named: Callable[[str], str]) -> None:
        self.hidden = {event.task for event in events if event.kind == "start" and event.facts[0] in _OF_ASYNCIO}
        self.hosts: dict[int, str] = {}  # of ends
        self._users: dict[int, tuple[list[int], list[str]]] = {}
        self._tasks: dict[str, str] = {}  # the host of each task
        for index, event in enumerate(events):
            self._look(index, event, named)
        self._lanes: list[Lane] = []
        self._numbers: dict[str, int] = {}  # of columns, once they are in order
        self._columns: dict[str, Lane] = {}  # by the name of the task, or the host of callbacks
        for event in events:
            self._place(event)
        self.failing = ""  # the task that fails the test, as far as anybody knows
        self._order(events)

    def _look(self, index: int, event: Event, named: Callable[[str], str]) -> None:
        if event.kind in ("syn", "joined"):
            address = event.facts[1] if event.kind == "syn" else event.facts[2]
            is_tcp = event.facts[0] if event.kind == "syn" else event.facts[1]
            self.hosts[event.end] = named(address[0]) if is_tcp and address is not None else "localhost"
        if event.kind in _USES and event.task and event.end:
            indices, tasks = self._users.setdefault(event.end, ([], []))
            indices.append(index)
            tasks.append(event.task)
            self._tasks.setdefault(event.task, self.hosts.get(event.end, "localhost"))

    def task_of(self, index: int, event: Event) -> str:
        """The task that an event belongs to: "" for none."""
        if event.task and event.kind not in ("arrived", "joined", "came"):
            return event.task
        indices, tasks = self._users.get(event.end, ([], []))
        at = bisect.bisect_right(indices, index)
        return tasks[max(at - 1, 0)] if tasks else ""

    def _place(self, event: Event) -> None:
        name = event.task
        if not name or name in self.hidden:
            return
        if name not in self._columns:
            host, shape = self._tasks.get(name, "localhost"), re.sub(r"\d+", "#", name)
            free = next((lane for lane in self._lanes if lane.is_free and lane.host == host
                         and shape != name and re.sub(r"\d+", "#", lane.tasks[0]) == shape), None)
            if free is not None:
                free.is_free = False
                free.tasks.append(name)
            else:
                coroutine = event.facts[0] if event.kind == "start" else ""
                self._lanes.append(free := Lane(host, name, coroutine))
            self._columns[name] = free
        if event.kind == "ended":
            self._columns[name].is_free = True

    def _order(self, events: Sequence[Event]) -> None:
        """Put the lane of the failure and those of choices first, then those of the test's machine."""
        by_name = [event.task for event in events if event.kind == "fails"]
        of_errors = [event.task for event in events if event.kind == "ended" and "ends with" in event.facts[0]]
        of_tests = [lane.tasks[0] for lane in self._lanes[:1]]  # the test's own task is the first one that runs
        self.failing = next(filter(None, [*by_name[-1:], *of_errors[-1:], *of_tests]), "")
        chosen = [event.task for event in events if event.kind == "choice"]
        first = [task for task in [self.failing, *chosen] if task in self._columns]
        named = list(dict.fromkeys(self._columns[task] for task in first))
        rest = [lane for lane in self._lanes if lane not in named]
        self._lanes = named + sorted(rest, key=lambda lane: lane.host != "localhost")

    def column(self, task: str, host: str) -> int:
        """The number of the column of a task, or of the callbacks of a host."""
        name = task or f"{CALLBACKS} {host}"
        if name not in self._columns:
            self._columns[name] = Lane(host, CALLBACKS)
            self._lanes.append(self._columns[name])
        if name not in self._numbers:
            self._numbers[name] = min(self._lanes.index(self._columns[name]), MOST)
        return self._numbers[name]

    def titles(self) -> list[tuple[str, str]]:
        """The host and the title of each column."""
        found = [(lane.host, lane.title) for lane in self._lanes[:MOST]]
        return [*found, ("", f"{len(self._lanes) - MOST} more")] if len(self._lanes) > MOST else found
