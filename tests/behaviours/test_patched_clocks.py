"""A program's own virtual clock: it replaces `time` of a loop, `select` of its selector and the clock's resolution.

The same body runs on a stock loop and on ours.
"""

import asyncio
import functools
import math
import unittest
from unittest import mock

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase


class OwnClock:
    """Time that goes on by what the loop would wait, with the loop's own clock standing still."""

    def __init__(self):
        self.now = 0.0

    def time(self):
        return self.now

    def select(self, real, timeout):
        if timeout is not None:
            self.now += timeout
        return real(0)

    def patches(self, loop):
        select = functools.partial(self.select, loop._selector.select)
        return [mock.patch.object(loop._selector, "select", select),
                mock.patch.object(loop, "_clock_resolution", 0.001),
                mock.patch.object(loop, "time", self.time)]


async def tick(loop, log, count, seconds):
    for _ in range(count):
        await asyncio.sleep(seconds)
        log.append((seconds, round(loop.time(), 6)))


async def play(loop):
    """Sleeps, a timeout and timers in the time of such a clock, and what is left of the patches after that."""
    clock, log = OwnClock(), []
    kept = loop._selector.select
    patches = clock.patches(loop)
    for patch in patches:
        patch.start()
    await asyncio.gather(tick(loop, log, 3, 0.3), tick(loop, log, 2, 0.5), tick(loop, log, 1, 100))
    await asyncio.gather(*(tick(loop, log, 1, 1 + part / 10_000) for part in (3, 2, 1, 0)))  # within 1 ms
    try:
        await asyncio.wait_for(loop.create_future(), 7)
    except TimeoutError:
        log.append(round(loop.time(), 6))
    for patch in patches:
        patch.stop()
    log.append((loop._selector.select == kept, loop.time() != 108))
    await asyncio.sleep(0.001)
    return log


class OwnClockTest(unittest.TestCase):
    def test_as_on_a_stock_loop(self):
        """Everything happens at the time of that clock, and the patches can be taken back."""
        for debug in (False, True):
            seen = []
            for kind in (asyncio.SelectorEventLoop, SolipsistEventLoop):
                with self.subTest(kind=kind, debug=debug), asyncio.Runner(loop_factory=kind, debug=debug) as runner:
                    loop = runner.get_loop()
                    loop.slow_callback_duration = math.inf
                    seen.append(runner.run(play(loop)))
                    with self.assertRaisesRegex(AttributeError, "select"):  # nothing is left to take back
                        del loop._selector.select
            self.assertEqual(seen[:1], seen[1:])
            self.assertEqual(seen[0][-2:], [108.0, (True, True)])

    def test_the_resolution(self):
        """Timers that are due within it run together, as on a stock loop; each runs at its own time after that."""
        async def main(loop):
            before = loop._clock_resolution
            with mock.patch.object(loop, "_clock_resolution", 60.0):
                self.assertEqual(loop._clock_resolution, 60.0)
                await asyncio.gather(asyncio.sleep(1), asyncio.sleep(30))
                self.assertLess(loop.time(), 1.1)
            loop._clock_resolution = before
            for seconds in (1e6, 0.25, 1e-7):
                due = loop.time() + seconds
                await asyncio.sleep(seconds)
                self.assertEqual(loop.time(), due)
            del loop._clock_resolution
            self.assertEqual(loop._clock_resolution, math.ulp(loop.time()))
            with self.assertRaisesRegex(AttributeError, "_clock_resolution"):
                del loop._clock_resolution

        for debug in (False, True):
            with self.subTest(debug=debug), asyncio.Runner(loop_factory=SolipsistEventLoop, debug=debug) as runner:
                runner.run(main(runner.get_loop()))


class InATestTest(SolipsistTestCase):
    async def test_time_goes_on_by_itself(self):
        """A clock of a test's own moves nothing but itself: ours stands still meanwhile, and goes on after that."""
        clock = OwnClock()
        patches = clock.patches(self.loop)
        for patch in patches:
            patch.start()
        await asyncio.sleep(3600)
        for patch in patches:
            patch.stop()
        self.assertEqual((clock.now, self.now), (3600.0, 0.0))
        with self.assertElapses(5):
            await asyncio.sleep(5)
