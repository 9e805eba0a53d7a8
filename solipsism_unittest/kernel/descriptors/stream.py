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

from ..journal import Journal
from .end import Address, End, Received, shown
from .file import ERROR, HANGUP, PEER_ENDED, READABLE, WRITABLE, File, os_error
from .transitions import (
    ALWAYS_READY,
    BROKEN,
    CLOSE,
    CLOSE_WAIT,
    CLOSED,
    CONNECT,
    CONNECTED,
    CONNECTING,
    DATA,
    DEAF,
    DEAF_TO,
    ESTABLISHED,
    FAILED,
    FIN,
    FIN_WAIT,
    FINISHED,
    FRESH,
    HANGS,
    JOIN,
    LISTEN,
    LISTENING,
    ON_EMPTY_RECV,
    ON_SEND,
    OVER,
    REPORT,
    RESET,
    RETRY,
    RST,
    SHUT,
    SYN_ACK,
    TRANSITIONS,
    UNIX_TRANSITIONS,
    UNIX_UNCONNECTED,
)

# Bytes that a direction holds before a send would block. A real loopback takes a few megabytes; with less, a missing
# reader shows soon. Four times as much made bulk data four times slower: such blocks come fresh from the system.
DEFAULT_CAPACITY = 64 * 1024
TCP_BUFFERS = 16_384, 131_072  # what SO_SNDBUF and SO_RCVBUF tell of a new socket: Linux's tcp_wmem and tcp_rmem
MAX_BACKLOG = 4096  # Linux's net.core.somaxconn
_MSG_WAITALL = getattr(socket, "MSG_WAITALL", 0)
_MSG_TRUNC = getattr(socket, "MSG_TRUNC", 0)


def _into_nothing(kind: str, data: bytes | memoryview) -> None:
    """Where the segments go of who is connected to an end that begins anew."""


