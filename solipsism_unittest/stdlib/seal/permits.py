"""What is let out on purpose: `allow_escape`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar

from ...errors import SolipsismError

__unittest = True
__tracebackhide__ = True

# What a program can do about an escape, by its category; these are the names that allow_escape() takes.
CURES = {
    "network": "inside a test module socket and asyncio make what is virtual: go through them",
    "signal": "give the code under test a fake",
    "subprocess": "give the code under test a fake, as self.add_program(name, main) does for asyncio and subprocess",
    "webbrowser": "give the code under test a fake",
}


class _LetOut:
    """A block in which calls of these categories are real. It may be entered again, even inside itself.

    Blocks may be left in any order, and an async generator may leave its block in a task that did not enter it. So each
    takes away only itself, where it is.
    """

    def __init__(self, categories: Iterable[str]) -> None:
        self.categories = frozenset(categories)

    def __enter__(self) -> None:
        _let_out.set((*_let_out.get(), self))

    def __exit__(self, *exc_info: object) -> None:
        blocks = list(_let_out.get())
        if self in blocks:
            blocks.remove(self)
            _let_out.set(tuple(blocks))


# A context variable: what is started inside allow_escape() may do the same, and what runs at the same time may not.
_let_out: ContextVar[tuple[_LetOut, ...]] = ContextVar("solipsism_unittest.let_out", default=())


def allow_escape(*names: str) -> AbstractContextManager[None]:
    """Make a block: inside, and in what is started inside, calls of these categories (the keys of CURES) are real."""
    if not names:
        raise TypeError("allow_escape() needs the names of what is let out: one or more of " + _known())
    for name in names:
        if name not in CURES:
            raise SolipsismError(f"allow_escape({name!r}): there is no escape of that name; there are {_known()}")
    return _LetOut(names)


def _known() -> str:
    return ", ".join(f'"{name}"' for name in CURES)


def is_let_out(category: str) -> bool:
    """Whether calls of this category are real here and now."""
    blocks = _let_out.get()
    return any(category in block.categories for block in blocks) if blocks else False


let_out = _let_out.get  # gives the blocks that are open here and now, for `carrying()`


@contextlib.contextmanager
def carrying(blocks: tuple[_LetOut, ...]) -> Iterator[None]:
    """Inside, exactly these blocks are open: for another thread that works on behalf of this one."""
    token = _let_out.set(blocks)
    try:
        yield
    finally:
        _let_out.reset(token)
