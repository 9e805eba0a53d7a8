"""Jobs on other threads: the order of their results, jobs that wait for time, timers, and work that may run on."""

import _thread
import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import gc
import os
import pickle
import queue
import re
import signal
import threading
import time
import unittest
import weakref

from solipsism_unittest import RealTimeLimitError, SleepForeverError, SolipsistEventLoop, SolipsistTestCase, sealed
from solipsism_unittest.introspection.names import name_of
from solipsism_unittest.loop.selector import Limits
from solipsism_unittest.stdlib.threads.job import Work
from solipsism_unittest.stdlib.threads.jobs import Wakeups
from tests.stdlib.threads.test_workers import join_threads

# Under a name that is not its own it is the real one.
NAP = time.sleep
RUNS = int(os.environ.get("SOLIPSISM_RUNS", "300"))


def run(main, **options):
    with asyncio.Runner(loop_factory=lambda: SolipsistEventLoop(**options)) as runner:
        return runner.run(main)


def kinds(loop, kind):
    """The facts of the journal's records of one kind."""
    return [record.facts for record in loop.kernel.journal if record.kind == kind]


def spin(go_on):
    """Wait in a way that nobody sees."""
    while not go_on.is_set():
        pass


def outcome_of(case):
    """Run the one test of a TestCase class; return its result."""
    result = unittest.TestResult()
    case("test").run(result)
    return result


