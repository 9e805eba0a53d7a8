"""What a socket has in the kernel, whatever its kind: one end of something.

Owns the family and the addresses of an end, and the options that change what the network does with it. A kind of
socket is a subclass (stream.py, datagram.py) that answers the calls below; what it does not answer, Linux refuses too.

The rule that keeps it simple: the face of a socket (stdlib/sockets) calls these methods and knows no kind.
"""

from __future__ import annotations

import errno
import functools
import socket
from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

from ..addresses.icmp import Report, Reports
from ..journal import Journal
from .file import File, os_error

# ("127.0.0.1", 80), or (path,) of a UNIX socket: what `bind` and `connect` of a network or name space take.
Address = tuple[Any, ...]


def shown(address: Address) -> str:
    """An address for people: abstract names of UNIX sockets with an @, as ss(8) shows them."""
    if len(address) == 1:
        text: str = address[0].decode("utf-8", "backslashreplace")
        return "@" + text[1:] if text[:1] == "\0" else text
    return f"{address[0]}:{address[1]}"


class Received(NamedTuple):
    """What a recvmsg(2) gives: `length` is the number of bytes that there were; `data` may hold fewer.

    `report` is the error of ICMP that the data are about, where MSG_ERRQUEUE asked for one.
    """

    data: bytes
    source: Address | None = None  # None where a stream does not report it
    flags: int = 0
    length: int = 0
    report: Report | None = None


DEFAULT_BUFFERS = 212_992, 212_992  # Linux's net.core.wmem_default and rmem_default
# Which sides shutdown() has ended, as Linux keeps it in sk_shutdown: its argument and 1.
NO_READING, NO_WRITING = 1, 2


def shut_sides(how: int) -> int:
    """The sides that shutdown(how) ends, as NO_READING | NO_WRITING; EINVAL for no known number."""
    if how not in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        raise os_error(errno.EINVAL)
    return how + 1


def _gives_nothing_back(end: End) -> None:
    """End what never had an address."""


# The option of ip(7) and ipv6(7) that asks for every error of ICMP: IP_RECVERR, IPV6_RECVERR
_REPORTS_ERRORS = {4: (socket.IPPROTO_IP, 11), 6: (socket.IPPROTO_IPV6, 25)}
# What every end starts with; nobody changes it, see `End.remember`.
_NO_OPTIONS: dict[tuple[int, int], Any] = {}


@functools.lru_cache(256)
def _only(key: tuple[int, int], value: int) -> dict[tuple[int, int], Any]:
    """The options of an end that has set one: asyncio sets the same one on each of thousands."""
    return {key: value}


