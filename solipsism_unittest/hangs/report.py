"""What a task waits for, in words.

Owns the text of a hang: every task with its name, the line where it waits, what for, and where it was made. It
describes what it is handed (tasks, futures, kernel objects) and changes nothing. The words are the same on every Python
and in every run: no memory addresses, nothing that only some version's repr shows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from types import CodeType, FrameType, TracebackType
from typing import Any, NamedTuple

from ..introspection.places import Place, function_words, is_plumbing, line_words
from ..kernel import Kernel
from ..stdlib.threads.stalls import Clue
from .locks import Scene, await_chain, by_name, job_of, known_as, shielded, verb

LAST_RECORDS = 3
NAMES = 5  # so many things of a list are named
FEW = 12  # so many tasks are told one by one in any case
ALIKE = 3  # so many tasks that wait alike are told one by one, as long as there is room
ROOM = 30  # so many tasks are told one by one in all, and so many kinds of others are counted
WAY = 6  # so many lines of an await chain are told
LONGEST = 200  # characters of a repr


def made_at(thing: Any) -> Place | None:
    """Where a task was made, or None where nobody knows."""
    return getattr(thing, "_made_at", None)


def task_words(task: asyncio.Task[Any]) -> str:
    """A task by its name and its coroutine's."""
    return f"{task.get_name()} ({coroutine_name(task)})"


def future_words(future: asyncio.Future[Any]) -> str:
    """A task, an executor job, a gather() or any other future."""
    if isinstance(future, asyncio.Task):
        return task_words(future)
    return getattr(future, "job_name", None) or ("gather()" if hasattr(future, "_children") else "a future")


def coroutine_name(task: asyncio.Task[Any]) -> str:
    """The name of a task's coroutine."""
    kept = getattr(task, "coroutine_name", None)
    if kept is not None:
        return str(kept)
    coroutine = task.get_coro()
    return str(getattr(coroutine, "__qualname__", type(coroutine).__name__))


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
    return function_words(code)


def turn_words(seconds: float, runs: Any, now: float) -> str:
    """Who may have burned so many real seconds in a turn of the loop: of one that ran alone it is certain.

    `runs` is what the turn ran: one handle alone, a timer that need not be due; a list of tasks' names, methods and
    codes; or None.
    """
    if isinstance(runs, list):
        who = "one of " + _listed(list(dict.fromkeys(map(_clue_words, runs))))
    elif runs is not None and not runs.cancelled() and getattr(runs, "_when", now) <= now:
        who = _step_words(runs)
    else:
        who = ""
    return f"{who or 'something that the loop ran'} took {seconds:.2f} real seconds"


def _clue_words(clue: Clue) -> str:
    if isinstance(clue, str):
        return clue
    return function_words(clue if isinstance(clue, CodeType) else clue.__code__)


def _step_words(handle: Any) -> str:
    task = getattr(handle._callback, "__self__", None)
    if not isinstance(task, asyncio.Task):
        return callback_words(handle)
    frames = await_chain(task)
    coroutine = coroutine_name(task)
    state = f"is at {where(frames)} now" if frames else "has ended"
    return f"task {task.get_name()} ({coroutine}), which {state},"


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
            return line_words(frame.f_code, frame.f_lineno)
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
    return _listed([task.get_name() for task in sorted(tasks, key=by_name)] + rest)


def _future_words(future: Any, frames: Sequence[FrameType] = ()) -> str:
    """Who would resolve a pending future, as far as it can be told."""
    if isinstance(future, asyncio.Task):
        return f"task {future.get_name()}"
    children = getattr(future, "_children", None)  # of a gather()
    if children is not None:
        pending = [child for child in children if not child.done()]
        return f"gather() of {len(children)}, still pending: {_names(pending)}"
    inner = shielded(future)
    if inner is not None:
        return f"shield() of {_future_words(inner)}"
    job = job_of(future)
    if job is not None:
        state = "is running" if job.running() else "has ended" if job.done() else "waits for a free thread"
        return f"a job of another thread, which {state}"
    known = known_as(future, frames)
    return "a future that nobody has resolved" + (f" ({known})" if known else "")


def _end(transport: Any) -> Any:
    """The kernel's end of a connection, or None."""
    face = transport.get_extra_info("socket") if transport is not None else None
    return getattr(getattr(face, "_sock", face), "_end", None)  # asyncio wraps a transport's socket


def _end_of(transport: Any) -> str:
    """The kernel's end of a connection, with its addresses, its state and its queues."""
    face = transport.get_extra_info("socket") if transport is not None else None
    return _socket_words(face) if face is not None else "nothing: it has no connection"


