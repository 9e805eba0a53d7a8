"""Clean programs about asyncio's locks, events, conditions, semaphores, barriers and queues, cancelled waiters too."""

import asyncio
import collections
import contextlib

from solipsism_unittest import SolipsistTestCase


async def cancelled(task):
    """Cancel the task, wait for its end, and say whether it was a cancellation."""
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


class LockTest(SolipsistTestCase):
    async def test_one_after_the_other(self):
        """A lock lets nobody else in meanwhile."""
        lock, log = asyncio.Lock(), []

        async def enter(name):
            async with lock:
                log.append(f"{name} in")
                await asyncio.sleep(1)
                log.append(f"{name} out")

        await asyncio.gather(enter("a"), enter("b"))
        self.assertEqual(log, ["a in", "a out", "b in", "b out"])

    async def test_a_cancelled_waiter(self):
        """Who is cancelled while waiting for a lock does not get it, and the next one does."""
        lock, order = asyncio.Lock(), []

        async def enter(name):
            async with lock:
                order.append(name)

        await lock.acquire()
        impatient, patient = asyncio.create_task(enter("impatient")), asyncio.create_task(enter("patient"))
        await asyncio.sleep(1)
        self.assertTrue(await cancelled(impatient))
        lock.release()
        await patient
        self.assertEqual((order, lock.locked()), (["patient"], False))

    async def test_a_holder_that_is_cancelled(self):
        """A lock is free again when its holder was cancelled inside."""
        lock = asyncio.Lock()

        async def hold():
            async with lock:
                await asyncio.sleep(3600)

        holder = asyncio.create_task(hold())
        await asyncio.sleep(0)
        self.assertTrue(lock.locked())
        await cancelled(holder)
        self.assertFalse(lock.locked())

    async def test_a_lock_with_a_timeout(self):
        """A lock that cannot be had in time is given up."""
        lock = asyncio.Lock()
        async with lock:
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(lock.acquire(), 2)
        self.assertEqual((lock.locked(), self.now), (False, 2.0))

    async def test_a_lock_left_locked(self):
        """A lock is no resource of the system: who leaves one locked leaves nothing."""
        lock = asyncio.Lock()
        self.assertTrue(await lock.acquire())

    async def test_to_release_what_is_free(self):
        """Releasing a lock that nobody holds is an error, and nothing else."""
        with self.assertRaises(RuntimeError):
            asyncio.Lock().release()

    async def test_a_lock_for_each_key(self):
        """Locks in a table, made on demand: different keys do not wait for each other."""
        locks, ends = collections.defaultdict(asyncio.Lock), []

        async def update(key):
            async with locks[key]:
                await asyncio.sleep(1)
                ends.append((key, self.now))

        await asyncio.gather(update("a"), update("b"), update("a"))
        self.assertEqual(ends, [("a", 1.0), ("b", 1.0), ("a", 2.0)])


class EventTest(SolipsistTestCase):
    async def test_all_waiters_are_woken(self):
        """An event wakes all that wait for it."""
        event = asyncio.Event()
        waiters = [asyncio.create_task(event.wait()) for _ in range(3)]
        self.loop.call_later(1, event.set)
        self.assertEqual(await asyncio.gather(*waiters), [True, True, True])

    async def test_a_cancelled_waiter(self):
        """An event forgets a waiter that was cancelled."""
        event = asyncio.Event()
        waiter = asyncio.create_task(event.wait())
        await asyncio.sleep(0)
        self.assertTrue(await cancelled(waiter))
        event.set()
        self.assertTrue(event.is_set())

    async def test_set_and_cleared(self):
        """A gate that opens and closes lets through who waited."""
        gate, passed = asyncio.Event(), []

        async def walker():
            for number in range(2):
                await gate.wait()
                passed.append((number, self.now))
                await asyncio.sleep(1)

        task = asyncio.create_task(walker())
        await asyncio.sleep(1)
        gate.set()
        await asyncio.sleep(0.5)
        gate.clear()
        self.loop.call_at(9, gate.set)
        await task
        self.assertEqual(passed, [(0, 1.0), (1, 9.0)])

    async def test_polling_with_a_timeout(self):
        """A worker that looks for its stop event every second between two jobs."""
        stop, rounds = asyncio.Event(), 0
        self.loop.call_later(3.5, stop.set)
        while not stop.is_set():
            rounds += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1)
        self.assertEqual((rounds, self.now), (4, 3.5))


