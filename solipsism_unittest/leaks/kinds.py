"""The kinds of leftovers, in the order of the report, and one leftover."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

__unittest = True
__tracebackhide__ = True


class Kind(NamedTuple):
    """A kind of leftover: the check that it belongs to, and what one and several are called."""

    check: str
    one: str
    many: str = ""

    def counted(self, number: int) -> str:
        """A number of them: `2 timers`."""
        return f"{number} {self.one if number == 1 else self.many or self.one + 's'}"


DESCRIBED = 3  # of what was made at one place; the others are counted

# In the order of the report: causes come before what they cause.
KINDS = {
    "coroutine": Kind("unawaited_coroutines", "coroutine never awaited", "coroutines never awaited"),
    "unread": Kind("loop_exceptions", "task exception never read", "task exceptions never read"),
    "error": Kind("loop_exceptions", "error that nobody caught", "errors that nobody caught"),
    "process": Kind("processes", "running program"),
    "task": Kind("pending_tasks", "pending task"),
    "timer": Kind("active_handles", "timer"),
    "handle": Kind("active_handles", "ready handle"),
    "registration": Kind("active_selector_callbacks", "registered callback"),
    "loop": Kind("open_loops", "event loop not closed", "event loops not closed"),
    "server": Kind("open_servers", "open server"),
    "transport": Kind("open_transports", "open transport"),
    "socket": Kind("open_sockets", "open socket"),
    "pipe": Kind("open_sockets", "open pipe end"),
    "generator": Kind("async_generators", "async generator not finished", "async generators not finished"),
    "thread": Kind("threads", "thread alive", "threads alive"),
}
# Mistakes that passed unseen: there is nothing to end.
MISTAKES = ("coroutine", "unread", "error")


class Leak(NamedTuple):
    """One thing that was left: its kind (a key of KINDS), what it is, where it was made, and the thing itself.

    `what` is "" where it would not be in the report: beyond the first `DESCRIBED` of a place.
    """

    kind: str
    what: str
    place: object  # a Place, or words; None where nobody knows
    thing: object = None
    error: BaseException | None = None


def no_earlier(leak: Leak) -> str:
    """No test left this before."""
    return ""


class Seen:
    """What went wrong in tests of one class: each cause has its whole text in the first test, and is counted later."""

    __slots__ = ("_tests",)

    def __init__(self) -> None:
        self._tests: dict[object, dict[str, None]] = {}  # of each cause, in the order in which they came

    def count(self, test: str, cause: object) -> str:
        """Note a cause. The result says who had it first, and how many have; "" where this test is the first."""
        self._tests.setdefault(cause, {})[test] = None
        return self._words(test, cause)

    def by(self, test: str, leaks: Iterable[Leak]) -> Callable[[Leak], str]:
        """Note what a test left. The result says of each leak what `count` says of its cause."""
        for leak in leaks:
            self.count(test, _cause(leak))
        return lambda leak: self._words(test, _cause(leak))

    def _words(self, test: str, cause: object) -> str:
        tests = self._tests[cause]
        first = next(iter(tests))
        return f"as in {first} ({len(tests)} tests of this class so far)" if first != test else ""


def _cause(leak: Leak) -> object:
    """What is the same for leftovers of one cause: not how far they came, and not at which time."""
    return leak.kind, leak.place, type(leak.error)


class Found(NamedTuple):
    """What the end of a test found, for the report.

    `stubborn` has the names of tasks that nothing could end; `troubles` has what went wrong while things were ended;
    `hints` has why something may have been left.
    """

    leaks: list[Leak]
    stubborn: Sequence[str] = ()
    troubles: Sequence[str] = ()
    hints: Sequence[str] = ()

    def and_(self, other: Found) -> Found:
        """This and what was found later."""
        return Found(self.leaks + other.leaks, [*self.stubborn, *other.stubborn], [*self.troubles, *other.troubles],
                     [*self.hints, *other.hints])

    def without(self, known: Collection[int]) -> Found:
        """This without the errors that are reported already; `known` has their ids."""
        leaks = [leak for leak in self.leaks if leak.error is None or id(leak.error) not in known]
        return self._replace(leaks=leaks)


NOTHING = Found([])
