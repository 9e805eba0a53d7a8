"""uvloop where it is installed: its functions give a program in a test a loop of the world. The twin with a module of
that shape is in tests/stdlib/seal/modules/test_loops.py.
"""

import asyncio
import time
import unittest
import warnings

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase

try:
    import uvloop
    from uvloop import Loop, new_event_loop
    from uvloop import Loop as Quick
    from uvloop import run as run_by_uvloop
except ImportError:
    uvloop = None


async def nap():
    await asyncio.sleep(5)
    return asyncio.get_running_loop()


@unittest.skipIf(uvloop is None, "uvloop is not installed")
class UvloopTest(SolipsistTestCase):
    def test_run(self):
        """uvloop.run(), by whatever name."""
        for run in (uvloop.run, run_by_uvloop):
            self.assertIsInstance(run(nap()), SolipsistEventLoop)
        self.assertEqual(time.monotonic(), 10.0)

    def test_new_loops(self):
        """What makes loops, the policy and the class under another name among it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            policy = uvloop.EventLoopPolicy()
        for make in (uvloop.new_event_loop, new_event_loop, uvloop.Loop, Loop, Quick, policy.new_event_loop):
            loop = make()
            self.assertIsInstance(loop, SolipsistEventLoop)
            self.assertIsInstance(loop, uvloop.Loop)
            loop.close()

    async def test_in_a_job(self):
        """On another thread, beside the test's loop."""
        self.assertIsInstance(await asyncio.to_thread(uvloop.run, nap()), SolipsistEventLoop)
        self.assertNow(5)


@unittest.skipIf(uvloop is None, "uvloop is not installed")
class ElsewhereTest(unittest.TestCase):
    def test_outside(self):
        """Outside of a test it is uvloop's own."""
        async def kind():
            return type(asyncio.get_running_loop())

        self.assertIs(uvloop.run(kind()), uvloop.Loop)


if __name__ == "__main__":
    unittest.main()
