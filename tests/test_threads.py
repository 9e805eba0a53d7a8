"""Other threads: executor jobs hold the clock, and every thread can wake the loop."""

import asyncio
import concurrent.futures
import functools
import multiprocessing
import threading
import time
import unittest

from solipsism_unittest import RealTimeLimitError, SolipsistEventLoop


def run(main, **options):
    with asyncio.Runner(loop_factory=lambda: SolipsistEventLoop(**options)) as runner:
        return runner.run(main)


def on_a_thread(function, *args):
    """Start a thread and return it."""
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


class ExecutorTest(unittest.TestCase):
    def test_a_job_costs_no_virtual_time(self):
        """A job beside a virtual timeout that is shorter than the job's real time does not time out."""

        async def main():
            async with asyncio.timeout(0.001):
                result = await asyncio.to_thread(lambda: time.sleep(0.01) or "done")
            return result, asyncio.get_running_loop().time()

        self.assertEqual(run(main()), ("done", 0.0))

    def test_every_job_holds_the_clock_until_it_is_done(self):
        """Of two jobs the longer one decides when time goes on; a timer waits for both."""

        async def main():
            loop = asyncio.get_running_loop()
            first, second = threading.Event(), threading.Event()
            seen = []
            loop.call_later(1, lambda: seen.append("timer"))
            jobs = [loop.run_in_executor(None, first.wait, 5), loop.run_in_executor(None, second.wait, 5)]
            jobs[0].add_done_callback(lambda job: (seen.append("first"), second.set()))
            jobs[1].add_done_callback(lambda job: seen.append("second"))
            first.set()
            await asyncio.sleep(2)
            return seen, loop.time()

        self.assertEqual(run(main()), (["first", "second", "timer"], 2.0))

    def test_a_job_that_raises(self):
        """The exception of a job comes out of the await, and time goes on afterwards."""

        async def main():
            with self.assertRaises(ZeroDivisionError):
                await asyncio.to_thread(lambda: 1 / 0)
            await asyncio.sleep(5)
            return asyncio.get_running_loop().kernel.clock.holds

        self.assertEqual(run(main()), {})

    def test_a_job_that_is_cancelled(self):
        """A job that is cancelled while it waits for a thread never runs; one that runs holds the clock until it is
        done.
        """

        async def main():
            loop = asyncio.get_running_loop()
            go_on = threading.Event()
            ran = []
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                running = loop.run_in_executor(pool, go_on.wait, 5)
                waiting = loop.run_in_executor(pool, ran.append, "ran")
                await asyncio.sleep(0)
                waiting.cancel()
                running.cancel()
                loop.call_soon(go_on.set)
                await asyncio.sleep(3)
            return ran, running.cancelled(), waiting.cancelled(), loop.time(), loop.kernel.clock.holds

        self.assertEqual(run(main()), ([], True, True, 3.0, {}))

    def test_an_executor_that_refuses(self):
        """An executor that takes no job any more raises, and nothing holds the clock then."""

        async def main():
            loop = asyncio.get_running_loop()
            pool = concurrent.futures.ThreadPoolExecutor(1)
            pool.shutdown()
            with self.assertRaises(RuntimeError):
                loop.run_in_executor(pool, print)
            return loop.kernel.clock.holds

        self.assertEqual(run(main()), {})

    def test_own_default_executor(self):
        """set_default_executor() is used by jobs without an executor."""

        async def main():
            pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine")
            asyncio.get_running_loop().set_default_executor(pool)
            return await asyncio.to_thread(lambda: threading.current_thread().name)

        self.assertEqual(run(main()), "mine_0")

    def test_jobs_of_a_process_pool(self):
        """A job in another process holds the clock too, and its result arrives."""

        async def main():
            context = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                async with asyncio.timeout(0.001):
                    return await asyncio.get_running_loop().run_in_executor(pool, divmod, 17, 5)

        self.assertEqual(run(main()), (3, 2))

    def test_shutting_down_joins(self):
        """shutdown_default_executor() waits for running jobs in real time, and takes no virtual time."""

        async def main():
            loop = asyncio.get_running_loop()
            done = []
            loop.run_in_executor(None, lambda: time.sleep(0.01) or done.append(1))
            await loop.shutdown_default_executor()
            with self.assertRaisesRegex(RuntimeError, "shutdown"):
                loop.run_in_executor(None, print)
            return done, loop.time()

        self.assertEqual(run(main()), ([1], 0.0))

    def test_shutting_down_takes_a_limit_that_cannot_pass(self):
        """shutdown_default_executor(timeout) still joins: a virtual limit would be over at once."""

        async def main():
            loop = asyncio.get_running_loop()
            done = []
            loop.run_in_executor(None, lambda: time.sleep(0.01) or done.append(1))
            await loop.shutdown_default_executor(0.001)
            return done

        self.assertEqual(run(main()), [1])

    def test_a_job_that_outlives_its_loop(self):
        """A job that ends after its loop was closed lets go of the clock and raises nothing."""
        loop = SolipsistEventLoop()
        go_on = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:

            async def main():
                loop.run_in_executor(pool, go_on.wait, 5).cancel()

            loop.run_until_complete(main())
            loop.close()
            self.assertRegex(repr(loop.kernel.clock), "executor job Event.wait made at .*test_threads")
            go_on.set()
        self.assertEqual(loop.kernel.clock.holds, {})

    def test_a_closed_loop_takes_no_job(self):
        """run_in_executor() of a closed loop is a RuntimeError; a coroutine function is a TypeError in debug mode."""
        loop = SolipsistEventLoop()
        loop.set_debug(True)
        with self.assertRaises(TypeError):
            loop.run_in_executor(None, asyncio.sleep)
        loop.close()
        with self.assertRaisesRegex(RuntimeError, "closed"):
            loop.run_in_executor(None, print)

    def test_what_holds_too_long(self):
        """A job that gives no sign of life for the real time allowed is an error that names it and where it was
        started.
        """
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        loop._virtual_selector.real_seconds_allowed = 0.01
        go_on = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:

            async def main():
                try:
                    await loop.run_in_executor(pool, functools.partial(go_on.wait, 5))
                finally:
                    go_on.set()

            with self.assertRaisesRegex(
                RealTimeLimitError,
                r"^what holds the clock does not let go at t=0\.0: 1 task\n  waited 0\.01 real seconds for <Hold: "
                r"executor job "
                r"functools\.partial\(.* made at tests.test_threads\.py:\d+ in \S*main>\n  Task-1 \(",
            ):
                loop.run_until_complete(main())


