"""A capture file: the blocks of pcapng (draft-ietf-opsawg-pcapng), in the one order that every tool takes.

Section, interfaces, names, secrets, packets. With secrets behind the packets of a handshake tshark decrypts nothing;
with names before the interfaces editcap refuses the file. Times are virtual seconds, in nanoseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .packets import IPAddress

RAW_IP, EXPORTED_PDU = 101, 252  # link types (tcpdump.org/linktypes.html)
_SECTION, _INTERFACE, _NAMES, _PACKET, _SECRETS = 0x0A0D0D0A, 1, 4, 6, 10
_TLS_KEYS = 0x544C534B
_END = 0, b""


class Interface(NamedTuple):
    """A place where packets were seen."""

    name: str
    link_type: int
    description: str


class Captured(NamedTuple):
    """A packet: the interface by its number, the virtual time, the bytes, how many more there were, and comments."""

    interface: int
    time: float
    data: bytes
    missing: int = 0
    comments: tuple[str, ...] = ()


def _number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "little")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _options(options: Iterable[tuple[int, bytes]]) -> bytes:
    found = list(options)
    return b"".join(_number(code, 2) + _number(len(value), 2) + _padded(value)
                    for code, value in [*found, *([_END] if found else [])])


def _block(kind: int, body: bytes) -> bytes:
    length = _number(len(body) + 12)
    return _number(kind) + length + body + length


def _text(text: str, most: int = 60_000) -> bytes:
    return text.encode("utf-8", "backslashreplace")[:most]


def _interface(interface: Interface) -> bytes:
    nanoseconds = 9
    return _block(_INTERFACE, _number(interface.link_type, 2) + _number(0, 2) + _number(0) + _options(
        [(2, _text(interface.name)), (3, _text(interface.description)), (9, bytes([nanoseconds]))]))


def _names(names: Mapping[IPAddress, Sequence[str]]) -> bytes:
    """Of several names of one address tools show the last."""
    records = b""
    for address, known in names.items():
        for name in known:
            body = address.packed + _text(name, 1_000) + b"\0"
            records += _number(1 if address.version == 4 else 2, 2) + _number(len(body), 2) + _padded(body)
    return _block(_NAMES, records + _number(0, 2) + _number(0, 2))


def _packet(packet: Captured) -> bytes:
    time = min(max(round(packet.time * 1e9), 0), 2**64 - 1)
    return _block(_PACKET, b"".join([
        _number(packet.interface), _number(time >> 32), _number(time & 0xFFFF_FFFF), _number(len(packet.data)),
        _number(len(packet.data) + packet.missing), _padded(packet.data),
        _options((1, _text(comment)) for comment in packet.comments)]))


def file(comment: str, interfaces: Sequence[Interface], names: Mapping[IPAddress, Sequence[str]], secrets: bytes,
         packets: Iterable[Captured]) -> bytes:
    """A whole file. `secrets` is text as OpenSSL logs keys; b"" for none."""
    head = _number(0x1A2B3C4D) + _number(1, 2) + _number(0, 2) + b"\xff" * 8
    return b"".join([
        _block(_SECTION, head + _options([(1, _text(comment)), (4, b"solipsism_unittest")])),
        *map(_interface, interfaces),
        *([_names(names)] if names else []),
        *([_block(_SECRETS, _number(_TLS_KEYS) + _number(len(secrets)) + _padded(secrets))] if secrets else []),
        *map(_packet, packets)])


def remark(level: int, text: str) -> bytes:
    """A line of the test's own, as a message of syslog (RFC 3164) in an exported PDU: a row of its own in the list.

    `level` is 3 for what went wrong, 4 for a choice, and 6 for all else.
    """
    def tag(number: int, value: bytes) -> bytes:
        return number.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value

    facility = 1  # of a user's program
    return tag(12, _padded(b"syslog")) + tag(0, b"") + b"<%d>" % (facility << 3 | level) + _text(text)
