"""`FakeServer`: the other side of the code under test, on any name and port of the virtual network.

Owns the connections it got, every byte they received in order of arrival, and what its handler raised. It is built of
asyncio's own server, streams and transports, so that it behaves as a peer does.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import os
import socket
import struct
from asyncio import get_running_loop, sleep, wait
from collections.abc import Awaitable, Callable, Iterator, Sequence
from ssl import SSLContext
from typing import Any

from ..introspection.names import plain
from ..introspection.places import Place, user_place
from ..introspection.tasks import stating
from ..kernel import Capacity, capacities
from ..kernel.addresses.hosts import here, staying
from ..kernel.descriptors.connection import died_with_host
from ..kernel.descriptors.stream import Stream
from ..kernel.journal import counted
from ..kernel.network.ports import WILDCARDS
from ..stdlib.files.paths import name_space
from ..stdlib.holdings import of_the_test
from ..stdlib.sockets.addresses import parse
from ..stdlib.sockets.pairs import abort, unsent
from ..stdlib.sockets.virtual_socket import OwnSocket
from ..stdlib.worlds import World
from .conversation import Scripts, StreamLine
from .script import Script

__unittest = True
__tracebackhide__ = True

LAST_WILL = 60.0  # virtual seconds that a handler has for its `finally` blocks

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


class FakeConnection:
    """One accepted connection; `reader, writer = connection` works too."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.address = writer.get_extra_info("peername")
        self.number: int = writer.get_extra_info("socket").fileno()  # a closed transport of TLS has no socket
        self.task: asyncio.Task[None] | None = None
        self._end = getattr(getattr(writer.get_extra_info("socket"), "_sock", None), "end", None)
        self._received = bytearray()

    @property
    def is_on_crashed_host(self) -> bool:
        """Whether the host of the server has crashed since the connection was made: then it is lost."""
        return self._end is not None and self._end.is_on_crashed_host

    @property
    def received(self) -> bytes:
        """Every byte that arrived on this connection, read by a handler or not."""
        return bytes(self._received)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As a transport's."""
        return self.writer.get_extra_info(name, default)

    def close(self) -> None:
        """End the connection after what was written has gone out."""
        self.writer.close()

    def reset(self) -> None:
        """End the connection with a reset: the client gets ConnectionResetError."""
        reset(self.writer.transport)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.reader, self.writer))

    def __repr__(self) -> str:
        state = "closing" if self.writer.is_closing() else "open"
        return f"<FakeConnection from {self.address} {state}, {counted(len(self._received), 'byte')} received>"


def reset(transport: asyncio.WriteTransport) -> None:
    """End a connection with a reset; one that is closed and has sent everything stays as it is."""
    if not transport.is_closing() or unsent(transport):
        _reset(transport)


def _reset(transport: asyncio.WriteTransport) -> None:
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    abort(transport)


