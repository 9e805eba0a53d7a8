"""Threads that wait for each other and for time: who goes on first, with what, and which waits run out.

Durations are a few real milliseconds on the real arm. What is seen is the order, and what each call gave.
"""

import asyncio
import concurrent.futures
import queue
import sched
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.contracts.arms import Arm, Contract, scenario
from tests.contracts.waits import raises, together, what


class Threads(Contract):
    async def play(self, body: Callable[[], Any]) -> Any:
        """Run the body in a thread, as programs without a loop do."""
        return await asyncio.to_thread(body)

    @scenario
    async def test_sleeps(self, arm: Arm) -> Any:
        """Who sleeps shorter is first."""

        def nap(number: int) -> None:
            time.sleep(number * arm.step)
            arm.see(number)

        await self.play(lambda: together(*[lambda n=n: nap(n) for n in (3, 1, 2)]))
        return [1, 2, 3]

    @scenario
    async def test_an_event(self, arm: Arm) -> Any:
        """An event that is set in time, one that comes too late, and one that is there."""
        event = threading.Event()

        def body() -> None:
            threading.Timer(2 * arm.step, event.set).start()
            arm.see(event.wait(arm.step), event.is_set())
            arm.see(event.wait(50 * arm.step), event.is_set(), event.wait(0), event.wait())

        await self.play(body)
        return [(False, False), (True, True, True, True)]

    @scenario
    async def test_a_condition(self, arm: Arm) -> Any:
        """notify() wakes as many as it says, in the order in which they came; notify_all() the rest."""
        condition, there = threading.Condition(), threading.Semaphore(0)

        def wait(number: int) -> None:
            time.sleep(number * arm.step)
            with condition:
                there.release()
                arm.see(number, condition.wait(100 * arm.step))

        def wake() -> None:
            for _ in range(4):
                there.acquire()
            time.sleep(arm.step)
            for call in (condition.notify, condition.notify_all):
                with condition:
                    call()
                time.sleep(arm.step)

        await self.play(lambda: together(*[lambda n=n: wait(n) for n in range(4)], wake))
        first, rest = arm.facts[0], sorted(arm.facts[1:])
        arm.facts[:] = [first, *rest]
        return [(0, True), (1, True), (2, True), (3, True)]

    @scenario
    async def test_conditions_run_out(self, arm: Arm) -> Any:
        """wait() and wait_for() with a limit, and without the lock."""
        condition = threading.Condition()

        def body() -> None:
            with condition:
                arm.see(condition.wait(arm.step), condition.wait_for(lambda: False, arm.step), condition.wait(0))
            arm.see(what(condition.wait), what(condition.notify))

        await self.play(body)
        return [(False, False, False), ("RuntimeError", "RuntimeError")]

    @scenario
    async def test_locks(self, arm: Arm) -> Any:
        """A lock that is held: acquire() without blocking, with a limit, and until it is free."""
        for make in (threading.Lock, threading.RLock):
            lock = make()

            def hold(lock: Any = lock) -> None:
                with lock:
                    time.sleep(4 * arm.step)

            def ask(lock: Any = lock) -> None:
                time.sleep(arm.step)
                arm.see(lock.acquire(False), lock.acquire(timeout=arm.step), lock.acquire(timeout=0), lock.acquire())
                lock.release()
                arm.see(what(lock.release), what(lock.acquire, False, 1), what(lock.acquire, True, -2),
                        what(lock.acquire, timeout=float("nan")))

            await self.play(lambda hold=hold, ask=ask: together(hold, ask))
        return [(False, False, False, True), ("RuntimeError", "ValueError", "ValueError", "ValueError")] * 2

    @scenario
    async def test_a_lock_that_many_want(self, arm: Arm) -> Any:
        """Who asked first gets it first."""
        lock = threading.Lock()

        def take(number: int) -> None:
            time.sleep(number * arm.step)
            with lock:
                arm.see(number)
                time.sleep(3 * arm.step)

        await self.play(lambda: together(*[lambda n=n: take(n) for n in range(4)]))
        return [0, 1, 2, 3]

    @scenario
    async def test_an_rlock(self, arm: Arm) -> Any:
        """It is free when it was released as often as taken, and a Condition gives all of it away."""
        lock = threading.RLock()
        condition = threading.Condition(lock)

        def deep() -> None:
            with lock, lock, condition:
                arm.see(condition.wait(10 * arm.step))
                arm.see("back")

        def wake() -> None:
            time.sleep(arm.step)
            with condition:
                condition.notify()
                arm.see("notified")

        await self.play(lambda: together(deep, wake))
        return ["notified", True, "back"]

    @scenario
    async def test_semaphores(self, arm: Arm) -> Any:
        """So many may pass, the others wait, some in vain; a bounded one is not released too often."""
        semaphore = threading.Semaphore(2)

        def pass_by(number: int) -> None:
            time.sleep(number * arm.step)
            came = semaphore.acquire(timeout=2 * arm.step)
            arm.see(number, came)
            if came:
                time.sleep(5 * arm.step)
                semaphore.release()

        await self.play(lambda: together(*[lambda n=n: pass_by(n) for n in range(3)]))
        arm.see(what(threading.BoundedSemaphore(1).release))
        return [(0, True), (1, True), (2, False), "ValueError"]

    @scenario
    async def test_a_barrier(self, arm: Arm) -> Any:
        """All go on when the last one comes; where one does not come it breaks for all."""
        barrier = threading.Barrier(3)

        def meet(number: int) -> None:
            time.sleep(number * arm.step)
            arm.see("there", number)
            barrier.wait()
            time.sleep(number * arm.step)
            arm.see("gone", number)

        await self.play(lambda: together(*[lambda n=n: meet(n) for n in range(3)]))
        lonely = threading.Barrier(2)
        await self.play(lambda: arm.see(what(lonely.wait, arm.step), lonely.broken))
        return [*[("there", n) for n in range(3)], *[("gone", n) for n in range(3)], ("BrokenBarrierError", True)]

    @scenario
    async def test_queues(self, arm: Arm) -> Any:
        """get() waits until something comes, put() until there is room, and both may wait in vain."""
        for make in (lambda: queue.Queue(1), lambda: queue.LifoQueue(1), lambda: queue.PriorityQueue(1)):
            line: Any = make()

            def produce(line: Any = line) -> None:
                for number in range(3):
                    time.sleep(arm.step)
                    line.put(number)
                line.join()
                arm.see("joined", what(line.get, timeout=arm.step))

            def consume(line: Any = line) -> None:
                for _ in range(3):
                    arm.see(line.get())
                    time.sleep(2 * arm.step)
                    line.task_done()

            await self.play(lambda produce=produce, consume=consume: together(produce, consume))
            line.put(1)
            await self.play(lambda line=line: arm.see(what(line.put, 2, timeout=arm.step), line.full(),
                                                      what(line.put_nowait, 3)))
        return [0, 1, 2, ("joined", "Empty"), ("Full", True, "Full")] * 3

    @scenario
    async def test_simple_queues(self, arm: Arm) -> Any:
        """A SimpleQueue gives what comes in time."""
        line: Any = queue.SimpleQueue()

        def body() -> None:
            threading.Timer(2 * arm.step, line.put, ["late"]).start()
            arm.see(what(line.get, timeout=arm.step), what(line.get_nowait))
            arm.see(line.get(), line.empty(), line.qsize(), what(line.get, timeout=-1))

        await self.play(body)
        return [("Empty", "Empty"), ("late", True, 0, "ValueError")]

    @scenario
    async def test_joins(self, arm: Arm) -> Any:
        """join() with a limit that is too short, and without; of oneself, and of one that never ran."""

        def body() -> None:
            thread = threading.Thread(target=time.sleep, args=(3 * arm.step,))
            arm.see(what(thread.join))
            thread.start()
            thread.join(arm.step)
            arm.see(thread.is_alive())
            thread.join()
            arm.see(thread.is_alive(), thread.join(), what(threading.current_thread().join))

        await self.play(body)
        return ["RuntimeError", True, (False, None, "RuntimeError")]

    @scenario
    async def test_timers(self, arm: Arm) -> Any:
        """They fire in the order of their times, and not when they were cancelled before."""

        def body() -> None:
            timers = [threading.Timer(number * arm.step, arm.see, [number]) for number in (3, 1, 2, 4)]
            for timer in timers:
                timer.start()
            time.sleep(3.5 * arm.step)
            timers[3].cancel()
            for timer in timers:
                timer.join()
            arm.see([timer.finished.is_set() for timer in timers])

        await self.play(body)
        return [1, 2, 3, [True] * 4]

    @scenario
    async def test_pools(self, arm: Arm) -> Any:
        """Jobs end by their times, two at once; wait(), as_completed() and map() see them so; some limits run out."""

        def nap(number: int) -> int:
            time.sleep(number * arm.step)
            return number

        def body() -> None:
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                jobs = [pool.submit(nap, number) for number in (3, 1, 4)]
                arm.see([job.result() for job in concurrent.futures.as_completed(jobs)])
                slow = pool.submit(nap, 8)
                arm.see(what(slow.result, arm.step), what(slow.exception, arm.step))
                done, pending = concurrent.futures.wait([slow, pool.submit(nap, 1)], return_when="FIRST_COMPLETED")
                arm.see([job.result() for job in done], len(pending))
                arm.see(what(lambda: list(pool.map(nap, (1, 30), timeout=3 * arm.step))))
                arm.see(what(lambda: list(concurrent.futures.as_completed([pool.submit(nap, 9)], arm.step))))

        await self.play(body)
        return [[1, 3, 4], ("TimeoutError", "TimeoutError"), ([1], 1), "TimeoutError", "TimeoutError"]

    @scenario
    async def test_a_scheduler(self, arm: Arm) -> Any:
        """sched.scheduler runs its events at their times."""

        def body() -> None:
            scheduler = sched.scheduler()
            for number in (3, 1, 2):
                scheduler.enter(number * arm.step, 1, arm.see, (number,))
            scheduler.run()
            late = sched.scheduler(time.monotonic, time.sleep)
            when = time.monotonic() + arm.step
            late.enterabs(when, 2, arm.see, ("second",))
            late.enterabs(when, 1, arm.see, ("first",))
            late.run()

        await self.play(body)
        return [1, 2, 3, "first", "second"]

    @scenario
    async def test_sockets_and_selectors(self, arm: Arm) -> Any:
        """A recv() with a limit, and a selector, wait for a peer that sleeps."""

        def body() -> None:
            one, two = socket.socketpair()
            with one, two, selectors.DefaultSelector() as selector:
                one.settimeout(arm.step)
                threading.Timer(3 * arm.step, two.send, [b"hello"]).start()
                arm.see(what(one.recv, 9))
                selector.register(one, selectors.EVENT_READ)
                arm.see(len(selector.select(arm.step)), len(selector.select(20 * arm.step)), one.recv(9))

        await self.play(body)
        return ["TimeoutError", (0, 1, b"hello")]

    @scenario
    async def test_threads_and_the_loop(self, arm: Arm) -> Any:
        """Calls from threads reach the loop by their times, among its own timers, and results come back."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        async def answer(number: int) -> int:
            await asyncio.sleep(arm.step)
            arm.see("asked", number)
            return number + 1

        def work() -> None:
            time.sleep(arm.step)
            loop.call_soon_threadsafe(arm.see, "first")
            arm.see("answer", asyncio.run_coroutine_threadsafe(answer(1), loop).result())
            time.sleep(arm.step)
            loop.call_soon_threadsafe(done.set)

        loop.call_later(1.5 * arm.step, arm.see, "timer")
        thread = threading.Thread(target=work)
        thread.start()
        await done.wait()
        thread.join()
        with raises(arm):
            await asyncio.wait_for(asyncio.to_thread(time.sleep, 4 * arm.step), arm.step)
        return ["first", "timer", ("asked", 1), ("answer", 2), "TimeoutError"]
