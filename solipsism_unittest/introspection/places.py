"""Where in the user's code a thing was made.

Owns the cheap capture. It walks the frames until one is neither ours nor plumbing, and keeps that frame's code and last
instruction. The line is decoded only when a report is written. asyncio's own capture (debug mode) formats a whole stack
for every handle and costs ten times more.

An installed library makes things for the user. A report then has both lines: the library's, and the nearest one outside
of any library.
"""

from __future__ import annotations

import asyncio
import os
from asyncio import _get_running_loop, current_task
from collections.abc import Collection, Iterator
from math import inf
from sys import _getframe, gettrace
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

from ..pythons import is_monitored
from .modules import CARRIED, carries, is_of_library, module_of, outward

_working_directory = os.getcwd  # the system's own

OF_TASKS = vars(asyncio.tasks)  # of a module that carries calls and starts no loop
# What starts a loop or a test, by its module: the name of the function, between which of its instructions it stands,
# and its lines, where they are known. To look at the code of a frame is audited, to ask for its line is not.
_CODE = asyncio.BaseEventLoop.run_forever.__code__
_LINES = range(_CODE.co_firstlineno, max(line for *_, line in _CODE.co_lines() if line) + 1)
_STARTERS: dict[str, tuple[str, int, float, range | None]] = {
    "asyncio.base_events": (_CODE.co_name, 0, len(_CODE.co_code), _LINES),
    "unittest.case": ("run", 0, inf, None), "_pytest.runner": ("runtestprotocol", 0, inf, None)}
_starter = _STARTERS.get


def ends_here(function: FunctionType) -> None:
    """Let a function of ours that starts a loop be where each walk ends: above it stands nothing of the program's."""
    _STARTERS[function.__module__] = function.__name__, 0, inf, None


def ends_in_second_half(function: FunctionType) -> None:
    """The same of one that runs what is ready, in its second half. No other function of its module is half as long."""
    _STARTERS[function.__module__] = function.__name__, len(function.__code__.co_code) // 2, inf, None


class Place(NamedTuple):
    """A line of code, kept as its code and the index of an instruction until somebody reads it."""

    code: CodeType
    instruction: int
    in_library: bool = False
    caller: Place | None = None  # for a line in a library: the line outside of it that led there

    def __call__(self, *event: object) -> None:
        """Trace nothing: a Place may stand where a debugger's function can; see `place_above`."""

    @property
    def line(self) -> int:
        """The line number (the code's first line where the compiler kept none)."""
        index = self.instruction // 2
        for position, (start, *_) in enumerate(self.code.co_positions()):
            if position == index and start is not None:
                return start
        return self.code.co_firstlineno

    def __str__(self) -> str:
        here = line_words(self.code, self.line)
        return f"{here}, called from {self.caller}" if self.caller else here

    @classmethod
    def of(cls, frame: FrameType) -> Place:
        """The line at which a frame stands."""
        return cls(frame.f_code, frame.f_lasti)

    def called_from(self, place: Place | None) -> Place:
        """The same line of a library with another caller: where the task was made, as the stack ends there."""
        caller = place.caller if place and place.in_library else place
        return _PLACES.at(self.code, self.instruction, True, caller)


class Places(dict[tuple[object, ...], Place]):
    """The places that were met: a line that makes 100,000 tasks gives one Place.

    As many objects would keep the garbage collector busy. The keys have the ids of what the Places hold: from 3.12 on
    CPython takes 10 microseconds to hash the code of a long function, each time anew. To ask for an id is an audited
    call, and so most are found by name: the latest place with this name of a function, if its code is the same.
    """

    def at(self, code: CodeType, instruction: int, in_library: bool = False, caller: Place | None = None) -> Place:
        """The place with these facts."""
        key = (id(code), instruction, in_library, id(caller))
        place = self.get(key)
        if place is None:
            if len(self) >= MOST_PLACES:
                self.clear()
            place = self[key] = Place(code, instruction, in_library, caller)
        return place

    def met(self, code: CodeType, instruction: int) -> Place:
        """The place of a line in the program or in a library, which is found by its name from now on."""
        place = self.at(code, instruction, is_of_library(code.co_filename))
        self[code.co_qualname, instruction] = place
        return place


MOST_PLACES = 2048
_PLACES = Places()
_known = _PLACES.get


def shorten(filename: str) -> str:
    """The path as a person would type it: relative to the working directory when it lies below it.

    Functions of os.path are not asked: a program may have put others in their place, and a report must not fail.
    """
    try:
        here = _working_directory().rstrip(os.sep) + os.sep
    except OSError:  # it is gone
        return filename
    return filename.removeprefix(here)


