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
from time import perf_counter
from typing import Any

from ..errors import LivelockError, RealTimeLimitError, SleepForeverError, SolipsismError, VirtualTimeLimitError
from ..hangs.spins import Look
from ..stdlib.sockets.virtual_socket import VirtualSocket
from ..stdlib.threads.stalls import Blocking, clues
from ..stdlib.threads.workers import Workers
from ..stdlib.worlds import World

# What spins, and what works hard? An effect on the world (a byte, a connection) is work, and while something holds the
# clock it is that which counts. Otherwise, every 100,000 turns at one instant (a third of a second), the last 100 are
# looked at: when all that the running code can reach is *exactly* as it was some turns before (spins.py), it will be so
# again and again, and that is a livelock. A loop that counts, fills a list or takes from a queue never is as before;
# so that one that counts for ever ends too, a million turns are one in any case. A hand-over from task to task takes
# two turns, so a test may make hundreds of thousands of them.
TURNS_AT_ONE_INSTANT = 1_000_000
TURNS_BEFORE_A_LOOK = 100_000
TURNS_LOOKED_AT = 100
JUMPS_TO_QUESTION = 10_000  # jumps of the clock without a step of the main task: is it there for ever?
HELD_TOO_LONG = 60.0  # real seconds without a sign of life from whatever holds the clock

Event = tuple[selectors.SelectorKey, int]


class _Map(Mapping[Any, selectors.SelectorKey]):
    """What `get_map()` gives: keys by descriptor or by file object."""

    def __init__(self, selector: VirtualSelector) -> None:
        self._selector = selector

    def get(self, fileobj: Any, default: Any = None) -> Any:
        return self._selector.keys.get(fileobj if type(fileobj) is int else self._selector.known(fileobj), default)

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        return self._selector.keys[fileobj if type(fileobj) is int else self._selector.known(fileobj)]

    def __len__(self) -> int:
        return len(self._selector.keys)

    def __iter__(self) -> Iterator[int]:
        return iter(self._selector.keys)


