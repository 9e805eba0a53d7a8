"""`FakeDatagramServer`: the other side of the code under test, over UDP."""

import asyncio
import errno
import socket
import unittest

from solipsism_unittest import FakeDatagramServer, SleepForeverError, SolipsistTestCase
from tests.case.test_case import run, told


class Client(asyncio.DatagramProtocol):
    """A client that keeps what it hears."""

    def __init__(self):
        self.heard = []
        self.news = asyncio.Event()

    def datagram_received(self, data, address):
        self.heard.append(data)
        self.news.set()

    def error_received(self, error):
        self.heard.append(type(error))
        self.news.set()

    async def next(self):
        """What is heard next."""
        while not self.heard:
            self.news.clear()
            await self.news.wait()
        return self.heard.pop(0)


class DatagramServerCase(SolipsistTestCase):
    async def client(self, host, port, **arguments):
        """A client connected to an address, closed at the end."""
        endpoint = self.loop.create_datagram_endpoint(Client, remote_addr=(host, port), **arguments)
        transport, client = await endpoint
        self.addCleanup(transport.close)
        return transport, client


class DatagramServerTest(DatagramServerCase):
    async def test_handler(self):
        """The handler's bytes are the answer to the sender; None is no answer; the server keeps every datagram."""
        answers = {b"query": b"QUERY"}
        server = await self.start_fake_datagram_server(lambda data, address: answers.get(data), "dns.test", 53)
        transport, client = await self.client("dns.test", 53)
        for data in (b"?", b"query"):
            transport.sendto(data)
        self.assertEqual(await client.next(), b"QUERY")
        sender = transport.get_extra_info("sockname")
        self.assertEqual(server.received, [(b"?", sender), (b"query", sender)])
        self.assertIsInstance(server, FakeDatagramServer)

    async def test_async_handler(self):
        """A handler may take its time; the next datagram need not wait for it."""

        async def handler(data, address):
            await asyncio.sleep(float(data))
            return data

        await self.start_fake_datagram_server(handler, "ntp.test", 123)
        transport, client = await self.client("ntp.test", 123)
        with self.assertElapses(5):
            for data in (b"5", b"1"):
                transport.sendto(data)
            self.assertEqual([await client.next(), await client.next()], [b"1", b"5"])

    async def test_played_by_hand(self):
        """Without a handler the test receives, in order of arrival, and answers as it likes."""
        server = await self.start_fake_datagram_server()
        transport, client = await self.client(*server.address)
        transport.sendto(b"one")
        transport.sendto(b"two")
        self.assertEqual((await server.receive())[0], b"one")
        data, address = await server.receive()
        self.assertEqual((data, address), (b"two", transport.get_extra_info("sockname")))
        server.send(b"1", address)
        server.send(bytearray(b"2"), address)
        self.assertEqual([await client.next(), await client.next()], [b"1", b"2"])

    async def test_names(self):
        """host and port are as given, address is both, port 0 is the next free one of UDP, and the repr says them."""
        await self.start_fake_server()
        named = await self.start_fake_datagram_server(host="api.test", port=443)
        free = await self.start_fake_datagram_server()
        self.assertEqual((named.address, free.address), (("api.test", 443), ("localhost", 60001)))
        self.assertEqual(repr(named), "<FakeDatagramServer api.test:443, 0 datagrams received>")

    async def test_both_families(self):
        """A server on a name is reached over IPv4 and IPv6, and answers each client from where it was asked."""
        server = await self.start_fake_datagram_server(lambda data, address: data)
        for family in (socket.AF_INET, socket.AF_INET6):
            transport, client = await self.client(*server.address, family=family)
            transport.sendto(b"hello")
            self.assertEqual(await client.next(), b"hello")
        self.assertEqual(repr(server), "<FakeDatagramServer localhost:60001, 2 datagrams received>")

    async def test_speaks_first(self):
        """A server may send to who never sent to it, in either family."""
        server = await self.start_fake_datagram_server()
        for host in ("127.0.0.1", "::1"):
            transport, client = await self.loop.create_datagram_endpoint(Client, local_addr=(host, 0))
            self.addCleanup(transport.close)
            server.send(b"hello", transport.get_extra_info("sockname"))
            self.assertEqual(await client.next(), b"hello")

    async def test_cannot_send(self):
        """A server without a socket of that family, or closed, says so."""
        server = await self.start_fake_datagram_server(host="127.0.0.1")
        with self.assertRaisesRegex(OSError, "has no open socket from which to send to"):
            server.send(b"x", ("::1", 9))
        server.close()
        with self.assertRaisesRegex(OSError, "has no open socket") as caught:
            server.send(b"x", ("127.0.0.1", 9))
        self.assertEqual(caught.exception.errno, errno.EADDRNOTAVAIL)

    async def test_closed(self):
        """Whoever sends to a closed server is refused."""
        server = await self.start_fake_datagram_server()
        transport, client = await self.client(*server.address)
        server.close()
        await self.settle()
        transport.sendto(b"anybody?")
        self.assertIs(await client.next(), ConnectionRefusedError)

    async def test_port_in_use(self):
        """A port of UDP that somebody has is EADDRINUSE, with who has it; nothing stays open."""
        await self.start_fake_datagram_server(port=5000)
        words = r"UDP port 5000 on localhost is taken by <UDP 127\.0\.0\.1:5000 .*test_datagram_server\.py:\d+"
        with self.assertRaisesRegex(OSError, words) as caught:
            await self.start_fake_datagram_server(port=5000)
        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)

    async def test_no_port(self):
        """A port out of range is an OverflowError, as bind() has it, and nothing stays open."""
        with self.assertRaises(OverflowError):
            await self.start_fake_datagram_server(port=70000)

    async def test_group(self):
        """A server on a multicast group hears who sends to the group, of either family, and answers."""
        for group in ("239.255.255.250", "ff05::c"):
            server = await self.start_fake_datagram_server(lambda data, address: b"here", group, 1900)
            family = socket.AF_INET6 if ":" in group else socket.AF_INET
            transport, client = await self.loop.create_datagram_endpoint(Client, family=family)
            self.addCleanup(transport.close)
            transport.sendto(b"who is there?", (group, 1900))
            self.assertEqual(await client.next(), b"here")
            self.assertEqual([data for data, _ in server.received], [b"who is there?"])

    async def test_wildcard(self):
        """A server on a wildcard address hears what is sent to each address of the machine."""
        server = await self.start_fake_datagram_server(host="0.0.0.0", port=7)
        for host in ("127.0.0.1", "127.0.0.5"):
            transport, _ = await self.client(host, 7)
            transport.sendto(host.encode())
            self.assertEqual((await server.receive())[0], host.encode())

    async def test_arguments(self):
        """What is no function and what is no name are told at once."""
        with self.assertRaisesRegex(TypeError, r"^handler is a function \(data, address\), async or not, or None"):
            await self.start_fake_datagram_server("echo")
        with self.assertRaisesRegex(TypeError, "^host is a name or an address as text, not 5$"):
            await self.start_fake_datagram_server(host=5)


