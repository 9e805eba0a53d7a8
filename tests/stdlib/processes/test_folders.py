"""The folder of each program, beside that of real processes, and that of the test, which nobody moves."""

import asyncio
import contextlib
import inspect
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from asyncio.subprocess import PIPE

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told

exec_ = asyncio.create_subprocess_exec


def moves():
    """Where a program is, wherever it goes."""
    import contextlib
    import os
    import pathlib

    def see(call, *args):
        try:
            call(*args)
            seen.append((os.getcwd(), os.getcwdb()))
        except OSError as error:
            # Which number a descriptor has is not the same in two processes.
            name = "a descriptor" if isinstance(error.filename, int) and args != (10**5,) else error.filename
            seen.append((type(error).__name__, error.errno, name))
        except (TypeError, ValueError) as error:
            seen.append((type(error).__name__, str(error)))

    seen = [os.getcwd()]
    top = os.path.dirname(seen[0])
    for path in ("deep", b"..", pathlib.Path("deep"), "../../low", "..", "", "nowhere", b"nowhere", "file", 5.5, "a\0b",
                 10**5, "link", ".", top):
        see(os.chdir, path)
    with open("file") as file:
        seen.append(file.read())
        see(os.chdir, file.fileno())
        see(os.fchdir, file.fileno())
    folder = os.open("low", os.O_RDONLY)
    see(os.fchdir, folder)
    see(os.chdir, "..")
    see(os.chdir, folder)
    os.close(folder)
    with contextlib.chdir("deep"):
        seen.append(os.getcwd())
    os.chdir(top)
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir(os.path.join(top, "gone"))
    see(os.getcwd)
    os.chdir(top)
    return seen


async def starts():
    """Where those are that a program starts."""
    import asyncio
    import os
    seen = []
    for own in (".", "..", "low"):
        os.chdir(own)
        for options in ({}, {"cwd": None}, {"cwd": "deep"}, {"cwd": b"../low"}, {"cwd": "/"}, {"cwd": "nowhere"},
                        {"cwd": "file"}, {"cwd": "../file"}, {"cwd": ""}):
            try:
                process = await asyncio.create_subprocess_exec("pwd", stdout=-1, **options)
                seen.append((await process.communicate())[0])
            except OSError as error:
                seen.append((type(error).__name__, error.errno, error.filename))
    return seen


class FolderCase(SolipsistTestCase):
    def setUp(self):
        """Folders low and low/deep, a link to low, and a file; the test is in another one."""
        self.before = os.getcwd()
        self.top = os.path.realpath(self.enterContext(tempfile.TemporaryDirectory()))
        self.low = os.path.join(self.top, "low")
        os.makedirs(os.path.join(self.low, "deep"))
        os.symlink("low", os.path.join(self.top, "link"))
        with open(os.path.join(self.top, "file"), "w") as file:
            file.write("text")

        async def pwd(process):
            process.stdout.write(os.getcwd().encode() + b"\n")

        self.add_program("pwd", pwd)

    async def said(self, main, **options):
        """What a program prints."""
        self.add_program("tool", main)
        process = await exec_("tool", stdout=PIPE, **options)
        return (await process.communicate())[0].decode().strip()

    def real(self, function, call):
        """What a real process prints that calls this function."""
        with self.allow_escape("subprocess"):
            code = f"{inspect.getsource(function)}\nimport asyncio\nprint({call})"
            return subprocess.run([sys.executable, "-c", code], cwd=self.low, stdout=PIPE, text=True,
                                  check=True).stdout.strip()


