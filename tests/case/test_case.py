"""What a test may use: the loop, time, sockets and servers that `SolipsistTestCase` offers."""

import asyncio
import unittest

from solipsism_unittest import SolipsismError, SolipsistTestCase


def run(case, *names):
    """Run all tests of a class (or those named) into a new result."""
    loader = unittest.TestLoader()
    tests = [case(name) for name in names or loader.getTestCaseNames(case)]
    result = unittest.TestResult()
    unittest.TestSuite(tests).run(result)
    return result


def told(result):
    """The texts of everything that failed."""
    return "\n".join(text for _, text in result.failures + result.errors)


class WorldTest(SolipsistTestCase):
    async def test_advance(self):
        """advance() runs everything due on the way at its own time and is exactly there."""
        seen = []
        for when in (1, 2, 3):
            self.loop.call_at(when, lambda: seen.append(self.now))
        await self.advance(2)
        self.assertEqual((seen, self.now), ([1.0, 2.0], 2.0))
        await self.advance_to(3)
        self.assertEqual((seen, self.now), ([1.0, 2.0, 3.0], 3.0))

    async def test_impossible_advances(self):
        """A negative advance, and one into the past, are ValueErrors and move nothing."""
        await self.advance(5)
        with self.assertRaisesRegex(ValueError, "cannot advance by -1 seconds"):
            await self.advance(-1)
        with self.assertRaisesRegex(ValueError, "time only moves forward"):
            await self.advance_to(4)
        self.assertNow(5)

    async def test_settle(self):
        """settle() lets everything happen that needs no time, and time stands."""
        seen = []
        self.loop.call_soon(self.loop.call_soon, seen.append, 1)
        timer = self.loop.call_later(1, seen.append, 2)
        await self.settle()
        self.assertEqual((seen, self.now), ([1], 0.0))
        timer.cancel()

    async def test_delayed_future(self):
        """delayed_future() has its result after its seconds, or raises; one that was cancelled stays so."""
        future = self.delayed_future(5, "result")
        self.assertIs(await self.delayed_future(1), True)
        self.assertNow(1)
        self.assertEqual(await future, "result")
        self.assertNow(5)
        with self.assertRaisesRegex(LookupError, "late"):
            await self.delayed_future(2, LookupError("late"))
        cancelled = self.delayed_future(1)
        cancelled.cancel()
        await asyncio.sleep(2)
        self.assertTrue(cancelled.cancelled())

    async def test_hold_clock(self):
        """While hold_clock() is entered, no timer fires; time goes on when it is left."""
        with self.hold_clock():
            task = asyncio.create_task(asyncio.sleep(1))
            self.loop.call_later(1, lambda: None)
            self.loop.call_soon_threadsafe(lambda: None)
            for _ in range(5):
                await asyncio.sleep(0)
            self.assertFalse(task.done())
        await task
        self.assertNow(1)

    async def test_unused_ports(self):
        """unused_port() gives another one each time, free to bind."""
        ports = [self.unused_port(), self.unused_port(), self.unused_port("api.test")]
        self.assertNotEqual(ports[0], ports[1])
        server = await self.start_fake_server(port=ports[1])
        self.assertEqual(server.port, ports[1])

    async def test_localhost(self):
        """self.localhost is an address at which a server on "localhost" answers, and self.network is the test's own."""
        server = await self.start_fake_server()
        _, writer = await asyncio.open_connection(self.localhost, server.port)
        writer.close()
        self.assertIs(self.network, self.loop.kernel.network)

    async def test_socketpair(self):
        """socketpair() joins two non-blocking sockets of the given capacity and closes them at the end."""
        one, two = self.socketpair(capacity=(3, 2))
        self.assertEqual((one.send(b"12345"), two.send(b"12345")), (3, 2))
        self.assertFalse(one.getblocking())

    async def test_socketpair_in_use(self):
        """What the test made of a pair (a transport, a closed socket) is closed at the end as well."""
        one, two = self.socketpair()
        self.streams = await asyncio.open_connection(sock=one)
        two.close()

    async def test_stream_pairs(self):
        """stream_pairs() joins two pairs of asyncio streams."""
        (reader1, writer1), (reader2, writer2) = await self.stream_pairs()
        writer1.write(b"there")
        writer2.write(b"back")
        self.assertEqual((await reader2.read(9), await reader1.read(9)), (b"there", b"back"))

    def test_no_loop_outside_of_a_test(self):
        """self.loop outside of a test is a SolipsismError, not a new loop."""
        with self.assertRaisesRegex(SolipsismError, "only while the test runs"):
            WorldTest("test_settle").loop  # noqa: B018


if __name__ == "__main__":
    unittest.main()
