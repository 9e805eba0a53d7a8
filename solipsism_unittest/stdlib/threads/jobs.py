"""Work on other threads that holds the clock: executor jobs and `threading.Timer`s.

Owns which of them are unfinished, and the order in which their results reach the loop. There is one exception to the
rule that a job holds the clock: one that blocks in `concurrent.futures.Future.result()` lets go of it, because it may
wait for time itself.

Results are handed over in the order of submission, when every unfinished job is done or has let go. So they come in the
same order in every run. When none has come for `PATIENCE`, the results that are there are handed over: a job may wait
for what the loop does on the result of another. That order is real, and the journal says so.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import itertools
import queue
import threading
import weakref
from asyncio import futures, sleep
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

from ...introspection.names import name_of
from ...introspection.places import Place
from ...introspection.threads import Real
from ...kernel import Kernel
from ...kernel.clock import VirtualClock
from ...kernel.journal import Journal
from .background import background, in_background
from .job import Job, Met
from .workers import Workers

PATIENCE = 0.05  # real seconds
MANY_THREADS = 100  # each time that this many were started, the dead ones are forgotten

_Submitted = concurrent.futures.Future[Any]


class Jobs:
    """The jobs of one world. `wake()` makes its loop look again; any thread may call it."""

    def __init__(self, clock: VirtualClock, journal: Journal, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._journal = journal
        self.wake = wake
        self.lock = threading.RLock()
        self.working: dict[int, Job] = {}  # by thread
        self.line: dict[Job, None] = {}  # whose results are to be handed over, in the order of submission
        self.skipped: dict[Job, None] = {}  # see `Job.skip`
        self.busy = 0  # how many executor jobs are unfinished and have not let go
        self.waiting_since: float | None = None  # real time, of the latest result, while some are not handed over
        self.given_up = False  # one of them was waited for in vain
        self.workers = Workers()
        self.started: dict[threading.Thread, Place | None] = {}  # each thread, and where it was started
        self.pools: Any = ()  # a WeakSet, once it is needed: the thread pools that were made in this world
        self.left_tasks: Any = ()  # a WeakSet, once it is needed: the tasks that were made in background()
        self.left_running: list[range] = []  # the descriptors that were made in background()

    def begin(self, reason: str, place: Place | None, *, in_line: bool = True) -> Job:
        """Make a job, which holds the clock unless it is made inside `background()`."""
        job = Job(self, self._clock, reason, place, in_line=in_line)
        if not in_background():
            job.hold()
        return job

    def current(self) -> Job | None:
        """The job that runs on this thread."""
        return self.working.get(threading.get_ident())

    # -- executor jobs

    def follow(self, job: Job, source: Any, loop: Any) -> asyncio.Future[Any]:
        """Make a future of the loop that gets the job's result in its turn; cancelling it cancels the job."""
        if not isinstance(source, concurrent.futures.Future):
            job.end()
            return asyncio.wrap_future(source, loop=loop)
        future: asyncio.Future[Any] = loop.create_future()
        job.future, job.source = future, source
        future.job_source = source  # type: ignore[attr-defined]  # reports say what the future stands for
        self.line[job] = None
        future.add_done_callback(functools.partial(_pass_cancel, source))
        source.add_done_callback(functools.partial(self._done, job, loop))
        return future

    def _done(self, job: Job, loop: Any, source: _Submitted) -> None:
        if loop.is_closed():
            self.line.pop(job, None)
            job.end()
            return
        with self.lock:
            job.let_go()
            job.finished = True
            self.waiting_since = Real.monotonic()
        self.wake()

    def accompany(self, job: Job, source: _Submitted) -> None:
        """Let the job hold the clock until every callback of its future has run: one of them may wake the loop."""
        job.source = source
        with source._condition:
            pending = not source.done()
            if pending:
                source.add_done_callback(functools.partial(_last, job))
        if not pending:
            job.end()

    def patience(self) -> float | None:
        """How many real seconds to wait for other jobs before `lose_patience()`; None for no limit."""
        since = self.waiting_since
        if since is not None:
            return max(0.0, since + PATIENCE - Real.monotonic())
        return PATIENCE if self._queued() else None

    def lose_patience(self) -> None:
        """Hand over the results that are there. Where there is none, skip the jobs that no thread has taken."""
        if not self.deliver(late=True):
            for job in self._queued():
                job.skip()

    def _queued(self) -> list[Job]:
        """The jobs that hold the clock, where all of them wait for a thread and a job with a thread waits for time."""
        holds = [hold for hold in list(self._clock.holds) if isinstance(hold, Job) and hold.is_queued()]
        blocked = any(job.blocked_in is not None for job in list(self.working.values()))
        return holds if blocked and len(holds) == len(self._clock.holds) else []

    def deliver(self, *, late: bool = False) -> bool:
        """Hand results over, in the loop's thread, when no job is busy; `late` hands over what is there in any case."""
        with self.lock:
            busy = self.busy
            if self.waiting_since is None or (busy and not late):
                return False
            line = list(self.line)
            done = [job for job in line if job.finished]
            first = list(itertools.takewhile(lambda job: job.finished, line))
            if busy and first:
                done, left = first, len(done) - len(first)  # the next in order; the others may become it
            else:
                left = 0
            self.waiting_since = Real.monotonic() if left else None
            for job in done:
                del self.line[job]
        if busy:
            unfinished = f"{busy} unfinished job{'s' if busy > 1 else ''}"
            self._journal.note("real-order", (f"{len(done)} delivered before {unfinished}",))
        for job in done:
            assert job.source is not None and job.future is not None
            self._journal.add("job", job.reason.removeprefix("executor job "))
            if not job.future.done():
                futures._copy_future_state(job.source, job.future)  # type: ignore[attr-defined]
            job.release()
            job.forget()
        return True

    def pause(self, wakeups: SimpleQueue[None]) -> None:
        """Give the jobs PATIENCE to end, and hand over what is there."""
        deadline = Real.monotonic() + PATIENCE
        while self.busy and deadline > Real.monotonic():
            with contextlib.suppress(queue.Empty):
                wakeups.get(timeout=max(0.0, deadline - Real.monotonic()))
        self.deliver(late=True)

    def names(self) -> str:
        """What the loop waits for, with the place where each thread stands."""
        return "; ".join(map(repr, dict.fromkeys([*self._clock.holds, *self._awaited()])))

    def is_awaited(self) -> bool:
        """Whether somebody waits for the result of a job that does not hold the clock."""
        return bool(self._awaited())

    def _awaited(self) -> list[Job]:
        ours = 1
        return [job for job in list(self.line)
                if not job.finished and (job.blocked_in is None or job.comes_back) and job.future is not None
                and len(job.future._callbacks or ()) > ours]

    def give_up(self) -> None:
        """Release everything that holds the clock: the loop has waited long enough."""
        self.given_up = True
        for hold in list(self._clock.holds):
            if isinstance(hold, Job):
                hold.let_go()
            hold.release()

    async def shut_down(self, executor: concurrent.futures.Executor, loop: Any) -> None:
        """Wait for the executor's threads in real time, unless jobs were given up before."""
        if self.given_up:
            executor.shutdown(wait=False, cancel_futures=True)
            return
        over: asyncio.Future[None] = loop.create_future()

        def join() -> None:
            settle: Callable[[], None] = functools.partial(over.set_result, None)
            try:
                executor.shutdown(wait=True)
            except Exception as error:
                settle = functools.partial(over.set_exception, error)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(_unless_done, over, settle)

        hold = self._clock.hold("shutting the default executor down")
        with background():
            thread = threading.Thread(target=join)
            thread.start()
        try:
            await over
            thread.join()
        finally:
            hold.release()
        self.deliver(late=True)
        await sleep(0)  # for what awaits the results

    # -- what is started, and what is left

    @contextlib.contextmanager
    def leave_running(self, kernel: Kernel) -> Iterator[None]:
        """Do as `background()`; the descriptors that are made inside are no leaks either."""
        first = kernel.next_descriptor
        try:
            with background():
                yield
        finally:
            self.left_running.append(range(first, kernel.next_descriptor))

    def note_start(self, thread: threading.Thread, place: Place | None) -> None:
        """Note that a thread is about to be started: it is a leak when it is alive at the end."""
        if in_background():
            return
        if len(self.started) % MANY_THREADS == MANY_THREADS - 1:
            self.started = {known: there for known, there in self.started.items()
                            if known.is_alive() or known.ident is None}
        self.started[thread] = place

    def note_pool(self, pool: concurrent.futures.Executor) -> None:
        """Note that a thread pool was made: its workers belong to this world."""
        self.pools = self.pools or weakref.WeakSet()
        self.pools.add(pool)

    def leave_task(self, task: asyncio.Future[Any]) -> None:
        """Note that a task was made in background(): it is no leak."""
        self.left_tasks = self.left_tasks or weakref.WeakSet()
        self.left_tasks.add(task)

    def timer(self, thread: threading.Timer, run: Callable[[], None], place: Place | None) -> Callable[[], None]:
        """Make what a Timer runs instead of `run`: it holds the clock until the Timer has fired or was cancelled."""
        job = self.begin(f"threading.Timer({thread.interval!r}, {name_of(thread.function)})", place, in_line=False)
        job.thread = thread

        def known() -> None:
            try:
                with job.on_this_thread():
                    run()
            finally:
                job.end()

        return known

    def not_started(self, thread: threading.Thread) -> None:
        """Forget a thread that could not be started."""
        self.workers.forget(thread)
        self.started.pop(thread, None)
        for hold in list(self._clock.holds):
            if isinstance(hold, Job) and hold.thread is thread:
                hold.end()


def _unless_done(future: asyncio.Future[Any], settle: Callable[[], None]) -> None:
    if not future.done():
        settle()


def _pass_cancel(source: _Submitted, future: asyncio.Future[Any]) -> None:
    if future.cancelled():
        source.cancel()


def _last(job: Job, source: _Submitted) -> None:
    # add_done_callback() would call a new callback at once, before those that stand behind this one.
    source._done_callbacks.append(lambda done: job.end())  # type: ignore[attr-defined]


def result_of(jobs: Jobs, before: Callable[..., Any], source: _Submitted, timeout: float | None) -> Any:
    """Call `before(source, timeout)`, which is result() or exception() and blocks; a job lets go meanwhile."""
    job = jobs.current()
    if job is None or source.done():
        return before(source, timeout)
    with job.waiting(timeout, lambda come_back: source.add_done_callback(lambda done: come_back())):
        return before(source, timeout)


def met_by(jobs: Jobs, waiter: Any) -> Any:
    """Give the waiter of `concurrent.futures.wait()` an event at which a job lets go of the clock."""
    job = jobs.current()
    if job is not None:
        waiter.event = Met(job)
    return waiter
