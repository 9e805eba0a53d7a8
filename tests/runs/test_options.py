"""The options of `python -m solipsism_unittest`, and the seed in the environment that they set."""

import asyncio
import contextlib
import functools
import io
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.runs import options
from tests import ROOT
from tests.case.test_case import run, told

NOTE = re.compile(r"^choices were drawn, from seed (-?\d+); the same ones again: (.*)$", re.MULTILINE)


class Draws(SolipsistTestCase):
    async def test_random(self):
        await asyncio.sleep(1)
        self.fail(f"drawn {random.random()}")

    async def test_link(self):
        self.network.link("localhost", "api.test", jitter=0.5)
        await self.start_fake_server(None, "api.test", 80)
        _, writer = await asyncio.open_connection("api.test", 80)
        writer.close()
        self.fail(f"connected at {self.now}")

    async def test_leak(self):
        self.task = asyncio.create_task(asyncio.sleep(random.random()))
        await asyncio.sleep(0)

    async def test_both(self):
        self.task = asyncio.create_task(asyncio.sleep(random.random()))
        self.fail("on purpose")

    async def test_none(self):
        await asyncio.sleep(1)
        self.fail("on purpose")

    async def test_passes(self):
        await asyncio.sleep(random.random())

    @unittest.expectedFailure
    async def test_fails_as_expected(self):
        await asyncio.sleep(random.random())
        self.fail("on purpose")


class Seeded(Draws):
    seed = 5


class Shared(Draws):
    loop_scope = "class"


class InModule(Draws):
    loop_scope = "module"


def text_of(case, name, seed=None):
    """What is said of one test under this SOLIPSISM_SEED."""
    with mock.patch.dict(os.environ):
        os.environ.pop("SOLIPSISM_SEED", None)
        if seed is not None:
            os.environ["SOLIPSISM_SEED"] = seed
        return told(run(case, name))


def load_tests(loader, tests, pattern):
    """Only the tests of this file: the classes above fail on purpose."""
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in (SeedTest, CommandTest))


class SeedTest(unittest.TestCase):
    def test_note(self):
        """A failure in which something was drawn names the seed and the command, once."""
        for name in ("test_random", "test_link", "test_leak", "test_both"):
            with self.subTest(name):
                found = NOTE.findall(text_of(Draws, name))
                self.assertEqual(len(found), 1)
                seed, command = found[0]
                self.assertEqual(command,
                                 f"SOLIPSISM_SEED={seed} python -m unittest tests.runs.test_options.Draws.{name}")

    def test_no_note(self):
        """Where nothing was drawn, and where nothing failed, there is none."""
        for name in ("test_none", "test_passes", "test_fails_as_expected"):
            with self.subTest(name):
                self.assertNotIn("seed", text_of(Draws, name))

    def test_a_loop_that_is_not_ours(self):
        """Nor where nothing is seeded."""
        class Stock(Draws):
            loop_factory = asyncio.SelectorEventLoop

        self.assertIn("drawn 0.", text_of(Stock, "test_random"))
        self.assertNotIn("seed", text_of(Stock, "test_random"))

    def test_environment(self):
        """SOLIPSISM_SEED decides, and the seed of the note repeats the run."""
        for name, pattern in (("test_random", "Error: drawn .*"), ("test_link", "Error: connected at .*")):
            one, other, again = (text_of(Draws, name, seed) for seed in ("1", "-2", "1"))
            plain = text_of(Draws, name)
            repeated = text_of(Draws, name, NOTE.findall(plain)[0][0])
            drawn = [re.search(pattern, text)[0] for text in (one, other, again, plain, repeated)]
            with self.subTest(name):
                self.assertEqual(drawn[0], drawn[2])
                self.assertEqual(drawn[3], drawn[4])
                self.assertEqual(len(set(drawn)), 3)
                self.assertEqual([NOTE.findall(text)[0][0] for text in (one, other)], ["1", "-2"])

    def test_the_class_comes_first(self):
        """A seed of the class is used, and the command needs none."""
        text = text_of(Seeded, "test_random", "7")
        self.assertEqual(NOTE.findall(text), [
            ("5", "the seed of the class: python -m unittest tests.runs.test_options.Seeded.test_random")])

    def test_shared_loops(self):
        """With a shared loop the command runs all that is on it."""
        for case, name in (Shared, "tests.runs.test_options.Shared"), (InModule, "tests.runs.test_options"):
            with self.subTest(name):
                text = text_of(case, "test_random", "7")
                self.assertEqual(NOTE.findall(text), [("7", f"SOLIPSISM_SEED=7 python -m unittest {name}")])

    def test_empty(self):
        """An empty variable is none, as Python's own are."""
        self.assertEqual(text_of(Draws, "test_random", ""), text_of(Draws, "test_random"))

    def test_bad_values(self):
        """What is no int fails each test that would use it."""
        for bad in ("abc", "1.5", "0x10", " 1", "1_000", "\u0661", "9" * 4001):
            for name in ("test_passes", "test_none"):
                with self.subTest(bad[:9]):
                    text = text_of(Draws, name, bad)
                    self.assertIn(f"SolipsismError: SOLIPSISM_SEED is {bad!r}, and a seed is an int: set it to the "
                                  "number that a failed test named", text)
        self.assertEqual(text_of(Seeded, "test_passes", "abc"), "")


