"""What `from solipsism_unittest import ...` promises."""

import ast
import json
import sys
import unittest

import solipsism_unittest
from solipsism_unittest.pythons import default_policy
from tests import ROOT, run_python

VOCABULARY = {
    *("SolipsistTestCase", "SolipsistEventLoop", "sealed"),
    *("VirtualSocket", "socketpair", "stream_pairs", "FakeServer", "FakeDatagramServer", "Script", "Verdict"),
    *("SolipsismError", "SleepForeverError", "LivelockError", "EscapeError", "SolipsismWarning"),
}

# What the import brings in beyond what Python itself, or whatever starts with it, has imported already.
IMPORT = """
import json
import sys

before = set(sys.modules)
import solipsism_unittest

print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
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
    def test_quiet_and_from_the_standard_library_alone(self):
        """Importing the package warns of nothing and imports nothing but itself and the standard library."""
        child = run_python("-W", "error", "-c", IMPORT)
        self.assertEqual((child.returncode, child.stderr), (0, ""))
        imported = set(json.loads(child.stdout))
        # What building Python makes is not among the names of the standard library.
        built = ("_sysconfigdata", "_missing_stdlib_info")
        standard = {name for name in imported if name in sys.stdlib_module_names or name.startswith(built)}
        self.assertEqual(imported - standard, {"solipsism_unittest"})
