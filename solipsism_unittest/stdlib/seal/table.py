"""The seal: for a thread inside the simulation, the standard library's doors lead into the kernel.

Owns the one process-wide table, thread -> kernel, and the list of what is replaced while any thread is sealed. A
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
from collections.abc import Callable, Iterable
from typing import Any, Self

from ...errors import SolipsismError
from ...introspection.places import user_place
from ...kernel import PAIR_FAMILY, Kernel
from ...kernel.descriptors.file import os_error
from ..files import descriptors, paths, polling, sendfile
from ..files.descriptors import is_virtual
from ..sockets import lookups
from ..sockets.virtual_socket import VirtualSocket
from ..threads import jobs, stalls
from . import guard
from .early_names import Bindings

# Process-wide by nature: the replacements below are. The lock guards arming and disarming.
_kernels: dict[int, Kernel] = {}  # by thread: the innermost world
_worlds: dict[int, list[Kernel]] = {}  # by thread: every world that it has entered and not left
_lock = threading.Lock()
_ident = threading.get_ident
_REAL_SOCKET = socket._socket  # type: ignore[attr-defined]
_MISSING = object()


def kernel_here() -> Kernel | None:
    """The kernel of this thread's world, or None for a thread that is not sealed."""
    return _kernels.get(_ident())


def threads_in(kernel: Kernel) -> list[int]:
    """The identifiers of the threads that are in this world now, in the order in which they came."""
    return [ident for ident, inner in list(_kernels.items()) if inner is kernel]


class sealed:  # noqa: N801 - a context manager that reads as a word, like contextlib's
    """`with sealed(loop):` this thread lives in the loop's world. It nests; leaving restores what was before.

    A loop that is not a SolipsistEventLoop is a SolipsismError.
    """

    def __init__(self, loop: Any) -> None:
        kernel = getattr(loop, "kernel", None)
        if not isinstance(kernel, Kernel):
            raise SolipsismError(f"{loop!r} has no virtual world: sealed() needs a SolipsistEventLoop")
        self._kernel = kernel

    def __enter__(self) -> Self:
        ident = _ident()
        with _lock:
            if not _kernels:
                _arm()
            _worlds.setdefault(ident, []).append(self._kernel)
            _kernels[ident] = self._kernel
        return self

    def __exit__(self, *exc_info: object) -> None:
        ident = _ident()
        with _lock:
            worlds = _worlds.get(ident, [])
            if self._kernel not in worlds:
                raise SolipsismError("sealed() is left in a thread that did not enter it: leave it there")
            # The latest of this world: of two that overlap the first may be left first.
            del worlds[len(worlds) - 1 - worlds[::-1].index(self._kernel)]
            if worlds:
                _kernels[ident] = worlds[-1]
            else:
                del _worlds[ident], _kernels[ident]
                if not _kernels:
                    _disarm()


