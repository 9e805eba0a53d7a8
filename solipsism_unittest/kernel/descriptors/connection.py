"""A connection, as one of its two ends sees it: one state, driven by one transition table, and the received bytes.

Owns the state of an end, its queue of received bytes, and the sizes of its buffers. Does not own how a connection
begins and ends (stream.py). TCP is RFC 9293 as Linux answers it; UNIX is unix(7). What an end does is read from three
tables in transitions.py: `TRANSITIONS` (state, event -> state), and what `recv` and `send` answer in each state.

The rule that keeps it simple: an end never touches the other end's queue. It hands a segment to `transmit`, which is
the other end's `arrive` or whatever a link puts between the two.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sized
from operator import attrgetter

from ..journal import Journal
from .end import NO_READING, NO_WRITING, Address, End, Received
from .file import ERROR, HANGUP, PEER_ENDED, READABLE, WRITABLE, File, os_error
from .transitions import (
    ALWAYS_READY,
    BROKEN,
    CLOSE_WAIT,
    CLOSED,
    CONNECTED,
    CONNECTING,
    DATA,
    DEAF_TO,
    ESTABLISHED,
    FIN_WAIT,
    FINISHED,
    FRESH,
    HANGS,
    HUSH,
    LISTENING,
    ON_EMPTY_RECV,
    ON_SEND,
    REPORT,
    RESET,
    RST,
    SILENT,
    SILENT_END,
    SYN_ACK,
    TRANSITIONS,
    UNIX_TRANSITIONS,
    UNIX_UNCONNECTED,
)

# Bytes that a direction holds before a send would block. A real loopback takes a few megabytes; with less, a missing
# reader shows soon. Four times as much made bulk data four times slower: such blocks come fresh from the system.
DEFAULT_CAPACITY = 64 * 1024
TCP_BUFFERS = 16_384, 131_072  # SO_SNDBUF and SO_RCVBUF of a new socket: Linux's tcp_wmem and tcp_rmem
FIRST_PROBE = 0.2  # seconds from the last byte that went out to the first probe of a window that has no room
_INTERNET = socket.AF_INET, socket.AF_INET6
_USER_TIMEOUT = socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", -1)
_MSG_WAITALL = getattr(socket, "MSG_WAITALL", 0)
_MSG_TRUNC = getattr(socket, "MSG_TRUNC", 0)


def _to_nobody(kind: str, data: bytes | memoryview) -> None:
    raise AssertionError(f"a segment of an end that is not connected: {kind}")


def _hand_to(end: Connection, way: Callable[[str, bytes | memoryview], None]) -> None:
    end._transmit = way
    end.direct = way.__self__ if getattr(way, "__func__", None) is Connection.arrive else None  # type: ignore[attr-defined]


def _error_of(end: Connection, code: int) -> OSError:
    error = os_error(code)
    if end.is_on_crashed_host:
        dies_with_host(error)
    return error


def dies_with_host(error: BaseException) -> None:
    """Mark an error: who got it has died with its host."""
    error.of_crashed_host = True  # type: ignore[attr-defined]


def died_with_host(error: BaseException | None) -> bool:
    """Whether an error comes of a connection whose host has crashed: who got it has died with that host."""
    seen: list[BaseException] = []  # a chain may be a circle
    while error is not None and error not in seen:
        if getattr(error, "of_crashed_host", False):
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(map(died_with_host, error.exceptions))
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False


class Connection(End):
    """One end of a connection, or of one that may come."""

    __slots__ = ("is_tcp", "_transitions", "state", "incoming", "capacity", "peer", "_transmit", "direct",
                 "queue")

    kind = "stream"
    given_send: int | None = None  # the size that the program gave a buffer
    given_receive: int | None = None
    coming = 0  # bytes that are on their way to `incoming`, where a link is between the two ends
    is_on_crashed_host = False
    is_impatient = False  # TCP_USER_TIMEOUT runs, because there is no room to send
    soft_error = 0  # the errno of a failure on the way, which SO_ERROR reports once; the connection lives on

    def __init__(self, awake: dict[File, None], journal: Journal, family: int, place: object) -> None:
        super().__init__(awake, journal, family, place)
        self.is_tcp = family in _INTERNET
        self._transitions = TRANSITIONS if self.is_tcp else UNIX_TRANSITIONS
        self.state = FRESH
        # Received, and not read. Bytes that a sender gave whole go to the reader as they are, without a copy.
        self.incoming: bytes | bytearray = b""
        self.capacity = DEFAULT_CAPACITY  # of `incoming`
        if self.is_tcp:
            self.send_buffer, self.receive_buffer = TCP_BUFFERS
        self.peer: Connection | None = None
        self.direct: Connection | None = None  # the other end, while nothing is between the two; see `transmit`
        self.transmit = _to_nobody
        self.queue: Sized = ()  # of a listener: connections to accept (backlog.py)

    def move(self, event: str) -> None:
        """Go to the state that the table has for this event; KeyError for one that cannot happen."""
        self.state = self._transitions[self.state, event]
        if self.interest:  # as its changed()
            self.awake[self] = None

    # -- joining two ends

    _transmit: Callable[[str, bytes | memoryview], None]
    transmit = property(attrgetter("_transmit"), _hand_to, doc="What takes a segment: see above.")

    def join(self, peer: Connection) -> None:
        """Make the two ends of one established connection out of two fresh (or connecting) ends."""
        self.peer, peer.peer = peer, self
        self.transmit, peer.transmit = peer.arrive, self.arrive
        self._fit()
        peer._fit()

    def resize(self, send: int | None = None, receive: int | None = None) -> None:
        """Give the buffers other sizes, as SO_SNDBUF and SO_RCVBUF report them: twice the bytes that they hold."""
        super().resize(send, receive)
        self.given_send, self.given_receive = send or self.given_send, receive or self.given_receive
        self._fit()
        if self.peer is not None:
            self.peer._fit()
            self.peer.changed()

    def _fit(self) -> None:
        """Hold what both buffers hold, once a program gave one a size; for UNIX sockets only the sender's counts."""
        peer = self.peer
        if peer is None or (peer.given_send is None and (self.given_receive is None or not self.is_tcp)):
            return
        # By itself each of the two buffers of TCP is half of what a direction holds.
        sent, kept = peer.given_send or DEFAULT_CAPACITY, self.given_receive or DEFAULT_CAPACITY
        self.capacity = (sent + kept) // 2 if self.is_tcp else sent // 2

    def peer_address(self) -> Address | None:
        """The address of the other end (None for one without a name); ENOTCONN when there is none."""
        if self.state not in CONNECTED if self.is_tcp else self.peer is None:
            raise os_error(errno.ENOTCONN)
        if not self.is_tcp and self.peer is not None:
            return self.peer.local  # it may be bound at any time
        return self.remote

    @property
    def is_blocking(self) -> bool:
        """Whether a call waits at one of the two ends; it does not at one that nobody has accepted yet."""
        return any(end is not None and end.blocking and end.number >= 0 for end in (self, self.peer))

    # -- bytes

    def room(self) -> int:
        """The number of bytes that a send would take now."""
        peer = self.peer
        room = peer.capacity - len(peer.incoming) - peer.coming if peer is not None else 0
        return room if room > 0 else 0

    def send(self, data: bytes | memoryview) -> int:
        """Send the bytes that there is room for, and return their number."""
        answer = ON_SEND[self.state]
        if answer or self.error:
            if not self.is_tcp and self.peer is None:
                answer = UNIX_UNCONNECTED[errno.EPIPE]
            elif self.state is RESET and not self.is_tcp:
                answer = errno.EPIPE  # and recv has still to report the reset
            elif self.state is BROKEN:
                self.error = 0
            raise self._refusal(answer or REPORT)
        peer = self.peer
        assert peer is not None
        size = len(data)
        room = peer.capacity - len(peer.incoming) - peer.coming
        if size > room:
            if self.options.get(_USER_TIMEOUT) and not self.is_impatient:
                Patience(self, self.options[_USER_TIMEOUT] / 1000)
            if room <= 0:
                raise os_error(errno.EAGAIN)
            data = data[:room]
            size = room
        if size:
            self.journal.add("send", self.label, size)
            self.transmit(DATA, data)
        return size

    def send_to(self, data: bytes | memoryview, address: Address) -> int:
        """As `send`: TCP ignores the address, a UNIX socket refuses one."""
        if not self.is_tcp:
            raise os_error(errno.EISCONN if self.peer is not None else errno.EOPNOTSUPP)
        return self.send(data)

    def recv(self, size: int) -> bytes:
        """At most `size` received bytes; b"" at the end of the stream."""
        incoming = self.incoming
        if not incoming:
            self._nothing_to_read()
            return b""
        if size >= len(incoming):
            data = incoming if type(incoming) is bytes else bytes(incoming)
            self.incoming = b""
            if self.interest == READABLE and self.state is ESTABLISHED and not self.shut:
                self.awake.pop(self, None)  # drained: the selector need not ask again
        else:
            data = bytes(memoryview(incoming)[:size])
            self._drop(size)
        peer = self.peer
        if peer is not None and peer.interest >= WRITABLE:
            peer.changed()
        return data

    def recv_into(self, buffer: memoryview) -> int:
        """Move received bytes into `buffer` (a memoryview of bytes); their number, 0 at the end of the stream."""
        incoming = self.incoming
        if not incoming:
            self._nothing_to_read()
            return 0
        size = min(len(buffer), len(incoming))
        with memoryview(incoming) as view:
            buffer[:size] = view[:size]
        self._drop(size)
        peer = self.peer
        if peer is not None and peer.interest >= WRITABLE:
            peer.changed()
        return size

    def _drop(self, size: int) -> None:
        """Forget the first bytes. What is left is a bytearray: it may be read a few bytes at a time."""
        incoming = self.incoming
        if size == len(incoming):
            self.incoming = b""
        elif isinstance(incoming, bytearray):
            del incoming[:size]
        else:
            self.incoming = bytearray(memoryview(incoming)[size:])

    def unread(self) -> int:
        """The number of bytes that the next read could give (FIONREAD); EINVAL for a listener."""
        if self.state is LISTENING:
            raise os_error(errno.EINVAL)
        return len(self.incoming)

    def peek(self, size: int) -> bytes:
        """As `recv`, but the bytes stay where they are."""
        if not self.incoming:
            self._nothing_to_read()
        return bytes(memoryview(self.incoming)[:size])

    def receive(self, size: int, flags: int) -> Received:
        """recvmsg(2). MSG_PEEK leaves the bytes; MSG_TRUNC throws them away on TCP, and only counts them."""
        is_data = bool(self.incoming)
        data = self.peek(size) if flags & socket.MSG_PEEK else self.recv(size)
        if flags & _MSG_TRUNC and self.is_tcp:
            return Received(b"", length=len(data))
        peer = self.peer
        source = peer.local if is_data and peer is not None and not self.is_tcp else None
        if flags & _MSG_WAITALL and not flags & socket.MSG_PEEK and 0 < len(data) < size and not self.is_tcp:
            self.take_error()  # unix_stream_read_generic() looks for more, finds the error, and has no use for it
        return Received(data, source, length=len(data))

    def _nothing_to_read(self) -> None:
        answer = ON_EMPTY_RECV[self.state]
        if answer == errno.ENOTCONN and not self.is_tcp:
            answer = UNIX_UNCONNECTED[errno.ENOTCONN]
        if answer == errno.EAGAIN and self.error:
            raise self._refusal(REPORT)
        if answer and not (self.shut & NO_READING and answer in DEAF_TO[self.is_tcp] and self.state is not LISTENING):
            raise self._refusal(answer)

    def _refusal(self, answer: int | str) -> OSError:
        return _error_of(self, self.take_error() if isinstance(answer, str) else answer)

    def take_error(self) -> int:
        """The pending errno, which is reported once (SO_ERROR); 0 for none."""
        code, self.error = self.error, 0
        if (self.state, REPORT) in TRANSITIONS:
            self.move(REPORT)
        if not code and self.soft_error:
            code, self.soft_error = self.soft_error, 0
        return code

    # -- what arrives

    def arrive(self, kind: str, data: bytes | memoryview = b"") -> None:
        """Take a segment from the other end."""
        if kind is DATA:
            if self.state is not ESTABLISHED and self._declines():
                return
            incoming = self.incoming
            if not incoming:
                self.incoming = data if type(data) is bytes else bytes(data)
            elif isinstance(incoming, bytearray):
                incoming += data
            else:
                self.incoming = bytearray(incoming)
                self.incoming += data
            if self.interest & READABLE:
                self.awake[self] = None
            return
        if self.state is CLOSED:
            return
        if kind is RST:
            if self.is_tcp and (self.state is FINISHED or self.state is BROKEN):
                return  # the connection is over: nothing is left to reset
            self.error = errno.ECONNREFUSED if self.state is CONNECTING else (
                errno.EPIPE if self.state in (CLOSE_WAIT, SILENT_END) and self.is_tcp else errno.ECONNRESET)
        self.move(kind)
        if kind is SYN_ACK and self.shut & NO_WRITING:
            self.move(HUSH)

    def _declines(self) -> bool:
        """Whether data that has come is not taken: a reset is the answer."""
        if self.state is FIN_WAIT and self.shut & NO_READING and self.is_tcp:
            # Neither direction is wanted here any more: Linux resets (RFC 1122, 4.2.2.13).
            self.arrive(RST)
        elif self.state not in (CLOSED, RESET, BROKEN):  # RFC 9293, 3.10.7.1: nobody is here any more
            return False
        self.transmit(RST, b"")
        return True

    def hears(self, kind: str) -> bool:
        """Whether a segment of this kind says anything to an end in this state: one may come late."""
        if kind is DATA:
            return self.state in CONNECTED or self.state is CLOSED
        return (self.state, kind) in self._transitions

    def fail(self, code: int) -> None:
        """End the connection as a reset does, with this errno."""
        self.error = code
        self.move(RST)

    # -- readiness

    def ready(self) -> int:
        """Return `poll() & interest`. The common case, where only data is waited for, never asks for room."""
        if self.interest == READABLE:
            if self.incoming or self.queue or self.error or self.shut & NO_READING:
                return READABLE
            return ALWAYS_READY[self.state] & READABLE
        return self.poll() & self.interest

    def poll(self) -> int:
        """What would not block now, as READABLE | WRITABLE."""
        state = self.state
        ready = ALWAYS_READY[state]
        if self.incoming or self.queue or self.shut & NO_READING:
            ready |= READABLE
        if self.shut == NO_READING | NO_WRITING:
            ready |= WRITABLE  # a hang-up
        if self.error or self.reports:
            ready |= READABLE | WRITABLE
        peer = self.peer
        if state is ESTABLISHED or state is CLOSE_WAIT:
            if peer is not None and peer.capacity > len(peer.incoming) + peer.coming:
                ready |= WRITABLE
        elif (state is FIN_WAIT or state is SILENT) and not self.is_tcp and self.room() == 0:
            ready &= ~WRITABLE  # a UNIX socket looks at its queue alone
        return ready

    def conditions(self) -> int:
        """As `poll()`, with what poll(2) and epoll(7) report beyond it."""
        found = self.poll() | HANGS.get(self.state, 0)
        if self.state is FRESH and not self.shut & NO_READING:
            found &= ~READABLE  # there is nothing to read: select() and epoll() only count a hang-up as readable
        if self.state is LISTENING:
            found &= ~WRITABLE
        if self.error or self.reports:
            found |= ERROR
            if self.state in (ESTABLISHED, FIN_WAIT) and not (self.incoming or self.shut & NO_READING):
                found &= ~READABLE
        if self.shut & NO_READING:
            found |= PEER_ENDED | (HANGUP if self.state is FIN_WAIT or self.shut & NO_WRITING else 0)
        return found


