"""os.sendfile into virtual descriptors, beside what it does on real ones."""

import os
import socket
import tempfile
from typing import Any

from solipsism_unittest import SolipsismError, SolipsistTestCase
from tests.contracts.arms import Arm, Contract, outcome, scenario

SIZE = 10_000_000


class SendfileTest(Contract):
    def file(self, arm: Arm, size: int = 10) -> Any:
        """A file of that many bytes, at its start."""
        file = self.enterContext(tempfile.TemporaryFile())
        file.write(b"0123456789" * (size // 10))
        file.seek(0)
        return file

    @scenario
    async def test_what_goes(self, arm: Arm) -> Any:
        """Bytes go from the offset on, as many as there are; the position moves where no offset is given."""
        own, peer = await arm.connection()
        file = self.file(arm)
        for offset, count in ((0, 4), (8, 5), (10, 1), (0, 0), (None, 3), (None, 3)):
            arm.see(os.sendfile(own.fileno(), file.fileno(), offset, count), file.tell())
        await arm.readable(peer)
        arm.see(peer.recv(100))
        return [(4, 0), (2, 0), (0, 0), (0, 0), (3, 3), (3, 6), b"012389012345"]

    @scenario
    async def test_by_keyword(self, arm: Arm) -> Any:
        """The arguments have names."""
        own, _ = await arm.connection()
        file = self.file(arm)
        arm.see(os.sendfile(out_fd=own.fileno(), in_fd=file.fileno(), offset=0, count=3))
        return [3]

    @scenario
    async def test_a_full_buffer(self, arm: Arm) -> Any:
        """What has no room stays behind, and then nothing goes: EAGAIN."""
        own, _ = await arm.connection()
        file = self.file(arm, SIZE)
        arm.see(0 < os.sendfile(own.fileno(), file.fileno(), 0, SIZE) < SIZE)
        await arm.fill(own)
        arm.see(outcome(os.sendfile, own.fileno(), file.fileno(), 0, SIZE))
        return [True, "EAGAIN"]

    @scenario
    async def test_what_cannot_be(self, arm: Arm) -> Any:
        """A negative offset is EINVAL, a socket cannot be sent from, and what is closed is EBADF."""
        own, peer = await arm.connection()
        file = self.file(arm)
        out, source = own.fileno(), file.fileno()
        arm.see(outcome(os.sendfile, out, source, -1, 1))
        for offset in (None, 0):
            arm.see(outcome(os.sendfile, out, peer.fileno(), offset, 1))
        own.close()
        arm.see(outcome(os.sendfile, out, source, 0, 1))
        return ["EINVAL", "EINVAL", "ESPIPE", "EBADF"]

    @scenario
    async def test_negative_counts(self, arm: Arm) -> Any:
        """A negative count is EINVAL to the system, or ValueError to a Python that looks at it first."""
        own, _ = await arm.connection()
        out, source = own.fileno(), self.file(arm).fileno()
        for offset, count in ((0, -1), (0, -2**31), (None, -1), (-1, -1), (5, -10)):
            arm.see(offset, count, outcome(os.sendfile, out, source, offset, count))

    @scenario
    async def test_where_nobody_reads(self, arm: Arm) -> Any:
        """Without a connection, and after the peer has gone, the pipe is broken."""
        file = self.file(arm)
        arm.see(outcome(os.sendfile, arm.socket().fileno(), file.fileno(), 0, 1))
        one, other = arm.pair()
        other.close()
        arm.see(outcome(os.sendfile, one.fileno(), file.fileno(), 0, 1))
        return ["EPIPE", "EPIPE"]

    @scenario
    async def test_into_a_pipe(self, arm: Arm) -> Any:
        """A pipe takes a file as a socket does."""
        reader, writer = os.pipe()
        arm.keep(os.fdopen(reader, "rb", 0))
        arm.keep(os.fdopen(writer, "wb", 0))
        arm.see(os.sendfile(writer, self.file(arm).fileno(), 0, 10), os.read(reader, 20))
        return [(10, b"0123456789")]


class BlockingTest(SolipsistTestCase):
    async def test_a_blocking_descriptor(self):
        """A blocking socket that has no room would stop the loop: that is refused, with how far it came."""
        own, peer = socket.socketpair()
        self.addCleanup(peer.close)
        self.addCleanup(own.close)
        own.setblocking(True)
        with tempfile.TemporaryFile() as file:
            file.write(bytes(SIZE))
            with self.assertRaisesRegex(SolipsismError, r"os\.sendfile\(\) on .* \([1-9]\d* of 10000000 bytes went\)"):
                os.sendfile(own.fileno(), file.fileno(), 0, SIZE)