class OrderTest(unittest.TestCase):
    def test_a_long_job_beside_a_timeout(self):
        """A job sleeps in virtual time: a timeout that is longer does not strike, a shorter one does, and on time."""

        async def main():
            await asyncio.wait_for(asyncio.to_thread(time.sleep, 200), 201)
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(asyncio.to_thread(time.sleep, 50), 1)
            return asyncio.get_running_loop().time()

        self.assertEqual(run(main()), 201.0)

    def test_two_hundred_jobs(self):
        """The results of 200 jobs at once are delivered in the order of submission."""

        async def main():
            loop = asyncio.get_running_loop()
            seen = []
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                jobs = [loop.run_in_executor(pool, int, number) for number in range(200)]
                for job in jobs:
                    job.add_done_callback(lambda job: seen.append(job.result()))
                await asyncio.gather(*jobs)
            return seen

        self.assertEqual(run(main()), list(range(200)))

    def test_the_first_is_done_last(self):
        """Results come in the order in which the jobs end."""

        async def main():
            loop = asyncio.get_running_loop()
            second_done = threading.Event()
            seen = []
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                jobs = [loop.run_in_executor(pool, second_done.wait, 5), loop.run_in_executor(pool, second_done.set)]
                for number, job in enumerate(jobs):
                    job.add_done_callback(lambda job, number=number: seen.append(number))
                await asyncio.gather(*jobs)
            return seen, kinds(loop, "real-order")

        self.assertEqual(run(main()), ([1, 0], []))

    def test_a_job_that_waits_for_the_loop(self):
        """A job that waits for an Event which the loop sets after another job gets it."""

        async def main():
            loop = asyncio.get_running_loop()
            go_on = threading.Event()
            waiting = loop.run_in_executor(None, go_on.wait, 5)
            await asyncio.to_thread(int)
            go_on.set()
            return await waiting, kinds(loop, "real-order"), loop.time()

        self.assertEqual(run(main()), (True, [], 0.0))

    def test_a_job_is_an_effect(self):
        """The journal has each delivered job by the name of its function."""

        async def main():
            loop = asyncio.get_running_loop()
            await asyncio.to_thread(time.sleep, 0)
            await loop.run_in_executor(None, functools.partial(int, "7"))
            return kinds(loop, "job")

        self.assertEqual(run(main()), [("sleep",), ("functools.partial(int)",)])

    def test_a_program_that_spins_for_its_job(self):
        """A program that asks again and again whether its job is done gets the result."""

        async def main():
            job = asyncio.get_running_loop().run_in_executor(None, int, "7")
            while not job.done():
                await asyncio.sleep(0)
            return job.result()

        self.assertEqual(run(main()), 7)

    def test_a_program_that_spins_for_a_job_that_waits_for_it(self):
        """A spinning program is not kept from what its job waits for."""

        async def main():
            go_on = threading.Event()
            job = asyncio.get_running_loop().run_in_executor(None, go_on.wait, 5)
            for _ in range(3100):
                await asyncio.sleep(0)
            go_on.set()
            return await job

        self.assertTrue(run(main()))

    def test_a_result_that_nobody_wants_any_more(self):
        """A future that was resolved by somebody else keeps its result, and the job's own is dropped."""

        async def main():
            loop = asyncio.get_running_loop()
            job = loop.run_in_executor(None, int, "7")
            job.set_result("mine")
            await asyncio.sleep(1)
            return await job

        self.assertEqual(run(main()), "mine")

    def test_an_executor_with_futures_of_asyncio(self):
        """An executor whose submit() gives a future of asyncio works as it does on asyncio's own loop."""

        class Strange(concurrent.futures.Executor):
            def submit(self, fn, /, *args):
                future = asyncio.get_running_loop().create_future()
                future.get_loop().call_later(3, lambda: future.set_result(fn(*args)))
                return future

        async def main():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(Strange(), int, "7"), loop.time()

        self.assertEqual(run(main()), (7, 3.0))

    def test_long_queues_keep_their_order(self):
        """Jobs of a pool come when they end, two at a time, by the virtual time that each takes."""

        async def main():
            loop = asyncio.get_running_loop()
            seen = []
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                jobs = [loop.run_in_executor(pool, time.sleep, nap) for nap in (12, 1) * 4]
                for number, job in enumerate(jobs):
                    job.add_done_callback(lambda job, number=number: seen.append(number))
                await asyncio.gather(*jobs)
            return seen, loop.time(), kinds(loop, "real-order")

        self.assertEqual(run(main()), ([1, 0, 2, 3, 5, 4, 6, 7], 26.0, []))

    def test_more_jobs_that_wait_for_time_than_threads(self):
        """A job that no thread has taken does not keep from going on in time those for whose thread it waits."""

        async def main(count, threads):
            loop = asyncio.get_running_loop()

            def job(number):
                return asyncio.run_coroutine_threadsafe(asyncio.sleep(1, number), loop).result()

            with concurrent.futures.ThreadPoolExecutor(threads) as pool:
                results = await asyncio.gather(*[loop.run_in_executor(pool, job, n) for n in range(count)])
            return results, loop.time()

        self.assertEqual(run(main(2, 1)), ([0, 1], 2.0))
        self.assertEqual(run(main(5, 2)), ([0, 1, 2, 3, 4], 3.0))

    def test_a_thread_that_takes_long_to_begin(self):
        """Jobs whose thread is not ready yet hold the clock: a busy machine, an initializer, another interpreter."""

        def ask(pool):
            return [future.result() for future in [pool.submit(abs, number) for number in (-2, -1)]]

        async def main(pool):
            return await asyncio.wait_for(asyncio.to_thread(ask, pool), 9), asyncio.get_running_loop().time()

        for slow in (True, False):
            with concurrent.futures.ThreadPoolExecutor(1, initializer=time.sleep, initargs=(0.2 * slow,)) as pool:
                self.assertEqual(run(main(pool)), ([2, 1], 0.0))

    def test_an_executor_without_threads(self):
        """An executor that does the job at once, in the loop's thread, works."""

        class Inline(concurrent.futures.Executor):
            def submit(self, fn, /, *args):
                future = concurrent.futures.Future()
                future.set_result(fn(*args))
                return future

        async def main():
            loop = asyncio.get_running_loop()
            inner = Inline()
            return await loop.run_in_executor(Inline(), lambda: inner.submit(Work(None, int).__wrapped__, "7").result())

        self.assertEqual(run(main()), 7)

    def test_another_process_gets_the_plain_function(self):
        """What is pickled of a job is its function."""
        self.assertEqual(pickle.loads(pickle.dumps(Work(None, int)))("7"), 7)

    def test_names(self):
        """A job is called by its function, to_thread's by the one that it was given, an object by its class."""
        self.assertEqual(name_of(functools.partial(threading.Timer)), "functools.partial(Timer)")
        self.assertEqual(name_of(self), "OrderTest")

    def test_one_worker(self):
        """One thread does a thousand jobs one after the other: what it looks for between them is no polling."""
        async def main():
            for _ in range(1000):
                await asyncio.to_thread(int)
            loop = asyncio.get_running_loop()
            return len(loop._default_executor._threads), loop.time()

        self.assertEqual(run(main()), (1, 0.0))

    def test_what_comes_first(self):
        """What a job has handed to the loop by itself is done before its result is there, a timer's callback too."""
        async def main():
            loop, order = asyncio.get_running_loop(), []
            await asyncio.to_thread(loop.call_soon_threadsafe, order.append, "call")
            order.append("result")
            loop.call_later(1, order.append, "timer")
            await asyncio.to_thread(time.sleep, 1)
            return [*order, "result"]

        self.assertEqual(run(main()), ["call", "result", "timer", "result"])

    def test_one_journal(self):
        """Eight racing timers and four executor jobs give one journal in 300 runs (SOLIPSISM_RUNS sets how many)."""

        async def one(number):
            await asyncio.sleep(number % 3)
            if number % 2:
                await asyncio.to_thread(sum, range(number * 1000))
            await asyncio.sleep(number % 4)

        async def main():
            loop = asyncio.get_running_loop()
            await asyncio.gather(*[one(number) for number in range(8)])
            return loop.kernel.journal.digest, bool(kinds(loop, "real-order"))

        # Where a job got no processor for 50 ms, the journal says that the order was real.
        runs = [run(main()) for _ in range(RUNS)]
        self.assertEqual(len({digest for digest, is_real in runs if not is_real}), 1)


