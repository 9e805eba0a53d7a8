"""A job: one piece of work on another thread, and the hold that it has on the clock."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ...introspection.places import Place
from ...introspection.threads import standing
from ...kernel.clock import Hold, VirtualClock
from .background import in_background

_Submitted = concurrent.futures.Future[Any]


class Crew(Protocol):
    """What a job reads and writes of the other jobs of its world."""

    lock: threading.RLock
    busy: int  # how many executor jobs hold the clock
    working: dict[int, Job]  # by thread
    skipped: dict[Job, None]  # without a thread, while others wait for time
    wake: Callable[[], None]  # makes the loop look again


class Job(Hold):
    """One piece of work on another thread, and the hold that it has."""

    def __init__(self, jobs: Crew, clock: VirtualClock, reason: str, place: Place | None, *, in_line: bool) -> None:
        super().__init__(clock, reason, place)
        self._jobs = jobs
        self.in_line = in_line  # results of others wait for it
        self.holding = False
        self.finished = False
        self.in_background = in_background()  # it is meant to run on
        self.thread: threading.Thread | None = None  # of a Timer
        self.ident: int | None = None  # of its thread, while it runs
        self.blocked_in: object = None  # the wait in which it blocks, after it has let go
        self.comes_back = False  # that wait has a timeout, which ends it
        self.endless = False  # that wait has no timeout of its own: it looks now and then whether its loop is there
        self.future: asyncio.Future[Any] | None = None  # of the loop: gets the result
        self.source: _Submitted | None = None  # of the executor: has the result
        self.pool: Any = None  # of threads, one of which will run it

    def hold(self) -> None:
        """Keep time from moving. Any thread may call it."""
        with self._jobs.lock:
            if not self.holding and not self.finished:
                self.holding = True
                self._jobs.busy += self.in_line
                self._clock.holds[self] = None

    def let_go(self) -> None:
        """Let the results of other jobs pass. Time goes on when the hold is released too."""
        with self._jobs.lock:
            if self.holding:
                self.holding = False
                self._jobs.busy -= self.in_line

    def skip(self) -> None:
        """Let time go on without this job: no thread has taken it yet, and the jobs that have one wait for time."""
        with self._jobs.lock:
            self._jobs.skipped[self] = None
            self.let_go()
            self.release()

    def end_skip(self) -> None:
        """Hold the clock again where `skip` released it."""
        with self._jobs.lock:
            if self in self._jobs.skipped:
                del self._jobs.skipped[self]
                self.hold()

    def end(self) -> None:
        """The job is over, and has no result to hand over."""
        self.let_go()
        self.finished = True
        self.release()
        self.forget()
        self._jobs.wake()

    def is_queued(self) -> bool:
        """Whether it waits for a thread, and every thread of its pool has a job that waits itself.

        Any other thread of the pool is going to take it, however long it is about it: it may not have begun yet.
        """
        source = self.source  # which its thread may take away meanwhile
        if source is None or source.running() or source.done():
            return False
        ahead = [self._jobs.working.get(thread.ident or 0) for thread in list(getattr(self.pool, "_threads", ()))]
        return all(job is not None and job.blocked_in is not None for job in ahead)

    def forget(self) -> None:
        """Its result is the program's alone from now on, as nobody else's; a cycle would keep it until a collection."""
        self.future = self.source = self.pool = None

    @contextlib.contextmanager
    def on_this_thread(self) -> Iterator[None]:
        """The job runs on the current thread inside."""
        self.ident = ident = threading.get_ident()
        working = self._jobs.working
        before = working.get(ident)
        working[ident] = self
        self.end_skip()
        try:
            yield
        finally:
            self.ident = None
            if before is None:
                del working[ident]
            else:
                working[ident] = before

    @contextlib.contextmanager
    def waiting(self, timeout: float | None, subscribe: Callable[[Callable[[], None]], object]
                ) -> Iterator[None]:
        """The job blocks inside, and lets go of the clock until the wait is over.

        `subscribe(come_back)` is called first. Who ends the wait calls `come_back()` before the job's thread wakes up:
        time must not go on in between.
        """
        wait = object()
        was_holding = self.holding

        def come_back() -> None:
            with self._jobs.lock:
                if self.blocked_in is wait:
                    self.blocked_in = None
                    if was_holding:
                        self.hold()
                    for job in list(self._jobs.skipped):
                        job.end_skip()

        self.blocked_in, self.comes_back = wait, timeout is not None and not self.endless
        subscribe(come_back)
        with self._jobs.lock:
            if self.blocked_in is wait:  # what it waits for is not there yet
                self.let_go()
                self.release()
        self._jobs.wake()
        try:
            yield
        finally:
            come_back()

    def __repr__(self) -> str:
        if self.ident is not None:
            return super().__repr__() + standing(self.ident)
        return super().__repr__()


class Work:
    """A job's function: it notes on which thread the job runs. Another process gets the plain function."""

    def __init__(self, job: Job, function: Callable[..., Any]) -> None:
        self._job = job
        self.__wrapped__ = function

    def goes_to(self, pool: concurrent.futures.Executor) -> None:
        """Note which pool of threads it was handed to."""
        self._job.pool = pool

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._job.on_this_thread():
            return self.__wrapped__(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial, (self.__wrapped__,)


class Met(threading.Event):
    """The event in which a job blocks when it calls `concurrent.futures.wait()` or `as_completed()`."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self._come_back: Callable[[], None] = lambda: None

    def set(self) -> None:
        super().set()
        self._come_back()

    def wait(self, timeout: float | None = None) -> bool:
        with self._job.waiting(timeout, self._arm):
            return super().wait(timeout)

    def _arm(self, come_back: Callable[[], None]) -> None:
        self._come_back = come_back
        if self.is_set():  # it was set before there was a function to call
            come_back()
