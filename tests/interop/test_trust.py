"""Libraries that choose whom they trust: after `self.trust()` they take certificates of tests, each in its own way.

Their twin, which needs none of them, is tests/case/fixtures/test_tls.py.
"""

import asyncio
import ssl
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.interop import library, needs

if library("aiohttp"):
    import aiohttp
if library("httpx"):
    import httpx
if library("requests"):
    import requests


async def serve(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    writer.close()


@needs("aiohttp")
class AiohttpTest(SolipsistTestCase):
    async def test_the_context_made_at_import(self):
        """aiohttp makes its context when it is imported: before trust() it refuses, after it is served."""
        await self.start_fake_server(serve, "api.test", 443, tls=True)
        connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
        async with aiohttp.ClientSession(connector=connector) as session:
            with self.assertRaises(aiohttp.ClientConnectorCertificateError):
                await session.get("https://api.test/")
            self.trust()
            async with session.get("https://api.test/") as response:
                self.assertEqual(await response.text(), "ok")


@needs("httpx")
class HttpxTest(SolipsistTestCase):
    async def test_the_environment_and_certifi(self):
        """httpx reads SSL_CERT_FILE, or certifi where it is not to; a client that verifies nothing stays so."""
        await self.start_fake_server(serve, "api.test", 443, tls=True)
        await self.start_fake_server(serve, "old.test", 443, tls="expired")
        self.trust()
        for trust_env in (True, False):
            async with httpx.AsyncClient(trust_env=trust_env) as client:
                self.assertEqual((await client.get("https://api.test/")).text, "ok")
                with self.assertRaisesRegex(httpx.ConnectError, "certificate has expired"):
                    await client.get("https://old.test/")
        async with httpx.AsyncClient(verify=False) as client:
            self.assertEqual((await client.get("https://old.test/")).text, "ok")

    async def test_own_authorities(self):
        """A client with authorities of its own gets no others, unless it is asked for."""
        await self.start_fake_server(serve, "api.test", 443, tls=True)
        self.trust()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        async with httpx.AsyncClient(verify=context) as client:
            with self.assertRaisesRegex(httpx.ConnectError, "unable to get local issuer certificate"):
                await client.get("https://api.test/")
            self.trust(context)
            self.assertEqual((await client.get("https://api.test/")).text, "ok")


@needs("requests")
class RequestsTest(SolipsistTestCase):
    async def test_in_a_thread(self):
        """requests reads REQUESTS_CA_BUNDLE, or certifi where it is not to read the environment."""
        await self.start_fake_server(serve, "api.test", 443, tls=True)
        await self.start_fake_server(serve, "old.test", 443, tls="expired")
        self.trust()

        def fetch(host, trust_env):
            with requests.Session() as session:
                session.trust_env = trust_env
                return session.get(f"https://{host}/").text

        for trust_env in (True, False):
            self.assertEqual(await asyncio.to_thread(fetch, "api.test", trust_env), "ok")
            with self.assertRaisesRegex(requests.exceptions.SSLError, "certificate has expired"):
                await asyncio.to_thread(fetch, "old.test", trust_env)


if __name__ == "__main__":
    unittest.main()
