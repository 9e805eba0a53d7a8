"""`world()`: the world without a test runner, for fixtures of pytest and for scripts.

What it gives is a test case that no suite runs, and so has everything that a test may use. Its `run()` runs what it is
given, and its end is the end of a test: cleanups, then the report of what was left, of escapes and of unseen errors.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from asyncio import _get_running_loop
from collections.abc import Awaitable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar

from ..case import verdict
from ..case.case import SolipsistTestCase
from ..case.fixtures.settings import OF_A_WORLD
from ..case.phases import call, running
from ..case.results import Note, as_one
from ..case.world import Run, enter, run_of
from ..errors import SolipsismError
from ..introspection import names
from ..introspection.places import user_place
from ..leaks import checks
from ..leaks.unawaited import forgotten_by

__unittest = True
__tracebackhide__ = True

T = TypeVar("T")


class World(SolipsistTestCase):
    """What `world()` gives: all that `SolipsistTestCase` has, and `run()`, which is another one than unittest's."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        vars(self).update(settings)

    def runTest(self) -> None:
        """There is no test: `run()` runs what it is given."""

    def run(self, aw: Awaitable[T]) -> T:  # type: ignore[override]
        """Run a coroutine, or another awaitable, on the loop of this world to its end. Returns the result."""
        if not inspect.isawaitable(aw):
            raise TypeError(f"run() takes a coroutine or another awaitable, not {names.plain(aw)}")
        trouble = "this world is over" if run_of(self).runner is None else _in_the_way()
        if trouble:
            if isinstance(aw, Coroutine):
                aw.close()
            raise SolipsismError(f"run() cannot run a loop here: {trouble}")
        try:
            return call(self, lambda: aw)  # type: ignore[no-any-return]
        except Exception as error:  # a fixture of pytest does not hear of what becomes of its test
            run_of(self).last_world.explain([error])
            raise

    def __repr__(self) -> str:
        run = run_of(self)
        return f"<World t={run.loop.time()!r}>" if run.runner is not None else "<World, which is over>"

    def run_cleanups(self) -> list[BaseException]:
        """Run them all, the last one first; give what they raised."""
        raised: list[BaseException] = []
        while self._cleanups:
            function, args, kwargs = self._cleanups.pop()
            try:
                self._callCleanup(function, *args, **kwargs)
            except Exception as error:
                raised.append(error)
        return raised


@contextlib.contextmanager
def world(*, fail_on: Mapping[str, bool] | None = None, **settings: Any) -> Iterator[World]:
    """`with world() as world:` this thread lives alone in a world, as a test does; the end reports as a test's.

    `world` has what a test may use, `world.loop` and `world.start_fake_server()` for example, and runs coroutines:
    `world.run(main())`. `settings` are those of a test class, `start_time` or `hermetic` for example; the limit of real
    time ends only what `run()` runs. `fail_on` says which leftovers are reported: `{"threads": False}`. An error that
    leaves the block stays, with the report as a note.
    """
    unknown = [name for name in settings if name not in OF_A_WORLD]
    if unknown:
        raise TypeError(f"world() has no setting {unknown[0]!r}: there are {', '.join(OF_A_WORLD)}")
    checks.fail_on(**(fail_on or {}))  # it refuses what is no check
    if _in_the_way():
        raise SolipsismError(f"world() cannot begin in a coroutine: {_in_the_way()} in the world, which is entered "
                             "before. To a fixture that is no coroutine the loop of async tests is lent: "
                             "world(loop_factory=lambda: loop)")
    case = World(settings)
    with running(case) as run:
        run.name = os.environ.get(names.UNDER_PYTEST, "").rpartition(" (")[0] or f"world() at {user_place()}"
        enter(case, run, None)
        verdict.begin_evidence(case, run)
        run.checks = {**run.checks, **(fail_on or {})}
        failures: list[BaseException] = []
        earlier = vars(sys).get("last_value")
        try:
            yield case
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            failures.append(error)
            run.look_at_network()
        failures += _end(case, run, failures, earlier)
        if failures:
            raise as_one(failures)


def _in_the_way() -> str:
    """The loop that runs in this thread, in words; nothing where none does."""
    running = _get_running_loop()
    return f"{running!r} runs in this thread: await what is to run" if running is not None else ""


def _failed_under_pytest(earlier: BaseException | None) -> list[BaseException]:
    """What the test of pytest's has raised whose fixture ends here: pytest tells no fixture, and debuggers this way."""
    error = vars(sys).get("last_value")
    is_fixture = os.environ.get(names.UNDER_PYTEST, "").endswith(" (teardown)")
    return [error] if is_fixture and isinstance(error, BaseException) and error is not earlier else []


def _end(case: World, run: Run, failures: list[BaseException], earlier: BaseException | None) -> list[BaseException]:
    """Run the cleanups, and end what is left; give what went wrong. A test of pytest's has raised `earlier` before."""
    run.is_ending = True
    reported = _failed_under_pytest(earlier) if not failures else []
    for failure in [*failures, *reported] if run.evidence is not None else ():
        run.evidence.fails(failure)
    wrong = case.run_cleanups()
    known = [*failures, *wrong]
    if run.evidence is not None:
        run.evidence.look()
    for failure in known:
        run.unawaited.look(forgotten_by(failure))
    run.last_world.explain([failure for failure in known if not any(
        type(note) is Note for note in getattr(failure, "__notes__", ()))])  # run() may have done it
    if run.network:
        failures[0].add_note(Note(run.network))
    last = verdict.verdict(case, run, passed=not known, failures=known)
    found = [*wrong, last] if last is not None else wrong
    everything = [*reported, *failures, *found]
    verdict.keep_evidence(run, everything[0] if everything else None, everything[1:], is_reported=bool(reported))
    return found
