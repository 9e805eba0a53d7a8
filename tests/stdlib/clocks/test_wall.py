"""The clock on the wall as a program reads it: virtual with `wall_start`, otherwise the real one with a hint."""

import asyncio
import datetime
import email.utils
import http.cookiejar
import logging
import threading
import time
import unittest
import uuid
import warnings
from time import localtime, time_ns
from unittest import mock

from solipsism_unittest import (
    RealClockWarning,
    SleepForeverError,
    SolipsismError,
    SolipsistTestCase,
    VirtualTimeLimitError,
)
from solipsism_unittest.stdlib.clocks import wall
from tests.case.test_case import run, told

UTC = datetime.UTC
START = datetime.datetime(2030, 1, 2, 3, 4, 5, 250_000, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
STAMP = 1893546245.25


class ReplacedTest(unittest.TestCase):
    def test_outside(self):
        """What replaces a clock in a thread that is in no world says nothing to anybody."""
        self.assertIsNone(wall.note_replaced(len))


class WallStartTest(SolipsistTestCase):
    wall_start = START

    async def test_follows_virtual_time(self):
        """All ways to ask for the time of day are wall_start plus the virtual time gone by, exactly."""
        for gone in (0, 0.5, 86400.1):
            await self.advance_to(gone)
            stamp = STAMP + gone
            self.assertEqual(self.wall_now, START + datetime.timedelta(seconds=gone))
            self.assertEqual(self.wall_now.tzinfo, START.tzinfo)
            self.assertEqual((time.time(), time.clock_gettime(time.CLOCK_REALTIME)), (stamp, stamp))
            self.assertEqual({time.time_ns(), time_ns(), time.clock_gettime_ns(time.CLOCK_REALTIME)},
                             {1893546245250000000 + round(gone * 10**9)})
            self.assertEqual({time.gmtime(), time.gmtime(None)}, {time.gmtime(int(stamp))})
            self.assertEqual({time.localtime(), localtime()}, {time.localtime(int(stamp))})
            self.assertEqual(time.ctime(), time.ctime(int(stamp)))
            self.assertEqual(time.asctime(), time.asctime(time.localtime(int(stamp))))
            self.assertEqual(time.strftime("%c"), time.strftime("%c", time.localtime(int(stamp))))

    async def test_what_does_not_follow(self):
        """An explicit moment, the clocks of the processor and the monotonic one are what they are."""
        self.assertEqual(time.gmtime(0).tm_year, 1970)
        self.assertEqual(time.strftime("%Y", (2001, 2, 3, 4, 5, 6, 7, 8, 0)), "2001")
        self.assertEqual(time.asctime((2001, 2, 3, 4, 5, 6, 7, 8, 0))[-4:], "2001")
        self.assertEqual(time.monotonic(), 0.0)
        self.assertLess(time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID), 1e9)
        self.assertLess(time.clock_gettime_ns(time.CLOCK_PROCESS_CPUTIME_ID), 1e18)
        for call in (lambda: time.gmtime("x"), lambda: time.strftime(), lambda: time.time(1)):
            self.assertRaises(TypeError, call)

    async def test_the_standard_library(self):
        """Log records, e-mail dates, cookies and uuid1() are of that time."""
        await asyncio.sleep(10)
        self.assertAlmostEqual(logging.makeLogRecord({}).created, STAMP + 10, places=5)  # it divides floats
        self.assertEqual(email.utils.localtime(), START + datetime.timedelta(seconds=10))
        self.assertEqual(email.utils.formatdate(), email.utils.formatdate(STAMP + 10))
        self.assertEqual(http.cookiejar.time2isoz(), "2030-01-02 01:04:15Z")
        since_1582 = uuid.uuid1().time - 0x01B21DD213814000
        self.assertEqual(since_1582, round((STAMP + 10) * 10**7))

    async def test_a_step_of_the_clock(self):
        """set_wall_clock() moves the time of day and no timer; it goes on from there, in the zone of what was set."""
        start = datetime.datetime(2001, 1, 1, tzinfo=UTC)
        with self.assertElapses(2):
            sleeper = asyncio.create_task(asyncio.sleep(2))
            await asyncio.sleep(1)
            self.set_wall_clock(start)
            self.assertEqual((self.wall_now, self.wall_now.tzinfo), (start, UTC))
            await sleeper
        self.assertEqual(time.time(), start.timestamp() + 1)
        for when in (datetime.datetime(2001, 1, 1), 5, None):
            with self.assertRaisesRegex(ValueError, r"set_wall_clock\(\) takes a datetime with a time zone, not "):
                self.set_wall_clock(when)

    async def test_a_wait_by_the_clock_on_the_wall(self):
        """A program that waits for a time of day gets there."""
        deadline = time.time() + 3600
        while time.time() < deadline:
            await asyncio.sleep(60)
        self.assertEqual(self.now, 3600)

    async def test_other_threads(self):
        """A job sees the same clock; a thread that no test knows sees the real one."""
        self.assertEqual(await asyncio.to_thread(time.time), STAMP)
        self.assertEqual(await asyncio.to_thread(datetime.datetime.now, UTC), START)

    async def test_a_mock_in_its_place(self):
        """A program's own patches win."""
        with mock.patch("time.time", return_value=5.0):
            self.assertEqual(time.time(), 5.0)
        self.assertEqual(time.time(), STAMP)


    async def test_a_tool_that_stops_the_clock(self):
        """A tool that puts the real functions back in the midst of a test does not bring the real clock back."""
        real = time.time.__wrapped__, time.time_ns.__wrapped__
        time.time, time.time_ns = lambda: 5.0, lambda: 5
        self.assertEqual((time.time(), time_ns()), (5.0, 1893546245250000000))
        time.time, time.time_ns = real
        self.assertEqual((time.time(), time.time_ns(), time_ns()), (STAMP, 1893546245250000000, 1893546245250000000))


