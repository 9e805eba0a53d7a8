"""What was decided: the one list from which every decision is drawn.

A seed gives one endless list of choices. A list of former choices replays them; after its end the seed decides.
Nothing else in the package may decide by chance, so a seed (or the list) determines a whole run. Where a test is
explored, an explorer decides beside it what a real machine leaves open (explorer.py).
"""

from __future__ import annotations

import operator
import random
from collections.abc import Iterable
from typing import NamedTuple

from .explorer import UNEXPLORED, Explorer, Unexplored

__all__ = ["UNEXPLORED", "Choice", "Choices", "Explorer", "Unexplored"]

_BITS = 0xFFFFFFFF
_PRIME = 2**61 - 1
_FACTOR = 0x9E3779B97F4A7C15  # of Fibonacci hashing: seeds that follow each other become numbers far from each other


class Choice(NamedTuple):
    """One decision: `value`, from 0 up, of `possible` ones, taken for `purpose`."""

    purpose: str
    value: int
    possible: int


class Choices:
    """Draws decisions, and keeps them."""

    def __init__(self, seed: int = 0, replay: Iterable[int] = ()) -> None:
        self.seed = seed
        self.made: list[Choice] = []
        self.explorer: Explorer | None = None
        self._replay = tuple(replay)
        self._number = operator.index(seed)  # None would be another seed in every run
        self._random: random.Random | None = None  # made for the first choice: many loops make none

    def below(self, count: int, purpose: str) -> int:
        """An int from 0 to `count - 1`. A replayed value that is out of range is a ValueError."""
        if count < 1:
            raise ValueError(f"nothing to choose from for {purpose!r}: count is {count}")
        # Drawn in any case, so that what follows a replayed part is the same as in the run that it came from.
        if self._random is None:
            self._random = random.Random(self._number)
        return self._take(self._random.randrange(count), count, purpose)

    def number(self, purpose: str) -> int:
        """A number of 32 bits, for a generator of somebody else's: many loops draw nothing else, and need none of ours.
        """
        value = (self._number % _PRIME * _FACTOR + len(self.made)) * _FACTOR >> 16
        return self._take(value & _BITS, _BITS + 1, purpose)

    def _take(self, value: int, count: int, purpose: str) -> int:
        if len(self.made) < len(self._replay):
            value = self._replay[len(self.made)]
            if not 0 <= value < count:
                raise ValueError(f"replayed choice {len(self.made)} is {value}, but {purpose!r} has {count} possible "
                                 "ones: the code under test has changed since the list was recorded")
        self.made.append(Choice(purpose, value, count))
        return value

    def __repr__(self) -> str:
        return f"<Choices seed={self.seed} made={len(self.made)}>"
