"""The wheel and the source archive: the same bytes from the same sources, with what a user needs and no more."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import unittest
import zipfile

from tests import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BUILD = "from flit_core import buildapi; buildapi.build_wheel({0!r}); buildapi.build_sdist({0!r})"


class MetadataTest(unittest.TestCase):
    def test_classifiers(self):
        """Each Python from the oldest to the newest that is supported is named, and nothing is there for Python 2."""
        project = PROJECT["project"]
        minors = [int(name.rpartition(".")[2]) for name in project["classifiers"]
                  if name.startswith("Programming Language :: Python :: 3.")]
        self.assertEqual(minors, list(range(11, 16)))
        self.assertEqual(project["requires-python"], f">=3.{minors[0]}")
        self.assertIn("Typing :: Typed", project["classifiers"])
        self.assertEqual(project["dependencies"], [])

    def test_no_addresses(self):
        """There is no address of a page in the metadata as long as there is none."""
        self.assertNotIn("urls", PROJECT["project"])


@unittest.skipUnless(importlib.util.find_spec("flit_core"), "flit_core, which builds the package, is not installed")
class BuildTest(unittest.TestCase):
    """`make build` does the same where it may download what builds."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def built(self, name):
        """What a copy of the sources, made now, builds: file name -> bytes."""
        copy, out = self.folder / name, self.folder / f"{name}-out"
        shutil.copytree(ROOT / "solipsism_unittest", copy / "solipsism_unittest", copy_function=shutil.copy,
                        ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / file, copy)
        out.mkdir()
        subprocess.run([sys.executable, "-c", BUILD.format(str(out))], cwd=copy, check=True, timeout=120,
                       env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
        return {path.name: path.read_bytes() for path in sorted(out.iterdir())}

    def test_the_same_bytes(self):
        """Two copies that were made at different times build the same files."""
        one, two = self.built("one"), self.built("two")
        self.assertEqual(len(one), 2)
        self.assertEqual(one, two)

    def test_what_is_in_it(self):
        """The wheel has the files of the package, its licence and metadata, and no test; the archive builds it."""
        built = self.built("one")
        version = PROJECT["project"]["version"]
        with zipfile.ZipFile(self.folder / "one-out" / f"solipsism_unittest-{version}-py3-none-any.whl") as wheel:
            names = wheel.namelist()
        ours = {str(path.relative_to(ROOT)) for path in (ROOT / "solipsism_unittest").rglob("*")
                if path.is_file() and "__pycache__" not in path.parts}
        self.assertEqual({name for name in names if not name.startswith("solipsism_unittest-")}, ours)
        self.assertIn("solipsism_unittest/py.typed", ours)
        with tarfile.open(self.folder / "one-out" / f"solipsism_unittest-{version}.tar.gz") as archive:
            there = {name.partition("/")[2] for name in archive.getnames()}
        self.assertLessEqual({*ours, "pyproject.toml", "README.md", "LICENSE"}, there)
        self.assertEqual(set(built), {f"solipsism_unittest-{version}-py3-none-any.whl",
                                      f"solipsism_unittest-{version}.tar.gz"})


if __name__ == "__main__":
    unittest.main()
