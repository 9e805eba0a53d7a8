"""What a program sees of a link is exact: when the last byte of a megabyte is there, how two flows share a line."""

import asyncio

from solipsism_unittest import SolipsistTestCase

SEGMENT = 1460 * 8 / 8e6  # seconds that one segment takes at 8 Mbit/s
MEGABYTE = 1_000_000


class ArithmeticTest(SolipsistTestCase):
    async def asyncSetUp(self):
        self.times = []  # when each piece has come, and how many bytes, by connection

        async def take(reader, writer):
            mine = []
            self.times.append(mine)
            while data := await reader.read(1_000_000):
                mine.append((self.now, len(data)))
            writer.close()

        await self.start_fake_server(take, "api.test", 80)

    async def send(self, data):
        """Send all of it and close."""
        _, writer = await asyncio.open_connection("api.test", 80)
        writer.write(data)
        writer.close()
        await writer.wait_closed()

    async def test_a_megabyte(self):
        """1 MB over 8 Mbit/s is there after 1 s, or one segment later; the line is never idle."""
        self.network.link("localhost", "api.test", bandwidth=8e6)
        await self.send(bytes(MEGABYTE))
        await asyncio.sleep(10)
        seen, = self.times
        self.assertEqual(sum(size for _, size in seen), MEGABYTE)
        self.assertTrue(1 <= seen[-1][0] <= 1 + SEGMENT, seen[-1])
        for (before, _), (after, size) in zip(seen, seen[1:], strict=False):
            self.assertAlmostEqual(after - before, size * 8 / 8e6)

    async def test_two_flows(self):
        """Two flows share a line: at any time each has half, within one segment."""
        self.network.link("localhost", "api.test", bandwidth=8e6)
        await asyncio.gather(self.send(bytes(MEGABYTE)), self.send(bytes(MEGABYTE)))
        await asyncio.sleep(10)
        one, other = self.times
        for moment in [when for when, _ in one[:-3]]:
            got = [sum(size for when, size in each if when <= moment) for each in (one, other)]
            self.assertLessEqual(abs(got[0] - got[1]), 1460, moment)
        for each in (one, other):
            self.assertTrue(2 - 2 * SEGMENT <= each[-1][0] <= 2 + SEGMENT, each[-1])

    async def test_a_round_trip(self):
        """50 ms each way make 0.1 s, exactly."""
        async def answer(reader, writer):
            while data := await reader.read(100):
                writer.write(data)
            writer.close()

        await self.start_fake_server(answer, "echo.test", 80)
        self.network.link("localhost", "echo.test", latency=0.05)
        with self.assertElapses(0.1):
            reader, writer = await asyncio.open_connection("echo.test", 80)
        for _ in range(100):
            start = self.now
            writer.write(b"x")
            await reader.read(1)
            self.assertAlmostEqual(self.now - start, 0.1, delta=1e-12)
        writer.close()

    async def test_both_ways(self):
        """The two ways of a link share nothing: a megabyte each takes a second."""
        async def give(reader, writer):
            writer.write(bytes(MEGABYTE))
            writer.close()

        await self.start_fake_server(give, "give.test", 80)
        self.network.link("localhost", "*", bandwidth=8e6)
        sending = asyncio.create_task(self.send(bytes(MEGABYTE)))
        reader, writer = await asyncio.open_connection("give.test", 80)
        self.assertEqual(len(await reader.read()), MEGABYTE)
        self.assertTrue(1 <= self.now <= 1 + SEGMENT, self.now)
        await sending
        await asyncio.sleep(10)
        self.assertLessEqual(self.times[0][-1][0], 1 + SEGMENT)
        writer.close()
