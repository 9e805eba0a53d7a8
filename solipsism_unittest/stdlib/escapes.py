"""Escapes: the calls that were stopped at the border of a world, kept for the test."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Container

from ..errors import EscapeError
from ..introspection.exceptions import without_own_frames
from .worlds import World

__unittest = True
__tracebackhide__ = True

KEPT = 100  # escapes of one world that are kept: they hold frames
KEPT_ALIKE = 10  # of one call at one place


def noted(world: World, text: str, what: str = "") -> EscapeError:
    """Make an EscapeError that a test in this world fails for, even when the code under test swallows it.

    Escapes that differ only in their arguments share one `what`: the call and its place. At most KEPT_ALIKE of these
    are kept. The first to go are those with a traceback: one without was caught by assertRaises(), which excuses it.
    """
    error = EscapeError(text)
    error.what = what or text
    alike = [one for one in world.escapes if one.what == error.what]
    if len(alike) == KEPT_ALIKE:
        gone = next((one for one in alike if one.__traceback__ is not None), alike[0])
        error.times += gone.times
        with contextlib.suppress(ValueError):  # another thread was faster
            world.escapes.remove(gone)
    elif len(world.escapes) >= KEPT:
        return error
    world.escapes.append(error)
    return error


# -- what nobody saw


def swallowed(escapes: Collection[EscapeError], known: Container[int]) -> list[EscapeError]:
    """The escapes that nobody saw, one for each call and place, without frames of ours.

    Those in `known` (by id) were seen. Those without a traceback were expected: assertRaises() takes it off what it
    catches. One with the same text as one of these counts as seen too: a program tries again before it gives up.
    """
    seen = {str(error) for error in escapes if error.__traceback__ is None or id(error) in known}
    found: dict[str, list[EscapeError]] = {}
    for error in escapes:
        if str(error) not in seen:
            found.setdefault(error.what, []).append(error)
    for error, *others in found.values():
        error.__traceback__ = without_own_frames(error.__traceback__)
        more = sum(other.times for other in others) + error.times - 1
        likewise = f", and {more} more from that line" if more else ""
        error.add_note(f"the code under test swallowed this{likewise}; a test that means it says so: "
                       "with self.assertRaises(EscapeError):")
    return [errors[0] for errors in found.values()]