class End(File):
    """One end of a connection, or of nothing yet."""

    __slots__ = ("journal", "family", "local", "remote", "label", "unbind", "shut", "error", "reuse_address",
                 "options", "send_buffer", "receive_buffer")

    type: int = socket.SOCK_STREAM
    has_own_address = False  # the program gave it one with bind()
    is_everywhere = False  # it is bound to all addresses of another host than the test's machine
    reuse_port = False
    v6_only = False
    broadcast = False  # SO_BROADCAST
    linger_zero = False  # close() of a stream resets (SO_LINGER with a time of 0)
    reports: Reports | None = None  # errors of ICMP that nobody has read, once the end has asked for them (IP_RECVERR)
    linger = 0  # seconds that close() waits until all is acknowledged (SO_LINGER)

    def __init__(self, awake: dict[File, None], journal: Journal, family: int, place: object) -> None:
        super().__init__(awake, place)
        self.journal = journal
        self.family = family
        self.local: Address | None = None
        self.remote: Address | None = None
        self.label = ""  # how the journal names this end
        self.unbind: Callable[[Any], None] = _gives_nothing_back  # give the address back
        self.shut = 0  # NO_READING | NO_WRITING
        self.error = 0  # the errno that the next call reports
        self.reuse_address = False
        self.options = _NO_OPTIONS  # what was set; most of it changes nothing, and ends may share it
        self.send_buffer, self.receive_buffer = DEFAULT_BUFFERS  # as SO_SNDBUF and SO_RCVBUF report them

    @property
    def has_lost_its_port(self) -> bool:
        """Whether another end may have the port, though this one still shows it."""
        return False

    # -- life

    def listen(self, backlog: int) -> None:
        """Queue connections from now on."""
        raise os_error(errno.EOPNOTSUPP)

    def accept(self) -> End:
        """The oldest queued connection."""
        raise os_error(errno.EOPNOTSUPP)

    def connect(self, reach: Callable[[], None], blocking: bool) -> int:
        """connect(2): the errno, or 0. `reach` goes to the network and finds who is there."""
        reach()
        return 0

    def shutdown(self, how: int) -> None:
        """End one direction or both (SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2)."""
        raise NotImplementedError

    def repeats(self, kind: str, data: bytes, back: int) -> None:
        """TCP sends something again, which began so many bytes before the end of all that was sent: nobody notices."""

    def take_error(self) -> int:
        """The pending errno, which is reported once (SO_ERROR); 0 for none."""
        code, self.error = self.error, 0
        return code

    def asks_for_reports(self, version: int) -> bool:
        """Whether the program wants to know of each error of ICMP, for packets of IPv4 or IPv6."""
        return bool(self.options.get(_REPORTS_ERRORS[version]))

    def note(self, report: Report, room: float = inf) -> None:
        """Keep an error for `take_report()`, where all of them fit into this number of bytes."""
        if self.reports is None:
            self.reports = Reports()
        self.reports.add(report, room)
        self.changed()

    def take_report(self) -> Report:
        """The oldest error that nobody has read (MSG_ERRQUEUE); EAGAIN for none. The next call reports the next one."""
        if not self.reports:
            raise os_error(errno.EAGAIN)
        report, code = self.reports.take()
        if code:
            self.error = code
        else:
            self.take_error()
        self.changed()
        return report

    def peer_address(self) -> Address | None:
        """The address of the other end (None for one without a name); ENOTCONN when there is none."""
        if self.remote is None:
            raise os_error(errno.ENOTCONN)
        return self.remote

    def resize(self, send: int | None = None, receive: int | None = None) -> None:
        """Give the buffers other sizes, as SO_SNDBUF and SO_RCVBUF report them."""
        self.send_buffer = self.send_buffer if send is None else send
        self.receive_buffer = self.receive_buffer if receive is None else receive
        self.changed()

    def inherit(self, listener: End) -> None:
        """Take over the options of a listener, as an accepted connection does."""
        self.reuse_address = listener.reuse_address
        for name in ("reuse_port", "v6_only", "linger_zero", "linger"):
            if value := getattr(listener, name):  # few have it set
                setattr(self, name, value)
        self.options = listener.options

    def remember(self, key: tuple[int, int], value: int | bytes) -> None:
        """Remember what an option, by level and number, was set to."""
        if not self.options and type(value) is int:
            self.options = _only(key, value)
        else:
            self.options = {**self.options, key: value}

    # -- bytes

    def room(self) -> int:
        """The number of bytes that a send would take now."""
        raise NotImplementedError

    def send(self, data: bytes | memoryview) -> int:
        """Send to the other end and return how many bytes it took; a memoryview is one of bytes."""
        raise NotImplementedError

    def send_to(self, data: bytes | memoryview, address: Address) -> int:
        """As `send`, to an address."""
        raise NotImplementedError

    def recv(self, size: int) -> bytes:
        """At most `size` received bytes; b"" at the end."""
        raise NotImplementedError

    def recv_into(self, buffer: memoryview) -> int:
        """Move received bytes into `buffer` (a memoryview of bytes) and return their number."""
        raise NotImplementedError

    def receive(self, size: int, flags: int) -> Received:
        """recvmsg(2): as `recv`, with the source and the length. `flags` has MSG_PEEK and MSG_TRUNC."""
        raise NotImplementedError
