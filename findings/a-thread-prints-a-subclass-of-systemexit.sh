#!/usr/bin/env bash
# A thread whose target raises SystemExit, or a subclass of it.
#
# Most people would guess: SystemExit ends a thread without a word, and a subclass of SystemExit is a SystemExit, as in
#   every `except` clause and for the end of the main thread.
# What really happens: threading compares the type, it does not ask isinstance(). SystemExit itself is silent; a subclass
#   (a command-line library's own exit) prints a traceback. In the main thread both end the process with their code and
#   print nothing.
#
# Seen (3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2):
#   thread, SystemExit: silent; thread, subclass: traceback; main thread, subclass: silent, exit code 3
#
#   PYTHON=python3.14 bash findings/a-thread-prints-a-subclass-of-systemexit.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import contextlib
import io
import platform
import subprocess
import sys
import threading


class Leave(SystemExit):
    pass


def printed(kind):
    """What a thread that raises `kind` writes to stderr."""

    def target():
        raise kind(3)

    with contextlib.redirect_stderr(io.StringIO()) as told:
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    return told.getvalue()


def word(text):
    return "traceback" if "Traceback" in text else text or "silent"


process = subprocess.run([sys.executable, "-c", "class Leave(SystemExit): pass\nraise Leave(3)"],
                         capture_output=True, text=True)
seen = word(printed(SystemExit)), word(printed(Leave)), word(process.stderr), process.returncode
print(f"CPython {platform.python_version()}")
print("thread, SystemExit: {}; thread, subclass: {}; main thread, subclass: {}, exit code {}".format(*seen))
sys.exit(seen != ("silent", "traceback", "silent", 3))
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
