"""pytest as the runner: what it prints of a failure that no line of the program raised.

Its twin, which needs no pytest, is LineTest in tests/case/test_results.py.
"""

import functools
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from tests import ROOT, run_python
from tests.behaviours.test_at_the_keyboard import LOOPS_AT_THE_END
from tests.interop import needs

PROGRAM = """\
import asyncio
from solipsism_unittest import SolipsistTestCase

class LeakTest(SolipsistTestCase):
    async def test_leak(self):
        self.loop.call_later(5, print)

class ClassTest(SolipsistTestCase):
    loop_scope = "class"

    @classmethod
    async def asyncSetUpClass(cls):
        asyncio.get_running_loop().call_later(5, print)

    async def test(self):
        self.loop.call_soon(print)
"""

# One test for each thing that can become of one.
SUITE = """\
import asyncio
import subprocess
import time
import unittest
from solipsism_unittest import SolipsistTestCase, with_settings

class OneTest(SolipsistTestCase):
    async def test_passes(self):
        await asyncio.sleep(5)

    async def test_fails_and_leaves(self):
        asyncio.get_running_loop().call_later(5, print)
        self.assertEqual(1, 2)

    async def test_leak(self):
        asyncio.get_running_loop().call_later(5, print)

    async def test_hang(self):
        await asyncio.Event().wait()

    async def test_escape(self):
        try:
            subprocess.run(["git"])
        except Exception:
            pass

    async def test_unseen(self):
        async def fail():
            raise LookupError("unseen")
        task = asyncio.create_task(fail())
        await asyncio.sleep(1)

    async def test_blocks(self):
        time.sleep(1)

    @with_settings(virtual_time_limit=5)
    async def test_limit(self):
        await asyncio.sleep(6)

    async def test_skipped(self):
        self.skipTest("on purpose")

    @unittest.expectedFailure
    async def test_expected(self):
        self.fail("expected")

    async def test_unawaited(self):
        asyncio.sleep(1)

    async def test_a_cleanup_that_fails(self):
        self.addCleanup(self.fail, "in a cleanup")
        self.fail("the test's own")

    async def test_not_so_long(self):
        await self.assertCompletesAfter(asyncio.sleep(5), 6)

class SetUpTest(SolipsistTestCase):
    async def asyncSetUp(self):
        raise LookupError("in set-up")

    async def test_never_runs(self):
        pass

class ServicesTest(SolipsistTestCase):
    async def dies(self):
        await asyncio.sleep(5)
        raise LookupError("service died")

    def services(self):
        return [self.dies]

    async def test_with_a_service_that_dies(self):
        await asyncio.sleep(10)
        self.fail("the test's own")

class ClassTest(SolipsistTestCase):
    loop_scope = "class"

    @classmethod
    async def asyncSetUpClass(cls):
        asyncio.get_running_loop().call_later(500, print)

    async def test_of_a_class_that_leaves(self):
        await asyncio.sleep(1)
"""


@needs("pytest")
class RunnersTest(unittest.TestCase):
    """`python -m unittest`, `python -m solipsism_unittest` and pytest run one suite."""

    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        path = pathlib.Path(folder, "test_suite_of_three.py")
        path.write_text(SUITE, encoding="utf-8")
        runners = (("-m", "unittest", "discover", "-s", folder, "-p", path.name),
                   ("-m", "solipsism_unittest", "discover", "-s", folder, "-p", path.name),
                   ("-m", "pytest", "--tb=native", "-rA", "-p", "no:cacheprovider", f"--rootdir={folder}", str(path)))
        plain, ours, self.by_pytest = (run_python(*runner) for runner in runners)
        self.texts = [self.without_time(child.stderr) for child in (plain, ours)]
        self.codes = [child.returncode for child in (plain, ours, self.by_pytest)]

    @staticmethod
    def without_time(text):
        """The output without the seconds that it took."""
        return re.sub(r"(Ran \d+ tests) in .*", r"\1", text)

    def test_the_same_results(self):
        """All three fail; the same tests fail, are skipped and fail as expected."""
        self.assertEqual([code != 0 for code in self.codes], [True] * 3)
        self.assertEqual(*self.texts)
        failed = {*re.findall(r"^(?:FAIL|ERROR): (\w+)", self.texts[0], re.MULTILINE)} - {"tearDownClass"}
        text = self.by_pytest.stdout
        by_pytest = {*re.findall(r"^(?:FAILED|ERROR) \S*::(\w+)", text, re.MULTILINE)}
        self.assertEqual(by_pytest - {"test_of_a_class_that_leaves"}, failed)
        self.assertIn("expected failures=1", self.texts[0])
        self.assertIn("1 skipped, 1 xfailed", text)

    def test_the_same_texts(self):
        """Each failure has the same text, notes included, and the line of its test."""
        found = 0
        for block in self.texts[0].split("=" * 70)[1:]:
            body = block.partition("-" * 70)[2].partition("-" * 70)[0]
            message = re.search(r"^[\w.]+(?:Error)\b.*", body, re.MULTILINE | re.DOTALL)
            found += 1
            for line in message[0].splitlines():
                self.assertIn(line.strip(), self.by_pytest.stdout)
        self.assertEqual(found, 15)


