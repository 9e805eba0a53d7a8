"""What a task waits for, in words.

Owns the text of a hang: every task with its name, the line where it waits, what for, and where it was made. It describes
what it is handed (tasks, futures, kernel objects) and changes nothing.
"""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Callable, Iterable, Sequence
from types import FrameType, TracebackType
from typing import Any

from .kernel import Kernel
from .places import Place, is_plumbing, shorten

LAST_RECORDS = 3


def made_at(thing: Any) -> Place | None:
    """Where a task was made, or None where nobody knows."""
    return getattr(thing, "_made_at", None)


def plain(thing: object) -> str:
    """A repr without the memory address, so that two runs print the same."""
    return re.sub(r"(?: object)? at 0x[0-9a-fA-F]+", "", repr(thing))


def await_chain(task: asyncio.Task[Any]) -> list[FrameType]:
    """The frames that a suspended task stands in, outermost first."""
    frames: list[FrameType] = []
    step: Any = task.get_coro()
    while step is not None:
        frame = getattr(step, "cr_frame", None) or getattr(step, "gi_frame", None) or getattr(step, "ag_frame", None)
        if frame is not None:
            frames.append(frame)
        inner = getattr(step, "cr_await", None) or getattr(step, "gi_yieldfrom", None) or getattr(step, "ag_await", None)
        if inner is None and type(step).__name__ == "coroutine_wrapper":  # what a coroutine's __await__() gives
            inner = next(iter(gc.get_referents(step)), None)
        step = inner
    return frames


def awaiting_line(task: asyncio.Future[Any]) -> TracebackType | None:
    """A traceback to the very line where a suspended task waits; None for what is no task."""
    trace = None
    for frame in reversed(await_chain(task) if isinstance(task, asyncio.Task) else ()):
        trace = TracebackType(trace, frame, frame.f_lasti, frame.f_lineno)
    return trace


def where(frames: Sequence[FrameType]) -> str:
    """The user's innermost line of an await chain."""
    for frame in reversed(frames):
        if not is_plumbing(frame.f_globals.get("__name__", "")):
            return f"{shorten(frame.f_code.co_filename)}:{frame.f_lineno} in {frame.f_code.co_qualname}"
    return f"{frames[-1].f_globals.get('__name__', '?')}.{frames[-1].f_code.co_qualname}" if frames else "nowhere"


def _peer(transport: Any) -> str:
    face = transport.get_extra_info("socket") if transport is not None else None
    return plain(getattr(face, "_sock", face))


def _received(frame: FrameType) -> str:
    reader = frame.f_locals["self"]
    return f"{frame.f_locals.get('func_name', 'read')}() of bytes from {_peer(reader._transport)}"


def _drained(frame: FrameType) -> str:
    transport = getattr(frame.f_locals["self"], "_transport", None)
    unsent = f"{transport.get_write_buffer_size()} bytes unsent, " if transport is not None else ""
    return f"drain(): the peer does not read ({unsent}{_peer(transport)})"


def _itself(verb: str) -> Callable[[FrameType], str]:
    return lambda frame: f"{verb} {plain(frame.f_locals['self'])}"


def _socket_call(frame: FrameType) -> str:
    return f"{frame.f_code.co_name}() on {plain(frame.f_locals['sock'])}"


# By qualified name of asyncio's own coroutine, the innermost one first.
_WAITS: dict[str, Callable[[FrameType], str]] = {
    "Lock.acquire": _itself("acquire() of"),
    "Event.wait": _itself("wait() of"),
    "Condition.wait": _itself("wait() of"),
    "Semaphore.acquire": _itself("acquire() of"),
    "Barrier._wait": _itself("wait() of"),
    "Queue.get": _itself("get() from"),
    "Queue.put": _itself("put() into"),
    "Queue.join": _itself("join() of"),
    "StreamReader._wait_for_data": _received,
    "FlowControlMixin._drain_helper": _drained,
    "StreamWriter.wait_closed": lambda frame: f"wait_closed() of {_peer(frame.f_locals['self']._transport)}",
    "BaseSelectorEventLoop.sock_accept": _socket_call,
    "BaseSelectorEventLoop.sock_connect": _socket_call,
    "BaseSelectorEventLoop.sock_recv": _socket_call,
    "BaseSelectorEventLoop.sock_recv_into": _socket_call,
    "BaseSelectorEventLoop.sock_sendall": _socket_call,
    "Server.serve_forever": _itself("serve_forever() of"),
    "Server.wait_closed": _itself("wait_closed() of"),
    "TaskGroup.__aexit__": lambda frame: f"the tasks of {plain(frame.f_locals['self'])}",
    "sleep": lambda frame: f"sleep({frame.f_locals['delay']!r})",
}


def waits_for(task: asyncio.Task[Any], frames: Sequence[FrameType]) -> str:
    """What would wake this task, in words."""
    for frame in reversed(frames):
        if not frame.f_globals.get("__name__", "").startswith("asyncio"):
            break
        describe = _WAITS.get(frame.f_code.co_qualname)
        if describe is not None:
            return describe(frame)
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is None:
        return "its next turn"
    if isinstance(waiter, asyncio.Task):
        return f"task {waiter.get_name()}"
    children = getattr(waiter, "_children", None)
    if children is not None:
        pending = [child for child in children if not child.done()]
        names = ", ".join(child.get_name() if isinstance(child, asyncio.Task) else plain(child) for child in pending[:5])
        return f"gather of {len(children)}, {len(pending)} of them pending: {names}"
    return f"a future that nobody has resolved: {plain(waiter)}"


def task_lines(tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
    """A line for each task, in the order in which they were made as far as names tell."""
    lines = []
    for task in sorted(tasks, key=_by_name):
        frames = await_chain(task)
        coroutine = getattr(task.get_coro(), "__qualname__", type(task.get_coro()).__name__)
        made = made_at(task)
        lines.append(f"  {task.get_name()} ({coroutine}) at {where(frames)}\n"
                     f"      waits for {waits_for(task, frames)}" + (f"\n      made at {made}" if made else ""))
    return lines


def _by_name(task: asyncio.Task[Any]) -> tuple[str, int]:
    prefix, _, number = task.get_name().rpartition("-")
    return (prefix, int(number)) if number.isdigit() else (task.get_name(), 0)


def report(reason: str, kernel: Kernel, tasks: Iterable[asyncio.Task[Any]], others: Sequence[str] = ()) -> str:
    """The whole text: what happened, at which time, every task, and what happened last."""
    lines = task_lines(tasks)
    count = "1 task waits for ever" if len(lines) == 1 else f"{len(lines)} tasks wait for ever"
    last = kernel.journal.last(LAST_RECORDS)
    return "\n".join([
        f"{reason} at t={kernel.clock.now!r}: {count}",
        *lines,
        *others,
        *(["  what happened last:"] if last else []),
        *(f"      {record}" for record in last),
    ])
