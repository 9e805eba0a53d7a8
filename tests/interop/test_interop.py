"""What holds for every library: an absent one is told, and none of them reaches the real network."""

import contextlib
import functools
import importlib.util
import io
import pathlib
import unittest

from tests.behaviours.test_no_network import strace, strace_works
from tests.interop import library, needs

# What is C makes descriptors of its own, and epolls them, before it is asked to connect.
OF_C = {"test_aiodns", "test_c_libraries"}
# What runs programs, for what they make of our files.
PROGRAMS = {"test_chromium", "test_tshark"}
FILES = sorted({path.stem for path in pathlib.Path(__file__).parent.glob("test_*.py")}
               - {"test_interop"} - OF_C - PROGRAMS)

# Every test of this folder that runs on the virtual loop; the twins' second run on the real loopback is left out.
PROGRAM = """
import importlib, sys, unittest
from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase

suite = unittest.TestSuite()
for name in {files!r}:
    for case in vars(importlib.import_module("tests.interop." + name)).values():
        if isinstance(case, type) and issubclass(case, SolipsistTestCase) and case.loop_factory is SolipsistEventLoop:
            suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
if {run}:
    sys.exit(not unittest.TextTestRunner().run(suite).wasSuccessful())
"""


class LibraryTest(unittest.TestCase):
    def setUp(self):
        library.cache_clear()
        self.addCleanup(library.cache_clear)
        self.said = self.enterContext(contextlib.redirect_stderr(io.StringIO()))

    def test_an_absent_one(self):
        """A library that is not installed is told once, and its tests are skipped with the same words."""
        result = unittest.TestResult()
        for _ in range(2):

            @needs("json", "no_such_library")
            class Case(unittest.TestCase):
                def test(self):
                    """Never runs."""

            unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
        self.assertEqual(self.said.getvalue(), "no_such_library: not installed, not run\n")
        self.assertEqual([reason for _, reason in result.skipped], ["no_such_library: not installed, not run"] * 2)

    def test_a_present_one(self):
        """A library that is installed is imported, nothing is said, and its tests run."""
        result = unittest.TestResult()

        @needs("json")
        class Case(unittest.TestCase):
            def test(self):
                """Runs."""

        unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
        self.assertEqual((self.said.getvalue(), result.testsRun, result.skipped), ("", 1, []))

    def test_a_broken_one(self):
        """A library that is there and lacks one of its own is an error, never a skip."""
        with self.assertRaisesRegex(ModuleNotFoundError, "no_such_part"):
            needs("json.no_such_part")


@functools.cache
def traced(run: bool):
    """How the program ended under strace, and its network calls."""
    return strace("-c", PROGRAM.format(files=FILES, run=run))


class NoNetworkTest(unittest.TestCase):
    def test_nothing_is_seen(self):
        """strace sees no network call and no epoll of any library on the virtual loop, beyond those of its import."""
        if not strace_works():
            self.skipTest("strace is not installed or may not trace here")
        (_, calls_of_import), (child, calls) = traced(run=False), traced(run=True)
        if importlib.util.find_spec("pycares"):  # aiohttp makes channels of c-ares, and each has an epoll of its own
            calls = [call for call in calls if not call.startswith("epoll_create1")]
            calls_of_import = [call for call in calls_of_import if not call.startswith("epoll_create1")]
        self.assertEqual(child.returncode, 0, child.stderr)
        self.assertRegex(child.stderr, r"\nRan [1-9]\d* tests in ")
        self.assertEqual(calls, calls_of_import)
