#!/usr/bin/env bash
# Where a suspended `for` stands in a list, as the garbage collector sees it.
#
# Most people would guess: a generator that is in the middle of `for x in [..]` refers to an iterator of the list, so that
#   gc.get_referents() leads to it, and with its __reduce__ or length_hint() to how many items are left.
# What really happens: so it is until 3.14, and on 3.15 for a range, a dict, a set and a bytearray. For a list, a tuple,
#   a str and bytes 3.15 makes no iterator: the frame's stack has the list itself and beside it a tagged integer, which
#   is no object. Two states of a program that differ in how far they have come look the same to whoever walks objects.
#
# Seen:
#   3.14.10: list: list_iterator, 2 left    range: range_iterator, 2 left
#   3.15.2:  list: no iterator              range: range_iterator, 2 left
#
#   PYTHON=python3.15 bash findings/for-over-a-list-hides-its-place.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import gc, operator, platform, sys

HIDDEN = {list, tuple, str, bytes} if sys.version_info >= (3, 15) else set()


def walk(things):
    for _ in things:
        yield


print("Python", platform.python_version())
as_before = True
for things in ([7, 8, 9], (7, 8, 9), "789", b"789", range(3), {7: 0, 8: 0, 9: 0}, {7, 8, 9}, bytearray(3)):
    suspended = walk(things)
    next(suspended)
    kind = type(iter(things))
    found = [each for each in gc.get_referents(suspended) if type(each) is kind]
    print(f"{type(things).__name__}:", f"{kind.__name__}, {operator.length_hint(found[0])} left" if found else
          "no iterator")
    as_before = as_before and bool(found) == (type(things) not in HIDDEN)
sys.exit(0 if as_before else "this is not what was found before")
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
