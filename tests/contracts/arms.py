"""Two arms, one body: a scenario runs on the real loopback, then on the virtual loop, and both must see the same.

A scenario is an `async def test_x(self, arm)` under `@scenario`, in plain asyncio and socket code, which must not be
able to tell the arms apart. It notes what a program sees with `arm.see(...)`, and returns the truth: the list of facts
that it expects, or None where only agreement counts (what an asyncio of another version says in other words). The real
arm is judged first, against the truth, so that a scenario that is wrong about Linux fails as such; then the virtual arm
is judged against the real one.

Both arms wait in the same words. A wait for something that must happen ends with it (`readable`, `writable`, `until`);
`calm` gives time to what must *not* happen: a few real milliseconds on the loopback, none on the virtual loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import errno
import functools
import math
import os
import socket
import struct
import tempfile
import threading
import time
import unittest
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from solipsism_unittest import SolipsistEventLoop

LIMIT = 20.0
"""Seconds, and a hundred steps, after which a body is stuck: real ones on the real arm, virtual ones on the other."""
PLAYS = 6
"""How often the real arm is played when it does not see the stated truth. The loopback is shared with all that runs on
the machine, which takes ports between one call and the next, and processors from threads that are due."""
STEP = 0.02
"""Seconds between two things whose order is stated, the first time that an arm is played."""
LONGER = 2.5
"""How many times as long a step is each time that the real arm is played again: no machine is too slow for the last."""

STREAM = socket.SOCK_STREAM

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER's value that makes `close()` send a RST."""

Address = tuple[Any, ...]
Body = Callable[[Any, "Arm"], Coroutine[Any, Any, Any]]


