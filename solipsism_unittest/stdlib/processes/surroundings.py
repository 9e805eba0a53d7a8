"""What several programs of one interpreter find around them, each its own: sys.argv, os.environ, stdin, stdout, stderr.

Owns the stand-ins that are there while such programs run. Each asks in whose context it is used; in that of no program
it is what was there before.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping, MutableSequence
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Surroundings(NamedTuple):
    """What one program finds around it."""

    argv: list[str]
    environ: dict[str, str]
    stdin: Any
    stdout: Any
    stderr: Any
    ending: object = None  # what is to be done at the end of the program


_current: ContextVar[Surroundings | None] = ContextVar("solipsism_unittest.surroundings", default=None)


def surround(surroundings: Surroundings) -> None:
    """What runs in this context from now on finds these."""
    _current.set(surroundings)


surroundings_here = _current.get  # gives those of the program whose code runs; None for that of no program


def run_surrounded(surroundings: Surroundings, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Call it for a program, on a thread that this has started: what it finds is the program's."""
    token = _current.set(surroundings)
    try:
        return function(*args, **kwargs)
    finally:
        _current.reset(token)


class _Argv(MutableSequence[str]):
    """sys.argv. What is made of it is a list."""

    def __init__(self, before: list[str]) -> None:
        self._before = before

    def _list(self) -> list[str]:
        current = _current.get()
        return self._before if current is None else current.argv

    def __getitem__(self, index: Any) -> Any:
        return self._list()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._list()[index] = value

    def __delitem__(self, index: Any) -> None:
        del self._list()[index]

    def __len__(self) -> int:
        return len(self._list())

    def insert(self, index: int, value: str) -> None:
        """As a list's."""
        self._list().insert(index, value)

    def copy(self) -> list[str]:
        """As a list's."""
        return self._list()[:]

    def __add__(self, other: list[str]) -> list[str]:
        return self._list() + other

    def __radd__(self, other: list[str]) -> list[str]:
        return other + self._list()

    def __eq__(self, other: object) -> bool:
        return self._list() == other

    def __repr__(self) -> str:
        return repr(self._list())


class _Environ(MutableMapping[str, str]):
    """os.environ. What is made of it is a dict."""

    def __init__(self, before: MutableMapping[str, str]) -> None:
        self._before = before

    def _map(self) -> MutableMapping[str, str]:
        current = _current.get()
        return self._before if current is None else current.environ

    def __getitem__(self, name: str) -> str:
        return self._map()[name]

    def __setitem__(self, name: str, value: str) -> None:
        self._map()[name] = value

    def __delitem__(self, name: str) -> None:
        del self._map()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._map())

    def __len__(self) -> int:
        return len(self._map())

    def copy(self) -> dict[str, str]:
        """As that of os.environ."""
        return dict(self)

    def __or__(self, other: Mapping[str, str]) -> dict[str, str]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, str]) -> dict[str, str]:
        return {**other, **self}

    def __repr__(self) -> str:
        return f"environ({dict(self)!r})"


class _Stream:
    """One of sys.stdin, sys.stdout and sys.stderr."""

    def __init__(self, name: str, before: Any) -> None:
        self._name = name
        self._before = before

    def _stream(self) -> Any:
        current = _current.get()
        return self._before if current is None else getattr(current, self._name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream(), name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._stream())

    def __repr__(self) -> str:
        return repr(self._stream())


class _Shown:
    """How many programs need the stand-ins, and what was there before."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.programs = 0
        self.places: list[tuple[Any, str, Any, Any]] = []  # where, the name, what was there, the stand-in

    def put(self) -> None:
        """Put the stand-ins in their places."""
        argv, environ = _beneath(sys.argv), _beneath(os.environ)
        self.places = [(sys, "argv", argv, _Argv(argv)), (os, "environ", environ, _Environ(environ))]
        for name in ("stdin", "stdout", "stderr"):
            stream = _beneath(getattr(sys, name))
            self.places.append((sys, name, stream, _Stream(name, stream)))
        for owner, name, _, ours in self.places:
            setattr(owner, name, ours)

    def take_away(self) -> None:
        """Put back what was there, unless somebody has put a thing of his own there."""
        for owner, name, before, ours in self.places:
            if getattr(owner, name) is ours:
                setattr(owner, name, before)


def _beneath(thing: Any) -> Any:
    """What was there before, where somebody has put a stand-in back that he had found: contextlib.redirect_stdout()."""
    return thing._before if isinstance(thing, _Argv | _Environ | _Stream) else thing


_shown = _Shown()


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """In the block the stand-ins are there."""
    with _shown.lock:
        if not _shown.programs:
            _shown.put()
        _shown.programs += 1
    try:
        yield
    finally:
        with _shown.lock:
            _shown.programs -= 1
            if not _shown.programs:
                _shown.take_away()
