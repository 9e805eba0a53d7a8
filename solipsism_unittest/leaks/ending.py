"""The end of what a test left behind: cancelled, closed and cut off, so that nothing flows into the next test.

Owns how a loop that does not run is brought to rest. First some things end by themselves; then everything is cancelled
and has a bounded virtual time to end; then force. What is to stay (`keep`) is not touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from asyncio import all_tasks, current_task, events, sleep, wait
from asyncio import tasks as asyncio_tasks
from collections.abc import AsyncGenerator, Collection, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..introspection.handles import task_of
from ..introspection.modules import is_plumbing
from ..introspection.tasks import Task, by_name, gathering, retrieve
from ..loop import stuck
from ..loop.event_loop import SolipsistEventLoop
from ..stdlib.sockets.pairs import abort
from .unawaited import close_held

__unittest = True
__tracebackhide__ = True

SETTLING_TURNS = 1_000  # turns of the loop that may pass at the end until what was closed is gone
LANDINGS = 50  # times at which something arrives that was under way
LAST_WILL = 60.0  # virtual seconds that cancelled tasks have for their `finally` blocks
TURNS_AT_THE_END = 2_000  # turns of the loop at one instant after which a task that spins is given up
REAL_SECONDS = 5.0  # for each wait of a `finally` block for another thread
ROUNDS = 3  # what a `finally` block starts is cancelled in the next round

Keep = Collection[int]  # ids of what is to stay


def prepare(loop: SolipsistEventLoop) -> None:
    """Undo what the test chose for its loop: time jumps, and a task that spins is given up soon."""
    loop.autojump = True  # a cancelled task may need time for its `finally`
    loop.selector.limits = loop.selector.limits._replace(turns=TURNS_AT_THE_END, polling=False,
                                                         real_seconds=REAL_SECONDS)


def sweep(loop: SolipsistEventLoop) -> None:
    """End everything and report nothing."""
    prepare(loop)
    run(loop, settle(loop))
    end_second(loop)
    end_all(loop)


def end_second(loop: SolipsistEventLoop, keep: Keep = frozenset()) -> None:
    """End and close the loops that the program has made. One that runs on another thread is struck there when the world
    ends.
    """
    for second in [each for each in loop.world.second if id(each) not in keep and not each.is_running()]:
        end_all(second)
        second.close()


def give_up(loop: asyncio.AbstractEventLoop) -> None:
    """Close a loop whose end took too long. Nothing of the program's runs any more: what is left is never collected."""
    if isinstance(loop, SolipsistEventLoop):
        for number in list(loop.kernel.files):
            loop.kernel.reap(number)
        for second in [each for each in loop.world.second if not each.is_running()]:
            second.forget_endings()
            _close_at_once(second)
    _close_at_once(loop)


def _close_at_once(loop: asyncio.AbstractEventLoop) -> None:
    tasks, pool = all_tasks(loop), getattr(loop, "_default_executor", None)
    if pool is not None:
        loop._default_executor = None  # type: ignore[attr-defined]
    if isinstance(pool, ThreadPoolExecutor):
        ThreadPoolExecutor.shutdown(pool, wait=False, cancel_futures=True)  # whatever the program has made of it
    loop.close()
    for task in tasks:
        _cut_off(loop, task)
    if isinstance(loop, SolipsistEventLoop):
        _read_errors(loop)


def run(loop: SolipsistEventLoop, coroutine: Coroutine[Any, Any, None]) -> list[str]:
    """Run it, and give what kept it from its end in words, at most one: a hang, a SystemExit in what it ends."""
    if loop.is_closed():
        coroutine.close()
        return []
    try:
        task = loop.create_task(coroutine)
    except BaseException:  # a strike
        coroutine.close()
        raise
    try:
        loop.run_until_complete(task)
    except KeyboardInterrupt:
        raise
    except asyncio.CancelledError:
        return []  # a task that it cancelled has cancelled it in turn
    except BaseException as error:
        return [f"{type(error).__name__}: {error}".partition("\n")[0]]
    finally:
        task.cancel()  # it may not be through, where an error got out of the loop; the next run lets it end
    return []


