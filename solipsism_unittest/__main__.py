"""`python -m solipsism_unittest` is `python -m unittest`, word for word."""

import os
import sys
from unittest import main

__unittest = True
__tracebackhide__ = True

# As unittest's own: what the usage text calls the program, in place of the path of this file.
sys.argv[0] = f"{os.path.basename(sys.executable)} -m solipsism_unittest"
main(module=None)
