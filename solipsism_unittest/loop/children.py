"""`ChildProcesses`: asyncio's subprocesses, on programs that the test has added.

Owns what asyncio's loop leaves to the system there: how a child is started, and who tells of its end. Where the test
has added no program each is refused: it would be a real one.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import base_subprocess
from typing import Any

from ..peers.programs import programs_of
from ..stdlib.seal import guard
from .signals import SignalHandlers
from .turns import Stock


class _Transport(base_subprocess.BaseSubprocessTransport):
    """asyncio's transport over a virtual program."""

    _loop: Any
    _process_exited: Any

    def _start(self, args: Any, shell: bool, stdin: Any, stdout: Any, stderr: Any, bufsize: int, **options: Any
               ) -> None:
        world = self._loop.world
        child = programs_of(world).start(world, args, shell, {0: stdin, 1: stdout, 2: stderr}, options)
        child.exited = self._process_exited
        self._proc: Any = child.popen


def _begin(kind: str) -> Any:
    """A method `subprocess_exec` or `subprocess_shell`: asyncio's own, or an EscapeError without any program."""

    def begin(self: ChildProcesses, *args: Any, **kwargs: Any) -> Any:
        if programs_of(self.world):
            return getattr(Stock, f"subprocess_{kind}")(self, *args, **kwargs)
        by_asyncio = sys._getframe(1).f_code.co_name == f"create_subprocess_{kind}"
        call = f"asyncio.create_subprocess_{kind}" if by_asyncio else f"loop.subprocess_{kind}"
        raise guard.refuse_child(self.world, call, args[1:])

    begin.__name__ = f"subprocess_{kind}"
    begin.__doc__ = "As asyncio's, for programs that the test has added. Without any it is an EscapeError."
    return begin


class ChildProcesses(SignalHandlers):
    """An event loop with child processes; `SolipsistEventLoop` is one."""

    subprocess_exec, subprocess_shell = _begin("exec"), _begin("shell")

    async def _make_subprocess_transport(self, protocol: Any, args: Any, shell: bool, stdin: Any, stdout: Any,
                                         stderr: Any, bufsize: int, extra: Any = None, **options: Any) -> Any:
        """As asyncio's, without a watcher: a program says itself when it ends."""
        waiter = self.create_future()
        made = _Transport(self, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter=waiter, extra=extra,
                          **options)
        try:
            await waiter
        except BaseException:
            made.close()
            await asyncio.shield(made._wait())
            raise
        return made
