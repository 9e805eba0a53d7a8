#!/usr/bin/env bash
# addCleanup(function, self=...) in a unittest.IsolatedAsyncioTestCase.
#
# Most people would guess: as in a plain TestCase, whose addCleanup() was made to take a keyword of any name.
# What really happens: addCleanup() accepts it, and the cleanup fails when it is its turn: the asynchronous case calls each
#   cleanup by a method of its own that has the names `self` and `function` itself. The function is never called.
#
# Seen (3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2):
#   TestCase: called with {'self': 1}; IsolatedAsyncioTestCase: TypeError, not called
#
#   PYTHON=python3.14 bash findings/an-async-cleanup-cannot-take-self.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import platform
import sys
import unittest


def outcome(base):
    """What the cleanup was called with, and the last line of the error, if any."""
    calls = []

    class Case(base):
        def test(self):
            self.addCleanup(lambda **keywords: calls.append(keywords), **{"self": 1})

    result = unittest.TestResult()
    Case("test").run(result)
    return calls, [text.strip().splitlines()[-1].split(":")[0] for _, text in result.errors]


plain, isolated = outcome(unittest.TestCase), outcome(unittest.IsolatedAsyncioTestCase)
print(f"CPython {platform.python_version()}")
print(f"TestCase: {plain}; IsolatedAsyncioTestCase: {isolated}")
sys.exit((plain, isolated) != (([{"self": 1}], []), ([], ["TypeError"])))
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
