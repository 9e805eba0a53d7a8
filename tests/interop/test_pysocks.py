"""PySocks: a class of sockets of its own, below socket.socket, which connects by way of a SOCKS proxy.

Its twin is `test_an_overridden_connect` of tests/contracts/test_blockers.py.
"""

import asyncio
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.interop import library, needs

if library("socks"):
    import socks


async def proxy(reader, writer):
    """Let everybody in, say that the target is connected, and play the target."""
    if await reader.readexactly(3) == b"\x05\x01\x00":
        writer.write(b"\x05\x00")
        *_, length = await reader.readexactly(5)
        name = await reader.readexactly(length + 2)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        writer.write(name[:-2] + b": " + await reader.readline())
    writer.close()


@needs("socks")
class PySocksTest(SolipsistTestCase):
    async def test_connections(self):
        """A blocking client in a thread gets its answer directly, and through a proxy, which looks up the name."""
        async def direct(reader, writer):
            writer.write(b"directly: " + await reader.readline())
            writer.close()

        def ask(*through):
            with socks.socksocket() as sock:
                if through:
                    sock.set_proxy(*through)
                sock.settimeout(5)
                sock.connect(("api.test", 80))
                sock.sendall(b"hello\n")
                return sock.recv(100)

        await self.start_fake_server(direct, "api.test", 80)
        await self.start_fake_server(proxy, "proxy.test", 1080)
        self.assertEqual(await asyncio.to_thread(ask), b"directly: hello\n")
        self.assertEqual(await asyncio.to_thread(ask, socks.SOCKS5, "proxy.test", 1080), b"api.test: hello\n")


if __name__ == "__main__":
    unittest.main()
