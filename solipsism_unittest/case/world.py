"""Entering and leaving the world of a test: its loop, the seal, limits and seed.

Owns `Run`, all that a test case holds beyond what is unittest's, behind one name that no test would take; and the two
worlds that a test can run in. Both have the same methods, so that nobody else asks which loop it is.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import math
import unittest
from collections.abc import Callable, Collection, Iterable, Sequence
from gc import collect
from typing import Any, NoReturn

from ..errors import EscapeError, RealTimeLimitError, SolipsismError
from ..hangs import report
from ..introspection.modules import OWN_NAME
from ..introspection.tasks import all_tasks
from ..kernel.choices import UNEXPLORED, Explorer, Unexplored
from ..leaks import checks, ending, expected, survey
from ..leaks.kinds import NOTHING, Found
from ..leaks.unawaited import Unawaited
from ..loop.event_loop import SolipsistEventLoop
from ..loop.inventory import Expectation, UncaughtError, unread
from ..loop.selector import DEFAULT_LIMITS
from ..loop.stuck import limit_virtual_time
from ..peers.datagram_server import FakeDatagramServer
from ..peers.server import FakeServer
from ..stdlib import escapes
from ..stdlib.files import played
from ..stdlib.files.selector import taking_mocks
from ..stdlib.seal import get_event_loop
from ..stdlib.seal.table import wall_clock
from ..stdlib.worlds import inside
from . import real_time
from .fixtures import loops, settings
from .fixtures.context import Context
from .fixtures.leaving import RANDOM_STATE, Leaving
from .fixtures.scopes import Scope
from .fixtures.settings import Settings
from .results import HeldResult, Note, Statement

__unittest = True
__tracebackhide__ = True

TURNS_WITHOUT_USE = 2  # of the loop: the body, and its end
FOR_EVER = 1e9  # real seconds
NO_LIMIT = DEFAULT_LIMITS._replace(real_seconds=FOR_EVER)


class Run:
    """One run of a test: all that the case holds beyond what is unittest's."""

    def __init__(self, runner: asyncio.Runner | None = None) -> None:
        self.runner = runner  # None outside of a run
        self.name = ""  # where there is no test whose id would say it
        self.leaving = Leaving()  # what ends the world
        self.limit = real_time.NO_LIMIT
        self.evidence: Any = None  # what is kept of this run, where somebody asks for it
        self.held: HeldResult | None = None  # set while the test has an outcome
        self.network = ""  # how it stood at the first failure, where that says something
        self.scope: Scope | None = None  # of a loop that tests share
        self.is_last = False  # nothing comes after this on the shared loop
        self.checks, self.before = checks.DEFAULTS, expected.NOTHING
        self.expected: list[object] = []
        self.unawaited = Unawaited()
        self.unfinished: dict[Statement, None] = {}  # in the order in which they were made
        self.servers: list[FakeServer | FakeDatagramServer] = []
        self._context: Context | None = None
        self.refusals: get_event_loop.Refusals | None = None
        self.is_ending = False  # its cleanups run, or have run
        self.is_clean = False  # the test is over, and nothing is left on its loop
        self.clients: survey.Clients | None = None  # of fake servers, as they were found before those ended
        # Whether a call of the test's is under way: one of doCleanups() is its own then, and not the last of the test.
        self.in_phase = False
        self.was_used: bool | None = None  # whether the last coroutine gave the loop something to do
        self.body_used: bool | None = None  # the same of the body of an async test
        self.late: RealTimeLimitError | None = None  # what was struck while the loop was closed
        self.explorer: Explorer | Unexplored = UNEXPLORED  # makes the choices of this run, where it is one of many
        self._world: VirtualWorld | ForeignWorld | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the test, whatever the test has put in `self.loop`. SolipsismError outside of a run."""
        if self.runner is None:
            raise SolipsismError("there is an event loop only while the test runs: use self.loop from setUp() on")
        loop = loops.loop_of(self.runner)
        return loop if loop is not None else self.runner.get_loop()

    def loop_so_far(self) -> asyncio.AbstractEventLoop | None:
        """The loop, where it was made already."""
        return loops.loop_of(self.runner)

    @property
    def context(self) -> Context:
        """Values by name, for which others may wait."""
        if self._context is None:
            self._context = Context()
        return self._context

    @property
    def world(self) -> VirtualWorld | ForeignWorld:
        """The world that the loop is in."""
        return self._world or world_of(self.loop)

    async def end_server(self, server: FakeServer, cleanups: Sequence[tuple[Any, ...]]) -> None:
        """End a fake server, after a look at the clients that the test has forgotten to close: that ends them too.

        `cleanups` are those that come later: as long as there is one of the program's, it may still close a client.
        """
        ours = all(getattr(function, "__func__", None) is Run.end_server for function, *_ in cleanups)
        loop = self.world.virtual_loop
        if self.is_ending and ours and self.clients is None and loop is not None:
            await ending.settle(loop)
            servers = [each for each in self.servers if isinstance(each, FakeServer)]
            own = [writer for each in servers for writer in each.writers() if not writer.is_closing()]
            beginning = [transport for each in servers for transport in each.in_handshake()]
            self.clients = survey.Clients(loop, [*own, *beginning, *self.expected])
        await server.finish()

    def look_at_network(self) -> None:
        """A test fails: note how the network stands, before cleanups change that."""
        loop = loops.loop_of(self.runner)
        if not self.network and isinstance(loop, SolipsistEventLoop) and loop.kernel.has_network:
            self.network = loop.kernel.network.standing()

    @property
    def last_world(self) -> VirtualWorld | Nowhere:
        """The world at the end of a test; `Nowhere` where the loop could not be made, which is not tried again."""
        return Nowhere() if loops.loop_of(self.runner) is None else self._world or self.world


NO_RUN = Run()


def run_of(case: unittest.TestCase) -> Run:
    """The run of a test; one outside of any run, where it has not begun to run."""
    run: Run = case.__dict__.get(OWN_NAME) or begin_run(case, None)  # vars() takes twice as long
    return run


def begin_run(case: unittest.TestCase, runner: asyncio.Runner | None) -> Run:
    """A new run of a test, in which nothing is left of an earlier one but who explores it."""
    before = vars(case).get(OWN_NAME, NO_RUN)
    vars(case)[OWN_NAME] = run = Run(runner)
    run.explorer = before.explorer
    return run


def world_of(loop: asyncio.AbstractEventLoop) -> VirtualWorld | ForeignWorld:
    """The world that a loop is in."""
    return VirtualWorld(loop) if isinstance(loop, SolipsistEventLoop) else ForeignWorld(loop)


# -- entering and leaving


def enter(case: Settings, run: Run, scope: Scope | None) -> None:
    """Enter the world for a test; `leave` undoes everything."""
    run.scope = scope
    if scope is not None:
        case._asyncioTestContext = scope.context.copy()  # type: ignore[attr-defined]
        case._asyncioRunner = run.runner = scope.runner  # type: ignore[attr-defined]
        alone = settings.of_its_own_loop(getattr(case, case._testMethodName))
        if alone:
            raise SolipsismError(f"{alone[0]} of one test gives it a loop of its own, and loop_scope of "
                                 f"{type(case).__qualname__} is {case.loop_scope!r}: set it to 'test'")
    settings.OF_THE_TEST.check(case)
    # First in, last out: leaving may take real time too.
    run.limit = real_time.real_time_limit(case.real_time_limit, run.loop_so_far)
    run.leaving.enter(run.limit)
    loop = run.limit.run(functools.partial(getattr, run, "loop"))
    is_lent = loops.is_lent(run.runner)
    run.leaving.append(functools.partial(asyncio.set_event_loop, loop if is_lent else None))
    asyncio.set_event_loop(loop)
    run.leaving.enter(run.unawaited)
    run._world = world_of(loop)
    said = checks.said(type(case), getattr(case, case._testMethodName))
    if said:
        run.checks = {**checks.DEFAULTS, **said}
    executor = settings.executor_of(case) if scope is None or not scope.has_executor else None
    if executor is not None:
        run.world.use_executor(executor)
        if scope is not None:
            scope.has_executor = True
    run.world.enter(case, run, settings.blocking_calls_of(case, said.get("blocking_calls")))
    if executor is not None and is_lent:  # which nobody closes
        run.leaving.callback(executor.shutdown)
    if case.forbid_get_event_loop:
        run.refusals = run.leaving.enter_context(get_event_loop.forbidden(case.failureException))


def leave(run: Run) -> None:
    """Close the loop and leave the world. A second call does nothing."""
    runner = run.runner
    if runner is None and not run.leaving:
        return
    run.unfinished.clear()
    run.servers.clear()
    if run.scope is not None:
        run.scope.expected += run.expected
    run.expected.clear()
    loop = run.loop_so_far()
    try:
        if runner is None or run.scope is not None and not run.is_last:
            pass
        elif run.is_clean and type(loop) is SolipsistEventLoop and loop._default_executor is None:
            close(runner, is_clean=True)  # nothing of the program runs, and no thread is waited for
        else:
            run.limit.run(lambda: close(runner, is_clean=run.is_clean))
    except RealTimeLimitError as error:
        run.late = error
        assert loop is not None  # or there was nothing to close
        with contextlib.suppress(Exception):  # as in close()
            ending.give_up(loop)
    finally:
        run.runner = None  # until then the limit asks for its loop
        run.leaving.end()
        run.limit, run._world = real_time.NO_LIMIT, None  # what is part of no cycle ends here


def close(runner: asyncio.Runner, *, is_clean: bool = False) -> None:
    """Close a runner with its loop, unless that is only lent, and let no exception out.

    `is_clean` says that nothing of a test is left there.
    """
    if loops.is_lent(runner):
        return
    # Whatever could go wrong here was in the report; an exception would end the whole suite.
    try:
        loop = loops.loop_of(runner)
        if loop is not None:
            world_of(loop).close(runner, is_clean)
    except (KeyboardInterrupt, real_time.Strike):
        raise
    except BaseException:
        pass


# -- the two worlds


class VirtualWorld:
    """The world of a SolipsistEventLoop: virtual time, a network in memory, nothing let out, nothing left behind."""

    def __init__(self, loop: SolipsistEventLoop) -> None:
        self._loop = loop
        self.virtual_loop: SolipsistEventLoop | None = loop

    def loop_for(self, what: str) -> SolipsistEventLoop:
        """The loop, for what needs a virtual world: one that the program has made, while that runs."""
        return self._loop.world.loop  # type: ignore[no-any-return]

    # -- at the beginning

    def use_executor(self, executor: concurrent.futures.Executor) -> None:
        """Give the loop this default executor."""
        self._loop._default_executor = executor  # any: set_default_executor() refuses all but thread pools

    def enter(self, case: Settings, run: Run, on_blocking_call: str) -> None:
        """Live in this world until the run leaves it."""
        loop, world = self._loop, self._loop.world
        world.guarded = case.hermetic
        world.made_for = world.made_for or run.name or loops.name_for(case, run.runner)
        run.leaving.enter(inside(world))
        if case.wall_start is not None:
            run.leaving.enter_context(wall_clock(world.kernel.wall, case.wall_start))
        run.unawaited.world = world
        if run.explorer is not UNEXPLORED:
            loops.let_explore(case, loop, run.explorer, run.leaving if run.scope is None else None)
        survey.watch(loop, run.checks, run.unawaited.collector)
        if run.scope is not None or loops.is_lent(run.runner):
            run.leaving.callback(loop.inventory.watch_no_more)  # for it stays open
            run.before = self.before()
            if run.scope is not None:
                run.scope.uncaught += loop.uncaught.found
            loop.uncaught.found.clear()
        # The code under test draws its jitter from module random: the same in every run of this test.
        run.leaving.callback(RANDOM_STATE.save())
        RANDOM_STATE.seed(loop.kernel.choices.number(loops.RANDOM_SEED))
        played.restart_numbers()
        # The test has a limit of its own, or wants none.
        limits = loop.selector.limits
        loop.selector.limits = NO_LIMIT if limits is DEFAULT_LIMITS else limits._replace(real_seconds=FOR_EVER)
        loop.selector.blocking.choose(on_blocking_call, case.on_slow_callback)
        if case.on_polling == "jump":
            run.leaving.callback(setattr, loop.selector, "limits", loop.selector.limits)
            loop.selector.limits = loop.selector.limits._replace(polling=True)
        if case.virtual_time_limit is not None:
            limit_virtual_time(loop, case.virtual_time_limit)

    def before(self) -> expected.Before:
        """What is there now, and so is nobody's leak later."""
        return expected.Before(self._loop)

    # -- on the way

    def things_of(self, thing: object) -> Collection[object]:
        """What the survey of leftovers calls this thing."""
        return expected.things_of(self._loop, [thing]).values()

    def was_used_since(self, time: float) -> bool | None:
        """Whether the loop had anything to do in its last run, which began at this time; None where nobody knows."""
        return self._loop.time() != time or self._loop.selector.turns > TURNS_WITHOUT_USE

    def report_error_of(self, task: asyncio.Task[Any]) -> None:
        """Report the error of a task that has failed, if nobody has read it."""
        loop = self._loop
        loop.uncaught.found += [unread(each) for each in loop.inventory.unread() if each is task]

    def expect_error(self, expectation: Expectation) -> Callable[[], Sequence[str]]:
        """Expect an error that nobody catches. The result stops that, and returns the other errors in words."""
        return self._loop.uncaught.expect(
            expectation, functools.partial(self._loop.inventory.unread, of_crashed_hosts=True))

    # -- at the end

    def hold(self, kept: Collection[object]) -> list[object]:
        """What the garbage collector would report before us: who calls this holds it. `kept` is in the case."""
        inventory = self._loop.inventory
        if kept:
            inventory.add_futures(kept)
        # A task that nobody holds is part of a cycle, and a leak.
        return [*inventory.unread(), *all_tasks(self._loop)]

    def end(self, run: Run, held: Collection[object]) -> Found:
        """End what the test left, and return what to report; `held` is what `hold` returned."""
        if self._loop.selector.horizon != math.inf:
            limit_virtual_time(self._loop, None)
        # A task that none of them is was made since, and stands in line for its first step.
        if not held and not run.clients and survey.is_quiet(self._loop) and not self._loop.inventory.unread():
            run.is_clean = True
            return NOTHING
        found = survey.clear(self._loop, run.checks, run.before, run.expected, run.clients,
                             goes_on=run.scope is not None and not run.is_last or loops.is_lent(run.runner))
        collect(0)
        return found

    def explain(self, failures: Iterable[BaseException]) -> None:
        """Add to the failures of the test what this world knows of their reasons."""
        for failure in failures:
            for words in report.reasons(failure, self._loop.world):
                failure.add_note(Note(words))

    def died(self, run: Run) -> list[tuple[BaseException, str, object]]:
        """The errors that nobody caught while the test ran, each with words and a place; what is left is not ended yet.
        """
        meant = {*expected.things_of(self._loop, run.expected), *run.before.things}
        left = [each for each in self._loop.inventory.unread() if id(each) not in meant]
        return [(each.error, "1 error went by unseen while the test ran, and the failure below may come of it\n  "
                 f"{each.what}\n    {'raised' if each.kind == 'error' else 'made'} at {each.place}", each.place)
                for each in [*self._loop.uncaught.found, *map(unread, left)] if each.error is not None]

    def stopped(self, known: Collection[int]) -> tuple[Sequence[EscapeError], str]:
        """The escapes that nobody has reported, without those `known` by id, and the text for calls that block."""
        found, blocking = self._loop.world.escapes, self._loop.selector.blocking.report()
        swallowed = escapes.swallowed(found, known) if found else ()
        found.clear()
        return swallowed, blocking

    def report_again(self, errors: list[UncaughtError]) -> None:
        """Report these errors as if they had just come, and take them out of the list."""
        self._loop.uncaught.found += errors
        errors.clear()

    def close(self, runner: asyncio.Runner, is_clean: bool) -> None:
        """Close the loop. What the verdict has not ended is ended first."""
        if not (is_clean and survey.is_quiet(self._loop)) and not survey.is_clean(self._loop):
            ending.sweep(self._loop)  # an interrupt, or debug()
        if self._loop._default_executor is None:
            self._loop.close()  # Runner.close() would run two coroutines that find nothing to do
        else:
            runner.close()


