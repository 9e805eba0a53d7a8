"""The most likely failures of a newcomer, each a small test that fails, and beside it what unittest prints of it.

`python -m tests.behaviours.newcomers` writes the texts anew: read the difference before you commit it.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from tests import ROOT

HERE = pathlib.Path(__file__).parent
MODULES = ("network", "times", "loops", "ends", "outside")

# Frames of the standard library: which there are differs from Python to Python. A line of source stands below most.
_THEIR_FRAMES = re.compile(r'(?: *File "[^"]*/lib/python3\.\d+/[^"]*", line \d+, in .*\n(?: {4}.*\n)?)+')
_MASKS = (
    (_THEIR_FRAMES, "  (lines of Python's own)\n"),
    (re.compile(r"[\w./-]*/lib/python3\.\d+/([\w/]+\.py):\d+"), r"\1"),  # a place in the standard library
    (re.compile(r"in \d+\.\d+s"), "in 0.000s"),
    (re.compile(r" at 0x[0-9a-f]+"), ""),
    (re.compile(r"(?<=: )\[errno \d+\] (?=address already)"), ""),  # since 3.13
    (re.compile(r"^.*SlowCallbackWarning.*\n(?: .*\n)?", re.MULTILINE), ""),  # of a busy machine
    (re.compile(r"\(_ssl\.c:\d+\)"), "(_ssl.c)"),
    (re.compile(r"(localhost[:', ]+)\d{4,5}\b"), r"\1PORT"),  # of a real server
    (re.compile(r"^(E +|)(AssertionError: )\d\S* not (?=greater .*3600$)", re.MULTILINE), r"\1\2A REAL DURATION not "),
)


def environment(**more: str) -> dict[str, str]:
    """The variables of a child: it finds the package, nothing but `more` asks for colours, and it leaves no bytecode.

    Code without columns must not stay beside the interpreter's own modules.
    """
    own = {name: value for name, value in os.environ.items()
           if not name.startswith(("PYTEST", "PYTHON")) and name not in ("FORCE_COLOR", "NO_COLOR")}
    return {**own, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **more}


def folder_with(name: str) -> pathlib.Path:
    """A new folder with the tests of one of MODULES, in a file of a name that runners find."""
    folder = pathlib.Path(tempfile.mkdtemp()).resolve()
    shutil.copy(HERE / f"{name}.py", folder / f"test_{name}.py")
    return folder


def printed(name: str) -> str:
    """What unittest prints of one of MODULES, without what differs from run to run and from Python to Python."""
    folder = folder_with(name)
    try:
        child = subprocess.run([sys.executable, "-X", "no_debug_ranges", "-m", "unittest", f"test_{name}"], cwd=folder,
                               env=environment(NO_COLOR="1"), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                               timeout=120)
    finally:
        shutil.rmtree(folder)
    return masked(child.stderr, folder)


def masked(text: str, folder: pathlib.Path) -> str:
    """The text without what differs; a user's folder stands in the place of this one."""
    text = text.replace(str(folder), "/home/you")
    for pattern, instead in _MASKS:
        text = pattern.sub(instead, text)
    return text
