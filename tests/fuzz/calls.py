"""What the fuzzer may call: one table of lines of Python, with blanks that are filled at random.

Owns how a sequence of calls is drawn. A line is what a program could write: `s` holds the sockets and `f` the files
that were made so far, by number, and `_` is what the line gives. The rule that keeps it simple: a line is text, run as
it stands on both arms, so a sequence that differs is a program that can be run by hand.
"""

from __future__ import annotations

import random
import socket
from typing import NamedTuple

TCP = frozenset({"tcp4", "tcp6"})
UDP = frozenset({"udp4", "udp6"})
UNIX = frozenset({"unix", "unixgram"})
STREAM = TCP | {"unix"}
DATAGRAM = UDP | {"unixgram"}
ALL = STREAM | DATAGRAM
INTERNET = TCP | UDP

HOST = {"tcp4": "127.0.0.1", "udp4": "127.0.0.1", "tcp6": "::1", "udp6": "::1"}
FAMILY = {"tcp4": "AF_INET", "udp4": "AF_INET", "tcp6": "AF_INET6", "udp6": "AF_INET6", "unix": "AF_UNIX",
          "unixgram": "AF_UNIX"}

BIG = 1 << 24
"""More bytes than any buffer takes."""

PREAMBLE = f"""\
import array, contextlib, os, select, socket, struct
s, f, big = {{}}, {{}}, bytes({BIG})
linger = lambda on, seconds: struct.pack("ii", on, seconds)

def maker(family, type):
    def new():
        sock = socket.socket(family, type)
        sock.setblocking(False)
        return sock
    return new

def pair(type):
    one, other = socket.socketpair(socket.AF_UNIX, type)
    one.setblocking(False)
    other.setblocking(False)
    return one, other

@contextlib.contextmanager
def blocking(sock):
    sock.setblocking(True)
    try:
        yield
    finally:
        if sock.fileno() >= 0:
            sock.setblocking(False)

def address(sock):
    name = sock.getsockname()
    return name[:2] if isinstance(name, tuple) else name

def selected(sock):
    return ["rwx"[i] for i, found in enumerate(select.select([sock], [sock], [sock], 0)) if found]

def polled(sock):
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT | select.POLLRDHUP)
    return [event for _, event in poll.poll(0)]
"""
"""What a sequence needs to be run by hand; `where` (a folder) and `name` (a word of its own) come before it."""

NEW = "s[{new}] = socket.socket(socket.{family}, socket.{type}); s[{new}].setblocking(False)"
BIND = "s[0].bind({anywhere})"
# What there is before the first random call: several ways, of which one is drawn.
BEGINNINGS: dict[str, list[list[str]]] = {
    "tcp": [
        ["s[0] = new()", "s[0].bind({anywhere})", "s[0].listen(5)", "s[1] = new()", "s[1].connect_ex(address(s[0]))",
         "s[2], _ = s[0].accept(); s[2].setblocking(False)", "_ = s[1].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)"],
        ["s[0] = new()", "s[0].bind({anywhere})", "s[0].listen(1)", "s[1] = new()", "s[1].connect_ex(address(s[0]))"],
        ["s[0] = new()", "s[1] = new()"],
    ],
    "unix": [
        ["s[0], s[1] = pair(socket.SOCK_STREAM)"],
        ["s[0] = new()", "s[0].bind({anywhere})", "s[0].listen(5)", "s[1] = new()", "s[1].connect_ex(address(s[0]))",
         "s[2], _ = s[0].accept(); s[2].setblocking(False)"],
        ["s[0] = new()", "s[1] = new()"],
    ],
    "unixgram": [
        ["s[0], s[1] = pair(socket.SOCK_DGRAM)"],
        ["s[0] = new()", "s[0].bind({anywhere})", "s[1] = new()", "s[1].bind({anywhere})",
         "s[1].connect(address(s[0]))"],
        ["s[0] = new()", "s[1] = new()"],
    ],
    "udp": [
        ["s[0] = new()", "s[0].bind({anywhere})", "s[1] = new()", "s[1].connect(address(s[0]))"],
        ["s[0] = new()", "s[0].bind({anywhere})", "s[1] = new()", "s[1].bind({anywhere})",
         "s[1].connect(address(s[0]))", "s[0].connect(address(s[1]))"],
        ["s[0] = new()", "s[1] = new()"],
    ],
}


