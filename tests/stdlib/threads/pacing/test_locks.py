"""Locks of a world: they are what real ones are, for whoever looks at them and whoever uses them."""

import _thread
import concurrent.futures
import contextlib
import copy
import pickle
import queue
import threading
import time
import types
import unittest
from collections import deque
from queue import SimpleQueue
from threading import Lock, RLock
from unittest import mock

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase, sealed
from solipsism_unittest.stdlib.threads.pacing.locks import block, forget_looks, hand_on, looks_so_far
from solipsism_unittest.stdlib.threads.pacing.record import Why

OLD_POOL = concurrent.futures.ThreadPoolExecutor(1)
REAL, REAL_RLOCK = type(_thread.allocate_lock()), _thread.RLock


class LooksTest(unittest.TestCase):
    def test_of_nobody(self):
        """A thread that takes no turns has looked at nothing, and forgets nothing."""
        with contextlib.closing(SolipsistEventLoop()) as loop:
            self.assertEqual(looks_so_far(loop.world.baton), 0)
            forget_looks(loop.world.baton, 3)
            self.assertEqual(loop.world.baton.records, {})


OLD = [threading.Lock(), threading.RLock(), queue.SimpleQueue()]
OLD_UNSEEN = [[threading.Lock(), threading.RLock(), queue.SimpleQueue()]]  # in a list of a list nobody looks for them
OLD_TYPES = [*map(type, OLD)]


