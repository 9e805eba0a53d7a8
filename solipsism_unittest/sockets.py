"""`VirtualSocket`: the face of `socket.socket` over the kernel.

Owns what a program passes in and gets back: address tuples, buffers, timeouts, options, exceptions of the right type.
Does not own what happens to bytes (kernel/stream.py). It is a `socket.socket`, so `isinstance` and `TransportSocket`
hold, and it never calls the C constructor: there is no descriptor behind it.
"""

from __future__ import annotations

import asyncio
import errno
import math
import operator
import socket
import struct
import sys
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, Self

from .errors import EscapeError, SolipsismError
from .kernel import Capacity, Kernel
from .kernel.files import os_error
from .kernel.names import unmap
from .kernel.stream import (
    CLOSED,
    CONNECTED,
    CONNECTING,
    FAILED,
    FRESH,
    LISTENING,
    Stream,
)
from .places import Place, user_place

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer
else:
    Buffer = object

_SO_REUSEPORT = getattr(socket, "SO_REUSEPORT", None)  # not on every system
_MSG_DONTWAIT = int(getattr(socket, "MSG_DONTWAIT", 0))
_MSG_PEEK = int(socket.MSG_PEEK)  # an enum's own `&` is Python code
_KNOWN_FLAGS = int(socket.MSG_PEEK | socket.MSG_DONTROUTE | _MSG_DONTWAIT | getattr(socket, "MSG_WAITALL", 0)
                   | getattr(socket, "MSG_NOSIGNAL", 0) | getattr(socket, "MSG_MORE", 0))
_BLOCKED = frozenset({errno.EAGAIN, errno.EINPROGRESS})
_AWAITED = {"connect_ex": "connect", "send": "sendall", "sendmsg": "sendall"}  # loop.sock_*, where it has another name

