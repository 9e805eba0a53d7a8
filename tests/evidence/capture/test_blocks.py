"""The blocks of a capture file: their order, and what each of them holds."""

import ipaddress
import unittest

from solipsism_unittest.evidence.capture import blocks
from tests.evidence import reading

NETWORK = blocks.Interface("network", 101, "all")


class BlocksTest(unittest.TestCase):
    def test_order(self):
        """Section, interfaces, names, secrets, packets: the one order that tshark and editcap both take."""
        names = {ipaddress.ip_address("192.0.2.1"): ["a.test", "b.test"], ipaddress.ip_address("2001:db8::1"): ["c"]}
        packets = [blocks.Captured(0, 1.5, b"abc", 7, ("one", "two")), blocks.Captured(0, 5e9, b"abcd")]
        found = reading.read(blocks.file("test", [NETWORK], names, b"CLIENT_RANDOM 1 2\n", packets))
        self.assertEqual(found.kinds, [0x0A0D0D0A, 1, 4, 10, 6, 6])
        self.assertEqual(found.names, [("192.0.2.1", "a.test"), ("192.0.2.1", "b.test"), ("2001:db8::1", "c")])
        self.assertEqual(found.secrets, b"CLIENT_RANDOM 1 2\n")
        self.assertEqual(found.packets, [reading.Packet("network", 1_500_000_000, b"abc", 10, ["one", "two"]),
                                         reading.Packet("network", 5 * 10**18, b"abcd", 4, [])])

    def test_what_is_not_there(self):
        """A file without names and secrets has no blocks for them."""
        self.assertEqual(reading.read(blocks.file("test", [NETWORK], {}, b"", [])).kinds, [0x0A0D0D0A, 1])

    def test_times_that_no_file_can_hold(self):
        """A time before 1970 is shown as the first instant, and one that is too late as the last."""
        packets = [blocks.Captured(0, time, b"a") for time in (-5.0, 1e30)]
        found = reading.read(blocks.file("test", [NETWORK], {}, b"", packets)).packets
        self.assertEqual([packet.nanoseconds for packet in found], [0, 2**64 - 1])

    def test_remark(self):
        """A row of the test's own is a message of syslog with its level."""
        packets = [blocks.Captured(0, 0.0, blocks.remark(3, "it fails: ä"))]
        capture = reading.read(blocks.file("test", [blocks.Interface("test", 252, "")], {}, b"", packets))
        self.assertEqual(reading.rows(capture), [(3, "it fails: ä")])
