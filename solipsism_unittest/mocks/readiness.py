"""Saying that a mock is ready, and what a loop has to do; for any loop with a selector."""

from __future__ import annotations

import asyncio
import selectors
from asyncio import sleep
from typing import Any

from ..errors import SolipsismError
from ..introspection.modules import OWN_NAME
from ..introspection.tasks import stating

__unittest = True
__tracebackhide__ = True

_CALLS = f"{OWN_NAME}_exhausting"  # on a loop


def set_read_ready(fileobj: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop find that this file can be read, once, in its next turn.

    What `add_reader()` registered for it is called then. A file that nobody waits for at that moment is none of the
    loop's. From any thread.
    """
    _set_ready(fileobj, loop, selectors.EVENT_READ, "set_read_ready()")


def set_write_ready(fileobj: Any, loop: asyncio.AbstractEventLoop) -> None:
    """The same for writing."""
    _set_ready(fileobj, loop, selectors.EVENT_WRITE, "set_write_ready()")


def get_registered_events(selector: selectors.BaseSelector) -> set[selectors.SelectorKey]:
    """The keys of all that is registered with a selector."""
    return set(selector.get_map().values())


async def exhaust_callbacks(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop run until nothing is ready. Time does not move, and timers do not count."""
    ready: Any = getattr(loop, "_ready", None)
    if ready is None:
        raise _no_selector(loop, "exhaust_callbacks()")
    calls = vars(loop).setdefault(_CALLS, [])  # those under way: each is ready in every turn, and no reason for another
    calls.append(None)
    try:
        while len(ready) >= len(calls):
            await stating(lambda: "exhaust_callbacks(), until nothing is ready", sleep(0))
    finally:
        calls.pop()


def _set_ready(fileobj: Any, loop: asyncio.AbstractEventLoop, event: int, what: str) -> None:
    if getattr(loop, "_selector", None) is None:
        raise _no_selector(loop, what)
    loop.call_soon_threadsafe(_report_ready, fileobj, loop, event)


def _report_ready(fileobj: Any, loop: Any, event: int) -> None:
    try:
        key = loop._selector.get_key(fileobj)
    except KeyError:
        return
    if key.events & event:
        loop._process_events([(key, event)])


def _no_selector(loop: object, what: str) -> SolipsismError:
    if getattr(loop, "_closed", False) is True:
        return SolipsismError(f"{what} needs a loop that is open, and {loop!r} is closed")
    return SolipsismError(f"{what} needs a loop with a selector, and {loop!r} has none: take the virtual loop, or an "
                          "asyncio.SelectorEventLoop with a TestSelector")
