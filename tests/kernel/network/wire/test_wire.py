"""Connects and datagrams over links and rules."""

import asyncio
import errno
import socket
from unittest import mock

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.kernel.network.wire.faults import Verdict


class ConnectTest(SolipsistTestCase):
    async def connect(self, host="api.test", port=80):
        _, writer = await asyncio.open_connection(host, port)
        self.addCleanup(writer.close)
        return writer

    async def test_a_round_trip(self):
        """A connect takes a round trip: to a server, to nobody, and the answer to a line another."""
        self.network.link("localhost", "api.test", latency=0.05)
        server = await self.start_fake_server(host="api.test", port=80)
        with self.assertElapses(0.1):
            writer = await self.connect()
        with self.assertElapses(0.1), self.assertRaises(ConnectionRefusedError):
            await self.connect(port=81)
        connection = await server.accept()
        with self.assertElapses(0.1):
            writer.write(b"ping")
            await self.assertReceives(connection, b"ping")
            connection.writer.write(b"pong")
            await connection.writer.drain()
            await asyncio.sleep(0.05)

    async def test_different_ways(self):
        """Each way has its own latency."""
        self.network.link("localhost", "api.test", latency=0.3, one_way=True)
        self.network.link("api.test", "localhost", latency=0.1, one_way=True)
        await self.start_fake_server(host="api.test", port=80)
        with self.assertElapses(0.4):
            await self.connect()

    async def test_a_lost_handshake(self):
        """A lost SYN, and a lost answer, cost a second each; a cut line ends in ETIMEDOUT."""
        await self.start_fake_server(host="api.test", port=80)
        for cut in (("localhost", "api.test"), ("api.test", "localhost")):
            link = self.network.link(*cut, one_way=True)
            link.cut()
            self.loop.call_later(2.5, link.heal)
            with self.assertElapses(3):
                await self.connect()
            link.cut()
            with self.assertElapses(131), self.assertRaises(TimeoutError) as caught:
                await self.connect()
            self.assertEqual(caught.exception.errno, errno.ETIMEDOUT)
            link.remove()

    async def test_cut_while_it_flies(self):
        """A SYN, and an answer, that are on their way when the line is cut are lost."""
        await self.start_fake_server(host="api.test", port=80)
        for moment in (0.2, 0.7):
            link = self.network.link(latency=0.5)
            self.loop.call_later(moment, link.cut)
            self.loop.call_later(1.5, link.heal)
            with self.assertElapses(3):
                await self.connect()
            link.remove()

    async def test_a_slow_line(self):
        """On a line on which an answer takes longer than the next SYN there is one connection all the same."""
        server = await self.start_fake_server(host="api.test", port=80)
        self.network.link(latency=2)
        with self.assertElapses(4):
            await self.connect()
        await asyncio.sleep(100)
        self.assertEqual(len(server.connections), 1)

    async def test_given_up(self):
        """A connect that is cancelled leaves nothing behind, whatever is on its way."""
        await self.start_fake_server(host="api.test", port=80)
        self.network.link(latency=2)
        for seconds in (0.5, 1.5, 3):
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(self.connect(), seconds)
        await asyncio.sleep(100)

    async def test_rules(self):
        """A rule refuses a connect, fails it, loses its SYN or lets it come late; it sees who asks whom."""
        await self.start_fake_server(host="api.test", port=80)
        seen = []
        verdicts = [Verdict.RESET, Verdict.fail(errno.EHOSTUNREACH), Verdict.DROP, None]
        self.network.rule(lambda packet: seen.append(packet) or (verdicts.pop(0) if verdicts else Verdict.later(5)))
        with self.assertRaises(ConnectionRefusedError):
            await self.connect()
        with self.assertRaises(OSError) as caught:
            await self.connect()
        self.assertEqual(caught.exception.errno, errno.EHOSTUNREACH)
        with self.assertElapses(1):
            await self.connect()
        with self.assertElapses(5):
            await self.connect()
        self.assertEqual({(packet.kind, packet.source, packet.target, packet.target_address[1]) for packet in seen},
                         {("connect", "localhost", "api.test", 80)})

    async def test_rules_of_streams(self):
        """A rule sees each segment: it may come late, be lost, or reset the connection."""
        server = await self.start_fake_server(host="api.test", port=80)
        writer = await self.connect()
        connection = await server.accept()
        kinds = []

        def rule(packet):
            kinds.append(packet.kind)
            return {b"late": Verdict.later(3), b"reset": Verdict.RESET}.get(packet.data) or (
                Verdict.DROP if packet.data == b"lost" and kinds.count("data") < 4 else None)

        self.network.rule(rule)
        writer.write(b"late")
        with self.assertElapses(3):
            await self.assertReceives(connection, b"late")
        writer.write(b"lost")
        with self.assertElapses(0.4):
            await self.assertReceives(connection, b"lost")
        writer.write(b"reset")
        with self.assertRaises(ConnectionResetError):
            await connection.reader.read()
        self.assertEqual(kinds, ["data"] * 5)

    async def test_to_itself(self):
        """What a host says to itself goes over no link."""
        self.network.link(latency=5)
        server = await self.start_fake_server()
        with self.assertElapses(0):
            await self.connect(*server.address)

    async def test_a_full_queue(self):
        """Who finds the queue full tries again with the next SYN."""
        self.network.link("localhost", "api.test", latency=0.1)
        listener = self.enterContext(socket.socket())
        listener.bind(("api.test", 80))
        listener.listen(0)
        listener.setblocking(False)
        await self.connect()
        second = asyncio.create_task(self.connect())
        await asyncio.sleep(1.5)
        self.assertFalse(second.done())
        self.enterContext((await self.loop.sock_accept(listener))[0])
        with self.assertElapses(0.7):  # its SYN is repeated two seconds after the first
            await second
        self.enterContext((await self.loop.sock_accept(listener))[0])


