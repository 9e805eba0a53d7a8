"""The baton: threads take turns, always in one order; time moves when all wait; a hang of threads is found."""

import asyncio
import concurrent.futures
import contextlib
import gc
import math
import os
import queue
import re
import signal
import socket
import threading
import time
import unittest

from solipsism_unittest import RealTimeLimitError, SleepForeverError, SolipsistEventLoop, SolipsistTestCase, sealed
from solipsism_unittest.loop.selector import Limits
from solipsism_unittest.stdlib.threads.background import background
from solipsism_unittest.stdlib.threads.pacing.baton import Section
from solipsism_unittest.stdlib.threads.pacing.record import REALLY_WAITS, Why

# Under a name that is not its own it is the real one: nobody sees what waits in it.
NAP = time.sleep
RUNS = int(os.environ.get("SOLIPSISM_RUNS", "20"))


def run(main, **options):
    with asyncio.Runner(loop_factory=lambda: SolipsistEventLoop(**options)) as runner:
        return runner.run(main)


def together(*works):
    """Run each on a thread of its own, and wait for all."""
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class OrderTest(unittest.TestCase):
    def test_one_journal(self):
        """Eight threads that share queues and locks, and a loop with timers, do the same in every run."""

        async def main():
            loop, seen = asyncio.get_running_loop(), []
            lines = queue.Queue(), queue.SimpleQueue()
            lock, rlock = threading.Lock(), threading.RLock()

            def work(number):
                for turn in range(3):
                    time.sleep(0.001 * (number * 7 % 5))
                    with lock, rlock:
                        seen.append((number, turn, time.monotonic()))
                    lines[number % 2].put(number)
                    seen.append(("got", number, lines[number % 2].get()))
                loop.call_soon_threadsafe(seen.append, ("end", number))
                return number

            async def tick():
                for _ in range(20):
                    await asyncio.sleep(0.0007)
                    seen.append(("tick", loop.time()))

            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                jobs = [loop.run_in_executor(pool, work, number) for number in range(8)]
                ticking = asyncio.create_task(tick())
                seen.append(await asyncio.gather(*jobs))
                await ticking
            return repr(seen), loop.kernel.journal.digest

        self.assertEqual(len({run(main()) for _ in range(RUNS)}), 1)

    def test_one_journal_of_two_loops(self):
        """Eight threads that share queues, two loops that call each other, and sockets: the same in every run."""

        async def main():
            loop, seen = asyncio.get_running_loop(), []
            lines = queue.Queue(2), queue.SimpleQueue(), queue.PriorityQueue()
            there, ready = [], threading.Event()

            def work(number):
                ready.wait()
                with socket.create_connection(("answers.test", 7)) as client:
                    for turn in range(3):
                        time.sleep(0.001 * (number * 7 % 5))
                        client.sendall(b"%d\n" % number)
                        lines[number % 3].put((client.recv(99), turn))
                        seen.append((number, lines[number % 3].get(timeout=5), time.monotonic()))
                        asyncio.run_coroutine_threadsafe(note(number), there[turn % 2]).result()

            async def note(number):
                await asyncio.sleep(0.0003 * number)
                seen.append(("noted", number, asyncio.get_running_loop() is loop, loop.time()))

            async def answer(reader, writer):
                async for line in reader:
                    await asyncio.sleep(0.0007)
                    writer.write(line[::-1])
                writer.close()

            async def second():
                there.append(asyncio.get_running_loop())
                over = asyncio.Event()
                there.append(lambda: there[1].call_soon_threadsafe(over.set))
                async with await asyncio.start_server(answer, "answers.test", 7):
                    ready.set()
                    await over.wait()

            there.append(loop)
            other = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(second())))
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                await asyncio.gather(*[loop.run_in_executor(pool, work, number) for number in range(8)])
            there[2]()
            await other
            return repr(seen), loop.kernel.journal.digest

        self.assertEqual(len({run(main()) for _ in range(RUNS)}), 1)

    def test_turns(self):
        """A thread runs until it waits; the others come in the order in which they were started."""
        seen = []

        def work(number):
            for turn in range(3):
                seen.append((number, turn))
                time.sleep(0)

        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            together(*[lambda n=n: work(n) for n in range(3)])
        self.assertEqual(seen, [(number, turn) for turn in range(3) for number in range(3)])

    def test_polling(self):
        """A thread that looks again and again, and gives no time away, is overtaken by time."""
        looks = (lambda event, line, lock: event.wait(0), lambda event, line, lock: time.sleep(0),
                 lambda event, line, lock: lock.acquire(False), lambda event, line, lock: lock.acquire(timeout=0),
                 lambda event, line, lock: line.empty() and contextlib.suppress(queue.Empty).__exit__(
                     *self.raised(line.get_nowait)))
        for number, look in enumerate(looks):
            with self.subTest(number):
                async def main(look=look):
                    event, line, lock = threading.Event(), queue.SimpleQueue(), threading.RLock()
                    over = threading.Event()
                    lock.acquire()

                    def poll():
                        while not over.is_set():
                            look(event, line, lock)

                    thread = threading.Thread(target=poll)
                    thread.start()
                    await asyncio.sleep(1e-12)
                    over.set()
                    thread.join()
                    return asyncio.get_running_loop().time()

                self.assertAlmostEqual(run(main(), start_time=1000.0), 1000.0)

    def raised(self, call):
        try:
            call()
        except queue.Empty as error:
            return type(error), error, None
        return None, None, None


