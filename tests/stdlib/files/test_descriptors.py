"""Virtual pipes and descriptors: what a program sees of them, on a real Linux and in the virtual world."""

import array
import asyncio
import concurrent.futures
import contextlib
import errno
import fcntl
import gc
import io
import multiprocessing
import os
import socket
import stat
import subprocess
import sys
import unittest
import warnings
from typing import Any

from solipsism_unittest import SolipsismError, SolipsistEventLoop, SolipsistTestCase, UnclosedWarning, sealed
from tests.contracts.arms import Arm, Contract, awaited, outcome, scenario

BIG = bytes(range(256)) * 4000


class Pipes(Contract):
    """What descriptors a scenario makes."""

    def pipe(self, arm: Arm, blocking: bool = False) -> tuple[int, int]:
        """The two ends of a pipe, closed after the body."""
        ends = os.pipe()
        for end in ends:
            os.set_blocking(end, blocking)
            arm._closing.callback(self.close, end)
        return ends

    def close(self, end: int) -> None:
        """Close a descriptor that may be closed already."""
        with contextlib.suppress(OSError):
            os.close(end)


class DescriptorTest(Pipes):
    """os.read, os.write and their like."""

    @scenario
    async def test_bytes_go_through(self, arm: Arm) -> Any:
        """What is written is read, in pieces of any size."""
        reader, writer = self.pipe(arm)
        arm.see(outcome(os.read, reader, 10), os.write(writer, b"some "), os.write(writer, b"bytes"))
        arm.see(os.read(reader, 3), os.read(reader, 0), os.read(reader, 100), outcome(os.read, reader, 1))
        arm.see(
            os.write(writer, array.array("i", [1, 2])),
            os.write(writer, memoryview(b"abcd")[::1]),
            os.write(writer, b""),
        )
        buffers = [bytearray(5), bytearray(10)]
        arm.see(os.readv(reader, buffers), buffers, os.writev(writer, [b"one", b"two"]), os.read(reader, 10))
        return None

    @scenario
    async def test_the_wrong_end(self, arm: Arm) -> Any:
        """An end goes one way."""
        reader, writer = self.pipe(arm)
        arm.see(outcome(os.read, writer, 1), outcome(os.write, reader, b"x"), outcome(os.read, reader, -1))
        return [("EBADF", "EBADF", "EINVAL")]

    @scenario
    async def test_the_end_of_file(self, arm: Arm) -> Any:
        """A closed write end is the end of the file, after what was written."""
        reader, writer = self.pipe(arm)
        os.write(writer, b"rest")
        os.close(writer)
        arm.see(os.read(reader, 100), os.read(reader, 100), outcome(os.write, writer, b"x"), outcome(os.close, writer))
        return [(b"rest", b"", "EBADF", "EBADF")]

    @scenario
    async def test_nobody_reads(self, arm: Arm) -> Any:
        """A closed read end is EPIPE, even for what was written before."""
        reader, writer = self.pipe(arm)
        os.write(writer, b"lost")
        os.close(reader)
        arm.see(outcome(os.write, writer, b"x"), outcome(os.write, writer, b""))
        return [("EPIPE", 0)]

    @scenario
    async def test_capacity(self, arm: Arm) -> Any:
        """A pipe holds 16 pages: 64 KiB of whole pages, less of odd pieces; a small write goes whole or not at all."""
        for size in (1, 7, 100, 1000, 2048, 3000, 4095, 4096, 4097, 5000, 10_000, 65_535, 65_536, 100_000):
            reader, writer = self.pipe(arm)
            written = []
            for _ in range(200_000):
                sent = outcome(os.write, writer, bytes(size))
                written.append(sent)
                if sent == "EAGAIN":
                    break
            arm.see(size, len(written), written[-3:], outcome(os.write, writer, b"x"))
            for part in (1, 4095, 1, 5000):
                arm.see(
                    len(os.read(reader, part)),
                    outcome(os.write, writer, bytes(4096)),
                    outcome(os.write, writer, b"x"),
                    outcome(os.write, writer, bytes(9000)),
                )

    @scenario
    async def test_odd_writes(self, arm: Arm) -> Any:
        """The bytes come out as they went in, whatever the pieces."""
        reader, writer = self.pipe(arm)
        state, sent, received = 1, 0, bytearray()
        while sent < len(BIG):
            state = state * 1103515245 + 12345 & 0x7FFFFFFF
            size = outcome(os.write, writer, BIG[sent : sent + state % 9001])
            arm.see(size)
            sent += size if size != "EAGAIN" else 0
            if size == "EAGAIN" or state % 3 == 0:
                received += os.read(reader, state % 70_001 + 1)
        while data := outcome(os.read, reader, 65_536) if len(received) < len(BIG) else b"":
            received += data
        arm.see(received == BIG)

    @scenario
    async def test_readiness(self, arm: Arm) -> Any:
        """A read end is ready for bytes and the end, a write end for room and a closed read end."""
        reader, writer = self.pipe(arm)
        arm.see(await arm.readiness(reader), await arm.readiness(writer))
        os.write(writer, bytes(70_000))
        arm.see(await arm.readiness(reader), await arm.readiness(writer))
        os.read(reader, 4095)
        arm.see(await arm.readiness(writer), len(os.read(reader, 1)), await arm.readiness(writer))
        os.close(writer)
        arm.see(await arm.readiness(reader), len(os.read(reader, 70_000)), await arm.readiness(reader))
        reader, writer = self.pipe(arm)
        os.close(reader)
        arm.see(await arm.readiness(writer))

    @scenario
    async def test_facts(self, arm: Arm) -> Any:
        """fstat says what a descriptor is; blocking is a switch of its own."""
        reader, writer = self.pipe(arm, blocking=True)
        sock = arm.socket()
        for number in (reader, writer, sock.fileno()):
            arm.see(
                stat.S_IFMT(os.fstat(number).st_mode),
                stat.S_IFMT(os.stat(number).st_mode),
                os.isatty(number),
                os.get_inheritable(number),
                os.get_blocking(number),
            )
        arm.see(os.set_blocking(reader, False), os.get_blocking(reader), os.get_blocking(writer))
        arm.see(os.set_inheritable(reader, False), os.fstat(reader).st_ino > 0)
        for call in (os.fstat, os.get_blocking, os.get_inheritable, os.dup, os.stat):
            os.close(number := os.dup(reader))
            arm.see(outcome(call, number))
        arm.see(outcome(os.set_blocking, number, True), outcome(os.set_inheritable, number, True))

    @scenario
    async def test_flags_at_birth(self, arm: Arm) -> Any:
        """pipe2 makes both ends non-blocking, and refuses what it does not know."""
        for flags in (0, os.O_NONBLOCK, os.O_CLOEXEC | os.O_NONBLOCK):
            ends = os.pipe2(flags)
            arm.see([os.get_blocking(end) for end in ends], [os.close(end) for end in ends])
        arm.see(outcome(os.pipe2, os.O_APPEND))

    @scenario
    async def test_fcntl(self, arm: Arm) -> Any:
        """The flags and the size of a pipe can be read and set."""
        reader, writer = self.pipe(arm)
        for number in (reader, writer):
            arm.see(
                fcntl.fcntl(number, fcntl.F_GETFL),
                fcntl.fcntl(number, fcntl.F_GETFD),
                fcntl.fcntl(number, fcntl.F_SETFD, 1),
            )
            arm.see(fcntl.fcntl(number, fcntl.F_SETFL, 0), os.get_blocking(number), outcome(fcntl.fcntl, number, 9999))
            arm.see(fcntl.fcntl(number, fcntl.F_GETPIPE_SZ))
        for size in (1, 4097, 8192, 65_537, 1 << 20, 0, -1, 16_384):
            arm.see(
                size, outcome(fcntl.fcntl, writer, fcntl.F_SETPIPE_SZ, size), fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ)
            )
        os.set_blocking(writer, False)
        os.write(writer, bytes(9000))
        arm.see(outcome(fcntl.fcntl, writer, fcntl.F_SETPIPE_SZ, 4096))
        sock = arm.socket()
        arm.see(
            fcntl.fcntl(sock.fileno(), fcntl.F_GETFL) & ~os.O_NONBLOCK,
            outcome(fcntl.fcntl, sock.fileno(), fcntl.F_GETPIPE_SZ),
            outcome(fcntl.fcntl, sock.fileno(), fcntl.F_SETPIPE_SZ, 4096),
        )

    @scenario
    async def test_duplicates(self, arm: Arm) -> Any:
        """An end lives as long as one of its descriptors."""
        reader, writer = self.pipe(arm)
        another = os.dup(writer)
        os.close(writer)
        arm.see(outcome(os.read, reader, 1), os.write(another, b"x"), os.read(reader, 1))
        os.close(another)
        arm.see(os.read(reader, 1))
        return [("EAGAIN", 1, b"x"), b""]

    @scenario
    async def test_sockets_are_descriptors(self, arm: Arm) -> Any:
        """os.read and os.write do with sockets what recv and send do."""
        one, other = arm.pair()
        arm.see(os.write(one.fileno(), b"hello"), os.read(other.fileno(), 10), outcome(os.read, other.fileno(), 1))
        number = one.detach()
        arm.see(os.close(number), other.recv(1), outcome(os.close, number))
        return [(5, b"hello", "EAGAIN"), (None, b"", "EBADF")]


