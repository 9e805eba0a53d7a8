"""Byte streams and their listeners: one end of a connection, driven by one transition table.

Owns the states of an end, its queue of received bytes, and the queue of a listener. Does not own addresses
(network.py) or numbers (the kernel). TCP is RFC 9293 as Linux answers it; UNIX is unix(7). What an end does is read
from three tables: `TRANSITIONS` (state, event -> state), and what `recv` and `send` answer in each state.

The rule that keeps it simple: an end never touches the other end's queue. It hands a segment to `transmit`, which is
the other end's `arrive` or whatever a link puts between the two.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from ..places import Place
from .files import READABLE, WRITABLE, File, os_error
from .journal import Journal

# Bytes that a direction holds before a send would block. A real loopback takes a few megabytes; with less, a missing
# reader shows soon. Four times as much made bulk data four times slower: such blocks come fresh from the system.
DEFAULT_CAPACITY = 64 * 1024
MAX_BACKLOG = 4096  # Linux's net.core.somaxconn

# States
FRESH = "fresh"
LISTENING = "listening"
CONNECTING = "connecting"
ESTABLISHED = "established"
FIN_WAIT = "fin_wait"  # we have ended our direction
CLOSE_WAIT = "close_wait"  # the peer has ended its direction
FINISHED = "finished"  # both directions have ended
FAILED = "failed"  # the connect failed, and nobody was told yet
RESET = "reset"  # the connection was reset, and nobody was told yet
BROKEN = "broken"  # reset, and the program knows (or had seen the peer's end before)
CLOSED = "closed"

# Events: what the program does, and what arrives
LISTEN, CONNECT, RETRY, JOIN = "listen", "connect", "retry", "join"
SHUT, CLOSE, REPORT = "shut", "close", "report"
SYN_ACK, DATA, FIN, RST, DEAF = "syn_ack", "data", "fin", "rst", "deaf"

TRANSITIONS = {
    (FRESH, LISTEN): LISTENING,
    (FRESH, CONNECT): CONNECTING,
    (FRESH, JOIN): ESTABLISHED,
    (FRESH, CLOSE): CLOSED,
    (LISTENING, LISTEN): LISTENING,
    (LISTENING, SHUT): FRESH,
    (LISTENING, CLOSE): CLOSED,
    (CONNECTING, SYN_ACK): ESTABLISHED,
    (CONNECTING, RST): FAILED,
    (CONNECTING, SHUT): FRESH,
    (CONNECTING, CLOSE): CLOSED,
    (ESTABLISHED, SHUT): FIN_WAIT,
    (ESTABLISHED, DEAF): FIN_WAIT,
    (ESTABLISHED, FIN): CLOSE_WAIT,
    (ESTABLISHED, RST): RESET,
    (ESTABLISHED, CLOSE): CLOSED,
    (FIN_WAIT, SHUT): FIN_WAIT,
    (FIN_WAIT, DEAF): FIN_WAIT,
    (FIN_WAIT, FIN): FINISHED,
    (FIN_WAIT, RST): RESET,
    (FIN_WAIT, CLOSE): CLOSED,
    (CLOSE_WAIT, SHUT): FINISHED,
    (CLOSE_WAIT, DEAF): FINISHED,
    (CLOSE_WAIT, RST): BROKEN,
    (CLOSE_WAIT, CLOSE): CLOSED,
    (FINISHED, SHUT): FINISHED,
    (FINISHED, DEAF): FINISHED,
    (FINISHED, CLOSE): CLOSED,
    (FAILED, REPORT): BROKEN,
    (FAILED, RETRY): FRESH,
    (FAILED, CLOSE): CLOSED,
    (RESET, REPORT): BROKEN,
    (RESET, RETRY): FRESH,
    (RESET, CLOSE): CLOSED,
    (BROKEN, REPORT): BROKEN,
    (BROKEN, RETRY): FRESH,
    (BROKEN, CLOSE): CLOSED,
}
# A UNIX socket tells a reset before the end of the stream, whatever came first.
UNIX_TRANSITIONS = TRANSITIONS | {
    (CLOSE_WAIT, RST): RESET,
    (FINISHED, RST): RESET,
}

# What a call answers in each state: an errno; 0 for "as a live connection does" (recv: the end of the stream);
# REPORT for the pending error, once.
ON_EMPTY_RECV: dict[str, int | str] = {
    FRESH: errno.ENOTCONN, LISTENING: errno.ENOTCONN, CONNECTING: errno.EAGAIN, ESTABLISHED: errno.EAGAIN,
    FIN_WAIT: errno.EAGAIN, CLOSE_WAIT: 0, FINISHED: 0, FAILED: REPORT, RESET: REPORT, BROKEN: 0, CLOSED: errno.EBADF,
}
ON_SEND: dict[str, int | str] = {
    FRESH: errno.EPIPE, LISTENING: errno.EPIPE, CONNECTING: errno.EAGAIN, ESTABLISHED: 0,
    FIN_WAIT: errno.EPIPE, CLOSE_WAIT: 0, FINISHED: errno.EPIPE, FAILED: REPORT, RESET: REPORT, BROKEN: errno.EPIPE,
    CLOSED: errno.EBADF,
}
# What select() says beyond the queues; a hang-up or an error shows as both, as `selectors` shows it.
ALWAYS_READY = {
    FRESH: READABLE | WRITABLE, LISTENING: 0, CONNECTING: 0, ESTABLISHED: 0, FIN_WAIT: WRITABLE, CLOSE_WAIT: READABLE,
    FINISHED: READABLE | WRITABLE, FAILED: READABLE | WRITABLE, RESET: READABLE | WRITABLE,
    BROKEN: READABLE | WRITABLE, CLOSED: 0,
}
CONNECTED = frozenset({ESTABLISHED, FIN_WAIT, CLOSE_WAIT})
_OVER = frozenset({FINISHED, FAILED, RESET, BROKEN})

Address = tuple[str, int]


class Stream(File):
    """One end of a byte stream, or a listener."""

    kind = "stream"

    def __init__(self, awake: dict[File, None], journal: Journal, family: int, place: Place | None) -> None:
        super().__init__(awake, place)
        self.journal = journal
        self.family = family
        self.is_tcp = family in (socket.AF_INET, socket.AF_INET6)
        self._transitions = TRANSITIONS if self.is_tcp else UNIX_TRANSITIONS
        self.state = FRESH
        self.error = 0  # the errno that the next call reports
        self.incoming = bytearray()
        self.capacity = DEFAULT_CAPACITY  # of `incoming`
        self.deaf = False  # reading was shut down here
        self.stopped = False  # a listener, or a connect under way, that was shut down
        self.linger_zero = False  # close() resets (SO_LINGER with a time of 0)
        self.reuse_address = False
        self.reuse_port = False
        self.v6_only = False
        self.options: dict[tuple[int, int], Any] = {}  # what was set and changes nothing here
        self.peer: Stream | None = None
        self.transmit: Callable[[str, bytes | memoryview], None] = self._nobody
        self.local: Address | None = None
        self.remote: Address | None = None
        self.label = ""  # how the journal names this end
        self.unbind: Callable[[Stream], None] = lambda stream: None
        # A listener's own
        self.backlog = 0
        self.refusing = False
        self.queue: deque[Stream] = deque()  # established, not accepted yet
        self.knocking: deque[Stream] = deque()  # waiting for a place in the queue
        self.asked: Stream | None = None  # the listener at which this end knocks
        self.pair_capacity: tuple[int, int] | None = None  # (to the client, to the server) of accepted connections

    # -- joining two ends

    def join(self, peer: Stream) -> None:
        """Make the two ends of one established connection out of two fresh (or connecting) ends."""
        self.peer, peer.peer = peer, self
        self.transmit, peer.transmit = peer.arrive, self.arrive

    def listen(self, backlog: int) -> None:
        """Queue connections from now on; a second call changes the backlog."""
        self._move(LISTEN)
        self.stopped = False
        self.backlog = min(max(backlog, 0), MAX_BACKLOG)
        self.journal.add("listen", self.label)
        self._fill_queue()

    def knock(self, client: Stream) -> None:
        """A client in state CONNECTING asks this listener for a connection."""
        if self.refusing:
            client.arrive(RST)
        else:
            self.knocking.append(client)
            client.asked = self
            self._fill_queue()

    def _fill_queue(self) -> None:
        # Linux lets `backlog + 1` connections in; the next ones are neither accepted nor refused.
        while self.knocking and len(self.queue) <= self.backlog:
            client = self.knocking.popleft()
            client.asked = None
            server = Stream(self.awake, self.journal, self.family, self.place)
            server.local, server.remote = client.remote, client.local
            server.label = client.label + " (accepted)"
            server.reuse_address, server.linger_zero = self.reuse_address, self.linger_zero
            server.options.update(self.options)
            if self.pair_capacity is not None:
                client.capacity, server.capacity = self.pair_capacity
            server._move(JOIN)
            server.join(client)
            self.queue.append(server)
            client.arrive(SYN_ACK)
            self.changed()

    def accept(self) -> Stream:
        """The oldest queued connection."""
        if self.state is not LISTENING:
            raise os_error(errno.EINVAL)
        if not self.queue:
            raise os_error(errno.EAGAIN)
        server = self.queue.popleft()
        self.journal.add("accept", server.label)
        self._fill_queue()
        return server

    # -- bytes

    def room(self) -> int:
        """How many bytes a send would take now."""
        return max(0, self.peer.capacity - len(self.peer.incoming)) if self.peer is not None else 0

    def send(self, data: memoryview) -> int:
        """Send what there is room for and say how much that was. `data` is a memoryview of bytes."""
        answer = ON_SEND[self.state]
        if answer:
            if self.state is RESET and not self.is_tcp:
                answer = errno.EPIPE  # and the reset is still to be told, by recv
            elif self.state is BROKEN:
                self.error = 0
            raise self._refusal(answer)
        peer = self.peer
        assert peer is not None
        size = len(data)
        room = peer.capacity - len(peer.incoming)
        if size > room:
            if room <= 0:
                raise os_error(errno.EAGAIN)
            data = data[:room]
            size = room
        if size:
            self.journal.effects += 1
            self.journal.note("send", (self.label, size))
            self.transmit(DATA, data)
        return size

    def recv(self, size: int) -> bytes:
        """At most `size` received bytes; b"" at the end of the stream."""
        incoming = self.incoming
        if not incoming:
            self._nothing_to_read()
            return b""
        if size >= len(incoming):
            data = bytes(incoming)
            incoming.clear()
        else:
            data = bytes(memoryview(incoming)[:size])
            del incoming[:size]
        self._was_read()
        if not incoming and self.interest == READABLE and self.state is ESTABLISHED and not self.deaf:
            self.awake.pop(self, None)  # drained: the selector need not ask again
        return data

    def recv_into(self, buffer: memoryview) -> int:
        """Fill `buffer` (a memoryview of bytes) as far as bytes are there; 0 at the end of the stream."""
        incoming = self.incoming
        if not incoming:
            self._nothing_to_read()
            return 0
        size = min(len(buffer), len(incoming))
        buffer[:size] = memoryview(incoming)[:size]
        del incoming[:size]
        self._was_read()
        return size

    def peek(self, size: int) -> bytes:
        """As `recv`, and the bytes stay where they are."""
        if not self.incoming:
            self._nothing_to_read()
        return bytes(memoryview(self.incoming)[:size])

    def _nothing_to_read(self) -> None:
        answer = ON_EMPTY_RECV[self.state]
        if answer and not (self.deaf and answer == errno.EAGAIN):
            raise self._refusal(answer)

    def _was_read(self) -> None:
        peer = self.peer
        if peer is not None and peer.interest & WRITABLE:
            peer.changed()

    def _refusal(self, answer: int | str) -> OSError:
        return os_error(self.take_error() if isinstance(answer, str) else answer)

    @property
    def is_over(self) -> bool:
        """Whether this end has had its life as a listener or a connection: its port is its own no more."""
        return self.stopped or (self.is_tcp and self.state in _OVER)

    def take_error(self) -> int:
        """The pending errno, which is told once (SO_ERROR); 0 for none."""
        code, self.error = self.error, 0
        if (self.state, REPORT) in TRANSITIONS:
            self._move(REPORT)
        return code

    def retry(self) -> int:
        """Forget a connection that failed, to connect anew; the errno that a connect() reports on the way."""
        code, self.error = self.error or errno.ECONNABORTED, 0
        self._move(RETRY)
        self.peer = self.remote = None
        self.incoming.clear()
        return code

    # -- the end

    def shutdown(self, how: int) -> None:
        """End one direction or both (SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2), as shutdown(2) on Linux does."""
        if how not in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            raise os_error(errno.EINVAL)
        reading, writing = how != socket.SHUT_WR, how != socket.SHUT_RD
        if self.state in (LISTENING, CONNECTING):
            if reading or self.state is CONNECTING:
                self._turn_away()
                self._move(SHUT)
                self.stopped = True
            return
        if self.state not in CONNECTED and (self.is_tcp or self.state is not FINISHED):
            if self.is_tcp:
                raise os_error(errno.ENOTCONN)
            return
        if writing:
            ended_before = self.state in (FIN_WAIT, FINISHED)
            self._move(SHUT)
            if not ended_before:
                self.journal.add("fin", self.label)
                self.transmit(FIN, b"")
        if reading and not self.deaf:
            self.deaf = True
            if not self.is_tcp:
                self.transmit(DEAF, b"")
            self.changed()

    def close(self) -> None:
        """End both directions: a reset when bytes are unread or SO_LINGER says so, otherwise the end of the stream."""
        state = self.state
        if state is CLOSED:
            return
        self._turn_away()
        unread = bool(self.incoming)
        self.incoming.clear()
        self._move(CLOSE)
        self.awake.pop(self, None)
        self.unbind(self)
        if state in (ESTABLISHED, FIN_WAIT, CLOSE_WAIT, FINISHED):
            if unread or (self.linger_zero and self.is_tcp):
                self.journal.add("reset", self.label)
                self.transmit(RST, b"")
            else:
                self.journal.add("close", self.label)
                if state in (ESTABLISHED, CLOSE_WAIT):
                    self.transmit(FIN, b"")
                if not self.is_tcp:
                    self.transmit(DEAF, b"")

    def _turn_away(self) -> None:
        """Refuse who knocks, reset who was queued and never accepted, and knock no longer."""
        while self.knocking:
            client = self.knocking.popleft()
            client.asked = None
            client.arrive(RST)
        if self.asked is not None:
            self.asked.knocking.remove(self)
            self.asked = None
        while self.queue:
            server = self.queue.popleft()
            server.linger_zero = True
            server.close()

    # -- what arrives

    def arrive(self, kind: str, data: bytes | memoryview = b"") -> None:
        """Take a segment from the other end."""
        if kind is DATA:
            if self.state is CLOSED:
                self.transmit(RST, b"")  # RFC 9293, 3.10.7.1: nobody is here any more
            elif self.state is FIN_WAIT and self.deaf and self.is_tcp:
                # Neither direction is wanted here any more: Linux resets (RFC 1122, 4.2.2.13).
                self.arrive(RST)
                self.transmit(RST, b"")
            else:
                self.incoming += data
                if self.interest & READABLE:
                    self.changed()
            return
        if self.state is CLOSED:
            return
        if kind is RST:
            if self.state is FINISHED and self.is_tcp:
                return  # the connection is over on both sides: nothing is left to reset
            self.error = errno.ECONNREFUSED if self.state is CONNECTING else (
                errno.EPIPE if self.state is CLOSE_WAIT and self.is_tcp else errno.ECONNRESET)
        self._move(kind)

    def _move(self, event: str) -> None:
        self.state = self._transitions[self.state, event]
        self.changed()

    def _nobody(self, kind: str, data: bytes | memoryview) -> None:
        raise AssertionError(f"{self!r} is not connected: {kind}")

    def ready(self) -> int:
        """`poll() & interest`, without asking for room where only data is waited for: the common case."""
        if self.interest == READABLE:
            return READABLE if self.incoming or self.queue or self.deaf else ALWAYS_READY[self.state] & READABLE
        return self.poll() & self.interest

    def poll(self) -> int:
        """What would not block now, as READABLE | WRITABLE."""
        state = self.state
        ready = ALWAYS_READY[state]
        if self.incoming or self.queue or self.deaf:
            ready |= READABLE
        if (state is ESTABLISHED or state is CLOSE_WAIT) and self.room() > 0:
            ready |= WRITABLE
        elif state is FIN_WAIT and not self.is_tcp and self.room() == 0:
            ready &= ~WRITABLE  # a UNIX socket looks at its queue alone
        return ready

    def ends(self) -> str:
        """Both addresses, for people."""
        if self.local is None and self.remote is None:
            return "unbound" if self.peer is None else "joined in memory"
        local = "{}:{}".format(*self.local) if self.local else "?"
        return local if self.remote is None else "{} > {}:{}".format(local, *self.remote)

    def __repr__(self) -> str:
        facts = [self.kind, self.ends(), self.state]
        if self.state is LISTENING:
            facts.append(f"{len(self.queue)} to accept (backlog {self.backlog})")
        elif self.peer is not None:
            facts.append(f"{len(self.incoming)} of {self.capacity} bytes to read")
            if len(self.peer.incoming):
                facts.append(f"{len(self.peer.incoming)} of {self.peer.capacity} bytes not read by the peer")
        return f"<{' '.join(facts)}>"
