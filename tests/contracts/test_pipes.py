"""Pipes: `os.pipe`, and what asyncio's read and write pipe transports tell a protocol."""

import asyncio
import errno
import os
import stat
from typing import Any

from tests.contracts.arms import Arm, Contract, failure, outcome, scenario
from tests.contracts.test_transports import Witness


class Pipes(Contract):
    """Descriptors."""

    def pipe(self, arm: Arm) -> tuple[int, int]:
        ends = os.pipe()
        for end in ends:
            os.set_blocking(end, False)
            arm.keep(Descriptor(end))
        return ends

    @scenario
    async def test_bytes(self, arm: Arm) -> Any:
        """What is written comes out in order, as much at once as is asked for."""
        reader, writer = self.pipe(arm)
        arm.see(outcome(os.read, reader, 10), os.write(writer, b"hello "), os.write(writer, b"world"))
        arm.see(os.read(reader, 3), os.read(reader, 100), outcome(os.read, reader, 1))
        return [("EAGAIN", 6, 5), (b"hel", b"lo world", "EAGAIN")]

    @scenario
    async def test_end(self, arm: Arm) -> Any:
        """A pipe whose writer has closed ends behind what was written."""
        reader, writer = self.pipe(arm)
        os.write(writer, b"last")
        os.close(writer)
        arm.see(os.read(reader, 100), os.read(reader, 100), os.read(reader, 100))
        return [(b"last", b"", b"")]

    @scenario
    async def test_broken(self, arm: Arm) -> Any:
        """Writing to a pipe that nobody reads is EPIPE, each time."""
        reader, writer = self.pipe(arm)
        os.close(reader)
        arm.see(outcome(os.write, writer, b"x"), outcome(os.write, writer, b"x"), outcome(os.write, writer, b""))
        return [("EPIPE", "EPIPE", 0)]

    @scenario
    async def test_full(self, arm: Arm) -> Any:
        """A full pipe is EAGAIN; a small write goes as a whole or not at all."""
        reader, writer = self.pipe(arm)
        written = 0
        while isinstance(count := outcome(os.write, writer, bytes(1 << 16)), int):
            written += count
        arm.see(count, written == 1 << 16, outcome(os.write, writer, b"x"))
        os.read(reader, 1000)
        arm.see(outcome(os.write, writer, bytes(1000)) in (1000, "EAGAIN"))
        os.read(reader, 1 << 16)
        arm.see(os.write(writer, b"again"))
        return [("EAGAIN", True, "EAGAIN"), True, 5]

    @scenario
    async def test_wrong_way(self, arm: Arm) -> Any:
        """One end reads, the other writes, and a closed one does neither."""
        reader, writer = self.pipe(arm)
        arm.see(outcome(os.write, reader, b"x"), outcome(os.read, writer, 1))
        os.close(writer)
        arm.see(outcome(os.write, writer, b"x"), outcome(os.close, writer))
        return [("EBADF", "EBADF"), ("EBADF", "EBADF")]

    @scenario
    async def test_what_it_is(self, arm: Arm) -> Any:
        """fstat says that it is a pipe; blocking is remembered."""
        for end in self.pipe(arm):
            arm.see(stat.S_ISFIFO(os.fstat(end).st_mode), os.get_blocking(end))
        return [(True, False)] * 2

    @scenario
    async def test_reader_and_writer_callbacks(self, arm: Arm) -> Any:
        """add_reader and add_writer take the descriptors; an end of file is readable."""
        reader, writer = self.pipe(arm)
        loop = asyncio.get_running_loop()
        fired: list[str] = []
        loop.add_reader(reader, lambda: (fired.append("r"), loop.remove_reader(reader)))
        loop.add_writer(writer, lambda: (fired.append("w"), loop.remove_writer(writer)))
        await arm.calm()
        arm.see(list(fired))
        os.write(writer, b"x")
        await arm.until(lambda: "r" in fired)
        os.read(reader, 10)
        os.close(writer)
        loop.add_reader(reader, lambda: (fired.append("end"), loop.remove_reader(reader)))
        await arm.until(lambda: "end" in fired)
        arm.see(fired, os.read(reader, 1))
        return [["w"], (["w", "r", "end"], b"")]

    @scenario
    async def test_files(self, arm: Arm) -> Any:
        """open() makes files of the descriptors, which close them."""
        reader, writer = os.pipe()
        with open(writer, "w") as file:
            file.write("line one\nline two\n")
        with open(reader) as file:
            arm.see(file.readline(), file.read())
        arm.see(outcome(os.read, reader, 1), outcome(os.fstat, writer))
        return [("line one\n", "line two\n"), ("EBADF", "EBADF")]


