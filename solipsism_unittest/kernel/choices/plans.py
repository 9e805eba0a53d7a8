"""Which choices of a run differ from the plain ones: none, some by chance, or those of a list.

A choice has a kind and a number among those of its kind, so that one that falls away shifts as few others as can be.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Protocol

from .kinds import ALL, GROUPS, NAMES, drawn

NEVER = -1
HIGHEST_RATE = 0.5
SHARE_OF_FEW = 0.65  # of the runs: those with a few choices that differ
MOST_OF_FEW = 12
SHARE_OF_GROUPS = 0.6  # of the runs with a few: those in which all of them are alike
SHARE_OF_INSTANTS = 0.6  # of the places of a few: those for which an instant is chosen first
SHARE_OF_FIRST = 0.7  # of these: the first choice of the instant, which is that of what was waited for
SHARE_WITHOUT = 0.3  # of the groups in a run with rates: those that stay plain


class Plan(Protocol):
    """What says where a run differs."""

    def following(self, kind: int, index: int) -> int:
        """The number of the next choice of this kind that differs, above `index`; NEVER for none."""

    def value(self, kind: int, index: int, possible: int) -> int:
        """What is chosen there."""


class Fixed:
    """These choices differ, by kind and number, and no others."""

    def __init__(self, values: Mapping[tuple[int, int], int] | None = None) -> None:
        self._values = dict(values or {})
        self._indices: dict[int, list[int]] = {}
        for kind, index in sorted(self._values):
            self._indices.setdefault(kind, []).append(index)

    def following(self, kind: int, index: int) -> int:
        """See Plan."""
        indices = self._indices.get(kind, ())
        position = bisect_right(indices, index)
        return indices[position] if position < len(indices) else NEVER

    def value(self, kind: int, index: int, possible: int) -> int:
        """See Plan; a value that is not there any more becomes the last one."""
        return min(self._values[kind, index], possible - 1)


class Before:
    """The choices of the plain run: how many of each kind, and how many there had been at each instant."""

    def __init__(self, counts: Sequence[int], instants: Sequence[Sequence[int]] = ()) -> None:
        self.counts = counts
        self._instants = instants
        self._stretches: dict[int, list[tuple[int, int]]] = {}  # of the choices of a kind: those of each instant
        self._shares: dict[frozenset[int], tuple[list[int], list[float]]] = {}

    def somewhere(self, chance: random.Random, kind: int) -> int:
        """The number of one of these choices: any, or one of any instant, for at the first there are most."""
        if chance.random() < SHARE_OF_INSTANTS:
            if kind not in self._stretches:
                counts = [0, *(instant[kind] for instant in self._instants), self.counts[kind]]
                self._stretches[kind] = [(one, other) for one, other in pairwise(counts) if one < other]
            first, end = chance.choice(self._stretches[kind])
            return first if chance.random() < SHARE_OF_FIRST else chance.randrange(first, end)
        return chance.randrange(self.counts[kind])

    def shares(self, kinds: frozenset[int]) -> tuple[list[int], list[float]]:
        """Those of some kinds of which there are choices, and the sums of their shares."""
        if kinds not in self._shares:
            found = {kind: share for group in GROUPS for kind, share in group.items()
                     if kind in kinds and self.counts[kind]}
            self._shares[kinds] = [*found], [*accumulate(found.values())]
        return self._shares[kinds]

    def some_kinds(self, chance: random.Random) -> frozenset[int]:
        """All kinds, or those of one group: what is alike works together, and is not disturbed by the rest."""
        present, shares = self.shares(ALL)
        if not present or chance.random() >= SHARE_OF_GROUPS:
            return ALL
        kind, = chance.choices(present, cum_weights=shares)
        return next(frozenset(group) for group in GROUPS if kind in group)


class Few:
    """A few choices differ. They are spread over those that the plain run had."""

    def __init__(self, chance: random.Random, before: Before, number: int, kinds: frozenset[int] = ALL) -> None:
        self._chance = chance
        present, shares = before.shares(kinds)
        chosen = chance.choices(present, cum_weights=shares, k=number) if present else ()
        self._where = Fixed({(kind, before.somewhere(chance, kind)): 0 for kind in chosen})

    def following(self, kind: int, index: int) -> int:
        """See Plan."""
        return self._where.following(kind, index)

    def value(self, kind: int, index: int, possible: int) -> int:
        """See Plan."""
        return drawn(self._chance, kind, possible)


class Rates:
    """Of each group of kinds another share of the choices differs: from one of all that the plain run had to half."""

    def __init__(self, chance: random.Random, counts: Sequence[int]) -> None:
        self._chance = chance
        self._logs = [0.0] * len(NAMES)  # of the choices that stay plain: by them the distance to the next is drawn
        for kinds in GROUPS:
            if chance.random() >= SHARE_WITHOUT:
                least = 1 / max(sum(counts[kind] for kind in kinds), 2)
                rate = HIGHEST_RATE * (least / HIGHEST_RATE) ** chance.random()
                for kind in kinds:
                    self._logs[kind] = math.log(1 - rate)

    def following(self, kind: int, index: int) -> int:
        """See Plan."""
        log = self._logs[kind]
        return index + 1 + int(math.log(1 - self._chance.random()) / log) if log else NEVER

    def value(self, kind: int, index: int, possible: int) -> int:
        """See Plan."""
        return drawn(self._chance, kind, possible)


def mixed(chance: random.Random, before: Before) -> Plan:
    """Most runs differ at a few choices, the others at rates."""
    if chance.random() < SHARE_OF_FEW:
        return Few(chance, before, chance.randint(1, MOST_OF_FEW), before.some_kinds(chance))
    return Rates(chance, before.counts)
