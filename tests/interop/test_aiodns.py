"""aiodns and pycares on the virtual network: names are the virtual resolver's, though c-ares is C.

Their twin, which needs neither, is tests/stdlib/seal/modules/test_cares.py.
"""

import asyncio
import socket
import unittest
import warnings

from solipsism_unittest import SolipsistTestCase
from tests.interop import library, needs

if library("aiodns"):
    import aiodns
    import pycares


@needs("aiodns")
class AiodnsTest(SolipsistTestCase):
    async def asyncSetUp(self):
        self.network.add_host("api.test", "192.0.2.1", "2001:db8::1")
        self.resolver = aiodns.DNSResolver(nameservers=["192.0.2.53"])

    async def asyncTearDown(self):
        await self.resolver.close()

    async def test_addresses(self):
        """Both addresses of a host, with the port."""
        found = await self.resolver.getaddrinfo("api.test", port=80, type=socket.SOCK_STREAM)
        self.assertEqual([(node.family, *node.addr[:2]) for node in found.nodes],
                         [(socket.AF_INET, b"192.0.2.1", 80), (socket.AF_INET6, b"2001:db8::1", 80)])

    async def test_records(self):
        """Addresses, names, and no data of any other kind."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer versions would have another name
            self.assertEqual([each.host for each in await self.resolver.query("api.test", "A")], ["192.0.2.1"])
            self.assertEqual([each.host for each in await self.resolver.query("api.test", "AAAA")], ["2001:db8::1"])
            self.assertEqual((await self.resolver.query("1.2.0.192.in-addr.arpa", "PTR")).name, "api.test")
            self.assertEqual((await self.resolver.gethostbyname("api.test", socket.AF_INET)).addresses, ["192.0.2.1"])
            for kind in ("MX", "SRV", "TXT"):
                with self.assertRaises(aiodns.error.DNSError) as caught:
                    await self.resolver.query("api.test", kind)
                self.assertEqual(caught.exception.args[0], aiodns.error.ARES_ENODATA)

    async def test_a_name_that_fails(self):
        """A name that a test lets fail has the error of c-ares, after the seconds that it takes."""
        self.network.fail_lookup("no.test", socket.EAI_NONAME)
        self.network.delay_lookup("no.test", 3)
        with self.assertElapses(3), self.assertRaises(aiodns.error.DNSError) as caught:
            await self.resolver.getaddrinfo("no.test", family=socket.AF_INET)
        self.assertEqual(caught.exception.args[0], aiodns.error.ARES_ENOTFOUND)

    def test_as_for_real(self):
        """For an address, which c-ares answers without a server, the results are the same for real and in a test."""
        def ask(channel, *args, **kwargs):
            channel.getaddrinfo(*args, callback=lambda *given: seen.append(given), **kwargs)

        seen = []
        for options in ({}, {"type": 1}, {"proto": 17}, {"type": 1, "proto": 6}):
            del seen[:]
            ask(pycares.Channel(), "127.0.0.1", 80, **options)
            with self.allow_escape("network"):
                real = pycares.Channel()
                ask(real, "127.0.0.1", 80, **options)
            (ours, status), (theirs, real_status) = seen
            self.assertEqual((status, real_status), (None, None))
            for one, other in zip(ours.nodes, theirs.nodes, strict=True):
                self.assertEqual((one.family, one.socktype, one.protocol, one.addr),
                                 (other.family, other.socktype, other.protocol, other.addr))


@needs("aiodns", "aiohttp")
class AiohttpTest(SolipsistTestCase):
    async def test_default_resolver(self):
        """aiohttp, which looks names up through aiodns where it is installed, finds the hosts of the test."""
        import aiohttp

        async def handler(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            writer.close()

        await self.start_fake_server(handler, "api.test", 80)
        async with aiohttp.ClientSession() as session, session.get("http://api.test/") as response:
            self.assertEqual(await response.text(), "ok")
        await asyncio.sleep(0)


if __name__ == "__main__":
    unittest.main()
