"""Blocking calls: what becomes of a call that would wait.

In the loop's own thread it is refused: nothing else could run meanwhile, so nothing could end the wait. In any other
sealed thread it really waits: a task on the loop makes the call in its place, as soon as it can go on. So one thread
alone touches what is in the kernel, and a timeout passes in virtual time. A job of an executor lets go of the clock
while it waits.

While the loop does not run, a thread acts by itself: it looks again and again whether the call can go on, and when all
threads of the world wait, the earliest timeout among them passes. A loop that begins to run takes the calls over. The
thread in which it ran, or was made, may wait too, as long as there is another thread of the world that does not.

The rule that keeps it simple: a call is an `attempt()` that raises BlockingIOError as long as it cannot go on.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import sys
import threading
from asyncio import current_task, run_coroutine_threadsafe, timeouts
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from ..errors import SolipsismError
from ..introspection.names import listed, plain
from ..introspection.tasks import stating
from ..introspection.threads import Real, resting, waits
from ..kernel import READABLE, WRITABLE, Kernel
from .worlds import World, threads_in

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
_LOOK_EVERY = 0.001  # real seconds between two looks of a thread that acts by itself
_SIGN_OF_LIFE = 0.05  # real seconds after which a thread looks whether the loop still acts for it
_LOOKS_WITHOUT_QUESTION = 50  # so many looks it makes before it asks whether the others wait too
_LOOKS_AT_REST = 3  # so many looks in a row find all the others waiting, and only time can end the wait
_DEADLOCK = 3.0  # real seconds for which they have to wait when there is no time to wait for: a join() may have a limit


def refusal(world: World, call: str, who: str, cure: str = "") -> SolipsismError:
    """The error of a call on `who` that would wait in the loop's own thread."""
    cure = cure or f"call setblocking(False) and {_INSTEAD[call]}, or use asyncio streams"
    return SolipsismError(f"{call}() on {who or 'nothing'} would block its thread at t={world.kernel.clock.now!r}, and "
                          f"virtual time with it: {cure}")


def is_elsewhere(world: World) -> bool:
    """Whether this thread may wait: another one than that of this world's loop, or one that others can wake."""
    loop = world.loop
    if loop is None or loop.is_closed():
        return False
    if world.runs:
        return asyncio._get_running_loop() is not loop
    return threading.get_ident() != world.home or bool(world.jobs.workers.alive)


def carry_out(world: World, attempt: Callable[[], T], interests: Interests, timeout: float | None, call: str) -> T:
    """What `attempt()` gives once it can go on: the loop's thread calls it, or this one while the loop does not run.

    TimeoutError after `timeout` virtual seconds; SolipsismError when the world ends first, or nothing can end the wait.
    """
    made = _Call(world, attempt, interests, timeout, call)
    job = world.jobs.current()
    if job is not None:
        job.endless = True
    try:
        with world.jobs.lock:
            world.calls[made] = None
            if world.runs:
                made.hand_over()
        return made.result()
    except concurrent.futures.CancelledError:
        raise _over(call, world) from None
    finally:
        with world.jobs.lock:
            del world.calls[made]
        if job is not None:
            job.endless = False


class _Call(Generic[T]):
    """A call that waits, and who does it at the moment: the loop, once it was handed over, or its thread."""

    def __init__(self, world: World, attempt: Callable[[], T], interests: Interests, timeout: float | None, call: str
                 ) -> None:
        self._world = world
        self._attempt = attempt
        self._interests = interests
        self._call = call
        self._clock = world.kernel.clock
        self.deadline = None if timeout is None else self._clock.now + timeout
        self._thread = threading.current_thread()
        self._handed: concurrent.futures.Future[T] | None = None

    def hand_over(self) -> None:
        """The loop runs, or is about to: it does the call from now on."""
        if self._handed is None:
            timeout = None if self.deadline is None else self.deadline - self._clock.now
            coroutine = _carry_out(self._world, self._attempt, self._interests, timeout,
                                   f"{self._call}() of {self._thread.name}")
            self._handed = run_coroutine_threadsafe(coroutine, self._world.loop)

    def result(self) -> T:
        """Wait for it, on the thread that makes the call."""
        looks = quiet = 0
        since = 0.0
        while True:
            handed = self._handed
            if handed is not None and concurrent.futures.wait([handed], _SIGN_OF_LIFE).done:
                return handed.result()
            if self._world.loop.is_closed():
                raise _over(self._call, self._world)
            with self._world.jobs.lock, contextlib.suppress(BlockingIOError):
                if not self._world.runs:
                    result = self._attempt()
                    if handed is not None:
                        handed.cancel()
                    return result
            looks += 1
            if looks > _LOOKS_WITHOUT_QUESTION:
                quiet = quiet + 1 if self._others_wait() else 0
                since = since if quiet else Real.monotonic()
                if quiet >= _LOOKS_AT_REST:
                    self._let_time_pass(hopeless=Real.monotonic() - since > _DEADLOCK)
            if self._handed is None:
                Real.sleep(_LOOK_EVERY)

    def _others_wait(self) -> bool:
        """Whether the loop stands, and who could run it or act beside it waits: nothing but time can end the wait."""
        frames = sys._current_frames()
        calling = {call._thread for call in list(self._world.calls)}
        idents = {self._world.home, *threads_in(self._world)}
        others = [thread for thread in threading.enumerate() if thread.ident in idents and thread not in calling]
        return not self._world.runs and all(waits(frames[thread.ident or 0]) for thread in others) and \
            resting([thread.native_id or 0 for thread in others]) is not None

    def _let_time_pass(self, hopeless: bool) -> None:
        with self._world.jobs.lock:
            if self._world.runs:
                return
            deadlines = [call.deadline for call in self._world.calls if call.deadline is not None]
            if self.deadline is not None and self.deadline <= min(deadlines):
                self._clock.jump(max(self._clock.now, self.deadline))
                raise TimeoutError("timed out")
        if hopeless and not deadlines:
            raise refusal(self._world, self._call, _who(self._world.kernel, self._interests),
                          "the loop does not run, and every other thread waits too")


def _over(call: str, world: World) -> SolipsismError:
    return SolipsismError(f"{call}() of a thread waited in a world that has ended at t={world.kernel.clock.now!r}: end "
                          "or join the thread before the loop ends")


async def _carry_out(world: World, attempt: Callable[[], T], interests: Interests, timeout: float | None, name: str
                     ) -> T:
    task = current_task()
    assert task is not None
    task.set_name(name)
    limit = timeouts.timeout(timeout)
    try:
        async with limit:
            while True:
                try:
                    return attempt()
                except BlockingIOError:
                    await stating(lambda: _words(world.kernel, interests), _any_ready(world.loop, interests))
    except TimeoutError:
        if limit.expired():
            raise TimeoutError("timed out") from None
        raise


def _words(kernel: Kernel, interests: Interests) -> str:
    return f"a blocking call of a thread, on {_who(kernel, interests)}"


def _who(kernel: Kernel, interests: Interests) -> str:
    ends = dict.fromkeys(number for number, _ in interests)
    return listed([plain(kernel.files[number]) for number in ends if number in kernel.files]) or "a closed socket"


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
