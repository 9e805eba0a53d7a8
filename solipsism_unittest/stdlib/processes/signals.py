"""Module `signal`, and what of `os` sends signals, for the virtual process (process.py).

Owns what a program passes in and gets back: checks, errors and return values are those of CPython. The real process
answers where the program has let that out, for debuggers and for the runner.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import math
import operator
import os
import signal
from collections.abc import Callable, Iterable
from os import getpid
from types import FrameType
from typing import Any, NoReturn, TypeVar

from ...errors import NotSimulatedError
from ...introspection.modules import manages_processes, module_of, root_of
from ...kernel import READABLE
from ...kernel.descriptors.file import File, os_error
from .. import waiting
from ..holdings import holding
from ..worlds import World, thread_id, threads_in
from .process import DEFAULT, IGNORE, Process, here, process_of

T = TypeVar("T")

_UNCATCHABLE = frozenset(getattr(signal, name) for name in ("SIGKILL", "SIGSTOP") if hasattr(signal, name))
_VALID = frozenset(signal.valid_signals())
_HIGHEST = signal.NSIG - 1
_ONLY_MAIN = "only works in main thread of the main interpreter"
_DEBUGGERS = frozenset({"pdb", "bdb", "IPython", "pydevd", "debugpy"})
_RUNNER = "unittest.signals"  # `unittest --catch`: its handler asks whether it is still the real one


def is_real(frame: FrameType) -> bool:
    """Whether the real process answers this frame: what manages real ones in the library, a debugger, or the runner."""
    return manages_processes(frame) or (module := module_of(frame)) == _RUNNER or root_of(module) in _DEBUGGERS


def _number(signum: Any, *, least: int = 1) -> int:
    number = operator.index(signum)
    if not least <= number <= _HIGHEST:
        raise ValueError("signal number out of range")
    return number


def _set(signals: Any) -> list[int]:
    """What a set of signals holds; those that there are not are refused as by C."""
    numbers = [operator.index(signum) for signum in signals]
    for number in numbers:
        if not 1 <= number <= _HIGHEST:
            raise ValueError(f"signal number {number} out of range [1; {_HIGHEST}]")
    return numbers


def _named(handler: Any) -> Any:
    """A handler as module signal shows it."""
    return signal.Handlers(handler) if handler in (DEFAULT, IGNORE) else handler


def _named_set(numbers: Iterable[int]) -> set[Any]:
    known = {int(each): each for each in signal.Signals}
    return {known.get(number, number) for number in numbers}


def _in_main(process: Process, what: str) -> None:
    if thread_id() != process.main:
        raise ValueError(f"{what} {_ONLY_MAIN}")


# -- handlers


def set_handler(world: World, signalnum: Any, handler: Any) -> Any:
    """As signal.signal()."""
    process = process_of(world)
    if not callable(handler) and handler not in (DEFAULT, IGNORE):
        raise TypeError("signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object")
    _in_main(process, "signal")
    number = _number(signalnum)
    if number in _UNCATCHABLE or number not in _VALID:
        raise os_error(errno.EINVAL)
    before = process.handler(number)
    process.signals.handlers[number] = handler
    return _named(before)


def getsignal(world: World, signalnum: Any) -> Any:
    """As signal.getsignal()."""
    number = _number(signalnum)
    return _named(process_of(world).handler(number)) if number in _VALID else None


def siginterrupt(world: World, signalnum: Any, flag: Any) -> None:
    """As signal.siginterrupt(): no call of ours is ever interrupted."""
    _number(signalnum)


def set_wakeup_fd(world: World, fd: Any, *, warn_on_full_buffer: bool = True) -> int:
    """As signal.set_wakeup_fd()."""
    process = process_of(world)
    number = operator.index(fd)
    _in_main(process, "set_wakeup_fd")
    if number != -1 and number not in process.receivers:
        file: File | None = world.kernel.files.get(number)
        if file is None:
            raise os_error(errno.EBADF)
        if getattr(file, "blocking", False):
            raise ValueError(f"the fd {number} must be in non-blocking mode")
    before, process.wakeup = process.wakeup, number
    return before


# -- sending


def raise_signal(world: World, signalnum: Any) -> None:
    """As signal.raise_signal(): to the thread that calls."""
    _send(world, operator.index(signalnum), "signal.raise_signal(", thread_id())


def leave(world: World, status: Any) -> NoReturn:
    """As os._exit(): of a program."""
    _leave(world, operator.index(status) & 0xFF, "os._exit(")


def abort(world: World) -> NoReturn:
    """As os.abort(): whatever handles SIGABRT, a program ends by it."""
    _leave(world, -signal.SIGABRT, "os.abort(")


def _leave(world: World, code: int, call: str) -> NoReturn:
    program = holding.get()
    if program is not None and program.leave is not None:
        program.leave(code)
    process_of(world).leave(code, call)


def kill(world: World, pid: Any, sig: Any) -> None:
    """As os.kill() to this process, or to a child of it."""
    child = process_of(world).children.get(pid)
    if child is None:
        _send(world, operator.index(sig), "os.kill(own pid, ")
        return
    number = operator.index(sig)
    if number not in _VALID and number != 0:
        raise os_error(errno.EINVAL)
    if child.popen.returncode is not None:
        raise os_error(errno.ESRCH)
    waiting.on_the_loop(world, functools.partial(child.take_signal, number))


def killpg(world: World, pgid: Any, sig: Any) -> None:
    """As os.killpg() to a group in which children are, or to this process with those of its own group."""
    group = operator.index(pgid)
    members = [child for child in _children(world) if _group_of(child) == group and child.popen.returncode is None]
    if not members and group != os.getpgrp():
        raise os_error(errno.ESRCH)
    for child in members:
        kill(world, child.pid, sig)
    if group == os.getpgrp():
        _send(world, operator.index(sig), "os.killpg(own group, ")


def getpgid(world: World, pid: Any) -> int:
    """As os.getpgid() of a child."""
    child = process_of(world).children[pid]
    if child.popen.returncode is not None:
        raise os_error(errno.ESRCH)
    return _group_of(child)


def _children(world: World) -> list[Any]:
    return list(process_of(world).children.values())


def _group_of(child: Any) -> int:
    return os.getpgrp() if child.group is None else child.group


def send(world: World, signum: Any) -> None:
    """Send a signal to the process of this world, from outside of it."""
    _send(world, operator.index(signum), "send_signal(")


def pthread_kill(world: World, ident: Any, signalnum: Any) -> None:
    """As signal.pthread_kill() to a thread of the test."""
    _send(world, operator.index(signalnum), "signal.pthread_kill(ident, ", ident)


def _send(world: World, number: int, call: str, to: int | None = None) -> None:
    if number != 0:
        if number not in _VALID:
            raise os_error(errno.EINVAL)
        process_of(world).send(number, call, to)


def interrupt_main(world: World, signum: Any = signal.SIGINT) -> None:
    """As _thread.interrupt_main(): as if the signal had come, where it is handled."""
    process, number = process_of(world), _number(signum)
    if process.handler(number) not in (DEFAULT, IGNORE):
        process.deliver(number, "_thread.interrupt_main(")
        process.handle_here()


def is_other_process(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """A condition: os.kill() is meant for another process."""
    return not args or (args[0] != getpid() and args[0] not in process_of(world).children)


def is_other_group(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """The same of os.killpg()."""
    return not args or args[0] not in {os.getpgrp(), *map(_group_of, _children(world))}


def is_no_child(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """A condition: the question is about another process than a child."""
    return not args or args[0] not in process_of(world).children


def is_other_thread(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """The same of pthread_kill()."""
    process = process_of(world)
    return not args or args[0] not in {process.main, thread_id(), *threads_in(world)}


# -- masks


def pthread_sigmask(world: World, how: Any, mask: Any) -> set[Any]:
    """As signal.pthread_sigmask()."""
    process, thread = process_of(world), thread_id()
    before, numbers = process.signals.mask(thread), frozenset(_set(mask))
    try:
        after = {int(signal.SIG_BLOCK): before | numbers, int(signal.SIG_UNBLOCK): before - numbers,
                 int(signal.SIG_SETMASK): numbers}[operator.index(how)]
    except KeyError:
        raise os_error(errno.EINVAL) from None
    freed = process.signals.set_mask(thread, after)
    for signum in freed:
        process.deliver(signum, "unblocking(")
    process.handle_here()
    return _named_set(before)


def sigpending(world: World) -> set[Any]:
    """As signal.sigpending()."""
    return _named_set(process_of(world).signals.pending(thread_id()))


def sigwait(world: World, sigset: Any) -> Any:
    """As signal.sigwait(): in a thread, or while no loop runs, it waits in virtual time."""
    number, _ = _taken(world, _set(sigset), None, "signal.sigwait")
    return next(iter(_named_set([number])))


def sigwaitinfo(world: World, sigset: Any) -> Any:
    """As signal.sigwaitinfo()."""
    return _info(*_taken(world, _set(sigset), None, "signal.sigwaitinfo"))


def sigtimedwait(world: World, sigset: Any, timeout: Any) -> Any:
    """As signal.sigtimedwait(): None when the time is over."""
    numbers, seconds = _set(sigset), float(timeout)
    if seconds < 0:
        raise ValueError("timeout must be non-negative")
    try:
        return _info(*_taken(world, numbers, seconds, "signal.sigtimedwait"))
    except TimeoutError:
        return None


def pause(world: World) -> None:
    """As signal.pause(): until a handler has run."""
    process = process_of(world)
    before = process.handled

    def attempt() -> None:
        if process.handled == before:
            raise BlockingIOError

    _wait(world, process, attempt, None, "signal.pause")


def _taken(world: World, numbers: list[int], timeout: float | None, call: str) -> tuple[int, int]:
    """A signal of these and how it came, as soon as one is pending; TimeoutError when the time is over."""
    process, thread = process_of(world), thread_id()

    def attempt() -> tuple[int, int]:
        found = process.signals.take(thread, numbers)
        if found is None:
            raise BlockingIOError
        return found, getpid()

    if timeout == 0:
        try:
            return attempt()
        except BlockingIOError:
            raise TimeoutError from None
    with process.signals.waiting(thread, numbers):
        return _wait(world, process, attempt, timeout, call)


def _info(number: int, sender: int) -> Any:
    return signal.struct_siginfo((number, 0, 0, sender, os.getuid(), 0, 0))


def _wait(world: World, process: Process, attempt: Callable[[], T], timeout: float | None, call: str) -> T:
    """What `attempt` gives once it can: it is made again whenever a signal has come."""
    with contextlib.suppress(BlockingIOError):
        return attempt()
    if waiting.is_elsewhere(world):
        with process.noticing(world) as number:
            return waiting.carry_out(world, functools.partial(_again, process, number, attempt), [(number, READABLE)],
                                     timeout, call)
    if world.runs:
        raise waiting.refusal(world, call, "no pending signal", "let a handler of the loop wait for it")
    return _alone(world, process, attempt, timeout, call)


def _again(process: Process, number: int, attempt: Callable[[], T]) -> T:
    process.hear(number)
    return attempt()


def _alone(world: World, process: Process, attempt: Callable[[], T], timeout: float | None, call: str) -> T:
    """The same where nobody else is there: only time can bring a signal, by a timer."""
    clock = here(process.main, world).kernel.clock
    deadline = math.inf if timeout is None else clock.now + timeout
    while True:
        process.handle_here()
        with contextlib.suppress(BlockingIOError):
            return attempt()
        when = min(deadline, clock.deliveries[0][0] if clock.deliveries else math.inf)
        if when == math.inf:
            raise waiting.refusal(world, call, "no pending signal", "no timer is set, and nobody else could send one")
        clock.jump(max(when, clock.now))
        if when == deadline:
            with contextlib.suppress(BlockingIOError):
                return attempt()
            raise TimeoutError


# -- time


def _seconds(value: Any) -> float:
    seconds = float(value)
    if seconds < 0 or math.isnan(seconds):
        raise signal.ItimerError(errno.EINVAL, os.strerror(errno.EINVAL))
    return seconds


def setitimer(world: World, which: Any, seconds: Any, interval: Any = 0.0) -> tuple[float, float]:
    """As signal.setitimer(), in virtual time."""
    _check_timer(which)
    return process_of(world).set_timer(_seconds(seconds), _seconds(interval))


def getitimer(world: World, which: Any) -> tuple[float, float]:
    """As signal.getitimer()."""
    _check_timer(which)
    process = process_of(world)
    due, interval = process.timer
    now = here(process.main, process.world).kernel.clock.now
    return (due - now if due else 0.0), interval


def _check_timer(which: Any) -> None:
    number = operator.index(which)
    if number in (signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        raise NotSimulatedError("a timer of processor time is not simulated: use signal.ITIMER_REAL")
    if number != signal.ITIMER_REAL:
        raise signal.ItimerError(errno.EINVAL, os.strerror(errno.EINVAL))


def alarm(world: World, seconds: Any) -> int:
    """As signal.alarm(): the seconds that were left, rounded as Linux does, but never to 0."""
    rest, _ = process_of(world).set_timer(float(operator.index(seconds)), 0.0)
    return max(math.floor(rest + 0.5), 1) if rest else 0


ANSWERS: dict[str, Callable[..., Any]] = {
    "signal": set_handler, "getsignal": getsignal, "siginterrupt": siginterrupt, "set_wakeup_fd": set_wakeup_fd,
    "raise_signal": raise_signal, "pthread_sigmask": pthread_sigmask, "sigpending": sigpending, "sigwait": sigwait,
    "sigwaitinfo": sigwaitinfo, "sigtimedwait": sigtimedwait, "pause": pause,
    "setitimer": setitimer, "getitimer": getitimer, "alarm": alarm,
}


