"""Tasks, and answers of a look-up, that are numbered: in a set they stand in the order in which they were made.

asyncio's own hash by their address, so that a program which cancels the members of a set, or waits for them, would do
so in another order in each run. These are asyncio's class in all else, and bear its name. A set of small numbers is in
order but where they pass its size: of 7, 8 and 9 in a set of up to four the 7 comes last. It is so in every run.

Futures are asyncio's own: one with a number costs a tenth of a sleep, for asyncio's C code knows its own class best.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..introspection.places import Place


class Task(asyncio.Task[Any]):
    """A task with its number among those of its loop."""

    __slots__ = ("number", "made_at")

    number: int
    made_at: Place | None

    def __hash__(self) -> int:
        return self.number


Task.__module__, Task.__qualname__ = asyncio.Task.__module__, asyncio.Task.__qualname__  # for its repr, and reports


class Answer(tuple[Any, ...]):
    """One answer of getaddrinfo. `create_server` makes a set of them, and hash(str) must not decide on its order."""

    def __new__(cls, number: int, info: tuple[Any, ...]) -> Answer:
        answer = super().__new__(cls, info)
        answer.number = number  # type: ignore[attr-defined]
        return answer

    def __hash__(self) -> int:
        return self.number  # type: ignore[attr-defined, no-any-return]
