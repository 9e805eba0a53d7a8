"""Files and sockets that a test plays, on the virtual loop and on a stock one; and more on `unittest.mock`.

Names and behaviour of the first part are those that asynctest's users know.
"""

from ..stdlib.files.played import FileDescriptor
from ..stdlib.files.selector import TestSelector
from .awaited import Awaits, awaited, while_running
from .files import FileMock, SocketMock, SSLSocketMock, fd, isfilemock
from .readiness import exhaust_callbacks, get_registered_events, set_read_ready, set_write_ready

__all__ = [
    "Awaits",
    "FileDescriptor",
    "FileMock",
    "SSLSocketMock",
    "SocketMock",
    "TestSelector",
    "awaited",
    "exhaust_callbacks",
    "fd",
    "get_registered_events",
    "isfilemock",
    "set_read_ready",
    "set_write_ready",
    "while_running",
]
