"""The import law: a module of the package imports only what stands in an earlier row, wherever it is written."""

import ast
import pathlib
import unittest
from collections.abc import Iterator

from tests import ROOT

PACKAGE = "solipsism_unittest"

# Lowest first. A module imports only from earlier rows, never a neighbour in its own. A row may name what is to come.
ROWS = (
    {"introspection.modules"},
    {"introspection"},
    {"errors", "places", "debuggers", "chains"},
    {"unawaited", "blocking", "policy", "register"},
    {"kernel.clock", "kernel.choices", "kernel.files", "kernel.groups", "kernel.services"},
    {"kernel.journal", "kernel.literals"},
    {"kernel.ends", "kernel.hosts"},
    {"kernel.stream", "kernel.datagram", "kernel.pipe"},
    {"kernel.faults", "kernel.names", "kernel.handshake"},
    {"kernel.ports"},
    {"kernel.udp"},
    {"kernel.network", "kernel.process", "kernel.paths"},
    {"kernel"},
    {"threads"},
    {"jobs", "paths", "multicast", "guard"},
    {"addresses", "options", "lookups", "waiting", "sendfile", "bindings"},
    {"pipes"},
    {"sockets", "polling"},
    {"selector", "processes", "holders"},
    {"spins"},
    {"hermetic", "diagnosis"},
    {"reachability", "loop_exceptions", "endings"},
    {"loop", "waits"},
    {"tls", "scripting", "servers", "datagram_servers", "proxies", "mocks", "leaks", "assertions", "limits",
     "implicit_loops"},
    {"scopes", "results"},
    {"case"},
    {"__init__", "__main__"},
)
ROW = {module: number for number, row in enumerate(ROWS) for module in row}

# The kernel has no loop, no tests, no threads and no real time, and does no input or output.
NOT_IN_KERNEL = {
    *("asyncio", "unittest", "threading", "_thread", "concurrent", "multiprocessing", "queue"),
    *("time", "datetime", "sched", "_socket", "select", "selectors", "signal", "ssl", "subprocess"),
}


def modules() -> dict[str, pathlib.Path]:
    """Return the file of each module of the package, by its dotted name below the package."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        package = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join(package) or "__init__"] = path
    return found


def imports(module: str, tree: ast.Module, is_package: bool) -> Iterator[tuple[int, str, str]]:
    """Yield the line, module and name ("" for a whole module) of each import in a tree, at whatever depth it stands."""
    home = [PACKAGE] if module == "__init__" else [PACKAGE, *module.split(".")]
    if not is_package:
        home.pop()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                origin = ".".join([*home[: len(home) - node.level + 1], *filter(None, [origin])])
            for alias in node.names:
                yield node.lineno, origin, alias.name


def imported_module(origin: str, name: str) -> str | None:
    """Return which module of the package `from origin import name` reads; None for one that is not ours."""
    ours = origin.removeprefix(PACKAGE).removeprefix(".")
    if origin.partition(".")[0] != PACKAGE:
        return None
    below = f"{ours}.{name}".strip(".")
    return below if name and below in ROW else ours or "__init__"


def violations(module: str, source: str, is_package: bool = False) -> list[str]:
    """Return what a module's source does against the law: one line for each, with its place."""
    tree = ast.parse(source)
    if module not in ROW:
        return [f"{module} has no row: where does it belong?"]
    broken = []
    for line, origin, name in dict.fromkeys(imports(module, tree, is_package)):
        target = imported_module(origin, name)
        if target is not None and ROW.get(target, len(ROWS)) >= ROW[module]:
            broken.append(f"{module}:{line} imports {target}, which is not in an earlier row")
        if module.startswith("kernel") and origin.partition(".")[0] in NOT_IN_KERNEL:
            broken.append(f"{module}:{line} imports {origin}: not in the kernel")
    if module.startswith("kernel"):
        broken += [f"{module}:{line} uses socket for {what}" for line, what in uses_of_socket(tree)]
    return broken


