"""What is no leak: what was there before, and what a test expects to be left."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import types
from asyncio import all_tasks, trsock
from collections.abc import Iterable
from typing import Any

from ..kernel.descriptors.file import File
from ..loop.event_loop import SolipsistEventLoop
from ..stdlib.sockets.patches import StockSocket
from ..stdlib.threads.jobs import Jobs

__unittest = True
__tracebackhide__ = True


class Before:
    """What was there before a test: no leak of it, and how the network was."""

    def __init__(self, loop: SolipsistEventLoop | None = None) -> None:
        self.things = {id(thing): thing for thing in _everything(loop)} if loop is not None else {}
        self._kernel = loop.kernel if loop is not None else None
        self._put_back = loop.kernel.network.keep() if loop is not None and loop.kernel.has_network else None

    def put_back(self) -> None:
        """Undo what the test has set for the network: names, links, rules, partitions, crashes."""
        if self._put_back is not None:
            self._put_back()
        elif self._kernel is not None and self._kernel.has_network:  # the test has made it
            self._kernel.network.clear()

    def has_idle(self, jobs: Jobs, thing: object) -> bool:
        """Whether it is a worker, with nothing to do, of a pool that was there before: who made that ends it."""
        return (isinstance(thing, threading.Thread) and thing.ident not in jobs.working
                and any(id(pool) in self.things and thing in pool._threads for pool in list(jobs.pools)))

    def keep(self, loop: SolipsistEventLoop, expected: Iterable[object]) -> dict[int, object]:
        """What stays when a test ends and its loop goes on, by id.

        That is what was there before, what the test expects to be left, and what runs in the background.
        """
        stays = {**self.things, **things_of(loop, expected)}
        jobs = loop.world.jobs
        background = [*jobs.left_tasks, *(file for number, file in loop.kernel.files.items() if is_left(jobs, number))]
        return {**stays, **{id(thing): thing for thing in background}}


NOTHING = Before()


def _everything(loop: SolipsistEventLoop) -> list[object]:
    inventory = loop.inventory
    return [*all_tasks(loop), *inventory.timers(), *inventory.ready(), *loop.kernel.files.values(),
            *inventory.generators, *inventory.registrations, *loop.world.jobs.started,
            *loop.world.jobs.working.values(), *loop.world.jobs.pools, *inventory.unread(),
            *loop.world.second, *(handle for _, _, handle in inventory.played_transports())]


def is_left(jobs: Jobs, number: int) -> bool:
    """Whether a descriptor was made in background()."""
    return any(number in numbers for numbers in jobs.left_running)


# -- what is meant to be left


def things_of(loop: SolipsistEventLoop, objects: Iterable[object]) -> dict[int, object]:
    """What the survey has in place of the objects that `expect_leak()` was given, by id, as far as it still exists."""
    return {id(thing): thing for each in objects for thing in _things(loop, each)}


def can_be_left(thing: object) -> bool:
    """Whether it is of a type that `expect_leak()` knows."""
    return isinstance(thing, (*_BY_ITSELF, *_OF_SOCKETS, concurrent.futures.ThreadPoolExecutor))


_BY_ITSELF = (asyncio.AbstractEventLoop, asyncio.Task, asyncio.Handle, threading.Thread, types.AsyncGeneratorType)
_OF_SOCKETS = (StockSocket, trsock.TransportSocket, asyncio.BaseTransport, asyncio.StreamWriter,
               asyncio.Server, asyncio.subprocess.Process)


def _things(loop: SolipsistEventLoop, thing: Any) -> Iterable[object]:
    if isinstance(thing, (*_BY_ITSELF, File)):
        return [thing]
    if isinstance(thing, concurrent.futures.ThreadPoolExecutor):
        return list(thing._threads)
    if isinstance(thing, asyncio.subprocess.Process):
        thing = thing._transport  # type: ignore[attr-defined]
    if isinstance(thing, asyncio.SubprocessTransport):
        return [thing.get_extra_info("subprocess").child.task]
    if isinstance(thing, asyncio.Server):
        return [file for face in thing.sockets for file in _things(loop, face)]
    if isinstance(thing, (asyncio.BaseTransport, asyncio.StreamWriter)):
        ends = [thing.get_extra_info("socket"), thing.get_extra_info("pipe")]
        return [file for end in ends if end is not None for file in _things(loop, end)]
    thing = getattr(thing, "_sock", thing)
    number = int(thing.fileno())
    file = loop.kernel.files.get(number)
    key = loop.selector.keys.get(number)
    return [each for each in (file, *(key.data if key is not None else ())) if each is not None]
