"""The machine: descriptors, byte streams, a network, names and a clock, without asyncio and without the real ones.

`Kernel` owns them all and the table of descriptors. One event loop has one kernel, and no two kernels ever meet.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from ..errors import SolipsismError
from ..places import Place
from .choices import Choices
from .clock import VirtualClock
from .files import READABLE, WRITABLE, File
from .journal import Journal
from .names import Names
from .network import Network
from .stream import DEFAULT_CAPACITY, JOIN, Stream

__all__ = ["DEFAULT_CAPACITY", "FIRST_DESCRIPTOR", "READABLE", "WRITABLE", "Capacity", "Kernel", "capacities"]

FIRST_DESCRIPTOR = 2**30  # no real descriptor is that large, so a mix-up shows at once
# socketpair() makes UNIX sockets wherever the system has them.
PAIR_FAMILY: int = getattr(socket, "AF_UNIX", socket.AF_INET)

Capacity = int | tuple[int, int] | None


def capacities(capacity: Capacity) -> tuple[int, int]:
    """The two directions of a capacity given as a number of bytes, a pair of them, or None for the default."""
    if capacity is None:
        return DEFAULT_CAPACITY, DEFAULT_CAPACITY
    pair = tuple(capacity) if isinstance(capacity, (tuple, list)) else (capacity, capacity)
    if len(pair) != 2 or not all(isinstance(size, int) and not isinstance(size, bool) and size >= 1 for size in pair):
        raise ValueError(f"capacity is a number of bytes from 1 up, or a pair of them, not {capacity!r}")
    return pair[0], pair[1]


class Kernel:
    """One machine and the world around it."""

    def __init__(self, start_time: float = 0.0, seed: int = 0, replay: Iterable[int] = (), *,
                 loose: bool = False) -> None:
        self.clock = VirtualClock(start_time)
        self.journal = Journal(self.clock)
        self.choices = Choices(seed, replay)
        self.names = Names(self.journal)
        self.network = Network(self.names, self.journal)
        self.files: dict[int, File] = {}
        self.awake: dict[File, None] = {}
        self.loose = loose  # made for sockets outside any loop: another kernel may adopt what is in it
        self.adopted_by: Kernel | None = None
        self.abandoned: list[File] = []  # collected as garbage while open
        self.jobs: Any = None  # what other threads do for this world; who waits for them puts it there
        self.next_descriptor = FIRST_DESCRIPTOR

    def open(self, file: File) -> File:
        """Give a file a descriptor: the next number, never one that was used before."""
        file.number = self.next_descriptor
        self.next_descriptor += 1
        self.files[file.number] = file
        return file

    def close(self, file: File) -> None:
        """Take the file's descriptor away and end it."""
        if self.files.get(file.number) is file:
            del self.files[file.number]
        file.close()

    def stream(self, family: int, place: Place | None) -> Stream:
        """A fresh stream end with a descriptor."""
        end = Stream(self.awake, self.journal, family, place)
        self.open(end)
        return end

    def pair(self, capacity: Capacity, place: Place | None, family: int = PAIR_FAMILY) -> tuple[Stream, Stream]:
        """Two stream ends joined in memory; `capacity` is what the first (second) end may have under way."""
        forth, back = capacities(capacity)
        one, two = self.stream(family, place), self.stream(family, place)
        one.label, two.label = f"pair{one.number - FIRST_DESCRIPTOR}", f"pair{two.number - FIRST_DESCRIPTOR}"
        one.capacity, two.capacity = back, forth
        one._move(JOIN)
        two._move(JOIN)
        one.join(two)
        return one, two

    def ready(self) -> list[tuple[File, int]]:
        """Every file that is ready for what is waited for, with what for, in the order in which they became so."""
        awake = self.awake
        found = []
        for file in list(awake):
            events = file.ready()
            if events:
                found.append((file, events))
            else:
                del awake[file]
        return found

    def adopt(self, other: Kernel) -> None:
        """Take over what was made outside any loop. Only unbound files can move: addresses belong to one world."""
        files = list(other.files.values())
        for file in files:
            assert isinstance(file, Stream), file
            if file.local is not None:
                raise SolipsismError(f"{file!r} was bound outside any loop: bind it while the loop runs, or inside "
                                     "sealed(loop)")
        for file in files:
            assert isinstance(file, Stream), file
            file.awake, file.journal = self.awake, self.journal
            self.open(file)
        other.files.clear()
        other.adopted_by = self

    def __repr__(self) -> str:
        return f"<Kernel t={self.clock.now!r} {len(self.files)} open files, {self.network!r}>"
