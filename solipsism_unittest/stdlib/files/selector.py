"""`TestSelector`: a selector that keeps mocks to itself and hands real files on to another selector.

The virtual loop takes mocks as it is. A stock loop that a test case runs on gets one of these around its selector; any
other needs `asyncio.SelectorEventLoop(TestSelector(selectors.DefaultSelector()))`.
"""

from __future__ import annotations

import contextlib
import selectors
from collections.abc import Iterator, Mapping
from typing import Any

from .played import is_played, number_of, restart_numbers

__unittest = True
__tracebackhide__ = True


class _Map(Mapping[Any, selectors.SelectorKey]):
    """The keys of mocks, and those of the selector that is wrapped."""

    def __init__(self, mocks: dict[int, selectors.SelectorKey], others: Mapping[Any, selectors.SelectorKey]) -> None:
        self._mocks, self._others = mocks, others

    def __getitem__(self, fileobj: Any) -> selectors.SelectorKey:
        return self._mocks[number_of(fileobj)] if is_played(fileobj) else self._others[fileobj]

    def __len__(self) -> int:
        return len(self._mocks) + len(self._others)

    def __iter__(self) -> Iterator[Any]:
        yield from self._mocks
        yield from self._others


class TestSelector(selectors.BaseSelector):
    """Keeps mocks to itself, and hands everything else on to `selector`; without one, nothing else is taken.

    A mock is never ready by itself: `set_read_ready()` and `set_write_ready()` say so. Without a selector `select()`
    returns at once.
    """

    __test__ = False  # pytest takes a class of this name for a test

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        self._mocks: dict[int, selectors.SelectorKey] = {}
        self._inner = selector

    def _others(self, fileobj: Any) -> selectors.BaseSelector:
        if self._inner is None:
            raise ValueError(f"{fileobj!r} is no mock, and this TestSelector wraps no other selector")
        return self._inner

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As a selector's. KeyError for a mock that is registered already."""
        if not is_played(fileobj):
            return self._others(fileobj).register(fileobj, events, data)
        number = number_of(fileobj)
        if number in self._mocks:
            raise KeyError(f"{fileobj!r} (FD {int(number)}) is already registered")
        key = self._mocks[number] = selectors.SelectorKey(fileobj, number, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """As a selector's. KeyError for a mock that is not registered."""
        if not is_played(fileobj):
            return self._others(fileobj).unregister(fileobj)
        return self._mocks.pop(number_of(fileobj))

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As a selector's."""
        if not is_played(fileobj):
            return self._others(fileobj).modify(fileobj, events, data)
        number = number_of(fileobj)
        key = self._mocks[number] = self._mocks[number]._replace(events=events, data=data)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What the wrapped selector finds; mocks are never among it."""
        return self._inner.select(timeout) if self._inner is not None else []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """The keys of both."""
        return _Map(self._mocks, (self._inner.get_map() or {}) if self._inner is not None else {})

    def close(self) -> None:
        """Forget the mocks, and close the wrapped selector."""
        self._mocks.clear()
        if self._inner is not None:
            self._inner.close()


@contextlib.contextmanager
def taking_mocks(loop: Any) -> Iterator[None]:
    """Inside, a stock loop takes mocks, which begin with number 0; one without a selector stays as it is."""
    restart_numbers()
    stock = getattr(loop, "_selector", None)
    if not isinstance(stock, selectors.BaseSelector):
        yield
        return
    loop._selector = ours = TestSelector(stock)
    try:
        yield
    finally:
        if loop._selector is ours:  # the loop is lent, and open
            loop._selector = stock
