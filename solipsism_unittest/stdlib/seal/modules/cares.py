"""c-ares as pycares shows it, and aiodns on it: look-ups of a channel are answered by the virtual resolver.

Owns what a look-up answers, for pycares 4 and 5, which differ in the order of arguments and in the classes of results.
The virtual network knows names and addresses: every other kind of record is "no data". A channel calls back at once;
what the test delays (`network.delay_lookup`) comes when its seconds are over.
"""

from __future__ import annotations

import inspect
import socket
import sys
import threading
from asyncio import _get_running_loop
from collections.abc import Callable
from typing import Any

from ....kernel.addresses.literals import parse_address
from ...worlds import World, bystanders, outside
from .. import permits
from ..stand_ins import Maker, stand_over

A, PTR, AAAA = 1, 12, 28  # types of records: RFC 1035 and RFC 3596
TTL = 60  # seconds

# What the resolver says, and what c-ares calls it. Whatever is not here is ARES_ENOTFOUND.
_STATUS = {
    "EAI_ADDRFAMILY": "ARES_ENODATA", "EAI_NODATA": "ARES_ENODATA", "EAI_AGAIN": "ARES_ETIMEOUT",
    "EAI_FAIL": "ARES_ESERVFAIL", "EAI_FAMILY": "ARES_EBADFAMILY", "EAI_BADFLAGS": "ARES_EBADFLAGS",
    "EAI_SERVICE": "ARES_ESERVICE",
}
# Flags of ares_getaddrinfo(3) and ares_getnameinfo(3) that matter here, and those of module socket.
_AI: dict[int, int] = {1 << 1: socket.AI_NUMERICHOST, 1 << 4: socket.AI_V4MAPPED}
_NI: dict[int, int] = {1 << 1: socket.NI_NUMERICHOST, 1 << 2: socket.NI_NAMEREQD, 1 << 3: socket.NI_NUMERICSERV,
       1 << 4: socket.NI_DGRAM}
_LOOKUPSERVICE = 1 << 9  # without it the answer has no service

Answer = Callable[[World, Any, dict[str, Any]], object]


class _NoData(Exception):  # noqa: N818 - no error: the name has no record of this type
    """Nobody has said that there is one."""


def _answering(answer: Answer, asked: str) -> Maker:
    """A method whose callback gets what `answer(world, pycares, arguments)` gives; `asked` is the argument it is about.
    """

    def method(world: World, real: Any, channel: Any, *args: Any, **kwargs: Any) -> None:
        bound = inspect.signature(real).bind(channel, *args, **kwargs)
        bound.apply_defaults()
        arguments = bound.arguments
        callback, pycares = arguments["callback"], sys.modules[real.__module__]
        if not callable(callback) or getattr(channel, "_channel", None) is None:
            return real(channel, *args, **kwargs)  # type: ignore[no-any-return]  # it says what is wrong
        result, status = None, None
        try:
            result = answer(world, pycares, arguments)
        except socket.gaierror as error:
            status = _status(pycares, error)
        except UnicodeError:
            status = pycares.errno.ARES_EBADNAME
        except _NoData:
            status = pycares.errno.ARES_ENODATA
        _deliver(world, arguments[asked], lambda: callback(result, status))
        return None

    return stand_over(method, unless=lambda world, args, kwargs: permits.is_let_out("network"))


def _status(pycares: Any, error: socket.gaierror) -> int:
    name = next((known for known in _STATUS if getattr(socket, known, None) == error.errno), "")
    return int(getattr(pycares.errno, _STATUS.get(name, ""), pycares.errno.ARES_ENOTFOUND))


def _deliver(world: World, host: Any, call: Callable[[], object]) -> None:
    names, clock = world.kernel.names, world.kernel.clock
    seconds = names.delay(host) if isinstance(host, (str, bytes)) else 0.0
    if seconds and _get_running_loop() is world.loop:  # another thread has no say in what time it is
        clock.deliver_at(clock.now + seconds, call)
    else:
        call()


def _made(pycares: Any, names: tuple[str, str], **values: Any) -> Any:
    """A result: of the class that pycares 5 has, or of that of pycares 4, which makes them from structures of C."""
    cls = next(vars(pycares)[name] for name in names if name in vars(pycares))
    result = cls.__new__(cls)
    for name, value in values.items():
        setattr(result, name, value)
    return result


def _mapped(flags: int, table: dict[int, int]) -> int:
    return sum(ours for theirs, ours in table.items() if flags & theirs)


# -- the answers


