"""Programs that poll with sleep(0): a class may allow it, and time goes on to the next timer."""

import asyncio
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told


class PollingTest(SolipsistTestCase):
    on_polling = "jump"

    async def test_for_a_task(self):
        """What a sleep, a timer or a timeout brings is there at its time."""
        task = asyncio.create_task(asyncio.sleep(0.1))
        while not task.done():
            await asyncio.sleep(0)
        self.assertNow(0.1)
        self.loop.call_later(5, task.get_loop().call_soon, print)
        deadline = asyncio.get_running_loop().time() + 5
        self.loop.call_at(deadline, lambda: None)
        while self.loop.time() < deadline:
            await asyncio.sleep(0)
        self.assertNow(5.1)

    async def test_a_hundred_timers(self):
        """Time goes from one timer to the next, and no further than to the one that ends the poll."""
        times = []
        for number in range(1, 101):
            self.loop.call_at(number, lambda: times.append(self.loop.time()))
        last = self.loop.call_at(1000, print)
        while len(times) < 100:
            await asyncio.sleep(0)
        self.assertEqual(times, list(range(1, 101)))
        self.assertNow(100)
        last.cancel()

    async def test_work_is_no_polling(self):
        """A program that works at one instant is left to it, though a timer is due later."""
        timeout = self.loop.call_later(1, print)
        queue = asyncio.Queue(1)
        consumer = asyncio.create_task(self.take(queue, 5_000))
        for number in range(5_000):
            await queue.put(number)
        self.assertEqual(await consumer, list(range(5_000)))
        self.assertNow(0)
        timeout.cancel()

    async def take(self, queue, count):
        return [await queue.get() for _ in range(count)]

    def test_without_a_timer(self):
        """Where nothing comes it is a livelock as ever."""
        class Spins(SolipsistTestCase):
            on_polling = "jump"

            async def test(self):
                while True:
                    await asyncio.sleep(0)

        self.assertRegex(str(told(run(Spins))), "LivelockError: the program spins at t=0.0: 1 task")


if __name__ == "__main__":
    unittest.main()
