"""The examples of looptime's pages: the start, tools, nuances, and configuration."""

import asyncio
import contextlib
import itertools
import threading
import time
import unittest

from solipsism_unittest import Chronometer, SleepForeverError, SolipsistEventLoop, SolipsistTestCase, with_settings
from tests.case.test_case import run, told


class StartTest(SolipsistTestCase):
    async def test_100_seconds(self):
        """A sleep of 100 seconds takes no time, and the loop believes that it did."""
        with Chronometer() as took:
            await asyncio.sleep(100)
            self.assertEqual(asyncio.get_running_loop().time(), 100)
        self.assertLess(took, 50)

    @with_settings(start_time=100.0)
    async def test_where_time_begins(self):
        """Of one test the time may begin elsewhere, and is compared by an assertion."""
        await asyncio.sleep(1.23)
        self.assertNow(101.23)


class ToolsTest(SolipsistTestCase):
    async def test_a_chronometer(self):
        """A chronometer measures real time, as a plain context manager and as an asynchronous one."""
        chronometer = Chronometer()
        self.assertIsNone(chronometer.seconds)
        with chronometer:
            await asyncio.sleep(1)
            await asyncio.sleep(1)
        self.assertLess(chronometer.seconds, 1)
        async with chronometer:
            await asyncio.sleep(1)
        self.assertLess(chronometer.seconds, 1)

    @with_settings(start_time=100.0)
    async def test_two_clocks(self):
        """With the loop's clock it measures virtual time, exactly."""
        with Chronometer() as real, Chronometer(self.loop.time) as virtual:
            await asyncio.sleep(1)
            await asyncio.sleep(1)
        self.assertLess(real.seconds, 1)
        self.assertEqual((virtual.seconds, self.loop.time()), (2, 102))

    def test_a_second_loop(self):
        """A plain test makes a loop and runs it; its time is compared as well."""
        loop = asyncio.new_event_loop()
        loop.run_until_complete(asyncio.sleep(1.23))
        self.assertEqual(loop.time(), 1.23)
        loop.close()

    def test_a_loop_of_ones_own(self):
        """A class of one's own is made from the virtual loop, and is a loop_factory."""

        class Mine(SolipsistEventLoop):
            pass

        class Case(SolipsistTestCase):
            loop_factory = Mine

            async def test(self):
                await asyncio.sleep(5)
                self.assertEqual((type(self.loop), self.loop.time()), (Mine, 5))

        self.assertEqual(told(run(Case)), "")

    def test_the_loop_alone(self):
        """Without a test case the loop is run as any other."""
        with asyncio.Runner(loop_factory=lambda: SolipsistEventLoop(100.0)) as runner:
            runner.run(asyncio.sleep(5))
            self.assertEqual(runner.get_loop().time(), 105)


class NuancesTest(SolipsistTestCase):
    async def test_no_timeout_before_its_time(self):
        """A timeout of 9 seconds does not end a sleep of one that has not begun yet."""
        async with asyncio.timeout(9):
            await asyncio.sleep(1)
        self.assertNow(1)

    async def test_threads(self):
        """A timeout does not outrun a job of another thread."""
        event = threading.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(9):
                await self.loop.run_in_executor(None, event.set)
        self.assertTrue(event.is_set())
        self.assertNow(0)

    async def test_what_never_comes(self):
        """What nothing can bring any more is found at once, and the code that waits for it is unwound."""
        server = await self.start_fake_server(host="unresponsive.test", port=80)
        reader, writer = await asyncio.open_connection("unresponsive.test", 80)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        await server.accept()
        await self.assertBlocks(reader.read())
        writer.close()

    async def test_a_timeout(self):
        """wait_for() of an event that never comes ends after its seconds, and costs none."""
        with Chronometer() as took, self.assertRaises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 10)
        self.assertNow(10)
        self.assertLess(took, 5)

    async def test_floats(self):
        """Times are what was asked for: no small errors pile up in them, nor does a small sleep stand still."""
        for delay in (0.2, 0.05, 0.19, 0.21, 1e-6, 1e-9):
            before = self.loop.time()
            await asyncio.sleep(delay)
            self.assertEqual(self.loop.time(), before + delay)


class EndTest(unittest.TestCase):
    def test_the_end_of_time(self):
        """Beyond its end a test is ended where it waits, and no later sleep helps it."""
        seen = []

        class Case(SolipsistTestCase):
            virtual_time_limit = 10

            async def test(self):
                try:
                    await asyncio.sleep(1000)
                finally:
                    seen.append(self.now)

        self.assertIn("VirtualTimeLimitError: the test goes on beyond its virtual time limit of 10 s", told(run(Case)))
        self.assertEqual(len(seen), 1)
        self.assertLessEqual(seen[0], 10)

    def test_idle(self):
        """A test in which nothing can happen any more ends at once."""

        class Case(SolipsistTestCase):
            async def test(self):
                await asyncio.Event().wait()

        with Chronometer() as took:
            self.assertIn(SleepForeverError.__name__, told(run(Case)))
        self.assertLess(took, 30)


class SettingsTest(unittest.TestCase):
    def test_the_closest_counts(self):
        """Settings of a base are those of its classes; those of a class win over them, those of a test over both."""
        times = {}

        class Base(SolipsistTestCase):
            start_time = 10.0
            virtual_time_limit = 60

            async def test_base(self):
                times[self._testMethodName] = self.now

        class Case(Base):
            start_time = 20.0

            async def test_class(self):
                times[self._testMethodName] = self.now

            @with_settings(virtual_time_limit=101)
            async def test_own(self):
                await asyncio.sleep(100)
                times[self._testMethodName] = self.now

            async def test_too_long(self):
                await asyncio.sleep(100)

        result = run(Case)
        self.assertEqual(times, {"test_base": 20, "test_class": 20, "test_own": 120})
        self.assertEqual([test._testMethodName for test, _ in result.errors], ["test_too_long"])

    def test_a_start_that_is_called_for(self):
        """A loop_factory may ask for the start of time anew for each test."""
        times, starts = [], itertools.count(100, 50)

        class Case(SolipsistTestCase):
            def loop_factory():
                return SolipsistEventLoop(float(next(starts)))

            async def test(self):
                times.append(self.now)

            test_again = test

        self.assertEqual(told(run(Case)), "")
        self.assertEqual(times, [100, 150])

    def test_real_time(self):
        """A test that is designed for real time gets a real loop."""

        class Case(SolipsistTestCase):
            @with_settings(loop_factory=asyncio.SelectorEventLoop)
            async def test(self):
                before = time.perf_counter()
                await asyncio.sleep(0.02)
                self.assertGreater(time.perf_counter() - before, 0.01)

        self.assertEqual(told(run(Case)), "")


if __name__ == "__main__":
    unittest.main()