class Call(NamedTuple):
    """A line with blanks, how often it is drawn, and for which kinds of sockets."""

    line: str
    weight: int = 4
    kinds: frozenset[str] = ALL


CALLS = (
    # What is made
    Call("s[{new}] = new()", 4),
    Call("s[{new}] = socket.socket(socket.{family}, socket.{type} | socket.SOCK_NONBLOCK)", 1),
    Call("s[{new}] = {s}.dup(); s[{new}].setblocking(False)", 3),
    Call("s[{new}] = socket.socket(fileno={s}.detach()); s[{new}].setblocking(False)", 2),
    Call("f[{file}] = {s}.makefile('rb', buffering=0)", 2),
    Call("f[{file}] = {s}.makefile('wb', buffering=0)", 2),
    Call("f[{file}] = {s}.makefile('rwb', buffering=0)", 1),
    Call("_ = f[{f}].read({size})", 3),
    Call("b = bytearray({size}); _ = f[{f}].readinto(b), bytes(b)", 1),
    Call("_ = f[{f}].write({data})", 3),
    Call("f[{f}].close()", 2),
    Call("_ = f[{f}].closed, f[{f}].readable(), f[{f}].writable(), f[{f}].mode, f[{f}].name >= 0", 1),
    # How they come together
    Call("s[{new}], _ = {s}.accept(); s[{new}].setblocking(False)", 8, STREAM),
    Call("s[{new}], _ = {s}.accept(); s[{new}].setblocking(False)", 1, DATAGRAM),
    Call("{s}.bind({anywhere})", 4),
    Call("{s}.bind({address})", 2),
    Call("{s}.listen({backlog})", 5, STREAM),
    Call("{s}.listen({backlog})", 1, DATAGRAM),
    Call("{s}.connect({address})", 6),
    Call("_ = {s}.connect_ex({address})", 6),
    # Bytes away
    Call("_ = {s}.send({data})", 14),
    Call("_ = {s}.send({data}, {send_flags})", 4),
    Call("_ = {s}.send(memoryview(array.array('i', range({small}))))", 1),
    Call("_ = {s}.send(big)", 1),
    Call("_ = {s}.sendall({data})", 5),
    Call("_ = {s}.sendall({data}, {send_flags})", 1),
    Call("_ = {s}.sendmsg([{data}, {data}])", 4),
    Call("_ = {s}.sendmsg([{data}], [], {send_flags})", 2),
    Call("_ = {s}.sendmsg([{data}], [], 0, {address})", 3),
    Call("_ = {s}.sendmsg([])", 1),
    Call("_ = {s}.sendto({data}, {address})", 3),
    Call("_ = {s}.sendto({data}, {address})", 10, DATAGRAM),
    Call("_ = {s}.sendto({data}, {send_flags}, {address})", 2),
    Call("with blocking({s}): _ = {s}.send({data}, socket.MSG_DONTWAIT)", 1),
    # Bytes here
    Call("_ = {s}.recv({size})", 16),
    Call("_ = {s}.recv({size}, {recv_flags})", 6),
    Call("b = bytearray({size}); _ = {s}.recv_into(b), bytes(b)", 4),
    Call("b = bytearray({size}); _ = {s}.recv_into(b, {small}), bytes(b)", 2),
    Call("b = bytearray({size}); _ = {s}.recv_into(b, 0, {recv_flags}), bytes(b)", 2),
    Call("b = array.array('i', bytes(4 * {small})); _ = {s}.recv_into(b), b.tobytes()", 1),
    Call("_ = {s}.recvfrom({size})", 4),
    Call("_ = {s}.recvfrom({size})", 6, DATAGRAM),
    Call("_ = {s}.recvfrom({size}, {recv_flags})", 3),
    Call("b = bytearray({size}); _ = {s}.recvfrom_into(b), bytes(b)", 2),
    Call("b = bytearray({size}); _ = {s}.recvfrom_into(b, {small}, {recv_flags}), bytes(b)", 2),
    Call("_ = {s}.recvmsg({size})", 3),
    Call("_ = {s}.recvmsg({size}, 64, {recv_flags})", 2),
    Call("b = bytearray({size}), bytearray({small}); _ = {s}.recvmsg_into(b), *map(bytes, b)", 3),
    Call("b = bytearray({size}), bytearray({small}); _ = {s}.recvmsg_into(b, 0, {recv_flags}), *map(bytes, b)", 1),
    Call("with blocking({s}): _ = {s}.recv({size}, socket.MSG_DONTWAIT)", 2),
    # Not with recv: it would show what lay in the memory behind the datagram
    Call("b = bytearray({size}); _ = {s}.recv_into(b, 0, socket.MSG_TRUNC), bytes(b)", 3, DATAGRAM),
    Call("_ = {s}.recvmsg({size}, 0, socket.MSG_TRUNC | socket.MSG_PEEK)[1:]", 2, UDP),
    # The end
    Call("{s}.shutdown(socket.SHUT_WR)", 4),
    Call("{s}.shutdown(socket.SHUT_RD)", 2),
    Call("{s}.shutdown(socket.SHUT_RDWR)", 2),
    Call("{s}.close()", 5),
    Call("with {s}: _ = {s}.fileno() >= 0", 1),
    Call("{s}.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger(1, 0)); {s}.close()", 2),
    # What they say of themselves
    Call("_ = {s}.getsockname()", 3),
    Call("_ = {s}.getpeername()", 4),
    Call("_ = {s}.family, {s}.type, {s}.proto, {s}.timeout, {s}.getblocking(), {s}.fileno() >= 0", 2),
    Call("_ = selected({s})", 5),
    Call("_ = polled({s})", 8),
    # Options
    Call("_ = {s}.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)", 6),
    Call("_ = {s}.getsockopt({option})", 5),
    Call("_ = {s}.getsockopt({option}, {small})", 1),
    Call("_ = {s}.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)", 1),
    Call("{s}.setsockopt({option}, {value})", 5),
    Call("{s}.setsockopt({option}, {value}); _ = {s}.getsockopt({option})", 3),
    Call("{s}.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger({bit}, {bit}))", 1),
    Call("{s}.setsockopt(socket.SOL_SOCKET, {buffer}, {large})", 2),
    # Time-outs; what could wait for ever is never called with one
    Call("{s}.settimeout(0.0); _ = {s}.gettimeout()", 1),
    Call("with blocking({s}): _ = {s}.gettimeout(), {s}.getblocking()", 1),
    Call("{s}.settimeout({timeout}); _ = {s}.timeout; {s}.setblocking(False)", 1),
    # Arguments that are none
    Call("_ = {s}.recv(-1)", 1),
    Call("_ = {s}.send('text')", 1),
    Call("{s}.shutdown(7)", 1),
    Call("_ = {s}.connect_ex({nonsense})", 1),
    Call("_ = {s}.sendto(b'x', {nonsense})", 1),
    # Names of files
    Call("os.unlink({s}.getsockname())", 2, UNIX),
    Call("_ = os.path.exists({s}.getsockname())", 1, UNIX),
)

