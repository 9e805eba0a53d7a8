"""The seal: for a thread inside the simulation, the standard library's doors lead into the kernel.

Owns the one process-wide table, thread -> kernel, and the list of what is replaced while any thread is sealed. A thread
is sealed while a test runs on it, while a `SolipsistEventLoop` runs on it, and inside `with sealed(loop)`; threads that a
sealed thread starts are sealed too. For every other thread each replacement calls what it replaced.

Classes are reached through `socket.socket.__new__` and Python functions through a facade in the place of `socket._socket`,
so names that were bound before the test are caught as well; C functions are replaced by name.
"""

from __future__ import annotations

import asyncio.selector_events
import errno
import functools
import socket
import threading
import time
import types
from collections.abc import Callable
from typing import Any, Self

from .errors import EscapeError, SolipsismError
from .kernel import Kernel
from .kernel.files import os_error
from .sockets import VirtualSocket

# Process-wide by nature: the replacements below are. The lock guards arming and disarming.
_kernels: dict[int, Kernel] = {}
_lock = threading.Lock()
_ident = threading.get_ident
_REAL_SOCKET = socket._socket  # type: ignore[attr-defined]
_MISSING = object()


def kernel_here() -> Kernel | None:
    """The kernel of this thread's world, or None for a thread that is not sealed."""
    return _kernels.get(_ident())


class sealed:  # noqa: N801 - a context manager that reads as a word, like contextlib's
    """`with sealed(loop):` this thread lives in the loop's world. It nests; leaving restores what was before.

    A loop that is not a SolipsistEventLoop is a SolipsismError.
    """

    def __init__(self, loop: Any) -> None:
        kernel = getattr(loop, "kernel", None)
        if not isinstance(kernel, Kernel):
            raise SolipsismError(f"{loop!r} has no virtual world: sealed() needs a SolipsistEventLoop")
        self._kernel = kernel
        self._before: list[Kernel | None] = []

    def __enter__(self) -> Self:
        ident = _ident()
        with _lock:
            if not _kernels:
                _arm()
            self._before.append(_kernels.get(ident))
            _kernels[ident] = self._kernel
        return self

    def __exit__(self, *exc_info: object) -> None:
        ident = _ident()
        with _lock:
            before = self._before.pop()
            if before is not None:
                _kernels[ident] = before
            else:
                _kernels.pop(ident, None)
                if not _kernels:
                    _disarm()


class _Replacement:
    """One name of one module or class, and what stands there while a thread is sealed."""

    def __init__(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        self.owner = owner
        self.name = name
        self._make = make  # from what stood there to what shall stand there
        self._before: Any = _MISSING
        self._ours: Any = _MISSING

    def arm(self) -> None:
        before = vars(self.owner).get(self.name, _MISSING)
        if before is not self._before or self._ours is _MISSING:
            self._before = before
            self._ours = self._make(before)
        setattr(self.owner, self.name, self._ours)

    def disarm(self) -> None:
        # Whoever replaced the name during the test and did not put it back keeps it: it is not ours to undo.
        if vars(self.owner).get(self.name, _MISSING) is self._ours:
            if self._before is _MISSING:
                delattr(self.owner, self.name)
            else:
                setattr(self.owner, self.name, self._before)


def _arm() -> None:
    for replacement in _REPLACEMENTS:
        replacement.arm()


def _disarm() -> None:
    for replacement in reversed(_REPLACEMENTS):
        replacement.disarm()


def _for_sealed(answer: Callable[..., Any]) -> Callable[[Any], Any]:
    """Make a replacement function: `answer(kernel, *args)` in a sealed thread, what stood there in any other."""

    def make(before: Any) -> Any:
        @functools.wraps(before)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            kernel = _kernels.get(_ident())
            return before(*args, **kwargs) if kernel is None else answer(kernel, *args, **kwargs)

        return replacement

    return make


# -- sockets


def _make_new(before: Any) -> Any:
    make = _REAL_SOCKET.socket.__new__

    def __new__(cls: type, *args: Any, **kwargs: Any) -> Any:
        kernel = _kernels.get(_ident())
        if kernel is None:
            return make(cls)
        if cls is socket.socket:
            face = make(VirtualSocket)
        elif issubclass(cls, VirtualSocket):
            face = make(cls)
        else:
            raise EscapeError(f"{cls.__module__}.{cls.__qualname__} is a real socket class: inside the simulation use "
                              "socket.socket, or asyncio's streams (TLS: ssl= of open_connection and start_server)")
        face._kernel = kernel
        return face

    return staticmethod(__new__)


def _socketpair(kernel: Kernel, family: int = getattr(socket, "AF_UNIX", socket.AF_INET), type: int = socket.SOCK_STREAM,
                proto: int = 0) -> Any:
    if family == socket.AF_INET or family == socket.AF_INET6:
        raise os_error(errno.EOPNOTSUPP)
    flags = getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)
    if type & ~flags != socket.SOCK_STREAM:
        raise SolipsismError(f"socket.socketpair() of type {type!r} is not there yet: SOCK_STREAM is")
    return VirtualSocket.pair(kernel, timeout=socket.getdefaulttimeout())


