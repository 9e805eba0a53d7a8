"""`VirtualSocket`: the face of `socket.socket` over the kernel.

Owns how a socket is made, what it is, how it is bound, connected and closed, its timeout and its options. Does not own
sending and receiving (traffic.py), the machine behind it (kernel/descriptors), or in which order Python looks for a
method (patches.py). It is a `socket.socket`, so `isinstance` and `TransportSocket` hold. It never calls the C
constructor: there is no descriptor behind it.
"""

from __future__ import annotations

import _socket
import errno
import math
import operator
import socket
import warnings
from asyncio import _get_running_loop
from collections.abc import Callable
from typing import Any, ClassVar, Self, cast

from ...errors import SolipsismError, UnclosedWarning
from ...introspection.places import Place, place_here, user_place
from ...kernel import READABLE, WRITABLE, Capacity, Kernel
from ...kernel.descriptors.end import Address, End
from ...kernel.descriptors.file import os_error
from ...kernel.descriptors.stream import Stream
from ...kernel.descriptors.transitions import CLOSED
from ...pythons import SETBLOCKING_TAKES_NUMBERS
from .. import escapes, waiting
from ..files.passed import own
from ..holdings import hold
from ..worlds import World
from . import addresses
from .patches import StockSocket, keep_from_patches, let_patches_reach
from .settings import options
from .traffic import OF_ITS_CLASS, Traffic

_UNDER_WAY = frozenset({errno.EAGAIN, errno.EINPROGRESS, errno.EALREADY})
_NEW: Any = _socket.socket.__new__
_STOCK: Any = StockSocket
_ACCEPT, _DUP = _STOCK.accept, _STOCK.dup
# A program may put something else there; the C code, which this stands for, does not ask for it by that name.
_default_timeout = _socket.getdefaulttimeout
# What Python gives is found by itself, and a plain number by its value.
_FAMILIES: dict[int, socket.AddressFamily] = {family: family for family in socket.AddressFamily}
_TYPES: dict[int, socket.SocketKind] = {kind: kind for kind in socket.SocketKind}
_NONBLOCK: int = getattr(socket, "SOCK_NONBLOCK", 0)
_FLAGS: int = _NONBLOCK | getattr(socket, "SOCK_CLOEXEC", 0)


def running_world() -> World | None:
    """The world of the loop that runs in this thread, or None."""
    world = getattr(_get_running_loop(), "world", None)
    return world if isinstance(world, World) else None


