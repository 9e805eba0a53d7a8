"""Why a connection was refused: who was asked, who listens in this test, and what there is in the real world."""

from __future__ import annotations

import _socket
import errno
import socket
from collections.abc import Iterator

from ..introspection.exceptions import parts
from ..kernel.descriptors.end import Address
from ..kernel.network.network import Network, Refusal
from ..stdlib.seal.permits import allow_escape

LISTENERS_NAMED = 5


def refusal_words(error: BaseException, network: Network) -> Iterator[str]:
    """For each refused connection in an error the text that says why; none where the error has nothing of that."""
    refused = [each for each in parts([error]) if isinstance(each, OSError)
               and (each.errno == errno.ECONNREFUSED or "Connect call failed" in str(each))]
    asked = {address: refusal for address, refusal in network.refused.items()
             if any(_names(each, address) for each in refused)}
    if refused and not asked and network.refused:
        last = next(reversed(network.refused))  # a plain socket's error has no address
        asked = {last: network.refused[last]}
    seen = set()
    for (address, port), refusal in asked.items():
        host = network.names.name_of(address) or address
        if (host, port) not in seen:  # a host may have several addresses
            seen.add((host, port))
            yield _words(network, host, address, port, refusal)


def _names(error: OSError, address: Address) -> bool:
    return f"({address[0]!r}, {address[1]}" in str(error)


def _words(network: Network, host: str, address: str, port: int, refusal: Refusal) -> str:
    shown = f"{host}:{port}" if host == address else f"{host}:{port} ({address})"
    now, listeners = refusal
    servers = list(dict.fromkeys(_listener(network, *each) for each in listeners))
    named = ", ".join(servers[:LISTENERS_NAMED]) + (f" and {len(servers) - LISTENERS_NAMED} more"
                                                   if len(servers) > LISTENERS_NAMED else "")
    real = ("\n  in the real world this port is open: a server that was started outside of the test, as in setUpClass, "
            "cannot be reached from here") if network.names.is_local(address) and _is_open(address, port) else ""
    return (f"nobody listens on {shown} at t={now!r}; servers in this test: {named or 'none'}{real}\n"
            f"  the network is in memory, and no packet leaves the process: `await self.start_fake_server(handler, "
            f"{host!r}, {port})` puts a server there")


def _listener(network: Network, local: Address, place: object) -> str:
    host = network.names.name_of(local[0]) or local[0]
    return f"{host}:{local[1]}" + (f" ({place})" if place else "")


def _is_open(address: str, port: int) -> bool:
    """Whether somebody in the real world listens on a port of this machine: nobody else can bind it then."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with allow_escape("network"):
        probe = _socket.socket(family, socket.SOCK_STREAM)
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has just ended is in nobody's way
            probe.bind((address, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
        finally:
            probe.close()
    return False
