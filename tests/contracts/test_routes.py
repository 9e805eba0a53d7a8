"""Routes that lead nowhere, and errors of ICMP that come back: what connect() and datagrams make of them."""

import asyncio
import errno
import socket
from typing import Any

from tests.contracts.arms import Arm, Contract, awaited, failure, outcome
from tests.contracts.routers import ROUTES, Router, behind_route, behind_router, routed

RECVERR = 11  # IP_RECVERR
PASSING = (3, 0), (3, 1), (3, 5), (3, 11), (3, 12), (11, 0)


def name(code: int) -> str:
    return errno.errorcode[code]


class Routes(Contract):
    """`unreachable`, `prohibit`, `blackhole` and `throw`: each call that would send there fails in the call."""

    async def each(self, arm: Arm, call: Any) -> list[Any]:
        """See what a call on an address behind each kind of route comes to; give the truth about them."""
        for kind in ROUTES:
            arm.see(kind, await call(behind_route(kind)))
        return [(kind, name(code)) for kind, code in ROUTES.items()]

    @routed
    async def test_connect(self, arm: Arm, router: Router) -> Any:
        """connect() of a non-blocking socket."""
        async def connect(address: str) -> Any:
            return outcome(arm.socket().connect, (address, 80))
        return await self.each(arm, connect)

    @routed
    async def test_the_socket_lives_on(self, arm: Arm, router: Router) -> Any:
        """After that the socket connects elsewhere, and nothing is pending."""
        listener = arm.listener()
        sock = arm.socket()
        for kind in ROUTES:
            outcome(sock.connect, (behind_route(kind), 80))
        arm.see(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), outcome(sock.getpeername))
        arm.see(outcome(sock.connect, listener.getsockname()))
        await arm.writable(sock)
        arm.see(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), outcome(sock.getpeername)[0])
        return [(0, "ENOTCONN"), "EINPROGRESS", (0, "127.0.0.1")]

    @routed
    async def test_sock_connect(self, arm: Arm, router: Router) -> Any:
        """loop.sock_connect() raises the error with its plain text."""
        async def connect(address: str) -> Any:
            try:
                await asyncio.get_running_loop().sock_connect(arm.socket(), (address, 80))
            except OSError as error:
                return failure(error), str(error)
        for kind in ROUTES:
            arm.see(await connect(behind_route(kind)))

    @routed
    async def test_open_connection(self, arm: Arm, router: Router) -> Any:
        """asyncio.open_connection() raises it too."""
        return await self.each(arm, lambda address: awaited(asyncio.open_connection(address, 80)))

    @routed
    async def test_sendto(self, arm: Arm, router: Router) -> Any:
        """sendto() of a datagram."""
        async def send(address: str) -> Any:
            return outcome(self.udp(arm).sendto, b"x", (address, 53))
        return await self.each(arm, send)

    @routed
    async def test_connect_of_udp(self, arm: Arm, router: Router) -> Any:
        """connect() of UDP, which sends nothing."""
        async def connect(address: str) -> Any:
            return outcome(self.udp(arm).connect, (address, 53))
        return await self.each(arm, connect)

    @routed
    async def test_create_datagram_endpoint(self, arm: Arm, router: Router) -> Any:
        """asyncio raises it for a remote address."""
        async def make(address: str) -> Any:
            return await awaited(asyncio.get_running_loop().create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=(address, 53)))
        return await self.each(arm, make)

    @routed
    async def test_error_received(self, arm: Arm, router: Router) -> Any:
        """A protocol of datagrams gets it, and sendto() returns."""
        seen = []

        class Protocol(asyncio.DatagramProtocol):
            def error_received(self, error: Exception) -> None:
                seen.append(failure(error))

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            Protocol, local_addr=("0.0.0.0", 0))
        for kind in ROUTES:
            transport.sendto(b"x", (behind_route(kind), 53))
        await arm.calm()
        transport.close()
        arm.see(seen)
        return [[name(code) for code in ROUTES.values()]]

    @routed
    async def test_another_address_is_good(self, arm: Arm, router: Router) -> Any:
        """What has no route is passed over by who tries several addresses one after the other."""
        listener = arm.listener()
        sock = arm.socket()
        tried = [outcome(sock.connect, (address, listener.getsockname()[1]))
                 for address in (behind_route("throw"), "127.0.0.1")]
        arm.see(tried)
        return [["ENETUNREACH", "EINPROGRESS"]]

    def udp(self, arm: Arm) -> socket.socket:
        """A UDP socket without an address."""
        sock = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.setblocking(False)
        return sock


