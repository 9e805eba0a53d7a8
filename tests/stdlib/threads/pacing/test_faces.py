"""What stands over locks and queues from before the test: they take turns, whoever else has the real ones."""

import _thread
import asyncio
import contextlib
import gc
import logging
import queue
import threading
import time
import unittest
import unittest.mock

from solipsism_unittest import SleepForeverError, SolipsistEventLoop, SolipsistTestCase, sealed
from solipsism_unittest.introspection.threads import Real
from solipsism_unittest.stdlib.threads.pacing import patience
from solipsism_unittest.stdlib.threads.pacing.faces import Olds
from solipsism_unittest.stdlib.threads.pacing.patience import Patience
from solipsism_unittest.stdlib.threads.pacing.simple_queue import VirtualSimpleQueue
from solipsism_unittest.stdlib.worlds import world_here

OLD_LOCK, OLD_RLOCK, OLD_QUEUE = threading.Lock(), threading.RLock(), queue.SimpleQueue()
ACQUIRE, LOCKED = OLD_LOCK.acquire, OLD_LOCK.locked
OLD_CONDITION, OLD_SAFE_CONDITION = threading.Condition(threading.Lock()), threading.Condition()
REALS = {"lock": OLD_LOCK, "rlock": OLD_RLOCK}
KEYS = dict.fromkeys((OLD_LOCK, OLD_RLOCK, OLD_QUEUE), "known")
HIDDEN = [[OLD_LOCK, threading.Condition()]]  # in a list of a list nobody looks for it


class Handler(logging.Handler):
    """Takes a second for each record."""

    def emit(self, record):
        time.sleep(1)


def in_threads(work, count=3):
    """Call this in so many threads; gives the times at which each ended."""
    times = []

    def run():
        work()
        times.append(time.monotonic())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def hold(lock):
    with lock:
        time.sleep(1)


