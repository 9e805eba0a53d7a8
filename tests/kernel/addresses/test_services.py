"""Services and protocols against the real tables, as far as this machine has them."""

import os
import socket
import unittest

from solipsism_unittest.kernel.addresses import services
from solipsism_unittest.kernel.addresses.services import PROTOCOLS, SERVICES


def outcome(call, *args):
    """What a call gives, or what it raises."""
    try:
        return call(*args)
    except (OSError, OverflowError) as error:
        return type(error), str(error)


@unittest.skipUnless(os.path.exists("/var/lib/dpkg/info/netbase.list"), "the tables here are not those of netbase")
class AgainstTheRealOneTest(unittest.TestCase):
    def test_services(self):
        """Every service has the number that the system gives it, by each of its names and over each protocol."""
        for names, _, protocols in SERVICES:
            for name in names:
                for protocol in (None, "tcp", "udp", "x"):
                    args = [name] if protocol is None else [name, protocol]
                    with self.subTest(args=args):
                        self.assertEqual(outcome(services.getservbyname, *args), outcome(socket.getservbyname, *args))
            self.assertTrue(set(protocols) <= {"tcp", "udp"})

    def test_ports(self):
        """Every port of the table is given its official name back, and the ports that nothing has are not found."""
        for port in (*(row[1] for row in SERVICES), 0, 60001, 65535, 65536, -1):
            for protocol in (None, "tcp", "udp", "x"):
                args = [port] if protocol is None else [port, protocol]
                with self.subTest(args=args):
                    self.assertEqual(outcome(services.getservbyport, *args), outcome(socket.getservbyport, *args))

    def test_protocols(self):
        """Every protocol has the number that the system gives it; a number or another spelling is no name."""
        for name in (*PROTOCOLS, "nope", "", "6", "Tcp"):
            with self.subTest(name):
                self.assertEqual(outcome(services.getprotobyname, name), outcome(socket.getprotobyname, name))

    def test_unknown_services(self):
        """What is no service's name is not found."""
        for name in ("nope", "", "80", "HTTP"):
            with self.subTest(name):
                self.assertEqual(outcome(services.getservbyname, name), outcome(socket.getservbyname, name))


class TableTest(unittest.TestCase):
    def test_by_protocol(self):
        """A port is looked for over one protocol or over any."""
        self.assertEqual(
            [services.port_of("ntp"), services.port_of("ntp", "udp"), services.port_of("ntp", "tcp")], [123, 123, None]
        )
        self.assertEqual(
            [services.service_at(80), services.service_at(80, "tcp"), services.service_at(80, "udp")],
            ["http", "http", None],
        )

    def test_once(self):
        """No name and no port stands twice for one protocol."""
        seen = [(word, protocol) for names, port, over in SERVICES for word in (*names, port) for protocol in over]
        self.assertEqual(len(seen), len(set(seen)))
