"""The look-ups of module socket, over the virtual resolver.

Owns what a program passes to `socket.getaddrinfo()` and its neighbours and the wording of what is wrong with it, as in
CPython's socketmodule.c. Does not own the addresses of hosts and the numbers of services (kernel/addresses). The table
at the end is what stdlib/seal puts in the place of the real ones.

These calls block. A slow name (`network.delay_lookup`) would stop a running loop for its seconds, so that is refused
with the cure; in a worker thread, or where no loop runs, it is answered at once.
"""

from __future__ import annotations

import errno
import os
import socket
from asyncio import _get_running_loop
from collections.abc import Callable
from operator import index as index_of
from typing import Any

from ...errors import SolipsismError
from ...kernel.addresses import services
from ...kernel.addresses.hosts import here
from ...kernel.addresses.interfaces import INTERFACES
from ...kernel.descriptors.file import os_error
from ...pythons import NO_SUCH_INTERFACE, judge_interface
from ..worlds import World

_INDEXES = {interface.name: index for index, interface in INTERFACES.items()}


def refuse_to_block(name: str, seconds: float) -> None:
    """Raise SolipsismError where a loop runs in this thread: nothing of it could run during the look-up."""
    if _get_running_loop() is not None:
        raise SolipsismError(f"looking up {name} takes {seconds!r} s of virtual time, and this call would stop the "
                             "loop for as long: await loop.getaddrinfo(), or look it up in a worker thread "
                             "(asyncio.to_thread)")


def getaddrinfo(world: World, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0,
                flags: int = 0) -> Any:
    """As `_socket.getaddrinfo`."""
    world.kernel.names.check_blocking(host)
    return world.kernel.names.getaddrinfo(host, port, family, type, proto, flags)


def getnameinfo(world: World, sockaddr: Any, flags: int, /) -> tuple[str, str]:
    """As `socket.getnameinfo`."""
    return world.kernel.names.getnameinfo(sockaddr, flags)


def gethostbyname(world: World, hostname: Any, /) -> str:
    """As `socket.gethostbyname`."""
    return world.kernel.names.one_address(_host(hostname, "gethostbyname"), socket.AF_INET)


def gethostbyname_ex(world: World, hostname: Any, /) -> tuple[str, list[str], list[str]]:
    """As `socket.gethostbyname_ex`: (canonical name, aliases, IPv4 addresses)."""
    name = _host(hostname, "gethostbyname_ex")
    if not name:
        raise _host_error(3, "Unknown server error")
    if name == "<broadcast>" or name.startswith("::ffff:"):
        raise _host_error(1, "Unknown host")
    infos = getaddrinfo(world, name, None, socket.AF_INET, socket.SOCK_STREAM, 0, socket.AI_CANONNAME)
    canonical = infos[0][3]
    aliases = [] if canonical.lower() == name.lower().removesuffix(".") else [name]
    return canonical, aliases, [info[4][0] for info in infos]


def gethostbyaddr(world: World, ip_address: Any, /) -> tuple[str, list[str], list[str]]:
    """As `socket.gethostbyaddr`: (name, aliases, the address); a name is looked up first."""
    name = _host(ip_address, "gethostbyaddr")
    if not name:
        raise OSError("wildcard resolved to multiple address")
    address = world.kernel.names.one_address(name)
    found = world.kernel.names.name_of(address)
    if found is None:
        raise _host_error(1, "Unknown host")
    return found, [], [address]


def gethostname(world: World, /) -> str:
    """As `socket.gethostname`."""
    return (here.get() or world.kernel.names.machine).name


def getservbyname(world: World, servicename: Any, /, *protocolname: Any) -> int:
    """As `socket.getservbyname`."""
    return services.getservbyname(*_texts("getservbyname", servicename, *protocolname))


def getservbyport(world: World, port: Any, /, *protocolname: Any) -> str:
    """As `socket.getservbyport`."""
    number = index_of(port)
    _texts("getservbyport", "", *protocolname)
    return services.getservbyport(number, *protocolname)


def getprotobyname(world: World, protocolname: Any, /) -> int:
    """As `socket.getprotobyname`."""
    return services.getprotobyname(*_texts("getprotobyname", protocolname))


def if_nameindex(world: World, /) -> list[tuple[int, str]]:
    """As `socket.if_nameindex`: loopback, and one interface to all other hosts."""
    return [(index, interface.name) for index, interface in INTERFACES.items()]


def if_nametoindex(world: World, if_name: Any, /) -> int:
    """As `socket.if_nametoindex`."""
    name = os.fsdecode(if_name)
    if "\0" in name:
        raise ValueError("embedded null byte")
    if name not in _INDEXES:
        raise os_error(errno.ENODEV) if NO_SUCH_INTERFACE else OSError("no interface with this name")
    return _INDEXES[name]


def if_indextoname(world: World, if_index: Any, /) -> str:
    """As `socket.if_indextoname`."""
    judge_interface(if_index)
    index = index_of(if_index)
    if index not in INTERFACES:
        raise os_error(errno.ENXIO)
    return INTERFACES[index].name


def _host_error(code: int, text: str) -> OSError:
    return socket.herror(code, text)


def _host(value: Any, call: str) -> str:
    """The host that a program passed, as the resolver takes it."""
    if isinstance(value, str):
        text = value.encode("idna").decode()  # UnicodeError for a label that is empty or too long
    elif isinstance(value, (bytes, bytearray)):
        text = value.decode("ascii", "replace")
    else:
        raise TypeError(f"{call}() argument 1 must be str, bytes or bytearray, not {_type_name(value)}")
    if "\0" in text:
        raise TypeError(f"{call}() argument 1 must be encoded string without null bytes, not {_type_name(value)}")
    return text


def _texts(call: str, *values: Any) -> tuple[str, ...]:
    if len(values) > 2:
        raise TypeError(f"{call}() takes at most 2 arguments ({len(values)} given)")
    for number, value in enumerate(values, 1):
        if not isinstance(value, str):
            raise TypeError(f"{call}() argument {number} must be str, not {_type_name(value)}")
        if "\0" in value:
            raise ValueError("embedded null character")
    return values


def _type_name(value: object) -> str:
    return "None" if value is None else type(value).__name__


# What replaces the C functions of module socket; each is called with the thread's world as first argument.
ANSWERS: dict[str, Callable[..., Any]] = {
    answer.__name__: answer for answer in (
        gethostbyname, gethostbyname_ex, gethostbyaddr, gethostname, getnameinfo, getservbyname, getservbyport,
        getprotobyname, if_nameindex, if_nametoindex, if_indextoname,
    )
}
