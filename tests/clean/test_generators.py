"""Clean programs with asynchronous generators, iterators and context managers, left in every decent way."""

import asyncio
import contextlib
import gc

from solipsism_unittest import SolipsistTestCase


async def ticks(seconds, log=None):
    """Yield 0, 1, 2, ... every so many seconds, for ever; say so when it is closed."""
    number = 0
    try:
        while True:
            await asyncio.sleep(seconds)
            yield number
            number += 1
    finally:
        if log is not None:
            log.append("closed")


async def three():
    """Yield three numbers."""
    for number in (1, 2, 3):
        await asyncio.sleep(1)
        yield number


class LeavingTest(SolipsistTestCase):
    async def test_exhausted(self):
        """A generator that comes to its end."""
        self.assertEqual([number async for number in three()], [1, 2, 3])
        self.assertNow(3)

    async def test_left_by_break(self):
        """A generator that is left by `break` is finished by the loop."""
        log = []
        async for number in ticks(1, log):
            if number == 2:
                break
        await self.settle()
        self.assertEqual((log, self.now), (["closed"], 3.0))

    async def test_left_by_break_in_the_last_line(self):
        """What the loop still has to do about a generator is no leftover."""
        seen = 0
        async for number in ticks(0.5):
            seen += number
            self.assertEqual(seen, 0)
            break

    async def test_left_by_return(self):
        """A function that returns out of its `async for`."""

        async def first_even(log):
            async for number in ticks(1, log):
                if number and number % 2 == 0:
                    return number

        log = []
        self.assertEqual(await first_even(log), 2)
        await self.settle()
        self.assertEqual(log, ["closed"])

    async def test_left_by_an_exception(self):
        """The body of the `async for` fails."""
        log = []
        with self.assertRaises(ArithmeticError):
            async for number in ticks(1, log):
                raise ArithmeticError(number)
        await asyncio.sleep(1)
        self.assertEqual(log, ["closed"])

    async def test_left_by_a_cancellation(self):
        """A task that is cancelled in its `async for` closes the generator."""
        log = []

        async def consume():
            async for _ in ticks(1, log):
                pass

        task = asyncio.create_task(consume())
        await asyncio.sleep(3.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.assertEqual(log, ["closed"])

    async def test_left_by_a_timeout(self):
        """A timeout around an `async for`."""
        numbers = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(4.5):
                async for number in ticks(1):
                    numbers.append(number)
        self.assertEqual(numbers, [0, 1, 2, 3])

    async def test_aclosing(self):
        """contextlib.aclosing(), as it should be."""
        log = []
        async with contextlib.aclosing(ticks(2, log)) as generator:
            async for number in generator:
                if number:
                    break
        self.assertEqual((log, self.now), (["closed"], 4.0))

    async def test_aclose_by_hand(self):
        """aclose() after two values."""
        log = []
        generator = ticks(1, log)
        self.assertEqual([await anext(generator), await anext(generator)], [0, 1])
        await generator.aclose()
        self.assertEqual(log, ["closed"])

    async def test_aclose_by_a_cleanup(self):
        """addAsyncCleanup(generator.aclose) is enough."""
        generator = ticks(10)
        self.addAsyncCleanup(generator.aclose)
        self.assertEqual(await anext(generator), 0)

    async def test_never_started(self):
        """A generator that nobody asked for anything."""
        generator = three()
        self.assertIsNone(generator.ag_frame.f_locals.get("number"))

    async def test_with_a_farewell(self):
        """A generator whose `finally` takes time, after a `break`."""
        farewell = []

        async def slow_to_close():
            try:
                yield "value"
            finally:
                await asyncio.sleep(5)
                farewell.append(self.now)

        async for value in slow_to_close():
            self.assertEqual(value, "value")
            break
        await asyncio.sleep(10)
        self.assertEqual(farewell, [5.0])

    async def test_athrow(self):
        """A generator that catches what is thrown into it, and ends."""

        async def stubborn():
            try:
                yield "first"
            except KeyError:
                yield "second"

        generator = stubborn()
        await anext(generator)
        self.assertEqual(await generator.athrow(KeyError()), "second")
        self.assertEqual([value async for value in generator], [])

    async def test_athrow_that_ends_it(self):
        """What a generator does not catch comes back and ends it."""
        generator = three()
        await anext(generator)
        with self.assertRaises(InterruptedError):
            await generator.athrow(InterruptedError())
        with self.assertRaises(StopAsyncIteration):
            await anext(generator)

    async def test_asend(self):
        """A running average, closed at the end."""

        async def average():
            total = count = 0
            mean = None
            while True:
                total += yield mean
                count += 1
                mean = total / count

        async with contextlib.aclosing(average()) as mean:
            await mean.asend(None)
            self.assertEqual([await mean.asend(number) for number in (10, 20, 60)], [10.0, 15.0, 30.0])

    async def test_anext_with_a_default(self):
        """anext() with a default after the end."""
        generator = three()
        values = [await anext(generator, "over") for _ in range(5)]
        self.assertEqual(values, [1, 2, 3, "over", "over"])

    async def test_an_anext_that_is_cancelled(self):
        """A wait for the next value is given up, and the generator is over."""
        generator = ticks(100)
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(anext(generator), 1)
        self.assertEqual(await anext(generator, "over"), "over")

    async def test_generators_in_generators(self):
        """The outer one is left, and both are finished."""
        log = []

        async def doubled():
            async with contextlib.aclosing(ticks(1, log)) as inner:
                async for number in inner:
                    yield number * 2

        async for number in doubled():
            if number == 4:
                break
        await asyncio.sleep(1)
        self.assertEqual(log, ["closed"])

    async def test_a_merge_of_two(self):
        """Two generators in two tasks that feed one queue."""
        merged = asyncio.Queue()

        async def feed(name, generator):
            async for number in generator:
                merged.put_nowait(f"{name}{number}")

        await asyncio.gather(feed("a", three()), feed("b", three()))
        self.assertEqual(sorted(merged.get_nowait() for _ in range(6)), ["a1", "a2", "a3", "b1", "b2", "b3"])

    async def test_found_by_the_garbage_collector(self):
        """A generator in a cycle is finished when it is collected."""
        log = []

        async def look():
            holder = {"generator": ticks(1, log)}
            holder["self"] = holder
            return await anext(holder["generator"])

        self.assertEqual(await look(), 0)
        gc.collect()
        await asyncio.sleep(1)
        self.assertEqual(log, ["closed"])

    async def test_shut_down_by_the_program(self):
        """loop.shutdown_asyncgens() at the end of a program."""
        log = []
        generator = ticks(1, log)
        await anext(generator)
        await self.loop.shutdown_asyncgens()
        self.assertEqual((log, generator.ag_frame), (["closed"], None))


class IteratorTest(SolipsistTestCase):
    async def test_an_iterator_of_a_class(self):
        """An iterator with a class of its own, left by `break`."""

        class Countdown:
            def __init__(self, start):
                self.value = start

            def __aiter__(self):
                return self

            async def __anext__(self):
                if not self.value:
                    raise StopAsyncIteration
                await asyncio.sleep(1)
                self.value -= 1
                return self.value

        countdown = Countdown(10)
        async for number in countdown:
            if number == 7:
                break
        self.assertEqual((countdown.value, self.now), (7, 3.0))

    async def test_comprehensions(self):
        """Asynchronous comprehensions of every kind."""
        self.assertEqual({n async for n in three()}, {1, 2, 3})
        self.assertEqual({n: n * n async for n in three() if n > 1}, {2: 4, 3: 9})
        self.assertEqual([n for pair in [(1, 2), (3,)] for n in pair], [await asyncio.sleep(0, n) for n in (1, 2, 3)])

    async def test_a_plain_generator_with_awaits_around_it(self):
        """A plain generator that is suspended when the test ends."""

        def numbers():
            try:
                yield from range(100)
            finally:
                self.closed = True

        for number in numbers():
            await asyncio.sleep(1)
            if number == 4:
                break
        self.assertEqual((self.now, self.closed), (5.0, True))


class ContextTest(SolipsistTestCase):
    async def test_asynccontextmanager(self):
        """A context manager made of a generator."""
        log = []

        @contextlib.asynccontextmanager
        async def session():
            log.append("open")
            await asyncio.sleep(1)
            try:
                yield "session"
            finally:
                await asyncio.sleep(1)
                log.append("close")

        async with session() as name:
            log.append(name)
        self.assertEqual(log, ["open", "session", "close"])

    async def test_a_failing_body(self):
        """A transaction that rolls back, and swallows one kind of error."""
        rolled_back = []

        @contextlib.asynccontextmanager
        async def transaction():
            try:
                yield
            except LookupError as error:
                await asyncio.sleep(1)
                rolled_back.append(repr(error))

        async with transaction():
            raise LookupError("row 7")
        self.assertEqual(rolled_back, ["LookupError('row 7')"])

    async def test_an_exit_stack(self):
        """An AsyncExitStack with both kinds of managers and callbacks."""
        order = []
        async with contextlib.AsyncExitStack() as stack:
            lock = asyncio.Lock()
            await stack.enter_async_context(lock)
            stack.enter_context(contextlib.suppress(OSError))
            stack.callback(order.append, "plain")
            stack.push_async_callback(asyncio.sleep, 2)
            self.assertTrue(lock.locked())
        self.assertEqual((order, lock.locked(), self.now), (["plain"], False, 2.0))

    async def test_a_cancelled_body(self):
        """A manager that is cancelled in its body releases what it holds."""
        held = set()

        class Lease:
            async def __aenter__(self):
                held.add(self)
                return self

            async def __aexit__(self, *exc_info):
                await asyncio.sleep(0.1)
                held.discard(self)

        async def work():
            async with Lease():
                await asyncio.sleep(1e9)

        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        self.assertEqual(len(held), 1)
        task.cancel()
        await asyncio.wait([task])
        self.assertEqual(held, set())
