"""Clean programs with the time of day, services, contexts, proxies, and assertions about what comes and is raised."""

import asyncio
import datetime
import tempfile
import time
import warnings

from solipsism_unittest import SolipsistTestCase, over_seeds

UTC = datetime.timezone.utc  # noqa: UP017 - a clean program, as many are


class TimeOfDay(SolipsistTestCase):
    wall_start = datetime.datetime(2030, 1, 1, tzinfo=UTC)

    async def test_a_certificate_runs_out(self):
        """A cache that lives by the time of day forgets its entry an hour later, and at once when the clock is set."""
        expires = time.time() + 3600
        await asyncio.sleep(3599)
        self.assertLess(time.time(), expires)
        self.assertEqual(self.wall_now, self.wall_start + datetime.timedelta(seconds=3599))
        self.set_wall_clock(datetime.datetime(2031, 1, 1, tzinfo=UTC))
        self.assertGreater(time.time(), expires)


class Around(SolipsistTestCase):
    def services(self):
        async def beat():
            while True:
                await asyncio.sleep(1)
                self.beats = getattr(self, "beats", 0) + 1

        return [beat]

    def default_context(self):
        return {"name": "value"}

    async def test_a_service_runs_beside(self):
        """A service beats while the test sleeps, and what it needs stands in the context."""
        await asyncio.sleep(3.5)
        self.assertEqual((self.beats, await self.context["name"]), (3, "value"))

    async def test_a_delayed_answer(self):
        """A future that is set later wakes who waits for it."""
        with self.assertElapses(2):
            self.assertEqual(await self.delayed_future(2, "answer"), "answer")


class Ends(SolipsistTestCase):
    async def test_through_a_proxy(self):
        """A line goes through a proxy and back, and both ends end."""

        async def echo(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        await self.start_fake_server(echo, "api.test", 80)
        proxy = await self.start_proxy("api.test", 80)
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"hello\n")
        await self.assertReceives(reader, b"hello\n")
        await self.assertEOF(reader)
        writer.close()
        await writer.wait_closed()

    async def test_back_pressure(self):
        """A writer is paused while its peer does not read, and resumed when it does; then the peer is silent."""
        one, two = self.socketpair(capacity=10)
        reader, writer = await asyncio.open_connection(sock=one)
        writer.transport.set_write_buffer_limits(high=5)
        writer.write(bytes(20))
        self.assertWritingPaused(writer)
        self.assertEqual(two.recv(100), bytes(10))
        await self.settle()
        self.assertEqual(two.recv(100), bytes(10))
        await self.settle()
        self.assertWritingResumed(writer)
        await self.assertReceivesNothing(reader, 5)
        writer.close()
        await writer.wait_closed()


class Raised(SolipsistTestCase):
    async def test_errors_and_warnings(self):
        """What a coroutine raises or warns of is stated in one line each."""

        async def fail():
            raise LookupError("no such key")

        async def warn():
            warnings.warn("old call", UserWarning, stacklevel=1)

        await self.assertAsyncRaises(LookupError, fail())
        await self.assertAsyncRaisesRegex(LookupError, "such", fail())
        await self.assertAsyncWarns(UserWarning, warn())
        await self.assertAsyncWarnsRegex(UserWarning, "^old", warn())


async def say_nothing(reader, writer):
    writer.close()
    await writer.wait_closed()


class Evidence(SolipsistTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())  # it is written after the test's cleanups

    async def test_of_a_test_that_passes(self):
        """A test may leave a page, a capture and tables of what happened, and nothing else."""
        self.evidence(self.directory)
        server = await self.start_fake_server(say_nothing)
        reader, writer = await asyncio.open_connection(*server.address)
        await self.assertEOF(reader)
        writer.close()
        await writer.wait_closed()


class Explored(SolipsistTestCase):
    longest_stall = 0.5

    @over_seeds(3)
    async def test_on_machines_that_stall(self):
        """A test on three machines, none of which stalls for longer than it says."""
        await asyncio.sleep(1)
        self.assertGreaterEqual(self.now, 1)
