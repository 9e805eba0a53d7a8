"""What there is at one moment, as text: a table of everything that is open, and every task with what it waits for.

The table is netstat's, for all kinds of ends, with the line of the program that made each.
"""

from __future__ import annotations

from asyncio import all_tasks
from collections.abc import Iterator

from ..hangs.report import report
from ..kernel import Kernel
from ..kernel.descriptors.connection import Connection
from ..kernel.descriptors.datagram import Datagram
from ..kernel.descriptors.end import Address, shown
from ..kernel.descriptors.file import File
from ..kernel.descriptors.pipe import PipeEnd
from ..kernel.descriptors.stream import Stream
from ..kernel.journal import counted
from ..loop.event_loop import SolipsistEventLoop

_HEAD = "kind", "local", "remote", "state", "to read", "made at"


def state(loop: SolipsistEventLoop) -> str:
    """What there is now."""
    kernel, tasks = loop.kernel, all_tasks(loop)
    hint = "what each of them waits for:" if tasks else ""
    return "\n\n".join([report("this is how things stood", kernel, tasks, hint), netstat(kernel)])


def netstat(kernel: Kernel) -> str:
    """A table of everything that is open, and of what is on its way."""
    rows = [_HEAD, *(_row(kernel, file, "") for file in dict.fromkeys(kernel.files.values()))]
    rows += [_row(kernel, end, " (not accepted)") for end in _queued(kernel)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if kernel.has_network:
        lines += [f"on its way: {flight.what}, {counted(flight.size, 'byte')}, arrives at t={flight.arrives!r}"
                  for flight in kernel.network.in_flight()]
    return "\n".join(lines if len(rows) > 1 else ["nothing is open", *lines[1:]])


def _queued(kernel: Kernel) -> Iterator[Stream]:
    for file in list(kernel.files.values()):
        if isinstance(file, Stream) and file.backlog is not None:
            yield from file.backlog.queue


def _row(kernel: Kernel, file: File, more: str) -> tuple[str, ...]:
    local, remote, words = getattr(file, "local", None), getattr(file, "remote", None), str(getattr(file, "state", ""))
    six = "6" if local is not None and len(local) > 1 and ":" in local[0] else ""
    if isinstance(file, Datagram):
        kind, unread = f"udp{six}" if file.is_udp else "unix dgram", sum(len(packet.data) for packet in file.queue)
    elif isinstance(file, Connection):
        kind, unread = f"tcp{six}" if file.is_tcp else "unix", len(file.incoming)
    else:
        kind, unread = file.kind, file.unread()
    here = file.ends() if isinstance(file, PipeEnd) else _named(kernel, local)
    return kind, here, _named(kernel, remote), words + more, str(unread), str(file.place or "")


def _named(kernel: Kernel, address: Address | None) -> str:
    if address is None:
        return ""
    name = kernel.names.name_of(address[0]) if len(address) > 1 else None
    return f"{name}:{address[1]}" if name else shown(address)
