"""Other systems lack some of what Linux has; the package needs none of it."""

import unittest

from tests import run_python

# The names go from the C modules before the modules above them are imported, as on a system that never had them. What
# something that starts with Python has imported by now loses them too. A method of a C class cannot be deleted: a
# descriptor on the Python class hides it, so that hasattr() says no.
WITHOUT = """
import _signal, _socket, os, posix

GONE = [(_socket, "AF_UNIX"), (_socket, "SO_REUSEPORT"), (_signal, "setitimer"), (posix, "fork"), (os, "fork")]
for module, name in GONE:
    if hasattr(module, name):
        delattr(module, name)

import signal, socket

class Absent:
    def __get__(self, instance, owner):
        raise AttributeError("sendmsg")

socket.socket.sendmsg = Absent()
GONE += [(socket, "AF_UNIX"), (socket, "SO_REUSEPORT"), (signal, "setitimer"), (socket.socket, "sendmsg")]
for module, name in GONE:
    if name in vars(module) and name != "sendmsg":
        delattr(module, name)
    assert not hasattr(module, name), name
"""

ECHO = """
import asyncio
from solipsism_unittest import SolipsistEventLoop

async def echo(reader, writer):
    while line := await reader.readline():
        writer.writelines([b"echo ", line])
        await writer.drain()
    writer.close()

async def main():
    async with await asyncio.start_server(echo, "echo.test", 7):
        reader, writer = await asyncio.open_connection("echo.test", 7)
        writer.write(b"hello\\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line

with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
    print(runner.run(main()).decode(), end="")
"""


class PortabilityTest(unittest.TestCase):
    maxDiff = None

    def test_an_echo_without_what_other_systems_lack(self):
        """Without AF_UNIX, SO_REUSEPORT, setitimer, sendmsg and fork the package imports, and an echo comes back."""
        child = run_python("-W", "error", "-c", WITHOUT + ECHO)
        self.assertEqual((child.stdout, child.stderr), ("echo hello\n", ""))

    def test_the_same_echo_with_all_of_it(self):
        """The program above is a right one: it does the same where nothing is missing."""
        child = run_python("-W", "error", "-c", ECHO)
        self.assertEqual((child.stdout, child.stderr), ("echo hello\n", ""))
