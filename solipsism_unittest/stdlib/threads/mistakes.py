"""Mistakes that asyncio finds in debug mode alone: calls from a wrong thread, coroutine functions as callbacks.

They are found here in any mode; `call_soon()` asks here only of what is neither a task's step nor a plain function.
"""

from __future__ import annotations

import inspect
import sys
import threading
from asyncio import iscoroutine
from collections.abc import Callable, Coroutine
from functools import partial
from threading import Thread, current_thread
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, NoReturn

from ...introspection.exceptions import clean
from ...introspection.modules import root_of

__unittest = True
__tracebackhide__ = True

FUNCTIONS = frozenset({FunctionType, MethodType})


def refuse_thread(method: str) -> NoReturn:
    """Raise what asyncio's debug mode raises, in words that name the thread and the cure."""
    raise in_wrong_thread(
        f"Non-thread-safe operation invoked on an event loop other than the current one: {method}() in thread "
        f"{current_thread().name}, where the loop does not run; pass the call to loop.call_soon_threadsafe()")


def check_callback(callback: Any, method: str) -> None:
    """TypeError for a coroutine, a coroutine function or an AsyncMock as a callback."""
    inner = _innermost(callback)
    kind = type(inner)
    if kind in FUNCTIONS:
        code = getattr(inner, "__code__", None)
        is_coroutine = code is not None and bool(code.co_flags & inspect.CO_COROUTINE)
    elif kind is BuiltinFunctionType:
        is_coroutine = False
    else:
        # Not inspect.iscoroutinefunction(): it reads the __class__ of whatever it is given, and that may raise.
        is_coroutine = issubclass(kind, Coroutine) or any(base.__name__ == "AsyncMockMixin" for base in kind.__mro__)
    if is_coroutine:
        refuse_callback(callback, method)


def _innermost(function: Any) -> Any:
    while type(function) is partial:
        function = function.func
    return function


def refuse_callback(callback: Any, method: str) -> NoReturn:
    """Raise what asyncio's debug mode raises, in words that name the callback and the cure."""
    if iscoroutine(callback):
        callback.close()  # nobody can await it now
    raise TypeError(f"coroutines cannot be used with {method}(): {callback!r} would be called, and never awaited; give "
                    "a plain function, or make a task of it")


# -- in a thread, where Python only prints such an error


class _WrongThread(RuntimeError):
    """A call that asyncio allows in the thread of the loop alone."""


_WrongThread.__name__ = _WrongThread.__qualname__ = "RuntimeError"  # as asyncio's debug mode calls it
_WrongThread.__module__ = "builtins"


def in_wrong_thread(text: str) -> RuntimeError:
    """The error of such a call; see `reporting`."""
    return _WrongThread(text)


def _is_plain(hook: Any) -> bool:
    """Whether a hook for the errors of threads is Python's, or a test runner's."""
    hook = _innermost(hook)
    return (hook is threading.__excepthook__ or hook is sys.__unraisablehook__
            or root_of(str(getattr(hook, "__module__", ""))) == "_pytest")


def reporting(world: Any, run: Callable[[], None], thread: Thread | None = None) -> Callable[[], None]:
    """What a thread runs. The test fails for what it dies of, as for what a callback raises: Python only prints that.

    A hook for the errors of threads that the program sets takes them over, but for a mistake that the loop finds.
    """

    def reported() -> None:
        try:
            run()
        except SystemExit:
            raise
        except BaseException as error:
            clean(error)
            loop, hook = world.loop, sys.unraisablehook if thread is None else threading.excepthook
            if (_is_plain(hook) or isinstance(error, _WrongThread)) and loop is not None and not loop.is_closed():
                context = {"message": f"thread {current_thread().name}", "exception": error}
                if loop.uncaught.is_expected(context, loop.inventory.gone) or not loop.uncaught.note(context):
                    return
            if thread is None:
                raise
            thread._invoke_excepthook(thread)  # type: ignore[attr-defined]  # no line of ours is added to the traceback

    return reported
