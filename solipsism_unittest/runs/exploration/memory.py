"""Runs that have failed are kept in files, and tried first the next time, until they pass.

One file for each test, in the folder `.solipsism` of the working directory, which git ignores. SOLIPSISM_MEMORY names
another folder; set to nothing, it keeps none.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import zlib

from ...errors import SolipsismError
from .tokens import Token, read_token

__unittest = True
__tracebackhide__ = True

MEMORY = "SOLIPSISM_MEMORY"
FOLDER = ".solipsism"


def _file_of(name: str) -> pathlib.Path | None:
    folder = os.environ.get(MEMORY, FOLDER)
    readable = re.sub(r"[^\w.-]", "_", name)[-150:]
    return pathlib.Path(folder, f"{readable}-{zlib.crc32(name.encode()):08x}") if folder else None


def recall(name: str) -> Token | None:
    """The run of the test of this name that failed last, or None."""
    path = _file_of(name)
    try:
        return read_token(path.read_text(encoding="utf-8").strip()) if path is not None else None
    except (OSError, ValueError, SolipsismError):
        return None


def keep(name: str, token: Token) -> None:
    """Keep a run of this test. Where no file can be written, nothing is kept."""
    path = _file_of(name)
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        ignore = path.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        path.write_text(f"{token}\n", encoding="utf-8")


def forget(name: str) -> None:
    """Keep no run of this test: it passes now."""
    path = _file_of(name)
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink()
