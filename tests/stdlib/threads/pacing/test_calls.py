"""Sleeping, starting and joining in a world."""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
import unittest
import unittest.mock

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase, sealed
from tests.case.test_case import run, told


class CallsTest(SolipsistTestCase):
    def test_sleeps(self):
        """What is no duration is refused as by the real one; a sleep of almost nothing ends later than now."""
        for wrong, error in ((-1, ValueError), (float("nan"), ValueError), ("1", TypeError), (None, TypeError)):
            self.assertRaises(error, time.sleep, wrong)
        time.sleep(100)
        time.sleep(1e-20)
        self.assertGreater(self.now, 100)
        time.sleep(True)
        self.assertNow(101)

    async def test_sleeps_of_no_time_while_the_clock_is_held(self):
        """They end, however many: no time has to go by. Others go on meanwhile."""
        there = []

        def poll():
            self.loop.call_soon_threadsafe(there.append, 1)
            for _ in range(10**5):
                time.sleep(0)
                if len(there) == 2:
                    return 2
            return 0

        def bring():
            for _ in range(200):
                time.sleep(0)
            there.append(2)

        with self.hold_clock():
            polled, _ = await asyncio.gather(asyncio.to_thread(poll), asyncio.to_thread(bring))
        self.assertEqual(polled, 2)
        self.assertNow(0)

    def test_a_start_that_is_broken_off(self):
        """By Ctrl-C while start() waits for the new thread to say that it is there: that runs all the same."""
        ran, thread = [], threading.Thread(target=lambda: ran.append(self.now))
        wait = thread._started.wait

        def broken_off():
            wait()
            raise KeyboardInterrupt

        thread._started.wait = broken_off
        with self.assertRaises(KeyboardInterrupt):
            thread.start()
        thread.join(5)
        self.assertEqual(ran, [0])

    def test_joins(self):
        """join() with a limit of less than nothing looks only; one that is over is not alive at once."""
        thread = threading.Thread(target=time.sleep, args=(5,))
        self.assertFalse(thread.is_alive())
        thread.start()
        for limit in (0, -1, 0.0):
            thread.join(limit)
            self.assertTrue(thread.is_alive())
        thread.join(5)
        self.assertFalse(thread.is_alive())
        thread.join()
        self.assertNow(5)

    def test_looking_until_it_is_over(self):
        """A loop over is_alive() and a sleep ends when the thread does."""
        thread = threading.Thread(target=time.sleep, args=(5,))
        thread.start()
        while thread.is_alive():
            time.sleep(1)
        self.assertNow(5)

    def test_a_start_of_a_start(self):
        """A tool that replaces Thread.start, and calls what it has found there, starts the thread once."""
        before, seen = threading.Thread.start, []

        def start(thread):
            seen.append(thread)
            before(thread)

        with unittest.mock.patch.object(threading.Thread, "start", start):
            thread = threading.Thread(target=time.sleep, args=(1,))
            thread.start()
            thread.join()
        self.assertEqual(seen, [thread])
        self.assertNow(1)

    def test_threads_of_threads(self):
        """A thread that starts others and ends before them leaves them running."""
        seen = []

        def grandchild():
            time.sleep(3)
            seen.append(self.now)

        def child():
            threads.append(threading.Thread(target=grandchild))
            threads[0].start()

        threads = []
        thread = threading.Thread(target=child)
        thread.start()
        thread.join()
        threads[0].join()
        self.assertEqual(seen, [3])


class OutsideTest(unittest.TestCase):
    def test_a_thread_of_no_world(self):
        """A sealed thread joins one that is not sealed, really."""
        over = threading.Event()
        stranger = threading.Thread(target=over.wait)
        stranger.start()
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            stranger.join(0.001)
            self.assertTrue(stranger.is_alive())
            over.set()
            stranger.join()
            self.assertFalse(stranger.is_alive())
            self.assertEqual(loop.time(), 0.0)

    def test_a_world_that_is_over(self):
        """A thread that is still sealed sleeps really, and what it starts does not begin."""
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            loop.close()
            time.sleep(0.001)
            thread, seen = threading.Thread(target=lambda: seen.append("begun")), []
            thread.start()
            thread.join()
        self.assertEqual(seen, [])

    def test_a_thread_that_outlives_its_world(self):
        """One that waits when its loop is closed is struck, unheard; join() of it ends."""
        ended = []

        def work():
            try:
                time.sleep(1000)
            finally:
                ended.append(threading.current_thread())

        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            thread, late = threading.Thread(target=work), threading.Thread(target=ended.append, args=["late"])
            thread.start()
            thread.join(1)
            late.start()  # it has no turn any more
        thread.join()
        late.join()
        self.assertEqual([one for one in ended if one != "late"], [thread])

    def test_idle_workers_of_a_pool(self):
        """One of a pool from before, or one that another test has left, brings nothing: a hang is seen at once."""
        left = []

        class Test(SolipsistTestCase):
            real_time_limit = 5.0

            def test_a_pool_that_stays(self):
                left.append(concurrent.futures.ThreadPoolExecutor(1))
                self.expect_leak(left[0])
                self.assertEqual(left[0].submit(int).result(), 0)

            def test_hang(self):
                threading.Event().wait()

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()
            result = run(Test)
            left[0].shutdown()
        self.assertEqual([str(case) for case, _ in result.errors], [str(Test("test_hang"))], told(result))
        self.assertRegex(told(result), "no thread can go on at t=0.0")

    def test_workers_of_a_pool_at_work(self):
        """A worker of a pool from before that does something may bring what a thread of the world waits for."""
        begun = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            came = threading.Event()

            def bring():
                begun.wait()
                came.set()

            pool.submit(bring)
            with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
                begun.set()
                self.assertTrue(came.wait())


if __name__ == "__main__":
    unittest.main()
