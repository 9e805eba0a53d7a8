"""The page about the inside names what is there: files, folders, methods, and the order of the folders."""

import pathlib
import re
import unittest

import solipsism_unittest
from solipsism_unittest import manual
from tests.manual.pages import FENCED, rows, section

FOLDER = pathlib.Path(solipsism_unittest.__file__).parent
PATH = re.compile(r"`([\w/]+(?:\.py|/))`")
METHOD = re.compile(r"`([A-Z]\w+)\.(\w+)\(\)`\s+\(`([\w/]+\.py)`\)")


def untrue(text):
    """The files and folders of a text that are not there, and the methods that are not where it says."""
    examples = set(re.findall(r"`(\w+\.py)`:\n```", text))
    text = FENCED.sub("", text)
    for path in sorted(set(PATH.findall(text)) - examples):
        if not (FOLDER / path).exists():
            yield path
    for cls, method, path in METHOD.findall(text):
        source = (FOLDER / path).read_text(encoding="utf-8")
        definition = rf"^class {cls}\b(?:(?!^class ).)*?^    (?:async )?def {method}\("
        if not re.search(definition, source, re.MULTILINE | re.DOTALL):
            yield f"{cls}.{method}"


class HowItWorksTest(unittest.TestCase):
    def test_what_it_names_is_there(self):
        """Each file, each folder and each method that the page names is there."""
        self.assertEqual(list(untrue(manual.pages()["how-it-works"])), [])

    def test_each_method_has_its_file(self):
        """A method of ours is named with its file, or nothing would look for it."""
        text = manual.pages()["how-it-works"]
        self.assertEqual(len(re.findall(r"`[A-Z]\w+\.\w+\(\)`", text)), len(METHOD.findall(text)))

    def test_the_house(self):
        """The folders stand in the order of the package's docstring, and each has a row."""
        listed = [cell.strip("`").rstrip("/").removesuffix(".py")
                  for cell in rows(section("how-it-works", "The house"))]
        described = re.findall(r"^    (\w+)  +\w", solipsism_unittest.__doc__ or "", re.MULTILINE)
        self.assertEqual(listed, described)
        folders = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
        self.assertEqual(folders - set(listed), {"manual"})

    def test_it_is_short(self):
        """The page has at most 120 lines."""
        self.assertLessEqual(len(manual.pages()["how-it-works"].splitlines()), 120)

    def test_the_judge(self):
        """A file, a folder and a method that are not there are found; the file of an example is not looked for."""
        text = ("`kernel/clock.py` `kernel/hour.py` `loop/` `lop/` `VirtualClock.jump()` (`kernel/clock.py`) "
                "`VirtualClock.leap()`\n(`kernel/clock.py`)\n`mine.py`:\n```python\n```\n")
        self.assertEqual(list(untrue(text)), ["kernel/hour.py", "lop/", "VirtualClock.leap"])


if __name__ == "__main__":
    unittest.main()