def _socket_words(face: Any) -> str:
    end = getattr(getattr(face, "_sock", face), "_end", None)
    return plain(end) if end is not None else "a closed socket"


class _Call(NamedTuple):
    """A call of asyncio's (or ours) that a task stands in: the frame, and what is known around it."""

    frame: FrameType
    task: asyncio.Task[Any]
    scene: Scene

    @property
    def owner(self) -> Any:
        return self.frame.f_locals["self"]

    def name(self, thing: Any = None) -> str:
        return self.scene.name(thing or self.owner, self.task)


def _repr(thing: object) -> str:
    return plain(thing).replace(f"<{type(thing).__module__}.", "<", 1)


def _itself(words: str) -> Callable[[_Call], str]:
    """A table entry for the methods of an object that has a telling repr; {name} is what it is called."""
    return lambda call: f"{words.format(name=call.name())}: {_repr(call.owner)}"


def _held(call: _Call) -> str:
    lock = call.owner
    holders = call.scene.holders(lock)
    if not holders:
        # A bare acquire(), in this or another task, one that has ended too: it left no trace.
        who = "and nobody can tell who holds it: no task is inside its `async with`"
    elif holders == [call.task]:
        who = f"which it {verb(lock)} itself"
    else:
        names = [task.get_name() for task in sorted(holders, key=by_name)]
        doing = verb(lock) if len(names) == 1 else verb(lock).replace("is", "are").replace("holds", "hold")
        who = f"which {_listed(names)} {doing}"
    return f"{call.name()}, {who}: {_repr(lock)}"


def _condition(call: _Call) -> str:
    if call.frame.f_locals["fut"].done():
        return f"the lock of {call.name()}, once it was notified: {_lock_words(call)}"
    return f"{call.name()}, which nobody notifies: {_repr(call.owner)}"


def _lock_words(call: _Call) -> str:
    lock = call.owner._lock
    holders = [task.get_name() for task in sorted(call.scene.holders(lock), key=by_name)]
    return f"{_listed(holders)} {'hold' if len(holders) > 1 else 'holds'} it" if holders else _repr(lock)


def _queue(words: str) -> Callable[[_Call], str]:
    def describe(call: _Call) -> str:
        queue = call.owner
        size = f" ({queue.qsize()} of {queue.maxsize} items)" if queue.full() else ""
        return f"{words}{size}: {_repr(queue)}"

    return describe


def _joined(call: _Call) -> str:
    queue = call.owner
    return (f"join() of a queue that nobody finishes ({queue._unfinished_tasks} without task_done(), "
            f"{queue.qsize()} still in it): {_repr(queue)}")


def _on_their_way(call: _Call, transport: Any) -> int:
    """Bytes that were written at the other end and have not come to this end's program."""
    end = _end(transport)
    if end is None or end.peer is None:
        return 0
    other = call.task.get_loop()._transports.get(end.peer.number)  # type: ignore[attr-defined]
    return len(end.incoming) + (other.get_write_buffer_size() if other is not None else 0)


def _received(call: _Call) -> str:
    reader, name = call.owner, call.frame.f_code.co_name
    wanted = call.frame.f_locals["n"] if name in ("read", "readexactly") else ""
    come = f", and {len(reader._buffer)} bytes have come so far" if reader._buffer else ""
    flying = _on_their_way(call, reader._transport)
    flight = f", and {flying} bytes are in flight" if flying else ""
    name = "the next line" if name == "__anext__" else f"{name}({wanted})"
    return f"{name} from {_end_of(reader._transport)}{come}{flight}"


def _drained(call: _Call) -> str:
    transport = getattr(call.owner, "_transport", None)
    unsent = f"{transport.get_write_buffer_size()} bytes unsent, " if transport is not None else ""
    return f"drain(), because the peer does not read: {unsent}{_end_of(transport)}"


def _slept(call: _Call) -> str:
    timer = call.frame.f_locals.get("h")
    end = f"due at t={timer.when()!r}" if timer is not None else "its next turn"
    return f"sleep({call.frame.f_locals['delay']!r}), {end}"


def _socket_call(call: _Call) -> str:
    face = call.frame.f_locals["sock"]
    listener = getattr(getattr(face, "_end", None), "asked", None)  # at which it knocks
    full = f": its queue is full, and nobody accepts: {plain(listener)}" if listener is not None else ""
    return f"{call.frame.f_code.co_name}() on {_socket_words(face)}{full}"


