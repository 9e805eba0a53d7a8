"""Sending and receiving: the calls of a socket that carry bytes, for every kind of socket.

Owns what a program passes in and gets back: buffers, flags, counts, addresses of datagrams. Does not own what happens
to bytes (kernel/descriptors), or what a socket is and how it is connected (virtual_socket.py). Every call goes the same
way: check the arguments as CPython does, then let `_attempt_` ask the kernel's end, and wait where the call may wait.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import types
from collections.abc import Callable, Iterable
from operator import index as index_of
from sys import _getframe
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import SolipsismError
from ...introspection.modules import is_ours, module_of
from ...kernel import READABLE, WRITABLE, Kernel
from ...kernel.descriptors.end import Address, End, Received
from ...kernel.descriptors.file import os_error
from .. import waiting
from ..worlds import World
from . import addresses
from .buffers import (
    MSG_DONTWAIT,
    MSG_TRUNC,
    MSG_WAITALL,
    PASSED_ON,
    bytes_of,
    check_ancillary_size,
    check_cut,
    check_flags,
    join_buffers,
    socket_result,
    take_buffer,
)
from .patches import Fallbacks
from .settings.error_queue import MSG_ERRQUEUE, Ancillary, ancillary_of

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer
else:
    Buffer = object
_SENDFILE_BLOCK = 1 << 18  # bytes read at once

T = TypeVar("T")

OF_ITS_CLASS: tuple[str, ...] = ()  # slots, or a dictionary: there is no room for them in one of several bases


class Traffic(Fallbacks):
    """A socket without a descriptor: one end in a world, and the calls that send and receive.

    A program's own class of sockets is below this too. Our names end in `_`: it has others for what is its own.
    """

    __slots__ = OF_ITS_CLASS

    # Set between __new__ and __init__ by whoever knows which world this is (stdlib/seal).
    _world_: World | None = None
    _end_: End | None = None
    _family_ = socket.AF_INET  # these outlive the end
    _type_ = socket.SOCK_STREAM
    _closed: bool
    _io_refs: int
    _number_: int
    _timeout_: float | None

    @property
    def _joined_world_(self) -> World:
        """The world that this socket belongs to (the one that adopted it, if it was made outside any loop)."""
        world = self._world_
        assert world is not None
        while world.adopted_by is not None:
            self._number_ = world.kernel.moved.get(self._number_, -1)
            world = world.adopted_by
        self._world_ = world
        return world

    @property
    def _its_kernel_(self) -> Kernel:
        """The machine of its world."""
        return self._joined_world_.kernel

    @property
    def _open_end_(self) -> End:
        """The kernel's end behind this socket; EBADF when it is closed."""
        end = self._end_
        if end is None:
            raise os_error(errno.EBADF)
        return end

    # By these names others ask.
    world, kernel, end = _joined_world_, _its_kernel_, _open_end_

    def _show_(self, address: Address | None) -> Any:
        if address is not None and self._family_ == socket.AF_INET and "%" not in address[0]:
            return address
        return addresses.show(self._family_, address)

    def _parse_(self, address: Any, call: str) -> Address:
        return addresses.FORMATS[self._family_].parse(self._its_kernel_, address, call)

    # -- a call

    def _waits_(self, flags: int) -> bool:
        """Whether a call that cannot go on waits. One with a timeout waits whatever its flags are."""
        if self._timeout_:
            return True
        return self._open_end_.blocking and not flags & MSG_DONTWAIT

    def _attempt_(self, call: str, attempt: Callable[[], T], events: int, flags: int = 0) -> T:
        """What `attempt` returns. A call that has to wait does so in a thread of its own; the loop's may not wait."""
        world = self._joined_world_
        waits = self._waits_(flags)
        if waits and waiting.is_elsewhere(world, self._timeout_):
            return waiting.carry_out(world, attempt, [(self._number_, events)], self._timeout_, call)
        if waits and _is_of_loop(_getframe(2)):
            raise ValueError(f"the socket must be non-blocking: call setblocking(False) on {self!r} first, for "
                             f"loop.sock_{call}() and its like would stop the loop's thread")
        try:
            return attempt()
        except BlockingIOError:
            if not waits:
                raise
        raise waiting.refusal(world, call, repr(self))

    # -- sending

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        if type(data) is bytes and not flags and self._timeout_ == 0.0:
            return (self._end_ or self._open_end_).send(data)
        with bytes_of(data) as view:  # released before an error is raised: its handler may resize the buffer
            if not flags and self._timeout_ == 0.0:
                return (self._end_ or self._open_end_).send(view)
            return self._send_("send", view, flags)

    def _send_(self, call: str, view: bytes | memoryview, flags: int, where: Address | None = None) -> int:
        end = self._open_end_
        check_flags(flags)
        if where is None:
            return self._attempt_(call, lambda: end.send(view), WRITABLE, flags)
        addresses.space(self._its_kernel_, end)  # one with a path has to know the real folders
        return self._attempt_(call, lambda: end.send_to(view, where), WRITABLE, flags)

    def sendall(self, data: Buffer, flags: int = 0, /) -> None:
        with bytes_of(data) as view:
            sent = self._send_("sendall", view[:0], flags) if not view or self._type_ == socket.SOCK_STREAM else 0
            while sent < len(view):
                with view[sent:] as rest:
                    sent += self._send_("sendall", rest, flags)

    def sendto(self, data: Buffer, *flags_and_address: Any) -> int:
        """sendto(data, address) or sendto(data, flags, address)."""
        if len(flags_and_address) not in (1, 2):
            raise TypeError(f"sendto() takes 2 or 3 arguments ({1 + len(flags_and_address)} given)")
        *flags, address = flags_and_address
        end = self._end_
        if (not flags and type(data) is bytes and self._family_ == socket.AF_INET  # as asyncio calls it
                and end is not None and not end.blocking and self._timeout_ == 0.0):
            return end.send_to(data, self._parse_(address, "sendto"))
        with bytes_of(data) as view:
            flag = index_of(flags[0]) if flags else 0
            return self._send_("sendto", view, flag, self._parse_(address, "sendto"))

    def sendmsg(self, buffers: Iterable[Buffer], ancdata: Iterable[Any] = (), flags: int = 0,
                address: Any = None, /) -> int:
        """As on a real socket, without ancillary data."""
        end = self._end_
        if (end is not None and not end.blocking and self._timeout_ == 0.0  # as asyncio calls it
                and not flags and address is None and type(ancdata) is tuple and not ancdata):
            return end.send(join_buffers(buffers, end.room() if self._type_ == socket.SOCK_STREAM else None))
        where = None if address is None else self._parse_(address, "sendmsg")
        data = join_buffers(buffers)
        ancillary = list(ancdata)
        if not all(isinstance(item, tuple) and len(item) == 3 for item in ancillary):
            raise TypeError("[sendmsg() ancillary data items] must be 3-item tuples")
        if ancillary:
            raise SolipsismError("sendmsg() with ancillary data is not simulated: nothing but bytes goes from one "
                                 "virtual socket to another, no descriptors and no credentials")
        return self._send_("sendmsg", data, flags, where)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """As on a real socket: from `offset` of a regular file, else by reading and sending."""
        self._check_sendfile_params(file, offset, count)  # type: ignore[attr-defined]
        try:
            descriptor = file.fileno()
            size = os.fstat(descriptor).st_size
        except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
            size = 0
        if not size:
            return self._sendfile_use_send(file, offset, count)  # type: ignore[attr-defined, no-any-return]
        if self._timeout_ == 0.0:
            raise ValueError("non-blocking sockets are not supported")
        sent = 0
        try:
            while count is None or sent < count:
                wanted = _SENDFILE_BLOCK if count is None else min(_SENDFILE_BLOCK, count - sent)
                data = os.pread(descriptor, wanted, offset + sent)
                if not data:
                    return sent
                sent += self._send_("sendfile", data, 0)
            return sent
        finally:
            if sent:
                file.seek(offset + sent)

    # -- receiving

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        if type(bufsize) is int and bufsize > 0 and not flags and self._timeout_ == 0.0:
            return (self._end_ or self._open_end_).recv(bufsize)
        bufsize = index_of(bufsize)
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if bufsize == 0:
            return b""  # in every state: the C code does not ask the system
        return socket_result(self._receive_("recv", bufsize, flags), bufsize, flags)

    def _receive_(self, call: str, size: int, flags: int) -> Received:
        end = self._open_end_
        check_flags(flags)
        if flags & MSG_ERRQUEUE and self._family_ in (socket.AF_INET, socket.AF_INET6):
            def report() -> Received:
                found = end.take_report()
                cut = MSG_TRUNC if len(found.data) > size else 0
                return Received(found.data[:size], found.target, cut | MSG_ERRQUEUE, len(found.data[:size]), found)

            # Linux never waits for an error; Python does, on a socket with a timeout.
            return self._attempt_(call, report, READABLE, flags) if self._timeout_ else report()

        def attempt() -> Received:
            return end.receive(size, flags & PASSED_ON)

        received = self._attempt_(call, attempt, READABLE, flags)
        if flags & MSG_WAITALL and end.type == socket.SOCK_STREAM and end.blocking and not flags & MSG_DONTWAIT:
            return self._receive_all_(call, size, flags, received)
        return received

    def _receive_all_(self, call: str, size: int, flags: int, received: Received) -> Received:
        """Go on until all the bytes that were asked for are there, or no more can come."""
        end, parts, more = self._open_end_, [received.data], len(received.data)
        while more and (size := size - more) > 0 and not end.error:
            data = self._attempt_(call, lambda: end.receive(size, flags & MSG_TRUNC), READABLE, flags).data
            more = len(data)
            parts.append(data)
        data = b"".join(parts)
        return Received(data, received.source, received.flags, len(data))

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        with take_buffer(buffer, "recv_into", index_of(nbytes)) as part:
            if not part:
                return 0  # in every state: the C code does not ask the system
            if not flags and self._timeout_ == 0.0:
                return (self._end_ or self._open_end_).recv_into(part)
            return self._fill_("recv_into", part, flags).length

    def _fill_(self, call: str, part: memoryview, flags: int) -> Received:
        """Receive into a buffer; return the source, the flags and the length."""
        received = self._receive_(call, len(part), flags)
        part[:len(received.data)] = received.data
        return received if flags & MSG_TRUNC else Received(
            received.data, received.source, received.flags, len(received.data))

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        bufsize = index_of(bufsize)
        if bufsize < 0:
            raise ValueError("negative buffersize in recvfrom")
        end = self._end_
        if not flags and end is not None and not end.blocking and self._timeout_ == 0.0:
            received = end.receive(bufsize, 0)
            return received.data, self._source_(received)
        received = self._receive_("recvfrom", bufsize, flags)
        return socket_result(received, bufsize, flags), self._source_(received)

    def recvfrom_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        with take_buffer(buffer, "recvfrom_into", index_of(nbytes)) as part:
            received = self._fill_("recvfrom_into", part, flags)
        return received.length, self._source_(received)

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> tuple[bytes, list[Any], int, Any]:
        """As on a real socket; of ancillary data there are those of MSG_ERRQUEUE."""
        bufsize = index_of(bufsize)
        if bufsize < 0:
            raise ValueError("negative buffer size in recvmsg()")
        check_ancillary_size(ancbufsize, "recvmsg")
        received = self._receive_("recvmsg", bufsize, flags)
        check_cut(received, bufsize, flags)
        ancillary, cut = self._ancillary_(received, ancbufsize)
        return received.data, ancillary, received.flags | cut, self._source_(received)

    def recvmsg_into(self, buffers: Iterable[Buffer], ancbufsize: int = 0, flags: int = 0,
                     /) -> tuple[int, list[Any], int, Any]:
        """As on a real socket; of ancillary data there are those of MSG_ERRQUEUE."""
        with contextlib.ExitStack() as stack:
            parts = [stack.enter_context(take_buffer(buffer, "recvmsg_into", None)) for buffer in buffers]
            check_ancillary_size(ancbufsize, "recvmsg_into")
            received = self._receive_("recvmsg_into", sum(map(len, parts)), flags)
            data = received.data
            for part in parts:
                part[:len(data)] = data[:len(part)]
                data = data[len(part):]
        length = received.length if flags & MSG_TRUNC else len(received.data)
        ancillary, cut = self._ancillary_(received, ancbufsize)
        return length, ancillary, received.flags | cut, self._source_(received)

    def _ancillary_(self, received: Received, size: int) -> tuple[Ancillary, int]:
        return ([], 0) if received.report is None else ancillary_of(received.report, self._family_, size)

    def _source_(self, received: Received) -> Any:
        return None if received.source is None else self._show_(received.source)


def _is_of_loop(frame: types.FrameType | None) -> bool:
    """Whether a call comes from asyncio's sock_recv() and its like, which take no blocking socket."""
    while frame is not None and (is_ours(module_of(frame)) or module_of(frame) == "socket"):
        frame = frame.f_back
    return frame is not None and module_of(frame) == "asyncio.selector_events"
