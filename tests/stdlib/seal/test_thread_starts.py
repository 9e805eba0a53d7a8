"""What a sealed thread starts: workers of pools; pools of other interpreters get plain functions."""

import _thread
import asyncio
import concurrent.futures
import math
import operator
import sys
import threading
import time
import unittest
from unittest import mock

from solipsism_unittest import SleepForeverError, SolipsistTestCase
from solipsism_unittest.stdlib.threads.pacing.calls import BareThread
from tests.case.test_case import run

NEWER = hasattr(concurrent.futures, "InterpreterPoolExecutor")


OLD_POOLS = [concurrent.futures.ThreadPoolExecutor(1) for _ in range(2)]


class KeywordsTest(SolipsistTestCase):
    async def test_a_job_takes_keywords_of_any_name(self):
        """No keyword of a job is taken for one of what carries it."""
        given = dict.fromkeys(("self", "function", "loop", "target", "world", "pool", "fn", "args", "kwargs"), 1)
        jobs = {"to_thread": asyncio.to_thread(dict, **given)}
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            jobs["submit"] = asyncio.wrap_future(pool.submit(dict, **given))
            for name, job in jobs.items():
                with self.subTest(name):
                    self.assertEqual(await job, given)

    async def test_a_thread_takes_keywords_of_any_name(self):
        """As with jobs of pools."""
        given, got = dict.fromkeys(("self", "function", "loop", "target", "world"), 1), {}
        for thread in threading.Thread(target=got.update, kwargs=given), threading.Timer(1, got.update, kwargs=given):
            got.clear()
            thread.start()
            await asyncio.to_thread(thread.join)
            self.assertEqual(got, given)


@unittest.skipUnless(NEWER, "pools of interpreters came with Python 3.14")
class InterpreterPoolTest(SolipsistTestCase):
    def pool(self, **settings):
        return self.enterContext(concurrent.futures.InterpreterPoolExecutor(1, **settings))

    async def test_run_in_executor(self):
        """A job of the loop runs in another interpreter, with its arguments, and gives its result."""
        pool = self.pool()
        for function, args, expected in ((abs, (-3,), 3), (math.gcd, (12, 18), 6), (operator.add, ("a", "b"), "ab")):
            with self.subTest(function=function):
                self.assertEqual(await self.loop.run_in_executor(pool, function, *args), expected)

    async def test_submit(self):
        """A job that is submitted has keywords too."""
        pool = self.pool()
        self.assertEqual(await asyncio.wrap_future(pool.submit(int, "ff", base=16)), 255)

    async def test_map(self):
        """map() goes over the jobs in order."""
        pool = self.pool()
        self.assertEqual(await asyncio.to_thread(lambda: list(pool.map(abs, range(-3, 0)))), [3, 2, 1])

    async def test_errors(self):
        """What a job raises comes out, from either call."""
        pool = self.pool()
        with self.assertRaises(ZeroDivisionError):
            await self.loop.run_in_executor(pool, divmod, 1, 0)
        with self.assertRaises(ValueError):
            await asyncio.wrap_future(pool.submit(int, "x"))

    async def test_a_subclass(self):
        """A class of the program's own is such a pool as well."""

        class Pool(concurrent.futures.InterpreterPoolExecutor):
            pass

        with Pool(1) as pool:
            self.assertEqual(await self.loop.run_in_executor(pool, abs, -3), 3)

    async def test_one_that_has_another_job_done(self):
        """That job holds the clock in place of the one that was given."""

        class Pool(concurrent.futures.InterpreterPoolExecutor):
            def submit(self, fn, /, *args):
                return super().submit(sum, range(100_000))

        with Pool(1) as pool:
            await asyncio.wait_for(self.loop.run_in_executor(pool, abs, -3), 0.001)
            self.assertNow(0)
            await asyncio.sleep(5)
        self.assertNow(5)

    async def test_the_clock(self):
        """A job in another interpreter holds the clock until it is done."""
        pool = self.pool()
        await asyncio.wait_for(self.loop.run_in_executor(pool, sum, range(100_000)), 0.001)
        self.assertNow(0)


