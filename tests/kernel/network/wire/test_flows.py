"""What TCP makes of losses: the times of retransmission, giving up, keepalive, in exact seconds."""

import asyncio
import contextlib
import errno
import socket
import unittest

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.kernel.network.wire.flows import patience

TCP = socket.IPPROTO_TCP


class FlowCase(SolipsistTestCase):
    on_slow_callback = "ignore"

    async def joined(self, **settings):
        """A link, and the two ends of a connection over it: (link, client socket, server socket)."""
        link = self.network.link("localhost", "api.test", **settings)
        listener = self.enterContext(socket.socket())
        listener.bind(("api.test", 0))
        listener.listen()
        listener.setblocking(False)
        client = self.enterContext(socket.socket())
        client.setblocking(False)
        await self.loop.sock_connect(client, listener.getsockname())
        server, _ = await self.loop.sock_accept(listener)
        self.enterContext(server)
        return link, client, server

    async def error_of(self, sock):
        """The errno with which a read ends, and when it does."""
        try:
            await self.loop.sock_recv(sock, 100)
        except OSError as error:
            return error.errno, round(self.now, 6)


class RetransmissionTest(FlowCase):
    async def test_healed(self):
        """After a cut the data comes with the next retransmission: 0.2, 0.4, 0.8, ... s after it was sent."""
        for outage, arrival in ((0.1, 0.2), (0.3, 0.4), (0.7, 0.8), (1.5, 1.6), (3.1, 3.2), (30, 51.2), (60, 102.4)):
            with self.subTest(outage=outage):
                link, client, server = await self.joined()
                start = self.now
                link.cut()
                client.send(b"data")
                self.loop.call_later(outage, link.heal)
                self.assertEqual(await self.loop.sock_recv(server, 100), b"data")
                self.assertAlmostEqual(self.now - start, arrival)
                link.remove()

    async def test_a_round_trip_more(self):
        """The first retransmission comes 0.2 s and a round trip after the data was sent."""
        link, client, server = await self.joined(latency=0.05)
        start = self.now
        link.cut()
        client.send(b"data")
        link.heal()
        await self.loop.sock_recv(server, 100)
        self.assertAlmostEqual(self.now - start, 0.2 + 0.1 + 0.05)

    async def test_in_order(self):
        """What is sent behind a loss waits for it; nothing is lost, doubled or out of order."""
        link, client, server = await self.joined(latency=0.01)
        client.send(b"1")
        await asyncio.sleep(0.005)
        link.cut()
        client.send(b"2")
        await asyncio.sleep(0.02)
        link.heal()
        client.send(b"3")
        await asyncio.sleep(1)
        self.assertEqual(await self.loop.sock_recv(server, 100), b"123")

    async def test_a_lossy_line(self):
        """Over a line that loses much every byte arrives, in order, both ways."""
        link, client, server = await self.joined(latency=0.005, loss=0.3)
        data = bytes(range(256)) * 400

        async def copy():
            while chunk := await self.loop.sock_recv(server, 1000):
                await self.loop.sock_sendall(server, chunk)
            server.shutdown(socket.SHUT_WR)

        copying = asyncio.create_task(copy())
        sending = asyncio.create_task(self.loop.sock_sendall(client, data))
        got = bytearray()
        while len(got) < len(data):
            got += await self.loop.sock_recv(client, 5000)
        await sending
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(await self.loop.sock_recv(client, 100), b"")
        await copying
        self.assertEqual(bytes(got), data)
        self.assertGreater(self.now, 10)

    async def test_a_lost_end(self):
        """A lost FIN is sent again; a lost RST is not."""
        link, client, server = await self.joined()
        link.cut()
        client.close()
        self.loop.call_later(1, link.heal)
        self.assertEqual(await self.loop.sock_recv(server, 100), b"")
        self.assertEqual(self.now, 1.6)
        link, client, server = await self.joined()
        link.cut()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        link.heal()
        await self.assertReceivesNothing(server, 10_000)
        server.setblocking(False)
        server.send(b"x")  # to an end that is gone: a reset comes back
        self.assertEqual((await self.error_of(server))[0], errno.ECONNRESET)

    async def test_what_flies_when_the_cable_is_cut(self):
        """What is on its way when the cable is cut is lost and sent again."""
        link, client, server = await self.joined(latency=1.0)
        start = self.now
        client.send(b"data")
        await asyncio.sleep(0.5)
        link.cut()
        await asyncio.sleep(1)
        link.heal()
        self.assertEqual(await self.loop.sock_recv(server, 100), b"data")
        self.assertAlmostEqual(self.now - start, 0.2 + 2 + 1)


