"""What a sealed thread starts is sealed too: threads, pools and their jobs. The answers of their stand-ins."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from ...introspection import modules, names
from ...introspection.places import user_place
from ...pythons import runs_elsewhere
from ..threads import background, jobs
from ..threads.job import Work
from ..threads.mistakes import reporting
from ..worlds import World, visiting
from . import permits


def is_no_start(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """A condition of `start`: the thread was started before, which is an error, or it serves a real process."""
    return args[0].ident is not None or modules.manages_processes(sys._getframe(2))


def start(world: World, real: Callable[..., None], thread: threading.Thread) -> None:
    """`Thread.start`: what a sealed thread starts lives in the same world."""
    run = thread.run
    known = run
    pool = _pool_of(sys._getframe(2))
    if pool is None or pool in world.jobs.pools and pool is not getattr(world.loop, "_default_executor", None):
        world.jobs.note_start(thread, user_place(3))
    if isinstance(thread, threading.Timer):
        known = world.jobs.timer(thread, run, user_place(3))
    elif not background.in_background() and pool is None:
        known = world.jobs.workers.started(thread, run, user_place(3))
    thread.run = _inside(world, reporting(world.loop, known))  # type: ignore[method-assign]
    try:
        real(thread)
    except BaseException:
        thread.run = run  # type: ignore[method-assign]
        world.jobs.not_started(thread)
        raise


def _pool_of(starter: types.FrameType) -> Any:
    """The thread pool whose worker is started; None where no pool starts the thread."""
    frame: types.FrameType | None = starter
    while frame is not None:  # a tool may have wrapped `Thread.start`
        if frame.f_globals.get("__name__") == "concurrent.futures.thread" \
                and frame.f_code.co_name == "_adjust_thread_count":
            return frame.f_locals["self"]
        frame = frame.f_back
    return None


def new_pool(world: World, real: Callable[..., None], pool: Any, *args: Any, **kwargs: Any) -> None:
    """`ThreadPoolExecutor()`: a pool that is made in a world belongs to it."""
    real(pool, *args, **kwargs)
    world.jobs.note_pool(pool)


# A worker may have been started by another test, or outside of any: it is the job that belongs to a world.
def submit(world: World, real: Callable[..., Any], pool: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
           ) -> Any:
    """`ThreadPoolExecutor.submit`: the job lives in the world of who submits it."""
    elsewhere = runs_elsewhere(pool)
    if isinstance(fn, Work):  # of run_in_executor
        fn.goes_to(pool)
        return real(pool, fn.__wrapped__ if elsewhere else _inside(world, fn), *args, **kwargs)
    job = world.jobs.begin(f"executor job {names.name_of(fn)}", user_place(3))
    job.pool = pool
    try:
        future = real(pool, fn if elsewhere else _inside(world, Work(job, fn)), *args, **kwargs)
    except BaseException:
        job.end()
        raise
    world.jobs.accompany(job, future)
    return future


def result(world: World, real: Callable[..., Any], future: Any, timeout: float | None = None) -> Any:
    """`Future.result` and `Future.exception`: a job that blocks in one lets go of the clock."""
    return jobs.result_of(world.jobs, real, future, timeout)


def waiter(world: World, real: Callable[..., Any], *args: Any) -> Any:
    """What `concurrent.futures.wait()` waits with: the same."""
    return jobs.met_by(world.jobs, real(*args))


def _inside(world: World, function: Callable[..., Any]) -> Callable[..., Any]:
    let_out = permits.let_out()

    def run(*args: Any, **kwargs: Any) -> Any:
        depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(max(depth, 1))  # one that is never awaited is reported, on any thread
        try:
            with visiting(world), permits.carrying(let_out):
                return function(*args, **kwargs)
        finally:
            sys.set_coroutine_origin_tracking_depth(depth)

    return run
