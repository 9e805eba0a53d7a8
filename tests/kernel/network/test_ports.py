"""Ports of one protocol: who is where, and which numbers are free."""

import errno
import random
import socket
import sys
import unittest
import unittest.mock

from solipsism_unittest.kernel import Kernel
from solipsism_unittest.kernel.network import ports
from solipsism_unittest.kernel.network.ports import FIRST_CLIENT_PORT, FIRST_FREE_PORT, source_for


def outcome(call, *args):
    """What a call gives, or the name of its errno."""
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode[error.errno]


class PortsTest(unittest.TestCase):
    def setUp(self):
        self.kernel = Kernel()
        self.ports = self.kernel.network.udp.ports

    def end(self, address=None, port=0, family=socket.AF_INET):
        end = self.kernel.datagram(family, None)
        if address is not None:
            self.kernel.network.bind(end, address, port)
        return end

    def once(self, address, port=0, kind="datagram"):
        """The port that an end is bound to which is closed at once."""
        end = getattr(self.kernel, kind)(socket.AF_INET6 if ":" in address else socket.AF_INET, None)
        self.kernel.network.bind(end, address, port)
        self.kernel.close(end)
        return end.local[1] - FIRST_FREE_PORT

    def test_port_0_counts_up(self):
        """Port 0 is the next number of the host, whatever its address and protocol; one that is free again waits."""
        for kind in ("datagram", "stream"):
            with self.subTest(kind):
                self.assertEqual([self.once(address, kind=kind) for address in
                                  ("127.0.0.1", "127.0.0.1", "127.0.0.2", "0.0.0.0", "::", "::1", "198.18.0.1")],
                                 list(range(7)))
                self.assertEqual([self.once(address, kind=kind) for address in
                                  self.kernel.names.declare("a.test").addresses], [0, 1])

    def test_a_port_that_was_asked_for(self):
        """A number that somebody had by asking for it is left out, too, and so is one that is in use."""
        self.once("127.0.0.1", FIRST_FREE_PORT + 1)
        end = self.end("127.0.0.1", FIRST_FREE_PORT + 2)
        self.assertEqual([self.once("127.0.0.1") for _ in range(2)], [0, 3])
        self.kernel.close(end)
        self.assertEqual(self.once("127.0.0.1", FIRST_FREE_PORT + 2), 2)
        self.assertEqual(self.once("127.0.0.1"), 4)

    def test_ports_come_back(self):
        """When all were used, those come back that are free, promised ones among them, and the count goes on there."""
        self.kernel.network.unused_port()
        self.end("127.0.0.1", FIRST_FREE_PORT + 1)
        for _ in range(FIRST_FREE_PORT + 2, 65536):
            self.once("127.0.0.1")
        self.assertEqual([self.once("127.0.0.1") for _ in range(3)], [0, 2, 3])

    def test_on_several_hosts(self):
        """A port for addresses of several hosts is new on each of them."""
        address = self.kernel.names.declare("a.test").addresses[0]
        for _ in range(3):
            self.once(address)
        self.assertEqual(self.ports.free_port(["127.0.0.1", address]), FIRST_FREE_PORT + 3)
        self.assertEqual(self.once("127.0.0.1"), 4)

    def test_an_address_that_nobody_has(self):
        """An address of the real machine is nobody's until a test says so, and the error says what to do."""
        for address in ("192.0.2.2", "2001:db8:7::1", "10.0.0.5"):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with self.subTest(address):
                with self.assertRaisesRegex(OSError, rf"is nobody's in this test: self\.network\.add_host\(name, "
                                                     rf"'{address}'\) gives it to a host") as caught:
                    self.end(address, family=family)
                self.assertEqual(caught.exception.errno, errno.EADDRNOTAVAIL)
                self.kernel.names.add_host("me.test", address)
                self.assertEqual(self.end(address, 7, family).local, (address, 7))

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


class CrowdTest(unittest.TestCase):
    """Where many ends are at one port, some are found by their address."""

    HOSTS = ("127.0.0.1", "127.0.0.2", "0.0.0.0", "::", "::1", "192.0.2.1", "192.0.2.2", "2001:db8:7::1")

    def play(self, many, seed):
        """What random calls at one port see, when more ends than `many` are a crowd."""
        choose = random.Random(seed)
        kernel = Kernel()
        network = kernel.network
        network.add_host("a.test", "192.0.2.1")
        network.add_host("b.test", "192.0.2.2", "2001:db8:7::1")
        ends, seen = [], []
        with unittest.mock.patch.object(ports, "MANY", many):
            for _ in range(120):
                kind = choose.choice((kernel.stream, kernel.stream, kernel.datagram))
                address = choose.choice(self.HOSTS)
                call = choose.choice(("bind", "bind", "connect", "close", "free"))
                if call == "bind":
                    end = kind(socket.AF_INET6 if ":" in address else choose.choice((socket.AF_INET, socket.AF_INET6)),
                               None)
                    end.reuse_address, end.reuse_port = choose.choice(((0, 0), (1, 0), (1, 1)))
                    end.v6_only = choose.random() < 0.2
                    seen.append(outcome(network.bind, end, address, 9))
                    if end.local is None:
                        kernel.close(end)
                        continue
                    ends.append(end)
                    if choose.random() < 0.7 and end.kind == "stream":
                        seen.append(outcome(network.listen, end, 5))
                elif call == "connect":
                    end = choose.choice(ends) if ends and choose.random() < 0.4 else kind(socket.AF_INET6, None)
                    seen.append(outcome(end.connect, lambda: network.connect(end, address, 9), False))  # noqa: B023
                    seen.append(outcome(end.connect, lambda: network.connect(end, address, 9), False))  # noqa: B023
                    found = network.listener(address, 9)
                    seen.append((end.label, end.local, end.remote, found and found.number))
                elif call == "close" and ends:
                    kernel.close(ends.pop(choose.randrange(len(ends))))
                else:
                    seen.append([table.is_free(9, [address, choose.choice(self.HOSTS)])
                                 for table in (network.tcp, network.udp.ports)])
        seen.append([end.number for table in (network.tcp, network.udp.ports) for end in table.bound.get(9, ())])
        for end in ends:
            kernel.close(end)
        return seen, len(network.tcp.bound.get(9, ())), kernel.journal.digest

    def test_any_calls(self):
        """A crowd changes no answer, no order and nothing in the journal."""
        for seed in range(40):
            with self.subTest(seed):
                self.assertEqual(self.play(1, seed), self.play(1000, seed))

    def calls_of(self, servers):
        """The number of function calls that a bind, a listen, a connect and a close make beside others at the port."""
        kernel = Kernel()
        network = kernel.network

        def serve(number):
            network.add_host(f"host{number}.test", f"192.0.{number // 250}.{number % 250}")
            end = kernel.stream(socket.AF_INET, None)
            network.bind(end, f"192.0.{number // 250}.{number % 250}", 80)
            network.listen(end, 5)
            return end

        for number in range(servers):
            serve(number)
        calls = 0

        def count(frame, event, argument):
            nonlocal calls
            calls += event == "call"

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            end = serve(servers)
            network.connect(kernel.stream(socket.AF_INET, None), end.local[0], 80)
            kernel.close(end)
        finally:
            sys.setprofile(before)
        return calls

    def test_servers_of_many_hosts(self):
        """A server on a port is as cheap beside 2,000 others on that port as beside 20."""
        self.assertLessEqual(self.calls_of(2_000), self.calls_of(20))