def line_words(code: CodeType, line: int) -> str:
    """A line of code: `file.py:12 in name`."""
    return f"{shorten(code.co_filename)}:{line} in {code.co_qualname}"


def function_words(code: CodeType, line: int | None = None, name: str = "") -> str:
    """A function with the line where it is defined, or another of its lines: `name (file.py:12)`."""
    line = code.co_firstlineno if line is None else line
    return f"{name or code.co_qualname} ({shorten(code.co_filename)}:{line})"


def user_place(depth: int = 1) -> Place | None:
    """The user's innermost line above the caller; None where a loop called us and no line is the user's.

    The walk ends where a loop or a test was started: the frames above that made nothing here.
    """
    return _user_place(_getframe(depth))


def _user_place(start: FrameType | None) -> Place | None:
    frame = start
    inner: Place | None = None  # the innermost frame of a library
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not CARRIED[module]:
            code = frame.f_code
            place = _known((code.co_qualname, frame.f_lasti))
            if place is None or place.code is not code:
                place = _PLACES.met(code, frame.f_lasti)
            if not place.in_library:
                return place if inner is None else inner.called_from(place)
            inner = inner or place
        elif (starter := _starter(module)) is not None:
            name, first, last, lines = starter
            if first <= frame.f_lasti < last and (
                    first or (frame.f_lineno in lines if lines else frame.f_code.co_name == name)):
                break
        frame = frame.f_back
    return inner


def user_frames(frame: FrameType | None, until: Collection[CodeType] = ()) -> Iterator[FrameType]:
    """The user's frames, the innermost first, up to where a loop or a test was started, or one of some functions."""
    for step in outward(frame):
        module = module_of(step)
        if ((starter := _starter(module)) and starter[0] == step.f_code.co_name) or step.f_code in until:
            break
        if not carries(module):
            yield step


def made_at(thing: object) -> Place | None:
    """Where a task, a timer or a job's future was made, or None where nobody knows."""
    place = getattr(thing, "made_at", None)
    return place if type(place) is Place else None


def place_here(depth: int = 1) -> Place | None:
    """As `user_place`. For what asyncio or a library makes in a task of its own, where that task was made."""
    return place_above(frame_above(depth))


def place_above(frame: FrameType | None) -> Place | None:
    """As `place_here`, from a frame on.

    gather() makes thousands, all of them at one place, which stands on its frame. As long as there is an audit hook in
    Python, to look at the code of a frame takes as long as a twentieth of all that a sleeping task needs.

    Not where a debugger is at work: it would take the frame for one that it has begun to trace, and leave it out.
    """
    first = frame
    of_tasks: Any = frame
    while frame is not None and frame.f_globals is OF_TASKS:
        if type(met := frame.f_trace) is Place:
            return met
        of_tasks, frame = frame, frame.f_back
    place = _place_above(frame)
    if (of_tasks is not first and of_tasks is not None and of_tasks.f_trace is None
            and gettrace() is None and not is_monitored()):
        of_tasks.f_trace = place
    return place


def _place_above(frame: FrameType | None) -> Place | None:
    if frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not CARRIED[module]:
            code = frame.f_code
            place = _known((code.co_qualname, frame.f_lasti))
            if place is not None and place.code is code and not place.in_library:
                return place
        elif module not in _STARTERS:
            frame = frame.f_back  # which is all that a walk would do with it
    place = _user_place(frame)
    if (place is None or (place.in_library and place.caller is None)) and (
            loop := _get_running_loop()) is not None and (task := current_task(loop)) is not None:
        outer = made_at(task)
        return place.called_from(outer) if place else outer
    return place


def _frames_of_who_asks() -> Iterator[FrameType]:
    frame: Any = _getframe()
    while True:
        yield frame.f_back


class Watch:
    """A way to the frame that asks, for who does so often.

    sys._getframe() is an audited call: as long as there is an audit hook in Python it takes five times as long.
    """

    __slots__ = ("ask",)

    def __init__(self) -> None:
        self.ask = _frames_of_who_asks().__next__

    def again(self) -> FrameType:
        """The frame of the caller, where `ask()` raised one of these: a thread was in it, or a signal has ended it."""
        self.ask = _frames_of_who_asks().__next__
        return _getframe(1)


NOT_ASKED = ValueError, StopIteration  # what `ask()` raises then
WATCH = Watch()


def frame_above(depth: int = 1) -> FrameType:
    """What sys._getframe(depth) gives to the caller, by a way that is not audited."""
    try:
        frame: Any = WATCH.ask()
    except NOT_ASKED:
        frame = WATCH.again()
    while depth >= 0:
        depth -= 1
        frame = frame.f_back
    return frame  # type: ignore[no-any-return]
