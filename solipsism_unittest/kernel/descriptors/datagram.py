"""Datagrams: one end that sends and receives whole messages, over UDP or a UNIX socket.

Owns the queue of an end, what it has room for, and what a call answers. Does not own who is bound where and who gets a
datagram (kernel/network): what an end sends goes to one of two callables that its kernel
passes in. UDP is udp(7) and UNIX is unix(7), as Linux answers them.

The rule that keeps it simple: a datagram is one `Packet` from the call that sends it to the call that reads it. UDP
loses what finds no room; a UNIX socket never loses anything, so there the sender has to wait.
"""

from __future__ import annotations

import errno
import functools
import socket
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from ..addresses.hosts import Host
from ..addresses.icmp import Failure, Report
from ..addresses.interfaces import MAX_MEMBERSHIPS
from ..journal import Journal
from .end import NO_READING, NO_WRITING, Address, End, Received, shown, shut_sides
from .file import ERROR, HANGUP, PEER_ENDED, READABLE, WRITABLE, File, os_error

MAX_QUEUED = 10  # of a UNIX socket that is not connected back: Linux's net.unix.max_dgram_qlen
UNIX_OVERHEAD = 32  # bytes of SO_SNDBUF that no UNIX datagram may use
_PEEK, _TRUNC = int(socket.MSG_PEEK), int(getattr(socket, "MSG_TRUNC", 0))
_DONTWAIT = int(getattr(socket, "MSG_DONTWAIT", 0))

# What a datagram of n bytes costs on Linux with its headers (measured on 6.18): the next power of two, and whole pages
# beyond 16 KiB. A queue has to count the same to hold as many datagrams as a real one.
_INFO, _HEADER = 320, 256  # bytes of struct skb_shared_info and struct sk_buff
_LINEAR = 16 * 1024
_SMALL = 576  # what a small datagram over IP takes at least


def charge_of_udp(size: int, version: int = 4) -> int:
    """The bytes of SO_RCVBUF that a UDP datagram of `size` bytes takes."""
    needed = _aligned(size + (60 if version == 4 else 72), 64) + _INFO
    if needed > _LINEAR:
        return size + _SMALL + _HEADER
    return (_SMALL if needed <= _SMALL else _power(needed)) + _HEADER


def charge_of_unix(size: int) -> int:
    """The bytes of SO_SNDBUF that a UNIX datagram of `size` bytes takes."""
    rest = max(0, size - (_LINEAR - _INFO))
    return _power(_aligned(size - rest, 64) + _INFO) + _HEADER + _aligned(rest, 4096)


