"""`GuestProcess`: the process of a program that runs beside others, in a task of a loop that runs or in a thread.

Owns what its signals come to. Whatever runs in the program's context is in this process. A thread of its own is its
main thread: its loop runs the handlers, where it runs one. Otherwise whoever sends a signal does, and what a handler
raises is handed to who runs the program, which raises it where that waits.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

from ...introspection.modules import is_ours, module_of
from ..worlds import World, thread_id
from .ending import Ended
from .process import here, within
from .program import Program


class GuestProcess(Program):
    """One such process. `context` is the program's; `strike(error)` hands over what ends it."""

    def __init__(self, world: World, children: dict[int, Any], strike: Callable[[BaseException], object],
                 at_end: Callable[[], object]) -> None:
        super().__init__(world, children, at_end)
        self._strike = strike
        self.context = contextvars.copy_context()
        self.context.run(within.set, self)
        self.thread: threading.Thread | None = None  # of its own

    def settle_in(self) -> None:
        """This thread is its own from now on."""
        self.main, self.thread = thread_id(), threading.current_thread()

    def refusal(self, signum: int, call: str) -> Exception | None:
        """None: what stops a process stops no program here, for nobody could let it go on."""
        return None

    def threads(self) -> list[int]:
        """Its own, if it has one; which of the others are of the program nobody knows."""
        return super().threads() if self.thread is None else [self.main]

    def is_here(self) -> bool:
        """Whichever thread takes a signal runs the handlers, for they are the program's by its context; unless its own
        thread runs a loop, which can do it.
        """
        return self.inner is None or thread_id() == self.main

    def handle_here(self) -> None:
        """As in every process; what comes of it meets the program, and not who has sent the signal."""
        if within.get() is self and thread_id() == self.main:
            super().handle_here()
            return
        try:
            self.context.copy().run(super().handle_here)
        except BaseException as error:
            if thread_id() == self.main and self.thread is not None:
                raise
            trace = error.__traceback__
            while trace is not None and is_ours(module_of(trace.tb_frame)):
                trace = trace.tb_next
            self._strike(error.with_traceback(trace))

    def _die(self, code: int) -> None:
        """As every program; in a thread of its own that ends where it waits."""
        is_first = self.end_code is None
        super()._die(code)
        if is_first and self.thread is not None and self.inner is None and thread_id() != self.main:
            here(self.main, self.world).baton.end(self.main, Ended(code))

    def _soon(self, call: Callable[[], None]) -> None:
        if self.inner is None:
            super()._soon(call)
        else:
            self.inner.call_soon_threadsafe(self._call_in, self.inner, call)

    def _call_in(self, loop: Any, call: Callable[[], None]) -> None:
        """Call it in a loop: what a handler raises comes out of that, as it does where it interrupts a wait."""
        try:
            call()
        except (SystemExit, KeyboardInterrupt):
            raise  # these do so by themselves
        except BaseException as error:
            loop.leave(error)


def main_thread(world: World, real: Callable[[], threading.Thread]) -> threading.Thread:
    """As threading.main_thread(): of a program in a thread of its own that one."""
    process = within.get()
    return process.thread if isinstance(process, GuestProcess) and process.thread is not None else real()
