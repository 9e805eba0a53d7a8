"""`SolipsistTestCase`: an IsolatedAsyncioTestCase whose world is virtual.

Assembles everything: it makes the loop, seals the thread, holds back what failed until the end of the test, looks for
leftovers, and puts all of it into one outcome. It is the only module that knows all the others.

How a test runs: `run()` of unittest calls `_callSetUp`, `_callTestMethod`, `_callTearDown` and, always and last,
`doCleanups`. The first of them enters the world. Failures are held back until the last one has surveyed what is left,
because a note on an exception is lost once unittest has written it down.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import gc
import inspect
import random
import types
import unittest
import warnings
import zlib
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NoReturn, TypeVar

from ..errors import RealTimeLimitError, ReturnedValueWarning, SolipsismError
from ..introspection import exceptions, names
from ..introspection.exceptions import clean
from ..kernel import Capacity
from ..kernel.clock import Hold
from ..kernel.descriptors.end import End
from ..kernel.network.network import Network
from ..leaks import checks, ending, expected, report, survey
from ..leaks.checks import DEFAULTS
from ..leaks.kinds import Found, Leak
from ..leaks.unawaited import Unawaited, close_held
from ..loop import stuck
from ..loop.event_loop import SolipsistEventLoop
from ..loop.uncaught import unread
from ..peers.datagram_server import DatagramHandler, FakeDatagramServer
from ..peers.server import FakeServer, Handler
from ..stdlib import escapes
from ..stdlib.seal import get_event_loop, permits
from ..stdlib.sockets.pairs import StreamPair, stream_pairs
from ..stdlib.sockets.virtual_socket import VirtualSocket
from ..stdlib.worlds import sealed, world_here
from . import real_time
from .assertions.awaited import Unfinished, awaiting
from .assertions.time import Assertions
from .fixtures.scopes import Scope, Scoped
from .results import HeldResult, as_note, can_be_cause, forget_notes

__unittest = True
__tracebackhide__ = True

T = TypeVar("T")

TRACEBACKS = 5  # so many of errors that nobody caught are told beside the first
TURNS_WITHOUT_USE = 2  # of the loop: the body, and its end
UNUSED = ("the test is async but gave the loop nothing to do: nothing in it had to wait. Is an `await` missing? If "
          "not, a plain `def` says the same")

FOR_EVER = 1e9  # real seconds

class SolipsistTestCase(Assertions, Scoped):
    """A test that runs alone in the world: virtual time, a network in memory, and nothing left behind.

    To set on the class: `loop_factory`, a class or function that makes the event loop (any other than a
    SolipsistEventLoop has no virtual world); `start_time`, the loop's first time in seconds; `autojump`, whether time
    jumps when nothing else can happen; `loop_debug`, asyncio's debug mode (5 to 9 times slower); `seed`, an int that
    decides what is left open, by default taken from the test's name; `real_time_limit`, real seconds for the whole test
    with its cleanups, and `virtual_time_limit`, seconds for the loop's time (None: no limit); `on_blocking_call`, what
    `time.sleep` and the like do in the loop's thread, and `on_slow_callback`, what a callback does that takes longer
    than the loop's `slow_callback_duration`: "fail", "warn" or "ignore"; `forbid_get_event_loop`, whether a line of the
    program that calls `asyncio.get_event_loop()` fails; `hermetic`, whether a call that would reach the real network,
    start a process, signal one or open a browser is an EscapeError; `loop_scope`, "test", "class" or "module", who
    shares a loop.
    """

    loop_factory: Any = SolipsistEventLoop
    start_time: float = 0.0
    autojump: bool = True
    loop_debug: bool = False
    seed: int | None = None
    real_time_limit: float | None = 60.0
    virtual_time_limit: float | None = None
    on_blocking_call: str = "fail"
    on_slow_callback: str = "warn"
    forbid_get_event_loop: bool = False
    hermetic: bool = True

    _asyncioRunner: asyncio.Runner | None
    _asyncioTestContext: contextvars.Context
    _held: HeldResult | None = None
    _in_phase = False
    _was_used: bool | None = None  # whether the last coroutine gave the loop something to do
    _body_used: bool | None = None  # the same of the body of an async test
    _late: RealTimeLimitError | None = None
    _refusals: get_event_loop.Refusals | None = None
    _allowance = real_time.RealTimeLimit()

    def __init__(self, methodName: str = "runTest") -> None:
        super().__init__(methodName)
        self._world = contextlib.ExitStack()
        self._unfinished: dict[Unfinished, None] = {}
        self._unawaited = Unawaited()
        self._expected: list[object] = []
        self._before = expected.Before()
        self._checks = DEFAULTS
        self._shared: Scope | None = None
        self._is_last = False  # nothing comes after this on the loop that is shared
        self._servers: list[FakeServer | FakeDatagramServer] = []

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("setUpClass", "tearDownClass"):
            if inspect.iscoroutinefunction(getattr(cls, name)):
                setattr(cls, name, classmethod(functools.partial(_refuse_async, name)))

    # -- what a test uses

    @property
    def loop(self) -> SolipsistEventLoop:
        """The event loop of this test. Outside of a test there is none: SolipsismError."""
        if self._asyncioRunner is None:
            raise SolipsismError("there is an event loop only while the test runs: use self.loop from setUp() on")
        return self._asyncioRunner.get_loop()  # type: ignore[return-value]

    def addCleanup(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """As unittest's. What `function` returns is awaited where it can be."""
        if not callable(function):
            hint = ""
            if isinstance(function, Coroutine):
                function.close()
                hint = ": do not call it here, as in self.addCleanup(function, argument)"
            raise TypeError(f"a cleanup is a function, not {names.plain(function)}{hint}")
        super().addCleanup(function, *args, **kwargs)

    def _virtual(self, what: str) -> SolipsistEventLoop:
        loop = self.loop
        if not isinstance(loop, SolipsistEventLoop):
            raise SolipsismError(f"{what} needs the virtual world, and this test runs on {type(loop).__name__}: "
                                 "leave loop_factory as it is")
        return loop

    @property
    def now(self) -> float:
        """The loop's time in seconds."""
        return self.loop.time()

    @property
    def network(self) -> Network:
        """The virtual network of this test."""
        return self._virtual("self.network").kernel.network

    @property
    def localhost(self) -> str:
        """The address of the machine that the test runs on."""
        return "127.0.0.1"

    def unused_port(self, host: str = "localhost") -> int:
        """A port of TCP and UDP that nobody uses on any address of `host`; every call gives another one."""
        return self._virtual("unused_port()").kernel.network.unused_port(host)

    async def advance(self, seconds: float) -> None:
        """Run everything due within `seconds` from now, the end included, each thing at its own time; be there then.

        A negative number is a ValueError and moves nothing.
        """
        await self._virtual("advance()").advance(seconds)

    async def advance_to(self, when: float) -> None:
        """As `advance`, up to and including the virtual time `when`. The past is a ValueError."""
        await self._virtual("advance_to()").advance_to(when)

    async def settle(self) -> None:
        """Wait until nothing more can happen at this instant; time does not move."""
        await self._virtual("settle()").settle()

    def background(self) -> AbstractContextManager[None]:
        """`with self.background():` what is started inside is meant to run on.

        A job, a thread or a threading.Timer does not hold the clock, and a task, a timer or a server that is started
        inside does not count as left behind. Tasks pass it on to what they start.
        """
        return self._virtual("background()").background()

    def expect_leak(self, thing: T) -> T:
        """Say that this is meant to outlive the test: it is not reported, and ended all the same. Gives it back.

        A task, a timer or handle, a socket, transport, StreamWriter or server, an async generator, a thread or a
        thread pool; TypeError for anything else.
        """
        if not expected.can_be_left(thing):
            raise TypeError(f"expect_leak() takes a task, timer, socket, transport, StreamWriter, server, async "
                            f"generator, thread or thread pool, not {names.plain(thing)}")
        self._expected += [thing, *expected.things_of(self._virtual("expect_leak()"), [thing]).values()]
        return thing

    def allow_escape(self, *names: str) -> AbstractContextManager[None]:
        """`with self.allow_escape("subprocess"):` calls of this kind are real inside, and in what is started inside.

        The names are "network", "signal", "subprocess" and "webbrowser". With "network" what module socket makes and
        looks up is real, but for asyncio: the virtual loop cannot wait for real sockets.
        """
        return permits.allow_escape(*names)

    def executor_factory(self) -> concurrent.futures.Executor | None:
        """To override: a new default executor for each test, shut down at its end; None is asyncio's own."""
        return None

    def hold_clock(self) -> AbstractContextManager[Hold]:
        """`with self.hold_clock():` time stands still, and the loop really waits for what other threads bring."""
        return self._virtual("hold_clock()").hold_clock()

    def socketpair(self, capacity: Capacity = None) -> tuple[VirtualSocket, VirtualSocket]:
        """Two non-blocking sockets joined in memory, closed at the end of the test.

        `capacity` is how many bytes a direction holds before a send would block; a pair of numbers sets the two
        directions.
        """
        pair = VirtualSocket.pair(self._virtual("socketpair()").world, capacity)
        self.addCleanup(self._close_pair, pair, [face.end for face in pair])
        return pair

    def _close_pair(self, pair: tuple[VirtualSocket, VirtualSocket], ends: list[End]) -> None:
        abandoned = pair[0].kernel.abandoned
        abandoned[:] = [end for end in abandoned if end not in ends]  # they are ours, whoever dropped a writer on them
        for face in pair:
            transport = self.loop.inventory.transport_of(face.fileno())
            if transport is not None:
                transport.abort()
            else:
                face.close()

    async def stream_pairs(self, capacity: Capacity = None) -> tuple[StreamPair, StreamPair]:
        """((reader1, writer1), (reader2, writer2)), joined in memory, closed at the end of the test."""
        self._virtual("stream_pairs()")
        pairs = await stream_pairs(capacity)
        for _, writer in pairs:
            self.addCleanup(self._abort, writer)
        return pairs

    def _abort(self, writer: asyncio.StreamWriter) -> None:
        # It holds the writer until then: one that is collected while it is open counts as left behind.
        writer.transport.abort()

    async def start_fake_server(self, handler: Handler | None = None, host: str = "localhost", port: int = 0, *,
                                path: Any = None, ssl: Any = None, capacity: Capacity = None) -> FakeServer:
        """A server for the code under test to talk to, on any host name and port, or UNIX path; closed at the end.

        `handler` is an async function (reader, writer); what it raises fails the test. Without one the test plays the
        server: `reader, writer = await server.accept()`. Port 0 is the lowest free one. `capacity` bounds what is under
        way to the client and to the server, in bytes. A port in use is OSError EADDRINUSE. With `path`, host and port
        say nothing; the path's directory has to exist, and no real file is made.
        """
        loop = self._virtual("start_fake_server()")
        server = FakeServer(loop.world, handler, host)
        if path is None:
            await server.start(port, ssl=ssl, capacity=capacity)
        else:
            await server.start_at(path, ssl=ssl, capacity=capacity)
        self._servers.append(server)
        self.addAsyncCleanup(server.finish)
        return server

    async def start_fake_datagram_server(self, handler: DatagramHandler | None = None, host: str = "localhost",
                                         port: int = 0) -> FakeDatagramServer:
        """A UDP server for the code under test to talk to, on any host name and port; closed at the end of the test.

        `handler` is a function (data, address), async or not, that returns the bytes of its answer or None; what it
        raises fails the test. Without one the test plays the server: `data, address = await server.receive()`, then
        `server.send(answer, address)`. Port 0 is the lowest free one. A multicast group is a host too. A port in use is
        OSError EADDRINUSE.
        """
        loop = self._virtual("start_fake_datagram_server()")
        server = FakeDatagramServer(loop.world, handler, host)
        await server.start(port)
        self._servers.append(server)
        self.addAsyncCleanup(server.finish)
        return server

    # -- entering and leaving the world

    def _setupAsyncioRunner(self) -> None:
        # Called outside of any outcome, where an exception would end the whole suite: _callSetUp makes the loop.
        self._asyncioTestContext = contextvars.copy_context()
        self._asyncioRunner = self._make_runner(self.id())

    def _make_runner(self, name: str) -> asyncio.Runner:
        return asyncio.Runner(debug=self.loop_debug, loop_factory=lambda: self._make_loop(name))

    def _make_loop(self, name: str) -> asyncio.AbstractEventLoop:
        """A new loop, whose choices follow from the seed or else from this name."""
        factory = inspect.getattr_static(self, "loop_factory")
        if isinstance(factory, type) and issubclass(factory, SolipsistEventLoop):
            seed = zlib.crc32(name.encode()) if self.seed is None else self.seed
            return factory(self.start_time, autojump=self.autojump, seed=seed)
        plain = isinstance(factory, types.FunctionType) and not _needs_self(factory)
        loop = factory() if plain or isinstance(factory, functools.partial) else self.loop_factory()
        if not isinstance(loop, asyncio.AbstractEventLoop):
            raise SolipsismError(f"loop_factory of {type(self).__qualname__} gave {loop!r}, which is no event loop: "
                                 "set it to a class or function that returns a new one, or leave it as it is")
        return loop

    def _enter_world(self) -> None:
        outcome = self._outcome  # type: ignore[attr-defined]
        if outcome is not None:  # not in debug()
            self._held = outcome.result = HeldResult(outcome.result)
        self._shared = scope = self._scope()
        if scope is not None:
            self._asyncioTestContext, self._asyncioRunner = scope.context.copy(), scope.runner
        seconds = real_time.check(type(self), "real_time_limit", self.real_time_limit)
        # First in, last out: what ends the world may take real time too.
        limit = real_time.real_time_limit(seconds, lambda: _loop_of(self._asyncioRunner))
        self._allowance = self._world.enter_context(limit)
        loop = self._allowance.run(lambda: self.loop)
        self._world.callback(asyncio.set_event_loop, None)
        asyncio.set_event_loop(loop)
        self._world.enter_context(self._unawaited)
        on_blocking_call = self._choose_checks()
        executor = self.executor_factory() if scope is None or loop._default_executor is None else None
        if executor is not None:
            self._set_executor(loop, executor)
        if isinstance(loop, SolipsistEventLoop):
            loop.world.guarded = self.hermetic
            self._world.enter_context(sealed(loop))
            self._unawaited.is_ours = lambda: world_here() is loop.world
            self._world.enter_context(survey.collected_writers(loop))
            if scope is not None:
                self._before = expected.Before(loop)
                scope.uncaught += loop.uncaught.found
                loop.uncaught.found.clear()
            # The code under test draws its jitter from module random: the same in every run of this test.
            self._world.callback(random.setstate, random.getstate())
            random.seed(loop.kernel.choices.below(2**32, "random.seed"))
            loop.selector.real_seconds_allowed = FOR_EVER  # the test has a limit of its own, or wants none
            loop.selector.blocking.choose(type(self), on_blocking_call, self.on_slow_callback)
        if self.virtual_time_limit is not None:
            seconds = real_time.check(type(self), "virtual_time_limit", self.virtual_time_limit)
            stuck.virtual_time_limit(self._virtual("virtual_time_limit"), seconds)
        if self.forbid_get_event_loop:
            self._refusals = self._world.enter_context(get_event_loop.forbidden(self.failureException))

    def _choose_checks(self) -> str:
        """Take what the decorators say, and give what blocking calls do: they win over the class attribute."""
        said = checks.said(type(self), getattr(self, self._testMethodName))
        self._checks = {**DEFAULTS, **said}
        wanted = said.get("blocking_calls")
        if wanted:
            return "fail"
        return "ignore" if wanted is False and self.on_blocking_call == "fail" else self.on_blocking_call

    def _set_executor(self, loop: Any, executor: concurrent.futures.Executor) -> None:
        if not isinstance(executor, concurrent.futures.Executor):
            raise SolipsismError(f"executor_factory of {type(self).__qualname__} gave {names.plain(executor)}, "
                                 "which is no executor: return a new concurrent.futures.Executor, or None")
        if isinstance(loop, SolipsistEventLoop):
            loop._default_executor = executor  # any: set_default_executor() refuses all but thread pools
        else:
            loop.set_default_executor(executor)

    def _tearDownAsyncioRunner(self) -> None:
        """Close the loop and leave the world; nothing is left to do when `doCleanups` has done it."""
        runner = self._asyncioRunner
        self._unfinished.clear()
        self._servers.clear()
        if self._shared is not None:
            self._shared.expected += self._expected
        self._expected.clear()
        with self._world:
            try:
                if runner is not None and self._shared is None:
                    self._allowance.run(functools.partial(_close, runner))
            except RealTimeLimitError as error:
                self._late = error
            finally:
                self._asyncioRunner = None  # until then the limit asks for its loop

    @contextlib.contextmanager
    def _phase(self) -> Iterator[None]:
        """doCleanups() inside a phase is the user's own call; the one outside is unittest's, and the last."""
        before, self._in_phase = self._in_phase, True
        try:
            yield
        finally:
            self._in_phase = before

    # -- unittest's hooks, in the order in which it calls them

    def _callSetUp(self) -> None:
        self._begin_class()
        self._enter_world()
        self._call(self.setUp)
        if type(self).asyncSetUp is not unittest.IsolatedAsyncioTestCase.asyncSetUp:
            self._call(self.asyncSetUp)

    def _callTestMethod(self, method: Callable[[], Any]) -> None:
        self._was_used = None
        value = self._call(method)
        self._body_used = self._was_used
        if value is not None:
            warnings.warn(f"It is deprecated to return a value that is not None from a test case ({method})",
                          ReturnedValueWarning, stacklevel=4)

    def _callTearDown(self) -> None:
        if type(self).asyncTearDown is not unittest.IsolatedAsyncioTestCase.asyncTearDown:
            self._call(self.asyncTearDown)
        self._call(self.tearDown)

    def _callCleanup(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._note_cancel(function)
        try:
            self._call(function, *args, **kwargs)
        except SolipsismError as error:
            # A hang there has no line of the test in its traceback.
            error.add_note(f"in the cleanup {getattr(function, '__qualname__', None) or names.plain(function)}")
            raise

    def _note_cancel(self, function: Callable[..., Any]) -> None:
        # cancel() counts as reading the error of a task that has failed: who wrote addCleanup(task.cancel) would never
        # hear of it.
        task, loop = getattr(function, "__self__", None), _loop_of(self._asyncioRunner)
        if type(task) is asyncio.Task and function.__name__ == "cancel" and isinstance(loop, SolipsistEventLoop):
            loop.uncaught.found += [unread(each) for each in loop.inventory.unread() if each is task]

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call it in the test's context, and await on the loop what is to be awaited, whoever returned it."""
        context = self._asyncioTestContext
        if self._in_phase:
            # The user's own doCleanups(): the context is entered, and cannot be entered twice.
            context = contextvars.copy_context()
        return self._allowance.run(functools.partial(self._call_inside, context, function, *args, **kwargs))

    def _call_inside(self, context: contextvars.Context, function: Callable[..., Any], *args: Any,
                     **kwargs: Any) -> Any:
        with self._phase():
            try:
                value = context.run(function, *args, **kwargs)
            except RuntimeError as error:
                if str(error) == "no running event loop":
                    name = getattr(function, "__name__", "it")
                    error.add_note(f"{name}() is a plain function, and no event loop runs in one: write `async def "
                                   f"{name}`, or ask self.loop, as in self.loop.create_task(...)")
                raise
            if value is None:
                return None
            if inspect.isawaitable(value):
                coroutine = value if isinstance(value, Coroutine) else awaiting(value)
                return self._run_on_loop(coroutine, context)
            if isinstance(value, (types.GeneratorType, types.AsyncGeneratorType)):
                raise self.failureException(f"{value.__qualname__}() has a `yield`, so calling it only made a "
                                            "generator and nothing of it ran: take the `yield` out")
            return value

    def _run_on_loop(self, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context) -> Any:
        runner = self._asyncioRunner
        assert runner is not None
        try:
            loop: Any = runner.get_loop()
            before = loop.time()
            value = runner.run(coroutine, context=context)
            if isinstance(loop, SolipsistEventLoop):
                self._was_used = loop.time() != before or loop.selector.turns > TURNS_WITHOUT_USE
            return value
        except real_time.Strike:
            real_time.unwind(runner.get_loop(), coroutine)
            raise

    def doCleanups(self) -> bool:  # type: ignore[override]
        """As unittest's; unittest's own call comes last in a test and also looks for what the test left behind."""
        outcome = self._outcome  # type: ignore[attr-defined]
        if self._in_phase or outcome is None:
            return bool(super().doCleanups())
        try:
            super().doCleanups()
            self._judge(outcome)
        finally:
            self._tearDownAsyncioRunner()  # before the result is told anything: what it does is outside the world
            with outcome.testPartExecutor(self):
                self._raise_what_came_late()
            self._release()
        return bool(outcome.success)

    def run(self, result: unittest.TestResult | None = None) -> unittest.TestResult | None:
        """As unittest's."""
        try:
            return super().run(result)
        finally:
            self._release()  # only a KeyboardInterrupt leaves something to release

    def _raise_what_came_late(self) -> None:
        late, self._late = self._late, None
        failures = self._held.errors() if self._held is not None else []
        if late is not None and failures:
            failures[0].add_note(as_note(late))
        elif late is not None:
            raise late

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.release()

    def debug(self) -> None:
        """As unittest's: what goes wrong is raised, leftovers included."""
        with self._runner():
            unittest.TestCase.debug(self)
            error = self._conclude()
            if error is not None:
                raise error

    @contextlib.contextmanager
    def _runner(self) -> Iterator[None]:
        self._setupAsyncioRunner()
        try:
            yield
        finally:
            self._tearDownAsyncioRunner()
            self._raise_what_came_late()

    # -- a loop of many tests

    def _new_scope(self, name: str) -> Scope:
        factory = inspect.getattr_static(self, "loop_factory")
        settings = factory, self.start_time, self.autojump, self.loop_debug, self.seed
        return Scope(name, settings, self._make_runner(name))

    def _in_world(self, call: Callable[[], Any]) -> None:
        """Run a fixture of the class as if it were a test, and fail for its mistakes; what it leaves is meant."""
        with self._runner():
            self._enter_world()
            assert self._shared is not None
            self._asyncioTestContext = self._shared.context  # tests see what it sets
            try:
                self._call(call)
            except BaseException as failure:
                clean(failure)
                raise
            for error in [*self._lost(self._forgotten()), *self._stopped(frozenset())]:
                raise error

    def _survey_class(self, scope: Scope, goes_on: bool) -> None:
        """Fail for what the fixtures of a class have left, and end it."""
        with self._runner():
            self._enter_world()
            self._before, self._expected, self._is_last = scope.before, list(scope.expected), not goes_on
            if isinstance(self.loop, SolipsistEventLoop):
                self.loop.uncaught.found += scope.uncaught
                scope.uncaught.clear()
            error = self._conclude()
            if error is not None:
                raise error

    def _close_scope(self, scope: Scope) -> None:
        _close(scope.runner)

    # -- the end of a test

    def _judge(self, outcome: Any) -> None:
        """Fail a passing test for what it left; give a failing one a note; touch no other outcome."""
        passed = outcome.success
        with outcome.testPartExecutor(self):
            failures = self._held.errors() if self._held is not None else []
            first = failures[0] if failures else None
            if outcome.expectedFailure is not None:
                failures.append(outcome.expectedFailure[1])
            forget_notes([*failures, *(error for server in self._servers for error in server.errors)])
            error = self._conclude(passed, failures)
            for failure in failures:
                close_held(failure)
            if error is None:
                pass
            elif first is not None:
                first.add_note(as_note(error))
            elif passed and not self._expects_failure():
                raise error
            elif passed and any(error in server.errors for server in self._servers):
                outcome.expectedFailure = type(error), error, error.__traceback__  # a handler failed, as expected

    def _forgotten(self) -> Found:
        """The coroutines that nobody awaited, where the policy asks for them."""
        found = [Leak("coroutine", *each) for each in self._unawaited.take()]
        return Found(found if self._checks["unawaited_coroutines"] else [])

    def _stopped(self, known: Collection[int]) -> list[BaseException]:
        """What was stopped or met on the way, and nobody was told of: escapes, refused calls, calls that block."""
        errors: list[BaseException] = []
        loop = _loop_of(self._asyncioRunner)
        texts = [self._refusals.report(known)] if self._refusals is not None else []
        if isinstance(loop, SolipsistEventLoop):
            errors += escapes.swallowed(loop.world.escapes, known)
            loop.world.escapes.clear()
            texts.append(loop.selector.blocking.report())
        return errors + [self.failureException(text) for text in texts if text]

    def _lost(self, found: Found) -> list[BaseException]:
        """The failure for what is left, from the errors that nobody caught, with their tracebacks; none for nothing."""
        text = report.report(found, "test" if self._testMethodName != self._no_test.__name__ else "class")
        if not text:
            return []
        error = self.failureException(text)
        causes = [leak.error for leak in found.leaks if leak.error is not None]
        if causes and can_be_cause(causes[0]):
            error.__cause__ = causes.pop(0)
        for other in causes[:TRACEBACKS]:
            error.add_note(as_note(other))
        if len(causes) > TRACEBACKS:
            error.add_note(f"and {len(causes) - TRACEBACKS} more tracebacks")
        return [error]

    def _expects_failure(self) -> bool:
        method = getattr(self, self._testMethodName)
        name = "__unittest_expecting_failure__"
        return bool(getattr(self, name, False) or getattr(method, name, False))

    def _conclude(self, passed: bool = True, failures: Iterable[BaseException] = ()) -> BaseException | None:
        try:
            return self._allowance.run(functools.partial(self._look_for_faults, passed, exceptions.ids(failures)))
        except RealTimeLimitError as error:
            return error

    def _look_for_faults(self, passed: bool, known: Collection[int]) -> BaseException | None:
        """End everything, and say what was wrong: what handlers raised, then missed assertions, then leftovers.

        `known` has the ids of the errors that are told already.
        """
        errors: list[BaseException] = []
        for server in self._servers:
            errors += [error for error in server.errors if error not in errors]
        missed = list(self._unfinished)
        for check in missed:
            check.abandon()
        if missed:
            errors.append(self.failureException("\n".join(map(str, missed))))
        checks = self._checks
        loop = _loop_of(self._asyncioRunner)
        is_virtual = isinstance(loop, SolipsistEventLoop)
        # Held meanwhile, for the collector would tell of them in asyncio's way.
        kinds = types.CoroutineType, asyncio.Future
        kept = [thing for thing in vars(self).values() if issubclass(type(thing), kinds)]
        if kept:
            self._unawaited.look(kept)
            if is_virtual:
                loop.inventory.add_futures(kept)
        dead = loop.inventory.unread() if is_virtual else []
        pending = asyncio.all_tasks(loop) if is_virtual else set()  # held too: what nobody holds is a cycle, and a leak
        gc.collect(0)  # what was forgotten may be part of a cycle, and shall not be found in the next test
        found = self._forgotten()  # before the leftovers are ended: what that throws away was not forgotten
        if is_virtual:
            stuck.virtual_time_limit(loop, None)
            if dead or pending or not survey.is_clean(loop):
                found = found.and_(survey.clear(loop, checks, self._before, self._expected,
                                               goes_on=self._shared is not None and not self._is_last))
                gc.collect(0)
        found = found.without({*known, *exceptions.ids(errors)})
        errors += self._stopped({*known, *exceptions.ids([*errors, *(leak.error for leak in found.leaks)])})
        errors += self._lost(found)
        if passed and checks["unused_loop"] and self._body_used is False:
            errors.append(self.failureException(UNUSED))
        for other in errors[1:]:
            errors[0].add_note(as_note(other))
        return errors[0] if errors else None


def _loop_of(runner: asyncio.Runner | None) -> Any:
    """The loop that a runner has made, or None."""
    return runner._loop if runner is not None else None  # type: ignore[attr-defined]


def _close(runner: asyncio.Runner) -> None:
    loop = _loop_of(runner)
    # Whatever could go wrong here was told in the report; an exception would end the whole suite.
    try:
        if isinstance(loop, SolipsistEventLoop) and not survey.is_clean(loop):
            ending.sweep(loop)  # an interrupt, or debug(): nobody judged
        if isinstance(loop, SolipsistEventLoop) and loop._default_executor is None:
            loop.close()  # Runner.close() would run two coroutines that find nothing to do
        else:
            runner.close()
    except (KeyboardInterrupt, real_time.Strike):
        raise
    except BaseException:
        pass


def _needs_self(factory: Callable[..., Any]) -> bool:
    """Whether a function on the class is a method, that is: it cannot be called without an argument."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(parameter.kind in kinds and parameter.default is parameter.empty
               for parameter in inspect.signature(factory).parameters.values())


def _refuse_async(name: str, cls: type) -> NoReturn:
    raise SolipsismError(f"{cls.__qualname__}.{name} is a coroutine function, and unittest does not await it: make it "
                         "a plain function, or write asyncSetUp and asyncTearDown, which run for each test")
