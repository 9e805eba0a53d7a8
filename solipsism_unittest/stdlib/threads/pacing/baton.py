"""The baton: of the sealed threads of one world one runs at a time, in the order in which they became able to.

Owns who has the turn, who stands in line for it, who waits for what and until when. Who waits last passes the turn on,
in whatever thread that is; there is no thread that plans. When all wait, the world is quiescent as far as threads go: a
loop that is parked in its select() decides how time goes on, the one that was made first. Without a loop the threads
do it themselves: time jumps to the earliest deadline, or it is a hang.

The rule that keeps it simple: a wait is tried, announced, tried again, and only then begun. Who ends it ends it first
and looks for waiters afterwards. So no wake-up is lost, whatever thread it comes from.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from _thread import RLock, get_ident
from collections import deque
from collections.abc import Callable, Collection, Iterator
from math import inf

from ....introspection.places import Place
from ....introspection.threads import Real
from ....kernel.clock import VirtualClock
from ....kernel.journal import Journal
from .deadlines import Deadlines
from .patience import Around, Patience
from .record import DONE, NOTHING, READY, REALLY_WAITS, RUNNING, WAITING, Over, Record, Waiter, Why, stuck


class Section:
    """One piece of the baton's own code. Who is woken in the midst of it, by the handler of a signal or a finalizer, is
    woken at its end.
    """

    __slots__ = ("_baton", "mutex", "depth", "inbox")

    def __init__(self, baton: Baton) -> None:
        self._baton = baton
        self.mutex = RLock()
        self.depth = 0
        self.inbox: deque[Waiter] = deque()

    def __enter__(self) -> None:
        self.mutex.acquire()
        self.depth += 1

    def __exit__(self, *exc_info: object) -> None:
        self.leave()

    def leave(self) -> None:
        """The end: wake who was to be woken meanwhile, and pass the turn on where nobody has it."""
        baton = self._baton
        try:
            if self.depth == 1 and (self.inbox or baton.running is None):
                if self.inbox:
                    self.empty_inbox()
                if baton.running is None and not baton.over:
                    baton.pass_on()
        finally:
            self.depth -= 1
            self.mutex.release()
        if self.inbox and not self.depth and not self.mutex._is_owned():  # type: ignore[attr-defined]
            with self:
                pass

    def empty_inbox(self) -> bool:
        """Wake who was to be woken meanwhile; whether there was anybody."""
        was_filled = bool(self.inbox)
        while self.inbox:
            self._baton._wake(self.inbox.popleft())
        return was_filled


class Baton(Patience):
    """The turns of the threads of one world. Most have only one thread, so the rest is made for the first record."""

    def __init__(self, clock: VirtualClock, journal: Journal, world: Around) -> None:
        self._clock, self._journal, self._world = clock, journal, world
        self.records: dict[int, Record] = {}  # by thread
        # Those that a loop has to look after before it lets time go on: who does not just wait without a deadline.
        self.active: dict[Record, None] = {}
        self.over = self._is_used = False

    def _begin(self) -> None:
        self._is_used = True
        self.waiting = {}
        self._waits = 0  # how many have begun
        self._numbers = itertools.count(1)
        self._deadlines, self._deadlines_of_free = Deadlines(), Deadlines()  # those of the latter move no time
        self._section = self._turns = Section(self)
        self.begin_to_look()

    # -- coming and going

    def here(self) -> Record | None:
        """The record of this thread; None where its waits are real: it is not sealed, or its world is over."""
        record = self.records.get(get_ident())
        if record is not None:
            return None if record.real or self.over else record
        return self._come() if not self.over and self._world.lives_here(get_ident()) else None

    def _come(self) -> Record:
        """A thread that nobody in the world has started, as that of the test: it takes turns from now on."""
        record = self.new_record(threading.current_thread().name)
        record.begin(by_itself=True)
        with self._section:
            self.records[record.ident] = record
            takes_it = self.running is None and not self.ready
            if takes_it:
                self.running, record.state = record, RUNNING
                self.since = Real.monotonic()
            else:
                self._make_ready(record)
        if not takes_it:
            self.park(record)
        return record

    def new_record(self, name: str, place: Place | None = None) -> Record:
        """A record of a thread that is about to be started."""
        if not self._is_used:
            self._begin()
        return Record(self, name, next(self._numbers), place)

    @property
    def now(self) -> float:
        """The virtual time."""
        return self._clock.now

    def stand_in_line(self, record: Record) -> None:
        """A thread was started: it gets its turn after those that are there."""
        with self._section:
            self._make_ready(record)

    def begin(self, record: Record) -> None:
        """On the new thread: wait for the first turn."""
        record.begin()
        with self._section:
            self.records[record.ident] = record
        self.park(record)
        if self.over and not record.is_free and not record.is_worker:
            raise Over("the world in which this thread would begin is over")

    def set_free(self, me: Record, is_free: bool) -> None:
        """From now on this thread takes no turns, and holds no clock; or it does again."""
        with self._section:
            me.is_free = is_free
            self._drop(me)
            if self.running is me:
                self.running = None
        self.take_turn(me)

    def leave(self, ident: int) -> None:
        """A thread has left the world, or ends."""
        record = self.records.get(ident)
        if record is not None:
            with self._section:
                del self.records[ident]
                self._drop(record)
                record.state = DONE
                while record.joiners:
                    self._wake(record.joiners.popleft())
                if self.running is record:
                    self.running = None

    # -- waiting and waking

    def wait(self, me: Record, why: Why, deadline: float = inf, look: Callable[[], bool] | None = None, *,
             seen: int = 0) -> bool:
        """Wait to be woken: True. False when the deadline came first. A hang is raised here.

        `look()` says whether what is waited for may be there. It is asked when all threads wait, and who has waited
        longest goes on first: `seen` is the record's, from a wait that this one goes on with.
        """
        if me.ends and not self.over:
            self._end_here(me)
        section = self._turns
        section.mutex.acquire()  # as `with` does: each job waits twice, and a call of Python's own takes long
        section.depth += 1
        try:
            if self.over:
                return False
            was_woken, me.woken, me.timed_out, me.is_impatient = me.woken, False, False, False
            self._waits, me.seen = self._waits + 1, seen or self._waits + 1
            if was_woken:  # between the last try and now
                me.token += 1
            else:
                self._drop(me)
                me.state, me.why, me.deadline, me.look = WAITING, why, deadline, look
                self.waiting[me] = None
                if deadline < inf:
                    (self._deadlines_of_free if me.is_free else self._deadlines).add(me)
                if deadline < inf or look is not None:
                    self.active[me] = None
                if self.running is me:
                    self.running = None if self._world.programs is None else self.stand_in_for(me)
        finally:
            section.leave()
        if was_woken:
            self.take_turn(me)
            return True
        if me.stand_in is None:
            self.park(me)
        else:
            self.run_the_loop(me, me.stand_in)
        me.why = NOTHING
        me.raise_what_struck()
        return not me.timed_out

    def take_turn(self, me: Record) -> None:
        """Every call into the world comes by here: who has lost the turn waits until it has one again."""
        if self.running is me or me.is_free or self.over:
            return
        with self._section:
            self._drop(me)
            self._make_ready(me)
        self.park(me)

    def wake(self, waiter: Waiter) -> None:
        """End a wait, unless it is over. From any thread, a finalizer in the midst of this code too."""
        section = self._turns
        if section.depth and section.mutex._is_owned():  # type: ignore[attr-defined]
            section.inbox.append(waiter)
            return
        section.mutex.acquire()
        section.depth += 1
        try:
            self._wake(waiter)
        finally:
            section.leave()

    def _wake(self, waiter: Waiter) -> None:
        record, token = waiter
        if record.token != token:
            return
        if record.state is WAITING:
            self._make_ready(record)
        else:
            record.woken = True

    def _make_ready(self, record: Record) -> None:
        record.token += 1
        self.waiting.pop(record, None)
        if record.is_free or self.over:
            self.active.pop(record, None)
            record.state = RUNNING
            record.gate.release()
        else:
            record.state = READY
            self.active[record] = None
            self.ready.append(record)

    # -- who is next

    def pass_on(self) -> None:
        """Nobody has the turn: give it to who stands first in line, or to who decides how time goes on."""
        while not self.ready:
            if self.strays or self.blind and self._has_moved() or not self.waiting:
                return  # they hold the clock
            if self._look_for_waiters() or self._turns.empty_inbox():  # or time would go on, or it would be a hang
                continue
            if any(ident not in self.records for ident in self._world.members()):
                return  # one that has not come to any wait yet
            loops = [record for record in self.waiting if record.order > 0]
            if loops:
                first = min(loops, key=lambda record: record.order)
                first.quiet = True
                self._make_ready(first)
            elif not self._go_on_without_a_loop():
                return
        record, stands = self.ready.popleft(), True  # at its gate
        if record.stand_in is not None:
            record, stands = self.call_back(record, record.stand_in)
        record.state, record.used, record.stood, record.rests = RUNNING, -1.0, None, 0
        self.running, self.home_waits = record, False
        if record.order:
            self.active.pop(record, None)
        self.since = Real.monotonic()
        if stands:
            record.gate.release()

    def _look_for_waiters(self) -> bool:
        found = [record for record in self.waiting if record.look is not None and record.look()]
        for record in sorted(found, key=lambda record: record.seen):
            self._make_ready(record)
        return bool(found)

    def decides(self, me: Record, number: int) -> bool:
        """Whether the loop of this number has to decide how time goes on: all others wait, and it was made first."""
        if not self.is_quiet() or number > 1 and any(0 < record.order < number for record in self.waiting):
            return False
        self.active.pop(me, None)
        return True

    def let_others_run(self, me: Record, patience: float) -> None:
        """Give turns until all others wait, or for so many real seconds; time does not move."""
        me.patience = patience
        try:
            self.wait(me, Why("the others"), look=lambda: True)
        finally:
            me.patience = inf

    # -- time

    def next_deadline(self) -> float:
        """The earliest of those that take turns."""
        return self._deadlines.first() if self._is_used else inf

    def next_deadline_of_free(self) -> float:
        """The earliest of those that are meant to run on, which do not move time by themselves."""
        return self._deadlines_of_free.first() if self._is_used else inf

    def release(self) -> None:
        """Time has gone on: those whose deadline has come are ready."""
        now = self._clock.now
        with self._section:
            for record in (*self._deadlines.due(now), *self._deadlines_of_free.due(now)):
                record.timed_out = True
                self._make_ready(record)

    def _go_on_without_a_loop(self) -> bool:
        """Let time go on to the next deadline; False where that is not for the threads to do."""
        clock = self._clock
        watched = [record for record in (*self.waiting, *self.blind) if record.came_by_itself]
        for record in self.waiting:
            if record.order == REALLY_WAITS:  # others have begun to wait since: it may be that nothing comes any more
                if record.seen != self._waits:
                    self._make_ready(record)
                    return True
                return False
        if clock.holds or not watched and not self.home_waits:
            return False
        due = self.next_deadline()
        if clock.deliveries and clock.deliveries[0][0] < due:
            due = clock.deliveries[0][0]
        if due == inf or due > self._world.reach():
            main = next((record for record in watched if record.state is WAITING), None)
            if main is None or self.has_strangers() or self.blind and not self.is_sure():
                return False
            main.error = stuck(self.records.values(), clock.now, due, self._world.reach())
            self._make_ready(main)
            return True
        clock.jump(max(due, clock.now))
        self.release()
        return True

    # -- the end, and reports

    def finish(self, at_work: Collection[int] = ()) -> None:
        """The world is over. Who still waits in it is struck, or Python would wait for it for ever.

        What is meant to run on waits in the real world, and so do the threads of pools that are not `at_work`.
        """
        if self.over:
            return
        if self._is_used:
            with self._section:
                self.over = True
                for record in (*self.waiting, *self.ready):
                    if not record.is_free and (not record.is_worker or record.ident in at_work):
                        record.error = Over("the world in which this thread waited is over")
                for record in list(self.waiting):
                    self._make_ready(record)
                while self.ready:
                    self.ready.popleft().gate.release()
                self.active.clear()
        self.over = True
        del self._world  # who keeps a lock must not keep it

    def forget(self) -> None:
        """This process is a forked child: the other threads are not in it."""
        self.over = True
        self.records.clear()
        self.active.clear()


@contextlib.contextmanager
def really(baton: Baton) -> Iterator[None]:
    """What this thread waits for inside comes from the real world, and soon."""
    me = baton.here()
    if me is not None:
        me.real += 1
    try:
        yield
    finally:
        if me is not None:
            me.real -= 1
