"""A subscriber that knows nothing of asyncio: blocking sockets, threads and a queue.

Its main thread keeps the connection and reads; one thread says that we are alive, another deals with the messages.
"""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator

from .framing import Frame, FrameDecoder, Kind

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between two attempts to connect
READ_SIZE = 65536


class Watcher:
    """Gives each message of a topic to `handle(message)` once, and ends when the broker has been away for too long."""

    def __init__(self, address: tuple[str, int], name: str, topic: str, handle: Callable[[Frame], object], *,
                 heartbeat: float = 10.0, dead_after: float = 30.0, attempts: int = 8) -> None:
        self._address, self._name, self._topic, self._handle = address, name, topic, handle
        self._heartbeat, self._dead_after, self._attempts = heartbeat, dead_after, attempts
        self._messages: queue.Queue[tuple[Frame, socket.socket] | None] = queue.Queue(100)
        self._sending = threading.Lock()
        self._seen: set[str] = set()

    def run(self) -> int:
        """Watch until the broker does not come back; return how many messages there were."""
        worker = threading.Thread(target=self._work, name="worker")
        worker.start()
        try:
            while (connection := self._connect()) is not None:
                with connection, contextlib.suppress(OSError):  # then it comes again
                    self._watch(connection)
        finally:
            self._messages.put(None)
            worker.join()
        return len(self._seen)

    def _connect(self) -> socket.socket | None:
        pause = FIRST_PAUSE
        for _ in range(self._attempts):
            try:
                return socket.create_connection(self._address, timeout=self._dead_after)
            except OSError:
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        return None

    def _watch(self, connection: socket.socket) -> None:
        self._send(connection, Frame(Kind.HELLO, {"client": self._name}))
        self._send(connection, Frame(Kind.SUBSCRIBE, {"request": 1, "topic": self._topic}))
        over = threading.Event()
        beating = threading.Thread(target=self._beat, args=(connection, over), name="heart")
        beating.start()
        try:
            for frame in self._frames(connection):
                if frame.kind is Kind.MESSAGE:
                    self._messages.put((frame, connection))
                elif frame.kind is Kind.GOODBYE:
                    break
        finally:
            over.set()
            beating.join()
            self._messages.join()

    def _frames(self, connection: socket.socket) -> Iterator[Frame]:
        decoder = FrameDecoder()
        while data := connection.recv(READ_SIZE):
            decoder.feed(data)
            while (frame := decoder.next_frame()) is not None:
                yield frame

    def _beat(self, connection: socket.socket, over: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while not over.wait(self._heartbeat):
                self._send(connection, Frame(Kind.PING))

    def _work(self) -> None:
        while (found := self._messages.get()) is not None:
            frame, connection = found
            if frame["id"] not in self._seen:
                self._seen.add(frame["id"])
                self._handle(frame)
            with contextlib.suppress(OSError):
                self._send(connection, Frame(Kind.ACK, {"id": frame["id"]}))
            self._messages.task_done()

    def _send(self, connection: socket.socket, frame: Frame) -> None:
        with self._sending:
            connection.sendall(frame.encode())
