"""Frames: what travels between a client and the broker.

    +---------------------+----------------------+---------------+-----------+
    | header size: uint16 | payload size: uint32 | header (JSON) |  payload  |
    +---------------------+----------------------+---------------+-----------+

Sizes are in network byte order. The header is a JSON object: the frame's kind and the fields that `FIELDS` asks for.
Nothing here does I/O: whoever owns the stream feeds a `FrameDecoder`, which never believes a size that it has not
checked, and refuses a frame as soon as its first six bytes show that it is too large.
"""

import json
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MAX_HEADER = 8192  # bytes; two texts of 255 characters in JSON's \ud83d\ude00 notation, and the rest, stay below it
MAX_PAYLOAD = 1024 * 1024  # bytes
MAX_TEXT = 255  # characters in a topic, a name, an id or a reason

_SIZES = struct.Struct("!HI")


class PubSubError(Exception):
    """Anything that this package raises on purpose."""


class ProtocolError(PubSubError):
    """The peer, or the caller, broke the rules of the protocol."""


class Kind(StrEnum):
    HELLO = "hello"  # client: the first frame of a connection, with the client's name
    WELCOME = "welcome"  # broker: the answer to it
    SUBSCRIBE = "subscribe"  # client: a request, answered by DONE or REFUSED with the same number
    UNSUBSCRIBE = "unsubscribe"  # client: a request
    PUBLISH = "publish"  # client: a request; the answer means that the broker is now responsible for the message
    DONE = "done"
    REFUSED = "refused"
    MESSAGE = "message"  # broker: to a subscriber, again and again until it is acknowledged
    ACK = "ack"  # client: the message with this id has been dealt with
    PING = "ping"  # both: I am alive; needs no answer, because the other side says so too
    GOODBYE = "goodbye"  # broker: the last frame of a connection, and whether it makes sense to come back


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT


def _is_number(value: object) -> bool:
    return type(value) is int  # not isinstance: JSON's true is an int to Python


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


FIELDS = {
    Kind.HELLO: {"client": _is_text},
    Kind.WELCOME: {},
    Kind.SUBSCRIBE: {"request": _is_number, "topic": _is_text},
    Kind.UNSUBSCRIBE: {"request": _is_number, "topic": _is_text},
    Kind.PUBLISH: {"request": _is_number, "id": _is_text, "topic": _is_text},
    Kind.DONE: {"request": _is_number},
    Kind.REFUSED: {"request": _is_number, "reason": _is_text},
    Kind.MESSAGE: {"id": _is_text, "topic": _is_text, "redelivered": _is_flag},
    Kind.ACK: {"id": _is_text},
    Kind.PING: {},
    Kind.GOODBYE: {"reason": _is_text, "retry": _is_flag},
}


@dataclass(frozen=True)
class Frame:
    """One unit of the protocol; `frame["topic"]` reads a field of its header."""

    kind: Kind
    fields: dict[str, Any] = field(default_factory=dict)
    payload: bytes = b""

    def __post_init__(self) -> None:
        for name, is_valid in FIELDS[self.kind].items():
            if not is_valid(self.fields.get(name)):
                raise ProtocolError(f"{self.kind} frame with {name}={self.fields.get(name)!r:.80}")

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def encode(self, *, max_payload: int = MAX_PAYLOAD) -> bytes:
        if len(self.payload) > max_payload:
            raise ProtocolError(f"payload of {len(self.payload)} bytes, at most {max_payload} are allowed")
        header = json.dumps({"kind": self.kind, **self.fields}).encode()
        return _SIZES.pack(len(header), len(self.payload)) + header + self.payload


class FrameDecoder:
    """Turns bytes, cut in any way, into frames."""

    def __init__(self, *, max_payload: int = MAX_PAYLOAD) -> None:
        self._max_payload = max_payload
        self._buffer = bytearray()

    def __repr__(self) -> str:
        return f"<FrameDecoder {len(self._buffer)} bytes of an unfinished frame>"

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """The next complete frame, or None until more bytes have been fed."""
        if len(self._buffer) < _SIZES.size:
            return None
        header_size, payload_size = _SIZES.unpack_from(self._buffer)
        if header_size > MAX_HEADER:
            raise ProtocolError(f"header of {header_size} bytes, at most {MAX_HEADER} are allowed")
        if payload_size > self._max_payload:
            raise ProtocolError(f"payload of {payload_size} bytes, at most {self._max_payload} are allowed")
        payload_start = _SIZES.size + header_size
        end = payload_start + payload_size
        if len(self._buffer) < end:
            return None
        header = bytes(self._buffer[_SIZES.size : payload_start])
        payload = bytes(self._buffer[payload_start:end])
        del self._buffer[:end]
        return _parse(header, payload)

    def finish(self) -> None:
        """To be called at the end of the stream, which may only come between two frames."""
        if self._buffer:
            raise ProtocolError(f"the stream ended after {len(self._buffer)} bytes of an unfinished frame")


def _parse(header: bytes, payload: bytes) -> Frame:
    try:
        fields = json.loads(header)
    except (ValueError, RecursionError) as error:  # RecursionError: a kilobyte of "[" is enough
        raise ProtocolError(f"header {header!r:.80} is not JSON") from error
    if not isinstance(fields, dict):
        raise ProtocolError(f"header {header!r:.80} is not a JSON object")
    kind = fields.pop("kind", None)
    try:
        kind = Kind(kind)
    except ValueError:
        raise ProtocolError(f"unknown kind of frame {kind!r:.80}") from None
    return Frame(kind, fields, payload)