class FaceTest(SolipsistTestCase):
    def test_what_they_are(self):
        """isinstance() holds both ways, for those of the world and for older ones."""
        for lock in (threading.Lock(), _thread.allocate_lock()):
            self.assertIsInstance(lock, REAL)
            self.assertIsInstance(lock, _thread.LockType)
            self.assertRegex(repr(lock), r"^<unlocked _thread\.lock object at 0x")
            if isinstance(OLD_LOCK, type):  # a function up to 3.12
                self.assertIsInstance(lock, threading.Lock)
                self.assertNotIsInstance(threading.RLock(), threading.Lock)
        self.assertEqual(repr(threading.Lock), repr(OLD_LOCK))
        self.assertIsInstance(threading.RLock(), type(OLD_RLOCK))
        self.assertIsInstance(queue.SimpleQueue(), OLD_QUEUE)
        self.assertIsInstance(OLD_QUEUE(), queue.SimpleQueue)

    def test_their_types(self):
        """A program asks by `type(threading.RLock())`, in the test or before, of new ones and of older ones."""
        makers = threading.Lock, threading.RLock, queue.SimpleQueue
        in_test = [type(make()) for make in makers]
        self.assertIs(type(in_test[0]), type(in_test[1]))
        for kinds in in_test, OLD_TYPES:
            for number, kind in enumerate(kinds):
                new = [make() for make in makers]
                for things in new, OLD, OLD_UNSEEN[0]:
                    self.assertEqual([isinstance(thing, kind) for thing in things],
                                     [place == number for place in range(3)], (kind, things))

    def test_names_from_before(self):
        """What a module has imported by its own name makes locks and queues of the world as well."""
        self.assertEqual([type(make()).__name__ for make in (Lock, RLock, SimpleQueue)],
                         ["VirtualLock", "VirtualRLock", "VirtualSimpleQueue"])

    def test_what_they_refuse(self):
        """They cannot be copied, pickled or subclassed, nor released by who has not taken them."""
        lock = threading.Lock()
        for call in (copy.copy, copy.deepcopy, pickle.dumps):
            self.assertRaisesRegex(TypeError, "cannot pickle '_thread.lock' object", call, lock)
            self.assertRaisesRegex(TypeError, "cannot pickle '_thread.RLock' object", call, threading.RLock())
            self.assertRaisesRegex(TypeError, "cannot pickle '_queue.SimpleQueue' object", call, queue.SimpleQueue())
        with self.assertRaises(TypeError):
            class Mine(threading.Lock):
                pass
        self.assertRaises(RuntimeError, lock.release)
        self.assertRaises(RuntimeError, threading.RLock().release)

    def test_other_names(self):
        """The old names of the methods, and a look whether it is taken."""
        lock = threading.Lock()
        self.assertTrue(lock.acquire_lock())
        self.assertEqual((lock.locked(), lock.locked_lock()), (True, True))
        lock.release_lock()
        with lock:
            self.assertTrue(lock.locked())
        self.assertFalse(lock.locked())

    def test_a_queue_of_a_class_of_its_own(self):
        """SimpleQueue may be subclassed in a test, and takes what a real one takes."""
        class Mine(queue.SimpleQueue):
            pass

        mine = Mine()
        mine.put(1)
        self.assertEqual((mine.get(), isinstance(mine, queue.SimpleQueue)), (1, True))
        line = queue.SimpleQueue()
        line.put_nowait(1)
        self.assertEqual((line.qsize(), line.get_nowait(), line.empty()), (1, 1, True))
        self.assertRaises(queue.Empty, line.get_nowait)
        self.assertRaises(queue.Empty, line.get, timeout=0)
        self.assertRaises(ValueError, line.get, timeout=-1)

    def test_a_pool_has_what_is_its_own(self):
        """A program's class of pools keeps the queue that it makes; that of any other does what a SimpleQueue does."""
        class Mine(concurrent.futures.ThreadPoolExecutor):
            def __init__(self):
                super().__init__(1)
                self._work_queue = queue.Queue()

        for make in (Mine, concurrent.futures.ThreadPoolExecutor):
            with make() as pool:
                line = pool._work_queue
                self.assertEqual(list(pool.map(str, range(3))), ["0", "1", "2"])
                self.assertEqual(isinstance(line, queue.SimpleQueue), make is not Mine)
                self.assertRaises(queue.Empty, line.get_nowait)
                self.assertRaises(queue.Empty, line.get, timeout=1)
        self.assertEqual(time.monotonic(), 2)

    def test_what_a_pool_says_of_itself(self):
        """A pool tells monitors how many workers are idle, and can be asked for one as a real one can."""
        for pool in (OLD_POOL, concurrent.futures.ThreadPoolExecutor(1)):
            idle = pool._idle_semaphore
            before = idle._value
            idle.release()
            idle.release(2)
            seen = [before, idle._value, idle.acquire(blocking=False), idle.acquire(timeout=0), idle.acquire(False)]
            self.assertEqual([*seen, idle.acquire(False), idle.acquire(True, 0), idle._value],
                             [0, 3, True, True, True, False, False, 0], pool)

    def test_futures(self):
        """The lock of a future is a real one: who has it never waits. What else futures are made of takes turns."""
        future = concurrent.futures.Future()
        self.assertIs(type(future._condition._lock), REAL_RLOCK)
        self.assertEqual(type(threading.Condition()._lock).__name__, "VirtualRLock")
        names = concurrent.futures._base.threading
        self.assertEqual(type(names.Condition(OLD_LOCK())._lock), REAL)
        with mock.patch.object(threading, "Event") as event:
            self.assertIs(names.Event, event)

    def test_after_a_fork(self):
        """A lock that another thread of the parent had is free, as a real one is."""
        for lock in (OLD_LOCK(), threading.Lock()):
            lock.acquire()
            lock._at_fork_reinit()
            self.assertEqual((lock.locked(), lock.acquire(timeout=0)), (False, True))

    def test_a_condition_hands_its_lock_on(self):
        """Who waits for the lock of a condition gets it when its owner waits for the condition."""
        condition = threading.Condition()

        def notify():
            with condition:
                condition.notify()

        thread = threading.Thread(target=notify)
        with condition:
            thread.start()
            time.sleep(1)
            self.assertTrue(condition.wait(5))
        thread.join()
        self.assertNow(1)

    def test_many_at_one_instant(self):
        """However many are woken, or things put, at one instant: that moves no time."""
        many = range(1000)
        condition, semaphore, event = threading.Condition(threading.Lock()), threading.Semaphore(0), threading.Event()
        plain = queue.Queue()
        with condition:
            for _ in many:
                condition.notify()
        for number in many:
            semaphore.release()
            event.set()
            event.clear()
            plain.put(number)
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            concurrent.futures.wait([pool.submit(int) for _ in many])
        self.assertEqual(time.monotonic(), 0.0)

    def test_many_that_wait(self):
        """Many who wait for a condition, a semaphore and a barrier go on at the instant at which they are woken."""
        many = range(200)
        condition, semaphore, barrier = threading.Condition(threading.Lock()), threading.Semaphore(0), \
            threading.Barrier(len(many))
        times = []

        def waits():
            with condition:
                condition.wait()
            times.append(time.monotonic())
            semaphore.acquire()
            times.append(time.monotonic())
            barrier.wait()
            times.append(time.monotonic())

        threads = [threading.Thread(target=waits) for _ in many]
        for thread in threads:
            thread.start()
        time.sleep(1)
        with condition:
            for _ in many:
                condition.notify()
        semaphore.release(len(many))
        for thread in threads:
            thread.join()
        self.assertEqual(times, [1.0] * 3 * len(many))

    def test_the_lock_of_a_condition(self):
        """A condition finds out whether its lock is taken."""
        condition = threading.Condition(threading.Lock())
        for call in (condition.notify, condition.wait):
            with self.assertRaisesRegex(RuntimeError, "un-acquired lock"):
                call()


