"""The kernel's name space of UNIX sockets, over made-up directories."""

import errno
import socket
import stat
import unittest

from solipsism_unittest.kernel import Kernel
from solipsism_unittest.kernel.descriptors.file import os_error
from solipsism_unittest.kernel.network.unix import FIRST_INODE, REFUSALS_KEPT, Where


class Directories:
    """What the real system might say: one directory, with the files of `real` in it."""

    def __init__(self, real=()):
        self.real = real
        self.writable = self.connectable = True
        self.clock = 0

    def locate(self, path, follow):
        if b"/" in path:
            raise os_error(errno.ENOENT)
        return Where((1, 2, path), path in self.real)

    def may_create(self, path):
        if not self.writable:
            raise os_error(errno.EACCES)

    def may_write(self, node):
        return self.connectable

    def umask(self):
        return 0o027

    def user(self):
        return 10, 20

    def now(self):
        self.clock += 1
        return self.clock


class PathsTest(unittest.TestCase):
    def setUp(self):
        self.kernel = Kernel()
        self.paths = self.kernel.paths
        self.real = self.paths.real = Directories([b"file"])

    def end(self, name=None):
        end = self.kernel.stream(socket.AF_UNIX, None)
        if name is not None:
            self.paths.bind(end, name)
        return end

    def refusal(self, call, *arguments, **options):
        with self.assertRaises(OSError) as caught:
            call(*arguments, **options)
        return errno.errorcode[caught.exception.errno]


    def test_who_was_refused(self):
        """Of the refusals the last of each address is known, up to a number: when, who has it, and who listens."""
        idle, listener, datagrams = self.end(b"idle"), self.end(b"listener"), self.kernel.datagram(socket.AF_UNIX, None)
        self.paths.listen(listener, 1)
        self.paths.bind(datagrams, b"datagrams")
        for name in (b"idle", b"file", b"nobody", b"\0nobody", b"idle"):
            self.refusal(self.paths.connect, self.end(), name)
        self.assertEqual(list(self.paths.refused), [b"file", b"nobody", b"\0nobody", b"idle"])
        self.assertEqual({(each.time, each.kind, *each.listeners) for each in self.paths.refused.values()},
                         {(0.0, socket.SOCK_STREAM, ((b"listener",), None))})
        self.assertEqual([(errno.errorcode[one.code], one.exists, one.bound) for one in self.paths.refused.values()],
                         [("ECONNREFUSED", True, None), ("ENOENT", False, None), ("ECONNREFUSED", False, None),
                          ("ECONNREFUSED", False, idle)])
        for number in range(2 * REFUSALS_KEPT):
            self.refusal(self.paths.connect, self.end(), b"%d" % number)
        self.assertEqual(len(self.paths.refused), REFUSALS_KEPT)

    def node(self, name):
        return self.paths.node(Where((1, 2, name), False))

    def test_binding(self):
        """A name is taken once, in a directory that is there and may be written, where no real file is."""
        self.end(b"s")
        self.assertEqual(self.refusal(self.end, b"s"), "EADDRINUSE")
        self.assertEqual(self.refusal(self.end, b"file"), "EADDRINUSE")
        self.assertEqual(self.refusal(self.end, b"none/s"), "ENOENT")
        self.real.writable = False
        self.assertEqual(self.refusal(self.end, b"t"), "EACCES")

    def test_binding_anywhere(self):
        """Who plays another program may hide a real file, and no socket file."""
        self.real.writable = False
        self.paths.bind(self.end(), b"file", anywhere=True)
        self.assertEqual(self.refusal(self.paths.bind, self.end(), b"file", anywhere=True), "EADDRINUSE")

    def test_a_node(self):
        """A socket file has the mode, owner and times of its making, and a number of its own."""
        self.end(b"s")
        node = self.node(b"s")
        self.assertEqual(
            (node.mode, node.owner, node.group, node.number), (stat.S_IFSOCK | 0o750, 10, 20, FIRST_INODE + 1)
        )
        self.assertEqual((node.read_at, node.written_at, node.changed_at), (1, 1, 1))
        self.assertEqual([(name, found is node) for name, found in self.paths.names(1, 2)], [(b"s", True)])
        self.assertEqual(list(self.paths.names(1, 3)), [])

    def test_a_node_outlives_its_socket(self):
        """Closing leaves the file, which refuses; unlinking leaves the socket."""
        end = self.end(b"s")
        end.listen(5)
        self.assertEqual(repr(self.paths), "<Paths: 1 socket files, 1 of listeners>")
        self.kernel.close(end)
        self.assertEqual(self.refusal(self.paths.connect, self.end(), b"s"), "ECONNREFUSED")
        self.paths.unlink(Where((1, 2, b"s"), False))
        self.assertEqual(self.refusal(self.paths.connect, self.end(), b"s"), "ENOENT")
        self.assertFalse(self.paths)
        self.end(b"s")

    def test_moving(self):
        """A file that is renamed keeps its socket and its number."""
        self.end(b"s").listen(5)
        number = self.node(b"s").number
        self.paths.rename(Where((1, 2, b"s"), False), Where((1, 2, b"t"), False), 99)
        self.assertEqual((self.node(b"s"), self.node(b"t").number, self.node(b"t").changed_at), (None, number, 99))
        client = self.end()
        self.paths.connect(client, b"t")
        self.assertEqual((client.state, client.peer_address()), ("established", (b"s",)))

    def test_who_may_connect(self):
        """Without the right to write there a connect is EACCES."""
        self.end(b"s").listen(5)
        self.real.connectable = False
        self.assertEqual(self.refusal(self.paths.connect, self.end(), b"s"), "EACCES")

    def test_worlds_number_alike(self):
        """Two worlds that do the same have the same numbers and names."""
        other = Kernel()
        other.paths.real = Directories()
        end = other.stream(socket.AF_UNIX, None)
        other.paths.bind(end, b"")
        self.assertEqual(self.end(b"").local, end.local)
        self.assertEqual(other.journal.digest, self.kernel.journal.digest)