class Patience:
    """TCP_USER_TIMEOUT of an end without room to send: it fails when its peer, which answers, reads nothing for long.

    Linux counts from the first probe of the window on, which goes a retransmission's time after the last byte.
    What is on its way over a link does not count: there TCP_USER_TIMEOUT is for retransmissions.
    """

    def __init__(self, end: Connection, seconds: float) -> None:
        self._end = end
        self._seconds = seconds + FIRST_PROBE
        self._clock = end.journal.clock
        self._since = self._clock.now  # when the last byte went out
        self._before = end.transmit
        self._mine = end.transmit = self._transmit
        end.is_impatient = True
        self._clock.deliver_at(self._since + seconds, self._look)

    def _transmit(self, kind: str, data: bytes | memoryview) -> None:
        self._since = self._clock.now
        self._before(kind, data)

    def _look(self) -> None:
        end, peer, now = self._end, self._end.peer, self._clock.now
        is_ours = end.transmit == self._mine
        end.is_impatient = is_ours and end.hears(RST) and end.room() == 0 and not (peer and peer.coming)
        if not end.is_impatient:
            if is_ours:
                end.transmit = self._before
            return
        if now < self._since + self._seconds:
            self._clock.deliver_at(self._since + self._seconds, self._look)
        else:
            end.journal.add("timeout", end.label)
            end.fail(errno.ETIMEDOUT)
