"""What differs between the supported versions of Python: one row each, and no other file asks for a version.

Owns the answers only. The running Python gives them itself wherever that asks the system nothing: its own C functions
judge the arguments that they would refuse, so that class and text are theirs in versions to come too. They are taken at
import, before anything is sealed, and never see plain arguments that are right, which they would hand to the system.
"""

from __future__ import annotations

import _socket
import contextlib
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from gc import get_referents
from operator import index as index_of
from typing import Any

MINOR = sys.version_info.minor  # for who writes down which Python it was

# A socket of the C class that was never opened: its methods look at their arguments first, and then say EBADF.
_CSocket: Any = _socket.socket
_NEVER_OPENED = _CSocket.__new__(_CSocket)
_SENDFILE: Any = getattr(os, "sendfile", None)
_warnings_context: Any = getattr(warnings, "_get_context", None)
_IF_INDEXTONAME = socket.if_indextoname


def _hides_where_a_for_stands() -> bool:
    """Whether a suspended `for` over a list keeps an index that nobody can see, in place of an iterator."""

    def steps(things: list[None]) -> Iterator[None]:
        for _ in things:
            yield

    begun = steps([None, None])
    next(begun)
    hidden = type(iter([])) not in map(type, get_referents(begun))
    list(begun)  # to its end
    return hidden


# -- the rows, and since when

# 3.14: a bool, and any other subclass of int, is a port to `getaddrinfo()`.
PORTS_MAY_BE_SUBCLASSES = sys.version_info >= (3, 14)
# 3.14: asyncio finds all tasks in C. Before, it looks through these of module asyncio.tasks, for the whole process.
REGISTERS_OF_TASKS = () if sys.version_info >= (3, 14) else (
    ("_scheduled_tasks", "_eager_tasks") if sys.version_info >= (3, 12) else ("_all_tasks",))
# 3.14: the error for a name that no interface has has a number.
NO_SUCH_INTERFACE = sys.version_info >= (3, 14)
# 3.12: `setblocking()` takes whatever is true or false. Before, it had to be a number.
SETBLOCKING_TAKES_NUMBERS = sys.version_info < (3, 12)
# 3.14: asyncio lists its tasks in C. Before, in a set, so that each was asked for its hash while it was made.
NEW_TASKS_ARE_HASHED = sys.version_info < (3, 14)
# 3.14: asyncio mostly hears of a child's end before it reads what that wrote last. Before, mostly after.
EXIT_COMES_FIRST = sys.version_info >= (3, 14)
# 3.12: which loop runs here is known without asking the system for the number of the process.
RUNNING_LOOP_IS_KNOWN = sys.version_info >= (3, 12)
# 3.12: what asyncio logs of a child whose exit code is gone. Before, a thread of its own said so, in other words.
EXIT_CODE_IS_GONE = ("child process pid %d exit status already read:  will report returncode 255"
                     if sys.version_info >= (3, 12) else "Unknown child process pid %d, will report returncode 255")
# 3.12: `start_new_session` and `restore_signals` take whatever is true or false. Before, they had to be numbers.
SESSIONS_TAKE_NUMBERS = sys.version_info < (3, 12)
# 3.13: an error of a child before it runs its program names no file. Before, it named the folder that it was to be in.
CHILD_NAMES_FOLDER = sys.version_info < (3, 13)
# 3.13, where the system has it: `posix_spawn()` closes descriptors by itself, so that Popen mostly starts children by
# it, and then never looks at `pass_fds`.
SPAWN_CLOSES = hasattr(os, "POSIX_SPAWN_CLOSEFROM")
# 3.13: what stands above the error of a function of atexit, without another colon.
IGNORED_AT_EXIT = f"Exception ignored in atexit callback{'' if sys.version_info >= (3, 13) else ':'} %r" + (
    ":" if sys.version_info >= (3, 13) else "")
