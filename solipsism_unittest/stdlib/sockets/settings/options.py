"""Socket options: how each is set, read, and what it changes.

Owns the table of options and the errors of setsockopt(2) and getsockopt(2). Does not own what an option changes: that
is an attribute of the end (kernel/descriptors). The rule that keeps it simple: an option is one row, by level and
number; one without a row is refused, as Linux refuses unknown options. Defaults and limits are those of Linux.
"""

from __future__ import annotations

import errno
import functools
import operator
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from ....kernel.descriptors.datagram import Datagram
from ....kernel.descriptors.end import End
from ....kernel.descriptors.file import os_error
from ....kernel.descriptors.stream import Stream
from ....kernel.descriptors.transitions import (
    CLOSE_WAIT,
    CONNECTING,
    ESTABLISHED,
    FIN_WAIT,
    FINISHED,
    FRESH,
    LISTENING,
    SILENT,
    SILENT_END,
)
from ....pythons import judge_option
from .multicast import MULTICAST, number_in

# Linux's numbers, for systems and Pythons that do not name them.
IP_MTU_DISCOVER, IP_RECVERR, IPV6_MTU_DISCOVER, IPV6_RECVERR = 10, 11, 23, 25
MAX_BUFFER = 4 * 1024 * 1024  # net.core.rmem_max and wmem_max
MIN_RECEIVE_BUFFER, MIN_SEND_BUFFER = 2304, 4608  # the least that getsockopt() reports

Value = int | bytes
Key = tuple[int, int]  # level and number
TCP, UDP, UNIX = "TCP", "UDP", "UNIX"


class Option(NamedTuple):
    """How one option is read and set; `change` is None for one that can only be read."""

    read: Callable[[End], Value]
    change: Callable[[End, Value], None] | None
    kinds: frozenset[str] = frozenset({TCP, UDP, UNIX})  # the kinds of sockets that have it
    elsewhere: int = errno.ENOPROTOOPT  # the errno of the other kinds


def kind_of(end: End) -> str:
    """TCP, UDP or UNIX (of either type)."""
    return _kind_of(end.family, end.type)


def _kind_of(family: int, type: int) -> str:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return UNIX
    return TCP if type == socket.SOCK_STREAM else UDP


def protocol(end: End) -> int:
    """SO_PROTOCOL: the protocol's number, 0 for UNIX."""
    return {TCP: socket.IPPROTO_TCP, UDP: socket.IPPROTO_UDP, UNIX: 0}[kind_of(end)]


def set_option(end: End, level: int, optname: int, values: tuple[Any, ...]) -> None:
    """setsockopt(2) as Python has it: the value is an int, a buffer, or None together with a length."""
    value: Any = values[0] if len(values) == 1 else None
    key = level, optname
    if (value is True or type(value) is int and value == 1) and (
            type(level) is type(optname) is int and key in OPTIONS):  # as asyncio sets them
        if key in _ON and not end.options and type(end) is Stream and end.is_tcp:
            end.options = _ON[key]
            return
    else:
        judge_option(level, optname, *values)
        value, size = values[0], 4
        if value is None:
            size = values[1]
        elif hasattr(value, "__index__"):
            value = operator.index(value)
        else:
            value = bytes(memoryview(value))
            size = len(value)
        if level == socket.SOL_SOCKET and size < 4 and key != _DEVICE:
            raise os_error(errno.EINVAL)  # sk_setsockopt() checks this first
    option = _option(end.family, end.type, level, optname, "set")
    if option.change is None:
        raise os_error(errno.ENOPROTOOPT)
    if value is None:
        raise os_error(errno.EFAULT)  # no option here is a null pointer
    option.change(end, value)


