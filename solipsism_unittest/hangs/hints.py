"""What to do about errors of Python's own that have a usual reason in a test: the note below them.

Owns the words for a lock of another loop, a loop that runs already, an exit, an authority that nobody trusts, an exact
time that is compared with `>`, and a program that has failed. Why a connection was refused is in refused.py.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import unittest
from collections.abc import Iterator
from typing import Any

from ..introspection.debuggers import is_debugger
from ..introspection.exceptions import lines_of, parts
from ..stdlib.processes.program import ProgramRun
from ..stdlib.seal.stand_ins import first_wait
from ..stdlib.worlds import World

_ASKED = asyncio.Lock._get_loop.__code__  # type: ignore[attr-defined]


def bound_words(error: BaseException) -> Iterator[str]:
    """For each object of another loop that an error is about the text that says who used it first, and where."""
    for each in parts([error]):
        for line in lines_of(each.__traceback__)[-1:]:
            thing = line.tb_frame.f_locals.get("self") if line.tb_frame.f_code is _ASKED else None
            if thing is not None:
                yield from _first_user(thing)


def _first_user(thing: Any) -> Iterator[str]:
    world, place = getattr(thing._loop, "world", None), first_wait(thing)
    user = world.made_for if isinstance(world, World) else None
    at = f" at {place}" if place is not None else ""
    if user is not None:
        yield (f"this {type(thing).__name__} was first waited for in {user}{at}, and belongs to the loop of that "
               "test: make a new one in asyncSetUp(), or set loop_scope = 'class' for tests that share it")
    elif at:
        yield (f"this {type(thing).__name__} was first waited for{at}, and belongs to the loop that ran there: make a "
               "new one for each loop")


_RUNS = frozenset({
    "asyncio.run() cannot be called from a running event loop",
    "Runner.run() cannot be called from a running event loop",
    "Cannot run the event loop while another loop is running",
    "This event loop is already running",
})


def running_words(error: BaseException) -> Iterator[str]:
    """What to write where a loop was to be run inside a coroutine."""
    if any(type(each) is RuntimeError and str(each) in _RUNS for each in parts([error])):
        yield ("the loop of an async test runs already: `await` the coroutine; a program that calls asyncio.run() "
               "itself is called from a plain `def test_...`, or with `await asyncio.to_thread(main)`")


def exit_words(error: BaseException) -> Iterator[str]:
    """How to test a program that exits. From 3.14 on a person who leaves pdb exits, too, and knows that."""
    if type(error) is SystemExit and not any(is_debugger(line.tb_frame) for line in lines_of(error.__traceback__)[-1:]):
        yield ("the test was ended by sys.exit(): self.run_program(main) runs a program that exits, and a test that "
               "means it says so: with self.assertRaises(SystemExit):")


_NO_ISSUER = 20  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY


def trust_words(error: BaseException, world: World) -> Iterator[str]:
    """How to trust the certificates of fake servers, where a test has not said so."""
    if world.trust is None and any(isinstance(each, ssl.SSLCertVerificationError) and each.verify_code == _NO_ISSUER
                                   for each in parts([error])):
        yield ("no authority that the program trusts has signed this certificate: with self.trust() it trusts those of "
               "fake servers, and with self.trust(context) a context does that has authorities of its own")


_STRICT = frozenset({unittest.TestCase.assertGreater.__code__, unittest.TestCase.assertLess.__code__})


def exact_words(error: BaseException) -> Iterator[str]:
    """What to say about two equal times of which one was to be the greater one."""
    for line in lines_of(error.__traceback__):
        if line.tb_frame.f_code in _STRICT:
            a, b = line.tb_frame.f_locals["a"], line.tb_frame.f_locals["b"]
            if float in (type(a), type(b)) and a == b:
                yield ("if these are times: virtual time is exact, and what takes a second takes no more and no less; "
                       "say assertGreaterEqual(), assertLessEqual() or `with self.assertElapses(seconds):`")


SAID = 5  # lines


def program_words(error: BaseException) -> Iterator[str]:
    """The end of what a program said that has failed, where the test that fails has its result in hand."""
    results = [value for line in lines_of(error.__traceback__) for value in line.tb_frame.f_locals.values()
               if issubclass(type(value), ProgramRun) and value.returncode and value.stderr]
    for result in {id(each): each for each in results}.values():
        said = result.stderr.decode(errors="replace").rstrip().splitlines()[-SAID:]
        name = os.path.basename(result.args[0])
        yield "\n  ".join([f"{name} ended with {result.returncode}; its stderr ends:", *said])
