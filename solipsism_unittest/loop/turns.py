"""The turns of the loop: CPython's, without what only debug mode and a real selector need.

Owns the handles, and what one turn does: what is ready and what is due is put in line, then each handle of the line
runs once. The order is that of CPython's own `_run_once`, callback by callback; a test runs random programs on both.
What makes it lean: timers stand in a `Line`; a handle is made without asking for debug mode, and called by the number
of its arguments; readiness goes from the kernel into the line without a selector's tuples; and the end of a sleep(),
the timer of which no program ever sees, wakes its future at once.

CPython's own `_run_once` is used in debug mode, when a program has put a selector of its own in the loop's place, when
`_run_once` is somebody else's, in a subclass or by a patch, and when a tool has wrapped the method that runs a handle.
What is put there while the loop runs takes over from the next turn on; on a loop alone, within 16 jumps of the clock.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import _get_running_loop, base_events, events, format_helpers, futures, selector_events, streams
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import partial
from heapq import heappop
from inspect import CO_COROUTINE
from math import inf
from selectors import EVENT_READ, EVENT_WRITE
from threading import get_ident
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, ClassVar

from ..introspection.places import ends_in_second_half
from ..introspection.threads import Real
from ..kernel import Kernel
from ..pythons import RUNNING_LOOP_IS_KNOWN
from ..stdlib.threads.mistakes import check_callback, refuse_callback
from ..stdlib.worlds import World
from . import doors
from .beginning import Beginning, LateTransports
from .doors import Behind, Resolution, Stock
from .selector import VirtualSelector
from .timers import Line, Sleep, Timer, check_caller

__unittest = True  # unittest leaves frames of this module out of a traceback
__tracebackhide__ = True  # and so does pytest

# When cancelled timers are taken out of the heap, although they are not on top: CPython's own numbers.
_MANY_TIMERS: int = base_events._MIN_SCHEDULED_TIMER_HANDLES  # type: ignore[attr-defined]
_TOO_MANY_CANCELLED: float = base_events._MIN_CANCELLED_TIMER_HANDLES_FRACTION  # type: ignore[attr-defined]

_STOCK_RUN: Any = events.Handle._run


class Handle(events.Handle):
    """A Handle of a loop without debug mode: CPython's own constructor asks for that each time."""

    __slots__ = ()

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], loop: Turns,
                 context: contextvars.Context | None) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class Wake(Handle):
    """The handle of a function in C with one argument, as of what wakes a task.

    It keeps no tuple: as many as there are tasks would keep the garbage collector busy.
    """

    __slots__ = ()

    argument = vars(events.Handle)["_args"]  # in its place; None once it is cancelled

    def __init__(self, callback: Callable[..., Any], argument: Any, loop: Turns,
                 context: contextvars.Context | None) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self.argument = argument
        self._cancelled = False
        self._repr = None
        self._source_traceback = None

    @property
    def _args(self) -> Any:
        return None if self._callback is None else (self.argument,)

    @_args.setter
    def _args(self, args: Any) -> None:  # asyncio's cancel() takes them away
        self.argument = args


Wake.__qualname__ = Wake.__name__ = Handle.__name__  # for its repr


def _plain_functions() -> Iterator[FunctionType]:
    """The functions by which asyncio's transports, servers and streams go on, none of them a coroutine function."""
    for module in (selector_events, streams, base_events, futures):
        own = [thing for thing in vars(module).values() if getattr(thing, "__module__", "") == module.__name__]
        for thing in (inner for outer in own for inner in (outer, *getattr(outer, "__dict__", {}).values())):
            if type(thing) is FunctionType and not thing.__code__.co_flags & CO_COROUTINE:
                yield thing


_PLAIN = frozenset(_plain_functions())  # for them nobody looks at the code at each call: to do so is audited, and slow

_WITH_INNER = "asyncio.tasks", "asyncio.streams"  # where the functions inside of others are plain, too


# The class of the steps of tasks, to which asyncio gives no name; None where it has no tasks in C.
STEP = next((kind for kind in object.__subclasses__() if kind.__name__ == "TaskStepMethWrapper"), None)


class OwnTurn:
    """A turn of ours that stands in the place of `_run_once` on one loop, and takes timers out of the line."""