# 3.13: the NULL of a call of a plain name stands behind what is called. Before, it came first.
NULL_COMES_FIRST = sys.version_info < (3, 13)
# 3.12: a traced thread gets into Python functions while an exception is on its way to another thread.
STRIKES_STOP_TRACED_THREADS = sys.version_info < (3, 12)
# 3.12.3, and 3.11.9: a socket of module ssl meets a reset as ConnectionResetError. Before, as the end of TLS.
RESET_ENDS_TLS = not (3, 11, 9) <= sys.version_info < (3, 12) and sys.version_info < (3, 12, 3)
# 3.15: a suspended `for` over one of these has no iterator any more: how far it came cannot be seen.
WALKED_UNSEEN = (list, tuple, str, bytes) if _hides_where_a_for_stands() else ()
# 3.15: a datagram longer than the buffer is a ValueError with MSG_TRUNC, with this text. None: no error.
CUT_DATAGRAM = "size larger than allocated size" if sys.version_info >= (3, 15) else None


def is_monitored() -> bool:
    """Whether a debugger is told by sys.monitoring. 3.12."""
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None


def runs_elsewhere(pool: object) -> bool:
    """Whether a pool of threads runs its jobs in other interpreters, which share no objects with this one. 3.14."""
    return type(pool).__name__ != "ThreadPoolExecutor" and any(
        kind.__name__ == "InterpreterPoolExecutor" and kind.__module__ == "concurrent.futures.interpreter"
        for kind in type(pool).__mro__)


def collector_of_warnings() -> object:
    """Where a warning that is shown goes to now: another object inside `catch_warnings(record=True)`.

    3.14: with `-X context_aware_warnings=1`, as in a build without the GIL, that is a list of the context, and the
    function stays.
    """
    log = _warnings_context().log if _warnings_context is not None else None
    return log if log is not None else warnings._showwarnmsg_impl  # type: ignore[attr-defined]


def default_policy() -> Any:
    """The class of asyncio's default event loop policy. 3.14: its name warns; 3.16: there is none."""
    import asyncio  # the kernel needs none of it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return asyncio.DefaultEventLoopPolicy


def judge_option(*arguments: Any) -> None:
    """Raise what `setsockopt(*arguments)` raises for arguments that it does not take. 3.15: other classes and texts."""
    if len(arguments) == 3 and all(map(_is_right, arguments[:2])) and (
        _is_right(arguments[2]) or type(arguments[2]) is bytes
    ):
        return
    with contextlib.suppress(OSError):  # they are right, and the socket is not
        _NEVER_OPENED.setsockopt(*arguments)


def judge_interface(index: Any) -> None:
    """Raise what `if_indextoname(index)` raises for what is no unsigned int. 3.14: ValueError for a negative one."""
    if not _is_right(index, least=0):
        with contextlib.suppress(OSError):  # a number that no real interface has
            _IF_INDEXTONAME(index)


def judge_count(count: int) -> None:
    """Raise what `os.sendfile()` raises for this count by itself, if anything. 3.15: ValueError for a negative one."""
    if not _is_right(count, least=0):
        with contextlib.suppress(OSError):  # the system was asked, and there is no such descriptor
            _SENDFILE(-1, -1, 0, count)


def _is_right(number: object, least: int = -(2**31)) -> bool:
    """Whether this is an int that fits one of C: every version takes it."""
    return isinstance(number, int) and least <= number < 2**31


def warn_of_utcnow() -> None:
    """Warn the caller's caller as `datetime.utcnow()` does. 3.12."""
    if sys.version_info >= (3, 12):
        warnings.warn("datetime.datetime.utcnow() is deprecated: use datetime.datetime.now(datetime.UTC)",
                      DeprecationWarning, stacklevel=3)


def warn_of_line_buffering() -> None:
    """Warn the caller's caller's caller as `io.open()` does of line buffering for bytes."""
    warnings.warn("line buffering (buffering=1) isn't supported in binary mode, the default buffer size will be used",
                  RuntimeWarning, stacklevel=4)


def c_int(value: Any) -> int:
    """An int of C, with the errors that the arguments of a child's start have."""
    if SESSIONS_TAKE_NUMBERS:
        with contextlib.suppress(OSError):
            _NEVER_OPENED.getsockopt(0, value)
    else:
        os.strerror(value)
    return index_of(value)
