"""The seal: for a thread inside the simulation, the standard library's doors lead into the kernel.

Owns the one process-wide table, thread -> world, and the list of what is replaced while any thread is sealed. A
thread is sealed while a test runs on it, while a `SolipsistEventLoop` runs on it, and inside `with sealed(loop)`;
threads that a sealed thread starts are sealed too. For every other thread each replacement calls what it replaced.

Classes are reached through `socket.socket.__new__` and Python functions through a facade in the place of
`socket._socket`, so names that were bound before the test are caught as well; C functions are replaced by name, also
where another module has bound them (bindings.py). What gets past all that meets the guard (guard.py).
"""

from __future__ import annotations

import _socket
import asyncio.selector_events
import builtins
import concurrent.futures
import errno
import functools
import io
import operator
import os
import select
import selectors
import socket
import subprocess
import sys
import threading
import time
import types
from typing import Any

from ...errors import SolipsismError
from ...introspection import modules
from ...kernel import PAIR_FAMILY
from ...kernel.descriptors.file import os_error
from .. import escapes
from ..clocks import monotonic, monotonic_ns
from ..files import descriptors, file_objects, paths, polling, sendfile
from ..files.descriptors import is_virtual
from ..sockets import lookups
from ..sockets.virtual_socket import VirtualSocket
from ..threads import blocking
from ..worlds import World, by_thread, leave_every_world, thread_id, use_seal
from . import guard, permits
from .early_names import Bindings
from .replacements import (
    MISSING,
    Replacement,
    Shelf,
    for_clocks,
    for_descriptors,
    for_file_objects,
    for_look_ups,
    for_paths,
    for_pollers,
    for_sealed,
    for_selectors,
)
from .thread_starts import make_pool, make_result, make_submit, make_thread_start, make_waiters

_REAL_SOCKET = socket._socket  # type: ignore[attr-defined]


def _arm() -> None:
    _install_guard()
    for replacement in _REPLACEMENTS:
        replacement.arm()
    _BINDINGS.arm()


def _disarm() -> None:
    _BINDINGS.disarm()
    for replacement in reversed(_REPLACEMENTS):
        replacement.disarm()


@functools.cache
def _install_guard() -> None:
    # Once for the process: an audit hook cannot be removed.
    sys.addaudithook(guard.hook_for(by_thread))


# -- sockets

_new = _REAL_SOCKET.socket.__new__
_SOCKET = socket.socket  # by that name somebody else's class may stand there in a test


def _make_new(before: Any) -> Any:
    make = _new if before is MISSING else getattr(before, "__func__", before)

    def __new__(cls: type, *args: Any, **kwargs: Any) -> Any:
        world = by_thread.get(thread_id())
        if world is None or _is_real_here(cls, sys._getframe(1)):
            return make(cls, *args, **kwargs)
        if cls is _SOCKET:
            face = _new(VirtualSocket)
        elif issubclass(cls, VirtualSocket):
            face = _new(cls)
        elif not world.guarded:
            return make(cls, *args, **kwargs)
        else:
            raise escapes.noted(world, f"{cls.__module__}.{cls.__qualname__} is a real socket class: inside the "
                                      "simulation use socket.socket, or asyncio's streams (TLS: ssl= of "
                                      "open_connection and start_server)")
        face._world = world
        return face

    return staticmethod(__new__)


def _is_real_here(cls: type, maker: types.FrameType) -> bool:
    return modules.manages_processes(maker) or (guard.wants_real_network(maker) and not issubclass(cls, VirtualSocket))


def _socketpair(world: World, family: int = PAIR_FAMILY, type: int = socket.SOCK_STREAM, proto: int = 0) -> Any:
    if operator.index(family) in (socket.AF_INET, socket.AF_INET6):
        raise os_error(errno.EOPNOTSUPP)
    if operator.index(proto):
        raise os_error(errno.EPROTONOSUPPORT)
    flags = getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)
    timeout = 0.0 if type & getattr(socket, "SOCK_NONBLOCK", 0) else socket.getdefaulttimeout()
    if operator.index(type) & ~flags == socket.SOCK_DGRAM:
        return VirtualSocket.datagram_pair(world, timeout)
    if operator.index(type) & ~flags != socket.SOCK_STREAM:
        raise SolipsismError(f"socket.socketpair() of type {type!r} is not simulated: SOCK_STREAM and SOCK_DGRAM are")
    return VirtualSocket.pair(world, timeout=timeout)


def _make_socketpair(before: Any) -> Any:
    @functools.wraps(before)
    def socketpair(*args: Any, **kwargs: Any) -> Any:
        world = by_thread.get(thread_id())
        if world is None or _is_real_here(_SOCKET, sys._getframe(1)):
            return before(*args, **kwargs)
        return _socketpair(world, *args, **kwargs)

    return socketpair


def _make_bare_socketpair(before: Any) -> Any:
    """The C function itself, which has no audit event."""

    @functools.wraps(before)
    def socketpair(*args: Any, **kwargs: Any) -> Any:
        world = by_thread.get(thread_id())
        error = world and guard.refuse(world, "network", "_socket.socketpair", "would make real sockets")
        try:
            if error:
                raise error
        finally:
            del error  # its traceback has this frame
        return before(*args, **kwargs)

    return socketpair


