"""What looks on between the callbacks of one loop: it is told of each before it runs, and after.

Such a loop makes the turns of CPython, which take each handle out of the line of ready ones: that line, and the turn,
are replaced on this one loop. All others run as if this module was not there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from .turns import Turns

__unittest = True
__tracebackhide__ = True


class Looker(Protocol):
    """Who wants to know."""

    def before(self, handle: Any) -> None:
        """This handle runs next."""

    def after(self, handle: Any) -> None:
        """This handle has run; None for what was under way when somebody began to look."""


class _Line(deque[Any]):
    """The handles that are ready; each that is taken out has been preceded by a look."""

    look: Callable[[Any], None]

    def popleft(self) -> Any:
        self.look(None)
        handle = super().popleft()
        if not handle._cancelled:
            self.look(handle)
        return handle


class Between:
    """The turn of a loop that somebody looks at; it stands in the place of `_run_once`."""

    def __init__(self, loop: Turns) -> None:
        self._loop = loop
        self._turn = loop._run_once
        self._is_running = True  # something has run since the last look
        self._last: Any = None  # what it was, where it is known
        self.lookers: list[Looker] = []

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
        """Tell what has run since the last time. `handle` is what runs next."""
        if self._is_running:
            last, self._last, self._is_running = self._last, None, False
            for looker in self.lookers[:]:
                looker.after(last)
        if handle is not None:
            self._last, self._is_running = handle, True
            for looker in self.lookers[:]:
                looker.before(handle)

    def stop(self) -> None:
        """Tell nobody any more; the turns are again what they were."""
        loop: Any = self._loop
        if loop._run_once is self:
            del loop._run_once
            loop._ready = deque(loop._ready)


def look_between(loop: Turns, looker: Looker) -> None:
    """Tell this one of each callback of the loop from now on."""
    between = loop._run_once
    if not isinstance(between, Between):
        loop._run_once = between = Between(loop)  # type: ignore[method-assign]
        loop.choose_turns()
    between.lookers.append(looker)


def look_away(loop: object, looker: Looker) -> None:
    """Tell it no more."""
    between = getattr(loop, "_run_once", None)
    if isinstance(between, Between) and looker in between.lookers:
        between.lookers.remove(looker)
        if not between.lookers:
            between.stop()


def lookers_of(loop: object) -> list[Looker]:
    """Who looks at this loop."""
    between = getattr(loop, "_run_once", None)
    return between.lookers if isinstance(between, Between) else []
