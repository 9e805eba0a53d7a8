"""The states of a stream and what each event makes of them: the whole truth in tables."""

from __future__ import annotations

import errno

from .file import ERROR, HANGUP, PEER_ENDED, READABLE, WRITABLE

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
    (ESTABLISHED, FIN): CLOSE_WAIT,
    (ESTABLISHED, RST): RESET,
    (ESTABLISHED, CLOSE): CLOSED,
    (FIN_WAIT, SHUT): FIN_WAIT,
    (FIN_WAIT, FIN): FINISHED,
    (FIN_WAIT, RST): RESET,
    (FIN_WAIT, CLOSE): CLOSED,
    (CLOSE_WAIT, SHUT): FINISHED,
    (CLOSE_WAIT, RST): BROKEN,
    (CLOSE_WAIT, CLOSE): CLOSED,
    (FINISHED, RETRY): FRESH,  # connected to itself, and ended, before it was reported
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
# A UNIX socket tells a reset before the end of the stream, whatever came first; it learns at once that its peer reads
# no more; and it may be shut down again once everything has ended.
UNIX_TRANSITIONS = TRANSITIONS | {
    (ESTABLISHED, DEAF): FIN_WAIT,
    (FIN_WAIT, DEAF): FIN_WAIT,
    (CLOSE_WAIT, DEAF): FINISHED,
    (FINISHED, DEAF): FINISHED,
    (FINISHED, SHUT): FINISHED,
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
# What a UNIX socket says instead while it has no other end
UNIX_UNCONNECTED = {errno.EPIPE: errno.ENOTCONN, errno.ENOTCONN: errno.EINVAL}  # send; recv
# What select() says beyond the queues; a hang-up or an error shows as both, as `selectors` shows it.
ALWAYS_READY = {
    FRESH: READABLE | WRITABLE, LISTENING: 0, CONNECTING: 0, ESTABLISHED: 0, FIN_WAIT: WRITABLE, CLOSE_WAIT: READABLE,
    FINISHED: READABLE | WRITABLE, FAILED: READABLE | WRITABLE, RESET: READABLE | WRITABLE,
    BROKEN: READABLE | WRITABLE, CLOSED: 0,
}
# What poll(2) says beyond that
HANGS = {
    FRESH: HANGUP, CLOSE_WAIT: PEER_ENDED, FINISHED: HANGUP | PEER_ENDED, FAILED: ERROR | HANGUP | PEER_ENDED,
    RESET: ERROR | HANGUP | PEER_ENDED, BROKEN: HANGUP | PEER_ENDED,
}
CONNECTED = frozenset({ESTABLISHED, FIN_WAIT, CLOSE_WAIT})
# What recv does not say once reading was shut down, by is_tcp: it gives the end of the stream
DEAF_TO = {True: (errno.EAGAIN, errno.ENOTCONN), False: (errno.EAGAIN,)}
OVER = frozenset({FINISHED, FAILED, RESET, BROKEN})
