"""Module subprocess on programs of a test; what it does beside real ones stands in tests/contracts/test_popen.py."""

import asyncio
import pathlib
import platform
import signal
import subprocess
import sys
import threading
import unittest
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
        """There it can be looked at, and told to end; to wait for it is an error with the cure, and so is to start one.
        """
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
        with self.assertRaisesRegex(EscapeError, r"subprocess\.call\(\['sleep', '1'\]\) would start a real process"):
            subprocess.call(["sleep", "1"])

    async def test_what_is_not_simulated(self):
        """What a virtual program cannot have is refused in words."""

        def job():
            for options in ({"executable": "/bin/cat"}, {"pass_fds": (3,)}, {"preexec_fn": print},
                            {"stdin": sys.__stdin__}, {"stdout": 5}):
                with self.subTest(options), self.assertRaises(NotSimulatedError):
                    subprocess.Popen(["cat"], **options)
            with self.assertRaisesRegex(NotSimulatedError, "no shell is run"):
                subprocess.run("cat | cat", shell=True)
            with self.assertRaisesRegex(FileNotFoundError, r"Add it: self\.add_program\('git', main\)"):
                subprocess.run(["git"])

        await asyncio.to_thread(job)

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
        """While no loop runs a program stands still: a thread waits for it until its time is over."""

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

    def test_without_a_loop_that_runs(self):
        """Where no loop runs no program could: a real one is an escape."""
        with self.assertRaisesRegex(EscapeError, "would start a real process"):
            subprocess.run(["cat"])


class EndTest(unittest.TestCase):
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
                               r"      made at tests/peers/test_popen\.py:\d+ in .*job")


if __name__ == "__main__":
    unittest.main()
