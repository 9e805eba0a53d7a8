"""Threads of `_thread`, which are nothing but a function that runs; and the classes of C that locks are made of."""

import _thread
import asyncio
import queue
import sys
import threading
from _thread import start_new_thread
from typing import Any

from tests.contracts.arms import Arm, Contract, scenario
from tests.contracts.waits import what


class BareThreads(Contract):
    @scenario
    async def test_sleeps(self, arm: Arm) -> Any:
        """They sleep beside each other and beside others, however the function was imported."""
        done = threading.Semaphore(0)

        def work(number: int, *, word: str = "") -> None:
            arm.nap(number)
            arm.see(number, word, threading.current_thread() is threading.main_thread())
            done.release()

        def body() -> None:
            number = _thread.start_new_thread(work, (3,), {"word": "three"})
            start_new_thread(work, (1,))
            _thread.start_new(work, (2,))
            for _ in range(3):
                done.acquire()
            arm.see(type(number).__name__, number > 0)

        await asyncio.to_thread(body)
        return [(1, "", False), (2, "", False), (3, "three", False), ("int", True)]

    @scenario
    async def test_a_lock_between_them(self, arm: Arm) -> Any:
        """One gives what the other waits for, in time and too late."""
        lock = _thread.allocate_lock()

        def release() -> None:
            arm.nap(2)
            lock.release()

        def body() -> None:
            lock.acquire()
            _thread.start_new_thread(release, ())
            arm.see(lock.acquire(timeout=arm.step), lock.acquire(timeout=100 * arm.step))

        await asyncio.to_thread(body)
        return [(False, True)]

    @scenario
    async def test_mistakes(self, arm: Arm) -> Any:
        """What is no function, no tuple and no dictionary is refused, and nothing is started."""
        start: Any = _thread.start_new_thread
        await asyncio.to_thread(lambda: arm.see(
            what(start, 1, ()), what(start, int, [1]), what(start, int, (), 3), what(start, int), what(start)))
        return [("TypeError",) * 5]

    @scenario
    async def test_ends(self, arm: Arm) -> Any:
        """SystemExit and _thread.exit() just end it."""
        ended = threading.Semaphore(0)

        def leaves() -> None:
            arm.later(1, ended.release)
            _thread.exit()

        def exits() -> None:
            arm.later(1, ended.release)
            sys.exit("not printed")

        def body() -> None:
            for function in (leaves, exits):
                _thread.start_new_thread(function, ())
                ended.acquire()
                arm.see("ended")

        await asyncio.to_thread(body)
        return ["ended", "ended"]

    @scenario
    async def test_the_loop(self, arm: Arm) -> Any:
        """Such a thread calls the loop as others do."""
        loop, came = asyncio.get_running_loop(), asyncio.Event()

        def work() -> None:
            arm.nap(2)
            loop.call_soon_threadsafe(came.set)

        loop.call_later(arm.step, arm.see, "timer")
        _thread.start_new_thread(work, ())
        await came.wait()
        arm.see("came")
        return ["timer", "came"]


class Classes(Contract):
    @scenario
    async def test_classes_stay_classes(self, arm: Arm) -> Any:
        """What makes locks and queues can be asked for, and subclassed where C allows it."""

        def body() -> None:
            class Own(_thread.RLock):
                word = "own"

            class Line(queue.SimpleQueue):
                word = "line"

            lock, line = threading.RLock(), queue.SimpleQueue[int]()
            arm.see(isinstance(lock, _thread.RLock), isinstance(line, queue.SimpleQueue), isinstance(lock, Own),
                    isinstance(Own(), _thread.RLock), isinstance(Line(), queue.SimpleQueue), isinstance(Own(), Own))
            arm.see(_thread.RLock.__name__, _thread.RLock.__module__, issubclass(Own, _thread.RLock))
            with Own() as taken:
                arm.see(taken, Own.word, Line.word)

        await asyncio.to_thread(body)
        return [(True, True, False, True, True, True), ("RLock", "_thread", True), (True, "own", "line")]
