"""Running a test with evidence: what it leaves, read back."""

import os
import pathlib
import tempfile
from unittest import mock

from solipsism_unittest.case.verdict import EVIDENCE
from tests.case.test_case import run
from tests.evidence import reading


def left_by(case, name="test"):
    """The result of a test under SOLIPSISM_EVIDENCE, and the files that it left, by ending."""
    with tempfile.TemporaryDirectory() as directory, mock.patch.dict(os.environ, {EVIDENCE: directory}):
        result = run(case, name)
        return result, {path.suffix: path.read_bytes() for path in pathlib.Path(directory).iterdir()}


def captured(case, name="test"):
    """The capture of a test that has asked for evidence, or failed."""
    _, files = left_by(case, name)
    return reading.read(files[".pcapng"])


def keeping(directory):
    """A patch of the environment that asks for evidence in this directory."""
    return mock.patch.dict(os.environ, {EVIDENCE: str(directory)})
