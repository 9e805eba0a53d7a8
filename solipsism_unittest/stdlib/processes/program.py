"""A whole program, run from its main function on in the thread of a test that is no coroutine.

Owns what a program finds around it (arguments, environment, streams, signals of its own) and how its end is told: as an
interpreter tells it, by an exit code and what stands on stderr. The rule that keeps it simple: what is the framework's
own, or the test's, is no end of a program, and comes out of the call.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import io
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from ...errors import SolipsismError
from ...introspection.exceptions import clean, lines_of, parts
from ...introspection.modules import is_ours, module_of, root_of
from ...introspection.names import plain
from ...introspection.places import user_place
from ...kernel.descriptors.pipe import PipeEnd
from ..files.file_objects import open_descriptor
from ..holdings import Holdings, holding
from ..worlds import World, outermost, thread_id
from .ending import Ended, Ending
from .process import DEFAULT, Process, here, process_of

__unittest = True
__tracebackhide__ = True

Main = Callable[[], Any]
_TESTERS = frozenset({"unittest", "_pytest"})
ROOM = 2**40  # pages: a test reads what was printed only when the program has ended
# By default these stop a process, and nobody is there to let it go on.
_STOPPING = frozenset(getattr(signal, name) for name in ("SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU")
                      if hasattr(signal, name))


class Program(Process):
    """The process that a program is while it runs."""

    def __init__(self, world: World, children: dict[int, Any], at_end: Callable[[], object]) -> None:
        super().__init__(world)
        self.at_end = at_end  # is called when a signal ends it
        self.main = thread_id()
        self.children = children  # of the test: a process outlives its parent
        self.was_interrupted = False
        self.ending = Ending()
        self._is_dying = False

    def takes(self, signum: int, handler: Any) -> bool:
        """As a real process: SIGINT is Python's KeyboardInterrupt, and the default of others is to end it."""
        if handler == DEFAULT and signum not in _STOPPING:
            self._die(-signum)
        return signum not in _STOPPING

    def _die(self, code: int) -> None:
        if self.end_code is None:
            self.end_code, self._is_dying = code, True
            self.ending.end_threads(self.world, self.main)
            self.at_end()

    def leave(self, code: int, call: str) -> NoReturn:
        """End at once, as `os._exit()` does it: nothing that was printed and not flushed is heard."""
        self._die(code)
        if thread_id() == self.main:
            self._is_dying = False
        elif self.is_here():
            self.handle_here()
        else:
            self._soon(self.handle_here)
        raise Ended(code)

    def deliver(self, signum: int, call: str) -> None:
        """As in every process. Of SIGINT it is noted: asyncio's handler for it raises KeyboardInterrupt later."""
        self.was_interrupted |= signum == signal.SIGINT
        super().deliver(signum, call)

    def handle_here(self) -> None:
        """As in every process, and be dead where a signal has done that."""
        if self._is_dying and self.is_here():
            self._is_dying = False
            raise Ended(self.end_code)
        try:
            super().handle_here()
        except KeyboardInterrupt:  # a handler of the program's own may raise it, whatever the signal
            self.was_interrupted = True
            raise

    def end(self) -> None:
        """Take no signal any more: it is over."""
        self._is_dying = False
        self.ending.end(self.world)
        self.signals.tripped.clear()
        self.set_timer(0.0, 0.0)


class _Alone(Program):
    """That of a program that runs alone. While it runs no loop whoever sends a signal runs the handlers, for the main
    thread waits; what one raises is raised there.
    """

    def is_here(self) -> bool:
        """See above."""
        return super().is_here() or not here(self.main, self.world).runs

    def handle_here(self) -> None:
        """As in every process, or for the main thread."""
        if thread_id() == self.main or not self.is_here():
            super().handle_here()
            return
        try:
            super().handle_here()
        except BaseException as error:
            here(self.main, self.world).baton.meet(self.main, error)


