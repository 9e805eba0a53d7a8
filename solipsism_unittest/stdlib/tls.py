"""TLS on virtual sockets: what module ssl makes of them, and whose authorities a connection trusts.

Owns `VirtualSSLSocket`, which is module ssl's own SSLSocket over `Records` in place of OpenSSL's socket, and the
answers to `SSLContext.wrap_bio` and `.wrap_socket`. asyncio's TLS needs nothing of this but the former.

    program ---> ssl.SSLSocket ---> Records ---> OpenSSL
                                       |            |  two buffers in memory
                                     Face <---------+
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from ..kernel import READABLE, WRITABLE
from ..pythons import RESET_ENDS_TLS
from . import waiting
from .files.descriptors import is_virtual
from .sockets.virtual_socket import Face
from .worlds import World

T = TypeVar("T")
_HEADER = 5  # bytes of a record that say how long the rest is (RFC 8446, 5.1)
_CURE = "use asyncio's streams (ssl= of open_connection and start_server), or make the call in asyncio.to_thread()"


def wrap_bio(world: World, real: Any, context: ssl.SSLContext, *args: Any, **kwargs: Any) -> ssl.SSLObject:
    """A client's connection takes authorities from another store, where the world says so."""
    made: ssl.SSLObject = real(context, *args, **kwargs)
    other = world.trust(context) if world.trust is not None and not made.server_side else None
    if other is not None:
        made.context = other  # all else it has from its own context already
    if world.on_tls is not None:
        world.on_tls(made.context)
    return made


def wrap_socket(world: World, real: Any, context: Any, sock: Any, server_side: bool = False,
                do_handshake_on_connect: bool = True, suppress_ragged_eofs: bool = True,
                server_hostname: str | None = None, session: Any = None) -> Any:
    """`SSLContext.wrap_socket`: for a virtual socket a virtual one, unless the program has a class of its own."""
    # A program may have something of its own around a socket.
    virtual = isinstance(sock, Face) or is_virtual(sock.fileno() if hasattr(sock, "fileno") else -1)
    ours = virtual and context.sslsocket_class is ssl.SSLSocket
    make = VirtualSSLSocket._create if ours else real.__get__(context)  # type: ignore[attr-defined]
    more = {"context": context} if ours else {}
    return make(sock=sock, server_side=server_side, do_handshake_on_connect=do_handshake_on_connect,
                suppress_ragged_eofs=suppress_ragged_eofs, server_hostname=server_hostname, session=session, **more)


def make_wrap_socket(before: Any) -> Any:
    """What stands for OpenSSL's half of that, which SSLSocket asks for and module ssl inherits from C."""
    real = vars(ssl.SSLContext.__base__)["_wrap_socket"]

    def _wrap_socket(context: ssl.SSLContext, sock: Any, server_side: bool, server_hostname: str | None = None, *,
                     owner: Any = None, session: Any = None) -> Any:
        if isinstance(sock, VirtualSSLSocket):
            return Records(context, sock, server_side, server_hostname, session)
        return real(context, sock, server_side, server_hostname, owner=owner, session=session)

    return _wrap_socket


class VirtualSSLSocket(ssl.SSLSocket, Face):  # type: ignore[misc]  # the former refuses sendmsg() and others
    """A socket in memory that speaks TLS. A call that would wait in the loop's thread is a SolipsismError."""

    def go_on(self, attempt: Callable[[], T], events: int, timeout: float | None, call: str) -> T:
        """What `attempt` returns when it does not raise BlockingIOError; it may wait for so many seconds."""
        world = self.world
        if timeout != 0.0 and waiting.is_elsewhere(world, timeout):
            return waiting.carry_out(world, attempt, [(self._number_, events)], timeout, call)
        try:
            return attempt()
        except BlockingIOError:
            if timeout == 0.0:
                raise
        raise waiting.refusal(world, call, repr(self), _CURE)


