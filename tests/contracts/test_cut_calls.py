"""A line that is cut: what each call says to a program whose connection was given up, or whose peer has gone."""

import asyncio
import contextlib
import select
import socket
import struct
from typing import Any

from tests.contracts.arms import Arm, outcome, scenario
from tests.contracts.cuts import CutContract, Losable, cut, end_of, heal, reset_on_close


def so_error(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


class GivenUp(CutContract):
    """ETIMEDOUT is reported once, by the first call of any kind."""

    @scenario
    async def test_by_recv(self, arm: Arm) -> Any:
        """recv() reports it; after that the stream is at its end."""
        one, _ = await self.given_up(arm)
        arm.see(outcome(one.recv, 1), outcome(one.recv, 1), so_error(one), outcome(one.send, b"x"))
        return [("ETIMEDOUT", b"", 0, "EPIPE")]

    @scenario
    async def test_by_send(self, arm: Arm) -> Any:
        """send() reports it; after that it is a broken pipe."""
        one, _ = await self.given_up(arm)
        arm.see(outcome(one.send, b"x"), outcome(one.send, b"x"), outcome(one.recv, 1), so_error(one))
        return [("ETIMEDOUT", "EPIPE", b"", 0)]

    @scenario
    async def test_by_so_error(self, arm: Arm) -> Any:
        """SO_ERROR reports it, and nobody else does."""
        one, _ = await self.given_up(arm)
        arm.see(so_error(one), so_error(one), outcome(one.recv, 1), outcome(one.send, b"x"))
        return [(110, 0, b"", "EPIPE")]

    @scenario
    async def test_other_calls(self, arm: Arm) -> Any:
        """There is no connection any more, and these calls take nothing from the report."""
        one, _ = await self.given_up(arm)
        arm.see(outcome(one.getpeername), outcome(one.shutdown, socket.SHUT_RDWR), outcome(one.recv, 1))
        return [("ENOTCONN", "ENOTCONN", "ETIMEDOUT")]

    @scenario
    async def test_by_peek(self, arm: Arm) -> Any:
        """MSG_PEEK reports it for good."""
        one, _ = await self.given_up(arm)
        arm.see(outcome(one.recv, 1, socket.MSG_PEEK), outcome(one.recv, 1))
        return [("ETIMEDOUT", b"")]

    @scenario
    async def test_what_had_come_before(self, arm: Arm) -> Any:
        """What had come before is read first."""
        one, other = await self.joined(arm, TCP_USER_TIMEOUT=50, TCP_NODELAY=1)
        other.send(b"before")
        await arm.readable(one)
        cut(one, other)
        one.send(b"lost")
        one.send(b"lost")
        await asyncio.sleep(0.5)
        arm.see(await end_of(one), await end_of(one), await end_of(one))
        return [("b'before'", "ETIMEDOUT", "b''")]

    @scenario
    async def test_poll(self, arm: Arm) -> Any:
        """poll() shows all at once: readable, writable, an error, a hang-up."""
        one, _ = await self.given_up(arm)
        poll = select.poll()
        poll.register(one, select.POLLIN | select.POLLOUT | select.POLLRDHUP)
        arm.see([events for _, events in poll.poll(0)])
        return [[select.POLLIN | select.POLLOUT | select.POLLERR | select.POLLHUP | select.POLLRDHUP]]

    @scenario
    async def test_both_write(self, arm: Arm) -> Any:
        """Where both write both give up."""
        one, other = await self.joined(arm, TCP_USER_TIMEOUT=100)
        other.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)
        cut(one, other)
        arm.see(one.send(b"x"), other.send(b"y"))
        arm.see(await end_of(one), await end_of(other))
        return [(1, 1), ("ETIMEDOUT", "ETIMEDOUT")]

    @scenario
    async def test_a_full_buffer(self, arm: Arm) -> Any:
        """A writer that waits for room gets it too."""
        one, other = await self.joined(arm, TCP_USER_TIMEOUT=100)
        cut(one, other)
        with contextlib.suppress(BlockingIOError):
            while True:
                one.send(bytes(100_000))
        await arm.writable(one)
        arm.see(outcome(one.send, b"x"), outcome(one.send, b"x"))
        return [("ETIMEDOUT", "EPIPE")]

    @scenario
    async def test_a_peer_that_does_not_read(self, arm: Arm) -> Any:
        """TCP_USER_TIMEOUT ends a connection over a fine line whose peer does not read."""
        one, other = await arm.connection(buffer=4096)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
        with contextlib.suppress(BlockingIOError):
            while True:
                one.send(bytes(100_000))
        arm.see(await end_of(one), outcome(one.send, b"x"))
        return [("ETIMEDOUT", "EPIPE")]

    @scenario
    async def test_closing_what_was_given_up(self, arm: Arm) -> Any:
        """close() says nothing, and the peer hears nothing of it."""
        one, other = await self.given_up(arm)
        arm.see(outcome(one.close))
        heal(other)
        await arm.calm()
        arm.see(outcome(other.recv, 1))
        return [None, "EAGAIN"]


