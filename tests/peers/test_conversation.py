"""How scripts are played: what fits goes on; what does not fails the test with the step, both texts and the time."""

import asyncio
import contextlib
import pathlib
import re
import socket
import tempfile
import unittest

from solipsism_unittest import Script, SolipsistTestCase
from tests.case.test_case import run, told


class PlayedTest(SolipsistTestCase):
    async def connect(self, script, **where):
        self.server = await self.start_fake_server(script=script, **where)
        return await self.client()

    async def client(self):
        reader, writer = await asyncio.open_connection(*self.server.address)
        self.addCleanup(writer.close)
        return reader, writer

    async def test_every_step(self):
        """A whole exchange, at exact times."""
        reader, writer = await self.connect(
            Script().expect(b"PING\r\n").send(b"PONG\r\n").expect_regex(rb"SET (\w+)=\d+\r\n").wait(0.2)
            .send_slowly(b"slow!", chunk=2, every=0.5).expect_eof().send(b"bye").close())
        writer.write(b"PI")
        await asyncio.sleep(1)
        writer.write(b"NG\r\nSET a=")
        with self.assertElapses(0):
            await self.assertReceives(reader, b"PONG\r\n")
        writer.write(b"5")
        await asyncio.sleep(1)
        writer.write(b"6\r\n")
        for data, seconds in ((b"sl", 0.2), (b"ow", 0.5), (b"!", 0.5)):
            with self.assertElapses(seconds):
                await self.assertReceives(reader, data)
        writer.write_eof()
        self.assertEqual(await reader.read(), b"bye")

    async def test_a_pattern_takes_what_comes_at_one_instant(self):
        """Bytes that come in pieces at one instant are matched together, and what is behind the match stays."""
        reader, writer = await self.connect(Script().expect_regex(rb"\d+").expect(b".").send(b"got it"))
        for piece in (b"1", b"2", b"3."):
            writer.write(piece)
            await asyncio.sleep(0)
        await self.assertReceives(reader, b"got it")

    async def test_in_any_order(self):
        """Branches are played in the order in which they come, each whole."""
        for order in (b"ab", b"ba"):
            reader, writer = await self.connect(
                Script().any_order(Script().expect(b"a").send(b"A"), Script().expect(b"b").send(b"B")).send(b"."))
            writer.write(order)
            self.assertEqual(await reader.readexactly(3), order.upper() + b".")

    async def test_either(self):
        """One branch is played, and then what follows."""
        for data, answer in ((b"GET", b"value."), (b"DEL", b"gone.")):
            reader, writer = await self.connect(
                Script().either(Script().expect(b"GET").send(b"value"),
                                Script().expect(b"DEL").send(b"gone")).send(b"."))
            writer.write(data)
            self.assertEqual(await reader.readexactly(len(answer)), answer)

    async def test_loops(self):
        """A loop goes on so many times, or as long as what comes fits."""
        ping = Script().expect(b"PING").send(b"PONG")
        reader, writer = await self.connect(Script().repeat(ping, times=2).repeat(ping).expect(b"QUIT").send(b"BYE"))
        writer.write(b"PING" * 5 + b"QUIT")
        self.assertEqual(await reader.readexactly(23), b"PONG" * 5 + b"BYE")

    async def test_a_loop_at_the_end(self):
        """A loop without a number that comes last is played to its end at any time between two rounds."""
        for rounds in (0, 3):
            reader, writer = await self.connect(Script().repeat(Script().expect(b"PING").send(b"PONG")))
            writer.write(b"PING" * rounds)
            self.assertEqual(await reader.readexactly(4 * rounds), b"PONG" * rounds)

    async def test_reset(self):
        """reset() is ConnectionResetError at the peer."""
        reader, writer = await self.connect(Script().expect(b"x").reset())
        writer.write(b"x")
        with self.assertRaises(ConnectionResetError):
            await reader.read()

    async def test_half_close(self):
        """send_eof() ends one side only; the connection is closed when the peer ends its own."""
        reader, writer = await self.connect(Script().send(b"hello").send_eof().expect(b"x"))
        self.assertEqual(await reader.read(), b"hello")
        writer.write(b"x")
        writer.write_eof()
        await self.settle()
        self.assertTrue(self.server.connections[0].writer.is_closing())

    async def test_one_for_each_connection(self):
        """One script is played on every connection; a list gives each its own, in order of connecting."""
        reader, _ = await self.connect(Script().send(b"same"))
        again, _ = await self.client()
        self.assertEqual([await each.readexactly(4) for each in (reader, again)], [b"same", b"same"])
        reader, _ = await self.connect([Script().send(b"one"), Script().send(b"two")])
        other, _ = await self.client()
        self.assertEqual([await each.readexactly(3) for each in (reader, other)], [b"one", b"two"])

    async def test_unix_path(self):
        """A server on a UNIX path plays scripts too."""
        path = str(pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), "s"))
        await self.start_fake_server(path=path, script=Script().expect(b"x").send(b"y"))
        reader, writer = await asyncio.open_unix_connection(path)
        self.addCleanup(writer.close)
        writer.write(b"x")
        await self.assertReceives(reader, b"y")

    async def test_recorded(self):
        """A recorded exchange is played with its pauses."""
        path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), "exchange.txt")
        path.write_text("> 0.0 b'PING'\n< 0.25 b'PONG'\n> 3.0 eof\n< 3.5 eof\n", encoding="utf-8")
        reader, writer = await self.connect(Script.recorded(path))
        writer.write(b"PING")
        with self.assertElapses(0.25):
            await self.assertReceives(reader, b"PONG")
        writer.write_eof()
        with self.assertElapses(0.5):
            await self.assertEOF(reader)

    async def test_back_pressure(self):
        """A script waits until the peer has room for what it sends."""
        reader, _ = await self.connect(Script().send(bytes(1_000_000)), capacity=100)
        await self.settle()
        self.assertWritingPaused(self.server.connections[0])
        await reader.readexactly(1_000_000)

    async def test_bad_arguments(self):
        """A handler beside a script, no script at all, and an empty one are refused."""
        script = Script().expect(b"x")
        for error, words, given in (
            (TypeError, "has a handler or a script, not both", {"handler": print, "script": script}),
            (ValueError, "script= takes a Script, or a list with one at least", {"script": []}),
            (ValueError, "a script has one step at least", {"script": Script()}),
            (TypeError, "a script is a Script, not b'x'", {"script": [b"x"]}),
            (TypeError, "script= takes a Script, or a list of them, not 5", {"script": 5}),
        ):
            for start in (self.start_fake_server, self.start_fake_datagram_server):
                with self.subTest(words), self.assertRaisesRegex(error, re.escape(words)):
                    await start(**given)


