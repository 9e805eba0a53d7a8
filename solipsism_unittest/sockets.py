"""`VirtualSocket`: the face of `socket.socket` over the kernel.

Owns what a program passes in and gets back: address tuples, buffers, timeouts, options, exceptions of the right type. Does
not own what happens to bytes (kernel/stream.py). It is a `socket.socket`, so `isinstance` and `TransportSocket` hold, and it
never calls the C constructor: there is no descriptor behind it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, Self

from .errors import EscapeError, SolipsismError
from .kernel import Capacity, Kernel
from .kernel.files import os_error
from .kernel.names import unmap
from .kernel.stream import (
    BROKEN,
    CLOSED,
    CONNECTED,
    CONNECTING,
    FAILED,
    FRESH,
    LISTENING,
    RESET,
    Stream,
)
from .places import user_place

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]
else:
    Buffer = object

_SO_REUSEPORT = getattr(socket, "SO_REUSEPORT", None)  # not on every system
_MSG_DONTWAIT = getattr(socket, "MSG_DONTWAIT", 0)
_KNOWN_FLAGS = (socket.MSG_PEEK | _MSG_DONTWAIT | getattr(socket, "MSG_WAITALL", 0) | getattr(socket, "MSG_NOSIGNAL", 0)
                | getattr(socket, "MSG_MORE", 0))
_BLOCKED = frozenset({errno.EAGAIN, errno.EINPROGRESS})


def _bytes_of(data: Any) -> memoryview:
    view = memoryview(data)
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def running_kernel() -> Kernel | None:
    """The kernel of the loop that runs in this thread, or None."""
    kernel = getattr(asyncio._get_running_loop(), "kernel", None)
    return kernel if isinstance(kernel, Kernel) else None


class VirtualSocket(socket.socket):
    """A stream socket in memory: TCP over IPv4 and IPv6, and pairs.

    Made like `socket.socket`; inside a test, `socket.socket(...)` makes one. What Linux would refuse is the same OSError;
    a blocking call that would wait is a SolipsismError, since nothing else could run meanwhile.
    """

    # `kernel` is set between __new__ and __init__ by whoever knows which world this is (hermetic.py).
    _kernel: Kernel | None = None
    _end: Stream | None = None
    _closed: bool
    _io_refs: int

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        self._io_refs = 0
        self._closed = False
        self._connecting = False  # a non-blocking connect() is not reported yet
        kernel = self._kernel or running_kernel()
        if kernel is None:
            kernel = Kernel(loose=True)
        self._kernel = kernel
        self._timeout = socket.getdefaulttimeout()
        if fileno is not None:
            end = kernel.files.get(fileno)
            if not isinstance(end, Stream):
                self._closed = True
                raise EscapeError(f"descriptor {fileno!r} is not one of this world: a socket can only be made from the fileno() "
                                  "of a virtual socket of the same loop; open real descriptors outside the sealed thread")
            self._end = end
            self._proto = 0 if proto == -1 else proto
            return
        self._closed = True  # until there is an end
        family = socket.AF_INET if family == -1 else family
        type = socket.SOCK_STREAM if type == -1 else type
        flags = getattr(socket, "SOCK_NONBLOCK", 0)
        if type & flags:
            self._timeout = 0.0
        kind = type & ~(flags | getattr(socket, "SOCK_CLOEXEC", 0))
        if family not in (socket.AF_INET, socket.AF_INET6) or kind != socket.SOCK_STREAM:
            raise SolipsismError(f"socket.socket({family!r}, {type!r}) is not there yet: TCP sockets (AF_INET, AF_INET6 with "
                                 "SOCK_STREAM) and socketpair() are virtual")
        if proto not in (-1, 0, socket.IPPROTO_TCP):
            raise os_error(errno.EPROTONOSUPPORT)
        self._proto = 0 if proto == -1 else proto
        self._end = kernel.stream(family, user_place(2))
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
    def family(self) -> socket.AddressFamily:  # type: ignore[override]
        return socket.AddressFamily(self._end.family if self._end else socket.AF_INET)

    @property
    def type(self) -> socket.SocketKind:  # type: ignore[override]
        return socket.SOCK_STREAM

    @property
    def proto(self) -> int:
        return self._proto

    @property
    def timeout(self) -> float | None:  # type: ignore[override]
        return self._timeout

    def gettimeout(self) -> float | None:
        return self._timeout

    def settimeout(self, value: float | None) -> None:
        if value is not None:
            value = float(value)
            if value < 0:
                raise ValueError("Timeout value out of range")
        self._timeout = value

    def setblocking(self, flag: bool) -> None:
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        return self._timeout != 0.0

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
        host, port = address[:2]
        if not isinstance(port, int):
            raise TypeError(f"'{type(port).__name__}' object cannot be interpreted as an integer")
        if not 0 <= port <= 65535:
            raise OverflowError(f"{call}(): port must be 0-65535.")
        if host in ("", b""):
            return ("0.0.0.0" if end.family == socket.AF_INET else "::"), port
        found = self.kernel.names.getaddrinfo(host, 0, end.family, socket.SOCK_STREAM)
        return found[0][4][0], port

    # -- life

    def bind(self, address: Any) -> None:
        host, port = self._parse(address, "bind")
        self.kernel.network.bind(self.end, host, port)

    def listen(self, backlog: int = 128) -> None:
        end = self.end
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
        code = self._connect(address)
        if code in _BLOCKED and self._timeout != 0.0:
            self._refuse_to_wait("connect", os_error(code))
        if code:
            raise os_error(code)

    def connect_ex(self, address: Any) -> int:
        code = self._connect(address)
        if code in _BLOCKED and self._timeout != 0.0:
            self._refuse_to_wait("connect_ex", os_error(code))
        return code

    def _connect(self, address: Any) -> int:
        """connect(2): the errno, or 0."""
        host, port = self._parse(address, "connect")
        end = self.end
        if self._connecting:
            if end.state == CONNECTING:
                return errno.EALREADY
            self._connecting = False
            if end.state in CONNECTED:
                return 0
            if end.state in (FAILED, RESET, BROKEN):
                return end.retry()
        if end.state != FRESH:
            return errno.EISCONN
        if end.family == socket.AF_INET6 and ":" not in unmap(host) and end.v6_only:
            return errno.ENETUNREACH
        self.kernel.network.connect(end, host, port)
        if self._timeout == 0.0 or end.state == CONNECTING:
            # A handshake is never over when a non-blocking connect returns, not even on loopback.
            self._connecting = True
            return errno.EINPROGRESS
        return end.retry() if end.state == FAILED else 0

    def shutdown(self, how: int) -> None:
        self.end.shutdown(how)
        self._connecting = False

    def _real_close(self) -> None:  # type: ignore[override]
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
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            self._end = None
            self.kernel.abandoned.append(end)
            self.kernel.close(end)

    # -- bytes

    def _refuse_to_wait(self, call: str, error: OSError) -> NoReturn:
        """A non-blocking socket gets the error itself; a blocking one would stop the only thread that could wake it."""
        if self._timeout == 0.0:
            raise error
        raise SolipsismError(f"{call}() on {self!r} would block its thread at t={self.kernel.clock.now!r}, and virtual time with "
                             f"it: call setblocking(False) and await loop.sock_{call.partition('_')[0]}(), or use asyncio streams")

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        end = self._end or self.end
        try:
            return end.send(_bytes_of(data))
        except BlockingIOError as error:
            if flags & _MSG_DONTWAIT:
                raise
            self._refuse_to_wait("send", error)

    def sendall(self, data: Buffer, flags: int = 0, /) -> None:
        view = _bytes_of(data)
        self.send(view[:0], flags)  # says what is wrong with the connection even when there is nothing to send
        while view:
            view = view[self.send(view, flags):]

    def sendmsg(self, buffers: Iterable[Buffer], ancdata: Iterable[Any] = (), flags: int = 0,  # type: ignore[override]
                address: Any = None, /) -> int:
        if list(ancdata):
            raise SolipsismError("sendmsg() with ancillary data is not there yet")
        if address not in (None, ()):
            raise os_error(errno.EISCONN)
        sent = 0
        for buffer in buffers:
            view = _bytes_of(buffer)
            try:
                count = self.end.send(view)
            except BlockingIOError as error:
                if sent:
                    break
                self._refuse_to_wait("sendmsg", error)
            sent += count
            if count < len(view):
                break
        return sent

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if bufsize == 0:
            return b""  # in every state: the C code does not ask the system
        end = self._end or self.end
        try:
            return end.recv(bufsize) if not flags & socket.MSG_PEEK else end.peek(bufsize)
        except BlockingIOError as error:
            if flags & _MSG_DONTWAIT:
                raise
            self._refuse_to_wait("recv", error)

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        view = _bytes_of(buffer)
        if nbytes < 0:
            raise ValueError("negative buffersize in recv_into")
        if nbytes > len(view):
            raise ValueError("buffer too small for requested bytes")
        if nbytes:
            view = view[:nbytes]
        if not view:
            return 0
        try:
            if flags & socket.MSG_PEEK:
                data = self.end.peek(len(view))
                view[:len(data)] = data
                return len(data)
            return self.end.recv_into(view)
        except BlockingIOError as error:
            if flags & _MSG_DONTWAIT:
                raise
            self._refuse_to_wait("recv_into", error)

    # -- options

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None, /) -> None:  # type: ignore[override]
        end = self.end
        if level == socket.SOL_SOCKET and optname == socket.SO_LINGER:
            on, seconds = struct.unpack("ii", value)
            end.linger_zero = bool(on) and seconds == 0
        elif level == socket.SOL_SOCKET and optname == socket.SO_REUSEADDR:
            end.reuse_address = bool(value)
        elif level == socket.SOL_SOCKET and optname == _SO_REUSEPORT:
            end.reuse_port = bool(value)
        elif level == socket.IPPROTO_IPV6 and optname == socket.IPV6_V6ONLY:
            end.v6_only = bool(value)
        end.options[level, optname] = value

    def getsockopt(self, level: int, optname: int, buflen: int = 0, /) -> Any:  # type: ignore[override]
        end = self.end
        if level == socket.SOL_SOCKET and optname == socket.SO_ERROR:
            value: Any = end.take_error()
        elif level == socket.SOL_SOCKET and optname == socket.SO_TYPE:
            value = int(socket.SOCK_STREAM)
        elif level == socket.SOL_SOCKET and optname == socket.SO_ACCEPTCONN:
            value = int(end.state == LISTENING)
        else:
            value = end.options.get((level, optname), 0)
        if buflen:
            return value[:buflen] if isinstance(value, bytes) else struct.pack("i", value)[:buflen]
        return struct.unpack("i", value[:4])[0] if isinstance(value, bytes) else value

    def __repr__(self) -> str:
        end = self._end
        return f"<VirtualSocket fd={end.number} {end!r}>" if end else "<VirtualSocket [closed]>"


def _not_there_yet(name: str) -> Any:
    def refuse(self: VirtualSocket, *args: Any, **kwargs: Any) -> NoReturn:
        raise SolipsismError(f"{name}() of a virtual socket is not there yet: use recv, recv_into, send, sendall or sendmsg")

    refuse.__name__ = name
    refuse.__doc__ = f"Not there yet: `{name}` raises SolipsismError."
    return refuse


for _name in ("dup", "ioctl", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "sendfile", "sendmsg_afalg", "sendto",
              "share"):
    if hasattr(socket.socket, _name):
        setattr(VirtualSocket, _name, _not_there_yet(_name))


def socketpair(capacity: Capacity = None) -> tuple[VirtualSocket, VirtualSocket]:
    """Two non-blocking sockets joined in memory.

    `capacity` is how many bytes a direction holds before a send would block, exactly; a pair of numbers sets what the first
    and what the second may have under way. A pair made outside any loop joins the loop that it is first used with.
    """
    return VirtualSocket.pair(running_kernel() or Kernel(loose=True), capacity)


StreamPair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def stream_pairs(capacity: Capacity = None) -> tuple[StreamPair, StreamPair]:
    """Two asyncio stream pairs over `socketpair(capacity)`: ((reader1, writer1), (reader2, writer2))."""
    one, two = socketpair(capacity)
    return await asyncio.open_connection(sock=one), await asyncio.open_connection(sock=two)
