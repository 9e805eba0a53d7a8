"""Child processes by asyncio: real programs, and programs of a test that do what those do."""

import asyncio
import concurrent.futures
import os
import signal
import subprocess
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Awaitable
from typing import Any

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.peers.programs.table import programs_of
from tests.contracts.arms import Arm, Contract, failure, scenario

BIG = bytes(range(256)) * 8_000  # more than any pipe holds


async def cat(process: Any) -> None:
    while data := await process.stdin.read(65536):
        process.stdout.write(data)
        await process.stdout.drain()


async def false(process: Any) -> int:
    return 1


async def true(process: Any) -> None:
    """Nothing."""


async def sleep(process: Any) -> None:
    await asyncio.sleep(float(process.argv[1]))


async def sh(process: Any) -> int:
    """`sh -c SCRIPT`, of those that are used here."""
    match process.argv[2]:
        case "exit 3":
            return 3
        case "echo out; echo err >&2":
            process.stdout.write(b"out\n")
            process.stderr.write(b"err\n")
        case 'echo "$VALUE"; pwd':
            process.stdout.write(f"{process.environment['VALUE']}\n{process.cwd}\n".encode())
        case "head -c 1000000 /dev/zero":
            process.stdout.write(bytes(1_000_000))
            await process.stdout.drain()
        case "trap 'exit 7' TERM; echo ready; while true; do sleep 0.01; done":
            stopping = asyncio.Event()
            process.add_signal_handler(signal.SIGTERM, stopping.set)
            process.stdout.write(b"ready\n")
            await stopping.wait()
            return 7
        case "read line; echo got $line":
            process.stdout.write(b"got " + await process.stdin.readline())
    return 0


async def complaint(awaitable: Awaitable[Any]) -> Any:
    """What is raised: its class, the errno and the file, or the text."""
    try:
        return await awaitable
    except OSError as error:
        return type(error).__name__, error.errno, error.filename
    except Exception as error:
        return type(error).__name__, str(error)


