"""Byte streams: how a connection comes to be, and how it ends. Listeners are streams too.

Owns what a connect under way and a listener have beyond a connection, and when an end gives its port back. Does not own
the bytes of a connection (connection.py), the queue of a listener (backlog.py), addresses (kernel/network) or numbers
(the kernel). The rule that keeps it simple: each call looks at the state, then moves it by the table.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from ..choices.explorer import Explorer
from ..choices.kinds import RECV, SEND
from ..journal import FULL, Journal, counted
from .backlog import Backlog
from .connection import DEFAULT_CAPACITY, Connection
from .end import NO_READING, NO_WRITING, End, shown, shut_sides
from .file import READABLE, File, os_error
from .transitions import (
    CLOSE,
    CLOSED,
    CONNECT,
    CONNECTED,
    CONNECTING,
    DEAF,
    ESTABLISHED,
    FAILED,
    FIN,
    FIN_IS_DUE,
    FINISHED,
    FRESH,
    JOIN,
    LISTEN,
    LISTENING,
    OVER,
    RETRY,
    RST,
    SHUT,
)

__all__ = ["DEFAULT_CAPACITY", "Stream"]

# What becomes of the outcome of a non-blocking connect()
REPORTED = "reported"
DUE = "due"  # the next connect() reports it
SPOILED = "spoiled"  # shut down between the failure and its report: no connect() succeeds any more


def _into_nothing(kind: str, data: bytes | memoryview) -> None:
    """Take the segments of who knows no other end any more."""


def _answering(end: Connection) -> Callable[[str, bytes | memoryview], None]:
    """What this end sends through whose peer has begun anew, and knows nothing of it: a reset comes back."""

    def answer(kind: str, data: bytes | memoryview) -> None:
        if kind is not RST and end.hears(RST):
            end.arrive(RST)

    return answer


class Stream(Connection):
    """One end of a byte stream, or a listener."""

    explorer: Explorer  # of a CutStream

    __slots__ = ("backlog", "asked", "stop_dialling", "outcome", "stopped", "keeps_port")

    def __init__(self, awake: dict[File, None], journal: Journal, family: int, place: object) -> None:
        super().__init__(awake, journal, family, place)
        self.backlog: Backlog[Stream] | None = None  # of a listener
        self.asked: Backlog[Stream] | None = None  # where this end waits to be let in
        self.stop_dialling: Callable[[], None] | None = None  # ends the timer of a connect that nobody answers
        self.outcome = REPORTED
        # Whose port it is
        self.stopped = False  # a listener, or a connect under way, was shut down
        self.keeps_port = False  # to the end: the program chose it, or was given it after a connection had ended

    # -- listening

    def as_listener(self) -> Backlog[Stream]:
        """Return the backlog that this end has as a listener, now or later."""
        if self.backlog is None:
            self.backlog = Backlog(self, self._serve, self.changed)
            self.queue = self.backlog.queue
        return self.backlog

    def listen(self, backlog: int) -> None:
        """Queue connections from now on; a second call changes the backlog."""
        self.move(LISTEN)
        self.stopped = False
        waiting = self.as_listener()
        if self.is_tcp and self.shut:  # what was shut down before is shut down in each accepted connection
            waiting.hands_down, self.shut = self.shut, 0
        self.journal.add("listen", self.label)
        waiting.resize(backlog)

    def knock(self, client: Stream) -> None:
        """Take a client in state CONNECTING, which asks this listener for a connection."""
        waiting = self.backlog or self.as_listener()
        if waiting.is_closed:
            client.arrive(RST)
        elif waiting.is_full:
            client.asked = waiting
            waiting.knocking.append(client)
        else:
            waiting.admit(client)

    def _serve(self, client: Stream) -> Stream:
        """Make the other end of a connection to this listener."""
        server = self.another()
        server.local, server.remote = client.remote, client.local
        server.label = client.label + " (accepted)"
        server.inherit(self)
        server.move(JOIN)
        server.join(client)
        return server

    def another(self) -> Stream:
        """A fresh end as this one."""
        return type(self)(self.awake, self.journal, self.family, self.place)

    def accept(self) -> Stream:
        """Take the oldest queued connection."""
        waiting = self.backlog
        if waiting is None or self.state is not LISTENING:
            raise os_error(errno.EINVAL)
        if not waiting.queue:
            raise os_error(errno.EINVAL if self.shut & NO_READING and self.blocking else errno.EAGAIN)
        server = waiting.queue.popleft()
        self.journal.add("accept", server.label)
        waiting.fill()
        return server

    def inherit(self, listener: End) -> None:
        """Take over the options of a listener, as an accepted connection does."""
        super().inherit(listener)
        assert isinstance(listener, Stream), listener
        if listener.given_send or listener.given_receive:
            self.resize(listener.given_send, listener.given_receive)

    # -- connecting

    def connect(self, reach: Callable[[], None], blocking: bool) -> int:
        """connect(2): the errno, or 0. `reach()` asks the network for whoever answers at the address."""
        if not self.is_tcp:
            try:
                reach()  # there is no handshake: it is done, or refused
            except OSError as error:
                assert error.errno
                return error.errno
            return 0
        if self.outcome is SPOILED:
            return errno.EINVAL
        if self.outcome is DUE:
            if self.state is CONNECTING:
                return errno.EALREADY
            self.outcome = REPORTED
            return 0 if self.state in CONNECTED else self.retry()
        if self.state is not FRESH:
            return errno.EISCONN
        try:
            reach()
        except OSError as error:
            assert error.errno
            return error.errno
        if not blocking or self.state is CONNECTING:
            # A handshake is never over when a non-blocking connect returns, not even on loopback.
            self.outcome = DUE
            return errno.EINPROGRESS
        return self.retry() if self.state is FAILED else 0

    def give_up(self, code: int) -> None:
        """End a connect that nobody answered, with this errno."""
        self._stop_knocking()
        self.error = code
        self.move(RST)

    def stop_waiting(self) -> None:
        """Take the answer to a connect under way: no timer runs for it any more, and no listener knows it."""
        self.asked = None
        if self.stop_dialling is not None:
            self.stop_dialling()
            self.stop_dialling = None

    def _stop_knocking(self) -> None:
        if self.asked is not None:
            self.asked.knocking.remove(self)
        self.stop_waiting()

    def meet(self, listener: Stream) -> None:
        """Connect to a UNIX listener at once. EAGAIN: its queue is full."""
        waiting = listener.backlog
        if (waiting is None or listener.state is not LISTENING or listener.shut & NO_READING
                or waiting.is_closed):
            raise os_error(errno.ECONNREFUSED)
        if waiting.is_full:
            raise os_error(errno.EAGAIN)
        if self.state is not FRESH:
            raise os_error(errno.EINVAL if self.state is LISTENING else errno.EISCONN)
        assert listener.local is not None
        self.remote = listener.local
        self.label = f"{shown(self.local) if self.local else ''}>{shown(listener.local)}"
        self.journal.add("connect", self.label, "")
        self.move(CONNECT)
        listener.knock(self)

    # -- its port

    @property
    def is_over(self) -> bool:
        """Whether the life of this end as a listener or a connection has ended: the port is no longer its own."""
        return self.stopped or (self.is_tcp and self.state in OVER)

    @property
    def has_lost_its_port(self) -> bool:
        """Whether the port was only lent to this end, and its life as a listener or a connection is over."""
        return self.local is not None and not self.keeps_port and self.is_over

    def retry(self) -> int:
        """Forget a connection that failed, to connect anew; the errno that a connect() reports on the way."""
        code, self.error = self.error or errno.ECONNABORTED, 0
        self.move(RETRY)
        self.stopped = True
        self.shut = 0
        if self.peer is not None:
            self.peer.transmit = _answering(self.peer)
        self.peer = self.remote = None
        self.incoming, self.coming = b"", 0
        if self.local is not None and not self.has_own_address:
            self.local = "::" if self.family == socket.AF_INET6 else "0.0.0.0", self.local[1]
        return code

    # -- bytes

    def hand_over(self, data: bytes) -> bool:
        """As `send` of all these bytes, in the plain case alone; else nothing has happened, and the answer is False."""
        peer = self.direct
        if (peer is None or self.state is not ESTABLISHED or self.error or peer.state is not ESTABLISHED
                or peer.incoming or (size := len(data)) > peer.capacity):
            return False
        journal = self.journal
        journal.effects += 1
        if journal.enabled:  # as its add(), for nothing happens more often
            records = journal.records
            records.append((journal.clock.now, "send", self.label, size))
            if len(records) >= FULL:
                journal.trim()
        peer.incoming = data  # as its arrive()
        if peer.interest == READABLE or peer.interest & READABLE:
            peer.awake[peer] = None
        return True

    # -- the end

    def shutdown(self, how: int) -> None:
        """End one direction or both (SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2), as shutdown(2) on Linux does."""
        sides = shut_sides(how)
        reading, writing = bool(sides & NO_READING), bool(sides & NO_WRITING)
        if self.state is LISTENING and not self.is_tcp:
            self.shut |= sides  # the queued connections can still be accepted, and no more are let in
            self.changed()
            return
        if self.state in CONNECTED or self.state is CONNECTING:
            self.outcome = REPORTED
        elif self.outcome is DUE:
            self.outcome = SPOILED
        if self.state in (LISTENING, CONNECTING):
            if reading or self.state is CONNECTING:
                self._turn_away()
                self.move(SHUT)
                self.stopped = True
                self.shut = 0
            return
        if self.state not in CONNECTED and (self.is_tcp or self.state is not FINISHED):
            # TCP refuses, and both do it all the same: a connection made later has it.
            self.shut |= sides
            self.changed()
            if self.is_tcp:
                raise os_error(errno.ENOTCONN)
            return
        if writing:
            is_due = self.state in FIN_IS_DUE
            self.move(SHUT)
            if is_due:
                self.journal.add("fin", self.label)
                self.transmit(FIN, b"")
        if reading and not self.shut & NO_READING:
            self.shut |= NO_READING
            if not self.is_tcp:
                self.transmit(DEAF, b"")
            self.changed()

    def close(self) -> None:
        """End both directions: with a reset when bytes are unread or SO_LINGER asks for one, otherwise in order."""
        self._end(bool(self.incoming) or (self.linger_zero and self.is_tcp))

    def abort(self) -> None:
        """End both directions with a reset."""
        self._end(True)

    def _end(self, resets: bool) -> None:
        state = self.state
        if state is CLOSED:
            return
        if self.backlog is not None or state is CONNECTING:
            self._turn_away()
        self.incoming = b""
        self.state = self._transitions[state, CLOSE]
        self.awake.pop(self, None)
        self.unbind(self)
        if state in CONNECTED or state is FINISHED:
            self.journal.add("reset" if resets else "close", self.label)
            if resets:
                self.transmit(RST, b"")
            elif state in FIN_IS_DUE:
                self.transmit(FIN, b"")
            if not resets and not self.is_tcp:
                self.transmit(DEAF, b"")
        peer = self.peer
        if peer is not None and peer.state is CLOSED and (
                self.transmit == peer.arrive and peer.transmit == self.arrive):  # the wire may still have something
            # Nothing goes either way any more, and two ends that do not know each other need no garbage collection.
            self.peer = peer.peer = None
            self.transmit = peer.transmit = _into_nothing

    def _turn_away(self) -> None:
        """Refuse or reset every client of this listener, and end a connect of its own."""
        if self.backlog is not None:
            self.backlog.turn_away()
            self.backlog.hands_down = 0
        self._stop_knocking()

    # -- for people

    def ends(self) -> str:
        """Both addresses, for people."""
        if self.local is None and self.remote is None:
            return "unbound" if self.peer is None else "joined in memory"
        local = shown(self.local) if self.local else "?"
        return local if self.remote is None else f"{local} > {shown(self.remote)}"

    def __repr__(self) -> str:
        facts = [self.kind, self.ends(), self.state]
        if self.state is LISTENING and self.backlog is not None:
            facts.append(f"{len(self.backlog.queue)} to accept (backlog {self.backlog.size})")
        elif self.peer is not None:
            facts.append(f"{len(self.incoming)} of {counted(self.capacity, 'byte')} to read")
            if len(self.peer.incoming):
                facts.append(f"{len(self.peer.incoming)} of {counted(self.peer.capacity, 'byte')} not read by the peer")
        return f"<{' '.join(facts)}>"


class CutStream(Stream):
    """An end in a world that is explored: a call may take or give fewer bytes than there are (recv(2), send(2)).

    A blocking send() of Linux takes all bytes, and so does this one.
    """

    __slots__ = ()

    def another(self) -> Stream:
        """As Stream's."""
        end = super().another()
        end.explorer = self.explorer
        return end

    def _cut(self, kind: int, size: int) -> int:
        """How many of so many bytes go through."""
        return (self.explorer.chosen(kind, size, self, size) or size) if size > 1 else size

    def recv(self, size: int) -> bytes:
        """As Stream's."""
        there = min(size, len(self.incoming))
        return super().recv(self._cut(RECV, there) if there else size)

    def recv_into(self, buffer: memoryview) -> int:
        """As Stream's."""
        there = min(len(buffer), len(self.incoming))
        return super().recv_into(buffer[:self._cut(RECV, there)] if there else buffer)

    def hand_over(self, data: bytes) -> bool:
        """Never: it may be cut."""
        return False

    def send(self, data: bytes | memoryview) -> int:
        """As Stream's."""
        fits = 0 if self.blocking else min(len(data), self.room())
        part = data[:self._cut(SEND, fits)] if fits > 1 else data
        if part is data or isinstance(part, bytes):
            return super().send(part)
        with part:  # released before an error is raised: its handler may resize the buffer
            return super().send(part)
