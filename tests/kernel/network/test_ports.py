"""Ports of one protocol: who is where, and which numbers are free."""

import errno
import socket
import unittest

from solipsism_unittest.kernel import Kernel
from solipsism_unittest.kernel.network.ports import FIRST_CLIENT_PORT, FIRST_FREE_PORT, source_for


class PortsTest(unittest.TestCase):
    def setUp(self):
        self.kernel = Kernel()
        self.ports = self.kernel.network.udp.ports

    def end(self, address=None, port=0, family=socket.AF_INET):
        end = self.kernel.datagram(family, None)
        if address is not None:
            self.kernel.network.bind(end, address, port)
        return end

    def test_lowest_free_port(self):
        """Port 0 is the lowest number that is free on that address, and a closed end gives its number back."""
        ends = [self.end("127.0.0.1") for _ in range(3)]
        self.assertEqual([end.local[1] - FIRST_FREE_PORT for end in ends], [0, 1, 2])
        self.kernel.close(ends[1])
        self.assertEqual(self.end("127.0.0.2").local[1], FIRST_FREE_PORT)
        self.assertEqual(self.end("0.0.0.0").local[1], FIRST_FREE_PORT + 1)

    def test_protocols_are_apart(self):
        """What TCP has is free for UDP."""
        self.kernel.network.bind(self.kernel.stream(socket.AF_INET, None), "127.0.0.1", 53)
        self.assertEqual(self.end("127.0.0.1", 53).local, ("127.0.0.1", 53))

    def test_unused_ports_are_free_of_both(self):
        """unused_port() gives a number that neither protocol uses, and neither takes it by itself afterwards."""
        self.end("127.0.0.1", FIRST_FREE_PORT)
        port = self.kernel.network.unused_port()
        self.assertEqual(port, FIRST_FREE_PORT + 1)
        self.assertEqual(self.end("127.0.0.1").local[1], port + 1)

    def test_client_ports(self):
        """Clients count up from 32768, on each address anew, skip what is taken and begin again at the end."""
        self.end("127.0.0.1", FIRST_CLIENT_PORT + 1)
        self.assertEqual([self.ports.client_port("127.0.0.1") for _ in range(2)],
                         [FIRST_CLIENT_PORT, FIRST_CLIENT_PORT + 2])
        self.assertEqual(self.ports.client_port("::1"), FIRST_CLIENT_PORT)
        for _ in range(FIRST_CLIENT_PORT + 3, FIRST_FREE_PORT):
            self.ports.client_port("127.0.0.1")
        self.assertEqual(self.ports.client_port("127.0.0.1"), FIRST_CLIENT_PORT)

    def test_client_ports_of_wildcards(self):
        """What a client on one address had is not given at once to one on all addresses, and the other way round."""
        got = [self.ports.client_port(address) for address in ("127.0.0.1", "0.0.0.0", "127.0.0.1", "::1")]
        self.assertEqual(got, [FIRST_CLIENT_PORT, FIRST_CLIENT_PORT + 1, FIRST_CLIENT_PORT + 2, FIRST_CLIENT_PORT + 2])

    def test_no_port_is_left(self):
        """EADDRINUSE when every port from 60001 up is taken, EADDRNOTAVAIL when no client port is left."""
        self.ports.bound.update((port, [end]) for end in [self.end("0.0.0.0", 9)] for port in range(1024, 65536))
        with self.assertRaises(OSError) as caught:
            self.end("127.0.0.1")
        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)
        with self.assertRaises(OSError) as caught:
            self.end().send_to(memoryview(b"x"), ("127.0.0.1", 9))
        self.assertEqual(caught.exception.errno, errno.EADDRNOTAVAIL)

    def test_source(self):
        """The machine talks to itself from the address that it talks to, and to others from its outer one."""
        names = self.kernel.names
        for destination, source in (("127.0.0.1", "127.0.0.1"), ("127.9.9.9", "127.0.0.1"), ("::1", "::1"),
                                    ("198.18.0.1", "198.18.0.1"), ("198.18.7.7", "198.18.0.1"),
                                    ("2001:db8::7", "2001:db8:0:2::1")):
            self.assertEqual(source_for(names, destination), source)