class ProgramRun(subprocess.CompletedProcess[bytes]):
    """What a program has come to: `returncode`, `stdout` and `stderr`.

    Where a loop runs it is there before the program has ended, which it is awaited for; `send_signal(signum)` is for
    the program.
    """

    pid: int | None = None

    def send_signal(self, signum: int) -> None:
        """Send the program a signal; it may have ended."""

    def __await__(self) -> Generator[Any, None, ProgramRun]:
        """Wait for the end; gives itself."""
        yield from ()
        return self


def run(world: World, main: Main, argv: Iterable[str], env: Mapping[str, str] | None, stdin: bytes, host: str
        ) -> ProgramRun:
    """Run a program to its end, while no loop runs. SolipsismError where another program runs."""
    if not callable(main):
        raise TypeError(f"a program is a function without arguments, not {plain(main)}")
    root = outermost(world)
    if isinstance(root.process, Program):
        raise SolipsismError("run_program() is called while a program runs: one runs at a time")
    children = process_of(world).children
    words = [path_of(main), *argv]
    environment = dict(os.environ if env is None else env)
    with (_streams(world, stdin) as streams, _process(root, _Alone(root, children, streams.stop)) as process,
          _surroundings(words, environment), _holdings(world, process)):
        with world.kernel.network.host(host) if host != "localhost" else contextlib.nullcontext():
            world.kernel.journal.add("program", words[1:])
            code = _code(main, process)
        if process.end_code is not None:
            code = process.end_code
        else:
            streams.flush()
            streams.stop()
        world.kernel.journal.add("program ended", code)
        return ProgramRun(words, code, *streams.heard)


def path_of(main: Main) -> str:
    """What `sys.argv[0]` is: the file of the program."""
    module = sys.modules.get(getattr(main, "__module__", None) or "")
    return getattr(module, "__file__", None) or plain(main)


# -- what is around it


@contextlib.contextmanager
def _process(root: World, process: Program) -> Iterator[Program]:
    before, root.process = root.process, process
    try:
        yield process
    finally:
        process.end()
        root.process = before


@contextlib.contextmanager
def _holdings(world: World, process: Program) -> Iterator[None]:
    """What is made in the block is the program's, and ends with it: at once when a signal ends it."""
    holdings, stop = Holdings(process.ending), process.at_end

    def end() -> None:
        stop()
        holdings.end(world)

    process.at_end = end
    token = holding.set(holdings)
    try:
        yield
    finally:
        holding.reset(token)
        holdings.end(world)


