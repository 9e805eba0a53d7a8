"""`SolipsistEventLoop`: CPython's selector event loop on a virtual selector, in a virtual world.

Owns three things that CPython's loop leaves to the system: what time it is, which timer comes first of two at one
instant, and what follows from a hang. Transports, streams, servers and TLS are CPython's own code, untouched; only
a few bytes between two transports take a shorter way (transports.py).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import itertools
import selectors
import socket
import weakref
from asyncio import _get_running_loop, base_events, ensure_future, events, futures, runners, tasks
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from sys import _getframe
from threading import get_ident
from types import CoroutineType
from typing import Any, TypeVar

from ..introspection import names
from ..introspection.modules import outward
from ..introspection.places import NOT_ASKED, OF_TASKS, WATCH, Place, place_above, place_here, user_place
from ..kernel import Kernel
from ..kernel.clock import Hold
from ..kernel.journal import FULL
from ..pythons import NEW_TASKS_ARE_HASHED, RUNNING_LOOP_IS_KNOWN, default_policy
from ..stdlib import worlds
from ..stdlib.sockets.lookups import refuse_to_block
from ..stdlib.threads.background import is_background
from ..stdlib.threads.job import Work
from ..stdlib.threads.mistakes import check_callback
from ..stdlib.worlds import World, by_thread, inside, sealed, world_here
from .beginning import Beginning
from .children import ChildProcesses
from .doors import Behind, Stock, let_patches_reach
from .inventory import UNNAMED, Answer, Inventory, Task, UncaughtErrors, close_generator
from .selector import VirtualSelector
from .stuck import Hangs
from .timers import END_OF_SLEEP, Sleep, duration, look_up_longer, reach, schedule

__unittest = True  # unittest leaves frames of this module out of a traceback
__tracebackhide__ = True  # and so does pytest

T = TypeVar("T")

_GETADDRINFO = socket.getaddrinfo
_STOCK_TASK = Task.__base__
_WORKERS = 32  # of the default executor, on every machine: as many as asyncio gives it at most

# A hang that is met while these run is the end of a run already judged: it is reported, never raised.
_CLOSING = runners._cancel_all_tasks.__code__, runners.Runner.close.__code__  # type: ignore[attr-defined]


class Own:
    """What a loop has that asyncio's has not, and that is not in a hurry."""

    __slots__ = ("inventory", "uncaught", "hangs", "tasks")

    def __init__(self, loop: SolipsistEventLoop) -> None:
        self.inventory = Inventory(loop)
        self.uncaught = UncaughtErrors()
        self.hangs = Hangs(loop)
        self.tasks = itertools.count(1)  # numbers of tasks

    def let_go(self, loop: SolipsistEventLoop) -> None:
        """The loop is closed: with no cycle it ends as soon as nobody holds it, and the garbage collector has rest."""
        self.inventory.owner = self.hangs.loop = weakref.proxy(loop)


