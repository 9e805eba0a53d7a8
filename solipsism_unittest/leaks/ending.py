"""The end of what a test left behind: cancelled, closed and cut off, so that nothing flows into the next test.

Owns how a loop that does not run is brought to rest: first what ends by itself, then cancellation with a bounded
virtual time, then force. What is to stay (`keep`) is not touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from asyncio import events
from asyncio import tasks as asyncio_tasks
from collections.abc import AsyncGenerator, Collection, Coroutine, Iterable
from typing import Any

from ..introspection.handles import task_of
from ..introspection.modules import is_plumbing
from ..introspection.tasks import by_name, gathering, retrieve
from ..loop import stuck
from ..loop.event_loop import SolipsistEventLoop
from ..stdlib.sockets.pairs import abort
from .unawaited import close_held

__unittest = True
__tracebackhide__ = True

SETTLING_TURNS = 1_000  # so many turns of the loop may pass at the end until what was closed is gone
LAST_WILL = 60.0  # virtual seconds that cancelled tasks have for their `finally` blocks
TURNS_AT_THE_END = 2_000  # who spins at one instant when it is ended is given up after so many turns of the loop
REAL_SECONDS = 5.0  # for each thing on another thread that a `finally` block waits for
ROUNDS = 3  # what a `finally` block starts is cancelled in the next round

Keep = Collection[int]  # ids of what is to stay


def prepare(loop: SolipsistEventLoop) -> None:
    """What the test chose for its loop is over: time jumps, and who spins is given up soon."""
    loop.autojump = True  # a cancelled task may need time for its `finally`
    limits = dataclasses.replace(loop.selector.limits, turns=TURNS_AT_THE_END, real_seconds=REAL_SECONDS)
    loop.selector.limits = limits


def sweep(loop: SolipsistEventLoop) -> None:
    """End everything without a word."""
    prepare(loop)
    run(loop, settle(loop))
    end_all(loop)


def run(loop: SolipsistEventLoop, coroutine: Coroutine[Any, Any, None]) -> list[str]:
    """Run it, and say in words what did not let it end: a hang, SystemExit in what it ends, a closed loop."""
    if loop.is_closed():
        coroutine.close()
        return []
    task = loop.create_task(coroutine)
    try:
        loop.run_until_complete(task)
    except KeyboardInterrupt:
        raise
    except asyncio.CancelledError:
        return []  # somebody who was cancelled has cancelled who did it
    except BaseException as error:
        return [f"{type(error).__name__}: {error}".partition("\n")[0]]
    finally:
        task.cancel()  # where something got out before it was through; the next run lets it end
    return []


async def settle(loop: SolipsistEventLoop) -> None:
    """Let what was cancelled and closed come to its end, for a bounded number of turns and no virtual time."""
    for turn in range(SETTLING_TURNS):
        await asyncio.sleep(0)
        if not loop.inventory.ready() and not loop.kernel.ready():
            return
        if turn == SETTLING_TURNS - 5:
            # Something goes on and on. asyncio keeps where a handle is made only in debug mode, so ask for it now.
            loop.set_debug(True)


def end_all(loop: SolipsistEventLoop, keep: Keep = frozenset()) -> tuple[list[asyncio.Task[Any]], list[str]]:
    """End everything but what is to stay (by id); gives the tasks that nothing ended, and in words what went wrong."""
    troubles: list[str] = []
    left = _tasks(loop, keep)
    for _ in range(ROUNDS):
        before = left
        troubles += run(loop, _end(loop, keep))
        left = _tasks(loop, keep)
        if not left or left == before:
            break
    for task in loop.inventory.unread():
        if id(task) not in keep:
            task.exception()  # or asyncio would tell of it in the next test
    stubborn = sorted(left, key=by_name)
    _abandon(loop, [*stubborn, *filter(_is_ours, asyncio.all_tasks(loop))], keep)
    return stubborn, troubles


def _tasks(loop: SolipsistEventLoop, keep: Keep) -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks(loop) if id(task) not in keep and not _is_ours(task)}


def _is_ours(task: asyncio.Task[Any]) -> bool:
    return getattr(task.get_coro(), "cr_code", None) in _OURS


async def _end(loop: SolipsistEventLoop, keep: Keep) -> None:
    _cancel_callbacks(loop, keep)
    tasks = _tasks(loop, keep) - {asyncio.current_task(loop)}
    gatherings = await _cancel_tasks(tasks)
    await _finish_generators(loop, keep)
    _close_transports(loop, keep)
    for task in tasks:
        if task.done():
            _take_over(task)  # after the transports: a writer that goes with it is closed already
    for outer in gatherings:
        if outer.done():
            retrieve(outer)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _cancel_callbacks(loop: SolipsistEventLoop, keep: Keep) -> None:
    for handle in [*loop.inventory.timers(), *loop.inventory.ready()]:
        if _is_of_program(handle, keep):
            handle.cancel()
    for handle in list(loop.inventory.registrations):
        if id(handle) not in keep:
            handle.cancel()  # one that is always ready would keep time from moving


async def _cancel_tasks(tasks: Collection[asyncio.Task[Any]]) -> list[asyncio.Future[Any]]:
    """Cancel them and let them end; gives the futures of the gather() calls that they were in."""
    if stuck.loosen(sorted(tasks, key=by_name)):
        await asyncio.sleep(0)  # a task of each circle takes its cancellation
    gatherings = [outer for task in tasks if (outer := gathering(task)) is not None]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=LAST_WILL)
    return gatherings


async def _finish_generators(loop: SolipsistEventLoop, keep: Keep) -> None:
    closing = [loop.create_task(_finish(agen)) for agen in list(loop.inventory.generators) if id(agen) not in keep]
    if closing:
        await asyncio.wait(closing, timeout=LAST_WILL)


def _close_transports(loop: SolipsistEventLoop, keep: Keep) -> None:
    for number, file in list(loop.kernel.files.items()):
        transport = loop.inventory.transport_of(number)
        if transport is None or id(file) in keep:
            continue
        if isinstance(transport, asyncio.WriteTransport):
            abort(transport)
        else:
            transport.close()


async def _finish(agen: AsyncGenerator[Any, Any]) -> None:
    with contextlib.suppress(Exception):
        await agen.aclose()


def _take_over(task: asyncio.Task[Any]) -> None:
    """Read what it ended with, so that neither asyncio nor a collected coroutine speaks of it in the next test."""
    try:
        task.result()
    except BaseException as error:
        close_held(error)


def _is_of_program(handle: asyncio.Handle, keep: Keep) -> bool:
    """Whether it is a callback that the program asked for, and not a step of a task or of asyncio's own."""
    callback = handle._callback  # type: ignore[attr-defined]
    module = getattr(callback, "__module__", None) or type(callback).__module__
    return id(handle) not in keep and task_of(handle) is None and not is_plumbing(module)