class OldsTest(SolipsistTestCase):
    logger = logging.Logger("of old handlers")
    logger.addHandler(Handler())

    def real_orders(self):
        return [record for record in self.loop.kernel.journal if record.kind == "real-order"]

    def test_locks_by_name(self):
        """Threads that hold one over a sleep come one after the other, in an order that is the same every time."""
        for lock in (OLD_LOCK, OLD_RLOCK, REALS["lock"], REALS["rlock"], OLD_CONDITION, OLD_SAFE_CONDITION):
            now = time.monotonic()
            self.assertEqual(in_threads(lambda lock=lock: hold(lock)), [now + 1, now + 2, now + 3], lock)
        self.assertEqual(self.real_orders(), [])

    def test_methods_by_name(self):
        """A method of one is a method of the same stand-in."""
        self.assertIs(ACQUIRE.__self__, OLD_LOCK)
        self.assertFalse(LOCKED())
        with OLD_LOCK:
            self.assertTrue(LOCKED())
            self.assertFalse(ACQUIRE(timeout=3))
        self.assertNow(3)

    def test_queues_by_name(self):
        """So do those that get from a queue; who gets in vain comes back at the end of its timeout."""
        OLD_QUEUE.put(1)

        def take():
            thing = OLD_QUEUE.get()
            time.sleep(1)
            OLD_QUEUE.put_nowait(thing)

        self.assertEqual(in_threads(take), [1.0, 2.0, 3.0])
        self.assertEqual((OLD_QUEUE.get(), OLD_QUEUE.qsize(), OLD_QUEUE.empty()), (1, 0, True))
        self.assertRaises(queue.Empty, OLD_QUEUE.get, timeout=5)
        self.assertNow(8)
        self.assertEqual(self.real_orders(), [])

    def test_their_methods_in_reports(self):
        """They are called what the program knows them as."""
        names = [one.__qualname__ for one in (OLD_LOCK.acquire, OLD_RLOCK.release, OLD_QUEUE.get, OLD_QUEUE.put)]
        self.assertEqual(names, ["lock.acquire", "lock.release", "SimpleQueue.get", "SimpleQueue.put"])

    def test_handlers_of_logging(self):
        """A handler that takes its time makes other threads wait for it."""
        self.assertEqual(in_threads(lambda: self.logger.warning("slow")), [1.0, 2.0, 3.0])
        self.assertEqual(self.real_orders(), [])

    def test_a_condition(self):
        """Those that wait for one are woken; a look whether its lock is taken moves no time, however often."""
        for condition in (OLD_CONDITION, OLD_SAFE_CONDITION):
            def wait(condition=condition):
                with condition:
                    condition.wait()

            def wake(condition=condition):
                with condition:
                    for _ in range(200):
                        condition.notify_all()

            now = time.monotonic()
            threading.Timer(1, wake).start()
            self.assertEqual(in_threads(wait), [now + 1] * 3)

    def test_given_back_by_hand(self):
        """Who waits for it goes on at once."""
        OLD_LOCK.acquire()
        when = []
        thread = threading.Thread(target=lambda: when.append((OLD_LOCK.acquire(), self.now)))
        thread.start()
        time.sleep(1)
        OLD_LOCK.release()
        thread.join()
        OLD_LOCK.release()
        self.assertEqual(when, [(True, 1)])

    def test_released_by_who_has_the_real_one(self):
        """Who waits for the stand-in sees it, when all others wait."""
        real = [OLD_LOCK._real, OLD_RLOCK._real, OLD_QUEUE._real]

        def give():
            real[0].acquire()
            with real[1]:
                time.sleep(1)
            real[0].release()
            real[2].put(1)

        giver = threading.Thread(target=give)
        giver.start()
        time.sleep(0.5)
        with OLD_RLOCK, OLD_LOCK:
            self.assertEqual(OLD_QUEUE.get(), 1)
        giver.join()
        self.assertNow(1)

    async def test_had_by_a_thread_of_another_world(self):
        """Who has waited for a thread of this world waits for that one in real time."""
        over = threading.Event()

        def have():
            OLD_LOCK.acquire()
            time.sleep(1)
            OLD_LOCK.owner = -1  # as one of another world that was first, when the lock was free
            over.wait()
            OLD_LOCK._real.release()

        job = asyncio.create_task(asyncio.to_thread(have))
        await asyncio.sleep(0.5)
        other = asyncio.create_task(asyncio.to_thread(hold, OLD_LOCK))
        await asyncio.sleep(1)
        self.assertFalse(other.done())
        over.set()
        await asyncio.gather(job, other)
        self.assertNow(2.5)
        self.assertTrue(self.real_orders())

    def test_equality(self):
        """Each is equal to what it stands over, as a key too: other places may have the real one."""
        for one in (OLD_LOCK, OLD_RLOCK, OLD_QUEUE):
            self.assertEqual(KEYS[one], "known")
            self.assertEqual({one: 1}[one._real], 1)
            self.assertEqual(one, one)
            self.assertNotEqual(one, type(one)(lambda: None))

    def test_what_cannot_be_found(self):
        """The times are right, and the journal says that the order was real."""
        hidden, condition = HIDDEN[0]
        for lock in (hidden, condition):
            now = time.monotonic()
            self.assertEqual(in_threads(lambda lock=lock: hold(lock), 2), [now + 1, now + 2])
        self.assertTrue(self.real_orders())

    def test_one_that_has_no_processor_yet(self):
        """Who was woken behind our back is no hang as long as the system has not let it run: that takes a moment."""
        has_moved, given_back = Patience._has_moved, []

        def look(baton):
            return has_moved(baton) if Real.monotonic() - (given_back or [0])[-1] > 0.03 else False

        def work(lock):
            hold(lock)
            given_back.append(Real.monotonic())

        for lock in HIDDEN[0]:
            with unittest.mock.patch.object(Patience, "_has_moved", look):
                now = time.monotonic()
                self.assertEqual(in_threads(lambda lock=lock: work(lock), 2), [now + 1, now + 2])

    def test_a_hang_that_is_sure(self):
        """Once it has been one for a while of real time; after anything has gone on, that while begins anew."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        baton, seen = loop.world.baton, []
        baton.new_record("a thread", None)
        with unittest.mock.patch.object(patience, "Real") as real:
            for since, now in ((1.0, 2.0), (1.0, 2.0 + 2 * patience.PATIENCE), (9.0, 10.0)):
                baton.since = since
                real.monotonic.return_value = now
                seen.append(baton.is_sure())
        self.assertEqual(seen, [False, True, False])


@contextlib.contextmanager
def had(lock, seconds=None):
    """A world, and a thread of none that has a lock: for so long, or to the end."""
    taken, over = threading.Event(), threading.Event()

    def have():
        with lock:
            taken.set()
            over.wait(seconds)

    stranger = threading.Thread(target=have)
    stranger.start()
    taken.wait()
    with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
        yield loop
    over.set()
    stranger.join()


class OutsideTest(unittest.TestCase):
    def test_names_are_put_back(self):
        """Outside of a test all names hold the real ones, but in classes, lists and functions."""
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            self.assertIsNot(type(OLD_LOCK), REAL)
            self.assertIsInstance(OLD_LOCK, REAL)
            self.assertIsInstance(OLD_RLOCK, type(_thread.RLock()))
            self.assertIsInstance(OLD_QUEUE, queue.SimpleQueue)
            self.assertEqual(repr(OLD_QUEUE), repr(OLD_QUEUE._real))
        self.assertEqual([type(one) for one in (OLD_LOCK, OLD_RLOCK, OLD_QUEUE)],
                         [REAL, type(_thread.RLock()), type(queue.SimpleQueue())])
        self.assertIs(type(OLD_CONDITION._lock), REAL)
        self.assertIs(type(REALS["lock"]), REAL)

    def test_a_circle(self):
        """Threads that hold an old lock each, and wait for the other's, are named."""
        def cross(one, other):
            with one:
                time.sleep(1)
                with other:
                    pass

        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            threads = [threading.Thread(target=cross, args=pair, name=name) for pair, name in (
                ((OLD_LOCK, OLD_RLOCK), "A"), ((OLD_RLOCK, OLD_LOCK), "B"))]
            for thread in threads:
                thread.start()
            with self.assertRaisesRegex(SleepForeverError, "wait for each other in a circle: A -> B -> A"):
                threads[0].join()

    def test_a_thread_of_no_world(self):
        """It waits for the real one, also by way of a stand-in that it has kept."""
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            lock, rlock, line = OLD_LOCK, OLD_RLOCK, OLD_QUEUE
        for one in (lock, rlock):
            with one:
                got = []
                thread = threading.Thread(target=lambda one=one, got=got: got.append(one.acquire(timeout=0.001)))
                thread.start()
                thread.join()
                self.assertEqual(got, [False])
        self.assertRaises(queue.Empty, line.get, timeout=0.001)
        self.assertFalse(lock.acquire(False) and lock.acquire(False))
        lock.release()

    def test_had_by_a_thread_of_no_world(self):
        """No hang, and no time goes by: it is waited for in real time. A timeout comes in virtual time."""
        with had(OLD_LOCK, 0.01) as loop:
            loop.run_until_complete(asyncio.to_thread(lambda: hold(OLD_LOCK)))
            self.assertEqual(loop.time(), 1)
        with had(OLD_RLOCK, 0.01) as loop:
            loop.run_until_complete(asyncio.to_thread(lambda: hold(OLD_RLOCK)))
            self.assertEqual(loop.time(), 1)
        with had(OLD_LOCK) as loop:
            self.assertFalse(OLD_LOCK.acquire(timeout=5))
            self.assertEqual(loop.time(), 5)

    def test_one_that_an_earlier_test_has_made(self):
        """It takes turns in each world that uses it, in an order that is the same every time."""
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            locks = [threading.Lock(), threading.RLock(), threading.Condition(), _thread.allocate_lock()]
            line = queue.SimpleQueue()
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            for lock in locks:
                now = time.monotonic()
                self.assertEqual(in_threads(lambda lock=lock: hold(lock)), [now + 1, now + 2, now + 3], lock)
            threading.Timer(1, line.put, [1]).start()
            self.assertEqual(line.get(), 1)
            self.assertEqual([record for record in loop.kernel.journal if record.kind == "real-order"], [])

    def test_one_of_an_earlier_test_that_a_thread_of_no_world_has(self):
        """It is waited for in real time as well. What a thread had that is over, nobody gives back: that is a hang."""
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            locks = [threading.Lock(), threading.RLock(), threading.Condition()]
        for lock in locks:
            with had(lock, 0.01) as loop:
                loop.run_until_complete(asyncio.to_thread(hold, lock))
                self.assertEqual(loop.time(), 1, lock)
            with had(lock) as loop:
                self.assertFalse(loop.run_until_complete(asyncio.to_thread(lock.acquire, timeout=5)))
                self.assertEqual(loop.time(), 5, lock)
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            threading.Thread(target=locks[0].acquire).start()
            self.assertRaises(SleepForeverError, loop.run_until_complete, asyncio.to_thread(locks[0].acquire))

    def test_a_thing_that_another_takes_first(self):
        """A look that finds something, and a take that finds nothing any more: the wait goes on."""
        class Racy:
            put = None
            looks = [True, False, False, True]

            def empty(self):
                return self.looks.pop(0) if self.looks else True

            def get(self, block):
                raise queue.Empty

        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            line = VirtualSimpleQueue(lambda: loop.world.baton, Racy())
            self.assertRaises(queue.Empty, line.get, timeout=3)
            self.assertEqual((loop.time(), Racy.looks), (3.0, []))

    def test_one_for_each(self):
        """The same stands over the same, as long as anybody has it."""
        olds = Olds(lambda: None)
        lock = _thread.allocate_lock()
        ours = olds.instead(lock)
        self.assertIs(olds.instead(lock), ours)
        self.assertIs(olds.instead(ours), ours)
        self.assertEqual((olds.instead(5), olds.instead(len)), (5, len))
        del ours
        gc.collect()
        self.assertEqual(len(olds._known), 0)
        self.assertIsNone(world_here())


REAL = type(_thread.allocate_lock())

if __name__ == "__main__":
    unittest.main()
