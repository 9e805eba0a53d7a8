"""The whole example suite runs without one call to the real network, and without epoll."""

import functools
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from tests import ROOT, run_python

EXAMPLES = "tests.examples.test_pubsub"
# What these do with processes and signals is all inside.
PROGRAMS = ("tests.examples.test_service", "tests.clean.test_tls_and_signals", "tests.peers.programs.test_beside",
            "tests.peers.programs.test_guest")
NETWORK = "network,epoll_create1"
PROCESSES = "fork,vfork,clone,clone3,execve,execveat,pipe,pipe2,kill,tkill,tgkill,pidfd_send_signal"

# The hook is there before anything else is imported, and it cannot be removed. What it saw is printed at the end.
WITH_AUDIT_HOOK = """
import sys

seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith("socket.") else None)

import json, unittest

{program}
print(json.dumps(seen))
"""


def strace(*arguments: str, calls: str = NETWORK) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run this Python under strace; return how it ended, and those of its calls to the system that are asked for."""
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder, "trace")
        # -qq and signal=none: only calls, not who came, went or was signalled.
        tracer = ["strace", "-f", "-qq", "-e", f"trace={calls}", "-e", "signal=none", "-o", str(trace)]
        command = [*tracer, sys.executable, *arguments]
        child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        # A line is "pid call(arguments) = result".
        lines = trace.read_text(encoding="utf-8").splitlines() if trace.exists() else []
        return child, [line.partition(" ")[2].partition(" = ")[0].strip() for line in lines]


@functools.cache
def strace_works() -> bool:
    """Say whether strace is installed and may trace here: containers often forbid it."""
    return shutil.which("strace") is not None and strace("-c", "")[0].returncode == 0


class AuditHookTest(unittest.TestCase):
    def run_with_audit_hook(self, program: str) -> tuple[list[str], str]:
        """Run a program in a child interpreter; return which socket events were audited, and what it wrote."""
        child = run_python("-c", WITH_AUDIT_HOOK.format(program=program))
        self.assertEqual(child.returncode, 0, child.stderr)
        return json.loads(child.stdout.splitlines()[-1]), child.stderr

    def test_nothing_of_the_examples_is_seen(self):
        """An audit hook that was there before any import sees no event of module socket while the examples run."""
        suite = f"program = unittest.main(module=None, argv=['-m unittest', '{EXAMPLES}'], exit=False)"
        seen, output = self.run_with_audit_hook(suite + "\nassert program.result.wasSuccessful()")
        self.assertRegex(output, r"\nRan [1-9]\d* tests in ")
        self.assertEqual(seen, [])

    def test_a_socket_would_be_seen(self):
        """The same hook does see a real socket being made."""
        seen, _ = self.run_with_audit_hook("import socket; socket.socket().close()")
        self.assertIn("socket.__new__", seen)


class StraceTest(unittest.TestCase):
    def setUp(self):
        if not strace_works():
            self.skipTest("strace is not installed or may not trace here")
        # CPython's selectors, while it is imported, makes one epoll descriptor, to see whether the system can.
        _, self.calls_of_import = strace("-c", "import selectors")

    def test_nothing_of_the_examples_is_seen(self):
        """strace sees neither a network call nor an epoll descriptor but that of `import selectors`."""
        child, calls = strace("-m", "unittest", EXAMPLES)
        self.assertEqual(child.returncode, 0, child.stderr)
        self.assertRegex(child.stderr, r"\nRan [1-9]\d* tests in ")
        self.assertEqual(calls, self.calls_of_import)

    def test_a_loop_would_be_seen(self):
        """The same strace does see what a stock event loop makes."""
        _, calls = strace("-c", "import asyncio; asyncio.new_event_loop().close()")
        more = [call.partition("(")[0] for call in calls[len(self.calls_of_import) :]]
        self.assertIn("epoll_create1", more)
        self.assertIn("socketpair", more)

    def test_no_process_and_no_signal(self):
        """Programs of tests, subprocesses and signals take no fork, exec, pipe or kill: only threads are started."""
        child, calls = strace("-m", "unittest", *PROGRAMS, calls=PROCESSES)
        self.assertEqual(child.returncode, 0, child.stderr)
        self.assertRegex(child.stderr, r"\nRan [1-9]\d* tests in ")
        start, *calls = [call for call in calls if "CLONE_THREAD" not in call and not call.startswith("<... clone")]
        self.assertRegex(start, r"^execve\(")
        self.assertEqual(calls, [])

    def test_they_would_be_seen(self):
        """The same strace does see what a real child process and a real signal take."""
        _, calls = strace("-c", "import os, signal, subprocess; subprocess.run(['true'], capture_output=True); "
                                "os.kill(os.getpid(), signal.SIGCHLD)", calls=PROCESSES)
        names = {call.partition("(")[0] for call in calls}
        self.assertLessEqual({"execve", "pipe2", "kill"}, names)
        self.assertTrue(names & {"fork", "vfork", "clone", "clone3"}, names)
