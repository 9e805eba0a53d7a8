"""What stands for the classes and functions that make locks and queues: a sealed thread gets those that take turns.

`baton_here()` gives the baton of the world in which this thread lives; None for a thread that is not sealed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .baton import Baton
from .locks import REAL_LOCK, VirtualLock, VirtualRLock
from .simple_queue import VirtualSimpleQueue

BatonHere = Callable[[], Baton | None]


def lock_class(baton_here: BatonHere) -> Callable[[Any], Any]:
    """Make what stands for `threading.Lock`, which is asked what is a lock from 3.13 on."""

    def make(before: Any) -> Any:
        class OfLock(type):
            """Of this class all real locks are instances too, and there are no others."""

            def __instancecheck__(cls, thing: Any) -> bool:
                return isinstance(thing, REAL_LOCK)

            def __call__(cls, *args: Any, **kwargs: Any) -> Any:
                baton = baton_here()
                return before(*args, **kwargs) if baton is None or args or kwargs else VirtualLock(baton)

            def __repr__(cls) -> str:
                return repr(before)

        class lock(metaclass=OfLock):  # noqa: N801 - as the real one
            """A lock that cannot be taken twice."""

            def __init_subclass__(cls) -> None:
                raise TypeError("type '_thread.lock' is not an acceptable base type")

        lock.__module__ = "_thread"
        return lock

    return make


def allocate_lock(baton_here: BatonHere) -> Callable[[Any], Any]:
    """Make what stands for `_thread.allocate_lock`. What imports modules gets real locks."""

    def make(before: Any) -> Any:
        def allocate_lock() -> Any:
            baton = baton_here()
            importing = sys._getframe(1).f_globals.get("__name__") == "importlib._bootstrap"
            return before() if baton is None or importing else VirtualLock(baton)

        return allocate_lock

    return make


def rlock(baton_here: BatonHere) -> Callable[[Any], Any]:
    """Make what stands for `_thread.RLock`, which may be subclassed."""
    return lambda before: _face(before, VirtualRLock, baton_here)


def simple_queue(baton_here: BatonHere) -> Callable[[Any], Any]:
    """Make what stands for `queue.SimpleQueue`, which may be subclassed."""
    return lambda before: _face(before, VirtualSimpleQueue, baton_here)


def _face(before: Any, virtual: Callable[[Baton], Any], baton_here: BatonHere) -> Any:
    """What stands for a class of C."""

    class OfFace(type):
        """All real ones are instances of it."""

        def __instancecheck__(cls, thing: Any) -> bool:
            return isinstance(thing, before) if cls is face else type.__instancecheck__(cls, thing)

        def __call__(cls, /, *args: Any, **kwargs: Any) -> Any:
            baton = baton_here()
            if cls is face:
                return before(*args, **kwargs) if baton is None or args or kwargs else virtual(baton)
            return type.__call__(cls, *args, **kwargs)

    face: Any = OfFace(before.__name__, (before,), {"__doc__": before.__doc__, "__module__": before.__module__})
    return face
