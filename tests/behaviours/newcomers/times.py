"""Mistakes about time."""

import asyncio
import time

from solipsism_unittest import SolipsistTestCase, with_settings


async def fetch():
    await asyncio.sleep(5.000001)


async def give_up():
    async with asyncio.timeout(5.000001):
        await asyncio.sleep(60)


class TimeTest(SolipsistTestCase):
    async def test_a_timeout_that_is_a_tick_off(self):
        await self.assertTimesOut(give_up(), 5)

    async def test_a_duration_that_is_a_tick_off(self):
        await self.assertCompletesAfter(fetch(), 5)

    async def test_an_exact_time_compared_with_greater(self):
        start = time.monotonic()
        await asyncio.sleep(5)
        self.assertGreater(time.monotonic() - start, 5)

    async def test_the_time_of_day(self):
        start = time.time()
        await asyncio.sleep(3600)
        self.assertGreaterEqual(time.time() - start, 3600)

    async def test_a_sleep_in_a_coroutine(self):
        time.sleep(1)

    async def test_a_sleep_in_a_callback(self):
        def flush():
            time.sleep(0.1)
        asyncio.get_running_loop().call_later(1, flush)
        await asyncio.sleep(2)

    async def test_a_busy_loop(self):
        done = asyncio.Event()
        while not done.is_set():
            await asyncio.sleep(0)

    async def test_the_past(self):
        await asyncio.sleep(10)
        await self.advance_to(5)

    async def test_a_timer_of_a_task_that_has_not_run(self):
        task = asyncio.create_task(asyncio.sleep(5))
        self.assertNextTimer(after=5)
        await task

    async def test_an_assertion_that_nobody_awaited(self):
        self.assertCompletesAfter(asyncio.sleep(5), 6)

    @with_settings(virtual_time_limit=3600)
    async def test_a_loop_without_an_end(self):
        while True:
            await asyncio.sleep(1)

    async def test_a_frozen_clock(self):
        with freeze_time():
            start = time.monotonic()
            await asyncio.sleep(3600)
            self.assertGreaterEqual(time.monotonic() - start, 3600)

    @with_settings(virtual_time_limit=3600)
    async def test_a_deadline_by_a_frozen_clock(self):
        with freeze_time():
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                await asyncio.sleep(1)


class freeze_time:  # noqa: N801 - freezegun's name, and its way
    def __enter__(self):
        self.real, time.monotonic = time.monotonic, lambda: 0.0

    def __exit__(self, *exc_info):
        time.monotonic = self.real
