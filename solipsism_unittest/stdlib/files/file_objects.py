"""File objects over virtual descriptors, as `open(fd)`, `os.fdopen(fd)` and `io.FileIO(fd)` make them.

Owns `PipeFile`, the raw file (the real io.FileIO takes only real descriptors), what stands for io.FileIO, and the
choice of the layers above. Does not own what reading and writing do (descriptors.py). The rule that keeps it simple:
the layers are those of module io.
"""

from __future__ import annotations

import errno
import io
import warnings
from typing import Any

from ...errors import UnclosedWarning
from ...kernel.descriptors.file import File, os_error
from ..worlds import World, world_here
from .descriptors import close, is_virtual, read, write
from .passed import own


class PipeFile(io.RawIOBase):
    """The raw file over a virtual descriptor, as io.FileIO is over a real one."""

    name: int

    def __init__(self, world: World, number: int, mode: str, closefd: bool = True) -> None:
        super().__init__()
        self.closefd = False
        world.kernel.file(number)
        self._world = world
        self._number = self.name = number
        self._reads = "r" in mode or "+" in mode
        self._writes = "r" not in mode or "+" in mode
        self.closefd = closefd

    @property
    def mode(self) -> str:
        """As that of io.FileIO."""
        return "rb+" if self._reads and self._writes else "rb" if self._reads else "wb"

    @property
    def end(self) -> File | None:
        """The end of the pipe; None when it is closed."""
        return self._world.kernel.files.get(self._number)

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def fileno(self) -> int:
        """The virtual descriptor."""
        self._check_open()
        return self._number

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        self._check_open()
        return self._reads

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        self._check_open()
        return self._writes

    def isatty(self) -> bool:
        """Return False: a virtual descriptor is never a terminal."""
        self._check_open()
        return False

    def readinto(self, buffer: Any, /) -> int | None:
        """Read what is there into the buffer; None when a non-blocking descriptor has nothing yet."""
        if not self.readable():
            raise io.UnsupportedOperation("File not open for reading")
        with memoryview(buffer) as whole, whole.cast("B") as view:
            try:
                data = read(self._world, self._number, len(view))
            except BlockingIOError:
                return None
            view[:len(data)] = data
            return len(data)

    def write(self, data: Any, /) -> int | None:
        """Write what there is room for; None where a non-blocking descriptor has none."""
        if not self.writable():
            raise io.UnsupportedOperation("File not open for writing")
        try:
            return write(self._world, self._number, data)
        except BlockingIOError:
            return None

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """ESPIPE: a pipe has no positions."""
        self._check_open()
        raise os_error(errno.ESPIPE)

    def tell(self) -> int:
        """See `seek`."""
        return self.seek(0)

    def close(self) -> None:
        """Close the descriptor too, unless `closefd` is false."""
        if self.closed:
            return
        try:
            super().close()
        finally:
            kernel = self._world.kernel
            if self.closefd and kernel.files and self._number not in kernel.reaped:  # or a world or a program has ended
                close(self._world, self._number)

    def __del__(self) -> None:
        if not self.closed and self.closefd:
            file = self._world.kernel.files.get(self._number)
            try:
                if self._number not in self._world.kernel.reaped and (
                        file is None or not self._world.kernel.is_reported(file)):
                    warnings.warn(f"unclosed file {self!r}", UnclosedWarning, stacklevel=2, source=self)
            finally:  # the warning may be an error
                if file is not None:
                    self._world.kernel.abandon(file)
                    self.close()

    def __repr__(self) -> str:
        if self.closed:
            return "<PipeFile [closed]>"
        return f"<PipeFile name={self._number} mode={self.mode!r} closefd={self.closefd}>"


def raw_files(before: Any) -> Any:
    """Make what stands for `io.FileIO`, which may be subclassed: of a virtual descriptor it makes a `PipeFile`."""

    class OfRawFiles(type(io.RawIOBase)):  # type: ignore[misc]
        """All raw files, real ones and those over virtual descriptors, are instances of it."""

        def __instancecheck__(cls, thing: Any) -> bool:
            return isinstance(thing, (before, PipeFile)) if cls is face else super().__instancecheck__(thing)

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            if cls is not face:
                return super().__call__(*args, **kwargs)
            world, file = world_here(), args[0] if args else kwargs.get("file")
            return before(*args, **kwargs) if world is None or not is_virtual(file) else _raw(world, *args, **kwargs)

    face: Any = OfRawFiles(before.__name__, (before,), {"__doc__": before.__doc__, "__module__": before.__module__})
    return face


def _raw(world: World, file: int, mode: str = "r", closefd: bool = True, opener: Any = None) -> PipeFile:
    return PipeFile(world, own(file), mode, closefd)


def open_descriptor(world: World, fd: int, mode: str = "r", buffering: int = -1, encoding: str | None = None,
                    errors: str | None = None, newline: str | None = None, closefd: bool = True,
                    opener: Any = None) -> Any:
    """As open(): a raw, buffered or text file over a virtual descriptor."""
    kinds, binary = set(mode) & set("rwax"), "b" in mode
    if set(mode) - set("rwaxbt+") or len(set(mode)) != len(mode):
        raise ValueError(f"invalid mode: {mode!r}")
    if binary and "t" in mode:
        raise ValueError("can't have text and binary mode at once")
    if not kinds:
        raise ValueError("Must have exactly one of create/read/write/append mode and at most one plus")
    if len(kinds) > 1:
        raise ValueError("must have exactly one of create/read/write/append mode")
    if binary and (encoding, errors, newline) != (None, None, None):
        name = "an encoding" if encoding is not None else "an errors" if errors is not None else "a newline"
        raise ValueError(f"binary mode doesn't take {name} argument")
    raw = PipeFile(world, fd, mode, closefd)
    if not buffering and binary:
        return raw
    if not buffering:
        raw.close()
        raise ValueError("can't have unbuffered text I/O")
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    if "+" in mode:
        raw.close()
        raise io.UnsupportedOperation("File or stream is not seekable.")
    buffered = io.BufferedReader(raw, size) if kinds == {"r"} else io.BufferedWriter(raw, size)
    if binary:
        return buffered
    text = io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)
    text.mode = mode  # type: ignore[misc]
    return text
