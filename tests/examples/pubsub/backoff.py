"""How long to wait before the next attempt."""

import random


class Backoff:
    """Delays that double up to a cap, each shortened by a random part.

    Without jitter all clients of a broker that went down come back in the same instant, again and again.

    jitter: the largest part of a delay that chance may take away, from 0 to 1
    """

    def __init__(self, *, first: float = 0.5, cap: float = 60.0, jitter: float = 0.5) -> None:
        self._first = first
        self._cap = cap
        self._jitter = jitter
        self._ceiling = first

    def __repr__(self) -> str:
        return f"<Backoff next at most {self._ceiling} s>"

    def next_delay(self) -> float:
        delay = self._ceiling * (1 - self._jitter * random.random())
        # Doubled step by step: `first * 2.0 ** attempt` is an OverflowError at the 1025th attempt of a long outage.
        self._ceiling = min(self._cap, self._ceiling * 2)
        return delay

    def reset(self) -> None:
        """To be called after a success."""
        self._ceiling = self._first
