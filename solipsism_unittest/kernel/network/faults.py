"""Faults of the network: a verdict on each packet, by the address that it is sent to.

Owns the addresses that drop everything. The rule that keeps it simple: the sender asks for the verdict and obeys it;
nothing else knows why a packet did not arrive.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Verdict(enum.Enum):
    """What happens to a packet."""

    PASS = "pass"
    DROP = "drop"


class Faults:
    """The rules of one network; without any, everything passes."""

    def __init__(self) -> None:
        self._dropping: dict[str, None] = {}

    def drop(self, addresses: Iterable[str]) -> None:
        """Lose everything that is sent to these addresses from now on."""
        self._dropping.update(dict.fromkeys(addresses))

    def repair(self, addresses: Iterable[str]) -> None:
        """End `drop()` for these addresses."""
        for address in addresses:
            self._dropping.pop(address, None)

    def verdict(self, address: str) -> Verdict:
        """What happens to a packet to this address (text)."""
        return Verdict.DROP if address in self._dropping else Verdict.PASS

    def __repr__(self) -> str:
        return f"<Faults: {', '.join(self._dropping) or 'none'}>"
