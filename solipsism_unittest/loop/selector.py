"""`VirtualSelector`: the place where asyncio waits, and so where virtual time moves.

Owns the registrations, the decision that nothing more can happen at this instant (*quiescent*), and the wake-up queue
of other threads. Does not own what follows from a hang: it asks its owner. CPython's `_run_once` calls `select()` once
per turn; only a turn with nothing to run and nothing ready may move the clock.
"""

from __future__ import annotations

import functools
import os
import selectors
import stat
from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Any, NamedTuple, Protocol

from ..errors import LivelockError, RealTimeLimitError, SleepForeverError, SolipsismError
from ..hangs.spins import Look
from ..introspection.threads import Real
from ..kernel import Kernel
from ..kernel.descriptors.file import Descriptor, File
from ..stdlib.escapes import noted
from ..stdlib.files.played import is_played, number_of
from ..stdlib.sockets.virtual_socket import Face
from ..stdlib.threads.pacing.record import lines
from ..stdlib.threads.stalls import Blocking, clues
from ..stdlib.worlds import World
from .doors import Replaceable
from .parking import Parking
from .timers import Timer

# What spins, and what works hard? An effect on the world (a byte, a connection) is work. While something holds the
# clock, the real seconds count and not the turns. Otherwise the last 100 of every 100,000 turns at one instant (a third
# of a second) are looked at. When all that the running code can reach is *exactly* as it was some turns before
# (spins.py), it will be so again and again: a livelock. A program that counts, fills a list or takes from a queue never
# is as before. One that counts for ever must end too, so a million turns are a livelock in any case. A hand-over from
# task to task takes two turns, so a test may make hundreds of thousands of them. Who works hard without end, as one
# that connects anew at once whenever it is refused, must end some day as well: no test comes so far in its real time.
TURNS_AT_ONE_INSTANT = 1_000_000
TURNS_IN_ANY_CASE = 10_000_000
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
        self._keys, self._known = selector.keys, selector.known

    def get(self, fileobj: Any, default: Any = None) -> Any:
        return self._keys.get(fileobj if type(fileobj) is int else self._known(fileobj), default)

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys[fileobj if type(fileobj) is int else self._known(fileobj)]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)


class Limits(NamedTuple):
    """How much a selector allows before it reports a hang; it is replaced as a whole."""

    turns: int = TURNS_AT_ONE_INSTANT  # of the loop, at one instant and without an effect, whatever they did
    busy_turns: int = TURNS_IN_ANY_CASE  # at one instant, with an effect or without
    polling: bool = False  # time goes on to the next deadline, where there is one, instead
    jumps: int = JUMPS_TO_QUESTION  # of the clock, until the owner is asked whether the program can still go on
    real_seconds: float = HELD_TOO_LONG  # for what holds the clock
    virtual_seconds: float = inf  # for the program
    horizon: float = inf  # the virtual time at which these are over


DEFAULT_LIMITS = Limits()
_NOTHING_SEEN = Look()


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

    def choose_turns(self) -> None:
        """Somebody has replaced `select()`, or has taken that back."""

    def slow_turn(self, seconds: float, runs: object) -> None:
        """A turn of the loop took this many real seconds; `runs` says what ran in it."""