class ProgramTest(SolipsistTestCase):
    async def test_what_a_thread_of_a_program_raises(self):
        """It is printed on the program's stderr, before who joins the thread goes on; the exit code stays 0."""
        def fail():
            raise ValueError("in a thread")

        def main():
            for target in (fail, sys.exit):
                thread = threading.Thread(target=target, name="T")
                thread.start()
                thread.join()
            print("end", file=sys.stderr)

        ended = await self.run_program(main)
        self.assertEqual(ended.returncode, 0)
        lines = ended.stderr.decode().splitlines()
        self.assertEqual([lines[0], *lines[-2:]], ["Exception in thread T:", "ValueError: in a thread", "end"])
        self.assertNotIn("solipsism_unittest", ended.stderr.decode().replace(__file__, ""))


class OldPoolTest(SolipsistTestCase):
    """A pool from before the test: another does its work in the world, and its threads take turns."""

    local = threading.local()

    @classmethod
    def setUpClass(cls):
        cls.pool = concurrent.futures.ThreadPoolExecutor(2, "old", setattr, (cls.local, "ready", True))
        cls.addClassCleanup(cls.pool.shutdown)

    def setUp(self):
        self.addCleanup(lambda: self.assertEqual(
            [record for record in self.loop.kernel.journal if record.kind == "real-order"], []))

    def test_more_jobs_than_threads(self):
        """As many run at once as it has threads."""
        def job(number):
            time.sleep(1)
            return number, time.monotonic(), threading.current_thread().name

        jobs = [self.pool.submit(job, number) for number in range(5)]
        self.assertEqual([each.result() for each in jobs], [
            (0, 1.0, "old_0"), (1, 1.0, "old_1"), (2, 2.0, "old_0"), (3, 2.0, "old_1"), (4, 3.0, "old_0")])
        self.assertEqual(list(self.pool.map(lambda one: self.local.ready, range(3))), [True] * 3)

    async def test_for_a_loop(self):
        """A job of run_in_executor() takes its virtual time."""
        jobs = [self.loop.run_in_executor(self.pool, time.sleep, 2) for _ in range(3)]
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(jobs[2]), 3)
        await asyncio.gather(*jobs)
        self.assertNow(4)

    def test_its_end(self):
        """Who shuts it down waits for the jobs, and it takes no more."""
        pool = OLD_POOLS.pop()
        job = pool.submit(time.sleep, 3)
        pool.shutdown()
        self.assertTrue(job.done())
        self.assertNow(3)
        self.assertRaises(RuntimeError, pool.submit, int)

    async def test_while_it_is_shut_down(self):
        """It takes no more from the beginning on, and does what it has."""
        pool = OLD_POOLS.pop()
        jobs = [pool.submit(time.sleep, 2) for _ in range(2)]
        end = asyncio.create_task(asyncio.to_thread(pool.shutdown))
        await asyncio.sleep(1)
        self.assertRaises(RuntimeError, pool.submit, int)
        await end
        self.assertEqual([job.done() for job in jobs], [True, True])
        self.assertNow(4)

    def test_in_programs(self):
        """Each program has one in its place, which ends with the program."""
        for _ in range(2):
            result = self.run_program(lambda: self.pool.submit(print, "done").result())
            self.assertEqual((result.returncode, result.stdout), (0, b"done\n"))


class OldPoolIsLeftTest(unittest.TestCase):
    def test_its_threads_end_with_the_test(self):
        """When the test has ended, no thread is there that was not there before."""
        pool = concurrent.futures.ThreadPoolExecutor(3)
        self.addCleanup(pool.shutdown)

        class Case(SolipsistTestCase):
            async def test_1(self):
                await asyncio.gather(*(self.loop.run_in_executor(pool, time.sleep, 1) for _ in range(3)))

            def test_2(self):
                list(pool.map(time.sleep, [1] * 3))

        before = threading.enumerate()
        for name in ("test_1", "test_2"):
            result = unittest.TestResult()
            Case(name).run(result)
            self.assertTrue(result.wasSuccessful(), result.errors)
            self.assertEqual([thread for thread in threading.enumerate() if thread not in before], [])

    def test_a_job_that_is_left(self):
        """It is reported, with its line; the next test has the pool for itself."""
        pool = concurrent.futures.ThreadPoolExecutor(1)
        self.addCleanup(pool.shutdown)

        class Case(SolipsistTestCase):
            async def test_1(self):
                pool.submit(threading.Event().wait)
                await asyncio.sleep(1)

            async def test_2(self):
                await asyncio.wrap_future(pool.submit(time.sleep, 1))

        result = run(Case)
        (case, text), = result.failures
        self.assertEqual(case._testMethodName, "test_1")
        self.assertRegex(text, r"1 thread alive\n +executor job Event.wait")


