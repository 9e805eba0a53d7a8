#!/usr/bin/env bash
# AsyncMock(spec=[...]) with a list of names, as opposed to AsyncMock() and AsyncMock(spec=SomeClass).
#
# Most people would guess: the children of an AsyncMock are AsyncMocks, so `await client.start()` works, and
#   `client.start.assert_awaited_once()` is there; the list only says which names there are.
# What really happens: the list makes every child a plain MagicMock. `await client.start()` is a TypeError, and the child
#   has no assertion about awaiting. The mock itself still counts as a coroutine function.
#
# Seen (CPython 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2):
#   no spec: AsyncMock, a class: AsyncMock, a list of names: MagicMock, await: TypeError, assert_awaited_once: missing
#
#   PYTHON=python3.13 bash findings/a-mock-of-names-has-no-awaitable-children.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import asyncio
import inspect
import platform
import sys
from unittest.mock import AsyncMock


class Client:
    async def start(self):
        """Begin."""


def kind(mock):
    return type(mock.start).__name__


named = AsyncMock(spec=["start"])


async def use():
    try:
        await named.start()
    except TypeError:
        return "TypeError"
    return "awaited"


seen = [kind(AsyncMock()), kind(AsyncMock(spec=Client)), kind(named), asyncio.run(use()),
        "there" if hasattr(named.start, "assert_awaited_once") else "missing",
        inspect.iscoroutinefunction(named)]
print("Python", platform.python_version())
print("no spec: {}, a class: {}, a list of names: {}, await: {}, assert_awaited_once: {}".format(*seen))
sys.exit(0 if seen == ["AsyncMock", "AsyncMock", "MagicMock", "TypeError", "missing", True]
         else "this is not what was found before")
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
