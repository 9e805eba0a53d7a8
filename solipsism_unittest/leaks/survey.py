"""What a test left behind: looked for when its loop does not run, and then ended.

Owns the order of both: a last chance to end by itself, the survey, the end (ending.py). What counts as left stands in
finders.py.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from asyncio import all_tasks
from asyncio.selector_events import _SelectorTransport  # type: ignore[attr-defined]
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..introspection.handles import calls_plumbing, who
from ..kernel import Kernel
from ..kernel.descriptors.file import File
from ..loop.event_loop import SolipsistEventLoop
from ..pythons import collector_of_warnings
from ..stdlib.seal.replacements import Lasting
from ..stdlib.threads.job import Job
from ..stdlib.threads.jobs import Jobs
from ..stdlib.threads.workers import let_jobs_end, linger
from . import ending
from .checks import DEFAULTS
from .expected import Before, things_of
from .finders import FINDERS, Remains
from .kinds import KINDS, Found, Leak

__unittest = True
__tracebackhide__ = True


def watch(loop: SolipsistEventLoop, checks: Mapping[str, bool], collector: object) -> None:
    """From now on, what of this loop is collected as garbage while it is open counts as left behind.

    That is a StreamWriter, and a transport that has paused reading, or only writes. asyncio itself closes them (writers
    from 3.11.5 on) with a ResourceWarning that few people see. Neither a warning nor asyncio's log says what a test
    with these checks reports at its end. Where warnings are not shown by this `collector` any more, somebody collects
    them, and gets those of sockets.
    """
    _arm()
    loop.inventory.is_watched = True
    loop.uncaught.is_reported = functools.partial(_is_reported, checks) if checks is not DEFAULTS else _BY_DEFAULT
    loop.kernel.is_reported = functools.partial(_is_reported_lost, checks, collector)


def _is_noted(loop: Any, face: Any) -> bool:
    """Note that an end is lost, and say whether it is reported; else asyncio warns."""
    if not issubclass(type(loop), SolipsistEventLoop) or not loop.inventory.is_watched or loop.is_closed():
        return False
    kernel: Kernel = loop.kernel
    file = kernel.files.get(face.fileno())
    if file is None:  # the collector came to the socket first, which has noted itself
        return any(map(kernel.is_reported, kernel.abandoned))
    file.had_transport = True
    kernel.abandon(file)
    return kernel.is_reported(file)


def _is_reaped(loop: Any, face: Any) -> bool:
    """Whether an end was a program's that has ended: there is nothing to close, and nobody who would hear of it."""
    return issubclass(type(loop), SolipsistEventLoop) and face.fileno() in loop.kernel.reaped


def _make_writers_del(before: Any) -> Any:
    @functools.wraps(before)
    def __del__(writer: Any) -> None:
        transport = writer._transport
        ends = () if transport.is_closing() else map(transport.get_extra_info, ("socket", "pipe"))
        face = next(filter(None, ends), None)
        if face is not None and _is_reaped(getattr(writer, "_loop", None), face):
            return
        if face is not None and _is_noted(getattr(writer, "_loop", None), face):
            writer.close()  # as asyncio's, but for the warning
        else:
            before(writer)

    return __del__


def _make_transports_del(before: Any) -> Any:
    @functools.wraps(before)
    def __del__(transport: Any) -> None:
        face = getattr(transport, "_sock", None) or getattr(transport, "_pipe", None)
        if face is not None and _is_reaped(transport._loop, face):
            return
        if face is not None and _is_noted(transport._loop, face):
            face.close()  # as asyncio's, but for the warning
        else:
            before(transport)

    return __del__


_PIPES = [cls for name, cls in vars(getattr(asyncio, "unix_events", asyncio)).items()  # Windows has others
          if name in ("_UnixReadPipeTransport", "_UnixWritePipeTransport")]
_DYING = [Lasting(cls, "__del__", make) for cls, make in (
    (asyncio.StreamWriter, _make_writers_del), *((cls, _make_transports_del) for cls in (_SelectorTransport, *_PIPES)))
    if "__del__" in vars(cls)]


@functools.cache
def _arm() -> None:
    # Once for the process: see Lasting. For loops that nobody watches they are asyncio's own.
    for dying in _DYING:
        dying.arm()


def _is_reported(checks: Mapping[str, bool], kind: str) -> bool:
    return checks[KINDS[kind].check]


_BY_DEFAULT = functools.partial(_is_reported, DEFAULTS)


def _is_reported_lost(checks: Mapping[str, bool], collector: object, file: File) -> bool:
    # Whoever collects warnings gets the warning.
    return checks["open_transports" if file.had_transport else "open_sockets"] and collector_of_warnings() is collector


def is_clean(loop: SolipsistEventLoop) -> bool:
    """Whether there is nothing to look at: the common case."""
    return is_quiet(loop) and not all_tasks(loop) and not loop.inventory.unread()


def is_quiet(loop: SolipsistEventLoop) -> bool:
    """Whether there is nothing but tasks, if anything. Asking costs little."""
    world, inventory = loop.world, loop.inventory
    kernel, jobs = world.kernel, world.jobs
    return not (kernel.files or kernel.abandoned or inventory.has_handles() or loop.selector.keys
                or jobs.started or jobs.working or world.baton.active
                or loop.uncaught.found or inventory.generators
                or world.second)


