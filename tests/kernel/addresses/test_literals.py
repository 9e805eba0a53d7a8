"""Literal addresses against the real inet_pton(3) and inet_ntop(3)."""

import socket
import unittest

from solipsism_unittest.kernel.addresses.literals import parse_address, plain, scope_of, scope_text, unmap, written

LITERALS = [
    "127.0.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "1.2.3.4",
    "::1",
    "::",
    "2001:db8::5",
    "2001:DB8::AB",
    "0:0:0:0:0:0:0:1",
    "::ffff:1.2.3.4",
    "::ffff:7f00:1",
    "::1.2.3.4",
    "::1:0",
    "fe80::1",
    "::ffff:0:1.2.3.4",
    "1:2:3:4:5:6:7:8",
]


class LiteralsTest(unittest.TestCase):
    def test_written(self):
        """Addresses are written as inet_ntop(3) writes them on every Python, and read back as the same."""
        for text in LITERALS:
            family = socket.AF_INET6 if ":" in text else socket.AF_INET
            with self.subTest(text):
                address = parse_address(text)
                self.assertEqual(written(address), socket.inet_ntop(family, socket.inet_pton(family, text)))
                self.assertEqual(parse_address(written(address)), address)

    def test_plain(self):
        """A literal of the version that is asked for is written as usual, without its scope; all else is None."""
        texts = "127.0.0.1", "127.1", "0x7f000001", "::1", "a.test", "", "1.2.3.4 "
        self.assertEqual([plain(text, 4) for text in texts], [*["127.0.0.1"] * 3, *[None] * 4])
        self.assertEqual([plain(text, 6) for text in ("::1", "0:0::1", "fe80::1%lo", "127.0.0.1", "::ffff:127.0.0.1")],
                         ["::1", "::1", "fe80::1", None, "::ffff:127.0.0.1"])

    def test_unmap(self):
        """Only a mapped address is taken out of its IPv6 form."""
        for text, expected in (
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("::ffff:102:304", "1.2.3.4"),
            ("::1.2.3.4", "::1.2.3.4"),
            ("::ffff:0:1.2.3.4", "::ffff:0:1.2.3.4"),
            ("1.2.3.4", "1.2.3.4"),
            ("::ffff:x", "::ffff:x"),
        ):
            with self.subTest(text):
                self.assertEqual(unmap(text), expected)

    def test_no_literals(self):
        """What is no address is None, a name or not."""
        for text in ("a.test", "", "1.2.3.4.5", "256.1.1.1", "::g", "1.2.3.4%1", "fe80::1%"):
            with self.subTest(text):
                self.assertIsNone(parse_address(text))

    def test_scopes(self):
        """A scope is a number of 32 bits, or the name of an interface where the address belongs to one link."""
        for text, scope in (
            ("fe80::1", 0),
            ("fe80::1%lo", 1),
            ("febf::1%eth0", 2),
            ("ff02::1%lo", 1),
            ("fec0::1%lo", None),
            ("ff05::1%lo", None),
            ("::1%lo", None),
            ("::1%1", 1),
            ("fe80::1%99", 99),
            ("fe80::1%4294967296", None),
            ("fe80::1%nowhere", None),
        ):
            with self.subTest(text):
                self.assertEqual(scope_of(parse_address(text)), scope)

    def test_scope_text(self):
        """A scope is written as the name of its interface where the address belongs to one link."""
        link, other = parse_address("fe80::1"), parse_address("::1")
        self.assertEqual([scope_text(link, scope) for scope in (0, 1, 2, 9)], ["", "%lo", "%eth0", "%9"])
        self.assertEqual([scope_text(other, scope) for scope in (0, 1)], ["", "%1"])
