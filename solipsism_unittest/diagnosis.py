"""What a task waits for, in words.

Owns the text of a hang: every task with its name, the line where it waits, what for, and where it was made. It
describes what it is handed (tasks, futures, kernel objects) and changes nothing. The words are the same on every Python
and in every run: no memory addresses, nothing that only some version's repr shows.
"""

from __future__ import annotations

import asyncio
import gc
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import FrameType, TracebackType
from typing import Any

from .kernel import Kernel
from .places import Place, is_plumbing, shorten

LAST_RECORDS = 3
NAMES = 5  # so many things of a list are named
ALIKE = 10  # so many tasks that wait alike are told one by one
LONGEST = 200  # characters of a repr

# What awaits on behalf of somebody and does not say for whom: `async for`, `anext()`, a coroutine's __await__().
_WRAPPERS = frozenset({"async_generator_asend", "async_generator_athrow", "anext_awaitable", "coroutine_wrapper"})


def made_at(thing: Any) -> Place | None:
    """Where a task was made, or None where nobody knows."""
    return getattr(thing, "_made_at", None)


def plain(thing: object) -> str:
    """A repr without memory addresses, so that two runs print the same, and of bounded length; never raises."""
    try:
        text = re.sub(r"(?: object)? at 0x[0-9a-fA-F]+", "", repr(thing))
    except Exception as error:  # a test must not hang for ever because of somebody's __repr__
        return f"<{type(thing).__qualname__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"


def callback_words(handle: asyncio.Handle) -> str:
    """Whose turn a handle is: a task by name, or a function with the line where it is defined."""
    callback: Any = handle._callback  # type: ignore[attr-defined]
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return f"task {owner.get_name()}"
    code = getattr(getattr(callback, "__func__", callback), "__code__", None)
    if code is None:
        return plain(callback)
    return f"{code.co_qualname} ({shorten(code.co_filename)}:{code.co_firstlineno})"


def await_chain(task: asyncio.Task[Any]) -> list[FrameType]:
    """The frames that a suspended task stands in, outermost first."""
    frames: list[FrameType] = []
    step: Any = task.get_coro()
    while step is not None:
        frame = getattr(step, "cr_frame", None) or getattr(step, "gi_frame", None) or getattr(step, "ag_frame", None)
        if frame is not None:
            frames.append(frame)
        if type(step).__name__ in _WRAPPERS:
            step = next(iter(gc.get_referents(step)), None)
        else:
            inner = getattr(step, "cr_await", None) or getattr(step, "gi_yieldfrom", None)
            step = inner or getattr(step, "ag_await", None)
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


# -- what for


def _listed(things: Sequence[str]) -> str:
    more = f" and {len(things) - NAMES} more" if len(things) > NAMES else ""
    return ", ".join(things[:NAMES]) + more


def _names(futures: Iterable[Any]) -> str:
    """Tasks by name, in order; futures by their number."""
    tasks = [future for future in futures if isinstance(future, asyncio.Task)]
    others = sum(not isinstance(future, asyncio.Task) for future in futures)
    rest = [f"{others} future{'s' if others > 1 else ''}"] if others else []
    return _listed([task.get_name() for task in sorted(tasks, key=_by_name)] + rest)


def _future_words(future: Any) -> str:
    """Who would resolve a pending future, as far as it can be told."""
    if isinstance(future, asyncio.Task):
        return f"task {future.get_name()}"
    children = getattr(future, "_children", None)  # of a gather()
    if children is not None:
        pending = [child for child in children if not child.done()]
        return f"gather() of {len(children)}, still pending: {_names(pending)}"
    for callback, _ in getattr(future, "_callbacks", None) or ():
        if getattr(callback, "__qualname__", "") == "shield.<locals>._outer_done_callback":
            inner = callback.__closure__[callback.__code__.co_freevars.index("inner")].cell_contents
            return f"shield() of {_future_words(inner)}"
    return "a future that nobody has resolved"


