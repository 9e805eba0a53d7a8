"""The states of a stream, what each event makes of them, and what a call answers in each: tables to read.

One thing is not in the state: which sides were shut down while there was no connection (`shut` of an end). TCP refuses
such a shutdown() and remembers it all the same.
"""

from __future__ import annotations

import errno

from .file import ERROR, HANGUP, PEER_ENDED, READABLE, WRITABLE

# States
FRESH = "fresh"
LISTENING = "listening"
CONNECTING = "connecting"
ESTABLISHED = "established"
SILENT = "silent"  # connected after writing was shut down: we cannot write, and the peer does not know
FIN_WAIT = "fin_wait"  # we have ended our direction
CLOSE_WAIT = "close_wait"  # the peer has ended its direction
SILENT_END = "silent_end"  # as SILENT, and the peer has ended its direction
FINISHED = "finished"  # both directions have ended
FAILED = "failed"  # the connect failed, which is not reported yet
RESET = "reset"  # the connection was reset, which is not reported yet
BROKEN = "broken"  # reset, and that is reported (or the end of the peer's direction came before)
CLOSED = "closed"

# Events: what the program does, and what arrives
LISTEN, CONNECT, RETRY, JOIN = "listen", "connect", "retry", "join"
SHUT, CLOSE, REPORT = "shut", "close", "report"
HUSH = "hush"  # the connection is there, and writing was shut down before
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
    (ESTABLISHED, HUSH): SILENT,
    (SILENT, SHUT): FIN_WAIT,
    (SILENT, FIN): SILENT_END,
    (SILENT, RST): RESET,
    (SILENT, CLOSE): CLOSED,
    (SILENT_END, SHUT): FINISHED,
    (SILENT_END, RST): BROKEN,
    (SILENT_END, CLOSE): CLOSED,
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
# A UNIX socket reports a reset before the end of the stream, whatever came first. It learns at once that its peer reads
# no more. It may be shut down again once everything has ended.
UNIX_TRANSITIONS = TRANSITIONS | {
    (ESTABLISHED, DEAF): FIN_WAIT,
    (SILENT, DEAF): SILENT,
    (SILENT_END, DEAF): SILENT_END,
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
    SILENT: errno.EAGAIN, FIN_WAIT: errno.EAGAIN, CLOSE_WAIT: 0, SILENT_END: 0, FINISHED: 0, FAILED: REPORT,
    RESET: REPORT, BROKEN: 0, CLOSED: errno.EBADF,
}
ON_SEND: dict[str, int | str] = {
    FRESH: errno.EPIPE, LISTENING: errno.EPIPE, CONNECTING: errno.EAGAIN, ESTABLISHED: 0,
    SILENT: errno.EPIPE, FIN_WAIT: errno.EPIPE, CLOSE_WAIT: 0, SILENT_END: errno.EPIPE, FINISHED: errno.EPIPE,
    FAILED: REPORT, RESET: REPORT, BROKEN: errno.EPIPE, CLOSED: errno.EBADF,
}
# What a UNIX socket answers instead while it has no other end
UNIX_UNCONNECTED = {errno.EPIPE: errno.ENOTCONN, errno.ENOTCONN: errno.EINVAL}  # send; recv
# What select() reports whatever is in the queues; a hang-up or an error shows as both, as `selectors` shows it.
ALWAYS_READY = {
    FRESH: READABLE | WRITABLE, LISTENING: 0, CONNECTING: 0, ESTABLISHED: 0, SILENT: WRITABLE, FIN_WAIT: WRITABLE,
    CLOSE_WAIT: READABLE, SILENT_END: READABLE | WRITABLE, FINISHED: READABLE | WRITABLE, FAILED: READABLE | WRITABLE,
    RESET: READABLE | WRITABLE, BROKEN: READABLE | WRITABLE, CLOSED: 0,
}
# What poll(2) reports beyond that
HANGS = {
    FRESH: HANGUP, CLOSE_WAIT: PEER_ENDED, SILENT_END: HANGUP | PEER_ENDED, FINISHED: HANGUP | PEER_ENDED,
    FAILED: ERROR | HANGUP | PEER_ENDED, RESET: ERROR | HANGUP | PEER_ENDED,
    BROKEN: HANGUP | PEER_ENDED,
}
CONNECTED = frozenset({ESTABLISHED, SILENT, FIN_WAIT, CLOSE_WAIT, SILENT_END})
FIN_IS_DUE = frozenset({ESTABLISHED, SILENT, CLOSE_WAIT, SILENT_END})  # the peer waits for the end of our direction
# What recv does not report once reading was shut down, by is_tcp: it gives the end of the stream
DEAF_TO = {True: (errno.EAGAIN, errno.ENOTCONN), False: (errno.EAGAIN,)}
OVER = frozenset({FINISHED, FAILED, RESET, BROKEN})
