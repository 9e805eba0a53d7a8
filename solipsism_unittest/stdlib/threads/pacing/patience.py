"""How long a thread may keep the turn: 50 real ms without a wait, and the next one goes on beside it.

Owns the gate at which a thread waits for its turn. Whoever stands first in line there looks, now and then, whether the
one that runs is late. Late is who has used the processor for so long, or stands still where nobody sees it: in a file,
in a function of C, in a lock that was made before the test. One that only was not given a processor is not late: a
busy machine must not change the order. A thread that is late is a stray; it holds the clock until its next wait. One
that stands still in a call whose name says that it waits for others lets go of the clock too.

The thread of a loop that does not run has that loop run while it waits, where the test has added programs: they are
tasks of that loop. A second record has its turns then.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from ....introspection.modules import is_ours, module_of
from ....introspection.threads import Real, Turns, asleep, frame_of, idents, processor_time, resting, standing, waits
from ....kernel.clock import VirtualClock
from ....kernel.journal import Journal
from .record import BLIND, DONE, ENDED, MANY, READY, RUNNING, STRAY, WAITING, Over, Record, Waiter, Why, named

PATIENCE = 0.05  # real seconds
NAME_OF_WATCHDOG = "solipsism_unittest real-time limit"  # a thread that looks on
LOOKS_AT_REST = 3  # so many in a row that find a thread asleep: it does not wait for a processor
AT_ONCE = 0.001  # real seconds
LOOK_EVERY = 0.02  # real seconds, once patience is over
_main_thread = threading.main_thread  # in a program under this name it is that of the program


class Around(Protocol):
    """What is asked of the world."""

    home: int  # the thread of its loop
    programs: object  # that a test has added; None for none

    @property
    def loop(self) -> Any:
        """The loop that lives in it."""

    def may_run_loop(self) -> bool:
        """Whether programs need a loop that does not run, and this thread may run it."""

    def lives_here(self, ident: int) -> bool:
        """Whether a thread is in it now."""

    def members(self) -> list[int]:
        """The threads that are in it now."""

    def reach(self) -> float:
        """Up to when time may go where no loop decides."""


class Strikes:
    """How a thread is told from outside that it goes no further."""

    over: bool
    records: dict[int, Record]
    running: Record | None
    _section: contextlib.AbstractContextManager[None]

    if TYPE_CHECKING:
        def _make_ready(self, record: Record) -> None:
            """Put a thread in line."""

        def _drop(self, record: Record) -> None:
            """Take it out of all lines."""

    def strike(self, ident: int, error: BaseException) -> bool:
        """Let a thread that waits, or waits for its turn, raise this there; False for any other."""
        with self._section:
            record = self.records[ident]
            if record.state not in (WAITING, READY):
                return False
            self._raise_in(record, error)
        return True

    def meet(self, ident: int, error: BaseException) -> None:
        """Let a thread raise this where it waits; one that runs raises it at the end of its next wait."""
        with self._section:
            self._raise_in(self.records[ident], error)

    def _raise_in(self, record: Record, error: BaseException) -> None:
        record.error = error
        if record.state is WAITING:
            self._make_ready(record)

    def end(self, ident: int, error: BaseException | None = None) -> None:
        """Let a thread go no further than to its next wait, for its program has ended; this is raised where it waits.
        """
        with self._section:
            record = self.records.get(ident)
            if record is not None:
                record.ends = 1
                if record.state is WAITING:
                    record.error = error or Over(ENDED)
                    self._make_ready(record)

    def _end_here(self, me: Record) -> None:
        """Raise that in a wait. A thread that catches it and waits again, and again, stands still at last."""
        me.ends += 1
        if me.ends > MANY:
            with self._section:
                me.is_free = True
                self._drop(me)
                self.running = None if self.running is me else self.running
            while not self.over:
                Real.acquire(me.gate, True, LOOK_EVERY)
        raise Over(ENDED)

    def lives_on(self, ident: int) -> None:
        """A thread has done with that program: it is another's."""
        record = self.records.get(ident)
        if record is not None:
            record.ends = 0


