"""What a test left behind: found, told, and ended.

Owns the list of what counts as left (pending tasks, timers, ready handles, transports, servers, sockets), the text of
the report, and the ending of leftovers, so that nothing flows into the next test. It looks at a loop between two runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from asyncio import events, futures
from asyncio import tasks as asyncio_tasks
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, NamedTuple

from . import diagnosis, holders
from .jobs import in_background
from .places import Place, is_plumbing, shorten
from .unawaited import close_held

__unittest = True
__tracebackhide__ = True

SETTLING_TURNS = 1_000  # so many turns of the loop may pass at the end until what was closed is gone
LAST_WILL = 60.0  # virtual seconds that cancelled tasks have for their `finally` blocks
TURNS_AT_THE_END = 2_000  # who spins at one instant when it is ended is given up after so many turns of the loop
ROUNDS = 3  # what a `finally` block starts is cancelled in the next round
_WAKERS = (futures._set_result_unless_cancelled, asyncio_tasks._release_waiter)  # type: ignore[attr-defined]
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_PACKAGE = os.path.dirname(__file__) + os.sep

# The kinds in the order of the report: what explains the others comes first.
KINDS = {
    "task": "pending task", "timer": "timer", "handle": "ready handle", "server": "open server",
    "transport": "open transport", "socket": "open socket", "pipe": "open pipe end",
}


class Leak(NamedTuple):
    """One thing that was left: its kind (a key of KINDS), what it is, and where it was made."""

    kind: str
    what: str
    place: Place | str | None


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
            loop.kernel.abandoned.append(loop.kernel.files[number])
        before(writer)

    writers: Any = asyncio.StreamWriter
    writers.__del__ = __del__
    try:
        yield
    finally:
        writers.__del__ = before


def is_clean(loop: Any) -> bool:
    """Whether there is nothing at all to look at: the common case, and cheap."""
    kernel = loop.kernel
    return not (kernel.files or kernel.abandoned or loop._ready or loop._scheduled or loop._asyncgens
                or asyncio.all_tasks(loop))


def clear(loop: Any) -> str:
    """Survey a loop that does not run, end everything on it, and return the report; "" where nothing was left."""
    loop.autojump = True  # a cancelled task may need time for its `finally`, whatever the test chose
    loop._virtual_selector.turns_allowed = TURNS_AT_THE_END
    debug = loop.get_debug()
    troubles = _run(loop, settle(loop))
    found = survey(loop)
    loop.set_debug(debug)
    left = asyncio.all_tasks(loop)
    for _ in range(ROUNDS):
        before = left
        troubles += _run(loop, end(loop))
        left = asyncio.all_tasks(loop)
        if not left or left == before:
            break
    stubborn = sorted(left, key=diagnosis._by_name)
    abandon(loop, stubborn)
    return report(found, [task.get_name() for task in stubborn], troubles)


def _run(loop: Any, coroutine: Coroutine[Any, Any, None]) -> list[str]:
    """Run it, and say in words what did not let it end: a hang, SystemExit in what it ends, a closed loop."""
    if loop.is_closed():
        coroutine.close()
        return []
    try:
        loop.run_until_complete(coroutine)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return [f"{type(error).__name__}: {error}".partition("\n")[0]]
    return []


async def settle(loop: Any) -> None:
    """Let what was cancelled and closed come to its end, for a bounded number of turns and no virtual time."""
    for turn in range(SETTLING_TURNS):
        await asyncio.sleep(0)
        if not loop._ready and not loop.kernel.ready():
            return
        if turn == SETTLING_TURNS - 5:
            # Something goes on and on. asyncio keeps where a handle is made only in debug mode, so ask for it now.
            loop.set_debug(True)


def survey(loop: Any) -> list[Leak]:
    """Everything that is left on a loop that is not running."""
    kernel = loop.kernel
    leaks: list[Leak] = []
    tasks = sorted(asyncio.all_tasks(loop), key=diagnosis._by_name)
    scene = holders.Scene(tasks)
    for task in tasks:
        if task in kernel.jobs.left_tasks:
            continue
        if getattr(task, "is_driven", False):
            continue  # the test itself, which did not end: whoever drove it has told so
        frames = scene.frames[task]
        coroutine = getattr(task.get_coro(), "__qualname__", type(task.get_coro()).__name__)
        leaks.append(Leak("task", f"{task.get_name()} ({coroutine}) at {diagnosis.where(frames)}, waits for "
                                  f"{diagnosis.waits_for(task, frames, scene)}", diagnosis.made_at(task)))
    waited_for = [task._fut_waiter for task in tasks]  # type: ignore[attr-defined]
    for timer in sorted(loop._scheduled):
        if not (timer.cancelled() or in_background(timer._context) or _belongs(timer, tasks, waited_for)):
            leaks.append(Leak("timer", f"due at t={timer.when()!r} (now t={loop.time()!r}), calls {_callback(timer)}",
                              timer._made_at))
    for handle in loop._ready:
        if not (handle.cancelled() or in_background(handle._context) or isinstance(_owner(handle), asyncio.Task)):
            leaks.append(Leak("handle", f"calls {_callback(handle)}", _traced(handle._source_traceback)))
    leaks += _files(loop)
    leaks += [Leak(_kind(end), f"<{end.kind} {end.ends()}>, never closed and collected as garbage", end.place)
              for end in kernel.abandoned]
    return sorted(leaks, key=lambda leak: list(KINDS).index(leak.kind))


def _files(loop: Any) -> Iterable[Leak]:
    servers: set[int] = set()
    selector = loop._virtual_selector
    for number, file in loop.kernel.files.items():
        if any(number in numbers for numbers in loop.kernel.jobs.left_running):
            continue
        key = selector.keys.get(number)
        server = next((arg for arg in key.data[0]._args if isinstance(arg, asyncio.Server)), None) \
            if key is not None and key.data[0] is not None and not key.data[0].cancelled() else None
        transport = loop._transports.get(number) or _pipe_transport(key)
        if server is not None:
            if id(server) not in servers:  # one server may listen on many addresses
                servers.add(id(server))
                # asyncio makes its sockets in the order of a set of strings, which is another one in each process.
                addresses = ", ".join(sorted(_shown(face.getsockname()) for face in server.sockets))
                yield Leak("server", f"<Server listening on {addresses}>", file.place)
        elif transport is not None:
            unsent = transport.get_write_buffer_size() if isinstance(transport, asyncio.WriteTransport) else 0
            more = f", {unsent} bytes unsent" if unsent else ""
            yield Leak("transport", f"<{type(transport).__name__.strip('_')} {_ends(file)}{more}>", file.place)
        else:
            yield Leak(_kind(file), repr(file), file.place)


def _kind(file: Any) -> str:
    return "pipe" if file.kind == "pipe" else "socket"


def _shown(address: Any) -> str:
    return "{}:{}".format(*address[:2]) if isinstance(address, tuple) else str(address)


def _pipe_transport(key: Any) -> Any:
    """The transport that waits for a descriptor; asyncio keeps no table of those of pipes."""
    for handle in key.data if key is not None else ():
        owner = None if handle is None or handle.cancelled() else _owner(handle)
        if isinstance(owner, asyncio.BaseTransport):
            return owner
    return None


def _ends(file: Any) -> str:
    return f"{file.ends()} {file.state}"


def _owner(handle: asyncio.Handle) -> object:
    return getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]


def _belongs(timer: asyncio.TimerHandle, tasks: list[Any], waited_for: list[Any]) -> bool:
    """Whether a timer is a pending task's own `sleep` or timeout: the task is told, and that is enough."""
    callback, args = timer._callback, timer._args  # type: ignore[attr-defined]
    if getattr(callback, "__module__", "").startswith(__package__):
        return True  # an assertion's, in a task
    if callback in _WAKERS:
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
        of_library = entry.filename.startswith(_STANDARD_LIBRARY) and "-packages" not in entry.filename
        if not of_library and not entry.filename.startswith(_PACKAGE):
            return f"{shorten(entry.filename)}:{entry.lineno} in {entry.name}"
    return None


