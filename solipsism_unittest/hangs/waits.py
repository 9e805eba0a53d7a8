"""What a task waits for, in words: one row for each coroutine of asyncio's that a task can stand in."""

from __future__ import annotations

import asyncio
import signal
from asyncio import all_tasks, current_task
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NamedTuple

from ..introspection.names import known_as, listed, plain
from ..introspection.tasks import Task, by_name, calls, job_of, members_of, shielded, stated, waiter_of
from ..kernel.journal import counted
from ..stdlib.files.played import is_played
from ..stdlib.sockets.pairs import unsent
from .locks import Waiting, verb
from .words import task_names

SHOWN_BYTES = 40  # of what has come so far

def _future_words(future: Any, frames: Sequence[FrameType] = ()) -> str:
    """Who would resolve a pending future, as far as that shows."""
    if isinstance(future, asyncio.Task):
        return f"task {future.get_name()}"
    pending = members_of(future)
    if pending is not None:
        return f"gather() of {len(future._children)}, still pending: {task_names(pending)}"
    inner = shielded(future)
    if inner is not None:
        return f"shield() of {_future_words(inner)}"
    job = job_of(future)
    if job is not None:
        state = "is running" if job.running() else "has ended" if job.done() else "waits for a free thread"
        return f"a job of another thread, which {state}"
    known = known_as(future, frames)
    return "a future that nobody has resolved" + (f" ({known})" if known else "")


def _socket_of(transport: Any) -> Any:
    return transport.get_extra_info("socket") if transport is not None else None


def _end(face: Any) -> Any:
    """The kernel's end behind a socket; None where it is closed, or not ours."""
    face = getattr(face, "_sock", face)  # asyncio wraps a transport's socket
    try:
        return face.end
    except (AttributeError, OSError):
        return None


def _end_of(transport: Any) -> str:
    """The kernel's end of a connection, with its addresses, its state and its queues."""
    face = _socket_of(transport)
    pipe = transport.get_extra_info("pipe") if transport is not None else None
    if face is None and pipe is not None:
        return plain(getattr(pipe, "end", pipe))
    return _socket_words(face) if face is not None else "nothing: it has no connection"


def _socket_words(face: Any) -> str:
    end = _end(face)
    if end is not None:
        return plain(end)
    if is_played(face):
        return f"descriptor {face.fileno():d} of a mock, of which nobody says that it is ready: set_read_ready()"
    return "a closed socket"


class _Call(NamedTuple):
    """A call of asyncio's that a task stands in: its frame, its task, and what all tasks wait for."""

    frame: FrameType
    task: Task
    waiting: Waiting

    @property
    def owner(self) -> Any:
        return self.frame.f_locals["self"]

    def name(self, thing: Any = None) -> str:
        return self.waiting.name(thing or self.owner, self.task)


def _repr(thing: object) -> str:
    return plain(thing).replace(f"<{type(thing).__module__}.", "<", 1)


def _itself(words: str) -> Callable[[_Call], str]:
    """A row for the methods of an object whose repr has the facts; {name} is what it is called."""
    return lambda call: f"{words.format(name=call.name())}: {_repr(call.owner)}"


def _event(call: _Call) -> str:
    event, future = call.owner, call.frame.f_locals.get("fut")
    signals = " or ".join(_signals_that_set(event, call.task.get_loop(), future))
    would = f", though a handler of {signals} would: send it, as self.send_signal() does" if signals else ""
    return f"{call.name()}, which nobody sets{would}: {_repr(event)}"


def _signals_that_set(event: object, loop: Any, future: Any) -> list[str]:
    """The signals on which the loop calls `event.set`, for the program of the task that waits with this future."""
    contexts = [context.copy() for _, context in getattr(future, "_callbacks", None) or ()]  # one may be entered
    return [signal.Signals(number).name for context in contexts[:1]
            for number, handle in context.run(getattr, loop, "_signal_handlers", {}).items()
            if getattr(handle._callback, "__self__", None) is event]


def _held(call: _Call) -> str:
    lock = call.owner
    holders = call.waiting.holders(lock)
    if not holders:
        # A bare acquire() leaves no trace of who made it, and that task may have ended.
        who = "and nobody can tell who holds it: no task is inside its `async with`"
    elif holders == [call.task]:
        who = f"which it {verb(lock)} itself"
    else:
        names = [task.get_name() for task in sorted(holders, key=by_name)]
        doing = verb(lock) if len(names) == 1 else verb(lock).replace("is", "are").replace("holds", "hold")
        who = f"which {listed(names)} {doing}"
    return f"{call.name()}, {who}: {_repr(lock)}"


