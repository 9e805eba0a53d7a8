"""The import law: a folder of the package imports only from floors below its own, wherever the import is written."""

import ast
import functools
import importlib.util
import json
import pathlib
import unittest
from collections.abc import Iterator

from tests import ROOT, run_python

PACKAGE = "solipsism_unittest"

# Lowest first. What stands on one floor never imports a neighbour; "" is the package's own __init__.
FLOORS = (
    ("errors", "pythons", "manual"),
    ("introspection", "kernel"),
    ("stdlib",),
    ("views", "hangs", "peers"),
    ("loop",),
    ("leaks", "mocks", "evidence"),
    ("case",),
    ("runs",),
    ("", "__main__"),
)
# The same inside of each folder.
INSIDE: dict[str, tuple[tuple[str, ...], ...]] = {
    "introspection": (("modules",), ("places", "debuggers"), ("tasks", "threads", "names"), ("handles", "exceptions")),
    "kernel": (("clock",), ("choices",), ("journal", "wall"), ("addresses",), ("descriptors",),
               ("network", "processes"), ("",)),
    "kernel.choices": (("kinds",), ("plans",), ("explorer",), ("",)),
    "kernel.processes": (("signals",),),
    "kernel.addresses": (("interfaces", "services", "icmp"), ("literals",), ("hosts",), ("resolver",)),
    "kernel.descriptors": (("file",), ("transitions", "end"), ("backlog", "connection"),
                           ("stream", "datagram", "pipe")),
    "kernel.network": (("round_trips", "mtu"), ("handshake", "wire"), ("ports", "unix"), ("udp",), ("network",)),
    "kernel.network.wire": (("faults", "settings", "lanes"), ("links",), ("replies",), ("flows",), ("wire",),
                            ("conditions",)),
    "stdlib": (("threads",), ("worlds",), ("escapes", "clocks", "waiting", "holdings"), ("files",),
               ("sockets", "processes"), ("tls",), ("seal",)),
    "stdlib.processes": (("process", "surroundings", "folders"), ("ending", "signals"), ("program",), ("guests",)),
    "stdlib.clocks": (("monotonic", "wall"), ("datetimes",)),
    "stdlib.files": (("passed", "paths", "sendfile", "played"), ("descriptors", "selector"),
                     ("file_objects", "polling")),
    "stdlib.sockets": (("buffers", "addresses", "settings", "lookups", "patches"), ("traffic",), ("virtual_socket",),
                       ("pairs",)),
    "stdlib.sockets.settings": (("multicast", "error_queue"), ("options",)),
    "stdlib.threads": (("background", "stalls", "mistakes", "pacing"), ("blocking", "job", "workers"), ("jobs",)),
    "stdlib.threads.pacing": (("record",), ("patience", "deadlines"), ("baton",), ("locks",),
                              ("simple_queue", "calls"), ("faces",)),
    "stdlib.seal": (("permits",), ("guard", "replacements"), ("thread_starts", "stand_ins"), ("modules",),
                    ("table", "get_event_loop")),
    "stdlib.seal.modules": (("functions", "cares", "loops"), ("keepers", "defaults"), ("early_names",),
                            ("c_libraries",)),
    "hangs": (("words", "refused", "hints"), ("locks",), ("waits", "reachability", "spins"), ("report",)),
    "peers": (("script", "certificates", "programs"), ("conversation",),
              ("server", "datagram_server"), ("proxy",)),
    "peers.programs": (("streams", "ends"), ("child",), ("guest", "real"), ("table",), ("popen", "beside")),
    "peers.certificates": (("encoding",), ("keys",), ("minting",), ("contexts",)),
    "loop": (("timers", "beginning", "doors", "parking", "gone"), ("selector",), ("turns", "inventory"),
             ("watching",),
             ("stuck", "signals", "between"), ("transports",), ("serving",), ("children",), ("event_loop", "always"),
             ("second", "explored")),
    "evidence": (("recording",), ("capture", "timeline", "state"), ("evidence",)),
    "evidence.timeline": (("lanes",), ("records",), ("page",)),
    "evidence.recording": (("tape", "keys"), ("ends", "steps")),
    "evidence.capture": (("packets",), ("blocks", "streams"), ("capture",)),
    "leaks": (("kinds", "checks", "unawaited"), ("expected", "report", "ending"), ("finders",), ("survey",)),
    "mocks": (("files", "readiness", "awaited"), ("",)),
    "case": (("results", "real_time", "fixtures"), ("world",), ("assertions", "verdict"), ("phases",), ("case",)),
    "case.assertions": (("failures", "awaited", "elapsed"), ("time", "buffers", "raised", "uncaught"), ("received",)),
    "case.fixtures": (("chronometer", "leaving", "settings"), ("tls",), ("loops", "context", "services"), ("scopes",)),
    "manual": (("",),),
    "runs": (("variants", "by_hand", "suspensions", "outcomes"), ("cancellations", "exploration"), ("seeds",),
             ("options",)),
    "runs.exploration": (("words", "shrinking", "progress"), ("tokens", "strategies"), ("memory",), ("exploration",)),
}

