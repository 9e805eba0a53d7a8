"""`Process`: the virtual process that a test and its program are, as far as signals are concerned.

Owns who gets a signal of it: the program's handlers, the wakeup descriptor, or, where nobody handles it, an error at
the line that sent it, for a test shall never end its runner. The loops of one test share one process, as they do for
real; its main thread is the one in which the outermost loop was made.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from ...introspection.handles import module_of_callback
from ...introspection.modules import is_plumbing
from ...introspection.places import user_place
from ...kernel.processes.signals import Signals
from .. import escapes
from ..files import descriptors
from ..worlds import World, by_thread, outermost, thread_id, threads_in

# What nobody notices who does not handle it.
HARMLESS = frozenset(getattr(signal, name) for name in ("SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH")
                     if hasattr(signal, name))
IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ")
_VALID = sorted(signal.valid_signals())
_OF_C = frozenset({"_signal", ""})  # Python's own for SIGINT
_real_handler = signal.getsignal  # in a sealed thread the name asks the virtual process
DEFAULT, IGNORE = signal.SIG_DFL, signal.SIG_IGN


class Process:
    """One virtual process."""

    def __init__(self, world: World) -> None:
        self.world = world  # of the outermost loop
        self.main = world.home
        self.signals = Signals()
        self.signals.handlers.update({getattr(signal, name): IGNORE for name in IGNORED_BY_PYTHON
                                      if hasattr(signal, name)})
        self.signals.handlers[signal.SIGINT] = signal.default_int_handler
        # What the program has set before the test, when it was imported; not what the runner has for itself.
        for signum in _VALID:
            handler = _real_handler(signum)
            if callable(handler) and _is_of_program(handler):
                self.signals.handlers[signum] = handler
        self.wakeup = -1  # descriptor
        self.receivers: dict[int, Callable[[int], None]] = {}  # of loops, by what they say is a descriptor
        self.children: dict[int, Any] = {}  # by pid
        self.timer = (0.0, 0.0)  # when it is due, and the interval; 0 for none
        self._ring: Callable[[], object] = _nobody

    def handler(self, signum: int) -> Any:
        """What a program has set for a signal."""
        return self.signals.handlers.get(signum, DEFAULT)

    # -- sending

    def send(self, signum: int, call: str, to: int | None = None) -> None:
        """Send a signal to the process, or to one thread of it; `call` says who does it, for an error."""
        self.world.kernel.journal.add("signal", int(signum))  # a journal has no enums
        threads = [self.main, *threads_in(here(self.main, self.world))]
        if self.signals.send(signum, threads, to):
            self.deliver(signum, call)
        self.handle_here()

    def deliver(self, signum: int, call: str) -> None:
        """What the handler of C does: raise Python's flag and write to the wakeup descriptor."""
        handler = self.handler(signum)
        if handler == IGNORE or (handler == DEFAULT and signum in HARMLESS):
            return
        # Python's own for SIGINT raises KeyboardInterrupt, which would end the runner too.
        if (handler == DEFAULT or handler is signal.default_int_handler) and not self.takes(signum, handler):
            raise self.refusal(signum, call)
        self.signals.tripped.add(signum)
        if self.wakeup in self.receivers:
            self.receivers[self.wakeup](signum)
        elif self.wakeup != -1:
            with contextlib.suppress(OSError):  # it is full, or closed
                descriptors.write(self.world, self.wakeup, bytes([signum]))
        if thread_id() != self.main:
            loop = here(self.main, self.world).loop
            loop.kernel.clock.deliver_at(loop.kernel.clock.now, self.handle_here)
            loop.selector.wakeups.put(None)

    def takes(self, signum: int, handler: Any) -> bool:
        """Whether the process does what is the default of a signal; a test's does not, for it would end the runner."""
        return False

    def refusal(self, signum: int, call: str) -> Exception:
        """The error of a signal that nobody handles and that would end or stop the process."""
        place = user_place(3)
        at = f" ({place})" if place is not None else ""
        name = signal.Signals(signum).name if signum in set(signal.Signals) else str(signum)
        return escapes.noted(self.world, f"{call}{name}) would end the test runner{at}: nobody handles {name}; install "
                                         "a handler first", f"{call.partition('(')[0]}{at}")

    def handle_here(self) -> None:
        """Run the handlers that are to run, in the main thread; what one raises comes out of this call."""
        if thread_id() != self.main:
            return
        while (signum := self.signals.trip()) is not None:
            handler = self.handler(signum)
            if callable(handler):
                handler(signum, _program_frame())

    # -- time

    def set_timer(self, seconds: float, interval: float) -> tuple[float, float]:
        """Send SIGALRM in so many virtual seconds, and then at this interval; gives what was set before."""
        clock = here(self.main, self.world).kernel.clock
        due, before = self.timer
        rest = max(due - clock.now, 1e-6) if due else 0.0
        clock.forget(self._ring)
        self.timer = (clock.now + seconds if seconds else 0.0, interval)

        def ring() -> None:
            self.timer = (clock.now + interval if interval else 0.0, interval)
            if interval:
                clock.deliver_at(self.timer[0], ring)
            self.send(signal.SIGALRM, "the timer of setitimer(")

        self._ring = ring
        if seconds:
            clock.deliver_at(self.timer[0], ring)
        return rest, before


def _is_of_program(handler: Any) -> bool:
    module = module_of_callback(getattr(handler, "func", handler))
    return not is_plumbing(module) and not module.startswith("pytest") and module not in _OF_C


def _nobody() -> None:
    """No timer runs."""


def here(thread: int, world: World) -> World:
    """The world that a thread is in: of its innermost loop."""
    return by_thread.get(thread, world)


def _program_frame() -> FrameType | None:
    """The frame that a handler gets: where the program stands."""
    return sys._getframe(3)


def children_of(world: World) -> list[Any]:
    """The programs that were started in a world or in one around it."""
    world = outermost(world)
    return list(world.process.children.values()) if isinstance(world.process, Process) else []


def process_of(world: World) -> Process:
    """The process that a world's loop is in: that of the outermost world."""
    world = outermost(world)
    process = world.process
    if not isinstance(process, Process):
        process = world.process = Process(world)
    return process
