#!/usr/bin/env bash
# SO_KEEPALIVE on a TCP connection whose line is cut, idle and with one byte on its way.
#
# Most people would guess: with keepalive of one second idle, one second between probes and one probe, a connection whose
#   peer is gone ends within about two seconds, all the sooner when the program writes.
# What really happens: the idle one ends so. The one that has written a byte does not: as long as anything is unacknowledged
#   Linux sends no probes, only retransmissions, and these go on for a quarter of an hour.
#
# Seen (Linux 6; the line is cut by a socket filter that drops all that comes):
#   idle: ETIMEDOUT after 2 s; with a byte in flight: still connected after 6 s
#
#   PYTHON=python3.13 bash findings/keepalive-sleeps-while-data-is-in-flight.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import ctypes
import errno
import platform
import socket
import struct
import sys
import time

SO_ATTACH_FILTER = 26
DROP_ALL = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0))


def connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
        client.setsockopt(socket.IPPROTO_TCP, option, 1)
    for sock in (client, server):
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(DROP_ALL)))
    return client, server


def end(sock, seconds):
    began = time.monotonic()
    sock.settimeout(seconds)
    try:
        sock.recv(1)
    except TimeoutError as error:
        if error.errno is None:
            return f"still connected after {seconds} s"
        return f"{errno.errorcode[error.errno]} after {time.monotonic() - began:.0f} s"
    return "something came"


idle, idle_peer = connection()
busy, busy_peer = connection()
busy.send(b"x")
seen = [end(idle, 30), end(busy, 6)]
print("Python", platform.python_version(), platform.system(), platform.release().partition("-")[0])
print("idle: {}; with a byte in flight: {}".format(*seen))
right = seen[0].startswith("ETIMEDOUT") and seen[1].startswith("still connected")
sys.exit(0 if right else "this is not what was found before")
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
