"""The guard: what gets past the doors of hermetic.py is stopped at the call, with an EscapeError.

Owns the audit hook, the table of what is an escape, what is open on purpose (`allow_escape`), and the question which
escapes nobody was told of. The rule that keeps it simple: an audit hook cannot be removed and runs for every event of
the process, so it asks the table first, then whether its thread is sealed, and anything else only of a call that it is
about to stop.

Processes that the standard library manages for a program (multiprocessing, a process pool, a child of subprocess that
was let out) are not stopped half-way, nor those by which it asks about the machine. What ctypes calls, no audit hook
sees.
"""

from __future__ import annotations

import contextlib
import os
import reprlib
import signal
import socket
import sys
import threading
from asyncio import events
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from ...errors import EscapeError, SolipsismError
from ...introspection.exceptions import lines_of, trace_of
from ...introspection.modules import is_ours, module_of, root_of
from ...introspection.places import asks_about_the_machine, user_place
from ...kernel import Kernel

__unittest = True
__tracebackhide__ = True

# What a program can do about an escape, by its category; these are the names that allow_escape() takes.
CURES = {
    "network": "inside a test module socket and asyncio make what is virtual: go through them",
    "signal": "give the code under test a fake",
    "subprocess": "give the code under test a fake",
    "webbrowser": "give the code under test a fake",
}

KEPT = 100  # escapes of one world that are kept: they hold frames
KEPT_ALIKE = 10  # of one call at one place

# Modules of the standard library whose functions lead to the audited call: the program called theirs.
_ON_THE_WAY = frozenset({"os", "pty", "subprocess", "webbrowser"})
# Where asyncio makes sockets and looks names up. Of its other modules some call back what is the program's.
_LOOPS = frozenset({"asyncio.base_events", "asyncio.selector_events", "asyncio.unix_events"})
_ident = threading.get_ident

# Of multiprocessing these run the program's functions, in threads.
_WORKERS = frozenset({"multiprocessing.dummy", "multiprocessing.pool"})


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
    """What an audit event says: the call, what it would do, and which of the event's arguments show its target."""

    category: str
    call: str
    does: str
    target: Mapping[int, Callable[[Any], str]]


def _network(call: str, *target: int) -> _Escape:
    return _Escape("network", call, "would reach the real network", dict.fromkeys(target, _text))


def _subprocess(call: str, *target: int, does: str = "would start a real process") -> _Escape:
    return _Escape("subprocess", call, does, dict.fromkeys(target, _text))


_FORKS = "would fork this process"
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


def hook_for(kernels: Mapping[int, Kernel]) -> Callable[[str, tuple[Any, ...]], None]:
    """The audit hook for the threads in this table, each with the kernel of its world."""

    def hook(event: str, args: tuple[Any, ...], escapes: Any = ESCAPES, ident: Any = _ident) -> None:
        if event in escapes:
            kernel = kernels.get(ident())
            if kernel is not None and kernel.guarded:
                error = _judge(kernel, event, args)
                try:
                    if error is not None:
                        raise error
                finally:
                    del error  # its traceback has this frame: no cycle shall keep the program's objects alive

    hook.__cantrace__ = True  # type: ignore[attr-defined]  # or no tracer, coverage's either, would see it run
    return hook


def _judge(kernel: Kernel, event: str, args: tuple[Any, ...]) -> EscapeError | None:
    """The error of an audited call, made by the frame above the hook; None where it may be made."""
    category, call, does, target = ESCAPES[event]
    frame = sys._getframe(2)
    if event != "subprocess.Popen" and _is_managed(frame, event, args):
        return None
    if event == "os.kill" and args[0] == os.getpid():
        return None
    shown = [form(args[index]) for index, form in target.items()]
    steps = 0
    while (module := module_of(frame)) in _ON_THE_WAY and frame.f_back is not None:
        name = frame.f_code.co_qualname.removesuffix(".__init__")
        call = f"{module}.{name}"
        if name == "_spawnvef":  # forks, and what then starts in the child is known here only
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
    return _escape(kernel, category, call, ", ".join(shown), does, steps + 4)


def _is_managed(caller: FrameType, event: str, args: tuple[Any, ...]) -> bool:
    """Whether this call of the standard library belongs to its managing of processes, none that runs for the program.

    Between two processes of a machine it uses sockets of UNIX; one of the internet goes wherever the program said.
    """
    if event == "socket.__new__" and args[1] in (-1, socket.AF_INET, socket.AF_INET6):
        return False
    return manages_processes(caller) and module_of(caller) not in _WORKERS


def refuse(kernel: Kernel, category: str, call: str, does: str) -> EscapeError | None:
    """As the hook, for the caller's caller who makes a call without an audit event: the error, or None."""
    if not kernel.guarded or is_let_out(category) or manages_processes(sys._getframe(2)):
        return None
    return _escape(kernel, category, call, "", does, 4)


def _escape(kernel: Kernel, category: str, call: str, arguments: str, does: str, depth: int) -> EscapeError:
    place = user_place(depth)
    at = f" ({place})" if place is not None else ""
    how = f'with self.allow_escape("{category}"):'
    if category == "subprocess" and events._get_running_loop() is not None:
        how = f"in asyncio.to_thread(), for it would block the loop's thread, {how}"
    return noted(kernel, f"{call}({arguments}) {does}{at}: {CURES[category]}, or let it out on purpose: {how}, or "
                         "hermetic = False on the class", f"{call}{at}")


