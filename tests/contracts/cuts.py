"""Cutting a loopback connection, and healing it: really, by a filter that drops all; virtually, by a rule.

A filter needs no privilege: SO_ATTACH_FILTER with one instruction, on both sockets, loses data, FIN and RST alike.
"""

import asyncio
import contextlib
import ctypes
import errno
import socket
import struct
import unittest
from typing import Any

from solipsism_unittest import SolipsistEventLoop, Verdict
from tests.contracts.arms import Arm, Contract

ATTACH, DETACH = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER of Linux
DROP_ALL = struct.pack("=HBBI", 6, 0, 0, 0)  # one instruction: return 0 bytes of each packet


def cut(*socks: socket.socket) -> None:
    """Lose all that comes to these sockets; of a virtual connection, what goes there."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, SolipsistEventLoop):
        for sock in socks:
            loop.kernel.network.rule(_losing(sock.getsockname()))
        return
    program = ctypes.create_string_buffer(DROP_ALL)
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, ATTACH, struct.pack("HL", 1, ctypes.addressof(program)))


def _losing(address: Any) -> Any:
    return lambda packet: Verdict.DROP if packet.target_address == address[:2] else None


def heal(*socks: socket.socket) -> None:
    """Let everything through again."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, SolipsistEventLoop):
        for installed in list(loop.kernel.network.wire.faults._rules):
            installed.remove()
        return
    for sock in socks:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, DETACH, 0)


class Losable(asyncio.Protocol):
    """A protocol whose `lost` is the error with which its connection was lost."""

    def __init__(self) -> None:
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


async def end_of(sock: socket.socket) -> str:
    """How a read ends: the bytes, or the name of the errno."""
    try:
        return repr(await asyncio.get_running_loop().sock_recv(sock, 100))
    except OSError as error:
        return errno.errorcode[error.errno]


def reset_on_close(sock: socket.socket) -> None:
    """Let close() send a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@unittest.skipUnless(hasattr(socket, "TCP_USER_TIMEOUT"), "Linux cuts a line by a filter")
class CutContract(Contract):
    """Scenarios on a connection over the loopback that can be cut."""

    async def joined(self, arm: Arm, **options: int) -> tuple[socket.socket, socket.socket]:
        """Both ends of a connection; the first has these options of TCP."""
        one, other = await arm.connection()
        for name, value in options.items():
            one.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        return one, other

    async def given_up(self, arm: Arm, milliseconds: int = 50) -> tuple[socket.socket, socket.socket]:
        """A connection whose first end has given up, and has not reported it yet."""
        one, other = await self.joined(arm, TCP_USER_TIMEOUT=milliseconds)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cut(one, other)
        for _ in range(2):  # of two segments the last is asked for soon, and all the rest comes sooner
            one.send(b"lost")
        await arm.readable(one)
        return one, other

    async def half_open(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        """A connection whose second end has gone without a word; the first has written, and the answer is there."""
        one, other = await self.joined(arm)
        cut(one, other)
        reset_on_close(other)
        other.close()
        heal(one)
        one.send(b"x")
        await arm.readable(one)
        return one, other
