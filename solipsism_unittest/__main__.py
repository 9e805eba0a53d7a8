"""`python -m solipsism_unittest` is `python -m unittest`, word for word, with four things more.

`manual` prints the manual, `--seed N` sets the seed of the tests, `--seeds N` runs each of them with N seeds, and
`--evidence DIRECTORY` lets failing tests leave evidence there. The variables SOLIPSISM_SEED, SOLIPSISM_SEEDS and
SOLIPSISM_EVIDENCE in the environment do the same.
"""

import os
import sys
import unittest

from . import manual
from .runs import options

__unittest = True
__tracebackhide__ = True

if sys.argv[1:2] == ["manual"]:
    sys.exit(manual.main(sys.argv[2:]))
# As unittest's own: what the usage text calls the program, in place of the path of this file.
sys.argv[0] = f"{os.path.basename(sys.executable)} -m solipsism_unittest"
options.take(sys.argv)
try:
    unittest.main(module=None)
finally:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(options.USAGE)
