"""Every operation in every state of a stream socket, on a fresh copy of the state for each operation, twice.

A truth is a table, operation -> what it gives. A pair says what it gives the first time and, once everything that this
caused has arrived, the second time. Tables build on each other, so that a state says only what is special about it.
"own" is the end tried, the one that connected; "peer" is the other.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from tests.contracts.arms import RESET_ON_CLOSE, Address, Arm, Contract, outcome, scenario

State = Callable[[Arm], Awaitable[socket.socket]]
Table = dict[str, Any]
Facts = list[tuple[str, Any]]

HERE = "its address"
NOWHERE = "no address"

RECV = ("recv", "recv_into")
SEND = ("send", "send_nothing", "sendall", "sendmsg")
SHUTDOWN = ("shutdown_rd", "shutdown_wr", "shutdown_rdwr")
NAMES = ("getsockname", "getpeername")


def all_of(operations: tuple[str, ...], result: Any) -> Table:
    return dict.fromkeys(operations, result)


def recv_gives(first: Any, then: Any = ...) -> Table:
    """What recv(2) gives, twice, and what recv_into() three bytes gives then: the length."""
    pair = (first, first if then is ... else then)
    lengths = tuple(len(result) if isinstance(result, bytes) else result for result in pair)
    return {"recv": once(*pair), "recv_into": once(*lengths)}


def once(first: Any, then: Any) -> Any:
    """Two equal results are one."""
    return first if type(first) is type(then) and first == then else (first, then)


UNREAD = {"recv": (b"da", b"ta"), "recv_into": (3, 1)}

# One table for each way in which two ends can be joined, or not be.

OPEN = {
    "ready": "w",
    **recv_gives("EAGAIN"),
    "send": 2,
    "send_nothing": 0,
    "sendall": None,
    "sendmsg": 3,
    **all_of(SHUTDOWN, None),
    **all_of(NAMES, HERE),
    "so_error": 0,
    "accept": "EINVAL",
    "bind": "EINVAL",
    "listen": "EINVAL",
    "connect": (None, "EISCONN"),
}
PEER_SILENT = {
    **OPEN,
    "ready": "rw",
    **recv_gives(b""),
    **all_of(("shutdown_wr", "shutdown_rdwr"), (None, "ENOTCONN")),
}
PEER_GONE = {**PEER_SILENT, "send": (2, "EPIPE"), "sendall": (None, "EPIPE"), "sendmsg": (3, "EPIPE")}
OVER = {
    **{name: OPEN[name] for name in OPEN if name != "bind"},  # says test_connecting.py's test_port_of_a_dead_socket
    "ready": "rw",
    **recv_gives(b""),
    **all_of(SEND, "EPIPE"),
    **all_of(SHUTDOWN, "ENOTCONN"),
    "getpeername": "ENOTCONN",
    "connect": "EISCONN",
}
RESET = {
    **OVER,
    **recv_gives("ECONNRESET", b""),
    "recv_into": ("ECONNRESET", 0),
    **all_of(SEND, ("ECONNRESET", "EPIPE")),
    "so_error": ("ECONNRESET", 0),
    "connect": ("ECONNRESET", "EINPROGRESS"),
}
RESET_AFTER_FIN = {**OVER, "so_error": ("EPIPE", 0), "connect": ("EPIPE", "EINPROGRESS")}
NEVER_CONNECTED = {
    **OVER,
    **recv_gives("ENOTCONN"),
    "bind": (None, "EINVAL"),
    "listen": None,
    "connect": ("EINPROGRESS", None),
}
LISTENING = {
    **NEVER_CONNECTED,
    "ready": "-",
    **all_of(("shutdown_rd", "shutdown_rdwr"), (None, "ENOTCONN")),
    "shutdown_wr": None,
    "accept": "EAGAIN",
    "bind": "EINVAL",
    "connect": "EISCONN",
}
OWN_RD = {**OPEN, "ready": "rw", **recv_gives(b""), "connect": "EISCONN"}

CLOSED = {**all_of(tuple(OPEN), "EBADF"), "ready": "nothing"}


class States(Contract):
    """The states of an end, by the name of their scenario, and what is tried in them."""

    async def try_everything(self, arm: Arm, state: State, truth: Table) -> Facts:
        """See what each operation of `truth` gives in `state`; return what it should give."""
        results = await asyncio.gather(*[self.try_one(arm, state, operation) for operation in truth])
        for operation, result in zip(truth, results, strict=True):
            arm.see(operation, result)
        return list(truth.items())

    async def try_one(self, arm: Arm, state: State, operation: str) -> Any:
        sock = await state(arm)
        if operation == "ready":
            return await arm.readiness(sock) if sock.fileno() >= 0 else "nothing"
        target = arm.listener(self.host).getsockname()[:2] if operation == "connect" else ()
        first = self.operate(sock, operation, target)
        await arm.calm()
        return once(first, self.operate(sock, operation, target))

    def operate(self, sock: socket.socket, operation: str, target: Address) -> Any:
        calls: dict[str, Callable[[], Any]] = {
            "recv": lambda: sock.recv(2),
            "recv_into": lambda: sock.recv_into(bytearray(3)),
            "send": lambda: sock.send(b"xy"),
            "send_nothing": lambda: sock.send(b""),
            "sendall": lambda: sock.sendall(b"xy"),
            "sendmsg": lambda: sock.sendmsg([b"x", b"yz"]),
            "shutdown_rd": lambda: sock.shutdown(socket.SHUT_RD),
            "shutdown_wr": lambda: sock.shutdown(socket.SHUT_WR),
            "shutdown_rdwr": lambda: sock.shutdown(socket.SHUT_RDWR),
            "getsockname": lambda: self.place(sock.getsockname()),
            "getpeername": lambda: self.place(sock.getpeername()),
            "so_error": lambda: code(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)),
            "accept": lambda: sock.accept()[0].close(),
            "bind": lambda: sock.bind((self.host, 0)),
            "listen": lambda: sock.listen(1),
            "connect": lambda: sock.connect(target),
        }
        return outcome(calls[operation])

    def place(self, address: Address) -> Any:
        """The kind of an address: ours, the unbound one, or itself where it is neither."""
        tail = (0, 0) if ":" in self.host else ()
        if address == (("::" if tail else "0.0.0.0"), 0, *tail):
            return NOWHERE
        return HERE if address == (self.host, address[1], *tail) and address[1] > 0 else address

    async def joined(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return await arm.connection(self.host)

    async def narrow(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return await arm.connection(self.host, buffer=4096)

    async def refused(self, arm: Arm) -> socket.socket:
        listener = arm.listener(self.host)
        nobody = listener.getsockname()[:2]
        listener.close()
        sock = arm.socket(self.host)
        with contextlib.suppress(BlockingIOError):
            sock.connect(nobody)
        await arm.writable(sock)
        return sock

    async def fresh(self, arm: Arm) -> socket.socket:
        return arm.socket(self.host)

    async def bound(self, arm: Arm) -> socket.socket:
        sock = arm.socket(self.host)
        sock.bind((self.host, 0))
        return sock

    async def listening(self, arm: Arm) -> socket.socket:
        return arm.listener(self.host)

    async def listening_with_a_connection_queued(self, arm: Arm) -> socket.socket:
        listener = arm.listener(self.host)
        await arm.dial(listener)
        await arm.readable(listener)
        return listener

    async def listener_shut_down(self, arm: Arm) -> socket.socket:
        listener = arm.listener(self.host)
        listener.shutdown(socket.SHUT_RD)
        return listener

    async def connecting(self, arm: Arm) -> socket.socket:
        listener = arm.listener(self.host, backlog=0)
        await arm.dial(listener)
        sock = arm.socket(self.host)
        with contextlib.suppress(BlockingIOError):
            sock.connect(listener.getsockname()[:2])
        await arm.calm()
        return sock

    async def refused_and_told(self, arm: Arm) -> socket.socket:
        sock = await self.refused(arm)
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return sock

    async def idle(self, arm: Arm) -> socket.socket:
        return (await self.joined(arm))[0]

    async def idle_accepted(self, arm: Arm) -> socket.socket:
        return (await self.joined(arm))[1]

    async def unread_data(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        peer.send(b"data")
        await arm.readable(own)
        return own

    async def own_buffer_full(self, arm: Arm) -> socket.socket:
        own, _ = await self.narrow(arm)
        await arm.fill(own)
        return own

    async def own_shutdown_wr(self, arm: Arm) -> socket.socket:
        own, _ = await self.joined(arm)
        own.shutdown(socket.SHUT_WR)
        return own

    async def own_shutdown_rd(self, arm: Arm) -> socket.socket:
        own, _ = await self.joined(arm)
        own.shutdown(socket.SHUT_RD)
        return own

    async def own_shutdown_rd_with_unread_data(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        peer.send(b"data")
        await arm.readable(own)
        own.shutdown(socket.SHUT_RD)
        return own

    async def own_shutdown_rd_then_data(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        own.shutdown(socket.SHUT_RD)
        peer.send(b"data")
        await arm.calm()
        return own

    async def own_shutdown_rdwr(self, arm: Arm) -> socket.socket:
        own, _ = await self.joined(arm)
        own.shutdown(socket.SHUT_RDWR)
        return own

    async def peer_shutdown_wr(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        peer.shutdown(socket.SHUT_WR)
        await arm.readable(own)
        return own

    async def peer_shutdown_wr_behind_data(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        peer.send(b"data")
        peer.shutdown(socket.SHUT_WR)
        await arm.calm()
        return own

    async def peer_shutdown_rd(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        peer.shutdown(socket.SHUT_RD)
        await arm.calm()
        return own

    async def peer_shutdown_rdwr(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        peer.shutdown(socket.SHUT_RDWR)
        await arm.readable(own)
        return own

    async def peer_closed(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        peer.close()
        await arm.readable(own)
        return own

    async def peer_closed_behind_data(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        peer.send(b"data")
        peer.close()
        await arm.calm()
        return own

    async def both_shut_down_own_first(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        own.shutdown(socket.SHUT_WR)
        await arm.readable(peer)
        peer.shutdown(socket.SHUT_WR)
        await arm.calm()
        return own

    async def both_shut_down_peer_first(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        peer.shutdown(socket.SHUT_WR)
        await arm.readable(own)
        own.shutdown(socket.SHUT_WR)
        await arm.calm()
        return own

    async def own_shutdown_wr_then_peer_closed(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        peer.send(b"data")
        own.shutdown(socket.SHUT_WR)
        await arm.readable(peer)
        peer.close()
        await arm.calm()
        return own

    async def both_shut_down_and_peer_closed_with_unread_data(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        own.send(b"unread")
        own.shutdown(socket.SHUT_WR)
        await arm.readable(peer)
        peer.shutdown(socket.SHUT_WR)
        await arm.readable(own)
        peer.close()
        await arm.calm()
        return own

    async def peer_closed_with_unread_data(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        own.send(b"unread")
        await arm.readable(peer)
        peer.close()
        await arm.calm()
        return own

    async def peer_lingered_zero(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        abort(peer)
        await arm.calm()
        return own

    async def reset_behind_data(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        peer.send(b"data")
        await arm.readable(own)
        abort(peer)
        await arm.calm()
        return own

    async def reset_of_a_full_buffer(self, arm: Arm) -> socket.socket:
        own, peer = await self.narrow(arm)
        await arm.fill(own)
        peer.close()
        await arm.calm()
        return own

    async def reset_told(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        abort(peer)
        await arm.calm()
        outcome(own.recv, 1)
        return own

    async def reset_after_own_fin(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        own.shutdown(socket.SHUT_WR)
        await arm.readable(peer)
        abort(peer)
        await arm.calm()
        return own

    async def reset_after_peer_fin(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        peer.shutdown(socket.SHUT_WR)
        await arm.readable(own)
        abort(peer)
        await arm.calm()
        return own

    async def reset_by_sending_to_a_closed_peer(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        peer.close()
        await arm.readable(own)
        own.send(b"late")
        await arm.calm()
        return own

    async def reset_by_data_after_shutdown_rdwr(self, arm: Arm) -> socket.socket:
        own, peer = await self.joined(arm)
        own.shutdown(socket.SHUT_RDWR)
        await arm.readable(peer)
        peer.send(b"late")
        await arm.calm()
        return own

    async def own_closed(self, arm: Arm) -> socket.socket:
        own, _ = await self.joined(arm)
        own.close()
        return own

    async def own_detached(self, arm: Arm) -> socket.socket:
        own, _ = await self.joined(arm)
        arm.keep(socket.socket(fileno=own.detach()))
        return own


class TCPStates(States):
    """TCP over IPv4."""

    # Not connected

    @scenario
    async def test_fresh(self, arm: Arm) -> Facts:
        """A socket that has done nothing: receiving is ENOTCONN, sending EPIPE, the selector calls it hung up."""
        return await self.try_everything(arm, self.fresh, {**NEVER_CONNECTED, "getsockname": NOWHERE})

    @scenario
    async def test_bound(self, arm: Arm) -> Facts:
        """A bound socket differs from a fresh one in its address and in that it cannot be bound again."""
        return await self.try_everything(arm, self.bound, {**NEVER_CONNECTED, "bind": "EINVAL"})

    @scenario
    async def test_listening(self, arm: Arm) -> Facts:
        """A listener with nobody in its queue is not ready, and stops to listen on shutdown(SHUT_RD)."""
        return await self.try_everything(arm, self.listening, LISTENING)

    @scenario
    async def test_listening_with_a_connection_queued(self, arm: Arm) -> Facts:
        """A listener is readable while somebody waits to be accepted."""
        truth = {**LISTENING, "ready": "r", "accept": (None, "EAGAIN")}
        return await self.try_everything(arm, self.listening_with_a_connection_queued, truth)

    @scenario
    async def test_listener_shut_down(self, arm: Arm) -> Facts:
        """A listener after shutdown(SHUT_RD) is like a socket that was only bound."""
        truth = {name: NEVER_CONNECTED[name] for name in NEVER_CONNECTED if name != "bind"}
        return await self.try_everything(arm, self.listener_shut_down, truth)

    @scenario
    async def test_connecting(self, arm: Arm) -> Facts:
        """While a connect is pending nothing is ready, and shutdown() gives it up."""
        truth = {
            **OPEN,
            "ready": "-",
            **all_of(SEND, "EAGAIN"),
            **all_of(SHUTDOWN, (None, "ENOTCONN")),
            "getpeername": "ENOTCONN",
            "connect": "EALREADY",
        }
        return await self.try_everything(arm, self.connecting, truth)

    @scenario
    async def test_refused(self, arm: Arm) -> Facts:
        """A refusal is told once, by whichever call comes first; then the socket can be used for another connect."""
        truth = {
            **OVER,
            **recv_gives("ECONNREFUSED", b""),
            "recv_into": ("ECONNREFUSED", 0),
            **all_of(SEND, ("ECONNREFUSED", "EPIPE")),
            "so_error": ("ECONNREFUSED", 0),
            "connect": ("ECONNREFUSED", "EINPROGRESS"),
        }
        return await self.try_everything(arm, self.refused, truth)

    @scenario
    async def test_refused_and_told(self, arm: Arm) -> Facts:
        """Once the refusal was told, the next connect is ECONNABORTED, and only the one after it is an attempt."""
        truth = {**OVER, "connect": ("ECONNABORTED", "EINPROGRESS")}
        return await self.try_everything(arm, self.refused_and_told, truth)

    # Connected

    @scenario
    async def test_idle(self, arm: Arm) -> Facts:
        """An open connection is writable; the first connect() after the handshake says that it is done."""
        return await self.try_everything(arm, self.idle, OPEN)

    @scenario
    async def test_idle_accepted(self, arm: Arm) -> Facts:
        """The accepted end is the same as the end that connected, but never had a connect() to finish."""
        return await self.try_everything(arm, self.idle_accepted, {**OPEN, "connect": "EISCONN"})

    @scenario
    async def test_unread_data(self, arm: Arm) -> Facts:
        """Data that waits to be read makes an end readable."""
        return await self.try_everything(arm, self.unread_data, {**OPEN, "ready": "rw", **UNREAD})

    @scenario
    async def test_own_buffer_full(self, arm: Arm) -> Facts:
        """A full send buffer is EAGAIN for every send that has something to send."""
        truth = {**OPEN, "ready": "-", **all_of(SEND, "EAGAIN"), "send_nothing": 0}
        return await self.try_everything(arm, self.own_buffer_full, truth)

    # Half-closed

    @scenario
    async def test_own_shutdown_wr(self, arm: Arm) -> Facts:
        """After shutdown(SHUT_WR) sending is EPIPE, and receiving goes on."""
        truth = {**OPEN, **all_of(SEND, "EPIPE"), "connect": "EISCONN"}
        return await self.try_everything(arm, self.own_shutdown_wr, truth)

    @scenario
    async def test_own_shutdown_rd(self, arm: Arm) -> Facts:
        """After shutdown(SHUT_RD) there is an end of file where there was EAGAIN, and sending goes on."""
        return await self.try_everything(arm, self.own_shutdown_rd, OWN_RD)

    @scenario
    async def test_own_shutdown_rd_with_unread_data(self, arm: Arm) -> Facts:
        """Data that was there before shutdown(SHUT_RD) is still read."""
        return await self.try_everything(arm, self.own_shutdown_rd_with_unread_data, {**OWN_RD, **UNREAD})

    @scenario
    async def test_own_shutdown_rd_then_data(self, arm: Arm) -> Facts:
        """Data that arrives after shutdown(SHUT_RD) is read too: the peer was told nothing."""
        return await self.try_everything(arm, self.own_shutdown_rd_then_data, {**OWN_RD, **UNREAD})

    @scenario
    async def test_own_shutdown_rdwr(self, arm: Arm) -> Facts:
        """shutdown(SHUT_RDWR) is both shutdowns in one."""
        return await self.try_everything(arm, self.own_shutdown_rdwr, {**OWN_RD, **all_of(SEND, "EPIPE")})

    @scenario
    async def test_peer_shutdown_wr(self, arm: Arm) -> Facts:
        """After the peer's FIN there is an end of file, sending goes on, and the own FIN ends the connection."""
        return await self.try_everything(arm, self.peer_shutdown_wr, PEER_SILENT)

    @scenario
    async def test_peer_shutdown_wr_behind_data(self, arm: Arm) -> Facts:
        """The end of file comes after the data that was sent before it."""
        return await self.try_everything(arm, self.peer_shutdown_wr_behind_data, {**PEER_SILENT, **UNREAD})

    @scenario
    async def test_peer_shutdown_rd(self, arm: Arm) -> Facts:
        """The peer's shutdown(SHUT_RD) cannot be noticed."""
        return await self.try_everything(arm, self.peer_shutdown_rd, OPEN)

    @scenario
    async def test_peer_shutdown_rdwr(self, arm: Arm) -> Facts:
        """The peer's shutdown(SHUT_RDWR) looks like its close()."""
        return await self.try_everything(arm, self.peer_shutdown_rdwr, PEER_GONE)

    # Closed in order

    @scenario
    async def test_peer_closed(self, arm: Arm) -> Facts:
        """After the peer's close() one send succeeds, the next is EPIPE, and receiving stays at the end of file."""
        return await self.try_everything(arm, self.peer_closed, PEER_GONE)

    @scenario
    async def test_peer_closed_behind_data(self, arm: Arm) -> Facts:
        """What the peer sent before it closed is read before the end of file."""
        return await self.try_everything(arm, self.peer_closed_behind_data, {**PEER_GONE, **UNREAD})

    @scenario
    async def test_both_shut_down_own_first(self, arm: Arm) -> Facts:
        """After both FINs the connection is over: no peer name, nothing to shut down."""
        return await self.try_everything(arm, self.both_shut_down_own_first, OVER)

    @scenario
    async def test_both_shut_down_peer_first(self, arm: Arm) -> Facts:
        """Who sent the first FIN cannot be seen afterwards."""
        return await self.try_everything(arm, self.both_shut_down_peer_first, OVER)

    @scenario
    async def test_own_shutdown_wr_then_peer_closed(self, arm: Arm) -> Facts:
        """The peer's answer to a FIN may also be its close(); what it sent before is still read."""
        return await self.try_everything(arm, self.own_shutdown_wr_then_peer_closed, {**OVER, **UNREAD})

    # Reset

    @scenario
    async def test_peer_closed_with_unread_data(self, arm: Arm) -> Facts:
        """A close() that throws data away is a reset, told once."""
        return await self.try_everything(arm, self.peer_closed_with_unread_data, RESET)

    @scenario
    async def test_both_shut_down_and_peer_closed_with_unread_data(self, arm: Arm) -> Facts:
        """A connection that is over cannot be reset."""
        return await self.try_everything(arm, self.both_shut_down_and_peer_closed_with_unread_data, OVER)

    @scenario
    async def test_peer_lingered_zero(self, arm: Arm) -> Facts:
        """A close() under SO_LINGER(1, 0) is a reset."""
        return await self.try_everything(arm, self.peer_lingered_zero, RESET)

    @scenario
    async def test_reset_behind_data(self, arm: Arm) -> Facts:
        """Data that arrived before a reset is still read; a send tells of the reset at once."""
        return await self.try_everything(arm, self.reset_behind_data, {**RESET, **UNREAD})

    @scenario
    async def test_reset_of_a_full_buffer(self, arm: Arm) -> Facts:
        """A reset wakes an end that could neither read nor write."""
        return await self.try_everything(arm, self.reset_of_a_full_buffer, RESET)

    @scenario
    async def test_reset_told(self, arm: Arm) -> Facts:
        """Once a reset was told, the connection is just over."""
        return await self.try_everything(arm, self.reset_told, {**OVER, "connect": ("ECONNABORTED", "EINPROGRESS")})

    @scenario
    async def test_reset_after_own_fin(self, arm: Arm) -> Facts:
        """A reset that answers a FIN is told like any other."""
        return await self.try_everything(arm, self.reset_after_own_fin, {**RESET, "connect": "EISCONN"})

    @scenario
    async def test_reset_after_peer_fin(self, arm: Arm) -> Facts:
        """A reset after the peer's FIN is an EPIPE, and receiving never tells of it."""
        return await self.try_everything(arm, self.reset_after_peer_fin, RESET_AFTER_FIN)

    @scenario
    async def test_reset_by_sending_to_a_closed_peer(self, arm: Arm) -> Facts:
        """The send that still succeeds after the peer's close() is answered by such a reset."""
        return await self.try_everything(arm, self.reset_by_sending_to_a_closed_peer, RESET_AFTER_FIN)

    @scenario
    async def test_reset_by_data_after_shutdown_rdwr(self, arm: Arm) -> Facts:
        """An end that said shutdown(SHUT_RDWR) answers data with a reset, and is itself reset by it."""
        return await self.try_everything(arm, self.reset_by_data_after_shutdown_rdwr, {**RESET, "connect": "EISCONN"})

    # Gone

    @scenario
    async def test_own_closed(self, arm: Arm) -> Facts:
        """Every call on a closed socket is EBADF."""
        return await self.try_everything(arm, self.own_closed, CLOSED)

    @scenario
    async def test_own_detached(self, arm: Arm) -> Facts:
        """A detached socket is a closed one, for all that can be seen."""
        return await self.try_everything(arm, self.own_detached, CLOSED)


