#!/usr/bin/env bash
# vars(obj), or obj.__dict__, once; then reads of obj.x in a loop that is hot.
#
# Most people would guess: a look at an object's dictionary changes nothing about the object; its attributes are read as
#   fast as before.
# What really happens: the dictionary is made at that moment and stays. On CPython 3.12 the interpreter reads the attribute
#   through it from then on (LOAD_ATTR_WITH_HINT). On 3.11, 3.14 and 3.15 it finds no quick way for such objects: the
#   instruction stays the general one, which looks at the class first. Only 3.13 goes on as before. Objects of the same
#   class that nobody has looked at are read as before on all of them.
#
# Seen:
#   3.11.7: LOAD_ATTR_INSTANCE_VALUE before, LOAD_ATTR_ADAPTIVE after
#   3.12.1: LOAD_ATTR_INSTANCE_VALUE before, LOAD_ATTR_WITH_HINT after
#   3.13.0: LOAD_ATTR_INSTANCE_VALUE before and after
#   3.14.10, 3.15.2: LOAD_ATTR_INSTANCE_VALUE before, LOAD_ATTR after
#
#   PYTHON=python3.14 bash findings/a-look-at-vars-unspecialises-attribute-reads.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import dis
import platform
import sys


class Point:
    def __init__(self):
        self.x = 1


def read(point):
    return point.x


def instruction(points):
    """The instruction that reads `x` once it has been read often."""
    read.__code__ = read.__code__.replace()  # as if it had never run
    for point in points * 1000:
        read(point)
    return next(step.opname for step in dis.get_instructions(read, adaptive=True) if step.opname.startswith("LOAD_ATTR"))


points, others = [Point() for _ in range(10)], [Point() for _ in range(10)]
before = instruction(points)
for point in points:
    vars(point)
after, of_others = instruction(points), instruction(others)
print(f"CPython {platform.python_version()}")
print(f"reads before: {before}; after vars(): {after}; of objects that nobody looked at: {of_others}")
plain = "LOAD_ATTR_INSTANCE_VALUE"
wanted = {(3, 11): "LOAD_ATTR_ADAPTIVE", (3, 12): "LOAD_ATTR_WITH_HINT", (3, 13): plain}.get(
    sys.version_info[:2], "LOAD_ATTR")
sys.exit((before, after, of_others) != (plain, wanted, plain))
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
