"""What a sealed thread starts is sealed too: threads, pools and their jobs."""

from __future__ import annotations

import functools
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from ...introspection import modules, names
from ...introspection.places import user_place
from ..threads import background, jobs
from ..threads.job import Work
from ..worlds import World, by_thread, inside, thread_id
from . import permits


def make_thread_start(before: Any) -> Any:
    """`Thread.start`: what a sealed thread starts lives in the same world."""
    @functools.wraps(before)
    def start(self: threading.Thread) -> None:
        world = by_thread.get(thread_id())
        # One that was started before says so itself.
        if world is None or self.ident is not None or modules.manages_processes(sys._getframe(1)):
            before(self)
            return
        run = self.run
        known = run
        pool = _pool_of(sys._getframe(1))
        if pool is None or pool in world.jobs.pools and pool is not getattr(world.loop, "_default_executor", None):
            world.jobs.note_start(self, user_place(2))
        if isinstance(self, threading.Timer):
            known = world.jobs.timer(self, run, user_place(2))
        elif not background.in_background() and pool is None:
            known = world.jobs.workers.started(self, run, user_place(2))
        self.run = _inside(world, known)  # type: ignore[method-assign]
        try:
            before(self)
        except BaseException:
            self.run = run  # type: ignore[method-assign]
            world.jobs.not_started(self)
            raise

    return start


def _pool_of(starter: types.FrameType) -> Any:
    """The thread pool that starts a worker; None where it is no pool that starts a thread."""
    return starter.f_locals["self"] if starter.f_globals.get("__name__") == "concurrent.futures.thread" else None


def make_pool(before: Any) -> Any:
    """`ThreadPoolExecutor()`: a pool that is made in a world belongs to it."""
    @functools.wraps(before)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        before(self, *args, **kwargs)
        world = by_thread.get(thread_id())
        if world is not None:
            world.jobs.note_pool(self)

    return __init__


def make_submit(before: Any) -> Any:
    """`ThreadPoolExecutor.submit`: the job lives in the world of who submits it."""
    # A worker may have been started by another test, or outside of any: it is the job that belongs to a world.
    @functools.wraps(before)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        world = by_thread.get(thread_id())
        if world is None:
            return before(self, fn, *args, **kwargs)
        if isinstance(fn, Work):  # of run_in_executor
            return before(self, _inside(world, fn), *args, **kwargs)
        job = world.jobs.begin(f"executor job {names.name_of(fn)}", user_place(2))
        try:
            future = before(self, _inside(world, Work(job, fn)), *args, **kwargs)
        except BaseException:
            job.end()
            raise
        world.jobs.accompany(job, future)
        return future

    return submit


def _jobs_here() -> jobs.Jobs | None:
    world = by_thread.get(thread_id())
    return world.jobs if world is not None else None


def make_result(before: Any) -> Any:
    """`Future.result` and `Future.exception`: a job that blocks in one lets go of the clock."""
    @functools.wraps(before)
    def result(self: Any, timeout: float | None = None) -> Any:
        return jobs.result_of(_jobs_here(), before, self, timeout)

    return result


def make_waiters(before: Any) -> Any:
    """What `concurrent.futures.wait()` waits with: the same."""
    @functools.wraps(before)
    def create(fs: Any, return_when: Any) -> Any:
        return jobs.met_by(_jobs_here(), before(fs, return_when))

    return create


def _inside(world: World, function: Callable[..., Any]) -> Callable[..., Any]:
    let_out = permits.let_out()

    def run(*args: Any, **kwargs: Any) -> Any:
        depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(max(depth, 1))  # who forgets to await one is told, on any thread
        try:
            with inside(world), permits.carrying(let_out):
                return function(*args, **kwargs)
        finally:
            sys.set_coroutine_origin_tracking_depth(depth)

    return run