class WrappedStartTest(unittest.TestCase):
    """A tool that wraps `Thread.start`, as tracers do."""

    class Jobs(SolipsistTestCase):
        """Starts workers of pools."""

        async def test(self):
            """The loop's pool is shut down by the loop, another one by its block."""
            await asyncio.to_thread(abs, -1)
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                await asyncio.wrap_future(pool.submit(abs, -1))

    def wrapped(self):
        """A patch that is not there yet, and the list of the workers that it has seen start."""
        real, calls = threading.Thread.start, []

        def start(thread):
            if thread.name.startswith(("asyncio_", "ThreadPoolExecutor-")):  # and no watchdog of the framework's own
                calls.append(thread)
            real(thread)

        return mock.patch.object(threading.Thread, "start", start), calls

    def test_around_tests(self):
        """Whose worker it is, is seen through a wrapper that came before the test, also after an earlier test."""
        for _ in range(2):
            patch, calls = self.wrapped()
            with patch:
                self.assertTrue(run(self.Jobs).wasSuccessful())
            self.assertEqual(len(calls), 2)
            self.assertTrue(run(self.Jobs).wasSuccessful())
            self.assertEqual(len(calls), 2)

    def test_inside_of_a_test(self):
        """And through one that comes and goes inside of the test."""
        test = self

        class Inside(self.Jobs):
            def setUp(self):
                patch, self.calls = test.wrapped()
                patch.start()
                self.addCleanup(patch.stop)

        self.assertTrue(run(Inside).wasSuccessful())


class BareThreadTest(SolipsistTestCase):
    def test_turns(self):
        """Threads of _thread take turns: what they do is in one order, with others and alone."""
        seen, done = [], threading.Semaphore(0)

        def work(name):
            for _ in range(3):
                seen.append(name)
                time.sleep(0)
            done.release()

        for name in "ab":
            _thread.start_new_thread(work, (name,))
        threading.Thread(target=work, args=("c",)).start()
        for _ in range(3):
            done.acquire()
        self.assertEqual("".join(seen), "abcabcabc")

    def test_a_deadlock(self):
        """A hang names it."""
        lock = threading.Lock()
        lock.acquire()

        def stuck():
            self.assertIn(threading.current_thread(), threading.enumerate())  # up to 3.12 for ever
            with lock:
                pass

        _thread.start_new_thread(threading.current_thread, ())
        _thread.start_new_thread(stuck, ())
        with self.assertRaisesRegex(SleepForeverError, r"thread \S*stuck started at .*waits for a lock that thread"):
            threading.Event().wait()
        lock.release()

    def test_one_that_cannot_be_started(self):
        """Where the system gives no thread the error comes out, and nothing is left."""
        with mock.patch.object(BareThread, "start", side_effect=RuntimeError("can't start new thread")), \
                self.assertRaisesRegex(RuntimeError, "can't start"):
            _thread.start_new_thread(int, ())


class BareThreadsEndTest(unittest.TestCase):
    def test_one_that_is_left(self):
        """One that is alive at the end is a leak, with its function and its line."""

        class Case(SolipsistTestCase):
            async def test(self):
                _thread.start_new_thread(threading.Event().wait, ())
                await asyncio.sleep(1)

        result = run(Case)
        self.assertEqual(len(result.failures), 1)
        text = result.failures[0][1]
        self.assertIn("1 thread alive", text)
        self.assertRegex(text, r"BareThread Event\.wait \(daemon\), stands at")
        self.assertIn("test_thread_starts.py", text)

    def test_one_in_the_background(self):
        """One that is started inside background() does not take part, and is no leak."""

        class Case(SolipsistTestCase):
            async def test(self):
                with self.background():
                    _thread.start_new_thread(event.wait, ())

        event = threading.Event()
        self.assertTrue(run(Case).wasSuccessful())
        event.set()

    def test_errors(self):
        """An error goes to sys.unraisablehook, with the function in words."""
        seen = []

        class Case(SolipsistTestCase):
            def test(self):
                _thread.start_new_thread(fails, ())
                time.sleep(1)

        def fails():
            raise LookupError("no")

        with mock.patch.object(sys, "unraisablehook", lambda told: seen.append(
                (repr(told.exc_value), f"{told.err_msg} {told.object!r}"))):
            self.assertTrue(run(Case).wasSuccessful())
            while not seen:
                time.sleep(0.001)  # really
        (error, text), = seen
        self.assertEqual(error, "LookupError('no')")
        self.assertIn("in thread started by", text)
        self.assertIn(repr(fails), text)
