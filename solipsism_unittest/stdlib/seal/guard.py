"""The guard: it stops a call that gets past the stand-ins of the seal, with an EscapeError.

Owns the audit hook and the table of what is an escape. Does not own what is let out on purpose (permits.py) or what
becomes of an escape (escapes.py). The rule that keeps it simple: an audit hook cannot be removed and runs for every
event of the process. So it asks the table first, then whether its thread is sealed, and the rest only of a call that it
is about to stop.

The standard library manages processes for a program: multiprocessing, a process pool, a child of subprocess that was
let out. Its own calls for them are not stopped half-way, nor those by which it asks about the machine. No audit hook
sees what ctypes calls.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import reprlib
import signal
import socket
import sys
import threading
import time
from asyncio import events
from collections.abc import Callable, Mapping
from os import getpid
from sys import _getframe
from types import FrameType, FunctionType
from typing import Any, NamedTuple

from ...errors import EscapeError
from ...introspection.exceptions import ON_THE_WAY
from ...introspection.modules import (
    WORKERS,
    asks_about_the_machine,
    below_socket,
    is_ours,
    manages_processes,
    module_of,
)
from ...introspection.places import user_place
from ..escapes import noted
from ..worlds import World
from .permits import CURES, is_let_out

__unittest = True
__tracebackhide__ = True

# Where asyncio makes sockets and looks names up. Of its other modules some call back what is the program's.
_LOOPS = frozenset({"asyncio.base_events", "asyncio.selector_events", "asyncio.unix_events"})
_ident = threading.get_ident


# -- what is an escape

_reprs = reprlib.Repr()
_reprs.maxstring = _reprs.maxother = 120
_reprs.maxlist = _reprs.maxtuple = 8


def _text(value: Any) -> str:
    return _reprs.repr(os.fsdecode(value) if isinstance(value, bytes) else value)


def _family(number: int) -> str:
    known = {int(family): family.name for family in socket.AddressFamily}
    return known.get(number, "AF_INET" if number == -1 else str(number))


def _kind(number: int) -> str:
    number &= ~(getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)) if number != -1 else -1
    known = {int(kind): kind.name for kind in socket.SocketKind}
    return known.get(number, "SOCK_STREAM" if number == -1 else str(number))


def _signal(number: int) -> str:
    known = {int(one): one.name for one in signal.Signals}
    return known.get(number, str(number))


class _Escape(NamedTuple):
    """One audit event in words: the call, what it would do, and which arguments of the event show its target."""

    category: str
    call: str
    does: str
    target: Mapping[int, Callable[[Any], str]]


def _network(call: str, *target: int) -> _Escape:
    return _Escape("network", call, "would reach the real network", dict.fromkeys(target, _text))


def _subprocess(call: str, *target: int, does: str = "would start a real process") -> _Escape:
    return _Escape("subprocess", call, does, dict.fromkeys(target, _text))


_real_handler = signal.getsignal  # in a sealed thread the name asks the virtual process
# What a process does not notice where nobody handles it.
_HARMLESS = frozenset({"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"})
_FORKS = "would fork this process"
_LET_OUT = "or let it out on purpose:"
_UNGUARDED = "hermetic = False on the class lets everything out"
_SIGNALS = "would signal a process other than this one"

ESCAPES: dict[str, _Escape] = {
    "socket.__new__": _Escape("network", "_socket.socket", "would make a real socket", {1: _family, 2: _kind}),
    "socket.connect": _network("socket.connect", 1),
    "socket.bind": _network("socket.bind", 1),
    "socket.sendto": _network("socket.sendto", 1),
    "socket.sendmsg": _network("socket.sendmsg", 1),
    "socket.getaddrinfo": _network("socket.getaddrinfo", 0, 1),
    "socket.gethostbyname": _network("socket.gethostbyname", 0),
    "socket.gethostbyaddr": _network("socket.gethostbyaddr", 0),
    "socket.gethostname": _network("socket.gethostname"),
    "socket.getnameinfo": _network("socket.getnameinfo", 0),
    "socket.getservbyname": _network("socket.getservbyname", 0),
    "socket.getservbyport": _network("socket.getservbyport", 0),
    "socket.sethostname": _Escape("network", "socket.sethostname", "would rename the real machine", {0: _text}),
    "subprocess.Popen": _subprocess("subprocess.Popen", 1),
    "os.system": _subprocess("os.system", 0),
    "os.posix_spawn": _subprocess("os.posix_spawn", 0, 1),
    "os.spawn": _subprocess("os.spawnv", 1, 2),  # of Windows, as the next two
    "os.startfile": _subprocess("os.startfile", 0),
    "os.startfile/2": _subprocess("os.startfile", 0),
    "os.fork": _subprocess("os.fork", does=_FORKS),
    "os.forkpty": _subprocess("os.forkpty", does=_FORKS),
    "os.exec": _subprocess("os.execv", 0, 1, does="would replace this process by another program"),
    "os.kill": _Escape("signal", "os.kill", _SIGNALS, {0: str, 1: _signal}),
    "os.killpg": _Escape("signal", "os.killpg", _SIGNALS, {0: str, 1: _signal}),
    "webbrowser.open": _Escape("webbrowser", "webbrowser.open", "would open a real browser", {0: _text}),
}


# -- the hook


def hook_for(worlds: Mapping[int, World]) -> Callable[[str, tuple[Any, ...]], None]:
    """Make the audit hook for the threads in this table, each with its world."""

    def hook(event: str, args: tuple[Any, ...], escapes: Any = ESCAPES, ident: Any = _ident) -> None:
        if event in escapes:
            world = worlds.get(ident())
            if world is not None and world.guarded:
                error = _judge(world, event, args)
                try:
                    if error is not None:
                        raise error
                finally:
                    del error  # its traceback has this frame: no cycle may keep the program's objects alive
        elif event == "import" and args[0] == TAKES_CLOCKS and not importing and ident() in worlds:
            importing.append(TAKES_CLOCKS)
            try:
                _import_with_real_clocks()
            finally:
                importing.clear()

    importing: list[str] = []
    hook.__cantrace__ = True  # type: ignore[attr-defined]  # or no tracer, coverage's either, would see it run
    return hook


# The extension module of time-machine takes the functions of module time when it is imported, and rewrites them in
# memory as what they are in C. Where it is imported in a test it must find the real ones, or the process crashes.
TAKES_CLOCKS = "_time_machine"


def _import_with_real_clocks() -> None:
    swapped = [(vars(time), name, value, value.__wrapped__) for name, value in vars(time).items()
               if type(value) is FunctionType and hasattr(value, "__wrapped__")]
    if "_datetime" in sys.modules:
        names = vars(sys.modules["datetime"])
        swapped.append((names, "datetime", names["datetime"], sys.modules["_datetime"].datetime))
    for names, name, _, real in swapped:
        names[name] = real
    try:
        with contextlib.suppress(ImportError):  # whoever imports it meets the error again
            importlib.import_module(TAKES_CLOCKS)
    finally:
        for names, name, there, _ in swapped:
            names[name] = there


def _judge(world: World, event: str, args: tuple[Any, ...]) -> EscapeError | None:
    """The error of an audited call, which the frame above the hook makes; None where the call is allowed."""
    category, call, does, target = ESCAPES[event]
    frame = _getframe(2)
    if is_ours(module_of(frame)) and frame.f_back is not None:  # a stand-in that made the real call
        frame = frame.f_back
    if event != "subprocess.Popen" and _is_managed(frame, event, args):
        return None
    if event == "os.kill" and args[0] == getpid():
        return _suicide(world, args[1])
    shown = [form(args[index]) for index, form in target.items()]
    steps = 0
    while (module := module_of(frame)) in ON_THE_WAY and frame.f_back is not None:
        name = frame.f_code.co_qualname.removesuffix(".__init__")
        call = f"{module}.{name}"
        if name == "_spawnvef":  # it forks; only here is it known what the child will run
            shown = [_text(frame.f_locals["file"]), _text(frame.f_locals["args"])]
            does = ESCAPES["os.system"].does
        if module == "webbrowser":
            category = "webbrowser"
        frame = frame.f_back
        steps += 1
    if is_let_out(category) or _is_managed(frame, event, args):
        return None
    if category == "subprocess" and asks_about_the_machine(frame):
        return None
    return _escape(world, category, call, ", ".join(shown), does, steps + 4)


def raise_refusal(error: BaseException | None) -> None:
    """Raise the error with which a call is refused; None for one that is not."""
    try:
        if error:
            raise error
    finally:
        del error  # its traceback has this frame


def _suicide(world: World, number: int) -> EscapeError | None:
    """The error of a signal to this process that nobody handles and that would end or stop the test runner."""
    if number not in signal.valid_signals() or _signal(number) in _HARMLESS or is_let_out("signal") \
            or _real_handler(number) != signal.SIG_DFL:
        return None
    place, name = user_place(4), _signal(number)
    at = f" ({place})" if place is not None else ""
    return noted(world, f"os.kill(own pid, {name}) would end the test runner{at}\n  nobody handles {name}: install a "
                         "handler first", f"os.kill{at}")


def _is_managed(caller: FrameType, event: str, args: tuple[Any, ...]) -> bool:
    """Whether the standard library makes this call to manage processes, and not on behalf of the program.

    Between two processes of a machine it uses UNIX sockets; an internet socket goes wherever the program said.
    """
    if event == "socket.__new__" and args[1] in (-1, socket.AF_INET, socket.AF_INET6):
        return False
    return manages_processes(caller) and module_of(caller) not in WORKERS


def refuse(world: World, category: str, call: str, does: str) -> EscapeError | None:
    """The error of a call without an audit event, for a stand-in's answer to raise; None where the call is allowed."""
    if not world.guarded or is_let_out(category) or manages_processes(_getframe(3)):
        return None
    return _escape(world, category, call, "", does, 5)


