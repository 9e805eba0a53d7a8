"""A whole program, run from its main function on in the thread of a test that is no coroutine.

Owns what a program finds around it (arguments, environment, streams, signals of its own) and how its end is told: as an
interpreter tells it, by an exit code and what stands on stderr. The rule that keeps it simple: what is the framework's
own, or the test's, is no end of a program, and comes out of the call.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ...errors import SolipsismError
from ...introspection.exceptions import clean, lines_of, parts
from ...introspection.modules import is_ours, module_of, root_of
from ...introspection.names import plain
from ...introspection.places import user_place
from ...kernel.descriptors.pipe import PipeEnd
from ..files.file_objects import open_descriptor
from ..worlds import World, outermost, thread_id
from .process import DEFAULT, Process, process_of

__unittest = True
__tracebackhide__ = True

Main = Callable[[], Any]
_TESTERS = frozenset({"unittest", "_pytest"})
_ROOM = 2**40  # pages: a test reads what was printed only when the program has ended
# By default these stop a process, and nobody is there to let it go on.
_STOPPING = frozenset(getattr(signal, name) for name in ("SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU")
                      if hasattr(signal, name))


class _Ended(SystemExit):
    """A signal ends the program: raised in its main thread, for there is no other way out of it."""


class Program(Process):
    """The process that a program is while it runs."""

    def __init__(self, world: World, children: dict[int, Any], at_end: Callable[[], object]) -> None:
        super().__init__(world)
        self._at_end = at_end  # is called when a signal ends it
        self.main = thread_id()
        self.children = children  # of the test: a process outlives its parent
        self.ended_by = 0  # the signal
        self.was_interrupted = False
        self._is_dying = False

    def takes(self, signum: int, handler: Any) -> bool:
        """As a real process: SIGINT is Python's KeyboardInterrupt, and the default of others is to end it."""
        if handler == DEFAULT and signum not in _STOPPING and not self.ended_by:
            self.ended_by, self._is_dying = signum, True
            self._at_end()
        return signum not in _STOPPING

    def deliver(self, signum: int, call: str) -> None:
        """As in every process. Of SIGINT it is noted: asyncio's handler for it raises KeyboardInterrupt later."""
        self.was_interrupted |= signum == signal.SIGINT
        super().deliver(signum, call)

    def handle_here(self) -> None:
        """As in every process, and be dead where a signal has done that."""
        if self._is_dying and thread_id() == self.main:
            self._is_dying = False
            raise _Ended(-self.ended_by)
        super().handle_here()

    def end(self) -> None:
        """Take no signal any more: it is over."""
        self._is_dying = False
        self.signals.tripped.clear()
        self.set_timer(0.0, 0.0)


def run(world: World, main: Main, argv: Iterable[str], env: Mapping[str, str] | None, stdin: bytes, host: str
        ) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end. SolipsismError where a loop runs, or another program."""
    if not callable(main):
        raise TypeError(f"a program is a function without arguments, not {plain(main)}")
    if world.runs:
        raise SolipsismError("run_program() runs a program that has a loop of its own, and one loop runs at a time: "
                             "call it in a plain test (def test...), or await the program's coroutine here")
    root = outermost(world)
    if isinstance(root.process, Program):
        raise SolipsismError("run_program() is called while a program runs: one runs at a time")
    children = process_of(world).children
    words = [_path_of(main), *argv]
    environment = dict(os.environ if env is None else env)
    with (_streams(world, stdin) as streams, _process(root, Program(root, children, streams.stop)) as process,
          _surroundings(words, environment)):
        with world.kernel.network.host(host) if host != "localhost" else contextlib.nullcontext():
            world.kernel.journal.add("program", words[1:])
            code = _code(main, process)
        if process.ended_by:
            code = -process.ended_by
        else:
            streams.flush()
            streams.stop()
        world.kernel.journal.add("program ended", code)
        return subprocess.CompletedProcess(words, code, *streams.heard)


def _path_of(main: Main) -> str:
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
            reader.pages.limit = _ROOM
        (self._in, writer), (self._out, out), (self._err, err) = pairs
        if stdin:
            writer.send(stdin)
        world.kernel.release(writer.number)
        self._raw = [open_descriptor(world, end.number, mode, 0) for end, mode in (
            (self._in, "rb"), (out, "wb"), (err, "wb"))]
        source, sink, errors = self._raw
        self.files = (io.TextIOWrapper(io.BufferedReader(source), "utf-8", newline="\n"),
                      io.TextIOWrapper(io.BufferedWriter(sink), "utf-8", newline="\n"),
                      io.TextIOWrapper(io.BufferedWriter(errors), "utf-8", "backslashreplace", newline="\n",
                                       line_buffering=True))

    def flush(self) -> None:
        """What an interpreter does at its end; a program may have closed them."""
        for file in self.files[1:]:
            with contextlib.suppress(OSError, ValueError):
                file.flush()

    def stop(self) -> None:
        """What has come out of stdout and stderr until now is all."""
        self.heard = _all(self._out), _all(self._err)

    def close(self) -> None:
        """Be gone, and what was never flushed with it."""
        for raw in self._raw:
            raw.close()
        for end in (self._out, self._err):
            self._world.kernel.release(end.number)


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
    except SystemExit as end:
        if not isinstance(end, _Ended) and is_ours(type(end).__module__):
            raise  # real time is up
        return _code_of(end)
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        # A KeyboardInterrupt that no signal of the test has made is of the person at the keyboard.
        if (interrupted and not process.was_interrupted) or _is_of_test(error):
            raise
        if not process.ended_by:
            for each in parts((error,)):
                clean(each)
            sys.excepthook(type(error), error, error.__traceback__)
        return -signal.SIGINT if interrupted else 1


def _code_of(end: SystemExit) -> int:
    """The exit code of sys.exit(), which prints what is no number."""
    if end.code is None or isinstance(end.code, int):
        return (end.code or 0) & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _is_of_test(error: BaseException) -> bool:
    """Whether an error is the framework's, or of an assertion of the test: no interpreter would tell of it."""
    innermost = module_of(lines_of(error.__traceback__)[-1].tb_frame)
    return any(is_ours(module) or root_of(module) in _TESTERS
               for module in (type(error).__module__, innermost if isinstance(error, AssertionError) else ""))
