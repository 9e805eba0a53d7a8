"""Module subprocess on programs of a test; what it does beside real ones stands in tests/contracts/test_popen.py."""

import asyncio
import contextlib
import io
import pathlib
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings
from subprocess import DEVNULL, PIPE, STDOUT

from solipsism_unittest import EscapeError, NotSimulatedError, SolipsismError, SolipsistTestCase
from tests.case.test_case import run, told


async def cat(process):
    while data := await process.stdin.read(2**16):
        process.stdout.write(data)
        await process.stdout.drain()


async def sleep(process):
    await asyncio.sleep(float(process.argv[1]))


class PopenCase(SolipsistTestCase):
    def setUp(self):
        for main in (cat, sleep):
            self.add_program(main.__name__, main)


class PopenTest(PopenCase):
    async def test_virtual_time(self):
        """A job that waits for a program waits in virtual time, with a limit and without; other jobs go on."""

        def job():
            with self.assertRaises(subprocess.TimeoutExpired) as caught:
                subprocess.run(["sleep", "7200"], timeout=3600, capture_output=True)
            return caught.exception.timeout, subprocess.run(["sleep", "600"]).returncode

        self.assertEqual(await self.assertCompletesAfter(asyncio.to_thread(job), 4200), (3600, 0))
        jobs = asyncio.gather(*(asyncio.to_thread(subprocess.call, ["sleep", str(hours * 3600)]) for hours in (1, 2)))
        self.assertEqual(await self.assertCompletesAfter(jobs, 7200), [0, 0])

    async def test_a_size_that_no_pipe_has(self):
        """A size that the system refuses is an error, and leaves nothing behind."""
        with self.assertRaisesRegex(OSError, "Invalid argument"):
            await asyncio.to_thread(subprocess.Popen, ["cat"], stdin=PIPE, stdout=PIPE, pipesize=2**31 + 1)

    async def test_polling(self):
        """A program may be polled with waits that are given up, as often as one likes, by several threads."""

        def job():
            waits = 0
            while process.poll() is None:
                try:
                    process.wait(0.5)
                except subprocess.TimeoutExpired:
                    waits += 1
            return waits

        process = await asyncio.to_thread(subprocess.Popen, ["sleep", "100.2"])
        before = len(self.loop.kernel.files)
        self.assertEqual(await asyncio.gather(*(asyncio.to_thread(job) for _ in range(2))), [200, 200])
        await self.settle()
        self.assertLessEqual(len(self.loop.kernel.files), before)

    async def test_much_of_all(self):
        """All streams may be full at the same time."""

        async def twice(process):
            while data := await process.stdin.read(2**16):
                process.stdout.write(data)
                process.stderr.write(data)
                await process.stdout.drain()
                await process.stderr.drain()

        self.add_program("twice", twice)
        data = bytes(range(256)) * 4000
        done = await asyncio.to_thread(subprocess.run, ["twice"], input=data, capture_output=True)
        self.assertEqual((done.stdout == data, done.stderr == data, done.returncode), (True, True, 0))

    async def test_a_closed_stdin(self):
        """communicate() takes a file that is closed for what it is."""

        def job():
            process = subprocess.Popen([pathlib.Path("cat")], stdin=PIPE, stdout=PIPE, stderr=PIPE)
            process.stdin.close()
            return process.communicate()

        self.assertEqual(await asyncio.to_thread(job), (b"", b""))

    async def test_in_the_thread_of_the_loop(self):
        """There it can be looked at, and told to end; to wait for one that has begun is an error with the cure."""
        process = await asyncio.to_thread(subprocess.Popen, pathlib.Path("/bin/cat"), stdin=PIPE, stdout=PIPE)
        self.assertIsNone(process.poll())
        for call, name in ((process.wait, "wait"), (process.communicate, "communicate")):
            with self.assertRaisesRegex(SolipsismError, rf"^Popen\.{name}\(\) on <Child \d+ /bin/cat running> would "
                                                        r"block its thread at t=0\.0, and virtual time with it: call "
                                                        r"it in asyncio\.to_thread\(\), or use asyncio\.create_sub"):
                call()
        process.send_signal(signal.SIGTERM)
        await self.settle()
        self.assertEqual((process.wait(), process.communicate()), (-15, (b"", None)))

    async def test_what_is_not_simulated(self):
        """What a virtual program cannot have is refused in words."""

        def job():
            with self.assertRaises(NotSimulatedError):
                subprocess.Popen(["cat"], preexec_fn=print)
            with self.assertRaisesRegex(NotSimulatedError, "no shell is run"):
                subprocess.run("cat | cat", shell=True)
            with self.assertRaisesRegex(FileNotFoundError, r"Add it: self\.add_program\('git', main\)"):
                subprocess.run(["git"])

        await asyncio.to_thread(job)

    async def test_what_is_refused_everywhere(self):
        """What module subprocess refuses asyncio refuses too, and where it is given by its place."""
        by_place = [-1, None, None, None, None, None, True, False, None, None, None]
        for options, more, error in (({"preexec_fn": print}, [], NotSimulatedError),
                                     ({"user": 54321}, [], NotSimulatedError), ({"group": 5}, [], NotSimulatedError),
                                     ({"extra_groups": [0]}, [], NotSimulatedError),
                                     ({"umask": 0o77}, [], NotSimulatedError),
                                     ({"startupinfo": "x"}, ["x"], ValueError),
                                     ({"creationflags": 8}, [None, 8], ValueError)):
            with self.subTest(options):
                for start in (asyncio.create_subprocess_exec, asyncio.create_subprocess_shell):
                    with self.assertRaisesRegex(error, next(iter(options))):
                        await start("cat", **options)
                for args, named in ((by_place + more, {}), ([], options)) if more else (([], options),):
                    with self.assertRaisesRegex(error, next(iter(options))):
                        subprocess.Popen(["cat"], *args, **named)
        self.assertEqual(len(self.loop.kernel.files), 0)
        for options in ({"pass_fds": ()}, {"creationflags": 0}, {"startupinfo": None}, {"preexec_fn": None}):
            self.assertEqual(await (await asyncio.create_subprocess_exec("cat", stdin=DEVNULL, **options)).wait(), 0)
        self.assertEqual(subprocess.Popen(["cat"], *by_place[:1], None, DEVNULL, *by_place[3:]).wait(), 0)

    async def test_what_is_real(self):
        """Processes that are let out are real; a class of the program's own is an escape, as ever."""

        class Popen(subprocess.Popen):
            """One of the program's own."""

        def job():
            with self.assertRaisesRegex(EscapeError, "would start a real process"):
                Popen(["cat"])
            with self.allow_escape("subprocess"):
                return subprocess.run([sys.executable, "-c", "print(5)"], stdout=PIPE).stdout

        self.assertEqual(await asyncio.to_thread(job), b"5\n")
        await asyncio.to_thread(lambda: platform._syscmd_file(sys.executable))  # Python asks about the machine

    def test_a_loop_that_stops(self):
        """While no loop runs the test's own runs in the thread of the test, where that waits."""

        def job():
            for call in (process.wait, process.communicate, process.communicate):
                with self.assertRaises(subprocess.TimeoutExpired):
                    call(timeout=5)
            pipes.append(len(self.loop.kernel.files))

        pipes = []
        process = self.loop.run_until_complete(asyncio.to_thread(subprocess.Popen, ["sleep", "60"]))
        pipes.append(len(self.loop.kernel.files))
        thread = threading.Thread(target=job)
        thread.start()
        thread.join()
        self.assertEqual((self.now, pipes[1] - pipes[0]), (15, 2))
        self.assertEqual(self.loop.run_until_complete(asyncio.to_thread(process.wait)), 0)


