#!/usr/bin/env bash
# transport.abort() of a stream that was closed with bytes still to send, once they have gone out.
#
# Most people would guess: nothing. close() sends what is left and then closes; abort() on a transport that is closing, or
#   closed, does nothing, as a second close() does.
# What really happens: on 3.11 to 3.13 there is a turn of the loop, between the last byte and connection_lost(), in which
#   abort() raises AttributeError: 'NoneType' object has no attribute 'call_soon'. Whoever aborts on the way out, as a
#   server that hangs up on slow clients, meets it now and then. 3.14 has it mended.
#
# Seen:
#   3.11.7, 3.13.0:    abort() raises AttributeError
#   3.14.10, 3.15.2:   abort() does nothing
#
#   PYTHON=python3.13 bash findings/abort-after-a-flushed-close.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import asyncio
import platform
import socket
import sys

SIZE = 1_000_000  # more than the kernel's buffers hold


async def main():
    near, far = socket.socketpair()
    near.setblocking(False)
    _, writer = await asyncio.open_connection(sock=near)
    writer.write(bytes(SIZE))
    writer.close()

    def drain():
        left = SIZE
        while left:
            left -= len(far.recv(65536))

    job = asyncio.get_running_loop().run_in_executor(None, drain)
    while writer.transport.get_write_buffer_size():
        await asyncio.sleep(0)
    try:
        writer.transport.abort()
        return "does nothing"
    except AttributeError:
        return "raises AttributeError"
    finally:
        await job
        far.close()


print("Python", platform.python_version())
found = asyncio.run(main())
print("abort()", found)
wanted = "does nothing" if sys.version_info >= (3, 14) else "raises AttributeError"
sys.exit(0 if found == wanted else "this is not what was found before")
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
