"""What an end hears of its connection beside what its peer sends: resets of a rule, in exact seconds."""

import asyncio
import errno
import socket

from solipsism_unittest import Verdict
from tests.kernel.network.wire.test_flows import TCP, FlowCase


class RejectedTest(FlowCase):
    """Verdict.RESET: the sender alone is reset."""

    def reject(self, *kinds):
        return self.network.rule(lambda packet: Verdict.RESET if packet.kind in kinds else None)

    async def test_a_round_trip(self):
        """A rejected write is a reset for its sender a round trip later; the peer stays open, and waits."""
        _, client, server = await self.joined(latency=0.05)
        start = self.now
        self.reject("data")
        client.send(b"data")
        self.assertEqual(self.network.in_flight()[0][:2], (f"data {client.end.label}", 4))
        await asyncio.sleep(0.07)
        self.assertEqual(self.network.in_flight()[0][:2], (f"reset for data {client.end.label}", 0))
        self.assertEqual(await self.error_of(client), (errno.ECONNRESET, round(start + 0.1, 6)))
        await self.assertReceivesNothing(server, 10_000)
        self.assertEqual((server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), server.end.coming), (0, 0))
        self.assertIn("rejected", [record.kind for record in self.loop.kernel.journal])
        with self.assertElapses(0.1):
            server.send(b"?")
            self.assertEqual((await self.error_of(server))[0], errno.ECONNRESET)

    async def test_at_once(self):
        """Over a link without latency it is there at once."""
        _, client, server = await self.joined()
        self.reject("data")
        client.send(b"data")
        self.assertRaises(ConnectionResetError, client.recv, 1)
        self.assertRaises(BlockingIOError, server.recv, 1)

    async def test_later(self):
        """A verdict is about one segment: those before it arrive, those behind it are lost with it."""
        _, client, server = await self.joined(latency=0.05)
        self.network.rule(lambda packet: Verdict.RESET if packet.data == b"2" else None)
        client.send(b"1")
        client.send(b"2")
        client.send(b"3")
        await asyncio.sleep(0.09)
        client.send(b"4")
        await asyncio.sleep(1)
        self.assertEqual((server.recv(100), server.end.coming), (b"1", 0))
        self.assertRaises(ConnectionResetError, client.recv, 1)

    async def test_lost(self):
        """A segment, or the reset for it, that is lost on the way is answered when TCP sends it again."""
        for cut, healed, answer in ((0.01, 0.2, 0.4), (0.07, 0.2, 0.4), (0.06, 0.06, 0.1)):
            with self.subTest(cut=cut):
                link, client, server = await self.joined(latency=0.05)
                start = self.now
                with self.reject("data"):
                    client.send(b"data")
                    self.loop.call_later(cut, link.cut)
                    self.loop.call_later(healed, link.heal)
                    self.assertEqual(await self.error_of(client), (errno.ECONNRESET, round(start + answer, 6)))
                await self.assertReceivesNothing(server, 100)
                link.remove()

    async def test_lost_at_the_turn(self):
        """Where only the way back is cut the reset is lost as it sets out."""
        _, client, server = await self.joined(latency=0.05)
        back = self.network.link("api.test", "localhost", one_way=True, latency=0.05)
        self.reject("data")
        back.cut()
        client.send(b"data")
        self.loop.call_later(0.2, back.heal)
        self.assertEqual(await self.error_of(client), (errno.ECONNRESET, 0.5))

    async def test_the_end_of_a_stream(self):
        """A rejected end of a closed connection: its sender forgets it, and the peer waits for ever."""
        _, client, server = await self.joined(latency=0.05)
        with self.reject("fin"):
            client.close()
            await self.settle()
            await asyncio.sleep(0.2)
        await self.assertReceivesNothing(server, 10_000)
        server.shutdown(socket.SHUT_WR)
        self.assertEqual((await self.error_of(server))[0], errno.ECONNRESET)

    async def test_a_reset(self):
        """Nothing answers a reset: it is lost."""
        _, client, server = await self.joined()
        self.reject("reset")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        await self.assertReceivesNothing(server, 10_000)

    async def test_keepalive(self):
        """A rejected probe resets who has sent it; so does one that finds nobody, when the peer was rejected."""
        _, client, server = await self.joined(latency=0.05)
        for sock in (client, server):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(TCP, socket.TCP_KEEPIDLE, 10)
        start = self.now
        self.network.rule(lambda packet: Verdict.RESET if packet.target == "api.test" else None)
        self.assertEqual(await self.error_of(client), (errno.ECONNRESET, round(start + 10.1, 6)))
        self.assertEqual((await self.error_of(server))[0], errno.ECONNRESET)

    async def test_its_peer_ends(self):
        """Whoever has begun anew hears no more of its peer, however that ends."""
        for options in (b"\0" * 8, b"\1" + b"\0" * 7):
            one = self.enterContext(socket.socket())
            one.setblocking(False)
            listener = self.enterContext(socket.create_server(("api.test", 0)))
            listener.setblocking(False)
            self.assertRaises(BlockingIOError, one.connect, listener.getsockname())
            other, _ = await self.loop.sock_accept(listener)
            with self.reject("data"):
                one.send(b"data")
            self.assertEqual(one.connect_ex(listener.getsockname()), errno.ECONNRESET)
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, options)
            other.close()
            await self.settle()
            self.assertEqual(one.connect_ex(listener.getsockname()), errno.EINPROGRESS)
            self.enterContext((await self.loop.sock_accept(listener))[0])

    async def test_begun_anew(self):
        """Who connects anew after a reset that it has not seen knows nothing of segments that still come."""
        link, client, server = await self.joined(latency=0.05)
        one = self.enterContext(socket.socket())
        one.setblocking(False)
        listener = self.enterContext(socket.create_server(("api.test", 80)))
        listener.setblocking(False)
        self.assertRaises(BlockingIOError, one.connect, ("api.test", 80))
        other, _ = await self.loop.sock_accept(listener)
        self.enterContext(other)
        await asyncio.sleep(0.1)
        with self.reject("data"):
            one.send(b"data")
            await asyncio.sleep(0.1)
        other.send(b"too late")
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.assertEqual([one.connect_ex(("api.test", 80)) for _ in range(2)], [errno.ECONNRESET, errno.EINPROGRESS])
        again, _ = await self.loop.sock_accept(listener)
        self.enterContext(again)
        await asyncio.sleep(0.1)
        self.assertRaises(ConnectionResetError, other.recv, 1)
        with self.assertElapses(0.05):
            one.send(b"anew")
            self.assertEqual(await self.loop.sock_recv(again, 100), b"anew")
        self.assertRaises(BlockingIOError, one.recv, 1)
