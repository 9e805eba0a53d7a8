"""What the pages of the manual consist of: tables with a test for each row, and blocks of code."""

import re

from solipsism_unittest import manual

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section(page, title):
    """The text of a section of a page."""
    return re.split(r"^## .*$", manual.pages()[page].partition(f"## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text):
    """The first cells of the rows of a table, in order, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [line[2:].partition(" | ")[0] for line in lines[1:]]


def row(cell):
    """Mark a test as that of a row, by the first cell of the row."""

    def decorate(test):
        test.row = cell
        return test

    return decorate


def tested_rows(*cases):
    """The rows that have a test in these classes."""
    return [test.row for case in cases for test in vars(case).values() if hasattr(test, "row")]
