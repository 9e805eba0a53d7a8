#!/usr/bin/env bash
# The handler of asyncio.start_server() returns and never closes its writer; nobody keeps the writer.
#
# Most people would guess: all Pythons do the same. Either the connection ends with its handler, or it stays until
#   somebody closes it.
# What really happens: up to 3.12 the connection stays open, and a client that reads to the end of the file waits for
#   ever. From 3.13 on the StreamWriter closes its transport when it is collected, at once after the handler's end, and
#   the client reads an end of file. A program written on 3.13 that forgot writer.close() stalls its clients on 3.12.
#
# Seen:
#   3.11.7, 3.12.1: the client still waits after a second
#   3.13.0, 3.14.10, 3.15.2: the client reads b''
#
#   PYTHON=python3.14 bash findings/a-handler-that-drops-its-writer-hangs-up-or-not.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import asyncio
import platform
import sys


async def handler(reader, writer):
    await reader.readline()


async def main():
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"line\n")
    try:
        return await asyncio.wait_for(reader.read(), 1)
    except TimeoutError:
        return "still waits"
    finally:
        writer.close()
        server.close()


seen = asyncio.run(main())
print(f"CPython {platform.python_version()}")
print(f"the client: {seen!r}")
sys.exit(seen != (b"" if sys.version_info >= (3, 13) else "still waits"))
PYTHON
"${PYTHON:-python3}" -W ignore::ResourceWarning "$folder/seen.py"
