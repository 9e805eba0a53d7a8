"""What of each kind is left on a loop: one finder for each kind of leftover.

Owns the table kind -> finder. A finder looks at a loop that does not run, through its inventory and its world, and
changes nothing.
"""

from __future__ import annotations

import asyncio
import functools
import os
from asyncio import all_tasks, futures
from asyncio import tasks as asyncio_tasks
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator
from gc import get_referents
from typing import Any

from ..hangs.locks import Waiting
from ..hangs.waits import waits_for
from ..hangs.words import task_words, where
from ..introspection.handles import called_words, module_of_callback, owner_of, task_of
from ..introspection.modules import is_of_program, is_ours
from ..introspection.places import Place, made_at, shorten
from ..introspection.tasks import Task, by_name, steps, waiter_of
from ..introspection.threads import standing
from ..kernel.descriptors.end import shown
from ..kernel.descriptors.file import File
from ..kernel.journal import counted
from ..loop.event_loop import SolipsistEventLoop
from ..loop.inventory import UncaughtError, unread
from ..stdlib.files.played import is_played
from ..stdlib.processes.process import children_of
from ..stdlib.threads.background import in_background
from ..stdlib.threads.jobs import Jobs
from .expected import is_left
from .kinds import DESCRIBED, Leak

__unittest = True
__tracebackhide__ = True

_WAKERS = (futures._set_result_unless_cancelled, asyncio_tasks._release_waiter)  # type: ignore[attr-defined]


class Remains:
    """What the finders look at: a loop that does not run, and what its tasks wait for."""

    def __init__(self, loop: SolipsistEventLoop, unreported: Container[int] = ()) -> None:
        self.loop = loop
        self.unreported = unreported  # the ids of what needs no description
        self.tasks = sorted(all_tasks(loop), key=by_name)
        self.waiting = Waiting(self.tasks)

    @functools.cached_property
    def files(self) -> list[Leak]:
        """The servers, transports, sockets and pipe ends."""
        return [*_files(self.loop), *_collected(self.loop)]


# -- mistakes


def _find_uncaught(kind: str, remains: Remains) -> Iterator[Leak]:
    return (_of_uncaught(error) for error in remains.loop.uncaught.found if error.kind == kind)


def _find_unread(remains: Remains) -> Iterator[Leak]:
    yield from _find_uncaught("unread", remains)
    for future in remains.loop.inventory.unread():
        yield _of_uncaught(unread(future), future)


def _of_uncaught(error: UncaughtError, task: object = None) -> Leak:
    return Leak(error.kind, error.what, error.place, task, error.error)


# -- programs


def _running(loop: SolipsistEventLoop) -> list[Any]:
    """The programs that run on a loop."""
    return [child for child in children_of(loop.world) if child.task in all_tasks(loop) and child.status is None]


def _find_processes(remains: Remains) -> Iterator[Leak]:
    for child in _running(remains.loop):
        if child.task in remains.loop.inventory.gone:
            continue
        frames = remains.waiting.frames_of(child.task)
        yield Leak("process", f"{child!r} at {where(frames)}, waits for "
                              f"{waits_for(child.task, frames, remains.waiting)}"
                              + (f"\n      {child.cure}" if child.cure else ""), child.made_at, child.task)


# -- tasks and callbacks


def _find_tasks(remains: Remains) -> Iterator[Leak]:
    yield from _find_uncaught("task", remains)
    described: Counter[Place | None] = Counter()
    programs = [child.task for child in _running(remains.loop)]
    for task in remains.tasks:
        if task in remains.loop.world.jobs.left_tasks or task in programs or task in remains.loop.inventory.gone:
            continue
        if getattr(task, "is_driven", False):
            continue  # the test itself, which did not end: whoever drove it has reported that
        place = made_at(task)
        what = ""
        if id(task) not in remains.unreported and described[place] < DESCRIBED:
            described[place] += 1
            frames = remains.waiting.frames_of(task)
            what = f"{task_words(task)} at {where(frames)}, waits for {waits_for(task, frames, remains.waiting)}"
        yield Leak("task", what, place, task)


