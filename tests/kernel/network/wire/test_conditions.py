"""What a test sets for the network: black holes, partitions, held packets, hosts that crash and come back."""

import asyncio
import errno
import socket
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told


class ConditionsCase(SolipsistTestCase):
    async def echo(self, reader, writer):
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async def joined(self, host="api.test", port=80):
        self.server = await self.start_fake_server(self.echo, host=host, port=port)
        self.reader, self.writer = await asyncio.open_connection(host, port)
        self.addCleanup(self.writer.close)

    async def ask(self):
        self.writer.write(b"x")
        return await self.reader.readexactly(1)


class ConditionsTest(ConditionsCase):
    async def test_drop_and_repair(self):
        """drop() acts on open connections; repair() lets the next retransmission through."""
        await self.joined()
        self.network.drop("api.test")
        self.loop.call_later(1, self.network.repair, "api.test")
        with self.assertElapses(1.6):
            self.assertEqual(await self.ask(), b"x")

    async def test_partition_and_heal(self):
        """A partition cuts what is there and what comes, between two hosts or one and all; heal() ends it."""
        await self.joined()
        other = await self.start_fake_server(self.echo, "other.test", 80)
        for hosts in (("localhost", "api.test"), ("api.test",)):
            self.network.partition(*hosts)
            self.loop.call_later(0.3, self.network.heal, *hosts)
            with self.assertElapses(0.4):
                await self.ask()
            self.network.partition(*hosts)
            with self.assertElapses(0):
                _, writer = await asyncio.open_connection(*other.address)
            writer.close()
            self.network.heal()
            with self.assertElapses(0):
                await self.ask()

    async def test_a_partition_of_a_slow_line(self):
        """What is between two hosts stays as it was when a partition of them is over, and while it lasts."""
        self.network.link(latency=0.5)
        await self.joined()
        self.network.partition("localhost", "api.test")
        self.network.hold("api.test", "localhost")
        self.network.heal("api.test", "localhost")
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(self.ask(), 10)
        self.network.release()
        await self.reader.readexactly(1)
        with self.assertElapses(1):
            await self.ask()
        self.assertEqual(len(self.network.wire.links.between("*", "*")), 1)

    async def test_hold_and_release(self):
        """What is held is neither lost nor there; in_flight() shows it, and release() lets it arrive in order."""
        await self.joined()
        self.network.hold("localhost", "api.test")
        self.writer.write(b"1")
        await asyncio.sleep(5)
        self.writer.write(b"2")
        await self.settle()
        self.assertEqual([flight.size for flight in self.network.in_flight()], [1, 1])
        self.assertEqual(self.server.received, b"")
        self.network.release()
        self.assertEqual(await self.reader.readexactly(2), b"12")
        self.assertEqual(self.network.in_flight(), [])

    async def test_a_link_in_a_block(self):
        """A link ends with its block; what is on its way arrives all the same."""
        await self.joined()
        with self.network.link("localhost", "api.test", latency=1.0):
            with self.assertElapses(2):
                await self.ask()
            self.writer.write(b"y")
            await self.settle()
        with self.assertElapses(1):
            await self.reader.readexactly(1)
        with self.assertElapses(0):
            await self.ask()

    async def test_bad_arguments(self):
        """A setting that no link has is a TypeError that names those it has; a bad host is what it is elsewhere."""
        with self.assertRaisesRegex(TypeError, "a link has no delay: it has latency, jitter, "):
            self.network.link(delay=1)
        self.assertRaises(ValueError, self.network.link, "no host")
        self.assertRaisesRegex(ValueError, "latency is a finite number", self.network.link, latency=-1)

    async def test_closed_with_something_under_way(self):
        """What a closed connection has on its way arrives before leftovers are counted."""
        self.network.link(latency=20.0)
        await self.joined()
        self.writer.write(b"x")
        self.writer.close()

    async def closed_on(self, **settings):
        async def serve(reader, writer):
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "api.test", 80)
        _, writer = await asyncio.open_connection("api.test", 80)
        with self.network.link(**settings):
            writer.write(b"12345")
            writer.close()
            server.close()
            await self.settle()
            self.assertEqual(len(self.network.in_flight()), 2)
        self.assertEqual(len(self.network.in_flight()), 2)

    async def test_closed_on_a_link_that_is_gone(self):
        """The same where its link was removed meanwhile."""
        await self.closed_on(latency=10.0)

    async def test_closed_on_a_narrow_link(self):
        """The same where bytes wait before the link."""
        await self.closed_on(bandwidth=8.0)

    async def test_netstat(self):
        """A table of all sockets: addresses, states, and bytes that wait or are under way."""
        await self.joined()
        self.network.link("localhost", "api.test", latency=1.0)
        self.writer.write(b"four")
        lines = self.network.netstat().splitlines()
        local = self.writer.get_extra_info("sockname")
        remote = self.writer.get_extra_info("peername")
        self.assertEqual(lines[0].split(), ["local", "remote", "state", "to", "read", "under", "way"])
        self.assertTrue(any("listening" in line for line in lines))
        self.assertIn([f"{remote[0]}:{remote[1]}", f"{local[0]}:{local[1]}", "established", "0", "4"],
                      [line.split() for line in lines])
        self.assertRegex(lines[-1], r"^on its way: data .*, 4 bytes, arrives at t=1\.0$")


