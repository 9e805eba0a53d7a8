"""`VirtualSelector`: the place where asyncio waits, and so where virtual time moves.

Owns the registrations, the decision that nothing more can happen at this instant (*quiescent*), and the wake-up queue
of other threads. Does not own what follows from a hang: it asks its owner. CPython's `_run_once` calls `select()` once
per turn; only a turn with nothing to run and nothing ready may move the clock.
"""

from __future__ import annotations

import os
import queue
import selectors
import stat
from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Any, NamedTuple, Protocol

from ..errors import LivelockError, RealTimeLimitError, SleepForeverError, SolipsismError
from ..hangs.spins import Look
from ..introspection.threads import Real
from ..kernel import Kernel
from ..stdlib.escapes import noted
from ..stdlib.files.played import is_played, number_of
from ..stdlib.sockets.virtual_socket import Face
from ..stdlib.threads.stalls import Blocking, clues
from ..stdlib.threads.workers import Workers
from ..stdlib.worlds import World
from .timers import Timer

# What spins, and what works hard? An effect on the world (a byte, a connection) is work. While something holds the
# clock, the real seconds count and not the turns. Otherwise the last 100 of every 100,000 turns at one instant (a third
# of a second) are looked at. When all that the running code can reach is *exactly* as it was some turns before
# (spins.py), it will be so again and again: a livelock. A program that counts, fills a list or takes from a queue never
# is as before. One that counts for ever must end too, so a million turns are a livelock in any case. A hand-over from
# task to task takes two turns, so a test may make hundreds of thousands of them.
TURNS_AT_ONE_INSTANT = 1_000_000
TURNS_BEFORE_A_LOOK = 100_000
TURNS_LOOKED_AT = 100
TURNS_OF_A_POLL = 1_000  # the same where a test allows polling
JUMPS_TO_QUESTION = 10_000  # jumps of the clock without a step of the main task: is it there for ever?
HELD_TOO_LONG = 60.0  # real seconds without a sign of life from whatever holds the clock

_EVENTS = selectors.EVENT_READ | selectors.EVENT_WRITE

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


class Limits(NamedTuple):
    """How much a selector allows before it reports a hang; it is replaced as a whole."""

    turns: int = TURNS_AT_ONE_INSTANT  # of the loop, at one instant and without an effect, whatever they did
    polling: bool = False  # time goes on to the next deadline, where there is one, instead
    jumps: int = JUMPS_TO_QUESTION  # of the clock, until the owner is asked whether the program can still go on
    real_seconds: float = HELD_TOO_LONG  # for what holds the clock
    virtual_seconds: float = inf  # for the program
    horizon: float = inf  # the virtual time at which these are over


DEFAULT_LIMITS = Limits()


class Owner(Protocol):
    """Who answers for a selector: it is asked for deadlines, and every hang is reported to it."""

    @property
    def loop(self) -> object:
        """The loop."""

    def next_deadline(self) -> float:
        """When the earliest timer is due; infinity where there is none."""

    def next_timer(self) -> Timer | None:
        """The earliest timer; None where there is none."""

    def stuck(self, kind: type[SolipsismError], reason: str, hint: str) -> None:
        """The program hangs: make something happen, or raise."""

    def question_the_wait(self) -> int:
        """The clock has jumped many times. Act as `stuck()` does where the program cannot go on.

        Gives after how many jumps to ask again.
        """

    def beyond(self, when: float) -> None:
        """The next thing would happen at `when`, beyond the horizon: raise, or move the horizon."""

    def look(self) -> Look:
        """A new look at a program that may spin."""

    def slow_turn(self, seconds: float, runs: object) -> None:
        """A turn of the loop took this many real seconds; `runs` says what ran in it."""


