"""`Serving`: asyncio's servers on the hosts of the network. What runs for a server is on the host that it has bound."""

from __future__ import annotations

import socket
from contextvars import Context, copy_context
from typing import Any

from ..stdlib.worlds import World, world_here
from .doors import Stock
from .gone import serving
from .selector import VirtualSelector
from .transports import Transporting

__unittest = True
__tracebackhide__ = True

_INTERNET = socket.AF_INET, socket.AF_INET6


def note_power(is_crash: bool) -> None:
    """A host has crashed, or with False is about to come back: the loops of this thread's world note who is gone."""
    world = world_here()
    for loop in dict.fromkeys([world.loop, *world.running, *world.second]) if world is not None else ():
        loop.inventory.note_power(loop.kernel, is_crash=is_crash)


class Serving(Transporting):
    """An event loop that knows for which host a server serves."""

    def __init__(self, world: World, selector: VirtualSelector) -> None:
        super().__init__(world, selector)
        world.kernel.on_power = note_power

    def _start_serving(self, protocol_factory: Any, sock: Any, *args: Any, **kwargs: Any) -> None:
        given: Context | None = kwargs.get("context")  # from 3.15 on: the server's own
        around = copy_context() if given is None else given
        if sock.family in _INTERNET:
            around.run(serving.set, self.world.kernel.names.owner(sock.getsockname()[0]))
        around.run(Stock._start_serving, self, protocol_factory, sock, *args, **kwargs)  # type: ignore[attr-defined]