@needs("pytest")
class PytestTest(unittest.TestCase):
    def test_a_failure_without_a_line(self):
        """The line of the test is shown, and no word about hidden entries; nor at the end of a class."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "test_program.py")
            path.write_text(PROGRAM, encoding="utf-8")
            child = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(path))
        self.assertEqual(child.returncode, 1, child.stderr)
        self.assertNotIn("traceback entries are hidden", child.stdout)
        self.assertIn(">   async def test_leak(self):", child.stdout)
        self.assertIn("test_program.py:5: AssertionError", child.stdout)
        self.assertIn("test_program.py:11: AssertionError", child.stdout)


CONFTEST = """\
import pytest
import solipsism_unittest

@pytest.fixture
def world():
    with solipsism_unittest.world() as world:
        yield world
"""

WORLD = """\
import asyncio
import pytest

def test_fails(world):
    world.run(asyncio.sleep(5))
    assert world.now == 6

def test_raises(world):
    async def main():
        raise ValueError("raised")
    world.run(main())

def test_passes(world):
    with pytest.raises(ZeroDivisionError):
        1 / 0

def test_is_skipped(world):
    pytest.skip()
"""


@needs("pytest")
class EvidenceTest(unittest.TestCase):
    def test_a_fixture(self):
        """A function that fails with world() as its fixture leaves evidence; the report says where it is."""
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, SOLIPSISM_EVIDENCE=f"{folder}/left"):
            pathlib.Path(folder, "conftest.py").write_text(CONFTEST, encoding="utf-8")
            path = pathlib.Path(folder, "test_program.py")
            path.write_text(WORLD, encoding="utf-8")
            text = run_python("-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={folder}", str(path)).stdout
            left = sorted(each.name for each in pathlib.Path(folder, "left").glob("*.txt"))
            told = pathlib.Path(folder, "left", left[0]).read_text(encoding="utf-8")
        self.assertEqual(left, ["test_program.py_test_fails.txt", "test_program.py_test_raises.txt"])
        self.assertIn("2 failed, 1 passed, 1 skipped", text)
        self.assertEqual(text.count("\nevidence: "), 2)
        self.assertIn("in test_fails\n    assert world.now == 6\n", told)
        self.assertIn("this is how things stood at t=5.0", told)


@needs("pytest")
@unittest.skipUnless(signal.getsignal(signal.SIGINT) is signal.default_int_handler, "SIGINT is handled here")
class InterruptTest(unittest.TestCase):
    def test_loops_at_the_end_of_the_process(self):
        """Ctrl-C in each phase leaves pytest its report, and no open loop: it ends the classes that it breaks off."""
        child = run_python("-W", "always", "-c", LOOPS_AT_THE_END, "pytest")
        self.assertEqual((child.stdout, child.stderr, child.returncode), ("17 broken off, 0 loops open\n", "", 0))


RACE = """\
import asyncio
from solipsism_unittest import SolipsistTestCase

class RaceTest(SolipsistTestCase):
    async def test_race(self):
        async with asyncio.timeout(0.12):
            await asyncio.sleep(0.1)
"""


@needs("pytest")
class SeedsTest(unittest.TestCase):
    def run_seeds(self, *options, **variables):
        """What pytest prints of the race above, with these variables in the environment."""
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, variables):
            path = pathlib.Path(folder, "test_program.py")
            path.write_text(RACE, encoding="utf-8")
            return run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(path)).stdout

    def test_over_seeds(self):
        """The variable explores each test under pytest too, and the failure says what matters."""
        self.assertIn("1 passed", self.run_seeds())
        text = self.run_seeds(SOLIPSISM_SEEDS="100")
        self.assertIn("1 failed", text)
        self.assertRegex(text, r"1 of \d+ choices matters:\n")

    def test_the_command_that_repeats_a_run(self):
        """It is pytest's, and works in the folder in which pytest was started, where the tests are in another."""
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, PYTHONPATH=str(ROOT)):
            path = pathlib.Path(folder, "tests", "test_program.py")
            path.parent.mkdir()
            path.write_text(RACE, encoding="utf-8")
            play = functools.partial(subprocess.run, shell=True, capture_output=True, text=True, cwd=folder)
            text = play(f"SOLIPSISM_SEEDS=100 {sys.executable} -m pytest").stdout
            command = re.search("the same run again: (.*)", text)[1]
            self.assertIn(f"python -m pytest {os.path.join('tests', 'test_program.py')}::RaceTest::test_race", command)
            self.assertIn("1 failed", play(command.replace(" python ", f" {sys.executable} ")).stdout)

    @needs("xdist")
    def test_each_seed_a_test(self):
        """Under pytest-xdist each seed is a test of its own, which processes share."""
        text = self.run_seeds("-n", "2", SOLIPSISM_SEEDS="40", SOLIPSISM_SEEDS_AS_TESTS="1")
        self.assertRegex(text, r"\d+ failed, \d+ passed")
        self.assertRegex(text, r"test_race_seed_\d+")
        one = self.run_seeds("-n", "2", SOLIPSISM_SEEDS="40", SOLIPSISM_SEEDS_AS_TESTS="1", SOLIPSISM_SHARD="1/40")
        self.assertIn("1 passed", one)


if __name__ == "__main__":
    unittest.main()
