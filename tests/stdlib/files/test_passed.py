"""Descriptors that programs get from who starts them; beside real children: tests/contracts/test_passed.py."""

import asyncio
import errno
import os
import socket
import subprocess
import tempfile
from asyncio import create_subprocess_exec

from solipsism_unittest import SolipsistTestCase


class PassedTest(SolipsistTestCase):
    async def run_with(self, main, *numbers):
        """Run a program that is given these; its exit code."""
        self.add_program("program", main)
        return await (await create_subprocess_exec("program", pass_fds=numbers)).wait()

    async def test_watching(self):
        """A program watches what it was given by its number, and who started it watches the same."""
        loop, seen = self.loop, []
        reader, writer = os.pipe()

        async def main(process):
            ready = asyncio.Event()
            loop.add_reader(reader, ready.set)
            await ready.wait()
            seen.append(("program", loop.remove_reader(reader), loop.remove_reader(reader)))
            loop.add_writer(writer, lambda: loop.remove_writer(writer) and ready.clear())
            await asyncio.sleep(1)
            seen.append((ready.is_set(), loop.remove_writer(writer)))

        def note():
            seen.append("test")
            loop.remove_reader(reader)

        loop.add_reader(reader, note)
        loop.call_later(1, os.write, writer, b"x")
        self.assertEqual(await self.run_with(main, reader, writer), 0)
        self.assertEqual(seen, ["test", ("program", True, False), (False, False)])
        os.close(reader)
        os.close(writer)

    async def test_by_keyword(self):
        """Functions that take a number by its name find what the program has."""
        ours, theirs = socket.socketpair()
        number = theirs.fileno()

        async def main(process):
            with tempfile.TemporaryFile() as file:
                file.write(b"content")
                file.flush()
                os.sendfile(out_fd=number, in_fd=file.fileno(), offset=0, count=7)
            os.close(fd=number)
            try:
                os.fstat(fd=number)
            except OSError as error:
                return error.errno

        child = self.run_with(main, number)
        self.assertEqual(await child, errno.EBADF)
        self.assertEqual((ours.recv(9), os.get_blocking(number)), (b"content", True))
        theirs.close()
        self.assertEqual(ours.recv(9), b"")
        ours.close()

    async def test_what_a_program_leaves_open(self):
        """What it has not closed is closed when it ends, a transport too."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        number, kept = theirs.fileno(), []

        async def main(process):
            kept.append(await asyncio.open_connection(sock=socket.socket(fileno=number)))
            kept[-1][1].write(b"bye")

        theirs.setblocking(False)
        child = asyncio.ensure_future(self.run_with(main, number))
        await asyncio.sleep(0)
        await self.settle()
        theirs.close()
        self.assertEqual((ours.recv(9), ours.recv(9), await child), (b"bye", b"", 0))
        ours.close()

    async def test_one_that_is_not_open(self):
        """Where one is not there the others are as they were."""
        reader, writer = os.pipe()
        self.add_program("program", print)
        for numbers, name in (((writer, 99999), "program"), ((writer, reader), "nobody")):
            with self.assertRaises(OSError):
                await create_subprocess_exec(name, pass_fds=numbers)
        os.close(writer)
        self.assertEqual(os.read(reader, 9), b"")
        os.close(reader)

    async def test_a_real_one(self):
        """A real file is passed as it is."""

        async def main(process):
            os.write(file.fileno(), b"here")

        with tempfile.TemporaryFile() as file:
            self.assertEqual(await self.run_with(main, file.fileno()), 0)
            file.seek(0)
            self.assertEqual(file.read(), b"here")

    async def test_while_it_runs(self):
        """A program that runs holds what it was given: it alone is what a test leaves."""
        reader, writer = os.pipe()

        async def main(process):
            await asyncio.sleep(9)

        self.add_program("program", main)
        process = await asyncio.to_thread(subprocess.Popen, ["program"], pass_fds=[writer])
        os.close(writer)
        os.set_blocking(reader, False)
        with self.assertRaises(BlockingIOError):
            os.read(reader, 9)
        process.kill()
        await asyncio.to_thread(process.wait)
        self.assertEqual(os.read(reader, 9), b"")
        os.close(reader)
