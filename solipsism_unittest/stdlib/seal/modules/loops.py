"""Loops that are no asyncio's own: `uvloop.new_event_loop()` gives a program in a test a loop of its world.

Everything that makes one calls the class in Python that uvloop has over one of C, under whatever name. `uvloop.run()`
asks for that class, too, and looks it up in the module: one stands there of which both kinds of loops are.
"""

from __future__ import annotations

from typing import Any

from ... import escapes, worlds
from ...worlds import World, world_here
from ..stand_ins import Maker


def _make_loop_class(before: Any) -> Any:
    class OfLoop(type(before)):  # type: ignore[misc]
        """Both kinds of loops are instances of it."""

        def __instancecheck__(cls, thing: Any) -> bool:
            if cls is not face:
                return type.__instancecheck__(cls, thing)
            return isinstance(thing, before) or isinstance(getattr(thing, "world", None), World)

        def __call__(cls, /, *args: Any, **kwargs: Any) -> Any:
            return type.__call__(before if cls is face else cls, *args, **kwargs)

    face: Any = OfLoop(before.__name__, (before,), {"__doc__": before.__doc__, "__module__": before.__module__})
    return face


def _make_new(before: Any) -> Any:
    make = getattr(before, "__func__", before)

    def __new__(cls: type, /, *args: Any, **kwargs: Any) -> Any:
        kind, world = worlds.second_loop(), world_here()
        if kind is None or world is None:
            return make(cls, *args, **kwargs)
        if "__new__" in vars(cls):  # which a class of the program's own has not
            return kind()
        raise escapes.noted(world, f"{cls.__module__}.{cls.__qualname__} is a real event loop, made inside the "
                                   "simulation: use uvloop.run() or uvloop.new_event_loop()")

    return staticmethod(__new__)


OF_MODULES: dict[str, Maker] = {"Loop": _make_loop_class}  # what stands there under these names
ANSWERS: dict[str, Maker] = {**OF_MODULES, "Loop.__new__": _make_new}
