"""`VirtualSocket`: the face of `socket.socket` over the kernel.

Owns how a socket is made, what it is, how it is bound, connected and closed, its timeout and its options. Does not own
sending and receiving (traffic.py), the machine behind it (kernel/descriptors), or in which order Python looks for a
method (patches.py). It is a `socket.socket`, so `isinstance` and `TransportSocket` hold. It never calls the C
constructor: there is no descriptor behind it.
"""

from __future__ import annotations

import _socket
import asyncio
import errno
import math
import operator
import socket
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Self

from ...errors import SolipsismError, UnclosedWarning
from ...introspection.places import Place, place_here, user_place
from ...kernel import READABLE, WRITABLE, Capacity, Kernel
from ...kernel.descriptors.end import Address, End
from ...kernel.descriptors.file import os_error
from ...pythons import SETBLOCKING_TAKES_NUMBERS
from .. import escapes
from ..worlds import World
from . import addresses
from .patches import StockSocket, keep_from_patches, let_patches_reach
from .settings import options
from .traffic import Traffic

_UNDER_WAY = frozenset({errno.EAGAIN, errno.EINPROGRESS, errno.EALREADY})
_NEW: Any = _socket.socket.__new__
_STOCK: Any = StockSocket
_ACCEPT, _DUP = _STOCK.accept, _STOCK.dup
# A program may put something else there; the C code, which this stands for, does not ask for it by that name.
_default_timeout = _socket.getdefaulttimeout
_FAMILIES = {int(family): family for family in socket.AddressFamily}
_TYPES = {int(kind): kind for kind in socket.SocketKind}


def running_world() -> World | None:
    """The world of the loop that runs in this thread, or None."""
    world = getattr(asyncio._get_running_loop(), "world", None)
    return world if isinstance(world, World) else None


