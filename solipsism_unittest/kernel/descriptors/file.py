"""What stands behind a descriptor: the open file, and whether it is ready.

Owns the number, the events that a selector waits for, and the announcement of a change. The rule that keeps it fast: a
file announces that its readiness may have changed, and nobody ever walks over the other files.
"""

from __future__ import annotations

import functools
import os
import stat

READABLE = 1
WRITABLE = 2
# What only poll(2) and epoll(7) report beyond these
ERROR = 4
HANGUP = 8  # both directions have ended, or there never was another end
PEER_ENDED = 16  # nothing comes from the peer any more


def os_error(code: int) -> OSError:
    """The OSError that Linux would give, of the right subclass on every system, for an errno taken by name."""
    return OSError(code, _text(code))


_text = functools.cache(os.strerror)  # a busy sender is refused thousands of times


class Descriptor:
    """One of several numbers of one file, with what is waited for by this number."""

    def __init__(self, number: int, interest: int = 0) -> None:
        self.number = number
        self.interest = interest


class File:
    """An open file. Subclasses define what it can do; `poll()` is what would not block.

    What every file has is in slots: a test may have thousands. What few have is a default of the class.
    """

    __slots__ = ("awake", "place", "interest", "number", "blocking", "descriptors", "__dict__", "__weakref__")

    kind = "file"
    mode = stat.S_IFSOCK | 0o777  # st_mode of fstat(2)
    inheritable = False  # by a program that is started with close_fds=False
    had_transport = False  # it was collected as garbage together with one

    def __init__(self, awake: dict[File, None], place: object) -> None:
        self.awake = awake  # the kernel's: files whose readiness may have changed since it last looked
        self.place = place
        self.interest = 0  # READABLE | WRITABLE as far as a selector waits for it
        self.number = -1  # given by the kernel that owns the file; the first, when there are several
        self.blocking = True  # O_NONBLOCK is not set
        self.descriptors: list[Descriptor] | None = None  # all of them, once the file was duplicated

    def poll(self) -> int:
        """What would not block now, as READABLE | WRITABLE."""
        raise NotImplementedError

    def conditions(self) -> int:
        """As `poll()`, with ERROR, HANGUP and PEER_ENDED where they hold."""
        return self.poll()

    def unread(self) -> int:
        """The number of bytes that the next read could give (FIONREAD)."""
        return 0

    def ready(self) -> int:
        """What would not block now, of what is waited for."""
        return self.poll() & self.interest

    def close(self) -> None:
        """End the file; the kernel forgets its number."""
        raise NotImplementedError

    def watch(self, interest: int) -> None:
        """Announce readiness for these events from now on; 0 stands for none."""
        self.interest = interest
        if interest:
            self.awake[self] = None
        else:
            self.awake.pop(self, None)

    def changed(self) -> None:
        """Announce that the answer of `poll()` may have changed."""
        if self.interest:
            self.awake[self] = None
