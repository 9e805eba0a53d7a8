"""What runs for a server is on the host that it has bound; see test_gone.py for what a crash makes of it."""

import asyncio

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.loop.gone import serving


class ServingTest(SolipsistTestCase):
    async def test_hosts_and_paths(self):
        """A handler's context says the host; servers on a path, and whoever started the server, have none."""
        seen = []

        async def handle(reader, writer):
            host = serving.get()
            seen.append(host and host.name)
            writer.close()

        async with await asyncio.start_server(handle, "db.test", 80), \
                await asyncio.start_unix_server(handle, "\0name"):
            for connecting in (asyncio.open_connection("db.test", 80), asyncio.open_unix_connection("\0name")):
                reader, writer = await connecting
                await reader.read()
                writer.close()
        self.assertEqual(seen, ["db.test", None])
        self.assertIsNone(serving.get())