class Face(Traffic):
    """What is behind a socket in memory, whatever class it has."""

    __slots__ = OF_ITS_CLASS

    plain_end: End | None  # while the socket is open and no call on it waits; where that is not known, None too
    _accepted_: ClassVar[type[Face]]  # the class of what accept() makes

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        self._io_refs = 0
        self._number_ = -1
        self._closed = False
        self._end_ = self.plain_end = None
        self._family_, self._type_ = socket.AF_INET, socket.SOCK_STREAM
        world = getattr(self, "_world_", None) or running_world()
        if world is None:
            world = World(Kernel(), loose=True)
        self._world_ = world
        self._timeout_ = _default_timeout()
        if fileno is not None:
            self._take_(world, fileno, proto)
            return
        self._closed = True  # until there is an end
        family = socket.AF_INET if operator.index(family) == -1 else family
        type = socket.SOCK_STREAM if operator.index(type) == -1 else type
        if type not in _TYPES and type & _FLAGS:
            if type & _NONBLOCK:
                self._timeout_ = 0.0
            type &= ~_FLAGS
        known = _KINDS.get((family, type))
        if known is None:
            raise _no_such_kind(family, type)
        protocols, make = known
        if operator.index(proto) not in protocols:
            raise os_error(errno.EPROTONOSUPPORT)
        self._proto_ = 0 if proto == -1 else proto
        end = self._end_ = make(world.kernel, family, place_here(2))
        end.blocking = self._timeout_ is None
        self._number_ = end.number
        hold(world.kernel, end.number)
        self._family_, self._type_ = _FAMILIES[family], _TYPES[type]
        self._closed = False

    def _take_(self, world: World, number: int, proto: int) -> None:
        """Be the face of the end that a descriptor of this world has."""
        if operator.index(number) < 0:
            raise ValueError("negative file descriptor")
        number = own(number)
        end = world.kernel.files.get(number)
        if not isinstance(end, End):
            self._closed = True
            if end is not None:
                raise os_error(errno.ENOTSOCK)  # a pipe
            raise escapes.noted(world, f"descriptor {number!r} is not one of this world\n  a socket can only be made "
                                       "from the fileno() of a virtual socket of the same loop; open real descriptors "
                                       "outside the sealed thread")
        self._end_, self._number_ = end, number
        self._family_, self._type_ = _FAMILIES[end.family], _TYPES[end.type]
        self._proto_ = options.protocol(end) if operator.index(proto) == -1 else proto
        if self._timeout_ is not None:
            end.blocking = False

    @classmethod
    def _of_(cls, world: World, end: End, timeout: float | None, proto: int = 0) -> Self:
        face: Self = blank(cls, world)
        face._io_refs, face._closed = 0, False
        face._end_, face._number_ = end, end.number
        face._family_, face._type_, face._proto_ = _FAMILIES[end.family], _TYPES[end.type], proto
        face._timeout_ = timeout
        end.blocking = timeout is None
        face.plain_end = end if timeout == 0.0 else None
        return face

    @classmethod
    def on(cls, world: World, family: int, type: int = socket.SOCK_STREAM) -> Self:
        """A fresh non-blocking socket of a given world."""
        return cls._of_(world, _KINDS[family, type][1](world.kernel, family, user_place(2)), 0.0)

    @classmethod
    def pair(cls, world: World, capacity: Capacity = None, timeout: float | None = 0.0,
             family: int | None = None) -> tuple[Self, Self]:
        """Two sockets joined in memory; see `socketpair`."""
        ends = world.kernel.pair(capacity, user_place(2), *(() if family is None else (family,)))
        one, two = (cls._of_(world, end, timeout) for end in ends)
        return one, two

    @classmethod
    def datagram_pair(cls, world: World, timeout: float | None = 0.0) -> tuple[Self, Self]:
        """Two UNIX datagram sockets connected to each other."""
        one, two = (cls._of_(world, end, timeout) for end in world.kernel.datagram_pair(user_place(2)))
        return one, two

    # -- who and where

    def join(self, world: World) -> None:
        """Move to this world; SolipsismError when the socket has another one already."""
        mine = self._joined_world_
        if mine is not world:
            if not mine.loose:
                raise SolipsismError(f"{self!r} belongs to another event loop: sockets cannot be shared between loops")
            world.adopt(mine)

    def fileno(self) -> int:
        """The virtual descriptor, from 2**30 up; -1 when closed."""
        if self._end_ is None:
            return -1
        world = self._world_
        if world is not None and world.running and world.running[-1] is _get_running_loop():
            return self._number_  # the common case: there is nothing to find out
        world = running_world()
        if world is not None and world is not self._world_:
            Face.join(self, world)
        return self._number_ if self._joined_world_ is self._world_ else -1

    family = property(operator.attrgetter("_family_"))
    type = property(operator.attrgetter("_type_"))

    @property
    def proto(self) -> int:
        return self._proto_

    @property
    def timeout(self) -> float | None:
        return self._timeout_

    def gettimeout(self) -> float | None:
        return self._timeout_

    def settimeout(self, value: float | None) -> None:
        if value is not None:
            value = float(value if isinstance(value, float) else operator.index(value))
            if math.isnan(value):
                raise ValueError("Invalid value NaN (not a number)")
            if value < 0:
                raise ValueError("Timeout value out of range")
            if value * 1e9 >= 2**63:  # CPython counts nanoseconds
                raise OverflowError("timestamp too large to convert to C PyTime_t")
        self._timeout_ = value  # before a closed socket is refused
        self.plain_end = self._end_ if value == 0.0 else None
        (self._end_ or self._open_end_).blocking = value is None

    def setblocking(self, flag: bool) -> None:
        if SETBLOCKING_TAKES_NUMBERS:
            operator.index(flag)
        self._timeout_ = None if flag else 0.0  # as settimeout()
        self.plain_end = None if flag else self._end_
        (self._end_ or self._open_end_).blocking = bool(flag)

    def getblocking(self) -> bool:
        return self._timeout_ != 0.0

    def get_inheritable(self) -> bool:
        return self._open_end_.inheritable

    def set_inheritable(self, inheritable: bool) -> None:
        """Only remembered: there is no descriptor that a child process could inherit."""
        self._open_end_.inheritable = bool(inheritable)

    def getsockname(self) -> Any:
        return self._show_((self._end_ or self._open_end_).local)

    def getpeername(self) -> Any:
        return self._show_((self._end_ or self._open_end_).peer_address())

    # -- life

    def bind(self, address: Any) -> None:
        where = self._parse_(address, "bind")
        addresses.space(self._its_kernel_, self._open_end_).bind(self._open_end_, *where)

    def listen(self, backlog: int = 128) -> None:
        backlog = operator.index(backlog)
        end = self._open_end_
        addresses.space(self._its_kernel_, end).listen(end, backlog)

    def accept(self) -> tuple[socket.socket, Any]:
        if socket.socket is not _STOCK and self._accepted_ is VirtualSocket:
            return _ACCEPT(self)  # type: ignore[no-any-return]  # it makes one of the class that stands there
        world = self._joined_world_
        end = self._next_end_(world)
        face = self._accepted_._of_(world, end, _default_timeout(), self._proto_)
        return face, face._show_(end.remote)  # type: ignore[return-value]

    def _next_end_(self, world: World) -> End:
        """The end of the next connection, with a descriptor of its own."""
        listener = self._open_end_
        if self._timeout_ == 0.0 and not listener.blocking:
            end = listener.accept()
        else:
            end = self._attempt_("accept", listener.accept, READABLE)
        world.kernel.open(end)
        if self._accepted_ is VirtualSocket:
            hold(world.kernel, end.number)
        return end

    def _accept(self) -> tuple[int, Any]:
        """As the C method of this name."""
        end = self._next_end_(self._joined_world_)
        return end.number, self._show_(end.remote)

    def connect(self, address: Any) -> None:
        kernel, form = self._its_kernel_, addresses.FORMATS[self._family_]
        code = self._connect_(form.space(kernel), form.parse(kernel, address, "connect"), "connect")
        if code:
            raise os_error(code)

    def connect_ex(self, address: Any) -> int:
        kernel, form = self._its_kernel_, addresses.FORMATS[self._family_]
        where = form.parse(kernel, address, "connect_ex")
        return self._connect_(form.space(kernel), where, "connect_ex") if self._end_ else errno.EBADF

    def _connect_(self, space: Any, where: Address, call: str) -> int:
        """connect(2): the errno, or 0."""
        end = self._open_end_
        if not (self._timeout_ or end.blocking):
            return end.connect(lambda: space.connect(end, *where), False)

        def attempt() -> int:
            code = end.connect(lambda: space.connect(end, *where), True)
            if code in _UNDER_WAY:
                raise os_error(code)
            return code

        return self._attempt_(call, attempt, WRITABLE)

    def shutdown(self, how: int) -> None:
        how = operator.index(how)
        self._open_end_.shutdown(how)

    def _real_close(self) -> None:
        end, self._end_, self.plain_end = self._end_, None, None
        if end is None:
            return
        kernel = self._its_kernel_
        if self._number_ in kernel.files:
            kernel.release(self._number_)
        elif end.descriptors is not None and self._number_ not in kernel.reaped:
            # The program closed the number itself; one that a loop ended is no error.
            raise os_error(errno.EBADF)
        if end.linger and isinstance(end, Stream) and end.state is CLOSED:
            waiting.linger(self._joined_world_, end, user_place(2))

    def detach(self) -> int:
        """Return the descriptor and forget it: this socket is closed, and the connection goes on."""
        number = Face.fileno(self)
        self._end_ = self.plain_end = None
        self._closed = True
        return number

    def dup(self) -> Self:
        """Another socket with another descriptor of the same end, which is closed with the last one."""
        if not isinstance(self, self._accepted_):
            return _DUP(self)  # type: ignore[no-any-return]  # made as the program's own class says
        world, timeout = self._joined_world_, self._timeout_
        _ = self._open_end_
        face = type(self).__new__(type(self))
        face._world_ = world
        number = world.kernel.duplicate(self._number_)
        hold(world.kernel, number)
        Face.__init__(face, self._family_, self._type_, self._proto_, number)
        face.settimeout(timeout)
        return face

    def __del__(self) -> None:
        end, self._end_ = cast("End | None", getattr(self, "_end_", None)), None
        if end is not None and self._its_kernel_.files.get(self._number_) is end:
            self._end_ = end
            try:
                if self._number_ not in self._its_kernel_.reaped:
                    self._its_kernel_.abandon(end)
                    if not self._its_kernel_.is_reported(end):
                        warnings.warn(f"unclosed {self!r}", UnclosedWarning, stacklevel=2, source=self)
            finally:  # the warning may be an error
                self._end_ = None
                self._its_kernel_.release(self._number_)

    # -- options

    def setsockopt(self, level: int, optname: int, /, *values: Any) -> None:
        options.set_option(self._end_ or self._open_end_, level, optname, values)

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> Any:
        end = self._end_ or self._open_end_
        if optname == socket.SO_ERROR and level == socket.SOL_SOCKET and not buflen:  # as asyncio asks on each connect
            return end.take_error()
        return options.get_option(end, level, optname, buflen,
                                  lambda end: self._its_kernel_.network.path_mtu(end))

    if hasattr(socket.socket, "sendmsg_afalg"):  # pragma: no branch - Linux has it
        def sendmsg_afalg(self, *args: Any, **kwargs: Any) -> int:
            """Refused as by every socket that is not of AF_ALG."""
            raise OSError("algset is only supported for AF_ALG")

    def __repr__(self) -> str:
        end = self._end_
        kind = type(self).__name__
        return f"<{kind} fd={self._number_} {end!r}>" if end else f"<{kind} [closed]>"


class VirtualSocket(StockSocket, Face):  # type: ignore[misc]
    """A socket in memory: TCP and UDP over IPv4 and IPv6, UNIX sockets of both kinds, and pairs.

    It is made like `socket.socket`; inside a test, `socket.socket(...)` makes one. What Linux refuses is the same
    OSError. A blocking call that would wait in the thread of a loop that runs is a SolipsismError: nobody could end it.
    """

    # As a real one, it takes no other attributes. CPython 3.13 finds those of a dictionary slowly here.
    __slots__ = ("_world_", "_end_", "_family_", "_type_", "_proto_", "_number_", "_timeout_",
                 "plain_end")


class OwnSocket(Face, StockSocket):
    """A socket of the framework itself, which a program's patches of `socket.socket` do not reach."""


VirtualSocket._accepted_, OwnSocket._accepted_ = VirtualSocket, OwnSocket
Face._accepted_ = VirtualSocket
let_patches_reach(Face)
keep_from_patches(OwnSocket, Face)


def blank(cls: type, world: World) -> Any:
    """A socket of a given world before its `__init__`, made past what stands in for `socket.socket.__new__`."""
    face = _NEW(cls)
    face._world_, face._end_ = world, None
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