class Face(Traffic):
    """What is behind a socket in memory, whatever class it has."""

    _accepted: ClassVar[type[Face]]  # the class of what accept() makes

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        self._io_refs = 0
        self._number = -1
        self._closed = False
        world = self._world or running_world()
        if world is None:
            world = World(Kernel(), loose=True)
        self._world = world
        self._timeout = _default_timeout()
        if fileno is not None:
            self._take(world, fileno, proto)
            return
        self._closed = True  # until there is an end
        family = socket.AF_INET if operator.index(family) == -1 else family
        type = socket.SOCK_STREAM if operator.index(type) == -1 else type
        flags = getattr(socket, "SOCK_NONBLOCK", 0)
        if type & flags:
            self._timeout = 0.0
        kind = type & ~(flags | getattr(socket, "SOCK_CLOEXEC", 0))
        if (family, kind) not in _KINDS:
            raise _no_such_kind(family, kind)
        protocols, make = _KINDS[family, kind]
        if operator.index(proto) not in protocols:
            raise os_error(errno.EPROTONOSUPPORT)
        self._proto = 0 if proto == -1 else proto
        self._end = make(world.kernel, family, place_here(2))
        self._end.blocking = self._timeout is None
        self._number = self._end.number
        self._family, self._type = family, kind
        self._closed = False

    def _take(self, world: World, number: int, proto: int) -> None:
        """Be the face of the end that a descriptor of this world has."""
        if operator.index(number) < 0:
            raise ValueError("negative file descriptor")
        end = world.kernel.files.get(number)
        if not isinstance(end, End):
            self._closed = True
            if end is not None:
                raise os_error(errno.ENOTSOCK)  # a pipe
            raise escapes.noted(world, f"descriptor {number!r} is not one of this world: a socket can only be "
                                       "made from the fileno() of a virtual socket of the same loop; open real "
                                       "descriptors outside the sealed thread")
        self._end, self._number = end, number
        self._family, self._type = end.family, end.type
        self._proto = options.protocol(end) if operator.index(proto) == -1 else proto
        if self._timeout is not None:
            end.blocking = False

    @classmethod
    def _of(cls, world: World, end: End, timeout: float | None, proto: int = 0) -> Self:
        face = cls.__new__(cls)
        face._world = world
        Face.__init__(face, proto=proto, fileno=end.number)
        face._timeout = timeout
        end.blocking = timeout is None
        return face

    @classmethod
    def on(cls, world: World, family: int, type: int = socket.SOCK_STREAM) -> Self:
        """A fresh non-blocking socket of a given world."""
        return cls._of(world, _KINDS[family, type][1](world.kernel, family, user_place(2)), 0.0)

    @classmethod
    def pair(cls, world: World, capacity: Capacity = None, timeout: float | None = 0.0,
             family: int | None = None) -> tuple[Self, Self]:
        """Two sockets joined in memory; see `socketpair`."""
        ends = world.kernel.pair(capacity, user_place(2), *(() if family is None else (family,)))
        one, two = (cls._of(world, end, timeout) for end in ends)
        return one, two

    @classmethod
    def datagram_pair(cls, world: World, timeout: float | None = 0.0) -> tuple[Self, Self]:
        """Two UNIX datagram sockets connected to each other."""
        one, two = (cls._of(world, end, timeout) for end in world.kernel.datagram_pair(user_place(2)))
        return one, two

    # -- who and where

    def join(self, world: World) -> None:
        """Move to this world; SolipsismError when the socket has another one already."""
        mine = self.world
        if mine is not world:
            if not mine.loose:
                raise SolipsismError(f"{self!r} belongs to another event loop: sockets cannot be shared between loops")
            world.adopt(mine)

    def fileno(self) -> int:
        """The virtual descriptor, from 2**30 up; -1 when closed."""
        end = self._end
        if end is None:
            return -1
        world = running_world()
        if world is not None and world is not self._world:
            self.join(world)
        return self._number if self.world is self._world else -1

    @property
    def family(self) -> socket.AddressFamily:
        return _FAMILIES[self._family]

    @property
    def type(self) -> socket.SocketKind:
        return _TYPES[self._type]

    @property
    def proto(self) -> int:
        return self._proto

    @property
    def timeout(self) -> float | None:
        return self._timeout

    def gettimeout(self) -> float | None:
        return self._timeout

    def settimeout(self, value: float | None) -> None:
        if value is not None:
            value = float(value if isinstance(value, float) else operator.index(value))
            if math.isnan(value):
                raise ValueError("Invalid value NaN (not a number)")
            if value < 0:
                raise ValueError("Timeout value out of range")
            if value * 1e9 >= 2**63:  # CPython counts nanoseconds
                raise OverflowError("timestamp too large to convert to C PyTime_t")
        self._timeout = value  # before a closed socket is refused
        self.end.blocking = value is None

    def setblocking(self, flag: bool) -> None:
        if SETBLOCKING_TAKES_NUMBERS:
            operator.index(flag)
        self._timeout = None if flag else 0.0  # as settimeout()
        self.end.blocking = bool(flag)

    def getblocking(self) -> bool:
        return self._timeout != 0.0

    def get_inheritable(self) -> bool:
        return self.end.inheritable

    def set_inheritable(self, inheritable: bool) -> None:
        """Only remembered: there is no descriptor that a child process could inherit."""
        self.end.inheritable = bool(inheritable)

    def getsockname(self) -> Any:
        return self._show(self.end.local)

    def getpeername(self) -> Any:
        return self._show(self.end.peer_address())

    # -- life

    def bind(self, address: Any) -> None:
        where = self._parse(address, "bind")
        addresses.space(self.kernel, self.end).bind(self.end, *where)

    def listen(self, backlog: int = 128) -> None:
        backlog = operator.index(backlog)
        end = self.end
        addresses.space(self.kernel, end).listen(end, backlog)

    def accept(self) -> tuple[socket.socket, Any]:
        if socket.socket is not _STOCK and self._accepted is VirtualSocket:
            return _ACCEPT(self)  # type: ignore[no-any-return]  # it makes one of the class that stands there
        world, end = self.world, self._next_end()
        face = self._accepted._of(world, end, _default_timeout(), self._proto)
        return face, face._show(end.remote)  # type: ignore[return-value]

    def _next_end(self) -> End:
        """The end of the next connection, with a descriptor of its own."""
        world, listener = self.world, self.end
        if self._timeout == 0.0 and not listener.blocking:
            end = listener.accept()
        else:
            end = self._attempt("accept", listener.accept, READABLE)
        world.kernel.open(end)
        return end

    def _accept(self) -> tuple[int, Any]:
        """As the C method of this name."""
        end = self._next_end()
        return end.number, self._show(end.remote)

    def connect(self, address: Any) -> None:
        code = self._connect(self._parse(address, "connect"), "connect")
        if code:
            raise os_error(code)

    def connect_ex(self, address: Any) -> int:
        where = self._parse(address, "connect_ex")
        return self._connect(where, "connect_ex") if self._end else errno.EBADF

    def _connect(self, where: Address, call: str) -> int:
        """connect(2): the errno, or 0."""
        end = self.end
        space = addresses.space(self.kernel, end)
        waits = self._waits(0)
        if not waits:
            return end.connect(lambda: space.connect(end, *where), False)

        def attempt() -> int:
            code = end.connect(lambda: space.connect(end, *where), True)
            if code in _UNDER_WAY:
                raise os_error(code)
            return code

        return self._attempt(call, attempt, WRITABLE)

    def shutdown(self, how: int) -> None:
        how = operator.index(how)
        self.end.shutdown(how)

    def _real_close(self) -> None:
        end, self._end = self._end, None
        if end is not None:
            self._release(end)

    def _release(self, end: End) -> None:
        kernel = self.kernel
        if self._number in kernel.files:
            kernel.release(self._number)
        elif end.descriptors is not None:  # the program closed the number itself; one that a loop ended is no error
            raise os_error(errno.EBADF)

    def detach(self) -> int:
        """Return the descriptor and forget it: this socket is closed, and the connection goes on."""
        number = Face.fileno(self)
        self._end = None
        self._closed = True
        return number

    def dup(self) -> Self:
        """Another socket with another descriptor of the same end, which is closed with the last one."""
        if not isinstance(self, self._accepted):
            return _DUP(self)  # type: ignore[no-any-return]  # made as the program's own class says
        world, timeout = self.world, self._timeout
        _ = self.end
        face = type(self).__new__(type(self))
        face._world = world
        Face.__init__(face, self._family, self._type, self._proto, world.kernel.duplicate(self._number))
        face.settimeout(timeout)
        return face

    def __del__(self) -> None:
        end, self._end = self._end, None
        if end is not None and self.kernel.files.get(self._number) is end:
            self._end = end
            try:
                if not self.kernel.is_reported(end):
                    warnings.warn(f"unclosed {self!r}", UnclosedWarning, stacklevel=2, source=self)
            finally:  # the warning may be an error
                self._end = None
                self.kernel.abandon(end)
                self.kernel.release(self._number)

    # -- options

    def setsockopt(self, level: int, optname: int, /, *values: Any) -> None:
        options.set_option(self.end, level, optname, *values)

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> Any:
        return options.get_option(self.end, level, optname, buflen)

    if hasattr(socket.socket, "sendmsg_afalg"):  # pragma: no branch - Linux has it
        def sendmsg_afalg(self, *args: Any, **kwargs: Any) -> int:
            """Refused as by every socket that is not of AF_ALG."""
            raise OSError("algset is only supported for AF_ALG")

    def __repr__(self) -> str:
        end = self._end
        kind = type(self).__name__
        return f"<{kind} fd={self._number} {end!r}>" if end else f"<{kind} [closed]>"


