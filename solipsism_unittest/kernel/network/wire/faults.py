"""What happens to a packet on its way: rules, each of which looks at a packet and may give a verdict.

Owns the rules of one network, in their order, and the addresses that drop everything. The rule that keeps it simple:
the sender asks for the verdict and obeys it; nothing else knows why a packet did not arrive.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterable
from typing import ClassVar, NamedTuple, Self


class Packet(NamedTuple):
    """What a rule looks at: one packet between two hosts."""

    kind: str  # "connect", "data", "fin", "reset", "probe" (of keepalive), "datagram"
    source: str  # the name of the host that it comes from, or its address where that has no name
    target: str  # and of the one that it goes to
    source_address: tuple[str, int]
    target_address: tuple[str, int]
    data: bytes = b""

    @property
    def size(self) -> int:
        """The number of bytes in it."""
        return len(self.data)


class Verdict:
    """What happens to a packet. A retransmission is a packet of its own: the rules are asked again."""

    __slots__ = ("kind", "seconds", "copies", "errno")
    PASS: ClassVar[Verdict]
    DROP: ClassVar[Verdict]  # it is lost; a stream sends it again later
    RESET: ClassVar[Verdict]  # the connection of a segment is reset on both sides; a connect is refused
    CORRUPT: ClassVar[Verdict]  # a datagram arrives with one bit turned; a segment is lost, as its checksum fails
    DUPLICATE: ClassVar[Verdict]  # a datagram arrives twice; a stream takes each byte once

    def __init__(self, kind: str, *, seconds: float = 0.0, copies: int = 1, errno: int = 0) -> None:
        self.kind = kind
        self.seconds = seconds
        self.copies = copies
        self.errno = errno

    @classmethod
    def later(cls, seconds: float) -> Self:
        """It arrives so many seconds of virtual time later."""
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 <= seconds < math.inf:
            raise ValueError(f"a packet comes a finite number of seconds later, from 0 up, not {seconds!r}")
        return cls("later", seconds=float(seconds))

    @classmethod
    def fail(cls, code: int) -> Self:
        """A connect fails with this errno, such as EHOSTUNREACH, when its SYN has come there and an answer back."""
        if not isinstance(code, int) or code not in errno.errorcode:
            raise ValueError(f"a connect fails with an errno, such as errno.EHOSTUNREACH, not {code!r}")
        return cls("fail", errno=code)

    def __repr__(self) -> str:
        return f"<Verdict {self.kind}>"


Verdict.PASS = Verdict("pass")
Verdict.DROP = Verdict("drop")
Verdict.RESET = Verdict("reset")
Verdict.CORRUPT = Verdict("corrupt")
Verdict.DUPLICATE = Verdict("duplicate", copies=2)

Rule = Callable[[Packet], Verdict | None]


class InstalledRule:
    """A rule in its place: for ever, until `remove()`, or for a `with` block."""

    def __init__(self, rules: dict[InstalledRule, None], rule: Rule) -> None:
        self._rules = rules
        self.rule = rule
        rules[self] = None

    def remove(self) -> None:
        """Take the rule away. A second call does nothing."""
        self._rules.pop(self, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Faults:
    """The rules of one network; without any, everything passes."""

    def __init__(self) -> None:
        self._dropping: dict[str, None] = {}
        self._rules: dict[InstalledRule, None] = {}  # in the order in which they were installed

    def drop(self, addresses: Iterable[str]) -> None:
        """Lose everything that is sent to these addresses from now on."""
        self._dropping.update(dict.fromkeys(addresses))

    def repair(self, addresses: Iterable[str]) -> None:
        """End `drop()` for these addresses."""
        for address in addresses:
            self._dropping.pop(address, None)

    def install(self, rule: Rule) -> InstalledRule:
        """Ask this rule too, after those that are there."""
        if not callable(rule):
            raise TypeError(f"a rule is a function of a packet that gives a Verdict or None, not {rule!r}")
        return InstalledRule(self._rules, rule)

    def clear(self) -> None:
        """Take all of them away."""
        self._dropping.clear()
        self._rules.clear()

    def keep(self) -> Callable[[], None]:
        """Note what there is; the result makes it so again."""
        dropping, rules = dict(self._dropping), dict(self._rules)

        def put_back() -> None:
            self._dropping.clear()
            self._dropping.update(dropping)
            self._rules.clear()
            self._rules.update(rules)

        return put_back

    @property
    def any(self) -> bool:
        """Whether there is any rule."""
        return bool(self._dropping or self._rules)

    def verdict(self, packet: Packet) -> Verdict:
        """What happens to a packet: what the first rule says that says anything."""
        if packet.target_address[0] in self._dropping:
            return Verdict.DROP
        for installed in list(self._rules):
            verdict = installed.rule(packet)
            if verdict is not None:
                if not isinstance(verdict, Verdict):
                    raise TypeError(f"the rule {installed.rule!r} gave {verdict!r}: a rule gives a Verdict, or None "
                                    "where it has no opinion")
                return verdict
        return Verdict.PASS

    def __repr__(self) -> str:
        return f"<Faults: {', '.join(self._dropping) or 'none'}, {len(self._rules)} rules>"
