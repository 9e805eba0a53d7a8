"""What a hang says of threads: those that wait, for what, and on whose behalf."""

import asyncio
import concurrent.futures
import contextlib
import re
import threading
import time
import unittest

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.stdlib.worlds import outside
from tests.case.test_case import run


class WordsTest(unittest.TestCase):
    def hang(self, body):
        class Case(SolipsistTestCase):
            async def test(self):
                await body(self)

        (_, text), = run(Case).errors
        return text

    def test_tasks_and_threads(self):
        """A task waits for a job, that for a lock, which a thread holds that waits for a task of the loop."""

        async def body(case):
            lock, event = threading.Lock(), asyncio.Event()

            def holder():
                with lock, contextlib.suppress(concurrent.futures.CancelledError):
                    asyncio.run_coroutine_threadsafe(event.wait(), case.loop).result()

            def wants():
                with lock:
                    pass

            threading.Thread(target=holder, name="holder", daemon=True).start()
            await asyncio.sleep(1)
            await asyncio.to_thread(wants)

        text = self.hang(body)
        self.assertRegex(text, r"(?s)SleepForeverError: nothing can wake the program at t=1\.0: 2 tasks\n"
                               r"  thread holder started at .*? waits in Future\.result\(\) of Task-2 \(Event\.wait\), "
                               r".*\n  thread asyncio_0 started at .*? waits for a lock that thread holder holds, ")
        self.assertRegex(text, r"waits for to_thread\(\) of .*wants\n")

    def test_threads_of_pools(self):
        """One of a pool that has no job is not among them."""

        async def idle(case):
            await asyncio.to_thread(time.sleep, 1)
            await asyncio.Event().wait()

        self.assertIn("nothing can wake the program at t=1.0: 1 task waits for ever\n  Task-1", self.hang(idle))

    def test_beyond_the_limit(self):
        """Threads that go on for ever meet the limit in virtual time, in a test without a coroutine too."""
        def naps():
            while True:
                time.sleep(40)

        class Case(SolipsistTestCase):
            virtual_time_limit = 100.0

            def test(self):
                thread = threading.Thread(target=naps, daemon=True)
                thread.start()
                thread.join()

        (_, text), = run(Case).errors
        self.assertIn("VirtualTimeLimitError: the test goes on beyond its virtual time limit, to t=120.0 where a "
                      "thread goes on, at t=80.0\n  thread MainThread waits for the end of ", text)

    def test_a_loop_that_no_line_has_made(self):
        """A second loop of `to_thread(asyncio.run, main())` has no place."""

        async def body(case):
            await asyncio.to_thread(asyncio.run, asyncio.Event().wait())

        self.assertRegex(self.hang(body), r"\n  <SolipsistEventLoop running t=0\.0> runs in another thread:\n")

    def test_a_clock_that_was_read(self):
        """Who reads the real clock at one instant has no line about it, and no empty one."""

        async def body(case):
            for _ in range(101):
                time.time()
            await asyncio.Event().wait()

        self.assertIn("1 task waits for ever\n  Task-1", self.hang(body))


class FullPoolTest(unittest.TestCase):
    """Jobs that wait for jobs of their own pool, which has no worker left for those."""

    ADVICE = ("\n    a job that waits for another one of its own pool needs a worker more: give that one a pool of its "
              "own, or the pool more workers\n")

    def text(self, test):
        """What is told of it: a hang, at once."""
        result = run(type("Case", (SolipsistTestCase,), {"test": test, "real_time_limit": 20}), "test")
        self.assertEqual(len(result.errors), 1)
        self.assertIn("SleepForeverError: ", result.errors[0][1])
        return result.errors[0][1]

    def test_from_a_loop(self):
        """The report says how many workers and jobs there are, and who has submitted these."""

        def inner():
            """It never runs."""

        async def test(self):
            pool = concurrent.futures.ThreadPoolExecutor(2, "crew")
            self.addCleanup(pool.shutdown, False, cancel_futures=True)

            def outer():
                return pool.submit(inner).result()

            await asyncio.gather(*(self.loop.run_in_executor(pool, outer) for _ in range(3)))

        text = self.text(test)
        where = r"at tests/stdlib/threads/pacing/test_record\.py:\d+ in FullPoolTest\.test_from_a_loop\.<locals>\.test"
        self.assertRegex(text, r"\n  pool crew is full: its 2 workers wait, and 3 jobs wait in its queue\n"
                               rf"      executor job \S+\.outer, submitted {where}\S*\n"
                               rf"      executor job \S+\.inner, submitted {where}\S+\.outer \(2 times\)\n")
        self.assertIn(self.ADVICE, text)

    def test_from_a_thread(self):
        """So does that of threads without a loop; of many jobs some are shown."""

        def test(self):
            pool = concurrent.futures.ThreadPoolExecutor(1)

            def outer():
                with outside():
                    pool.submit(print)
                futures = [pool.submit(function) for function in (min, max, sum, abs, len, any)]
                futures[0].cancel()
                concurrent.futures.wait(futures[1:])

            pool.submit(outer).result()

        text = self.text(test)
        self.assertRegex(text, r"\n  pool ThreadPoolExecutor-\d+ is full: its 1 worker waits, and 6 jobs wait in its "
                               r"queue\n      another job\n"
                               r"(      executor job (max|sum), submitted at \S+ in \S+\.outer\S*\n){2}"
                               r"      and 3 more\n")
        self.assertIn(self.ADVICE, text)

    def test_the_default_pool(self):
        """A job that the loop has given to it is no reason to wait for, where nobody can run it."""

        def outer(loop):
            asyncio.run_coroutine_threadsafe(asyncio.to_thread(print), loop).result()

        async def test(self):
            self.loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1, "crew"))
            await asyncio.to_thread(outer, self.loop)

        def test_of_a_second_loop(self):
            async def main():
                loop = asyncio.get_running_loop()
                loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1, "crew"))
                await asyncio.to_thread(outer, loop)

            asyncio.run(main())

        for each in (test, test_of_a_second_loop):
            with self.subTest(each.__name__):
                self.assertIn("\n  pool crew is full: its 1 worker waits, and 1 job waits in its queue\n"
                              "      executor job print, submitted", self.text(each))

    def test_several(self):
        """They come in the order in which their threads came, and one whose worker is meant to run on is among them."""

        async def test(self):
            over = threading.Event()
            self.addCleanup(over.set)
            pools = [concurrent.futures.ThreadPoolExecutor(1, f"crew {number}") for number in range(9)]
            for pool in pools:
                self.addCleanup(pool.shutdown, False, cancel_futures=True)
                with self.background():
                    self.loop.run_in_executor(pool, over.wait)
            await asyncio.gather(*(self.loop.run_in_executor(pool, int) for pool in pools))

        self.assertEqual(re.findall(r"\n  pool crew (\d) is full", self.text(test)), list(map(str, range(9))))

    def test_one_that_is_not_full(self):
        """Of a pool with a worker that has no job nothing is said, nor of one whose queue is empty."""

        async def test(self):
            pool = concurrent.futures.ThreadPoolExecutor(2)
            self.addCleanup(pool.shutdown, False)
            await self.loop.run_in_executor(pool, int)
            await self.loop.run_in_executor(pool, threading.Event().wait)

        self.assertNotIn(" is full", self.text(test))


if __name__ == "__main__":
    unittest.main()
