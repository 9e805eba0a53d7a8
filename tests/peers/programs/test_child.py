"""Programs of a test; what they do beside real ones stands in tests/contracts/test_subprocesses.py."""

import asyncio
import contextlib
import errno
import io
import os
import signal
import sys
import unittest
from asyncio.subprocess import DEVNULL, PIPE
from unittest import mock

from solipsism_unittest import EscapeError, NotSimulatedError, SolipsistEventLoop, SolipsistTestCase, fail_on
from solipsism_unittest.kernel.choices import Explorer, kinds
from solipsism_unittest.kernel.choices.plans import Fixed
from solipsism_unittest.loop.explored import explore
from solipsism_unittest.peers.programs.table import programs_of
from solipsism_unittest.pythons import EXIT_CODE_IS_GONE, EXIT_COMES_FIRST
from solipsism_unittest.runs.exploration import words
from solipsism_unittest.stdlib.worlds import outside
from tests.case.test_case import run, told

exec_, shell = asyncio.create_subprocess_exec, asyncio.create_subprocess_shell


async def echo(process):
    process.stdout.write(" ".join(process.argv[1:]).encode())


async def sleep(process):
    await asyncio.sleep(float(process.argv[1]))


class ProgramCase(SolipsistTestCase):
    def setUp(self):
        for main in (echo, sleep):
            self.add_program(main.__name__, main)

    async def outcome(self, *command, **options):
        """What a command wrote to each stream, and its exit code."""
        process = await exec_(*command, **{"stdin": DEVNULL, "stdout": PIPE, "stderr": PIPE} | options)
        return *await process.communicate(), process.returncode


