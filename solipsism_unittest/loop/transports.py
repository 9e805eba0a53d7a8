"""`Transport`: asyncio's own for sockets, which spares a few bytes between two ends in memory the way through a socket.

Owns two methods: what is written goes to the kernel's end at once where it would go there anyway, and what has come is
taken from there. In every other case asyncio's own method does it: where something waits to be written, the connection
ends, the socket is another one, or a program has replaced a method on the way.
"""

from __future__ import annotations

from asyncio import selector_events
from collections.abc import Callable
from typing import Any

from ..stdlib.sockets.virtual_socket import VirtualSocket
from .signals import SignalHandlers

__unittest = True  # unittest leaves frames of this module out of a traceback
__tracebackhide__ = True  # and so does pytest

_STOCK: Any = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
_WRITE, _READ = _STOCK.write, _STOCK._read_ready__data_received
_VIRTUAL: Any = VirtualSocket
_SEND, _RECV = _VIRTUAL.send, _VIRTUAL.recv
_LOOP: Any = selector_events.BaseSelectorEventLoop
_MAKE = _LOOP._make_socket_transport


class Transport(_STOCK):  # type: ignore[misc]
    """A transport on a virtual socket."""

    # What each write and read asks for: CPython 3.13 finds it slowly in a dictionary here, and it takes more memory.
    __slots__ = ("_sock", "_protocol", "_buffer", "_conn_lost", "_eof", "_empty_waiter", "_read_ready_cb")

    def write(self, data: Any) -> None:
        """As asyncio's."""
        sock = self._sock
        if (type(data) is bytes and data and type(sock) is _VIRTUAL and (end := sock.plain_end) is not None
                and not self._buffer and not self._conn_lost and not self._eof and self._empty_waiter is None
                and _STOCK.write is _WRITE and _VIRTUAL.send is _SEND
                and end.hand_over(data)):
            return
        _STOCK.write(self, data)

    def _read_ready__data_received(self) -> None:
        sock = self._sock
        if (self._conn_lost or type(sock) is not _VIRTUAL or (end := sock.plain_end) is None or not end.incoming
                or _STOCK._read_ready__data_received is not _READ or _VIRTUAL.recv is not _RECV):
            _STOCK._read_ready__data_received(self)
            return
        data = end.recv(self.max_size)
        try:
            self._protocol.data_received(data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal_error(error, "Fatal error: protocol.data_received() call failed.")


Transport.__module__ = _STOCK.__module__  # for its repr, and reports
Transport.__qualname__ = Transport.__name__ = _STOCK.__name__


class Transporting(SignalHandlers):
    """An event loop whose connections have such transports."""

    _ensure_fd_no_transport: Callable[[Any], None]

    def _make_socket_transport(self, sock: Any, protocol: Any, waiter: Any = None, *, extra: Any = None,
                               server: Any = None, **context: Any) -> Any:
        if (type(sock) is not _VIRTUAL or _LOOP._make_socket_transport is not _MAKE
                or selector_events._SelectorSocketTransport is not _STOCK):  # type: ignore[attr-defined]
            return super()._make_socket_transport(  # type: ignore[misc]
                sock, protocol, waiter, extra=extra, server=server, **context)
        self._ensure_fd_no_transport(sock)
        made: Any = Transport.__new__(Transport)
        made._sock = None  # as the class of asyncio has it: __del__ asks
        made.__init__(self, sock, protocol, waiter, extra, server, **context)
        return made
