"""Ends of connections that write down what goes through them, and the kernel that makes them.

Owns a class for each kind of end, which does all that the plain one does. An end becomes one of these when it gets its
descriptor, and a plain one is asked nothing: so a test without evidence pays nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ...kernel import Kernel
from ...kernel.descriptors.connection import Connection
from ...kernel.descriptors.datagram import Datagram, Packet, route
from ...kernel.descriptors.end import Address, Received, shown
from ...kernel.descriptors.file import File
from ...kernel.descriptors.pipe import PipeEnd
from ...kernel.descriptors.stream import CutStream, Stream
from ...kernel.descriptors.transitions import CONNECT, CONNECTED, CONNECTING, DEAF, RST
from .tape import Tape, tape_of

_PEEK = 2  # MSG_PEEK
_TRANSMIT: Any = vars(Connection)["transmit"]  # the plain one, which `transmit` of a recorded end covers


class Transmit:
    """What an end sends through: it writes down what is sent, and hands it on."""

    __slots__ = ("_end", "_go_on")

    def __init__(self, end: Connection, go_on: Callable[[str, bytes | memoryview], None]) -> None:
        self._end = end
        self._go_on = go_on

    def __call__(self, kind: str, data: bytes | memoryview) -> None:
        tape = tape_of(self._end.journal)
        segment = self._end, kind, id(data)
        if tape is None or kind is DEAF or tape.sending == segment:  # somebody stands between, who hands it on
            self._go_on(kind, data)
            return
        tape.add("sent", tape.number(self._end), kind, tape.kept(data), len(data))
        before, tape.sending = tape.sending, segment
        try:
            self._go_on(kind, data)
        finally:
            tape.sending = before

    def __eq__(self, other: object) -> bool:
        return self._go_on == other


class RecordedStream(Stream):
    """A stream, or a listener."""

    __slots__ = ()

    @property
    def transmit(self) -> Callable[[str, bytes | memoryview], None]:
        """As a plain end has it; what is sent is written down."""
        return Transmit(self, _TRANSMIT.__get__(self))

    @transmit.setter
    def transmit(self, value: Callable[[str, bytes | memoryview], None]) -> None:
        _TRANSMIT.__set__(self, value)

    def hand_over(self, data: bytes) -> bool:
        """Never: what is sent is written down."""
        return False

    def _note(self, kind: str, *facts: Any) -> None:
        tape = tape_of(self.journal)
        if tape is not None:
            tape.add(kind, tape.number(self), *facts)

    def move(self, event: str) -> None:
        """As a plain end does."""
        if event is CONNECT:
            self._note("syn", *_asked(self))
        super().move(event)

    def give_up(self, code: int) -> None:
        """As a plain end does."""
        self._note("gave up", os.strerror(code))
        super().give_up(code)

    def join(self, peer: Connection) -> None:
        """As a plain end does."""
        super().join(peer)
        tape = tape_of(self.journal)
        if tape is not None:
            tape.add("joined", tape.number(self), tape.number(peer), self.is_tcp, _addressed(self.local),
                     _addressed(self.remote), self.label)

    def arrive(self, kind: str, data: bytes | memoryview = b"") -> None:
        """As a plain end does."""
        was_connecting = self.state is CONNECTING
        super().arrive(kind, data)
        if kind is RST and was_connecting:
            self._note("refused")
        elif kind is not DEAF:
            self._note("arrived", kind, len(data), len(self.incoming), self.capacity)

    def repeats(self, kind: str, data: bytes, back: int) -> None:
        """Write it down."""
        tape = tape_of(self.journal)
        if tape is not None:
            tape.add("repeated", tape.number(self), kind, tape.kept(data), len(data), back)

    def accept(self) -> Stream:
        """As a plain end does."""
        server = super().accept()
        tape = tape_of(self.journal)
        if tape is not None:
            tape.add("accepted", tape.number(server))
        return server

    def recv(self, size: int) -> bytes:
        """As a plain end does."""
        data = super().recv(size)
        self._note("read", len(data), len(self.incoming), self.capacity)
        return data

    def recv_into(self, buffer: memoryview) -> int:
        """As a plain end does."""
        size = super().recv_into(buffer)
        self._note("read", size, len(self.incoming), self.capacity)
        return size


class RecordedCutStream(RecordedStream, CutStream):
    """The same where an exploration cuts what is read and sent."""

    __slots__ = ()


def _asked(end: Stream) -> tuple[Any, ...]:
    """What a tape has of a connect."""
    return end.is_tcp, _addressed(end.local), _addressed(end.remote), end.label


def _addressed(address: Address | None) -> tuple[str, int] | None:
    """An address for a tape: of a UNIX socket its name, and port 0."""
    if address is None:
        return None
    return (shown(address), 0) if len(address) == 1 else (address[0], address[1])


class RecordedDatagram(Datagram):
    """An end of UDP, or of a UNIX datagram socket."""

    __slots__ = ()

    def send(self, data: bytes | memoryview) -> int:
        """As a plain end does."""
        return self._written(data, lambda: super(RecordedDatagram, self).send(data))

    def send_to(self, data: bytes | memoryview, address: Address) -> int:
        """As a plain end does."""
        return self._written(data, lambda: super(RecordedDatagram, self).send_to(data, address), address)

    def _written(self, data: bytes | memoryview, send: Callable[[], int], address: Address | None = None) -> int:
        tape = tape_of(self.journal)
        if tape is None:
            return send()
        tape.datagram = (tape.number(self), bytes(data)) if self.is_udp else None
        peer = self.peer
        try:
            size = send()
        finally:
            tape.datagram = None
        if not self.is_udp:
            assert address is not None or peer is not None  # or there would have been an error
            target = shown(address) if address is not None else _name(tape, peer)
            tape.add("unix datagram", tape.number(self), _name(tape, self), target, tape.kept(data), len(data))
        return size

    def arrive(self, packet: Packet) -> None:
        """As a plain end does."""
        before = len(self.queue)
        super().arrive(packet)
        tape = tape_of(self.journal)
        if tape is not None and len(self.queue) > before:
            tape.add("came", tape.number(self), route(packet), len(packet.data))

    def recv(self, size: int) -> bytes:
        """As a plain end does."""
        data = super().recv(size)
        self._note_read(len(data))
        return data

    def receive(self, size: int, flags: int) -> Received:
        """As a plain end does."""
        received = super().receive(size, flags)
        if not flags & _PEEK:
            self._note_read(received.length)
        return received

    def _note_read(self, size: int) -> None:
        tape = tape_of(self.journal)
        if tape is not None:
            tape.add("read", tape.number(self), size, 0, 0)


def _name(tape: Tape, end: Any) -> str:
    return shown(end.local) if end.local is not None else f"unnamed-{tape.number(end)}"


class RecordedPipe(PipeEnd):
    """One end of a pipe."""

    __slots__ = ()

    def send(self, data: bytes | memoryview) -> int:
        """As a plain end does."""
        size = super().send(data)
        tape = tape_of(self.journal)
        if tape is not None and size:
            tape.add("written", tape.number(self), tape.number(self.peer), tape.kept(data[:size]), size)
        return size

    def recv(self, size: int) -> bytes:
        """As a plain end does."""
        data = super().recv(size)
        tape = tape_of(self.journal)
        if tape is not None:
            tape.add("read", tape.number(self), len(data), 0, 0)
        return data

    def close(self) -> None:
        """As a plain end does."""
        was_closed = self.closed
        super().close()
        tape = tape_of(self.journal)
        if tape is not None and not was_closed:
            tape.add("pipe closed", tape.number(self), self.writes)


RECORDED: dict[type[File], type[File]] = {Stream: RecordedStream, CutStream: RecordedCutStream,
                                          Datagram: RecordedDatagram, PipeEnd: RecordedPipe}


class RecordedKernel(Kernel):
    """A machine whose ends write down what goes through them."""

    def open(self, file: File) -> File:
        """As a plain one does."""
        file.__class__ = RECORDED.get(type(file), type(file))
        return super().open(file)


def begin(kernel: Kernel) -> Tape:
    """Write on a new tape what happens on this machine from now on."""
    tape = Tape(kernel.clock, kernel.choices)
    tape.begin(kernel.journal)
    kernel.__class__ = RecordedKernel
    files = list(kernel.files.values())
    for file in files:
        file.__class__ = RECORDED.get(type(file), type(file))
    for file in files:
        if isinstance(file, RecordedStream) and file.state is CONNECTING:
            tape.add("syn", tape.number(file), *_asked(file))
        elif isinstance(file, RecordedStream) and file.peer is not None and file.state in CONNECTED:
            if getattr(_TRANSMIT.__get__(file), "__func__", None) is Connection.arrive:
                file.transmit = file.peer.arrive  # that of its new class
            tape.add("open", tape.number(file), tape.number(file.peer), file.is_tcp, _addressed(file.local),
                     _addressed(file.remote), file.label)
    return tape


def end(kernel: Kernel) -> None:
    """Write nothing more down. Ends stay what they are: others have their methods, and without a tape they are plain.
    """
    tape = tape_of(kernel.journal)
    if tape is not None:
        tape.end(kernel.journal)
    kernel.__class__ = Kernel