FILE = '''
import asyncio, random, unittest
from solipsism_unittest import SolipsistTestCase

class Test(SolipsistTestCase):
    async def test(self):
        await asyncio.sleep(1)
        self.fail(f"drawn {random.random()}")

if __name__ == "__main__":
    unittest.main()
'''


class CommandTest(unittest.TestCase):
    def play(self, *arguments, **environment):
        """What a command of Python's says in the folder of a file with a test that draws."""
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "test_it.py").write_text(FILE, encoding="utf-8")
            known = {name: value for name, value in os.environ.items() if name != "SOLIPSISM_SEED"}
            child = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True,
                                   env={**known, "PYTHONPATH": str(ROOT), **environment}, timeout=120)
        return child.stderr

    def test_all_ways(self):
        """The option, in both forms and wherever it stands, and the variable mean the same."""
        ways = [self.play("-m", "solipsism_unittest", *arguments) for arguments in (
            ("--seed", "12", "test_it"), ("test_it", "--seed=12"), ("-v", "--seed=3", "test_it", "--seed", "12"))]
        ways += [self.play("-m", "unittest", "test_it", SOLIPSISM_SEED="12"),
                 self.play("test_it.py", SOLIPSISM_SEED="12")]
        self.assertEqual(len({re.search("Error: drawn .*", text)[0] for text in ways}), 1)
        commands = [NOTE.findall(text)[0] for text in ways]
        named = "12", "SOLIPSISM_SEED=12 python -m unittest test_it.Test.test"
        self.assertEqual(commands, [named] * 4 + [("12", "SOLIPSISM_SEED=12 python test_it.py Test.test")])

    def test_in_a_folder(self):
        """The command of a test that was discovered in a folder can be typed where the runner was started."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "tests", "test_it.py")
            path.parent.mkdir()
            path.write_text(FILE, encoding="utf-8")
            known = {name: value for name, value in os.environ.items() if name != "SOLIPSISM_SEED"}
            play = functools.partial(subprocess.run, cwd=folder, capture_output=True, text=True, timeout=120,
                                     env={**known, "PYTHONPATH": str(ROOT)})
            text = play([sys.executable, "-m", "unittest", "discover", "tests"]).stderr
            (_, command), = NOTE.findall(text)
            self.assertEqual(command.partition(" ")[2],
                             f"PYTHONPATH=tests{os.pathsep}{ROOT} python -m unittest test_it.Test.test")
            again = play(command.replace(" python ", f" {sys.executable} "), shell=True).stderr
        self.assertEqual(*(re.search("Error: drawn .*", each)[0] for each in (text, again)))

    def test_refused(self):
        """Another value ends the program, with one line."""
        for arguments, bad in ((["--seed", "abc"], "abc"), (["--seed=1.5", "test_it"], "1.5"), (["--seed"], ""),
                               (["--evidence"], "")):
            with self.subTest(bad), contextlib.redirect_stderr(io.StringIO()) as stderr:
                with self.assertRaises(SystemExit) as raised:
                    options.take(["python -m x", *arguments])
                name = arguments[0].partition("=")[0]
                wanted = {"--seed": "an int", "--evidence": "a directory"}[name]
                self.assertEqual((raised.exception.code, stderr.getvalue()),
                                 (2, f"python -m x: error: {name} takes {wanted}, not {bad!r}\n"))

    def test_evidence(self):
        """`--evidence` says where failing tests leave evidence."""
        with tempfile.TemporaryDirectory() as folder:
            text = self.play("-m", "solipsism_unittest", "--evidence", folder, "test_it")
            self.assertIn(f"evidence: {os.path.join(folder, 'test_it.Test.test.html')}, ", text)
            self.assertEqual({path.suffix for path in pathlib.Path(folder).iterdir()}, {".html", ".pcapng", ".txt"})

    def test_what_is_left(self):
        """All other arguments stay for unittest."""
        arguments = ["python", "-v", "--seed=4", "test_it", "--sees", "5", "--seeds", "20"]
        with mock.patch.dict(os.environ):
            options.take(arguments)
            self.assertEqual((os.environ["SOLIPSISM_SEED"], os.environ["SOLIPSISM_SEEDS"]), ("4", "20"))
        self.assertEqual(arguments, ["python", "-v", "test_it", "--sees", "5"])


if __name__ == "__main__":
    unittest.main()
