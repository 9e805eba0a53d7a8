"""A client that is not closed is a leak with its line, whatever the end of its fake server makes of it."""

import asyncio
import gc
import unittest
import warnings

from solipsism_unittest import SolipsistTestCase
from tests.clean.test_streams import tls_contexts


class Reconnecting(asyncio.Protocol):
    """A client that connects again when it has lost its connection, as many do."""

    def connection_lost(self, error):
        self.again = asyncio.get_running_loop().create_task(asyncio.sleep(5))


class Silent(SolipsistTestCase):
    """What the inner tests have in common."""

    async def until_it_ends(self, reader, writer):
        """A handler that closes its writer when it is cancelled."""
        try:
            await reader.read()
        finally:
            writer.close()

    async def connect(self, protocol=asyncio.Protocol, handler=None, **options):
        server, client = tls_contexts() if "tls" in options else (None, None)
        await self.start_fake_server(handler, "localhost", 443, ssl=server)
        self.transport, self.protocol = await self.loop.create_connection(protocol, "localhost", 443, ssl=client)

    async def connect_streams(self, handler=None, **options):
        server, client = tls_contexts() if "tls" in options else (None, None)
        await self.start_fake_server(handler, "localhost", 443, ssl=server)
        self.reader, self.writer = await asyncio.open_connection("localhost", 443, ssl=client)


class Forgetful(Silent):
    async def test_streams(self):
        await self.connect_streams()

    async def test_streams_of_tls(self):
        await self.connect_streams(tls=True)

    async def test_streams_of_tls_with_a_handler(self):
        await self.connect_streams(self.until_it_ends, tls=True)

    async def test_a_protocol(self):
        await self.connect()

    async def test_a_protocol_with_a_handler(self):
        await self.connect(handler=self.until_it_ends)

    async def test_a_protocol_of_tls(self):
        await self.connect(tls=True)

    async def test_one_that_connects_again(self):
        await self.connect(Reconnecting)

    async def test_two_servers(self):
        await self.start_fake_server(self.until_it_ends, "other", 80)
        await self.connect(handler=self.until_it_ends)

    async def test_a_client_of_itself(self):
        await self.start_fake_server(None, path="\0name")
        self.transport, _ = await self.loop.create_unix_connection(asyncio.Protocol, "\0name")


class Collected(Silent):
    async def test(self):
        await self.connect_streams()
        del self.reader, self.writer
        await asyncio.sleep(1)
        gc.collect()


class Careful(Silent):
    async def test_closed(self):
        await self.connect(Reconnecting, tls=True)
        self.transport.close()
        self.protocol.again.cancel() if hasattr(self.protocol, "again") else None
        await asyncio.sleep(1)
        self.protocol.again.cancel()

    async def test_closed_at_the_last_moment(self):
        await self.connect()
        self.transport.close()

    async def test_tls_closed_at_the_last_moment(self):
        await self.connect_streams(tls=True)
        self.writer.close()

    async def test_closed_with_much_that_nobody_reads(self):
        await self.connect_streams()
        self.writer.write(bytes(1_000_000))
        self.writer.close()

    async def test_tls_closed_with_much_that_nobody_reads(self):
        await self.connect_streams(tls=True)
        self.writer.write(bytes(1_000_000))
        self.writer.close()

    async def test_closed_in_a_cleanup(self):
        self.addCleanup(lambda: self.transport.close())
        await self.connect()

    async def test_meant_to_be_left(self):
        await self.connect()
        self.expect_leak(self.transport)

    def test_the_test_ends_its_servers_itself(self):
        self.loop.run_until_complete(self.connect())
        self.doCleanups()


def load_tests(loader, tests, pattern):
    """The other classes are inner tests."""
    return loader.loadTestsFromTestCase(ClientsTest)


class ClientsTest(unittest.TestCase):
    def test_forgotten(self):
        """A client that nobody closed is reported once, with its line, and nothing else is."""
        for name in unittest.TestLoader().getTestCaseNames(Forgetful):
            with self.subTest(name):
                result = unittest.TestResult()
                unittest.TestSuite([Forgetful(name)]).run(result)  # the class begins anew
                self.assertEqual((result.errors, len(result.failures)), ([], 1))
                self.assertRegex(result.failures[0][1],
                                 r"AssertionError: the test left 1 thing behind; end what you start, or let a cleanup "
                                 r"do it\n  1 open transport\n    <SelectorSocketTransport .* established\S*>\n"
                                 r"      made at \S+ in \S+\n$")

    def test_collected(self):
        """A client that went as garbage is reported once, as such."""
        result = unittest.TestResult()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            Collected("test").run(result)
        self.assertEqual((result.errors, len(result.failures)), ([], 1))
        self.assertRegex(result.failures[0][1], r"the test left 1 thing behind.*\n  1 open transport\n"
                                                r"    <.* > .*>, never closed and collected as garbage\n")

    def test_closed(self):
        """A client that is closed, in the test or in a cleanup, is not reported."""
        for name in unittest.TestLoader().getTestCaseNames(Careful):
            with self.subTest(name):
                result = unittest.TestResult()
                Careful(name).run(result)
                self.assertEqual(result.errors + result.failures, [])
