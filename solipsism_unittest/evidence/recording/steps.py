"""The steps of tasks: when each began, waited and for what, went on, was cancelled, and ended.

Owns the words for a wait: here it is an ordinary thing, where the report of a hang has to say why it never ends. A task
is looked at when it suspends, which is once a wait; nothing else is asked where it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import FrameType
from typing import Any

from ...hangs.words import future_words
from ...introspection.handles import callback_words, code_of, task_of
from ...introspection.modules import is_of_program, is_ours, module_of, program_frames
from ...introspection.names import plain
from ...introspection.places import Place, made_at, user_place
from ...introspection.tasks import Task, await_chain, calls, coroutine_name, frame_of, is_new, stated, waiter_of
from ...loop.event_loop import SolipsistEventLoop
from ...loop.inventory import Task as OurTask
from .tape import Tape, name_of, tape_of

SHUTTING_DOWN = SolipsistEventLoop.shutdown_default_executor.__qualname__  # what a runner runs at its end


class RecordedTask(OurTask):
    """A task that says who cancels it."""

    __slots__ = ()

    def cancel(self, msg: Any = None) -> bool:
        """As asyncio's."""
        tape = tape_of(self.get_loop().kernel.journal)  # type: ignore[attr-defined]
        if tape is not None and not self.done():
            tape.add("cancel", 0, name_of(self), place=user_place(2))
        return super().cancel(msg)


class Steps:
    """Who looks on between the callbacks of a loop, and writes down the steps of its tasks."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def before(self, handle: Any) -> None:
        """Note that a task begins or goes on, or that a callback of the program's runs."""
        task = task_of(handle)
        if task is None:
            code = code_of(handle._callback)
            if code is not None and is_of_program(code.co_filename):
                self._tape.add("callback", 0, callback_words(handle._callback), place=Place(code, 0), task="")
        elif is_new(task):
            if type(task) is OurTask:
                task.__class__ = RecordedTask
            frame, name = frame_of(task.get_coro()), coroutine_name(task)
            if frame is not None and is_ours(module_of(frame)) and name != SHUTTING_DOWN:
                name = ""  # it says nothing to a program
            self._tape.add("start", 0, name, place=made_at(task), task=name_of(task))
        else:
            self._tape.add("wake", 0, place=_line(await_chain(task)), task=name_of(task))

    def after(self, handle: Any) -> None:
        """Note what became of a task in its step."""
        task = None if handle is None or handle.cancelled() else task_of(handle)
        if task is None:
            return
        name = name_of(task)
        if not task.done():
            frames = await_chain(task)
            self._tape.add("wait", _end_of(self._tape, frames), words_of_wait(task, frames), place=_line(frames),
                           task=name)
        elif task.cancelled():
            self._tape.add("ended", 0, "is cancelled", task=name)
        else:
            error = _error_of(task)
            self._tape.add("ended", 0, "ends" if error is None else f"ends with {plain(error)}", task=name)


def _error_of(task: Task) -> BaseException | None:
    """The error that a task ended with, which stays unread."""
    return task._exception


def _line(frames: Sequence[FrameType]) -> Place | None:
    program = program_frames(frames)
    return Place.of(program[-1]) if program else None


# What a task waits for, by the asyncio call that it stands in; others are named as they are.
_WORDS = {
    "StreamReader.read": "data (read)", "StreamReader.readline": "a line (readline)",
    "StreamReader.readexactly": "data (readexactly)", "StreamReader.readuntil": "data (readuntil)",
    "FlowControlMixin._drain_helper": "its bytes to go (drain)", "StreamWriter.wait_closed": "the end (wait_closed)",
    "Queue.get": "an item (Queue.get)", "Queue.put": "room (Queue.put)", "Queue.join": "a queue to be done (join)",
    "Lock.acquire": "a lock", "Semaphore.acquire": "a semaphore", "Event.wait": "an event",
    "Condition.wait": "a condition", "Barrier._wait": "the others at a barrier",
    "TaskGroup.__aexit__": "the tasks of its group", "wait_for": "wait_for()", "_wait": "wait()",
    "to_thread": "a thread (to_thread)", "Server.serve_forever": "clients (serve_forever)",
    "BaseSelectorEventLoop.sock_connect": "an answer to its connect",
    "BaseSelectorEventLoop.sock_accept": "a client (sock_accept)",
    "BaseEventLoop._create_connection_transport": "the TLS handshake", "BaseEventLoop.start_tls": "the TLS handshake",
}


def words_of_wait(task: Task, frames: Sequence[FrameType]) -> str:
    """What a suspended task waits for."""
    words = ""
    for frame in calls(frames):  # the outermost that has a word is the one that the program called
        name = frame.f_code.co_qualname
        if name == "sleep" and frame.f_locals.get("delay"):
            delay = frame.f_locals["delay"]
            words = f"sleeps {delay:g} s" if isinstance(delay, (int, float)) else "sleeps"
        elif name in _WORDS:
            words = f"waits for {_WORDS[name]}"
        else:
            said = stated(frame)
            words = f"waits for {said}" if said else words
    if words:
        return words
    waiter = waiter_of(task)
    return "lets others run" if waiter is None else f"waits for {future_words(waiter)}"


def _end_of(tape: Tape, frames: Sequence[FrameType]) -> int:
    """The number of the end that a task waits at; 0 for none."""
    for frame in calls(frames):
        known = frame.f_locals
        owner, face = known.get("self"), known.get("sock")
        if type(owner) is asyncio.StreamReader:
            transport: Any = owner._transport  # type: ignore[attr-defined]
            face = transport.get_extra_info("socket") if transport is not None else None
        end = getattr(getattr(face, "_sock", face), "end", None)
        if end is not None:
            return tape.number(end)
    return 0
