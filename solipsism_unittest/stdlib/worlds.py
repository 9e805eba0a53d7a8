"""Which world a thread lives in: the one table of the process, and `sealed`, which writes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

from ..errors import SolipsismError
from ..kernel import Kernel

# Process-wide by nature: what stands in for the standard library is. The lock guards arming and disarming.
kernels: dict[int, Kernel] = {}  # by thread: the innermost world
_worlds: dict[int, list[Kernel]] = {}  # by thread: every world that it has entered and not left
_lock = threading.Lock()
thread_id = threading.get_ident


class _Seal:
    """What is done when the first thread of the process is sealed, and when the last one is not any more."""

    def __init__(self) -> None:
        self.arm: Callable[[], None] = lambda: None
        self.disarm: Callable[[], None] = lambda: None


_seal = _Seal()


def use_seal(arm: Callable[[], None], disarm: Callable[[], None]) -> None:
    """`stdlib.seal` says once, when it is imported, how names are replaced and put back."""
    _seal.arm, _seal.disarm = arm, disarm


def kernels_by_thread() -> Mapping[int, Kernel]:
    """The innermost kernel of each sealed thread: the table itself, for the audit hook."""
    return kernels


def leave_every_world() -> None:
    """A forked child has the thread, and no loop that runs in it: it lives in the real world."""
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have had it
    if kernels:
        kernels.clear()
        _worlds.clear()
        _seal.disarm()


def kernel_here() -> Kernel | None:
    """The kernel of this thread's world, or None for a thread that is not sealed."""
    return kernels.get(thread_id())


def threads_in(kernel: Kernel) -> list[int]:
    """The identifiers of the threads that are in this world now, in the order in which they came."""
    return [ident for ident, inner in list(kernels.items()) if inner is kernel]


class sealed:  # noqa: N801 - a context manager that reads as a word, like contextlib's
    """`with sealed(loop):` this thread lives in the loop's world. It nests; leaving restores what was before.

    A loop that is not a SolipsistEventLoop is a SolipsismError.
    """

    def __init__(self, loop: Any) -> None:
        kernel = getattr(loop, "kernel", None)
        if not isinstance(kernel, Kernel):
            raise SolipsismError(f"{loop!r} has no virtual world: sealed() needs a SolipsistEventLoop")
        self._kernel = kernel

    def __enter__(self) -> Self:
        ident = thread_id()
        with _lock:
            if not kernels:
                _seal.arm()
            _worlds.setdefault(ident, []).append(self._kernel)
            kernels[ident] = self._kernel
        return self

    def __exit__(self, *exc_info: object) -> None:
        ident = thread_id()
        with _lock:
            worlds = _worlds.get(ident, [])
            if self._kernel not in worlds:
                raise SolipsismError("sealed() is left in a thread that did not enter it: leave it there")
            # The latest of this world: of two that overlap the first may be left first.
            del worlds[len(worlds) - 1 - worlds[::-1].index(self._kernel)]
            if worlds:
                kernels[ident] = worlds[-1]
            else:
                del _worlds[ident], kernels[ident]
                if not kernels:
                    _seal.disarm()


class Inhabitant:
    """What `sealed` needs to know of a loop."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
