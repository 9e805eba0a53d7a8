"""Work on other threads: executor jobs, and the threads, pools and tasks that a test has started.

Owns which jobs are unfinished, and how their results reach the loop. The threads of a pool that was made in the world
take turns (pacing/), and results come in the order in which the jobs ended. Any other job, of a process or of a pool
from before the test, holds the clock until its thread takes turns too, or its result is there. Such results are handed
over in the order of submission, when every unfinished job is done or has let go. When none has come for `PATIENCE`, the
results that are there are handed over: a job may wait for what the loop does on the result of another. That order is
real, and the journal says so.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import itertools
import queue
import threading
import types
import weakref
from _thread import RLock, allocate_lock
from asyncio import _get_running_loop, futures, sleep
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import Any

from ...introspection.places import Place
from ...introspection.threads import Real
from ...kernel import Kernel
from ...kernel.addresses.hosts import Home
from ...kernel.choices import Explorer
from ...kernel.choices.kinds import JOB
from ...kernel.clock import VirtualClock
from ...kernel.journal import Journal
from ...pythons import runs_elsewhere
from .background import background, in_background
from .job import Job
from .pacing.baton import Baton
from .pacing.calls import BareThread

PATIENCE = 0.05  # real seconds
MANY_THREADS = 100  # each time that this many were started, the dead ones are forgotten

# What a pool is made with beside its size, in this version of Python or another.
_GIVEN = {"_initializer", "_initargs", "_create_worker_context", "_resolve_work_item"}

_FINISHED = concurrent.futures._base.FINISHED
_Submitted = concurrent.futures.Future[Any]


class Wakeups:
    """What other threads call a loop with that waits for them. Calls that it has not seen yet count as one.

    Not a `SimpleQueue`: on Python 3.11 and 3.12 its `get()` waits for ever when a signal handler, such as that of the
    limit in real time, runs at the very end of the timeout.
    """

    __slots__ = ("_nobody", "empty", "take")

    def __init__(self) -> None:
        self._nobody = allocate_lock()  # held while nobody calls
        self._nobody.acquire()
        self.empty = self._nobody.locked
        self.take = self._nobody.acquire  # with False: the calls that are there; whether there were any

    def put(self, call: None) -> None:
        """Call, from any thread or signal handler."""
        try:  # not suppress(), which takes longer than all the rest
            self._nobody.release()
        except RuntimeError:  # it was called before
            return

    def get(self, timeout: float) -> None:
        """Wait for a call for `timeout` real seconds; queue.Empty where none has come."""
        if not Real.acquire(self._nobody, timeout=timeout):
            raise queue.Empty


class _Submitting:
    """A block in which a job is in the hand of this thread."""

    __slots__ = ("_in_hand", "_what")

    def __init__(self, in_hand: dict[int, tuple[Job, Any]], *what: Any) -> None:
        self._in_hand, self._what = in_hand, what

    def __enter__(self) -> None:
        self._in_hand[threading.get_ident()] = self._what

    def __exit__(self, *exc_info: object) -> None:
        del self._in_hand[threading.get_ident()]


_NONE: Any = types.MappingProxyType({})


class Jobs:
    """The jobs of one world. `wake()` makes its loop look again; any thread may call it."""

    # Most worlds have neither jobs nor threads: what is noted of those is made for the first one.
    working: dict[int, Job] = _NONE  # by thread
    skipped: dict[Job, None] = _NONE  # see `Job.skip`
    homes: dict[int, Home] = _NONE  # by thread, of those that run on another host than the test
    started: dict[threading.Thread | BareThread, Place | None] = _NONE  # each thread, and where it was started
    pools: Any = ()  # a WeakSet, once it is needed: the thread pools that were made in this world
    left_tasks: Any = ()  # a WeakSet, once it is needed: the tasks that were made in background()
    left_running: list[range] | tuple[()] = ()  # the descriptors that were made in background()
    _in_hand: dict[int, tuple[Job, Any]] = _NONE  # by thread: what is being submitted, and to which pool
    _in_place: dict[Any, ThreadPoolExecutor] = _NONE  # by a pool from before: the one that does its work here

    def __init__(self, clock: VirtualClock, journal: Journal, wake: Callable[[], None], baton: Baton) -> None:
        self._clock = clock
        self._journal = journal
        self.wake = wake
        self.baton = baton
        self.lock = RLock()
        self.line: dict[Job, None] = {}  # whose results are to be handed over, in the order of submission
        self.busy = 0  # how many executor jobs are unfinished and have not let go
        self.waiting_since: float | None = None  # real time, of the latest result, while some are not handed over
        self.given_up = False  # one of them was waited for in vain
        self.explorer: Explorer | None = None  # says how long a result is on its way

    def prepare(self) -> None:
        """Make room for what is noted of jobs and threads."""
        with self.lock:
            if self.working is _NONE:
                self.skipped, self.homes, self.started, self._in_hand, self._in_place = {}, {}, {}, {}, {}
                self.working = {}  # the last one: who sees it finds all others

    def begin(self, reason: str, place: Place | None, pool: Any = None) -> Job:
        """Make a job. It holds the clock, unless it is made in `background()` or the threads of its pool take turns."""
        if self.working is _NONE:
            self.prepare()
        job = Job(self, self._clock, reason, place)
        job.is_paced = type(pool) is ThreadPoolExecutor or self.is_paced(pool)
        if not job.is_paced and not job.in_background:
            job.hold()
        return job

    def is_paced(self, pool: Any) -> bool:
        """Whether the threads of a pool take turns, or of the one in its place."""
        return isinstance(pool, ThreadPoolExecutor) and not runs_elsewhere(pool)

    def pool_for(self, pool: Any) -> Any:
        """The pool that does the work of this one: one from before the test has another in its place, of its size."""
        if pool in self.pools or pool._shutdown or not self.is_paced(pool) or self.baton.over:
            return pool
        ours = self._in_place.get(pool)
        if ours is None or ours._shutdown:
            self.prepare()
            self._in_place[pool] = ours = ThreadPoolExecutor(pool._max_workers, pool._thread_name_prefix)
            vars(ours).update({name: vars(pool)[name] for name in _GIVEN & vars(pool).keys()})
        return ours

    def is_in_place(self, pool: Any) -> bool:
        """Whether a pool does the work of one from before: nobody has to end it."""
        return any(pool is ours for ours in self._in_place.values())

    def shut_down_in_place(self, pool: Any = None, **how: Any) -> None:
        """Shut down the pool in the place of this one, or all of these."""
        for old, ours in list(self._in_place.items()):
            if pool is None or pool is old:
                ours.shutdown(**how)

    def wait_for_those_in_place(self) -> None:
        """Let their threads end that have nothing to do, for they were not there before the test."""
        until = Real.monotonic() + PATIENCE if self._in_place else 0.0
        for thread in [thread for ours in self._in_place.values() for thread in ours._threads]:
            if thread.ident not in self.working:
                thread.join(max(0.0, until - Real.monotonic()))

    def current(self) -> Job | None:
        """The job that runs on this thread."""
        return self.working.get(threading.get_ident())

    # -- executor jobs

    def submitting(self, job: Job, pool: Any) -> _Submitting:
        """The job is handed to this pool inside, which may put it into another: to wait first, for example."""
        return _Submitting(self._in_hand, job, pool)

    def replace_in_hand(self, pool: Any) -> None:
        """A job was made that does the work of the one in hand: that one does not hold the clock beside it."""
        outer, its_pool = self._in_hand.get(threading.get_ident(), (None, None))
        if outer is not None and its_pool is pool:
            outer.let_go()
            outer.release()

    def follow(self, job: Job, source: Any, loop: asyncio.AbstractEventLoop, call: Callable[..., object]
               ) -> asyncio.Future[Any]:
        """Make a future of the loop that gets the job's result in its turn; cancelling it cancels the job.

        `call` is what the loop has as `call_soon_threadsafe` where the program has not put its own there.
        """
        if not isinstance(source, concurrent.futures.Future):
            job.end()
            return asyncio.wrap_future(source, loop=loop)
        future: asyncio.Future[Any] = loop.create_future()
        job.future, job.source = future, source
        future.job_source = source  # type: ignore[attr-defined]  # reports say what the future stands for
        self.line[job] = None
        future.add_done_callback(job.pass_cancel)
        source.add_done_callback(functools.partial(self._done, job, loop, call))
        return future

    def _done(self, job: Job, loop: asyncio.AbstractEventLoop, ours: Callable[..., object], source: _Submitted) -> None:
        if loop.is_closed():
            self.line.pop(job, None)
            job.end()
            return
        call = loop.call_soon_threadsafe
        if getattr(call, "__func__", None) is not ours:  # the program's own: it is for that to hand over
            self.line.pop(job, None)
            try:
                call(self._settle, job.reason, source, job.future)
            finally:
                job.end()
            return
        with self.lock:
            if job.holding:
                job.let_go()
            job.finished = True
            if job.is_paced:  # these come in the order in which they end
                self.line.pop(job, None)
                self.line[job] = None
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
        """The jobs that hold the clock, where all of them wait for a thread and what has a thread waits for time."""
        holds = [hold for hold in list(self._clock.holds) if isinstance(hold, Job) and hold.is_queued()]
        if not holds or len(holds) != len(self._clock.holds):
            return []
        blocked = any(job.is_waiting() for job in list(self.working.values()))
        return holds if blocked or self.baton.next_deadline() < inf and self.baton.only_time_acts() else []

    def deliver(self, *, late: bool = False) -> bool:
        """Hand results over, in the loop's thread, when no job is busy; `late` hands over what is there in any case."""
        with self.lock:
            busy = self.busy
            if self.waiting_since is None or (busy and not late):
                return False
            line, left = list(self.line), 0
            done = [job for job in line if job.finished]
            if busy and (first := list(itertools.takewhile(lambda job: job.finished, line))):
                done, left = first, len(done) - len(first)  # the next in order; the others may become it
            self.waiting_since = Real.monotonic() if left else None
            for job in done:
                del self.line[job]
        if busy:
            unfinished = f"{busy} unfinished job{'s' if busy > 1 else ''}"
            self._journal.note("real-order", (f"{len(done)} delivered before {unfinished}",))
        for job in done:
            now = self._clock.now
            when = now if self.explorer is None else self.explorer.later(JOB, now, job.reason, job.place)
            if self.explorer is None or when == now:
                self._hand_over(job)
            else:
                job.release()
                self.explorer.carry(now, when, functools.partial(self._hand_over, job))
        return True

    def _hand_over(self, job: Job) -> None:
        assert job.source is not None and job.future is not None
        loop, here = job.future.get_loop(), _get_running_loop()
        if here is not None and here is not loop and not loop.is_closed():
            loop.call_soon_threadsafe(self._hand_over, job)
            return
        if self.explorer is None:  # or the callback has its turn, and the machine may stall there
            job.future.remove_done_callback(job.pass_cancel)
        self._settle(job.reason, job.source, job.future)
        job.release()
        job.forget()

    def _settle(self, reason: str, source: _Submitted, future: Any) -> None:
        self._journal.add("job", reason.removeprefix("executor job "))
        if future.done():
            return
        if type(source) is concurrent.futures.Future and source._state == _FINISHED and source._exception is None:
            future.set_result(source._result)  # as below, where a version before 3.15 takes a lock four times
        else:
            futures._copy_future_state(source, future)  # type: ignore[attr-defined]

    def pause(self, wait: Callable[[float], object]) -> None:
        """Give the jobs PATIENCE to end, and hand over what is there; `wait(seconds)` for a sign of them."""
        deadline = Real.monotonic() + PATIENCE
        while self.busy and deadline > Real.monotonic():
            wait(max(0.0, deadline - Real.monotonic()))
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
                if not job.finished and not job.is_waiting(for_ever=True) and job.future is not None
                and not job.is_for_nobody(self._in_place.get(job.pool, job.pool))
                and len(job.future._callbacks or ()) > ours]

    def give_up(self) -> None:
        """Release everything that holds the clock: the loop has waited long enough."""
        self.given_up = True
        for hold in list(self._clock.holds):
            if isinstance(hold, Job):
                hold.let_go()
            hold.release()

    async def shut_down(self, executor: concurrent.futures.Executor, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the executor's threads, unless jobs were given up before."""
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

        thread = threading.Thread(target=join)
        thread.start()
        self.not_started(thread)
        await over
        thread.join()
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
            left = self.left_running = self.left_running or []
            left.append(range(first, kernel.next_descriptor))

    def note_start(self, thread: threading.Thread | BareThread, place: Place | None) -> None:
        """Note that a thread is about to be started: it is a leak when it is alive at the end."""
        if in_background():
            return
        self.prepare()
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

    def not_started(self, thread: threading.Thread | BareThread) -> None:
        """Forget a thread that could not be started, or that is ours."""
        self.started = {known: there for known, there in self.started.items() if known is not thread}


def _unless_done(future: asyncio.Future[Any], settle: Callable[[], None]) -> None:
    if not future.done():
        settle()


def _last(job: Job, source: _Submitted) -> None:
    # add_done_callback() would call a new callback at once, before those that stand behind this one.
    source._done_callbacks.append(lambda done: job.end())  # type: ignore[attr-defined]
