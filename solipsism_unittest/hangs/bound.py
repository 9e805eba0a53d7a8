"""Whose lock, queue or event it is that asyncio calls bound to a different event loop."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator

from ..introspection.exceptions import lines_of, parts

_ASKED = asyncio.Lock._get_loop.__code__  # type: ignore[attr-defined]

# Which test each loop was made for, as long as something holds the loop.
tests: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, str] = weakref.WeakKeyDictionary()


def bound_words(error: BaseException) -> Iterator[str]:
    """For each object of another loop that an error is about the text that says who used it first."""
    for each in parts([error]):
        for line in lines_of(each.__traceback__)[-1:]:
            thing = line.tb_frame.f_locals.get("self") if line.tb_frame.f_code is _ASKED else None
            user = tests.get(thing._loop) if thing is not None else None
            if user is not None:
                yield (f"this {type(thing).__name__} was first waited for in {user}, and belongs to the loop of that "
                       "test: make a new one in asyncSetUp(), or set loop_scope = 'class' for tests that share it")
