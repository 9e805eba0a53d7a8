"""Locks for threads that take turns: each is a real one, and who waits for it gives the turn to others.

Condition, Event, Semaphore, Barrier, Queue, Future and Timer are written in Python over these, and look them up when
they wait. So they need no stand-in, and one that was made before the test works too. A thread that is not sealed can
use all of them: it waits for the real lock.

One over a lock from before the test is the same: that one may be released by whoever has the real lock, so who waits
looks at it when all others wait.
"""

from __future__ import annotations

import _thread
import contextlib
import functools
import threading
from asyncio import _get_running_loop
from collections import deque
from collections.abc import Callable
from math import inf, nextafter
from typing import Any

from ....introspection.threads import idents
from .baton import Baton
from .patience import PATIENCE
from .record import Record, Waiter, Why

REAL_LOCK = type(_thread.allocate_lock())
_RealRLock: Any = _thread.RLock
get_ident, make_real_lock = _thread.get_ident, _thread.allocate_lock
FindBaton = Callable[[], Baton | None]  # that of this thread; None where its waits are real
_LOOKS = 100  # in vain at one instant, after which a thread lets time go on by one float


def block(baton: Baton, me: Record, attempt: Callable[[], bool], timeout: float | None, waiters: deque[Waiter],
          why: Why, look: Callable[[], bool] | None = None) -> bool | None:
    """Wait until `attempt()` succeeds: True, or False after `timeout`. None when the world is over first.

    `look()` says whether it may succeed now, where that may come to be unannounced.
    """
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
            came = baton.wait(me, why, deadline, look)
        finally:
            if waiters:  # who was woken is mostly not there any more
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


def look_in_vain(baton: Baton | None) -> bool:
    """Count a look that costs no time: at the hundredth of one instant others run and time goes on; whether it did.

    A jump goes to exactly the deadline. A program that waits on while `remaining >= 0` would look for ever.
    """
    me = None if baton is None else baton.here()
    if me is None or baton is None:
        return False
    if me.looks_at != baton.now:
        me.looks_at, me.looks = baton.now, 0
    me.looks += 1
    if me.looks < _LOOKS or _get_running_loop() is not None:
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


class _Waited:
    """Something real, and those that wait for it in virtual time: what is common to both kinds of locks."""

    __slots__ = ("_find_baton", "_real", "_try", "_release", "_is_contended", "_waiters", "_is_old", "__weakref__")
    _holder: Callable[..., int]  # the thread that has it; 0 for one that has taken the real one

    def __init__(self, find_baton: FindBaton, real: Any, is_old: bool) -> None:
        self._find_baton = find_baton
        self._real = real
        self._is_old = is_old
        self._try, self._release = real.acquire, real.release
        self._is_contended = False  # whether anybody has ever waited: few are, and a look at this costs less
        self._waiters: deque[Waiter] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return timeout == -1 and self._try(False) or self._acquire(blocking, timeout)

    def __enter__(self) -> bool:
        return self._try(False) or self._acquire(True, -1)

    # __exit__ does what release() does: who asks for both pays for two calls.

    def release(self) -> None:
        self._release()
        if self._is_contended and self._waiters:
            hand_on(self._waiters)  # where an RLock is still held, who is woken looks, and waits again

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._release()
        if self._is_contended and self._waiters:
            hand_on(self._waiters)

    def _acquire(self, blocking: bool, timeout: float) -> bool:
        if timeout != -1 and not (blocking and 0 <= timeout <= threading.TIMEOUT_MAX):
            return self._try(blocking, timeout)  # type: ignore[no-any-return]  # which raises
        if self._try(False):
            return True
        baton = self._find_baton()
        if not blocking or timeout == 0:
            return look_in_vain(baton) and self._try(False)
        me = None if baton is None else baton.here()
        if baton is not None and me is not None:
            self._is_contended = True
            attempt, look = lambda: self._try(False), None
            if self._is_old or self._is_had_outside(baton):
                attempt = functools.partial(self._try_here, baton, timeout)
                look = functools.partial(self._is_to_be_had, None if timeout >= 0 else baton)
            taken = block(baton, me, attempt, None if timeout == -1 else timeout, self._waiters,
                          Why("a lock", self), look)
            if taken is not None:
                return taken
        return self._try(True, timeout)  # type: ignore[no-any-return]

    def _try_here(self, baton: Baton, timeout: float) -> bool:
        """Take it, if it is free. What a thread of no world has, or of another, is waited for in real time."""
        if self._try(False):
            return True
        if baton.over or not self._is_had_outside(baton):
            return False
        if timeout != -1 or not self._is_old:  # of the others it is known when the thread ends that has it
            timeout = PATIENCE if timeout == -1 else min(timeout, PATIENCE)
        real = self._real  # who looks at this thread finds a call of `acquire`
        return real.acquire(True, timeout)  # type: ignore[no-any-return]

    def _is_had_outside(self, baton: Baton) -> bool:
        """Whether a thread that is not of this world has it: an earlier test may have made the lock."""
        holder = self._holder()
        return not baton.knows(holder) and (self._is_old or holder in idents())

    def _is_to_be_had(self, baton: Baton | None) -> bool:
        """Whether it is free, or another than this world has it."""
        is_free = repr(self._real).startswith("<unlocked")  # not every Python has `locked()` of an RLock
        return is_free or baton is not None and self._is_had_outside(baton)

    def _at_fork_reinit(self) -> None:
        self._real._at_fork_reinit()
        self._waiters.clear()

    # One over a lock from before is that lock: a dict may have it as a key.

    def __eq__(self, other: object) -> bool:
        return self is other or self._real is other

    def __hash__(self) -> int:
        return hash(self._real)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"cannot pickle '{self.__class__.__module__}.{self.__class__.__name__}' object")

    def __repr__(self) -> str:
        return repr(self._real)


