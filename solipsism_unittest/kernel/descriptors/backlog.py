"""A listener's backlog: the connections that wait for `accept()`, and the clients that wait for room among them.

Owns both queues, and what every accepted connection gets from its listener. Does not own the state of any end
(stream.py). The sizes are Linux's, as listen(2) describes them. The rule that keeps it simple: a client is in
`knocking`, or its server end is in `queue`, or the backlog knows nothing of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from .transitions import RST, SYN_ACK

MAX_BACKLOG = 4096  # Linux's net.core.somaxconn


class Caller(Protocol):
    """What a backlog asks of the ends in it: of clients, and of their server ends."""

    capacity: int

    def arrive(self, kind: str, data: bytes | memoryview = b"") -> None:
        """Take a segment."""

    def stop_waiting(self) -> None:
        """The client's connect is answered."""

    def shutdown(self, how: int) -> None:
        """End one direction or both."""

    def abort(self) -> None:
        """End the connection with a reset."""


Kind = TypeVar("Kind", bound=Caller)


class Backlog(Generic[Kind]):
    """What only a listener has.

    `serve(client)` makes the server end of a new connection; `changed()` announces one more to accept.
    """

    def __init__(self, listener: object, serve: Callable[[Kind], Kind], changed: Callable[[], None]) -> None:
        self._listener = listener
        self._serve = serve
        self._changed = changed
        self.size = 0  # what listen() was given
        self.queue: deque[Kind] = deque()  # server ends: connected, not accepted yet
        self.knocking: deque[Kind] = deque()  # clients, while the queue is full
        self.refusing = False  # a test lets the listener refuse everybody
        self.refuses: Callable[[], bool] = bool  # whether it refuses the client that comes now, as a proxy may
        self.hands_down = 0  # NO_READING | NO_WRITING: what is shut down in each connection from the start
        self.pair_capacity: tuple[int, int] | None = None  # bytes (to the client, to the server) of each connection

    def __repr__(self) -> str:
        return repr(self._listener)

    @property
    def is_closed(self) -> bool:
        """Whether a client that comes now is refused, although somebody listens."""
        return self.refusing or self.refuses()

    @property
    def is_full(self) -> bool:
        """Whether a new connection has to wait. Linux lets `size + 1` connections in."""
        return len(self.queue) > self.size

    def resize(self, size: int) -> None:
        """Have room for `size + 1` connections from now on."""
        self.size = min(max(size, 0), MAX_BACKLOG)
        self.fill()

    def fill(self) -> None:
        """Connect the clients that wait, as far as there is room. The others are neither connected nor refused."""
        while self.knocking and not self.is_full:
            self.admit(self.knocking.popleft())

    def admit(self, client: Kind) -> None:
        """Connect a client: there is room."""
        client.stop_waiting()
        server = self._serve(client)
        if self.pair_capacity is not None:
            client.capacity, server.capacity = self.pair_capacity
        self.queue.append(server)
        client.arrive(SYN_ACK)
        if self.hands_down:
            server.shutdown(self.hands_down - 1)
        self._changed()

    def turn_away(self) -> None:
        """Refuse the clients that wait, and reset the connections that were never accepted."""
        while self.knocking:
            client = self.knocking.popleft()
            client.stop_waiting()
            client.arrive(RST)
        while self.queue:
            self.queue.popleft().abort()
