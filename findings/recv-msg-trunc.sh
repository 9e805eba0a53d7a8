#!/usr/bin/env bash
# socket.recv(size, MSG_TRUNC) of a datagram that is longer than the buffer.
#
# Most people would guess: the first `size` bytes, as without the flag; or all the bytes; and the same on every Python.
# What really happens: Linux returns the datagram's length, and CPython makes bytes of that length from a buffer of `size`.
#   Until 3.14 the rest are bytes of this process's memory that nobody sent: they are whatever lay behind the buffer.
#   From 3.15 on it is "ValueError: size larger than allocated size", and the datagram is gone all the same.
#   recv_into() is right on all: the length, and the bytes that fit.
#
# Seen (Linux 6, x86_64):
#   3.13.0: recv(4, MSG_TRUNC) of b'abcdefgh' gives 8 bytes, the first are b'abcd', the last are not b'efgh'
#   3.15.2: recv(4, MSG_TRUNC) of b'abcdefgh' raises ValueError: size larger than allocated size
#
#   PYTHON=python3.15 bash findings/recv-msg-trunc.sh
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/seen.py" <<'PYTHON'
import platform, socket, sys

print("Python", platform.python_version(), "on", platform.system(), platform.release())
one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
other.setblocking(False)
one.send(b"abcdefgh")
try:
    data = other.recv(4, socket.MSG_TRUNC)
except ValueError as error:
    print("recv(4, MSG_TRUNC) of b'abcdefgh' raises ValueError:", error)
    as_before = sys.version_info >= (3, 15) and str(error) == "size larger than allocated size"
else:
    print(f"recv(4, MSG_TRUNC) of b'abcdefgh' gives {len(data)} bytes: {data!r}")
    as_before = sys.version_info < (3, 15) and len(data) == 8 and data[:4] == b"abcd" and data[4:] != b"efgh"
try:
    other.recv(100)
except BlockingIOError:
    print("the datagram is gone")
else:
    as_before = False
one.send(b"abcdefgh")
buffer = bytearray(4)
length = other.recv_into(buffer, 0, socket.MSG_TRUNC)
print(f"recv_into() gives {length}, and {bytes(buffer)!r}")
as_before = as_before and (length, buffer) == (8, b"abcd")
sys.exit(0 if as_before else "this is not what was found before")
PYTHON
"${PYTHON:-python3}" "$folder/seen.py"
