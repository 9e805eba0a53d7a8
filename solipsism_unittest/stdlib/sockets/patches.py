"""What a program's patches of `socket.socket` reach: virtual sockets as much as real ones.

A test puts a function of its own in the place of a method (`mock.patch.object(socket.socket, "connect")`), or a tool
that blocks the network does. Python finds it on a virtual socket because `socket.socket` comes first among the bases of
`VirtualSocket`, and our methods only after it:

    VirtualSocket > socket.socket > Face, ours > Fallbacks > _socket.socket, the class of C

So a plain run costs nothing: what `socket.socket` does not define itself is found in ours. For the rest two things
stay in `socket.socket` from the import of this package on:

* Of the methods that `socket.socket` has in Python, those that need a descriptor of the system ask first whether the
  socket is virtual.
* `socket.socket.connect` is not C's method but an object that calls the one that a socket has. Who keeps it, to call it
  in a function of his own or to put it back, may do so with every socket.

Who has kept C's own method before is served by `KEPT` (stdlib/seal looks for it in the modules that are loaded).
"""

from __future__ import annotations

import _socket
import functools
import socket
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...introspection.modules import own_function

if TYPE_CHECKING:
    StockSocket = socket.socket
else:
    # By that name somebody else's class may stand there already.
    StockSocket = next(cls for cls in _socket.socket.__subclasses__() if cls.__module__ == "socket")

# What may have been kept before -> what works with virtual sockets too.
KEPT: dict[Any, Any] = {}

# The methods of `socket.socket` in Python that do not work over ours: each ends in a C function for real descriptors.
_ENDS_IN_C = ("__init__", "__repr__", "accept", "dup", "sendfile", "_real_close", "get_inheritable", "set_inheritable")
_SHOWN = ("family", "type")
_NAMES = vars(StockSocket)  # always as it is
_ATTRIBUTES = len({*_NAMES, "__new__"})
_GLOBALS = {"__name__": StockSocket.__module__, "__builtins__": __builtins__, "__unittest": True}


class Fallbacks:
    """`socket.socket` looks here for what it does not define itself, before it looks into the class of C."""

    __slots__ = ()


class _Method:
    """What a method of C's class is as an attribute of `socket.socket`: called with any socket, it calls that one's."""

    def __init__(self, of_c: Any, face: type, ours: Callable[..., Any]) -> None:
        self.of_c = of_c
        self._face = face
        self._ours = ours
        self.__name__ = of_c.__name__
        self.__qualname__ = of_c.__qualname__
        self.__doc__ = of_c.__doc__
        self.__module__ = StockSocket.__module__  # of a function that is made with functools.wraps()
        self.__objclass__ = of_c.__objclass__
        self.__text_signature__ = of_c.__text_signature__

    def __get__(self, sock: Any, owner: type | None = None) -> Any:
        if sock is None:
            return self
        if isinstance(sock, self._face):
            return types.MethodType(self._ours, sock)
        return self.of_c.__get__(sock, owner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], self._face):
            return self._ours(*args, **kwargs)
        return self.of_c(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self.of_c)


def let_patches_reach(face: type) -> None:
    """Make what `socket.socket` has work with sockets of the class `face` too; to be called once."""
    for name, of_c in vars(_socket.socket).items():
        if isinstance(of_c, types.MethodDescriptorType) and hasattr(face, name):
            KEPT[of_c] = _Method(of_c, face, getattr(face, name))
            setattr(Fallbacks, name, KEPT[of_c])
    for name in _ENDS_IN_C:
        there = vars(StockSocket)[name]
        stock = own_function(socket, f"{StockSocket.__qualname__}.{name}", there)
        if stock is not None:
            KEPT[stock] = _asking_first(face, stock, getattr(face, name))
        if stock is there:  # nobody has replaced it yet
            setattr(StockSocket, name, KEPT[stock])
    for name in _SHOWN:
        stock, ours = vars(StockSocket)[name], vars(face)[name]
        setattr(StockSocket, name, property(_asking_first(face, stock.fget, ours.fget), doc=stock.__doc__))
    StockSocket.__bases__ = (Fallbacks, *StockSocket.__bases__)


def clear() -> None:
    """Take out of `socket.socket` what somebody has put back there, where nothing stands by itself; at each seal."""
    if len(_NAMES) > _ATTRIBUTES:
        for name, there in list(_NAMES.items()):
            ours = vars(Fallbacks).get(name)
            if isinstance(ours, _Method) and (there is ours or there is ours.of_c):
                delattr(StockSocket, name)


def _asking_first(face: type, stock: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    # asyncio calls some of them for each connection: those have a function of their own shape, which is faster.
    def __init__(self: Any, family: Any = -1, type: Any = -1, proto: Any = -1, fileno: Any = None) -> Any:
        return (ours if isinstance(self, face) else stock)(self, family, type, proto, fileno)

    def alone(self: Any) -> Any:
        return ours(self) if isinstance(self, face) else stock(self)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return (ours if isinstance(self, face) else stock)(self, *args, **kwargs)

    if stock.__name__ == "__init__":
        method = __init__
    elif stock.__code__.co_argcount == 1 + len(stock.__defaults__ or ()):
        method = alone  # nobody passes the private default of _real_close()
    # A function of module socket, as what it stands for: who asks where a call comes from looks at these names.
    of_socket = types.FunctionType(method.__code__, _GLOBALS, stock.__name__, method.__defaults__, method.__closure__)
    return functools.wraps(stock)(of_socket)


def keep_from_patches(own: type, face: type) -> None:
    """Give a class of our own sockets what `socket.socket` has now and `face` lacks: no later patch shall reach it."""
    for name, method in vars(StockSocket).items():
        if isinstance(method, types.FunctionType) and not hasattr(face, name):
            setattr(own, name, method)


def virtual_class(cls: type, face: type) -> type:
    """The class of virtual sockets that stands for a program's subclass of `socket.socket`.

    A tool that blocks the network puts such a class into module socket: it refuses some sockets and lets others pass.
    """
    bases = (cls, face)
    copies: list[type] = type.__subclasses__(cls)
    for made in copies:
        if made.__bases__ == bases:
            return made
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return types.new_class(cls.__name__, bases, exec_body=lambda body: body.update(names))
