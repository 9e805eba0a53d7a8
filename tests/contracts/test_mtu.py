"""Datagrams that are too large for the way: what each value of IP_MTU_DISCOVER makes of them, and IP_MTU."""

import errno
import socket
import struct
from typing import Any

from tests.contracts.arms import Arm, Contract, failure, outcome, scenario
from tests.contracts.routers import Router, behind_router, routed

IP, SIX = socket.IPPROTO_IP, socket.IPPROTO_IPV6
DISCOVER, MTU, RECVERR, QUEUE = 10, 14, 11, 0x2000
DONT, WANT, DO, PROBE, INTERFACE, OMIT = range(6)
FOUND, BY_ITSELF = (2, 3, 4), (1, 0, 0)  # origin, type and code of what the router said, and of the own refusal


def report(sock: socket.socket) -> Any:
    """What is first in the queue of errors: (size of the data, origin, type, code, MTU)."""
    found = outcome(sock.recvmsg, 2000, 500, QUEUE)
    if isinstance(found, str):
        return found
    _, origin, kind, code, mtu = struct.unpack_from("=IBBBxI", found[1][0][2])
    return (origin, kind, code), mtu


def narrow_way(mode: int, *sends: Any, mtu: int, waiting: str, large: str | int, first: Any) -> Any:
    """A scenario: datagrams of 1400 bytes over a way that takes 1000, with this value of IP_MTU_DISCOVER."""

    async def test(self: Any, arm: Arm, router: Router) -> Any:
        for asked in (False, True):
            address = behind_router(10 * mode + asked + 1)
            router.narrow(address, 1000)
            sock = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.setblocking(False)
            sock.setsockopt(IP, DISCOVER, mode)
            sock.setsockopt(IP, RECVERR, asked)
            sock.connect((address, 53))
            before = sock.getsockopt(IP, MTU)
            for _ in range(4):
                arm.see(outcome(sock.send, bytes(1400)))
                await arm.calm()
            arm.see(before, sock.getsockopt(IP, MTU), outcome(sock.recv, 1), outcome(sock.recv, 1))
            arm.see(outcome(sock.send, bytes(2000)), outcome(sock.send, bytes(970)), report(sock))
        seen = [*sends, (1500, mtu, waiting, "EAGAIN")]
        return [*seen, (large, 970, "EAGAIN"), *seen, (large, 970, first)]

    test.__doc__ = f"IP_MTU_DISCOVER {mode}."
    return routed(test)


