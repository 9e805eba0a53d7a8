"""The clock on the wall: the real one, unless somebody has set it; then it goes with virtual time from there.

Owns the offset between the two, and how often a program has read the real one. Who sets it stands above.
"""

from __future__ import annotations

from collections.abc import Callable

from .clock import VirtualClock

MANY = 100  # reads of the real clock from which on a program seems to wait for it
WAITS = 30_000  # reads from which on it waits for it: seconds have gone by


class WallClock:
    """What time of day it is, in whole nanoseconds since 1970 in UTC, once it is set."""

    __slots__ = ("is_set", "zone", "reads", "instants", "place", "_replaced", "_clock", "_start", "_since", "_last")

    def __init__(self, clock: VirtualClock) -> None:
        self.is_set = False  # False: it is the real one
        self.zone: object = None  # the time zone in which it was set
        self.reads = 0  # of the real one by the program
        self.instants = 0  # different virtual times of these reads
        self.place: object = None  # of the read at the second of these instants, or of the last one of many
        self._replaced = "", 0.0  # by which module time.monotonic() was, and when
        self._clock = clock
        self._start, self._since = 0, clock.now
        self._last: float | None = None

    def set(self, nanoseconds: int, zone: object) -> None:
        """It is this time now; the virtual clock goes on as it was."""
        self.is_set, self.zone = True, zone
        self._start, self._since = nanoseconds, self._clock.now

    def keep(self) -> Callable[[], None]:
        """Note how it is set; the result sets it so again: it goes on as if nobody had set it since."""
        zone, start, since = self.zone, self._start, self._since

        def put_back() -> None:
            self.zone, self._start, self._since = zone, start, since

        return put_back

    def now(self) -> int:
        """Nanoseconds since 1970."""
        return self._start + round((self._clock.now - self._since) * 1_000_000_000)

    def note_read(self) -> bool:
        """The program has read the real clock. True: its place is worth keeping."""
        self.reads += 1
        if self._clock.now == self._last:
            return self.reads in (MANY, WAITS)
        self._last = self._clock.now
        self.instants += 1
        return self.instants == 2 or self.reads in (MANY, WAITS)

    def note_replaced(self, name: str) -> None:
        """The program's module of this name has put a clock of its own in the place of time.monotonic()."""
        if not self._replaced[0]:
            self._replaced = name, self._clock.now

    def replaced_words(self) -> str:
        """What to say about a clock that a tool has frozen while virtual time went by; "" for nothing."""
        name, when = self._replaced
        if not name or self._clock.now == when:
            return ""
        return (f"time.monotonic() was replaced by {name} at t={when!r}, and what stood there did not go with virtual "
                "time: leave that out, as virtual clocks stand still until the program waits; wall_start on the test "
                "class sets the time of day")

    def words(self) -> str:
        """What to say about a program that reads the real clock while virtual time goes by; "" for nothing."""
        if self.is_set or self.instants < 2:
            return ""
        return (f"the program has read the real clock {self.reads} times with time.time(), as at {self.place}, which "
                "does not follow virtual time: wait by time.monotonic() or loop.time(), or set wall_start on the test "
                "class")