def _condition(call: _Call) -> str:
    if call.frame.f_locals["fut"].done():
        return f"the lock of {call.name()}, once it was notified: {_lock_words(call)}"
    return f"{call.name()}, which nobody notifies: {_repr(call.owner)}"


def _lock_words(call: _Call) -> str:
    lock = call.owner._lock
    holders = [task.get_name() for task in sorted(call.waiting.holders(lock), key=by_name)]
    return f"{listed(holders)} {'hold' if len(holders) > 1 else 'holds'} it" if holders else _repr(lock)


def _queue(words: str) -> Callable[[_Call], str]:
    def describe(call: _Call) -> str:
        queue = call.owner
        size = f" ({queue.qsize()} of {counted(queue.maxsize, 'item')})" if queue.full() else ""
        return f"{words}{size}: {_repr(queue)}"

    return describe


def _joined(call: _Call) -> str:
    queue = call.owner
    return (f"join() of a queue that nobody finishes ({queue._unfinished_tasks} without task_done(), "
            f"{queue.qsize()} still in it): {_repr(queue)}")


def _peer(call: _Call, transport: Any) -> tuple[Any, Any]:
    """The end of a connection, and the transport at its other end; None for what there is not."""
    end = _end(_socket_of(transport))
    if end is None or end.peer is None:
        return None, None
    return end, call.task.get_loop().inventory.transport_of(end.peer.number)  # type: ignore[attr-defined]


def _on_their_way(end: Any, other: Any) -> int:
    """Bytes that were written at the other end and have not come to this end's program."""
    return (len(end.incoming) if end is not None else 0) + (unsent(other) if other is not None else 0)


def _come(call: _Call) -> str:
    """What a read has, and what it lacks."""
    name, names = call.frame.f_code.co_name, call.frame.f_locals
    # What read(-1) has gathered, under the name that it has in 3.15, and before.
    data = b"".join([*names.get("blocks", ()), names.get("joined", b""), call.owner._buffer])
    if not data:
        return ""
    ends = names.get("separator", b"")
    ends = " or ".join(map(repr, [ends] if isinstance(ends, bytes) else ends))
    lacks = {"readline": "no newline among them", "__anext__": "no newline among them", "read": "and not their end",
             "readuntil": f"no {ends} among them", "readexactly": ""}[name]
    have = "has" if len(data) == 1 else "have"
    shown = repr(data) if len(data) <= SHOWN_BYTES else f"{data[:SHOWN_BYTES]!r}..."
    return f", and {counted(len(data), 'byte')} {have} come so far: {shown}" + (f", {lacks}" if lacks else "")


def _received(call: _Call) -> str:
    reader, name = call.owner, call.frame.f_code.co_name
    wanted = call.frame.f_locals["n"] if name in ("read", "readexactly") else ""
    come = _come(call)
    end, other = _peer(call, reader._transport)
    flying = _on_their_way(end, other)
    flight = f", and {counted(flying, 'byte')} {'is' if flying == 1 else 'are'} in flight" if flying else ""
    name = "the next line" if name == "__anext__" else f"{name}({wanted})"
    left = getattr(other.get_protocol(), "left_open_by", "") if other is not None else ""  # a fake server's says so
    gone = f"; {left} has returned and left this connection open: end it with writer.close()" if left else ""
    return f"{name} from {_end_of(reader._transport)}{come}{flight}{gone}"


def _drained(call: _Call) -> str:
    transport = getattr(call.owner, "_transport", None)
    left = f"{counted(unsent(transport), 'byte')} unsent, " if transport is not None else ""
    return f"drain(), because the peer does not read: {left}{_end_of(transport)}"


def _slept(call: _Call) -> str:
    timer = call.frame.f_locals.get("h")
    end = f"due at t={timer.when()!r}" if timer is not None else "its next turn"
    return f"sleep({call.frame.f_locals['delay']!r}), {end}"


def _socket_call(call: _Call) -> str:
    face = call.frame.f_locals["sock"]
    listener = getattr(_end(face), "asked", None)  # at which it knocks
    full = f": its queue is full, and nobody accepts: {plain(listener)}" if listener is not None else ""
    return f"{call.frame.f_code.co_name}() on {_socket_words(face)}{full}{_displaced(call, _end(face))}"