class FilesTest(Pipes):
    """open(fd) and os.fdopen."""

    @scenario
    async def test_files(self, arm: Arm) -> Any:
        """Raw, buffered and text files over a pipe."""
        for mode, buffering, data in (
            ("b", 0, b"raw\n"),
            ("b", -1, b"buffered\n"),
            ("b", 100, b"sized\n"),
            ("", -1, "text\n"),
            ("", 1, "line\n"),
        ):
            reader, writer = self.pipe(arm, blocking=True)
            with os.fdopen(reader, "r" + mode, buffering) as source, open(writer, "w" + mode, buffering) as target:
                arm.see(
                    source.readable(),
                    source.writable(),
                    source.seekable(),
                    source.fileno() == reader,
                    source.mode,
                    target.mode,
                )
                arm.see(
                    target.readable(),
                    target.writable(),
                    source.isatty(),
                    source.name == reader,
                    target.write(data),
                    target.flush(),
                )
                arm.see(source.readline(), target.write(data), target.close(), source.read(), source.read())
            arm.see(
                source.closed,
                outcome(os.close, reader),
                outcome(source.fileno),
                outcome(source.readable),
                outcome(source.isatty),
            )

    @scenario
    async def test_raw_files(self, arm: Arm) -> Any:
        """A raw file that cannot go on says None, and has no places."""
        reader, writer = self.pipe(arm)
        source, target = arm.keep(os.fdopen(reader, "rb", 0)), arm.keep(os.fdopen(writer, "wb", 0))
        arm.see(source.read(10), source.readinto(bytearray(3)), target.write(bytes(70_000)), target.write(b"x"))
        arm.see(outcome(source.tell), outcome(source.seek, 0), outcome(source.write, b"x"), outcome(target.read, 1))
        arm.see(
            source.closefd,
            repr(source).split()[1:] == [f"name={reader}", "mode='rb'", "closefd=True>"],
            len(source.read(100_000)),
        )
        arm.see(
            target.close(),
            outcome(target.write, b"x"),
            outcome(target.seek, 0),
            source.readall(),
            target.closed,
            target.close(),
        )
        arm.see(source.close(), repr(source)[-9:])

    @scenario
    async def test_the_class_of_raw_files(self, arm: Arm) -> Any:
        """io.FileIO takes a descriptor of a pipe, any other, and the name of a file; it may be subclassed."""
        reader, writer = self.pipe(arm)
        source, target = io.FileIO(reader, "r+"), io.FileIO(file=writer, mode="w", closefd=False)
        arm.see(source.read(10), target.write(b"hello"), source.read(10), source.mode, target.mode)
        arm.see(source.close(), target.close(), outcome(os.write, writer, b"x"), outcome(os.close, reader))
        arm.see(outcome(io.FileIO, reader), isinstance(source, io.FileIO), isinstance(sys, io.FileIO))
        arm.see(issubclass(type(source), io.RawIOBase))

        class Own(io.FileIO):
            pass

        with open(os.devnull, "rb", 0) as real, io.FileIO(os.devnull, "r") as named, Own(os.devnull) as own:
            arm.see([isinstance(file, io.FileIO) for file in (real, named, own)], isinstance(real, Own), own.read(1))
            arm.see(isinstance(own, Own), [type(file).__name__ for file in (real, named, own)], io.FileIO.__name__)

    @scenario
    async def test_a_file_that_is_not_the_owner(self, arm: Arm) -> Any:
        """With closefd=False the descriptor stays open."""
        reader, writer = self.pipe(arm)
        with open(writer, "wb", closefd=False) as target:
            target.write(b"data")
        arm.see(target.closed, os.read(reader, 10), outcome(os.write, writer, b"x"))
        return [(True, b"data", 1)]

    @scenario
    async def test_modes(self, arm: Arm) -> Any:
        """What open() refuses for a pipe."""
        for mode in ("r+b", "w+", "x", "a", "rb", "rt", "rw", "", "rbt", "z", "rr", "b"):
            reader, writer = self.pipe(arm)
            try:
                with open(reader, mode) as file:
                    arm.see(mode, file.mode)
            except Exception as error:
                arm.see(mode, type(error).__name__, str(error))
            arm.see(outcome(os.close, reader))
        for options in (
            {"buffering": 0},
            {"mode": "rb", "encoding": "utf-8"},
            {"mode": "rb", "errors": "strict"},
            {"mode": "rb", "newline": ""},
        ):
            try:
                with open(reader, **options):
                    pass
            except Exception as error:
                arm.see(type(error).__name__, str(error))
        os.close(writer)
        arm.see(outcome(open, writer), outcome(os.fdopen, writer))
        reader, writer = self.pipe(arm)
        arm.see(outcome(open, reader, "r", 0), outcome(os.close, reader))
        with open(self.pipe(arm)[0], "r+b", 0) as file:
            arm.see(file.mode, file.readable(), file.writable(), file.seekable())


