"""Locks for threads that take turns: each is a real one, and who waits for it gives the turn to others.

Condition, Event, Semaphore, Barrier, Queue, Future and Timer are written in Python over these, and look them up when
they wait. So they need no stand-in, and one that was made before the test works too. A thread that is not sealed can
use all of them: it waits for the real lock.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from math import inf, nextafter
from typing import Any

from .baton import Baton
from .record import Record, Waiter, Why

REAL_LOCK = type(_thread.allocate_lock())
_RealRLock: Any = _thread.RLock
get_ident, make_real_lock = _thread.get_ident, _thread.allocate_lock
_LOOKS = 100  # in vain at one instant, after which a thread lets time go on by one float


def block(baton: Baton, me: Record, attempt: Callable[[], bool], timeout: float | None, waiters: deque[Waiter], why: Why
          ) -> bool | None:
    """Wait until `attempt()` succeeds: True, or False after `timeout`. None when the world is over first."""
    baton.take_turn(me)
    deadline = inf if timeout is None or timeout < 0 else baton.now + timeout
    put_in_line = waiters.append
    while True:
        waiter = me, me.token
        put_in_line(waiter)
        put_in_line = waiters.appendleft  # who was there first stays first
        try:
            if attempt():
                return True
            came = baton.wait(me, why, deadline)
        finally:
            with contextlib.suppress(ValueError):
                waiters.remove(waiter)
            if me.woken:  # it does not need that: the next one may
                me.woken = False
                hand_on(waiters)
        if baton.over:
            return None
        if attempt():
            return True
        if not came:
            return False


def hand_on(waiters: deque[Waiter]) -> None:
    """Wake the first that still waits."""
    while True:
        try:
            waiter = waiters.popleft()
        except IndexError:  # there is none, or another thread was as fast
            return
        record, token = waiter
        if record.token == token:
            record.baton.wake(waiter)
            return


def look_in_vain(baton: Baton) -> bool:
    """Count a look that costs no time: at the hundredth of one instant others run and time goes on; whether it did.

    A jump goes to exactly the deadline. A program that waits on while `remaining >= 0` would look for ever.
    """
    me = baton.here()
    if me is None:
        return False
    if me.looks_at != baton.now:
        me.looks_at, me.looks = baton.now, 0
    me.looks += 1
    if me.looks < _LOOKS or asyncio._get_running_loop() is not None:
        return False
    baton.take_turn(me)
    baton.wait(me, Why("polling"), nextafter(baton.now, inf))
    return True


def looks_so_far(baton: Baton) -> int:
    """How often this thread has looked at this instant, for `forget_looks`."""
    me = baton.records.get(get_ident())
    return me.looks if me is not None and me.looks_at == baton.now else 0


def forget_looks(baton: Baton, so_far: int) -> None:
    """Those since then are not the program's: they do not count."""
    me = baton.records.get(get_ident())
    if me is not None:
        me.looks = so_far


class VirtualLock:
    """A real lock, and those that wait for it in virtual time."""

    __slots__ = ("_baton", "_real", "_try", "_release", "_waiters", "owner", "__weakref__")
    __class__ = property(lambda self: REAL_LOCK)

    def __init__(self, baton: Baton) -> None:
        self._baton = baton
        self._real = real = make_real_lock()
        self._try, self._release = real.acquire, real.release
        self._waiters: deque[Waiter] = deque()
        self.owner = 0  # the thread that has it

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if timeout != -1 and not (blocking and 0 <= timeout <= threading.TIMEOUT_MAX):
            return self._try(blocking, timeout)  # which raises
        taken: bool | None = self._try(False)
        if not taken and (not blocking or timeout == 0):
            taken = look_in_vain(self._baton) and self._try(False)
        elif not taken:
            taken = self._wait(None if timeout == -1 else timeout)
        if taken:
            self.owner = get_ident()
        return bool(taken)

    def _wait(self, timeout: float | None) -> bool:
        baton = self._baton
        me = baton.here()
        if me is not None:
            taken = block(baton, me, lambda: self._try(False), timeout, self._waiters, Why("a lock", self))
            if taken is not None:
                return taken
        return self._try(True, -1 if timeout is None else timeout)

    def __enter__(self) -> bool:
        if self._try(False):
            self.owner = get_ident()
            return True
        return self.acquire()

    def release(self) -> None:
        self.owner = 0
        self._release()
        if self._waiters:
            hand_on(self._waiters)

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def locked(self) -> bool:
        return self._real.locked()

    acquire_lock, release_lock, locked_lock = acquire, release, locked
    # A Condition asks for this before it takes a lock for a look: that would count as polling, and move time.
    _is_owned = locked

    def _at_fork_reinit(self) -> None:
        self._real._at_fork_reinit()  # type: ignore[attr-defined]
        self._waiters.clear()
        self.owner = 0

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("cannot pickle '_thread.lock' object")

    def __repr__(self) -> str:
        return repr(self._real)


class VirtualRLock(_RealRLock):  # type: ignore[misc]
    """The same of a lock that its owner may take again: a subclass of the real one."""

    __slots__ = ("_baton", "_waiters")

    def __new__(cls, baton: Baton) -> Any:
        self = _RealRLock.__new__(cls)
        self._baton, self._waiters = baton, deque()
        return self

    def __init__(self, baton: Baton) -> None:
        """It has all it needs."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if timeout != -1 and not (blocking and 0 <= timeout <= threading.TIMEOUT_MAX):
            return _take(self, blocking, timeout)  # which raises
        if _take(self, False):
            return True
        if not blocking or timeout == 0:
            return look_in_vain(self._baton) and _take(self, False)
        baton = self._baton
        me = baton.here()
        if me is not None:
            taken = block(baton, me, lambda: _take(self, False), None if timeout == -1 else timeout, self._waiters,
                          Why("a lock", self))
            if taken is not None:
                return taken
        return _take(self, True, timeout)

    def __enter__(self) -> bool:
        return _take(self, False) or self.acquire()

    def release(self) -> None:
        _give(self)
        if self._waiters:
            hand_on(self._waiters)  # where it is still held, who is woken looks, and waits again

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def _release_save(self) -> Any:
        state = _RealRLock._release_save(self)
        if self._waiters:
            hand_on(self._waiters)
        return state

    def _acquire_restore(self, state: Any) -> None:
        self.acquire()
        for _ in range(state[0] - 1):
            _take(self)


def _take(lock: Any, blocking: bool = True, timeout: float = -1) -> bool:
    return _RealRLock.acquire(lock, blocking, timeout)  # type: ignore[no-any-return]


def _give(lock: Any) -> None:
    _RealRLock.release(lock)