def _call_of_a_thread(call: _Call) -> str:
    files = call.frame.f_locals["kernel"].files
    ends = dict.fromkeys(number for number, _ in call.frame.f_locals["interests"])
    shown = [plain(files[number]) for number in ends if number in files]
    return f"a blocking call of a thread, on {_listed(shown) or 'a closed socket'}"


def _server(words: str) -> Callable[[_Call], str]:
    def describe(call: _Call) -> str:
        sockets = call.owner.sockets
        return f"{words} {_listed([_socket_words(face) for face in sockets]) if sockets else 'a closed server'}"

    return describe


def _some_of(call: _Call) -> str:
    futures = call.frame.f_locals["fs"]
    return f"wait() for {len(futures)}, still pending: {_names([future for future in futures if not future.done()])}"


def _in_a_thread(call: _Call) -> str:
    function = call.frame.f_locals["func"]
    return f"to_thread() of {getattr(function, '__qualname__', None) or plain(function)}"


# By qualified name of asyncio's own coroutines (and of ours).
_WAITS: dict[str, Callable[[_Call], str]] = {
    "Barrier._wait": _itself("the others at {name}"),
    "Barrier._block": _itself("{name} to be free again"),
    "Condition.wait": _condition,
    "Event.wait": _itself("{name}, which nobody sets"),
    "Lock.acquire": _held,
    "Semaphore.acquire": _held,
    "Queue.get": _queue("get() from a queue that nobody puts into"),
    "Queue.put": _queue("put() into a queue that nobody gets from"),
    "Queue.join": _joined,
    **{f"StreamReader.{name}": _received for name in ("__anext__", "read", "readexactly", "readline", "readuntil")},
    "FlowControlMixin._drain_helper": _drained,
    "StreamWriter.wait_closed": lambda call: f"wait_closed() of {_end_of(call.owner._transport)}",
    "BaseEventLoop._create_connection_transport": lambda call: "the TLS handshake",
    "BaseEventLoop.start_tls": lambda call: "the TLS handshake",
    **{f"BaseSelectorEventLoop.{name}": _socket_call
       for name in ("sock_accept", "sock_connect", "sock_recv", "sock_recv_into", "sock_sendall",
                    "sock_recvfrom", "sock_recvfrom_into", "sock_sendto")},
    "Server.serve_forever": _server("serve_forever() of"),
    "Server.wait_closed": _server("the connections to end of"),
    "TaskGroup.__aexit__": lambda call: f"the tasks of a TaskGroup: {_names(call.owner._tasks)}",
    "_wait": _some_of,
    "as_completed.<locals>._wait_for_one": lambda call: "the next of as_completed()",
    "_AsCompletedIterator._wait_for_one": lambda call: "the next of as_completed()",  # 3.13
    "wait_for": lambda call: f"wait_for() of {_future_words(call.frame.f_locals['fut'])}",
    "sleep": _slept,
    "to_thread": _in_a_thread,
    "SolipsistEventLoop.getaddrinfo": lambda call: f"the look-up of {plain(call.frame.f_locals['host'])}",
    "SolipsistEventLoop.advance_to": lambda call: f"advance_to({call.frame.f_locals['when']!r})",
    "_carry_out": _call_of_a_thread,
    "FakeDatagramServer.receive": lambda call: f"receive(): nobody sends to {plain(call.owner)}",
    "FakeServer.accept": lambda call: f"accept(): nobody connects to {plain(call.owner)}",
}


def waits_for(task: asyncio.Task[Any], frames: Sequence[FrameType], scene: Scene | None = None) -> str:
    """What would wake this task, in words. A scene of all tasks, made once, is cheaper where many are described."""
    words = None
    if scene is None:
        scene = Scene(sorted({task, *asyncio.all_tasks(task.get_loop())}, key=by_name))
    for frame in reversed(frames):
        if not is_plumbing(frame.f_globals.get("__name__", "")):
            break
        # The outermost call is the one that the user made: a Barrier rather than the Condition in it.
        describe = _WAITS.get(frame.f_code.co_qualname)
        words = describe(_Call(frame, task, scene)) if describe is not None else words
    if words is None:
        waiter = getattr(task, "_fut_waiter", None)
        running = asyncio.current_task(task.get_loop()) is task
        words = _future_words(waiter, frames) if waiter is not None else "nothing: it runs" if running else \
            "its next turn"
    limit = scene.deadlines.get(task)
    return words if limit is None else f"{words}; a timeout ends it at t={limit!r}"


