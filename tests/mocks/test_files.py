"""Mocks of files and sockets under asyncio's own streams."""

import asyncio
import socket
import ssl
import unittest
from unittest import mock

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.mocks import (
    FileDescriptor,
    FileMock,
    SocketMock,
    SSLSocketMock,
    fd,
    isfilemock,
    set_read_ready,
    set_write_ready,
)
from tests.case.test_case import run, told


class FileDescriptorTest(unittest.TestCase):
    def setUp(self):
        FileDescriptor.next_fd = 0

    def test_numbers(self):
        """Without a number it is the next one; a number moves the next one behind it."""
        self.assertEqual([FileDescriptor(), FileDescriptor(), FileDescriptor(5), FileDescriptor()], [0, 1, 5, 6])
        self.assertEqual(FileDescriptor(2), 2)
        self.assertEqual(FileDescriptor.next_fd, 8)
        self.assertEqual(FileDescriptor("12"), 12)
        self.assertEqual(repr(FileDescriptor(7)), "FileDescriptor(7)")

    def test_apart_from_real_ones(self):
        """It equals its int, and a dict keeps the two apart."""
        self.assertEqual(FileDescriptor(5), 5)
        self.assertEqual(len({5: "real", FileDescriptor(5): "mock"}), 2)
        self.assertEqual(hash(FileDescriptor(5)), hash(FileDescriptor(5)))

    def test_begins_anew_with_each_test(self):
        """The first mock of each test has number 0."""
        seen = []

        class Case(SolipsistTestCase):
            def test_a(self):
                seen.extend([FileDescriptor(), FileMock().fileno()])

            test_b = test_a

        self.assertEqual(told(run(Case)), "")
        self.assertEqual(seen, [0, 1, 0, 1])

    def test_fd(self):
        """fd() takes what has a descriptor, and refuses the rest."""
        number = FileDescriptor()
        self.assertIs(fd(number), number)
        file = FileMock()
        self.assertIs(fd(file), file.fileno())
        for wrong in (5, None, object(), "file"):
            with self.subTest(wrong), self.assertRaisesRegex(ValueError, "fd.. takes a file object"):
                fd(wrong)

    def test_isfilemock(self):
        """Mocks and their numbers are mocks; sockets, ints, and files that are closed are none."""
        real = socket.socket()
        self.addCleanup(real.close)
        with open(__file__) as closed:
            pass
        for thing in (FileDescriptor(), FileMock(), SocketMock(), SSLSocketMock()):
            self.assertIs(isfilemock(thing), True)
        for thing in (real, 5, object(), closed, mock.Mock()):
            self.assertIs(isfilemock(thing), False)


class KindsTest(unittest.TestCase):
    def test_kinds(self):
        """A mock of a TLS socket is one of a socket is one of a file; each passes for the real thing."""
        sock, secure = SocketMock(), SSLSocketMock()
        self.assertIsInstance(sock, FileMock)
        self.assertIsInstance(sock, socket.socket)
        self.assertIsInstance(secure, SocketMock)
        self.assertIsInstance(secure, ssl.SSLSocket)
        self.assertIsInstance(sock.recv(5), mock.Mock)
        self.assertNotIsInstance(sock.recv, FileMock)
        with self.assertRaises(AttributeError):
            _ = sock.receive

    def test_numbers(self):
        """Each mock has a descriptor of its own, and keeps it."""
        one, other = FileMock(), FileMock()
        self.assertIsInstance(one.fileno(), FileDescriptor)
        self.assertEqual(one.fileno(), one.fileno())
        self.assertNotEqual(one.fileno(), other.fileno())

    def test_as_mocks_are_configured(self):
        """What a Mock takes is taken."""
        sock = SocketMock(name="peer", **{"recv.return_value": b"data", "type": socket.SOCK_DGRAM})
        self.assertEqual((sock.recv(9), sock.type), (b"data", socket.SOCK_DGRAM))
        self.assertIn("peer", repr(sock))
        self.assertEqual(SocketMock(wraps=mock.Mock(recv=lambda n: n)).recv(9), 9)
        self.assertIsInstance(FileMock(spec=["fileno", "read"]).read(), mock.Mock)
        with self.assertRaises(AttributeError):
            FileMock(spec=["read"])

    def test_what_asyncio_calls(self):
        """sendmsg() sends through send(), recv_into() receives through recv(), and the socket never blocks."""
        sock = SocketMock()
        sock.send.return_value = 3
        self.assertEqual(sock.sendmsg([b"ab", memoryview(b"cd")]), 3)
        sock.send.assert_called_once_with(b"abcd")
        sock.recv.return_value = b"xyz"
        buffer = bytearray(5)
        self.assertEqual((sock.recv_into(buffer), buffer), (3, b"xyz\0\0"))
        sock.recv.assert_called_once_with(5)
        sock.recv_into(buffer, 4)
        sock.recv.assert_called_with(4)
        self.assertEqual(sock.gettimeout(), 0)


class Buffered(asyncio.BufferedProtocol):
    """Keeps what came."""

    def __init__(self):
        self.received, self.room = b"", bytearray(10)

    def get_buffer(self, sizehint):
        return self.room

    def buffer_updated(self, nbytes):
        self.received += self.room[:nbytes]


