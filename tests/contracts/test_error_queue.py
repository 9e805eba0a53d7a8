"""The queue of errors (MSG_ERRQUEUE) of who asked with IP_RECVERR, and what IP_RECVERR does to a stream."""

import asyncio
import select
import socket
import struct
import sys
import unittest
from typing import Any

from tests.contracts.arms import Arm, Contract, outcome, scenario
from tests.contracts.routers import Router, behind_router, routed

QUEUE, PEEK = 0x2000, socket.MSG_PEEK
FOUR, SIX = (socket.IPPROTO_IP, 11), (socket.IPPROTO_IPV6, 25)  # IP_RECVERR, IPV6_RECVERR


def read(sock: socket.socket, size: int = 100, ancillary: int = 500, flags: int = QUEUE) -> Any:
    """The oldest error of a socket: data, ancillary data, flags; or the name of an errno."""
    found = outcome(sock.recvmsg, size, ancillary, flags)
    return found if isinstance(found, str) else found[:3]


def polled(sock: socket.socket) -> int:
    """What poll() says of a socket."""
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    return sum(events for _, events in poll.poll(0))


def told(code: int, origin: int, kind: int, number: int, address: bytes, information: int = 0) -> bytes:
    """A struct sock_extended_err, and the address of who sent it."""
    return struct.pack("=IBBBxII", code, origin, kind, number, information, 0) + address


BY_FOUR = told(111, 2, 3, 3, struct.pack("=HH4s8x", socket.AF_INET, 0, b"\x7f\0\0\1"))
BY_SIX = told(111, 3, 1, 4, struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, bytes(15) + b"\1", 0))
BY_MAPPED = told(111, 2, 3, 3, struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, bytes(10) + b"\xff\xff\x7f\0\0\1", 0))
REFUSED = [(*FOUR, BY_FOUR)]