async def settle(loop: SolipsistEventLoop) -> None:
    """Let what was cancelled and closed come to its end: a bounded number of turns, and no virtual time.

    What is on its way over links arrives first, and that may take time. As long as it becomes less, as the rest of a
    transfer does that is closed, it has all the time that it needs: it comes to an end.
    """
    until, landings, turns, left = loop.time() + LAST_WILL, LANDINGS, SETTLING_TURNS, (math.inf, math.inf)
    explorer = loop.kernel.choices.explorer
    while turns:
        turns -= 1
        await sleep(0)
        if explorer is not None:
            explorer.land()
        if not loop.inventory.ready() and not loop.kernel.ready():
            when = loop.kernel.network.wire.next_arrival() if loop.kernel.has_network else math.inf
            if when < math.inf:
                before, left = left, _on_its_way(loop)
                if left < before:
                    until, turns = loop.time() + LAST_WILL, SETTLING_TURNS
                else:
                    landings -= 1
            if when > until or not landings:
                return
            await loop.advance_to(max(when, loop.time()))
        if turns == 5:
            # Something goes on and on. asyncio keeps the place of a handle in debug mode only: turn it on now.
            loop.set_debug(True)


def _on_its_way(loop: SolipsistEventLoop) -> tuple[float, float]:
    """How many bytes closed transports have still to send, and how many packets are on their way."""
    transports = filter(None, map(loop.inventory.transport_of, loop.kernel.files))
    return (sum(each.get_write_buffer_size() for each in transports
                if each.is_closing() and isinstance(each, asyncio.WriteTransport)),
            loop.kernel.network.wire.on_its_way())


def end_all(loop: SolipsistEventLoop, keep: Keep = frozenset()) -> tuple[list[Task], list[str]]:
    """End everything but what is to stay; give the tasks that nothing ended, and what went wrong in words."""
    troubles: list[str] = []
    left = _tasks(loop, keep)
    for _ in range(ROUNDS):
        before = left
        troubles += run(loop, _end(loop, keep))
        left = _tasks(loop, keep)
        if not left or left == before:
            break
    _read_errors(loop, keep)
    stubborn = sorted(left, key=by_name)
    _abandon(loop, [*stubborn, *filter(_is_ours, all_tasks(loop))], keep)
    return stubborn, troubles


def _read_errors(loop: SolipsistEventLoop, keep: Keep = frozenset()) -> None:
    for task in loop.inventory.unread():
        if id(task) not in keep:
            task.exception()  # or asyncio would log it in the next test


def _tasks(loop: SolipsistEventLoop, keep: Keep) -> set[Task]:
    return {task for task in all_tasks(loop) if id(task) not in keep and not _is_ours(task)}


def _is_ours(task: Task) -> bool:
    return getattr(task.get_coro(), "cr_code", None) in _OURS


async def _end(loop: SolipsistEventLoop, keep: Keep) -> None:
    _cancel_callbacks(loop, keep)
    tasks = _tasks(loop, keep) - {current_task(loop)}
    gatherings = await _cancel_tasks(tasks)
    await _finish_generators(loop, keep)
    _close_transports(loop, keep)
    for task in tasks:
        if task.done():
            _take_over(task)  # after the transports: a writer that goes with it is closed already
    for outer in gatherings:
        if outer.done():
            retrieve(outer)
    await sleep(0)
    await sleep(0)


def _cancel_callbacks(loop: SolipsistEventLoop, keep: Keep) -> None:
    for handle in [*loop.inventory.timers(), *loop.inventory.ready()]:
        if _is_of_program(handle, keep):
            handle.cancel()
    for handle in list(loop.inventory.registrations):
        if id(handle) not in keep:
            handle.cancel()  # one that is always ready would keep time from moving


