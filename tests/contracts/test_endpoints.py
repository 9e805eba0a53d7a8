"""What a datagram protocol is told by its transport, and in which order: `create_datagram_endpoint`, `sock_sendto`."""

import asyncio
import socket
from typing import Any

from tests.contracts.arms import Arm, Contract, awaited, failure, outcome, scenario, shape


class DatagramWitness(asyncio.DatagramProtocol):
    """Notes what happens."""

    def __init__(self) -> None:
        self.story: list[Any] = []
        self.senders: list[Any] = []
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.story.append("made")

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.story.append(data)
        self.senders.append(address)

    def error_received(self, exc: Exception) -> None:
        self.story.append(("error", failure(exc)))

    def pause_writing(self) -> None:
        self.story.append("pause")

    def resume_writing(self) -> None:
        self.story.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.story.append(("lost", failure(exc)))


class Endpoints(Contract):
    """UDP over IPv4."""

    async def endpoint(self, arm: Arm, *args: Any, **options: Any) -> DatagramWitness:
        loop = asyncio.get_running_loop()
        transport, witness = await loop.create_datagram_endpoint(DatagramWitness, *args, **options)
        arm.keep(transport)
        return witness

    async def bound(self, arm: Arm) -> DatagramWitness:
        return await self.endpoint(arm, (self.host, 0))

    def place(self, witness: DatagramWitness) -> Any:
        return witness.transport.get_extra_info("sockname")

    @scenario
    async def test_conversation(self, arm: Arm) -> Any:
        """Two endpoints send each other datagrams, and know who sent them."""
        one, other = await self.bound(arm), await self.bound(arm)
        one.transport.sendto(b"question", self.place(other))
        await arm.until(lambda: other.senders)
        arm.see(other.senders[0] == self.place(one))
        other.transport.sendto(b"answer", other.senders[0])
        await arm.until(lambda: one.senders)
        arm.see(one.story, other.story)
        return [True, (["made", b"answer"], ["made", b"question"])]

    @scenario
    async def test_each_by_itself(self, arm: Arm) -> Any:
        """Datagrams arrive one by one and in order."""
        one, other = await self.bound(arm), await self.bound(arm)
        for number in range(5):
            one.transport.sendto(b"x" * number or b"first", self.place(other))
        await arm.until(lambda: len(other.senders) == 5)
        arm.see(other.story)
        return [["made", b"first", b"x", b"xx", b"xxx", b"xxxx"]]

    @scenario
    async def test_connected(self, arm: Arm) -> Any:
        """An endpoint with a remote address sends there, has a peer's name, and refuses other addresses."""
        other = await self.bound(arm)
        one = await self.endpoint(arm, remote_addr=self.place(other)[:2])
        arm.see(one.transport.get_extra_info("peername") == self.place(other), shape(self.place(one)))
        one.transport.sendto(b"data")
        one.transport.sendto(b"more", self.place(other))
        arm.see(outcome(one.transport.sendto, b"x", (self.host, 9)))
        await arm.until(lambda: len(other.senders) == 2)
        arm.see(other.story, other.senders[0] == self.place(one))

    @scenario
    async def test_nobody_there(self, arm: Arm) -> Any:
        """A connected endpoint is told that nobody is there, and lives on."""
        gone = arm.datagram(self.host)
        address = gone.getsockname()[:2]
        gone.close()
        one = await self.endpoint(arm, remote_addr=address)
        one.transport.sendto(b"x")
        await arm.until(lambda: len(one.story) > 1)
        arm.see(one.story, one.transport.is_closing())
        one.transport.close()
        await arm.until(lambda: len(one.story) > 2)
        arm.see(one.story[2:])
        return [(["made", ("error", "ECONNREFUSED")], False), [("lost", None)]]

    @scenario
    async def test_loose_endpoint_is_not_told(self, arm: Arm) -> Any:
        """An endpoint without a peer never learns that nobody is there."""
        gone, one = arm.datagram(self.host), await self.bound(arm)
        address = gone.getsockname()
        gone.close()
        one.transport.sendto(b"x", address)
        await arm.calm()
        arm.see(one.story)
        return [["made"]]

    @scenario
    async def test_close(self, arm: Arm) -> Any:
        """Closing is told later, once; nothing is received after it."""
        one, other = await self.bound(arm), await self.bound(arm)
        one.transport.close()
        arm.see(list(one.story), one.transport.is_closing())
        other.transport.sendto(b"late", self.place(one) or (self.host, 9))
        await arm.until(lambda: len(one.story) > 1)
        one.transport.close()
        await arm.calm()
        arm.see(one.story)
        return [(["made"], True), ["made", ("lost", None)]]

    @scenario
    async def test_abort(self, arm: Arm) -> Any:
        """abort ends an endpoint in the same way."""
        one = await self.bound(arm)
        one.transport.abort()
        await arm.until(lambda: len(one.story) > 1)
        arm.see(one.story)
        return [["made", ("lost", None)]]

    @scenario
    async def test_too_large(self, arm: Arm) -> Any:
        """A datagram that is too large is told to the protocol, not to the caller."""
        one, other = await self.bound(arm), await self.bound(arm)
        one.transport.sendto(bytes(1 << 17), self.place(other))
        await arm.calm()
        arm.see(one.story)
        return [["made", ("error", "EMSGSIZE")]]

    @scenario
    async def test_what_is_no_datagram(self, arm: Arm) -> Any:
        """Text and numbers are TypeErrors."""
        one = await self.bound(arm)
        arm.see(outcome(one.transport.sendto, "text", self.place(one)), outcome(one.transport.sendto, 5))
        return [("TypeError", "TypeError")]

    @scenario
    async def test_extra_info(self, arm: Arm) -> Any:
        """An endpoint knows its socket and its name."""
        one = await self.bound(arm)
        sock = one.transport.get_extra_info("socket")
        arm.see(sock.type, shape(self.place(one)) == shape(sock.getsockname()),
                one.transport.get_extra_info("peername"), one.transport.get_write_buffer_size())
        return [(socket.SOCK_DGRAM, True, None, 0)]

    @scenario
    async def test_address_in_use(self, arm: Arm) -> Any:
        """A second endpoint on one address is refused; with reuse_port on both it is not."""
        one = await self.bound(arm)
        try:
            await self.endpoint(arm, self.place(one)[:2])
        except OSError as error:
            arm.see(error.errno)
        first = await self.endpoint(arm, (self.host, 0), reuse_port=True)
        arm.see((await self.endpoint(arm, self.place(first)[:2], reuse_port=True)).story)
        return [98, ["made"]]

    @scenario
    async def test_own_socket(self, arm: Arm) -> Any:
        """An endpoint can be made of a socket that is bound, and not of a stream."""
        sock = arm.datagram(self.host)
        one = await self.endpoint(arm, sock=sock)
        other = await self.bound(arm)
        other.transport.sendto(b"data", self.place(one))
        await arm.until(lambda: one.senders)
        arm.see(one.story, await awaited(self.endpoint(arm, sock=arm.socket(self.host))),
                await awaited(self.endpoint(arm, (self.host, 0), sock=sock)))
        return [(["made", b"data"], "ValueError", "ValueError")]

    @scenario
    async def test_arguments(self, arm: Arm) -> Any:
        """An endpoint without an address needs a family, and addresses must be pairs."""
        arm.see(await awaited(self.endpoint(arm)), await awaited(self.endpoint(arm, "text")),
                await awaited(self.endpoint(arm, (self.host, 0), family=socket.AF_UNIX)),
                await awaited(self.endpoint(arm, ("127.0.0.1", 0), remote_addr=("::1", 9))))
        loose = await self.endpoint(arm, family=socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        arm.see(loose.story)

    @scenario
    async def test_broadcast_option(self, arm: Arm) -> Any:
        """allow_broadcast sets the option."""
        for allow in (None, True):
            one = await self.endpoint(arm, (self.host, 0), allow_broadcast=allow)
            sock = one.transport.get_extra_info("socket")
            arm.see(sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST))
        return [0, 1]

    @scenario
    async def test_sock_calls(self, arm: Arm) -> Any:
        """sock_sendto, sock_recvfrom and sock_recvfrom_into wait for datagrams."""
        loop = asyncio.get_running_loop()
        one, other = arm.datagram(self.host), arm.datagram(self.host)
        waiting = arm.start(loop.sock_recvfrom(other, 100))
        await arm.calm()
        arm.see(waiting.done(), await loop.sock_sendto(one, b"data", other.getsockname()))
        data, sender = await waiting
        arm.see(data, sender == one.getsockname())
        buffer = bytearray(3)
        await loop.sock_sendto(one, b"more", other.getsockname())
        arm.see((await loop.sock_recvfrom_into(other, buffer))[0], buffer)
        return [(False, 4), (b"data", True), (3, bytearray(b"mor"))]

    @scenario
    async def test_close_from_a_callback(self, arm: Arm) -> Any:
        """A protocol that closes when it hears something hears nothing more."""

        class Closing(DatagramWitness):
            def datagram_received(self, data: bytes, address: Any) -> None:
                super().datagram_received(data, address)
                self.transport.close()

        loop = asyncio.get_running_loop()
        transport, one = await loop.create_datagram_endpoint(Closing, (self.host, 0))
        arm.keep(transport)
        sender = arm.datagram(self.host)
        for data in (b"first", b"second"):
            sender.sendto(data, self.place(one))
        await arm.until(lambda: len(one.story) > 2)
        await arm.calm()
        arm.see(one.story)
        return [["made", b"first", ("lost", None)]]


