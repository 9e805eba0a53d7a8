"""Stand-ins: what a name holds while a thread is sealed, and when the real thing answers all the same.

In a sealed thread a stand-in gives its answer; in any other it is what stood there before. A condition says when the
real thing answers a sealed thread too. Conditions are called by the stand-in, so the program's frame is two above them.
"""

from __future__ import annotations

import functools
import os
from asyncio import _get_running_loop, timeouts
from collections.abc import Callable, Iterable, Iterator
from math import inf, nextafter
from sys import _getframe
from typing import Any

from ...introspection import modules
from ...introspection.places import Place, place_here
from ...kernel.choices import Explorer
from ...kernel.choices.kinds import MIXES, SETS
from .. import escapes
from ..files.descriptors import is_virtual
from ..files.polling import number_of
from ..worlds import World, by_thread, thread_id
from . import guard, permits

Maker = Callable[[Any], Any]  # from what stood there to what shall stand there
Condition = Callable[[World, tuple[Any, ...], dict[str, Any]], bool]  # of the world and the arguments of the call

_TIMEOUT = timeouts.timeout.__code__


def stand_in(answer: Callable[..., Any], *, unless: Condition | None = None) -> Maker:
    """A sealed thread gets `answer(world, *args, **kwargs)`, `unless` the condition holds."""
    return lambda before: _made(before, answer, (), unless)


def stand_over(answer: Callable[..., Any], *, unless: Condition | None = None) -> Maker:
    """As `stand_in`, with the real function handed on: `answer(world, real, *args, **kwargs)`."""
    return lambda before: _made(before, answer, (before,), unless)


def static(make: Maker) -> Maker:
    """The same as an attribute of a class that is no method."""
    return lambda before: staticmethod(make(before))


def _made(before: Any, answer: Callable[..., Any], handed: tuple[Any, ...], unless: Condition | None) -> Any:
    @functools.wraps(before)
    def replacement(*args: Any, **kwargs: Any) -> Any:
        world = by_thread.get(thread_id())
        if world is None or (unless is not None and unless(world, args, kwargs)):
            return before(*args, **kwargs)
        return answer(world, *handed, *args, **kwargs)

    for same_abilities in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        if before in same_abilities:  # programs ask for them by the function
            same_abilities.add(replacement)
    if hasattr(before, "fromfd"):  # of the class epoll
        replacement.fromfd = before.fromfd  # type: ignore[attr-defined]
    return replacement


class OrderedSet(set[Any]):
    """A set whose members stand in the order in which they came, for asyncio's sets of tasks, futures and coroutines.

    asyncio cancels and waits for their members one by one. In a set of Python's own they stand by their addresses.
    """

    def __init__(self, members: Iterable[Any] = ()) -> None:
        self._order = dict.fromkeys(members)
        super().__init__(self._order)

    def __iter__(self) -> Iterator[Any]:
        present = super().__contains__
        known = [member for member in self._order if present(member)]
        if len(known) < len(self):  # the program has added some in a way that is not seen here
            known += [member for member in super().__iter__() if member not in self._order]
        return iter(known)

    def add(self, member: Any) -> None:
        """As a set's."""
        super().add(member)
        self._order[member] = None

    def discard(self, member: Any) -> None:
        """As a set's."""
        super().discard(member)
        self._order.pop(member, None)

    def remove(self, member: Any) -> None:
        """As a set's."""
        super().remove(member)
        self._order.pop(member, None)

    def pop(self) -> Any:
        """As a set's: the first one."""
        for member in self:
            self.discard(member)
            return member
        raise KeyError("pop from an empty set")

    def clear(self) -> None:
        """As a set's."""
        super().clear()
        self._order.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        return set, (list(self),)

    def __repr__(self) -> str:
        return repr(set(self))


