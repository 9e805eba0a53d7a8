"""Which world a thread lives in: `World`, the one table of the process, and `sealed`, which writes it.

A world is one run: a machine, the loop that lives on it, what other threads do for it, and what was stopped at its
border. The table says for each sealed thread in which world it is; every other thread sees the real one.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import weakref
from asyncio import _get_running_loop
from collections.abc import Callable
from math import inf
from types import FrameType
from typing import Any, Self

from ..errors import EscapeError, SolipsismError
from ..introspection.debuggers import debugging
from ..introspection.threads import frame_of
from ..kernel import Kernel
from .threads import workers
from .threads.jobs import Jobs
from .threads.pacing.baton import Baton

thread_id = threading.get_ident


def _wake_nobody() -> None:
    """No loop waits in this world."""


class World:
    """One run. `loop` alone touches what is in `kernel` while it runs; `wake()` makes it look again, from any thread.

    A loose world is made for sockets outside any loop. The world of the loop that first uses one of them adopts it.
    """

    __slots__ = ("kernel", "_loop", "jobs", "baton", "made_for", "guarded", "escapes", "loose", "adopted_by", "home",
                 "running", "guests", "over", "second", "trust", "on_tls", "on_loop", "around", "process", "programs",
                 "_loops_made", "_wake")

    def __init__(self, kernel: Kernel, loop: Any = None, wake: Callable[[], None] | None = None, *,
                 loose: bool = False) -> None:
        self.kernel = kernel
        self._loop = loop
        self.baton = Baton(kernel.clock, kernel.journal, self)
        self._wake = wake  # in place of what the loop does
        self.jobs = Jobs(kernel.clock, kernel.journal, self.wake, self.baton)
        self.made_for: str | None = None  # the test, by its id
        self.guarded = True  # a call that would reach the real world is stopped
        self.escapes: list[EscapeError] = []  # what was stopped, on whatever thread
        self.home = thread_id()  # of the thread in which the loop was made, or ran
        self.running: list[Any] = []  # the loops that run, in the order in which they began
        self.guests = 0  # threads that it has started and that are in it
        self.over = False
        self._loops_made = 0
        self.second: list[Any] = []  # loops that a program has made, and not closed
        # Gives another context for a connection of a client with this one: its store of authorities counts.
        self.trust: Callable[[ssl.SSLContext], ssl.SSLContext | None] | None = None
        # Gets the context of each connection before its handshake, where somebody keeps the keys.
        self.on_tls: Callable[[ssl.SSLContext], object] | None = None
        self.on_loop: Callable[[Any], object] | None = None  # gets each loop that a program has made
        self.around: World | None = None  # of the loop that this one was made in the middle of
        self.process: object = None  # what signals are for, once there are any
        self.programs: object = None  # that a test has added
        self.loose = loose
        self.adopted_by: World | None = None

    @property
    def loop(self) -> Any:
        """The loop that lives here. One that is closed is there only as long as somebody else holds it."""
        loop = self._loop
        return loop() if type(loop) is weakref.ref else loop

    @loop.setter
    def loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def let_go(self) -> None:
        """The loop is closed: it is not to wait for the garbage collector because of us."""
        self._loop = weakref.ref(self.loop)
        self.jobs.wake = self._wake = _wake_nobody
    def number_of_a_loop(self) -> int:
        """For a new loop: its number among those of this world, from 1 up."""
        self._loops_made += 1
        return self._loops_made

    @property
    def runs(self) -> bool:
        """Whether a loop of this world runs, on whatever thread."""
        return bool(self.running)

    def may_run_loop(self) -> bool:
        """Whether programs need a loop that does not run, and this thread may run it."""
        loop = self.loop
        return bool(self.programs) and not self.running and thread_id() == self.home and loop is not None \
            and not loop.is_closed() and _get_running_loop() is None

    def begin_run(self, loop: asyncio.AbstractEventLoop) -> None:
        """A loop runs from now on, on this thread."""
        if not self.running:
            self.home = thread_id()
        self.running.append(loop)
        if self.baton.records or len(self.running) > 1:
            record = self.baton.here()  # which has the turn then
            if record is not None:
                self.baton.take_turn(record)

    def end_run(self, loop: asyncio.AbstractEventLoop) -> None:
        """It has stopped, or could not begin."""
        if loop in self.running:
            self.running.remove(loop)

    def wake(self) -> None:
        """Make the loops look again, from any thread."""
        if not self.running:
            if self._wake is not None:
                self._wake()
            elif (waiting := self.loop) is not None:
                waiting.selector.wake()
        for loop in list(self.running):
            loop.selector.wake()

    def lives_here(self, ident: int) -> bool:
        """Whether a thread is in this world now."""
        return by_thread.get(ident) is self

    def members(self) -> list[int]:
        """The threads that are in this world now."""
        return [ident for ident, world in list(by_thread.items()) if world is self]

    def reach(self) -> float:
        """Up to when time may go where no loop decides."""
        selector = getattr(self.loop, "selector", None)
        if selector is None:
            return inf
        return selector.horizon if selector.autojump else -inf

    def adopt(self, other: World) -> None:
        """Take over what is in a loose world; SolipsismError where it has an address."""
        self.kernel.adopt(other.kernel)
        other.adopted_by = self

    def __repr__(self) -> str:
        return f"<World {self.loop!r} on {self.kernel!r}>"


# Process-wide by nature: what stands in for the standard library is. The lock guards arming and disarming.
by_thread: dict[int, World] = {}  # the innermost world of each sealed thread
_entered: dict[int, list[World]] = {}  # by thread: every world that it has entered and not left
_lock = threading.Lock()


class _Seal:
    """What is done when the first thread of the process is sealed, and when the last one is no longer.

    A thread that a world has started and that is still there when its world is over does not count: nobody knows when
    it ends. It stays in the table, so that the guard stops what it would do in the real world.
    """

    def __init__(self) -> None:
        self.arm: Callable[[], None] = lambda: None
        self.disarm: Callable[[], None] = lambda: None
        self.threads = 0  # that count
        self.kept = 0  # how many want it to stay where it is, for threads that will be sealed soon
        self.second_loop: type | None = None
        self.popen: Callable[[FrameType], type | None] = lambda frame: None

    def count(self, more: int) -> None:
        """So many threads more, or fewer."""
        before = self.threads
        self.threads += more
        if more > 0 and not before:
            self.arm()  # where it is kept, somebody may have taken a name away since
        elif before and not self.threads and not self.kept:
            self.disarm()

    def keep(self, more: int) -> None:
        """So many more, or fewer, want it to stay."""
        before = self.threads + self.kept
        self.kept += more
        if not before:
            self.arm()
        elif not self.threads and not self.kept:
            self.disarm()


_seal = _Seal()


def use_seal(arm: Callable[[], None], disarm: Callable[[], None]) -> None:
    """`stdlib.seal` says once, when it is imported, how names are replaced and put back."""
    _seal.arm, _seal.disarm = arm, disarm


class Keep:
    """Stand-ins stay where they are until `end()`, between tests that follow each other. Nobody is sealed by that."""

    __slots__ = ()

    def __init__(self) -> None:
        with _lock:
            _seal.keep(1)

    def end(self) -> None:
        """What stood there is put back, unless a thread is sealed. In a forked child it was put back before."""
        with _lock:
            if _seal.kept:
                _seal.keep(-1)


def use_second_loop(kind: type) -> None:
    """`loop` says once which class a program gets that makes an event loop in a world."""
    _seal.second_loop = kind


def second_loop() -> type | None:
    """The class for such a loop; None where this thread is in no world, or in one that is over."""
    world = by_thread.get(thread_id())
    return _seal.second_loop if world is not None and not world.over and world.guarded else None


def use_popen(choose: Callable[[FrameType], type | None]) -> None:
    """`peers` says once which class stands for subprocess.Popen where this frame makes one; None for the real one."""
    _seal.popen = choose


def popen_for(frame: FrameType) -> type | None:
    """The class for a Popen that is made in a frame of this thread; None for the real one."""
    return _seal.popen(frame) if thread_id() in by_thread else None


def leave_every_world() -> None:
    """A forked child has the thread, and no loop that runs in it: it lives in the real world."""
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have had it
    for world in [world for worlds in _entered.values() for world in worlds]:
        world.guests = 0
        world.baton.forget()
    by_thread.clear()
    _entered.clear()
    if _seal.kept:
        _seal.keep(-_seal.kept)
    _seal.count(-_seal.threads)


# Threads that serve the whole process, and no test: what a C library has started for itself.
bystanders: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def world_here() -> World | None:
    """The world of this thread, or None for a thread that is not sealed."""
    return by_thread.get(thread_id())


def baton_here() -> Baton | None:
    """That of this thread's world; None where its waits are real."""
    world = by_thread.get(thread_id())
    return None if world is None or world.over else world.baton


