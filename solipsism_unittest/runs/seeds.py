"""`over_seeds`: a test again and again, each time on a machine that stalls, and over a network that is slow, otherwise.

Owns which tests are explored, with how many seeds, and the verdict over all runs of one. The result hears of one test:
of its plain run, and of the first of the others that fails.
"""

from __future__ import annotations

import copy
import functools
import os
import re
import sys
import types
import unittest
from collections.abc import Callable
from typing import Any

from ..case.case import SolipsistTestCase
from ..case.fixtures.loops import seed_of
from ..case.fixtures.settings import EXACT, RUNS, Expansion, Settings, copied, of_environment, put_variants
from ..case.phases import Asked, run_once
from ..case.results import renew_evidence
from ..case.world import begin_run
from ..errors import SolipsismError
from ..introspection import names
from ..introspection.modules import written_on
from ..kernel.choices.explorer import Explorer
from ..kernel.choices.plans import Fixed
from ..loop.event_loop import SolipsistEventLoop
from ..pythons import MINOR
from .exploration.exploration import REPLAY, Exploration, Failure, check_version
from .exploration.strategies import Strategy, shard, strategy
from .exploration.tokens import name_bits, read_token
from .outcomes import First, heard_by

__unittest = True
__tracebackhide__ = True

AS_TESTS = "SOLIPSISM_SEEDS_AS_TESTS"  # in the environment: each seed is a test of its own name
SHARD = "SOLIPSISM_SHARD"  # in the environment: which part of the seeds is run here, 3/8 for the third of eight
SEEDS = "SOLIPSISM_SEEDS"  # in the environment: how many seeds each test is run with, or from:to


def over_seeds(seeds: int = 100, *, depth: int | None = None, exhaustive: int | None = None) -> Callable[[Any], Any]:
    """Decorate a test or a class: each test runs with this many seeds, and fails at the first that fails.

    Seed 0 is the plain run. Each other seed decides what a real machine leaves open: where it stalls between two
    callbacks, how long packets, look-ups and jobs take, where streams are cut, which of several ready sockets is
    reported first, and in which order sets of tasks are. Each run is the whole test with set-up and tear-down.

    With `depth=3` each seed puts three stalls or delays anywhere. With `exhaustive=2` there are no seeds: every run
    with at most two choices that are not plain is made, up to as many as `seeds` says.
    """
    return functools.partial(_decorate, functools.partial(run_over, strategy(seeds, depth, exhaustive)))


def exact(target: Any) -> Any:
    """Decorate a test or a class that is never explored: it compares real with virtual times, for example."""
    if not isinstance(target, (type, types.FunctionType)):
        raise TypeError(f"exact decorates a test or a class, not {names.plain(target)}")
    setattr(target, EXACT, True)
    return target


def _decorate(runs: Callable[..., Any], target: Any) -> Any:
    if isinstance(target, type) and issubclass(target, SolipsistTestCase):
        for name in unittest.defaultTestLoader.getTestCaseNames(target):
            test = getattr(target, name)
            if RUNS not in vars(test) and EXACT not in vars(test):
                test = copied(test, name, {})  # it may be inherited
                setattr(test, RUNS, runs)
                setattr(target, name, test)
        _as_tests(target)
        return target
    if not isinstance(target, types.FunctionType):
        raise TypeError(f"over_seeds() decorates a test or a SolipsistTestCase, not {names.plain(target)}")
    if RUNS in vars(target):
        raise TypeError("over_seeds() and over_cancellations() both say how often the test runs: it takes one of them")
    setattr(target, RUNS, runs)
    return target


def read_seeds(text: str) -> range:
    """The seeds that a text says, "100" or "0:250000". SolipsismError where it says none."""
    found = re.fullmatch("(?:([0-9]{1,18}):)?([0-9]{1,18})", text)
    seeds = range(int(found[1] or 0), int(found[2])) if found else range(0)
    if not seeds:
        raise SolipsismError(f"{SEEDS} is {text!r}: set it to a number of seeds from 1 up, or to the first one and the "
                             "one behind the last, 0:250000 for example")
    return seeds


def _run_as_asked(case: SolipsistTestCase, result: Any) -> Any:
    """Run a test that says nothing of several runs: over the seeds that the environment asks for, or once."""
    if not (of_environment(SEEDS) or of_environment(REPLAY)):
        return run_once(case, result)
    method = getattr(getattr(case, case._testMethodName, None), "__func__", None)
    if case.loop_scope != "test" or hasattr(method, EXACT) or hasattr(type(case), EXACT):
        return run_once(case, result)
    return run_over(None, case, result)


