#!/usr/bin/env bash
# shutdown(SHUT_WR) of a TCP socket that is not connected, and then a connection.
#
# Most people would guess: the call is refused with ENOTCONN, and a call that is refused changes nothing: the socket
#   connects and sends as any other.
# What really happens: Linux refuses it and remembers it all the same. The connection that is made later is established on
#   both sides, says so in TCP_INFO, and can receive; but it cannot send (EPIPE), and the peer never sees its end.
#
# Seen (Linux 6):
#   shutdown: ENOTCONN, then state 1 (ESTABLISHED), send: EPIPE, the peer waits for ever, recv: b'hi'
#
#   PYTHON=python3.13 bash findings/a-refused-shutdown-is-remembered.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import errno
import platform
import socket
import sys

listener = socket.create_server(("127.0.0.1", 0))
client = socket.socket()
seen = []
try:
    client.shutdown(socket.SHUT_WR)
except OSError as error:
    seen.append(errno.errorcode[error.errno])
client.connect(listener.getsockname())
server, _ = listener.accept()
seen.append(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])
try:
    client.send(b"x")
except OSError as error:
    seen.append(errno.errorcode[error.errno])
server.settimeout(0.3)
try:
    seen.append(server.recv(10))
except TimeoutError:
    seen.append("nothing comes")
server.send(b"hi")
seen.append(client.recv(10))
print("Python", platform.python_version(), platform.system(), platform.release().partition("-")[0])
print("shutdown: {}, then state {}, send: {}, at the peer: {}, recv: {}".format(*seen))
sys.exit(0 if seen == ["ENOTCONN", 1, "EPIPE", "nothing comes", b"hi"] else "this is not what was found before")
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
