"""Checks that are made after every callback of a loop, and which callback one of them did not survive.

A loop with checks makes the turns of CPython, which take each handle out of the line of ready ones: that line, and the
turn, are replaced on this one loop. All others run as if this module was not there.
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from ..introspection.handles import callback_words, called_words, task_of
from ..introspection.modules import is_plumbing, module_of
from ..introspection.places import line_words
from ..introspection.tasks import await_chain, coroutine_name
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


class _Line(deque[Any]):
    """The handles that are ready; each that is taken out has been preceded by a look."""

    look: Callable[[Any], None]

    def popleft(self) -> Any:
        self.look(None)
        handle = super().popleft()
        if not handle._cancelled:
            self.look(handle)
        return handle


class Checked:
    """The turn of a loop with checks; it stands in the place of `_run_once`."""

    def __init__(self, loop: Turns) -> None:
        self._loop = loop
        self._turn = loop._run_once
        self._checks: list[Check] = []
        self._last: Any = FIRST_TURN  # what has run since the last look
        self.broken: list[Broken] = []

    def add(self, check: Check) -> None:
        """Look at this one too."""
        self._checks.append(check)
        self._last = FIRST_TURN

    def __call__(self) -> None:
        """Make one turn."""
        self._look(None)
        loop: Any = self._loop
        if type(loop._ready) is not _Line:
            loop._ready = _Line(loop._ready)
            loop._ready.look = self._look
        self._turn()
        self._look(None)

    def _look(self, handle: Any) -> None:
        """Look, if anything has run since the last time. `handle` is what runs next."""
        last, self._last = self._last, handle
        if last is None or last is handle:
            return
        for check in self._checks[:]:
            error = check.error()
            if error is not None:
                self._checks.remove(check)
                text = f"{check} did not hold any more at t={self._loop.time():g}: it held " \
                       f"before {_words(last)}"
                self.broken.append(Broken(text, error))

    def stop(self) -> None:
        """Look no more; the turns are again what they were."""
        loop: Any = self._loop
        self._checks.clear()
        if loop._run_once is self:
            del loop._run_once
            loop._ready = deque(loop._ready)


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
    checked = loop._run_once
    if not isinstance(checked, Checked):
        loop._run_once = checked = Checked(loop)  # type: ignore[method-assign]
        loop._choose_turns()
    checked.add(check)


def end_checks(loop: object) -> list[Broken]:
    """Look no more at what this loop checks, and give what did not hold."""
    checked = getattr(loop, "_run_once", None)
    if not isinstance(checked, Checked):
        return []
    checked.stop()
    return checked.broken
