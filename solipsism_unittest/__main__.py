"""`python -m solipsism_unittest` is `python -m unittest`, word for word, but for `manual`, which prints the manual."""

import os
import sys
import unittest

from . import manual

__unittest = True
__tracebackhide__ = True

if sys.argv[1:2] == ["manual"]:
    sys.exit(manual.main(sys.argv[2:]))
# As unittest's own: what the usage text calls the program, in place of the path of this file.
sys.argv[0] = f"{os.path.basename(sys.executable)} -m solipsism_unittest"
unittest.main(module=None)