class FolderTest(FolderCase):
    async def test_its_own(self):
        """It starts in its folder and goes where it likes, as a real process; of each kind, and the test stays."""

        async def task(process):
            process.stdout.write(repr(moves()).encode())

        async def main():
            print(moves())

        self.assertEqual(os.getcwdb(), os.fsencode(self.before))
        wanted = await asyncio.to_thread(self.real, moves, "moves()")
        for program in (task, main, lambda: print(moves())):
            for folder in (self.low, os.path.join(self.top, "link"), os.fsencode(self.low)):
                self.assertEqual(await self.said(program, cwd=folder), wanted)
                self.assertEqual(os.getcwd(), self.before)
                self.assertTrue(os.path.samefile(".", self.before))

    async def test_what_it_starts(self):
        """A program of its own starts in its folder, and cwd= counts from there."""

        async def task(process):
            process.stdout.write(repr(await starts()).encode())

        async def main():
            print(await starts())

        wanted = await asyncio.to_thread(self.real, starts, "asyncio.run(starts())")
        for program in (task, main):
            self.assertEqual(await self.said(program, cwd=self.low), wanted)

    async def test_beside_others(self):
        """Two programs and the test are each in a folder of their own; the files are where the last has gone."""

        async def main(process):
            os.chdir(process.argv[1])
            process.stdout.write(b"ready\n")
            await process.stdin.read()
            process.stdout.write(f"{os.getcwd()} {os.path.exists('file')}".encode())

        self.add_program("tool", main)
        first, second = [await exec_("tool", path, stdin=PIPE, stdout=PIPE) for path in (self.top, self.low)]
        for process in (first, second):
            await process.stdout.readline()
        self.assertEqual((os.getcwd(), os.getcwdb()), (self.before, os.fsencode(self.before)))
        name = os.path.basename(os.path.dirname(os.path.abspath(__file__)))
        inside = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        relative = os.path.relpath(os.path.join(inside, name), self.before)
        process = await exec_("pwd", cwd=relative, stdout=PIPE)
        self.assertEqual((await process.communicate())[0].decode(), f"{os.path.join(inside, name)}\n")
        self.assertEqual((await first.communicate(b""))[0].decode(), f"{self.top} False")
        self.assertFalse(os.path.samefile(".", self.before))
        self.assertEqual((await second.communicate(b""))[0].decode(), f"{self.low} False")
        self.assertTrue(os.path.samefile(".", self.before))

    async def test_the_test_moves(self):
        """Where the test goes itself, from its own folder, it is; no end of a program takes it back."""

        async def main(process):
            os.chdir("/")
            process.stdout.write(b"ready\n")
            await process.stdin.read()

        self.add_program("tool", main)
        self.addCleanup(os.chdir, self.before)
        os.chdir(self.low)
        process = await exec_("tool", stdin=PIPE, stdout=PIPE)
        await process.stdout.readline()
        with self.assertRaises(FileNotFoundError) as caught:
            os.chdir("nowhere")
        self.assertEqual((caught.exception.filename, os.getcwd()), ("nowhere", self.low))
        os.chdir("deep")
        await process.communicate(b"")
        self.assertEqual(os.getcwd(), os.path.join(self.low, "deep"))
        self.assertTrue(os.path.samefile(".", os.path.join(self.low, "deep")))

    async def test_its_folder_is_gone(self):
        """A folder of the test that is gone when the program ends cannot be gone back to."""

        async def main(process):
            os.chdir("/")
            os.rmdir(os.path.join(self.low, "deep"))

        self.addCleanup(os.chdir, self.before)
        os.chdir(os.path.join(self.low, "deep"))
        self.assertEqual(await self.said(main), "")
        self.assertEqual(os.getcwd(), "/")


class EndTest(unittest.TestCase):
    def test_nothing_is_left(self):
        """However a program ends, and where none has: the next test is where this one was."""
        case = self

        class Case(FolderCase):
            async def test_leak(self):
                async def main(process):
                    os.chdir("/")
                    await asyncio.sleep(3600)

                self.add_program("tool", main)
                await exec_("tool")
                await self.settle()

            async def test_awaited_by_nobody(self):
                async def main():
                    os.chdir("/")
                    await asyncio.sleep(3600)

                self.run_program(main)
                await self.settle()

            async def test_thread(self):
                """One that a signal has ended, whose thread goes on."""
                def main():
                    with contextlib.suppress(BaseException):
                        print("ready", flush=True)
                        sys.stdin.read()
                    os.chdir("/")
                    gone.append(os.getcwd())

                gone = []
                self.add_program("tool", main)
                process = await exec_("tool", stdin=PIPE, stdout=PIPE)
                await process.stdout.readline()
                process.send_signal(signal.SIGKILL)
                await process.wait()
                await self.settle()
                case.assertEqual((gone, os.getcwd()), (["/"], self.before))

            def test_plain(self):
                self.assertEqual(self.run_program(lambda: os.chdir("/")).returncode, 0)

        before = os.getcwd()
        for name in unittest.defaultTestLoader.getTestCaseNames(Case):
            with self.subTest(name):
                result = run(Case, name)
                self.assertEqual(os.getcwd(), before)
                self.assertEqual(bool(told(result)), name in ("test_leak", "test_awaited_by_nobody"))