class EndsTest(SolipsistTestCase):
    """Ends that are no longer, or not yet, on the wire."""

    async def test_nowhere(self):
        """An end without addresses, as one that begins anew, is on no way, and none is cut."""
        wire, end = self.network.wire, self.loop.kernel.stream(socket.AF_INET, None)
        self.network.link(latency=1.0).cut()
        self.assertEqual((wire.way_of(end).settings.latency, wire.round_trip(end), wire.is_cut_between(end)),
                         (0.0, 0.0, False))
        self.loop.kernel.close(end)

    async def test_a_peer_that_is_gone(self):
        """An end whose peer has closed before there was a link is reset when it sends, and a rule may reset it too."""
        for rule in (None, lambda packet: Verdict.RESET):
            server = await self.start_fake_server(host="api.test")
            reader, writer = await asyncio.open_connection(*server.address)
            self.addCleanup(writer.close)
            (await server.accept()).close()
            await self.settle()
            self.assertEqual(await reader.read(), b"")
            link = self.network.link("localhost", "api.test", latency=0.5)
            installed = self.network.rule(rule) if rule else None
            with self.assertRaises(ConnectionError):
                for _ in range(3):
                    writer.write(b"x")
                    await asyncio.sleep(2)
                    await writer.drain()
            link.remove()
            if installed:
                installed.remove()


