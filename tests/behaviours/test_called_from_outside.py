"""A bare loop in a thread of its own: the thread that has started it is outside of the loop's world, and calls it.

What drives asyncio from code that knows none does so (anyio's portals, Starlette's TestClient). Such a loop that has
nothing to do waits for a call, in real time, as a stock loop does.
"""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
import unittest

from solipsism_unittest import SleepForeverError, SolipsistEventLoop, SolipsistTestCase
from tests import run_python

HANGS = """
import asyncio, threading
from solipsism_unittest import SolipsistEventLoop

async def main():
    await asyncio.Event().wait()

def work():
    with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
        runner.run(main())

threading.Thread(target=work).start()
"""


class CalledFromOutsideTest(unittest.TestCase):
    def start(self, work):
        """Run this in a thread; what it raises is in the list that is returned, once it has ended."""
        ended = []

        def outermost():
            try:
                ended.append(work())
            except SleepForeverError as error:
                ended.append(error)

        thread = threading.Thread(target=outermost, daemon=True)
        thread.start()
        return thread, ended

    async def sleep(self, seconds):
        await (asyncio.sleep(seconds) if type(seconds) is int else asyncio.Event().wait())
        return asyncio.get_running_loop().time()

    def wait_for_ever(self):
        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(self.sleep(None))

    def test_run_forever(self):
        """It is called again and again, with pauses of real time, and its own time is virtual."""
        for jobs in (False, True):  # with threads of its own, or without
            with self.subTest(jobs=jobs), contextlib.closing(SolipsistEventLoop()) as loop:
                thread, ended = self.start(loop.run_forever)
                try:
                    self.call(loop, jobs)
                finally:
                    loop.call_soon_threadsafe(loop.stop)
                    thread.join(20)
                self.assertEqual(ended, [None])

    def call(self, loop, jobs):
        # Pauses of about 0.05 s: so often the loop looks whether somebody may call at all.
        for count, pause in enumerate((0.12, 0.0495, 0.05, 0.0495, 0.05, 0.0495, 0.05, 0.0495, 0.05, 0.12), 1):
            if jobs:
                asyncio.run_coroutine_threadsafe(asyncio.to_thread(time.sleep, 0), loop).result(20)
            time.sleep(pause)
            self.assertEqual(asyncio.run_coroutine_threadsafe(self.sleep(60), loop).result(20), 60 * count)

    def test_a_main_task(self):
        """Its main task may wait for what only an outside thread brings."""
        begun = []

        async def main():
            begun[:] = asyncio.get_running_loop(), asyncio.Event()
            await begun[1].wait()
            return "called"

        def work():
            with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
                return runner.run(main())

        thread, ended = self.start(work)
        while not begun:
            time.sleep(0.001)
        time.sleep(0.12)
        begun[0].call_soon_threadsafe(begun[1].set)
        thread.join(20)
        self.assertEqual(ended, ["called"])

    def test_nobody_calls(self):
        """It is a hang when the main thread waits for the end of the loop's, or for a result, whatever it takes."""
        result = []

        async def main():
            future = asyncio.get_running_loop().create_future()
            result.append(asyncio.run_coroutine_threadsafe(self.sleep(future), asyncio.get_running_loop()))
            await future

        def work():
            with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
                return runner.run(main())

        for how in ("join", "timed join", "result"):
            with self.subTest(how):
                result.clear()
                thread, ended = self.start(work)
                while not result:
                    time.sleep(0.001)
                if "join" in how:
                    thread.join(20 if how == "timed join" else None)
                else:
                    self.assertRaises(concurrent.futures.CancelledError, result[0].result)
                    thread.join(20)
                [error] = ended
                self.assertRegex(str(error), "^nothing can wake the program at t=0.0: 2 tasks wait for ever")

    def test_idle_workers(self):
        """Workers of a pool that have nothing to do do not call."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pool.submit(time.monotonic).result()
            thread, ended = self.start(self.wait_for_ever)
            thread.join()
        self.assertRegex(str(ended), "nothing can wake the program")

    def test_inside_of_a_test(self):
        """The main thread is in a test, and whatever else there is does not know this loop: it is a hang at once."""
        release, ended = threading.Event(), []
        outside = threading.Thread(target=release.wait, args=(60,))
        outside.start()
        wait_for_ever = self.wait_for_ever

        class Case(SolipsistTestCase):
            async def test(self):
                with self.assertRaises(SleepForeverError):
                    await asyncio.to_thread(wait_for_ever)
                ended.append(outside.is_alive())

        try:
            result = Case("test").run()
        finally:
            release.set()
            outside.join()
        self.assertEqual((result.errors, result.failures, ended), ([], [], [True]))

    def test_others_may_call(self):
        """It is none as long as there is another thread outside: that may call while the main thread waits."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        thread, ended = self.start(loop.run_forever)
        release = threading.Timer(0.3, loop.call_soon_threadsafe, (loop.stop,))
        release.start()
        thread.join()
        release.join()
        self.assertEqual(ended, [None])

    def test_nobody_is_there(self):
        """It is a hang when the main thread has ended."""
        child = run_python("-c", HANGS, timeout=60)
        self.assertIn("SleepForeverError: nothing can wake the program at t=0.0: 1 task wait", child.stderr)
