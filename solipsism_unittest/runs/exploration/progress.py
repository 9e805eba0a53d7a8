"""How far an exploration is: one line on a terminal, written again and again."""

from __future__ import annotations

from typing import TextIO

from ...introspection.threads import Real

__unittest = True
__tracebackhide__ = True

PAUSE = 0.5  # real seconds between two lines
_CLEAR = "\r\x1b[K"


class Progress:
    """The line for one test of this name, which has this many runs. Where nobody looks it writes nothing."""

    def __init__(self, stream: TextIO, name: str, total: int) -> None:
        self._stream = stream
        self._name = name
        self._total = total
        self._done = 0
        self._digests: set[str] = set()
        self._began = self._next = Real.monotonic()
        self.is_shown = stream is not None and stream.isatty()

    def step(self, digest: str) -> None:
        """One more run is done, whose journal had this digest."""
        if not self.is_shown:
            return
        self._done += 1
        self._digests.add(digest)
        now = Real.monotonic()
        if now >= self._next:
            self._next = now + PAUSE
            rate = self._done / max(now - self._began, 1e-3)
            left = (self._total - self._done) / rate
            self._stream.write(f"{_CLEAR}{self._name}: {self._done:,} of {self._total:,} seeds, {rate:,.0f} a second, "
                               f"{len(self._digests):,} different, {left:,.0f} s left")
            self._stream.flush()

    def end(self, words: str = "") -> None:
        """Take the line away, and leave these words in its place."""
        if self.is_shown:
            self._stream.write(_CLEAR + (f"{self._name}: {words}\n" if words else ""))
            self._stream.flush()
