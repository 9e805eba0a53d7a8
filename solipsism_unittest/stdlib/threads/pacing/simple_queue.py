"""The queue of C, for threads that take turns."""

from __future__ import annotations

import _queue
import queue
from collections import deque
from typing import Any

from .baton import Baton
from .locks import block, hand_on, look_in_vain
from .record import Waiter, Why

_Real: Any = _queue.SimpleQueue


class VirtualSimpleQueue(_Real):  # type: ignore[misc]
    """A real SimpleQueue, and those that wait for it in virtual time."""

    def __new__(cls, baton: Baton) -> Any:
        self = _Real.__new__(cls)
        self._baton, self._waiters = baton, deque()
        return self

    def __init__(self, baton: Baton) -> None:
        """It has all it needs."""

    _baton: Baton
    _waiters: deque[Waiter]

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        _Real.put(self, item)
        if self._waiters:
            hand_on(self._waiters)

    def put_nowait(self, item: Any) -> None:
        self.put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        try:
            return _Real.get(self, False)
        except queue.Empty:
            if block and timeout != 0:
                return self._wait(timeout)
            if look_in_vain(self._baton):
                return _Real.get(self, False)
            raise

    def get_nowait(self) -> Any:
        return self.get(False)

    def _wait(self, timeout: float | None) -> Any:
        me = self._baton.here()
        if me is None:
            return _Real.get(self, True, timeout)
        got: list[Any] = []

        def attempt() -> bool:
            try:
                got.append(_Real.get(self, False))
            except queue.Empty:
                return False
            return True

        came = block(self._baton, me, attempt, timeout, self._waiters, Why("a queue", self))
        if came is None:
            return _Real.get(self, True, timeout)
        if not came:
            raise queue.Empty
        return got.pop()
