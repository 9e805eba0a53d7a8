"""The machine: descriptors, byte streams, a network, names and a clock, without asyncio and without the real ones.

`Kernel` owns them all and the table of descriptors. One event loop has one kernel, and no two kernels ever meet.
"""

from __future__ import annotations

import errno
import functools
import socket
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..errors import SolipsismError
from .addresses.resolver import Names
from .choices import Choices
from .clock import VirtualClock
from .descriptors.datagram import Datagram
from .descriptors.end import Address, End
from .descriptors.file import READABLE, WRITABLE, Descriptor, File, os_error
from .descriptors.pipe import PipeEnd
from .descriptors.stream import DEFAULT_CAPACITY, CutStream, Stream
from .descriptors.transitions import JOIN
from .journal import Journal
from .network.network import Network
from .network.unix import Paths
from .wall import WallClock

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


def _by_nobody(file: File) -> bool:
    return False


def _does_not_matter(name: str, seconds: float) -> None:
    """What becomes of a slow look-up that blocks, where nobody minds."""


class _Outside(NamedTuple):
    """What a machine finds others by."""

    names: Names
    network: Network
    paths: Paths


class Kernel:
    """One machine and the world around it."""

    def __init__(self, start_time: float = 0.0, seed: int = 0, replay: Iterable[int] = ()) -> None:
        self.clock = VirtualClock(start_time)
        self.journal = Journal(self.clock)
        self.choices = Choices(seed, replay)
        # Called with a name and its seconds when a slow one is looked up by a call that blocks.
        self.on_blocking: Callable[[str, float], object] = _does_not_matter
        # Called when a host has crashed, and with False before one crashes or comes back.
        self.on_power: Callable[[bool], object] = bool
        self._outside: list[_Outside] = []  # one, once somebody asks: most tests have no network
        self.files: dict[int, File] = {}
        self.awake: dict[File, None] = {}
        self.moved: dict[int, int] = {}  # descriptors: what the number is in the kernel that adopted this one
        self.abandoned: list[File] = []  # collected as garbage while open
        self.is_reported: Callable[[File], bool] = _by_nobody  # of those: then no warning is needed
        self.next_descriptor = FIRST_DESCRIPTOR
        self.reaped: set[int] = set()  # descriptors of programs that have ended: what still has one may close it
        self._wall: WallClock | None = None

    @property
    def wall(self) -> WallClock:
        """The clock on the wall."""
        self._wall = self._wall or WallClock(self.clock)
        return self._wall

    @functools.cached_property
    def names(self) -> Names:
        """The hosts, and the resolver that answers for them."""
        return self._around().names

    @functools.cached_property
    def network(self) -> Network:
        """The network that the machine is on."""
        return self._around().network

    @property
    def has_network(self) -> bool:
        """Whether anybody has asked for the network yet."""
        return bool(self._outside)

    @functools.cached_property
    def paths(self) -> Paths:
        """The socket files, and the abstract names of UNIX sockets."""
        return self._around().paths

    def _around(self) -> _Outside:
        if not self._outside:
            names = Names(self.clock, self.journal, self.on_blocking, self.on_power)
            network = Network(names, self.clock, self.journal, self.choices)
            self._outside.append(_Outside(names, network, Paths(self.journal)))
        return self._outside[0]  # where another thread was as fast, the first one is everybody's

    def open(self, file: File) -> File:
        """Give a file a descriptor: the next number, never one that was used before.

        Linux gives the lowest that is free. A stale number would then meet another file, and what a record in the
        journal or a leftover means would depend on what was closed before; here it is EBADF, and a number is one file.
        """
        file.number = self.next_descriptor
        self.next_descriptor += 1
        self.files[file.number] = file
        return file

    def close(self, file: File) -> None:
        """Take all the file's descriptors away and end it."""
        for number in [each.number for each in file.descriptors] if file.descriptors else (file.number,):
            if self.files.get(number) is file:
                del self.files[number]
        file.descriptors = None
        file.close()

    def file(self, number: int) -> File:
        """What stands behind a descriptor; EBADF when nothing does."""
        file = self.files.get(number)
        if file is None:
            raise os_error(errno.EBADF)
        return file

    def abandon(self, file: File) -> None:
        """Note that a program lost the file while it was open: its object was collected as garbage."""
        self.abandoned.append(file)

    def duplicate(self, number: int) -> int:
        """Another descriptor of the same file, as dup(2) makes it."""
        file = self.file(number)
        first = file.number
        if file.descriptors is None:
            file.descriptors = [Descriptor(number, file.interest)]
        self.open(file)
        file.descriptors.append(Descriptor(file.number))
        another, file.number = file.number, first
        return another

    def release(self, number: int) -> None:
        """close(2): take one descriptor away; its file ends with the last."""
        file = self.files.pop(number, None)
        if file is None:
            raise os_error(errno.EBADF)
        if file.descriptors is None or len(file.descriptors) == 1:
            file.close()
            file.descriptors = []
            return
        file.descriptors = [descriptor for descriptor in file.descriptors if descriptor.number != number]
        file.number = file.descriptors[0].number
        self._watch_all(file, file.descriptors)

    def reap(self, number: int) -> None:
        """The program is no more that has this descriptor: as `release()`, and nothing that has it meets an error."""
        self.reaped.add(number)
        if number in self.files:
            self.release(number)

    def watch(self, number: int, interest: int) -> None:
        """Announce when this descriptor is ready for these events from now on; 0 for none. A closed one never is."""
        file = self.files.get(number)
        if file is None:
            return
        if file.descriptors is None:
            file.interest = interest  # as its watch()
            if interest:
                self.awake[file] = None
            else:
                self.awake.pop(file, None)
            return
        for descriptor in file.descriptors:
            if descriptor.number == number:
                descriptor.interest = interest
        self._watch_all(file, file.descriptors)

    def _watch_all(self, file: File, descriptors: list[Descriptor]) -> None:
        interest = 0
        for descriptor in descriptors:
            interest |= descriptor.interest
        file.watch(interest)

    def stream(self, family: int, place: object) -> Stream:
        """A fresh stream end with a descriptor."""
        explorer = self.choices.explorer
        end = (Stream if explorer is None else CutStream)(self.awake, self.journal, family, place)
        if explorer is not None:
            end.explorer = explorer
        self.open(end)
        return end

    def pair(self, capacity: Capacity, place: object, family: int = PAIR_FAMILY) -> tuple[Stream, Stream]:
        """Two stream ends joined in memory; `capacity` is what the first (second) end may have under way."""
        forth, back = capacities(capacity)
        one, two = self.stream(family, place), self.stream(family, place)
        one.label, two.label = f"pair{one.number - FIRST_DESCRIPTOR}", f"pair{two.number - FIRST_DESCRIPTOR}"
        one.capacity, two.capacity = back, forth
        one.move(JOIN)
        two.move(JOIN)
        one.join(two)
        return one, two

    def pipe(self, place: object) -> tuple[PipeEnd, PipeEnd]:
        """The end that reads and the end that writes of a new pipe."""
        ends = PipeEnd.pair(self.awake, self.journal, place)
        for end in ends:
            self.open(end)
            end.label = f"pipe{end.number - FIRST_DESCRIPTOR}"
        return ends

    def datagram(self, family: int, place: object) -> Datagram:
        """A fresh end of UDP, or of a UNIX datagram socket, with a descriptor."""
        end = Datagram(self.awake, self.journal, family, place, self.network.send_datagram, self._find_datagram)
        self.open(end)
        return end

    def datagram_pair(self, place: object, family: int = PAIR_FAMILY) -> tuple[Datagram, Datagram]:
        """Two ends of UNIX datagrams, connected to each other."""
        one, two = self.datagram(family, place), self.datagram(family, place)
        one.label, two.label = f"pair{one.number - FIRST_DESCRIPTOR}", f"pair{two.number - FIRST_DESCRIPTOR}"
        one.join(two)
        return one, two

    def _find_datagram(self, address: Address) -> End:
        return self.paths.find(address[0], socket.SOCK_DGRAM)

    def ready(self) -> list[tuple[File | Descriptor, int]]:
        """Every file that is ready for what is waited for, with what for, in the order in which they became so.

        Of a file that was duplicated, each of its descriptors that is waited for.
        """
        awake = self.awake
        found: list[tuple[File | Descriptor, int]] = []
        for file in list(awake):
            events = file.ready()
            if events:
                if file.descriptors is None:
                    found.append((file, events))
                else:
                    found += [(one, events & one.interest) for one in file.descriptors if events & one.interest]
            else:
                del awake[file]
        return found

    def adopt(self, other: Kernel) -> None:
        """Take over what was made outside any loop. Only unbound files can move: addresses belong to one world."""
        files = list(dict.fromkeys(other.files.values()))
        for file in files:
            assert isinstance(file, End), file  # nothing but a socket can be made there
            if file.local is not None:
                raise SolipsismError(f"{file!r} was bound outside any loop: bind it while the loop runs, or inside "
                                     "sealed(loop)")
        for file in files:
            assert isinstance(file, End), file
            file.awake, file.journal = self.awake, self.journal
            if isinstance(file, Datagram):
                file.carry, file.find = self.network.send_datagram, self._find_datagram
        for number, file in other.files.items():
            self.open(file)
            other.moved[number] = file.number
        for file in files:
            if file.descriptors is not None:
                file.descriptors = [Descriptor(other.moved[one.number]) for one in file.descriptors]
                file.number = file.descriptors[0].number
        other.files.clear()

    def __repr__(self) -> str:
        return f"<Kernel t={self.clock.now!r} {len(self.files)} open files, {self.network!r}>"
