"""`Folder`: the folder that a program is in, where programs and their test share the one that the real process has.

Owns what `os.getcwd` and `os.chdir` do for each of them. A program's `os.chdir` moves the real process too, for what
opens files by relative paths is the system, and would look in the folder of the test. The test is told its own folder
all the same, and gets it back when the program ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ...kernel.descriptors.file import os_error
from ..worlds import World

__unittest = True
__tracebackhide__ = True

Real = Callable[..., Any]
# The real functions, whatever replaces them in module os later
_chdir, _getcwd = os.chdir, os.getcwd


class Folder:
    """The folder of one program. Nothing knows it outside of the program's context."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.is_over = False

    def leave(self) -> None:
        """The program has ended: if it has moved the real process that goes back."""
        self.is_over = True
        if _moved.by is self:
            _put_back()


class _Moved:
    """The program that has moved the real process, and from where."""

    by: Folder | None = None
    home: str | None = None


_moved = _Moved()
current: ContextVar[Folder | None] = ContextVar("solipsism_unittest.folder", default=None)
"""The folder of the program that runs in a context; None for the test itself."""


def _put_back() -> None:
    home, _moved.home, _moved.by = _moved.home, None, None
    with contextlib.suppress(OSError):  # the folder is gone
        _chdir(home or ".")


def folder_here() -> str:
    """The folder of what runs here, a program or the test; FileNotFoundError where it is gone."""
    folder = current.get()
    if folder is None:
        return _moved.home or _getcwd()
    try:
        return os.path.realpath(folder.path, strict=True)
    except OSError:
        raise os_error(errno.ENOENT) from None


def folder_at(given: Any) -> str:
    """The absolute path of a folder that is named here."""
    path = os.fsdecode(given)
    return path if os.path.isabs(path) else os.path.join(folder_here(), path)


def _is_as_ever() -> bool:
    """Whether the test itself asks, and no program has moved the real process."""
    return current.get() is None and _moved.home is None


def _answer_getcwd(world: World, real: Real) -> Any:
    return real() if _is_as_ever() else folder_here()


def _answer_getcwdb(world: World, real: Real) -> Any:
    return real() if _is_as_ever() else os.fsencode(folder_here())


def _answer_chdir(world: World, real: Real, path: Any) -> None:
    named = isinstance(path, str | bytes | os.PathLike) and os.fspath(path)
    try:
        _move(real, folder_at(path) if named and not _is_as_ever() else path)
    except OSError as error:
        error.filename = path
        raise


def _answer_fchdir(world: World, real: Real, fd: Any) -> None:
    _move(real, fd)


def _move(real: Real, target: Any) -> None:
    folder = current.get()
    if folder is None:  # the test goes where it likes
        real(target)
        _moved.home = _moved.by = None
        return
    home = _moved.home or _getcwd()
    real(target)
    _moved.home, _moved.by, folder.path = home, folder, _getcwd()
    if folder.is_over:  # a thread of it that a signal could not stop
        _put_back()


# The replacements in module os, by name
FOLDER_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "getcwd": _answer_getcwd, "getcwdb": _answer_getcwdb, "chdir": _answer_chdir, "fchdir": _answer_fchdir,
}