class TCP6States(TCPStates):
    """TCP over IPv6."""

    host = "::1"


# What is different about a pair: no address, every shutdown is fine for ever, and the peer's state is known at once.

PAIR_OPEN = {name: OPEN[name] for name in OPEN if name not in ("bind", "listen", "connect")} | all_of(NAMES, "")
PAIR_SILENT = {**PAIR_OPEN, "ready": "rw", **recv_gives(b"")}
PAIR_OVER = {**PAIR_SILENT, **all_of(SEND, "EPIPE")}
PAIR_RESET = {
    **PAIR_OVER,
    "recv": ("ECONNRESET", b""),
    "recv_into": ("ECONNRESET", 0),
    "so_error": ("ECONNRESET", 0),
}


class PairStates(States):
    """`socket.socketpair()`: the same states, where it has them, and another truth."""

    async def joined(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return arm.pair()

    async def narrow(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return arm.pair()

    def place(self, address: Address) -> Any:
        return address

    @scenario
    async def test_idle(self, arm: Arm) -> Facts:
        """A new pair is open both ways and nameless."""
        return await self.try_everything(arm, self.idle, PAIR_OPEN)

    @scenario
    async def test_unread_data(self, arm: Arm) -> Facts:
        """Data that waits to be read makes an end readable."""
        return await self.try_everything(arm, self.unread_data, {**PAIR_OPEN, "ready": "rw", **UNREAD})

    @scenario
    async def test_own_buffer_full(self, arm: Arm) -> Facts:
        """A full send buffer is EAGAIN for every send that has something to send."""
        truth = {**PAIR_OPEN, "ready": "-", **all_of(SEND, "EAGAIN"), "send_nothing": 0}
        return await self.try_everything(arm, self.own_buffer_full, truth)

    @scenario
    async def test_own_shutdown_wr(self, arm: Arm) -> Facts:
        """After shutdown(SHUT_WR) sending is EPIPE, and receiving goes on."""
        return await self.try_everything(arm, self.own_shutdown_wr, {**PAIR_OPEN, **all_of(SEND, "EPIPE")})

    @scenario
    async def test_own_shutdown_rd(self, arm: Arm) -> Facts:
        """After shutdown(SHUT_RD) there is an end of file, and sending goes on."""
        return await self.try_everything(arm, self.own_shutdown_rd, PAIR_SILENT)

    @scenario
    async def test_own_shutdown_rd_with_unread_data(self, arm: Arm) -> Facts:
        """Data that was there before shutdown(SHUT_RD) is still read."""
        return await self.try_everything(arm, self.own_shutdown_rd_with_unread_data, {**PAIR_SILENT, **UNREAD})

    @scenario
    async def test_own_shutdown_rdwr(self, arm: Arm) -> Facts:
        """After shutdown(SHUT_RDWR) nothing goes any more."""
        return await self.try_everything(arm, self.own_shutdown_rdwr, PAIR_OVER)

    @scenario
    async def test_peer_shutdown_wr(self, arm: Arm) -> Facts:
        """After the peer's shutdown(SHUT_WR) there is an end of file, and sending goes on."""
        return await self.try_everything(arm, self.peer_shutdown_wr, PAIR_SILENT)

    @scenario
    async def test_peer_shutdown_wr_behind_data(self, arm: Arm) -> Facts:
        """The end of file comes after the data that was sent before it."""
        return await self.try_everything(arm, self.peer_shutdown_wr_behind_data, {**PAIR_SILENT, **UNREAD})

    @scenario
    async def test_peer_shutdown_rd(self, arm: Arm) -> Facts:
        """After the peer's shutdown(SHUT_RD) sending is EPIPE at once, unlike with TCP."""
        return await self.try_everything(arm, self.peer_shutdown_rd, {**PAIR_OPEN, **all_of(SEND, "EPIPE")})

    @scenario
    async def test_peer_shutdown_rdwr(self, arm: Arm) -> Facts:
        """After the peer's shutdown(SHUT_RDWR) nothing goes any more."""
        return await self.try_everything(arm, self.peer_shutdown_rdwr, PAIR_OVER)

    @scenario
    async def test_peer_closed(self, arm: Arm) -> Facts:
        """After the peer's close() sending is EPIPE at once, and receiving is at the end of file."""
        return await self.try_everything(arm, self.peer_closed, PAIR_OVER)

    @scenario
    async def test_peer_closed_behind_data(self, arm: Arm) -> Facts:
        """What the peer sent before it closed is read before the end of file."""
        return await self.try_everything(arm, self.peer_closed_behind_data, {**PAIR_OVER, **UNREAD})

    @scenario
    async def test_both_shut_down(self, arm: Arm) -> Facts:
        """Both ends shut down are still connected: they have a peer, and may be shut down again."""
        return await self.try_everything(arm, self.both_shut_down_own_first, PAIR_OVER)

    @scenario
    async def test_peer_closed_with_unread_data(self, arm: Arm) -> Facts:
        """A close() that throws data away is ECONNRESET for a recv, once, but not for a send."""
        return await self.try_everything(arm, self.peer_closed_with_unread_data, PAIR_RESET)

    @scenario
    async def test_both_shut_down_and_peer_closed_with_unread_data(self, arm: Arm) -> Facts:
        """The same after both ends were shut down."""
        return await self.try_everything(arm, self.both_shut_down_and_peer_closed_with_unread_data, PAIR_RESET)

    @scenario
    async def test_peer_lingered_zero(self, arm: Arm) -> Facts:
        """SO_LINGER(1, 0) means nothing here."""
        return await self.try_everything(arm, self.peer_lingered_zero, PAIR_OVER)

    @scenario
    async def test_reset_of_a_full_buffer(self, arm: Arm) -> Facts:
        """The peer's close() wakes an end that could neither read nor write."""
        return await self.try_everything(arm, self.reset_of_a_full_buffer, PAIR_RESET)

    @scenario
    async def test_reset_told(self, arm: Arm) -> Facts:
        """Once the ECONNRESET was told, the pair is just over."""

        async def told(arm: Arm) -> socket.socket:
            own = await self.peer_closed_with_unread_data(arm)
            outcome(own.recv, 1)
            return own

        return await self.try_everything(arm, told, PAIR_OVER)

    @scenario
    async def test_own_closed(self, arm: Arm) -> Facts:
        """Every call on a closed socket is EBADF."""
        truth = {**all_of(tuple(PAIR_OPEN), "EBADF"), "ready": "nothing"}
        return await self.try_everything(arm, self.own_closed, truth)


def abort(sock: socket.socket) -> None:
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    sock.close()


def code(number: int) -> Any:
    """An error number by its name."""
    return errno.errorcode[number] if number else 0