class TransportTest(Pipes):
    """CPython's own pipe transports."""

    async def reading(self, arm: Arm, reader: int) -> tuple[asyncio.ReadTransport, asyncio.StreamReader]:
        """A stream over a read end."""
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reader, "rb", 0)
        )
        return arm.keep(transport), stream

    async def writing(self, arm: Arm, writer: int) -> tuple[asyncio.WriteTransport, Any]:
        """A transport over a write end, and what its protocol is told."""
        events: list[Any] = []

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                events.append("made")

            def connection_lost(self, problem: BaseException | None) -> None:
                events.append(("lost", type(problem).__name__))

            def pause_writing(self) -> None:
                events.append("pause")

            def resume_writing(self) -> None:
                events.append("resume")

        transport, _ = await asyncio.get_running_loop().connect_write_pipe(Protocol, os.fdopen(writer, "wb", 0))
        return arm.keep(transport), events

    @scenario
    async def test_bulk(self, arm: Arm) -> Any:
        """A megabyte goes through, with pauses, and then the end of the file."""
        reader, writer = self.pipe(arm)
        (_, stream), (target, events) = await self.reading(arm, reader), await self.writing(arm, writer)
        target.write(BIG)
        arm.see(target.get_write_buffer_size(), events, target.can_write_eof())
        target.write_eof()
        arm.see(await stream.read() == BIG, stream.at_eof())
        await arm.calm()
        arm.see(events, target.is_closing(), outcome(os.fstat, writer))

    @scenario
    async def test_the_reader_goes(self, arm: Arm) -> Any:
        """A writer is told that its reader is gone, with what it had not sent as an error."""
        for size in (0, 1_000_000):
            reader, writer = self.pipe(arm)
            target, events = await self.writing(arm, writer)
            await arm.calm()
            target.write(bytes(size))
            os.close(reader)
            await arm.until(target.is_closing)
            await arm.calm()
            arm.see(events)

    @scenario
    async def test_the_writer_goes(self, arm: Arm) -> Any:
        """A reader has what was written, and then the end."""
        reader, writer = self.pipe(arm)
        source, stream = await self.reading(arm, reader)
        reading = arm.start(stream.read(10))
        await arm.calm()
        os.write(writer, b"first")
        arm.see(await reading)
        source.pause_reading()
        os.write(writer, b"second")
        os.close(writer)
        await arm.calm()
        arm.see(source.is_reading(), source.resume_reading(), await stream.read(), source.is_closing())
        return [b"first", (False, None, b"second", True)]

    @scenario
    async def test_closing(self, arm: Arm) -> Any:
        """close() closes the descriptor, abort() throws away what was not sent."""
        reader, writer = self.pipe(arm)
        (source, _), (target, events) = await self.reading(arm, reader), await self.writing(arm, writer)
        source.pause_reading()
        target.write(BIG)
        target.abort()
        await arm.calm()
        arm.see(events, outcome(os.fstat, writer), source.close(), source.is_closing())
        await arm.calm()
        arm.see(outcome(os.fstat, reader))

    @scenario
    async def test_a_socket_as_a_pipe(self, arm: Arm) -> Any:
        """The transports take sockets too."""
        one, other = arm.pair()
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), one)
        arm.keep(transport)
        other.send(b"line\n")
        arm.see(await stream.readline(), transport.get_extra_info("pipe") is one)
        other.close()
        arm.see(await stream.read())
        return [(b"line\n", True), b""]

    @scenario
    async def test_no_pipe(self, arm: Arm) -> Any:
        """A regular file is refused."""
        with open(__file__, "rb") as file:
            loop = asyncio.get_running_loop()
            arm.see(await awaited(loop.connect_read_pipe(asyncio.Protocol, file)))
        return ["ValueError"]