def _looked_at(turns: int, before_a_look: int) -> tuple[int, int]:
    """Before the first and at the last turn at one instant that is looked at, where so many may change nothing."""
    last = min(turns, before_a_look)
    return last + 1 - min(TURNS_LOOKED_AT, max(1, turns // 2)), last


_USUALLY_LOOKED_AT = _looked_at(TURNS_AT_ONE_INSTANT, TURNS_BEFORE_A_LOOK)


class SpinWatch:
    """Finds out whether the turns at one instant are a livelock."""

    __slots__ = ("look", "first", "last", "_allowed", "_allowed_busy", "_kernel", "_new_look", "_before")

    def __init__(self, kernel: Kernel, new_look: Callable[[], Look]) -> None:
        self.look = _NOTHING_SEEN  # the latest one
        self._kernel = kernel
        self._new_look = new_look
        # At the latest look: the effects, the turns without one since, those in any case, and at which instant.
        self._before = 0, 0, 0, kernel.clock.now
        self._allowed, self._allowed_busy = TURNS_AT_ONE_INSTANT, TURNS_IN_ANY_CASE
        self.first, self.last = _USUALLY_LOOKED_AT

    def allow(self, turns: int, before_a_look: int = TURNS_BEFORE_A_LOOK, busy: int = TURNS_IN_ANY_CASE) -> None:
        """Set how many turns without an effect are a livelock, and how many `busy` ones; so which are looked at."""
        self._allowed = turns
        self._allowed_busy = busy
        self.first, self.last = _looked_at(turns, before_a_look)

    def turn(self, number: int) -> None:
        """Look at one turn; the first one begins a new look, for one that a jump of time cut short counts nothing."""
        if number == self.first + 1:
            self.look = self._new_look()
        self.look.turn()

    def spun(self, turns: int) -> str:
        """After the last turn: how many turns came to nothing where this is a livelock, and "" where it is none."""
        clock, effects = self._kernel.clock, self._kernel.journal.effects
        before, idle, busy, at = self._before
        idle, busy = (idle + turns, busy + turns) if at == clock.now else (turns, turns)
        if clock.holds:
            idle = busy = 0
        elif effects != before:
            idle = 0
        self._before = effects, idle, busy, clock.now
        is_idle = idle > 0 and (self.look.recurs or idle >= self._allowed)
        if not is_idle and busy < self._allowed_busy:
            return ""
        self._before = effects, 0, 0, clock.now
        if is_idle:
            return f"{idle:,} turns of the loop changed nothing"
        return f"{busy:,} turns of the loop went by at once"


class VirtualSelector(Parking, selectors.BaseSelector):
    """A selector over the kernel of one world; its owner answers for the loop."""

    own_select: Any = None  # what a program has put in the place of `select`

    def __init__(self, world: World, owner: Owner, autojump: bool = True) -> None:
        self.keys: dict[int, selectors.SelectorKey] = {}
        self.autojump = autojump
        Parking.__init__(self, world)
        self.blocking = Blocking(owner.slow_turn)
        self.turns = 0  # at this instant
        self.jumps_left = JUMPS_TO_QUESTION  # until the owner is asked
        self.spins = SpinWatch(world.kernel, owner.look)
        self.horizon, self.real_seconds = inf, HELD_TOO_LONG  # the limits'
        self._limits = DEFAULT_LIMITS
        self._owner = owner
        self._world = world
        self._kernel = kernel = world.kernel
        self._clock = kernel.clock
        self._deliveries = kernel.clock.deliveries
        self._awake = kernel.awake
        self._map: _Map | None = None

    @property
    def limits(self) -> Limits:
        """How much is allowed before a hang is reported; set another value to change it."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        known_turns, known_busy_turns, was_polling, known_jumps, _, _, _ = self._limits  # by names it takes long
        self._limits = limits
        turns, busy_turns, polling, jumps, self.real_seconds, _, self.horizon = limits
        if jumps != known_jumps:
            self.jumps_left = jumps
        if turns != known_turns or polling != was_polling or busy_turns != known_busy_turns:
            self.spins.allow(turns, TURNS_OF_A_POLL if polling else TURNS_BEFORE_A_LOOK, busy_turns)

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
                                 "its world (socket.socket() in a test, socketpair()) can be waited for; "
                                 + (_OF_A_SOCKET if _is_real_socket(number) else _OF_OTHERS))

    def check_pipe(self, pipe: Any) -> None:
        """Refuse a real pipe or terminal, as `number()` does; a file of another kind asyncio refuses by itself."""
        mode = os.fstat(pipe.fileno()).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode):
            self.number(pipe)

    def register(self, fileobj: Any, events: int, data: object = None) -> selectors.SelectorKey:
        number = fileobj if type(fileobj) is int and fileobj in self._kernel.files else self.number(fileobj)
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
        number = fileobj if type(fileobj) is int else self.known(fileobj)
        key = self.keys.pop(number)
        self._kernel.watch(number, 0)
        return key

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        if self._map is None:
            self._map = _Map(self)
        return self._map

    def close(self) -> None:
        for number in self.keys:  # others of this world would be asked for what became ready
            self._kernel.watch(number, 0)
        self.keys.clear()
        self._map = None

    # -- waiting

    @functools.partial(Replaceable, replaced=lambda self: self._owner.choose_turns())
    def select(self, timeout: float | None = None) -> list[Event]:
        """What is ready, after moving time if that is what it takes; [] also when timers have become due."""
        turn, now = self.blocking, Real.perf_counter()
        if now > turn.look_at:
            turn.measure(now)
        turn.began = now
        turn.runs = None  # what has run and is not needed any more ends now, before time goes on
        events = self.wait(timeout)
        ready = turn.ready
        if events or len(ready) > 1:
            turn.runs = clues(ready, events)
        else:
            turn.runs = ready[0] if ready else self._owner.next_timer()
        return events

    def wait(self, timeout: float | None) -> list[Event]:
        """As `select`, for turns that time their callbacks themselves."""
        if self._deliveries and self._deliveries[0][0] <= self._clock.now:
            self._clock.jump(self._clock.now)  # what arrives now comes before the timers that are due now
            if self.blocking.ready:
                timeout = 0  # a look-up has come, for example: who waited for it goes on at this instant
        events = self.ready_now() if self._awake else []
        if events or (timeout is not None and timeout <= 0):
            self.turns += 1
            self.look_after_turn()
            return events
        return self.quiesce(self._owner.next_deadline())

    def look_after_turn(self) -> None:
        """A turn was made at this instant: give others a chance now and then, and see whether the program spins."""
        if (self._line or self._others) and not self.turns & 1023:
            self._pause()
        if self.turns > self.spins.first:
            self._look_closer()
            self.blocking.start()  # that took its time, and no callback did

    def ready_now(self) -> list[Event]:
        """What is ready, without waiting for anything."""
        keys = self.keys
        return [(keys[file.number], events) for file, events in self.own_ready()]

    def own_ready(self) -> list[tuple[File | Descriptor, int]]:
        """As the kernel says it, without what another loop of the world waits for."""
        ready = self._kernel.ready()
        return [pair for pair in ready if pair[0].number in self.keys] if self._world.second else ready

    def _look_closer(self) -> None:
        self.spins.turn(self.turns)
        if self.turns > self.spins.last:
            spun = self.spins.spun(self.turns - 1)
            self.turns = 0
            due = self._owner.next_deadline()
            if spun and self._limits.polling and self.autojump and due != inf:
                self._jump(due)
            elif spun:
                self._owner.stuck(LivelockError, "the program spins", f"{spun}, and time cannot go on: something runs "
                                  "again and again without waiting for anything")

    def quiesce(self, due: float) -> list[Event]:
        """Nothing can happen at this instant: let time, or whoever holds it, go on. `due` is the earliest deadline."""
        clock = self._clock
        if self.wakeups.take(False):
            return []
        if (self._line or clock.holds or self._others) and self._wait_for_others(due):
            if self.jobs.waiting_since is not None and self._has_nothing_else(due):
                self.jobs.deliver()  # as the next turn would
            return self.ready_now() if self._awake else []
        if not self.jumps_left:
            self.jumps_left = self._owner.question_the_wait()
            self.blocking.start()  # no callback took that long
            return []  # the loop may have something to do now
        if clock.deliveries and clock.deliveries[0][0] < due:
            due = clock.deliveries[0][0]
        if self._others and (first := self._baton.next_deadline()) < due:
            due = first
        stop = clock.stops[0][0] if clock.stops else inf
        if due <= stop and due != inf and (self.autojump or stop != inf):
            self._jump(due)
        elif stop != inf and stop > self.horizon:
            self._owner.beyond(stop)
        elif stop != inf:
            self._jump(stop)
            self._kernel.journal.note("advanced", ())
            clock.end_stop()
        elif self.jobs.is_awaited() and self.autojump and (last := self._baton.next_deadline_of_free()) < inf:
            self._jump(last)  # nobody but a job of the background can go on
        elif self.jobs.is_awaited() or not self.wakeups.empty():  # one that had let go may have come by since
            self._wait_for_the_real_world()
        elif due != inf:
            self._owner.stuck(SleepForeverError, "nobody moves time on",
                          f"autojump is off, and the next timer is due at t={due!r}: await advance() to get there")
        elif not (self._may_be_called() and self._wait_for_a_call()):
            hint = "\n  ".join(lines(self._baton.records.values()))
            self._owner.stuck(SleepForeverError, "nothing can wake the program", hint)
        return self.ready_now() if self._awake else []

    def _has_nothing_else(self, due: float) -> bool:
        """Whether the next turn of the loop would have nothing to do before it hands results over."""
        deliveries, now = self._deliveries, self._clock.now
        return not (self._awake or self.blocking.ready or due <= now or deliveries and deliveries[0][0] <= now
                    or self.jobs.explorer is not None) and self.wakeups.empty()

    def _wait_for_others(self, due: float) -> bool:
        """Let jobs, other threads and holders of the clock come first; False when there is nothing to wait for."""
        if self.jobs.waiting_since is not None and self.jobs.deliver():
            return True
        if self._others and self._let_threads_run(due):
            return True
        if self._clock.holds:
            self._wait_for_the_real_world()
            return True
        return False

    def _jump(self, when: float) -> None:
        clock = self._clock
        if when > self.horizon:
            self._owner.beyond(when)
        elif when > clock.now:  # a call that blocked, or a machine that stalled, may have let time go on beyond it
            self.turns = 0
            self.jumps_left -= 1
            clock.jump(when)
        if self._others:
            self._baton.release()

    # -- what is asked of it where it is not alone

    def has_ready(self) -> bool:
        """Whether a descriptor is ready that this loop waits for."""
        return bool(self._awake and self.ready_now())

    def late(self, reason: str, hint: str) -> None:
        """Report that it took longer."""
        self._owner.stuck(RealTimeLimitError, reason, hint)


_fstat = os.fstat  # a program may replace it
_OF_A_SOCKET = ("this is a real one, made outside of it, as in setUpClass() or a fixture that runs before the test: "
                "make it in asyncSetUp(), or inside `with world():`")
_OF_OTHERS = "what reads a real one, as a terminal, does so in a thread: asyncio.to_thread(os.read, fd, n)"


def _is_real_socket(number: int) -> bool:
    try:
        return stat.S_ISSOCK(_fstat(number).st_mode)
    except OSError:  # it is closed, or nobody's
        return False
