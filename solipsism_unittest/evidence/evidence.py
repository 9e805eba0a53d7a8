"""`Evidence`: what one run of a test leaves in a directory, and when it is written down.

Owns the names of the files, and the moments: a failure is noted when it is raised, before any cleanup; the files are
written when the verdict is known. Nothing that goes wrong here touches the test: it is said on stderr.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ..introspection.exceptions import clean, lines_of, parts, trace_of, user_line
from ..loop.between import look_away, look_between
from ..loop.event_loop import SolipsistEventLoop
from ..stdlib.worlds import outside
from .capture.capture import capture
from .recording import ends
from .recording.keys import Keys
from .recording.steps import Steps
from .state import state
from .timeline.page import page

LONGEST = 200  # bytes of a file's name, of the 255 that a file system has


class Failure(NamedTuple):
    """Why a test failed: what was raised, in one line, and where."""

    words: str
    at: str


class Evidence:
    """The evidence of one run of a test, from where it was begun until `end()`."""

    def __init__(self, loop: SolipsistEventLoop, test: str) -> None:
        self.directory = ""
        self.always = False  # it is wanted of a test that passes, too
        self._test = test
        self._loop = loop
        self._world = loop.world
        self._situation = ""  # what there was when the test failed, or ended
        self._said: list[str] = []
        self._keys = Keys()
        self._failure: Failure | None = None
        self._tape = ends.begin(loop.kernel)
        self._steps = Steps(self._tape)
        self._world.on_tls = self._keys.note
        self._world.on_loop = self._watch
        self._loops: list[SolipsistEventLoop] = [loop]
        look_between(loop, self._steps)

    def _watch(self, loop: Any) -> None:
        """Write down the steps of the tasks of a loop that the program has made, too."""
        loop.on_tape = len(self._loops) + 1
        self._loops.append(loop)
        look_between(loop, self._steps)

    def fails(self, error: BaseException) -> None:
        """Note the moment at which the test fails: the first one counts."""
        with self._told():
            self._note(error)

    def _note(self, error: BaseException) -> None:
        self._look()
        if self._failure is None:
            place = user_line(error.__traceback__)
            text = traceback.format_exception_only(error)[0].strip()
            self._failure = Failure(text, str(place) if place is not None else "")
            self._tape.add_last("fails", 0, *filter(None, [text, place and f"at {place}"]), place=place)

    def look(self) -> None:
        """Note what there is now, unless the test has failed before: what it left is ended next."""
        with self._told():
            self._look()

    def _look(self) -> None:
        if not self._situation:
            self._situation = state(self._loop)

    def write(self, failures: Sequence[BaseException]) -> list[str]:
        """Write the files, and give their paths: those that could be written."""
        return self._write({**self._pages(failures), ".pcapng": self._capture})

    def renew(self, failures: Sequence[BaseException]) -> None:
        """Write again what has the notes of the failures."""
        self._write(self._pages(failures))

    def _pages(self, failures: Sequence[BaseException]) -> dict[str, Callable[[], bytes]]:
        return {".html": lambda: self._page(failures), ".txt": lambda: self._text(failures)}

    def _write(self, makers: dict[str, Callable[[], bytes]]) -> list[str]:
        stem = os.path.join(self.directory, file_name(self._test))
        paths: list[str] = []
        with outside():  # the files are real, whatever the test lives in
            for ending, make in makers.items():
                with self._told():
                    os.makedirs(self.directory, exist_ok=True)
                    content = make()
                    with open(stem + ending, "wb") as file:
                        file.write(content)
                    paths.append(stem + ending)
        return paths

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Say on stderr what goes wrong inside, once, and let the test be what it is."""
        try:
            yield
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            if words not in self._said:
                self._said.append(words)
                print(f"solipsism_unittest: the evidence of {self._test} could not be written to {self.directory!r}: "
                      f"{words}", file=sys.__stderr__)

    def _text(self, failures: Sequence[BaseException]) -> bytes:
        errors = list(map(_printed, failures))
        lost = [f"({self._tape.lost:,} later events were not kept)"] if self._tape.lost else []
        return ("\n\n".join([self._test, *errors, self._situation, *lost]) + "\n").encode("utf-8", "backslashreplace")

    def _capture(self) -> bytes:
        return capture(self._test, self._tape.began, self._tape.events, self._names(), self._keys.lines())

    def _page(self, failures: Sequence[BaseException]) -> bytes:
        failure = self._failure or Failure("", "")
        notes = [str(note) for error in failures for note in getattr(error, "__notes__", ())
                 if not str(note).startswith("evidence: ")]
        text = page(self._test, *failure, notes, self._tape.events, self._tape.lost, self._host)
        return text.encode("utf-8", "backslashreplace")

    def _host(self, address: str) -> str:
        kernel = self._world.kernel
        return (kernel.names.name_of(address) or address) if kernel.has_network else address

    def _names(self) -> dict[str, list[str]]:
        """The names of each address; the one that the program asked for last is the last."""
        names: dict[str, list[str]] = {}
        kernel = self._world.kernel
        if kernel.has_network:
            for host in kernel.names.hosts.values():
                for address in host.addresses:
                    names.setdefault(address, []).append(host.name)
            for lookup in kernel.names.lookups:
                for address in lookup.addresses:
                    known = names.setdefault(address, [])
                    known[:] = [*(name for name in known if name != lookup.name), lookup.name]
        return names

    def end(self) -> None:
        """Write nothing more down."""
        for loop in self._loops:
            look_away(loop, self._steps)
        self._world.on_tls = self._world.on_loop = None
        self._keys.end()
        ends.end(self._world.kernel)


def _printed(error: BaseException) -> str:
    """An error with its traceback, of the program's lines alone."""
    for part in parts([error]):
        clean(part)
    lines = lines_of(error.__traceback__)
    while lines and "__unittest" in lines[-1].tb_frame.f_globals:  # of the assertion itself
        lines.pop()
    return "".join(traceback.format_exception(type(error), error, trace_of(lines))).rstrip()


def file_name(test: str) -> str:
    """A name for the files of a test, by its id."""
    return re.sub(r"[^\w.()=,@+-]+", "_", test).encode()[-LONGEST:].decode(errors="ignore")

