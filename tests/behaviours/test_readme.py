"""README is true: every block of it is executed, and every output shown is compared, whole."""

import re
import unittest

from tests import ROOT
from tests.manual.pages import FENCED, PageCase, run

README = ROOT / "README.md"


class ReadmeTest(PageCase):
    def setUp(self):
        self.text = README.read_text(encoding="utf-8")

    def test_every_block_is_true(self):
        """Python blocks are written to the file named above them, consoles are run, and their output is as shown."""
        self.check_blocks(self.text)

    def test_names_and_links(self):
        """Each `self.x` that the text names is there, and so is each file that it links."""
        self.check_names(self.text)
        self.check_links(self.text, ROOT)

    def test_it_is_short(self):
        """README has at most 250 lines; the rest is in the manual."""
        self.assertLessEqual(self.text.count("\n"), 250)

    def test_the_first_test_is_short_and_comes_early(self):
        """A complete first test of fewer than 15 lines ends before line 25."""
        first = next(FENCED.finditer(self.text))
        self.assertLess(first[2].count("\n"), 15)
        self.assertLess(self.text[:first.end()].count("\n") + 1, 25)

    def test_the_two_commands(self):
        """README starts with two commands; one runs the example, the other the whole suite."""
        commands = re.findall(r"^    (make \w+)", self.text, re.MULTILINE)
        self.assertEqual(commands[:2], ["make demo", "make test"])
        self.assertRegex(run("make demo", ROOT), r"Ran \d+ tests? in \d+\.\d+s\n\nOK")
        # It cannot run here: it would run itself.
        self.assertEqual(run("make --dry-run test", ROOT).split(None, 1)[1], "-m unittest\n")


if __name__ == "__main__":
    unittest.main()
