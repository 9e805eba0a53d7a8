"""TLS in virtual time: the same journal in every run, timeouts without waiting, and what a report says of it."""

import asyncio
import os
import subprocess
import sys
import unittest

from solipsism_unittest import SolipsistTestCase
from tests import ROOT
from tests.case.test_case import run, told

RUNS = 200
ALONE = "from tests.behaviours import test_tls; print(*test_tls.digests(1))"


class RoundTrip(SolipsistTestCase):
    """A test with a TLS connection, as a user would write it."""

    seen: list[str] = []

    async def asyncTearDown(self):
        type(self).seen.append(self.loop.kernel.journal.digest)

    async def test_round_trip(self):
        async def upper(reader, writer):
            while line := await reader.readline():
                await asyncio.sleep(1)
                writer.write(line.upper())
            writer.close()

        self.trust()
        await self.start_fake_server(upper, "api.test", 443, tls=True)
        reader, writer = await asyncio.open_connection("api.test", 443, ssl=True)
        for _ in range(3):
            writer.write(b"hello\n")
            self.assertEqual(await reader.readline(), b"HELLO\n")
        writer.close()
        await writer.wait_closed()


def digests(count):
    """The journals of so many runs of that test."""
    RoundTrip.seen.clear()
    for _ in range(count):
        result = run(RoundTrip)
        assert result.wasSuccessful(), told(result)
    return RoundTrip.seen


class JournalTest(unittest.TestCase):
    def test_the_same_every_time(self):
        """Keys and random bytes differ from run to run, sizes and so the journal do not."""
        here = digests(RUNS)
        self.assertEqual((len(here), len(set(here))), (RUNS, 1))
        for seed in ("1", "2"):
            child = subprocess.run([sys.executable, "-c", ALONE], cwd=ROOT, text=True, capture_output=True, timeout=60,
                                   env=os.environ | {"PYTHONHASHSEED": seed})
            self.assertEqual(child.stdout.split(), here[:1], child.stderr)


class TimeTest(SolipsistTestCase):
    async def test_handshake(self):
        """A handshake that nobody answers ends after 60 virtual seconds, or what the program says, exactly."""
        await self.start_fake_server(host="api.test", port=443)
        for options, seconds in (({}, 60), ({"ssl_handshake_timeout": 86400}, 86400)):
            with self.assertElapses(seconds), self.assertRaises(ConnectionAbortedError):
                await asyncio.open_connection("api.test", 443, ssl=True, **options)

    async def test_shutdown(self):
        """A goodbye that nobody answers ends after 30 virtual seconds."""
        server, client = self.tls_contexts()
        listening = await self.start_fake_server(host="localhost", port=443, ssl=server)
        _, writer = await asyncio.open_connection("localhost", 443, ssl=client)
        (await listening.accept()).writer.transport.pause_reading()
        writer.close()
        with self.assertElapses(30), self.assertRaisesRegex(TimeoutError, "SSL shutdown timed out"):
            await writer.wait_closed()

    async def test_no_time_goes_by(self):
        """A handshake and a goodbye take no virtual time."""
        self.trust()
        await self.start_fake_server(host="api.test", port=443, tls=True)
        with self.assertElapses(0):
            _, writer = await asyncio.open_connection("api.test", 443, ssl=True)
            writer.close()
            await writer.wait_closed()


class ReportTest(unittest.TestCase):
    def test_a_hang(self):
        """A read over TLS that nobody ends is shown with its connection."""

        class Case(SolipsistTestCase):
            async def test(self):
                self.trust()
                await self.start_fake_server(host="api.test", port=443, tls=True)
                reader, writer = await asyncio.open_connection("api.test", 443, ssl=True)
                self.addCleanup(writer.close)
                await reader.read()

        self.assertRegex(told(run(Case)), r"(?s)SleepForeverError.*waits for read\(-1\) from <stream \S+ > \S+:443 ")

    def test_a_leak(self):
        """A TLS connection that nobody closes is one leak, with the line that made it."""

        class Case(SolipsistTestCase):
            async def test(self):
                self.trust()
                await self.start_fake_server(host="api.test", port=443, tls=True)
                self.kept = await asyncio.open_connection("api.test", 443, ssl=True)

        self.assertRegex(told(run(Case)), r"(?s)left 1 thing behind.*1 open transport\n    <\S+ \S+ > \S+:443 "
                                          r"established>\n      made at \S*test_tls.py:\d+ in \S*Case.test")


if __name__ == "__main__":
    unittest.main()