class ProgramTest(ProgramCase):
    async def test_time(self):
        """A program lives in the test's time."""
        process = await exec_("sleep", "3600")
        self.assertEqual(await self.assertCompletesAfter(process.wait(), 3600), 0)

    async def test_what_it_gets(self):
        """The process has its arguments, environment, folder and streams."""
        seen = []

        async def main(process):
            seen.append((process.argv, process.environment, process.cwd, process.name, await process.stdin.read()))
            process.close_stdin()  # there is none

        self.add_program("tool", main)
        await self.outcome("/usr/bin/tool", b"-x", env={"A": "1"}, cwd="/")
        self.assertEqual(seen, [(["/usr/bin/tool", "-x"], {"A": "1"}, "/", "/usr/bin/tool", b"")])
        await self.outcome("tool")
        self.assertEqual(seen[1][1:3], (dict(os.environ), os.getcwd()))

    async def test_exit_codes(self):
        """The exit code is what is returned, or as sys.exit() says."""
        for number, (leave, code, err) in enumerate((
                (lambda: None, 0, b""), (lambda: 7, 7, b""), (lambda: 300, 44, b""), (lambda: True, 1, b""),
                (sys.exit, 0, b""), (lambda: sys.exit(3), 3, b""),
                (lambda: sys.exit("gone wrong"), 1, b"gone wrong\n"))):
            async def main(process, leave=leave):
                return leave()

            self.add_program(f"tool{number}", main)
            self.assertEqual(await self.outcome(f"tool{number}"), (b"", err, code))

    async def test_streams_of_the_test(self):
        """A stream that nobody redirects is the test's own; stdin is empty then."""

        async def main(process):
            process.stdout.write(b"out " + await process.stdin.read())
            process.stderr.write(b"err")

        self.add_program("tool", main)
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            await (await exec_("tool")).wait()
        self.assertEqual((out.getvalue(), err.getvalue()), ("out ", "err"))
        with contextlib.redirect_stdout(io.StringIO()) as out:
            await (await exec_("tool", stdout=DEVNULL, stderr=DEVNULL)).wait()
        self.assertEqual(out.getvalue(), "")

    async def test_replaced(self):
        """A program that is added again replaces the one before; a path may have one of its own."""

        async def other(process):
            return 5

        self.add_program("/opt/echo", other)
        self.assertEqual((await self.outcome("/opt/echo"))[2], 5)
        self.assertEqual((await self.outcome("/bin/echo", "x"))[0], b"x")
        self.add_program("echo", other)
        self.assertEqual((await self.outcome("echo"))[2], 5)

    def test_loops_of_the_program(self):
        """A loop that a program makes in a test finds the programs of the test."""

        async def main():
            process = await exec_("echo", "inside", stdout=PIPE)
            return (await process.communicate())[0]

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            self.assertEqual(runner.run(main()), b"inside")

    async def test_the_journal(self):
        """The journal has each start, signal and end."""
        process = await exec_("sleep", "9")
        process.terminate()
        await process.wait()
        self.assertEqual([(record.kind, *record.facts) for record in self.loop.kernel.journal
                          if record.kind in ("spawn", "signal", "exit")],
                         [("spawn", process.pid, "sleep"), ("signal", process.pid, 15), ("exit", process.pid, -15)])


    async def test_reading(self):
        """What a program reads it may read in every way that there is."""

        async def main(process):
            process.stdout.write(await process.stdin.readexactly(2) + await process.stdin.readuntil(b"!"))
            async for line in process.stdin:
                process.stdout.write(line.upper())

        self.add_program("tool", main)
        process = await exec_("tool", stdin=PIPE, stdout=PIPE)
        self.assertEqual(await process.communicate(b"abcd!one\ntwo"), (b"abcd!ONE\nTWO", None))

    async def test_what_asyncio_holds(self):
        """asyncio's transport has a Popen, which knows the exit code when there is one."""
        process = await exec_("sleep", "5")
        popen = process._transport.get_extra_info("subprocess")
        self.assertEqual((popen.pid, popen.poll(), popen.wait()), (process.pid, None, None))
        await process.wait()
        self.assertEqual((popen.poll(), popen.wait(), popen.terminate()), (0, 0, None))
        self.assertRegex(repr(popen), r"^<Popen of <Child \d+ sleep 5 ended with 0>>$")

    async def test_a_popen_of_the_test(self):
        """Who puts a Popen of his own into module subprocess is asked for the process."""
        with mock.patch("subprocess.Popen", side_effect=ZeroDivisionError) as popen, \
                self.assertRaises(ZeroDivisionError):
            await exec_("echo", "x")
        self.assertEqual(popen.call_args.args, (("echo", "x"),))

    async def test_what_nobody_reads(self):
        """A program whose output goes to a pipe that nobody reads any more hears of it, and so on to its end."""

        async def main(process):
            try:
                for _ in range(100):
                    process.stdout.write(bytes(10_000))
                    await process.stdout.drain()
            except OSError as error:
                process.stderr.write(type(error).__name__.encode())
                return 5

        self.add_program("tool", main)
        reader, writer = os.pipe()
        process = await exec_("tool", stdout=writer, stderr=PIPE)
        os.close(writer)
        os.close(reader)
        out, err = await process.communicate()
        self.assertEqual((out, process.returncode), (None, 5))
        self.assertIn(err, (b"BrokenPipeError", b"ConnectionResetError"))

    async def test_nothing_is_left_of_what_was_refused(self):
        """What a command has opened before it is refused is closed again."""
        reader, writer = os.pipe()
        for name, options, error in (("echo", {"stdout": writer, "stderr": "x"}, AttributeError),
                                     ("nobody", {"stdout": writer, "stderr": PIPE, "stdin": reader}, FileNotFoundError),
                                     ("nobody", {"stdout": DEVNULL}, FileNotFoundError)):
            with self.subTest(name, **options), self.assertRaises(error):
                await exec_(name, **options)
        self.assertEqual(set(self.loop.kernel.files), {reader, writer})
        for end in (reader, writer):
            os.close(end)