class Elsewhere(concurrent.futures.Executor):
    """Its jobs are somewhere else, as in another process: whoever has their futures ends them."""

    def __init__(self):
        self.futures = []

    def submit(self, fn, /, *args):
        self.futures.append(concurrent.futures.Future())
        return self.futures[-1]


class ElsewhereTest(unittest.TestCase):
    def test_results_of_which_others_come(self):
        """Results come though other jobs go on, which may wait for what the loop does on them; the journal says so."""

        async def main(order):
            loop, pool, seen = asyncio.get_running_loop(), Elsewhere(), []
            jobs = [loop.run_in_executor(pool, print) for _ in order]
            for job in jobs:
                job.add_done_callback(lambda job: seen.append(job.result()))
            for at_once in order:
                for number in at_once:
                    pool.futures[number].set_result(number)
                await asyncio.gather(*(jobs[number] for number in at_once))
            return seen, [text for record in loop.kernel.journal if record.kind == "real-order"
                          for text in re.findall(r"(\d) delivered before (\d) unfinished jobs?", str(record))]

        for order, seen, notes in ((((0,), (1,), (2,)), [0, 1, 2], [("1", "2"), ("1", "1")]),
                                   (((2,), (1,), (0,)), [2, 1, 0], [("1", "2"), ("1", "1")]),
                                   (((2, 0), (1,), ()), [0, 2, 1], [("1", "1"), ("1", "1")])):
            with self.subTest(order):
                self.assertEqual(run(main(order)), (seen, notes))

    def test_a_program_that_spins_for_one(self):
        """It is given real time to end, again and again."""
        pool, turns = Elsewhere(), [0]

        def end():
            while turns[0] < 1500:  # it is not over at the first look
                NAP(0.001)
            pool.futures[0].set_result("over")

        async def main():
            job = asyncio.get_running_loop().run_in_executor(pool, print)
            while not job.done():
                turns[0] += 1
                await asyncio.sleep(0)
            return job.result()

        stranger = threading.Thread(target=end)
        stranger.start()
        self.assertEqual(run(main()), "over")
        stranger.join()


class WakeupsTest(unittest.TestCase):
    def test_calls_that_nobody_has_seen_are_one(self):
        """Two calls are taken by one look; then nobody calls."""
        wakeups = Wakeups()
        self.assertTrue(wakeups.empty())
        wakeups.put(None)
        wakeups.put(None)
        self.assertFalse(wakeups.empty())
        self.assertEqual((wakeups.take(False), wakeups.empty(), wakeups.take(False)), (True, True, False))

    @unittest.skipUnless(threading.current_thread() is threading.main_thread(), "signals come to the main thread")
    def test_signals_at_the_end_of_a_wait(self):
        """A wait of a millisecond ends, whenever a signal handler runs beside it."""
        wakeups, waited = Wakeups(), 0
        rescue = threading.Timer(60, wakeups.put, (None,))
        self.addCleanup(rescue.join)
        self.addCleanup(rescue.cancel)
        rescue.start()
        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, lambda *signal: None))
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.00037)
        for _ in range(400):
            try:
                wakeups.get(timeout=0.001)
            except queue.Empty:
                waited += 1
        self.assertEqual(waited, 400)


class Thing:
    """What a job hands over."""


class ThingError(Exception):
    """The same as an error."""


def fail():
    raise ThingError


