"""The name space of UNIX sockets: to whom each path and each abstract name belongs.

Owns the socket files of one world (nodes: what `os.stat` reports of them, and which socket answers there) and the
abstract names. Does not own directories: those are real, and `real`, which stdlib/files passes in, finds a path in
them. The rule that keeps it simple: a node is known by the device and inode of its directory and its name there. So
every spelling of a path finds it: relative, through a link, or below a renamed directory.

As on Linux (unix(7)): a node outlives its socket. Until the program unlinks it, binding there is EADDRINUSE and
connecting is ECONNREFUSED; an abstract name goes with its socket.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from ..descriptors.end import Address, End, shown
from ..descriptors.file import os_error
from ..descriptors.stream import Stream
from ..descriptors.transitions import FRESH, LISTENING
from ..journal import Journal

FIRST_INODE = 2**48  # no real file system of a test machine counts that far
MAX_AUTOBOUND = 2**20  # names of five hexadecimal digits
REFUSALS_KEPT = 100

Spot = tuple[int, int, bytes]  # device and inode of the directory, and the name in it


class Where(NamedTuple):
    """Where a path lies."""

    spot: Spot
    exists: bool  # a real file is there


class Node:
    """A socket file: what `os.stat` reports of it, and which end answers there."""

    def __init__(self, number: int, end: End | None, real: Real) -> None:
        self.number = number  # st_ino
        self.end = end  # who answers; None after its end
        self.mode = stat.S_IFSOCK | 0o777 & ~real.umask()
        self.owner, self.group = real.user()
        self.read_at = self.written_at = self.changed_at = real.now()  # ns since the epoch


class Real(Protocol):
    """What a name space has to ask the real system."""

    def locate(self, path: bytes, follow: bool) -> Where:
        """Where a path lies, as the system resolves it; `follow` follows a link there. OSErrors as the system's."""

    def may_create(self, path: bytes) -> None:
        """The OSError that refuses a new file at this path."""

    def may_write(self, node: Node) -> bool:
        """Whether this process may connect there."""

    def umask(self) -> int:
        """The bits that a new file's permissions lack."""

    def user(self) -> tuple[int, int]:
        """The effective ids of user and group."""

    def now(self) -> int:
        """The wall clock in ns since the epoch."""


class PathRefusal(NamedTuple):
    """Nobody answered at a path or an abstract name: when, the errno, what was there, and who listened elsewhere."""

    time: float
    code: int
    exists: bool  # a real file was there
    bound: End | None  # who has the address, and does not listen
    kind: int  # of socket
    listeners: list[tuple[Address, object]]  # those of this kind, with the places where they were made


