"""Addresses: what a program passes to bind() and connect(), and what getsockname() gives back, family by family.

Owns the tuples and paths that Python shows, their checks, and the words of these errors as in CPython's socketmodule.c.
Does not own who is bound where (kernel/network). In the kernel an address is a tuple too: (literal address, port), or
(path,). The rule that keeps it simple: what differs by family is one row of `FORMATS`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from operator import index as index_of
from typing import Any, NamedTuple

from ...kernel import Kernel
from ...kernel.addresses.literals import plain
from ...kernel.descriptors.end import Address, End
from ..files.paths import name_space

UNIX_PATH_MAX = 108  # bytes in a sockaddr_un of Linux; a path needs one for its end


class Format(NamedTuple):
    """How the addresses of one family are read and shown, and where a kernel keeps them."""

    parse: Callable[[Kernel, Any, str], Address]  # (kernel, what the program passed, the name of the call)
    show: Callable[[Address | None], Any]
    space: Callable[[Kernel], Any]  # what has bind(end, *address), connect(end, *address) and listen(end, backlog)


def parse(kernel: Kernel, family: int, address: Any, call: str) -> Address:
    """The kernel's form of an address that a program passed to `call`; names are looked up, as by the C code."""
    return FORMATS[family].parse(kernel, address, call)


def show(family: int, address: Address | None) -> Any:
    """Python's form of a kernel's address; None stands for an end without one."""
    return FORMATS[family].show(address)


def space(kernel: Kernel, end: End) -> Any:
    """What binds and connects ends of this family: the network, or the name space of UNIX sockets."""
    return FORMATS[end.family].space(kernel)


def _parse_inet(kernel: Kernel, address: Any, call: str) -> Address:
    if not isinstance(address, tuple):
        raise TypeError(f"{call}(): AF_INET address must be tuple, not {type(address).__name__}")
    if len(address) != 2:
        raise TypeError("AF_INET address must be a pair (host, port)")
    host, port = address
    if type(port) is not int:
        port = index_of(port)
    text = plain(host, 4) if type(host) is str else None  # a literal needs no look-up, unless that would take time
    if text is None or kernel.names.has_delays:
        text = _host(kernel, host, socket.AF_INET)
    if not 0 <= port <= 65535:
        _check_port(port, call)
    return text, port


def _parse_inet6(kernel: Kernel, address: Any, call: str) -> Address:
    if not isinstance(address, tuple):
        raise TypeError(f"{call}(): AF_INET6 address must be tuple, not {type(address).__name__}")
    if not 2 <= len(address) <= 4:
        raise TypeError("AF_INET6 address must be a tuple (host, port[, flowinfo[, scopeid]])")
    port, flow, _ = map(index_of, (*address[1:], 0, 0)[:3])
    host = _host(kernel, address[0], socket.AF_INET6)
    _check_port(port, call)
    if not 0 <= flow < 2**20:
        raise OverflowError(f"{call}(): flowinfo must be 0-1048575.")
    return host, port


def _host(kernel: Kernel, host: Any, family: int) -> str:
    if isinstance(host, str):
        try:  # the C code leaves ASCII alone here: an empty label is a gaierror
            host = host.encode("ascii" if host.isascii() else "idna")
        except UnicodeError:
            raise TypeError("encoding of hostname failed") from None
    return kernel.names.one_address(host, family)


def _check_port(port: int, call: str) -> None:
    if not 0 <= port <= 65535:
        raise OverflowError(f"{call}(): port must be 0-65535.")


def _show_inet(address: Address | None) -> Any:
    host, port = address or ("0.0.0.0", 0)
    return host.partition("%")[0], port  # nobody sees whose loopback it is


def _show_inet6(address: Address | None) -> Any:
    host, port, *more = address or ("::", 0)  # more: only a pair that was given names has it
    host = host.partition("%")[0]
    return (host if ":" in host else f"::ffff:{host}", port, *(more or (0, 0)))


def _parse_unix(kernel: Kernel, address: Any, call: str) -> Address:
    if isinstance(address, str):
        address = os.fsencode(address)
    try:
        with memoryview(address) as view:
            name = bytes(view)
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not {type(address).__name__!r}") from None
    if len(name) > UNIX_PATH_MAX or (len(name) == UNIX_PATH_MAX and name[0]):
        raise OSError("AF_UNIX path too long")
    # A path ends at the first null byte, an abstract name does not.
    return (name if name[:1] == b"\0" else name.partition(b"\0")[0],)


def _show_unix(address: Address | None) -> Any:
    if address is None:
        return ""
    name: bytes = address[0]
    return name if name[:1] == b"\0" else os.fsdecode(name)


FORMATS: dict[int, Format] = {
    socket.AF_INET: Format(_parse_inet, _show_inet, lambda kernel: kernel.network),
    socket.AF_INET6: Format(_parse_inet6, _show_inet6, lambda kernel: kernel.network),
    **({socket.AF_UNIX: Format(_parse_unix, _show_unix, name_space)} if hasattr(socket, "AF_UNIX") else {}),
}
