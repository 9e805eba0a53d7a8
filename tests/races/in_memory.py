"""Races of one process, each beside its mended twin.

A race is a test that passes on a quiet machine. Its class has the mistake in one method, and its twin has another
method in the place of that one.
"""

import asyncio
import contextlib

from solipsism_unittest import SolipsistTestCase


class LostUpdate(SolipsistTestCase):
    """A balance is read before an await and written behind it."""

    async def deposit(self, money):
        balance = self.balance
        await asyncio.sleep(0.2)  # asks the bank
        self.balance = balance + money

    async def test(self):
        self.balance, self.lock = 0, asyncio.Lock()
        first = asyncio.create_task(self.deposit(5))
        await asyncio.sleep(0.25)
        await asyncio.gather(first, self.deposit(7))
        self.assertEqual(self.balance, 12)


class LostUpdateMended(LostUpdate):
    async def deposit(self, money):
        async with self.lock:
            await super().deposit(money)


class PoolOverLimit(SolipsistTestCase):
    """A pool asks whether it is full, and counts the new connection when that is there."""

    async def acquire(self):
        if self.count >= 2:
            return
        await asyncio.sleep(0.1)  # connects
        self.count += 1
        self.most = max(self.most, self.count)

    async def test(self):
        self.count = self.most = 0
        users = []
        for _ in range(4):
            users.append(asyncio.create_task(self.acquire()))
            await asyncio.sleep(0.15)
        await asyncio.gather(*users)
        self.assertEqual(self.most, 2)


class PoolOverLimitMended(PoolOverLimit):
    async def acquire(self):
        if self.count >= 2:
            return
        self.count += 1  # before the first await
        self.most = max(self.most, self.count)
        await asyncio.sleep(0.1)


class CacheStampede(SolipsistTestCase):
    """Two that miss the cache at one time both ask the database."""

    async def get(self, key):
        if key not in self.cache:
            self.cache[key] = await self.query(key)
        return self.cache[key]

    async def query(self, key):
        self.queries += 1
        await asyncio.sleep(0.3)
        return key.upper()

    async def test(self):
        self.cache, self.queries = {}, 0
        first = asyncio.create_task(self.get("a"))
        await asyncio.sleep(0.35)
        self.assertEqual(await asyncio.gather(first, self.get("a")), ["A", "A"])
        self.assertEqual(self.queries, 1)


class CacheStampedeMended(CacheStampede):
    async def get(self, key):
        if key not in self.cache:
            self.cache[key] = asyncio.create_task(self.query(key))
        return await self.cache[key]


class LockGivenBackTooSoon(SolipsistTestCase):
    """A seat is looked for under a lock, and taken when the lock is free again."""

    async def book(self):
        async with self.lock:
            seat = min(self.free)
        await asyncio.sleep(0.1)  # pays
        self.free.discard(seat)
        return seat

    async def test(self):
        self.lock, self.free = asyncio.Lock(), {1, 2, 3}
        first = asyncio.create_task(self.book())
        await asyncio.sleep(0.12)
        self.assertEqual(await asyncio.gather(first, self.book()), [1, 2])


class LockGivenBackTooSoonMended(LockGivenBackTooSoon):
    async def book(self):
        async with self.lock:
            seat = min(self.free)
            self.free.discard(seat)
        await asyncio.sleep(0.1)
        return seat


class NotifyBeforeWait(SolipsistTestCase):
    """A notification is for those who wait already: who comes later waits for ever."""

    async def consume(self):
        await asyncio.sleep(0.1)  # gets ready
        async with self.condition:
            await asyncio.wait_for(self.condition.wait(), 60)
        return self.things.pop()

    async def test(self):
        self.condition, self.things = asyncio.Condition(), []
        consumer = asyncio.create_task(self.consume())
        await asyncio.sleep(0.15)
        async with self.condition:
            self.things.append("thing")
            self.condition.notify_all()
        self.assertEqual(await consumer, "thing")


class NotifyBeforeWaitMended(NotifyBeforeWait):
    async def consume(self):
        await asyncio.sleep(0.1)
        async with self.condition:
            await asyncio.wait_for(self.condition.wait_for(lambda: self.things), 60)
        return self.things.pop()


class TaskDoneTooEarly(SolipsistTestCase):
    """A worker says that it is done when it has taken a job, and not when it has done it."""

    async def work(self):
        while True:
            job = await self.queue.get()
            self.queue.task_done()
            await asyncio.sleep(0.1)
            self.done.append(job)

    async def test(self):
        self.queue, self.done = asyncio.Queue(), []
        worker = asyncio.create_task(self.work())
        self.queue.put_nowait("job")
        await asyncio.sleep(0.2)
        await self.queue.join()
        worker.cancel()
        self.assertEqual(self.done, ["job"])


class TaskDoneTooEarlyMended(TaskDoneTooEarly):
    async def work(self):
        while True:
            self.done.append(await self.queue.get())
            await asyncio.sleep(0.1)
            self.queue.task_done()


class JobAfterClose(SolipsistTestCase):
    """A job in a thread is not over when its owner closes, and its result goes into what is closed."""

    async def refresh(self):
        value = await asyncio.to_thread(len, "value")
        self.values.append((self.is_open, value))

    async def test(self):
        self.is_open, self.values = True, []
        refreshing = asyncio.create_task(self.refresh())
        await asyncio.sleep(0.5)
        self.is_open = False
        await refreshing
        self.assertNotIn((False, 5), self.values)


class JobAfterCloseMended(JobAfterClose):
    async def refresh(self):
        value = await asyncio.to_thread(len, "value")
        if self.is_open:
            self.values.append((self.is_open, value))