def get_option(end: End, level: int, optname: int, buflen: int, path_mtu: Callable[[Any], int]) -> Any:
    """getsockopt(2): an int, or with `buflen` that number of bytes. `path_mtu(end)` is IP_MTU."""
    if not 0 <= buflen <= 1024:
        raise OSError("getsockopt buflen out of range")
    option = _option(end.family, end.type, level, optname, "get")
    value = path_mtu(end) if (level, optname) in _PATH_MTU else option.read(end)
    if buflen and level == socket.IPPROTO_IP and buflen < 4 and isinstance(value, int) and 0 <= value <= 255:
        return bytes([value])  # as ip_getsockopt() does
    if buflen:
        return (value if isinstance(value, bytes) else struct.pack("i", value))[:buflen]
    return int.from_bytes(value[:4], sys.byteorder, signed=True) if isinstance(value, bytes) else value


@functools.lru_cache(256)
def _option(family: int, type: int, level: int, optname: int, verb: str) -> Option:
    option = OPTIONS.get((level, optname))
    kind = _kind_of(family, type)
    if level != socket.SOL_SOCKET:
        if kind is UNIX:
            raise os_error(errno.EOPNOTSUPP)
        own = socket.IPPROTO_TCP if kind is TCP else socket.IPPROTO_UDP
        if family == socket.AF_INET and level not in (socket.IPPROTO_IP, own):
            # ip_getsockopt() of Linux has another errno for a level that is not its own than ip_setsockopt().
            raise os_error(errno.EOPNOTSUPP if verb == "get" else errno.ENOPROTOOPT)
        if level not in (socket.IPPROTO_IP, socket.IPPROTO_IPV6, own):
            raise os_error(errno.ENOPROTOOPT)
    if option is None:
        raise os_error(errno.ENOPROTOOPT)
    if kind not in option.kinds:
        raise os_error(option.elsewhere)
    return option


# -- how an option is kept


def _switch(key: Key, default: int = 0) -> Option:
    """1 or 0, for any number; it has no effect."""
    shortest = _shortest(key)

    def change(end: End, value: Value) -> None:
        end.remember(key, 1 if number_in(value, shortest) else 0)

    return Option(lambda end: end.options.get(key, default), change)


def _asks_for_reports(key: Key) -> Option:
    """IP_RECVERR: who asks no longer loses the errors that were not read."""

    def change(end: End, value: Value) -> None:
        end.remember(key, int(number_in(value, _shortest(key)) != 0))
        if not end.options[key]:
            end.reports = None

    return Option(lambda end: end.options.get(key, 0), change)


def _remembered(key: Key, default: int, lowest: int, highest: int) -> Option:
    """A number within limits (EINVAL outside); it has no effect."""

    def change(end: End, value: Value) -> None:
        number = number_in(value, _shortest(key))
        if number == -1 and key in _MINUS_ONE_IS_DEFAULT:
            number = default
        if not lowest <= number <= highest:
            raise os_error(errno.EINVAL)
        end.remember(key, number)

    return Option(lambda end: end.options.get(key, default), change)


def _shortest(key: Key) -> int:
    return 1 if key[0] == socket.IPPROTO_IP else 4  # ip_setsockopt() of Linux takes a byte as well


def _fact(read: Callable[[End], Value]) -> Option:
    """An option that can only be read."""
    return Option(read, None)


def _text(key: Key, size: int, default: bytes, known: frozenset[bytes]) -> Option:
    """A name, as bytes that end with a NUL; ENOENT for a name that the system does not know."""

    def change(end: End, value: Value) -> None:
        name = (value if isinstance(value, bytes) else struct.pack("i", value)).split(b"\0")[0]
        if name not in known:
            raise os_error(errno.ENOENT)
        end.remember(key, name.ljust(size, b"\0"))

    return Option(lambda end: end.options.get(key, default.ljust(size, b"\0")), change)


# -- options that change something


def _set_reuse_address(end: End, value: Value) -> None:
    end.reuse_address = number_in(value) != 0


def _set_reuse_port(end: End, value: Value) -> None:
    wanted = number_in(value) != 0
    if wanted and kind_of(end) is UNIX:
        raise os_error(errno.EOPNOTSUPP)
    end.reuse_port = wanted


def _set_broadcast(end: End, value: Value) -> None:
    end.broadcast = number_in(value) != 0


