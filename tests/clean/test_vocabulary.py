"""Clean programs: the parts of a test case's vocabulary that no other file here has a use for."""

import asyncio
import contextvars
import datetime
import time
import warnings

from solipsism_unittest import SolipsistTestCase

USER = contextvars.ContextVar("USER", default="nobody")
NEW_YEAR = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


async def fails(text):
    await asyncio.sleep(1)
    raise LookupError(text)


async def warns(text):
    await asyncio.sleep(1)
    warnings.warn(text, UserWarning, stacklevel=2)


class RaisedTest(SolipsistTestCase):
    async def test_errors(self):
        """What a coroutine raises is expected, and looked at."""
        error = await self.assertAsyncRaises(LookupError, fails("nobody"))
        self.assertEqual(error.args, ("nobody",))
        await self.assertAsyncRaisesRegex(LookupError, "no.ody", fails("nobody"))

    async def test_warnings(self):
        """What a coroutine warns of is expected."""
        await self.assertAsyncWarns(UserWarning, warns("slow"))
        await self.assertAsyncWarnsRegex(UserWarning, "^slow", warns("slow"))

    async def test_a_delayed_future(self):
        """A future that another part of the program would settle later."""
        with self.assertElapses(3):
            self.assertEqual(await self.delayed_future(3, "late"), "late")


class AlwaysTest(SolipsistTestCase):
    async def test_an_invariant(self):
        """What is taken from one account is on the other one at every moment."""
        accounts = {"one": 5, "other": 5}
        self.always(lambda: sum(accounts.values()) == 10)
        for amount in (1, 2):
            accounts["one"] -= amount
            accounts["other"] += amount
            await asyncio.sleep(1)
        self.assertEqual(accounts, {"one": 2, "other": 8})


class ReceivedTest(SolipsistTestCase):
    async def test_a_conversation(self):
        """Bytes arrive, then none, then the stream ends."""
        one, other = await self.stream_pairs()
        one[1].write(b"hello")
        await self.assertReceives(other[0], b"hello")
        await self.assertReceivesNothing(other[0], 10)
        one[1].write_eof()
        await self.assertEOF(other[0])

    async def test_back_pressure(self):
        """A writer is paused by a peer that reads nothing, and resumed when it has read."""
        one, other = await self.stream_pairs(1_000)
        self.assertWritingResumed(one[1])
        one[1].write(bytes(200_000))
        self.assertWritingPaused(one[1])
        await other[0].readexactly(200_000)
        await one[1].drain()
        self.assertWritingResumed(one[1])

    async def test_a_proxy(self):
        """A proxy stands between a client and a server."""
        async def echo(reader, writer):
            writer.write(await reader.readline())

        server = await self.start_fake_server(echo, "api.test", 80)
        proxy = await self.start_proxy(server.host, server.port)
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.write(b"hello\n")
        await self.assertReceives(reader, b"hello\n")
        writer.close()
        await writer.wait_closed()


class WallClockTest(SolipsistTestCase):
    wall_start = NEW_YEAR

    async def test_a_day(self):
        """The time of day goes with virtual time, and a user sets it back."""
        await asyncio.sleep(86_400)
        self.assertEqual(self.wall_now - NEW_YEAR, datetime.timedelta(days=1))
        self.set_wall_clock(NEW_YEAR)
        self.assertEqual(time.time(), NEW_YEAR.timestamp())


class ServicesTest(SolipsistTestCase):
    def services(self):
        """A coroutine that runs until the test is over."""
        return [self.beat]

    def default_context(self):
        """Who is logged in."""
        return {USER: "somebody"}

    async def beat(self):
        """Count the seconds."""
        self.beats = 0
        while True:
            await asyncio.sleep(1)
            self.beats += 1

    async def test_both(self):
        """The service runs beside the test, and the context holds in both."""
        await asyncio.sleep(3.5)
        self.assertEqual((self.beats, USER.get()), (3, "somebody"))
