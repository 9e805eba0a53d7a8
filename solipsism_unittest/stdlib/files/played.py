"""Descriptors that a test plays: numbers that no kernel knows, neither the real one nor the virtual one."""

from __future__ import annotations

from typing import Any, ClassVar, Self

__unittest = True
__tracebackhide__ = True

_SALT = 0xF11E  # so that a dict keeps the number of a mock apart from a real descriptor's


class FileDescriptor(int):
    """The number of a descriptor that a test plays. Without an argument it is the next free one, from 0 up.

    It equals the int of its value and has another hash. `next_fd` is 0 again at the begin of each test.
    """

    next_fd: ClassVar[int] = 0
    place: Any = None  # where its mock was made

    def __new__(cls, *number: Any) -> Self:
        self = super().__new__(cls, *(number or (FileDescriptor.next_fd,)))
        FileDescriptor.next_fd = max(FileDescriptor.next_fd + 1, int(self) + 1)
        return self

    def __hash__(self) -> int:
        return hash((_SALT, int(self)))

    def __repr__(self) -> str:
        return f"FileDescriptor({int(self)})"


def restart_numbers() -> None:
    """The next FileDescriptor is 0 again. A class that is not changed keeps the speed of its method cache."""
    if FileDescriptor.next_fd:
        FileDescriptor.next_fd = 0


def number_of(fileobj: Any) -> Any:
    """The descriptor of a file object, or of a number itself, as it is; what fileno() raises passes through."""
    return fileobj if isinstance(fileobj, int) else fileobj.fileno()


def is_played(fileobj: Any) -> bool:
    """Whether it is a FileDescriptor, or a file object that has one."""
    try:
        return isinstance(number_of(fileobj), FileDescriptor)
    except Exception:  # of a file that is closed, or that is none
        return False
