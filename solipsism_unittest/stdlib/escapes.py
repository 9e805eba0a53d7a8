"""Calls that were stopped, kept for the test."""

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
    """A new EscapeError that a test in this world fails for, also when the code under test swallows it.

    `what` was stopped and where, in so many words, is the same for those that differ in their arguments alone. Of them
    the latest are kept, and before them those without a traceback: assertRaises() has caught them.
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


# -- who was told


def swallowed(escapes: Collection[EscapeError], known: Container[int]) -> list[EscapeError]:
    """The escapes that nobody was told of, one for each call and place, without frames of ours.

    Told are those in `known` (by id), wanted those that assertRaises() caught, which takes the traceback off; and so is
    what says the same: a program tries again before it gives up.
    """
    told = {str(error) for error in escapes if error.__traceback__ is None or id(error) in known}
    found: dict[str, list[EscapeError]] = {}
    for error in escapes:
        if str(error) not in told:
            found.setdefault(error.what, []).append(error)
    for error, *others in found.values():
        error.__traceback__ = without_own_frames(error.__traceback__)
        more = sum(other.times for other in others) + error.times - 1
        likewise = f", and {more} more from that line" if more else ""
        error.add_note(f"the code under test swallowed this{likewise}; a test that means it says so: "
                       "with self.assertRaises(EscapeError):")
    return [errors[0] for errors in found.values()]
