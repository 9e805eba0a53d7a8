"""The proxy: what passes, and what it does to that."""

import asyncio
import pathlib
import socket
import struct
import tempfile
import unittest

from solipsism_unittest import FakeServer, Proxy, Script, SolipsistTestCase
from tests.case.test_case import run, told


async def echo(reader, writer):
    """Send everything back, and end with the client."""
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


class ProxyTest(SolipsistTestCase):
    async def asyncSetUp(self):
        self.server = await self.start_fake_server(echo, "api.test", 80)
        self.proxy = await self.start_proxy("api.test", 80)

    async def ask(self, reader, writer, line=b"hello\n"):
        """Send a line and give the answer."""
        writer.write(line)
        return await reader.readline()

    async def test_what_it_is(self):
        """It is a fake server in front of another one, on any name and port."""
        self.assertIsInstance(self.proxy, FakeServer)
        self.assertEqual((self.proxy.target_host, self.proxy.target_port), ("api.test", 80))
        self.assertEqual(repr(self.proxy), f"<Proxy localhost:{self.proxy.port} to api.test:80, 0 connections>")
        other = await self.start_proxy("api.test", 80, "proxy.test", 3128)
        reader, writer = await asyncio.open_connection("proxy.test", 3128)
        self.assertEqual(await self.ask(reader, writer), b"hello\n")
        self.assertIn("1 connection>", repr(other))
        writer.close()

    async def test_it_passes_on(self):
        """What clients and the target say passes, each in its connection, and takes no time."""
        clients = [await self.proxy.create_client() for _ in range(3)]
        for number, client in enumerate(clients):
            line = b"line %d\n" % number
            self.assertEqual(await self.ask(*client, line), line)
        big = bytes(300_000) + b"\n"
        reader, writer = clients[0]
        writer.write(big)
        self.assertEqual(await reader.readexactly(len(big)), big)
        for _, writer in clients:
            writer.close()
        await self.settle()
        self.assertNow(0)
        self.assertEqual(len(self.server.connections), 3)
        self.assertEqual(self.proxy.received, self.server.received)

    async def test_half_close(self):
        """The end of what a client sends passes, and the answer still comes; the other way round too."""
        async def count(reader, writer):
            writer.write(b"%d bytes" % len(await reader.read()))
            writer.close()

        await self.start_fake_server(count, "count.test", 80)
        proxy = await self.start_proxy("count.test", 80)
        reader, writer = await proxy.create_client()
        writer.write(b"12345")
        writer.write_eof()
        self.assertEqual(await reader.read(), b"5 bytes")
        writer.close()

        server = await self.start_fake_server(host="silent.test", port=80)
        proxy = await self.start_proxy("silent.test", 80)
        reader, writer = await proxy.create_client()
        there, back = await server.accept()
        back.write_eof()
        self.assertEqual(await reader.read(), b"")
        writer.write(b"still there")
        self.assertEqual(await there.readexactly(11), b"still there")
        writer.close()

    async def test_refusals_and_resets(self):
        """A target that refuses is seen as such, and so is a reset, in both directions."""
        self.server.refuse()
        with self.assertRaises(ConnectionRefusedError):
            await self.proxy.create_client()
        self.server.accept_again()
        nobody = await self.start_proxy("nobody.test", 80)
        with self.assertRaises(ConnectionRefusedError):
            await nobody.create_client()
        self.proxy.refuse()
        with self.assertRaises(ConnectionRefusedError):
            await self.proxy.create_client()
        self.proxy.accept_again()
        reader, writer = await self.proxy.create_client()
        self.assertEqual(await self.ask(reader, writer), b"hello\n")
        self.server.reset_connections()
        with self.assertRaises(ConnectionResetError):
            await reader.read()
        writer.close()

        server = await self.start_fake_server(host="silent.test", port=80)
        proxy = await self.start_proxy("silent.test", 80)
        for turns in (0, 5):  # in the middle of connecting to the target, and later
            reader, writer = await proxy.create_client()
            there, back = await server.accept()
            for _ in range(turns):
                await asyncio.sleep(0)
            proxy.reset_connections()
            for end in (there, reader):
                with self.assertRaises(ConnectionResetError):
                    await end.read()
            back.close()
            writer.close()

    async def test_a_target_that_is_lost(self):
        """A connection to the target that times out is reset to the client, in both directions; so is a crash."""
        host = self.network.host("api.test")
        for lose, find, error in ((host.crash, host.restart, True),
                                  (lambda: self.network.partition("localhost", "api.test"), self.network.heal, False)):
            reader, writer = await self.proxy.create_client()
            await self.ask(reader, writer)
            lose()
            writer.write(b"lost\n")
            if error:
                self.loop.call_later(10, find)
            with self.assertRaises(ConnectionResetError):
                await reader.read()
            find()
            writer.close()
        self.assertEqual(self.proxy.errors, [])

    async def test_a_client_that_does_not_wait(self):
        """What is answered to a client that has gone is nobody's failure, at whatever time it goes."""
        self.network.link("localhost", "api.test", latency=1.0)
        for seconds in (0.5, 1.5, 2.5, 3.5, 4.5):
            _, writer = await self.proxy.create_client()
            writer.write(b"x" * 100_000)
            await asyncio.sleep(seconds)
            writer.transport.abort()
        await asyncio.sleep(10)
        self.assertEqual(self.proxy.errors, [])

    async def test_a_target_in_a_black_hole(self):
        """A target that answers nobody resets its client in the end."""
        self.network.drop("api.test")
        reader, writer = await self.proxy.create_client()
        with self.assertRaises(ConnectionResetError):
            await reader.read()
        self.assertGreater(self.now, 60)
        writer.close()

    async def test_a_target_of_two_addresses(self):
        """The proxy goes on to the address that answers, and a client is reset where none does any more."""
        self.network.add_host("two.test", "10.0.0.5", "10.0.0.6")
        server = await self.start_fake_server(host="10.0.0.6", port=80)
        proxy = await self.start_proxy("two.test", 80)
        reader, writer = await proxy.create_client()
        (await server.accept()).writer.write(b"hello")
        self.assertEqual(await reader.readexactly(5), b"hello")
        writer.close()
        reader, writer = await proxy.create_client()  # it is the proxy's already when the target stops listening
        server.close()
        with self.assertRaises(ConnectionResetError):
            await reader.read()
        writer.close()

    async def test_delays(self):
        """Each piece is held back on its way there and on its way back, in present connections too."""
        reader, writer = await self.proxy.create_client()
        self.assertEqual(await self.ask(reader, writer), b"hello\n")
        self.assertNow(0)
        self.proxy.set_delay(0.2, 0.3)
        with self.assertElapses(0.5):
            await self.ask(reader, writer)
        self.proxy.set_delay(0.2)
        with self.assertElapses(0.2):
            await self.ask(reader, writer)
        writer.close()

    async def test_pieces(self):
        """While a piece waits, what comes after it is put together."""
        reader, writer = await self.proxy.create_client()
        self.proxy.set_delay(0.2)
        for _ in range(3):
            writer.write(b"line\n")
            await self.settle()
        with self.assertElapses(0.4):
            self.assertEqual(await reader.readexactly(15), b"line\n" * 3)
        writer.close()

    async def test_a_change_lets_go(self):
        """A piece that waits goes on at once when the delays change."""
        reader, writer = await self.proxy.create_client()
        self.proxy.set_delay(100)
        self.loop.call_later(5, self.proxy.set_delay, 0)
        with self.assertElapses(5):
            await self.ask(reader, writer)
        writer.close()

    async def test_slowdown(self):
        """slowdown() holds in its block, and what was before comes back."""
        reader, writer = await self.proxy.create_client()
        self.proxy.set_delay(1)
        with self.assertElapses(5.5), self.proxy.slowdown(0.5, 5):
            await self.ask(reader, writer)
        with self.assertElapses(1):
            await self.ask(reader, writer)
        with self.assertRaises(LookupError), self.proxy.slowdown(9):
            raise LookupError
        with self.assertElapses(1):
            await self.ask(reader, writer)
        writer.close()

    async def test_processors(self):
        """What passes is rewritten by functions, async or not, in each direction."""
        async def slowly(data):
            await asyncio.sleep(2)
            return data.upper()

        reader, writer = await self.proxy.create_client()
        self.proxy.set_content_processors(lambda data: data.replace(b"l", b"r"), slowly)
        with self.assertElapses(2):
            self.assertEqual(await self.ask(reader, writer), b"HERRO\n")
        self.proxy.set_content_processors(None, None)
        self.assertEqual(await self.ask(reader, writer), b"hello\n")
        self.proxy.set_content_processors(lambda data: b"" if data == b"lost\n" else data, None)
        writer.write(b"lost\n")
        await self.settle()
        self.assertEqual(await self.ask(reader, writer), b"hello\n")
        writer.close()

    async def test_disconnect_all(self):
        """Every connection ends in order, and new ones are taken."""
        clients = [await self.proxy.create_client() for _ in range(2)]
        for client in clients:
            await self.ask(*client)
        done = self.proxy.disconnect_all()
        for reader, writer in clients:
            self.assertEqual(await reader.read(), b"")
            self.assertTrue(reader.at_eof())
            writer.close()
        await done
        self.proxy.disconnect_all()
        reader, writer = await self.proxy.create_client()
        self.assertEqual(await self.ask(reader, writer), b"hello\n")
        writer.close()

    async def test_disconnect_all_at_any_time(self):
        """A client that has just come is disconnected too, however far its connection is, and so is its target."""
        for turns in range(12):
            with self.subTest(turns=turns):
                reader, writer = await self.proxy.create_client()
                for _ in range(turns):
                    await asyncio.sleep(0)
                await self.proxy.disconnect_all()
                self.assertEqual(await self.assertCompletesAfter(reader.read(), 0), b"")
                writer.close()
        await self.settle()
        self.assertEqual([each for each in self.server.connections if not each.writer.is_closing()], [])

    async def test_what_is_no_target(self):
        """Said where the proxy is made, not where its first client comes."""
        for host, port, error in ((5, 80, TypeError), (None, 80, TypeError), ("api.test", "80", ValueError),
                                  ("api.test", 0, ValueError), ("api.test", -1, ValueError),
                                  ("api.test", 65536, ValueError), ("api.test", None, ValueError)):
            with self.subTest(host=host, port=port), self.assertRaisesRegex(error, "^target_"):
                await self.start_proxy(host, port)

    async def test_close(self):
        """After close() nobody is taken, and who was there has come to the end."""
        reader, writer = await self.proxy.create_client()
        self.proxy.close()
        self.assertEqual(await reader.read(), b"")
        with self.assertRaises(ConnectionRefusedError):
            await self.proxy.create_client()
        writer.close()

    async def test_without_a_buffer(self):
        """A proxy that does not buffer reads on only when a piece has gone out."""
        for buffered, received in ((True, True), (False, False)):
            server = await self.start_fake_server(host=f"{buffered}.test", port=80, capacity=1000)
            proxy = await self.start_proxy(f"{buffered}.test", 80, buffered=buffered)
            _, writer = await proxy.create_client()
            there, back = await server.accept()
            there._transport.pause_reading()
            writer.write(bytes(2_000_000))
            await self.settle()
            with self.subTest(buffered=buffered):
                self.assertEqual(len(proxy.received) == 2_000_000, received)
            writer.transport.abort()
            back.transport.abort()

    async def test_what_is_no_delay_or_processor(self):
        """What is no number of seconds, and what cannot be called, is refused."""
        for wrong in (-1, "1", None, float("inf"), float("nan")):
            with self.subTest(wrong), self.assertRaisesRegex(ValueError, "a delay is a number of seconds from 0 up"):
                self.proxy.set_delay(0, wrong)
        with self.assertRaisesRegex(TypeError, "a processor is a function"):
            self.proxy.set_content_processors(None, b"data")


