"""What a reader of the package can rely on."""

import ast
import re
import unittest

from tests import ROOT


class StyleTest(unittest.TestCase):
    def test_everything_public_says_what_it_is(self):
        """Each module of the package, and each public class and function at the top of one, has a docstring."""
        for path in sorted((ROOT / "solipsism_unittest").rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            public = [node for node in tree.body if isinstance(node, definitions) and not node.name.startswith("_")]
            silent = [node.name for node in public if not ast.get_docstring(node)]
            with self.subTest(str(path.relative_to(ROOT))):
                self.assertTrue(ast.get_docstring(tree))
                self.assertEqual(silent, [])

    def test_nothing_is_left_for_later(self):
        """No file of the package carries a note about work that somebody should still do."""
        for path in sorted((ROOT / "solipsism_unittest").rglob("*.py")):
            notes = re.findall(r".*\b(?:TODO|FIXME|XXX)\b.*", path.read_text(encoding="utf-8"))
            with self.subTest(str(path.relative_to(ROOT))):
                self.assertEqual(notes, [])

    def test_one_room_asks_for_the_frames_of_all_threads(self):
        """Who keeps them makes a cycle of them: `introspection.threads` gives one of them, or the identifiers."""
        package = ROOT / "solipsism_unittest"
        asking = [str(path.relative_to(package)) for path in sorted(package.rglob("*.py"))
                  if re.search(r"\bsys\._current_frames\b|\bReal\.frames\b", path.read_text(encoding="utf-8"))]
        self.assertEqual(asking, ["introspection/threads.py"])
