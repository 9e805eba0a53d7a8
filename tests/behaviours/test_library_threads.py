"""A library's own thread that has the awaited future in hand holds the clock, however busy the machine is."""

import asyncio
import collections
import contextlib
import os
import queue
import subprocess
import sys
import threading
import unittest

from solipsism_unittest import SolipsistEventLoop

# With the number of rounds from outside the same tests look for a race: 500 rounds take some minutes.
ROUNDS = int(os.environ.get("ROUNDS", "15"))
REQUESTS = 8  # a round
ROUNDS_UNSEEN = 1  # for what waits in C, made before the world: that takes real time to be found out


class BySemaphore:
    """A queue of a list and a semaphore."""

    def __init__(self):
        self.items, self.there = collections.deque(), threading.Semaphore(0)

    def put(self, item):
        self.items.append(item)
        self.there.release()

    def get(self):
        self.there.acquire()
        return self.items.popleft()


class ByEvent:
    """A queue of a list and an event."""

    def __init__(self):
        self.items, self.there = collections.deque(), threading.Event()

    def put(self, item):
        self.items.append(item)
        self.there.set()

    def get(self):
        while not self.items:
            self.there.wait()
            self.there.clear()
        return self.items.popleft()


class ByCondition:
    """A place for one item, guarded by a condition."""

    def __init__(self):
        self.items, self.changed = [], threading.Condition()

    def put(self, item):
        with self.changed:
            self.items.append(item)
            self.changed.notify()

    def get(self):
        with self.changed:
            self.changed.wait_for(lambda: self.items)
            return self.items.pop(0)


class ByLock:
    """A place for one item, and a lock that is released when there is something."""

    def __init__(self):
        self.items, self.empty = [], threading.Lock()
        self.empty.acquire()

    def put(self, item):
        self.items.append(item)
        self.empty.release()

    def get(self):
        self.empty.acquire()
        return self.items.pop(0)


KINDS = (queue.SimpleQueue, queue.Queue, queue.LifoQueue, BySemaphore, ByEvent, ByCondition, ByLock)


def work(requests):
    """What the thread does: take futures and functions, and answer."""
    while (item := requests.get()) is not None:
        future, function = item
        del item
        result = function()
        with contextlib.suppress(RuntimeError):  # of a loop that has failed and is closed
            future.get_loop().call_soon_threadsafe(future.set_result, result)


async def ask(requests, function):
    future = asyncio.get_running_loop().create_future()
    requests.put((future, function))
    return await future


def time_of_a_round(kind, program):
    """At what time `program(requests)` ends beside a worker thread."""
    requests = kind()

    async def main():
        thread = threading.Thread(target=work, args=(requests,), daemon=True)
        thread.start()
        try:
            await program(requests)
            return asyncio.get_running_loop().time()
        finally:
            requests.put(None)
            thread.join()

    with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
        return runner.run(main())


async def with_a_timeout(requests):
    for _ in range(REQUESTS):
        await asyncio.wait_for(ask(requests, lambda: sum(range(500))), 5)


async def beside_a_ticker(requests):
    async def tick():
        while True:
            await asyncio.sleep(1)

    ticker = asyncio.create_task(tick())
    for _ in range(REQUESTS):
        await ask(requests, lambda: sum(range(500)))
    ticker.cancel()


async def handed_over_later(requests):
    """The future is awaited long before a timer hands it to the thread."""
    loop = asyncio.get_running_loop()
    for _ in range(REQUESTS):
        future = loop.create_future()
        loop.call_later(1, requests.put, (future, int))
        await asyncio.wait_for(future, 1.5)


class BusyMachineTest(unittest.TestCase):
    def setUp(self):
        for _ in range(2):
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            self.addCleanup(busy.wait)
            self.addCleanup(busy.kill)

    def check(self, program, when):
        for kind in KINDS:
            with self.subTest(kind):
                rounds = ROUNDS_UNSEEN if kind in (queue.SimpleQueue, ByLock) else ROUNDS
                self.assertEqual({time_of_a_round(kind, program) for _ in range(rounds)}, {when})

    def test_requests_with_a_timeout(self):
        """A timeout never strikes before the answer of a thread that has the future in hand."""
        self.check(with_a_timeout, 0.0)

    def test_requests_beside_a_ticker(self):
        """Another task's timer does not let time go on while the thread works."""
        self.check(beside_a_ticker, 0.0)

    def test_requests_that_a_timer_hands_over(self):
        """A future that was awaited before it came into the thread's hand is waited for too."""
        self.check(handed_over_later, float(REQUESTS))