class LifetimeTest(SolipsistTestCase):
    """The result of a job lives as long as the program holds it, and no collection is needed to end it."""

    def setUp(self):
        gc.disable()
        self.addCleanup(gc.enable)
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.addCleanup(self.pool.shutdown)

    def jobs(self):
        loop = asyncio.get_running_loop()
        return (lambda function: asyncio.to_thread(function),
                lambda function: loop.run_in_executor(None, function),
                lambda function: loop.run_in_executor(self.pool, function),
                lambda function: asyncio.wrap_future(self.pool.submit(function)))

    async def test_results(self):
        """It is gone when the program lets go of it, whatever the way to a thread."""
        for number, begin in enumerate(self.jobs()):
            for turn in range(3):
                thing = weakref.ref(await begin(Thing))
                await begin(int)  # a worker keeps its last result until it has the next, as Python's own pools do
                self.assertIsNone(thing(), (number, turn))

    async def test_errors(self):
        """An error is gone with the frames that it came through."""
        for number, begin in enumerate(self.jobs()):
            for turn in range(3):
                try:
                    await begin(fail)
                except ThingError as error:
                    error.__traceback__ = None
                    thing = weakref.ref(error)
                await begin(int)
                self.assertIsNone(thing(), (number, turn))

    async def test_nobody_waits(self):
        """A result that nobody waits for any more is gone as well."""
        things = []

        def make():
            thing = Thing()
            things.append(weakref.ref(thing))
            return thing

        for number, begin in enumerate(self.jobs()):
            future = asyncio.ensure_future(begin(make))
            await asyncio.sleep(0)
            future.cancel()
            await asyncio.wait([future])
            del future
            await begin(int)
            await asyncio.sleep(1)
            self.assertTrue(all(thing() is None for thing in things), number)


class LettingGoTest(unittest.TestCase):
    def test_a_job_that_waits_for_virtual_time(self):
        """A job that blocks in run_coroutine_threadsafe(...).result() lets time go on."""

        async def main():
            loop = asyncio.get_running_loop()

            def job():
                asyncio.run_coroutine_threadsafe(asyncio.sleep(5), loop).result()
                time.sleep(0.25)
                return loop.time()

            return await asyncio.wait_for(asyncio.to_thread(job), 5.5), loop.time()

        self.assertEqual(run(main()), (5.25, 5.25))

    def test_a_job_that_asks_for_the_exception(self):
        """exception() lets go as result() does."""

        async def fail():
            await asyncio.sleep(5)
            raise ZeroDivisionError

        async def main():
            loop = asyncio.get_running_loop()
            return await asyncio.to_thread(lambda: type(asyncio.run_coroutine_threadsafe(fail(), loop).exception()))

        self.assertIs(run(main()), ZeroDivisionError)

    def test_a_job_that_waits_for_several(self):
        """concurrent.futures.wait() and as_completed() of a job let go, and each result comes at its time."""

        async def main():
            loop = asyncio.get_running_loop()

            def sleeping(*delays):
                return [asyncio.run_coroutine_threadsafe(asyncio.sleep(delay, delay), loop) for delay in delays]

            def job():
                done, pending = concurrent.futures.wait(sleeping(3, 7), return_when="FIRST_COMPLETED")
                first = loop.time()
                concurrent.futures.wait(pending)
                second = loop.time()
                order = [future.result() for future in concurrent.futures.as_completed(sleeping(2, 1))]
                return first, second, order

            return await asyncio.to_thread(job), loop.time()

        self.assertEqual(run(main()), ((3.0, 7.0, [1, 2]), 9.0))

    def test_a_job_of_a_job(self):
        """A job that waits for a job of its own takes as long as that."""

        async def main():
            def outer():
                with concurrent.futures.ThreadPoolExecutor(1) as pool:
                    return pool.submit(lambda: time.sleep(3) or "inner").result()

            return await asyncio.wait_for(asyncio.to_thread(outer), 4), asyncio.get_running_loop().time()

        self.assertEqual(run(main()), ("inner", 3.0))

    def test_outside_of_a_job(self):
        """A sealed thread may wait for what a thread of no world brings."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        future = concurrent.futures.Future()
        threading.Timer(0.001, future.set_result, (7,)).start()
        with sealed(loop):
            done, _ = concurrent.futures.wait([future])
        self.assertEqual(done, {future})

    def test_a_background_job_that_waits(self):
        """A job of the background that blocks in result() does not hold the clock afterwards either."""

        async def main():
            loop = asyncio.get_running_loop()
            go_on = threading.Event()

            def job():
                asyncio.run_coroutine_threadsafe(asyncio.sleep(5), loop).result()
                return go_on.wait(5)

            with loop.background():
                waiting = loop.run_in_executor(None, job)
            await asyncio.sleep(60)
            go_on.set()
            return await waiting

        self.assertTrue(run(main()))

    def test_jobs_on_one_thread_nest(self):
        """A job that runs another on its own thread is the thread's job again afterwards."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        jobs = loop.world.jobs
        outer, inner = jobs.begin("outer", None), jobs.begin("inner", None)

        def work():
            self.assertIs(inner.run(jobs.current, (), {}), inner)
            return jobs.current()

        self.assertIs(outer.run(work, (), {}), outer)
        self.assertIsNone(jobs.current())