class MixedSet(OrderedSet):
    """The same in a world that is explored: its members may stand in any order, as those of any set."""

    def __init__(self, members: Iterable[Any] = (), *, explorer: Explorer) -> None:
        super().__init__(members)
        self._explorer = explorer
        self._mix: int | None = None  # until two members are asked for

    def __iter__(self) -> Iterator[Any]:
        members = list(super().__iter__())
        if self._mix is None and len(members) > 1:
            self._mix = self._explorer.chosen(SETS, MIXES)
        if self._mix:
            numbers = sorted(range(len(members)), key=lambda number: number ^ (self._mix or 0))
            members = [members[number] for number in numbers]
        return iter(members)


def make_ordered_set(before: Any) -> Any:
    """What stands for `set` in a module of asyncio's, which has no such name by itself."""

    def ordered_set(*members: Any) -> set[Any]:
        world = by_thread.get(thread_id())
        if world is None:
            return set(*members)
        explorer = world.kernel.choices.explorer
        return OrderedSet(*members) if explorer is None else MixedSet(*members, explorer=explorer)

    return ordered_set


def make_timeout(before: Any) -> Any:
    """What stands for the class of `asyncio.timeout()` where that makes one.

    A positive delay ends later than now, and `loop.time() + delay` alone says now where the delay is below the spacing
    of floats.
    """

    def __init__(self: Any, when: float | None) -> None:
        world = by_thread.get(thread_id())
        if world is not None and when == world.kernel.clock.now:
            caller = _getframe(1)
            if caller.f_code is _TIMEOUT and caller.f_locals["delay"] > 0:
                when = nextafter(when, inf)
        begin(self, when)

    begin = before.__init__
    if not isinstance(before, type):  # a program's own
        return before
    return type(before)(before.__name__, (before,), {
        "__init__": functools.wraps(begin)(__init__), "__module__": before.__module__, "__doc__": before.__doc__})


def refuse_to_run(world: World, real: Any, loop: Any) -> None:
    """`_check_running()`, by which a stock loop begins to run."""
    if not isinstance(getattr(loop, "world", None), World) and world.home == thread_id():
        # Its timers go by the clock of this world, which stands while it runs: it would wait for ever.
        raise escapes.noted(world, f"{type(loop).__name__} is a real event loop, made outside of the simulation, and "
                                   "cannot run in it: make it inside, with asyncio.run() or asyncio.new_event_loop(), "
                                   "or await on the test's own loop")
    real(loop)


def make_get_loop(before: Any) -> Any:
    """What stands for the method by which a lock, event or queue of asyncio finds its loop, and keeps its first one.

    It notes the line of the first wait: by another test's loop it is all that says where the object was used.
    """

    @functools.wraps(before)
    def _get_loop(self: Any) -> Any:
        loop, bound = _get_running_loop(), self._loop
        if bound is loop:
            return loop
        found = before(self)  # it raises where the loop is another one
        if by_thread.get(thread_id()) is not None:
            vars(self)[modules.OWN_NAME] = place_here(2)
        return found

    return _get_loop


def first_wait(thing: object) -> Place | None:
    """Where a lock, event or queue of asyncio was waited for first; None where nobody knows."""
    place = vars(thing).get(modules.OWN_NAME)
    return place if isinstance(place, Place) else None


# -- conditions: when the real thing answers


def no_socket_file(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """The call is about a path, and this world has no socket files."""
    return not (world.kernel.paths or (args and is_virtual(args[0])))


def real_descriptor(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """The call is about a descriptor that is not of this world."""
    return not is_virtual(args[0] if args else kwargs.get("fd", kwargs.get("out_fd")))


def real_file_object(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """The same of a function that takes whatever has a fileno()."""
    return not (args and is_virtual(number_of(args[0])))


def real_file(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """The call opens a file that can be no socket file, or a descriptor that is not of this world."""
    file = args[0] if args else kwargs.get("file")
    return not is_virtual(file) and (isinstance(file, int) or not world.kernel.paths)


def real_network(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """The program let its calls of the network out."""
    return guard.wants_real_network(_getframe(2))


def real_children(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Real child processes inherit what is made, or are given it."""
    return modules.manages_processes(_getframe(2)) or permits.is_let_out("subprocess")


def real_processes(world: World, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """The caller waits for real processes, which takes real time."""
    return modules.waits_for_processes(_getframe(2))
