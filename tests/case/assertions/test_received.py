"""Assertions about what arrives: each passes where it should, and fails one byte or one microsecond off."""

import asyncio
import contextlib
import socket
import unittest
from unittest import mock

from solipsism_unittest import SleepForeverError, SolipsistTestCase


class Ends(SolipsistTestCase):
    """Connections whose one end is of every kind, with a way to write to it and one to end it."""

    async def ends(self):
        """(kind, end, peer) for every kind of end; `peer` is a socket or a writer."""
        for kind in ("socket", "blocking socket"):
            one, two = self.socketpair()
            one.setblocking(kind != "socket")
            yield kind, one, two
        for kind in ("reader", "writer", "transport", "pair", "socket of a transport", "TransportSocket"):
            one, two = self.socketpair()
            reader, writer = await asyncio.open_connection(sock=one)
            self.addCleanup(writer.close)
            transport = writer.transport
            yield kind, {"reader": reader, "writer": writer, "transport": transport, "pair": (reader, writer),
                         "socket of a transport": one,
                         "TransportSocket": transport.get_extra_info("socket")}[kind], two
        server = await self.start_fake_server()
        client = self.enterContext(socket.socket())
        client.setblocking(False)
        await self.loop.sock_connect(client, server.address)
        yield "server connection", await server.accept(), client


class ReceivesTest(Ends):
    async def test_every_kind_of_end(self):
        """assertReceives takes exactly the bytes from any end: what was there, and what comes later."""
        async for kind, end, peer in self.ends():
            with self.subTest(kind):
                peer.send(b"PI")
                self.loop.call_later(2, peer.send, b"NG")
                with self.assertElapses(2):
                    await self.assertReceives(end, bytearray(b"PING"))
                self.assertBufferEmpty(end)

    async def test_one_byte_off(self):
        """One byte over, short or other fails, with both and the first byte that differs."""
        async for kind, end, peer in self.ends():
            with self.subTest(kind):
                peer.send(b"PING")
                with self.assertRaisesRegex(AssertionError, r"^b'PIN' was received and 1 byte waits behind it: b'G' at "
                                                            r"<stream .*>; to take a part .* readexactly\(\) or recv"):
                    await self.assertReceives(end, b"PIN")
                with self.assertRaisesRegex(AssertionError, r"^b'G' was received, not b'P': byte 0 is b'G', not"):
                    await self.assertReceives(end, b"P")
                peer.send(b"PONG")
                with self.assertRaisesRegex(AssertionError, r"^b'PONG' was received, not b'PING': byte 1 is b'O'"):
                    await self.assertReceives(end, b"PING")

    async def test_written_in_two_parts_at_one_instant(self):
        """What comes later at the same instant counts as more."""
        one, two = self.socketpair()
        two.send(b"PING")
        self.loop.call_soon(self.loop.call_soon, two.send, b"\r\n")
        with self.assertRaisesRegex(AssertionError, r"2 bytes wait behind it: b'\\r\\n'"):
            await self.assertReceives(one, b"PING")

    async def test_the_stream_ends(self):
        """An end or a reset before all has come fails, with what has come."""
        async for kind, end, peer in self.ends():
            with self.subTest(kind):
                peer.send(b"PIN")
                peer.close()
                with self.assertRaisesRegex(AssertionError, r"^the stream ended after 3 of 4 bytes, b'PIN' at <"):
                    await self.assertReceives(end, b"PING")
        server = await self.start_fake_server()
        reader, writer = await asyncio.open_connection(*server.address)
        (await server.accept()).reset()
        with self.assertRaisesRegex(AssertionError, r"was to receive b'PING', but after none of 4 bytes came "
                                                    r"ConnectionResetError") as caught:
            await self.assertReceives(reader, b"PING")
        self.assertIsInstance(caught.exception.__cause__, ConnectionResetError)
        writer.close()

    async def test_bad_arguments(self):
        """No bytes, or none at all, and what is no end, are refused at the call."""
        one, _ = self.socketpair()
        with self.assertRaisesRegex(TypeError, "compares with bytes, not with 'PING'"):
            self.assertReceives(one, "PING")
        with self.assertRaisesRegex(ValueError, r"takes at least one byte; for none use assertReceivesNothing\(\)"):
            self.assertReceives(one, b"")
        for end in (5, None, mock.Mock(), (1, 2)):
            for call in (lambda end: self.assertReceives(end, b"x"), self.assertEOF,
                         lambda end: self.assertReceivesNothing(end, 1)):
                with self.subTest(end), self.assertRaisesRegex(TypeError, "is not an end of a virtual connection"):
                    call(end)

    async def test_a_protocol_takes_it(self):
        """Where a protocol of the program takes what arrives, the assertions say so."""
        one, two = self.socketpair()
        transport, _ = await self.loop.create_connection(asyncio.Protocol, sock=one)
        for end in (transport, one, transport.get_extra_info("socket")):
            with self.assertRaisesRegex(TypeError, r"goes to <asyncio\.protocols\.Protocol .*: compare what that got"):
                self.assertReceives(end, b"x")
        two.close()

    async def test_datagrams(self):
        """A socket of datagrams, and their transport, are refused at the call: nothing waits for ever."""
        one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.enterContext(one)
        transport, _ = await self.loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=two)
        for end in (one, transport):
            for call in (lambda end: self.assertReceives(end, b"x"), self.assertEOF,
                         lambda end: self.assertReceivesNothing(end, 1)):
                with self.subTest(end), self.assertRaisesRegex(TypeError, "is no end of a stream: await loop.s"):
                    call(end)
        transport.close()


