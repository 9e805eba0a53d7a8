"""The seal: for a thread inside the simulation, names of the standard library lead into its world.

Owns the table, name -> stand-in, of what is replaced while any thread is sealed. A thread is sealed while a test runs
on it, while a `SolipsistEventLoop` runs on it, and inside `with sealed(loop)`; threads that a sealed thread starts are
sealed too. For every other thread each stand-in calls what it replaced. Those in classes stay there from the first
seal on (replacements.py says why); those in modules come and go with the sealed threads.

Classes are reached through `socket.socket.__new__` and Python functions through a facade in the place of
`socket._socket`, so names that were bound before the test are caught as well. C functions are replaced by name, also
where another module has bound them (modules/early_names.py); C libraries that are known, at their
Python faces (modules/c_libraries.py). What gets past all that meets the guard (guard.py).
"""

from __future__ import annotations

import _queue
import _socket
import _thread
import asyncio.mixins
import asyncio.selector_events
import asyncio.taskgroups
import asyncio.tasks
import asyncio.timeouts
import atexit
import builtins
import concurrent.futures
import contextlib
import functools
import inspect
import io
import os
import queue
import sched
import select
import selectors
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

from ...introspection import modules
from ...introspection.places import frame_above
from ...introspection.threads import Real
from ...kernel.wall import WallClock
from .. import escapes, tls, worlds
from ..clocks import datetimes, wall
from ..clocks.monotonic import monotonic, monotonic_ns
from ..files import descriptors, file_objects, passed, paths, polling, sendfile
from ..files.descriptors import is_virtual
from ..processes import ending, folders, guests, signals
from ..sockets import lookups, patches
from ..sockets.pairs import socketpair_of
from ..sockets.virtual_socket import Face, VirtualSocket, blank
from ..threads.blocking import read_input, reported, reported_and_skipped, sleep, wait, wait_for_child
from ..threads.pacing import calls, faces
from ..worlds import World, baton_here, by_thread, thread_id
from . import guard, permits, replacements, thread_starts
from .modules import c_libraries, early_names
from .modules.defaults import Defaults
from .modules.early_names import Bindings
from .replacements import MISSING, Clocks, Lasting, Replacement, Shelf, Table
from .stand_ins import (
    Condition,
    make_get_loop,
    make_ordered_set,
    make_timeout,
    no_socket_file,
    real_children,
    real_descriptor,
    real_file,
    real_file_object,
    real_network,
    real_processes,
    refuse_to_run,
    stand_in,
    stand_over,
    static,
)

# Who stops a program must not stop it in one of these: a thread would stay half sealed. Nothing in them takes long.
UNINTERRUPTED = frozenset(module.__name__ for module in (
    sys.modules[__name__], worlds, replacements, early_names, c_libraries))
_SOCKET: Any = patches.StockSocket
_STOCK_LOOP = asyncio.SelectorEventLoop
_ASKED_FOR = type("SelectorEventLoop", (_STOCK_LOOP,), {})  # what a tool does to the class that it gets reaches no loop


# -- sockets


def _make_new(before: Any) -> Any:
    """`socket.socket.__new__`, which no class but `socket.socket` itself is looked for in."""
    make: Any = _socket.socket.__new__ if before is MISSING else getattr(before, "__func__", before)

    def __new__(cls: type, /, *args: Any, **kwargs: Any) -> Any:
        world = by_thread.get(thread_id())
        if cls is VirtualSocket and world is not None:
            return blank(cls, world)
        if world is None or _is_real_here(cls, frame_above(1)):
            return make(cls, *args, **kwargs)
        if cls is _SOCKET:
            return blank(VirtualSocket, world)
        if issubclass(cls, Face):
            return blank(cls, world)
        if not issubclass(cls, ssl.SSLSocket) and (world.guarded or cls is socket.socket):
            return blank(patches.virtual_class(cls, Face), world)
        if not world.guarded:
            return make(cls, *args, **kwargs)
        raise escapes.noted(world, f"{cls.__module__}.{cls.__qualname__} is a real socket class\n  inside the "
                                   "simulation use socket.socket, or asyncio's streams (TLS: ssl= of open_connection "
                                   "and start_server)")

    # Who asks for the class's signature is shown this method's, for it stays there between tests.
    __new__.__signature__ = inspect.signature(_SOCKET.__init__)  # type: ignore[attr-defined]
    return staticmethod(__new__)


