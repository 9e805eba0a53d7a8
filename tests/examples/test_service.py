"""The example as a program: TLS, an end in good order on SIGTERM, and a child process."""

import asyncio
import signal
import ssl
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.examples.pubsub import Broker, Client, serve

HOST, PORT = "broker.test", 8883


class ServiceTest(SolipsistTestCase):
    async def start(self, archive=(), **options):
        """The service, when it listens."""
        service = asyncio.create_task(serve(Broker(HOST, PORT, close_timeout=30, **options), archive))
        await self.settle()
        return service

    async def test_tls(self):
        """A client that verifies the broker's name publishes and gets; one that asks for another name does not."""
        server_side, _ = self.tls_contexts(HOST)
        self.trust()
        service = await self.start(ssl=server_side)
        async with Client(HOST, PORT, name="a", ssl=True) as client:
            news = await client.subscribe("news")
            await client.publish("news", b"hidden")
            self.assertEqual((await anext(aiter(news))).payload, b"hidden")
        self.network.add_host("other.test", *{entry[4][0] for entry in await self.loop.getaddrinfo(HOST, PORT)})
        with self.assertRaisesRegex(ssl.SSLCertVerificationError, "certificate is not valid for 'other.test'"):
            await asyncio.open_connection("other.test", PORT, ssl=True)
        self.send_signal(signal.SIGTERM)
        self.assertEqual(await self.assertCompletesWithin(service, 0), 0)

    async def test_it_drains(self):
        """A broker that is told to stop waits up to 30 seconds for what has not been acknowledged."""
        service = await self.start()
        async with Client(HOST, PORT, name="slow") as slow, Client(HOST, PORT, name="fast") as fast:
            news = await slow.subscribe("news")
            await fast.publish("news", b"extra")
            self.send_signal(signal.SIGTERM)
            await asyncio.sleep(10)
            self.assertFalse(service.done())
            self.assertEqual((await anext(aiter(news))).payload, b"extra")
            await self.assertCompletesWithin(service, 30)
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, PORT)

    async def test_a_subscriber_that_never_answers(self):
        """After 30 seconds it stops all the same."""
        service = await self.start()
        async with Client(HOST, PORT, name="slow") as slow, Client(HOST, PORT, name="fast") as fast:
            await slow.subscribe("news")
            await fast.publish("news", b"extra")
            self.send_signal(signal.SIGINT)
            self.assertEqual(await self.assertCompletesAfter(service, 30), 0)

    async def test_the_archive(self):
        """The archive gets its lines, and its exit code is that of the service."""
        lines = []

        async def archive(process):
            lines.extend([line async for line in process.stdin])
            return 3

        self.add_program("archive", archive)
        service = await self.start(["archive", "--append"])
        self.send_signal(signal.SIGTERM)
        self.assertEqual(await self.assertCompletesWithin(service, 0), 3)
        self.assertEqual(lines, [b"serving on port 8883\n", b"stopping\n"])

    async def test_an_archive_that_does_not_end(self):
        """One that ignores the end of its input is terminated after 5 seconds, and killed after 5 more."""

        ignored = []

        async def stubborn(process):
            process.add_signal_handler(signal.SIGTERM, ignored.append, "not now")
            await asyncio.Event().wait()

        self.add_program("archive", stubborn)
        service = await self.start(["archive"])
        self.send_signal(signal.SIGTERM)
        self.assertEqual(await self.assertCompletesAfter(service, 10), -signal.SIGKILL)
        self.assertEqual(ignored, ["not now"])

    async def test_an_archive_that_is_gone(self):
        """One that has ended early does not keep the service from serving."""

        async def short(process):
            return 1

        self.add_program("archive", short)
        service = await self.start(["archive"])
        async with Client(HOST, PORT, name="a") as client:
            await client.publish("news", b"")
        self.send_signal(signal.SIGTERM)
        self.assertEqual(await self.assertCompletesWithin(service, 0), 1)


class ProgramTest(SolipsistTestCase):
    """The same from its main function on, as a program with signals and an exit code of its own."""

    def setUp(self):
        self.lines = []
        self.add_program("archive", self.archive)

    async def archive(self, process):
        self.lines.extend([line async for line in process.stdin])
        return 3

    async def main(self):
        """What `python -m pubsub` would run."""
        return await serve(Broker(HOST, PORT, close_timeout=30, ssl=self.tls_contexts(HOST)[0]), ["archive"])

    async def test_it_drains(self):
        """SIGTERM to the program: its TLS connections have up to 30 seconds, then its archive ends, and so does it."""
        self.trust()
        program = self.run_program(self.main, host=HOST)
        await self.settle()
        async with Client(HOST, PORT, name="slow", ssl=True) as slow, Client(HOST, PORT, name="fast", ssl=True) as fast:
            news = await slow.subscribe("news")
            await fast.publish("news", b"extra")
            program.send_signal(signal.SIGTERM)
            await asyncio.sleep(29)
            self.assertIsNone(program.returncode)
            self.assertEqual((await anext(aiter(news))).payload, b"extra")
            await self.assertCompletesWithin(program, 30)
        self.assertEqual((program.returncode, program.stderr, self.lines), (3, b"", [
            b"serving on port 8883\n", b"stopping\n"]))

    async def test_a_subscriber_that_never_answers(self):
        """After 30 seconds it ends all the same."""
        self.trust()
        program = self.run_program(self.main)
        await self.settle()
        async with Client(HOST, PORT, name="slow", ssl=True) as slow, Client(HOST, PORT, name="fast", ssl=True) as fast:
            await slow.subscribe("news")
            await fast.publish("news", b"extra")
            program.send_signal(signal.SIGTERM)
            self.assertEqual((await self.assertCompletesAfter(program, 30)).returncode, 3)

    async def test_killed(self):
        """SIGKILL leaves no time for anything: its archive and its clients find the end of their streams."""
        self.trust()
        program = self.run_program(self.main)
        await self.settle()
        reader, writer = await asyncio.open_connection(HOST, PORT, ssl=True)
        await self.settle()  # it has read all that the handshake has brought, or a reset would be the answer
        program.send_signal(signal.SIGKILL)
        self.assertEqual((await program).returncode, -9)
        self.assertEqual(await reader.read(), b"")
        writer.close()

    def test_from_main_on(self):
        """In a test that is no coroutine it runs on a loop of its own, until a signal comes."""

        async def main():
            asyncio.get_running_loop().call_later(3600, self.send_signal, signal.SIGTERM)
            return await self.main()

        result = self.run_program(main)
        self.assertEqual((result.returncode, result.stdout, result.stderr, self.now), (3, b"", b"", 3600))
        self.assertEqual(len(self.lines), 2)


if __name__ == "__main__":
    unittest.main()
