"""A router that rejects segments with a reset, as iptables' `REJECT --reject-with tcp-reset`: who hears of it.

The router forges the reset, in the name of the peer. So the sender of the segment is reset, and the peer knows nothing.
"""

import asyncio
import contextlib
import errno
import socket
from typing import Any

from tests.contracts.arms import Arm, Contract, outcome
from tests.contracts.cuts import Losable, end_of, reset_on_close
from tests.contracts.routers import Router, behind_router, routed

HERE = behind_router()
WAITS = "EAGAIN", 0, tuple


class Rejected(Contract):
    async def listener(self, arm: Arm, router: Router) -> tuple[socket.socket, tuple[str, int]]:
        """A listener behind the router, and the address to connect to."""
        listener = arm.socket()
        listener.bind((router.lead(HERE), 0))
        listener.listen()
        return listener, (HERE, listener.getsockname()[1])

    async def through(self, arm: Arm, router: Router) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection through the router; it rejects what the first one sends from `reject()` on."""
        listener, address = await self.listener(arm, router)
        one = arm.socket()
        with contextlib.suppress(BlockingIOError):
            one.connect(address)
        other = await arm.answer(listener)
        await arm.writable(one)
        return one, other

    async def rejected(self, arm: Arm, router: Router) -> tuple[socket.socket, socket.socket]:
        """The same, when the first one has written something that was rejected, and the reset is there."""
        one, other = await self.through(arm, router)
        router.reject(HERE, "data")
        one.send(b"x")
        await arm.readable(one)
        return one, other

    async def waiting(self, arm: Arm, sock: socket.socket) -> Any:
        """What an end sees that knows nothing: there is nothing to read, no error, and it has a peer."""
        await arm.calm()
        return outcome(sock.recv, 1), sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), type(sock.getpeername())

    @routed
    async def test_data(self, arm: Arm, router: Router) -> Any:
        """A rejected write: the sender is reset, once, and its peer stays connected and waits."""
        one, other = await self.rejected(arm, router)
        arm.see(await end_of(one), outcome(one.recv, 1), outcome(one.send, b"y"), outcome(one.getpeername))
        arm.see(await self.waiting(arm, other))
        one.close()
        arm.see(await self.waiting(arm, other))
        return [("ECONNRESET", b"", "EPIPE", "ENOTCONN"), WAITS, WAITS]

    @routed
    async def test_told_once(self, arm: Arm, router: Router) -> Any:
        """A write or SO_ERROR gets it, if it comes first."""
        one, _ = await self.rejected(arm, router)
        arm.see(outcome(one.send, b"y"), outcome(one.send, b"y"), outcome(one.recv, 1))
        one, _ = await self.rejected(arm, router)
        arm.see(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), outcome(one.recv, 1))
        return [("ECONNRESET", "EPIPE", b""), (errno.ECONNRESET, b"")]

    @routed
    async def test_the_peer_writes(self, arm: Arm, router: Router) -> Any:
        """The peer learns of it when it writes: its data finds nobody, and a reset comes back."""
        for closes in (False, True):
            one, other = await self.rejected(arm, router)
            if closes:
                one.close()
            arm.see(await self.waiting(arm, other))
            arm.see(other.send(b"x"), await end_of(other), outcome(other.recv, 1), outcome(other.send, b"x"))
        return [WAITS, (1, "ECONNRESET", b"", "EPIPE")] * 2

    @routed
    async def test_the_peer_ends(self, arm: Arm, router: Router) -> Any:
        """It learns of it as well when it ends its direction, and waits for the other one."""
        for closes in (False, True):
            one, other = await self.rejected(arm, router)
            if closes:
                one.close()
            other.shutdown(socket.SHUT_WR)
            arm.see(await end_of(other), outcome(other.recv, 1))
        return [("ECONNRESET", b"")] * 2

    @routed
    async def test_what_came_before(self, arm: Arm, router: Router) -> Any:
        """What each had sent before is read, by both; what came after it is lost."""
        one, other = await self.through(arm, router)
        one.send(b"first")
        other.send(b"answer")
        await arm.readable(one)
        await arm.readable(other)
        router.reject(HERE, "data")
        one.send(b"second")
        await arm.until(lambda: outcome(one.getpeername) == "ENOTCONN")
        arm.see(one.recv(100), outcome(one.recv, 100), outcome(one.recv, 100))
        router.reject(HERE)
        arm.see(other.recv(100), await self.waiting(arm, other))
        return [(b"answer", "ECONNRESET", b""), (b"first", WAITS)]

    @routed
    async def test_the_end(self, arm: Arm, router: Router) -> Any:
        """A rejected end of a stream: who reads on is reset, and the peer has not heard the end."""
        one, other = await self.through(arm, router)
        router.reject(HERE, "fin")
        one.shutdown(socket.SHUT_WR)
        arm.see(await end_of(one), outcome(one.recv, 1))
        arm.see(await self.waiting(arm, other))
        return [("ECONNRESET", b""), WAITS]

    @routed
    async def test_closed(self, arm: Arm, router: Router) -> Any:
        """The same of a socket that was closed: nobody hears anything, and the end is not sent again."""
        one, other = await self.through(arm, router)
        router.reject(HERE, "fin")
        one.close()
        await arm.calm()
        router.reject(HERE)
        await asyncio.sleep(0.5)  # it would have been, twice
        arm.see(await self.waiting(arm, other))
        arm.see(other.send(b"x"), await end_of(other))
        return [WAITS, (1, "ECONNRESET")]

    @routed
    async def test_after_the_end_of_the_peer(self, arm: Arm, router: Router) -> Any:
        """Who writes after its peer's end gets EPIPE, as for every reset then."""
        one, other = await self.through(arm, router)
        other.shutdown(socket.SHUT_WR)
        arm.see(await end_of(one))
        router.reject(HERE, "data")
        one.send(b"x")
        await arm.until(lambda: outcome(one.getpeername) == "ENOTCONN")
        arm.see(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), outcome(one.send, b"x"), outcome(one.recv, 1))
        arm.see(await self.waiting(arm, other))
        return ["b''", (errno.EPIPE, "EPIPE", b""), WAITS]

    @routed
    async def test_a_reset(self, arm: Arm, router: Router) -> Any:
        """A reset that is rejected is lost, and nothing answers it."""
        one, other = await self.through(arm, router)
        router.reject(HERE, "reset")
        reset_on_close(one)
        one.close()
        arm.see(await self.waiting(arm, other))
        return [WAITS]

    @routed
    async def test_a_probe(self, arm: Arm, router: Router) -> Any:
        """A probe of keepalive that is rejected resets who has sent it."""
        one, other = await self.through(arm, router)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        router.reject(HERE, "probe")
        arm.see(await end_of(one), await self.waiting(arm, other))
        return [("ECONNRESET", WAITS)]

    @routed
    async def test_the_peer_probes(self, arm: Arm, router: Router) -> Any:
        """The peer that waits learns of it by its keepalive: nobody is there who knows of the connection."""
        one, other = await self.through(arm, router)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        other.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        router.reject(HERE, "data")
        one.send(b"x")
        arm.see(await end_of(one), await end_of(other))
        return [("ECONNRESET", "ECONNRESET")]

    @routed
    async def test_a_connect(self, arm: Arm, router: Router) -> Any:
        """A connect that is rejected is refused, and the listener hears nothing; the next one may be let through."""
        listener, address = await self.listener(arm, router)
        router.reject(HERE, "connect")
        sock = arm.socket()
        arm.see(outcome(sock.connect, address))
        await arm.writable(sock)
        arm.see(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), outcome(listener.accept))
        router.reject(HERE)
        arm.see(outcome(sock.connect, address), outcome(sock.connect, address))
        await arm.answer(listener)
        return ["EINPROGRESS", (errno.ECONNREFUSED, "EAGAIN"), ("ECONNABORTED", "EINPROGRESS")]

    @routed
    async def test_begun_anew(self, arm: Arm, router: Router) -> Any:
        """A socket that has not asked for the outcome of its connect forgets reset and peer, and connects anew."""
        listener, address = await self.listener(arm, router)
        one = arm.socket()
        arm.see(outcome(one.connect, address))
        other = await arm.answer(listener)
        await arm.writable(one)
        router.reject(HERE, "data")
        one.send(b"x")
        await arm.readable(one)
        router.reject(HERE)
        arm.see(outcome(one.connect, address), outcome(one.connect, address))
        again = await arm.answer(listener)
        await arm.writable(one)
        arm.see(one.send(b"anew"), await end_of(again), await self.waiting(arm, other))
        arm.see(other.send(b"x"), await end_of(other), await self.waiting(arm, one))
        return ["EINPROGRESS", ("ECONNRESET", "EINPROGRESS"), (4, "b'anew'", WAITS), (1, "ECONNRESET", WAITS)]

    @routed
    async def test_protocols(self, arm: Arm, router: Router) -> Any:
        """asyncio: the sender's protocol loses its connection by a reset, the peer's hears nothing."""
        one, other = await self.through(arm, router)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Losable, sock=one)
        waits, quiet = await loop.create_connection(Losable, sock=other)
        router.reject(HERE, "data")
        transport.write(b"x")
        error = await protocol.lost
        await arm.calm()
        arm.see(type(error).__name__, error.errno == errno.ECONNRESET, quiet.lost.done(), waits.is_closing())
        waits.close()
        return [("ConnectionResetError", True, False, False)]
