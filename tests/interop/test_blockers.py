"""Tools that block: pytest-socket lets no socket or only some be made, blockbuster finds calls that wait.

What they put in the place of `socket.socket` and its methods acts on virtual sockets, and not on fake servers. Their
twin is tests/contracts/test_blockers.py.
"""

import asyncio
import socket
import time
import unittest
import warnings

from solipsism_unittest import SolipsistTestCase
from tests.interop import library, needs

if library("pytest_socket"):
    import pytest_socket
if library("blockbuster"):
    from blockbuster import BlockingError, blockbuster_ctx


@needs("pytest_socket")
class PytestSocketTest(SolipsistTestCase):
    def setUp(self):
        self.enterContext(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # it warns of each call that it blocks
        self.addCleanup(pytest_socket._remove_restrictions)

    async def connect(self, host="127.0.0.1"):
        _, writer = await asyncio.open_connection(host, 80)
        writer.close()
        await writer.wait_closed()

    async def test_disabled(self):
        """No socket can be made, a fake server starts all the same, and later everybody may connect."""
        pytest_socket.disable_socket()
        await self.start_fake_server(port=80)
        with self.assertRaises(pytest_socket.SocketBlockedError):
            socket.socket()
        with self.assertRaises(pytest_socket.SocketBlockedError):
            await self.connect()
        pytest_socket.enable_socket()
        await self.connect()

    async def test_unix_sockets(self):
        """Where UNIX sockets are allowed they are virtual and work."""
        pytest_socket.disable_socket(allow_unix_socket=True)
        await self.start_fake_server(path="\0pytest-socket")
        _, writer = await asyncio.open_unix_connection("\0pytest-socket")
        writer.close()
        with self.assertRaises(pytest_socket.SocketBlockedError):
            socket.socket()

    async def test_allowed_hosts(self):
        """Who may be connected to is connected to, by C's connect() that the tool kept before."""
        for host in ("127.0.0.1", "192.0.2.7"):
            await self.start_fake_server(host=host, port=80)
        pytest_socket.socket_allow_hosts(["127.0.0.1"])
        await self.connect()
        with self.assertRaises(pytest_socket.SocketConnectBlockedError):
            await self.connect("192.0.2.7")
        pytest_socket._remove_restrictions()
        await self.connect("192.0.2.7")


@needs("blockbuster")
class BlockbusterTest(SolipsistTestCase):
    async def test_it(self):
        """It finds a call that waits in the loop's thread, and lets those of asyncio pass."""
        server = await self.start_fake_server(port=80)
        with blockbuster_ctx():
            _, writer = await asyncio.open_connection("127.0.0.1", 80)
            writer.write(b"hello")
            connection = await server.accept()
            self.assertEqual(await connection.reader.read(5), b"hello")
            writer.close()
            one, two = socket.socketpair()
            with one, two, self.assertRaises(BlockingError):
                one.recv(5)
            with self.assertRaises(BlockingError):
                time.sleep(1)

    async def test_waiting_for_threads(self):
        """A loop that waits for jobs and other threads does not block, though it has no `select()` to wait in."""
        with blockbuster_ctx():
            with self.assertElapses(5):
                await asyncio.wait_for(asyncio.to_thread(time.sleep, 5), 10)
            await asyncio.gather(*(asyncio.to_thread(sum, range(100_000)) for _ in range(3)))
            with self.hold_clock():
                await asyncio.to_thread(sum, range(1000))


if __name__ == "__main__":
    unittest.main()
