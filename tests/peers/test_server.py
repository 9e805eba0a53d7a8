"""`FakeServer`: the other side of the code under test."""

import asyncio
import contextlib
import errno
import socket
import unittest
from unittest import mock

from solipsism_unittest import FakeServer, SolipsistTestCase
from tests.case.test_case import run, told


async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


class ServerCase(SolipsistTestCase):
    async def connect(self, host, port, **arguments):
        """A client that is closed at the end."""
        reader, writer = await asyncio.open_connection(host, port, **arguments)
        self.addCleanup(writer.close)
        return reader, writer


class ServerTest(ServerCase):
    async def test_handler(self):
        """The handler serves each connection; the server keeps the connections and every byte of all in order."""
        server = await self.start_fake_server(echo, "api.test", 443)
        one, two = [await self.connect("api.test", 443) for _ in range(2)]
        for (reader, writer), data in ((one, b"first "), (two, b"second "), (one, b"third")):
            writer.write(data)
            self.assertEqual(await reader.readexactly(len(data)), data)
        self.assertEqual(server.received, b"first second third")
        self.assertEqual([connection.received for connection in server.connections], [b"first third", b"second "])
        self.assertIsInstance(server, FakeServer)

    async def test_names(self):
        """host and port are as given, address is both, and port 0 is the next free one."""
        named = await self.start_fake_server(host="api.test", port=443)
        free = await self.start_fake_server()
        self.assertEqual((named.host, named.port, named.address), ("api.test", 443, ("api.test", 443)))
        self.assertEqual(free.address, ("localhost", 60001))

    async def test_played_by_hand(self):
        """Without a handler the test accepts, in order of arrival, and plays the server itself."""
        server = await self.start_fake_server()
        accepting = asyncio.create_task(server.accept())
        await self.settle()
        self.assertFalse(accepting.done())
        client, writer = await self.connect(*server.address)
        connection = await accepting
        self.assertEqual(connection.address, writer.get_extra_info("sockname"))
        self.assertEqual(connection.get_extra_info("peername"), connection.address)
        own_reader, own_writer = connection
        writer.write(b"question\n")
        self.assertEqual(await own_reader.readline(), b"question\n")
        own_writer.write(b"answer")
        connection.close()
        self.assertEqual(await client.read(), b"answer")

    async def test_accept_beside_a_handler(self):
        """accept() gives the connections that a handler serves too, each once, oldest first."""
        server = await self.start_fake_server(echo)
        for _ in range(2):
            await self.connect(*server.address)
        self.assertEqual([await server.accept(), await server.accept()], server.connections)

    async def test_received_without_a_reader(self):
        """received holds what has arrived, also when nobody read it."""
        server = await self.start_fake_server()
        _, writer = await self.connect(*server.address)
        writer.write(b"unread")
        await self.settle()
        self.assertEqual(server.received, b"unread")

    async def test_close(self):
        """close() sends what was written, ends the connections and refuses new ones; closing twice is closing once."""
        server = await self.start_fake_server()
        reader, _ = await self.connect(*server.address)
        (await server.accept()).writer.write(b"last words")
        server.close()
        server.close()
        self.assertEqual(await reader.read(), b"last words")
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection(*server.address)

    async def test_port_is_free_after_close(self):
        """A port can be taken again as soon as its server is closed."""
        (await self.start_fake_server(port=80)).close()
        self.assertEqual((await self.start_fake_server(port=80)).port, 80)

    async def test_reset_connections(self):
        """reset_connections() resets all open ones, with unsent bytes too, and leaves the closed ones alone."""
        server = await self.start_fake_server(capacity=10)
        clients = [await self.connect(*server.address) for _ in range(3)]
        connections = [await server.accept() for _ in clients]
        connections[0].close()
        await self.settle()
        connections[1].writer.write(bytes(100))
        connections[1].close()
        server.reset_connections()
        server.reset_connections()
        self.assertEqual(await clients[0][0].read(), b"")
        for reader, _ in clients[1:]:
            with self.assertRaises(ConnectionResetError):
                while await reader.read():
                    pass

    def test_a_handler_that_does_not_bear_a_reset(self):
        """Its error fails the test, and says whose it is and what to do."""
        class Case(SolipsistTestCase):
            async def test(self):
                server = await self.start_fake_server(echo, "api.test", 80)
                _, writer = await asyncio.open_connection("api.test", 80)
                await self.settle()
                server.connections[0].reader.set_exception(ConnectionResetError(104, "reset"))
                await self.settle()
                writer.close()

        self.assertIn("ConnectionResetError: [Errno 104] reset\nthe handler of api.test:80 raised this, and what it "
                      "raises fails the test: one whose client may go away catches ConnectionError", told(run(Case)))

    def test_a_timeout_after_a_handler_that_forgot_to_close(self):
        """A TimeoutError says which handlers have returned and left their connection open."""
        class Case(SolipsistTestCase):
            async def test(self):
                await self.start_fake_server(self.answer, "api.test", 80)
                reader, writer = await asyncio.open_connection("api.test", 80)
                self.addCleanup(writer.close)
                await asyncio.wait_for(reader.read(), 5)

            async def answer(self, reader, writer):
                writer.write(b"all of it")

            async def test_another_failure(self):
                await self.start_fake_server(self.answer, "api.test", 80)
                reader, writer = await asyncio.open_connection("api.test", 80)
                self.addCleanup(writer.close)
                self.assertEqual(await reader.readexactly(3), b"none")

        self.assertEqual(told(run(Case)).count("\nhandler 1 of api.test:80 had returned and left the connection open, "
                                               "so that who reads on waits: end it with writer.close()"), 1)

    async def test_refuse_and_accept_again(self):
        """refuse() refuses new connections while the present ones go on, until accept_again()."""
        server = await self.start_fake_server(echo)
        reader, writer = await self.connect(*server.address)
        server.refuse()
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection(*server.address)
        writer.write(b"still")
        self.assertEqual(await reader.read(5), b"still")
        server.accept_again()
        await self.connect(*server.address)

    async def test_capacity(self):
        """capacity bounds what is under way in each direction, so a peer that does not read makes drain() wait."""
        server = await self.start_fake_server(capacity=(10, 20))
        _, writer = await self.connect(*server.address)
        connection = await server.accept()
        connection.writer.transport.set_write_buffer_limits(0)
        connection.reader._transport.pause_reading()
        sender = writer.get_extra_info("socket")._sock
        self.assertEqual(sender.send(bytes(100)), 20)
        self.assertBufferFull(writer)
        writer.transport.pause_reading()
        connection.writer.write(bytes(11))
        await self.assertBlocks(connection.writer.drain())
        self.assertBuffered(writer, 10)

    async def test_repr(self):
        """The reprs have names, states and sizes."""
        server = await self.start_fake_server(host="api.test", port=443)
        self.assertEqual(repr(server), "<FakeServer api.test:443, 0 connections, 0 bytes received>")
        _, writer = await self.connect(*server.address)
        writer.write(b"data")
        connection = await server.accept()
        await self.settle()
        self.assertEqual(repr(server), "<FakeServer api.test:443, 1 connection, 4 bytes received>")
        self.assertRegex(repr(connection), r"<FakeConnection from \('198\..*', \d+\) open, 4 bytes received>")
        connection.close()
        self.assertIn(" closing, ", repr(connection))


