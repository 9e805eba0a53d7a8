"""Contexts with certificates for tests, and whose connections trust them while a `Trust` lasts."""

import contextlib
import os
import pathlib
import ssl
import sys
import tempfile
import types
import unittest
from unittest import mock

from solipsism_unittest.peers.certificates import contexts, minting


def trusts(client, *, host="api.test", kind="good", key="ed25519", trust=None):
    """Whether a connection of this client's context takes the certificate of a server for api.test."""
    server = contexts.server_context(("api.test",), kind, key)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up, server_hostname=host), server.wrap_bio(up, down, server_side=True)]
    other = trust(client) if trust is not None else None
    if other is not None:
        ends[0].context = other
    try:
        for end in ends * 3:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    except ssl.SSLCertVerificationError:
        return False
    return ends[0].version() is not None


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def machine(self, key="ed25519"):
        """The file of a machine that trusts one authority, which nobody else does."""
        path = self.folder / "machine.pem"
        path.write_text(minting.authority(key, minting.STRANGER).certificate)
        return str(path)


class ContextsTest(unittest.TestCase):
    def test_pairs(self):
        """A client context trusts a server of the same authority, and verifies its name; with each kind of key."""
        for key in ("ed25519", "p256"):
            client = contexts.client_context(key)
            self.assertTrue(trusts(client, key=key))
            self.assertFalse(trusts(client, key=key, host="other.test"))
            self.assertFalse(trusts(client, key="p256" if key == "ed25519" else "ed25519"))

    def test_no_file_stays(self):
        """What OpenSSL reads from a file was private, and is gone when the call returns."""
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(tempfile, "tempdir", folder):
            modes = []
            real = ssl.SSLContext.load_cert_chain

            def load(context, path):
                modes.append(os.stat(path).st_mode & 0o777)
                return real(context, path)

            with mock.patch.object(ssl.SSLContext, "load_cert_chain", load):
                contexts.server_context(("api.test",))
                contexts.client_context()
            self.assertEqual((modes, os.listdir(folder)), ([0o600] * 2, []))

    def test_verification_stays_strict(self):
        """A client context is what ssl.create_default_context() makes: strict from Python 3.13 on."""
        stock, ours = ssl.create_default_context(), contexts.client_context()
        self.assertEqual((ours.verify_flags, ours.check_hostname), (stock.verify_flags, True))


class TrustTest(Folder):
    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.dict(os.environ, SSL_CERT_FILE=self.machine()))
        os.environ.pop("SSL_CERT_DIR", None)
        os.environ.pop("CURL_CA_BUNDLE", None)

    def test_made_while_it_lasts(self):
        """A context that reads the machine's authorities trusts ours; the variables are as they were afterwards."""
        before = dict(os.environ)
        with contexts.Trust() as trust:
            for key in ("ed25519", "p256"):
                self.assertTrue(trusts(ssl.create_default_context(), key=key))
            self.assertIsNone(trust(ssl.create_default_context()))
            path = os.environ["SSL_CERT_FILE"]
            self.assertEqual({os.environ[name] for name in contexts.VARIABLES}, {path})
            self.assertFalse(trusts(ssl.create_default_context(), kind="untrusted"))
        self.assertEqual((dict(os.environ), os.path.exists(path)), (before, False))
        self.assertFalse(trusts(ssl.create_default_context()))

    def test_made_before(self):
        """A context that holds what the machine gives gets another store for a connection, and keeps its own."""
        context = ssl.create_default_context()
        context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
        with contexts.Trust() as trust:
            self.assertTrue(trusts(context, trust=trust))
            self.assertFalse(trusts(context, host="other.test", trust=trust))
            names = [[cipher["name"] for cipher in each.get_ciphers()] for each in (context, trust(context))]
            self.assertEqual(names[0], names[1])
        self.assertFalse(trusts(context))

    def test_certifi(self):
        """A context with the authorities of package certifi is one of everybody's."""
        path = self.folder / "certifi.pem"
        path.write_text(minting.authority("p256", minting.STRANGER).certificate)
        context = ssl.create_default_context(cafile=str(path))
        package = types.SimpleNamespace(where=lambda: str(path))
        with contexts.Trust() as trust:
            with mock.patch.dict(sys.modules, certifi=package):
                self.assertTrue(trusts(context, trust=trust))
            with mock.patch.dict(sys.modules):
                sys.modules.pop("certifi", None)
                self.assertIsNone(trust(context))

    def test_others_stay_as_they_are(self):
        """A context that verifies nothing, a bare one and one with authorities of its own get no others."""
        careless = ssl.create_default_context()
        careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        own = ssl.create_default_context(cadata=minting.authority("p256", minting.STRANGER).certificate)
        more = ssl.create_default_context()
        more.load_verify_locations(cadata=minting.authority("p256", minting.STRANGER).certificate)
        with contexts.Trust() as trust:
            for context in (careless, bare, own, more):
                self.assertIsNone(trust(context))

    def test_added(self):
        """A context that is asked for trusts the authority for good, whatever it holds."""
        own = ssl.create_default_context(cadata=minting.authority("p256", minting.STRANGER).certificate)
        contexts.add_authorities(own)
        self.assertTrue(trusts(own))
        self.assertTrue(trusts(own, key="p256"))

    def test_no_file_of_the_machine(self):
        """Where the machine has no file of authorities, as where they lie in a folder, a context without any is its."""
        os.environ["SSL_CERT_FILE"] = str(self.folder / "missing.pem")
        context = ssl.create_default_context()
        with contexts.Trust() as trust:
            self.assertTrue(trusts(context, trust=trust))


if __name__ == "__main__":
    unittest.main()
