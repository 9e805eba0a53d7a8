"""Clean programs with threads, executors and jobs that all come to their end."""

import asyncio
import concurrent.futures
import contextvars
import functools
import queue
import threading
import time
import weakref

from solipsism_unittest import SolipsistTestCase, sealed

user = contextvars.ContextVar("user", default="nobody")


def factorial(number):
    """Return 1 * 2 * ... * number."""
    return functools.reduce(lambda one, two: one * two, range(1, number + 1), 1)


class DefaultExecutorTest(SolipsistTestCase):
    async def test_to_thread(self):
        """A job in the default executor, whose threads are idle at the end."""
        self.assertEqual(await asyncio.to_thread(factorial, 5), 120)
        self.assertNow(0)

    async def test_run_in_executor(self):
        """The older way to the same executor."""
        self.assertEqual(await self.loop.run_in_executor(None, factorial, 6), 720)

    async def test_many_jobs(self):
        """Results come in the order of submission."""
        self.assertEqual(await asyncio.gather(*(asyncio.to_thread(pow, 2, n) for n in range(8))),
                         [1, 2, 4, 8, 16, 32, 64, 128])

    async def test_a_job_that_fails(self):
        """An exception comes back out of the thread."""
        with self.assertRaises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)

    async def test_a_job_whose_waiter_is_cancelled(self):
        """The task that waits is cancelled; the job comes to its end by itself."""
        go_on, ended = threading.Event(), []

        def job():
            go_on.wait(30)
            ended.append(True)

        waiting = asyncio.create_task(asyncio.to_thread(job))
        await asyncio.sleep(1)
        waiting.cancel()
        go_on.set()
        with self.assertRaises(asyncio.CancelledError):
            await waiting
        await self.loop.shutdown_default_executor()
        self.assertEqual(ended, [True])

    async def test_a_context_in_a_thread(self):
        """A job sees the context variables of who sent it."""
        user.set("alice")
        self.assertEqual(await asyncio.to_thread(user.get), "alice")

    async def test_a_job_that_calls_back(self):
        """A job reports its progress by call_soon_threadsafe()."""
        progress = []

        def job():
            for percent in (0, 50, 100):
                self.loop.call_soon_threadsafe(progress.append, percent)

        await asyncio.to_thread(job)
        await asyncio.sleep(0)
        self.assertEqual(progress, [0, 50, 100])

    async def test_a_job_that_asks_the_loop(self):
        """A job runs a coroutine on the loop and waits for its result."""

        async def fetch(key):
            await asyncio.sleep(10)
            return key.upper()

        def job():
            return asyncio.run_coroutine_threadsafe(fetch("key"), self.loop).result()

        self.assertEqual(await asyncio.to_thread(job), "KEY")
        self.assertNow(10)

    async def test_a_job_that_cancels_what_it_asked(self):
        """A job gives up its request to the loop."""
        started, cancelled = threading.Event(), asyncio.Event()

        async def endless():
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        def job():
            request = asyncio.run_coroutine_threadsafe(endless(), self.loop)
            started.wait(30)
            return request.cancel()

        self.assertTrue(await asyncio.to_thread(job))
        await cancelled.wait()

    async def test_a_loop_in_a_job(self):
        """A job has an event loop of its own, and closes it."""

        async def main():
            await asyncio.sleep(0)
            return "inner"

        def job():
            loop = type(self.loop)()
            try:
                with sealed(loop):
                    return loop.run_until_complete(main())
            finally:
                loop.close()

        self.assertEqual(await asyncio.to_thread(job), "inner")

    async def test_a_job_of_sleeping(self):
        """A job may sleep, which costs no real time."""
        await asyncio.to_thread(time.sleep, 5)
        self.assertNow(5)


