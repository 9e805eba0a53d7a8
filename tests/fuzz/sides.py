"""The two sides of a sequence: Linux's own sockets, and the virtual ones. Each runs a line and says what it gave.

Owns what an answer is: a value in which only what the kernel chose (a port, an abstract name, where a file lies) is
replaced by the order in which it first appeared, or the errno or class of an exception.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import socket
import struct
import termios
import time
import types
import warnings
from typing import Any

from solipsism_unittest.kernel import Kernel
from solipsism_unittest.stdlib.worlds import World, inside
from tests.contracts.arms import failure
from tests.fuzz.calls import PREAMBLE

MANY = 1 << 14
"""Bytes from which on an amount says only how large a buffer is: "some, not all"."""

ENOUGH = 50
"""Milliseconds without a change after which what has not arrived will not: the other end has no room for it."""

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PREAMBLE = compile(PREAMBLE, "<preamble>", "exec")


class Side:
    """One side: the name space in which the lines run."""

    name = "nobody"

    def __init__(self, where: str, new: str) -> None:
        self.where = where
        self.space: dict[str, Any] = {"where": where, "name": f"solipsism-{os.getpid()}-"}
        self._seen: dict[tuple[str, Any], str] = {}
        os.makedirs(where)
        with self.world(), warnings.catch_warnings():
            exec(_PREAMBLE, self.space)
            exec(new, self.space)

    def world(self) -> contextlib.AbstractContextManager[Any]:
        """What a line runs in."""
        return contextlib.nullcontext()

    def run(self, code: types.CodeType) -> Any:
        """What a line gives, as an answer that can be compared."""
        self.space["_"] = None
        try:
            with self.world():
                exec(code, self.space)
        except OSError as error:
            return failure(error)
        except Exception as error:
            return f"{type(error).__name__}: {error}" if self.is_our_refusal(error) else type(error).__name__
        return self._answer(self.space["_"])

    def is_our_refusal(self, error: Exception) -> bool:
        return type(error).__module__.startswith("solipsism_unittest")

    def settle(self, *, patiently: bool) -> None:
        """Wait until everything has arrived."""

    def sockets(self) -> list[int]:
        return list(self.space["s"])

    def files(self) -> list[int]:
        return list(self.space["f"])

    def close(self) -> None:
        """Leave nothing behind, and no port waiting for its time to pass."""
        with self.world(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for sock in self.space["s"].values():
                with contextlib.suppress(OSError):
                    if sock.type == socket.SOCK_STREAM:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                sock.close()
            for file in self.space["f"].values():
                file.close()
            self.space.clear()
        shutil.rmtree(self.where, ignore_errors=True)

    def _answer(self, value: Any) -> Any:
        if isinstance(value, bytes):
            return f"{MANY} bytes or more" if len(value) >= MANY else self._name(value)
        if isinstance(value, str):
            return value.replace(self.where, "where")
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1 << 17:
            return "some, not all"
        if isinstance(value, (tuple, list)):
            if len(value) in (2, 4) and isinstance(value[0], str) and isinstance(value[1], int) and value[1]:
                return (value[0], self._in_order("port", value[1]), *value[2:])
            return type(value)(self._answer(part) for part in value) if type(value) in (list, tuple) else tuple(
                self._answer(part) for part in value)
        return value

    def _name(self, value: bytes) -> Any:
        # An abstract name of the kernel's choice is a zero byte and five hexadecimal digits.
        if len(value) == 6 and value[0] == 0:
            return self._in_order("name", value)
        return value

    def _in_order(self, what: str, value: Any) -> str:
        if (what, value) not in self._seen:
            self._seen[what, value] = f"{what} {sum(1 for kind, _ in self._seen if kind == what) + 1}"
        return self._seen[what, value]


class RealSide(Side):
    """Linux."""

    name = "Linux"
    _stuck: list[int] = []  # what will not arrive however long one waits

    def settle(self, *, patiently: bool) -> None:
        if not patiently:
            self._state()
            return
        before: Any = None
        quiet = 0
        while quiet < (2 if self._unsent() in ([], self._stuck) else ENOUGH):
            time.sleep(0.001)
            now = self._state(), self._unsent()
            quiet = quiet + 1 if now == before else 0
            before = now
        self._stuck = self._unsent()

    def _unsent(self) -> list[int]:
        """What TCP has not sent, or not been told to have arrived: an acknowledgement is delayed by 40 ms at most."""
        found = []
        for sock in self.space["s"].values():
            if sock.fileno() >= 0 and sock.type == socket.SOCK_STREAM and sock.family != socket.AF_UNIX:
                with contextlib.suppress(OSError):  # of a listener
                    found.append(struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0])
        return [size for size in found if size]

    def _state(self) -> list[tuple[int, int]]:
        poll = select.poll()
        for sock in self.space["s"].values():
            if sock.fileno() >= 0:
                poll.register(sock, select.POLLIN | select.POLLOUT | select.POLLRDHUP)
        return poll.poll(0)


class VirtualSide(Side):
    """The virtual machine."""

    name = "virtual"

    def __init__(self, where: str, new: str) -> None:
        self._world = World(Kernel())
        super().__init__(where, new)

    def world(self) -> contextlib.AbstractContextManager[Any]:
        return inside(self._world)
