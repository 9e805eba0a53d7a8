"""Keys that sign, against the vectors of their standards and of OpenSSL."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

from solipsism_unittest.peers.certificates import encoding, keys

# RFC 8032, 7.1: secret key, public key, message, signature.
VECTORS = (
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
     "655141438e7a100b"),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
     "b00d291612bb0c00"),
    ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
     "c027beceea1ec40a"),
)
# RFC 6979, A.2.5: a private key of P-256 and its public point.
P256_SECRET = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
P256_POINT = (0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6,
              0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299)


class Ed25519Test(unittest.TestCase):
    def test_vectors(self):
        """Public keys and signatures are those of RFC 8032."""
        for secret, public, message, signature in VECTORS:
            key = keys.Ed25519Key(bytes.fromhex(secret))
            self.assertEqual(key.public.hex()[-64:], public)
            self.assertEqual(key.sign(bytes.fromhex(message)).hex(), signature)

    def test_sizes(self):
        """Every signature has 64 bytes."""
        key = keys.Ed25519Key(b"seed" * 8)
        self.assertEqual({len(key.sign(bytes([number]))) for number in range(50)}, {64})


class P256Test(unittest.TestCase):
    def test_multiples(self):
        """A multiple of the generator is that of RFC 6979."""
        self.assertEqual(keys.p256_multiple(P256_SECRET), P256_POINT)
        self.assertEqual(keys.p256_multiple(1), keys.GENERATOR[:2])

    def test_same_every_time(self):
        """A message has one signature, another one has another."""
        key = keys.P256Key(b"seed")
        self.assertEqual(key.sign(b"one"), keys.P256Key(b"seed").sign(b"one"))
        self.assertNotEqual(key.sign(b"one"), key.sign(b"two"))


@unittest.skipUnless(shutil.which("openssl"), "no openssl binary to ask")
class OpenSslTest(unittest.TestCase):
    def test_openssl_agrees(self):
        """OpenSSL reads each kind of key, gives the same public key for it, and verifies what it has signed."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)

            def openssl(*arguments):
                return subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True).stdout

            (folder / "message").write_bytes(b"a message")
            for kind, make in keys.KEYS.items():
                for seed in (b"a" * 32, b"b" * 32, b"c" * 32):
                    key = make(seed)
                    (folder / "key").write_text(encoding.pem("PRIVATE KEY", key.private))
                    (folder / "public").write_text(encoding.pem("PUBLIC KEY", key.public))
                    (folder / "signature").write_bytes(key.sign(b"a message"))
                    with self.subTest(kind):
                        self.assertEqual(openssl("pkey", "-in", "key", "-pubout", "-outform", "DER"), key.public)
                        raw = ("-rawin",) if kind == "ed25519" else ("-rawin", "-digest", "sha256")
                        said = openssl("pkeyutl", "-verify", "-pubin", "-inkey", "public", *raw, "-in", "message",
                                       "-sigfile", "signature")
                        self.assertIn(b"Verified Successfully", said)


if __name__ == "__main__":
    unittest.main()
