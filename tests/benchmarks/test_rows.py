"""Every row of the benchmarks can be measured: none rots while nobody looks. What it takes is not asserted."""

import contextlib
import io
import pathlib
import subprocess
import sys
import unittest
from unittest import mock

from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks.rows import ROWS

HOME = pathlib.Path(__file__).parents[2]
# All in one process: it takes a second where a process for each contender takes half a minute.
ONCE = """
import pkgutil
from tests.benchmarks.__main__ import is_installed
from tests.benchmarks.rows import ROWS
for name in sorted(ROWS, key="checks".__eq__):  # last: it leaves its process unchecked
    for contender in ROWS[name].contenders:
        if is_installed(contender):
            measured = contender.workload(pkgutil.resolve_name(contender.target), 2)
            print(name, isinstance(measured, (int, float)), sep=": ", flush=True)
"""


class RowsTest(unittest.TestCase):
    def test_every_row(self):
        """Each contender that is installed runs two operations of each row."""
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", ONCE], cwd=HOME, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(set(done.stdout.splitlines()), {f"{name}: True" for name in ROWS})

    def test_the_table(self):
        """The command prints a line for each contender that a row compares with: its ratio, or why there is none."""
        tiny, printed = ROWS["sleep"]._replace(size=10, rounds=1), io.StringIO()
        for options in (["sleep"], ["sleep", "--quick"], ["sleep", "--against", str(HOME)]):
            with (mock.patch.dict(ROWS, {"sleep": tiny}), mock.patch.object(sys, "argv", ["benchmarks", *options]),
                  contextlib.redirect_stdout(printed)):
                benchmarks.main()
        lines = [line for line in printed.getvalue().splitlines() if line.startswith("sleep ")]
        self.assertEqual(len(lines), 2 * (len(tiny.contenders) - 1) + 1, lines)
        self.assertFalse([line for line in lines if "failed" in line or "died" in line])

    def test_what_takes_nothing(self):
        """Memory may be measured as none: the table says so, and the other rows are printed."""
        row = ROWS["sleep"]
        found = {number: [1.0 if number == 0 else 0.0] for number in range(len(row.contenders))}
        self.assertIn("inf (inf..inf)", benchmarks.lines("sleep", row, 1, found)[0])


if __name__ == "__main__":
    unittest.main()