async def tool(process):
    """Says what it got on both streams, and ends with 3."""
    await asyncio.sleep(0)
    process.stdout.write(b"out " + await process.stdin.read() + process.environment.get("A", "").encode() + b"\n")
    process.stderr.write(b"err\n")
    await process.stdout.drain()
    return 3


def function():
    print("function", sys.argv[1:], sys.stdin.read())
    sys.exit("words")


async def coroutine():
    await asyncio.sleep(0)
    print("coroutine", sys.argv[1:])
    return 4


class OnTheSpotTest(PopenCase):
    """Where nobody else could run a program: in the thread of a loop that runs, and where none runs."""

    def setUp(self):
        super().setUp()
        for main in (tool, function, coroutine):
            self.add_program(main.__name__, main)

    def calls(self):
        """What comes of calls that need no time."""
        with tempfile.TemporaryFile() as file:
            results = [subprocess.call(["tool"], stdout=file, stderr=STDOUT), file.seek(0), file.read()]
            file.seek(0)
            results.append(subprocess.run(["cat"], stdin=file, stdout=PIPE).stdout)
        results.append(subprocess.run(["tool"], input=b"in", capture_output=True, env={"A": "a"}))
        results += [subprocess.call(["tool"], stdout=DEVNULL, stderr=DEVNULL), subprocess.getstatusoutput("tool")]
        results += [subprocess.run([name, "-x"], input="in", text=True, capture_output=True)
                    for name in ("function", "coroutine")]
        big = bytes(1_000_000)
        results.append(subprocess.check_output(["cat"], input=big) == big)
        with subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE) as process:
            process.stdin.write(b"hey")
            results.append(process.communicate()[0])
        with subprocess.Popen(["tool"], stdout=PIPE, stderr=PIPE, text=True) as process:
            results += [process.stdout.read(), process.stderr.readline(), process.wait()]
        with subprocess.Popen(["sleep", "5"], stdout=PIPE) as process:
            results.append(process.poll())
            process.kill()
            results += [process.wait(), process.stdout.read()]
        self.assertEqual(list(map(self.plain, results)), [
            3, 0, b"out \nerr\n", b"out \nerr\n", (3, b"out ina\n", b"err\n"), 3, (3, "out \nerr"),
            (1, "function ['-x'] in\n", "words\n"), (4, "coroutine ['-x']\n", ""), True, b"hey",
            "out \n", "err\n", 3, None, -9, b""])

    @staticmethod
    def plain(result):
        kind = subprocess.CompletedProcess
        return (result.returncode, result.stdout, result.stderr) if isinstance(result, kind) else result

    async def test_beside_the_loop(self):
        """In the loop's thread a program that waits for nothing runs on the spot."""
        self.calls()
        self.assertEqual(self.now, 0)

    async def test_what_would_wait(self):
        """There one that waits is a blocking call, with the cure, and is dead."""

        async def spins(process):
            while True:
                await asyncio.sleep(0)

        async def waits():
            await asyncio.sleep(5)

        self.add_program("spins", spins)
        self.add_program("waits", waits)
        for command in (["sleep", "5"], ["spins"], ["waits"]):
            with self.assertRaisesRegex(SolipsismError, r"^Popen\.communicate\(\) on <\w+ .* would block its thread "
                                                        r"at .*: call it in asyncio\.to_thread\(\), or use "):
                subprocess.run(command, stdout=PIPE)
        with subprocess.Popen(["sleep", "5"]) as process:
            await self.settle()
            with self.assertRaisesRegex(SolipsismError, r"^Popen\.wait\(\) on "):  # it has begun
                process.wait()
            process.kill()
        with subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE) as process, \
                self.assertRaisesRegex(SolipsismError, r"^Popen\.stdout\.read\(\) on "):
            process.stdout.read()  # it reads what nobody has written

    def test_without_a_loop_that_runs(self):
        """Where no loop runs the test's own runs meanwhile: programs take their time."""
        self.calls()
        self.assertEqual(subprocess.run(["sleep", "3600"]).returncode, 0)
        with self.assertRaises(subprocess.TimeoutExpired):
            subprocess.run(["sleep", "3600"], timeout=400)
        self.assertEqual(self.now, 4000)
        with subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE) as process:
            for line in (b"one\n", b"two\n"):
                process.stdin.write(line)
                process.stdin.flush()
                self.assertEqual(process.stdout.readline(), line)
        result = self.run_program(lambda: print(subprocess.check_output(["sleep", "9"]), time.monotonic()))
        self.assertEqual((result.stdout, self.now), (b"b'' 4009.0\n", 4009))