class Clients:
    """The connections that are open before the fake servers of a test end, which closes many of them.

    It is false where there are none. What comes of their end, as the task of a client that connects again, is no leak.
    """

    def __init__(self, loop: SolipsistEventLoop, expected: Iterable[object]) -> None:
        meant = things_of(loop, expected)
        self.leaks = [leak for leak in FINDERS["transport"](Remains(loop))
                      if id(leak.thing) not in meant and not _is_closing(loop, leak.thing)]
        self._there = Before(loop if self.leaks else None)
        handles = [thing for thing in self._there.things.values() if isinstance(thing, asyncio.Handle)]
        self._turns = {who(handle) for handle in handles if not calls_plumbing(handle)}

    def __bool__(self) -> bool:
        return bool(self.leaks)

    def consequences(self, loop: SolipsistEventLoop) -> set[int]:
        """What was not there before the servers ended, by id. A callback that takes turn after turn was there."""
        return {number for number, thing in Before(loop).things.items() if number not in self._there.things
                and not (isinstance(thing, asyncio.Handle) and who(thing) in self._turns)}


def _is_closing(loop: SolipsistEventLoop, file: Any) -> bool:
    """Whether the program has closed the transport of a file: a transport of TLS waits for its peer first."""
    transport = loop.inventory.transport_of(file.number)
    if transport is None:  # it was collected with what held it
        return True
    above = getattr(transport.get_protocol(), "_app_transport", None)
    return transport.is_closing() or above is not None and above._closed


def clear(loop: SolipsistEventLoop, checks: Mapping[str, bool], before: Before, expected: Collection[object] = (),
          clients: Clients | None = None, *, goes_on: bool = False) -> Found:
    """Survey a loop that does not run, end what is left on it, and give what the report has to say.

    `checks` says which kinds count; `clients` were found earlier. Where the loop `goes_on` after this test, only what
    the test left is ended.
    """
    autojump, limits, debug = loop.autojump, loop.selector.limits, loop.get_debug()
    ending.prepare(loop)
    troubles = ending.run(loop, ending.settle(loop))
    patient, jobs = checks["threads"], loop.world.jobs
    if loop.world.baton.records:
        let_jobs_end(loop.world.baton, loop.kernel.clock, lambda: _jobs_at_work(jobs, before))
        troubles += ending.run(loop, ending.settle(loop))
    threads = [thread for thread in jobs.started if patient and id(thread) not in before.things]
    linger(lambda: [*(thread.ident for thread in threads if thread.is_alive() and not before.has_idle(jobs, thread)),
                    *_jobs_at_work(jobs, before)])
    meant = things_of(loop, expected)
    after = clients.consequences(loop) if clients else set()
    found = survey(loop, before, {*meant, *after})
    if clients:
        found = _with(clients.leaks, [leak for leak in found if id(leak.thing) not in after], before)
    if _jobs_at_work(jobs, before):
        jobs.give_up()  # or the end would wait for them
    loop.set_debug(debug)
    hint = loop.kernel.network.wire.stranded() if loop.kernel.has_network else ""
    keep = before.keep(loop, expected) if goes_on else {}
    for leak in found:
        if isinstance(leak.thing, threading.Timer):
            leak.thing.cancel()  # it would hold the clock
    if patient:
        _shut_down_pools(loop, [leak.thing for leak in found if id(leak.thing) not in meant], before)
    ending.end_second(loop, keep)
    stubborn, more = ending.end_all(loop, keep)
    loop.uncaught.found.clear()  # what comes of cancelling is nobody's fault
    if goes_on:
        loop.autojump, loop.selector.limits = autojump, limits
    counted = [leak for leak in found if checks[KINDS[leak.kind].check] and id(leak.thing) not in meant]
    refused = [task.get_name() for task in stubborn if task not in loop.inventory.gone]
    return Found(counted, refused, troubles + more, [hint] if hint and counted else [])


def _shut_down_pools(loop: SolipsistEventLoop, workers: Collection[object], before: Before) -> None:
    # Only those that are reported: later tests may use the others.
    for pool in list(loop.world.jobs.pools):
        if id(pool) not in before.things and any(thread in workers for thread in pool._threads):
            pool.shutdown(wait=False, cancel_futures=True)


def survey(loop: SolipsistEventLoop, before: Before, unreported: Collection[int] = ()) -> list[Leak]:
    """Everything that is left on a loop that does not run, without what was there before, in the order of KINDS.

    What is among the ids of `unreported` has no description.
    """
    remains = Remains(loop, {*before.things, *unreported})
    return [leak for kind in KINDS if kind in FINDERS for leak in FINDERS[kind](remains)
            if id(leak.thing) not in before.things and not before.has_idle(loop.world.jobs, leak.thing)]


def _with(clients: Iterable[Leak], found: Iterable[Leak], before: Before) -> list[Leak]:
    """What was found, and the clients that were found earlier, in the order of KINDS."""
    leaks = {id(leak.thing): leak for leak in clients if id(leak.thing) not in before.things}
    rest = [leak for leak in found if id(leak.thing) not in leaks]
    kinds = list(KINDS)
    return sorted([*leaks.values(), *rest], key=lambda leak: kinds.index(leak.kind))


def _jobs_at_work(jobs: Jobs, before: Before) -> dict[int, Job]:
    """The jobs that run, by thread, without those that ran before the test."""
    return {ident: job for ident, job in list(jobs.working.items()) if id(job) not in before.things}
