"""The house: how many rooms a folder has, how long files and classes are, and that folders keep their privacy."""

import ast
import pathlib
import unittest
from collections.abc import Iterator

from tests import ROOT
from tests.house.test_import_law import PACKAGE, modules

ROOMS = 8
LINES_OF_A_FILE = 450
LINES_OF_A_CLASS = 300

# What is larger, each with its reason.
EXCEPTIONS: dict[str, str] = {
    "": "the top of the package shows every concept once: its folders are the map",
    "loop": "a file for each thing that asyncio's loop leaves to the system, and for what it keeps of the program",
    "stdlib": "a room for each family of modules that a program meets, and the four that all of them need",
}
# Names of asyncio and the standard library that our own classes define as well: whoever reads them means CPython's.
SHARED_NAMES: dict[str, str] = {
    "_buffer": "of a StreamReader: the bytes that nobody has read",
    "_closed": "of a stock event loop, which the seal refuses half-way: its __del__ asks",
    "_selector": "the real one of that loop, which is closed",
    "_default_executor": "asyncio's own: set_default_executor() refuses all but thread pools, and no method reads it",
    "_args": "of an asyncio Handle, as the next three",
    "_callback": "what it calls",
    "_cancelled": "whether it was cancelled",
    "_context": "the context that it runs in",
    "_when": "of a TimerHandle: when it is due",
    "_source_traceback": "of a Handle, Task or Future: where debug mode saw it made",
    "_loop": "of a StreamWriter: the loop whose test it is collected in",
    "_run": "of an asyncio Handle: what it calls is the program's",
    "_tasks": "of a TaskGroup: the tasks that it waits for",
    "_wait": "of a transport of a subprocess: asyncio awaits it to have the exit code",
    "_result": "of a Future of concurrent.futures: what a job has given",
    "_threads": "of a ThreadPoolExecutor: the threads that a test has left or expects to leave",
}


def folders() -> dict[str, set[str]]:
    """Return what stands in each folder of the package: files without their ending, and folders."""
    rooms: dict[str, set[str]] = {}
    for path in (ROOT / PACKAGE).rglob("*.py"):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        for depth, room in enumerate(parts):
            rooms.setdefault(".".join(parts[:depth]), set()).add(room)
    return rooms


def classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    """Yield the classes at the top of a module."""
    return (node for node in tree.body if isinstance(node, ast.ClassDef))


def is_private(name: str) -> bool:
    """Whether a name is one that only its own folder should read."""
    return name.startswith("_") and not name.startswith("__")


def made(tree: ast.Module) -> set[str]:
    """Return the private attributes that a module's classes define: methods, class attributes, slots, `self._x = `."""
    names = set()
    for cls in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for node in ast.walk(cls):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    names.add(name)
                case ast.Attribute(ast.Name("self" | "cls"), name, ast.Store()):
                    names.add(name)
        for statement in cls.body:
            # An annotation without a value declares what a base class makes: CPython's own.
            declares = isinstance(statement, ast.AnnAssign) and statement.value is None
            targets = statement.targets if isinstance(statement, ast.Assign) else \
                [None if declares else getattr(statement, "target", None)]
            for target in targets:
                names.update(node.id for node in ast.walk(target or ast.Pass()) if isinstance(node, ast.Name))
                if isinstance(target, ast.Name) and target.id == "__slots__":
                    names.update(node.value for node in ast.walk(statement)
                                 if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {name for name in names if is_private(name)}


def read(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and name of each private attribute that is read of something else than `self`, and imported."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ast.Name("self" | "cls"), _):
                pass
            case ast.Attribute(_, name) if is_private(name):
                yield node.lineno, name
            case ast.ImportFrom(level=level, names=names) if level:
                yield from ((node.lineno, alias.name) for alias in names if is_private(alias.name))


def folder_of(module: str) -> str:
    """Return the innermost folder that a module stands in."""
    path = modules()[module]
    return ".".join(path.parent.relative_to(ROOT / PACKAGE).parts)


class HouseTest(unittest.TestCase):
    def test_rooms(self):
        """No folder has more than eight rooms, but for those named above."""
        for folder, rooms in folders().items():
            with self.subTest(folder):
                self.assertTrue(len(rooms - {"__init__"}) <= ROOMS or folder in EXCEPTIONS, sorted(rooms))

    def test_sizes(self):
        """No file has more than 450 lines and no class more than 300, but for those named above."""
        for module, path in modules().items():
            source = path.read_text(encoding="utf-8")
            with self.subTest(module):
                self.assertTrue(len(source.splitlines()) <= LINES_OF_A_FILE or module in EXCEPTIONS)
            for cls in classes(ast.parse(source)):
                with self.subTest(f"{module}.{cls.name}"):
                    lines = (cls.end_lineno or 0) - cls.lineno + 1
                    self.assertTrue(lines <= LINES_OF_A_CLASS or f"{module}.{cls.name}" in EXCEPTIONS, lines)

    def test_no_exception_without_need(self):
        """Each exception above is of something that is there."""
        known = {*folders(), *modules()}
        known |= {f"{module}.{cls.name}" for module, path in modules().items()
                  for cls in classes(ast.parse(path.read_text(encoding="utf-8")))}
        self.assertLessEqual(set(EXCEPTIONS), known)

    def test_no_private_name_of_another_folder(self):
        """A private name that one folder makes is read in no other folder, whatever object it is read of."""
        trees = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in modules().items()}
        makers: dict[str, set[str]] = {}
        for module, tree in trees.items():
            for name in made(tree):
                makers.setdefault(name, set()).add(folder_of(module))
        for module, tree in trees.items():
            for line, name in read(tree):
                others = makers.get(name, set())
                if others and folder_of(module) not in others and name not in SHARED_NAMES:
                    with self.subTest(f"{module}:{line}"):
                        self.fail(f"{module}:{line} reads {name}, which is of {', '.join(sorted(others))}")


class MirrorTest(unittest.TestCase):
    """tests/ has the folders of the package, and a file for each of its files, under the same name."""

    # Tests of what has no single file, by folder.
    OF_NO_FILE = {"behaviours", "benchmarks", "clean", "compliance", "contracts", "examples", "fuzz", "house",
                  "interop", "races"}
    NAMES = {"test_main": "__main__", "test_exports": "__init__", "test_how_it_works": "how-it-works"}

    def test_each_test_file_has_its_file(self):
        """Each test file of a mirrored folder is named after a file of the package."""
        lost = []
        for path in sorted((ROOT / "tests").rglob("test_*.py")):
            parts = path.relative_to(ROOT / "tests").parts
            if parts[0] in self.OF_NO_FILE:
                continue
            folder = pathlib.Path(*parts[:-1])
            name = self.NAMES.get(path.stem, path.stem.removeprefix("test_"))
            here = ROOT / PACKAGE / folder
            there = any((here / f"{name}.{ending}").exists() for ending in ("py", "md"))
            if not there and not (name == here.name and (here / "__init__.py").exists()):
                lost.append(str(path.relative_to(ROOT)))
        self.assertEqual(lost, [])
