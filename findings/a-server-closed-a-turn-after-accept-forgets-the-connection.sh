#!/usr/bin/env bash
# server.close() in the turn of the loop that follows an accept.
#
# Most people would guess: close() stops the listening; a connection that was accepted a moment before is served, or at
#   least ended, so that the client sees an end of file or a reset.
# What really happens: the accepted socket waits for a task of the loop. That task finds the server closed and fails on an
#   assert. connection_made() is never called, the exception handler hears nothing (only debug mode reports it), and the
#   client sees neither data nor an end: its connection stays open until the garbage collector finds the forgotten
#   transport. From 3.13 on that transport also raises a TypeError of its own while it is collected.
#
# Seen:
#   3.11.7, 3.12.1: made 0, reports 0, client before the collection: BlockingIOError, after: b'', errors while collected: 0
#   3.13.0, 3.14.10, 3.15.2: the same, errors while collected: 1 ('NoneType' object is not iterable)
#
#   PYTHON=python3.14 bash findings/a-server-closed-a-turn-after-accept-forgets-the-connection.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import asyncio
import gc
import platform
import socket
import sys

made, reports, unraisable = [], [], []


class Served(asyncio.Protocol):
    def connection_made(self, transport):
        made.append(transport)


def look(client):
    try:
        return client.recv(1)
    except OSError as error:
        return type(error).__name__


async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    server = await loop.create_server(Served, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    client.setblocking(False)
    # This turn's select() accepts. Its task takes its first step in the next turn, after the call of close().
    loop.call_soon(loop.call_soon, server.close)
    await asyncio.sleep(0.1)
    before = look(client)
    gc.collect()
    await asyncio.sleep(0.1)
    after = look(client)
    client.close()
    return before, after


sys.unraisablehook = lambda unraisable_: unraisable.append(str(unraisable_.exc_value))
before, after = asyncio.run(main(), debug=False)
print(f"CPython {platform.python_version()}")
print(f"made {len(made)}, reports {len(reports)}, client before the collection: {before}, after: {after!r}")
print(f"errors while collected: {len(unraisable)} {unraisable}")
wanted = 1 if sys.version_info >= (3, 13) else 0
sys.exit((len(made), len(reports), before, after, len(unraisable)) != (0, 0, "BlockingIOError", b"", wanted))
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
