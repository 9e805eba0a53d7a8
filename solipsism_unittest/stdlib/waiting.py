"""Blocking calls: what becomes of a call that would wait.

In the loop's own thread it is refused: nothing else could run meanwhile, so nothing could end the wait. Any other
sealed thread waits as one of those that take turns, and the timeout passes in virtual time. The thread of a loop that
does not run may wait too, as long as there is another thread of the world, or where the call has a timeout.

The rule that keeps it simple: a call is an `attempt()` that raises BlockingIOError as long as it cannot go on.
"""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop
from collections.abc import Callable
from math import inf
from threading import get_ident
from typing import Any, TypeVar

from ..errors import SolipsismError
from ..introspection.names import listed, plain
from ..introspection.places import Place
from ..kernel import READABLE, Kernel
from ..kernel.descriptors.stream import Stream
from .threads.pacing.record import Over, Why
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


def refusal(world: World, call: str, who: str, cure: str = "") -> SolipsismError:
    """The error of a call on `who` that would wait in the loop's own thread."""
    cure = cure or f"call setblocking(False) and {_INSTEAD[call]}, or use asyncio streams"
    return SolipsismError(f"{call}() on {who or 'nothing'} would block its thread at t={world.kernel.clock.now!r}, and "
                          f"virtual time with it: {cure}")


def is_elsewhere(world: World, timeout: float | None = None) -> bool:
    """Whether this thread may wait: no loop runs on it, and others can wake it, or the time that the call has does."""
    loop = world.loop
    if loop is None or loop.is_closed() or _get_running_loop() is not None:
        return False
    return get_ident() != world.home or timeout is not None or world.baton.has_others(world.home) \
        or bool(world.jobs.working) or world.may_run_loop()


def carry_out(world: World, attempt: Callable[[], T], interests: Interests, timeout: float | None, call: str) -> T:
    """What `attempt()` gives once it can go on.

    TimeoutError after `timeout` virtual seconds; SolipsismError when the world ends first, or nothing can end the wait.
    """
    baton, clock, journal = world.baton, world.kernel.clock, world.kernel.journal
    me = baton.here()
    if me is None:
        raise _over(call, world)
    baton.take_turn(me)
    deadline = inf if timeout is None else clock.now + timeout
    came, first = True, 0

    def state() -> tuple[int, float, list[int]]:
        files = world.kernel.files
        return journal.effects, clock.now, [files[number].poll() & events if number in files else -1
                                            for number, events in interests]

    while True:
        try:
            return attempt()
        except BlockingIOError:
            if not came:
                raise TimeoutError("timed out") from None
        seen = state()
        try:
            came = baton.wait(me, Why(_words(world.kernel, call, interests)), deadline,
                              lambda: seen != state(), seen=first)  # noqa: B023 - it is asked during this wait alone
        except Over:
            if me.ends:
                raise
            raise _over(call, world) from None
        if baton.over:
            raise _over(call, world)
        first = first or me.seen


def linger(world: World, end: Stream, place: Place | None) -> None:
    """Let close() wait as SO_LINGER says, until the peer has acknowledged all, FIN included.

    That stops the loop's thread, non-blocking or not: there it is reported, and skipped.
    """
    kernel = world.kernel
    if not kernel.has_network or kernel.network.wire.is_answered(end):
        return
    if not is_elsewhere(world):
        world.loop.selector.blocking.note_call(
            f"close() of a socket with SO_LINGER, which waits for up to {end.linger} s until its peer has all", place)
        return
    reader, writer = kernel.pipe(place)
    kernel.network.wire.when_answered(end, lambda: None if writer.closed else writer.send(b"."))
    try:
        carry_out(world, lambda: reader.recv(1), [(reader.number, READABLE)], end.linger, "close")
    except TimeoutError:
        pass  # the connection goes on without its program
    finally:
        kernel.close(reader)
        kernel.close(writer)


def loop_here(world: World) -> Any:
    """The loop that runs on this thread; where none does, that of the world."""
    return _get_running_loop() or world.loop


def on_the_loop(world: World, function: Callable[[], T]) -> T:
    """What a function gives that has to run on the thread of the loop, while that runs; any thread may ask."""
    if not world.runs or _get_running_loop() is not None:
        return function()

    async def call() -> T:
        return function()

    return asyncio.run_coroutine_threadsafe(call(), world.loop).result()


def _over(call: str, world: World) -> SolipsismError:
    return SolipsismError(f"{call}() of a thread waited in a world that has ended at t={world.kernel.clock.now!r}: end "
                          "or join the thread before the loop ends")


def _words(kernel: Kernel, call: str, interests: Interests) -> str:
    return f"{call}() on {_who(kernel, interests)}"


def _who(kernel: Kernel, interests: Interests) -> str:
    ends = dict.fromkeys(number for number, _ in interests)
    return listed([plain(kernel.files[number]) for number in ends if number in kernel.files]) or "a closed socket"