class RecordingTest(SolipsistTestCase):
    async def asyncSetUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def written(self, name="chat.txt"):
        return (self.folder / name).read_text(encoding="utf-8")

    async def test_one_connection(self):
        """Each message is a line: as the client said it, and as it got the answer, with their times."""
        await self.start_fake_server(echo, "api.test", 80)
        proxy = await self.start_proxy("api.test", 80, record=self.folder / "chat.txt")
        proxy.set_delay(0, 0.25)
        proxy.set_content_processors(bytes.upper, lambda data: data + b"!" if data != b"B" else b"")
        await asyncio.sleep(100)
        reader, writer = await proxy.create_client()
        for data in (b"a\n", b"b"):
            writer.write(data)
            await asyncio.sleep(1)
        writer.write_eof()
        self.assertEqual(await reader.read(), b"A\n!")
        writer.close()
        await self.settle()
        self.assertEqual(self.written(), "> 0.0 b'a\\n'\n< 0.25 b'A\\n!'\n> 1.0 b'b'\n> 2.0 eof\n< 2.0 eof\n")

    async def test_several(self):
        """Each connection has a file of its own, in the order in which they began; a second test begins anew."""
        (self.folder / "chat.txt").write_text("old")
        await self.start_fake_server(echo, "api.test", 80)
        proxy = await self.start_proxy("api.test", 80, record=str(self.folder / "chat.txt"))
        for data in (b"1", b"2", b"3"):
            _, writer = await proxy.create_client()
            writer.write(data)
            await self.settle()
            writer.close()
            await self.settle()
        for name, data in (("chat.txt", "b'1'"), ("chat.2.txt", "b'2'"), ("chat.3.txt", "b'3'")):
            self.assertEqual(self.written(name), f"> 0.0 {data}\n< 0.0 {data}\n> 0.0 eof\n< 0.0 eof\n")

    async def test_reset(self):
        """A reset by the server is a line, one by the client is none."""
        server = await self.start_fake_server(host="api.test", port=80)
        proxy = await self.start_proxy("api.test", 80, record=self.folder / "chat.txt")
        reader, writer = await proxy.create_client()
        writer.write(b"x")
        await self.settle()
        server.reset_connections()
        with self.assertRaises(ConnectionResetError):
            await reader.read()
        writer.close()
        await self.settle()
        self.assertEqual(self.written(), "> 0.0 b'x'\n< 0.0 reset\n")
        _, writer = await proxy.create_client()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await self.settle()
        self.assertEqual(self.written("chat.2.txt"), "")

    async def test_played_again(self):
        """What was recorded can be played to a client in the place of the server."""
        async def count(reader, writer):
            while line := await reader.readline():
                await asyncio.sleep(0.5)
                writer.write(b"%d\n" % len(line))
            writer.close()

        async def client(host, port):
            reader, writer = await asyncio.open_connection(host, port)
            answers = []
            for line in (b"one\n", b"three\n"):
                writer.write(line)
                answers.append((await reader.readline(), self.now - start))
            writer.write_eof()
            answers.append(await reader.read())
            writer.close()
            return answers

        await self.start_fake_server(count, "api.test", 80)
        proxy = await self.start_proxy("api.test", 80, record=self.folder / "chat.txt")
        start = self.now
        seen = await client(*proxy.address)
        await self.settle()
        played = await self.start_fake_server(script=Script.recorded(self.folder / "chat.txt"))
        start = self.now
        self.assertEqual(await client(*played.address), seen)


