"""Until when threads wait: the first comes first, and of one instant loops before threads, as they were made."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from math import inf

from .record import WAITING, Record

# The deadline, whether it is of no loop, the loop's order, that of the waits, whose it is, and the number of the wait.
_Entry = tuple[float, bool, int, int, Record, int]


class Deadlines:
    """The deadlines of some threads. One of a wait that is over is dropped when its turn comes."""

    __slots__ = ("_heap", "_numbers")

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._numbers = itertools.count()

    def add(self, record: Record) -> None:
        """One that begins to wait."""
        entry = record.deadline, not record.order, record.order, next(self._numbers), record, record.token
        heapq.heappush(self._heap, entry)

    def first(self) -> float:
        """The earliest; infinity for none."""
        heap = self._heap
        while heap and not _is_of_a_wait(heap[0]):
            heapq.heappop(heap)
        return heap[0][0] if heap else inf

    def due(self, now: float) -> Iterator[Record]:
        """Take out those that wait until now, in their order."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            entry = heapq.heappop(heap)
            if _is_of_a_wait(entry):
                yield entry[4]


def _is_of_a_wait(entry: _Entry) -> bool:
    return entry[4].token == entry[5] and entry[4].state is WAITING
