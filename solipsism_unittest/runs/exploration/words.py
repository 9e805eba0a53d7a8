"""The choices of an exploration in words: when, what happened, and at which line of the program.

A stranger knows his program's lines, and not those of asyncio: a read is that of the task which waits for it, and a
connection is named by the line that made it.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio import _get_running_loop, all_tasks
from collections.abc import Callable, Iterable
from typing import Any

from ...case.assertions.elapsed import pending_timers, purpose
from ...hangs.words import where
from ...introspection.handles import callback_words, called_words, calls_plumbing, module_of_callback, owner_of, task_of
from ...introspection.modules import is_plumbing, module_of
from ...introspection.names import listed
from ...introspection.places import made_at, user_place
from ...introspection.tasks import await_chain, coroutine_name, is_new, waiter_of
from ...kernel.choices import kinds
from ...kernel.descriptors.transitions import LISTENING
from ...kernel.journal import counted
from ...loop.event_loop import SolipsistEventLoop
from ...loop.timers import Timer

__unittest = True
__tracebackhide__ = True

SHOWN = 2  # deadlines that passed in one stall


def seconds(number: float) -> str:
    """Seconds for people: three digits."""
    return f"{number:.3g} s"


def sentence(kind: int, value: int, longer: float, facts: tuple[Any, ...]) -> str:
    """One choice that was not the plain one, while it is made."""
    loop = _get_running_loop()
    known = loop if isinstance(loop, SolipsistEventLoop) else None
    when = f"at t={known.time():.6g} " if known is not None else ""
    return when + _SENTENCES[kind](known, value, longer, *facts)


# -- stalls


def _stall(loop: SolipsistEventLoop, value: int, longer: float, handle: Any) -> str:
    return f"the machine stalled {seconds(longer)} before {_going_on(loop, handle)}{_passed(loop, longer)}"


def _wake(loop: SolipsistEventLoop, value: int, longer: float) -> str:
    timer = loop.next_timer()
    why = f" for {purpose(timer)}" if timer is not None and timer.when() <= loop.time() else ""
    return f"the machine woke {seconds(longer)} too late{why}{_passed(loop, longer)}"


def _passed(loop: SolipsistEventLoop, longer: float) -> str:
    """The deadlines that pass in a stall which begins now."""
    now = loop.time()
    passed = [str(purpose(timer)) for timer in pending_timers(loop) if now < timer.when() <= now + longer]
    if not passed:
        return ""
    more = f" and {len(passed) - SHOWN} more" if len(passed) > SHOWN else ""
    return f", in which came due: {listed(passed[:SHOWN])}{more}"


def _going_on(loop: SolipsistEventLoop, handle: Any) -> str:
    """What a handle is about to do, by a line of the program."""
    task = task_of(handle)
    if task is not None and is_new(task):
        frame: Any = task.get_coro().cr_frame  # type: ignore[union-attr]
        taken = _socket_among(loop, frame.f_locals.values()) if is_plumbing(module_of(frame)) else None
        if taken is not None:
            return f"{_named(loop, taken)} was taken up"
        place = made_at(task)
        return f"the first step of {coroutine_name(task)}{f', made a task at {place}' if place else ''}"
    if task is not None:
        return f"{_standing(task)} went on"
    if isinstance(handle, Timer):
        return str(purpose(handle)) + " was over"
    owner = owner_of(handle)
    end = _end_of(loop, owner)
    if end is not None:
        return f"{_waiting(loop, end) or _named(loop, end)} heard of its socket"
    end = _socket_among(loop, handle._args)
    if end is not None:
        return f"the server made at {end.place} heard of a connection" if end.state is LISTENING else \
            f"{_waiting(loop, end) or _named(loop, end)} heard of its socket"
    args = {id(each) for each in handle._args}
    waiting = next((each for each in all_tasks(loop) if id(waiter_of(each)) in args - {id(None)}), None)
    if waiting is not None:
        return f"{_standing(waiting)} heard of what it waits for"
    return f"the callback {called_words(handle)}" if not calls_plumbing(handle) else \
        f"a callback of asyncio's ({callback_words(handle._callback)})"


def _socket_among(loop: SolipsistEventLoop, things: Iterable[object]) -> Any:
    """The kernel's end of the first socket among some things, or None."""
    numbers = (thing.fileno() for thing in things if isinstance(thing, socket.socket))
    return next((loop.kernel.files[number] for number in numbers if number in loop.kernel.files), None)


def _standing(task: asyncio.Task[Any]) -> str:
    """Where a task stands."""
    return where(await_chain(task))


# -- sockets


def _end_of(loop: SolipsistEventLoop, owner: object) -> Any:
    """The kernel's end behind a transport, or None."""
    if not isinstance(owner, asyncio.BaseTransport):
        return None
    face = owner.get_extra_info("socket")
    return loop.kernel.files.get(face.fileno()) if face is not None else None