class TimeTest(SolipsistTestCase):
    real_time_limit = 20

    def test_without_a_loop(self):
        """Threads of a plain test let time go on by themselves."""
        together(lambda: time.sleep(3600), lambda: time.sleep(60))
        self.assertNow(3600)

    def test_an_arrival_comes_first(self):
        """Threads of a plain test let time go to what arrives before the first of their deadlines."""
        line, seen = queue.Queue(), []
        self.loop.kernel.clock.deliver_at(3.0, lambda: line.put("arrived"))
        together(lambda: seen.append((line.get(timeout=5), time.monotonic())))
        self.assertEqual(seen, [("arrived", 3.0)])

    def test_beside_a_wait_for_the_real_world(self):
        """Who waits for the real world looks again when another one has begun to wait, and time stands until then."""
        baton = self.loop.world.baton
        thread = threading.Thread(target=time.sleep, args=(5,))
        thread.start()
        me = baton.here()
        me.order, me.patience = REALLY_WAITS, 15.0
        try:
            self.assertTrue(baton.wait(me, Why("the real world")))
        finally:
            me.order, me.patience = 0, math.inf
        self.assertNow(0)
        thread.join()
        self.assertNow(5)

    async def test_beside_the_loop(self):
        """Time goes to whatever comes first, of the loop or of a thread."""
        seen = []

        def work():
            for _ in range(3):
                time.sleep(2)
                seen.append(("thread", time.monotonic()))

        async def tick():
            for _ in range(2):
                await asyncio.sleep(3)
                seen.append(("task", self.now))

        await asyncio.gather(asyncio.to_thread(work), tick())
        self.assertEqual(seen, [("thread", 2), ("task", 3), ("thread", 4), ("task", 6), ("thread", 6)])

    async def test_advance(self):
        """advance() takes threads along."""
        seen = []
        threading.Timer(3, seen.append, [1]).start()
        await self.advance(2.5)
        self.assertEqual(seen, [])
        await self.advance(0.5)
        self.assertEqual(seen, [1])

    async def test_a_background_thread(self):
        """One that is meant to run on waits in the same time, and does not move it."""
        slept = []
        with self.background():
            thread = threading.Thread(target=lambda: slept.append(time.sleep(10)), daemon=True)
            thread.start()
        while not slept:
            await asyncio.sleep(5)
        self.assertGreaterEqual(self.now, 10)
        thread.join()

    async def test_a_background_job(self):
        """So does a job on a thread that takes turns otherwise."""
        with background():
            job = self.loop.run_in_executor(None, time.sleep, 10)
        await asyncio.sleep(3)
        self.assertFalse(job.done())
        await job
        self.assertNow(10)


class WithoutTimeTest(SolipsistTestCase):
    autojump = False

    async def test_a_job(self):
        """Where only advance() moves time, a job's sleep ends with that."""
        job = asyncio.create_task(asyncio.to_thread(time.sleep, 5))
        await self.advance(4)
        self.assertFalse(job.done())
        await self.advance(1)
        self.assertTrue(job.done())

    def test_a_plain_test(self):
        """Nobody can move it in a plain test: that is a hang."""
        with self.assertRaisesRegex(SleepForeverError, r"^time may not go on to t=5\.0, where a thread would"):
            time.sleep(5.0)


class StrangerTest(unittest.TestCase):
    def test_a_thread_that_has_come_to_no_wait_yet(self):
        """One that nobody in the world has started holds the clock from the moment at which it is sealed."""
        inside, seen = threading.Event(), []

        def work():
            with sealed(loop):
                inside.set()
                NAP(0.05)
                seen.append(loop.time())

        with contextlib.closing(SolipsistEventLoop()) as loop:
            thread = threading.Thread(target=work)
            thread.start()
            inside.wait()
            with sealed(loop):
                time.sleep(5)
            thread.join()
            self.assertEqual((seen, loop.time()), ([0.0], 5.0))


