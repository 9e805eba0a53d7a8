"""One peer: frames in and out over a stream, heartbeats, and a watch for a peer that has died.

The same on both sides. Each side sends a heartbeat when it has had nothing else to say for `heartbeat` seconds, and
takes the other for dead when it has not heard a single byte for `dead_after` seconds: so no ping needs an answer.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine

from .framing import MAX_PAYLOAD, Frame, FrameDecoder, Kind, PubSubError

READ_SIZE = 65536  # bytes asked for at a time


class DeadPeer(PubSubError):
    """Nothing has been heard from the peer for too long."""


class SlowPeer(PubSubError):
    """The peer asks for more and more, and does not read the answers."""


async def race(*coroutines: Coroutine) -> None:
    """Run until one of them ends; cancel the others and wait for their end; raise what the first one raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if task in done:
            task.result()


class Connection:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        heartbeat: float = 10.0,
        dead_after: float = 30.0,
        close_timeout: float = 2.0,
        max_payload: int = MAX_PAYLOAD,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._heartbeat = heartbeat
        self._dead_after = dead_after
        self._close_timeout = close_timeout
        self._max_payload = max_payload
        self._decoder = FrameDecoder(max_payload=max_payload)
        self._last_heard = self._last_said = time.monotonic()

    def __repr__(self) -> str:
        return f"<Connection to {self._writer.get_extra_info('peername')}>"

    async def receive(self) -> Frame | None:
        """The next frame, or None when the peer has closed the connection between two frames."""
        while (frame := self._decoder.next_frame()) is None:
            data = await self._reader.read(READ_SIZE)
            if not data:
                self._decoder.finish()
                return None
            self._last_heard = time.monotonic()  # each byte counts: a large frame may take its time on a slow link
            self._decoder.feed(data)
        return frame

    async def send(self, frame: Frame) -> None:
        """Send one of many frames: waits while the peer does not keep up."""
        self._write(frame)
        await self._writer.drain()

    def post(self, frame: Frame) -> None:
        """Send a small frame without waiting, so that whoever reads from this peer can go on reading.

        What has not left yet is bounded all the same: a peer that lets it grow is a SlowPeer.
        """
        unsent = self._writer.transport.get_write_buffer_size()
        if unsent > 2 * self._max_payload:
            raise SlowPeer(f"{self!r} has not read {unsent} bytes")
        self._write(frame)

    def _write(self, frame: Frame) -> None:
        data = frame.encode(max_payload=self._max_payload)
        if not self._writer.is_closing():  # asyncio's transports must not be written to once they have closed
            self._writer.write(data)
        self._last_said = time.monotonic()

    async def keep_alive(self) -> None:
        """Send heartbeats while there is nothing else to send; raise DeadPeer when the peer has fallen silent."""
        while True:
            now = time.monotonic()
            dead_at = self._last_heard + self._dead_after
            ping_at = self._last_said + self._heartbeat
            if now >= dead_at:
                self.abort()
                raise DeadPeer(f"{self!r} has been silent for {now - self._last_heard:.3f} s")
            if now >= ping_at:
                if self._writer.transport.get_write_buffer_size() == 0:
                    self._write(Frame(Kind.PING))
                else:
                    self._last_said = now  # a ping would only wait behind what the peer has not read yet
                continue
            await asyncio.sleep(min(dead_at, ping_at) - now)

    async def close(self) -> None:
        """Close it once everything has left, or after `close_timeout` seconds whatever has left."""
        self._writer.close()
        try:
            async with asyncio.timeout(self._close_timeout):
                await self._writer.wait_closed()
        except OSError:
            pass  # a reset, or the TimeoutError: the connection has gone, or goes now
        finally:
            self.abort()

    def abort(self) -> None:
        """Close it now, whatever has not left yet. Does nothing when it is closed already."""
        transport = self._writer.transport
        with contextlib.suppress(AttributeError):  # asyncio's answer from a transport of TLS that was closed twice
            if transport.get_write_buffer_size() > 0 or not transport.is_closing():
                transport.abort()
