"""One-way pipes: pages of bytes between an end that writes and an end that reads, as pipe(7) of Linux has them.

Owns the pages of a pipe and what its ends answer. Does not own descriptors (the kernel) or waiting (the faces).

The rule that keeps it exact: room is counted in pages and never in bytes, as Linux counts it. A write that fits behind
the bytes of the last page goes there, any other one starts a page, and a page is free when its last byte was read; so a
pipe of one-byte writes holds as much as one of large writes, and a pipe of 3,000-byte writes holds less.
"""

from __future__ import annotations

import errno
import stat
from collections import deque

from ..journal import Journal, counted
from .file import ERROR, HANGUP, READABLE, WRITABLE, File, os_error

PAGE = 4096  # bytes; also PIPE_BUF: a write of at most that many bytes is never torn apart
PAGES = 16  # of a fresh pipe: 64 KiB
MAX_PAGES = 256  # Linux's fs.pipe-max-size for programs of other users than root: 1 MiB


class _Pages:
    """What the two ends of a pipe share."""

    __slots__ = ("full", "start", "limit")

    def __init__(self) -> None:
        self.full: deque[bytearray] = deque()
        self.start = 0  # bytes of the first page that were read
        self.limit = PAGES


class PipeEnd(File):
    """One end of a pipe; two of them are made by `PipeEnd.pair()` and share its pages."""

    __slots__ = ("journal", "writes", "closed", "pages", "label", "peer")

    kind = "pipe"
    mode = stat.S_IFIFO | 0o600

    def __init__(self, awake: dict[File, None], journal: Journal, place: object, writes: bool) -> None:
        super().__init__(awake, place)
        self.journal = journal
        self.writes = writes
        self.closed = False
        self.pages = _Pages()
        self.label = ""  # how the journal names this end
        self.peer = self

    @classmethod
    def pair(cls, awake: dict[File, None], journal: Journal, place: object) -> tuple[PipeEnd, PipeEnd]:
        """The end that reads and the end that writes."""
        reader, writer = cls(awake, journal, place, False), cls(awake, journal, place, True)
        writer.pages = reader.pages
        reader.peer, writer.peer = writer, reader
        return reader, writer

    def part(self) -> None:
        """Let each end find the other one closed, as if this were: a program that is gone may still have it."""
        ends = self, self.peer
        for end in ends:
            end.peer = PipeEnd(end.awake, end.journal, end.place, not end.writes)
            end.peer.closed = True
        for end in ends:
            end.changed()

    # -- bytes

    def recv(self, size: int) -> bytes:
        """At most `size` bytes; b"" when every byte was read and nobody can write any more. EAGAIN: nothing yet."""
        if self.writes:
            raise os_error(errno.EBADF)
        if not size:
            return b""
        shared, pages = self.pages, self.pages.full
        if not pages:
            if self.peer.closed:
                return b""
            raise os_error(errno.EAGAIN)
        start, found = shared.start, bytearray()
        was_full = len(pages) >= shared.limit
        while pages and size:
            part = pages[0][start:start + size]
            found += part
            size -= len(part)
            start += len(part)
            if start == len(pages[0]):
                pages.popleft()
                start = 0
        shared.start = start
        if was_full and len(pages) < shared.limit:
            self.peer.changed()
        return bytes(found)

    def send(self, data: bytes | memoryview) -> int:
        """Write what there is room for and return its size; a memoryview is one of bytes.

        At most PIPE_BUF bytes go whole or not at all (EAGAIN). EPIPE: nobody can read any more.
        """
        if not self.writes:
            raise os_error(errno.EBADF)
        size = len(data)
        if not size:
            return 0
        if self.peer.closed:
            raise os_error(errno.EPIPE)
        pages, limit = self.pages.full, self.pages.limit
        was_empty = not pages
        odd = size % PAGE
        done = 0
        if pages and odd and len(pages[-1]) + odd <= PAGE:
            pages[-1] += data[:odd]
            done = odd
        while done < size and len(pages) < limit:
            pages.append(bytearray(data[done:done + PAGE]))
            done = min(done + PAGE, size)
        if not done:
            raise os_error(errno.EAGAIN)
        self.journal.effects += 1
        self.journal.note("write", (self.label, done))
        if was_empty:
            self.peer.changed()
        return done

    def unread(self) -> int:
        """The number of bytes in the pipe (FIONREAD)."""
        return sum(map(len, self.pages.full)) - self.pages.start

    @property
    def capacity(self) -> int:
        """The size in bytes of the pipe's pages (F_GETPIPE_SZ)."""
        return self.pages.limit * PAGE

    def resize(self, size: int) -> int:
        """F_SETPIPE_SZ: the next power of two of pages; EBUSY when more are full, EPERM over 1 MiB."""
        if not 0 <= size <= 2**31:
            raise os_error(errno.EINVAL)
        wanted = 1 << (max(1, -(-size // PAGE)) - 1).bit_length()
        if wanted > MAX_PAGES:
            raise os_error(errno.EPERM)
        if wanted < len(self.pages.full):
            raise os_error(errno.EBUSY)
        self.pages.limit = wanted
        (self if self.writes else self.peer).changed()
        return self.capacity

    # -- readiness and the end

    def poll(self) -> int:
        """What would not block now; an end whose other end is closed hangs up, and that shows as both."""
        if self.peer.closed:
            return READABLE | WRITABLE
        if self.writes:
            return WRITABLE if len(self.pages.full) < self.pages.limit else 0
        return READABLE if self.pages.full else 0

    def conditions(self) -> int:
        """As `poll()`, with what poll(2) reports of an end without another end."""
        if not self.peer.closed:
            return self.poll()
        if self.writes:
            return ERROR | (WRITABLE if len(self.pages.full) < self.pages.limit else 0)
        return HANGUP | (READABLE if self.pages.full else 0)

    @property
    def state(self) -> str:
        """One word for reports."""
        return "closed" if self.closed else "hung up" if self.peer.closed else "open"

    def close(self) -> None:
        """End this direction: the reader has what is in the pipe and then the end, the writer EPIPE."""
        if self.closed:
            return
        self.closed = True
        self.awake.pop(self, None)
        self.journal.add("close", self.label)
        if not self.writes:
            self.pages.full.clear()
            self.pages.start = 0
        self.peer.changed()

    def ends(self) -> str:
        """Which end it is, for people."""
        return "write end" if self.writes else "read end"

    def __repr__(self) -> str:
        return f"<pipe {self.ends()} {self.state} {self.unread()} of {counted(self.capacity, 'byte')} to read>"
