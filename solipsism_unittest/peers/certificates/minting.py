"""Minting: the authority of tests and the certificates that it signs, good ones and bad ones (X.509 v3, RFC 5280).

Owns what stands in a certificate, and `KINDS`, the table of what can be wrong with one. The rule that keeps it simple:
nothing is drawn, so a certificate for the same names is the same in every run, and is minted once for the process.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
from typing import NamedTuple

from .encoding import SET, TIME, TRUE, UTF8, bits, identifier, integer, octets, pem, sequence, tagged
from .keys import KEYS, Key

AUTHORITY, STRANGER, ITSELF = "an authority for tests only", "an authority that nobody trusts", "itself"
# Servers trust another authority than clients: OpenSSL sends along the authority of its own certificate where it has
# it, and no server that anybody runs does that.
OF_CLIENTS = "an authority of clients for tests only"
LONGEST_NAME = 64  # of a subject (RFC 5280, ub-common-name)


class Kind(NamedTuple):
    """What stands in a certificate: from when and until when it is valid, who signed it, and for which names.

    The names are those that are asked for, if None. Times are written as in UTCTime.
    """

    start: str = "000101000000Z"
    end: str = "491231235959Z"
    issuer: str = AUTHORITY
    names: tuple[str, ...] | None = None


# What a client that trusts the authority makes of them stands in tests/contracts/test_certificates.py.
KINDS = {
    "good": Kind(),
    "expired": Kind(end="011231235959Z"),
    "not yet valid": Kind(start="480101000000Z"),
    "wrong host": Kind(names=("wrong-host.invalid",)),
    "self-signed": Kind(issuer=ITSELF),
    "untrusted": Kind(issuer=STRANGER),
    "no names": Kind(names=()),
}
CLIENT = "a client"
_ALL = {**KINDS, CLIENT: Kind(issuer=OF_CLIENTS)}


class Minted(NamedTuple):
    """A certificate and its private key, as PEM."""

    certificate: str
    key: str


def check(kind: str, key: str) -> None:
    """ValueError, with what there is, for another kind of certificate or key."""
    for what, given, table in (("certificate", kind, tuple(KINDS)), ("key", key, tuple(KEYS))):
        if given not in table:
            raise ValueError(f"{given!r} is no kind of {what}: take one of {', '.join(map(repr, table))}")


@functools.cache
def authority(key: str, name: str) -> Minted:
    """The certificate of an authority, with a key of this kind."""
    secret = _key(key, name)
    usage = bits(b"\x06", 1)  # keyCertSign and cRLSign
    # The smallest set that strict verification takes: Python 3.13 and later ask for it.
    extensions = (_extension("2.5.29.19", sequence(TRUE), critical=True), _extension("2.5.29.15", usage, critical=True),
                  _extension("2.5.29.14", octets(_identifier_of(secret))))
    return _certificate(secret, name, secret, name, KINDS["good"], *extensions)


@functools.cache
def certificate(names: tuple[str, ...], kind: str, key: str) -> Minted:
    """A certificate for these host names and addresses; something is wrong with it unless it is "good"."""
    what = _ALL[kind]
    secret = _key(key, "a server or client")
    issuer = secret if what.issuer is ITSELF else _key(key, what.issuer)
    named = names if what.names is None else what.names
    # A subject that is the host still counts where no other names stand, and one of no more than 64 characters.
    subject = named[0][:LONGEST_NAME] if named else kind
    extensions = [_extension("2.5.29.35", sequence(tagged(0x80, _identifier_of(issuer))))]
    if named:
        extensions.append(_extension("2.5.29.17", sequence(*map(_name, named))))
    return _certificate(secret, subject, issuer, subject if what.issuer is ITSELF else what.issuer, what, *extensions)


@functools.cache
def _key(key: str, owner: str) -> Key:
    return KEYS[key](hashlib.sha256(f"for tests only: the key of {owner}".encode()).digest())


def _identifier_of(key: Key) -> bytes:
    return hashlib.sha1(key.public, usedforsecurity=False).digest()


def _certificate(secret: Key, subject: str, issuer: Key, issuer_name: str, kind: Kind, *extensions: bytes) -> Minted:
    # The serial number is that of the contents: no two certificates of one authority share it.
    contents = "".join((subject, issuer_name, kind.start, kind.end)).encode() + b"".join(extensions)
    serial = int.from_bytes(hashlib.sha256(contents).digest()[:8], "big")
    body = sequence(
        tagged(0xA0, integer(2)), integer(serial), issuer.algorithm, _subject(issuer_name),
        sequence(tagged(TIME, kind.start.encode()), tagged(TIME, kind.end.encode())),
        _subject(subject), secret.public, tagged(0xA3, sequence(*extensions)))
    signed = sequence(body, issuer.algorithm, bits(issuer.sign(body)))
    return Minted(pem("CERTIFICATE", signed), pem("PRIVATE KEY", secret.private))


def _subject(name: str) -> bytes:
    return sequence(tagged(SET, sequence(identifier("2.5.4.3"), tagged(UTF8, name.encode()))))


def _extension(dotted: str, content: bytes, *, critical: bool = False) -> bytes:
    return sequence(identifier(dotted), *([TRUE] if critical else []), octets(content))


def _name(name: str) -> bytes:
    """A name of the subject: an address or a host name."""
    try:
        return tagged(0x87, ipaddress.ip_address(name).packed)
    except ValueError:
        return tagged(0x82, name.encode("idna"))
