"""`SignalHandlers`: how signals and other threads reach the loop, in place of asyncio's self-pipe.

Owns the two methods of asyncio's loop for handlers of signals, which are asyncio's own on the virtual process. On a
real loop the handler of C writes the signal's number into a pipe; the loop reads it when it looks at its files, and
puts the handler in line for the turn after that. Here the number arrives as something in flight does: at the beginning
of the next turn, after what was ready before and before the timers that are due.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from asyncio import events
from collections.abc import Callable
from typing import Any

from ..stdlib.processes.process import process_of, within
from ..stdlib.threads.mistakes import check_callback
from ..stdlib.worlds import sealed
from .doors import Stock
from .watching import Watching


class SignalHandlers(Watching):
    """An event loop that handles signals; `SolipsistEventLoop` is one."""

    # What type checkers do not know of asyncio's loop; tests/behaviours/test_asyncio_seam.py says why each is used.
    _process_self_data: Callable[[bytes], None]
    _write_to_self: Callable[[], None]

    # By process: a program that runs beside others on this loop has handlers of its own.
    _handlers_of: dict[object, dict[int, Any]] | None = None
    _wakeups_of: dict[object, Wakeups] | None = None

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any,  # type: ignore[override]
                             context: contextvars.Context | None = None) -> events.Handle:
        """As asyncio's; a coroutine function as callback is a TypeError."""
        check_callback(callback, "call_soon_threadsafe")
        handle = Stock.call_soon_threadsafe(self, callback, *args, context=context)
        if self._debug:
            del handle._source_traceback[-1]  # type: ignore[attr-defined]
        return handle

    @property
    def _signal_handlers(self) -> dict[int, Any]:
        """Of asyncio: the handlers of the process that asks."""
        if self._handlers_of is None:
            self._handlers_of = {}
        return self._handlers_of.setdefault(within.get(), {})

    @_signal_handlers.setter
    def _signal_handlers(self, handlers: dict[int, Any]) -> None:
        self._handlers_of = {within.get(): handlers} if handlers else None  # asyncio's constructor sets none

    @property
    def _csock(self) -> Wakeups | None:
        """Of asyncio: the end of the self-pipe that is written to."""
        return (self._wakeups_of or {}).get(within.get())

    @_csock.setter
    def _csock(self, wakeups: Wakeups) -> None:
        self._wakeups_of = {**(self._wakeups_of or {}), within.get(): wakeups}

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any  # type: ignore[override]
                           ) -> None:
        """As asyncio's, for signals of the virtual process."""
        self._csock = self._csock or Wakeups(self)
        with sealed(self):
            Stock.add_signal_handler(self, sig, callback, *args)

    def remove_signal_handler(self, sig: int) -> bool:
        """As asyncio's."""
        with sealed(self):
            return Stock.remove_signal_handler(self, sig)

    def take_signal(self, signum: int) -> None:
        """A signal has come, in whatever thread."""
        read = functools.partial(self._read_signal, signum, contextvars.copy_context())
        self._clock.deliver_at(self._clock.now, read)
        self._write_to_self()

    def _read_signal(self, signum: int, context: contextvars.Context) -> None:
        self._ready.append(asyncio.Handle(self._process_self_data, (bytes([signum]),), self, context))

    def close(self) -> None:
        """As asyncio's."""
        super().close()
        for wakeups in (self._wakeups_of or {}).values():
            wakeups.close()


class Wakeups:
    """What asyncio takes for the end of its self-pipe; `fileno()` names it in `signal.set_wakeup_fd()`."""

    __slots__ = ("_loop", "_number", "_process", "_receivers")

    def __init__(self, loop: SignalHandlers) -> None:
        self._number = loop.kernel.next_descriptor  # no file will have it
        loop.kernel.next_descriptor += 1
        self._receivers = process_of(loop.world).receivers
        self._process = within.get()
        self._receivers[self._number] = self._take
        self._loop = loop

    def _take(self, signum: int) -> None:
        """A signal of the process for which this was made."""
        context = contextvars.copy_context()
        context.run(within.set, self._process)
        context.run(self._loop.take_signal, signum)

    def fileno(self) -> int:
        """The number that names it."""
        return self._number

    def close(self) -> None:
        """Be there no more."""
        self._receivers.pop(self._number, None)
