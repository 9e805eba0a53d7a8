"""`SolipsistTestCase`: what a test may use and say. How it runs stands in phases.py, and its end in verdict.py."""

from __future__ import annotations

import asyncio
import functools
import os
import unittest
from asyncio import _get_running_loop, sleep
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from ..errors import SolipsismError
from ..introspection import names
from ..kernel import Capacity
from ..kernel.clock import Hold
from ..kernel.descriptors.end import End
from ..kernel.network.network import Network
from ..kernel.wall import WallClock
from ..leaks import expected
from ..loop.event_loop import SolipsistEventLoop
from ..loop.second import SecondLoop
from ..peers.datagram_server import DatagramHandler, FakeDatagramServer
from ..peers.programs import popen as _popen  # noqa: F401 - what subprocess.Popen() gets
from ..peers.programs.beside import run_beside
from ..peers.programs.child import Main
from ..peers.programs.table import programs_of
from ..peers.proxy import Proxy
from ..peers.script import Script
from ..peers.server import FakeServer, Handler
from ..stdlib.clocks.wall import is_moment, moment_of, set_wall
from ..stdlib.processes import program, signals
from ..stdlib.seal import permits
from ..stdlib.sockets.pairs import StreamPair, abort, stream_pairs
from ..stdlib.sockets.virtual_socket import VirtualSocket
from .assertions.buffers import BufferAssertions
from .assertions.raised import RaisedAssertions
from .assertions.received import ReceiveAssertions
from .assertions.time import TimeAssertions
from .assertions.uncaught import UncaughtAssertions
from .fixtures import tls as certificates
from .fixtures.context import Context
from .fixtures.settings import Settings
from .phases import Phases
from .verdict import begin_evidence
from .world import run_of

if TYPE_CHECKING:
    import datetime

__unittest = True
__tracebackhide__ = True

T = TypeVar("T")


class unless_assigned(Generic[T]):  # noqa: N801 - a decorator that reads as a word, like property
    """A property that a test may assign to, as in `self.loop = asyncio.get_running_loop()`; it reads its own then."""

    def __init__(self, get: Callable[[SolipsistTestCase], T]) -> None:
        self._given = get
        self.__doc__ = get.__doc__

    @overload
    def __get__(self, case: None, owner: type) -> Self: ...

    @overload
    def __get__(self, case: SolipsistTestCase, owner: type) -> T: ...

    def __get__(self, case: SolipsistTestCase | None, owner: type) -> Self | T:
        return self if case is None else self._given(case)