def _make_facade(before: Any) -> Any:
    facade = types.ModuleType("_socket", before.__doc__)
    vars(facade).update(vars(before))
    for name, answer in (("getaddrinfo", _getaddrinfo), ("socketpair", _socketpair)):
        if hasattr(before, name):
            setattr(facade, name, _for_sealed(answer)(getattr(before, name)))
    return facade


# -- names


def _getaddrinfo(kernel: Kernel, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
    return kernel.names.getaddrinfo(host, port, family, type, proto, flags)


def _getnameinfo(kernel: Kernel, sockaddr: Any, flags: int) -> Any:
    return kernel.names.getnameinfo(sockaddr, flags)


def _gethostbyname(kernel: Kernel, hostname: Any) -> str:
    return kernel.names.getaddrinfo(hostname, None or 0, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]


def _gethostbyname_ex(kernel: Kernel, hostname: Any) -> tuple[str, list[str], list[str]]:
    return hostname, [], [_gethostbyname(kernel, hostname)]


def _gethostbyaddr(kernel: Kernel, ip_address: Any) -> tuple[str, list[str], list[str]]:
    info = kernel.names.getaddrinfo(ip_address, 0, 0, socket.SOCK_STREAM)[0][4]
    return kernel.names.getnameinfo(info, socket.NI_NAMEREQD)[0], [], [info[0]]


def _gethostname(kernel: Kernel) -> str:
    return kernel.names.machine.name


# -- time, threads, loops


def _monotonic(kernel: Kernel) -> float:
    return kernel.clock.now


def _monotonic_ns(kernel: Kernel) -> int:
    return int(kernel.clock.now * 1_000_000_000)


def _make_thread_start(before: Any) -> Any:
    @functools.wraps(before)
    def start(self: threading.Thread) -> None:
        kernel = _kernels.get(_ident())
        if kernel is not None:
            run = self.run

            def run_sealed() -> None:
                with sealed(_World(kernel)):
                    run()

            self.run = run_sealed  # type: ignore[method-assign]
        before(self)

    return start


class _World:
    """What `sealed` needs to know of a loop."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel


def _refuse_stock_loop(kernel: Kernel, loop: Any) -> None:
    # The stock loop would register a virtual socket with a real selector and die of EBADF.
    loop._csock = loop._ssock = None
    raise EscapeError(f"{type(loop).__name__} is a real event loop, made inside the simulation: use "
                      "asyncio.Runner(loop_factory=SolipsistEventLoop), or await on the test's own loop")


_REPLACEMENTS = [
    _Replacement(socket.socket, "__new__", _make_new),
    _Replacement(socket, "_socket", _make_facade),
    _Replacement(socket, "gethostbyname", _for_sealed(_gethostbyname)),
    _Replacement(socket, "gethostbyname_ex", _for_sealed(_gethostbyname_ex)),
    _Replacement(socket, "gethostbyaddr", _for_sealed(_gethostbyaddr)),
    _Replacement(socket, "gethostname", _for_sealed(_gethostname)),
    _Replacement(socket, "getnameinfo", _for_sealed(_getnameinfo)),
    _Replacement(time, "monotonic", _for_sealed(_monotonic)),
    _Replacement(time, "monotonic_ns", _for_sealed(_monotonic_ns)),
    _Replacement(threading.Thread, "start", _make_thread_start),
    _Replacement(asyncio.selector_events.BaseSelectorEventLoop, "_make_self_pipe", _for_sealed(_refuse_stock_loop)),
]
