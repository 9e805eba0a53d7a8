"""The shape of the project: everything under tests is found, and the top level holds what it should and no more."""

import fnmatch
import json
import subprocess
import tomllib
import unittest

from tests import ROOT, run_python

TOP_LEVEL = {"LICENSE", "Makefile", "README.md", "findings", "pyproject.toml", "solipsism_unittest", "tests"}

# What `python -m unittest` does without arguments, but it prints the files that it would run.
# A file that skips itself while it is imported never gets to loadTestsFromModule and shows up as a ModuleSkipped.
DISCOVERY = """
import json
import unittest

found = []

class Loader(unittest.TestLoader):
    def loadTestsFromModule(self, module, *, pattern=None):
        if not hasattr(module, "__path__"):
            found.append(module.__name__)
        return super().loadTestsFromModule(module, pattern=pattern)

class Program(unittest.TestProgram):
    def runTests(self):
        pass

def walk(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            walk(test)
        elif type(test).__name__ == "ModuleSkipped":
            found.append(test.id().partition("ModuleSkipped.")[2])

loader = Loader()
program = Program(module=None, argv=["python -m unittest"], testLoader=loader)
walk(program.test)
print(json.dumps({"found": sorted(found), "errors": loader.errors}))
"""


def directory_names() -> set[str]:
    """Return what the root directory holds, without what .gitignore calls a product, for where git cannot be asked."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    products = [line.strip("/") for line in lines if line and not line.startswith("#")]
    return {
        path.name for path in ROOT.iterdir() if not any(fnmatch.fnmatch(path.name, product) for product in products)
    }


def tracked_names() -> set[str]:
    """Return the first parts of the paths that git tracks below the root; empty where this is not a checkout."""
    try:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        return set()
    return {path.partition("/")[0] for path in listing.stdout.split("\0") if path}


class DiscoveryTest(unittest.TestCase):
    maxDiff = None

    def test_no_arguments_find_every_test_file(self):
        """`python -m unittest` finds exactly the files named test_*.py below tests, and all of them can be imported."""
        child = run_python("-c", DISCOVERY)
        self.assertEqual(child.returncode, 0, child.stderr)
        discovered = json.loads(child.stdout.splitlines()[-1])

        files = (ROOT / "tests").rglob("test_*.py")
        on_disk = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
        self.assertEqual(discovered["errors"], [])
        self.assertEqual(discovered["found"], sorted(on_disk))

    def test_every_folder_with_code_is_a_package(self):
        """A folder that holds Python files has an __init__.py, for discovery walks past one that has not."""
        for top in ("tests", "solipsism_unittest"):
            folders = {path.parent for path in (ROOT / top).rglob("*.py")}
            lacking = [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()]
            self.assertEqual(lacking, [])

    def test_one_method_runs_by_its_dotted_name(self):
        """A single test runs by its full dotted name, alone."""
        method = f"{__name__}.{DiscoveryTest.__qualname__}.test_every_folder_with_code_is_a_package"
        child = run_python("-m", "unittest", method)
        self.assertEqual(child.returncode, 0, child.stderr)
        self.assertRegex(child.stderr, r"\nRan 1 test in ")


class TopLevelTest(unittest.TestCase):
    def test_nothing_more_and_nothing_less(self):
        """The top level holds the seven known names, and else only dotfiles."""
        names = tracked_names() or directory_names()
        self.assertEqual({name for name in names if not name.startswith(".")}, TOP_LEVEL)

    def test_the_backend_takes_the_package_whole(self):
        """flit_core takes the folder that is named as the project, and all in it: data, manual and py.typed."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        self.assertEqual(project["build-system"]["build-backend"], "flit_core.buildapi")
        self.assertTrue((ROOT / project["project"]["name"] / "py.typed").exists())
        self.assertNotIn("flit", project["tool"])
