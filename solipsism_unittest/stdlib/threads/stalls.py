"""What stops the loop's thread: blocking calls, and callbacks that burn real time.

Owns the list of what was found, and what is done about it. The stand-ins that find blocking calls are in blocking.py. A
call counts only in a thread in which a SolipsistEventLoop is running: executor jobs and other threads may block as they
like, and so may a test without a running loop. `on_call` and `on_slow_turn` are each one of POLICIES:

* `fail`: it is kept, and the test case fails the test for it;
* `warn`: a warning is issued when the loop stops;
* `ignore`: nothing is done.
"""

from __future__ import annotations

import gc
import warnings
from asyncio import Handle
from collections.abc import Callable, Iterable, Sequence
from math import inf
from threading import get_ident
from typing import Any

from ...errors import BlockingCallWarning, SlowCallbackWarning
from ...introspection.handles import Clue, clue
from ...introspection.places import Place
from ...introspection.threads import Real

_LOOK_EVERY = 0.005  # real seconds
_FULL = 2  # a collection of all generations; the others are short

POLICIES = ("fail", "warn", "ignore")
_CALL, _SLOW = "call", "slow"
_WARNINGS = {_CALL: BlockingCallWarning, _SLOW: SlowCallbackWarning}
_HEADS = {
    _CALL: "a blocking call in the loop's thread: while it waits, nothing else can run, and virtual time stands still",
    _SLOW: "a callback kept the processor, and nothing else could run meanwhile",
}
_CURES = {
    _CALL: "await what asyncio has for it, or `await asyncio.to_thread(...)`; on_blocking_call = \"ignore\" lets it be",
    _SLOW: "give long work to `await asyncio.to_thread(...)`; on_slow_callback = \"ignore\" lets it be",
}

_Found = dict[tuple[str, str, Place | None], int]


def clues(ready: Sequence[Any], events: Iterable[tuple[Any, int]]) -> list[Clue]:
    """What is kept of handles to say later who ran: names of tasks, methods, and code objects.

    The handles themselves must not be kept: each would keep its task alive after it has run.
    """
    handles = [handle for key, _ in events for handle in key.data or ()]
    return [clue(handle) for handle in [*ready, *handles] if isinstance(handle, Handle) and not handle.cancelled()]


