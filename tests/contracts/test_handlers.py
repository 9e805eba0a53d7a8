"""Signal handlers that raise while a program's loop waits: a real interpreter, and programs of a test."""

import asyncio
import pathlib
import signal
import subprocess
import sys

from solipsism_unittest import SolipsistTestCase
from tests.contracts import handlers

PROGRAM = pathlib.Path(handlers.__file__)


SECONDS = 0.02, 0.1, 0.5
"""Until a signal, in each play of the real arm: no machine stalls for so long that the last one comes too early."""
TRUTH = """\
main saw CancelledError()
finally
run raised StopError(14) None
main saw CancelledError()
finally
run raised SystemExit(5) None
main saw CancelledError()
finally
run raised KeyboardInterrupt(14) None
main saw CancelledError()
finally
run raised StopError(14) None
main saw CancelledError()
finally
run raised StopError(14) None
job
run raised StopError(14) None
task saw StopError(14)
returned None
loop raised StopError(14) False False
loop raised StopError(14) False False
goes on True
main saw CancelledError()
finally
again
main saw CancelledError()
finally
main saw CancelledError()
finally
"""


class HandlersTest(SolipsistTestCase):
    def check(self, code, stdout):
        self.assertEqual((code, stdout.decode()), (-signal.SIGINT, TRUTH))

    def test_for_real(self):
        """This is what a real interpreter says."""
        with self.allow_escape("subprocess"):
            for seconds in SECONDS:
                done = subprocess.run([sys.executable, str(PROGRAM), str(seconds)], stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL)
                if done.stdout.decode() == TRUTH:
                    break
        self.check(done.returncode, done.stdout)

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
