"""SO_LINGER with a time: close() waits until the peer has all, and stops the loop where the loop makes the call."""

import asyncio
import socket
import struct
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told


class Lingering(SolipsistTestCase):
    async def joined(self, seconds=2, **settings):
        """A link, and both ends of a connection over it; the first one lingers."""
        link = self.network.link("localhost", "api.test", **settings)
        listener = self.enterContext(socket.socket())
        listener.bind(("api.test", 0))
        listener.listen()
        listener.setblocking(False)
        one = self.enterContext(socket.socket())
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
        await self.loop.sock_connect(one, listener.getsockname())
        other, _ = await self.loop.sock_accept(listener)
        self.enterContext(other)
        return link, one, other


class LingerTest(Lingering):
    async def test_a_line_that_is_fine(self):
        """close() takes the round trip that the last byte and its answer take, the end of the stream included."""
        for data in (b"", bytes(50_000)):
            _, one, other = await self.joined(latency=0.05)
            one.send(data)
            with self.subTest(size=len(data)), self.assertElapses(0.1):
                await asyncio.to_thread(one.close)
            self.assertEqual(other.recv(100_000), data)

    async def test_a_cut_line(self):
        """It waits as long as was asked for, gives no error, and the kernel goes on alone."""
        for data in (b"", b"data"):
            link, one, other = await self.joined()
            link.cut()
            one.send(data)
            with self.subTest(data=data), self.assertElapses(2):
                self.assertIsNone(await asyncio.to_thread(one.close))
            link.heal()
            self.assertEqual(await self.loop.sock_recv(other, 100), data)
            link.remove()

    async def test_healed_meanwhile(self):
        """It ends when the line is there again, and what was lost was sent again."""
        for data, seconds in ((b"", 1.6), (b"data", 1.41)):
            link, one, other = await self.joined(5)
            link.cut()
            one.send(data)
            self.loop.call_later(1, link.heal)
            with self.subTest(data=data), self.assertElapses(seconds):
                await asyncio.to_thread(one.close)
            self.assertEqual(other.recv(100), data)
            link.remove()

    async def test_given_up(self):
        """It ends when the kernel gives up."""
        link, one, _ = await self.joined(5)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
        link.cut()
        with self.assertElapses(0.9):
            await asyncio.to_thread(one.close)

    async def test_nothing_to_wait_for(self):
        """Without a time, on a line that takes none, or for another descriptor of the same end it waits for nothing."""
        link, one, _ = await self.joined()
        one.close()
        link.cut()
        _, one, _ = await self.joined()
        self.network.partition("localhost", "api.test")
        one.send(b"x")
        another = one.dup()
        await asyncio.to_thread(one.close)
        another.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 2))
        another.close()
        self.assertNow(0)

    async def test_an_accepted_connection(self):
        """A listener hands it down."""
        link = self.network.link("localhost", "api.test", latency=0.05)
        listener = self.enterContext(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3))
        listener.bind(("api.test", 0))
        listener.listen()
        listener.setblocking(False)
        one = self.enterContext(socket.socket())
        one.setblocking(False)
        await self.loop.sock_connect(one, listener.getsockname())
        server, _ = await self.loop.sock_accept(listener)
        link.cut()
        with self.assertElapses(3):
            await asyncio.to_thread(server.close)


class InTheLoopTest(unittest.TestCase):
    def test_it_stops_the_loop(self):
        """In the loop's thread it would stop everything, non-blocking or not: it is reported as such, and skipped."""

        class Test(Lingering):
            async def test(self):
                link, one, _ = await self.joined()
                link.cut()
                one.close()
                self.assertNow(0)

            async def test_streams(self):
                link, one, _ = await self.joined()
                _, writer = await asyncio.open_connection(sock=one)
                link.cut()
                writer.write(b"x")
                writer.close()
                await writer.wait_closed()

        words = told(run(Test))
        self.assertEqual(words.count("close() of a socket with SO_LINGER, which waits for up to 2 s until its peer has "
                                     "all"), 2, words)

    def test_let_be(self):
        """on_blocking_call = "ignore" lets it be."""

        class Test(Lingering):
            on_blocking_call = "ignore"

            async def test(self):
                link, one, _ = await self.joined()
                link.cut()
                one.close()

        self.assertTrue(run(Test).wasSuccessful())