def refuse_child(kernel: Kernel, call: str, arguments: tuple[Any, ...]) -> EscapeError:
    """The error of the caller's caller, who wants a child process of asyncio: there are none, whatever is let out."""
    place = user_place(3)
    at = f" ({place})" if place is not None else ""
    shown = ", ".join(map(_text, arguments))
    return noted(kernel, f"{call}({shown}) would start a real process{at}, which the virtual loop cannot wait for: "
                         f"{CURES['subprocess']}, or call module subprocess in asyncio.to_thread() inside with "
                         'self.allow_escape("subprocess"):', f"{call}{at}")


def noted(kernel: Kernel, text: str, what: str = "") -> EscapeError:
    """A new EscapeError that a test in this world fails for, also when the code under test swallows it.

    `what` was stopped and where, in so many words, is the same for those that differ in their arguments alone. Of them
    the latest are kept, and before them those without a traceback: assertRaises() has caught them.
    """
    error = EscapeError(text)
    error.what = what or text
    alike = [one for one in kernel.escapes if one.what == error.what]
    if len(alike) == KEPT_ALIKE:
        gone = next((one for one in alike if one.__traceback__ is not None), alike[0])
        error.times += gone.times
        with contextlib.suppress(ValueError):  # another thread was faster
            kernel.escapes.remove(gone)
    elif len(kernel.escapes) >= KEPT:
        return error
    kernel.escapes.append(error)
    return error


def _below_socket(frame: FrameType) -> str:
    """The module that makes a call, or calls a function of module socket that makes it."""
    while (module := module_of(frame)) == "socket" and frame.f_back is not None:
        frame = frame.f_back
    return module


def manages_processes(starter: FrameType) -> bool:
    """Whether this frame belongs to the part of the standard library that manages real child processes.

    What it starts and makes stays real: it waits for the children with deadlines on time.monotonic(), which would never
    come in a world whose time stands still. The threads of multiprocessing.dummy are no processes.
    """
    module = _below_socket(starter)
    if module == "multiprocessing.dummy":
        return False
    return module.partition(".")[0] in ("multiprocessing", "subprocess") or module == "concurrent.futures.process"


def waits_for_processes(frame: FrameType) -> bool:
    """Whether this frame is of multiprocessing, whose deadlines are for real processes and so in real time."""
    module = module_of(frame)
    return module.startswith("multiprocessing.") and module not in _WORKERS


# -- what is open on purpose


class _LetOut:
    """`with` it, calls of these categories are real. It may be used again, also inside itself.

    Blocks may be left in any order, and a block of an async generator in a task that did not enter it: each takes away
    itself alone, where it is.
    """

    def __init__(self, categories: Iterable[str]) -> None:
        self.categories = frozenset(categories)

    def __enter__(self) -> None:
        _let_out.set((*_let_out.get(), self))

    def __exit__(self, *exc_info: object) -> None:
        blocks = list(_let_out.get())
        if self in blocks:
            blocks.remove(self)
            _let_out.set(tuple(blocks))


# A context variable, so that what is started inside allow_escape() may do the same, and what runs meanwhile may not.
_let_out: ContextVar[tuple[_LetOut, ...]] = ContextVar("solipsism_unittest.let_out", default=())


def allow_escape(*names: str) -> AbstractContextManager[None]:
    """Inside, calls of these categories (the keys of CURES) are real, also in what is started inside."""
    if not names:
        raise TypeError("allow_escape() wants to know what is let out: one or more of " + _known())
    for name in names:
        if name not in CURES:
            raise SolipsismError(f"allow_escape({name!r}): there is no escape of that name; there are {_known()}")
    return _LetOut(names)


def _known() -> str:
    return ", ".join(f'"{name}"' for name in CURES)


def is_let_out(category: str) -> bool:
    """Whether calls of this category are real here and now."""
    return any(category in block.categories for block in _let_out.get())


def let_out() -> tuple[_LetOut, ...]:
    """What is open here and now, for carrying()."""
    return _let_out.get()


@contextlib.contextmanager
def carrying(blocks: tuple[_LetOut, ...]) -> Iterator[None]:
    """Inside, exactly this is open: for another thread that works on behalf of this one."""
    token = _let_out.set(blocks)
    try:
        yield
    finally:
        _let_out.reset(token)


def wants_real_network(frame: FrameType) -> bool:
    """Whether what this frame asks of module socket is let out: not for a loop, which cannot wait for the real one."""
    asker = _below_socket(frame)
    return is_let_out("network") and asker not in _LOOPS and not is_ours(asker)


# -- who was told


def swallowed(escapes: Collection[EscapeError], known: Container[int]) -> list[EscapeError]:
    """The escapes that nobody was told of, one for each call and place, without frames of ours.

    Told are those in `known` (by id), wanted those that assertRaises() caught, which takes the traceback off; and so is
    what says the same: a program tries again before it gives up.
    """
    told = {str(error) for error in escapes if error.__traceback__ is None or id(error) in known}
    found: dict[str, list[EscapeError]] = {}
    for error in escapes:
        if str(error) not in told:
            found.setdefault(error.what, []).append(error)
    for error, *others in found.values():
        error.__traceback__ = without_own_frames(error.__traceback__)
        more = sum(other.times for other in others) + error.times - 1
        likewise = f", and {more} more from that line" if more else ""
        error.add_note(f"the code under test swallowed this{likewise}; a test that means it says so: "
                       "with self.assertRaises(EscapeError):")
    return [errors[0] for errors in found.values()]


def without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback that ends with the program's line, not with what stands between it and who stopped the call."""
    lines = lines_of(trace)
    while lines and _is_below(module_of(lines[-1].tb_frame)):
        lines.pop()
    return trace_of(lines)


def _is_below(module: str) -> bool:
    return is_ours(module) or root_of(module) in _ON_THE_WAY