class HostTest(ServerCase):
    async def reach(self, server, *hosts):
        """A client reaches the server at each of these hosts."""
        for host in hosts:
            with self.subTest(host):
                await self.connect(host, server.port)
                await server.accept()

    async def miss(self, server, *hosts):
        """Nobody answers at these hosts on the server's port."""
        for host in hosts:
            with self.subTest(host), self.assertRaises(OSError):
                await asyncio.open_connection(host, server.port)

    async def test_two_hosts_with_one_port(self):
        """The same port on two hosts is two servers."""
        for host in ("one.test", "two.test"):
            server = await self.start_fake_server(host=host, port=443)
            await self.reach(server, host)

    async def test_two_servers_on_one_host(self):
        """Two ports of one host are two servers."""
        one, two = [await self.start_fake_server(host="api.test", port=port) for port in (80, 443)]
        await self.reach(one, "api.test")
        self.assertEqual((len(one.connections), len(two.connections)), (1, 0))

    async def test_localhost(self):
        """A server on localhost, however spelled, answers on both loopback addresses and nowhere else."""
        for host in ("localhost", "LOCALHOST.", "db.localhost"):
            server = await self.start_fake_server(host=host)
            await self.reach(server, host, "localhost", "127.0.0.1", "::1")
            await self.miss(server, "127.0.0.2", "api.test")

    async def test_a_name_under_invalid(self):
        """A name that nobody can own is a host like others, for asyncio's servers and datagrams too."""
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "test.invalid", 1234)
        _, writer = await asyncio.open_connection("TEST.invalid", 1234)
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        await self.start_fake_server(host="a.b.invalid", port=80)
        peer = await self.start_fake_datagram_server(lambda data, address: data, "invalid", 53)
        self.assertEqual(peer.address, ("invalid", 53))
        self.network.fail_lookup("a.b.invalid")
        with self.assertRaises(socket.gaierror):
            await asyncio.open_connection("a.b.invalid", 80)

    async def test_a_name_that_ends_like_localhost(self):
        """`notlocalhost` is another host."""
        server = await self.start_fake_server(host="notlocalhost")
        await self.reach(server, "notlocalhost")
        await self.miss(server, "localhost")

    async def test_literal_addresses(self):
        """A server on a literal address, however written, answers there alone."""
        for host, other in (("127.0.0.5", "127.0.0.1"), ("10.1.2.3", "10.1.2.4"), ("2001:db8::5", "::1"),
                            ("::1", "127.0.0.1"), ("0:0:0:0:0:0:0:1", "127.0.0.1")):
            server = await self.start_fake_server(host=host)
            await self.reach(server, host)
            await self.miss(server, other)
        mapped = await self.start_fake_server(host="::ffff:127.0.0.1")
        await self.reach(mapped, "127.0.0.1")

    async def test_wildcards(self):
        """0.0.0.0 and :: stand for every address of this machine of their family, and for no other host."""
        server = await self.start_fake_server(host="0.0.0.0", port=80)
        await self.reach(server, "127.0.0.1", "localhost", "198.18.0.1")
        await self.miss(server, "::1", "api.test")
        six = await self.start_fake_server(host="::", port=80)
        await self.reach(six, "::1")

    async def test_port_in_use(self):
        """A used port is EADDRINUSE, with the name of who has it and where that was made; nothing is left."""
        await self.start_fake_server(host="api.test", port=443)
        with self.assertRaisesRegex(OSError, r"port 443 on api\.test is taken by <stream 198\..*:443 listening.* made "
                                             r"at \S*test_server\.py:\d+ in HostTest\.test_port_in_use") as caught:
            await self.start_fake_server(host="api.test", port=443)
        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)

    async def test_in_use_on_one_of_two_addresses(self):
        """A port that is taken on one address of the host only is in use too, and the other address is free again."""
        await self.start_fake_server(host="::1", port=80)
        with self.assertRaises(OSError):
            await self.start_fake_server(host="localhost", port=80)
        await self.start_fake_server(host="127.0.0.1", port=80)

    async def test_wrong_arguments(self):
        """A handler that cannot be called, a host that is no text, and impossible ports are refused at once."""
        for arguments, kind, text in (({"handler": 5}, TypeError, "handler is an async function .* or None, not 5"),
                                      ({"host": None}, TypeError, "host is a name or an address as text, not None"),
                                      ({"port": 70000}, OverflowError, "0-65535"),
                                      ({"port": -1}, OverflowError, "0-65535"),
                                      ({"port": "80"}, TypeError, "'str'"),
                                      ({"capacity": 0}, ValueError, "capacity is a number of bytes"),
                                      ({"ssl": True}, TypeError, "SSLContext")):
            with self.subTest(arguments), self.assertRaisesRegex(kind, text):
                await self.start_fake_server(**arguments)


