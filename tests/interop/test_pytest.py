"""pytest as the runner: what it prints of a failure that no line of the program raised.

Its twin, which needs no pytest, is LineTest in tests/case/test_results.py.
"""

import pathlib
import tempfile
import unittest

from tests import run_python
from tests.interop import needs

PROGRAM = """\
import asyncio
from solipsism_unittest import SolipsistTestCase

class LeakTest(SolipsistTestCase):
    async def test_leak(self):
        self.loop.call_later(5, print)

class ClassTest(SolipsistTestCase):
    loop_scope = "class"

    @classmethod
    async def asyncSetUpClass(cls):
        asyncio.get_running_loop().call_later(5, print)

    async def test(self):
        self.loop.call_soon(print)
"""


@needs("pytest")
class PytestTest(unittest.TestCase):
    def test_a_failure_without_a_line(self):
        """The line of the test is shown, and no word about hidden entries; nor at the end of a class."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "test_program.py")
            path.write_text(PROGRAM, encoding="utf-8")
            child = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(path))
        self.assertEqual(child.returncode, 1, child.stderr)
        self.assertNotIn("traceback entries are hidden", child.stdout)
        self.assertIn(">   async def test_leak(self):", child.stdout)
        self.assertIn("test_program.py:5: AssertionError", child.stdout)
        self.assertIn("test_program.py:11: AssertionError", child.stdout)


if __name__ == "__main__":
    unittest.main()
