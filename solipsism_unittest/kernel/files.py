"""What stands behind a descriptor: the open file, and whether it is ready.

Owns the number, the readiness that somebody waits for, and the announcement of a change. The rule that keeps it fast: a
file says when its readiness may have changed, and nobody ever walks over the files that said nothing.
"""

from __future__ import annotations

import os

from ..places import Place

READABLE = 1
WRITABLE = 2


def os_error(code: int) -> OSError:
    """The OSError that Linux would give, of the right subclass on every system, for an errno taken by name."""
    return OSError(code, os.strerror(code))


class File:
    """An open file. Subclasses say what it can do; `poll()` says what would not block."""

    kind = "file"
    number = -1  # given by the kernel that owns the file

    def __init__(self, awake: dict[File, None], place: Place | None) -> None:
        self.awake = awake  # the kernel's: files whose readiness may have changed since it last looked
        self.place = place
        self.interest = 0  # READABLE | WRITABLE as far as a selector waits for it

    def poll(self) -> int:
        """What would not block now, as READABLE | WRITABLE."""
        raise NotImplementedError

    def ready(self) -> int:
        """What would not block now, of what is waited for."""
        return self.poll() & self.interest

    def close(self) -> None:
        """End the file; the kernel forgets its number."""
        raise NotImplementedError

    def watch(self, interest: int) -> None:
        """Announce readiness for these events from now on; 0 for none."""
        self.interest = interest
        if interest:
            self.awake[self] = None
        else:
            self.awake.pop(self, None)

    def changed(self) -> None:
        """Say that `poll()` may answer otherwise than before."""
        if self.interest:
            self.awake[self] = None
