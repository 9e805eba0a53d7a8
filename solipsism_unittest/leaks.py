"""What a test left behind: found, told, and ended.

Owns the list of what counts as left (pending tasks, timers, ready handles, transports, servers, sockets), the text of the
report, and the ending of leftovers, so that nothing flows into the next test. It looks at a loop between two runs.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import futures, tasks as asyncio_tasks
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from . import diagnosis
from .kernel.stream import LISTENING
from .loop import SolipsistEventLoop
from .places import Place, is_plumbing, shorten

__unittest = True

SETTLING_TURNS = 1_000  # so many turns of the loop may pass at the end until what was closed is gone
LAST_WILL = 60.0  # virtual seconds that cancelled tasks have for their `finally` blocks

# The kinds in the order of the report: what explains the others comes first.
KINDS = {
    "task": "pending task", "timer": "timer", "handle": "ready handle", "server": "open server",
    "transport": "open transport", "socket": "open socket",
}


class Leak(NamedTuple):
    """One thing that was left: its kind (a key of KINDS), what it is, and where it was made."""

    kind: str
    what: str
    place: Place | str | None


def is_clean(loop: SolipsistEventLoop) -> bool:
    """Whether there is nothing at all to look at: the common case, and cheap."""
    kernel = loop.kernel
    return not (kernel.files or kernel.abandoned or loop._ready or loop._scheduled or asyncio.all_tasks(loop))


async def settle(loop: SolipsistEventLoop) -> None:
    """Let what was cancelled and closed come to its end, for a bounded number of turns and no virtual time."""
    for turn in range(SETTLING_TURNS):
        await asyncio.sleep(0)
        if not loop._ready and not loop.kernel.ready():
            return
        if turn == SETTLING_TURNS - 5:
            # Something goes on and on. asyncio keeps where a handle is made only in debug mode, so ask for it now.
            loop.set_debug(True)


def survey(loop: SolipsistEventLoop) -> list[Leak]:
    """Everything that is left on a loop that is not running."""
    kernel = loop.kernel
    leaks: list[Leak] = []
    tasks = sorted(asyncio.all_tasks(loop), key=diagnosis._by_name)
    for task in tasks:
        frames = diagnosis.await_chain(task)
        coroutine = getattr(task.get_coro(), "__qualname__", "")
        leaks.append(Leak("task", f"{task.get_name()} ({coroutine}) at {diagnosis.where(frames)}, waits for "
                                  f"{diagnosis.waits_for(task, frames)}", diagnosis.made_at(task)))
    waited_for = [task._fut_waiter for task in tasks]  # type: ignore[attr-defined]
    for timer in sorted(loop._scheduled):
        if not timer.cancelled() and not _belongs(timer, tasks, waited_for):
            leaks.append(Leak("timer", f"due at t={timer.when()!r} (now t={loop.time()!r}), calls {_callback(timer)}",
                              timer._made_at))
    for handle in loop._ready:
        if not handle.cancelled() and not isinstance(_owner(handle), asyncio.Task):
            leaks.append(Leak("handle", f"calls {_callback(handle)}", _traced(handle._source_traceback)))
    leaks += _files(loop)
    leaks += [Leak("socket", f"{end!r}, never closed and collected as garbage", end.place) for end in kernel.abandoned]
    return sorted(leaks, key=lambda leak: list(KINDS).index(leak.kind))


def _files(loop: SolipsistEventLoop) -> Iterable[Leak]:
    servers: set[int] = set()
    selector = loop._virtual_selector
    for number, file in loop.kernel.files.items():
        key = selector.keys.get(number)
        server = next((arg for arg in key.data[0]._args if isinstance(arg, asyncio.Server)), None) \
            if key is not None and key.data[0] is not None and not key.data[0].cancelled() else None
        transport = loop._transports.get(number)
        if server is not None:
            if id(server) not in servers:  # one server may listen on many addresses
                servers.add(id(server))
                addresses = ", ".join("{}:{}".format(*face.getsockname()[:2]) for face in server.sockets)
                yield Leak("server", f"<Server listening on {addresses}>", file.place)
        elif transport is not None:
            unsent = transport.get_write_buffer_size()
            more = f", {unsent} bytes unsent" if unsent else ""
            yield Leak("transport", f"<{type(transport).__name__.strip('_')} {_ends(file)}{more}>", file.place)
        else:
            yield Leak("socket", repr(file), file.place)


def _ends(file: Any) -> str:
    return f"{file.ends()} {file.state}"


def _owner(handle: asyncio.Handle) -> object:
    return getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]


def _belongs(timer: asyncio.TimerHandle, tasks: list[Any], waited_for: list[Any]) -> bool:
    """Whether a timer is a pending task's own `sleep` or timeout: the task is told, and that is enough."""
    callback, args = timer._callback, timer._args  # type: ignore[attr-defined]
    if callback is futures._set_result_unless_cancelled or callback is asyncio_tasks._release_waiter:  # type: ignore[attr-defined]
        return any(args[0] is future for future in waited_for)
    owner = getattr(callback, "__self__", None)
    return isinstance(owner, asyncio.Timeout) and owner._task in tasks  # type: ignore[attr-defined]


