#!/usr/bin/env bash
# A handler of SIGALRM raises TimeoutError; somewhere a tool has put a function in gc.callbacks, as those do that count
# collections. The alarm comes while the garbage collector runs.
#
# Most people would guess: a handler's exception comes out of whatever the main thread does, at the latest when the
#   collection is over: a tool that only counts changes nothing.
# What really happens: the collector is C code, so the handler waits for the next line of Python, which is the first
#   line of the tool's function. What is raised there is printed ("Exception ignored in"), and gone: the time limit has
#   not struck, and the function has not run. Without such a function it comes out of gc.collect(). The longer
#   collections take, the more alarms find one; a second Ctrl-C, or one outside of asyncio, is lost in the same way.
#
# Seen:
#   3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2: TimeoutError without a callback; with one it is lost, and the callback
#   misses the end of that collection
#
#   PYTHON=python3.14 bash findings/a-timeout-during-a-collection-is-lost-in-its-callback.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import gc
import platform
import signal
import sys

lost, phases = [], []
gc.disable()
garbage = [[each] for each in range(1_000_000)]  # long enough for the alarm to come before its end


def alarm(number, frame):
    raise TimeoutError


def collect():
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        gc.collect()
        for _ in range(1000):
            pass
    except TimeoutError:
        return "TimeoutError"
    return "nothing"


signal.signal(signal.SIGALRM, alarm)
sys.unraisablehook = lambda args: lost.append(args.exc_type.__name__)
without = collect()
gc.callbacks.append(lambda phase, info: phases.append(phase))
tool = collect()
gc.callbacks.clear()
print(f"CPython {platform.python_version()}")
print(f"without a callback: {without}; with one: {tool}, lost: {lost}, the callback has seen {phases}")
sys.exit((without, tool, lost, phases) != ("TimeoutError", "nothing", ["TimeoutError"], ["start"]))
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