def _find_timers(remains: Remains) -> Iterator[Leak]:
    pending = set(remains.tasks)
    waited_for = {id(waiter_of(task)) for task in remains.tasks}
    now = remains.loop.time()
    for timer in remains.loop.inventory.timers():
        if not (_is_excused(timer, remains) or _belongs(timer, pending, waited_for)):
            what = f"due at t={timer.when()!r} (now t={now!r}), calls {called_words(timer)}"
            yield Leak("timer", what, made_at(timer), timer)


def _is_excused(handle: asyncio.Handle, remains: Remains) -> bool:
    return in_background(handle._context) or handle in remains.loop.inventory.gone  # type: ignore[attr-defined]


def _belongs(timer: asyncio.TimerHandle, tasks: set[Task], waited_for: set[int]) -> bool:
    """Whether a timer is a pending task's own `sleep` or timeout: the task is reported, and that is enough."""
    callback, args = timer._callback, timer._args  # type: ignore[attr-defined]
    if is_ours(module_of_callback(callback)):
        return True  # an assertion's, in a task
    if any(callback is waker for waker in _WAKERS):
        return id(args[0]) in waited_for
    owner = owner_of(timer)
    return issubclass(type(owner), asyncio.Timeout) and owner._task in tasks  # type: ignore[attr-defined]


def _find_handles(remains: Remains) -> Iterator[Leak]:
    for handle in remains.loop.inventory.ready():
        if not (handle.cancelled() or _is_excused(handle, remains) or task_of(handle) is not None):
            yield Leak("handle", f"calls {called_words(handle)}", _traced(handle), handle)


def _traced(handle: asyncio.Handle) -> str | None:
    """The user's line in the stack that asyncio's debug mode keeps."""
    for entry in reversed(handle._source_traceback or ()):  # type: ignore[attr-defined]
        if is_of_program(entry.filename):
            return f"{shorten(entry.filename)}:{entry.lineno} in {entry.name}"
    return None


def _find_registrations(remains: Remains) -> Iterator[Leak]:
    loop, known = remains.loop, remains.loop.inventory.registrations
    for number, key in loop.selector.keys.items():
        for handle in key.data:
            if handle in known and not handle.cancelled() and not _is_excused(handle, remains):
                method, place = known[handle]
                file = loop.kernel.files.get(number)
                lost = "descriptor of a mock" if is_played(key.fileobj) else "closed descriptor"
                of = repr(file) if file is not None else f"{lost} {number}"
                yield Leak("registration", f"{method}({of}), calls {called_words(handle)}", place, handle)


# -- files


def _find_files(kind: str, remains: Remains) -> Iterator[Leak]:
    return (leak for leak in remains.files if leak.kind == kind)


def _files(loop: SolipsistEventLoop) -> Iterator[Leak]:
    servers: set[int] = set()
    of_programs = {number for child in _running(loop) for number in child.numbers}
    file: Any  # what has a transport is one end of something
    has_network = loop.kernel.has_network
    for number, file in loop.kernel.files.items():
        if is_left(loop.world.jobs, number) or number in of_programs or number in loop.kernel.reaped or (
                has_network and loop.kernel.network.wire.is_lost(file)):
            continue
        server = _server_of(loop, number)
        transport = loop.inventory.transport_of(number)
        if server is not None:
            if id(server) not in servers:  # one server may listen on many addresses
                servers.add(id(server))
                # asyncio makes its sockets in the order of a set of strings, which is another one in each process.
                addresses = ", ".join(sorted(_shown(face.getsockname()) for face in server.sockets))
                yield Leak("server", f"<Server listening on {addresses}>", file.place, file)
        elif transport is not None:
            unsent = transport.get_write_buffer_size() if isinstance(transport, asyncio.WriteTransport) else 0
            more = f", {counted(unsent, 'byte')} unsent" if unsent else ""
            name = type(transport).__name__.strip("_")
            yield Leak("transport", f"<{name} {file.ends()} {file.state}{more}>", file.place, file)
        else:
            yield Leak(_kind(file), repr(file), file.place, file)
    for number, transport, handle in loop.inventory.played_transports():
        name = type(transport).__name__.strip("_")
        yield Leak("transport", f"<{name} on descriptor {number:d} of a mock>", number.place, handle)