class Turns(asyncio.SelectorEventLoop, Behind):
    """An event loop with lean turns; `SolipsistEventLoop` is one."""

    # Few attributes and no slots: from 3.13 on CPython reads attributes fast where there are 29 at most, asyncio's 22
    # included, and the class has no slots; from 3.14 on only until somebody asks for the vars() of the object.

    # What type checkers do not know of asyncio's loop; tests/behaviours/test_asyncio_seam.py says why each is used.
    _check_closed: Callable[[], None]
    _closed: bool
    _debug: bool
    _ready: deque[Any]
    _remove_reader: Callable[[int], bool]
    _remove_writer: Callable[[int], bool]
    _process_events: Callable[[list[Any]], None]
    _selector: Any
    _stopping: bool
    _thread_id: int | None
    _timer_cancelled_count: int

    _asyncgens: Any = ()  # a WeakSet from the first generator on
    _transports = LateTransports()
    beginning: ClassVar[Beginning]

    def __init__(self, world: World, selector: VirtualSelector) -> None:
        self._begin(world, selector)
        doors.clear()
        if not self.beginning.begin(self, selector, lambda: _spare(self)):
            super().__init__(selector)

    def _begin(self, world: World, selector: VirtualSelector) -> None:
        self.world, self.selector, self._clock = world, selector, world.kernel.clock
        self.is_lean = True  # whether turns are ours
        self.line = Line()  # the timers

    @property
    def kernel(self) -> Kernel:
        """The machine that the loop runs on."""
        return self.world.kernel

    def time(self) -> float:
        """The virtual time in seconds; works on a closed loop too."""
        return self._clock.now

    def reached(self) -> float:
        """Up to when timers are due: by the loop's clock, or by what a test has put in the place of that."""
        return max(self._clock.now, self.time()) + (self._own_resolution or 0.0)

    _clock_resolution = Resolution()
    _own_resolution: float | None = None  # what a test has set

    @property
    def autojump(self) -> bool:
        """Whether time jumps by itself when nothing else can happen."""
        return self.selector.autojump

    @autojump.setter
    def autojump(self, value: bool) -> None:
        self.selector.autojump = value

    # -- a line and a heap, of which one is in use

    @property
    def _scheduled(self) -> list[Timer]:
        """As asyncio's, for whoever reads it: the heap of CPython's own turns, a copy of the line of lean ones."""
        if self._closed:
            return []
        if self.is_lean:
            self.choose_turns()  # it may be a turn of somebody else's that reads it, inside of one of ours
        return self.line.all() if self.is_lean else self.line.plain

    @_scheduled.setter
    def _scheduled(self, timers: list[Timer]) -> None:
        if self.is_lean:
            self.line.fill(timers)
        else:
            self.line.plain = timers

    def set_debug(self, enabled: bool) -> None:
        """As asyncio's."""
        Stock.set_debug(self, enabled)
        self.choose_turns()

    def choose_turns(self) -> None:
        """Decide whose turns are made, and hand the timers over."""
        is_lean = not self._debug and not self._is_replaced() \
            and self.selector.own_select is None and self._own_resolution is None \
            and getattr(self, "_selector", self.selector) is self.selector \
            and getattr(self.call_at, "__func__", None) is self.__class__.call_at  # a sleep asks the class alone
        if is_lean and not self.is_lean:
            self.line.leave_heap()
        elif self.is_lean and not is_lean:
            self.line.make_heap()
        self.is_lean = is_lean

    def _is_replaced(self) -> bool:
        """Whether somebody else's code makes the turns, or runs the handles."""
        turn = self._run_once
        return getattr(turn, "__func__", None) is not _LEAN and not isinstance(turn, OwnTurn) or is_run_replaced()

    def add_timer(self, timer: Timer) -> None:
        """Put a new timer in line."""
        if self.is_lean:
            self.line.add(timer)
        else:
            self.line.add_to_heap(timer)

    def timers(self) -> list[Timer]:
        """The timers, first those due first, and of one instant those made first; cancelled ones are among them."""
        return self.line.all() if self.is_lean else sorted(self.line.plain)

    def next_timer(self) -> Timer | None:
        """The timer that is due next, None for none; a cancelled one counts until the loop drops it."""
        return self.line.first()

    def is_idle(self) -> bool:
        """Whether nothing waits for a turn, is on its way, or is to be said when the loop stops."""
        kernel = self.world.kernel
        return not (self._ready or self._debug or kernel.awake or self._clock.deliveries or len(self.line)
                    or self.selector.blocking.has_warnings())

    def drop_timers(self) -> None:
        """Forget every timer."""
        self.line.clear()
        self._timer_cancelled_count = 0

    def close(self) -> None:
        """As asyncio's."""
        super().close()
        if self._closed:
            self.drop_timers()

    # -- running

    def call_soon(self, callback: Callable[..., object], *args: Any,  # type: ignore[override]
                  context: contextvars.Context | None = None) -> events.Handle:
        """As asyncio's; from a wrong thread it is a RuntimeError, and a coroutine function as callback a TypeError."""
        if (_get_running_loop() is not self) if RUNNING_LOOP_IS_KNOWN else (self._thread_id != get_ident()):
            check_caller(self, "call_soon")
        kind = type(callback)
        if kind is BuiltinFunctionType:  # which the wake-up of a task is
            if len(args) == 1 and not self._debug:
                self._ready.append(wake := Wake(callback, args[0], self, context))
                return wake
        elif kind is not STEP:
            if kind is FunctionType and (callback in _PLAIN or (
                    callback.__module__ in _WITH_INNER and "<locals>" in callback.__qualname__)):
                pass  # as of gather(): the code of a function is an audited attribute, and costs more than all the rest
            elif kind is MethodType and type(callback.__func__) is FunctionType and (  # type: ignore[attr-defined]
                    callback.__func__ in _PLAIN):  # type: ignore[attr-defined]
                pass
            elif kind is FunctionType or kind is MethodType:
                code = getattr(callback, "__code__", None)
                if code is not None and code.co_flags & CO_COROUTINE:
                    refuse_callback(callback, "call_soon")
            elif kind is not partial or type(callback.func) is not MethodType or (  # type: ignore[attr-defined]
                    callback.func.__func__ not in _PLAIN):  # type: ignore[attr-defined, operator]
                check_callback(callback, "call_soon")  # the loop's own partial ends each connect
        if self._debug:
            handle = Stock.call_soon(self, callback, *args, context=context)
            del handle._source_traceback[-1]  # type: ignore[attr-defined]
            return handle
        handle = Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def run_forever(self) -> None:
        """As asyncio's."""
        self.choose_turns()
        super().run_forever()

    def _run_once(self) -> None:
        """Make turns until the loop stops, or turns have to be CPython's."""
        if not self.is_lean:
            self._turn_of_cpython()
            return
        ready, selector, kernel, line = self._ready, self.selector, self.kernel, self.line
        clock, blocking, spins, jobs = kernel.clock, selector.blocking, selector.spins, selector.jobs
        queue, heap, awake, keys, second = line.queue, line.heap, kernel.awake, selector.keys, self.world.second
        take_next, put_in_line = ready.popleft, ready.append
        deliveries, stops, holds, watchers = clock.deliveries, clock.stops, clock.holds, clock.watchers
        in_line, others, nobody_calls = jobs.line, jobs.baton.active, selector.wakeups.empty
        lean_turns, kind, run_class, perf_counter = _LEAN, type(self), events.Handle, Real.perf_counter
        turns, began = selector.turns, blocking.began
        while True:
            if self._timer_cancelled_count:
                self.drop_cancelled()
            now, has_jumped = clock.now, False
            if deliveries and deliveries[0][0] <= now:
                clock.jump(now)  # what arrives now comes before the timers that are due now
            found = None
            if len(awake) == 1 and not second and (only := [*awake][0]).ready() == EVENT_READ and (
                    only.descriptors is None) and not (reader := keys[only.number][3][0])._cancelled:
                put_in_line(reader)  # as below; in most turns
            elif awake:
                found = selector.own_ready() if second else kernel.ready()
            if ready or found or queue and queue[0]._when <= now or heap and heap[0][0] <= now or self._stopping:
                selector.turns = turns = turns + 1
                if turns > spins.first or not turns & 1023:
                    selector.look_after_turn()
                    turns = selector.turns
                    began = perf_counter()
                if found:
                    for file, mask in found:  # as in `_process_events`
                        reader, writer = keys[file.number].data
                        if reader is not None and mask != EVENT_WRITE:  # the mask is of one or both
                            if reader._cancelled:
                                self._remove_reader(file.number)
                            else:
                                put_in_line(reader)
                        if writer is not None and mask != EVENT_READ:
                            if writer._cancelled:
                                self._remove_writer(file.number)
                            else:
                                put_in_line(writer)
            else:
                if self._selector is not selector:
                    self.choose_turns()
                    return
                due = queue[0]._when if queue else inf
                if heap and heap[0][0] < due:
                    due = heap[0][0]
                due += 0.0  # a timer may have an int
                if (stops or holds or watchers or in_line or others or deliveries and deliveries[0][0] <= due
                        or not selector.jumps_left or not selector.autojump or not due < selector.horizon
                        or not nobody_calls() or not selector.jumps_left & 15):
                    if self._is_replaced():
                        self.choose_turns()
                        return
                    if arrived := selector.quiesce(due):
                        self._process_events(arrived)
                    began = perf_counter()
                    turns = selector.turns
                else:  # as quiesce() does where nothing but the next timer can happen
                    selector.turns = turns = 0
                    selector.jumps_left -= 1
                    clock.now = now = due
                    has_jumped = True
            if queue or heap:
                if not has_jumped:
                    now = self.time()
                    if now < clock.now:  # by the time of a mock
                        now = clock.now
                while queue and queue[0]._when <= now or heap and heap[0][0] <= now:
                    timer = line.take() if heap else queue.popleft()
                    timer._scheduled = False
                    if timer._cancelled:  # or each turn from now on would look for it
                        self._timer_cancelled_count -= 1
                    put_in_line(timer)
            count = len(ready)
            while count:
                count -= 1
                handle = take_next()
                if handle._cancelled:
                    continue
                try:
                    if type(handle) is Sleep:
                        if not handle.future.cancelled():
                            handle.future.set_result(None)  # nothing below asks for a context
                        if count - 1 & 15:
                            continue  # the stopwatch costs a tenth of a sleep
                    elif type(handle) is Wake:
                        handle._context.run(handle._callback, handle.argument)
                    elif not (args := handle._args):
                        handle._context.run(handle._callback)
                    elif len(args) == 1:
                        handle._context.run(handle._callback, args[0])
                    else:
                        handle._context.run(handle._callback, *args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    report_error(self, handle, error)
                ended = perf_counter()
                began = ended if ended <= blocking.look_at else blocking.has_run(handle, began, ended)
            handle = args = timer = None  # type: ignore[assignment]  # what has run ends now, before time goes on
            if run_class._run is not _STOCK_RUN or kind._run_once is not lean_turns:
                self.choose_turns()
            if self._stopping or not self.is_lean:
                blocking.began = began
                return

    def _turn_of_cpython(self) -> None:
        timers, now = self.line.plain, max(self._clock.now, self.time())
        while self.time() != self._clock.now and timers and timers[0].when() <= now:  # by the time of a mock
            timer = heappop(timers)
            timer._scheduled = False
            self._ready.append(timer)
        timer = None  # type: ignore[assignment]
        Stock._run_once(self)  # type: ignore[attr-defined]

    def drop_cancelled(self) -> None:
        """Take cancelled timers out of the line: all of them where they are many, otherwise those on top."""
        line = self.line
        if len(line) > _MANY_TIMERS and self._timer_cancelled_count / len(line) > _TOO_MANY_CANCELLED:
            line.drop_cancelled()
            self._timer_cancelled_count = 0
        else:
            while (timer := line.first()) is not None and timer._cancelled:
                self._timer_cancelled_count -= 1
                line.take()


_LEAN: Any = Turns._run_once
ends_in_second_half(_LEAN)


def is_run_replaced() -> bool:
    """Whether a tool has wrapped the method that runs a handle."""
    return events.Handle._run is not _STOCK_RUN


def _spare(loop: Turns) -> Any:
    """Another one of the same world, on which asyncio's constructors have not run."""
    spare: Any = object.__new__(type(loop))
    spare._begin(loop.world, loop.selector)
    return spare


def report_error(loop: Turns, handle: Any, error: BaseException) -> None:
    """Tell the loop's exception handler of an error in a callback, as CPython's `Handle._run` does."""
    text = format_helpers._format_callback_source(handle._callback, handle._args)
    context = {"message": f"Exception in callback {text}", "exception": error, "handle": handle}
    if handle._source_traceback:  # it was made in debug mode
        context["source_traceback"] = handle._source_traceback
    loop.call_exception_handler(context)