def add_programs(*mains: Any) -> None:
    """On the virtual loop the programs have to be added: those of this file, and more."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, SolipsistEventLoop):
        for main in (cat, false, true, sleep, sh, *mains):
            programs_of(loop.world).add(main.__name__, main)


class Subprocesses(Contract):
    def begin(self) -> None:
        """Have the programs."""
        add_programs()

    async def outcome(self, *command: str, stdin: bytes | None = None, **options: Any) -> Any:
        """Run a command to its end: its exit code, and what it wrote."""
        options = {"stdin": DEVNULL if stdin is None else PIPE, "stdout": PIPE, "stderr": PIPE} | options
        process = await asyncio.create_subprocess_exec(*command, **options)
        out, err = await process.communicate(stdin)
        return process.returncode, out, err

    @scenario
    async def test_loops_of_other_threads(self, arm: Arm) -> Any:
        """A loop of a thread of its own has child processes too, and other threads may signal them."""
        add_programs()

        async def main() -> Any:
            process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            arm.see(await process.communicate(b"hi"), process.returncode)
            process = await asyncio.create_subprocess_exec("sleep", "1000")
            started.set_result(process.pid)
            arm.see(await process.wait())
            process = await asyncio.create_subprocess_exec("sleep", "1000")
            process.terminate()
            arm.see(await process.wait(), subprocess.run(["cat"], input=b"x", stdout=PIPE).stdout)

        started: concurrent.futures.Future[int] = concurrent.futures.Future()
        thread = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(main())))
        os.kill(await asyncio.wrap_future(started), signal.SIGTERM)
        await thread
        return [((b"hi", None), 0), -15, (-15, b"x")]

    @scenario
    async def test_exit_codes(self, arm: Arm) -> Any:
        """Exit codes, of programs by name and by path, of a shell's line, and of signals."""
        self.begin()
        arm.see(await self.outcome("true"), await self.outcome("/bin/false"), await self.outcome("sh", "-c", "exit 3"))
        for line in ("false", "sleep 0", "  true  "):
            arm.see(await (await asyncio.create_subprocess_shell(line)).wait())
        for end in ("kill", "terminate"):
            process = await asyncio.create_subprocess_exec("sleep", "1000")
            getattr(process, end)()
            arm.see(process.returncode, await process.wait(), process.returncode)
        process = await asyncio.create_subprocess_exec("sleep", "1000")
        process.send_signal(signal.SIGUSR1)
        arm.see(await process.wait())
        return [((0, b"", b""), (1, b"", b""), (3, b"", b"")), 1, 0, 0, (None, -9, -9), (None, -15, -15), -10]

    @scenario
    async def test_communicate(self, arm: Arm) -> Any:
        """All that is written comes back, in any amount; streams may be joined, thrown away, or not there."""
        self.begin()
        arm.see(await self.outcome("cat", stdin=b"hello"), (await self.outcome("cat", stdin=BIG))[1] == BIG)
        arm.see(await self.outcome("cat", stdin=b""), await self.outcome("cat"))
        both = "sh", "-c", "echo out; echo err >&2"
        arm.see(await self.outcome(*both), sorted((await self.outcome(*both, stderr=STDOUT))[1].split()))
        arm.see(await self.outcome(*both, stdout=DEVNULL), await self.outcome(*both, stderr=DEVNULL, stdout=DEVNULL))
        script = "read line; echo got $line"
        arm.see(await self.outcome("true", stdin=BIG), await self.outcome("sh", "-c", script, stdin=b"it\n"))
        return [((0, b"hello", b""), True), ((0, b"", b""), (0, b"", b"")), ((0, b"out\n", b"err\n"), [b"err", b"out"]),
                ((0, None, b"err\n"), (0, None, None)), ((0, b"", b""), (0, b"got it\n", b""))]

    @scenario
    async def test_surroundings(self, arm: Arm) -> Any:
        """A program has the environment and the folder that it is started with."""
        self.begin()
        script = "sh", "-c", 'echo "$VALUE"; pwd'
        environment = {"VALUE": "of the test", "PATH": os.environ["PATH"]}
        folder = os.path.realpath(arm.folder())
        code, out, _ = await self.outcome(*script, env=environment, cwd=folder)
        arm.see(code, out.decode() == f"of the test\n{folder}\n")
        return [(0, True)]

    @scenario
    async def test_lines(self, arm: Arm) -> Any:
        """A conversation by lines; when stdin is closed the program ends."""
        self.begin()
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        for line in (b"one\n", b"two\n"):
            process.stdin.write(line)
            await process.stdin.drain()
            arm.see(await process.stdout.readline())
        process.stdin.close()
        await process.stdin.wait_closed()
        arm.see(await process.stdout.read(), process.stdout.at_eof(), await process.wait())
        arm.see(process.stdin.is_closing(), await complaint(self.send(process.stdin, b"x")))
        return [b"one\n", b"two\n", (b"", True, 0), (True, ("ConnectionResetError", None, None))]

    async def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    @scenario
    async def test_handled_signals(self, arm: Arm) -> Any:
        """A program that handles a signal ends as it likes, and cannot handle SIGKILL."""
        self.begin()
        script = "trap 'exit 7' TERM; echo ready; while true; do sleep 0.01; done"
        for send in (signal.SIGTERM, signal.SIGKILL):
            process = await asyncio.create_subprocess_exec("sh", "-c", script, stdout=PIPE)
            arm.see(await process.stdout.readline())
            process.send_signal(send)
            arm.see(await process.wait())
        return [b"ready\n", 7, b"ready\n", -9]

    @scenario
    async def test_after_the_end(self, arm: Arm) -> Any:
        """A program that has ended takes no signals, and its code stays."""
        self.begin()
        process = await asyncio.create_subprocess_exec("false")
        arm.see(await asyncio.gather(process.wait(), process.wait()), await process.wait())
        for call in (process.kill, process.terminate, lambda: process.send_signal(0)):
            try:
                arm.see(call())
            except ProcessLookupError as error:
                arm.see("ProcessLookupError", error.args)
        arm.see((await process.communicate()), process.returncode)
        return [([1, 1], 1), *[("ProcessLookupError", ())] * 3, ((None, None), 1)]

    @scenario
    async def test_time_limits(self, arm: Arm) -> Any:
        """A wait that is given up leaves the program running."""
        self.begin()
        process = await asyncio.create_subprocess_exec("sleep", "1000")
        arm.see(await complaint(asyncio.wait_for(process.wait(), 0.02)), process.returncode)
        process.kill()
        arm.see(await process.wait())
        return [(("TimeoutError", None, None), None), -9]

    @scenario
    async def test_what_is_refused(self, arm: Arm) -> Any:
        """Programs that are not there, and arguments that no program gets."""
        self.begin()
        start = asyncio.create_subprocess_exec
        for command in (("nobody-has-this",), ("/nowhere/cat2", "x")):
            arm.see(await complaint(start(*command)))
        arm.see(await complaint(start("cat", 3)), await complaint(start("cat", "a\0b")))
        arm.see(await complaint(start("cat", capture_output=True)), await complaint(start("cat", text=True)))
        arm.see(await complaint(asyncio.create_subprocess_shell(["cat"])))
        return [("FileNotFoundError", 2, "nobody-has-this"), ("FileNotFoundError", 2, "/nowhere/cat2"),
                (("TypeError", "expected str, bytes or os.PathLike object, not int"),
                 ("ValueError", "embedded null byte")),
                (("TypeError", "Popen.__init__() got an unexpected keyword argument 'capture_output'"),
                 ("ValueError", "text must be False")), ("ValueError", "cmd must be a string")]

    @scenario
    async def test_back_pressure(self, arm: Arm) -> Any:
        """A program that does not read blocks who writes to it, until it is killed."""
        self.begin()
        process = await asyncio.create_subprocess_exec("sleep", "1000", stdin=PIPE)
        process.stdin.write(bytes(1_000_000))
        draining = arm.start(self.send(process.stdin, b""))
        await arm.calm()
        arm.see(draining.done())
        process.kill()
        arm.see(await process.wait())
        await arm.until(draining.done)
        arm.see(isinstance(draining.exception(), (BrokenPipeError, ConnectionResetError)))
        return [False, -9, True]

    @scenario
    async def test_a_reader_that_waits(self, arm: Arm) -> Any:
        """A program that writes more than a pipe holds ends when it is read."""
        self.begin()
        process = await asyncio.create_subprocess_exec("sh", "-c", "head -c 1000000 /dev/zero", stdout=PIPE, limit=1000)
        await arm.calm()
        arm.see(process.returncode, len(await process.stdout.readexactly(1_000_000)))
        arm.see(await process.stdout.read(), await process.wait())
        return [(None, 1_000_000), (b"", 0)]

    @scenario
    async def test_protocols(self, arm: Arm) -> Any:
        """A protocol gets the data before the end of its pipe, and connection_lost last of all."""
        self.begin()
        calls: list[Any] = []

        class Protocol(asyncio.SubprocessProtocol):
            def connection_made(self, transport: Any) -> None:
                calls.append("made")

            def pipe_data_received(self, fd: int, data: bytes) -> None:
                calls.append((fd, data))

            def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
                calls.append((fd, failure(exc)))

            def process_exited(self) -> None:
                calls.append("exited")

            def connection_lost(self, exc: Exception | None) -> None:
                calls.append("lost")

        loop = asyncio.get_running_loop()
        transport, _ = await loop.subprocess_exec(Protocol, "sh", "-c", "echo out; echo err >&2")
        await arm.until(lambda: "lost" in calls)
        arm.see(calls[0], calls[-1], sorted(map(str, calls)))
        arm.see(transport.get_returncode(), transport.get_pipe_transport(1) is not None, transport.get_pid() > 0)
        for fd, data in ((1, b"out\n"), (2, b"err\n")):
            arm.see(calls.index((fd, data)) < calls.index((fd, None)))
        transport.close()
        return [("made", "lost", sorted(["made", "lost", "exited", "(1, b'out\\n')", "(2, b'err\\n')", "(0, None)",
                                         "(1, None)", "(2, None)"])), (0, True, True), True, True]

    @scenario
    async def test_closing(self, arm: Arm) -> Any:
        """A transport that is closed kills its program."""
        self.begin()
        loop = asyncio.get_running_loop()
        over: list[Any] = []

        class Protocol(asyncio.SubprocessProtocol):
            def connection_lost(self, exc: Exception | None) -> None:
                over.append(exc)

        transport, _ = await loop.subprocess_exec(Protocol, "sleep", "1000")
        transport.close()
        arm.see(transport.is_closing())
        await arm.until(lambda: over)
        arm.see(transport.get_returncode())
        return [True, -9]


if __name__ == "__main__":
    import unittest

    unittest.main()