class Arm:
    """One run of one scenario: what it saw, and what it has to close."""

    def __init__(self, name: str, loop_factory: Callable[[], asyncio.AbstractEventLoop], step: float = STEP) -> None:
        self.name = name
        self.step = step
        self.facts: list[Any] = []
        self._loop_factory = loop_factory
        self._closing = contextlib.ExitStack()
        self._tasks: list[asyncio.Task[Any]] = []

    def __repr__(self) -> str:
        return f"<Arm {self.name}, {len(self.facts)} facts>"

    def play(self, body: Callable[[Arm], Coroutine[Any, Any, Any]]) -> Any:
        """Run `body` alone in a new loop; return the truth that it returns."""
        # Not in debug mode, whatever flags Python runs with: asyncio reports more there. A scenario may take its time.
        with asyncio.Runner(loop_factory=self._loop_factory, debug=False) as runner:
            runner.get_loop().slow_callback_duration = math.inf
            try:
                return runner.run(self._limited(body))
            except BaseException as problem:
                problem.add_note(f"on the {self.name}, after {self.facts}")
                raise

    async def _limited(self, body: Callable[[Arm], Coroutine[Any, Any, Any]]) -> Any:
        asyncio.get_running_loop().set_exception_handler(self._note_loop_exception)
        with self._closing:
            try:
                async with asyncio.timeout(LIMIT + 100 * self.step):
                    return await body(self)
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def _note_loop_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.see("loop exception", context["message"], repr(context.get("exception")))

    # What is seen

    def see(self, *fact: Any) -> None:
        """Note one fact, as it is now: a value alone, or several that belong together."""
        self.facts.append(copy.deepcopy(fact[0] if len(fact) == 1 else fact))

    # What is made

    def keep(self, end: Any) -> Any:
        """Close `end`, a socket or a server, after the body; return it."""
        self._closing.callback(end.close)
        return end

    def keep_transport(self, transport: asyncio.WriteTransport, *company: Any) -> None:
        """End `transport` after the body, unsent data or not, and let its `company` live until then.

        asyncio aborts a stream whose reader or writer is garbage, so a body that wants only one of them keeps both.
        """

        def end() -> Any:
            transport.abort() if transport.get_write_buffer_size() else transport.close()
            return company

        self._closing.callback(end)

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `coroutine` beside the body, at most until the body ends."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.append(task)
        return task

    def socket(self, host: str = "127.0.0.1") -> socket.socket:
        """A new non-blocking TCP socket of `host`'s family."""
        sock = self.keep(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM))
        sock.setblocking(False)
        return sock

    def listener(self, host: str = "127.0.0.1", *, backlog: int = 5) -> socket.socket:
        """A socket that listens on `host`, on a port of the kernel's choice."""
        sock = self.socket(host)
        sock.bind((host, 0))
        sock.listen(backlog)
        return sock

    async def dial(self, listener: socket.socket) -> socket.socket:
        """A socket connected to `listener`; nobody has accepted it yet."""
        host, port, *_ = listener.getsockname()
        sock = self.socket(host)
        with contextlib.suppress(BlockingIOError):
            sock.connect((host, port))
        await self.writable(sock)
        return sock

    async def answer(self, listener: socket.socket) -> socket.socket:
        """The next connection that `listener` has to offer."""
        await self.readable(listener)
        sock = self.keep(listener.accept()[0])
        sock.setblocking(False)
        return sock

    async def connection(self, host: str = "127.0.0.1", *, buffer: int = 0) -> tuple[socket.socket, socket.socket]:
        """Both ends of a TCP connection, the one that connected first.

        `buffer` asks for buffers of about that size, so that they can be filled: a real kernel lets large ones grow.
        """
        listener, client = self.listener(host), self.socket(host)
        if buffer:
            for sock in (listener, client):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        with contextlib.suppress(BlockingIOError):
            client.connect(listener.getsockname()[:2])
        server = await self.answer(listener)
        await self.writable(client)
        listener.close()
        return client, server

    def datagram(self, host: str = "127.0.0.1") -> socket.socket:
        """A new non-blocking UDP socket, bound to `host` and a port of the kernel's choice."""
        sock = self.keep(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM))
        sock.setblocking(False)
        sock.bind((host, 0))
        return sock

    def unix(self, kind: int = STREAM) -> socket.socket:
        """A new non-blocking UNIX socket."""
        sock = self.keep(socket.socket(socket.AF_UNIX, kind))
        sock.setblocking(False)
        return sock

    def folder(self) -> str:
        """A new folder, for UNIX sockets to lie in."""
        return self._closing.enter_context(tempfile.TemporaryDirectory(prefix="arm"))

    def pair(self, kind: int = STREAM) -> tuple[socket.socket, socket.socket]:
        """Both ends of a `socket.socketpair()`, of UNIX sockets."""
        one, other = socket.socketpair(socket.AF_UNIX, kind)
        for sock in (self.keep(one), self.keep(other)):
            sock.setblocking(False)
        return one, other

    # What takes time, in threads

    def nap(self, steps: float) -> float:
        """Sleep so many steps; return how many."""
        time.sleep(steps * self.step)
        return steps

    def fail(self, steps: float) -> None:
        """Sleep so many steps, and raise."""
        self.nap(steps)
        raise LookupError(steps)

    def later(self, steps: float, call: Callable[..., object], *args: Any) -> threading.Timer:
        """Call this on a thread of its own after so many steps."""
        timer = threading.Timer(steps * self.step, call, args)
        timer.start()
        return timer

    # What is waited for

    async def readable(self, sock: socket.socket) -> None:
        """Wait until the loop calls `sock` readable."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        loop.add_reader(sock, event.set)
        try:
            await event.wait()
        finally:
            loop.remove_reader(sock)

    async def writable(self, sock: socket.socket) -> None:
        """Wait until the loop calls `sock` writable."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        loop.add_writer(sock, event.set)
        try:
            await event.wait()
        finally:
            loop.remove_writer(sock)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until `condition()` is true, by turns as well as by time, which a busy virtual loop does not spend."""
        while not condition():
            await self.turns(10)
            if not condition():
                await asyncio.sleep(0.001)

    async def turns(self, count: int) -> None:
        """Let the loop look at its sockets `count` times."""
        for _ in range(count):
            await asyncio.sleep(0)

    async def calm(self) -> None:
        """Let everything arrive that is on its way, while nothing is ready."""
        for _ in range(4):
            await asyncio.sleep(0.001)

    async def readiness(self, sock: socket.socket) -> str:
        """What the loop's selector says of `sock` now: "r", "w", "rw" or "-"."""
        await self.calm()
        loop = asyncio.get_running_loop()
        fired: set[str] = set()
        loop.add_reader(sock, fired.add, "r")
        loop.add_writer(sock, fired.add, "w")
        await self.turns(3)
        loop.remove_reader(sock)
        loop.remove_writer(sock)
        return "".join(sorted(fired)) or "-"

    async def fill(self, sock: socket.socket) -> int:
        """Send until nothing more goes; return the bytes sent.

        The first EAGAIN is not the end: a kernel that delays an acknowledgement, by 40 ms on Linux, finds room later.
        """
        sent = idle = 0
        chunk = bytes(1 << 16)
        while idle < 3:
            before = sent
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += sock.send(chunk)
            await asyncio.sleep(0.05)
            idle = idle + 1 if sent == before else 0
        return sent

    async def drain(self, sock: socket.socket) -> bytes:
        """Read `sock` to its end."""
        data = bytearray()
        while True:
            await self.readable(sock)
            chunk = sock.recv(1 << 16)
            if not chunk:
                return bytes(data)
            data += chunk


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    """What `call(*args)` returns, or the name of what it raises: the errno of an OSError, the class of anything else.

    An OSError of another class or text than its errno demands is spelled out, so that it differs from every honest one.
    """
    try:
        result = call(*args)
    except OSError as error:
        return failure(error)
    except Exception as error:
        return type(error).__name__
    return result