def opened(number: int, mode: str) -> Any:
    """An unbuffered file, for a transport that will close it."""
    return os.fdopen(number, mode, 0)


class Descriptor:
    """A descriptor that can be closed like a socket."""

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        try:
            os.close(self.number)
        except OSError as error:
            assert error.errno == errno.EBADF


class PipeTransports(Contract):
    """connect_read_pipe and connect_write_pipe."""

    async def reading(self, arm: Arm) -> tuple[Witness, int]:
        """A witness at the end that reads, and the descriptor of the end that writes."""
        reader, writer = os.pipe()
        arm.keep(Descriptor(writer))
        witness = Witness()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: witness, opened(reader, "rb"))
        arm.keep(transport)
        return witness, writer

    async def writing(self, arm: Arm) -> tuple[Witness, int]:
        """A witness at the end that writes, and the descriptor of the end that reads."""
        reader, writer = os.pipe()
        arm.keep(Descriptor(reader))
        os.set_blocking(reader, False)
        witness = Witness()
        transport, _ = await asyncio.get_running_loop().connect_write_pipe(lambda: witness, opened(writer, "wb"))
        arm.keep(transport)
        return witness, reader

    @scenario
    async def test_life_of_a_reader(self, arm: Arm) -> Any:
        """A reading protocol is told its data, the end of it and that it is over."""
        witness, writer = await self.reading(arm)
        os.write(writer, b"some data")
        await arm.until(lambda: witness.received)
        os.close(writer)
        await arm.until(lambda: witness.lost)
        arm.see(witness.story, witness.transport.is_closing())
        return [([("made",), ("data", b"some data"), ("eof",), ("lost", None)], True)]

    @scenario
    async def test_pausing(self, arm: Arm) -> Any:
        """A paused reader is told nothing until it resumes."""
        witness, writer = await self.reading(arm)
        witness.transport.pause_reading()
        os.write(writer, b"data")
        await arm.calm()
        arm.see(list(witness.story))
        witness.transport.resume_reading()
        await arm.until(lambda: witness.received)
        arm.see(witness.story)
        return [[("made",)], [("made",), ("data", b"data")]]

    @scenario
    async def test_reader_closes(self, arm: Arm) -> Any:
        """A reader that closes is told so later, and writing to it is EPIPE."""
        witness, writer = await self.reading(arm)
        witness.transport.close()
        arm.see(list(witness.story))
        await arm.until(lambda: witness.lost)
        arm.see(witness.story, outcome(os.write, writer, b"x"))
        return [[("made",)], ([("made",), ("lost", None)], "EPIPE")]

    @scenario
    async def test_life_of_a_writer(self, arm: Arm) -> Any:
        """What a writing transport is given comes out; closing it ends the pipe behind that."""
        witness, reader = await self.writing(arm)
        witness.transport.write(b"one ")
        witness.transport.writelines([b"two ", b"three"])
        arm.see(witness.transport.can_write_eof(), witness.transport.get_write_buffer_size())
        witness.transport.close()
        await arm.until(lambda: witness.lost)
        arm.see(os.read(reader, 100), os.read(reader, 100), witness.story)
        return [(True, 0), (b"one two three", b"", [("made",), ("lost", None)])]

    @scenario
    async def test_write_eof(self, arm: Arm) -> Any:
        """write_eof ends a write pipe once everything is written."""
        witness, reader = await self.writing(arm)
        witness.transport.write(b"data")
        witness.transport.write_eof()
        await arm.until(lambda: witness.lost)
        arm.see(os.read(reader, 100), os.read(reader, 100), witness.story)
        return [(b"data", b"", [("made",), ("lost", None)])]

    @scenario
    async def test_reader_goes_away(self, arm: Arm) -> Any:
        """A write pipe whose reader closes is lost at once, without a write, as a broken pipe."""
        witness, reader = await self.writing(arm)
        os.close(reader)
        await arm.until(lambda: witness.lost)
        arm.see(witness.story)
        return [[("made",), ("lost", None)]]

    @scenario
    async def test_reader_goes_away_under_a_buffer(self, arm: Arm) -> Any:
        """With something unwritten it is lost as a BrokenPipeError."""
        witness, reader = await self.writing(arm)
        witness.transport.write(bytes(1 << 20))
        os.close(reader)
        await arm.until(lambda: witness.lost)
        arm.see(witness.story)
        return [[("made",), ("pause",), ("lost", "BrokenPipeError")]]

    @scenario
    async def test_flow_control(self, arm: Arm) -> Any:
        """A writer of much is told to pause, and to resume when it was read."""
        witness, reader = await self.writing(arm)
        witness.transport.write(bytes(1 << 20))
        arm.see(list(witness.story))
        received = 0
        while received < 1 << 20:
            data = outcome(os.read, reader, 1 << 16)
            if isinstance(data, bytes):
                received += len(data)
            else:
                await arm.turns(3)
        await arm.until(lambda: witness.told("resume"))
        arm.see(witness.story)
        return [[("made",), ("pause",)], [("made",), ("pause",), ("resume",)]]

    @scenario
    async def test_abort(self, arm: Arm) -> Any:
        """abort drops what was not written."""
        witness, reader = await self.writing(arm)
        witness.transport.write(bytes(1 << 20))
        witness.transport.abort()
        await arm.until(lambda: witness.lost)
        arm.see(witness.story, len(os.read(reader, 1 << 20)) < 1 << 20, os.read(reader, 1))
        return [([("made",), ("pause",), ("lost", None)], True, b"")]

    @scenario
    async def test_streams(self, arm: Arm) -> Any:
        """A StreamReader reads lines from a pipe."""
        reader, writer = os.pipe()
        arm.keep(Descriptor(writer))
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), opened(reader, "rb"))
        arm.keep(transport)
        os.write(writer, b"line one\nline")
        arm.see(await stream.readline())
        os.close(writer)
        arm.see(await stream.readline(), stream.at_eof())
        return [b"line one\n", (b"line", True)]

    @scenario
    async def test_what_is_no_pipe(self, arm: Arm) -> Any:
        """A regular file is refused."""
        loop = asyncio.get_running_loop()
        path = arm.folder() + "/file"
        for connect, mode in ((loop.connect_write_pipe, "wb"), (loop.connect_read_pipe, "rb")):
            with open(path, mode) as file:
                try:
                    await connect(asyncio.Protocol, file)
                except Exception as error:
                    arm.see(failure(error), str(error))
        return [("ValueError", "Pipe transport is only for pipes, sockets and character devices"),
                ("ValueError", "Pipe transport is for pipes/sockets only.")]

    @scenario
    async def test_sockets_as_pipes(self, arm: Arm) -> Any:
        """Both take sockets too."""
        one, other = arm.pair()
        witness = Witness()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: witness, one)
        arm.keep(transport)
        other.send(b"data")
        await arm.until(lambda: witness.received)
        other.close()
        await arm.until(lambda: witness.lost)
        arm.see(witness.story)
        return [[("made",), ("data", b"data"), ("eof",), ("lost", None)]]
