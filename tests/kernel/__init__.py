"""The kernel without asyncio: one file for each of its modules."""

import os
import subprocess
import sys

from tests import ROOT


def output_under_hash_seeds(program: str, seeds: tuple[str, ...] = ("0", "1", "4242")) -> set[str]:
    """What `program` writes in child interpreters that differ in PYTHONHASHSEED: one text, if it should not matter."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for seed in seeds
    ]
    return {child.communicate(timeout=60)[0] for child in children}