class GivingUpTest(FlowCase):
    def test_patience(self):
        """How long TCP tries, by net.ipv4.tcp_retries2."""
        self.assertEqual([round(patience(retries), 1) for retries in (1, 2, 3, 4, 5, 15)],
                         [0.6, 1.4, 3.0, 6.2, 12.6, 924.6])

    async def test_a_cut_cable(self):
        """A writer gives up at the first retransmission that is not too early; a reader alone never does."""
        for retries, seconds in ((1, 1.6), (2, 3.2), (3, 6.4), (15, 1044.8)):
            with self.subTest(retries=retries):
                self.network.wire.retries = retries
                link, client, server = await self.joined()
                start = self.now
                link.cut()
                client.send(b"data")
                code, when = await self.error_of(client)
                self.assertEqual((code, round(when - start, 6)), (errno.ETIMEDOUT, seconds))
                self.assertEqual((client.recv(1), client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)), (b"", 0))
                self.assertRaises(BrokenPipeError, client.send, b"x")
                await self.assertReceivesNothing(server, 5000)
                # The peer hears of it when the line is there again and it writes.
                link.heal()
                server.send(b"x")
                self.assertEqual((await self.error_of(server))[0], errno.ECONNRESET)
                link.remove()

    async def test_user_timeout(self):
        """TCP_USER_TIMEOUT counts from the first retransmission that is no probe, and replaces the other limit."""
        for milliseconds in (500, 5000, 2_000_000):
            with self.subTest(milliseconds=milliseconds):
                link, client, _ = await self.joined()
                client.setsockopt(TCP, socket.TCP_USER_TIMEOUT, milliseconds)
                start = self.now
                link.cut()
                client.send(b"data")
                code, when = await self.error_of(client)
                self.assertEqual((code, round(when - start, 6)), (errno.ETIMEDOUT, 0.4 + milliseconds / 1000))
                link.remove()

    async def test_healed_in_time(self):
        """A limit that was not reached is forgotten."""
        link, client, server = await self.joined()
        client.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 2000)
        link.cut()
        client.send(b"data")
        await asyncio.sleep(1)
        link.heal()
        self.assertEqual(await self.loop.sock_recv(server, 100), b"data")
        await self.assertReceivesNothing(client, 100)

    async def test_closed_meanwhile(self):
        """A closed end tries on without its program, and tells nobody when it gives up."""
        link, client, server = await self.joined()
        link.cut()
        client.send(b"data")
        client.close()
        await self.assertReceivesNothing(server, 2000)
        link.heal()
        await self.assertReceivesNothing(server, 2000)

    async def test_asyncio(self):
        """A stream raises the error in its read and its drain."""
        server = await self.start_fake_server(host="api.test", port=80)
        reader, writer = await asyncio.open_connection(*server.address)
        await server.accept()
        self.network.partition("localhost", "api.test")
        writer.write(b"x")
        with self.assertRaises(TimeoutError) as caught:
            await reader.read(1)
        self.assertEqual(caught.exception.errno, errno.ETIMEDOUT)
        with self.assertRaises(TimeoutError):
            await writer.drain()
        writer.close()
        with contextlib.suppress(TimeoutError):
            await writer.wait_closed()


