"""Mistakes about which loop runs, and what outlives a test."""

import asyncio
import http.server
import threading
import urllib.request

from solipsism_unittest import SolipsistTestCase

LOCK = asyncio.Lock()


class Client:
    """One connection for the whole process, made by who needs it first."""

    connection = None

    async def ask(self):
        if self.connection is None:
            self.connection = await asyncio.open_connection("api.test", 80)
        reader, writer = self.connection
        writer.write(b"hello\n")
        return await reader.readline()


CLIENT = Client()


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
    writer.close()


async def hold():
    async with LOCK:
        await asyncio.sleep(1)


class LoopsTest(SolipsistTestCase):
    async def test_asyncio_run_in_a_coroutine(self):
        asyncio.run(asyncio.sleep(1))

    async def test_a_lock_of_the_module_1(self):
        await asyncio.gather(hold(), hold())

    async def test_a_lock_of_the_module_2(self):
        await asyncio.gather(hold(), hold())

    async def test_a_client_of_the_module_1(self):
        await self.start_fake_server(echo, "api.test", 80)
        self.assertEqual(await CLIENT.ask(), b"hello\n")

    async def test_a_client_of_the_module_2(self):
        await self.start_fake_server(echo, "api.test", 80)
        self.assertEqual(await CLIENT.ask(), b"hello\n")


class FixtureTest(SolipsistTestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        cls.url = f"http://127.0.0.1:{cls.server.server_port}/"
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    async def test_a_real_server_of_the_class(self):
        await asyncio.to_thread(urllib.request.urlopen, self.url)


class PlainTest(SolipsistTestCase):
    def test_a_plain_test_that_asks_for_the_loop(self):
        asyncio.get_running_loop()
