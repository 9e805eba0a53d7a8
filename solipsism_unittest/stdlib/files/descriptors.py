"""Virtual descriptors: what `os.pipe`, `os.read`, `os.close`, `fcntl` and their like do with them.

Owns the replacements of the functions of modules os and fcntl that take a descriptor. Does not own file objects
(file_objects.py), or what is behind a descriptor: a pipe end or a socket (kernel/descriptors). The rule that keeps it
simple: a descriptor of this world is a number from 2**30 up; any other goes to the real function.

asyncio's own pipe transports run on these functions, unchanged.
"""

from __future__ import annotations

import errno
import functools
import operator
import os
import struct
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from ...errors import SolipsismError
from ...introspection.places import user_place
from ...kernel import FIRST_DESCRIPTOR, READABLE, WRITABLE
from ...kernel.descriptors.file import File, os_error
from ...kernel.descriptors.pipe import PipeEnd
from ...kernel.journal import counted
from .. import waiting
from ..holdings import hold
from ..worlds import World
from .paths import descriptor_facts

T = TypeVar("T")

_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


def is_virtual(number: Any) -> bool:
    """Whether a number is in the range of virtual descriptors."""
    return type(number) is int and number >= FIRST_DESCRIPTOR


def _refusal(world: World, call: str, number: int, file: File, went: str = "") -> SolipsismError:
    return waiting.refusal(world, call, f"descriptor {number}, {file!r},",
                           f"{went}call os.set_blocking({number}, False), or await loop.connect_read_pipe() or "
                           "loop.connect_write_pipe()")


def _wait(world: World, call: str, number: int, file: File, attempt: Callable[[], T], events: int) -> T:
    """What `attempt` returns. A blocking descriptor waits for it in a thread of its own, never in the loop's."""
    if file.blocking and waiting.is_elsewhere(world):
        return waiting.carry_out(world, attempt, [(number, events)], None, call)
    try:
        return attempt()
    except BlockingIOError:
        if not file.blocking:
            raise
    raise _refusal(world, call, number, file)


# -- replacements in module os, for descriptors of this world: (world, the arguments)


def pipe(world: World, flags: int = 0) -> tuple[int, int]:
    """os.pipe() and os.pipe2(): the descriptors of the end that reads and the end that writes."""
    allowed = _NONBLOCK | getattr(os, "O_CLOEXEC", 0)
    flags = operator.index(flags)
    if flags & ~allowed:
        raise os_error(errno.EINVAL)
    reader, writer = world.kernel.pipe(user_place(3))
    hold(world.kernel, reader.number, writer.number)
    reader.blocking = writer.blocking = not flags & _NONBLOCK
    return reader.number, writer.number


def read(world: World, fd: int, length: int, /) -> bytes:
    """As os.read. A blocking descriptor that has nothing to read would stop the only thread that could write."""
    file: Any = world.kernel.file(fd)
    length = operator.index(length)
    if length < 0:
        raise os_error(errno.EINVAL)
    return _wait(world, "os.read", fd, file, lambda: bytes(file.recv(length)), READABLE)


def readv(world: World, fd: int, buffers: Any, /) -> int:
    """As os.readv: the bytes go into the buffers one after the other."""
    views = [memoryview(buffer).cast("B") for buffer in buffers]
    data = read(world, fd, sum(map(len, views)))
    start = 0
    for view in views:
        part = data[start:start + len(view)]
        view[:len(part)] = part
        start += len(part)
    return len(data)


def write(world: World, fd: int, data: Any, /) -> int:
    """As os.write. A blocking descriptor has to take all of it."""
    file: Any = world.kernel.file(fd)
    with memoryview(data) as whole, whole.cast("B") if whole.nbytes else memoryview(b"") as view:
        sent = _wait(world, "os.write", fd, file, lambda: int(file.send(view)), WRITABLE)
        while sent < len(view) and file.blocking:
            if not waiting.is_elsewhere(world):
                raise _refusal(world, "os.write", fd, file, f"{sent} of {counted(len(view), 'byte')} went; ")
            rest = functools.partial(file.send, view[sent:])
            sent += _wait(world, "os.write", fd, file, rest, WRITABLE)
        return sent


def writev(world: World, fd: int, buffers: Any, /) -> int:
    """As os.writev: all the buffers as one write."""
    return write(world, fd, b"".join(bytes(buffer) for buffer in buffers))


def close(world: World, fd: int) -> None:
    """As os.close."""
    world.kernel.release(fd)


