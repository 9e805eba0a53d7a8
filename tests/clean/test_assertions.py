"""Clean programs that use every assertion of a test case; what an assertion starts or cancels is no leftover."""

import asyncio
import logging
import unittest
import warnings

from solipsism_unittest import SolipsistTestCase


class TimeTest(SolipsistTestCase):
    async def test_now(self):
        """assertNow() holds at the start and after a sleep."""
        self.assertNow(0)
        await asyncio.sleep(2.5)
        self.assertNow(2.5)

    async def test_elapses(self):
        """assertElapses() around two sleeps."""
        with self.assertElapses(3):
            await asyncio.sleep(1)
            await asyncio.sleep(2)
        self.assertNow(3)

    async def test_elapses_no_time(self):
        """A block that does not wait takes no time."""
        values = []
        with self.assertElapses(0):
            values += await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))
        self.assertEqual(values, [1, 2])

    async def test_elapses_with_an_exception(self):
        """What the block raises passes through."""
        with self.assertRaises(BlockingIOError), self.assertElapses(5):
            raise BlockingIOError

    async def test_completes_within(self):
        """assertCompletesWithin() gives the result."""
        self.assertEqual(await self.assertCompletesWithin(asyncio.sleep(3, "ok"), 5), "ok")
        self.assertNoTimers()

    async def test_completes_within_of_a_task(self):
        """A task is given, and its result read."""
        task = asyncio.create_task(asyncio.sleep(1, "task"))
        self.assertEqual(await self.assertCompletesWithin(task, 1), "task")
        self.assertTrue(task.done())

    async def test_completes_within_with_an_exception(self):
        """An exception in time passes through."""
        future = self.loop.create_future()
        self.loop.call_later(1, future.set_exception, EOFError())
        with self.assertRaises(EOFError):
            await self.assertCompletesWithin(future, 2)

    async def test_completes_within_fails(self):
        """A failed statement cancels what it waited for."""
        ended = []

        async def slow():
            try:
                await asyncio.sleep(10)
            finally:
                ended.append(self.now)

        with self.assertRaisesRegex(AssertionError, "did not complete within 2 s"):
            await self.assertCompletesWithin(slow(), 2)
        self.assertAlmostEqual(ended[0], 2, places=5)

    async def test_completes_after(self):
        """assertCompletesAfter() is exact."""
        self.assertIsNone(await self.assertCompletesAfter(asyncio.sleep(86400), 86400))

    async def test_completes_after_of_a_gather(self):
        """A gather is an awaitable too."""
        both = asyncio.gather(asyncio.sleep(1, "a"), asyncio.sleep(4, "b"))
        self.assertEqual(await self.assertCompletesAfter(both, 4), ["a", "b"])

    async def test_times_out(self):
        """assertTimesOut() wants a TimeoutError at its time."""
        await self.assertTimesOut(asyncio.wait_for(asyncio.Event().wait(), 7), 7)
        self.assertNow(7)

    async def test_times_out_by_a_block(self):
        """A coroutine with asyncio.timeout() inside."""
        cleaned = []

        async def impatient():
            async with asyncio.timeout(3):
                try:
                    await asyncio.Queue().get()
                finally:
                    cleaned.append(True)

        await self.assertTimesOut(impatient(), 3)
        self.assertEqual(cleaned, [True])

    async def test_blocks(self):
        """What blocks is cancelled by the assertion."""
        event = asyncio.Event()
        await self.assertBlocks(event.wait())
        self.assertFalse(event.is_set())

    async def test_blocks_for_some_time(self):
        """What blocks so long is cancelled then, with its timer."""
        await self.assertBlocks(asyncio.sleep(100), 10)
        self.assertNow(10)
        self.assertNoTimers()

    async def test_blocks_of_a_task(self):
        """A task that is shown to block goes on: who made it ends it."""
        task = asyncio.create_task(asyncio.Lock().acquire())
        await task
        waiting = asyncio.create_task(asyncio.Barrier(2).wait())
        await self.assertBlocks(waiting)
        self.assertFalse(waiting.done())
        waiting.cancel()

    async def test_blocks_of_a_shield(self):
        """A shield lets the assertion cancel nothing but itself."""
        task = asyncio.create_task(asyncio.sleep(5, "goes on"))
        await self.assertBlocks(asyncio.shield(task), 1)
        self.assertEqual(await task, "goes on")

    async def test_blocks_with_a_farewell(self):
        """What blocks may take its time to end."""

        async def slow_to_leave():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(20)

        await self.assertBlocks(slow_to_leave())
        self.assertNow(20)

    async def test_the_next_timer(self):
        """assertNextTimer() in both ways."""
        handle = self.loop.call_later(30, self.fail)
        self.addCleanup(handle.cancel)
        self.assertNextTimer(after=30)
        await asyncio.sleep(10)
        self.assertNextTimer(at=30)

    async def test_no_timers(self):
        """Cancelled timers do not count."""
        self.assertNoTimers()
        self.loop.call_later(1, self.fail).cancel()
        self.assertNoTimers()

    async def test_assertions_at_once(self):
        """Several awaited assertions in one gather."""
        results = await asyncio.gather(
            self.assertCompletesAfter(asyncio.sleep(1, "one"), 1),
            self.assertCompletesWithin(asyncio.sleep(2, "two"), 3),
            self.assertTimesOut(asyncio.wait_for(asyncio.Event().wait(), 4), 4),
        )
        self.assertEqual(results, ["one", "two", None])

    async def test_an_assertion_in_a_task(self):
        """An assertion that a task of its own awaits."""
        task = asyncio.create_task(self.assertCompletesAfter(asyncio.sleep(6, 6), 6))
        self.assertEqual(await task, 6)


    async def test_an_assertion_that_is_cancelled(self):
        """A task that is cancelled in an assertion cancels what it waits for, with no timer left."""
        task = asyncio.create_task(self.assertCompletesWithin(asyncio.Event().wait(), 100))
        await asyncio.sleep(1)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertNoTimers()

    async def test_an_assertion_that_is_cancelled_before_it_begins(self):
        """A task that was cancelled at once never got to state anything, and that is all right."""
        stating = asyncio.ensure_future(self.assertTimesOut(asyncio.sleep(1), 1))
        stating.cancel()
        await asyncio.gather(stating, return_exceptions=True)
        self.assertTrue(stating.cancelled())


