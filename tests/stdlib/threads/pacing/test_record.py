"""What a hang says of threads: those that wait, for what, and on whose behalf."""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
import unittest

from solipsism_unittest import SolipsistTestCase
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


if __name__ == "__main__":
    unittest.main()
