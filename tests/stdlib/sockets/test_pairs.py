"""Streams that are joined in memory, and what ends them whatever state they are in."""

import asyncio
import os
import socket
import unittest

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase, socketpair
from solipsism_unittest.stdlib.sockets.pairs import abort

BIG = 100_000  # more than a buffer takes


class NamesTest(SolipsistTestCase):
    def check(self, names, *expected):
        """A pair with these names has these addresses, each end those of the other too."""
        one, other = socketpair(None, *names)
        self.assertEqual((one.getsockname(), other.getsockname()), expected)
        self.assertEqual((other.getpeername(), one.getpeername()), expected)
        one.send(b"data")
        one.close()
        self.assertEqual((other.recv(9), other.recv(9)), (b"data", b""))
        other.close()

    def test_names(self):
        """The sockets of a pair may bear addresses, of IPv6 or IPv4; one without a name has the wildcard."""
        self.check([("fe80::1", 1234), ("fe80::2", 5, 6, 7)], ("fe80::1", 1234, 0, 0), ("fe80::2", 5, 6, 7))
        self.check([("fe80::1", 1, 2), None], ("fe80::1", 1, 2, 0), ("::", 0, 0, 0))
        self.check([("192.0.2.1", 80), None], ("192.0.2.1", 80), ("0.0.0.0", 0))
        self.check([None, ("::1", 80)], ("::", 0, 0, 0), ("::1", 80, 0, 0))
        self.check([None, None], ("::", 0, 0, 0), ("::", 0, 0, 0))

    async def test_always_of_tcp(self):
        """What a program asks of a TCP connection a pair without names has too: options, and a peer with a port."""
        one, other = socketpair()
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.assertEqual((one.family, other.type), (socket.AF_INET6, socket.SOCK_STREAM))
        _, writer = await asyncio.open_connection(sock=one)
        host, port, *_ = writer.get_extra_info("peername")
        self.assertEqual((host, port), ("::", 0))
        writer.close()
        other.close()

    async def test_no_address_is_taken(self):
        """A name is only a name: a server may be there, before and after, and streams work."""
        for _ in range(2):
            server = await asyncio.start_server(print, "127.0.0.1", 80)
            one, other = socketpair(sock1_name=("127.0.0.1", 80))
            _, writer = await asyncio.open_connection(sock=one)
            self.assertEqual(writer.get_extra_info("sockname"), ("127.0.0.1", 80))
            writer.close()
            await writer.wait_closed()
            other.close()
            server.close()

    def test_what_is_no_name(self):
        """A name is a tuple of host and port."""
        for wrong in ("host", ("host",), (1, 2), ["::1", 80], ("::1", 1, 2, 3, 4)):
            with self.subTest(wrong), self.assertRaisesRegex(TypeError, r"name of a socket is a tuple \(host, port\)"):
                socketpair(sock2_name=wrong)


class AbortTest(unittest.TestCase):
    def run_on(self, factory, main):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())

    def test_over_already(self):
        """A transport that has sent what was left after close() is over: nothing happens to it."""
        async def main():
            for size in (11, BIG):
                (_, writer), (reader, other) = await self.pairs()
                writer.write(bytes(size))
                writer.close()
                self.assertEqual(len(await reader.read()), size)
                abort(writer.transport)
                other.close()
                await asyncio.sleep(0)
                abort(other.transport)

        self.run_on(SolipsistEventLoop, main)
        self.run_on(asyncio.SelectorEventLoop, main)

    async def pairs(self):
        faces = socket.socketpair()
        for face in faces:
            face.setblocking(False)
        return [await asyncio.open_connection(sock=face) for face in faces]

    def test_under_way(self):
        """One that still has something to send, open or closing, ends at once."""
        async def main():
            for close in (False, True):
                (_, writer), (reader, other) = await self.pairs()
                writer.write(bytes(2 ** 22))
                if close:
                    writer.close()
                abort(writer.transport)
                abort(writer.transport)
                self.assertTrue(writer.is_closing())
                self.assertEqual(writer.transport.get_write_buffer_size(), 0)
                other.close()
                await asyncio.sleep(0)

        self.run_on(SolipsistEventLoop, main)

    def test_pipes(self):
        """A pipe that is written to ends in the same way."""
        async def main():
            loop = asyncio.get_running_loop()
            reads, writes = os.pipe()
            transport, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(writes, "wb", 0))
            transport.close()
            await asyncio.sleep(0)
            abort(transport)
            os.close(reads)

        self.run_on(SolipsistEventLoop, main)

    def test_of_another_library(self):
        """A transport that is not asyncio's is asked to end itself."""
        class Transport(asyncio.WriteTransport):
            ends = 0

            def abort(self):
                self.ends += 1

        transport = Transport()
        abort(transport)
        self.assertEqual(transport.ends, 1)


class LargeAnswerTest(SolipsistTestCase):
    """What is written and closed at once, larger than the buffers: nothing of the framework trips over its end."""

    async def answer(self, host, size=BIG, **how):
        async def handler(reader, writer):
            writer.write(bytes(size))
            writer.close()

        server = await self.start_fake_server(handler, host, 80, **how)
        reader, writer = await asyncio.open_connection(host, 80)
        self.assertEqual(len(await reader.read()), size)
        writer.close()
        return server

    async def test_of_a_fake_server(self):
        """A handler writes more than fits and closes; small buffers and small answers are no different."""
        await self.answer("a.test")
        await self.answer("b.test", 6, capacity=1)

    async def test_reset_afterwards(self):
        """A connection that is over is not reset."""
        server = await self.answer("a.test")
        server.connections[0].reset()
        server.reset_connections()

    async def test_of_a_handler_that_waits(self):
        """A handler may wait until all has gone."""
        async def handler(reader, writer):
            writer.write(bytes(BIG))
            writer.close()
            await writer.wait_closed()

        await self.start_fake_server(handler, "a.test", 80)
        reader, writer = await asyncio.open_connection("a.test", 80)
        self.assertEqual(len(await reader.read()), BIG)
        writer.close()

    async def test_stream_pairs(self):
        """The ends of stream_pairs() and socketpair() are closed at the end of the test."""
        (_, writer), (reader, other) = await self.stream_pairs(10)
        writer.write(bytes(100))
        writer.close()
        self.assertEqual(len(await reader.read()), 100)
        other.close()
        one, two = self.socketpair(10)
        _, writer = await asyncio.open_connection(sock=one)
        reader, other = await asyncio.open_connection(sock=two)
        writer.write(bytes(100))
        writer.close()
        self.assertEqual(len(await reader.read()), 100)
        other.close()

    async def test_of_the_program(self):
        """The code under test is the server, or sends a large file and goes."""
        async def handler(reader, writer):
            writer.write(await reader.read())
            writer.close()

        server = await asyncio.start_server(handler, "localhost", 80)
        reader, writer = await asyncio.open_connection("localhost", 80)
        writer.write(bytes(BIG))
        writer.write_eof()
        self.assertEqual(len(await reader.read()), BIG)
        writer.close()
        server.close()
        await server.wait_closed()


if __name__ == "__main__":
    unittest.main()