class Stream(End):
    """One end of a byte stream, or a listener."""

    kind = "stream"

    def __init__(self, awake: dict[File, None], journal: Journal, family: int, place: object) -> None:
        super().__init__(awake, journal, family, place)
        self.is_tcp = family in (socket.AF_INET, socket.AF_INET6)
        self._transitions = TRANSITIONS if self.is_tcp else UNIX_TRANSITIONS
        self.state = FRESH
        self.incoming = bytearray()
        self.capacity = DEFAULT_CAPACITY  # of `incoming`
        if self.is_tcp:
            self.send_buffer, self.receive_buffer = TCP_BUFFERS
        self.given_send: int | None = None  # what a program made of them
        self.given_receive: int | None = None
        self.deaf = False  # reading was shut down here
        self.stopped = False  # a listener, or a connect under way, that was shut down
        self.disconnecting = False  # shut down between a connect that failed and its report: of no use any more
        self.connecting = False  # a non-blocking connect() is not reported yet
        self.peer: Stream | None = None
        self.transmit: Callable[[str, bytes | memoryview], None] = self._nobody
        # A listener's own
        self.backlog = 0
        self.refusing = False
        self.queue: deque[Stream] = deque()  # see in_queue
        self.knocking: deque[Stream] = deque()  # waiting for a place in the queue
        self.asked: Stream | None = None  # the listener at which this end knocks
        self.stop_dialling: Callable[[], None] = lambda: None  # of a connect that nobody answers: end its timer
        self.mute = False  # writing was shut down before there was anybody to write to
        self.keeps_port = False  # to the end: a program chose it, or was given it after a connection had ended
        self.has_own_address = False  # a program gave it one with bind()
        self.owes_fin = False  # connected in spite of that: the peer was not told
        self.hands_down: list[int] = []  # what it shuts down of each connection
        self.in_queue = False  # of a listener: established, not accepted yet
        self.pair_capacity: tuple[int, int] | None = None  # (to the client, to the server) of accepted connections

    # -- joining two ends

    def join(self, peer: Stream) -> None:
        """Make the two ends of one established connection out of two fresh (or connecting) ends."""
        self.peer, peer.peer = peer, self
        self.transmit, peer.transmit = peer.arrive, self.arrive
        self._fit()
        peer._fit()

    def resize(self, send: int | None = None, receive: int | None = None) -> None:
        """Give the buffers other sizes, in what SO_SNDBUF and SO_RCVBUF tell: twice the bytes that they hold."""
        super().resize(send, receive)
        self.given_send, self.given_receive = send or self.given_send, receive or self.given_receive
        self._fit()
        if self.peer is not None:
            self.peer._fit()
            self.peer.changed()

    def _fit(self) -> None:
        """Hold as much as both buffers do once a program gave one a size; of UNIX sockets, the sender's alone."""
        peer = self.peer
        if peer is None or (peer.given_send is None and (self.given_receive is None or not self.is_tcp)):
            return
        # By itself each of the two buffers of TCP is half of what a direction holds.
        sent, kept = peer.given_send or DEFAULT_CAPACITY, self.given_receive or DEFAULT_CAPACITY
        self.capacity = (sent + kept) // 2 if self.is_tcp else sent // 2

    def inherit(self, listener: End) -> None:
        """Take over the options of a listener, as an accepted connection does."""
        super().inherit(listener)
        assert isinstance(listener, Stream), listener
        self.resize(listener.given_send, listener.given_receive)

    def listen(self, backlog: int) -> None:
        """Queue connections from now on; a second call changes the backlog."""
        self._move(LISTEN)
        self.stopped = False
        if self.is_tcp and (self.deaf or self.mute):  # what was shut down before is so in what is accepted
            both = (socket.SHUT_RD, self.deaf), (socket.SHUT_WR, self.mute)
            self.hands_down = [how for how, is_so in both if is_so]
            self.deaf = self.mute = False
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
            client.stop_dialling()
            server = Stream(self.awake, self.journal, self.family, self.place)
            server.local, server.remote = client.remote, client.local
            server.label = client.label + " (accepted)"
            server.inherit(self)
            server._move(JOIN)
            server.in_queue = True
            server.join(client)
            if self.pair_capacity is not None:
                client.capacity, server.capacity = self.pair_capacity
            self.queue.append(server)
            client.arrive(SYN_ACK)
            for how in self.hands_down:
                server.shutdown(how)
            self.changed()

    def accept(self) -> Stream:
        """The oldest queued connection."""
        if self.state is not LISTENING:
            raise os_error(errno.EINVAL)
        if not self.queue:
            raise os_error(errno.EINVAL if self.deaf and self.blocking else errno.EAGAIN)
        server = self.queue.popleft()
        server.in_queue = False
        self.journal.add("accept", server.label)
        self._fill_queue()
        return server

    # -- connecting

    def connect(self, reach: Callable[[], None], blocking: bool) -> int:
        """connect(2): the errno, or 0. `reach` goes to the network and finds who is there."""
        if not self.is_tcp:
            try:
                reach()  # there is no handshake: it is done, or refused
            except OSError as error:
                assert error.errno
                return error.errno
            return 0
        if self.disconnecting:
            return errno.EINVAL
        if self.connecting:
            if self.state == CONNECTING:
                return errno.EALREADY
            self.connecting = False
            return 0 if self.state in CONNECTED else self.retry()
        if self.state != FRESH:
            return errno.EISCONN
        try:
            reach()
        except OSError as error:
            assert error.errno
            return error.errno
        if not blocking or self.state == CONNECTING:
            # A handshake is never over when a non-blocking connect returns, not even on loopback.
            self.connecting = True
            return errno.EINPROGRESS
        return self.retry() if self.state == FAILED else 0

    def give_up(self, code: int) -> None:
        """End a connect that nobody answered, with this errno."""
        self._leave_the_line()
        self.error = code
        self._move(RST)

    def _leave_the_line(self) -> None:
        self.stop_dialling()
        if self.asked is not None:
            self.asked.knocking.remove(self)
            self.asked = None

    def meet(self, listener: Stream) -> None:
        """Connect to a UNIX listener at once. EAGAIN: its queue is full."""
        if listener.state is not LISTENING or listener.deaf or listener.refusing:
            raise os_error(errno.ECONNREFUSED)
        if len(listener.queue) > listener.backlog:
            raise os_error(errno.EAGAIN)
        if self.state is not FRESH:
            raise os_error(errno.EINVAL if self.state is LISTENING else errno.EISCONN)
        assert listener.local is not None
        self.remote = listener.local
        self.label = f"{shown(self.local) if self.local else ''}>{shown(listener.local)}"
        self.journal.add("connect", self.label, "")
        self._move(CONNECT)
        listener.knock(self)

    def peer_address(self) -> Address | None:
        """Who is at the other end (None for one without a name); ENOTCONN when nobody is."""
        if self.state not in CONNECTED if self.is_tcp else self.peer is None:
            raise os_error(errno.ENOTCONN)
        if not self.is_tcp and self.peer is not None:
            return self.peer.local  # it may be bound at any time
        return self.remote

    # -- bytes

    def room(self) -> int:
        """How many bytes a send would take now."""
        return max(0, self.peer.capacity - len(self.peer.incoming)) if self.peer is not None else 0

    def send(self, data: memoryview) -> int:
        """Send what there is room for and say how much that was. `data` is a memoryview of bytes."""
        answer = ON_SEND[self.state]
        if answer:
            if not self.is_tcp and self.peer is None:
                answer = UNIX_UNCONNECTED[errno.EPIPE]
            elif self.state is RESET and not self.is_tcp:
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

    def send_to(self, data: memoryview, address: Address) -> int:
        """As `send`: TCP passes an address over. A UNIX socket refuses one."""
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

    def unread(self) -> int:
        """How many bytes the next read could give (FIONREAD); EINVAL for a listener."""
        if self.state is LISTENING:
            raise os_error(errno.EINVAL)
        return len(self.incoming)

    def peek(self, size: int) -> bytes:
        """As `recv`, and the bytes stay where they are."""
        if not self.incoming:
            self._nothing_to_read()
        return bytes(memoryview(self.incoming)[:size])

    def receive(self, size: int, flags: int) -> Received:
        """recvmsg(2). MSG_PEEK leaves the bytes; MSG_TRUNC throws them away on TCP, and only says how many."""
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
        if answer and not (self.deaf and answer in DEAF_TO[self.is_tcp] and self.state is not LISTENING):
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
        return self.stopped or (self.is_tcp and self.state in OVER and not self.owes_fin)

    @property
    def has_lost_its_port(self) -> bool:
        """Whether the port was only lent to this end, and its life as a listener or a connection is over."""
        return self.local is not None and not self.keeps_port and self.is_over

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
        self.stopped = True
        self.deaf = self.mute = self.owes_fin = False
        if self.peer is not None:
            self.peer.transmit = _into_nothing
        self.peer = self.remote = None
        self.incoming.clear()
        if self.local is not None and not self.has_own_address:
            self.local = "::" if self.family == socket.AF_INET6 else "0.0.0.0", self.local[1]
        return code

    # -- the end

    def shutdown(self, how: int) -> None:
        """End one direction or both (SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2), as shutdown(2) on Linux does."""
        if how not in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            raise os_error(errno.EINVAL)
        reading, writing = how != socket.SHUT_WR, how != socket.SHUT_RD
        if self.state is LISTENING and not self.is_tcp:
            self.deaf = self.deaf or reading  # who is in the queue is still accepted, and nobody comes any more
            self.mute = self.mute or writing
            self.changed()
            return
        if self.state in CONNECTED or self.state is CONNECTING:
            self.connecting = False
        elif self.connecting:
            self.disconnecting = True
        if self.state in (LISTENING, CONNECTING):
            if reading or self.state is CONNECTING:
                self._turn_away()
                self._move(SHUT)
                self.stopped = True
                self.deaf = self.mute = False
                self.hands_down = []
            return
        if self.state not in CONNECTED and (self.is_tcp or self.state is not FINISHED):
            # TCP refuses, and both do it all the same: a connection made later has it.
            self.deaf, self.mute = self.deaf or reading, self.mute or writing
            self.changed()
            if self.is_tcp:
                raise os_error(errno.ENOTCONN)
            return
        if writing:
            ended_before = self.state in (FIN_WAIT, FINISHED) and not self.owes_fin
            self.owes_fin = False
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
            if unread or self.in_queue or (self.linger_zero and self.is_tcp):
                self.journal.add("reset", self.label)
                self.transmit(RST, b"")
            else:
                self.journal.add("close", self.label)
                if state in (ESTABLISHED, CLOSE_WAIT) or self.owes_fin:
                    self.transmit(FIN, b"")
                if not self.is_tcp:
                    self.transmit(DEAF, b"")

    def _turn_away(self) -> None:
        """Refuse who knocks, reset who was queued and never accepted, and knock no longer."""
        while self.knocking:
            client = self.knocking.popleft()
            client.asked = None
            client.stop_dialling()
            client.arrive(RST)
        self._leave_the_line()
        while self.queue:
            server = self.queue.popleft()
            server.close()

    # -- what arrives

    def arrive(self, kind: str, data: bytes | memoryview = b"") -> None:
        """Take a segment from the other end."""
        if kind is DATA:
            if self.state is CLOSED:
                self.transmit(RST, b"")  # RFC 9293, 3.10.7.1: nobody is here any more
            elif self.state is FIN_WAIT and self.deaf and self.is_tcp and not self.owes_fin:
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
        if kind is SYN_ACK and self.mute:
            self.owes_fin = True
            self._move(SHUT)

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
        if self.mute and self.deaf:
            ready |= WRITABLE  # a hang-up
        if (state is ESTABLISHED or state is CLOSE_WAIT) and self.room() > 0:
            ready |= WRITABLE
        elif state is FIN_WAIT and not self.is_tcp and self.room() == 0:
            ready &= ~WRITABLE  # a UNIX socket looks at its queue alone
        return ready

    def conditions(self) -> int:
        """As `poll()`, with what poll(2) and epoll(7) say beyond it."""
        found = self.poll() | HANGS.get(self.state, 0)
        if self.state is FRESH and not self.deaf:
            found &= ~READABLE  # there is nothing to read: select() and epoll() only count a hang-up as readable
        if self.state is LISTENING:
            found &= ~WRITABLE
        if self.error:
            found |= ERROR
        if self.deaf:
            found |= PEER_ENDED | (HANGUP if self.state is FIN_WAIT or self.mute else 0)
        return found

    def ends(self) -> str:
        """Both addresses, for people."""
        if self.local is None and self.remote is None:
            return "unbound" if self.peer is None else "joined in memory"
        local = shown(self.local) if self.local else "?"
        return local if self.remote is None else f"{local} > {shown(self.remote)}"

    def __repr__(self) -> str:
        facts = [self.kind, self.ends(), self.state]
        if self.state is LISTENING:
            facts.append(f"{len(self.queue)} to accept (backlog {self.backlog})")
        elif self.peer is not None:
            facts.append(f"{len(self.incoming)} of {self.capacity} bytes to read")
            if len(self.peer.incoming):
                facts.append(f"{len(self.peer.incoming)} of {self.peer.capacity} bytes not read by the peer")
        return f"<{' '.join(facts)}>"