class SolipsistTestCase(TimeAssertions, UncaughtAssertions, RaisedAssertions, BufferAssertions, ReceiveAssertions,
                        Phases):
    """A test that runs alone in the world: virtual time, a network in memory, and nothing left behind.

    To set on the class:

    * `loop_factory`: a class or function that makes the event loop. Any other than a SolipsistEventLoop has no virtual
      world. A loop that was there before is lent: what the test leaves is ended, and nothing else, and it stays open.
    * `start_time`: the loop's first time in seconds.
    * `wall_start`: the time of day at which a test begins, a datetime with a time zone or "now": `time.time()`,
      `datetime.now()` and their kin follow virtual time from there. None leaves them real.
    * `autojump`: whether time jumps when nothing else can happen.
    * `loop_debug`: asyncio's debug mode, which is 5 to 9 times slower.
    * `seed`: an int that decides what is left open. By default it is taken from the test's name.
    * `real_time_limit`: real seconds for the whole test with its cleanups. None is no limit.
    * `virtual_time_limit`: seconds for the loop's time. None is no limit.
    * `on_blocking_call`: what `time.sleep` and the like do in the loop's thread: "fail", "warn" or "ignore".
    * `on_slow_callback`: the same for a callback that takes longer than the loop's `slow_callback_duration`.
    * `on_polling`: what becomes of a program that runs again and again and changes nothing, as one does that polls with
      `sleep(0)`. "fail" is a LivelockError; with "jump" time goes on to the next timer, where there is one.
    * `forbid_get_event_loop`: whether a line of the program that calls `asyncio.get_event_loop()` fails.
    * `hermetic`: whether an EscapeError stops a call that would reach the real network, start a process, signal one or
      open a browser.
    * `loop_scope`: which tests share a loop: those of "class" or "module", or none ("test").
    * `longest_stall`: the most seconds of one stall or delay that an exploration (`over_seeds`) puts in.

    A test may assign to `loop`, `now`, `network`, `context`, `localhost` and `wall_now`; the framework goes on with its
    own.
    """

    loop_factory = Settings.loop_factory  # each test looks for it, class by class

    @unless_assigned
    def loop(self) -> SolipsistEventLoop:
        """The event loop of this test. Outside of a test there is none: SolipsismError."""
        return run_of(self).loop  # type: ignore[return-value]

    def addCleanup(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """As unittest's. What `function` returns is awaited where it can be."""
        if not callable(function):
            hint = ""
            if isinstance(function, Coroutine):
                function.close()
                hint = ": do not call it here, as in self.addCleanup(function, argument)"
            raise TypeError(f"a cleanup is a function, not {names.plain(function)}{hint}")
        super().addCleanup(function, *args, **kwargs)

    @unless_assigned
    def now(self) -> float:
        """The loop's time in seconds."""
        return run_of(self).loop.time()

    @unless_assigned
    def wall_now(self) -> datetime.datetime:
        """The time of day with a time zone, as the program sees it. SolipsismError without `wall_start`."""
        return moment_of(_wall_of(self, "self.wall_now"))  # type: ignore[no-any-return]

    def set_wall_clock(self, when: datetime.datetime) -> None:
        """Set the time of day, as NTP or a user does: timers, and time.monotonic(), go on as they were.

        `when` has a time zone. SolipsismError without `wall_start`.
        """
        wall = _wall_of(self, "set_wall_clock()")
        if not is_moment(when):
            raise ValueError(f"set_wall_clock() takes a datetime with a time zone, not {when!r}")
        set_wall(wall, when)

    @unless_assigned
    def network(self) -> Network:
        """The virtual network of this test."""
        return _loop_for(self, "self.network").kernel.network

    @unless_assigned
    def localhost(self) -> str:
        """The address of the machine that the test runs on."""
        return "127.0.0.1"

    @unless_assigned
    def context(self) -> Context:
        """Values by name: `self.context["name"] = value`, and `await self.context["name"]` waits until it is set."""
        return run_of(self).context

    def delayed_future(self, seconds: float, result: Any = True) -> asyncio.Future[Any]:
        """A future that gets its result after so many seconds; a `result` that is an exception is raised."""
        loop = _get_running_loop() or run_of(self).loop
        future: asyncio.Future[Any] = loop.create_future()
        loop.call_later(seconds, _settle_future, future, result)
        return future

    def unused_port(self, host: str = "localhost") -> int:
        """A port that nobody uses for TCP or UDP on any address of `host`. Every call gives another one."""
        return _loop_for(self, "unused_port()").kernel.network.unused_port(host)

    async def advance(self, seconds: float) -> None:
        """Let `seconds` of virtual time pass: what is due runs at its own time, what is due at the end included.

        A negative number is a ValueError and moves nothing.
        """
        await _loop_for(self, "advance()").advance(seconds)

    async def advance_to(self, when: float) -> None:
        """As `advance`, up to and including the virtual time `when`. The past is a ValueError."""
        await _loop_for(self, "advance_to()").advance_to(when)

    def evidence(self, directory: str | os.PathLike[str]) -> None:
        """Write down what happens from here on, and leave it in this directory when the test ends, whatever its end.

        A page with a time line (.html), a capture for Wireshark (.pcapng) with the keys of TLS, and tables as text.
        With SOLIPSISM_EVIDENCE=directory in the environment each failing test leaves them.
        """
        run = run_of(self)
        _loop_for(self, "evidence()")
        begin_evidence(self, run, os.fspath(directory))

    async def settle(self) -> None:
        """Wait until nothing more can happen at this instant; time does not move.

        What takes no time has arrived then. What a link delays or holds, and what is sent again later, has not:
        `network.in_flight()` and `network.netstat()` show it.
        """
        await _loop_for(self, "settle()").settle()

    def background(self) -> AbstractContextManager[None]:
        """`with self.background():` what is started inside is meant to run on.

        A job, a thread or a threading.Timer does not hold the clock, and a task, a timer or a server that is started
        inside does not count as left behind. Tasks pass it on to what they start. A connection that such a server
        accepts later is the test's: its handler closes it, or it is left behind.
        """
        return _loop_for(self, "background()").background()

    def expect_leak(self, thing: T) -> T:
        """Let a thing outlive the test: it is ended, and not reported. Returns it.

        A task, a timer or handle, an event loop, a socket, transport, StreamWriter or server, an async generator, a
        process, a thread or a thread pool; TypeError for anything else.
        """
        if not expected.can_be_left(thing):
            raise TypeError(f"expect_leak() takes a task, timer, event loop, socket, transport, StreamWriter, "
                            f"server, async generator, process, thread or thread pool, not {names.plain(thing)}")
        run = run_of(self)
        run.expected += [thing, *run.world.things_of(thing)]
        return thing

    def allow_escape(self, *names: str) -> AbstractContextManager[None]:
        """`with self.allow_escape("subprocess"):` calls of this kind are real inside, and in what is started inside.

        The names are "network", "signal", "subprocess" and "webbrowser". With "network" what module socket makes and
        looks up is real, but for asyncio: the virtual loop cannot wait for real sockets.
        """
        return permits.allow_escape(*names)

    def hold_clock(self) -> AbstractContextManager[Hold]:
        """`with self.hold_clock():` time stands still, and the loop really waits for other threads."""
        return _loop_for(self, "hold_clock()").hold_clock()

    def socketpair(self, capacity: Capacity = None) -> tuple[VirtualSocket, VirtualSocket]:
        """Two non-blocking sockets joined in memory, closed at the end of the test.

        `capacity` is how many bytes a direction holds before a send would block; a pair of numbers sets the two
        directions.
        """
        loop = _loop_for(self, "socketpair()")
        pair = VirtualSocket.pair(loop.world, capacity)
        _end_with(self, loop, _close_pair, loop, pair, [face.end for face in pair])
        return pair

    async def stream_pairs(self, capacity: Capacity = None) -> tuple[StreamPair, StreamPair]:
        """((reader1, writer1), (reader2, writer2)), joined in memory, closed at the end of the test."""
        loop = _loop_for(self, "stream_pairs()")
        pairs = await stream_pairs(capacity)
        for _, writer in pairs:
            _end_with(self, loop, _abort, writer)
        return pairs

    def add_program(self, name: str, main: Main | None) -> None:
        """Let asyncio's subprocesses, and module subprocess, find a program of this name, by any path.

        `main` is an async function that gets the process: `argv`, `environment`, `cwd`, `stdin` (a StreamReader),
        `stdout` and `stderr` (StreamWriters), `add_signal_handler(signum, callback)`. It returns the exit code; an
        exception is exit code 1, a traceback on stderr, and fails the test. Or it takes nothing, and is run as
        `run_program()` does it, a function in a thread. None says that it is not installed: FileNotFoundError. All
        of that holds until the test ends.
        """
        undo = programs_of(_loop_for(self, "add_program()").world).add(name, main)
        run_of(self).leaving.callback(undo)  # a loop that tests share keeps none

    def run_program(self, main: Callable[[], Any], argv: Sequence[str] = (), env: Mapping[str, str] | None = None,
                    stdin: bytes = b"", host: str = "localhost") -> program.ProgramRun:
        """Run a whole program as an interpreter does: `sys.exit(main())`.

        `main` is a function, which may call asyncio.run(), or a coroutine function. It finds `argv` in `sys.argv[1:]`,
        `env` (by default that of the test) in `os.environ`, and `stdin`; its connects come from `host`. The result
        has `returncode`, `stdout` and `stderr`. A signal that nobody handles ends it: `returncode` is -15 for SIGTERM,
        and its `finally` blocks run, unheard. An assertion of the test in it fails the test.

        In a test that is no coroutine the program has ended when this returns. In an async one it runs beside the test,
        a function in a thread: await the result, which has `pid` and `send_signal(signum)` meanwhile.
        """
        world = _loop_for(self, "run_program()").world
        run = run_beside if world.runs else program.run
        return run(world, main, argv, env, stdin, host)

    def send_signal(self, signum: int) -> None:
        """Send a signal to the program, as `kill` would: its own handlers and those of its loop get it.

        A handler of `signal.signal()` has run when this returns; one of the loop runs two turns later. A signal that
        nobody handles and that would end the process is an EscapeError.
        """
        signals.send(_loop_for(self, "send_signal()").world, signum)

    async def start_fake_server(self, handler: Handler | None = None, host: str = "localhost", port: int = 0, *,
                                path: str | bytes | os.PathLike[str] | None = None,
                                script: Script | Sequence[Script] | None = None,
                                ssl: SSLContext | None = None, tls: bool | str = False, capacity: Capacity = None
                                ) -> FakeServer:
        """A server for the code under test to talk to, on any host name and port, or UNIX path; closed at the end.

        `handler` is an async function (reader, writer); what it raises fails the test. Without one the test plays the
        server: `reader, writer = await server.accept()`. With `script` each connection plays it, or, of a list, its own
        one in order of connecting; what does not fit, and a script not played to its end, fails the test.

        Port 0 is the next free one. `capacity` bounds what is under way to the client and to the server, in bytes. A
        port in use is OSError EADDRINUSE. With `path`, host and port say nothing; the path's directory has to exist,
        and no real file is made.

        With `tls=True` it has a certificate for its host, which a program believes after `self.trust()`; `tls` may be
        another kind of certificate (see `tls_contexts`). `ssl` is a context of your own.
        """
        loop = _loop_for(self, "start_fake_server()")
        if tls is not False:
            if ssl is not None:
                raise ValueError("a server has one context: give ssl= or tls=, not both")
            ssl = certificates.server_context((host,), "good" if tls is True else tls)
        server = FakeServer(loop.world, handler, host, script)
        if path is None:
            await server.start(port, ssl=ssl, capacity=capacity)
        else:
            await server.start_at(path, ssl=ssl, capacity=capacity)
        run = run_of(self)
        run.servers.append(server)
        _end_with(self, loop, run.end_server, server, self._cleanups)
        return server

    async def start_proxy(self, target_host: str, target_port: int, host: str = "localhost", port: int = 0, *,
                          buffered: bool = True, record: str | os.PathLike[str] | None = None) -> Proxy:
        """A TCP proxy in front of a server, which slows, cuts and rewrites what passes; closed at the end of the test.

        What a processor raises fails the test. Without `buffered` each piece waits until the one before has gone out.
        `record` is a path: what a connection carries is written there, for `Script.recorded()`.
        """
        loop = _loop_for(self, "start_proxy()")
        proxy = Proxy(loop.world, target_host, target_port, host, buffered=buffered, record=record)
        await proxy.start(port)
        run = run_of(self)
        run.servers.append(proxy)
        _end_with(self, loop, run.end_server, proxy, self._cleanups)
        return proxy

    def tls_contexts(self, *hosts: str, certificate: str = "good", key: str = "ed25519"
                     ) -> tuple[SSLContext, SSLContext]:
        """An SSLContext for a server on these hosts, names or addresses, and one for its clients, which trusts it.

        Both have a certificate, so that the server may ask: `server.verify_mode = ssl.CERT_REQUIRED`. `certificate`,
        the server's, is "good", or one that clients refuse: "expired", "not yet valid", "wrong host", "self-signed",
        "untrusted", "no names". With `key="p256"` in place of Ed25519 handshakes are not as long in every run.
        """
        return certificates.contexts(hosts, certificate, key)

    def trust(self, *contexts: SSLContext) -> None:
        """Let the program trust the certificates of `tls_contexts()` and of `tls=True`, until the test ends.

        A context that verifies nothing does not begin to, and one that the program gave authorities of its own gets no
        others: name it here, and it trusts them from now on.
        """
        for context in contexts:
            certificates.trust_in(context)
        if not contexts:
            certificates.trust(_loop_for(self, "trust()").world, run_of(self).leaving)

    async def start_fake_datagram_server(self, handler: DatagramHandler | None = None, host: str = "localhost",
                                         port: int = 0, *, script: Script | Sequence[Script] | None = None
                                         ) -> FakeDatagramServer:
        """A UDP server for the code under test to talk to, on any host name and port; closed at the end of the test.

        `handler` is a function (data, address), async or not, that returns the bytes of its answer or None; what it
        raises fails the test. Without one the test plays the server: `data, address = await server.receive()`, then
        `server.send(answer, address)`. With `script` each sender plays it, or, of a list, its own one. Port 0 is
        the next free one. A multicast group is a host too. A port in use is OSError EADDRINUSE.
        """
        loop = _loop_for(self, "start_fake_datagram_server()")
        server = FakeDatagramServer(loop.world, handler, host, script)
        await server.start(port)
        run_of(self).servers.append(server)
        _end_with(self, loop, server.finish)
        return server


def _loop_for(case: unittest.TestCase, what: str) -> SolipsistEventLoop:
    """The loop for `what`, which needs the virtual world; SolipsismError without one."""
    return run_of(case).world.loop_for(what)


def _end_with(case: unittest.TestCase, loop: SolipsistEventLoop, end: Callable[..., Any], *args: Any) -> None:
    """Let it end with the test; before, with a loop that the program has made and where it was made."""
    unittest.TestCase.addCleanup(case, end, *args)
    if isinstance(loop, SecondLoop):
        loop.at_close(functools.partial(_call, end, *args))


async def _call(end: Callable[..., Any], *args: Any) -> None:
    value = end(*args)
    if value is not None:
        await value
    await sleep(0)  # what was closed is gone


def _settle_future(future: asyncio.Future[Any], result: object) -> None:
    if future.done():  # it was cancelled
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)


def _wall_of(case: SolipsistTestCase, what: str) -> WallClock:
    """The clock on the wall, for `what` needs one that is set."""
    wall = _loop_for(case, what).kernel.wall
    if not wall.is_set:
        raise SolipsismError(f"{what} needs a time of day of the test's own: set wall_start on "
                             f"{type(case).__qualname__}")
    return wall


def _close_pair(loop: SolipsistEventLoop, pair: Sequence[VirtualSocket], ends: Sequence[End]) -> None:
    abandoned = loop.kernel.abandoned
    abandoned[:] = [end for end in abandoned if end not in ends]  # they are ours, whoever dropped a writer on them
    for face in pair:
        transport = loop.inventory.transport_of(face.fileno())
        if transport is not None:
            abort(transport)
        else:
            face.close()


def _abort(writer: asyncio.StreamWriter) -> None:
    # It holds the writer until then: one that is collected while it is open counts as left behind.
    abort(writer.transport)