def _abandon(loop: SolipsistEventLoop, stubborn: Iterable[asyncio.Task[Any]], keep: Keep) -> None:
    """Cut off the tasks that no cancellation ends, and what else is still there, so that nothing can wait for it."""
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
    for file in list(loop.kernel.files.values()):
        if id(file) not in keep:
            loop.kernel.close(file)
    loop.kernel.abandoned.clear()
    if not keep:
        loop.inventory.drop_handles()


def _cut_off(loop: SolipsistEventLoop, task: asyncio.Task[Any]) -> None:
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    asyncio_tasks._unregister_task(task)
    coroutine: Any = task.get_coro()
    if not loop.is_closed():
        _close(loop, coroutine)
    if getattr(coroutine, "cr_frame", None) is not None:
        _keep_for_ever(coroutine)


def _close(loop: SolipsistEventLoop, coroutine: Any) -> None:
    # As if the loop ran: without a running loop every `await sleep()` fails at once, and a program that catches even
    # that (`while True: try ... except BaseException`) would never come back.
    events._set_running_loop(loop)
    try:
        coroutine.close()
    except (Exception, SystemExit, asyncio.CancelledError):
        pass  # "coroutine ignored GeneratorExit", or what its `finally` raises
    finally:
        events._set_running_loop(None)


def _keep_for_ever(coroutine: Any) -> None:
    """Never let Python collect a coroutine that ignores even GeneratorExit: collecting it would run it once more."""
    with contextlib.suppress(ImportError):
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))


# Our own tasks, which are nobody's leftovers.
_OURS = frozenset(function.__code__ for function in (settle, _end, _finish))
