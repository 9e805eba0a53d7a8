"""`Programs`: the programs that a test has added, by name, and how a command finds one of them.

Owns what is said to a command before a program of it runs: the errors are those of the system, in its order.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import shlex
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ... import pythons
from ...errors import NotSimulatedError
from ...introspection.names import listed
from ...introspection.places import Place
from ...kernel.descriptors.file import os_error
from ...stdlib.files.passed import Passed
from ...stdlib.processes.folders import folder_at
from ...stdlib.processes.process import process_of
from ...stdlib.worlds import World, outermost
from .child import FIRST_PID, Child, Main, parent, takes_process
from .guest import Guest
from .streams import Streams

__unittest = True
__tracebackhide__ = True

_LARGEST = 2**31 - 1  # an int of C
# What only a shell can do.
_OF_SHELLS = frozenset("|&;<>()$`\\*?[]#~{}!\n")
_IN_QUOTES: dict[str, frozenset[str]] = {"'": frozenset(), '"': frozenset("$`\\")}


@dataclasses.dataclass
class Command:
    """What is asked for: the words of a command, or a line for a shell, and how it is run."""

    words: Any
    shell: bool
    wanted: Mapping[int, Any]  # what its streams are
    pipe_size: int
    executable: Any
    folder: Any
    variables: Mapping[Any, Any] | None
    preexec: Any
    inherits: list[int] | None  # descriptors, sorted; None for all that are inheritable
    owner: Mapping[str, Any]  # its user, its groups and its umask; None is the test's own
    own_session: Any
    group: Any  # of processes


class Asking(subprocess.Popen):  # type: ignore[type-arg]
    """What Popen makes of its arguments: it judges them itself, and then hands on what is asked for.

    `_get_handles` and `_execute_child` are the two steps in which Popen goes to the system.
    """

    command: Command

    def _get_handles(self, stdin: Any, stdout: Any, stderr: Any) -> tuple[int, ...]:
        self._wanted = {0: stdin, 1: stdout, 2: stderr}
        self._closed_child_pipe_fds = True  # there are none
        return (-1,) * 6

    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, pass_fds: Any, cwd: Any,
                       env: Any, startupinfo: Any, creationflags: Any, shell: Any, *others: Any) -> None:
        signals, gid, gids, uid, umask, own_session, group = others[-7:]
        if isinstance(args, os.PathLike) and shell:
            raise TypeError("path-like args is not allowed when shell is true")
        words = [args] if isinstance(args, str | bytes | os.PathLike) else list(args)
        program = "/bin/sh" if shell else executable or (words and words[0]) or ""
        plain = preexec_fn is cwd is gid is gids is uid is None and not own_session and group == -1
        inherits = _descriptors(pass_fds, close_fds, plain and bool(os.path.dirname(program)))
        if pythons.SESSIONS_TAKE_NUMBERS:
            list(map(pythons.c_int, (signals, own_session)))
        owner = {"user": uid, "group": gid, "extra_groups": gids, "umask": None if pythons.c_int(umask) < 0 else umask}
        self.command = Command(
            words[:1] if shell else words, bool(shell), self._wanted, self.pipesize, executable,  # type: ignore[attr-defined]
            cwd, env, preexec_fn, inherits, owner, own_session, pythons.c_int(group))


class Programs:
    """The programs that a test has added, by name."""

    def __init__(self) -> None:
        self._mains: dict[str, Main | None] = {}

    def add(self, name: str, main: Main | None) -> Callable[[], None]:
        """Add a program, or replace the one of this name. The result undoes that."""
        if not isinstance(name, str) or not name:
            raise TypeError(f"a program's name is text, not {name!r}")
        if main is not None and not callable(main):
            raise TypeError(f"a program is an async function that takes a process, or a function without arguments, "
                            f"or None for one that is not installed, not {main!r}")
        before = self._mains.copy()
        self._mains[name] = main

        def undo() -> None:
            del self._mains[name]
            if name in before:
                self._mains[name] = before[name]

        return undo

    def __bool__(self) -> bool:
        return bool(self._mains)

    def start(self, world: World, command: Command, place: Place | None) -> Child:
        """Start the program of a command; OSError and NotSimulatedError as the arguments deserve."""
        words, inherits = command.words, command.inherits or []
        if any(not 0 <= number <= _LARGEST for number in inherits) or len(set(inherits)) < len(inherits):
            raise ValueError("bad value(s) in fds_to_keep")
        environment, argv, main = _line(words) if command.shell else ({}, list(map(os.fsdecode, words)), None)
        wanted, starter = command.wanted, parent.get()
        if starter is not None:
            wanted = {number: starter.stream(number) if each is None else each for number, each in wanted.items()}
        environment = _environment(command.variables, starter) | environment
        # A word that has no bytes is a UnicodeEncodeError.
        if any(b"\0" in os.fsencode(word) for word in (*argv, command.folder or "")):
            raise ValueError("embedded null byte")
        if command.preexec is not None and not callable(command.preexec):
            raise subprocess.SubprocessError("Exception occurred in preexec_fn.")
        if command.preexec is not None:
            raise NotSimulatedError("preexec_fn is not simulated: there is no fork; do it in the program")
        group, own_session = command.group if command.group >= 0 else None, bool(command.own_session)
        passed = _passed(world, command)
        streams = Streams(world, wanted, place, command.pipe_size)
        try:
            folder = _folder(command.folder)
            if group is not None and (own_session or not _can_join(world, group)):
                raise os_error(errno.EPERM)
            _refuse_owner(command.owner)
            executable = command.executable
            if command.shell and executable is not None and not os.path.exists(executable):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), executable)
            name = argv[0] if executable is None or command.shell else os.fsdecode(executable)
            if not name and main is None:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
            main = main or self._find(name)
        except BaseException:
            streams.give_up()
            passed.close()
            raise
        child = begin(world, argv, main, streams, environment, folder, place,
                      Child if takes_process(main) else Guest, passed)
        child.group = child.pid if group == 0 or own_session else group
        child.own_session = own_session
        return child

    def _find(self, name: str) -> Main:
        for each in (name, os.path.basename(name)):
            if each in self._mains:
                main = self._mains[each]
                if main is None:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
                return main
        known = f"there {'is' if len(self._mains) == 1 else 'are'} {listed(list(map(repr, self._mains)))}"
        raise FileNotFoundError(errno.ENOENT, f"No such file or directory: the test has added no such program; "
                                              f"{known}. Add it: self.add_program({name!r}, main)", name)


def begin(world: World, argv: list[str], main: Main, streams: Streams, environment: dict[str, str], folder: Any,
          place: Place | None, kind: type[Child], passed: Passed | None = None) -> Child:
    """Start a program of this kind."""
    children = process_of(world).children
    pid = FIRST_PID + len(children)
    children[pid] = child = kind(world, pid, argv, main, streams, environment, folder, place, passed)
    child.begin()
    return child


def _environment(given: Mapping[Any, Any] | None, starter: Child | None) -> dict[str, str]:
    """The variables that a program gets, with the errors of Popen."""
    if given is None:
        return dict(os.environ if starter is None or isinstance(starter, Guest) else starter.environment)
    variables = {}
    for name, value in given.items():
        if b"=" in os.fsencode(name):
            raise ValueError("illegal environment variable name")
        if b"\0" in os.fsencode(name) + os.fsencode(value):
            raise ValueError("embedded null byte")
        variables[os.fsdecode(name)] = os.fsdecode(value)
    return variables


def _descriptors(pass_fds: Any, close_fds: Any, may_be_spawned: bool) -> list[int] | None:
    """What `pass_fds` names, with the errors of Popen; None for what is inheritable."""
    if not pass_fds and may_be_spawned and (pythons.SPAWN_CLOSES or not close_fds):
        return [] if close_fds else None
    numbers = sorted(map(int, set(pass_fds)))
    return numbers if close_fds else None


def _passed(world: World, command: Command) -> Passed:
    """The descriptors that a program gets."""
    given = command.inherits
    if given is None:
        given = [number for number, file in world.kernel.files.items() if file.inheritable]
    try:
        return Passed(world.kernel, given)
    except OSError as error:
        if pythons.CHILD_NAMES_FOLDER and command.folder is not None:
            error.filename = command.folder
        raise


def _refuse_owner(owner: Mapping[str, Any]) -> None:
    """NotSimulatedError where a program would run as somebody else: it would see that in files, which are real."""
    own = {"user": (os.getuid(), os.geteuid()), "group": (os.getgid(), os.getegid())}
    for option, value in owner.items():
        if value is not None and own.get(option) != (value, value):
            raise NotSimulatedError(f"{option}={value!r} is not simulated: a program of the test has the user, the "
                                    "groups and the umask of the test. Leave it out there, or run a real process, "
                                    "inside `with self.allow_escape(\"subprocess\")`")


def _can_join(world: World, group: int) -> bool:
    """Whether a process may be put into this group: a new one, that of the test, or one of the same session."""
    return group in (0, os.getpgrp()) or any(
        child.group == group and not child.own_session and child.popen.returncode is None
        for child in process_of(world).children.values())


def _folder(given: Any) -> str | None:
    """The folder that `cwd=` names; None for that of the starter. OSError as the system has it."""
    if given is None:
        return None
    try:
        folder = folder_at(given) if os.fspath(given) else given
        if not stat.S_ISDIR(os.stat(folder).st_mode):
            raise os_error(errno.ENOTDIR)
    except OSError as error:
        error.filename = given
        raise
    return folder


def _line(lines: list[Any]) -> tuple[dict[str, str], list[str], Main | None]:
    """The variables and the words of a line for a shell that needs none; what it does itself where it has no words."""
    if not lines:
        return {}, ["sh"], _shell(2, "0: -c requires an argument")
    text = os.fsdecode(lines[0]).strip()
    odd = sorted(set(_odd(text)))
    if odd:
        raise NotSimulatedError(f"no shell is run, and {text!r} has what only a shell understands ({' '.join(odd)!r}): "
                                "add the program that does all of it, or use create_subprocess_exec()")
    try:
        words = shlex.split(text)
    except ValueError:
        return {}, ["sh"], _shell(2, "1: Syntax error: Unterminated quoted string")
    variables = {}
    while words and "=" in words[0] and words[0].partition("=")[0].isidentifier():
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    return (variables, words, None) if words else ({}, ["sh"], _shell(0))


def _shell(code: int, complaint: str = "") -> Main:
    """A shell that has nothing to run."""

    async def sh(process: Child) -> int:
        process.stderr.write(f"/bin/sh: {complaint}\n".encode() if complaint else b"")
        return code

    return sh


def _odd(text: str) -> Iterator[str]:
    """The characters in which a shell would see more than text."""
    quote = ""
    for char in text:
        if char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        elif char in (_IN_QUOTES[quote] if quote else _OF_SHELLS):
            yield char


def programs_of(world: World) -> Programs:
    """The programs of a test: those of its outermost loop are those of all."""
    outer = outermost(world)
    programs = outer.programs
    if not isinstance(programs, Programs):
        programs = outer.programs = Programs()
    world.programs = programs  # whose threads wait for them
    return programs
