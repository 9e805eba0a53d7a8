"""What `from solipsism_unittest import ...` promises."""

import ast
import importlib
import json
import sys
import unittest

import solipsism_unittest
from solipsism_unittest.pythons import default_policy
from tests import ROOT, run_python

VOCABULARY = {
    *("SolipsistTestCase", "SolipsistEventLoop", "sealed"),
    *("VirtualSocket", "socketpair", "stream_pairs", "FakeServer", "FakeDatagramServer", "Script", "Verdict"),
    *("fail_on", "strict", "lenient", "over_loops", "over_executors", "over_cancellations", "with_settings", "world"),
    *("SolipsismError", "SleepForeverError", "LivelockError", "EscapeError", "SolipsismWarning"),
}

# What the import brings in beyond what Python itself, or whatever starts with it, has imported already.
IMPORT = """
import json
import sys

before = set(sys.modules)
from solipsism_unittest import *

print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


# What of the package is loaded when it is imported, and when one of its names is asked for.
LOADED = """
import json
import sys

import solipsism_unittest

def ours():
    return sorted(name for name in sys.modules if name.startswith("solipsism_unittest."))

first = ours()
solipsism_unittest.VirtualSocket
print(json.dumps([first, ours()]))
"""


class NamesTest(unittest.TestCase):
    def test_all_is_explicit(self):
        """__all__ is written out in __init__.py as one list of plain strings."""
        tree = ast.parse((ROOT / "solipsism_unittest" / "__init__.py").read_text(encoding="utf-8"))
        lists = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ]
        self.assertEqual(lists, [solipsism_unittest.__all__])

    def test_all_is_sorted_and_says_nothing_twice(self):
        """__all__ is in alphabetical order, classes before functions, each name once."""
        self.assertEqual(list(solipsism_unittest.__all__), sorted(set(solipsism_unittest.__all__)))

    def test_the_vocabulary_is_there(self):
        """The names that the documentation promises can be imported."""
        self.assertEqual(VOCABULARY - set(solipsism_unittest.__all__), set())

    def test_each_name_is_made_where_type_checkers_find_it(self):
        """Each name that is loaded on its first use is the one that the imports for type checkers name."""
        tree = ast.parse((ROOT / "solipsism_unittest" / "__init__.py").read_text(encoding="utf-8"))
        declared = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level
                    for alias in node.names}
        self.assertEqual(declared, set(solipsism_unittest.__all__))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                module = importlib.import_module(f".{node.module}", "solipsism_unittest")
                for alias in node.names:
                    self.assertIs(getattr(solipsism_unittest, alias.name), getattr(module, alias.name))

    def test_dir_has_each_name(self):
        """dir() and what completes names know those that are not loaded yet."""
        program = "import solipsism_unittest as it; print(set(it.__all__) <= set(dir(it)))"
        self.assertEqual(run_python("-c", program).stdout, "True\n")

    def test_the_policy_is_made_on_first_use(self):
        """SolipsistEventLoopPolicy is there where asyncio has policies, and nothing but its use makes it."""
        self.assertNotIn("SolipsistEventLoopPolicy", solipsism_unittest.__all__)
        policy = solipsism_unittest.SolipsistEventLoopPolicy()
        self.assertIsInstance(policy, default_policy())
        self.assertIs(type(policy), solipsism_unittest.SolipsistEventLoopPolicy)
        loop = policy.new_event_loop()
        self.assertIsInstance(loop, solipsism_unittest.SolipsistEventLoop)
        loop.close()

    def test_the_policy_warns_nobody(self):
        """Who asks for the policy gets no warning of a name of asyncio that we use for it."""
        program = "import solipsism_unittest\nsolipsism_unittest.SolipsistEventLoopPolicy()"
        child = run_python("-W", "error", "-c", program)
        self.assertEqual((child.returncode, child.stderr), (0, ""))

    def test_each_name_is_public_and_documented(self):
        """Each name in __all__ resolves, has no underscore in front, and says what it is."""
        for name in solipsism_unittest.__all__:
            with self.subTest(name):
                self.assertFalse(name.startswith("_"))
                self.assertTrue(getattr(solipsism_unittest, name).__doc__)

    def test_star_import_gives_exactly_these(self):
        """`from solipsism_unittest import *` brings the names in __all__ and nothing else."""
        namespace = {}
        exec("from solipsism_unittest import *", namespace)
        del namespace["__builtins__"]
        self.assertEqual(sorted(namespace), sorted(solipsism_unittest.__all__))

    def test_a_name_that_is_not_there(self):
        """A misspelled name is an AttributeError that names the package and the name, as with any other module."""
        name = "SolipsistTestcase"
        with self.assertRaisesRegex(AttributeError, f"'solipsism_unittest' has no attribute '{name}'"):
            getattr(solipsism_unittest, name)


class MocksTest(unittest.TestCase):
    def test_the_vocabulary_is_there(self):
        """`solipsism_unittest.mocks` has asynctest's names, and two more; each says what it is."""
        from solipsism_unittest import mocks

        names = {"FileMock", "SocketMock", "SSLSocketMock", "FileDescriptor", "TestSelector", "fd", "isfilemock",
                 "set_read_ready", "set_write_ready", "exhaust_callbacks", "get_registered_events", "awaited", "Awaits",
                 "while_running"}
        self.assertEqual(set(mocks.__all__), names)
        self.assertEqual(mocks.__all__, sorted(mocks.__all__))
        self.assertTrue(all(getattr(mocks, name).__doc__ for name in names))


class ImportTest(unittest.TestCase):
    def test_what_is_loaded(self):
        """Importing the package loads its errors and nothing else; whatever is asked for brings the whole machine."""
        child = run_python("-c", LOADED)
        first, then = json.loads(child.stdout)
        self.assertEqual(first, ["solipsism_unittest.errors"])
        self.assertIn("solipsism_unittest.case.case", then)

    def test_quiet_and_from_the_standard_library_alone(self):
        """Importing the package warns of nothing and imports nothing but itself and the standard library."""
        child = run_python("-W", "error", "-c", IMPORT)
        self.assertEqual((child.returncode, child.stderr), (0, ""))
        imported = set(json.loads(child.stdout))
        # What building Python makes is not among the names of the standard library.
        built = ("_sysconfigdata", "_missing_stdlib_info")
        standard = {name for name in imported if name in sys.stdlib_module_names or name.startswith(built)}
        self.assertEqual(imported - standard, {"solipsism_unittest"})
