#!/usr/bin/env bash
# In which order asyncio.as_completed() starts the coroutines that it is given.
#
# Most people would guess: in the order of the list, as gather() does, so that a log of the starts is the same each time.
# What really happens: they are put into a set first, and coroutines hash by their address. So the order of the starts is
#   that of the addresses: it differs from call to call in one process, and in a dozen is hardly ever the order given.
#   gather() and TaskGroup start in the order given.
#
# Seen:
#   3.11.7:  as_completed: 25 orders in 40 calls; gather: 1 order, the one given
#   3.15.2:  as_completed: 5 orders in 40 calls; gather: 1 order, the one given
#
#   PYTHON=python3.13 bash findings/as-completed-starts-in-any-order.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import asyncio
import platform
import sys

COUNT = 12


async def starts(run):
    started = []

    async def work(number):
        started.append(number)

    await run([work(number) for number in range(COUNT)])
    return tuple(started)


async def completed(coroutines):
    for one in asyncio.as_completed(coroutines):
        await one


async def gathered(coroutines):
    await asyncio.gather(*coroutines)


print("Python", platform.python_version())
given = tuple(range(COUNT))
seen = {name: {asyncio.run(starts(run)) for _ in range(40)}
        for name, run in (("as_completed", completed), ("gather", gathered))}
for name, orders in seen.items():
    print(f"{name}: {len(orders)} different orders in 40 calls, {'one of them is' if given in orders else 'none is'} the one given")
sys.exit(0 if seen["gather"] == {given} and seen["as_completed"] != {given} else "this is not what was found before")
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
