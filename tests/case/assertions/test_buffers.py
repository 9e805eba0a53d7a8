"""Assertions about buffers: each passes where it should, and fails one byte off."""

import asyncio
import functools
import socket
import unittest
from unittest import mock

from solipsism_unittest import SolipsistTestCase


class BufferTest(SolipsistTestCase):
    async def ends(self):
        """Every kind of end of connections on which `b"data"` waits, by name; each has a peer of 10 bytes capacity."""
        found = self.found = {}  # kept until the cleanups: a writer that is collected is closed with a warning

        def sent():
            one, two = self.socketpair(capacity=10)
            two.send(b"data")
            return one

        found["socket"] = sent()
        found["reader"], self.writer = await asyncio.open_connection(sock=sent())
        found["writer"] = (await asyncio.open_connection(sock=sent()))[1]
        _, self.other_writer = await asyncio.open_connection(sock=sent())
        found["transport"] = self.other_writer.transport
        found["protocol transport"], _ = await self.loop.create_connection(asyncio.Protocol, sock=sent())
        found["protocol transport"].pause_reading()
        found["TransportSocket"] = found["protocol transport"].get_extra_info("socket")
        server = await self.start_fake_server(capacity=10)
        _, self.client = await asyncio.open_connection(*server.address)
        self.addCleanup(self.client.close)
        self.client.write(b"data")
        found["connection"] = await server.accept()
        await self.settle()
        return found

    async def test_every_kind_of_end(self):
        """The buffer assertions take a socket, TransportSocket, reader, writer, transport and server connection."""
        for kind, end in (await self.ends()).items():
            with self.subTest(kind):
                self.assertBuffered(end, b"data")
                self.assertBuffered(end, 4)
                self.assertBuffered(end, bytearray(b"data"))
                with self.assertRaisesRegex(AssertionError, r"^4 bytes wait to be read: b'data' at <stream .*>"):
                    self.assertBufferEmpty(end)

    async def test_one_byte_short_or_over(self):
        """assertBuffered fails for one byte more or less, or another one."""
        one, two = self.socketpair()
        two.send(b"x")
        for what in (b"", b"xy", b"y", 0, 2):
            with self.assertRaisesRegex(AssertionError, r"^1 byte waits|^b'x' waits to be read, not"):
                self.assertBuffered(one, what)
        two.send(bytes(99))
        with self.assertRaisesRegex(AssertionError, r"^b'x.*'\.\.\. \(100 bytes\) waits to be read, not b''"):
            self.assertBuffered(one, b"")

    async def test_empty(self):
        """assertBufferEmpty holds on both ends of a quiet connection, and not for one byte."""
        one, two = self.socketpair()
        self.assertBufferEmpty(one)
        two.send(b"x")
        self.assertBufferEmpty(two)
        with self.assertRaisesRegex(AssertionError, "^1 byte waits to be read: b'x'"):
            self.assertBufferEmpty(one)

    async def test_reader_and_kernel_together(self):
        """What a reader holds comes first, and then what has not reached it yet."""
        (reader, writer), (_, peer) = await self.stream_pairs()
        peer.write(b"first ")
        await self.settle()
        writer.transport.pause_reading()
        peer.write(b"second")
        for end in (reader, writer, writer.transport):
            self.assertBuffered(end, b"first second")

    async def test_full(self):
        """assertBufferFull holds when a send would block: not with room for one byte, nor where none can be sent."""
        one, two = self.socketpair(capacity=5)
        one.send(b"1234")
        with self.assertRaisesRegex(AssertionError, "^1 byte could still be sent from <stream joined in memory"):
            self.assertBufferFull(one)
        one.send(b"5")
        self.assertBufferFull(one)
        with self.assertRaises(BlockingIOError):
            one.send(b"6")
        one.shutdown(socket.SHUT_WR)
        for end in (one, self.enterContext(socket.socket())):
            with self.assertRaisesRegex(AssertionError, "cannot send at all, so a send would not block"):
                self.assertBufferFull(end)

    async def test_writing_paused(self):
        """Writing is paused from one byte above asyncio's limit on, until what waits has gone down to the lower one."""
        one, two = self.socketpair(capacity=10)
        reader, writer = await asyncio.open_connection(sock=one)
        writer.transport.set_write_buffer_limits(high=5, low=2)
        sock = writer.transport.get_extra_info("socket")
        for end in (reader, writer, writer.transport, (reader, writer), sock, sock._sock):
            with self.subTest(end):
                writer.write(bytes(15))
                self.assertWritingResumed(end)
                with self.assertRaisesRegex(AssertionError, r"^writing is not paused at <.*>: 5 bytes wait to be sent, "
                                                            r"and asyncio pauses it above 5"):
                    self.assertWritingPaused(end)
                writer.write(b"x")
                self.assertWritingPaused(end)
                two.recv(3)
                await self.settle()
                with self.assertRaisesRegex(AssertionError, r"^writing is paused at <.*>: 3 bytes wait to be sent, and "
                                                            r"asyncio resumes it at 2"):
                    self.assertWritingResumed(end)
                two.recv(1)
                await self.settle()
                self.assertWritingResumed(end)
                two.recv(100)
                await self.settle()
                two.recv(100)
        writer.close()

    async def test_writing_at_a_socket(self):
        """A bare socket is paused when a send would block."""
        one, two = self.socketpair(capacity=5)
        self.assertWritingResumed(one)
        one.send(b"1234")
        with self.assertRaisesRegex(AssertionError, "^writing is not paused: <stream .*> takes 1 more byte"):
            self.assertWritingPaused(one)
        one.send(b"5")
        self.assertWritingPaused(one)
        with self.assertRaisesRegex(AssertionError, "^writing is paused: <stream .*> takes 0 more bytes"):
            self.assertWritingResumed(one)
        two.close()
        one.close()
        self.assertWritingPaused(one)

    async def test_writing_at_a_connection_of_a_server(self):
        """A server's connection is an end too."""
        server = await self.start_fake_server(capacity=10)
        _, self.client = await asyncio.open_connection(*server.address)
        connection = await server.accept()
        self.assertWritingResumed(connection)
        connection.writer.write(bytes(100_000))
        self.assertWritingPaused(connection)
        self.client.close()

    async def test_closed_ends(self):
        """A closed end has nothing in its buffer and cannot be full; a reader keeps what it has."""
        one, two = self.socketpair()
        two.send(b"data")
        reader, self.writer = await asyncio.open_connection(sock=one)
        await self.settle()
        self.writer.transport.abort()
        await self.settle()
        self.assertBuffered(reader, b"data")
        self.assertBufferEmpty(one)
        for end in (one, self.writer):
            with self.assertRaisesRegex(AssertionError, r"<VirtualSocket \[closed\]> cannot send at all"):
                self.assertBufferFull(end)

    async def test_datagrams(self):
        """A datagram socket is no end of a stream, and the error names what to await instead."""
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
            self.assertRaisesRegex(TypeError, r"is no end of a stream: await loop\.sock_recvfrom"),
        ):
            self.assertBuffered(sock, b"")

    async def test_what_is_no_end(self):
        """Anything else, and anything else than bytes or a number, is a TypeError that says what is wanted."""
        one, _ = self.socketpair()
        for end in (5, "end", None, asyncio.StreamReader(), mock.Mock()):
            buffered = functools.partial(self.assertBuffered, what=b"")
            for check in (buffered, self.assertBufferEmpty, self.assertBufferFull):
                with self.assertRaisesRegex(TypeError, "is not an end of a virtual connection: give a socket, reader"):
                    check(end)
        for what in ("data", 1.5, None):
            with self.assertRaisesRegex(TypeError, "compares with bytes or a number of bytes, not with"):
                self.assertBuffered(one, what)


if __name__ == "__main__":
    unittest.main()