class BufferTest(SolipsistTestCase):
    async def test_buffered(self):
        """assertBuffered() compares bytes and counts, at sockets and readers."""
        one, two = self.socketpair()
        one.send(b"abc")
        self.assertBuffered(two, b"abc")
        self.assertBuffered(two, 3)
        two.recv(3)
        self.assertBufferEmpty(two)

    async def test_buffered_at_streams(self):
        """What a reader holds counts too."""
        (reader, writer), (_, far_writer) = await self.stream_pairs()
        far_writer.write(b"line 1\nline 2\n")
        await reader.readline()
        self.assertBuffered(reader, b"line 2\n")
        self.assertBuffered(writer, 7)
        self.assertBufferEmpty(far_writer)

    async def test_buffered_at_a_connection(self):
        """A connection of a fake server is an end."""
        server = await self.start_fake_server(host="peek.test", port=1)
        _, writer = await asyncio.open_connection("peek.test", 1)
        connection = await server.accept()
        writer.write(b"hi")
        await self.settle()
        self.assertBuffered(connection, b"hi")
        writer.close()

    async def test_a_full_buffer(self):
        """assertBufferFull() after a send that went in partly."""
        one, two = self.socketpair(capacity=4)
        self.assertEqual(one.send(b"abcdef"), 4)
        self.assertBufferFull(one)
        two.recv(1)
        with self.assertRaisesRegex(AssertionError, "1 byte could still be sent"):
            self.assertBufferFull(one)


class PlainTest(SolipsistTestCase):
    async def test_raises_and_keeps_the_exception(self):
        """An exception that assertRaises keeps holds no frame of a coroutine alive."""
        with self.assertRaises(KeyError) as caught:
            await asyncio.gather(asyncio.to_thread({}.__getitem__, "k"))
        self.assertEqual(caught.exception.args, ("k",))

    async def test_logs(self):
        """assertLogs() and assertNoLogs() across awaits."""
        log = logging.getLogger("clean")
        with self.assertLogs(log, "WARNING") as logged:
            await asyncio.sleep(1)
            log.warning("late")
        with self.assertNoLogs(log, "WARNING"):
            await asyncio.sleep(1)
        self.assertEqual(logged.output, ["WARNING:clean:late"])

    async def test_warns(self):
        """assertWarns() across awaits."""

        async def old_fashioned():
            await asyncio.sleep(1)
            warnings.warn("use the new one", DeprecationWarning, stacklevel=1)
            return "done"

        with self.assertWarnsRegex(DeprecationWarning, "new one"):
            self.assertEqual(await old_fashioned(), "done")

    async def test_sub_tests(self):
        """subTest() with a task in each, of which none is left."""
        seen = []
        for seconds in (1, 2, 3):
            with self.subTest(seconds=seconds):
                await asyncio.create_task(asyncio.sleep(seconds))
                seen.append(self.now)
        self.assertEqual(seen, [1.0, 3.0, 6.0])

    async def test_a_failed_assertion_that_is_caught(self):
        """A program that tries several checks until one holds."""
        task = asyncio.create_task(asyncio.sleep(3, "ready"))
        attempts = 0
        while True:
            attempts += 1
            try:
                self.assertTrue(task.done(), "not yet")
                break
            except AssertionError:
                await asyncio.sleep(1)
        self.assertIn(attempts, (4, 5))
        self.assertEqual(task.result(), "ready")

    async def test_skipped_in_the_middle(self):
        """A skip is an exception that other code may catch."""
        with self.assertRaises(unittest.SkipTest):
            self.skipTest("not today")