class Blocking:
    """What stopped one loop's thread, what is to be done about it, and the stopwatch for the turn that runs.

    A turn of the loop that takes more than `slow` seconds of the processor is reported by `on_slow(seconds, what it
    ran)`. A turn that runs one handle keeps the handle, which costs least. One that may run several keeps clues,
    because no handle may be kept once it has run. They become words only when a turn was slow.
    """

    __slots__ = ("on_call", "on_slow_turn", "slow", "on_slow", "began", "look_at", "ready", "runs", "found",
                 "_to_warn", "_used", "_measured", "_thread", "_collected", "_collects_since")

    def __init__(self, on_slow: Callable[[float, Any], None]) -> None:
        self.slow = inf
        self.on_slow = on_slow
        self.began = 0.0
        self.look_at = 0.0  # real time, when the next look at the processor's is due: it costs more
        self._used, self._measured = 0.0, 0.0  # of a processor by this thread, and in real time, at the last look
        self._thread = 0
        self._collected = 0.0  # how much of it the garbage collector had since then
        self._collects_since = inf  # used when it began, as far as is known
        self.ready: Sequence[Any] = ()  # the loop's ready queue
        self.runs: Any = None  # what the turn runs: a handle, a list of clues, or None
        self.on_call = self.on_slow_turn = "warn"
        self.found: _Found = {}  # kind, what, where -> how often
        self._to_warn: _Found | None = None

    def choose(self, on_call: str, on_slow_turn: str) -> None:
        """Take the two of POLICIES that a test class sets."""
        self.on_call, self.on_slow_turn = on_call, on_slow_turn

    def begin_run(self, ready: Sequence[Any]) -> None:
        """Start the stopwatch: the loop begins to run, and real time before that counts for no turn."""
        self.ready = ready
        self._thread = get_ident()
        gc.callbacks.append(self)
        self.start()

    def start(self) -> None:
        """Set the stopwatch: what was before counts for no turn."""
        self.began = self._measured = now = Real.perf_counter()
        self._used = Real.thread_time()
        self._collected = 0.0
        self.look_at = now + min(_LOOK_EVERY, self.slow / 4)

    def resume(self) -> None:
        """Go on after a wait, which counts for no turn. After a short one, as most are, no look is due: that costs."""
        self.began = now = Real.perf_counter()
        if now > self.look_at:
            self.start()

    def measure(self, now: float) -> None:
        """A turn has ended, and a look is due: report it where it used the processor for too long.

        Not the real time: a busy machine, or a process that was stopped for a moment, is not the program's fault. Nor
        is a garbage collection: it comes when it comes, and takes long where other tests have left much.
        """
        used, before = Real.thread_time(), self.began - self._measured  # so much at most was used before the turn
        burned = used - self._used - before - self._collected
        self._used, self._measured, self._collected = used, now, 0.0
        self.look_at = now + min(_LOOK_EVERY, self.slow / 4)
        if burned > self.slow:
            self.on_slow(burned, self.runs)

    def has_run(self, handle: Any, began: float, ended: float) -> float:
        """A look is due, and this handle has just run: look. Gives when the next one begins."""
        self.began, self.runs = began, handle
        self.measure(ended)
        self.runs = None
        return Real.perf_counter()

    def end_run(self) -> None:
        """The loop has stopped: measure its last turn, forget what it ran, and issue warnings."""
        now = Real.perf_counter()
        if now - self._measured > self.slow:  # or nothing in it can have used so much of the processor
            self.measure(now)
        self._leave()
        if self._to_warn:
            self._warn(self._to_warn)

    def break_run(self) -> None:
        """An exception came out of the loop: it is the news, so the last turn is not measured."""
        self._leave()

    def _leave(self) -> None:
        self.runs = None
        try:  # noqa: SIM105 - suppress() costs more than all the rest
            gc.callbacks.remove(self)
        except ValueError:  # the program has emptied the list
            pass

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        """The garbage collector begins or ends."""
        if info["generation"] == _FULL and get_ident() == self._thread:
            if phase == "start":
                self._collects_since = Real.thread_time()
            else:
                # What a handler of a signal raised at the beginning of this method is lost, and so is that call.
                self._collected += max(Real.thread_time() - self._collects_since, 0.0)
                self._collects_since = inf

    def note_call(self, what: str, place: Place | None) -> None:
        """Note that a blocking call was made at `place`."""
        self._note(_CALL, self.on_call, what, place)

    def note_slow(self, what: str, place: Place | None = None) -> None:
        """Note that a callback was slow."""
        self._note(_SLOW, self.on_slow_turn, what, place)

    def _note(self, kind: str, policy: str, what: str, place: Place | None) -> None:
        if policy != "ignore":
            if policy == "fail":
                found = self.found
            else:
                found = self._to_warn = self._to_warn or {}
            found[kind, what, place] = found.get((kind, what, place), 0) + 1

    def has_warnings(self) -> bool:
        """Whether there is something to warn of when the loop stops."""
        return bool(self._to_warn)

    def _warn(self, due: _Found) -> None:
        # Not at once, in the middle of the loop: a warning may be an error.
        self._to_warn = None
        for (kind, what, place), count in due.items():
            text = f"{_HEADS[kind]}: {_words(kind, what, place, count)}; {_CURES[kind]}"
            filename, line = (place.code.co_filename, place.line) if place is not None else ("asyncio", 0)
            warnings.warn_explicit(text, _WARNINGS[kind], filename, line)

    def report(self) -> str:
        """The text of the failure, or "" for none. What it reports is forgotten."""
        if not self.found:
            return ""
        found, self.found = self.found, {}
        lines = []
        for kind, head in _HEADS.items():
            of_kind = [_words(k, what, place, count) for (k, what, place), count in found.items() if k == kind]
            if of_kind:
                lines += [head, *(f"  {words}" for words in of_kind), f"  {_CURES[kind]}"]
        return "\n".join(lines)


def _words(kind: str, what: str, place: Place | None, count: int) -> str:
    at = f" at {place}" if place is not None and kind == _CALL else ""  # a slow callback is named with its line
    return what + at + (f" (x {count})" if count > 1 else "")
