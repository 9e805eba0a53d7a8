"""The judge judged, on tests of our own; and the quick part of CPython's, as `make test` runs it."""

import asyncio
import unittest

from tests import run_python
from tests.compliance import judge
from tests.compliance.doors import ABOUT
from tests.compliance.judge import Found, Report, problems
from tests.compliance.skips import SKIPS
from tests.compliance.threads import skips as skips_of_threads

TOYS = judge.Group("tests.compliance", judge.ASYNCIO.arms, ("toys.py",), frozenset(), silence=5.0)


def report_of(stock, virtual=()):
    """A report of tests by name: their outcome on the stock loop, and on ours."""
    return Report(
        "toys",
        {name: Found(name, outcome) for name, outcome in stock.items()},
        {name: Found(name, outcome) for name, outcome in dict(virtual).items()},
    )


class ArmsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        async def main():
            return await judge.run_module("toys", asyncio.Semaphore(1), TOYS, seed=1)

        cls.report = asyncio.run(main())

    def test_what_counts(self):
        """Tests count that ask for a loop, pass on the stock loop, and are not about what is set apart."""
        names = {name.removeprefix("tests.compliance.toys.") for name in self.report.counting}
        asking = ("passes", "a_long_sleep", "fails_on_ours", "fails_on_ours_in_a_subtest", "hangs_on_ours",
                  "kills_its_process_on_ours", "uses_an_executor", "makes_a_pipe", "sends_a_signal",
                  "starts_a_process_by_asyncio")
        by_name = ("the_default_selector", "the_policy", "a_runner")
        expected = {f"Asking.test_{name}" for name in asking} | {f"AskingByName.test_{name}" for name in by_name}
        self.assertEqual(names, expected | {"AskingAsync.test_passes"})

    def test_what_is_set_apart(self):
        """What leads to threads, terminals, real processes and other selectors is noticed, with its name."""
        about = {name.rpartition("test_")[2]: each.about for name, each in self.report.stock.items() if each.about}
        self.assertEqual(about.pop("starts_a_process")[-1], "processes")
        expected = {"starts_a_thread": "threads", "makes_a_terminal": "terminals"}
        expected = {name: (reason,) for name, reason in expected.items()} | {"another_selector": ("selector",)}
        self.assertEqual(about, expected)
        self.assertLessEqual({reason for reasons in about.values() for reason in reasons}, ABOUT.keys())

    def test_what_passes(self):
        """On our loop passes what passes; a failing subtest, a hang and a dead process are failures of their test."""
        failing = {name.rpartition("test_")[2] for name in set(self.report.counting) - self.report.passing}
        expected = {"fails_on_ours", "fails_on_ours_in_a_subtest", "hangs_on_ours", "kills_its_process_on_ours"}
        self.assertEqual(failing, expected)
        self.assertEqual(self.report.broken, [])

    def test_what_is_explored(self):
        """With a seed what counts and passes on our loop runs once more; a failure there is a problem of its own."""
        self.assertEqual(self.report.explored.keys(), self.report.passing.intersection(self.report.counting))
        self.assertEqual(judge.problems_of_exploring([self.report], {}), [])
        report = report_of({"t1": "passed", "t2": "passed"})
        report.explored = {name: Found(name, "failed") for name in ("t1", "t2")}
        self.assertEqual(judge.problems_of_exploring([report], {"t2": "tasks.py:1"}),
                         ["t1 passes, and does not where its loops are explored"])

    def test_why(self):
        """Each failure says why: the traceback, the silence, the death."""
        why = {name.rpartition("test_")[2]: each.why for name, each in self.report.virtual.items()}
        self.assertIn("AssertionError: True is not false : ours", why["fails_on_ours"])
        self.assertIn("not a word for 5 s", why["hangs_on_ours"])
        self.assertIn("the process died", why["kills_its_process_on_ours"])

    def test_a_module_that_cannot_be_loaded(self):
        """A module that fails to load is told of: it is not one without tests."""

        async def main():
            return await judge.run_module("nowhere", asyncio.Semaphore(1), TOYS)

        wrong = problems([asyncio.run(main())], {})
        self.assertRegex(wrong[0], "(?s)nowhere on the stock arm: the process died.*No module named")
        self.assertIn("no test counts", wrong)


class ProblemsTest(unittest.TestCase):
    def test_as_the_list_says(self):
        """Nothing is wrong where all pass but what is on the list."""
        stock = {f"t{number}": "passed" for number in range(100)} | {"bad": "failed"}
        self.assertEqual(problems([report_of(stock, stock | {"t5": "failed"})], {"t5": "reason"}), [])

    def test_not_on_the_list(self):
        """A test that fails or is skipped on our loop and is not on the list is a problem."""
        stock = {f"t{number}": "passed" for number in range(100)}
        wrong = problems([report_of(stock, stock | {"t5": "failed", "t6": "skipped"})], {})
        self.assertEqual(wrong, ["t5 does not pass", "t6 does not pass"])

    def test_no_longer_needed(self):
        """An entry of the list that passes is a problem."""
        stock = {"t1": "passed"}
        self.assertEqual(problems([report_of(stock, stock)], {"t1": "reason"}),
                         ["t1 passes: take it off the list of skips.py"])

    def test_too_few(self):
        """A share below the aim is a problem, on the list or not; and so is a longer list than allowed."""
        stock = {f"t{number}": "passed" for number in range(100)}
        ours = stock | {f"t{number}": "failed" for number in range(4)}
        skips = {f"t{number}": "reason" for number in range(4)} | {f"other{number}": "reason" for number in range(57)}
        self.assertEqual(problems([report_of(stock, ours)], skips),
                         ["96 of 100 pass, fewer than 97%", "61 names are on the list of skips.py, more than 60"])

    def test_every_entry_has_a_reason(self):
        """The lists name single tests, each with a reason."""
        for name, reason in (SKIPS | skips_of_threads.SKIPS).items():
            with self.subTest(name):
                self.assertRegex(name, r"^test_\w+\.(test_\w+\.)?\w+\.test_\w+$")
                self.assertTrue(reason)


class CpythonTest(unittest.TestCase):
    def test_the_quick_part(self):
        """CPython's own tests of asyncio pass on our loop as the list says: the modules that take no time."""
        if not judge.ASYNCIO.modules():
            self.skipTest("this Python came without its test package: compliance was not run")
        child = run_python("-m", "tests.compliance", "--quick")
        self.assertEqual(child.returncode, 0, child.stdout + child.stderr)
        self.assertRegex(child.stdout, r"\d+ of \d+ tests pass that ask for a loop")

    def test_without_the_test_package(self):
        """A Python without its test package says so, and does not end well."""
        run = "runpy.run_module('tests.compliance', run_name='__main__')"
        child = run_python("-c", f"import sys, runpy; sys.modules['test'] = None; {run}")
        self.assertNotEqual(child.returncode, 0)
        self.assertIn("came without its test package", child.stderr)
