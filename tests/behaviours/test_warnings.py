"""Every warning that the package gives is one of its own: a program can filter them by one class, and by each."""

import ast
import builtins
import importlib
import re
import unittest

from solipsism_unittest import errors
from tests.house.test_import_law import PACKAGE, modules

# Every class, and what else it is, for programs that filter by that.
WARNINGS = {
    "SolipsismWarning": UserWarning,
    "BlockingCallWarning": UserWarning,
    "SlowCallbackWarning": UserWarning,
    "ReturnedValueWarning": DeprecationWarning,
    "NotJudgedWarning": UserWarning,
    "ReplayPartedWarning": UserWarning,
    "RealClockWarning": UserWarning,
    "UnclosedWarning": ResourceWarning,
}
BASE = {"SolipsismWarning"}  # never given itself


def is_warning(value):
    """Whether something is a class of warnings."""
    return isinstance(value, type) and issubclass(value, Warning)


def categories(tree, names):
    """Yield the line and class of each warning that a module gives; `names` are its globals."""
    bound = {alias.asname or alias.name for node in ast.walk(tree)
             if isinstance(node, ast.ImportFrom) and node.module == "warnings" for alias in node.names
             if alias.name in ("warn", "warn_explicit")}
    default = ast.Name("UserWarning", ast.Load())
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(ast.Name("warnings"), "warn" | "warn_explicit")):
                pass
            case ast.Call(ast.Name(name)) if name in bound:
                pass
            case _:
                continue
        named = [keyword.value for keyword in node.keywords if keyword.arg == "category"]
        for category in classes([*node.args[1:2], *named, default][0], names):
            yield node.lineno, category


def classes(expression, names):
    """The classes that an expression may stand for: of an item of a table all of the table."""
    table = isinstance(expression, ast.Subscript)
    value = expression.value if table else expression
    code = compile(ast.fix_missing_locations(ast.Expression(value)), "<category>", "eval")
    found = eval(code, dict(names))
    return list(found.values()) if table else [found]


def foreign_names(tree):
    """Yield the line and name of each class of warnings of Python's own that a module names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and is_warning(getattr(builtins, node.id, None)):
            yield node.lineno, node.id


def parsed():
    """Yield each module's name, syntax tree and globals; __main__ would run."""
    for name, path in modules().items():
        if name != "__main__":
            full = f"{PACKAGE}.{name}".rstrip(".")
            yield name, ast.parse(path.read_text(encoding="utf-8")), vars(importlib.import_module(full))


class WarningsTest(unittest.TestCase):
    def test_each_is_ours(self):
        """What the package gives are classes of errors.py that derive from SolipsismWarning, and all of them."""
        given = set()
        for name, tree, names in parsed():
            for line, category in categories(tree, names) if name != "pythons" else ():  # which says what Python does
                with self.subTest(f"{name}:{line}"):
                    self.assertTrue(issubclass(category, errors.SolipsismWarning), category)
                    self.assertIs(vars(errors).get(category.__name__), category)
                    given.add(category.__name__)
        self.assertEqual(given, set(WARNINGS) - BASE)

    def test_no_other_is_named(self):
        """No module names a class of warnings of Python's own but errors.py, for bases, pythons.py, which says what
        Python itself warns of, and what takes any warning from a test.
        """
        found = [f"{name}:{line} {warning}" for name, tree, _ in parsed()
                 if name not in ("errors", "pythons", "case.assertions.raised")
                 for line, warning in foreign_names(tree)]
        self.assertEqual(found, [])

    def test_the_list(self):
        """The list above is what errors.py has, what its docstring draws, and what the package exports."""
        there = {name for name, value in vars(errors).items() if is_warning(value)}
        drawn = set(re.findall(r"^ {6,}(\w+Warning)\b", errors.__doc__, re.MULTILINE))
        package = importlib.import_module(PACKAGE)
        self.assertEqual(there, set(WARNINGS))
        self.assertEqual(drawn, set(WARNINGS))
        self.assertEqual({name for name in package.__all__ if name.endswith("Warning")}, set(WARNINGS))
        for name, other in WARNINGS.items():
            with self.subTest(name):
                self.assertTrue(issubclass(vars(errors)[name], errors.SolipsismWarning))
                self.assertTrue(issubclass(vars(errors)[name], other))


class CheckerTest(unittest.TestCase):
    """The checker above finds what it is there for."""

    def found(self, text):
        return [category for _, category in categories(ast.parse(text), {"TABLE": {1: BytesWarning, 2: ImportWarning}})]

    def test_calls(self):
        """A warning is found however its category is given, or where none is."""
        for text, *wanted in (
            ("warnings.warn('x', ResourceWarning)", ResourceWarning),
            ("warnings.warn('x', stacklevel=2, category=FutureWarning)", FutureWarning),
            ("warnings.warn('x')", UserWarning),
            ("warnings.warn_explicit('x', TABLE[kind], 'file', 1)", BytesWarning, ImportWarning),
            ("from warnings import warn as w\nw('x', ResourceWarning)", ResourceWarning),
            ("warn('x', ResourceWarning)\nwarnings.filterwarnings('error')\nlogger.warn('x')",),
        ):
            with self.subTest(text):
                self.assertEqual(self.found(text), wanted)

    def test_names(self):
        """A class of Python's own is found where it is only named; an error is none."""
        self.assertEqual(list(foreign_names(ast.parse("x = OSError\ny = [ResourceWarning]"))), [(2, "ResourceWarning")])


if __name__ == "__main__":
    unittest.main()