class HandlerTest(unittest.TestCase):
    def told_of(self, *handlers, client=None):
        """What a test is told whose clients connect once to a server of each handler."""

        class Case(SolipsistTestCase):
            async def test(self):
                for handler in handlers:
                    server = await self.start_fake_server(handler)
                    reader, writer = await asyncio.open_connection(*server.address)
                    self.addCleanup(writer.close)
                    await self.settle()
                    if client is not None:
                        await client(self, reader, writer)

        self.result = run(Case)
        return told(self.result)

    def test_error(self):
        """What a handler raises is the error of the test, with the handler's own traceback."""

        async def handler(reader, writer):
            raise LookupError("in the handler")

        text = self.told_of(handler)
        self.assertEqual((len(self.result.errors), len(self.result.failures)), (1, 0))
        line = handler.__code__.co_firstlineno + 1
        self.assertRegex(text, rf'File ".*test_server\.py", line {line}, in handler\n')
        self.assertNotIn("servers.py\", line", text.replace("test_server.py", ""))
        self.assertTrue(text.rstrip().endswith("LookupError: in the handler"))

    def test_failed_assertion(self):
        """A handler's AssertionError is a failure of the test."""

        async def handler(reader, writer):
            raise AssertionError("in the handler")

        self.assertIn("in the handler", self.told_of(handler))
        self.assertEqual((len(self.result.errors), len(self.result.failures)), (0, 1))

    def test_several(self):
        """The first error of several handlers is the outcome, the others are notes with their tracebacks."""

        async def first(reader, writer):
            raise LookupError("first")

        async def second(reader, writer):
            raise KeyError("second")

        text = self.told_of(first, second)
        self.assertEqual(len(self.result.errors), 1)
        self.assertRegex(text, r"(?s)LookupError: first\nalso: Traceback.*, in second\n.*KeyError: 'second'")

    def test_beside_the_failure_of_the_test(self):
        """Where the test fails of what its server did, the handler's error stands first, as the cause."""

        async def handler(reader, writer):
            raise LookupError("why")

        async def client(case, reader, writer):
            await reader.readexactly(5)

        text = self.told_of(handler, client=client)
        self.assertEqual(len(self.result.errors), 1)
        self.assertRegex(text, r"(?s)LookupError: why\nraised by the handler of .*IncompleteReadError: ")

    def test_not_async(self):
        """A plain function as a handler is an error that names it and its server."""

        def handler(reader, writer):
            return 5

        self.assertRegex(self.told_of(handler),
                         r"TypeError: the handler of a fake server is an async function \(reader, writer\), but "
                         r".*handler returned 5: make it `async def` \(the server was made at "
                         r"tests.peers.test_server\.py:\d+")
        self.assertIn("MagicMock", self.told_of(mock.MagicMock()))

    def test_mocks_and_objects(self):
        """An AsyncMock is a handler, and so is an object with an async __call__."""

        class Handler:
            calls = 0

            async def __call__(self, reader, writer):
                self.calls += 1

        handler, double = Handler(), mock.AsyncMock()
        self.assertEqual(self.told_of(handler, double), "")
        self.assertEqual(handler.calls, 1)
        double.assert_awaited_once()

    def test_ended_with_the_test(self):
        """Handlers that still run at the end are cancelled; what they raise then fails nothing."""

        async def waits(reader, writer):
            await asyncio.Event().wait()

        async def stumbles(reader, writer):
            try:
                await reader.read()
            finally:
                raise LookupError("on being cancelled")

        self.assertEqual(self.told_of(waits, stumbles), "")

    def test_refuses_to_end(self):
        """A handler that ignores its cancellation is told as a pending task, with its server's line."""

        async def refuse(reader, writer):
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(1)

        text = self.told_of(refuse)
        self.assertRegex(text, r"(?s)1 pending task\n    handler 1 of localhost:60001 .*made at \S*test_server\.py"
                               r".*refused to be cancelled: handler 1 of localhost:60001")

    def test_hang(self):
        """In the diagnosis of a hang a handler has its server's name and line."""

        async def handler(reader, writer):
            await asyncio.Event().wait()

        async def client(case, reader, writer):
            await reader.read()

        self.assertRegex(self.told_of(handler, client=client),
                         r"(?s)SleepForeverError.*handler 1 of localhost:60001 .*made at \S*test_server\.py:\d+")


