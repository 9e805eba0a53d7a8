"""Assertions about what awaiting raises, and of what it warns."""

from __future__ import annotations

import functools
import re
import unittest
from collections.abc import Awaitable
from typing import Any, TypeVar

from .awaited import Awaited, AwaitedOf

__unittest = True
__tracebackhide__ = True

E = TypeVar("E", bound=BaseException)
Types = type[E] | tuple[type[E], ...]
Warned = type[Warning] | tuple[type[Warning], ...]
Regex = str | re.Pattern[str]


class RaisedAssertions(unittest.TestCase):
    """Assertions about what awaiting raises, and of what it warns; `SolipsistTestCase` has them."""

    def assertAsyncRaises(self, exception: Types[E], aw: Awaitable[Any]) -> Awaited[E]:
        """`await self.assertAsyncRaises(LookupError, coroutine())`: it raises such an error. Returns the error."""
        return AwaitedOf(self, "assertAsyncRaises", functools.partial(_raises, exception), aw)

    def assertAsyncRaisesRegex(self, exception: Types[E], regex: Regex, aw: Awaitable[Any]) -> Awaited[E]:
        """The same, and the text of the error has a match for the regular expression. Returns the error."""
        return AwaitedOf(self, "assertAsyncRaisesRegex", functools.partial(_raises, exception, regex=regex), aw)

    def assertAsyncWarns(self, warning: Warned, aw: Awaitable[Any]) -> Awaited[Warning]:
        """`await self.assertAsyncWarns(UserWarning, coroutine())`: it warns so meanwhile. Returns the warning."""
        return AwaitedOf(self, "assertAsyncWarns", functools.partial(_warns, warning), aw)

    def assertAsyncWarnsRegex(self, warning: Warned, regex: Regex, aw: Awaitable[Any]) -> Awaited[Warning]:
        """The same, and the text of the warning has a match for the regular expression. Returns the warning."""
        return AwaitedOf(self, "assertAsyncWarnsRegex", functools.partial(_warns, warning, regex=regex), aw)


async def _raises(exception: Types[E], case: unittest.TestCase, aw: Awaitable[Any], regex: Regex = "") -> E:
    with unittest.TestCase.assertRaisesRegex(case, exception, regex) as raised:
        await aw
    return raised.exception


async def _warns(warning: Warned, case: unittest.TestCase, aw: Awaitable[Any], regex: Regex = "") -> Any:
    with unittest.TestCase.assertWarnsRegex(case, warning, regex) as warned:
        await aw
    return warned.warning