class SharedLoopTest(SolipsistTestCase):
    """On a shared loop the time of day goes on from test to test."""

    wall_start = START
    loop_scope = "class"

    async def test_1(self):
        """It begins at wall_start."""
        self.assertEqual(self.wall_now, START)
        await asyncio.sleep(5)
        self.set_wall_clock(START.replace(year=1999).astimezone(datetime.timezone(datetime.timedelta(hours=3))))
        await asyncio.sleep(5)

    async def test_2(self):
        """It goes on where the test before it ended; a step of the clock has ended with its test."""
        self.assertEqual(self.wall_now, START + datetime.timedelta(seconds=10))
        self.assertEqual(self.wall_now.utcoffset(), START.utcoffset())


class NowTest(SolipsistTestCase):
    wall_start = "now"
    start_time = 1000.0

    async def test_begins_now(self):
        """With "now" it begins with the real time of day, and is virtual from there."""
        begin = time.time()
        self.assertEqual(time.time(), begin)
        await asyncio.sleep(7)
        self.assertEqual(round(time.time() - begin, 6), 7)
        self.assertEqual(self.wall_now.utcoffset(), datetime.timedelta(0))


class AroundTest(unittest.TestCase):
    def case(self, body, **attributes):
        async def test(case):
            await body(case)

        return type("Case", (SolipsistTestCase,), {"test": test, **attributes})

    def test_real_again_afterwards(self):
        """After the test, and for threads outside of it, the clock is the real one and names are what they were."""
        def names():
            return list(map(id, (time.time, time.time_ns, datetime.datetime, datetime.date, time_ns,
                                 uuid._generate_time_safe)))

        before, seen = names(), []

        async def body(case):
            self.assertNotEqual(names(), before)
            case.assertEqual(time.time(), STAMP)

        case = self.case(body, wall_start=START)
        thread = threading.Thread(target=lambda: seen.append(run(case)))
        thread.start()
        thread.join()
        self.assertTrue(seen[-1].wasSuccessful(), told(seen[-1]))
        self.assertEqual(names(), before)
        self.assertLess(abs(time.time() - datetime.datetime.now().timestamp()), 3600)

    def test_a_thread_outside_sees_the_real_one(self):
        """While a test has a clock of its own, a thread of the process that is not the test's has the real one."""
        asked, seen, answers = threading.Event(), [], []

        def outside():
            asked.wait(30)
            seen.extend((time.time(), time.time_ns() / 1e9, datetime.datetime.now(UTC).timestamp(),
                         datetime.datetime.today().timestamp(), datetime.date.today().year))
            for loop, answered in answers:
                loop.call_soon_threadsafe(answered.set)

        thread = threading.Thread(target=outside)
        thread.start()

        async def body(case):
            answered = asyncio.Event()
            answers.append((asyncio.get_running_loop(), answered))
            with case.hold_clock():
                asked.set()
                await answered.wait()
            seen.append(time.time())

        result = run(self.case(body, wall_start=START, on_polling="jump"))
        asked.set()
        thread.join()
        self.assertTrue(result.wasSuccessful(), told(result))
        *real, year, virtual = seen
        self.assertEqual(virtual, STAMP)
        self.assertLess(max(real) - min(real), 3600)
        self.assertTrue(all(abs(stamp - time.time()) < 3600 for stamp in real), seen)
        self.assertIn(year, (time.gmtime().tm_year, time.gmtime(time.time() + 86400).tm_year))

    def test_a_test_inside_of_a_test(self):
        """A test that runs inside of another has its own clock, and the outer one goes on with its own."""

        async def inner(case):
            self.assertEqual(case.wall_now, datetime.datetime(1999, 1, 1, tzinfo=UTC))

        async def outer(case):
            def nested():
                seen.append(run(self.case(inner, wall_start=datetime.datetime(1999, 1, 1, tzinfo=UTC))))

            await asyncio.to_thread(nested)
            self.assertEqual(time.time(), STAMP)
            self.assertEqual(datetime.datetime.now(UTC), START)

        seen = []
        result = run(self.case(outer, wall_start=START, on_slow_callback="ignore"))
        self.assertTrue(result.wasSuccessful(), told(result))
        self.assertTrue(seen[0].wasSuccessful(), told(seen[0]))

    def test_bad_settings(self):
        """A wall_start that says no moment, and one on another loop, are refused with the cure."""

        async def body(case):
            """Never runs."""

        for value in (datetime.datetime(2030, 1, 1), 5, "tomorrow", datetime.date(2030, 1, 1)):
            text = told(run(self.case(body, wall_start=value)))
            self.assertIn("solipsism_unittest reads it as the time of day at which a test begins. Set it to a datetime "
                          "with a time zone, to \"now\", or to None for the real clock", text)
        text = told(run(self.case(body, wall_start=START, loop_factory=asyncio.SelectorEventLoop)))
        self.assertIn("wall_start needs the virtual world", text)

    def test_without_a_clock_of_its_own(self):
        """wall_now and set_wall_clock() say what they need."""

        async def body(case):
            for what, use in (("self.wall_now", lambda: case.wall_now),
                              ("set_wall_clock()", lambda: case.set_wall_clock(START))):
                with self.assertRaisesRegex(SolipsismError, "needs a time of day of the test's own: set wall_start on "
                                                            "Case") as caught:
                    use()
                self.assertTrue(str(caught.exception).startswith(what))

        result = run(self.case(body))
        self.assertTrue(result.wasSuccessful(), told(result))


