"""Datagrams: UDP over both families, and UNIX datagram sockets, which keep their boundaries and may be refused."""

import array
import socket
import struct
from typing import Any

from tests.contracts.arms import Arm, Contract, outcome, scenario, shape

SO_ERROR = (socket.SOL_SOCKET, socket.SO_ERROR)
SO_BROADCAST = (socket.SOL_SOCKET, socket.SO_BROADCAST)
GROUP = "239.255.77.7"
ATTEMPTS = 20
"""How often a port is tried that on a real machine somebody else may have."""

LOOPBACK = socket.inet_aton("127.0.0.1")


class Datagrams(Contract):
    """UDP over IPv4."""

    wildcard = "0.0.0.0"
    other_family = "::1"

    def two(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return arm.datagram(self.host), arm.datagram(self.host)

    def joined(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        """Two that are connected to each other."""
        one, other = self.two(arm)
        one.connect(other.getsockname())
        other.connect(one.getsockname())
        return one, other

    async def refused(self, arm: Arm) -> socket.socket:
        """One that is connected to a port where nobody is."""
        one, other = self.two(arm)
        one.connect(other.getsockname())
        other.close()
        return one

    def shaped(self, host: str, port: Any = "port") -> Any:
        return (host, port, 0, 0) if ":" in self.host else (host, port)

    @scenario
    async def test_sendto_and_recvfrom(self, arm: Arm) -> Any:
        """A datagram arrives with its sender's address, and can be answered."""
        one, other = self.two(arm)
        arm.see(one.sendto(b"question", other.getsockname()))
        await arm.readable(other)
        data, sender = other.recvfrom(100)
        arm.see(data, sender == one.getsockname())
        other.sendto(b"answer", sender)
        await arm.readable(one)
        arm.see(one.recvfrom(100)[0])
        return [8, (b"question", True), b"answer"]

    @scenario
    async def test_boundaries(self, arm: Arm) -> Any:
        """Each datagram is read by itself, in order, empty ones too, and what was not asked for is lost."""
        one, other = self.two(arm)
        for data in (b"first", b"", b"third", b"fourth"):
            one.sendto(data, other.getsockname())
        await arm.readable(other)
        arm.see([other.recv(size) for size in (100, 100, 2, 100)], outcome(other.recv, 100))
        return [([b"first", b"", b"th", b"fourth"], "EAGAIN")]

    @scenario
    async def test_sender_of_an_unbound_socket(self, arm: Arm) -> Any:
        """Sending binds a socket to a port of the kernel's choice, on every address."""
        other = arm.datagram(self.host)
        one = arm.keep(socket.socket(other.family, socket.SOCK_DGRAM))
        arm.see(shape(one.getsockname()))
        one.sendto(b"x", other.getsockname())
        arm.see(shape(one.getsockname()))
        await arm.readable(other)
        arm.see(shape(other.recvfrom(10)[1]))
        return [self.shaped(self.wildcard, 0), self.shaped(self.wildcard), self.shaped(self.host)]

    @scenario
    async def test_connected(self, arm: Arm) -> Any:
        """A connected socket sends without an address, hears its peer alone, and may still send elsewhere."""
        one, other = self.two(arm)
        third = arm.datagram(self.host)
        arm.see(outcome(one.send, b"nowhere"), outcome(one.getpeername))
        arm.see(outcome(one.connect, other.getsockname()), one.getpeername() == other.getsockname())
        third.sendto(b"stranger", one.getsockname())
        other.sendto(b"friend", one.getsockname())
        await arm.readable(one)
        arm.see(one.recv(100), outcome(one.recv, 100))
        arm.see(one.send(b"to the peer"), one.sendto(b"to a third", third.getsockname()))
        await arm.readable(third)
        arm.see(other.recv(100), third.recv(100))
        return [("EDESTADDRREQ", "ENOTCONN"), (None, True), (b"friend", "EAGAIN"), (11, 10),
                (b"to the peer", b"to a third")]

    @scenario
    async def test_connect_again(self, arm: Arm) -> Any:
        """A connected socket can be connected to another peer, and what has arrived stays."""
        one, other = self.two(arm)
        third = arm.datagram(self.host)
        one.connect(other.getsockname())
        other.sendto(b"before", one.getsockname())
        await arm.readable(one)
        arm.see(outcome(one.connect, third.getsockname()), one.getpeername() == third.getsockname())
        arm.see(one.recv(100))
        return [(None, True), b"before"]

    @scenario
    async def test_connect_binds(self, arm: Arm) -> Any:
        """Connecting gives an unbound socket the address from which its datagrams will come."""
        other = arm.datagram(self.host)
        one = arm.keep(socket.socket(other.family, socket.SOCK_DGRAM))
        arm.see(outcome(one.connect, other.getsockname()), shape(one.getsockname()))
        return [(None, self.shaped(self.host))]

    @scenario
    async def test_nobody_there(self, arm: Arm) -> Any:
        """A connected socket is told once that nobody is at the port; one that is not connected never learns it."""
        one = await self.refused(arm)
        arm.see(one.send(b"x"))
        arm.see(await arm.readiness(one), outcome(one.recv, 10), outcome(one.recv, 10))
        loose, gone = self.two(arm)
        address = gone.getsockname()
        gone.close()
        arm.see(loose.sendto(b"x", address), await arm.readiness(loose), outcome(loose.recv, 10))
        return [1, ("rw", "ECONNREFUSED", "EAGAIN"), (1, "w", "EAGAIN")]

    @scenario
    async def test_refusal_is_told_by_send(self, arm: Arm) -> Any:
        """The next send tells the refusal, is not sent, and the one after it goes."""
        one = await self.refused(arm)
        one.send(b"x")
        await arm.calm()
        arm.see(outcome(one.send, b"y"), one.send(b"z"))
        return [("ECONNREFUSED", 1)]

    @scenario
    async def test_refusal_is_told_by_so_error(self, arm: Arm) -> Any:
        """SO_ERROR tells the refusal, once."""
        one = await self.refused(arm)
        one.send(b"x")
        await arm.calm()
        arm.see(one.getsockopt(*SO_ERROR) != 0, one.getsockopt(*SO_ERROR), outcome(one.recv, 10))
        return [(True, 0, "EAGAIN")]

    @scenario
    async def test_truncation(self, arm: Arm) -> Any:
        """recvmsg says that a datagram was cut, and MSG_TRUNC how long it was."""
        one, other = self.joined(arm)
        for _ in range(3):
            one.send(b"0123456789")
        await arm.readable(other)
        data, ancillary, flags, address = other.recvmsg(4)
        arm.see(data, ancillary, flags == socket.MSG_TRUNC, shape(address))
        arm.see(other.recvmsg(10)[2])
        buffer = bytearray(4)
        arm.see(other.recv_into(buffer, 0, socket.MSG_TRUNC), buffer)
        return [(b"0123", [], True, self.shaped(self.host)), 0, (10, bytearray(b"0123"))]

    @scenario
    async def test_truncation_without_a_buffer(self, arm: Arm) -> Any:
        """recv with MSG_TRUNC of a datagram that is too long: its length, or ValueError; the datagram is gone."""
        one, other = self.joined(arm)
        for flags in (socket.MSG_TRUNC, socket.MSG_TRUNC | socket.MSG_PEEK):
            for size in (4, 10, 0, 100):
                for take in (lambda size, flags: (len(other.recv(size, flags)), size),
                             lambda size, flags: (len(other.recvfrom(size, flags)[0]), size),
                             lambda size, flags: other.recvmsg(size, 0, flags)[:3]):
                    one.send(b"0123456789")
                    await arm.readable(other)
                    arm.see(flags, size, outcome(take, size, flags), outcome(other.recv, 100),
                            outcome(other.recv, 100))

    @scenario
    async def test_peek(self, arm: Arm) -> Any:
        """MSG_PEEK leaves the datagram where it is, whole."""
        one, other = self.joined(arm)
        one.send(b"datagram")
        await arm.readable(other)
        arm.see(other.recv(4, socket.MSG_PEEK), other.recvfrom(100, socket.MSG_PEEK)[0], other.recv(100))
        return [(b"data", b"datagram", b"datagram")]

    @scenario
    async def test_receiving_into_buffers(self, arm: Arm) -> Any:
        """recv_into, recvfrom_into and recvmsg_into fill what they are given, of any item size."""
        one, other = self.joined(arm)
        for _ in range(4):
            one.send(b"abcdefgh")
        await arm.readable(other)
        first, second, third, fourth = bytearray(3), array.array("i", [0, 0]), bytearray(10), bytearray(5)
        arm.see(other.recv_into(first), first)
        arm.see(other.recvfrom_into(second)[0], second.tobytes())
        count, ancillary, flags, _ = other.recvmsg_into([memoryview(third)[:3], fourth])
        arm.see(count, ancillary, flags, third, fourth)
        arm.see(outcome(other.recvfrom_into, bytearray(2), 5))
        return [(3, bytearray(b"abc")), (8, b"abcdefgh"),
                (8, [], 0, bytearray(b"abc" + bytes(7)), bytearray(b"defgh")), "ValueError"]

    @scenario
    async def test_sendmsg(self, arm: Arm) -> Any:
        """sendmsg sends one datagram made of several buffers, to an address that is given or to the peer."""
        one, other = self.two(arm)
        arm.see(one.sendmsg([b"ab", bytearray(b"cd"), array.array("b", b"ef")], [], 0, other.getsockname()))
        arm.see(outcome(one.sendmsg, [b"nowhere"]))
        one.connect(other.getsockname())
        arm.see(one.sendmsg([b"gh"]), one.sendmsg([]))
        await arm.readable(other)
        arm.see([other.recv(100) for _ in range(3)])
        return [6, "EDESTADDRREQ", (2, 0), [b"abcdef", b"gh", b""]]

    @scenario
    async def test_too_large(self, arm: Arm) -> Any:
        """What fits into no packet is EMSGSIZE, and the largest that fits arrives."""
        one, other = self.two(arm)
        most = 65507 if self.host == "127.0.0.1" else 65527
        arm.see(outcome(one.sendto, bytes(most + 1), other.getsockname()),
                outcome(one.sendto, bytes(most), other.getsockname()))
        await arm.readable(other)
        arm.see(len(other.recv(1 << 17)))
        return [("EMSGSIZE", most), most]

    @scenario
    async def test_full_queue(self, arm: Arm) -> Any:
        """A queue that is full drops what comes, the sender never learns it, and the first ones are there."""
        one, other = self.joined(arm)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        arm.see({one.send(bytes([number]) * 1000) for number in range(100)})
        await arm.calm()
        got = []
        while True:
            data = outcome(other.recv, 2000)
            if isinstance(data, str):
                break
            got.append(data[0])
        arm.see(0 < len(got) < 100, got == list(range(len(got))))
        one.send(b"there is room again")
        await arm.readable(other)
        arm.see(other.recv(100))
        return [{1000}, (True, True), b"there is room again"]

    @scenario
    async def test_shutdown(self, arm: Arm) -> Any:
        """Shut down, sending is EPIPE, receiving EAGAIN though readable; unconnected it is ENOTCONN too."""
        one, _ = self.joined(arm)
        loose = arm.datagram(self.host)
        arm.see(outcome(one.shutdown, socket.SHUT_RD), outcome(one.recv, 10), await arm.readiness(one))
        arm.see(outcome(one.shutdown, socket.SHUT_WR), outcome(one.send, b"x"), await arm.readiness(one))
        arm.see(outcome(loose.shutdown, socket.SHUT_RD), outcome(loose.recv, 10))
        arm.see(outcome(loose.shutdown, socket.SHUT_WR), outcome(loose.sendto, b"x", one.getsockname()))
        return [(None, "EAGAIN", "rw"), (None, "EPIPE", "rw"), ("ENOTCONN", "EAGAIN"), ("ENOTCONN", "EPIPE")]

    @scenario
    async def test_calls_for_streams(self, arm: Arm) -> Any:
        """listen and accept are nothing for datagrams."""
        one = arm.datagram(self.host)
        arm.see(outcome(one.listen), outcome(one.accept))
        return [("ENOTSUP", "ENOTSUP")]

    @scenario
    async def test_ports_of_their_own(self, arm: Arm) -> Any:
        """UDP and TCP ports are not the same; one UDP port belongs to one socket."""
        one = arm.datagram(self.host)
        again = arm.keep(socket.socket(one.family, socket.SOCK_DGRAM))
        arm.see(outcome(again.bind, one.getsockname()))
        one.close()
        arm.see(outcome(again.bind, (self.host, 0)), outcome(again.bind, (self.host, 0)))
        arm.see(None in [outcome(arm.socket(self.host).bind, arm.datagram(self.host).getsockname())
                         for _ in range(ATTEMPTS)])
        return ["EADDRINUSE", (None, "EINVAL"), True]

    @scenario
    async def test_shared_port(self, arm: Arm) -> Any:
        """With SO_REUSEADDR on both several sockets share a port, and the last one bound hears."""
        socks = [arm.keep(socket.socket(arm.datagram(self.host).family, socket.SOCK_DGRAM)) for _ in range(2)]
        for sock in socks:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        socks[0].bind((self.host, 0))
        arm.see(outcome(socks[1].bind, socks[0].getsockname()))
        arm.datagram(self.host).sendto(b"x", socks[0].getsockname())
        await arm.calm()
        arm.see([outcome(sock.recv, 10) for sock in socks])
        return [None, ["EAGAIN", b"x"]]

    @scenario
    async def test_wildcard(self, arm: Arm) -> Any:
        """A socket on every address hears what is sent to each."""
        one = arm.datagram(self.wildcard)
        two = arm.datagram(self.host)
        two.sendto(b"x", (self.host, one.getsockname()[1]))
        await arm.readable(one)
        arm.see(one.recvfrom(10)[0])
        return [b"x"]

    @scenario
    async def test_addresses_that_are_none(self, arm: Arm) -> Any:
        """Addresses of another shape, family or range are refused before anything is sent."""
        one = arm.datagram(self.host)
        for address in ((self.host,), self.host, (self.host, 70000), (self.host, -1), (self.host, "http"), None):
            arm.see(outcome(one.sendto, b"x", address))
        arm.see(outcome(one.sendto, b"x", (self.host, 0)), outcome(one.sendto, b"x"), outcome(one.sendto, "x", 1))
        return ["TypeError", "TypeError", "OverflowError", "OverflowError", "TypeError", "TypeError",
                ("EINVAL", "TypeError", "TypeError")]

    @scenario
    async def test_readiness(self, arm: Arm) -> Any:
        """A socket can always send, and is readable while a datagram waits, an empty one too."""
        one, other = self.joined(arm)
        arm.see(await arm.readiness(other))
        one.send(b"")
        arm.see(await arm.readiness(other), other.recv(10), await arm.readiness(other))
        return ["w", ("rw", b"", "w")]

    @scenario
    async def test_closed(self, arm: Arm) -> Any:
        """Everything on a closed socket is EBADF."""
        one = arm.datagram(self.host)
        name = one.getsockname()
        one.close()
        arm.see([outcome(call, *args) for call, *args in (
            (one.sendto, b"x", name), (one.send, b"x"), (one.recvfrom, 1), (one.recvmsg, 1), (one.getsockname,),
            (one.connect, name), (one.recvfrom_into, bytearray(1)), (one.sendmsg, [b"x"]))])
        return [["EBADF"] * 8]


class Datagrams6(Datagrams):
    """UDP over IPv6."""

    host = "::1"
    wildcard = "::"


class Broadcast(Contract):
    """What one socket sends to many: UDP over IPv4, on the loopback."""

    def member(self, arm: Arm, port: int = 0) -> socket.socket:
        sock = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", port))
        return sock

    def join(self, sock: socket.socket, group: str = GROUP) -> Any:
        request = socket.inet_aton(group) + LOOPBACK
        return outcome(sock.setsockopt, socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)

    def leave(self, sock: socket.socket, group: str = GROUP) -> Any:
        request = socket.inet_aton(group) + LOOPBACK
        return outcome(sock.setsockopt, socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, request)

    def speaker(self, arm: Arm) -> socket.socket:
        sock = arm.datagram()
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, LOOPBACK)
        return sock

    @scenario
    async def test_broadcast(self, arm: Arm) -> Any:
        """A broadcast needs SO_BROADCAST, and reaches every socket that shares the port on every address."""
        one, two = self.member(arm), None
        port = one.getsockname()[1]
        two = self.member(arm, port)
        sender = arm.datagram()
        arm.see(outcome(sender.sendto, b"x", ("127.255.255.255", port)))
        sender.setsockopt(*SO_BROADCAST, 1)
        arm.see(outcome(sender.sendto, b"hello", ("127.255.255.255", port)))
        await arm.calm()
        arm.see([outcome(sock.recv, 100) for sock in (one, two)])
        return ["EACCES", 5, [b"hello", b"hello"]]

    @scenario
    async def test_broadcast_to_a_connected_socket(self, arm: Arm) -> Any:
        """Connecting to a broadcast address needs SO_BROADCAST too."""
        sender = arm.datagram()
        arm.see(outcome(sender.connect, ("127.255.255.255", 9)))
        sender.setsockopt(*SO_BROADCAST, 1)
        arm.see(outcome(sender.connect, ("127.255.255.255", 9)))
        return ["EACCES", None]

    @scenario
    async def test_multicast(self, arm: Arm) -> Any:
        """Every member of a group hears what is sent to it; who is no member, or has left, does not."""
        one = self.member(arm)
        port = one.getsockname()[1]
        two, other = self.member(arm, port), self.member(arm, port)
        other.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_MULTICAST_ALL", 49), 0)
        arm.see(self.join(one), self.join(two))
        speaker = self.speaker(arm)
        speaker.sendto(b"to all", (GROUP, port))
        await arm.readable(two)
        await arm.calm()
        arm.see([outcome(sock.recv, 100) for sock in (one, two, other)])
        two.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_MULTICAST_ALL", 49), 0)
        arm.see(self.leave(two))
        speaker.sendto(b"to one", (GROUP, port))
        await arm.readable(one)
        await arm.calm()
        arm.see([outcome(sock.recv, 100) for sock in (one, two, other)])
        return [(None, None), [b"to all", b"to all", "EAGAIN"], None, [b"to one", "EAGAIN", "EAGAIN"]]

    @scenario
    async def test_memberships(self, arm: Arm) -> Any:
        """Joining twice, leaving what was never joined and joining what is no group are refused."""
        one = self.member(arm)
        arm.see(self.join(one), self.join(one), self.leave(one), self.leave(one), self.join(one, "10.0.0.1"))
        return [(None, "EADDRINUSE", None, "EADDRNOTAVAIL", "EINVAL")]

    @scenario
    async def test_multicast_without_loop(self, arm: Arm) -> Any:
        """IP_MULTICAST_LOOP changes nothing on the loopback, which brings back what is sent in any case."""
        one = self.member(arm)
        self.join(one)
        speaker = self.speaker(arm)
        arm.see(speaker.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP),
                speaker.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL))
        speaker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        speaker.sendto(b"x", (GROUP, one.getsockname()[1]))
        await arm.calm()
        await arm.readable(one)
        arm.see(one.recv(10))
        return [(1, 1), b"x"]

    @scenario
    async def test_connect_to_nothing(self, arm: Arm) -> Any:
        """connect to AF_UNSPEC cannot be said in Python; a wildcard means this machine."""
        one, other = arm.datagram(), arm.datagram()
        arm.see(outcome(one.sendto, b"x", ("0.0.0.0", other.getsockname()[1])))
        await arm.readable(other)
        arm.see(other.recv(10))
        return [1, b"x"]

    @scenario
    async def test_memberships_of_six(self, arm: Arm) -> Any:
        """A group of IPv6 is joined by the number of an interface."""
        index = socket.if_nametoindex("lo")
        sock = arm.datagram("::1")
        request = socket.inet_pton(socket.AF_INET6, "ff15::7") + struct.pack("I", index)
        for option in (socket.IPV6_JOIN_GROUP, socket.IPV6_JOIN_GROUP, socket.IPV6_LEAVE_GROUP):
            arm.see(outcome(sock.setsockopt, socket.IPPROTO_IPV6, option, request))
        return [None, "EADDRINUSE", None]


