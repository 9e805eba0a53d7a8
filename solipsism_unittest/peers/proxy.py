"""`Proxy`: between a program and its server, where it slows, cuts and rewrites what passes.

Owns the connections to the target, the two delays and the two processors. *Reading* is what comes from the client and
goes to the target, *writing* what comes back. Each direction passes by itself, piece by piece: a piece is held back,
then processed, then sent on. Half-close, resets and refusals pass too.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import os
import socket
from asyncio import create_task, gather, get_running_loop, open_connection, wait, wait_for
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from ..introspection.tasks import stating
from ..kernel.network.network import Network
from ..stdlib.sockets.virtual_socket import OwnSocket
from ..stdlib.worlds import World
from .script import Recording
from .server import FakeServer, reset

__unittest = True
__tracebackhide__ = True

PIECE = 64 * 1024  # bytes that are read at once

Processor = Callable[[bytes], bytes | Awaitable[bytes]]


class Proxy(FakeServer):
    """A TCP proxy that a test runs; `SolipsistTestCase.start_proxy` makes one and closes it.

    It is a fake server whose connections go on to `target_host` and `target_port`: a client that the target would
    refuse is refused. What a processor raises fails the test. With `record` what the first connection carries is
    written to that path, for `Script.recorded()`; of `chat.txt` the second one's path is `chat.2.txt`, and so on.
    """

    def __init__(self, world: World, target_host: str, target_port: int, host: str, *, buffered: bool = True,
                 record: str | os.PathLike[str] | None = None) -> None:
        if not isinstance(target_host, str):
            raise TypeError(f"target_host is a name or an address as text, not {target_host!r}")
        if not isinstance(target_port, int) or not 0 < target_port < 65536:
            raise ValueError(f"target_port is a number from 1 to 65535, not {target_port!r}")
        super().__init__(world, self._pass_on, host)
        self.target_host = target_host
        self.target_port = target_port
        self.buffered = buffered  # False: a piece is sent on only when the one before it has gone out
        self._record = None if record is None else os.fspath(record)
        self._recorded = 0  # connections
        self._network: Network = world.kernel.network
        self._resolve = world.kernel.names.addresses_of
        self._targets: list[asyncio.StreamWriter] = []
        self._delays: tuple[float, float] = (0.0, 0.0)
        self._changed = asyncio.Event()  # the delays: who waits goes on at once
        self._processors: tuple[Processor | None, Processor | None] = (None, None)

    async def start(self, port: int, **kwargs: Any) -> None:
        """Listen, as a fake server does."""
        await super().start(port, **kwargs)
        for listener in self._listeners:
            listener.as_listener().refuses = self._is_target_closed

    def _is_target_closed(self) -> bool:
        listeners = [self._network.listener(address, self.target_port) for address in self._resolve(self.target_host)]
        return not any(each is not None and not each.as_listener().is_closed for each in listeners)

    async def create_client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the proxy, as `asyncio.open_connection()` gives it."""
        return await open_connection(self.host, self.port)

    # -- what it does to what passes

    def set_delay(self, read_delay: float, write_delay: float = 0) -> None:
        """Hold each piece back for so many seconds, on its way to the target and back.

        What waits already goes on at once. ValueError for what is no number of seconds from 0 up.
        """
        for seconds in (read_delay, write_delay):
            if not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
                raise ValueError(f"a delay is a number of seconds from 0 up, not {seconds!r}")
        self._delays = read_delay, write_delay
        self._changed.set()
        self._changed = asyncio.Event()

    @contextlib.contextmanager
    def slowdown(self, read_delay: float = 0, write_delay: float = 0) -> Iterator[None]:
        """`with proxy.slowdown(0.5):` these delays hold inside."""
        before = self._delays
        self.set_delay(read_delay, write_delay)
        try:
            yield
        finally:
            self.set_delay(*before)

    def set_content_processors(self, read: Processor | None, write: Processor | None) -> None:
        """Rewrite each piece, on its way to the target and back, in the present connections too.

        A processor is a function, async or not, from bytes to bytes; None lets them be, and b"" lets a piece vanish.
        """
        for processor in (read, write):
            if processor is not None and not callable(processor):
                raise TypeError(f"a processor is a function from bytes to bytes, or None, not {processor!r}")
        self._processors = read, write

    def disconnect_all(self) -> asyncio.Future[Any]:
        """End every connection: client and target come to the end of what was sent. New ones are taken.

        It begins at once; the future that it returns is done when they have ended.
        """
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        for connection in self.connections:
            connection.writer.close()  # of one that has no target yet nobody else does
        for task in tasks:
            task.cancel()
        return gather(*tasks, return_exceptions=True)

    def reset_connections(self) -> None:
        """Reset every open connection: its client and the target get ConnectionResetError."""
        super().reset_connections()
        for target in self._targets:
            reset(target.transport)

    def close(self) -> None:
        """Stop listening and end every connection."""
        self.disconnect_all()
        super().close()

    def writers(self) -> list[asyncio.StreamWriter]:
        """Its own ends of connections: those of its clients, and those to the target."""
        return [*super().writers(), *self._targets]

    # -- one connection

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recording = self._recording()
        connection = next(each for each in self.connections if each.writer is writer)
        try:
            target = await self._connect()
        except OSError:
            connection.reset()
            return
        if writer.is_closing():  # it was reset meanwhile
            reset(target[1].transport)
            return
        self._targets.append(target[1])
        pumps = [create_task(self._pump(reader, target[1], 0, recording), name=f"{self!r} to the target"),
                 create_task(self._pump(target[0], writer, 1, recording), name=f"{self!r} to the client")]
        try:
            await stating(lambda: "the end of a connection of a proxy", _all_of(pumps))
        except _Broken:
            connection.reset()
            reset(target[1].transport)
        finally:
            for pump in pumps:
                pump.cancel()
            await wait(pumps)
            self._targets.remove(target[1])
            for end in (writer, target[1]):
                end.close()

    def _recording(self) -> Recording | None:
        """What writes down the connection that begins now."""
        if self._record is None:
            return None
        import pathlib  # few programs need it, and it takes as long to load as six files of ours

        path = pathlib.Path(self._record)
        self._recorded += 1
        number = f".{self._recorded}" if self._recorded > 1 else ""
        return Recording(path.with_name(f"{path.stem}{number}{path.suffix}"),
                         get_running_loop().time)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the target by a socket of our own, which no patch of a program reaches."""
        loop = get_running_loop()
        infos = await loop.getaddrinfo(self.target_host, self.target_port, type=socket.SOCK_STREAM)
        failure: OSError | None = None
        for family, *_, address in infos:
            face = OwnSocket.on(self._world, family)
            try:
                await loop.sock_connect(face, address)
                return await open_connection(sock=face)
            except OSError as error:
                face.close()
                failure = error
            except BaseException:  # cancelled on its way
                face.close()
                raise
        assert failure is not None
        try:
            raise failure
        finally:
            del failure  # its traceback has this frame

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: int,
                    recording: Recording | None) -> None:
        """Pass on what comes in one direction until its end."""
        while True:
            try:
                with _broken():
                    data = await reader.read(PIECE)
            except _Broken:
                if recording is not None and way:
                    recording.note("<", "reset")
                raise
            if recording is not None and not way:  # as the client said it
                recording.note(">", data or "eof")
            if not data:
                if recording is not None and way:
                    recording.note("<", "eof")
                with _broken():
                    writer.write_eof()
                return
            if self._delays[way]:
                await self._hold_back(self._delays[way])
            processor = self._processors[way]
            processed = data if processor is None else processor(data)
            passed = await processed if inspect.isawaitable(processed) else processed
            if not isinstance(passed, (bytes, bytearray, memoryview)):
                name = getattr(processor, "__qualname__", None) or repr(processor)
                raise TypeError(f"a processor of a proxy returns bytes, but {name} returned {passed!r}")
            if recording is not None and way and passed:  # as the client gets it
                recording.note("<", passed)
            writer.write(passed)
            if not self.buffered:
                with _broken():
                    await writer.drain()

    async def _hold_back(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await wait_for(self._changed.wait(), seconds)

    def __repr__(self) -> str:
        count = len(self.connections)
        return (f"<Proxy {self.host}:{self.port} to {self.target_host}:{self.target_port}, "
                f"{count} connection{'s' if count != 1 else ''}>")


class _Broken(Exception):
    """One of the two connections has broken. What a processor raises is none of this, an OSError of its own neither."""


@contextlib.contextmanager
def _broken() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _Broken from error


async def _all_of(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for all of them, or until one fails."""
    done, _ = await wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
