"""The turns of the loop: CPython's, without what only debug mode and a real selector need.

Owns the heap of timers, the handles, and what one turn does: what is ready and what is due is put in line, then each
handle of the line runs once. The order is that of CPython's own `_run_once`, callback by callback; a test runs random
programs on both. Three things make it lean: the heap is one of tuples, which compare in C; a handle is made without
asking for debug mode; and readiness goes from the kernel into the line without a selector's tuples.

CPython's own `_run_once` is used in debug mode, when a program has put a selector of its own in the loop's place, when
`_run_once` is somebody else's, in a subclass or by a patch, and when a tool has wrapped the method that runs a handle.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from asyncio import base_events, events, format_helpers
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import copy_context
from heapq import heapify, heappop, heappush
from inspect import CO_COROUTINE, iscoroutinefunction
from math import inf
from selectors import EVENT_READ, EVENT_WRITE
from threading import get_ident
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any

from ..introspection.threads import Real
from ..kernel import Kernel
from ..stdlib.sockets.patches import KEPT
from ..stdlib.threads.mistakes import FUNCTIONS, check_callback, refuse_callback, refuse_thread
from ..stdlib.worlds import World
from .selector import VirtualSelector
from .timers import Timer

__unittest = True  # unittest leaves frames of this module out of a traceback
__tracebackhide__ = True  # and so does pytest

# When cancelled timers are taken out of the heap, although they are not on top: CPython's own numbers.
_MANY_TIMERS: int = base_events._MIN_SCHEDULED_TIMER_HANDLES  # type: ignore[attr-defined]
_TOO_MANY_CANCELLED: float = base_events._MIN_CANCELLED_TIMER_HANDLES_FRACTION  # type: ignore[attr-defined]

_STOCK_RUN: Any = events.Handle._run

_Entry = tuple[float, int, Timer]


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


# -- what a program's patches reach

if TYPE_CHECKING:
    Stock = asyncio.SelectorEventLoop

    class Doors:
        """See below."""
else:
    class Stock:
        """The methods of asyncio's loop classes that ours replaces: asyncio's own, which are moved here."""

    class Doors:
        """What asyncio's classes have in their place: functions that call ours for one of our loops."""

    base_events.BaseEventLoop.__bases__ = (Doors, Stock, *base_events.BaseEventLoop.__bases__)


class Behind(Doors):
    """Our methods that replace asyncio's, behind asyncio's classes: what a program puts there is found first.

        SolipsistEventLoop > SelectorEventLoop > BaseEventLoop > Behind, ours > Doors > Stock, asyncio's > ...

    So a patch of asyncio's classes (`mock.patch.object(asyncio.BaseEventLoop, "getaddrinfo")`) is one of our loop too,
    and costs nothing where there is none. Who calls what he has replaced (`BaseEventLoop.getaddrinfo(loop, ...)`) comes
    through a door.
    """


# Who takes the line of his own call out of what debug mode keeps.
_KEEPS_NO_LINE = ("call_soon", "call_at", "call_later", "create_task")


def let_patches_reach(loop_class: type, names: Iterable[str]) -> None:
    """Move these methods of ours behind asyncio's classes; to be called once."""
    for name in names:
        owner = next(cls for cls in loop_class.__mro__ if name in vars(cls))
        home = next(cls for cls in asyncio.SelectorEventLoop.__mro__ if name in vars(cls))
        ours, stock = vars(owner)[name], vars(home)[name]
        delattr(owner, name)
        setattr(Behind, name, ours)
        setattr(Stock, name, stock)
        if str(getattr(stock, "__module__", "")).startswith("asyncio."):  # nobody has replaced it yet
            delattr(home, name)
            setattr(Doors, name, _door(loop_class, ours, stock))
            KEPT[stock] = vars(Doors)[name]


def _door(loop_class: type, ours: Callable[..., Any], stock: Callable[..., Any]) -> Callable[..., Any]:
    trims = stock.__name__ in _KEEPS_NO_LINE

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, loop_class):
            return ours(self, *args, **kwargs)
        made = stock(self, *args, **kwargs)
        if trims and made._source_traceback:
            del made._source_traceback[-1]
        return made

    async def coroutine_method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await (ours if isinstance(self, loop_class) else stock)(self, *args, **kwargs)

    return functools.wraps(stock)(coroutine_method if iscoroutinefunction(stock) else method)


