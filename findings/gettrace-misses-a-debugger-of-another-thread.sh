#!/usr/bin/env bash
# How to see that somebody sits before pdb's prompt, from a thread other than the one that called breakpoint().
#
# Most people would guess: sys.gettrace() says so, as it says so of coverage.
# What really happens: sys.gettrace() is about the thread that asks, so a debugger in a job of an executor goes unseen. The
#   frames of its thread show it (f_trace, and the frames of pdb itself). From 3.14 on, breakpoint() does not trace at
#   all: it registers with sys.monitoring, which every thread can ask.
#
# Seen (3.11.7, 3.12.1, 3.13.0): sys.gettrace(): None; sys.monitoring: nobody; frames of its thread: pdb
# Seen (3.14.10, 3.15.2):        sys.gettrace(): None; sys.monitoring: a debugger; frames of its thread: pdb
#
#   PYTHON=python3.14 bash findings/gettrace-misses-a-debugger-of-another-thread.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import platform
import sys
import threading

at_prompt, go_on = threading.Event(), threading.Event()


class Terminal:
    """Nobody types `continue` before the main thread has looked."""

    encoding = "utf-8"

    def readline(self):
        at_prompt.set()
        go_on.wait(20)
        return "continue\n"


def job():
    breakpoint()
    return 1


out, sys.stdout, sys.stdin = sys.stdout, open("/dev/null", "w"), Terminal()
thread = threading.Thread(target=job, daemon=True)
thread.start()
seen = at_prompt.wait(20)
monitoring = getattr(sys, "monitoring", None)
tool = monitoring.get_tool(monitoring.DEBUGGER_ID) if monitoring is not None else None
frame, modules = sys._current_frames()[thread.ident], set()
while frame is not None:
    modules.add(frame.f_globals.get("__name__"))
    frame = frame.f_back
go_on.set()
thread.join(20)
sys.stdout = out
found = (sys.gettrace(), "a debugger" if tool else "nobody", "pdb" if "pdb" in modules else "nothing")
print(f"CPython {platform.python_version()}")
print(f"sys.gettrace(): {found[0]}; sys.monitoring: {found[1]}; frames of its thread: {found[2]}")
sys.exit(not seen or found != (None, "a debugger" if sys.version_info >= (3, 14) else "nobody", "pdb"))
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