def _callback(handle: asyncio.Handle) -> str:
    callback = handle._callback  # type: ignore[attr-defined]
    code = getattr(getattr(callback, "__func__", callback), "__code__", None)
    name = getattr(callback, "__qualname__", None) or diagnosis.plain(callback)
    return f"{name} ({shorten(code.co_filename)}:{code.co_firstlineno})" if code is not None else name


def _traced(stack: Any) -> str | None:
    """The user's line in the stack that asyncio's debug mode keeps."""
    for entry in reversed(stack or ()):
        frame_module = entry.filename.replace("\\", "/").rsplit("/", 2)
        if not is_plumbing(frame_module[-2] if len(frame_module) > 2 else ""):
            return f"{shorten(entry.filename)}:{entry.lineno} in {entry.name}"
    return None


def report(leaks: list[Leak]) -> str:
    """The text of the failure: how much, then each with the place where it was made; equal ones are counted."""
    things = f"{len(leaks)} thing{'s' if len(leaks) != 1 else ''}"
    lines = [f"the test left {things} behind; end what you start, or let a cleanup do it"]
    for kind, name in KINDS.items():
        of_kind = [leak for leak in leaks if leak.kind == kind]
        if of_kind:
            lines.append(f"  {len(of_kind)} {name}{'s' if len(of_kind) != 1 else ''}")
        per_place: dict[object, list[Leak]] = {}
        for leak in of_kind:
            per_place.setdefault(leak.place, []).append(leak)
        for place, same in per_place.items():
            for what, count in Counter(leak.what for leak in same[:3]).items():
                lines.append(f"    {what}" + (f" (x {count})" if count > 1 else ""))
            if len(same) > 3:
                lines.append(f"    and {len(same) - 3} more of the same place")
            lines.append(f"      made at {place}" if place else "      made by asyncio, for what is told above")
    return "\n".join(lines)


async def end(loop: SolipsistEventLoop) -> list[asyncio.Task[Any]]:
    """Really end what is left. The tasks that refuse to be cancelled are returned."""
    for handle in [*loop._scheduled, *loop._ready]:
        if not isinstance(_owner(handle), asyncio.Task) and not _is_of_asyncio(handle):
            handle.cancel()
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=LAST_WILL)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()  # read, so that asyncio does not log it into the next test
    for transport in list(loop._transports.values()):
        transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return sorted((task for task in tasks if not task.done()), key=diagnosis._by_name)


def _is_of_asyncio(handle: asyncio.Handle) -> bool:
    callback = handle._callback  # type: ignore[attr-defined]
    module = getattr(callback, "__module__", None) or type(callback).__module__
    return is_plumbing(module)


def abandon(loop: SolipsistEventLoop, stubborn: Iterable[asyncio.Task[Any]]) -> None:
    """Cut off the tasks that no cancellation ends, so that closing the loop cannot wait for them."""
    for task in stubborn:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        with contextlib.suppress(RuntimeError, ValueError):
            task.get_coro().close()  # type: ignore[union-attr]
        asyncio_tasks._unregister_task(task)
    for handle in [*loop._scheduled, *loop._ready]:
        handle.cancel()
    for file in list(loop.kernel.files.values()):
        if getattr(file, "state", None) == LISTENING:
            loop.kernel.close(file)
