"""`Inventory`: what the program has made on one loop, and what will run there.

Owns the tasks, the registrations of add_reader() and add_writer() and the async generators of a loop, with the places
where they were made. asyncio does not know these places, and it forgets a task that is done, before anybody asks
whether its error was read. All references are weak: nothing lives longer because it is listed here.

Timers, ready callbacks and transports stay in asyncio's own tables. All other folders ask the inventory for them.

Owns the errors that nobody caught too, and those that a test expects. Where the program sets an exception handler of
its own, that handler takes the errors over: only what reaches asyncio's default handler is a fault.
"""

from __future__ import annotations

import asyncio
import re
import types
import weakref
from asyncio import _get_running_loop
from asyncio.log import logger
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, MutableMapping, Sequence
from gc import get_objects
from typing import Any, NamedTuple, Protocol

from ..hangs import words
from ..introspection.exceptions import user_line
from ..introspection.handles import calls_plumbing, owner_of, task_of, turn_words
from ..introspection.names import plain
from ..introspection.places import Place, made_at
from ..kernel import Kernel
from ..kernel.descriptors.connection import died_with_host, dies_with_host
from ..stdlib.files.played import FileDescriptor, is_played, number_of
from ..stdlib.holdings import Holdings, holder_of, holding
from .gone import Gone, context_of, is_exit
from .selector import VirtualSelector
from .timers import Line, Timer

__unittest = True
__tracebackhide__ = True

ROOM = 1_000  # tasks on the list before it is cleared of dead ones; later twice as many as were alive then
CROWD = 500  # tasks alive then from which on new ones are not listed


class Owner(Protocol):
    """What an inventory reads of its loop: asyncio's own heap of timers, ready queue and transports."""

    selector: VirtualSelector
    holdings: Holdings | None
    line: Line
    _ready: deque[asyncio.Handle]
    _transports: weakref.WeakValueDictionary[int, asyncio.BaseTransport]

    def _remove_reader(self, fd: int) -> bool:
        """Wait for nothing to read there."""

    def _remove_writer(self, fd: int) -> bool:
        """The same of writing."""

    def is_running(self) -> bool:
        """Whether it runs, on whatever thread."""

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> Any:
        """Call it there, from whatever thread."""

    def timers(self) -> list[Timer]:
        """The timers, the next one first."""

    def next_timer(self) -> Timer | None:
        """The timer that is due next."""

    def drop_timers(self) -> None:
        """Forget every timer."""


# Tasks, and answers of a look-up, are numbered: in a set they stand in the order in which they were made. asyncio's own
# hash by their address, so that a program which cancels the members of a set, or waits for them, would do so in another
# order in each run. A set of small numbers is in order but where they pass its size: of 7, 8 and 9 in a set of up to
# four the 7 comes last. It is so in every run. Futures are asyncio's own: one with a number costs a tenth of a sleep,
# for asyncio's C code knows its own class best.


UNNAMED = "".join(("Ta", "sk"))  # an object of its own, which no program has


class Task(asyncio.Task[Any]):
    """A task with its number among those of its loop. One that nobody has named makes its name when it is asked."""

    __slots__ = ("number", "made_at")

    number: int
    made_at: Place | None

    def __hash__(self) -> int:
        return self.number

    def get_name(self) -> str:
        """As asyncio's."""
        name = super().get_name()
        return f"Task-{self.number}" if name is UNNAMED else name


Task.__module__, Task.__qualname__ = asyncio.Task.__module__, asyncio.Task.__qualname__  # for its repr, and reports


class Answer(tuple[Any, ...]):
    """One answer of getaddrinfo. `create_server` makes a set of them, and hash(str) must not decide on its order."""

    def __new__(cls, number: int, info: tuple[Any, ...]) -> Answer:
        answer = super().__new__(cls, info)
        answer.number = number  # type: ignore[attr-defined]
        return answer

    def __hash__(self) -> int:
        return self.number  # type: ignore[attr-defined, no-any-return]


def close_generator(loop: asyncio.AbstractEventLoop, agen: Any) -> None:
    """Close an async generator that was left before its end, in a task that says so."""
    task: Any = loop.create_task(agen.aclose())
    frame = agen.ag_frame
    task.coroutine_name = f"aclose() of {agen.__qualname__}, which was left before its end"
    task.made_at = Place(agen.ag_code, frame.f_lasti) if frame is not None else None


_NONE: Any = types.MappingProxyType({})