class Records:
    """In place of OpenSSL's own object for a socket: the same calls, on buffers in memory and a virtual socket.

    No more is read of the socket than the record that OpenSSL asks for, as it does itself: `select` sees the rest, and
    what comes after the goodbye is not TLS.
    """

    def __init__(self, context: ssl.SSLContext, sock: VirtualSSLSocket, server_side: bool, name: str | None,
                 session: Any) -> None:
        self._socket = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._unsent = memoryview(b"")
        self._header = bytearray()
        self._missing = 0  # bytes of the record
        self._written: int | None = None  # by a write that is still to be made again
        self._object: Any = context._wrap_bio(  # type: ignore[attr-defined]
            self._incoming, self._outgoing, server_side, name, owner=sock, session=session)
        trust = sock.world.trust
        other = trust(context) if trust is not None and not server_side else None
        if other is not None:
            self._object.context = other
        if sock.world.on_tls is not None:
            sock.world.on_tls(self._object.context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._object, name)  # what moves no bytes

    @property
    def context(self) -> Any:
        """The context, which a program may change."""
        return self._object.context

    @context.setter
    def context(self, context: Any) -> None:
        self._object.context = context

    @property
    def session(self) -> Any:
        """The session, which a client may set."""
        return self._object.session

    @session.setter
    def session(self, session: Any) -> None:
        self._object.session = session

    def do_handshake(self) -> None:
        """As OpenSSL's; so are the others."""
        self._carry_out("handshake", self._object.do_handshake)

    def read(self, *size_and_buffer: Any) -> Any:
        return self._carry_out("read", self._object.read, *size_and_buffer)

    def write(self, data: Any) -> Any:
        if self._written is None:
            return self._carry_out("write", self._object.write, data)
        # OpenSSL has taken the data of a write that could not be sent whole: it is made again until it was.
        self._carry_out("write", lambda: self._written)
        written, self._written = self._written, None
        return written

    def shutdown(self) -> VirtualSSLSocket:
        self._carry_out("read", self._object.shutdown)
        return self._socket

    def _carry_out(self, name: str, call: Callable[..., Any], *args: Any) -> Any:
        """What `call` gives when it has what it needs of the other side; the socket's timeout is for all of it."""
        timeout, clock = self._socket.gettimeout(), self._socket.kernel.clock
        deadline = clock.now + timeout if timeout else None

        def left() -> float | None:
            return timeout if deadline is None else max(deadline - clock.now, 1e-9)

        try:
            self._flush(left(), name)
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    try:
                        result = call(*args)
                    except ssl.SSLError as error:
                        if not isinstance(error, ssl.SSLWantReadError):
                            with contextlib.suppress(OSError):  # nobody may be there to hear it
                                self._flush(0.0, name)  # the alert that says why
                        raise
                    self._finish(left(), name, result)
                    return result
                self._flush(left(), name)
                self._fill(left(), name)
        except TimeoutError:
            raise TimeoutError(f"The {name} operation timed out") from None

    def _finish(self, timeout: float | None, name: str, result: Any) -> None:
        """Send what came of a call. What cannot go yet goes with the next one, so that what was read is not lost."""
        try:
            self._flush(timeout, name)
        except (ssl.SSLWantWriteError, TimeoutError):
            if name == "read":
                return
            if name == "write":
                self._written = result
            raise

    def _flush(self, timeout: float | None, name: str) -> None:
        """Send what OpenSSL has written."""
        end = self._socket.end
        while True:
            self._unsent = self._unsent or memoryview(self._outgoing.read())
            if not self._unsent:
                return
            try:
                sent = self._socket.go_on(lambda: end.send(self._unsent), WRITABLE, timeout, name)
            except BlockingIOError:
                raise _waits_for("write") from None
            self._unsent = self._unsent[sent:]

    def _fill(self, timeout: float | None, name: str) -> None:
        """Give OpenSSL a part of the record that it waits for, or the end."""
        end, wanted = self._socket.end, self._missing or _HEADER - len(self._header)
        try:
            data = self._socket.go_on(lambda: end.recv(wanted), READABLE, timeout, name)
        except BlockingIOError:
            raise _waits_for("read") from None
        except ConnectionResetError:
            if not RESET_ENDS_TLS:
                raise
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol") from None
        if not data:
            self._incoming.write_eof()
            return
        self._incoming.write(data)
        if self._missing:
            self._missing -= len(data)
            return
        self._header += data
        if len(self._header) == _HEADER:
            self._missing = int.from_bytes(self._header[3:], "big")
            self._header.clear()


def _waits_for(what: str) -> ssl.SSLError:
    """The error of a call that does not block, as OpenSSL's own."""
    kind, number = (ssl.SSLWantReadError, ssl.SSL_ERROR_WANT_READ) if what == "read" else \
        (ssl.SSLWantWriteError, ssl.SSL_ERROR_WANT_WRITE)
    error = kind(number, f"The operation did not complete ({what})")
    error.reason = error.library = None  # type: ignore[assignment]
    return error
