"""`python -m solipsism_unittest`: unittest's own main, and pytest where it is installed."""

import importlib.util
import pathlib
import tempfile
import unittest

from solipsism_unittest.runs import options
from tests import run_python

TESTS = """
import asyncio
from solipsism_unittest import SolipsistTestCase

class PassingTest(SolipsistTestCase):
    async def test_a_day(self):
        with self.assertElapses(86400):
            await asyncio.sleep(86400)

class FailingTest(SolipsistTestCase):
    async def test_leak(self):
        self.task = asyncio.create_task(asyncio.sleep(1))

    async def test_failure_and_leak(self):
        self.task = asyncio.create_task(asyncio.sleep(1))
        self.fail("on purpose")

    async def test_subtest(self):
        with self.subTest(1):
            self.fail("in the subtest")
"""


class MainTest(unittest.TestCase):
    def test_as_unittest(self):
        """It runs what `python -m unittest` would, with the same arguments, output and exit code."""
        method = "tests.case.test_case.WorldTest.test_settle"
        ours, theirs = (run_python("-m", module, "-v", method) for module in ("solipsism_unittest", "unittest"))
        self.assertEqual((ours.returncode, ours.stdout), (0, ""))
        self.assertEqual(ours.stderr.splitlines()[:2], theirs.stderr.splitlines()[:2])
        self.assertIn("settle() lets everything happen that needs no time", ours.stderr)

    def test_usage(self):
        """Its usage text shows how it is called."""
        child = run_python("-m", "solipsism_unittest", "--help")
        self.assertRegex(child.stdout, r"^usage: python\S* -m solipsism_unittest \[-h\]")
        for more in ("manual [PAGE ...]", *(name + " " for name in options.OPTIONS)):
            self.assertIn(more, child.stdout)

    def test_failure(self):
        """A test that cannot be found is a failure, as with unittest."""
        child = run_python("-m", "solipsism_unittest", "tests.no_such_module")
        self.assertEqual(child.returncode, 1)


@unittest.skipUnless(importlib.util.find_spec("pytest"), "pytest is not installed")
class PytestTest(unittest.TestCase):
    def test_outcomes_and_notes(self):
        """pytest runs these classes too; a leak fails its test, and a failing test shows it as a note, once."""
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "test_with_pytest.py")
            file.write_text(TESTS, encoding="utf-8")
            child = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}", str(file))
        self.assertRegex(child.stdout, r"\b3 failed, (1|2) passed|\b3 failed.* 1 passed")
        self.assertEqual(child.stdout.count("E       also: the test left 1 thing behind")
                         + child.stdout.count("E   also: the test left 1 thing behind"), 1)
        self.assertIn("on purpose", child.stdout)


if __name__ == "__main__":
    unittest.main()
