"""`SolipsistEventLoop`: CPython's selector event loop on a virtual selector, in a virtual world.

Owns three things that CPython's loop leaves to the system: what time it is, which timer comes first of two at one instant,
and what follows from a hang. Transports, streams, servers and TLS are CPython's own code, untouched.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import heapq
import itertools
import math
import sys
from asyncio import events, futures, runners, selector_events
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NoReturn, TypeVar

from . import diagnosis
from .errors import SleepForeverError, SolipsismError
from .hermetic import sealed
from .kernel import Kernel
from .kernel.clock import Hold
from .places import user_place
from .selector import VirtualSelector

__unittest = True  # unittest leaves frames of this module out of a traceback

T = TypeVar("T")

# A hang that is met while these run is the end of a run already judged: it is told, never raised.
_CLOSING = frozenset({runners._cancel_all_tasks.__code__, runners.Runner.close.__code__})  # type: ignore[attr-defined]


class Timer(events.TimerHandle):
    """A TimerHandle that knows its place in the line: of two at one instant, the one made first runs first."""

    __slots__ = ("_sequence", "_made_at")

    def __lt__(self, other: Any) -> bool:
        if self._when == other._when:  # type: ignore[attr-defined]
            return self._sequence < other._sequence  # type: ignore[attr-defined, no-any-return]
        return self._when < other._when  # type: ignore[attr-defined, no-any-return]

    def _run(self) -> None:
        callback = self._callback  # type: ignore[attr-defined]
        journal = self._loop.kernel.journal  # type: ignore[attr-defined]
        journal.note("timer", self._sequence, getattr(callback, "__qualname__", type(callback).__name__))  # type: ignore[attr-defined]
        super()._run()  # type: ignore[misc]


class SolipsistEventLoop(selector_events.BaseSelectorEventLoop):
    """An event loop on which time is virtual and the network is in memory.

    For `asyncio.Runner(loop_factory=SolipsistEventLoop)`, for `asyncio.run(main(), loop_factory=...)` on 3.12 and later, or bare.
    `start_time` is the first `time()`, in seconds. With `autojump`, time jumps to the next deadline whenever nothing else can
    happen; without, only `advance()` moves it. `seed` decides what is left open.
    """

    def __init__(self, start_time: float = 0.0, *, autojump: bool = True, seed: int = 0) -> None:
        self.kernel = Kernel(start_time, seed)
        self._virtual_selector = VirtualSelector(self.kernel, autojump)
        self._timer_sequence = itertools.count(1)
        self._task_sequence = itertools.count(1)
        self._main: asyncio.Future[Any] | None = None
        self._verdict: SolipsismError | None = None
        self._times_stuck = 0
        super().__init__(self._virtual_selector)
        self._virtual_selector.next_timer = self._next_timer
        self._virtual_selector.on_stuck = self._stuck

    # -- time

    def time(self) -> float:
        """The virtual time in seconds; works on a closed loop too."""
        return self.kernel.clock.now

    @property
    def _clock_resolution(self) -> float:
        # `_run_once` takes timers before time() + this for due: the gap to the next float means "exactly due".
        return self.kernel.clock.resolution

    @_clock_resolution.setter
    def _clock_resolution(self, value: float) -> None:
        """BaseEventLoop.__init__ sets the real clock's; the virtual clock knows its own."""

    @property
    def autojump(self) -> bool:
        """Whether time jumps by itself when nothing else can happen."""
        return self._virtual_selector.autojump

    @autojump.setter
    def autojump(self, value: bool) -> None:
        self._virtual_selector.autojump = value

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any,
                context: contextvars.Context | None = None) -> events.TimerHandle:
        """As asyncio's; of two timers at one instant the one made first runs first. NaN is a ValueError."""
        if when is None:
            raise TypeError("when cannot be None")
        if math.isnan(when):
            raise ValueError("a timer cannot be due at NaN")
        self._check_closed()
        if self._debug:
            self._check_thread()
            self._check_callback(callback, "call_at")
        timer = Timer(when, callback, args, self, context)
        timer._sequence = next(self._timer_sequence)
        # A sleeping task says itself where it sleeps.
        timer._made_at = None if callback is futures._set_result_unless_cancelled else user_place(2)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def _next_timer(self) -> float:
        # `_run_once` has just taken the cancelled ones off the top.
        return self._scheduled[0]._when if self._scheduled else math.inf

    async def advance(self, seconds: float) -> None:
        """Run everything due within `seconds` from now, the end included, and be there exactly. A negative one is a ValueError."""
        if not seconds >= 0:
            raise ValueError(f"cannot advance by {seconds!r} seconds: time only moves forward")
        await self.advance_to(self.time() + seconds)

    async def advance_to(self, when: float) -> None:
        """Run everything due up to and including `when`, and be there exactly. The past is a ValueError."""
        if when == math.inf:
            raise ValueError("cannot advance for ever")
        done = self.create_future()
        self.kernel.clock.stop_at(float(when), lambda: done.done() or done.set_result(None))
        await done

    async def settle(self) -> None:
        """Wait until nothing more can happen at this instant (*quiescent*); time does not move."""
        await self.advance_to(self.time())

    @contextlib.contextmanager
    def hold_clock(self) -> Iterator[Hold]:
        """Time stands still inside, and the loop really waits for what other threads bring."""
        hold = self.kernel.clock.hold("hold_clock()", user_place(3))
        try:
            yield hold
        finally:
            self._release(hold)

    def _release(self, hold: Hold) -> None:
        hold.release()
        self._write_to_self()

    # -- running, and hanging

    def run_forever(self) -> None:
        """As asyncio's, in a sealed thread."""
        with sealed(self):
            super().run_forever()

    def run_until_complete(self, future: Any) -> Any:
        """As asyncio's. A hang on the way is a SleepForeverError, whatever the program made of being cancelled."""
        self._check_closed()
        self._check_running()
        made_here = not futures.isfuture(future)
        future = asyncio.ensure_future(future, loop=self)
        if made_here:
            future._log_destroy_pending = False  # asyncio's own reason: an interrupt leaves it pending
        self._main, self._verdict, self._times_stuck = future, None, 0
        try:
            result = super().run_until_complete(future)
        except asyncio.CancelledError:
            if self._verdict is None:
                raise
        except Exception as error:
            if self._verdict is None or self._verdict is error:
                raise
            # What the program raised on being cancelled is told below the hang, as what came with it.
            raise self._verdict from error
        finally:
            self._main = None
        if self._verdict is not None:
            if sys._getframe(1).f_code not in _CLOSING:
                raise self._verdict
            self.call_exception_handler({"message": "a hang while the runner closed", "exception": self._verdict})
        return result

    def _stuck(self, kind: type[SolipsismError], reason: str) -> None:
        """Called inside select() when nothing can go on."""
        waiting = asyncio.all_tasks(self)
        ready = [f"  ready to run: {diagnosis.plain(handle)}" for handle in list(self._ready)[:5]]
        error = kind(diagnosis.report(reason, self.kernel, waiting, ready))
        self.kernel.journal.note("stuck", kind.__name__)
        self._times_stuck += 1
        if self._main is None:
            raise error
        if self._verdict is None:
            self._verdict = error.with_traceback(diagnosis.awaiting_line(self._main))
        if self._times_stuck == 1:
            self._main.cancel()
        elif self._times_stuck == 2:
            for task in waiting:
                task.cancel()
        else:
            names = ", ".join(sorted(task.get_name() for task in waiting))
            self._verdict.add_note(f"cancelled twice, and still waiting: {names}")
            raise self._verdict

    # -- tasks

    def create_task(self, coro: Coroutine[Any, Any, T], *, name: str | None = None,  # type: ignore[override]
                    context: contextvars.Context | None = None, **kwargs: Any) -> asyncio.Task[T]:
        """As asyncio's; an unnamed task gets the loop's next number, so that names are the same in every run."""
        if name is None:
            name = f"Task-{next(self._task_sequence)}"
        place = user_place(2)
        task = super().create_task(coro, name=name, context=context, **kwargs)
        task._made_at = place  # type: ignore[attr-defined]
        return task

    # -- threads

    def _make_self_pipe(self) -> None:
        """Other threads wake the loop through a queue; there is no real descriptor to write to."""

    def _close_self_pipe(self) -> None:
        """See `_make_self_pipe`."""

    def _write_to_self(self) -> None:
        self._virtual_selector.wakeups.put(None)

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """As asyncio's. Time stands still until the job is done: it costs no virtual time."""
        self._check_closed()
        if self._debug:
            self._check_callback(func, "run_in_executor")
        if executor is None:
            self._check_default_executor()
            if self._default_executor is None:
                self._default_executor = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="asyncio")
            executor = self._default_executor
        hold = self.kernel.clock.hold(f"executor job {getattr(func, '__qualname__', repr(func))}", user_place(2))
        try:
            with sealed(self):
                job = executor.submit(func, *args)
        except BaseException:
            hold.release()
            raise
        future = asyncio.wrap_future(job, loop=self)
        # Behind wrap_future's own callback: the result is under way before time may go on.
        job.add_done_callback(lambda done: self._job_done(hold))
        return future

    def _job_done(self, hold: Hold) -> None:
        if self.is_closed():
            hold.release()
        else:
            self.call_soon_threadsafe(hold.release)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """As asyncio's, but it really joins: `timeout` would be virtual and over at once."""
        hold = self.kernel.clock.hold("shutting the default executor down")
        try:
            await super().shutdown_default_executor()
        finally:
            hold.release()

    # -- names

    async def getaddrinfo(self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0,  # type: ignore[override]
                          flags: int = 0) -> Any:
        """As asyncio's, from the virtual resolver and without a thread."""
        return self.kernel.names.getaddrinfo(host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:  # type: ignore[override]
        """As asyncio's, from the virtual resolver and without a thread."""
        return self.kernel.names.getnameinfo(sockaddr, flags)

    def close(self) -> None:
        """As asyncio's; sockets that are still open are closed without a word, for nobody can use them any more."""
        if self.is_running() or self.is_closed():
            super().close()
            return
        super().close()
        for file in list(self.kernel.files.values()):
            self.kernel.close(file)

    def __repr__(self) -> str:
        state = "running" if self.is_running() else "closed" if self.is_closed() else "idle"
        return f"<SolipsistEventLoop {state} t={self.time()!r}>"


def _not_there_yet(name: str) -> Any:
    def refuse(self: SolipsistEventLoop, *args: Any, **kwargs: Any) -> NoReturn:
        raise SolipsismError(f"{name}() is not there yet: this world has TCP (create_server, create_connection) and socketpair()")

    refuse.__name__ = name
    refuse.__doc__ = f"Not there yet: `{name}` raises SolipsismError."
    return refuse


for _name in ("create_datagram_endpoint", "create_unix_connection", "create_unix_server", "connect_read_pipe",
              "connect_write_pipe", "subprocess_shell", "subprocess_exec", "add_signal_handler", "remove_signal_handler"):
    setattr(SolipsistEventLoop, _name, _not_there_yet(_name))
