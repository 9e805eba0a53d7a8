"""Calls of a loop from a wrong thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any


class _WrongThread(RuntimeError):
    """A call that asyncio allows in the thread of the loop alone."""


_WrongThread.__name__ = _WrongThread.__qualname__ = "RuntimeError"  # as asyncio's debug mode calls it
_WrongThread.__module__ = "builtins"


def in_wrong_thread(text: str) -> RuntimeError:
    """The error of such a call; see `reporting`."""
    return _WrongThread(text)


def reporting(loop: Any, run: Callable[[], None]) -> Callable[[], None]:
    """What a thread runs. The test hears of such an error when it ends the thread: Python only prints it."""

    def reported() -> None:
        try:
            run()
        except _WrongThread as error:
            context = {"message": f"thread {threading.current_thread().name}", "exception": error}
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(loop.call_exception_handler, context)
            raise

    return reported
