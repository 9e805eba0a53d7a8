"""`Child`: one running program of a test, with its arguments, its three streams, its signals and its end.

A program is a coroutine of the test's own loop, so it lives in the same time; its streams are pipes in memory, with a
pipe's room and a pipe's errors.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import inspect
import operator
import os
import shlex
import signal
import subprocess
from asyncio import _get_running_loop
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, NoReturn

from ...introspection.modules import is_ours
from ...introspection.places import Place
from ...kernel.choices.kinds import EXIT
from ...kernel.descriptors.file import os_error
from ...pythons import EXIT_COMES_FIRST
from ...stdlib.files.file_objects import open_descriptor
from ...stdlib.files.passed import Passed, inherited
from ...stdlib.holdings import Holdings, holding
from ...stdlib.processes.ending import Ended, Ending
from ...stdlib.processes.folders import Folder, current, folder_here
from ...stdlib.processes.process import HARMLESS
from ...stdlib.processes.program import ROOM
from ...stdlib.waiting import loop_here
from ...stdlib.worlds import World
from .ends import Reading, Stdin, Straight, code_of, end_left, told
from .streams import Streams

__unittest = True
__tracebackhide__ = True

FIRST_PID = 2**22 + 1  # no process of Linux has one so large
_FOR_EVER = frozenset(number for name in ("SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT")
                      if (number := getattr(signal, name, None)) is not None)
_VALID = frozenset(signal.valid_signals())
_TURNS_TO_SEE = 3  # of the loop, until who waits for a descriptor has seen it
_TURNS = 1000  # a program that runs without the loop has so many sleep(0)

Main = Callable[..., Any]

parent: ContextVar[Child | None] = ContextVar("solipsism_unittest.parent", default=None)
"""The program in which something runs: what it starts has its streams, its variables and its folder."""


def takes_process(main: Main) -> bool:
    """Whether a program is called with its process; one that is not is called as `run_program` does it."""
    try:
        parameters = inspect.signature(main).parameters.values()
    except ValueError:  # of C
        return False
    given = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD,
                                                          each.VAR_POSITIONAL)]
    needed = any(each.default is each.empty and each.kind is not each.VAR_POSITIONAL for each in given)
    return needed or (bool(given) and inspect.iscoroutinefunction(main))


def drive(coroutine: Any) -> tuple[bool, Any]:
    """Run a coroutine without a loop: whether it came to its end, and what it returned. One that waits is closed."""
    run = contextvars.copy_context().run
    try:
        for _ in range(_TURNS):
            if run(coroutine.send, None) is not None:
                break
    except StopIteration as end:
        return True, end.value
    run(coroutine.close)
    return False, None


class Child:
    """One running program. `argv`, `environment` and `cwd` are what it was started with; `stdin` is a StreamReader,
    `stdout` and `stderr` are StreamWriters. What `main(process)` returns is its exit code, None is 0.
    """

    stdin: asyncio.StreamReader
    stdout: asyncio.StreamWriter
    stderr: asyncio.StreamWriter

    def __init__(self, world: World, pid: int, argv: list[str], main: Main, streams: Streams,
                 environment: dict[str, str], folder: Any, made_at: Place | None, passed: Passed | None = None) -> None:
        self.argv = argv
        self.pid = pid
        self.environment = environment
        self.cwd = os.path.abspath(os.fsdecode(folder or folder_here()))
        self._folder = Folder(self.cwd)
        self.made_at = made_at
        self.group: int | None = None  # of processes; None for that of the test
        self.own_session = False
        self.exited: Callable[[int], object] = _nobody  # is called with the exit code, once
        self.cure = ""  # what a test may do about it that has left it running
        self.task: Any = None
        self.context = contextvars.copy_context()
        self.context.run(parent.set, self)
        self.context.run(current.set, self._folder)
        self.context.run(inherited.set, passed)
        self.holdings = Holdings(Ending())
        self.holdings.leave, self.holdings.ends_with = self._leave_now, self._ends_with
        self.context.run(holding.set, self.holdings)
        self._world = world
        self.loop: asyncio.AbstractEventLoop = loop_here(world)  # on which it lives: that of who starts it
        self._main = main
        self._status: int | None = None
        self._struck: BaseException | None = None  # what it ends with that has come out of another task, or a callback
        self._handlers: dict[int, Callable[[], object]] = {}
        self._has_begun = False
        self._stdin_end: Any = None
        self._pipe_ends: list[asyncio.BaseTransport] = []
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._streams = streams
        given = passed.numbers if passed is not None else []
        self.holdings.add(world.kernel, given)
        self.numbers = streams.numbers + given  # of descriptors: of its pipes, at both ends, and those it was given
        self._announcing: list[int] = []
        self._idle: list[int] = []  # those of them that nobody waits with
        # What a subprocess.Popen has. asyncio sets its returncode.
        self.popen = _Popen(self, streams.files)

    def stream(self, number: int) -> Any:
        """Its stream of this number, for what it starts: a descriptor; DEVNULL where there is nothing."""
        own = self._streams.own
        return own.get(number, own[1] if number == 2 else subprocess.DEVNULL) if self._status is None else None

    @property
    def name(self) -> str:
        """What it was started as."""
        return self.argv[0]

    def add_signal_handler(self, signum: int, callback: Callable[..., object], *args: Any) -> None:
        """Let the program handle a signal: `callback(*args)` is called on the loop. SIGKILL and SIGSTOP it cannot."""
        if signum in (signal.SIGKILL, signal.SIGSTOP):
            raise RuntimeError(f"sig {int(signum)} cannot be caught")
        self._handlers[signum] = lambda: callback(*args)

    def close_stdin(self) -> None:
        """Read no more: who writes to it from now on finds the pipe closed."""
        if self._stdin_end is not None:
            self._stdin_end.close()

    def announce_end(self) -> int:
        """A descriptor that is ready to be read when it has ended, as a pidfd is; it is gone soon after that.

        Each wait has one of its own, for a loop takes one reader for each.
        """
        if not self._idle:
            reader, writer = self._world.kernel.pipe(self.made_at)
            self._idle.append(reader.number)
            self._streams.unused.append(writer.number)
            self._announcing.append(reader.number)
            self.numbers += [reader.number, writer.number]
        return self._idle.pop()

    def put_back(self, interests: Iterable[tuple[int, int]]) -> None:
        """A wait with these descriptors is over: those that announce the end may be used again."""
        self._idle += [number for number, _ in interests if number in self._announcing]

    # -- its life

    def begin(self) -> None:
        """Let it run."""
        self._world.kernel.journal.add("spawn", self.pid, self.name)
        self._streams.begin()
        name = f"program {self.name} (pid {self.pid})"
        self.task = self.loop.create_task(self._live(), name=name, context=self.context)
        self.task.made_at = self.made_at
        self.task.add_done_callback(self._task_is_over)

    def make_room(self) -> None:
        """Let its pipes hold whatever is written: nobody could read them meanwhile."""
        for number in self._streams.own.values():
            end: Any = self._world.kernel.file(number)
            end.pages.limit = ROOM

    def run_here(self) -> bool:
        """Run it to its end now, without the loop; False where it has begun, or would have to wait: it is killed."""
        if self._status is not None or self._has_begun:
            return False
        self._streams.go()
        self._has_begun = True
        code = self._drive()
        if self._status is None:
            self._end(-signal.SIGKILL if code is None else code & 0xFF, 0)
        self.task.cancel()
        self._streams.go()
        return code is not None

    def _drive(self) -> int | None:
        """Run it; its exit code, None where it waits for something."""
        loop, own = self.loop, self._streams.own
        self.stdin = asyncio.StreamReader(loop=loop)
        if 0 in own:
            end: Any = self._world.kernel.file(own[0])
            self.stdin.feed_data(end.recv(end.unread()))
        if 0 not in own or end.peer.closed:
            self.stdin.feed_eof()
        outputs = {number: asyncio.StreamWriter(Straight(self._world.kernel.file(end)),
                                                asyncio.StreamReaderProtocol(self.stdin, loop=loop), None, loop)
                   for number, end in own.items() if number}
        self.stdout = outputs[1]
        self.stderr = outputs.get(2, self.stdout)
        try:
            over, code = self.context.run(drive, self._call())
            return (code or 0) if over else None
        except SystemExit as end:
            return code_of(end, self.stderr)
        except Exception as error:
            self.stderr.write(told(error))
            loop.call_exception_handler({"message": f"program {self.name} failed", "exception": error})
            return 1
        finally:
            for writer in outputs.values():
                writer.close()

    async def _live(self) -> None:
        self._has_begun = True
        loop, own = asyncio.get_running_loop(), self._streams.own
        stdin = self.stdin = Stdin()
        if 0 in own:
            self._stdin_end = await self._connect(loop.connect_read_pipe, own[0], "rb", Reading(stdin))
        else:
            stdin.feed_eof()
        writers = self._writers  # one that is dropped, where this is cancelled, would warn
        for number in [number for number in own if number]:
            writers[number] = await self._writer(loop, own[number])
        self.stdout = writers[1]
        self.stderr = writers.get(2, self.stdout)
        code: int | None = 1
        try:
            try:
                code = await self._call()
            except SystemExit as end:
                code = code_of(end, self.stderr)
            except asyncio.CancelledError:
                if not isinstance(self._struck, SystemExit):
                    raise
                code = code_of(self._struck, self.stderr)
            except Exception as error:
                self.stderr.write(told(error))
                raise
        finally:
            await self.end_tasks()
            if self._status is None:
                await self._finish(list(writers.values()), int(code or 0) & 0xFF)

    async def end_tasks(self) -> None:
        """Cancel what it has left running, and wait for that, as asyncio.run() does it; unless it has been killed."""
        if self._status is None:
            await end_left(self.loop, self.holdings, self.task, f"program {self.name}")

    async def _finish(self, writers: list[asyncio.StreamWriter], code: int) -> None:
        first = self._exit_comes_first() and not any(writer.transport.get_write_buffer_size() for writer in writers)
        for writer in writers:
            writer.close()
        for writer in writers if not first else ():
            with contextlib.suppress(OSError):  # nobody reads it any more
                await writer.wait_closed()
        self._end(code, 0 if first else 3)

    def _exit_comes_first(self) -> bool:
        """Whether asyncio hears of the end before it reads what was written last: on a real system that is a race."""
        other = "after" if EXIT_COMES_FIRST else "before"
        return self.chosen(f"{other} it had read its output") != EXIT_COMES_FIRST

    def chosen(self, when: str) -> bool:
        """Whether an exploration chooses that asyncio hears of the end at this other time, which is said in words."""
        explorer = self._world.kernel.choices.explorer
        return explorer is not None and explorer.chosen(EXIT, 2, f"program {self.name} (pid {self.pid})", when) == 1

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
        file = open_descriptor(self._world, self._streams.take(number), mode, 0)
        transport, _ = await connect(lambda: protocol, file)
        self._pipe_ends.append(transport)
        return transport

    async def _writer(self, loop: asyncio.AbstractEventLoop, number: int) -> asyncio.StreamWriter:
        protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
        transport = await self._connect(loop.connect_write_pipe, number, "wb", protocol)
        return asyncio.StreamWriter(transport, protocol, None, loop)

    def _leave_now(self, code: int) -> NoReturn:
        """End at once, as `os._exit()` does it."""
        if self.loop.is_running() and _get_running_loop() is not self.loop:  # in a thread
            self.loop.call_soon_threadsafe(self._kill, code)
        else:
            self._kill(code)
        raise Ended(code)

    def _kill(self, code: int) -> None:
        if self._status is None:
            self._end(code)
            self.task.cancel()

    def _ends_with(self, error: BaseException) -> bool:
        """Whether it ends with this, which has come out of one of its tasks or callbacks. A person's Ctrl-C is none."""
        if isinstance(error, SystemExit) and not is_ours(type(error).__module__) and self._status is None:
            self._struck = error
            self.task.cancel()
        return isinstance(error, Ended) or self._struck is error

    def _task_is_over(self, task: asyncio.Task[Any]) -> None:
        if self._status is None:  # it was cancelled before it began, as asyncio.run() does with what is left
            self._end(-signal.SIGKILL)

    def _end(self, code: int, turns: int = 3) -> None:
        """Be dead with this exit code, a negative one for the signal that did it; asyncio hears so many turns later."""
        self._status = code
        self._folder.leave()
        self._world.kernel.journal.add("exit", self.pid, code)
        self._streams.end()
        self._close_ends()
        self.holdings.end(self._world, self.task)
        self._end_threads()
        self._streams.then(lambda: self._tell(turns))
        self._announced(_TURNS_TO_SEE)

    def _close_ends(self) -> None:
        _end_all(self._pipe_ends)

    def _end_threads(self) -> None:
        self.holdings.threads.end_threads(self._world, 0)

    def _tell(self, turns: int) -> None:
        """Tell asyncio, after what was written has come to it, and the ends of its pipes."""
        if turns:
            self.loop.call_soon(self._tell, turns - 1)
        else:
            self.exited(self.status or 0)

    def _announced(self, turns: int) -> None:
        """Those who waited for the end have seen it: their descriptors go."""
        if turns:
            self.loop.call_soon(self._announced, turns - 1)
        else:
            for number in self._announcing:
                self._world.kernel.release(number)

    @property
    def status(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._status

    def take_signal(self, signum: int) -> None:
        """A signal for it, from whatever thread."""
        if _get_running_loop() not in (None, self.loop):
            self.loop.call_soon_threadsafe(self.take_signal, signum)
            return
        if self._status is not None or signum == 0:
            return
        self._world.kernel.journal.add("signal", self.pid, int(signum))
        self._handle(signum)

    def _handle(self, signum: int) -> None:
        if signum in self._handlers:
            self.loop.call_soon(self._handlers[signum], context=self.context)
        elif signum not in HARMLESS and signum not in _FOR_EVER:
            self._kill(-signum)

    def __repr__(self) -> str:
        state = "running" if self._status is None else f"ended with {self._status}"
        return f"<{type(self).__name__} {self.pid} {shlex.join(self.argv)} {state}>"


def _end_all(transports: Iterable[Any]) -> None:
    for transport in transports:
        if not transport.is_closing():
            getattr(transport, "abort", transport.close)()


class _Popen:
    """What asyncio's transport asks of a subprocess.Popen."""

    returncode: int | None = None

    def __init__(self, child: Child, files: dict[str, Any]) -> None:
        self.child = child
        self.pid = child.pid
        self.reaped: Callable[[], None] = _nothing  # is called when it has said the exit code before asyncio was told
        self.args = child.argv
        self.stdin, self.stdout, self.stderr = (files.get(name) for name in ("stdin", "stdout", "stderr"))

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.child.status
            if self.returncode is not None:
                self.reaped()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """The code of one that has ended: asyncio knows, and nobody else waits here."""
        return self.poll()

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            check_signal(signum)
            self.child.take_signal(signum)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __repr__(self) -> str:
        return f"<Popen of {self.child!r}>"


def check_signal(signum: Any) -> None:
    """TypeError or EINVAL where this is no number of a signal."""
    if operator.index(signum) not in _VALID and signum != 0:
        raise os_error(errno.EINVAL)


def _nobody(code: int) -> None:
    """Nobody waits for it yet."""


def _nothing() -> None:
    """Nobody else wants the exit code."""
