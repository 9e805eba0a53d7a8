"""Module subprocess in a thread: real programs, and programs of a test that do what those do."""

import asyncio
import fcntl
import os
import pathlib
import signal
import subprocess
import warnings
from collections.abc import Callable
from subprocess import DEVNULL, PIPE, STDOUT
from typing import Any

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.peers.programs.table import programs_of
from tests.contracts.arms import Arm, Contract, scenario
from tests.contracts.test_subprocesses import BIG, cat, false, sh, sleep, true

BOTH = "sh", "-c", "echo out; echo err >&2"
TRAP = "trap 'exit 7' TERM; echo ready; while true; do sleep 0.01; done"


def complaint(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What a call raises, as far as both arms can say the same of it; what it returns where it raises nothing."""
    try:
        return call(*args, **options)
    except OSError as error:
        return type(error).__name__, error.errno, error.filename
    except subprocess.TimeoutExpired as error:
        return "TimeoutExpired", error.cmd, round(error.timeout, 2), error.output, error.stderr
    except subprocess.CalledProcessError as error:
        return "CalledProcessError", error.returncode, error.cmd, error.output, error.stderr
    except Exception as error:
        return type(error).__name__, str(error)


def finished(*command: str, **options: Any) -> Any:
    """Run a command to its end: its exit code, and what it wrote."""
    done = subprocess.run(command, **{"stdout": PIPE, "stderr": PIPE} | options)
    return done.returncode, done.stdout, done.stderr


class Popens(Contract):
    async def play(self, body: Callable[[], Any]) -> Any:
        """Run the scenario in a job; on the virtual loop the programs have to be added."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, SolipsistEventLoop):
            for main in (cat, false, true, sleep, sh):
                programs_of(loop.world).add(main.__name__, main)
        return await asyncio.to_thread(body)

    @scenario
    async def test_run(self, arm: Arm) -> Any:
        """run(), call(), check_call(), check_output() and getstatusoutput()'s kin."""

        def body() -> None:
            arm.see(finished("true"), finished("/bin/false"), finished("sh", "-c", "exit 3"))
            arm.see(finished("cat", input=b"hello"), finished("cat", input=BIG)[1] == BIG,
                    finished("true", input=BIG)[0], finished("cat", stdin=DEVNULL))
            arm.see(finished(*BOTH), sorted(finished(*BOTH, stderr=STDOUT)[1].split()), finished(*BOTH, stdout=DEVNULL))
            arm.see(subprocess.call(["false"]), subprocess.check_call("true"), subprocess.call("sleep 0", shell=True),
                    subprocess.call(["  false "], shell=True), subprocess.check_output(["cat"], input="ä", text=True))
            arm.see(complaint(subprocess.check_call, ["false"]))
            arm.see(complaint(subprocess.run, BOTH, check=True, capture_output=True).returncode)
            arm.see(complaint(subprocess.check_output, ["sh", "-c", "exit 3"], stderr=PIPE))

        await self.play(body)
        return [((0, b"", b""), (1, b"", b""), (3, b"", b"")), ((0, b"hello", b""), True, 0, (0, b"", b"")),
                ((0, b"out\n", b"err\n"), [b"err", b"out"], (0, None, b"err\n")), (1, 0, 0, 1, "ä"),
                ("CalledProcessError", 1, ["false"], None, None), 0,
                ("CalledProcessError", 3, ["sh", "-c", "exit 3"], b"", b"")]

    @scenario
    async def test_text(self, arm: Arm) -> Any:
        """Text has its encoding and its ends of lines, through communicate() and through the files."""

        def body() -> None:
            for options in ({"text": True}, {"encoding": "latin-1"}, {"universal_newlines": True, "bufsize": 1}):
                arm.see(finished("cat", input="a\r\nb\rc\xe4", **options))
                with subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE, **options) as process:
                    process.stdin.write("a\r\nb\xe4\n")
                    process.stdin.close()
                    arm.see(process.stdout.readline(), process.stdout.read(), process.wait())
            arm.see(finished("cat", input="\udc80", encoding="utf-8", errors="surrogateescape"))
            arm.see(complaint(finished, "cat", input="\udc80", encoding="utf-8")[0])

        await self.play(body)
        return [*[(0, "a\nb\ncä", ""), ("a\n", "bä\n", 0)] * 3, (0, "\udc80", ""), "UnicodeEncodeError"]

    @scenario
    async def test_files(self, arm: Arm) -> Any:
        """A conversation by lines with buffered files, and with raw ones."""

        def body() -> None:
            for bufsize in (-1, 0, 1000):
                with subprocess.Popen(["cat"], bufsize, stdin=PIPE, stdout=PIPE) as process:
                    arm.see(type(process.stdin).__name__ == "BufferedWriter", process.poll(), process.returncode)
                    for line in (b"one\n", b"two\n"):
                        process.stdin.write(line)
                        process.stdin.flush()
                        arm.see(process.stdout.readline())
                    process.stdin.close()
                    arm.see(process.stdout.read(), process.wait(), process.poll())

        await self.play(body)
        return [fact for buffered in (True, False, True)
                for fact in ((buffered, None, None), b"one\n", b"two\n", (b"", 0, 0))]

    @scenario
    async def test_files_and_communicate(self, arm: Arm) -> Any:
        """communicate() sends what was written to the file before."""

        def body() -> None:
            process = subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
            process.stdin.write(b"one ")
            arm.see(process.communicate(b"two"), process.returncode, process.stdin.closed, process.stdout.closed)
            for text in (True, False):
                process = subprocess.Popen(BOTH, stdout=PIPE, stderr=STDOUT, text=text)
                line = process.stdout.readline()
                arm.see(sorted([line, process.communicate()[0]]), process.returncode)
            process = subprocess.Popen(BOTH, stderr=PIPE, stdout=DEVNULL)
            arm.see(process.communicate())
            process = subprocess.Popen(["cat"], stdin=PIPE, stdout=DEVNULL)
            arm.see(process.communicate(b"x"))
            process = subprocess.Popen(["true"])
            arm.see(process.communicate(), process.stdin, process.wait(5))

        await self.play(body)
        return [((b"one two", b""), 0, True, True), (["err\n", "out\n"], 0), ([b"err\n", b"out\n"], 0),
                (None, b"err\n"), (None, None), ((None, None), None, 0)]

    @scenario
    async def test_signals(self, arm: Arm) -> Any:
        """What ends a program, and what is said when it is over."""

        def body() -> None:
            for end in ("kill", "terminate"):
                process = subprocess.Popen(["sleep", "1000"])
                getattr(process, end)()
                arm.see(process.returncode, process.wait(), process.returncode)
                arm.see(process.kill(), process.send_signal(0), process.terminate())
            for number in (signal.SIGTERM, signal.SIGKILL):
                with subprocess.Popen(["sh", "-c", TRAP], stdout=PIPE) as process:
                    arm.see(process.stdout.readline())
                    os.kill(process.pid, number)
                    arm.see(process.wait())
            with subprocess.Popen(["sleep", "1000"]) as process:
                arm.see(complaint(process.send_signal, 1000))
                process.kill()

        await self.play(body)
        return [*[(None, -9, -9), (None, None, None)], *[(None, -15, -15), (None, None, None)], b"ready\n", 7,
                b"ready\n", -9, ("OSError", 22, None)]

    @scenario
    async def test_time_limits(self, arm: Arm) -> Any:
        """A wait that is given up leaves the program running; run() ends it. What was read so far is told."""

        def body() -> None:
            process = subprocess.Popen(["sleep", "1000"], stdout=PIPE, stderr=PIPE)
            arm.see(complaint(process.wait, 0.02), complaint(process.communicate, timeout=0.03), process.poll())
            process.kill()
            arm.see(process.communicate(), process.returncode)
            for call in (subprocess.run, subprocess.call, subprocess.check_output):
                arm.see(complaint(call, ["sleep", "1000"], timeout=0.02))
            process = subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
            arm.see(process.communicate(b"all", timeout=30))
            process = subprocess.Popen(["sh", "-c", TRAP], stdout=PIPE, stderr=PIPE, text=True)
            arm.see(complaint(process.communicate, timeout=0.5), complaint(process.communicate, "x"))
            process.terminate()
            arm.see(process.communicate(), process.returncode)

        await self.play(body)
        sleeps = ["sleep", "1000"]
        return [(("TimeoutExpired", sleeps, 0.02, None, None), ("TimeoutExpired", sleeps, 0.03, None, None), None),
                ((b"", b""), -9), *[("TimeoutExpired", sleeps, 0.02, None, None)] * 3, (b"all", b""),
                (("TimeoutExpired", ["sh", "-c", TRAP], 0.5, b"ready\n", None),
                 ("ValueError", "Cannot send input after starting communication")), (("ready\n", ""), 7)]

    @scenario
    async def test_what_is_refused(self, arm: Arm) -> Any:
        """Programs that are not there, and arguments that no program gets."""

        def body() -> None:
            for command in ("nobody-has-this", ["nobody-has-this"], ["/nowhere/cat2", "x"]):
                arm.see(complaint(subprocess.run, command))
            arm.see(complaint(subprocess.run, ["cat", 3]), complaint(subprocess.run, ["cat", "a\0b"]))
            arm.see(complaint(subprocess.Popen, ["cat"], what=1)[0], complaint(subprocess.Popen, ["cat"], capture=1)[0])
            arm.see(complaint(subprocess.Popen, ["cat", "\ud800"])[0], complaint(subprocess.Popen, [])[0])
            arm.see(complaint(subprocess.Popen, ["cat"], startupinfo="x"))
            arm.see(complaint(subprocess.Popen, ["cat"], creationflags=8))

        await self.play(body)
        return [("FileNotFoundError", 2, "nobody-has-this"), ("FileNotFoundError", 2, "nobody-has-this"),
                ("FileNotFoundError", 2, "/nowhere/cat2"),
                (("TypeError", "expected str, bytes or os.PathLike object, not int"),
                 ("ValueError", "embedded null byte")), ("TypeError", "TypeError"),
                ("UnicodeEncodeError", "IndexError"),
                *[("ValueError", f"{name} is only supported on Windows platforms")
                  for name in ("startupinfo", "creationflags")]]

    @scenario
    async def test_arguments(self, arm: Arm) -> Any:
        """Arguments that Popen itself judges, by their places and by their names; what changes nothing is taken."""
        places = [-1, None, DEVNULL, DEVNULL, None, None, True, False, None, None, None, None, 0, True, False, ()]
        odd: list[dict[str, Any]] = [
            {"bufsize": "1"}, {"pipesize": "1"}, {"process_group": "a"}, {"group": 1.5}, {"group": -2},
            {"group": "no-such-group"}, {"extra_groups": "root"}, {"extra_groups": [1.5]}, {"extra_groups": [-1]},
            {"user": 1.5}, {"user": -1}, {"user": "no-such-user"}, {"umask": "a"}, {"text": True, "encoding": "nil"},
            {"text": True, "universal_newlines": False}, {"startupinfo": "x"}, {"group": -1, "user": -1}]

        def body() -> None:
            arm.see(subprocess.Popen("true", *places).wait(), complaint(subprocess.Popen, "true", *places, None))
            arm.see(complaint(subprocess.Popen), complaint(subprocess.Popen, [b"true"], *places, shell=True))
            for options in odd:
                arm.see(complaint(subprocess.Popen, ["true"], stdout=PIPE, **options))
            same: dict[str, Any] = {"user": os.getuid(), "group": os.getgid(), "umask": -1, "pipesize": None}
            arm.see(finished("true", **same)[0], finished("true", bufsize=None, restore_signals=False)[0])
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                finished("true", bufsize=1)
                finished("true", pass_fds=[], close_fds=False, bufsize=1, text=True)
            arm.see([(each.category.__name__, str(each.message)) for each in caught])

        await self.play(body)
        no_int = "TypeError", "'str' object cannot be interpreted as an integer"
        same_place = "TypeError", "Popen.__init__() got multiple values for argument 'shell'"
        return [(0, ("TypeError", "Popen.__init__() takes from 2 to 18 positional arguments but 19 were given")),
                (("TypeError", "Popen.__init__() missing 1 required positional argument: 'args'"), same_place),
                ("TypeError", "bufsize must be an integer"), ("TypeError", "pipesize must be an integer"), no_int,
                ("TypeError", "Group must be a string or an integer, not <class 'float'>"),
                ("ValueError", "Group ID cannot be negative, got -2"),
                ("KeyError", "\"getgrnam(): name not found: 'no-such-group'\""),
                ("ValueError", "Groups must be a list, not a string"),
                ("TypeError", "Items in extra_groups must be a string or integer, not <class 'float'>"),
                ("ValueError", "Group ID cannot be negative, got -1"),
                ("TypeError", "User must be a string or an integer"),
                ("ValueError", "User ID cannot be negative, got -1"),
                ("KeyError", "\"getpwnam(): name not found: 'no-such-user'\""), no_int,
                ("LookupError", "unknown encoding: nil"),
                ("SubprocessError", "Cannot disambiguate when both text and universal_newlines are supplied but "
                                    "different. Pass one or the other."),
                ("ValueError", "startupinfo is only supported on Windows platforms"),
                ("ValueError", "Group ID cannot be negative, got -1"), (0, 0),
                [("RuntimeWarning", "line buffering (buffering=1) isn't supported in binary mode, the default buffer "
                                    "size will be used")] * 2]

    @scenario
    async def test_odd_arguments(self, arm: Arm) -> Any:
        """What means something by a rule of its own, or nothing."""
        lines: list[Any] = ["", b"", " \t", "VALUE=1", "true\n", " A=b true ", [""], ["", "x"], [], "echo 'a", 'true "']
        odd: list[dict[str, Any]] = [
            {"args": ""}, {"args": [""]}, {"args": pathlib.Path("true"), "shell": True}, {"args": pathlib.Path("true")},
            {"args": iter(["true"])}, {"args": {"true": 1}}, {"executable": "/bin/true"},
            {"args": "true", "shell": True, "executable": "/nowhere/sh"}, {"executable": b"/bin/false"},
            {"args": "true", "shell": "yes", "executable": "/bin/sh"}, {"executable": ""}, {"executable": 3},
            {"cwd": "a\0b"}, {"cwd": ""}, {"cwd": b"/"}, {"cwd": ["/"]}, {"preexec_fn": 3}, {"preexec_fn": False},
            {"umask": 2**31}, {"umask": -2**70}, {"umask": 1.5}, {"process_group": -5}, {"process_group": None},
            *({name: value} for name in ("start_new_session", "restore_signals") for value in ("a", None, 1.5, 2, [])),
            {"close_fds": []}, {"stdin": STDOUT}, {"stdout": -7}, {"stderr": "x"}, {"bufsize": True}, {"pipesize": 0}]

        def body() -> None:
            for line in lines:
                process = subprocess.Popen(line, shell=True, stdout=PIPE, stderr=PIPE)
                arm.see(line, process.communicate(), process.returncode)
            for options in odd:
                found = complaint(subprocess.Popen, **{"args": ["true"], "stdin": DEVNULL} | options)
                arm.see(list(options), found.wait() if isinstance(found, subprocess.Popen) else found)

        await self.play(body)

    @scenario
    async def test_size_of_pipes(self, arm: Arm) -> Any:
        """Pipes hold as much as they are told to, in both directions."""

        def body() -> None:
            for size in (-1, 1, 4096, 5000, 2**17):
                with subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE, pipesize=size) as process:
                    arm.see([fcntl.fcntl(file, fcntl.F_GETPIPE_SZ) for file in (process.stdin, process.stdout)])

        await self.play(body)
        return [[size, size] for size in (65536, 4096, 4096, 8192, 131072)]

    @scenario
    async def test_from_many_threads(self, arm: Arm) -> Any:
        """Several threads wait for one program, and for programs of their own."""

        async def main() -> None:
            def waiting() -> Any:
                return process.wait(), subprocess.run(["cat"], input=b"x", stdout=PIPE).stdout

            process = await asyncio.to_thread(subprocess.Popen, ["sleep", "0.01"])
            arm.see(await asyncio.gather(*(asyncio.to_thread(waiting) for _ in range(3))))

        await self.play(lambda: None)
        await main()
        return [[(0, b"x")] * 3]
