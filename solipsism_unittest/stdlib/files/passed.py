"""`Passed`: the descriptors that a program gets from who starts it, as `pass_fds` and `close_fds=False` give them.

Owns what a number is in a program: by the number of its starter it finds a descriptor of its own of the same file, so
that either may close its one. What else its starter had open is EBADF there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, TypeVar

from ...kernel import FIRST_DESCRIPTOR, Kernel
from ...kernel.descriptors.file import os_error
from ..worlds import World

T = TypeVar("T")


class Passed:
    """What one program has got. `numbers` are its own descriptors; EBADF where one of those that it is to get is not
    open. A real one is as open as it is for the test.
    """

    def __init__(self, kernel: Kernel, given: Iterable[int]) -> None:
        self._kernel = kernel
        self._first = kernel.next_descriptor  # what is opened from now on
        self._own: dict[int, int] = {}
        try:
            for number in given:
                if number < FIRST_DESCRIPTOR:
                    os.fstat(number)
                else:
                    self._own[number] = kernel.duplicate(own(number))
        except OSError:
            self.close()
            raise

    @property
    def numbers(self) -> list[int]:
        """The descriptors that the program has of them."""
        return list(self._own.values())

    def known(self, number: int) -> int | None:
        """What this number is in the program; None where nothing is."""
        return self._own.get(number, number if number < FIRST_DESCRIPTOR or number >= self._first else None)

    def close(self) -> None:
        """Close them: no program gets them."""
        for number in self._own.values():
            self._kernel.release(number)


inherited: ContextVar[Passed | None] = ContextVar("solipsism_unittest.passed", default=None)
"""What the program has got that runs in a context; None for the test itself."""


def own(number: int) -> int:
    """The descriptor that a number is here; EBADF where a program has not got it."""
    passed = inherited.get()
    found = number if passed is None else passed.known(number)
    if found is None:
        raise os_error(errno.EBADF)
    return found


def own_or_same(fileobj: T) -> T:
    """The same where what comes is a file object, or may be of the world's own making: that is what it is for all."""
    passed = inherited.get()
    if passed is None or type(fileobj) is not int:
        return fileobj
    found: Any = passed.known(fileobj)  # type: ignore[arg-type]
    return fileobj if found is None else found


def by_own_number(answer: Callable[..., T]) -> Callable[..., T]:
    """Let a function, which a program calls with a world and a number, have the descriptor that this is there."""

    def answer_by_own(world: World, *args: Any, **kwargs: Any) -> T:
        if inherited.get() is not None:
            if args:
                args = own(args[0]), *args[1:]
            else:
                name = "fd" if "fd" in kwargs else "out_fd"
                kwargs[name] = own(kwargs[name])
        return answer(world, *args, **kwargs)

    return answer_by_own
