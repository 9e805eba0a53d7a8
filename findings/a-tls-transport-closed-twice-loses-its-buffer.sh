#!/usr/bin/env bash
# transport.get_write_buffer_size() of asyncio's TLS transport, after close() was called a second time.
#
# Most people would guess: a second close() does nothing, and the size of the buffer is a number at any time.
# What really happens: the second close() takes the transport's TLS layer away, although the first one's shutdown is still
#   under way. Every call that asks the layer is an AttributeError on None from then on; on plain TCP it is 0.
#
# Seen (CPython 3.11.7, 3.12.1, 3.13.0, 3.14.10, 3.15.2):
#   TCP: 0, TLS closed once: 0, TLS closed twice: AttributeError
#
#   PYTHON=python3.13 bash findings/a-tls-transport-closed-twice-loses-its-buffer.sh
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


async def size_after(server_side, client_side, closes):
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=server_side)
    name = "localhost" if client_side else None
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=client_side, server_hostname=name)
    for _ in range(closes):
        writer.close()
    try:
        return writer.transport.get_write_buffer_size()
    except AttributeError as error:
        return type(error).__name__
    finally:
        server.close()


async def main():
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(HERE / "certificate.pem", HERE / "key.pem")
    client_side = ssl.create_default_context(cafile=str(HERE / "certificate.pem"))
    return [await size_after(None, None, 2), await size_after(server_side, client_side, 1),
            await size_after(server_side, client_side, 2)]


seen = asyncio.run(main())
print("Python", platform.python_version(), ssl.OPENSSL_VERSION)
print("TCP: {}, TLS closed once: {}, TLS closed twice: {}".format(*seen))
sys.exit(0 if seen == [0, 0, "AttributeError"] else "this is not what was found before")
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
