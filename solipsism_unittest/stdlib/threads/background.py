"""What is meant to run on after the test."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

# Whether what is started here and now is meant to run on. A context variable: a task that is started inside
# `background()` inherits it, and tasks that run at the same time do not see it.
_background: contextvars.ContextVar[bool] = contextvars.ContextVar("solipsism_unittest.background", default=False)


@contextlib.contextmanager
def background() -> Iterator[None]:
    """What is started inside is meant to run on: it does not hold the clock."""
    token = _background.set(True)
    try:
        yield
    finally:
        _background.reset(token)


def in_background(context: contextvars.Context | None = None) -> bool:
    """Whether this code, or a context, is inside `background()`."""
    return _background.get() if context is None else context.get(_background, False)


is_background = _background.get  # the same of this code, for whoever makes thousands of things
