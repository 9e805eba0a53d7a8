"""README is true: every block of it is executed, and every output shown is compared, whole."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from tests import ROOT

README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`(\w+\.py)`")
REAL_TIME = re.compile(r"in \d+\.\d+s")  # the only thing that may differ from run to run


def run(command: str, folder: pathlib.Path) -> str:
    """What a shell command prints in `folder`, where `python` is this Python and the package can be imported."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT), PYTHON_COLORS="0", PYTHON=sys.executable, LC_ALL="C")
    for name in ("PYTHONWARNINGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # this suite may itself be run by make
        environment.pop(name, None)
    words = command.split()
    if words[0] == "python":
        words[0] = sys.executable
    child = subprocess.run(words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=120)
    return child.stdout


def masked(text: str, folder: str = "") -> str:
    """The text without real times; the folder that the blocks are written to stands in README as a user's own."""
    return REAL_TIME.sub("in 0.000s", text.replace(folder, "/home/you") if folder else text).strip()


class ReadmeTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.text = README.read_text(encoding="utf-8")

    def blocks(self):
        """(language, text, the file named last before the block) of each fenced block."""
        for match in BLOCK.finditer(self.text):
            before = self.text[:match.start()].rpartition("```")[2]
            names = FILE.findall(before)
            yield match[1], match[2], names[-1] if names else None

    def test_every_block_is_true(self):
        """Python blocks are written to the file named above them, consoles are run, and their output is as shown."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name).resolve()
            for language, text, file in self.blocks():
                with self.subTest(block=text.partition("\n")[0], file=file):
                    if language == "python":
                        self.assertIsNotNone(file, "a file name in backquotes stands above each python block")
                        (folder / file).write_text(text, encoding="utf-8")
                    else:
                        self.assertEqual(language, "console")
                        command, _, shown = text.partition("\n")
                        self.assertTrue(command.startswith("$ "))
                        self.assertEqual(masked(run(command[2:], folder), str(folder)), masked(shown))

    def test_the_first_test_is_short_and_comes_early(self):
        """A complete first test of fewer than 15 lines ends before line 25."""
        first = next(BLOCK.finditer(self.text))
        self.assertLess(first[2].count("\n"), 15)
        self.assertLess(self.text[:first.end()].count("\n") + 1, 25)

    def test_the_two_commands(self):
        """README starts with two commands; one runs the example, the other the whole suite."""
        commands = re.findall(r"^    (make \w+)", self.text, re.MULTILINE)
        self.assertEqual(commands[:2], ["make demo", "make test"])
        self.assertRegex(run("make demo", ROOT), r"Ran \d+ tests? in \d+\.\d+s\n\nOK")
        # It cannot run here: it would run itself.
        self.assertEqual(run("make --dry-run test", ROOT).split(None, 1)[1], "-m unittest\n")

    def test_names_in_the_text_exist(self):
        """Each `self.x` and each `from solipsism_unittest import x` that the text names is there."""
        import solipsism_unittest

        for name in re.findall(r"`(?:await |with )?self\.(\w+)", self.text):
            with self.subTest(name):
                self.assertTrue(hasattr(solipsism_unittest.SolipsistTestCase, name))


if __name__ == "__main__":
    unittest.main()