class WorldTest(SolipsistTestCase):
    """What only a virtual world has to say."""

    def pipe(self):
        ends = os.pipe()
        self.addCleanup(self.close, *ends)
        return ends

    def close(self, *ends):
        for end in ends:
            with contextlib.suppress(OSError):
                os.close(end)

    def test_a_read_that_would_wait_for_ever(self):
        """A blocking read of an empty pipe in the loop's thread is refused, and says what to do."""
        reader, _ = self.pipe()
        with self.assertRaisesRegex(
            SolipsismError,
            r"os.read\(\) on descriptor \d+, <pipe read end open 0 of 65536 "
            r"bytes to read>, would block its thread at t=0.0.*connect_read_pipe",
        ):
            os.read(reader, 1)
        with self.assertRaises(SolipsismError), open(reader, "rb", closefd=False) as file:
            file.read(1)

    def test_a_write_that_would_wait_for_ever(self):
        """A blocking write that does not fit is refused, and says how much went."""
        _, writer = self.pipe()
        with self.assertRaisesRegex(SolipsismError, r"virtual time with it: 65536 of 70000 bytes went; call"):
            os.write(writer, bytes(70_000))
        with self.assertRaisesRegex(SolipsismError, r"os.write\(\) on descriptor"):
            os.write(writer, b"x")

    async def test_other_threads_wait(self):
        """A blocking read and a blocking write of another thread wait for the program, and time goes on meanwhile."""
        reader, writer = self.pipe()
        reading = self.loop.run_in_executor(None, os.read, reader, 10)
        await asyncio.sleep(5)
        os.write(writer, b"at last")
        self.assertEqual(await reading, b"at last")
        writing = self.loop.run_in_executor(None, os.write, writer, BIG)
        received = bytearray()
        os.set_blocking(reader, False)
        while len(received) < len(BIG):
            await asyncio.sleep(1)
            with contextlib.suppress(BlockingIOError):
                received += os.read(reader, 100_000)
        self.assertEqual((await writing, received == BIG), (len(BIG), True))

    async def test_descriptors_are_those_of_the_world(self):
        """A virtual descriptor is no real one, and the other way round."""
        reader, writer = self.pipe()
        self.assertGreaterEqual(min(reader, writer), 2**30)
        real, other = await self.loop.run_in_executor(None, subprocess_pipe)
        self.assertLess(max(real, other), 2**20)
        os.write(other, b"real")
        self.assertEqual(
            (os.read(real, 10), stat.S_ISFIFO(os.fstat(real).st_mode), os.get_blocking(real)), (b"real", True, True)
        )
        with os.fdopen(real, "rb"), open(other, "wb", 0) as file:
            self.assertEqual((type(file).__name__, fcntl.fcntl(other, fcntl.F_GETFD)), ("FileIO", 1))

    def test_real_children_have_real_pipes(self):
        """Module subprocess and module multiprocessing work as ever."""
        with self.allow_escape("subprocess"):
            child = subprocess.run(
                [sys.executable, "-c", "print(input())"], input="hello", text=True, stdout=subprocess.PIPE, check=True
            )
        self.assertEqual(child.stdout, "hello\n")
        one, other = multiprocessing.Pipe(duplex=False)
        other.send("through")
        self.assertEqual(one.recv(), "through")
        one.close()
        other.close()

    async def test_a_hang_on_a_pipe(self):
        """A reader that nobody writes to waits for ever, and that is told."""
        reader, _ = self.pipe()
        stream = asyncio.StreamReader()
        transport, _ = await self.loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reader, "rb", 0)
        )
        await self.assertBlocks(stream.read(1), 60)
        transport.close()

    def test_a_socket_of_a_pipe(self):
        """A pipe end is no socket."""
        reader, _ = self.pipe()
        with self.assertRaises(OSError) as caught:
            socket.socket(fileno=reader)
        self.assertEqual(caught.exception.errno, errno.ENOTSOCK)