class Nowhere:
    """Where a test is whose loop could not be made: nothing can be found here."""

    def before(self) -> expected.Before:
        """Nothing is there."""
        return expected.Before()

    def was_used_since(self, time: float) -> bool | None:
        """Nobody knows."""
        return None

    def report_error_of(self, task: asyncio.Task[Any]) -> None:
        """asyncio's own handler does."""

    def hold(self, kept: Collection[object]) -> list[object]:
        """Nothing is to be held."""
        return []

    def explain(self, failures: Iterable[BaseException]) -> None:
        """Nothing is known."""

    def died(self, run: Run) -> list[tuple[BaseException, str, object]]:
        """Nothing is found."""
        return []

    def end(self, run: Run, held: Collection[object]) -> Found:
        """Nothing is looked at; closing the loop ends what there is."""
        return NOTHING

    def stopped(self, known: Collection[int]) -> tuple[Sequence[EscapeError], str]:
        """Nothing is stopped."""
        return (), ""

    def report_again(self, errors: list[UncaughtError]) -> None:
        """There are none."""


class ForeignWorld(Nowhere):
    """The real world, with a loop that is not ours: nothing is virtual, and leftovers are not found."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.virtual_loop: SolipsistEventLoop | None = None

    def loop_for(self, what: str) -> NoReturn:
        """SolipsismError, for what needs a virtual world."""
        raise SolipsismError(f"{what} needs the virtual world, and this test runs on {type(self._loop).__name__}: "
                             "leave loop_factory as it is")

    def use_executor(self, executor: concurrent.futures.Executor) -> None:
        """Give the loop this default executor; asyncio says which it takes."""
        self._loop.set_default_executor(executor)

    def enter(self, case: Settings, run: Run, on_blocking_call: str) -> None:
        """Let the loop take mocks. SolipsismError where the test limits virtual time, or sets the time of day."""
        run.leaving.enter_context(taking_mocks(self._loop))
        for name in ("virtual_time_limit", "wall_start"):
            if getattr(case, name) is not None:
                self.loop_for(name)

    def things_of(self, thing: object) -> NoReturn:
        """SolipsismError: leftovers are found in the virtual world."""
        self.loop_for("expect_leak()")

    def expect_error(self, expectation: Expectation) -> NoReturn:
        """SolipsismError: errors that nobody catches are found in the virtual world."""
        self.loop_for("assertLoopException()")

    def close(self, runner: asyncio.Runner, is_clean: bool) -> None:
        """Close the runner."""
        runner.close()
