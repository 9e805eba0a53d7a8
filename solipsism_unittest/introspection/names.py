"""What a thing is called: a repr without addresses, and the program's own name for it."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from types import FrameType
from typing import Any

from .modules import program_frames

SEARCHED = 1_000  # things of a container, at most, that are looked through for a name


def known_as(thing: object, frames: Sequence[FrameType]) -> str:
    """How the user's code at the end of a chain calls a thing: `lock`, `self.left`, `forks[2]`; "" for not at all."""
    for frame in reversed(program_frames(frames)):
        known = dict(frame.f_locals)
        for name, value in known.items():
            if value is thing:
                return name
        for name, value in known.items():
            inside = _inside(name, value, thing)
            if inside:
                return inside
        for name in frame.f_code.co_names:
            if frame.f_globals.get(name) is thing:
                return name
    return ""


def _inside(name: str, value: Any, thing: object) -> str:
    # By its own type: isinstance() would ask it for its __class__, which a dead proxy has not.
    if issubclass(type(value), (list, tuple)):
        for index, item in enumerate(value[:SEARCHED]):
            if item is thing:
                return f"{name}[{index}]"
    elif issubclass(type(value), dict):
        for key, item in list(value.items())[:SEARCHED]:
            if item is thing and isinstance(key, (str, int)):
                return f"{name}[{key!r}]"
    else:
        # Past any __getattr__ and property of the user's.
        try:
            attributes = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return ""
        for key, item in list(attributes.items())[:SEARCHED]:
            if item is thing:
                return f"{name}.{key}"
    return ""


NAMES = 5  # of the things of a list


def listed(things: Sequence[str]) -> str:
    """Things as a list in words: the first `NAMES` of them, and how many more."""
    more = f" and {len(things) - NAMES} more" if len(things) > NAMES else ""
    return ", ".join(things[:NAMES]) + more


LONGEST = 200  # characters of a repr


def plain(thing: object) -> str:
    """A repr without memory addresses, so that two runs print the same, and of bounded length; never raises."""
    try:
        text = re.sub(r"(?: object)? at 0x[0-9a-fA-F]+", "", repr(thing))
    except Exception as error:  # a test must not hang for ever because of somebody's __repr__
        return f"<{type(thing).__qualname__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"


def name_of(function: Any) -> str:
    """What a function is called, without an address."""
    if isinstance(function, functools.partial):
        of_to_thread = function.args and getattr(function.func, "__qualname__", "") == "Context.run"
        return name_of(function.args[0]) if of_to_thread else f"functools.partial({name_of(function.func)})"
    return getattr(function, "__qualname__", None) or type(function).__qualname__