class BlockTest(unittest.TestCase):
    """What comes from threads of no world between a try and the wait."""

    def setUp(self):
        self.loop = SolipsistEventLoop()
        self.addCleanup(self.loop.close)
        self.waiters = deque()

    def block(self, attempt):
        baton = self.loop.world.baton
        with sealed(self.loop):
            return block(baton, baton.here(), attempt, 5, self.waiters, Why("it"))

    def test_it_comes_before_the_wait(self):
        """It is seen by the second try, and no time goes by."""
        self.assertIs(self.block(lambda: True), True)
        self.assertEqual((self.loop.time(), list(self.waiters)), (0.0, []))

    def test_it_is_announced_before_the_wait(self):
        """The wait is over at once."""
        tries = []

        def attempt():
            tries.append(self.loop.time())
            if len(tries) == 1:
                hand_on(self.waiters)
            return len(tries) == 2

        self.assertIs(self.block(attempt), True)
        self.assertEqual(tries, [0.0, 0.0])

    def test_it_is_announced_and_not_needed(self):
        """The next in line is woken in the place of who has it already."""
        woken = []
        other = types.SimpleNamespace(token=7, baton=types.SimpleNamespace(wake=woken.append))

        def attempt():
            self.waiters.append((other, 7))
            hand_on(self.waiters)
            return True

        self.assertIs(self.block(attempt), True)
        self.assertEqual(woken, [(other, 7)])

    def test_the_world_ends_before_the_wait(self):
        """The wait is no longer one in virtual time."""
        self.assertIsNone(self.block(self.loop.close))

    def test_a_lock_of_a_world_that_has_ended_since(self):
        """Its own thread waits for it as for any other, in real time."""
        lock = threading.RLock()
        thread = threading.Thread(target=lock.acquire)
        thread.start()
        thread.join()
        with mock.patch("solipsism_unittest.stdlib.threads.pacing.locks.block", return_value=None):
            self.assertIs(lock.acquire(timeout=0.01), False)

    def test_nobody_waits_any_more(self):
        """Waits that are over are passed by."""
        self.waiters.append((types.SimpleNamespace(token=7), 6))
        hand_on(self.waiters)
        self.assertEqual(list(self.waiters), [])

    def test_a_wake_up_that_comes_late(self):
        """One for a wait that is over does not end the next one."""
        baton = self.loop.world.baton
        with sealed(self.loop):
            me = baton.here()
            baton.wake((me, me.token - 1))
            self.assertFalse(baton.wait(me, Why("it"), 5.0))
        self.assertEqual(self.loop.time(), 5.0)


class OutsideTest(unittest.TestCase):
    def test_after_the_world(self):
        """Locks that outlive their world are real ones, for whatever thread."""
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            lock, rlock, line = threading.Lock(), threading.RLock(), queue.SimpleQueue()
        for one in (lock, rlock):
            with one:
                thread = threading.Thread(target=lambda one=one: one.acquire() and one.release())
                thread.start()
                got = []
                other = threading.Thread(target=lambda one=one, got=got: got.append(one.acquire(timeout=0.001)))
                other.start()
                other.join()
                self.assertEqual(got, [False])
            thread.join()
        threading.Timer(0.001, line.put, [1]).start()
        self.assertEqual(line.get(), 1)

    def test_a_thread_of_no_world(self):
        """One that is not sealed waits for them really, and wakes those that wait in virtual time."""
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            lock, line = threading.Lock(), queue.SimpleQueue()
            lock.acquire()
        stranger = threading.Thread(target=lambda: (lock.acquire(), lock.release()))
        stranger.start()
        lock.release()
        stranger.join()
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop):
            line = queue.SimpleQueue()
        threading.Timer(0.01, line.put, [1]).start()
        with sealed(loop):
            self.assertEqual(line.get(), 1)


OLD_LOCK, OLD_RLOCK, OLD_QUEUE = threading.Lock, threading.RLock(), queue.SimpleQueue

if __name__ == "__main__":
    unittest.main()
