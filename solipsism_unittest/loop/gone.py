"""Who is gone: a program whose host has crashed, or that has ended. Whatever it does from then on, and what it leaves,
fails no test.

Owns on which host something was started: inside of `with network.host(...)`, or by a server that has bound an address
of that host. Owns what of one loop is gone for good. What starts after the host has come back is not: a server that
came back with it serves again.
"""

from __future__ import annotations

import asyncio
import weakref
from asyncio import events
from collections.abc import Iterable
from contextvars import Context, ContextVar, copy_context
from gc import get_referents
from typing import Any

from ..introspection.handles import task_of
from ..introspection.modules import is_ours
from ..introspection.tasks import retrieve
from ..kernel import Kernel
from ..kernel.addresses.hosts import Host, here
from ..stdlib.holdings import Holdings, holder_of

__unittest = True
__tracebackhide__ = True

# The host whose address a server has bound, in what runs for that server.
serving: ContextVar[Host | None] = ContextVar("serving", default=None)


def context_of(thing: Any) -> Context | None:
    """The context of a handle or a task; a task of 3.11 does not give it."""
    if isinstance(thing, events.Handle):
        return thing._context  # type: ignore[attr-defined, no-any-return]
    return next((each for each in get_referents(thing) if type(each) is Context), None)


def ends_program(owner: Holdings | None, error: BaseException) -> bool:
    """Whether this has come out of a task or a callback of a program into a loop that is others', and only ends that.

    `owner` is the program that has made the loop.
    """
    trace, handle = error.__traceback__, None
    while trace is not None and not isinstance(handle, events.Handle):  # of whosever turn it is
        handle, trace = trace.tb_frame.f_locals.get("handle"), trace.tb_next
    holdings = holder_of(context_of(handle)) if isinstance(handle, events.Handle) else None
    if handle is None or holdings is None or holdings is owner or not holdings.ends_with(error):
        return False
    if (task := task_of(handle)) is not None and task.done():
        retrieve(task)  # or it would be an error that nobody has read
    return True


def is_exit(error: BaseException | None, *things: Any) -> bool:
    """Whether this is sys.exit() of a program, which asyncio reports as an error of what it came from, of `things`."""
    return isinstance(error, SystemExit) and not is_ours(type(error).__module__) and any(
        holder_of(context) is not None for context in (copy_context(), *map(context_of, things)))


class Gone:
    """What of one loop is gone, with its host or its program."""

    __slots__ = ("_kernel", "_gone", "_before")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._gone: weakref.WeakSet[Any] = weakref.WeakSet()  # tasks and handles, for good
        self._before: weakref.WeakSet[Any] = weakref.WeakSet()  # tasks that had ended before their host crashed

    def note_end(self, tasks: Iterable[asyncio.Task[Any]], main: asyncio.Task[Any] | None) -> None:
        """A program is about to end: what was done before is not gone, and its main task is none of what it leaves."""
        self._before.update(task for task in tasks if task.done() and task not in self)
        if main is not None:
            self._before.add(main)

    def note_crash(self, tasks: Iterable[asyncio.Task[Any]], handles: Iterable[events.Handle]) -> None:
        """Their host has just crashed: what has not ended is gone."""
        tasks = list(tasks)
        self._before.update(task for task in tasks if task.done() and task not in self._gone)
        self.note_return(tasks, handles)

    def note_return(self, tasks: Iterable[asyncio.Task[Any]], handles: Iterable[events.Handle]) -> None:
        """Their host comes back: what has begun meanwhile is gone too."""
        self._gone.update([thing for thing in (*tasks, *handles) if thing in self])

    def __contains__(self, thing: Any) -> bool:
        """Whether a task or a handle is gone."""
        return thing in self._gone or thing not in self._before and self._is_down(context_of(thing))

    def is_error(self, context: dict[str, Any]) -> bool:
        """Whether it is an error of what is gone that a loop's exception handler gets."""
        error = context.get("exception")
        things = [thing for thing in map(context.get, ("handle", "task", "future")) if thing is not None]
        return any(thing in self for thing in things) or not things and self._is_down(copy_context()) or (
            error is not None and any(error is getattr(thing, "_exception", None) for thing in self._gone))

    def _is_down(self, context: Context | None) -> bool:
        holdings = holder_of(context)
        if holdings is not None and holdings.is_over:
            return True
        host = context.get(serving) or context.get(here) if context is not None else None
        return host is not None and host.name in self._kernel.names.down
