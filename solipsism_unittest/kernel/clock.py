"""Virtual time: the current instant, the deadlines, and the holds that keep time from moving.

Owns the current instant and every deadline of the kernel. It never decides *whether* time may move: the selector looks
at the deadlines when nothing else can happen, and calls `jump()`. Times are floats in seconds since an arbitrary start.

The rule that keeps it simple: a jump goes to exactly the deadline, no rounding and no ticks, so `time() >= when` holds
for whatever was due at `when`, for any start and any delay.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from math import inf, isfinite, isnan, nextafter
from typing import Any

Action = Callable[[], object]
Stop = list[Any]  # when, the order of making, and what to do: None where it was cancelled


class Hold:
    """One reason why time stands still. Released once; releasing it again does nothing."""

    def __init__(self, clock: VirtualClock, reason: str, place: object) -> None:
        self._clock = clock
        self.reason = reason
        self.place = place

    def release(self) -> None:
        self._clock.holds.pop(self, None)

    def __repr__(self) -> str:
        made = f" made at {self.place}" if self.place else ""
        return f"<Hold: {self.reason}{made}>"


class VirtualClock:
    """The current instant, the deliveries and stops that fall due, and the holds."""

    def __init__(self, start: float = 0.0) -> None:
        start = float(start)
        if not isfinite(start):
            raise ValueError(f"a clock cannot start at {start!r}: give a finite number of seconds")
        self.now = start
        self.holds: dict[Hold, None] = {}
        self.watchers: list[Callable[[float], None]] = []  # each is called with the new time just before a jump
        self.ordered = 0  # how many deliveries and stops were ordered so far
        # Two heaps of (when, order of making, what to do)
        self.deliveries: list[tuple[float, int, Action]] = []
        self.stops: list[Stop] = []  # the first one was not cancelled
        self._cancelled_stops = 0  # how many of these were

    @property
    def resolution(self) -> float:
        """The gap to the next float.

        A constant would be too coarse near zero (timers early) or too fine far from it (`while now < deadline:
        sleep(deadline - now)` would never end).
        """
        return nextafter(self.now, inf) - self.now

    def hold(self, reason: str, place: object = None) -> Hold:
        """Keep time from moving until the returned hold is released."""
        hold = Hold(self, reason, place)
        self.holds[hold] = None
        return hold

    def deliver_at(self, when: float, action: Action) -> None:
        """Run `action` at `when` (the past counts as now): something in flight that arrives. NaN is a ValueError."""
        if isnan(when):
            raise ValueError("nothing can arrive at NaN")
        self.ordered += 1
        heapq.heappush(self.deliveries, (max(when, self.now), self.ordered, action))

    def forget(self, action: Action) -> None:
        """Cancel every delivery of this action that is still to come."""
        if any(delivery[2] == action for delivery in self.deliveries):
            self.deliveries[:] = [delivery for delivery in self.deliveries if delivery[2] != action]
            heapq.heapify(self.deliveries)

    def bring_forward(self, times: Mapping[Action, float]) -> None:
        """Let deliveries of these actions happen at these times, where they are due later."""
        self.deliveries[:] = [(min(when, times.get(action, when)), order, action)
                              for when, order, action in self.deliveries]
        heapq.heapify(self.deliveries)

    def stop_at(self, when: float, action: Action) -> Stop:
        """Run `action` when everything due up to and including `when` is done: the end of an advance."""
        if isnan(when) or when < self.now:
            raise ValueError(f"cannot go to t={when!r}: it is t={self.now!r} already and time only moves forward")
        self.ordered += 1
        stop = [when, self.ordered, action]
        heapq.heappush(self.stops, stop)
        return stop

    def cancel_stop(self, stop: Stop) -> None:
        """Take back an advance that has not come to its end.

        It leaves the heap when it is the first, or when more than half are cancelled: thousands that are cancelled one
        by one would otherwise make as many new heaps.
        """
        stop[2] = None
        self._cancelled_stops += 1
        if self._cancelled_stops > len(self.stops) // 2:
            self.stops[:] = [each for each in self.stops if each[2] is not None]
            heapq.heapify(self.stops)
            self._cancelled_stops = 0
        self._drop_cancelled_stops()

    def _drop_cancelled_stops(self) -> None:
        while self.stops and self.stops[0][2] is None:
            heapq.heappop(self.stops)
            self._cancelled_stops -= 1

    def jump(self, when: float) -> None:
        """Set the time to exactly `when`; what is due by then arrives now, in the order of sending."""
        assert when >= self.now, (when, self.now)
        for watcher in self.watchers:
            watcher(when)
        self.now = now = float(when)
        deliveries = self.deliveries
        while deliveries and deliveries[0][0] <= now:
            heapq.heappop(deliveries)[2]()

    def end_stop(self) -> None:
        """Finish the earliest advance; it must be due."""
        when, _, action = heapq.heappop(self.stops)
        assert when <= self.now, (when, self.now)
        self._drop_cancelled_stops()
        action()

    def __repr__(self) -> str:
        facts: list[Any] = [f"t={self.now!r}"]
        heaps = (len(self.deliveries), "in flight"), (len(self.stops) - self._cancelled_stops, "stops")
        facts += [f"{count} {name}" for count, name in heaps if count]
        facts += [repr(hold) for hold in self.holds]
        return f"<VirtualClock {' '.join(facts)}>"