class OrderTest(unittest.TestCase):
    def calls(self, plan):
        """What a protocol hears of a program's end, in order, and the choices in words."""
        heard, sentences = [], []

        class Protocol(asyncio.SubprocessProtocol):
            def pipe_data_received(self, fd, data):
                heard.append("data")

            def pipe_connection_lost(self, fd, exc):
                heard.append(f"lost{fd}")

            def process_exited(self):
                heard.append("exited")

            def connection_lost(self, exc):
                heard.append("lost")
                over.set()

        async def main():
            await loop.subprocess_exec(Protocol, "tool", "x")
            await over.wait()

        def witness(kind, value, seconds, facts):
            sentences.append(words.sentence(kind, value, seconds, facts))
            return sentences[-1]

        over = asyncio.Event()
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        explore(loop, Explorer(plan, witness=witness))
        programs_of(loop.world).add("tool", echo)
        loop.run_until_complete(main())
        return heard, sentences

    def test_output_and_end(self):
        """The end is heard of before or after the output, as this Python does it mostly, or as an exploration chooses.
        """
        plain, said = self.calls(Fixed())
        other, told_of = self.calls(Fixed({(kinds.EXIT, 0): 1}))
        firsts = [heard.index("exited") < heard.index("data") for heard in (plain, other)]
        self.assertEqual((firsts, said), ([EXIT_COMES_FIRST, not EXIT_COMES_FIRST], []))
        for heard in (plain, other):
            self.assertEqual((heard[-1], heard.index("data") < heard.index("lost1")), ("lost", True))
        self.assertEqual(told_of, ["at t=0 asyncio heard of the end of program tool (pid 4194305) "
                                   f"{'after' if EXIT_COMES_FIRST else 'before'} it had read its output"])

    def code(self, plan, said):
        """What asyncio says of a program that was dead when its transport was closed, before asyncio was told."""

        async def main():
            process = await exec_("sleep", "9")
            os.kill(process.pid, signal.SIGKILL)
            process._transport.close()
            return await process.wait(), process.returncode

        with contextlib.closing(SolipsistEventLoop()) as loop:
            explore(loop, Explorer(plan, witness=lambda *choice: said.append(words.sentence(*choice))))
            programs_of(loop.world).add("sleep", sleep)
            return loop.run_until_complete(main())

    def test_exit_code_that_is_gone(self):
        """close() asks the process itself, as Popen.poll() does; asyncio may come too late for its exit code then."""
        said = []
        self.assertEqual((self.code(Fixed(), said), said), ((-9, -9), []))
        with self.assertLogs("asyncio", "WARNING") as logs:
            self.assertEqual(self.code(Fixed({(kinds.EXIT, 0): 1}), said), (255, 255))
        self.assertEqual([record.getMessage() for record in logs.records], [EXIT_CODE_IS_GONE % 4194305])
        self.assertEqual(said, ["at t=0 asyncio heard of the end of program sleep (pid 4194305) too late for its exit "
                                "code, which close() or a signal had asked for: 255"])


class SignalsTest(ProgramCase):
    async def test_by_number(self):
        """os.kill() reaches a program by its number as long as it runs, and nobody afterwards."""
        process = await exec_("sleep", "9")
        os.kill(process.pid, 0)
        for number in (signal.SIGCHLD, signal.SIGSTOP, signal.SIGCONT):
            os.kill(process.pid, number)
        with self.assertRaises(OSError) as caught:
            os.kill(process.pid, 1000)
        self.assertEqual(caught.exception.errno, errno.EINVAL)
        os.kill(process.pid, signal.SIGHUP)
        os.kill(process.pid, signal.SIGKILL)  # it is dead, and nobody has looked yet
        self.assertEqual(await process.wait(), -signal.SIGHUP)
        with self.assertRaises(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)

    async def test_groups(self):
        """A signal to the group of the test reaches the test and its children; to one of nobody, who knows."""
        seen = []
        self.loop.add_signal_handler(signal.SIGUSR1, seen.append, "test")
        process = await exec_("sleep", "9")
        other = await exec_("sleep", "9", start_new_session=True)
        os.killpg(os.getpgrp(), signal.SIGUSR1)
        await self.settle()
        self.assertEqual((await process.wait(), seen, other.returncode), (-signal.SIGUSR1, ["test"], None))
        other.kill()
        await other.wait()
        with self.assertRaises(EscapeError):
            os.killpg(2**22 - 1, signal.SIGUSR1)
        self.assertEqual(os.getpgid(0), os.getpgrp())
        self.loop.remove_signal_handler(signal.SIGUSR1)

    async def test_handled(self):
        """A program handles what it wants to, but for SIGKILL."""
        seen = []

        async def main(process):
            process.add_signal_handler(signal.SIGUSR1, seen.append, "came")
            with self.assertRaisesRegex(RuntimeError, "sig 9 cannot be caught"):
                process.add_signal_handler(signal.SIGKILL, print)
            await asyncio.sleep(100)

        self.add_program("daemon", main)
        process = await exec_("daemon")
        await self.settle()
        process.send_signal(signal.SIGUSR1)
        await self.settle()
        self.assertEqual(seen, ["came"])
        process.kill()
        self.assertEqual(await process.wait(), -9)

    async def test_last_words_of_the_dead(self):
        """What a killed program still does in a `finally` block reaches nobody."""

        async def main(process):
            try:
                await asyncio.sleep(100)
            finally:
                process.stdout.write(b"too late")

        self.add_program("tool", main)
        process = await exec_("tool", stdout=PIPE)
        await self.settle()
        process.kill()
        self.assertEqual((await process.communicate())[0], b"")
        self.assertIn("ended with -9", repr(self.loop.world.process.children[process.pid]))

    async def test_popen(self):
        """What asyncio hands out as the Popen takes signals and says how the program ended."""
        process = await exec_("sleep", "9")
        popen = process._transport.get_extra_info("subprocess")
        self.assertEqual((popen.pid, popen.args, popen.poll()), (process.pid, ["sleep", "9"], None))
        popen.terminate()
        self.assertEqual((popen.poll(), repr(popen)), (-15, f"<Popen of <Child {process.pid} sleep 9 ended with -15>>"))
        popen.kill()
        self.assertEqual((popen.poll(), await process.wait()), (-15, -15))

    async def test_no_signals(self):
        """What is no number of a signal is refused, as the system does, and the program goes on; 0 only asks."""
        process = await exec_("sleep", "9")
        popen = process._transport.get_extra_info("subprocess")
        for number in (-1, 10_000):
            with self.assertRaises(OSError) as caught:
                popen.send_signal(number)
            self.assertEqual(caught.exception.errno, errno.EINVAL)
        with self.assertRaises(TypeError):
            popen.send_signal("9")
        popen.send_signal(0)
        self.assertEqual((popen.poll(), await process.wait()), (None, 0))


