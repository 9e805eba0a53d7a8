"""Streams in a capture: what each program sent comes back byte for byte, and every number is right."""

import asyncio
import errno
import os
import pathlib
import socket
import struct
import tempfile
import unittest
from unittest import mock

from solipsism_unittest import SolipsistTestCase, Verdict
from solipsism_unittest.evidence.capture import streams
from solipsism_unittest.evidence.recording.tape import Event
from tests.case.test_case import run
from tests.evidence import reading
from tests.evidence.inner import captured
from tests.evidence.reading import ACK, FIN, PSH, RST, SYN

HTTP = 80


class OnPurpose(AssertionError):
    pass


class Streams(SolipsistTestCase):
    """Each test fails, so that it leaves evidence."""

    def tearDown(self):
        raise OnPurpose

    async def converse(self, reader, writer, *, size=3):
        writer.write(b"q" * size)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    async def answer(self, reader, writer):
        data = await reader.read()
        writer.write(data.upper())
        writer.close()

    async def test_tcp(self):
        await self.start_fake_server(self.answer, "api.test", HTTP)
        for _ in range(2):
            await self.converse(*await asyncio.open_connection("api.test", HTTP))

    async def test_large(self):
        await self.start_fake_server(self.answer, "api.test", HTTP)
        await self.converse(*await asyncio.open_connection("api.test", HTTP), size=200_001)

    async def test_six(self):
        self.network.add_host("six.test", "2001:db8::5")
        await self.start_fake_server(self.answer, "six.test", HTTP)
        await self.converse(*await asyncio.open_connection("six.test", HTTP), size=150_000)

    async def test_refused(self):
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection("api.test", HTTP)

    async def test_reset(self):
        async def rude(reader, writer):
            await reader.readexactly(1)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()

        await self.start_fake_server(rude, "api.test", HTTP)
        reader, writer = await asyncio.open_connection("api.test", HTTP)
        writer.write(b"a")
        with self.assertRaises(ConnectionResetError):
            await reader.read()
        writer.close()

    async def test_reset_on_the_way(self):
        await self.start_fake_server(self.answer, "api.test", HTTP)
        reader, writer = await asyncio.open_connection("api.test", HTTP)
        self.network.link("localhost", "api.test", reset_after=0)
        writer.write(b"too much")
        with self.assertRaises(ConnectionResetError):
            await reader.read()
        writer.close()

    async def test_rejected(self):
        server = await self.start_fake_server(None, "api.test", HTTP)
        reader, writer = await asyncio.open_connection("api.test", HTTP)
        connection = await server.accept()
        connection.writer.write(b"before")
        with self.network.rule(lambda packet: Verdict.RESET if packet.data == b"rejected" else None):
            writer.write(b"rejected")
            await self.settle()
        with self.assertRaises(ConnectionResetError):
            await reader.read()
        writer.close()
        connection.writer.write(b"after")
        with self.assertRaises(ConnectionResetError):
            await connection.reader.read()

    async def test_full(self):
        one, two = self.socketpair(capacity=100)
        one.send(b"a" * 100)
        with self.assertRaises(BlockingIOError):
            one.send(b"b")
        for _ in range(4):
            two.recv(25)
        one.send(b"b")
        buffer = bytearray(5)
        two.recv_into(buffer)

    async def test_link(self):
        self.network.link("localhost", "api.test", latency=0.25)
        await self.start_fake_server(self.answer, "api.test", HTTP)
        await self.converse(*await asyncio.open_connection("api.test", HTTP))

    async def test_black_hole(self):
        link = self.network.link("localhost", "api.test")
        link.cut()
        await self.start_fake_server(self.answer, "api.test", HTTP)
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(asyncio.open_connection("api.test", HTTP), 2.5)

    async def test_impatient(self):
        listener = self.enterContext(socket.create_server(("127.0.0.1", 5_000)))
        listener.setblocking(False)
        one = self.enterContext(socket.socket())
        one.setblocking(False)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3_000)
        await self.loop.sock_connect(one, ("127.0.0.1", 5_000))
        other, _ = await self.loop.sock_accept(listener)
        self.enterContext(other)
        one.send(b"a" * 100_000)  # more than there is room for: from now on it counts how long nobody reads
        other.recv(1_000)
        one.send(b"b" * 1_000)
        other.recv(100_000)
        one.shutdown(socket.SHUT_WR)

    async def test_given_up(self):
        self.network.link("localhost", "api.test").cut()
        with self.assertRaises(TimeoutError):
            await asyncio.open_connection("api.test", HTTP)

    async def test_unanswered(self):
        await self.start_fake_server(self.answer, "api.test", HTTP)
        reader, writer = await asyncio.open_connection("api.test", HTTP)
        self.network.link("localhost", "api.test").cut()
        writer.write(b"anybody?")
        await asyncio.sleep(0.1)
        self.network.heal()
        await asyncio.sleep(1)
        writer.close()

    async def test_losses(self):
        async def swallow(reader, writer):
            await reader.read()
            writer.close()

        await self.start_fake_server(swallow, "api.test", HTTP)
        reader, writer = await asyncio.open_connection("api.test", HTTP)
        self.network.link("localhost", "api.test", latency=0.01, loss=0.2)
        writer.write(bytes(range(256)) * 400)
        await writer.drain()
        link = self.network.link("localhost", "api.test", latency=0.01)
        await asyncio.sleep(60)
        link.cut()
        writer.write_eof()
        await asyncio.sleep(0.1)
        self.network.heal()
        await reader.read()
        writer.close()

    async def test_unix(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        path = os.path.join(directory, "app.sock")
        await self.start_fake_server(self.answer, path=path)
        await self.converse(*await asyncio.open_unix_connection(path))

    async def test_pipe(self):
        reader, writer = os.pipe()
        for part in (b"through", b" a pipe"):
            os.write(writer, part)
        os.close(writer)
        os.read(reader, 100)
        os.close(reader)

    async def test_to_itself(self):
        end = socket.socket()
        end.setblocking(False)
        end.bind(("127.0.0.1", 5_000))
        self.assertEqual(end.connect_ex(("127.0.0.1", 5_000)), errno.EINPROGRESS)
        end.send(b"me")
        end.recv(5)
        end.close()


class Late(SolipsistTestCase):
    """Evidence that is asked for in the middle of a connection."""

    async def test(self):
        await self.start_fake_server(None, "api.test", HTTP)
        one, two = self.socketpair()
        reader, writer = await asyncio.open_connection("api.test", HTTP)
        writer.write(b"before")
        self.network.link("localhost", "slow.test", latency=0.5)
        await self.start_fake_server(None, "slow.test", HTTP)
        _, slow = await asyncio.open_connection("slow.test", HTTP)
        asking = asyncio.create_task(asyncio.open_connection("slow.test", HTTP))
        await asyncio.sleep(0)
        self.evidence(os.environ["LATE"])
        _, asked = await asking
        slow.write(b"slowly")
        for each in (slow, asked):
            each.close()
        writer.write(b"after")
        one.send(b"pair")
        two.recv(4)
        await asyncio.sleep(1)
        writer.close()


def load_tests(loader, tests, pattern):
    """The other classes are inner tests."""
    return loader.loadTestsFromTestCase(StreamsTest)


def flags(capture):
    return [segment.flags for segment in reading.understood(capture)]


class StreamsTest(unittest.TestCase):
    def sent(self, name):
        capture = captured(Streams, name)
        return capture, [data for *_, data in reading.streams(capture)]

    def test_bytes_come_back(self):
        """Handshake, data, half-close and close; a second connection is another one."""
        capture, sent = self.sent("test_tcp")
        self.assertEqual(sent, [b"qqq", b"QQQ"] * 2)
        one = [SYN, SYN | ACK, ACK, PSH | ACK, ACK, FIN | ACK, ACK, PSH | ACK, ACK, FIN | ACK, ACK]
        self.assertEqual(flags(capture), one * 2)
        starts = [segment.sequence for segment in reading.understood(capture) if segment.flags & SYN]
        self.assertEqual(len(set(starts)), 4)

    def test_large_messages(self):
        """What is larger than a packet can be is cut, over IPv4 and over IPv6."""
        _, sent = self.sent("test_large")
        self.assertEqual(sent, [b"q" * 200_001, b"Q" * 200_001])
        capture, sent = self.sent("test_six")
        self.assertEqual(sent, [b"q" * 150_000, b"Q" * 150_000])
        self.assertTrue(all(packet.data[0] >> 4 == 6 for packet in capture.packets if packet.interface == "network"))

    def test_places(self):
        """A packet with data says which line and which task sent it."""
        capture, _ = self.sent("test_tcp")
        said = [packet.comments for packet in capture.packets if packet.comments]
        self.assertRegex(said[0][0], r"test_streams\.py:\d+ in Streams\.converse, task Task-1$")
        self.assertRegex(said[1][0], r"test_streams\.py:\d+ in Streams\.answer, task handler 1 of api\.test:80$")

    def test_refused_and_reset(self):
        """A refused connect is answered with a reset; so is what a closed end gets, and what breaks on the way."""
        capture, _ = self.sent("test_refused")
        self.assertEqual(flags(capture), [SYN, RST | ACK])
        syn, answer = reading.understood(capture)
        self.assertEqual((answer.sequence, answer.acknowledged), (0, syn.sequence + 1))
        for name in ("test_reset", "test_reset_on_the_way"):
            capture, _ = self.sent(name)
            resets = [segment.source[1] for segment in reading.understood(capture) if segment.flags & RST]
            self.assertIn(HTTP, resets, name)

    def test_rejected(self):
        """What is rejected on the way is there, with the reset that answers it; the peer goes on until it is reset."""
        capture, sent = self.sent("test_rejected")
        self.assertEqual(sent, [b"rejected", b"beforeafter"])
        found = [(segment.flags, segment.source[1] == HTTP) for segment in reading.understood(capture)][3:]
        self.assertEqual(found, [(PSH | ACK, True), (ACK, False), (PSH | ACK, False), (RST | ACK, True),
                                 (PSH | ACK, True), (RST | ACK, False)])
        self.assertIn("rejected with a reset: 198.18.0.1:32768>", "".join(text for _, text in reading.rows(capture)))

    def test_windows(self):
        """A window is the room at the other end: none when it is full, and said anew when half of it was read."""
        capture, sent = self.sent("test_full")
        self.assertEqual(sent, [b"a" * 100 + b"b", b""])
        windows = [segment.window for segment in reading.understood(capture) if segment.flags == ACK]
        self.assertEqual(windows[1:5], [0, 25, 50, 99])

    def test_once(self):
        """What an end sends is there once, who ever stands between it and the other end."""
        _, sent = self.sent("test_impatient")
        self.assertEqual(sent[0], b"a" * 65_536 + b"b" * 1_000)

    def test_time_on_the_way(self):
        """A segment stands where it was sent, and is acknowledged when it has arrived."""
        capture, sent = self.sent("test_link")
        self.assertEqual(sent, [b"qqq", b"QQQ"])
        times = [(segment.packet.nanoseconds / 1e9, segment.flags) for segment in reading.understood(capture)]
        self.assertEqual(times[:6], [(0.0, SYN), (0.5, SYN | ACK), (0.5, ACK), (0.5, PSH | ACK), (0.5, FIN | ACK),
                                     (0.75, ACK)])

    def test_what_is_lost(self):
        """A SYN that nobody answers comes again; lost data is there, and acknowledged late."""
        capture, _ = self.sent("test_black_hole")
        self.assertEqual([(segment.flags, segment.packet.nanoseconds // 10**9)
                          for segment in reading.understood(capture)], [(SYN, 0), (SYN, 1), (SYN, 2)])
        capture, _ = self.sent("test_given_up")
        self.assertGreater(len(reading.understood(capture)), 5)
        self.assertIn((6, f"a connect fails: {os.strerror(errno.ETIMEDOUT)}"), reading.rows(capture))
        capture, sent = self.sent("test_unanswered")
        self.assertEqual(sent[0], b"anybody?")
        asking = [segment for segment in reading.understood(capture) if segment.data == b"anybody?"]
        self.assertEqual([segment.packet.nanoseconds // 10**6 for segment in asking], [0, 200])
        self.assertEqual(len({segment.sequence for segment in asking}), 1)
        self.assertIn("lost, and sent again later", "".join(text for _, text in reading.rows(capture)))

    def test_what_is_sent_again(self):
        """Segments that a link has lost come again with the numbers that they had, the end of a stream too."""
        capture, sent = self.sent("test_losses")
        self.assertEqual(sent[0], bytes(range(256)) * 400)
        furthest, repeated = 0, []
        for segment in reading.understood(capture):
            if segment.target[1] == HTTP and (segment.data or segment.flags & FIN):
                after = segment.sequence + len(segment.data) + bool(segment.flags & FIN)
                if after <= furthest:
                    repeated.append(b"its end" if segment.flags & FIN else segment.data)
                furthest = max(furthest, after)
        self.assertGreater(len(repeated), 5)
        self.assertEqual([each == b"its end" for each in repeated], [False] * (len(repeated) - 1) + [True])

    def test_unix_sockets_and_pipes(self):
        """They are shown as TCP between made-up addresses, which have the names of the paths."""
        capture, sent = self.sent("test_unix")
        self.assertEqual(sent, [b"qqq", b"QQQ"])
        names = dict(capture.names)
        server = next(segment.target for segment in reading.understood(capture))
        self.assertEqual((os.path.basename(names[server[0]]), server[1]), ("app.sock", 1))
        self.assertEqual({packet.interface for packet in capture.packets}, {"UNIX sockets", "the test"})
        capture, sent = self.sent("test_pipe")
        self.assertEqual(sent, [b"through a pipe", b""])
        self.assertEqual({packet.interface for packet in capture.packets}, {"pipes", "the test"})

    def test_what_was_there_before(self):
        """A capture that begins in the middle of a connection begins with the next byte, and that is right."""
        with tempfile.TemporaryDirectory() as directory, mock.patch.dict(os.environ, LATE=directory):
            self.assertEqual(run(Late, "test").errors, [])
            name, = [each for each in os.listdir(directory) if each.endswith(".pcapng")]
            capture = reading.read(pathlib.Path(directory, name).read_bytes())
        found = reading.understood(capture)
        self.assertEqual([segment.data for segment in found if segment.data], [b"slowly", b"after", b"pair"])
        self.assertEqual([segment.flags for segment in found if segment.flags & SYN], [SYN, SYN | ACK])
        self.assertEqual(capture.packets[0].nanoseconds, 10**9)

    def test_ends_that_nobody_knows(self):
        """What happens to an end that was there before in a state that says nothing is no packet."""
        packets = []
        found = streams.Streams([], lambda *packet: packets.append(packet), None, streams.Who())
        for method, facts in (("dropped", ("a>b", "dropped")), ("refused", ()), ("sent", ("data", b"a", 1)),
                              ("repeated", ("data", b"a", 1, 1)), ("arrived", ("data", 1, 1, 99)),
                              ("read", (1, 0, 99)), ("pipe_closed", (True,))):
            getattr(found, method)(Event(0.0, method, "", None, 7, facts))
        self.assertEqual(packets, [])

    def test_an_end_connected_to_itself(self):
        """There is one address pair, and the bytes are there."""
        capture = captured(Streams, "test_to_itself")
        self.assertEqual([segment.data for segment in reading.understood(capture) if segment.data], [b"me"])