@unittest.skipUnless(sys.platform == "linux", "only Linux has MSG_ERRQUEUE")
class ErrorQueues(Contract):
    """Of datagrams that nobody took."""

    def asking(self, arm: Arm, *, connected: bool = False) -> tuple[socket.socket, Any]:
        """A socket that asks for errors, and an address that refuses."""
        gone = arm.datagram()
        address = gone.getsockname()
        gone.close()
        sock = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.setblocking(False)
        sock.setsockopt(*FOUR, 1)
        if connected:
            sock.connect(address)
        return sock, address

    @scenario
    async def test_what_is_in_it(self, arm: Arm) -> Any:
        """The datagram, where it was sent, and the error of ICMP; then nothing."""
        sock, address = self.asking(arm)
        sock.sendto(b"hello", address)
        await arm.readable(sock)
        data, ancillary, flags, source = sock.recvmsg(100, 500, QUEUE)
        arm.see(data, ancillary, flags, source == address)
        arm.see(read(sock), outcome(sock.recv, 1))
        return [(b"hello", REFUSED, QUEUE, True), ("EAGAIN", "EAGAIN")]

    @scenario
    async def test_waiting(self, arm: Arm) -> Any:
        """Who has no timeout does not wait for an error; with one it is waited for, and then the time is out."""
        sock, address = self.asking(arm)

        def body() -> None:
            sock.setblocking(True)
            arm.see(read(sock))
            sock.settimeout(0.02)
            arm.see(outcome(sock.recv, 9, QUEUE), outcome(sock.recvfrom, 9, QUEUE), outcome(sock.recvmsg, 9, 9, QUEUE))
            sock.settimeout(20)
            sock.sendto(b"hello", address)
            arm.see(read(sock)[0])

        await asyncio.to_thread(body)
        return ["EAGAIN", ("TimeoutError",) * 3, b"hello"]

    @scenario
    async def test_beside_the_error(self, arm: Arm) -> Any:
        """The error is reported by a call, and is in the queue all the same; until it is read, poll() shows it."""
        sock, address = self.asking(arm)
        sock.sendto(b"x", address)
        await arm.readable(sock)
        arm.see(polled(sock), outcome(sock.recv, 1), outcome(sock.recv, 1), polled(sock), await arm.readiness(sock))
        arm.see(read(sock), polled(sock), await arm.readiness(sock))
        bad = select.POLLOUT | select.POLLERR
        return [(bad, "ECONNREFUSED", "EAGAIN", bad, "rw"), ((b"x", REFUSED, QUEUE), select.POLLOUT, "w")]

    @scenario
    async def test_several(self, arm: Arm) -> Any:
        """Who reads the first leaves the second to the next call; SO_ERROR takes no more than the errno."""
        sock, address = self.asking(arm)
        sock.sendto(b"one", address)
        await arm.readable(sock)
        arm.see(outcome(sock.sendto, b"none", address), sock.sendto(b"two", address))
        await arm.calm()
        arm.see(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), outcome(sock.recv, 1))
        arm.see(read(sock)[0], outcome(sock.recv, 1), outcome(sock.recv, 1))
        arm.see(read(sock)[0], outcome(sock.recv, 1), read(sock))
        return [("ECONNREFUSED", 3), (111, "EAGAIN"), (b"one", "ECONNREFUSED", "EAGAIN"), (b"two", "EAGAIN", "EAGAIN")]

    @scenario
    async def test_what_does_not_fit(self, arm: Arm) -> Any:
        """Data and ancillary data are cut, and say so."""
        sock, address = self.asking(arm)
        for size, room in ((3, 500), (100, 0), (100, 16), (100, 20), (100, 48)):
            sock.sendto(b"hello", address)
            await arm.readable(sock)
            arm.see(read(sock, size, room))
        cut, less = int(socket.MSG_TRUNC), int(socket.MSG_CTRUNC)
        return [(b"hel", REFUSED, QUEUE | cut), (b"hello", [], QUEUE | less), (b"hello", [(*FOUR, b"")], QUEUE | less),
                (b"hello", [(*FOUR, BY_FOUR[:4])], QUEUE | less), (b"hello", REFUSED, QUEUE)]

    @scenario
    async def test_other_calls(self, arm: Arm) -> Any:
        """recv(), recvfrom(), recv_into() and recvmsg_into() read it too, and peek at nothing."""
        sock, address = self.asking(arm)
        buffer = bytearray(4)
        for call in (lambda: sock.recv(4, QUEUE), lambda: sock.recvfrom(9, QUEUE)[1] == address,
                     lambda: (sock.recv_into(buffer, 0, QUEUE), buffer),
                     lambda: (sock.recvmsg_into([buffer], 500, QUEUE)[:3], buffer),
                     lambda: read(sock, flags=QUEUE | PEEK)[0]):
            sock.sendto(b"hello", address)
            await arm.readable(sock)
            arm.see(call(), read(sock))
        return [(b"hell", "EAGAIN"), (True, "EAGAIN"), ((4, b"hell"), "EAGAIN"),
                (((4, REFUSED, QUEUE | socket.MSG_TRUNC), b"hell"), "EAGAIN"), (b"hello", "EAGAIN")]

    @scenario
    async def test_large_datagrams(self, arm: Arm) -> Any:
        """An error brings back 520 bytes of IPv4, and 1184 of IPv6."""
        sock, address = self.asking(arm)
        sock.sendto(bytes(3000), address)
        await arm.readable(sock)
        six = arm.keep(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        six.setblocking(False)
        six.setsockopt(*SIX, 1)
        six.sendto(bytes(3000), ("::1", address[1]))
        await arm.readable(six)
        arm.see(len(read(sock, 9000)[0]), len(read(six, 9000)[0]))
        return [(520, 1184)]

    @scenario
    async def test_six(self, arm: Arm) -> Any:
        """The same of IPv6; of an IPv4 address on such a socket only with both options."""
        six = arm.keep(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        six.setblocking(False)
        six.setsockopt(*SIX, 1)
        _, address = self.asking(arm)
        six.sendto(b"six", ("::1", address[1]))
        await arm.readable(six)
        arm.see(read(six))
        six.sendto(b"four", ("::ffff:127.0.0.1", address[1]))
        await arm.calm()
        arm.see(read(six))
        six.setsockopt(*FOUR, 1)
        six.sendto(b"four", ("::ffff:127.0.0.1", address[1]))
        await arm.readable(six)
        arm.see(read(six))
        return [(b"six", [(*SIX, BY_SIX)], QUEUE), "EAGAIN", (b"four", [(*SIX, BY_MAPPED)], QUEUE)]

    @scenario
    async def test_room(self, arm: Arm) -> Any:
        """The queue has as much room as the buffer for what is received."""
        sock, address = self.asking(arm)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(20):
            sock.sendto(b"x", address)
            await arm.readable(sock)
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        count = 0
        while read(sock) != "EAGAIN":
            count += 1
        arm.see(count)
        return [9]

    @scenario
    async def test_turned_off(self, arm: Arm) -> Any:
        """Who asks no longer loses what is in the queue, and not the error itself."""
        sock, address = self.asking(arm)
        sock.sendto(b"x", address)
        await arm.readable(sock)
        sock.setsockopt(*FOUR, 0)
        arm.see(read(sock), outcome(sock.recv, 1))
        return [("EAGAIN", "ECONNREFUSED")]

    @scenario
    async def test_who_has_none(self, arm: Arm) -> Any:
        """Who did not ask, a stream and a blocking socket have nothing to wait for; a UNIX socket ignores the flag."""
        sock, _ = self.asking(arm)
        sock.setblocking(True)
        one, _ = await arm.connection()
        arm.see(read(arm.datagram()), read(sock), read(one), read(arm.socket()), one.send(b"x", QUEUE))
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            near, far = arm.pair(kind)
            far.send(b"x")
            arm.see(read(near), read(near))
        return [("EAGAIN", "EAGAIN", "EAGAIN", "EAGAIN", 1), ((b"x", [], 0), "EAGAIN"), ((b"x", [], 0), "EAGAIN")]


class AskingStreams(Contract):
    """IP_RECVERR of a stream."""

    @routed
    async def test_a_refused_connect(self, arm: Arm, router: Router) -> Any:
        """The error that ended a connect is in the queue, asked or not; who reads it there gets the end of a stream."""
        address = behind_router(), 80
        router.answer(address[0], 3, 13)
        for asked in (False, True):
            for first in ("queue", "call"):
                sock = arm.socket()
                sock.setsockopt(*FOUR, asked)
                arm.see(outcome(sock.connect, address))
                await arm.readable(sock)
                error = outcome(sock.recv, 1) if first == "call" else None
                _, [(_, _, value)], flags = read(sock)
                arm.see(error, struct.unpack_from("=IBBB", value), flags, outcome(sock.recv, 1), read(sock))
        facts = [["EINPROGRESS", (error, (113, 2, 3, 13), QUEUE, b"", "EAGAIN")] for error in (None, "EHOSTUNREACH")]
        return (facts[0] + facts[1]) * 2

    async def connected(self, arm: Arm, router: Router, kind: int, code: int, *, asked: bool) -> socket.socket:
        """A connection whose data is answered by this ICMP."""
        address = behind_router(), 80
        router.serve(address)
        sock = arm.socket()
        sock.setsockopt(*FOUR, asked)
        await asyncio.get_running_loop().sock_connect(sock, address)
        router.answer(address[0], kind, code)
        sock.send(b"data")
        return sock

    @routed
    async def test_each_error(self, arm: Arm, router: Router) -> Any:
        """Each error is reported once, by whatever call comes next, and the connection lives on."""
        sock = await self.connected(arm, router, 3, 13, asked=True)
        calls: list[Any] = [lambda: outcome(sock.recv, 1), lambda: outcome(sock.send, b"more"),
                            lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)]
        for call in calls:
            await arm.readable(sock)
            arm.see(polled(sock), call(), outcome(sock.recv, 1), outcome(sock.getpeername)[0])
            arm.see(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1), read(sock))
        arm.see(sock.send(b"more"))
        facts = [(select.POLLOUT | select.POLLERR, error, "EAGAIN", behind_router())
                 for error in ("EHOSTUNREACH", "EHOSTUNREACH", 113)]
        alive = b"\1", "EAGAIN"
        return [facts[0], alive, facts[1], alive, facts[2], alive, 4]

    @routed
    async def test_who_did_not_ask(self, arm: Arm, router: Router) -> Any:
        """Nobody hears of it but SO_ERROR, once."""
        sock = await self.connected(arm, router, 3, 3, asked=False)
        await asyncio.sleep(0.05)
        arm.see(outcome(sock.recv, 1), sock.send(b"more"), polled(sock))
        arm.see([sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for _ in range(2)], outcome(sock.recv, 1))
        return [("EAGAIN", 4, select.POLLOUT), ([111, 0], "EAGAIN")]

    @routed
    async def test_too_large(self, arm: Arm, router: Router) -> Any:
        """That a packet is too large is for TCP alone."""
        sock = await self.connected(arm, router, 3, 4, asked=True)
        await asyncio.sleep(0.05)
        arm.see(outcome(sock.recv, 1), sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), read(sock))
        return [("EAGAIN", 0, "EAGAIN")]

    @routed
    async def test_streams(self, arm: Arm, router: Router) -> Any:
        """asyncio ends a connection with the first of them."""
        sock = await self.connected(arm, router, 3, 13, asked=True)
        reader, writer = await asyncio.open_connection(sock=sock)
        try:
            await reader.read(1)
        except OSError as error:
            arm.see(error.errno)
        writer.close()
        return [113]