class Kind(type):
    """Of a class of this one the real ones are instances too: a program has it from `type(threading.Lock())`."""

    _stands_for: Any

    def __instancecheck__(cls, thing: object) -> bool:
        return isinstance(thing, cls._stands_for)


class VirtualLock(_Waited, metaclass=Kind):
    """A lock that cannot be taken twice. `owner` is the thread that has it, or had it last."""

    __slots__ = ("owner",)
    __class__ = property(lambda self: REAL_LOCK)
    _stands_for = REAL_LOCK

    def __init__(self, find_baton: FindBaton, old: Any = None) -> None:
        super().__init__(find_baton, old or make_real_lock(), old is not None)
        self.owner = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if timeout == -1 and self._try(False) or self._acquire(blocking, timeout):
            self.owner = get_ident()
            return True
        return False

    def __enter__(self) -> bool:
        if not self._try(False):
            self._acquire(True, -1)
        self.owner = get_ident()
        return True

    def _holder(self) -> int:
        return self.owner

    def locked(self) -> bool:
        return self._real.locked()  # type: ignore[no-any-return]

    acquire_lock, release_lock, locked_lock = acquire, _Waited.release, locked
    # A Condition asks for this before it takes a lock for a look: that would count as polling, and move time.
    _is_owned = locked

    def _at_fork_reinit(self) -> None:
        super()._at_fork_reinit()
        self.owner = 0


class OldLock(VirtualLock):
    """One over a lock from before: `owner` is 0 where nobody has it, or who has taken the real one."""

    __slots__ = ()

    def release(self) -> None:
        self.owner = 0
        self._release()
        if self._is_contended and self._waiters:
            hand_on(self._waiters)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.owner = 0
        self._release()
        if self._is_contended and self._waiters:
            hand_on(self._waiters)

    release_lock = release


class VirtualRLock(_Waited, metaclass=Kind):
    """A lock that its owner may take again."""

    __slots__ = ()
    __class__ = property(lambda self: _RealRLock)
    _stands_for = _RealRLock

    def __init__(self, find_baton: FindBaton, old: Any = None) -> None:
        super().__init__(find_baton, old or _RealRLock(), old is not None)

    def _holder(self) -> int:
        return int(repr(self._real).partition("owner=")[2].partition(" ")[0])

    def _release_save(self) -> Any:
        state = self._real._release_save()
        if self._waiters:
            hand_on(self._waiters)
        return state

    def _acquire_restore(self, state: Any) -> None:
        self.acquire()
        for _ in range(state[0] - 1):
            self._try()


def _passed_on(name: str) -> Callable[..., Any]:
    def method(self: Any) -> Any:
        return getattr(self._real, name)()

    method.__name__ = name
    return method


# Methods of a real one, as far as this Python has them. No `__getattr__`: it makes all others slow on Python 3.11.
for _name in {"_is_owned", "_recursion_count", "locked"} & {*dir(_RealRLock)}:
    setattr(VirtualRLock, _name, _passed_on(_name))
# Reports say what a thread calls as the program knows it.
for _one in (_Waited.acquire, _Waited.release, VirtualLock.acquire, OldLock.release):
    _one.__qualname__ = f"lock.{_one.__name__}"
