"""`Holdings`: what a program of a test has, which goes with the program: its descriptors, tasks, timers and threads.

Owns whose a new descriptor is, and how all of it ends: as the kernel closes what a process leaves. What has been sent
arrives, and then the end of the stream; who has sent something that was not read is reset. What somebody else has too,
by another descriptor, stays open there. Does not own what a loop knows of a program (loop/inventory.py).
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, NoReturn, Protocol

from ..kernel import Kernel
from .worlds import World

__unittest = True
__tracebackhide__ = True

_MANY = 1_000  # descriptors after which those that are closed are forgotten; later twice as many as are open then


class Threads(Protocol):
    """The threads of a program."""

    def hosted(self, world: World, function: Callable[..., Any]) -> Callable[..., Any]:
        """Make what a thread runs for the program, at most until that is over."""

    def note_pool(self, pool: Any) -> None:
        """The program makes a pool of threads."""

    def end_threads(self, world: World, but: int) -> None:
        """They come no further than to their next wait, but for one."""


class Holdings:
    """What one program has."""

    def __init__(self, threads: Threads) -> None:
        self.is_over = False
        self.threads = threads
        # Ends the program at once with this exit code, where it is no process of its own; and whether it ends with what
        # has come out of one of its tasks or callbacks into a loop that is others', too.
        self.leave: Callable[[int], NoReturn] | None = None
        self.ends_with: Callable[[BaseException], bool] = lambda error: False
        self.generators: weakref.WeakKeyDictionary[Any, None] = weakref.WeakKeyDictionary()  # async, begun
        self._numbers: dict[int, None] = {}
        self._room = _MANY

    def add(self, kernel: Kernel, numbers: Iterable[int]) -> None:
        """These descriptors are the program's. What one gets that has ended nobody asks for."""
        self._numbers.update(dict.fromkeys(numbers))
        if self.is_over:
            kernel.reaped.update(self._numbers)
        elif len(self._numbers) > self._room:
            self._numbers = {number: None for number in self._numbers if number in kernel.files}
            self._room = max(_MANY, 2 * len(self._numbers))

    def end(self, world: World, main: object = None) -> None:
        """The program has ended, but for its main task, or thread, which unwinds: close what it has, and cancel its
        other tasks. Another call ends what came since.
        """
        kernel, numbers = world.kernel, list(self._numbers)
        loops = dict.fromkeys([world.loop, *world.running, *world.second])
        if not self.is_over:
            for loop in loops:
                loop.inventory.note_end(kernel, main)
            self.is_over = True
        for loop in loops:
            loop.inventory.end_program(self, numbers, main)
        for number in numbers:
            kernel.reap(number)
        kernel.abandoned[:] = [file for file in kernel.abandoned if file.number not in self._numbers]


holding: ContextVar[Holdings | None] = ContextVar("solipsism_unittest.holding", default=None)
"""What the program has that runs in a context; None for the test itself."""


def hold(kernel: Kernel, *numbers: int) -> None:
    """Whoever runs here has made these descriptors."""
    holdings = holding.get()
    if holdings is not None:
        holdings.add(kernel, numbers)


@contextlib.contextmanager
def of_the_test() -> Iterator[None]:
    """In the block what is made is the test's, whoever runs here."""
    token = holding.set(None)
    try:
        yield
    finally:
        holding.reset(token)


def holder_of(context: Any) -> Holdings | None:
    """The program that runs in a context; None for the test itself, and for no context."""
    return context.get(holding) if context is not None else None