class DatagramTest(SolipsistTestCase):
    async def test_exchange(self):
        """Datagrams are expected whole; each sender plays the script from its beginning, and gets its answers."""
        script = Script().expect(b"hello").send(b"world").expect_regex(rb"\d+").wait(1).send(b"late")
        server = await self.start_fake_datagram_server(script=script)
        socks = [self.enterContext(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
        for sock in socks:
            sock.setblocking(False)
            await self.loop.sock_sendto(sock, b"hello", server.address)
        for sock in socks:
            self.assertEqual((await self.loop.sock_recvfrom(sock, 100))[0], b"world")
            await self.loop.sock_sendto(sock, b"42", server.address)
        with self.assertElapses(1):
            self.assertEqual([await self.loop.sock_recv(sock, 100) for sock in socks], [b"late", b"late"])

    async def test_what_datagrams_cannot_play(self):
        """Steps that need a stream are refused at the start, in branches and loops too."""
        for script in (Script().expect_eof(), Script().expect(b"x").close(), Script().expect(b"x").reset(),
                       Script().send_slowly(b"ab", every=1), Script().repeat(Script().expect(b"x").send_eof()),
                       Script().either(Script().expect(b"x"), Script().expect(b"y").close())):
            with self.assertRaisesRegex(ValueError, "^datagrams have no .*: a datagram is whole, and UDP has no conn"):
                await self.start_fake_datagram_server(script=script)


class MismatchTest(unittest.TestCase):
    """Whole tests that fail, and their texts."""

    def failure(self, script, *, send=(), datagrams=False, connections=1, end=False):
        """What unittest shows of a test whose client says these things, one a second."""

        class Test(SolipsistTestCase):
            async def test(self):
                if datagrams:
                    server = await self.start_fake_datagram_server(script=script)
                    for _ in range(connections):
                        sock = self.enterContext(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                        sock.setblocking(False)
                        for data in send:
                            await self.loop.sock_sendto(sock, data, server.address)
                            await asyncio.sleep(1)
                    return
                clients = []
                self.addCleanup(lambda: [client.close() for client in clients])  # after the end of the server
                server = await self.start_fake_server(script=script, port=7)
                for _ in range(connections):
                    _, writer = await asyncio.open_connection(*server.address)
                    clients.append(writer)
                    with contextlib.suppress(ConnectionError):
                        for data in send:
                            writer.write(data)
                            await asyncio.sleep(1)
                        if end:
                            writer.write_eof()
                            await self.settle()

        result = run(Test)
        self.assertEqual(len(result.failures), 1, result)
        return told(result)

    def test_another_byte(self):
        """The step, its line, the time, and both texts with the first byte that differs marked."""
        text = self.failure(Script().expect(b"PING\r\n").send(b"x").expect(b"QUIT\r\n"),
                            send=[b"PING\r\n", b"QUOT\r\n"])
        self.assertRegex(text, r"the script of connection 1 of localhost:7: at t=1\.0 in step 3 of 3: "
                               r"expect\(b'QUIT\\r\\n'\) at tests/peers/test_conversation\.py:\d+ in .*\n"
                               r"  expected b'QUIT\\r\\n'\n"
                               r"  received b'QUOT\\r\\n'\n"
                               r"               \^ byte 2")

    def test_far_into_a_message(self):
        """Of long texts what is around the first byte that differs is shown."""
        text = self.failure(Script().expect(bytes(1000) + b"the end" + bytes(99)), send=[bytes(1000) + b"the END"])
        self.assertIn(f"  expected ...{bytes(26)!r}"[:-1] + "the end", text)
        caret = next(line for line in text.splitlines() if line.rstrip().endswith("^ byte 1004"))
        received = next(line for line in text.splitlines() if line.startswith("  received"))
        self.assertEqual(received[caret.index("^")], "E")

    def test_the_stream_ends_before(self):
        """An end before the bytes is a mismatch; so is one byte before an end."""
        text = self.failure(Script().expect(b"PING"), send=[b"PI"], end=True)
        self.assertRegex(text, r"  the stream has ended\n  expected b'PING'\n  received b'PI'\n             +\^ byte 2")
        text = self.failure(Script().expect(b"PING"), end=True)
        self.assertRegex(text, r"at t=0\.0 in step 1 of 1: .*\n  the stream has ended\n  expected b'PING'\n"
                               r"  received b''")
        text = self.failure(Script().expect_eof(), send=[b"x"])
        self.assertIn("  expected expect_eof()\n  received b'x'", text)

    def test_pattern(self):
        """A pattern fails when the stream has ended and it does not match."""
        text = self.failure(Script().expect_regex(rb"\d+"), send=[b"none"], end=True)
        self.assertIn("  expected expect_regex(b'\\\\d+')\n  received b'none'", text)
        text = self.failure(Script().expect_regex(rb"\d+"), end=True)
        self.assertIn("  expected expect_regex(b'\\\\d+')\n  received nothing", text)

    def test_no_branch_fits(self):
        """Of branches all that were possible are shown."""
        branches = Script().expect(b"GET"), Script().expect(b"DEL").send(b"ok")
        text = self.failure(Script().either(*branches), send=[b"PUT" + bytes(100)])
        for words in ("in step 1 of 1: either(expect(b'GET'), expect(b'DEL')) at", "expected b'GET'",
                      "expected b'DEL'"):
            self.assertIn(words, text)
        text = self.failure(Script().any_order(*branches), send=[b"GET", b"GET"])
        self.assertIn("expected b'DEL'\n  received b'GET'", text)

    def test_more_than_the_script(self):
        """What comes after the last step fails, unless the script has closed the connection."""
        text = self.failure(Script().expect(b"x"), send=[b"xyz"])
        self.assertIn("of localhost:7: at t=0.0 b'yz' came after the last step of the script", text)
        text = self.failure(Script().repeat(Script().expect(b"x")), send=[b"xyz"])
        self.assertIn("b'yz' came after the last step", text)

    def test_not_played_to_its_end(self):
        """A script that stands somewhere when the test ends says where, and what has come."""
        text = self.failure(Script().expect(b"PING").send(b"x"), send=[b"PI"])
        self.assertRegex(text, r"the script of connection 1 of localhost:7 was not played to its end: it stands in "
                               r"step 1 of 2: expect\(b'PING'\) at tests/.*, and b'PI' has come")
        text = self.failure(Script().expect(b"x").wait(5), send=[b"x"])
        self.assertRegex(text, r"it stands in step 2 of 2: wait\(5\) at tests/[^,\n]*\n")
        text = self.failure(Script().repeat(Script().expect(b"x").expect(b"y")), send=[b"x"])
        self.assertRegex(text, r"it stands in step 1 of 1: expect\(b'y'\) at tests/")
        text = self.failure(Script().repeat(Script().expect(b"x")).expect(b"y"), send=[b"x"])
        self.assertRegex(text, r"it stands in step 1 of 2: repeat\(expect\(b'x'\)\) at tests/")

    def test_never_begun(self):
        """A script that no connection has begun is reported: one that all play, and each of a list."""
        text = self.failure(Script().expect(b"x"), connections=0)
        self.assertRegex(text, r"the script of connection 1 of localhost:7 was never begun: it waits for "
                               r"expect\(b'x'\) at tests/")
        text = self.failure([Script().send(b"x"), Script().expect(b"y")])
        self.assertIn("the script of connection 2 of localhost:7 was never begun: it waits for expect(b'y')", text)

    def test_too_many(self):
        """One connection more than a list has scripts fails."""
        text = self.failure([Script().send(b"x")], connections=2)
        self.assertRegex(text, r"connection 2 came to localhost:7 from \('127\.0\.0\.1', \d+\), and there is 1 "
                               r"script\b")
        text = self.failure([Script().send(b"x")] * 2, connections=3)
        self.assertIn("and there are 2 scripts", text)

    def test_the_connection_breaks(self):
        """A reset in the middle of the script is told with the step, whatever the step was about to do."""
        def case(script):
            class Test(SolipsistTestCase):
                async def test(self):
                    server = await self.start_fake_server(script=script, port=7)
                    client = socket.create_connection(server.address)
                    await self.settle()
                    self.network.link("localhost", "localhost", latency=1.0)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    client.close()
                    await asyncio.sleep(2)

            return Test

        for script, words in ((Script().expect(b"never"), r"expect\(b'never'\)"),
                              (Script().send(b"x" * 200_000), r"send\(b'x+'\.\.\.200000 bytes\)"),
                              (Script().send(b"x").expect_eof(), r"expect_eof\(\)")):
            text = told(run(case(script)))
            self.assertRegex(text, r"AssertionError: the script of connection 1 of localhost:7: at t=1\.0 in step \d "
                                   rf"of \d: {words} at tests/.*: the connection broke, \[Errno 104\] Connection reset")

    def test_datagrams(self):
        """The same for datagrams: another one, one too many, none, and one sender too many."""
        text = self.failure(Script().expect(b"hello"), send=[b"hullo"], datagrams=True)
        self.assertRegex(text, r"the script of sender 1 of localhost:\d+: at t=0\.0 in step 1 of 1: expect\(b'hello'\) "
                               r"at tests/.*\n  expected b'hello'\n  received b'hullo'\n +\^ byte 1")
        text = self.failure(Script().expect_regex(rb"\d"), send=[b"12"], datagrams=True)
        self.assertIn("expected expect_regex(b'\\\\d')\n  received b'12'", text)
        text = self.failure(Script().expect(b"x"), send=[b"x", b"y"], datagrams=True)
        self.assertIn("at t=1.0 b'y' came after the last step of the script", text)
        text = self.failure(Script().expect(b"x").expect(b"y"), send=[b"x"], datagrams=True)
        self.assertIn("of sender 1 of localhost:60001 was not played to its end: it stands in step 2 of 2", text)
        text = self.failure(Script().expect(b"x"), datagrams=True)
        self.assertIn("the script of sender 1 of localhost:60001 was never begun", text)
        text = self.failure([Script().expect(b"x")], send=[b"x"], connections=2, datagrams=True)
        self.assertRegex(text, r"sender 2 came to localhost:60001 from \('127\.0\.0\.1', \d+\), and there is 1 "
                               r"script\b")

    def test_a_failing_test_stays_itself(self):
        """A test that fails by itself keeps its failure; the script's state is a note."""

        class Test(SolipsistTestCase):
            async def test(self):
                await self.start_fake_server(script=Script().expect(b"x"))
                self.fail("mine")

        result = run(Test)
        self.assertIn("AssertionError: mine", told(result))
        self.assertIn("was never begun", told(result))
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
