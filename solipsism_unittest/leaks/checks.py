"""Which leftovers fail a test: `fail_on`, `strict` and `lenient`.

Owns the names of the checks, their defaults, and the order in which decorators count. A method wins over its class, a
class over its bases, and an outer decorator over an inner one.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, TypeVar, overload

from ..introspection.modules import OWN_NAME

T = TypeVar("T")

# Each check, and what fails a test where it is on.
CHECKS = {
    "active_handles": "timers and ready callbacks",
    "active_selector_callbacks": "what add_reader() and add_writer() registered",
    "unused_loop": "an async test that gave the loop nothing to do",
    "pending_tasks": "tasks that have not ended",
    "open_loops": "event loops of the program's own that were not closed",
    "open_sockets": "sockets and pipe ends",
    "open_transports": "transports and streams, with bytes that are not sent",
    "open_servers": "servers",
    "async_generators": "async generators that were begun and not ended",
    "threads": "threads that are alive",
    "processes": "programs of the test's own that still run",
    "unawaited_coroutines": "coroutines that were never awaited",
    "loop_exceptions": "errors of tasks that nobody read, of threads, and what reached the loop's exception handler",
    "blocking_calls": "calls that stop the loop's thread",
}
DEFAULTS = {name: name != "unused_loop" for name in CHECKS}

_MARK = f"{OWN_NAME}_checks"


def fail_on(*wrong: object, **checks: bool) -> Callable[[T], T]:
    """Decorate a test method or class: which leftovers fail it, by the name of the check.

    `@fail_on(pending_tasks=False, unused_loop=True)`: the checks are those of `CHECKS`, and one that is not named stays
    as it is. TypeError for an unknown name, and for a value that is not True or False.
    """
    if wrong:
        raise TypeError("fail_on() says which checks are on: write @fail_on(pending_tasks=False) above the test")
    for name, value in checks.items():
        if name not in CHECKS:
            raise TypeError(f"fail_on() knows no check {name!r}: there are {', '.join(CHECKS)}")
        if not isinstance(value, bool):
            raise TypeError(f"fail_on({name}=...) is True or False, not {value!r}")

    def decorate(target: T) -> T:
        return _mark(target, checks)

    return decorate


@overload
def strict(target: T) -> T:
    """Bare."""


@overload
def strict(target: None = None) -> Callable[[T], T]:
    """Called."""


def strict(target: Any = None) -> Any:
    """Decorate a test method or class: every check is on. Bare or called."""
    return _all(True, target)


@overload
def lenient(target: T) -> T:
    """Bare."""


@overload
def lenient(target: None = None) -> Callable[[T], T]:
    """Called."""


def lenient(target: Any = None) -> Any:
    """Decorate a test method or class: every check is off. What is left is still ended. Bare or called."""
    return _all(False, target)


def _all(value: bool, target: Any) -> Any:
    decorate: Callable[[Any], Any] = fail_on(**dict.fromkeys(CHECKS, value))
    return decorate if target is None else decorate(target)


def _mark(target: T, checks: dict[str, bool]) -> T:
    if not isinstance(target, (type, types.FunctionType)):
        raise TypeError(f"fail_on(), strict and lenient decorate a test method or a class, not {target!r}")
    setattr(target, _MARK, {**vars(target).get(_MARK, {}), **checks})
    return target


def said(case: type, method: object) -> dict[str, bool]:
    """What the decorators of a test method, of its class and of its bases say, by the names of the checks."""
    checks: dict[str, bool] = {}
    for cls in reversed(case.__mro__) if hasattr(case, _MARK) else ():
        if _MARK in vars(cls):
            checks.update(vars(cls)[_MARK])
    checks.update(getattr(getattr(method, "__func__", method), _MARK, ()))  # of a method an error would be made first
    return checks
