"""`VirtualSocket`: the face of `socket.socket` over the kernel.

Owns what a program passes in and gets back: address tuples, buffers, timeouts, options, exceptions of the right type.
Does not own what happens to bytes (kernel/stream.py, kernel/datagram.py). It is a `socket.socket`, so `isinstance` and
`TransportSocket` hold, and it never calls the C constructor: there is no descriptor behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import operator
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ...errors import SolipsismError, UnclosedWarning
from ...introspection.places import Place, place_here, user_place
from ...kernel import READABLE, WRITABLE, Capacity, Kernel
from ...kernel.descriptors.end import Address, End, Received
from ...kernel.descriptors.file import os_error
from .. import escapes, waiting
from ..worlds import World
from . import addresses, options
from .buffers import (
    MSG_DONTWAIT,
    MSG_TRUNC,
    MSG_WAITALL,
    PASSED_ON,
    bytes_of,
    check_ancillary_size,
    check_flags,
    socket_result,
    take_buffer,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer
else:
    Buffer = object
_UNDER_WAY = frozenset({errno.EAGAIN, errno.EINPROGRESS, errno.EALREADY})
_SENDFILE_BLOCK = 1 << 18  # bytes read at once

T = TypeVar("T")


def running_world() -> World | None:
    """The world of the loop that runs in this thread, or None."""
    world = getattr(asyncio._get_running_loop(), "world", None)
    return world if isinstance(world, World) else None


class VirtualSocket(socket.socket):
    """A socket in memory: TCP and UDP over IPv4 and IPv6, UNIX sockets of both kinds, and pairs.

    Made like `socket.socket`; inside a test, `socket.socket(...)` makes one. What Linux would refuse is the same
    OSError; a blocking call that would wait is a SolipsismError, since nothing else could run meanwhile.
    """

    # Set between __new__ and __init__ by whoever knows which world this is (stdlib/seal).
    _world: World | None = None
    _end: End | None = None
    _family: int = socket.AF_INET  # these outlive the end
    _type: int = socket.SOCK_STREAM
    _closed: bool
    _io_refs: int

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        self._io_refs = 0
        self._number = -1
        self._closed = False
        world = self._world or running_world()
        if world is None:
            world = World(Kernel(), loose=True)
        self._world = world
        kernel = world.kernel
        self._timeout = socket.getdefaulttimeout()
        if fileno is not None:
            if operator.index(fileno) < 0:
                raise ValueError("negative file descriptor")
            end = kernel.files.get(fileno)
            if not isinstance(end, End):
                self._closed = True
                if end is not None:
                    raise os_error(errno.ENOTSOCK)  # a pipe
                raise escapes.noted(world, f"descriptor {fileno!r} is not one of this world: a socket can only be "
                                            "made from the fileno() of a virtual socket of the same loop; open real "
                                            "descriptors outside the sealed thread")
            self._end, self._number = end, fileno
            self._family, self._type = end.family, end.type
            self._proto = options.protocol(end) if operator.index(proto) == -1 else proto
            if self._timeout is not None:
                end.blocking = False
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
        self._end = make(kernel, family, place_here(2))
        self._end.blocking = self._timeout is None
        self._number = self._end.number
        self._family, self._type = family, kind
        self._closed = False

    @classmethod
    def _of(cls, world: World, end: End, timeout: float | None, proto: int = 0) -> Self:
        face = cls.__new__(cls)
        face._world = world
        VirtualSocket.__init__(face, proto=proto, fileno=end.number)
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

    @property
    def world(self) -> World:
        """The world that this socket belongs to (the one that adopted it, if it was made outside any loop)."""
        world = self._world
        assert world is not None
        while world.adopted_by is not None:
            self._number = world.kernel.moved.get(self._number, -1)
            world = world.adopted_by
        self._world = world
        return world

    @property
    def kernel(self) -> Kernel:
        """The machine of its world."""
        return self.world.kernel

    @property
    def end(self) -> End:
        """The kernel's end behind this socket; EBADF when it is closed."""
        end = self._end
        if end is None:
            raise os_error(errno.EBADF)
        return end

    def join(self, world: World) -> None:
        """Belong to this world from now on; SolipsismError when the socket has another one already."""
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
        return socket.AddressFamily(self._family)

    @property
    def type(self) -> socket.SocketKind:
        return socket.SocketKind(self._type)

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
        if sys.version_info < (3, 12):
            operator.index(flag)  # only then it has to be a number
        self.settimeout(None if flag else 0.0)

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

    def _show(self, address: Address | None) -> Any:
        return addresses.show(self._family, address)

    def _parse(self, address: Any, call: str) -> Address:
        return addresses.parse(self.kernel, self._family, address, call)

    # -- life

    def bind(self, address: Any) -> None:
        where = self._parse(address, "bind")
        addresses.space(self.kernel, self.end).bind(self.end, *where)

    def listen(self, backlog: int = 128) -> None:
        backlog = operator.index(backlog)
        end = self.end
        addresses.space(self.kernel, end).listen(end, backlog)

    def accept(self) -> tuple[socket.socket, Any]:
        world, listener = self.world, self.end
        end = self._attempt("accept", listener.accept, READABLE)
        world.kernel.open(end)
        timeout = socket.getdefaulttimeout()
        face = VirtualSocket._of(world, end, timeout, self._proto)
        return face, face._show(end.remote)

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

        def attempt() -> int:
            code = end.connect(lambda: space.connect(end, *where), waits)
            if waits and code in _UNDER_WAY:
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
        elif end.descriptors is not None:  # the program closed the number itself; what a loop ended is no matter
            raise os_error(errno.EBADF)

    def detach(self) -> int:
        """Give the descriptor away; the socket is closed and the connection lives on."""
        number = self.fileno()
        self._end = None
        self._closed = True
        return number

    def dup(self) -> Self:
        """Another socket with another descriptor, and the same end behind both: it ends with the last one."""
        world, timeout = self.world, self._timeout
        _ = self.end
        face = type(self).__new__(type(self))
        face._world = world
        VirtualSocket.__init__(face, self._family, self._type, self._proto, world.kernel.duplicate(self._number))
        face.settimeout(timeout)
        return face

    def __del__(self) -> None:
        end, self._end = self._end, None
        if end is not None and self.kernel.files.get(self._number) is end:
            self._end = end
            try:
                warnings.warn(f"unclosed {self!r}", UnclosedWarning, stacklevel=2, source=self)
            finally:  # the warning may be an error
                self._end = None
                self.kernel.abandon(end)
                self.kernel.release(self._number)

    # -- bytes

    def _waits(self, flags: int) -> bool:
        """Whether a call that cannot go on waits: one with a timeout does so before it looks at any flag."""
        if self._timeout:
            return True
        return self.end.blocking and not flags & MSG_DONTWAIT

    def _attempt(self, call: str, attempt: Callable[[], T], events: int, flags: int = 0) -> T:
        """What `attempt` gives; a call that may wait does so in a thread of its own, and is refused in the loop's."""
        world = self.world
        waits = self._waits(flags)
        if waits and waiting.is_elsewhere(world):
            return waiting.carry_out(world, attempt, [(self._number, events)], self._timeout, call)
        try:
            return attempt()
        except BlockingIOError:
            if not waits:
                raise
        raise waiting.refusal(world, call, repr(self))

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        with bytes_of(data) as view:  # let go before an error is told: who handles it may resize the buffer
            if not flags and self._timeout == 0.0:
                return (self._end or self.end).send(view)
            return self._send("send", view, flags)

    def _send(self, call: str, view: memoryview, flags: int, where: Address | None = None) -> int:
        end = self.end
        check_flags(flags)
        if where is None:
            return self._attempt(call, lambda: end.send(view), WRITABLE, flags)
        addresses.space(self.kernel, end)  # who has a path must know the real folders
        return self._attempt(call, lambda: end.send_to(view, where), WRITABLE, flags)

    def sendall(self, data: Buffer, flags: int = 0, /) -> None:
        with bytes_of(data) as view:
            sent = self._send("sendall", view[:0], flags) if not view or self.type == socket.SOCK_STREAM else 0
            while sent < len(view):
                with view[sent:] as rest:
                    sent += self._send("sendall", rest, flags)

    def sendto(self, data: Buffer, *flags_and_address: Any) -> int:
        """sendto(data, address) or sendto(data, flags, address)."""
        if len(flags_and_address) not in (1, 2):
            raise TypeError(f"sendto() takes 2 or 3 arguments ({1 + len(flags_and_address)} given)")
        *flags, address = flags_and_address
        with bytes_of(data) as view:
            flag = operator.index(flags[0]) if flags else 0
            return self._send("sendto", view, flag, self._parse(address, "sendto"))

    def sendmsg(self, buffers: Iterable[Buffer], ancdata: Iterable[Any] = (), flags: int = 0,
                address: Any = None, /) -> int:
        """As on a real socket, without ancillary data."""
        where = None if address is None else self._parse(address, "sendmsg")
        room = self._end.room() if self._end and self._type == socket.SOCK_STREAM else math.inf
        data = bytearray()
        for buffer in buffers:
            with bytes_of(buffer) as view:
                if len(data) <= room:  # what is behind cannot go: do not copy it each time
                    data += view
        ancillary = list(ancdata)
        if not all(isinstance(item, tuple) and len(item) == 3 for item in ancillary):
            raise TypeError("[sendmsg() ancillary data items] must be 3-item tuples")
        if ancillary:
            raise SolipsismError("sendmsg() with ancillary data is not simulated: nothing but bytes goes from one "
                                 "virtual socket to another, no descriptors and no credentials")
        with memoryview(data) as view:
            return self._send("sendmsg", view, flags, where)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        if type(bufsize) is not int:
            bufsize = operator.index(bufsize)
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if bufsize == 0:
            return b""  # in every state: the C code does not ask the system
        if not flags and self._timeout == 0.0:
            return (self._end or self.end).recv(bufsize)
        return socket_result(self._receive("recv", bufsize, flags), flags)

    def _receive(self, call: str, size: int, flags: int) -> Received:
        end = self.end
        check_flags(flags)

        def attempt() -> Received:
            return end.receive(size, flags & PASSED_ON)

        received = self._attempt(call, attempt, READABLE, flags)
        if flags & MSG_WAITALL and end.type == socket.SOCK_STREAM and end.blocking and not flags & MSG_DONTWAIT:
            return self._receive_all(call, size, flags, received)
        return received

    def _receive_all(self, call: str, size: int, flags: int, received: Received) -> Received:
        """Go on until there is as much as was asked for, or no more to come."""
        end, parts, more = self.end, [received.data], len(received.data)
        while more and (size := size - more) > 0 and not end.error:
            data = self._attempt(call, lambda: end.receive(size, flags & MSG_TRUNC), READABLE, flags).data
            more = len(data)
            parts.append(data)
        data = b"".join(parts)
        return Received(data, received.source, received.flags, len(data))

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        with take_buffer(buffer, "recv_into", operator.index(nbytes)) as part:
            if not part:
                return 0  # in every state: the C code does not ask the system
            if not flags and self._timeout == 0.0:
                return (self._end or self.end).recv_into(part)
            return self._fill("recv_into", part, flags).length

    def _fill(self, call: str, part: memoryview, flags: int) -> Received:
        """Receive into a buffer; what is told beside the bytes is returned."""
        received = self._receive(call, len(part), flags)
        part[:len(received.data)] = received.data
        return received if flags & MSG_TRUNC else Received(
            received.data, received.source, received.flags, len(received.data))

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        bufsize = operator.index(bufsize)
        if bufsize < 0:
            raise ValueError("negative buffersize in recvfrom")
        received = self._receive("recvfrom", bufsize, flags)
        return socket_result(received, flags), self._source(received)

    def recvfrom_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        with take_buffer(buffer, "recvfrom_into", operator.index(nbytes)) as part:
            received = self._fill("recvfrom_into", part, flags)
        return received.length, self._source(received)

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> tuple[bytes, list[Any], int, Any]:
        """As on a real socket; the ancillary data are empty."""
        bufsize = operator.index(bufsize)
        if bufsize < 0:
            raise ValueError("negative buffer size in recvmsg()")
        check_ancillary_size(ancbufsize, "recvmsg")
        received = self._receive("recvmsg", bufsize, flags)
        return received.data, [], received.flags, self._source(received)

    def recvmsg_into(self, buffers: Iterable[Buffer], ancbufsize: int = 0, flags: int = 0,
                     /) -> tuple[int, list[Any], int, Any]:
        """As on a real socket; the ancillary data are empty."""
        with contextlib.ExitStack() as stack:
            parts = [stack.enter_context(take_buffer(buffer, "recvmsg_into", None)) for buffer in buffers]
            check_ancillary_size(ancbufsize, "recvmsg_into")
            received = self._receive("recvmsg_into", sum(map(len, parts)), flags)
            data = received.data
            for part in parts:
                part[:len(data)] = data[:len(part)]
                data = data[len(part):]
        length = received.length if flags & MSG_TRUNC else len(received.data)
        return length, [], received.flags, self._source(received)

    def _source(self, received: Received) -> Any:
        return None if received.source is None else self._show(received.source)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """As on a real socket: from `offset` of a regular file, else by reading and sending."""
        self._check_sendfile_params(file, offset, count)  # type: ignore[attr-defined]
        try:
            descriptor = file.fileno()
            size = os.fstat(descriptor).st_size
        except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
            size = 0
        if not size:
            return self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined, no-any-return]
        if self._timeout == 0.0:
            raise ValueError("non-blocking sockets are not supported")
        sent = 0
        try:
            while count is None or sent < count:
                wanted = _SENDFILE_BLOCK if count is None else min(_SENDFILE_BLOCK, count - sent)
                data = os.pread(descriptor, wanted, offset + sent)
                if not data:
                    return sent
                with memoryview(data) as view:
                    sent += self._send("sendfile", view, 0)
            return sent
        finally:
            if sent:
                file.seek(offset + sent)

    # -- options

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None, /) -> None:
        options.set_option(self.end, level, optname, value, optlen)

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> Any:
        return options.get_option(self.end, level, optname, buflen)

    if hasattr(socket.socket, "sendmsg_afalg"):  # pragma: no branch - Linux has it
        def sendmsg_afalg(self, *args: Any, **kwargs: Any) -> int:
            """Refused as by every socket that is not of AF_ALG."""
            raise OSError("algset is only supported for AF_ALG")

    def __repr__(self) -> str:
        end = self._end
        return f"<VirtualSocket fd={self._number} {end!r}>" if end else "<VirtualSocket [closed]>"


# What there is, by family and type: the protocols, and what makes an end.
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
    """What is wrong with a family or a type: no system has it, or this world does not."""
    if family not in map(int, socket.AddressFamily):
        return os_error(errno.EAFNOSUPPORT)
    if kind not in map(int, socket.SocketKind):
        return os_error(errno.EINVAL)
    return SolipsismError(f"there is no {socket.SocketKind(kind)!r} of {socket.AddressFamily(family)!r} in the "
                          "simulation: TCP, UDP, and UNIX sockets of the types SOCK_STREAM and SOCK_DGRAM are virtual; "
                          "what is beneath them is not")