# The kernel has no loop, no tests, no threads and no real time, and does no input or output.
NOT_IN_KERNEL = {
    *("asyncio", "unittest", "threading", "_thread", "concurrent", "multiprocessing", "queue"),
    *("time", "datetime", "sched", "_socket", "select", "selectors", "signal", "ssl", "subprocess"),
}

# Run with a bare parent package: the package's own __init__ loads everything, so that "alone" could not be seen.
ALONE = """
import importlib, json, pathlib, sys, types

package = types.ModuleType({package!r})
package.__path__ = [{path!r}]
sys.modules[{package!r}] = package
for module in {modules!r}:
    importlib.import_module(module)
print(json.dumps(sorted(name for name in sys.modules if name.startswith({package!r} + "."))))
"""


@functools.cache
def modules() -> dict[str, pathlib.Path]:
    """Return the file of each module of the package, by its dotted name below the package."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(module: str, tree: ast.Module, is_package: bool, *, late: bool = True) -> Iterator[tuple[int, str, str]]:
    """Yield the line, module and name ("" for a whole module) of each import in a tree, at whatever depth it stands.

    `late` ones are those by `importlib.import_module`, of a literal or of a constant of the module.
    """
    home = [PACKAGE, *filter(None, module.split("."))]
    if not is_package:
        home.pop()
    constants = {ast.unparse(node.targets[0]): node.value.value for node in tree.body
                 if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)}
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
        elif late and isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            # What most tests do without is loaded on its first use: late, and below its floor all the same.
            if module == "" and isinstance(node.args[0], ast.Name):
                continue  # the package loads whatever is asked for, and stands above all of it
            name = constants.get(ast.unparse(node.args[0])) or ast.literal_eval(node.args[0])
            yield node.lineno, importlib.util.resolve_name(name, ".".join(home)), ""


def imported_module(origin: str, name: str, known: dict[str, pathlib.Path]) -> str | None:
    """Return which module of the package `from origin import name` reads; None for one that is not ours."""
    if origin.partition(".")[0] != PACKAGE:
        return None
    ours = origin.removeprefix(PACKAGE).removeprefix(".")
    below = f"{ours}.{name}".strip(".")
    return below if name and below in known else ours


def floor(folder: str, room: str) -> int | None:
    """Return on which floor of a folder ("" for the package) a room is; None where the table has no row for it."""
    rows = FLOORS if folder == "" else INSIDE.get(folder, ())
    return next((number for number, row in enumerate(rows) if room in row), None)


def parting(one: str, other: str) -> tuple[str, str, str]:
    """Return the folder in which the ways to two modules part, and the room of each there."""
    ways = one.split(".") if one else [], other.split(".") if other else []
    shared = 0
    while all(shared < len(way) for way in ways) and ways[0][shared] == ways[1][shared]:
        shared += 1
    rooms = [way[shared] if shared < len(way) else "" for way in ways]
    return ".".join(ways[0][:shared]), rooms[0], rooms[1]


def violations(module: str, source: str, is_package: bool = False, known: dict[str, pathlib.Path] | None = None,
               ) -> list[str]:
    """Return what a module's source does against the law: one line for each, with its place."""
    tree = ast.parse(source)
    known = modules() if known is None else known
    broken = []
    for line, origin, name in dict.fromkeys(imports(module, tree, is_package)):
        target = imported_module(origin, name, known)
        if module.startswith("kernel") and origin.partition(".")[0] in NOT_IN_KERNEL:
            broken.append(f"{module}:{line} imports {origin}: not in the kernel")
        if target is None or target == module:
            continue
        folder, mine, theirs = parting(module, target)
        here, there = floor(folder, mine), floor(folder, theirs)
        if here is None or there is None:
            lost = mine if here is None else theirs
            broken.append(f"{module}:{line} imports {target}: {lost!r} has no row in the table of {folder!r}")
        elif there >= here:
            broken.append(f"{module}:{line} imports {target}, which is not on a lower floor")
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
        """Each module of the package has a row, and imports only from floors below its own."""
        found = modules()
        self.assertIn("errors", found)
        for module, path in found.items():
            with self.subTest(module):
                source = path.read_text(encoding="utf-8")
                self.assertEqual(violations(module, source, path.name == "__init__.py", found), [])
                *folders, room = module.split(".")
                is_folder = path.name == "__init__.py" and module not in ("", "kernel")
                self.assertTrue(is_folder or floor(".".join(folders), room) is not None or module == "kernel",
                                f"{module} has no row: where does it belong?")

    def test_each_folder_alone(self):
        """Each folder can be imported under a bare parent package, and loads only folders below it."""
        found = modules()
        for number, row in enumerate(FLOORS[:-1]):
            allowed = {name for lower in FLOORS[:number] for name in lower}
            for folder in row:
                names = [f"{PACKAGE}.{name}" for name in found if name.partition(".")[0] == folder]
                if not names:
                    continue  # the table may name what is to come
                with self.subTest(folder):
                    child = run_python("-c", ALONE.format(package=PACKAGE, path=str(ROOT / PACKAGE), modules=names))
                    self.assertEqual(child.returncode, 0, child.stderr)
                    loaded = {name.split(".")[1] for name in json.loads(child.stdout)}
                    self.assertLessEqual(loaded, allowed | {folder})

    def test_no_import_is_hidden_in_a_function(self):
        """Nothing of the package is imported inside a function: that would hide a circle."""
        found = modules()
        for module, path in found.items():
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for function in ast.walk(tree):
                if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    inside = ast.Module(body=function.body, type_ignores=[])
                    for line, origin, name in imports(module, inside, path.name == "__init__.py", late=False):
                        self.assertIsNone(imported_module(origin, name, found), f"{module}:{line}")


