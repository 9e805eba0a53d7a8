"""The page: the records of a test and the lines of code that they name, in one file of HTML.

Owns what is put into `page.html`, which draws it. The page takes nothing from elsewhere, and no text of a test is ever
read as HTML: the data stand in a script, where `<` is written as an escape.
"""

from __future__ import annotations

import json
import linecache
import pathlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...introspection.names import command
from ...introspection.places import shorten
from ..recording.tape import Event
from .lanes import Lanes
from .records import Records

AROUND = 8  # lines above and below each line that is named
_AGAIN = re.compile(r"SOLIPSISM_(?:REPLAY|SEED)=\S+ .+")
_PLACE_OF_DATA = "/* the data of this test */"


def page(test: str, error: str, at: str, notes: Sequence[str], events: Sequence[Event], lost: int,
         named: Callable[[str], str]) -> str:
    """The page of these events. `error` is "" for a test that has not failed; `notes` are what else was said of it."""
    last = next((index for index, event in enumerate(events) if event.kind == "fails"), len(events))
    events = events[:last + 1]  # cleanups explain no failure
    lanes = Lanes(events, named)
    records = Records(events, lanes, named)
    again = next(filter(None, map(_AGAIN.search, notes)), None)
    data = {
        "test": test, "error": error, "at": at, "lost": lost,
        "story": list(filter(None, (_without(note, again[0] if again is not None else None) for note in notes))),
        "again": again[0] if again is not None else _command(test),
        "lanes": lanes.titles(), "kinds": list(records.kinds.numbers), "texts": list(records.texts.numbers),
        "records": records.rows, "places": [[shorten(file), line] for file, line in records.places.numbers],
        "sources": sources(records.places.numbers),
    }
    template = pathlib.Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    return template.replace(_PLACE_OF_DATA, "const D = " + written(data) + ";")


def _command(name: str) -> str:
    """What runs again what left these files: a test, the tests of a class with a fixture that failed, a test of pytest.

    Nobody knows that of `world()` in a script: "".
    """
    if "::" in name:
        return f"python -m pytest {name}" if re.fullmatch(r"[\w./:-]+", name) else f"python -m pytest '{name}'"
    fixture = re.fullmatch(r"\w+ \((.+)\)(?: \d+)?", name)
    if fixture is not None:
        return command(fixture[1])
    return "" if " " in name else command(name)


def _without(note: str, again: str | None) -> str:
    """A note without the line that has this command: it has a place of its own."""
    return "\n".join(line for line in note.splitlines() if again is None or again not in line)


def written(data: Any) -> str:
    """Data as text of a script that nothing in it can end."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def sources(places: Iterable[tuple[str, int]]) -> dict[str, dict[int, str]]:
    """The lines around each place, by file and number."""
    wanted: dict[str, set[int]] = {}
    for file, line in places:
        wanted.setdefault(file, set()).update(range(max(line - AROUND, 1), line + AROUND + 1))
    found = {}
    for file, numbers in wanted.items():
        lines = linecache.getlines(file)
        found[shorten(file)] = {number: lines[number - 1].rstrip("\n") for number in sorted(numbers)
                                if number <= len(lines)}
    return found