class Turns(asyncio.SelectorEventLoop, Behind):
    """An event loop with lean turns; `SolipsistEventLoop` is one."""

    # Slots, because CPython reads attributes slowly on an instance with 30 of them or more.
    __slots__ = ("world", "selector", "_clock", "_timers_made", "_heap", "_plain_timers", "_is_lean")

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

    def __init__(self, world: World, selector: VirtualSelector) -> None:
        self.world = world
        self.selector = selector
        self._clock = world.kernel.clock
        self._timers_made = 0
        self._heap: list[_Entry] = []  # of lean turns
        self._plain_timers: list[Timer] = []  # the same of CPython's
        self._is_lean = True
        super().__init__(selector)

    @property
    def kernel(self) -> Kernel:
        """The machine that the loop runs on."""
        return self.world.kernel

    def time(self) -> float:
        """The virtual time in seconds; works on a closed loop too."""
        return self._clock.now

    def reached(self) -> float:
        """Up to when timers are due: by the loop's clock, or by what a test has put in the place of its `time`."""
        return max(self._clock.now, self.time())

    # -- two heaps, of which one is in use

    @property
    def _scheduled(self) -> list[Timer]:
        """As asyncio's, for whoever reads it: the heap of CPython's own turns, a copy of that of lean ones."""
        if self._is_lean:
            self._choose_turns()  # it may be a turn of somebody else's that reads it, inside of one of ours
        return self._timers()

    @_scheduled.setter
    def _scheduled(self, timers: list[Timer]) -> None:
        if self._is_lean:
            self._heap[:] = [(timer.when(), timer.sequence, timer) for timer in timers]
            heapify(self._heap)
        else:
            self._plain_timers = timers

    def _timers(self) -> list[Timer]:
        return [entry[2] for entry in self._heap] if self._is_lean else self._plain_timers

    def set_debug(self, enabled: bool) -> None:
        """As asyncio's."""
        Stock.set_debug(self, enabled)
        self._choose_turns()

    def _choose_turns(self) -> None:
        """Decide whose turns are made, and hand the timers over."""
        is_lean = not self._debug and not self._is_replaced() \
            and vars(self).get("_selector", self.selector) is self.selector
        if is_lean != self._is_lean:
            timers = self._timers()
            self._is_lean = is_lean
            self._scheduled = timers
            if is_lean:
                self._plain_timers = []  # a timer that has run must not be kept there
            else:
                heapify(self._plain_timers)
                self._heap.clear()

    def _is_replaced(self) -> bool:
        """Whether somebody else's code makes the turns, or runs the handles."""
        return (type(self)._run_once is not _LEAN or "_run_once" in vars(self)
                or events.Handle._run is not _STOCK_RUN)

    def add_timer(self, timer: Timer, when: float, sequence: int) -> None:
        """Put a timer in line; `when` and `sequence` are its own."""
        if self._is_lean:
            heappush(self._heap, (when, sequence, timer))
        else:
            heappush(self._plain_timers, timer)

    def next_timer(self) -> Timer | None:
        """The timer that is due next, None for none; a cancelled one counts until the loop drops it."""
        if self._is_lean:
            return self._heap[0][2] if self._heap else None
        return self._plain_timers[0] if self._plain_timers else None

    def is_idle(self) -> bool:
        """Whether nothing waits for a turn, is on its way, or is to be said when the loop stops."""
        kernel = self.kernel
        return not (self._ready or self._debug or kernel.awake or kernel.clock.deliveries or self.next_timer()
                    or self.world.calls or self.selector.blocking.has_warnings())

    def drop_timers(self) -> None:
        """Forget every timer."""
        self._heap.clear()
        self._plain_timers.clear()

    def close(self) -> None:
        """As asyncio's."""
        super().close()
        if self._closed:
            self.drop_timers()

    # -- running

    def call_soon(self, callback: Callable[..., object], *args: Any,  # type: ignore[override]
                  context: contextvars.Context | None = None) -> events.Handle:
        """As asyncio's; from a wrong thread it is a RuntimeError, and a coroutine function as callback a TypeError."""
        if self._closed:
            self._check_closed()
        if self._thread_id != get_ident() and self._thread_id is not None:
            refuse_thread("call_soon")
        kind = type(callback)
        if kind in FUNCTIONS:
            code = getattr(callback, "__code__", None)
            if code is not None and code.co_flags & CO_COROUTINE:
                refuse_callback(callback, "call_soon")
        elif kind is not BuiltinFunctionType and kind.__module__ != "_asyncio":  # the steps and the wake-ups of tasks
            check_callback(callback, "call_soon")
        if self._debug:
            handle = Stock.call_soon(self, callback, *args, context=context)
            del handle._source_traceback[-1]  # type: ignore[attr-defined]
            return handle
        handle = Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def run_forever(self) -> None:
        """As asyncio's."""
        self._choose_turns()
        super().run_forever()

    def _run_once(self) -> None:
        """Make turns until the loop stops, or turns have to be CPython's."""
        if not self._is_lean:
            timers, now = self._plain_timers, self.reached()
            while self.time() != self._clock.now and timers and timers[0].when() <= now:  # by the time of a mock
                timer = heappop(timers)
                timer._scheduled = False
                self._ready.append(timer)
            timer = None  # type: ignore[assignment]
            Stock._run_once(self)  # type: ignore[attr-defined]
            return
        heap, ready, selector, kernel = self._heap, self._ready, self.selector, self.kernel
        clock, blocking, spins = kernel.clock, selector.blocking, selector.spins
        mine, kind, time, perf_counter = vars(self), type(self), _VIRTUAL_TIME, Real.perf_counter
        lean_turns, run_class = _LEAN, events.Handle
        blocking.start()
        began = blocking.began
        while True:
            if self._timer_cancelled_count:
                self._drop_cancelled()
            if clock.deliveries and clock.deliveries[0][0] <= clock.now:
                clock.jump(clock.now)  # what arrives now comes before the timers that are due now
            found = kernel.ready() if kernel.awake else None
            if found or ready or self._stopping or heap and heap[0][0] <= clock.now:
                selector.turns = turns = selector.turns + 1
                if turns > spins.first or not turns & 1023:
                    selector.look_after_turn()
                    began = perf_counter()
                if found:
                    self._put_in_line(found)
            else:
                if self._selector is not selector:
                    self._choose_turns()
                    return
                arrived = selector.quiesce(heap[0][0] if heap else inf)
                if arrived:
                    self._process_events(arrived)
                began = perf_counter()
            if heap:
                now = clock.now
                if "time" in mine or kind.time is not time:
                    now = self.reached()
                while heap and heap[0][0] <= now:
                    timer = heappop(heap)[2]
                    timer._scheduled = False
                    ready.append(timer)
            for _ in range(len(ready)):
                handle = ready.popleft()
                if handle._cancelled:
                    continue
                try:
                    handle._context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    _report(self, handle, error)
                ended = perf_counter()
                if ended > blocking.look_at:
                    blocking.began, blocking.runs = began, handle
                    blocking.measure(ended)
                    blocking.runs = None
                    ended = perf_counter()
                began = ended
            handle = timer = None  # type: ignore[assignment]  # what has run ends now, before time goes on
            if run_class._run is not _STOCK_RUN or kind._run_once is not lean_turns or "_run_once" in mine:
                self._choose_turns()
            if self._stopping or not self._is_lean:
                blocking.began = began
                return

    def _put_in_line(self, found: list[tuple[Any, int]]) -> None:
        """As `_process_events`, of what the kernel says is ready."""
        keys, ready = self.selector.keys, self._ready
        for file, mask in found:
            reader, writer = keys[file.number].data
            if mask & EVENT_READ and reader is not None:
                if reader._cancelled:
                    self._remove_reader(file.number)
                else:
                    ready.append(reader)
            if mask & EVENT_WRITE and writer is not None:
                if writer._cancelled:
                    self._remove_writer(file.number)
                else:
                    ready.append(writer)

    def _drop_cancelled(self) -> None:
        """Take cancelled timers out of the heap: all of them where they are many, otherwise those on top."""
        heap = self._heap
        if len(heap) > _MANY_TIMERS and self._timer_cancelled_count / len(heap) > _TOO_MANY_CANCELLED:
            for entry in heap:
                if entry[2]._cancelled:
                    entry[2]._scheduled = False
            heap[:] = [entry for entry in heap if not entry[2]._cancelled]
            heapify(heap)
            self._timer_cancelled_count = 0
        else:
            while heap and heap[0][2]._cancelled:
                self._timer_cancelled_count -= 1
                heappop(heap)[2]._scheduled = False


_LEAN: Any = Turns._run_once
_VIRTUAL_TIME: Any = Turns.time


def _report(loop: Turns, handle: Any, error: BaseException) -> None:
    """Tell the loop's exception handler of an error in a callback, as CPython's `Handle._run` does."""
    text = format_helpers._format_callback_source(handle._callback, handle._args)
    context = {"message": f"Exception in callback {text}", "exception": error, "handle": handle}
    if handle._source_traceback:  # it was made in debug mode
        context["source_traceback"] = handle._source_traceback
    loop.call_exception_handler(context)