def is_idle(thread: threading.Thread) -> bool:
    """Whether it brings nothing: it looks on, or is a worker of a pool that rests where it waits for a job."""
    if thread.name == NAME_OF_WATCHDOG:
        return True
    frame = innermost = frame_of(thread.ident)
    while frame is not None and is_ours(module_of(frame)):  # the queue of a pool that another test has left
        frame = frame.f_back
    return (frame is not None and frame.f_code.co_name == "_worker"
            and module_of(frame) == "concurrent.futures.thread" and (frame is not innermost or waits(frame))
            and resting([thread.native_id or 0]) is not None)


class Patience(Strikes):
    """What a baton knows of those that run, and how a thread waits for its turn."""

    waiting: dict[Record, None]
    active: dict[Record, None]

    if TYPE_CHECKING:
        def new_record(self, name: str) -> Record:
            """A record of a thread."""

        def take_turn(self, me: Record) -> None:
            """Wait for the turn, where another has it."""

        def wait(self, me: Record, why: Why) -> bool:
            """Wait to be woken."""

        def wake(self, waiter: Waiter) -> None:
            """End a wait."""

    _clock: VirtualClock
    _journal: Journal
    _world: Around

    def begin_to_look(self) -> None:
        """There are threads from now on."""
        doors = type(self._section).__enter__, type(self).wait, type(self).wake
        self._doors = [function.__code__ for function in doors]  # no set: the hash of a code takes long
        self.home_waits = False  # the thread of the loop, which does not run, and has left the world
        self.running = None
        self.ready: deque[Record] = deque()
        self.strays: dict[Record, None] = {}
        self.blind: dict[Record, Turns | None] = {}  # how often each was given a processor when it was seen last
        self._main_stood: Turns | None = None
        self.since = 0.0  # real time of the last turn
        self._suspected = 0.0  # real time at which it was first a hang, since then

    def is_held(self) -> bool:
        """Whether somebody holds the clock."""
        return bool(self._clock.holds)

    def knows(self, ident: int) -> bool:
        """Whether a thread lives in this world."""
        return ident in self.records or self._world.lives_here(ident)

    def park(self, me: Record) -> None:
        """Wait for the turn. An exception, from the handler of a signal, leaves a stray."""
        try:
            runner = self.running
            pause = PATIENCE if runner is None or not runner.was_blind else AT_ONCE
            while not Real.acquire(me.gate, True, pause):
                if self.over:  # nobody gives turns any more
                    return
                pause = LOOK_EVERY
                with self._section:
                    self._look_around(me)
        except BaseException:
            with self._section:
                self._break_off(me)
            raise

    def _break_off(self, me: Record) -> None:
        if not me.gate.acquire(False):  # it has no turn
            me.token += 1
            if me in self.ready:
                self.ready.remove(me)
            self.waiting.pop(me, None)
            self._stray(me)

    def _stray(self, record: Record) -> None:
        record.state = STRAY
        self.strays[record] = self.active[record] = None

    def _look_around(self, me: Record) -> None:
        """What one that waits for its turn, or for others, looks for now and then."""
        if self.over:
            return
        runner = self.running
        if runner is None:
            self.home_waits = self._does_home_wait()
            for record in [*self.strays]:
                if self._is_blind(record):
                    del self.strays[record]
                    self._go_blind(record)
            if self.strays:
                self._has_brought_something()
        elif runner.was_blind and self._stands_still(runner):
            self.running = None
            self._go_blind(runner)
        elif self.ready:
            if self.ready[0] is me and self._is_late(runner):
                self._let_run_beside(runner, me)
        elif next((each for each in self.waiting if each.stand_in is None), None) is me and self._is_late(runner):
            if self._is_blind(runner):
                self.running = None
                self._go_blind(runner)
            elif self._has_brought_something():
                self._let_run_beside(runner, self.ready[0])
        if me.state is WAITING and Real.monotonic() - self.since > me.patience:
            me.timed_out = me.is_impatient = True
            self._make_ready(me)

    def _let_run_beside(self, runner: Record, first: Record) -> None:
        """Give the turn to who stands first in line, though this one has not ended its own."""
        self._journal.note("real-order", (f"{first.name} did not wait for {runner.name}",))
        self.running = None
        if self._is_blind(runner):
            self._go_blind(runner)
        else:
            self._stray(runner)

    def _has_brought_something(self) -> bool:
        """Whether one that runs has brought what others wait for, as one that has written to a pipe: they go on."""
        # Not who only lets others run: that one has the patience.
        found = [record for record in self.waiting if record.look is not None
                 and (record.order or record.patience == inf) and record.look()]
        for record in sorted(found, key=lambda record: record.seen):
            self._make_ready(record)
        return bool(found)

    def has_strangers(self, *, native: bool = False) -> bool:
        """Whether there are threads of no world, or of another, that may bring what somebody waits for.

        `native` ones too, which run Python now and are none of `threading`.
        """
        running = idents()  # up to 3.12 a thread that `threading` did not start is listed after its end, too
        if native and not running <= {*self.records, *(thread.ident for thread in threading.enumerate())}:
            return True
        strangers = [thread for thread in threading.enumerate() if thread.ident not in self.records
                     and (thread.ident is None or thread.ident in running)]
        if any(thread is not _main_thread() and not is_idle(thread) for thread in strangers):
            return True
        strangers = [thread for thread in strangers if thread is _main_thread()]
        # The main thread may wait for all this to end: then it has not moved since the last look.
        before, self._main_stood = self._main_stood, None
        if strangers and self._is_at_rest(strangers[0]):
            self._main_stood = asleep([strangers[0].native_id or 0])
        return bool(strangers) and (before is None or before != self._main_stood)

    def _is_at_rest(self, thread: threading.Thread) -> bool:
        frame = frame_of(thread.ident)
        return frame is not None and waits(frame) and resting([thread.native_id or 0]) is not None

    def _does_home_wait(self) -> bool:
        """Whether it has left the world, and waits in the real one: for a thread of the world, for example."""
        ident = self._world.home
        return any(self._is_at_rest(thread) for thread in threading.enumerate() if thread.ident == ident)

    def _is_late(self, runner: Record) -> bool:
        """Whether it has had its time and a processor, or stands still."""
        if Real.monotonic() - self.since < PATIENCE or self._goes_on_soon(runner):
            return False
        used, stood = processor_time(runner.native), asleep([runner.native])
        if runner.used < 0:
            runner.used = used
        runner.rests = runner.rests + 1 if stood is not None else 0
        stands = stood is not None and stood == runner.stood or runner.rests >= LOOKS_AT_REST
        runner.stood = stood
        return stands or used - runner.used >= PATIENCE

    def _is_blind(self, record: Record) -> bool:
        """Whether it stands still in a call whose name says that it waits for others."""
        frame = frame_of(record.ident)
        return (frame is not None and waits(frame) and not self._goes_on_soon(record)
                and resting([record.native]) is not None)

    def _goes_on_soon(self, record: Record) -> bool:
        """Whether it starts a thread, or waits for who looks at it: one thread at a time enters a section."""
        frame = frame_of(record.ident)
        return record.real > 0 or frame is not None and frame.f_code in self._doors

    def _stands_still(self, record: Record) -> bool:
        """A shorter look at one that was blind before: it is so again and again."""
        frame = frame_of(record.ident)
        if frame is None or not waits(frame) or self._goes_on_soon(record):
            return False
        stood = asleep([record.native])
        Real.sleep(AT_ONCE)  # who has only to get the interpreter's lock gets it
        return stood is not None and asleep([record.native]) == stood

    def _go_blind(self, record: Record) -> None:
        if not record.was_blind:
            self._journal.note("real-order", (f"{record.name} waits where nobody sees it",))
        record.state, record.was_blind = BLIND, True
        self.active[record] = None
        self.blind[record] = asleep([record.native])

    def _has_moved(self) -> bool:
        """Whether one of those that nobody sees has gone on: it is a stray then, and holds the clock."""
        moved = [record for record, stood in self.blind.items()
                 if stood is None or asleep([record.native]) != stood]
        for record in moved:
            del self.blind[record]
            self._stray(record)
        return bool(moved)

    def _drop(self, record: Record) -> None:
        self.active.pop(record, None)
        self.waiting.pop(record, None)
        if self.strays or self.blind:
            self.strays.pop(record, None)
            self.blind.pop(record, None)

    def is_sure(self) -> bool:
        """Whether it has been a hang for a while: one that nobody sees may be woken, and have no processor yet."""
        now = Real.monotonic()
        if self._suspected < self.since:
            self._suspected = now
        return now - self._suspected >= PATIENCE

    def give_up(self) -> str:
        """Take no turns with those that run and come to no wait any more; gives who they are."""
        with self._section:
            late = list(self.strays)
            for record in late:
                self._drop(record)
                record.is_free = True
        return "; ".join(named(record) + standing(record.ident) for record in late)

    # -- the loop that runs while its thread waits

    def stand_in_for(self, me: Record) -> Record | None:
        """Who has the turn while this thread waits, and runs the loop; None where it just waits."""
        if not self._world.may_run_loop():
            return None
        stand_in = me.stand_in = self.new_record(me.name)
        stand_in.stands_for = me
        stand_in.begin()
        stand_in.state = RUNNING
        self.records[me.ident] = stand_in
        return stand_in

    def run_the_loop(self, me: Record, stand_in: Record) -> None:
        """Run the loop until the wait of this thread is over. A hang of the loop is raised here."""
        try:
            while me.state is not RUNNING:
                self._world.loop.run_for_others()
        finally:
            with self._section:
                self._drop(stand_in)
                self._drop(me)
                stand_in.state, me.stand_in = DONE, None
                self.records[me.ident] = me
                if me.state is not RUNNING:  # an exception has come first
                    me.token += 1
                    if me in self.ready:
                        self.ready.remove(me)
                    me.state = RUNNING
                if self.running is stand_in:
                    self.running = me
            self.take_turn(me)

    def call_back(self, me: Record, stand_in: Record) -> tuple[Record, bool]:
        """A wait is over whose thread runs the loop: that one is stopped. Gives who has the turn, and whether it stands
        at its gate.
        """
        me.state = RUNNING
        self._world.loop.stop()
        stands = stand_in.state in (WAITING, READY)
        self._drop(stand_in)
        if stand_in in self.ready:
            self.ready.remove(stand_in)
        stand_in.token += 1
        return stand_in, stands

    def is_quiet(self) -> bool:
        """Whether all other threads wait, and none for what is there."""
        if self.ready or self.strays or self.blind:
            return False
        return not any(record.look is not None and record.look() for record in list(self.active)
                       if record.state is WAITING)

    def only_time_acts(self) -> bool:
        """Whether all threads of the world wait, and there is no other that could bring what they wait for."""
        with self._section:
            return self.is_quiet() and not self.has_strangers(native=True)

    def has_others(self, ident: int) -> bool:
        """Whether there are threads beside this one, but those of pools, which may be idle."""
        return any(other != ident and not record.is_worker for other, record in self.records.items())

    def waits(self, ident: int | None) -> bool:
        """Whether a thread waits in virtual time: the end of the world ends that."""
        record = self.records.get(ident or 0)
        return record is not None and record.state is WAITING
