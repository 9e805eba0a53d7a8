"""Blocking calls: what becomes of a call that would wait.

In the loop's own thread it is refused: nothing else could run meanwhile, so nothing could end the wait. In any other
sealed thread it really waits: a task on the loop makes the call in its place, as soon as it can go on. So one thread
alone touches what is in the kernel, and a timeout passes in virtual time. A job of an executor lets go of the clock
while it waits.

The rule that keeps it simple: a call is an `attempt()` that raises BlockingIOError as long as it cannot go on.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ..errors import SolipsismError
from ..introspection.names import listed, plain
from ..introspection.tasks import waiting
from ..kernel import READABLE, WRITABLE, Kernel
from .worlds import World

T = TypeVar("T")
Interests = list[tuple[int, int]]  # (descriptor, READABLE | WRITABLE)

# What to await instead, by the name of the call.
_INSTEAD = {
    **{call: f"await loop.sock_{call}()" for call in (
        "accept", "connect", "recv", "recv_into", "recvfrom", "recvfrom_into", "sendall", "sendto", "sendfile")},
    **dict.fromkeys(("send", "sendmsg"), "await loop.sock_sendall()"),
    **dict.fromkeys(("recvmsg", "recvmsg_into"), "await loop.sock_recv()"),
    "connect_ex": "await loop.sock_connect()",
}
_SIGN_OF_LIFE = 1.0  # real seconds after which a waiting thread looks whether the loop is still there


def refusal(world: World, call: str, who: str, cure: str = "") -> SolipsismError:
    """The error of a call on `who` that would wait in the loop's own thread."""
    cure = cure or f"call setblocking(False) and {_INSTEAD[call]}, or use asyncio streams"
    return SolipsismError(f"{call}() on {who or 'nothing'} would block its thread at t={world.kernel.clock.now!r}, and "
                          f"virtual time with it: {cure}")


def is_elsewhere(world: World) -> bool:
    """Whether this world's loop runs now, in another thread than this one."""
    loop = world.loop
    return loop is not None and loop.is_running() and asyncio._get_running_loop() is not loop


def carry_out(world: World, attempt: Callable[[], T], interests: Interests, timeout: float | None, call: str) -> T:
    """What `attempt()` gives once it can go on. The loop's thread calls it.

    TimeoutError after `timeout` virtual seconds; SolipsismError when the world ends first.
    """
    loop = world.loop
    name = f"{call}() of {threading.current_thread().name}"
    coroutine = _carry_out(world, attempt, interests, timeout, name)
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    job = world.jobs.current()
    if job is not None:
        job.endless = True
    try:
        while not concurrent.futures.wait([future], _SIGN_OF_LIFE).done:
            if loop.is_closed():
                raise _over(call, world)
        return future.result()
    except concurrent.futures.CancelledError:
        raise _over(call, world) from None
    finally:
        if job is not None:
            job.endless = False


def _over(call: str, world: World) -> SolipsismError:
    return SolipsismError(f"{call}() of a thread waited in a world that has ended at t={world.kernel.clock.now!r}: end "
                          "or join the thread before the loop ends")


async def _carry_out(world: World, attempt: Callable[[], T], interests: Interests, timeout: float | None, name: str
                     ) -> T:
    task = asyncio.current_task()
    assert task is not None
    task.set_name(name)
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            while True:
                try:
                    return attempt()
                except BlockingIOError:
                    await waiting(lambda: _words(world.kernel, interests), _any_ready(world.loop, interests))
    except TimeoutError:
        if limit.expired():
            raise TimeoutError("timed out") from None
        raise


def _words(kernel: Kernel, interests: Interests) -> str:
    ends = dict.fromkeys(number for number, _ in interests)
    shown = [plain(kernel.files[number]) for number in ends if number in kernel.files]
    return f"a blocking call of a thread, on {listed(shown) or 'a closed socket'}"


async def _any_ready(loop: Any, interests: Iterable[tuple[int, int]]) -> None:
    """Wait until one of these descriptors is ready for the events that are asked for."""
    ready = asyncio.Event()
    try:
        for number, events in interests:
            if events & READABLE:
                loop.add_reader(number, ready.set)
            if events & WRITABLE:
                loop.add_writer(number, ready.set)
        await ready.wait()
    finally:
        for number, events in interests:
            if events & READABLE:
                loop.remove_reader(number)
            if events & WRITABLE:
                loop.remove_writer(number)