def report(leaks: list[Leak], stubborn: list[str], troubles: list[str]) -> str:
    """The text of the failure: how much, then each with the place where it was made; equal ones are counted.

    `stubborn` are the names of tasks that nothing could end, `troubles` what went wrong when everything was ended.
    """
    if not (leaks or stubborn or troubles):
        return ""
    things = f"{len(leaks)} thing{'s' if len(leaks) != 1 else ''}"
    lines = [f"the test left {things} behind; end what you start, or let a cleanup do it"
             if leaks else "the test did not come to a clean end"]
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
            lines.append(f"      made at {place}" if place else "      made where no line of yours was running")
    lines += [f"  when it was ended: {trouble}" for trouble in dict.fromkeys(troubles)]
    if stubborn:
        lines.append(f"  refused to be cancelled: {', '.join(stubborn)}")
    return "\n".join(lines)


async def end(loop: Any) -> None:
    """Really end what is left, as far as it lets itself be ended in `LAST_WILL` seconds."""
    for handle in [*loop._scheduled, *loop._ready]:
        if not isinstance(_owner(handle), asyncio.Task) and not _is_of_asyncio(handle):
            handle.cancel()
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    if holders.loosen(sorted(tasks, key=holders.by_name)):
        await asyncio.sleep(0)  # a task of each circle takes its cancellation
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=LAST_WILL)
    if loop._asyncgens:
        await asyncio.wait([loop.create_task(loop.shutdown_asyncgens())], timeout=LAST_WILL)
    for transport in list(loop._transports.values()):
        transport.abort()
    for key in list(loop._virtual_selector.keys.values()):
        transport = _pipe_transport(key)
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()
        elif transport is not None:
            transport.close()
    for task in tasks:
        if task.done():
            _take_over(task)  # after the transports: a writer that goes with it is closed already
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _take_over(task: asyncio.Task[Any]) -> None:
    """Read what it ended with, so that neither asyncio nor a collected coroutine speaks of it in the next test."""
    try:
        task.result()
    except BaseException as error:
        close_held(error)


