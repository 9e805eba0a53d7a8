"""`Exploration`: one test run again and again, and what is said of the first run that fails."""

from __future__ import annotations

import copy
import gc
import inspect
import sys
import warnings
from typing import Any

from ...case.case import SolipsistTestCase
from ...case.fixtures.loops import seed_of
from ...case.fixtures.scopes import fixtures_of
from ...case.phases import run_once
from ...case.results import Note
from ...case.world import begin_run
from ...errors import NotJudgedWarning, ReplayPartedWarning, SolipsismError
from ...introspection.names import command
from ...kernel.choices.explorer import Explorer
from ...kernel.choices.plans import Before, Fixed, Plan
from ...leaks.kinds import Seen
from ...pythons import MINOR
from ..outcomes import Other
from . import memory
from .progress import Progress
from .shrinking import Shrinker, Values, way_of
from .strategies import Exhaustive, Strategy
from .tokens import Token, token_of
from .words import sentence

__unittest = True
__tracebackhide__ = True

REPLAY = "SOLIPSISM_REPLAY"  # in the environment: the token of a run to repeat

RUNS_BETWEEN_COLLECTIONS = 500
ONE_FOR_EACH_SEED = Strategy(range(0))

Failure = tuple[type[BaseException], BaseException, Any]


class Exploration:
    """The runs of one test beside its plain one, which had these choices."""

    def __init__(self, plain: SolipsistTestCase, before: Explorer | None = None, name: str = "") -> None:
        self._plain = plain
        self._runs = 0
        self._before = Before(before.counts, before.instants) if before is not None else Before(())
        self._name = name or plain.id()
        self._own_seed = seed_of(plain, self._name)

    def plan(self, seed: int, strategy: Strategy = ONE_FOR_EACH_SEED) -> Plan:
        """What a seed decides."""
        return strategy.plan(self._own_seed, seed, self._before)

    def run(self, plan: Plan, *, wants_points: bool = False, **settings: Any) -> tuple[Explorer, Other]:
        """Run the test once more with this plan; give what happened."""
        self._runs += 1
        if self._runs % RUNS_BETWEEN_COLLECTIONS == 0 and gc.isenabled():
            # Each test empties the younger generations itself, so that Python never comes to the oldest.
            gc.collect()
        case, result = copy.copy(self._plain), Other()
        explorer = Explorer(plan, case.longest_stall, **settings)
        explorer.points = [] if wants_points else None
        case._cleanups = []
        begin_run(case, None).explorer = explorer
        fixtures = fixtures_of(type(case))
        before, fixtures.seen = fixtures.seen, Seen()  # what this run leaves says nothing of others
        try:
            run_once(case, result)
        finally:
            fixtures.seen = before
        return explorer, result

    def search(self, strategy: Strategy) -> Failure | None:
        """Run until a run fails: one that failed before, and then those of a strategy. The plain run has passed."""
        if strategy.exhaustive is not None:
            return self._remembered() or self._search_all(strategy)
        return self._remembered() or self.search_seeds(strategy)

    def search_seeds(self, strategy: Strategy) -> Failure | None:
        """Run with the seeds of a strategy until one fails."""
        progress = Progress(sys.stderr, self._name, len(strategy.seeds))
        try:
            for seed in strategy.seeds:
                if seed:  # 0 is the plain run
                    explorer, other = self.run(self.plan(seed, strategy), wants_digest=progress.is_shown)
                    progress.step(explorer.digest)
                    if other.found:
                        return self._explained(explorer, other, f"the plain run passes, and seed {seed:,} fails")
        finally:
            progress.end()
        return None

    def _search_all(self, strategy: Strategy) -> Failure | None:
        progress = Progress(sys.stderr, self._name, len(strategy.seeds))
        failed: list[tuple[Explorer, Other]] = []

        def run(values: Values) -> Explorer | None:
            explorer, other = self.run(Fixed(values), wants_points=True, wants_digest=progress.is_shown)
            progress.step(explorer.digest)
            if other.found:
                failed.append((explorer, other))
            return None if other.found else explorer

        plain, _ = self.run(Fixed(), wants_points=True)
        most = strategy.exhaustive or 0
        search = Exhaustive(run, most, len(strategy.seeds))
        search.search(plain)
        which = f"runs with at most {most} choice{'s' * (most > 1)} that {'are' if most > 1 else 'is'} not plain"
        progress.end(f"all {search.count:,} {which} pass" if search.is_complete else "")
        if failed:
            return self._explained(*failed[0], f"the plain run passes, and number {search.count:,} of the {which} "
                                               "fails")
        if not search.is_complete:
            warnings.warn_explicit(
                f"{search.count:,} {which} were made, and there are more: give over_seeds() a larger number, or a "
                "smaller exhaustive=", NotJudgedWarning, *self._where())
        return None

    def _remembered(self) -> Failure | None:
        """The failure of the run that failed the last time, where it still fails."""
        token = memory.recall(self._name)
        if token is None or token.minor != MINOR:
            return None
        explorer, other = self.run(Fixed(token.values))
        if other.found:
            return self._explained(explorer, other, "the plain run passes, and one that has failed before fails")
        memory.forget(self._name)
        return None

    def repeat(self, token: Token) -> Failure | None:
        """Run what a token says; a pass on another way is a warning, and a failure says so."""
        self._plain.seed = token.seed
        explorer, other = self.run(Fixed(token.values), witness=sentence)
        parted = token.parted(explorer.made, explorer.end)
        if parted:
            parted = f"the run is not the recorded one any more: {parted}, as the code, or Python, has changed since"
        if other.found:
            failure: Failure = other.found[0]
            failure[1].add_note(Note("\n".join(filter(None, [*_lines(explorer), parted]))))
            return failure
        if parted:
            warnings.warn_explicit(f"{parted}. It passes, which need not mean that the error is gone",
                                   ReplayPartedWarning, *self._where())
        return None

    def _where(self) -> tuple[str, int]:
        """File and line of the test, for warnings."""
        code = inspect.unwrap(getattr(self._plain, self._plain._testMethodName)).__code__
        return code.co_filename, code.co_firstlineno

    # -- what is said of a failure

    def _explained(self, explorer: Explorer, other: Other, head: str) -> Failure:
        """The failure of a run with as few choices as can be, and these in words."""
        failure: Failure = other.found[0]
        way, values = way_of(other.found), {each.place: each.value for each in explorer.made}

        def fails(values: Values) -> bool:
            return way_of(self.run(Fixed(values))[1].found) == way

        if fails({}):
            failure[1].add_note(Note("the first run of the test passes, and a later one fails so without any stall or "
                                     "delay: the test, or what it tests, keeps something from run to run"))
            return failure
        best = Shrinker(fails).shrink(values)
        again, last = self.run(Fixed(best), witness=sentence)
        if way_of(last.found) != way:
            failure[1].add_note(Note(f"{head}; the same choices do not fail again, so that something else decides too: "
                                     "real time, threads, files, or what the test keeps from run to run"))
            return failure
        failure = last.found[0]
        token = token_of(self._name, self._own_seed, again.made, again.end)
        memory.keep(self._name, token)
        failure[1].add_note(Note("\n".join([
            f"{head}; {len(again.made)} of {len(values):,} choices matter{'s' * (len(again.made) == 1)}:",
            *_lines(again), f"the same run again: {REPLAY}={token} {command(self._name)}"])))
        return failure


def _lines(explorer: Explorer) -> list[str]:
    return [f"  {deviation.words}" for deviation in explorer.made]


def check_version(token: Token, minor: int) -> None:
    """SolipsismError for a token of another Python."""
    if token.minor != minor:
        raise SolipsismError(f"the token was written by Python 3.{token.minor}, and this is 3.{minor}: asyncio makes "
                             "other steps there, so repeat it with that version")
