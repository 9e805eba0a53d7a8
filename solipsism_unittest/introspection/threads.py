"""Where another thread stands, whether it waits there, and whether the system has let it run since."""

from __future__ import annotations

import _thread
import concurrent.futures
import dis
import functools
import itertools
import os
import sys
import threading
import time
import types
import unittest
from collections.abc import Collection, Iterable, Sequence
from dis import get_instructions
from sys import getswitchinterval
from threading import enumerate as all_threads
from threading import get_native_id

from ..pythons import NULL_COMES_FIRST
from .modules import carries, is_ours, module_of, outward
from .places import line_words

FRAMES_SHOWN = 5

# A thread that stands in a call of such a name waits for what others bring. `sleep` is not among them.
_WAITS = frozenset({"__enter__", "accept", "acquire", "get", "join", "poll", "read", "readline", "recv", "recv_into",
                    "select", "wait"})

_OF_THREADS = "/proc/self/task"  # a directory for each thread of this process, on Linux
_LINUX = os.path.exists(f"{_OF_THREADS}/{get_native_id()}/schedstat")
LOOKS_AGAIN = 2
_open, _read, _close, _listdir = os.open, os.read, os.close, os.listdir  # a program may replace them
_MUCH = 4096  # bytes: more than one of these files has


class Real:
    """The clocks of the machine, its sleep, locks and threads, taken before any program could replace them.

    A tool that stops the clocks (freezegun) looks for them among the names of every module: here it finds none. One
    that finds calls which block a loop (blockbuster) replaces `acquire` in the class of locks: a loop that waits for
    other threads here does what a stock one does in `select()`.
    """

    # Not static methods: CPython would look those up anew each time.
    monotonic = time.monotonic
    perf_counter = time.perf_counter
    thread_time = time.thread_time
    sleep = time.sleep
    acquire = staticmethod(_thread.LockType.acquire)
    get_ident = threading.get_ident
    frames = sys._current_frames  # of all threads: only for the two functions below


_main_thread = threading.main_thread
_RUNS_A_TEST = unittest.TestCase.run.__code__
_JOIN, _RESULT = threading.Thread.join.__code__, concurrent.futures.Future.result.__code__


def main_ident() -> int:
    """The identifier of the main thread of the process."""
    return _main_thread().ident or 0


def main_waits_for_us() -> tuple[types.CodeType, int] | None:
    """Where the main thread stands in a `join()` of this thread or in a `result()` without a timeout; None for neither.

    It may be about to go on: then it stands elsewhere soon. One that has ended stands at its end.
    """
    if not _main_thread().is_alive():
        return _JOIN, 0
    innermost = frame_of(main_ident())
    for frame in outward(innermost):
        names = frame.f_locals if frame.f_code is _JOIN or frame.f_code is _RESULT else {}
        if innermost is not None and (names["self"].ident == Real.get_ident() if frame.f_code is _JOIN
                                      else "timeout" in names and names["timeout"] is None):
            return innermost.f_code, innermost.f_lasti
    return None


# -- where a thread stands
#
# The frames of all threads have the frame of who asks among them. Whoever kept them in a local variable would make a
# cycle, and what any thread had in its hands would live until a collection.


def frame_of(ident: int | None) -> types.FrameType | None:
    """Where another thread stands; None where it has ended."""
    return Real.frames().get(ident or 0)


def idents() -> frozenset[int]:
    """The identifiers of all threads that run Python code."""
    return frozenset(Real.frames())


def standing(ident: int | None) -> str:
    """Where a thread stands, to be added to its name."""
    frame = frame_of(ident)
    return ", stands at" + "".join(f"\n      {line}" for line in stack(frame)) if frame is not None else ""


def stack(frame: types.FrameType) -> list[str]:
    """The lines of a thread from the outermost to the innermost, without what started it, or runs the test in it."""
    steps = list(itertools.takewhile(lambda step: step.f_code is not _RUNS_A_TEST, outward(frame))) or [frame]
    while len(steps) > 1 and is_ours(module_of(steps[0])):
        del steps[0]
    innermost, *above = steps
    shown = [innermost, *(step for step in above if not carries(module_of(step)))][:FRAMES_SHOWN]
    return [line_words(step.f_code, step.f_lineno) for step in reversed(shown)]


def waits(frame: types.FrameType) -> bool:
    """Whether a thread whose innermost frame this is stands in a call that waits for others, as far as its name says.

    A C function has no frame: the instruction that called it is looked at.
    """
    return called(frame.f_code, frame.f_lasti) in _WAITS