class WakingTest(unittest.TestCase):
    def test_call_soon_threadsafe_wakes_the_loop(self):
        """A callback from another thread runs while the loop really waits."""

        async def main():
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            with loop.hold_clock():
                thread = on_a_thread(lambda: loop.call_soon_threadsafe(done.set_result, "woken"))
                result = await done
            thread.join()
            return result

        self.assertEqual(run(main()), "woken")

    def test_callbacks_of_many_threads_all_come(self):
        """Nothing that any of several threads sends is lost, and each thread's callbacks keep their order."""

        async def main():
            loop = asyncio.get_running_loop()
            seen = []
            everything = asyncio.Event()

            def got(item):
                seen.append(item)
                if len(seen) == 400:
                    everything.set()

            def send(name):
                for number in range(100):
                    loop.call_soon_threadsafe(got, (name, number))

            with loop.hold_clock():
                threads = [on_a_thread(send, name) for name in range(4)]
                await everything.wait()
            for thread in threads:
                thread.join()
            return seen

        seen = run(main())
        for name in range(4):
            self.assertEqual([number for sender, number in seen if sender == name], list(range(100)))

    def test_run_coroutine_threadsafe(self):
        """A coroutine that another thread submits runs in virtual time, and the thread gets its result."""

        async def main():
            loop = asyncio.get_running_loop()

            def other():
                with loop.hold_clock():
                    started.set()
                    future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "result"), loop)
                    results.append(future.result(5))

            results, started = [], threading.Event()
            thread = on_a_thread(other)
            started.wait(5)
            await asyncio.sleep(60)
            thread.join()
            return results, loop.time()

        self.assertEqual(run(main()), (["result"], 60.0))

    def test_a_wake_up_without_a_callback(self):
        """A wake-up that brings nothing is drained, and time goes on."""

        async def main():
            loop = asyncio.get_running_loop()
            for _ in range(3):
                loop._write_to_self()
            await asyncio.sleep(1)
            return loop.time()

        self.assertEqual(run(main()), 1.0)

    def test_stop_from_another_thread(self):
        """loop.stop(), sent from another thread, ends run_forever()."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with loop.hold_clock():
            thread = on_a_thread(lambda: loop.call_soon_threadsafe(loop.stop))
            loop.run_forever()
        thread.join()
        self.assertEqual(loop.time(), 0.0)
