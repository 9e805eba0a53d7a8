"""DER and PEM: the bytes of certificates and keys (X.690, RFC 7468)."""

from __future__ import annotations

import base64

INTEGER, BITS, OCTETS, IDENTIFIER, UTF8, TIME, SEQUENCE, SET = 0x02, 0x03, 0x04, 0x06, 0x0C, 0x17, 0x30, 0x31
TRUE = b"\x01\x01\xff"
FOR_TESTS_ONLY = "For tests only: everybody has this private key.\n"


def tagged(tag: int, *contents: bytes) -> bytes:
    """One value: its tag, its length and its contents."""
    content = b"".join(contents)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 128 + len(digits)]) + digits + content


def sequence(*items: bytes) -> bytes:
    """A SEQUENCE of values."""
    return tagged(SEQUENCE, *items)


def integer(number: int) -> bytes:
    """A number that is not negative."""
    return tagged(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def bits(content: bytes, unused: int = 0) -> bytes:
    """A BIT STRING; the last `unused` bits of its last byte do not count."""
    return tagged(BITS, bytes([unused]), content)


def octets(content: bytes) -> bytes:
    """An OCTET STRING."""
    return tagged(OCTETS, content)


def identifier(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER, written as in "1.3.101.112"."""
    first, second, *rest = map(int, dotted.split("."))
    content = bytearray([40 * first + second])
    for number in rest:
        groups = [number & 127]
        while number := number >> 7:
            groups.append(128 | number & 127)
        content += bytes(reversed(groups))
    return tagged(IDENTIFIER, bytes(content))


def pem(label: str, content: bytes) -> str:
    """The text form of a "CERTIFICATE" or "PRIVATE KEY"; a key says above it what it is for."""
    text = base64.b64encode(content).decode()
    lines = [text[start:start + 64] for start in range(0, len(text), 64)]
    above = FOR_TESTS_ONLY if label == "PRIVATE KEY" else ""
    return "\n".join([f"{above}-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])