async def _cancel_tasks(tasks: Collection[Task]) -> list[asyncio.Future[Any]]:
    """Cancel them and let them end; give the futures of the gather() calls that they were in."""
    if stuck.loosen(sorted(tasks, key=by_name)):
        await sleep(0)  # a task of each circle takes its cancellation
    gatherings = [outer for task in tasks if (outer := gathering(task)) is not None]
    for task in tasks:
        task.cancel()
    if tasks:
        await wait(tasks, timeout=LAST_WILL)
    return gatherings


async def _finish_generators(loop: SolipsistEventLoop, keep: Keep) -> None:
    closing = [loop.create_task(_finish(agen)) for agen in list(loop.inventory.generators) if id(agen) not in keep]
    if closing:
        await wait(closing, timeout=LAST_WILL)


def _close_transports(loop: SolipsistEventLoop, keep: Keep) -> None:
    for number, file in list(loop.kernel.files.items()):
        transport = loop.inventory.transport_of(number)
        if transport is None or id(file) in keep:
            continue
        if isinstance(transport, asyncio.WriteTransport):
            abort(transport)
        else:
            transport.close()
    for _, transport, handle in loop.inventory.played_transports():
        if id(handle) not in keep:
            abort(transport)


async def _finish(agen: AsyncGenerator[Any, Any]) -> None:
    with contextlib.suppress(Exception):
        await agen.aclose()


def _take_over(task: Task) -> None:
    """Read its error, so that neither asyncio nor a collected coroutine brings it up in the next test."""
    try:
        task.result()
    except BaseException as error:
        close_held(error)


def _is_of_program(handle: asyncio.Handle, keep: Keep) -> bool:
    """Whether it is a callback that the program asked for, and not a step of a task or of asyncio's own."""
    callback = handle._callback  # type: ignore[attr-defined]
    module = getattr(callback, "__module__", None) or type(callback).__module__
    return id(handle) not in keep and task_of(handle) is None and not is_plumbing(module)


def _abandon(loop: SolipsistEventLoop, stubborn: Iterable[Task], keep: Keep) -> None:
    """Cut off the tasks that no cancellation ends, and drop all else that is still there."""
    line = list(stubborn)
    for task in line:
        _cut_off(loop, task)
        line += [new for new in _tasks(loop, keep) if new not in line]  # which its `finally` has made
    for handle in [*loop.inventory.timers(), *loop.inventory.ready()]:
        if not keep or _is_of_program(handle, keep):
            handle.cancel()
    for number in list(loop.selector.keys):
        if id(loop.kernel.files.get(number)) not in keep and not loop.is_closed():
            loop.inventory.forget_descriptor(number)
    for number, file in list(loop.kernel.files.items()):
        if id(file) not in keep:
            loop.kernel.reap(number)  # a transport that was not told of its end warns of nothing
    loop.kernel.abandoned.clear()
    if not keep:
        loop.inventory.drop_handles()


def _cut_off(loop: asyncio.AbstractEventLoop, task: Task) -> None:
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    asyncio_tasks._unregister_task(task)
    coroutine: Any = task.get_coro()
    if not loop.is_closed():
        _close(loop, coroutine)
    if getattr(coroutine, "cr_frame", None) is not None:
        _keep_for_ever(coroutine)


def _close(loop: asyncio.AbstractEventLoop, coroutine: Any) -> None:
    # As if the loop ran. Without a running loop every `await sleep()` fails at once, and a program that catches even
    # that (`while True: try ... except BaseException`) would never return.
    events._set_running_loop(loop)
    try:
        coroutine.close()
    except (Exception, SystemExit, asyncio.CancelledError):
        pass  # "coroutine ignored GeneratorExit", or what its `finally` raises
    finally:
        events._set_running_loop(None)


def _keep_for_ever(coroutine: Any) -> None:
    """Never let Python collect a coroutine that ignores even GeneratorExit: to collect it would run it once more."""
    with contextlib.suppress(ImportError):
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))


# Tasks of ours run these: they are no leftovers.
_OURS = frozenset(function.__code__ for function in (settle, _end, _finish))
