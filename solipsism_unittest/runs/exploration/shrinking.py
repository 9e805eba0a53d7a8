"""Makes a failing run as plain as it can be: choices go back to plain as long as the run fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ...introspection.exceptions import user_line
from ...kernel.choices.kinds import simpler

__unittest = True
__tracebackhide__ = True

MOST_RUNS = 500
FEW = 4

Values = dict[tuple[int, int], int]  # by kind and number


class Way(NamedTuple):
    """How a run failed: two runs fail in the same way when these are equal."""

    kind: type
    line: str


def way_of(found: list[Any]) -> Way | None:
    """How a run failed, by the failures that were found; None for one that did not."""
    if not found:
        return None
    kind, error, trace = found[0]
    return Way(kind, str(user_line(trace or error.__traceback__)))


class _Enough(Exception):
    """So many runs are enough."""


class Shrinker:
    """`fails(values)` says whether a run with these choices fails in the same way."""

    def __init__(self, fails: Callable[[Values], bool]) -> None:
        self._fails = fails
        self.runs = 0

    def shrink(self, values: Mapping[tuple[int, int], int]) -> Values:
        """The fewest and simplest choices that were found with which the run still fails."""
        self._best = dict(values)
        try:
            self._drop()
            while self._simplify() or self._slide():
                self._drop()
        except _Enough:
            pass
        return self._best

    def _is_better(self, values: Values) -> bool:
        if self.runs >= MOST_RUNS:
            raise _Enough
        self.runs += 1
        if self._fails(values):
            self._best = values
            return True
        return False

    def _drop(self) -> None:
        """Leave out halves, quarters and so on, at last one by one, until none can be left out."""
        size = len(self._best)
        while size:
            size = min(size, len(self._best))
            places, start, has_changed = list(self._best), 0, False
            while start < len(places):
                gone = places[start:start + size]
                kept = {place: value for place, value in self._best.items() if place not in gone}
                has_changed = self._is_better(kept) or has_changed
                start += size
            if not (has_changed and size == 1):
                size //= 2

    def _simplify(self) -> bool:
        """Give the choices that are left simpler values; whether that was possible for one."""
        has_changed = False
        for place in list(self._best):
            for value in simpler(place[0], self._best[place]):
                if self._is_better({**self._best, place: value}):
                    has_changed = True
                    break
        return has_changed

    def _slide(self) -> bool:
        """Leave one out where another then has a number a little lower, or higher; whether that was possible."""
        for gone in self._best if len(self._best) <= FEW else ():
            kept = {place: value for place, value in self._best.items() if place != gone}
            for (kind, number), value in kept.items():
                for near in (number - 1, number - 2, number + 1):
                    moved = {**kept, (kind, near): value}
                    del moved[kind, number]
                    if near >= 0 and (kind, near) not in kept and self._is_better(moved):
                        return True
        return False
