"""The changelog ends where pyproject.toml stands, and nothing else says which version this is."""

import re
import tomllib
import unittest

from solipsism_unittest import manual
from tests import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


class ChangelogTest(unittest.TestCase):
    def test_the_latest_version(self):
        """The first version that the changelog names is the one in pyproject.toml, and none stands there twice."""
        versions = re.findall(r"^## (.+)$", manual.pages()["changelog"], re.MULTILINE)
        self.assertEqual(versions[0], VERSION)
        self.assertEqual(len(set(versions)), len(versions))

    def test_one_place(self):
        """No module of the package and no file at the top repeats the version: it would be forgotten there."""
        files = [*(ROOT / "solipsism_unittest").rglob("*.py"), ROOT / "README.md", ROOT / "Makefile"]
        quoted = re.compile(rf"(?<![\d.]){re.escape(VERSION)}(?![\d.])")
        self.assertEqual([str(path) for path in files if quoted.search(path.read_text(encoding="utf-8"))], [])


if __name__ == "__main__":
    unittest.main()
