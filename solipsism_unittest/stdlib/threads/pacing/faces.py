"""What stands for the classes and functions that make locks and queues: a sealed thread gets those that take turns.

`baton_here()` gives the baton of the world in which this thread lives; None for a thread that is not sealed. It is
asked at each wait: what one test has made and a later one uses takes turns in the later one's world.
"""

from __future__ import annotations

import _queue
import _thread
import threading
import types
import weakref
from collections.abc import Callable
from functools import partial
from sys import _getframe
from typing import Any

from .locks import REAL_LOCK, FindBaton, OldLock, VirtualLock, VirtualRLock
from .simple_queue import Idle, JobQueue, VirtualSimpleQueue

_real_rlock = _thread.RLock


def lock_class(baton_here: FindBaton) -> Callable[[Any], Any]:
    """Make what stands for `threading.Lock`, which is asked what is a lock from 3.13 on."""

    def make(before: Any) -> Any:
        class OfLock(type):
            """Of this class all real locks are instances too, and there are no others."""

            def __instancecheck__(cls, thing: Any) -> bool:
                return isinstance(thing, REAL_LOCK)

            def __call__(cls, *args: Any, **kwargs: Any) -> Any:
                is_real = baton_here() is None or args or kwargs
                return before(*args, **kwargs) if is_real else VirtualLock(baton_here)

            def __repr__(cls) -> str:
                return repr(before)

        class lock(metaclass=OfLock):  # noqa: N801 - as the real one
            """A lock that cannot be taken twice."""

            def __init_subclass__(cls) -> None:
                raise TypeError("type '_thread.lock' is not an acceptable base type")

        lock.__module__ = "_thread"
        return lock

    return make


def allocate_lock(baton_here: FindBaton) -> Callable[[Any], Any]:
    """Make what stands for `_thread.allocate_lock`. What imports modules gets real locks."""

    def make(before: Any) -> Any:
        def allocate_lock() -> Any:
            baton = baton_here()
            importing = _getframe(1).f_globals.get("__name__") == "importlib._bootstrap"
            return before() if baton is None or importing else VirtualLock(baton_here)

        return allocate_lock

    return make


def rlock(baton_here: FindBaton) -> Callable[[Any], Any]:
    """Make what stands for `_thread.RLock`, which may be subclassed."""
    return lambda before: _face(before, VirtualRLock, baton_here)


def simple_queue(baton_here: FindBaton) -> Callable[[Any], Any]:
    """Make what stands for `queue.SimpleQueue`, which may be subclassed."""
    return lambda before: _face(before, VirtualSimpleQueue, baton_here)


def _face(before: Any, virtual: Callable[[FindBaton], Any], baton_here: FindBaton) -> Any:
    """What stands for a class of C."""

    class OfFace(type):
        """All real ones are instances of it."""

        def __instancecheck__(cls, thing: Any) -> bool:
            return isinstance(thing, before) if cls is face else type.__instancecheck__(cls, thing)

        def __call__(cls, /, *args: Any, **kwargs: Any) -> Any:
            baton = baton_here()
            if cls is face:
                return before(*args, **kwargs) if baton is None or args or kwargs else virtual(baton_here)
            return type.__call__(cls, *args, **kwargs)

    face: Any = OfFace(before.__name__, (before,), {"__doc__": before.__doc__, "__module__": before.__module__})
    return face


def threads_of_futures(before: Any) -> Any:
    """What stands for module `threading` in `concurrent.futures`: the lock of a future's condition is a real one.

    Who has it never waits, and each job takes it many times.
    """

    def condition(lock: Any = None) -> threading.Condition:
        return threading.Condition(_real_rlock() if lock is None else lock)

    module = types.ModuleType(before.__name__, before.__doc__)
    vars(module).update(Condition=condition, __getattr__=partial(getattr, before))
    return module


def furnish(pool: Any, baton_here: FindBaton) -> None:
    """Give a pool that was just made, and whose threads will take turns, what costs least."""
    pool._work_queue, pool._idle_semaphore = JobQueue(baton_here), Idle()


class Olds:
    """What stands over locks and queues from before the test, the same one for each whoever asks."""

    def __init__(self, baton_here: FindBaton) -> None:
        self._baton_here = baton_here
        self._known: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()  # by the id of the old one

    def instead(self, thing: Any) -> Any:
        """The stand-in over a lock or queue, its method over a method of one; anything else as it is."""
        kind = type(thing)
        if kind is types.BuiltinFunctionType and type(thing.__self__) in _OVER:
            return getattr(self.instead(thing.__self__), thing.__name__)
        if kind not in _OVER:
            return thing
        ours = self._known.get(id(thing))
        if ours is None:
            ours = self._known[id(thing)] = _OVER[kind](self._baton_here, thing)
        return ours


_OVER: dict[type, Any] = {REAL_LOCK: OldLock, _thread.RLock: VirtualRLock, _queue.SimpleQueue: VirtualSimpleQueue}
