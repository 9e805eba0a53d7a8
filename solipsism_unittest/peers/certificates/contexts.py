"""TLS contexts with certificates for tests, and programs that trust them without being changed.

Owns `server_context` and `client_context`, and `Trust`, which decides of each context of the program whether it takes
the authority of tests for one of the machine's. A context gets it in one of three ways:

* It is made while the trust lasts and reads the machine's authorities: SSL_CERT_FILE names a file with ours then, and
  so do the variables that requests reads.
* It holds what the machine, or package certifi, gives everybody: it was made before the test, or by certifi's path.
  Its connections get a store of ours in place of its own, for nothing can be taken out of a store again.
* The test asks for it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator

from .keys import KEYS
from .minting import AUTHORITY, CLIENT, OF_CLIENTS, authority, certificate, check

LOCAL = ("localhost", "127.0.0.1", "::1")
# Where programs look for the machine's authorities: OpenSSL and httpx; requests, twice.
VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def server_context(names: tuple[str, ...], kind: str = "good", key: str = "ed25519") -> ssl.SSLContext:
    """A context for a server of these names. It trusts such clients, for `verify_mode = ssl.CERT_REQUIRED`."""
    check(kind, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, names, kind, key)
    context.load_verify_locations(cadata=authority(key, OF_CLIENTS).certificate)
    return context


def client_context(key: str = "ed25519") -> ssl.SSLContext:
    """A context for a client: it trusts the authority alone, verifies names, and has a certificate of its own."""
    check("good", key)
    context = ssl.create_default_context(cadata=authority(key, AUTHORITY).certificate)
    _load(context, ("client",), CLIENT, key)
    return context


def _load(context: ssl.SSLContext, names: tuple[str, ...], kind: str, key: str) -> None:
    minted = certificate(names, kind, key)
    with _file(minted.key + minted.certificate) as path:  # OpenSSL takes no other than a file
        context.load_cert_chain(path)


@contextlib.contextmanager
def _file(text: str) -> Iterator[str]:
    """A private file for as long as the block runs."""
    descriptor, path = tempfile.mkstemp(".pem")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        yield path
    finally:
        os.unlink(path)


def authorities() -> str:
    """The certificates of the authority of tests, one for each kind of key, as PEM."""
    return "".join(authority(key, AUTHORITY).certificate for key in KEYS)


def add_authorities(context: ssl.SSLContext) -> None:
    """Make a context trust the authority of tests for good."""
    context.load_verify_locations(cadata=authorities())


class Trust:
    """A context manager: while it lasts, the program trusts the authority of tests as it trusts the machine's.

    Called with a context, it gives the one whose store its connections shall use, or None for its own.
    """

    def __init__(self) -> None:
        self._ending = contextlib.ExitStack()
        self._shared: list[str] = []  # files whose authorities everybody has
        self._trusted = frozenset(ssl.PEM_cert_to_DER_cert(authority(key, AUTHORITY).certificate) for key in KEYS)

    def __enter__(self) -> Trust:
        paths = ssl.get_default_verify_paths()
        self._shared.append(os.environ.get("SSL_CERT_FILE", paths.openssl_cafile))
        path = self._ending.enter_context(_file(authorities()))
        before = {name: os.environ.get(name) for name in VARIABLES}
        self._ending.callback(_set_variables, before)
        _set_variables(dict.fromkeys(VARIABLES, path))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ending.close()

    def __call__(self, context: ssl.SSLContext) -> ssl.SSLContext | None:
        if context.verify_mode == ssl.CERT_NONE:
            return None
        held = frozenset(context.get_ca_certs(binary_form=True))
        if held & self._trusted:
            return None
        certifi = sys.modules.get("certifi")
        files = self._shared if certifi is None else [*self._shared, certifi.where()]
        if not any(held == _held_in(file) for file in files):
            return None
        # The rest of what a connection takes from its context later than at its beginning.
        other = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        other.set_ciphers(":".join(cipher["name"] for cipher in context.get_ciphers()
                                   if cipher["protocol"] != "TLSv1.3"))
        add_authorities(other)
        return other


def _set_variables(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@functools.cache
def _held_in(path: str) -> frozenset[bytes]:
    """The authorities in a file; none where it is no such file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.suppress(OSError):  # ssl.SSLError is one
        context.load_verify_locations(path)
    return frozenset(context.get_ca_certs(binary_form=True))
