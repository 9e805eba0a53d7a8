"""What a thing is called: a repr without addresses, the program's own name for it, and the command for a test."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from types import FrameType
from typing import Any

from .modules import is_of_library, program_frames
from .places import shorten

SEARCHED = 1_000  # at most this many members of a container are searched for a thing


def known_as(thing: object, frames: Sequence[FrameType]) -> str:
    """The name that the user's innermost code has for a thing: `lock`, `self.left`, `forks[2]`; "" for none."""
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
    # Its own type decides: isinstance() would read its __class__, and a dead proxy raises there.
    if issubclass(type(value), (list, tuple)):
        for index, item in enumerate(value[:SEARCHED]):
            if item is thing:
                return f"{name}[{index}]"
    elif issubclass(type(value), dict):
        for key, item in list(value.items())[:SEARCHED]:
            if item is thing and isinstance(key, (str, int)):
                return f"{name}[{key!r}]"
    else:
        # This runs no __getattr__ and no property of the user's.
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
_ADDRESS = re.compile(r"(?: object)? at 0x[0-9a-fA-F]+| id='\d{12,}'")  # the second is in the repr of a mock


def plain(thing: object) -> str:
    """A repr of bounded length without memory addresses: two runs print the same. It never raises."""
    try:
        text = _ADDRESS.sub("", repr(thing))
    except Exception as error:  # a broken __repr__ must not cost a test its report
        return f"<{type(thing).__qualname__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"


def name_of(function: Any) -> str:
    """What a function is called, without an address."""
    while isinstance(function, partial):
        of_to_thread = function.args and getattr(function.func, "__qualname__", "") == "Context.run"
        if not of_to_thread:
            return f"functools.partial({name_of(function.func)})"
        function = function.args[0]
    return getattr(function, "__qualname__", None) or type(function).__qualname__


UNDER_PYTEST = "PYTEST_CURRENT_TEST"  # in the environment while it runs a test


def command(test: str) -> str:
    """What runs a test again, or those of a class or a module, by its id: to type where this process was started."""
    steps = test.split(".")
    if steps[0] == "__main__":
        return f"python {sys.argv[0]} {'.'.join(steps[1:])}".rstrip()
    count = next((count for count in range(len(steps), 0, -1) if ".".join(steps[:count]) in sys.modules), 0)
    file = shorten(str(getattr(sys.modules.get(".".join(steps[:count])), "__file__", None) or ""))
    if file and UNDER_PYTEST in os.environ:
        return "python -m pytest " + "::".join([_quoted(file), *steps[count:]])
    folder = _folder_of_imports(file, steps[:count])
    return f"PYTHONPATH={_quoted(folder)} python -m unittest {test}" if folder else f"python -m unittest {test}"


def _folder_of_imports(file: str, module: Sequence[str]) -> str:
    """The folder from which a module was imported, where Python would not look there by itself; "" where it would."""
    path, imported = file.removesuffix(".py").removesuffix(f"{os.sep}__init__"), os.sep.join(module)
    folder = path.removesuffix(imported).rstrip(os.sep)
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if folder == path or is_of_library(file) or folder in map(shorten, known):
        return ""
    return os.pathsep.join(filter(None, [folder, *known])) if folder else ""


def _quoted(path: str) -> str:
    return f"'{path}'" if " " in path else path
