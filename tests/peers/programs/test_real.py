"""Real processes that a test has let out, as children of asyncio's on the virtual loop."""

import asyncio
import os
import signal
import tempfile
import time
import unittest
from asyncio.subprocess import DEVNULL, PIPE, STDOUT

from solipsism_unittest import NotSimulatedError, SolipsistTestCase
from tests.case.test_case import run, told

exec_, shell = asyncio.create_subprocess_exec, asyncio.create_subprocess_shell


class RealTest(SolipsistTestCase):
    def setUp(self):
        self.enterContext(self.allow_escape("subprocess"))

    async def test_both_ways(self):
        """What goes in comes out, in any amount and by lines, and no virtual time passes."""
        big = bytes(range(256)) * 8_000
        process = await exec_("cat", stdin=PIPE, stdout=PIPE)
        self.assertEqual(await process.communicate(big), (big, None))
        script = "read a; echo got $a; read b; echo got $b >&2; exit 3"
        process = await exec_("sh", "-c", script, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        for reader, word in ((process.stdout, b"one"), (process.stderr, b"two")):
            process.stdin.write(word + b"\n")
            await process.stdin.drain()
            self.assertEqual(await reader.readline(), b"got " + word + b"\n")
        self.assertEqual((await process.wait(), process.returncode, self.now), (3, 3, 0))

    async def test_streams(self):
        """Streams may be files, joined, thrown away, or not there."""
        with tempfile.TemporaryFile() as file:
            process = await shell("echo out; echo err >&2", stdout=file, stderr=STDOUT)
            await process.wait()
            file.seek(0)
            self.assertEqual(file.read(), b"out\nerr\n")
        process = await exec_("cat", stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
        self.assertEqual(await process.communicate(), (b"", None))
        for end in self.socketpair():
            with self.assertRaisesRegex(NotSimulatedError, "a real process takes no virtual descriptor"):
                await exec_("cat", stdin=end)

    async def test_much(self):
        """It waits until it is read, and hears when it is not read any more; what it does not read is lost."""
        process = await shell("yes | head -c 3000000", stdout=PIPE)
        self.assertEqual(len((await process.communicate())[0]), 3_000_000)
        process = await exec_("yes", stdout=PIPE)
        await process.stdout.readexactly(200_000)
        process.kill()
        await process.stdout.read()
        self.assertEqual(await process.wait(), -9)
        process = await exec_("true", stdin=PIPE)
        self.assertEqual((await process.communicate(bytes(1_000_000)), process.returncode), ((None, None), 0))
        process = await exec_("yes", stdout=PIPE)
        process._transport.close()
        self.assertEqual(await process.wait(), -9)

    async def test_signals(self):
        """Signals reach it, whoever sends them."""
        for send in (lambda process: process.terminate(), lambda process: os.kill(process.pid, signal.SIGTERM)):
            process = await exec_("sleep", "1000")
            send(process)
            self.assertEqual(await process.wait(), -15)
            with self.assertRaises(ProcessLookupError):
                process.kill()

    async def test_refused(self):
        """The system says what is wrong, but for what only the world knows."""
        with self.assertRaisesRegex(FileNotFoundError, "No such file or directory: 'nobody-has-this'"):
            await exec_("nobody-has-this")
        with self.assertRaisesRegex(OSError, "Bad file descriptor"):
            await exec_("true", pass_fds=(99999,))
        for end in self.socketpair():
            with self.assertRaisesRegex(NotSimulatedError, r"takes no virtual descriptor by pass_fds=: add a program"):
                await exec_("true", pass_fds=(end.fileno(),))

    async def test_beside_programs_of_the_test(self):
        """Programs of the test are there again where nothing is let out."""

        async def cat(process):
            return 5

        self.add_program("cat", cat)
        self.assertEqual(await (await exec_("cat", stdin=DEVNULL)).wait(), 0)


class EndTest(unittest.TestCase):
    def test_left(self):
        """One that still runs is a leak, and is killed."""
        pids = []

        class Case(SolipsistTestCase):
            async def test(self):
                with self.allow_escape("subprocess"):
                    pids.append((await exec_("sleep", "1000")).pid)

        self.assertRegex(told(run(Case)), r"(?s)1 running program\n    <RealChild \d+ sleep 1000 running> .*test_real")
        with self.assertRaises(ProcessLookupError):
            while True:  # a moment passes until it is gone
                os.kill(pids[0], 0)
                time.sleep(0.001)

    def test_not_hermetic(self):
        """Where the guard is off they are real without more."""

        class Case(SolipsistTestCase):
            hermetic = False

            async def test(self):
                process = await exec_("sh", "-c", "exit 4")
                self.assertEqual(await process.wait(), 4)

        result = run(Case)
        self.assertTrue(result.wasSuccessful(), told(result))


if __name__ == "__main__":
    unittest.main()
