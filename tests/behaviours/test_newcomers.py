"""The most likely failures of a newcomer, word for word: what happened, the facts, and what to do.

The tests that fail, and what unittest prints of each, stand in newcomers/. pytest prints the same words, where it is
installed, and colours change none of them.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import unittest

from tests.behaviours.newcomers import HERE, MODULES, environment, folder_with, masked, printed

try:
    import pty
except ImportError:
    pty = None

_TITLE = re.compile(r"^={70}\n(?:ERROR|FAIL): (\w+) .*\n-{70}\n", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


def parts(text):
    """By the name of each test what is printed of it; what stands before the first and behind the last is ""'s."""
    first, *rest = _TITLE.split(text)
    *others, last = rest[1::2]
    last, rule, end = last.partition(f"\n{'-' * 70}\n")
    return {"": first + rule + end, **dict(zip(rest[::2], [*others, f"{last}\n"], strict=True))}


def words(text):
    """The lines of a failure of unittest that say something: without frames, and what stands between exceptions."""
    text = re.sub(r"^Traceback \(most recent call last\):\n|^  \(lines of Python's own\)\n|"
                  r'^  File "/home/you/.*\n    .*\n|^The above .*:\n|^During .*:\n', "", text, flags=re.MULTILINE)
    return [line for line in text.splitlines() if line]


class NewcomersTest(unittest.TestCase):
    maxDiff = None

    def expected(self, module):
        """What is printed of each test of a module, as it stands beside it."""
        return parts((HERE / f"{module}.txt").read_text(encoding="utf-8"))

    def test_unittest(self):
        """unittest prints these texts, and no other."""
        for module in MODULES:
            expected, seen = self.expected(module), parts(printed(module))
            self.assertEqual(list(seen), list(expected))
            for name, text in expected.items():
                with self.subTest(module, test=name):
                    self.assertEqual(seen[name], text)

    def test_there_are_many(self):
        """There are more than thirty, and each test that is to fail does."""
        self.assertGreater(sum(len(self.expected(module)) - 1 for module in MODULES), 30)

    @unittest.skipUnless(importlib.util.find_spec("pytest"), "pytest is not installed")
    def test_pytest(self):
        """pytest prints the same words of each test, in the same order."""
        for module in MODULES:
            folder = folder_with(module)
            self.addCleanup(shutil.rmtree, folder)
            options = "-p no:cacheprovider -p no:xdist -s --tb=short --color=no"
            child = subprocess.run([sys.executable, "-m", "pytest"], cwd=folder,
                                   env=environment(COLUMNS="80", PYTEST_ADDOPTS=options), stdin=subprocess.DEVNULL,
                                   capture_output=True, text=True, timeout=120)
            self.assertNotIn("All traceback entries are hidden", child.stdout)
            text = re.sub("^E   ", "", masked(child.stdout, folder), flags=re.MULTILINE)
            shown = re.split(r"^_+ \w+\.(\w+) _+$", text, flags=re.MULTILINE)[1:]
            seen = dict(zip(shown[::2], shown[1::2], strict=True))
            for name, text in self.expected(module).items():
                with self.subTest(module, test=name):
                    if name:
                        said = iter(seen[name].splitlines())
                        self.assertEqual([line for line in words(text) if line not in said], [], seen[name])

    @unittest.skipIf(pty is None, "no terminals here")
    def test_a_terminal(self):
        """On a terminal the words are the same; they have colours where this Python's unittest gives it any."""
        for module in MODULES:
            folder = folder_with(module)
            self.addCleanup(shutil.rmtree, folder)
            with self.subTest(module):
                text = on_terminal(["-X", "no_debug_ranges", "-m", "unittest", f"test_{module}"], folder)
                has_colours = sys.version_info >= (3, 14)
                self.assertEqual(bool(_COLOUR.search(text)), has_colours)
                plain = parts(masked(_COLOUR.sub("", text), folder))
                self.assertEqual(list(plain), list(self.expected(module)))
                for name, expected in self.expected(module).items():
                    with self.subTest(module, test=name):
                        self.assertEqual(plain[name], expected)


def on_terminal(arguments, folder):
    """What this Python prints where its standard error is a terminal."""
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        child = subprocess.Popen([sys.executable, *arguments], cwd=folder, env=environment(TERM="xterm-256color"),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        chunks = []
        try:
            while chunk := terminal.read(65536):
                chunks.append(chunk)
        except OSError:  # EIO: the child has ended, and with it the terminal
            pass
        child.wait(timeout=120)
    return b"".join(chunks).decode().replace("\r\n", "\n")


if __name__ == "__main__":
    unittest.main()