def answered_connect(kind: int, code: int, error: int) -> Any:
    """A scenario: a SYN is answered by this ICMP."""

    async def test(self: Any, arm: Arm, router: Router) -> Any:
        address = behind_router(), 80
        router.answer(address[0], kind, code)
        loop = asyncio.get_running_loop()
        sock = arm.socket()
        try:
            await loop.sock_connect(sock, address)
        except OSError as problem:
            arm.see(failure(problem), str(problem).partition("] ")[2])
        arm.see(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), outcome(sock.getpeername), outcome(sock.recv, 1))
        other = arm.socket()
        arm.see(outcome(other.connect, address))
        await arm.writable(other)
        arm.see(outcome(other.recv, 1), outcome(other.recv, 1), outcome(other.send, b"x"))
        return [(name(error), f"Connect call failed {address}"), (0, "ENOTCONN", b""), "EINPROGRESS",
                (name(error), b"", "EPIPE")]

    test.__doc__ = f"A connect that is answered by ICMP {kind}/{code} fails with {name(error)}."
    return routed(test)


class AnsweredConnects(Contract):
    """A connect fails at once with the first ICMP that answers it."""

    test_network_unreachable = answered_connect(3, 0, errno.ENETUNREACH)
    test_host_unreachable = answered_connect(3, 1, errno.EHOSTUNREACH)
    test_protocol_unreachable = answered_connect(3, 2, errno.ENOPROTOOPT)
    test_port_unreachable = answered_connect(3, 3, errno.ECONNREFUSED)
    test_source_route_failed = answered_connect(3, 5, errno.EOPNOTSUPP)
    test_host_unknown = answered_connect(3, 7, errno.EHOSTDOWN)
    test_host_isolated = answered_connect(3, 8, errno.ENONET)
    test_network_unknown = answered_connect(3, 6, errno.ENETUNREACH)
    test_network_prohibited = answered_connect(3, 9, errno.ENETUNREACH)
    test_network_for_this_service = answered_connect(3, 11, errno.ENETUNREACH)
    test_host_for_this_service = answered_connect(3, 12, errno.EHOSTUNREACH)
    test_precedence = answered_connect(3, 14, errno.EHOSTUNREACH)
    test_precedence_cutoff = answered_connect(3, 15, errno.EHOSTUNREACH)
    test_host_prohibited = answered_connect(3, 10, errno.EHOSTUNREACH)
    test_prohibited = answered_connect(3, 13, errno.EHOSTUNREACH)
    test_too_many_hops = answered_connect(11, 0, errno.EHOSTUNREACH)
    test_a_bad_header = answered_connect(12, 0, errno.EPROTO)

    @routed
    async def test_several_addresses(self, arm: Arm, router: Router) -> Any:
        """Of several errors asyncio makes one OSError without an errno."""
        loop = asyncio.get_running_loop()
        router.answer(behind_router(1), 3, 1)
        router.answer(behind_router(2), 3, 0)
        if hasattr(loop, "kernel"):
            loop.kernel.network.add_host("two.test", behind_router(1), behind_router(2))
        else:
            infos = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (behind_router(number), 80)) for number in (1, 2)]

            async def look_up(*args: Any, **kwargs: Any) -> Any:
                return infos

            loop.getaddrinfo = look_up  # type: ignore[method-assign]
        try:
            await asyncio.open_connection("two.test", 80)
        except OSError as error:
            arm.see(type(error).__name__, error.errno, str(error))
        calls = [f"[Errno {code}] Connect call failed ('{behind_router(number)}', 80)"
                 for number, code in ((1, errno.EHOSTUNREACH), (2, errno.ENETUNREACH))]
        return [("OSError", None, f"Multiple exceptions: {', '.join(calls)}")]


def answered_datagram(kind: int, code: int, error: int) -> Any:
    """A scenario: datagrams are answered by this ICMP; who hears of it."""

    async def test(self: Any, arm: Arm, router: Router) -> Any:
        address = behind_router(), 53
        router.answer(address[0], kind, code)
        for asked in (False, True):
            for connected in (False, True):
                sock = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_IP, RECVERR, asked)
                if connected:
                    sock.connect(address)
                sock.sendto(b"x", address) if not connected else sock.send(b"x")
                if asked or connected and (kind, code) not in PASSING:
                    await arm.readable(sock)
                await arm.calm()
                arm.see(outcome(sock.recv, 1), outcome(sock.recv, 1))
        heard = [(name(error), "EAGAIN") if hears else ("EAGAIN", "EAGAIN")
                 for hears in (False, (kind, code) not in PASSING, True, True)]
        return heard

    test.__doc__ = f"ICMP {kind}/{code} is {name(error)} for those who hear of it."
    return routed(test)