class LeftTest(unittest.TestCase):
    def check(self, act, count):
        """The report about a handler that waits for its client says what has not arrived."""
        async def serve(reader, writer):
            await reader.read()
            writer.close()

        class Case(SolipsistTestCase):
            async def test(self):
                server = await asyncio.start_server(serve, "api.test", 80)
                _, writer = await asyncio.open_connection("api.test", 80)
                act(self.network)
                writer.write(b"1")
                writer.close()
                server.close()

        words = f"  {count} not arrived: heal\\(\\), release\\(\\), or let time pass, before the test ends"
        self.assertRegex(told(run(Case)), rf"1 pending task\n(.*\n)*{words}\n")

    def test_what_has_not_arrived(self):
        """It is held, lost, or takes a long time."""
        self.check(lambda network: network.hold(), "2 packets have")
        self.check(lambda network: network.partition("localhost"), "2 packets have")
        self.check(lambda network: network.link(latency=3600), "2 packets have")
        self.check(lambda network: network.link(slow_close=3600), "1 packet has")

    def test_what_has(self):
        """Where all has arrived nothing is said of it, and where nothing is left neither."""
        class Case(SolipsistTestCase):
            async def test(self):
                self.network.link(latency=1)
                self.task = asyncio.create_task(asyncio.sleep(5))

            async def test_clean(self):
                self.network.hold()
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                sock.sendto(b"x", ("api.test", 53))
                sock.close()

        result = run(Case)
        self.assertEqual(len(result.failures), 1)
        self.assertNotIn("arrived", told(result))


class HostTest(ConditionsCase):
    async def test_where_a_program_is(self):
        """In the block, and in tasks that are made in it, connects and datagrams come from that host."""
        server = await self.start_fake_server(host="api.test", port=80)
        datagrams = await self.start_fake_datagram_server(host="api.test", port=53)
        self.network.link("client.test", "api.test", latency=1.0)

        async def visit():
            _, writer = await asyncio.open_connection("api.test", 80)
            self.addCleanup(writer.close)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"x", ("api.test", 53))

        with self.network.host("client.test") as client, self.network.host("inner.test"):
            inner = asyncio.create_task(visit())
        with client:
            outer = asyncio.create_task(visit())
        with self.assertElapses(2):
            await asyncio.gather(inner, outer)
        await asyncio.sleep(1)
        await visit()
        await self.settle()
        names = [self.network.names.name_of(connection.address[0]) for connection in server.connections]
        self.assertEqual(names, ["inner.test", "client.test", "localhost"])
        self.assertEqual([self.network.names.name_of(address[0]) for _, address in datagrams.received],
                         ["inner.test", "client.test", "localhost"])
        self.assertRegex(repr(client), r"^<host client\.test 198\.1[89]\.\d+\.\d+, 2001:db8:")

    async def test_servers_on_a_host(self):
        """What listens on a wildcard inside of the block listens on that host, and not on the machine's own address."""
        with self.network.host("db.test"):
            server = await asyncio.start_server(self.echo, "0.0.0.0", 5432)
            reader, writer = await asyncio.open_connection("db.test", 5432)
        self.addCleanup(server.close)
        writer.write(b"x")
        self.assertEqual(await reader.readexactly(1), b"x")
        writer.close()
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection("localhost", 5432)
        self.network.add_host("six.test", "2001:db8::6")
        with self.network.host("six.test"), self.assertRaises(OSError) as caught:
            await asyncio.open_connection("198.18.99.99", 80)
        self.assertEqual(caught.exception.errno, errno.EADDRNOTAVAIL)

    async def test_crash_and_restart(self):
        """A host that crashes says nothing; when it is back its old connections are reset, and its servers answer."""
        await self.joined()
        host = self.network.host("api.test")
        host.crash()
        await self.assertReceivesNothing(self.reader, 100)
        self.writer.write(b"x")
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(self.reader.read(), 1)
        host.restart()
        with self.assertRaises(ConnectionResetError):
            await self.reader.read()
        _, writer = await asyncio.open_connection("api.test", 80)
        writer.close()

    async def test_while_it_is_down(self):
        """A connect to a host that is down waits; one that begins then succeeds when the host is back."""
        await self.joined()
        host = self.network.host("api.test")
        host.crash()
        self.loop.call_later(3.5, host.restart)
        with self.assertElapses(4):
            _, writer = await asyncio.open_connection("api.test", 80)
        writer.close()

    async def test_without_its_services(self):
        """A host that came back without its services refuses, until they are there again."""
        await self.joined()
        host = self.network.host("api.test")
        host.crash()
        host.restart(services=False)
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection("api.test", 80)
        self.server.accept_again()
        _, writer = await asyncio.open_connection("api.test", 80)
        writer.close()

    async def test_what_was_not_accepted(self):
        """Connections that the crashed host had not accepted are gone with it."""
        listener = self.enterContext(socket.socket())
        listener.bind(("api.test", 80))
        listener.listen()
        reader, writer = await asyncio.open_connection("api.test", 80)
        host = self.network.host("api.test")
        host.crash()
        await self.assertReceivesNothing(reader, 100)
        self.assertFalse(reader.at_eof() or reader.exception())
        host.restart()
        writer.write(b"x")
        with self.assertRaises(ConnectionResetError):
            await reader.read()
        writer.close()