def _end_of(transport: Any) -> str:
    """The kernel's end of a connection, with its addresses, its state and its queues."""
    face = transport.get_extra_info("socket") if transport is not None else None
    return _socket_words(face) if face is not None else "nothing: it has no connection"


def _socket_words(face: Any) -> str:
    end = getattr(getattr(face, "_sock", face), "_end", None)  # asyncio wraps a transport's socket
    return plain(end) if end is not None else "a closed socket"


def _itself(words: str) -> Callable[[FrameType], str]:
    """A table entry for the methods of an object that has a telling repr."""

    def describe(frame: FrameType) -> str:
        thing = frame.f_locals["self"]
        return f"{words}: {plain(thing).replace(f'<{type(thing).__module__}.', '<', 1)}"

    return describe


def _condition(frame: FrameType) -> str:
    notified = frame.f_locals["fut"].done()
    words = "the lock of a Condition, which somebody holds" if notified else "a Condition that nobody notifies"
    return _itself(words)(frame)


def _received(frame: FrameType) -> str:
    reader, call = frame.f_locals["self"], frame.f_code.co_name
    wanted = frame.f_locals["n"] if call in ("read", "readexactly") else ""
    come = f", and {len(reader._buffer)} bytes have come so far" if reader._buffer else ""
    name = "the next line" if call == "__anext__" else f"{call}({wanted})"
    return f"{name} from {_end_of(reader._transport)}{come}"


def _drained(frame: FrameType) -> str:
    transport = getattr(frame.f_locals["self"], "_transport", None)
    unsent = f"{transport.get_write_buffer_size()} bytes unsent, " if transport is not None else ""
    return f"drain(), because the peer does not read: {unsent}{_end_of(transport)}"


def _slept(frame: FrameType) -> str:
    timer = frame.f_locals.get("h")
    end = f"due at t={timer.when()!r}" if timer is not None else "its next turn"
    return f"sleep({frame.f_locals['delay']!r}), {end}"


def _socket_call(frame: FrameType) -> str:
    return f"{frame.f_code.co_name}() on {_socket_words(frame.f_locals['sock'])}"


def _server(words: str) -> Callable[[FrameType], str]:
    def describe(frame: FrameType) -> str:
        sockets = frame.f_locals["self"].sockets
        return f"{words} {_listed([_socket_words(face) for face in sockets]) if sockets else 'a closed server'}"

    return describe


def _some_of(frame: FrameType) -> str:
    futures = frame.f_locals["fs"]
    return f"wait() for {len(futures)}, still pending: {_names([future for future in futures if not future.done()])}"


# By qualified name of asyncio's own coroutines (and of ours).
_WAITS: dict[str, Callable[[FrameType], str]] = {
    "Barrier._wait": _itself("the others at a Barrier"),
    "Barrier._block": _itself("a Barrier to be free again"),
    "Condition.wait": _condition,
    "Event.wait": _itself("an Event that nobody sets"),
    "Lock.acquire": _itself("a Lock that somebody holds"),
    "Semaphore.acquire": _itself("a Semaphore that nobody releases"),
    "Queue.get": _itself("get() from a queue that nobody puts into"),
    "Queue.put": _itself("put() into a queue that nobody gets from"),
    "Queue.join": _itself("join() of a queue that nobody finishes"),
    **{f"StreamReader.{name}": _received for name in ("__anext__", "read", "readexactly", "readline", "readuntil")},
    "FlowControlMixin._drain_helper": _drained,
    "StreamWriter.wait_closed": lambda frame: f"wait_closed() of {_end_of(frame.f_locals['self']._transport)}",
    "BaseEventLoop._create_connection_transport": lambda frame: "the TLS handshake",
    "BaseEventLoop.start_tls": lambda frame: "the TLS handshake",
    **{f"BaseSelectorEventLoop.{name}": _socket_call
       for name in ("sock_accept", "sock_connect", "sock_recv", "sock_recv_into", "sock_sendall")},
    "Server.serve_forever": _server("serve_forever() of"),
    "Server.wait_closed": _server("the connections to end of"),
    "TaskGroup.__aexit__": lambda frame: f"the tasks of a TaskGroup: {_names(frame.f_locals['self']._tasks)}",
    "_wait": _some_of,
    "as_completed.<locals>._wait_for_one": lambda frame: "the next of as_completed()",
    "_AsCompletedIterator._wait_for_one": lambda frame: "the next of as_completed()",  # 3.13
    "wait_for": lambda frame: f"wait_for() of {_future_words(frame.f_locals['fut'])}",
    "sleep": _slept,
    "SolipsistEventLoop.advance_to": lambda frame: f"advance_to({frame.f_locals['when']!r})",
    "FakeServer.accept": lambda frame: f"accept(): nobody connects to {plain(frame.f_locals['self'])}",
}


