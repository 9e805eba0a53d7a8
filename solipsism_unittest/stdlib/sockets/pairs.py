"""Sockets and streams that are joined in memory, and how what is left of a stream is ended."""

from __future__ import annotations

import _socket
import asyncio
import errno
import operator
import socket
from asyncio import get_running_loop, open_connection
from typing import Any

from ...errors import SolipsismError
from ...kernel import PAIR_FAMILY, Capacity, Kernel
from ...kernel.descriptors.file import os_error
from ..holdings import hold
from ..worlds import World
from .virtual_socket import VirtualSocket, running_world


def socketpair(capacity: Capacity = None, sock1_name: Any = None, sock2_name: Any = None
               ) -> tuple[VirtualSocket, VirtualSocket]:
    """Two non-blocking sockets of TCP joined in memory.

    `capacity` is the exact number of bytes that each direction holds before a send would block; a pair of numbers is
    for the bytes from the first socket and from the second. A pair made outside any loop joins the loop that it is
    first used with. A name is (host, port[, flowinfo[, scope_id]]); one without is ("::", 0), or ("0.0.0.0", 0) where
    the other one has a host without a colon. No address is taken in the network.
    """
    world = running_world() or World(Kernel(), loose=True)
    names = [_name(name) for name in (sock1_name, sock2_name)]
    hosts = [name[0] for name in names if name is not None]
    family = socket.AF_INET6 if any(":" in host for host in hosts) or not hosts else socket.AF_INET
    one, two = _held(world, VirtualSocket.pair(world, capacity, family=family))
    if hosts:
        wildcard = "::" if family == socket.AF_INET6 else "0.0.0.0", 0
        one.end.local, two.end.local = two.end.remote, one.end.remote = [name or wildcard for name in names]
    return one, two


def _name(address: Any) -> tuple[Any, ...] | None:
    if address is None:
        return None
    if not isinstance(address, tuple) or not 2 <= len(address) <= 4 or not isinstance(address[0], str):
        raise TypeError(f"the name of a socket is a tuple (host, port), not {address!r}")
    numbers = list(map(operator.index, address[1:]))
    return (address[0], *numbers) if len(numbers) == 1 else (address[0], *(numbers + [0])[:3])


def socketpair_of(world: World, family: int = PAIR_FAMILY, type: int = socket.SOCK_STREAM, proto: int = 0
                  ) -> tuple[VirtualSocket, VirtualSocket]:
    """As `socket.socketpair`, in a world."""
    if operator.index(family) in (socket.AF_INET, socket.AF_INET6):
        raise os_error(errno.EOPNOTSUPP)
    if operator.index(proto):
        raise os_error(errno.EPROTONOSUPPORT)
    flags = getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)
    timeout = 0.0 if type & getattr(socket, "SOCK_NONBLOCK", 0) else _socket.getdefaulttimeout()
    if operator.index(type) & ~flags == socket.SOCK_DGRAM:
        return _held(world, VirtualSocket.datagram_pair(world, timeout))
    if operator.index(type) & ~flags != socket.SOCK_STREAM:
        raise SolipsismError(f"socket.socketpair() of type {type!r} is not simulated: SOCK_STREAM and SOCK_DGRAM are")
    return _held(world, VirtualSocket.pair(world, timeout=timeout))


def _held(world: World, pair: tuple[VirtualSocket, VirtualSocket]) -> tuple[VirtualSocket, VirtualSocket]:
    """The same, which are whose code runs."""
    hold(world.kernel, *(face._number_ for face in pair))
    return pair


StreamPair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def stream_pairs(capacity: Capacity = None) -> tuple[StreamPair, StreamPair]:
    """Two asyncio stream pairs over `socketpair(capacity)`: ((reader1, writer1), (reader2, writer2))."""
    if running_world() is None:
        raise SolipsismError(f"stream_pairs() needs the virtual world, and {get_running_loop()!r} has none: "
                             "run it on a SolipsistEventLoop")
    faces = socketpair(capacity)
    pairs: list[StreamPair] = []
    try:
        for face in faces:
            pairs.append(await open_connection(sock=face))
    except BaseException:  # cancelled half-way
        for _, writer in pairs:
            abort(writer.transport)
        for face in faces:
            face.close()
        raise
    return pairs[0], pairs[1]


def unsent(transport: Any) -> int:
    """How many bytes a transport has still to send: none, of one of TLS that was closed twice, where asyncio raises."""
    return transport.get_write_buffer_size() if getattr(transport, "_ssl_protocol", transport) is not None else 0


def abort(transport: Any) -> None:
    """Break a transport off, whatever state it is in; one that is over already stays as it is.

    close() with a full buffer ends a transport when the buffer has gone, and asyncio's abort() raises an AttributeError
    then: only a close() or abort() that ends it at once leaves a mark that abort() looks for (`_force_close()`).
    """
    if getattr(transport, "_loop", transport) is not None:  # what a foreign loop made has no such name
        transport.abort()