@functools.lru_cache(256)
def called(code: types.CodeType, instruction: int) -> str | None:
    """The name of what is called at an instruction: `get` in `self.requests.get(timeout=1)`; None for no call.

    The beginning of a `with` counts as `acquire`: what waits there is a lock.
    """
    before: list[dis.Instruction] = []
    for step in get_instructions(code):
        if step.offset == instruction:
            break
        before.append(step)
    else:
        return None
    if step.opname == "BEFORE_WITH" or "CALL" in step.opname and _LOADS_ENTER.intersection(
            one.opname for one in before[-_NEAR:]):
        return "acquire"
    if "CALL" not in step.opname:
        return None
    start = _start(step)  # of the whole expression: what is called begins where its call begins
    if start[1] is None:
        return _callee([*before, step])
    return next((one.argval for one in reversed(before) if _start(one) == start and isinstance(one.argval, str)), None)


_LOADS_ENTER = frozenset({"LOAD_SPECIAL"})  # of a `with` from 3.14 on, some steps before the call
_NEAR = 4


def _callee(steps: Sequence[dis.Instruction]) -> str | None:
    """What the last of these instructions calls, where code has no columns, as with `-X no_debug_ranges`.

    Whatever is loaded to be called comes with a NULL. Calls among the arguments have theirs, and are passed by.
    """
    inner = 0
    for place in reversed(range(len(steps) - 1)):
        step, following = steps[place:place + 2]
        if step.opname == "PUSH_NULL" and following.opname == "CALL_FUNCTION_EX":
            continue  # from 3.14 on it stands for keyword arguments
        if step.opname in _CALLS:
            inner += 1
        elif step.opname in ("LOAD_METHOD", "PUSH_NULL") or step.argval != step.argrepr and "NULL" in step.argrepr:
            if not inner:
                if step.opname == "PUSH_NULL":
                    step = _behind_null(steps[place + 1:]) if NULL_COMES_FIRST else steps[place - 1]
                return step.argval if isinstance(step.argval, str) else None
            inner -= 1
    return None


def _behind_null(steps: Sequence[dis.Instruction]) -> dis.Instruction:
    """The end of `name` or `name.attribute.attribute`."""
    more = itertools.takewhile(lambda step: step.opname == "LOAD_ATTR", steps[1:])
    return [steps[0], *more][-1]


_CALLS = "CALL", "CALL_KW", "CALL_FUNCTION_EX"


def _start(step: dis.Instruction) -> tuple[int | None, int | None]:
    positions = step.positions or dis.Positions()
    return positions.lineno, positions.col_offset


# -- whether a thread rests

Turns = dict[int, str]  # by the number of a thread: how often the system has given it a processor


def resting(among: Iterable[int] | None = None, but: Collection[int] = ()) -> Turns | None:
    """Some threads, or all others of the process, when they rest; None when one of them runs or is about to.

    A look at a thread's frames cannot tell one that waits from one that was woken and has no processor yet. The system
    can: all are asleep at each look, and none has had a processor in between, so there was a moment at which all slept.
    None of them waited for the interpreter lock at that moment: the next look lets go of it, which wakes such a
    thread. Where some are left out, one of those may take the lock instead; who waits for it looks around now and then,
    so there is a pause for that. Where the system says nothing, those rest whose frames have not moved for a while.
    """
    first = asleep(among, but)
    for _ in range(LOOKS_AGAIN):
        if first is None:
            return None
        if among is not None or but or not _LINUX:
            Real.sleep(2 * getswitchinterval())
        if asleep(among, but) != first:
            return None
    return first


def asleep(among: Iterable[int] | None = None, but: Collection[int] = ()) -> Turns | None:
    """How often each of some threads was given a processor, when all are asleep: one look, see `resting`."""
    if not _LINUX:
        return _standing(among, but)
    turns: Turns = {}
    for number in sorted(among if among is not None else map(int, _listdir(_OF_THREADS))):
        if number in but or number == get_native_id():
            continue
        try:
            # In this order: one that runs is not yet counted as taken from its processor when it says that it sleeps.
            given = _contents(number, "schedstat")
            status = _contents(number, "status")
        except OSError:  # it has just ended
            return None
        if "\nState:\tS" not in status:
            return None
        turns[number] = given + status[status.rindex("\nvoluntary_ctxt_switches"):]
    return turns


def _standing(among: Iterable[int] | None, but: Collection[int]) -> Turns:
    """Where each thread stands."""
    numbers = {thread.ident: thread.native_id for thread in all_threads()}
    wanted = set(filter(None, numbers.values()) if among is None else among).difference(but, (get_native_id(),))
    stand = {number: f"{id(frame)} {frame.f_lasti}" for ident, number in numbers.items()
             if number in wanted and (frame := frame_of(ident)) is not None}
    return {number: stand[number] for number in sorted(stand)}


def processor_time(number: int) -> float:
    """The seconds of a processor that a thread has used; the real time where the system does not say it."""
    try:
        return int(_contents(number, "schedstat").split()[0]) / 1e9
    except OSError:
        return Real.monotonic()


def _contents(number: int, name: str) -> str:
    file = _open(f"{_OF_THREADS}/{number}/{name}", os.O_RDONLY)
    try:
        return _read(file, _MUCH).decode("ascii", "replace")
    finally:
        _close(file)
