"""TLS on virtual sockets; what it does beside the real one stands in tests/contracts/test_blocking_tls.py."""

import asyncio
import socket
import ssl
import unittest
import urllib.request
from unittest import mock

from solipsism_unittest import SolipsismError, SolipsistTestCase
from solipsism_unittest.stdlib import tls
from tests.case.test_case import run, told


async def upper(reader, writer):
    writer.write((await reader.readline()).upper())
    writer.close()


class TlsTest(SolipsistTestCase):
    async def test_the_loop_s_thread(self):
        """A call that would wait in the loop's thread says what to do; one that need not wait is made."""
        self.trust()
        await self.start_fake_server(upper, "api.test", 443, tls=True)
        with socket.create_connection(("api.test", 443)) as plain:
            sock = ssl.create_default_context().wrap_socket(plain, server_hostname="api.test",
                                                            do_handshake_on_connect=False)
        with sock:
            self.assertIsInstance(sock, ssl.SSLSocket)
            with self.assertRaisesRegex(
                    SolipsismError, r"^handshake\(\) on <VirtualSSLSocket .* would block its thread at t=0\.0, and "
                    r"virtual time with it: use asyncio's streams \(ssl= of .*, or make the call in asyncio\.to_"):
                sock.do_handshake()
            sock.setblocking(False)
            await self.settle()
            sock.do_handshake()
            self.assertEqual(sock.version(), "TLSv1.3")

    async def test_trust(self):
        """A program in a thread trusts what the test trusts, with contexts made before it too."""
        early = ssl.create_default_context()
        await self.start_fake_server(upper, "api.test", 443, tls=True)
        self.trust()

        def ask(context):
            with context.wrap_socket(socket.create_connection(("api.test", 443)), server_hostname="api.test") as sock:
                sock.sendall(b"line\n")
                return sock.recv(100)

        for context in (early, ssl.create_default_context()):
            self.assertEqual(await asyncio.to_thread(ask, context), b"LINE\n")
        with self.assertRaisesRegex(ssl.SSLCertVerificationError, "unable to get local issuer"):
            await asyncio.to_thread(ask, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    async def test_time(self):
        """A timeout is in virtual time, and for the whole of a handshake: bytes that trickle in do not prolong it."""
        self.trust()

        async def trickle(reader, writer):
            for byte in b"\x16\x03\x03\x40\x00" + bytes(200):
                await asyncio.sleep(1)
                writer.write(bytes([byte]))

        await self.start_fake_server(trickle, "slow.test", 443)

        def ask():
            with socket.create_connection(("slow.test", 443), 90) as plain:
                ssl.create_default_context().wrap_socket(plain, server_hostname="slow.test")

        with self.assertElapses(90), self.assertRaisesRegex(TimeoutError, "^The handshake operation timed out$"):
            await asyncio.to_thread(ask)

    async def test_urllib(self):
        """A program that fetches over https in a thread talks to a fake server."""

        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(3600)
            writer.write(b"HTTP/1.0 200 OK\r\n\r\nlate")
            writer.close()

        self.trust()
        await self.start_fake_server(serve, "api.test", 443, tls=True)

        def fetch():
            with urllib.request.urlopen("https://api.test/") as answer:
                return answer.read()

        with self.assertElapses(3600):
            self.assertEqual(await asyncio.to_thread(fetch), b"late")

    def test_sockets_that_are_let_out(self):
        """A real socket that the test lets out gets a real one."""
        with self.allow_escape("network"):
            one, other = socket.socketpair()
            with one, other, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(
                    one, server_hostname="a.test", do_handshake_on_connect=False) as sock:
                self.assertIs(type(sock), ssl.SSLSocket)

    async def test_sessions(self):
        """A session can be taken from one connection and given to another, which goes on with it."""
        server, client = self.tls_contexts("api.test")
        client.maximum_version = ssl.TLSVersion.TLSv1_2  # its tickets come with the handshake
        await self.start_fake_server(upper, "api.test", 443, ssl=server)

        def ask(session, late):
            plain = socket.create_connection(("api.test", 443))
            with client.wrap_socket(plain, server_hostname="api.test", session=None if late else session,
                                    do_handshake_on_connect=False) as sock:
                if late:
                    sock.session = session
                sock.do_handshake()
                return sock.session, sock.session_reused

        session, reused = await asyncio.to_thread(ask, None, False)
        self.assertFalse(reused)
        for late in (False, True):
            self.assertTrue((await asyncio.to_thread(ask, session, late))[1])

    def test_a_leak(self):
        """A TLS socket that nobody closes is a leak."""

        class Case(SolipsistTestCase):
            async def test(self):
                self.trust()
                await self.start_fake_server(upper, "api.test", 443, tls=True)

                def connect():
                    plain = socket.create_connection(("api.test", 443))
                    return ssl.create_default_context().wrap_socket(plain, server_hostname="api.test")

                self.kept = await asyncio.to_thread(connect)

        self.assertRegex(told(run(Case)), r"left 1 thing behind.*\n  1 open socket\n")


class RecordsTest(SolipsistTestCase):
    def setUp(self):
        """Records over a socket that takes nothing, and an OpenSSL that has something to say after each call."""
        self.context = ssl.create_default_context()
        sock = mock.Mock(spec=tls.VirtualSSLSocket, world=self.loop.world, kernel=self.loop.kernel)
        sock.gettimeout.return_value = 0.0
        sock.go_on.side_effect = BlockingIOError
        self.records = tls.Records(self.context, sock, False, "a.test", None)
        self.assertIs(self.records.context, self.context)
        self.records._object = mock.Mock()
        for name in ("read", "write", "do_handshake"):
            getattr(self.records._object, name).side_effect = self.answer
        self.sock = sock

    def answer(self, *args):
        self.records._outgoing.write(b"key update")
        return args

    def test_what_was_read_is_not_lost(self):
        """When an answer of TLS itself cannot be sent, what was read is given all the same."""
        self.assertEqual(self.records.read(4), (4,))
        with self.assertRaises(ssl.SSLWantWriteError):
            self.records.read(4)

    def test_what_was_written_is_written_once(self):
        """A write that could not be sent is made again until it was, and OpenSSL is not asked again."""
        for _ in range(2):
            with self.assertRaises(ssl.SSLWantWriteError):
                self.records.write(b"data")
        self.sock.go_on.side_effect = [10]
        self.assertEqual(self.records.write(b"data"), (b"data",))
        self.records._object.write.assert_called_once_with(b"data")

    def test_a_handshake_that_cannot_be_sent(self):
        """A handshake waits for room to send its last words."""
        with self.assertRaises(ssl.SSLWantWriteError) as caught:
            self.records.do_handshake()
        self.assertEqual((caught.exception.errno, caught.exception.reason), (ssl.SSL_ERROR_WANT_WRITE, None))


if __name__ == "__main__":
    unittest.main()
