"""The package of clean programs: how many there are, that no two are alike, and that they leave nothing out."""

import ast
import unittest

from solipsism_unittest import SolipsistTestCase
from tests import ROOT

ENOUGH = 300
PRIMITIVES = {
    *("Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"),
    *("Queue", "PriorityQueue", "LifoQueue"),
    *("TaskGroup", "timeout", "timeout_at", "wait_for", "wait", "shield", "gather", "as_completed", "sleep"),
    *("create_task", "ensure_future", "to_thread", "run_coroutine_threadsafe", "wrap_future", "Runner"),
    *("open_connection", "start_server", "open_unix_connection", "start_unix_server"),
    *("create_connection", "create_server", "create_datagram_endpoint", "connect_read_pipe", "connect_write_pipe"),
    *("sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_sendall", "sock_sendto"),
    *("sock_accept", "sock_connect", "sock_sendfile", "sendfile", "start_tls"),
    *("add_reader", "add_writer", "remove_reader", "remove_writer", "run_in_executor", "call_soon_threadsafe"),
}


def walk(suite):
    """Yield every test of a suite."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from walk(test)
        else:
            yield test


def trees():
    """The syntax trees of the package, by the name of the file."""
    paths = sorted((ROOT / "tests" / "clean").glob("test_*.py"))
    return {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def tests_in(tree):
    """The functions that are tests of a class at the top of a module."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for function in node.body:
                if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) \
                        and function.name.startswith(("test", "runTest")):
                    yield function


def names_in(node):
    """Every name, attribute, keyword and function name that occurs in it."""
    names = set()
    for inner in ast.walk(node):
        for field in ("id", "attr", "arg", "name"):
            if isinstance(getattr(inner, field, None), str):
                names.add(getattr(inner, field))
    return names


class CleanTest(unittest.TestCase):
    maxDiff = None

    def test_there_are_enough(self):
        """unittest's loader finds at least 300 clean tests, each once, and nothing that cannot be imported."""
        loader = unittest.TestLoader()
        suite = loader.discover(str(ROOT / "tests" / "clean"), top_level_dir=str(ROOT))
        self.assertEqual(loader.errors, [])
        found = [test.id() for test in walk(suite)]
        self.assertEqual(len(found), sum(len(list(tests_in(tree))) for tree in trees().values()))
        self.assertGreaterEqual(len(set(found)), ENOUGH)

    def test_no_two_are_alike(self):
        """No two tests have the same body, their docstrings apart."""
        seen = {}
        for file, tree in trees().items():
            for function in tests_in(tree):
                body = ast.dump(ast.Module(function.body[1:], []))
                self.assertNotIn(body, seen, f"{file}: {function.name} is like {seen.get(body)}")
                seen[body] = f"{function.name} in {file}"

    def test_each_one_says_what_it_is_and_checks_something(self):
        """Each test has a sentence of its own in front, and makes at least one statement that can fail."""
        for file, tree in trees().items():
            for function in tests_in(tree):
                text = ast.get_docstring(function) or ""
                self.assertRegex(text, r"\.\Z", f"{function.name} in {file} has no sentence")
                checks = [name for name in names_in(function) if name.startswith("assert")]
                self.assertTrue(checks, f"{function.name} in {file} states nothing")

    def test_each_public_name_of_a_test_case_is_used(self):
        """Every method, assertion and class attribute that SolipsistTestCase adds occurs in some clean program."""
        used = set().union(*map(names_in, trees().values()))
        public = {name for name in dir(SolipsistTestCase) if not name.startswith("_")}
        added = {name for name in public if any(name in vars(base) for base in SolipsistTestCase.__mro__
                                                if base.__module__.startswith("solipsism_unittest"))}
        added -= {"doCleanups", "doClassCleanups", "run", "debug"}  # unittest's own hooks
        self.assertEqual(added - used, set(), "write a test in tests/clean that uses it and leaves nothing behind")

    def test_each_primitive_of_asyncio_is_used(self):
        """Every kind of thing that asyncio offers to wait for occurs in some clean program."""
        used = set().union(*map(names_in, trees().values()))
        self.assertEqual(PRIMITIVES - used, set())
