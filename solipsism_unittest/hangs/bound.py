"""Whose lock, queue or event it is that asyncio calls bound to a different event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from ..introspection.exceptions import lines_of, parts
from ..stdlib.seal.stand_ins import first_wait
from ..stdlib.worlds import World

_ASKED = asyncio.Lock._get_loop.__code__  # type: ignore[attr-defined]


def bound_words(error: BaseException) -> Iterator[str]:
    """For each object of another loop that an error is about the text that says who used it first, and where."""
    for each in parts([error]):
        for line in lines_of(each.__traceback__)[-1:]:
            thing = line.tb_frame.f_locals.get("self") if line.tb_frame.f_code is _ASKED else None
            if thing is not None:
                yield from _words(thing)


def _words(thing: Any) -> Iterator[str]:
    world, place = getattr(thing._loop, "world", None), first_wait(thing)
    user = world.made_for if isinstance(world, World) else None
    at = f" at {place}" if place is not None else ""
    if user is not None:
        yield (f"this {type(thing).__name__} was first waited for in {user}{at}, and belongs to the loop of that "
               "test: make a new one in asyncSetUp(), or set loop_scope = 'class' for tests that share it")
    elif at:
        yield (f"this {type(thing).__name__} was first waited for{at}, and belongs to the loop that ran there: make a "
               "new one for each loop")