class DualDatagrams(Contract):
    """UDP of both families on one port."""

    @scenario
    async def test_ipv4_sender_to_an_ipv6_socket(self, arm: Arm) -> Any:
        """An IPv6 socket on every address hears IPv4 senders, under their mapped address, and can answer them."""
        six, four = arm.datagram("::"), arm.datagram()
        arm.see(four.sendto(b"x", ("127.0.0.1", six.getsockname()[1])))
        await arm.readable(six)
        data, sender = six.recvfrom(10)
        arm.see(data, shape(sender))
        six.sendto(b"y", sender)
        await arm.readable(four)
        arm.see(four.recv(10))
        return [1, (b"x", ("::ffff:127.0.0.1", "port", 0, 0)), b"y"]

    @scenario
    async def test_only_six(self, arm: Arm) -> Any:
        """With IPV6_V6ONLY an IPv6 socket leaves the same port to IPv4."""
        shared = []
        for _ in range(ATTEMPTS):
            six = arm.keep(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            six.bind(("::", 0))
            four = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            shared.append(outcome(four.bind, ("0.0.0.0", six.getsockname()[1])))
        arm.see(None in shared, outcome(six.sendto, b"x", ("::ffff:127.0.0.1", 9)))
        return [(True, "ENETUNREACH")]
