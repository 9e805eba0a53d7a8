"""What a socket has in the kernel, whatever its kind."""

import asyncio
import errno
import gc
import socket
import unittest

from solipsism_unittest import SolipsistEventLoop
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

    def test_options(self):
        """Ends that have set one and the same option share it; what one of them sets later is its own."""
        kernel = Kernel()
        one, two, three = (End(kernel.awake, kernel.journal, socket.AF_INET, None) for _ in range(3))
        for end in (one, two):
            end.remember((6, 1), 1)
        self.assertIs(one.options, two.options)
        three.inherit(one)
        three.remember((6, 2), 500)
        one.remember((6, 1), 0)
        three.remember((1, 13), b"12345678")
        one.remember((1, 25), b"")
        self.assertEqual([end.options for end in (one, two, three)],
                         [{(6, 1): 0, (1, 25): b""}, {(6, 1): 1}, {(6, 1): 1, (6, 2): 500, (1, 13): b"12345678"}])
        two.inherit(End(kernel.awake, kernel.journal, socket.AF_INET, None))
        two.remember((1, 20), b"12345678")
        self.assertEqual((two.options, self.end.options), ({(1, 20): b"12345678"}, {}))

    def test_what_listeners_hand_down(self):
        """What a listener has set beyond the usual its connections have, too."""
        for name in ("reuse_address", "reuse_port", "v6_only", "linger_zero"):
            kernel = Kernel()
            listener, other = (End(kernel.awake, kernel.journal, socket.AF_INET6, None) for _ in range(2))
            setattr(listener, name, True)
            other.inherit(listener)
            with self.subTest(name):
                self.assertEqual([which for which in ("reuse_address", "reuse_port", "v6_only", "broadcast",
                                                      "linger_zero") if getattr(other, which)], [name])

    def test_what_few_have_takes_no_room(self):
        """The ends of an asyncio connection have all that they need in slots."""

        async def main():
            served = []
            async with await asyncio.start_server(lambda *ends: served.append(ends), "a.test", 80):
                served.append(await asyncio.open_connection("a.test", 80))
                await asyncio.sleep(0.1)
                files = asyncio.get_running_loop().kernel.files.values()
                found = [(file.state, vars(file)) for file in files if file.state != "listening"]
                for _, writer in served:
                    writer.close()
            return found

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            self.assertEqual(runner.run(main()), [("established", {})] * 2)

    def test_closed_connections_need_no_collection(self):
        """When both ends of a connection are closed, in any order and with bytes unread, nothing is left to collect."""
        kernel = Kernel()
        listener = kernel.stream(socket.AF_INET, None)
        kernel.network.bind(listener, "127.0.0.1", 80)
        kernel.network.listen(listener, 5)

        def connections():
            client = kernel.stream(socket.AF_INET, None)
            kernel.network.connect(client, "127.0.0.1", 80)
            yield client, kernel.open(listener.accept())
            yield kernel.pair(None, None)
            alone = kernel.stream(socket.AF_INET, None)
            kernel.network.bind(alone, "127.0.0.1", 81)
            kernel.network.connect(alone, "127.0.0.1", 81)  # to itself
            yield alone, alone

        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        for unread in (b"", b"data"):
            for order in (1, -1):
                for ends in connections():
                    ends[0].send(unread)
                    for end in ends[::order]:
                        kernel.close(end)
                del ends, end
                self.assertEqual(gc.collect(), 0)

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
