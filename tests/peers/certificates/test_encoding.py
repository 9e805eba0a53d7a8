"""DER and PEM."""

import ssl
import unittest

from solipsism_unittest.peers.certificates import encoding


class EncodingTest(unittest.TestCase):
    def test_lengths(self):
        """A length below 128 is one byte; a longer one says how many bytes it has."""
        for size, head in ((0, "0400"), (127, "047f"), (128, "048180"), (255, "0481ff"), (256, "04820100"),
                           (70_000, "0483011170")):
            with self.subTest(size):
                self.assertEqual(encoding.octets(bytes(size))[:-size or None].hex(), head)

    def test_integers(self):
        """A number whose first bit is set gets a zero byte in front, or it would be negative."""
        for number, wanted in ((0, "020100"), (127, "02017f"), (128, "02020080"), (256, "02020100"),
                               (65535, "020300ffff")):
            with self.subTest(number):
                self.assertEqual(encoding.integer(number).hex(), wanted)

    def test_identifiers(self):
        """The first two numbers share a byte, the others have seven bits in each."""
        self.assertEqual(encoding.identifier("1.3.101.112").hex(), "06032b6570")
        self.assertEqual(encoding.identifier("1.2.840.10045.3.1.7").hex(), "06082a8648ce3d030107")

    def test_bits_and_nesting(self):
        """A BIT STRING says how many bits do not count; a sequence holds its items one after the other."""
        self.assertEqual(encoding.bits(b"\x06", 1).hex(), "03020106")
        self.assertEqual(encoding.sequence(encoding.integer(1), encoding.TRUE).hex(), "30060201010101ff")

    def test_pem(self):
        """PEM has lines of 64 characters; a private key says above it that it is for tests only."""
        text = encoding.pem("CERTIFICATE", bytes(range(100)))
        self.assertEqual(max(map(len, text.splitlines())), 64)
        self.assertEqual(ssl.PEM_cert_to_DER_cert(text), bytes(range(100)))
        self.assertTrue(encoding.pem("PRIVATE KEY", b"").startswith(encoding.FOR_TESTS_ONLY + "-----BEGIN"))


if __name__ == "__main__":
    unittest.main()