class ConditionTest(SolipsistTestCase):
    async def test_notified(self):
        """A consumer waits until there is something."""
        condition, items = asyncio.Condition(), []

        async def consume():
            async with condition:
                await condition.wait_for(lambda: items)
                return items.pop()

        consumer = asyncio.create_task(consume())
        await asyncio.sleep(1)
        async with condition:
            items.append("egg")
            condition.notify()
        self.assertEqual(await consumer, "egg")

    async def test_a_cancelled_waiter_has_the_lock_again(self):
        """A waiter that is cancelled takes the lock once more, and gives it back."""
        condition, seen = asyncio.Condition(), []

        async def wait():
            async with condition:
                try:
                    await condition.wait()
                finally:
                    seen.append(condition.locked())

        waiter = asyncio.create_task(wait())
        await asyncio.sleep(1)
        self.assertTrue(await cancelled(waiter))
        self.assertEqual((seen, condition.locked()), ([True], False))

    async def test_notify_all(self):
        """All runners start at one shot."""
        condition, started = asyncio.Condition(), []

        async def runner(name):
            async with condition:
                await condition.wait()
            started.append((name, self.now))

        runners = [asyncio.create_task(runner(name)) for name in "ab"]
        await asyncio.sleep(10)
        async with condition:
            condition.notify_all()
        await asyncio.gather(*runners)
        self.assertEqual(started, [("a", 10.0), ("b", 10.0)])

    async def test_two_conditions_on_one_lock(self):
        """A bounded buffer with one lock and two conditions."""
        lock, buffer = asyncio.Lock(), collections.deque()
        not_full, not_empty = asyncio.Condition(lock), asyncio.Condition(lock)

        async def produce():
            for number in range(6):
                async with not_full:
                    await not_full.wait_for(lambda: len(buffer) < 2)
                    buffer.append(number)
                    not_empty.notify()

        async def consume():
            taken = []
            while len(taken) < 6:
                async with not_empty:
                    await not_empty.wait_for(lambda: buffer)
                    taken.append(buffer.popleft())
                    not_full.notify()
            return taken

        _, taken = await asyncio.gather(produce(), consume())
        self.assertEqual(taken, [0, 1, 2, 3, 4, 5])

    async def test_a_wait_that_times_out(self):
        """A condition that nobody notifies is left after a while."""
        condition = asyncio.Condition()
        async with condition:
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(condition.wait(), 7)
            self.assertTrue(condition.locked())
        self.assertNow(7)


