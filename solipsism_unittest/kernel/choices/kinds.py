"""What a real machine leaves open: the kinds of choices that an exploration makes, and which values each takes.

Value 0 of every choice is the plain one: what happens without an exploration. For a length of time the others are 16
steps from 1 ms up to the most that is allowed, and then the deadlines that are pending: until exactly the next one,
until just behind it, until exactly the one after that.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf

STALL, WAKE, PACKET, CONNECTION, LOOKUP, JOB, ORDER, LATER, RECV, SEND, SETS, EXIT = range(12)
NAMES = ("stall", "wake", "packet", "connection", "lookup", "job", "order", "later", "recv", "send", "sets", "exit")
# What is alike, and for each kind its share of the deviations where only a few are made.
GROUPS = (
    {STALL: 0.25, WAKE: 0.07},
    {PACKET: 0.11, CONNECTION: 0.11, LOOKUP: 0.03, JOB: 0.18},
    {ORDER: 0.04, LATER: 0.03, EXIT: 0.01},
    {RECV: 0.08, SEND: 0.05},
    {SETS: 0.04},
)
ALL = frozenset(range(len(NAMES)))
OF_TIME = frozenset((STALL, WAKE, PACKET, CONNECTION, LOOKUP, JOB))

SHORTEST = 1e-3  # seconds, of what is put in
BEHIND = 1e-4  # seconds behind a deadline
STEPS = 16
DEADLINES = 8
LENGTHS = 1 + STEPS + 2 * DEADLINES  # values of a choice of time
SHARE_OF_STEPS = 0.4  # of the lengths of time that are drawn: those that do not end at a deadline
SHARE_OF_LATER = 0.4  # of those that do: the ones that pass over the next deadline, and of these over the one after it
MIXES = 8  # orders of a set: by the numbers of its members, exclusive-or this


def until(value: int, now: float, most: float, deadlines: Sequence[float]) -> float:
    """The instant that a choice of time stands for; `now` where no deadline is as near as that.

    `most` is the longest time in seconds, and `deadlines` are those that are pending, the next one first.
    """
    if value <= STEPS:
        return now + SHORTEST * (most / SHORTEST) ** ((value - 1) / (STEPS - 1)) if value else now
    number, is_behind = divmod(value - 1 - STEPS, 2)
    when = deadlines[number] + is_behind * BEHIND if number < len(deadlines) else inf
    return when if when <= now + most else now


def drawn(chance: random.Random, kind: int, possible: int) -> int:
    """A value other than the plain one, of which there must be one."""
    if kind in OF_TIME:
        if kind == CONNECTION:
            return chance.randrange(1, STEPS + 1)
        if chance.random() < SHARE_OF_STEPS:
            return max(chance.randrange(1, STEPS + 1), chance.randrange(1, STEPS + 1))  # a short one changes little
        number = 0
        while number < DEADLINES - 1 and chance.random() < SHARE_OF_LATER:
            number += 1
        return 1 + STEPS + 2 * number + chance.randrange(2)
    if kind in (RECV, SEND) and possible > 9:
        few = chance.randrange(1, 9)
        return chance.choice((few, possible - few, chance.randrange(1, possible)))
    return chance.randrange(1, possible)


def alternatives(kind: int, possible: int) -> list[int]:
    """The values that a search through all of them tries: of the cuts of much data, and of lengths of time, some."""
    if kind == CONNECTION:
        return [STEPS // 2, STEPS]
    if kind in OF_TIME:
        return [1, STEPS, *range(1 + STEPS, 1 + STEPS + 6)]
    if kind in (RECV, SEND) and possible > 9:
        return [1, 2, 4, possible // 2, possible - 1]
    return list(range(1, possible))


def simpler(kind: int, value: int) -> list[int]:
    """Values that are easier to understand than this one, the easiest first."""
    if kind in OF_TIME and value > STEPS:
        return [1 + STEPS] if value != 1 + STEPS else []
    if kind in OF_TIME:
        return [other for other in (1, STEPS // 2) if other < value]
    return [1] if value > 1 else []