class VirtualSocket(StockSocket, Face):  # type: ignore[misc]
    """A socket in memory: TCP and UDP over IPv4 and IPv6, UNIX sockets of both kinds, and pairs.

    It is made like `socket.socket`; inside a test, `socket.socket(...)` makes one. What Linux refuses is the same
    OSError. A blocking call that would wait in the loop's thread is a SolipsismError: nothing else could run meanwhile.
    """


class OwnSocket(Face, StockSocket):
    """A socket of the framework itself, which a program's patches of `socket.socket` do not reach."""


VirtualSocket._accepted, OwnSocket._accepted = VirtualSocket, OwnSocket
Face._accepted = VirtualSocket
let_patches_reach(Face)
keep_from_patches(OwnSocket, Face)


def blank(cls: type, world: World) -> Any:
    """A socket of a given world before its `__init__`, made past what stands in for `socket.socket.__new__`."""
    face = _NEW(cls)
    face._world = world
    return face


# The kinds of sockets, by family and type: their protocols, and what makes an end.
_KINDS: dict[tuple[int, int], tuple[tuple[int, ...], Callable[[Kernel, int, Place | None], End]]] = {
    (socket.AF_INET, socket.SOCK_STREAM): ((-1, 0, socket.IPPROTO_TCP), Kernel.stream),
    (socket.AF_INET6, socket.SOCK_STREAM): ((-1, 0, socket.IPPROTO_TCP), Kernel.stream),
    (socket.AF_INET, socket.SOCK_DGRAM): ((-1, 0, socket.IPPROTO_UDP), Kernel.datagram),
    (socket.AF_INET6, socket.SOCK_DGRAM): ((-1, 0, socket.IPPROTO_UDP), Kernel.datagram),
}
if hasattr(socket, "AF_UNIX"):  # pragma: no branch - only Windows is without
    _KINDS[socket.AF_UNIX, socket.SOCK_STREAM] = (-1, 0, int(socket.AF_UNIX)), Kernel.stream
    _KINDS[socket.AF_UNIX, socket.SOCK_DGRAM] = (-1, 0, int(socket.AF_UNIX)), Kernel.datagram


def _no_such_kind(family: int, kind: int) -> Exception:
    """The error for a family or type that no system has, or that this world lacks."""
    if family not in map(int, socket.AddressFamily):
        return os_error(errno.EAFNOSUPPORT)
    if kind not in map(int, socket.SocketKind):
        return os_error(errno.EINVAL)
    return SolipsismError(f"there is no {socket.SocketKind(kind)!r} of {socket.AddressFamily(family)!r} in the "
                          "simulation: TCP, UDP, and UNIX sockets of the types SOCK_STREAM and SOCK_DGRAM are virtual; "
                          "what is beneath them is not")
