#!/usr/bin/env bash
# What a function keeps alive that looks where all threads stand.
#
# Most people would guess: `frames = sys._current_frames()` in a function is a dictionary like any other. When the
#   function returns it is gone, and with it the references to the frames of other threads and of the callers.
# What really happens: the dictionary has the frame of who asked in it, and that frame has the dictionary in a local
#   variable: a cycle. It outlives the call, and with it each frame of each thread that ran, their callers, and all their
#   local variables, until the collector comes by. Without the variable (`sys._current_frames().get(ident)`) nothing
#   stays. A monitor that looks a thousand times a second so makes what other threads work with live on and on.
#
# Seen on 3.11.7, 3.12.1, 3.13.0, 3.14.10 and 3.15.2:
#   in a local variable: alive when the caller has returned, gone after a collection
#   at once: gone when the caller has returned, gone after a collection
#
#   PYTHON=python3.13 bash findings/the-frames-of-all-threads-kept-in-a-local-make-a-cycle.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/frames.py" <<'PYTHON'
import gc, platform, sys, weakref


class Thing:
    pass


def in_a_local_variable():
    frames = sys._current_frames()
    return len(frames)


def at_once():
    return len(sys._current_frames())


def work(look):
    thing = Thing()
    look()
    return weakref.ref(thing)


gc.disable()
print("Python", platform.python_version())
seen = []
for look in (in_a_local_variable, at_once):
    thing = work(look)
    lives = thing() is not None
    gc.collect()
    seen.append((lives, thing() is not None))
    print(look.__name__.replace("_", " ") + ":", "alive" if lives else "gone", "when the caller has returned,",
          "alive" if thing() is not None else "gone", "after a collection")
sys.exit(0 if seen == [(True, False), (False, False)] else "this is not what was found before")
PYTHON
"${PYTHON:-python3}" "$folder/frames.py"