def _displaced(call: _Call, end: Any) -> str:
    """That another call on the same descriptor took this one's place, and whose call it is; "" where none did.

    asyncio has one reader and one writer for a descriptor: the earlier of two calls is never finished.
    """
    future, name = call.frame.f_locals.get("fut"), call.frame.f_code.co_name
    keys = getattr(call.task.get_loop()._selector, "keys", None)  # type: ignore[attr-defined]
    if end is None or keys is None or future is None:
        return ""
    key = keys.get(end.number)
    handle = key.data[name in ("sock_connect", "sock_sendall", "sock_sendto")] if key is not None else None
    first = (handle._args or (None,))[0] if handle is not None else None
    if first is future:
        return ""
    other = next((task for task in call.waiting.tasks if first is not None and waiter_of(task) is first), None)
    who = (f"of {other.get_name()}, which came later, " if other is not None else "that came later, and has ended, "
           if handle is None else f"that came later ({plain(handle._callback)}) ")
    return (f": a call {who}took its place, for asyncio has one reader and one writer for a descriptor: let one task "
            "make these calls, one after the other")


def _server(words: str) -> Callable[[_Call], str]:
    def describe(call: _Call) -> str:
        sockets = call.owner.sockets
        return f"{words} {listed([_socket_words(face) for face in sockets]) if sockets else 'a closed server'}"

    return describe


def _some_of(call: _Call) -> str:
    futures = call.frame.f_locals["fs"]
    pending = [future for future in futures if not future.done()]
    return f"wait() for {len(futures)}, still pending: {task_names(pending)}"


def _in_a_thread(call: _Call) -> str:
    function = call.frame.f_locals["func"]
    return f"to_thread() of {getattr(function, '__qualname__', None) or plain(function)}"


def _transport_begins(call: _Call) -> str:
    return "the TLS handshake" if call.frame.f_locals["ssl"] else "connection_made(), in the loop's next turn"


# By qualified name of asyncio's own coroutines; what waits in ours says so itself, with `stating()`.
_WAITS: dict[str, Callable[[_Call], str]] = {
    "Barrier._wait": _itself("the others at {name}"),
    "Barrier._block": _itself("{name} to be free again"),
    "Condition.wait": _condition,
    "Event.wait": _event,
    "Lock.acquire": _held,
    "Semaphore.acquire": _held,
    "Queue.get": _queue("get() from a queue that nobody puts into"),
    "Queue.put": _queue("put() into a queue that nobody gets from"),
    "Queue.join": _joined,
    **{f"StreamReader.{name}": _received for name in ("__anext__", "read", "readexactly", "readline", "readuntil")},
    "FlowControlMixin._drain_helper": _drained,
    "StreamWriter.wait_closed": lambda call: f"wait_closed() of {_end_of(call.owner._transport)}",
    "BaseEventLoop._create_connection_transport": _transport_begins,
    "BaseEventLoop.start_tls": lambda call: "the TLS handshake",
    "BaseSubprocessTransport._wait": lambda call: f"the end of {plain(call.owner.get_extra_info('subprocess'))}",
    **{f"BaseSelectorEventLoop.{name}": _socket_call
       for name in ("sock_accept", "sock_connect", "sock_recv", "sock_recv_into", "sock_sendall",
                    "sock_recvfrom", "sock_recvfrom_into", "sock_sendto")},
    "Server.serve_forever": _server("serve_forever() of"),
    "Server.wait_closed": _server("the connections to end of"),
    "TaskGroup.__aexit__": lambda call: f"the tasks of a TaskGroup: {task_names(call.owner._tasks)}",
    "_wait": _some_of,
    "as_completed.<locals>._wait_for_one": lambda call: "the next of as_completed()",
    "_AsCompletedIterator._wait_for_one": lambda call: "the next of as_completed()",  # 3.13
    "wait_for": lambda call: f"wait_for() of {_future_words(call.frame.f_locals['fut'])}",
    "sleep": _slept,
    "to_thread": _in_a_thread,
}


def waits_for(task: Task, frames: Sequence[FrameType], waiting: Waiting | None = None) -> str:
    """What would wake this task, in words. Where many tasks are described, make one `Waiting` of all for them."""
    words = None
    if waiting is None:
        waiting = Waiting(sorted({task, *all_tasks(task.get_loop())}, key=by_name))
    for frame in calls(frames):
        # The outermost call is the one that the user made: a Barrier rather than the Condition in it.
        describe = _WAITS.get(frame.f_code.co_qualname)
        words = stated(frame) or (describe(_Call(frame, task, waiting)) if describe is not None else words)
    if words is None:
        waiter = waiter_of(task)
        running = current_task(task.get_loop()) is task
        words = _future_words(waiter, frames) if waiter is not None else "nothing: it runs" if running else \
            "its next turn"
    limit = waiting.deadline_of(task)
    return words if limit is None else f"{words}; a timeout ends it at t={limit!r}"