class HalfOpen(CutContract):
    """The peer has gone without a word, we have written: ECONNRESET is reported once, by the first call of any kind."""

    @scenario
    async def test_by_recv(self, arm: Arm) -> Any:
        """recv() reports it; after that the stream is at its end."""
        one, _ = await self.half_open(arm)
        arm.see(outcome(one.recv, 1), outcome(one.recv, 1), so_error(one), outcome(one.send, b"x"))
        return [("ECONNRESET", b"", 0, "EPIPE")]

    @scenario
    async def test_by_send(self, arm: Arm) -> Any:
        """send() reports it, and it is no broken pipe yet."""
        one, _ = await self.half_open(arm)
        arm.see(outcome(one.send, b"x"), outcome(one.send, b"x"), outcome(one.recv, 1))
        return [("ECONNRESET", "EPIPE", b"")]

    @scenario
    async def test_by_so_error(self, arm: Arm) -> Any:
        """SO_ERROR reports it, and nobody else does."""
        one, _ = await self.half_open(arm)
        arm.see(so_error(one), so_error(one), outcome(one.recv, 1), outcome(one.send, b"x"))
        return [(104, 0, b"", "EPIPE")]

    @scenario
    async def test_while_it_is_cut(self, arm: Arm) -> Any:
        """What was written while the line was cut brings the reset with its next retransmission."""
        one, other = await self.joined(arm)
        cut(one, other)
        reset_on_close(other)
        other.close()
        loop = asyncio.get_running_loop()
        start = loop.time()
        one.send(b"x")
        loop.call_later(0.1, heal, one)
        arm.see(await end_of(one), loop.time() - start > 0.15)
        return [("ECONNRESET", True)]

    @scenario
    async def test_streams(self, arm: Arm) -> Any:
        """asyncio's streams: the first drain passes; then everything raises it."""
        one, other = await self.joined(arm)
        reader, writer = await asyncio.open_connection(sock=one)
        cut(one, other)
        reset_on_close(other)
        other.close()
        heal(one)
        writer.write(b"x")
        await writer.drain()
        for call in (lambda: reader.read(1), lambda: reader.read(1), writer.drain, writer.wait_closed):
            try:
                await call()
                arm.see("passed")
            except ConnectionResetError as error:
                arm.see(error.errno)
        return [104, 104, 104, 104]

    @scenario
    async def test_a_protocol(self, arm: Arm) -> Any:
        """A protocol's connection is lost with it."""
        one, other = await self.joined(arm)
        transport, protocol = await asyncio.get_running_loop().create_connection(Losable, sock=one)
        cut(one, other)
        reset_on_close(other)
        other.close()
        heal(one)
        transport.write(b"x")
        arm.see(type(await protocol.lost).__name__)
        return ["ConnectionResetError"]

    @scenario
    async def test_nobody_writes(self, arm: Arm) -> Any:
        """Who does not write never hears of it."""
        one, other = await self.joined(arm)
        cut(one, other)
        reset_on_close(other)
        other.close()
        heal(one)
        await asyncio.sleep(0.3)
        arm.see(outcome(one.recv, 1), so_error(one), outcome(one.getpeername)[0])
        return [("EAGAIN", 0, "127.0.0.1")]


