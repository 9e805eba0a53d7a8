"""What a protocol is told by its transport, in which order, over a connection that anything may happen to.

A `Witness` is a protocol that notes its callbacks. Chunks of data that follow each other are noted as one: where a
stream is cut is nobody's contract.
"""

import asyncio
import hashlib
import socket
from typing import Any

from tests.contracts.arms import RESET_ON_CLOSE, Arm, Contract, failure, outcome, scenario, shape

BIG = bytes(range(256)) * 60_000
"""More than a kernel and a transport take together before they push back."""


class Witness(asyncio.Protocol):
    """Notes what happens; `stays` is what it answers to an end of file."""

    def __init__(self, *, stays: bool = False) -> None:
        self.stays = stays
        self.story: list[Any] = []
        self.transport: Any = None
        self.received = 0

    @property
    def sock(self) -> Any:
        return self.transport.get_extra_info("socket")

    @property
    def lost(self) -> bool:
        return any(chapter[0] == "lost" for chapter in self.story)

    def told(self, word: str) -> bool:
        return any(chapter[0] == word for chapter in self.story)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.story.append(("made",))

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.story[-1][0] == "data":
            self.story[-1] = ("data", self.story[-1][1] + data)
        else:
            self.story.append(("data", data))

    def eof_received(self) -> bool:
        self.story.append(("eof",))
        return self.stays

    def pause_writing(self) -> None:
        self.story.append(("pause",))

    def resume_writing(self) -> None:
        self.story.append(("resume",))

    def connection_lost(self, exc: Exception | None) -> None:
        self.story.append(("lost", failure(exc)))


class Counting(Witness):
    """A witness that notes how much it receives, not what."""

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.story[-1][0] != "data":
            self.story.append(("data",))


class BufferedWitness(asyncio.BufferedProtocol):
    """A witness that lends its transport a buffer of four bytes."""

    def __init__(self) -> None:
        self.buffer = bytearray(4)
        self.story: list[Any] = []
        self.data = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.story.append(("made",))

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= 4
        self.data += self.buffer[:nbytes]

    def eof_received(self) -> None:
        self.story.append(("eof", self.data))

    def connection_lost(self, exc: Exception | None) -> None:
        self.story.append(("lost", failure(exc)))