class AnsweredDatagrams(Contract):
    """Unconnected sockets hear nothing, connected ones of what lasts, and with IP_RECVERR both of all."""

    test_port_unreachable = answered_datagram(3, 3, errno.ECONNREFUSED)
    test_protocol_unreachable = answered_datagram(3, 2, errno.ENOPROTOOPT)
    test_a_bad_header = answered_datagram(12, 0, errno.EPROTO)
    test_network_unreachable = answered_datagram(3, 0, errno.ENETUNREACH)
    test_host_unreachable = answered_datagram(3, 1, errno.EHOSTUNREACH)
    test_source_route_failed = answered_datagram(3, 5, errno.EOPNOTSUPP)
    test_too_many_hops = answered_datagram(11, 0, errno.EHOSTUNREACH)
    test_network_unknown = answered_datagram(3, 6, errno.ENETUNREACH)
    test_host_unknown = answered_datagram(3, 7, errno.EHOSTDOWN)
    test_host_isolated = answered_datagram(3, 8, errno.ENONET)
    test_network_prohibited = answered_datagram(3, 9, errno.ENETUNREACH)
    test_host_prohibited = answered_datagram(3, 10, errno.EHOSTUNREACH)
    test_network_for_this_service = answered_datagram(3, 11, errno.ENETUNREACH)
    test_host_for_this_service = answered_datagram(3, 12, errno.EHOSTUNREACH)
    test_prohibited = answered_datagram(3, 13, errno.EHOSTUNREACH)
    test_precedence = answered_datagram(3, 14, errno.EHOSTUNREACH)
    test_precedence_cutoff = answered_datagram(3, 15, errno.EHOSTUNREACH)

    async def refused(self, arm: Arm, router: Router, *, asked: bool = False) -> socket.socket:
        """A socket connected to an address that refuses, with an error pending."""
        address = behind_router(), 53
        router.answer(address[0], 3, 3)
        sock = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.setblocking(False)
        sock.connect(address)
        for _ in range(3):
            sock.send(b"x")
        await arm.readable(sock)
        await arm.calm()
        return sock

    @routed
    async def test_the_next_send_sends_nothing(self, arm: Arm, router: Router) -> Any:
        """The error of some datagrams is that of the next send, which sends nothing; the one after it works."""
        sock = await self.refused(arm, router)
        arm.see(outcome(sock.send, b"y"))
        await arm.calm()
        arm.see(outcome(sock.recv, 1), outcome(sock.send, b"z"))
        await arm.readable(sock)
        arm.see(outcome(sock.recv, 1))
        return ["ECONNREFUSED", ("EAGAIN", 1), "ECONNREFUSED"]

    @routed
    async def test_so_error(self, arm: Arm, router: Router) -> Any:
        """SO_ERROR takes it, and nobody else gets it then."""
        sock = await self.refused(arm, router)
        arm.see([sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for _ in range(2)], outcome(sock.recv, 1))
        return [([errno.ECONNREFUSED, 0], "EAGAIN")]

    @routed
    async def test_asyncio(self, arm: Arm, router: Router) -> Any:
        """A protocol that is connected gets error_received(), and its transport stays open."""
        address = behind_router(), 53
        router.answer(address[0], 3, 3)
        seen = []

        class Protocol(asyncio.DatagramProtocol):
            def error_received(self, error: Exception) -> None:
                seen.append(failure(error))

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Protocol, remote_addr=address)
        for _ in range(2):
            transport.sendto(b"x")
            await arm.until(lambda: seen)
            arm.see(seen[:], transport.is_closing())
            seen.clear()
        transport.close()
        return [(["ECONNREFUSED"], False)] * 2

    @routed
    async def test_to_another_address(self, arm: Arm, router: Router) -> Any:
        """With IP_RECVERR an unconnected socket gets it in its next send, to whatever address, once."""
        router.answer(behind_router(1), 3, 1)
        receiver = arm.datagram()
        sock = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, RECVERR, 1)
        sock.sendto(b"x", (behind_router(1), 53))
        await arm.readable(sock)
        arm.see([outcome(sock.sendto, b"y", receiver.getsockname()) for _ in range(2)])
        return [["EHOSTUNREACH", 1]]