def _make_facade(before: Any) -> Any:
    facade = types.ModuleType("_socket", before.__doc__)
    makers = {"getaddrinfo": for_look_ups(lookups.getaddrinfo), "socketpair": _make_socketpair}
    vars(facade).update(vars(before))
    vars(facade).update({name: make(getattr(before, name)) for name, make in makers.items()
                         if hasattr(before, name)})  # not every system has the C socketpair
    return facade


def _make_pipe(before: Any) -> Any:
    @functools.wraps(before)
    def make_pipe(*args: Any) -> Any:
        world = by_thread.get(thread_id())
        # Real child processes inherit real pipes, or are given them.
        if world is None or modules.manages_processes(sys._getframe(1)) or permits.is_let_out("subprocess"):
            return before(*args)
        return descriptors.pipe(world, *args)

    return make_pipe


def _make_open(before: Any) -> Any:
    @functools.wraps(before)
    def open(file: Any, *args: Any, **kwargs: Any) -> Any:
        world = by_thread.get(thread_id())
        if world is not None and is_virtual(file):
            return file_objects.open_descriptor(world, file, *args, **kwargs)
        if world is not None and world.kernel.paths and not isinstance(file, int):
            paths.check_not_a_socket(world, file)
        return before(file, *args, **kwargs)

    return open


def _fcntl_shelf() -> Shelf | None:
    try:
        import fcntl
    except ImportError:  # pragma: no cover - there is none on Windows
        return None
    commands = {getattr(fcntl, name): name for name in descriptors.COMMANDS if hasattr(fcntl, name)}
    return Shelf(fcntl, {"fcntl": for_file_objects(functools.partial(_fcntl, commands)),
                          "ioctl": for_file_objects(descriptors.ioctl)})


def _fcntl(commands: dict[int, str], world: World, *args: Any) -> int:
    return descriptors.fcntl(world, commands, *args)


def _refuse_stock_loop(world: World, loop: Any) -> None:
    # The stock loop would register a virtual socket with a real selector and die of EBADF.
    loop._selector.close()
    loop._closed = True  # or __del__ would close what was never opened
    raise escapes.noted(world, f"{type(loop).__name__} is a real event loop, made inside the simulation: use "
                              "asyncio.Runner(loop_factory=SolipsistEventLoop), or await on the test's own loop")


_REPLACEMENTS: list[Replacement | Shelf] = [
    Replacement(_SOCKET, "__new__", _make_new),
    Shelf(os, {
        **{name: for_paths(answer) for name, answer in paths.PATH_FUNCTIONS.items()},
        **{name: for_descriptors(answer) for name, answer in descriptors.DESCRIPTOR_FUNCTIONS.items()},
        "sendfile": for_descriptors(sendfile.sendfile),
        "pipe": _make_pipe, "pipe2": _make_pipe,
    }),
    Shelf(io, {"open": _make_open}),
    Shelf(builtins, {"open": _make_open, "input": blocking.make_input}),
    *filter(None, [_fcntl_shelf()]),
    Shelf(socket, {
        "_socket": _make_facade,
        **{name: for_look_ups(answer) for name, answer in lookups.ANSWERS.items()},
        **{name: for_descriptors(descriptors.DESCRIPTOR_FUNCTIONS[name]) for name in ("close", "dup")},
    }),
    Shelf(_socket, {
        "socketpair": _make_bare_socketpair,
        # Those without an audit event. The others the guard sees.
        **{name: for_look_ups(lookups.ANSWERS[name]) for name in ("getprotobyname", "if_nameindex", "if_nametoindex",
                                                                  "if_indextoname")},
    }),
    Shelf(select, {name: for_pollers(answer) for name, answer in polling.ANSWERS.items()}),
    *(Replacement(getattr(selectors, owner), attribute, for_selectors(polling.ANSWERS[name]))
      for owner, attribute, name in (("SelectSelector", "_select", "select"), ("PollSelector", "_selector_cls", "poll"),
                                     ("EpollSelector", "_selector_cls", "epoll")) if hasattr(selectors, owner)),
    Shelf(time, {"monotonic": for_clocks(monotonic), "monotonic_ns": for_clocks(monotonic_ns),
                  "sleep": blocking.make_sleep}),
    Replacement(threading.Thread, "start", make_thread_start),
    Replacement(concurrent.futures.ThreadPoolExecutor, "__init__", make_pool),
    Replacement(concurrent.futures.ThreadPoolExecutor, "submit", make_submit),
    Replacement(concurrent.futures.Future, "result", make_result),
    Replacement(concurrent.futures.Future, "exception", make_result),
    Shelf(concurrent.futures._base, {"_create_and_install_waiters": make_waiters}),
    Replacement(asyncio.selector_events.BaseSelectorEventLoop, "_make_self_pipe", for_sealed(_refuse_stock_loop)),
    Replacement(threading.Condition, "wait", blocking.make_wait),
    Replacement(subprocess.Popen, "wait", blocking.make_process_wait),
]
_BINDINGS = Bindings(door for replacement in _REPLACEMENTS for door in replacement.doors())

use_seal(_arm, _disarm)

if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has none
    os.register_at_fork(after_in_child=leave_every_world)