class SubmitTest(unittest.TestCase):
    def test_a_job_that_was_submitted_by_hand(self):
        """A job that was given to a thread pool without the loop lives in virtual time too."""

        async def main():
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                job = pool.submit(lambda: time.sleep(3) or "done")
                return await asyncio.wait_for(asyncio.wrap_future(job), 4), asyncio.get_running_loop().time()

        self.assertEqual(run(main()), ("done", 3.0))

    def test_a_pool_from_before(self):
        """A job on a thread that is older than the world takes turns too, and holds the clock until it has begun."""

        async def main(pool):
            loop, events = asyncio.get_running_loop(), []

            def job(number):
                time.sleep(number)
                events.append((number, loop.time()))

            first = [loop.run_in_executor(pool, job, number) for number in (3, 1, 2)]
            second = [pool.submit(job, number) for number in (2, 1)]
            await asyncio.gather(*first, *map(asyncio.wrap_future, second))
            return events

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            pool.submit(int).result()
            self.assertEqual(run(main(pool)), [(1, 1.0), (3, 3.0), (2, 3.0), (1, 4.0), (2, 5.0)])

    def test_one_thread_from_before(self):
        """A job alone on such a thread, which finds the loop waiting for it, waits in virtual time."""

        async def main(pool):
            await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 20)
            return asyncio.get_running_loop().time()

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()
            self.assertEqual(run(main(pool)), 20.0)

    def test_a_pool_that_puts_its_jobs_into_others(self):
        """A job of a pool from before that waits first, as the pool has it, waits in virtual time: no clock is held."""

        class Slow(concurrent.futures.ThreadPoolExecutor):
            def submit(self, function, /, *args):
                def later(*args):
                    time.sleep(0.05)
                    return function(*args)

                return super().submit(later, *args)

        async def main():
            loop = asyncio.get_running_loop()
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(loop.run_in_executor(pool, pow, 2, 3), 0.01)
            self.assertEqual(loop.time(), 0.01)
            return await asyncio.gather(*(loop.run_in_executor(pool, pow, 2, n) for n in range(4))), loop.time()

        for inside in (False, True):
            pool = Slow(2)
            with self.subTest(inside=inside), contextlib.ExitStack() as stack:
                loop = SolipsistEventLoop()
                stack.callback(loop.close)
                if inside:
                    with sealed(loop):
                        pool = Slow(2)
                results, now = loop.run_until_complete(main())
                self.assertEqual(results, [1, 2, 4, 8])
                self.assertAlmostEqual(now, 0.15)
            pool.shutdown()

    def test_a_job_that_gives_another_to_another_pool(self):
        """What a pool's submit() gives to another pool is a job beside the one in hand, which holds the clock."""

        class Noting(concurrent.futures.ThreadPoolExecutor):
            def submit(self, function, /, *args):
                log.submit(time.sleep, 1)
                return super().submit(function, *args)

        async def main():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(pool, pow, 2, 3), loop.time()

        with Noting(1) as pool, concurrent.futures.ThreadPoolExecutor(1) as log:
            self.assertEqual(run(main()), (8, 0.0))

    def test_an_executor_of_the_program(self):
        """One whose threads wait before they run a job does so in virtual time, however it says that they have begun.
        """

        class Own(concurrent.futures.Executor):
            def __init__(self, tells):
                self.tells = tells

            def submit(self, function, /, *args):
                future = concurrent.futures.Future()

                def work():
                    if self.tells:
                        future.set_running_or_notify_cancel()
                    time.sleep(0.05)
                    future.set_result(function(*args))

                threading.Thread(target=work).start()
                return future

        async def main(pool):
            loop = asyncio.get_running_loop()
            return await asyncio.gather(*(loop.run_in_executor(pool, pow, 2, n) for n in range(4))), loop.time()

        for tells in (False, True):
            with self.subTest(tells=tells):
                self.assertEqual(run(main(Own(tells))), ([1, 2, 4, 8], 0.05))

    def test_who_else_could_act(self):
        """Where a thread of nobody's may bring a result, one that waits for time does not make the clock go on."""

        async def main():
            loop = asyncio.get_running_loop()
            thread = threading.Thread(target=time.sleep, args=(1,))
            thread.start()
            await loop.settle()
            found = loop.world.baton.only_time_acts()
            await asyncio.to_thread(thread.join)
            return found

        def act():
            begun.release()
            go_on.acquire()

        self.assertTrue(run(main()))
        for start in (threading.Thread(target=act).start, lambda: _thread.start_new_thread(act, ())):
            begun, go_on = _thread.allocate_lock(), _thread.allocate_lock()
            begun.acquire()
            go_on.acquire()
            start()
            begun.acquire()
            self.assertFalse(run(main()))
            go_on.release()

    def test_a_pool_that_refuses(self):
        """A pool that takes no job any more raises, and nothing holds the clock then."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        pool = concurrent.futures.ThreadPoolExecutor(1)
        pool.shutdown()
        with sealed(loop), self.assertRaises(RuntimeError):
            pool.submit(print)
        self.assertEqual(loop.kernel.clock.holds, {})

    def test_a_job_that_is_done_at_once(self):
        """A job that is done before anybody looks holds nothing."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        done = concurrent.futures.Future()
        done.set_result(None)
        job = loop.world.jobs.begin("a job", None)
        loop.world.jobs.accompany(job, done)
        self.assertEqual(loop.kernel.clock.holds, {})
        job.hold()
        self.assertEqual(loop.kernel.clock.holds, {})