class Paths:
    """The UNIX addresses of one world."""

    def __init__(self, journal: Journal) -> None:
        self.real: Real | None = None  # set before the first path is used
        self.refused: dict[bytes, PathRefusal] = {}  # the last of each address
        self._journal = journal
        self._nodes: dict[Spot, Node] = {}
        self._abstract: dict[tuple[int, bytes], End] = {}  # by type of socket and name: each type has its own
        self._made = 0  # nodes, ever
        self._autobound = 0

    def __bool__(self) -> bool:
        """Whether there is any socket file."""
        return bool(self._nodes)

    # -- sockets

    def bind(self, end: End, name: bytes, *, anywhere: bool = False) -> None:
        """Give `end` a path, or an abstract name (the first byte is 0); b"" becomes an abstract name that is free.

        `anywhere` is for a test that plays another program: neither a real file there nor its permissions matter.
        """
        if not name and end.local is not None:
            return  # Linux has nothing to do then
        if end.local is not None and name[:1] == b"\0":
            raise os_error(errno.EINVAL)
        if not name:
            name = self._free_name(end)
        if name[:1] == b"\0":
            if (end.type, name) in self._abstract:
                raise os_error(errno.EADDRINUSE)
            self._abstract[end.type, name] = end
        else:
            real = self._real()
            where = real.locate(name, False)
            if (where.exists and not anywhere) or where.spot in self._nodes:
                raise os_error(errno.EADDRINUSE)
            if not anywhere:
                real.may_create(name)
            if end.local is not None:
                raise os_error(errno.EINVAL)
            self._made += 1
            self._nodes[where.spot] = Node(FIRST_INODE + self._made, end, real)
        end.local = (name,)
        end.label = shown(end.local)
        end.unbind = self._forget
        self._journal.add("bind", end.label)

    def _real(self) -> Real:
        assert self.real is not None, "a path needs to know the real directories"
        return self.real

    def _free_name(self, end: End) -> bytes:
        for _ in range(MAX_AUTOBOUND):
            self._autobound = self._autobound % (MAX_AUTOBOUND - 1) + 1
            name = b"\0%05x" % self._autobound
            if (end.type, name) not in self._abstract:
                return name
        raise os_error(errno.ENOSPC)

    def _forget(self, end: End) -> None:
        assert end.local is not None
        self._abstract.pop((end.type, *end.local), None)
        for node in self._nodes.values():
            if node.end is end:
                node.end = None

    def find(self, name: bytes, kind: int) -> End:
        """The end that is bound there. ENOENT; ECONNREFUSED when none answers; EPROTOTYPE for another type."""
        if not name:
            raise os_error(errno.EINVAL)
        if name[:1] == b"\0":
            end = self._abstract.get((kind, name))
        else:
            real = self._real()
            where = real.locate(name, True)
            node = self._nodes.get(where.spot)
            if node is None:
                code = errno.ECONNREFUSED if where.exists else errno.ENOENT
                self._note_refusal(name, kind, code, exists=where.exists)
                raise os_error(code)
            if not real.may_write(node):
                raise os_error(errno.EACCES)
            end = node.end
        if end is None:
            self._note_refusal(name, kind, errno.ECONNREFUSED)
            raise os_error(errno.ECONNREFUSED)
        if end.type != kind:
            raise os_error(errno.EPROTOTYPE)
        return end

    def listen(self, end: End, backlog: int) -> None:
        """Make `end` a listener; one without an address is EINVAL."""
        if isinstance(end, Stream) and (end.local is None or end.state not in (FRESH, LISTENING)):
            raise os_error(errno.EINVAL)
        end.listen(backlog)

    def connect(self, end: Any, name: bytes) -> None:
        """Connect a socket to the end that is bound there."""
        listener = self.find(name, end.type)
        try:
            end.meet(listener)
        except ConnectionRefusedError:
            self._note_refusal(name, end.type, errno.ECONNREFUSED, bound=listener)
            raise

    def _note_refusal(self, name: bytes, kind: int, code: int, *, exists: bool = False,
                      bound: End | None = None) -> None:
        self.refused.pop(name, None)  # the latest comes last
        if len(self.refused) < REFUSALS_KEPT:
            self.refused[name] = PathRefusal(self._journal.clock.now, code, exists, bound, kind,
                                             list(self._listeners(kind)))

    def _listeners(self, kind: int) -> Iterator[tuple[Address, object]]:
        for end in [*self._abstract.values(), *(node.end for node in self._nodes.values())]:
            if end is not None and end.type == kind and end.local is not None and (
                    not isinstance(end, Stream) or end.state is LISTENING):
                yield end.local, end.place

    # -- socket files

    def node(self, where: Where) -> Node | None:
        """The socket file at a place."""
        return self._nodes.get(where.spot)

    def names(self, device: int, inode: int) -> Iterator[tuple[bytes, Node]]:
        """The socket files in a directory."""
        for (node_device, node_inode, name), node in self._nodes.items():
            if (node_device, node_inode) == (device, inode):
                yield name, node

    def unlink(self, where: Where) -> None:
        """Remove the name; the socket goes on without it."""
        del self._nodes[where.spot]

    def rename(self, source: Where, target: Where, now: int) -> None:
        """Move a socket file to another place, where it replaces another one."""
        node = self._nodes.pop(source.spot)
        node.changed_at = now
        self._nodes[target.spot] = node

    def __repr__(self) -> str:
        listening = sum(isinstance(node.end, Stream) and node.end.state is LISTENING for node in self._nodes.values())
        return f"<Paths: {len(self._nodes)} socket files, {listening} of listeners>"