class NarrowWays(Contract):
    """The way to the peer takes less than the interface."""

    test_dont = narrow_way(DONT, 1400, 1400, 1400, 1400, mtu=1500, waiting="EAGAIN", large=2000, first="EAGAIN")
    test_want = narrow_way(WANT, 1400, "EMSGSIZE", 1400, 1400, mtu=1000, waiting="EAGAIN", large=2000,
                           first=(FOUND, 1000))
    test_do = narrow_way(DO, 1400, "EMSGSIZE", "EMSGSIZE", "EMSGSIZE", mtu=1000, waiting="EMSGSIZE", large="EMSGSIZE",
                         first=(FOUND, 1000))
    test_probe = narrow_way(PROBE, 1400, "EMSGSIZE", 1400, "EMSGSIZE", mtu=1000, waiting="EAGAIN", large="EMSGSIZE",
                            first=(FOUND, 1000))
    test_interface = narrow_way(INTERFACE, 1400, 1400, 1400, 1400, mtu=1500, waiting="EAGAIN", large="EMSGSIZE",
                                first=(BY_ITSELF, 1500))
    test_omit = narrow_way(OMIT, 1400, 1400, 1400, 1400, mtu=1500, waiting="EAGAIN", large=2000, first="EAGAIN")

    @routed
    async def test_not_connected(self, arm: Arm, router: Router) -> Any:
        """Who has no peer hears nothing; its host knows all the same, of that address."""
        address = behind_router(1)
        router.narrow(address, 1000)
        router.narrow(behind_router(2), 1000)
        sock = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.setblocking(False)
        for _ in range(2):
            arm.see(outcome(sock.sendto, bytes(1400), (address, 53)), outcome(sock.getsockopt, IP, MTU))
            await arm.calm()
        for target in (address, behind_router(2)):
            sock.connect((target, 53))
            arm.see(sock.getsockopt(IP, MTU))
        return [(1400, "ENOTCONN"), (1400, "ENOTCONN"), 1000, 1500]

    @routed
    async def test_the_interface(self, arm: Arm, router: Router) -> Any:
        """No whole datagram is larger than the interface takes: it is refused in the call, and in the queue."""
        router.narrow(behind_router(), 1500)
        for asked in (False, True):
            sock = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.setblocking(False)
            sock.setsockopt(IP, DISCOVER, DO)
            sock.setsockopt(IP, RECVERR, asked)
            arm.see(outcome(sock.sendto, bytes(1472), (behind_router(), 53)),
                    outcome(sock.sendto, bytes(1473), (behind_router(), 53)), outcome(sock.recv, 1), report(sock))
        return [(1472, "EMSGSIZE", "EAGAIN", "EAGAIN"), (1472, "EMSGSIZE", "EAGAIN", (BY_ITSELF, 1500))]


    @routed
    async def test_who_does_not_ask(self, arm: Arm, router: Router) -> Any:
        """With IP_MTU_DISCOVER 0 nobody hears that a datagram was too large."""
        router.answer(behind_router(), 3, 4)
        for mode in (DONT, WANT):
            sock = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.setblocking(False)
            sock.setsockopt(IP, DISCOVER, mode)
            sock.connect((behind_router(), 53))
            sock.send(b"x")
            await arm.calm()
            arm.see(outcome(sock.recv, 1))
        return ["EAGAIN", "EMSGSIZE"]


class Loopback(Contract):
    @scenario
    async def test_mtu(self, arm: Arm) -> Any:
        """IP_MTU of the loopback, for those who are connected; nobody can set it."""
        four, six = arm.datagram(), arm.datagram("::1")
        arm.see(outcome(four.getsockopt, IP, MTU), outcome(six.getsockopt, SIX, 24))
        four.connect(arm.datagram().getsockname())
        six.connect(arm.datagram("::1").getsockname())
        one, other = await arm.connection()
        arm.see(four.getsockopt(IP, MTU), six.getsockopt(SIX, 24), one.getsockopt(IP, MTU), other.getsockopt(IP, MTU))
        arm.see(outcome(four.setsockopt, IP, MTU, 1000), outcome(arm.listener().getsockopt, IP, MTU),
                outcome(arm.pair()[0].getsockopt, IP, MTU) == failure(OSError(errno.EOPNOTSUPP, "")))
        return [("ENOTCONN", "ENOTCONN"), (65535, 65536, 65535, 65535), ("ENOPROTOOPT", "ENOTCONN", True)]

    @scenario
    async def test_what_ip_cannot_carry(self, arm: Arm) -> Any:
        """What is larger than any packet is refused, and in the queue of who asked."""
        other = arm.datagram()
        for connected in (False, True):
            sock = arm.datagram()
            sock.setsockopt(IP, RECVERR, 1)
            if connected:
                sock.connect(other.getsockname())
            for size in (65_507, 65_508, 65_536):
                arm.see(outcome(sock.sendto, bytes(size), other.getsockname()), report(sock), outcome(sock.recv, 1))
        six, far = arm.datagram("::1"), arm.datagram("::1")
        six.setsockopt(SIX, 25, 1)  # IPV6_RECVERR
        arm.see(outcome(six.sendto, bytes(65_528), far.getsockname()), report(six), outcome(six.recv, 1))
        return [(65_507, "EAGAIN", "EAGAIN"), ("EMSGSIZE", (BY_ITSELF, 65_535), "EAGAIN"),
                ("EMSGSIZE", "EAGAIN", "EAGAIN")] * 2 + [("EMSGSIZE", (BY_ITSELF, 65_536), "EAGAIN")]
