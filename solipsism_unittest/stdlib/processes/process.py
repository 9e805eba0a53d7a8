"""`Process`: the virtual process that a test and its program are, as far as signals are concerned.

Owns who gets a signal of it: the program's handlers, the wakeup descriptor, or, where nobody handles it, an error at
the line that sent it, for a test shall never end its runner. The loops of one test share one process, as they do for
real; its main thread is the one in which the outermost loop was made.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from sys import _getframe
from types import FrameType
from typing import Any, NoReturn

from ...introspection.handles import module_of_callback
from ...introspection.modules import is_plumbing
from ...introspection.places import Place, user_place
from ...kernel.processes.signals import Signals
from .. import escapes
from ..files import descriptors
from ..worlds import World, by_thread, outermost, thread_id, threads_in

# What nobody notices who does not handle it.
HARMLESS = frozenset(getattr(signal, name) for name in ("SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH")
                     if hasattr(signal, name))
IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ")
_VALID = sorted(signal.valid_signals())
_OF_TIMER = "the timer of setitimer("
_OF_C = frozenset({"_signal", ""})  # Python's own for SIGINT
_real_handler = signal.getsignal  # in a sealed thread the name asks the virtual process
DEFAULT, IGNORE = signal.SIG_DFL, signal.SIG_IGN
# The process of a program that runs beside others. None in the context of the test's own.
within: ContextVar[Process | None] = ContextVar("solipsism_unittest.process", default=None)


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
        self.timer_set_at: Place | None = None
        self.timer = (0.0, 0.0)  # when it is due, and the interval; 0 for none
        self.handled = 0  # how many handlers have run
        self.inner: Any = None  # the loop that its main thread runs, of a program in a thread of its own
        self.end_code: int | None = None  # of what has ended it at once: negative for a signal
        self._noticing: dict[int, tuple[Any, Any]] = {}  # those who wait for a signal: the ends of a pipe each
        self._ring: Callable[[], object] = _nobody

    def handler(self, signum: int) -> Any:
        """What a program has set for a signal."""
        return self.signals.handlers.get(signum, DEFAULT)

    # -- sending

    def send(self, signum: int, call: str, to: int | None = None) -> None:
        """Send a signal to the process, or to one thread of it; `call` says who does it, for an error."""
        self.world.kernel.journal.add("signal", int(signum))  # a journal has no enums
        if self.signals.send(signum, self.threads(), to):
            self.deliver(signum, call)
        elif self._noticing:
            self._soon(self._notice)
        self.handle_here()

    def threads(self) -> list[int]:
        """Those that may take a signal."""
        return [self.main, *threads_in(here(self.main, self.world))]

    def deliver(self, signum: int, call: str) -> None:
        """What the handler of C does: raise Python's flag and write to the wakeup descriptor."""
        handler = self.handler(signum)
        if handler == IGNORE or (handler == DEFAULT and signum in HARMLESS):
            return
        # Python's own for SIGINT raises KeyboardInterrupt, which would end the runner too.
        if (handler == DEFAULT or handler is signal.default_int_handler) and not self.takes(signum, handler):
            error = self.refusal(signum, call)
            if error is None:
                return
            raise error
        self.signals.tripped.add(int(signum))  # a handler gets no enum
        if self.wakeup in self.receivers:
            self.receivers[self.wakeup](signum)
        elif self.wakeup != -1:
            with contextlib.suppress(OSError):  # it is full, or closed
                descriptors.write(self.world, self.wakeup, bytes([signum]))
        if not self.is_here():
            self._soon(self.handle_here)

    def takes(self, signum: int, handler: Any) -> bool:
        """Whether the process does what is the default of a signal; a test's does not, for it would end the runner."""
        return False

    def refusal(self, signum: int, call: str) -> Exception | None:
        """The error of a signal that nobody handles and that would end or stop the process."""
        at = self._at(user_place(3), call)
        name = signal.Signals(signum).name if signum in set(signal.Signals) else str(signum)
        return escapes.noted(self.world, f"{call}{name}) would end the test runner{at}\n  nobody handles {name}: "
                                         "install a handler first", f"{call.partition('(')[0]}{at}")

    def leave(self, code: int, call: str) -> NoReturn:
        """End at once; a test does not."""
        at = self._at(user_place(3), call)
        raise escapes.noted(self.world, f"{call}{code}) would end the test runner{at}; call it in a program of "
                                        "run_program() or add_program()", f"{call.partition('(')[0]}{at}")

    def _at(self, place: Place | None, call: str) -> str:
        if call == _OF_TIMER:  # it rings where no line of the program runs, or any
            return f" (set at {self.timer_set_at})"
        return f" ({place})" if place is not None else ""

    def is_here(self) -> bool:
        """Whether this thread is the one in which handlers run."""
        return thread_id() == self.main

    def handle_here(self) -> None:
        """Run the handlers that are to run, in the main thread; what one raises comes out of this call."""
        if not self.is_here():
            return
        while (signum := self.signals.trip()) is not None:
            handler = self.handler(signum)
            if callable(handler):
                self.handled += 1
                try:
                    handler(signum, _program_frame())
                finally:
                    self._notice()

    def _soon(self, call: Callable[[], None]) -> None:
        """Call this in the thread of the loop, which may be another one."""
        loop = here(self.main, self.world).loop
        loop.kernel.clock.deliver_at(loop.kernel.clock.now, call)
        loop.selector.wakeups.put(None)

    # -- those who wait for one

    @contextlib.contextmanager
    def noticing(self, world: World) -> Iterator[int]:
        """In the block a descriptor is ready to be read whenever a signal has come; `hear` makes it wait again."""
        reader, writer = world.kernel.pipe(None)
        self._noticing[reader.number] = reader, writer
        try:
            yield reader.number
        finally:
            del self._noticing[reader.number]
            world.kernel.release(writer.number)
            world.kernel.release(reader.number)

    def hear(self, number: int) -> None:
        """Look again only at the next signal."""
        end, _ = self._noticing[number]
        end.recv(end.unread())

    def _notice(self) -> None:
        for _, end in self._noticing.values():
            with contextlib.suppress(BlockingIOError):  # it is full of news
                end.send(b"!")

    # -- time

    def set_timer(self, seconds: float, interval: float) -> tuple[float, float]:
        """Send SIGALRM in so many virtual seconds, and then at this interval; gives what was set before."""
        clock = here(self.main, self.world).kernel.clock
        due, before = self.timer
        rest = max(due - clock.now, 1e-6) if due else 0.0
        clock.forget(self._ring)
        self.timer_set_at = user_place(3)
        self.timer = (clock.now + seconds if seconds else 0.0, interval)

        def ring() -> None:
            self.timer = (clock.now + interval if interval else 0.0, interval)
            if interval:
                clock.deliver_at(self.timer[0], ring)
            self.send(signal.SIGALRM, _OF_TIMER)

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
    return _getframe(3)


def children_of(world: World) -> list[Any]:
    """The programs that were started in a world or in one around it."""
    world = outermost(world)
    return list(world.process.children.values()) if isinstance(world.process, Process) else []


def with_mask_of_this_thread(world: World, run: Callable[[], None]) -> Callable[[], None]:
    """Make what a thread runs that is about to be started here: it blocks what this one does."""
    process = process_of(world) if isinstance(outermost(world).process, Process) else None
    mask = process.signals.mask(thread_id()) if process is not None else None
    if process is None or not mask:
        return run

    def masked() -> None:
        process.signals.set_mask(thread_id(), mask)
        try:
            run()
        finally:
            process.signals.set_mask(thread_id(), ())

    return masked


def process_of(world: World) -> Process:
    """The process that runs here: that of the outermost world, or of a program that runs beside others in it."""
    world = outermost(world)
    guest = within.get()
    if guest is not None and guest.world is world:
        return guest
    process = world.process
    if not isinstance(process, Process):
        process = world.process = Process(world)
    return process
