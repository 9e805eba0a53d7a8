"""What a stream does to the bytes that go through it: order and completeness, but no boundaries; bounded buffers."""

import array
import hashlib
import socket
from typing import Any

from tests.contracts.arms import Arm, Contract, outcome, scenario

BIG = bytes(range(256)) * 80_000
"""Twenty megabytes: more than any kernel takes at once."""


class Bytes(Contract):
    """TCP over IPv4."""

    async def joined(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return await arm.connection(self.host)

    async def narrow(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return await arm.connection(self.host, buffer=4096)

    async def receive(self, arm: Arm, sock: socket.socket, count: int) -> bytes:
        """Read exactly `count` bytes."""
        data = bytearray()
        while len(data) < count:
            await arm.readable(sock)
            data += sock.recv(count - len(data))
        return bytes(data)

    @scenario
    async def test_small_writes_coalesce(self, arm: Arm) -> Any:
        """Ten writes of five bytes are read as one of fifty."""
        own, peer = await self.joined(arm)
        arm.see([peer.send(b"%05d" % number) for number in range(10)])
        await arm.readable(own)
        await arm.calm()
        arm.see(own.recv(1000), outcome(own.recv, 1000))
        return [[5] * 10, (b"".join(b"%05d" % number for number in range(10)), "EAGAIN")]

    @scenario
    async def test_reads_of_any_size(self, arm: Arm) -> Any:
        """The reader decides how much it takes, and a read never waits for more than there is."""
        own, peer = await self.joined(arm)
        peer.send(b"abcdefgh")
        await arm.readable(own)
        arm.see(own.recv(1), own.recv(3), await arm.readiness(own), own.recv(100), await arm.readiness(own))
        return [(b"a", b"bcd", "rw", b"efgh", "w")]

    @scenario
    async def test_recv_of_nothing(self, arm: Arm) -> Any:
        """recv(0) is b"" in every state, and takes nothing."""
        own, peer = await self.joined(arm)
        arm.see(own.recv(0), own.recv_into(bytearray()))
        peer.send(b"data")
        await arm.readable(own)
        arm.see(own.recv(0), own.recv_into(bytearray()), own.recv(10))
        own.close()
        arm.see(outcome(own.recv, 0), outcome(own.recv_into, bytearray()))
        return [(b"", 0), (b"", 0, b"data"), (b"", 0)]

    @scenario
    async def test_recv_into(self, arm: Arm) -> Any:
        """recv_into() fills from the start of any writable buffer, as much as it is told, and leaves the rest alone."""
        own, peer = await self.joined(arm)
        peer.send(b"abcdefghijklmn")
        await arm.readable(own)
        buffer = bytearray(b"........")
        arm.see(own.recv_into(buffer, 3), bytes(buffer))
        arm.see(own.recv_into(memoryview(buffer)[4:6]), bytes(buffer))
        numbers = array.array("I", [0])
        arm.see(own.recv_into(numbers), numbers.tobytes())
        arm.see(own.recv_into(buffer, 0), bytes(buffer))
        return [(3, b"abc....."), (2, b"abc.de.."), (4, b"fghi"), (5, b"jklmne..")]

    @scenario
    async def test_buffers_to_send(self, arm: Arm) -> Any:
        """Everything with bytes in it can be sent, and is counted in bytes."""
        own, peer = await self.joined(arm)
        numbers = array.array("I", [1, 2])
        buffers = [b"bytes", bytearray(b"bytearray"), memoryview(b"memoryview")[6:], numbers, memoryview(numbers)]
        arm.see([own.send(buffer) for buffer in buffers], own.sendall(numbers), own.sendmsg(buffers))
        whole = b"bytesbytearrayview" + numbers.tobytes() * 2
        arm.see(await self.receive(arm, peer, 2 * len(whole) + 8) == whole + numbers.tobytes() + whole)
        return [([5, 9, 4, 8, 8], None, 34), True]

    @scenario
    async def test_arguments_that_are_none(self, arm: Arm) -> Any:
        """A text is no buffer, nothing can be received into constant bytes, and no size is negative."""
        own, peer = await self.joined(arm)
        peer.send(b"data")
        await arm.readable(own)
        arm.see(outcome(own.send, "text"), outcome(own.sendall, "text"), outcome(own.sendmsg, "text"))
        arm.see(outcome(own.send, None), outcome(own.send), outcome(own.sendmsg, [1]))
        arm.see(outcome(own.recv, -1), outcome(own.recv), outcome(own.recv, "1"))
        arm.see(outcome(own.recv_into, b"xxxx"), outcome(own.recv_into, bytearray(2), 3))
        arm.see(outcome(own.recv_into, bytearray(2), -1), own.recv(10))
        return [
            ("TypeError", "TypeError", "TypeError"),
            ("TypeError", "TypeError", "TypeError"),
            ("ValueError", "TypeError", "TypeError"),
            ("TypeError", "ValueError"),
            ("ValueError", b"data"),
        ]

    @scenario
    async def test_buffers_are_let_go(self, arm: Arm) -> Any:
        """A buffer that was lent to a call that failed may be resized while its error is handled."""
        own, peer = await self.narrow(arm)
        received = bytearray(4)
        try:
            own.recv_into(received)
        except BlockingIOError:
            arm.see(outcome(received.extend, b"more"), len(received))
        await arm.fill(own)
        sent = bytearray(b"data")
        for send in (own.send, own.sendall, lambda data: own.sendmsg([data])):
            try:
                send(sent)
            except BlockingIOError:
                arm.see(outcome(sent.extend, b"more"), len(sent))
        return [(None, 8), (None, 8), (None, 12), (None, 16)]

    @scenario
    async def test_calls_that_need_not_wait(self, arm: Arm) -> Any:
        """A blocking socket with something to read or room to write is as quick as any."""
        own, peer = await self.joined(arm)
        for timeout in (None, 5):
            own.settimeout(timeout)
            arm.see(own.send(b"ab"), own.sendall(b"cd"), own.sendmsg([b"e", b"f"]))
            arm.see(await self.receive(arm, peer, 6))
            peer.send(b"data")
            await arm.readable(own)
            arm.see(own.recv(2), own.recv_into(bytearray(10)), own.gettimeout(), own.getblocking())
        return [(2, None, 2), b"abcdef", (b"da", 2, None, True), (2, None, 2), b"abcdef", (b"da", 2, 5.0, True)]

    @scenario
    async def test_timeouts(self, arm: Arm) -> Any:
        """A timeout is None for ever, 0 for not at all, and never negative."""
        own, _ = await self.joined(arm)
        for call in (lambda: own.settimeout(2), lambda: own.setblocking(False), lambda: own.setblocking(True)):
            arm.see(call(), own.gettimeout(), own.getblocking(), own.timeout)
        arm.see(
            outcome(own.settimeout, -1), outcome(own.settimeout, "1"), outcome(own.settimeout, 0), own.getblocking()
        )
        return [
            (None, 2.0, True, 2.0),
            (None, 0.0, False, 0.0),
            (None, None, True, None),
            ("ValueError", "TypeError", None, False),
        ]

    @scenario
    async def test_bad_shutdown(self, arm: Arm) -> Any:
        """shutdown() knows three words."""
        own, _ = await self.joined(arm)
        arm.see(outcome(own.shutdown, 3), outcome(own.shutdown, -1), outcome(own.shutdown, "WR"), outcome(own.shutdown))
        return [("EINVAL", "EINVAL", "TypeError", "TypeError")]

    @scenario
    async def test_partial_send(self, arm: Arm) -> Any:
        """A send that is too large goes in part, the next is EAGAIN, and exactly what went arrives."""
        own, peer = await self.joined(arm)
        sent = own.send(BIG)
        arm.see(0 < sent < len(BIG))
        arm.see(await self.receive(arm, peer, sent) == BIG[:sent], await arm.readiness(peer))
        return [True, (True, "w")]

    @scenario
    async def test_partial_sendmsg(self, arm: Arm) -> Any:
        """sendmsg() sends the head of what it was given, across buffers."""
        own, peer = await self.joined(arm)
        sent = own.sendmsg([b"head", memoryview(BIG), b"tail"])
        arm.see(4 < sent < len(BIG))
        arm.see(await self.receive(arm, peer, sent) == b"head" + BIG[: sent - 4])
        return [True, True]

    @scenario
    async def test_sendall_that_is_too_large(self, arm: Arm) -> Any:
        """A non-blocking sendall() that does not fit is EAGAIN, after it sent a part."""
        own, peer = await self.joined(arm)
        arm.see(outcome(own.sendall, BIG))
        await arm.readable(peer)
        data = peer.recv(1 << 16)
        arm.see(len(data) > 0, BIG.startswith(data))
        return ["EAGAIN", (True, True)]

    @scenario
    async def test_full_buffer(self, arm: Arm) -> Any:
        """A full buffer is neither readable nor writable, and writable again when the peer has read everything."""
        own, peer = await self.narrow(arm)
        sent = await arm.fill(own)
        arm.see(await arm.readiness(own), outcome(own.send, b"x"), await arm.readiness(peer))
        await self.receive(arm, peer, sent)
        await arm.writable(own)
        arm.see(own.send(b"x"), await self.receive(arm, peer, 1), await arm.readiness(peer))
        return [("-", "EAGAIN", "rw"), (1, b"x", "w")]

    @scenario
    async def test_directions_are_independent(self, arm: Arm) -> Any:
        """What is full one way is open the other way."""
        own, peer = await self.narrow(arm)
        await arm.fill(own)
        arm.see(peer.send(b"answer"))
        arm.see(await self.receive(arm, own, 6), await arm.readiness(own))
        return [6, (b"answer", "-")]

    @scenario
    async def test_shutdown_behind_a_full_buffer(self, arm: Arm) -> Any:
        """shutdown(SHUT_WR) waits its turn: everything sent before it is read before the end of file."""
        own, peer = await self.narrow(arm)
        sent = await arm.fill(own)
        arm.see(outcome(own.shutdown, socket.SHUT_WR), outcome(own.send, b"x"))
        arm.see(len(await arm.drain(peer)) == sent, peer.recv(1))
        return [(None, "EPIPE"), (True, b"")]

    @scenario
    async def test_close_behind_a_full_buffer(self, arm: Arm) -> Any:
        """close() loses nothing that was sent."""
        own, peer = await self.narrow(arm)
        sent = await arm.fill(own)
        own.close()
        arm.see(len(await arm.drain(peer)) == sent)
        return [True]

    @scenario
    async def test_half_closed_conversation(self, arm: Arm) -> Any:
        """After a half-close the other half goes on as long as it likes."""
        own, peer = await self.joined(arm)
        own.send(b"question")
        own.shutdown(socket.SHUT_WR)
        arm.see(await arm.drain(peer))
        for part in (b"one ", b"two ", b"three"):
            arm.see(peer.send(part))
            await arm.readable(own)
            arm.see(own.recv(100))
        peer.close()
        await arm.readable(own)
        arm.see(own.recv(1), own.recv(1))
        return [b"question", 4, b"one ", 4, b"two ", 5, b"three", (b"", b"")]

    @scenario
    async def test_queued_data_survives_the_peer(self, arm: Arm) -> Any:
        """What was received before the peer threw the connection away is read first, in pieces of any size."""
        own, peer = await self.joined(arm)
        own.send(b"never read")
        peer.send(b"last words")
        await arm.readable(own)
        await arm.readable(peer)
        peer.close()
        await arm.calm()
        arm.see(await arm.readiness(own), own.recv(4), own.recv(100), outcome(own.recv, 1), outcome(own.recv, 1))
        return [("rw", b"last", b" words", "ECONNRESET", b"")]

    @scenario
    async def test_bulk_both_ways(self, arm: Arm) -> Any:
        """Megabytes that cross each other arrive whole on both sides."""
        ends = await self.joined(arm)

        async def send(sock: socket.socket, data: memoryview) -> None:
            while data:
                await arm.writable(sock)
                data = data[sock.send(data) :]
            sock.shutdown(socket.SHUT_WR)

        payloads = (memoryview(BIG)[1:3_000_000], memoryview(BIG)[7:4_000_000])
        for sock, data in zip(ends, payloads, strict=True):
            arm.start(send(sock, data))
        for sock, data in zip(ends, reversed(payloads), strict=True):
            arm.see(hashlib.sha256(await arm.drain(sock)).digest() == hashlib.sha256(data).digest())
        return [True, True]


class Bytes6(Bytes):
    """TCP over IPv6."""

    host = "::1"


class BytesInPair(Bytes):
    """`socket.socketpair()`."""

    async def joined(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return arm.pair()

    async def narrow(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return arm.pair()

    @scenario
    async def test_pair(self, arm: Arm) -> Any:
        """A pair is two blocking, connected, nameless stream sockets."""
        one, other = (arm.keep(sock) for sock in socket.socketpair())
        for sock in (one, other):
            arm.see(sock.family == socket.AF_UNIX, sock.type == socket.SOCK_STREAM, sock.proto)
            arm.see(sock.getblocking(), sock.gettimeout(), sock.getsockname(), sock.getpeername())
        arm.see(one.fileno() != other.fileno(), isinstance(one, socket.socket))
        return [(True, True, 0), (True, None, "", "")] * 2 + [(True, True)]

    @scenario
    async def test_pair_of_tcp_sockets(self, arm: Arm) -> Any:
        """A pair of the Internet families is not supported."""
        arm.see(outcome(socket.socketpair, socket.AF_INET), outcome(socket.socketpair, socket.AF_INET6))
        return [("ENOTSUP", "ENOTSUP")]

    @scenario
    async def test_full_buffer_and_shutdown(self, arm: Arm) -> Any:
        """A full buffer stays unwritable after a shutdown of either side, but a send is EPIPE."""
        for side in (0, 1):
            pair = await self.narrow(arm)
            await arm.fill(pair[0])
            pair[side].shutdown(socket.SHUT_RD if side else socket.SHUT_WR)
            arm.see(await arm.readiness(pair[0]), outcome(pair[0].send, b"x"))
        return [("-", "EPIPE")] * 2


class FullTCP(Contract):
    """What a full TCP buffer does that a pair's does not."""

    @scenario
    async def test_full_buffer_and_shutdown(self, arm: Arm) -> Any:
        """The own shutdown makes a full buffer ready, for an EPIPE; the peer's SHUT_RD changes nothing."""
        own, peer = await arm.connection(buffer=4096)
        await arm.fill(own)
        peer.shutdown(socket.SHUT_RD)
        arm.see(await arm.readiness(own), outcome(own.send, b"x"))
        own.shutdown(socket.SHUT_WR)
        arm.see(await arm.readiness(own), outcome(own.send, b"x"))
        return [("-", "EAGAIN"), ("w", "EPIPE")]

    @scenario
    async def test_shutdown_rdwr_with_unread_data(self, arm: Arm) -> Any:
        """shutdown(SHUT_RDWR) does not throw away what was received."""
        own, peer = await arm.connection()
        peer.send(b"data")
        await arm.readable(own)
        own.shutdown(socket.SHUT_RDWR)
        await arm.readable(peer)
        arm.see(peer.recv(1), own.recv(10), own.recv(10))
        return [(b"", b"data", b"")]

    @scenario
    async def test_close_with_data_that_came_after_shutdown_rd(self, arm: Arm) -> Any:
        """Data that arrived after shutdown(SHUT_RD) counts as unread when the end closes."""
        own, peer = await arm.connection()
        own.shutdown(socket.SHUT_RD)
        peer.send(b"data")
        await arm.calm()
        own.close()
        await arm.calm()
        arm.see(await arm.readiness(peer), outcome(peer.recv, 1), outcome(peer.recv, 1))
        return [("rw", "ECONNRESET", b"")]

    @scenario
    async def test_lingering_end_with_unread_data(self, arm: Arm) -> Any:
        """A linger time above zero does not change what close() says to the peer."""
        for unread in (False, True):
            own, peer = await arm.connection()
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\1\0\0\0")
            if unread:
                peer.send(b"data")
                await arm.readable(own)
            own.close()
            await arm.calm()
            arm.see(outcome(peer.recv, 1))
        return [b"", "ECONNRESET"]

    @scenario
    async def test_error_is_told_once(self, arm: Arm) -> Any:
        """A reset is told by the first call that can, and by no other: here by a send, by a recv, by SO_ERROR."""
        for teller in ("send", "recv", "SO_ERROR"):
            own, peer = await arm.connection()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
            await arm.calm()
            calls = {
                "send": lambda sock=own: outcome(sock.send, b"x"),
                "recv": lambda sock=own: outcome(sock.recv, 1),
                "SO_ERROR": lambda sock=own: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0,
            }
            told = calls.pop(teller)()
            arm.see(teller, told, [call() for call in calls.values()])
        return [
            ("send", "ECONNRESET", [b"", False]),
            ("recv", "ECONNRESET", ["EPIPE", False]),
            ("SO_ERROR", True, ["EPIPE", b""]),
        ]
