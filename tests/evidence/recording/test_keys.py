"""The keys of TLS: whose file they go to, what is read of it, and that nothing stays behind."""

import asyncio
import os
import pathlib
import socket
import ssl
import tempfile
import unittest

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.evidence.recording.keys import Keys
from tests.evidence.inner import captured


class Secure(SolipsistTestCase):
    own = None

    async def test_streams(self):
        await self.start_fake_server(self.answer, "api.test", 443, tls=True)
        self.trust()
        _, writer = await asyncio.open_connection("api.test", 443, ssl=True)
        writer.close()
        await writer.wait_closed()
        raise AssertionError("on purpose")

    async def answer(self, reader, writer):
        await reader.read()
        writer.close()

    async def test_sockets(self):
        server, client = self.tls_contexts("api.test")
        Secure.contexts = server, client
        await self.start_fake_server(self.answer, "api.test", 443, ssl=server)

        def use():
            with socket.create_connection(("api.test", 443)) as plain, \
                    client.wrap_socket(plain, server_hostname="api.test") as secure:
                secure.unwrap()

        await asyncio.to_thread(use)
        raise AssertionError("on purpose")


def load_tests(loader, tests, pattern):
    """The other class is one of inner tests."""
    return loader.loadTestsFromTestCase(KeysTest)


class KeysTest(unittest.TestCase):
    def test_in_the_capture(self):
        """The keys of asyncio's connections and of blocking ones are in the capture; no context logs any more."""
        for name in ("test_streams", "test_sockets"):
            lines = captured(Secure, name).secrets.decode().splitlines()
            labels = {line.split()[0] for line in lines}
            self.assertLessEqual({"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"}, labels)
            self.assertEqual(len(set(lines)), len(lines))
        self.assertEqual([context.keylog_filename for context in Secure.contexts], [None, None])

    def test_a_programs_own_file(self):
        """It is left to the program, and read as well; our own is gone in the end."""
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "own.keys")
            context, other = (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for _ in range(2))
            context.keylog_filename = path
            keys = Keys()
            for each in (context, other, other):
                keys.note(each)
            path.write_text("# head\nCLIENT_RANDOM 1 2\nCLIENT_RANDOM 1 2\n", encoding="ascii")
            own = other.keylog_filename
            self.assertTrue(os.path.exists(own))
            self.assertEqual(keys.lines(), b"CLIENT_RANDOM 1 2\n")
            keys.end()
            self.assertEqual((os.fspath(context.keylog_filename), other.keylog_filename), (os.fspath(path), None))
            self.assertFalse(os.path.exists(own))
            context.keylog_filename = None
            path.unlink()
            self.assertEqual(keys.lines(), b"")

    def test_nothing(self):
        """Without a connection there is no file, and nothing to remove."""
        keys = Keys()
        keys.end()
        self.assertEqual(keys.lines(), b"")
