"""What a handle of an event loop calls, and so whose turn it is.

Owns the difference between the step of a task, a function of Python, whose line is known, and anything else that can be
called. A report names each of them in one way; whoever counts or remembers handles asks here as well.
"""

from __future__ import annotations

from asyncio import Handle, Task
from collections.abc import Hashable
from types import CodeType, FunctionType, MethodType
from typing import Any

from .modules import is_plumbing
from .names import plain
from .places import function_words

Clue = str | CodeType | FunctionType


def owner_of(handle: Handle) -> object:
    """The object whose method a handle calls; None for a function."""
    return getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]


def task_of(handle: Handle) -> Task[Any] | None:
    """The task whose step a handle is, or None."""
    owner: Any = owner_of(handle)
    return owner if issubclass(type(owner), Task) else None  # not isinstance(): a dead proxy raises


def code_of(callback: object) -> CodeType | None:
    """The code of a function or method; None for whatever has no code of Python's."""
    return getattr(getattr(callback, "__func__", callback), "__code__", None)


def module_of_callback(callback: object) -> str:
    """The name of the module that a callback comes from; "" where it does not say so."""
    return str(getattr(callback, "__module__", None) or "")  # of a built-in method it is None


def callback_words(callback: object) -> str:
    """A callback by its name and line. One of Python's own has no line: that differs from version to version."""
    name, code = getattr(callback, "__qualname__", None), code_of(callback)
    if not name:
        return plain(callback)
    return str(name) if code is None or is_plumbing(module_of_callback(callback)) else function_words(code, name=name)


def turn_words(handle: Handle) -> str:
    """Whose turn a handle is: a task by name, or what it calls."""
    task = task_of(handle)
    return called_words(handle) if task is None else f"task {task.get_name()}"


def called_words(handle: Handle) -> str:
    """What a handle calls, by its name and line."""
    return callback_words(handle._callback)  # type: ignore[attr-defined]


def calls_plumbing(handle: Handle) -> bool:
    """Whether a handle calls what Python or this package has, such as the end of a sleep."""
    return is_plumbing(module_of_callback(handle._callback))  # type: ignore[attr-defined]


def who(handle: Handle) -> Hashable:
    """A key that is the same for all handles of one task, of one function, and of one other callback."""
    callback = handle._callback  # type: ignore[attr-defined]
    return task_of(handle) or code_of(callback) or id(callback)


# -- after the handle is gone


def clue(handle: Handle) -> Clue:
    """What says later who ran: the name of a task, a method, or a code. It keeps no object of the program."""
    callback = handle._callback  # type: ignore[attr-defined]
    task = task_of(handle)
    if task is not None:
        return task.get_name()
    # Transports' methods run most of all. To read a code is an audited event, and what a class has may be kept.
    if type(callback) is MethodType and type(callback.__func__) is FunctionType:
        return callback.__func__
    code: CodeType | None = getattr(callback, "__code__", None)
    return code or str(getattr(callback, "__qualname__", type(callback).__qualname__))


def clue_words(clue: Clue) -> str:
    """A clue in words."""
    if isinstance(clue, str):
        return clue
    return function_words(clue) if isinstance(clue, CodeType) else callback_words(clue)