class _Replacement:
    """One name of one module or class, and what stands there while a thread is sealed."""

    def __init__(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        self.owner = owner
        self.name = name
        self._make = make  # from what stood there to what shall stand there
        self._made: list[tuple[Any, Any]] = []  # every (ours, what it stands for); the last one is in use
        self._look = vars(owner).get
        self._ours = self._before = object()  # that pair: a test arms each of these, so the common case is short

    def arm(self) -> None:
        there = self._look(self.name, _MISSING)
        if there is not self._before:
            before = self._below(there)
            known = [pair for pair in self._made if pair[1] is before]
            self._made = [pair for pair in self._made if pair[1] is not before]
            self._made += known or [(self._make(before), before)]
            self._ours, self._before = self._made[-1]
        setattr(self.owner, self.name, self._ours)

    def disarm(self) -> None:
        # Whoever replaced the name during the test and did not put it back keeps it: it is not ours to undo.
        there = self._look(self.name, _MISSING)
        before = self._before if there is self._ours else self._below(there)
        if before is _MISSING and there is not _MISSING:
            delattr(self.owner, self.name)
        elif before is not there:
            setattr(self.owner, self.name, before)

    def doors(self) -> Iterable[tuple[Any, str]]:
        """Whose names it replaces, and which."""
        return ((self.owner, self.name),)

    def _below(self, there: Any) -> Any:
        """What one of ours stands for, and anything else itself.

        It may be an old one: a patch made in one test and undone in another, or after it, puts back what it had found.
        """
        return next((before for ours, before in reversed(self._made) if ours is there), there)


class _Shelf:
    """Many names of one module, put there and taken away together where nobody else has touched them: much faster."""

    def __init__(self, owner: Any, makers: dict[str, Callable[[Any], Any]]) -> None:
        self._names = vars(owner)
        self._replacements = [_Replacement(owner, name, make) for name, make in makers.items() if hasattr(owner, name)]
        self._ours: dict[str, Any] = {}
        self._before: dict[str, Any] = {}

    def _is_there(self, wanted: dict[str, Any]) -> bool:
        return bool(wanted) and all(map(operator.is_, map(self._names.get, wanted), wanted.values()))

    def arm(self) -> None:
        if self._is_there(self._before):
            self._names.update(self._ours)
            return
        for replacement in self._replacements:
            replacement.arm()
        self._ours = {one.name: one._made[-1][0] for one in self._replacements}
        self._before = {one.name: one._made[-1][1] for one in self._replacements}

    def doors(self) -> Iterable[tuple[Any, str]]:
        """As `_Replacement.doors`."""
        return ((one.owner, one.name) for one in self._replacements)

    def disarm(self) -> None:
        if self._is_there(self._ours):
            self._names.update(self._before)
            return
        for replacement in self._replacements:
            replacement.disarm()


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
    sys.addaudithook(guard.hook_for(_kernels))


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

_new = _REAL_SOCKET.socket.__new__
_SOCKET = socket.socket  # by that name somebody else's class may stand there in a test


def _make_new(before: Any) -> Any:
    make = _new if before is _MISSING else getattr(before, "__func__", before)

    def __new__(cls: type, *args: Any, **kwargs: Any) -> Any:
        kernel = _kernels.get(_ident())
        if kernel is None or _is_real_here(cls, sys._getframe(1)):
            return make(cls, *args, **kwargs)
        if cls is _SOCKET:
            face = _new(VirtualSocket)
        elif issubclass(cls, VirtualSocket):
            face = _new(cls)
        elif not kernel.guarded:
            return make(cls, *args, **kwargs)
        else:
            raise guard.noted(kernel, f"{cls.__module__}.{cls.__qualname__} is a real socket class: inside the "
                                      "simulation use socket.socket, or asyncio's streams (TLS: ssl= of "
                                      "open_connection and start_server)")
        face._kernel = kernel
        return face

    return staticmethod(__new__)


def _is_real_here(cls: type, maker: types.FrameType) -> bool:
    return guard.manages_processes(maker) or (guard.wants_real_network(maker) and not issubclass(cls, VirtualSocket))


def _socketpair(kernel: Kernel, family: int = PAIR_FAMILY, type: int = socket.SOCK_STREAM, proto: int = 0) -> Any:
    if operator.index(family) in (socket.AF_INET, socket.AF_INET6):
        raise os_error(errno.EOPNOTSUPP)
    if operator.index(proto):
        raise os_error(errno.EPROTONOSUPPORT)
    flags = getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)
    timeout = 0.0 if type & getattr(socket, "SOCK_NONBLOCK", 0) else socket.getdefaulttimeout()
    if operator.index(type) & ~flags == socket.SOCK_DGRAM:
        return VirtualSocket.datagram_pair(kernel, timeout)
    if operator.index(type) & ~flags != socket.SOCK_STREAM:
        raise SolipsismError(f"socket.socketpair() of type {type!r} is not simulated: SOCK_STREAM and SOCK_DGRAM are")
    return VirtualSocket.pair(kernel, timeout=timeout)


def _make_socketpair(before: Any) -> Any:
    @functools.wraps(before)
    def socketpair(*args: Any, **kwargs: Any) -> Any:
        kernel = _kernels.get(_ident())
        if kernel is None or _is_real_here(_SOCKET, sys._getframe(1)):
            return before(*args, **kwargs)
        return _socketpair(kernel, *args, **kwargs)

    return socketpair