async def awaited(awaitable: Awaitable[Any]) -> Any:
    """The same of what is awaited."""
    try:
        return await awaitable
    except OSError as error:
        return failure(error)
    except Exception as error:
        return type(error).__name__


def failure(error: BaseException | None) -> Any:
    """The name of an error: an errno where there is one."""
    if not isinstance(error, OSError) or error.errno is None:
        return error if error is None else type(error).__name__
    name = errno.errorcode.get(error.errno, str(error.errno))
    honest = OSError(error.errno, os.strerror(error.errno))
    if type(error) is type(honest):
        return name
    return f"{name} as {type(error).__name__}"


def shape(address: Any) -> Any:
    """An address without what the kernel chose: a port that is not 0 is "port"."""
    if isinstance(address, tuple) and len(address) >= 2:
        return (address[0], "port" if address[1] else 0, *address[2:])
    return address


def scenario(body: Body) -> Callable[[Any], None]:
    """Make of a body the test that plays it on both arms. An arm that cannot play it fails the test, never skips it."""

    @functools.wraps(body)
    def test(case: Contract) -> None:
        virtual = Arm("virtual loop", case.virtual_loop)
        try:
            for play in range(PLAYS):
                real = Arm("real loopback", case.real_loop, STEP * LONGER ** play)
                truth = real.play(functools.partial(body, case))
                if truth is None or real.facts == truth:
                    break
            if truth is not None:
                case.assertEqual(real.facts, truth, "the scenario is wrong about the real loopback")
            virtual.play(functools.partial(body, case))
        except unittest.SkipTest as skip:
            raise AssertionError(f"a scenario runs on both arms or fails, but it was skipped: {skip}") from skip
        case.assertEqual(virtual.facts, real.facts, "the virtual loop differs from the real loopback")

    test.is_scenario = True  # type: ignore[attr-defined]
    return test


class Contract(unittest.TestCase):
    """Scenarios of one subject. `host` says over which address family TCP goes; a subclass changes it."""

    host = "127.0.0.1"
    real_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop
    virtual_loop: Callable[[], asyncio.AbstractEventLoop] = SolipsistEventLoop
    maxDiff = None