@contextlib.contextmanager
def _surroundings(words: list[str], environment: dict[str, str]) -> Iterator[None]:
    """Arguments, environment, folder and what else a program sets for its whole process; all as before in the end."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    arguments, variables, hook = sys.argv, dict(os.environ), sys.excepthook
    with contextlib.chdir("."):
        try:
            _become(environment)
            sys.argv, sys.excepthook = words, sys.__excepthook__
            yield
        finally:
            sys.argv, sys.excepthook = arguments, hook
            _become(variables)
            root.handlers[:] = handlers
            root.setLevel(level)


def _become(environment: Mapping[str, str]) -> None:
    """Let os.environ be this, in its place: a program may have its own name for it."""
    for name in [name for name in os.environ if name not in environment]:
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


class _Streams:
    """stdin, stdout and stderr of a program: pipes, which have a descriptor as those of a real one."""

    def __init__(self, world: World, stdin: bytes) -> None:
        self._world = world
        self.heard = b"", b""
        place = user_place(5)
        pairs = [world.kernel.pipe(place) for _ in range(3)]
        for reader, _ in pairs:
            reader.pages.limit = ROOM
        (self._in, writer), (self._out, out), (self._err, err) = pairs
        if stdin:
            writer.send(stdin)
        world.kernel.release(writer.number)
        self._raw = [open_descriptor(world, end.number, mode, 0) for end, mode in (
            (self._in, "rb"), (out, "wb"), (err, "wb"))]
        self.files = text_files(*self._raw)

    def flush(self) -> None:
        """What an interpreter does at its end."""
        flush(self.files[1:])

    def stop(self) -> None:
        """What has come out of stdout and stderr until now is all."""
        self.heard = _all(self._out), _all(self._err)

    def close(self) -> None:
        """Be gone, and what was never flushed with it."""
        for raw in self._raw:
            raw.close()
        for end in (self._out, self._err):
            self._world.kernel.release(end.number)


def text_files(source: io.RawIOBase, sink: io.RawIOBase, errors: io.RawIOBase) -> tuple[Any, Any, Any]:
    """sys.stdin, sys.stdout and sys.stderr over these raw files."""
    return (io.TextIOWrapper(io.BufferedReader(source), "utf-8", newline="\n"),
            io.TextIOWrapper(io.BufferedWriter(sink), "utf-8", newline="\n"),
            io.TextIOWrapper(io.BufferedWriter(errors), "utf-8", "backslashreplace", newline="\n",
                             line_buffering=True))


def flush(files: Iterable[Any]) -> None:
    """Write out what was printed; a program may have closed them, and nobody may read them."""
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            file.flush()


def _all(end: PipeEnd) -> bytes:
    return end.recv(end.unread())


@contextlib.contextmanager
def _streams(world: World, stdin: bytes) -> Iterator[_Streams]:
    streams = _Streams(world, stdin)
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = streams.files
    try:
        yield streams
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        streams.close()


# -- its end


def _code(main: Main, process: Program) -> int:
    """Call the program; its exit code, as an interpreter has it."""
    try:
        answer = main()
        sys.exit(asyncio.run(answer) if inspect.iscoroutine(answer) else answer)
    except BaseException as error:
        code = code_after(error, process)
    return end_well(code, process)


def end_well(code: int, process: Program) -> int:
    """Do what an interpreter does at the end of a program, unless a signal has ended it; gives its exit code."""
    if process.end_code is None:
        with contextlib.suppress(Ended):
            process.ending.run(functools.partial(_ignore, process))
    return code


def _ignore(process: Program, title: str, error: BaseException) -> None:
    """Tell of an error that changes nothing any more."""
    if isinstance(error, Ended):
        raise error
    if not is_end(error, process):
        raise error
    for each in parts((error,)):
        clean(each)
    print(title, "".join(traceback.format_exception(error)), sep="\n", end="", file=sys.stderr)


def code_after(error: BaseException, process: Program) -> int:
    """The exit code of a program that this leaves, which is told on its stderr; what is no end of one is raised."""
    if not is_end(error, process):
        raise error
    if isinstance(error, SystemExit):
        return _code_of(error)
    if process.end_code is None:
        for each in parts((error,)):
            clean(each)
        sys.excepthook(type(error), error, error.__traceback__)
    return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1


def is_end(error: BaseException, process: Program) -> bool:
    """Whether a program ends with an error: neither the framework's own, nor the test's."""
    # Of SystemExit: real time is up. A KeyboardInterrupt that no signal of the test has made is of the person at the
    # keyboard.
    return isinstance(error, Ended) or not (
        is_ours(type(error).__module__) if isinstance(error, SystemExit)
        else isinstance(error, KeyboardInterrupt) and not process.was_interrupted or _is_of_test(error))


def _code_of(end: SystemExit) -> int:
    """The exit code of sys.exit(), which prints what is no number."""
    if end.code is None or isinstance(end.code, int):
        return (end.code or 0) & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _is_of_test(error: BaseException) -> bool:
    """Whether an error is the framework's, or of an assertion of the test: no interpreter would tell of it."""
    lines = lines_of(error.__traceback__)
    innermost = module_of(lines[-1].tb_frame) if lines else ""  # what a signal has raised has none
    return any(is_ours(module) or root_of(module) in _TESTERS
               for module in (type(error).__module__, innermost if isinstance(error, AssertionError) else ""))