def _make_bare_socketpair(before: Any) -> Any:
    """The C function itself, which has no audit event."""

    @functools.wraps(before)
    def socketpair(*args: Any, **kwargs: Any) -> Any:
        kernel = _kernels.get(_ident())
        error = kernel and guard.refuse(kernel, "network", "_socket.socketpair", "would make real sockets")
        try:
            if error:
                raise error
        finally:
            del error  # its traceback has this frame
        return before(*args, **kwargs)

    return socketpair


def _for_look_ups(answer: Callable[..., Any]) -> Callable[[Any], Any]:
    """As `_for_sealed`, for what asks the network: the real one where it is let out."""

    def make(before: Any) -> Any:
        @functools.wraps(before)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            kernel = _kernels.get(_ident())
            if kernel is None or guard.wants_real_network(sys._getframe(1)):
                return before(*args, **kwargs)
            return answer(kernel, *args, **kwargs)

        return replacement

    return make


def _make_facade(before: Any) -> Any:
    facade = types.ModuleType("_socket", before.__doc__)
    makers = {"getaddrinfo": _for_look_ups(lookups.getaddrinfo), "socketpair": _make_socketpair}
    vars(facade).update(vars(before))
    vars(facade).update({name: make(getattr(before, name)) for name, make in makers.items()
                         if hasattr(before, name)})  # not every system has the C socketpair
    return facade


# -- files and descriptors


def _for_paths(answer: Callable[..., Any]) -> Callable[[Any], Any]:
    """As `_for_sealed`, for a function that is asked about a path: only a world with socket files has an answer."""

    def make(before: Any) -> Any:
        @functools.wraps(before)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            kernel = _kernels.get(_ident())
            if kernel is None or not (kernel.paths or (args and is_virtual(args[0]))):
                return before(*args, **kwargs)
            return answer(kernel, before, *args, **kwargs)

        for same_abilities in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks,
                               os.supports_effective_ids):
            if before in same_abilities:  # programs ask for them by the function
                same_abilities.add(replacement)
        return replacement

    return make


def _for_descriptors(answer: Callable[..., Any]) -> Callable[[Any], Any]:
    """As `_for_sealed`, for a function that is asked about a descriptor: only those of this world."""

    def make(before: Any) -> Any:
        @functools.wraps(before)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            kernel = _kernels.get(_ident())
            if kernel is None or not is_virtual(args[0] if args else kwargs.get("fd", kwargs.get("out_fd"))):
                return before(*args, **kwargs)
            return answer(kernel, *args, **kwargs)

        return replacement

    return make


def _for_file_objects(answer: Callable[..., Any]) -> Callable[[Any], Any]:
    """The same for a function that takes whatever has a fileno(), as those of module fcntl do."""

    def make(before: Any) -> Any:
        @functools.wraps(before)
        def replacement(fd: Any, *args: Any) -> Any:
            kernel = _kernels.get(_ident())
            if kernel is None or not is_virtual(number := polling.number_of(fd)):
                return before(fd, *args)
            return answer(kernel, number, *args)

        return replacement

    return make


def _make_pipe(before: Any) -> Any:
    @functools.wraps(before)
    def make_pipe(*args: Any) -> Any:
        kernel = _kernels.get(_ident())
        # Real child processes inherit real pipes, or are given them.
        if kernel is None or guard.manages_processes(sys._getframe(1)) or guard.is_let_out("subprocess"):
            return before(*args)
        return descriptors.pipe(kernel, *args)

    return make_pipe


def _make_open(before: Any) -> Any:
    @functools.wraps(before)
    def open(file: Any, *args: Any, **kwargs: Any) -> Any:
        kernel = _kernels.get(_ident())
        if kernel is not None and is_virtual(file):
            return descriptors.open_descriptor(kernel, file, *args, **kwargs)
        if kernel is not None and kernel.paths and not isinstance(file, int):
            paths.check_not_a_socket(kernel, file)
        return before(file, *args, **kwargs)

    return open


def _fcntl_shelf() -> _Shelf | None:
    try:
        import fcntl
    except ImportError:  # pragma: no cover - there is none on Windows
        return None
    commands = {getattr(fcntl, name): name for name in descriptors.COMMANDS if hasattr(fcntl, name)}
    return _Shelf(fcntl, {"fcntl": _for_file_objects(functools.partial(_fcntl, commands)),
                          "ioctl": _for_file_objects(descriptors.ioctl)})


