"""Signal handlers that raise while a program's loop waits: a real interpreter, and programs of a test."""

import asyncio
import pathlib
import signal
import subprocess
import sys

from solipsism_unittest import SolipsistTestCase
from tests.contracts import handlers

PROGRAM = pathlib.Path(handlers.__file__)


class HandlersTest(SolipsistTestCase):
    real: tuple[int, list[str]]

    @classmethod
    def setUpClass(cls):
        done = subprocess.run([sys.executable, str(PROGRAM)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        cls.real = done.returncode, done.stdout.decode().splitlines()

    def check(self, code, stdout):
        self.assertEqual((code, stdout.decode().splitlines()), self.real)
        self.assertIn("run raised SystemExit(5) None", self.real[1])
        self.assertEqual(code, -signal.SIGINT)

    def test_alone(self):
        """In a program that runs alone a handler's error comes out of the call that runs the loop."""
        done = self.run_program(handlers.main)
        self.check(done.returncode, done.stdout)

    async def test_beside(self):
        """So it does in one that runs beside the test."""
        done = await self.run_program(handlers.main)
        self.check(done.returncode, done.stdout)

    async def test_as_a_child(self):
        """So it does in a child process."""
        self.add_program("program", handlers.main)
        process = await asyncio.create_subprocess_exec("program", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        stdout, _ = await process.communicate()
        self.check(process.returncode, stdout)
