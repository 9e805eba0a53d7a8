"""Each page of the manual is true: its blocks are executed, and what it names and links is there."""

import pathlib
import unittest

from solipsism_unittest import manual
from tests.manual.pages import PageCase

FOLDER = pathlib.Path(manual.__file__).parent
ELSEWHERE = {"moving"}  # its blocks are fragments, which test_moving completes and runs


def pages():
    """The pages whose blocks are executed here."""
    return {name: text for name, text in manual.pages().items() if name not in ELSEWHERE}


class PagesTest(PageCase):
    def test_every_block_is_true(self):
        """Every block of every page is executed, and every output shown is compared, whole."""
        for name, text in pages().items():
            with self.subTest(page=name):
                self.check_blocks(text)

    def test_names_and_links(self):
        """Each `self.x` that a page names is there, and so is each file that it links."""
        for name, text in manual.pages().items():
            with self.subTest(page=name):
                self.check_names(text)
                self.check_links(text, FOLDER)

    def test_titles(self):
        """A page begins with its title, the only heading of its kind."""
        for name, text in pages().items():
            with self.subTest(page=name):
                self.assertRegex(text, r"\A# \w")


class JudgeTest(unittest.TestCase):
    """What is wrong on a page is found."""

    def failures(self, check, *arguments):
        """How many failures a check has."""
        case = type("Case", (PageCase,), {"test": lambda self: getattr(self, check)(*arguments)})("test")
        result = unittest.TestResult()
        case.run(result)
        self.assertEqual(result.errors, [])
        return len(result.failures)

    def test_blocks(self):
        """A wrong output, a block without a file name, and one of another language are failures."""
        good = "`it.py`:\n```python\nprint(1)\n```\n```console\n$ python it.py\n1\n```\n"
        self.assertEqual(self.failures("check_blocks", good), 0)
        self.assertEqual(self.failures("check_blocks", good.replace("\n1\n", "\n2\n")), 1)
        self.assertEqual(self.failures("check_blocks", good.replace("`it.py`:", "")), 2)
        self.assertEqual(self.failures("check_blocks", "```ruby\nputs 1\n```\n"), 1)

    def test_names_and_links(self):
        """A name that no test case has, and a link to nowhere, are failures."""
        self.assertEqual(self.failures("check_names", "`self.advance(1)` and `await self.retreat(1)`"), 1)
        self.assertEqual(self.failures("check_links", "[time](time.md) and [space](space.md)", FOLDER), 1)


if __name__ == "__main__":
    unittest.main()
