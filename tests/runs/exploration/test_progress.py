"""Progress: a line on a terminal, and nothing where nobody looks."""

import io
import unittest
from unittest import mock

from solipsism_unittest.runs.exploration import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class ProgressTest(unittest.TestCase):
    def test_a_line(self):
        """Seeds that are done, how many in a second, how many different ones, and what time is left."""
        stream, now = Terminal(), [100.0]
        with mock.patch.object(progress.Real, "monotonic", lambda: now[0]):
            line = progress.Progress(stream, "a.b", 1000)
            for number in range(10):
                now[0] += 0.25
                line.step(str(number % 3))
            self.assertIn("a.b: 9 of 1,000 seeds, 4 a second, 3 different, 248 s left", stream.getvalue())
            self.assertEqual(stream.getvalue().count("seeds"), 5)
            line.end("all pass")
        self.assertTrue(stream.getvalue().endswith("\r\x1b[Ka.b: all pass\n"))
        line.end()
        self.assertTrue(stream.getvalue().endswith("\n\r\x1b[K"))

    def test_nobody_looks(self):
        """In a pipe, and where there is no stream, nothing is written."""
        for stream in (io.StringIO(), None):
            line = progress.Progress(stream, "a.b", 1000)
            line.step("1")
            line.end("all pass")
            self.assertEqual(stream.getvalue() if stream else "", "")


if __name__ == "__main__":
    unittest.main()