class RefusalsTest(ProgramCase):
    async def test_not_added(self):
        """A program that was not added is not found; the error says which there are, and what to do."""
        for start in (lambda: exec_("git", "log"), lambda: shell("git log")):
            with self.assertRaisesRegex(FileNotFoundError, r"there are 'echo', 'sleep'\. Add it: self\.add_program\("
                                                           r"'git', main\)") as caught:
                await start()
            self.assertEqual((caught.exception.errno, caught.exception.filename), (errno.ENOENT, "git"))

    async def test_not_installed(self):
        """A program may be added as one that is not installed: it is missing as it would be on the system."""
        self.add_program("git", None)
        for name in ("git", "/usr/bin/git"):
            with self.assertRaises(FileNotFoundError) as caught:
                await exec_(name, "log")
            self.assertEqual(str(caught.exception), f"[Errno 2] No such file or directory: {name!r}")

    async def test_shells(self):
        """What only a shell understands is refused, with what that is."""
        for line, odd in (("echo a | sleep 1", r"'\|'"), ("echo $HOME; echo", r"'\$ ;'"), (b"echo *", r"'\*'"),
                          ('echo "$HOME;"', r"'\$'"), ("echo 'a'>b", "'>'")):
            with self.assertRaisesRegex(NotSimulatedError, rf"^no shell is run, and .* what only a shell .* \({odd}\)"):
                await shell(line)
        process = await shell("echo 'two words' three", stdout=PIPE)
        self.assertEqual((await process.communicate())[0], b"two words three")
        process = await shell("""A=1 echo 'a;b|$c' "d>e" '"' "'" """, stdout=PIPE)
        self.assertEqual((await process.communicate())[0], b"""a;b|$c d>e " '""")
        self.assertEqual(await (await shell("")).wait(), 0)

    async def test_streams_and_forks(self):
        """A real pipe for input, and what runs between fork and exec, are refused."""
        with outside():
            ends = os.pipe()
        try:
            with self.assertRaisesRegex(NotSimulatedError, "would wait for real input, of descriptor"):
                await exec_("echo", stdin=ends[0])
        finally:
            for end in ends:
                os.close(end)
        with self.assertRaisesRegex(NotSimulatedError, "preexec_fn is not simulated"):
            await exec_("echo", preexec_fn=print)

    async def test_what_is_no_program(self):
        """A name is text, and a program a function."""
        for name, main in ((5, echo), ("", echo), ("tool", 5)):
            with self.assertRaises(TypeError):
                self.add_program(name, main)


