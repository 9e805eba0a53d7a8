"""Checks that are made after every callback of a loop, and which callback one of them did not survive.

Who looks is told of each callback by between.py; a loop without checks runs as if this module was not there.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any, NamedTuple

from ..introspection.handles import callback_words, called_words, task_of
from ..introspection.modules import is_plumbing, module_of
from ..introspection.places import line_words
from ..introspection.tasks import await_chain, coroutine_name
from .between import look_away, look_between, lookers_of
from .turns import Turns

__unittest = True
__tracebackhide__ = True

FIRST_TURN = "the step that began to check, or a callback that was in line behind it"


class Check(NamedTuple):
    """What has to hold, and where it runs."""

    function: Callable[[], object]
    context: contextvars.Context

    def __str__(self) -> str:
        return callback_words(self.function)

    def error(self) -> BaseException | None:
        """Why it does not hold, or None: what it raised, or an AssertionError for what it returned."""
        try:
            value = self.context.run(self.function)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            return error
        if value is None or value:
            return None
        return AssertionError(f"it returned {value!r}")


class Broken(NamedTuple):
    """A check that did not hold any more."""

    words: str
    error: BaseException


class Checked:
    """Who looks at the checks of a loop."""

    def __init__(self, loop: Turns) -> None:
        self._loop = loop
        self._checks: list[Check] = []
        self._is_first = True  # look at a new check
        self.broken: list[Broken] = []

    def add(self, check: Check) -> None:
        """Look at this one too."""
        self._checks.append(check)
        self._is_first = True

    def before(self, handle: Any) -> None:
        """What holds now was looked at when the last one had run."""

    def after(self, handle: Any) -> None:
        """Look."""
        last, self._is_first = FIRST_TURN if self._is_first or handle is None else handle, False
        for check in self._checks[:]:
            error = check.error()
            if error is not None:
                self._checks.remove(check)
                text = f"{check} did not hold any more at t={self._loop.time():g}: it held " \
                       f"before {_words(last)}"
                self.broken.append(Broken(text, error))


def _words(last: Any) -> str:
    """What has run: a callback, or the step of a task, with the line at which that now waits."""
    if isinstance(last, str):
        return last
    task = task_of(last)
    if task is None:
        return f"the callback {called_words(last)}" if last._callback is not None else "a callback that was cancelled"
    lines = [frame for frame in await_chain(task) if not is_plumbing(module_of(frame))]
    now = f"now waits at {line_words(lines[-1].f_code, lines[-1].f_lineno)}" if lines else "is over"
    return f"the step of task {task.get_name()} ({coroutine_name(task)}), which {now}"


def check_always(loop: Turns, check: Check) -> None:
    """Look at this check after every callback of the loop."""
    checked = _checked(loop)
    if checked is None:
        checked = Checked(loop)
        look_between(loop, checked)
    checked.add(check)


def end_checks(loop: object) -> list[Broken]:
    """Look no more at what this loop checks, and give what did not hold."""
    checked = _checked(loop)
    if checked is None:
        return []
    look_away(loop, checked)
    return checked.broken


def _checked(loop: object) -> Checked | None:
    return next((looker for looker in lookers_of(loop) if isinstance(looker, Checked)), None)
