"""A job: one piece of work on another thread, and the hold that it has on the clock."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import threading
from _thread import RLock
from collections.abc import Callable
from math import inf
from typing import Any, Protocol

from ...introspection.places import Place
from ...introspection.threads import standing
from ...kernel.clock import Hold, VirtualClock
from .background import is_background
from .pacing.baton import Baton
from .pacing.record import WAITING

_Submitted = concurrent.futures.Future[Any]


class Crew(Protocol):
    """What a job reads and writes of the other jobs of its world."""

    lock: RLock
    baton: Baton
    busy: int  # how many executor jobs hold the clock
    working: dict[int, Job]  # by thread
    skipped: dict[Job, None]  # without a thread, while others wait for time
    wake: Callable[[], None]  # makes the loop look again


class Job(Hold):
    """One piece of work on another thread, and the hold that it has."""

    def __init__(self, jobs: Crew, clock: VirtualClock, reason: str, place: Place | None) -> None:
        super().__init__(clock, reason, place)
        self._jobs = jobs
        self.is_paced = False  # its thread takes turns from the beginning
        self.holding = False
        self.finished = False
        self.in_background = is_background()  # it is meant to run on
        self.ident: int | None = None  # of its thread, while it runs
        self.future: asyncio.Future[Any] | None = None  # of the loop: gets the result
        self.source: _Submitted | None = None  # of the executor: has the result
        self.pool: Any = None  # of threads, one of which will run it

    def hold(self) -> None:
        """Keep time from moving. Any thread may call it."""
        with self._jobs.lock:
            if not self.holding and not self.finished:
                self.holding = True
                self._jobs.busy += 1
                self._clock.holds[self] = None

    def let_go(self) -> None:
        """Let the results of other jobs pass. Time goes on when the hold is released too."""
        with self._jobs.lock:
            if self.holding:
                self.holding = False
                self._jobs.busy -= 1

    def skip(self) -> None:
        """Let time go on without this job: no thread has taken it yet, and the jobs that have one wait for time."""
        with self._jobs.lock:
            self._jobs.skipped[self] = None
            self.let_go()
            self.release()

    def end(self) -> None:
        """The job is over, and has no result to hand over."""
        self.let_go()
        self.finished = True
        self.release()
        self.forget()
        self._jobs.wake()

    def is_queued(self) -> bool:
        """Whether it may wait for a worker of an executor that is none of threads, and has begun nowhere here."""
        source = self.source  # which its thread may take away meanwhile
        return (source is not None and not source.done() and self.pool is None
                and (self.ident is None or not source.running()))

    def is_waiting(self, *, for_ever: bool = False) -> bool:
        """Whether its thread waits in virtual time, or does so without a deadline."""
        return self._is_waiting(self.ident, for_ever)

    def is_for_nobody(self, pool: Any) -> bool:
        """Whether all workers of its pool, which may take it, wait without a deadline: for it, for example."""
        return self.ident is None and pool is not None and bool(pool._threads) and all(
            self._is_waiting(thread.ident, True) for thread in pool._threads)

    def _is_waiting(self, ident: int | None, for_ever: bool) -> bool:
        record = self._jobs.baton.records.get(ident or 0)
        return record is not None and record.state is WAITING and (not for_ever or record.deadline == inf)

    def pass_cancel(self, future: asyncio.Future[Any]) -> None:
        """The loop's future is done: where it was cancelled, so is the job."""
        source = self.source
        if source is not None and future.cancelled():
            source.cancel()

    def forget(self) -> None:
        """Its result is the program's alone from now on, as nobody else's; a cycle would keep it until a collection."""
        self.future = self.source = self.pool = None

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run it, on the current thread: that thread takes turns, and so the job need not hold the clock."""
        self.ident = ident = threading.get_ident()
        working, baton = self._jobs.working, self._jobs.baton
        before = working.get(ident)
        working[ident] = self
        was_holding = self.holding or bool(self._jobs.skipped) and self in self._jobs.skipped
        is_first = not baton.records
        record = baton.here()
        if was_holding:
            self._jobs.skipped.pop(self, None)
        is_freed = self.in_background and record is not None and not record.is_free
        if record is not None:
            if is_freed:
                baton.set_free(record, True)
            if was_holding:
                self.let_go()
                self.release()
            if is_first:
                self._jobs.wake()  # the loop waits in real time as long as nobody takes turns
        try:
            return function(*args, **kwargs)
        finally:
            if was_holding:
                self.hold()  # until its result is known
            if is_freed and record is not None:
                baton.set_free(record, False)
            self.ident = None
            if before is None:
                del working[ident]
            else:
                working[ident] = before

    def __repr__(self) -> str:
        if self.ident is not None:
            return super().__repr__() + standing(self.ident)
        return super().__repr__()


class Work:
    """A job's function: it notes on which thread the job runs. Another process gets the plain function."""

    def __init__(self, job: Job, function: Callable[..., Any]) -> None:
        self.job = job
        self.__wrapped__ = function

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.job.run(self.__wrapped__, args, kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial, (self.__wrapped__,)