def _server_of(loop: SolipsistEventLoop, number: int) -> asyncio.Server | None:
    """The server that listens on a descriptor: it stands among the arguments of what asyncio has registered."""
    key = loop.selector.keys.get(number)
    handle = key.data[0] if key is not None else None
    if handle is None or handle.cancelled():
        return None
    return next((arg for arg in handle._args if isinstance(arg, asyncio.Server)), None)


def _shown(address: Any) -> str:
    """What getsockname() gave, for people."""
    return shown(address[:2] if isinstance(address, tuple) else (os.fsencode(address),))


def _collected(loop: SolipsistEventLoop) -> Iterator[Leak]:
    file: Any
    is_explored = loop.kernel.choices.explorer is not None
    for file in loop.kernel.abandoned:
        if loop.kernel.has_network and loop.kernel.network.wire.is_lost(file):
            continue
        # A server may be closed between its accept() and the first step of what makes the transport. Then asyncio's
        # Server._attach() fails an assertion, and _accept_connection2() drops the socket: nobody could have closed it.
        if is_explored and file.label.endswith("(accepted)"):
            continue
        what = f"<{file.kind} {file.ends()}>, never closed and collected as garbage"
        yield Leak(_kind(file), what, file.place, file)


def _kind(file: File) -> str:
    return "transport" if file.had_transport else "pipe" if file.kind == "pipe" else "socket"


# -- generators and threads


def _find_loops(remains: Remains) -> Iterator[Leak]:
    for loop in remains.loop.world.second:
        if loop.holdings is None or not loop.holdings.is_over:
            cure = "end what it runs" if loop.is_running() else "close it, or use asyncio.run()"
            yield Leak("loop", f"{loop!r}: {cure}", loop.made_at, loop)


def _find_generators(remains: Remains) -> Iterator[Leak]:
    # One that a pending task goes through ends with the task, which is reported.
    generators = list(remains.loop.inventory.generators.items())
    in_tasks = {id(thing) for task in remains.tasks for step in steps(task) for thing in get_referents(step)
                } if generators else ()
    agen: Any
    for agen, place in generators:
        frame = agen.ag_frame
        if frame is not None and not agen.ag_running and id(agen) not in in_tasks:
            yield Leak("generator", f"{agen.__qualname__} stands at {shorten(frame.f_code.co_filename)}:"
                                    f"{frame.f_lineno}: run it to its end, or use contextlib.aclosing()", place, agen)


_WAITED_FOR = "\n      Python will wait for this thread when the process ends, for ever if need be: it is no daemon"


def _find_threads(remains: Remains) -> Iterator[Leak]:
    jobs = remains.loop.world.jobs
    waits = jobs.baton.waits  # which ends with the world
    started = list(jobs.started.items())
    for thread, place in started:
        if thread.is_alive() and not _is_gone(jobs, thread.ident):
            name = f"{type(thread).__name__} {thread.name}{' (daemon)' if thread.daemon else ''}"
            pooled = any(thread in pool._threads for pool in list(jobs.pools))
            keeps = not thread.daemon and (not pooled or thread.ident in jobs.working) and not waits(thread.ident)
            yield Leak("thread", name + standing(thread.ident) + _WAITED_FOR * keeps, place, thread)
    known = {thread.ident for thread, _ in started}
    for ident, job in list(jobs.working.items()):
        if ident not in known and not job.in_background and not _is_gone(jobs, ident):
            yield Leak("thread", job.reason + standing(ident) + _WAITED_FOR * (not waits(ident)), job.place, job)


def _is_gone(jobs: Jobs, ident: int | None) -> bool:
    """Whether the host of a thread has crashed."""
    return ident in jobs.homes and jobs.homes[ident].is_gone()


# By the kinds of `KINDS`. Coroutines that nobody awaited are found when they are collected (unawaited.py).
FINDERS: dict[str, Callable[[Remains], Iterable[Leak]]] = {
    "unread": _find_unread,
    "error": functools.partial(_find_uncaught, "error"),
    "process": _find_processes,
    "task": _find_tasks,
    "timer": _find_timers,
    "handle": _find_handles,
    "registration": _find_registrations,
    **{kind: functools.partial(_find_files, kind) for kind in ("server", "transport", "socket", "pipe")},
    "loop": _find_loops,
    "generator": _find_generators,
    "thread": _find_threads,
}
