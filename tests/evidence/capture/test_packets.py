"""Packets of IP: lengths and checksums, looked at word by word."""

import struct
import unittest

from solipsism_unittest.evidence.capture import packets
from tests.evidence import reading


def whole(data, missing=0):
    return reading.Packet("network", 0, data, len(data) + missing, [])


class PacketsTest(unittest.TestCase):
    def right(self, data):
        """The protocol and payload of a packet with right checksums."""
        protocol, _, _, pseudo, payload = reading.parts(whole(data))
        self.assertEqual(reading.summed(payload if protocol == 1 else pseudo + payload), 0)
        return protocol, payload

    def test_checksums(self):
        """Every checksum is right: of odd and even sizes, and where the sum is zero, which no field may hold as -0."""
        for one, other in (("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")):
            source, target = packets.point(one, 80), packets.point(other, 50_000)
            for size in (0, 1, 2, 3, 1_000, 65_475):
                data = bytes(number % 251 for number in range(size))
                for last in range(0, 65_536, 257 if size == 2 else 65_536):
                    data = data[:-2] + last.to_bytes(2, "big") if size == 2 else data
                    protocol, payload = self.right(packets.tcp(source, target, 2**32 + 5, 7, packets.ACK, 100, data))
                    self.assertEqual((protocol, payload[20:]), (6, data))
                    self.assertEqual(struct.unpack_from(">II", payload, 4), (5, 7))
                    protocol, payload = self.right(packets.udp(source, target, data))
                    self.assertEqual((protocol, payload[8:]), (17, data))

    def test_a_checksum_of_zero(self):
        """TCP writes zero as zero; UDP, where it means none, as its other form (RFC 768)."""
        source, target = packets.point("192.0.2.1", 80), packets.point("192.0.2.2", 50_000)
        for make, at in ((lambda data: packets.tcp(source, target, 0, 0, 0, 0, data), 36),
                         (lambda data: packets.udp(source, target, data), 26)):
            plain = int.from_bytes(make(b"\0\0")[at:at + 2], "big")
            found = make(plain.to_bytes(2, "big"))[at:at + 2]
            self.assertEqual(found, b"\0\0" if at == 36 else b"\xff\xff")

    def test_a_segment_that_was_not_kept_whole(self):
        """The lengths are those of the whole packet; the checksum says nothing."""
        data = packets.tcp(packets.point("192.0.2.1", 1), packets.point("192.0.2.2", 2), 0, 0, 0, 0, b"ab", b"", 98)
        self.assertEqual(reading.parts(whole(data, 98))[4][16:18], b"\0\0")

    def test_addresses(self):
        """A scope is left out, and a group of the neighbourhood gets a TTL that no router lets through."""
        self.assertEqual(str(packets.point("fe80::1%eth0", 5).address), "fe80::1")
        for group, ttl in (("224.0.0.251", 255), ("239.1.2.3", 64), ("192.0.2.9", 64)):
            self.assertEqual(packets.udp(packets.point("192.0.2.1", 1), packets.point(group, 2), b"")[8], ttl)
        for group, ttl in (("ff02::fb", 255), ("ff05::1", 64)):
            self.assertEqual(packets.udp(packets.point("2001:db8::1", 1), packets.point(group, 2), b"")[7], ttl)

    def test_nobody_listens(self):
        """The error has the datagram in it, and comes from where that went to."""
        for one, other, protocol, head in (("192.0.2.1", "192.0.2.2", 1, b"\x03\x03"),
                                           ("2001:db8::1", "2001:db8::2", 58, b"\x01\x04")):
            source, target = packets.point(one, 80), packets.point(other, 53)
            datagram = packets.udp(source, target, b"question" * 500)
            answer = packets.nobody_there(datagram, source, target)
            self.assertEqual(reading.parts(whole(answer))[:3], (protocol, other, one))
            _, payload = self.right(answer)
            self.assertEqual(payload[:2], head)
            self.assertTrue(datagram.startswith(payload[8:]))
            self.assertLessEqual(len(answer), 1_280)
