"""Other threads: jobs and threads live in virtual time, and every thread can wake the loop."""

import asyncio
import concurrent.futures
import contextlib
import math
import multiprocessing
import queue
import socket
import sys
import threading
import time
import unittest

from solipsism_unittest import RealTimeLimitError, SleepForeverError, SolipsistEventLoop, VirtualTimeLimitError, sealed
from solipsism_unittest.introspection.threads import called, stack, waits
from solipsism_unittest.kernel.clock import VirtualClock
from solipsism_unittest.loop.selector import Limits
from solipsism_unittest.loop.stuck import limit_virtual_time
from solipsism_unittest.stdlib.threads.pacing.baton import really
from solipsism_unittest.stdlib.threads.workers import LINGER, WAKE_UPS, let_jobs_end, let_ready_run


def run(main, **options):
    with asyncio.Runner(loop_factory=lambda: SolipsistEventLoop(**options)) as runner:
        return runner.run(main)


def on_a_thread(function, *args):
    """Start a thread and return it."""
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread


class ExecutorTest(unittest.TestCase):
    def test_a_job_costs_the_time_that_it_sleeps(self):
        """A job beside a timeout that is longer than its sleep is in time; one beside a shorter one is late."""

        async def main(limit):
            async with asyncio.timeout(limit):
                result = await asyncio.to_thread(lambda: time.sleep(0.01) or "done")
            return result, asyncio.get_running_loop().time()

        self.assertEqual(run(main(0.011)), ("done", 0.01))
        with self.assertRaises(TimeoutError):
            run(main(0.009))

    def test_a_job_that_works_costs_no_virtual_time(self):
        """A job that takes real time, and does not wait for anything, holds the clock."""

        async def main():
            async with asyncio.timeout(0.0001):
                result = await asyncio.to_thread(sum, range(100_000))
            return result, asyncio.get_running_loop().time()

        self.assertEqual(run(main()), (4999950000, 0.0))

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
        """shutdown_default_executor() waits for running jobs in virtual time."""

        async def main():
            loop = asyncio.get_running_loop()
            done = []
            loop.run_in_executor(None, lambda: time.sleep(0.01) or done.append(1))
            await loop.shutdown_default_executor()
            with self.assertRaisesRegex(RuntimeError, "shutdown"):
                loop.run_in_executor(None, print)
            return done, loop.time()

        self.assertEqual(run(main()), ([1], 0.01))

    def test_shutting_down_takes_a_limit_that_cannot_pass(self):
        """shutdown_default_executor(timeout) still joins: a virtual limit would be over at once."""

        async def main():
            loop = asyncio.get_running_loop()
            done = []
            loop.run_in_executor(None, lambda: time.sleep(0.01) or done.append(1))
            await loop.shutdown_default_executor(0.001)
            return done

        self.assertEqual(run(main()), [1])

    def test_from_outside(self):
        """A job that is given to a loop which does not run, from outside of its world, runs in that world."""
        loop = SolipsistEventLoop(start_time=7.0)
        self.addCleanup(loop.close)
        self.assertEqual(loop.run_until_complete(loop.run_in_executor(None, lambda: time.monotonic())), 7.0)

    def test_a_job_that_outlives_its_loop(self):
        """A job that ends after its loop was closed lets go of the clock, and raises nothing."""
        loop = SolipsistEventLoop()
        go_on = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:

            async def main():
                loop.run_in_executor(pool, go_on.wait, 5).cancel()

            loop.run_until_complete(main())
            loop.close()
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
        loop.selector.limits = Limits(real_seconds=0.01)

        class Elsewhere(concurrent.futures.Executor):
            """Nothing comes of what it is given."""

            def submit(self, function, /, *args, **kwargs):
                return concurrent.futures.Future()

        async def main():
            await loop.run_in_executor(Elsewhere(), print)

        with self.assertRaisesRegex(
            RealTimeLimitError,
            r"^what holds the clock does not let go at t=0\.0: 1 task\n  waited 0\.01 real seconds for <Hold: "
            r"executor job print made at \S*test_workers\.py:\d+ in \S*main>\n  Task-1 \(",
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


class Requests(threading.Thread):
    """A library's own worker thread: requests come by a queue, and results go by call_soon_threadsafe()."""

    def __init__(self, requests):
        super().__init__(daemon=True, name="requests")
        self.requests = requests

    def run(self):
        while True:
            item = self.requests.get()
            if item is None:
                break
            future, function = item
            try:
                call = future.set_result, function()
            except Exception as error:
                call = future.set_exception, error
            with contextlib.suppress(RuntimeError):  # the loop is closed
                future.get_loop().call_soon_threadsafe(*call)

    async def request(self, function):
        future = asyncio.get_running_loop().create_future()
        self.requests.put((future, function))
        return await future


def join_threads(case):
    """At the end of a test, join every thread that it has started."""
    before = threading.enumerate()

    def join():
        for thread in threading.enumerate():
            if isinstance(thread, Requests):
                thread.requests.put(None)
            if thread not in before:
                thread.join(5)

    case.addCleanup(join)


class LibraryTest(unittest.TestCase):
    KINDS = (queue.SimpleQueue, queue.Queue)

    def setUp(self):
        join_threads(self)

    def test_a_request(self):
        """A request to a library's own thread takes the time that the thread waits, beside a timeout of the loop."""

        async def main(kind):
            worker = Requests(kind())
            worker.start()
            async with asyncio.timeout(9):
                result = await worker.request(lambda: time.sleep(0.01) or "result")
            with self.assertRaises(ZeroDivisionError):
                await asyncio.wait_for(worker.request(lambda: 1 / 0), 9)
            worker.requests.put(None)
            return result, asyncio.get_running_loop().time()

        for kind in self.KINDS:
            with self.subTest(kind):
                self.assertEqual(run(main(kind)), ("result", 0.01))

    def test_many_requests(self):
        """Requests by several tasks beside timers all come back, and time moves by the timers alone."""

        async def one(worker, number):
            await asyncio.sleep(number)
            return await asyncio.wait_for(worker.request(lambda: number), 0.5)

        async def main(kind):
            worker = Requests(kind())
            worker.start()
            results = await asyncio.gather(*[one(worker, number % 5) for number in range(50)])
            worker.requests.put(None)
            return results, asyncio.get_running_loop().time()

        for kind in self.KINDS:
            with self.subTest(kind):
                self.assertEqual(run(main(kind)), ([number % 5 for number in range(50)], 4.0))

    def test_a_thread_that_only_waits(self):
        """A thread that waits for requests does not hold the clock, though somebody waits for a future in its reach."""

        async def main():
            worker = Requests(queue.SimpleQueue())
            worker.start()
            worker.later = asyncio.get_running_loop().create_future()
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(worker.later, 9)
            worker.later = asyncio.get_running_loop().create_future()
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(worker.later, 9)
            worker.requests.put(None)
            return asyncio.get_running_loop().time()

        self.assertEqual(run(main()), 18.0)

    def test_a_thread_that_sleeps_again_and_again(self):
        """A thread that has nothing of the loop in hand sleeps in the same time."""

        async def main(nap):
            over, naps = threading.Event(), []

            def work():
                while not over.is_set():
                    time.sleep(nap)
                    naps.append(time.monotonic())

            thread = on_a_thread(work)
            await asyncio.sleep(60)
            over.set()
            thread.join()
            return naps

        for nap in (7, 0.5):
            with self.subTest(nap):
                naps = run(main(nap))
                self.assertEqual(naps, [nap * (number + 1) for number in range(len(naps))])
                self.assertEqual(len(naps), math.ceil(60 / nap))

    def test_a_thread_that_does_not_answer(self):
        """A request that takes longer than the real time allowed is an error that names the thread and its lines."""
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def spin():
            while not go_on.is_set():
                pass

        async def main():
            asyncio.get_running_loop().selector.limits = Limits(real_seconds=0.02)
            worker = Requests(queue.SimpleQueue())
            worker.start()
            try:
                await worker.request(spin)
            finally:
                worker.requests.put(None)
                await asyncio.sleep(1)

        with self.assertRaisesRegex(
            RealTimeLimitError,
            r"^a thread does not answer at t=0\.0: 1 task\n  waited 0\.02 real seconds for thread requests started "
            r"at \S*test_workers\.py:\d+ in \S*, stands at\n      \S*test_workers\.py:\d+ in Requests\.run\n"
            r"(      .*\n)*  a thread that is meant to run on is started in `with background\(\):`\n",
        ):
            run(main())

    def test_a_request_behind_a_thread_that_waits(self):
        """A thread that waits for something else cannot take the request: that is a hang, found at once."""
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        async def main():
            worker = Requests(queue.SimpleQueue())
            worker.start()
            worker.requests.put((asyncio.get_running_loop().create_future(), go_on.wait))
            worker.requests.put(None)
            await worker.request(int)

        with self.assertRaisesRegex(SleepForeverError, r"^nothing can wake the program at t=0\.0: 1 task\n"
                                    r"  thread requests started at \S+ in \S+ waits in Event\.wait\(\), stands at\n"):
            run(main())

    def test_a_thread_that_may_wake_the_program(self):
        """When only a thread can wake the program, time goes on to where it does."""

        async def main():
            loop = asyncio.get_running_loop()
            event = asyncio.Event()
            on_a_thread(lambda: time.sleep(0.05) or loop.call_soon_threadsafe(event.set))
            await event.wait()
            return loop.time()

        self.assertEqual(run(main()), 0.05)

    def test_what_a_thread_sends(self):
        """Bytes that a thread sends itself on a virtual socket arrive, though nothing else wakes the loop."""

        async def main():
            loop = asyncio.get_running_loop()
            one, two = socket.socketpair()
            with one, two:
                one.setblocking(False)
                thread = on_a_thread(lambda: time.sleep(0.01) or two.send(b"hello"))
                data = await loop.sock_recv(one, 9)
                thread.join()
            return data, loop.time()

        self.assertEqual(run(main()), (b"hello", 0.01))

    def test_a_hang_beside_threads(self):
        """A hang names the threads that are there, and where and for what they wait."""
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        async def main(count):
            for _ in range(count):
                on_a_thread(go_on.wait)
            await asyncio.get_running_loop().create_future()

        for count in (1, 4):
            with self.subTest(count), self.assertRaisesRegex(
                SleepForeverError,
                r"^nothing can wake the program at t=0\.0: 1 task\n"
                + count * (r"  thread Thread-\d+ \(wait\) started at \S+ in on_a_thread waits in Event\.wait\(\), "
                           r"stands at\n"
                           r"(      .*\n)+") + "  Task-1 ",
            ):
                run(main(count))

    def test_a_hang_beside_a_thread_that_sleeps_on(self):
        """A thread that sleeps again and again keeps time going: the virtual time limit ends that."""
        over = threading.Event()
        self.addCleanup(over.set)

        def work():
            while not over.is_set():
                time.sleep(1)

        async def main():
            limit_virtual_time(asyncio.get_running_loop(), 100)
            on_a_thread(work)
            await asyncio.get_running_loop().create_future()

        with self.assertRaisesRegex(VirtualTimeLimitError, r"beyond its virtual time limit of 100 s"):
            run(main())

    def test_a_background_job_that_somebody_awaits(self):
        """When only a job of the background can wake the program, it is waited for."""

        async def main():
            loop = asyncio.get_running_loop()
            with loop.background():
                job = loop.run_in_executor(None, time.sleep, 0.01)
            await job
            return loop.time()

        self.assertEqual(run(main()), 0.01)

    def test_a_background_thread_is_not_waited_for(self):
        """A thread that is started in background() has no part in the decisions of the loop."""
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        async def main():
            loop = asyncio.get_running_loop()
            with loop.background():
                on_a_thread(go_on.wait, 60)
            await asyncio.sleep(3)
            with self.assertRaises(SleepForeverError):
                await loop.create_future()
            return loop.time()

        with self.assertRaises(SleepForeverError):
            run(main())


class EndTest(unittest.TestCase):
    class Endless:
        """A baton whose thread sleeps for a second, again and again."""

        records = True

        def __init__(self, clock):
            self.clock, self.calls = clock, []

        def here(self):
            return self

        def let_others_run(self, me, patience):
            self.calls.append(me)

        def next_deadline(self):
            return self.clock.now + 1

        def release(self):
            self.calls.append(self.clock.now)

    def test_jobs_that_do_not_end(self):
        """At the end of a test a job may wait in virtual time often, but not for ever; one that is no job, for a
        second.
        """
        for at_work, reached in ((True, WAKE_UPS), (False, LINGER)):
            with self.subTest(at_work=at_work):
                clock = VirtualClock()
                baton = self.Endless(clock)
                let_jobs_end(baton, clock, lambda at_work=at_work: at_work)
                self.assertEqual((clock.now, baton.calls[:2]), (reached, [baton, 1.0]))

    def test_without_threads(self):
        """Where no thread takes turns nothing is waited for, and time stands."""
        with contextlib.closing(SolipsistEventLoop()) as loop:
            let_jobs_end(loop.world.baton, loop.kernel.clock, lambda: self.fail("asked"))
            self.assertEqual((loop.time(), loop.world.baton.records), (0.0, {}))


class StandingTest(unittest.TestCase):
    def test_what_is_called(self):
        """The name of what an instruction calls is found behind attributes, arguments and other calls."""

        def calls(thing):
            thing.queues[0].get(thing.limit("x"), timeout=thing.now)

        def names(code):
            return {called(code, offset) for offset in range(0, len(code.co_code), 2)}

        self.assertEqual(names(calls.__code__), {None, "limit", "get"})
        self.assertIsNone(called(calls.__code__, 100_000))

    def test_a_frame_that_calls_nothing(self):
        """A thread in the middle of its own code does not wait."""
        frame = sys._getframe()
        self.assertFalse(waits(frame))

    def test_a_deep_stack(self):
        """Of a deep stack the innermost five lines are shown."""

        def dive(depth):
            return dive(depth - 1) if depth else stack(sys._getframe())

        lines = dive(9)
        self.assertEqual(len(lines), 5)
        self.assertTrue(lines[-1].endswith("dive"))


class ClosingTest(unittest.TestCase):
    """Threads that are ready when the loop is closed have their turn before the world ends."""

    def setUp(self):
        self.seen = []

    def start(self, work=None):
        for number in range(3):
            threading.Thread(target=work or self.seen.append, args=(number,)).start()

    async def start_in_a_coroutine(self):
        self.start()

    def test_they_were_just_started(self):
        """Threads that the last line of a program starts, with asyncio.Runner and in a sealed block."""
        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(self.start_in_a_coroutine())
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            self.start()
        self.assertEqual(self.seen, [0, 1, 2] * 2)

    def test_they_were_just_woken(self):
        """Those that wait go on once they are woken, until they wait for time: there is none any more."""
        event = threading.Event()

        def work(number):
            event.wait()
            self.seen.append((number, time.monotonic()))
            time.sleep(1)
            self.seen.append("late")

        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            self.start(work)
            time.sleep(5)
            event.set()
        self.assertEqual(self.seen, [(0, 5.0), (1, 5.0), (2, 5.0)])

    def test_in_a_coroutine(self):
        """Where another loop runs on this thread nobody waits: the threads are told that the world is over."""
        async def main():
            with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
                self.start()

        asyncio.run(main())
        self.assertEqual(self.seen, [])

    def test_one_that_waits_for_the_real_world(self):
        """A thread that is in a call of its own into the real world gives no turns."""
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            self.start()
            with really(loop.world.baton):
                let_ready_run(loop.world.baton)
            self.assertEqual(self.seen, [])


if __name__ == "__main__":
    unittest.main()
