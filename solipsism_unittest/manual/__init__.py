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
    """Print the pages of these names; without any, say which there are. Returns the exit code.

    A name may be written as the pages link each other, `time.md`. Of what is no page it says which pages have the word.
    """
    known = pages()
    names = [name.lower().removesuffix(".md") if name.lower().removesuffix(".md") in known else name for name in names]
    missing = [name for name in names if name not in known]
    if missing:
        having = [name for name, text in known.items() if missing[0].lower() in text.lower()]
        word = f"; the word stands in {', '.join(having)}" if having else ""
        print(f"there is no page {missing[0]!r}: there are {', '.join(known)}{word}")
        return 2
    width = max(map(len, known)) + 2
    titles = (f"    {name:<{width}}{text.partition(chr(10))[0].lstrip('# ')}\n" for name, text in known.items())
    parts = [known[name] for name in names] or ["python -m solipsism_unittest manual PAGE prints a page:\n\n", *titles]
    try:
        print(*parts, sep="", end="", flush=True)
    except BrokenPipeError:  # who reads it has read enough; Python would say so once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
