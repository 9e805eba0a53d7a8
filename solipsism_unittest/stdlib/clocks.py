"""The clocks of module time."""

from __future__ import annotations

from ..kernel import Kernel


def _monotonic(kernel: Kernel) -> float:
    return kernel.clock.now


def _monotonic_ns(kernel: Kernel) -> int:
    return round(kernel.clock.now * 1_000_000_000)
