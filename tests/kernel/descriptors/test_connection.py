"""A connection whose peer does not read, and TCP_USER_TIMEOUT."""

import asyncio
import errno
import socket
import unittest

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.kernel.descriptors.connection import died_with_host


class PatienceTest(SolipsistTestCase):
    async def full(self, milliseconds=3000):
        """Two ends of a connection, the first of which has no room left."""
        listener = self.enterContext(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        one = self.enterContext(socket.socket())
        one.setblocking(False)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        await self.loop.sock_connect(one, listener.getsockname())
        other, _ = await self.loop.sock_accept(listener)
        self.enterContext(other)
        one.send(bytes(1_000_000))
        return one, other

    async def ended(self, one):
        """When a read fails, and with what."""
        with self.assertRaises(OSError) as caught:
            await self.loop.sock_recv(one, 1)
        return caught.exception.errno, self.now

    async def test_nobody_reads(self):
        """The connection ends so long after the first probe of the window, on a fine line: Linux at 3.24 s."""
        one, other = await self.full()
        self.assertRaises(BlockingIOError, one.send, b"x")
        await asyncio.sleep(1)
        self.assertRaises(BlockingIOError, one.send, b"x")
        self.assertEqual(await self.ended(one), (errno.ETIMEDOUT, 3.2))
        self.assertEqual((one.recv(1), one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)), (b"", 0))
        self.assertRaises(BrokenPipeError, one.send, b"x")
        self.assertNotEqual(other.recv(10), b"")

    async def test_it_takes_some(self):
        """What goes out meanwhile lets it wait anew."""
        one, other = await self.full()
        await asyncio.sleep(2)
        self.assertEqual(len(other.recv(10)), 10)
        self.assertEqual(one.send(bytes(20)), 10)
        self.assertEqual(await self.ended(one), (errno.ETIMEDOUT, 5.2))

    async def test_it_reads_in_time(self):
        """Who reads in time is waited for no longer, until there is no room again."""
        one, other = await self.full()
        await asyncio.sleep(2)
        size = len(other.recv(100_000))
        await self.assertReceivesNothing(one, 100)
        one.send(bytes(size))
        self.assertRaises(BlockingIOError, one.send, b"x")
        self.assertEqual(await self.ended(one), (errno.ETIMEDOUT, 105.2))

    async def test_no_timeout(self):
        """Without the option nobody is impatient."""
        one, other = await self.full(0)
        self.assertRaises(BlockingIOError, one.send, b"x")
        await self.assertReceivesNothing(one, 100_000)

    async def test_over_before(self):
        """An end that was reset or closed meanwhile stays so."""
        one, other = await self.full()
        other.close()
        self.assertEqual(await self.ended(one), (errno.ECONNRESET, 0.0))
        two, other = await self.full()
        two.close()
        await self.advance(10)

    async def test_on_a_slow_line(self):
        """What is on its way over a link is not refused, and a link that comes later counts by itself."""
        link = self.network.link("localhost", "localhost")
        one, other = await self.full()
        link.change(latency=10.0)
        self.assertEqual(len(other.recv(1_000_000)), one.send(bytes(1_000_000)))
        self.assertRaises(BlockingIOError, one.send, b"x")
        await self.assertReceivesNothing(one, 9)
        link.remove()
        two, other = await self.full()
        self.network.link("localhost", "localhost")
        await self.assertReceivesNothing(two, 9)

    async def test_late_arrivals(self):
        """Data for an end that has given up is answered with a reset, and a reset with nothing."""
        one, other = await self.full()
        await self.ended(one)
        self.assertEqual(other.send(b"x"), 1)
        self.assertNotEqual(other.recv(1_000_000), b"")
        self.assertRaises(ConnectionResetError, other.recv, 1)


class DiedWithHostTest(unittest.TestCase):
    def test_chains(self):
        """The mark is found behind causes, and in a group that has no other error; a circle comes to an end."""
        marked, plain = ConnectionResetError(), ConnectionResetError()
        marked.of_crashed_host = True
        wrapped, circle = ValueError(), ValueError()
        wrapped.__context__ = marked
        circle.__cause__, plain.__cause__ = plain, circle
        for error, expected in ((marked, True), (wrapped, True), (plain, False), (circle, False), (None, False),
                                (ExceptionGroup("", [marked, wrapped]), True),
                                (ExceptionGroup("", [marked, ValueError()]), False)):
            with self.subTest(error):
                self.assertEqual(died_with_host(error), expected)
