"""Mistakes about who listens where, and what a server says."""

import asyncio
import urllib.request

from solipsism_unittest import Script, SolipsistTestCase


async def answer(reader, writer):
    writer.write(b"answer to " + await reader.readline())
    writer.close()


async def ask(host="api.test", port=80):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"hello\n")
    line = await reader.readline()
    writer.close()
    return line


class NetworkTest(SolipsistTestCase):
    async def test_a_wrong_port(self):
        await self.start_fake_server(answer, "api.test", 8080)
        self.assertEqual(await ask(), b"answer to hello\n")

    async def test_a_wrong_host(self):
        await self.start_fake_server(answer, "api.tests", 80)
        self.assertEqual(await ask(), b"answer to hello\n")

    async def test_no_server(self):
        self.assertEqual(await ask(), b"answer to hello\n")

    async def test_two_servers_on_one_port(self):
        await self.start_fake_server(answer, "api.test", 80)
        await asyncio.start_server(answer, "api.test", 80)

    async def test_a_server_that_nobody_awaited(self):
        self.start_fake_server(answer, "api.test", 80)
        self.assertEqual(await ask(), b"answer to hello\n")

    async def test_a_handler_that_does_not_close(self):
        async def handler(reader, writer):
            writer.write(b"answer")
        await self.start_fake_server(handler, "api.test", 80)
        reader, writer = await asyncio.open_connection("api.test", 80)
        self.assertEqual(await reader.read(), b"answer")
        writer.close()

    async def test_a_handler_without_a_newline(self):
        async def handler(reader, writer):
            writer.write(b"answer")
            await reader.read()
            writer.close()
        await self.start_fake_server(handler, "api.test", 80)
        await ask()

    async def test_a_handler_that_fails(self):
        async def handler(reader, writer):
            line = await reader.readline()
            writer.write("answer to " + line)
            writer.close()
        await self.start_fake_server(handler, "api.test", 80)
        self.assertEqual(await ask(), b"answer to hello\n")

    async def test_a_script_that_expects_something_else(self):
        script = Script().expect(b"HELO\n").send(b"250 ok\n")
        await self.start_fake_server(host="api.test", port=80, script=script)
        self.assertEqual(await ask(), b"250 ok\n")

    async def test_a_certificate_that_nobody_trusts(self):
        await self.start_fake_server(answer, "api.test", 443, tls=True)
        await asyncio.open_connection("api.test", 443, ssl=True)

    async def test_a_real_site(self):
        page = await asyncio.to_thread(urllib.request.urlopen, "http://www.python.org/")
        self.assertEqual(page.status, 200)