def refuse_library(world: World, call: str, package: str, cure: str) -> EscapeError | None:
    """The error of a call by which a package reaches the network in C code; None where the call is allowed."""
    if not world.guarded or is_let_out("network"):
        return None
    place = user_place(3)
    at = f" ({place})" if place is not None else ""
    return noted(world, f"{call}() of {package} would reach the real network in C code{at}, where nothing of the "
                         f"virtual network is\n  {cure}\n  {_LET_OUT} `with self.allow_escape(\"network\"):`\n"
                         f"  {_UNGUARDED}", f"{call}{at}")


def _escape(world: World, category: str, call: str, arguments: str, does: str, depth: int) -> EscapeError:
    place = user_place(depth)
    at = f" ({place})" if place is not None else ""
    how = f'`with self.allow_escape("{category}"):`'
    if category == "subprocess" and events._get_running_loop() is not None:
        how += ", and in it asyncio.to_thread(), for the call would block the loop's thread"
    return noted(world, f"{call}({arguments}) {does}{at}\n  {CURES[category]}\n  {_LET_OUT} {how}\n  {_UNGUARDED}",
                 f"{call}{at}")


def refuse_child(world: World, call: str, arguments: tuple[Any, ...]) -> EscapeError:
    """The error of the caller's caller, which wants a child process of asyncio: refused, whatever is let out."""
    place = user_place(3)
    at = f" ({place})" if place is not None else ""
    shown = ", ".join(map(_text, arguments))
    return noted(world, f"{call}({shown}) would start a real process{at}, which the virtual loop cannot wait for\n"
                         f"  {CURES['subprocess']}\n  {_LET_OUT} `with self.allow_escape(\"subprocess\"):`, and in it "
                         "module subprocess in asyncio.to_thread()", f"{call}{at}")


def wants_real_network(frame: FrameType) -> bool:
    """Whether what this frame asks of module socket is let out. For a loop it is not: it cannot wait for real sockets.
    """
    if not is_let_out("network"):
        return False
    asker = below_socket(frame)
    return asker not in _LOOPS and not is_ours(asker)