class _Protocol(asyncio.StreamReaderProtocol):
    """asyncio's stream protocol that also keeps what it hands to the reader."""

    def __init__(self, server: FakeServer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(asyncio.StreamReader(loop=loop), self._connected, loop=loop)
        self._server = server
        self._connection: FakeConnection | None = None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connection = FakeConnection(reader, writer)
        self._server._got(self._connection)

    @property
    def left_open_by(self) -> str:
        """The name of the handler that has returned while its connection is open, for a hang's report; "" for none."""
        connection = self._connection
        task = connection.task if connection is not None and not connection.writer.is_closing() else None
        return task.get_name() if task is not None and task.done() else ""

    def data_received(self, data: bytes) -> None:
        assert self._connection is not None
        self._connection._received += data
        self._server._received += data
        super().data_received(data)


class FakeServer:
    """A server that a test runs; `SolipsistTestCase.start_fake_server` makes one and closes it.

    `host` and `port` are what a client connects to, `address` both, or the path of a server on a UNIX socket.
    `connections` are all that were ever accepted, oldest first; `received` every byte of all of them in order of
    arrival.
    """

    def __init__(self, world: World, handler: Handler | None, host: str,
                 script: Script | Sequence[Script] | None = None) -> None:
        if handler is not None and not callable(handler):
            raise TypeError(f"handler is an async function (reader, writer) or None, not {handler!r}")
        if handler is not None and script is not None:
            raise TypeError("a fake server has a handler or a script, not both")
        if not isinstance(host, str):
            raise TypeError(f"host is a name or an address as text, not {host!r}")
        self.host = host
        self.port = 0
        self.path: str | bytes | None = None
        self._inode = 0  # of the path
        self.connections: list[FakeConnection] = []
        self.errors: list[BaseException] = []  # what handlers raised
        self.left_open: list[str] = []  # the names of handlers that have returned and not closed their connection
        self.made_at: Place | None = user_place(2)
        self._world = world
        self._handler = handler
        self._scripts = Scripts(script, "connection") if script is not None else None
        self._received = bytearray()
        self._waiting: asyncio.Queue[FakeConnection] = asyncio.Queue()
        self._servers: list[asyncio.Server] = []
        self._listeners: list[Stream] = []
        self._finishing = False

    @property
    def address(self) -> Any:  # as `socket.getsockname()` has it: who unpacks it knows which of them it is
        """(host, port), as `open_connection(*server.address)` takes it; or the path."""
        return (self.host, self.port) if self.path is None else self.path

    @property
    def received(self) -> bytes:
        """Every byte that arrived, of all connections in order of arrival."""
        return bytes(self._received)

    async def start(self, port: int, *, ssl: SSLContext | None = None, capacity: Capacity = None) -> None:
        """Listen on every address of the host; port 0 is the next free one. A port in use is OSError EADDRINUSE."""
        loop = get_running_loop()
        network = self._world.kernel.network
        addresses = (self.host,) if self.host in WILDCARDS else self._world.kernel.names.addresses_of(self.host)
        room = capacities(capacity)
        self.port = port or network.free_port(addresses)
        faces: list[OwnSocket] = []
        try:
            for address in addresses:
                taken = network.listener(address, self.port)
                if taken is not None:
                    raise OSError(errno.EADDRINUSE, f"port {self.port} on {self.host} is taken by {taken!r} "
                                                    f"made at {taken.place}")
                face = OwnSocket.on(self._world, socket.AF_INET6 if ":" in address else socket.AF_INET)
                faces.append(face)
                face.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                end = face.end
                assert isinstance(end, Stream)
                end.v6_only = True
                end.place = self.made_at
                end.as_listener().pair_capacity = room
                with staying(here.get() if self.host in WILDCARDS else None):  # a loopback is the one that it names
                    face.bind((address, self.port))
                self._listeners.append(end)
                with of_the_test():
                    self._servers.append(await loop.create_server(lambda: _Protocol(self, loop), sock=face, ssl=ssl))
        except BaseException:
            self._stop_listening()
            for face in faces:
                face.close()
            raise

    async def start_at(self, path: str | bytes | os.PathLike[str], *, ssl: SSLContext | None = None,
                       capacity: Capacity = None) -> None:
        """Listen on a UNIX path, or an abstract name: one of this world that is in use is OSError EADDRINUSE.

        The directory has to exist; a real file that has the name is hidden from the test as long as this listens.
        """
        self.path = os.fspath(path)
        face = OwnSocket.on(self._world, socket.AF_UNIX)
        stream = face.end
        assert isinstance(stream, Stream)
        stream.place = self.made_at
        stream.as_listener().pair_capacity = capacities(capacity)
        try:
            address = parse(self._world.kernel, socket.AF_UNIX, self.path, "start_fake_server")
            name_space(self._world.kernel).bind(stream, *address, anywhere=True)
            if address[0][:1] != b"\0":
                self._inode = os.stat(self.path).st_ino
            self._listeners.append(stream)
            loop = get_running_loop()
            with of_the_test():
                self._servers.append(await loop.create_unix_server(lambda: _Protocol(self, loop), sock=face, ssl=ssl))
        except BaseException:
            self._stop_listening()
            face.close()
            raise

    def _got(self, connection: FakeConnection) -> None:
        self.connections.append(connection)
        self._waiting.put_nowait(connection)
        handler = self._handler if self._scripts is None else self._play
        if handler is not None:
            loop = get_running_loop()
            name = f"handler {len(self.connections)} of {self._where()}"
            connection.task = loop.create_task(self._serve(handler, connection, name), name=name)
            connection.task.made_at = self.made_at  # type: ignore[attr-defined]

    async def _serve(self, handler: Handler, connection: FakeConnection, name: str) -> None:
        try:
            answer = handler(connection.reader, connection.writer)
            if not inspect.isawaitable(answer):
                given = getattr(handler, "__qualname__", None) or repr(handler)
                raise TypeError(f"the handler of a fake server is an async function (reader, writer), but {given} "
                                f"returned {answer!r}: make it `async def` (the server was made at {self.made_at})")
            await answer
            if not connection.writer.is_closing():
                self.left_open.append(name)
        except Exception as error:
            lost = connection.is_on_crashed_host or died_with_host(error)
            if not self._finishing and not lost:
                self.errors.append(error)
                if isinstance(error, ConnectionError):
                    error.add_note(f"the handler of {self._where()} raised this, and what it raises fails the test: "
                                   "one whose client may go away catches ConnectionError")
            abort(connection.writer.transport)

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._scripts is not None
        connection = next(each for each in self.connections if each.writer is writer)
        line = StreamLine(self._world, reader, writer, connection.reset, lambda: connection.is_on_crashed_host)
        await self._scripts.begin(line, self._where(), connection.address).play()

    async def accept(self) -> FakeConnection:
        """Wait for the next connection that was not accepted yet, and return it."""
        return await stating(lambda: f"accept(): nobody connects to {plain(self)}", self._waiting.get())

    def refuse(self) -> None:
        """Answer new connections with a refusal, as a host does on which nothing listens; the present ones go on."""
        for listener in self._listeners:
            listener.as_listener().refusing = True

    def accept_again(self) -> None:
        """Take new connections again after `refuse()`."""
        for listener in self._listeners:
            listener.as_listener().refusing = False

    def reset_connections(self) -> None:
        """Reset every open connection: its client gets ConnectionResetError."""
        for transport in self.in_handshake():
            _reset(transport)
        for connection in self.connections:
            connection.reset()

    def close(self) -> None:
        """Stop listening and end every connection after what was written has gone out."""
        self._stop_listening()
        for connection in self.connections:
            connection.close()

    def in_handshake(self) -> list[asyncio.WriteTransport]:
        """The transports of clients whose TLS handshake goes on here: they are no connections yet."""
        ours = {listener.local for listener in self._listeners}
        known = [connection.number for connection in self.connections]
        ends = [end for end in self._world.kernel.files.values() if isinstance(end, Stream) and end.local in ours]
        found = [self._world.loop.inventory.transport_of(end.number) for end in ends
                 if end not in self._listeners and end.number not in known]
        return [transport for transport in found if transport is not None]

    def writers(self) -> list[asyncio.StreamWriter]:
        """Its own ends of connections."""
        return [connection.writer for connection in self.connections]

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        if self._inode and self.path is not None:  # its own is still there: not every Python unlinks it
            with contextlib.suppress(OSError):
                if os.stat(self.path).st_ino == self._inode:
                    os.unlink(self.path)
            self._inode = 0

    def _where(self) -> str:
        return f"{self.host}:{self.port}" if self.path is None else repr(self.path)

    async def finish(self) -> None:
        """End everything at once, handlers included; the end of a test does this.

        A script that was not played to its end is an error of the server.
        """
        if self._scripts is not None:
            await self._world.loop.settle()
            if not self.errors:
                self.errors += map(AssertionError, self._scripts.unfinished(self._where()))
        self._finishing = True
        self._stop_listening()
        tasks = [connection.task for connection in self.connections
                 if connection.task is not None and not connection.task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await wait(tasks, timeout=LAST_WILL)  # one that refuses is reported as a pending task
        for transport in self.in_handshake():
            abort(transport)
        for connection in self.connections:
            abort(connection.writer.transport)
        await sleep(0)

    def __repr__(self) -> str:
        return (f"<FakeServer {self._where()}, {counted(len(self.connections), 'connection')}, "
                f"{counted(len(self._received), 'byte')} received>")
