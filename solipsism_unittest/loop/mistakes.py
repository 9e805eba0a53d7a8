"""Mistakes that asyncio finds in debug mode alone: calls from a wrong thread, coroutine functions as callbacks.

They are found here in any mode: what these looks cost is what this `call_soon()` saves.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from asyncio import events
from collections.abc import Callable, Coroutine
from threading import get_ident
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, NoReturn

from ..stdlib.threads.wrong import in_wrong_thread

__unittest = True
__tracebackhide__ = True

_FUNCTIONS = frozenset({FunctionType, MethodType})


def call_soon(loop: Any, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
              ) -> asyncio.Handle:
    """As asyncio's; from a wrong thread it is a RuntimeError, and a coroutine function as callback a TypeError."""
    if loop._closed:
        loop._check_closed()
    if loop._thread_id != get_ident() and loop._thread_id is not None:
        refuse_thread("call_soon")
    kind = type(callback)
    if kind in _FUNCTIONS:
        code = getattr(callback, "__code__", None)
        if code is not None and code.co_flags & inspect.CO_COROUTINE:
            refuse_callback(callback, "call_soon")
    elif kind is not BuiltinFunctionType and kind.__module__ != "_asyncio":  # the steps and the wake-ups of tasks
        check_callback(callback, "call_soon")
    handle = events.Handle(callback, args, loop, context)
    if handle._source_traceback:  # type: ignore[attr-defined]
        del handle._source_traceback[-1]  # type: ignore[attr-defined]
    loop._ready.append(handle)
    return handle


def check_thread(loop: Any, method: str) -> None:
    """RuntimeError in another thread than that in which the loop runs."""
    if loop._thread_id != get_ident() and loop._thread_id is not None:
        refuse_thread(method)


def refuse_thread(method: str) -> NoReturn:
    """Raise what asyncio's debug mode raises, in words that name the thread and the cure."""
    raise in_wrong_thread(
        f"Non-thread-safe operation invoked on an event loop other than the current one: {method}() in thread "
        f"{threading.current_thread().name}, where the loop does not run; pass the call to loop.call_soon_threadsafe()")


def check_callback(callback: Any, method: str) -> None:
    """TypeError for a coroutine, a coroutine function or an AsyncMock as a callback."""
    inner = callback
    while type(inner) is functools.partial:
        inner = inner.func
    kind = type(inner)
    if kind in _FUNCTIONS:
        code = getattr(inner, "__code__", None)
        is_coroutine = code is not None and bool(code.co_flags & inspect.CO_COROUTINE)
    else:
        # Not inspect.iscoroutinefunction(): it reads the __class__ of whatever it is given, and that may raise.
        is_coroutine = issubclass(kind, Coroutine) or any(base.__name__ == "AsyncMockMixin" for base in kind.__mro__)
    if is_coroutine:
        refuse_callback(callback, method)


def refuse_callback(callback: Any, method: str) -> NoReturn:
    """Raise what asyncio's debug mode raises, in words that name the callback and the cure."""
    if asyncio.iscoroutine(callback):
        callback.close()  # nobody can await it now
    raise TypeError(f"coroutines cannot be used with {method}(): {callback!r} would be called, and never awaited; give "
                    "a plain function, or make a task of it")