class TimerTest(unittest.TestCase):
    def test_a_timer_that_wakes_the_loop(self):
        """A threading.Timer fires at its virtual time."""

        async def main():
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            threading.Timer(0.1, loop.call_soon_threadsafe, (future.set_result, "fired")).start()
            return await asyncio.wait_for(future, 60), loop.time()

        self.assertEqual(run(main()), ("fired", 0.1))

    def test_a_timer_that_is_cancelled(self):
        """A threading.Timer that was cancelled ends at once."""

        async def main():
            loop = asyncio.get_running_loop()
            timer = threading.Timer(60, print)
            timer.start()
            await asyncio.sleep(3)
            timer.cancel()
            timer.join()
            return loop.time()

        self.assertEqual(run(main()), 3.0)

    def test_a_timer_that_waits_for_virtual_time(self):
        """What a threading.Timer calls lets go of the clock in result(), as a job does."""

        async def main():
            loop = asyncio.get_running_loop()
            future = loop.create_future()

            def fire():
                asyncio.run_coroutine_threadsafe(asyncio.sleep(5), loop).result()
                loop.call_soon_threadsafe(future.set_result, loop.time())

            threading.Timer(0, fire).start()
            return await asyncio.wait_for(future, 60)

        self.assertEqual(run(main()), 5.0)

    def test_a_timer_outside(self):
        """A threading.Timer of a thread that is not sealed holds nobody's clock."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        timer = threading.Timer(60, print)
        timer.start()
        self.addCleanup(timer.cancel)
        self.assertEqual(loop.kernel.clock.holds, {})

    def test_threads_that_cannot_be_started(self):
        """A timer or a thread that could not be started holds nothing and is not waited for."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        threads = [threading.Timer(60, print), threading.Thread(target=print)]

        def refuse(*args, **kwargs):
            raise RuntimeError("can't start new thread")

        start = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"
        before = getattr(threading, start)
        setattr(threading, start, refuse)
        try:
            with sealed(loop):
                other = loop.world.jobs.begin("another job", None)
                for thread in threads:
                    with self.assertRaisesRegex(RuntimeError, "can't start"):
                        thread.start()
        finally:
            setattr(threading, start, before)
        self.assertEqual((list(loop.kernel.clock.holds), loop.world.jobs.started), ([other], {}))