class Transports(Contract):
    """TCP over IPv4."""

    async def sockets(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return await arm.connection(self.host)

    async def wrap(self, arm: Arm, sock: socket.socket, protocol: Any) -> Any:
        await asyncio.get_running_loop().create_connection(lambda: protocol, sock=sock)
        arm.keep_transport(protocol.transport)
        return protocol

    async def joined(self, arm: Arm, own: Any = None, peer: Any = None) -> tuple[Any, Any]:
        """Two witnesses at the ends of one connection."""
        one, other = await self.sockets(arm)
        return await self.wrap(arm, one, own or Witness()), await self.wrap(arm, other, peer or Witness())

    async def facing(self, arm: Arm, own: Any = None) -> tuple[Any, socket.socket]:
        """A witness at one end, a bare socket at the other."""
        one, other = await self.sockets(arm)
        return await self.wrap(arm, one, own or Witness()), other

    async def lost(self, arm: Arm, *witnesses: Any) -> None:
        for witness in witnesses:
            await arm.until(lambda witness=witness: witness.lost)

    def reset(self, sock: socket.socket) -> None:
        """Close with a reset."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        sock.close()

    # A connection's life

    @scenario
    async def test_life_of_a_connection(self, arm: Arm) -> Any:
        """Made, data, end of file, lost without an error: on both sides."""
        own, peer = await self.joined(arm)
        own.transport.write(b"question")
        await arm.until(lambda: peer.received == 8)
        peer.transport.write(b"answer")
        await arm.until(lambda: own.received == 6)
        own.transport.close()
        await self.lost(arm, own, peer)
        arm.see(own.story)
        arm.see(peer.story)
        return [
            [("made",), ("data", b"answer"), ("lost", None)],
            [("made",), ("data", b"question"), ("eof",), ("lost", None)],
        ]

    @scenario
    async def test_close_is_told_later(self, arm: Arm) -> Any:
        """close() returns before connection_lost() is called, and is_closing() is true at once."""
        own, _ = await self.joined(arm)
        arm.see(own.transport.is_closing(), own.transport.close(), own.transport.is_closing(), own.lost)
        await asyncio.sleep(0)
        arm.see(own.story)
        arm.see(outcome(own.transport.close), outcome(own.transport.abort))
        await arm.calm()
        arm.see(own.story)
        return [(False, None, True, False), [("made",), ("lost", None)], (None, None), [("made",), ("lost", None)]]

    @scenario
    async def test_close_delivers_what_was_written(self, arm: Arm) -> Any:
        """close() first sends everything, then ends the connection, however slow the peer is."""
        own, peer = await self.joined(arm, None, Counting())
        peer.transport.pause_reading()
        own.transport.write(BIG)
        own.transport.close()
        await arm.calm()
        arm.see(own.lost, own.transport.is_closing(), own.transport.get_write_buffer_size() > 0)
        peer.transport.resume_reading()
        await self.lost(arm, own, peer)
        arm.see(peer.received == len(BIG), peer.story)
        arm.see(own.story)
        return [
            (False, True, True),
            (True, [("made",), ("data",), ("eof",), ("lost", None)]),
            [("made",), ("pause",), ("resume",), ("lost", None)],
        ]

    @scenario
    async def test_abort(self, arm: Arm) -> Any:
        """abort() with nothing unread is an orderly end for the peer."""
        own, peer = await self.joined(arm)
        own.transport.abort()
        arm.see(own.lost, own.transport.is_closing())
        await self.lost(arm, own, peer)
        arm.see(own.story)
        arm.see(peer.story)
        return [(False, True), [("made",), ("lost", None)], [("made",), ("eof",), ("lost", None)]]

    @scenario
    async def test_abort_drops_what_was_written(self, arm: Arm) -> Any:
        """abort() does not wait for a peer that does not read, and what was still in the transport is lost."""
        own, peer = await self.joined(arm, None, Counting())
        peer.transport.pause_reading()
        own.transport.write(BIG)
        await arm.calm()
        own.transport.abort()
        await self.lost(arm, own)
        arm.see(own.story, own.transport.get_write_buffer_size())
        peer.transport.resume_reading()
        await self.lost(arm, peer)
        arm.see(0 < peer.received < len(BIG), peer.story)
        return [
            ([("made",), ("pause",), ("lost", None)], 0),
            (True, [("made",), ("data",), ("eof",), ("lost", None)]),
        ]

    @scenario
    async def test_abort_with_unread_data(self, arm: Arm) -> Any:
        """abort() that throws received data away resets the peer, which is told no end of file."""
        own, peer = await self.joined(arm)
        own.transport.pause_reading()
        peer.transport.write(b"never read")
        await arm.calm()
        own.transport.abort()
        await self.lost(arm, own, peer)
        arm.see(own.story)
        arm.see(peer.story)
        return [[("made",), ("lost", None)], [("made",), ("lost", "ECONNRESET")]]

    @scenario
    async def test_close_from_data_received(self, arm: Arm) -> Any:
        """A protocol that closes in data_received() hears nothing more but connection_lost()."""

        class Closing(Witness):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                self.transport.write(b"bye")
                self.transport.close()

        own, peer = await self.facing(arm, Closing())
        peer.send(b"first")
        await self.lost(arm, own)
        arm.see(own.story)
        await arm.readable(peer)
        arm.see(peer.recv(10))
        return [[("made",), ("data", b"first"), ("lost", None)], b"bye"]

    # Half-close

    @scenario
    async def test_write_eof(self, arm: Arm) -> Any:
        """write_eof() ends one half behind what was written; the other half goes on, until both have ended."""
        own, peer = await self.joined(arm, Witness(stays=True), Witness(stays=True))
        arm.see(own.transport.can_write_eof())
        own.transport.write(b"question")
        own.transport.write_eof()
        await arm.until(lambda: peer.told("eof"))
        arm.see(own.transport.is_closing(), peer.transport.is_closing())
        peer.transport.write(b"answer")
        peer.transport.write_eof()
        await arm.until(lambda: own.told("eof"))
        own.transport.close()
        peer.transport.close()
        await self.lost(arm, own, peer)
        arm.see(own.story)
        arm.see(peer.story)
        return [
            True,
            (False, False),
            [("made",), ("data", b"answer"), ("eof",), ("lost", None)],
            [("made",), ("data", b"question"), ("eof",), ("lost", None)],
        ]

    @scenario
    async def test_write_eof_to_who_does_not_stay(self, arm: Arm) -> Any:
        """A protocol that does not stay after the end of file closes, having sent what it wrote by then."""

        class LastWord(Witness):
            def eof_received(self) -> bool:
                self.transport.write(b"last word")
                return super().eof_received()

        own, peer = await self.joined(arm, None, LastWord())
        own.transport.write_eof()
        await self.lost(arm, own, peer)
        arm.see(own.story)
        arm.see(peer.story)
        return [
            [("made",), ("data", b"last word"), ("eof",), ("lost", None)],
            [("made",), ("eof",), ("lost", None)],
        ]

    @scenario
    async def test_write_eof_behind_a_full_buffer(self, arm: Arm) -> Any:
        """write_eof() waits until everything was sent."""
        own, peer = await self.joined(arm, Witness(stays=True), Counting(stays=True))
        peer.transport.pause_reading()
        own.transport.write(BIG)
        own.transport.write_eof()
        await arm.calm()
        arm.see(own.transport.get_write_buffer_size() > 0)
        peer.transport.resume_reading()
        await arm.until(lambda: peer.told("eof"))
        arm.see(peer.received == len(BIG), own.story, peer.story)
        return [True, (True, [("made",), ("pause",), ("resume",)], [("made",), ("data",), ("eof",)])]

    @scenario
    async def test_write_after_write_eof(self, arm: Arm) -> Any:
        """Nothing is written after the end of file, which itself may be written twice."""
        own, _ = await self.joined(arm)
        own.transport.write_eof()
        try:
            own.transport.write(b"late")
        except RuntimeError as error:
            arm.see(str(error))
        arm.see(outcome(own.transport.write_eof), outcome(own.transport.writelines, [b"late"]))
        return ["Cannot call write() after write_eof()", (None, "RuntimeError")]

    # Reset

    @scenario
    async def test_reset(self, arm: Arm) -> Any:
        """Data that the peer threw away is a lost connection with its error, and no end of file."""
        own, peer = await self.facing(arm)
        own.transport.write(b"never read")
        await arm.readable(peer)
        peer.close()
        await self.lost(arm, own)
        arm.see(own.story)
        return [[("made",), ("lost", "ECONNRESET")]]

    @scenario
    async def test_reset_behind_data(self, arm: Arm) -> Any:
        """What came before the reset is received first."""
        own, peer = await self.facing(arm)
        own.transport.write(b"never read")
        await arm.readable(peer)
        own.transport.pause_reading()
        peer.send(b"last words")
        peer.close()
        await arm.calm()
        arm.see(own.story)
        own.transport.resume_reading()
        await self.lost(arm, own)
        arm.see(own.story[1:])
        return [[("made",)], [("data", b"last words"), ("lost", "ECONNRESET")]]

    @scenario
    async def test_reset_while_reading_is_paused(self, arm: Arm) -> Any:
        """A transport that neither reads nor writes does not notice a reset until it does."""
        own, peer = await self.facing(arm)
        own.transport.write(b"never read")
        await arm.readable(peer)
        own.transport.pause_reading()
        await asyncio.sleep(0)
        peer.close()
        await arm.calm()
        arm.see(own.story, own.transport.is_closing())
        own.transport.resume_reading()
        await self.lost(arm, own)
        arm.see(own.story)
        return [([("made",)], False), [("made",), ("lost", "ECONNRESET")]]

    @scenario
    async def test_peer_closes_under_a_paused_writer(self, arm: Arm) -> Any:
        """A writer that waits for room learns of the end of its connection, and is not resumed."""
        own, peer = await self.facing(arm)
        own.transport.write(BIG)
        await arm.calm()
        arm.see(own.story)
        peer.close()
        await self.lost(arm, own)
        arm.see(own.story[-1][0], own.told("resume"), own.story[-1][1] in ("ECONNRESET", "EPIPE"))
        return [[("made",), ("pause",)], ("lost", False, True)]

    @scenario
    async def test_writes_to_a_peer_that_is_gone(self, arm: Arm) -> Any:
        """A protocol that stays after the end of file finds out by its writes that nobody is there."""
        own, peer = await self.facing(arm, Witness(stays=True))
        peer.close()
        await arm.until(lambda: own.told("eof"))
        arm.see(own.transport.is_closing())
        for _ in range(3):
            own.transport.write(b"anybody?")
            await arm.calm()
        await self.lost(arm, own)
        arm.see(own.story)
        return [False, [("made",), ("eof",), ("lost", "EPIPE")]]

    @scenario
    async def test_write_after_close(self, arm: Arm) -> Any:
        """What is written after close() goes nowhere, and is no error."""
        own, peer = await self.joined(arm)
        own.transport.write(b"before ")
        own.transport.close()
        arm.see(outcome(own.transport.write, b"after"))
        await self.lost(arm, own, peer)
        arm.see(peer.story)
        return [None, [("made",), ("data", b"before "), ("eof",), ("lost", None)]]

    # Flow control

    @scenario
    async def test_pause_reading(self, arm: Arm) -> Any:
        """A paused transport receives nothing; resumed, it receives everything at once, and the end after it."""
        own, peer = await self.facing(arm)
        arm.see(own.transport.is_reading())
        own.transport.pause_reading()
        arm.see(own.transport.is_reading(), outcome(own.transport.pause_reading))
        for part in (b"one ", b"two ", b"three"):
            peer.send(part)
        peer.close()
        await arm.calm()
        arm.see(own.story)
        own.transport.resume_reading()
        arm.see(own.transport.is_reading(), outcome(own.transport.resume_reading))
        await self.lost(arm, own)
        arm.see(own.story)
        return [
            True,
            (False, None),
            [("made",)],
            (True, None),
            [("made",), ("data", b"one two three"), ("eof",), ("lost", None)],
        ]

    @scenario
    async def test_pause_and_resume_writing(self, arm: Arm) -> Any:
        """A peer that does not read pauses the writer, once; one that reads again resumes it, once."""
        own, peer = await self.joined(arm, None, Counting())
        peer.transport.pause_reading()
        for _ in range(4):
            own.transport.write(BIG[: len(BIG) // 4])
        await arm.calm()
        arm.see(own.story, own.transport.get_write_buffer_size() > 0)
        peer.transport.resume_reading()
        await arm.until(lambda: peer.received == len(BIG))
        await arm.calm()
        arm.see(own.story, own.transport.get_write_buffer_size())
        own.transport.write(b"x")
        arm.see(own.transport.get_write_buffer_size())
        return [([("made",), ("pause",)], True), ([("made",), ("pause",), ("resume",)], 0), 0]

    @scenario
    async def test_pause_writing_is_called_by_write(self, arm: Arm) -> Any:
        """pause_writing() is called before the write() that fills the buffer returns."""
        own, _ = await self.facing(arm)
        own.transport.write(BIG)
        arm.see(own.story)
        return [[("made",), ("pause",)]]

    @scenario
    async def test_write_buffer_limits(self, arm: Arm) -> Any:
        """The limits are what they are set to, with asyncio's defaults, and high must not be below low."""
        own, peer = await self.facing(arm)
        transport = own.transport
        arm.see(transport.get_write_buffer_limits())
        for limits in ({"high": 4000}, {"low": 100}, {"high": 10, "low": 5}, {"high": 0}):
            transport.set_write_buffer_limits(**limits)
            arm.see(transport.get_write_buffer_limits())
        arm.see(outcome(lambda: transport.set_write_buffer_limits(high=1, low=2)))
        arm.see(outcome(lambda: transport.set_write_buffer_limits(low=-1)))
        transport.write(b"small")
        arm.see(own.story)
        transport.write(BIG)
        arm.see(own.story)
        while not own.told("resume"):
            await arm.readable(peer)
            peer.recv(1 << 20)
            await asyncio.sleep(0)
        arm.see(transport.get_write_buffer_size())
        return [
            (16384, 65536),
            (1000, 4000),
            (100, 400),
            (5, 10),
            (0, 0),
            "ValueError",
            "ValueError",
            [("made",)],
            [("made",), ("pause",)],
            0,
        ]

    @scenario
    async def test_writes_of_all_kinds(self, arm: Arm) -> Any:
        """A transport writes anything with bytes in it, joins lines, and refuses what is none."""
        own, peer = await self.facing(arm)
        for data in (b"bytes ", bytearray(b"bytearray "), memoryview(b"memoryview "), b""):
            own.transport.write(data)
        own.transport.writelines([b"a ", bytearray(b"few "), memoryview(b"lines")])
        arm.see(outcome(own.transport.write, "text"), outcome(own.transport.write, None))
        own.transport.close()
        arm.see(await arm.drain(peer))
        return [("TypeError", "TypeError"), b"bytes bytearray memoryview a few lines"]

    @scenario
    async def test_small_writes_arrive_together(self, arm: Arm) -> Any:
        """Writes of one turn are one read for the peer."""
        own, peer = await self.facing(arm)
        for number in range(10):
            own.transport.write(b"%05d" % number)
        await arm.readable(peer)
        await arm.calm()
        arm.see(len(peer.recv(1000)))
        return [50]

    @scenario
    async def test_bulk_both_ways(self, arm: Arm) -> Any:
        """Megabytes that cross each other arrive whole on both sides, however often the writers pause."""

        class Hashing(Counting):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                self.digest = hashlib.sha256()

            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                self.digest.update(data)

        own, peer = await self.joined(arm, Hashing(stays=True), Hashing(stays=True))
        payloads = (BIG[1:], BIG[7:])
        for end, payload in zip((own, peer), payloads, strict=True):
            end.transport.write(payload)
            end.transport.write_eof()
        await arm.until(lambda: own.told("eof") and peer.told("eof"))
        for end, payload in zip((peer, own), payloads, strict=True):
            arm.see(end.received == len(payload), end.digest.digest() == hashlib.sha256(payload).digest())
        return [(True, True)] * 2

    # Protocols

    @scenario
    async def test_buffered_protocol(self, arm: Arm) -> Any:
        """A buffered protocol gets its data through the buffer that it lends."""
        own, peer = await self.facing(arm, BufferedWitness())
        peer.send(b"more than four bytes")
        peer.close()
        await arm.until(lambda: len(own.story) == 3)
        arm.see(own.story)
        return [[("made",), ("eof", b"more than four bytes"), ("lost", None)]]

    @scenario
    async def test_buffered_protocol_is_reset(self, arm: Arm) -> Any:
        """A buffered protocol is told of a reset like any other."""
        own, peer = await self.facing(arm, BufferedWitness())
        own.transport.write(b"never read")
        await arm.readable(peer)
        peer.close()
        await arm.until(lambda: len(own.story) == 2)
        arm.see(own.story)
        return [[("made",), ("lost", "ECONNRESET")]]

    @scenario
    async def test_protocol_is_exchanged(self, arm: Arm) -> Any:
        """After set_protocol() the new protocol hears what the old one would have heard."""
        own, peer = await self.facing(arm)
        peer.send(b"for the old one")
        await arm.until(lambda: own.received)
        new = Witness()
        new.connection_made(own.transport)
        own.transport.set_protocol(new)
        arm.see(own.transport.get_protocol() is new)
        peer.send(b"for the new one")
        peer.close()
        await self.lost(arm, new)
        arm.see(own.story)
        arm.see(new.story)
        return [
            True,
            [("made",), ("data", b"for the old one")],
            [("made",), ("data", b"for the new one"), ("eof",), ("lost", None)],
        ]

    @scenario
    async def test_protocol_that_fails(self, arm: Arm) -> Any:
        """An exception in data_received() or eof_received() goes to the loop, and ends the connection."""

        class Failing(Witness):
            def data_received(self, data: bytes) -> None:
                raise ValueError("data")

            def eof_received(self) -> bool:
                raise ValueError("eof")

        for data in (b"data", b""):
            own, peer = await self.facing(arm, Failing())
            peer.send(data)
            peer.shutdown(socket.SHUT_WR)
            await self.lost(arm, own)
            arm.see(own.story)
            arm.see(await arm.drain(peer) if not data else None)
        return [
            ("loop exception", "Fatal error: protocol.data_received() call failed.", "ValueError('data')"),
            [("made",), ("lost", "ValueError")],
            None,
            ("loop exception", "Fatal error: protocol.eof_received() call failed.", "ValueError('eof')"),
            [("made",), ("lost", "ValueError")],
            b"",
        ]

    @scenario
    async def test_extra_info(self, arm: Arm) -> Any:
        """A transport knows its socket and both names, also when they have become history."""
        own, peer = await self.joined(arm)
        info = own.transport.get_extra_info
        arm.see(shape(info("sockname")) == shape(info("peername")), info("nothing"), info("nothing", 5))
        arm.see(info("sockname") == peer.transport.get_extra_info("peername"), own.sock.fileno() >= 0)
        arm.see(own.sock.getsockname() == info("sockname"), own.sock.type == socket.SOCK_STREAM)
        arm.see(own.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), own.sock.gettimeout())
        before = info("peername")
        own.transport.close()
        await self.lost(arm, own)
        arm.see(info("peername") == before, own.sock.fileno())
        return [(True, None, 5), (True, True), (True, True), (0, 0.0), (True, -1)]


