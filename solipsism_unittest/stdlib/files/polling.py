"""Polling: `select.select`, `select.poll` and `select.epoll` for virtual descriptors.

Owns their registrations and the bits that they return. Does not own readiness (kernel/descriptors) or selectors: those
of module `selectors` are Python code over these three. The rule that keeps it simple: a call that finds a descriptor
ready returns, whatever its timeout. One that would wait is a blocking call (waiting.py). Real descriptors alone go to
the real function. Both kinds in one call are refused, because nothing can wait for both.
"""

from __future__ import annotations

import errno
import operator
import select
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeVar

from ...errors import SolipsismError
from ...kernel import FIRST_DESCRIPTOR, READABLE, WRITABLE
from ...kernel.descriptors.file import ERROR, HANGUP, PEER_ENDED, os_error
from .. import waiting
from ..threads.pacing.locks import look_in_vain
from ..worlds import World
from .passed import own_or_same

# Linux's bits, the same for poll(2) and epoll(7); not every system names all of them.
IN, PRI, OUT, ERR, HUP, NVAL, RDNORM, WRNORM, RDHUP = 1, 2, 4, 8, 16, 32, 64, 256, 0x2000
_ONESHOT, _EDGE = 1 << 30, 1 << 31
_BITS = {READABLE: IN | RDNORM, WRITABLE: OUT | WRNORM, ERROR: ERR, HANGUP: HUP, PEER_ENDED: RDHUP}
_CURE = "ask with a timeout of 0, or await loop.sock_recv(), loop.add_reader() and their like"

Found = list[tuple[int, int]]  # (descriptor, bits)
T = TypeVar("T")  # what a look returns: Found, or the three lists of select


def number_of(fileobj: Any) -> int:
    """The descriptor of a number, or of an object with fileno(); -1 for others: the real call raises their error."""
    number = fileobj if isinstance(fileobj, int) else getattr(fileobj, "fileno", lambda: -1)()
    return number if isinstance(number, int) else -1


def _bits(world: World, number: int) -> int:
    file = world.kernel.files.get(own_or_same(number))
    if file is None:
        return NVAL
    found = file.conditions()
    return sum(bits for condition, bits in _BITS.items() if found & condition)


def _anybody(found: object) -> bool:
    return any(found) if isinstance(found, tuple) else bool(found)


def _answer(world: World, look: Callable[[], T], interests: waiting.Interests, timeout: float | None, call: str) -> T:
    """What `look()` finds, at once or after a wait; its empty answer when the time is over."""
    found = look()
    if _anybody(found):
        return found
    if timeout is not None and timeout <= 0:
        return look() if look_in_vain(world.baton) else found

    def attempt() -> T:
        there = look()
        if not _anybody(there):
            raise os_error(errno.EAGAIN)
        return there

    if not waiting.is_elsewhere(world, timeout):
        files = world.kernel.files
        raise waiting.refusal(world, call, ", ".join(repr(files.get(number)) for number, _ in interests), _CURE)
    try:
        return waiting.carry_out(world, attempt, interests, timeout, call)
    except TimeoutError:
        return found


def _refuse_mixture(call: str, numbers: Iterable[int]) -> SolipsismError:
    shown = ", ".join(map(str, numbers))
    return SolipsismError(f"{call}() is asked for real and virtual descriptors together ({shown}): nothing can wait "
                          "for both, so ask for the real ones in a call of their own")