OPTIONS = ("SOL_SOCKET.SO_TYPE", "SOL_SOCKET.SO_ACCEPTCONN", "SOL_SOCKET.SO_REUSEADDR", "SOL_SOCKET.SO_REUSEPORT",
           "SOL_SOCKET.SO_KEEPALIVE", "SOL_SOCKET.SO_BROADCAST", "SOL_SOCKET.SO_DOMAIN", "SOL_SOCKET.SO_PROTOCOL",
           "SOL_SOCKET.SO_OOBINLINE", "IPPROTO_TCP.TCP_NODELAY", "IPPROTO_TCP.TCP_KEEPIDLE", "IPPROTO_IP.IP_TTL",
           "IPPROTO_IPV6.IPV6_V6ONLY")
NONSENSE = ("None", "('127.0.0.1',)", "5", "('127.0.0.1', 70000)", "('127.0.0.1', 'http')", "b'bytes'", "()")


class Drawing:
    """One sequence as it grows: how many sockets and files there are, and the lines that were drawn."""

    def __init__(self, kind: str, seed: int, index: int, without: frozenset[str] = frozenset()) -> None:
        self.kind = kind
        self.made = 3  # a beginning makes at most so many
        self.files = 0
        self.paths = 0
        self._random = random.Random(f"{kind} {seed} {index}")
        self._calls = [call for call in CALLS if kind in call.kinds and not any(word in call.line for word in without)]
        self._weights = [call.weight for call in self._calls]

    def new(self) -> str:
        """A line that defines `new`, for this kind of sockets."""
        return f"new = maker(socket.{FAMILY[self.kind]}, socket.{self._type()})\n"

    def _type(self) -> str:
        return "SOCK_STREAM" if self.kind in STREAM else "SOCK_DGRAM"

    def beginning(self) -> list[str]:
        """The lines that come before the first random one."""
        ways = BEGINNINGS[self.kind.rstrip("46")]
        lines = self._random.choices(ways, [6, 3, 1][:len(ways)])[0]
        return [line.format(anywhere=self._anywhere()) for line in lines]

    def line(self, sockets: list[int], files: list[int]) -> str:
        """One more line, about the sockets and files that there are."""
        call = self._random.choices(self._calls, self._weights)[0]
        text = call.line
        if "f[{f}]" in text and not files:
            return self.line(sockets, files)
        # The same socket stands in each blank {s} of one line; every other blank is drawn anew.
        parts = text.replace("{s}", f"s[{self._some(sockets)}]").replace("{f}", str(self._some(files)))
        parts = parts.replace("{option}", self._option())
        while "{" in parts:
            head, _, tail = parts.partition("{")
            blank, _, tail = tail.partition("}")
            value = self._blank(blank, sockets)
            if blank in ("new", "file"):  # one number for the whole line
                tail = tail.replace("{" + blank + "}", value)
            parts = head + value + tail
        return parts

    def _some(self, there: list[int]) -> int:
        """One of them, the later the likelier."""
        if not there:
            return 0
        return self._random.choice(there[-4:] if self._random.random() < 0.7 else there)

    def _option(self) -> str:
        return ", ".join(f"socket.{word}" for word in self._random.choice(OPTIONS).split("."))

    def _anywhere(self) -> str:
        if self.kind in INTERNET:
            return repr((HOST[self.kind], 0))
        self.paths += 1
        roll = self._random.random()
        if roll < 0.15:
            return "''"  # Linux chooses an abstract name
        return f"'\\0' + name + '{self.paths}'" if roll < 0.4 else f"where + '/{self.paths}'"

    def _blank(self, blank: str, sockets: list[int]) -> str:
        draw = self._random
        match blank:
            case "new":
                self.made += 1
                return str(self.made - 1)
            case "file":
                self.files += 1
                return str(self.files - 1)
            case "family":
                return FAMILY[self.kind]
            case "type":
                return self._type()
            case "anywhere":
                return self._anywhere()
            case "address":
                return f"address(s[{self._some(sockets)}])"
            case "data":
                return f"b'{chr(draw.randrange(97, 123))}' * {draw.choice((0, 1, 2, 5, 10, 10, 50, 200, 1000))}"
            case "size":
                return str(draw.choice((0, 1, 2, 3, 5, 10, 30, 100, 100, 500, 2000)))
            case "small":
                return str(draw.randrange(8))
            case "backlog":
                return str(draw.choice((-1, 0, 1, 2, 5, 100)))
            case "bit":
                return str(draw.randrange(2))
            case "value":
                return draw.choice(("0", "1", "2", "b'\\1\\0\\0\\0'", "b''", "-1", "60"))
            case "large":
                return str(draw.choice((100_000, 200_000)))
            case "buffer":
                return draw.choice(("socket.SO_RCVBUF", "socket.SO_SNDBUF"))
            case "timeout":
                return draw.choice(("5", "0.5", "None", "-1", "float('nan')", "'text'"))
            case "recv_flags":
                names = ["MSG_PEEK", "MSG_DONTWAIT", "MSG_WAITALL"]
                return " | ".join(f"socket.{name}" for name in draw.sample(names, draw.choice((1, 1, 1, 2))))
            case "send_flags":
                return draw.choice(("socket.MSG_DONTWAIT", "socket.MSG_NOSIGNAL", "socket.MSG_DONTROUTE", "0"))
            case "nonsense":
                return draw.choice(NONSENSE)
        raise AssertionError(f"nothing fills {blank!r}")


KINDS = ("tcp4", "tcp6", "unix", "unixgram", "udp4", "udp6")
assert socket.has_ipv6, "the fuzzer needs both address families"