class KeepaliveTest(FlowCase):
    async def idle(self, **options):
        link, client, server = await self.joined()
        wanted = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3, **options}
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in wanted.items():
            client.setsockopt(TCP, getattr(socket, name), value)
        return link, client, server

    async def test_nobody_is_there(self):
        """An idle connection ends after the probes, counted from the last packet that came."""
        link, client, _ = await self.idle()
        link.cut()
        self.assertEqual(await self.error_of(client), (errno.ETIMEDOUT, 5.0))

    async def test_healed(self):
        """A probe that is answered begins the count anew."""
        link, client, _ = await self.idle()
        link.cut()
        self.loop.call_later(3.5, link.heal)
        self.loop.call_later(20, link.cut)
        self.assertEqual(await self.error_of(client), (errno.ETIMEDOUT, 23.0))

    async def test_with_a_user_timeout(self):
        """TCP_USER_TIMEOUT in place of the count: the first probe time with one probe missed and that long idle."""
        for milliseconds, seconds in ((1000, 3.0), (3500, 4.0), (10_000, 10.0)):
            with self.subTest(milliseconds=milliseconds):
                link, client, _ = await self.idle(TCP_USER_TIMEOUT=milliseconds)
                start = self.now
                link.cut()
                code, when = await self.error_of(client)
                self.assertEqual((code, when - start), (errno.ETIMEDOUT, seconds))
                link.remove()

    async def test_data_in_flight(self):
        """While data is in flight there are no probes, and the end is that of the retransmissions."""
        link, client, _ = await self.idle()
        link.cut()
        client.send(b"x")
        self.assertEqual((await self.error_of(client))[1], 1044.8)

    async def test_no_keepalive(self):
        """Without SO_KEEPALIVE nothing ever happens, TCP_USER_TIMEOUT or not; nor after it was taken back."""
        link, client, _ = await self.joined()
        client.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 1000)
        link.cut()
        await self.assertReceivesNothing(client, 100_000)
        link, client, _ = await self.idle()
        link.cut()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
        await self.assertReceivesNothing(client, 100_000)

    async def test_closed(self):
        """A connection that is closed meanwhile sends no probes."""
        link, client, server = await self.idle()
        link.cut()
        client.close()
        await self.assertReceivesNothing(server, 100)


class SettingsTest(FlowCase):
    async def test_limit(self):
        """After so many bytes nothing passes any more."""
        _, client, server = await self.joined(limit=6, slice=2)
        client.send(b"12345678")
        await asyncio.sleep(10)
        self.assertEqual(server.recv(100), b"123456")
        await self.assertReceivesNothing(server, 100)

    async def test_reset_after(self):
        """After so many bytes the connection is reset on both sides."""
        _, client, server = await self.joined(reset_after=4, slice=2)
        client.send(b"123456")
        await self.settle()
        self.assertEqual(server.recv(100), b"1234")
        self.assertRaises(ConnectionResetError, server.recv, 100)
        self.assertRaises(ConnectionResetError, client.recv, 100)

    async def test_slices(self):
        """A stream comes in pieces of at most so many bytes, each when it is through."""
        _, client, server = await self.joined(bandwidth=24.0, slice=3)
        client.send(b"123456789a")
        seen = [(await self.loop.sock_recv(server, 100), self.now) for _ in range(4)]
        self.assertEqual(seen, [(b"123", 1.0), (b"456", 2.0), (b"789", 3.0), (b"a", 10 / 3)])

    async def test_slow_close(self):
        """The end of a stream comes so much later, after all data."""
        _, client, server = await self.joined(slow_close=3.0)
        start = self.now
        client.send(b"data")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual((await self.loop.sock_recv(server, 100), self.now - start), (b"data", 0.0))
        self.assertEqual((await self.loop.sock_recv(server, 100), self.now - start), (b"", 3.0))

    async def test_room(self):
        """What is on its way counts as taken room: a sender fills the way, and no more."""
        _, client, _ = await self.joined(latency=1.0)
        sent = client.send(bytes(10_000_000))
        self.assertRaises(BlockingIOError, client.send, b"x")
        self.assertEqual(sum(flight.size for flight in self.network.in_flight()), sent)
        self.assertBufferFull(client)


class PatienceTest(unittest.TestCase):
    def test_doubling_ends_at_120_seconds(self):
        """From the tenth on each retry is 120 seconds more."""
        self.assertAlmostEqual(patience(11) - patience(10), 120)