def _set_v6_only(end: End, value: Value) -> None:
    if end.local is not None and not end.has_lost_its_port:
        raise os_error(errno.EINVAL)
    end.v6_only = number_in(value) != 0


def _set_linger(end: End, value: Value) -> None:
    if isinstance(value, int) or len(value) < 8:
        raise os_error(errno.EINVAL)
    on, seconds = struct.unpack_from("ii", value)
    end.linger_zero = bool(on) and seconds == 0
    if on and seconds > 0 or end.linger:
        end.linger = seconds if on else 0
    end.remember(_LINGER, struct.pack("ii", int(on != 0), seconds if on else _linger(end)[1]))


def _linger(end: End) -> tuple[int, int]:
    on, seconds = struct.unpack("ii", end.options.get(_LINGER, bytes(8)))
    return on, seconds


def _buffer_size(value: Value, least: int) -> int:
    """The size of a buffer as getsockopt() reports it: twice what was set, since Linux counts its own overhead."""
    wanted = number_in(value)
    return max(least, 2 * min(wanted if wanted >= 0 else MAX_BUFFER, MAX_BUFFER))


def _set_receive_buffer(end: End, value: Value) -> None:
    end.resize(receive=_buffer_size(value, MIN_RECEIVE_BUFFER))


def _set_send_buffer(end: End, value: Value) -> None:
    end.resize(send=_buffer_size(value, MIN_SEND_BUFFER))


def _set_device(end: End, value: Value) -> None:
    if isinstance(value, int) and value:
        raise os_error(errno.ENODEV)
    end.remember(_DEVICE, b"" if isinstance(value, int) else value)


def _set_low_water(end: End, value: Value) -> None:
    end.remember(_LOW_WATER, number_in(value) or 1)


def _set_timeval(key: Key) -> Callable[[End, Value], None]:
    def change(end: End, value: Value) -> None:
        if isinstance(value, int) or len(value) < 16:
            raise os_error(errno.EINVAL)
        end.remember(key, value)

    return change


def _set_type_of_service(end: End, value: Value) -> None:
    wanted = number_in(value, 1) & 0xFF
    end.remember(_TOS, wanted & ~3 if kind_of(end) is TCP else wanted)  # TCP keeps the two bits of ECN for itself


def _set_segment_size(end: End, value: Value) -> None:
    wanted = number_in(value)
    if wanted and not 88 <= wanted <= 32767:
        raise os_error(errno.EINVAL)


def _set_mtu(end: End, value: Value) -> None:
    wanted = number_in(value)
    if wanted and wanted < 1280:  # what every way takes (RFC 8200, 5); the size of fragments changes nothing
        raise os_error(errno.EINVAL)


def _tcp_info(end: End) -> bytes:
    """struct tcp_info of linux/tcp.h: its first byte is the state, and the others are 0."""
    assert isinstance(end, Stream)
    return bytes([_TCP_STATES.get(end.state, 7)]) + bytes(247)


def _peer_credentials(end: End) -> bytes:
    """struct ucred: process, user and group of the other end, which is this program too; 0, -1, -1 without one."""
    if isinstance(end, Stream):
        known = kind_of(end) is UNIX and (end.peer is not None or end.state == LISTENING)
    else:  # only of socketpair()
        assert isinstance(end, Datagram), end
        known = end.peer is not None and end.peer.peer is end and end.local is None and end.peer.local is None
    return struct.pack("3i", os.getpid(), os.getuid(), os.getgid()) if known else struct.pack("3i", 0, -1, -1)


_TCP_STATES = {
    ESTABLISHED: 1, SILENT: 1, CONNECTING: 2, FIN_WAIT: 5, FINISHED: 7, CLOSE_WAIT: 8, SILENT_END: 8, LISTENING: 10,
    FRESH: 7,
}


# -- the tables

_LINGER = socket.SOL_SOCKET, socket.SO_LINGER
_DEVICE = socket.SOL_SOCKET, 25
_LOW_WATER = socket.SOL_SOCKET, socket.SO_RCVLOWAT
_TOS = socket.IPPROTO_IP, socket.IP_TOS
_ANY = -2**31, 2**31 - 1

