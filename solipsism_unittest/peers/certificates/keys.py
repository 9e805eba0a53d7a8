"""Keys that sign: Ed25519 (RFC 8032) and P-256 with ECDSA (FIPS 186-5), in plain Python and for tests only.

Nothing here hides a key from somebody who measures time, and the seeds are public. A signature takes about 2 ms.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Protocol

from .encoding import bits, identifier, integer, octets, sequence

Point = tuple[int, ...]


class Key(Protocol):
    """What signs certificates."""

    @property
    def algorithm(self) -> bytes:
        """The AlgorithmIdentifier of its signatures."""

    @property
    def public(self) -> bytes:
        """The SubjectPublicKeyInfo."""

    @property
    def private(self) -> bytes:
        """The PrivateKeyInfo (PKCS #8)."""

    def sign(self, message: bytes) -> bytes:
        """The signature of a message: the same in every run."""


def multiple(number: int, doubled: list[Point], add: Callable[[Point, Point], Point]) -> Point:
    """`number` times a base point, of which `doubled` has the doubles: once, twice, four times, ..."""
    points = [point for place, point in enumerate(doubled) if number >> place & 1]
    return functools.reduce(add, points)


def doubles(base: Point, add: Callable[[Point, Point], Point]) -> list[Point]:
    """A base point, twice, four times, ... up to 2**255 times that point: multiplying is adding then."""
    points = [base]
    while len(points) < 256:
        points.append(add(points[-1], points[-1]))
    return points


# -- Ed25519

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D2 = -2 * 121665 * pow(121666, -1, _P) % _P  # twice the d of the curve
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE_Y = 46316835694926478169428394003475163141307993866256225615783033603165251855960


def _add_ed25519(one: Point, two: Point) -> Point:
    """The sum of two points in extended coordinates (RFC 8032, 5.1.4)."""
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = two
    a, b = (y1 - x1) * (y2 - x2) % _P, (y1 + x1) * (y2 + x2) % _P
    c, d = t1 * t2 * _D2 % _P, 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


@functools.cache
def _ed25519_doubles() -> list[Point]:
    return doubles((_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % _P), _add_ed25519)


def _ed25519_multiple(number: int) -> bytes:
    x, y, z, _ = multiple(number, _ed25519_doubles(), _add_ed25519)
    inverse = pow(z, -1, _P)
    x, y = x * inverse % _P, y * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


class Ed25519Key:
    """A key whose signatures have one size, so that handshakes are as long in every run."""

    algorithm = sequence(identifier("1.3.101.112"))

    def __init__(self, seed: bytes) -> None:
        digest = hashlib.sha512(seed).digest()
        self._seed, self._prefix = seed, digest[32:]
        self._secret = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
        self._point = _ed25519_multiple(self._secret)
        self.public = sequence(self.algorithm, bits(self._point))
        self.private = sequence(integer(0), self.algorithm, octets(octets(seed)))

    def sign(self, message: bytes) -> bytes:
        """As `Key.sign`."""
        nonce = _little(self._prefix + message)
        commitment = _ed25519_multiple(nonce)
        challenge = _little(commitment + self._point + message)
        return commitment + ((nonce + challenge * self._secret) % _ORDER).to_bytes(32, "little")


def _little(content: bytes) -> int:
    return int.from_bytes(hashlib.sha512(content).digest(), "little") % _ORDER


# -- P-256

_Q = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B3 = 3 * 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
GENERATOR = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
              0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5, 1)


def _add_p256(one: Point, two: Point) -> Point:
    """The sum of two points in projective coordinates: complete, so that it doubles too (Renes et al. 2015)."""
    x1, y1, z1 = one
    x2, y2, z2 = two
    xx, yy, zz = x1 * x2, y1 * y2, z1 * z2
    xy, xz, yz = x1 * y2 + x2 * y1, x1 * z2 + x2 * z1, y1 * z2 + y2 * z1
    middle = (_B3 * zz - 3 * xz) % _Q
    minus, plus = yy - middle, yy + middle
    s, u = (3 * xx - 3 * zz) % _Q, (_B3 * xz - 3 * xx - 9 * zz) % _Q
    return (xy * minus - yz * u) % _Q, (minus * plus + s * u) % _Q, (yz * plus + xy * s) % _Q


@functools.cache
def _p256_doubles() -> list[Point]:
    return doubles(GENERATOR, _add_p256)


def p256_multiple(number: int) -> tuple[int, int]:
    """The x and y of so many times the generator."""
    x, y, z = multiple(number, _p256_doubles(), _add_p256)
    inverse = pow(z, -1, _Q)
    return x * inverse % _Q, y * inverse % _Q


class P256Key:
    """A key for programs that do not know Ed25519. The signatures of its handshakes differ in size from run to run."""

    algorithm = sequence(identifier("1.2.840.10045.4.3.2"))  # ecdsa-with-SHA256
    _kind = sequence(identifier("1.2.840.10045.2.1"), identifier("1.2.840.10045.3.1.7"))

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._secret = int.from_bytes(hashlib.sha512(seed).digest(), "big") % (_N - 1) + 1
        x, y = p256_multiple(self._secret)
        self.public = sequence(self._kind, bits(b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")))
        self.private = sequence(integer(0), self._kind,
                                octets(sequence(integer(1), octets(self._secret.to_bytes(32, "big")))))

    def sign(self, message: bytes) -> bytes:
        """As `Key.sign`; the nonce comes from the key and the message."""
        nonce = int.from_bytes(hashlib.sha512(self._seed + message).digest(), "big") % (_N - 1) + 1
        r = p256_multiple(nonce)[0] % _N
        digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
        s = pow(nonce, -1, _N) * (digest + r * self._secret) % _N
        return sequence(integer(r), integer(s))


KEYS: dict[str, Callable[[bytes], Key]] = {"ed25519": Ed25519Key, "p256": P256Key}
