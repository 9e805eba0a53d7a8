"""`python -m solipsism_unittest manual`, and that each page is complete."""

import contextlib
import io
import pathlib
import re
import subprocess
import sys
import unittest

from solipsism_unittest import manual
from tests import ROOT, run_python


def printed(*names):
    """The exit code and the output for these arguments."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        code = manual.main(names)
    return code, output.getvalue()


class ManualTest(unittest.TestCase):
    def test_a_page(self):
        """A page is printed as it is."""
        text = pathlib.Path(ROOT, "solipsism_unittest", "manual", "moving.md").read_text(encoding="utf-8")
        self.assertEqual(printed("moving"), (0, text))

    def test_the_pages(self):
        """Without a name the pages are listed, with their titles."""
        code, text = printed()
        self.assertEqual(code, 0)
        self.assertRegex(text, r"\n    moving +Moving in: from async-solipsism, asynctest, aiomisc and looptime\n")
        rows = text.splitlines()[2:]
        self.assertEqual([row.split()[0] for row in rows], list(manual.pages()))
        (column,) = {re.match(r" {4}[\w-]+  +", row).end() for row in rows}
        self.assertEqual(column, 4 + max(map(len, manual.pages())) + 2)

    def test_no_such_page(self):
        """A page that is not there is an error that names the others."""
        code, text = printed("moving", "settling")
        self.assertEqual(code, 2)
        self.assertRegex(text, "there is no page 'settling': there are .*moving")

    def test_as_the_pages_link_each_other(self):
        """A page is found by the name of its file too, in capitals or not."""
        for name in ("time.md", "Time", "TIME.md"):
            self.assertEqual(printed(name), (0, manual.pages()["time"]))

    def test_a_word(self):
        """Of a word that is no page it says which pages have it; of one that stands nowhere, nothing."""
        self.assertTrue(printed("start_proxy")[1].endswith("; the word stands in moving, network, reference\n"))
        self.assertNotIn("the word", printed("xyzzy")[1])

    def test_from_the_command_line(self):
        """The command line prints a page, and its exit code says whether it was there."""
        child = run_python("-m", "solipsism_unittest", "manual", "moving")
        self.assertEqual((child.returncode, child.stdout, child.stderr), (0, manual.pages()["moving"], ""))
        self.assertEqual(run_python("-m", "solipsism_unittest", "manual", "settling").returncode, 2)

    def test_a_reader_who_has_read_enough(self):
        """`| head` ends what is printed, without a word."""
        with subprocess.Popen([sys.executable, "-m", "solipsism_unittest", "manual", *manual.pages()], cwd=ROOT,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            child.stdout.readline()
            child.stdout.close()
            self.assertEqual((child.stderr.read(), child.wait()), ("", 0))

    def test_readme_links_each_page(self):
        """README links each page."""
        text = (ROOT / "README.md").read_text(encoding="utf-8")
        linked = set(re.findall(r"\(solipsism_unittest/manual/([\w-]+)\.md\)", text))
        self.assertEqual(linked, set(manual.pages()))


if __name__ == "__main__":
    unittest.main()