def outermost(world: World) -> World:
    """The world that others were made in the middle of: that of the test."""
    while world.around is not None:
        world = world.around
    return world


def threads_in(world: World) -> list[int]:
    """The identifiers of the threads that are in this world now, in the order in which they came."""
    return [ident for ident, inner in list(by_thread.items()) if inner is world]


def is_debugged(frame: FrameType | None, ident: int) -> bool:
    """Whether a person sits before a debugger: in this frame of this thread, or in another thread of its world."""
    world = by_thread.get(ident)
    others = threads_in(world) if world is not None else []
    return debugging(frame) or any(debugging(frame_of(other)) for other in others if other != ident)


class inside:  # noqa: N801 - a context manager that reads as a word, like contextlib's
    """`with inside(world):` this thread lives in that world. It nests; leaving restores what was before."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __enter__(self) -> Self:
        ident, world = thread_id(), self._world
        with _lock:
            self._count(1)
            if ident in _entered:
                _entered[ident].append(world)
            else:
                _entered[ident] = [world]
            by_thread[ident] = world
        return self

    def __exit__(self, *exc_info: object) -> None:
        ident = thread_id()
        with _lock:
            worlds = _entered.get(ident, [])
            if worlds and worlds[-1] is self._world:
                del worlds[-1]
            elif self._world in worlds:
                # The latest of this world: of two that overlap the first may be left first.
                del worlds[len(worlds) - 1 - worlds[::-1].index(self._world)]
            else:
                raise SolipsismError("sealed() is left in a thread that did not enter it: leave it there")
            if worlds:
                by_thread[ident] = worlds[-1]
            else:
                del _entered[ident], by_thread[ident]
            self._count(-1)
        if self._world.baton.records and self._world not in worlds:
            self._world.baton.leave(ident)

    # The block itself does not matter here.
    _count = staticmethod(_seal.count)


class outside:  # noqa: N801
    """`with outside():` this thread lives in the real world for as long."""

    def __enter__(self) -> None:
        self._world = by_thread.pop(thread_id(), None)

    def __exit__(self, *exc_info: object) -> None:
        if self._world is not None:
            by_thread[thread_id()] = self._world


class visiting(inside):  # noqa: N801
    """As `inside`, for a thread that the world has started: when the world is over it does not count any more."""

    def _count(self, more: int) -> None:
        if not self._world.over:
            self._world.guests += more
            _seal.count(more)


def let_ready_run(world: World) -> None:
    """The world is about to end: threads that can go on do so, unless this one runs a loop, and may not wait."""
    if world.baton.records and _get_running_loop() is None:
        with inside(world):
            workers.let_ready_run(world.baton)


def end(world: World) -> None:
    """The world is over: its loop is closed, and threads that it has started and that are still there do not count."""
    for file in list(world.kernel.files.values()):
        world.kernel.close(file)
    world.jobs.shut_down_in_place(wait=False)
    with _lock:
        world.over = True
        world.baton.finish(world.jobs.working)
        if world.guests:
            _seal.count(-world.guests)
            world.guests = 0
    world.jobs.wait_for_those_in_place()
    world.let_go()


class sealed(inside):  # noqa: N801
    """`with sealed(loop):` this thread lives in the loop's world. It nests; leaving restores what was before.

    A loop that is not a SolipsistEventLoop is a SolipsismError.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        world = getattr(loop, "world", None)
        if not isinstance(world, World):
            raise SolipsismError(f"{loop!r} has no virtual world: sealed() needs a SolipsistEventLoop")
        self._world = world