def way(frames: Sequence[FrameType]) -> str:
    """The user's lines of an await chain above the innermost one, outermost first; "" for none."""
    lines = [function_words(frame.f_code, frame.f_lineno)
             for frame in frames if not is_plumbing(frame.f_globals.get("__name__", ""))][:-1]
    if len(lines) > WAY:
        lines[WAY // 2:-(WAY // 2)] = [f"{len(lines) - WAY} more"]
    return ", ".join(lines)


# -- the report


def task_lines(tasks: Iterable[asyncio.Task[Any]], scene: Scene | None = None) -> list[str]:
    """Some lines for each task, in the order in which they were made as far as names tell.

    Of many that wait alike some are told and the others are counted, so that a thousand fit on a few screens.
    """
    scene = scene or Scene(sorted(tasks, key=by_name))
    kinds: dict[tuple[str, str, Place | None], list[asyncio.Task[Any]]] = {}
    kind_of = {}
    for task in sorted(tasks, key=by_name):
        coroutine = coroutine_name(task)
        place = where(scene.frames[task]).removesuffix(f" in {coroutine}")
        kind_of[task] = kind = coroutine, place, made_at(task)
        kinds.setdefault(kind, []).append(task)
    alike = FEW if len(kind_of) <= FEW else min(ALIKE, max(1, ROOM // max(1, len(kinds))))
    shown = dict(list(kinds.items())[:ROOM])
    lines = []
    for task in sorted(tasks, key=by_name):
        kind = kind_of[task]
        if kind not in shown or task not in shown[kind][:alike]:
            continue
        coroutine, place, made = kind
        frames = scene.frames[task]
        by_way_of = way(frames)
        lines.append(f"  {task.get_name()} ({coroutine}) at {place}"
                     + (f"\n      by way of {by_way_of}" if by_way_of else "")
                     + f"\n      waits for {waits_for(task, frames, scene)}"
                     + (f"\n      made at {made}" if made else ""))
    for (coroutine, place, _), members in shown.items():
        if len(members) > alike:
            names = _listed([task.get_name() for task in members[alike:]])
            lines.append(f"  and {len(members) - alike} more ({coroutine}) at {place}: {names}")
    others = list(kinds.values())[ROOM:]
    if others:
        lines.append(f"  and {sum(map(len, others))} more, of {len(others)} other kinds")
    return lines


def cycle_lines(scene: Scene) -> list[str]:
    """A line for each cycle of tasks that wait for each other."""
    cycles = scene.cycles()
    return ([f"  a cycle: {scene.cycle_words(cycle)}" for cycle in cycles[:NAMES]]
            + ([f"  and {len(cycles) - NAMES} more cycles"] if len(cycles) > NAMES else []))


def ran_words(counts: Iterable[tuple[asyncio.Handle, int]], turns: int) -> str:
    """How often each of some tasks and callbacks ran."""
    told = _listed([f"{callback_words(handle)} {count} times" for handle, count in counts])
    return f"{told} (in {turns} turns)"


def report(reason: str, kernel: Kernel, tasks: Iterable[asyncio.Task[Any]], hint: str = "",
           going_on: Iterable[asyncio.Handle] = (), ran: str = "") -> str:
    """The whole text: what happened, at which time, every task, and what happened last.

    `hint` is the cause, or what to do about it; `going_on` are the callbacks that run now, and `ran` says so in words
    where somebody has counted them. Cycles come first.
    """
    now = ran or _listed(list(dict.fromkeys(map(callback_words, going_on))))
    tasks = sorted(tasks, key=by_name)
    scene = Scene(tasks)
    count = f"{len(tasks)} task{'s' if len(tasks) != 1 else ''}" if tasks else "no task is there"
    fate = "" if hint or not tasks else " wait for ever" if len(tasks) > 1 else " waits for ever"
    last = kernel.journal.last_effects(LAST_RECORDS)
    held = list(map(repr, list(kernel.clock.holds)))  # a copy: other threads release them
    holds = _listed(held)
    if any(hold.startswith("<Hold: executor job") for hold in held):
        holds += "\n    a job that waits for what comes later in time is submitted inside `with self.background():`"
    return "\n".join([
        f"{reason} at t={kernel.clock.now!r}: {count}{fate}",
        *([f"  {hint}"] if hint else []),
        *cycle_lines(scene),
        *([f"  it runs now: {now}"] if now else []),
        *([f"  the clock is held by: {holds}"] if holds else []),
        *task_lines(tasks, scene),
        *(["  what happened last:"] if last else []),
        *(f"      {record}" for record in last),
    ])
