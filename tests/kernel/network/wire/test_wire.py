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

    async def test_settings(self):
        """A link refuses connects, fails them or swallows them; what is open already goes on."""
        await self.start_fake_server(host="api.test", port=80)
        link = self.network.link("localhost", "api.test", latency=0.05)
        writer = await self.connect()
        for code, seconds in ((errno.ECONNREFUSED, 0.1), (errno.EHOSTUNREACH, 0.1), (errno.ENETUNREACH, 0.1),
                              (errno.ETIMEDOUT, 131)):
            with self.subTest(code=code), self.assertElapses(seconds):
                link.change(connect=code)
                with self.assertRaises(OSError) as caught:
                    await self.connect()
                self.assertEqual(caught.exception.errno, code)
        writer.write(b"x")
        await self.settle()
        self.assertEqual(len(self.network.in_flight()), 1)
        link.change(connect=None)
        await self.connect()

    async def test_no_route(self):
        """Without a route connect() and sendto() fail in the call; open connections are cut."""
        server = await self.start_fake_server(host="api.test", port=80)
        writer = await self.connect()
        connection = await server.accept()
        udp = self.enterContext(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for code in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL):
            with self.subTest(code=code), self.network.link("localhost", "api.test", route=code):
                sock = self.enterContext(socket.socket())
                sock.setblocking(False)
                address = (self.network.add_host("api.test").addresses[0], 80)
                for call in (sock.connect, udp.connect, lambda to: udp.sendto(b"x", to)):
                    with self.assertRaises(OSError) as caught:
                        call(address)
                    self.assertEqual(caught.exception.errno, code)
                writer.write(b"x")
                await self.assertReceivesNothing(connection, 0.1)
        with self.assertRaises(BlockingIOError):
            sock.connect(address)
        await self.assertReceives(connection, b"xxxx")

    async def test_a_stall(self):
        """A link that stalls keeps everything for a while, and lets it go in order."""
        server = await self.start_fake_server(host="api.test", port=80)
        writer = await self.connect()
        connection = await server.accept()
        link = self.network.link("localhost", "api.test")
        link.stall(5)
        for data in (b"1", b"2"):
            writer.write(data)
            await asyncio.sleep(1)
        with self.assertElapses(3):
            await self.assertReceives(connection, b"12")
        with self.assertRaisesRegex(ValueError, "a stall is a finite number of seconds from 0 up, not -1"):
            link.stall(-1)

    async def test_rules(self):
        """A rule refuses a connect, fails it, loses its SYN or lets it come late; it sees who asks whom."""
        await self.start_fake_server(host="api.test", port=80)
        seen = []
        verdicts = [Verdict.RESET, Verdict.fail(errno.EHOSTUNREACH), Verdict.DROP, None]
        self.network.rule(lambda packet: None if packet.kind == "lookup" else seen.append(packet) or (
            verdicts.pop(0) if verdicts else Verdict.later(5)))
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

    async def test_rules_of_look_ups(self):
        """A rule lets a look-up fail, take long, or have no answer at all."""
        await self.start_fake_server(host="api.test", port=80)
        seen = []

        def rule(packet):
            if packet.kind == "lookup":
                seen.append((packet.source, packet.target, packet.data))
                return verdicts.pop(0)

        self.network.rule(rule)
        verdicts = [Verdict.DROP, Verdict.RESET, Verdict.fail(errno.EHOSTUNREACH), Verdict.later(3), None, Verdict.PASS]
        for seconds in (10, 0, 0):
            with self.assertElapses(seconds), self.assertRaises(socket.gaierror) as caught:
                await asyncio.open_connection("api.test", 80)
            self.assertEqual(caught.exception.errno, socket.EAI_AGAIN)
        for seconds in (3, 0):
            with self.assertElapses(seconds), self.network.host("client.test"):
                await self.connect()
        with socket.socket() as sock:
            sock.connect(("api.test", 80))
        self.assertEqual(seen, [("localhost", "dns", b"api.test")] * 3
                         + [("client.test", "dns", b"api.test")] * 2
                         + [("localhost", "dns", b"api.test")])
        await self.loop.getaddrinfo("localhost", 80)
        await self.loop.getaddrinfo("192.0.2.1", 80)

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
            await writer.drain()
            await self.settle()
            await writer.drain()
        await self.assertReceivesNothing(connection, 100)
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
        self.assertEqual(([way.settings.latency for way in wire.ways_of(end)], wire.probe(end)),
                         ([0.0, 0.0], "pass"))
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
        self.network.rule(lambda packet: Verdict.RESET if packet.kind == "datagram" else None)
        self.sock.connect(("api.test", 53))
        self.sock.send(b"x")
        self.assertRaises(ConnectionRefusedError, self.sock.recv, 100)

    async def errors_of(self, count=1, *, code=errno.ECONNREFUSED, port=54, asked=False, connected=True):
        """Send some datagrams, one each 0.1 s, and give what went wrong, with the time."""
        seen = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            if asked:
                sock.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
            address = self.server.host, port
            if connected:
                sock.connect(address)
            sock.setblocking(False)
            start = self.now
            for _ in range(count):
                try:
                    sock.send(b"x") if connected else sock.sendto(b"x", address)
                except OSError as error:
                    seen.append((error.errno, round(self.now - start, 6)))
                await asyncio.sleep(0.1)
                if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    seen.append((code, round(self.now - start, 6)))
        return seen

    async def test_a_closed_port(self):
        """The error comes a round trip later; nobody hears of one that is lost on its way back."""
        link = self.network.link("localhost", "api.test", latency=0.06)
        self.assertEqual(await self.errors_of(3), [(errno.ECONNREFUSED, 0.2), (errno.ECONNREFUSED, 0.3)])
        link.change(latency=0.01, loss=1.0)
        self.assertEqual(await self.errors_of(3), [])
        link.remove()
        self.network.link("api.test", "localhost", one_way=True).cut()
        self.assertEqual(await self.errors_of(3), [])
        self.network.heal()
        self.network.drop("198.18.0.1")
        self.assertEqual(await self.errors_of(3), [])

    async def test_refusals_are_counted(self):
        """A host refuses six datagrams of another one at once, and then one a second; the own host all of them."""
        times = [when for _, when in await self.errors_of(40)]
        self.assertEqual(times[:6], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
        self.assertEqual([round(when) for when in times[6:]], [1, 2, 3])
        await asyncio.sleep(100)
        self.server = await self.start_fake_datagram_server(host="localhost")
        self.assertEqual(len(await self.errors_of(40)), 40)

    async def test_errors_on_the_way(self):
        """A connected socket hears of some errors, and of those that may pass only if it asks; others if they ask."""
        for code, hears in ((errno.ECONNREFUSED, True), (errno.ENOPROTOOPT, True), (errno.EPROTO, True),
                            (errno.EHOSTUNREACH, False), (errno.ENETUNREACH, False), (errno.EOPNOTSUPP, False)):
            with self.subTest(code=code), self.network.rule(
                    lambda packet, code=code: Verdict.fail(code) if packet.kind == "datagram" else None):
                told = [(code, 0.1)]
                self.assertEqual(await self.errors_of(port=53), told if hears else [])
                self.assertEqual(await self.errors_of(port=53, asked=True), told)
                self.assertEqual(await self.errors_of(port=53, connected=False), [])
                self.assertEqual(await self.errors_of(port=53, connected=False, asked=True), told)
        self.assertEqual(self.received(), [])

    async def test_mtu(self):
        """A datagram over the MTU goes in fragments, which are lost one by one."""
        link = self.network.link("localhost", "api.test", mtu=1000)
        await self.send(bytes(3000))
        await self.settle()
        self.assertEqual(self.received(), [bytes(3000)])
        link.change(loss=0.1)
        before = len(self.received())
        for _ in range(1000):
            await self.send(bytes(9000))  # 10 fragments
            await self.settle()
        self.assertAlmostEqual((len(self.received()) - before) / 1000, 0.9 ** 10, delta=0.045)  # three sigma

    async def test_a_narrow_way(self):
        """What is too large is lost on its way, and its sender hears so a round trip after it; the host knows for ten
        minutes, and sends fragments then. In IPv6 that is so whatever the sender wants.
        """
        self.network.link("localhost", "api.test", latency=0.05, mtu=1300)
        four, six = self.network.add_host("api.test").addresses
        for family, level, host in ((socket.AF_INET, socket.IPPROTO_IP, four),
                                    (socket.AF_INET6, socket.IPPROTO_IPV6, six)):
            sock = self.enterContext(socket.socket(family, socket.SOCK_DGRAM))
            sock.setblocking(False)
            sock.connect((host, 53))
            mtu = level, 14 if family == socket.AF_INET else 24
            for _ in range(2):
                sock.send(bytes(1400))
                await asyncio.sleep(0.1)
                with self.assertRaises(OSError) as caught:
                    sock.recv(1)
                self.assertEqual((caught.exception.errno, sock.getsockopt(*mtu)), (errno.EMSGSIZE, 1300))
                sock.send(bytes(1400))
                await asyncio.sleep(599.9)
                self.assertEqual(sock.getsockopt(*mtu), 1300)
                await asyncio.sleep(0.1)
                self.assertEqual(sock.getsockopt(*mtu), 1500)
        self.assertEqual(self.received(), [bytes(1400)] * 4)

    async def test_a_narrow_way_that_says_nothing(self):
        """Where the errors are lost too, small datagrams pass and large ones never do."""
        self.network.link("localhost", "api.test", mtu=1000)
        self.network.link("api.test", "localhost", loss=1.0, one_way=True)
        self.sock.connect((self.server.host, 53))
        for size in (1400, 900) * 3:
            self.sock.send(bytes(size))
            await asyncio.sleep(1)
        self.assertEqual(self.received(), [bytes(900)] * 3)
        self.assertEqual(self.sock.getsockopt(socket.IPPROTO_IP, 14), 1500)

    async def test_a_wide_way(self):
        """A link may take more than Ethernet."""
        self.network.link("localhost", "api.test", mtu=9000)
        self.sock.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER: no fragments
        self.sock.connect((self.server.host, 53))
        self.assertEqual((self.sock.getsockopt(socket.IPPROTO_IP, 14), self.sock.send(bytes(8972))), (9000, 8972))
        with self.assertRaisesRegex(OSError, "Message too long"):
            self.sock.send(bytes(8973))
        await self.settle()
        self.assertEqual(self.received(), [bytes(8972)])

    async def test_mtu_of_streams(self):
        """TCP knows what fits through."""
        link = self.network.link("localhost", "api.test", mtu=1000)
        await self.start_fake_server(host="api.test", port=80)
        _, writer = await asyncio.open_connection("api.test", 80)
        sock = writer.get_extra_info("socket")
        seen = [sock.getsockopt(socket.IPPROTO_IP, 14)]
        link.change(mtu=None)
        self.assertEqual([*seen, sock.getsockopt(socket.IPPROTO_IP, 14)], [1000, 1500])
        writer.close()

    async def test_broadcast(self):
        """A link to everybody carries what is for many."""
        self.network.link(latency=1.0)
        own = await self.start_fake_datagram_server(host="255.255.255.255", port=5000)
        devices = [await self.start_fake_datagram_server(host=f"device-{n}.test", port=5000) for n in range(2)]
        self.network.partition("localhost", "device-1.test")
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.sock.sendto(b"all", ("255.255.255.255", 5000))
        with self.assertElapses(0):
            self.assertEqual((await own.receive())[0], b"all")
        with self.assertElapses(1):
            self.assertEqual((await devices[0].receive())[0], b"all")
        await asyncio.sleep(5)
        self.assertEqual(devices[1].received, [])
        self.sock.sendto(b"nobody", ("255.255.255.255", 5001))

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