def virtual_select(world: World, real: Callable[..., Any], rlist: Iterable[Any], wlist: Iterable[Any],
                   xlist: Iterable[Any], timeout: float | None = None, /) -> tuple[list[Any], list[Any], list[Any]]:
    """As select.select. The third list is always empty: it stands for urgent data, and there is none."""
    lists = [list(each) for each in (rlist, wlist, xlist)]
    numbers = [[own_or_same(number_of(one)) for one in each] for each in lists]
    for each, its_numbers in zip(lists, numbers, strict=True):
        for one, number in zip(each, its_numbers, strict=True):
            if number < 0:
                real([one], [], [], 0)  # it raises the error
    flat = dict.fromkeys(number for each in numbers for number in each)
    virtual = [number for number in flat if number >= FIRST_DESCRIPTOR]
    if flat and not virtual:
        answer: tuple[list[Any], list[Any], list[Any]] = real(*lists, timeout)
        return answer
    if len(virtual) != len(flat):
        raise _refuse_mixture("select.select", flat)
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")

    def look() -> tuple[list[Any], list[Any], list[Any]]:
        if any(number not in world.kernel.files for number in flat):
            raise os_error(errno.EBADF)
        conditions = {number: world.kernel.files[number].conditions() for number in flat}
        readers, writers = ([one for one, number in zip(each, its_numbers, strict=True) if conditions[number] & wanted]
                            for each, its_numbers, wanted in zip(lists, numbers, _SELECTED, strict=False))
        return readers, writers, []

    interests = [(number, READABLE) for number in numbers[0]] + [(number, WRITABLE) for number in numbers[1]]
    return _answer(world, look, interests, timeout, "select.select")


_SELECTED = READABLE | HANGUP | ERROR, WRITABLE | ERROR


class _Poller:
    """What poll and epoll have in common: the registrations. Those of real descriptors are kept by a real object."""

    _name: str
    _default = IN | PRI | OUT

    def __init__(self, world: World, make_real: Callable[[], Any]) -> None:
        self._world = world
        self._make_real = make_real
        self._real: Any = None
        self._real_count = 0
        self._masks: dict[int, int] = {}  # of virtual descriptors

    def _reality(self) -> Any:
        if self._real is None:
            self._real = self._make_real()
        return self._real

    def _found(self) -> Found:
        found = []
        for number, mask in list(self._masks.items()):
            bits = _bits(self._world, number) & (mask | ERR | HUP | NVAL)
            if bits and mask:
                found.append((number, bits))
        return found

    def _attempt(self, timeout: float | None) -> Found:
        if self._masks and self._real_count:
            raise _refuse_mixture(f"{self._name}().poll", self._masks)
        interests = [(own_or_same(number), (READABLE if mask & (IN | RDNORM | RDHUP) else 0)
                      | (WRITABLE if mask & (OUT | WRNORM) else 0)) for number, mask in self._masks.items()]
        return _answer(self._world, self._found, interests, timeout, f"{self._name}().poll")


class VirtualPoll(_Poller):
    """As the object that select.poll() returns."""

    _name = "select.poll"

    def register(self, fd: Any, eventmask: int = _Poller._default, /) -> None:
        """Poll `fd` from now on, or for other events."""
        number = number_of(fd)
        if number >= FIRST_DESCRIPTOR:
            self._masks[number] = operator.index(eventmask)
        else:
            self._reality().register(fd, eventmask)
            self._real_count += 1

    def modify(self, fd: Any, eventmask: int, /) -> None:
        """Poll for other events; ENOENT for a descriptor that is not registered."""
        number = number_of(fd)
        if number < FIRST_DESCRIPTOR:
            self._reality().modify(fd, eventmask)
        elif number not in self._masks:
            raise os_error(errno.ENOENT)
        else:
            self._masks[number] = operator.index(eventmask)

    def unregister(self, fd: Any, /) -> None:
        """Poll it no longer; KeyError for a descriptor that is not registered."""
        number = number_of(fd)
        if number < FIRST_DESCRIPTOR:
            self._reality().unregister(fd)
            self._real_count -= 1
        else:
            del self._masks[number]

    def poll(self, timeout: float | None = None, /) -> Found:
        """(descriptor, bits) of all that are ready; `timeout` in milliseconds, None or negative: for ever."""
        if self._real_count and not self._masks:
            answer: Found = self._real.poll(timeout)
            return answer
        return self._attempt(None if timeout is None or timeout < 0 else timeout / 1000)