class CheckerTest(unittest.TestCase):
    """The checker above finds what it is there for."""

    def assertBroken(self, module, source, *wanted, is_package=False):
        self.assertEqual(violations(module, source, is_package), list(wanted))

    def test_imports_of_lower_floors_pass(self):
        """What the law allows passes, however the import is spelled."""
        self.assertBroken("loop.event_loop", "from ..stdlib import worlds\nimport solipsism_unittest.kernel.clock, os")
        self.assertBroken("kernel.descriptors.stream", "from ..journal import A\nfrom ...errors import B\nimport errno")
        self.assertBroken("kernel", "from .network.network import Network\nfrom ..errors import A", is_package=True)
        self.assertBroken("", "from .case.case import SolipsistTestCase", is_package=True)

    def test_a_higher_floor(self):
        """An import of a higher floor is found, relative or absolute, whole or by name."""
        late = "imports loop.event_loop, which is not on a lower floor"
        self.assertBroken("stdlib.waiting", "from ..loop import event_loop", f"stdlib.waiting:1 {late}")
        self.assertBroken("stdlib.waiting", "from ..loop.event_loop import A", f"stdlib.waiting:1 {late}")
        self.assertBroken("stdlib.waiting", "import solipsism_unittest.loop.event_loop", f"stdlib.waiting:1 {late}")
        self.assertBroken("kernel.clock", "\nfrom ..loop.event_loop import x", f"kernel.clock:2 {late}")

    def test_a_neighbour(self):
        """An import of a module or folder on the same floor is found."""
        self.assertBroken("hangs.words", "from ..peers import server",
                          "hangs.words:1 imports peers.server, which is not on a lower floor")
        self.assertBroken("kernel.wall", "from .journal import Journal",
                          "kernel.wall:1 imports kernel.journal, which is not on a lower floor")

    def test_the_package_itself(self):
        """A module that takes a name from the package as a whole imports the highest floor, and is found."""
        text = "from .. import SolipsistTestCase\nfrom solipsism_unittest import sealed"
        broken = [f"case.case:{line} imports , which is not on a lower floor" for line in (1, 2)]
        self.assertBroken("case.case", text, *broken)

    def test_a_hidden_import(self):
        """An import inside a function, a branch or a type-checking block is an import."""
        hidden = "if TYPE_CHECKING:\n    from ..case.case import A\ndef f():\n    from ..loop.event_loop import B\n"
        self.assertBroken("stdlib.waiting", hidden,
                          "stdlib.waiting:2 imports case.case, which is not on a lower floor",
                          "stdlib.waiting:4 imports loop.event_loop, which is not on a lower floor")

    def test_a_late_import(self):
        """What `importlib.import_module` loads is an import, whether by a literal or by a constant of the module."""
        late = "stdlib.waiting:2 imports loop.event_loop, which is not on a lower floor"
        for named in ("'..loop.event_loop'", "LATE"):
            text = f"LATE = '..loop.event_loop'\nimportlib.import_module({named}, __package__)"
            self.assertBroken("stdlib.waiting", text, late)

    def test_a_module_without_a_row(self):
        """A module that nobody gave a row is found when it imports, and so is an import of one."""
        lost = "utils:1 imports errors: 'utils' has no row in the table of ''"
        self.assertBroken("utils", "from .errors import A", lost)

    def test_a_kernel_with_a_loop_or_real_time(self):
        """The kernel may not import asyncio, real time, threads or unittest; the folders above it may."""
        for name in ("asyncio.events", "time", "threading", "unittest"):
            self.assertBroken("kernel.clock", f"import {name}", f"kernel.clock:1 imports {name}: not in the kernel")
            self.assertBroken("stdlib.waiting", f"import {name}")

    def test_a_kernel_with_real_sockets(self):
        """The kernel may use constants and gaierror of module socket, and nothing else, under no other name."""
        allowed = "import socket\nfrom socket import EAI_NONAME\nx = socket.AF_INET, socket.gaierror\n"
        module = "kernel.addresses.resolver"
        self.assertBroken(module, allowed + "y = getattr(socket, 'AF_UNIX', None)")
        for text, what in (
            ("socket.socket()", "socket.socket"),
            ("getattr(socket, 'create_connection')", "socket.create_connection"),
            ("from socket import socketpair", "socket.socketpair"),
            ("import socket as s", "another name, s"),
            ("real = socket", "something that cannot be read off"),
        ):
            self.assertBroken(module, allowed + text, f"{module}:4 uses socket for {what}")
