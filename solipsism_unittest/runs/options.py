"""What `python -m solipsism_unittest` takes beyond unittest's options: each sets a variable of the environment."""

from __future__ import annotations

import os
import sys

from ..case.fixtures.loops import SEED, read_seed
from ..case.verdict import EVIDENCE, read_directory
from ..errors import SolipsismError
from .seeds import SEEDS, read_seeds

__unittest = True
__tracebackhide__ = True

OPTIONS = {"--seed": (SEED, read_seed, "an int"),
           "--seeds": (SEEDS, read_seeds, "a number of seeds, or from:to"),
           "--evidence": (EVIDENCE, read_directory, "a directory")}

USAGE = """
beyond those of unittest:
  manual [PAGE ...]     list the pages of the manual, or print some
  --seed N              The seed of what tests leave to chance
  --seeds N             Run each test with N seeds
  --evidence DIRECTORY  Let each failing test leave evidence there"""


def take(arguments: list[str]) -> None:
    """Take these options, and the same with `=`, out of the arguments of the command, and set their variables.

    A value that is none ends the program, as unittest does for its own options.
    """
    number = 1
    while number < len(arguments):
        name, is_joined, text = arguments[number].partition("=")
        if name not in OPTIONS:
            number += 1
            continue
        variable, read, words = OPTIONS[name]
        del arguments[number]
        if not is_joined:
            text = arguments.pop(number) if number < len(arguments) else ""
        try:
            read(text)
        except SolipsismError:
            print(f"{arguments[0]}: error: {name} takes {words}, not {text!r}", file=sys.stderr)
            sys.exit(2)
        os.environ[variable] = text
