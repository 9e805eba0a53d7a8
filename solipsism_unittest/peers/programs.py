"""Programs that a test adds: what asyncio's subprocesses run in place of real ones.

Owns `Programs`, the table of one world, and `Child`, one running program: its arguments, its three streams, its signals
and its end. A program is a coroutine of the test's own loop, so it lives in the same time; its streams are pipes in
memory, with a pipe's room and a pipe's errors.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import os
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from ..errors import NotSimulatedError
from ..introspection.names import listed
from ..introspection.places import Place, user_place
from ..stdlib.files.file_objects import open_descriptor
from ..stdlib.processes.process import HARMLESS, process_of
from ..stdlib.worlds import World, outermost

__unittest = True
__tracebackhide__ = True

FIRST_PID = 2**22 + 1  # no process of Linux has one so large
# What only a shell can do.
_OF_SHELLS = frozenset("|&;<>()$`\\*?[]#~{}!\n")
_FOR_EVER = frozenset(number for name in ("SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT")
                      if (number := getattr(signal, name, None)) is not None)
_OPTIONS = inspect.signature(subprocess.Popen.__init__).parameters.keys()

Main = Callable[["Child"], Awaitable[int | None]]


class Programs:
    """The programs that a test has added, by name."""

    def __init__(self) -> None:
        self._mains: dict[str, Main] = {}

    def add(self, name: str, main: Main) -> Callable[[], None]:
        """Add a program, or replace the one of this name. The result undoes that."""
        if not isinstance(name, str) or not name:
            raise TypeError(f"a program's name is text, not {name!r}")
        if not callable(main):
            raise TypeError(f"a program is an async function that takes a process, not {main!r}")
        before = self._mains.get(name)
        self._mains[name] = main

        def undo() -> None:
            if before is None:
                del self._mains[name]
            else:
                self._mains[name] = before

        return undo

    def __bool__(self) -> bool:
        return bool(self._mains)

    def start(self, world: World, command: Any, shell: bool, streams: Mapping[int, Any], options: Mapping[str, Any],
              place: Place | None = None) -> Child:
        """Start the program of a command; OSError and NotSimulatedError as the arguments deserve."""
        for option in [option for option in options if option not in _OPTIONS]:
            raise TypeError(f"Popen.__init__() got an unexpected keyword argument {option!r}")
        argv = _words(command) if shell else [os.fsdecode(word) for word in command]
        if any("\0" in word for word in argv):
            raise ValueError("embedded null byte")
        name = argv[0] if argv else ""
        main = self._mains.get(name) or self._mains.get(os.path.basename(name))
        if main is None:
            known = f"there {'is' if len(self._mains) == 1 else 'are'} {listed(list(map(repr, self._mains)))}"
            raise FileNotFoundError(errno.ENOENT, f"No such file or directory: the test has added no such program; "
                                                  f"{known}. Add it: self.add_program({name!r}, main)", name)
        if options.get("preexec_fn") is not None:
            raise NotSimulatedError("preexec_fn is not simulated: there is no fork; do it in the program")
        children = process_of(world).children
        pid = FIRST_PID + len(children)
        children[pid] = child = Child(world, pid, argv, main, options, place or user_place(2))
        child.begin(streams)
        return child


def _words(line: str | bytes) -> list[str]:
    """The words of a line for a shell that needs none."""
    text = os.fsdecode(line)
    odd = sorted(_OF_SHELLS.intersection(text))
    if odd:
        raise NotSimulatedError(f"no shell is run, and {text!r} has what only a shell understands ({' '.join(odd)!r}): "
                                "add the program that does all of it, or use create_subprocess_exec()")
    return shlex.split(text)


class Child:
    """One running program. `argv`, `environment` and `cwd` are what it was started with; `stdin` is a StreamReader,
    `stdout` and `stderr` are StreamWriters. What `main(process)` returns is its exit code, None is 0.
    """

    stdin: asyncio.StreamReader
    stdout: asyncio.StreamWriter
    stderr: asyncio.StreamWriter

    def __init__(self, world: World, pid: int, argv: list[str], main: Main, options: Mapping[str, Any],
                 made_at: Place | None) -> None:
        self.argv = argv
        self.pid = pid
        environment = options.get("env")
        self.environment = dict(os.environ if environment is None else environment)
        self.cwd = os.fspath(options.get("cwd") or os.getcwd())
        self.made_at = made_at
        self.exited: Callable[[int], object] = _nobody  # is called with the exit code, once
        self._world = world
        self._main = main
        self._status: int | None = None
        self._handlers: dict[int, Callable[[], object]] = {}
        self._pipe_ends: list[asyncio.BaseTransport] = []
        self.numbers: list[int] = []  # the descriptors of its pipes, at both ends
        self._announcing: list[int] = []
        self._idle: list[int] = []  # those of them that nobody waits with
        self._unused: list[int] = []  # those of its own that nothing reads or writes yet
        # What a subprocess.Popen has. asyncio sets its returncode.
        self.popen = _Popen(self)

    @property
    def name(self) -> str:
        """What it was started as."""
        return self.argv[0]

    def add_signal_handler(self, signum: int, callback: Callable[..., object], *args: Any) -> None:
        """Let the program handle a signal: `callback(*args)` is called on the loop. SIGKILL and SIGSTOP it cannot."""
        if signum in (signal.SIGKILL, signal.SIGSTOP):
            raise RuntimeError(f"sig {int(signum)} cannot be caught")
        self._handlers[signum] = lambda: callback(*args)

    def announce_end(self) -> int:
        """A descriptor that is ready to be read when it has ended, as a pidfd is; it is gone soon after that.

        Each wait has one of its own, for a loop takes one reader for each.
        """
        if not self._idle:
            reader, writer = self._world.kernel.pipe(self.made_at)
            self._idle.append(reader.number)
            self._unused.append(writer.number)
            self._announcing.append(reader.number)
            self.numbers += [reader.number, writer.number]
        return self._idle.pop()

    def put_back(self, interests: Iterable[tuple[int, int]]) -> None:
        """A wait with these descriptors is over: those that announce the end may be used again."""
        self._idle += [number for number, _ in interests if number in self._announcing]

    # -- its life

    def begin(self, streams: Mapping[int, Any]) -> None:
        """Make its pipes, and let it run. Of `streams` each is PIPE, DEVNULL, None (the test's own) or, 2, STDOUT."""
        ends: dict[int, int] = {}
        sinks: dict[int, tuple[int, Callable[[bytes], object]]] = {}
        world = self._world
        for wanted in streams.values():
            if wanted not in (None, subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT):
                raise NotSimulatedError(f"a virtual program takes PIPE, DEVNULL, STDOUT and None for its streams, not "
                                        f"{wanted!r}: read its pipe, and write to the file yourself")
        for number, wanted in streams.items():
            if wanted == subprocess.STDOUT or (number == 0 and wanted != subprocess.PIPE):
                continue
            reader, writer = world.kernel.pipe(self.made_at)
            self.numbers += [reader.number, writer.number]
            ends[number] = reader.number if number == 0 else writer.number
            self._unused.append(ends[number])
            if wanted == subprocess.PIPE:
                file = open_descriptor(world, *((writer.number, "wb") if number == 0 else (reader.number, "rb")), 0)
                setattr(self.popen, ("stdin", "stdout", "stderr")[number], file)
            else:
                self._unused.append(reader.number)
                sinks[number] = reader.number, _discard if wanted == subprocess.DEVNULL else _printing(number)
        world.kernel.journal.add("spawn", self.pid, self.name)
        self.task: Any = world.loop.create_task(self._live(ends, sinks), name=f"program {self.name} (pid {self.pid})")
        self.task.made_at = self.made_at
        self.task.add_done_callback(self._task_is_over)

    async def _live(self, ends: Mapping[int, int], sinks: Mapping[int, tuple[int, Callable[[bytes], object]]]) -> None:
        loop = asyncio.get_running_loop()
        for number, sink in sinks.values():
            await loop.connect_read_pipe(lambda sink=sink: _Copy(sink), self._open(number, "rb"))  # type: ignore[misc]
        self.stdin = asyncio.StreamReader()
        if 0 in ends:
            await self._connect(loop.connect_read_pipe, ends[0], "rb", asyncio.StreamReaderProtocol(self.stdin))
        else:
            self.stdin.feed_eof()
        writers = {number: await self._writer(loop, end) for number, end in ends.items() if number != 0}
        self.stdout = writers[1]
        self.stderr = writers.get(2, self.stdout)
        code: int | None = 1
        try:
            try:
                code = await self._call()
            except SystemExit as end:
                code = _code_of(end, self.stderr)
            except Exception:
                self.stderr.write(traceback.format_exc().encode())
                raise
        finally:
            if self._status is None:
                for writer in writers.values():
                    writer.close()
                for writer in writers.values():
                    with contextlib.suppress(OSError):  # nobody reads it any more
                        await writer.wait_closed()
                self._end(int(code or 0) & 0xFF)

    async def _call(self) -> int | None:
        answer = self._main(self)
        if not inspect.isawaitable(answer):
            raise TypeError(f"the program {self.name!r} is an async function that takes a process, but it returned "
                            f"{answer!r}: make it `async def`")
        code = await answer
        if not isinstance(code, int | None):
            raise TypeError(f"the program {self.name!r} returned {code!r}: an exit code is an int, or None for 0")
        return code

    async def _connect(self, connect: Any, number: int, mode: str, protocol: Any) -> Any:
        transport, _ = await connect(lambda: protocol, self._open(number, mode))
        self._pipe_ends.append(transport)
        return transport

    def _open(self, number: int, mode: str) -> Any:
        self._unused.remove(number)
        return open_descriptor(self._world, number, mode, 0)

    async def _writer(self, loop: asyncio.AbstractEventLoop, number: int) -> asyncio.StreamWriter:
        protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
        transport = await self._connect(loop.connect_write_pipe, number, "wb", protocol)
        return asyncio.StreamWriter(transport, protocol, None, loop)

    def _task_is_over(self, task: asyncio.Task[Any]) -> None:
        if self._status is None:  # it was cancelled before it began, as asyncio.run() does with what is left
            self._end(-signal.SIGKILL)

    def _end(self, code: int) -> None:
        """Be dead with this exit code, a negative one for the signal that did it."""
        self._status = code
        self._world.kernel.journal.add("exit", self.pid, code)
        for number in self._unused:
            self._world.kernel.release(number)
        for transport in self._pipe_ends:
            if not transport.is_closing():
                getattr(transport, "abort", transport.close)()
        self._tell(3)

    def _tell(self, turns: int) -> None:
        """Tell asyncio, after what was written has come to it, and the ends of its pipes."""
        if turns:
            self._world.loop.call_soon(self._tell, turns - 1)
        else:
            for number in self._announcing:
                self._world.kernel.release(number)
            self.exited(self.status or 0)

    @property
    def status(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._status

    def take_signal(self, signum: int) -> None:
        """A signal for it."""
        if self._status is not None or signum == 0:
            return
        self._world.kernel.journal.add("signal", self.pid, int(signum))
        if signum in self._handlers:
            self._world.loop.call_soon(self._handlers[signum])
        elif signum not in HARMLESS and signum not in _FOR_EVER:
            self._end(-signum)
            self.task.cancel()

    def __repr__(self) -> str:
        state = "running" if self._status is None else f"ended with {self._status}"
        return f"<Child {self.pid} {shlex.join(self.argv)} {state}>"


class _Popen:
    """What asyncio's transport asks of a subprocess.Popen."""

    stdin: Any = None
    stdout: Any = None
    stderr: Any = None
    returncode: int | None = None

    def __init__(self, child: Child) -> None:
        self.child = child
        self.pid = child.pid
        self.args = child.argv

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.child.status
        return self.returncode

    def send_signal(self, signum: int) -> None:
        self.child.take_signal(signum)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __repr__(self) -> str:
        return f"<Popen of {self.child!r}>"


class _Copy(asyncio.Protocol):
    """Hands what comes to a function."""

    def __init__(self, sink: Callable[[bytes], object]) -> None:
        self._sink = sink

    def data_received(self, data: bytes) -> None:
        self._sink(data)


def _nobody(code: int) -> None:
    """Nobody waits for it yet."""


def _discard(data: bytes) -> None:
    """To /dev/null."""


def _printing(number: int) -> Callable[[bytes], object]:
    """Print to the test's own stream of this number, whatever that is when something comes."""
    return lambda data: (sys.stdout if number == 1 else sys.stderr).write(data.decode(errors="replace"))


def _code_of(end: SystemExit, stderr: asyncio.StreamWriter) -> int:
    """The exit code of a program that calls sys.exit(), as Python's."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    stderr.write(f"{end.code}\n".encode())
    return 1


def programs_of(world: World) -> Programs:
    """The programs of a test: those of its outermost loop are those of all."""
    world = outermost(world)
    programs = world.programs
    if not isinstance(programs, Programs):
        programs = world.programs = Programs()
    return programs


