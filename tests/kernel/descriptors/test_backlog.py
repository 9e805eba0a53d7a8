"""Listeners: who is let in, who waits, who is turned away, and what an accepted connection gets."""

import errno
import socket
import unittest

from solipsism_unittest.kernel import Kernel
from tests.kernel.descriptors.test_stream import answer


class ListenerTest(unittest.TestCase):
    def setUp(self):
        self.kernel = Kernel()
        self.listener = self.kernel.stream(socket.AF_INET, None)
        self.kernel.network.bind(self.listener, "127.0.0.1", 80)

    def dial(self):
        client = self.kernel.stream(socket.AF_INET, None)
        self.kernel.network.connect(client, "127.0.0.1", 80)
        return client

    def test_backlog(self):
        """A backlog of n lets n + 1 connections in; a negative one counts as none, and the rest wait."""
        for backlog, expected in ((0, 1), (1, 2), (3, 4), (-5, 1)):
            kernel = self.kernel = Kernel()
            listener = kernel.stream(socket.AF_INET, None)
            kernel.network.bind(listener, "127.0.0.1", 80)
            kernel.network.listen(listener, backlog)
            states = [self.dial().state for _ in range(6)]
            with self.subTest(backlog=backlog):
                self.assertEqual(states, ["established"] * expected + ["connecting"] * (6 - expected))

    def test_who_waits_gets_in_when_there_is_a_place(self):
        """An accept, and a greater backlog, let in the client that has waited longest."""
        self.kernel.network.listen(self.listener, 0)
        first, second, third = self.dial(), self.dial(), self.dial()
        self.assertIs(self.listener.accept().peer, first)
        self.assertEqual((second.state, third.state), ("established", "connecting"))
        self.kernel.network.listen(self.listener, 1)
        self.assertEqual(third.state, "established")

    def test_who_gave_up_takes_no_place(self):
        """A pending connect that was closed, or shut down and begun anew elsewhere, is forgotten by the listener."""
        self.kernel.network.listen(self.listener, 0)
        first, closed, elsewhere, last = self.dial(), self.dial(), self.dial(), self.dial()
        self.kernel.close(closed)
        elsewhere.shutdown(socket.SHUT_RDWR)
        other = self.kernel.stream(socket.AF_INET, None)
        self.kernel.network.bind(other, "127.0.0.1", 81)
        self.kernel.network.listen(other, 0)
        self.kernel.network.connect(elsewhere, "127.0.0.1", 81)
        self.assertIs(self.listener.accept().peer, first)
        self.assertIs(self.listener.accept().peer, last)
        self.assertIs(other.accept().peer, elsewhere)

    def test_accept(self):
        """Only a listener accepts; without a connection it is EAGAIN."""
        self.assertEqual(answer(self.listener.accept), "EINVAL")
        self.kernel.network.listen(self.listener, 1)
        self.assertEqual(answer(self.listener.accept), "EAGAIN")

    def test_closing_resets_and_refuses(self):
        """A client that was let in and never accepted is reset; one that waited is refused."""
        self.kernel.network.listen(self.listener, 0)
        queued, waiting = self.dial(), self.dial()
        self.kernel.close(self.listener)
        self.assertEqual([queued.state, queued.take_error()], ["reset", errno.ECONNRESET])
        self.assertEqual([waiting.state, waiting.take_error()], ["failed", errno.ECONNREFUSED])

    def test_refusing(self):
        """A listener that refuses is there, and every new connect is refused; those before it are not touched."""
        self.kernel.network.listen(self.listener, 5)
        before = self.dial()
        self.listener.as_listener().refusing = True
        self.assertEqual((before.state, self.dial().take_error()), ("established", errno.ECONNREFUSED))

    def test_shutdown(self):
        """SHUT_WR means nothing to a listener; SHUT_RD ends it until it listens again."""
        self.kernel.network.listen(self.listener, 5)
        self.listener.shutdown(socket.SHUT_WR)
        self.assertEqual(self.listener.state, "listening")
        queued = self.dial()
        self.listener.shutdown(socket.SHUT_RD)
        self.assertEqual(
            (self.listener.state, queued.take_error(), answer(self.listener.shutdown, 0)),
            ("fresh", errno.ECONNRESET, "ENOTCONN"),
        )
        self.kernel.network.listen(self.listener, 5)
        self.assertEqual(self.dial().state, "established")

    def test_accepted_ends_take_after_the_listener(self):
        """Options and capacities of accepted connections are the listener's."""
        self.listener.reuse_address = self.listener.linger_zero = True
        self.listener.remember((6, 1), 1)
        self.listener.as_listener().pair_capacity = 2, 3
        self.kernel.network.listen(self.listener, 0)
        client = self.dial()
        server = self.listener.accept()
        self.assertEqual((server.reuse_address, server.linger_zero, server.options), (True, True, {(6, 1): 1}))
        self.assertEqual((client.capacity, server.capacity), (2, 3))
