"""What the fuzzer found that no program should do, and Linux answers all the same."""

import os
import socket
import struct
from typing import Any

from tests.contracts.arms import Arm, Contract, outcome, scenario, shape

TTL = (socket.IPPROTO_IP, socket.IP_TTL)


class Oddities(Contract):
    """TCP over IPv4, but where another kind is named."""

    async def refused(self, arm: Arm, sock: socket.socket) -> None:
        nobody = arm.socket()
        nobody.bind(("127.0.0.1", 0))
        outcome(sock.connect, nobody.getsockname())
        await arm.calm()

    @scenario
    async def test_shut_down_before_connecting(self, arm: Arm) -> Any:
        """A shutdown that is refused, for nobody is connected, holds for the connection that is made later."""
        for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            listener, sock = arm.listener(), arm.socket()
            arm.see(outcome(sock.shutdown, how), outcome(sock.recv, 1))
            outcome(sock.connect, listener.getsockname())
            server = await arm.answer(listener)
            arm.see(outcome(sock.send, b"x"), outcome(sock.recv, 1), outcome(server.send, b"hello"))
            await arm.calm()
            arm.see(outcome(sock.recv, 10), outcome(sock.shutdown, socket.SHUT_WR))
            await arm.calm()
            arm.see(outcome(server.recv, 10), outcome(server.recv, 10))

    @scenario
    async def test_shut_down_before_connecting_and_closed(self, arm: Arm) -> Any:
        """close() reports the end of such a connection to the peer."""
        listener, sock = arm.listener(), arm.socket()
        outcome(sock.shutdown, socket.SHUT_WR)
        outcome(sock.connect, listener.getsockname())
        server = await arm.answer(listener)
        arm.see(outcome(server.recv, 1))
        sock.close()
        await arm.readable(server)
        arm.see(server.recv(1))
        return ["EAGAIN", b""]

    @scenario
    async def test_shut_down_before_connecting_and_ended_by_the_peer(self, arm: Arm) -> Any:
        """The peer of such a connection may end it first; shutdown() or close() then reports its own end."""
        for ending in ("shutdown", "close", "reset", "early reset"):
            listener, sock = arm.listener(), arm.socket()
            outcome(sock.shutdown, socket.SHUT_WR)
            outcome(sock.connect, listener.getsockname())
            server = await arm.answer(listener)
            if ending != "early reset":
                server.shutdown(socket.SHUT_WR)
            if ending.endswith("reset"):
                server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                server.close()
            await arm.readable(sock)
            await arm.calm()
            arm.see(outcome(sock.connect, listener.getsockname()), outcome(sock.send, b"x"), outcome(sock.recv, 1))
            arm.see(await arm.readiness(sock), shape(outcome(sock.getpeername)))
            arm.see(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))
            if ending == "close":
                sock.close()
            elif ending == "shutdown":
                arm.see(outcome(sock.shutdown, socket.SHUT_WR), outcome(sock.shutdown, socket.SHUT_WR))
            if not ending.endswith("reset"):
                await arm.readable(server)
                arm.see(outcome(server.recv, 1))

    @scenario
    async def test_unix_shut_down_before_connecting(self, arm: Arm) -> Any:
        """The same of UNIX sockets, which do not refuse it."""
        path, listener, sock = arm.folder() + "/socket", arm.unix(), arm.unix()
        listener.bind(path)
        listener.listen()
        arm.see(outcome(sock.shutdown, socket.SHUT_WR), outcome(sock.connect, path), outcome(sock.send, b"x"))
        server = await arm.answer(listener)
        arm.see(outcome(server.recv, 1), outcome(server.send, b"x"), outcome(sock.recv, 1))
        server.shutdown(socket.SHUT_RD)
        arm.see(outcome(sock.send, b"x"), outcome(sock.recv, 1))
        server.shutdown(socket.SHUT_WR)
        arm.see(outcome(sock.send, b"x"), outcome(sock.recv, 1))
        server.close()
        arm.see(outcome(sock.send, b"x"), outcome(sock.recv, 1), outcome(sock.shutdown, socket.SHUT_WR))
        return [(None, None, "EPIPE"), ("EAGAIN", 1, b"x"), ("EPIPE", "EAGAIN"), ("EPIPE", b""),
                ("EPIPE", b"", None)]

    @scenario
    async def test_shut_down_before_listening(self, arm: Arm) -> Any:
        """What was shut down before listening is so in what is accepted, and not in the listener."""
        for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            listener = arm.socket()
            listener.bind(("127.0.0.1", 0))
            arm.see(outcome(listener.shutdown, how), outcome(listener.listen), await arm.readiness(listener))
            client = await arm.dial(listener)
            server = await arm.answer(listener)
            await arm.calm()
            arm.see(outcome(client.recv, 1), outcome(server.recv, 1), outcome(server.send, b"x"))

    @scenario
    async def test_address_after_a_refusal(self, arm: Arm) -> Any:
        """A connect that was refused, and told so, leaves only the address that the program gave."""
        for host in (None, "0.0.0.0", "127.0.0.1"):
            sock = arm.socket()
            if host:
                sock.bind((host, 0))
            await self.refused(arm, sock)
            arm.see(shape(sock.getsockname()), outcome(sock.connect, ("127.0.0.1", 1)), shape(sock.getsockname()))

    @scenario
    async def test_connected_to_itself(self, arm: Arm) -> Any:
        """A socket that connects to its own address hears itself."""
        sock = arm.socket()
        sock.bind(("127.0.0.1", 0))
        arm.see(outcome(sock.connect, sock.getsockname()), outcome(sock.connect, sock.getsockname()))
        arm.see(sock.getpeername() == sock.getsockname(), sock.send(b"echo"), sock.recv(10), outcome(sock.recv, 10))
        sock.shutdown(socket.SHUT_WR)
        arm.see(outcome(sock.recv, 10), outcome(sock.send, b"x"))
        ended = arm.socket()
        ended.bind(("127.0.0.1", 0))
        arm.see(outcome(ended.shutdown, socket.SHUT_WR), outcome(ended.connect, ended.getsockname()))
        await arm.readable(ended)
        arm.see(outcome(ended.recv, 10), outcome(ended.connect, ended.getsockname()))
        return [("EINPROGRESS", None), (True, 4, b"echo", "EAGAIN"), (b"", "EPIPE"), ("ENOTCONN", "EINPROGRESS"),
                (b"", "ECONNABORTED")]

    @scenario
    async def test_shut_down_after_a_refusal(self, arm: Arm) -> Any:
        """A socket that is shut down between a refusal and its report can never connect."""
        sock = arm.socket()
        await self.refused(arm, sock)
        arm.see(outcome(sock.shutdown, socket.SHUT_RD))
        arm.see(outcome(sock.connect, arm.listener().getsockname()),
                outcome(sock.connect, arm.listener().getsockname()))
        return ["ENOTCONN", ("EINVAL", "EINVAL")]

    @scenario
    async def test_port_of_a_refused_connect(self, arm: Arm) -> Any:
        """The port that was lent for a connect is free once that is refused, for others and for a new one."""
        sock = arm.socket()
        await self.refused(arm, sock)
        arm.see(outcome(arm.socket().bind, sock.getsockname()))
        arm.see(outcome(sock.bind, ("127.0.0.1", 0)), outcome(sock.bind, ("127.0.0.1", 0)))
        return [None, (None, "EINVAL")]

    @scenario
    async def test_listening_again(self, arm: Arm) -> Any:
        """A listener that was shut down has lost a port that was lent, keeps its own address, and can listen."""
        for bound in (False, True):
            sock = arm.socket()
            if bound:
                sock.bind(("127.0.0.1", 0))
            sock.listen()
            sock.shutdown(socket.SHUT_RD)
            arm.see(outcome(sock.shutdown, socket.SHUT_RD), outcome(sock.recv, 1))
            arm.see(outcome(sock.listen), outcome(sock.recv, 1), shape(sock.getsockname()))
            arm.see((await arm.dial(sock)).getpeername()[1] == sock.getsockname()[1])

    @scenario
    async def test_bind_to_the_own_address_again(self, arm: Arm) -> Any:
        """A listener that was shut down can be bound to the address that it had."""
        sock = arm.socket()
        sock.listen()
        sock.shutdown(socket.SHUT_RD)
        arm.see(outcome(sock.bind, sock.getsockname()), outcome(sock.listen))
        return [(None, None)]

    @scenario
    async def test_bind_after_a_reset(self, arm: Arm) -> Any:
        """An accepted socket whose connection was reset can be bound."""
        one, other = await arm.connection()
        other.send(b"unread")
        await arm.readable(one)
        one.close()
        await arm.calm()
        taken = arm.listener().getsockname()
        arm.see(shape(other.getsockname()), outcome(other.bind, taken), shape(other.getsockname()))
        arm.see(outcome(other.bind, ("127.0.0.1", 0)), outcome(other.bind, ("127.0.0.1", 0)))
        return [(("127.0.0.1", "port"), "EADDRINUSE", ("0.0.0.0", "port")), (None, "EINVAL")]

    @scenario
    async def test_connect_again_after_refusal_by_listener(self, arm: Arm) -> Any:
        """Connecting anew after a refusal uses another port."""
        sock = arm.socket()
        await self.refused(arm, sock)
        before = sock.getsockname()
        listener = arm.listener()
        arm.see(outcome(sock.connect, listener.getsockname()))
        arm.see(outcome(sock.connect, listener.getsockname()))
        await arm.writable(sock)
        arm.see(sock.getsockname() == before, (await arm.answer(listener)).getpeername() == sock.getsockname())
        return ["ECONNREFUSED", "EINPROGRESS", (False, True)]

    @scenario
    async def test_waitall_loses_a_reset(self, arm: Arm) -> Any:
        """Asked for more than there is with MSG_WAITALL, a UNIX stream forgets that it was reset."""
        for flags in (socket.MSG_DONTWAIT, socket.MSG_WAITALL):
            one, other = arm.pair()
            one.send(b"data")
            other.send(b"unread")
            one.close()
            arm.see(other.recv(10, flags), outcome(other.recv, 10))
        return [(b"data", "ECONNRESET"), (b"data", b"")]

    @scenario
    async def test_senders_name_is_that_of_today(self, arm: Arm) -> Any:
        """A UNIX socket tells who sent by the name that the sender has when it is read, a stream as well."""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            one, other = arm.pair(kind)
            one.send(b"data")
            arm.see(other.recvfrom(2, socket.MSG_PEEK))
            one.bind(f"\0arm-{os.getpid()}-{kind}")
            arm.see(len(other.recvfrom(2)[1]) > 5)
        return [(b"da", None), True] * 2

    @scenario
    async def test_listening_of_who_is_connected(self, arm: Arm) -> Any:
        """One of a pair can be bound, and not listen."""
        one, _ = arm.pair()
        arm.see(outcome(one.bind, ""), outcome(one.listen))
        return [(None, "EINVAL")]

    @scenario
    async def test_connected_to_port_zero(self, arm: Arm) -> Any:
        """A UDP socket that is connected to port 0 hears everybody on that host, and is told of every refusal."""
        one, other = arm.datagram(), arm.datagram()
        one.connect(("127.0.0.1", 0))
        other.sendto(b"x", one.getsockname())
        await arm.readable(one)
        arm.see(one.recv(1))
        gone = other.getsockname()
        other.close()
        one.sendto(b"x", gone)
        await arm.calm()
        arm.see(outcome(one.recv, 1))
        return [b"x", "ECONNREFUSED"]

    @scenario
    async def test_v6only_by_binding(self, arm: Arm) -> Any:
        """Bound to an IPv6 address a socket is IPv6 only, which a wildcard does not make it."""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for host in ("::1", "::"):
                sock = arm.keep(socket.socket(socket.AF_INET6, kind))
                sock.bind((host, 0))
                arm.see(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
        lost = arm.socket("::1")
        nobody = arm.socket("::1")
        nobody.bind(("::1", 0))
        outcome(lost.connect, nobody.getsockname())
        await arm.writable(lost)
        arm.see(outcome(lost.setsockopt, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1))
        return [1, 0, 1, 0, None]

    @scenario
    async def test_short_values(self, arm: Arm) -> Any:
        """A byte is enough for options of IP, is what fewer than four bytes of one give, and -1 is its default."""
        sock = arm.socket()
        arm.see(outcome(sock.setsockopt, *TTL, b"\5"), sock.getsockopt(*TTL, 2), sock.getsockopt(*TTL, 4))
        arm.see(outcome(sock.setsockopt, *TTL, -1), sock.getsockopt(*TTL))
        return [(None, b"\5", b"\5\0\0\0"), (None, 64)]

    @scenario
    async def test_unix_datagrams_after_a_refusal(self, arm: Arm) -> Any:
        """What a peer sent is lost once it is gone and somebody sends to it."""
        one, other = arm.pair(socket.SOCK_DGRAM)
        one.send(b"last words")
        one.close()
        arm.see(outcome(other.send, b"x"), outcome(other.recv, 100))
        return [("ECONNREFUSED", "EAGAIN")]

    @scenario
    async def test_unix_datagrams_connected_to_themselves(self, arm: Arm) -> Any:
        """A socket that was connected to itself loses what it sent when it is connected elsewhere."""
        folder = arm.folder()
        one, other = arm.unix(socket.SOCK_DGRAM), arm.unix(socket.SOCK_DGRAM)
        one.bind(folder + "/1")
        other.bind(folder + "/2")
        one.connect(folder + "/1")
        one.send(b"x")
        arm.see(outcome(one.connect, folder + "/2"), outcome(one.recv, 1))
        return [(None, "EAGAIN")]

    @scenario
    async def test_order_of_unix_datagram_errors(self, arm: Arm) -> Any:
        """An empty name is told before the size, the size before a shutdown, that before there being no peer."""
        sock = arm.unix(socket.SOCK_DGRAM)
        large = bytes(1 << 20)
        arm.see(outcome(sock.send, b"x"))
        sock.shutdown(socket.SHUT_WR)
        arm.see(outcome(sock.sendto, large, ""), outcome(sock.send, large), outcome(sock.send, b"x"))
        arm.see(outcome(sock.sendto, b"x", "/no/such/path"))
        return ["ENOTCONN", ("EINVAL", "EMSGSIZE", "EPIPE"), "EPIPE"]