class VirtualEpoll(_Poller):
    """As select.epoll, level-triggered."""

    _name = "select.epoll"

    def __init__(self, world: World, make_real: Callable[[], Any]) -> None:
        super().__init__(world, make_real)
        self.closed = False

    def _check(self, eventmask: int = 0) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed epoll object")
        if eventmask & _EDGE:
            raise SolipsismError("EPOLLET is not simulated: a virtual descriptor is reported as long as it is ready; "
                                 "register it without EPOLLET")

    def _forget_closed(self) -> None:
        # As epoll(7): closing a descriptor ends its registration.
        for number in [number for number in self._masks if own_or_same(number) not in self._world.kernel.files]:
            del self._masks[number]

    def register(self, fd: Any, eventmask: int = _Poller._default) -> None:
        """Poll `fd` from now on; EEXIST for a registered one, EBADF for a closed one."""
        self._check(eventmask)
        number = number_of(fd)
        if number < FIRST_DESCRIPTOR:
            self._reality().register(fd, eventmask)
            self._real_count += 1
            return
        self._world.kernel.file(own_or_same(number))
        if number in self._masks:
            raise os_error(errno.EEXIST)
        self._masks[number] = operator.index(eventmask)

    def modify(self, fd: Any, eventmask: int) -> None:
        """Poll for other events; ENOENT for a descriptor that is not registered."""
        self._check(eventmask)
        number = number_of(fd)
        if number < FIRST_DESCRIPTOR:
            self._reality().modify(fd, eventmask)
            return
        self._registered(number)
        self._masks[number] = operator.index(eventmask)

    def unregister(self, fd: Any) -> None:
        """Poll it no longer; ENOENT for a descriptor that is not registered."""
        self._check()
        number = number_of(fd)
        if number < FIRST_DESCRIPTOR:
            self._reality().unregister(fd)
            self._real_count -= 1
            return
        self._registered(number)
        del self._masks[number]

    def _registered(self, number: int) -> None:
        self._world.kernel.file(own_or_same(number))
        if number not in self._masks:
            raise os_error(errno.ENOENT)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> Found:
        """(descriptor, bits) of `maxevents` ready ones at most; `timeout` in seconds, None or negative: for ever."""
        self._check()
        if maxevents < 1 and maxevents != -1:
            raise ValueError(f"maxevents must be greater than 0, got {maxevents}")
        self._forget_closed()
        if self._real_count and not self._masks:
            answer: Found = self._real.poll(timeout, maxevents)
            return answer
        found = self._attempt(None if timeout is None or timeout < 0 else timeout)
        found = found if maxevents == -1 else found[:maxevents]
        for number, _ in found:
            if self._masks[number] & _ONESHOT:
                self._masks[number] = 0
        return found

    def fileno(self) -> int:
        """The descriptor of a real epoll: whoever waits for it waits for real descriptors only."""
        self._check()
        number: int = self._reality().fileno()
        return number

    def close(self) -> None:
        """End all registrations."""
        self.closed = True
        self._masks.clear()
        if self._real is not None:
            self._real.close()

    def __enter__(self) -> Self:
        self._check()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def virtual_poll(world: World, real: Callable[[], Any]) -> VirtualPoll:
    """As select.poll()."""
    return VirtualPoll(world, real)


def virtual_epoll(world: World, real: Callable[..., Any], sizehint: int = -1, flags: int = 0) -> VirtualEpoll:
    """As select.epoll()."""
    return VirtualEpoll(world, lambda: real(sizehint, flags))


# Replacements in module select, and so in the selectors over it: (world, the real function, the arguments)
ANSWERS: dict[str, Callable[..., Any]] = {
    name: answer for name, answer in (
        ("select", virtual_select), ("poll", virtual_poll), ("epoll", virtual_epoll)) if hasattr(select, name)}