def uses_of_socket(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each use of module socket that is neither a constant nor gaierror."""

    def harmless(name: str) -> bool:
        return name.isupper() or name == "gaierror"

    spoken_for = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ast.Name("socket") as base, attribute):
                spoken_for.add(base)
                if not harmless(attribute):
                    yield node.lineno, f"socket.{attribute}"
            # A constant that other systems lack.
            case ast.Call(ast.Name("getattr" | "hasattr"), [ast.Name("socket") as base, ast.Constant(str(name)), *_]):
                spoken_for.add(base)
                if not harmless(name):
                    yield node.lineno, f"socket.{name}"
            case ast.Import(names):
                for alias in names:
                    if alias.name == "socket" and alias.asname:
                        yield node.lineno, f"another name, {alias.asname}"
            case ast.ImportFrom(module="socket", names=names):
                for alias in names:
                    if not harmless(alias.name):
                        yield node.lineno, f"socket.{alias.name}"
            case ast.Name("socket") if node not in spoken_for:
                yield node.lineno, "something that cannot be read off"


class ImportLawTest(unittest.TestCase):
    def test_the_package_keeps_the_law(self):
        """Each module of the package is in the table and imports only from earlier rows."""
        found = modules()
        self.assertIn("errors", found)
        for module, path in found.items():
            with self.subTest(module):
                source = path.read_text(encoding="utf-8")
                self.assertEqual(violations(module, source, path.name == "__init__.py"), [])


class CheckerTest(unittest.TestCase):
    """The checker above finds what it is there for."""

    def assertBroken(self, module, source, *wanted, is_package=False):
        self.assertEqual(violations(module, source, is_package), list(wanted))

    def test_imports_of_earlier_rows_pass(self):
        """What the law allows passes, however the import is spelled."""
        self.assertBroken("loop", "from . import hermetic, errors\nimport solipsism_unittest.kernel.clock, asyncio")
        self.assertBroken("kernel.stream", "from . import clock\nfrom ..errors import EscapeError\nimport errno")
        self.assertBroken("kernel", "from .network import Network\nfrom .. import places", is_package=True)
        self.assertBroken("__init__", "from .case import SolipsistTestCase", is_package=True)

    def test_a_later_row(self):
        """An import of a later row is found, relative or absolute, whole or by name."""
        late = "imports loop, which is not in an earlier row"
        self.assertBroken("sockets", "from . import loop", f"sockets:1 {late}")
        self.assertBroken("sockets", "from .loop import SolipsistEventLoop", f"sockets:1 {late}")
        self.assertBroken("sockets", "import solipsism_unittest.loop", f"sockets:1 {late}")
        self.assertBroken("kernel.clock", "\nfrom ..loop import x", f"kernel.clock:2 {late}")

    def test_a_neighbour(self):
        """An import of a module in the same row is found, inside the kernel too."""
        self.assertBroken("leaks", "from . import mocks", "leaks:1 imports mocks, which is not in an earlier row")
        self.assertBroken(
            "kernel.choices",
            "from .clock import VirtualClock",
            "kernel.choices:1 imports kernel.clock, which is not in an earlier row",
        )

    def test_the_package_itself(self):
        """A module that takes a name from the package as a whole imports the last row, and is found."""
        text = "from . import SolipsistTestCase\nfrom solipsism_unittest import sealed"
        broken = [f"case:{line} imports __init__, which is not in an earlier row" for line in (1, 2)]
        self.assertBroken("case", text, *broken)

    def test_a_hidden_import(self):
        """An import inside a function, a branch or a type-checking block is an import."""
        hidden = "if TYPE_CHECKING:\n    from .case import A\ndef f():\n    from .loop import B\n"
        self.assertBroken(
            "leaks", hidden + "    from . import kernel", "leaks:2 imports case, which is not in an earlier row"
        )
        self.assertBroken(
            "sockets",
            hidden,
            "sockets:2 imports case, which is not in an earlier row",
            "sockets:4 imports loop, which is not in an earlier row",
        )

    def test_a_module_without_a_row(self):
        """A module that nobody gave a row is found, and so is an import of one."""
        self.assertBroken("utils", "", "utils has no row: where does it belong?")
        self.assertBroken("case", "from .utils import x", "case:1 imports utils, which is not in an earlier row")

    def test_a_kernel_with_a_loop_or_real_time(self):
        """The kernel may not import asyncio, real time, threads or unittest; the modules above it may."""
        for name in ("asyncio.events", "time", "threading", "unittest"):
            self.assertBroken("kernel.stream", f"import {name}", f"kernel.stream:1 imports {name}: not in the kernel")
            self.assertBroken("sockets", f"import {name}")

    def test_a_kernel_with_real_sockets(self):
        """The kernel may use constants and gaierror of module socket, and nothing else, under no other name."""
        allowed = "import socket\nfrom socket import EAI_NONAME\nx = socket.AF_INET, socket.gaierror\n"
        self.assertBroken("kernel.names", allowed + "y = getattr(socket, 'AF_UNIX', None)")
        for text, what in (
            ("socket.socket()", "socket.socket"),
            ("getattr(socket, 'create_connection')", "socket.create_connection"),
            ("from socket import socketpair", "socket.socketpair"),
            ("import socket as s", "another name, s"),
            ("real = socket", "something that cannot be read off"),
        ):
            self.assertBroken("kernel.names", allowed + text, f"kernel.names:4 uses socket for {what}")
