"""What a sealed thread starts is sealed too: threads, pools and their jobs. The answers of their stand-ins."""

from __future__ import annotations

import concurrent.futures
import functools
import threading
import types
from collections.abc import Callable
from contextvars import ContextVar
from sys import _getframe, get_coroutine_origin_tracking_depth, set_coroutine_origin_tracking_depth
from typing import Any

from ...introspection import modules, names
from ...introspection.exceptions import clean
from ...introspection.places import place_here
from ...kernel.addresses.hosts import Home, here, staying
from ...kernel.descriptors.connection import dies_with_host
from ...pythons import runs_elsewhere
from ..files.passed import inherited
from ..holdings import holding
from ..processes.ending import Ended, ending_here, threads_here
from ..processes.process import with_mask_of_this_thread, within
from ..processes.surroundings import run_surrounded, surroundings_here
from ..threads import background
from ..threads.job import Work
from ..threads.mistakes import reporting
from ..threads.pacing import calls, faces, locks
from ..threads.pacing.baton import really
from ..threads.pacing.record import Over
from ..worlds import World, baton_here, by_thread, thread_id, visiting
from . import permits


def was_started(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """A condition of `start`: the thread was started before, which is an error."""
    return args[0].ident is not None


def start(world: World, real: Callable[..., None], thread: threading.Thread) -> None:
    """`Thread.start`: what a sealed thread starts lives in the same world."""
    run = thread.run
    pool = _pool_of(_getframe(2))
    if pool is not None and pool not in world.jobs.pools or modules.manages_processes(_getframe(2)):
        with really(world.baton):  # of a pool from before: its jobs may be of many worlds
            real(thread)
        return
    of_loop = pool is not None and (pool is getattr(world.loop, "_default_executor", None)
                                    or world.jobs.is_in_place(pool))
    if not of_loop:
        world.jobs.note_start(thread, place_here(3))
    known = with_mask_of_this_thread(world, run)
    if holding.get() is not None:
        known = _with_own_hook(thread, known)
    known = reporting(world, _inside(world, known, waits_for_jobs=pool is not None), thread)
    is_free = background.in_background() and pool is None
    try:
        calls.start(world.baton, real, thread, known, place_here(3), is_free=is_free, is_worker=pool is not None)
    except BaseException:
        thread.run = run  # type: ignore[method-assign]
        world.jobs.not_started(thread)
        raise
    ending = ending_here(world)
    if ending is not None and not of_loop:
        ending.note(thread, pool)


def _with_own_hook(thread: threading.Thread, run: Callable[[], None]) -> Callable[[], None]:
    """What a thread of a program raises is printed where it still has the program's stderr; nobody hears of what comes
    of the program's end.
    """
    holdings = holding.get()

    def hooked() -> None:
        try:
            run()
        except (Over, Ended):
            raise
        except BaseException as error:
            if holdings is not None and holdings.is_over:
                return
            clean(error)
            thread._invoke_excepthook(thread)  # type: ignore[attr-defined]  # which looks at what is being handled

    return hooked


_NONE: Any = types.MappingProxyType({})


def start_bare(world: World, real: Callable[..., int], function: Any, args: Any, kwargs: Any = _NONE, /) -> int:
    """`_thread.start_new_thread`: such a thread lives in the same world, and takes turns as any other."""
    named = {} if kwargs is _NONE else kwargs
    if not callable(function) or not isinstance(args, tuple) or not isinstance(named, dict):
        return real(function, args, kwargs)  # an error

    def run() -> None:
        function(*args, **named)

    known = reporting(world, _inside(world, with_mask_of_this_thread(world, run)))
    thread = calls.BareThread(world.baton, function, known, place_here(3), is_free=background.in_background())
    world.jobs.note_start(thread, place_here(3))
    try:
        return thread.start(real)
    except BaseException:
        world.jobs.not_started(thread)
        raise


def join(world: World, real: Callable[..., None], thread: threading.Thread, timeout: float | None = None) -> None:
    """`Thread.join`, in virtual time."""
    calls.join(world.baton, real, thread, timeout)


def is_alive(world: World, real: Callable[..., bool], thread: threading.Thread) -> bool:
    """`Thread.is_alive`: a thread that has had its last turn is not."""
    return calls.is_alive(real, thread)


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
    faces.furnish(pool, baton_here)
    world.jobs.note_pool(pool)
    if (threads := threads_here(world)) is not None:
        threads.note_pool(pool)


# A worker may have been started by another test, or outside of any: it is the job that belongs to a world.
def submit(world: World, real: Callable[..., Any], pool: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
           ) -> Any:
    """`ThreadPoolExecutor.submit`: the job lives in the world of who submits it."""
    elsewhere = type(pool) is not concurrent.futures.ThreadPoolExecutor and runs_elsewhere(pool)
    if isinstance(fn, Work):  # of run_in_executor
        fn.job.pool = pool
        return real(world.jobs.pool_for(pool), fn.__wrapped__ if elsewhere else _inside(world, fn), *args, **kwargs)
    job = world.jobs.begin(f"executor job {names.name_of(fn)}", place_here(3), pool)
    job.pool = pool
    world.jobs.replace_in_hand(pool)
    looks = locks.looks_so_far(world.baton)
    try:
        future = real(world.jobs.pool_for(pool), fn if elsewhere else _inside(world, Work(job, fn)), *args, **kwargs)
    except BaseException:
        job.end()
        raise
    locks.forget_looks(world.baton, looks)  # whether a worker is idle
    world.jobs.accompany(job, future)
    return future


def shutdown(world: World, real: Callable[..., None], pool: Any, wait: bool = True, *, cancel_futures: bool = False
             ) -> None:
    """`ThreadPoolExecutor.shutdown`: of one from before that in its place as well."""
    if wait and pool not in world.jobs.pools:
        real(pool, False)  # it takes no more while this waits
    world.jobs.shut_down_in_place(pool, wait=wait, cancel_futures=cancel_futures)
    real(pool, wait, cancel_futures=cancel_futures)


def _run_with(variable: ContextVar[Any], value: object, function: Callable[..., Any], /, *args: Any, **kwargs: Any
              ) -> Any:
    token = variable.set(value)
    try:
        return function(*args, **kwargs)
    finally:
        variable.reset(token)


def _inside(world: World, function: Callable[..., Any], *, waits_for_jobs: bool = False) -> Callable[..., Any]:
    let_out, host, around, threads = permits.let_out(), here.get(), surroundings_here(), threads_here(world)
    home = Home(world.kernel.names, host) if host is not None else None
    if around is not None:
        function = functools.partial(run_surrounded, around, function)
    if threads is not None and not waits_for_jobs:
        function = threads.hosted(world, function)
    for variable in (inherited, within, holding):
        if (value := variable.get()) is not None:
            function = functools.partial(_run_with, variable, value, function)

    def run(*args: Any, **kwargs: Any) -> Any:
        depth = get_coroutine_origin_tracking_depth()
        if not depth:
            set_coroutine_origin_tracking_depth(1)  # one that is never awaited is reported, on any thread
        if home is not None:
            world.jobs.prepare()
            world.jobs.homes[thread_id()] = home
        is_as_here = permits.let_out() is let_out and here.get() is host
        try:
            if is_as_here and by_thread.get(thread_id()) is world:  # as in a worker, and three blocks take their time
                return function(*args, **kwargs)
            with visiting(world):
                if is_as_here:
                    return function(*args, **kwargs)
                with permits.carrying(let_out), staying(host):
                    return function(*args, **kwargs)
        except BaseException as error:
            if home is not None and home.is_gone():
                dies_with_host(error)
            raise
        finally:
            if world.jobs.homes:
                world.jobs.homes.pop(thread_id(), None)
            if not depth:
                set_coroutine_origin_tracking_depth(0)

    return run


ANSWERS_OF_POOLS: dict[str, Callable[..., Any]] = {"__init__": new_pool, "submit": submit, "shutdown": shutdown}
