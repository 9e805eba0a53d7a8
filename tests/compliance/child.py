"""One module of CPython's tests, in a process of its own: `python -m tests.compliance.child MODULE ARM [TEST...]`.

Prints lines of JSON: first the names of the tests that it will run (without names, all of the module), then one when a
test begins and one when it has ended, and "done" at the end. A child that ends without that has died.
"""

import importlib
import json
import os
import resource
import sys
import traceback
import unittest

from tests.compliance import doors
from tests.compliance.threads import doors as doors_of_threads

CPU_SECONDS = 1_000
MEMORY = 4 * 2**30  # bytes
OPEN = {**dict.fromkeys((*doors.ARMS, doors.EXPLORED), doors.open_doors),
        **dict.fromkeys(doors_of_threads.ARMS, doors_of_threads.open_doors)}


class Result(unittest.TestResult):
    """Tells each outcome as it comes; of a test with subtests the worst."""

    def __init__(self, notes, tell):
        super().__init__()
        self.notes = notes
        self.tell = tell
        self.found = None

    def startTest(self, test):
        super().startTest(test)
        self.found = ("passed", "")
        self.tell(begins=name_of(test))
        self.notes.begin()

    def stopTest(self, test):
        super().stopTest(test)
        outcome, why = self.found
        notes = self.notes
        told = {"ends": name_of(test), "outcome": outcome, "asked": notes.asked, "about": sorted(notes.about)}
        notes.end()
        self.tell(**told, why=why)

    def addError(self, test, error):
        self.fails(test, error)

    def addFailure(self, test, error):
        self.fails(test, error)

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.fails(test, error)

    def fails(self, test, error):
        why = "".join(traceback.format_exception(*error))
        if not isinstance(test, unittest.TestCase):  # setUpClass or setUpModule: none of its tests begins
            self.tell(broken=str(test), why=why)
        else:
            self.found = ("failed", why)

    def addSkip(self, test, reason):
        self.found = ("skipped", reason)

    def addUnexpectedSuccess(self, test):
        self.found = ("failed", "an unexpected success")

    def addExpectedFailure(self, test, error):
        pass


def name_of(test):
    """`test_streams.StreamTests.test_read`, as on the skip list."""
    return test.id().removeprefix("test.").removeprefix("test_asyncio.")


def tests_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        else:
            yield test


def main(module, arm, *names):
    # A test that spins must not eat the machine, whoever stops watching.
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    # The tests may print what they like: it goes where stderr goes.
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def tell(**told):
        print(json.dumps(told), file=lines)

    notes = OPEN[arm.partition(":")[0]](arm)
    importing = doors_of_threads.importing(arm)
    try:
        with importing:
            every = tests_of(unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(module)))
    except unittest.SkipTest:  # what the whole module is about is not there
        every = []
    if arm in doors_of_threads.ARMS:
        every = [test for test in every if doors_of_threads.is_of_threads(name_of(test))]
    chosen = [test for test in every if not names or name_of(test) in names]
    tell(chosen=[name_of(test) for test in chosen])
    unittest.TestSuite(chosen).run(Result(notes, tell))
    tell(done="done")


if __name__ == "__main__":
    main(*sys.argv[1:])