# Kept as 1 or 0, with no effect: the default
_SWITCHES: dict[Key, int] = {
    **{(socket.SOL_SOCKET, number): 0 for number in (
        1,  # SO_DEBUG
        socket.SO_DONTROUTE, socket.SO_KEEPALIVE, socket.SO_OOBINLINE,
        11,  # SO_NO_CHECK
        29, 35, 63, 64,  # SO_TIMESTAMP SO_TIMESTAMPNS and their new numbers
        40,  # SO_RXQ_OVFL
    )},
    **{(socket.IPPROTO_TCP, number): 0 for number in (
        1,  # TCP_NODELAY: nothing is ever held back
        3,  # TCP_CORK
    )},
    (socket.IPPROTO_TCP, 12): 1,  # TCP_QUICKACK
    **{(socket.IPPROTO_IP, number): 0 for number in (
        6, 7, 8, 12, 13, 15, 19, 20, 24,  # IP_RECVOPTS RETOPTS PKTINFO RECVTTL RECVTOS FREEBIND TRANSPARENT
        # RECVORIGDSTADDR BIND_ADDRESS_NO_PORT
    )},
    **{(socket.IPPROTO_IPV6, number): 0 for number in (
        49, 51, 53, 56, 58, 60, 62, 66,  # IPV6_RECVPKTINFO HOPLIMIT HOPOPTS RTHDR DSTOPTS PATHMTU DONTFRAG RECVTCLASS
    )},
}
# The options of a TCP socket on which one switch of TCP is on: asyncio sets the same one on each of thousands.
_ON: dict[Key, dict[Key, Any]] = {key: {key: 1} for key in _SWITCHES if key[0] == socket.IPPROTO_TCP}
# Kept with no effect: the default, the lowest and the highest value
_NUMBERS: dict[Key, tuple[int, int, int]] = {
    (socket.SOL_SOCKET, 12): (0, *_ANY),  # SO_PRIORITY
    (socket.SOL_SOCKET, 36): (0, *_ANY),  # SO_MARK
    (socket.SOL_SOCKET, 42): (-1, *_ANY),  # SO_PEEK_OFF
    (socket.SOL_SOCKET, 46): (0, *_ANY),  # SO_BUSY_POLL
    (socket.SOL_SOCKET, 49): (-1, *_ANY),  # SO_INCOMING_CPU
    (socket.IPPROTO_TCP, 4): (7200, 1, 32767),  # TCP_KEEPIDLE
    (socket.IPPROTO_TCP, 5): (75, 1, 32767),  # TCP_KEEPINTVL
    (socket.IPPROTO_TCP, 6): (9, 1, 127),  # TCP_KEEPCNT
    (socket.IPPROTO_TCP, 7): (6, 1, 127),  # TCP_SYNCNT
    (socket.IPPROTO_TCP, 8): (60, *_ANY),  # TCP_LINGER2
    (socket.IPPROTO_TCP, 9): (0, *_ANY),  # TCP_DEFER_ACCEPT
    (socket.IPPROTO_TCP, 10): (0, *_ANY),  # TCP_WINDOW_CLAMP
    (socket.IPPROTO_TCP, 18): (0, 0, 2**31 - 1),  # TCP_USER_TIMEOUT
    (socket.IPPROTO_TCP, 23): (0, *_ANY),  # TCP_FASTOPEN
    (socket.IPPROTO_TCP, 30): (0, 0, 1),  # TCP_FASTOPEN_CONNECT
    (socket.IPPROTO_TCP, 25): (0, *_ANY),  # TCP_NOTSENT_LOWAT
    (socket.IPPROTO_IP, socket.IP_TTL): (64, 1, 255),
    (socket.IPPROTO_IP, IP_MTU_DISCOVER): (1, 0, 5),
    (socket.IPPROTO_IPV6, 16): (64, -1, 255),  # IPV6_UNICAST_HOPS
    (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER): (1, 0, 5),
    (socket.IPPROTO_IPV6, 67): (0, -1, 255),  # IPV6_TCLASS
}