def _getaddrinfo(world: World, pycares: Any, arguments: dict[str, Any]) -> Any:
    host, flags = arguments["host"], _mapped(arguments["flags"], _AI) | socket.AI_CANONNAME
    infos = world.kernel.names.getaddrinfo(host, arguments["port"], arguments["family"], socket.SOCK_STREAM, 0, flags)
    # One for each address: c-ares hands the type and the protocol back as they were asked for.
    nodes = [_made(pycares, ("AddrInfoNode", "ares_addrinfo_node_result"), ttl=TTL, flags=0, family=family,
                   socktype=arguments["type"], protocol=arguments["proto"], addr=(where[0].encode(), *where[1:]))
             for family, *_, where in infos]
    asked = host if isinstance(host, str) else host.decode()
    canonical = infos[0][3]
    cnames = [_made(pycares, ("AddrInfoCname", "ares_addrinfo_cname_result"), ttl=TTL, alias=asked, name=canonical)
              ] if canonical and canonical != asked else []
    return _made(pycares, ("AddrInfoResult", "ares_addrinfo_result"), cnames=cnames, nodes=nodes)


def _addresses(world: World, name: Any, family: int) -> list[str]:
    return [where[0] for *_, where in world.kernel.names.getaddrinfo(name, None, family, socket.SOCK_STREAM)]


def _query(world: World, pycares: Any, arguments: dict[str, Any]) -> Any:
    name, kind = arguments["name"], arguments["query_type"]
    if kind == PTR:
        found = [("PTRRecordData", "ares_query_ptr_result", "dname", "name", _name_of(world, name))]
    elif kind in (A, AAAA):
        family, version = (socket.AF_INET, "") if kind == A else (socket.AF_INET6, "AAA")
        found = [(f"{version}ARecordData", f"ares_query_{version.lower()}a_result", "addr", "host", address)
                 for address in _addresses(world, name, family)]
    else:
        _addresses(world, name, 0)  # of a name that nobody knows there is no record either
        raise _NoData
    if not hasattr(pycares, "DNSResult"):
        results = [_made(pycares, ("", old), ttl=TTL, **{named: value}) for _, old, _, named, value in found]
        if kind != PTR:
            return results
        results[0].aliases = []
        return results[0]
    records = [_made(pycares, ("DNSRecord", ""), name=name, type=kind, record_class=1, ttl=TTL,
                     data=_made(pycares, (new, ""), **{named: value})) for new, _, named, _, value in found]
    return _made(pycares, ("DNSResult", ""), answer=records, authority=[], additional=[])


def _name_of(world: World, reverse: Any) -> str:
    """The name of an address that is asked for as `1.2.0.192.in-addr.arpa` or as 32 digits before `.ip6.arpa`."""
    parts = (reverse if isinstance(reverse, str) else reverse.decode()).lower().removesuffix(".").split(".")
    digits = parts[-3::-1]
    if parts[-2:] == ["ip6", "arpa"]:
        text = ":".join("".join(digits[at:at + 4]) for at in range(0, len(digits), 4))
    else:
        text = ".".join(digits)
    return _named(world, text)


def _named(world: World, address: str) -> str:
    parsed = parse_address(address)
    name = world.kernel.names.name_of(str(parsed)) if parsed is not None else None
    if name is None:
        raise socket.gaierror(socket.EAI_NONAME, "nobody has this address")
    return name


def _gethostbyname(world: World, pycares: Any, arguments: dict[str, Any]) -> Any:
    name = arguments["name"]
    return _made(pycares, ("HostResult", "ares_host_result"), name=name, aliases=[],
                 addresses=_addresses(world, name, arguments["family"]))


def _gethostbyaddr(world: World, pycares: Any, arguments: dict[str, Any]) -> Any:
    address = arguments["addr"]
    if parse_address(address) is None:
        raise ValueError("invalid IP address")
    return _made(pycares, ("HostResult", "ares_host_result"), name=_named(world, address), aliases=[],
                 addresses=[address])


def _getnameinfo(world: World, pycares: Any, arguments: dict[str, Any]) -> Any:
    flags = arguments["flags"]
    node, service = world.kernel.names.getnameinfo(tuple(arguments["address"]), _mapped(flags, _NI))
    return _made(pycares, ("NameInfoResult", "ares_nameinfo_result"), node=node,
                 service=service if flags & _LOOKUPSERVICE else None)


def _init(world: World, real: Any, *args: Any, **kwargs: Any) -> None:
    """A channel has a thread for what is closed, which is nobody's leak: it serves the whole process."""
    there = set(threading.enumerate())
    with outside():
        real(*args, **kwargs)
    bystanders.update(thread for thread in threading.enumerate() if thread not in there)


ANSWERS: dict[str, Maker] = {
    "Channel.__init__": stand_over(_init),
    "Channel.getaddrinfo": _answering(_getaddrinfo, "host"),
    "Channel.query": _answering(_query, "name"),
    "Channel.search": _answering(_query, "name"),
    "Channel.gethostbyname": _answering(_gethostbyname, "name"),  # of pycares 4
    "Channel.gethostbyaddr": _answering(_gethostbyaddr, "addr"),
    "Channel.getnameinfo": _answering(_getnameinfo, "address"),
}
