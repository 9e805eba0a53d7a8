"""A second loop of a world: what a program gets that makes an event loop by itself, with `asyncio.run()` for example.

Owns how loops of one world take turns: one at a time. While a second loop runs, the one before it stands, with its
timers and its registrations. All of them have one machine and one time.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Coroutine
from typing import Any

from ..introspection.places import Place, user_place
from ..stdlib import worlds
from ..stdlib.escapes import noted
from ..stdlib.worlds import world_here
from .event_loop import Own, SolipsistEventLoop
from .selector import VirtualSelector
from .turns import Turns

__unittest = True
__tracebackhide__ = True


class _Selector(VirtualSelector):
    """What a loop that stands waits for is no matter until it runs again."""

    def _watch(self, number: int, fileobj: Any, events: int, data: object) -> selectors.SelectorKey:
        key = super()._watch(number, fileobj, events, data)
        if self._world.loop is not self._owner.loop:
            self._kernel.watch(number, 0)
        return key


def _watch_all(loop: SolipsistEventLoop, again: bool) -> None:
    for number, key in loop.selector.keys.items():
        loop.kernel.watch(number, key.events if again else 0)


class SecondLoop(SolipsistEventLoop):
    """A loop in the world of the thread that makes it."""

    def __init__(self, selector: Any = None) -> None:
        world = world_here()
        assert world is not None  # only a sealed thread makes one
        if selector is not None:
            selector.close()  # a real one, which cannot wait for anything here
        first = world.loop
        self._own = Own(self)
        Turns.__init__(self, world, _Selector(world, self._own.hangs))
        self._own.uncaught = first.uncaught  # the test answers for them
        self.selector.autojump, self.selector.limits = first.selector.autojump, first.selector.limits
        blocking = first.selector.blocking
        self.selector.blocking.choose(blocking.on_call, blocking.on_slow_turn)
        self.selector.blocking.found = blocking.found
        self.made_at: Place | None = user_place(2)
        self._endings: list[Callable[[], Coroutine[Any, Any, object]]] = []
        world.second.append(self)

    def run_forever(self) -> None:
        """As asyncio's, while no other loop of the world runs."""
        self._check_closed()
        self._check_running()
        world = self.world
        if not world.claim():
            raise noted(world, f"a second event loop (made at {self.made_at}) would run in a thread while "
                               f"{world.loop!r} runs: await the coroutine on the test's own loop, hand it over with "
                               "asyncio.run_coroutine_threadsafe(), or run both from a test that is no coroutine")
        stands, home, wake = world.loop, world.home, world.jobs.wake
        world.loop, world.jobs.wake = self, self._write_to_self
        _watch_all(stands, False)
        _watch_all(self, True)
        try:
            super().run_forever()
        finally:
            world.loop, world.home, world.jobs.wake = stands, home, wake
            _watch_all(self, False)
            _watch_all(stands, True)

    def at_close(self, end: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run this before the loop closes, the last one first: it ends what the test has put on this loop."""
        self._endings.append(end)

    def close(self) -> None:
        """As asyncio's. What is open in the world stays open: it is the test's."""
        while self._endings and not self.is_running():
            self.run_until_complete(self._endings.pop()())
        super(SolipsistEventLoop, self).close()
        if self.is_closed() and self in self.world.second:
            self.world.second.remove(self)


worlds.use_second_loop(SecondLoop)
