"""A second loop of a world: what a program gets that makes an event loop by itself, with `asyncio.run()` for example.

All loops of a world have one machine and one time. They run on threads that take turns: a loop that has nothing to do
waits, as any thread does. The one that was made first says how time goes on. While no other loop runs, a second one
stands for the test's own.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from ..introspection.places import Place, user_place
from ..stdlib import worlds
from ..stdlib.holdings import holding
from ..stdlib.processes.process import within
from ..stdlib.worlds import thread_id, world_here
from .event_loop import Own, SolipsistEventLoop
from .selector import VirtualSelector
from .turns import Turns

__unittest = True
__tracebackhide__ = True


class SecondLoop(SolipsistEventLoop):
    """A loop in the world of the thread that makes it."""

    def __init__(self, selector: Any = None) -> None:
        world = world_here()
        assert world is not None  # only a sealed thread makes one
        if selector is not None:
            selector.close()  # a real one, which cannot wait for anything here
        first = world.loop
        self._own = Own(self)
        Turns.__init__(self, world, VirtualSelector(world, self._own.hangs))
        self._own.uncaught = first.uncaught  # the test answers for them
        self.selector.autojump, self.selector.limits = first.selector.autojump, first.selector.limits
        blocking = first.selector.blocking
        self.selector.blocking.choose(blocking.on_call, blocking.on_slow_turn)
        self.selector.blocking.found = blocking.found
        self.made_at: Place | None = user_place(2)
        self.holdings = holding.get()
        self._left: BaseException | None = None  # with what it stops
        self._endings: list[Callable[[], Coroutine[Any, Any, object]]] = []
        world.second.append(self)
        if world.on_loop is not None:
            world.on_loop(self)

    def run_forever(self) -> None:
        """As asyncio's, beside other loops of the world where it runs on a thread of its own."""
        self._check_closed()
        self._check_running()
        world, guest = self.world, within.get()
        if guest is not None and thread_id() == guest.main:
            guest.inner = self
            try:
                super().run_forever()
            finally:
                guest.inner = None
            if self._left is not None:
                error, self._left = self._left, None
                raise error
            return
        if world.running:
            super().run_forever()
            return
        stands, home = world.loop, world.home
        world.loop = self
        try:
            super().run_forever()
        finally:
            world.loop, world.home = stands, home

    def leave(self, error: BaseException) -> None:
        """Stop, and raise this out of the call that runs the loop."""
        self._left = error
        self.stop()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As asyncio's; of a program that a signal has ended nobody hears anything."""
        guest = within.get()
        if guest is None or guest.end_code is None:
            super().call_exception_handler(context)

    def at_close(self, end: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run this before the loop closes, the last one first: it ends what the test has put on this loop."""
        self._endings.append(end)

    def forget_endings(self) -> None:
        """Run nothing before it closes."""
        self._endings.clear()

    def close(self) -> None:
        """As asyncio's. What is open in the world stays open: it is the test's."""
        while self._endings and not self.is_running():
            self.run_until_complete(self._endings.pop()())
        super(SolipsistEventLoop, self).close()
        if self.is_closed() and self in self.world.second:
            self.world.second.remove(self)
            self._own.let_go(self)


worlds.use_second_loop(SecondLoop)