class Transports6(Transports):
    """TCP over IPv6."""

    host = "::1"


class TransportsOverPair(Transports):
    """`socket.socketpair()`."""

    async def sockets(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return arm.pair()


class TransportsOverTCP(Transports):
    """TCP over IPv4, through asyncio's own server and connection: the same life again, and what only TCP does."""

    async def joined(self, arm: Arm, own: Any = None, peer: Any = None) -> tuple[Any, Any]:
        loop = asyncio.get_running_loop()
        own, peer = own or Witness(), peer or Witness()
        server = arm.keep(await loop.create_server(lambda: peer, self.host, 0))
        await loop.create_connection(lambda: own, *server.sockets[0].getsockname()[:2])
        await arm.until(lambda: peer.transport)
        server.close()
        arm.keep_transport(own.transport)
        arm.keep_transport(peer.transport)
        return own, peer

    @scenario
    async def test_linger_reset(self, arm: Arm) -> Any:
        """A close() under SO_LINGER(1, 0) is a lost connection with an error."""
        own, peer = await self.facing(arm)
        self.reset(peer)
        await self.lost(arm, own)
        arm.see(own.story)
        return [[("made",), ("lost", "ECONNRESET")]]

    @scenario
    async def test_linger_under_a_transport(self, arm: Arm) -> Any:
        """A transport's socket can be told to reset when the transport closes."""
        own, peer = await self.joined(arm)
        own.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        own.transport.close()
        await self.lost(arm, own, peer)
        arm.see(own.story)
        arm.see(peer.story)
        return [[("made",), ("lost", None)], [("made",), ("lost", "ECONNRESET")]]

    @scenario
    async def test_no_delay(self, arm: Arm) -> Any:
        """asyncio sets TCP_NODELAY on both ends, and it reads back."""
        own, peer = await self.joined(arm)
        for end in (own, peer):
            arm.see(end.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
        return [True, True]

    @scenario
    async def test_reset_of_a_paused_writer(self, arm: Arm) -> Any:
        """A reset ends a connection whose writer is paused and whose reader is paused too."""
        own, peer = await self.facing(arm)
        own.transport.pause_reading()
        own.transport.write(BIG)
        await arm.calm()
        self.reset(peer)
        await self.lost(arm, own)
        arm.see(own.story)
        return [[("made",), ("pause",), ("lost", "ECONNRESET")]]