class SemaphoreTest(SolipsistTestCase):
    async def test_so_many_at_once(self):
        """Never more than two downloads at a time."""
        limit, active, peak = asyncio.Semaphore(2), 0, 0

        async def download():
            nonlocal active, peak
            async with limit:
                active += 1
                peak = max(peak, active)
                await asyncio.sleep(1)
                active -= 1

        await asyncio.gather(*(download() for _ in range(6)))
        self.assertEqual((peak, self.now), (2, 3.0))

    async def test_a_cancelled_waiter(self):
        """A place that a cancelled waiter would have had goes to the next one."""
        semaphore = asyncio.Semaphore(1)
        await semaphore.acquire()
        first, second = (asyncio.create_task(semaphore.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        await cancelled(first)
        semaphore.release()
        self.assertTrue(await second)

    async def test_a_holder_that_fails(self):
        """A place is free again when its holder has failed."""
        semaphore = asyncio.Semaphore(1)
        with self.assertRaises(FloatingPointError):
            async with semaphore:
                raise FloatingPointError
        self.assertFalse(semaphore.locked())

    async def test_a_bounded_semaphore(self):
        """A bounded semaphore takes no more back than it gave."""
        semaphore = asyncio.BoundedSemaphore(2)
        async with semaphore:
            self.assertFalse(semaphore.locked())
        with self.assertRaises(ValueError):
            semaphore.release()

    async def test_a_cancelled_waiter_of_a_bounded_one(self):
        """A bounded semaphore has all its places when a waiter gave up."""
        semaphore = asyncio.BoundedSemaphore()
        async with semaphore:
            queue_jumper = asyncio.create_task(semaphore.acquire())
            await asyncio.sleep(2)
            self.assertTrue(await cancelled(queue_jumper))
        self.assertFalse(semaphore.locked())

    async def test_a_token_bucket(self):
        """A refiller that gives three tokens a second, and is stopped at the end."""
        tokens, times = asyncio.Semaphore(0), []

        async def refill():
            while True:
                await asyncio.sleep(1)
                for _ in range(3):
                    tokens.release()

        refiller = asyncio.create_task(refill())
        for _ in range(7):
            await tokens.acquire()
            times.append(self.now)
        refiller.cancel()
        self.assertEqual(times, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0])


class BarrierTest(SolipsistTestCase):
    async def test_all_go_on_together(self):
        """The last one to come frees all."""
        barrier = asyncio.Barrier(3)

        async def arrive(seconds):
            await asyncio.sleep(seconds)
            async with barrier as position:
                return position, self.now

        results = await asyncio.gather(arrive(1), arrive(2), arrive(5))
        self.assertEqual(results, [(0, 5.0), (1, 5.0), (2, 5.0)])

    async def test_a_cancelled_waiter(self):
        """One that gives up makes room for another one."""
        barrier = asyncio.Barrier(2)
        quitter = asyncio.create_task(barrier.wait())
        await asyncio.sleep(1)
        self.assertTrue(await cancelled(quitter))
        self.assertEqual(sorted(await asyncio.gather(barrier.wait(), barrier.wait())), [0, 1])

    async def test_a_barrier_that_is_broken(self):
        """abort() tells all that wait."""
        barrier = asyncio.Barrier(3)
        waiters = [asyncio.create_task(barrier.wait()) for _ in range(2)]
        await asyncio.sleep(1)
        await barrier.abort()
        results = await asyncio.gather(*waiters, return_exceptions=True)
        self.assertEqual([type(error) for error in results], [asyncio.BrokenBarrierError] * 2)
        self.assertTrue(barrier.broken)

    async def test_a_barrier_that_is_reset(self):
        """reset() sends away who waits, and the barrier can be used again."""
        barrier = asyncio.Barrier(2)
        early = asyncio.create_task(barrier.wait())
        await asyncio.sleep(1)
        await barrier.reset()
        with self.assertRaises(asyncio.BrokenBarrierError):
            await early
        self.assertEqual(barrier.n_waiting, 0)


class QueueTest(SolipsistTestCase):
    async def test_first_in_first_out(self):
        """A consumer gets the items in the order of the producer."""
        queue = asyncio.Queue()

        async def produce():
            for word in ("to", "be", "or"):
                await queue.put(word)
                await asyncio.sleep(1)

        producer = asyncio.create_task(produce())
        words = [await queue.get() for _ in range(3)]
        await producer
        self.assertEqual(words, ["to", "be", "or"])

    async def test_join_and_stop_the_workers(self):
        """The pattern of the manual: join the queue, then cancel the workers and gather them."""
        queue, done = asyncio.Queue(), []

        async def worker():
            while True:
                item = await queue.get()
                await asyncio.sleep(item)
                done.append(item)
                queue.task_done()

        for item in (3, 1, 2):
            queue.put_nowait(item)
        workers = [asyncio.create_task(worker()) for _ in range(2)]
        await queue.join()
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        self.assertEqual((done, self.now), ([1, 3, 2], 3.0))

    async def test_a_sentinel_ends_each_worker(self):
        """One None for each worker."""
        queue, seen = asyncio.Queue(), []

        async def worker():
            while (item := await queue.get()) is not None:
                seen.append(item)

        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(worker())
            for item in (*range(5), None, None):
                await queue.put(item)
        self.assertEqual((sorted(seen), queue.empty()), ([0, 1, 2, 3, 4], True))

    async def test_a_cancelled_getter(self):
        """An item goes to the next getter when the first one gave up."""
        queue = asyncio.Queue()
        first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        first.cancel()
        queue.put_nowait("item")
        self.assertEqual(await second, "item")
        self.assertTrue(first.cancelled())

    async def test_a_cancelled_putter(self):
        """A producer that waited for room is cancelled, and its item is not in the queue."""
        queue = asyncio.Queue(maxsize=1)
        await queue.put("first")
        putter = asyncio.create_task(queue.put("second"))
        await asyncio.sleep(1)
        self.assertTrue(await cancelled(putter))
        self.assertEqual((queue.get_nowait(), queue.qsize()), ("first", 0))

    async def test_a_cancelled_join(self):
        """A join that takes too long is given up."""
        queue = asyncio.Queue()
        queue.put_nowait("never done")
        with self.assertRaises(TimeoutError):
            async with asyncio.timeout(5):
                await queue.join()
        self.assertFalse(queue.empty())

    async def test_items_left_in_a_queue(self):
        """What nobody took goes with the queue."""
        queue = asyncio.Queue()
        for item in (object(), {"a": 1}, [2]):
            queue.put_nowait(item)
        self.assertEqual(queue.qsize(), 3)

    async def test_back_pressure(self):
        """A full queue slows its producer down."""
        queue, put_at = asyncio.Queue(maxsize=2), []

        async def produce():
            for number in range(4):
                await queue.put(number)
                put_at.append(self.now)

        producer = asyncio.create_task(produce())
        for _ in range(4):
            await asyncio.sleep(1)
            await queue.get()
        await producer
        self.assertEqual(put_at, [0.0, 0.0, 1.0, 2.0])

    async def test_a_priority_queue(self):
        """The smallest comes out first."""
        queue = asyncio.PriorityQueue()
        for job in ((5, "low"), (1, "high"), (3, "middle")):
            await queue.put(job)
        self.assertEqual([queue.get_nowait()[1] for _ in range(3)], ["high", "middle", "low"])

    async def test_a_cancelled_getter_of_a_priority_queue(self):
        """What came while nobody waited any more keeps its order."""
        queue = asyncio.PriorityQueue()
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(queue.get(), 1)
        queue.put_nowait(2)
        queue.put_nowait(1)
        self.assertEqual(await queue.get(), 1)

    async def test_a_lifo_queue(self):
        """An undo stack gives back the last first."""
        stack = asyncio.LifoQueue()
        for action in ("type", "paste", "delete"):
            stack.put_nowait(action)
        undone = []
        while not stack.empty():
            undone.append(await stack.get())
            stack.task_done()
        await stack.join()
        self.assertEqual(undone, ["delete", "paste", "type"])

    async def test_a_cancelled_getter_of_a_lifo_queue(self):
        """A getter that is cancelled by the end of its task group."""
        stack, got = asyncio.LifoQueue(), []

        async def pop():
            got.append(await stack.get())

        with self.assertRaises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(pop())
                await asyncio.sleep(1)
                raise OverflowError
        self.assertEqual(got, [])

    async def test_full_and_empty(self):
        """The calls that do not wait say so with exceptions."""
        queue = asyncio.Queue(1)
        with self.assertRaises(asyncio.QueueEmpty):
            queue.get_nowait()
        queue.put_nowait(1)
        with self.assertRaises(asyncio.QueueFull):
            queue.put_nowait(2)

    async def test_a_queue_that_is_shut_down(self):
        """Where queues can be shut down (from 3.13 on) the workers end by an exception; before, by cancellation."""
        queue = asyncio.Queue()

        async def worker():
            with contextlib.suppress(getattr(asyncio, "QueueShutDown", asyncio.CancelledError)):
                while True:
                    await queue.get()
            return "ended"

        task = asyncio.create_task(worker())
        await asyncio.sleep(1)
        getattr(queue, "shutdown", task.cancel)()
        self.assertEqual(await task, "ended")

    async def test_publish_and_subscribe(self):
        """A hub with a queue for each subscriber, who leaves by its context manager."""
        subscribers = set()

        @contextlib.contextmanager
        def subscription():
            queue = asyncio.Queue()
            subscribers.add(queue)
            try:
                yield queue
            finally:
                subscribers.remove(queue)

        async def listen(count):
            with subscription() as queue:
                return [await queue.get() for _ in range(count)]

        listeners = [asyncio.create_task(listen(count)) for count in (1, 3)]
        for news in ("rain", "wind", "snow"):
            await asyncio.sleep(1)
            for queue in subscribers:
                queue.put_nowait(news)
        self.assertEqual(await asyncio.gather(*listeners), [["rain"], ["rain", "wind", "snow"]])
        self.assertEqual(subscribers, set())

    async def test_a_pipeline_of_queues(self):
        """Three stages, each ended by the one before it."""
        raw, squares = asyncio.Queue(1), asyncio.Queue(1)

        async def source():
            for number in range(1, 5):
                await raw.put(number)
            await raw.put(None)

        async def square():
            while (number := await raw.get()) is not None:
                await squares.put(number * number)
            await squares.put(None)

        async def sink():
            total = 0
            while (number := await squares.get()) is not None:
                total += number
            return total

        _, _, total = await asyncio.gather(source(), square(), sink())
        self.assertEqual(total, 30)