class EndTest(unittest.TestCase):
    def test_without_any(self):
        """Where no program was added it is an escape, as it was."""

        class Case(SolipsistTestCase):
            async def test(self):
                with self.assertRaisesRegex(EscapeError, r"(?s)exec\('git'\) would start a real .*self\.add_program"):
                    await exec_("git")

        self.assertEqual(told(run(Case)), "")

    def told_of(self, body, *, programs=(), decorate=lambda test: test):
        class Case(ProgramCase):
            @decorate
            async def test(self):
                for main in programs:
                    self.add_program(main.__name__, main)
                await body(self)

        return told(run(Case))

    def test_still_running(self):
        """A program that still runs is one leak, with its line; its pipes are none beside it."""

        async def body(case):
            case.kept = await exec_("sleep", "99", stdin=PIPE, stdout=PIPE)

        text = self.told_of(body)
        self.assertRegex(text, r"the test left 1 thing behind; .*\n  1 running program\n    <Child \d+ sleep 99 \w+>"
                               r" at tests/\S+:\d+ in sleep, waits for sleep\(99\.0\), due at t=99\.0\n      made at "
                               r"tests/peers/programs/test_child\.py:\d+ in EndTest\.")
        self.assertEqual(self.told_of(body, decorate=fail_on(processes=False)), "")

    def test_meant_to_be_left(self):
        """A program that is expected to run on is ended without a word, by its process or its transport."""

        async def body(case):
            case.kept = case.expect_leak(await exec_("sleep", "99", stdin=PIPE, stdout=PIPE))
            loop = asyncio.get_running_loop()
            case.other, _ = await loop.subprocess_exec(asyncio.SubprocessProtocol, "sleep", "99")
            case.expect_leak(case.other)

        self.assertEqual(self.told_of(body), "")

    def test_a_loop_that_tests_share(self):
        """Programs are their test's, where tests share a loop too."""

        class Case(SolipsistTestCase):
            loop_scope = "class"

            async def test_1(self):
                for main in (sleep, echo):
                    self.add_program("echo", main)
                process = await exec_("echo", "hello", stdout=PIPE)
                self.assertEqual((await process.communicate())[0], b"hello")

            async def test_2(self):
                with self.assertRaises(EscapeError):
                    await exec_("echo")

        self.assertEqual(told(run(Case)), "")

    def test_one_that_fails(self):
        """What a program raises is exit code 1, a traceback on its stderr, and fails the test."""

        async def broken(process):
            raise LookupError("in the program")

        async def body(case):
            process = await exec_("broken", stderr=PIPE)
            err = (await process.communicate())[1]
            case.assertEqual((process.returncode, err.decode().splitlines()[-1]), (1, "LookupError: in the program"))

        text = self.told_of(body, programs=[broken])
        self.assertRegex(text, r"1 task exception never read\n  *program broken \(pid \d+\) .*LookupError")

    def test_one_that_is_not_async(self):
        """A plain function is reported by name."""

        def plain(process):
            return 5

        async def body(case):
            case.assertEqual(await (await exec_("plain", stderr=DEVNULL)).wait(), 1)

        self.assertRegex(self.told_of(body, programs=[plain]),
                         "TypeError: the program 'plain' is an async function that takes a process, but it returned 5")

    def test_one_that_returns_something_else(self):
        """What is no exit code is reported."""

        async def talks(process):
            return "done"

        async def body(case):
            case.assertEqual(await (await exec_("talks", stderr=DEVNULL)).wait(), 1)
            case.assertEqual(len(case.loop.kernel.journal.digest), 32)

        self.assertRegex(self.told_of(body, programs=[talks]),
                         "TypeError: the program 'talks' returned 'done': an exit code is an int, or None for 0")

    def test_a_reader_that_is_gone(self):
        """A program whose output nobody reads any more ends all the same."""

        async def body(case):
            process = await exec_("echo", "x" * 200_000, stdout=PIPE)
            process._transport.get_pipe_transport(1).close()
            case.assertEqual(await process.wait(), 0)

        self.assertEqual(self.told_of(body), "")

    def test_cancelled_at_its_start(self):
        """Who is cancelled while the program starts leaves none behind."""

        async def body(case):
            starting = asyncio.create_task(exec_("sleep", "99", stdin=PIPE, stdout=PIPE))
            await asyncio.sleep(0)
            starting.cancel()
            with case.assertRaises(asyncio.CancelledError):
                await starting
            await case.settle()

        self.assertEqual(self.told_of(body), "")

    def test_a_hang(self):
        """Who waits for a program that waits for him hangs, and both are shown."""

        async def reads(process):
            await process.stdin.read()

        async def body(case):
            process = await exec_("reads", stdin=PIPE)
            await process.wait()

        self.assertRegex(self.told_of(body, programs=[reads]),
                         r"(?s)SleepForeverError.*waits for the end of <Popen of <Child \d+ reads running>>\n.*"
                         r"program reads \(pid \d+\) .*waits for read\(-1\) from <pipe read end open 0 of 65536 bytes")


if __name__ == "__main__":
    unittest.main()
