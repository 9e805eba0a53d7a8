"""The pages that README links, as Markdown: `python -m solipsism_unittest manual` prints them."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence

__unittest = True
__tracebackhide__ = True


def pages() -> dict[str, str]:
    """The text of each page, by its name."""
    files = sorted(pathlib.Path(__file__).parent.glob("*.md"))
    return {file.stem: file.read_text(encoding="utf-8") for file in files}


def main(names: Sequence[str]) -> int:
    """Print the pages of these names; without any, say which there are. Returns the exit code."""
    known = pages()
    missing = [name for name in names if name not in known]
    if missing:
        print(f"there is no page {missing[0]!r}: there are {', '.join(known)}")
        return 2
    width = max(map(len, known)) + 2
    titles = (f"    {name:<{width}}{text.partition(chr(10))[0].lstrip('# ')}\n" for name, text in known.items())
    parts = [known[name] for name in names] or ["python -m solipsism_unittest manual PAGE prints a page:\n\n", *titles]
    try:
        print(*parts, sep="", end="", flush=True)
    except BrokenPipeError:  # who reads it has read enough; Python would say so once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
