"""mypy --strict has nothing to say about typed tests of a user's."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from tests import ROOT
from tests.interop import needs

TYPED = '''
import asyncio
import subprocess
from solipsism_unittest import EscapeError, SolipsistEventLoop, SolipsistTestCase, over_seeds, strict, world

async def ask(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.close()
    return await reader.readline()

class TypedTest(SolipsistTestCase):
    real_time_limit = 20.0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def test_network(self) -> None:
        server = await self.start_fake_server(self.answer, "api.test", 80)
        self.network.link("*", "api.test", latency=0.5)
        host, port = server.address
        line: bytes = await self.assertCompletesAfter(ask(host, port), 2)
        self.assertEqual(line, b"")
        reader, writer = await asyncio.open_connection(*server.address, ssl=self.tls_contexts("api.test")[1])
        writer.close()

    async def test_time(self) -> None:
        with self.assertElapses(3600):
            await asyncio.sleep(3600)
        await self.advance(10)
        now: float = self.now
        self.assertNow(now)

    @over_seeds(5)
    async def test_seeds(self) -> None:
        with self.assertRaises(EscapeError):
            subprocess.check_output(["true"])

    @strict
    async def test_strict(self) -> None:
        await asyncio.create_task(asyncio.sleep(1))

def test_without_a_class() -> None:
    with world():
        SolipsistEventLoop().close()
'''


@needs("mypy")
class MypyTest(unittest.TestCase):
    def test_strict(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "test_typed.py").write_text(TYPED, encoding="utf-8")
            child = subprocess.run([sys.executable, "-m", "mypy", "--strict", "test_typed.py"], cwd=folder, text=True,
                                   capture_output=True, timeout=300, env={**os.environ, "MYPYPATH": str(ROOT)})
        self.assertEqual((child.returncode, child.stderr), (0, ""), child.stdout)