class Inventory:
    """What there is on one loop."""

    __slots__ = ("owner", "is_crowded", "is_watched", "_made", "_last", "_futures", "_room", "_room_of_futures",
                 "registrations", "generators", "gone")

    def __init__(self, loop: Owner) -> None:
        self.owner = loop
        self.is_watched = False  # whether an end of the loop that is collected as garbage counts as left behind
        self.is_crowded = False  # whether tasks of our class need not be noted: a reference to each of many takes long
        self._made: list[weakref.ref[asyncio.Task[Any]]] = []
        self._last = 0  # the number of the last task that was noted before it was crowded
        self._futures: Sequence[weakref.ref[asyncio.Future[Any]]] = ()
        self._room = self._room_of_futures = ROOM
        # Of most loops these stay empty, and a weak dictionary takes a microsecond to make.
        self.registrations: MutableMapping[asyncio.Handle, tuple[str, Place | None]] = _NONE
        self.generators: MutableMapping[AsyncGenerator[Any, Any], Place | None] = _NONE
        self.gone: Gone | tuple[()] = ()  # of hosts, once one has crashed

    # -- what the loop notes

    def add_registration(self, handle: asyncio.Handle, method: str, place: Place | None) -> None:
        """Note a handle that add_reader() or add_writer() made."""
        self.registrations = self.registrations or weakref.WeakKeyDictionary()
        self.registrations[handle] = method, place

    def add_generator(self, agen: AsyncGenerator[Any, Any], place: Place | None) -> None:
        """Note an async generator that was begun."""
        self.generators = self.generators or weakref.WeakKeyDictionary()
        self.generators[agen] = place
        if (holdings := holding.get()) is not None:
            holdings.generators[agen] = None

    def add_task(self, task: asyncio.Task[Any], number: int) -> None:
        """Note a task, the latest that was made."""
        self._made.append(weakref.ref(task))
        if len(self._made) > self._room:
            self._made = [known for known in self._made if known() is not None]
            self._room = max(ROOM, 2 * len(self._made))
            if len(self._made) > CROWD and not self.is_crowded:
                self.is_crowded, self._last = True, number

    def add_future(self, future: asyncio.Future[Any]) -> None:
        """Note a future that may get an error from another thread."""
        noted = self._futures = self._futures if type(self._futures) is list else []
        noted.append(weakref.ref(future))
        if len(self._futures) > self._room_of_futures:
            self._futures = [known for known in self._futures if known() is not None]
            self._room_of_futures = max(ROOM, 2 * len(self._futures))

    def add_futures(self, things: Iterable[object]) -> None:
        """Note the futures among some things: one that a test keeps may have an error that nobody read."""
        for thing in things:
            if issubclass(type(thing), asyncio.Future) and not issubclass(type(thing), asyncio.Task):
                self.add_future(thing)  # type: ignore[arg-type]

    def note_power(self, kernel: Kernel, *, is_crash: bool) -> None:
        """A host has crashed, or is about to come back: who was there is gone."""
        self.gone = self.gone or Gone(kernel)
        note = self.gone.note_crash if is_crash else self.gone.note_return
        note(self.tasks(), [*self.timers(), *self.ready()])

    def watch_no_more(self) -> None:
        """An end that is collected as garbage does not count any more."""
        self.is_watched = False

    def note_end(self, kernel: Kernel, main: asyncio.Task[Any] | None) -> None:
        """A program is about to end, whose main task this is."""
        self.gone = self.gone or Gone(kernel)
        self.gone.note_end(self.tasks(), main)

    def end_program(self, holdings: Holdings, numbers: Iterable[int], main: asyncio.Task[Any] | None) -> None:
        """A program has ended, which had these descriptors: its transports are closed, its tasks and callbacks are
        cancelled, but for the main task. A loop of its own unwinds by itself.
        """
        handles = [*self.timers(), *self.ready()]
        if self.gone:  # not where a signal has ended a program before the loop's own task came to its end
            self.gone.note_return(self.tasks(), handles)
        for agen in list(holdings.generators):
            self.generators.pop(agen, None)
        transports = [(number, self.transport_of(number)) for number in numbers]

        def end() -> None:
            for number, transport in transports:
                self.forget_descriptor(number)
                if transport is not None:
                    getattr(transport, "abort", transport.close)()
            for handle in handles if self.owner.holdings is not holdings else ():
                if task_of(handle) is None and holder_of(context_of(handle)) is holdings and not calls_plumbing(handle):
                    handle.cancel()
            for task in self.tasks_of(holdings, main) if self.owner.holdings is not holdings else ():
                task.cancel()

        running: Any = _get_running_loop()
        if self.owner.is_running() and running is not self.owner:  # on another thread
            self.owner.call_soon_threadsafe(end)
        else:
            end()

    def tasks_of(self, holdings: Holdings, main: asyncio.Task[Any] | None) -> list[asyncio.Task[Any]]:
        """The pending tasks of a program, without its main task."""
        return [task for task in self.tasks()
                if task is not main and not task.done() and holder_of(context_of(task)) is holdings]

    # -- what was made

    def tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks that are alive, done or not, in the order in which they were made."""
        alive = [task for known in self._made if (task := known()) is not None]
        return [*alive, *self._crowd()] if self.is_crowded else alive

    def _crowd(self) -> list[Task]:
        """The tasks of our class that were not noted, as the garbage collector knows them."""
        crowd = [thing for thing in get_objects() if type(thing) is Task and thing.number > self._last
                 and thing.get_loop().inventory is self]  # type: ignore[attr-defined]
        crowd.sort(key=hash)
        if len(crowd) <= CROWD:  # it is over
            self._made += map(weakref.ref, crowd)
            self.is_crowded = False
        return crowd

    def unread(self, *, of_crashed_hosts: bool = False) -> list[Any]:
        """The tasks and noted futures that ended with an error which nobody has read: those that can fail a test."""
        made: list[Any] = self.tasks()
        if self._futures:
            made += dict.fromkeys(future for known in self._futures if (future := known()) is not None)  # some twice
        return [future for future in made if future.done() and future._log_traceback
                and (of_crashed_hosts or not (died_with_host(future._exception) or future in self.gone
                                              or is_exit(future._exception, future)))]

    # -- what will run

    def timers(self) -> list[Timer]:
        """The timers that are pending and not cancelled, the next one first."""
        return [timer for timer in self.owner.timers() if not timer.cancelled()]

    def next_timer(self) -> Timer | None:
        """The timer that is due next; None where there is none. A cancelled one counts until the loop drops it."""
        return self.owner.next_timer()

    def ready(self) -> list[asyncio.Handle]:
        """The handles that run in the next turn of the loop, the first one first; cancelled ones are among them."""
        return list(self.owner._ready)

    def has_handles(self) -> bool:
        """Whether the loop has any timer or ready handle, cancelled ones included."""
        line = self.owner.line
        return bool(self.owner._ready or line.queue or line.heap or line.plain)

    def drop_handles(self) -> None:
        """Forget every timer and every ready handle: none of them will run."""
        self.owner.drop_timers()
        self.owner._ready.clear()

    def forget_descriptor(self, number: int) -> None:
        """Take away what is registered for a descriptor, also what a transport has registered."""
        self.owner._remove_reader(number)
        self.owner._remove_writer(number)

    def transport_of(self, number: int) -> Any:
        """The transport that a descriptor belongs to, or None; asyncio keeps no table of those of pipes."""
        transport = self.owner._transports.get(number)
        key = self.owner.selector.keys.get(number)
        for handle in key.data if transport is None and key is not None else ():
            owner = None if handle is None or handle.cancelled() else owner_of(handle)
            if isinstance(owner, asyncio.BaseTransport):
                return owner
        return transport

    def played_transports(self) -> list[tuple[FileDescriptor, Any, asyncio.Handle]]:
        """The transports on mocks: the number of the descriptor, the transport, and the handle that waits for it."""
        keys = [key for key in self.owner.selector.keys.values() if is_played(key.fileobj)]
        found = [(number_of(key.fileobj), owner_of(handle), handle)
                 for key in keys for handle in key.data if handle is not None]
        return [each for each in found if isinstance(each[1], asyncio.BaseTransport)]


# -- errors that nobody caught

_DESTROYED = "Task was destroyed but it is pending!"
_UNREAD = " exception was never retrieved"  # asyncio's words when a task or another future is collected

Types = type[BaseException] | tuple[type[BaseException], ...]


class UncaughtError(NamedTuple):
    """One error that nobody caught: in words, the error itself where there is one, and where it was raised.

    `kind` is "error" for what a callback raised, "unread" for the error of a task, and "task" for a pending task that
    was collected. For a task, `place` is where the task was made.
    """

    kind: str
    what: str
    error: BaseException | None
    place: Place | None


class Expectation:
    """An error that a test expects: of these types, with the pattern in its text."""

    def __init__(self, types: tuple[type[BaseException], ...], pattern: re.Pattern[str] | None) -> None:
        self._types = types
        self._pattern = pattern
        self.exception: BaseException | None = None

    def takes(self, error: BaseException | None) -> bool:
        """Whether this is the expected error; it is taken once."""
        if self.exception is not None or not isinstance(error, self._types):
            return False
        if self._pattern is not None and not self._pattern.search(str(error)):
            return False
        self.exception = error.with_traceback(None)  # as assertRaises does: its frames are not to be kept
        return True

    def __str__(self) -> str:
        names = " or ".join(each.__name__ for each in self._types)
        return names + (f" with a text that {self._pattern.pattern!r} is found in" if self._pattern else "")


def _by_nobody(kind: str) -> bool:
    return False


class UncaughtErrors:
    """The errors of one loop that nobody caught, and those that a test expects."""

    __slots__ = ("found", "expected", "is_reported")

    def __init__(self) -> None:
        self.found: list[UncaughtError] = []
        self.expected: list[Expectation] = []  # the innermost comes last
        self.is_reported: Callable[[str], bool] = _by_nobody  # of each kind, whether a test fails for it

    def expect(self, expectation: Expectation, unread_ones: Callable[[], list[Any]]) -> Callable[[], list[str]]:
        """Expect an error that nobody catches. The result stops that, and returns the other errors in words."""
        seen = len(self.found)
        self.expected.append(expectation)

        def stop() -> list[str]:
            left = unread_ones()
            for future in left:
                if expectation.exception is None and expectation.takes(future._exception):
                    future.exception()  # it is read
            self.expected.remove(expectation)
            return [error.what for error in [*self.found[seen:], *map(unread, left)]]

        return stop

    def is_expected(self, context: dict[str, Any], gone: Gone | tuple[()]) -> bool:
        """Whether a test expects what a handler of errors gets, and each expectation takes one, or who got it is gone.
        """
        error = context.get("exception")
        if is_exit(error, *filter(None, map(context.get, ("handle", "task", "future")))):
            return True
        if gone and gone.is_error(context):
            if error is None:
                return True
            dies_with_host(error)
        return any(expectation.takes(error) for expectation in reversed(self.expected)) or died_with_host(error)

    def note(self, context: dict[str, Any]) -> bool:
        """Note what asyncio's default handler got; gives whether it is to be logged.

        It is not where the report of a test says it, and where no handler of the program's takes what asyncio logs: on
        stderr the same would stand twice.
        """
        kind = self._note(context)
        return kind is not None and (logger.hasHandlers() or not self.is_reported(kind))

    def _note(self, context: dict[str, Any]) -> str | None:
        """The kind of what asyncio's default handler got; None for what is no error."""
        error, future = context.get("exception"), context.get("future")
        if died_with_host(error):
            return None
        if isinstance(future, asyncio.Future) and error is not None and _UNREAD in str(context.get("message")):
            self.found.append(unread(future))
            return "unread"
        lost = context.get("task")
        if isinstance(lost, asyncio.Task) and context.get("message") == _DESTROYED:
            if type(lost) is Task and not hasattr(lost, "made_at"):
                return None  # it was refused while it was made, by an error of its own
            what = f"{words.task_words(lost)}, which was collected as garbage: keep a reference to it"
            self.found.append(UncaughtError("task", what, None, made_at(lost)))
            return "task"
        # Some versions of asyncio report that a server's handler was cancelled: nothing went wrong.
        if isinstance(error, asyncio.CancelledError):
            return None
        place = user_line(error.__traceback__) if error is not None else None
        self.found.append(UncaughtError("error", _words(context, error), error, place))
        return "error"


def unread(future: asyncio.Future[Any]) -> UncaughtError:
    """The error of a task, or of another future, that nobody read."""
    error, it = future._exception, "task" if isinstance(future, asyncio.Task) else "future"
    return UncaughtError("unread", f"{words.future_words(future)} raised {plain(error)}: await the {it}, or ask "
                            "for its exception()", error, made_at(future))


def _words(context: dict[str, Any], error: BaseException | None) -> str:
    what = str(context.get("message") or "an error without a message")
    handle, task = context.get("handle"), context.get("task") or context.get("future")
    if isinstance(handle, asyncio.Handle):
        # asyncio's own words have the whole path.
        what = f"callback {turn_words(handle)}"
    elif isinstance(task, asyncio.Task):
        what = f"{what.rstrip('!')}: {words.task_words(task)}"
    elif error is not None:
        return f"{what}: {plain(error)}"
    return f"{what} raised {plain(error)}" if error is not None else what
