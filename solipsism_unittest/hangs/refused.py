"""Why a connection was refused: who was asked, who listens in this test, and what there is in the real world. And who
has an address that is in use.

Of TCP the error names the address, of a UNIX socket it names nothing: then the latest refusal with its errno is meant.
"""

from __future__ import annotations

import _socket
import errno
import os
import re
import socket
from collections.abc import Iterator

from ..introspection.exceptions import parts
from ..kernel import Kernel
from ..kernel.descriptors.end import Address, shown
from ..kernel.network.network import Network, Refusal
from ..kernel.network.unix import PathRefusal
from ..stdlib.seal.permits import allow_escape

LISTENERS_NAMED = 5
_ADDRESS = re.compile(r"\('([^']*)', (\d+)[,)]")  # in an error of asyncio's


def refusal_words(error: BaseException, kernel: Kernel) -> Iterator[str]:
    """For each refused connection in an error the text that says why; none where the error has nothing of that."""
    if not kernel.has_network:
        return
    network, paths = kernel.network, kernel.paths.refused
    errors = [each for each in parts([error]) if isinstance(each, OSError)]
    missed = dict.fromkeys(path for each in errors if (path := _path(each, paths)) is not None)
    yield from (_path_words(path, paths[path]) for path in missed)
    refused = [each for each in errors if each.errno == errno.ECONNREFUSED or "Connect call failed" in str(each)]
    asked = {address: refusal for address, refusal in network.refused.items()
             if refusal.kind == socket.SOCK_STREAM and any(_names(each, address) for each in refused)}
    if refused and not asked and network.refused and not missed:
        last = next(reversed(network.refused))  # a plain socket's error has no address
        asked = {last: network.refused[last]}
    seen = set()
    for (address, port, *_), refusal in asked.items():
        host = network.names.name_of(address) or address
        if (host, port) not in seen:  # a host may have several addresses
            seen.add((host, port))
            yield _words(network, host, address, port, refusal)


def taken_words(error: BaseException, kernel: Kernel) -> Iterator[str]:
    """Who had the address that an error names as one in use; none where it names none."""
    if not kernel.has_network:
        return
    tables = kernel.network.tcp, kernel.network.udp.ports
    for each in parts([error]):
        in_use = isinstance(each, OSError) and each.errno == errno.EADDRINUSE
        for address, port in _ADDRESS.findall(str(each)) if in_use else ():
            for owner in filter(None, (table.taken.get((address, int(port))) for table in tables)):
                yield (f"{_listener(kernel.network, *owner)} has this address: close it first, or take another port; "
                       "port 0 is a free one")


def _path(error: OSError, refused: dict[bytes, PathRefusal]) -> bytes | None:
    """The latest address of a UNIX socket that was refused with this error, which names none; None where none was."""
    if error.filename is not None or "Connect call failed" in str(error):
        return None
    return next((path for path in reversed(refused) if refused[path].code == error.errno), None)


def _path_words(path: bytes, refusal: PathRefusal) -> str:
    now, _, exists, bound, kind, listeners = refusal
    there = ""
    if exists:
        there = ("\n  a real file is there: what was bound outside of the test, as a real server's socket, cannot be "
                 "reached from here")
    elif bound is not None:
        there = f"\n  a socket is bound there, made at {bound.place or 'a line that is not known'}, and does not listen"
    elif refusal.code != errno.ENOENT and path[:1] != b"\0":
        there = "\n  the socket that was bound there is closed, and its file was left"
    servers = list(dict.fromkeys(shown(local) + (f" ({place})" if place else "") for local, place in listeners))
    cure = (f"`await self.start_fake_server(handler, path={os.fsdecode(path)!r})`" if kind == socket.SOCK_STREAM else
            f"`await loop.create_datagram_endpoint(protocol, local_addr={os.fsdecode(path)!r}, family=socket.AF_UNIX)`")
    return (f"nobody listens at {shown((path,))} at t={now!r}; UNIX servers in this test: {_named(servers)}{there}\n"
            f"  UNIX sockets are in memory, and no packet leaves the process: {cure} puts a server there")


def _named(servers: list[str]) -> str:
    named = ", ".join(servers[:LISTENERS_NAMED])
    return (f"{named} and {len(servers) - LISTENERS_NAMED} more" if len(servers) > LISTENERS_NAMED else named) or "none"


def _names(error: OSError, address: Address) -> bool:
    return f"({address[0]!r}, {address[1]}" in str(error)


def _words(network: Network, host: str, address: str, port: int, refusal: Refusal) -> str:
    now, listeners, refuser, kind = refusal
    is_stream = kind == socket.SOCK_STREAM
    udp = "" if is_stream else "UDP "
    shown = f"{udp}{host}:{port}" if host == address else f"{udp}{host}:{port} ({address})"
    if refuser is not None:
        return (f"{shown} refuses every connection at t={now!r}: its server, made at {refuser}, was told so by "
                "refuse(), or by a restart of its host without services")
    servers = list(dict.fromkeys(_listener(network, *each) for each in listeners))
    real = ("\n  in the real world this port is open: a server that was started outside of the test, as in setUpClass, "
            "cannot be reached from here") if network.names.is_local(address) and _is_open(address, port, kind) else ""
    start = "start_fake_server" if is_stream else "start_fake_datagram_server"
    return (f"nobody listens on {shown} at t={now!r}; {udp}servers in this test: {_named(servers)}{real}\n"
            f"  the network is in memory, and no packet leaves the process: `await self.{start}(handler, "
            f"{host!r}, {port})` puts a server there")


def _listener(network: Network, local: Address, place: object) -> str:
    host = network.names.name_of(local[0]) or local[0]
    return f"{host}:{local[1]}" + (f" ({place})" if place else "")


def _is_open(address: str, port: int, kind: int) -> bool:
    """Whether somebody in the real world listens on a port of this machine: nobody else can bind it then."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with allow_escape("network"):
        probe = _socket.socket(family, kind)
        try:
            if kind == socket.SOCK_STREAM:  # what has just ended is in nobody's way; two of UDP may share a port by it
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
        finally:
            probe.close()
    return False