class SolipsistEventLoop(ChildProcesses):
    """An event loop on which time is virtual and the network is in memory: a machine of its own, in a test too.

    For `asyncio.Runner(loop_factory=SolipsistEventLoop)`, for `asyncio.run(main(), loop_factory=...)` from 3.12 on, or
    bare. `start_time` is the first `time()`, in seconds. With `autojump`, time jumps to the next deadline whenever
    nothing else can happen; without, only `advance()` moves it. `seed` decides what is left open.
    """

    # What type checkers do not know of asyncio's loop; tests/behaviours/test_asyncio_seam.py says why each is used.
    _check_closed: Callable[[], None]
    _check_default_executor: Callable[[], None]
    _check_running = base_events.BaseEventLoop._check_running  # type: ignore[attr-defined]  # in no test replaced
    _selector: selectors.BaseSelector
    _task_factory: Callable[..., Any] | None
    _executor_shutdown_called: bool
    _default_executor: concurrent.futures.Executor | None
    _ready: deque[Any]

    _closed = True  # until __init__ is through: __del__ asks

    def __init__(self, start_time: float = 0.0, *, autojump: bool = True, seed: int = 0) -> None:
        world = World(Kernel(start_time, seed), self)
        around = world_here()
        if around is not None:  # made by a program in a test, which answers for it
            world.guarded, world.escapes, world.around = around.guarded, around.escapes, around
        self._own = Own(self)
        super().__init__(world, VirtualSelector(world, self._own.hangs, autojump))
        world.kernel.on_blocking = refuse_to_block

    @property
    def inventory(self) -> Inventory:
        """What the program has made on this loop, and what will run."""
        return self._own.inventory

    @property
    def uncaught(self) -> UncaughtErrors:
        """The errors that nobody caught, and those that a test expects."""
        return self._own.uncaught

    # -- time

    @property
    def slow_callback_duration(self) -> float:
        """As asyncio's, in real seconds and always: a callback that takes longer is reported."""
        return self.selector.blocking.slow

    @slow_callback_duration.setter
    def slow_callback_duration(self, seconds: float) -> None:
        self.selector.blocking.slow = seconds
        self.selector.blocking.look_at = 0.0

    def call_at(self, when: float, callback: Callable[..., object], *args: Any,  # type: ignore[override]
                context: contextvars.Context | None = None) -> events.TimerHandle:
        """As asyncio's; of two timers at one instant the one made first runs first. NaN is a ValueError."""
        if when is None:
            raise TypeError("when cannot be None")
        return schedule(self, when, callback, args, context, "call_at")

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any,  # type: ignore[override]
                   context: contextvars.Context | None = None) -> events.TimerHandle:
        """As asyncio's; see `call_at`."""
        if delay is None:
            raise TypeError("delay must not be None")
        now = self.time()
        when = now + delay
        if when == now and delay > 0:
            when = now + self._clock.resolution  # a positive delay ends later than now, or time would never go on
        if (callback is not END_OF_SLEEP or context is not None or type(when) is not float or not self.is_lean
                or not when >= self.line.latest or len(args) != 2
                or ((_get_running_loop() is not self) if RUNNING_LOOP_IS_KNOWN else (self._thread_id != get_ident()))
                or args[1] is not None or type(args[0]) is not asyncio.Future
                or getattr(self.call_at, "__func__", None) is not _CALL_AT):
            if getattr(self.call_at, "__func__", None) is _CALL_AT:
                return schedule(self, when, callback, args, context, "call_later")
            return self.call_at(when, callback, *args, context=context)  # a program's, which asyncio's calls too
        # As schedule() does it, without a call: a test full of sleeps spends its time here.
        line, now, journal = self.line, self._clock.now, self.world.kernel.journal
        record = line.record
        if record[2] == when:
            when = record[2]  # thousands that sleep equally long share one
        timer = Sleep(when, args[0], self, now)
        line.latest = when
        line.queue.append(timer)
        if journal.enabled:
            if record[0] is not now or record[2] is not when:
                line.record = record = now, "sleep", when
            journal.records.append(record)
            if len(journal.records) >= FULL:
                journal.trim()
        return timer

    async def advance(self, seconds: float) -> None:
        """Run what is due within `seconds` from now, the end included, and be there exactly. Negative: ValueError."""
        await reach(self, self.time() + duration(seconds))

    async def advance_to(self, when: float) -> None:
        """Run everything due up to and including `when`, and be there exactly. The past is a ValueError."""
        await reach(self, when)

    async def settle(self) -> None:
        """Wait until nothing more can happen at this instant (*quiescent*); time does not move."""
        await reach(self, self.time())

    @contextlib.contextmanager
    def hold_clock(self) -> Iterator[Hold]:
        """Time stands still inside, and the loop really waits for what other threads bring."""
        hold = self.kernel.clock.hold("hold_clock()", user_place(3))
        try:
            yield hold
        finally:
            hold.release()
            self._write_to_self()

    # -- running, and hanging

    def run_forever(self) -> None:
        """As asyncio's, in a sealed thread."""
        self._check_idle()
        if by_thread.get(get_ident()) is not self.world:
            with inside(self.world):
                return SolipsistEventLoop.run_forever(self)
        self.selector.turns, blocking = 0, self.selector.blocking
        try:
            self.world.begin_run(self)  # it may wait for other threads
            blocking.begin_run(self._ready)
            super().run_forever()
        except BaseException:
            blocking.break_run()
            raise
        finally:
            self.world.end_run(self)
        blocking.end_run()

    def _check_idle(self) -> None:
        if self._closed or self._thread_id is not None or _get_running_loop() is not None:
            self._check_closed()
            self._check_running()

    def run_until_complete(self, future: Any) -> Any:
        """As asyncio's. A hang on the way is a SleepForeverError, whatever the program made of being cancelled."""
        self._check_idle()
        made_here = type(future) is CoroutineType or not futures.isfuture(future)
        if made_here:
            if type(future) is CoroutineType and _closes_nothing(self, future):
                next(self._own.tasks)
                try:  # noqa: SIM105 - suppress() costs more than all the rest
                    future.send(None)  # to run the loop for it would take as long as to make the loop
                except StopIteration:
                    pass
                return None
            future = ensure_future(future, loop=self)
            future._log_destroy_pending = False  # asyncio's own reason: an interrupt leaves it pending
        if isinstance(future, asyncio.Task):
            future.is_driven = True  # type: ignore[attr-defined]  # no leftover: its end is reported to who drives it
        return self._own.hangs.drive(future, super().run_until_complete, _is_closed_by_runner)

    # -- tasks

    def create_task(self, coro: Coroutine[Any, Any, T], *, name: str | None = None,  # type: ignore[override]
                    context: contextvars.Context | None = None, **kwargs: Any) -> asyncio.Task[T]:
        """As asyncio's; an unnamed task gets its number among the loop's tasks, the same in every run."""
        own = self._own
        number = next(own.tasks)  # of every task: before 3.13 asyncio names some only after they are made
        try:
            above: Any = WATCH.ask().f_back
        except NOT_ASKED:
            above = WATCH.again().f_back
        if above is None or above.f_globals is not OF_TASKS or type(place := above.f_back.f_trace) is not Place:
            place = place_above(above)  # which gather() finds on its frame from the second task on
        task: Any
        if self._task_factory is None and tasks.Task is _STOCK_TASK:
            if self._closed:
                self._check_closed()
            given = UNNAMED if name is None else name
            if kwargs or context is not None:
                task = Task.__new__(Task)
                task.number = number  # before it runs, as one does that begins at once
                Task.__init__(task, coro, loop=self, name=given, context=context, **kwargs)
            elif NEW_TASKS_ARE_HASHED:
                task = Task.__new__(Task)
                task.number = number
                Task.__init__(task, coro, loop=self, name=given)
            else:  # a call less
                task = Task(coro, loop=self, name=given)
                task.number = number
            if self._debug:
                del task._source_traceback[-1]
        else:  # of a program's own factory, or of what stands in the place of asyncio's class, as its pure Python one
            name = f"Task-{number}" if name is None else name
            task = Stock.create_task(self, coro, name=name, context=context, **kwargs)
        try:  # noqa: SIM105 - suppress() costs more than all the rest
            task.made_at = place
            if not (own.inventory.is_crowded and type(task) is Task):
                own.inventory.add_task(task, number)
            if (kwargs or type(task) is not Task) and task.done():  # 3.12.1 crashes when it is asked for its coroutine
                task.coroutine_name = getattr(coro, "__qualname__", type(coro).__name__)
            if is_background():
                self.selector.jobs.leave_task(task)
        except (AttributeError, TypeError):  # a program's own task factory may give anything
            pass
        return task  # type: ignore[no-any-return]

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As asyncio's; what a test expects is not logged."""
        expected = self.uncaught.is_expected(context, self.inventory.gone)
        if not expected or self.get_exception_handler() is not None:
            Stock.call_exception_handler(self, context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """As asyncio's; nobody has caught this error, so it fails the test."""
        if self.uncaught.note(context):
            Stock.default_exception_handler(self, context)

    def _asyncgen_firstiter_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        if not is_background():
            self.inventory.add_generator(agen, user_place(2))
        self._asyncgens = self._asyncgens or weakref.WeakSet()
        Stock._asyncgen_firstiter_hook(self, agen)  # type: ignore[attr-defined]

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        # As asyncio's, but the task that closes it knows what it closes.
        self._asyncgens.discard(agen)
        if not self.is_closed():
            self.call_soon_threadsafe(close_generator, self, agen)

    # -- threads

    def _make_self_pipe(self) -> None:
        """Other threads wake the loop without a real descriptor to write to."""

    _close_self_pipe = _make_self_pipe

    def _write_to_self(self) -> None:
        self.selector.wake()

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """As asyncio's. A job costs the virtual time that it waits, and no other."""
        self._check_closed()
        check_callback(func, "run_in_executor")
        if executor is None:
            self._check_default_executor()
            if self._default_executor is None:
                with sealed(self):
                    self._default_executor = concurrent.futures.ThreadPoolExecutor(_WORKERS, "asyncio")
            executor = self._default_executor
        future: asyncio.Future[T] = _submit(self, executor, func, args, place_here(2))
        self._own.inventory.add_future(future)
        return future

    def background(self) -> contextlib.AbstractContextManager[None]:
        """`with loop.background():` what is started inside is meant to run on; it does not hold the clock."""
        return self.selector.jobs.leave_running(self.kernel)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """As asyncio's, without the limit: what jobs still wait for passes in virtual time."""
        self._executor_shutdown_called = True
        if self._default_executor is not None:
            await self.selector.jobs.shut_down(self._default_executor, self)

    # -- names

    async def getaddrinfo(self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0,
                          flags: int = 0) -> Any:
        """As asyncio's, from the virtual resolver and without a thread; a slow name takes its virtual seconds."""
        # A program that puts its own function there, or in the place of what asyncio starts jobs by, means these too.
        if base_events.socket.getaddrinfo is not _GETADDRINFO or _has_own_jobs(self):  # type: ignore[attr-defined]
            return await Stock.getaddrinfo(self, host, port, family=family, type=type, proto=proto, flags=flags)
        try:
            return self.kernel.names.getaddrinfo(host, port, family, type, proto, flags)
        finally:  # an error takes as long as an answer
            seconds = self.kernel.names.delay(host)
            if seconds or self.kernel.choices.explorer is not None:
                await look_up_longer(self, host, seconds)

    async def _create_server_getaddrinfo(self, host: Any, port: Any, family: int, flags: int) -> list[Answer]:
        infos = await Stock._create_server_getaddrinfo(self, host, port, family, flags)  # type: ignore[attr-defined]
        return [Answer(number, info) for number, info in enumerate(infos)]

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """As asyncio's, from the virtual resolver and without a thread."""
        if _has_own_jobs(self):
            return await Stock.getnameinfo(self, sockaddr, flags)
        lookup = base_events.socket.getnameinfo  # type: ignore[attr-defined]  # the virtual one, or a program's own
        return lookup(sockaddr, flags)  # type: ignore[no-any-return]

    def close(self) -> None:
        """As asyncio's. Sockets that are still open are closed without a warning: nobody can use them any more."""
        was_closed, world = self._closed, self.world
        if world.baton.records:
            worlds.let_ready_run(world)
        try:
            super().close()
        finally:  # a program's own executor may raise, or be struck
            if self._closed and not was_closed:
                worlds.end(world)
                self._own.let_go(self)

    def __repr__(self) -> str:
        state = "running" if self.is_running() else "closed" if self.is_closed() else "idle"
        return f"<SolipsistEventLoop {state} t={self.time()!r}>"


def _has_own_jobs(loop: SolipsistEventLoop) -> bool:
    """Whether the program has replaced `run_in_executor()`."""
    return getattr(loop.run_in_executor, "__func__", None) is not _RUN_IN_EXECUTOR


def _closes_nothing(loop: SolipsistEventLoop, coroutine: CoroutineType[Any, Any, Any]) -> bool:
    """Whether a coroutine is one of a runner's end, with nothing to close and nothing to run beside it."""
    return (coroutine.cr_code in _OF_THE_END and (frame := coroutine.cr_frame) is not None
            and frame.f_locals["self"] is loop and type(loop) is SolipsistEventLoop and loop.is_idle()
            and not loop._asyncgens and loop._default_executor is None and loop._task_factory is None)


def _is_closed_by_runner() -> bool:
    """Whether the innermost run_until_complete() of this thread was called by the end of a runner."""
    codes = [frame.f_code for frame in outward(_getframe())]
    return any(caller in _CLOSING for caller in codes[codes.index(_RUN) + 1:][:1])


def _submit(loop: SolipsistEventLoop, executor: Any, function: Callable[..., object], args: tuple[Any, ...],
            place: Place | None) -> Any:
    """Give a job to an executor; gives the future of the loop that gets its result."""
    jobs = loop.world.jobs
    job = jobs.begin(f"executor job {names.name_of(function)}", place, executor)
    try:
        if by_thread.get(get_ident()) is loop.world and not job.holding:  # as mostly, and two blocks take their time
            source = executor.submit(Work(job, function), *args)
        else:
            with jobs.submitting(job, executor), sealed(loop):
                source = executor.submit(Work(job, function), *args)
    except BaseException:
        job.end()
        raise
    future: Any = jobs.follow(job, source, loop, vars(Behind)["call_soon_threadsafe"])
    future.made_at, future.job_name = job.place, job.reason
    return future


# The coroutines of a runner's end. Where there is nothing to close, they wait for nothing.
_OF_THE_END = (asyncio.BaseEventLoop.shutdown_asyncgens.__code__,
               SolipsistEventLoop.shutdown_default_executor.__code__)

_RUN = SolipsistEventLoop.run_until_complete.__code__
SolipsistEventLoop.beginning = Beginning(SolipsistEventLoop)
_CALL_AT, _RUN_IN_EXECUTOR = map(vars(SolipsistEventLoop).get, ("call_at", "run_in_executor"))

let_patches_reach(SolipsistEventLoop, (
    "time", "call_soon", "call_soon_threadsafe", "call_at", "call_later", "create_task", "run_in_executor",
    "shutdown_default_executor", "getaddrinfo", "getnameinfo", "_create_server_getaddrinfo", "add_reader", "add_writer",
    "connect_read_pipe", "connect_write_pipe", "subprocess_exec", "subprocess_shell", "add_signal_handler",
    "remove_signal_handler", "set_debug", "call_exception_handler", "default_exception_handler",
    "_start_serving", "_asyncgen_firstiter_hook", "_asyncgen_finalizer_hook", "_run_once",
    "remove_reader", "remove_writer", "_add_reader", "_add_writer", "_remove_reader", "_remove_writer"))


@functools.cache
def policy_class() -> type:
    """An event loop policy of SolipsistEventLoops; AttributeError where asyncio has no policies any more."""

    class SolipsistEventLoopPolicy(default_policy()):  # type: ignore[misc]
        """For `asyncio.set_event_loop_policy()` and tools that take a policy: each new loop is a SolipsistEventLoop."""

        @staticmethod
        def _loop_factory() -> Any:
            # What a program makes in a world is a loop of that world, as everywhere.
            return SolipsistEventLoop() if worlds.second_loop() is None else asyncio.SelectorEventLoop()

    return SolipsistEventLoopPolicy
