"""freezegun: it freezes the virtual clocks too, and a failure that comes of that says so.

Its twin, which needs no freezegun, is in tests/behaviours/newcomers/times.py.
"""

import asyncio
import datetime
import time
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told
from tests.interop import library, needs

freezegun = library("freezegun")


@needs("freezegun")
class FreezegunTest(unittest.TestCase):
    def failure(self, test):
        return told(run(type("Case", (SolipsistTestCase,), {"test": test, "virtual_time_limit": 7200})))

    def test_a_failure_says_so(self):
        """A block, a decorator and a deadline by the clock: each names who has frozen it."""
        async def in_a_block(self):
            with freezegun.freeze_time("2026-11-29"):
                start = datetime.datetime.now()
                await asyncio.sleep(3600)
                self.assertGreaterEqual(datetime.datetime.now() - start, datetime.timedelta(hours=1))

        @freezegun.freeze_time("2026-11-29")
        async def decorated(self):
            start = time.monotonic()
            await asyncio.sleep(3600)
            self.assertGreaterEqual(time.monotonic() - start, 3600)

        async def deadline(self):
            with freezegun.freeze_time("2026-11-29"):
                end = time.monotonic() + 5
                while time.monotonic() < end:
                    await asyncio.sleep(1)

        for test in (in_a_block, decorated, deadline):
            with self.subTest(test.__name__):
                self.assertIn("time.monotonic() was replaced by freezegun at t=0.0, and ", self.failure(test))

    def test_a_frozen_test_that_passes(self):
        """A program may run frozen: what sleeps is woken by the loop, whose time goes on."""
        async def test(self):
            with freezegun.freeze_time("2026-11-29"):
                await asyncio.sleep(3600)
                self.assertEqual(datetime.date.today(), datetime.date(2026, 11, 29))
            self.assertNow(3600)

        self.assertEqual(self.failure(test), "")
