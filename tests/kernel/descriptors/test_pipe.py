"""The kernel's pipes, by themselves."""

import unittest

from solipsism_unittest.kernel import READABLE, WRITABLE, Kernel
from solipsism_unittest.kernel.descriptors.file import ERROR, HANGUP
from solipsism_unittest.kernel.descriptors.pipe import PAGE

BOTH = READABLE | WRITABLE


class PipeTest(unittest.TestCase):
    def setUp(self):
        self.kernel = Kernel()
        self.reader, self.writer = self.kernel.pipe(None)

    def test_an_end_announces_what_changed(self):
        """Who waits hears of bytes, of room, and of the other end's close, and of nothing else."""
        self.kernel.watch(self.reader.number, READABLE)
        self.assertEqual(self.kernel.ready(), [])
        self.writer.send(memoryview(bytes(16 * PAGE)))
        self.assertEqual(self.kernel.ready(), [(self.reader, READABLE)])
        self.kernel.watch(self.reader.number, 0)
        self.kernel.watch(self.writer.number, WRITABLE)
        self.assertEqual(self.kernel.ready(), [])
        self.reader.recv(PAGE - 1)
        self.assertEqual(self.kernel.ready(), [])
        self.reader.recv(1)
        self.assertEqual(self.kernel.ready(), [(self.writer, WRITABLE)])
        self.kernel.watch(self.writer.number, READABLE)
        self.assertEqual(self.kernel.ready(), [])
        self.kernel.close(self.reader)
        self.assertEqual(self.kernel.ready(), [(self.writer, READABLE)])

    def test_room_by_size(self):
        """A pipe that grows has room again, and says so."""
        self.kernel.watch(self.writer.number, WRITABLE)
        self.writer.send(memoryview(bytes(100_000)))
        self.assertEqual(self.kernel.ready(), [])
        self.assertEqual(self.reader.resize(200_000), 262_144)
        self.assertEqual(self.kernel.ready(), [(self.writer, WRITABLE)])
        with self.assertRaises(PermissionError):
            self.reader.resize(2**20 + 1)

    def test_conditions(self):
        """A lone write end has an error, a lone read end a hang-up, as poll(2) says."""
        self.assertEqual((self.reader.conditions(), self.writer.conditions()), (0, WRITABLE))
        self.writer.send(memoryview(b"x"))
        self.kernel.close(self.writer)
        self.assertEqual((self.reader.conditions(), self.reader.poll()), (HANGUP | READABLE, BOTH))
        self.reader.recv(1)
        self.assertEqual((self.reader.conditions(), self.reader.poll()), (HANGUP, BOTH))
        reader, writer = self.kernel.pipe(None)
        self.kernel.close(reader)
        self.assertEqual((writer.conditions(), writer.poll()), (ERROR | WRITABLE, BOTH))
        reader, writer = self.kernel.pipe(None)
        writer.send(memoryview(bytes(100_000)))
        self.kernel.close(reader)
        self.assertEqual(writer.conditions(), ERROR | WRITABLE)

    def test_the_end(self):
        """Closing twice is closing once, and each end says what it is."""
        self.assertEqual(repr(self.writer), "<pipe write end open 0 of 65536 bytes to read>")
        self.writer.send(memoryview(b"four"))
        self.kernel.close(self.writer)
        self.writer.close()
        self.assertEqual(repr(self.reader), "<pipe read end hung up 4 of 65536 bytes to read>")
        self.assertEqual(repr(self.writer), "<pipe write end closed 4 of 65536 bytes to read>")
        self.assertEqual([record.kind for record in self.kernel.journal], ["write", "close"])
