"""How a child process begins, by asyncio: what its streams are joined to, its group, and what is refused."""

import asyncio
import io
import os
import pathlib
import signal
import socket
import sys
import tempfile
import unittest
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from typing import Any

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.peers.programs.table import programs_of
from tests.contracts.arms import Arm, Contract, scenario
from tests.contracts.test_subprocesses import add_programs, complaint, sh

start = asyncio.create_subprocess_exec


async def echo(process: Any) -> None:
    process.stdout.write((" ".join(process.argv[1:]) + "\n").encode())


async def env(process: Any) -> None:
    process.stdout.write("".join(f"{name}={value}\n" for name, value in process.environment.items()).encode())


# A shell gives its stdin to what runs in the background only where it is told to.
LATE = "exec 3<&0; (read line <&3; echo $line $A; pwd) & echo early; exit 3"


async def shell(process: Any) -> int:
    """The shell of this file: one that starts another program and does not wait for it."""
    if process.argv[2] == LATE:
        await start("late")
        process.stdout.write(b"early\n")
        return 3
    return await sh(process)


DEAF = "exec 0<&-; echo deaf; sleep 0.2; echo late"


async def deaf(process: Any) -> int:
    """The shell of this file: one that closes its stdin and goes on."""
    assert process.argv[2] == DEAF
    process.close_stdin()
    process.stdout.write(b"deaf\n")
    await asyncio.sleep(0.2)
    process.stdout.write(b"late\n")
    return 0


async def late(process: Any) -> None:
    line = (await process.stdin.readline()).strip().decode()
    process.stdout.write(f"{line} {process.environment['A']}\n{process.cwd}\n".encode())


