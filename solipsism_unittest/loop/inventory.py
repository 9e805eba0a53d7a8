"""What the program of one loop has made and may leave: found again at the end without being kept alive.

Owns the tasks, the registrations of add_reader() and add_writer() and the async generators of a loop, with the places
where they were made. asyncio knows them too, but not where they come from, and forgets a task once it is done; whether
somebody has read its error is asked after that. Nothing here lives longer than the program lets it.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Iterable, Iterator, MutableMapping
from typing import Any

from ..introspection.places import Place

ROOM = 1_000  # tasks; when there are twice as many as were alive at the last look, the dead ones are taken out


class Register:
    """What was made on one loop."""

    __slots__ = ("_tasks", "_futures", "_room", "watched", "generators")

    def __init__(self) -> None:
        self._tasks: list[weakref.ref[Any]] = []
        self._futures: weakref.WeakSet[Any] | tuple[()] = ()
        self._room = ROOM
        # Of most loops these stay empty, and a weak dictionary takes a microsecond to make.
        self.watched: MutableMapping[asyncio.Handle, tuple[str, Place | None]] = {}
        self.generators: MutableMapping[AsyncGenerator[Any, Any], Place | None] = {}

    def add_registration(self, handle: asyncio.Handle, method: str, place: Place | None) -> None:
        """add_reader() or add_writer() has made a handle."""
        self.watched = self.watched or weakref.WeakKeyDictionary()
        self.watched[handle] = method, place

    def add_generator(self, agen: AsyncGenerator[Any, Any], place: Place | None) -> None:
        """An async generator was begun."""
        self.generators = self.generators or weakref.WeakKeyDictionary()
        self.generators[agen] = place

    def add_task(self, task: asyncio.Task[Any]) -> None:
        """A task was made."""
        self._tasks.append(weakref.ref(task))
        if len(self._tasks) > self._room:
            self._tasks = [known for known in self._tasks if known() is not None]
            self._room = max(ROOM, 2 * len(self._tasks))

    def add_future(self, future: asyncio.Future[Any]) -> None:
        """A future was made that an error of another thread may come to."""
        self._futures = self._futures or weakref.WeakSet()
        self._futures.add(future)

    def look(self, things: Iterable[object]) -> None:
        """Note the futures among some things: what a test keeps may have an error that nobody read."""
        for thing in things:
            if issubclass(type(thing), asyncio.Future) and not issubclass(type(thing), asyncio.Task):
                self.add_future(thing)  # type: ignore[arg-type]

    def tasks(self) -> Iterator[asyncio.Task[Any]]:
        """Those that are alive, done or not, in the order in which they were made."""
        for known in self._tasks:
            task = known()
            if task is not None:
                yield task

    def unread(self) -> list[Any]:
        """The tasks that ended with an error which nobody has read, and the futures of executor jobs."""
        return [future for future in (*self.tasks(), *self._futures) if future.done() and future._log_traceback]
