"""`ChildProcesses`: asyncio's subprocesses, on programs that the test has added, and what they watch by number.

Owns what asyncio's loop leaves to the system there: how a child is started, and who tells of its end. Where the test
has added no program each is refused: it would be a real one.
"""

from __future__ import annotations

import asyncio
import functools
import subprocess
from asyncio import base_subprocess
from asyncio.log import logger
from collections.abc import Callable
from sys import _getframe
from typing import Any, NoReturn

from ..errors import NotSimulatedError
from ..introspection.places import user_place
from ..peers.programs.child import Child
from ..peers.programs.real import start_real
from ..peers.programs.table import Asking, programs_of
from ..pythons import EXIT_CODE_IS_GONE
from ..stdlib.files.passed import own_or_same
from ..stdlib.holdings import Holdings
from ..stdlib.seal import guard
from ..stdlib.seal.permits import is_let_out
from ..stdlib.worlds import World
from .doors import Stock
from .gone import ends_program
from .serving import Serving

_POPEN = subprocess.Popen


class _UnixSubprocessTransport(base_subprocess.BaseSubprocessTransport):
    """asyncio's transport over a virtual program, by the name that it has in logs."""

    _loop: Any
    _process_exited: Any

    def _start(self, args: Any, shell: bool, stdin: Any, stdout: Any, stderr: Any, bufsize: int, **options: Any
               ) -> None:
        if subprocess.Popen is _POPEN:
            world, wanted = self._loop.world, {0: stdin, 1: stdout, 2: stderr}
            if _is_real(world):
                child = start_real(world, args, shell, wanted, options)
            else:
                asking = Asking(args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=bufsize,
                                universal_newlines=False, **options)
                child = programs_of(world).start(world, asking.command, user_place(2))
            child.exited = self._process_exited
            child.popen.reaped = functools.partial(self._note_reaped, child)
            self._proc: Any = child.popen
        else:  # a test has put its own there, and asyncio would ask that
            self._proc = subprocess.Popen(args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr,
                                          universal_newlines=False, bufsize=bufsize, **options)

    def _note_reaped(self, child: Child) -> None:
        """It was asked for its exit code before asyncio was told: whoever comes second may find that gone."""
        if child.chosen("too late for its exit code, which close() or a signal had asked for: 255"):
            child.exited = functools.partial(self._lose, child.pid)

    def _lose(self, pid: int, code: int) -> None:
        logger.warning(EXIT_CODE_IS_GONE, pid)
        self._process_exited(255)


def _is_real(world: World) -> bool:
    """Whether a process is a real one here."""
    return not world.guarded or is_let_out("subprocess")


def _begin(kind: str) -> Any:
    """A method `subprocess_exec` or `subprocess_shell`: asyncio's own, or an EscapeError without any program."""

    def begin(self: ChildProcesses, *args: Any, **kwargs: Any) -> Any:
        if programs_of(self.world) or _is_real(self.world):
            return getattr(Stock, f"subprocess_{kind}")(self, *args, **kwargs)
        by_asyncio = _getframe(1).f_code.co_name == f"create_subprocess_{kind}"
        call = f"asyncio.create_subprocess_{kind}" if by_asyncio else f"loop.subprocess_{kind}"
        raise guard.refuse_child(self.world, call, args[1:])

    begin.__name__ = f"subprocess_{kind}"
    begin.__doc__ = "As asyncio's, for programs that the test has added. Without any it is an EscapeError."
    return begin


def _note_registration(loop: Any, fd: Any, index: int, method: str) -> None:
    handle = loop._selector.get_key(fd).data[index]  # a program may have put a selector of its own there
    loop.inventory.add_registration(handle, method, user_place(3))


class ChildProcesses(Serving):
    """An event loop with child processes; `SolipsistEventLoop` is one."""

    holdings: Holdings | None = None  # of the program that has made it

    subprocess_exec, subprocess_shell = _begin("exec"), _begin("shell")

    def run_for_others(self) -> None:
        """Run for the programs that live here, until it is stopped; the end of one of them may stop it as well."""
        try:
            self.run_forever()
        except (KeyboardInterrupt, SystemExit) as error:
            if not ends_program(self.holdings, error):
                raise

    def add_reader(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        """As asyncio's, in a program by the number that it was given; the registration knows where it was made."""
        number = own_or_same(fd)
        Stock.add_reader(self, number, callback, *args)
        _note_registration(self, number, 0, "add_reader")

    def add_writer(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        """See `add_reader`."""
        number = own_or_same(fd)
        Stock.add_writer(self, number, callback, *args)
        _note_registration(self, number, 1, "add_writer")

    def remove_reader(self, fd: Any) -> bool:
        """See `add_reader`."""
        return Stock.remove_reader(self, own_or_same(fd))

    def remove_writer(self, fd: Any) -> bool:
        """See `add_reader`."""
        return Stock.remove_writer(self, own_or_same(fd))

    async def connect_read_pipe(self, protocol_factory: Any, pipe: Any) -> Any:
        """As asyncio's; a real descriptor is refused at the call, and not in the callback that registers it."""
        self.selector.check_pipe(pipe)
        return await Stock.connect_read_pipe(self, protocol_factory, pipe)

    async def connect_write_pipe(self, protocol_factory: Any, pipe: Any) -> Any:
        """As asyncio's; see `connect_read_pipe`."""
        self.selector.check_pipe(pipe)
        return await Stock.connect_write_pipe(self, protocol_factory, pipe)

    async def _make_subprocess_transport(self, protocol: Any, args: Any, shell: bool, stdin: Any, stdout: Any,
                                         stderr: Any, bufsize: int, extra: Any = None, **options: Any) -> Any:
        """As asyncio's, without a watcher: a program says itself when it ends."""
        waiter = self.create_future()
        made = _UnixSubprocessTransport(self, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter=waiter,
                                        extra=extra, **options)
        try:
            await waiter
        except BaseException:
            made.close()
            await asyncio.shield(made._wait())
            raise
        return made


def _of_windows(name: str) -> Any:
    """A method of this name that refuses, whatever it is called with."""

    def refuse(self: ChildProcesses, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotSimulatedError(f"{name}() is a call of Windows' proactor loop, and this loop plays Linux: use "
                                "create_unix_server() and create_unix_connection(), or TCP")

    refuse.__name__ = name
    refuse.__doc__ = f"Of Windows alone: `{name}` raises NotSimulatedError."
    return refuse


for _name in ("create_pipe_connection", "start_serving_pipe"):
    setattr(ChildProcesses, _name, _of_windows(_name))
