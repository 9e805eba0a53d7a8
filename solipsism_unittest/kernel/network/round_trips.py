"""How long TCP waits for an answer before it sends again: as long as its round trips take, and some more.

Owns the estimate of one direction of a connection (RFC 6298, as `tcp_rtt_estimator()` of Linux has it), and for how
long TCP tries at all. Does not own the timers (wire/flows.py). The rule that keeps it cheap: on a way that always takes
as long, the estimate comes to rest and costs nothing.
"""

from __future__ import annotations

RTO = 0.2  # the least seconds beyond a round trip
LONGEST = 120.0  # the most between two times
ORPHANS = 8  # tries for what nobody has open any more: net.ipv4.tcp_orphan_retries
ROUNDING = 1e-9  # seconds that are none


def patience(retries: int) -> float:
    """The seconds from the first retransmission on after which TCP gives up, for net.ipv4.tcp_retries2."""
    doubling = min(retries, 9)
    return RTO * ((2 << doubling) - 1) + LONGEST * (retries - doubling)


class RoundTrips:
    """What an end knows of its round trips; the first one was the handshake's."""

    __slots__ = ("_mean", "_deviation", "_allowed", "_most", "_round")

    def __init__(self, first: float) -> None:
        self._mean = first
        self._deviation = 2 * first  # four times the mean one, as Linux keeps it
        self._allowed = self._most = max(2 * first, RTO)  # in use, and the greatest deviation of this round
        self._round = 0  # the number of the segment with which it ends

    def pause(self, least: float) -> float:
        """The seconds until something is sent again, where a round trip takes at least so many now."""
        return max(self._mean + self._allowed, least + RTO)

    def note(self, seconds: float, number: int, last: int) -> None:
        """A segment of this number was answered after so many seconds; `last` is the number of the one sent last.

        What takes longer than the pause says nothing: Linux would have sent it again before, which nobody does here.
        """
        error = seconds - self._mean
        if error > self._allowed:
            return
        if -ROUNDING < error < ROUNDING:
            if self._allowed == RTO:
                return
            error = 0.0
        self._mean += error / 8
        change = abs(error) - self._deviation / 4
        self._deviation += change / 8 if error < 0 < change else change
        self._most = max(self._most, self._deviation)
        self._allowed = max(self._allowed, self._most)
        if number > self._round:
            self._allowed -= (self._allowed - self._most) / 4
            self._round, self._most = last, RTO
            if self._allowed - RTO < ROUNDING:
                self._allowed = RTO
