"""`Watching`: what a loop's transports wait for, in the table of the virtual selector.

Owns the short way there, for a descriptor that is waited for in one direction, as those of nearly all transports are.
All else goes asyncio's own way: both directions, file objects, debug mode, a selector of the program's own.
"""

from __future__ import annotations

from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from .doors import Stock
from .turns import Handle, Turns

__unittest = True
__tracebackhide__ = True

_STOCK: Any = Stock


class Watching(Turns):
    """An event loop that waits for descriptors."""

    def _add_reader(self, fd: Any, callback: Callable[..., object], *args: Any, **context: Any) -> Any:
        selector = self.selector
        if (type(fd) is not int or fd in selector.keys or context or self._debug or self._closed
                or self._selector is not selector):
            return _STOCK._add_reader(self, fd, callback, *args, **context)
        handle = Handle(callback, args, self, None)
        selector.register(fd, EVENT_READ, (handle, None))
        return handle

    def _add_writer(self, fd: Any, callback: Callable[..., object], *args: Any, **context: Any) -> Any:
        selector = self.selector
        if (type(fd) is not int or fd in selector.keys or context or self._debug or self._closed
                or self._selector is not selector):
            return _STOCK._add_writer(self, fd, callback, *args, **context)
        handle = Handle(callback, args, self, None)
        selector.register(fd, EVENT_WRITE, (None, handle))
        return handle

    def _remove_reader(self, fd: Any) -> Any:
        selector = self.selector
        if type(fd) is not int or self._selector is not selector:
            return _STOCK._remove_reader(self, fd)
        key = selector.keys.get(fd)
        if key is None:
            return False
        if key[2] != EVENT_READ:
            return _STOCK._remove_reader(self, fd)
        selector.unregister(fd)
        key[3][0].cancel()
        return True

    def _remove_writer(self, fd: Any) -> Any:
        selector = self.selector
        if type(fd) is not int or self._selector is not selector:
            return _STOCK._remove_writer(self, fd)
        key = selector.keys.get(fd)
        if key is None:
            return False
        if key[2] != EVENT_WRITE:
            return _STOCK._remove_writer(self, fd)
        selector.unregister(fd)
        key[3][1].cancel()
        return True