def _aligned(size: int, step: int) -> int:
    return -(-size // step) * step


def _power(size: int) -> int:
    return max(512, 1 << (size - 1).bit_length())


class Memberships:
    """The multicast groups that an end of UDP has joined, and its options for groups, by IP version (4 or 6)."""

    def __init__(self, *, hears_all_of_four: bool) -> None:
        self.groups: dict[tuple[str, int], None] = {}  # (group, interface) that were joined
        # IP_MULTICAST_ALL: also groups that anybody else on the machine has joined
        self.hears_all = {4: hears_all_of_four, 6: True}
        self.loops_back = {4: True, 6: True}  # IP_MULTICAST_LOOP: what is sent to a group comes to this machine too
        self.way_out = {4: 0, 6: 0}  # IP_MULTICAST_IF: the number of an interface, 0 for none chosen

    def join(self, group: str, interface: int) -> None:
        """Hear what is sent to a group on an interface. EADDRINUSE when it does; ENOBUFS for too many."""
        if (group, interface) in self.groups:
            raise os_error(errno.EADDRINUSE)
        if ":" not in group and sum(":" not in address for address, _ in self.groups) >= MAX_MEMBERSHIPS:
            raise os_error(errno.ENOBUFS)
        self.groups[group, interface] = None

    def leave(self, group: str, interface: int) -> None:
        """Hear it no longer. EADDRNOTAVAIL when it does not."""
        if (group, interface) not in self.groups:
            raise os_error(errno.EADDRNOTAVAIL)
        del self.groups[group, interface]


class Packet(NamedTuple):
    """One datagram on its way: from an address, to an address, and what it takes of a buffer.

    `interface` is the number of the one that it left by when it is for many, and 0 when it is for one end.
    """

    data: bytes
    source: Address | None
    target: Address | None
    charge: int
    sender: Datagram
    interface: int = 0


class Datagram(End):
    """One end of UDP or of a UNIX datagram socket.

    `carry(end, data, address)` sends UDP, to `end.remote` for None; `find(address)` is who has a UNIX address.
    """

    __slots__ = ("is_udp", "queue", "queued", "closed", "carry", "find", "was_bound", "multicast", "peer", "callers",
                 "under_way")

    kind = "datagram"
    type = socket.SOCK_DGRAM
    home: Host | None = None  # where it is bound, on another host than the test's machine

    def __init__(self, awake: dict[File, None], journal: Journal, family: int, place: object,
                 carry: Callable[[Datagram, bytes, Address | None], None],
                 find: Callable[[Address], End]) -> None:
        super().__init__(awake, journal, family, place)
        self.is_udp = family in (socket.AF_INET, socket.AF_INET6)
        self.queue: deque[Packet] = deque()
        self.queued = 0  # what the queue takes of receive_buffer
        self.closed = False
        self.carry = carry
        self.find = find
        # UDP's own
        self.was_bound = False  # the program chose the address
        self.multicast = Memberships(hears_all_of_four=family == socket.AF_INET)
        # A UNIX socket's own
        self.peer: Datagram | None = None  # to whom send() goes
        self.callers: dict[Datagram, None] = {}  # whose peer this is
        self.under_way = 0  # what was sent and not read yet takes of send_buffer

    # -- connecting

    def connect(self, reach: Callable[[], None], blocking: bool) -> int:
        """connect(2): the errno, or 0. It never takes time, and a second one replaces the first."""
        try:
            reach()
        except OSError as error:
            assert error.errno
            return error.errno
        return 0

    def meet(self, other: Datagram) -> None:
        """Connect a UNIX socket to another one; EPERM when that one is connected to a third."""
        self._may_send_to(other)
        former = self.peer
        if former is not None and former is not other:
            # unix_dgram_disconnected(): what came from the former peer is lost; one that was joined gets an error.
            had_unread = bool(self.queue)
            self._forget_queue()
            if had_unread and former.peer is self and former is not self:
                former.error = errno.ECONNRESET
                former.changed()
        self._leave_peer()
        self.peer = other
        self.remote = other.local
        other.callers[self] = None
        self.label = self.ends().replace(" > ", ">")
        self.journal.add("connect", self.label)
        self.changed()

    def join(self, other: Datagram) -> None:
        """Connect two fresh UNIX sockets to each other, as socketpair(2) does."""
        self.peer, other.peer = other, self
        self.callers[other] = other.callers[self] = None

    def _may_send_to(self, other: Datagram) -> None:
        if other.peer is not None and other.peer is not self:
            raise os_error(errno.EPERM)

    def _leave_peer(self) -> None:
        peer, self.peer, self.remote = self.peer, None, None
        if peer is not None:
            peer.callers.pop(self, None)

    def peer_address(self) -> Address | None:
        """The address of the other end (None for one without a name); ENOTCONN when there is none."""
        if self.is_udp:
            if self.remote is None or self.remote[1] == 0:
                raise os_error(errno.ENOTCONN)
            return self.remote
        if self.peer is None:
            raise os_error(errno.ENOTCONN)
        return self.peer.local

    # -- sending

    def room(self) -> int:
        """How many bytes a datagram can have."""
        return 65_507 if self.is_udp else max(0, self.send_buffer - UNIX_OVERHEAD)

    def send(self, data: bytes | memoryview) -> int:
        """Send one datagram to the peer: all of it, or an error."""
        return self._send(data, None)

    def send_to(self, data: bytes | memoryview, address: Address) -> int:
        """Send one datagram to an address."""
        return self._send(data, address)

    def _send(self, data: bytes | memoryview, address: Address | None) -> int:
        if self.is_udp:
            self.carry(self, bytes(data), address)
        else:
            self._send_unix(bytes(data), address)
        return len(data)

    def check_before_sending(self) -> None:
        """Raise what is pending, and EPIPE after shutdown(); both families ask when the datagram is made."""
        if self.error:
            raise os_error(self.take_error())
        if self.shut & NO_WRITING:
            raise os_error(errno.EPIPE)

    def _send_unix(self, data: bytes, address: Address | None) -> None:
        # In the order of Linux's unix_dgram_sendmsg().
        if address == (b"",):
            raise os_error(errno.EINVAL)
        if len(data) > self.room():
            raise os_error(errno.EMSGSIZE)
        self.check_before_sending()
        if address is None and self.peer is None:
            raise os_error(errno.ENOTCONN)
        if self.under_way >= self.send_buffer:
            raise os_error(errno.EAGAIN)
        other = self.peer if address is None else self.find(address)
        assert isinstance(other, Datagram)
        if other.closed:  # only a peer is found after its end
            self._forget_queue()
            self._leave_peer()
            raise os_error(errno.ECONNREFUSED)
        self._may_send_to(other)
        if other.shut & NO_READING:
            raise os_error(errno.EPIPE)
        if other.peer is not self and other.is_full:
            raise os_error(errno.EAGAIN)
        packet = Packet(data, self.local, other.local, charge_of_unix(len(data)), self)
        self.under_way += packet.charge
        self.journal.add("send", self.label if address is None else f"{self.label or '?'}>{shown(address)}", len(data))
        other.queue.append(packet)
        other.changed()

    @property
    def is_full(self) -> bool:
        """Whether a UNIX socket takes nothing more from ends that it is not connected to."""
        return len(self.queue) > MAX_QUEUED

    # -- receiving

    def arrive(self, packet: Packet) -> None:
        """Take a UDP datagram that has come: into the queue, or drop it where that is full."""
        # As udp_queue_rcv_skb(): one datagram always fits, however large.
        if self.queue and self.queued + packet.charge > self.receive_buffer:
            self.journal.add("drop", route(packet), len(packet.data), "the queue is full")
            return
        self.queued += packet.charge
        self.queue.append(packet)
        self.changed()

    def refuse(self, packet: Packet, failure: Failure) -> None:
        """Note that a datagram of this end did not arrive, and why.

        An end that asked for errors reports any; another one those that last, of the address that it is connected to.
        """
        assert packet.target is not None
        asked = self.asks_for_reports(failure.version)
        if self.closed or not (asked or failure.lasts and self.remote in (packet.target, (packet.target[0], 0))):
            return
        self.error = failure.errno
        if asked:
            self.note(Report(failure, packet.data, packet.target, packet.charge), self.receive_buffer - self.queued)
        self.changed()

    def _next(self, flags: int = 0) -> Packet | None:
        """The oldest datagram; None where a blocking call would see the end after shutdown()."""
        if self.error:
            raise os_error(self.take_error())
        if not self.queue:
            if self.shut & NO_READING and self.blocking and not flags & _DONTWAIT:
                return None
            raise os_error(errno.EAGAIN)
        if flags & _PEEK:
            return self.queue[0]
        packet = self.queue.popleft()
        self._was_read(packet)
        return packet

    def _was_read(self, packet: Packet) -> None:
        if self.is_udp:
            self.queued -= packet.charge
            return
        packet.sender.under_way -= packet.charge
        packet.sender.changed()
        if len(self.queue) == MAX_QUEUED:  # there is room for other ends again
            for caller in self.callers:
                caller.changed()

    def recv(self, size: int) -> bytes:
        """The oldest datagram; what does not fit is lost."""
        packet = self._next()
        return b"" if packet is None else packet.data[:size]

    def recv_into(self, buffer: memoryview) -> int:
        """Put the oldest datagram into `buffer` (a memoryview of bytes); what does not fit is lost."""
        data = self.recv(len(buffer))
        buffer[:len(data)] = data
        return len(data)

    def receive(self, size: int, flags: int) -> Received:
        """recvmsg(2): with the sender's address, the true length, and MSG_TRUNC where bytes were lost."""
        packet = self._next(flags)
        if packet is None:
            return Received(b"")
        length = len(packet.data)
        # A UNIX socket reports the name that its sender has now.
        source = packet.source if self.is_udp else packet.sender.local
        return Received(packet.data[:size], source, _TRUNC if length > size else 0, length)

    # -- the end

    def take_error(self) -> int:
        """The pending errno, which is reported once (SO_ERROR); 0 for none."""
        code = super().take_error()
        self.changed()
        return code

    def shutdown(self, how: int) -> None:
        """End one direction or both. UDP without a peer does both: it ends them and raises ENOTCONN, as Linux does."""
        sides = shut_sides(how)
        self.shut |= sides
        self.changed()
        if self.is_udp and self.remote is None:
            raise os_error(errno.ENOTCONN)

    def close(self) -> None:
        """End it: what was not read is lost, and whoever sends here is refused from now on."""
        if self.closed:
            return
        self.closed = True
        self._forget_queue()
        self._leave_peer()
        self.multicast.groups.clear()
        self.awake.pop(self, None)
        self.unbind(self)
        if self.label:  # without one, nothing ever happened to it
            self.journal.add("close", self.label)
        for caller in self.callers:
            caller.changed()
        self.callers.clear()

    def _forget_queue(self) -> None:
        while self.queue:
            self._was_read(self.queue.popleft())

    # -- readiness

    @property
    def is_writable(self) -> bool:
        """Whether select() reports it: UDP always is; a UNIX socket needs room, also at its peer.

        Three quarters of its own buffer have to be free.
        """
        if self.is_udp:
            return True
        peer = self.peer
        if self.under_way * 4 > self.send_buffer:
            return False
        return peer is None or peer.peer is self or not peer.is_full

    def conditions(self) -> int:
        """As `poll()`, with ERROR, HANGUP and PEER_ENDED where they hold."""
        found = READABLE if self.queue else 0
        if self.is_writable:
            found |= WRITABLE
        if self.error or self.reports:
            found |= ERROR
        if self.shut & NO_READING:
            found |= READABLE | PEER_ENDED | (HANGUP if self.shut & NO_WRITING else 0)
        return found

    def poll(self) -> int:
        """What would not block now, as READABLE | WRITABLE; an error shows as both, as `selectors` shows it."""
        found = self.conditions()
        return READABLE | WRITABLE if found & (ERROR | HANGUP) else found & (READABLE | WRITABLE)

    @property
    def state(self) -> str:
        """One word for reports."""
        return "closed" if self.closed else "connected" if self.remote or self.peer else "unconnected"

    def ends(self) -> str:
        """Both addresses, for people."""
        if self.local is None and self.peer is not None and self.peer.local is None:
            return "joined in memory"
        local = shown(self.local) if self.local else "unbound" if not (self.remote or self.peer) else "?"
        remote = self.remote if self.is_udp else self.peer.local if self.peer is not None else None
        return f"{local} > {shown(remote)}" if remote else local

    def __repr__(self) -> str:
        facts = ["UDP" if self.is_udp else self.kind, self.ends(), self.state, f"{len(self.queue)} to read"]
        return f"<{' '.join(facts)}>"


def route(packet: Packet) -> str:
    """Where a packet comes from and goes to, for the journal."""
    return _route(packet.source, packet.target)


@functools.lru_cache(1024)
def _route(source: Address | None, target: Address | None) -> str:
    return ">".join(shown(address) if address else "?" for address in (source, target))