def _waiting(loop: SolipsistEventLoop, end: Any) -> str:
    """The line that waits for what comes at an end; "" where nobody does."""
    transport = loop.inventory.transport_of(end.number)
    protocol = transport.get_protocol() if transport is not None else None
    waiter = getattr(getattr(protocol, "_stream_reader", None), "_waiter", None)
    tasks = [task for task in all_tasks(loop) if waiter is not None and waiter_of(task) is waiter]
    if tasks:
        return _standing(tasks[0])
    for task in all_tasks(loop):
        waiter = waiter_of(task)
        key = loop.selector.keys.get(end.number)
        handles = [each for each in (key.data if key is not None else ()) if each is not None]
        if waiter is not None and any(waiter in each._args for each in handles if not each.cancelled()):
            return _standing(task)
    received = getattr(protocol, "data_received", None)
    if received is None or is_plumbing(module_of_callback(received)):
        return ""
    return callback_words(received)


def _named(loop: SolipsistEventLoop | None, end: Any) -> str:
    """A connection by who has made it."""
    made = f" at {end.place}" if end.place else ""
    if end.label.endswith("(accepted)"):
        return f"a connection to the server made{made}"
    remote = end.remote[0] if end.remote and len(end.remote) == 2 else ""
    host = f" to {loop.kernel.network.wire.host(remote)}" if remote and loop is not None else ""
    return f"the connection{host} made{made}"


def _here(loop: SolipsistEventLoop | None, end: Any) -> str:
    """Whose read or write it is: the line that runs now, or that waits."""
    place = user_place(2)
    if place is not None:
        return str(place)
    return (_waiting(loop, end) if loop is not None else "") or _named(loop, end)


def _packet(loop: SolipsistEventLoop | None, value: int, longer: float, what: str, size: int, sender: Any) -> str:
    kind = what.partition(" ")[0]
    whose = _named(loop, sender) if sender is not None else ""
    subject = {
        "connect": f"the request for {whose}",
        "answer": f"the answer to the request for {whose}",
        "fin": f"the end of what was sent over {whose}",
        "rst": f"the reset of {whose}",
        "datagram": f"a {what}",
    }.get(kind) or f"{counted(size, 'byte')} sent over {whose}"
    return f"{subject} took {seconds(longer)} longer"


def _connection(loop: SolipsistEventLoop | None, value: int, longer: float, end: Any) -> str:
    return f"{_named(loop, end)} became slow: each of its packets took {seconds(longer)} longer"


def _look_up(loop: SolipsistEventLoop, value: int, longer: float, what: str) -> str:
    return f"{what} took {seconds(longer)} longer"


def _job(loop: SolipsistEventLoop, value: int, longer: float, reason: str, place: object) -> str:
    return f"the result of {reason}{f' made at {place}' if place else ''} took {seconds(longer)} longer"


def _order(loop: SolipsistEventLoop, value: int, longer: float, *files: Any) -> str:
    return f"of {len(files)} sockets that were ready the one of {_whose(loop, files[value])} was reported first"


def _later(loop: SolipsistEventLoop, value: int, longer: float, *files: Any) -> str:
    return f"the socket of {_whose(loop, files[value - 1])} was reported a turn later"


def _whose(loop: SolipsistEventLoop, file: Any) -> str:
    end = loop.kernel.files.get(file.number, file)
    return _waiting(loop, end) or (_named(loop, end) if hasattr(end, "remote") else f"what was made at {end.place}")


def _recv(loop: SolipsistEventLoop | None, value: int, longer: float, end: Any, size: int) -> str:
    return f"the read at {_here(loop, end)} got {value} of {size} bytes"


def _send(loop: SolipsistEventLoop | None, value: int, longer: float, end: Any, size: int) -> str:
    return f"the write at {_here(loop, end)} took {value} of {size} bytes"


def _sets(loop: SolipsistEventLoop, value: int, longer: float) -> str:
    place = user_place(2)
    return f"a set of tasks{f' at {place}' if place is not None else ''} was in another order"


def _exit(loop: SolipsistEventLoop, value: int, longer: float, program: str, when: str) -> str:
    return f"asyncio heard of the end of {program} {when}"


_SENTENCES: dict[int, Callable[..., str]] = {
    kinds.STALL: _stall, kinds.WAKE: _wake, kinds.PACKET: _packet, kinds.CONNECTION: _connection,
    kinds.LOOKUP: _look_up, kinds.JOB: _job, kinds.ORDER: _order, kinds.LATER: _later, kinds.RECV: _recv,
    kinds.SEND: _send, kinds.SETS: _sets, kinds.EXIT: _exit,
}