_MINUS_ONE_IS_DEFAULT = frozenset({(socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IP, socket.IP_MULTICAST_TTL)})
_CONGESTION = socket.IPPROTO_TCP, 13
_TIMEOUTS = [(socket.SOL_SOCKET, 20), (socket.SOL_SOCKET, 21)]  # SO_RCVTIMEO SO_SNDTIMEO
_OF_UNIX = [(socket.SOL_SOCKET, 16), (socket.SOL_SOCKET, 34)]  # SO_PASSCRED SO_PASSSEC

_PATH_MTU: dict[Key, Option] = {  # what the network knows
    (socket.IPPROTO_IP, 14): _fact(lambda end: 0),  # IP_MTU
    (socket.IPPROTO_IPV6, 24): Option(lambda end: 0, _set_mtu),  # IPV6_MTU
}

OPTIONS: dict[Key, Option] = {
    **{key: _switch(key, default) for key, default in _SWITCHES.items()},
    **{key: Option(*_switch(key)[:2], frozenset({UNIX}), errno.EOPNOTSUPP) for key in _OF_UNIX},
    **{key: _asks_for_reports(key) for key in ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR))},
    **{key: _remembered(key, *limits) for key, limits in _NUMBERS.items()},
    (socket.SOL_SOCKET, socket.SO_REUSEADDR): Option(lambda end: int(end.reuse_address), _set_reuse_address),
    (socket.SOL_SOCKET, getattr(socket, "SO_REUSEPORT", 15)): Option(lambda end: int(end.reuse_port), _set_reuse_port),
    (socket.SOL_SOCKET, socket.SO_BROADCAST): Option(lambda end: int(end.broadcast), _set_broadcast),
    (socket.SOL_SOCKET, socket.SO_TYPE): _fact(lambda end: int(end.type)),
    (socket.SOL_SOCKET, 17): _fact(_peer_credentials),  # SO_PEERCRED
    (socket.SOL_SOCKET, socket.SO_ERROR): _fact(lambda end: end.take_error()),
    (socket.SOL_SOCKET, socket.SO_ACCEPTCONN): _fact(
        lambda end: int(isinstance(end, Stream) and end.state == LISTENING)),
    (socket.SOL_SOCKET, 38): _fact(protocol),  # SO_PROTOCOL
    (socket.SOL_SOCKET, 39): _fact(lambda end: int(end.family)),  # SO_DOMAIN
    (socket.SOL_SOCKET, socket.SO_SNDLOWAT): _fact(lambda end: 1),
    _LOW_WATER: Option(lambda end: end.options.get(_LOW_WATER, 1), _set_low_water),
    (socket.SOL_SOCKET, socket.SO_SNDBUF): Option(lambda end: end.send_buffer, _set_send_buffer),
    (socket.SOL_SOCKET, socket.SO_RCVBUF): Option(lambda end: end.receive_buffer, _set_receive_buffer),
    **{key: Option(lambda end, key=key: end.options.get(key, bytes(16)), _set_timeval(key))  # type: ignore[misc]
       for key in _TIMEOUTS},
    _TOS: Option(lambda end: end.options.get(_TOS, 0), _set_type_of_service),
    _LINGER: Option(lambda end: struct.pack("ii", *_linger(end)), _set_linger),
    _DEVICE: Option(lambda end: end.options.get(_DEVICE, b""), _set_device),
    (socket.IPPROTO_TCP, 2): Option(lambda end: 536, _set_segment_size),  # TCP_MAXSEG
    (socket.IPPROTO_TCP, 11): _fact(_tcp_info),
    _CONGESTION: _text(_CONGESTION, 16, b"cubic", frozenset({b"cubic", b"reno"})),
    (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY): Option(lambda end: int(end.v6_only), _set_v6_only),
    **{key: Option(*pair) for key, pair in MULTICAST.items()},
    **_PATH_MTU,
}
