"""Events, conditions, locks, semaphores, barriers and joins: who goes on, with what, and who waits in vain.

One call each, with what it gives when it is in time, too late, or for nothing.
"""

import asyncio
import threading
import time
from typing import Any

from tests.contracts.arms import Arm, Contract, scenario
from tests.contracts.waits import raises, together, what


class Primitives(Contract):
    @scenario
    async def test_bad_sleeps(self, arm: Arm) -> Any:
        """A sleep below zero, of no number, and of none at all."""
        await asyncio.to_thread(lambda: arm.see(what(time.sleep, -1), what(time.sleep, "1"), what(time.sleep, 0)))
        return [("ValueError", "TypeError", None)]

    @scenario
    async def test_an_event_wakes_all(self, arm: Arm) -> Any:
        """set() wakes all that wait; clear() lets the next ones wait again."""
        event = threading.Event()

        def body() -> None:
            arm.later(1, event.set)
            together(*[lambda: arm.see(event.wait(100 * arm.step))] * 4)
            event.clear()
            arm.see(event.wait(arm.step), event.is_set())

        await asyncio.to_thread(body)
        return [True, True, True, True, (False, False)]

    @scenario
    async def test_an_event_set_twice(self, arm: Arm) -> Any:
        """A second set() changes nothing; a limit of zero and below it only looks."""
        event = threading.Event()

        def body() -> None:
            arm.see(event.wait(0), event.wait(-1))
            event.set()
            event.set()
            arm.see(event.wait(0), event.wait(-1), event.wait(None))

        await asyncio.to_thread(body)
        return [(False, False), (True, True, True)]

    @scenario
    async def test_wait_for_with_a_predicate(self, arm: Arm) -> Any:
        """wait_for() gives what its predicate gave, is asked at each notify, and may run out."""
        condition, asked = threading.Condition(), []

        def ready() -> Any:
            asked.append(len(asked))
            return "ready" if len(asked) > 2 else ""

        def wake() -> None:
            with condition:
                condition.notify_all()

        def body() -> None:
            arm.later(1, wake)
            arm.later(2, wake)
            with condition:
                arm.see(condition.wait_for(ready, 100 * arm.step), len(asked))
                arm.see(condition.wait_for(lambda: None, arm.step))

        await asyncio.to_thread(body)
        return [("ready", 3), None]

    @scenario
    async def test_notify_counts(self, arm: Arm) -> Any:
        """notify(2) wakes two of three; the third runs out."""
        condition, there = threading.Condition(), threading.Semaphore(0)

        def wait() -> None:
            with condition:
                there.release()
                arm.see(condition.wait(8 * arm.step))

        def wake() -> None:
            for _ in range(3):
                there.acquire()
            with condition:
                condition.notify(2)

        await asyncio.to_thread(lambda: together(wait, wait, wait, wake))
        return [True, True, False]

    @scenario
    async def test_notify_without_waiters(self, arm: Arm) -> Any:
        """A notify that nobody waits for is lost."""
        condition = threading.Condition()

        def body() -> None:
            with condition:
                condition.notify_all()
                arm.see(condition.wait(arm.step))

        await asyncio.to_thread(body)
        return [False]

    @scenario
    async def test_a_condition_gives_its_lock_away(self, arm: Arm) -> Any:
        """Who waits does not hold the lock, and has it again when it goes on, limit or not."""
        lock = threading.Lock()
        condition = threading.Condition(lock)

        def look() -> None:
            arm.see("free", lock.acquire(False))
            lock.release()

        def body() -> None:
            arm.later(1, look)
            with condition:
                arm.see(lock.locked(), condition.wait(3 * arm.step), lock.locked())

        await asyncio.to_thread(body)
        return [("free", True), (True, False, True)]

    @scenario
    async def test_a_lock_released_elsewhere(self, arm: Arm) -> Any:
        """A Lock may be released by any thread; an RLock only by its owner."""
        lock, own = threading.Lock(), threading.RLock()

        def body() -> None:
            lock.acquire()
            arm.later(1, lock.release)
            arm.see(lock.acquire(timeout=100 * arm.step), lock.locked())
            own.acquire()
            arm.later(1, lambda: arm.see(what(own.release), own.acquire(False))).join()
            own.release()
            arm.see(what(own.release))

        await asyncio.to_thread(body)
        return [(True, True), ("RuntimeError", False), "RuntimeError"]

    @scenario
    async def test_a_limit_of_a_lock_in_the_midst(self, arm: Arm) -> Any:
        """The one in front gives up; the one behind it gets the lock."""
        lock = threading.Lock()

        def hold() -> None:
            with lock:
                arm.nap(5)

        def ask(start: float, limit: float) -> None:
            arm.nap(start)
            got = lock.acquire(timeout=limit * arm.step)
            arm.see(start, got)
            if got:
                lock.release()

        await asyncio.to_thread(lambda: together(hold, lambda: ask(1, 2), lambda: ask(2, 100)))
        return [(1, False), (2, True)]

    @scenario
    async def test_a_lock_in_a_with_that_raises(self, arm: Arm) -> Any:
        """An error inside of a `with` gives the lock to who waits."""
        lock = threading.Lock()

        def hold() -> None:
            with raises(arm), lock:
                arm.fail(2)

        def ask() -> None:
            arm.nap(1)
            with lock:
                arm.see("mine")

        await asyncio.to_thread(lambda: together(hold, ask))
        arm.facts.sort()
        return ["LookupError", "mine"]

    @scenario
    async def test_release_many(self, arm: Arm) -> Any:
        """Semaphore.release(n) lets n pass, and no more."""
        semaphore = threading.Semaphore(0)

        def ask() -> None:
            arm.see(semaphore.acquire(timeout=5 * arm.step))

        def body() -> None:
            arm.later(1, semaphore.release, 2)
            together(ask, ask, ask)
            arm.see(semaphore.acquire(False), what(semaphore.acquire, False, 1), what(threading.Semaphore, -1))

        await asyncio.to_thread(body)
        return [True, True, False, (False, "ValueError", "ValueError")]

    @scenario
    async def test_a_bounded_semaphore(self, arm: Arm) -> Any:
        """As many as its bound, and an error for one more."""
        semaphore = threading.BoundedSemaphore(2)

        def body() -> None:
            with semaphore, semaphore:
                arm.see(semaphore.acquire(timeout=arm.step))
            arm.see(what(semaphore.release))

        await asyncio.to_thread(body)
        return [False, "ValueError"]

    @scenario
    async def test_a_barrier_with_an_action(self, arm: Arm) -> Any:
        """The action runs once for each round, before anybody goes on; a barrier serves again and again."""
        barrier = threading.Barrier(3, lambda: arm.see("action"))

        def meet() -> None:
            for _ in range(2):
                barrier.wait()
                arm.see("on")
                barrier.wait()

        await asyncio.to_thread(lambda: together(meet, meet, meet))
        return ["action", "on", "on", "on", "action"] * 2

    @scenario
    async def test_a_barrier_that_is_aborted(self, arm: Arm) -> Any:
        """abort() breaks it for who waits and who comes; reset() breaks the wait and mends the barrier."""
        barrier = threading.Barrier(2)

        def body() -> None:
            arm.later(1, barrier.abort)
            arm.see(what(barrier.wait), what(barrier.wait), barrier.broken)
            barrier.reset()
            arm.see(barrier.broken)
            arm.later(1, barrier.reset)
            arm.see(what(barrier.wait), barrier.broken, barrier.n_waiting)

        await asyncio.to_thread(body)
        return [("BrokenBarrierError", "BrokenBarrierError", True), False, ("BrokenBarrierError", False, 0)]

    @scenario
    async def test_a_barrier_with_a_failing_action(self, arm: Arm) -> Any:
        """The one that runs the action gets its error, the others a broken barrier."""
        barrier = threading.Barrier(2, lambda: arm.fail(0))

        def first() -> None:
            arm.see(what(barrier.wait))

        def second() -> None:
            arm.nap(2)
            arm.see(what(barrier.wait))

        await asyncio.to_thread(lambda: together(first, second))
        arm.facts.sort()
        return ["BrokenBarrierError", "LookupError"]

    @scenario
    async def test_a_thread_that_raises(self, arm: Arm) -> Any:
        """join() of a thread that ended by an error just ends; threading.excepthook hears of it."""
        before, threading.excepthook = threading.excepthook, lambda args: arm.see(args.exc_type.__name__)

        def body() -> None:
            thread = threading.Thread(target=arm.fail, args=(1,))
            thread.start()
            thread.join(100 * arm.step)
            arm.see(thread.is_alive())

        try:
            await asyncio.to_thread(body)
        finally:
            threading.excepthook = before
        return ["LookupError", False]

    @scenario
    async def test_many_joins_of_one(self, arm: Arm) -> Any:
        """All who join one thread go on at its end."""

        def body() -> None:
            thread = threading.Thread(target=lambda: arm.see("end", arm.nap(2)))
            thread.start()
            together(*[lambda: arm.see(thread.join(), thread.is_alive())] * 3)

        await asyncio.to_thread(body)
        return [("end", 2)] + [(None, False)] * 3

    @scenario
    async def test_thread_locals(self, arm: Arm) -> Any:
        """Each thread has its own values, while others wait."""
        own = threading.local()

        def work(number: int) -> None:
            own.number = number
            arm.nap(4 - number)
            arm.see(own.number)

        await asyncio.to_thread(lambda: together(*[lambda n=n: work(n) for n in (1, 2, 3)]))
        return [3, 2, 1]

    @scenario
    async def test_a_timer_that_is_cancelled_late(self, arm: Arm) -> Any:
        """cancel() after the call has begun does not end it."""

        def call() -> None:
            arm.see("begins")
            arm.nap(2)
            arm.see("ends")

        def body() -> None:
            timer = arm.later(1, call)
            arm.nap(2)
            timer.cancel()
            timer.join()

        await asyncio.to_thread(body)
        return ["begins", "ends"]
