"""`os.sendfile` from a real file into a virtual descriptor, which is what asyncio's `sendfile()` calls.

Owns what sendfile(2) does with positions, sizes and descriptors. Does not own what happens to the bytes: the end behind
the descriptor takes what it has room for. The rule that keeps it simple: the file is read at the given offset. Only
without an offset does the file's own position move, by the bytes that were sent.
"""

from __future__ import annotations

import errno
import operator
import os

from ...errors import SolipsismError
from ...kernel import FIRST_DESCRIPTOR
from ...kernel.descriptors.file import os_error
from ...kernel.journal import counted
from ...pythons import judge_count
from ..worlds import World

BLOCK = 256 * 1024  # bytes read at once: a buffer would not take more


def sendfile(world: World, out_fd: int, in_fd: int, offset: int | None, count: int) -> int:
    """As os.sendfile: the number of bytes sent. A blocking descriptor has to take all of them."""
    file = world.kernel.file(out_fd)
    count = operator.index(count)
    judge_count(count)
    source = operator.index(in_fd)
    if source >= FIRST_DESCRIPTOR:
        world.kernel.file(source)
        # A pipe or a socket cannot be mapped: it has no position, and nothing can be sent from it.
        raise os_error(errno.EINVAL if offset is None else errno.ESPIPE)
    if offset is None:
        sent = sendfile(world, out_fd, source, os.lseek(source, 0, os.SEEK_CUR), count)
        os.lseek(source, sent, os.SEEK_CUR)
        return sent
    offset = operator.index(offset)
    if offset < 0 or count < 0:
        raise os_error(errno.EINVAL)
    sent = 0
    while sent < count:
        data = os.pread(source, min(BLOCK, count - sent), offset + sent)
        if not data:
            break
        try:
            went: int = file.send(data)  # type: ignore[attr-defined]
        except OSError as error:
            if isinstance(error, BlockingIOError) and file.blocking:
                raise SolipsismError(
                    f"os.sendfile() on descriptor {out_fd}, {file!r}, would block its thread at "
                    f"t={world.kernel.clock.now!r}, and virtual time with it ({sent} of {counted(count, 'byte')} "
                    "went): await loop.sendfile() or loop.sock_sendfile()") from None
            if sent:
                break  # the next call reports it
            raise
        sent += went
    return sent