def _is_real_here(cls: type, maker: types.FrameType) -> bool:
    return modules.manages_processes(maker) or (guard.wants_real_network(maker) and not issubclass(cls, Face))


def _real_pair(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """A condition: the caller gets real sockets."""
    return _is_real_here(_SOCKET, frame_above(2))


def _bare_socketpair(world: World, real: Any, *args: Any, **kwargs: Any) -> Any:
    """The C function itself, which has no audit event."""
    guard.raise_refusal(guard.refuse(world, "network", "_socket.socketpair", "would make real sockets"))
    return real(*args, **kwargs)


def _make_facade(before: Any) -> Any:
    """What stands for module `_socket` in module `socket`: the same, with two names of ours."""
    facade = types.ModuleType("_socket", before.__doc__)
    makers = {"getaddrinfo": stand_in(lookups.getaddrinfo, unless=real_network),
              "socketpair": stand_in(socketpair_of, unless=_real_pair)}
    vars(facade).update(vars(before))
    vars(facade).update({name: make(getattr(before, name)) for name, make in makers.items()
                         if hasattr(before, name)})  # not every system has the C socketpair
    return facade


# -- files and loops


def _open(world: World, real: Any, file: Any, *args: Any, **kwargs: Any) -> Any:
    if is_virtual(file):
        return file_objects.open_descriptor(world, passed.own(file), *args, **kwargs)
    paths.check_not_a_socket(world, file)
    return real(file, *args, **kwargs)


def _fcntl_shelf() -> Shelf | None:
    try:
        import fcntl
    except ImportError:  # pragma: no cover - there is none on Windows
        return None
    commands = {getattr(fcntl, name): name for name in descriptors.COMMANDS if hasattr(fcntl, name)}

    def fcntl_answer(world: World, fd: Any, *args: Any) -> int:
        return descriptors.fcntl(world, commands, passed.own_or_same(polling.number_of(fd)), *args)

    def ioctl_answer(world: World, fd: Any, *args: Any) -> Any:
        return descriptors.ioctl(world, passed.own_or_same(polling.number_of(fd)), *args)

    return Shelf(fcntl, {"fcntl": stand_in(fcntl_answer, unless=real_file_object),
                         "ioctl": stand_in(ioctl_answer, unless=real_file_object)})


def _refuse_stock_loop(world: World, loop: Any) -> None:
    # The stock loop would register a virtual socket with a real selector and die of EBADF.
    loop._selector.close()
    loop._closed = True  # or __del__ would close what was never opened
    if _asks_for_the_class():
        return
    if world.over:
        raise escapes.noted(world, "an event loop was made in a world that is over, for the test's own loop is closed\n"
                                   "  leave that one open, the end of the test closes it; asyncio.run() and "
                                   "asyncio.new_event_loop() make others")
    raise escapes.noted(world, f"{type(loop).__name__} is a real event loop, made inside the simulation: use "
                               "asyncio.Runner(loop_factory=SolipsistEventLoop), or await on the test's own loop")


def _make_new_loop(before: Any) -> Any:
    """`__new__` of the stock loop: in a world a program gets a loop of that world."""
    make = object.__new__ if before is MISSING else getattr(before, "__func__", before)

    def __new__(cls: type, /, *args: Any, **kwargs: Any) -> Any:
        kind = worlds.second_loop() if cls is _STOCK_LOOP else None
        if kind is not None:
            return object.__new__(_ASKED_FOR if _asks_for_the_class() else kind)
        return make(cls) if make is object.__new__ else make(cls, *args, **kwargs)

    __new__.__signature__ = inspect.signature(_STOCK_LOOP.__init__)  # type: ignore[attr-defined]
    return staticmethod(__new__)


def _make_new_popen(before: Any) -> Any:
    """`__new__` of subprocess.Popen: in a thread a program gets one of those that the test has added."""
    make = object.__new__ if before is MISSING else getattr(before, "__func__", before)

    def __new__(cls: type, /, *args: Any, **kwargs: Any) -> Any:
        kind = worlds.popen_for(frame_above(1)) if cls is subprocess.Popen else None
        if kind is not None:
            return object.__new__(kind)
        return make(cls) if make is object.__new__ else make(cls, *args, **kwargs)

    __new__.__signature__ = inspect.signature(subprocess.Popen.__init__)  # type: ignore[attr-defined]
    return staticmethod(__new__)


def _asks_for_the_class() -> bool:
    """Whether a tool makes the loop that closes it at once: all it wants to know is the class."""
    return next(map(modules.module_of, modules.program_frames(modules.outward(frame_above(0)))), "") == "freezegun.api"


def _bind_anew(name: str) -> None:
    if name in _WALL:
        _WALL_NAMES.bind_anew(name)
    else:
        _BINDINGS.arm(only=name)


# -- signals


def _real_process(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """A condition: the real process answers."""
    return not world.guarded or signals.is_real(frame_above(2)) or permits.is_let_out("signal")


def _not_to_us(condition: Condition) -> Condition:
    """The condition, or the real process answers whatever the target is."""
    return lambda world, args, kwargs: (condition(world, args, kwargs) or not world.guarded
                                        or permits.is_let_out("signal"))


# -- threads


def _make_sleep(before: Any) -> Any:
    """`time.sleep`: reported and skipped in the thread of a loop, and virtual in any other sealed one."""
    return reported_and_skipped(sleep)(stand_over(_sleep, unless=real_processes)(before))


def _sleep(world: World, real: Any, seconds: Any) -> None:
    calls.sleep(world.baton, real, seconds)


# -- the table

_LOOK_UPS = {name: stand_in(answer, unless=real_network) for name, answer in lookups.ANSWERS.items()}
_DESCRIPTORS = {name: stand_in(passed.by_own_number(answer), unless=real_descriptor)
                for name, answer in {**descriptors.DESCRIPTOR_FUNCTIONS, "sendfile": sendfile.sendfile}.items()}
_PATHS = {name: stand_over(answer, unless=no_socket_file) for name, answer in paths.PATH_FUNCTIONS.items()}
_FOLDERS = {name: stand_over(answer) for name, answer in folders.FOLDER_FUNCTIONS.items()}
_POLLERS = {name: stand_over(answer) for name, answer in polling.ANSWERS.items()}
_PIPE = stand_in(descriptors.pipe, unless=real_children)
_OPEN = stand_over(_open, unless=real_file)
_WALL = {name: stand_over(answer) for name, answer in wall.ANSWERS.items()}
_LOCK, _LOCK_FUNCTION = faces.lock_class(baton_here), faces.allocate_lock(baton_here)
_RLOCK, _QUEUE_CLASS = faces.rlock(baton_here), faces.simple_queue(baton_here)
_CLOCK = stand_in(monotonic, unless=real_processes)
# These modules have kept the real function, under names of their own; module sched has, as a default.
_KEPT_CLOCKS = (vars(threading), "_time"), (vars(queue), "time"), (vars(socketserver), "time")
# Those without an audit event. The others the guard sees.
_UNAUDITED = ("getprotobyname", "if_nameindex", "if_nametoindex", "if_indextoname")
# Classes of module selectors, where each keeps what it asks, and which function of module select that is.
_SELECTORS = (("SelectSelector", "_select", "select"), ("PollSelector", "_selector_cls", "poll"),
              ("EpollSelector", "_selector_cls", "epoll"))

_CLOCKS = Clocks(time, {"monotonic": stand_in(monotonic, unless=real_processes),
                        "monotonic_ns": stand_in(monotonic_ns, unless=real_processes),
                        "sleep": _make_sleep, **_WALL}, then=_bind_anew)
_LOCKS = (Shelf(threading, {"Lock": _LOCK, "_allocate_lock": _LOCK, "_CRLock": _RLOCK}),
          Shelf(queue, {"SimpleQueue": _QUEUE_CLASS}))
_TABLE = Table([
    Lasting(_SOCKET, "__new__", _make_new),
    Shelf(os, {**_PATHS, **_DESCRIPTORS, **_FOLDERS, "pipe": _PIPE, "pipe2": _PIPE,
               "_exit": stand_in(signals.leave, unless=_real_process),
               "abort": stand_in(signals.abort, unless=_real_process),
               "kill": stand_in(signals.kill, unless=_not_to_us(signals.is_other_process)),
               "killpg": stand_in(signals.killpg, unless=_not_to_us(signals.is_other_group)),
               "getpgid": stand_in(signals.getpgid, unless=signals.is_no_child)}),
    Shelf(signal, {**{name: stand_in(answer, unless=_real_process) for name, answer in signals.ANSWERS.items()},
                   "pthread_kill": stand_in(signals.pthread_kill, unless=_not_to_us(signals.is_other_thread))}),
    Shelf(atexit, {name: stand_over(answer) for name, answer in ending.ANSWERS.items()}),
    Shelf(_thread, {"interrupt_main": stand_in(signals.interrupt_main, unless=_real_process),
                    "allocate_lock": _LOCK_FUNCTION, "RLock": _RLOCK,
                    **dict.fromkeys(("start_new_thread", "start_new"), stand_over(thread_starts.start_bare))}),
    # What Python's own locks and conditions are made of is looked up in these modules when they wait.
    Shelf(threading, {"Lock": _LOCK, "_allocate_lock": _LOCK, "_CRLock": _RLOCK,
                      "main_thread": stand_over(guests.main_thread)}),
    Shelf(queue, {"SimpleQueue": _QUEUE_CLASS}),
    Shelf(concurrent.futures._base, {"threading": faces.threads_of_futures}),
    Shelf(_queue, {"SimpleQueue": _QUEUE_CLASS}),
    Shelf(io, {"open": _OPEN, "FileIO": file_objects.raw_files}),
    Shelf(builtins, {"open": _OPEN, "input": reported(read_input)}),
    *filter(None, [_fcntl_shelf()]),
    Shelf(socket, {"_socket": _make_facade, **_LOOK_UPS, "close": _DESCRIPTORS["close"], "dup": _DESCRIPTORS["dup"]}),
    Shelf(_socket, {"socketpair": stand_over(_bare_socketpair), **{name: _LOOK_UPS[name] for name in _UNAUDITED}}),
    Shelf(select, _POLLERS),
    *(Lasting(getattr(selectors, owner), attribute, static(_POLLERS[name]))
      for owner, attribute, name in _SELECTORS if hasattr(selectors, owner)),
    _CLOCKS,
    Lasting(threading.Thread, "start", stand_over(thread_starts.start, unless=thread_starts.was_started)),
    Lasting(threading.Thread, "join", stand_over(thread_starts.join)),
    Lasting(threading.Thread, "is_alive", stand_over(thread_starts.is_alive)),
    *(Lasting(concurrent.futures.ThreadPoolExecutor, name, stand_over(answer))
      for name, answer in thread_starts.ANSWERS_OF_POOLS.items()),
    Lasting(_STOCK_LOOP, "__new__", _make_new_loop),
    Lasting(asyncio.selector_events.BaseSelectorEventLoop, "_make_self_pipe", stand_in(_refuse_stock_loop)),
    Lasting(asyncio.base_events.BaseEventLoop, "_check_running", stand_over(refuse_to_run)),
    Lasting(asyncio.mixins._LoopBoundMixin, "_get_loop", make_get_loop),
    Replacement(asyncio.tasks, "set", make_ordered_set),
    Replacement(asyncio.taskgroups, "set", make_ordered_set),
    Replacement(asyncio.timeouts, "Timeout", make_timeout),
    Lasting(threading.Condition, "wait", reported(wait)),
    Lasting(subprocess.Popen, "__new__", _make_new_popen),
    Lasting(subprocess.Popen, "wait", reported(wait_for_child)),
    Lasting(ssl.SSLContext, "wrap_bio", stand_over(tls.wrap_bio)),
    Lasting(ssl.SSLContext, "wrap_socket", stand_over(tls.wrap_socket)),
    Lasting(ssl.SSLContext, "_wrap_socket", tls.make_wrap_socket),
])
_CLASSES = frozenset({"Lock", "RLock", "SimpleQueue"})  # looked for in other modules: `from queue import SimpleQueue`
_LIBRARIES = c_libraries.Libraries(c_libraries.wanted())
# A program's own names of the clock on the wall lead to it only where a test has set it: what stops the real one looks
# for these names too.
_BINDINGS: Bindings = Bindings(((owner, name) for owner, name in _TABLE.names() if name not in _WALL
                                and (name in _CLASSES or not isinstance(vars(owner).get(name), type))), patches.KEPT,
                               (patches.StockSocket, asyncio.SelectorEventLoop, asyncio.BaseEventLoop),
                               (types.BuiltinFunctionType, type),
                               Defaults(faces.Olds(baton_here).instead, _CLOCKS, *_LOCKS))


def _arm() -> None:
    _install_guard()
    for names, name in _KEPT_CLOCKS:
        if names[name] is Real.monotonic:  # a tool that was there before the first test has put it back
            names[name] = _CLOCK(Real.monotonic)
    patches.clear()
    _TABLE.arm()
    _BINDINGS.arm()
    _LIBRARIES.arm()


def _disarm() -> None:
    _LIBRARIES.disarm()
    _BINDINGS.disarm()
    _TABLE.disarm()


class _WallNames:
    """The names that lead to a clock on the wall, as long as one is set for some test of the process."""

    def __init__(self) -> None:
        self._tests = 0
        self._functions = Bindings((time, name) for name in _WALL)
        self._pickling = datetimes.Pickling()
        self._table: Table | None = None  # of module datetime, which is not loaded before
        self._classes: Bindings | None = None

    def arm(self) -> None:
        """One more test has set it."""
        self._tests += 1
        if self._tests > 1:
            return
        if self._table is None or self._classes is None:
            self._table, self._classes = _datetime_names()
        self._functions.arm()
        self._pickling.begin()
        self._table.arm()
        self._classes.arm()

    def bind_anew(self, name: str) -> None:
        """The module has one of its functions back: a program's own names of it are to lead to the clock again."""
        if self._tests:
            self._functions.arm(only=name)

    def disarm(self) -> None:
        """One of them is over."""
        self._tests -= 1
        if not self._tests and self._table is not None and self._classes is not None:
            self._classes.disarm()
            self._table.disarm()
            self._pickling.end()
            self._functions.disarm()


def _datetime_names() -> tuple[Table, Bindings]:
    import datetime
    import uuid

    names = [(datetime, name) for name in datetimes.stand_ins()]
    clocks_of_uuid = [name for name in vars(uuid) if name.startswith(("_generate_time_safe", "_last_timestamp"))]
    table = Table([Shelf(datetime, {name: _always(cls) for name, cls in datetimes.stand_ins().items()}),
                   Shelf(uuid, {name: _always(None) for name in clocks_of_uuid})])
    return table, Bindings(names, kinds=(type,))


def _always(thing: object) -> Callable[[Any], Any]:
    return lambda before: thing


_WALL_NAMES = _WallNames()


@contextlib.contextmanager
def wall_clock(clock: WallClock, start: Any) -> Iterator[None]:
    """In the block a program sees this clock on the wall, which is set to `start` unless it is set already.

    A step that the block makes ends with it.
    """
    if not clock.is_set:
        wall.set_wall(clock, start)
    put_back = clock.keep()
    _WALL_NAMES.arm()
    try:
        yield
    finally:
        _WALL_NAMES.disarm()
        put_back()


@functools.cache
def _install_guard() -> None:
    # Once for the process: an audit hook cannot be removed.
    sys.addaudithook(guard.hook_for(by_thread))
    for names, name in _KEPT_CLOCKS:
        names[name] = _CLOCK(names[name])
    clock, nap = sched.scheduler.__init__.__defaults__ or ()
    sched.scheduler.__init__.__defaults__ = _CLOCK(clock), _make_sleep(nap)


worlds.use_seal(_arm, _disarm)
if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has none
    os.register_at_fork(after_in_child=worlds.leave_every_world)