_LINGER = socket.SOL_SOCKET, socket.SO_LINGER
_V6ONLY = socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
_REUSE_ADDRESS = socket.SOL_SOCKET, socket.SO_REUSEADDR
_REUSE_PORT = socket.SOL_SOCKET, _SO_REUSEPORT
# What the system keeps as 1 or 0, whatever number it was given
_SWITCHES = frozenset({_V6ONLY, _REUSE_ADDRESS, _REUSE_PORT, (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                       (socket.SOL_SOCKET, socket.SO_BROADCAST), (socket.IPPROTO_TCP, socket.TCP_NODELAY)})
_SO_DOMAIN, _SO_PROTOCOL = getattr(socket, "SO_DOMAIN", None), getattr(socket, "SO_PROTOCOL", None)  # Linux has them
_READ_ONLY = frozenset({socket.SO_ERROR, socket.SO_TYPE, socket.SO_ACCEPTCONN, _SO_DOMAIN, _SO_PROTOCOL})


def _bytes_of(data: Any) -> memoryview:
    view = memoryview(data)
    if not view.c_contiguous:
        raise BufferError("memoryview: underlying buffer is not C-contiguous")
    if view.format == "B" and view.ndim == 1:
        return view
    return view.cast("B") if view.nbytes else memoryview(b"")  # an empty view cannot be cast


def _check_flags(flags: int) -> None:
    if flags & ~_KNOWN_FLAGS:
        raise SolipsismError(f"flags {flags!r} of a send or recv are not there yet: MSG_PEEK, MSG_DONTWAIT and "
                             "MSG_WAITALL are")


def place_here(depth: int = 1) -> Place | None:
    """As `user_place`; for what asyncio makes inside a task of its own, the place where that task was made."""
    place = user_place(depth + 1)
    if place is None and asyncio._get_running_loop() is not None:
        place = getattr(asyncio.current_task(), "_made_at", None)
    return place


def running_kernel() -> Kernel | None:
    """The kernel of the loop that runs in this thread, or None."""
    kernel = getattr(asyncio._get_running_loop(), "kernel", None)
    return kernel if isinstance(kernel, Kernel) else None


class VirtualSocket(socket.socket):
    """A stream socket in memory: TCP over IPv4 and IPv6, and pairs.

    Made like `socket.socket`; inside a test, `socket.socket(...)` makes one. What Linux would refuse is the same
    OSError; a blocking call that would wait is a SolipsismError, since nothing else could run meanwhile.
    """

    # `kernel` is set between __new__ and __init__ by whoever knows which world this is (hermetic.py).
    _kernel: Kernel | None = None
    _end: Stream | None = None
    _family: int = socket.AF_INET  # outlives the end
    _closed: bool
    _io_refs: int

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        self._io_refs = 0
        self._closed = False
        self._connecting = False  # a non-blocking connect() is not reported yet
        self._inheritable = False
        kernel = self._kernel or running_kernel()
        if kernel is None:
            kernel = Kernel(loose=True)
        self._kernel = kernel
        self._timeout = socket.getdefaulttimeout()
        if fileno is not None:
            if operator.index(fileno) < 0:
                raise ValueError("negative file descriptor")
            end = kernel.files.get(fileno)
            if not isinstance(end, Stream):
                self._closed = True
                raise EscapeError(f"descriptor {fileno!r} is not one of this world: a socket can only be made from the "
                                  "fileno() of a virtual socket of the same loop; open real descriptors outside the "
                                  "sealed thread")
            self._end = end
            self._family = end.family
            self._proto = 0 if proto == -1 else proto
            return
        self._closed = True  # until there is an end
        family = socket.AF_INET if operator.index(family) == -1 else family
        type = socket.SOCK_STREAM if operator.index(type) == -1 else type
        flags = getattr(socket, "SOCK_NONBLOCK", 0)
        if type & flags:
            self._timeout = 0.0
        kind = type & ~(flags | getattr(socket, "SOCK_CLOEXEC", 0))
        if family not in (socket.AF_INET, socket.AF_INET6) or kind != socket.SOCK_STREAM:
            raise SolipsismError(f"socket.socket({family!r}, {type!r}) is not there yet: TCP sockets (AF_INET, "
                                 "AF_INET6 with SOCK_STREAM) and socketpair() are virtual")
        if operator.index(proto) not in (-1, 0, socket.IPPROTO_TCP):
            raise os_error(errno.EPROTONOSUPPORT)
        self._proto = 0 if proto == -1 else proto
        self._end = kernel.stream(family, place_here(2))
        self._family = family
        self._closed = False

    @classmethod
    def _of(cls, kernel: Kernel, end: Stream, timeout: float | None, proto: int = 0) -> Self:
        face = cls.__new__(cls)
        face._kernel = kernel
        VirtualSocket.__init__(face, proto=proto, fileno=end.number)
        face._timeout = timeout
        return face

    @classmethod
    def on(cls, kernel: Kernel, family: int) -> Self:
        """A fresh non-blocking TCP socket of a given world."""
        return cls._of(kernel, kernel.stream(family, user_place(2)), 0.0)

    @classmethod
    def pair(cls, kernel: Kernel, capacity: Capacity = None, timeout: float | None = 0.0,
             family: int | None = None) -> tuple[Self, Self]:
        """Two sockets joined in memory; see `socketpair`."""
        ends = kernel.pair(capacity, user_place(2), *(() if family is None else (family,)))
        one, two = (cls._of(kernel, end, timeout) for end in ends)
        return one, two

    # -- who and where

    @property
    def kernel(self) -> Kernel:
        """The world that this socket belongs to (the one that adopted it, if it was made outside any loop)."""
        kernel = self._kernel
        assert kernel is not None
        while kernel.adopted_by is not None:
            kernel = kernel.adopted_by
        self._kernel = kernel
        return kernel

    @property
    def end(self) -> Stream:
        """The kernel's end behind this socket; EBADF when it is closed."""
        end = self._end
        if end is None:
            raise os_error(errno.EBADF)
        return end

    def join(self, kernel: Kernel) -> None:
        """Belong to this world from now on; SolipsismError when the socket has another one already."""
        mine = self.kernel
        if mine is not kernel:
            if not mine.loose:
                raise SolipsismError(f"{self!r} belongs to another event loop: sockets cannot be shared between loops")
            kernel.adopt(mine)

    def fileno(self) -> int:
        """The virtual descriptor, from 2**30 up; -1 when closed."""
        end = self._end
        if end is None:
            return -1
        kernel = running_kernel()
        if kernel is not None and kernel is not self._kernel:
            self.join(kernel)
        return end.number

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AddressFamily(self._family)

    @property
    def type(self) -> socket.SocketKind:
        return socket.SOCK_STREAM

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
            if math.isinf(value):
                raise OverflowError("timestamp out of range for platform time_t")
        _ = self.end
        self._timeout = value

    def setblocking(self, flag: bool) -> None:
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        return self._timeout != 0.0

    def get_inheritable(self) -> bool:
        _ = self.end
        return self._inheritable

    def set_inheritable(self, inheritable: bool) -> None:
        """Only remembered: there is no descriptor that a child process could inherit."""
        _ = self.end
        self._inheritable = bool(inheritable)

    def getsockname(self) -> Any:
        return self._address(self.end.local)

    def getpeername(self) -> Any:
        end = self.end
        if end.is_tcp and end.state not in CONNECTED:
            raise os_error(errno.ENOTCONN)
        return self._address(end.remote)

    def _address(self, address: tuple[str, int] | None) -> Any:
        end = self.end
        if not end.is_tcp:
            return ""
        if end.family == socket.AF_INET:
            return address or ("0.0.0.0", 0)
        host, port = address or ("::", 0)
        return (host if ":" in host else f"::ffff:{host}", port, 0, 0)

    def _parse(self, address: Any, call: str) -> tuple[str, int]:
        """(literal address, port) of what a program passed; names are looked up, as the C code does."""
        end = self.end
        if not end.is_tcp:
            raise SolipsismError(f"{call} on a UNIX socket is not there yet: this one is joined to its peer already")
        family = "AF_INET" if end.family == socket.AF_INET else "AF_INET6"
        if not isinstance(address, tuple):
            raise TypeError(f"{call}(): {family} address must be tuple, not {type(address).__name__}")
        if not (len(address) == 2 if end.family == socket.AF_INET else 2 <= len(address) <= 4):
            raise TypeError("AF_INET address must be a pair (host, port)" if end.family == socket.AF_INET else
                            "AF_INET6 address must be a tuple (host, port[, flowinfo[, scopeid]])")
        port, flow, _ = map(operator.index, (*address[1:], 0, 0)[:3])
        host = address[0]
        if isinstance(host, str):
            try:  # the C code leaves ASCII alone here: an empty label is a gaierror
                host = host.encode("ascii" if host.isascii() else "idna")
            except UnicodeError:
                raise TypeError("encoding of hostname failed") from None
        host = self.kernel.names.one_address(host, end.family)
        if not 0 <= port <= 65535:
            raise OverflowError(f"{call}(): port must be 0-65535.")
        if not 0 <= flow < 2**20:
            raise OverflowError(f"{call}(): flowinfo must be 0-1048575.")
        return host, port

    # -- life

    def bind(self, address: Any) -> None:
        host, port = self._parse(address, "bind")
        self.kernel.network.bind(self.end, host, port)

    def listen(self, backlog: int = 128) -> None:
        end = self.end
        backlog = operator.index(backlog)
        if not end.is_tcp:
            raise os_error(errno.EINVAL)
        self.kernel.network.listen(end, backlog)

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            end = self.end.accept()
        except BlockingIOError as error:
            self._refuse_to_wait("accept", error)
        self.kernel.open(end)
        face = VirtualSocket._of(self.kernel, end, socket.getdefaulttimeout(), self._proto)
        return face, face._address(end.remote)

    def connect(self, address: Any) -> None:
        code = self._connect(address, "connect")
        if code:
            raise os_error(code)

    def connect_ex(self, address: Any) -> int:
        return self._connect(address, "connect_ex")

    def _connect(self, address: Any, call: str) -> int:
        """connect(2): the errno, or 0."""
        host, port = self._parse(address, call)
        code = self._try_to_connect(host, port)
        if code in _BLOCKED and self._timeout != 0.0:
            self._refuse_to_wait(call, os_error(code))
        return code

    def _try_to_connect(self, host: str, port: int) -> int:
        end = self.end
        if self._connecting:
            if end.state == CONNECTING:
                return errno.EALREADY
            self._connecting = False
            return 0 if end.state in CONNECTED else end.retry()
        if end.state != FRESH:
            return errno.EISCONN
        if end.family == socket.AF_INET6 and ":" not in unmap(host) and end.v6_only:
            return errno.ENETUNREACH
        try:
            self.kernel.network.connect(end, host, port)
        except OSError as error:  # no port is left
            assert error.errno
            return error.errno
        if self._timeout == 0.0 or end.state == CONNECTING:
            # A handshake is never over when a non-blocking connect returns, not even on loopback.
            self._connecting = True
            return errno.EINPROGRESS
        return end.retry() if end.state == FAILED else 0

    def shutdown(self, how: int) -> None:
        self.end.shutdown(operator.index(how))
        self._connecting = False

    def _real_close(self) -> None:
        end, self._end = self._end, None
        if end is not None:
            self.kernel.close(end)

    def detach(self) -> int:
        """Give the descriptor away; the socket is closed and the connection lives on."""
        end, self._end = self._end, None
        self._closed = True
        return -1 if end is None else end.number

    def __del__(self) -> None:
        end, self._end = self._end, None
        if end is not None and end.state != CLOSED:
            self._end = end
            try:
                warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            finally:  # the warning may be an error
                self._end = None
                self.kernel.abandoned.append(end)
                self.kernel.close(end)

    # -- bytes

    def _refuse_to_wait(self, call: str, error: OSError) -> NoReturn:
        """A non-blocking socket gets the error itself; a blocking one would stop the only thread that could wake it."""
        if self._timeout == 0.0:
            raise error
        now, instead = self.kernel.clock.now, f"loop.sock_{_AWAITED.get(call, call)}()"
        raise SolipsismError(f"{call}() on {self!r} would block its thread at t={now!r}, and virtual time with it: "
                             f"call setblocking(False) and await {instead}, or use asyncio streams")

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        end = self._end or self.end
        if flags:
            _check_flags(flags)
        try:
            with _bytes_of(data) as view:  # let go before the error is told: who handles it may resize the buffer
                return end.send(view)
        except BlockingIOError as error:
            if flags & _MSG_DONTWAIT:
                raise
            self._refuse_to_wait("send", error)

    def sendall(self, data: Buffer, flags: int = 0, /) -> None:
        with _bytes_of(data) as view:
            sent = self.send(b"", flags)  # says what is wrong with the connection even when there is nothing to send
            while sent < len(view):
                with view[sent:] as rest:
                    sent += self.send(rest, flags)

    def sendmsg(self, buffers: Iterable[Buffer], ancdata: Iterable[Any] = (), flags: int = 0,
                address: Any = None, /) -> int:
        """As on a real socket; an address is ignored, as TCP does."""
        if list(ancdata):
            raise SolipsismError("sendmsg() with ancillary data is not there yet")
        room = self.end.room()
        data = bytearray()
        for buffer in buffers:
            with _bytes_of(buffer) as view:
                if len(data) <= room:  # what is behind cannot go: do not copy it each time
                    data += view
        return self.send(data, flags)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        if type(bufsize) is not int:
            bufsize = operator.index(bufsize)
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if bufsize == 0:
            return b""  # in every state: the C code does not ask the system
        end = self._end or self.end
        if flags:
            _check_flags(flags)
        try:
            return end.recv(bufsize) if not flags & _MSG_PEEK else end.peek(bufsize)
        except BlockingIOError as error:
            if flags & _MSG_DONTWAIT:
                raise
            self._refuse_to_wait("recv", error)

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        with memoryview(buffer) as whole:
            if whole.readonly or not whole.c_contiguous:
                raise TypeError("recv_into() argument 1 must be read-write bytes-like object, not "
                                f"{buffer.__class__.__name__}")
            with _bytes_of(whole) as view, view[:nbytes or len(view)] as part:
                if nbytes < 0:
                    raise ValueError("negative buffersize in recv_into")
                if nbytes > len(view):
                    raise ValueError("buffer too small for requested bytes")
                if not part:
                    return 0  # in every state: the C code does not ask the system
                if flags:
                    _check_flags(flags)
                try:
                    if not flags & _MSG_PEEK:
                        return self.end.recv_into(part)
                    data = self.end.peek(len(part))
                    part[:len(data)] = data
                    return len(data)
                except BlockingIOError as error:
                    if flags & _MSG_DONTWAIT:
                        raise
                    self._refuse_to_wait("recv_into", error)

    # -- options

    def setsockopt(self, level: int, optname: int, value: Any,
                   optlen: int | None = None, /) -> None:
        end = self.end
        option = level, optname
        if not isinstance(value, int) and not (value is None and optlen is not None):
            value = bytes(memoryview(value))
        self._check_level(level, errno.ENOPROTOOPT)
        if level == socket.SOL_SOCKET and optname in _READ_ONLY:
            raise os_error(errno.ENOPROTOOPT)
        if value is None:
            raise os_error(errno.EFAULT)  # no option of a stream is a null pointer
        if option == _LINGER:
            if isinstance(value, int) or len(value) < 8:
                raise os_error(errno.EINVAL)
            on, seconds = struct.unpack_from("ii", value)
            end.linger_zero = bool(on) and seconds == 0
        elif option in _SWITCHES:
            if not isinstance(value, int):
                if len(value) < 4:
                    raise os_error(errno.EINVAL)
                value = struct.unpack_from("i", value)[0]
            value = int(value != 0)
            if option == _REUSE_ADDRESS:
                end.reuse_address = bool(value)
            elif option == _REUSE_PORT:
                end.reuse_port = bool(value)
            elif option == _V6ONLY:
                if end.local is not None:
                    raise os_error(errno.EINVAL)
                end.v6_only = bool(value)
        end.options[option] = value

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> Any:
        end = self.end
        if not 0 <= buflen <= 1024:
            raise OSError("getsockopt buflen out of range")
        self._check_level(level, errno.EOPNOTSUPP)
        value = end.options.get((level, optname), 0)
        if level == socket.SOL_SOCKET:
            if optname == socket.SO_ERROR:
                value = end.take_error()
            elif optname == socket.SO_TYPE:
                value = int(socket.SOCK_STREAM)
            elif optname == socket.SO_ACCEPTCONN:
                value = int(end.state == LISTENING)
            elif optname == _SO_DOMAIN:
                value = int(end.family)
            elif optname == _SO_PROTOCOL:
                value = socket.IPPROTO_TCP if end.is_tcp else 0
            elif optname in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                value = value or end.capacity
            elif optname == socket.SO_LINGER:
                value = value or bytes(8)
        if buflen:
            return value[:buflen] if isinstance(value, bytes) else struct.pack("i", value)[:buflen]
        return int.from_bytes(value[:4], sys.byteorder, signed=True) if isinstance(value, bytes) else value

    def _check_level(self, level: int, not_six: int) -> None:
        """Refuse options of a protocol that this socket does not speak (`not_six`: the errno for IPv6's on IPv4)."""
        end = self.end
        if level in (socket.IPPROTO_TCP, socket.IPPROTO_IPV6) and not end.is_tcp:
            raise os_error(errno.EOPNOTSUPP)
        if level == socket.IPPROTO_IPV6 and end.family == socket.AF_INET:
            raise os_error(not_six)

    def __repr__(self) -> str:
        end = self._end
        return f"<VirtualSocket fd={end.number} {end!r}>" if end else "<VirtualSocket [closed]>"


def _not_there_yet(name: str) -> Any:
    def refuse(self: VirtualSocket, *args: Any, **kwargs: Any) -> NoReturn:
        raise SolipsismError(f"{name}() of a virtual socket is not there yet: use recv, recv_into, send, sendall or "
                             "sendmsg")

    refuse.__name__ = name
    refuse.__doc__ = f"Not there yet: `{name}` raises SolipsismError."
    return refuse


for _name in ("dup", "ioctl", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "sendfile", "sendmsg_afalg",
              "sendto", "share"):
    if hasattr(socket.socket, _name):
        setattr(VirtualSocket, _name, _not_there_yet(_name))


def socketpair(capacity: Capacity = None) -> tuple[VirtualSocket, VirtualSocket]:
    """Two non-blocking sockets joined in memory.

    `capacity` is how many bytes a direction holds before a send would block, exactly; a pair of numbers sets what the
    first and what the second may have under way. A pair made outside any loop joins the loop that it is first used
    with.
    """
    return VirtualSocket.pair(running_kernel() or Kernel(loose=True), capacity)


StreamPair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def stream_pairs(capacity: Capacity = None) -> tuple[StreamPair, StreamPair]:
    """Two asyncio stream pairs over `socketpair(capacity)`: ((reader1, writer1), (reader2, writer2))."""
    if running_kernel() is None:
        raise SolipsismError(f"stream_pairs() needs the virtual world, and {asyncio.get_running_loop()!r} has none: "
                             "run it on a SolipsistEventLoop")
    faces = socketpair(capacity)
    pairs: list[StreamPair] = []
    try:
        for face in faces:
            pairs.append(await asyncio.open_connection(sock=face))
    except BaseException:  # cancelled half-way
        for _, writer in pairs:
            writer.transport.abort()
        for face in faces:
            face.close()
        raise
    return pairs[0], pairs[1]