def subprocess_pipe():
    """A real pipe: os.pipe as the module that starts processes calls it."""
    space = {"__name__": "subprocess", "os": os}
    exec("ends = os.pipe()", space)
    return space["ends"]


class LeftTest(unittest.TestCase):
    """A pipe end that a test leaves open fails it."""

    def failure(self, body):
        class Inner(SolipsistTestCase):
            async def test(self):
                await body(self)

        result = unittest.TestResult()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            Inner("test").run(result)
            reports = [report for _, report in result.failures]
            result.failures.clear()
            gc.collect()
        self.assertEqual(len(reports), 1, result.errors)
        return reports[0]

    def test_descriptors(self):
        """Both ends are told, with the line that made them."""

        async def body(case):
            os.pipe()

        report = self.failure(body)
        self.assertIn("2 open pipe ends", report)
        self.assertIn("<pipe read end open 0 of 65536 bytes to read>", report)
        self.assertRegex(report, r"made at .*test_descriptors.py:\d+")

    def test_a_file_whose_descriptor_is_gone(self):
        """A file that is dropped after its descriptor was closed leaves nothing."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop):
            reader, writer = os.pipe()
            file = os.fdopen(reader, "rb", 0)
            os.close(reader)
            os.close(writer)
            with self.assertWarns(UnclosedWarning):
                del file
                gc.collect()
        self.assertEqual(loop.kernel.abandoned, [])

    def test_transports(self):
        """A pipe's transport is told as one, with what it has not sent, and ended."""

        async def body(case):
            reader, writer = os.pipe()
            case.keep = [
                await case.loop.connect_read_pipe(asyncio.Protocol, os.fdopen(reader, "rb", 0)),
                await case.loop.connect_write_pipe(asyncio.Protocol, os.fdopen(writer, "wb", 0)),
            ]
            case.keep[1][0].write(bytes(70_000))
            if pause:
                case.keep[0][0].pause_reading()

        pause = False
        self.assertIn("<UnixReadPipeTransport read end open>", self.failure(body))
        pause = True
        self.assertIn("<UnixWritePipeTransport write end open, 4464 bytes unsent>", self.failure(body))

    def test_files_that_are_collected(self):
        """A file over a pipe that is garbage was never closed."""

        async def body(case):
            reader, writer = os.pipe()
            os.fdopen(reader, "rb", 0)
            os.close(writer)
            gc.collect(0)

        self.assertIn("<pipe read end>, never closed and collected as garbage", self.failure(body))

    def test_writers_that_are_collected(self):
        """A StreamWriter over a pipe that is garbage was never closed."""

        async def body(case):
            reader, writer = os.pipe()
            transport, protocol = await case.loop.connect_write_pipe(
                asyncio.streams.FlowControlMixin, os.fdopen(writer, "wb", 0)
            )
            stream = asyncio.StreamWriter(transport, protocol, None, case.loop)
            del stream, transport, protocol
            await asyncio.sleep(0)
            os.close(reader)

        self.assertIn("pipe", self.failure(body))


class OutsideTest(unittest.TestCase):
    """Threads that are not sealed."""

    def test_their_pipes_are_real(self):
        """Outside of the world os.pipe makes real pipes, also while another thread is sealed."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()
            before = os.pipe
            with sealed(loop):
                self.assertIsNot(os.pipe, before)
                virtual = os.pipe()
            ends = os.pipe()
        self.assertLess(max(ends), 2**20)
        self.assertGreaterEqual(min(virtual), 2**30)
        for end in ends:
            os.close(end)

    def test_a_patch_of_the_program_stays(self):
        """A name that the program replaced inside is not put back, and is sealed again the next time."""
        loop, real = SolipsistEventLoop(), os.read
        self.addCleanup(loop.close)
        self.addCleanup(setattr, os, "read", real)
        patch = lambda fd, length: b"patched"  # noqa: E731
        with sealed(loop):
            os.read = patch
        self.assertIs(os.read, patch)
        with sealed(loop):
            self.assertIsNot(os.read, patch)
            self.assertEqual(os.read(0, 1), b"patched")
        self.assertIs(os.read, patch)
        self.assertIsNot(os.pipe, None)
