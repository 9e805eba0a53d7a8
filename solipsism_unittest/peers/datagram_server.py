"""`FakeDatagramServer`: the other side of code under test that speaks UDP.

Owns every datagram it got and what its handler raised. It is built of asyncio's own datagram transports. UDP has no
connections: the test, or the handler, sees each datagram with the address that it came from, and answers to that.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import inspect
import socket
import struct
from asyncio import get_running_loop, sleep, wait
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from ..introspection.names import plain
from ..introspection.places import Place, user_place
from ..introspection.tasks import stating
from ..kernel.addresses.hosts import Home, here, staying
from ..kernel.addresses.interfaces import INTERFACES, is_many, is_multicast
from ..kernel.network.ports import WILDCARDS
from ..stdlib.holdings import of_the_test
from ..stdlib.sockets.pairs import abort
from ..stdlib.sockets.virtual_socket import OwnSocket
from ..stdlib.worlds import World
from .conversation import DatagramLine, Scripts
from .script import Script

__unittest = True
__tracebackhide__ = True

LAST_WILL = 60.0  # virtual seconds that a handler has for its `finally` blocks

Answer = bytes | bytearray | memoryview | None
DatagramHandler = Callable[[bytes, Any], Answer | Awaitable[Answer]]


class _Protocol(asyncio.DatagramProtocol):
    """One socket of a server; it hands over what comes."""

    def __init__(self, server: FakeDatagramServer) -> None:
        self._server = server
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._server._got(self, data, address)

    def error_received(self, error: Exception) -> None:
        self._server._failed(error)  # what the server sends is too large, or goes where it may not


class FakeDatagramServer:
    """A UDP server that a test runs; `SolipsistTestCase.start_fake_datagram_server` makes one and closes it.

    `host` and `port` are where a client sends to, `address` both. `received` are all datagrams that ever came, oldest
    first, each as (data, address of the sender).
    """

    def __init__(self, world: World, handler: DatagramHandler | None, host: str,
                 script: Script | Sequence[Script] | None = None) -> None:
        if handler is not None and not callable(handler):
            raise TypeError(f"handler is a function (data, address), async or not, or None, not {handler!r}")
        if handler is not None and script is not None:
            raise TypeError("a fake datagram server has a handler or a script, not both")
        if not isinstance(host, str):
            raise TypeError(f"host is a name or an address as text, not {host!r}")
        self.host = host
        self.port = 0
        self.received: list[tuple[bytes, Any]] = []
        self.errors: list[BaseException] = []  # what the handler raised
        self.made_at: Place | None = user_place(2)
        self._world = world
        self._handler = handler
        self._scripts = Scripts(script, "sender", streams=False) if script is not None else None
        self._lines: dict[Any, DatagramLine] = {}  # by sender
        self._waiting: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()
        self._sockets: list[_Protocol] = []
        self._answering: list[asyncio.Task[None]] = []
        self._last_at: dict[Any, _Protocol] = {}  # by sender: where its last datagram came in
        self._finishing = False

    @property
    def address(self) -> tuple[str, int]:
        """(host, port), as `create_datagram_endpoint(remote_addr=server.address)` takes it."""
        return self.host, self.port

    async def start(self, port: int) -> None:
        """Open a socket on every address of the host; port 0 is the next free one. One in use is OSError EADDRINUSE.

        A multicast group is an address too: the server joins it on every interface.
        """
        ports = self._world.kernel.network.udp.ports
        alone = self.host in WILDCARDS or is_many(self.host)
        addresses = (self.host,) if alone else self._world.kernel.names.addresses_of(self.host)
        self.port = port or ports.free_port(addresses)
        try:
            for address in addresses:
                await self._open(address)
        except BaseException:
            self.close()
            raise

    async def _open(self, address: str) -> None:
        face = OwnSocket.on(self._world, socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        face.end.place = self.made_at
        face.end.v6_only = ":" in address
        try:
            with staying(here.get() if self.host in WILDCARDS else None):  # a loopback is the one that it names
                face.bind((address, self.port))
        except BaseException as error:
            face.close()
            if not isinstance(error, OSError):
                raise
            ports = self._world.kernel.network.udp.ports
            taken = next(end for end in ports.bound[self.port]
                         if end.local is not None and ports.overlap(address, False, end.local[0], end.v6_only))
            raise OSError(error.errno, f"UDP port {self.port} on {self.host} is taken by {taken!r} "
                                       f"made at {taken.place}") from None
        if is_multicast(address):
            for number in INTERFACES:
                _join(face, address, number)
        loop = get_running_loop()
        with of_the_test():
            _, protocol = await loop.create_datagram_endpoint(lambda: _Protocol(self), sock=face)
        self._sockets.append(protocol)

    def _got(self, protocol: _Protocol, data: bytes, address: Any) -> None:
        self.received.append((data, address))
        self._last_at[address] = protocol
        if self._scripts is not None:
            self._play(self._scripts, data, address)
            return
        if self._handler is None:
            self._waiting.put_nowait((data, address))
            return
        try:
            answer = self._handler(data, address)
        except Exception as error:
            self._failed(error)
            return
        if inspect.isawaitable(answer):
            self._start(self._answer_later(answer, address), f"datagram {len(self.received)}")
        else:
            self._answer(answer, address)

    def _start(self, coroutine: Coroutine[Any, Any, None], what: str) -> None:
        name = f"handler of {what} of {self.host}:{self.port}"
        task = get_running_loop().create_task(coroutine, name=name)
        task.made_at = self.made_at  # type: ignore[attr-defined]
        self._answering.append(task)
        task.add_done_callback(self._answering.remove)

    def _play(self, scripts: Scripts, data: bytes, address: Any) -> None:
        """Hand a datagram to the script of its sender, which begins with the first."""
        if address not in self._lines:
            line = self._lines[address] = DatagramLine(
                self._world, functools.partial(self.send, address=address), self._home().is_gone)
            try:
                conversation = scripts.begin(line, f"{self.host}:{self.port}", address)
            except AssertionError as error:
                self._failed(error)
                return
            self._start(self._answer_later(conversation.play(), address), f"sender {len(self._lines)}")
        self._lines[address].queue.put_nowait(data)

    async def _answer_later(self, awaitable: Awaitable[Answer], address: Any) -> None:
        home = self._home()
        try:
            self._answer(await awaitable, address)
        except Exception as error:
            if not home.is_gone():
                self._failed(error)

    def _home(self) -> Home:
        names = self._world.kernel.names
        return Home(names, names.declare(self.host))

    def _answer(self, answer: Answer, address: Any) -> None:
        if isinstance(answer, (bytes, bytearray, memoryview)):
            self.send(answer, address)
        elif answer is not None:
            name = getattr(self._handler, "__qualname__", None) or repr(self._handler)
            self._failed(TypeError(f"the handler of a fake datagram server returns the bytes of its answer, or None, "
                                   f"but {name} returned {answer!r} (the server was made at {self.made_at})"))

    def _failed(self, error: BaseException) -> None:
        if not self._finishing:
            self.errors.append(error)

    async def receive(self) -> tuple[bytes, Any]:
        """Wait for the next datagram that was not received yet, and return it as (data, address).

        With a handler there is nothing to receive: it gets them all.
        """
        return await stating(lambda: f"receive(): nobody sends to {plain(self)}", self._waiting.get())

    def send(self, data: bytes | bytearray | memoryview, address: Any) -> None:
        """Send a datagram from the address at which the last one from there came in."""
        protocol = self._last_at.get(address)
        if protocol is None:
            six = ":" in address[0]
            protocol = next((one for one in self._sockets
                             if (one.transport.get_extra_info("socket").family == socket.AF_INET6) == six), None)
        if protocol is None or protocol.transport.is_closing():
            raise OSError(errno.EADDRNOTAVAIL, f"{self!r} has no open socket from which to send to {address!r}")
        protocol.transport.sendto(data, address)

    def close(self) -> None:
        """Stop answering: what is sent here from now on is refused."""
        for protocol in self._sockets:
            protocol.transport.close()

    async def finish(self) -> None:
        """End everything at once, handlers included; the end of a test does this.

        A script that was not played to its end is an error of the server.
        """
        if self._scripts is not None:
            await self._world.loop.settle()
            if not self.errors:
                self.errors += map(AssertionError, self._scripts.unfinished(f"{self.host}:{self.port}"))
        self._finishing = True
        self.close()
        tasks = list(self._answering)
        for task in tasks:
            task.cancel()
        if tasks:
            await wait(tasks, timeout=LAST_WILL)  # one that refuses is reported as a pending task
        for protocol in self._sockets:
            abort(protocol.transport)
        await sleep(0)

    def __repr__(self) -> str:
        count = len(self.received)
        return f"<FakeDatagramServer {self.host}:{self.port}, {count} datagram{'s' if count != 1 else ''} received>"


def _join(face: OwnSocket, group: str, interface: int) -> None:
    """Make the socket a member of the group on one interface."""
    if ":" in group:
        request = socket.inet_pton(socket.AF_INET6, group) + struct.pack("=I", interface)
        face.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
    else:
        request = socket.inet_aton(group) + bytes(4) + struct.pack("=I", interface)
        face.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