class VirtualSelector(selectors.BaseSelector):
    """A selector over the kernel of one world.

    `next_timer()` gives the loop's earliest deadline (infinity for none). `on_stuck(type, reason, hint)` is told of a
    hang and either makes something happen or raises. `on_long_wait()` is asked after many jumps whether the program can
    still go on, does as `on_stuck` does where it cannot, and gives how many jumps later to ask again.
    """

    def __init__(self, world: World, autojump: bool = True) -> None:
        self.keys: dict[int, selectors.SelectorKey] = {}
        self.autojump = autojump
        self.wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.jobs = world.jobs
        self._line = self.jobs.line
        self._threads = self.jobs.workers.alive
        self.next_timer: Callable[[], float] = lambda: inf
        self.on_stuck: Callable[[type[SolipsismError], str, str], None] = self._raise
        self.on_long_wait: Callable[[], int] = lambda: JUMPS_TO_QUESTION
        self.jumps_allowed = self.jumps_left = JUMPS_TO_QUESTION
        self.look: Callable[[], Look] = Look  # made for each stretch of turns that is looked at
        self.looking = Look()  # the last one
        self.turns_allowed = TURNS_AT_ONE_INSTANT
        self.real_seconds_allowed = HELD_TOO_LONG
        self._world = world
        self._kernel = kernel = world.kernel
        self._clock = kernel.clock
        self._deliveries = kernel.clock.deliveries
        self._awake = kernel.awake
        self.loop: Any = None  # whose `_clock_resolution` follows the clock
        self._map = _Map(self)
        self.horizon = inf  # `on_horizon(when)` is told instead of a jump to a time beyond it
        self.on_horizon: Callable[[float], None] = self._beyond
        self.blocking = Blocking()
        self.turns = 0
        self._effects = 0
        self._turns_before = 0, kernel.clock.now  # turns without effect before the last look, and at which instant

    @property
    def turns_allowed(self) -> int:
        """So many turns at one instant without an effect are a livelock, whatever they did."""
        return self._turns_allowed

    @turns_allowed.setter
    def turns_allowed(self, turns: int) -> None:
        self._turns_allowed = turns
        self._look_until = min(turns, TURNS_BEFORE_A_LOOK)
        self._look_from = self._look_until + 1 - min(TURNS_LOOKED_AT, max(1, turns // 2))

    def known(self, fileobj: Any) -> int:
        """The descriptor of a file object, to look it up: one that is not of this world is only not there."""
        try:
            number = fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"Invalid file object: {fileobj!r}") from None
        if number < 0:
            # As `selectors` does: what was closed while registered is found by itself.
            for known, key in self.keys.items():
                if key.fileobj is fileobj:
                    return known
            raise ValueError(f"Invalid file descriptor: {number}")
        return number

    def number(self, fileobj: Any) -> int:
        """The descriptor of a file object of this world; SolipsismError for any other."""
        if isinstance(fileobj, VirtualSocket):
            fileobj.join(self._world)
        number = self.known(fileobj)
        if number in self._kernel.files or number in self.keys:
            return number
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
        self._kernel.watch(number, events)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else self.known(fileobj)
        key = self.keys.pop(number)
        self._kernel.watch(number, 0)
        return key

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._map

    def close(self) -> None:
        self.keys.clear()

    # -- waiting

    def select(self, timeout: float | None = None) -> list[Event]:
        """What is ready, after moving time if that is what it takes; [] also when timers have become due."""
        turn, now = self.blocking, perf_counter()
        if now - turn.began > turn.slow:
            turn.on_slow(now - turn.began, turn.runs)
        turn.began = now
        if self._deliveries and self._deliveries[0][0] <= self._clock.now:
            self._clock.jump(self._clock.now)  # what arrives now comes before the timers that are due now
        events = self._ready() if self._awake else []
        if events or (timeout is not None and timeout <= 0):
            self.turns += 1
            if self._line and not self.turns & 1023:
                self._pause()
            if self.turns > self._look_from:
                self._look_closer()
                self.blocking.began = perf_counter()  # that took its time, and no callback did
        else:
            turn.runs = None  # what has run and is not needed any more ends now, before time goes on
            events = self._quiesce()
        ready = turn.ready
        if events or len(ready) > 1:
            turn.runs = clues(ready, events)
        else:
            turn.runs = ready[0] if ready else turn.timers[0] if turn.timers else None
        return events

    def _ready(self) -> list[Event]:
        keys = self.keys
        return [(keys[file.number], events) for file, events in self._kernel.ready()]

    def _look_closer(self) -> None:
        if self.turns == self._look_from + 1:
            self.looking = self.look()  # a new one: one that a jump of time cut short counts for nothing
        looked = self.looking
        looked.turn()
        if self.turns <= self._look_until:
            return
        turns, self.turns = self.turns - 1, 0
        before, at = self._turns_before
        self._turns_before = 0, self._clock.now
        effects = self._kernel.journal.effects
        if effects != self._effects or self._clock.holds:
            self._effects = effects
            return
        if at == self._clock.now:
            turns += before
        if looked.recurs or turns >= self.turns_allowed:
            self.on_stuck(LivelockError, "the program spins",
                          f"{turns:,} turns of the loop changed nothing, and time cannot go on: something runs again "
                          "and again without waiting for anything")
        else:
            self._turns_before = turns, self._clock.now

    def _quiesce(self) -> list[Event]:
        """Nothing can happen at this instant: let time, or whoever holds it, go on."""
        clock = self._clock
        if not self.wakeups.empty():
            self._drain_wakeups()
            return []
        if (self._line or clock.holds or self._threads) and self._wait_for_others():
            return self._ready()
        if not self.jumps_left:
            self.jumps_left = self.on_long_wait()
            self.blocking.began = perf_counter()  # no callback took that long
            return []  # the loop may have something to do now
        due = self.next_timer()
        if clock.deliveries and clock.deliveries[0][0] < due:
            due = clock.deliveries[0][0]
        stop = clock.stops[0][0] if clock.stops else inf
        if due <= stop and due != inf and (self.autojump or stop != inf):
            self._jump(due)
        elif stop != inf and stop > self.horizon:
            self.on_horizon(stop)
        elif stop != inf:
            self._jump(stop)
            self._kernel.journal.note("advanced", ())
            clock.end_stop()
        elif self.jobs.is_awaited() or not self.wakeups.empty():  # one that had let go may have come by since
            self._wait_for_the_real_world()
        elif self._threads and self._wait_for_a_thread():
            pass
        elif due != inf:
            self.on_stuck(SleepForeverError, "nobody moves time on",
                          f"autojump is off, and the next timer is due at t={due!r}: await advance() to get there")
        else:
            self.on_stuck(SleepForeverError, "nothing can wake the program", self.jobs.workers.hint())
        return self._ready() if self._awake else []

    def _wait_for_others(self) -> bool:
        """Let jobs, what else holds the clock, and other threads come first; False when there is nobody to wait for."""
        if self.jobs.waiting_since is not None and self.jobs.deliver():
            return True
        if self._clock.holds:
            self._wait_for_the_real_world()
            return True
        return bool(self._threads) and self._wait_for_a_thread(self._thread_too_late)

    def _jump(self, when: float) -> None:
        clock = self._clock
        if when > self.horizon:
            self.on_horizon(when)
        elif when != clock.now:
            self.turns = 0
            self.jumps_left -= 1
            clock.jump(when)
            if self.loop is not None:
                self.loop._clock_resolution = clock.resolution

    def _drain_wakeups(self) -> None:
        while not self.wakeups.empty():
            self.wakeups.get_nowait()

    def _wait_for_the_real_world(self) -> None:
        patience = self.jobs.patience()
        try:
            self.wakeups.get(timeout=self.real_seconds_allowed if patience is None else patience)
        except queue.Empty:
            if patience is None:
                waited_for = self.jobs.names()
                self.jobs.give_up()
                self.on_stuck(RealTimeLimitError, "what holds the clock does not let go",
                              f"waited {self.real_seconds_allowed:g} real seconds for {waited_for}")
            else:
                self.jobs.lose_patience()
        self._drain_wakeups()
        self.blocking.began = perf_counter()  # no callback took that long

    def _pause(self) -> None:
        """The program spins or works hard beside executor jobs: give them a chance, and hand over what is there."""
        if self.turns & (self.turns - 1) == 0:  # at 1024 turns, 2048, 4096: who does not wait for them loses little
            self.jobs.pause(self.wakeups)

    def _wait_for_a_thread(self, on_late: Callable[[str], None] | None = None) -> bool:
        came = self.jobs.workers.bring(self.loop, self.wakeups, self.real_seconds_allowed, on_late)
        if came:
            self._drain_wakeups()
        self.blocking.began = perf_counter()
        return came or bool(self._awake and self._kernel.ready())  # a thread may have sent something itself

    def _thread_too_late(self, names: str) -> None:
        self.on_stuck(RealTimeLimitError, "a thread does not answer",
                      f"waited {self.real_seconds_allowed:g} real seconds for {names}\n  a thread that is meant to run "
                      "on is started in `with background():`")

    # Where the loop's thread stands while it waits for other threads.
    WAITS = frozenset(function.__code__ for function in (_wait_for_the_real_world, Workers.bring))

    def _beyond(self, when: float) -> None:
        self._raise(VirtualTimeLimitError, f"time shall not go beyond t={self.horizon!r}", f"t={when!r} comes next")

    def _raise(self, kind: type[SolipsismError], reason: str, hint: str) -> None:
        raise kind(f"{reason} at t={self._clock.now!r}" + (f": {hint}" if hint else ""))
