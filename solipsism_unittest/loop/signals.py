"""`SignalHandlers`: how a signal reaches the loop, in place of asyncio's self-pipe.

Owns the two methods of asyncio's loop for handlers of signals, which are asyncio's own on the virtual process. On a
real loop the handler of C writes the signal's number into a pipe; the loop reads it when it looks at its files, and
puts the handler in line for the turn after that. Here the number arrives as something in flight does: at the beginning
of the next turn, after what was ready before and before the timers that are due.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from ..stdlib.processes.process import process_of
from ..stdlib.worlds import sealed
from .turns import Stock, Turns


class SignalHandlers(Turns):
    """An event loop that handles signals; `SolipsistEventLoop` is one."""

    _csock: Wakeups | None = None  # of asyncio: the end of the self-pipe that is written to

    # What type checkers do not know of asyncio's loop; tests/behaviours/test_asyncio_seam.py says why each is used.
    _process_self_data: Callable[[bytes], None]
    _write_to_self: Callable[[], None]

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
        self._clock.deliver_at(self._clock.now, functools.partial(self._read_signal, signum))
        self._write_to_self()

    def _read_signal(self, signum: int) -> None:
        self._ready.append(asyncio.Handle(self._process_self_data, (bytes([signum]),), self))

    def close(self) -> None:
        """As asyncio's."""
        super().close()
        if self._csock is not None and self._closed:
            self._csock.close()


class Wakeups:
    """What asyncio takes for the end of its self-pipe; `fileno()` names it in `signal.set_wakeup_fd()`."""

    __slots__ = ("_number", "_receivers")

    def __init__(self, loop: SignalHandlers) -> None:
        self._number = loop.kernel.next_descriptor  # no file will have it
        loop.kernel.next_descriptor += 1
        self._receivers = process_of(loop.world).receivers
        self._receivers[self._number] = loop.take_signal

    def fileno(self) -> int:
        """The number that names it."""
        return self._number

    def close(self) -> None:
        """Be there no more."""
        self._receivers.pop(self._number, None)
