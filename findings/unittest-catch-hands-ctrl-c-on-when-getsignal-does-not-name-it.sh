#!/usr/bin/env bash
# What unittest's --catch does on Ctrl-C where signal.getsignal() names another handler: a sandbox answers it, or a mock.
#
# Most people would guess: its handler has been called, so it lets the running test end, as it says.
# What really happens: the handler asks signal.getsignal() whether it is still there. If the answer is anything else, it
#   believes that the program has wrapped it, and calls the handler from before: KeyboardInterrupt, in the middle of the
#   test, and no summary of what has run.
#
# Seen (3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2):
#   as it is: goes on, the result is to stop; getsignal() names another one: KeyboardInterrupt
#
#   PYTHON=python3.14 bash findings/unittest-catch-hands-ctrl-c-on-when-getsignal-does-not-name-it.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import platform
import signal
import sys
import unittest
from unittest import mock

signal.signal(signal.SIGINT, signal.default_int_handler)


def outcome():
    """What becomes of Ctrl-C."""
    result = unittest.TestResult()
    unittest.registerResult(result)
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        return "KeyboardInterrupt"
    return f"goes on, the result {'is to stop' if result.shouldStop else 'goes on too'}"


unittest.installHandler()
with mock.patch("signal.getsignal", return_value=signal.SIG_DFL):
    named_another = outcome()
unittest.removeHandler()
unittest.signals._interrupt_handler = None
unittest.installHandler()
as_it_is = outcome()
print(f"CPython {platform.python_version()}")
print(f"as it is: {as_it_is}; getsignal() names another one: {named_another}")
sys.exit((as_it_is, named_another) != ("goes on, the result is to stop", "KeyboardInterrupt"))
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
