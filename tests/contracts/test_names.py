"""What programs make of names and addresses: look-ups, servers on hosts, connects to several addresses."""

import asyncio
import errno
import functools
import socket
from typing import Any

from tests.contracts.arms import Arm, Contract, failure, outcome, scenario, shape

SEVERAL = "several.test"
"""A name that every arm's program resolves by itself: no name server is asked on either."""


def looked_up(*addresses: Any) -> list[Any]:
    """What getaddrinfo() gives for a host of these addresses."""
    return [
        (
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET,
            socket.SOCK_STREAM,
            socket.IPPROTO_TCP,
            "",
            address,
        )
        for address in addresses
    ]


def resolve(*addresses: Any) -> None:
    """Let the loop find these addresses for every host."""

    async def getaddrinfo(host: Any, port: Any, **options: Any) -> Any:
        return looked_up(*addresses)

    asyncio.get_running_loop().getaddrinfo = getaddrinfo  # type: ignore[method-assign]


class Noting(asyncio.Protocol):
    """A client's or server's side that does nothing."""


class NamesTest(Contract):
    def refusing(self, arm: Arm, host: str) -> Any:
        """An address that refuses: its port stays taken, and nobody listens."""
        sock = arm.socket(host)
        sock.bind((host, 0))
        return sock.getsockname()

    async def silent(self, arm: Arm, host: str) -> Any:
        """An address that never answers: the queue of its listener is full."""
        listener = arm.listener(host, backlog=0)
        address = listener.getsockname()
        for _ in range(3):
            outcome(arm.socket(host).connect, address[:2])
        await arm.calm()
        return address

    async def connect(self, arm: Arm, **options: Any) -> None:
        """Connect to the several addresses, and see who answered or what came of it."""
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_connection(Noting, SEVERAL, 80, **options)
        except OSError as error:
            arm.see("failed", failure(error), "Multiple exceptions" in str(error))
        else:
            arm.keep_transport(transport)
            arm.see(shape(transport.get_extra_info("peername")))

    # Looking up

    @scenario
    async def test_both_ways(self, arm: Arm) -> Any:
        """The loop's getaddrinfo() and getnameinfo() know literal addresses, numbers and services."""
        loop = asyncio.get_running_loop()
        for host, port in (("127.0.0.1", 80), ("::1", "http"), ("127.0.0.1", "https"), (None, 8080)):
            arm.see(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        numbers = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        arm.see(await loop.getnameinfo(("::1", 80), numbers), await loop.getnameinfo(("127.0.0.1", 443), 1))
        return None

    @scenario
    async def test_errors(self, arm: Arm) -> Any:
        """What cannot be looked up has the same error by every way."""
        loop = asyncio.get_running_loop()
        for host, port, options in (
            ("::1", 80, {"family": socket.AF_INET}),
            ("127.0.0.1", 80, {"family": socket.AF_INET6}),
            ("localhost", 80, {"flags": socket.AI_NUMERICHOST}),
            ("127.0.0.1", "nope", {"type": socket.SOCK_STREAM}),
            ("127.0.0.1", 80, {"family": socket.AF_UNIX}),
            ("127.0.0.1", 80, {"type": 99}),
            (None, None, {}),
        ):
            for look_up in (loop.getaddrinfo, asyncio.to_thread):
                try:
                    arguments = (socket.getaddrinfo, host, port) if look_up == asyncio.to_thread else (host, port)
                    arm.see(await look_up(*arguments, **options))
                except socket.gaierror as error:
                    arm.see(error.args)
        return None

    @scenario
    async def test_services(self, arm: Arm) -> Any:
        """Services and protocols by name and number."""
        for call, *arguments in (
            (socket.getservbyname, "http"),
            (socket.getservbyname, "https", "tcp"),
            (socket.getservbyport, 443),
            (socket.getservbyport, 53, "udp"),
            (socket.getprotobyname, "udp"),
            (socket.if_nametoindex, "lo"),
            (socket.if_indextoname, 1),
        ):
            arm.see(call(*arguments))
        return [80, 443, "https", "domain", 17, 1, "lo"]

    # Servers

    @scenario
    async def test_every_address(self, arm: Arm) -> Any:
        """A server without a host, with an empty one, or with a list of them listens on an address of each family."""
        loop = asyncio.get_running_loop()
        for host in (None, "", ["127.0.0.1", "::1"], ["127.0.0.1", "127.0.0.1"], "::1"):
            server = arm.keep(await loop.create_server(Noting, host, 0))
            arm.see(sorted(str(shape(sock.getsockname())) for sock in server.sockets))
            arm.see(
                {
                    sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
                    for sock in server.sockets
                    if sock.family == socket.AF_INET6
                }
            )
        return None

    @scenario
    async def test_server_of_one_family(self, arm: Arm) -> Any:
        """A server without a host and with a family listens on every address of that family, and of no other."""
        loop = asyncio.get_running_loop()
        for family in (socket.AF_INET, socket.AF_INET6):
            server = arm.keep(await loop.create_server(Noting, None, 0, family=family))
            port = server.sockets[0].getsockname()[1]
            arm.see([shape(sock.getsockname()) for sock in server.sockets])
            for host in ("127.0.0.1", "::1"):
                try:
                    transport, _ = await loop.create_connection(Noting, host, port)
                    arm.keep_transport(transport)
                    arm.see(shape(transport.get_extra_info("peername")))
                except OSError as error:
                    arm.see(failure(error))
        return [
            [("0.0.0.0", "port")],
            ("127.0.0.1", "port"),
            "ECONNREFUSED",
            [("::", "port", 0, 0)],
            "ECONNREFUSED",
            ("::1", "port", 0, 0),
        ]

    @scenario
    async def test_server_of_both_families(self, arm: Arm) -> Any:
        """A dual-stack server is reached over IPv4, whose addresses it sees in IPv6's form; a plain one is not."""
        arm.see(socket.has_dualstack_ipv6())
        for dual in (True, False):
            sock = arm.keep(socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=dual))
            port = sock.getsockname()[1]
            four, six = arm.socket("127.0.0.1"), arm.socket("::1")
            outcome(four.connect, ("127.0.0.1", port))
            outcome(six.connect, ("::1", port))
            await arm.writable(four)
            arm.see(errno.errorcode.get(four.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)))
            await arm.writable(six)
            sock.setblocking(False)
            for _ in range(2 if dual else 1):
                await arm.readable(sock)
                peer, address = sock.accept()
                arm.keep(peer)
                arm.see(shape(address), shape(peer.getsockname()))
        return None

    @scenario
    async def test_create_server(self, arm: Arm) -> Any:
        """socket.create_server() binds and listens, reuses addresses, and says where an address was taken."""
        sock = arm.keep(socket.create_server(("127.0.0.1", 0)))
        arm.see(sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) != 0, sock.family, sock.getblocking())
        address = sock.getsockname()
        try:
            socket.create_server(address)
        except OSError as error:
            arm.see(error.errno, str(error).replace(str(address[1]), "port"))
        arm.see(outcome(socket.create_server, ("::1", 0)))
        arm.see(outcome(functools.partial(socket.create_server, dualstack_ipv6=True), address))
        return None

    @scenario
    async def test_create_connection(self, arm: Arm) -> Any:
        """socket.create_connection() connects from where it is told, and closes what it could not connect."""
        listener = arm.listener("127.0.0.1")
        address = listener.getsockname()
        for options in ({}, {"timeout": 5}, {"source_address": ("127.0.0.2", 0)}):
            sock = arm.keep(socket.create_connection(address, **options))
            arm.see(shape(sock.getpeername()), shape(sock.getsockname()), sock.gettimeout())
        arm.see(outcome(socket.create_connection, self.refusing(arm, "127.0.0.1")))
        try:
            socket.create_connection(self.refusing(arm, "127.0.0.1"), all_errors=True)
        except ExceptionGroup as group:
            arm.see([failure(error) for error in group.exceptions])
        return None

    # Several addresses

    @scenario
    async def test_the_second_answers(self, arm: Arm) -> Any:
        """An address that refuses is passed over, with happy eyeballs or without."""
        listener = arm.listener("127.0.0.1")
        resolve(self.refusing(arm, "::1"), listener.getsockname())
        await self.connect(arm)
        await self.connect(arm, happy_eyeballs_delay=60)
        return [("127.0.0.1", "port")] * 2

    @scenario
    async def test_nobody_answers(self, arm: Arm) -> Any:
        """When all refuse, the error is one of several; of a single address it is its own."""
        resolve(self.refusing(arm, "::1"), self.refusing(arm, "127.0.0.1"))
        await self.connect(arm)
        await self.connect(arm, happy_eyeballs_delay=60)
        resolve(self.refusing(arm, "127.0.0.1"))
        await self.connect(arm)
        resolve()
        await self.connect(arm)
        return None

    @scenario
    async def test_a_black_hole(self, arm: Arm) -> Any:
        """Happy eyeballs pass over an address that never answers, and leave no connection behind."""
        hole = await self.silent(arm, "::1")
        listener = arm.listener("127.0.0.1")
        resolve(hole, listener.getsockname())
        await self.connect(arm, happy_eyeballs_delay=0.02)
        return [("127.0.0.1", "port")]

    @scenario
    async def test_interleaved(self, arm: Arm) -> Any:
        """Families are tried in turn: a second address of the first family comes after the first of the other."""
        first, second = await self.silent(arm, "::1"), arm.listener("::1").getsockname()
        other = arm.listener("127.0.0.1").getsockname()
        resolve(first, second, other)
        for options in ({}, {"interleave": 0}, {"interleave": 1}, {"interleave": 2}):
            await self.connect(arm, happy_eyeballs_delay=0.02, **options)
        return [
            ("127.0.0.1", "port"),
            ("::1", "port", 0, 0),
            ("127.0.0.1", "port"),
            ("::1", "port", 0, 0),
        ]

    @scenario
    async def test_local_address(self, arm: Arm) -> Any:
        """local_addr is looked up too, and an address of another family than the remote's is passed over."""
        listener = arm.listener("127.0.0.1")
        loop = asyncio.get_running_loop()
        port = listener.getsockname()[1]
        for local in (("127.0.0.2", 0), ("::1", 0), ("192.0.2.1", 0)):
            try:
                transport, _ = await loop.create_connection(Noting, "127.0.0.1", port, local_addr=local)
                arm.keep_transport(transport)
                arm.see(shape(transport.get_extra_info("sockname")))
            except OSError as error:
                arm.see(failure(error))
        return None
