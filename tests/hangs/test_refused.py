"""Why a connection was refused is said where the refusal ends a test."""

import asyncio
import errno
import socket
import socketserver
import threading
import unittest

from tests.case.test_case import run, told
from tests.leaks import case_of

MEMORY = ("  the network is in memory, and no packet leaves the process: `await self.start_fake_server(handler, "
          "{!r}, {})` puts a server there")


class ToldCase(unittest.TestCase):
    def told_of(self, body):
        result = run(case_of(body))
        self.assertEqual(len(result.errors) + len(result.failures), 1)
        return told(result)


class RefusedTest(ToldCase):
    def test_the_wrong_port(self):
        """The host and the port that were asked for, and who listens where."""
        async def body(self):
            await self.start_fake_server(None, "api.test", 8080)
            await self.start_fake_server(None, "other.test", 80)
            await asyncio.sleep(1)
            await asyncio.open_connection("api.test", 80)

        self.assertRegex(self.told_of(body), r"nobody listens on api\.test:80 \(198\.18\.\d+\.\d+\) at t=1\.0; "
                         r"servers in this test: other\.test:80 \(tests/hangs/test_refused\.py:\d+ in .*body\), "
                         r"api\.test:8080 \(tests/hangs/test_refused\.py:\d+ in .*body\)\n"
                         r"  the network is in memory, and no packet leaves the process: `await "
                         r"self\.start_fake_server\(handler, 'api\.test', 80\)` puts a server there\n")

    def test_a_host_with_two_addresses(self):
        """A host whose two addresses both refuse is named once."""
        async def body(self):
            self.network.add_host("two.test", "10.0.0.1", "10.0.0.2")
            await asyncio.open_connection("two.test", 80)

        self.assertEqual(self.told_of(body).count("nobody listens on two.test:80"), 1)

    def test_no_server(self):
        """Where nobody listens at all that is said; a name of several addresses is named once."""
        async def body(self):
            await asyncio.open_connection("localhost", 4321)

        text = self.told_of(body)
        self.assertIn("nobody listens on localhost:4321 (127.0.0.1) at t=0.0; servers in this test: none\n"
                      + MEMORY.format("localhost", 4321), text)
        self.assertEqual(text.count("nobody listens"), 1)

    def test_a_server_that_refuses(self):
        """One that the test has told to refuse is named, with its place; nobody is asked to start another."""
        async def refuse(self):
            server = await self.start_fake_server(None, "api.test", 80)
            server.refuse()
            await asyncio.sleep(2)
            await asyncio.open_connection("api.test", 80)

        async def restart(self):
            await self.start_fake_server(None, "api.test", 80)
            self.network.host("api.test").crash()
            self.network.host("api.test").restart(services=False)
            await asyncio.sleep(2)
            await asyncio.open_connection("api.test", 80)

        for body in (refuse, restart):
            with self.subTest(body):
                text = self.told_of(body)
                self.assertRegex(text, r"\napi\.test:80 \(198\.18\.\d+\.\d+\) refuses every connection at t=2\.0: its "
                                       r"server, made at tests/hangs/test_refused\.py:\d+ in .*, was told so by "
                                       r"refuse\(\), or by a restart of its host without services\n")
                self.assertNotIn("nobody listens", text)

    def test_a_plain_socket(self):
        """The error of a plain socket has no address: the latest refusal is meant."""
        async def body(self):
            for port in (1000, 2000):
                face = socket.socket()
                self.addCleanup(face.close)
                face.setblocking(False)
                code = face.connect_ex(("192.0.2.7", port))
                while code == 115:
                    code = face.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            raise OSError(code, "refused")

        self.assertIn("nobody listens on 192.0.2.7:2000 at t=0.0; servers in this test: none", self.told_of(body))

    def test_a_connected_datagram_socket(self):
        """Of UDP the host and port, who listens for datagrams, and how a server is put there; by a protocol too."""
        class Raising(asyncio.DatagramProtocol):
            def __init__(self, future):
                self.future = future

            def error_received(self, error):
                self.future.set_exception(error)

        async def plain(self):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as face:
                face.connect(("dns.test", 5353))
                face.send(b"x")
                face.recv(9)

        async def endpoint(self):
            future = self.loop.create_future()
            transport, _ = await self.loop.create_datagram_endpoint(lambda: Raising(future),
                                                                    remote_addr=("dns.test", 5353))
            self.addCleanup(transport.close)
            transport.sendto(b"x")
            await future

        for body in (plain, endpoint):
            async def with_servers(self, body=body):
                await self.start_fake_server(None, "dns.test", 5353)
                await self.start_fake_datagram_server(None, "dns.test", 53)
                with self.assertRaises(ConnectionRefusedError):
                    await asyncio.open_connection("other.test", 80)
                await body(self)

            with self.subTest(body.__name__):
                text = self.told_of(with_servers)
                self.assertRegex(text, r"\nnobody listens on UDP dns\.test:5353 \(198\.1[89]\.\d+\.\d+\) at t=0\.0; "
                                 r"UDP servers in this test: dns\.test:53 \(tests/hangs/test_refused\.py:\d+ in "
                                 r".*with_servers\)\n"
                                 r"  the network is in memory, and no packet leaves the process: `await "
                                 r"self\.start_fake_datagram_server\(handler, 'dns\.test', 5353\)` puts a server "
                                 r"there\n")
                self.assertEqual(text.count("nobody listens"), 1)

    def test_a_path_that_nobody_bound(self):
        """A UNIX path is named, with who listens where; by streams, a plain socket, and as a cause."""
        async def streams(self):
            await asyncio.open_unix_connection("/run/app.sock")

        async def endpoint(self):
            await asyncio.get_running_loop().create_unix_connection(asyncio.Protocol, "/run/app.sock")

        async def plain(self):
            with socket.socket(socket.AF_UNIX) as face:
                face.connect("/run/app.sock")

        async def cause(self):
            try:
                await asyncio.open_unix_connection("/run/app.sock")
            except OSError as error:
                raise LookupError("no app") from error

        for body in (streams, endpoint, plain, cause):
            async def with_servers(self, body=body):
                await self.start_fake_server(None, path="/tmp/other.sock")
                await self.start_fake_server(None, path="\0abstract")
                await asyncio.sleep(1)
                await body(self)

            with self.subTest(body.__name__):
                text = self.told_of(with_servers)
                self.assertRegex(text, r"nobody listens at /run/app\.sock at t=1\.0; UNIX servers in this test: "
                                 r"@abstract \(tests/hangs/test_refused\.py:\d+ in .*with_servers\), "
                                 r"/tmp/other\.sock \(tests/hangs/test_refused\.py:\d+ in .*with_servers\)\n"
                                 r"  UNIX sockets are in memory, and no packet leaves the process: `await "
                                 r"self\.start_fake_server\(handler, path='/run/app\.sock'\)` puts a server there\n")
                self.assertEqual(text.count("nobody listens"), 1)

    def test_a_path_where_nobody_answers(self):
        """A socket that does not listen, one that was closed, an abstract name and a real file are told apart."""
        async def bound(self):
            face = socket.socket(socket.AF_UNIX)
            self.addCleanup(face.close)
            face.bind("/tmp/bound.sock")
            await asyncio.open_unix_connection("/tmp/bound.sock")

        async def closed(self):
            with socket.socket(socket.AF_UNIX) as face:
                face.bind("/tmp/bound.sock")
                face.listen()
            await asyncio.open_unix_connection("/tmp/bound.sock")

        async def abstract(self):
            await asyncio.open_unix_connection("\0bound.sock")

        async def real(self):
            await asyncio.open_unix_connection(__file__)

        for body, words in ((bound, r"\n  a socket is bound there, made at tests/hangs/test_refused\.py:\d+ in .*bound"
                                    r", and does not listen\n"),
                            (closed, r"\n  the socket that was bound there is closed, and its file was left\n"),
                            (abstract, r"nobody listens at @bound\.sock at t=0\.0; UNIX servers in this test: none\n"
                                       r".*path='\\x00bound\.sock'\)"),
                            (real, r"\n  a real file is there: what was bound outside of the test, as a real server's "
                                   r"socket, cannot be reached from here\n")):
            with self.subTest(body.__name__):
                text = self.told_of(body)
                self.assertRegex(text, words)
                self.assertRegex(text, "ConnectionRefusedError")
                self.assertRegex(text, r"; UNIX servers in this test: none\n")

    def test_a_datagram_for_nobody(self):
        """A UNIX datagram to a path that nobody has bound says how one is bound; stream servers are none of those."""
        async def body(self):
            await self.start_fake_server(None, path="/tmp/other.sock")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard, \
                    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as face:
                heard.bind("/tmp/heard.sock")
                face.sendto(b"x", "/tmp/log.sock")

        self.assertRegex(self.told_of(body),
                         r"nobody listens at /tmp/log\.sock at t=0\.0; UNIX servers in this test: /tmp/heard\.sock \("
                         r"[^,]*\)\n.*`await loop\.create_datagram_endpoint\(protocol, local_addr='/tmp/log\.sock', "
                         r"family=socket\.AF_UNIX\)` puts a server there\n")

    def test_a_file_that_is_missing(self):
        """Another error of a missing file names its file; no path that was refused before is the reason."""
        async def body(self):
            with self.assertRaises(FileNotFoundError):
                await asyncio.open_unix_connection("/run/app.sock")
            open("/nowhere/at/all").close()

        self.assertNotIn("nobody listens", self.told_of(body))

    def test_paths_and_ports(self):
        """Where a path and a port were refused, the error says which of the two is meant."""
        async def port(self):
            with self.assertRaises(ConnectionRefusedError):
                await asyncio.open_unix_connection(__file__)
            await asyncio.open_connection("api.test", 80)

        async def path(self):
            with self.assertRaises(ConnectionRefusedError):
                await asyncio.open_connection("api.test", 80)
            await asyncio.open_unix_connection(__file__)

        for body, meant, other in ((port, "nobody listens on api.test:80", "nobody listens at"),
                                   (path, f"nobody listens at {__file__}", "nobody listens on")):
            with self.subTest(meant):
                text = self.told_of(body)
                self.assertIn(meant, text)
                self.assertNotIn(other, text)

    def test_in_a_cause(self):
        """The refusal may be the cause of what ends the test, or one of a group."""
        async def cause(self):
            try:
                await asyncio.open_connection("api.test", 80)
            except OSError as error:
                raise LookupError from error

        async def group(self):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.open_connection("api.test", 80))

        for body in (cause, group):
            with self.subTest(body.__name__):
                self.assertIn("nobody listens on api.test:80 (", self.told_of(body))

    def test_many_servers(self):
        """Of many servers five are named."""
        async def body(self):
            for port in range(1, 8):
                await self.start_fake_server(None, "api.test", port)
            await asyncio.open_connection("api.test", 80)

        self.assertRegex(self.told_of(body), r"in .*body\) and 2 more\n")

    def test_an_expected_refusal(self):
        """A program that expects a refusal stays quiet, and so does another failure."""
        async def body(self):
            with self.assertRaises(ConnectionRefusedError):
                await asyncio.open_connection("api.test", 80)
            self.fail("on purpose")

        self.assertNotIn("nobody listens", self.told_of(body))

    def test_a_server_in_the_real_world(self):
        """A port that a real server has is named as that."""
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)

        async def body(self):
            await asyncio.open_connection(*server.server_address)

        async def datagram(self):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as face:
                face.connect(bound.getsockname())
                face.send(b"x")
                face.recv(9)

        bound = self.enterContext(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        bound.bind(("127.0.0.1", 0))
        for each in (body, datagram):
            self.assertIn("servers in this test: none\n  in the real world this port is open: a server that was "
                          "started outside of the test, as in setUpClass, cannot be reached from here\n",
                          self.told_of(each))


class TakenTest(ToldCase):
    def test_two_servers_on_one_port(self):
        """Who binds an address that is taken reads who has it, by name and line, of TCP and UDP."""
        async def stream(self):
            await self.start_fake_server(None, "api.test", 80)
            await asyncio.start_server(print, "api.test", 80)

        async def six(self):
            await self.start_fake_server(None, "::1", 80)
            await asyncio.start_server(print, "::1", 80)

        async def closed_meanwhile(self):
            async with await asyncio.start_server(print, "127.0.0.1", 80):
                await asyncio.start_server(print, "127.0.0.1", 80)

        async def datagrams(self):
            await self.start_fake_datagram_server(None, "127.0.0.1", 80)
            loop = asyncio.get_running_loop()
            try:
                await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 80))
            except OSError as error:  # asyncio's own text has no address
                raise OSError(error.errno, "('127.0.0.1', 80)") from None

        for body, host in ((stream, "api.test"), (six, "localhost"), (closed_meanwhile, "localhost"),
                           (datagrams, "localhost")):
            line = body.__code__.co_firstlineno + 1
            with self.subTest(body.__name__):
                self.assertIn(f"\n{host}:80 (tests/hangs/test_refused.py:{line} in {body.__qualname__}) has this "
                              "address: close it first, or take another port; port 0 is a free one\n",
                              self.told_of(body))

    def test_who_cannot_be_named(self):
        """Nothing is said of an address that the error does not name, that nobody had, or that it names for another
        reason.
        """
        async def plain(self):
            await self.start_fake_server(None, "127.0.0.1", 80)
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 80))

        async def other(self):
            await self.start_fake_server(None, "127.0.0.1", 80)
            raise OSError(errno.EACCES, "('127.0.0.1', 80)")

        async def nobody(self):
            await self.start_fake_server(None, "127.0.0.1", 80)
            raise OSError(errno.EADDRINUSE, "('127.0.0.1', 81)")

        def nowhere(self):
            raise OSError(errno.EADDRINUSE, "('127.0.0.1', 80)")

        for body in (plain, other, nobody, nowhere):
            with self.subTest(body.__name__):
                self.assertNotIn("has this address", self.told_of(body))


if __name__ == "__main__":
    unittest.main()
