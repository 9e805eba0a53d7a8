"""What a socket has in the kernel, whatever its kind."""

import errno
import socket
import unittest

from solipsism_unittest.kernel import Kernel
from solipsism_unittest.kernel.descriptors.end import End


class EndTest(unittest.TestCase):
    def setUp(self):
        kernel = Kernel()
        self.end = End(kernel.awake, kernel.journal, socket.AF_INET, None)

    def test_what_is_not_connected(self):
        """An end that says nothing else is no listener and has no peer, and connecting is done when it is reached."""
        for call, code in ((lambda: self.end.listen(1), errno.EOPNOTSUPP), (self.end.accept, errno.EOPNOTSUPP),
                           (self.end.peer_address, errno.ENOTCONN)):
            with self.assertRaises(OSError) as caught:
                call()
            self.assertEqual(caught.exception.errno, code)
        reached = []
        self.assertEqual((self.end.connect(lambda: reached.append(1), True), reached), (0, [1]))
        self.end.remote = "127.0.0.1", 80
        self.assertEqual(self.end.peer_address(), ("127.0.0.1", 80))

    def test_error(self):
        """The pending error is told once."""
        self.end.error = errno.ECONNREFUSED
        self.assertEqual([self.end.take_error() for _ in range(2)], [errno.ECONNREFUSED, 0])

    def test_sizes(self):
        """Each buffer has its size, and what is not given stays."""
        self.end.resize(send=5000)
        self.end.resize(receive=3000)
        self.assertEqual((self.end.send_buffer, self.end.receive_buffer), (5000, 3000))

    def test_kinds_answer(self):
        """What every kind has to do in its own way is asked of none."""
        view = memoryview(b"x")
        for call in (self.end.room, lambda: self.end.shutdown(0), lambda: self.end.send(view),
                     lambda: self.end.send_to(view, ("127.0.0.1", 80)), lambda: self.end.recv(1),
                     lambda: self.end.recv_into(view), lambda: self.end.receive(1, 0)):
            with self.assertRaises(NotImplementedError):
                call()


if __name__ == "__main__":
    unittest.main()