class OwnExecutorTest(SolipsistTestCase):
    async def test_in_a_with_block(self):
        """A pool in a with block is shut down by it."""
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            results = await asyncio.gather(*(self.loop.run_in_executor(pool, factorial, n) for n in (3, 4)))
        self.assertEqual(results, [6, 24])

    async def test_shut_down_by_a_cleanup(self):
        """A pool that addCleanup shuts down."""
        pool = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="hash")
        self.addCleanup(pool.shutdown)
        name = await self.loop.run_in_executor(pool, lambda: threading.current_thread().name)
        self.assertEqual(name, "hash_0")

    async def test_shut_down_with_jobs_cancelled(self):
        """Jobs that never started are cancelled with the pool."""
        started, release = threading.Event(), threading.Event()
        pool = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        running = pool.submit(lambda: (started.set(), release.wait(30)))
        queued = pool.submit(self.fail)
        await asyncio.to_thread(started.wait)
        pool.shutdown(wait=False, cancel_futures=True)
        release.set()
        await asyncio.wrap_future(running)
        self.assertTrue(queued.cancelled())

    async def test_a_queued_job_that_is_cancelled(self):
        """A job that waits for a free thread is cancelled before it runs."""
        release, ran = threading.Event(), []
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
            first = self.loop.run_in_executor(pool, release.wait, 30)
            second = self.loop.run_in_executor(pool, ran.append, True)
            second.cancel()
            release.set()
            self.assertTrue(await first)
        self.assertEqual((second.cancelled(), ran), (True, []))

    async def test_a_pool_that_was_never_used(self):
        """A pool without a thread."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            self.assertEqual(list(pool.map(abs, [])), [])

    async def test_wrap_future(self):
        """A future of threads is awaited."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            self.assertEqual(await asyncio.wrap_future(pool.submit(sorted, [3, 1, 2])), [1, 2, 3])

    async def test_an_exception_nobody_reads(self):
        """A future of threads does not complain about its exception: nor does asyncio's that was cancelled before."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            future = pool.submit(int, "x")
        self.assertIsInstance(future.exception(), ValueError)

    async def test_a_default_executor_of_its_own(self):
        """A pool that was given to the loop is shut down by the loop."""
        self.loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(2, "mine"))
        names = await asyncio.to_thread(lambda: threading.current_thread().name)
        await self.loop.shutdown_default_executor()
        self.assertEqual(names, "mine_0")


class FactoryTest(SolipsistTestCase):
    def executor_factory(self):
        return concurrent.futures.ThreadPoolExecutor(1, "factory")

    async def test_the_executor_of_the_test_case(self):
        """The default executor that the class makes is shut down for the test."""
        self.assertEqual(await asyncio.to_thread(lambda: threading.current_thread().name), "factory_0")


class ThreadTest(SolipsistTestCase):
    async def test_joined(self):
        """A thread that is joined."""
        results = []
        thread = threading.Thread(target=lambda: results.append(factorial(4)))
        thread.start()
        thread.join()
        self.assertEqual(results, [24])

    async def test_joined_by_a_cleanup(self):
        """A worker thread that ends by a sentinel, and is joined at the end."""
        jobs, done, idle = queue.Queue(), [], threading.Event()

        def work():
            for job in iter(jobs.get, None):
                done.append(job)
                idle.set()

        worker = threading.Thread(target=work)
        worker.start()
        self.addCleanup(worker.join)
        self.addCleanup(jobs.put, None)
        jobs.put("a")
        await asyncio.to_thread(idle.wait, 30)
        self.assertEqual(done, ["a"])

    async def test_a_daemon_that_ends(self):
        """A daemon thread that is told to stop, and stops."""
        stop = threading.Event()
        daemon = threading.Thread(target=stop.wait, args=(30,), daemon=True)
        daemon.start()
        stop.set()
        daemon.join(30)
        self.assertFalse(daemon.is_alive())

    async def test_a_daemon_that_ends_by_itself(self):
        """A thread that is about to end when the test returns is no leftover."""
        ended = threading.Event()
        threading.Thread(target=ended.set, daemon=True).start()
        self.assertTrue(await asyncio.to_thread(ended.wait, 30))

    async def test_a_thread_that_brings_a_result(self):
        """A thread of a library fulfils a future of the loop."""
        future = self.loop.create_future()

        def produce():
            self.loop.call_soon_threadsafe(future.set_result, "produced")

        thread = threading.Thread(target=produce)
        with self.hold_clock():
            thread.start()
            self.assertEqual(await future, "produced")
        thread.join()

    async def test_a_timer_that_fires(self):
        """A threading.Timer calls its function in real time."""
        fired = self.loop.create_future()
        timer = threading.Timer(0.005, self.loop.call_soon_threadsafe, [fired.set_result, True])
        timer.start()
        self.assertTrue(await fired)
        timer.join()

    async def test_a_timer_that_is_cancelled(self):
        """A threading.Timer that is cancelled and joined."""
        timer = threading.Timer(3600, self.fail)
        timer.start()
        timer.cancel()
        timer.join()
        self.assertTrue(timer.finished.is_set())

    async def test_a_timer_that_never_started(self):
        """A timer that was only made."""
        timer = threading.Timer(1, self.fail)
        self.assertFalse(timer.is_alive())

    async def test_a_thread_in_the_background(self):
        """A thread that is meant to run on while the clock jumps."""
        stop = threading.Event()
        self.addCleanup(stop.set)
        with self.background():
            thread = threading.Thread(target=stop.wait, args=(30,), daemon=True)
            thread.start()
        await asyncio.sleep(1000)
        self.assertTrue(thread.is_alive())

    async def test_a_job_in_the_background(self):
        """A job that waits for what comes later in virtual time."""
        mailbox = queue.Queue()
        with self.background():
            job = asyncio.create_task(asyncio.to_thread(mailbox.get, True, 30))
        await asyncio.sleep(5)
        mailbox.put("mail")
        self.assertEqual(await job, "mail")

    async def test_local_data_of_threads(self):
        """threading.local() of a thread goes with it."""

        class Connection:
            """Something to be collected."""

        local, connections = threading.local(), []

        def use():
            local.connection = Connection()
            connections.append(weakref.ref(local.connection))

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        self.assertFalse(hasattr(local, "connection"))
        self.assertIsNone(connections[0]())

    async def test_locks_of_threads(self):
        """A counter under a lock, from four threads."""
        lock, counter = threading.Lock(), [0]

        def count():
            for _ in range(100):
                with lock:
                    counter[0] += 1

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(counter, [400])

    async def test_a_barrier_of_threads(self):
        """Jobs that wait for each other need as many threads."""
        barrier = threading.Barrier(3, timeout=30)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            waits = [self.loop.run_in_executor(pool, barrier.wait) for _ in range(3)]
            self.assertEqual(sorted(await asyncio.gather(*waits)), [0, 1, 2])

    async def test_a_handle_from_another_thread_is_cancelled(self):
        """A callback that a thread scheduled and took back."""
        calls = []

        def change_of_mind():
            self.loop.call_soon_threadsafe(calls.append, 1).cancel()

        await asyncio.to_thread(change_of_mind)
        await asyncio.sleep(0)
        self.assertEqual(calls, [])


class HeldClockTest(SolipsistTestCase):
    async def test_a_held_clock(self):
        """While the clock is held no timer fires; then it goes on."""
        rang = self.loop.create_future()
        self.loop.call_later(1, rang.set_result, "rang")
        with self.hold_clock():
            await asyncio.sleep(0)
            self.assertFalse(rang.done())
        self.assertEqual((await rang, self.now), ("rang", 1.0))

    async def test_a_clock_held_twice(self):
        """Holds nest, and an exception lets go of them."""
        with self.assertRaises(BufferError), self.hold_clock(), self.hold_clock():
            raise BufferError
        await asyncio.sleep(3)
        self.assertNow(3)


class BlockingCallTest(SolipsistTestCase):
    on_blocking_call = "ignore"
    on_slow_callback = "ignore"
    on_polling = "jump"

    async def test_a_short_sleep(self):
        """A class that lets blocking calls be hears nothing of them."""
        time.sleep(0.002)
        self.assertNow(0.002)

    async def test_a_wait_that_is_over_already(self):
        """Waiting in the loop's thread for what is there does not block."""
        event = threading.Event()
        event.set()
        self.assertTrue(event.wait())


class QuickCallTest(SolipsistTestCase):
    async def test_blocking_calls_that_do_not_block(self):
        """What could block but need not is no blocking call."""
        event, mailbox, lock = threading.Event(), queue.Queue(), threading.Lock()
        event.set()
        mailbox.put("there")
        with lock:
            self.assertEqual(mailbox.get_nowait(), "there")
        self.assertTrue(event.wait(0))