class Healed(CutContract):
    @scenario
    async def test_the_other_side_writes_first(self, arm: Arm) -> Any:
        """What the other side writes arrives at once; what we have lost still waits for its time."""
        one, other = await self.joined(arm)
        loop = asyncio.get_running_loop()
        cut(one, other)
        one.send(b"lost")
        await asyncio.sleep(0.25)
        heal(one, other)
        other.send(b"fresh")
        arm.see(await end_of(one), outcome(other.recv, 100))
        start = loop.time()
        arm.see(await end_of(other), loop.time() - start > 0.05)
        return [("b'fresh'", "EAGAIN"), ("b'lost'", True)]

    @scenario
    async def test_both_ways(self, arm: Arm) -> Any:
        """What both have written arrives, whole and in order."""
        one, other = await self.joined(arm)
        cut(one, other)
        for number in range(3):
            one.send(b"a%d" % number)
            other.send(b"b%d" % number)
        asyncio.get_running_loop().call_later(0.1, heal, one, other)
        for sock in (one, other):
            data = b""
            while len(data) < 6:
                data += await asyncio.get_running_loop().sock_recv(sock, 100)
            arm.see(data)
        return [b"b0b1b2", b"a0a1a2"]

    @scenario
    async def test_a_lot(self, arm: Arm) -> Any:
        """A large transfer goes through two outages and loses nothing."""
        one, other = await self.joined(arm)
        loop = asyncio.get_running_loop()
        data = bytes(range(256)) * 8000
        sending = arm.start(loop.sock_sendall(one, data))
        got = bytearray()
        for _ in range(2):
            got += await loop.sock_recv(other, 100_000)
            cut(one, other)
            await asyncio.sleep(0.05)
            heal(one, other)
        while len(got) < len(data):
            got += await loop.sock_recv(other, 1_000_000)
        await sending
        arm.see(bytes(got) == data)
        return [True]

    @scenario
    async def test_half_closed(self, arm: Arm) -> Any:
        """A lost end of a direction comes later; the other direction goes on meanwhile."""
        one, other = await self.joined(arm)
        cut(other)
        one.send(b"last")
        one.shutdown(socket.SHUT_WR)
        other.send(b"more")
        arm.see(await end_of(one), outcome(other.recv, 1))
        heal(other)
        arm.see(await end_of(other), await end_of(other))
        other.close()
        arm.see(await end_of(one))
        return [("b'more'", "EAGAIN"), ("b'last'", "b''"), "b''"]

    @scenario
    async def test_asked_while_it_is_cut(self, arm: Arm) -> Any:
        """While it is cut everything looks fine: room to send, a peer, no error."""
        one, other = await self.joined(arm)
        cut(one, other)
        one.send(b"x")
        arm.see(await arm.readiness(one), so_error(one), outcome(one.getpeername)[0], outcome(one.recv, 1))
        arm.see(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))
        return [("w", 0, "127.0.0.1", "EAGAIN"), b"\x01"]

    @scenario
    async def test_given_back_its_time(self, arm: Arm) -> Any:
        """TCP_USER_TIMEOUT that was not reached before it was healed is forgotten."""
        one, other = await self.joined(arm, TCP_USER_TIMEOUT=400)
        cut(one, other)
        one.send(b"x")
        await asyncio.sleep(0.1)
        heal(one, other)
        arm.see(await end_of(other))
        await asyncio.sleep(0.4)
        arm.see(one.send(b"y"), await end_of(other), outcome(one.recv, 1))
        return ["b'x'", (1, "b'y'", "EAGAIN")]

    @scenario
    async def test_before_it_was_accepted(self, arm: Arm) -> Any:
        """A connection that nobody has accepted yet is cut like any other."""
        listener = arm.listener()
        one = await arm.dial(listener)
        cut(one)
        other = await arm.answer(listener)
        cut(other)
        one.send(b"early")
        await arm.calm()
        arm.see(outcome(other.recv, 100))
        heal(one, other)
        arm.see(await end_of(other))
        return ["EAGAIN", "b'early'"]


