"""Well-known libraries on the virtual loop, unchanged: no plug-in, no adapter and no patch, of theirs or of ours.

    python -m unittest discover -t . tests/interop

Each library has one file: tests as its users would write them, which run where it is installed, and a *twin* of the
standard library alone that makes the socket calls which that library makes. A twin always runs, and twice: on the
virtual loop, and by a subclass on the real loopback under the stock loop, which shows that it is right about Linux.

A library that is not installed is told on standard error (`aiohttp: not installed, not run`), and its tests are skipped
for that reason. One that is installed and cannot be imported is an error.
"""

import functools
import importlib
import sys
import types
import unittest
from collections.abc import Callable
from typing import Any


@functools.cache
def library(name: str) -> types.ModuleType | None:
    """The module of that name; None, and a line that says so, where its library is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise  # it is there, and lacks something
        print(_not_run(name), file=sys.stderr)
        return None


def needs(*names: str) -> Callable[[Any], Any]:
    """Skip a test class where one of these libraries is not installed."""
    missing = [name for name in names if library(name) is None]
    return unittest.skipIf(missing, "; ".join(map(_not_run, missing)))


def _not_run(name: str) -> str:
    return f"{name}: not installed, not run"
