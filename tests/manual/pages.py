"""What README and the pages of the manual consist of: tables with a test for each row, and blocks that are executed."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator

import solipsism_unittest
from solipsism_unittest import manual
from tests import ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`(\w+\.py)`")
REAL_TIME = re.compile(r"in \d+\.\d+s")  # the only thing that may differ from run to run
# What differs from one version of Python to another: asyncio makes other steps, so that another seed finds a race.
SEEDS = re.compile(r"seed \d+ fails; 1 of \d+ choices|(?<=SOLIPSISM_REPLAY=)s1-[\w-]+")


def section(page, title):
    """The text of a section of a page."""
    return re.split(r"^## .*$", manual.pages()[page].partition(f"## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text):
    """The first cells of the rows of a table, in order, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [line[2:].partition(" | ")[0] for line in lines[1:]]


def row(cell):
    """Mark a test as that of a row, by the first cell of the row."""

    def decorate(test):
        test.row = cell
        return test

    return decorate


def tested_rows(*cases):
    """The rows that have a test in these classes."""
    return [test.row for case in cases for test in vars(case).values() if hasattr(test, "row")]


def run(command: str, folder: pathlib.Path) -> str:
    """What a shell command prints in `folder`, where `python` is this Python and the package can be imported."""
    # A block may ask for code without columns, which must not stay beside the interpreter's own modules.
    environment = dict(os.environ, PYTHONPATH=str(ROOT), PYTHON_COLORS="0", PYTHON=sys.executable, LC_ALL="C",
                       PYTHONDONTWRITEBYTECODE="1")
    for name in ("PYTHONWARNINGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # this suite may itself be run by make
        environment.pop(name, None)
    words = command.split()
    if words[0] == "python":
        words[0] = sys.executable
    child = subprocess.run(words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=120)
    return child.stdout


def masked(text: str, folder: str = "") -> str:
    """The text without real times; the folder that the blocks are written to stands in the pages as a user's own."""
    text = SEEDS.sub("...", text.replace(folder, "/home/you") if folder else text)
    return REAL_TIME.sub("in 0.000s", text).strip()


def blocks(text: str) -> Iterator[tuple[str, str, str | None]]:
    """(language, text, the file named last before the block) of each fenced block of a page."""
    for match in FENCED.finditer(text):
        before = text[:match.start()].rpartition("```")[2]
        names = FILE.findall(before)
        yield match[1], match[2], names[-1] if names else None


class PageCase(unittest.TestCase):
    """What holds for README and for each page of the manual."""

    maxDiff = None

    def check_blocks(self, page: str) -> None:
        """Python blocks are written to the file named above them, consoles are run, and their output is as shown."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name).resolve()
            for language, text, file in blocks(page):
                with self.subTest(block=text.partition("\n")[0], file=file):
                    if language == "python":
                        self.assertIsNotNone(file, "a file name in backquotes stands above each python block")
                        (folder / file).write_text(text, encoding="utf-8")
                    else:
                        self.assertEqual(language, "console")
                        command, _, shown = text.partition("\n")
                        self.assertTrue(command.startswith("$ "))
                        self.assertEqual(masked(run(command[2:], folder), str(folder)), masked(shown))

    def check_names(self, page: str) -> None:
        """Each `self.x` that the text names is there."""
        for name in re.findall(r"`(?:await |with )?self\.(\w+)", page):
            with self.subTest(name):
                self.assertTrue(hasattr(solipsism_unittest.SolipsistTestCase, name))

    def check_links(self, page: str, folder: pathlib.Path) -> None:
        """Each link and each picture leads to a file that is there."""
        for target in re.findall(r"\]\(([^)]+)\)", FENCED.sub("", page)):
            with self.subTest(target):
                self.assertTrue((folder / target).is_file())
