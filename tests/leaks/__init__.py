"""What a test left behind: what these tests share."""

import pathlib
import re
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told


def case_of(body, **attributes):
    """A test class whose only test is this coroutine function."""
    return type("Case", (SolipsistTestCase,), {"test": body, "__module__": __name__, **attributes})


def made_in(body, line):
    """What a report says of a thing that the given line (from 1, the `def` being 0) of a function made."""
    file = re.escape("tests/leaks/" + pathlib.Path(body.__code__.co_filename).name)
    return f"made at {file}:{body.__code__.co_firstlineno + line} in "


class LeakTest(unittest.TestCase):
    """Tests of one kind of leftover each."""

    def check(self, leaky, clean, count, expected, line):
        """The leaky test fails once, with the text and the line; its clean twin passes."""
        result = run(case_of(leaky))
        text = told(result)
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0), text)
        self.assertIn(f"the test left {count} behind", text)
        self.assertRegex(text, expected)
        self.assertRegex(text, made_in(leaky, line))
        self.assertEqual(told(run(case_of(clean))), "")