class StreamsTest(SolipsistTestCase):
    async def test_a_conversation(self):
        """A mock under open_connection() receives what recv says, when it is ready, and sends to send."""
        sock = SocketMock()
        replies = iter([b"Hello ", b"world\n", b""])
        sock.recv.side_effect = lambda size: next(replies)
        sock.send.side_effect = len
        reader, writer = await asyncio.open_connection(sock=sock)
        sock.setblocking.assert_called_with(False)
        writer.write(b"request")
        await writer.drain()
        sock.send.assert_called_once_with(b"request")
        await self.assertBlocks(reader.read(1))
        set_read_ready(sock, self.loop)
        self.assertEqual(await reader.read(100), b"Hello ")
        set_read_ready(sock, self.loop)
        self.assertEqual(await reader.readline(), b"world\n")
        set_read_ready(sock, self.loop)
        self.assertEqual(await reader.read(), b"")
        writer.close()
        await writer.wait_closed()
        sock.close.assert_called_once_with()
        self.assertNow(0)

    async def test_partial_sends(self):
        """What a send did not take goes out when the mock is ready to be written to."""
        sock = SocketMock()
        taken = []

        def send(data):
            if len(taken) == 1 and not ready:
                raise BlockingIOError
            taken.append(bytes(data[:4]))
            return 4

        ready = []
        sock.send.side_effect = send
        _, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"abcdefgh")
        writer.write(b"ijkl")
        await self.settle()
        self.assertEqual(taken, [b"abcd"])
        ready.append(True)
        for _ in range(2):
            set_write_ready(sock, self.loop)
            await self.settle()
        self.assertEqual(b"".join(taken), b"abcdefghijkl")
        writer.close()

    async def test_buffered_protocol(self):
        """asyncio receives into the buffer of a BufferedProtocol."""
        sock = SocketMock()
        sock.recv.side_effect = [b"one", b"two", BlockingIOError]
        transport, protocol = await self.loop.create_connection(Buffered, sock=sock)
        for expected in (b"one", b"onetwo", b"onetwo"):
            set_read_ready(sock, self.loop)
            await self.settle()
            self.assertEqual(protocol.received, expected)
        transport.close()

    async def test_sock_methods(self):
        """The loop's own socket methods take a mock."""
        sock = SocketMock()
        sock.recv.side_effect = [BlockingIOError, b"data"]
        task = asyncio.create_task(self.loop.sock_recv(sock, 10))
        await self.settle()
        self.assertFalse(task.done())
        set_read_ready(sock, self.loop)
        self.assertEqual(await task, b"data")
        sock.send.side_effect = len
        await self.loop.sock_sendall(sock, b"reply")
        sock.send.assert_called_once_with(b"reply")

    async def test_tls_mock(self):
        """asyncio refuses a mock of a TLS socket where it refuses the real one, and takes it for readers."""
        sock = SSLSocketMock()
        with self.assertRaisesRegex((TypeError, ValueError), "(?i)ssl"):
            await self.loop.sock_recv(sock, 10)
        called = []
        self.loop.add_reader(sock, called.append, 1)
        set_read_ready(sock, self.loop)
        await self.settle()
        self.assertEqual(called, [1])
        self.assertTrue(self.loop.remove_reader(sock))


class DebugStreamsTest(StreamsTest):
    """The same in asyncio's debug mode."""

    loop_debug = True


class LeftoversTest(unittest.TestCase):
    def test_registration(self):
        """A reader that is left fails its test, with its line."""

        class Case(SolipsistTestCase):
            async def test(self):
                self.loop.add_reader(FileMock(), print, "data")

        self.assertRegex(told(run(Case)), r"1 registered callback\n    add_reader\(descriptor of a mock 0\), "
                                          r"calls print\n +made at tests/mocks/test_files.py:\d+ in LeftoversTest")

    def test_transport(self):
        """A stream on a mock that is left fails its test, is ended, and can be expected."""
        for base, expected in ((False, "1 open transport\n    <SelectorSocketTransport on descriptor 0 of a mock>"),
                               (True, "")):

            class Case(SolipsistTestCase):
                is_meant = base
                loop_scope = "test" if base else "class"

                async def test(self):
                    _, self.writer = await asyncio.open_connection(sock=SocketMock())
                    if self.is_meant:
                        self.expect_leak(self.writer)

                async def test_then(self):
                    self.assertEqual(len(self.loop.selector.keys), 0)

            with self.subTest(is_meant=base):
                text = told(run(Case))
                self.assertIn(expected, text)
                if expected:
                    self.assertRegex(text, r"of a mock>\n +made at tests/mocks/test_files.py:\d+ in LeftoversTest")
                self.assertEqual(bool(text), bool(expected))

    def test_a_hang(self):
        """Waiting for a mock that nobody makes ready is a hang."""

        class Case(SolipsistTestCase):
            async def test(self):
                reader, writer = await asyncio.open_connection(sock=SocketMock())
                self.addCleanup(writer.close)
                await reader.read(1)

        text = told(run(Case))
        self.assertIn("nothing can wake the program at t=0.0", text)
        self.assertIn("waits for read(1) from descriptor 0 of a mock, of which nobody says that it is ready: ",
                      text)


if __name__ == "__main__":
    unittest.main()