class Closing(CutContract):
    @scenario
    async def test_a_stream_with_a_byte_in_flight(self, arm: Arm) -> Any:
        """wait_closed() returns at once, and the kernel goes on alone."""
        one, other = await self.joined(arm)
        _, writer = await asyncio.open_connection(sock=one)
        cut(one, other)
        writer.write(b"x")
        writer.close()
        await writer.wait_closed()
        arm.see(outcome(other.recv, 1))
        heal(other)
        arm.see(await end_of(other), await end_of(other))
        return ["EAGAIN", ("b'x'", "b''")]

    @scenario
    async def test_a_stream_with_a_lot_to_send(self, arm: Arm) -> Any:
        """A transport that still has bytes to send is lost when the kernel gives up."""
        one, other = await self.joined(arm, TCP_USER_TIMEOUT=100)
        transport, protocol = await asyncio.get_running_loop().create_connection(Losable, sock=one)
        cut(one, other)
        transport.write(bytes(10_000_000))
        transport.close()
        error = await protocol.lost
        arm.see(type(error).__name__, getattr(error, "errno", None))
        return [("TimeoutError", 110)]

    @scenario
    async def test_a_drain_that_waits(self, arm: Arm) -> Any:
        """A drain() that waits for room raises it."""
        one, other = await self.joined(arm, TCP_USER_TIMEOUT=100)
        _, writer = await asyncio.open_connection(sock=one)
        cut(one, other)
        writer.write(bytes(10_000_000))
        try:
            await writer.drain()
        except TimeoutError as error:
            arm.see(error.errno)
        writer.transport.abort()
        return [110]

    @scenario
    async def test_a_thread_with_a_timeout(self, arm: Arm) -> Any:
        """A blocking read with a time limit of its own ends with that limit, which has no errno."""
        one, other = await self.joined(arm)
        cut(one, other)
        one.settimeout(0.1)
        one.send(b"x")
        try:
            await asyncio.to_thread(one.recv, 1)
        except TimeoutError as error:
            arm.see(error.errno, str(error))
        one.setblocking(False)
        return [(None, "timed out")]

    @scenario
    async def test_lingering(self, arm: Arm) -> Any:
        """close() with SO_LINGER waits for its time, non-blocking or not, and says nothing in the end."""
        one, other = await self.joined(arm)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
        cut(one, other)
        loop = asyncio.get_running_loop()
        start = loop.time()
        arm.see(await asyncio.to_thread(one.close), loop.time() - start > 0.9)
        heal(other)
        arm.see(await end_of(other))
        return [(None, True), "b''"]

    @scenario
    async def test_lingering_on_a_fine_line(self, arm: Arm) -> Any:
        """On a line that is fine it waits for nothing to speak of."""
        one, other = await self.joined(arm)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
        one.send(b"data")
        loop = asyncio.get_running_loop()
        start = loop.time()
        arm.see(await asyncio.to_thread(one.close), loop.time() - start < 2)
        arm.see(await end_of(other), await end_of(other))
        return [(None, True), ("b'data'", "b''")]

    @scenario
    async def test_limits_of_options(self, arm: Arm) -> Any:
        """What keepalive and TCP_USER_TIMEOUT may be set to."""
        one, _ = await self.joined(arm)
        for name, values in (("TCP_KEEPIDLE", (0, 1, 32767, 32768)), ("TCP_KEEPINTVL", (0, 1, 32767, 32768)),
                             ("TCP_KEEPCNT", (0, 1, 127, 128)), ("TCP_USER_TIMEOUT", (-1, 0, 2**31 - 1)),
                             ("TCP_SYNCNT", (0, 1, 127, 128))):
            arm.see(name, [outcome(one.setsockopt, socket.IPPROTO_TCP, getattr(socket, name), value)
                           for value in values])
        limits = ["EINVAL", None, None, "EINVAL"]
        return [("TCP_KEEPIDLE", limits), ("TCP_KEEPINTVL", limits), ("TCP_KEEPCNT", limits),
                ("TCP_USER_TIMEOUT", ["EINVAL", None, None]), ("TCP_SYNCNT", limits)]
