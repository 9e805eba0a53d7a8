"""The transport of a virtual socket: the way of asyncio's own, but for a few bytes between two ends in memory.

What is sent and received is in tests/contracts, on the real system as well; here is what stands on the way.
"""

import asyncio
import socket
from asyncio import selector_events
from unittest import mock

from solipsism_unittest import SolipsistTestCase, VirtualSocket
from solipsism_unittest.kernel.descriptors.connection import Connection
from solipsism_unittest.loop.transports import Transport

STOCK = selector_events._SelectorSocketTransport


class Kept(asyncio.Protocol):
    """Keeps what comes; `fails` is what data_received() raises, once."""

    def __init__(self):
        self.got = []
        self.fails = None
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.got.append(data)
        error, self.fails = self.fails, None
        if error is not None:
            raise error

    def connection_lost(self, error):
        self.lost.set_result(error)


class OnTheWayTest(SolipsistTestCase):
    async def asyncSetUp(self):
        one, two = self.socketpair()
        self.sender, _ = await self.loop.create_connection(Kept, sock=one)
        self.receiver, self.kept = await self.loop.create_connection(Kept, sock=two)
        self.addCleanup(self.sender.abort)
        self.addCleanup(self.receiver.abort)

    async def sent(self, *data):
        """What comes of some writes."""
        for each in data:
            self.sender.write(each)
        await self.settle()
        got, self.kept.got = self.kept.got, []
        return got

    async def test_the_short_way(self):
        """A few bytes go to the other end without the methods of a socket, and are written down as ever."""
        before = self.loop.kernel.journal.effects
        with (mock.patch.object(Connection, "send", side_effect=AssertionError),
              mock.patch.object(Connection, "arrive", side_effect=AssertionError)):
            self.assertEqual(await self.sent(b"ab"), [b"ab"])
        self.assertEqual(self.loop.kernel.journal.effects, before + 1)
        self.assertEqual(self.loop.kernel.journal.last_effects(1)[0].facts[1:], (2,))

    async def test_the_journal_is_cut(self):
        """A journal that is full forgets its oldest records; one that is off has none."""
        journal = self.loop.kernel.journal
        for _ in range(13_000):
            self.sender.write(b"x")
            self.kept.got.clear()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await self.sent()
        self.assertLess(len(journal.records), 12_500)
        journal.enabled = False
        before = len(journal.records)
        self.assertEqual(await self.sent(b"ab"), [b"ab"])
        self.assertEqual(len(journal.records), before)

    async def test_the_long_way(self):
        """What is no bytes, comes on top of others or has no room goes asyncio's way, in order."""
        self.assertEqual(await self.sent(b"a", b"", bytearray(b"b"), b"c", memoryview(b"d")), [b"abcd"])
        big = bytes(range(256)) * 1000
        self.assertEqual(b"".join(await self.sent(b"a", big, b"z")), b"a" + big + b"z")
        self.receiver.pause_reading()
        self.assertEqual(await self.sent(b"e"), [])
        self.receiver.resume_reading()
        self.assertEqual(await self.sent(b"f"), [b"ef"])

    async def test_patched_methods(self):
        """What a program puts in the place of a method on the way is called, on connections too that there were."""
        for cls, name, transport in ((socket.socket, "send", self.sender), (socket.socket, "recv", self.receiver),
                                     (STOCK, "write", self.sender),
                                     (STOCK, "_read_ready__data_received", self.receiver)):
            original, calls = getattr(cls, name), []

            def called(itself, *args, original=original, calls=calls):
                calls.append(itself)
                return original(itself, *args)

            with self.subTest(name), mock.patch.object(cls, name, called):
                self.assertEqual(await self.sent(b"ab"), [b"ab"])
                self.assertIn(transport if cls is STOCK else transport._sock, calls)

    async def test_another_socket(self):
        """A socket that a program puts in the place of a transport's is asked."""
        for transport, name in ((self.sender, "send"), (self.receiver, "recv")):
            sock = transport._sock
            transport._sock = mock.Mock(wraps=sock)
            with self.subTest(name):
                self.assertEqual(await self.sent(b"ab"), [b"ab"])
                getattr(transport._sock, name).assert_called()
            transport._sock = sock

    async def test_a_socket_that_waits(self):
        """A socket that is not in asyncio's mode any more is refused as ever: its own calls are made."""
        sock = self.receiver._sock
        ends = [sock.plain_end]
        for timeout in (1, None, 0):
            sock.settimeout(timeout)
            ends.append(sock.plain_end)
        for flag in (True, False):
            sock.setblocking(flag)
            ends.append(sock.plain_end)
        self.assertEqual(ends, [ends[0], None, None, ends[0], None, ends[0]])
        self.sender._sock.settimeout(1)
        with self.assertLoopException(ValueError, "the socket must be non-blocking"):
            self.assertEqual(await self.sent(b"ab"), [])

    async def test_errors_of_a_protocol(self):
        """An error in data_received() ends the connection, and goes to the loop's handler in asyncio's words."""
        self.kept.fails = error = ValueError("mine")
        with self.assertLoopException(ValueError, "mine"):
            self.assertEqual(await self.sent(b"ab"), [b"ab"])
        self.assertIs(await self.kept.lost, error)

    async def test_the_end(self):
        """After the end nothing is sent and nothing is given to the protocol."""
        self.sender.write(b"ab")
        self.receiver.abort()
        self.sender.close()
        self.assertEqual(await self.sent(b"cd"), [])

    async def test_its_class(self):
        """It is asyncio's class for everybody who looks; where that was replaced, or its factory, these are used."""
        self.assertIs(type(self.sender), Transport)
        self.assertRegex(repr(self.sender), "^<_SelectorSocketTransport fd=")
        self.assertEqual((Transport.__module__, Transport.__bases__), (STOCK.__module__, (STOCK,)))

        class Mine(STOCK):
            pass

        def make(loop, *args, **kwargs):
            return Mine(loop, *args)

        for where, name, stand_in in ((selector_events, "_SelectorSocketTransport", Mine),
                                      (selector_events.BaseSelectorEventLoop, "_make_socket_transport", make)):
            with self.subTest(name), mock.patch.object(where, name, stand_in):
                transport, _ = await self.loop.create_connection(Kept, sock=self.socketpair()[0])
                self.assertIs(type(transport), Mine)
                transport.abort()

    async def test_a_class_of_sockets(self):
        """A socket of a program's own class has asyncio's transport."""

        class Mine(socket.socket):
            pass

        async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 80):
            sock = Mine()
            sock.setblocking(False)
            await self.loop.sock_connect(sock, ("127.0.0.1", 80))
            transport, protocol = await self.loop.create_connection(Kept, sock=sock)
            self.assertIs(type(transport), STOCK)
            await protocol.lost

    async def test_a_constructor_that_fails(self):
        """A transport that was not made is collected without another error."""
        with mock.patch.object(STOCK, "__init__", side_effect=ValueError("mine")), self.assertRaises(ValueError):
            await self.loop.create_connection(Kept, sock=self.socketpair()[0])


class InterruptedTest(SolipsistTestCase):
    def test_exits(self):
        """What ends a program passes through data_received()."""
        for kind in (SystemExit, KeyboardInterrupt):
            loop = self.enterContext(asyncio.Runner(loop_factory=self.loop_factory)).get_loop()
            made = [loop.run_until_complete(loop.create_connection(Kept, sock=sock))
                    for sock in VirtualSocket.pair(loop.world)]
            (sender, _), (receiver, kept) = made
            kept.fails = kind()
            sender.write(b"x")
            with self.subTest(kind.__name__), self.assertRaises(kind):
                loop.run_until_complete(asyncio.sleep(1))
            sender.abort()
            receiver.abort()