class OrderOfJobs(SolipsistTestCase):
    """Results of threads are taken in the order in which they come for the order of the questions."""

    async def ask(self, number):
        self.answers.append(await asyncio.to_thread(str, number))

    async def test(self):
        self.answers = []
        await asyncio.gather(*(self.ask(number) for number in range(3)))
        self.assertEqual(self.answers, ["0", "1", "2"])


class OrderOfJobsMended(OrderOfJobs):
    async def test(self):
        answers = await asyncio.gather(*(asyncio.to_thread(str, number) for number in range(3)))
        self.assertEqual(answers, ["0", "1", "2"])


class OrderOfWait(SolipsistTestCase):
    """asyncio.wait() gives sets, and a set has no order."""

    async def results(self, tasks):
        done, _ = await asyncio.wait(tasks)
        return [task.result() for task in done]

    async def test(self):
        tasks = [asyncio.create_task(asyncio.sleep(1, number)) for number in range(3)]
        self.assertEqual(await self.results(tasks), [0, 1, 2])


class OrderOfWaitMended(OrderOfWait):
    async def results(self, tasks):
        await asyncio.wait(tasks)
        return [task.result() for task in tasks]


class SaveBeforeClose(SolipsistTestCase):
    """Changes are saved a little later, and closing waits as long as that usually takes."""

    async def close(self):
        await asyncio.sleep(0.2)

    async def save(self):
        await asyncio.sleep(0.1)  # collects further changes
        await asyncio.to_thread(self.saved.append, "change")

    async def test(self):
        self.saved = []
        self.saving = asyncio.create_task(self.save())
        await self.close()
        self.assertTrue(self.saving.done(), "closed while a change is being saved")
        self.assertEqual(self.saved, ["change"])


class SaveBeforeCloseMended(SaveBeforeClose):
    async def close(self):
        await self.saving


class LateSubscriber(SolipsistTestCase):
    """An event is published when all should have subscribed by now."""

    async def subscribe(self):
        await asyncio.sleep(0.3)  # starts
        heard = asyncio.Queue()
        self.subscribers.append(heard)
        self.ready.set()
        return await asyncio.wait_for(heard.get(), 30)

    async def all_are_there(self):
        await asyncio.sleep(0.4)

    async def test(self):
        self.subscribers, self.ready = [], asyncio.Event()
        subscriber = asyncio.create_task(self.subscribe())
        await self.all_are_there()
        for heard in self.subscribers:
            heard.put_nowait("news")
        self.assertEqual(await subscriber, "news")


class LateSubscriberMended(LateSubscriber):
    async def all_are_there(self):
        await self.ready.wait()


class TimeoutLosesItem(SolipsistTestCase):
    """What was handed over at the very moment of a timeout is thrown away with the wait for it."""

    async def take(self):
        self.waiter = self.loop.create_future()
        async with asyncio.timeout(1):
            return await self.waiter

    def put(self, item):
        if self.waiter.done():
            self.left.append(item)
        else:
            self.waiter.set_result(item)

    async def test(self):
        self.left = []
        self.loop.call_later(0.9, self.put, "item")
        try:
            taken = await self.take()
        except TimeoutError:
            await asyncio.sleep(2)
            taken, = self.left
        self.assertEqual(taken, "item")


class TimeoutLosesItemMended(TimeoutLosesItem):
    async def take(self):
        try:
            return await super().take()
        except TimeoutError:
            if self.waiter.done() and not self.waiter.cancelled():
                return self.waiter.result()
            raise


class LeaseExpires(SolipsistTestCase):
    """A lease is renewed in time, as long as the machine does not stall."""

    async def test(self):
        self.owner = "me"
        lease = self.loop.call_later(1, self.expire)
        for _ in range(3):
            await asyncio.sleep(0.7)
            lease = self.renew(lease)
        lease.cancel()

    def expire(self):
        self.owner = None

    def renew(self, lease):
        self.assertEqual(self.owner, "me", "the lease is gone")
        lease.cancel()
        return self.loop.call_later(1, self.expire)


class LeaseExpiresMended(LeaseExpires):
    def renew(self, lease):
        if self.owner is None:
            self.owner = "me"  # asks for it anew
        lease.cancel()
        return self.loop.call_later(1, self.expire)


class DoubleRelease(SolipsistTestCase):
    """Who gives up after a time gives the seat back, and so does the work that ends at that moment."""

    async def use(self):
        working = asyncio.create_task(asyncio.sleep(0.9))
        working.add_done_callback(lambda _: self.release())
        _, pending = await asyncio.wait([working], timeout=1)
        if pending:
            working.cancel()
            self.release()

    def release(self):
        self.free += 1

    async def test(self):
        self.free = 0
        await self.use()
        await asyncio.sleep(1)
        self.assertEqual(self.free, 1)


class DoubleReleaseMended(DoubleRelease):
    async def use(self):
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.sleep(0.9), 1)
        finally:
            self.release()


class DebouncedTwice(SolipsistTestCase):
    """Keys that are pressed quickly are one search, by a timer that each of them puts off."""

    def press(self, key):
        self.timer.cancel()
        self.text += key
        self.timer = self.loop.call_later(0.3, self.search)

    def search(self):
        self.searches.append(self.text)

    def found(self):
        return self.searches

    async def test(self):
        self.text, self.searches, self.timer = "", [], self.loop.call_later(9, print)
        for key in "sea":
            self.press(key)
            await asyncio.sleep(0.25)
        await asyncio.sleep(1)
        self.assertEqual(self.found(), ["sea"])


class DebouncedTwiceMended(DebouncedTwice):
    def found(self):
        return self.searches[-1:]  # an answer to an earlier text is not shown


RACES = [(race, globals()[f"{race.__name__}Mended"]) for race in list(globals().values())
         if isinstance(race, type) and f"{race.__name__}Mended" in globals()]
