"""What a test left behind: found, and told in one report, each with the place where it was made.

Owns the list of what counts as left, which check of the policy each kind belongs to, and the text of the report. It
looks at a loop between two runs; how leftovers are ended stands in endings.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from asyncio import futures
from asyncio import tasks as asyncio_tasks
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ..hangs import locks
from ..hangs.waits import waits_for
from ..hangs.words import task_words, where
from ..introspection.handles import called_words, module_of_callback, owner_of, task_of
from ..introspection.modules import is_of_program, is_ours
from ..introspection.places import made_at, shorten
from ..introspection.tasks import by_name, steps, waiter_of
from ..introspection.threads import standing
from ..loop.uncaught import UncaughtError, unread
from ..stdlib.threads.background import in_background
from ..stdlib.threads.workers import linger
from . import ending
from .expected import Before, is_left, things_of
from .kinds import KINDS, Found, Leak

__unittest = True
__tracebackhide__ = True

_WAKERS = (futures._set_result_unless_cancelled, asyncio_tasks._release_waiter)  # type: ignore[attr-defined]


@contextlib.contextmanager
def collected_writers(loop: Any) -> Iterator[None]:
    """Inside, a StreamWriter of this loop that is collected as garbage while it is open counts as left behind.

    asyncio closes it (from 3.11.5 on) with a ResourceWarning that few look at.
    """
    before: Any = vars(asyncio.StreamWriter).get("__del__")
    if before is None:  # its transport stays open, and is told as that
        yield
        return

    def __del__(writer: Any) -> None:
        if writer._loop is loop and not writer._transport.is_closing() and not loop.is_closed():
            face, pipe = (writer._transport.get_extra_info(name) for name in ("socket", "pipe"))
            number = face.fileno() if face is not None else pipe.fileno()
            file = loop.kernel.files[number]
            file.had_transport = True
            loop.kernel.abandon(file)
        before(writer)

    writers: Any = asyncio.StreamWriter
    writers.__del__ = __del__
    try:
        yield
    finally:
        writers.__del__ = before


def is_clean(loop: Any) -> bool:
    """Whether there is nothing at all to look at: the common case, and cheap."""
    kernel, inventory = loop.kernel, loop.inventory
    return not (kernel.files or kernel.abandoned or inventory.has_handles() or loop.selector.keys
                or loop.world.jobs.started or loop.world.jobs.working or loop.uncaught.found or inventory.generators
                or asyncio.all_tasks(loop) or inventory.unread())


def clear(loop: Any, checks: Mapping[str, bool], before: Before, expected: Collection[object] = (), *,
          goes_on: bool = False) -> Found:
    """Survey a loop that does not run, end what is left on it, and give what was found and is to be told.

    `checks` is the policy. Where the loop `goes_on` after this test, only what the test left is ended.
    """
    autojump, turns_allowed, debug = loop.autojump, loop.selector.turns_allowed, loop.get_debug()
    ending.prepare(loop)
    troubles = ending.run(loop, ending.settle(loop))
    patient, jobs = checks["threads"], loop.world.jobs
    threads = [thread for thread in jobs.started if patient and id(thread) not in before.things]
    linger(lambda: [*(thread.ident for thread in threads if thread.is_alive()), *_jobs_at_work(jobs, before)])
    found = survey(loop, before)
    if _jobs_at_work(jobs, before):
        jobs.give_up()  # or the end would wait for them
    meant = things_of(loop, expected)
    loop.set_debug(debug)
    keep = before.keep(loop, expected) if goes_on else {}
    for leak in found:
        if isinstance(leak.thing, threading.Timer):
            leak.thing.cancel()  # it would hold the clock
    if patient:
        _shut_down_pools(loop, [leak.thing for leak in found if id(leak.thing) not in meant])
    stubborn, more = ending.end_all(loop, keep)
    loop.uncaught.found.clear()  # what comes of cancelling is nobody's fault
    if goes_on:
        loop.autojump, loop.selector.turns_allowed = autojump, turns_allowed
    return Found([leak for leak in found if checks[KINDS[leak.kind].check] and id(leak.thing) not in meant],
                 [task.get_name() for task in stubborn], troubles + more)


def _shut_down_pools(loop: Any, workers: Collection[object]) -> None:
    # Only those that are told: one that is told to nobody may be in use by later tests.
    for pool in list(loop.world.jobs.pools):
        if any(thread in workers for thread in pool._threads):
            pool.shutdown(wait=False, cancel_futures=True)


# -- what is left


def survey(loop: Any, before: Before) -> list[Leak]:
    """Everything that is left on a loop that is not running, but for what was there before."""
    kernel, inventory = loop.kernel, loop.inventory
    leaks = [_of_uncaught(error) for error in loop.uncaught.found]
    leaks += [_of_uncaught(unread(task), task) for task in inventory.unread()]
    tasks = sorted(asyncio.all_tasks(loop), key=by_name)
    scene = locks.Scene(tasks)
    for task in tasks:
        if task in loop.world.jobs.left_tasks:
            continue
        if getattr(task, "is_driven", False):
            continue  # the test itself, which did not end: whoever drove it has told so
        frames = scene.frames[task]
        leaks.append(Leak("task", f"{task_words(task)} at {where(frames)}, waits for "
                                  f"{waits_for(task, frames, scene)}", made_at(task), task))
    pending = set(tasks)
    waited_for = {id(waiter_of(task)) for task in tasks}
    for timer in inventory.timers():
        if not (in_background(timer._context) or _belongs(timer, pending, waited_for)):
            what = f"due at t={timer.when()!r} (now t={loop.time()!r}), calls {called_words(timer)}"
            leaks.append(Leak("timer", what, made_at(timer), timer))
    for handle in inventory.ready():
        if not (handle.cancelled() or in_background(handle._context) or task_of(handle) is not None):
            leaks.append(Leak("handle", f"calls {called_words(handle)}", _traced(handle._source_traceback), handle))
    leaks += _registrations(loop)
    leaks += _files(loop)
    leaks += [Leak(_kind(end), f"<{end.kind} {end.ends()}>, never closed and collected as garbage", end.place, end)
              for end in kernel.abandoned]
    leaks += _generators(loop, tasks)
    leaks += [Leak("thread", f"{_thread_words(thread)}", place, thread)
              for thread, place in list(loop.world.jobs.started.items()) if thread.is_alive()]
    leaks += _jobs(loop.world.jobs)
    order = list(KINDS)
    return sorted((leak for leak in leaks if id(leak.thing) not in before.things),
                  key=lambda leak: order.index(leak.kind))


def _of_uncaught(error: UncaughtError, task: object = None) -> Leak:
    return Leak(error.kind, error.what, error.place, task, error.error)


def _jobs_at_work(jobs: Any, before: Before) -> dict[int, Any]:
    """By thread, the jobs that run there, but for those that ran before the test."""
    return {ident: job for ident, job in list(jobs.working.items()) if id(job) not in before.things}


def _jobs(jobs: Any) -> Iterable[Leak]:
    known = {thread.ident for thread in list(jobs.started)}
    for ident, job in list(jobs.working.items()):
        if ident not in known and not job.in_background:
            yield Leak("thread", job.reason + standing(ident), job.place, job)


def _registrations(loop: Any) -> Iterable[Leak]:
    for number, key in loop.selector.keys.items():
        for handle in key.data:
            if handle in loop.inventory.registrations and not handle.cancelled() and not in_background(handle._context):
                method, place = loop.inventory.registrations[handle]
                file = loop.kernel.files.get(number)
                of = repr(file) if file is not None else f"closed descriptor {number}"
                yield Leak("registration", f"{method}({of}), calls {called_words(handle)}", place, handle)


def _files(loop: Any) -> Iterable[Leak]:
    servers: set[int] = set()
    selector = loop.selector
    for number, file in loop.kernel.files.items():
        if is_left(loop.world.jobs, number):
            continue
        key = selector.keys.get(number)
        server = next((arg for arg in key.data[0]._args if isinstance(arg, asyncio.Server)), None) \
            if key is not None and key.data[0] is not None and not key.data[0].cancelled() else None
        transport = loop.inventory.transport_of(number)
        if server is not None:
            if id(server) not in servers:  # one server may listen on many addresses
                servers.add(id(server))
                # asyncio makes its sockets in the order of a set of strings, which is another one in each process.
                addresses = ", ".join(sorted(_shown(face.getsockname()) for face in server.sockets))
                yield Leak("server", f"<Server listening on {addresses}>", file.place, file)
        elif transport is not None:
            unsent = transport.get_write_buffer_size() if isinstance(transport, asyncio.WriteTransport) else 0
            more = f", {unsent} bytes unsent" if unsent else ""
            yield Leak("transport", f"<{type(transport).__name__.strip('_')} {_ends(file)}{more}>", file.place, file)
        else:
            yield Leak(_kind(file), repr(file), file.place, file)


def _kind(file: Any) -> str:
    return "transport" if file.had_transport else "pipe" if file.kind == "pipe" else "socket"


def _shown(address: Any) -> str:
    return "{}:{}".format(*address[:2]) if isinstance(address, tuple) else str(address)


def _ends(file: Any) -> str:
    return f"{file.ends()} {file.state}"


def _generators(loop: Any, tasks: list[asyncio.Task[Any]]) -> Iterable[Leak]:
    # One that a pending task goes through ends with the task, which is told.
    in_tasks = {id(thing) for task in tasks for step in steps(task) for thing in gc.get_referents(step)}
    for agen, place in list(loop.inventory.generators.items()):
        frame = agen.ag_frame
        if frame is not None and not agen.ag_running and id(agen) not in in_tasks:
            yield Leak("generator", f"{agen.__qualname__} stands at {shorten(frame.f_code.co_filename)}:"
                                    f"{frame.f_lineno}: run it to its end, or use contextlib.aclosing()", place, agen)


def _thread_words(thread: threading.Thread) -> str:
    name = f"{type(thread).__name__} {thread.name}{' (daemon)' if thread.daemon else ''}"
    return name + standing(thread.ident)


def _belongs(timer: asyncio.TimerHandle, tasks: set[Any], waited_for: set[int]) -> bool:
    """Whether a timer is a pending task's own `sleep` or timeout: the task is told, and that is enough."""
    callback, args = timer._callback, timer._args  # type: ignore[attr-defined]
    if is_ours(module_of_callback(callback)):
        return True  # an assertion's, in a task
    if any(callback is waker for waker in _WAKERS):
        return id(args[0]) in waited_for
    owner = owner_of(timer)
    return type(owner) is asyncio.Timeout and owner._task in tasks  # type: ignore[attr-defined]


def _traced(stack: Any) -> str | None:
    """The user's line in the stack that asyncio's debug mode keeps."""
    for entry in reversed(stack or ()):
        if is_of_program(entry.filename):
            return f"{shorten(entry.filename)}:{entry.lineno} in {entry.name}"
    return None
