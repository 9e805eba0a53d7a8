#!/usr/bin/env bash
# StreamWriter.drain() over TLS, to a peer that reads nothing.
#
# Most people would guess: drain() waits when much more was written than the buffers hold, over TLS as over TCP.
# What really happens: TLS hands everything that one write() brings to the transport under it, and counts none of it.
#   drain() returns at once after a first write of any size, 20 MB here. Only bytes of a second write are counted, so
#   that this one's drain() waits. Over plain TCP the first one waits.
#
# Seen (CPython 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2; Linux):
#   TCP: first write waits; TLS: first write passes with 0 bytes counted, second write waits
#
#   PYTHON=python3.13 bash findings/a-tls-writer-drains-what-it-did-not-send.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$folder/key.pem" -out "$folder/certificate.pem" 2>"$folder/log"
cat >"$folder/seen.py" <<'PYTHON'
import asyncio
import pathlib
import platform
import ssl
import sys

HERE = pathlib.Path(__file__).parent
DATA = bytes(20_000_000)


async def silent(reader, writer):
    reader._transport.pause_reading()
    await asyncio.sleep(30)


async def outcome(writer):
    try:
        await asyncio.wait_for(writer.drain(), 2)
    except TimeoutError:
        return "waits"
    return "passes"


async def write(server_side, client_side, times):
    server = await asyncio.start_server(silent, "127.0.0.1", 0, ssl=server_side)
    name = "localhost" if client_side else None
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=client_side, server_hostname=name)
    seen = []
    for _ in range(times):
        writer.write(DATA)
        seen += [await outcome(writer), writer.transport.get_write_buffer_size()]
    writer.transport.abort()
    server.close()
    return seen


async def main():
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(HERE / "certificate.pem", HERE / "key.pem")
    client_side = ssl.create_default_context(cafile=str(HERE / "certificate.pem"))
    return await write(None, None, 1), await write(server_side, client_side, 2)


tcp, tls = asyncio.run(main())
print("Python", platform.python_version(), ssl.OPENSSL_VERSION)
print(f"TCP: first write {tcp[0]}; TLS: first write {tls[0]} with {tls[1]} bytes counted, second write {tls[2]}")
sys.exit(0 if (tcp[0], *tls[:3]) == ("waits", "passes", 0, "waits") else "this is not what was found before")
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
