"""Why a connection was refused is said where the refusal ends a test."""

import asyncio
import socket
import socketserver
import threading
import unittest

from tests.case.test_case import run, told
from tests.leaks import case_of

MEMORY = ("  the network is in memory, and no packet leaves the process: `await self.start_fake_server(handler, "
          "{!r}, {})` puts a server there")


class RefusedTest(unittest.TestCase):
    def told_of(self, body):
        result = run(case_of(body))
        self.assertEqual(len(result.errors) + len(result.failures), 1)
        return told(result)

    def test_the_wrong_port(self):
        """The host and the port that were asked for, and who listens where."""
        async def body(self):
            await self.start_fake_server(None, "api.test", 8080)
            await self.start_fake_server(None, "other.test", 80)
            await asyncio.sleep(1)
            await asyncio.open_connection("api.test", 80)

        self.assertRegex(self.told_of(body), r"nobody listens on api\.test:80 \(198\.18\.\d+\.\d+\) at t=1\.0; "
                         r"servers in this test: other\.test:80 \(tests/hangs/test_refused\.py:\d+ in .*body\), "
                         r"api\.test:8080 \(tests/hangs/test_refused\.py:\d+ in .*body\)\n"
                         r"  the network is in memory, and no packet leaves the process: `await "
                         r"self\.start_fake_server\(handler, 'api\.test', 80\)` puts a server there\n")

    def test_a_host_with_two_addresses(self):
        """A host whose two addresses both refuse is named once."""
        async def body(self):
            self.network.add_host("two.test", "10.0.0.1", "10.0.0.2")
            await asyncio.open_connection("two.test", 80)

        self.assertEqual(self.told_of(body).count("nobody listens on two.test:80"), 1)

    def test_no_server(self):
        """Where nobody listens at all that is said; a name of several addresses is named once."""
        async def body(self):
            await asyncio.open_connection("localhost", 4321)

        text = self.told_of(body)
        self.assertIn("nobody listens on localhost:4321 (127.0.0.1) at t=0.0; servers in this test: none\n"
                      + MEMORY.format("localhost", 4321), text)
        self.assertEqual(text.count("nobody listens"), 1)

    def test_a_plain_socket(self):
        """The error of a plain socket has no address: the latest refusal is meant."""
        async def body(self):
            for port in (1000, 2000):
                face = socket.socket()
                self.addCleanup(face.close)
                face.setblocking(False)
                code = face.connect_ex(("192.0.2.7", port))
                while code == 115:
                    code = face.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            raise OSError(code, "refused")

        self.assertIn("nobody listens on 192.0.2.7:2000 at t=0.0; servers in this test: none", self.told_of(body))

    def test_in_a_cause(self):
        """The refusal may be the cause of what ends the test, or one of a group."""
        async def cause(self):
            try:
                await asyncio.open_connection("api.test", 80)
            except OSError as error:
                raise LookupError from error

        async def group(self):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.open_connection("api.test", 80))

        for body in (cause, group):
            with self.subTest(body.__name__):
                self.assertIn("nobody listens on api.test:80 (", self.told_of(body))

    def test_many_servers(self):
        """Of many servers five are named."""
        async def body(self):
            for port in range(1, 8):
                await self.start_fake_server(None, "api.test", port)
            await asyncio.open_connection("api.test", 80)

        self.assertRegex(self.told_of(body), r"in .*body\) and 2 more\n")

    def test_an_expected_refusal(self):
        """A program that expects a refusal stays quiet, and so does another failure."""
        async def body(self):
            with self.assertRaises(ConnectionRefusedError):
                await asyncio.open_connection("api.test", 80)
            self.fail("on purpose")

        self.assertNotIn("nobody listens", self.told_of(body))

    def test_a_server_in_the_real_world(self):
        """A port that a real server has is named as that."""
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)

        async def body(self):
            await asyncio.open_connection(*server.server_address)

        self.assertIn("; servers in this test: none\n  in the real world this port is open: a server that was started "
                      "outside of the test, as in setUpClass, cannot be reached from here\n", self.told_of(body))


if __name__ == "__main__":
    unittest.main()
