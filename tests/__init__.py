"""The project's own tests: `python -m unittest` in the root runs them all, and nothing has to be installed."""

import pathlib
import subprocess
import sys

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
