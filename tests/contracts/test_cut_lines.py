"""A line that is cut: what both ends see, on a real loopback that loses everything, and on a virtual link."""

import asyncio
import contextlib
import errno
import socket
import struct
from typing import Any

from tests.contracts.arms import Arm, outcome, scenario
from tests.contracts.cuts import CutContract, Losable, cut, end_of, heal


class CutLines(CutContract):
    @scenario
    async def test_healed(self, arm: Arm) -> Any:
        """What was written into a cut line comes after it is healed, whole and in order, and not before 0.2 s."""
        one, other = await self.joined(arm)
        loop = asyncio.get_running_loop()
        start = loop.time()
        cut(one, other)
        arm.see(one.send(b"1"), one.send(b"2"))
        loop.call_later(0.1, heal, one, other)
        data = b""
        while len(data) < 2:
            data += await loop.sock_recv(other, 100)
        arm.see(data, loop.time() - start > 0.15)
        return [(1, 1), (b"12", True)]

    @scenario
    async def test_longer(self, arm: Arm) -> Any:
        """After a longer outage it comes with a later retransmission."""
        one, other = await self.joined(arm)
        loop = asyncio.get_running_loop()
        start = loop.time()
        cut(one, other)
        one.send(b"data")
        loop.call_later(0.5, heal, one, other)
        arm.see(await loop.sock_recv(other, 100), loop.time() - start > 0.75)
        return [(b"data", True)]

    @scenario
    async def test_nobody_hears_of_it(self, arm: Arm) -> Any:
        """A reader, and an idle end, hear nothing."""
        one, other = await self.joined(arm)
        cut(one, other)
        one.send(b"data")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(arm.readable(other), 0.3)
            arm.see("heard")
        arm.see(other.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), outcome(other.recv, 1))
        return [(0, "EAGAIN")]

    @scenario
    async def test_user_timeout(self, arm: Arm) -> Any:
        """A writer gives up after TCP_USER_TIMEOUT, is told once, and its peer hears nothing."""
        one, other = await self.joined(arm, TCP_USER_TIMEOUT=300)
        start = asyncio.get_running_loop().time()
        cut(one, other)
        one.send(b"data")
        arm.see(await end_of(one), asyncio.get_running_loop().time() - start > 0.3)
        arm.see(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), outcome(one.recv, 1), outcome(one.send, b"x"),
                outcome(one.getpeername), outcome(one.shutdown, socket.SHUT_WR))
        arm.see(outcome(other.recv, 1))
        return [("ETIMEDOUT", True), (0, b"", "EPIPE", "ENOTCONN", "ENOTCONN"), "EAGAIN"]

    @scenario
    async def test_the_peer_of_who_gave_up(self, arm: Arm) -> Any:
        """When the line is there again, the peer of an end that gave up is reset by its next write."""
        one, other = await self.joined(arm, TCP_USER_TIMEOUT=200)
        cut(one, other)
        one.send(b"data")
        await end_of(one)
        heal(one, other)
        await arm.calm()
        arm.see(outcome(other.recv, 1), outcome(other.send, b"x"))
        arm.see(await end_of(other), outcome(other.recv, 1), outcome(other.send, b"x"))
        return [("EAGAIN", 1), ("ECONNRESET", b"", "EPIPE")]

    @scenario
    async def test_keepalive(self, arm: Arm) -> Any:
        """An idle end gives up after its probes; it has them from its listener."""
        listener = arm.listener()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), 1)
        other = await arm.dial(listener)
        one = await arm.answer(listener)
        start = asyncio.get_running_loop().time()
        cut(one, other)
        arm.see(await end_of(one), asyncio.get_running_loop().time() - start > 1.9)
        arm.see(outcome(other.recv, 1))
        return [("ETIMEDOUT", True), "EAGAIN"]

    @scenario
    async def test_no_probes_with_data_in_flight(self, arm: Arm) -> Any:
        """While data is in flight keepalive ends nothing."""
        one, other = await self.joined(arm, TCP_KEEPIDLE=1, TCP_KEEPINTVL=1, TCP_KEEPCNT=1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        cut(one, other)
        one.send(b"x")
        with contextlib.suppress(TimeoutError):
            arm.see(await asyncio.wait_for(end_of(one), 2.2))
        arm.see(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        return [0]

    @scenario
    async def test_a_lost_end(self, arm: Arm) -> Any:
        """The end of a stream that was lost comes after the line is healed."""
        one, other = await self.joined(arm)
        cut(one, other)
        one.close()
        await asyncio.sleep(0.05)
        arm.see(outcome(other.recv, 1))
        heal(other)
        arm.see(await end_of(other))
        return ["EAGAIN", "b''"]

    @scenario
    async def test_a_lost_reset(self, arm: Arm) -> Any:
        """A reset that was lost is never sent again; the next write brings one."""
        one, other = await self.joined(arm)
        cut(one, other)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
        heal(other)
        await asyncio.sleep(0.3)
        arm.see(outcome(other.recv, 1), outcome(other.send, b"x"))
        arm.see(await end_of(other), outcome(other.send, b"x"))
        return [("EAGAIN", 1), ("ECONNRESET", "EPIPE")]

    @scenario
    async def test_data_before_a_reset(self, arm: Arm) -> Any:
        """What has come before the reset is read, and then the reset."""
        one, other = await self.joined(arm)
        one.send(b"data")
        await arm.readable(other)
        cut(other)
        heal(other)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
        await arm.calm()
        arm.see(await end_of(other), await end_of(other), await end_of(other))
        return [("b'data'", "ECONNRESET", "b''")]

    @scenario
    async def test_one_way(self, arm: Arm) -> Any:
        """Where one way only is cut, the other still carries data."""
        one, other = await self.joined(arm)
        cut(other)
        other.send(b"to one")
        arm.see(await end_of(one))
        one.send(b"to other")
        await asyncio.sleep(0.05)
        arm.see(outcome(other.recv, 100))
        heal(other)
        arm.see(await end_of(other))
        return ["b'to one'", "EAGAIN", "b'to other'"]

    @scenario
    async def test_streams(self, arm: Arm) -> Any:
        """asyncio's streams: drain passes, the waiting read raises ETIMEDOUT, and again at every further call."""
        one, other = await self.joined(arm, TCP_USER_TIMEOUT=200)
        reader, writer = await asyncio.open_connection(sock=one)
        cut(one, other)
        writer.write(b"x")
        await writer.drain()
        for call in (lambda: reader.read(1), lambda: reader.read(1), writer.drain, writer.wait_closed):
            try:
                await call()
                arm.see("passed")
            except TimeoutError as error:
                arm.see(error.errno == errno.ETIMEDOUT)
        return [True, True, True, True]

    @scenario
    async def test_a_protocol(self, arm: Arm) -> Any:
        """A protocol's connection is lost with ETIMEDOUT."""
        one, other = await self.joined(arm, TCP_USER_TIMEOUT=200)
        transport, protocol = await asyncio.get_running_loop().create_connection(Losable, sock=one)
        cut(one, other)
        transport.write(b"x")
        error = await protocol.lost
        arm.see(type(error).__name__, error.errno == errno.ETIMEDOUT)
        return [("TimeoutError", True)]