class TlsTest(ServerCase):
    async def test_assertions(self):
        """The assertions about an end see what a program does: the clear text, and the pauses of the TLS layer."""
        self.trust()
        server = await self.start_fake_server(host="api.test", port=443, tls=True, capacity=100)
        reader, writer = await asyncio.open_connection("api.test", 443, ssl=True)
        connection = await server.accept()
        writer.write(b"PING")
        await self.settle()
        self.assertBuffered(connection, b"PING")
        await self.assertReceives(connection, b"PING")
        self.assertWritingResumed(connection)
        connection.writer.write(bytes(1_000_000))
        self.assertWritingResumed(connection)  # the transport under TLS took it
        connection.writer.write(bytes(1_000_000))
        self.assertWritingPaused(connection)
        await reader.readexactly(2_000_000)
        await self.settle()
        self.assertWritingResumed(connection)
        await self.assertReceivesNothing(reader, 1)
        writer.close()
        await self.assertEOF(connection)

    async def test_echo(self):
        """With ssl= the server speaks TLS: a client that verifies its name is served, and received is in the clear."""
        server_side, client_side = self.tls_contexts("api.test")
        server = await self.start_fake_server(echo, "api.test", 443, ssl=server_side)
        reader, writer = await self.connect("api.test", 443, ssl=client_side)
        writer.write(b"secret")
        self.assertEqual(await reader.readexactly(6), b"secret")
        self.assertEqual(server.received, b"secret")

    async def test_reset(self):
        """reset_connections() resets a TLS connection too, one that is still in its handshake included."""
        self.trust()
        server = await self.start_fake_server(host="api.test", port=443, tls=True)
        reader, _ = await self.connect("api.test", 443, ssl=True)
        await server.accept()
        early, _ = await self.connect("api.test", 443)  # it never begins
        await self.settle()
        self.assertEqual(len(server.connections), 1)
        late, _ = await self.connect("api.test", 443, ssl=True)  # TLS 1.3: its own half is done first
        server.reset_connections()
        for each in (reader, early, late):
            with self.assertRaises(ConnectionResetError):
                await each.read()
        self.assertEqual(len(server.connections), 1)

    async def test_reset_of_what_is_closed(self):
        """A connection that was closed twice, over TLS too, is left as it is."""
        self.trust()
        for options in ({}, {"tls": True}):
            server = await self.start_fake_server(host="api.test", port=443 if options else 80, **options)
            reader, _ = await self.connect(*server.address, **({"ssl": True} if options else {}))
            connection = await server.accept()
            for _ in range(2):
                connection.close()
            server.reset_connections()
            self.assertEqual(await reader.read(), b"")

    def test_end_in_a_handshake(self):
        """A handshake that goes on when the test ends is ended with the server."""

        class Case(ServerCase):
            async def test(self):
                for arguments in ({"host": "api.test", "port": 443}, {"path": "/tmp/tls-handshake.sock"}):
                    await self.start_fake_server(tls=True, **arguments)
                self.expect_leak((await asyncio.open_connection("api.test", 443))[1])
                self.expect_leak((await asyncio.open_unix_connection("/tmp/tls-handshake.sock"))[1])

        self.assertEqual(told(run(Case)), "")

    async def test_start_tls(self):
        """A handler may begin TLS in mid-connection; received goes on in the clear."""
        server_side, client_side = self.tls_contexts("mail.test")

        async def serve(reader, writer):
            await reader.readline()
            writer.write(b"go ahead\n")
            await writer.start_tls(server_side)
            writer.write((await reader.readline()).upper())

        server = await self.start_fake_server(serve, "mail.test", 25)
        reader, writer = await self.connect("mail.test", 25)
        writer.write(b"STARTTLS\n")
        await reader.readline()
        await writer.start_tls(client_side, server_hostname="mail.test")
        writer.write(b"hello\n")
        self.assertEqual((await reader.readline(), server.received), (b"HELLO\n", b"STARTTLS\nhello\n"))


if __name__ == "__main__":
    unittest.main()