class Endpoints6(Endpoints):
    """UDP over IPv6."""

    host = "::1"


class UnixEndpoints(Contract):
    """UNIX datagrams."""

    async def endpoint(self, arm: Arm, **options: Any) -> DatagramWitness:
        loop = asyncio.get_running_loop()
        transport, witness = await loop.create_datagram_endpoint(DatagramWitness, family=socket.AF_UNIX, **options)
        arm.keep(transport)
        return witness

    @scenario
    async def test_conversation(self, arm: Arm) -> Any:
        """Endpoints on paths send each other datagrams."""
        folder = arm.folder()
        other = await self.endpoint(arm, local_addr=folder + "/other")
        one = await self.endpoint(arm, local_addr=folder + "/one", remote_addr=folder + "/other")
        one.transport.sendto(b"data")
        await arm.until(lambda: other.senders)
        arm.see(other.story, other.senders[0] == folder + "/one", one.transport.get_extra_info("peername")[-6:])
        return [(["made", b"data"], True, "/other")]

    @scenario
    async def test_left_over_path(self, arm: Arm) -> Any:
        """An endpoint takes over a socket's path that was left."""
        path = arm.folder() + "/socket"
        arm.unix(socket.SOCK_DGRAM).bind(path)
        arm.see((await self.endpoint(arm, local_addr=path)).story)
        return [["made"]]

    @scenario
    async def test_nobody_there(self, arm: Arm) -> Any:
        """Without somebody there the endpoint cannot be made."""
        folder = arm.folder()
        try:
            await self.endpoint(arm, remote_addr=folder + "/nobody")
        except OSError as error:
            arm.see(failure(error))
        arm.see(await awaited(self.endpoint(arm, local_addr=5)))
        return ["ENOENT", "TypeError"]

    @scenario
    async def test_flow_control(self, arm: Arm) -> Any:
        """A full queue pauses the protocol, and reading resumes it: nothing is lost."""
        folder = arm.folder()
        reader = arm.unix(socket.SOCK_DGRAM)
        reader.bind(folder + "/reader")
        one = await self.endpoint(arm, remote_addr=folder + "/reader")
        one.transport.set_write_buffer_limits(high=50_000)
        for number in range(100):
            one.transport.sendto(bytes([number]) * 1000)
        arm.see(list(one.story))
        got = []
        while len(got) < 100:
            await arm.readable(reader)
            got.append(reader.recv(2000)[0])
            await arm.turns(2)
        await arm.until(lambda: "resume" in one.story)
        arm.see(got == list(range(100)), one.story)
        return [["made", "pause"], (True, ["made", "pause", "resume"])]
