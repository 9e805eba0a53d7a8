"""Differences between Linux and the virtual machine that are meant: each a rule with its name and its reason.

At most ten. A rule sees one line, both answers, and what the sequence did before; after some of them the two sides are
no longer in the same state, and the sequence ends there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.fuzz.calls import TCP

MOST = 10


class Moment(NamedTuple):
    """One line and what it gave on both sides."""

    kind: str
    lines: list[str]
    """The whole sequence so far, this line last."""
    real: Any
    virtual: Any

    @property
    def line(self) -> str:
        return self.lines[-1]


class Rule(NamedTuple):
    """An accepted difference."""

    name: str
    reason: str
    applies: Callable[[Moment], bool]
    ends_the_sequence: bool


def _is_flooded(moment: Moment) -> bool:
    return any("(big)" in line for line in moment.lines)


def _about_room(moment: Moment) -> bool:
    if not _is_flooded(moment):
        return False
    if re.search(r"\.(send|sendall|sendmsg|sendto|write)\(", moment.line):
        room = ("EAGAIN", None)
        return all(answer in room or isinstance(answer, int) or answer == "some, not all"
                   for answer in (moment.real, moment.virtual))
    if re.search(r"\.(recv\w*|read|readinto)\(", moment.line):
        return all(not isinstance(answer, str) or answer == "EAGAIN" for answer in (moment.real, moment.virtual))
    if "selected(" in moment.line or "polled(" in moment.line:
        # Whether there is room, and whether an end has got past what is in its way.
        return isinstance(moment.real, list) and isinstance(moment.virtual, list)
    return False


def _about_sizes(moment: Moment) -> bool:
    return "socket.SO_RCVBUF" in moment.line or "socket.SO_SNDBUF" in moment.line


def _about_port_numbers(moment: Moment) -> bool:
    shown = [re.sub(r"'(?:port|name) \d+'", "chosen", repr(answer)) for answer in (moment.real, moment.virtual)]
    return shown[0] == shown[1] and "chosen" in shown[0]


def _about_addresses_in_use(moment: Moment) -> bool:
    return moment.kind in TCP and ".bind(address(" in moment.line and (moment.real, moment.virtual) == (
        "EADDRINUSE", None)


def _about_waiting_connects(moment: Moment) -> bool:
    waits = ("EAGAIN", "EALREADY", 114, [])
    return (moment.kind in TCP and moment.real in waits and "connect" in "".join(moment.lines)
            and (moment.virtual in ("ECONNREFUSED", 111) or moment.virtual in ([8221], ["r", "w"])))


RULES = (
    Rule("room",
         "a virtual buffer holds exactly its capacity; Linux counts its own overhead, lets buffers grow, and says "
         "that there is room only when a third is free. Seen only after a send of more than a buffer takes",
         _about_room, True),
    Rule("chosen numbers",
         "which free port or abstract name the kernel chooses is its own business: here ports count up and a name "
         "comes again as soon as its listener closed, while Linux chooses by chance",
         _about_port_numbers, True),
    Rule("address in use",
         "an address is free here as soon as its listener or connection is closed; on Linux the connections that a "
         "listener accepted, and the minute after a connection (TIME_WAIT), keep it",
         _about_addresses_in_use, True),
    Rule("waiting connects",
         "a connect that waits for a place in a full queue learns at once that the listener has closed; on Linux it "
         "asks again after a second (no sequence waits so long) and is refused then",
         _about_waiting_connects, True),
    Rule("buffer sizes", "SO_RCVBUF and SO_SNDBUF read back in bytes as they are, Linux doubles them", _about_sizes,
         False),
)


def accepted(moment: Moment) -> Rule | None:
    """The rule that explains a difference, or None."""
    return next((rule for rule in RULES if rule.applies(moment)), None)