class Starting(Contract):
    def begin(self) -> None:
        """Have the programs."""
        add_programs(echo, env)

    async def refused(self, arm: Arm, *command: Any, **options: Any) -> None:
        """Note what is said to this."""
        arm.see(await complaint(start(*command, **options)))

    @scenario
    async def test_real_files(self, arm: Arm) -> Any:
        """Files, by object and by descriptor, are streams, and all is in them when the program has ended."""
        self.begin()
        with tempfile.TemporaryFile() as file:
            process = await start("echo", "one", stdout=file)
            arm.see(process.stdout, await process.wait(), file.seek(0), file.read())
            process = await start("echo", "two", stdout=file.fileno(), stderr=STDOUT)
            arm.see(await process.communicate(), file.seek(0), file.read())
            process = await start("sh", "-c", "echo out; echo err >&2", stdout=DEVNULL, stderr=file)
            arm.see(process.stderr, await process.wait(), file.seek(0), file.read())
            process = await start("sh", "-c", "head -c 1000000 /dev/zero", stdout=file)
            arm.see(await process.wait(), file.seek(0), len(file.read()))
        with tempfile.TemporaryFile() as file:
            file.write(b"line\n" * 50_000)
            file.seek(0)
            process = await start("cat", stdin=file, stdout=PIPE)
            out, _ = await process.communicate()
            arm.see(process.stdin, len(out), file.tell())
        with open(os.devnull, "rb") as null:
            process = await start("cat", stdin=null, stdout=PIPE)
            arm.see(await process.communicate())
        return [(None, 0, 0, b"one\n"), ((None, None), 0, b"one\ntwo\n"), (None, 0, 0, b"one\ntwo\nerr\n"),
                (0, 0, 12 + 1_000_000), (None, 250_000, 250_000), (b"", None)]

    @scenario
    async def test_files_of_the_world(self, arm: Arm) -> Any:
        """Sockets and pipes of the program are streams too."""
        self.begin()
        one, other = arm.pair()
        one.sendall(b"by socket")
        one.shutdown(socket.SHUT_WR)
        process = await start("cat", stdin=other, stdout=other.fileno())
        arm.see(process.stdin, process.stdout, await process.wait())
        other.close()
        arm.see(await arm.drain(one))
        reader, writer = os.pipe()
        process = await start("echo", "by pipe", stdout=writer)
        os.close(writer)
        arm.see(await process.wait(), os.read(reader, 100), os.read(reader, 100))
        os.close(reader)
        reader, writer = os.pipe()
        process = await start("cat", stdin=reader, stdout=PIPE)
        os.close(reader)
        os.write(writer, b"in")
        arm.see(await process.stdout.readexactly(2))
        os.close(writer)
        arm.see(await process.stdout.read(), await process.wait())
        return [(None, None, 0), b"by socket", (0, b"by pipe\n", b""), b"in", (b"", 0)]

    @scenario
    async def test_grandchildren(self, arm: Arm) -> Any:
        """What a program starts has its streams, its variables and its folder, and holds them when it is gone."""
        add_programs(shell, late)
        loop = asyncio.get_running_loop()
        if isinstance(loop, SolipsistEventLoop):
            programs_of(loop.world).add("sh", shell)
        command, options = ("sh", "-c", LATE), {"env": os.environ | {"A": "a"}, "cwd": "/"}
        process = await start(*command, stdin=PIPE, stdout=PIPE, **options)
        arm.see(await process.stdout.readline())
        await arm.until(lambda: process.returncode is not None)
        arm.see(process.returncode, await process.wait())
        process.stdin.write(b"line\n")
        arm.see(await process.stdout.read())
        path = pathlib.Path(arm.folder(), "out")
        with path.open("wb") as file:
            process = await start(*command, stdin=DEVNULL, stdout=file, **options)
            arm.see(await process.wait())
        await arm.until(lambda: path.read_bytes().count(b"\n") == 3)
        arm.see(sorted(path.read_bytes().split()))
        return [b"early\n", (3, 3), b"line a\n/\n", 3, [b"/", b"a", b"early"]]

    @scenario
    async def test_stdin_closed_by_the_program(self, arm: Arm) -> Any:
        """Who writes to a program that has closed its stdin finds the pipe closed; the program goes on."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, SolipsistEventLoop):
            programs_of(loop.world).add("sh", deaf)
        process = await start("sh", "-c", DEAF, stdin=PIPE, stdout=PIPE)
        arm.see(await process.stdout.readline())
        await arm.until(process.stdin.is_closing)
        await arm.turns(3)
        for _ in range(2):
            process.stdin.write(b"x")
            try:
                arm.see(await process.stdin.drain())
            except OSError as error:
                arm.see(type(error).__name__, str(error))
        arm.see(process.returncode, await process.stdout.read(), await process.wait())
        return [b"deaf\n", *[("ConnectionResetError", "Connection lost")] * 2, (None, b"late\n", 0)]

    @scenario
    async def test_nobody_reads(self, arm: Arm) -> Any:
        """A program that fills a pipe of the parent's waits, and goes on when that is read."""
        self.begin()
        reader, writer = os.pipe()
        process = await start("sh", "-c", "head -c 1000000 /dev/zero", stdout=writer)
        os.close(writer)
        await arm.calm()
        arm.see(process.returncode)
        os.set_blocking(reader, False)
        count = 0
        while True:
            try:
                data = os.read(reader, 65536)
            except BlockingIOError:
                await asyncio.sleep(0.001)
                continue
            if not data:
                break
            count += len(data)
        arm.see(count, await process.wait())
        os.close(reader)
        return [None, (1_000_000, 0)]

    @scenario
    async def test_no_files(self, arm: Arm) -> Any:
        """What has no descriptor is no stream, and leaves nothing behind."""
        self.begin()
        with open(os.devnull, encoding="utf-8") as closed:
            pass
        for stream in ("x", 12345, closed, io.BytesIO(), STDOUT):
            await self.refused(arm, "true", stdin=stream)
        await self.refused(arm, "true", stdout=PIPE, stderr="x")
        await self.refused(arm, "true", stdout=STDOUT)
        bad = ("OSError", 9, None)
        return [("AttributeError", "'str' object has no attribute 'fileno'"), bad,
                ("ValueError", "I/O operation on closed file"), ("UnsupportedOperation", None, None), bad,
                ("AttributeError", "'str' object has no attribute 'fileno'"),
                ("ValueError", "STDOUT can only be used for stderr") if sys.version_info >= (3, 13) else bad]

    @scenario
    async def test_folders(self, arm: Arm) -> Any:
        """A folder that is none is told of, before the program is looked for."""
        self.begin()
        for program in ("cat", "nobody-has-this"):
            await self.refused(arm, program, cwd="/nowhere")
            await self.refused(arm, program, cwd=pathlib.Path(__file__))
        return [("FileNotFoundError", 2, "/nowhere"), ("NotADirectoryError", 20, pathlib.Path(__file__))] * 2

    @scenario
    async def test_environments(self, arm: Arm) -> Any:
        """Variables are text or bytes, and their names have no `=`."""
        self.begin()
        for variables in ({"A": 3}, {"A=B": "x"}, {"A": "\0"}, {3: "x"}):
            await self.refused(arm, "env", env=variables)
        path = os.environ["PATH"]
        process = await start("env", env={"PATH": path, b"B": b"bytes"}, stdout=PIPE)
        arm.see((await process.communicate())[0] == f"PATH={path}\nB=bytes\n".encode())
        process = await asyncio.create_subprocess_shell("A=1 B='x y' env", env={"PATH": path}, stdout=PIPE)
        out = (await process.communicate())[0].decode().splitlines()
        arm.see([line for line in out if line[:2] in ("A=", "B=")])
        wrong = ("TypeError", "expected str, bytes or os.PathLike object, not int")
        return [wrong, ("ValueError", "illegal environment variable name"), ("ValueError", "embedded null byte"), wrong,
                True, ["A=1", "B=x y"]]

    @scenario
    async def test_programs(self, arm: Arm) -> Any:
        """A program has a name; `executable` is what runs, whatever it is called."""
        self.begin()
        for program in ("", None, 3):
            await self.refused(arm, program)
        process = await start("another name", "x", executable="/bin/echo", stdout=PIPE)
        arm.see(await process.communicate())
        process = await start("echo", pathlib.Path("/x"), b"bytes", stdout=PIPE)
        arm.see(await process.communicate())
        wrong = "expected str, bytes or os.PathLike object, not"
        return [("PermissionError", 13, ""), ("TypeError", f"{wrong} NoneType"), ("TypeError", f"{wrong} int"),
                (b"x\n", None), (b"/x bytes\n", None)]

    @scenario
    async def test_groups(self, arm: Arm) -> Any:
        """A program may lead a group, or a session; a signal to a group reaches who is in it."""
        self.begin()
        options: list[dict[str, Any]] = [{"process_group": 0}, {"start_new_session": True}, {},
                                         {"process_group": os.getpgrp()}, {"process_group": -1}]
        leader, session, plain, *others = [await start("sleep", "1000", **each) for each in options]
        member = await start("sleep", "1000", process_group=leader.pid)
        groups = {leader.pid: "leader", session.pid: "session", os.getpgrp(): "ours"}
        arm.see([groups[os.getpgid(each.pid)] for each in (leader, session, plain, member, *others)])
        await self.refused(arm, "true", process_group=session.pid)
        await self.refused(arm, "true", process_group=0, start_new_session=True)
        await self.refused(arm, "true", process_group="a")
        os.killpg(leader.pid, signal.SIGTERM)
        arm.see(await leader.wait(), await member.wait(), plain.returncode)
        for call in (lambda: os.killpg(leader.pid, 0), lambda: os.getpgid(leader.pid)):
            try:
                arm.see(call())
            except ProcessLookupError as error:
                arm.see(error.errno)
        os.killpg(session.pid, signal.SIGKILL)
        for each in (plain, *others):
            each.kill()
        arm.see(await session.wait(), [await each.wait() for each in (plain, *others)])
        return [["leader", "session", "ours", "leader", "ours", "ours"], ("PermissionError", 1, None),
                ("PermissionError", 1, None), ("TypeError", "'str' object cannot be interpreted as an integer"),
                (-15, -15, None), 3, 3, (-9, [-9, -9, -9])]

    @scenario
    async def test_room(self, arm: Arm) -> Any:
        """A program that does not read holds up who writes to it when its pipe is full: not later."""
        self.begin()
        process = await start("sleep", "1000", stdin=PIPE)
        sent = []

        async def push() -> None:
            while True:
                process.stdin.write(bytes(10_000))
                sent.append(10_000)
                await process.stdin.drain()

        pushing = arm.start(push())
        await arm.calm()
        arm.see(sum(sent))
        process.kill()
        await arm.until(pushing.done)
        arm.see(repr(pushing.exception()), await process.wait())
        return [130_000, ("BrokenPipeError()", -9)]

    @scenario
    async def test_bad_signals(self, arm: Arm) -> Any:
        """A number that no signal has is EINVAL."""
        self.begin()
        process = await start("sleep", "1000")
        for number in (1000, -1, "TERM"):
            try:
                arm.see(process.send_signal(number))
            except OSError as error:
                arm.see(error.errno)
            except TypeError:
                arm.see("TypeError")
        process.send_signal(0)
        process.kill()
        arm.see(await process.wait())
        return [22, 22, "TypeError", -9]


if __name__ == "__main__":
    unittest.main()
