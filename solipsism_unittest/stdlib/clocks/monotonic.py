"""`time.monotonic()` and `monotonic_ns()`."""

from __future__ import annotations

from ..worlds import World


def monotonic(world: World) -> float:
    """`time.monotonic()`: the world's time in seconds."""
    return world.kernel.clock.now


def monotonic_ns(world: World) -> int:
    """`time.monotonic_ns()`: the world's time in nanoseconds."""
    return round(world.kernel.clock.now * 1_000_000_000)