class TooLongTest(unittest.TestCase):
    def setUp(self):
        join_threads(self)

    def test_a_job_that_never_ends(self):
        """A job that was waited for too long is named with the lines where its thread stands; the runner that closes
        does not wait for it again.
        """
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def stubborn():
            while not go_on.is_set():
                pass

        async def main():
            asyncio.get_running_loop().selector.limits = Limits(real_seconds=0.01)
            try:
                await asyncio.to_thread(stubborn)
            finally:
                await asyncio.sleep(10)

        with self.assertRaisesRegex(
            RealTimeLimitError,
            r"a thread does not answer at t=0\.0: 1 task\n  waited 0\.01 real seconds for thread asyncio_0 started at "
            r"\S*test_jobs\.py:\d+ in \S*main, stands at\n(      .*\n)*?      \S*test_jobs\.py:\d+ in \S*stubborn\n",
        ):
            run(main())

    def test_a_default_executor_that_does_not_end(self):
        """A runner that closes gives a job up that never ends, and says so to the exception handler."""
        go_on = threading.Event()
        self.addCleanup(go_on.set)
        told = []

        async def main():
            loop = asyncio.get_running_loop()
            loop.selector.limits = Limits(real_seconds=0.01)
            loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))
            loop.run_in_executor(None, spin, go_on)

        run(main())
        self.assertEqual([type(error) for error in told], [RealTimeLimitError])

    def test_a_default_executor_that_waits_for_ever(self):
        """A job that nothing can wake is a hang of the runner that closes, and it is struck."""
        go_on, told = threading.Event(), []

        async def main():
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))
            loop.run_in_executor(None, go_on.wait)

        run(main())
        self.assertEqual([type(error) for error in told], [SleepForeverError])

    def test_a_job_that_no_thread_has_taken(self):
        """A job that waits for a free thread stands nowhere."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        self.assertEqual(repr(loop.world.jobs.begin("a job", None)), "<Hold: a job>")

    def test_an_executor_that_ends_after_all(self):
        """The end of an executor that nobody waits for any more changes nothing."""
        go_on = threading.Event()
        before = threading.enumerate()

        async def main():
            loop = asyncio.get_running_loop()
            loop.selector.limits = Limits(real_seconds=0.01)
            loop.run_in_executor(None, spin, go_on)
            try:
                await loop.shutdown_default_executor()
            finally:
                go_on.set()
                for thread in set(threading.enumerate()).difference(before):
                    thread.join(5)
                await asyncio.sleep(0)

        with self.assertRaises(RealTimeLimitError):
            run(main())

    def test_an_executor_that_fails_to_shut_down(self):
        """What shutdown() of the default executor raises comes out of shutdown_default_executor()."""

        class Broken(concurrent.futures.ThreadPoolExecutor):
            def shutdown(self, wait=True, *, cancel_futures=False):
                raise ZeroDivisionError

        async def main():
            loop = asyncio.get_running_loop()
            loop.set_default_executor(Broken(1))
            with self.assertRaises(ZeroDivisionError):
                await loop.shutdown_default_executor()
            loop._default_executor = None

        run(main())


class BackgroundTest(unittest.TestCase):
    def setUp(self):
        join_threads(self)

    def test_a_job_does_not_hold_the_clock(self):
        """A job that is started in background() lets time go on; its result comes when it comes."""

        async def main():
            loop = asyncio.get_running_loop()
            go_on = threading.Event()
            with loop.background():
                job = loop.run_in_executor(None, go_on.wait, 5)
            await asyncio.sleep(60)
            go_on.set()
            return await job, loop.time()

        self.assertEqual(run(main()), (True, 60.0))

    def test_a_task_passes_it_on(self):
        """A job of a task that was started in background() is meant too; one of a task beside it is not."""

        async def main():
            loop = asyncio.get_running_loop()
            go_on = threading.Event()
            with loop.background():
                task = asyncio.create_task(asyncio.to_thread(go_on.wait, 5))
                other = loop.create_task(asyncio.to_thread(time.sleep, 0.001), context=ordinary)
                await asyncio.sleep(60)
            held = loop.time()
            go_on.set()
            await asyncio.gather(task, other)
            return held, kinds(loop, "job")

        ordinary = contextvars.copy_context()
        held, jobs = run(main())
        self.assertEqual((held, jobs), (60.0, [("sleep",), ("Event.wait",)]))

    def test_a_timer_does_not_hold_the_clock(self):
        """A threading.Timer that is started in background() lets time go on."""

        async def main():
            loop = asyncio.get_running_loop()
            timer = threading.Timer(60, print)
            with loop.background():
                timer.start()
            await asyncio.sleep(60)
            timer.cancel()
            return loop.time()

        self.assertEqual(run(main()), 60.0)

    def test_what_is_left_in_it_is_no_leak(self):
        """A task, a timer, a handle, a server and a thread that are started in background() may be left."""
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        class Case(SolipsistTestCase):
            async def test(self):
                with self.background():
                    threading.Thread(target=go_on.wait, args=(60,)).start()
                    asyncio.create_task(asyncio.sleep(5))
                    self.loop.call_later(5, print)
                    await asyncio.start_server(lambda *pair: None, "localhost", 80)
                    self.loop.call_soon(self.spin)

            def spin(self):
                self.loop.call_soon(self.spin)

        result = outcome_of(Case)
        self.assertEqual((result.failures, result.errors), ([], []))

    def test_what_is_left_beside_it_is_a_leak(self):
        """What is started after background() counts as before."""

        class Case(SolipsistTestCase):
            async def test(self):
                with self.background():
                    pass
                self.loop.call_later(5, print)

        self.assertRegex(outcome_of(Case).failures[0][1], "the test left 1 thing behind")

    def test_a_hang_beside_it(self):
        """A job in the background that nobody awaits does not keep a hang from being found."""
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        async def main():
            loop = asyncio.get_running_loop()
            with loop.background():
                loop.run_in_executor(None, spin, go_on)
            try:
                await loop.create_future()
            finally:
                go_on.set()

        with self.assertRaises(SleepForeverError):
            run(main())


class HoldingTest(unittest.TestCase):
    def test_from_another_thread(self):
        """hold_clock() of the loop and of the test case work from a thread that is not the loop's."""
        test = self

        class Case(SolipsistTestCase):
            async def test(self):
                seen = []

                def other():
                    with self.hold_clock(), self.loop.hold_clock():
                        seen.append(len(self.loop.kernel.clock.holds))

                thread = threading.Thread(target=other)
                thread.start()
                thread.join()
                test.assertEqual((seen, self.loop.kernel.clock.holds), ([2], {}))

        result = outcome_of(Case)
        self.assertEqual((result.failures, result.errors), ([], []))

    def test_a_hold_outlives_its_thread(self):
        """A hold that a thread has taken and not released keeps holding when it ends: its `with` block ends it."""

        async def main():
            loop = asyncio.get_running_loop()
            holding = loop.hold_clock()
            thread = threading.Thread(target=holding.__enter__)
            thread.start()
            thread.join()
            held = len(loop.kernel.clock.holds)
            holding.__exit__(None, None, None)
            await asyncio.sleep(3)
            return held, loop.time()

        self.assertEqual(run(main()), (1, 3.0))


