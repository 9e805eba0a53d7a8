"""How an assertion fails: with its text, and under it what happened last in the virtual world."""

from __future__ import annotations

import unittest
from typing import NoReturn

from ...hangs import report
from ..world import run_of

__unittest = True
__tracebackhide__ = True


def fail(case: unittest.TestCase, text: str, cause: BaseException | None = None) -> NoReturn:
    """Fail the test with this text and the last records of the journal."""
    run = run_of(case)
    loop = run.world.virtual_loop
    if run.explorer.put_in:
        text += f"\n  assertions about time allow for the {run.explorer.put_in:.6g} s of stalls and delays that an " \
                "exploration has put in"
    records = loop.kernel.journal.last_effects(report.LAST_RECORDS) if loop is not None else []
    last = "".join(f"\n      {record}" for record in records)
    raise case.failureException(text + (f"\n  what happened last:{last}" if last else "")) from cause
