"""MSG_ERRQUEUE: an error of ICMP as the ancillary data of a recvmsg(2), for programs that asked with IP_RECVERR.

Owns the bytes of `struct sock_extended_err` and how they are cut. Does not own the queue (kernel/addresses/icmp), nor
who gets an error (kernel/descriptors). Linux names the router that sent it; here it is the host that was not reached.
"""

from __future__ import annotations

import socket
import struct

from ....kernel.addresses.icmp import Report

MSG_ERRQUEUE, MSG_CTRUNC = 0x2000, int(getattr(socket, "MSG_CTRUNC", 8))
_FROM_HERE, _FROM_ICMP = 1, {4: 2, 6: 3}  # ee_origin
_HEADER = struct.calcsize("@Nii")  # bytes of struct cmsghdr

Ancillary = list[tuple[int, int, bytes]]


def ancillary_of(report: Report, family: int, size: int) -> tuple[Ancillary, int]:
    """What recvmsg() adds for an error, in a buffer of so many bytes, and MSG_CTRUNC where it did not fit."""
    is_six = family == socket.AF_INET6
    data = _error(report) + (_address_of_six(report) if is_six else _address_of_four(report))
    if size < _HEADER:
        return [], MSG_CTRUNC
    kind = (socket.IPPROTO_IPV6, 25) if is_six else (socket.IPPROTO_IP, 11)  # IPV6_RECVERR, IP_RECVERR
    part = data[:size - _HEADER]
    return [(*kind, part)], 0 if part == data else MSG_CTRUNC


def _error(report: Report) -> bytes:
    failure = report.failure
    origin = _FROM_ICMP[failure.version] if failure.kind else _FROM_HERE
    return struct.pack("=IBBBxII", failure.errno, origin, failure.kind, failure.code, failure.mtu, 0)


def _address_of_four(report: Report) -> bytes:
    if not report.failure.kind:
        return bytes(16)
    return struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(report.target[0]))


def _address_of_six(report: Report) -> bytes:
    if not report.failure.kind:
        return bytes(28)
    address = report.target[0] if ":" in report.target[0] else f"::ffff:{report.target[0]}"
    return struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, address), 0)
