"""Socket options: what is read back, what changes behaviour, and what is refused with which errno."""

import socket
import struct
from typing import Any

from tests.contracts.arms import RESET_ON_CLOSE, Arm, Contract, outcome, scenario

SOL = socket.SOL_SOCKET
TCP = socket.IPPROTO_TCP
IP = socket.IPPROTO_IP
SIX = socket.IPPROTO_IPV6


class Options(Contract):
    """Of each kind of socket."""

    def kinds(self, arm: Arm) -> dict[str, socket.socket]:
        return {
            "tcp4": arm.socket(),
            "tcp6": arm.socket("::1"),
            "udp4": arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
            "udp6": arm.keep(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)),
            "unix": arm.unix(),
            "unixgram": arm.unix(socket.SOCK_DGRAM),
        }

    @scenario
    async def test_what_a_socket_is(self, arm: Arm) -> Any:
        """SO_TYPE, SO_DOMAIN, SO_PROTOCOL and SO_ACCEPTCONN say what a socket is, and cannot be set."""
        names = (socket.SO_TYPE, socket.SO_DOMAIN, socket.SO_PROTOCOL, socket.SO_ACCEPTCONN, socket.SO_ERROR)
        for kind, sock in self.kinds(arm).items():
            arm.see(kind, [sock.getsockopt(SOL, name) for name in names])
            arm.see([outcome(sock.setsockopt, SOL, name, 1) for name in names])
        listener = arm.listener()
        arm.see(listener.getsockopt(SOL, socket.SO_ACCEPTCONN))

    @scenario
    async def test_switches(self, arm: Arm) -> Any:
        """A switch is off, is read back as 1 whatever number turned it on, and as 0 once it is off again."""
        for kind, sock in self.kinds(arm).items():
            for name in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_KEEPALIVE, socket.SO_BROADCAST,
                         socket.SO_OOBINLINE, socket.SO_DONTROUTE):
                story = [sock.getsockopt(SOL, name)]
                for value in (1, 7, -1, 0, b"\1\0\0\0", b"\0\0\0\0\0"):
                    story += [outcome(sock.setsockopt, SOL, name, value), sock.getsockopt(SOL, name)]
                arm.see(kind, int(name), story)

    @scenario
    async def test_options_of_other_protocols(self, arm: Arm) -> Any:
        """An option of a protocol that the socket does not speak is refused, to set and to get."""
        for kind, sock in self.kinds(arm).items():
            for option in ((TCP, socket.TCP_NODELAY), (SIX, socket.IPV6_V6ONLY), (IP, socket.IP_TTL), (SOL, 4711),
                           (TCP, 4711), (IP, 4711), (SIX, 4711), (4711, 1)):
                arm.see(kind, option, outcome(sock.getsockopt, *option), outcome(sock.setsockopt, *option, 1))

    @scenario
    async def test_values_that_are_none(self, arm: Arm) -> Any:
        """Values that are too short, of no type, or null are refused before and after what they are for."""
        for kind, sock in self.kinds(arm).items():
            for option in ((SOL, socket.SO_REUSEADDR), (SOL, socket.SO_LINGER), (SOL, socket.SO_TYPE), (SOL, 4711)):
                arm.see(kind, option, [outcome(sock.setsockopt, *option, value)
                                       for value in (b"", b"\1", b"\1\0\0\0", None, "1", 1.5, 1 << 40)])
            arm.see(outcome(sock.setsockopt, SOL, socket.SO_REUSEADDR, None, 4),
                    outcome(sock.setsockopt, SOL, socket.SO_REUSEADDR, None, 0),
                    outcome(sock.setsockopt, SOL, socket.SO_REUSEADDR))

    @scenario
    async def test_reading_into_buffers(self, arm: Arm) -> Any:
        """getsockopt with a length gives bytes, at most as many."""
        sock = arm.socket()
        for length in (1, 2, 4, 100, 1024, 1025, -1):
            arm.see(length, outcome(sock.getsockopt, SOL, socket.SO_TYPE, length),
                    outcome(sock.getsockopt, SOL, socket.SO_LINGER, length))
        arm.see(outcome(sock.getsockopt, SOL, socket.SO_LINGER))

    @scenario
    async def test_linger(self, arm: Arm) -> Any:
        """SO_LINGER is read back, and resets a connection when it says: not a second."""
        sock = arm.socket()
        arm.see(sock.getsockopt(SOL, socket.SO_LINGER, 8) == bytes(8))
        sock.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 30))
        arm.see(struct.unpack("ii", sock.getsockopt(SOL, socket.SO_LINGER, 8)))
        for value, ending in ((RESET_ON_CLOSE, "ECONNRESET"), (struct.pack("ii", 0, 0), b""),
                              (struct.pack("ii", 1, 1), b"")):
            one, other = await arm.connection()
            one.setsockopt(SOL, socket.SO_LINGER, value)
            one.close()
            await arm.readable(other)
            arm.see(outcome(other.recv, 1) == ending)
        return [True, (1, 30), True, True, True]

    @scenario
    async def test_buffers(self, arm: Arm) -> Any:
        """A larger SO_RCVBUF holds more, and both sizes read back as more than nothing."""
        sent = []
        for size in (8192, 262144):
            listener, client = arm.socket(), arm.socket()
            listener.setsockopt(SOL, socket.SO_RCVBUF, size)
            client.setsockopt(SOL, socket.SO_SNDBUF, 8192)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            arm.see(outcome(client.connect, listener.getsockname()))
            await arm.answer(listener)
            sent.append(await arm.fill(client))
            arm.see(client.getsockopt(SOL, socket.SO_SNDBUF) >= 8192,
                    listener.getsockopt(SOL, socket.SO_RCVBUF) >= size)
        arm.see(sent[0] < sent[1])
        return ["EINPROGRESS", (True, True)] * 2 + [True]

    @scenario
    async def test_inherited(self, arm: Arm) -> Any:
        """What is accepted has its listener's options."""
        listener = arm.socket()
        options = ((SOL, socket.SO_KEEPALIVE), (TCP, socket.TCP_NODELAY), (SOL, socket.SO_REUSEADDR),
                   (TCP, socket.TCP_KEEPIDLE))
        for option in options:
            listener.setsockopt(*option, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        await arm.dial(listener)
        server = await arm.answer(listener)
        arm.see([server.getsockopt(*option) for option in options])
        return [[1, 1, 1, 1]]

    @scenario
    async def test_keepalive_times(self, arm: Arm) -> Any:
        """The times of keep-alive and their ranges are those of tcp(7)."""
        sock = arm.socket()
        for name in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT):
            story = [sock.getsockopt(TCP, name)]
            for value in (5, 0, -1, 1 << 20):
                story += [outcome(sock.setsockopt, TCP, name, value), sock.getsockopt(TCP, name)]
            arm.see(int(name), story)

    @scenario
    async def test_time_to_live(self, arm: Arm) -> Any:
        """IP_TTL, IP_TOS and the multicast options have their defaults and ranges."""
        sock = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for name in (socket.IP_TTL, socket.IP_TOS, socket.IP_MULTICAST_TTL, socket.IP_MULTICAST_LOOP):
            story = [sock.getsockopt(IP, name)]
            for value in (5, 0, 255, 256):
                story += [outcome(sock.setsockopt, IP, name, value), sock.getsockopt(IP, name)]
            arm.see(int(name), story)

    @scenario
    async def test_v6only(self, arm: Arm) -> Any:
        """IPV6_V6ONLY is off, can be turned on before bind, and not after."""
        sock = arm.socket("::1")
        arm.see(sock.getsockopt(SIX, socket.IPV6_V6ONLY), outcome(sock.setsockopt, SIX, socket.IPV6_V6ONLY, 1))
        sock.bind(("::1", 0))
        arm.see(outcome(sock.setsockopt, SIX, socket.IPV6_V6ONLY, 0), sock.getsockopt(SIX, socket.IPV6_V6ONLY))
        return [(0, None), ("EINVAL", 1)]

    @scenario
    async def test_reuse_port(self, arm: Arm) -> Any:
        """With SO_REUSEPORT on all, several sockets listen on one port, and connections come to one of them."""
        socks = [arm.socket() for _ in range(3)]
        for sock in socks[:2]:
            sock.setsockopt(SOL, socket.SO_REUSEPORT, 1)
        socks[0].bind(("127.0.0.1", 0))
        where = socks[0].getsockname()
        arm.see(outcome(socks[1].bind, where), outcome(socks[2].bind, where))
        for sock in socks[:2]:
            sock.listen()
        client = await arm.dial(socks[0])
        arm.see(sorted([await arm.readiness(sock) for sock in socks[:2]]), client.getpeername() == where)
        return [(None, "EADDRINUSE"), (["-", "r"], True)]

    @scenario
    async def test_timeouts_of_the_system(self, arm: Arm) -> Any:
        """SO_RCVTIMEO and SO_SNDTIMEO are read back."""
        sock = arm.socket()
        for name in (getattr(socket, "SO_RCVTIMEO", 20), getattr(socket, "SO_SNDTIMEO", 21)):
            arm.see(outcome(sock.setsockopt, SOL, name, struct.pack("ll", 5, 0)),
                    struct.unpack("ll", sock.getsockopt(SOL, name, 16)))
        return [(None, (5, 0))] * 2
