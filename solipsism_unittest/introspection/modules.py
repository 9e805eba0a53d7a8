"""Whose code it is: the program's, a library's, Python's or ours.

Owns the question whether a module or file belongs to this package, so that no other module keeps a name or path of it.
"""

from __future__ import annotations

import os
from types import FrameType

_PACKAGE = __name__.partition(".")[0]
_HOME = os.path.dirname(os.path.dirname(__file__)) + os.sep


def root_of(module: str) -> str:
    """The top-level package of a module's name."""
    return module.partition(".")[0]


def module_of(frame: FrameType) -> str:
    """The name of the module whose code a frame runs; "" for code without one."""
    return str(frame.f_globals.get("__name__", ""))


def is_ours(module: str) -> bool:
    """Whether a module of this name belongs to this package."""
    return root_of(module) == _PACKAGE


def is_our_file(filename: str) -> bool:
    """Whether a file is code of this package."""
    return filename.startswith(_HOME)
