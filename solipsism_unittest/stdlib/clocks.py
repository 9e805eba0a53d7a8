"""The clocks of module time."""

from __future__ import annotations

from ..kernel import Kernel


def monotonic(kernel: Kernel) -> float:
    """`time.monotonic()`: the world's time in seconds."""
    return kernel.clock.now


def monotonic_ns(kernel: Kernel) -> int:
    """`time.monotonic_ns()`: the world's time in nanoseconds."""
    return round(kernel.clock.now * 1_000_000_000)
