"""The queue of C, for threads that take turns; and what a pool of such threads has in it."""

from __future__ import annotations

import _queue
import queue
from collections import deque
from collections.abc import Callable
from typing import Any

from .locks import FindBaton, Kind, block, hand_on, look_in_vain
from .record import Waiter, Why

_Real: Any = _queue.SimpleQueue


class VirtualSimpleQueue(metaclass=Kind):
    """A real SimpleQueue, and those that wait for it in virtual time."""

    __slots__ = ("_find_baton", "_real", "_is_old", "_add", "_take", "_is_contended", "_waiters", "__weakref__")
    __class__ = property(lambda self: _Real)
    _stands_for = _Real

    def __init__(self, find_baton: FindBaton, old: Any = None) -> None:
        self._find_baton = find_baton
        self._is_old = old is not None  # so that others may put something there unseen
        self._real = old if old is not None else _Real()
        self._add, self._take = self._real.put, self._real.get
        self._is_contended = False  # whether anybody has ever waited: a look at this costs less
        self._waiters: deque[Waiter] = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self._add(item)
        if self._is_contended and self._waiters:
            hand_on(self._waiters)

    def put_nowait(self, item: Any) -> None:
        self.put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not block or timeout is not None:  # as few ask
            if timeout is not None and timeout < 0 and block:
                raise ValueError("'timeout' must be a non-negative number")
            if not block or timeout == 0:
                if self._real.empty():
                    look_in_vain(self._find_baton())
                return self._take(False)
        try:
            return self._take(False)
        except queue.Empty:
            return self._wait(timeout)

    def get_nowait(self) -> Any:
        return self.get(False)

    def _wait(self, timeout: float | None) -> Any:
        baton = self._find_baton()
        me = None if baton is None else baton.here()
        if baton is None or me is None:
            return self._take(True, timeout)
        self._is_contended = True
        got: list[Any] = []

        def attempt() -> bool:
            if self._real.empty():
                return False
            try:
                got.append(self._take(False))
            except queue.Empty:
                return False
            return True

        came = block(baton, me, attempt, timeout, self._waiters, Why("a queue", self),
                     (lambda: not self._real.empty()) if self._is_old else None)
        if came is None:
            return self._take(True, timeout)
        if not came:
            raise queue.Empty
        return got.pop()

    def qsize(self) -> int:
        return self._real.qsize()  # type: ignore[no-any-return]

    def empty(self) -> bool:
        return self._real.empty()  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> bool:
        return self is other or self._real is other

    def __hash__(self) -> int:
        return hash(self._real)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("cannot pickle '_queue.SimpleQueue' object")

    def __repr__(self) -> str:
        return repr(self._real)


class JobQueue(VirtualSimpleQueue):
    """The queue of a pool's jobs. A worker looks into it before it waits there: nobody polls."""

    __slots__ = ("get_nowait",)

    def __init__(self, find_baton: FindBaton) -> None:
        super().__init__(find_baton)
        self.get_nowait: Callable[[], Any] = self._real.get_nowait

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        return self._wait(None) if block and timeout is None else super().get(block, timeout)


class Idle:
    """How many workers of a pool wait for a job. Nobody waits for one of them, so that it need be no Semaphore."""

    __slots__ = ("_they",)
    _value = property(lambda self: len(self._they))  # what monitors of a pool read

    def __init__(self) -> None:
        self._they: deque[None] = deque()

    def release(self, n: int = 1) -> None:
        """Add so many."""
        self._they.extend([None] * n)

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take one, if there is one."""
        try:
            self._they.pop()
        except IndexError:
            return False
        return True


for _one in (VirtualSimpleQueue.get, VirtualSimpleQueue.put):  # reports say it as the program knows it
    _one.__qualname__ = f"SimpleQueue.{_one.__name__}"
