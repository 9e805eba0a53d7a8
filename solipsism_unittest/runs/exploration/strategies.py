"""Which runs an exploration makes: one for each seed, or all that differ from the plain one in a few choices."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ...errors import SolipsismError
from ...introspection import names
from ...kernel.choices.explorer import Explorer
from ...kernel.choices.kinds import OF_TIME, alternatives
from ...kernel.choices.plans import Before, Few, Plan, mixed
from .shrinking import Values

__unittest = True
__tracebackhide__ = True


class Strategy(NamedTuple):
    """How runs are chosen."""

    seeds: range
    depth: int | None = None  # this many stalls and delays in each run, anywhere
    exhaustive: int | None = None  # every run with at most so many choices that are not plain

    def plan(self, own_seed: int, seed: int, before: Before) -> Plan:
        """What a seed decides for a test with this seed of its own."""
        chance = random.Random((own_seed << 64) + seed)  # a text would be hashed first
        if self.depth is not None:
            return Few(chance, before, self.depth, OF_TIME)
        return mixed(chance, before)


def strategy(seeds: int, depth: int | None, exhaustive: int | None) -> Strategy:
    """What over_seeds() was given; TypeError for what it cannot be given."""
    for name, value in (("seeds", seeds), ("depth", depth), ("exhaustive", exhaustive)):
        if not (value is None and name != "seeds") and (
                not isinstance(value, int) or isinstance(value, bool) or value < 1):
            what = "a number of seeds" if name == "seeds" else f"{name}= as a number"
            cure = "; write @over_seeds() above a test" if callable(value) else ""
            raise TypeError(f"over_seeds() takes {what} from 1 up, not {names.plain(value)}{cure}")
    if depth is not None and exhaustive is not None:
        raise TypeError("over_seeds() takes depth= or exhaustive=, and not both")
    return Strategy(range(seeds), depth, exhaustive)


class Exhaustive:
    """Every run with at most so many choices that are not plain: first those with one, then those with two, ...

    Of lengths of time, and of the places at which much data is cut, some values stand for all (kinds.alternatives).
    """

    def __init__(self, run: Callable[[Values], Explorer | None], most: int, limit: int) -> None:
        self._try = run  # None: it failed
        self._most = most
        self._bound = limit
        self.count = 0
        self.is_complete = False

    def search(self, plain: Explorer) -> None:
        """Run them until one fails, until there are no more, or until the limit is reached."""
        line: list[tuple[Values, list[tuple[int, int, int]]]] = [({}, plain.points or [])]
        for depth in range(self._most):
            following = []
            for values in _one_more(line):
                if self.count >= self._bound:
                    return
                self.count += 1
                explorer = self._try(values)
                if explorer is None:
                    return
                if depth + 1 < self._most:
                    following.append((values, _behind(values, explorer)))
            line = following
        self.is_complete = True


def _one_more(line: list[tuple[Values, list[tuple[int, int, int]]]]) -> Iterator[Values]:
    for values, points in line:
        for kind, number, possible in points:
            for value in alternatives(kind, possible):
                yield {**values, (kind, number): value}


def _behind(values: Values, explorer: Explorer) -> list[tuple[int, int, int]]:
    """The choices behind the last one that differed: what comes before it was tried with it already."""
    points = explorer.points or []
    last = max((place for place, (kind, number, _) in enumerate(points) if (kind, number) in values), default=-1)
    return points[last + 1:]


def shard(text: str, seeds: range) -> range:
    """The part of some seeds that "3/8" stands for: the third of eight. SolipsismError for what is no part."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise SolipsismError(f"SOLIPSISM_SHARD is {text!r}: set it to a part and how many there are, 3/8 for example")
    return seeds[int(part) - 1::int(parts)]