def waits_for(task: asyncio.Task[Any], frames: Sequence[FrameType]) -> str:
    """What would wake this task, in words."""
    words = None
    for frame in reversed(frames):
        if not is_plumbing(frame.f_globals.get("__name__", "")):
            break
        # The outermost call is the one that the user made: a Barrier rather than the Condition in it.
        describe = _WAITS.get(frame.f_code.co_qualname)
        words = describe(frame) if describe is not None else words
    if words is not None:
        return words
    waiter = getattr(task, "_fut_waiter", None)
    return _future_words(waiter) if waiter is not None else "its next turn"


# -- the report


def task_lines(tasks: Iterable[asyncio.Task[Any]]) -> list[str]:
    """Some lines for each task, in the order in which they were made as far as names tell."""
    lines = []
    alike: Counter[tuple[str, str, Place | None]] = Counter()
    for task in sorted(tasks, key=_by_name):
        frames = await_chain(task)
        coroutine = getattr(task.get_coro(), "__qualname__", type(task.get_coro()).__name__)
        made = made_at(task)
        place = where(frames).removesuffix(f" in {coroutine}")
        story = (f"({coroutine}) at {place}\n      waits for {waits_for(task, frames)}"
                 + (f"\n      made at {made}" if made else ""))
        kind = coroutine, place, made
        alike[kind] += 1
        if alike[kind] <= ALIKE:
            lines.append(f"  {task.get_name()} {story}")
    for (coroutine, place, _), count in alike.items():
        if count > ALIKE:
            lines.append(f"  and {count - ALIKE} more ({coroutine}) at {place}")
    return lines


def _by_name(task: asyncio.Task[Any]) -> tuple[str, int]:
    prefix, _, number = task.get_name().rpartition("-")
    return (prefix, int(number)) if number.isdecimal() else (task.get_name(), 0)


def report(reason: str, kernel: Kernel, tasks: Iterable[asyncio.Task[Any]], hint: str = "",
           going_on: Iterable[asyncio.Handle] = ()) -> str:
    """The whole text: what happened, at which time, every task, and what happened last.

    `hint` is the cause, or what to do about it; `going_on` are the callbacks that run now.
    """
    now = _listed(list(dict.fromkeys(map(callback_words, going_on))))
    tasks = list(tasks)
    count = f"{len(tasks)} task{'s' if len(tasks) != 1 else ''}" if tasks else "no task is there"
    fate = "" if hint or not tasks else " wait for ever" if len(tasks) > 1 else " waits for ever"
    last = kernel.journal.last_effects(LAST_RECORDS)
    return "\n".join([
        f"{reason} at t={kernel.clock.now!r}: {count}{fate}",
        *([f"  {hint}"] if hint else []),
        *([f"  it runs now: {now}"] if now else []),
        *task_lines(tasks),
        *(["  what happened last:"] if last else []),
        *(f"      {record}" for record in last),
    ])