def _is_of_asyncio(handle: asyncio.Handle) -> bool:
    callback = handle._callback  # type: ignore[attr-defined]
    module = getattr(callback, "__module__", None) or type(callback).__module__
    return is_plumbing(module)


def abandon(loop: Any, stubborn: Iterable[asyncio.Task[Any]]) -> None:
    """Cut off the tasks that no cancellation ends, and what else is still there, so that nothing can wait for it."""
    for task in stubborn:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        asyncio_tasks._unregister_task(task)
        coroutine: Any = task.get_coro()
        if not loop.is_closed():
            _close(loop, coroutine)
        if getattr(coroutine, "cr_frame", None) is not None:
            _keep_for_ever(coroutine)
    for handle in [*loop._scheduled, *loop._ready]:
        handle.cancel()
    loop._scheduled.clear()
    loop._ready.clear()
    for file in list(loop.kernel.files.values()):
        loop.kernel.close(file)
    loop.kernel.abandoned.clear()


def _close(loop: Any, coroutine: Any) -> None:
    # As if the loop ran: without a running loop every `await sleep()` fails at once, and a program that catches even
    # that (`while True: try ... except BaseException`) would never come back.
    events._set_running_loop(loop)
    try:
        coroutine.close()
    except (Exception, SystemExit, asyncio.CancelledError):
        pass  # "coroutine ignored GeneratorExit", or what its `finally` raises
    finally:
        events._set_running_loop(None)


def _keep_for_ever(coroutine: Any) -> None:
    """Never let Python collect a coroutine that ignores even GeneratorExit: collecting it would run it once more."""
    with contextlib.suppress(ImportError):
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))