def printing():
    """A function, which runs in a thread."""
    time.sleep(10)
    print("slept")


async def awaiting():
    await asyncio.sleep(10)
    print("slept")


def echo():
    for line in sys.stdin:
        print(line.upper(), end="", flush=True)


SLEEPERS = [(name, beside) for name in ("printing", "awaiting") for beside in (False, True)]


class PlainTest(SolipsistTestCase):
    """A plain test with programs: they run while it waits, in whatever call, and in no other way than real ones."""

    def setUp(self):
        for main in (printing, awaiting, echo):
            self.add_program(main.__name__, main)

    @contextlib.contextmanager
    def running(self, name, beside, seconds=10, **kwargs):
        """Start one of those that take ten seconds, `beside` a thread or alone; after the block so many are over."""
        thread = threading.Thread(target=time.sleep, args=(3,))
        if beside:
            thread.start()
        start = self.now
        with self.subTest(name, beside=beside), subprocess.Popen([name], **kwargs) as process:
            yield process
            self.assertEqual((process.poll(), self.now - start), (0, seconds))
        if beside:
            thread.join()

    def test_wait(self):
        """One that had no end in time is waited for again, and again."""
        for name, beside in SLEEPERS:
            with self.running(name, beside, stdout=PIPE) as process:
                for _ in range(3):
                    with self.assertRaises(subprocess.TimeoutExpired):
                        process.wait(2.5)
                self.assertEqual((process.wait(), process.stdout.read()), (0, b"slept\n"))

    def test_communicate(self):
        """The same with what it says."""
        for name, beside in SLEEPERS:
            with self.running(name, beside, stdout=PIPE, stderr=STDOUT, text=True) as process:
                with self.assertRaises(subprocess.TimeoutExpired):
                    process.communicate(timeout=5)
                self.assertEqual(process.communicate(), ("slept\n", None))

    def test_other_calls(self):
        """`run` with a limit, `call`, `check_output`, in the thread of the test and in others."""

        def calls():
            for name in ("printing", "awaiting"):
                with self.assertRaises(subprocess.TimeoutExpired):
                    subprocess.run([name], timeout=5)
                self.assertEqual(subprocess.check_output([name]), b"slept\n")
                self.assertEqual(subprocess.call([name], stdout=DEVNULL), 0)
            times.append(self.now)

        times = []
        calls()
        thread = threading.Thread(target=calls)
        thread.start()
        thread.join()
        threads = [threading.Thread(target=calls) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(times, [50, 100, 150, 150])

    def test_polling(self):
        """One that is polled goes on while the test sleeps, however it does that."""
        for sleep in (time.sleep, threading.Event().wait):
            for name, beside in SLEEPERS:
                with self.running(name, beside, 12, stdout=PIPE) as process:
                    while process.poll() is None:
                        sleep(3)

    def test_other_waits(self):
        """What ends a wait may come from a program."""
        for name, beside in SLEEPERS:
            with self.running(name, beside, stdout=PIPE) as process:
                time.sleep(4)
                self.assertIsNone(process.poll())
                self.assertEqual(process.stdout.read(), b"slept\n")
        event = threading.Event()
        self.add_program("sets", lambda: time.sleep(7) or event.set())
        with subprocess.Popen(["sets"]):
            self.assertFalse(event.wait(5))
            self.assertTrue(event.wait())
            self.assertEqual(self.now, 47)

    def test_talking(self):
        """Line by line, and until its end is told."""
        with subprocess.Popen(["echo"], stdin=PIPE, stdout=PIPE, text=True, bufsize=1) as process:
            for word in ("one", "two"):
                process.stdin.write(word + "\n")
                self.assertEqual(process.stdout.readline(), word.upper() + "\n")
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(60)
            process.stdin.close()
        self.assertEqual((process.returncode, self.now), (0, 60))

    def test_lines_of_bytes(self):
        """There is no line buffering for bytes: it warns as the real one does, and all else is as without it."""

        def talk(program):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                process = subprocess.Popen([program], stdin=PIPE, stdout=PIPE, bufsize=1)
            return [(each.category, str(each.message)) for each in caught], process.communicate(b"word")[0].lower()

        found = talk("echo")
        with self.allow_escape("subprocess"):
            self.assertEqual(found, talk("cat"))

    def test_signals(self):
        """One that was waited for in vain is ended."""
        for end, code in ((subprocess.Popen.kill, -9), (subprocess.Popen.terminate, -15)):
            process = subprocess.Popen(["awaiting"])
            with self.assertRaises(subprocess.TimeoutExpired):
                process.wait(5)
            end(process)
            self.assertEqual(process.wait(), code)

    def test_what_it_prints(self):
        """A coroutine too prints to the stream of who has started it."""
        for name in ("printing", "awaiting"):
            with contextlib.redirect_stdout(io.StringIO()) as said:
                subprocess.run([name])
            self.assertEqual(said.getvalue(), "slept\n")

    def test_for_ever(self):
        """A program that waits for ever is still a hang, with the line that waits for it."""

        class Case(SolipsistTestCase):
            def test(self):
                self.add_program("stands", lambda: threading.Event().wait())
                process = subprocess.Popen(["stands"])
                with self.assertRaises(subprocess.TimeoutExpired):
                    process.wait(5)
                process.wait()

        text = told(run(Case))
        self.assertRegex(text, r"in test\n +process\.wait\(\)\n")
        self.assertIn("SleepForeverError: nothing can wake the program at t=5.0", text)
        self.assertIn("program stands", text)


class EndTest(unittest.TestCase):
    def test_errors(self):
        """An error of a program that ran on the spot is told on its stderr, and fails the test."""

        class Case(SolipsistTestCase):
            async def test(self):
                async def bad(process):
                    raise LookupError("lost")

                async def leaves(process):
                    sys.exit("words")

                self.add_program("bad", bad)
                self.add_program("leaves", leaves)
                results = [subprocess.run([name], stderr=PIPE) for name in ("bad", "leaves")]
                self.assertEqual([result.returncode for result in results], [1, 1])
                self.assertRegex(results[0].stderr, rb"^Traceback .*\n  File .*test_popen\.py.* in bad\n")
                self.assertEqual(results[1].stderr, b"words\n")

        text = told(run(Case))
        self.assertIn("program bad failed: LookupError('lost')", text)
        self.assertIn("1 error that nobody caught", text)

    def test_without_programs(self):
        """A test that has added no program gets the escape that it always got."""

        class Case(SolipsistTestCase):
            async def test(self):
                with self.assertRaisesRegex(EscapeError, r"subprocess\.run\(\['cat'\]\) would start a real process"):
                    await asyncio.to_thread(subprocess.run, ["cat"])

        self.assertTrue(run(Case).wasSuccessful())

    def test_left_behind(self):
        """A program that still runs is a leak, with the line that started it."""

        class Case(PopenCase):
            async def test(self):
                def job():
                    self.process = subprocess.Popen(["sleep", "99"], stderr=STDOUT, stdin=DEVNULL)
                    with self.assertRaises(subprocess.TimeoutExpired):
                        self.process.wait(1)

                await asyncio.to_thread(job)

        text = told(run(Case))
        self.assertRegex(text, r"left 1 thing behind.*\n  1 running program\n    <Child \d+ sleep 99 running> .*\n"
                               r"      made at tests/peers/programs/test_popen\.py:\d+ in .*job")


if __name__ == "__main__":
    unittest.main()
