"""The project's own tests: `python -m unittest` in the root runs them all, and nothing has to be installed."""

import os
import pathlib
import signal
import subprocess
import sys

os.environ["SOLIPSISM_MEMORY"] = ""  # tests of ours fail on purpose: what was found in them is not kept
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell starts what it runs in the background so, and real children of ours would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    # Where no bytecode is kept, each of the suite's many child processes would compile the whole package anew.
    sys.dont_write_bytecode = False
ROOT = pathlib.Path(__file__).resolve().parent.parent


def run_python(*arguments: str, timeout: float = 600.0) -> subprocess.CompletedProcess[str]:
    """Run this same Python as a child process in the root of the project; return what it wrote and how it ended."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