class HangTest(unittest.TestCase):
    def failure(self, body):
        class Test(SolipsistTestCase):
            async def test(self):
                one, self.two = self.socketpair()
                await body(self, one)

        result = unittest.TestResult()
        Test("test").run(result)
        ((_, text),) = result.errors + result.failures
        return text

    def test_nothing_more_comes(self):
        """When nothing more can come the hang says what the assertion has and wants."""

        async def body(test, one):
            test.two.send(b"PIN")
            await test.assertReceives(one, b"PING")

        text = self.failure(body)
        self.assertIn(SleepForeverError.__name__, text)
        self.assertIn("assertReceives(): 3 of 4 bytes, b'PIN', and nothing more comes", text)

    def test_no_end_comes(self):
        """A stream that stays open is a hang that names the assertion."""
        text = self.failure(lambda test, one: test.assertEOF(one))
        self.assertIn("assertEOF(): the stream does not end, and no byte comes", text)

    def test_not_awaited(self):
        """One that is not awaited fails its test."""

        async def body(test, one):
            test.assertReceives(one, b"x")

        self.assertIn("assertReceives() at ", self.failure(body))
        self.assertIn("was never awaited, so it has checked nothing", self.failure(body))


class ReceivesNothingTest(Ends):
    async def test_every_kind_of_end(self):
        """Silence passes, and takes exactly so long; the end of the stream is no byte."""
        async for kind, end, peer in self.ends():
            with self.subTest(kind):
                with self.assertElapses(3):
                    await self.assertReceivesNothing(end, 3)
                self.loop.call_later(1, peer.close)
                await self.assertReceivesNothing(end, 3)

    async def test_one_microsecond_off(self):
        """A byte just after the end does not count; at the end, just before, and before the call it does."""
        async for kind, end, peer in self.ends():
            with self.subTest(kind):
                late = self.loop.call_later(3.000001, peer.send, b"x")
                await self.assertReceivesNothing(end, 3)
                late.cancel()
                for when in (3, 2.999999, 0):
                    self.loop.call_later(when, peer.send, b"x")
                    with self.assertRaisesRegex(AssertionError, r"^nothing was to be received, but 1 byte waits within "
                                                                r"3\.0.* s: b'x' at <"):
                        await self.assertReceivesNothing(end, 3)
                    await self.assertReceives(end, b"x")
                peer.send(b"x")
                await self.settle()
                with self.assertElapses(0), self.assertRaisesRegex(AssertionError, "byte waits already: b'x'"):
                    await self.assertReceivesNothing(end, 3)

    async def test_read_by_a_handler(self):
        """What the handler of a fake server reads meanwhile was received too."""

        async def read(reader, writer):
            with contextlib.closing(writer):
                await reader.read()

        server = await self.start_fake_server(read)
        _, writer = await asyncio.open_connection(*server.address)
        connection = await server.accept()
        self.loop.call_later(1, writer.write, b"data")
        with self.assertRaisesRegex(AssertionError, "but 4 bytes wait within 2.0 s: b'data'"):
            await self.assertReceivesNothing(connection, 2)
        writer.close()

    async def test_bad_seconds(self):
        """A duration is a number from 0 up; 0 looks at this instant."""
        one, two = self.socketpair()
        for seconds in (-1, float("nan"), "1"):
            with self.assertRaisesRegex(ValueError, "a duration is a number of seconds"):
                self.assertReceivesNothing(one, seconds)
        await self.assertReceivesNothing(one, 0)
        self.loop.call_soon(two.send, b"x")
        with self.assertRaisesRegex(AssertionError, "1 byte waits already"):
            await self.assertReceivesNothing(one, 0)


class EOFTest(Ends):
    async def test_every_kind_of_end(self):
        """The end of the stream passes, at once or later; one byte before it fails."""
        async for kind, end, peer in self.ends():
            with self.subTest(kind):
                peer.send(b"x")
                self.loop.call_later(2, peer.close)
                with self.assertRaisesRegex(AssertionError, "^the stream was to end, but b'x' came first, at <"):
                    await self.assertEOF(end)
                with self.assertElapses(2):
                    await self.assertEOF(end)

    async def test_a_reset_is_no_end(self):
        """A reset in place of the end fails."""
        server = await self.start_fake_server()
        reader, writer = await asyncio.open_connection(*server.address)
        (await server.accept()).reset()
        with self.assertRaisesRegex(AssertionError, "^the stream was to end, but came ConnectionResetError"):
            await self.assertEOF(reader)
        writer.close()
