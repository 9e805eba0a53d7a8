"""Packages that look names up or connect in C, past Python's `socket`: answered, or refused with a cure.

Owns the table of those that are known, and how their Python faces are replaced. The rule that keeps it simple: a name
that a row gives is replaced where its module is loaded, when a test begins or when a test imports it; what some version
of a package has not is passed over. A class of C takes no other methods, so a subclass stands in its place.

No audit event tells of what such a package does, and no row means that a package is safe.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any, NamedTuple

from ....introspection.modules import globals_of, written_on
from ...files.descriptors import is_virtual
from ...files.polling import number_of
from ...worlds import World
from .. import guard
from ..replacements import MISSING, Lasting, Replacement
from ..stand_ins import Condition, Maker, stand_over
from . import cares, loops
from .early_names import Bindings, last_module

if TYPE_CHECKING:
    from importlib.abc import Loader  # which loads fifteen modules

_IMMUTABLE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE: a class of C


class Library(NamedTuple):
    """A package whose network is C code.

    Each of `ways` is "module:function", "module:Class.method", or "module:Class" for the making of one.
    """

    package: str
    ways: Sequence[str]
    cure: str
    unless: Condition | None = None  # calls that stay inside the process


# -- calls that stay inside


def _by_name_inside(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """A message queue inside the process: `socket.connect("inproc://name")`."""
    address = next(iter([*args[1:], *kwargs.values()]), "")
    return str(address).startswith("inproc:")


def _without_descriptor(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """A connection of TLS over memory, or over a socket of the real world."""
    face = kwargs.get("socket", args[2] if len(args) > 2 else None)
    return face is None or not is_virtual(number_of(face))


# -- the table

LIBRARIES = (
    Library("aerospike", ("aerospike:client", "aerospike:Client"), "give the code under test a fake client"),
    Library("confluent-kafka", (
        *(f"confluent_kafka{module}:{name}" for module in ("", ".cimpl") for name in ("Consumer", "Producer")),
        "confluent_kafka.cimpl:_AdminClientImpl",
        *(f"confluent_kafka.{module}:{name}.__init__" for module, name in (
            ("admin", "AdminClient"), ("deserializing_consumer", "DeserializingConsumer"),
            ("serializing_producer", "SerializingProducer"))),
    ), "aiokafka, which has Python's sockets, works unchanged; give code that needs librdkafka a fake"),
    Library("curl_cffi", ("curl_cffi.curl:Curl.perform", "curl_cffi.aio:AsyncCurl.add_handle"),
            "httpx and aiohttp, which have Python's sockets, work unchanged"),
    Library("grpcio", (
        *(f"grpc._channel:_{kind}MultiCallable.{method}" for kind, methods in (
            ("UnaryUnary", ("_blocking", "future")), ("UnaryStream", ("__call__",)),
            ("SingleThreadedUnaryStream", ("__call__",)), ("StreamUnary", ("_blocking", "future")),
            ("StreamStream", ("__call__",))) for method in methods),
        *(f"grpc.aio._channel:{kind}MultiCallable.__call__" for kind in (
            "UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream")),
        *(f"{server}.{method}" for server in ("grpc._server:_Server", "grpc.aio._server:Server")
          for method in ("add_insecure_port", "add_secure_port", "start")),
    ), "grpclib, which has asyncio's transports, works unchanged; or call the servicer's methods directly"),
    Library("mysqlclient", ("MySQLdb._mysql:connect", "MySQLdb._mysql:connection",
                            "MySQLdb.connections:Connection.__init__"),
            "aiomysql and PyMySQL, which have Python's sockets, work unchanged"),
    Library("oracledb", ("oracledb:init_oracle_client", "oracledb.utils:init_oracle_client"),
            "leave init_oracle_client() out: the thin mode has Python's sockets"),
    Library("psycopg", (
        "psycopg.generators:connect",
        *(f"psycopg.pq:PGconn.{method}" for method in ("connect", "connect_start", "ping")),
    ), "asyncpg and pg8000, which have Python's sockets, work unchanged"),
    Library("psycopg2", (
        "psycopg2:_connect", "psycopg2._psycopg:connection", "psycopg2._psycopg:ReplicationConnection",
        *(f"psycopg2.extras:{kind}Connection" for kind in (
            "Dict", "RealDict", "NamedTuple", "Logging", "MinTimeLogging", "LogicalReplication",
            "PhysicalReplication")),
    ), "asyncpg and pg8000, which have Python's sockets, work unchanged"),
    Library("pulsar-client", ("pulsar:Client.__init__",), "give the code under test a fake client"),
    Library("pycurl", ("pycurl:Curl.perform", "pycurl:Curl.perform_rb", "pycurl:Curl.perform_rs",
                       "pycurl:CurlMulti.add_handle"),
            "httpx and aiohttp, which have Python's sockets, work unchanged; so does tornado's SimpleAsyncHTTPClient"),
    Library("pygit2", ("pygit2:clone_repository", "pygit2.remotes:Remote.fetch", "pygit2.remotes:Remote.push",
                       "pygit2.remotes:Remote.ls_remotes", "pygit2.remotes:Remote.connect"),
            "clone from a directory before the test"),
    Library("pylibmc", ("pylibmc.client:Client.__init__",),
            "aiomcache and pymemcache, which have Python's sockets, work unchanged"),
    Library("pymssql", ("pymssql:connect", "pymssql._pymssql:connect", "pymssql._mssql:connect"),
            "python-tds, which has Python's sockets, works unchanged"),
    Library("pynng", ("pynng.nng:Socket.dial", "pynng.nng:Socket.listen"), "addresses with inproc:// stay inside",
            _by_name_inside),
    Library("pyodbc", ("pyodbc:connect",), "give the code under test a fake connection"),
    Library("pyOpenSSL", ("OpenSSL.SSL:Connection.__init__",),
            "make it without a socket, Connection(context, None), and carry the bytes by bio_read() and bio_write()",
            _without_descriptor),
    Library("python-ldap", ("ldap.ldapobject:SimpleLDAPObject.__init__",),
            "ldap3, which has Python's sockets, works unchanged"),
    Library("pyzmq", ("zmq.sugar.socket:Socket.bind", "zmq.sugar.socket:Socket.connect"),
            "addresses with inproc:// stay inside", _by_name_inside),
)


def _refusing(library: Library, way: str) -> Maker:
    call = way.replace(":", ".").removesuffix(".__init__")

    def answer(world: World, real: Any, *args: Any, **kwargs: Any) -> Any:
        guard.raise_refusal(guard.refuse_library(world, call, library.package, library.cure))
        return real(*args, **kwargs)

    return stand_over(answer, unless=library.unless)


# By module, and there by name.
Wanted = dict[str, dict[str, Maker]]


def wanted(libraries: Iterable[Library] = LIBRARIES) -> Wanted:
    """What is replaced, of these libraries, of pycares and of uvloop."""
    found: Wanted = {"pycares": dict(cares.ANSWERS), "uvloop": loops.ANSWERS}
    for library in libraries:
        for way in library.ways:
            module, _, name = way.partition(":")
            found.setdefault(module, {})[name] = _refusing(library, way)
    return found


# -- how they are replaced


class Libraries:
    """The replacements of what is loaded. While a thread is sealed it is a finder, which hears of each import."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        # By the name of a module: the module, and what is replaced there.
        self._known: dict[str, tuple[types.ModuleType, list[Replacement | Bindings]]] = {}
        self._looked: tuple[int, object] = 0, None  # how many modules there were, and the last of them
        self._is_armed = False

    def arm(self) -> None:
        """Replace what is loaded, and what will be."""
        self._is_armed = True
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        looked = len(sys.modules), last_module()
        if looked != self._looked:
            for name in sorted(self._wanted.keys() & sys.modules.keys()):
                self._learn(name)
            self._looked = looked
        for _, replaced in self._known.values():
            for each in replaced:
                each.arm()

    def disarm(self) -> None:
        """Put back what modules hold."""
        self._is_armed = False
        for _, replaced in self._known.values():
            for each in reversed(replaced):
                each.disarm()
        if self in sys.meta_path:  # a program may have put another list there
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Find one of these modules as the other finders do, and hear when it is loaded."""
        if name not in self._wanted:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            _listen(spec.loader, lambda: self._loaded(name))
        return spec

    def _loaded(self, name: str) -> None:
        self._known.pop(name, None)  # it may have been loaded again
        self._learn(name)
        _, replaced = self._known.get(name, (None, ()))
        for each in replaced if self._is_armed else ():
            each.arm()

    def _learn(self, name: str) -> None:
        """Make the replacements for a module, unless that was done."""
        module = sys.modules[name]
        namespace = globals_of(module)
        if not namespace or self._known.get(name, (None,))[0] is module:
            return
        replaced: list[Replacement | Bindings] = []
        self._known[name] = module, replaced
        of_classes: dict[str, dict[str, Maker]] = {}
        for path, maker in self._wanted[name].items():
            owner, _, method = path.partition(".")
            there = namespace.get(owner)
            if isinstance(there, type) and maker not in loops.OF_MODULES.values():
                of_classes.setdefault(owner, {})[method or "__init__"] = maker
            elif there is not None:
                replaced += _by_name(module, owner, maker)
        for owner, makers in of_classes.items():
            cls = namespace[owner]
            makers = {method: maker for method, maker in makers.items() if written_on(cls, method) is not None}
            if cls.__flags__ & _IMMUTABLE:
                replaced += _by_name(module, owner, _subclass_with(makers))
            else:
                replaced += [Lasting(cls, method, _of_class(cls, method, maker)) for method, maker in makers.items()]


def _by_name(module: types.ModuleType, name: str, maker: Maker) -> Sequence[Replacement | Bindings]:
    # Bindings are made from what stands there: that must still be the real thing.
    return Replacement(module, name, maker), Bindings([(module, name)], kinds=(object,))


def _of_class(cls: type, method: str, maker: Maker) -> Maker:
    """The same for a method that the class may have from a base."""
    return lambda before: _of_its_kind(maker, written_on(cls, method) if before is MISSING else before)


def _of_its_kind(maker: Maker, before: Any) -> Any:
    """The same for a method of the class itself, as one."""
    if type(before) not in (classmethod, types.ClassMethodDescriptorType):
        return maker(before)

    @functools.wraps(before)
    def call(cls: type, *args: Any, **kwargs: Any) -> Any:
        return before.__get__(None, cls)(*args, **kwargs)

    return classmethod(maker(call))


def _subclass_with(makers: dict[str, Maker]) -> Maker:
    """A subclass with these methods stands for a class of C."""
    return lambda before: type(before.__name__, (before,), {
        "__module__": before.__module__, "__doc__": before.__doc__,
        **{method: _of_its_kind(maker, written_on(before, method)) for method, maker in makers.items()}})


def _listen(loader: Loader, loaded: Callable[[], None]) -> None:
    """Call `loaded` when this loader has executed its module."""
    execute = loader.exec_module

    def exec_module(module: types.ModuleType) -> None:
        del loader.exec_module  # the one of its class is there again
        execute(module)
        loaded()

    loader.exec_module = exec_module  # type: ignore[method-assign]