class FailuresTest(unittest.TestCase):
    def check(self, processor):
        """A test in which a processor raises fails with its error; the client sees the end."""

        class Case(SolipsistTestCase):
            async def test(self):
                await self.start_fake_server(echo, "api.test", 80)
                proxy = await self.start_proxy("api.test", 80)
                proxy.set_content_processors(processor, None)
                reader, writer = await proxy.create_client()
                writer.write(b"hello\n")
                try:
                    self.assertEqual(await reader.read(), b"")
                finally:
                    writer.close()

        result = run(Case)
        self.assertIn("cannot rewrite", told(result))
        self.assertEqual(len(result.errors) + len(result.failures), 1)

    def test_a_processor_that_raises(self):
        """What a processor raises, async or not, fails the test."""
        def fail(data):
            raise LookupError("cannot rewrite")

        async def fail_later(data):
            await asyncio.sleep(1)
            fail(data)

        def fail_as_a_connection(data):
            raise ConnectionResetError("cannot rewrite")

        self.check(fail)
        self.check(fail_as_a_connection)
        self.check(fail_later)

    def test_a_processor_that_returns_no_bytes(self):
        """It is named."""
        class Test(SolipsistTestCase):
            async def test(self):
                await self.start_fake_server(echo, "api.test", 80)
                proxy = await self.start_proxy("api.test", 80)
                proxy.set_content_processors(self.processor, None)
                _, writer = await proxy.create_client()
                writer.write(b"hello\n")
                await self.settle()
                writer.close()

        def in_text(data):
            return data.decode()

        async def nothing(data):
            """Forgets to return."""

        for processor, words in ((in_text, "in_text returned 'hello\\n'"), (nothing, "nothing returned None")):
            with self.subTest(words):
                Test.processor = staticmethod(processor)
                text = told(run(Test))
                self.assertIn("TypeError: a processor of a proxy returns bytes, but ", text)
                self.assertIn(words, text)

    def test_a_path_that_cannot_be_written(self):
        """Nobody records into a folder that is not there: the test fails, and its client is not served."""
        class Test(SolipsistTestCase):
            async def test(self):
                await self.start_fake_server(echo, "api.test", 80)
                proxy = await self.start_proxy("api.test", 80, record="no/such/folder/chat.txt")
                reader, writer = await proxy.create_client()
                self.addCleanup(writer.close)
                await reader.read()

        self.assertIn("FileNotFoundError", told(run(Test)))

    def test_leaks(self):
        """A client that is left open is a leak; the proxy's own ends are none."""

        class Case(SolipsistTestCase):
            async def test(self):
                await self.start_fake_server(echo, "api.test", 80)
                self.proxy = await self.start_proxy("api.test", 80)
                self.client = await self.proxy.create_client()
                await self.settle()

        text = told(run(Case))
        self.assertIn("the test left 1 thing behind", text)
        self.assertRegex(text, r"made at tests/peers/test_proxy.py:\d+ in FailuresTest.test_leaks.<locals>.Case.test")

    def test_it_needs_the_virtual_world(self):
        """On another loop there is no proxy."""

        class Case(SolipsistTestCase):
            loop_factory = asyncio.SelectorEventLoop

            async def test(self):
                await self.start_proxy("api.test", 80)

        self.assertIn("start_proxy() needs the virtual world", told(run(Case)))
        self.assertTrue(Proxy.__doc__)


if __name__ == "__main__":
    unittest.main()
