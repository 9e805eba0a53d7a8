"""`VirtualSelector`: the place where asyncio waits, and so where virtual time moves.

Owns the registrations, the decision that nothing more can happen at this instant (*quiescent*), and the wake-up queue
of other threads. Does not own what follows from a hang: it tells the loop. CPython's `_run_once` calls `select()` once
per turn; only a turn with nothing to run and nothing ready may move the clock.
"""

from __future__ import annotations

import queue
import selectors
from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Any

from .errors import LivelockError, RealTimeLimitError, SleepForeverError, SolipsismError
from .kernel import Kernel
from .sockets import VirtualSocket

# So many turns at one instant without any effect on the world are a livelock: a few seconds of spinning. A hand-over
# from task to task takes two turns and has no such effect, so a test may make hundreds of thousands of them.
TURNS_AT_ONE_INSTANT = 1_000_000
HELD_TOO_LONG = 60.0  # real seconds without a sign of life from whatever holds the clock

Event = tuple[selectors.SelectorKey, int]


class _Map(Mapping[Any, selectors.SelectorKey]):
    """What `get_map()` gives: keys by descriptor or by file object."""

    def __init__(self, selector: VirtualSelector) -> None:
        self._selector = selector

    def get(self, fileobj: Any, default: Any = None) -> Any:
        return self._selector.keys.get(fileobj if type(fileobj) is int else self._selector.number(fileobj), default)

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        return self._selector.keys[fileobj if type(fileobj) is int else self._selector.number(fileobj)]

    def __len__(self) -> int:
        return len(self._selector.keys)

    def __iter__(self) -> Iterator[int]:
        return iter(self._selector.keys)


class VirtualSelector(selectors.BaseSelector):
    """A selector over one kernel.

    `next_timer()` gives the loop's earliest deadline (infinity for none). `on_stuck(type, reason, hint)` is told of a
    hang and either makes something happen or raises.
    """

    def __init__(self, kernel: Kernel, autojump: bool = True) -> None:
        self.keys: dict[int, selectors.SelectorKey] = {}
        self.autojump = autojump
        self.wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.next_timer: Callable[[], float] = lambda: inf
        self.on_stuck: Callable[[type[SolipsismError], str, str], None] = self._raise
        self.turns_allowed = TURNS_AT_ONE_INSTANT
        self.real_seconds_allowed = HELD_TOO_LONG
        self._kernel = kernel
        self._clock = kernel.clock
        self._deliveries = kernel.clock.deliveries
        self._awake = kernel.awake
        self.loop: Any = None  # whose `_clock_resolution` follows the clock
        self._map = _Map(self)
        self.turns = 0
        self._effects = 0

    def number(self, fileobj: Any) -> int:
        """The descriptor of a file object of this world; SolipsismError for any other."""
        if isinstance(fileobj, VirtualSocket):
            fileobj.join(self._kernel)
        try:
            number = fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"Invalid file object: {fileobj!r}") from None
        if number in self._kernel.files or number in self.keys:
            return number
        if number < 0:
            # As `selectors` does: what was closed while registered is found by itself.
            for known, key in self.keys.items():
                if key.fileobj is fileobj:
                    return known
            raise ValueError(f"Invalid file descriptor: {number}")
        raise SolipsismError(f"{fileobj!r} is not a descriptor of this event loop: only sockets that were made in its "
                             "world (socket.socket() in a test, socketpair()) can be waited for")

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = self.number(fileobj)
        if number in self.keys:
            raise KeyError(f"{fileobj!r} (FD {number}) is already registered")
        return self._watch(number, fileobj, events, data)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = self.number(fileobj)
        return self._watch(number, self.keys[number].fileobj, events, data)

    def _watch(self, number: int, fileobj: Any, events: int, data: Any) -> selectors.SelectorKey:
        if not 0 < events <= selectors.EVENT_READ | selectors.EVENT_WRITE:
            raise ValueError(f"Invalid events: {events!r}")
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
        if self._deliveries and self._deliveries[0][0] <= self._clock.now:
            self._clock.jump(self._clock.now)  # what arrives now comes before the timers that are due now
        events = self._ready() if self._awake else []
        if events or (timeout is not None and timeout <= 0):
            self.turns += 1
            if self.turns > self.turns_allowed:
                self._question_the_spin()
            return events
        return self._quiesce()

    def _ready(self) -> list[Event]:
        keys = self.keys
        return [(keys[file.number], events) for file, events in self._kernel.ready()]

    def _question_the_spin(self) -> None:
        self.turns = 0
        effects = self._kernel.journal.effects
        if effects == self._effects:
            self.on_stuck(LivelockError, "the program spins",
                          f"{self.turns_allowed:,} turns of the loop changed nothing, and time cannot go on: something "
                          "runs again and again without waiting for anything")
        self._effects = effects

    def _quiesce(self) -> list[Event]:
        """Nothing can happen at this instant: let time, or whoever holds it, go on."""
        clock = self._clock
        if not self.wakeups.empty():
            self._drain_wakeups()
            return []
        if clock.holds:
            self._wait_for_the_real_world()
            return self._ready()
        due = self.next_timer()
        if clock.deliveries and clock.deliveries[0][0] < due:
            due = clock.deliveries[0][0]
        stop = clock.stops[0][0] if clock.stops else inf
        if due <= stop and due != inf and (self.autojump or stop != inf):
            self._jump(due)
        elif stop != inf:
            self._jump(stop)
            self._kernel.journal.note("advanced", ())
            clock.end_stop()
        elif due != inf:
            self.on_stuck(SleepForeverError, "nobody moves time on",
                          f"autojump is off, and the next timer is due at t={due!r}: await advance() to get there")
        else:
            self.on_stuck(SleepForeverError, "nothing can wake the program", "")
        return self._ready() if self._awake else []

    def _jump(self, when: float) -> None:
        clock = self._clock
        if when != clock.now:
            self.turns = 0
            clock.jump(when)
            if self.loop is not None:
                self.loop._clock_resolution = clock.resolution

    def _drain_wakeups(self) -> None:
        while not self.wakeups.empty():
            self.wakeups.get_nowait()

    def _wait_for_the_real_world(self) -> None:
        try:
            self.wakeups.get(timeout=self.real_seconds_allowed)
        except queue.Empty:
            holds = "; ".join(map(repr, list(self._clock.holds)))  # a copy: other threads release them
            self.on_stuck(RealTimeLimitError, "what holds the clock does not let go",
                          f"waited {self.real_seconds_allowed:g} real seconds for {holds}")
        self._drain_wakeups()

    def _raise(self, kind: type[SolipsismError], reason: str, hint: str) -> None:
        raise kind(f"{reason} at t={self._clock.now!r}" + (f": {hint}" if hint else ""))
