"""Tests that run timers by hand before their time: they walk through `loop._scheduled`, and run and cancel each handle.

The same body runs on a stock loop and on ours. Home Assistant and zeroconf move time in their tests so.
"""

import asyncio
import unittest

from solipsism_unittest import SolipsistEventLoop


def fire(loop, seconds):
    """Run each timer that is due within so many seconds, once."""
    for timer in list(loop._scheduled):
        if isinstance(timer, asyncio.TimerHandle) and not timer.cancelled() and timer.when() <= loop.time() + seconds:
            timer._run()
            timer.cancel()


async def play(loop):
    log = []

    def again(count):
        log.append(count)
        loop.call_later(400, again, count + 1)

    loop.call_later(300, again, 1)
    loop.call_later(90_000, log.append, "tomorrow")
    sleeping = loop.create_task(asyncio.sleep(600, "slept"))
    waiting = loop.create_task(asyncio.wait_for(loop.create_future(), 600))
    await asyncio.sleep(0)
    for seconds in (250, 350, 700, 700):
        fire(loop, seconds)
        await asyncio.sleep(0)
        log.append(seconds)
    log.append(await sleeping)
    log.append(type((await asyncio.gather(waiting, return_exceptions=True))[0]))
    await asyncio.sleep(0.001)  # none of those runs once more
    log.append(sorted(round(timer.when() - loop.time(), -1) for timer in loop._scheduled if not timer.cancelled()))
    for timer in loop._scheduled:
        timer.cancel()
    return log


class FiredTimersTest(unittest.TestCase):
    def test_as_on_a_stock_loop(self):
        """A timer that a test runs has run, in whatever turns, and does not run again."""
        for debug in (False, True):
            seen = []
            for kind in (asyncio.SelectorEventLoop, SolipsistEventLoop):
                with self.subTest(kind=kind, debug=debug), asyncio.Runner(loop_factory=kind, debug=debug) as runner:
                    seen.append(runner.run(play(runner.get_loop())))
            self.assertEqual(seen[1], seen[0])
            self.assertEqual(seen[0], [250, 1, 350, 2, 700, 3, 700, "slept", TimeoutError, [400.0, 90_000.0]])
