"""Threads at the end of a test: those that are about to end get the time to do so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from ...introspection.threads import Real, frame_of, waits
from ...kernel.clock import VirtualClock
from .pacing.baton import Baton

LOOK_EVERY = 0.001  # real seconds between two looks at a thread
LINGER = 1.0  # real seconds, and as many virtual ones, for threads that are on their way out when a test ends
WAKE_UPS = 1_000  # of threads that jobs have in virtual time to come to their end
LOOKS_AT_THE_END = 50  # threads that this many looks find waiting are taken for left


def linger(alive: Callable[[], Sequence[int | None]]) -> None:
    """Give threads that are about to end the real time to do so: at most LINGER, and less where they all wait.

    `alive()` gives the identifiers of the threads that are still there.
    """
    deadline = Real.monotonic() + LINGER
    looks, before = 0, None
    while (idents := alive()) and looks < LOOKS_AT_THE_END and Real.monotonic() < deadline:
        stand = [frame_of(ident) for ident in idents]
        places = [(frame.f_code, frame.f_lasti) for frame in stand if frame is not None and waits(frame)]
        looks = looks + 1 if places == before and len(places) == len(idents) else 0
        before = places
        Real.sleep(LOOK_EVERY)


def let_ready_run(baton: Baton) -> None:
    """Let threads that can go on do so, each until it waits or ends: the world is about to end. Time does not move."""
    me = baton.here()
    if me is not None:
        baton.let_others_run(me, LINGER)


def let_jobs_end(baton: Baton, clock: VirtualClock, at_work: Callable[[], object]) -> None:
    """Let threads run until all wait. Time goes on for those that end soon, and while jobs `at_work()` wait for it.

    It costs no real time. A job that goes on and on is given up after a while.
    """
    me = baton.here() if baton.records else None
    if me is None:
        return
    soon = clock.now + LINGER
    for _ in range(WAKE_UPS):
        baton.let_others_run(me, LINGER)
        due = baton.next_deadline()
        if due == inf or due > soon and not at_work():
            break
        clock.jump(max(due, clock.now))
        baton.release()
