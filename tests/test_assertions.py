"""The assertion helpers: each passes where it should, and fails one microsecond or one byte off."""

import asyncio
import contextlib
import functools
import gc
import math
import socket
import sys
import unittest
import warnings
from unittest import mock

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.assertions import Assertions, tolerance
from tests.test_case import run, told

MICROSECOND = 1e-6


async def sleep_and_return(seconds, result=None):
    await asyncio.sleep(seconds)
    return result


class TimeTest(SolipsistTestCase):
    def fails(self, text):
        return self.assertRaisesRegex(AssertionError, text)

    async def test_now(self):
        """assertNow holds at that very time, not one microsecond later or earlier, and not at NaN."""
        await asyncio.sleep(5)
        self.assertNow(5)
        self.assertNow(5 + 4e-7)
        with self.fails(r"^it is t=5\.0, not 5\.000001: 1e-06 s too early"):
            self.assertNow(5 + MICROSECOND)
        with self.fails(r"^it is t=5\.0, not 4\.999999: 1e-06 s too late"):
            self.assertNow(5 - MICROSECOND)
        with self.fails("not nan"):
            self.assertNow(math.nan)

    async def test_elapses(self):
        """assertElapses holds for exactly that time, not for one microsecond more or less."""
        with self.assertElapses(3):
            await asyncio.sleep(3)
        with self.assertElapses(0):
            pass
        with self.fails(r"^the block took 3\.000001 s, not 3 s: 1e-06 s too long \(from t=3\.0 to t=6\.000001\)"), \
                self.assertElapses(3):
            await asyncio.sleep(3 + MICROSECOND)
        with self.fails("too short"), self.assertElapses(3):
            await asyncio.sleep(3 - MICROSECOND)

    async def test_what_the_block_raises(self):
        """What a block raises passes through assertElapses, and its time is not judged."""
        with self.assertRaises(LookupError), self.assertElapses(3):
            raise LookupError

    async def test_blocks_that_are_cancelled(self):
        """A task cancelled inside assertElapses is cancelled, and fails nothing."""

        async def wait():
            with self.assertElapses(3):
                await asyncio.sleep(3)

        task = asyncio.create_task(wait())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        self.assertTrue(task.cancelled())

    async def test_the_last_records(self):
        """A failure says what happened last in the world; the program's own timers are left out."""
        one, _ = self.socketpair()
        one.send(b"12345")
        await asyncio.sleep(5)
        with self.fails(r"\n  what happened last:\n      t=0\.0 send pair0 5$"):
            self.assertNow(6)

    async def test_completes_within(self):
        """assertCompletesWithin gives the result of what ends up to the limit, not a microsecond behind it."""
        self.assertEqual(await self.assertCompletesWithin(sleep_and_return(1, "early"), 5), "early")
        self.assertEqual(await self.assertCompletesWithin(sleep_and_return(5, "exact"), 5), "exact")
        self.assertNow(6)
        with self.fails(r"^sleep_and_return did not complete within 5 s: at t=11\.0 it waits for sleep\(5\.000001\).* "
                        r"tests.test_assertions\.py:\d+ in sleep_and_return"):
            await self.assertCompletesWithin(sleep_and_return(5 + MICROSECOND), 5)
        self.assertEqual(len(asyncio.all_tasks()), 1)

    async def test_completes_after(self):
        """assertCompletesAfter gives the result of what takes exactly so long, not a microsecond more or less."""
        self.assertEqual(await self.assertCompletesAfter(sleep_and_return(5, "exact"), 5), "exact")
        with self.fails("did not complete within 5 s"):
            await self.assertCompletesAfter(sleep_and_return(5 + MICROSECOND), 5)
        with self.fails(r"^sleep_and_return took 4\.9999[0-9]* s, not 5 s: 1e-06 s too short"):
            await self.assertCompletesAfter(sleep_and_return(5 - MICROSECOND), 5)

    async def test_what_the_awaited_raises(self):
        """What the awaited thing raises passes through, a TimeoutError and a cancellation of its own included."""

        async def raising(error):
            await asyncio.sleep(1)
            raise error

        for error in (LookupError(), TimeoutError(), asyncio.CancelledError()):
            for check in (self.assertCompletesWithin, self.assertCompletesAfter):
                with self.assertRaises(type(error)) as caught:
                    await check(raising(error), 5)
                self.assertIs(caught.exception, error)

    async def test_late_whatever_it_makes_of_the_cancellation(self):
        """What is late fails also when it answers its cancellation with a result or with another error."""

        async def stubborn(error):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                if error is not None:
                    raise error from None
                return "a result"

        with self.fails("did not complete within 5 s"):
            await self.assertCompletesWithin(stubborn(None), 5)
        error = LookupError()
        with self.fails("did not complete within 5 s") as caught:
            await self.assertCompletesWithin(stubborn(error), 5)
        self.assertIs(caught.exception.__cause__, error)

    async def test_cancelled_from_outside(self):
        """Whoever cancels a task that stands in an assertion cancels it, whichever assertion it is."""
        for check in (self.assertCompletesWithin, self.assertCompletesAfter, self.assertBlocks):
            task = asyncio.create_task(check(asyncio.sleep(10), 10))
            await asyncio.sleep(1)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

    async def test_blocks(self):
        """assertBlocks holds for what waits, and cancels it; without a time no time passes."""
        event = asyncio.Event()
        future = self.loop.create_future()
        await self.assertBlocks(event.wait())
        await self.assertBlocks(future)
        await self.assertBlocks(asyncio.sleep(MICROSECOND))
        self.assertNow(0)
        self.assertTrue(future.cancelled())
        await self.assertBlocks(asyncio.sleep(5 + MICROSECOND), 5)
        self.assertNow(5)

    async def test_blocks_fails(self):
        """assertBlocks fails for what has come to an end by then, at that very instant included, and says how."""
        with self.fails(r"^sleep was to block but returned 'x' by t=5\.0"):
            await self.assertBlocks(asyncio.sleep(5, "x"), 5)
        with self.fails(r"^sleep was to block but returned None by t=5\.0"):
            await self.assertBlocks(asyncio.sleep(0))
        with self.fails(r"^TimeTest.fails_at_once was to block but raised LookupError\('x'\)") as caught:
            await self.assertBlocks(self.fails_at_once())
        self.assertIsInstance(caught.exception.__cause__, LookupError)
        task = asyncio.create_task(asyncio.sleep(5), name="sleeper")
        task.cancel()
        with self.fails("^task sleeper was to block but was cancelled"):
            await self.assertBlocks(task)

    async def fails_at_once(self):
        raise LookupError("x")

    async def test_blocks_and_the_cancellation(self):
        """What a blocked thing raises on being cancelled passes through; who refuses to be cancelled is told."""

        async def stumble():
            try:
                await asyncio.sleep(1)
            finally:
                raise LookupError("in finally")

        with self.assertRaisesRegex(LookupError, "in finally"):
            await self.assertBlocks(stumble())

    async def test_with_asyncio(self):
        """The assertions can be handed to whatever takes a coroutine."""
        async with asyncio.timeout(50):
            await self.assertCompletesAfter(asyncio.sleep(1), 1)
        await asyncio.wait_for(self.assertCompletesAfter(asyncio.sleep(1), 1), 5)
        await asyncio.gather(self.assertCompletesAfter(asyncio.sleep(2), 2),
                             self.assertCompletesWithin(asyncio.sleep(1), 2))
        async with asyncio.TaskGroup() as group:
            group.create_task(self.assertBlocks(asyncio.sleep(3), 2))
            task = group.create_task(self.assertCompletesAfter(sleep_and_return(2, "result"), 2))
        self.assertEqual(task.result(), "result")
        await self.assertCompletesAfter(self.assertCompletesAfter(asyncio.sleep(2), 2), 2)
        self.assertNow(8)

    @unittest.skipIf(sys.version_info < (3, 12), "eager tasks are new in 3.12")
    async def test_with_eager_tasks(self):
        """The assertions run as eager tasks too."""
        self.loop.set_task_factory(asyncio.eager_task_factory)
        task = asyncio.create_task(self.assertCompletesAfter(sleep_and_return(2, "result"), 2))
        self.assertEqual(await task, "result")
        self.assertIsNone(await asyncio.create_task(self.assertCompletesWithin(asyncio.sleep(0), 2)))

    async def test_repr_and_names(self):
        """A task of an assertion has its name, its line and a repr that asyncio can show."""
        check = self.assertBlocks(asyncio.sleep(1))
        self.assertRegex(repr(check), r"^<assertBlocks\(\) made at tests.test_assertions\.py:\d+ in .*>$")
        task = asyncio.create_task(check)
        self.assertIn("assertBlocks", repr(task))
        await asyncio.sleep(0)
        self.assertIn("assertBlocks", repr(task))
        await task
        self.assertIn("finished", repr(task))

    async def test_awaited_twice(self):
        """An assertion can be awaited once, as any coroutine."""
        check = self.assertCompletesWithin(asyncio.sleep(0), 1)
        await check
        with self.assertRaisesRegex(RuntimeError, "already awaited"):
            await check
        check.close()

    async def test_wrong_arguments(self):
        """No duration is a ValueError, nothing to await a TypeError; both at the call, and no coroutine stays."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for check in (self.assertCompletesWithin, self.assertCompletesAfter, self.assertBlocks):
                for seconds in (-1, math.nan, math.inf, "5", None):
                    if seconds is None and check == self.assertBlocks:
                        continue
                    with self.assertRaisesRegex(ValueError, "a duration is a number of seconds from 0 up, not"):
                        check(self.assertBlocks(asyncio.sleep(1)), seconds)
                name = check.__name__
                with self.assertRaisesRegex(TypeError, f"{name}.. takes a coroutine or another awaitable, not 5$"):
                    check(5, 5)
                with self.assertRaisesRegex(TypeError, rf"call it, as in self\.{name}\(sleep_and_return\(\), \.\.\.\)"):
                    check(sleep_and_return, 5)
            for seconds in (-1, math.nan, "5"):
                with self.assertRaisesRegex(ValueError, "a duration is a number"):
                    self.assertElapses(seconds)
            gc.collect(0)

    def test_tolerance(self):
        """Times are the same up to half a microsecond, or four steps of a float where these are wider."""
        self.assertEqual(tolerance(0), 5e-7)
        self.assertEqual(tolerance(1e6), 5e-7)
        self.assertEqual(tolerance(1.7e9), 4 * math.ulp(1.7e9))


class TimeFromAnEpochTest(SolipsistTestCase):
    start_time = 1.7e9

    async def test_steps(self):
        """At 1.7e9 seconds floats are 0.24 microseconds apart: four steps are the same time, five are not."""
        step = math.ulp(self.now)
        for steps in (-4, 4):
            self.assertNow(self.now + steps * step)
        for steps in (-5, 5):
            with self.assertRaises(AssertionError):
                self.assertNow(self.now + steps * step)
        for check in (self.assertCompletesWithin, self.assertCompletesAfter):
            await check(asyncio.sleep(1 + 4 * step), 1)
            with self.assertRaises(AssertionError):
                await check(asyncio.sleep(1 + 5 * step), 1)
        await self.assertCompletesAfter(asyncio.sleep(1 - 4 * step), 1)
        with self.assertRaises(AssertionError):
            await self.assertCompletesAfter(asyncio.sleep(1 - 5 * step), 1)

    async def test_tenths(self):
        """Ten sleeps of 0.1 s are one second here too, for all their rounding."""
        with self.assertElapses(1):
            for _ in range(10):
                await asyncio.sleep(0.1)

    async def test_microseconds(self):
        """One microsecond too much or too little of a tenth of a second fails."""
        for seconds in (0.1 + MICROSECOND, 0.1 - MICROSECOND):
            with self.assertRaises(AssertionError), self.assertElapses(0.1):
                await asyncio.sleep(seconds)
        with self.assertRaises(AssertionError):
            await self.assertBlocks(asyncio.sleep(0.1), 0.1)
        await self.assertBlocks(asyncio.sleep(0.1 + MICROSECOND), 0.1)


class MissedTest(unittest.TestCase):
    def missed(self, body):
        """The failure of a test whose assertion was never begun."""

        class Case(SolipsistTestCase):
            test = body

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = run(Case)
            gc.collect(0)
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
        return told(result)

    def test_not_awaited(self):
        """An assertion that nobody awaits fails its test and names its line."""

        async def body(self):
            self.assertCompletesWithin(asyncio.sleep(1), 5)
            self.assertBlocks(self.assertBlocks(asyncio.sleep(1)))

        text = self.missed(body)
        line = body.__code__.co_firstlineno + 1
        self.assertRegex(text, rf"assertCompletesWithin\(\) at tests.test_assertions\.py:{line} in .* was never awaited"
                               ", so it has checked nothing")
        self.assertRegex(text, rf"assertBlocks\(\) at tests.test_assertions\.py:{line + 1} ")

    def test_not_entered(self):
        """assertElapses without `with` fails its test and names its line."""

        async def body(self):
            self.assertElapses(5)

        line = body.__code__.co_firstlineno + 1
        self.assertRegex(self.missed(body), rf"assertElapses\(\) at tests.test_assertions\.py:{line} in .* was never "
                                            "entered with `with`")

    def test_task_that_never_ran(self):
        """An assertion in a task that is cancelled before it runs is not missed, and leaves nothing behind."""

        class Case(SolipsistTestCase):
            async def test(self):
                task = asyncio.create_task(self.assertBlocks(asyncio.sleep(1)))
                task.cancel()
                await asyncio.wait([task])

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.assertEqual(told(run(Case)), "")

    def test_closed_by_hand(self):
        """Closing an assertion that never began does not count as awaiting it."""

        async def body(self):
            self.assertBlocks(asyncio.sleep(1)).close()

        self.assertIn("was never awaited", self.missed(body))

    def test_beside_a_failure(self):
        """In a failing test what was missed is a note."""

        async def body(self):
            self.assertElapses(5)
            self.fail("on purpose")

        self.assertRegex(self.missed(body), r"(?s)on purpose\nalso: assertElapses\(\) at")

    def test_refuses_to_be_cancelled(self):
        """assertBlocks on what ignores its cancellation fails, instead of waiting for ever."""

        async def body(self):
            async def refuse():
                while True:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.sleep(1)

            await self.assertBlocks(refuse())

        self.assertIn("refuse blocked, as it was to, but refuses to be cancelled", self.missed(body))

    def test_without_a_test(self):
        """The mixin alone has no loop."""
        with self.assertRaises(NotImplementedError):
            Assertions.loop.fget(mock.Mock())


class BufferTest(SolipsistTestCase):
    async def ends(self):
        """Every kind of end of connections on which `b"data"` waits, by name; each has a peer of 10 bytes capacity."""
        found = self.found = {}  # kept until the cleanups: a writer that is collected is closed with a warning

        def sent():
            one, two = self.socketpair(capacity=10)
            two.send(b"data")
            return one

        found["socket"] = sent()
        found["reader"], self.writer = await asyncio.open_connection(sock=sent())
        found["writer"] = (await asyncio.open_connection(sock=sent()))[1]
        _, self.other_writer = await asyncio.open_connection(sock=sent())
        found["transport"] = self.other_writer.transport
        found["protocol transport"], _ = await self.loop.create_connection(asyncio.Protocol, sock=sent())
        found["protocol transport"].pause_reading()
        found["TransportSocket"] = found["protocol transport"].get_extra_info("socket")
        server = await self.start_fake_server(capacity=10)
        _, self.client = await asyncio.open_connection(*server.address)
        self.addCleanup(self.client.close)
        self.client.write(b"data")
        found["connection"] = await server.accept()
        await self.settle()
        return found

    async def test_every_kind_of_end(self):
        """The buffer assertions take a socket, TransportSocket, reader, writer, transport and server connection."""
        for kind, end in (await self.ends()).items():
            with self.subTest(kind):
                self.assertBuffered(end, b"data")
                self.assertBuffered(end, 4)
                self.assertBuffered(end, bytearray(b"data"))
                with self.assertRaisesRegex(AssertionError, r"^4 bytes wait to be read: b'data' at <stream .*>"):
                    self.assertBufferEmpty(end)

    async def test_one_byte_short_or_over(self):
        """assertBuffered fails for one byte more or less, or another one."""
        one, two = self.socketpair()
        two.send(b"x")
        for what in (b"", b"xy", b"y", 0, 2):
            with self.assertRaisesRegex(AssertionError, r"^1 byte waits|^b'x' waits to be read, not"):
                self.assertBuffered(one, what)
        two.send(bytes(99))
        with self.assertRaisesRegex(AssertionError, r"^b'x.*'\.\.\. \(100 bytes\) waits to be read, not b''"):
            self.assertBuffered(one, b"")

    async def test_empty(self):
        """assertBufferEmpty holds on both ends of a quiet connection, and not for one byte."""
        one, two = self.socketpair()
        self.assertBufferEmpty(one)
        two.send(b"x")
        self.assertBufferEmpty(two)
        with self.assertRaisesRegex(AssertionError, "^1 byte waits to be read: b'x'"):
            self.assertBufferEmpty(one)

    async def test_reader_and_kernel_together(self):
        """What a reader holds comes first, and then what has not reached it yet."""
        (reader, writer), (_, peer) = await self.stream_pairs()
        peer.write(b"first ")
        await self.settle()
        writer.transport.pause_reading()
        peer.write(b"second")
        for end in (reader, writer, writer.transport):
            self.assertBuffered(end, b"first second")

    async def test_full(self):
        """assertBufferFull holds when a send would block: not with room for one byte, nor where none can be sent."""
        one, two = self.socketpair(capacity=5)
        one.send(b"1234")
        with self.assertRaisesRegex(AssertionError, "^1 bytes? could still be sent from <stream joined in memory"):
            self.assertBufferFull(one)
        one.send(b"5")
        self.assertBufferFull(one)
        with self.assertRaises(BlockingIOError):
            one.send(b"6")
        one.shutdown(socket.SHUT_WR)
        for end in (one, self.enterContext(socket.socket())):
            with self.assertRaisesRegex(AssertionError, "cannot send at all, so a send would not block"):
                self.assertBufferFull(end)

    async def test_closed_ends(self):
        """A closed end has nothing in its buffer and cannot be full; a reader keeps what it has."""
        one, two = self.socketpair()
        two.send(b"data")
        reader, self.writer = await asyncio.open_connection(sock=one)
        await self.settle()
        self.writer.transport.abort()
        await self.settle()
        self.assertBuffered(reader, b"data")
        self.assertBufferEmpty(one)
        for end in (one, self.writer):
            with self.assertRaisesRegex(AssertionError, r"<VirtualSocket \[closed\]> cannot send at all"):
                self.assertBufferFull(end)

    async def test_what_is_no_end(self):
        """Anything else, and anything else than bytes or a number, is a TypeError that says what is wanted."""
        one, _ = self.socketpair()
        for end in (5, "end", None, asyncio.StreamReader(), mock.Mock()):
            buffered = functools.partial(self.assertBuffered, what=b"")
            for check in (buffered, self.assertBufferEmpty, self.assertBufferFull):
                with self.assertRaisesRegex(TypeError, "is not an end of a virtual connection: give a socket, reader"):
                    check(end)
        for what in ("data", 1.5, None):
            with self.assertRaisesRegex(TypeError, "compares with bytes or a number of bytes, not with"):
                self.assertBuffered(one, what)


class StockLoopTest(SolipsistTestCase):
    loop_factory = asyncio.SelectorEventLoop

    async def test_time(self):
        """On a stock loop the assertions about time work on its time; a failure has no records to show."""
        with self.assertRaisesRegex(AssertionError, r"^it is t=\d.*s too late$"):
            self.assertNow(0)
        self.assertEqual(await self.assertCompletesWithin(asyncio.sleep(0, "x"), 50), "x")


if __name__ == "__main__":
    unittest.main()
