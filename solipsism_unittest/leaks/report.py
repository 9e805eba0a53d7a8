"""The report of what was left, grouped and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from .kinds import DESCRIBED, KINDS, MISTAKES, Found, Leak, no_earlier

__unittest = True
__tracebackhide__ = True

_ADVICE = "so nothing of it ran: write `await` before it, or make a task of it"
_PLACE_WORDS = {"error": "raised at"}


# -- the report


def report(found: Found, who: str = "test", earlier: Callable[[Leak], str] = no_earlier) -> str:
    """The text of the failure: how much, then each with the place where it was made; equal ones are counted.

    What `earlier` has words for was described by another test's failure, and has one line.
    """
    leaks, stubborn, troubles, hints = found
    if not (leaks or stubborn or troubles):
        return ""
    left = [leak for leak in leaks if leak.kind not in MISTAKES]
    if leaks and all(leak.kind == "coroutine" for leak in leaks):
        lines = [line for leak, count in Counter(leaks).items() for line in
                 (f"coroutine '{leak.what}' was never awaited{_times(count)}, {earlier(leak) or _ADVICE}",
                  f"  made at {leak.place}")]
    else:
        lines = [_headline(len(leaks), bool(left), who)] if leaks else [f"the {who} did not come to a clean end"]
        lines += _groups(leaks, earlier)
    lines += [f"  {hint}" for hint in hints if left]
    lines += [f"  when it was ended: {trouble}" for trouble in dict.fromkeys(troubles)]
    if stubborn:
        lines.append(f"  refused to be cancelled: {', '.join(stubborn)}")
    return "\n".join(lines)


def _times(count: int) -> str:
    return f" (x {count})" if count > 1 else ""


def _headline(number: int, left: bool, who: str) -> str:
    if left:
        return f"the {who} left {number} thing{'s' if number != 1 else ''} behind; end what you start, or let a " \
               "cleanup do it"
    return f"{number} error{'s' if number != 1 else ''} went by unseen while the {who} ran"


def _groups(leaks: list[Leak], earlier: Callable[[Leak], str]) -> Iterable[str]:
    for name, kind in KINDS.items():
        of_kind = [leak for leak in leaks if leak.kind == name]
        if of_kind:
            yield f"  {kind.counted(len(of_kind))}"
        per_place: dict[object, list[Leak]] = {}
        for leak in of_kind:
            per_place.setdefault(leak.place, []).append(leak)
        for place, same in per_place.items():
            if known := earlier(same[0]):
                verb = f", {_PLACE_WORDS.get(name, 'made at')} {place}" if place else ""
                yield f"    {known}{_times(len(same))}{verb}"
                continue
            for what, count in Counter(leak.what for leak in same[:DESCRIBED]).items():
                advice = f", {_ADVICE}" if name == "coroutine" else ""
                yield f"    {what}{_times(count)}{advice}"
            if len(same) > DESCRIBED:
                yield f"    and {len(same) - DESCRIBED} more of the same place"
            verb = _PLACE_WORDS.get(name, "made at")
            if place:
                yield f"      {verb} {place}"
            elif name not in MISTAKES:
                yield "      made where no line of yours was running"