def dup(world: World, fd: int, /) -> int:
    """As os.dup."""
    number = world.kernel.duplicate(fd)
    hold(world.kernel, number)
    return number


def fstat(world: World, fd: int) -> os.stat_result:
    """As os.fstat."""
    return descriptor_facts(world.kernel.file(fd))


def get_blocking(world: World, fd: int, /) -> bool:
    """As os.get_blocking."""
    return world.kernel.file(fd).blocking


def set_blocking(world: World, fd: int, blocking: bool, /) -> None:
    """As os.set_blocking."""
    world.kernel.file(fd).blocking = bool(blocking)


def get_inheritable(world: World, fd: int, /) -> bool:
    """As os.get_inheritable: what was set; a program started with `close_fds=False` has it then."""
    return world.kernel.file(fd).inheritable


def set_inheritable(world: World, fd: int, inheritable: int, /) -> None:
    """As os.set_inheritable."""
    world.kernel.file(fd).inheritable = bool(inheritable)


def isatty(world: World, fd: int, /) -> bool:
    """As os.isatty: a virtual descriptor is never a terminal."""
    return False


DESCRIPTOR_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "read": read, "readv": readv, "write": write, "writev": writev, "close": close, "dup": dup, "fstat": fstat,
    "get_blocking": get_blocking, "set_blocking": set_blocking, "get_inheritable": get_inheritable,
    "set_inheritable": set_inheritable, "isatty": isatty,
}

# -- fcntl


def _get_flags(file: File, value: int) -> int:
    access = os.O_RDWR if not isinstance(file, PipeEnd) else os.O_WRONLY if file.writes else os.O_RDONLY
    return access | (0 if file.blocking else _NONBLOCK)


def _set_flags(file: File, value: int) -> int:
    file.blocking = not value & _NONBLOCK
    return 0


def _get_pipe_size(file: File, value: int) -> int:
    if not isinstance(file, PipeEnd):
        raise os_error(errno.EBADF)
    return file.capacity


def _set_pipe_size(file: File, value: int) -> int:
    if not isinstance(file, PipeEnd):
        raise os_error(errno.EBADF)
    return file.resize(value)


COMMANDS: dict[str, Callable[[File, int], int]] = {
    "F_GETFL": _get_flags, "F_SETFL": _set_flags,
    "F_GETFD": lambda file, value: 1, "F_SETFD": lambda file, value: 0,  # FD_CLOEXEC
    "F_GETPIPE_SZ": _get_pipe_size, "F_SETPIPE_SZ": _set_pipe_size,
}


def fcntl(world: World, commands: dict[int, str], fd: int, cmd: int, arg: Any = 0, /) -> int:
    """As fcntl.fcntl, for the commands above; `commands` gives their names by number. EINVAL for any other."""
    file = world.kernel.file(fd)
    if commands.get(cmd) not in COMMANDS:
        raise os_error(errno.EINVAL)
    return COMMANDS[commands[cmd]](file, operator.index(arg))


# -- ioctl

_FIONREAD, _TIOCOUTQ, _FIONBIO = 0x541B, 0x5411, 0x5421  # Linux's; SIOCINQ and SIOCOUTQ are the first two


def _set_nonblocking(file: File, value: int) -> int:
    file.blocking = not value
    return value


REQUESTS: dict[int, Callable[[File, int], int]] = {
    _FIONREAD: lambda file, value: file.unread(),
    _TIOCOUTQ: lambda file, value: 0,  # what was sent has arrived
    _FIONBIO: _set_nonblocking,
}


def ioctl(world: World, fd: int, request: int, arg: Any = 0, mutate_flag: bool = True, /) -> Any:
    """As fcntl.ioctl, for the requests above, which pass an int in a buffer. ENOTTY for any other."""
    file = world.kernel.file(fd)
    if request not in REQUESTS:
        raise os_error(errno.ENOTTY)
    if isinstance(arg, int):
        raise os_error(errno.EFAULT)  # an int has no room for the answer
    data = bytearray(memoryview(arg))
    size = struct.calcsize("i")
    given = int.from_bytes(data[:size], sys.byteorder, signed=True)
    data[:size] = REQUESTS[request](file, given).to_bytes(size, sys.byteorder, signed=True)
    with memoryview(arg) as view:
        if view.readonly or not mutate_flag:
            return bytes(data)
        view.cast("B")[:] = data
    return 0