class SpinWatch:
    """Finds out whether the turns at one instant are a livelock."""

    __slots__ = ("look", "first", "last", "_allowed", "_kernel", "_new_look", "_effects", "_before")

    def __init__(self, kernel: Kernel, new_look: Callable[[], Look], turns: int) -> None:
        self.look = Look()  # the latest one
        self._kernel = kernel
        self._new_look = new_look
        self._effects = 0
        self._before = 0, kernel.clock.now  # turns without an effect before the latest look, and at which instant
        self.allow(turns)

    def allow(self, turns: int, before_a_look: int = TURNS_BEFORE_A_LOOK) -> None:
        """Set how many turns without an effect are a livelock, and so which turns are looked at."""
        self._allowed = turns
        self.last = min(turns, before_a_look)
        self.first = self.last + 1 - min(TURNS_LOOKED_AT, max(1, turns // 2))

    def turn(self, number: int) -> None:
        """Look at one turn; the first one begins a new look, for one that a jump of time cut short counts nothing."""
        if number == self.first + 1:
            self.look = self._new_look()
        self.look.turn()

    def spun(self, turns: int) -> int:
        """After the last turn: how many turns changed nothing where this is a livelock, and 0 where it is none."""
        clock, effects = self._kernel.clock, self._kernel.journal.effects
        before, at = self._before
        self._before = 0, clock.now
        if effects != self._effects or clock.holds:
            self._effects = effects
            return 0
        if at == clock.now:
            turns += before
        if self.look.recurs or turns >= self._allowed:
            return turns
        self._before = turns, clock.now
        return 0


class VirtualSelector(selectors.BaseSelector):
    """A selector over the kernel of one world; its owner answers for the loop."""

    def __init__(self, world: World, owner: Owner, autojump: bool = True) -> None:
        self.keys: dict[int, selectors.SelectorKey] = {}
        self.autojump = autojump
        self.wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.jobs = world.jobs
        self.blocking = Blocking(owner.slow_turn)
        self.turns = 0  # at this instant
        self.jumps_left = JUMPS_TO_QUESTION  # until the owner is asked
        self.spins = SpinWatch(world.kernel, owner.look, TURNS_AT_ONE_INSTANT)
        self.horizon = inf  # the limits'
        self._limits = DEFAULT_LIMITS
        self._owner = owner
        self._line = self.jobs.line
        self._workers = self.jobs.workers.alive
        self._world = world
        self._kernel = kernel = world.kernel
        self._clock = kernel.clock
        self._deliveries = kernel.clock.deliveries
        self._awake = kernel.awake
        self._map = _Map(self)

    @property
    def limits(self) -> Limits:
        """How much is allowed before a hang is reported; set another value to change it."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        before, self._limits = self._limits, limits
        if limits.jumps != before.jumps:
            self.jumps_left = limits.jumps
        self.horizon = limits.horizon
        if limits.turns != before.turns or limits.polling != before.polling:
            self.spins.allow(limits.turns, TURNS_OF_A_POLL if limits.polling else TURNS_BEFORE_A_LOOK)

    def known(self, fileobj: Any) -> int:
        """The descriptor of a file object, for a look-up. One of another world is not refused: it is not found."""
        try:
            number = int(number_of(fileobj))
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
        """The descriptor of a file object of this world; any other is an EscapeError."""
        if type(fileobj) is int and (fileobj in self._kernel.files or fileobj in self.keys):
            return fileobj
        if isinstance(fileobj, Face):
            Face.join(fileobj, self._world)  # past what a program's own class calls so
        number = self.known(fileobj)
        if number in self._kernel.files or number in self.keys or is_played(fileobj):
            return number
        raise noted(self._world, f"{fileobj!r} is not a descriptor of this event loop: only sockets that were made in "
                                 "its world (socket.socket() in a test, socketpair()) can be waited for; what reads a "
                                 "real one, as a terminal, does so in a thread: asyncio.to_thread(os.read, fd, n)")

    def check_pipe(self, pipe: Any) -> None:
        """Refuse a real pipe or terminal, as `number()` does; a file of another kind asyncio refuses by itself."""
        mode = os.fstat(pipe.fileno()).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode):
            self.number(pipe)

    def register(self, fileobj: Any, events: int, data: object = None) -> selectors.SelectorKey:
        number = self.number(fileobj)
        if number in self.keys:
            raise KeyError(f"{fileobj!r} (FD {number}) is already registered")
        return self._watch(number, fileobj, events, data)

    def modify(self, fileobj: Any, events: int, data: object = None) -> selectors.SelectorKey:
        number = self.number(fileobj)
        return self._watch(number, self.keys[number].fileobj, events, data)

    def _watch(self, number: int, fileobj: Any, events: int, data: object) -> selectors.SelectorKey:
        if not 0 < events <= _EVENTS:
            raise ValueError(f"Invalid events: {events!r}")
        # What a call of the class does, without its function in Python.
        key = self.keys[number] = tuple.__new__(selectors.SelectorKey, (fileobj, number, events, data))
        self._kernel.watch(number, events)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        number = int(fileobj) if isinstance(fileobj, int) else self.known(fileobj)
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
        turn, now = self.blocking, Real.perf_counter()
        if now > turn.look_at:
            turn.measure(now)
        turn.began = now
        if self._deliveries and self._deliveries[0][0] <= self._clock.now:
            self._clock.jump(self._clock.now)  # what arrives now comes before the timers that are due now
        events = self._ready() if self._awake else []
        if events or (timeout is not None and timeout <= 0):
            self.turns += 1
            self.look_after_turn()
        else:
            turn.runs = None  # what has run and is not needed any more ends now, before time goes on
            events = self.quiesce(self._owner.next_deadline())
        ready = turn.ready
        if events or len(ready) > 1:
            turn.runs = clues(ready, events)
        else:
            turn.runs = ready[0] if ready else self._owner.next_timer()
        return events

    def look_after_turn(self) -> None:
        """A turn was made at this instant: give others a chance now and then, and see whether the program spins."""
        if self._line and not self.turns & 1023:
            self._pause()
        if self.turns > self.spins.first:
            self._look_closer()
            self.blocking.start()  # that took its time, and no callback did

    def _ready(self) -> list[Event]:
        keys = self.keys
        return [(keys[file.number], events) for file, events in self._kernel.ready()]

    def _look_closer(self) -> None:
        self.spins.turn(self.turns)
        if self.turns > self.spins.last:
            turns = self.spins.spun(self.turns - 1)
            self.turns = 0
            due = self._owner.next_deadline()
            if turns and self._limits.polling and self.autojump and due != inf:
                self._jump(due)
            elif turns:
                self._owner.stuck(LivelockError, "the program spins",
                                  f"{turns:,} turns of the loop changed nothing, and time cannot go on: something runs "
                                  "again and again without waiting for anything")

    def quiesce(self, due: float) -> list[Event]:
        """Nothing can happen at this instant: let time, or whoever holds it, go on. `due` is the earliest deadline."""
        clock = self._clock
        if not self.wakeups.empty():
            self._drain_wakeups()
            return []
        if (self._line or clock.holds or self._workers) and self._wait_for_others():
            return self._ready()
        if not self.jumps_left:
            self.jumps_left = self._owner.question_the_wait()
            self.blocking.start()  # no callback took that long
            return []  # the loop may have something to do now
        if clock.deliveries and clock.deliveries[0][0] < due:
            due = clock.deliveries[0][0]
        stop = clock.stops[0][0] if clock.stops else inf
        if due <= stop and due != inf and (self.autojump or stop != inf):
            self._jump(due)
        elif stop != inf and stop > self.horizon:
            self._owner.beyond(stop)
        elif stop != inf:
            self._jump(stop)
            self._kernel.journal.note("advanced", ())
            clock.end_stop()
        elif self.jobs.is_awaited() or not self.wakeups.empty():  # one that had let go may have come by since
            self._wait_for_the_real_world()
        elif self._workers and self._wait_for_a_thread():
            pass
        elif due != inf:
            self._owner.stuck(SleepForeverError, "nobody moves time on",
                          f"autojump is off, and the next timer is due at t={due!r}: await advance() to get there")
        else:
            self._owner.stuck(SleepForeverError, "nothing can wake the program", self.jobs.workers.hint())
        return self._ready() if self._awake else []

    def _wait_for_others(self) -> bool:
        """Let jobs, holders of the clock and other threads come first; False when there is nothing to wait for."""
        if self.jobs.waiting_since is not None and self.jobs.deliver():
            return True
        if self._clock.holds:
            self._wait_for_the_real_world()
            return True
        return bool(self._workers) and self._wait_for_a_thread(self._thread_too_late)

    def _jump(self, when: float) -> None:
        clock = self._clock
        if when > self.horizon:
            self._owner.beyond(when)
        elif when != clock.now:
            self.turns = 0
            self.jumps_left -= 1
            clock.jump(when)

    def _drain_wakeups(self) -> None:
        while not self.wakeups.empty():
            self.wakeups.get_nowait()

    def _wait_for_the_real_world(self) -> None:
        patience = self.jobs.patience()
        try:
            self.wakeups.get(timeout=self._limits.real_seconds if patience is None else patience)
        except queue.Empty:
            if patience is None:
                waited_for = self.jobs.names()
                self.jobs.give_up()
                self._owner.stuck(RealTimeLimitError, "what holds the clock does not let go",
                              f"waited {self._limits.real_seconds:g} real seconds for {waited_for}")
            else:
                self.jobs.lose_patience()
        self._drain_wakeups()
        self.blocking.start()  # no callback took that long

    def _pause(self) -> None:
        """The program spins or works hard beside executor jobs: give them a chance, and hand over what is there."""
        if self.turns & (self.turns - 1) == 0:  # at 1024 turns, 2048, 4096: who needs no job loses little
            self.jobs.pause(self.wakeups)

    def _wait_for_a_thread(self, on_late: Callable[[str], None] | None = None) -> bool:
        came = self.jobs.workers.bring(self._owner.loop, self.wakeups, self._limits.real_seconds, on_late)
        if came:
            self._drain_wakeups()
        self.blocking.start()
        return came or bool(self._awake and self._kernel.ready())  # a thread may have sent something itself

    def _thread_too_late(self, names: str) -> None:
        self._owner.stuck(RealTimeLimitError, "a thread does not answer",
                      f"waited {self._limits.real_seconds:g} real seconds for {names}\n  a thread that is meant to run "
                      "on is started in `with background():`")

    # Where the loop's thread stands while it waits for other threads.
    WAITS = frozenset(function.__code__ for function in (_wait_for_the_real_world, Workers.bring))