class RealClockTest(unittest.TestCase):
    """Without `wall_start` the clock is real, and who waits for it is told."""

    HINT = (r"the program has read the real clock \d+ times with time\.time\(\), "
            r"as at tests/stdlib/clocks/test_wall\.py:\d+")

    def failure(self, body, error, **attributes):
        async def test(case):
            await body(case)

        result = run(type("Case", (SolipsistTestCase,), {"test": test, **attributes}))
        text = told(result)
        self.assertIn(error.__name__, text)
        return text

    async def wait_by(self, read):
        end = read() + 1000
        while read() < end:
            await asyncio.sleep(1)

    def test_a_wait_that_never_ends(self):
        """A limit that strikes a program which waits by the real clock names the line."""
        for read in (lambda: time.time(), lambda: time.time_ns() / 1e9):
            text = self.failure(lambda case, read=read: self.wait_by(read), VirtualTimeLimitError,
                                virtual_time_limit=500)
            self.assertRegex(text, self.HINT)

    def test_a_hang(self):
        """A hang after many reads names the line; few reads, and those of libraries, say nothing."""

        async def body(case, reads):
            for _ in range(reads):
                time.time()
                logging.makeLogRecord({})
                await asyncio.sleep(1)
            await asyncio.Event().wait()

        self.assertRegex(self.failure(lambda case: body(case, 150), SleepForeverError), self.HINT)
        self.assertNotRegex(self.failure(lambda case: body(case, 50), SleepForeverError), "real clock")

    def test_a_wait_that_ends(self):
        """A test that passes after a wait in real time gets a warning at that line; one that only reads gets none."""

        async def body(case, nap):
            for _ in range(30):
                time.time()
                await asyncio.sleep(nap)

        line = body.__code__.co_firstlineno + 2
        with (mock.patch("solipsism_unittest.kernel.wall.WAITS", 20), mock.patch.object(wall, "WAITS", 20),
              warnings.catch_warnings(record=True) as caught):
            warnings.simplefilter("always")
            for nap in (1, 0):
                self.assertEqual(told(run(type("Case", (SolipsistTestCase,), {"test": lambda case, nap=nap: body(
                    case, nap)}))), "")
        (warning,) = caught
        self.assertIs(warning.category, RealClockWarning)
        self.assertEqual((warning.filename, warning.lineno), (__file__, line))
        self.assertRegex(str(warning.message), self.HINT)

    def test_a_failed_assertion(self):
        """A failed assertion in a test that read the real clock at two instants says so; at one it does not."""

        async def body(case, naps):
            start = time.time()
            for _ in range(naps):
                await asyncio.sleep(5)
                time.time()
            case.assertEqual(round(time.time() - start), 5)

        self.assertRegex(self.failure(lambda case: body(case, 1), AssertionError), self.HINT)
        self.assertNotRegex(self.failure(lambda case: body(case, 0), AssertionError), "real clock")

    def test_real(self):
        """The clock is the real one."""

        async def body(case):
            case.assertLess(abs(time.time() - datetime.datetime.now().timestamp()), 3600)
            case.assertEqual(time.strftime("%Y", time.gmtime(0)), "1970")
            case.assertEqual(time.gmtime()[:2], datetime.datetime.now(UTC).timetuple()[:2])
            case.assertGreater(time.clock_gettime(time.CLOCK_REALTIME), 1e9)
            case.assertGreater(time.clock_gettime_ns(time.CLOCK_REALTIME), 10**18)
            case.assertTrue(time.ctime() and time.asctime())
            case.fail("to be seen")

        self.assertIn("to be seen", self.failure(body, AssertionError))
