"""Parking: what a loop does that has nothing to do, and is not alone in its world.

Owns how a loop gives the turn to other threads and gets it back, and how it waits for the real world: for jobs
elsewhere, and for what holds the clock.
"""

from __future__ import annotations

import contextlib
import queue
from collections import deque
from math import inf
from threading import enumerate as all_threads
from typing import TYPE_CHECKING

from ..introspection.threads import Real, idents, main_ident, main_waits_for_us
from ..stdlib.threads.jobs import Wakeups
from ..stdlib.threads.pacing.locks import hand_on
from ..stdlib.threads.pacing.patience import PATIENCE, Patience, is_idle
from ..stdlib.threads.pacing.record import REALLY_WAITS, Record, Waiter, Why, lines
from ..stdlib.threads.stalls import Blocking
from ..stdlib.worlds import World, by_thread

_SELECT = Why("select() of a loop")


class Parking:
    """The part of a selector that has to do with other threads."""

    blocking: Blocking
    turns: int
    real_seconds: float  # how long to wait for who gives no sign of life

    if TYPE_CHECKING:
        def has_ready(self) -> bool:
            """Whether a descriptor is ready that this loop waits for."""

        def late(self, reason: str, hint: str) -> None:
            """Report that it took longer."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.wakeups = Wakeups()
        self.jobs = world.jobs
        self._line = world.jobs.line
        self._baton = world.baton
        self._others = world.baton.active
        self._number = world.number_of_a_loop()
        self._parked: deque[Waiter] | tuple[()] = ()  # a deque from the first time on

    def _let_threads_run(self, due: float) -> bool:
        """Give turns to others until all of them wait; False when this loop has to decide how time goes on."""
        baton = self._baton
        me = baton.here()
        if me is None:
            return False
        if baton.running is not me:
            baton.take_turn(me)
        if self.wakeups.empty() and baton.decides(me, self._number):
            return False
        came = self._park(me, due, self._number, self.real_seconds)
        self.blocking.resume()
        if me.is_impatient:
            self.late("a thread does not answer", f"waited {self.real_seconds:g} real seconds for {baton.give_up()}\n"
                      "  a thread that is meant to run on is started in `with background():`")
        return came or not me.quiet

    def _park(self, me: Record, due: float, number: int, seconds: float) -> bool:
        """Wait as one of the threads; whether somebody has woken this loop."""
        parked = self._parked = self._parked or deque[Waiter]()
        parked.append((me, me.token))
        me.order, me.patience, me.quiet = number, seconds, False
        try:
            if self.wakeups.empty():
                self._baton.wait(me, _SELECT, due, self.has_ready)
        finally:
            me.order, me.patience, me.woken = 0, inf, False
            parked.clear()
        return self.wakeups.take(False)

    def wake(self) -> None:
        """Make the loop look again, from any thread."""
        self.wakeups.put(None)
        if self._parked:
            hand_on(self._parked)

    def _wait_for_the_real_world(self) -> None:
        patience = self.jobs.patience()
        if not self._really_wait(self.real_seconds if patience is None else patience):
            if patience is None:
                waited_for = "\n  ".join([self.jobs.names(), *lines(self._baton.records.values())])
                self.jobs.give_up()
                self.late("what holds the clock does not let go",
                          f"waited {self.real_seconds:g} real seconds for {waited_for}")
            else:
                self.jobs.lose_patience()
        self.wakeups.take(False)
        self.blocking.start()  # no callback took that long

    def _may_be_called(self) -> bool:
        """Whether threads outside of all worlds may call: it is a bare loop's, in a thread that one of them started."""
        world, main = self._world, main_ident()
        return world.made_for is None and world.home == Real.get_ident() != main and main not in by_thread

    def _wait_for_a_call(self) -> bool:
        """Wait in real time for a call from outside; False where only the main thread is there, and waits for us."""
        before = None
        while not self._really_wait(PATIENCE):
            nobody = {thread.ident for thread in all_threads() if is_idle(thread)}
            others = [each for each in idents() - nobody if each != main_ident() and not self._world.lives_here(each)]
            stands = None if others else main_waits_for_us()
            if stands is not None and stands == before:
                return False
            before = stands
        self.wakeups.take(False)
        self.blocking.start()  # no callback took that long
        return True

    def _really_wait(self, seconds: float) -> bool:
        """Wait for a wake-up in real time, and let threads run meanwhile; whether one came."""
        me = self._baton.here() if self._baton.records else None
        if me is not None:
            return self._park(me, inf, REALLY_WAITS, seconds) or not me.is_impatient
        with contextlib.suppress(queue.Empty):
            self.wakeups.get(timeout=seconds)
            return True
        return False

    def _pause(self) -> None:
        """The program spins or works hard beside others: give them a chance, and hand over what is there."""
        if self._others:
            me = self._baton.here()
            if me is not None:
                self._baton.let_others_run(me, PATIENCE)
        if self._line and self.turns & (self.turns - 1) == 0:  # at 1024, 2048, 4096: who needs no job loses little
            self.jobs.pause(self._really_wait)

    # Where the loop's thread stands while it waits for other threads.
    WAITS = frozenset(function.__code__ for function in (_really_wait, Wakeups.get, Patience.park))
