"""Runs that failed are kept in files, tried first the next time, and forgotten when they pass."""

import asyncio
import os
import pathlib
import tempfile
import unittest
from unittest import mock

from solipsism_unittest import SolipsistTestCase, over_seeds
from solipsism_unittest.runs.exploration import memory
from solipsism_unittest.runs.exploration.tokens import Step, Token
from tests.case.test_case import run, told

TOKEN = Token(13, 5, 7, (Step(0, 1, 2, 3),), 4)


class MemoryTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), "kept", "here")
        self.enterContext(mock.patch.dict(os.environ, {"SOLIPSISM_MEMORY": str(self.folder)}))

    def test_kept_and_forgotten(self):
        """A file for each test, in a folder that git ignores."""
        memory.keep("a.b", TOKEN)
        memory.keep("a.c", TOKEN._replace(seed=8))
        self.assertEqual((memory.recall("a.b"), memory.recall("a.c").seed, memory.recall("a.d")), (TOKEN, 8, None))
        self.assertEqual((self.folder / ".gitignore").read_text(encoding="utf-8"), "*\n")
        self.assertEqual(len(list(self.folder.iterdir())), 3)
        memory.forget("a.b")
        memory.forget("a.d")
        self.assertEqual((memory.recall("a.b"), memory.recall("a.c").seed), (None, 8))

    def test_names(self):
        """Whatever the name of a test, it has a file of its own, and no other."""
        names = ["a/../b", "a b", "a_b", "x" * 500, "x" * 501, "ä"]
        for seed, name in enumerate(names):
            memory.keep(name, TOKEN._replace(seed=seed))
        self.assertEqual([memory.recall(name).seed for name in names], list(range(len(names))))

    def test_what_cannot_be_read_or_written(self):
        """A spoilt file holds no run, and a folder that cannot be made keeps none."""
        memory.keep("a.b", TOKEN)
        path, = set(self.folder.iterdir()) - {self.folder / ".gitignore"}
        for bad in (b"", b"s1-spoilt", b"\xff\xfe"):
            path.write_bytes(bad)
            self.assertIsNone(memory.recall("a.b"))
        with mock.patch.dict(os.environ, {"SOLIPSISM_MEMORY": str(path / "below")}):
            memory.keep("a.b", TOKEN)
            self.assertIsNone(memory.recall("a.b"))

    def test_none(self):
        """Set to nothing, nothing is kept; not set, it is a folder of the working directory."""
        with mock.patch.dict(os.environ, {"SOLIPSISM_MEMORY": ""}):
            memory.keep("a.b", TOKEN)
            memory.forget("a.b")
            self.assertIsNone(memory.recall("a.b"))
        with tempfile.TemporaryDirectory() as here, mock.patch.dict(os.environ):
            del os.environ["SOLIPSISM_MEMORY"]
            before = os.getcwd()
            os.chdir(here)
            try:
                memory.keep("a.b", TOKEN)
                self.assertEqual(os.listdir(here), [".solipsism"])
            finally:
                os.chdir(before)

    def test_tried_first(self):
        """What has failed is tried before all seeds, until it passes."""
        calls = []

        class Some(SolipsistTestCase):
            pause = 0.1

            @over_seeds(100)
            async def test_it(self):
                calls.append(1)
                async with asyncio.timeout(0.12):
                    await asyncio.sleep(self.pause)

        text = told(run(Some))
        self.assertIn("the plain run passes, and seed ", text)
        calls.clear()
        again = told(run(Some))
        self.assertIn("the plain run passes, and one that has failed before fails; 1 of 1 choices matters:", again)
        self.assertLess(len(calls), 12)
        self.assertEqual(again.partition("matters:")[2], text.partition("matters:")[2])
        Some.pause = 0
        self.assertEqual(told(run(Some)), "")
        calls.clear()
        self.assertEqual(told(run(Some)), "")
        self.assertEqual(len(calls), 100)

    def test_of_another_python(self):
        """A run of another Python is left where it is."""
        class Some(SolipsistTestCase):
            @over_seeds(2)
            async def test_it(self):
                pass

        name = Some("test_it").id()
        memory.keep(name, TOKEN._replace(minor=2))
        self.assertEqual(told(run(Some)), "")
        self.assertEqual(memory.recall(name).minor, 2)


if __name__ == "__main__":
    unittest.main()
