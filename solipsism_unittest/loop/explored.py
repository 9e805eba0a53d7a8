"""A loop whose machine may stall: between two callbacks time may pass, and what is ready may be reported later.

A loop that is explored makes its own turns, callback by callback in CPython's order. `call_soon` stays first in, first
out, and timers run in the order of their times. All other loops run as if this module was not there.
"""

from __future__ import annotations

import socket
from asyncio import base_events
from collections.abc import Callable
from math import inf
from typing import Any

from ..introspection.threads import Real
from ..kernel import Kernel
from ..kernel.choices import Explorer
from ..kernel.choices.kinds import LATER, ORDER, STALL, WAKE
from ..kernel.descriptors.end import End
from ..kernel.descriptors.file import Descriptor, File
from .event_loop import SolipsistEventLoop
from .turns import OwnTurn, is_run_replaced, report_error

__unittest = True
__tracebackhide__ = True

_NETWORK = socket.AF_INET, socket.AF_INET6


class Explored(OwnTurn):
    """The turn of a loop that is explored; it stands in the place of `_run_once`."""

    def __init__(self, loop: SolipsistEventLoop, explorer: Explorer) -> None:
        self._loop = loop
        self._explorer = explorer
        self._allowed = 0.0  # how much of what was put in the limit of virtual time knows of

    def __call__(self) -> None:
        """Make one turn, as CPython's `_run_once` does."""
        loop: Any = self._loop
        explorer, selector, clock, line, ready = self._explorer, loop.selector, loop._clock, loop.line, loop._ready
        if loop._timer_cancelled_count:
            loop.drop_cancelled()
        # A program may have put a selector of its own in the place of ours.
        wait = selector.wait if loop._selector is selector else loop._selector.select
        began, is_exact = clock.now, False  # is_exact: an advance() has come to its end, and the test goes on
        timer = line.first()
        if ready or loop._stopping or timer is not None and timer._when <= began:
            events = wait(0)
        else:
            stop = clock.stops[0] if clock.stops else None
            if stop is not None:
                explorer.hurry(stop[0])
            elif clock.holds or not selector.autojump:
                explorer.land()  # time does not go on, so that it would not arrive
            events = wait(0 if ready else None)
            is_exact = stop is not None and not (clock.stops and clock.stops[0] is stop)
        stands = is_exact or not selector.autojump
        if clock.now != began:
            explorer.goes_on()
            if not (stands or clock.stops or clock.holds) and explorer.differs(WAKE):
                self._stall(WAKE)
                events = selector.ready_now()
        if events:
            loop._process_events(events)
        now = loop.reached()
        while (timer := line.first()) is not None and timer._when <= now:
            ready.append(line.take())
            loop._timer_cancelled_count -= timer._cancelled
        timer = None
        self._run(ready, stands)
        if explorer.put_in != self._allowed:
            self._allow()

    def _run(self, ready: Any, stands: bool) -> None:
        """Run what is ready now, each callback after a stall or at once; none where time `stands` still."""
        loop: Any = self._loop
        explorer, clock, blocking, perf_counter = self._explorer, loop._clock, loop.selector.blocking, Real.perf_counter
        stops, holds, is_plain, began = clock.stops, clock.holds, not is_run_replaced(), perf_counter()
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            if not (stands or stops or holds) and explorer.differs(STALL):
                self._stall(STALL, handle)
            if loop._debug:
                _run_debugged(loop, handle)
                continue
            if not is_plain:
                handle._run()
                continue
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                report_error(loop, handle, error)
            ended = perf_counter()
            began = ended if ended <= blocking.look_at else blocking.has_run(handle, began, ended)
        blocking.began = began

    def _stall(self, kind: int, *facts: Any) -> None:
        """Let the time pass that the explorer wants, and arrive what arrives meanwhile."""
        clock = self._loop.kernel.clock
        when = self._explorer.moved(kind, clock.now, *facts)
        self._explorer.put_in += when - clock.now
        while clock.deliveries and clock.deliveries[0][0] < when:
            clock.jump(clock.deliveries[0][0])
        clock.jump(when)

    def _allow(self) -> None:
        """What the explorer has put in is not the program's: it does not count for the limit of virtual time."""
        selector = self._loop.selector
        more, self._allowed = self._explorer.put_in - self._allowed, self._explorer.put_in
        if selector.horizon != inf:
            selector.limits = selector.limits._replace(horizon=selector.horizon + more)


def _run_debugged(loop: Any, handle: Any) -> None:
    """Run a handle as CPython's turn does in debug mode."""
    loop._current_handle = handle  # an error is reported with the line that made it
    try:
        began = loop.time()
        handle._run()
        took = loop.time() - began
        if took >= loop.slow_callback_duration:
            turns: Any = base_events  # of which type checkers do not know all
            turns.logger.warning("Executing %s took %.3f seconds", turns._format_handle(handle), took)
    finally:
        loop._current_handle = None


def _ready(kernel: Kernel, is_busy: Callable[[], object], explorer: Explorer) -> list[tuple[File | Descriptor, int]]:
    """What is ready, in an order that the explorer chooses, and perhaps without one that is reported a turn later.

    Only what came over a network can be later: another process, or this one, has written to all else already.
    """
    found = Kernel.ready(kernel)
    if len(found) > 1:
        first = explorer.chosen(ORDER, len(found), *(file for file, _ in found))
        found.insert(0, found.pop(first))
    network = [each for each in found if isinstance(each[0], End) and each[0].family in _NETWORK]
    if network and (len(found) > 1 or is_busy()):
        late = explorer.chosen(LATER, len(network) + 1, *(file for file, _ in network))
        if late:
            found.remove(network[late - 1])
    return found


def explore(loop: SolipsistEventLoop, explorer: Explorer) -> Callable[[], None]:
    """Let this explorer decide on a loop what a real machine leaves open; the result ends that, once it is closed."""
    kernel = loop.kernel
    explorer.begin(kernel.clock, kernel.journal, loop.line.times)
    kernel.choices.explorer = loop.selector.jobs.explorer = explorer
    kernel.ready = lambda: _ready(kernel, lambda: loop._ready, explorer)  # type: ignore[method-assign]
    loop._run_once = Explored(loop, explorer)  # type: ignore[method-assign]
    loop.choose_turns()

    def end() -> None:
        # All of these lead back to the loop: thousands of worlds would wait for the garbage collector.
        vars(loop).pop("_run_once", None)
        vars(kernel).pop("ready", None)
        if kernel.has_network:
            kernel.network.wire.let_go()
        explorer.forget()

    return end
