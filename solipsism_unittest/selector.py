"""`VirtualSelector`: the place where asyncio waits, and so where virtual time moves.

Owns the registrations, the decision that nothing more can happen at this instant (*quiescent*), and the wake-up queue of
other threads. Does not own what follows from a hang: it tells the loop. CPython's `_run_once` calls `select()` once per
turn; only a turn with nothing to run and nothing ready may move the clock.
"""

from __future__ import annotations

import math
import queue
import selectors
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .errors import LivelockError, RealTimeLimitError, SleepForeverError, SolipsismError
from .kernel import Kernel
from .sockets import VirtualSocket

# So many turns at one instant without any effect on the world are a livelock: about half a second of spinning.
TURNS_AT_ONE_INSTANT = 200_000
HELD_TOO_LONG = 60.0  # real seconds without a sign of life from whatever holds the clock

Event = tuple[selectors.SelectorKey, int]


class _Map(Mapping[Any, selectors.SelectorKey]):
    """What `get_map()` gives: keys by descriptor or by file object."""

    def __init__(self, selector: VirtualSelector) -> None:
        self._selector = selector

    def get(self, fileobj: Any, default: Any = None) -> Any:
        return self._selector.keys.get(fileobj if type(fileobj) is int else self._selector.number(fileobj), default)

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        return self._selector.keys[self._selector.number(fileobj)]

    def __len__(self) -> int:
        return len(self._selector.keys)

    def __iter__(self) -> Iterator[int]:
        return iter(self._selector.keys)


class VirtualSelector(selectors.BaseSelector):
    """A selector over one kernel.

    `next_timer()` gives the loop's earliest deadline (infinity for none). `on_stuck(type, reason)` is told of a hang and
    either makes something happen or raises.
    """

    def __init__(self, kernel: Kernel, autojump: bool = True) -> None:
        self.keys: dict[int, selectors.SelectorKey] = {}
        self.autojump = autojump
        self.wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.next_timer: Callable[[], float] = lambda: math.inf
        self.on_stuck: Callable[[type[SolipsismError], str], None] = self._raise
        self._kernel = kernel
        self._map = _Map(self)
        self._turns = 0
        self._effects = 0

    def number(self, fileobj: Any) -> int:
        """The descriptor of a file object of this world; SolipsismError for any other."""
        if isinstance(fileobj, VirtualSocket):
            fileobj.join(self._kernel)
        number = fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
        if number in self._kernel.files or number in self.keys:
            return number
        if number < 0:
            raise ValueError(f"Invalid file descriptor: {number}")
        raise SolipsismError(f"{fileobj!r} is not a descriptor of this event loop: only sockets that were made in its world "
                             "(socket.socket() in a test, socketpair()) can be waited for")

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = self.number(fileobj)
        if number in self.keys:
            raise KeyError(f"{fileobj!r} (FD {number}) is already registered")
        return self._watch(number, fileobj, events, data)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = self.number(fileobj)
        return self._watch(number, self.keys[number].fileobj, events, data)

    def _watch(self, number: int, fileobj: Any, events: int, data: Any) -> selectors.SelectorKey:
        key = self.keys[number] = selectors.SelectorKey(fileobj, number, events, data)
        file = self._kernel.files.get(number)
        if file is not None:
            file.watch(events)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else self.number(fileobj)
        key = self.keys.pop(number)
        file = self._kernel.files.get(number)
        if file is not None:
            file.watch(0)
        return key

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._map

    def close(self) -> None:
        self.keys.clear()

    # -- waiting

    def select(self, timeout: float | None = None) -> list[Event]:
        """What is ready, after moving time if that is what it takes; [] also when timers have become due."""
        if self._kernel.awake:
            events = self._ready()
            if events:
                self._count_turn()
                return events
        if timeout is not None and timeout <= 0:
            self._count_turn()
            return []
        return self._quiesce()

    def _ready(self) -> list[Event]:
        keys = self.keys
        return [(keys[file.number], events) for file, events in self._kernel.ready()]

    def _count_turn(self) -> None:
        self._turns += 1
        if self._turns > TURNS_AT_ONE_INSTANT:
            self._turns = 0
            effects = self._kernel.journal.effects
            if effects == self._effects:
                self.on_stuck(LivelockError, f"the program spins: {TURNS_AT_ONE_INSTANT:,} turns of the loop")
            self._effects = effects

    def _quiesce(self) -> list[Event]:
        """Nothing can happen at this instant: let time, or whoever holds it, go on."""
        clock = self._kernel.clock
        if not self.wakeups.empty():
            self._drain_wakeups()
            return []
        if clock.holds:
            self._wait_for_the_real_world()
            return self._ready()
        stop = clock.next_stop()
        due = min(self.next_timer(), clock.next_delivery())
        if due <= stop and due != math.inf and (self.autojump or stop != math.inf or due <= clock.now):
            self._jump(due)
        elif stop != math.inf:
            self._jump(stop)
            clock.end_stop()
        elif due != math.inf:
            self.on_stuck(SleepForeverError, f"nothing moves time (autojump is off, and the next timer is due at t={due!r}: "
                          "call self.advance())")
        else:
            self.on_stuck(SleepForeverError, "nothing can wake the program")
        return self._ready() if self._kernel.awake else []

    def _jump(self, when: float) -> None:
        clock = self._kernel.clock
        if when > clock.now:
            self._turns = 0
            self._kernel.journal.note("jump", when - clock.now)
        clock.jump(when)

    def _drain_wakeups(self) -> None:
        while not self.wakeups.empty():
            self.wakeups.get_nowait()

    def _wait_for_the_real_world(self) -> None:
        limit = time.perf_counter() + HELD_TOO_LONG
        try:
            self.wakeups.get(timeout=max(0.0, limit - time.perf_counter()))
        except queue.Empty:
            holds = "; ".join(map(repr, self._kernel.clock.holds))
            self.on_stuck(RealTimeLimitError, f"waited {HELD_TOO_LONG:g} real seconds for what holds the clock ({holds})")
        self._drain_wakeups()

    def _raise(self, kind: type[SolipsismError], reason: str) -> None:
        raise kind(f"{reason} at t={self._kernel.clock.now!r}")
