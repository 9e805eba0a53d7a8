"""What `python -m solipsism_unittest` takes beyond unittest's options: each sets a variable of the environment."""

from __future__ import annotations

import os
import sys

from ..case.fixtures.loops import SEED, read_seed
from ..errors import SolipsismError

__unittest = True
__tracebackhide__ = True

OPTION = "--seed"


def take(arguments: list[str]) -> None:
    """Take `--seed N` or `--seed=N` out of the arguments of the command, and set SOLIPSISM_SEED to it.

    A value that is no int ends the program, as unittest does for its own options.
    """
    number = 1
    while number < len(arguments):
        name, is_joined, text = arguments[number].partition("=")
        if name != OPTION:
            number += 1
            continue
        del arguments[number]
        if not is_joined:
            text = arguments.pop(number) if number < len(arguments) else ""
        try:
            read_seed(text)
        except SolipsismError:
            print(f"{arguments[0]}: error: {OPTION} takes an int, not {text!r}", file=sys.stderr)
            sys.exit(2)
        os.environ[SEED] = text
