"""Mocks of files and sockets: what asyncio needs of them is there, what they read and write is for the test to say.

    sock = SocketMock()
    sock.recv.side_effect = [b"hello", BlockingIOError]
    reader, writer = await asyncio.open_connection(sock=sock)
    set_read_ready(sock, self.loop)
"""

from __future__ import annotations

import socket
import ssl
from typing import Any, ClassVar
from unittest import mock

from ..introspection.places import user_place
from ..stdlib.files.played import FileDescriptor, is_played
from ..stdlib.sockets.patches import StockSocket

__unittest = True
__tracebackhide__ = True


def fd(fileobj: Any) -> FileDescriptor:
    """The FileDescriptor of a mock, or the one that it is given; ValueError for what is neither."""
    try:
        return fileobj if isinstance(fileobj, FileDescriptor) else fileobj.fileno()
    except Exception:
        raise ValueError(f"{fileobj!r} has no fileno(): fd() takes a file object, a mock of one or a FileDescriptor"
                         ) from None


def isfilemock(obj: Any) -> bool:
    """Whether it is a FileDescriptor, or a file object whose fileno() is one."""
    return is_played(obj)


class FileMock(mock.Mock):
    """A Mock whose `fileno()` is a new FileDescriptor; what is asked of it further is a plain Mock."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        number = self.fileno.return_value = FileDescriptor()
        number.place = user_place()

    def _get_child_mock(self, /, **kwargs: Any) -> mock.Mock:
        return mock.Mock(**kwargs)


class SocketMock(FileMock):
    """A FileMock of a non-blocking TCP socket. `recv` and `send` are plain mocks: say what they do.

    By default `sendmsg()` sends through `send()`, and `recv_into()` receives through `recv()`: asyncio calls the one
    from Python 3.12 on, the other for a BufferedProtocol.
    """

    plays: ClassVar[type] = StockSocket

    def __init__(self, side_effect: Any = None, return_value: Any = mock.DEFAULT, wraps: Any = None, name: Any = None,
                 spec_set: Any = None, **kwargs: Any) -> None:
        if wraps is None:
            kwargs = {"type": socket.SOCK_STREAM, "family": socket.AF_INET, "proto": socket.IPPROTO_TCP,
                      "gettimeout.return_value": 0.0, "sendmsg.side_effect": self._send_all_of,
                      "recv_into.side_effect": self._receive_into, **kwargs}
        super().__init__(self.plays, side_effect, return_value, wraps, name, spec_set, **kwargs)

    def _send_all_of(self, buffers: Any, *args: Any) -> Any:
        return self.send(b"".join(buffers))

    def _receive_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        data = self.recv(nbytes or len(buffer))
        memoryview(buffer)[:len(data)] = data
        return len(data)


class SSLSocketMock(SocketMock):
    """A SocketMock of an `ssl.SSLSocket`. asyncio takes one for `add_reader()` and `add_writer()` alone."""

    plays = ssl.SSLSocket