Asked.run = staticmethod(_run_as_asked)


# -- the runs of one test


def run_over(how: Strategy | None, case: SolipsistTestCase, result: Any) -> Any:
    """Run a test with this strategy; without one, with the seeds that the environment asks for."""
    with heard_by(result, case) as heard:
        if not _is_virtual(case):
            run_once(case, heard)
        elif os.environ.get(REPLAY):
            _replay(os.environ[REPLAY], case, heard)
        else:
            _run_all(how, case, heard)
    return heard


def _is_virtual(case: SolipsistTestCase) -> bool:
    """Whether the loop of a test will be ours. Another one is left alone: we do not know what it leaves open."""
    factory = vars(case).get("loop_factory") or written_on(type(case), "loop_factory")
    return isinstance(factory, type) and issubclass(factory, SolipsistEventLoop)


def _run_all(how: Strategy | None, case: SolipsistTestCase, result: Any) -> None:
    first, plain, explorer = First(result), copy.copy(case), Explorer(Fixed(), case.longest_stall)
    begin_run(case, None).explorer = explorer
    try:
        run_once(case, first)  # type: ignore[arg-type]
        if first.has_passed:
            try:
                failure = Exploration(plain, explorer).search(_here(how))
            except SolipsismError:
                failure = sys.exc_info()  # type: ignore[assignment]
            _give(case, result, failure)
    finally:
        result.stopTest(case)


def _here(how: Strategy | None) -> Strategy:
    """What of a strategy is done here: all, or a shard."""
    how = Strategy(read_seeds(os.environ[SEEDS])) if how is None else how
    text = os.environ.get(SHARD)
    return how._replace(seeds=shard(text, how.seeds)) if text else how


# -- each seed a test of its own


def _as_tests(cls: type[Settings]) -> None:
    """Put a test for each seed in the place of each test of a new class, where the environment asks for that."""
    if not os.environ.get(AS_TESTS):
        return
    for name in unittest.defaultTestLoader.getTestCaseNames(cls):
        test = vars(cls).get(name)
        if not isinstance(test, types.FunctionType) or EXACT in vars(test):
            continue
        runs = vars(test).get(RUNS)
        if not os.environ.get(SEEDS) if runs is None else getattr(runs, "func", None) is not run_over:
            continue
        how = _here(runs.args[0] if runs is not None else None)
        if how.exhaustive is not None:  # it has no seeds
            continue
        put_variants(cls, name, test, {f"seed_{seed}": {} for seed in how.seeds})
        for seed in how.seeds:
            setattr(vars(cls)[f"{name}_seed_{seed}"], RUNS, functools.partial(_run_one, how, seed, name))


def _run_one(how: Strategy, seed: int, name: str, case: SolipsistTestCase, result: Any) -> Any:
    """Run a test with one seed, as it would be among all of them."""
    whole = f"{case.id().removesuffix(case._testMethodName)}{name}"
    case.seed = seed_of(case, whole)
    if not seed or not _is_virtual(case) or hasattr(type(case), EXACT):  # which a decorator said later
        return run_once(case, result)
    result = case.defaultTestResult() if result is None else result
    plain, other = Exploration(copy.copy(case)).run(Fixed())
    result.startTest(case)
    try:
        only = how._replace(seeds=range(seed, seed + 1))
        _give(case, result, other.found[0] if other.found else Exploration(copy.copy(case), plain, whole)
              .search_seeds(only))
    finally:
        result.stopTest(case)
    return result


Expansion.more = staticmethod(_as_tests)


def _replay(text: str, case: SolipsistTestCase, result: Any) -> None:
    """Repeat the run of a token; all other tests run as they are."""
    token, failure = None, None
    try:
        token = read_token(text)
        check_version(token, MINOR)
    except SolipsismError:
        failure = sys.exc_info()
    if token is not None and token.test != name_bits(case.id()):
        run_once(case, result)
        return
    result.startTest(case)
    try:
        _give(case, result, failure or Exploration(copy.copy(case)).repeat(token))  # type: ignore[arg-type]
    finally:
        result.stopTest(case)


def _give(case: SolipsistTestCase, result: Any, failure: Failure | None) -> None:
    if failure is None:
        result.addSuccess(case)
        return
    renew_evidence(failure[1])  # with the words for its choices, and what repeats them
    if isinstance(failure[1], case.failureException):
        result.addFailure(case, failure)
    else:
        result.addError(case, failure)
