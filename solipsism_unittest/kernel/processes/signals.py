"""`Signals`: which signals of one process are blocked, pending or to be handled, as signal(7) and Python have it.

Owns who takes a signal and in which order handlers run; does not own what a handler is, or what a signal does that has
none (stdlib/processes). Threads are numbers. A signal goes three steps:

    sent ---> blocked by every thread that could take it ---> pending, once    (a real-time signal as often as it came)
      |                                                          | unblocked
      +----> tripped: Python's flag for it is up <---------------+
                 | the main thread looks, lowest number first
                 v
             its handler runs
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

FIRST_REAL_TIME = 34
UNBLOCKABLE = frozenset({9, 19})  # SIGKILL and SIGSTOP


class Signals:
    """The signals of one process. `handlers` are what a program has set, by number."""

    def __init__(self) -> None:
        self.handlers: dict[int, object] = {}
        self.tripped: set[int] = set()
        self._masks: dict[int, frozenset[int]] = {}  # by thread
        self._pending: dict[int | None, list[int]] = {}  # by thread, and for the process
        self._awaited: list[tuple[int, frozenset[int]]] = []  # by threads, in sigwait() and its kin

    def mask(self, thread: int) -> frozenset[int]:
        """What this thread blocks."""
        return self._masks.get(thread, frozenset())

    def set_mask(self, thread: int, mask: Iterable[int]) -> list[int]:
        """Let a thread block these; gives what it no longer blocks and is pending, in the order of delivery.

        Linux takes the lowest first, and each interrupts the one before it: the handlers of C run in reverse.
        """
        self._masks[thread] = frozenset(mask) - UNBLOCKABLE
        freed = []
        for line in self._lines(thread):
            freed += [signum for signum in line if signum not in self._masks[thread]]
            line[:] = [signum for signum in line if signum in self._masks[thread]]
        return sorted(freed, reverse=True)

    def send(self, signum: int, threads: Iterable[int], to: int | None = None) -> bool:
        """Whether a thread takes a signal now, `to` alone if it is for one; otherwise it is pending."""
        able = threads if to is None else (to,)
        awaiting = {thread for thread, wanted in self._awaited if signum in wanted}
        if any(signum not in self.mask(thread) for thread in able if thread not in awaiting):
            return True
        line = self._pending.setdefault(to, [])
        if signum not in line or signum >= FIRST_REAL_TIME:
            line.append(signum)
        return False

    def pending(self, thread: int) -> set[int]:
        """What waits for this thread or for any."""
        return {signum for line in self._lines(thread) for signum in line}

    @contextlib.contextmanager
    def waiting(self, thread: int, wanted: Iterable[int]) -> Iterator[None]:
        """In the block a thread waits for these: they do not go to it in another way, blocked or not."""
        entry = thread, frozenset(wanted)
        self._awaited.append(entry)
        try:
            yield
        finally:
            self._awaited.remove(entry)

    def take(self, thread: int, wanted: Iterable[int]) -> int | None:
        """Take the lowest pending signal of these, as sigwait() does; None where there is none."""
        for signum in sorted(self.pending(thread) & set(wanted)):
            line = next(line for line in self._lines(thread) if signum in line)
            line.remove(signum)
            return signum
        return None

    def trip(self) -> int | None:
        """The next signal whose handler is to run; None for none."""
        if not self.tripped:
            return None
        signum = min(self.tripped)
        self.tripped.remove(signum)
        return signum

    def _lines(self, thread: int) -> list[list[int]]:
        return [self._pending[key] for key in (thread, None) if key in self._pending]

    def __repr__(self) -> str:
        return f"<Signals {len(self.handlers)} handled, {sum(map(len, self._pending.values()))} pending>"
