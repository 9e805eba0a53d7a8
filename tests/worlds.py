"""Tests that ask the real system and a virtual world the same."""

import socket
import unittest

from solipsism_unittest import SolipsistEventLoop, VirtualSocket, sealed


class World(unittest.TestCase):
    """Each test has a world: that of `loop`, which is closed at the end."""

    maxDiff = None

    def setUp(self):
        self.loop = SolipsistEventLoop()
        self.addCleanup(self.loop.close)

    def virtual(self, body):
        """What `body()` gives in the world."""
        with sealed(self.loop):
            return body()

    def both(self, body):
        """Run `body()` on the real system, then in the world; show that both saw the same."""
        real = body()
        self.assertEqual(self.virtual(body), real)

    def pair(self, capacity=None):
        """Two sockets of the world, joined and non-blocking, closed at the end."""
        with sealed(self.loop):
            one, two = VirtualSocket.pair(self.loop.world, capacity)
        self.addCleanup(one.close)
        self.addCleanup(two.close)
        return one, two

    def connection(self):
        """A listener, a client and its server side: TCP sockets of the world that do not block, closed at the end."""
        listener = VirtualSocket.on(self.loop.world, socket.AF_INET)
        listener.bind(("127.0.0.1", 80))
        listener.listen()
        client = VirtualSocket.on(self.loop.world, socket.AF_INET)
        client.connect_ex(("127.0.0.1", 80))
        server, _ = listener.accept()
        for sock in (listener, client, server):
            self.addCleanup(sock.close)
        server.setblocking(False)
        return listener, client, server
