"""The keys of TLS: what OpenSSL logs of each handshake, so that a capture can be read.

Owns the file that OpenSSL writes to, which is real and lasts as long as the test. A program's own file is left to it,
and is read as well. Each end knows the keys of its connection, so it does no harm where one of the two is missed.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile


class Keys:
    """The keys of the connections of one test."""

    def __init__(self) -> None:
        self._contexts: list[ssl.SSLContext] = []  # that write to our file
        self._paths: dict[str, None] = {}  # of all files
        self._own = ""

    def note(self, context: ssl.SSLContext) -> None:
        """Keep the keys of a connection with this context, whose handshake has not begun."""
        path = context.keylog_filename
        if path is None:
            path = context.keylog_filename = self._own = self._own or _new_file()
            self._contexts.append(context)
        self._paths[os.fsdecode(path)] = None

    def lines(self) -> bytes:
        """What was written down so far, in OpenSSL's form; b"" where there was no handshake."""
        found: dict[bytes, None] = {}
        for path in self._paths:
            with contextlib.suppress(OSError), open(path, "rb") as file:  # a program's own may be gone
                found.update(dict.fromkeys(line for line in file.read().splitlines() if line[:1].isalpha()))
        return b"".join(line + b"\n" for line in found)

    def end(self) -> None:
        """Let the contexts be as they were, and remove our file."""
        for context in self._contexts:
            context.keylog_filename = None  # type: ignore[assignment]
        self._contexts.clear()
        if self._own:
            with contextlib.suppress(OSError):
                os.unlink(self._own)
            self._paths.pop(self._own)
            self._own = ""


def _new_file() -> str:
    number, path = tempfile.mkstemp(".keys")
    os.close(number)
    return path