class ExecutorFactoryTest(unittest.TestCase):
    def test_the_default_executor_of_each_test(self):
        """executor_factory() gives the default executor, whatever its kind, and it is shut down at the end."""
        ended = []

        class Mine(concurrent.futures.Executor):
            def submit(self, fn, /, *args):
                future = concurrent.futures.Future()
                future.set_result(("mine", fn(*args)))
                return future

            def shutdown(self, wait=True, *, cancel_futures=False):
                ended.append(wait)

        class Case(SolipsistTestCase):
            def executor_factory(self):
                return Mine()

            async def test(self):
                self.assertEqual(await asyncio.to_thread(int, "7"), ("mine", 7))

        result = outcome_of(Case)
        self.assertEqual((result.failures, result.errors, ended[:1]), ([], [], [True]))

    def test_that_of_the_base(self):
        """The one that is there without an override gives None, which is asyncio's own."""
        given = []

        class Case(SolipsistTestCase):
            def executor_factory(self):
                given.append(super().executor_factory())
                return given[0]

            async def test(self):
                self.assertEqual(await asyncio.to_thread(int, "7"), 7)

        result = outcome_of(Case)
        self.assertEqual((result.failures, result.errors, given), ([], [], [None]))

    def test_on_another_loop(self):
        """executor_factory() works on a loop of another kind."""

        class Case(SolipsistTestCase):
            loop_factory = asyncio.SelectorEventLoop

            def executor_factory(self):
                return concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine")

            async def test(self):
                self.assertEqual(await asyncio.to_thread(lambda: threading.current_thread().name), "mine_0")

        result = outcome_of(Case)
        self.assertEqual((result.failures, result.errors), ([], []))

    def test_what_is_no_executor(self):
        """executor_factory() that gives something else is an error that names it."""

        class Case(SolipsistTestCase):
            def executor_factory(self):
                return 7

            async def test(self):
                """Does nothing."""

        self.assertIn("gave 7, which is no executor", outcome_of(Case).errors[0][1])