def _fcntl(commands: dict[int, str], kernel: Kernel, *args: Any) -> int:
    return descriptors.fcntl(kernel, commands, *args)


# -- time, threads, loops


def _for_clocks(answer: Callable[[Kernel], Any]) -> Callable[[Any], Any]:
    """As `_for_sealed`; who waits for real processes does so in real time."""

    def make(before: Any) -> Any:
        @functools.wraps(before)
        def clock() -> Any:
            kernel = _kernels.get(_ident())
            return before() if kernel is None or guard.waits_for_processes(sys._getframe(1)) else answer(kernel)

        return clock

    return make


def _monotonic(kernel: Kernel) -> float:
    return kernel.clock.now


def _monotonic_ns(kernel: Kernel) -> int:
    return round(kernel.clock.now * 1_000_000_000)


def _make_thread_start(before: Any) -> Any:
    @functools.wraps(before)
    def start(self: threading.Thread) -> None:
        kernel = _kernels.get(_ident())
        # One that was started before says so itself.
        if kernel is None or self.ident is not None or guard.manages_processes(sys._getframe(1)):
            before(self)
            return
        run = self.run
        known = run
        pool = _pool_of(sys._getframe(1))
        if pool is None or pool in kernel.jobs.pools and pool is not getattr(kernel.loop, "_default_executor", None):
            kernel.jobs.note_start(self, user_place(2))
        if isinstance(self, threading.Timer):
            known = kernel.jobs.timer(self, run, user_place(2))
        elif not jobs.in_background() and pool is None:
            known = kernel.jobs.workers.started(self, run, user_place(2))
        self.run = _inside(kernel, known)  # type: ignore[method-assign]
        try:
            before(self)
        except BaseException:
            self.run = run  # type: ignore[method-assign]
            kernel.jobs.not_started(self)
            raise

    return start


def _pool_of(starter: types.FrameType) -> Any:
    """The thread pool that starts a worker; None where it is no pool that starts a thread."""
    return starter.f_locals["self"] if starter.f_globals.get("__name__") == "concurrent.futures.thread" else None


def _make_pool(before: Any) -> Any:
    @functools.wraps(before)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        before(self, *args, **kwargs)
        kernel = _kernels.get(_ident())
        if kernel is not None:
            kernel.jobs.note_pool(self)

    return __init__


def _make_submit(before: Any) -> Any:
    # A worker may have been started by another test, or outside of any: it is the job that belongs to a world.
    @functools.wraps(before)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        kernel = _kernels.get(_ident())
        if kernel is None:
            return before(self, fn, *args, **kwargs)
        if isinstance(fn, jobs.Work):  # of run_in_executor
            return before(self, _inside(kernel, fn), *args, **kwargs)
        job = kernel.jobs.begin(f"executor job {jobs.name_of(fn)}", user_place(2))
        try:
            future = before(self, _inside(kernel, jobs.Work(job, fn)), *args, **kwargs)
        except BaseException:
            job.end()
            raise
        kernel.jobs.accompany(job, future)
        return future

    return submit


def _jobs_here() -> jobs.Jobs | None:
    kernel = _kernels.get(_ident())
    return kernel.jobs if kernel is not None else None


def _make_result(before: Any) -> Any:
    @functools.wraps(before)
    def result(self: Any, timeout: float | None = None) -> Any:
        return jobs.result_of(_jobs_here(), before, self, timeout)

    return result


def _make_waiters(before: Any) -> Any:
    @functools.wraps(before)
    def create(fs: Any, return_when: Any) -> Any:
        return jobs.met_by(_jobs_here(), before(fs, return_when))

    return create


def _inside(kernel: Kernel, function: Callable[..., Any]) -> Callable[..., Any]:
    let_out = guard.let_out()

    def run(*args: Any, **kwargs: Any) -> Any:
        depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(max(depth, 1))  # who forgets to await one is told, on any thread
        try:
            with sealed(_World(kernel)), guard.carrying(let_out):
                return function(*args, **kwargs)
        finally:
            sys.set_coroutine_origin_tracking_depth(depth)

    return run