class Inner:
    """Holds tests that the real ones below run: most of them fail."""

    class Failing(DatagramServerCase):
        async def send(self, handler, data=b"x"):
            server = await self.start_fake_datagram_server(handler)
            transport, _ = await self.client(*server.address)
            transport.sendto(data)
            await self.settle()
            return server

        async def test_raises(self):
            def handler(data, address):
                raise ValueError("a bad handler")

            await self.send(handler)

        async def test_raises_later(self):
            async def handler(data, address):
                raise ValueError("a bad coroutine")

            await self.send(handler)

        async def test_answers_with_text(self):
            await self.send(lambda data, address: "text")

        async def test_too_large(self):
            await self.send(lambda data, address: bytes(70_000))

        async def test_never_ends(self):
            async def handler(data, address):
                await asyncio.Event().wait()

            await self.send(handler)

        async def test_raises_at_the_end(self):
            async def handler(data, address):
                try:
                    await asyncio.Event().wait()
                finally:
                    raise ValueError("on being cancelled")

            await self.send(handler)

        async def test_nobody_sends(self):
            server = await self.start_fake_datagram_server(host="api.test", port=53)
            await server.receive()

        async def test_leaves_a_transport(self):
            await self.loop.create_datagram_endpoint(Client, local_addr=("127.0.0.1", 5353))

        async def test_leaves_a_socket(self):
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

        async def test_waits_for_a_datagram(self):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.bind(("127.0.0.1", 5353))
                await self.loop.sock_recvfrom(sock, 100)


class VerdictTest(unittest.TestCase):
    """What a failing handler, and what is left, makes of a test."""

    def assertFails(self, name, *words):
        result = run(Inner.Failing, name)
        self.assertEqual((len(result.errors) + len(result.failures), result.testsRun), (1, 1))
        for text in words:
            self.assertIn(text, told(result))

    def test_handler_raises(self):
        """What a handler raises, at once or later, fails the test, with its traceback."""
        self.assertFails("test_raises", "ValueError: a bad handler", "in handler")
        self.assertFails("test_raises_later", "ValueError: a bad coroutine", "in handler")

    def test_no_bytes(self):
        """An answer that is no bytes fails the test and names the handler."""
        self.assertFails("test_answers_with_text", "returned 'text' (the server was made at", "<lambda>")

    def test_answer_too_large(self):
        """An answer that fits into no datagram fails the test."""
        self.assertFails("test_too_large", "Message too long")

    def test_handler_at_the_end(self):
        """A handler that still runs at the end is cancelled, and nothing is made of how it ends."""
        for name in ("test_never_ends", "test_raises_at_the_end"):
            self.assertTrue(run(Inner.Failing, name).wasSuccessful())

    def test_nobody_sends(self):
        """A test that waits for a datagram that never comes is told on which server."""
        words = "receive(): nobody sends to <FakeDatagramServer api.test:53, 0 datagrams received>"
        self.assertFails("test_nobody_sends", SleepForeverError.__name__, words)

    def test_waiting_for_a_datagram(self):
        """A task that waits in sock_recvfrom() says on which address."""
        self.assertFails("test_waits_for_a_datagram", "sock_recvfrom() on <UDP 127.0.0.1:5353 unconnected 0 to read>")

    def test_left(self):
        """A datagram transport and a UDP socket that are left are told with the line where they were made."""
        self.assertFails("test_leaves_a_transport", "<SelectorDatagramTransport 127.0.0.1:5353 unconnected>",
                         "test_datagram_server.py")
        self.assertFails("test_leaves_a_socket", "<UDP unbound unconnected 0 to read>", "test_datagram_server.py")
