"""What is minted: the same every time, and what OpenSSL reads in it."""

import hashlib
import ssl
import tempfile
import unittest

from solipsism_unittest.peers.certificates import minting
from tests import run_python


def read(pem):
    """What Python reads in a certificate."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        return ssl._ssl._test_decode_cert(file.name)


def minted(*names, kind="good", key="ed25519"):
    return minting.certificate(names, kind, key)


DIGESTS = """
import hashlib, json
from solipsism_unittest.peers.certificates import minting
print([hashlib.sha256("".join(minting.certificate(("api.test", "::1"), kind, key)).encode()).hexdigest()
       for kind in minting.KINDS for key in ("ed25519", "p256")])
"""


class MintingTest(unittest.TestCase):
    def test_names(self):
        """Host names and addresses stand in the certificate, each as what it is; a name of other letters is encoded."""
        names = ("api.test", "*.api.test", "127.0.0.1", "::1", "bücher.test")
        found = read(minted(*names).certificate)
        self.assertEqual(found["subjectAltName"],
                         (("DNS", "api.test"), ("DNS", "*.api.test"), ("IP Address", "127.0.0.1"),
                          ("IP Address", "0:0:0:0:0:0:0:1"), ("DNS", "xn--bcher-kva.test")))
        self.assertEqual(found["subject"], ((("commonName", "api.test"),),))

    def test_long_names(self):
        """A name longer than a subject may be stands whole among the others."""
        name = ".".join(["a" * 60, "b" * 60, "test"])
        found = read(minted(name).certificate)
        self.assertEqual(found["subjectAltName"], (("DNS", name),))
        self.assertEqual(found["subject"][0][0][1], name[:64])

    def test_dates_and_issuers(self):
        """Good ones are valid from 2000 to 2049 and are the authority's; the others say what is wrong with them."""
        for kind, start, end, issuer in (
                ("good", "2000", "2049", minting.AUTHORITY), ("expired", "2000", "2001", minting.AUTHORITY),
                ("not yet valid", "2048", "2049", minting.AUTHORITY), ("self-signed", "2000", "2049", "api.test"),
                ("untrusted", "2000", "2049", minting.STRANGER)):
            with self.subTest(kind):
                found = read(minted("api.test", kind=kind).certificate)
                self.assertEqual((found["notBefore"].split()[3], found["notAfter"].split()[3]), (start, end))
                self.assertEqual(found["issuer"], ((("commonName", issuer),),))

    def test_without_names(self):
        """One without names has another common name than the host, for one that is the host would count."""
        found = read(minted("api.test", kind="no names").certificate)
        self.assertNotIn("subjectAltName", found)
        self.assertEqual(found["subject"], ((("commonName", "no names"),),))

    def test_minted_once(self):
        """The same names give the same certificate, made once; two have different serial numbers."""
        self.assertIs(minted("api.test"), minted("api.test"))
        serials = {read(minted(name, kind=kind).certificate)["serialNumber"]
                   for name in ("api.test", "b.test") for kind in minting.KINDS}
        self.assertGreater(len(serials), len(minting.KINDS))

    def test_same_in_every_process(self):
        """Another process, under another hash seed, mints the same bytes."""
        here = [hashlib.sha256("".join(minting.certificate(("api.test", "::1"), kind, key)).encode()).hexdigest()
                for kind in minting.KINDS for key in ("ed25519", "p256")]
        child = run_python("-c", DIGESTS)
        self.assertEqual(child.stdout.strip(), str(here), child.stderr)

    def test_unknown_kinds(self):
        """Another kind of certificate or key is a ValueError that names what there is."""
        with self.assertRaisesRegex(ValueError, "^'stale' is no kind of certificate: take one of 'good', 'expired', "
                                                "'not yet valid', 'wrong host', 'self-signed', 'untrusted', "
                                                "'no names'$"):
            minting.check("stale", "p256")
        with self.assertRaisesRegex(ValueError, "^'rsa' is no kind of key: take one of 'ed25519', 'p256'$"):
            minting.check("good", "rsa")


if __name__ == "__main__":
    unittest.main()