class _World:
    """What `sealed` needs to know of a loop."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel


def _refuse_stock_loop(kernel: Kernel, loop: Any) -> None:
    # The stock loop would register a virtual socket with a real selector and die of EBADF.
    loop._selector.close()
    loop._closed = True  # or __del__ would close what was never opened
    raise guard.noted(kernel, f"{type(loop).__name__} is a real event loop, made inside the simulation: use "
                              "asyncio.Runner(loop_factory=SolipsistEventLoop), or await on the test's own loop")


def _for_pollers(answer: Callable[..., Any]) -> Callable[[Any], Any]:
    """As `_for_sealed`, with the real function handed on: what is asked for may be real."""

    def make(before: Any) -> Any:
        @functools.wraps(before)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            kernel = _kernels.get(_ident())
            return before(*args, **kwargs) if kernel is None else answer(kernel, before, *args, **kwargs)

        if hasattr(before, "fromfd"):  # of the class epoll
            replacement.fromfd = before.fromfd  # type: ignore[attr-defined]
        return replacement

    return make


def _for_selectors(answer: Callable[..., Any]) -> Callable[[Any], Any]:
    """The same as an attribute of a class of module selectors."""
    make = _for_pollers(answer)
    return lambda before: staticmethod(make(before))


_REPLACEMENTS: list[_Replacement | _Shelf] = [
    _Replacement(_SOCKET, "__new__", _make_new),
    _Shelf(os, {
        **{name: _for_paths(answer) for name, answer in paths.PATH_FUNCTIONS.items()},
        **{name: _for_descriptors(answer) for name, answer in descriptors.DESCRIPTOR_FUNCTIONS.items()},
        "sendfile": _for_descriptors(sendfile.sendfile),
        "pipe": _make_pipe, "pipe2": _make_pipe,
    }),
    _Shelf(io, {"open": _make_open}),
    _Shelf(builtins, {"open": _make_open, "input": stalls.make_input}),
    *filter(None, [_fcntl_shelf()]),
    _Shelf(socket, {
        "_socket": _make_facade,
        **{name: _for_look_ups(answer) for name, answer in lookups.ANSWERS.items()},
        **{name: _for_descriptors(descriptors.DESCRIPTOR_FUNCTIONS[name]) for name in ("close", "dup")},
    }),
    _Shelf(_socket, {
        "socketpair": _make_bare_socketpair,
        # Those without an audit event. The others the guard sees.
        **{name: _for_look_ups(lookups.ANSWERS[name]) for name in ("getprotobyname", "if_nameindex", "if_nametoindex",
                                                                  "if_indextoname")},
    }),
    _Shelf(select, {name: _for_pollers(answer) for name, answer in polling.ANSWERS.items()}),
    *(_Replacement(getattr(selectors, owner), attribute, _for_selectors(polling.ANSWERS[name]))
      for owner, attribute, name in (("SelectSelector", "_select", "select"), ("PollSelector", "_selector_cls", "poll"),
                                     ("EpollSelector", "_selector_cls", "epoll")) if hasattr(selectors, owner)),
    _Shelf(time, {"monotonic": _for_clocks(_monotonic), "monotonic_ns": _for_clocks(_monotonic_ns),
                  "sleep": stalls.make_sleep}),
    _Replacement(threading.Thread, "start", _make_thread_start),
    _Replacement(concurrent.futures.ThreadPoolExecutor, "__init__", _make_pool),
    _Replacement(concurrent.futures.ThreadPoolExecutor, "submit", _make_submit),
    _Replacement(concurrent.futures.Future, "result", _make_result),
    _Replacement(concurrent.futures.Future, "exception", _make_result),
    _Shelf(concurrent.futures._base, {"_create_and_install_waiters": _make_waiters}),
    _Replacement(asyncio.selector_events.BaseSelectorEventLoop, "_make_self_pipe", _for_sealed(_refuse_stock_loop)),
    _Replacement(threading.Condition, "wait", stalls.make_wait),
    _Replacement(subprocess.Popen, "wait", stalls.make_process_wait),
]
_BINDINGS = Bindings(door for replacement in _REPLACEMENTS for door in replacement.doors())


def _leave_every_world() -> None:
    """A forked child has the thread, and no loop that runs in it: it lives in the real world."""
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have had it
    if _kernels:
        _kernels.clear()
        _worlds.clear()
        _disarm()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has none
    os.register_at_fork(after_in_child=_leave_every_world)