class HeldTest(unittest.TestCase):
    def test_a_clock_that_is_held(self):
        """No deadline of a thread passes while hold_clock() is held: what only that could end is reported."""

        async def main():
            loop = asyncio.get_running_loop()
            loop.selector.limits = Limits(real_seconds=0.05)
            with loop.hold_clock():
                await asyncio.to_thread(time.sleep, 5)

        with self.assertRaisesRegex(
                RealTimeLimitError,
                r"^what holds the clock does not let go at t=0\.0: 1 task\n  waited 0\.05 real seconds for <Hold: "
                r"hold_clock\(\) made at (.*\n)*  thread asyncio_0 started at .* waits for time\.sleep\(5\)"):
            run(main())


class HangTest(unittest.TestCase):
    def hang(self, body):
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop), \
                self.assertRaises(SleepForeverError) as caught:
            body()
        return str(caught.exception)

    def test_two_locks(self):
        """Two threads that want each other's lock: each is named, with its line and what it waits for."""

        def body():
            locks = threading.Lock(), threading.Lock()

            def work(first, second):
                with locks[first]:
                    time.sleep(1)
                    with locks[second]:
                        self.fail("never")

            together(lambda: work(0, 1), lambda: work(1, 0))

        text = self.hang(body)
        first, second = re.findall(r"waits for a lock that thread (Thread-\d+) ", text)
        self.assertRegex(text, r"^no thread can go on at t=1\.0\n  threads wait for each other in a circle: "
                               rf"({first}.* -> {second}.*|{second}.* -> {first}.*) -> Thread.*\n"
                               r"  thread MainThread waits for the end of thread Thread-")

    def test_other_circles(self):
        """Of an RLock and a join, and a lock that its own thread wants again."""
        def crossed():
            lock = threading.RLock()
            thread = threading.Thread(target=lambda: lock.acquire(), daemon=True)
            with lock:
                thread.start()
                thread.join()

        def once_more():
            lock = threading.Lock()
            with lock:
                lock.acquire()

        self.assertRegex(self.hang(crossed), r"circle: (MainThread -> Thread-\d+ .* -> MainThread|"
                                             r"Thread-\d+ .* -> MainThread -> Thread)")
        self.assertIn("waits for a lock that it holds itself", self.hang(once_more))

    def test_a_queue_that_nobody_fills(self):
        """A queue, an event and a join of a thread that waits for ever."""
        for body, words in ((lambda: queue.Queue().get(), r"in Queue\.get\(\)"),
                            (lambda: threading.Event().wait(), r"in Event\.wait\(\)"),
                            (lambda: queue.SimpleQueue().get(), "for a queue"),
                            (lambda: together(lambda: threading.Event().wait()), "for the end of thread ")):
            self.assertRegex(self.hang(body), r"^no thread can go on at t=0\.0\n  thread MainThread waits " + words)


class SectionTest(unittest.TestCase):
    """A piece of the baton's own code, in the midst of which somebody is woken."""

    def test_woken_after_the_last_look(self):
        """Who is woken between the end of a section and the moment in which others can enter it is not forgotten."""
        woken = []

        class Running:
            running, over = "somebody", False

            def _wake(self, waiter):
                woken.append(waiter)

        class Mutex:
            """A mutex: somebody is woken just before it is released."""

            def __init__(self):
                self._lock = threading.RLock()
                self.acquire, self._is_owned = self._lock.acquire, self._lock._is_owned

            def release(self):
                if "late" not in woken:
                    section.inbox.append("late")
                self._lock.release()

        section = Section(Running())
        section.mutex = Mutex()
        with section:
            section.inbox.append("in the midst")
        self.assertEqual(woken, ["in the midst", "late"])

    def test_woken_in_the_midst(self):
        """A lock that is released while the baton looks who is next goes to who waits for it."""
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            lock, seen, looks = threading.Lock(), [], [False, False, True]
            lock.acquire()

            def release():
                if looks and looks.pop():
                    lock.release()
                return False

            def work():
                with lock:
                    seen.append(loop.time())

            thread = threading.Thread(target=work)
            thread.start()
            baton = loop.world.baton
            baton.wait(baton.here(), Why("something"), 5.0, release)
            self.assertEqual((seen, loop.time()), ([0.0], 5.0))
            thread.join()


class InterruptionTest(unittest.TestCase):
    def test_handlers_and_finalizers(self):
        """What a signal's handler or a finalizer puts into a queue in the midst of a switch is not lost."""
        got = []

        class Dying:
            def __del__(self):
                lines[0].put(None)

        def work():
            for _ in range(300):
                time.sleep(0.001)
                Dying()

        def count():
            for _ in range(600):
                lines[0].get()
                got.append(1)

        lines = []
        before = signal.signal(signal.SIGUSR2, lambda *args: lines[0].put(None))
        self.addCleanup(signal.signal, signal.SIGUSR2, before)
        threshold = gc.get_threshold()
        self.addCleanup(gc.set_threshold, *threshold)
        gc.set_threshold(1)
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            lines.append(queue.SimpleQueue())
            together(work, work, count)
        self.assertEqual(len(got), 600)


if __name__ == "__main__":
    unittest.main()