class DatagramTest(SolipsistTestCase):
    async def asyncSetUp(self):
        self.server = await self.start_fake_datagram_server(host="api.test", port=53)
        self.sock = self.enterContext(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.sock.setblocking(False)

    async def send(self, *datagrams):
        for data in datagrams:
            self.sock.sendto(data, ("api.test", 53))

    def received(self):
        return [data for data, _ in self.server.received]

    async def test_latency(self):
        """A datagram comes one latency later, and its answer another."""
        self.network.link("localhost", "api.test", latency=0.05)
        await self.send(b"ask")
        with self.assertElapses(0.05):
            data, address = await self.server.receive()
        self.server.send(b"answer", address)
        with self.assertElapses(0.05):
            self.assertEqual(await self.loop.sock_recv(self.sock, 100), b"answer")

    async def test_all_that_happens_to_datagrams(self):
        """Datagrams are lost, doubled, turned and overtaken, as often as was asked for, and never cut."""
        link = self.network.link("localhost", "api.test", loss=1.0)
        await self.send(b"lost")
        link.change(loss=0.0, duplicate=1.0)
        await self.send(b"twice")
        link.change(duplicate=0.0, corrupt=1.0)
        await self.send(b"turned", b"")
        await self.settle()
        *twice, turned, empty = self.received()
        self.assertEqual((twice, empty), ([b"twice", b"twice"], b""))
        bits = [bin(one ^ other).count("1") for one, other in zip(turned, b"turned", strict=True)]
        self.assertEqual(sum(bits), 1)
        link.change(corrupt=0.0, latency=1.0)
        await self.send(b"slow")
        link.change(reorder=1.0)
        await self.send(b"fast")
        await asyncio.sleep(2)
        self.assertEqual(self.received()[-2:], [b"fast", b"slow"])

    async def test_cut(self):
        """What is sent into a cut line, and what is on its way when it is cut, is lost without a word."""
        link = self.network.link("localhost", "api.test", latency=1)
        await self.send(b"flies")
        await asyncio.sleep(0.5)
        link.cut()
        await self.send(b"sent")
        await asyncio.sleep(5)
        link.heal()
        await self.send(b"healed")
        await asyncio.sleep(5)
        self.assertEqual(self.received(), [b"healed"])

    async def test_rules(self):
        """A rule drops, doubles, turns and delays datagrams; a reset is a refusal for who is connected."""
        verdicts = {b"drop": Verdict.DROP, b"twice": Verdict.DUPLICATE, b"turn": Verdict.CORRUPT,
                    b"late": Verdict.later(5), b"fail": Verdict.fail(errno.ENETUNREACH)}
        self.network.rule(lambda packet: verdicts.get(packet.data) if packet.kind == "datagram" else None)
        await self.send(*verdicts)
        await self.settle()
        self.assertEqual(self.received()[:2], [b"twice", b"twice"])
        self.assertEqual(len(self.received()), 3)
        with self.assertElapses(5):
            while self.received()[-1] != b"late":
                await asyncio.sleep(0.5)
        self.network.rule(lambda packet: Verdict.RESET)
        self.sock.connect(("api.test", 53))
        self.sock.send(b"x")
        self.assertRaises(ConnectionRefusedError, self.sock.recv, 100)

    async def test_broadcast(self):
        """A link to everybody carries what is for many."""
        self.network.link(latency=1.0)
        hears = await self.start_fake_datagram_server(host="255.255.255.255", port=5000)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.sock.sendto(b"all", ("255.255.255.255", 5000))
        with self.assertElapses(1):
            self.assertEqual((await hears.receive())[0], b"all")

    async def test_the_same_seed(self):
        """One seed gives one journal of a lossy line, another seed another."""
        self.assertTrue(self.sock)

        def digest(seed):
            class Test(SolipsistTestCase):
                async def test(self):
                    self.network.link(loss=0.4, jitter=0.01, latency=0.02, duplicate=0.2)
                    await self.start_fake_datagram_server(host="api.test", port=53)
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                        for _ in range(50):
                            sock.sendto(b"x", ("api.test", 53))
                            await asyncio.sleep(0.01)
                    digests.append(self.loop.kernel.journal.digest)

            Test.seed = seed
            digests = []
            with mock.patch("builtins.print"):
                Test("test").run(result := __import__("unittest").TestResult())
            self.assertTrue(result.wasSuccessful(), result.errors + result.failures)
            return digests[0]

        loop = asyncio.get_running_loop()
        one, again, other = [await loop.run_in_executor(None, digest, seed) for seed in (1, 1, 2)]
        self.assertEqual(one, again)
        self.assertNotEqual(one, other)
